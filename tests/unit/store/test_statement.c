/* test_statement.c - every statement of the state lane, run twice, means the same as once. */
#include "fixture/db.h"
#include "store/apply.h"
#include "store/statement.h"

#include <stdio.h>
#include <stdlib.h>

static struct metrics *metrics;

static int start_server(void **state)
{
    metrics = metrics_new();
    return metrics ? start_database(state) : -1;
}

static int remove_server(void **state)
{
    metrics_free(metrics);
    return remove_database(state);
}

static int fresh(void **state)
{
    (void)state;
    return pg_fixture_sql(&server, "TRUNCATE device, id_floor, poisoned CASCADE;"
                                   "INSERT INTO device (id, endpoint) VALUES (1, 'one')")
               ? 0
               : -1;
}

/* run executes a statement twice, through the bytes the spool would hold. */
static void run(enum store_stmt s, const char *const *texts)
{
    struct str params[STORE_MAX_PARAMS];
    struct statement st = statement_get(s);
    struct put *p, *copy = NULL;
    struct buf bytes;
    enum err results[2];
    for (size_t i = 0; i < st.n_params; i++)
        params[i] = str_of(texts[i]);
    p = put_new(s, params, st.n_params);
    assert_non_null(p);
    buf_init(&bytes, 100000);
    put_encode(p, &bytes);
    assert_int_equal(put_decode(buf_view(&bytes), &copy), ERR_OK);
    for (size_t i = 0; i < st.n_params; i++) {
        assert_true(str_eq(copy->params[i], p->params[i]));
        assert_true(!copy->params[i].p == !p->params[i].p);
    }
    p->next = copy;
    assert_int_equal(apply_puts(db, metrics, p, 2, results), ERR_OK);
    if (results[0] || results[1])
        fail_msg("%s: %s", st.name, err_word(results[0]));
    put_free(p);
    put_free(copy);
    buf_fini(&bytes);
}

#define RUN(stmt, ...) run(stmt, (const char *const[]){__VA_ARGS__, NULL})

/* holds: the condition selects exactly one row. */
static void holds(const char *from_where)
{
    char sql[600];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", from_where);
    int64_t n = ask_on(db, sql);
    if (n != 1)
        fail_msg("%d rows in %s", (int)n, from_where);
}

#define MS    "1700000000000"
#define AT_MS "'2023-11-14 22:13:20Z'"

static void devices_keep_what_was_learnt_of_them(void **state)
{
    (void)state;
    RUN(ST_DEVICE_PUT, "2", "two", NULL, NULL, MS);
    holds("device WHERE id = 2 AND endpoint = 'two' AND spb_node IS NULL AND created_at = " AT_MS);
    RUN(ST_DEVICE_NODE, "2", "group", "node");
    RUN(ST_DEVICE_PUT, "2", "two-b", NULL, NULL, "0"); /* keeps its node and its age */
    holds("device WHERE id = 2 AND endpoint = 'two-b' AND spb_group = 'group' AND "
          "spb_node = 'node' AND created_at = " AT_MS);
    RUN(ST_DEVICE_STATUS, "2", "lost", "Connection lost", "lost", MS);
    holds("device WHERE id = 2 AND status = 'lost' AND sentence = 'Connection lost' AND "
          "link = 'lost' AND status_since = " AT_MS);
    RUN(ST_DEVICES_MISSED, "{2,3,99}", "Unknown: Braid restarted", MS);
    holds("device WHERE id = 2 AND status = 'unknown' AND link = 'unknown' AND "
          "sentence = 'Unknown: Braid restarted' AND status_since = " AT_MS);
    RUN(ST_DEVICE_SEEN, "2", MS, "maker", "model", "serial", "1.0", "hot");
    RUN(ST_DEVICE_SEEN, "2", "1600000000000", NULL, NULL, NULL, "1.1", NULL);
    holds("device WHERE id = 2 AND last_seen = " AT_MS " AND manufacturer = 'maker' AND "
          "model = 'model' AND serial = 'serial' AND firmware = '1.1' AND fault IS NULL");
}

