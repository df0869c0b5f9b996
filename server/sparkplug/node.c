/* node.c - the door of an edge node's state machine: which message goes where in which life.
 *
 *   kind      unknown        born              stale                     dead
 *   NBIRTH    birth          birth             birth                     birth
 *   NDEATH    old death      death if bdSeq =  death if bdSeq =          old death
 *   others    ask rebirth    in sequence       named data; ask rebirth   ask rebirth
 *
 * Messages on prototypes' short topics go their own way (data.c). */
#include "sparkplug/sparkplug_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct str node_level = {NULL, 0};

/* ---- words ---- */

static const char *const life_words[] = {
    [SPB_LIFE_UNKNOWN] = "unknown",
    [SPB_LIFE_BORN] = "born",
    [SPB_LIFE_DEAD] = "dead",
    [SPB_LIFE_STALE] = "stale",
};

static const char *const quality_words[] = {
    [SPB_Q_GOOD] = "good", [SPB_Q_BAD] = "bad",           [SPB_Q_STALE] = "stale",
    [SPB_Q_NULL] = "null", [SPB_Q_BAD_TIME] = "bad_time",
};

const char *spb_life_word(enum spb_life l)
{
    return life_words[l];
}

const char *spb_quality_word(enum spb_quality q)
{
    return quality_words[q];
}

/* A name cut short by the limit must not end inside a character. */
static void words(char *out, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, size, fmt, ap);
    size_t length = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    while (length && !str_utf8_valid(str_make(out, length)))
        length--;
    out[length] = '\0';
}

void spb_say(struct spb_node *n, enum spb_node_event ev, struct str device, struct moment now,
             const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    words(text, sizeof text, fmt, ap);
    va_end(ap);
    n->sink->event(n->ctx, ev, device, text, now);
}

void spb_anomaly(struct spb_node *n, enum err e, struct moment now, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    words(text, sizeof text, fmt, ap);
    va_end(ap);
    n->sink->anomaly(n->ctx, e, text, now);
}

void spb_nonconformant(struct spb_node *n, struct moment now, const char *what)
{
    bool first = n->conformant;
    n->conformant = false;
    if (first)
        spb_say(n, SPB_EV_NONCONFORMANT, node_level, now, "%s", what);
}

/* ---- life of the object ---- */

struct spb_node *spb_node_new(struct str group, struct str node, const struct spb_node_options *o,
                              struct spb_shapes *shapes, const struct spb_node_sink *sink,
                              void *ctx)
{
    struct spb_node *n = calloc(1, offsetof(struct spb_node, names) + group.n + node.n + 2);
    if (!n)
        return NULL;
    memcpy(n->names, group.p, group.n);
    memcpy(n->names + group.n + 1, node.p, node.n);
    n->group_n = (uint32_t)group.n;
    n->id_n = (uint32_t)node.n;
    n->o = *o;
    if (!n->o.rebirth_interval_ms)
        n->o.rebirth_interval_ms = 1;
    n->shapes = shapes;
    n->sink = sink;
    n->ctx = ctx;
    n->conformant = true;
    n->gap_deadline = n->rebirth_due = UINT64_MAX;
    n->rebirth_interval = n->o.rebirth_interval_ms;
    return n;
}

void spb_node_free(struct spb_node *n)
{
    if (!n)
        return;
    spb_order_forget(n);
    spb_tags_free(n);
    free(n);
}

/* ---- messages ---- */

static void device_data(struct spb_node *n, struct str device, const struct spb_payload *p,
                        struct arena *scratch, struct moment now)
{
    struct device *d = spb_device_find(n, device);
    if (d && d->pub.life == SPB_LIFE_BORN) {
        spb_data(n, d, p, scratch, now);
        return;
    }
    n->lost_messages++;
    spb_anomaly(n, ERR_NOTFOUND, now, "data of device \"%.*s\" before its birth", STR_ARG(device));
    spb_rebirth_wish(n, SPB_CAUSE_UNKNOWN_DEVICE, now);
}

void spb_dispatch(struct spb_node *n, enum spb_kind kind, struct str device,
                  const struct spb_payload *p, struct arena *scratch, struct moment now)
{
    switch (kind) {
    case SPB_DBIRTH:
        spb_device_birth(n, device, p, scratch, now);
        break;
    case SPB_DDEATH:
        spb_device_death(n, device, p, now);
        break;
    case SPB_NDATA:
        spb_data(n, NULL, p, scratch, now);
        break;
    case SPB_DDATA:
        device_data(n, device, p, scratch, now);
        break;
    default:
        break;
    }
}

