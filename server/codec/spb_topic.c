/* spb_topic.c - see spb_topic.h.
 *
 * The shape of a topic follows from how many levels come after the namespace: GROUP/KIND/NODE for
 * the node's own messages, one more for a device's; STATE/HOST for host applications.  The only
 * exception is the prototypes' GROUP/DBIRTH/NAME, which lacks the node. */
#include "codec/spb_topic.h"

const char *const spb_kind_words[SPB_KIND_COUNT] = {
    [SPB_NBIRTH] = "NBIRTH", [SPB_NDATA] = "NDATA",   [SPB_NDEATH] = "NDEATH",
    [SPB_NCMD] = "NCMD",     [SPB_DBIRTH] = "DBIRTH", [SPB_DDATA] = "DDATA",
    [SPB_DDEATH] = "DDEATH", [SPB_DCMD] = "DCMD",     [SPB_STATE] = "STATE",
};

static const uint8_t lengths[SPB_KIND_COUNT] = {
    [SPB_NBIRTH] = 6, [SPB_NDATA] = 5,  [SPB_NDEATH] = 6, [SPB_NCMD] = 4,  [SPB_DBIRTH] = 6,
    [SPB_DDATA] = 5,  [SPB_DDEATH] = 6, [SPB_DCMD] = 4,   [SPB_STATE] = 5,
};

enum { LEVELS_MAX = 5 }; /* namespace, group, kind, node, device */

static bool kind_from(struct str word, enum spb_kind *out)
{
    for (int k = 0; k < SPB_KIND_COUNT; k++)
        if (word.n == lengths[k] && memcmp(word.p, spb_kind_words[k], word.n) == 0) {
            *out = (enum spb_kind)k;
            return true;
        }
    return false;
}

static bool is_device_kind(enum spb_kind k)
{
    return k == SPB_DBIRTH || k == SPB_DDATA || k == SPB_DDEATH || k == SPB_DCMD;
}

/* Cuts the topic into levels; 0 when one is empty, holds a wildcard, or there are too many. */
static size_t split(struct str topic, struct str level[LEVELS_MAX])
{
    size_t n = 0;
    while (topic.p) {
        struct str s = str_cut(&topic, '/');
        if (n == LEVELS_MAX || !s.n || memchr(s.p, '+', s.n) || memchr(s.p, '#', s.n))
            return 0;
        level[n++] = s;
    }
    return n;
}

enum err spb_topic_parse(struct str topic, struct spb_topic *out)
{
    struct str level[LEVELS_MAX];
    struct str rest = topic;
    if (!topic.n || !str_is(str_cut(&rest, '/'), SPB_NAMESPACE))
        return ERR_NOTFOUND;
    size_t n = split(topic, level);
    if (n < 3 || !str_utf8_valid(topic))
        return ERR_INVALID;
    struct spb_topic t = {.kind = SPB_STATE};
    if (n == 3) {
        if (!str_is(level[1], spb_kind_words[SPB_STATE]))
            return ERR_INVALID;
        t.node = level[2];
        *out = t;
        return ERR_OK;
    }
    if (!kind_from(level[2], &t.kind) || t.kind == SPB_STATE)
        return ERR_INVALID;
    if (n == 5 && !is_device_kind(t.kind))
        return ERR_INVALID;
    t.group = level[1];
    t.node = level[3];
    if (n == 5)
        t.device = level[4];
    t.is_short = n == 4 && is_device_kind(t.kind);
    *out = t;
    return ERR_OK;
}

void spb_topic_write(struct buf *out, const struct spb_topic *t)
{
    buf_puts(out, SPB_NAMESPACE "/");
    if (t->kind == SPB_STATE) {
        buf_puts(out, "STATE/");
        buf_str(out, t->node);
        return;
    }
    buf_str(out, t->group);
    buf_putc(out, '/');
    buf_puts(out, spb_kind_words[t->kind]);
    buf_putc(out, '/');
    buf_str(out, t->node);
    if (t->device.p) {
        buf_putc(out, '/');
        buf_str(out, t->device);
    }
}
