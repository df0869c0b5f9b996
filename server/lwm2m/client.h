/* client.h - the server's picture of one LwM2M client: registration, requests, observations.
 *
 * A sans-I/O state machine owned by one shard: uplinks, requests and time go in, effects come out
 * through the sink (called synchronously, while the call runs; the sink must not call back into
 * the client except where said).  It never sees topics or bytes of a dialect.
 *
 *   registration:  none -> registered -> (expired | deregistered) -> registered ...
 *   request:       waiting -> (answered | timed out | dropped)
 *   observation:   asked -> active -> (cancelled | lost with the registration) */
#ifndef BRAID_LWM2M_CLIENT_H
#define BRAID_LWM2M_CLIENT_H

#include "base/clock.h"
#include "base/words.h"
#include "codec/lwm2m_msg.h"
#include "lwm2m/model.h"

enum lw_reg_state { LW_REG_NONE, LW_REG_REGISTERED, LW_REG_EXPIRED, LW_REG_DEREGISTERED };
const char *lw_reg_state_word(enum lw_reg_state s);

/* What is known of the registration; strings owned by the client, "" when unknown. */
struct lw_registration {
    int64_t registered_ms, updated_ms; /* UTC; updated: last word of the device about it */
    int64_t expires_ms;                /* UTC; 0 = never */
    uint64_t expires_mono_ms;          /* UINT64_MAX = never */
    const char *links;                 /* object list in link format, as last given; NULL if none */
    uint32_t lifetime;                 /* s; 0 = infinite */
    uint8_t state, dialect;            /* enum lw_reg_state, enum lw_dialect */
    bool queue_mode;
    char version[8];
    char binding[16];
};

enum lw_source { LW_SRC_REGISTRATION, LW_SRC_READ, LW_SRC_NOTIFY, LW_SRC_SEND, LW_SRC_WRITE };
const char *lw_source_word(enum lw_source s);

enum lw_client_event {
    LW_EV_REGISTERED,
    LW_EV_REREGISTERED, /* a second Register: old registration and observations dropped */
    LW_EV_UPDATED,
    LW_EV_DEREGISTERED,
    LW_EV_EXPIRED,
    LW_EV_LOST /* device's `lost` will */
};

/* The end of a request. */
enum lw_outcome { LW_ANSWERED, LW_TIMED_OUT, LW_DROPPED /* registration ended, restart */ };
struct lw_answer {
    uint64_t request_id; /* as given to lw_client_request */
    enum lw_outcome outcome;
    enum lw_down op;
    lw_code code;                 /* LW_ANSWERED */
    struct lw_entries values;     /* decoded and typed */
    const struct lw_links *links; /* discover; NULL if none */
    struct str error; /* words of the device, or (code 2.xx) that its answer was unreadable */
    bool has_created;
    struct lw_path created;
    struct lw_token token; /* the request's; an observation's name */
};

struct lw_observation {
    struct lw_token token;
    struct lw_path *paths; /* n == 1 for a plain observation */
    size_t n_paths;
    bool composite, active; /* false: asked, not yet confirmed */
    int64_t since_ms, last_notify_ms;
    uint64_t notifies;
};

struct lw_client;
/* Effects of a client; `ctx` is what lw_client_new was given. */
struct lw_client_sink {
    /* Publish `d` to the device, in the dialect lw_client_registration names during the call (for
     * a refusal that is the dialect of the question).  ERR_UNSUPPORTED: the dialect cannot say it.
     */
    enum err (*send)(void *ctx, const struct lw_downlink *d);
    /* Registration changed; persist it and only then publish `ack` (NULL: nothing to answer, as
     * for expiry and LW_EV_LOST, which changes nothing by itself).  `ack` must be copied if kept.
     * Requests and observations that end with the old registration are told before this. */
    void (*registration)(void *ctx, enum lw_client_event ev, const struct lw_downlink *ack,
                         struct moment now);
    /* Values of the device, wherever they came from; those of an answer are told before `answer`:
     * a read's as LW_SRC_READ, the first of an observation as LW_SRC_NOTIFY, and what a write that
     * succeeded has written as LW_SRC_WRITE. */
    void (*values)(void *ctx, const struct lw_entries *values, enum lw_source source,
                   struct moment now);
    void (*answer)(void *ctx, const struct lw_answer *a, struct moment now);
    /* An observation started (active) or ended (`ended` words, NULL while it lives). */
    void (*observation)(void *ctx, const struct lw_observation *o, const char *ended,
                        struct moment now);
    /* Something malformed or unexpected: counted and shown on the timeline. */
    void (*anomaly)(void *ctx, enum err e, const char *words, struct moment now);
};

