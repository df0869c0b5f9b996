/* merger.c - see merger.h. */
#include "store/merger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/grow.h"
#include "base/log.h"
#include "store/chunk.h"
#include "store/classes.h"
#include "store/merge_plan.h"
#include "store/packed_row.h"
#include "store/pg_binary.h"
#include "store/rollup.h"
#include "store/rows.h"

#define LOOK_EVERY_US  INT64_C(600000000)
#define BATCH_ROWS     500000
#define BATCH_SERIES   1000
#define HOURS          24
#define BODY_MAX_BYTES ((size_t)256 << 20)
#define SEND_BYTES     ((size_t)4 << 20)
#define ARENA_BYTES    ((size_t)PACKED_MAX * 96 + 65536)
#define PARTS_KNOWN    64
/* Two processes at a take-over do not merge side by side. */
#define LOCK_SQL "SELECT pg_advisory_xact_lock(422155773286)"

/* The tables that are written to. */
enum target { TO_PIECE, TO_CHUNK, TO_MINUTE, TO_HOUR, TARGETS };
static const char *const copy_sql[TARGETS] = {
    [TO_PIECE] = "COPY piece (" PACKED_COPY_COLUMNS ") FROM STDIN (FORMAT binary)",
    [TO_CHUNK] = "COPY chunk (" PACKED_COPY_COLUMNS ") FROM STDIN (FORMAT binary)",
    [TO_MINUTE] = "COPY rollup_minute (" ROLLUP_MINUTE_COPY_COLUMNS ") FROM STDIN (FORMAT binary)",
    [TO_HOUR] = "COPY rollup_hour (" ROLLUP_HOUR_COPY_COLUMNS ") FROM STDIN (FORMAT binary)",
};

/* What a series' day is known to be beside the samples that were taken. */
struct day {
    uint32_t series;
    bool fast;           /* hour: it had a row of rollup_minute */
    bool summed;         /* it had a row of rollup_hour */
    struct rollup hours; /* what of rollup_hour stays as it is */
};

struct part {
    int16_t class_id;
    int64_t week;
};

struct merger {
    struct metrics *metrics;
    const _Atomic bool *stopping;
    struct merge_plan plan;
    int64_t looked_us, horizon_us;
    struct part parts[PARTS_KNOWN]; /* partitions that are there */
    size_t n_parts;

    /* of one transaction */
    struct span span;
    const struct merge_item *items;
    size_t n_items;
    struct rows rows;
    struct day *days; /* by item */
    struct classes classes;
    struct points points;
    size_t points_cap;
    struct arena arena;
    struct buf body[TARGETS];
    int64_t merged, chunks;
    bool crooked; /* a row of chunk reaches beyond the hour that was taken */
};

/* ---- life ---- */

enum err merger_new(struct metrics *metrics, const _Atomic bool *stopping, struct merger **out)
{
    struct merger *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->metrics = metrics;
    m->stopping = stopping;
    m->looked_us = INT64_MIN / 2;
    merge_plan_init(&m->plan);
    rows_init(&m->rows);
    classes_init(&m->classes);
    arena_init(&m->arena, ARENA_BYTES, 4 * ARENA_BYTES);
    for (int i = 0; i < TARGETS; i++)
        buf_init(&m->body[i], BODY_MAX_BYTES);
    m->days = calloc(BATCH_SERIES, sizeof *m->days);
    if (!m->days) {
        merger_free(m);
        return ERR_NOMEM;
    }
    *out = m;
    return ERR_OK;
}

void merger_free(struct merger *m)
{
    if (!m)
        return;
    merge_plan_fini(&m->plan);
    rows_fini(&m->rows);
    classes_fini(&m->classes);
    arena_fini(&m->arena);
    for (int i = 0; i < TARGETS; i++)
        buf_fini(&m->body[i]);
    free(m->points.ts_us);
    free(m->points.value);
    free(m->points.quality);
    free(m->days);
    free(m);
}

/* The points' arrays have room for `n`. */
static enum err points_room(struct merger *m, size_t n)
{
    struct points *p = &m->points;
    size_t caps[] = {m->points_cap, m->points_cap, m->points_cap};
    int64_t *ts = grow(p->ts_us, &caps[0], n, sizeof *ts);
    double *value = grow(p->value, &caps[1], n, sizeof *value);
    int16_t *quality = grow(p->quality, &caps[2], n, sizeof *quality);
    p->ts_us = ts ? ts : p->ts_us;
    p->value = value ? value : p->value;
    p->quality = quality ? quality : p->quality;
    if (!ts || !value || !quality)
        return ERR_NOMEM;
    m->points_cap = caps[0];
    return ERR_OK;
}

