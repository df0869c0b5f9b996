/* writer.h - the one thread that writes: state first, telemetry second, spool when PostgreSQL is
 * away.
 *
 * Two lanes.  State lane: single statements from a constant table, grouped into one transaction per
 * at most 20 ms; a completion tells when the group is durable (committed, or fdatasync'ed to the
 * spool).  Telemetry lane: batches of samples, COPY BINARY, each batch once (ingest_batch).
 * While PostgreSQL is slow or away both go to the spool file, which is replayed in order; committed
 * batches are skipped, statements are idempotent.  A statement or row PostgreSQL refuses is set
 * aside with its reason (table poisoned) and never fails its group. */
#ifndef BRAID_STORE_WRITER_H
#define BRAID_STORE_WRITER_H

#include "base/str.h"
#include "config/config.h"
#include "metrics/metrics.h"

/* Statements of the state lane; text and parameter lists in statements.c.  X(id, name, n_params).
 * Times are Unix ms as decimal text; every statement may be executed twice without harm. */
#define STORE_STMT_TABLE(X)                                                                        \
    /* id, endpoint, spb_group|NULL, spb_node|NULL, created_ms */                                  \
    X(ST_DEVICE_PUT, "device_put", 5)                                                              \
    /* id: forgets the device and all that hangs on it */                                          \
    X(ST_DEVICE_DELETE, "device_delete", 1)                                                        \
    /* id, group, node */                                                                          \
    X(ST_DEVICE_NODE, "device_node", 3)                                                            \
    /* id, status, sentence, link, since_ms */                                                     \
    X(ST_DEVICE_STATUS, "device_status", 5)                                                        \
    X(ST_DEVICES_MISSED, "devices_missed", 3)                                                      \
    /* id, last_seen_ms, manufacturer|NULL, model|NULL, serial|NULL, firmware|NULL, fault|NULL */  \
    X(ST_DEVICE_SEEN, "device_seen", 7)                                                            \
    /* device_id, state, dialect, version, lifetime, binding, queue_mode, links, registered_ms,    \
       updated_ms, expires_ms|NULL */                                                              \
    X(ST_REGISTRATION_PUT, "registration_put", 11)                                                 \
    /* device_id, token, paths (text, blank separated), composite, since_ms */                     \
    X(ST_OBSERVATION_PUT, "observation_put", 5)                                                    \
    X(ST_OBSERVATION_DELETE, "observation_delete", 2) /* device_id, token */                       \
    X(ST_OBSERVATIONS_CLEAR, "observations_clear", 1) /* device_id */                              \
    /* device_id, life, bd_seq|NULL, born_ms|NULL, died_ms|NULL, conformant, rebirths,             \
       last_cause|NULL, last_cause_ms|NULL */                                                      \
    X(ST_NODE_PUT, "node_put", 9)                                                                  \
    /* device_id, name, life, born_ms|NULL, died_ms|NULL */                                        \
    X(ST_SUBDEVICE_PUT, "subdevice_put", 5)                                                        \
    /* id, device_id, source lwm2m|sparkplug, key (series key of the REST API), datatype,          \
       unit|NULL */                                                                                \
    X(ST_SERIES_PUT, "series_put", 6)                                                              \
    /* series_id, at_ms, value as JSON text, quality, source word */                               \
    X(ST_LATEST_PUT, "latest_put", 5)                                                              \
    /* device_id, [{"i":id,"s":source,"k":key,"d":datatype,"u":unit}, ...] */                      \
    X(ST_SERIES_MANY, "series_many", 2)                                                            \
    /* [{"i":series,"t":at_ms,"v":value,"q":quality,"o":source}, ...] */                           \
    X(ST_LATEST_MANY, "latest_many", 1)                                                            \
    /* device_id, at_ms, kind, strand, text, detail JSON|NULL */                                   \
    X(ST_TIMELINE_PUT, "timeline_put", 6)                                                          \
    /* identity, why, last_ms, messages since the last time */                                     \
    X(ST_UNKNOWN_SEEN, "unknown_seen", 4)                                                          \
    /* id, state, why|NULL, sent_ms|NULL, finished_ms|NULL, result JSON|NULL, token|NULL */        \
    X(ST_COMMAND_STATE, "command_state", 7)

enum store_stmt {
#define X(id, name, n) id,
    STORE_STMT_TABLE(X)
#undef X
        STORE_STMT_COUNT
};
#define STORE_MAX_PARAMS 11

