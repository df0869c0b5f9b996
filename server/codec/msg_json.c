/* msg_json.c - the json dialect (contracts section 1): its words, what both of its sides use, and
 * what the server writes to devices.  What devices publish is read in msg_json_read.c. */
#include "codec/lwm2m_msg.h"

#include "codec/codec_int.h"
#include "codec/lwm2m_attrs.h"
#include "codec/lwm2m_value_json.h"
#include "codec/msg_json_int.h"

#define COMPOSITE_MAX 1000

const struct up_word msg_json_up[MSG_JSON_UP_WORDS] = {
    {"reg", LW_UP_REGISTER, false, false},       {"update", LW_UP_UPDATE, false, true},
    {"upd", LW_UP_UPDATE, false, true},          {"dereg", LW_UP_DEREGISTER, false, true},
    {"notify", LW_UP_NOTIFY, true, false},       {"send", LW_UP_SEND, false, false},
    {"resp", LW_UP_RESPONSE, true, false},       {"lost", LW_UP_LOST, false, true},
    {"bs/req", LW_UP_BS_REQUEST, false, false},  {"bs/pack", LW_UP_BS_PACK, false, false},
    {"bs/resp", LW_UP_BS_RESPONSE, true, false},
};

/* ---- shared by both sides ---- */

bool msg_json_split(struct str topic, struct str *endpoint, struct str *tail)
{
    struct str rest = topic;
    if (!str_is(str_cut(&rest, '/'), "lwm2m") || !rest.p)
        return false;
    *endpoint = str_cut(&rest, '/');
    *tail = rest;
    return rest.p != NULL;
}

const struct json_node *msg_json_member(const struct json_node *o, const char *key)
{
    const struct json_node *n = json_get(o, key);
    return n && n->kind != JSON_NULL ? n : NULL;
}

enum err msg_json_payload(struct arena *a, const struct json_node *root, unsigned *ct,
                          struct str *payload)
{
    const struct json_node *c = msg_json_member(root, "ct"), *p = msg_json_member(root, "payload");
    uint64_t number = LW_CT_NONE;
    struct str text;
    size_t n = 0;
    if (c && (!json_is_u64(c, &number) || number >= LW_CT_NONE))
        return ERR_INVALID;
    if (!p) {
        *ct = (unsigned)number;
        return ERR_OK;
    }
    if (!c || !json_is_str(p, &text))
        return ERR_INVALID;
    uint8_t *bytes = arena_alloc(a, text.n + 1);
    if (!bytes)
        return ERR_NOMEM;
    if (str_from_base64(text, bytes, &n))
        return ERR_INVALID;
    *ct = (unsigned)number;
    *payload = str_make((const char *)bytes, n);
    return ERR_OK;
}

enum err msg_json_paths(struct arena *a, const struct json_node *list, struct lw_path **out,
                        size_t *n)
{
    if (!list || list->kind != JSON_ARRAY)
        return ERR_INVALID;
    if (list->n > COMPOSITE_MAX)
        return ERR_TOOBIG;
    struct lw_path *paths = arena_calloc(a, list->n + 1, sizeof *paths);
    size_t have = 0;
    if (!paths)
        return ERR_NOMEM;
    for (const struct json_node *m = list->child; m; m = m->next) {
        struct str text;
        enum err e = json_is_str(m, &text) ? lw_path_parse(text, &paths[have]) : ERR_TYPE;
        if (e)
            return e;
        have++;
    }
    *out = paths;
    *n = have;
    return ERR_OK;
}

void msg_json_put_path(struct json_out *j, const char *key, struct lw_path p)
{
    char text[LW_PATH_TEXT];
    if (key)
        json_key(j, key);
    json_str(j, str_make(text, lw_path_text(p, text)));
}

void msg_json_put_code(struct json_out *j, lw_code code)
{
    char text[8];
    lw_code_text(code, text);
    json_put_text(j, "code", text);
}

void msg_json_put_payload(struct json_out *j, unsigned ct, struct str payload)
{
    json_put_u64(j, "ct", ct);
    json_key(j, "payload");
    json_base64(j, payload.p, payload.n);
}

/* ---- server -> device ---- */

static void put_attributes(struct json_out *j, const struct lw_attrs *attrs)
{
    json_key(j, "attributes");
    json_open(j, '{');
    for (unsigned i = 0; i < LW_ATTR_COUNT; i++) {
        if (!((attrs->set | attrs->unset) & 1u << i))
            continue;
        json_key(j, lw_attr_words[i]);
        if (attrs->set & 1u << i)
            json_double(j, attrs->v[i]);
        else
            json_null(j);
    }
    json_close(j);
}

