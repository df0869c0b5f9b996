/* test_migrate.c - migrations apply once, refuse changed files, and grant no more than needed. */
#include "fixture/pg_fixture.h"
#include "fixture/process.h"
#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct pg_fixture server;

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

static struct pg *connect_as(const char *conninfo)
{
    struct pg *db = NULL;
    assert_int_equal(pg_connect(conninfo, "test", &db), ERR_OK);
    return db;
}

static void an_empty_database_is_not_our_version(void **state)
{
    (void)state;
    struct pg *db = connect_as(server.app);
    assert_false(store_check_version(db));
    pg_close(db);
}

static void migrations_apply_once(void **state)
{
    (void)state;
    int n = -1;
    struct pg *db = connect_as(server.owner);
    assert_int_equal(store_migrate(db, server.migrations, &n), ERR_OK);
    assert_true(n >= 5);
    assert_int_equal(store_migrate(db, server.migrations, &n), ERR_OK);
    assert_int_equal(n, 0);
    pg_close(db);
    db = connect_as(server.app);
    assert_true(store_check_version(db));
    pg_close(db);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A database of its own for files of our own. */
static struct pg *other_database(const char *name)
{
    char sql[100], conninfo[200];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s OWNER braid_owner", name);
    assert_true(pg_fixture_sql(&server, sql));
    snprintf(conninfo, sizeof conninfo, "host=%s dbname=%s user=braid_owner", server.dir, name);
    return connect_as(conninfo);
}

static void a_changed_file_stops_everything(void **state)
{
    (void)state;
    int n = -1;
    char dir[] = "/tmp/braid-migrate-XXXXXX", one[64], two[64];
    assert_non_null(mkdtemp(dir));
    snprintf(one, sizeof one, "%s/0001_one.sql", dir);
    snprintf(two, sizeof two, "%s/0002_two.sql", dir);
    struct pg *db = other_database("changed");
    write_text(one, "CREATE TABLE one (a int); INSERT INTO one VALUES (1);");
    assert_int_equal(store_migrate(db, dir, &n), ERR_OK);
    assert_int_equal(n, 1);
    write_text(one, "CREATE TABLE one (a int);");
    write_text(two, "CREATE TABLE two (a int);");
    assert_int_equal(store_migrate(db, dir, &n), ERR_CONFLICT);
    assert_int_equal(pg_script(db, "SELECT * FROM two"), ERR_DB);
    assert_string_equal(pg_sqlstate(db), "42P01");
    pg_close(db);
    process_remove(dir);
}

static void a_failing_migration_leaves_nothing_behind(void **state)
{
    (void)state;
    int n = -1;
    char dir[] = "/tmp/braid-migrate-XXXXXX", one[64], two[64], gap[64];
    assert_non_null(mkdtemp(dir));
    snprintf(one, sizeof one, "%s/0001_one.sql", dir);
    snprintf(two, sizeof two, "%s/0002_two.sql", dir);
    snprintf(gap, sizeof gap, "%s/0004_gap.sql", dir);
    struct pg *db = other_database("failing");
    write_text(one, "CREATE TABLE one (a int);");
    write_text(two, "CREATE TABLE two (a int); SELECT 1/0;");
    assert_int_equal(store_migrate(db, dir, &n), ERR_INVALID);
    assert_int_equal(pg_script(db, "SELECT * FROM one"), ERR_OK);
    assert_int_equal(pg_script(db, "SELECT * FROM two"), ERR_DB);
    write_text(two, "CREATE TABLE two (a int);");
    assert_int_equal(store_migrate(db, dir, &n), ERR_OK); /* the lock was given back */
    assert_int_equal(n, 1);
    write_text(gap, "SELECT 1;");
    assert_int_equal(store_migrate(db, dir, &n), ERR_INVALID);
    unlink(gap);
    unlink(two);
    assert_int_equal(store_migrate(db, dir, &n), ERR_CONFLICT); /* newer than this folder */
    pg_close(db);
    process_remove(dir);
}

static void a_missing_folder_is_an_error(void **state)
{
    (void)state;
    int n = -1;
    struct pg *db = connect_as(server.owner);
    assert_int_equal(store_migrate(db, "/no/such/folder", &n), ERR_IO);
    pg_close(db);
}

static void expect_denied(struct pg *db, const char *sql)
{
    assert_int_equal(pg_script(db, sql), ERR_DB);
    assert_string_equal(pg_sqlstate(db), "42501");
}

static void roles_may_do_what_they_need_and_no_more(void **state)
{
    (void)state;
    struct pg *app = connect_as(server.app);
    assert_int_equal(pg_script(app, "INSERT INTO audit_log (who, action) VALUES ('a', 'b')"),
                     ERR_OK);
    expect_denied(app, "DELETE FROM audit_log");
    expect_denied(app, "UPDATE audit_log SET who = 'c'");
    expect_denied(app, "CREATE TABLE mine (a int)");
    expect_denied(app, "DROP TABLE landing_0");
    assert_int_equal(pg_script(app, "SELECT ensure_partitions()"), ERR_OK);
    pg_close(app);
    struct pg *grafana = connect_as(server.grafana);
    assert_int_equal(pg_script(grafana, "SELECT * FROM grafana.samples, grafana.devices, "
                                        "grafana.timeline, grafana.series"),
                     ERR_OK);
    expect_denied(grafana, "SELECT * FROM public.app_user");
    expect_denied(grafana, "SELECT public.ensure_partitions()");
    pg_close(grafana);
}

static void partitions_are_made_ahead_and_the_default_takes_the_rest(void **state)
{
    (void)state;
    struct pg_result *r = NULL;
    struct pg *db = connect_as(server.app);
    assert_int_equal(pg_exec(db, "SELECT ensure_partitions(5), ensure_partitions(5)", NULL, 0, &r),
                     ERR_OK);
    assert_int_equal(pg_i64(r, 0, 0), 2); /* two more days */
    assert_int_equal(pg_i64(r, 0, 1), 0);
    pg_result_free(r);
    assert_int_equal(
        pg_script(db, "INSERT INTO text_sample (series_id, ts, kind, quality, arrived) VALUES "
                      "(1, now(), 'n', 0, now() + interval '6 days'), "
                      "(1, now(), 'n', 0, now() + interval '400 days')"),
        ERR_OK);
    /* the sixth day's rows stay in the default partition: no error, no partition */
    assert_int_equal(pg_exec(db, "SELECT ensure_partitions(6), (SELECT count(*) FROM text_samples)",
                             NULL, 0, &r),
                     ERR_OK);
    assert_int_equal(pg_i64(r, 0, 0), 0);
    assert_int_equal(pg_i64(r, 0, 1), 2);
    pg_result_free(r);
    pg_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_database_is_not_our_version),
        cmocka_unit_test(migrations_apply_once),
        cmocka_unit_test(a_changed_file_stops_everything),
        cmocka_unit_test(a_failing_migration_leaves_nothing_behind),
        cmocka_unit_test(a_missing_folder_is_an_error),
        cmocka_unit_test(roles_may_do_what_they_need_and_no_more),
        cmocka_unit_test(partitions_are_made_ahead_and_the_default_takes_the_rest),
    };
    return cmocka_run_group_tests(tests, start_server, remove_server);
}
