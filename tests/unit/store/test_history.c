/* test_history.c - every sample once, wherever it is: landed, in a piece, in a chunk, or only in
 * what is left of it in the roll-ups; and SQL unpacks what C packs. */
#include "fixture/db.h"
#include "store/chunk.h"
#include "store/history.h"
#include "store/packed_row.h"
#include "store/recent.h"
#include "signals.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE INT64_C(60000000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define T0     (INT64_C(20454) * DAY) /* 2026-01-01 00:00 */

static struct pg *owner, *grafana;
static struct arena arena;
static struct recent *memory; /* what readers are given, NULL most of the time */

/* What the largest answer of PostgreSQL took in this process. */
static size_t largest_answer;
PGresult *PQgetResult(PGconn *c)
{
    PGresult *(*real)(PGconn *) =
        (PGresult * (*)(PGconn *))(uintptr_t)dlsym(RTLD_NEXT, "PQgetResult");
    PGresult *r = real(c);
    size_t bytes = r ? PQresultMemorySize(r) : 0;
    largest_answer = bytes > largest_answer ? bytes : largest_answer;
    return r;
}

static int start_server(void **state)
{
    return start_database(state) || pg_connect(server.owner, "test", &owner) ||
                   pg_connect(server.grafana, "test", &grafana)
               ? -1
               : 0;
}

static int remove_server(void **state)
{
    pg_close(owner);
    pg_close(grafana);
    return remove_database(state);
}

static int fresh(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20, 256 << 20);
    random_restart();
    return pg_script(owner,
                     "TRUNCATE device, landing_0, piece, chunk, rollup_minute, rollup_hour "
                     "CASCADE; INSERT INTO device (id, endpoint, status, created_at) VALUES "
                     "(1, 'one', 'online', '2026-01-01'); "
                     "INSERT INTO series (id, device_id, source, key, datatype, unit) VALUES "
                     "(1, 1, 'sparkplug', 'spb:/a', 'Double', 'V'), "
                     "(2, 1, 'sparkplug', 'spb:/b', 'Double', NULL)")
               ? -1
               : 0;
}

