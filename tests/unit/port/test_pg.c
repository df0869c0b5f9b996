/* test_pg.c - statements, errors, pipelines and COPY against a real PostgreSQL, also a hanging one.
 */
#include "fixture/pg_fixture.h"
#include "fixture/process.h"
#include "port/pg.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"

static struct pg_fixture server;
static struct pg *db;

static int start_server(void **state)
{
    (void)state;
    return pg_fixture_make(&server) ? 0 : -1;
}

static int remove_server(void **state)
{
    (void)state;
    pg_fixture_remove(&server);
    return 0;
}

static int open_db(void **state)
{
    (void)state;
    return pg_connect(server.owner, "test", &db) ||
                   pg_script(db, "CREATE TEMP TABLE t (id int PRIMARY KEY, v text CHECK (v <> "
                                 "'bad'), n float8)")
               ? -1
               : 0;
}

static int close_db(void **state)
{
    (void)state;
    pg_close(db);
    return 0;
}

static int64_t count_rows(void)
{
    struct pg_result *r = NULL;
    assert_int_equal(pg_exec(db, "SELECT count(*) FROM t", NULL, 0, &r), ERR_OK);
    int64_t n = pg_i64(r, 0, 0);
    pg_result_free(r);
    return n;
}

static void values_and_nulls_come_back(void **state)
{
    (void)state;
    struct pg_result *r = NULL;
    const struct str params[] = {STR("-5"), STR(""), {NULL, 0}, STR("t"), STR("0.1")};
    assert_int_equal(pg_exec(db,
                             "SELECT $1::bigint, $2::text, $3::text, $4::boolean, $5::float8 "
                             "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL",
                             params, 5, &r),
                     ERR_OK);
    assert_int_equal(pg_rows(r), 2);
    assert_int_equal(pg_i64(r, 0, 0), -5);
    assert_true(pg_text(r, 0, 1).p && !pg_text(r, 0, 1).n);
    assert_true(pg_null(r, 0, 2) && !pg_text(r, 0, 2).p);
    assert_true(pg_bool(r, 0, 3) && pg_double(r, 0, 4) == 0.1);
    assert_true(pg_i64(r, 1, 0) == 0 && !pg_bool(r, 1, 3) && pg_double(r, 1, 4) == 0);
    pg_result_free(r);
    assert_int_equal(pg_exec(db, "INSERT INTO t VALUES (1), (2), (3)", NULL, 0, &r), ERR_OK);
    assert_int_equal(pg_affected(r), 3);
    pg_result_free(r);
}

static void errors_have_classes_and_words(void **state)
{
    (void)state;
    assert_int_equal(pg_script(db, "INSERT INTO t VALUES (1, 'a')"), ERR_OK);
    assert_string_equal(pg_error(db), "");
    assert_int_equal(pg_script(db, "INSERT INTO t VALUES (1, 'a')"), ERR_EXISTS);
    assert_string_equal(pg_sqlstate(db), "23505");
    assert_non_null(strstr(pg_error(db), "duplicate key"));
    assert_int_equal(pg_script(db, "INSERT INTO t VALUES (2, 'bad')"), ERR_CONFLICT);
    assert_int_equal(pg_script(db, "SELECT 'x'::int"), ERR_INVALID);
    assert_int_equal(pg_script(db, "SELECT 1; SELECT FROM nowhere; SELECT 2"), ERR_DB);
    assert_string_equal(pg_sqlstate(db), "42P01");
    const struct str zero = {"a\0b", 3}, bytes = {"\xff", 1};
    assert_int_equal(pg_exec(db, "SELECT $1::text", &zero, 1, NULL), ERR_INVALID);
    assert_int_equal(pg_exec(db, "SELECT $1::text", &bytes, 1, NULL), ERR_INVALID);
    assert_true(pg_is_ok(db));
    assert_int_equal(count_rows(), 1);
}

