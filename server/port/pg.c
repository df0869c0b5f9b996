/* pg.c - see pg.h.
 *
 * The connection is non-blocking underneath: every call sends, then polls the socket with a
 * deadline, so a server that hangs (stopped, out of disk, behind a dead network) costs the caller
 * its time limit and never for ever.  After such a timeout nobody knows what the server will still
 * say, so the connection counts as broken.
 *
 * libpq wants terminated text parameters; they are copied into `scratch`.  A NUL inside a value
 * would cut it silently, so it is refused as ERR_INVALID. */
#include "port/pg.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#define MAX_PARAMS         32
#define SCRATCH_MAX_BYTES  ((size_t)64 << 20)
#define COPY_PIECE_BYTES   ((size_t)256 << 10)
#define COPY_HEAD_BYTES    19
#define DEFAULT_TIMEOUT_MS 30000
#define FLUSH_EVERY        64
/* How much longer we wait for the server than it should take by its own statement_timeout. */
#define GRACE_MS 2000

struct prepared {
    char name[64];
};

struct pg {
    PGconn *c;
    PGcancel *cancel;
    bool broken;
    uint32_t timeout_ms; /* of one statement, on the server */
    uint64_t deadline;   /* of the call that runs, monotonic ms */
    struct map prepared; /* struct prepared by name */
    struct buf scratch;
    char sqlstate[6];
    char error[600];
};

struct pg_result; /* a PGresult; the name alone is ours */

static PGresult *result_of(const struct pg_result *r)
{
    return (PGresult *)r;
}

/* ---- connecting ---- */

static void hush(void *ctx, const char *message)
{
    (void)ctx;
    struct str s = str_of(message);
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    log_debug("pg.notice", KS("text", s));
}

/* What a database or role is set to is for people: here a day has 24 hours, times in texts mean the
 * same when they are read back, and numbers in texts are exact. */
static const char session_sql[] = "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; "
                                  "SET extra_float_digits = 1";

enum err pg_connect(const char *conninfo, const char *application, struct pg **out)
{
    /* Later words win: the caller's string may override the first two. */
    const char *const keys[] = {"connect_timeout", "application_name", "dbname", NULL};
    const char *const values[] = {"5", application, conninfo, NULL};
    struct pg *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NOMEM;
    map_init(&db->prepared, 0);
    buf_init(&db->scratch, SCRATCH_MAX_BYTES);
    db->timeout_ms = DEFAULT_TIMEOUT_MS;
    db->c = PQconnectdbParams(keys, values, 1);
    if (PQstatus(db->c) != CONNECTION_OK || PQsetnonblocking(db->c, 1) != 0) {
        struct str why = str_of(db->c ? PQerrorMessage(db->c) : "out of memory");
        why = str_cut(&why, '\n');
        log_warn("pg.connect_failed", KV("application", application), KS("reason", why));
        pg_close(db);
        return ERR_DB;
    }
    PQsetNoticeProcessor(db->c, hush, NULL);
    db->cancel = PQgetCancel(db->c);
    if (pg_script(db, session_sql)) {
        log_warn("pg.connect_failed", KV("application", application), KV("reason", pg_error(db)));
        pg_close(db);
        return ERR_DB;
    }
    *out = db;
    return ERR_OK;
}

void pg_close(struct pg *db)
{
    if (!db)
        return;
    struct prepared *p;
    for (size_t it = 0; (p = map_next(&db->prepared, &it));)
        free(p);
    map_fini(&db->prepared);
    buf_fini(&db->scratch);
    PQfreeCancel(db->cancel);
    PQfinish(db->c);
    free(db);
}

bool pg_is_ok(const struct pg *db)
{
    return db && !db->broken && PQstatus(db->c) == CONNECTION_OK;
}

/* An idle server says little: input is mostly a good-bye, which takes two reads to understand (its
 * words, then the end). */
bool pg_check(struct pg *db)
{
    struct pollfd p = {.fd = PQsocket(db->c), .events = POLLIN};
    for (int i = 0; i < 4 && pg_is_ok(db) && poll(&p, 1, 0) != 0; i++)
        if (!PQconsumeInput(db->c))
            db->broken = true;
    return pg_is_ok(db) && PQtransactionStatus(db->c) == PQTRANS_IDLE;
}

const char *pg_error(const struct pg *db)
{
    return db->error;
}

const char *pg_sqlstate(const struct pg *db)
{
    return db->sqlstate;
}

/* ---- errors ---- */

static const struct {
    const char *prefix;
    enum err e;
} error_classes[] = {
    {"23505", ERR_EXISTS}, /* unique_violation */
    {"23", ERR_CONFLICT},  /* foreign key, check, not null */
    {"40", ERR_CONFLICT},  /* serialization failure, deadlock */
    {"22", ERR_INVALID},   /* data exception */
};

