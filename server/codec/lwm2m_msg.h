/* lwm2m_msg.h - what an LwM2M device and the server say to each other, free of any dialect.
 *
 * The dialects (msg_json, msg_oma) translate MQTT topic + payload to struct lw_uplink and struct
 * lw_downlink to MQTT topic + payload; the LwM2M engine knows only these two structs.  The
 * simulator uses the same translations the other way round.  All strings are borrowed from the
 * message or live in the arena given to the decoder. */
#ifndef BRAID_CODEC_LWM2M_MSG_H
#define BRAID_CODEC_LWM2M_MSG_H

#include "base/buf.h"
#include "codec/json_in.h"
#include "codec/lwm2m_content.h"
#include "codec/lwm2m_corelink.h"

/* Which dialect a device speaks. */
enum lw_dialect { LW_DIALECT_JSON, LW_DIALECT_OMA };

/* CoAP-style codes as class*100+detail: 201, 205, 404 (T section 8.5). */
typedef uint16_t lw_code;
#define LW_CREATED            201
#define LW_DELETED            202
#define LW_CHANGED            204
#define LW_CONTENT            205
#define LW_BAD_REQUEST        400
#define LW_UNAUTHORIZED       401
#define LW_FORBIDDEN          403
#define LW_NOT_FOUND          404
#define LW_NOT_ALLOWED        405
#define LW_NOT_ACCEPTABLE     406
#define LW_CONFLICT           409
#define LW_PRECONDITION       412
#define LW_TOO_LARGE          413
#define LW_UNSUPPORTED_FORMAT 415
#define LW_INTERNAL           500
#define LW_NOT_IMPLEMENTED    501
#define LW_UNAVAILABLE        503
static inline bool lw_code_ok(lw_code c)
{
    return c >= 200 && c < 300;
}
void lw_code_text(lw_code c, char out[8]); /* "2.05" */
/* lw_code_parse reads "2.05" or "205". */
MUST_CHECK enum err lw_code_parse(struct str text, lw_code *out);
const char *lw_code_phrase(lw_code c); /* "Not Found"; "" if unknown */

#define LW_TOKEN_MAX 32
/* A token as text: [A-Za-z0-9_-]{1,32}; in the oma dialect the decimal text of the uint. */
struct lw_token {
    char text[LW_TOKEN_MAX + 1]; /* "" = none */
};
bool lw_token_parse(struct str s, struct lw_token *out);

/* lw_endpoint_check: ERR_INVALID unless 1 to 64 bytes of UTF-8 without `+`, `#`, `/` and control
 * characters; ERR_DENIED for names that are never issued (rd, bs, STATE, braid-*). */
MUST_CHECK enum err lw_endpoint_check(struct str endpoint);

/* Device -> server. */
enum lw_up {
    LW_UP_REGISTER,
    LW_UP_UPDATE,
    LW_UP_DEREGISTER,
    LW_UP_NOTIFY, /* token: the observation's */
    LW_UP_SEND,
    LW_UP_RESPONSE, /* token: the request's; code */
    LW_UP_LOST,     /* MQTT will of devices without Sparkplug */
    LW_UP_BS_REQUEST,
    LW_UP_BS_PACK,
    LW_UP_BS_RESPONSE
};

struct lw_registration_fields {
    bool has_lifetime;
    uint32_t lifetime;                         /* s; 0 = infinite */
    struct str version, binding, sms, profile; /* .p NULL = not given */
    int queue_mode;                            /* -1 not given, 0, 1 */
    bool has_objects;                          /* links below hold the complete list */
    struct lw_links links; /* object list: from `links`, or made from `objects` */
};

struct lw_uplink {
    enum lw_up kind;
    struct str word; /* as the device wrote it ("upd"): the json answer goes to ack/{word} */
    struct str endpoint;
    struct str prefix; /* oma: what precedes /lwm2m/ in the topic; .p NULL if nothing */
    struct lw_token token;
    lw_code code;                      /* responses */
    struct lw_registration_fields reg; /* register, update */
    /* Content, at most one of the two forms; decoded later with the device's models: */
    unsigned ct;              /* LW_CT_NONE: none */
    struct str payload;       /* bytes in format ct */
    struct lw_entries values; /* json `values` / registration `objects`; types are those of the
                                 wire, not yet coerced; n = 0 if none */
    struct str error;         /* words of a failed response; .p NULL if none */
    bool has_created;         /* `path` of a Create answer */
    struct lw_path created;
    unsigned pct; /* bootstrap: preferred format, LW_CT_NONE if none */
};

/* Server -> device. */
enum lw_down {
    LW_DOWN_READ,
    LW_DOWN_DISCOVER,
    LW_DOWN_WRITE, /* replace */
    LW_DOWN_WRITE_UPDATE,
    LW_DOWN_WRITE_ATTRIBUTES,
    LW_DOWN_EXECUTE,
    LW_DOWN_CREATE,
    LW_DOWN_DELETE,
    LW_DOWN_READ_COMPOSITE,
    LW_DOWN_WRITE_COMPOSITE,
    LW_DOWN_OBSERVE,
    LW_DOWN_OBSERVE_COMPOSITE,
    LW_DOWN_CANCEL,
    LW_DOWN_ACK, /* answer to register, update, deregister, send, bs/req */
    LW_DOWN_COUNT
};