static int drop(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void sql(const char *text)
{
    if (pg_script(owner, text))
        fail_msg("%s: %s", text, pg_error(owner));
}

/* ---- putting samples where they shall be ---- */

static struct points points_of(int64_t from_us, int64_t step_us, size_t n)
{
    struct points p;
    assert_int_equal(points_make(&arena, n, &p), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        p.ts_us[i] = from_us + (int64_t)i * step_us;
        p.value[i] = (double)(next() % 100000) / 1000;
        p.quality[i] = next() % 50 ? 0 : 1;
    }
    return p;
}

static void copy_rows_in(const char *table, const char *columns, struct buf *rows)
{
    char text[256];
    struct buf body;
    snprintf(text, sizeof text, "COPY %s (%s) FROM STDIN (FORMAT binary)", table, columns);
    buf_init(&body, 256 << 20);
    copy_head(&body);
    buf_str(&body, buf_view(rows));
    copy_tail(&body);
    if (pg_copy_in(owner, text, body.p, body.n, NULL))
        fail_msg("%s: %s", text, pg_error(owner));
    buf_fini(&body);
    buf_fini(rows);
}

static void add_packed(struct buf *rows, uint32_t series, const struct points *p)
{
    struct packed packed;
    assert_int_equal(packed_encode(&arena, p, &packed), ERR_OK);
    packed_put_row(rows, &packed, series, 0);
}

static void put_packed(const char *table, uint32_t series, const struct points *p)
{
    struct buf rows;
    buf_init(&rows, 64 << 20);
    add_packed(&rows, series, p);
    copy_rows_in(table, PACKED_COPY_COLUMNS, &rows);
}

static void put_rollup(enum rollup_kind kind, uint32_t series, const struct points *p)
{
    struct rollup r;
    struct buf rows;
    buf_init(&rows, 1 << 20);
    assert_int_equal(rollup_make(kind, p, &r), ERR_OK);
    rollup_put_row(&rows, &r, series, 0);
    if (kind == ROLLUP_MINUTE)
        copy_rows_in("rollup_minute", ROLLUP_MINUTE_COPY_COLUMNS, &rows);
    else
        copy_rows_in("rollup_hour", ROLLUP_HOUR_COPY_COLUMNS, &rows);
}

static struct points part_of(const struct points *p, int64_t from_us, int64_t to_us)
{
    size_t first = 0, end;
    while (first < p->n && p->ts_us[first] < from_us)
        first++;
    for (end = first; end < p->n && p->ts_us[end] < to_us; end++)
        continue;
    return (struct points){p->ts_us + first, p->value + first, p->quality + first, end - first};
}

/* As merging does: an hour with `fast` samples is a chunk with a roll-up, the others of a day are
 * one chunk without; days have a roll-up, `summed` samples provided. */
static void put_merged(uint32_t series, const struct points *p, size_t fast, size_t summed)
{
    for (int64_t day = history_floor(p->ts_us[0], DAY); day <= p->ts_us[p->n - 1]; day += DAY) {
        char text[120];
        struct points whole = part_of(p, day, day + DAY);
        if (!whole.n)
            continue;
        snprintf(text, sizeof text, "SELECT ensure_history(0::smallint, at_ms(%" PRId64 "))",
                 day / 1000);
        sql(text);
        if (whole.n >= summed)
            put_rollup(ROLLUP_HOUR, series, &whole);
        struct points slow;
        assert_int_equal(points_make(&arena, whole.n, &slow), ERR_OK);
        slow.n = 0;
        for (int64_t hour = day; hour < day + DAY; hour += HOUR) {
            struct points part = part_of(&whole, hour, hour + HOUR);
            for (size_t i = 0; part.n < fast && i < part.n; i++, slow.n++) {
                slow.ts_us[slow.n] = part.ts_us[i];
                slow.value[slow.n] = part.value[i];
                slow.quality[slow.n] = part.quality[i];
            }
            if (part.n < fast)
                continue;
            put_packed("chunk", series, &part);
            put_rollup(ROLLUP_MINUTE, series, &part);
        }
        if (slow.n)
            put_packed("chunk", series, &slow);
    }
}

static void put_chunks(uint32_t series, const struct points *p)
{
    put_merged(series, p, 1, 1);
}

static void put_landed(uint32_t series, const struct points *p)
{
    struct buf rows;
    buf_init(&rows, 64 << 20);
    for (size_t i = 0; i < p->n; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (%u, timestamptz "
                 "'epoch' + %" PRId64 " * interval '1 microsecond', %.17g, %d);",
                 series, p->ts_us[i], p->value[i], p->quality[i]);
        buf_puts(&rows, text);
    }
    sql(buf_text(&rows));
    buf_fini(&rows);
}

/* ---- what has to come out ---- */

static void assert_buckets(const struct points *p, int64_t from_us, int64_t to_us, int64_t width)
{
    struct history_buckets b;
    const struct history_span span = {1, from_us, to_us, memory};
    enum err err = history_read_buckets(db, span, width, &b);
    if (err)
        fail_msg("%s: %s (width %" PRId64 ")", err_word(err), pg_error(db), width);
    assert_int_equal(b.width_us, width);
    assert_int_equal(b.start_us, history_floor(from_us, width));
    for (size_t i = 0; i < b.n; i++) {
        int64_t at = b.start_us + (int64_t)i * width;
        struct points in = part_of(p, at, at + width);
        const struct rollup_entry *e = &b.bucket[i].entry;
        double lo = INFINITY, hi = -INFINITY, sum = 0, first = NAN, last = NAN;
        int64_t bad = 0;
        for (size_t k = 0; k < in.n; k++) {
            double v = in.value[k];
            if (!rollup_is_sound(v, in.quality[k])) {
                bad++;
                continue;
            }
            lo = v < lo ? v : lo;
            hi = v > hi ? v : hi;
            sum += v;
            first = isnan(first) ? v : first;
            last = v;
        }
        if (e->n != (int64_t)in.n || e->bad != bad)
            fail_msg("bucket %zu of %" PRId64 " s: %" PRId64 " samples, not %zu", i,
                     width / 1000000, e->n, in.n);
        if (e->n == e->bad)
            continue;
        assert_true(e->lo == lo && e->hi == hi && e->first == first && e->last == last);
        assert_true(fabs(e->mean - sum / (double)(e->n - bad)) < 1e-9);
    }
    history_buckets_free(&b);
}

#define SQL_BUCKETS_MAX 5000
static void assert_same_window(int64_t from_us, int64_t to_us, int64_t width)
{
    char text[400];
    struct history_buckets b;
    struct pg_result *rows;
    assert_int_equal(
        history_read_buckets(db, (struct history_span){1, from_us, to_us, NULL}, width, &b),
        ERR_OK);
    snprintf(text, sizeof text,
             "SELECT (date_part('epoch', time) * 1000000)::bigint, min, max, avg, n, last FROM "
             "grafana.buckets('one', 'spb:/a', to_timestamp(%" PRId64 "), to_timestamp(%" PRId64
             "), %" PRId64 " * interval '1 us')",
             from_us / 1000000, to_us / 1000000, width);
    assert_int_equal(pg_exec(grafana, text, NULL, 0, &rows), ERR_OK);
    size_t k = 0;
    for (size_t i = 0; i < b.n; i++) {
        const struct rollup_entry *e = &b.bucket[i].entry;
        if (!e->n)
            continue;
        assert_true(k < pg_rows(rows));
        assert_int_equal(pg_i64(rows, k, 0), b.start_us + (int64_t)i * width);
        assert_int_equal(pg_i64(rows, k, 4), e->n);
        assert_int_equal(pg_null(rows, k, 1), e->n == e->bad);
        if (e->n > e->bad)
            assert_true(pg_double(rows, k, 1) == e->lo && pg_double(rows, k, 2) == e->hi &&
                        fabs(pg_double(rows, k, 3) - e->mean) < 1e-9 &&
                        pg_double(rows, k, 5) == e->last);
        k++;
    }
    assert_int_equal(k, pg_rows(rows));
    pg_result_free(rows);
    history_buckets_free(&b);
}

/* What dashboards ask gives the buckets that C reads. */
static void assert_same_in_sql(int64_t from_us, int64_t to_us, int64_t width)
{
    for (int64_t at = from_us; at < to_us; at += SQL_BUCKETS_MAX * width) {
        int64_t end = at + SQL_BUCKETS_MAX * width;
        assert_same_window(at, end < to_us ? end : to_us, width);
    }
}

static void assert_points(const struct points *p, int64_t from_us, int64_t to_us)
{
    struct history_points h;
    const struct points want = part_of(p, from_us, to_us);
    assert_int_equal(history_read_points(db, (struct history_span){1, from_us, to_us, memory}, &h),
                     ERR_OK);
    assert_int_equal(h.n, want.n);
    for (size_t i = 0; i < h.n; i++)
        assert_true(h.v[i].ts_us == want.ts_us[i] && h.v[i].quality == want.quality[i] &&
                    memcmp(&h.v[i].value, &want.value[i], sizeof(double)) == 0);
    history_points_free(&h);
}

/* ---- tests ---- */

static void widths_are_whole_minutes_and_hours(void **state)
{
    (void)state;
    assert_int_equal(history_width(T0, T0 + DAY, 500), 3 * MINUTE);
    assert_int_equal(history_width(T0, T0 + 7 * DAY, 500), 30 * MINUTE);
    assert_int_equal(history_width(T0, T0 + 90 * DAY, 500), 5 * HOUR + HOUR);
    assert_int_equal(history_width(T0, T0 + MINUTE, 500), 200000);
    for (uint32_t points = 2; points <= 5000; points += 83)
        for (int64_t span = 1000; span < 3650 * DAY; span = span * 3 + 77) {
            int64_t from = T0 + (int64_t)(next() % (uint64_t)DAY), w;
            w = history_width(from, from + span, points);
            int64_t n = (history_ceil(from + span, w) - history_floor(from, w)) / w;
            assert_true(n <= points);
            assert_true(w < MINUTE || w % MINUTE == 0);
            assert_true(w < HOUR || w % HOUR == 0);
        }
    assert_int_equal(history_floor(-1, HOUR), -HOUR);
    assert_int_equal(history_ceil(-1, HOUR), 0);
    assert_int_equal(history_ceil(HOUR, HOUR), HOUR);
}

static void every_sample_counts_once_wherever_it_is(void **state)
{
    static const int64_t widths[] = {10000000, MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY};
    (void)state;
    const struct points all = points_of(T0 + 17 * MINUTE + 123000, 7000000, 20000); /* 39 h */
    const struct points other = points_of(T0, 60000000, 2000);
    const struct points chunks = part_of(&all, 0, T0 + 30 * HOUR);
    const struct points late = part_of(&all, T0 + 30 * HOUR, T0 + 36 * HOUR);
    const struct points newest = part_of(&all, T0 + 36 * HOUR, T0 + 99 * HOUR);
    put_chunks(1, &chunks);
    put_packed("piece", 1, &late);
    put_landed(1, &newest);
    put_chunks(2, &other);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        assert_buckets(&all, T0, T0 + 2 * DAY, widths[i]);
        assert_buckets(&all, T0 + 5 * HOUR + 13 * MINUTE, T0 + 33 * HOUR + 1, widths[i]);
        assert_buckets(&all, T0 + 40 * HOUR, T0 + 41 * HOUR, widths[i]);
        assert_same_in_sql(T0, T0 + 2 * DAY, widths[i]);
        assert_same_in_sql(T0 + 5 * HOUR + 13 * MINUTE, T0 + 33 * HOUR + 1000000, widths[i]);
    }
    assert_points(&all, T0, T0 + 2 * DAY);
    assert_points(&all, T0 + 5 * HOUR + 1, T0 + 36 * HOUR + 7 * MINUTE);
    assert_points(&all, T0 - 5 * DAY, T0 + 17 * MINUTE);
}

