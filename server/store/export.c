/* export.c - see export.h. */
#include "store/export.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "store/history.h"
#include "store/q_page.h"

#define WINDOW_SAMPLES 200000 /* about; a single row of history may hold 32,768 */
#define WINDOW_BUCKETS 5000
#define WINDOW_MIN_MS  1000
#define DAY_MS         INT64_C(86400000)
#define TEXT_MAX       32

struct column {
    struct str key;
    int32_t id;
    struct pg_result *about; /* id, unit */
    /* of the window */
    struct history_points points;
    struct history_buckets buckets;
    struct pg_result *texts; /* us, value, quality, kind */
    size_t next, next_text;
};

struct export
{
    struct export_request q;
    bool head; /* written */
    int64_t at_ms, window_ms, bucket_ms;
    struct column column[EXPORT_SERIES_MAX];
};

/* ---- fields ---- */

static void put_quoted(struct buf *out, struct str s)
{
    bool plain = true;
    for (size_t i = 0; i < s.n; i++)
        plain &= s.p[i] != '"' && s.p[i] != ',' && s.p[i] != '\r' && s.p[i] != '\n';
    if (plain) {
        buf_str(out, s);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, s.p[i]);
    }
    buf_putc(out, '"');
}

static void put_csv_number(struct buf *out, double v)
{
    char text[TEXT_MAX];
    if (isinf(v))
        buf_puts(out, v < 0 ? "-Infinity" : "Infinity");
    else if (!isnan(v))
        buf_put(out, text, str_from_double(v, text));
}

/* Milliseconds, or microseconds where there are some. */
static struct str time_text(int64_t ts_us, char out[CLOCK_TEXT + 3])
{
    int64_t ms = history_floor(ts_us, 1000) / 1000, rest = ts_us - ms * 1000;
    clock_rfc3339(ms, out);
    size_t n = strlen(out);
    if (!rest)
        return str_make(out, n);
    n--; /* the Z */
    out[n++] = (char)('0' + rest / 100);
    out[n++] = (char)('0' + rest / 10 % 10);
    out[n++] = (char)('0' + rest % 10);
    out[n++] = 'Z';
    return str_make(out, n);
}

/* ---- head ---- */

static void put_name(struct buf *out, const struct column *c, const char *what)
{
    struct buf name;
    struct str unit = pg_text(c->about, 0, 1);
    buf_init(&name, 8192);
    buf_str(&name, c->key);
    if (*what)
        buf_printf(&name, " %s", what);
    if (unit.n && strcmp(what, "quality") != 0 && strcmp(what, "n") != 0)
        buf_printf(&name, " [%.*s]", STR_ARG(unit));
    buf_putc(out, ',');
    put_quoted(out, buf_view(&name));
    buf_fini(&name);
}

static void put_head(const struct export *x, struct buf *out)
{
    static const char *const samples[] = {"", "quality", NULL};
    static const char *const buckets[] = {"min", "max", "avg", "n", "last", NULL};
    if (x->q.format != EXPORT_CSV)
        return;
    buf_puts(out, "time");
    for (size_t i = 0; i < x->q.n; i++)
        for (const char *const *name = x->bucket_ms ? buckets : samples; *name; name++)
            put_name(out, &x->column[i], *name);
    buf_puts(out, "\r\n");
}

/* ---- lines ---- */

static bool has_text(const struct column *c)
{
    return c->texts && c->next_text < pg_rows(c->texts);
}

static int64_t next_time(const struct column *c)
{
    int64_t at = c->next < c->points.n ? c->points.v[c->next].ts_us : INT64_MAX;
    int64_t text = has_text(c) ? pg_i64(c->texts, c->next_text, 0) : INT64_MAX;
    return text < at ? text : at;
}