static void registrations_and_observations_are_replaced(void **state)
{
    (void)state;
    RUN(ST_REGISTRATION_PUT, "1", "registered", "json", "1.2", "3600", "UQ", "true", "</1/0>", MS,
        MS, MS);
    RUN(ST_REGISTRATION_PUT, "1", "expired", "oma", "1.1", "60", "U", "f", "", MS, MS, NULL);
    holds("registration WHERE device_id = 1 AND state = 'expired' AND dialect = 'oma' AND "
          "lifetime = 60 AND NOT queue_mode AND links = '' AND registered_at = " AT_MS
          " AND expires_at IS NULL");
    RUN(ST_OBSERVATION_PUT, "1", "tok", "/3303/0/5700 /3/0", "true", MS);
    RUN(ST_OBSERVATION_PUT, "1", "tok2", "/1", "false", MS);
    holds("observation WHERE token = 'tok' AND composite AND since = " AT_MS);
    RUN(ST_OBSERVATION_DELETE, "1", "tok");
    holds("observation");
    RUN(ST_OBSERVATIONS_CLEAR, "1");
    holds("device WHERE NOT EXISTS (SELECT FROM observation)");
}

static void nodes_and_subdevices_are_replaced(void **state)
{
    (void)state;
    RUN(ST_NODE_PUT, "1", "born", "255", MS, NULL, "true", "2", "sequence gap", MS);
    RUN(ST_NODE_PUT, "1", "dead", NULL, MS, MS, "false", "3", NULL, NULL);
    holds("spb_node WHERE device_id = 1 AND life = 'dead' AND bd_seq IS NULL AND NOT conformant "
          "AND rebirths = 3 AND last_cause IS NULL AND died_at = " AT_MS);
    RUN(ST_SUBDEVICE_PUT, "1", "D1", "born", MS, NULL);
    RUN(ST_SUBDEVICE_PUT, "1", "D1", "stale", MS, MS);
    holds("subdevice WHERE name = 'D1' AND life = 'stale' AND died_at = " AT_MS);
}

static void puts_of_a_block_live_as_long_as_they_are_needed(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct put_block *block = NULL;
    struct put *puts[MANY];
    char text[400];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < MANY; i++) {
        const struct str params[] = {str_make(text, i % sizeof text), {0}};
        puts[i] = put_new_in(&block, ST_OBSERVATION_DELETE, params, 2);
        assert_non_null(puts[i]);
        if (i % 3 == 0) { /* some go before others come */
            put_free(puts[i]);
            puts[i] = NULL;
        }
    }
    put_block_close(block);
    for (size_t i = 0; i < MANY; i++) {
        if (!puts[i])
            continue;
        assert_int_equal(puts[i]->params[0].n, i % sizeof text);
        assert_true(!puts[i]->params[0].n || puts[i]->params[0].p[i % sizeof text - 1] == 'x');
        assert_null(puts[i]->params[1].p);
        put_free(puts[i]);
    }
    char *large = test_calloc(1, 1 << 20); /* larger than a block */
    const struct str params[] = {str_make(large, 1 << 20), {0}};
    block = NULL;
    struct put *p = put_new_in(&block, ST_OBSERVATION_DELETE, params, 2);
    assert_int_equal(p->params[0].n, 1 << 20);
    put_free(p);
    put_block_close(block);
    test_free(large);
}