static void fast_and_slow_hours_of_a_day_count_once(void **state)
{
    static const int64_t widths[] = {10000000, MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY};
    (void)state;
    struct points all;
    assert_int_equal(points_make(&arena, 20000, &all), ERR_OK);
    all.n = 0;
    for (int64_t at = T0 + 3 * HOUR; at < T0 + 4 * DAY; all.n++) {
        int64_t hour = history_floor(at, HOUR) / HOUR;
        all.ts_us[all.n] = at;
        all.value[all.n] = (double)(next() % 1000);
        all.quality[all.n] = next() % 9 ? 0 : 3;
        at += hour % 7 == 5 ? 5 * HOUR : hour % 3 ? 10000000 : 170 * 1000000; /* gaps, too */
    }
    const struct points merged = part_of(&all, T0, T0 + 3 * DAY + 5 * HOUR),
                        late = part_of(&all, T0 + 3 * DAY + 5 * HOUR, T0 + 9 * DAY);
    for (int kind = 0; kind < 3; kind++) {
        sql("TRUNCATE chunk, piece, rollup_minute, rollup_hour");
        put_merged(1, &merged, kind ? 200 : 1000000, kind == 2 ? 2000 : 1);
        put_packed("piece", 1, &late);
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            assert_buckets(&all, T0, T0 + 4 * DAY, widths[i]);
            assert_buckets(&all, T0 + 29 * HOUR + 7 * MINUTE, T0 + 55 * HOUR, widths[i]);
            assert_same_in_sql(T0, T0 + 4 * DAY, widths[i]);
        }
        assert_points(&all, T0 + 2 * HOUR, T0 + 77 * HOUR);
        for (size_t i = 1; i < all.n; i += 97) {
            struct history_point p = {0};
            bool found = false;
            assert_int_equal(history_before(db, 1, all.ts_us[i], NULL, &found, &p), ERR_OK);
            assert_true(found && p.ts_us == all.ts_us[i - 1]);
        }
    }
}

