/* msg_oma_device.c - the oma dialect as a device speaks it; the simulator is that device. */
#include "codec/codec_int.h"
#include "codec/lwm2m_attrs.h"
#include "codec/lwm2m_senml_cbor.h"
#include "codec/msg_oma_int.h"

/* ---- server -> device ---- */

static enum err read_body(struct arena *a, const struct oma_map *m, struct lw_typer typer,
                          struct lw_downlink *out)
{
    if (!oma_has(m, OMA_CT) || !oma_has(m, OMA_PAYLOAD) || m->u[OMA_CT] >= LW_CT_NONE)
        return ERR_INVALID;
    out->ct = (unsigned)m->u[OMA_CT];
    out->payload = m->s[OMA_PAYLOAD];
    enum err e = lw_decode(a, out->ct, out->payload, out->path, typer, &out->values);
    if (!e && out->op == LW_DOWN_CREATE && out->values.n) {
        out->instance = out->values.v[0].path.id[1];
        out->has_instance = out->instance != LW_ID_NONE;
    }
    return e;
}

static enum err read_attributes(const struct oma_map *m, struct lw_attrs *out)
{
    for (unsigned i = 0; i < LW_ATTR_COUNT; i++) {
        enum oma_key key = (enum oma_key)oma_attr_keys[i];
        if (!key || !oma_has(m, key))
            continue;
        bool threshold = i == LW_GT || i == LW_ST;
        enum err e = lw_attrs_set(out, (enum lw_attr)i, threshold ? m->f[key] : (double)m->u[key]);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err read_members(struct arena *a, const struct oma_map *m, struct lw_typer typer,
                             struct lw_downlink *out)
{
    struct lw_path *paths = NULL;
    enum err e;
    switch (out->op) {
    case LW_DOWN_DISCOVER:
        if (oma_has(m, OMA_DEPTH) && m->u[OMA_DEPTH] > 3)
            return ERR_RANGE;
        out->depth = oma_has(m, OMA_DEPTH) ? (int)m->u[OMA_DEPTH] : -1;
        return ERR_OK;
    case LW_DOWN_WRITE_ATTRIBUTES:
        return read_attributes(m, &out->attrs);
    case LW_DOWN_EXECUTE:
        out->args = m->s[OMA_PAYLOAD];
        return !out->args.p || str_utf8_valid(out->args) ? ERR_OK : ERR_UTF8;
    case LW_DOWN_WRITE:
    case LW_DOWN_WRITE_UPDATE:
    case LW_DOWN_WRITE_COMPOSITE:
    case LW_DOWN_CREATE:
        return read_body(a, m, typer, out);
    case LW_DOWN_READ_COMPOSITE:
    case LW_DOWN_OBSERVE_COMPOSITE:
        e = oma_has(m, OMA_PATHS) ? senml_paths_read(a, m->s[OMA_PATHS], &paths, &out->n_paths)
                                  : ERR_INVALID;
        out->paths = paths;
        return e;
    case LW_DOWN_CANCEL:
        out->observation = out->token;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err read_request(struct arena *a, const struct oma_map *m, struct lw_typer typer,
                             struct lw_downlink *out)
{
    uint64_t operation = m->u[OMA_OPERATION];
    if (!oma_is_down(operation, &out->op)) {
        bool own = (operation >= OMA_REGISTER && operation <= OMA_DEREGISTER) ||
                   operation == OMA_NOTIFY || operation == OMA_SEND;
        return own ? ERR_NOTFOUND : ERR_UNSUPPORTED;
    }
    if (lw_down_has_path(out->op)) {
        enum err e = oma_has(m, OMA_URI) ? lw_path_parse(m->s[OMA_URI], &out->path) : ERR_INVALID;
        if (e)
            return e;
    }
    return read_members(a, m, typer, out);
}

/* A result on this topic answers whatever request of the device has its token, or is an answer of
 * the device itself that came back; the token tells. */
static enum err read_result(const struct oma_map *m, bool is_bs, struct lw_downlink *out)
{
    uint64_t code = m->u[OMA_RESULT];
    out->op = LW_DOWN_ACK;
    out->ack_of = is_bs ? LW_UP_BS_REQUEST : LW_UP_REGISTER;
    if (code < 200 || code > 599)
        return ERR_RANGE;
    out->code = (lw_code)code;
    if (oma_has(m, OMA_CT) && m->u[OMA_CT] < LW_CT_NONE)
        out->ct = (unsigned)m->u[OMA_CT];
    out->payload = m->s[OMA_PAYLOAD];
    return ERR_OK;
}

enum err msg_oma_decode_down(struct arena *a, struct str topic, struct str payload,
                             struct lw_typer typer, struct lw_downlink *out)
{
    struct oma_topic t;
    struct oma_map m;
    *out = (struct lw_downlink){
        .op = LW_DOWN_COUNT, .ct = LW_CT_NONE, .depth = -1, .path = lw_path_of(0, 0, 0, 0, 0)};
    enum err e = oma_topic_read(topic, &t);
    if (e)
        return e;
    out->prefix = t.prefix;
    e = oma_read(a, payload, &m);
    if (oma_has(&m, OMA_TOKEN))
        oma_token_text(m.u[OMA_TOKEN], &out->token);
    if (e)
        return e;
    if (oma_has(&m, OMA_RESULT))
        return read_result(&m, t.is_bs, out);
    return t.is_bs ? ERR_UNSUPPORTED : read_request(a, &m, typer, out);
}

/* ---- device -> server ---- */

static enum err put_registration(const struct lw_uplink *u, struct buf *scratch, struct oma_map *m)
{
    const struct lw_registration_fields *reg = &u->reg;
    if (reg->has_lifetime)
        oma_put_u(m, OMA_LIFETIME, reg->lifetime);
    oma_put_s(m, OMA_VERSION, reg->version);
    oma_put_s(m, OMA_BINDING, reg->binding);
    oma_put_s(m, OMA_SMS, reg->sms);
    if (reg->has_objects) {
        lw_links_write(scratch, &reg->links);
        oma_put_s(m, OMA_PAYLOAD, str_make(scratch->p ? scratch->p : "", scratch->n));
    }
    return scratch->err;
}

static enum err put_content(const struct lw_uplink *u, struct buf *scratch, struct oma_map *m)
{
    unsigned ct = u->ct;
    if (u->payload.p) {
        if (ct != LW_CT_NONE)
            oma_put_u(m, OMA_CT, ct);
        oma_put_s(m, OMA_PAYLOAD, u->payload);
        return ERR_OK;
    }
    if (!u->values.n && u->code != LW_CONTENT)
        return ERR_OK;
    /* Only SenML and LwM2M CBOR say of which paths they speak; text needs a single value. */
    if (ct == LW_CT_NONE)
        ct = LW_CT_SENML_CBOR;
    struct lw_path base = u->values.n == 1 ? u->values.v[0].path : lw_path_of(0, 0, 0, 0, 0);
    if (ct == LW_CT_SENML_CBOR || ct == LW_CT_SENML_JSON)
        base = lw_path_of(0, 0, 0, 0, 0);
    enum err e = lw_encode(ct, base, &u->values, scratch);
    if (e)
        return e;
    oma_put_u(m, OMA_CT, ct);
    oma_put_s(m, OMA_PAYLOAD, str_make(scratch->p ? scratch->p : "", scratch->n));
    return ERR_OK;
}

static enum err put_up(const struct lw_uplink *u, struct buf *scratch, struct oma_map *m)
{
    static const uint8_t operation[] = {
        [LW_UP_REGISTER] = OMA_REGISTER,
        [LW_UP_UPDATE] = OMA_UPDATE,
        [LW_UP_DEREGISTER] = OMA_DEREGISTER,
        [LW_UP_NOTIFY] = OMA_NOTIFY,
        [LW_UP_SEND] = OMA_SEND,
        [LW_UP_BS_REQUEST] = OMA_BS_REQUEST,
        [LW_UP_BS_PACK] = OMA_BS_PACK,
        [LW_UP_BS_RESPONSE] = 0,
    };
    uint64_t token = 0;
    enum err e = oma_token_number(&u->token, &token);
    if (e)
        return e;
    oma_put_u(m, OMA_TOKEN, token);
    switch (u->kind) {
    case LW_UP_RESPONSE:
    case LW_UP_BS_RESPONSE:
        oma_put_u(m, OMA_RESULT, u->code);
        return put_content(u, scratch, m);
    case LW_UP_LOST: /* a word of the json dialect */
        return ERR_UNSUPPORTED;
    default:
        break;
    }
    oma_put_u(m, OMA_OPERATION, operation[u->kind]);
    if (u->kind == LW_UP_REGISTER || u->kind == LW_UP_UPDATE)
        return put_registration(u, scratch, m);
    if (u->kind == LW_UP_NOTIFY || u->kind == LW_UP_SEND)
        return put_content(u, scratch, m);
    if (u->kind == LW_UP_BS_REQUEST && u->pct != LW_CT_NONE)
        oma_put_u(m, OMA_PCT, u->pct);
    return ERR_OK;
}

enum err msg_oma_encode_up(const struct lw_uplink *u, struct buf *topic, struct buf *payload)
{
    struct oma_map m = {0};
    struct buf scratch;
    bool is_bs =
        u->kind == LW_UP_BS_REQUEST || u->kind == LW_UP_BS_PACK || u->kind == LW_UP_BS_RESPONSE;
    buf_init(&scratch, payload->limit);
    enum err e = put_up(u, &scratch, &m);
    if (!e) {
        oma_topic_write(topic, u->prefix, is_bs, u->endpoint);
        oma_write(payload, &m);
        e = topic->err ? topic->err : payload->err;
    }
    buf_fini(&scratch);
    return e;
}