static void series_and_latest_values_are_replaced(void **state)
{
    (void)state;
    RUN(ST_SERIES_PUT, "7", "1", "sparkplug", "spb:/T", "Double", NULL);
    RUN(ST_SERIES_PUT, "7", "1", "sparkplug", "spb:/T", "Float", "Cel");
    holds("series WHERE id = 7 AND datatype = 'Float' AND unit = 'Cel'");
    RUN(ST_LATEST_PUT, "7", MS, "18446744073709551615", "good", "DDATA");
    holds("series_latest WHERE value::text = '18446744073709551615' AND at = " AT_MS);
    RUN(ST_LATEST_PUT, "7", MS, "\"text\"", "stale", "NBIRTH");
    holds("series_latest WHERE quality = 'stale' AND source = 'NBIRTH'");
    RUN(ST_SERIES_MANY, "1",
        "[{\"i\":7,\"s\":\"sparkplug\",\"k\":\"spb:/T\",\"d\":\"Double\"},"
        "{\"i\":8,\"s\":\"sparkplug\",\"k\":\"spb:D/\\u00e4\",\"d\":\"Int8\",\"u\":\"m\"}]");
    holds("series WHERE id = 7 AND datatype = 'Double' AND unit IS NULL");
    holds("series WHERE id = 8 AND key = 'spb:D/ä' AND unit = 'm'");
    RUN(ST_LATEST_MANY, "[{\"i\":7,\"t\":" MS ",\"v\":18446744073709551615,\"q\":\"good\"},"
                        "{\"i\":8,\"t\":" MS ",\"v\":\"x\",\"q\":\"good\",\"o\":\"data\"},"
                        "{\"i\":9,\"t\":" MS ",\"v\":1,\"q\":\"good\"}]"); /* no such series */
    holds("series_latest WHERE value::text = '18446744073709551615' AND source = ''");
    holds("series_latest WHERE series_id = 8 AND value::text = '\"x\"' AND at = " AT_MS);
}

static void events_appear_once_and_ended_commands_stay_ended(void **state)
{
    (void)state;
    RUN(ST_TIMELINE_PUT, "1", MS, "registered", "lwm2m", "Registered", NULL);
    RUN(ST_TIMELINE_PUT, "1", MS, "bad_input", "braid", "Bad", "{\"a\":[1]}");
    holds("timeline_event WHERE kind = 'registered' AND detail IS NULL AND at = " AT_MS);
    holds("timeline_event WHERE detail->'a'->>0 = '1'");
    const char *id = "6e4c8f4e-6a6c-4d6b-9a51-000000000001";
    assert_true(pg_fixture_sql(&server,
                               "INSERT INTO command (id, device_id, op, request, by_name) VALUES "
                               "('6e4c8f4e-6a6c-4d6b-9a51-000000000001', 1, 'read', '{}', 'a')"));
    RUN(ST_COMMAND_STATE, id, "sent", NULL, MS, NULL, NULL, "tok");
    holds("command WHERE state = 'sent' AND token = 'tok' AND sent_at = " AT_MS);
    RUN(ST_COMMAND_STATE, id, "succeeded", NULL, NULL, MS, "{\"code\":\"2.05\"}", NULL);
    holds("command WHERE state = 'succeeded' AND token = 'tok' AND finished_at = " AT_MS
          " AND result->>'code' = '2.05'");
    RUN(ST_COMMAND_STATE, id, "sent", NULL, MS, NULL, NULL, NULL); /* an old one, replayed */
    holds("command WHERE state = 'succeeded'");
}

static void strangers_are_counted_once_per_time(void **state)
{
    (void)state;
    RUN(ST_UNKNOWN_SEEN, "who", "not known", MS, "3");
    holds("unknown_identity WHERE endpoint = 'who' AND messages = 3 AND first_seen = " AT_MS);
    RUN(ST_UNKNOWN_SEEN, "who", "not known", "1800000000001", "2");
    holds("unknown_identity WHERE messages = 5 AND last_seen > first_seen AND state = 'new'");
}