static void late_samples_are_put_in_order(void **state)
{
    (void)state;
    const struct points all = points_of(T0, 10000000, 720);
    struct points chunk = {0}, piece = {0}, landed = {0};
    struct points *to[] = {&chunk, &piece, &landed};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(points_make(&arena, all.n, to[i]), ERR_OK);
        to[i]->n = 0;
    }
    for (size_t i = 0; i < all.n; i++) {
        struct points *p = to[i % 3];
        p->ts_us[p->n] = all.ts_us[i];
        p->value[p->n] = all.value[i];
        p->quality[p->n++] = all.quality[i];
    }
    put_chunks(1, &chunk);
    put_packed("piece", 1, &piece);
    put_landed(1, &landed);
    assert_points(&all, T0, T0 + DAY);
    assert_buckets(&all, T0, T0 + DAY, 10000000);
}

static void packed_landing_tables_are_skipped(void **state)
{
    (void)state;
    const struct points all = points_of(T0, 10000000, 300);
    put_landed(1, &all);
    put_packed("piece", 1, &all);
    sql("UPDATE landing_slot SET state = 'packed' WHERE slot = 0");
    assert_points(&all, T0, T0 + DAY);
    sql("UPDATE landing_slot SET state = 'closed' WHERE slot = 0; TRUNCATE piece");
    assert_points(&all, T0, T0 + DAY);
    sql("UPDATE landing_slot SET state = 'open' WHERE slot = 0");
}

static void what_retention_left_is_found(void **state)
{
    (void)state;
    const struct points all = points_of(T0, 30000000, 5760); /* 48 h */
    put_chunks(1, &all);
    sql("DELETE FROM chunk WHERE start < timestamptz '2026-01-02 00:00Z'");
    assert_buckets(&all, T0, T0 + 2 * DAY, 5 * MINUTE);
    assert_buckets(&all, T0, T0 + 2 * DAY, HOUR);
    assert_same_in_sql(T0, T0 + 2 * DAY, HOUR);
    assert_same_in_sql(T0, T0 + 2 * DAY, 5 * MINUTE);
    assert_same_in_sql(T0 + 18 * HOUR, T0 + 30 * HOUR, 10000000); /* minutes, then samples */
    struct history h;
    struct history_span day = {1, T0, T0 + DAY, NULL};
    assert_int_equal(history_read(db, day, 500, &h), ERR_OK); /* no sample, but minutes */
    assert_false(h.raw);
    assert_int_equal(h.buckets.width_us, 3 * MINUTE);
    assert_int_equal(h.buckets.bucket[5].entry.n, 6);
    history_free(&h);
    sql("DELETE FROM rollup_minute WHERE start < timestamptz '2026-01-02 00:00Z'");
    assert_buckets(&all, T0, T0 + 2 * DAY, HOUR);
    assert_same_in_sql(T0, T0 + 2 * DAY, MINUTE);
    assert_same_in_sql(T0 + 18 * HOUR, T0 + 30 * HOUR, 10000000);
    struct history_buckets b;
    assert_int_equal(history_read_buckets(db, day, MINUTE, &b), ERR_OK);
    assert_int_equal(b.bucket[0].entry.n, 120); /* the hour is all that is known */
    assert_int_equal(b.bucket[1].entry.n, 0);
    history_buckets_free(&b);
    sql("TRUNCATE rollup_hour"); /* and the other way round */
    struct points second = part_of(&all, T0 + DAY, T0 + 2 * DAY);
    assert_buckets(&second, T0, T0 + 2 * DAY, 6 * HOUR);
    assert_same_in_sql(T0, T0 + 2 * DAY, 6 * HOUR);
    sql("TRUNCATE rollup_minute");
    assert_buckets(&second, T0, T0 + 2 * DAY, 6 * HOUR);
    assert_same_in_sql(T0, T0 + 2 * DAY, 5 * MINUTE);
    assert_buckets(&second, T0, T0 + 2 * DAY, 5 * MINUTE);
}

static void few_samples_come_as_they_are(void **state)
{
    (void)state;
    struct history h;
    const struct points all = points_of(T0, 60000000, 1000);
    put_chunks(1, &all);
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0 + DAY, NULL}, 1000, &h),
                     ERR_OK);
    assert_true(h.raw && h.points.n == 1000);
    history_free(&h);
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0 + DAY, NULL}, 999, &h),
                     ERR_OK);
    assert_true(!h.raw && h.buckets.width_us == 2 * MINUTE);
    history_free(&h);
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0 + DAY, NULL}, 100, &h),
                     ERR_OK);
    assert_true(!h.raw && h.buckets.width_us == 15 * MINUTE);
    history_free(&h);
    assert_int_equal(history_read(db, (struct history_span){3, T0, T0 + DAY, NULL}, 100, &h),
                     ERR_OK);
    assert_true(h.raw && h.points.n == 0);
    history_free(&h);
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0, NULL}, 100, &h),
                     ERR_INVALID);
    assert_true(pg_check(db));
}

static int64_t prepared(const char *name)
{
    struct pg_result *r;
    const struct str param = str_of(name);
    assert_int_equal(
        pg_exec(db, "SELECT count(*) FROM pg_prepared_statements WHERE name = $1", &param, 1, &r),
        ERR_OK);
    int64_t n = pg_i64(r, 0, 0);
    pg_result_free(r);
    return n;
}

