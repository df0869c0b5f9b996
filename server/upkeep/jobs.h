/* jobs.h - what is done in the background: one thread, one connection, one job at a time.
 *
 * Jobs are rows of a table (jobs.c).  Each has its pause; a job that is not done asks for another
 * turn at once.  Paced jobs together use at most history.pack_cpu_percent of a core, server side
 * included: a turn is waited for by this thread, so its length is the upper limit of what it cost,
 * and the pause after it is measured by that.  A job that is behind may ask for no pause. */
#ifndef BRAID_UPKEEP_JOBS_H
#define BRAID_UPKEEP_JOBS_H

#include "config/config.h"
#include "metrics/metrics.h"
#include "port/pg.h"

#include <stdatomic.h>

struct jobs;

struct jobs_parts {
    const struct config *config;
    struct metrics *metrics;
    struct recent *recent; /* what the writer keeps of landing tables; may be NULL */
};

/* What a job has during its turn. */
struct job_turn {
    const struct jobs_parts *parts;
    struct pg *db;                /* idle between turns: no transaction is left open */
    const _Atomic bool *stopping; /* look at it now and then in a long turn */
    void *state;                  /* what its `start` made */
    bool again;                   /* set by the job: another turn at once */
    bool urgent;                  /* set by the job: and without a pause */
};

struct job {
    const char *name;
    uint32_t every_ms;
    bool paced;
    enum err (*start)(const struct jobs_parts *parts, const _Atomic bool *stopping, void **state);
    /* ERR_DB: the connection is looked at and the turn tried again later; any error is logged. */
    enum err (*turn)(struct job_turn *t);
    void (*end)(void *state);
};

MUST_CHECK enum err jobs_start(const struct jobs_parts *parts, struct jobs **out);
/* jobs_stop ends the turn that runs (its statement is cancelled) and waits.  NULL is fine. */
void jobs_stop(struct jobs *j);

#endif
