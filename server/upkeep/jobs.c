/* jobs.c - see jobs.h. */
#include "upkeep/jobs.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "upkeep/history_jobs.h"
#include "upkeep/retention_jobs.h"

#define RETRY_MS      2000
#define TIMEOUT_MS    600000 /* of one statement */
#define PAUSE_MAX_MS  60000
#define WARN_EVERY_MS 60000

static const struct job table[] = {
    {"pack", 500, true, packing_start, packing_turn, packing_end},
    {"merge", 10000, true, merging_start, merging_turn, merging_end},
    {"clean", 3000, false, NULL, cleaning_turn, NULL},
    {"retain", 3600000, true, NULL, retention_turn, NULL},
    {"purge", 5000, true, NULL, purging_turn, NULL},
    {"assign", 5000, true, NULL, assigning_turn, NULL},
    {"storage", 60000, true, storage_start, storage_turn, storage_end},
};
#define JOBS (sizeof table / sizeof *table)

struct jobs {
    struct jobs_parts parts;
    struct thread thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* on the monotonic clock */
    _Atomic bool stopping;
    struct pg *db; /* changed under the lock, so that jobs_stop can cancel */

    /* the thread's own */
    void *state[JOBS];
    uint64_t due_ms[JOBS], warn_ms[JOBS];
    uint64_t paced_ms; /* no paced job before this */
};

static bool stopping(const struct jobs *j)
{
    return atomic_load(&j->stopping);
}

/* ---- the connection ---- */

static void set_db(struct jobs *j, struct pg *db)
{
    pthread_mutex_lock(&j->lock);
    struct pg *old = j->db;
    j->db = db;
    pthread_mutex_unlock(&j->lock);
    pg_close(old);
}

static enum err connect(struct jobs *j)
{
    if (j->db && pg_check(j->db))
        return ERR_OK;
    struct pg *db = NULL;
    enum err e = pg_connect(j->parts.config->db_conninfo, "braidd jobs", &db);
    if (!e)
        e = pg_set_timeout(db, TIMEOUT_MS);
    if (!e) /* compiling costs more than these statements */
        e = pg_script(db, "SET jit = off");
    if (e) {
        pg_close(db);
        db = NULL;
    }
    set_db(j, db);
    return e;
}

/* A turn that failed in the middle leaves nothing behind. */
static void roll_back(struct jobs *j)
{
    if (!pg_is_ok(j->db) || pg_check(j->db))
        return;
    if (pg_script(j->db, "ROLLBACK"))
        log_warn("jobs.rollback", KV("reason", pg_error(j->db)));
}

/* ---- turns ---- */

static uint64_t thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* So long that `took_ms` is the allowed share of both together. */
static uint64_t pause_ms(const struct jobs *j, uint64_t took_ms)
{
    uint64_t percent = (uint64_t)j->parts.config->history_pack_cpu_percent;
    uint64_t pause = percent ? took_ms * (100 - percent) / percent : 0;
    return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void say_failed(struct jobs *j, size_t i, enum err e)
{
    uint64_t now = clock_mono_ms();
    if (stopping(j) || now < j->warn_ms[i])
        return;
    j->warn_ms[i] = now + WARN_EVERY_MS;
    log_warn("jobs.failed", KV("job", table[i].name), KE(e), KV("reason", pg_error(j->db)));
}

static void take_turn(struct jobs *j, size_t i)
{
    const struct job *job = &table[i];
    struct job_turn t = {
        .parts = &j->parts, .db = j->db, .stopping = &j->stopping, .state = j->state[i]};
    uint64_t began = clock_mono_us(), cpu = thread_cpu_us();
    enum err e = job->turn(&t);
    uint64_t took_us = clock_mono_us() - began;
    metric_add(j->parts.metrics, M_UPKEEP_BUSY, (int64_t)took_us);
    metric_add(j->parts.metrics, M_UPKEEP_CPU, (int64_t)(thread_cpu_us() - cpu));
    uint64_t now = clock_mono_ms();
    if (e) {
        say_failed(j, i, e);
        metric_add(j->parts.metrics, M_UPKEEP_FAILED, 1);
        roll_back(j);
    }
    uint64_t after_ms = t.again && !e ? 0 : job->every_ms;
    j->due_ms[i] = now + (e && after_ms < RETRY_MS ? RETRY_MS : after_ms);
    if (job->paced)
        j->paced_ms = now + (t.urgent && !e ? 0 : pause_ms(j, took_us / 1000));
}

/* A paced job's turn also waits for the pause all of them share. */
static uint64_t due(const struct jobs *j, size_t i)
{
    return table[i].paced && j->paced_ms > j->due_ms[i] ? j->paced_ms : j->due_ms[i];
}

/* Whoever may go first; of those that share a pause and may go together, whoever is due longest: a
 * job that always wants more comes after all that became due during its turn. */
static size_t next_job(const struct jobs *j)
{
    size_t next = 0;
    for (size_t i = 1; i < JOBS; i++) {
        uint64_t mine = due(j, i), best = due(j, next);
        if (mine < best || (mine == best && j->due_ms[i] < j->due_ms[next]))
            next = i;
    }
    return next;
}

static void sleep_until(struct jobs *j, uint64_t until_ms)
{
    const struct timespec t = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&j->lock);
    while (!stopping(j) && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&j->wake, &j->lock, &t);
    pthread_mutex_unlock(&j->lock);
}

static void run(void *arg)
{
    struct jobs *j = arg;
    while (!stopping(j)) {
        size_t i = next_job(j);
        if (due(j, i) > clock_mono_ms())
            sleep_until(j, due(j, i));
        else if (connect(j))
            sleep_until(j, clock_mono_ms() + RETRY_MS);
        else
            take_turn(j, i);
    }
}

/* ---- starting and stopping ---- */

static void destroy(struct jobs *j)
{
    for (size_t i = 0; i < JOBS; i++)
        if (table[i].end)
            table[i].end(j->state[i]);
    pg_close(j->db);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

enum err jobs_start(const struct jobs_parts *parts, struct jobs **out)
{
    pthread_condattr_t mono;
    struct jobs *j = calloc(1, sizeof *j);
    if (!j)
        return ERR_NOMEM;
    j->parts = *parts;
    atomic_init(&j->stopping, false);
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &mono);
    pthread_condattr_destroy(&mono);
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < JOBS; i++)
        if (table[i].start)
            e = table[i].start(&j->parts, &j->stopping, &j->state[i]);
    if (!e)
        e = thread_start(&j->thread, "jobs", run, j);
    if (e) {
        destroy(j);
        return e;
    }
    *out = j;
    return ERR_OK;
}

void jobs_stop(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->stopping, true);
    pthread_cond_signal(&j->wake);
    if (j->db)
        pg_cancel(j->db);
    pthread_mutex_unlock(&j->lock);
    thread_join(&j->thread);
    destroy(j);
}
