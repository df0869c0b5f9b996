/* msg_oma_map.c - see msg_oma_int.h. */
#include "codec/cbor_in.h"
#include "codec/cbor_out.h"
#include "codec/msg_oma_int.h"

#include <inttypes.h>
#include <stdio.h>

#define MESSAGE_MAX ((size_t)1 << 20)

static const char kinds[OMA_KEY_END] = {
#define X(id, key, kind) [key] = kind,
    OMA_KEY_TABLE(X)
#undef X
};

const uint8_t oma_attr_keys[LW_ATTR_COUNT] = {
    [LW_PMIN] = OMA_PMIN,   [LW_PMAX] = OMA_PMAX,   [LW_GT] = OMA_GT,     [LW_ST] = OMA_ST,
    [LW_EPMIN] = OMA_EPMIN, [LW_EPMAX] = OMA_EPMAX, [LW_EDGE] = OMA_EDGE, [LW_HQMAX] = OMA_HQMAX,
};

void oma_put_u(struct oma_map *m, enum oma_key key, uint64_t v)
{
    m->has |= 1u << key;
    m->u[key] = v;
}

void oma_put_f(struct oma_map *m, enum oma_key key, double v)
{
    m->has |= 1u << key;
    m->f[key] = v;
}

void oma_put_s(struct oma_map *m, enum oma_key key, struct str v)
{
    if (!v.p)
        return;
    m->has |= 1u << key;
    m->s[key] = v;
}

/* ---- read ---- */

static void take(struct cbor_in *c, const struct cbor_item *item, uint64_t key, struct oma_map *m)
{
    char kind = key < OMA_KEY_END ? kinds[key] : 0;
    bool right = true;
    if (!kind) { /* unknown keys are for later versions */
        cbor_skip(c, item);
        return;
    }
    if (oma_has(m, (enum oma_key)key)) {
        cbor_fail(c, ERR_INVALID);
        return;
    }
    switch (kind) {
    case 'U':
        right = item->kind == CBOR_UINT;
        m->u[key] = item->arg;
        break;
    case 'F': {
        struct lw_value v = cbor_value(c, item);
        right = v.type != LW_BOOLEAN && lw_value_double(v, &m->f[key]);
        break;
    }
    default:
        right =
            (item->kind == CBOR_TEXT && kind != 'B') || (item->kind == CBOR_BYTES && kind != 'T');
        m->s[key] = item->s.p ? item->s : str_of("");
    }
    if (!right)
        cbor_fail(c, ERR_TYPE);
    if (!c->r.err)
        m->has |= 1u << key;
}

/* What wraps a message: {1: nil or COSE structures, 2: message}. */
enum wrapper { PLAIN, UNPROTECTED, PROTECTED };

static void read_pairs(struct cbor_in *c, const struct cbor_item *head, struct oma_map *m,
                       enum wrapper *wrapper)
{
    bool null_operation = false, inner_read = false;
    for (uint64_t i = 0; cbor_more(c, head, i); i++) {
        struct cbor_item key = cbor_read(c), item;
        if (key.kind != CBOR_UINT && key.kind != CBOR_NINT && key.kind != CBOR_TEXT)
            cbor_fail(c, ERR_INVALID);
        item = cbor_read(c);
        if (c->r.err)
            return;
        if (key.kind != CBOR_UINT) {
            cbor_skip(c, &item);
        } else if (wrapper && key.arg == OMA_OPERATION && item.kind == CBOR_NULL) {
            null_operation = true;
        } else if (wrapper && key.arg == OMA_OPERATION && item.kind == CBOR_BYTES) {
            *wrapper = PROTECTED;
        } else if (wrapper && key.arg == OMA_TOKEN && item.kind == CBOR_MAP && !inner_read) {
            inner_read = true;
            read_pairs(c, &item, m, NULL);
        } else {
            take(c, &item, key.arg, m);
        }
    }
    if (wrapper && !*wrapper && null_operation)
        *wrapper = UNPROTECTED;
    if (wrapper && (*wrapper != PLAIN) != inner_read)
        cbor_fail(c, ERR_INVALID);
}

enum err oma_read(struct arena *a, struct str payload, struct oma_map *m)
{
    struct cbor_in c;
    enum wrapper wrapper = PLAIN;
    *m = (struct oma_map){0};
    if (payload.n > MESSAGE_MAX)
        return ERR_TOOBIG;
    cbor_in_init(&c, a, payload);
    struct cbor_item head = cbor_read(&c);
    if (!c.r.err && head.kind != CBOR_MAP)
        return ERR_INVALID;
    read_pairs(&c, &head, m, &wrapper);
    enum err e = cbor_end(&c);
    if (e)
        return e;
    if (wrapper == PROTECTED)
        return ERR_UNSUPPORTED;
    if (!oma_has(m, OMA_TOKEN) || oma_has(m, OMA_OPERATION) == oma_has(m, OMA_RESULT))
        return ERR_INVALID;
    return ERR_OK;
}

