/* history.c - see history.h.
 *
 * coverage_note: merging keeps chunks and roll-ups equal in one transaction (store/merger.h): an
 * hour with a row of rollup_minute is whole in it, a day with a row of rollup_hour too, and chunk
 * rows hold samples of one hour that has such a row, or of a day's other hours.  So sources are
 * asked in order of preference, each only for rows that the ones before do not stand for; what
 * retention has left is found by the bitmap `have` of hours, which is per sample and therefore
 * always right: what a source gives of an hour that an earlier one had is skipped. */
#include "store/history.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/packed_row.h"
#include "store/pg_binary.h"

#define MINUTE_US   INT64_C(60000000)
#define HOUR_US     INT64_C(3600000000)
#define DAY_US      (24 * HOUR_US)
#define BUCKETS_MAX 1000000
#define POINTS_MAX  ((size_t)64 << 20)

/* ---- widths ---- */

static const int64_t widths_us[] = {
    1000,          2000,          5000,           10000,          20000,          50000,
    100000,        200000,        500000,         1000000,        2000000,        5000000,
    10000000,      15000000,      20000000,       30000000,       MINUTE_US,      2 * MINUTE_US,
    3 * MINUTE_US, 5 * MINUTE_US, 10 * MINUTE_US, 15 * MINUTE_US, 20 * MINUTE_US, 30 * MINUTE_US,
    HOUR_US,       2 * HOUR_US,   3 * HOUR_US,    4 * HOUR_US,    6 * HOUR_US,    8 * HOUR_US,
    12 * HOUR_US,  DAY_US,        2 * DAY_US,     5 * DAY_US,     10 * DAY_US,    20 * DAY_US,
    50 * DAY_US,   100 * DAY_US,  200 * DAY_US,   500 * DAY_US,   1000 * DAY_US,
};
#define WIDTHS (sizeof widths_us / sizeof *widths_us)

int64_t history_floor(int64_t ts_us, int64_t width_us)
{
    int64_t rest = ts_us % width_us;
    return ts_us - rest - (rest < 0 ? width_us : 0);
}

int64_t history_ceil(int64_t ts_us, int64_t width_us)
{
    int64_t floor = history_floor(ts_us, width_us);
    return floor == ts_us ? floor : floor + width_us;
}

static int64_t buckets_of(int64_t from_us, int64_t to_us, int64_t width_us)
{
    return (history_ceil(to_us, width_us) - history_floor(from_us, width_us)) / width_us;
}

int64_t history_width(int64_t from_us, int64_t to_us, uint32_t points)
{
    int64_t most = points > 1 ? points : 2;
    for (size_t i = 0; i < WIDTHS; i++)
        if (buckets_of(from_us, to_us, widths_us[i]) <= most)
            return widths_us[i];
    int64_t width = widths_us[WIDTHS - 1];
    while (buckets_of(from_us, to_us, width) > most)
        width *= 2;
    return width;
}

/* ---- what is collected ---- */

void history_buckets_free(struct history_buckets *b)
{
    free(b->bucket);
    *b = (struct history_buckets){0};
}

void history_points_free(struct history_points *p)
{
    free(p->v);
    *p = (struct history_points){0};
}

void history_free(struct history *h)
{
    history_buckets_free(&h->buckets);
    history_points_free(&h->points);
}

static enum err buckets_make(struct history_span span, int64_t width_us,
                             struct history_buckets *out)
{
    int64_t n = buckets_of(span.from_us, span.to_us, width_us);
    if (n > BUCKETS_MAX)
        return ERR_TOOBIG;
    *out = (struct history_buckets){.start_us = history_floor(span.from_us, width_us),
                                    .width_us = width_us,
                                    .n = (size_t)n,
                                    .bucket = calloc((size_t)n, sizeof *out->bucket)};
    return out->bucket ? ERR_OK : ERR_NOMEM;
}

