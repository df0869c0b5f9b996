/* hand.h - what the writer's thread has taken and not yet brought to safety: a run of statements,
 * and a chunk of samples made of some batches.
 *
 * Work leaves the hand when it is committed or on disk; then, and only then, its completions are
 * called.  What could not be brought to the one place stays, for the other.  One thread. */
#ifndef BRAID_STORE_HAND_H
#define BRAID_STORE_HAND_H

#include "store/apply.h"
#include "store/spool.h"

#define HAND_PUTS APPLY_PUTS_MAX /* statements of one transaction */

struct hand {
    struct metrics *metrics;
    struct put *puts;
    size_t n_puts;
    struct chunk chunk;
    struct chunk_view view;                 /* of `chunk`; see hand_has_chunk */
    uint64_t arrived_us[CHUNK_BATCHES_MAX]; /* of the batches in `chunk` */
    size_t n_arrived;
    struct batch_done *done, **done_end; /* theirs */
    uint64_t writer_id, next_batch_no;
    struct buf scratch;
    enum err results[HAND_PUTS];
};

void hand_init(struct hand *h, struct metrics *m);
void hand_fini(struct hand *h); /* it is empty */

bool hand_has_chunk(const struct hand *h);
/* hand_take_batches makes the chunk of a list of batches (at most CHUNK_BATCHES_MAX) and frees
 * them; there was none. */
void hand_take_batches(struct hand *h, struct batch *list);

/* To PostgreSQL: ERR_OK, or the connection is done for. */
MUST_CHECK enum err hand_puts_to_db(struct hand *h, struct pg *db);
MUST_CHECK enum err hand_chunk_to_db(struct hand *h, struct pg *db, struct landing *l);
/* To the disk.  hand_puts_to_spool moves as many statements as fit; false if some stay. */
MUST_CHECK bool hand_puts_to_spool(struct hand *h, struct spool *s);
void hand_chunk_to_spool(struct hand *h, struct spool *s);
/* hand_abandon: the end, and neither took what is in it. */
void hand_abandon(struct hand *h);

#endif