/* Buckets of fives are read by fives where there are some: a connection of its own tells. */
static void rows_without_fives_are_read_by_minutes(void **state)
{
    static const int64_t widths[] = {5 * MINUTE, 25 * MINUTE, 30 * MINUTE};
    (void)state;
    struct pg *before = db;
    const struct points all = points_of(T0 + 7 * MINUTE, 19000000, 9000); /* 47 h */
    const struct points merged = part_of(&all, 0, T0 + 44 * HOUR),
                        late = part_of(&all, T0 + 44 * HOUR, T0 + 3 * DAY);
    put_chunks(1, &merged);
    put_packed("piece", 1, &late);
    assert_int_equal(pg_connect(server.app, "test", &db), ERR_OK);
    for (int old = 0; old < 3; old++) {
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            assert_buckets(&all, T0, T0 + 2 * DAY, widths[i]);
            assert_buckets(&all, T0 + 5 * HOUR + 17 * MINUTE, T0 + 33 * HOUR + 1, widths[i]);
            assert_same_in_sql(T0, T0 + 2 * DAY, widths[i]);
            assert_same_in_sql(T0 + 5 * HOUR + 17 * MINUTE, T0 + 33 * HOUR, widths[i]);
        }
        assert_int_equal(prepared("history_fives"), 1);
        sql(old ? "UPDATE rollup_minute SET at5 = NULL, n5 = NULL"
                : "UPDATE rollup_minute SET at5 = NULL, n5 = NULL, lo5 = NULL, hi5 = NULL, mean5 = "
                  "NULL, first5 = NULL, last5 = NULL WHERE start < timestamptz '2026-01-01 "
                  "20:00Z'");
    }
    assert_int_equal(prepared("history_minutes"), 0);
    assert_buckets(&all, T0, T0 + 2 * DAY, 7 * MINUTE);
    assert_same_in_sql(T0, T0 + 2 * DAY, 7 * MINUTE);
    assert_int_equal(prepared("history_minutes"), 1);
    pg_close(db);
    db = before;
}

/* With a connection of its own: which statements it has run tells what was read. */
static void many_unmerged_samples_are_not_read_one_by_one(void **state)
{
    (void)state;
    struct pg *before = db;
    struct history h;
    const struct history_span day = {1, T0, T0 + DAY, NULL};
    const struct points all = points_of(T0, 100000, 120000); /* 10 Hz, more than three hours */
    for (int64_t at = T0; at < T0 + 3 * HOUR; at += HOUR / 2) {
        const struct points part = part_of(&all, at, at + HOUR / 2);
        put_packed("piece", 1, &part);
    }
    const struct points newest = part_of(&all, T0 + 3 * HOUR, T0 + DAY);
    put_packed("piece", 1, &newest);
    assert_int_equal(pg_connect(server.app, "test", &db), ERR_OK);
    assert_int_equal(history_read(db, day, 500, &h), ERR_OK);
    assert_true(!h.raw && h.buckets.width_us == 3 * MINUTE);
    assert_int_equal(h.buckets.bucket[0].entry.n, 1800);
    history_free(&h);
    assert_int_equal(prepared("history_minutes"), 1);
    assert_int_equal(prepared("history_chunks"), 0); /* which samples would have been asked of */
    assert_buckets(&all, T0, T0 + DAY, MINUTE);
    /* pieces that are only partly inside are not counted, but read */
    const struct history_span part = {1, T0 + MINUTE, T0 + 2 * MINUTE, NULL};
    assert_int_equal(history_read(db, part, 600, &h), ERR_OK);
    assert_true(h.raw && h.points.n == 600);
    history_free(&h);
    assert_int_equal(prepared("history_chunks"), 1);
    assert_int_equal(history_read(db, part, 599, &h), ERR_OK);
    assert_true(!h.raw && h.buckets.bucket[0].entry.n > 0);
    history_free(&h);
    pg_close(db);
    db = before;
}

static void assert_before(int64_t ts_us, bool want, double value)
{
    struct history_point p = {0};
    bool found = !want;
    assert_int_equal(history_before(db, 1, ts_us, memory, &found, &p), ERR_OK);
    assert_int_equal(found, want);
    assert_true(!want || p.value == value);
}

#define BACKLOG 16000 /* pieces */
#define OF_EACH 12
/* As if merging had not run; the last hour is pieces of one sample. */
static struct points put_backlog(void)
{
    const struct points all = points_of(T0, 2000000, BACKLOG * OF_EACH);
    const size_t late = 1800;
    struct buf rows;
    buf_init(&rows, 64 << 20);
    for (size_t i = 0; i + late < all.n; i += OF_EACH) {
        size_t n = all.n - late - i;
        const struct points p = {all.ts_us + i, all.value + i, all.quality + i,
                                 n < OF_EACH ? n : OF_EACH};
        add_packed(&rows, 1, &p);
    }
    for (size_t i = all.n - late; i < all.n; i++) {
        struct points p = {all.ts_us + i, all.value + i, all.quality + i, 1};
        add_packed(&rows, 1, &p);
    }
    copy_rows_in("piece", PACKED_COPY_COLUMNS, &rows);
    return all;
}

static void assert_chart(struct history_span span, const struct points *all)
{
    struct history h;
    assert_int_equal(history_read(db, span, 500, &h), ERR_OK);
    const struct points in = part_of(all, span.from_us, span.to_us);
    assert_int_equal(h.raw, in.n <= 500);
    if (h.raw)
        assert_int_equal(h.points.n, in.n);
    else
        assert_buckets(all, span.from_us, span.to_us, h.buckets.width_us);
    history_free(&h);
}

