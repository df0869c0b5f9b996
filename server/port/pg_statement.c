/* pg_statement.c - statements with parameters, and what they answer.  See pg.h.
 *
 * libpq wants terminated text parameters; they are copied into `scratch`.  A NUL inside a value
 * would cut it silently, so it is refused as ERR_INVALID. */
#include <stdlib.h>

#include "port/pg_int.h"

#define MAX_PARAMS  32
#define FLUSH_EVERY 64

struct pg_result; /* a PGresult; the name alone is ours */

static PGresult *result_of(const struct pg_result *r)
{
    return (PGresult *)r;
}

static enum err terminate_params(struct pg *db, const struct str *params, size_t n,
                                 const char *values[MAX_PARAMS])
{
    if (n > MAX_PARAMS)
        return ERR_TOOBIG;
    buf_reset(&db->scratch);
    for (size_t i = 0; i < n; i++) {
        if (params[i].n && memchr(params[i].p, '\0', params[i].n)) {
            pg_set_error(db, "a value contains a zero byte", "22021");
            return ERR_INVALID;
        }
        buf_str(&db->scratch, params[i]);
        buf_putc(&db->scratch, '\0');
    }
    if (db->scratch.err)
        return db->scratch.err;
    const char *at = db->scratch.p;
    for (size_t i = 0; i < n; i++) { /* only now: the buffer may have moved while it grew */
        values[i] = params[i].p ? at : NULL;
        at += params[i].n + 1;
    }
    return ERR_OK;
}

static enum err give(PGresult *r, struct pg_result **out)
{
    if (out)
        *out = (struct pg_result *)r;
    else
        PQclear(r);
    return ERR_OK;
}

enum err pg_exec(struct pg *db, const char *sql, const struct str *params, size_t n,
                 struct pg_result **out)
{
    const char *values[MAX_PARAMS];
    PGresult *r = NULL;
    enum err e = pg_call_start(db);
    if (!e)
        e = terminate_params(db, params, n, values);
    if (e)
        return e;
    if (!PQsendQueryParams(db->c, sql, (int)n, NULL, values, NULL, NULL, 0))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    e = pg_call_finish(db, &r);
    return e ? e : give(r, out);
}

static enum err prepare(struct pg *db, const char *name, const char *sql)
{
    if (map_find(&db->prepared, str_of(name)))
        return ERR_OK;
    if (strlen(name) >= sizeof(struct pg_known))
        return ERR_TOOBIG;
    struct pg_known *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    memcpy(p->name, name, strlen(name));
    enum err e = ERR_OK;
    if (!PQsendPrepare(db->c, name, sql, 0, NULL))
        e = pg_fail_broken(db, PQerrorMessage(db->c));
    if (!e)
        e = pg_call_finish(db, NULL);
    if (!e)
        e = map_put(&db->prepared, str_of(p->name), p, NULL);
    if (e)
        free(p);
    return e;
}

static enum err send_prepared(struct pg *db, const char *name, const char *sql,
                              const struct str *params, size_t n, bool binary)
{
    const char *values[MAX_PARAMS];
    enum err e = pg_call_start(db);
    if (!e)
        e = prepare(db, name, sql);
    if (!e)
        e = terminate_params(db, params, n, values);
    if (e)
        return e;
    if (!PQsendQueryPrepared(db->c, name, (int)n, values, NULL, NULL, binary))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    return ERR_OK;
}

static enum err run_prepared(struct pg *db, const char *name, const char *sql,
                             const struct str *params, size_t n, bool binary,
                             struct pg_result **out)
{
    PGresult *r = NULL;
    enum err e = send_prepared(db, name, sql, params, n, binary);
    if (!e)
        e = pg_call_finish(db, &r);
    return e ? e : give(r, out);
}

enum err pg_prepared(struct pg *db, const char *name, const char *sql, const struct str *params,
                     size_t n, struct pg_result **out)
{
    return run_prepared(db, name, sql, params, n, false, out);
}

enum err pg_prepared_binary(struct pg *db, const char *name, const char *sql,
                            const struct str *params, size_t n, struct pg_result **out)
{
    return run_prepared(db, name, sql, params, n, true, out);
}

/* take_each hands out rows as they come; after an error the rest is only read. */
static enum err take_each(struct pg *db, pg_each *take, void *ctx)
{
    PGresult *r = NULL;
    enum err first = ERR_OK, e = pg_call_flush(db);
    while (!e && !(e = pg_call_result(db, &r)) && r) {
        if (!first && PQresultStatus(r) == PGRES_SINGLE_TUPLE)
            first = take(ctx, (const struct pg_result *)r);
        else if (!first && !pg_succeeded(r))
            first = pg_fail_result(db, r);
        PQclear(r);
        if (PQstatus(db->c) != CONNECTION_OK)
            db->broken = true;
    }
    return e ? e : first;
}

