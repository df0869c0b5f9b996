/* chunk.h - samples on their way into the tables, as finished COPY BINARY bodies.
 *
 * Shards hand over batches; the writer merges a few of them into one chunk, sorted by series and
 * time, and gives it a number.  From then on the chunk is bytes: what COPY sends is what the spool
 * keeps, so replaying needs no second encoding. */
#ifndef BRAID_STORE_CHUNK_H
#define BRAID_STORE_CHUNK_H

#include "base/buf.h"
#include "store/writer.h"

#define CHUNK_BATCHES 3 /* ~12,000 rows: long enough for COPY, short enough for the state lane */

/* What is stored, borrowed from a chunk or from a spool record. */
struct chunk_view {
    uint64_t writer, batch_no; /* unique together; below 2^63 */
    uint32_t rows, text_rows;
    struct str samples, texts; /* COPY bodies for landing_N and text_sample; "" if no rows */
};

struct chunk {
    struct sample *v; /* CHUNK_BATCHES * BATCH_SAMPLES */
    size_t n, n_text;
    struct buf samples, texts;
};
MUST_CHECK enum err chunk_init(struct chunk *c);
void chunk_fini(struct chunk *c);
void chunk_reset(struct chunk *c);
/* chunk_add copies a batch in (at most CHUNK_BATCHES); chunk_seal sorts and encodes.  Both leave
 * the batch alone.  ERR_NOMEM or ERR_TOOBIG. */
MUST_CHECK enum err chunk_add(struct chunk *c, const struct batch *b);
MUST_CHECK enum err chunk_seal(struct chunk *c);

void chunk_encode(const struct chunk_view *c, struct buf *out);
MUST_CHECK enum err chunk_decode(struct str bytes, struct chunk_view *out);

/* A COPY body: 19 bytes of head, rows, 2 bytes of tail.  copy_head and copy_tail write them;
 * copy_rows gives the part between; copy_next takes one row off its front (false at the end or when
 * what is left is no row). */
void copy_head(struct buf *out);
void copy_tail(struct buf *out);
struct str copy_rows(struct str body);
bool copy_next(struct str *rows, struct str *row);

#endif