static void a_backlog_of_many_pieces_is_never_held_at_once(void **state)
{
    (void)state;
    const struct points all = put_backlog();
    const int64_t end = all.ts_us[all.n - 1] + 1;
    for (int merged = 0; merged < 2; merged++) {
        largest_answer = 0;
        assert_buckets(&all, T0, end, HOUR);
        assert_buckets(&all, T0 + 30 * HOUR + 7, T0 + 36 * HOUR, MINUTE);
        assert_chart((struct history_span){1, T0, end, NULL}, &all);
        assert_chart((struct history_span){1, end - 15 * MINUTE, end - MINUTE, NULL}, &all);
        assert_chart((struct history_span){1, end - 2 * HOUR, end, NULL}, &all);
        assert_points(&all, T0 + MINUTE, end);
        assert_before(end, true, all.value[all.n - 1]);
        assert_before(T0 + DAY + 1, true, all.value[43200]);
        assert_in_range(largest_answer, 1, 64 << 10);
        sql("TRUNCATE piece");
        put_chunks(1, &all);
    }
}

static void landed_samples_are_told_one_by_one_up_to_the_limit(void **state)
{
    (void)state;
    struct history h;
    const struct history_span day = {1, T0, T0 + DAY, NULL};
    const struct points all = points_of(T0, 10000000, 900);
    const struct points merged = part_of(&all, T0, T0 + HOUR),
                        landed = part_of(&all, T0 + HOUR, T0 + DAY);
    put_chunks(1, &merged);
    put_landed(1, &landed);
    assert_int_equal(history_read(db, day, 900, &h), ERR_OK);
    assert_true(h.raw && h.points.n == 900);
    history_free(&h);
    for (uint32_t limit = 100; limit < 900; limit += 133) {
        size_t n = 0;
        assert_int_equal(history_read(db, day, limit, &h), ERR_OK);
        assert_false(h.raw);
        for (size_t i = 0; i < h.buckets.n; i++)
            n += (size_t)h.buckets.bucket[i].entry.n;
        assert_int_equal(n, 900);
        history_free(&h);
    }
    assert_points(&all, T0, T0 + DAY);
}

static void the_last_sample_before_a_time_is_found(void **state)
{
    (void)state;
    const struct points all = points_of(T0, 60000000, 600);
    const struct points a = part_of(&all, T0, T0 + 5 * HOUR),
                        b = part_of(&all, T0 + 5 * HOUR, T0 + 7 * HOUR),
                        c = part_of(&all, T0 + 7 * HOUR, T0 + DAY);
    assert_before(T0 + DAY, false, 0);
    put_chunks(1, &a);
    assert_before(T0 + DAY, true, all.value[299]);
    put_packed("piece", 1, &b);
    put_landed(1, &c);
    assert_before(T0, false, 0);
    assert_before(T0 + 1, true, all.value[0]);
    assert_before(T0 + 3 * HOUR, true, all.value[179]);
    assert_before(T0 + 5 * HOUR, true, all.value[299]);
    assert_before(T0 + 6 * HOUR, true, all.value[359]);
    assert_before(T0 + 8 * HOUR, true, all.value[479]);
    assert_before(T0 + 300 * DAY, true, all.value[599]);
}

/* Without ORDER BY: a row's samples come in order, also those of one time. */
static void assert_sql_unpacks(uint32_t series, const struct points *p)
{
    struct pg_result *r;
    char number[12];
    const struct str param =
        str_make(number, (size_t)snprintf(number, sizeof number, "%" PRIu32, series));
    const char *query = "SELECT (extract(epoch FROM ts) * 1000000)::bigint, float8send(value), "
                        "quality FROM samples WHERE series_id = $1::integer";
    if (series % 2)
        query = "SELECT (extract(epoch FROM ts) * 1000000)::bigint, float8send(value), quality "
                "FROM samples_between($1::integer, '2025-12-31', '2199-12-31')";
    assert_int_equal(pg_exec(owner, query, &param, 1, &r), ERR_OK);
    assert_int_equal(pg_rows(r), p->n);
    for (size_t i = 0; i < p->n; i++) {
        uint64_t bits;
        char want[19];
        memcpy(&bits, &p->value[i], sizeof bits);
        snprintf(want, sizeof want, "\\x%016" PRIx64, bits);
        assert_int_equal(pg_i64(r, i, 0), p->ts_us[i]);
        assert_true(str_is(pg_text(r, i, 1), want));
        assert_int_equal(pg_i64(r, i, 2), p->quality[i]);
    }
    pg_result_free(r);
}

/* As the writer does, but not into the table: who finds these rows has not looked there. */
static void put_in_memory(int slot, const struct points *p)
{
    struct chunk c;
    struct batch *b = batch_new();
    assert_non_null(b);
    for (size_t i = 0; i < p->n; i++) {
        struct sample s = {1, (uint8_t)p->quality[i], p->ts_us[i], p->value[i]};
        assert_true(batch_add(b, s));
        s.series = 2;
        assert_true(batch_add(b, s));
    }
    chunk_init(&c);
    assert_int_equal(chunk_add(&c, b), ERR_OK);
    assert_int_equal(chunk_seal(&c), ERR_OK);
    recent_begin(memory, slot, slot + 1, 1);
    recent_add(memory, slot, slot + 1, buf_view(&c.samples));
    chunk_fini(&c);
    batch_free(b);
}