/* One numeric sample.  Text samples travel beside them. */
struct sample {
    uint32_t series;
    uint8_t quality; /* 0 good, 1 bad, 2 stale, 3 null, 4 bad_time, +16 historical */
    int64_t ts_us;   /* UTC microseconds */
    double value;    /* NaN is stored as such */
};
struct text_sample {
    uint32_t series;
    uint8_t quality;
    int64_t ts_us;
    char kind; /* 't' text, 'j' JSON, 'b' bytes, 'n' null */
    uint32_t size;
    uint32_t offset; /* in the batch's bytes */
};

/* Called on the writer's thread once what it belongs to, and all before it, is durable. */
typedef void writer_done(void *ctx, enum err result);

/* A batch is filled by a shard and moved to the writer. */
#define BATCH_SAMPLES 4096
struct batch_done {
    struct batch_done *next;
    writer_done *call;
    void *ctx;
};
struct batch {
    struct batch *next;
    size_t n, n_text;
    uint64_t arrived_us; /* monotonic, of its oldest message, for the latency histogram; 0: none */
    struct sample v[BATCH_SAMPLES];
    struct text_sample *text; /* owned, capacity text_cap */
    size_t text_cap;
    char *bytes; /* owned: values of text samples */
    size_t bytes_n, bytes_cap;
    struct batch_done *done, *last_done; /* owned, in order */
};
struct batch *batch_new(void);    /* NULL without memory */
void batch_free(struct batch *b); /* its completions are told ERR_CLOSED */
/* batch_on_durable: `call` hears when the batch is committed or on disk, or of its loss. */
MUST_CHECK enum err batch_on_durable(struct batch *b, writer_done *call, void *ctx);
void batch_tell(struct batch_done *list, enum err result); /* calls and frees */
bool batch_add(struct batch *b, struct sample s);          /* false: full */
MUST_CHECK enum err batch_add_text(struct batch *b, uint32_t series, uint8_t quality, int64_t ts_us,
                                   char kind, struct str value); /* ERR_FULL, ERR_NOMEM */

struct recent;
struct writer;
/* writer_start replays a spool left by an earlier run (before it returns, if PostgreSQL is
 * reachable), then accepts work.  `data_dir` "" = no spool (only tests).  `recent` hears what
 * lands, and lives longer; it may be NULL. */
MUST_CHECK enum err writer_start(const struct config *c, struct metrics *m, struct recent *recent,
                                 struct writer **out);
/* writer_stop flushes both lanes to PostgreSQL or the spool, then joins and frees. */
void writer_stop(struct writer *w);

/* writer_put queues one statement; parameters are copied.  `done` may be NULL.  Any thread.  Waits
 * while 100,000 statements are queued (the spool makes that unlikely); ERR_CLOSED when stopping,
 * ERR_FULL when the spool is full and PostgreSQL away. */
MUST_CHECK enum err writer_put(struct writer *w, enum store_stmt s, const struct str *params,
                               size_t n, writer_done *done, void *ctx);
/* writer_wants_caches: latest values and last_seen have their place, PostgreSQL is there and
 * nothing older waits.  While not, keep them back: the newest is enough.  What comes all the same
 * goes to the spool only as long as that leaves alone the room kept for statements, and is dropped
 * and counted (braid_caches_dropped_total) else.  Any thread, cheap. */
bool writer_wants_caches(const struct writer *w);
/* writer_samples moves a batch in; on ERR_OK the writer owns it.  Never waits.  ERR_FULL (256
 * batches are queued: neither PostgreSQL nor the spool takes them) and ERR_CLOSED leave it with the
 * caller. */
MUST_CHECK enum err writer_samples(struct writer *w, struct batch *b);
/* writer_is_pressed: the queue of batches is filled to three quarters, and has not fallen to an
 * eighth since.  Who brings telemetry should stop reading it.  Any thread, cheap. */
bool writer_is_pressed(const struct writer *w);

struct writer_state {
    bool up;
    int64_t since_ms;
    uint64_t spooled_bytes, spooled_rows;
    size_t queued_state, queued_batches;
    bool pressed;             /* see writer_is_pressed */
    bool full;                /* samples wait that neither PostgreSQL nor the spool takes */
    int64_t pressed_since_ms; /* of `pressed`; 0: never */
};
void writer_get_state(struct writer *w, struct writer_state *out); /* any thread */

#endif
