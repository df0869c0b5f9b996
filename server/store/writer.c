/* writer.c - see writer.h.
 *
 * What the thread holds is always in exactly one place: a queue (anybody puts, under `lock`), the
 * hand (taken, not yet safe), PostgreSQL, or the spool.  Work leaves the hand only when it is
 * committed or on disk; then, and only then, its completions are called.
 *
 *   down:    everything goes from the hand to the spool
 *   replay:  connected, but the spool still holds older work: new work goes behind it
 *   direct:  connected and the spool is empty: the hand goes to PostgreSQL
 *
 * A failed or unanswered commit turns direct into down with the hand still full; it is spooled and
 * later applied once more, which is harmless (statement.c, ingest_batch).  Connecting happens on a
 * second thread, because a server that hangs would otherwise hold up the spool.
 *
 * How far the queue of batches is filled says what happens:
 *
 *   0 ............ LOW ............ BEHIND ............ HIGH ............ BATCHES_MAX
 *                                  | to the spool, even with PostgreSQL there: it is slow
 *                                                      | pressed: whoever reads telemetry stops
 *                  | not pressed any more                                | refused
 */
#include "store/writer.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "port/crypto.h"
#include "store/dialer.h"
#include "store/hand.h"
#include "store/replay.h"
#include "store/spool.h"

#define PUTS_MAX         100000
#define BATCHES_MAX      256
#define BATCHES_HIGH     192
#define BATCHES_BEHIND   128
#define BATCHES_LOW      32
#define GROUP_SPACING_MS 4 /* at most, so that a busy state lane shares commits */
#define CHUNK_DUE        (4 * BATCH_SAMPLES)
#define HOLD_MS          100 /* how long samples wait for company */
#define STUCK_MS         100
#define HOUSEKEEPING_MS  3600000

struct writer {
    char *conninfo;
    struct metrics *metrics;
    struct thread thread;
    struct dialer *dialer;

    pthread_mutex_t lock;
    pthread_cond_t work, room; /* on the monotonic clock */
    struct put *puts, **puts_end;
    struct put_block *block; /* the newest of them lie in it */
    struct batch *batches, **batches_end;
    size_t n_puts, n_batches, n_samples;
    uint64_t oldest_batch_ms;
    bool closing;
    bool full_puts;   /* the spool has no room for statements either */
    bool full_chunks; /* neither PostgreSQL nor the spool takes samples */
    int64_t pressed_since_ms;
    _Atomic bool pressed;
    _Atomic bool wants_caches;
    struct pg *dialled; /* a fresh connection for the thread */
    bool up;
    int64_t since_ms;

    /* the writer's thread only (before it starts: writer_start) */
    struct pg *db;       /* NULL: down */
    struct spool *spool; /* NULL: none */
    struct hand hand;
    struct landing landing;
    uint64_t next_group_ms, next_housekeeping_ms;
    uint64_t retry_ms; /* when to try again what could not leave the hand */
};

static bool spool_pending(const struct writer *w)
{
    return w->spool && !spool_empty(w->spool);
}

/* ---- up and down ---- */

static void set_up(struct writer *w, bool up)
{
    pthread_mutex_lock(&w->lock);
    w->up = up;
    w->since_ms = clock_utc_ms();
    pthread_mutex_unlock(&w->lock);
    metric_set(w->metrics, M_DB_UP, up);
}

static void go_down(struct writer *w)
{
    if (!w->db)
        return;
    log_warn("store.down", KV("reason", pg_error(w->db)), KV("sqlstate", pg_sqlstate(w->db)));
    pg_close(w->db);
    w->db = NULL;
    set_up(w, false);
    if (w->dialer)
        dialer_lost(w->dialer);
}

static void go_up(struct writer *w, struct pg *db)
{
    w->db = db;
    landing_forget(&w->landing);
    set_up(w, true);
    w->next_housekeeping_ms = clock_mono_ms() + HOUSEKEEPING_MS;
    log_info("store.up", KI("spooled_bytes", w->spool ? spool_bytes(w->spool) : 0));
}

/* What something that was done over the connection says of it. */
static void judge(struct writer *w, enum err e)
{
    if (e)
        go_down(w);
    else if (w->dialer)
        dialer_worked(w->dialer);
}

