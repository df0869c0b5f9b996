/* spool.h - the file that holds what PostgreSQL could not take yet.
 *
 * Append-only records in one file, read back in order once PostgreSQL is there again, emptied when
 * all are in.  Owned by the writer's thread.  The counters may be read by any thread. */
#ifndef BRAID_STORE_SPOOL_H
#define BRAID_STORE_SPOOL_H

#include "base/str.h"

#define SPOOL_STATEMENT 'S' /* put_encode */
#define SPOOL_CHUNK     'B' /* chunk_encode */
#define SPOOL_DAMAGED   '?' /* only read: bytes that are no record (any more) */

#define SPOOL_DAMAGED_SHOWN ((size_t)2048)

struct spool;

struct spool_record {
    char kind;
    uint32_t rows;      /* samples in it, 0 for a statement */
    struct str payload; /* borrowed until the next call */
};

/* spool_open opens or makes DIR/spool, checks every record and cuts off a torn tail (logged).
 * Damage with whole records behind it stays, and is met by spool_next.  ERR_IO, ERR_CONFLICT when
 * another process has it open. */
MUST_CHECK enum err spool_open(const char *dir, uint64_t max_bytes, struct spool **out);
void spool_close(struct spool *s); /* NULL is fine; what was not synced is gone */

/* spool_append adds a record to the group that the next spool_sync makes durable.  ERR_FULL: what
 * is not replayed would grow beyond the limit (chunks keep some room for statements); the record is
 * not in the group then.  ERR_NOMEM. */
MUST_CHECK enum err spool_append(struct spool *s, char kind, uint32_t rows, struct str payload);
/* spool_spares: a record of `size` bytes would leave alone the room that is kept for statements. */
bool spool_spares(const struct spool *s, size_t size);
/* spool_sync writes the group and waits for the disk.  On failure (ERR_IO; ERR_FULL when the disk
 * is full) nothing of the group is in the file. */
MUST_CHECK enum err spool_sync(struct spool *s);

/* spool_next reads the next record; ERR_NOTFOUND at the end, ERR_NOMEM.  Bytes that are no record,
 * or that the disk does not give, come as one SPOOL_DAMAGED with the first of them, and reading
 * goes on behind them: never for ever at the same place.  spool_mark says that everything read so
 * far is in the database (and empties the file when that was all); spool_rewind goes back to the
 * last mark. */
MUST_CHECK enum err spool_next(struct spool *s, struct spool_record *out);
MUST_CHECK enum err spool_mark(struct spool *s);
void spool_rewind(struct spool *s);

bool spool_empty(const struct spool *s);
uint64_t spool_bytes(const struct spool *s); /* not yet marked */
uint64_t spool_rows(const struct spool *s);

#endif