/* ---- taking rows ---- */

static int by_series(const void *key, const void *item)
{
    uint32_t a = *(const uint32_t *)key, b = ((const struct merge_item *)item)->series;
    return a < b ? -1 : a > b;
}

static struct day *day_of(struct merger *m, uint32_t series)
{
    const struct merge_item *i =
        bsearch(&series, m->items, m->n_items, sizeof *m->items, by_series);
    return i ? &m->days[i - m->items] : NULL;
}

/* A row of piece or chunk: series_id, PACKED_COLUMNS. */
static enum err take_packed(void *ctx, struct str row)
{
    struct merger *m = ctx;
    struct str f[PACKED_FIELDS + 1];
    struct packed p;
    int32_t series = 0;
    arena_reset(&m->arena);
    enum err e = pg_get_row(row, f, PACKED_FIELDS + 1);
    if (!e)
        e = pg_get_i32(f[0], &series);
    if (!e)
        e = packed_read(&m->arena, f + 1, &p);
    if (!e)
        e = points_room(m, p.n);
    if (!e)
        e = packed_decode(&p, &m->points);
    if (!e)
        e = rows_room(&m->rows, p.n);
    for (size_t i = 0; !e && i < p.n; i++)
        m->rows.v[m->rows.n++] = (struct row){m->points.ts_us[i], m->points.value[i],
                                              (uint32_t)series, m->points.quality[i]};
    if (!e && m->span.kind == SPAN_HOUR && p.stop_us >= m->span.start_us + HOUR_US)
        m->crooked = true;
    return e;
}

/* series_id, ROLLUP_COLUMNS of rollup_minute (day) or rollup_hour (hour). */
static enum err take_rollup(void *ctx, struct str row)
{
    struct merger *m = ctx;
    struct str f[ROLLUP_FIELDS + 1];
    struct rollup r;
    int32_t series = 0;
    bool minutes = m->span.kind == SPAN_DAY;
    arena_reset(&m->arena);
    enum err e = pg_get_row(row, f, ROLLUP_FIELDS + 1);
    if (!e)
        e = pg_get_i32(f[0], &series);
    if (!e)
        e = rollup_read(&m->arena, minutes ? ROLLUP_MINUTE : ROLLUP_HOUR, f + 1, &r);
    struct day *d = e ? NULL : day_of(m, (uint32_t)series);
    if (!d)
        return e;
    if (minutes) {
        struct rollup_entry hour = rollup_fold(&r);
        rollup_set(&d->hours, &hour);
    } else {
        d->hours = r;
        d->summed = true;
    }
    return ERR_OK;
}

static enum err take_fast(void *ctx, struct str row)
{
    struct merger *m = ctx;
    struct str f[1];
    int32_t series = 0;
    enum err e = pg_get_row(row, f, 1);
    if (!e)
        e = pg_get_i32(f[0], &series);
    struct day *d = e ? NULL : day_of(m, (uint32_t)series);
    if (d)
        d->fast = true;
    return e;
}

#define SERIES "series_id = ANY (current_setting('braid.series')::integer[])"
#define IN_SPAN                                                                                    \
    "start >= current_setting('braid.from')::timestamptz "                                         \
    "AND start < current_setting('braid.till')::timestamptz"
#define AT_DAY "start = current_setting('braid.day')::timestamptz"
#define SLOW(t)                                                                                    \
    "NOT EXISTS (SELECT FROM rollup_minute r WHERE r.series_id = " t ".series_id "                 \
    "AND r.start = date_trunc('hour', " t ".start, 'UTC'))"
#define OUT ") TO STDOUT (FORMAT binary)"

