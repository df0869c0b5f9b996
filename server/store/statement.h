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
bool statement_find(struct str name, enum store_stmt *out);

/* One call of a statement; parameters are copied into the same block of memory. */
struct put {
    struct put *next;
    enum store_stmt stmt;
    writer_done *done; /* may be NULL */
    void *ctx;
    size_t n;
    struct str params[STORE_MAX_PARAMS];
};
/* put_new returns NULL without memory; n must be what the statement wants. */
struct put *put_new(enum store_stmt s, const struct str *params, size_t n);
void put_free(struct put *p);
/* put_encode appends the call as bytes for the spool; put_decode reads them back (ERR_INVALID,
 * ERR_TRUNCATED; ERR_NOTFOUND for a statement this version does not know). */
void put_encode(const struct put *p, struct buf *out);
MUST_CHECK enum err put_decode(struct str bytes, struct put **out);

#endif