/* Sources do not come in order of time, so first and last go by their times. */
static void bucket_add(struct history_buckets *to, const struct rollup_entry *e, int64_t first_us,
                       int64_t last_us)
{
    int64_t i = (first_us - to->start_us) / to->width_us;
    if (first_us < to->start_us || i >= (int64_t)to->n)
        return;
    struct history_bucket *b = &to->bucket[i];
    bool empty = b->entry.n == b->entry.bad, sound = e->n > e->bad;
    double first = b->entry.first, last = b->entry.last;
    rollup_join(&b->entry, e);
    if (!sound)
        return;
    if (empty || first_us < b->first_us) {
        b->first_us = first_us;
        first = e->first;
    }
    if (empty || last_us >= b->last_us) {
        b->last_us = last_us;
        last = e->last;
    }
    b->entry.first = first;
    b->entry.last = last;
}

static enum err points_add(struct history_points *p, int64_t ts_us, double value, int16_t quality)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 1024;
        struct history_point *v = cap > POINTS_MAX ? NULL : reallocarray(p->v, cap, sizeof *v);
        if (!v)
            return cap > POINTS_MAX ? ERR_TOOBIG : ERR_NOMEM;
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n] = (struct history_point){ts_us, value, quality, (uint32_t)p->n};
    p->n++;
    return ERR_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct history_point *x = a, *y = b;
    if (x->ts_us != y->ts_us)
        return x->ts_us < y->ts_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void points_sort(struct history_points *p)
{
    for (size_t i = 1; i < p->n; i++)
        if (p->v[i].ts_us < p->v[i - 1].ts_us) {
            qsort(p->v, p->n, sizeof *p->v, by_time);
            return;
        }
}

/* ---- the reader ---- */

enum source { HOURS, MINUTES, MINUTES_LEFT, CHUNKS, CHUNKS_LEFT, CHUNKS_LEFT_BY_DAYS, SOURCES };
#define ASKED 3 /* sources of one read */

struct reader_state {
    struct pg *db;
    struct history_span span;        /* widened to whole buckets */
    struct arena arena;              /* of one row */
    struct history_buckets *buckets; /* one of these two */
    struct history_points *points;
    int64_t hour0; /* of the bitmaps, in hours since 1970 */
    size_t hours;
    uint64_t *have, *had; /* by all sources asked; by those before this one */
    bool summed;          /* a roll-up gave something */
};

static bool test_bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static size_t hour_of(const struct reader_state *r, int64_t ts_us)
{
    return (size_t)(history_floor(ts_us, HOUR_US) / HOUR_US - r->hour0);
}

/* taken: this hour was complete in an earlier source; otherwise it is from now on in this one. */
static bool taken(struct reader_state *r, int64_t ts_us)
{
    size_t i = hour_of(r, ts_us);
    if (test_bit(r->had, i))
        return true;
    r->have[i / 64] |= UINT64_C(1) << (i % 64);
    return false;
}

static bool inside(const struct reader_state *r, int64_t ts_us)
{
    return ts_us >= r->span.from_us && ts_us < r->span.to_us;
}

static enum err add_sample(struct reader_state *r, int64_t ts_us, double value, int16_t quality)
{
    if (r->points)
        return points_add(r->points, ts_us, value, quality);
    bool sound = rollup_is_sound(value, quality);
    const struct rollup_entry e = {.n = 1,
                                   .bad = !sound,
                                   .lo = value,
                                   .hi = value,
                                   .mean = value,
                                   .first = value,
                                   .last = value};
    bucket_add(r->buckets, &e, ts_us, ts_us);
    return ERR_OK;
}

static void fields_of(const struct pg_result *rows, size_t row, int col, struct str *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = pg_text(rows, row, col + i);
}

/* A row of chunk or piece.  Whole chunks are of hours; `whole` false: count every sample. */
static enum err add_packed(struct reader_state *r, const struct pg_result *rows, size_t row,
                           bool whole)
{
    struct str fields[PACKED_FIELDS];
    struct packed p;
    struct points in = {0};
    fields_of(rows, row, 0, fields, PACKED_FIELDS);
    arena_reset(&r->arena);
    enum err e = packed_read(&r->arena, fields, &p);
    if (!e)
        e = points_make(&r->arena, p.n, &in);
    if (!e)
        e = packed_decode(&p, &in);
    for (size_t i = 0; !e && i < in.n; i++)
        if (inside(r, in.ts_us[i]) && !(whole && taken(r, in.ts_us[i])))
            e = add_sample(r, in.ts_us[i], in.value[i], in.quality[i]);
    return e;
}

