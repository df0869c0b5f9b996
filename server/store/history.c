/* history.c - see history.h.
 *
 * Coverage: merging keeps chunks and roll-ups equal in one transaction (store/merger.h): an
 * hour with a row of rollup_minute is whole in it, a day with a row of rollup_hour too, and chunk
 * rows hold samples of one hour that has such a row, or of a day's other hours.  So sources are
 * asked in order of preference, each only for rows that the ones before do not stand for; what
 * retention has left is found by the bitmap `have` of hours, which is per sample and therefore
 * always right: what a source gives of an hour that an earlier one had is skipped. */
#include "store/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/landing.h"
#include "store/packed_row.h"
#include "store/pg_binary.h"

#define FIVE_US (5 * MINUTE_US)

/* ---- the reader ---- */

enum source {
    HOURS,
    FIVES,
    MINUTES,
    MINUTES_LEFT,
    MINUTES_LEFT_BY_FIVES,
    CHUNKS,
    CHUNKS_LEFT,
    CHUNKS_LEFT_BY_DAYS,
    SOURCES
};

struct reader_state {
    struct pg *db;
    struct history_span span;        /* widened to whole buckets */
    struct arena arena;              /* of one row */
    struct history_buckets *buckets; /* one of these three */
    struct history_points *points;
    struct history_point *newest;
    int64_t hour0; /* of the bitmaps, in hours since 1970 */
    size_t hours;
    uint64_t *have, *had; /* by all sources asked; by those before this one */
    bool summed;          /* a roll-up gave something */
    size_t most;          /* no more points than these */
    bool found;           /* there is a newest one */
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

/* Of those of one time the one that comes last. */
static void keep_newest(struct reader_state *r, int64_t ts_us, double value, int16_t quality)
{
    if (r->found && ts_us < r->newest->ts_us)
        return;
    *r->newest = (struct history_point){.ts_us = ts_us, .value = value, .quality = quality};
    r->found = true;
}

static enum err add_sample(struct reader_state *r, int64_t ts_us, double value, int16_t quality)
{
    if (r->points)
        return r->points->n < r->most ? history_points_add(r->points, ts_us, value, quality)
                                      : ERR_OK;
    if (r->newest) {
        keep_newest(r, ts_us, value, quality);
        return ERR_OK;
    }
    bool sound = rollup_is_sound(value, quality);
    const struct rollup_entry e = {.n = 1,
                                   .bad = !sound,
                                   .lo = value,
                                   .hi = value,
                                   .mean = value,
                                   .first = value,
                                   .last = value};
    history_buckets_add(r->buckets, &e, ts_us, ts_us);
    return ERR_OK;
}

static void fields_of(const struct pg_result *row, struct str *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = pg_text(row, 0, i);
}

/* A row: ts, value, quality. */
static enum err add_plain(void *reader, const struct pg_result *row)
{
    int64_t at = 0;
    double value = 0;
    int16_t quality = 0;
    enum err e = pg_get_time(pg_text(row, 0, 0), &at);
    if (!e)
        e = pg_get_double(pg_text(row, 0, 1), &value);
    if (!e)
        e = pg_get_i16(pg_text(row, 0, 2), &quality);
    return e ? e : add_sample(reader, at, value, quality);
}

/* A row of chunk or piece.  Whole chunks are of hours; `whole` false: count every sample. */
static enum err add_packed(struct reader_state *r, const struct pg_result *row, bool whole)
{
    struct str fields[PACKED_FIELDS];
    struct packed p;
    struct points in = {0};
    if (r->points && r->points->n >= r->most)
        return ERR_OK;
    fields_of(row, fields, PACKED_FIELDS);
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

static enum err add_piece(void *reader, const struct pg_result *row)
{
    return add_packed(reader, row, false);
}

static enum err add_chunk(void *reader, const struct pg_result *row)
{
    return add_packed(reader, row, true);
}

/* A row stands for all of its hours, also those without samples. */
static void take_row(struct reader_state *r, int64_t from_us, int64_t width_us)
{
    for (int64_t at = from_us; at < from_us + width_us; at += HOUR_US)
        if (inside(r, at))
            (void)taken(r, at);
}

static enum err add_rollup(struct reader_state *r, enum rollup_kind kind,
                           const struct pg_result *row)
{
    struct str fields[ROLLUP_FIELDS];
    struct rollup in;
    fields_of(row, fields, ROLLUP_FIELDS);
    arena_reset(&r->arena);
    enum err e = rollup_read(&r->arena, kind, fields, &in);
    int64_t width = rollup_entry_us(kind);
    for (size_t i = 0; !e && i < in.entries; i++) {
        int64_t at = in.start_us + in.entry[i].at * width;
        if (!inside(r, at) || taken(r, at) || (!r->buckets && at + width > r->span.to_us))
            continue;
        r->summed = true;
        if (r->buckets)
            history_buckets_add(r->buckets, &in.entry[i], at, at + width - 1);
    }
    if (!e && r->buckets)
        take_row(r, in.start_us, rollup_row_us(kind));
    return e;
}

static enum err add_hours(void *reader, const struct pg_result *row)
{
    return add_rollup(reader, ROLLUP_HOUR, row);
}

static enum err add_fives(void *reader, const struct pg_result *row)
{
    return add_rollup(reader, ROLLUP_FIVE, row);
}

static enum err add_minutes(void *reader, const struct pg_result *row)
{
    return add_rollup(reader, ROLLUP_MINUTE, row);
}

/* ---- statements ---- */

#define US(n) "(timestamptz 'epoch' + $" #n "::bigint * interval '1 microsecond')"
/* A row's samples are within a day of its start. */
#define IN_SPAN                                                                                    \
    " WHERE series_id = $1::integer AND start < " US(3) " AND start > " US(                        \
        2) " - interval '1 day' "                                                                  \
           "AND stop >= " US(2)

#define INSIDE                                                                                     \
    "WHERE series_id = $1::integer AND start >= " US(2) " AND start < " US(3) " AND stop < " US(3)

/* Rows of chunk or rollup_minute (x) that no roll-up of their day, or hour, stands for.  A look-up
 * per row: as a join it would read all roll-ups of the series. */
#define NO_DAY                                                                                     \
    " AND (SELECT true FROM rollup_hour h WHERE h.series_id = $1::integer AND "                    \
    "h.start = date_bin('1 day', x.start, 'epoch') LIMIT 1) IS NULL"
#define NO_HOUR                                                                                    \
    " AND (SELECT true FROM rollup_minute m WHERE m.series_id = $1::integer AND "                  \
    "m.start = date_bin('1 hour', x.start, 'epoch') LIMIT 1) IS NULL"
#define ROLLUPS(columns, table)                                                                    \
    "SELECT " columns " FROM " table                                                               \
    " x WHERE series_id = $1::integer AND start >= " US(2) " AND start < " US(3)
#define CHUNKS_OF "SELECT " PACKED_COLUMNS " FROM chunk x" IN_SPAN

static const struct {
    const char *name, *sql;
    int64_t row_us; /* rows begin at multiples of it */
    pg_each *add;
} sources[SOURCES] = {
    [HOURS] = {"history_hours", ROLLUPS(ROLLUP_COLUMNS, "rollup_hour") " ORDER BY start", DAY_US,
               add_hours},
    [FIVES] = {"history_fives",
               ROLLUPS(ROLLUP_FIVE_COLUMNS, "rollup_minute") " AND n5 IS NOT NULL ORDER BY start",
               HOUR_US, add_fives},
    [MINUTES] = {"history_minutes", ROLLUPS(ROLLUP_COLUMNS, "rollup_minute") " ORDER BY start",
                 HOUR_US, add_minutes},
    [MINUTES_LEFT] = {"history_minutes_left",
                      ROLLUPS(ROLLUP_COLUMNS, "rollup_minute") NO_DAY " ORDER BY start", HOUR_US,
                      add_minutes},
    [MINUTES_LEFT_BY_FIVES] = {"history_minutes_old",
                               ROLLUPS(ROLLUP_COLUMNS,
                                       "rollup_minute") " AND n5 IS NULL ORDER BY start",
                               HOUR_US, add_minutes},
    [CHUNKS] = {"history_chunks", CHUNKS_OF " ORDER BY start", HOUR_US, add_chunk},
    [CHUNKS_LEFT] = {"history_chunks_left", CHUNKS_OF NO_HOUR " ORDER BY start", HOUR_US,
                     add_chunk},
    [CHUNKS_LEFT_BY_DAYS] = {"history_chunks_days", CHUNKS_OF NO_HOUR NO_DAY " ORDER BY start",
                             HOUR_US, add_chunk},
};

static const char landed_sql[] =
    "SELECT ts, value, quality FROM landed WHERE series_id = $1::integer AND ts >= " US(
        2) " AND ts < " US(3) " LIMIT $4::bigint";
static const char pieces_sql[] = "SELECT " PACKED_COLUMNS " FROM piece" IN_SPAN;

struct numbers {
    char text[4][24];
    struct str params[4];
};

static const struct str *numbers(struct numbers *n, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t v[4] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        n->params[i] =
            str_make(n->text[i], (size_t)snprintf(n->text[i], sizeof n->text[i], "%" PRId64, v[i]));
    return n->params;
}

/* ---- reading ---- */

/* Which landing tables are not packed, in this snapshot. */
static enum err landing_tables(struct pg *db, struct recent_turn *out, size_t *n)
{
    struct pg_result *rows = NULL;
    enum err e = pg_prepared(
        db, "history_tables",
        "SELECT slot, turn FROM landing_slot WHERE state IN ('open', 'closed')", NULL, 0, &rows);
    for (*n = 0; !e && *n < pg_rows(rows) && *n < LANDING_SLOTS; ++*n)
        out[*n] = (struct recent_turn){(int)pg_i64(rows, *n, 0), pg_i64(rows, *n, 1)};
    pg_result_free(rows);
    return e;
}

static enum err add_remembered(void *ctx, const struct row *row)
{
    return add_sample(ctx, row->ts_us, row->value, row->quality);
}

/* read_remembered looks through memory, where whatever this snapshot sees in a table was put before
 * its commit.  A table that another snapshot sees packed is not held, and still there to be read.
 */
static enum err read_remembered(struct reader_state *r, bool *held)
{
    struct recent_turn tables[LANDING_SLOTS];
    size_t n;
    *held = false;
    if (!r->span.recent)
        return ERR_OK;
    enum err e = landing_tables(r->db, tables, &n);
    return e ? e
             : recent_find(r->span.recent, tables, n, (uint32_t)r->span.series, r->span.from_us,
                           r->span.to_us, add_remembered, r, held);
}

static enum err read_live(struct reader_state *r)
{
    bool held = false;
    struct numbers n;
    const struct str *params =
        numbers(&n, r->span.series, r->span.from_us, r->span.to_us, (int64_t)r->most);
    enum err e = read_remembered(r, &held);
    if (!e && !held)
        e = pg_prepared_each(r->db, "history_landed", landed_sql, params, 4, add_plain, r);
    return e ? e : pg_prepared_each(r->db, "history_pieces", pieces_sql, params, 3, add_piece, r);
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
    int64_t from, to;
    if (!missing(r, &from, &to))
        return ERR_OK;
    memcpy(r->had, r->have, (r->hours + 63) / 64 * sizeof *r->had);
    from = history_floor(from, sources[source].row_us);
    return pg_prepared_each(r->db, sources[source].name, sources[source].sql,
                            numbers(&n, r->span.series, from, to, 0), 3, sources[source].add, r);
}

/* The order in which sources are asked, by the width of the buckets. */
static const enum source orders[][5] = {
    {CHUNKS, MINUTES, HOURS, SOURCES},      /* below a minute */
    {MINUTES, CHUNKS_LEFT, HOURS, SOURCES}, /* below an hour */
    {FIVES, MINUTES_LEFT_BY_FIVES, CHUNKS_LEFT, HOURS, SOURCES},
    {HOURS, MINUTES_LEFT, CHUNKS_LEFT_BY_DAYS, SOURCES},
};

static const enum source *order_for(int64_t width_us)
{
    return orders[width_us < MINUTE_US      ? 0
                  : width_us >= HOUR_US     ? 3
                  : width_us % FIVE_US == 0 ? 2
                                            : 1];
}

static enum err read_sources(struct reader_state *r, const enum source *order)
{
    enum err e = ERR_OK;
    for (; !e && *order != SOURCES; order++)
        e = read_source(r, *order);
    return e;
}

/* ---- from beginning to end ---- */

static enum err open_reader(struct pg *db, struct history_span span, struct reader_state *r)
{
    if (span.to_us <= span.from_us || span.to_us - span.from_us > 2 * HISTORY_SPAN_MAX_US)
        return ERR_INVALID;
    *r = (struct reader_state){.db = db, .span = span, .most = INT64_MAX};
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
    history_points_sort(out);
    return e;
}

static enum err fill_buckets(struct reader_state *r, struct history_buckets *out)
{
    r->buckets = out;
    enum err e = read_live(r);
    return e ? e : read_sources(r, order_for(out->width_us));
}

static struct history_span widen(struct history_span span, int64_t width_us)
{
    span.from_us = history_floor(span.from_us, width_us);
    span.to_us = history_ceil(span.to_us, width_us);
    return span;
}

static enum err read_points(struct pg *db, struct history_span span, struct history_points *out)
{
    struct reader_state r = {0};
    *out = (struct history_points){0};
    enum err e = open_reader(db, span, &r);
    if (!e)
        e = fill_points(&r, out);
    close_reader(&r);
    return e;
}

/* As long as they are at most `limit` and nothing but them is left; else *buckets. */
static enum err read_few_points(struct pg *db, struct history_span span, uint32_t limit,
                                struct history_points *out, bool *buckets)
{
    struct reader_state r = {0};
    enum err e = open_reader(db, span, &r);
    r.most = (size_t)limit + 1;
    if (!e)
        e = fill_points(&r, out);
    r.points = NULL;
    if (!e && out->n <= limit)
        e = read_sources(&r, orders[0] + 1);
    *buckets = r.summed || out->n > limit;
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
        e = history_buckets_make(span.from_us, span.to_us, width_us, out);
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
        e = end(db, read_points(db, span, &p));
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

/* many: there are certainly more than `limit` samples, by packed rows that are wholly inside. */
static enum err many(struct pg *db, struct history_span span, uint32_t limit, bool *out)
{
    struct numbers n;
    struct pg_result *rows = NULL;
    enum err e = pg_prepared(db, "history_many",
                             "SELECT coalesce(sum(n), 0) FROM (SELECT n FROM chunk " INSIDE
                             " UNION ALL SELECT n FROM piece " INSIDE " LIMIT $4::bigint) c",
                             numbers(&n, span.series, span.from_us, span.to_us, (int64_t)limit + 1),
                             4, &rows);
    if (!e)
        *out = pg_i64(rows, 0, 0) > limit;
    pg_result_free(rows);
    return e;
}

static enum err read_either(struct pg *db, struct history_span span, uint32_t limit, bool buckets,
                            struct history *out)
{
    enum err e = ERR_OK;
    if (!buckets)
        e = read_few_points(db, span, limit, &out->points, &buckets);
    if (!e && buckets) {
        history_points_free(&out->points);
        e = read_buckets(db, span, history_width(span.from_us, span.to_us, limit), &out->buckets);
    }
    out->raw = !buckets;
    return e;
}

void history_free(struct history *h)
{
    history_buckets_free(&h->buckets);
    history_points_free(&h->points);
}

/* A fast series has millions of samples in a span of which a chart wants some hundreds: `many` and
 * landed_max see to it that they are not read to be counted.  `many` is asked before, because a
 * transaction has to look at the landing tables first: they are emptied ten seconds after what was
 * in them has moved. */
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
    "SELECT " PACKED_COLUMNS " FROM " table " x WHERE series_id = $1::integer AND start < " US(    \
        2) " AND start > (SELECT max(start) FROM " table                                           \
           " WHERE series_id = $1::integer AND start < " US(                                       \
               2) ") - interval '1 day' AND stop >= (SELECT max(start) FROM " table                \
                  " WHERE series_id = $1::integer AND start < " US(2) ")"
static const char landed_before_sql[] =
    "SELECT ts, value, quality FROM landed WHERE series_id = $1::integer AND ts < " US(
        2) " ORDER BY ts DESC LIMIT 1";
static const char packed_before_sql[] = NEWEST_OF("chunk") " UNION ALL " NEWEST_OF("piece");

/* Samples move from landing to pieces to chunks: asked in this order none is missed. */
static enum err read_newest(struct reader_state *r)
{
    bool held = false;
    struct numbers n;
    const struct str *params = numbers(&n, r->span.series, r->span.to_us, 0, 0);
    enum err e = read_remembered(r, &held);
    if (!e && !held)
        e = pg_prepared_each(r->db, "history_before", landed_before_sql, params, 2, add_plain, r);
    return e ? e
             : pg_prepared_each(r->db, "history_before_packed", packed_before_sql, params, 2,
                                add_piece, r);
}

enum err history_before(struct pg *db, int32_t series, int64_t ts_us, struct recent *recent,
                        bool *found, struct history_point *out)
{
    struct history_point p;
    struct reader_state r = {
        .db = db, .span = {series, INT64_MIN, ts_us, recent}, .newest = &p, .found = false};
    arena_init(&r.arena, (size_t)1 << 20, (size_t)64 << 20);
    enum err e = read_newest(&r);
    if (!e) {
        *found = r.found;
        if (r.found)
            *out = p;
    }
    arena_fini(&r.arena);
    return e;
}