struct taking {
    const char *sql;
    pg_row *take;
};
/* In this order: what is fast decides about the rest. */
static const struct taking hour_takings[] = {
    {"COPY (DELETE FROM piece WHERE " SERIES " AND " IN_SPAN
     " RETURNING series_id, " PACKED_COLUMNS OUT,
     take_packed},
    {"COPY (DELETE FROM chunk WHERE " SERIES " AND " IN_SPAN
     " RETURNING series_id, " PACKED_COLUMNS OUT,
     take_packed},
    {"COPY (DELETE FROM rollup_minute WHERE " SERIES " AND " IN_SPAN " RETURNING series_id" OUT,
     take_fast},
    {"COPY (DELETE FROM rollup_hour WHERE " SERIES " AND " AT_DAY
     " RETURNING series_id, " ROLLUP_COLUMNS OUT,
     take_rollup},
};
static const struct taking day_takings[] = {
    {"COPY (DELETE FROM piece p WHERE " SERIES " AND " IN_SPAN " AND " SLOW("p") //
     " RETURNING series_id, " PACKED_COLUMNS OUT,
     take_packed},
    {"COPY (DELETE FROM chunk c WHERE " SERIES " AND " IN_SPAN " AND " SLOW("c") //
     " RETURNING series_id, " PACKED_COLUMNS OUT,
     take_packed},
    {"COPY (SELECT series_id, " ROLLUP_COLUMNS " FROM rollup_minute WHERE " SERIES
     " AND " IN_SPAN OUT,
     take_rollup},
    {"COPY (DELETE FROM rollup_hour WHERE " SERIES " AND " AT_DAY " RETURNING series_id" OUT,
     take_fast},
};
#define TAKINGS (sizeof hour_takings / sizeof *hour_takings)
_Static_assert(sizeof day_takings == sizeof hour_takings, "both are of TAKINGS steps");

static int64_t day_start(const struct merger *m)
{
    return rollup_start(ROLLUP_HOUR, m->span.start_us);
}

/* The statements read what they are about from settings: COPY takes no parameters. */
static enum err tell(struct merger *m, struct pg *db)
{
    char texts[3][24];
    struct buf ids;
    int64_t from = m->span.start_us;
    int64_t till = from + (m->span.kind == SPAN_DAY ? DAY_US : HOUR_US);
    const int64_t at[] = {from / 1000, till / 1000, day_start(m) / 1000};
    buf_init(&ids, (size_t)BATCH_SERIES * 12 + 2);
    buf_putc(&ids, '{');
    for (size_t i = 0; i < m->n_items; i++)
        buf_printf(&ids, "%s%" PRIu32, i ? "," : "", m->items[i].series);
    buf_putc(&ids, '}');
    for (size_t i = 0; i < 3; i++)
        snprintf(texts[i], sizeof texts[i], "%" PRId64, at[i]);
    const struct str params[] = {buf_view(&ids), str_of(texts[0]), str_of(texts[1]),
                                 str_of(texts[2])};
    enum err e = ids.err;
    if (!e)
        e = pg_prepared(db, "merge_tell",
                        "SELECT set_config('braid.series', $1, true), "
                        "set_config('braid.from', at_ms($2::bigint)::text, true), "
                        "set_config('braid.till', at_ms($3::bigint)::text, true), "
                        "set_config('braid.day', at_ms($4::bigint)::text, true)",
                        params, 4, NULL);
    buf_fini(&ids);
    return e;
}

static enum err take_all(struct merger *m, struct pg *db)
{
    const struct taking *t = m->span.kind == SPAN_DAY ? day_takings : hour_takings;
    m->rows.n = 0;
    m->crooked = false;
    for (size_t i = 0; i < m->n_items; i++)
        m->days[i] = (struct day){.series = m->items[i].series,
                                  .hours = {.kind = ROLLUP_HOUR, .start_us = day_start(m)}};
    enum err e = tell(m, db);
    for (size_t i = 0; !e && i < TAKINGS; i++)
        e = pg_copy_out(db, t[i].sql, t[i].take, m, NULL);
    return !e && m->crooked ? ERR_CONFLICT : e;
}

/* ---- putting rows ---- */

static enum err send(struct merger *m, struct pg *db, enum target t)
{
    uint64_t rows = 0;
    struct buf *b = &m->body[t];
    if (!b->n)
        return ERR_OK;
    copy_tail(b);
    enum err e = b->err ? b->err : pg_copy_in(db, copy_sql[t], b->p, b->n, &rows);
    m->chunks += t == TO_CHUNK ? (int64_t)rows : 0;
    buf_reset(b);
    return e;
}

static struct buf *body(struct merger *m, enum target t)
{
    if (!m->body[t].n)
        copy_head(&m->body[t]);
    return &m->body[t];
}

static enum err load(struct merger *m, const struct row *v, size_t n)
{
    enum err e = points_room(m, n);
    for (size_t i = 0; !e && i < n; i++) {
        m->points.ts_us[i] = v[i].ts_us;
        m->points.value[i] = v[i].value;
        m->points.quality[i] = v[i].quality;
    }
    m->points.n = n;
    return e;
}