/* A row stands for all of its hours, also those without samples. */
static void take_row(struct reader_state *r, int64_t from_us, int64_t width_us)
{
    for (int64_t at = from_us; at < from_us + width_us; at += HOUR_US)
        if (inside(r, at))
            (void)taken(r, at);
}

static enum err add_rollup(struct reader_state *r, enum rollup_kind kind,
                           const struct pg_result *rows, size_t row)
{
    struct str fields[ROLLUP_FIELDS];
    struct rollup in;
    fields_of(rows, row, 0, fields, ROLLUP_FIELDS);
    arena_reset(&r->arena);
    enum err e = rollup_read(&r->arena, kind, fields, &in);
    int64_t width = rollup_entry_us(kind);
    for (size_t i = 0; !e && i < in.entries; i++) {
        int64_t at = in.start_us + in.entry[i].at * width;
        if (!inside(r, at) || taken(r, at) || (!r->buckets && at + width > r->span.to_us))
            continue;
        r->summed = true;
        if (r->buckets)
            bucket_add(r->buckets, &in.entry[i], at, at + width - 1);
    }
    if (!e && r->buckets)
        take_row(r, in.start_us, rollup_row_us(kind));
    return e;
}

/* ---- statements ---- */

#define US(n) "(timestamptz 'epoch' + $" #n "::bigint * interval '1 microsecond')"
#define NO_ARRAYS                                                                                  \
    "NULL::smallint[], NULL::integer[], NULL::bigint[], NULL::smallint[], "                        \
    "NULL::integer[], NULL::float8[], NULL::integer[], NULL::smallint[], "                         \
    "NULL::integer[]"
#define PLAIN_ROW                                                                                  \
    "ts, ts, NULL::bigint, NULL::bigint, NULL::integer, NULL::smallint, " NO_ARRAYS                \
    ", value, quality"
#define PACKED_ROW PACKED_COLUMNS ", NULL::float8, NULL::smallint"
/* A row's samples are within a day of its start. */
#define IN_SPAN                                                                                    \
    " WHERE series_id = $1::integer AND start < " US(3) " AND start > " US(                        \
        2) " - interval '1 day' "                                                                  \
           "AND stop >= " US(2)

/* Rows of chunk or rollup_minute (x) that no roll-up of their day, or hour, stands for.  A look-up
 * per row: as a join it would read all roll-ups of the series. */
#define NO_DAY                                                                                     \
    " AND (SELECT true FROM rollup_hour h WHERE h.series_id = $1::integer AND "                    \
    "h.start = date_bin('1 day', x.start, 'epoch') LIMIT 1) IS NULL"
#define NO_HOUR                                                                                    \
    " AND (SELECT true FROM rollup_minute m WHERE m.series_id = $1::integer AND "                  \
    "m.start = date_bin('1 hour', x.start, 'epoch') LIMIT 1) IS NULL"
#define ROLLUPS(table)                                                                             \
    "SELECT " ROLLUP_COLUMNS " FROM " table                                                        \
    " x WHERE series_id = $1::integer AND start >= " US(2) " AND start < " US(3)
#define CHUNKS_OF "SELECT " PACKED_COLUMNS " FROM chunk x" IN_SPAN

static const struct {
    const char *name, *sql;
    int64_t row_us; /* rows begin at multiples of it */
    enum { OF_HOURS, OF_MINUTES, OF_SAMPLES } rows;
} sources[SOURCES] = {
    [HOURS] = {"history_hours", ROLLUPS("rollup_hour") " ORDER BY start", DAY_US, OF_HOURS},
    [MINUTES] = {"history_minutes", ROLLUPS("rollup_minute") " ORDER BY start", HOUR_US,
                 OF_MINUTES},
    [MINUTES_LEFT] = {"history_minutes_left", ROLLUPS("rollup_minute") NO_DAY " ORDER BY start",
                      HOUR_US, OF_MINUTES},
    [CHUNKS] = {"history_chunks", CHUNKS_OF " ORDER BY start", HOUR_US, OF_SAMPLES},
    [CHUNKS_LEFT] = {"history_chunks_left", CHUNKS_OF NO_HOUR " ORDER BY start", HOUR_US,
                     OF_SAMPLES},
    [CHUNKS_LEFT_BY_DAYS] = {"history_chunks_days", CHUNKS_OF NO_HOUR NO_DAY " ORDER BY start",
                             HOUR_US, OF_SAMPLES},
};

