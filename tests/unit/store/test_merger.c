/* test_merger.c - pieces become chunks and roll-ups; what comes late joins them; nothing is lost or
 * doubled at any stop. */
#include "base/clock.h"
#include "every_sample.h"
#include "store/merger.h"
#include "store/packer.h"

#include <inttypes.h>
#include <stdio.h>

static struct merger *m;
static int64_t day_us; /* three days ago, the table `t` has it as d */

/* ---- helpers ---- */

static int start_server(void **state)
{
    if (start_samples(state))
        return -1;
    sql("CREATE TABLE t AS SELECT date_trunc('day', now(), 'UTC') - interval '3 days' AS d");
    day_us = ask("SELECT (extract(epoch FROM d) * 1000000)::bigint FROM t");
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    begin_samples();
    assert_int_equal(merger_new(metrics, &stopping, &m), ERR_OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    merger_free(m);
    m = NULL;
    return 0;
}

/* A new process. */
static void anew(void)
{
    merger_free(m);
    assert_int_equal(merger_new(metrics, &stopping, &m), ERR_OK);
}

/* land stores samples and packs them at once; `insert` names table landing. */
static void land(const char *insert)
{
    struct packer *p = NULL;
    int slot = -1;
    sql("DO $$ BEGIN EXECUTE 'CREATE VIEW landing AS SELECT * FROM landing_' || (SELECT slot FROM "
        "landing_slot WHERE state = 'open'); END $$");
    sql(insert);
    sql("DROP VIEW landing; SELECT landing_rotate()");
    assert_int_equal(packer_new(64, metrics, NULL, &stopping, &p), ERR_OK);
    assert_int_equal(packer_step(p, db, &slot), ERR_OK);
    assert_true(slot >= 0);
    assert_int_equal(ask("SELECT landing_clean('0 s')"), 1);
    packer_free(p);
}

/* Roll-ups stand for what is in chunk and for nothing else; numbers are compared by minute. */
static void rollups_are_true(void)
{
    sql("DROP TABLE IF EXISTS s; CREATE TEMP TABLE s AS SELECT c.series_id, c.start, c.stop, u.* "
        "FROM "
        "chunk c, unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, "
        "c.vf, c.rn, c.q, c.qn) u");
    assert_int_equal(
        ask("SELECT count(*) FROM (SELECT series_id, start, (SELECT sum(x) FROM unnest(n) x) AS n "
            "FROM rollup_minute) r LEFT JOIN (SELECT series_id, date_trunc('hour', ts, 'UTC') AS "
            "h, count(*) AS n, bool_and(date_trunc('hour', start, 'UTC') = "
            "date_trunc('hour', stop, 'UTC')) AS whole FROM s GROUP BY 1, 2) g "
            "ON g.series_id = r.series_id AND g.h = r.start WHERE r.n IS DISTINCT FROM g.n OR NOT "
            "g.whole"),
        0);
    assert_int_equal(
        ask("SELECT count(*) FROM (SELECT series_id, start, (SELECT sum(x) FROM unnest(n) x) AS n "
            "FROM rollup_hour) r LEFT JOIN (SELECT series_id, date_trunc('day', ts, 'UTC') AS d, "
            "count(*) AS n FROM s GROUP BY 1, 2) g ON g.series_id = r.series_id AND g.d = r.start "
            "WHERE r.n IS DISTINCT FROM g.n"),
        0);
    assert_int_equal(
        ask("SELECT count(*) FROM rollup_minute r, unnest(r.at, r.n, r.lo, r.hi) m (at, n, lo, hi) "
            "WHERE (m.n::bigint, m.lo, m.hi) IS DISTINCT FROM (SELECT (count(*), min(value) FILTER "
            "(WHERE "
            "is_sound(value, quality)), max(value) FILTER (WHERE is_sound(value, quality))) FROM s "
            "WHERE s.series_id = r.series_id AND s.ts >= r.start + m.at * interval '1 min' AND "
            "s.ts < r.start + (m.at + 1) * interval '1 min') AND m.lo < 'NaN'"),
        0);
    assert_int_equal(
        ask("SELECT count(*) FROM rollup_minute r, LATERAL (SELECT m.at / 5 AS at, sum(m.n) AS n, "
            "coalesce(min(m.lo) FILTER (WHERE m.lo < 'NaN'), 'NaN') AS lo, "
            "coalesce(max(m.hi) FILTER (WHERE m.hi < 'NaN'), 'NaN') AS hi "
            "FROM unnest(r.at, r.n, r.lo, r.hi) m (at, n, lo, hi) GROUP BY 1) m "
            "FULL JOIN LATERAL unnest(r.at5, r.n5, r.lo5, r.hi5) f (at, n, lo, hi) ON f.at = m.at "
            "WHERE (f.n::bigint, f.lo, f.hi) IS DISTINCT FROM (m.n, m.lo, m.hi)"),
        0);
    assert_int_equal(ask("SELECT count(*) FROM (SELECT FROM rollup_minute GROUP BY series_id, "
                         "start HAVING count(*) > 1) x"),
                     0);
    assert_int_equal(ask("SELECT count(*) FROM (SELECT FROM rollup_hour GROUP BY series_id, start "
                         "HAVING count(*) > 1) x"),
                     0);
    sql("DROP TABLE s");
}

/* merge_at does all there is to do at a time after the day's beginning. */
static void merge_at(int64_t after_us)
{
    bool again = true;
    for (int i = 0; again; i++) {
        assert_true(i < 500);
        if (merger_step(m, db, day_us + after_us, &again))
            fail_msg("%s", pg_error(db));
    }
}

/* Series 1: a sample per second in three hours; 2: one per minute all day; 3: a few; 4: odd values
 * and times, many in one hour; 5: faster than one row can hold. */
#define DAY_OF_DATA                                                                                \
    "INSERT INTO landing (series_id, ts, value, quality) "                                         \
    "SELECT 1, d + interval '2 h' + i * interval '1 s', round(sin(i)::numeric, 3), 0 "             \
    "FROM t, generate_series(0, 3 * 3600 - 1) i UNION ALL "                                        \
    "SELECT 2, d + i * interval '1 min', i, 0 FROM t, generate_series(0, 1439) i UNION ALL "       \
    "SELECT 3, d + i * interval '131 min', random(), 16 FROM t, generate_series(0, 9) i "          \
    "UNION ALL SELECT 4, d + interval '23 h' + i % 1000 * interval '1.000001 s', (ARRAY['NaN', "   \
    "'-0', '0', 'Infinity', '-Infinity', '5e-324', '1.7976931348623157e308', '0.1'])[i % 8 + "     \
    "1]::float8, i % 20 FROM t, generate_series(0, 4999) i UNION ALL "                             \
    "SELECT 5, d + interval '5 h' + i * interval '90 ms', i / 7, 0 FROM t, "                       \
    "generate_series(0, 35999) i"

#define SMALL_DAY                                                                                  \
    "INSERT INTO landing (series_id, ts, value, quality) "                                         \
    "SELECT 1, d + interval '3 h' + i * interval '2 s', i, 0 FROM t, generate_series(0, 1799) i "  \
    "UNION ALL SELECT 2, d + i * interval '97 min', i, 0 FROM t, generate_series(0, 12) i"

/* ---- tests ---- */

static void a_day_that_is_over_becomes_chunks_and_rollups(void **state)
{
    (void)state;
    land(DAY_OF_DATA);
    expect_this();
    merge_at(30 * HOUR_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 1"), 3);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 2"), 1);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 3"), 1);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 5"), 2);
    assert_int_equal(ask("SELECT count(*) FROM rollup_minute"), 3 + 1 + 1);
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour"), 4);
    assert_int_equal(ask("SELECT array_length(at, 1) FROM rollup_hour WHERE series_id = 2"), 24);
    int64_t before = metric_get(metrics, M_MERGED_SAMPLES);
    merge_at(31 * HOUR_US); /* nothing is left to do */
    assert_int_equal(metric_get(metrics, M_MERGED_SAMPLES), before);
    anew(); /* for a new process neither */
    merge_at(31 * HOUR_US);
    assert_int_equal(metric_get(metrics, M_MERGED_SAMPLES), before);
}

