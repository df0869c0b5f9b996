/* retention_jobs.h - turns of the jobs that drop what is old and count what is there: see
 * store/retention.h and store/storage.h. */
#ifndef BRAID_UPKEEP_RETENTION_JOBS_H
#define BRAID_UPKEEP_RETENTION_JOBS_H

#include "upkeep/jobs.h"

/* Drops partitions and old rows, a bit per turn. */
MUST_CHECK enum err retention_turn(struct job_turn *t);
/* Removes the history of deleted devices, some series a turn. */
MUST_CHECK enum err purging_turn(struct job_turn *t);
/* Applies changed rules to the series there are. */
MUST_CHECK enum err assigning_turn(struct job_turn *t);
/* Counts what was added, writes down the day, and sets the gauges of disk use and forecast. */
MUST_CHECK enum err storage_start(const struct jobs_parts *parts, const _Atomic bool *stopping,
                                  void **state);
MUST_CHECK enum err storage_turn(struct job_turn *t);
void storage_end(void *state);

#endif
