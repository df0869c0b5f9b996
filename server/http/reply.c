/* reply.c - answers: built in memory, sent in one write.
 *
 * Status line, headers and body leave in one mg_write, which is almost three times as fast as
 * several and never leaves half an answer behind an error.  Every answer carries the security
 * headers; API answers are not cached unless their handler says otherwise. */
#include "http/http_int.h"
#include "base/clock.h"

#include <civetweb.h>
#include <stdio.h>
#include <time.h>

#define CSP                                                                                        \
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

const char *reply_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return status < 400 ? "OK" : status < 500 ? "Bad Request" : "Internal Server Error";
}

static void start(struct request *r, int status, const char *type)
{
    buf_reset(&r->out);
    r->status = status;
    r->type = type;
    json_out_init(&r->json, &r->out);
}

struct json_out *reply_json(struct request *r, int status)
{
    start(r, status, "application/json");
    return &r->json;
}

void reply_empty(struct request *r, int status)
{
    start(r, status, NULL);
}

void reply_header(struct request *r, const char *name, const char *value)
{
    buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

void reply_cacheable(struct request *r, const char *etag, const char *cache_control)
{
    if (etag)
        reply_header(r, "ETag", etag);
    reply_header(r, "Cache-Control", cache_control);
}

void reply_version(struct request *r, const char *version)
{
    char quoted[LABEL_VERSION + 2];
    snprintf(quoted, sizeof quoted, "\"%s\"", version);
    reply_header(r, "ETag", quoted);
}

/* Refusals that somebody may want to be woken by, by the code of the answer. */
static const struct {
    const char *code;
    enum metric metric;
} refusals[] = {
    {"unauthenticated", M_HTTP_STRANGER},  {"bad_credentials", M_HTTP_STRANGER},
    {"forbidden", M_HTTP_FORBIDDEN},       {"csrf", M_HTTP_CSRF},
    {"bad_origin", M_HTTP_ORIGIN},         {"login_throttled", M_HTTP_THROTTLED},
    {"login_busy", M_HTTP_THROTTLED},      {"too_large", M_HTTP_TOOBIG},
    {"too_many_headers", M_HTTP_TOOBIG},   {"bad_request", M_HTTP_MALFORMED},
    {"malformed_json", M_HTTP_MALFORMED},  {"too_deep", M_HTTP_MALFORMED},
    {"too_many_values", M_HTTP_MALFORMED}, {"invalid_utf8", M_HTTP_MALFORMED},
};

static void count_refusal(struct request *r, const char *code)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (!strcmp(refusals[i].code, code))
            metric_add(r->http->metrics, refusals[i].metric, 1);
}

struct json_out *reply_problem_open(struct request *r, int status, const char *code,
                                    const char *detail)
{
    start(r, status, "application/problem+json");
    count_refusal(r, code);
    struct json_out *j = &r->json;
    json_open(j, '{');
    json_put_text(j, "type", "about:blank");
    json_put_text(j, "title", reply_reason(status));
    json_put_i64(j, "status", status);
    json_put_text(j, "code", code);
    json_put_text(j, "detail", detail);
    return j;
}

void reply_problem(struct request *r, int status, const char *code, const char *detail)
{
    json_close(reply_problem_open(r, status, code, detail));
}

void reply_unavailable(struct request *r, const char *code, const char *detail)
{
    reply_header(r, "Retry-After", "2");
    reply_problem(r, 503, code, detail);
}

/* What an error means to a client.  `what` replaces the %s. */
static const struct {
    enum err e;
    int status;
    const char *code, *detail;
} errors[] = {
    {ERR_NOTFOUND, 404, "not_found", "There is no such %s."},
    {ERR_EXISTS, 409, "exists", "There is such a %s already."},
    {ERR_CONFLICT, 409, "conflict", "The state of this %s does not allow that."},
    {ERR_INVALID, 422, "invalid", "PostgreSQL or the engine refused a value of this %s."},
    {ERR_RANGE, 422, "out_of_range", "A value of this %s is outside what is allowed."},
    {ERR_DENIED, 403, "denied", "That is not allowed for this %s."},
    {ERR_TOOBIG, 422, "too_big", "The answer about this %s would be too large; ask for less."},
};

void reply_err(struct request *r, enum err e, const char *what)
{
    if (e == ERR_DB || e == ERR_IO) {
        reply_unavailable(r, "database_unavailable", "The database cannot be reached just now.");
        return;
    }
    if (e == ERR_BROKER) {
        reply_unavailable(r, "broker_unavailable", "The broker cannot be reached just now.");
        return;
    }
    if (e == ERR_TIMEOUT || e == ERR_FULL || e == ERR_CLOSED || e == ERR_AGAIN) {
        reply_unavailable(r, "busy", "The server is busy or stopping; try again.");
        return;
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].e == e) {
            char detail[160];
            struct str before = str_of(errors[i].detail);
            const char *at = strstr(errors[i].detail, "%s");
            before.n = (size_t)(at - errors[i].detail);
            snprintf(detail, sizeof detail, "%.*s%s%s", STR_ARG(before), what, at + 2);
            reply_problem(r, errors[i].status, errors[i].code, detail);
            return;
        }
    reply_problem(r, 500, "internal", "Something went wrong inside the server.");
}