/* put_packed writes samples of one series as rows of at most PACKED_MAX each. */
static enum err put_packed(struct merger *m, struct pg *db, enum target t, const struct row *v,
                           size_t n)
{
    enum err e = ERR_OK;
    for (size_t i = 0, some; !e && i < n; i += some) {
        struct packed p;
        some = n - i < PACKED_MAX ? n - i : PACKED_MAX;
        arena_reset(&m->arena);
        e = load(m, v + i, some);
        if (!e)
            e = packed_encode(&m->arena, &m->points, &p);
        if (!e)
            packed_put_row(body(m, t), &p, v->series, classes_of(&m->classes, v->series));
        if (!e && m->body[t].n > SEND_BYTES)
            e = send(m, db, t);
    }
    m->merged += e ? 0 : (int64_t)n;
    return e;
}

static void put_hours(struct merger *m, const struct day *d)
{
    rollup_put_row(body(m, TO_HOUR), &d->hours, d->series, classes_of(&m->classes, d->series));
}

/* note_hour sums up a series' hour by minutes and notes it in the day.  For a slow series that is
 * all: its hours are in no row of rollup_minute. */
static enum err note_hour(struct merger *m, struct day *d, const struct row *v, size_t n,
                          struct rollup *minutes)
{
    enum err e = load(m, v, n);
    if (!e)
        e = rollup_make(ROLLUP_MINUTE, &m->points, minutes);
    if (e)
        return e;
    struct rollup_entry hour = rollup_fold(minutes);
    rollup_set(&d->hours, &hour);
    return ERR_OK;
}

/* put_fast_hour writes the chunk and the minutes of a series' hour. */
static enum err put_fast_hour(struct merger *m, struct pg *db, struct day *d, const struct row *v,
                              size_t n)
{
    struct rollup minutes;
    enum err e = note_hour(m, d, v, n, &minutes);
    if (e)
        return e;
    rollup_put_row(body(m, TO_MINUTE), &minutes, v->series, classes_of(&m->classes, v->series));
    return put_packed(m, db, TO_CHUNK, v, n);
}

/* put_hour: the samples of a series in the hour that was taken. */
static enum err put_hour(struct merger *m, struct pg *db, struct day *d, const struct row *v,
                         size_t n)
{
    enum err e = ERR_OK;
    if (n >= MERGE_FAST || d->fast)
        e = put_fast_hour(m, db, d, v, n);
    else if (n)
        e = put_packed(m, db, TO_PIECE, v, n);
    if (!e && d->summed)
        put_hours(m, d);
    return e;
}

static size_t hour_end(const struct row *v, size_t i, size_t n)
{
    int64_t till = rollup_start(ROLLUP_MINUTE, v[i].ts_us) + HOUR_US;
    while (i < n && v[i].ts_us < till)
        i++;
    return i;
}

/* put_day: samples of a series in those hours of the day that were not fast before.  Slow hours are
 * moved together in front, in place, and become the day's chunk. */
static enum err put_day(struct merger *m, struct pg *db, struct day *d, struct row *v, size_t n)
{
    struct rollup minutes;
    enum err e = ERR_OK;
    size_t slow = 0;
    for (size_t i = 0, end; !e && i < n; i = end) {
        end = hour_end(v, i, n);
        if (end - i >= MERGE_FAST) {
            e = put_fast_hour(m, db, d, v + i, end - i);
            continue;
        }
        e = note_hour(m, d, v + i, end - i, &minutes);
        memmove(v + slow, v + i, (end - i) * sizeof *v);
        slow += end - i;
    }
    if (!e && slow)
        e = put_packed(m, db, TO_CHUNK, v, slow);
    int64_t total = 0;
    for (size_t i = 0; i < d->hours.entries; i++)
        total += d->hours.entry[i].n;
    if (!e && total >= MERGE_SUMMED)
        put_hours(m, d);
    return e;
}

