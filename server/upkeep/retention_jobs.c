/* retention_jobs.c - see retention_jobs.h.
 *
 * A count of the disk takes several turns of a few milliseconds each; the next one begins after two
 * hundred times as long as the last one took, within five minutes and an hour: small systems see
 * figures that are fresh, large ones do not notice. */
#include "upkeep/retention_jobs.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/retention.h"
#include "store/storage.h"

#define COUNT_SHARE  200
#define COUNT_MIN_MS 300000
#define COUNT_MAX_MS 3600000
#define FITS_DAYS    3650

/* ---- dropping ---- */

static void count_done(struct metrics *m, const struct retention_done *d)
{
    const struct {
        enum metric id;
        uint64_t n;
    } counts[] = {
        {M_RETAIN_PARTS, d->partitions}, {M_RETAIN_BYTES, d->bytes},
        {M_RETAIN_TEXT, d->texts},       {M_RETAIN_TIMELINE, d->events},
        {M_RETAIN_COMMAND, d->commands}, {M_RETAIN_AUDIT, d->audits},
        {M_RETAIN_PIECE, d->pieces},     {M_PURGED_SERIES, d->purged_series},
        {M_PURGED_ROWS, d->purged_rows},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        metric_add(m, counts[i].id, (int64_t)counts[i].n);
}

enum err retention_turn(struct job_turn *t)
{
    const struct config *c = t->parts->config;
    const struct retention_keep keep = {c->history_text_days, c->history_timeline_days,
                                        c->history_command_days, c->history_audit_days};
    struct retention_done done = {0};
    enum err e = retention_step(t->db, (int64_t)clock_utc_ms(), &keep, &done);
    count_done(t->parts->metrics, &done); /* also what was done before it failed */
    metric_add(t->parts->metrics, e ? M_RETAIN_FAILED : M_RETAIN_RUNS, 1);
    t->again = done.more;
    return e;
}

enum err purging_turn(struct job_turn *t)
{
    struct retention_done done = {0};
    enum err e = retention_purge(t->db, (int64_t)clock_utc_ms(), &done);
    count_done(t->parts->metrics, &done);
    t->again = done.more;
    return e;
}

enum err assigning_turn(struct job_turn *t)
{
    return retention_assign(t->db, &t->again);
}

/* ---- counting ---- */

struct counting {
    int64_t run_ms;   /* when the count under way began, on the wall clock; 0: none is */
    uint64_t next_ms; /* no new one before */
    uint64_t took_us; /* by the one under way */
};

enum err storage_start(const struct jobs_parts *parts, const _Atomic bool *stopping, void **state)
{
    (void)parts, (void)stopping;
    *state = calloc(1, sizeof(struct counting));
    return *state ? ERR_OK : ERR_NOMEM;
}

void storage_end(void *state)
{
    free(state);
}

static uint64_t rest_ms(uint64_t took_us)
{
    uint64_t ms = took_us * COUNT_SHARE / 1000;
    return ms < COUNT_MIN_MS ? COUNT_MIN_MS : ms > COUNT_MAX_MS ? COUNT_MAX_MS : ms;
}

static enum err count_on(struct counting *s, struct pg *db, bool *more)
{
    uint64_t began = clock_mono_us();
    enum err e = storage_count(db, s->run_ms, more);
    if (!e && !*more)
        e = storage_note(db, s->run_ms);
    s->took_us += clock_mono_us() - began;
    if (e || !*more) { /* after a failure a new one begins later: what was counted is kept */
        s->next_ms = clock_mono_ms() + rest_ms(s->took_us);
        s->run_ms = 0;
        s->took_us = 0;
    }
    return e;
}

static enum err set_gauges(const struct jobs_parts *parts, struct pg *db)
{
    static_assert(M_STORAGE_OTHER - M_STORAGE_LANDING == STORAGE_other - STORAGE_landing,
                  "a gauge for each kind, in their order");
    const struct storage_limits limits = {parts->config->history_disk_limit_bytes,
                                          storage_volume(parts->config->history_volume_dir)};
    struct metrics *m = parts->metrics;
    struct storage_figures f;
    enum err e = storage_measure(db, (int64_t)clock_utc_ms(), limits, &f);
    if (e)
        return e;
    for (int k = 0; k < STORAGE_KINDS; k++)
        metric_set(m, (enum metric)(M_STORAGE_LANDING + k), f.bytes[k]);
    metric_set(m, M_STORAGE_LIMIT, f.limit);
    metric_set(m, M_STORAGE_STEADY, f.known ? (int64_t)f.steady : 0);
    metric_set(m, M_STORAGE_FORECAST,
               !f.limit             ? -1
               : f.total >= f.limit ? 0
               : !f.known           ? -1
               : f.full_days < 0    ? FITS_DAYS
                                    : f.full_days);
    return ERR_OK;
}

enum err storage_turn(struct job_turn *t)
{
    struct counting *s = t->state;
    if (!s->run_ms && clock_mono_ms() >= s->next_ms)
        s->run_ms = (int64_t)clock_utc_ms();
    if (s->run_ms) {
        enum err e = count_on(s, t->db, &t->again);
        if (e || t->again)
            return e;
    }
    return set_gauges(t->parts, t->db);
}
