/* pg.h - PostgreSQL through libpq, typed results, uniform errors.
 *
 * The only user of libpq-fe.h.  A struct pg belongs to one thread at a time.  SQL text is constant
 * and values are parameters (text format; struct str with p NULL = SQL NULL). */
#ifndef BRAID_PORT_PG_H
#define BRAID_PORT_PG_H

#include "base/str.h"

struct pg;
struct pg_result;

/* pg_connect opens a connection (connect_timeout 5 s unless the string says otherwise; sets
 * application_name).  ERR_DB with the server's words logged. */
MUST_CHECK enum err pg_connect(const char *conninfo, const char *application, struct pg **out);
void pg_close(struct pg *db);       /* NULL is fine */
bool pg_is_ok(const struct pg *db); /* false after the connection broke: close and reconnect */
/* pg_check looks at the socket of an idle connection: false when it is broken or in a transaction.
 */
bool pg_check(struct pg *db);
const char *pg_error(const struct pg *db);    /* last error's message, "" if none */
const char *pg_sqlstate(const struct pg *db); /* of the last error, "" if none */

/* pg_exec runs one statement.  *out (may be NULL when no rows are wanted) is freed with
 * pg_result_free.  ERR_DB on any failure; ERR_EXISTS unique violation, ERR_CONFLICT foreign key,
 * check or serialization failure, ERR_INVALID bad value (class 22). */
MUST_CHECK enum err pg_exec(struct pg *db, const char *sql, const struct str *params, size_t n,
                            struct pg_result **out);
/* pg_prepared: the same for a statement prepared on first use under `name`. */
MUST_CHECK enum err pg_prepared(struct pg *db, const char *name, const char *sql,
                                const struct str *params, size_t n, struct pg_result **out);
/* pg_prepared_binary: the same with the columns in PostgreSQL's binary form, which pg_text hands
 * out as bytes (store/pg_binary.h reads them). */
MUST_CHECK enum err pg_prepared_binary(struct pg *db, const char *name, const char *sql,
                                       const struct str *params, size_t n, struct pg_result **out);
/* pg_prepared_each: that row by row as they come, however many there are: `take` sees a result of
 * one row, which lives until it returns.  An error of `take` ends it; what is still to come is read
 * and thrown away. */
typedef enum err pg_each(void *ctx, const struct pg_result *row);
MUST_CHECK enum err pg_prepared_each(struct pg *db, const char *name, const char *sql,
                                     const struct str *params, size_t n, pg_each *take, void *ctx);
/* pg_pipeline runs prepared statements in one round trip and one transaction of their own: all of
 * them (ERR_OK: committed) or none (the first failure).  Not inside a transaction. */
struct pg_call {
    const char *name, *sql;
    const struct str *params;
    size_t n;
};
MUST_CHECK enum err pg_pipeline(struct pg *db, const struct pg_call *calls, size_t n);
/* pg_script runs several statements without parameters (migrations, BEGIN/COMMIT). */
MUST_CHECK enum err pg_script(struct pg *db, const char *sql);
/* pg_copy_in sends one complete COPY ... FROM STDIN (FORMAT binary) body. */
MUST_CHECK enum err pg_copy_in(struct pg *db, const char *sql, const void *bytes, size_t n,
                               uint64_t *rows);
/* pg_copy_out runs a COPY ... TO STDOUT (FORMAT binary), also of a DELETE ... RETURNING, and shows
 * the rows one by one as they come: `row` is what a body for pg_copy_in holds between head and
 * tail, the count of fields first, and lives until `take` returns.  An error of `take` ends it;
 * what is still to come is read and thrown away. */
typedef enum err pg_row(void *ctx, struct str row);
MUST_CHECK enum err pg_copy_out(struct pg *db, const char *sql, pg_row *take, void *ctx,
                                uint64_t *rows);
/* pg_cancel asks the server to give up the statement that runs now; the one call that another
 * thread may make while `db` lives. */
void pg_cancel(struct pg *db);
/* pg_set_timeout: a limit in ms for statements of this connection (SET statement_timeout). */
MUST_CHECK enum err pg_set_timeout(struct pg *db, uint32_t ms);

void pg_result_free(struct pg_result *r);
size_t pg_rows(const struct pg_result *r);
bool pg_null(const struct pg_result *r, size_t row, int col);
struct str pg_text(const struct pg_result *r, size_t row, int col); /* borrowed from r */
int64_t pg_i64(const struct pg_result *r, size_t row, int col);     /* 0 when NULL */
double pg_double(const struct pg_result *r, size_t row, int col);
bool pg_bool(const struct pg_result *r, size_t row, int col);
uint64_t pg_affected(const struct pg_result *r);

#endif
