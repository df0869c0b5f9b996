/* test_export.c - samples as lines: every one once and in order, in whichever form and however many
 * windows it takes. */
#include "fixture/db.h"
#include "store/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define T0     (INT64_C(20454) * DAY_MS) /* 2026-01-01 00:00 */

static struct pg *owner;
static struct buf text;
static const struct str keys[] = {STR("spb:/a"), STR("spb:/b"), STR("spb:/none")};

static int start_server(void **state)
{
    return start_database(state) || pg_connect(server.owner, "test", &owner) ? -1 : 0;
}

static int remove_server(void **state)
{
    pg_close(owner);
    return remove_database(state);
}

static void sql(const char *statement)
{
    if (pg_script(owner, statement))
        fail_msg("%s: %s", statement, pg_error(owner));
}

static int fresh(void **state)
{
    (void)state;
    buf_init(&text, (size_t)64 << 20);
    sql("TRUNCATE device, landing_0, piece, text_sample CASCADE;"
        "INSERT INTO device (id, endpoint) VALUES (1, 'one');"
        "INSERT INTO series (id, device_id, source, key, unit) VALUES "
        "(1, 1, 'sparkplug', 'spb:/a', 'm,\"s\"'), (2, 1, 'sparkplug', 'spb:/b', NULL)");
    return 0;
}

static int drop(void **state)
{
    (void)state;
    buf_fini(&text);
    return 0;
}

static struct export_request request(size_t n, enum export_format format)
{
    return (struct export_request){.endpoint = STR("one"),
                                   .keys = keys,
                                   .n = n,
                                   .from_ms = T0,
                                   .to_ms = T0 + DAY_MS,
                                   .format = format};
}

/* All windows one behind the other; how many they were. */
static int whole(const struct export_request *q)
{
    struct export *x = NULL;
    bool done = false;
    int windows = 0;
    buf_reset(&text);
    assert_int_equal(export_new(db, q, &x), ERR_OK);
    for (; !done; windows++)
        assert_int_equal(export_next(x, db, &text, &done), ERR_OK);
    export_free(x);
    return windows;
}

static void samples_of_one_time_share_a_line_and_a_second_one_follows(void **state)
{
    (void)state;
    struct export_request q = request(2, EXPORT_CSV);
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) VALUES "
        "(1, '2026-01-01 00:00:01Z', 1.5, 0), (2, '2026-01-01 00:00:01Z', -2, 1), "
        "(1, '2026-01-01 00:00:02Z', 3, 0), (1, '2026-01-01 00:00:02Z', 4, 0), "
        "(2, '2026-01-01 00:00:03.000007Z', 'Infinity', 0), "
        "(2, '2026-01-01 00:00:04Z', '-Infinity', 0), (2, '2026-01-01 00:00:05Z', 'NaN', 0), "
        "(1, '2025-12-31 23:59:59.999999Z', 9, 0), (1, '2026-01-02 00:00:00Z', 9, 0)");
    sql("INSERT INTO text_sample (series_id, ts, kind, value, bytes, quality) VALUES "
        "(1, '2026-01-01 00:00:06Z', 't', E'a \"b\",\\nc', NULL, 0), "
        "(2, '2026-01-01 00:00:06Z', 'b', NULL, '\\x00ff', 0), "
        "(1, '2026-01-01 00:00:07Z', 'n', NULL, NULL, 3)");
    whole(&q);
    assert_string_equal(buf_text(&text),
                        "time,\"spb:/a [m,\"\"s\"\"]\",spb:/a quality,spb:/b,spb:/b quality\r\n"
                        "2026-01-01T00:00:01.000Z,1.5,0,-2,1\r\n"
                        "2026-01-01T00:00:02.000Z,3,0,,\r\n"
                        "2026-01-01T00:00:02.000Z,4,0,,\r\n"
                        "2026-01-01T00:00:03.000007Z,,,Infinity,0\r\n"
                        "2026-01-01T00:00:04.000Z,,,-Infinity,0\r\n"
                        "2026-01-01T00:00:05.000Z,,,,0\r\n"
                        "2026-01-01T00:00:06.000Z,\"a \"\"b\"\",\nc\",0,AP8=,0\r\n"
                        "2026-01-01T00:00:07.000Z,,3,,\r\n");
}

