/* test_retention_jobs.c - turns of the jobs against a real PostgreSQL: what they count, and what
 * becomes of it when the database refuses. */
#include "upkeep/retention_jobs.h"

#include "fixture/db.h"

#include <stdlib.h>

static struct config config = {.history_timeline_days = 10};
static struct jobs_parts parts = {.config = &config};
static _Atomic bool stopping;
static struct job_turn turn;

static int start_server(void **state)
{
    parts.metrics = metrics_new();
    if (!parts.metrics || start_database(state))
        return -1;
    turn = (struct job_turn){.parts = &parts, .stopping = &stopping, .db = db};
    return storage_start(&parts, &stopping, &turn.state) ? -1 : 0;
}

static int remove_server(void **state)
{
    storage_end(turn.state);
    metrics_free(parts.metrics);
    return remove_database(state);
}

static int64_t metric(enum metric id)
{
    return metric_get(parts.metrics, id);
}

static void old_rows_are_removed_turn_by_turn_and_counted(void **state)
{
    (void)state;
    assert_true(pg_fixture_sql(
        &server, "INSERT INTO device (id, endpoint) VALUES (1, 'one');"
                 "INSERT INTO timeline_event (device_id, at, kind, strand, text) SELECT 1, "
                 "now() - i * interval '1 day', 'x', 'braid', i::text FROM "
                 "generate_series(0, 6000) i;"
                 "SELECT ensure_history(0::smallint, now() - interval '30 years')"));
    assert_int_equal(retention_turn(&turn), ERR_OK);
    assert_true(turn.again); /* a partition was dropped, and there are more events */
    while (turn.again)
        assert_int_equal(retention_turn(&turn), ERR_OK);
    assert_int_equal(metric(M_RETAIN_TIMELINE), 6000 - 9);
    assert_int_equal(metric(M_RETAIN_PARTS), 3);
    assert_true(metric(M_RETAIN_BYTES) > 0);
    assert_true(metric(M_RETAIN_RUNS) > 1);
}

static void a_deleted_device_is_purged_and_counted(void **state)
{
    (void)state;
    assert_true(pg_fixture_sql(
        &server, "INSERT INTO device (id, endpoint) VALUES (2, 'two');"
                 "INSERT INTO series (id, device_id, source, key) SELECT 100 + i, 2, 'lwm2m', "
                 "'k' || i FROM generate_series(1, 30) i;"
                 "INSERT INTO piece (start, stop, series_id, n, class_id) SELECT now(), now(), "
                 "100 + i, 1, 0 FROM generate_series(1, 30) i;"
                 "DELETE FROM device WHERE id = 2"));
    assert_int_equal(purging_turn(&turn), ERR_OK);
    assert_true(turn.again);
    assert_int_equal(purging_turn(&turn), ERR_OK);
    assert_false(turn.again);
    assert_int_equal(metric(M_PURGED_SERIES), 30);
    assert_int_equal(metric(M_PURGED_ROWS), 30);
}

static void rules_are_applied_until_all_series_were_looked_at(void **state)
{
    (void)state;
    assert_true(pg_fixture_sql(
        &server, "INSERT INTO series (id, device_id, source, key) VALUES (1, 1, 'lwm2m', 'x');"
                 "INSERT INTO retention_rule (position, series, class_id) VALUES (1, 'x', 1);"
                 "UPDATE storage_state SET assign_after = 0"));
    assert_int_equal(assigning_turn(&turn), ERR_OK);
    assert_true(turn.again);
    assert_int_equal(assigning_turn(&turn), ERR_OK);
    assert_false(turn.again);
}

static void the_gauges_say_what_is_on_disk(void **state)
{
    (void)state;
    assert_int_equal(storage_turn(&turn), ERR_OK);
    assert_false(turn.again);
    assert_true(metric(M_STORAGE_TIMELINE) > 0);
    assert_true(metric(M_STORAGE_OTHER) > 0);
    assert_int_equal(metric(M_STORAGE_FORECAST), -1); /* no limit is known */
    config.history_disk_limit_bytes = 1;
    assert_int_equal(storage_turn(&turn), ERR_OK);
    assert_int_equal(metric(M_STORAGE_LIMIT), 1);
    assert_int_equal(metric(M_STORAGE_FORECAST), 0); /* full */
    config.history_disk_limit_bytes = 0;
    struct pg_result *r;
    assert_int_equal(
        pg_exec(turn.db, "SELECT noted_at IS NOT NULL FROM storage_state", NULL, 0, &r), ERR_OK);
    assert_true(pg_bool(r, 0, 0));
    pg_result_free(r);
}

static void a_refusal_is_counted_and_the_next_turn_works(void **state)
{
    (void)state;
    int64_t before = metric(M_RETAIN_FAILED);
    assert_true(pg_fixture_sql(&server, "ALTER TABLE timeline_event RENAME TO hidden;"
                                        "ALTER TABLE storage_day RENAME TO away"));
    assert_int_not_equal(retention_turn(&turn), ERR_OK);
    assert_int_equal(metric(M_RETAIN_FAILED), before + 1);
    assert_int_not_equal(storage_turn(&turn), ERR_OK);
    assert_true(pg_fixture_sql(&server, "ALTER TABLE hidden RENAME TO timeline_event;"
                                        "ALTER TABLE away RENAME TO storage_day"));
    assert_int_equal(retention_turn(&turn), ERR_OK);
    assert_int_equal(storage_turn(&turn), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_rows_are_removed_turn_by_turn_and_counted),
        cmocka_unit_test(a_deleted_device_is_purged_and_counted),
        cmocka_unit_test(rules_are_applied_until_all_series_were_looked_at),
        cmocka_unit_test(the_gauges_say_what_is_on_disk),
        cmocka_unit_test(a_refusal_is_counted_and_the_next_turn_works),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
