/* msg_oma.c - the oma dialect (LwM2M 1.2 Transport section 8) as the server speaks it.
 *
 * Both directions share one topic, so what the server published comes back to it: requests are
 * told by their operation, results by a token the caller never sent.  Everything the map has no
 * key for is refused rather than left out: a device must not get half a request. */
#include "codec/codec_int.h"
#include "codec/lwm2m_senml_cbor.h"
#include "codec/msg_oma_int.h"

/* ---- device -> server ---- */

static enum err read_registration(struct arena *a, const struct oma_map *m, struct lw_uplink *out)
{
    struct lw_registration_fields *reg = &out->reg;
    if (oma_has(m, OMA_LIFETIME)) {
        if (m->u[OMA_LIFETIME] > UINT32_MAX)
            return ERR_RANGE;
        reg->has_lifetime = true;
        reg->lifetime = (uint32_t)m->u[OMA_LIFETIME];
    }
    reg->version = m->s[OMA_VERSION];
    reg->binding = m->s[OMA_BINDING];
    reg->sms = m->s[OMA_SMS];
    if (!oma_has(m, OMA_PAYLOAD))
        return ERR_OK;
    reg->has_objects = true;
    return lw_links_parse(a, m->s[OMA_PAYLOAD], &reg->links);
}

static enum err read_content(const struct oma_map *m, struct lw_uplink *out)
{
    if (oma_has(m, OMA_CT)) {
        if (m->u[OMA_CT] >= LW_CT_NONE)
            return ERR_RANGE;
        out->ct = (unsigned)m->u[OMA_CT];
    }
    out->payload = m->s[OMA_PAYLOAD];
    return ERR_OK;
}

static enum err read_result(const struct oma_map *m, bool is_bs, struct lw_uplink *out)
{
    uint64_t code = m->u[OMA_RESULT];
    out->kind = is_bs ? LW_UP_BS_RESPONSE : LW_UP_RESPONSE;
    if (code < 200 || code > 599 || code % 100 > 31)
        return ERR_RANGE;
    out->code = (lw_code)code;
    return read_content(m, out);
}

static enum err read_bootstrap(const struct oma_map *m, struct lw_uplink *out)
{
    uint64_t operation = m->u[OMA_OPERATION];
    if (operation > OMA_BS_REQUEST && operation <= OMA_BS_FINISH)
        return ERR_NOTFOUND; /* a server's */
    if (operation != OMA_BS_REQUEST && operation != OMA_BS_PACK)
        return ERR_UNSUPPORTED;
    out->kind = operation == OMA_BS_PACK ? LW_UP_BS_PACK : LW_UP_BS_REQUEST;
    if (oma_has(m, OMA_PCT)) {
        if (m->u[OMA_PCT] >= LW_CT_NONE)
            return ERR_RANGE;
        out->pct = (unsigned)m->u[OMA_PCT];
    }
    return ERR_OK;
}

static enum err read_request(struct arena *a, const struct oma_map *m, struct lw_uplink *out)
{
    uint64_t operation = m->u[OMA_OPERATION];
    enum lw_down echo;
    switch (operation) {
    case OMA_REGISTER:
        out->kind = LW_UP_REGISTER;
        return read_registration(a, m, out);
    case OMA_UPDATE:
        out->kind = LW_UP_UPDATE;
        return read_registration(a, m, out);
    case OMA_DEREGISTER:
        out->kind = LW_UP_DEREGISTER;
        return ERR_OK;
    case OMA_NOTIFY:
        out->kind = LW_UP_NOTIFY;
        return read_content(m, out);
    case OMA_SEND:
        out->kind = LW_UP_SEND;
        return read_content(m, out);
    default:
        if (oma_is_down(operation, &echo))
            return ERR_NOTFOUND;
        return operation <= OMA_BS_FINISH ? ERR_INVALID : ERR_UNSUPPORTED;
    }
}

enum err msg_oma_decode(struct arena *a, struct str topic, struct str payload,
                        struct lw_uplink *out)
{
    struct oma_topic t;
    struct oma_map m;
    *out = (struct lw_uplink){.ct = LW_CT_NONE, .pct = LW_CT_NONE, .reg.queue_mode = -1};
    enum err e = oma_topic_read(topic, &t);
    if (e == ERR_OK || e == ERR_DENIED) {
        out->endpoint = t.endpoint;
        out->prefix = t.prefix;
    }
    if (e)
        return e;
    e = oma_read(a, payload, &m);
    if (oma_has(&m, OMA_TOKEN))
        oma_token_text(m.u[OMA_TOKEN], &out->token);
    if (e)
        return e;
    if (oma_has(&m, OMA_EP) && !str_eq(m.s[OMA_EP], t.endpoint))
        return ERR_DENIED;
    if (oma_has(&m, OMA_RESULT))
        return read_result(&m, t.is_bs, out);
    return t.is_bs ? read_bootstrap(&m, out) : read_request(a, &m, out);
}

/* ---- server -> device ---- */

static enum err put_attributes(const struct lw_attrs *attrs, struct oma_map *m)
{
    if (attrs->unset)
        return ERR_UNSUPPORTED;
    for (unsigned i = 0; i < LW_ATTR_COUNT; i++) {
        if (!(attrs->set & 1u << i))
            continue;
        if (!oma_attr_keys[i])
            return ERR_UNSUPPORTED;
        if (i == LW_GT || i == LW_ST)
            oma_put_f(m, (enum oma_key)oma_attr_keys[i], attrs->v[i]);
        else if (attrs->v[i] < 0 || attrs->v[i] > UINT32_MAX)
            return ERR_RANGE;
        else
            oma_put_u(m, (enum oma_key)oma_attr_keys[i], (uint64_t)attrs->v[i]);
    }
    return ERR_OK;
}