static void a_deleted_device_takes_everything_with_it_but_its_numbers(void **state)
{
    (void)state;
    RUN(ST_DEVICE_PUT, "9", "nine", NULL, NULL, MS);
    RUN(ST_SERIES_PUT, "70", "9", "lwm2m", "lwm2m:/3/0/0", "string", NULL);
    RUN(ST_LATEST_PUT, "70", MS, "1", "good", "read");
    RUN(ST_TIMELINE_PUT, "9", MS, "status", "braid", "x", NULL);
    RUN(ST_REGISTRATION_PUT, "9", "registered", "json", "1.2", "1", "U", "f", "", MS, MS, MS);
    RUN(ST_DEVICE_DELETE, "9");
    holds("id_floor WHERE kind = 'device' AND id = 9");
    holds("id_floor WHERE kind = 'series' AND id = 70");
    holds("device WHERE NOT EXISTS (SELECT FROM series) AND NOT EXISTS (SELECT FROM registration) "
          "AND NOT EXISTS (SELECT FROM timeline_event)");
    /* what comes late for it hangs on nothing, and harms nothing */
    RUN(ST_TIMELINE_PUT, "9", MS, "status", "braid", "x", NULL);
    RUN(ST_SERIES_PUT, "70", "9", "lwm2m", "lwm2m:/3/0/0", "string", NULL);
    RUN(ST_LATEST_PUT, "70", MS, "1", "good", "read");
    RUN(ST_NODE_PUT, "9", "born", "0", MS, NULL, "true", "0", NULL, NULL);
    RUN(ST_SUBDEVICE_PUT, "9", "D", "born", MS, NULL);
    RUN(ST_OBSERVATION_PUT, "9", "t", "/1", "f", MS);
    RUN(ST_DEVICE_DELETE, "9");
    holds("device WHERE NOT EXISTS (SELECT FROM poisoned)");
}

static void bytes_that_are_no_statement_are_refused(void **state)
{
    (void)state;
    struct put *p = NULL;
    struct buf b;
    const struct str param = STR("1");
    struct put *good = put_new(ST_OBSERVATIONS_CLEAR, &param, 1);
    buf_init(&b, 1000);
    put_encode(good, &b);
    for (size_t n = 0; n < b.n; n++)
        assert_int_not_equal(put_decode(str_make(b.p, n), &p), ERR_OK);
    buf_putc(&b, 'x');
    assert_int_equal(put_decode(buf_view(&b), &p), ERR_INVALID);
    b.p[1] = '?';
    assert_int_equal(put_decode(buf_view(&b), &p), ERR_NOTFOUND);
    assert_null(p);
    put_free(good);
    buf_fini(&b);
}

static void bytes_that_are_no_chunk_are_refused(void **state)
{
    (void)state;
    struct chunk_view in = {.writer = 1, .batch_no = 2, .rows = 1, .samples = STR("abc")}, out;
    struct str row, rows = STR("\0\1\0\0\0\2ab\0\1\xff\xff\xff\xff\0\1\0\0\1\0ab");
    struct buf b;
    buf_init(&b, 1000);
    chunk_encode(&in, &b);
    assert_int_equal(chunk_decode(buf_view(&b), &out), ERR_OK);
    assert_true(str_eq(out.samples, in.samples) && out.batch_no == 2 && !out.texts.n);
    for (size_t n = 0; n < b.n; n++)
        assert_int_not_equal(chunk_decode(str_make(b.p, n), &out), ERR_OK);
    buf_putc(&b, 'x');
    assert_int_equal(chunk_decode(buf_view(&b), &out), ERR_INVALID);
    buf_fini(&b);
    /* rows: one field, one NULL, one that says it is longer than what is left */
    assert_true(copy_next(&rows, &row) && row.n == 8);
    assert_true(copy_next(&rows, &row) && row.n == 6);
    assert_false(copy_next(&rows, &row));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        T(devices_keep_what_was_learnt_of_them),
        T(registrations_and_observations_are_replaced),
        T(nodes_and_subdevices_are_replaced),
        T(puts_of_a_block_live_as_long_as_they_are_needed),
        T(series_and_latest_values_are_replaced),
        T(events_appear_once_and_ended_commands_stay_ended),
        T(strangers_are_counted_once_per_time),
        T(a_deleted_device_takes_everything_with_it_but_its_numbers),
        T(bytes_that_are_no_statement_are_refused),
        T(bytes_that_are_no_chunk_are_refused),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