static const char live_sql[] =
    "SELECT " PLAIN_ROW " FROM landed WHERE series_id = $1::integer AND ts >= " US(
        2) " AND ts < " US(3) " UNION ALL SELECT " PACKED_ROW " FROM piece" IN_SPAN;

struct numbers {
    char text[3][24];
    struct str params[3];
};

static const struct str *numbers(struct numbers *n, int64_t a, int64_t b, int64_t c)
{
    const int64_t v[3] = {a, b, c};
    for (int i = 0; i < 3; i++)
        n->params[i] =
            str_make(n->text[i], (size_t)snprintf(n->text[i], sizeof n->text[i], "%" PRId64, v[i]));
    return n->params;
}

/* A row that is a sample as it landed, or a packed one. */
static enum err add_row(struct reader_state *r, const struct pg_result *rows, size_t row)
{
    int64_t at = 0;
    double value = 0;
    int16_t quality = 0;
    if (pg_null(rows, row, PACKED_FIELDS))
        return add_packed(r, rows, row, false);
    enum err e = pg_get_time(pg_text(rows, row, 0), &at);
    if (!e)
        e = pg_get_double(pg_text(rows, row, PACKED_FIELDS), &value);
    if (!e)
        e = pg_get_i16(pg_text(rows, row, PACKED_FIELDS + 1), &quality);
    return e ? e : add_sample(r, at, value, quality);
}

static enum err read_live(struct reader_state *r)
{
    struct numbers n;
    struct pg_result *rows = NULL;
    enum err e =
        pg_prepared_binary(r->db, "history_live", live_sql,
                           numbers(&n, r->span.series, r->span.from_us, r->span.to_us), 3, &rows);
    for (size_t i = 0; !e && i < pg_rows(rows); i++)
        e = add_row(r, rows, i);
    pg_result_free(rows);
    return e;
}

/* missing finds the stretch of hours that no source had so far. */
static bool missing(const struct reader_state *r, int64_t *from_us, int64_t *to_us)
{
    size_t first = 0, last = r->hours;
    while (first < last && test_bit(r->have, first))
        first++;
    while (last > first && test_bit(r->have, last - 1))
        last--;
    *from_us = (r->hour0 + (int64_t)first) * HOUR_US;
    *to_us = (r->hour0 + (int64_t)last) * HOUR_US;
    return first < last;
}

static enum err read_source(struct reader_state *r, enum source source)
{
    struct numbers n;
    struct pg_result *rows = NULL;
    int64_t from, to;
    if (!missing(r, &from, &to))
        return ERR_OK;
    memcpy(r->had, r->have, (r->hours + 63) / 64 * sizeof *r->had);
    from = history_floor(from, sources[source].row_us);
    enum err e = pg_prepared_binary(r->db, sources[source].name, sources[source].sql,
                                    numbers(&n, r->span.series, from, to), 3, &rows);
    for (size_t i = 0; !e && i < pg_rows(rows); i++)
        e = sources[source].rows == OF_SAMPLES ? add_packed(r, rows, i, true)
            : sources[source].rows == OF_HOURS ? add_rollup(r, ROLLUP_HOUR, rows, i)
                                               : add_rollup(r, ROLLUP_MINUTE, rows, i);
    pg_result_free(rows);
    return e;
}

/* ---- from beginning to end ---- */

