/* pg_copy.c - COPY in both directions.  See pg.h. */
#include <poll.h>
#include <stdlib.h>

#include "port/pg_int.h"

#define COPY_PIECE_BYTES ((size_t)256 << 10)
#define COPY_HEAD_BYTES  19

static enum err send_copy(struct pg *db, const char *p, size_t n)
{
    while (n) {
        size_t piece = n < COPY_PIECE_BYTES ? n : COPY_PIECE_BYTES;
        int done = PQputCopyData(db->c, p, (int)piece);
        enum err e = done < 0 ? pg_fail_broken(db, PQerrorMessage(db->c)) : pg_call_flush(db);
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
        enum err e = pg_call_wait(db, POLLIN | POLLOUT);
        if (e)
            return e;
    }
    return done < 0 ? pg_fail_broken(db, PQerrorMessage(db->c)) : ERR_OK;
}

/* open_copy sends a COPY statement and waits until data may flow. */
static enum err open_copy(struct pg *db, const char *sql, ExecStatusType want)
{
    PGresult *r = NULL;
    enum err e = pg_call_start(db);
    if (e)
        return e;
    if (!PQsendQuery(db->c, sql))
        return pg_fail_broken(db, PQerrorMessage(db->c));
    e = pg_call_finish(db, &r);
    if (e)
        return e;
    bool ready = r && PQresultStatus(r) == want;
    PQclear(r);
    return ready ? ERR_OK : pg_fail_broken(db, "the statement is not the COPY it should be");
}

/* close_copy takes the server's last word: how many rows it were. */
static enum err close_copy(struct pg *db, uint64_t *rows)
{
    PGresult *r = NULL;
    enum err e = pg_call_finish(db, &r);
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
        pg_call_deadline(db);
        enum err e = pg_call_wait(db, POLLIN);
        if (e)
            return e;
    }
    if (got == -2)
        return pg_fail_broken(db, PQerrorMessage(db->c));
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
