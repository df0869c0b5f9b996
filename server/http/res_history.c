/* res_history.c - what was: series, their samples, and the timeline of one device or of all. */
#include "http/http_int.h"
#include "base/clock.h"

#define DAY_MS     86400000
#define POINTS_MAX 5000

/* ERR_NOTFOUND for a device the shards do not know; false after answering. */
static bool device_known(struct request *r)
{
    int64_t id;
    bool sleeping;
    if (!request_endpoint(r))
        return false;
    enum err e =
        engine_device_id(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS, &id, &sleeping);
    if (e)
        reply_err(r, e, "device");
    return !e;
}

void res_series(struct request *r)
{
    struct pg *db = device_known(r) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = q_series(db, r->params[0], reply_json(r, 200));
    if (e)
        reply_err(r, e, "device");
}

void res_history(struct request *r)
{
    int64_t points;
    int64_t now = clock_utc_ms();
    struct q_history q = {.series = request_query(r, "series")};
    if (!q.series.n || q.series.n > 1024) {
        reply_problem(r, 400, "bad_parameter", "series is needed, for example spb:Temperature.");
        return;
    }
    if (!request_time(r, "to", now, &q.to_ms) ||
        !request_time(r, "from", q.to_ms - DAY_MS, &q.from_ms) ||
        !request_number(r, "points", 500, 1, POINTS_MAX, &points))
        return;
    if (q.from_ms >= q.to_ms) {
        reply_problem(r, 400, "bad_parameter", "from must be before to.");
        return;
    }
    struct pg *db = device_known(r) ? request_db(r) : NULL;
    if (!db)
        return;
    q.endpoint = r->params[0];
    q.points = (uint32_t)points;
    enum err e = q_history(db, &q, reply_json(r, 200));
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
    if (e == ERR_INVALID)
        reply_problem(r, 400, "bad_cursor", "This cursor is not one of ours.");
    else if (e)
        reply_err(r, e, "timeline");
}

void res_timeline(struct request *r)
{
    timeline(r, (struct str){0});
}

void res_device_timeline(struct request *r)
{
    if (device_known(r))
        timeline(r, r->params[0]);
}