static void put_paths(struct json_out *j, const struct lw_downlink *d)
{
    json_key(j, "paths");
    json_open(j, '[');
    for (size_t i = 0; i < d->n_paths; i++)
        msg_json_put_path(j, NULL, d->paths[i]);
    json_close(j);
}

/* `value` when the body is exactly what the path names, else `values`; or `ct` and `payload`. */
static void put_body(struct json_out *j, const struct lw_downlink *d)
{
    const struct lw_entry *one = d->values.n == 1 ? &d->values.v[0] : NULL;
    if (d->payload.p) {
        msg_json_put_payload(j, d->ct == LW_CT_NONE ? LW_CT_OPAQUE : d->ct, d->payload);
    } else if (one && d->path.n >= 3 && lw_path_eq(one->path, d->path)) {
        json_key(j, "value");
        lw_value_json(j, one->value);
        if (lw_json_type(one->value))
            json_put_text(j, "type", lw_json_type(one->value));
    } else {
        json_key(j, "values");
        lw_list_to_json(j, &d->values);
    }
}

static void put_ct(struct json_out *j, const struct lw_downlink *d)
{
    if (d->ct == LW_CT_NONE)
        return;
    json_put_u64(j, "ct", d->ct);
}

static void put_op_members(struct json_out *j, const struct lw_downlink *d)
{
    switch (d->op) {
    case LW_DOWN_READ:
        put_ct(j, d);
        break;
    case LW_DOWN_DISCOVER:
        if (d->depth >= 0)
            json_put_i64(j, "depth", d->depth);
        break;
    case LW_DOWN_WRITE:
    case LW_DOWN_WRITE_UPDATE:
        json_put_text(j, "mode", d->op == LW_DOWN_WRITE ? "replace" : "update");
        put_body(j, d);
        break;
    case LW_DOWN_CREATE:
        if (d->has_instance)
            json_put_u64(j, "instance", d->instance);
        put_body(j, d);
        break;
    case LW_DOWN_WRITE_COMPOSITE:
        put_body(j, d);
        break;
    case LW_DOWN_WRITE_ATTRIBUTES:
        put_attributes(j, &d->attrs);
        break;
    case LW_DOWN_OBSERVE:
        put_ct(j, d);
        if (d->attrs.set | d->attrs.unset)
            put_attributes(j, &d->attrs);
        break;
    case LW_DOWN_EXECUTE:
        if (d->args.p)
            json_put_str(j, "args", d->args);
        break;
    case LW_DOWN_READ_COMPOSITE:
    case LW_DOWN_OBSERVE_COMPOSITE:
        put_paths(j, d);
        put_ct(j, d);
        break;
    case LW_DOWN_CANCEL:
        json_put_text(j, "observation", d->observation.text);
        break;
    default:
        break;
    }
}

static void put_ack(struct json_out *j, const struct lw_downlink *d)
{
    if (d->token.text[0])
        json_put_text(j, "token", d->token.text);
    msg_json_put_code(j, d->code);
    if (d->has_lifetime)
        json_put_u64(j, "lifetime", d->lifetime);
    if (d->error.p)
        json_put_str(j, "error", d->error);
    if (d->values.n) {
        json_key(j, "values");
        lw_list_to_json(j, &d->values);
    }
}

/* "ack/reg"; both bootstrap requests are answered on "bs/ack". */
static void put_ack_topic(struct buf *topic, const struct lw_downlink *d)
{
    struct str word = d->ack_word;
    for (size_t i = 0; !word.n && i < MSG_JSON_UP_WORDS; i++)
        if (msg_json_up[i].kind == d->ack_of)
            word = str_of(msg_json_up[i].word);
    if (str_starts(word, "bs/")) {
        buf_puts(topic, "bs/ack");
    } else {
        buf_puts(topic, "ack/");
        buf_str(topic, word);
    }
}

enum err msg_json_encode(struct str endpoint, const struct lw_downlink *d, struct buf *topic,
                         struct buf *payload)
{
    struct json_out j;
    bool ack = d->op == LW_DOWN_ACK;
    if (!ack && (!d->token.text[0] || (unsigned)d->op >= LW_DOWN_COUNT))
        return ERR_INVALID;
    buf_puts(topic, "lwm2m/");
    buf_str(topic, endpoint);
    buf_putc(topic, '/');
    json_out_init(&j, payload);
    json_open(&j, '{');
    if (ack) {
        put_ack_topic(topic, d);
        put_ack(&j, d);
    } else {
        buf_puts(topic, "cmd/");
        buf_puts(topic, d->token.text);
        json_put_text(&j, "op", lw_down_words[d->op]);
        if (lw_down_has_path(d->op))
            msg_json_put_path(&j, "path", d->path);
        put_op_members(&j, d);
    }
    json_close(&j);
    return topic->err ? topic->err : payload->err;
}