enum err pg_prepared_each(struct pg *db, const char *name, const char *sql,
                          const struct str *params, size_t n, pg_each *take, void *ctx)
{
    enum err e = send_prepared(db, name, sql, params, n, true);
    if (e)
        return e;
    if (!PQsetSingleRowMode(db->c))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    return take_each(db, take, ctx);
}

/* send_calls queues all statements and the sync that commits them. */
static enum err send_calls(struct pg *db, const struct pg_call *calls, size_t n)
{
    const char *values[MAX_PARAMS];
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < n; i++) {
        e = terminate_params(db, calls[i].params, calls[i].n, values);
        if (!e &&
            !PQsendQueryPrepared(db->c, calls[i].name, (int)calls[i].n, values, NULL, NULL, 0))
            e = pg_fail_broken(db, PQerrorMessage(db->c));
        if (!e && i % FLUSH_EVERY == FLUSH_EVERY - 1)
            e = pg_call_flush(db);
    }
    if (!e && !PQpipelineSync(db->c))
        e = pg_fail_broken(db, PQerrorMessage(db->c));
    return e ? e : pg_call_flush(db);
}

/* read_calls takes all results up to the sync; the statements after a failure only say that they
 * were skipped. */
static enum err read_calls(struct pg *db)
{
    enum err first = ERR_OK;
    for (bool synced = false; !synced;) {
        PGresult *r = NULL;
        enum err e = pg_call_result(db, &r);
        if (e)
            return e;
        if (PQstatus(db->c) != CONNECTION_OK) {
            PQclear(r);
            return pg_fail_broken(db, PQerrorMessage(db->c));
        }
        ExecStatusType s = r ? PQresultStatus(r) : PGRES_COMMAND_OK; /* NULL: between two */
        synced = s == PGRES_PIPELINE_SYNC;
        if (!synced && r && !pg_succeeded(r) && s != PGRES_PIPELINE_ABORTED && !first)
            first = pg_fail_result(db, r);
        PQclear(r);
    }
    return first;
}

enum err pg_pipeline(struct pg *db, const struct pg_call *calls, size_t n)
{
    const char *values[MAX_PARAMS];
    enum err e = pg_call_start(db);
    for (size_t i = 0; !e && i < n; i++) { /* what fails on our side must fail before the first */
        e = terminate_params(db, calls[i].params, calls[i].n, values);
        if (!e)
            e = prepare(db, calls[i].name, calls[i].sql);
    }
    if (e)
        return e;
    if (!PQenterPipelineMode(db->c))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    e = send_calls(db, calls, n);
    if (!e)
        e = read_calls(db);
    if (!db->broken && !PQexitPipelineMode(db->c))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    return e;
}

enum err pg_script(struct pg *db, const char *sql)
{
    enum err e = pg_call_start(db);
    if (e)
        return e;
    if (!PQsendQuery(db->c, sql))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    return pg_call_finish(db, NULL);
}

/* ---- results ---- */

void pg_result_free(struct pg_result *r)
{
    PQclear(result_of(r));
}

size_t pg_rows(const struct pg_result *r)
{
    return (size_t)PQntuples(result_of(r));
}

bool pg_null(const struct pg_result *r, size_t row, int col)
{
    return PQgetisnull(result_of(r), (int)row, col);
}

struct str pg_text(const struct pg_result *r, size_t row, int col)
{
    if (pg_null(r, row, col))
        return str_make(NULL, 0);
    return str_make(PQgetvalue(result_of(r), (int)row, col),
                    (size_t)PQgetlength(result_of(r), (int)row, col));
}

int64_t pg_i64(const struct pg_result *r, size_t row, int col)
{
    return pg_null(r, row, col) ? 0 : strtoll(PQgetvalue(result_of(r), (int)row, col), NULL, 10);
}

double pg_double(const struct pg_result *r, size_t row, int col)
{
    return pg_null(r, row, col) ? 0 : strtod(PQgetvalue(result_of(r), (int)row, col), NULL);
}

bool pg_bool(const struct pg_result *r, size_t row, int col)
{
    return str_is(pg_text(r, row, col), "t");
}

uint64_t pg_affected(const struct pg_result *r)
{
    return strtoull(PQcmdTuples(result_of(r)), NULL, 10);
}
