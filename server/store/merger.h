/* merger.h - turns the pieces of a span that is over into chunks, and sums them up.
 *
 *   hour   of a series with at least MERGE_FAST samples in it: chunk rows of that hour and one row
 *          of rollup_minute
 *   day    all other samples of a series and day, once the day is over: chunk rows of that day
 *
 * What holds after each of its transactions, and what readers rely on:
 *   - (series, hour) has a row of rollup_minute exactly if its samples in chunk are hour rows; day
 *     rows hold no sample of such an hour;
 *   - a row of rollup_minute stands for all samples of its hour that are in chunk; a row of
 *     rollup_hour (days over with at least MERGE_SUMMED samples) for all of its day in chunk;
 *   - a sample is in piece or in chunk, once: rows are taken by DELETE ... RETURNING and what they
 *     held is inserted in the same transaction.
 * What comes late is a piece until a later look merges it: then all of the above are replaced.
 * Pieces of a slow series that become many in an hour are made one piece meanwhile. */
#ifndef BRAID_STORE_MERGER_H
#define BRAID_STORE_MERGER_H

#include "metrics/metrics.h"
#include "port/pg.h"

#include <stdatomic.h>

#define MERGE_SUMMED 1000

struct merger;

MUST_CHECK enum err merger_new(struct metrics *m, const _Atomic bool *stopping,
                               struct merger **out);
void merger_free(struct merger *m); /* NULL is fine */

/* merger_step does at most one transaction of what is due at `now_us`; *again: there is more.  It
 * looks for work when an hour is over and every ten minutes.  After an error the caller rolls back.
 */
MUST_CHECK enum err merger_step(struct merger *m, struct pg *db, int64_t now_us, bool *again);

#endif