static enum err put_all(struct merger *m, struct pg *db)
{
    enum err e = ERR_OK;
    size_t at = 0;
    rows_sort(&m->rows);
    for (size_t i = 0; !e && i < m->n_items; i++) {
        struct row *v = m->rows.v + at;
        size_t n = 0;
        while (at + n < m->rows.n && v[n].series == m->items[i].series)
            n++;
        at += n;
        e = m->span.kind == SPAN_DAY ? put_day(m, db, &m->days[i], v, n)
                                     : put_hour(m, db, &m->days[i], v, n);
        if (!e && atomic_load(m->stopping))
            e = ERR_CLOSED;
    }
    if (!e && at != m->rows.n) /* rows of a series that was not asked for */
        e = ERR_INVALID;
    for (int t = 0; !e && t < TARGETS; t++)
        e = send(m, db, (enum target)t);
    return e;
}

/* ---- partitions ---- */

static bool part_known(const struct merger *m, struct part p)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].class_id == p.class_id && m->parts[i].week == p.week)
            return true;
    return false;
}

static enum err make_part(struct merger *m, struct pg *db, struct part p)
{
    char texts[2][24];
    snprintf(texts[0], sizeof texts[0], "%d", p.class_id);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, m->span.start_us / 1000);
    enum err e =
        pg_prepared(db, "merge_part", "SELECT ensure_history($1::smallint, at_ms($2::bigint))",
                    (struct str[]){str_of(texts[0]), str_of(texts[1])}, 2, NULL);
    if (e)
        return e;
    m->n_parts = m->n_parts == PARTS_KNOWN ? 0 : m->n_parts;
    m->parts[m->n_parts++] = p;
    return ERR_OK;
}

/* Partitions are made before the transaction, so that their locks are short. */
static enum err make_parts(struct merger *m, struct pg *db)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < m->n_items; i++) {
        struct part p = {classes_of(&m->classes, m->items[i].series),
                         (m->span.start_us - 4 * DAY_US) / (7 * DAY_US)};
        if (!part_known(m, p))
            e = make_part(m, db, p);
    }
    return e;
}

/* ---- steps ---- */

static enum err merge_some(struct merger *m, struct pg *db)
{
    for (int i = 0; i < TARGETS; i++)
        buf_reset(&m->body[i]);
    m->merged = m->chunks = 0;
    enum err e = make_parts(m, db);
    if (!e)
        e = pg_script(db, "BEGIN");
    if (!e)
        e = pg_exec(db, LOCK_SQL, NULL, 0, NULL);
    if (!e)
        e = take_all(m, db);
    if (!e)
        e = put_all(m, db);
    if (!e)
        e = pg_script(db, "COMMIT");
    if (e)
        return e;
    metric_add(m->metrics, M_MERGED_SAMPLES, m->merged);
    metric_add(m->metrics, M_MERGED_CHUNKS, m->chunks);
    log_debug("history.merged", KV("span", m->span.kind == SPAN_DAY ? "day" : "hour"),
              KI("start", m->span.start_us / 1000000), KI("series", m->n_items),
              KI("samples", m->merged));
    return ERR_OK;
}

/* look: true when there may be something to do. */
static enum err look(struct merger *m, struct pg *db, int64_t now_us, bool *found)
{
    int64_t horizon = 0;
    *found = m->plan.n_spans > 0;
    if (*found)
        return ERR_OK;
    enum err e = merge_horizon(db, now_us, &horizon);
    if (e)
        return e;
    if (horizon == m->horizon_us && now_us < m->looked_us + LOOK_EVERY_US && now_us >= m->looked_us)
        return ERR_OK;
    e = classes_read(&m->classes, db);
    if (!e)
        e = merge_plan_look(&m->plan, db, horizon);
    if (e)
        return e;
    m->horizon_us = horizon;
    m->looked_us = now_us;
    *found = true;
    return ERR_OK;
}

static enum err step(struct merger *m, struct pg *db, bool *again)
{
    enum err e = ERR_OK;
    bool more = m->plan.next < m->plan.n;
    if (!more)
        e = merge_plan_next(&m->plan, db, m->horizon_us, &more);
    if (e || !more)
        return e;
    m->span = m->plan.span;
    m->n_items = merge_plan_take(&m->plan, BATCH_ROWS, BATCH_SERIES, &m->items);
    *again = true;
    return merge_some(m, db);
}

enum err merger_step(struct merger *m, struct pg *db, int64_t now_us, bool *again)
{
    bool found = false;
    *again = false;
    enum err e = look(m, db, now_us, &found);
    if (!e && found)
        e = step(m, db, again);
    if (e) { /* from the beginning, after a while */
        merge_plan_drop(&m->plan);
        m->n_parts = 0;
        m->looked_us = now_us - LOOK_EVERY_US + LOOK_EVERY_US / 10;
    }
    return e;
}