/* ---- write ---- */

void oma_write(struct buf *out, const struct oma_map *m)
{
    cbor_head(out, CBOR_M_MAP, (unsigned)__builtin_popcount(m->has));
    for (unsigned key = 1; key < OMA_KEY_END; key++) {
        if (!oma_has(m, (enum oma_key)key))
            continue;
        cbor_head(out, CBOR_M_UINT, key);
        switch (kinds[key]) {
        case 'U':
            cbor_head(out, CBOR_M_UINT, m->u[key]);
            break;
        case 'F':
            cbor_float(out, m->f[key]);
            break;
        case 'T':
            cbor_text(out, m->s[key]);
            break;
        default:
            cbor_bytes(out, m->s[key]);
        }
    }
}

/* ---- topics ---- */

/* A topic that begins with lwm2m/ has no prefix, so lwm2m/{ep}/bs/req of the json dialect is
 * never taken for one. */
static bool find_level(struct str topic, const char *level, struct oma_topic *out)
{
    size_t n = strlen(level);
    const char *at = memmem(topic.p, topic.n, level, n);
    if (!at || (at != topic.p && (at[-1] != '/' || str_starts(topic, "lwm2m/"))))
        return false;
    size_t before = (size_t)(at - topic.p);
    if (before == 1)
        return false; /* an empty prefix */
    out->prefix = before ? str_make(topic.p, before - 1) : str_make(NULL, 0);
    out->endpoint = str_make(at + n, topic.n - before - n);
    return true;
}

enum err oma_topic_read(struct str topic, struct oma_topic *out)
{
    *out = (struct oma_topic){0};
    if (!topic.n)
        return ERR_NOTFOUND;
    if (!find_level(topic, "lwm2m/rd/", out)) {
        out->is_bs = find_level(topic, "lwm2m/bs/", out);
        if (!out->is_bs)
            return ERR_NOTFOUND;
    }
    return lw_endpoint_check(out->endpoint);
}

void oma_topic_write(struct buf *out, struct str prefix, bool is_bs, struct str endpoint)
{
    if (prefix.p) {
        buf_str(out, prefix);
        buf_putc(out, '/');
    }
    buf_puts(out, is_bs ? "lwm2m/bs/" : "lwm2m/rd/");
    buf_str(out, endpoint);
}

/* ---- tokens and operations ---- */

void oma_token_text(uint64_t v, struct lw_token *out)
{
    *out = (struct lw_token){{0}};
    snprintf(out->text, sizeof out->text, "%" PRIu64, v);
}

enum err oma_token_number(const struct lw_token *t, uint64_t *out)
{
    return str_to_u64(str_of(t->text), out);
}

static const struct {
    enum lw_down op;
    enum oma_operation operation;
} operations[] = {
    {LW_DOWN_READ, OMA_READ},
    {LW_DOWN_READ_COMPOSITE, OMA_READ_COMPOSITE},
    {LW_DOWN_DISCOVER, OMA_DISCOVER},
    {LW_DOWN_WRITE, OMA_WRITE},
    {LW_DOWN_WRITE_UPDATE, OMA_WRITE_UPDATE},
    {LW_DOWN_WRITE_ATTRIBUTES, OMA_WRITE_ATTRIBUTES},
    {LW_DOWN_WRITE_COMPOSITE, OMA_WRITE_COMPOSITE},
    {LW_DOWN_EXECUTE, OMA_EXECUTE},
    {LW_DOWN_CREATE, OMA_CREATE},
    {LW_DOWN_DELETE, OMA_DELETE},
    {LW_DOWN_OBSERVE, OMA_OBSERVE},
    {LW_DOWN_OBSERVE_COMPOSITE, OMA_OBSERVE_COMPOSITE},
    {LW_DOWN_CANCEL, OMA_CANCEL},
};

bool oma_is_down(uint64_t operation, enum lw_down *out)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (operations[i].operation == operation) {
            *out = operations[i].op;
            return true;
        }
    return false;
}

bool oma_operation_of(enum lw_down op, enum oma_operation *out)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (operations[i].op == op) {
            *out = operations[i].operation;
            return true;
        }
    return false;
}
