/* storage.c - see storage.h; sizes, rates and the forecast come from SQL functions, words and JSON
 * are made here. */
#include "store/storage.h"

#include "store/q_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define SHORT_DAYS  7
#define SOON_DAYS   30
#define FEW_SAMPLES 10000 /* below, empty pages say more than samples */

static const char *const kind_words[STORAGE_KINDS] = {
#define X(word) [STORAGE_##word] = #word,
    STORAGE_KIND_TABLE(X)
#undef X
};

int64_t storage_volume(const char *path)
{
    struct statvfs v;
    if (!path || !*path || statvfs(path, &v))
        return -1;
    return (int64_t)(v.f_bavail * v.f_frsize);
}

/* ---- figures ---- */

static enum err read_kinds(struct pg *db, struct storage_figures *f)
{
    struct pg_result *r;
    enum err e = pg_exec(db, "SELECT kind, coalesce(bytes, 0) FROM storage_kind", NULL, 0, &r);
    if (e)
        return e;
    for (size_t i = 0; i < pg_rows(r); i++)
        for (size_t k = 0; k < STORAGE_KINDS; k++)
            if (str_is(pg_text(r, i, 0), kind_words[k])) {
                f->bytes[k] = pg_i64(r, i, 1);
                f->total += f->bytes[k];
            }
    pg_result_free(r);
    return ERR_OK;
}

enum err storage_measure(struct pg *db, int64_t now_ms, struct storage_limits limits,
                         struct storage_figures *out)
{
    char now[24], limit[24];
    struct pg_result *r;
    struct storage_figures f = {.full_days = -1};
    enum err e = read_kinds(db, &f);
    if (e)
        return e;
    f.limit = limits.limit_bytes;
    if (limits.free_bytes >= 0 && (!f.limit || f.total + limits.free_bytes < f.limit))
        f.limit = f.total + limits.free_bytes;
    e = pg_exec(db,
                "SELECT known, full_days, steady_bytes, rate, coalesce(grew, 0), "
                "coalesce(grew_days, 0) FROM storage_forecast(at_ms($1::bigint), "
                "nullif($2::bigint, 0))",
                (struct str[]){q_number(now, now_ms), q_number(limit, f.limit)}, 2, &r);
    if (e)
        return e;
    f.known = pg_bool(r, 0, 0);
    f.full_days = pg_null(r, 0, 1) ? -1 : pg_i64(r, 0, 1);
    f.steady = pg_double(r, 0, 2);
    f.rate = pg_double(r, 0, 3);
    f.grew = pg_double(r, 0, 4);
    f.grew_days = pg_double(r, 0, 5);
    pg_result_free(r);
    *out = f;
    return ERR_OK;
}

const char *storage_level(const struct storage_figures *f)
{
    if (f->limit && f->total >= f->limit)
        return "full";
    if (!f->known || !f->limit)
        return "unknown";
    if (f->full_days < 0)
        return "fits";
    return f->full_days < SHORT_DAYS ? "short" : f->full_days < SOON_DAYS ? "soon" : "fits";
}

/* ---- words ---- */

struct size_words {
    char text[32];
};

static struct size_words size_of(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    struct size_words w;
    size_t i = 0;
    while (fabs(bytes) >= 999.5 && i + 1 < sizeof units / sizeof *units) {
        bytes /= 1000;
        i++;
    }
    snprintf(w.text, sizeof w.text, i && fabs(bytes) < 9.95 ? "%.1f %s" : "%.0f %s", bytes,
             units[i]);
    return w;
}

static void put_span(struct buf *out, double days)
{
    if (days < 2)
        buf_printf(out, "%.0f hours", floor(days * 24));
    else
        buf_printf(out, "%.0f days", floor(days));
}

void storage_sentence(const struct storage_figures *f, struct buf *out)
{
    struct size_words limit = size_of((double)f->limit), steady = size_of(f->steady);
    if (f->limit && f->total >= f->limit) {
        buf_printf(out, "The limit of %s is reached.", limit.text);
    } else if (!f->known) {
        buf_puts(out, "A forecast needs an hour of measurements.");
    } else if (!f->limit) {
        buf_printf(out, "The database will settle at about %s; how much it may take is not known.",
                   steady.text);
    } else if (f->full_days < 0) {
        buf_printf(out, "It fits: the database will settle at about %s of %s.", steady.text,
                   limit.text);
    } else if (f->full_days < 2) {
        buf_printf(out, "The limit of %s will be reached within %s.", limit.text,
                   f->full_days ? "two days" : "a day");
    } else {
        buf_printf(out, "The limit of %s will be reached in about %" PRId64 " days.", limit.text,
                   f->full_days);
    }
}