/* Looking costs as much as what came: pieces of hours that nothing came for are not read again.
 * Those put in behind the server's back are found by a new process, which knows nothing. */
static void only_hours_that_pieces_came_for_are_looked_at(void **state)
{
    (void)state;
    land("INSERT INTO landing (series_id, ts, value, quality) SELECT s, d + h * interval '1 h' + "
         "i * interval '1 s', i, 0 FROM t, generate_series(1, 3) s, generate_series(2, 4) h, "
         "generate_series(0, 99) i");
    merge_at(6 * HOUR_US);
    assert_int_equal(ask("SELECT count(*) FROM piece_hour WHERE touched"), 0);
    assert_int_equal(ask("SELECT count(*) FROM piece"), 9); /* slow series: until the day is over */
    assert_true(pg_fixture_sql(
        &server, "SET session_replication_role = replica; INSERT INTO piece (start, stop, step_us, "
                 "v0, series_id, n, class_id, scale) SELECT d + h * interval '1 h', d + h * "
                 "interval '1 h' + interval '1999 s', 1000000, 5, 9, 2000, 0, 0 "
                 "FROM t, generate_series(2, 3) h"));
    land("INSERT INTO landing (series_id, ts, value, quality) SELECT 1, d + interval '2 h 30 min', "
         "7, 0 FROM t");
    merge_at(7 * HOUR_US);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 9"), 1); /* hour 2 */
    anew();
    merge_at(7 * HOUR_US);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 9"), 2);
    expect_this();
    merge_at(30 * HOUR_US); /* a day of which nothing came lately becomes over */
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
    assert_int_equal(ask("SELECT count(*) FROM piece_hour"), 0);
}