static void a_prepared_statement_is_made_once(void **state)
{
    (void)state;
    const struct str one = STR("1"), two = STR("2");
    assert_int_equal(pg_prepared(db, "ins", "INSERT INTO t VALUES ($1::int)", &one, 1, NULL),
                     ERR_OK);
    assert_int_equal(pg_prepared(db, "ins", "not looked at again", &two, 1, NULL), ERR_OK);
    assert_int_equal(pg_prepared(db, "ins", "", &two, 1, NULL), ERR_EXISTS);
    assert_int_equal(pg_prepared(db, "wrong", "SELEKT", NULL, 0, NULL), ERR_DB);
    assert_int_equal(pg_prepared(db, "wrong", "SELECT 1", NULL, 0, NULL), ERR_OK);
    assert_int_equal(count_rows(), 2);
}

struct seen {
    int64_t rows, stop_at;
};

static enum err see(void *ctx, const struct pg_result *row)
{
    struct seen *s = ctx;
    struct str bytes = pg_text(row, 0, 0);
    assert_int_equal(pg_rows(row), 1);
    assert_int_equal(bytes.n, 4);
    assert_int_equal((uint8_t)bytes.p[3], s->rows % 256);
    return s->rows++ == s->stop_at ? ERR_RANGE : ERR_OK;
}

static void rows_are_shown_one_by_one(void **state)
{
    (void)state;
    const struct str n = STR("9999"), none = STR("-1"), bad = STR("x");
    const char *numbers = "SELECT i FROM generate_series(0, $1::int) i";
    struct seen s = {0, -1};
    assert_int_equal(pg_prepared_each(db, "each", numbers, &n, 1, see, &s), ERR_OK);
    assert_int_equal(s.rows, 10000);
    s.rows = 0;
    assert_int_equal(pg_prepared_each(db, "each", numbers, &none, 1, see, &s), ERR_OK);
    assert_int_equal(pg_prepared_each(db, "each", numbers, &bad, 1, see, &s), ERR_INVALID);
    assert_int_equal(s.rows, 0);
    s.stop_at = 7;
    assert_int_equal(pg_prepared_each(db, "each", numbers, &n, 1, see, &s), ERR_RANGE);
    assert_int_equal(s.rows, 8);
    s = (struct seen){0, -1};
    assert_int_equal(pg_prepared_each(db, "fails",
                                      "SELECT i / (7000 - i) * 0 + i FROM "
                                      "generate_series(0, $1::int) i",
                                      &n, 1, see, &s),
                     ERR_INVALID); /* on the way: what came before was shown */
    assert_in_range(s.rows, 0, 7000);
    assert_string_equal(pg_sqlstate(db), "22012");
    assert_true(pg_check(db));
    assert_int_equal(count_rows(), 0);
}

static void a_pipeline_is_all_or_nothing(void **state)
{
    (void)state;
    enum { N = 1000 };
    static char text[N][12];
    static struct str params[N];
    static struct pg_call calls[N];
    for (int i = 0; i < N; i++) {
        params[i] = str_make(text[i], (size_t)snprintf(text[i], sizeof text[i], "%d", i));
        calls[i] = (struct pg_call){"ins", "INSERT INTO t VALUES ($1::int, repeat('x', 1000))",
                                    &params[i], 1};
    }
    assert_int_equal(pg_pipeline(db, calls, N), ERR_OK);
    assert_int_equal(count_rows(), N);
    assert_int_equal(pg_script(db, "TRUNCATE t"), ERR_OK);
    params[500] = params[3];
    assert_int_equal(pg_pipeline(db, calls, N), ERR_EXISTS);
    assert_true(pg_is_ok(db));
    assert_int_equal(count_rows(), 0);
    params[500] = str_make("\0", 1);
    assert_int_equal(pg_pipeline(db, calls, N), ERR_INVALID);
    assert_int_equal(count_rows(), 0);
    calls[500] = (struct pg_call){"broken", "SELEKT", NULL, 0};
    assert_int_equal(pg_pipeline(db, calls, N), ERR_DB);
    assert_int_equal(count_rows(), 0);
    assert_int_equal(pg_pipeline(db, calls, 0), ERR_OK);
    assert_int_equal(pg_script(db, "SELECT 1"), ERR_OK);
}