void storage_evidence(const struct storage_figures *f, struct buf *out)
{
    if (!f->known) {
        buf_puts(out, "Nothing was measured yet.");
        return;
    }
    buf_printf(out, "%s now; in the last ", size_of((double)f->total).text);
    put_span(out, f->grew_days);
    buf_printf(out, " it grew by %s per day; %s per day are still added and not yet dropped again.",
               size_of(f->grew).text, size_of(f->rate).text);
}

/* ---- the report ---- */

static void put_known(struct json_out *j, const char *key, int64_t v, bool known)
{
    json_key(j, key);
    if (known)
        json_i64(j, v);
    else
        json_null(j);
}

static void put_words(struct json_out *j, const char *key, const struct storage_figures *f,
                      void (*words)(const struct storage_figures *f, struct buf *out))
{
    struct buf b;
    buf_init(&b, 1024);
    words(f, &b);
    json_put_str(j, key, buf_view(&b));
    buf_fini(&b);
}

static void put_forecast(struct json_out *j, const struct storage_figures *f, int64_t now_ms)
{
    bool full = f->known && f->limit && f->full_days >= 0;
    json_key(j, "forecast");
    json_open(j, '{');
    json_put_text(j, "level", storage_level(f));
    put_words(j, "sentence", f, storage_sentence);
    put_words(j, "evidence", f, storage_evidence);
    json_put_time(j, "at", now_ms);
    put_known(j, "days", f->full_days, full);
    json_put_time(j, "full_at", full ? now_ms + f->full_days * 86400000 : 0);
    put_known(j, "steady_bytes", (int64_t)f->steady, f->known);
    put_known(j, "added_per_day", (int64_t)f->rate, f->known);
    put_known(j, "grew_per_day", (int64_t)f->grew, f->known);
    json_put_double(j, "measured_days", floor(f->grew_days * 100) / 100);
    json_close(j);
}

enum {
    C_NAME,
    C_RAW,
    C_MIN,
    C_HOUR,
    C_SERIES,
    C_SAMPLES,
    C_CHUNK,
    C_MB,
    C_HB,
    C_RATE,
    C_STEADY,
    C_OLD
};

static const char *const classes_sql =
    "SELECT k.name, k.raw_days, k.minute_days, k.hour_days, "
    "coalesce((s.series ->> k.id::text)::bigint, 0), coalesce(u.samples, 0), "
    "coalesce(b.chunk, 0), coalesce(b.minute, 0), coalesce(b.hour, 0), "
    "coalesce(b.rate, 0)::bigint, coalesce(b.steady, 0)::bigint, to_ms(b.oldest) "
    "FROM retention_class k CROSS JOIN storage_state s "
    "LEFT JOIN (SELECT class_id, sum(samples)::bigint AS samples FROM storage_use "
    "GROUP BY class_id) u ON u.class_id = k.id "
    "LEFT JOIN (SELECT class_id, sum(bytes) FILTER (WHERE kind = 'chunk')::bigint AS chunk, "
    "sum(bytes) FILTER (WHERE kind = 'rollup_minute')::bigint AS minute, "
    "sum(bytes) FILTER (WHERE kind = 'rollup_hour')::bigint AS hour, sum(rate) AS rate, "
    "sum(rate * keep) AS steady, min(oldest) FILTER (WHERE kind = 'chunk') AS oldest "
    "FROM storage_class(at_ms($1::bigint)) GROUP BY class_id) b ON b.class_id = k.id "
    "ORDER BY k.id";

static void put_per_sample(struct json_out *j, int64_t bytes, int64_t samples)
{
    json_key(j, "bytes_per_sample");
    if (samples < FEW_SAMPLES)
        json_null(j);
    else
        json_double(j, round((double)bytes * 100 / (double)samples) / 100);
}

static void put_class(struct json_out *j, const struct pg_result *r, size_t i)
{
    static const struct {
        const char *key;
        int col;
    } numbers[] = {{"raw_days", C_RAW},           {"minute_days", C_MIN},
                   {"hour_days", C_HOUR},         {"series", C_SERIES},
                   {"samples", C_SAMPLES},        {"chunk_bytes", C_CHUNK},
                   {"rollup_minute_bytes", C_MB}, {"rollup_hour_bytes", C_HB},
                   {"added_per_day", C_RATE},     {"steady_bytes", C_STEADY}};
    int64_t bytes = pg_i64(r, i, C_CHUNK) + pg_i64(r, i, C_MB) + pg_i64(r, i, C_HB);
    json_open(j, '{');
    q_put_text(j, "name", r, i, C_NAME);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        json_put_i64(j, numbers[k].key, pg_i64(r, i, numbers[k].col));
    json_put_i64(j, "bytes", bytes);
    put_per_sample(j, bytes, pg_i64(r, i, C_SAMPLES));
    q_put_time(j, "oldest", r, i, C_OLD);
    json_close(j);
}