/* What was not merged on its day: memory holds one hour of a fast series, not its day. */
static void fast_hours_of_a_day_that_is_over_are_taken_one_by_one(void **state)
{
    (void)state;
    bool again;
    land(DAY_OF_DATA);
    expect_this();
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(merger_step(m, db, day_us + 30 * HOUR_US, &again), ERR_OK);
        assert_true(again);
        assert_int_equal(ask("SELECT count(*) FROM rollup_minute WHERE series_id = 1"), i);
        as_expected();
    }
    merge_at(30 * HOUR_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
}

static void late_samples_join_what_is_merged(void **state)
{
    (void)state;
    land(DAY_OF_DATA);
    merge_at(30 * HOUR_US);
    land("INSERT INTO landing (series_id, ts, value, quality) "
         "SELECT 1, d + interval '3 h 7.5 s' + i * interval '1 s', 50 + i, 16 FROM t, " /* fast */
         "generate_series(0, 99) i UNION ALL "
         "SELECT 1, d + interval '9 h', 1, 16 FROM t UNION ALL " /* slow hour of a fast series */
         "SELECT 2, d + interval '12 h 1 s', -9, 16 FROM t UNION ALL "       /* day's chunk */
         "SELECT 3, d + interval '4 h' + i * interval '1 s', i, 16 FROM t, " /* becomes fast */
         "generate_series(0, 1999) i UNION ALL "
         "SELECT 6, d, 7, 0 FROM t"); /* new that day */
    expect_this();
    merge_at(30 * HOUR_US + 11 * MINUTE_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
    assert_int_equal(ask("SELECT sum(n) FROM chunk WHERE series_id = 1"), 10800 + 101);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 1"), 4);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 3"), 2);
    assert_int_equal(ask("SELECT max(x) FROM rollup_hour, unnest(hi) x WHERE series_id = 1"), 149);
    assert_int_equal(ask("SELECT count(*) FROM rollup_minute WHERE series_id = 3"), 1);
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour WHERE series_id = 3"), 1);
}

