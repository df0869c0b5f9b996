/* history_jobs.c - see history_jobs.h. */
#include "upkeep/history_jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/landing.h"
#include "store/merger.h"
#include "store/packer.h"

/* Copies of tables that fill more slowly are not worth their memory. */
#define RECENT_MS 30000

enum err packing_start(const struct jobs_parts *parts, const _Atomic bool *stopping, void **state)
{
    struct packer *p = NULL;
    enum err e = packer_new((uint32_t)parts->config->history_pack_memory_mb, parts->metrics,
                            parts->recent, stopping, &p);
    *state = p;
    return e;
}

void packing_end(void *state)
{
    packer_free(state);
}

/* The backlog is known before the step, so that a step that fails again and again shows. */
enum err packing_turn(struct job_turn *t)
{
    struct metrics *m = t->parts->metrics;
    struct landing_backlog b;
    int slot = -1;
    uint64_t now = clock_mono_ms();
    recent_expire(t->parts->recent, now > RECENT_MS ? now - RECENT_MS : 0);
    enum err e = landing_get_backlog(t->db, &b);
    if (e)
        return e;
    metric_set(m, M_BACKLOG_SLOTS, b.closed);
    metric_set(m, M_BACKLOG_AGE, b.oldest_s);
    if (!b.closed)
        return ERR_OK;
    e = packer_step(t->state, t->db, &slot);
    if (e)
        return e;
    int64_t waiting = b.closed - (slot >= 0);
    metric_set(m, M_BACKLOG_SLOTS, waiting);
    t->again = waiting > 0;
    t->urgent = waiting >= LANDING_BEHIND; /* no more regard of what else the machine does */
    return ERR_OK;
}

enum err cleaning_turn(struct job_turn *t)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(t->db, "SELECT landing_clean()", NULL, 0, &r);
    if (e)
        return e;
    if (pg_i64(r, 0, 0))
        log_debug("landing.cleaned", KI("tables", pg_i64(r, 0, 0)));
    pg_result_free(r);
    return ERR_OK;
}

enum err merging_start(const struct jobs_parts *parts, const _Atomic bool *stopping, void **state)
{
    struct merger *m = NULL;
    enum err e = merger_new(parts->metrics, stopping, &m);
    *state = m;
    return e;
}

void merging_end(void *state)
{
    merger_free(state);
}

/* Merging waits while packing is behind: what was not packed is dear to read, what was not merged
 * only takes more room. */
enum err merging_turn(struct job_turn *t)
{
    struct landing_backlog b;
    enum err e = landing_get_backlog(t->db, &b);
    if (e || b.closed >= LANDING_BEHIND)
        return e;
    return merger_step(t->state, t->db, clock_utc_ms() * 1000, &t->again);
}
