/* res_export.c - samples as a file: CSV or NDJSON, in chunks, however long it is.
 *
 * The head goes out once the first window of time is read, so what is wrong with the question is
 * still answered as a problem.  After that every window is read with a connection that is given
 * back before the client gets its lines: a slow client holds this worker and one window's text, and
 * nothing of the database.  What goes wrong midway ends the connection without the last chunk, so
 * no client takes a part for the whole. */
#include "http/http_int.h"
#include "base/clock.h"
#include "store/export.h"

#include <civetweb.h>

#define DAY_MS        86400000
#define KEY_MAX       1024
#define BUCKET_MAX_S  (366 * 86400)
#define FILE_NAME_MAX 100

static bool read_format(struct request *r, enum export_format *out)
{
    struct str format = request_query(r, "format");
    *out = str_is(format, "ndjson") ? EXPORT_NDJSON : EXPORT_CSV;
    if (!format.n || str_is(format, "csv") || str_is(format, "ndjson"))
        return true;
    reply_problem(r, 400, "bad_parameter", "format is csv or ndjson.");
    return false;
}

static bool read_request(struct request *r, struct str keys[EXPORT_SERIES_MAX],
                         struct export_request *q)
{
    for (struct str key; (key = request_query_at(r, "series", q->n)).p; keys[q->n++] = key)
        if (q->n == EXPORT_SERIES_MAX || !key.n || key.n > KEY_MAX) {
            reply_problem(r, 400, "bad_parameter", "series are 1 to 32 keys.");
            return false;
        }
    if (!q->n) {
        reply_problem(r, 400, "bad_parameter", "series is needed, for example spb:Temperature.");
        return false;
    }
    if (!read_format(r, &q->format) || !request_time(r, "to", clock_utc_ms(), &q->to_ms) ||
        !request_time(r, "from", q->to_ms - DAY_MS, &q->from_ms) ||
        !request_number(r, "bucket", 0, 0, BUCKET_MAX_S, &q->bucket_s))
        return false;
    if (q->from_ms >= q->to_ms)
        reply_problem(r, 400, "bad_parameter", "from must be before to.");
    return q->from_ms < q->to_ms;
}

/* Every window: what it held goes out before the next one is read. */
static void stream(struct request *r, struct export *x)
{
    bool done = false;
    struct pg *db = r->db;
    enum err e = ERR_OK;
    while (db && !e && !done) {
        e = export_next(x, db, &r->out, &done);
        request_db_end(r);
        if (!e && !reply_stream(r))
            return;
        if (!e && !done)
            db = request_db(r);
    }
    if (done && !e)
        reply_stream_end(r);
    else
        reply_stream_broken(r, e ? e : ERR_DB, "series");
}

/* Streams hold their worker as long as their client likes. */
static bool admit(struct request *r)
{
    size_t most = r->http->parked_max / 2;
    if (atomic_fetch_add(&r->http->exports, 1) < (most ? most : 1))
        return true;
    atomic_fetch_sub(&r->http->exports, 1);
    reply_unavailable(r, "busy", "Too many exports are under way.");
    return false;
}

/* The file is named after its device; what a file system may mind becomes an underscore. */
static void open_stream(struct request *r, const struct export_request *q)
{
    static const struct {
        const char *type, *ending;
    } formats[] = {[EXPORT_CSV] = {"text/csv; charset=utf-8; header=present", "csv"},
                   [EXPORT_NDJSON] = {"application/x-ndjson", "ndjson"}};
    char name[FILE_NAME_MAX + 1] = "", disposition[FILE_NAME_MAX + 64];
    for (size_t i = 0; i < q->endpoint.n && i < FILE_NAME_MAX; i++) {
        char c = q->endpoint.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c && strchr("-._", c));
        name[i] = plain ? c : '_';
    }
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s-history.%s\"", name,
             formats[q->format].ending);
    reply_stream_open(r, formats[q->format].type, disposition);
}

void res_export(struct request *r)
{
    struct str keys[EXPORT_SERIES_MAX];
    struct export_request q = {.keys = keys};
    struct export *x = NULL;
    if (!read_request(r, keys, &q) || !request_device(r))
        return;
    q.endpoint = r->params[0];
    if (!str_is(str_of(r->info->http_version), "1.1")) {
        reply_problem(r, 426, "http_version", "A stream needs HTTP/1.1.");
        return;
    }
    struct pg *db = request_db(r);
    if (!db || !admit(r))
        return;
    enum err e = export_new(db, &q, &x);
    if (e) {
        reply_err(r, e, "series");
        goto out;
    }
    open_stream(r, &q);
    stream(r, x);
out:
    export_free(x);
    atomic_fetch_sub(&r->http->exports, 1);
}