/* lw_down_has_path is false for composites, cancellations and acks. */
bool lw_down_has_path(enum lw_down op);

/* The operations' words in the json dialect and in sentences; both writes say "write". */
extern const char *const lw_down_words[LW_DOWN_COUNT];

/* Notification attributes (Core section 7.3); in json `null` unsets. */
enum lw_attr {
    LW_PMIN,
    LW_PMAX,
    LW_GT,
    LW_LT,
    LW_ST,
    LW_EPMIN,
    LW_EPMAX,
    LW_EDGE,
    LW_CON,
    LW_HQMAX,
    LW_ATTR_COUNT
};
struct lw_attrs {
    uint16_t set;   /* bit per enum lw_attr: a value is given */
    uint16_t unset; /* bit per enum lw_attr: to be removed */
    double v[LW_ATTR_COUNT];
};
extern const char *const lw_attr_words[LW_ATTR_COUNT];

struct lw_downlink {
    enum lw_down op;
    struct str prefix; /* oma: as in the device's uplinks */
    struct lw_token token;
    struct lw_path path;
    const struct lw_path *paths; /* composites */
    size_t n_paths;
    struct lw_entries values; /* write, create, write-composite (null value = remove) */
    unsigned ct;              /* preferred format for values/read; LW_CT_NONE: dialect's choice */
    struct str payload;       /* raw body instead of values (with ct); .p NULL if none */
    struct str args;          /* execute; .p NULL if none */
    int depth;                /* discover; -1 = default */
    bool has_instance;        /* create */
    uint16_t instance;
    struct lw_attrs attrs;
    struct lw_token observation; /* cancel: token of the observation */
    /* LW_DOWN_ACK: */
    enum lw_up ack_of;
    struct str ack_word; /* json topic word, e.g. "reg" */
    lw_code code;
    struct str error; /* .p NULL if none */
    bool has_lifetime;
    uint32_t lifetime;
};

/* ---- json dialect: topics lwm2m/{ep}/{word}[/...] (contracts section 1) ---- */

/* msg_json_decode understands what a device published.  `topic` is the whole topic.
 * ERR_NOTFOUND: not a topic of this dialect (or one the server itself publishes on);
 * ERR_DENIED: endpoint `rd` or `bs`, or `endpoint` in the body differs from the topic's;
 * others: malformed.  On failure out->kind, endpoint, word and token are still filled in as far as
 * they were understood (endpoint.p NULL if not), so that the refusal can be addressed. */
MUST_CHECK enum err msg_json_decode(struct arena *a, struct str topic, struct str payload,
                                    struct lw_uplink *out);
/* msg_json_encode writes topic (without leading slash) and payload of a downlink to `endpoint`.
 * ERR_UNSUPPORTED when the dialect cannot express it. */
MUST_CHECK enum err msg_json_encode(struct str endpoint, const struct lw_downlink *d,
                                    struct buf *topic, struct buf *payload);
/* The device's side of the same: read what the server sent, write what a device says. */
MUST_CHECK enum err msg_json_decode_down(struct arena *a, struct str topic, struct str payload,
                                         struct lw_typer typer, struct lw_downlink *out);
MUST_CHECK enum err msg_json_encode_up(const struct lw_uplink *u, struct buf *topic,
                                       struct buf *payload);

/* ---- oma dialect: CBOR maps on [PREFIX/]lwm2m/{rd,bs}/{ep} (T section 8) ---- */

/* Operations and members a device cannot mean are ERR_UNSUPPORTED with the token filled in, so that
 * the server can answer 501.  Values of a registration have no place in this dialect and stay
 * behind; other values go as SenML CBOR, or as text or opaque bytes when they are one resource of a
 * request that names it. */

/* msg_oma_decode: as msg_json_decode; ERR_NOTFOUND also for echoes of the server's own requests
 * and results meant for the device.  Both directions share the topic, so acks carry the uplink's
 * token and requests a server token: the caller drops responses whose token is not pending. */
MUST_CHECK enum err msg_oma_decode(struct arena *a, struct str topic, struct str payload,
                                   struct lw_uplink *out);
/* msg_oma_encode: ERR_UNSUPPORTED for lt, con, unset, Create without instance, ... (contracts
 * section 1, last paragraph). */
MUST_CHECK enum err msg_oma_encode(struct str endpoint, const struct lw_downlink *d,
                                   struct buf *topic, struct buf *payload);
MUST_CHECK enum err msg_oma_decode_down(struct arena *a, struct str topic, struct str payload,
                                        struct lw_typer typer, struct lw_downlink *out);
MUST_CHECK enum err msg_oma_encode_up(const struct lw_uplink *u, struct buf *topic,
                                      struct buf *payload);

#endif