static enum err classify(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof error_classes / sizeof *error_classes; i++)
        if (strncmp(sqlstate, error_classes[i].prefix, strlen(error_classes[i].prefix)) == 0)
            return error_classes[i].e;
    return ERR_DB;
}

static void forget_error(struct pg *db)
{
    db->error[0] = db->sqlstate[0] = '\0';
}

static void set_error(struct pg *db, const char *words, const char *sqlstate)
{
    size_t n = strcspn(words, "\n");
    if (n >= sizeof db->error)
        n = sizeof db->error - 1;
    memcpy(db->error, words, n);
    db->error[n] = '\0';
    size_t k = sqlstate ? strnlen(sqlstate, sizeof db->sqlstate - 1) : 0;
    memcpy(db->sqlstate, k ? sqlstate : "", k);
    db->sqlstate[k] = '\0';
}

/* The server's words are known only here, so unexpected failures are logged here. */
static enum err fail_result(struct pg *db, const PGresult *r)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *words = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    set_error(db, words ? words : PQerrorMessage(db->c), state);
    enum err e = classify(db->sqlstate);
    if (e == ERR_DB)
        log_warn("pg.failed", KV("sqlstate", db->sqlstate), KV("reason", db->error));
    return e;
}

static enum err fail_broken(struct pg *db, const char *words)
{
    db->broken = true;
    set_error(db, words, "");
    log_warn("pg.broken", KV("reason", db->error));
    return ERR_DB;
}

/* ---- waiting ---- */

static void set_deadline(struct pg *db)
{
    db->deadline = db->timeout_ms ? clock_mono_ms() + db->timeout_ms + GRACE_MS : UINT64_MAX;
}

/* wait_for polls for input, or for input and room to write. */
static enum err wait_for(struct pg *db, short events)
{
    struct pollfd p = {.fd = PQsocket(db->c), .events = events};
    int wait = -1;
    if (db->deadline != UINT64_MAX) {
        uint64_t now = clock_mono_ms();
        if (now >= db->deadline)
            return fail_broken(db, "the server does not answer");
        wait = db->deadline - now > 60000 ? 60000 : (int)(db->deadline - now);
    }
    if (poll(&p, 1, wait) > 0 && (p.revents & (POLLIN | POLLERR | POLLHUP)) &&
        !PQconsumeInput(db->c))
        return fail_broken(db, PQerrorMessage(db->c));
    return ERR_OK;
}

