/* res_history.c - what was: series, their samples, and the timeline of one device or of all. */
#include "http/http_int.h"
#include "base/clock.h"

#define DAY_MS      86400000
#define POINTS_MAX  5000
#define SERIES_MAX  1024
#define ALIGNED_MAX 32

void res_series(struct request *r)
{
    struct pg *db = request_device(r) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = q_series(db, r->params[0], reply_json(r, 200));
    if (e)
        reply_err(r, e, "device");
}

/* span_of reads from, to, points and before; false after answering. */
static bool span_of(struct request *r, struct q_history *q)
{
    int64_t points, before;
    if (!request_time(r, "to", clock_utc_ms(), &q->to_ms) ||
        !request_time(r, "from", q->to_ms - DAY_MS, &q->from_ms) ||
        !request_number(r, "points", 500, 1, POINTS_MAX, &points) ||
        !request_number(r, "before", 0, 0, 1, &before))
        return false;
    if (q->from_ms >= q->to_ms) {
        reply_problem(r, 400, "bad_parameter", "from must be before to.");
        return false;
    }
    q->points = (uint32_t)points;
    q->recent = r->http->parts.recent;
    q->before = before;
    return true;
}

void res_history(struct request *r)
{
    struct q_history q = {.series = request_query(r, "series")};
    if (!q.series.n || q.series.n > SERIES_MAX) {
        reply_problem(r, 400, "bad_parameter", "series is needed, for example spb:Temperature.");
        return;
    }
    if (!span_of(r, &q))
        return;
    struct pg *db = request_device(r) ? request_db(r) : NULL;
    if (!db)
        return;
    q.endpoint = r->params[0];
    enum err e = q_history(db, &q, reply_json(r, 200));
    if (e)
        reply_err(r, e, "series");
}

/* series=ENDPOINT/KEY, again and again: an endpoint has no slash, so the first one ends it. */
void res_history_aligned(struct request *r)
{
    struct q_history q = {0};
    struct q_series series[ALIGNED_MAX];
    size_t n = 0;
    for (struct str text; (text = request_query_at(r, "series", n)).p; n++) {
        if (n == ALIGNED_MAX) {
            reply_problem(r, 400, "bad_parameter", "There can be 32 series at most.");
            return;
        }
        series[n].endpoint = str_cut(&text, '/');
        series[n].key = text;
        if (!series[n].endpoint.n || !text.n || text.n > SERIES_MAX)
            break;
    }
    if (!n || request_query_at(r, "series", n).p) {
        reply_problem(r, 400, "bad_parameter",
                      "series is needed as ENDPOINT/KEY, for example one/spb:/Temperature.");
        return;
    }
    struct pg *db = span_of(r, &q) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = q_history_aligned(db, &q, series, n, reply_json(r, 200));
    if (e)
        reply_err(r, e, "series");
}

static void timeline(struct request *r, struct str endpoint)
{
    struct q_page page;
    if (!request_page(r, &page))
        return;
    struct str kind = request_query(r, "kind");
    struct pg *db = request_db(r);
    if (!db)
        return;
    if (!kind.n)
        kind.p = NULL;
    enum err e = q_timeline(db, endpoint, kind, page, reply_json(r, 200));
    reply_list_err(r, e, "timeline");
}

void res_timeline(struct request *r)
{
    timeline(r, (struct str){0});
}

void res_device_timeline(struct request *r)
{
    if (request_device(r))
        timeline(r, r->params[0]);
}