static enum err put_classes(struct pg *db, struct str now, struct json_out *j, int64_t *samples)
{
    struct pg_result *r;
    enum err e = pg_exec(db, classes_sql, &now, 1, &r);
    *samples = 0;
    if (e)
        return e;
    json_key(j, "classes");
    json_open(j, '[');
    for (size_t i = 0; i < pg_rows(r); i++) {
        put_class(j, r, i);
        *samples += pg_i64(r, i, C_SAMPLES);
    }
    json_close(j);
    pg_result_free(r);
    return ERR_OK;
}

static void put_kinds(struct json_out *j, const struct storage_figures *f)
{
    json_key(j, "kinds");
    json_open(j, '[');
    for (size_t k = 0; k < STORAGE_KINDS; k++) {
        json_open(j, '{');
        json_put_text(j, "kind", kind_words[k]);
        json_put_i64(j, "bytes", f->bytes[k]);
        json_close(j);
    }
    json_close(j);
}

/* Growth by day, and when the count is from. */
static enum err put_days(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT to_ms(noted_at), (SELECT coalesce(json_agg(json_build_object("
                         "'day', day, 'bytes', last_bytes) ORDER BY day), '[]') FROM "
                         "(SELECT * FROM storage_day ORDER BY day DESC LIMIT 90) d), "
                         "(SELECT count(*) FROM series_purge) FROM storage_state",
                         NULL, 0, &r);
    if (e)
        return e;
    q_put_time(j, "counted_at", r, 0, 0);
    q_put_json(j, "days", r, 0, 1);
    json_put_i64(j, "series_to_purge", pg_i64(r, 0, 2));
    pg_result_free(r);
    return ERR_OK;
}

enum err storage_report(struct pg *db, int64_t now_ms, struct storage_limits limits,
                        struct json_out *j)
{
    char now[24];
    int64_t samples;
    struct storage_figures f;
    enum err e = storage_measure(db, now_ms, limits, &f);
    if (e)
        return e;
    json_open(j, '{');
    json_put_time(j, "at", now_ms);
    json_put_i64(j, "bytes", f.total);
    put_known(j, "limit_bytes", f.limit, f.limit > 0);
    put_known(j, "free_bytes", limits.free_bytes, limits.free_bytes >= 0);
    put_kinds(j, &f);
    e = put_classes(db, q_number(now, now_ms), j, &samples);
    if (!e)
        e = put_days(db, j);
    json_put_i64(j, "samples", samples);
    put_per_sample(
        j, f.bytes[STORAGE_chunk] + f.bytes[STORAGE_rollup_minute] + f.bytes[STORAGE_rollup_hour],
        samples);
    json_put_bool(j, "estimate", true);
    put_forecast(j, &f, now_ms);
    json_close(j);
    return e;
}

/* ---- devices ---- */

/* What a device takes: bytes, samples and the time of the count, in columns from `first` on. */
static void put_estimate(struct json_out *j, const struct pg_result *r, size_t i, int first)
{
    int64_t bytes = pg_i64(r, i, first), samples = pg_i64(r, i, first + 1);
    json_put_i64(j, "bytes", bytes);
    json_put_i64(j, "samples", samples);
    put_per_sample(j, bytes, samples);
    q_put_time(j, "counted_at", r, i, first + 2);
    json_put_bool(j, "estimate", true);
}

static void put_device(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    q_put_text(j, "endpoint", r, i, 0);
    put_estimate(j, r, i, 1);
    json_close(j);
}

enum err storage_devices(struct pg *db, struct q_page page, struct json_out *j)
{
    struct q_key k;
    struct pg_result *r;
    enum err e = q_key_open(&k, page);
    if (!e)
        e = pg_exec(db,
                    "SELECT d.endpoint, s.bytes, s.samples, to_ms(s.counted_at), s.device_id "
                    "FROM storage_device s JOIN device d ON d.id = s.device_id "
                    "WHERE $1::bigint IS NULL OR (s.bytes, s.device_id) < ($1::bigint, $2::bigint) "
                    "ORDER BY s.bytes DESC, s.device_id DESC LIMIT $3::integer",
                    (struct str[]){k.at_ms, k.last_id, str_of(k.limit)}, 3, &r);
    if (e)
        return e;
    json_open(j, '{');
    q_put_page(&k, r, 1, 4, put_device, j);
    return ERR_OK;
}

/* A series' samples are counted in the hours of its days, and in chunk for the days that have none:
 * today, and days of few samples.  Its bytes are its samples' share of the device's. */
static const char *const series_sql =
    "SELECT 0, s.id, s.key, k.name, s.class_fixed, coalesce(h.samples, 0)::bigint, "
    "coalesce(h.samples * u.bytes / nullif(u.samples, 0), 0)::bigint, to_ms(h.oldest) "
    "FROM series s JOIN retention_class k ON k.id = s.class_id "
    "LEFT JOIN storage_device u ON u.device_id = s.device_id "
    "CROSS JOIN LATERAL (SELECT greatest(date_bin('1 day', at_ms($2::bigint), "
    "'1970-01-01Z') - k.raw_days * interval '24 hours', (SELECT min(p.since) FROM history_part p "
    "WHERE p.kind = 'chunk')) AS since) l "
    "LEFT JOIN LATERAL (SELECT sum(n) AS samples, min(start) AS oldest FROM ("
    "SELECT (SELECT sum(m) FROM unnest(x.n) m) AS n, x.start FROM rollup_hour x "
    "WHERE x.series_id = s.id AND x.start >= l.since UNION ALL "
    "SELECT c.n, c.start FROM generate_series(l.since, at_ms($2::bigint), '24 hours') d JOIN chunk "
    "c "
    "ON c.series_id = s.id AND c.start >= d AND c.start < d + interval '24 hours' "
    "WHERE NOT EXISTS (SELECT FROM rollup_hour x WHERE x.series_id = s.id AND x.start = d)) e) h "
    "ON true WHERE s.device_id = $1::bigint AND ($3::bigint IS NULL OR s.id > $3::bigint) "
    "ORDER BY s.id LIMIT $4::integer";

static void put_one_series(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    q_put_text(j, "series", r, i, 2);
    q_put_text(j, "class", r, i, 3);
    json_put_bool(j, "fixed", pg_bool(r, i, 4));
    json_put_i64(j, "samples", pg_i64(r, i, 5));
    json_put_i64(j, "bytes", pg_i64(r, i, 6));
    q_put_time(j, "oldest", r, i, 7);
    json_close(j);
}

static enum err put_series(struct pg *db, struct str device, struct str now, const struct q_key *k,
                           struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_exec(db, series_sql, (struct str[]){device, now, k->last_id, str_of(k->limit)}, 4, &r);
    if (e)
        return e;
    q_put_page(k, r, 0, 1, put_one_series, j);
    return ERR_OK;
}

enum err storage_device(struct pg *db, int64_t now_ms, struct str endpoint, struct q_page page,
                        struct json_out *j)
{
    char id[24], now[24];
    struct q_key k;
    struct pg_result *r;
    enum err e = q_key_open(&k, page);
    if (!e)
        e = pg_exec(db,
                    "SELECT d.id, coalesce(s.bytes, 0), coalesce(s.samples, 0), "
                    "to_ms(s.counted_at) FROM device d LEFT JOIN storage_device s "
                    "ON s.device_id = d.id WHERE d.endpoint = $1",
                    &endpoint, 1, &r);
    if (e)
        return e;
    if (!pg_rows(r)) {
        pg_result_free(r);
        return ERR_NOTFOUND;
    }
    json_open(j, '{');
    json_put_str(j, "endpoint", endpoint);
    put_estimate(j, r, 0, 1);
    struct str device = q_number(id, pg_i64(r, 0, 0));
    pg_result_free(r);
    return put_series(db, device, q_number(now, now_ms), &k, j);
}

/* ---- writing down ---- */

enum err storage_count(struct pg *db, int64_t run_ms, bool *more)
{
    char run[24];
    struct pg_result *r;
    struct str param = q_number(run, run_ms);
    enum err e = pg_exec(db, "SELECT storage_count(at_ms($1::bigint))", &param, 1, &r);
    if (e)
        return e;
    *more = pg_bool(r, 0, 0);
    pg_result_free(r);
    return ERR_OK;
}

enum err storage_note(struct pg *db, int64_t now_ms)
{
    char now[24];
    struct str param = q_number(now, now_ms);
    return pg_exec(db, "SELECT storage_note(at_ms($1::bigint))", &param, 1, NULL);
}
