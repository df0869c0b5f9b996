/* live_outbox.c - what waits for one WebSocket client, per subscription, conflated and bounded.
 *
 * Shards push, the client's thread drains.  Invariants, all under the mutex:
 *  - `bytes` is the sum of the delta piles and never exceeds `limit`; `snap_bytes` the sum of the
 *    snapshot piles and never exceeds limit * LIVE_SNAPSHOT_FACTOR.
 *  - A queue with `overflowed` holds nothing: what is pushed meanwhile is dropped, because a new
 *    snapshot will be asked for and says it all.
 *  - Deltas of a queue wait while part of its snapshot waits: applied in the order of frames, the
 *    newest state wins.
 *  - Snapshots are counted: `asked` were requested, each is over when every shard has said `last`.
 *    A shard answers requests in order, so late parts of an older snapshot never end a newer one.
 *
 * Frames are written outside the lock from piles that were moved out under it. */
#include "live/live_int.h"
#include "live/live_pile.h"
#include "base/json_out.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue {
    struct queue *next;
    struct live_sub *sub;
    struct live_pile parts[LIVE_PARTS];
    struct live_pile snapshot;
    uint64_t ver;          /* snapshot and delta ops sent so far */
    uint64_t asked, lasts; /* see above */
    bool overflowed;
    bool done; /* the snapshot's end is to be told */
};

struct error_note {
    char id[65];
    const char *code, *detail; /* static */
};

struct live_outbox {
    atomic_uint refs;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool closed;
    struct queue *queues; /* in order of subscription */
    size_t n_queues;
    size_t limit, bytes, snap_bytes;
    uint64_t dropped;
    struct error_note errors[LIVE_MAX_ERRORS];
    size_t n_errors;
};

/* What one drain moved out of one queue. */
struct taken {
    struct live_sub *sub; /* a reference */
    uint64_t ver;
    bool resync, done;
    struct live_pile parts[LIVE_PARTS];
    struct live_pile snapshot;
};

static const char *const part_keys[LIVE_PARTS] = {
    [LIVE_DEVICES] = "devices",       [LIVE_VALUES] = "values",   [LIVE_EVENTS] = "events",
    [LIVE_COMMAND_PART] = "commands", [LIVE_REMOVED] = "removed",
};

