/* q_history.c - series over a span as JSON, never more points than a chart can show.
 *
 * Few samples come back as they are; many are put into buckets that keep minimum and maximum, so
 * that no peak vanishes (store/history.h).  Texts come back as they are, the newest ones if there
 * are too many.  Several series share one grid: if one of them needs buckets, all have them. */
#include "store/q_page.h"

#include <stdlib.h>

#include "store/history.h"

/* A series on its way into an answer. */
struct shown {
    struct str endpoint, key;
    int32_t id;
    struct pg_result *about; /* id, datatype, unit */
    struct history history;
    struct pg_result *texts; /* NULL: there are numbers */
    bool found;              /* `before` holds something */
    struct history_point before;
};

static void shown_free(struct shown *s)
{
    pg_result_free(s->about);
    pg_result_free(s->texts);
    history_free(&s->history);
}

/* ---- reading ---- */

static enum err find_series(struct pg *db, struct shown *s)
{
    enum err e = pg_prepared(db, "history_series",
                             "SELECT s.id, s.datatype, s.unit FROM series s "
                             "JOIN device d ON d.id = s.device_id "
                             "WHERE d.endpoint = $1 AND s.key = $2",
                             (struct str[]){s->endpoint, s->key}, 2, &s->about);
    if (e)
        return e;
    if (!pg_rows(s->about))
        return ERR_NOTFOUND;
    s->id = (int32_t)pg_i64(s->about, 0, 0);
    return ERR_OK;
}

static enum err read_texts(struct pg *db, const struct q_history *q, struct shown *s)
{
    char id[24], from[24], to[24], limit[24];
    struct str params[] = {q_number(id, s->id), q_number(from, q->from_ms), q_number(to, q->to_ms),
                           q_number(limit, q->points)};
    return pg_prepared(db, "history_text",
                       "SELECT to_ms(ts), coalesce(value, encode(bytes, 'base64')), kind FROM "
                       "(SELECT ts, value, bytes, kind FROM text_samples "
                       "WHERE series_id = $1::integer AND ts >= at_ms($2::bigint) "
                       "AND ts < at_ms($3::bigint) ORDER BY ts DESC LIMIT $4::bigint) newest "
                       "ORDER BY ts",
                       params, 4, &s->texts);
}

static struct history_span span_of(const struct q_history *q, int32_t id)
{
    return (struct history_span){id, q->from_ms * 1000, q->to_ms * 1000, q->recent};
}

static enum err read_one(struct pg *db, const struct q_history *q, struct shown *s)
{
    enum err e = find_series(db, s);
    if (!e)
        e = history_read(db, span_of(q, s->id), q->points, &s->history);
    if (!e && q->before)
        e = history_before(db, s->id, q->from_ms * 1000, q->recent, &s->found, &s->before);
    if (!e && s->history.raw && !s->history.points.n)
        e = read_texts(db, q, s);
    return e;
}

/* One that was few enough for raw points gets the buckets that another one needs. */
static enum err read_as_buckets(struct pg *db, const struct q_history *q, int64_t width_us,
                                struct shown *s)
{
    if (!s->history.raw || !s->history.points.n)
        return ERR_OK;
    struct history_buckets b;
    enum err e = history_read_buckets(db, span_of(q, s->id), width_us, &b);
    if (e)
        return e;
    history_free(&s->history);
    s->history = (struct history){.buckets = b};
    return ERR_OK;
}

/* ---- writing ---- */

static int64_t bucket_ms(const struct shown *s)
{
    return s->history.raw ? 0 : s->history.buckets.width_us / 1000;
}

static void put_points(struct json_out *j, const struct history_points *p)
{
    for (size_t i = 0; i < p->n; i++) {
        json_open(j, '[');
        json_i64(j, history_floor(p->v[i].ts_us, 1000) / 1000);
        json_double(j, p->v[i].value);
        json_close(j);
    }
}

static void put_texts(struct json_out *j, const struct pg_result *r)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '[');
        json_i64(j, pg_i64(r, i, 0));
        if (pg_null(r, i, 1))
            json_null(j);
        else if (str_is(pg_text(r, i, 2), "j"))
            json_raw(j, pg_text(r, i, 1));
        else
            json_str(j, pg_text(r, i, 1));
        json_close(j);
    }
}