/* On the dialer's thread. */
static void take_connection(void *ctx, struct pg *db)
{
    struct writer *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->dialled = db;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

/* ---- waiting ---- */

static void cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t deadline_ms)
{
    struct timespec t = {(time_t)(deadline_ms / 1000), (long)(deadline_ms % 1000) * 1000000};
    if (deadline_ms == UINT64_MAX)
        pthread_cond_wait(c, lock);
    else
        pthread_cond_timedwait(c, lock, &t);
}

/* ---- what is done with the hand ---- */

/* More waits than PostgreSQL seems to take. */
static bool is_behind(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool behind = w->n_batches >= BATCHES_BEHIND;
    pthread_mutex_unlock(&w->lock);
    return behind;
}

/* empty_hand brings what is in the hand to safety, statements first.  What it cannot bring there
 * stays in the hand. */
static void empty_hand(struct writer *w)
{
    struct hand *h = &w->hand;
    if (h->n_puts) /* a lonely statement holds up the next one, perhaps its own answer, least */
        w->next_group_ms =
            clock_mono_ms() + (h->n_puts < GROUP_SPACING_MS ? h->n_puts : GROUP_SPACING_MS);
    w->retry_ms = clock_mono_ms() + STUCK_MS;
    bool full = false, slow = w->spool && is_behind(w);
    if (h->n_puts && w->db && !spool_pending(w))
        judge(w, hand_puts_to_db(h, w->db));
    if (h->n_puts && w->spool)
        full = !hand_puts_to_spool(h, w->spool);
    /* a chunk may overtake statements: nothing in it refers to them */
    if (hand_has_chunk(h) && w->db && !spool_pending(w) && !slow)
        judge(w, hand_chunk_to_db(h, w->db, &w->landing));
    if (hand_has_chunk(h) && w->spool)
        hand_chunk_to_spool(h, w->spool);
    if (hand_has_chunk(h) && slow && w->db && !spool_pending(w)) /* but the disk is full */
        judge(w, hand_chunk_to_db(h, w->db, &w->landing));
    pthread_mutex_lock(&w->lock);
    w->full_puts = full;
    w->full_chunks = hand_has_chunk(h);
    pthread_mutex_unlock(&w->lock);
}

static void replay(struct writer *w)
{
    enum err e = replay_step(w->spool, w->db, w->metrics, &w->landing);
    judge(w, e);
    if (!e && spool_empty(w->spool))
        log_info("spool.drained");
}

/* ---- taking work ---- */