/* The format for values when the caller has no wish: one resource as text or bytes, removals as a
 * patch, all else as SenML CBOR. */
static unsigned choose_ct(const struct lw_downlink *d)
{
    const struct lw_entries *v = &d->values;
    if (d->ct != LW_CT_NONE)
        return d->ct;
    if (v->n == 1 && d->path.n >= 3 && lw_path_eq(v->v[0].path, d->path) &&
        v->v[0].value.type != LW_NONE)
        return v->v[0].value.type == LW_OPAQUE ? LW_CT_OPAQUE : LW_CT_TEXT;
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].value.type == LW_NONE)
            return LW_CT_ETCH_CBOR;
    return LW_CT_SENML_CBOR;
}

static enum err put_body(const struct lw_downlink *d, struct buf *scratch, struct oma_map *m)
{
    if (d->payload.p) {
        oma_put_u(m, OMA_CT, d->ct == LW_CT_NONE ? LW_CT_OPAQUE : d->ct);
        oma_put_s(m, OMA_PAYLOAD, d->payload);
        return ERR_OK;
    }
    unsigned ct = choose_ct(d);
    enum err e = lw_encode(ct, d->path, &d->values, scratch);
    if (e)
        return e;
    oma_put_u(m, OMA_CT, ct);
    oma_put_s(m, OMA_PAYLOAD, str_make(scratch->p ? scratch->p : "", scratch->n));
    return ERR_OK;
}

static enum err put_paths(const struct lw_downlink *d, struct buf *scratch, struct oma_map *m)
{
    if (d->ct != LW_CT_NONE) /* there is no Accept */
        return ERR_UNSUPPORTED;
    senml_paths_write(scratch, d->paths, d->n_paths);
    oma_put_s(m, OMA_PATHS, buf_view(scratch));
    return scratch->err;
}

static enum err put_members(const struct lw_downlink *d, struct buf *scratch, struct oma_map *m)
{
    switch (d->op) {
    case LW_DOWN_READ:
        return d->ct == LW_CT_NONE ? ERR_OK : ERR_UNSUPPORTED;
    case LW_DOWN_OBSERVE: /* attributes of an observation have no keys here */
        return d->ct == LW_CT_NONE && !d->attrs.set && !d->attrs.unset ? ERR_OK : ERR_UNSUPPORTED;
    case LW_DOWN_DISCOVER:
        if (d->depth >= 0)
            oma_put_u(m, OMA_DEPTH, (uint64_t)d->depth);
        return ERR_OK;
    case LW_DOWN_WRITE_ATTRIBUTES:
        return put_attributes(&d->attrs, m);
    case LW_DOWN_EXECUTE:
        oma_put_s(m, OMA_PAYLOAD, d->args);
        return ERR_OK;
    case LW_DOWN_CREATE: /* an answer cannot name the instance, so the request has to */
        return d->has_instance ? put_body(d, scratch, m) : ERR_UNSUPPORTED;
    case LW_DOWN_WRITE:
    case LW_DOWN_WRITE_UPDATE:
    case LW_DOWN_WRITE_COMPOSITE:
        return put_body(d, scratch, m);
    case LW_DOWN_READ_COMPOSITE:
    case LW_DOWN_OBSERVE_COMPOSITE:
        return put_paths(d, scratch, m);
    default:
        return ERR_OK;
    }
}

static enum err build_request(const struct lw_downlink *d, char uri[LW_PATH_TEXT],
                              struct buf *scratch, struct oma_map *m)
{
    enum oma_operation operation;
    uint64_t token = 0;
    if (!oma_operation_of(d->op, &operation))
        return ERR_UNSUPPORTED;
    /* A cancellation carries the token of what it cancels. */
    enum err e = oma_token_number(d->op == LW_DOWN_CANCEL ? &d->observation : &d->token, &token);
    if (e)
        return e;
    oma_put_u(m, OMA_OPERATION, operation);
    oma_put_u(m, OMA_TOKEN, token);
    if (lw_down_has_path(d->op))
        oma_put_s(m, OMA_URI, str_make(uri, lw_path_text(d->path, uri)));
    return put_members(d, scratch, m);
}

static enum err build_ack(const struct lw_downlink *d, struct oma_map *m)
{
    uint64_t token = 0;
    enum err e = oma_token_number(&d->token, &token);
    if (e)
        return e;
    oma_put_u(m, OMA_TOKEN, token);
    oma_put_u(m, OMA_RESULT, d->code);
    if (d->payload.p) {
        oma_put_u(m, OMA_CT, d->ct);
        oma_put_s(m, OMA_PAYLOAD, d->payload);
    }
    return ERR_OK;
}

enum err msg_oma_encode(struct str endpoint, const struct lw_downlink *d, struct buf *topic,
                        struct buf *payload)
{
    struct oma_map m = {0};
    char uri[LW_PATH_TEXT];
    struct buf scratch;
    buf_init(&scratch, payload->limit);
    bool ack = d->op == LW_DOWN_ACK;
    bool is_bs = ack && (d->ack_of == LW_UP_BS_REQUEST || d->ack_of == LW_UP_BS_PACK);
    enum err e = ack ? build_ack(d, &m) : build_request(d, uri, &scratch, &m);
    if (!e) {
        oma_topic_write(topic, d->prefix, is_bs, endpoint);
        oma_write(payload, &m);
        e = topic->err ? topic->err : payload->err;
    }
    buf_fini(&scratch);
    return e;
}