/* A sequenced message of a node that is not born. */
static void unborn(struct spb_node *n, const struct spb_topic *t, const struct spb_payload *p,
                   struct arena *scratch, struct moment now)
{
    static const enum spb_cause causes[] = {
        [SPB_LIFE_UNKNOWN] = SPB_CAUSE_UNKNOWN_NODE,
        [SPB_LIFE_DEAD] = SPB_CAUSE_NODE_OFFLINE,
    };
    enum spb_cause cause = n->life == SPB_LIFE_STALE ? n->stale_cause : causes[n->life];
    struct device *d = t->device.p ? spb_device_find(n, t->device) : NULL;
    bool known =
        t->kind == SPB_NDATA || (t->kind == SPB_DDATA && d && d->pub.life == SPB_LIFE_STALE);
    size_t taken = 0;
    if (n->life == SPB_LIFE_STALE && known && !n->o.strict)
        taken = spb_data(n, d, p, scratch, now);
    if (!taken && (t->kind == SPB_NDATA || t->kind == SPB_DDATA))
        n->lost_messages++;
    n->is_short = false; /* it knows proper topics */
    spb_rebirth_wish(n, cause, now);
}

static void sequenced(struct spb_node *n, const struct spb_topic *t, struct str bytes,
                      const struct spb_payload *p, struct arena *scratch, struct moment now)
{
    if (n->life != SPB_LIFE_BORN) {
        unborn(n, t, p, scratch, now);
        return;
    }
    if (n->is_short) {
        spb_anomaly(n, ERR_CONFLICT, now, "%s of a node born on short topics",
                    spb_kind_words[t->kind]);
        enum err e = spb_node_rebirth(n, SPB_CAUSE_UNKNOWN_NODE, now);
        (void)e; /* too soon: planned */
        return;
    }
    if (p->has_seq) {
        spb_order(n, t, bytes, p, scratch, now);
        return;
    }
    spb_anomaly(n, ERR_INVALID, now, "%s without seq", spb_kind_words[t->kind]);
    if (n->o.strict)
        return;
    spb_nonconformant(n, now, "messages without seq");
    spb_dispatch(n, t->kind, t->device, p, scratch, now);
}

static bool is_node_kind(enum spb_kind k)
{
    return k == SPB_NBIRTH || k == SPB_NDATA || k == SPB_NDEATH;
}

/* Refuses what no edge node may say; true if the message may go on. */
static bool acceptable(struct spb_node *n, const struct spb_topic *t, struct str bytes,
                       struct arena *scratch, struct moment now, struct spb_payload *p)
{
    if (t->kind == SPB_STATE || t->kind == SPB_NCMD || t->kind == SPB_DCMD)
        return false;
    enum err e = spb_decode(scratch, bytes, p);
    if (!e && p->has_seq && p->seq >= SPB_SEQ_MODULUS && t->kind != SPB_NDEATH)
        e = ERR_RANGE;
    if (!e && !is_node_kind(t->kind) && !t->is_short && !t->device.p)
        e = ERR_INVALID;
    if (!e)
        return true;
    spb_anomaly(n, e, now, "malformed %s", spb_kind_words[t->kind]);
    if (t->kind != SPB_NDEATH)
        spb_rebirth_wish(n, SPB_CAUSE_MALFORMED, now);
    return false;
}

void spb_node_message(struct spb_node *n, const struct spb_topic *t, struct str payload,
                      struct arena *scratch, struct moment now)
{
    struct spb_payload p;
    if (!acceptable(n, t, payload, scratch, now, &p))
        return;
    if (t->is_short)
        spb_short(n, t->kind, &p, scratch, now);
    else if (t->kind == SPB_NBIRTH)
        spb_node_birth(n, &p, scratch, now);
    else if (t->kind == SPB_NDEATH)
        spb_node_death(n, &p, now);
    else
        sequenced(n, t, payload, &p, scratch, now);
}

