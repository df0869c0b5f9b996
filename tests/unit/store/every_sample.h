/* every_sample.h - what moves samples about: each is in one place after any stop, bit for bit.
 *
 * A database whose tables are empty at the beginning of each test, with `db`, a connection that may
 * break, for what is tested, and `owner` for questions; and a list of the samples that have to be
 * in the view from now on.  For one file of a test program: it defines what it declares. */
#ifndef BRAID_TESTS_EVERY_SAMPLE_H
#define BRAID_TESTS_EVERY_SAMPLE_H

#include "fixture/db.h"
#include "fixture/pg_cut.h"
#include "metrics/metrics.h"

static struct metrics *metrics;
static struct pg *owner; /* temporary tables live in it */
static _Atomic bool stopping;

static int64_t ask(const char *text)
{
    return ask_on(owner, text);
}

static void sql(const char *text)
{
    if (pg_script(owner, text))
        fail_msg("%s", pg_error(owner));
}

/* For the beginning and the end of a group of tests. */
static int start_samples(void **state)
{
    metrics = metrics_new();
    if (!metrics || start_database(state) || pg_connect(server.owner, "owner", &owner))
        return -1;
    pg_close(db); /* each test has its own */
    db = NULL;
    sql("CREATE TABLE expected (series_id integer, ts timestamptz, value bytea, quality smallint)");
    return 0;
}

static int remove_samples(void **state)
{
    pg_close(owner);
    metrics_free(metrics);
    return remove_database(state);
}

/* For the beginning of a test: no samples, landing_0 is open, nothing is cut or stops. */
static void begin_samples(void)
{
    fault.left = 0;
    stopping = false;
    pg_close(db);
    assert_true(pg_fixture_sql(&server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                        "WHERE application_name = 'test'"));
    sql("TRUNCATE device, landing_0, landing_1, landing_2, landing_3, landing_4, landing_5, "
        "landing_6, landing_7, piece, piece_hour, chunk, rollup_minute, rollup_hour, expected "
        "CASCADE;"
        "UPDATE landing_slot SET state = 'free', turn = 0;"
        "UPDATE landing_slot SET state = 'open', turn = 1, opened_at = now() WHERE slot = 0");
    db = join_server();
}

/* A connection anew, once the server is done with what the old one said. */
static void rejoin(void)
{
    pg_close(db);
    for (int i = 0; i < 6000 && ask(CONNECTIONS); i++)
        process_sleep_ms(10);
    assert_int_equal(ask(CONNECTIONS), 0);
    db = join_server();
}

#define NOW "SELECT series_id, ts, float8send(value), quality FROM samples"

/* What is in the view now is what has to be in it from now on, bit for bit and as often. */
static void expect_this(void)
{
    sql("TRUNCATE expected; INSERT INTO expected " NOW);
}

static void as_expected(void)
{
    assert_int_equal(ask("SELECT count(*) FROM ((TABLE expected EXCEPT ALL " NOW ") UNION ALL (" NOW
                         " EXCEPT ALL TABLE expected)) d"),
                     0);
}

#endif