struct live_outbox *live_outbox_new(size_t limit_bytes)
{
    struct live_outbox *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    atomic_init(&o->refs, 1);
    o->limit = limit_bytes;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->work, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

struct live_outbox *live_outbox_ref(struct live_outbox *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

static size_t delta_bytes(const struct queue *q)
{
    size_t n = 0;
    for (size_t i = 0; i < LIVE_PARTS; i++)
        n += q->parts[i].bytes;
    return n;
}

/* Drops what waits in a queue; returns how many fragments that were. */
static size_t queue_clear(struct live_outbox *o, struct queue *q)
{
    size_t n = 0;
    o->bytes -= delta_bytes(q);
    o->snap_bytes -= q->snapshot.bytes;
    for (size_t i = 0; i < LIVE_PARTS; i++)
        n += live_pile_clear(&q->parts[i]);
    return n + live_pile_clear(&q->snapshot);
}

static void queue_free(struct live_outbox *o, struct queue *q)
{
    queue_clear(o, q);
    live_sub_unref(q->sub);
    free(q);
}

void live_outbox_unref(struct live_outbox *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    while (o->queues) {
        struct queue *q = o->queues;
        o->queues = q->next;
        queue_free(o, q);
    }
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void live_outbox_close(struct live_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    o->closed = true;
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
}

/* The queue of a subscription, made at its first push; NULL when nothing is wanted any more. */
static struct queue *queue_of(struct live_outbox *o, const struct live_sub *s)
{
    if (o->closed || atomic_load_explicit(&live_box(s)->closed, memory_order_relaxed))
        return NULL;
    struct queue **at = &o->queues;
    for (; *at; at = &(*at)->next)
        if ((*at)->sub == s)
            return *at;
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->sub = live_sub_ref(&live_box(s)->sub);
    q->asked = 1;
    *at = q;
    o->n_queues++;
    return q;
}

static void overflow(struct live_outbox *o, struct queue *q)
{
    o->dropped += queue_clear(o, q);
    q->overflowed = true;
    q->done = false;
}

/* Makes room for `need` bytes of `q`: the largest subscriptions give way.  False when `q` itself
 * had to. */
static bool make_room(struct live_outbox *o, struct queue *q, size_t need)
{
    while (o->bytes + need > o->limit) {
        struct queue *largest = q;
        size_t most = delta_bytes(q) + need;
        for (struct queue *it = o->queues; it; it = it->next)
            if (delta_bytes(it) > most) {
                largest = it;
                most = delta_bytes(it);
            }
        overflow(o, largest);
        if (largest == q)
            return false;
    }
    return true;
}

/* A device's summary and its removal cancel each other: the later one is true. */
static void withdraw_opposite(struct live_outbox *o, struct queue *q, enum live_part part,
                              uint64_t key)
{
    struct live_pile *other = part == LIVE_DEVICES   ? &q->parts[LIVE_REMOVED]
                              : part == LIVE_REMOVED ? &q->parts[LIVE_DEVICES]
                                                     : NULL;
    if (!other || !key)
        return;
    o->bytes -= other->bytes;
    live_pile_withdraw(other, key);
    o->bytes += other->bytes;
}

void live_push(struct live_outbox *o, const struct live_sub *s, enum live_part part,
               struct live_frag *f, uint64_t key)
{
    pthread_mutex_lock(&o->lock);
    struct queue *q = queue_of(o, s);
    if (!q)
        goto out;
    if (q->overflowed || !make_room(o, q, f->n + LIVE_ITEM_COST)) {
        o->dropped++;
        pthread_cond_signal(&o->work);
        goto out;
    }
    withdraw_opposite(o, q, part, key);
    struct live_pile *p = &q->parts[part];
    o->bytes -= p->bytes;
    enum err e = live_pile_add(p, f, key);
    o->bytes += p->bytes;
    if (e) {
        o->dropped++;
        overflow(o, q);
    }
    pthread_cond_signal(&o->work);
out:
    pthread_mutex_unlock(&o->lock);
}

static void note_error(struct live_outbox *o, struct str id, const char *code, const char *detail)
{
    if (o->n_errors == LIVE_MAX_ERRORS)
        return;
    struct error_note *n = &o->errors[o->n_errors++];
    *n = (struct error_note){.code = code, .detail = detail};
    if (id.n)
        memcpy(n->id, id.p, id.n < sizeof n->id ? id.n : sizeof n->id - 1);
}

void live_push_error(struct live_outbox *o, struct str sub_id, const char *code, const char *detail)
{
    pthread_mutex_lock(&o->lock);
    note_error(o, sub_id, code, detail);
    pthread_cond_signal(&o->work);
    pthread_mutex_unlock(&o->lock);
}

/* Adds a part of a snapshot; a fleet too large for the outbox is said so once, not retried. */
static void snapshot_add(struct live_outbox *o, struct queue *q, struct live_frag *f)
{
    size_t need = f->n + LIVE_ITEM_COST;
    enum err e = ERR_FULL;
    if (o->snap_bytes + need <= o->limit * LIVE_SNAPSHOT_FACTOR) {
        o->snap_bytes -= q->snapshot.bytes;
        e = live_pile_add(&q->snapshot, f, 0);
        o->snap_bytes += q->snapshot.bytes;
    }
    if (!e)
        return;
    o->dropped++;
    note_error(o, str_of(q->sub->id), "snapshot_too_large",
               "The snapshot does not fit; subscribe to fewer devices.");
}

void live_push_snapshot(struct live_outbox *o, const struct live_sub *s, struct live_frag *devices,
                        bool last, unsigned shards)
{
    pthread_mutex_lock(&o->lock);
    struct queue *q = queue_of(o, s);
    if (!q)
        goto out;
    if (devices && q->overflowed)
        o->dropped++;
    else if (devices)
        snapshot_add(o, q, devices);
    if (last && ++q->lasts == q->asked * shards)
        q->done = !q->overflowed;
    pthread_cond_signal(&o->work);
out:
    pthread_mutex_unlock(&o->lock);
}

bool live_outbox_wants(struct live_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    bool wants = !o->closed && o->snap_bytes + LIVE_SNAPSHOT_SLICE <= LIVE_SNAPSHOT_FRAME;
    pthread_mutex_unlock(&o->lock);
    return wants;
}

void live_forget(struct live_outbox *o, const struct live_sub *s)
{
    pthread_mutex_lock(&o->lock);
    atomic_store_explicit(&live_box(s)->closed, true, memory_order_relaxed);
    for (struct queue **at = &o->queues; *at; at = &(*at)->next)
        if ((*at)->sub == s) {
            struct queue *q = *at;
            *at = q->next;
            o->n_queues--;
            queue_free(o, q);
            break;
        }
    pthread_mutex_unlock(&o->lock);
}

size_t live_outbox_bytes(struct live_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    size_t n = o->bytes + o->snap_bytes;
    pthread_mutex_unlock(&o->lock);
    return n;
}

uint64_t live_outbox_dropped(struct live_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    uint64_t n = o->dropped;
    pthread_mutex_unlock(&o->lock);
    return n;
}

static bool has_work(const struct live_outbox *o)
{
    if (o->n_errors || o->bytes || o->snap_bytes)
        return true;
    for (const struct queue *q = o->queues; q; q = q->next)
        if (q->overflowed || q->done)
            return true;
    return false;
}

static bool has_snapshot(const struct taken *t)
{
    return t->snapshot.bytes || t->done;
}

static bool has_delta(const struct taken *t)
{
    for (size_t i = 0; i < LIVE_PARTS; i++)
        if (t->parts[i].bytes)
            return true;
    return false;
}

/* Moves out of `q` what goes into this frame. */
static enum err take_queue(struct live_outbox *o, struct queue *q, struct taken *t)
{
    size_t before = q->snapshot.bytes;
    enum err e = live_pile_split(&q->snapshot, LIVE_SNAPSHOT_FRAME, &t->snapshot);
    if (e)
        return e;
    o->snap_bytes -= before - q->snapshot.bytes;
    bool all = q->snapshot.bytes == 0;
    if (all) {
        t->done = q->done;
        q->done = false;
        o->bytes -= delta_bytes(q);
        memcpy(t->parts, q->parts, sizeof t->parts);
        memset(q->parts, 0, sizeof q->parts);
    }
    t->ver = q->ver;
    q->ver += has_snapshot(t) + has_delta(t);
    return ERR_OK;
}

static void taken_free(struct taken *t)
{
    live_pile_clear(&t->snapshot);
    for (size_t i = 0; i < LIVE_PARTS; i++)
        live_pile_clear(&t->parts[i]);
    live_sub_unref(t->sub);
}

static void write_pile(struct json_out *j, const char *key, const struct live_pile *p)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].f)
            json_raw(j, str_make(p->v[i].f->text, p->v[i].f->n));
    json_close(j);
}