/* lw_client_new: `model`, `words` (the object lists of like devices are one) and `sink` must
 * outlive the client; token_seed makes its tokens unguessable and unique.  NULL without memory.
 * lw_client_free tells the sink nothing. */
struct lw_client *lw_client_new(const struct lw_model *model, struct words *words,
                                const struct lw_client_sink *sink, void *ctx, uint64_t token_seed);
void lw_client_free(struct lw_client *c);

const struct lw_registration *lw_client_registration(const struct lw_client *c);

/* lw_client_restore puts back a registration read from the database at start (no effects);
 * expires_ms counts, r->expires_mono_ms is not looked at.  `r` is copied. */
MUST_CHECK enum err lw_client_restore(struct lw_client *c, const struct lw_registration *r,
                                      struct moment now);
/* ... and an observation the device still has. */
MUST_CHECK enum err lw_client_restore_observation(struct lw_client *c, struct lw_token token,
                                                  const struct lw_path *paths, size_t n,
                                                  bool composite, int64_t since_ms);

/* lw_client_uplink takes one decoded message of this endpoint.  All refusals are answered through
 * sink->send (an ack with code and words) and reported as anomaly. */
void lw_client_uplink(struct lw_client *c, enum lw_dialect dialect, const struct lw_uplink *u,
                      struct arena *scratch, struct moment now);

/* lw_client_request sends a request: fills in the token (an observe's token names its notifies) and
 * remembers it until the answer or the deadline.  On ERR_OK *token (may be NULL) tells the token
 * and sink->answer will be called exactly once later.  ERR_UNSUPPORTED: not expressible in the
 * device's dialect; ERR_FULL: too many pending (256) or observed (512); ERR_CLOSED: not registered;
 * cancel: ERR_NOTFOUND for an observation we do not have, ERR_CONFLICT for one that is not active
 * yet or is being cancelled; and what sink->send returned. */
MUST_CHECK enum err lw_client_request(struct lw_client *c, uint64_t request_id,
                                      struct lw_downlink *d, uint32_t timeout_ms, struct moment now,
                                      struct lw_token *token);
/* lw_client_drop ends a pending request without an answer callback (cancelled command). */
void lw_client_drop(struct lw_client *c, uint64_t request_id);

/* lw_client_deadline: next monotonic ms at which lw_client_tick must be called; UINT64_MAX: none.
 */
uint64_t lw_client_deadline(const struct lw_client *c);
void lw_client_tick(struct lw_client *c, struct moment now);
/* lw_client_hold_expiry: do not declare the registration expired before `until_mono_ms`, because
 * updates may wait where we cannot see them. */
void lw_client_hold_expiry(struct lw_client *c, uint64_t until_mono_ms);

/* Observations, for rendering: index 0..n-1, order of creation. */
size_t lw_client_observations(const struct lw_client *c);
const struct lw_observation *lw_client_observation(const struct lw_client *c, size_t i);
const struct lw_observation *lw_client_observation_find(const struct lw_client *c,
                                                        struct str token);
/* True when an active observation covers `path`. */
bool lw_client_observes(const struct lw_client *c, struct lw_path path);
size_t lw_client_pending(const struct lw_client *c);

#endif
