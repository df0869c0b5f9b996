/* packer.h - turns the rows of a closed landing table into pieces: one row per series and hour.
 *
 * One transaction per table: it locks the table's row in landing_slot, reads, inserts pieces and
 * marks the table packed, so in every snapshot a sample is in exactly one of the two.  A table that
 * is larger than history.pack_memory_mb allows is taken block range by block range, still in that
 * one transaction.
 *
 * Samples older than their class keeps, and those of a time that cannot be, are left out and
 * counted (braid_history_refused_total). */
#ifndef BRAID_STORE_PACKER_H
#define BRAID_STORE_PACKER_H

#include "metrics/metrics.h"
#include "port/pg.h"

#include <stdatomic.h>

struct packer;
struct recent;

/* packer_new: `memory_mb` limits what is held of a table at a time.  What `recent` (NULL: nothing)
 * holds whole, which the number of the table's rows proves, is not read back.  When *stopping
 * becomes true a step ends soon with ERR_CLOSED. */
MUST_CHECK enum err packer_new(uint32_t memory_mb, struct metrics *m, struct recent *recent,
                               const _Atomic bool *stopping, struct packer **out);
void packer_free(struct packer *p); /* NULL is fine */

/* packer_step packs the closed table that was opened first, if there is one: *slot is its number,
 * or -1.  Opens and ends its own transaction; after an error the caller rolls back. */
MUST_CHECK enum err packer_step(struct packer *p, struct pg *db, int *slot);

#endif