static void ndjson_has_an_object_for_each_sample_whatever_it_is(void **state)
{
    (void)state;
    struct export_request q = request(2, EXPORT_NDJSON);
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) VALUES "
        "(2, '2026-01-01 00:00:02Z', 0.1, 0), (1, '2026-01-01 00:00:01Z', 'Infinity', 1)");
    sql("INSERT INTO text_sample (series_id, ts, kind, value, bytes, quality) VALUES "
        "(1, '2026-01-01 00:00:02Z', 'j', '{\"x\":[1,2]}', NULL, 0), "
        "(1, '2026-01-01 00:00:03Z', 't', '\"', NULL, 0), "
        "(1, '2026-01-01 00:00:04Z', 'n', NULL, NULL, 3)");
    whole(&q);
    assert_string_equal(
        buf_text(&text),
        "{\"time\":\"2026-01-01T00:00:01.000Z\",\"series\":\"spb:/"
        "a\",\"value\":null,\"quality\":1}\n"
        "{\"time\":\"2026-01-01T00:00:02.000Z\",\"series\":\"spb:/a\",\"value\":{\"x\":[1,2]},"
        "\"quality\":0}\n"
        "{\"time\":\"2026-01-01T00:00:02.000Z\",\"series\":\"spb:/"
        "b\",\"value\":0.1,\"quality\":0}\n"
        "{\"time\":\"2026-01-01T00:00:03.000Z\",\"series\":\"spb:/a\",\"value\":\"\\\"\","
        "\"quality\":0}\n"
        "{\"time\":\"2026-01-01T00:00:04.000Z\",\"series\":\"spb:/a\",\"value\":null,"
        "\"quality\":3}\n");
}

/* 48 pieces of 18,000 samples: so many that a day takes several windows. */
static void a_dense_day_takes_several_windows_and_each_sample_is_in_one(void **state)
{
    (void)state;
    struct export_request q = request(1, EXPORT_CSV);
    char before[40] = "";
    int lines = 0;
    sql("INSERT INTO piece (start, stop, step_us, v0, series_id, n, class_id, scale) "
        "SELECT s, s + interval '1799.9 s', 100000, i, 1, 18000, 0, 0 FROM (SELECT i, "
        "timestamptz '2026-01-01 00:00Z' + i * interval '30 minutes' AS s "
        "FROM generate_series(0, 47) i) x");
    assert_in_range(whole(&q), 4, 100);
    char *rest = text.p, *end = text.p + text.n;
    for (char *line; rest < end && (line = rest); lines++) {
        rest = (char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        if (lines == 0)
            continue;
        assert_true(strncmp(before, line, 24) < 0);
        memcpy(before, line, 24);
    }
    assert_int_equal(lines, 1 + 48 * 18000);
}

static void windows_grow_where_there_is_little(void **state)
{
    (void)state;
    struct export_request q = request(1, EXPORT_NDJSON);
    q.from_ms = T0 - 3000 * DAY_MS;
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) VALUES "
        "(1, '2018-01-01Z', 1, 0), (1, '2025-12-31Z', 2, 0)");
    assert_in_range(whole(&q), 1, 20);
    char *second = strchr(buf_text(&text), '\n') + 1;
    assert_non_null(strstr(second, "\"value\":2,"));
    assert_int_equal(strchr(second, '\n')[1], '\0');
}