void reply_list_err(struct request *r, enum err e, const char *what)
{
    if (e == ERR_INVALID)
        reply_problem(r, 400, "bad_cursor", "This cursor is not one of ours.");
    else if (e)
        reply_err(r, e, what);
}

static void count(struct request *r)
{
    struct metrics *m = r->http->metrics;
    metric_add(m, r->status < 400 ? M_HTTP_2XX : r->status < 500 ? M_HTTP_4XX : M_HTTP_5XX, 1);
}

static void write_head(struct request *r, struct buf *b)
{
    char date[64];
    time_t now = (time_t)(clock_utc_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status, reply_reason(r->status), date);
    if (r->type)
        buf_printf(b, "Content-Type: %s\r\n", r->type);
    if (r->stream != STREAM_NONE)
        buf_puts(b, "Transfer-Encoding: chunked\r\n");
    else if (r->status != 204 && r->status != 304)
        buf_printf(b, "Content-Length: %zu\r\n", r->out.n);
    buf_puts(b, "Content-Security-Policy: " CSP "\r\n"
                "X-Content-Type-Options: nosniff\r\n"
                "Referrer-Policy: no-referrer\r\n"
                "X-Frame-Options: DENY\r\n"
                "Cross-Origin-Opener-Policy: same-origin\r\n"
                "Cross-Origin-Resource-Policy: same-origin\r\n");
    buf_str(b, buf_view(&r->headers));
    if (!memmem(r->headers.p ? r->headers.p : "", r->headers.n, "Cache-Control:", 14))
        buf_puts(b, "Cache-Control: no-store\r\n");
    buf_puts(b, "\r\n");
}

/* ---- streams ---- */

/* What a client has to take within the server's time limit. */
#define PIECE_BYTES ((size_t)64 << 10)

void reply_stream_open(struct request *r, const char *type, const char *disposition)
{
    start(r, 200, type);
    reply_header(r, "Content-Disposition", disposition);
    r->stream = STREAM_READY;
}

static bool write_all(struct request *r, const char *p, size_t n)
{
    if (mg_write(r->conn, p, n) == (int)n)
        return true;
    mg_disable_connection_keep_alive(r->conn);
    r->stream = STREAM_OVER;
    return false;
}

static bool write_piece(struct request *r, const char *p, size_t n)
{
    struct buf b;
    buf_init(&b, n + 32);
    buf_printf(&b, "%zx\r\n", n);
    buf_put(&b, p, n);
    buf_puts(&b, "\r\n");
    bool ok = !b.err && write_all(r, b.p, b.n);
    buf_fini(&b);
    return ok;
}

static bool write_stream_head(struct request *r)
{
    struct buf b;
    buf_init(&b, 16384);
    write_head(r, &b);
    bool ok = !b.err && write_all(r, b.p, b.n);
    buf_fini(&b);
    if (ok)
        r->stream = r->head ? STREAM_OVER : STREAM_OPEN;
    return ok && !r->head;
}

bool reply_stream(struct request *r)
{
    if (r->stream == STREAM_READY && !write_stream_head(r))
        return false;
    for (size_t at = 0; at < r->out.n; at += PIECE_BYTES) {
        size_t left = r->out.n - at;
        if (!write_piece(r, r->out.p + at, left < PIECE_BYTES ? left : PIECE_BYTES))
            return false;
    }
    buf_reset(&r->out);
    return true;
}

void reply_stream_end(struct request *r)
{
    if (r->stream == STREAM_OPEN && write_all(r, "0\r\n\r\n", 5))
        r->stream = STREAM_OVER;
}

void reply_stream_broken(struct request *r, enum err e, const char *what)
{
    if (r->stream == STREAM_READY) {
        r->stream = STREAM_NONE;
        buf_reset(&r->headers);
        reply_err(r, e, what);
        return;
    }
    r->stream = STREAM_OVER;
    mg_disable_connection_keep_alive(r->conn);
}

void reply_send(struct request *r)
{
    if (r->stream != STREAM_NONE) {
        count(r);
        return;
    }
    if (r->out.err || r->headers.err) {
        buf_reset(&r->headers);
        reply_problem(r, 500, "internal", "The answer did not fit into memory.");
    }
    struct buf b;
    buf_init(&b, HTTP_ANSWER_MAX + 16384);
    write_head(r, &b);
    if (!r->head && r->status != 204 && r->status != 304)
        buf_str(&b, buf_view(&r->out));
    if (!b.err)
        mg_write(r->conn, b.p, b.n);
    buf_fini(&b);
    count(r);
}
