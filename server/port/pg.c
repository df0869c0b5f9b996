/* pg.c - see pg.h.
 *
 * The connection is non-blocking underneath: every call sends, then polls the socket with a
 * deadline, so a server that hangs (stopped, out of disk, behind a dead network) costs the caller
 * its time limit and never for ever.  After such a timeout nobody knows what the server will still
 * say, so the connection counts as broken. */
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "port/pg_int.h"

#define SCRATCH_MAX_BYTES  ((size_t)64 << 20)
#define DEFAULT_TIMEOUT_MS 30000
/* How much longer we wait for the server than it should take by its own statement_timeout. */
#define GRACE_MS 2000

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
    struct pg_known *p;
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

void pg_set_error(struct pg *db, const char *words, const char *sqlstate)
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
enum err pg_fail_result(struct pg *db, const PGresult *r)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *words = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    pg_set_error(db, words ? words : PQerrorMessage(db->c), state);
    enum err e = classify(db->sqlstate);
    if (e == ERR_DB)
        log_warn("pg.failed", KV("sqlstate", db->sqlstate), KV("reason", db->error));
    return e;
}

enum err pg_fail_broken(struct pg *db, const char *words)
{
    db->broken = true;
    pg_set_error(db, words, "");
    log_warn("pg.broken", KV("reason", db->error));
    return ERR_DB;
}

/* ---- waiting ---- */

void pg_call_deadline(struct pg *db)
{
    db->deadline = db->timeout_ms ? clock_mono_ms() + db->timeout_ms + GRACE_MS : UINT64_MAX;
}

/* pg_call_wait polls for input, or for input and room to write. */
enum err pg_call_wait(struct pg *db, short events)
{
    struct pollfd p = {.fd = PQsocket(db->c), .events = events};
    int wait = -1;
    if (db->deadline != UINT64_MAX) {
        uint64_t now = clock_mono_ms();
        if (now >= db->deadline)
            return pg_fail_broken(db, "the server does not answer");
        wait = db->deadline - now > 60000 ? 60000 : (int)(db->deadline - now);
    }
    if (poll(&p, 1, wait) > 0 && (p.revents & (POLLIN | POLLERR | POLLHUP)) &&
        !PQconsumeInput(db->c))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    return ERR_OK;
}

enum err pg_call_flush(struct pg *db)
{
    for (int left; (left = PQflush(db->c)) != 0;) {
        if (left < 0)
            return pg_fail_broken(db, PQerrorMessage(db->c));
        enum err e = pg_call_wait(db, POLLIN | POLLOUT);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* pg_call_result waits for the next result; *out NULL when the command is over. */
enum err pg_call_result(struct pg *db, PGresult **out)
{
    while (PQisBusy(db->c)) {
        enum err e = pg_call_wait(db, POLLIN);
        if (e)
            return e;
    }
    *out = PQgetResult(db->c);
    return ERR_OK;
}

bool pg_succeeded(const PGresult *r)
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

/* pg_call_finish drains a command that was sent: the last good result goes to *out, the first error
 * is returned. */
enum err pg_call_finish(struct pg *db, PGresult **out)
{
    PGresult *last = NULL, *r = NULL;
    enum err first = ERR_OK;
    enum err e = pg_call_flush(db);
    while (!e && !(e = pg_call_result(db, &r)) && r) {
        if (!pg_succeeded(r)) {
            first = first ? first : pg_fail_result(db, r);
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

/* Nothing is sent over a broken connection or with leftovers of an older command in it. */
enum err pg_call_start(struct pg *db)
{
    forget_error(db);
    if (!pg_is_ok(db)) {
        pg_set_error(db, "not connected", "");
        return ERR_DB;
    }
    pg_call_deadline(db);
    return ERR_OK;
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