/* A class that keeps samples longer from now on lets in late ones of days of which only roll-ups
 * are left. */
static void late_samples_do_not_replace_what_retention_left(void **state)
{
    (void)state;
    land(DAY_OF_DATA);
    merge_at(30 * HOUR_US);
    sql("DELETE FROM chunk");
    land("INSERT INTO landing (series_id, ts, value, quality) "
         "SELECT 1, d + interval '3 h 7.5 s', 50, 16 FROM t UNION ALL " /* fast hour */
         "SELECT 1, d + interval '9 h', 1, 16 FROM t UNION ALL "        /* slow hour */
         "SELECT 2, d + interval '12 h 1 s', -9, 16 FROM t UNION ALL "
         "SELECT 2, d + interval '13 h' + i * interval '1 s', -9, 16 FROM t, "
         "generate_series(0, 1999) i");
    expect_this();
    merge_at(30 * HOUR_US + 11 * MINUTE_US);
    as_expected();
    assert_int_equal(ask("SELECT sum(x) FROM rollup_hour, unnest(n) x WHERE series_id = 1"), 10800);
    assert_int_equal(ask("SELECT sum(x) FROM rollup_minute, unnest(n) x WHERE series_id = 1"),
                     10800);
    assert_int_equal(ask("SELECT sum(x) FROM rollup_hour, unnest(n) x WHERE series_id = 2"), 1440);
    assert_int_equal(ask("SELECT sum(n) FROM piece"), 2003);
}

