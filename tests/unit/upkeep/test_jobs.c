/* test_jobs.c - writer, packing and merging side by side, through restarts: in every snapshot each
 * sample is there once. */
#include "fixture/ask.h"
#include "store/recent.h"
#include "store/writer.h"
#include "upkeep/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct metrics *metrics;
static struct recent *recent;
static char data_dir[64];
static struct config config = {
    .spool_max_mb = 256,
    .history_slot_rows = 4000, /* a turn with every few batches */
    .history_slot_s = 1,
    .history_pack_memory_mb = 1,
    .history_pack_cpu_percent = 90,
    .db_conninfo = server.app,
    .history_volume_dir = (char[]){""},
    .data_dir = data_dir,
};

static int start_server(void **state)
{
    metrics = metrics_new();
    snprintf(data_dir, sizeof data_dir, "/tmp/braid-data-XXXXXX");
    return metrics && !recent_new(100000, &recent) && mkdtemp(data_dir) ? start_database(state)
                                                                        : -1;
}

static int remove_server(void **state)
{
    recent_free(recent);
    metrics_free(metrics);
    process_remove(data_dir);
    return remove_database(state);
}

/* Whole, at most what was sent, and nothing twice; one statement sees one snapshot. */
static int64_t stored(void)
{
    int64_t doubled = ask("SELECT count(*) - count(DISTINCT value) FROM samples");
    assert_int_equal(doubled, 0);
    return ask("SELECT count(*) FROM samples");
}

static void put(struct writer *w, int first, int n)
{
    struct batch *b = batch_new();
    int64_t now_us = ask("SELECT (extract(epoch FROM now()) * 1000000)::bigint");
    assert_non_null(b);
    for (int i = first; i < first + n; i++)
        assert_true(batch_add(
            b, (struct sample){.series = (uint32_t)(i % 5) + 1, .ts_us = now_us + i, .value = i}));
    assert_int_equal(writer_samples(w, b), ERR_OK);
}

static struct jobs *start_jobs(void)
{
    struct jobs *j = NULL;
    assert_int_equal(
        jobs_start(&(struct jobs_parts){.config = &config, .metrics = metrics, .recent = recent},
                   &j),
        ERR_OK);
    return j;
}

#define UNPACKED "SELECT count(*) FROM landed"

static void samples_are_packed_while_they_are_written_and_everything_restarts(void **state)
{
    (void)state;
    struct writer *w = NULL;
    int64_t seen = 0;
    int sent = 0;
    assert_int_equal(writer_start(&config, metrics, recent, &w), ERR_OK);
    struct jobs *j = start_jobs();
    for (int round = 0; round < 30; round++, sent += 700) {
        put(w, sent, 700);
        int64_t now = stored();
        assert_true(now >= seen);
        seen = now;
        if (round == 13) { /* PostgreSQL restarts under all of them */
            pg_fixture_kill(&server);
            assert_true(pg_fixture_start(&server));
        }
        if (round == 20) { /* another process takes over; the packing one ends in the middle */
            jobs_stop(j);
            j = start_jobs();
        }
        if (round == 27) {
            writer_stop(w);
            assert_int_equal(writer_start(&config, metrics, recent, &w), ERR_OK);
        }
    }
    until("SELECT count(*) FROM samples", sent);
    until(UNPACKED, 0);
    assert_int_equal(stored(), sent);
    assert_true(ask("SELECT count(*) FROM piece") >= 5);
    until("SELECT count(*) FROM landing_slot WHERE state = 'closed'", 0);
    jobs_stop(j);
    writer_stop(w);
    assert_int_equal(stored(), sent);
    assert_true(metric_get(metrics, M_PACKED_SAMPLES) > 0);
    assert_true(metric_get(metrics, M_PACKED_REMEMBERED) > 0);
    assert_true(metric_get(metrics, M_UPKEEP_CPU) > 0);
}

static void two_processes_side_by_side_pack_each_table_once(void **state)
{
    (void)state;
    struct writer *w = NULL;
    int64_t before = stored();
    assert_int_equal(writer_start(&config, metrics, recent, &w), ERR_OK);
    struct jobs *one = start_jobs(), *other = start_jobs();
    for (int i = 0; i < 6; i++) {
        put(w, 1000000 + i * 1500, 1500);
        assert_true(stored() >= before);
    }
    until("SELECT count(*) FROM samples", before + 6 * 1500);
    until(UNPACKED, 0);
    assert_int_equal(stored(), before + 6 * 1500);
    jobs_stop(one);
    jobs_stop(other);
    writer_stop(w);
}

/* Hours that are merged one by one, and a partition whose time has come: the numbers of their
 * transactions tell who went first. */
static void merging_that_is_far_behind_does_not_keep_the_others_waiting(void **state)
{
    (void)state;
    assert_true(pg_fixture_sql(
        &server, "SELECT ensure_history(0::smallint, now() - interval '30 years');"
                 "INSERT INTO piece (start, stop, step_us, v0, series_id, n, class_id, scale) "
                 "SELECT h, h + interval '3598 s', 2000000, i, 9, 1800, 0, 0 FROM (SELECT i, "
                 "date_trunc('hour', now(), 'UTC') - i * interval '1 hour' AS h "
                 "FROM generate_series(3, 62) i) x"));
    struct jobs *j = start_jobs();
    until("SELECT count(*) FROM piece WHERE series_id = 9", 0);
    until("SELECT least(count(*), 1) FROM audit_log WHERE action = 'history_drop'", 1);
    jobs_stop(j);
    assert_int_equal(ask("SELECT count(*) FROM chunk WHERE series_id = 9"), 60);
    assert_true(ask("SELECT min(xmin::text::bigint) FROM audit_log") <
                ask("SELECT max(xmin::text::bigint) FROM chunk WHERE series_id = 9"));
}

static void a_stop_does_not_wait_for_what_runs(void **state)
{
    (void)state;
    struct pg *lock = NULL;
    assert_int_equal(pg_connect(server.owner, "test", &lock), ERR_OK);
    assert_int_equal(pg_script(lock, "BEGIN; LOCK TABLE landing_slot IN ACCESS EXCLUSIVE MODE"),
                     ERR_OK);
    struct jobs *j = start_jobs();
    process_sleep_ms(1500); /* some turn waits for the lock by now */
    jobs_stop(j);
    pg_close(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_packed_while_they_are_written_and_everything_restarts),
        cmocka_unit_test(two_processes_side_by_side_pack_each_table_once),
        cmocka_unit_test(merging_that_is_far_behind_does_not_keep_the_others_waiting),
        cmocka_unit_test(a_stop_does_not_wait_for_what_runs),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