static enum err flush(struct pg *db)
{
    for (int left; (left = PQflush(db->c)) != 0;) {
        if (left < 0)
            return fail_broken(db, PQerrorMessage(db->c));
        enum err e = wait_for(db, POLLIN | POLLOUT);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* next_result waits for the next result; *out NULL when the command is over. */
static enum err next_result(struct pg *db, PGresult **out)
{
    while (PQisBusy(db->c)) {
        enum err e = wait_for(db, POLLIN);
        if (e)
            return e;
    }
    *out = PQgetResult(db->c);
    return ERR_OK;
}

static bool succeeded(const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_COPY_IN ||
           s == PGRES_COPY_OUT || s == PGRES_EMPTY_QUERY;
}

static bool is_copy(const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_COPY_IN || s == PGRES_COPY_OUT;
}

/* finish drains a command that was sent: the last good result goes to *out, the first error is
 * returned. */
static enum err finish(struct pg *db, PGresult **out)
{
    PGresult *last = NULL, *r = NULL;
    enum err first = ERR_OK;
    enum err e = flush(db);
    while (!e && !(e = next_result(db, &r)) && r) {
        if (!succeeded(r)) {
            first = first ? first : fail_result(db, r);
            PQclear(r);
        } else {
            PQclear(last);
            last = r;
        }
        r = NULL;
        if (PQstatus(db->c) != CONNECTION_OK)
            db->broken = true;
        if (last && is_copy(last))
            break;
    }
    e = e ? e : first;
    if (e || !out) {
        PQclear(last);
        return e;
    }
    *out = last;
    return ERR_OK;
}

/* start: nothing is sent over a broken connection or with leftovers of an older command in it. */
static enum err start(struct pg *db)
{
    forget_error(db);
    if (!pg_is_ok(db)) {
        set_error(db, "not connected", "");
        return ERR_DB;
    }
    set_deadline(db);
    return ERR_OK;
}

/* ---- statements ---- */

static enum err terminate_params(struct pg *db, const struct str *params, size_t n,
                                 const char *values[MAX_PARAMS])
{
    if (n > MAX_PARAMS)
        return ERR_TOOBIG;
    buf_reset(&db->scratch);
    for (size_t i = 0; i < n; i++) {
        if (params[i].n && memchr(params[i].p, '\0', params[i].n)) {
            set_error(db, "a value contains a zero byte", "22021");
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
    enum err e = start(db);
    if (!e)
        e = terminate_params(db, params, n, values);
    if (e)
        return e;
    if (!PQsendQueryParams(db->c, sql, (int)n, NULL, values, NULL, NULL, 0))
        return fail_broken(db, PQerrorMessage(db->c));
    e = finish(db, &r);
    return e ? e : give(r, out);
}

static enum err prepare(struct pg *db, const char *name, const char *sql)
{
    if (map_find(&db->prepared, str_of(name)))
        return ERR_OK;
    if (strlen(name) >= sizeof(struct prepared))
        return ERR_TOOBIG;
    struct prepared *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    memcpy(p->name, name, strlen(name));
    enum err e = ERR_OK;
    if (!PQsendPrepare(db->c, name, sql, 0, NULL))
        e = fail_broken(db, PQerrorMessage(db->c));
    if (!e)
        e = finish(db, NULL);
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
    enum err e = start(db);
    if (!e)
        e = prepare(db, name, sql);
    if (!e)
        e = terminate_params(db, params, n, values);
    if (e)
        return e;
    if (!PQsendQueryPrepared(db->c, name, (int)n, values, NULL, NULL, binary))
        return fail_broken(db, PQerrorMessage(db->c));
    return ERR_OK;
}

static enum err run_prepared(struct pg *db, const char *name, const char *sql,
                             const struct str *params, size_t n, bool binary,
                             struct pg_result **out)
{
    PGresult *r = NULL;
    enum err e = send_prepared(db, name, sql, params, n, binary);
    if (!e)
        e = finish(db, &r);
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
    enum err first = ERR_OK, e = flush(db);
    while (!e && !(e = next_result(db, &r)) && r) {
        if (!first && PQresultStatus(r) == PGRES_SINGLE_TUPLE)
            first = take(ctx, (const struct pg_result *)r);
        else if (!first && !succeeded(r))
            first = fail_result(db, r);
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
        return fail_broken(db, PQerrorMessage(db->c));
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
            e = fail_broken(db, PQerrorMessage(db->c));
        if (!e && i % FLUSH_EVERY == FLUSH_EVERY - 1)
            e = flush(db);
    }
    if (!e && !PQpipelineSync(db->c))
        e = fail_broken(db, PQerrorMessage(db->c));
    return e ? e : flush(db);
}

/* read_calls takes all results up to the sync; the statements after a failure only say that they
 * were skipped. */
static enum err read_calls(struct pg *db)
{
    enum err first = ERR_OK;
    for (bool synced = false; !synced;) {
        PGresult *r = NULL;
        enum err e = next_result(db, &r);
        if (e)
            return e;
        if (PQstatus(db->c) != CONNECTION_OK) {
            PQclear(r);
            return fail_broken(db, PQerrorMessage(db->c));
        }
        ExecStatusType s = r ? PQresultStatus(r) : PGRES_COMMAND_OK; /* NULL: between two */
        synced = s == PGRES_PIPELINE_SYNC;
        if (!synced && r && !succeeded(r) && s != PGRES_PIPELINE_ABORTED && !first)
            first = fail_result(db, r);
        PQclear(r);
    }
    return first;
}

enum err pg_pipeline(struct pg *db, const struct pg_call *calls, size_t n)
{
    const char *values[MAX_PARAMS];
    enum err e = start(db);
    for (size_t i = 0; !e && i < n; i++) { /* what fails on our side must fail before the first */
        e = terminate_params(db, calls[i].params, calls[i].n, values);
        if (!e)
            e = prepare(db, calls[i].name, calls[i].sql);
    }
    if (e)
        return e;
    if (!PQenterPipelineMode(db->c))
        return fail_broken(db, PQerrorMessage(db->c));
    e = send_calls(db, calls, n);
    if (!e)
        e = read_calls(db);
    if (!db->broken && !PQexitPipelineMode(db->c))
        return fail_broken(db, PQerrorMessage(db->c));
    return e;
}

enum err pg_script(struct pg *db, const char *sql)
{
    enum err e = start(db);
    if (e)
        return e;
    if (!PQsendQuery(db->c, sql))
        return fail_broken(db, PQerrorMessage(db->c));
    return finish(db, NULL);
}

/* ---- COPY ---- */

static enum err send_copy(struct pg *db, const char *p, size_t n)
{
    while (n) {
        size_t piece = n < COPY_PIECE_BYTES ? n : COPY_PIECE_BYTES;
        int done = PQputCopyData(db->c, p, (int)piece);
        enum err e = done < 0 ? fail_broken(db, PQerrorMessage(db->c)) : flush(db);
        if (e)
            return e;
        if (done) {
            p += piece;
            n -= piece;
        }
    }
    return ERR_OK;
}

static enum err end_copy(struct pg *db)
{
    int done;
    while ((done = PQputCopyEnd(db->c, NULL)) == 0) {
        enum err e = wait_for(db, POLLIN | POLLOUT);
        if (e)
            return e;
    }
    return done < 0 ? fail_broken(db, PQerrorMessage(db->c)) : ERR_OK;
}

/* open_copy sends a COPY statement and waits until data may flow. */
static enum err open_copy(struct pg *db, const char *sql, ExecStatusType want)
{
    PGresult *r = NULL;
    enum err e = start(db);
    if (e)
        return e;
    if (!PQsendQuery(db->c, sql))
        return fail_broken(db, PQerrorMessage(db->c));
    e = finish(db, &r);
    if (e)
        return e;
    bool ready = r && PQresultStatus(r) == want;
    PQclear(r);
    return ready ? ERR_OK : fail_broken(db, "the statement is not the COPY it should be");
}

/* close_copy takes the server's last word: how many rows it were. */
static enum err close_copy(struct pg *db, uint64_t *rows)
{
    PGresult *r = NULL;
    enum err e = finish(db, &r);
    if (!e && rows)
        *rows = r ? strtoull(PQcmdTuples(r), NULL, 10) : 0;
    PQclear(r);
    return e;
}

enum err pg_copy_in(struct pg *db, const char *sql, const void *bytes, size_t n, uint64_t *rows)
{
    enum err e = open_copy(db, sql, PGRES_COPY_IN);
    if (!e)
        e = send_copy(db, bytes, n);
    if (!e)
        e = end_copy(db);
    return e ? e : close_copy(db, rows);
}

/* read_copy waits for the next message of a COPY; *n 0: the data is over.  Each may take as long as
 * a statement. */
static enum err read_copy(struct pg *db, char **message, size_t *n)
{
    int got;
    while ((got = PQgetCopyData(db->c, message, 1)) == 0) {
        set_deadline(db);
        enum err e = wait_for(db, POLLIN);
        if (e)
            return e;
    }
    if (got == -2)
        return fail_broken(db, PQerrorMessage(db->c));
    *n = got < 0 ? 0 : (size_t)got;
    return ERR_OK;
}

/* take_message shows the rows of one message.  The server sends one row in each, the first with the
 * head of the format in front; the tail is a count of fields of -1. */
static enum err take_message(const char *p, size_t n, bool first, pg_row *take, void *ctx)
{
    static const char signature[] = "PGCOPY\n\377\r\n";
    if (first && (n < COPY_HEAD_BYTES || memcmp(p, signature, sizeof signature) != 0))
        return ERR_INVALID;
    size_t skip = first ? COPY_HEAD_BYTES : 0;
    p += skip;
    n -= skip;
    if (!n || (n == 2 && (unsigned char)p[0] == 0xff && (unsigned char)p[1] == 0xff))
        return ERR_OK;
    return take(ctx, str_make(p, n));
}

enum err pg_copy_out(struct pg *db, const char *sql, pg_row *take, void *ctx, uint64_t *rows)
{
    enum err taken = ERR_OK;
    enum err e = open_copy(db, sql, PGRES_COPY_OUT);
    for (bool first = true; !e; first = false) {
        char *message = NULL;
        size_t n = 0;
        e = read_copy(db, &message, &n);
        if (e || !n)
            break;
        if (!taken)
            taken = take_message(message, n, first, take, ctx);
        PQfreemem(message);
    }
    if (!e)
        e = close_copy(db, rows);
    return e ? e : taken;
}

void pg_cancel(struct pg *db)
{
    char why[256];
    if (db->cancel && !PQcancel(db->cancel, why, sizeof why))
        log_warn("pg.not_cancelled", KV("reason", why));
}

enum err pg_set_timeout(struct pg *db, uint32_t ms)
{
    char text[16];
    size_t n = 0;
    uint32_t v = ms;
    do
        text[sizeof text - ++n] = (char)('0' + v % 10);
    while (v /= 10);
    struct str p = {text + sizeof text - n, n};
    enum err e = pg_exec(db, "SELECT set_config('statement_timeout', $1, false)", &p, 1, NULL);
    if (!e)
        db->timeout_ms = ms;
    return e;
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
