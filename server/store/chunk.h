/* chunk.h - samples on their way into the tables, as finished COPY BINARY bodies.
 *
 * Shards hand over batches; the writer joins a few of them to one chunk and gives it a number.  A
 * row is built once, as COPY sends it and as the spool keeps it.  Rows stand in the order of their
 * arrival: landing tables have no index that would thank us for sorting, and packing sorts. */
#ifndef BRAID_STORE_CHUNK_H
#define BRAID_STORE_CHUNK_H

#include "base/buf.h"
#include "store/writer.h"

/* Rows of one COPY: enough that its commit costs little per row, few enough that the state lane
 * behind it waits 20 ms.  With much waiting, twice as many. */
#define CHUNK_BATCHES     5 /* ~20,000 rows */
#define CHUNK_BATCHES_MAX 10

/* A row of `samples`: four fields, series_id, ts, value and quality, a length before each. */
#define CHUNK_SAMPLE_BYTES (2 + 4 + 4 + 4 + 8 + 4 + 8 + 4 + 2)

/* What is stored, borrowed from a chunk or from a spool record. */
struct chunk_view {
    uint64_t writer, batch_no; /* unique together; below 2^63 */
    uint32_t rows, text_rows;
    struct str samples, texts; /* COPY bodies for landing_N and text_sample; "" if no rows */
};

struct chunk {
    size_t n, n_text;
    struct buf samples, texts;
};
void chunk_init(struct chunk *c);
void chunk_fini(struct chunk *c);
void chunk_reset(struct chunk *c);
/* chunk_add appends the rows of a batch (of at most CHUNK_BATCHES_MAX) and leaves it alone;
 * chunk_seal ends the bodies.  ERR_NOMEM or ERR_TOOBIG. */
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
