/* msg_oma_int.h - the one message of the oma dialect: a CBOR map with integer keys (T section
 * 8.7).  Private. */
#ifndef BRAID_CODEC_MSG_OMA_INT_H
#define BRAID_CODEC_MSG_OMA_INT_H

#include "codec/lwm2m_msg.h"

/* X(enumerator, key, kind): U unsigned, T text, B bytes, P payload (bytes, text taken too),
 * F number. */
#define OMA_KEY_TABLE(X)                                                                           \
    X(OMA_OPERATION, 1, 'U')                                                                       \
    X(OMA_TOKEN, 2, 'U')                                                                           \
    X(OMA_EP, 3, 'T')                                                                              \
    X(OMA_PCT, 4, 'U')                                                                             \
    X(OMA_URI, 5, 'T')                                                                             \
    X(OMA_PATHS, 6, 'B')                                                                           \
    X(OMA_PAYLOAD, 7, 'P')                                                                         \
    X(OMA_LIFETIME, 8, 'U')                                                                        \
    X(OMA_VERSION, 9, 'T')                                                                         \
    X(OMA_BINDING, 10, 'T')                                                                        \
    X(OMA_SMS, 11, 'T')                                                                            \
    X(OMA_PMIN, 12, 'U')                                                                           \
    X(OMA_PMAX, 13, 'U')                                                                           \
    X(OMA_GT, 14, 'F')                                                                             \
    X(OMA_ST, 15, 'F')                                                                             \
    X(OMA_EPMIN, 16, 'U')                                                                          \
    X(OMA_EPMAX, 17, 'U')                                                                          \
    X(OMA_RESULT, 18, 'U')                                                                         \
    X(OMA_CT, 19, 'U')                                                                             \
    X(OMA_EDGE, 20, 'U')                                                                           \
    X(OMA_HQMAX, 21, 'U')                                                                          \
    X(OMA_DEPTH, 22, 'U')

enum oma_key {
#define X(id, key, kind) id = key,
    OMA_KEY_TABLE(X)
#undef X
        OMA_KEY_END
};

enum oma_operation {
    OMA_BS_REQUEST = 0,
    OMA_BS_FINISH = 5,
    OMA_BS_PACK = 6, /* on bs */
    OMA_REGISTER = 6,
    OMA_UPDATE = 7,
    OMA_DEREGISTER = 8,
    OMA_READ = 9,
    OMA_READ_COMPOSITE = 10,
    OMA_DISCOVER = 11,
    OMA_WRITE = 12,
    OMA_WRITE_UPDATE = 13,
    OMA_WRITE_ATTRIBUTES = 14,
    OMA_WRITE_COMPOSITE = 15,
    OMA_EXECUTE = 16,
    OMA_CREATE = 17,
    OMA_DELETE = 18,
    OMA_OBSERVE = 20,
    OMA_OBSERVE_COMPOSITE = 21,
    OMA_CANCEL = 22,
    OMA_NOTIFY = 23,
    OMA_SEND = 24
};

struct oma_map {
    uint32_t has; /* bit per key */
    uint64_t u[OMA_KEY_END];
    double f[OMA_KEY_END];
    struct str s[OMA_KEY_END];
};

static inline bool oma_has(const struct oma_map *m, enum oma_key key)
{
    return m->has >> key & 1;
}
void oma_put_u(struct oma_map *m, enum oma_key key, uint64_t v);
void oma_put_f(struct oma_map *m, enum oma_key key, double v);
void oma_put_s(struct oma_map *m, enum oma_key key, struct str v); /* nothing if v.p is NULL */

/* oma_read takes a message apart, also out of an unprotected Outer_Wrapper; a protected one is
 * ERR_UNSUPPORTED.  It insists on a token and on exactly one of operation and result.  `m` holds
 * what was understood even on failure. */
MUST_CHECK enum err oma_read(struct arena *a, struct str payload, struct oma_map *m);
void oma_write(struct buf *out, const struct oma_map *m); /* keys ascending */

/* Topics: [PREFIX/]lwm2m/{rd|bs}/{ep}. */
struct oma_topic {
    struct str prefix, endpoint;
    bool is_bs;
};
MUST_CHECK enum err oma_topic_read(struct str topic, struct oma_topic *out);
void oma_topic_write(struct buf *out, struct str prefix, bool is_bs, struct str endpoint);

/* Between tokens as text and as number. */
void oma_token_text(uint64_t v, struct lw_token *out);
MUST_CHECK enum err oma_token_number(const struct lw_token *t, uint64_t *out);

/* Which of the twelve downlink operations an operation number is; false if none. */
bool oma_is_down(uint64_t operation, enum lw_down *out);
bool oma_operation_of(enum lw_down op, enum oma_operation *out);

/* Attributes that have a key. */
extern const uint8_t oma_attr_keys[LW_ATTR_COUNT]; /* 0: none */

#endif
