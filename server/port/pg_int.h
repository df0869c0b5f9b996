/* pg_int.h - one connection, for the files that implement pg.h: how a call begins, waits and ends.
 */
#ifndef BRAID_PORT_PG_INT_H
#define BRAID_PORT_PG_INT_H

#include "port/pg.h"

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/map.h"

/* A statement that this connection has prepared. */
struct pg_known {
    char name[64];
};

struct pg {
    PGconn *c;
    PGcancel *cancel;
    bool broken;
    uint32_t timeout_ms; /* of one statement, on the server */
    uint64_t deadline;   /* of the call that runs, monotonic ms */
    struct map prepared; /* struct pg_known by name */
    struct buf scratch;
    char sqlstate[6];
    char error[600];
};

/* pg_call_start: the deadline runs from here; ERR_DB when the connection is broken. */
MUST_CHECK enum err pg_call_start(struct pg *db);
/* pg_call_flush sends what is queued. */
MUST_CHECK enum err pg_call_flush(struct pg *db);
/* pg_call_finish flushes and takes all results: the last good one goes to *out (may be NULL), the
 * first error is returned.  It ends where a COPY begins, too. */
MUST_CHECK enum err pg_call_finish(struct pg *db, PGresult **out);
/* pg_call_result waits for the next result; *out NULL when the command is over. */
MUST_CHECK enum err pg_call_result(struct pg *db, PGresult **out);
/* pg_call_wait polls once for input, or for input and room to write, until the deadline. */
MUST_CHECK enum err pg_call_wait(struct pg *db, short events);
/* pg_call_deadline gives the call that runs as much time as a statement has. */
void pg_call_deadline(struct pg *db);
bool pg_succeeded(const PGresult *r);

/* Both keep the words for pg_error, log them, and return the error; after pg_fail_broken nothing
 * more is sent.  pg_set_error only keeps them. */
enum err pg_fail_result(struct pg *db, const PGresult *r);
enum err pg_fail_broken(struct pg *db, const char *words);
void pg_set_error(struct pg *db, const char *words, const char *sqlstate);

#endif