static void put_head(struct buf *b)
{
    buf_reset(b);
    buf_put(b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
}

static void copy_takes_a_whole_body_or_nothing(void **state)
{
    (void)state;
    static const char sql[] = "COPY t (id) FROM STDIN (FORMAT binary)";
    struct buf b;
    uint64_t rows = 0;
    buf_init(&b, 1 << 26);
    put_head(&b);
    for (uint32_t i = 0; i < 200000; i++) {
        buf_u16be(&b, 1);
        buf_u32be(&b, 4);
        buf_u32be(&b, i);
    }
    buf_u16be(&b, UINT16_MAX);
    assert_int_equal(pg_copy_in(db, sql, b.p, b.n, &rows), ERR_OK);
    assert_int_equal(rows, 200000);
    assert_int_equal(pg_copy_in(db, sql, b.p, b.n, &rows), ERR_EXISTS);
    assert_int_equal(pg_copy_in(db, sql, "nonsense", 8, &rows), ERR_INVALID);
    assert_int_equal(count_rows(), 200000);
    assert_int_equal(pg_script(db, "TRUNCATE t"), ERR_OK);
    assert_int_equal(pg_copy_in(db, sql, b.p, b.n - 2005, &rows), ERR_INVALID); /* in a row */
    assert_int_equal(pg_copy_in(db, "COPY nowhere FROM STDIN", b.p, b.n, &rows), ERR_DB);
    assert_true(pg_is_ok(db));
    assert_int_equal(count_rows(), 0);
    assert_int_equal(pg_copy_in(db, "SELECT 1", b.p, b.n, &rows), ERR_DB);
    assert_false(pg_is_ok(db)); /* our mistake: nobody knows what the stream holds now */
    buf_fini(&b);
}

static void a_slow_statement_is_cancelled_and_the_connection_lives(void **state)
{
    (void)state;
    assert_int_equal(pg_set_timeout(db, 100), ERR_OK);
    assert_int_equal(pg_script(db, "SELECT pg_sleep(100)"), ERR_DB);
    assert_string_equal(pg_sqlstate(db), "57014");
    assert_true(pg_is_ok(db));
    assert_int_equal(pg_set_timeout(db, 0), ERR_OK);
    assert_int_equal(pg_script(db, "SELECT pg_sleep(0.2)"), ERR_OK);
}

static void a_server_that_hangs_costs_its_time_limit_only(void **state)
{
    (void)state;
    assert_int_equal(pg_set_timeout(db, 200), ERR_OK);
    pg_fixture_signal(&server, SIGSTOP);
    uint64_t start = clock_mono_ms();
    enum err e = pg_script(db, "SELECT 1");
    uint64_t took = clock_mono_ms() - start;
    enum err again = pg_script(db, "SELECT 1");
    pg_fixture_signal(&server, SIGCONT);
    assert_int_equal(e, ERR_DB);
    assert_int_equal(again, ERR_DB);
    assert_true(took >= 2000); /* and it came back */
    assert_false(pg_is_ok(db));
}

static void a_dead_server_breaks_the_connection(void **state)
{
    (void)state;
    struct pg *other = NULL;
    assert_true(pg_check(db));
    assert_int_equal(pg_script(db, "BEGIN"), ERR_OK);
    assert_false(pg_check(db)); /* not idle */
    pg_fixture_kill(&server);
    enum err e = ERR_OK; /* what the dead one started may live for a moment */
    for (int i = 0; i < 3000 && !e; i++) {
        process_sleep_ms(10);
        e = pg_script(db, "SELECT 1");
    }
    assert_int_equal(e, ERR_DB);
    assert_false(pg_is_ok(db));
    assert_false(pg_check(db));
    assert_int_equal(pg_connect(server.owner, "test", &other), ERR_DB);
    assert_null(other);
    assert_true(pg_fixture_start(&server));
    assert_int_equal(pg_connect(server.owner, "test", &other), ERR_OK);
    pg_close(other);
    pg_close(NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_db, close_db)
    const struct CMUnitTest tests[] = {
        T(values_and_nulls_come_back),
        T(errors_have_classes_and_words),
        T(a_prepared_statement_is_made_once),
        T(rows_are_shown_one_by_one),
        T(a_pipeline_is_all_or_nothing),
        T(copy_takes_a_whole_body_or_nothing),
        T(a_slow_statement_is_cancelled_and_the_connection_lives),
        T(a_server_that_hangs_costs_its_time_limit_only),
        T(a_dead_server_breaks_the_connection),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
