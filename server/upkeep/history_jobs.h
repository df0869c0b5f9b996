/* history_jobs.h - turns of the jobs that keep samples in order: see store/packer.h. */
#ifndef BRAID_UPKEEP_HISTORY_JOBS_H
#define BRAID_UPKEEP_HISTORY_JOBS_H

#include "upkeep/jobs.h"

MUST_CHECK enum err packing_start(const struct jobs_parts *parts, const _Atomic bool *stopping,
                                  void **state);
MUST_CHECK enum err packing_turn(struct job_turn *t);
void packing_end(void *state);

MUST_CHECK enum err cleaning_turn(struct job_turn *t); /* empties landing tables */

MUST_CHECK enum err merging_start(const struct jobs_parts *parts, const _Atomic bool *stopping,
                                  void **state);
MUST_CHECK enum err merging_turn(struct job_turn *t); /* see store/merger.h */
void merging_end(void *state);

#endif