/* Numbers that are not there are NaN, which JSON has as null. */
static void put_buckets(struct json_out *j, const struct history_buckets *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct rollup_entry *e = &b->bucket[i].entry;
        const double none = __builtin_nan("");
        bool sound = e->n > e->bad;
        if (!e->n)
            continue;
        json_open(j, '[');
        json_i64(j, (b->start_us + (int64_t)i * b->width_us) / 1000);
        json_double(j, sound ? e->lo : none);
        json_double(j, sound ? e->hi : none);
        json_double(j, sound ? e->mean : none);
        json_i64(j, e->n);
        json_double(j, sound ? e->last : none);
        json_close(j);
    }
}

static void put_before(const struct shown *s, struct json_out *j)
{
    json_key(j, "before");
    if (!s->found) {
        json_null(j);
        return;
    }
    json_open(j, '[');
    json_i64(j, history_floor(s->before.ts_us, 1000) / 1000);
    json_double(j, s->before.value);
    json_close(j);
}

/* The members that tell of one series. */
static void put_series(const struct q_history *q, const struct shown *s, struct json_out *j)
{
    json_key(j, "series");
    json_str(j, s->key);
    q_put_text(j, "datatype", s->about, 0, 1);
    q_put_text(j, "unit", s->about, 0, 2);
    if (q->before)
        put_before(s, j);
    json_key(j, "points");
    json_open(j, '[');
    if (s->texts)
        put_texts(j, s->texts);
    else if (s->history.raw)
        put_points(j, &s->history.points);
    else
        put_buckets(j, &s->history.buckets);
    json_close(j);
}

static void put_span(const struct q_history *q, int64_t width_ms, struct json_out *j)
{
    json_key(j, "from");
    json_time(j, q->from_ms);
    json_key(j, "to");
    json_time(j, q->to_ms);
    json_key(j, "bucket_ms");
    json_i64(j, width_ms);
}

/* ---- both answers ---- */

static bool is_span(const struct q_history *q)
{
    return q->to_ms > q->from_ms && q->points && q->from_ms > -HISTORY_SPAN_MAX_US / 1000 &&
           q->to_ms < HISTORY_SPAN_MAX_US / 1000;
}

enum err q_history(struct pg *db, const struct q_history *q, struct json_out *j)
{
    struct shown s = {.endpoint = q->endpoint, .key = q->series};
    if (!is_span(q))
        return ERR_INVALID;
    enum err e = read_one(db, q, &s);
    if (!e) {
        json_open(j, '{');
        put_span(q, bucket_ms(&s), j);
        put_series(q, &s, j);
        json_close(j);
    }
    shown_free(&s);
    return e;
}

static enum err read_all(struct pg *db, const struct q_history *q, struct shown *s, size_t n,
                         int64_t *width_ms)
{
    enum err e = ERR_OK;
    *width_ms = 0;
    for (size_t i = 0; !e && i < n; i++) {
        e = read_one(db, q, &s[i]);
        if (!e && bucket_ms(&s[i]))
            *width_ms = bucket_ms(&s[i]);
    }
    for (size_t i = 0; !e && *width_ms && i < n; i++)
        e = read_as_buckets(db, q, *width_ms * 1000, &s[i]);
    return e;
}

enum err q_history_aligned(struct pg *db, const struct q_history *q, const struct q_series *series,
                           size_t n, struct json_out *j)
{
    int64_t width_ms = 0;
    if (!is_span(q))
        return ERR_INVALID;
    struct shown *s = calloc(n ? n : 1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        s[i] = (struct shown){.endpoint = series[i].endpoint, .key = series[i].key};
    enum err e = read_all(db, q, s, n, &width_ms);
    if (!e) {
        json_open(j, '{');
        put_span(q, width_ms, j);
        json_key(j, "items");
        json_open(j, '[');
        for (size_t i = 0; i < n; i++) {
            json_open(j, '{');
            json_key(j, "endpoint");
            json_str(j, s[i].endpoint);
            put_series(q, &s[i], j);
            json_close(j);
        }
        json_close(j);
        json_close(j);
    }
    for (size_t i = 0; i < n; i++)
        shown_free(&s[i]);
    free(s);
    return e;
}
