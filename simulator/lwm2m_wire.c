/* lwm2m_wire.c - see lwm2m_wire.h. */
#include "lwm2m_wire.h"

#define BODY_MAX ((size_t)1 << 20)

/* Registrations carry their values in the dialect's own way, and refusals have none. */
static bool has_body(const struct lw_uplink *u)
{
    bool answers = u->kind == LW_UP_RESPONSE || u->kind == LW_UP_NOTIFY || u->kind == LW_UP_SEND;
    return answers && !u->payload.p && (u->values.n || u->code == LW_CONTENT);
}

static enum err put_body(enum lw_dialect dialect, struct lw_uplink *u, struct lw_path base,
                         struct buf *body)
{
    bool json = dialect == LW_DIALECT_JSON;
    if (!has_body(u) || (json && u->pct == LW_CT_NONE))
        return ERR_OK;
    unsigned ct = u->pct != LW_CT_NONE ? u->pct : LW_CT_SENML_CBOR;
    if (lw_encode(ct, base, &u->values, body) != ERR_OK) {
        if (json)
            return ERR_OK; /* the plain form says it as well */
        buf_reset(body);
        ct = LW_CT_SENML_CBOR;
        enum err e = lw_encode(ct, base, &u->values, body);
        if (e)
            return e;
    }
    u->ct = ct;
    u->payload = buf_view(body);
    u->values = (struct lw_entries){0};
    return body->err;
}

enum err lwm2m_wire_encode(enum lw_dialect dialect, const struct lw_uplink *said,
                           struct lw_path base, struct buf *topic, struct buf *payload)
{
    struct lw_uplink u = *said;
    struct buf body;
    buf_init(&body, BODY_MAX);
    enum err e = put_body(dialect, &u, base, &body);
    u.pct = LW_CT_NONE;
    if (!e)
        e = dialect == LW_DIALECT_OMA ? msg_oma_encode_up(&u, topic, payload)
                                      : msg_json_encode_up(&u, topic, payload);
    buf_fini(&body);
    return e;
}

enum err lwm2m_wire_decode(enum lw_dialect dialect, struct arena *a, struct str topic,
                           struct str payload, struct lw_typer typer, struct lw_downlink *out)
{
    return dialect == LW_DIALECT_OMA ? msg_oma_decode_down(a, topic, payload, typer, out)
                                     : msg_json_decode_down(a, topic, payload, typer, out);
}