static bool batches_due(const struct writer *w, uint64_t now)
{
    return w->n_batches && (w->closing || w->n_batches >= CHUNK_BATCHES ||
                            w->n_samples >= CHUNK_DUE || now >= w->oldest_batch_ms + HOLD_MS);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When to look again, with the lock held; 0: at once. */
static uint64_t next_deadline(const struct writer *w, uint64_t now)
{
    uint64_t at = w->next_housekeeping_ms;
    if (w->dialled || w->closing || (w->db && spool_pending(w)))
        return 0;
    if (w->hand.puts || hand_has_chunk(&w->hand))
        at = earlier(at, w->retry_ms);
    if (w->db)
        at = earlier(at, landing_due(&w->landing));
    if (w->puts && !w->hand.puts)
        at = earlier(at, w->next_group_ms);
    if (w->n_batches && !hand_has_chunk(&w->hand))
        at = earlier(at, batches_due(w, now) ? 0 : w->oldest_batch_ms + HOLD_MS);
    return at;
}

static void wait_for_work(struct writer *w)
{
    for (;;) {
        uint64_t now = clock_mono_ms();
        uint64_t until = next_deadline(w, now);
        if (until <= now)
            return;
        cond_wait_until(&w->work, &w->lock, until);
    }
}

static void take_puts(struct writer *w)
{
    if (w->hand.puts || !w->puts)
        return;
    struct put **end = &w->puts;
    while (*end && w->hand.n_puts < HAND_PUTS) {
        end = &(*end)->next;
        w->hand.n_puts++;
    }
    w->hand.puts = w->puts;
    w->puts = *end;
    *end = NULL;
    w->n_puts -= w->hand.n_puts;
    if (!w->puts)
        w->puts_end = &w->puts;
}

static struct batch *take_batches(struct writer *w)
{
    struct batch *first = w->batches, **end = &w->batches;
    if (hand_has_chunk(&w->hand) || !batches_due(w, clock_mono_ms()))
        return NULL;
    int most = w->n_batches > 4 * CHUNK_BATCHES ? CHUNK_BATCHES_MAX : CHUNK_BATCHES;
    for (int i = 0; *end && i < most; i++) {
        w->n_batches--;
        w->n_samples -= (*end)->n + (*end)->n_text;
        end = &(*end)->next;
    }
    w->batches = *end;
    *end = NULL;
    if (!w->batches)
        w->batches_end = &w->batches;
    return first;
}

/* With the lock held: pressure begins at the high water and ends at the low one. */
static void set_pressed(struct writer *w)
{
    bool was = atomic_load(&w->pressed);
    bool is = was ? w->n_batches > BATCHES_LOW : w->n_batches >= BATCHES_HIGH;
    if (is == was)
        return;
    w->pressed_since_ms = clock_utc_ms();
    atomic_store(&w->pressed, is);
    if (is)
        log_warn("store.pressed", KI("batches", w->n_batches), KI("samples", w->n_samples),
                 KI("database_up", w->up), KI("spool_full", w->full_chunks));
    else
        log_info("store.relieved", KI("batches", w->n_batches));
}

/* collect waits for something to do and fills the hand; true when this is the end. */
static bool collect(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    wait_for_work(w);
    struct pg *fresh = w->dialled;
    w->dialled = NULL;
    take_puts(w);
    struct batch *list = take_batches(w);
    set_pressed(w);
    bool end = w->closing && !w->puts && !w->batches;
    metric_set(w->metrics, M_Q_STATE, (int64_t)w->n_puts);
    metric_set(w->metrics, M_Q_SAMPLES, (int64_t)w->n_samples);
    pthread_cond_broadcast(&w->room);
    pthread_mutex_unlock(&w->lock);
    if (fresh)
        go_up(w, fresh);
    if (list)
        hand_take_batches(&w->hand, list);
    return end;
}

static void keep_house(struct writer *w)
{
    uint64_t now = clock_mono_ms();
    if (w->db && landing_due(&w->landing) <= now && landing_turn(&w->landing, w->db, w->metrics) &&
        !pg_is_ok(w->db))
        go_down(w);
    if (now < w->next_housekeeping_ms)
        return;
    w->next_housekeeping_ms = now + HOUSEKEEPING_MS;
    if (!w->db || spool_pending(w))
        return;
    if (dialer_make_partitions(w->db) || landing_forget_numbers(w->db, w->hand.writer_id))
        log_warn("store.housekeeping", KV("reason", pg_error(w->db)));
}

static bool closing(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool yes = w->closing;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static void run(void *arg)
{
    struct writer *w = arg;
    for (bool end = false; !end;) {
        end = collect(w);
        if (w->hand.n_puts || hand_has_chunk(&w->hand))
            empty_hand(w);
        if (closing(w))
            hand_abandon(&w->hand);
        if (w->db && spool_pending(w) && !end && (hand_has_chunk(&w->hand) || !is_behind(w)))
            replay(w); /* what waits in memory goes to the disk first, if there is room */
        atomic_store(&w->wants_caches, w->db && !spool_pending(w));
        metric_set(w->metrics, M_SPOOL_BYTES, w->spool ? (int64_t)spool_bytes(w->spool) : 0);
        keep_house(w);
    }
}

/* ---- starting and stopping ---- */

static enum err init_sync(struct writer *w)
{
    pthread_condattr_t mono;
    if (pthread_condattr_init(&mono))
        return ERR_NOMEM;
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, &mono);
    pthread_cond_init(&w->room, &mono);
    pthread_condattr_destroy(&mono);
    return ERR_OK;
}

static void destroy(struct writer *w)
{
    assert(!w->puts && !w->batches);
    put_block_close(w->block);
    pg_close(w->db);
    pg_close(w->dialled);
    spool_close(w->spool);
    hand_fini(&w->hand);
    pthread_cond_destroy(&w->room);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w->conninfo);
    free(w);
}