static enum err open_reader(struct pg *db, struct history_span span, struct reader_state *r)
{
    if (span.to_us <= span.from_us || span.to_us - span.from_us > 2 * HISTORY_SPAN_MAX_US)
        return ERR_INVALID;
    *r = (struct reader_state){.db = db, .span = span};
    r->hour0 = history_floor(span.from_us, HOUR_US) / HOUR_US;
    r->hours = (size_t)(history_ceil(span.to_us, HOUR_US) / HOUR_US - r->hour0);
    arena_init(&r->arena, (size_t)1 << 20, (size_t)64 << 20);
    r->have = calloc((r->hours + 63) / 64, 2 * sizeof *r->have);
    if (!r->have)
        return ERR_NOMEM;
    r->had = r->have + (r->hours + 63) / 64;
    return ERR_OK;
}

static void close_reader(struct reader_state *r)
{
    arena_fini(&r->arena);
    free(r->have);
}

/* All of a read sees one snapshot; what it locks it holds for milliseconds.  A plan for these
 * numbers alone is never better than the general one, and costs more than the read. */
static enum err begin(struct pg *db)
{
    return pg_script(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                         "SET LOCAL plan_cache_mode = force_generic_plan");
}

static enum err end(struct pg *db, enum err e)
{
    enum err closed = pg_is_ok(db) ? pg_script(db, "COMMIT") : ERR_OK;
    return e ? e : closed;
}

static enum err fill_points(struct reader_state *r, struct history_points *out)
{
    r->points = out;
    enum err e = read_live(r);
    if (!e)
        e = read_source(r, CHUNKS);
    points_sort(out);
    return e;
}

/* The order in which sources are asked, by the width of the buckets. */
static const enum source orders[][ASKED] = {
    {CHUNKS, MINUTES, HOURS},      /* below a minute */
    {MINUTES, CHUNKS_LEFT, HOURS}, /* below an hour */
    {HOURS, MINUTES_LEFT, CHUNKS_LEFT_BY_DAYS},
};

static enum err fill_buckets(struct reader_state *r, struct history_buckets *out)
{
    r->buckets = out;
    const enum source *order = orders[out->width_us < MINUTE_US ? 0
                                      : out->width_us < HOUR_US ? 1
                                                                : 2];
    enum err e = read_live(r);
    for (int i = 0; !e && i < ASKED; i++)
        e = read_source(r, order[i]);
    return e;
}

static struct history_span widen(struct history_span span, int64_t width_us)
{
    span.from_us = history_floor(span.from_us, width_us);
    span.to_us = history_ceil(span.to_us, width_us);
    return span;
}

static enum err read_points(struct pg *db, struct history_span span, struct history_points *out,
                            bool *summed)
{
    struct reader_state r = {0};
    *out = (struct history_points){0};
    enum err e = open_reader(db, span, &r);
    if (!e)
        e = fill_points(&r, out);
    r.points = NULL;
    for (int i = 1; !e && summed && i < ASKED; i++)
        e = read_source(&r, orders[0][i]);
    if (summed)
        *summed = r.summed;
    close_reader(&r);
    return e;
}

static enum err read_buckets(struct pg *db, struct history_span span, int64_t width_us,
                             struct history_buckets *out)
{
    struct reader_state r = {0};
    *out = (struct history_buckets){0};
    enum err e = open_reader(db, widen(span, width_us), &r);
    if (!e)
        e = buckets_make(span, width_us, out);
    if (!e)
        e = fill_buckets(&r, out);
    close_reader(&r);
    return e;
}

enum err history_read_points(struct pg *db, struct history_span span, struct history_points *out)
{
    struct history_points p = {0};
    enum err e = begin(db);
    if (!e)
        e = end(db, read_points(db, span, &p, NULL));
    if (!e)
        *out = p;
    else
        history_points_free(&p);
    return e;
}

enum err history_read_buckets(struct pg *db, struct history_span span, int64_t width_us,
                              struct history_buckets *out)
{
    struct history_buckets b = {0};
    enum err e = width_us > 0 ? begin(db) : ERR_INVALID;
    if (!e)
        e = end(db, read_buckets(db, span, width_us, &b));
    if (!e)
        *out = b;
    else
        history_buckets_free(&b);
    return e;
}