static void what_landed_is_read_from_memory_if_all_of_it_is_there(void **state)
{
    (void)state;
    const struct points all = points_of(T0, 10000000, 3000);
    const struct points packed = part_of(&all, T0, T0 + 2 * HOUR),
                        a = part_of(&all, T0 + 2 * HOUR, T0 + 4 * HOUR),
                        b = part_of(&all, T0 + 4 * HOUR, T0 + DAY);
    put_chunks(1, &packed);
    sql("UPDATE landing_slot SET turn = 1, state = 'closed' WHERE slot = 0; "
        "UPDATE landing_slot SET turn = 2, state = 'open' WHERE slot = 1");
    assert_int_equal(recent_new(100000, &memory), ERR_OK);
    put_in_memory(0, &a);
    assert_points(&packed, T0, T0 + DAY); /* half of it is not enough */
    assert_before(T0 + DAY, true, packed.value[packed.n - 1]);
    put_in_memory(1, &b);
    assert_points(&all, T0, T0 + DAY);
    assert_points(&all, T0 + HOUR, T0 + 5 * HOUR);
    assert_buckets(&all, T0, T0 + DAY, MINUTE);
    assert_buckets(&all, T0, T0 + DAY, HOUR);
    assert_before(T0 + DAY, true, all.value[all.n - 1]);
    assert_before(T0 + 4 * HOUR, true, a.value[a.n - 1]);
    assert_before(T0 + 2 * HOUR, true, packed.value[packed.n - 1]);
    struct history h;
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0 + DAY, memory}, 3000, &h),
                     ERR_OK);
    assert_true(h.raw && h.points.n == 3000);
    history_free(&h);
    assert_int_equal(history_read(db, (struct history_span){1, T0, T0 + DAY, memory}, 2999, &h),
                     ERR_OK);
    assert_false(h.raw);
    history_free(&h);
    recent_forget(memory, 0);
    assert_points(&packed, T0, T0 + DAY);
    recent_free(memory);
    memory = NULL;
    sql("UPDATE landing_slot SET turn = 0, state = 'free' WHERE slot = 1; "
        "UPDATE landing_slot SET turn = 1, state = 'open' WHERE slot = 0");
}

/* However cheap workers seem, here those that read landing tables would be dearer than the reading.
 */
static void landing_tables_are_read_without_workers(void **state)
{
    (void)state;
    struct pg_result *r;
    sql("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; "
        "SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4");
    assert_int_equal(pg_exec(owner, "EXPLAIN SELECT FROM landed WHERE series_id = 1", NULL, 0, &r),
                     ERR_OK);
    for (size_t i = 0; i < pg_rows(r); i++)
        assert_null(memmem(pg_text(r, i, 0).p, pg_text(r, i, 0).n, "Parallel", 8));
    assert_true(pg_rows(r) >= 8);
    pg_result_free(r);
    sql("RESET parallel_setup_cost; RESET parallel_tuple_cost; "
        "RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather");
}

static void sql_unpacks_what_c_packs(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < SIGNALS; s++)
        for (uint32_t t = 0; t < INTERVALS; t++) {
            struct points p = signal_points(&arena, signals[s], t, (s + t) % 3, 300);
            put_packed("piece", 1 + s * INTERVALS + t, &p);
            assert_sql_unpacks(1 + s * INTERVALS + t, &p);
        }
}

/* The clocks of Berlin go forward on 29 March 2026: that day has 23 hours there. */
#define CLOCKS_CHANGE (T0 + 87 * DAY)

