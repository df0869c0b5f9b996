/* test_packer.c - a sample is in exactly one place after any stop, and comes out as it went in. */
#include "every_sample.h"
#include "store/chunk.h"
#include "store/packer.h"
#include "store/recent.h"

#include <inttypes.h>
#include <stdio.h>

static struct recent *recent;

/* ---- helpers ---- */

static int start_server(void **state)
{
    return recent_new(1000000, &recent) || start_samples(state) ? -1 : 0;
}

static int remove_server(void **state)
{
    recent_free(recent);
    return remove_samples(state);
}

static int fresh(void **state)
{
    (void)state;
    begin_samples();
    recent_expire(recent, UINT64_MAX);
    return 0;
}

static struct packer *packer(uint32_t memory_mb)
{
    struct packer *p = NULL;
    assert_int_equal(packer_new(memory_mb, metrics, recent, &stopping, &p), ERR_OK);
    return p;
}

static int step(struct packer *p)
{
    int slot = -2;
    assert_int_equal(packer_step(p, db, &slot), ERR_OK);
    return slot;
}

/* Seven series, two hours: steps, noise, states, odd values and equal times. */
#define FILL                                                                                       \
    "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT s, t0 + i * interval '1 s', "    \
    "CASE s WHEN 1 THEN i WHEN 2 THEN round((20 + sin(i))::numeric, 3) WHEN 3 THEN random() "      \
    "WHEN 4 THEN i / 100 ELSE 0 END, CASE WHEN s = 4 AND i % 7 = 0 THEN 17 ELSE 0 END "            \
    "FROM generate_series(1, 5) s, generate_series(0, 1999) i, "                                   \
    "(SELECT date_trunc('hour', now()) - interval '17 min' AS t0) t ORDER BY i / 50, s, i;"        \
    "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT 70000, date_trunc('hour', "      \
    "now()) + i % 10 * interval '1.000001 s', (ARRAY['NaN', '-0', '0', 'Infinity', '-Infinity', "  \
    "'5e-324', '1.7976931348623157e308', '0.1', '-0.1'])[i % 9 + 1]::float8, i % 20 "              \
    "FROM generate_series(0, 99) i;"                                                               \
    "INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (2000000, now(), 1, 0), "        \
    "(2000000, now() - interval '3 days', 2, 16)"

static enum err put_in_body(void *ctx, struct str row)
{
    buf_str(ctx, row);
    return ERR_OK;
}

/* As the writer would have added what is in landing_0, for its turn 1. */
static void remember(void)
{
    struct buf body;
    buf_init(&body, 1 << 26);
    copy_head(&body);
    assert_int_equal(pg_copy_out(db,
                                 "COPY landing_0 (series_id, ts, value, quality) TO STDOUT "
                                 "(FORMAT binary)",
                                 put_in_body, &body, NULL),
                     ERR_OK);
    copy_tail(&body);
    assert_int_equal(body.err, ERR_OK);
    recent_begin(recent, 0, 1, 1);
    recent_add(recent, 0, 1, buf_view(&body));
    recent_confirm(recent, 0, 1);
    assert_true(recent_holds(recent, 0, 1));
    buf_fini(&body);
}

static void fill_and_close(void)
{
    sql(FILL);
    sql("SELECT landing_rotate()");
    expect_this();
}

/* ---- tests ---- */

static void a_closed_table_is_packed_and_cleaned(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    int64_t packed = metric_get(metrics, M_PACKED_SAMPLES);
    assert_int_equal(step(p), -1); /* what is open is left alone */
    fill_and_close();
    assert_int_equal(step(p), 0);
    as_expected();
    assert_int_equal(ask("SELECT count(*) FROM landed"), 0);
    assert_int_equal(ask("SELECT sum(n) FROM piece"), 10102);
    assert_int_equal(ask("SELECT count(*) FROM piece"), 5 * 2 + 1 + 2);
    assert_int_equal(ask("SELECT count(*) FROM piece WHERE date_trunc('hour', start, 'UTC') <> "
                         "date_trunc('hour', stop, 'UTC')"),
                     0);
    assert_int_equal(metric_get(metrics, M_PACKED_SAMPLES) - packed, 10102);
    assert_int_equal(step(p), -1);
    assert_int_equal(ask("SELECT landing_clean()"), 0); /* somebody may still read it */
    assert_int_equal(ask("SELECT landing_clean('0 s')"), 1);
    assert_int_equal(ask("SELECT count(*) FROM landing_0"), 0);
    as_expected();
    packer_free(p);
}