static void put_csv_sample(struct column *c, int64_t at, struct buf *out)
{
    buf_putc(out, ',');
    if (c->next < c->points.n && c->points.v[c->next].ts_us == at) {
        const struct history_point *p = &c->points.v[c->next++];
        put_csv_number(out, p->value);
        buf_printf(out, ",%d", p->quality);
    } else if (has_text(c) && pg_i64(c->texts, c->next_text, 0) == at) {
        put_quoted(out, pg_text(c->texts, c->next_text, 1));
        buf_printf(out, ",%lld", (long long)pg_i64(c->texts, c->next_text++, 2));
    } else {
        buf_putc(out, ',');
    }
}

static void open_object(struct json_out *j, struct buf *out, const struct column *c, int64_t at_us)
{
    char time[CLOCK_TEXT + 3];
    json_out_init(j, out);
    json_open(j, '{');
    json_put_str(j, "time", time_text(at_us, time));
    json_put_str(j, "series", c->key);
}

static void put_json_sample(struct column *c, int64_t at, struct buf *out)
{
    struct json_out j;
    int64_t quality;
    if (next_time(c) != at)
        return;
    open_object(&j, out, c, at);
    if (c->next < c->points.n && c->points.v[c->next].ts_us == at) {
        json_put_double(&j, "value", c->points.v[c->next].value);
        quality = c->points.v[c->next++].quality;
    } else {
        struct str kind = pg_text(c->texts, c->next_text, 3);
        json_key(&j, "value");
        if (pg_null(c->texts, c->next_text, 1))
            json_null(&j);
        else if (str_is(kind, "j"))
            json_raw(&j, pg_text(c->texts, c->next_text, 1));
        else
            json_str(&j, pg_text(c->texts, c->next_text, 1));
        quality = pg_i64(c->texts, c->next_text++, 2);
    }
    json_put_i64(&j, "quality", quality);
    json_close(&j);
    buf_putc(out, '\n');
}

/* One line per time; a series that has several samples of one time has them in following lines. */
static void put_samples(struct export *x, struct buf *out)
{
    for (;;) {
        int64_t at = INT64_MAX;
        char time[CLOCK_TEXT + 3];
        for (size_t i = 0; i < x->q.n; i++) {
            int64_t t = next_time(&x->column[i]);
            at = t < at ? t : at;
        }
        if (at == INT64_MAX)
            return;
        if (x->q.format == EXPORT_CSV)
            buf_str(out, time_text(at, time));
        for (size_t i = 0; i < x->q.n; i++)
            if (x->q.format == EXPORT_CSV)
                put_csv_sample(&x->column[i], at, out);
            else
                put_json_sample(&x->column[i], at, out);
        if (x->q.format == EXPORT_CSV)
            buf_puts(out, "\r\n");
    }
}

static void put_bucket(const struct export *x, const struct column *c, size_t i, int64_t at,
                       struct buf *out)
{
    static const char *const names[] = {"min", "max", "avg", "last"};
    const struct rollup_entry *e = &c->buckets.bucket[i].entry;
    bool sound = e->n > e->bad;
    const double v[] = {e->lo, e->hi, e->mean, e->last};
    struct json_out j;
    if (x->q.format == EXPORT_CSV) {
        for (size_t k = 0; k < 4; k++) {
            if (k == 3)
                buf_printf(out, ",%lld", (long long)e->n);
            buf_putc(out, ',');
            put_csv_number(out, sound ? v[k] : NAN);
        }
    } else if (e->n) {
        open_object(&j, out, c, at);
        for (size_t k = 0; k < 4; k++) {
            json_put_double(&j, names[k], sound ? v[k] : NAN);
        }
        json_put_i64(&j, "n", e->n);
        json_close(&j);
        buf_putc(out, '\n');
    }
}