static void buckets_without_samples_are_left_out_and_odd_widths_rounded_up(void **state)
{
    (void)state;
    struct export_request q = request(2, EXPORT_CSV);
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) VALUES "
        "(1, '2026-01-01 00:00:10Z', 1, 0), (1, '2026-01-01 00:01:50Z', 4, 0), "
        "(2, '2026-01-01 00:01:00Z', 'NaN', 0), (2, '2026-01-01 23:59:00Z', 7, 0)");
    q.bucket_s = 61; /* of whole minutes */
    whole(&q);
    assert_string_equal(buf_text(&text),
                        "time,\"spb:/a min [m,\"\"s\"\"]\",\"spb:/a max [m,\"\"s\"\"]\","
                        "\"spb:/a avg [m,\"\"s\"\"]\",spb:/a n,\"spb:/a last [m,\"\"s\"\"]\","
                        "spb:/b min,spb:/b max,spb:/b avg,spb:/b n,spb:/b last\r\n"
                        "2026-01-01T00:00:00.000Z,1,4,2.5,2,4,,,,1,\r\n"
                        "2026-01-01T23:58:00.000Z,,,,0,,7,7,7,1,7\r\n");
    q.format = EXPORT_NDJSON;
    q.bucket_s = 3601; /* of whole hours */
    q.n = 1;
    whole(&q);
    assert_string_equal(buf_text(&text),
                        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"series\":\"spb:/a\",\"min\":1,"
                        "\"max\":4,\"avg\":2.5,\"last\":4,\"n\":2}\n");
    q.bucket_s = 1; /* a day of them is more than one window */
    assert_in_range(whole(&q), 2, 100);
    assert_non_null(strstr(buf_text(&text), "00:01:50.000Z"));
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    struct export *x = NULL;
    struct export_request q = request(3, EXPORT_CSV);
    assert_int_equal(export_new(db, &q, &x), ERR_NOTFOUND);
    q.n = 1;
    q.endpoint = str_of("nobody");
    assert_int_equal(export_new(db, &q, &x), ERR_NOTFOUND);
    q = request(0, EXPORT_CSV);
    assert_int_equal(export_new(db, &q, &x), ERR_INVALID);
    q = request(EXPORT_SERIES_MAX + 1, EXPORT_CSV);
    assert_int_equal(export_new(db, &q, &x), ERR_INVALID);
    q = request(1, EXPORT_CSV);
    q.to_ms = q.from_ms;
    assert_int_equal(export_new(db, &q, &x), ERR_INVALID);
    q = request(1, EXPORT_CSV);
    q.from_ms = INT64_MIN;
    assert_int_equal(export_new(db, &q, &x), ERR_INVALID);
    q = request(1, EXPORT_CSV);
    q.bucket_s = -1;
    assert_int_equal(export_new(db, &q, &x), ERR_INVALID);
    assert_null(x);
    export_free(NULL);
}

static void a_window_that_fails_says_so(void **state)
{
    (void)state;
    struct export_request q = request(1, EXPORT_CSV);
    struct export *x = NULL;
    struct buf little;
    bool done = false;
    sql("INSERT INTO landing_0 (series_id, ts, value, quality) "
        "SELECT 1, timestamptz '2026-01-01Z' + i * interval '1 s', i, 0 FROM "
        "generate_series(1, 100) i");
    buf_init(&little, 200);
    assert_int_equal(export_new(db, &q, &x), ERR_OK);
    assert_int_equal(export_next(x, db, &little, &done), ERR_TOOBIG);
    export_free(x);
    buf_fini(&little);
    sql("INSERT INTO piece (start, stop, series_id, n, class_id, t2) VALUES "
        "('2026-01-01 12:00Z', '2026-01-01 12:00:01Z', 1, 3, 0, '{0,1000}')"); /* three, or two? */
    for (q.bucket_s = 0; q.bucket_s <= 60; q.bucket_s += 60) {
        assert_int_equal(export_new(db, &q, &x), ERR_OK);
        assert_int_not_equal(export_next(x, db, &text, &done), ERR_OK);
        export_free(x);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(samples_of_one_time_share_a_line_and_a_second_one_follows),
        CASE(ndjson_has_an_object_for_each_sample_whatever_it_is),
        CASE(a_dense_day_takes_several_windows_and_each_sample_is_in_one),
        CASE(windows_grow_where_there_is_little),
        CASE(buckets_without_samples_are_left_out_and_odd_widths_rounded_up),
        CASE(what_cannot_be_asked_is_refused),
        CASE(a_window_that_fails_says_so),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
