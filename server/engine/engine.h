/* engine.h - the shards that own all live state, seen from the threads around them.
 *
 * Everything here may be called from any thread: it puts a message into the mailbox of the shard
 * that owns the device and, where an answer is wanted, waits for it. */
#ifndef BRAID_ENGINE_ENGINE_H
#define BRAID_ENGINE_ENGINE_H

#include "base/buf.h"
#include "command/command.h"
#include "config/config.h"
#include "live/live.h"
#include "lwm2m/model.h"
#include "metrics/metrics.h"
#include "store/writer.h"

struct engine;

struct engine_parts {
    const struct config *config;
    struct metrics *metrics;
    struct writer *writer;
    const struct lw_model *model;
};
/* engine_start loads durable state, starts the shards and then the two broker sessions. */
MUST_CHECK enum err engine_start(const struct engine_parts *parts, struct engine **out);
/* engine_stop: no new input; drains the mailboxes, writes last states, publishes the STATE death,
 * closes the broker sessions, joins the shards.  The writer is stopped afterwards by the caller. */
void engine_stop(struct engine *e);

/* ---- reading (each waits at most `wait_ms`; ERR_TIMEOUT then) ---- */

enum fleet_sort { FLEET_BY_ENDPOINT, FLEET_BY_LAST_SEEN, FLEET_BY_STATUS };

/* Which devices, in which order, from where on; everything is borrowed for the call. */
struct fleet_query {
    struct str search;   /* in lower case; in endpoint, manufacturer, model, serial or group */
    struct str statuses; /* words, comma between; .n 0: any */
    const uint64_t *ids; /* a bit for each device id that may be shown; NULL: any */
    size_t n_ids;        /* bits */
    enum fleet_sort sort;
    bool down;
    struct str after_endpoint; /* the row to go on after; .n 0: from the start */
    struct str after_status;   /* ... its status */
    int64_t after_last_seen_ms;
    size_t limit;
    bool bare; /* rows without json */
};

/* A copy of a device's list row; freed with the array. */
struct engine_row {
    char *endpoint;
    const char *status; /* static word */
    int64_t last_seen_ms;
    char *json; /* the device summary object */
    size_t json_n;
};
struct engine_rows {
    struct engine_row *v;
    size_t n;
    size_t total; /* that match, on whichever page */
};
/* engine_list gives the page of the whole fleet (all shards) that `q` asks for, in order. */
MUST_CHECK enum err engine_list(struct engine *e, const struct fleet_query *q, uint32_t wait_ms,
                                struct engine_rows *out);
void engine_rows_free(struct engine_rows *r);
/* engine_device writes the detail object; ERR_NOTFOUND. */
MUST_CHECK enum err engine_device(struct engine *e, struct str endpoint, uint32_t wait_ms,
                                  struct buf *json);
/* engine_fleet writes the GET /fleet object. */
MUST_CHECK enum err engine_fleet(struct engine *e, uint32_t wait_ms, struct buf *json);
/* engine_device_id: ERR_NOTFOUND; `sleeping` tells that a command would wait for the device. */
MUST_CHECK enum err engine_device_id(struct engine *e, struct str endpoint, uint32_t wait_ms,
                                     int64_t *id, bool *sleeping);
/* engine_forget removes a device; ERR_CONFLICT while its link is up. */
MUST_CHECK enum err engine_forget(struct engine *e, struct str endpoint, uint32_t wait_ms);

/* ---- whom to listen to ---- */

enum standing { STANDING_ACTIVE, STANDING_SUSPENDED, STANDING_RETIRED };
const char *standing_word(enum standing s);
bool standing_from(struct str word, enum standing *out);

/* engine_add makes the record of a device that was never heard; `words` open its timeline.
 * ERR_EXISTS; ERR_CONFLICT for a suspended or retired name; ERR_DENIED for one nobody may have. */
MUST_CHECK enum err engine_add(struct engine *e, struct str endpoint, const char *words,
                               uint32_t wait_ms);
/* engine_set_standing: from now on messages of a name that is not active are refused and counted,
 * whether there is a device of that name or not. */
MUST_CHECK enum err engine_set_standing(struct engine *e, struct str endpoint, enum standing s,
                                        const char *words, uint32_t wait_ms);
/* engine_note puts a line about credentials on the device's timeline; ERR_NOTFOUND. */
MUST_CHECK enum err engine_note(struct engine *e, struct str endpoint, const char *words,
                                uint32_t wait_ms);

struct engine_health {
    bool sparkplug_up, lwm2m_up, database_up;
    bool telemetry_paused;  /* Sparkplug messages are not read: samples can be stored nowhere */
    bool telemetry_refused; /* they are read, and samples that do not fit are refused */
};
void engine_get_health(struct engine *e, struct engine_health *out);

/* Sets the gauges nobody keeps up to date while they are not looked at: the shards' mailboxes.
 * From any thread. */
void engine_measure(struct engine *e);
const struct lw_model *engine_model(const struct engine *e);

/* ---- commands ---- */

/* engine_command tells the shard that command `id` was committed; `request` is its JSON text, `by`
 * who asked for it.
 * Never refused for want of room (the row exists); ERR_CLOSED while stopping. */
MUST_CHECK enum err engine_command(struct engine *e, struct str endpoint, struct str id,
                                   struct str request, struct str by, int64_t created_ms);
/* engine_command_wait parks until the command reaches a final state, or `observed`-pending states
 * end, or wait_ms passes (ERR_TIMEOUT).  Call engine_waiter_new before engine_command so that no
 * answer is missed. On ERR_OK the command object's state, why and result are in *out (JSON of the
 * members "state","why","sent_at","finished_at","result"). */
struct engine_waiter;
struct engine_waiter *engine_waiter_new(struct engine *e, struct str command_id);
MUST_CHECK enum err engine_waiter_wait(struct engine_waiter *w, uint32_t wait_ms,
                                       enum cmd_state *state, struct buf *members);
void engine_waiter_free(struct engine_waiter *w);
/* engine_command_cancel: ERR_CONFLICT when it is past queued. */
MUST_CHECK enum err engine_command_cancel(struct engine *e, struct str endpoint, struct str id,
                                          uint32_t wait_ms);

/* ---- live views ---- */
/* engine_subscribe adds `s` to all shards concerned; each answers with its part of a snapshot. */
MUST_CHECK enum err engine_subscribe(struct engine *e, struct live_outbox *o, struct live_sub *s);
/* engine_resnapshot: the same without adding (after an overflow). */
MUST_CHECK enum err engine_resnapshot(struct engine *e, struct live_outbox *o, struct live_sub *s);
void engine_unsubscribe(struct engine *e, struct live_outbox *o, struct live_sub *s);
/* engine_leave removes the outbox everywhere and returns when no shard holds it any more. */
void engine_leave(struct engine *e, struct live_outbox *o);

#endif