static void put_buckets(const struct export *x, struct buf *out)
{
    const struct history_buckets *first = &x->column[0].buckets;
    for (size_t i = 0; i < first->n; i++) {
        char time[CLOCK_TEXT + 3];
        int64_t at = first->start_us + (int64_t)i * first->width_us, n = 0;
        for (size_t k = 0; k < x->q.n; k++)
            n += x->column[k].buckets.bucket[i].entry.n;
        if (!n)
            continue;
        if (x->q.format == EXPORT_CSV)
            buf_str(out, time_text(at, time));
        for (size_t k = 0; k < x->q.n; k++)
            put_bucket(x, &x->column[k], i, at, out);
        if (x->q.format == EXPORT_CSV)
            buf_puts(out, "\r\n");
    }
}

/* ---- windows ---- */

static void forget_window(struct export *x)
{
    for (size_t i = 0; i < x->q.n; i++) {
        struct column *c = &x->column[i];
        history_points_free(&c->points);
        history_buckets_free(&c->buckets);
        pg_result_free(c->texts);
        c->texts = NULL;
        c->next = c->next_text = 0;
    }
}

static enum err read_texts(struct pg *db, struct column *c, int64_t from_ms, int64_t to_ms)
{
    char id[24], from[24], to[24];
    return pg_prepared(
        db, "export_texts",
        "SELECT (extract(epoch FROM ts) * 1000000)::bigint, "
        "coalesce(value, encode(bytes, 'base64')), quality, kind FROM text_samples "
        "WHERE series_id = $1::integer AND ts >= at_ms($2::bigint) "
        "AND ts < at_ms($3::bigint) ORDER BY ts",
        (struct str[]){q_number(id, c->id), q_number(from, from_ms), q_number(to, to_ms)}, 3,
        &c->texts);
}

/* How much is in a window, about: the rows of history that touch it, and texts by their length. */
static enum err weigh(struct pg *db, int32_t series, int64_t from_ms, int64_t to_ms, int64_t *out)
{
    char id[24], from[24], to[24];
    struct pg_result *r = NULL;
    enum err e = pg_prepared(
        db, "export_weigh",
        "SELECT (SELECT coalesce(sum(n), 0) FROM chunk WHERE series_id = $1::integer AND "
        "start < at_ms($3::bigint) AND stop >= at_ms($2::bigint) AND "
        "start > at_ms($2::bigint) - interval '1 day') + "
        "(SELECT coalesce(sum(n), 0) FROM piece WHERE series_id = $1::integer AND "
        "start < at_ms($3::bigint) AND stop >= at_ms($2::bigint) AND "
        "start > at_ms($2::bigint) - interval '1 day') + "
        "(SELECT count(*) + coalesce(sum(octet_length(value)), 0) / 64 "
        "+ coalesce(sum(octet_length(bytes)), 0) / 32 FROM text_samples "
        "WHERE series_id = $1::integer AND ts >= at_ms($2::bigint) AND ts < at_ms($3::bigint))",
        (struct str[]){q_number(id, series), q_number(from, from_ms), q_number(to, to_ms)}, 3, &r);
    if (!e)
        *out += pg_i64(r, 0, 0);
    pg_result_free(r);
    return e;
}

/* The window doubles while there is little in it and halves while there is too much. */
static enum err choose_window(struct export *x, struct pg *db, int64_t *to_ms)
{
    for (;; x->window_ms /= 2) {
        int64_t weight = 0;
        int64_t left = x->q.to_ms - x->at_ms;
        *to_ms = left > x->window_ms ? x->at_ms + x->window_ms : x->q.to_ms;
        for (size_t i = 0; i < x->q.n; i++) {
            enum err e = weigh(db, x->column[i].id, x->at_ms, *to_ms, &weight);
            if (e)
                return e;
        }
        if (weight > WINDOW_SAMPLES && x->window_ms > WINDOW_MIN_MS)
            continue;
        if (weight < WINDOW_SAMPLES / 4 && x->window_ms < 400 * DAY_MS)
            x->window_ms *= 2;
        return ERR_OK;
    }
}

