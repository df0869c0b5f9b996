/* statement.h - the state lane's statements: their SQL, and one of them on its way. */
#ifndef BRAID_STORE_STATEMENT_H
#define BRAID_STORE_STATEMENT_H

#include "base/buf.h"
#include "store/writer.h"

struct statement {
    const char *name, *sql;
    size_t n_params;
};
struct statement statement_get(enum store_stmt s);
/* statement_is_cache: it only repeats what the server knows, the newest of them is enough. */
bool statement_is_cache(enum store_stmt s);
bool statement_find(struct str name, enum store_stmt *out);

/* One call of a statement; parameters are copied into the same block of memory. */
struct put {
    struct put *next;
    struct put_block *block; /* the memory it lies in, with its neighbours; NULL: its own */
    enum store_stmt stmt;
    writer_done *done; /* may be NULL */
    void *ctx;
    size_t n;
    struct str params[STORE_MAX_PARAMS];
};
/* put_new returns NULL without memory; n must be what the statement wants. */
struct put *put_new(enum store_stmt s, const struct str *params, size_t n);
/* put_new_in: the same, in a block that many share and that goes back to the system as a whole, so
 * that what waited for the database leaves no holes among what stays.  *block is the one being
 * filled, NULL at first; puts are freed by any thread, it is changed by one at a time.
 * put_block_close when no more will come. */
struct put *put_new_in(struct put_block **block, enum store_stmt s, const struct str *params,
                       size_t n);
void put_block_close(struct put_block *block); /* NULL is fine */
void put_free(struct put *p);
/* put_encode appends the call as bytes for the spool; put_decode reads them back (ERR_INVALID,
 * ERR_TRUNCATED; ERR_NOTFOUND for a statement this version does not know). */
void put_encode(const struct put *p, struct buf *out);
MUST_CHECK enum err put_decode(struct str bytes, struct put **out);

#endif
