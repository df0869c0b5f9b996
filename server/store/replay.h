/* replay.h - brings what waits in the spool into PostgreSQL, in order. */
#ifndef BRAID_STORE_REPLAY_H
#define BRAID_STORE_REPLAY_H

#include "store/landing.h"
#include "store/spool.h"

/* replay_step takes a run of statements and at most one chunk, and marks them as done.  After an
 * error the spool stands where it stood before, and doing the same again is harmless.  What cannot
 * be understood, or PostgreSQL refuses, goes to table `poisoned` and holds up nothing. */
MUST_CHECK enum err replay_step(struct spool *s, struct pg *db, struct metrics *m,
                                struct landing *l);

#endif
