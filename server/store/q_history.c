/* q_history.c - one series over a span, never more points than a chart can show.
 *
 * Few samples come back as they are; many are put into buckets that keep minimum and maximum, so
 * that no peak vanishes.  Texts come back as they are, the newest ones if there are too many. */
#include "store/q_page.h"

#include <stdio.h>

struct span {
    struct str series, from, to; /* ids and Unix ms as text */
    char series_text[24], from_text[24], to_text[24];
};

/* An open-ended answer: everything but "points", whose rows follow. */
static void open_answer(const struct q_history *q, const struct pg_result *series,
                        int64_t bucket_ms, struct json_out *j)
{
    json_open(j, '{');
    json_key(j, "series");
    json_str(j, q->series);
    q_put_text(j, "datatype", series, 0, 1);
    q_put_text(j, "unit", series, 0, 2);
    json_key(j, "from");
    json_time(j, q->from_ms);
    json_key(j, "to");
    json_time(j, q->to_ms);
    json_key(j, "bucket_ms");
    json_i64(j, bucket_ms);
    json_key(j, "points");
    json_open(j, '[');
}

static void put_number(struct json_out *j, const struct pg_result *r, size_t row, int col)
{
    if (pg_null(r, row, col))
        json_null(j);
    else
        json_double(j, pg_double(r, row, col));
}

static void put_raw(struct json_out *j, const struct pg_result *r)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '[');
        json_i64(j, pg_i64(r, i, 0));
        put_number(j, r, i, 1);
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

static void put_buckets(struct json_out *j, const struct pg_result *r)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '[');
        json_i64(j, pg_i64(r, i, 0));
        for (int c = 1; c <= 3; c++)
            put_number(j, r, i, c);
        json_i64(j, pg_i64(r, i, 4));
        put_number(j, r, i, 5);
        json_close(j);
    }
}

static enum err read_raw(struct pg *db, const struct span *s, uint32_t limit,
                         struct pg_result **out)
{
    char text[24];
    struct str params[] = {s->series, s->from, s->to, q_number(text, limit)};
    return pg_prepared(db, "history_raw",
                       "SELECT to_ms(ts), value FROM samples WHERE series_id = $1::integer "
                       "AND ts >= at_ms($2::bigint) AND ts < at_ms($3::bigint) "
                       "ORDER BY ts LIMIT $4::bigint",
                       params, 4, out);
}

static enum err read_texts(struct pg *db, const struct span *s, uint32_t limit,
                           struct pg_result **out)
{
    char text[24];
    struct str params[] = {s->series, s->from, s->to, q_number(text, limit)};
    return pg_prepared(db, "history_text",
                       "SELECT to_ms(ts), coalesce(value, encode(bytes, 'base64')), kind FROM "
                       "(SELECT ts, value, bytes, kind FROM text_samples "
                       "WHERE series_id = $1::integer AND ts >= at_ms($2::bigint) "
                       "AND ts < at_ms($3::bigint) ORDER BY ts DESC LIMIT $4::bigint) newest "
                       "ORDER BY ts",
                       params, 4, out);
}

/* The last value of a bucket is the second part of its greatest (time, value) pair: unlike an
 * ordered array_agg that needs no sort of all samples (a third of the time for a day at 1 Hz). */
static enum err read_buckets(struct pg *db, const struct span *s, int64_t bucket_ms,
                             struct pg_result **out)
{
    char text[24];
    struct str params[] = {s->series, s->from, s->to, q_number(text, bucket_ms)};
    return pg_prepared(
        db, "history_buckets",
        "SELECT to_ms(bucket), min(value), max(value), avg(value), count(*), "
        "(max(ARRAY[date_part('epoch', ts), value]))[2] FROM "
        "(SELECT date_bin($4::bigint * interval '1 millisecond', ts, at_ms($2::bigint)) AS bucket, "
        "ts, value FROM samples WHERE series_id = $1::integer AND ts >= at_ms($2::bigint) "
        "AND ts < at_ms($3::bigint) AND value > '-Infinity' AND value < 'Infinity') s "
        "GROUP BY bucket ORDER BY bucket",
        params, 4, out);
}

static enum err find_series(struct pg *db, const struct q_history *q, struct pg_result **out)
{
    struct pg_result *r;
    enum err e = pg_prepared(db, "history_series",
                             "SELECT s.id, s.datatype, s.unit FROM series s "
                             "JOIN device d ON d.id = s.device_id "
                             "WHERE d.endpoint = $1 AND s.key = $2",
                             (struct str[]){q->endpoint, q->series}, 2, &r);
    if (e)
        return e;
    if (!pg_rows(r)) {
        pg_result_free(r);
        return ERR_NOTFOUND;
    }
    *out = r;
    return ERR_OK;
}

static enum err answer_buckets(struct pg *db, const struct q_history *q, const struct span *s,
                               const struct pg_result *series, struct json_out *j)
{
    struct pg_result *r;
    int64_t bucket_ms = (q->to_ms - q->from_ms + q->points - 1) / q->points;
    enum err e = read_buckets(db, s, bucket_ms > 0 ? bucket_ms : 1, &r);
    if (e)
        return e;
    open_answer(q, series, bucket_ms, j);
    put_buckets(j, r);
    pg_result_free(r);
    return ERR_OK;
}

static enum err answer_raw(struct pg *db, const struct q_history *q, const struct span *s,
                           const struct pg_result *series, const struct pg_result *raw,
                           struct json_out *j)
{
    struct pg_result *texts = NULL;
    enum err e = pg_rows(raw) ? ERR_OK : read_texts(db, s, q->points, &texts);
    if (e)
        return e;
    open_answer(q, series, 0, j);
    if (texts)
        put_texts(j, texts);
    else
        put_raw(j, raw);
    pg_result_free(texts);
    return ERR_OK;
}

enum err q_history(struct pg *db, const struct q_history *q, struct json_out *j)
{
    struct pg_result *series, *raw;
    struct span s;
    if (q->to_ms <= q->from_ms || !q->points)
        return ERR_INVALID;
    enum err e = find_series(db, q, &series);
    if (e)
        return e;
    s.series = q_number(s.series_text, pg_i64(series, 0, 0));
    s.from = q_number(s.from_text, q->from_ms);
    s.to = q_number(s.to_text, q->to_ms);
    e = read_raw(db, &s, q->points + 1, &raw);
    if (!e) {
        e = pg_rows(raw) > q->points ? answer_buckets(db, q, &s, series, j)
                                     : answer_raw(db, q, &s, series, raw, j);
        pg_result_free(raw);
    }
    if (!e) {
        json_close(j);
        json_close(j);
    }
    pg_result_free(series);
    return e;
}
