/* dialer.c - see dialer.h. */
#include "store/dialer.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#define TIMEOUT_MIN_MS 5000
#define TIMEOUT_MAX_MS 160000
#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 2000

struct dialer {
    const char *conninfo;
    struct metrics *metrics;
    dialer_ready *ready;
    void *ctx;
    struct thread thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    bool wanted, stopping;
    /* since something last worked */
    unsigned failures; /* to connect or to keep a connection */
    unsigned losses;   /* of connections */
};

enum err dialer_make_partitions(struct pg *db)
{
    return pg_exec(db, "SELECT ensure_partitions()", NULL, 0, NULL);
}

/* What was too slow for a time limit is too slow for it for ever: each loss doubles the limit. */
static uint32_t timeout_ms(unsigned losses)
{
    uint32_t limit = TIMEOUT_MIN_MS;
    for (unsigned i = 1; i < losses && limit < TIMEOUT_MAX_MS; i++)
        limit *= 2;
    return limit;
}

enum err dialer_connect(const char *conninfo, unsigned losses, struct pg **out)
{
    struct pg *db = NULL;
    enum err e = pg_connect(conninfo, "braidd writer", &db);
    if (!e)
        e = pg_set_timeout(db, timeout_ms(losses));
    if (!e && dialer_make_partitions(db)) /* not fatal: the default partitions take what comes */
        log_warn("store.partitions", KV("reason", pg_error(db)));
    if (!e && !pg_is_ok(db))
        e = ERR_DB;
    if (e) {
        pg_close(db);
        return e;
    }
    *out = db;
    return ERR_OK;
}

static uint64_t backoff_ms(unsigned failures)
{
    uint64_t delay = failures ? BACKOFF_MIN_MS : 0;
    for (unsigned i = 1; i < failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

/* pause_until waits with the lock held; false when it is time to stop. */
static bool pause_until(struct dialer *d, uint64_t until_ms)
{
    const struct timespec t = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    while (!d->stopping && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&d->changed, &d->lock, &t);
    return !d->stopping;
}

static void run(void *arg)
{
    struct dialer *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        if (!d->wanted) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        if (!pause_until(d, clock_mono_ms() + backoff_ms(d->failures)))
            break;
        unsigned losses = d->losses;
        pthread_mutex_unlock(&d->lock);
        struct pg *db = NULL;
        enum err e = dialer_connect(d->conninfo, losses, &db);
        pthread_mutex_lock(&d->lock);
        if (e) {
            d->failures++;
            continue;
        }
        d->wanted = false;
        metric_add(d->metrics, M_DB_RECONNECTS, 1);
        pthread_mutex_unlock(&d->lock);
        d->ready(d->ctx, db);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

static void destroy(struct dialer *d)
{
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

enum err dialer_start(const char *conninfo, struct metrics *m, dialer_ready *ready, void *ctx,
                      struct dialer **out)
{
    pthread_condattr_t mono;
    struct dialer *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    d->conninfo = conninfo;
    d->metrics = m;
    d->ready = ready;
    d->ctx = ctx;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, &mono);
    pthread_condattr_destroy(&mono);
    enum err e = thread_start(&d->thread, "writer-dial", run, d);
    if (e) {
        destroy(d);
        return e;
    }
    *out = d;
    return ERR_OK;
}

void dialer_stop(struct dialer *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    thread_join(&d->thread);
    destroy(d);
}

void dialer_lost(struct dialer *d)
{
    pthread_mutex_lock(&d->lock);
    d->failures++;
    d->losses++;
    d->wanted = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

void dialer_worked(struct dialer *d)
{
    pthread_mutex_lock(&d->lock);
    d->failures = d->losses = 0;
    pthread_mutex_unlock(&d->lock);
}