static enum err read_samples(struct export *x, struct pg *db, int64_t to_ms)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < x->q.n; i++) {
        struct column *c = &x->column[i];
        e = history_read_points(
            db, (struct history_span){c->id, x->at_ms * 1000, to_ms * 1000, NULL}, &c->points);
        if (!e)
            e = read_texts(db, c, x->at_ms, to_ms);
    }
    return e;
}

static enum err read_buckets(struct export *x, struct pg *db, int64_t to_ms)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < x->q.n; i++)
        e = history_read_buckets(
            db, (struct history_span){x->column[i].id, x->at_ms * 1000, to_ms * 1000, NULL},
            x->bucket_ms * 1000, &x->column[i].buckets);
    return e;
}

static enum err next_buckets(struct export *x, struct pg *db, struct buf *out, int64_t *to_ms)
{
    *to_ms = history_floor(x->at_ms, x->bucket_ms) + WINDOW_BUCKETS * x->bucket_ms;
    if (*to_ms > x->q.to_ms)
        *to_ms = x->q.to_ms;
    enum err e = read_buckets(x, db, *to_ms);
    if (!e)
        put_buckets(x, out);
    return e;
}

static enum err next_samples(struct export *x, struct pg *db, struct buf *out, int64_t *to_ms)
{
    enum err e = choose_window(x, db, to_ms);
    if (!e)
        e = read_samples(x, db, *to_ms);
    if (!e)
        put_samples(x, out);
    return e;
}

enum err export_next(struct export *x, struct pg *db, struct buf *out, bool *done)
{
    int64_t to_ms = x->q.to_ms;
    if (!x->head)
        put_head(x, out);
    x->head = true;
    enum err e = x->bucket_ms ? next_buckets(x, db, out, &to_ms) : next_samples(x, db, out, &to_ms);
    forget_window(x);
    x->at_ms = to_ms;
    *done = to_ms >= x->q.to_ms;
    return e ? e : out->err;
}

/* ---- beginning and end ---- */

static int64_t whole(int64_t v, int64_t unit)
{
    return (v + unit - 1) / unit * unit;
}

static enum err find_columns(struct pg *db, struct export *x)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < x->q.n; i++) {
        struct column *c = &x->column[i];
        c->key = x->q.keys[i];
        e = pg_prepared(db, "export_series",
                        "SELECT s.id, s.unit FROM series s JOIN device d ON d.id = s.device_id "
                        "WHERE d.endpoint = $1 AND s.key = $2",
                        (struct str[]){x->q.endpoint, c->key}, 2, &c->about);
        if (!e && !pg_rows(c->about))
            e = ERR_NOTFOUND;
        if (!e)
            c->id = (int32_t)pg_i64(c->about, 0, 0);
    }
    return e;
}

enum err export_new(struct pg *db, const struct export_request *q, struct export **out)
{
    if (!q->n || q->n > EXPORT_SERIES_MAX || q->from_ms >= q->to_ms || q->bucket_s < 0 ||
        q->from_ms < -HISTORY_SPAN_MAX_US / 1000 || q->to_ms > HISTORY_SPAN_MAX_US / 1000)
        return ERR_INVALID;
    struct export *x = calloc(1, sizeof *x);
    if (!x)
        return ERR_NOMEM;
    x->q = *q;
    x->at_ms = q->from_ms;
    x->window_ms = DAY_MS;
    x->bucket_ms = 1000 * (q->bucket_s > 3600 ? whole(q->bucket_s, 3600)
                           : q->bucket_s > 60 ? whole(q->bucket_s, 60)
                                              : q->bucket_s);
    enum err e = find_columns(db, x);
    if (e)
        export_free(x);
    else
        *out = x;
    return e;
}

void export_free(struct export *x)
{
    if (!x)
        return;
    forget_window(x);
    for (size_t i = 0; i < x->q.n; i++)
        pg_result_free(x->column[i].about);
    free(x);
}