/* What a table's rows are packed into, in any order. */
#define PIECES                                                                                     \
    "SELECT start, stop, step_us, v0, series_id, n, class_id, scale, t2, t4, t8, v2, v4, "         \
    "array_send(vf) AS vf, rn, q, qn FROM piece"

static void what_is_in_memory_is_packed_without_reading_it_back(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    sql(FILL
        ";INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (1, '-infinity', 1, 0), "
        "(1, 'infinity', 1, 0), (1, now() - interval '1000 days', 1, 0)");
    sql("SELECT landing_rotate()");
    assert_int_equal(step(p), 0);
    sql("DROP TABLE IF EXISTS read_back; CREATE TABLE read_back AS " PIECES "; "
        "GRANT SELECT ON read_back TO PUBLIC; TRUNCATE piece;"
        "UPDATE landing_slot SET state = 'closed' WHERE slot = 0");
    remember();
    int64_t before = metric_get(metrics, M_PACKED_REMEMBERED);
    assert_int_equal(step(p), 0);
    assert_int_equal(metric_get(metrics, M_PACKED_REMEMBERED) - before, 10105);
    assert_int_equal(ask("SELECT count(*) FROM ((TABLE read_back EXCEPT ALL " PIECES
                         ") UNION ALL (" PIECES " EXCEPT ALL TABLE read_back)) d"),
                     0);
    assert_int_equal(ask("SELECT sum(n) FROM piece"), 10102);
    assert_false(recent_holds(recent, 0, 1)); /* its memory is free again */
    sql("DROP TABLE read_back");
    packer_free(p);
}

static void a_memory_that_does_not_hold_every_row_is_not_believed(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    int64_t before = metric_get(metrics, M_PACKED_REMEMBERED);
    sql(FILL);
    remember();
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (3, now(), 5, 0)");
    sql("SELECT landing_rotate()"); /* one row that another process added */
    expect_this();
    assert_int_equal(step(p), 0);
    as_expected();
    assert_int_equal(ask("SELECT sum(n) FROM piece"), 10103);
    assert_int_equal(fresh(state), 0);
    sql(FILL);
    remember();
    sql("UPDATE landing_slot SET turn = 9 WHERE slot = 0"); /* of another turn of that table */
    sql("SELECT landing_rotate()");
    expect_this();
    assert_int_equal(step(p), 0);
    as_expected();
    assert_int_equal(metric_get(metrics, M_PACKED_REMEMBERED), before);
    packer_free(p);
}

static void a_table_larger_than_the_memory_is_packed_in_parts(void **state)
{
    (void)state;
    struct packer *p = packer(1); /* about 20,000 rows at a time */
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) SELECT i % 3 + 1, now() - i * "
        "interval '1 ms', i, 0 FROM generate_series(1, 110000) i");
    sql("SELECT landing_rotate()");
    expect_this();
    assert_int_equal(step(p), 0);
    as_expected();
    assert_true(ask("SELECT max(n) FROM piece") < 10000);
    packer_free(p);
}

static void tables_are_packed_in_the_order_they_were_opened(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    sql("UPDATE landing_slot SET state = 'closed', turn = 9 WHERE slot = 1;"
        "UPDATE landing_slot SET state = 'closed', turn = 3 WHERE slot = 6");
    assert_int_equal(step(p), 6);
    assert_int_equal(step(p), 1);
    packer_free(p);
}

static void a_piece_holds_no_more_than_it_may(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) SELECT 5, date_trunc('hour', now()) "
        "- interval '1 h' + i * interval '10 ms', i, 0 FROM generate_series(0, 69999) i");
    sql("SELECT landing_rotate()");
    expect_this();
    assert_int_equal(step(p), 0);
    as_expected();
    assert_int_equal(ask("SELECT max(n) FROM piece"), 32768);
    assert_int_equal(ask("SELECT count(*) FROM piece"), 3);
    packer_free(p);
}