void spb_node_restore(struct spb_node *n, const struct spb_node_info *before)
{
    if (n->life != SPB_LIFE_UNKNOWN || before->life == SPB_LIFE_UNKNOWN)
        return;
    n->life = before->life == SPB_LIFE_DEAD ? SPB_LIFE_DEAD : SPB_LIFE_STALE;
    n->stale_cause = SPB_CAUSE_HOST_LOST;
    n->has_bd_seq = before->has_bd_seq;
    n->bd_seq = before->bd_seq;
    n->born_ms = before->born_ms;
    n->died_ms = before->died_ms;
    n->conformant = before->conformant;
    n->rebirths_asked = before->rebirths_asked;
}

enum err spb_node_restore_device(struct spb_node *n, const struct spb_device *before)
{
    struct device *d = spb_device_get(n, before->name);
    if (!d)
        return ERR_FULL;
    if (d->pub.life != SPB_LIFE_UNKNOWN || before->life == SPB_LIFE_UNKNOWN)
        return ERR_OK;
    bool with_node = n->life == SPB_LIFE_DEAD && before->life != SPB_LIFE_DEAD;
    d->pub.life = with_node || before->life == SPB_LIFE_DEAD ? SPB_LIFE_DEAD : SPB_LIFE_STALE;
    d->pub.born_ms = before->born_ms;
    d->pub.died_ms = with_node ? n->died_ms : before->died_ms;
    return ERR_OK;
}

void spb_node_host_lost(struct spb_node *n, struct moment now)
{
    spb_rebirth_cancel(n);
    if (n->life != SPB_LIFE_BORN)
        return;
    n->stale_cause = SPB_CAUSE_HOST_LOST;
    spb_node_end(n, SPB_LIFE_STALE, now, spb_cause_words(SPB_CAUSE_HOST_LOST));
}

void spb_node_host_back(struct spb_node *n, uint32_t delay_ms, struct moment now)
{
    if (n->is_short || n->life == SPB_LIFE_BORN)
        return;
    spb_rebirth_plan(n, SPB_CAUSE_HOST_LOST, now.mono_ms + delay_ms);
}

/* ---- time ---- */

uint64_t spb_node_deadline(const struct spb_node *n)
{
    return n->gap_deadline < n->rebirth_due ? n->gap_deadline : n->rebirth_due;
}

void spb_node_wait(struct spb_node *n, struct moment now)
{
    if (now.mono_ms >= n->gap_deadline)
        n->gap_deadline = now.mono_ms + n->o.reorder_ms;
    if (now.mono_ms >= n->rebirth_due)
        n->rebirth_due = spb_rebirth_later(n, now);
}

void spb_node_tick(struct spb_node *n, struct moment now)
{
    if (now.mono_ms >= n->gap_deadline)
        spb_order_expire(n, now);
    spb_rebirth_tick(n, now);
}

/* ---- queries ---- */

void spb_node_get_info(const struct spb_node *n, struct spb_node_info *out)
{
    size_t born = 0, known = 0;
    for (size_t i = 0; i < spb_device_count(n); i++) {
        known += spb_device_at(n, i)->pub.life != SPB_LIFE_UNKNOWN;
        born += spb_device_at(n, i)->pub.life == SPB_LIFE_BORN;
    }
    *out = (struct spb_node_info){
        .group = spb_group_of(n),
        .node = spb_id_of(n),
        .life = (enum spb_life)n->life,
        .has_bd_seq = n->has_bd_seq,
        .bd_seq = n->bd_seq,
        .seq = n->seq,
        .conformant = n->conformant,
        .is_short = n->is_short,
        .born_ms = n->born_ms,
        .died_ms = n->died_ms,
        .births = n->births,
        .rebirths_asked = n->rebirths_asked,
        .gaps = n->gaps,
        .lost_messages = n->lost_messages,
        .never_came = n->never_came,
        .missing = spb_order_missing(n),
        .last_cause = (enum spb_cause)n->last_cause,
        .last_cause_ms = n->last_cause_ms,
        .n_devices = known,
        .n_devices_born = born,
        .n_tags = n->n_tags,
    };
}

const struct spb_device *spb_node_device(const struct spb_node *n, size_t i)
{
    return i < spb_device_count(n) ? &spb_device_at(n, i)->pub : NULL;
}

const char *spb_node_group(const struct spb_node *n)
{
    return spb_group_of(n).p;
}

const char *spb_node_id(const struct spb_node *n)
{
    return spb_id_of(n).p;
}