static void hours_of_today_are_merged_if_they_are_fast(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        char text[600];
        snprintf(text, sizeof text,
                 "INSERT INTO landing (series_id, ts, value, quality) "
                 "SELECT 1, d + interval '1 h' + (%d * 360 + i) * interval '1 s', i, 0 FROM t, "
                 "generate_series(0, 359) i UNION ALL "
                 "SELECT 2, d + interval '1 h' + (%d * 360 + i * 60) * interval '1 s', i, 0 FROM "
                 "t, generate_series(0, 5) i UNION ALL SELECT 3, d + interval '1 h' + %d / 4 * "
                 "interval '1 min', i, 0 FROM t, generate_series(1, (%d %% 4 = 0)::int) i",
                 i, i, i, i);
        land(text);
    }
    expect_this();
    merge_at(2 * HOUR_US + MINUTE_US); /* not settled yet */
    assert_int_equal(ask("SELECT count(*) FROM chunk"), 0);
    merge_at(2 * HOUR_US + 3 * MINUTE_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT sum(n) FROM chunk WHERE series_id = 1"), 3600);
    assert_int_equal(ask("SELECT count(*) FROM chunk"), 1);
    assert_int_equal(ask("SELECT count(*) FROM piece WHERE series_id = 2"), 1); /* were ten */
    assert_int_equal(ask("SELECT n FROM piece WHERE series_id = 2"), 60);
    assert_int_equal(ask("SELECT count(*) FROM piece WHERE series_id = 3"), 3); /* too few */
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour"), 0);
    /* a late one for the fast hour, while the day lasts */
    land("INSERT INTO landing (series_id, ts, value, quality) SELECT 1, d + interval '1 h', 99, 16 "
         "FROM t");
    expect_this();
    merge_at(2 * HOUR_US + 14 * MINUTE_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT sum(n) FROM chunk"), 3601);
    merge_at(24 * HOUR_US + 20 * MINUTE_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
    assert_int_equal(ask("SELECT count(*) FROM chunk"), 3);
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour"), 1);
}

static void what_waits_to_be_packed_holds_an_hour_up_for_a_while(void **state)
{
    (void)state;
    land(DAY_OF_DATA);
    sql("UPDATE landing_slot SET opened_at = (SELECT d + interval '23 h' FROM t) "
        "WHERE state = 'open'");
    merge_at(24 * HOUR_US + 5 * MINUTE_US);
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour"), 0);
    merge_at(24 * HOUR_US + 16 * MINUTE_US);
    assert_int_equal(ask("SELECT count(*) FROM rollup_hour"), 4);
}

static void chunks_take_the_class_of_their_series(void **state)
{
    (void)state;
    land(DAY_OF_DATA);
    sql("INSERT INTO device (id, endpoint) VALUES (1, 'one');"
        "INSERT INTO series (id, device_id, source, key, class_id) VALUES (1, 1, 'lwm2m', 'a', 0), "
        "(2, 1, 'lwm2m', 'b', 1), (3, 1, 'lwm2m', 'c', 2)");
    expect_this();
    merge_at(30 * HOUR_US);
    as_expected();
    rollups_are_true();
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE class_id = series_id - 1"), 3 + 1 + 1);
    assert_int_equal(ask("SELECT class_id FROM rollup_hour WHERE series_id = 2"), 1);
}

/* Merges with a cut at the statement `at`; true when there were not as many. */
static bool merge_with_fault(int at, bool after)
{
    bool again = true;
    enum err e = ERR_OK;
    fault.after = after;
    fault.left = at;
    while (!e && again)
        e = merger_step(m, db, day_us + 30 * HOUR_US, &again);
    bool untouched = fault.left > 0;
    fault.left = 0;
    assert_int_equal(e, untouched ? ERR_OK : ERR_DB);
    anew();
    rejoin();
    return untouched;
}

/* Thirty pieces of a fast hour and of slow ones. */
static void land_late(void)
{
    land("INSERT INTO landing (series_id, ts, value, quality) SELECT s, d + i * interval '1 h' + "
         "s * interval '7.5 s', 50 + i, 16 FROM t, generate_series(1, 3) s, "
         "generate_series(0, 9) i");
    expect_this();
}

static void a_cut_at_any_statement_leaves_each_sample_in_one_place(void **state)
{
    (void)state;
    land(SMALL_DAY);
    merge_at(30 * HOUR_US);
    for (int after = 0; after < 2; after++) {
        land_late();
        int at = 1;
        for (; !merge_with_fault(at, after); at++) {
            assert_true(at < 200);
            as_expected();
            rollups_are_true();
            if (ask("SELECT count(*) FROM piece") < 30) /* a commit got through: all over again */
                land_late();
        }
        as_expected();
        rollups_are_true();
        assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
        assert_true(at > 15);
    }
}

static void a_stop_leaves_the_rest_to_the_next_start(void **state)
{
    (void)state;
    bool again = true;
    land(DAY_OF_DATA);
    expect_this();
    stopping = true;
    assert_int_equal(merger_step(m, db, day_us + 30 * HOUR_US, &again), ERR_CLOSED);
    assert_int_equal(pg_script(db, "ROLLBACK"), ERR_OK);
    as_expected();
    assert_int_equal(ask("SELECT count(*) FROM chunk"), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, finish)
    const struct CMUnitTest tests[] = {
        T(a_day_that_is_over_becomes_chunks_and_rollups),
        T(only_hours_that_pieces_came_for_are_looked_at),
        T(fast_hours_of_a_day_that_is_over_are_taken_one_by_one),
        T(late_samples_join_what_is_merged),
        T(late_samples_do_not_replace_what_retention_left),
        T(hours_of_today_are_merged_if_they_are_fast),
        T(what_waits_to_be_packed_holds_an_hour_up_for_a_while),
        T(chunks_take_the_class_of_their_series),
        T(a_cut_at_any_statement_leaves_each_sample_in_one_place),
        T(a_stop_leaves_the_rest_to_the_next_start),
    };
    return cmocka_run_group_tests(tests, start_server, remove_samples);
}
