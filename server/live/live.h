/* live.h - subscriptions and outboxes of live views (contracts section 7).
 *
 * Shards turn changes into fragments (a piece of JSON, made once, shared by reference count) and
 * drop them into the outbox of every subscriber that wants them; each WebSocket client's own
 * thread drains its outbox into one frame per tick.  An outbox holds at most `limit` bytes; when
 * full, everything of the largest subscription is dropped, counted, and that subscription is
 * marked for resync: the client gets {"op":"resync"} and then a new snapshot.
 *
 * live_table is owned by one shard (no lock).  live_outbox is shared by the shards and one client
 * thread (its own mutex, held for a few lines). */
#ifndef BRAID_LIVE_LIVE_H
#define BRAID_LIVE_LIVE_H

#include "base/buf.h"

enum live_topic { LIVE_FLEET, LIVE_DEVICE, LIVE_COMMANDS, LIVE_TIMELINE };
enum live_part {
    LIVE_DEVICES,
    LIVE_VALUES,
    LIVE_EVENTS,
    LIVE_COMMAND_PART,
    LIVE_REMOVED,
    LIVE_PARTS
};

/* A shared, immutable piece of JSON: one element, or several separated by commas. */
struct live_frag;
struct live_frag *live_frag_new(struct str json); /* one reference; NULL without memory */
struct live_frag *live_frag_ref(struct live_frag *f);
void live_frag_unref(struct live_frag *f); /* NULL is fine */

/* ---- outbox: one per WebSocket client ---- */
struct live_outbox;
struct live_outbox *live_outbox_new(size_t limit_bytes);
struct live_outbox *live_outbox_ref(struct live_outbox *o);
void live_outbox_unref(struct live_outbox *o);
/* live_outbox_close: no more pushes are taken, waiters wake. */
void live_outbox_close(struct live_outbox *o);

/* Limits beyond the caller's: what a snapshot may hold as a multiple of `limit_bytes` (a fleet is
 * larger than its changes), what goes into one frame of it, and errors waiting at once. */
#define LIVE_SNAPSHOT_FACTOR 16
#define LIVE_SNAPSHOT_FRAME  (1u << 20)
#define LIVE_SNAPSHOT_SLICE  (1u << 17) /* about what a shard adds to one at a time */
#define LIVE_MAX_ERRORS      64
#define LIVE_MAX_RESYNC      16 /* listed by one live_drain */

/* A subscription as the client named it. */
struct live_sub {
    char id[65];
    enum live_topic topic;
    struct str *endpoints; /* owned, each name once; n 0 = all */
    size_t n_endpoints;
    uint64_t serial; /* unique among living subscriptions: which subscribe this is */
};
/* live_sub_new copies; shared by reference between client and shards. */
struct live_sub *live_sub_new(struct str id, enum live_topic topic, const struct str *endpoints,
                              size_t n);
struct live_sub *live_sub_ref(struct live_sub *s);
void live_sub_unref(struct live_sub *s);

/* live_push_snapshot adds a shard's part of a snapshot; `last` when the shard is done.  The
 * snapshot is complete (done:true) when `shards` parts have said so. */
void live_push_snapshot(struct live_outbox *o, const struct live_sub *s, struct live_frag *devices,
                        bool last, unsigned shards);
/* live_outbox_wants: what waits of snapshots, and one slice more, goes into one frame.  A shard
 * that looks before each slice lets no more than that wait, and deltas do not wait for the whole.
 */
bool live_outbox_wants(struct live_outbox *o);
void live_push_error(struct live_outbox *o, struct str sub_id, const char *code,
                     const char *detail);
/* live_forget drops everything queued for a subscription (unsubscribe). */
void live_forget(struct live_outbox *o, const struct live_sub *s);

/* live_drain waits until something is queued or `deadline_ms` (monotonic) passes, then writes one
 * frame (a JSON array) and returns true; false: nothing (timeout) or closed (*closed).
 * Subscriptions that overflowed are listed in `resync` (references, at most 16): the caller asks
 * the shards for fresh snapshots. */
bool live_drain(struct live_outbox *o, uint64_t deadline_ms, struct buf *frame,
                struct live_sub **resync, size_t *n_resync, bool *closed);
size_t live_outbox_bytes(struct live_outbox *o);
/* live_outbox_dropped counts the fragments lost to overflows so far. */
uint64_t live_outbox_dropped(struct live_outbox *o);

/* ---- table: one per shard ---- */
struct live_table;
struct live_table *live_table_new(void);
void live_table_free(struct live_table *t);
MUST_CHECK enum err live_table_add(struct live_table *t, struct live_outbox *o, struct live_sub *s);
void live_table_remove(struct live_table *t, const struct live_sub *s);
void live_table_remove_outbox(struct live_table *t, const struct live_outbox *o);
/* live_wanted: bit mask of (1 << enum live_topic) somebody wants for this endpoint: build fragments
 * only for those. */
unsigned live_wanted(const struct live_table *t, struct str endpoint);
/* live_publish hands a fragment to every subscriber of `topic` that includes `endpoint`; of rows
 * that wait for one of them the newest of each endpoint is left. */
void live_publish(struct live_table *t, enum live_topic topic, struct str endpoint,
                  enum live_part part, struct live_frag *f);

#endif
