/* lwm2m_int.h - the inside of struct lw_client, shared by client.c, registration.c, request.c,
 * observe.c and values.c only.
 *
 * Invariants (lw_client_consistent checks them):
 *   - a pending request is in `pending` (by token) and in `due` (by deadline), or in neither;
 *   - an observation is in `obs` (in order of creation) and in `obs_by_token`;
 *   - an observation that is not active has a pending observe request of the same token, and the
 *     other way round: the two are made and unmade together;
 *   - without a registration there are no observations and nobody waits for an answer (only the
 *     cancels we send by ourselves may be under way). */
#ifndef BRAID_LWM2M_LWM2M_INT_H
#define BRAID_LWM2M_LWM2M_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "lwm2m/client.h"

#define LW_PENDING_MAX      256
#define LW_OBSERVATIONS_MAX 512
#define LW_LATE             8
#define LW_NEVER            UINT64_MAX

/* A request under way. */
struct lw_pending {
    struct heap_node due;
    struct lw_token token;
    uint64_t request_id;
    bool internal; /* a cancel of our own: nobody waits for its answer */
    enum lw_down op;
    struct lw_path *paths; /* what the answer is about; n 0: anything */
    size_t n_paths;
    struct lw_token observation; /* cancel: whose */
    bool has_created;            /* create that names its instance */
    struct lw_path created;
    struct lw_entries written; /* write: what the device has once it says 2.04 */
    struct arena kept;         /* holds paths and written */
};

/* A request that ended without its answer: the answer may still come. */
struct lw_late {
    struct lw_token token;
    enum lw_down op;
};

/* All that is asked of a client, and was. */
struct lw_talk {
    uint64_t rng[4];
    struct map pending;
    struct heap due;
    struct lw_observation **obs;
    size_t n_obs, cap_obs;
    struct map obs_by_token;
    struct lw_late *late; /* ring of LW_LATE; NULL: none yet */
    unsigned late_next;
    unsigned cancels;
    uint64_t cancels_since_mono; /* window of the throttle on our own cancels */
};

/* There may be very many clients, most of them never asked anything. */
struct lw_client {
    const struct lw_model *model;
    const struct lw_client_sink *sink;
    void *ctx; /* of the sink */
    struct words *words;
    struct lw_registration reg;
    uint64_t hold_expiry_mono_ms; /* the expiry is not declared before */
    uint64_t token_seed;
    struct lw_talk *talk;   /* NULL: nothing was asked yet */
    enum lw_dialect asking; /* dialect of the uplink being handled */
};

/* ---- client.c ---- */
/* lw_talk is for looking: an empty one while nothing was asked.  lw_talk_begin makes the client's
 * own, before anything is put into it. */
const struct lw_talk *lw_talk(const struct lw_client *c);
MUST_CHECK enum err lw_talk_begin(struct lw_client *c);
struct lw_token lw_token_new(struct lw_client *c);
__attribute__((format(printf, 4, 5))) void lw_anomaly(struct lw_client *c, enum err e,
                                                      struct moment now, const char *fmt, ...);
/* lw_ack makes the answer to an uplink; lw_refuse sends one with words and reports the anomaly. */
struct lw_downlink lw_ack(const struct lw_uplink *u, lw_code code);
void lw_refuse(struct lw_client *c, const struct lw_uplink *u, lw_code code, enum err e,
               const char *words, struct moment now);
/* True while every invariant above holds. */
bool lw_client_consistent(const struct lw_client *c);

/* ---- registration.c ---- */
void lw_on_register(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                    struct moment now);
void lw_on_update(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                  struct moment now);
void lw_on_deregister(struct lw_client *c, const struct lw_uplink *u, struct moment now);
void lw_expire_if_due(struct lw_client *c, struct moment now);
uint64_t lw_expiry_due(const struct lw_client *c);

/* ---- request.c ---- */
void lw_on_response(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                    struct moment now);
/* Tells the device to forget an observation we do not have (throttled; nobody waits for it). */
void lw_cancel_stray(struct lw_client *c, struct lw_token observation, struct moment now);
void lw_time_out(struct lw_client *c, struct moment now);
/* Ends every request as dropped. */
void lw_drop_all(struct lw_client *c, struct moment now);
void lw_pending_free_all(struct lw_client *c);

/* ---- observe.c ---- */
void lw_on_notify(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                  struct moment now);
/* lw_observation_add: a copy of the paths; not active.  ERR_FULL, ERR_EXISTS, ERR_NOMEM. */
MUST_CHECK enum err lw_observation_add(struct lw_client *c, struct lw_token token,
                                       const struct lw_path *paths, size_t n, bool composite,
                                       struct lw_observation **out);
struct lw_observation *lw_observation_of(const struct lw_client *c, struct lw_token token);
void lw_observation_confirm(struct lw_client *c, struct lw_observation *o, struct moment now);
/* Removes; tells the sink if it was active and `why` is given. */
void lw_observation_end(struct lw_client *c, struct lw_observation *o, const char *why,
                        struct moment now);
/* Ends the active ones; those still asked for end with their request. */
void lw_observations_end(struct lw_client *c, const char *why, struct moment now);

/* ---- values.c ---- */
/* lw_values_take gives the typed values of a message that lie under one of `bases` (n 0: anywhere).
 * Single bad values are left out and reported once; an error means nothing could be read. */
MUST_CHECK enum err lw_values_take(struct lw_client *c, struct arena *scratch,
                                   const struct lw_uplink *u, const struct lw_path *bases, size_t n,
                                   struct lw_entries *out, struct moment now);
/* Objects whose contents are secrets of the device and stay out of lists and values. */
bool lw_object_is_secret(uint16_t object);

#endif