static void open_op(struct json_out *j, const char *op, const char *id)
{
    json_open(j, '{');
    json_put_text(j, "op", op);
    json_put_text(j, "id", id);
}

static void write_taken(struct json_out *j, const struct taken *t)
{
    if (t->resync) {
        open_op(j, "resync", t->sub->id);
        json_close(j);
    }
    if (has_snapshot(t)) {
        open_op(j, "snapshot", t->sub->id);
        json_put_u64(j, "ver", t->ver + 1);
        write_pile(j, "devices", &t->snapshot);
        json_put_bool(j, "done", t->done);
        json_close(j);
    }
    if (!has_delta(t))
        return;
    open_op(j, "delta", t->sub->id);
    json_put_u64(j, "ver", t->ver + has_snapshot(t) + 1);
    for (size_t i = 0; i < LIVE_PARTS; i++)
        if (t->parts[i].bytes)
            write_pile(j, part_keys[i], &t->parts[i]);
    json_close(j);
}

static void write_frame(struct buf *frame, const struct error_note *errors, size_t n_errors,
                        const struct taken *taken, size_t n_taken)
{
    struct json_out j;
    json_out_init(&j, frame);
    json_open(&j, '[');
    for (size_t i = 0; i < n_errors; i++) {
        open_op(&j, "error", errors[i].id);
        json_put_text(&j, "code", errors[i].code);
        json_put_text(&j, "detail", errors[i].detail);
        json_close(&j);
    }
    for (size_t i = 0; i < n_taken; i++)
        write_taken(&j, &taken[i]);
    json_close(&j);
}

/* Everything for one frame, under the lock. */
static enum err take_all(struct live_outbox *o, struct taken **out, size_t *n_out,
                         struct live_sub **resync, size_t *n_resync)
{
    struct taken *v = calloc(o->n_queues ? o->n_queues : 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    size_t n = 0;
    enum err e = ERR_OK;
    for (struct queue *q = o->queues; q && !e; q = q->next) {
        struct taken *t = &v[n++];
        t->sub = live_sub_ref(q->sub);
        if (q->overflowed && *n_resync < LIVE_MAX_RESYNC) {
            q->overflowed = false;
            q->asked++;
            t->resync = true;
            resync[(*n_resync)++] = live_sub_ref(q->sub);
        }
        e = take_queue(o, q, t);
    }
    *out = v;
    *n_out = n;
    return ERR_OK; /* without memory for a split, the rest waits for the next frame */
}

static bool wait_for_work(struct live_outbox *o, uint64_t deadline_ms)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    while (!o->closed && !has_work(o))
        if (pthread_cond_timedwait(&o->work, &o->lock, &until))
            break;
    return !o->closed && has_work(o);
}

bool live_drain(struct live_outbox *o, uint64_t deadline_ms, struct buf *frame,
                struct live_sub **resync, size_t *n_resync, bool *closed)
{
    struct error_note errors[LIVE_MAX_ERRORS];
    size_t n_errors = 0, n = 0;
    struct taken *taken = NULL;
    *n_resync = 0;
    pthread_mutex_lock(&o->lock);
    bool work = wait_for_work(o, deadline_ms);
    *closed = o->closed;
    if (work && !take_all(o, &taken, &n, resync, n_resync)) {
        n_errors = o->n_errors;
        memcpy(errors, o->errors, n_errors * sizeof *errors);
        o->n_errors = 0;
    }
    pthread_mutex_unlock(&o->lock);
    if (!taken)
        return false;
    write_frame(frame, errors, n_errors, taken, n);
    for (size_t i = 0; i < n; i++)
        taken_free(&taken[i]);
    free(taken);
    return true;
}