static enum err init(struct writer *w, const struct config *c, struct recent *recent)
{
    uint64_t id = 0;
    w->puts_end = &w->puts;
    w->batches_end = &w->batches;
    w->since_ms = clock_utc_ms();
    w->next_housekeeping_ms = clock_mono_ms() + HOUSEKEEPING_MS;
    hand_init(&w->hand, w->metrics);
    landing_init(&w->landing, recent, c->history_slot_rows, c->history_slot_s);
    w->conninfo = strdup(c->db_conninfo);
    enum err e = w->conninfo ? ERR_OK : ERR_NOMEM;
    if (!e)
        e = crypto_random(&id, sizeof id);
    w->hand.writer_id = id & INT64_MAX;
    if (!e && c->data_dir[0])
        e = spool_open(c->data_dir, (uint64_t)c->spool_max_mb << 20, &w->spool);
    return e;
}

enum err writer_start(const struct config *c, struct metrics *m, struct recent *recent,
                      struct writer **out)
{
    struct pg *db = NULL;
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->metrics = m;
    enum err e = init_sync(w);
    if (e) {
        free(w);
        return e;
    }
    e = init(w, c, recent);
    if (e)
        goto out;
    if (dialer_connect(w->conninfo, 0, &db) == ERR_OK)
        go_up(w, db);
    while (w->db && spool_pending(w))
        replay(w);
    atomic_store(&w->wants_caches, w->db && !spool_pending(w));
    e = dialer_start(w->conninfo, m, take_connection, w, &w->dialer);
    if (!e && !w->db)
        dialer_lost(w->dialer);
    if (!e)
        e = thread_start(&w->thread, "writer", run, w);
    if (e)
        goto out;
    *out = w;
    w = NULL;
out:
    if (w)
        writer_stop(w);
    return e;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->work);
    pthread_cond_broadcast(&w->room);
    pthread_mutex_unlock(&w->lock);
    thread_join(&w->thread);
    dialer_stop(w->dialer);
    destroy(w);
}

/* ---- the other threads ---- */

enum err writer_put(struct writer *w, enum store_stmt s, const struct str *params, size_t n,
                    writer_done *done, void *ctx)
{
    enum err e = ERR_OK;
    struct put *p;
    pthread_mutex_lock(&w->lock);
    while (!w->closing && !w->full_puts && w->n_puts >= PUTS_MAX)
        pthread_cond_wait(&w->room, &w->lock);
    if (w->closing) {
        e = ERR_CLOSED;
    } else if (w->full_puts) {
        e = ERR_FULL;
    } else if (!(p = put_new_in(&w->block, s, params, n))) {
        e = ERR_NOMEM;
    } else {
        p->done = done;
        p->ctx = ctx;
        *w->puts_end = p;
        w->puts_end = &p->next;
        if (w->n_puts++ == 0)
            pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return e;
}

enum err writer_samples(struct writer *w, struct batch *b)
{
    enum err e = ERR_OK;
    int64_t rows = (int64_t)(b->n + b->n_text);
    pthread_mutex_lock(&w->lock);
    if (w->closing) {
        e = ERR_CLOSED;
    } else if (w->n_batches >= BATCHES_MAX) {
        e = ERR_FULL;
    } else {
        b->next = NULL;
        *w->batches_end = b;
        w->batches_end = &b->next;
        w->n_samples += (size_t)rows;
        if (w->n_batches++ == 0)
            w->oldest_batch_ms = clock_mono_ms();
        set_pressed(w);
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    if (!e)
        metric_add(w->metrics, M_SAMPLES_IN, rows);
    return e;
}

bool writer_wants_caches(const struct writer *w)
{
    return atomic_load(&w->wants_caches);
}

bool writer_is_pressed(const struct writer *w)
{
    return atomic_load(&w->pressed);
}

void writer_get_state(struct writer *w, struct writer_state *out)
{
    pthread_mutex_lock(&w->lock);
    *out = (struct writer_state){
        .up = w->up,
        .since_ms = w->since_ms,
        .spooled_bytes = w->spool ? spool_bytes(w->spool) : 0,
        .spooled_rows = w->spool ? spool_rows(w->spool) : 0,
        .queued_state = w->n_puts,
        .queued_batches = w->n_batches,
        .pressed = atomic_load(&w->pressed),
        .full = w->full_chunks,
        .pressed_since_ms = w->pressed_since_ms,
    };
    pthread_mutex_unlock(&w->lock);
}