/* many: there are certainly more than `limit` samples, by rows that are wholly inside. */
static enum err many(struct pg *db, struct history_span span, uint32_t limit, bool *out)
{
    struct numbers n;
    char text[24];
    struct pg_result *rows = NULL;
    struct str params[4];
    memcpy(params, numbers(&n, span.series, span.from_us, span.to_us), sizeof n.params);
    params[3] = str_make(text, (size_t)snprintf(text, sizeof text, "%" PRIu32, limit + 1));
    enum err e = pg_prepared(
        db, "history_many",
        "SELECT coalesce(sum(n), 0) FROM (SELECT n FROM chunk WHERE series_id = $1::integer "
        "AND start >= " US(2) " AND start < " US(3) " AND stop < " US(3) " LIMIT $4::bigint) c",
        params, 4, &rows);
    if (!e)
        *out = pg_i64(rows, 0, 0) > limit;
    pg_result_free(rows);
    return e;
}

static enum err read_either(struct pg *db, struct history_span span, uint32_t limit, bool buckets,
                            struct history *out)
{
    enum err e = ERR_OK;
    if (!buckets) {
        e = read_points(db, span, &out->points, &buckets);
        buckets |= out->points.n > limit;
    }
    if (!e && buckets) {
        history_points_free(&out->points);
        e = read_buckets(db, span, history_width(span.from_us, span.to_us, limit), &out->buckets);
    }
    out->raw = !buckets;
    return e;
}

/* `many` only saves reading for nothing; it is asked before, because a transaction has to look at
 * the landing tables first: they are emptied ten seconds after what was in them has moved. */
enum err history_read(struct pg *db, struct history_span span, uint32_t limit, struct history *out)
{
    struct history h = {0};
    bool buckets = false;
    if (span.to_us <= span.from_us || !limit)
        return ERR_INVALID;
    enum err e = many(db, span, limit, &buckets);
    if (!e)
        e = begin(db);
    if (!e)
        e = end(db, read_either(db, span, limit, buckets, &h));
    if (!e)
        *out = h;
    else
        history_free(&h);
    return e;
}

/* ---- the last one before ---- */

/* The newest sample is not older than the row that begins last; rows that reach beyond that one's
 * beginning are looked into, and rows are a day long at most. */
#define NEWEST_OF(table)                                                                           \
    "SELECT " PACKED_ROW " FROM " table " x WHERE series_id = $1::integer AND start < " US(        \
        2) " AND start > (SELECT max(start) FROM " table                                           \
           " WHERE series_id = $1::integer AND start < " US(                                       \
               2) ") - interval '1 day' AND stop >= (SELECT max(start) FROM " table                \
                  " WHERE series_id = $1::integer AND start < " US(2) ")"
static const char before_sql[] =
    "(SELECT " PLAIN_ROW " FROM landed WHERE series_id = $1::integer AND ts < " US(
        2) " ORDER BY ts DESC LIMIT 1) UNION ALL " NEWEST_OF("chunk") " UNION ALL " NEWEST_OF("piec"
                                                                                              "e");

static enum err newest(struct pg *db, int32_t series, int64_t ts_us, struct history_points *p)
{
    struct numbers n;
    struct pg_result *rows = NULL;
    struct reader_state r = {
        .db = db,
        .span = {series, INT64_MIN, ts_us},
        .points = p,
    };
    arena_init(&r.arena, (size_t)1 << 20, (size_t)64 << 20);
    enum err e = pg_prepared_binary(db, "history_before", before_sql, numbers(&n, series, ts_us, 0),
                                    2, &rows);
    for (size_t i = 0; !e && i < pg_rows(rows); i++)
        e = add_row(&r, rows, i);
    points_sort(p);
    pg_result_free(rows);
    arena_fini(&r.arena);
    return e;
}

enum err history_before(struct pg *db, int32_t series, int64_t ts_us, bool *found,
                        struct history_point *out)
{
    struct history_points p = {0};
    enum err e = newest(db, series, ts_us, &p);
    if (!e) {
        *found = p.n > 0;
        if (p.n)
            *out = p.v[p.n - 1];
    }
    history_points_free(&p);
    return e;
}