static void what_is_too_old_is_left_out_and_counted(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    int64_t old = metric_get(metrics, M_REFUSED_OLD), odd = metric_get(metrics, M_REFUSED_TIME);
    sql("INSERT INTO device (id, endpoint) VALUES (1, 'one');"
        "INSERT INTO series (id, device_id, source, key, class_id) VALUES (1, 1, 'lwm2m', 'a', 0), "
        "(2, 1, 'lwm2m', 'b', 1), (3, 1, 'lwm2m', 'c', 2);"
        "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT s, now() - d * interval '1 "
        "day', d, 0 FROM generate_series(1, 4) s, unnest(ARRAY[1, 30, 200, 1000]) d;"
        "INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (1, '-infinity', 1, 0), "
        "(1, 'infinity', 1, 0), (1, '2300-01-01', 1, 0), (1, '1969-12-31', 1, 0)");
    sql("SELECT landing_rotate()");
    assert_int_equal(step(p), 0);
    /* standard 90 days, short 7, long 730; series 4 is unknown */
    assert_int_equal(ask("SELECT string_agg(n::text, '' ORDER BY s)::int FROM (SELECT series_id AS "
                         "s, count(*) AS n FROM samples GROUP BY 1) x"),
                     2132);
    assert_int_equal(ask("SELECT count(*) FROM piece WHERE class_id = series_id - 1"), 6);
    assert_int_equal(metric_get(metrics, M_REFUSED_OLD) - old, 16 - 8);
    assert_int_equal(metric_get(metrics, M_REFUSED_TIME) - odd, 4);
    packer_free(p);
}

static void a_stop_ends_a_step_and_changes_nothing(void **state)
{
    (void)state;
    struct packer *p = packer(64);
    int slot;
    fill_and_close();
    stopping = true;
    assert_int_equal(packer_step(p, db, &slot), ERR_CLOSED);
    rejoin();
    as_expected();
    assert_int_equal(ask("SELECT count(*) FROM landing_slot WHERE state = 'closed'"), 1);
    packer_free(p);
}

/* Tries to pack with a cut at statement `at`; true when there were not as many. */
static bool pack_with_fault(int at, bool after)
{
    struct packer *p = packer(1);
    int slot = -1;
    fault.after = after;
    fault.left = at;
    enum err e = packer_step(p, db, &slot);
    bool untouched = fault.left > 0;
    fault.left = 0;
    assert_int_equal(e, untouched ? ERR_OK : ERR_DB);
    packer_free(p);
    rejoin();
    return untouched;
}

static void cut_at_any_statement(void **state, bool in_memory)
{
    for (int after = 0; after < 2; after++) {
        assert_int_equal(fresh(state), 0);
        fill_and_close();
        if (in_memory)
            remember();
        int at = 1;
        for (; !pack_with_fault(at, after); at++) {
            as_expected();
            assert_true(at < 60);
            if (ask("SELECT count(*) FROM landing_slot WHERE state = 'closed'"))
                continue;
            /* the commit ran, and only its answer was lost */
            assert_true(after);
            assert_int_equal(fresh(state), 0);
            fill_and_close();
            if (in_memory)
                remember();
        }
        as_expected();
        assert_int_equal(ask("SELECT count(*) FROM landing_slot WHERE state = 'closed'"), 0);
        assert_true(at > (in_memory ? 6 : 8));
    }
}

static void a_cut_at_any_statement_leaves_each_sample_in_one_place(void **state)
{
    cut_at_any_statement(state, false);
}

static void so_does_a_cut_while_packing_from_memory(void **state)
{
    int64_t before = metric_get(metrics, M_PACKED_REMEMBERED);
    cut_at_any_statement(state, true);
    assert_true(metric_get(metrics, M_PACKED_REMEMBERED) > before);
}

static void two_packers_pack_a_table_once(void **state)
{
    (void)state;
    struct pg *lock = join_server();
    struct packer *p = packer(64);
    int slot;
    fill_and_close();
    assert_int_equal(pg_script(lock, "BEGIN; UPDATE landing_slot SET state = 'packed', packed_at = "
                                     "now() WHERE slot = 0"),
                     ERR_OK);
    assert_int_equal(pg_set_timeout(db, 300), ERR_OK);
    assert_int_equal(packer_step(p, db, &slot), ERR_DB); /* waits for the other one */
    assert_int_equal(pg_script(db, "ROLLBACK"), ERR_OK);
    assert_int_equal(pg_script(lock, "COMMIT"), ERR_OK);
    assert_int_equal(step(p), -1);
    assert_int_equal(ask("SELECT count(*) FROM piece"), 0);
    packer_free(p);
    pg_close(lock);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        T(a_closed_table_is_packed_and_cleaned),
        T(what_is_in_memory_is_packed_without_reading_it_back),
        T(a_memory_that_does_not_hold_every_row_is_not_believed),
        T(a_table_larger_than_the_memory_is_packed_in_parts),
        T(tables_are_packed_in_the_order_they_were_opened),
        T(a_piece_holds_no_more_than_it_may),
        T(what_is_too_old_is_left_out_and_counted),
        T(a_stop_ends_a_step_and_changes_nothing),
        T(a_cut_at_any_statement_leaves_each_sample_in_one_place),
        T(so_does_a_cut_while_packing_from_memory),
        T(two_packers_pack_a_table_once),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