static void a_session_of_another_time_zone_sees_the_same(void **state)
{
    static const char elsewhere[] = "SET timezone = 'Europe/Berlin'; SET datestyle = 'SQL, DMY'";
    (void)state;
    const struct points all = points_of(CLOCKS_CHANGE - DAY, 20000000, 4 * 4320);
    struct pg *before = db;
    struct pg_result *r;
    put_merged(1, &all, 1800, 1000); /* no hour is fast: days of one chunk */
    sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Berlin''', "
        "current_database()); END $$");
    assert_int_equal(pg_connect(server.app, "test", &db), ERR_OK);
    assert_int_equal(pg_script(grafana, elsewhere), ERR_OK);
    assert_points(&all, CLOCKS_CHANGE + 23 * HOUR + 30 * MINUTE, CLOCKS_CHANGE + DAY);
    assert_buckets(&all, CLOCKS_CHANGE - DAY, CLOCKS_CHANGE + 3 * DAY, HOUR);
    assert_buckets(&all, CLOCKS_CHANGE + 23 * HOUR + 30 * MINUTE, CLOCKS_CHANGE + DAY, MINUTE);
    assert_same_in_sql(CLOCKS_CHANGE - DAY, CLOCKS_CHANGE + 3 * DAY, HOUR);
    assert_same_in_sql(CLOCKS_CHANGE + 23 * HOUR + 30 * MINUTE, CLOCKS_CHANGE + DAY, MINUTE);
    assert_int_equal(pg_exec(grafana,
                             "SELECT count(*) FROM grafana.history('one', 'spb:/a', "
                             "'2026-03-29 23:30:00Z', '2026-03-30 00:00:00Z')",
                             NULL, 0, &r),
                     ERR_OK);
    assert_int_equal(pg_i64(r, 0, 0), 90);
    pg_result_free(r);
    sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET timezone', current_database()); END "
        "$$");
    assert_int_equal(pg_script(grafana, "RESET timezone; RESET datestyle"), ERR_OK);
    pg_close(db);
    db = before;
}

static void widths_of_dashboards_become_whole(void **state)
{
    static const char *const widths[][2] = {{"90 seconds", "00:02:00"}, {"1 minute", "00:01:00"},
                                            {"59 minutes", "00:59:00"}, {"61 minutes", "02:00:00"},
                                            {"1 day", "24:00:00"},      {"15 seconds", "00:00:15"},
                                            {"0", "00:00:00.001"}};
    (void)state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct pg_result *r;
        struct str param = str_of(widths[i][0]);
        assert_int_equal(pg_exec(db, "SELECT bucket_width($1::interval)", &param, 1, &r), ERR_OK);
        assert_true(str_is(pg_text(r, 0, 0), widths[i][1]));
        pg_result_free(r);
    }
}

static void assert_chart_width(const char *span, const char *asked, const char *given)
{
    struct pg_result *r;
    const struct str params[] = {str_of(span), str_of(asked)};
    assert_int_equal(pg_exec(owner,
                             "SELECT chart_width(1, '2026-01-01Z', timestamptz '2026-01-01Z' + "
                             "$1::interval, $2::interval)",
                             params, 2, &r),
                     ERR_OK);
    if (!str_is(pg_text(r, 0, 0), given))
        fail_msg("%s of %s: %s, not %s", asked, span, pg_text(r, 0, 0).p, given);
    pg_result_free(r);
}

static void a_dashboard_that_asks_for_too_much_gets_wider_buckets(void **state)
{
    (void)state;
    struct pg_result *r;
    assert_chart_width("90 days", "1 second", "00:30:00"); /* 5,000 buckets, of fives */
    assert_chart_width("7 days", "1210 seconds", "00:25:00");
    assert_chart_width("49 hours", "6 minutes", "00:10:00");
    assert_chart_width("48 hours", "6 minutes", "00:06:00");
    assert_chart_width("7 days", "5 minutes", "00:05:00");
    assert_chart_width("7 days", "3 minutes", "00:03:00");
    assert_chart_width("7 days", "56 minutes", "01:00:00");
    assert_chart_width("90 days", "20 minutes", "00:40:00");
    assert_chart_width("3 years", "5 minutes", "06:00:00");
    assert_chart_width("1 hour", "1 second", "00:00:01");
    assert_chart_width("-1 hour", "1 second", "00:00:01");
    const struct points fast = points_of(T0, 125000, 115200); /* four hours of 8 Hz */
    put_chunks(1, &fast);
    assert_chart_width("3 hours", "3 seconds", "00:00:03");
    assert_chart_width("5 hours", "4 seconds", "00:01:00");
    assert_chart_width("2 days", "2 minutes", "00:02:00"); /* there are roll-ups of minutes */
    assert_same_in_sql(T0 + 20 * MINUTE, T0 + 40 * MINUTE, 1000000);
    assert_int_equal(pg_exec(grafana,
                             "SELECT count(*), sum(n) FROM grafana.buckets('one', 'spb:/a', "
                             "'2026-01-01Z', '2026-01-01 05:00Z', '4 seconds')",
                             NULL, 0, &r),
                     ERR_OK);
    assert_int_equal(pg_i64(r, 0, 0), 240);
    assert_int_equal(pg_i64(r, 0, 1), 115200);
    pg_result_free(r);
    sql("TRUNCATE rollup_minute");
    assert_chart_width("2 days", "2 minutes", "00:02:00");
    assert_chart_width("3 days", "2 minutes", "01:00:00");
}

static void what_makes_no_sense_is_an_error_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct history_points h;
    sql("INSERT INTO piece (start, stop, series_id, n, class_id, t2) VALUES "
        "('2026-01-01Z', '2026-01-01 00:00:05Z', 1, 3, 0, '{0,1}')");
    assert_int_equal(history_read_points(db, (struct history_span){1, T0, T0 + DAY, NULL}, &h),
                     ERR_INVALID);
    assert_true(pg_check(db));
    struct history_buckets b;
    assert_int_equal(
        history_read_buckets(db, (struct history_span){2, T0, T0 + DAY, NULL}, 1000, &b),
        ERR_TOOBIG);
    assert_int_equal(history_read_buckets(db, (struct history_span){2, T0, T0 + DAY, NULL}, 0, &b),
                     ERR_INVALID);
    assert_true(pg_check(db));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, drop)
    const struct CMUnitTest tests[] = {
        TEST(widths_are_whole_minutes_and_hours),
        TEST(every_sample_counts_once_wherever_it_is),
        TEST(fast_and_slow_hours_of_a_day_count_once),
        TEST(late_samples_are_put_in_order),
        TEST(packed_landing_tables_are_skipped),
        TEST(what_retention_left_is_found),
        TEST(few_samples_come_as_they_are),
        TEST(rows_without_fives_are_read_by_minutes),
        TEST(many_unmerged_samples_are_not_read_one_by_one),
        TEST(a_backlog_of_many_pieces_is_never_held_at_once),
        TEST(landed_samples_are_told_one_by_one_up_to_the_limit),
        TEST(the_last_sample_before_a_time_is_found),
        TEST(what_landed_is_read_from_memory_if_all_of_it_is_there),
        TEST(landing_tables_are_read_without_workers),
        TEST(sql_unpacks_what_c_packs),
        TEST(a_session_of_another_time_zone_sees_the_same),
        TEST(widths_of_dashboards_become_whole),
        TEST(a_dashboard_that_asks_for_too_much_gets_wider_buckets),
        TEST(what_makes_no_sense_is_an_error_and_the_connection_goes_on),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
