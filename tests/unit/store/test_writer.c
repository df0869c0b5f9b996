/* test_writer.c - nothing that was accepted is lost or stored twice, whatever PostgreSQL does. */
#include "fixture/ask.h"
#include "store/landing.h"
#include "store/recent.h"
#include "store/writer.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct metrics *metrics;
static int64_t slot_rows, slot_s;
static char data_dir[64];
static struct recent *recent;

/* ---- helpers ---- */

static int fresh(void **state)
{
    (void)state;
    metrics = metrics_new();
    if (recent_new(1000000, &recent))
        return -1;
    slot_rows = 500000;
    slot_s = 300;
    snprintf(data_dir, sizeof data_dir, "/tmp/braid-data-XXXXXX");
    if (!server.pid && !pg_fixture_start(&server))
        return -1;
    return metrics && mkdtemp(data_dir) &&
                   pg_fixture_sql(&server,
                                  "TRUNCATE device, landing_0, landing_1, landing_2, landing_3, "
                                  "landing_4, landing_5, landing_6, landing_7, "
                                  "text_sample, ingest_batch, poisoned, id_floor CASCADE; "
                                  "UPDATE landing_slot SET state = 'free', turn = 0; "
                                  "UPDATE landing_slot SET state = 'open', turn = 1, "
                                  "opened_at = now() WHERE slot = 0")
               ? 0
               : -1;
}

static int tidy(void **state)
{
    (void)state;
    metrics_free(metrics);
    recent_free(recent);
    process_remove(data_dir);
    return 0;
}

static struct writer *start_with(const char *dir, int64_t spool_mb)
{
    struct writer *w = NULL;
    struct config c = {.db_conninfo = server.app,
                       .data_dir = (char *)dir,
                       .spool_max_mb = spool_mb,
                       .history_slot_rows = slot_rows,
                       .history_slot_s = slot_s};
    assert_int_equal(writer_start(&c, metrics, recent, &w), ERR_OK);
    return w;
}

static struct writer *start(void)
{
    return start_with(data_dir, 256);
}

/* Each table that is remembered holds these rows and no others; the number of rows in them. */
static int64_t remembered(void)
{
    int64_t all = 0;
    struct rows rows;
    rows_init(&rows);
    for (int slot = 0; slot < LANDING_SLOTS; slot++) {
        char sql[160];
        double sum = 0;
        snprintf(sql, sizeof sql,
                 "SELECT coalesce(max(turn), -1) FROM landing_slot WHERE slot = %d AND state IN "
                 "('open', 'closed')",
                 slot);
        int64_t turn = ask(sql);
        if (!recent_holds(recent, slot, turn))
            continue;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM landing_%d", slot);
        int64_t n = ask(sql);
        assert_int_equal(recent_copy(recent, slot, turn, (size_t)n, &rows), ERR_OK);
        for (size_t i = 0; i < rows.n; i++)
            sum += rows.v[i].value;
        snprintf(sql, sizeof sql, "SELECT coalesce(sum(value), 0)::bigint FROM landing_%d", slot);
        assert_int_equal(ask(sql), (int64_t)sum);
        all += n;
    }
    rows_fini(&rows);
    return all;
}

/* Completions are counted, and remember the last result. */
struct tally {
    _Atomic int done, failed;
    _Atomic enum err last;
};

static void count_done(void *ctx, enum err result)
{
    struct tally *t = ctx;
    t->last = result;
    if (result)
        t->failed++;
    t->done++;
}

static void wait_done(struct tally *t, int n)
{
    for (int i = 0; i < 12000 && t->done < n; i++)
        process_sleep_ms(5);
    assert_int_equal(t->done, n);
}

/* Waits until so many samples are in the spool; 0: and nothing else. */
static void wait_spooled(struct writer *w, uint64_t rows)
{
    struct writer_state s = {0};
    for (int i = 0; i < 12000; i++) {
        writer_get_state(w, &s);
        if (s.spooled_rows == rows && (rows || !s.spooled_bytes))
            return;
        process_sleep_ms(5);
    }
    fail_msg("%" PRIu64 " rows in the spool, not %" PRIu64, s.spooled_rows, rows);
}

static void wait_zero(enum metric m)
{
    for (int i = 0; i < 12000 && metric_get(metrics, m); i++)
        process_sleep_ms(5);
    assert_int_equal(metric_get(metrics, m), 0);
}

#define P(text) str_of(text)

static enum err put_device(struct writer *w, int id, const char *endpoint, struct tally *t)
{
    char number[16];
    snprintf(number, sizeof number, "%d", id);
    const struct str params[] = {P(number), P(endpoint), {NULL, 0}, {NULL, 0}, P("1700000000000")};
    return writer_put(w, ST_DEVICE_PUT, params, 5, t ? count_done : NULL, t);
}

static enum err put_status(struct writer *w, int id, const char *status, struct tally *t)
{
    char number[16];
    snprintf(number, sizeof number, "%d", id);
    const struct str params[] = {P(number), P(status), P("in words"), P("up"), P("1700000000001")};
    return writer_put(w, ST_DEVICE_STATUS, params, 5, t ? count_done : NULL, t);
}

static enum err put_samples(struct writer *w, int first, int n)
{
    while (n > 0) {
        struct batch *b = batch_new();
        assert_non_null(b);
        for (; n > 0; n--, first++) {
            const struct sample s = {.series = (uint32_t)(first % 7) + 1,
                                     .ts_us = INT64_C(1700000000000000) + first * INT64_C(1000),
                                     .value = first};
            if (!batch_add(b, s))
                break;
        }
        enum err e = writer_samples(w, b);
        if (e) {
            batch_free(b);
            return e;
        }
    }
    return ERR_OK;
}

#define COUNT    "SELECT count(*) FROM samples"
#define DISTINCT "SELECT count(DISTINCT value) FROM samples"

/* ---- tests ---- */

static void statements_and_samples_arrive(void **state)
{
    (void)state;
    struct tally t = {0};
    struct writer *w = start();
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    assert_int_equal(put_status(w, 1, "online", &t), ERR_OK);
    wait_done(&t, 2);
    assert_int_equal(t.failed, 0);
    assert_int_equal(ask("SELECT count(*) FROM device WHERE status = 'online'"), 1);
    assert_int_equal(put_samples(w, 0, 10000), ERR_OK);
    until(COUNT, 10000);
    assert_int_equal(ask("SELECT count(*) FROM samples WHERE series_id = value::int % 7 + 1 AND "
                         "ts = at_ms(1700000000000 + value::bigint) AND quality = 0"),
                     10000);
    writer_stop(w);
    assert_int_equal(metric_get(metrics, M_SAMPLES_STORED), 10000);
    assert_int_equal(metric_get(metrics, M_SAMPLES_SPOOLED), 0);
    assert_int_equal(metric_get(metrics, M_SAMPLES_IN), 10000);
}

static void text_samples_keep_their_kind(void **state)
{
    (void)state;
    struct writer *w = start();
    struct batch *b = batch_new();
    assert_int_equal(batch_add_text(b, 9, 0, 1000, 't', P("h\xc3\xa4llo")), ERR_OK);
    assert_int_equal(batch_add_text(b, 9, 16, 2000, 'j', P("{\"a\":1}")), ERR_OK);
    assert_int_equal(batch_add_text(b, 9, 1, 3000, 'b', str_make("\0\xff", 2)), ERR_OK);
    assert_int_equal(batch_add_text(b, 9, 3, 4000, 'n', str_make(NULL, 0)), ERR_OK);
    assert_int_equal(batch_add_text(b, 9, 0, 5000, 't', P("")), ERR_OK);
    assert_int_equal(writer_samples(w, b), ERR_OK);
    writer_stop(w);
    assert_int_equal(ask("SELECT count(*) FROM text_samples"), 5);
    assert_int_equal(ask("SELECT count(*) FROM text_samples WHERE value = 'hällo' AND kind = 't' "
                         "AND ts = '1970-01-01 00:00:00.001Z'"),
                     1);
    assert_int_equal(ask("SELECT count(*) FROM text_samples WHERE bytes = '\\x00ff'"), 1);
    assert_int_equal(ask("SELECT count(*) FROM text_samples WHERE kind = 'n' AND value IS NULL "
                         "AND bytes IS NULL AND quality = 3"),
                     1);
    assert_int_equal(ask("SELECT count(*) FROM text_samples WHERE value = ''"), 1);
}

static void a_batch_tells_when_its_samples_are_durable(void **state)
{
    struct tally t = {0};
    struct writer *w = start();
    struct batch *b = batch_new();
    (void)state;
    assert_true(batch_add(b, (struct sample){.series = 1, .ts_us = 1700000000000000, .value = 1}));
    assert_int_equal(batch_on_durable(b, count_done, &t), ERR_OK);
    assert_int_equal(writer_samples(w, b), ERR_OK);
    wait_done(&t, 1);
    assert_int_equal(ask(COUNT), 1);
    b = batch_new(); /* nothing inside: its turn still comes */
    assert_int_equal(batch_on_durable(b, count_done, &t), ERR_OK);
    assert_int_equal(writer_samples(w, b), ERR_OK);
    wait_done(&t, 2);
    writer_stop(w);
}

static void stopping_loses_nothing(void **state)
{
    (void)state;
    struct tally t = {0};
    struct writer *w = start();
    for (int i = 1; i <= 2500; i++) {
        char name[32];
        snprintf(name, sizeof name, "dev-%d", i);
        assert_int_equal(put_device(w, i, name, &t), ERR_OK);
    }
    assert_int_equal(put_samples(w, 0, 50000), ERR_OK);
    writer_stop(w);
    assert_int_equal(t.done, 2500);
    assert_int_equal(t.failed, 0);
    assert_int_equal(ask("SELECT count(*) FROM device"), 2500);
    assert_int_equal(ask(COUNT), 50000);
}

static void a_kill_in_the_middle_loses_and_doubles_nothing(void **state)
{
    (void)state;
    struct tally t = {0};
    slot_rows = 20000;
    struct writer *w = start();
    enum { N = 100000, STEP = 5000 };
    for (int i = 0; i < N; i += STEP) {
        assert_int_equal(put_samples(w, i, STEP), ERR_OK);
        assert_int_equal(put_device(w, i / STEP + 1, i ? "x" : "first", NULL), ERR_OK);
        char name[32];
        snprintf(name, sizeof name, "dev-%d", i);
        assert_int_equal(put_device(w, i / STEP + 1, name, &t), ERR_OK);
        if (i == N / 2) {
            pg_fixture_kill(&server);
            process_sleep_ms(100);
        }
        process_sleep_ms(20);
    }
    wait_done(&t, N / STEP); /* durable in the spool, although PostgreSQL is dead */
    assert_int_equal(t.failed, 0);
    assert_true(metric_get(metrics, M_SAMPLES_SPOOLED) > 0);
    struct writer_state s;
    writer_get_state(w, &s);
    assert_false(s.up);
    assert_true(s.spooled_rows > 0);
    assert_true(pg_fixture_start(&server));
    until(COUNT, N);
    assert_int_equal(ask(DISTINCT), N);
    until("SELECT count(*) FROM device WHERE endpoint LIKE 'dev-%'", N / STEP);
    wait_spooled(w, 0);
    wait_zero(M_SPOOL_BYTES);
    writer_get_state(w, &s);
    assert_true(s.up);
    /* and it goes on directly */
    assert_int_equal(put_samples(w, N, 10), ERR_OK);
    until(COUNT, N + 10);
    writer_stop(w);
    assert_true(remembered() > 0); /* what was written after the kill */
}

static void a_server_that_hangs_does_not_hold_up_the_spool(void **state)
{
    (void)state;
    struct tally t = {0};
    struct writer_state s;
    struct writer *w = start();
    assert_int_equal(put_device(w, 1, "before", &t), ERR_OK);
    wait_done(&t, 1);
    pg_fixture_signal(&server, SIGSTOP);
    assert_int_equal(put_device(w, 2, "while", &t), ERR_OK);
    assert_int_equal(put_samples(w, 0, 1000), ERR_OK);
    wait_done(&t, 2);
    assert_int_equal(t.failed, 0);
    writer_get_state(w, &s);
    assert_false(s.up); /* from now on it is known to be away, and asked no more */
    assert_int_equal(put_device(w, 3, "later", &t), ERR_OK);
    wait_done(&t, 3);
    pg_fixture_signal(&server, SIGCONT);
    until(COUNT, 1000);
    until("SELECT count(*) FROM device", 3);
    writer_stop(w);
}

static void a_stop_without_postgresql_leaves_all_to_the_next_start(void **state)
{
    (void)state;
    struct tally t = {0};
    struct writer *w = start();
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    wait_done(&t, 1);
    pg_fixture_kill(&server);
    assert_int_equal(put_device(w, 2, "dev-2", &t), ERR_OK);
    assert_int_equal(put_status(w, 1, "lost", &t), ERR_OK);
    assert_int_equal(put_samples(w, 0, 20000), ERR_OK);
    writer_stop(w);
    assert_int_equal(t.done, 3);
    assert_int_equal(t.failed, 0);
    w = start(); /* still without PostgreSQL */
    assert_int_equal(put_status(w, 1, "online", &t), ERR_OK);
    assert_int_equal(put_samples(w, 20000, 10), ERR_OK);
    writer_stop(w);
    assert_true(pg_fixture_start(&server));
    w = start(); /* replays before it returns */
    assert_int_equal(ask(COUNT), 20010);
    assert_int_equal(ask(DISTINCT), 20010);
    assert_int_equal(ask("SELECT count(*) FROM device"), 2);
    assert_int_equal(ask("SELECT count(*) FROM device WHERE id = 1 AND status = 'online'"), 1);
    writer_stop(w);
    w = start(); /* and does not do it again */
    writer_stop(w);
    assert_int_equal(ask(COUNT), 20010);
}

static void a_spool_replayed_twice_doubles_nothing(void **state)
{
    (void)state;
    char copy[96], spool[96];
    pg_fixture_kill(&server);
    struct writer *w = start();
    assert_int_equal(put_device(w, 1, "dev-1", NULL), ERR_OK);
    const struct str event[] = {P("1"),     P("1700000000000"), P("registered"),
                                P("lwm2m"), P("Registered"),    {NULL, 0}};
    assert_int_equal(writer_put(w, ST_TIMELINE_PUT, event, 6, NULL, NULL), ERR_OK);
    assert_int_equal(put_samples(w, 0, 30000), ERR_OK);
    writer_stop(w);
    snprintf(spool, sizeof spool, "%s/spool", data_dir);
    snprintf(copy, sizeof copy, "%s/copy", data_dir);
    assert_int_equal(process_run((const char *[]){"cp", spool, copy, NULL}, NULL, NULL), 0);
    assert_true(pg_fixture_start(&server));
    writer_stop(start());
    assert_int_equal(process_run((const char *[]){"cp", copy, spool, NULL}, NULL, NULL), 0);
    writer_stop(start());
    assert_int_equal(ask(COUNT), 30000);
    assert_int_equal(ask("SELECT count(*) FROM timeline_event"), 1);
    assert_int_equal(ask("SELECT count(*) FROM poisoned"), 0);
}

/* Another process kept house while the spool lay: the numbers of what it holds are still there. */
static void a_spool_that_lay_for_days_doubles_nothing(void **state)
{
    (void)state;
    char copy[96], spool[96];
    pg_fixture_kill(&server);
    struct writer *w = start();
    assert_int_equal(put_samples(w, 0, 30000), ERR_OK);
    writer_stop(w);
    snprintf(spool, sizeof spool, "%s/spool", data_dir);
    snprintf(copy, sizeof copy, "%s/copy", data_dir);
    assert_int_equal(process_run((const char *[]){"cp", spool, copy, NULL}, NULL, NULL), 0);
    assert_true(pg_fixture_start(&server));
    writer_stop(start());
    struct pg *other = join_server();
    assert_true(pg_fixture_sql(&server, "UPDATE ingest_batch SET at = at - interval '8 days';"
                                        "INSERT INTO ingest_batch VALUES "
                                        "(7, 1, now() - interval '2 days'), (7, 2, now()), "
                                        "(8, 1, now() - interval '40 days')"));
    assert_int_equal(landing_forget_numbers(other, 7), ERR_OK);
    pg_close(other);
    assert_int_equal(ask("SELECT sum(batch_no) FROM ingest_batch WHERE writer IN (7, 8)"), 2);
    assert_int_equal(process_run((const char *[]){"cp", copy, spool, NULL}, NULL, NULL), 0);
    writer_stop(start());
    assert_int_equal(ask(COUNT), 30000);
}

static void a_refused_statement_is_set_aside_and_its_group_lives(void **state)
{
    (void)state;
    struct tally good = {0}, bad = {0};
    struct writer *w = start();
    assert_int_equal(put_device(w, 1, "dev-1", &good), ERR_OK);
    assert_int_equal(put_status(w, 1, "no such status", &bad), ERR_OK); /* check constraint */
    assert_int_equal(put_device(w, 2, "dev-1", &bad), ERR_OK);          /* endpoint taken */
    assert_int_equal(put_device(w, 3, "dev-\xff", &bad), ERR_OK);       /* not UTF-8 */
    assert_int_equal(put_device(w, 4, "dev-4", &good), ERR_OK);
    const struct str latest[] = {P("x"), P("y"), P("{"), P("good"), P("")};
    assert_int_equal(writer_put(w, ST_LATEST_PUT, latest, 5, count_done, &bad), ERR_OK);
    wait_done(&good, 2);
    wait_done(&bad, 4);
    writer_stop(w);
    assert_int_equal(good.failed, 0);
    assert_int_equal(bad.failed, 4);
    assert_int_equal(ask("SELECT count(*) FROM device"), 2);
    assert_int_equal(ask("SELECT count(*) FROM poisoned"), 4);
    assert_int_equal(ask("SELECT count(*) FROM poisoned WHERE kind = 'device_status' AND "
                         "sqlstate = '23514' AND content::json->>1 = 'no such status'"),
                     1);
    assert_true(metric_get(metrics, M_DB_ERRORS) > 0);
    assert_int_equal(metric_get(metrics, M_DB_UP), 1);
}

static void refused_rows_are_set_aside_and_their_chunk_lives(void **state)
{
    (void)state;
    struct writer *w = start();
    struct batch *b = batch_new();
    for (int i = 0; i < 1000; i++) {
        const struct sample s = {.series = (uint32_t)i + 1,
                                 .ts_us = i % 400 == 7 ? INT64_MIN / 2 : 1000 * i,
                                 .value = i};
        assert_true(batch_add(b, s));
    }
    assert_int_equal(batch_add_text(b, 1, 0, 1000, 't', P("fine")), ERR_OK);
    assert_int_equal(batch_add_text(b, 1, 0, 1000, 't', P("bad \xff")), ERR_OK);
    assert_int_equal(batch_add_text(b, 1, 0, 1000, 't', str_make("a\0b", 3)), ERR_OK);
    assert_int_equal(writer_samples(w, b), ERR_OK);
    writer_stop(w);
    assert_int_equal(ask(COUNT), 997);
    assert_int_equal(ask("SELECT count(*) FROM text_samples"), 1);
    assert_int_equal(ask("SELECT count(*) FROM poisoned WHERE kind = 'sample'"), 3);
    assert_int_equal(ask("SELECT count(*) FROM poisoned WHERE kind = 'text_sample'"), 2);
    assert_int_equal(metric_get(metrics, M_SAMPLES_REFUSED), 5);
    assert_int_equal(metric_get(metrics, M_SAMPLES_STORED), 998);
}

static void a_table_that_took_only_some_of_a_chunk_is_not_remembered(void **state)
{
    (void)state;
    slot_rows = 1000;
    struct writer *w = start();
    assert_int_equal(put_samples(w, 0, 1000), ERR_OK);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 1);
    assert_int_equal(put_samples(w, 1000, 500), ERR_OK);
    until("SELECT count(*) FROM landing_1", 500);
    struct batch *b = batch_new();
    assert_true(batch_add(b, (struct sample){.series = 1, .ts_us = 1000, .value = 1}));
    assert_true(batch_add(b, (struct sample){.series = 1, .ts_us = INT64_MIN / 2, .value = 2}));
    assert_int_equal(writer_samples(w, b), ERR_OK);
    until("SELECT count(*) FROM landing_1", 501);
    assert_int_equal(put_samples(w, 2000, 499), ERR_OK);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 2);
    assert_int_equal(put_samples(w, 3000, 100), ERR_OK);
    until("SELECT count(*) FROM landing_2", 100);
    writer_stop(w);
    assert_false(recent_holds(recent, 0, 1)); /* it was open before we came */
    assert_false(recent_holds(recent, 1, 2));
    assert_true(recent_holds(recent, 2, 3));
    assert_int_equal(remembered(), 100);
}

static void a_refused_row_in_the_spool_is_set_aside_too(void **state)
{
    (void)state;
    pg_fixture_kill(&server);
    struct tally t = {0};
    struct writer *w = start();
    struct batch *b = batch_new();
    for (int i = 0; i < 100; i++) {
        const struct sample s = {
            .series = 1, .ts_us = i == 50 ? INT64_MIN / 2 : 1000 * i, .value = i};
        assert_true(batch_add(b, s));
    }
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    assert_int_equal(put_status(w, 1, "nonsense", &t), ERR_OK);
    assert_int_equal(writer_samples(w, b), ERR_OK);
    wait_done(&t, 2);
    assert_int_equal(t.failed, 0); /* durable is all that was promised */
    writer_stop(w);
    assert_true(pg_fixture_start(&server));
    writer_stop(start());
    assert_int_equal(ask(COUNT), 99);
    assert_int_equal(ask("SELECT count(*) FROM poisoned"), 2);
}

static void a_torn_tail_is_cut_off_and_the_rest_is_kept(void **state)
{
    (void)state;
    char spool[96];
    pg_fixture_kill(&server);
    struct writer *w = start();
    struct tally t = {0};
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    wait_done(&t, 1);
    assert_int_equal(put_samples(w, 0, 100), ERR_OK);
    wait_spooled(w, 100);
    assert_int_equal(put_device(w, 2, "dev-2", &t), ERR_OK);
    wait_done(&t, 2);
    writer_stop(w);
    snprintf(spool, sizeof spool, "%s/spool", data_dir);
    FILE *f = fopen(spool, "r+");
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    fputc('!', f); /* the last record's checksum is wrong now */
    fclose(f);
    assert_true(pg_fixture_start(&server));
    writer_stop(start());
    assert_int_equal(ask(COUNT), 100);
    assert_int_equal(ask("SELECT max(id) FROM device"), 1);
}

static void a_full_spool_refuses_samples_first_and_says_so(void **state)
{
    (void)state;
    pg_fixture_kill(&server);
    struct tally t = {0};
    struct writer *w = start_with(data_dir, 1);
    enum err e = ERR_OK;
    int accepted = 8 * BATCH_SAMPLES; /* more than the file may hold */
    assert_int_equal(put_samples(w, 0, accepted), ERR_OK);
    while (!e && accepted < 40000) { /* many small batches fill the queue */
        e = put_samples(w, accepted, 1);
        accepted += e ? 0 : 1;
    }
    assert_int_equal(e, ERR_FULL);
    struct writer_state ws = {0};
    for (int i = 0; i < 12000 && !ws.full; i++) { /* the writer's thread finds out */
        writer_get_state(w, &ws);
        process_sleep_ms(5);
    }
    assert_true(ws.pressed && ws.full && ws.pressed_since_ms > 0);
    assert_true(writer_is_pressed(w));
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK); /* the reserve is for these */
    wait_done(&t, 1);
    assert_int_equal(t.failed, 0);
    char *large = malloc(60001);
    memset(large, 'x', 60000);
    large[60000] = '\0';
    e = ERR_OK;
    for (int i = 0; i < 200 && !e; i++) {
        const struct str params[] = {P("1"), P("lost"), P(large), P("lost"), P("0")};
        e = writer_put(w, ST_DEVICE_STATUS, params, 5, NULL, NULL);
        process_sleep_ms(20);
    }
    free(large);
    assert_int_equal(e, ERR_FULL);
    assert_true(pg_fixture_start(&server));
    until(COUNT, accepted); /* what was accepted is not lost */
    assert_int_equal(ask(DISTINCT), accepted);
    assert_false(writer_is_pressed(w)); /* relieved long before the last row */
    assert_int_equal(put_device(w, 2, "dev-2", &t), ERR_OK);
    wait_done(&t, 2);
    writer_stop(w);
}

static void latest_values_give_way_to_statements_in_a_full_spool(void **state)
{
    (void)state;
    struct tally seen = {0}, owed = {0};
    struct writer *w = start_with(data_dir, 1);
    assert_true(writer_wants_caches(w));
    pg_fixture_kill(&server);
    assert_int_equal(put_device(w, 1, "dev-1", &owed), ERR_OK); /* finds out */
    wait_done(&owed, 1);
    assert_int_equal(owed.failed, 0);
    for (int i = 0; i < 3000 && writer_wants_caches(w); i++)
        process_sleep_ms(5);
    assert_false(writer_wants_caches(w));
    char *large = malloc(10001);
    memset(large, 'x', 10000);
    large[10000] = '\0';
    for (int i = 0; i < 200; i++) { /* twice what the file holds */
        const struct str params[] = {P("1"),    P("1"),    P(large), {NULL, 0},
                                     {NULL, 0}, {NULL, 0}, {NULL, 0}};
        assert_int_equal(writer_put(w, ST_DEVICE_SEEN, params, 7, count_done, &seen), ERR_OK);
    }
    free(large);
    wait_done(&seen, 200);
    assert_in_range(seen.failed, 100, 130);
    assert_int_equal(seen.last, ERR_FULL);
    assert_int_equal(metric_get(metrics, M_CACHES_DROPPED), seen.failed);
    for (int i = 2; i < 500; i++) { /* some 50 kB of the 128 that are theirs */
        char name[16];
        snprintf(name, sizeof name, "dev-%d", i);
        assert_int_equal(put_device(w, i, name, &owed), ERR_OK);
    }
    wait_done(&owed, 499);
    assert_int_equal(owed.failed, 0);
    assert_true(pg_fixture_start(&server));
    for (int i = 0; i < 3000 && !writer_wants_caches(w); i++)
        process_sleep_ms(10);
    assert_true(writer_wants_caches(w)); /* all is replayed */
    assert_int_equal(ask("SELECT count(*) FROM device WHERE length(manufacturer) = 10000"), 1);
    assert_int_equal(ask("SELECT count(*) FROM device"), 499);
    writer_stop(w);
}

static void pressure_begins_at_the_high_water_and_ends_at_the_low_one(void **state)
{
    (void)state;
    pg_fixture_kill(&server);
    struct writer *w = start_with("", 1); /* no spool: the queue only grows */
    int batches = 0;
    while (batches < 100) {
        assert_int_equal(put_samples(w, batches++, 1), ERR_OK);
        assert_false(writer_is_pressed(w));
    }
    while (!writer_is_pressed(w) && batches < 256)
        assert_int_equal(put_samples(w, batches++, 1), ERR_OK);
    assert_in_range(batches, 190, 210); /* some of them are in the hand */
    assert_true(pg_fixture_start(&server));
    for (int i = 0; i < 600 && writer_is_pressed(w); i++)
        process_sleep_ms(50);
    assert_false(writer_is_pressed(w));
    until(COUNT, batches);
    writer_stop(w);
}

static void slow_postgresql_sends_samples_to_the_spool(void **state)
{
    (void)state;
    struct writer *w = start();
    struct pg *lock = NULL;
    assert_int_equal(put_samples(w, 0, 1), ERR_OK);
    until(COUNT, 1);
    assert_int_equal(pg_connect(server.owner, "test", &lock), ERR_OK);
    assert_int_equal(pg_script(lock, "BEGIN; LOCK TABLE ingest_batch"), ERR_OK);
    int n = 1;
    for (; n < 1 + 160; n++) { /* they queue up behind the one that waits for the lock */
        assert_int_equal(put_samples(w, n, 1), ERR_OK);
        process_sleep_ms(1);
    }
    assert_int_equal(pg_script(lock, "COMMIT"), ERR_OK);
    pg_close(lock);
    until(COUNT, n);
    assert_int_equal(ask(DISTINCT), n);
    assert_true(metric_get(metrics, M_SAMPLES_SPOOLED) > 0);
    assert_false(writer_is_pressed(w));
    writer_stop(w);
}

static void a_damaged_record_is_set_aside_and_the_rest_goes_on(void **state)
{
    (void)state;
    char spool[96];
    struct tally t = {0};
    pg_fixture_kill(&server);
    struct writer *w = start();
    for (int i = 1; i <= 3; i++) { /* dev-1, 100 samples, dev-2, dev-3 */
        char name[16];
        snprintf(name, sizeof name, "dev-%d", i);
        assert_int_equal(put_device(w, i, name, &t), ERR_OK);
        wait_done(&t, i);
        if (i == 1) {
            assert_int_equal(put_samples(w, 0, 100), ERR_OK);
            wait_spooled(w, 100);
        }
    }
    snprintf(spool, sizeof spool, "%s/spool", data_dir);
    FILE *f = fopen(spool, "r+"); /* while it runs: the disk lost some bytes of the samples */
    assert_int_equal(fseek(f, 300, SEEK_SET), 0);
    fputs("#### damaged ####", f);
    fclose(f);
    assert_true(pg_fixture_start(&server));
    until("SELECT count(*) FROM device", 3);
    until("SELECT count(*) FROM poisoned WHERE kind = 'spool'", 1);
    assert_int_equal(ask(COUNT), 0);
    assert_int_equal(metric_get(metrics, M_SPOOL_SET_ASIDE), 1);
    assert_int_equal(put_samples(w, 100, 10), ERR_OK); /* and life goes on */
    until(COUNT, 10);
    writer_stop(w);
}

static void completions_come_only_after_the_commit(void **state)
{
    (void)state;
    struct tally t = {0};
    struct writer *w = start();
    struct pg *lock = NULL;
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    wait_done(&t, 1);
    assert_int_equal(pg_connect(server.owner, "test", &lock), ERR_OK);
    assert_int_equal(pg_script(lock, "BEGIN; SELECT * FROM device FOR UPDATE"), ERR_OK);
    assert_int_equal(put_status(w, 1, "lost", &t), ERR_OK);
    process_sleep_ms(500);
    assert_int_equal(t.done, 1);
    assert_int_equal(pg_script(lock, "COMMIT"), ERR_OK);
    pg_close(lock);
    wait_done(&t, 2);
    assert_int_equal(ask("SELECT count(*) FROM device WHERE status = 'lost'"), 1);
    writer_stop(w);
}

static void without_a_spool_work_waits_in_memory(void **state)
{
    (void)state;
    pg_fixture_kill(&server);
    struct tally t = {0};
    struct writer *w = start_with("", 1);
    assert_int_equal(put_device(w, 1, "dev-1", &t), ERR_OK);
    assert_int_equal(put_samples(w, 0, 10000), ERR_OK);
    process_sleep_ms(300);
    assert_int_equal(t.done, 0);
    assert_true(pg_fixture_start(&server));
    wait_done(&t, 1);
    until(COUNT, 10000);
    pg_fixture_kill(&server);
    assert_int_equal(put_device(w, 2, "dev-2", &t), ERR_OK);
    writer_stop(w); /* nowhere to put it: said, not silent */
    assert_int_equal(t.done, 2);
    assert_int_equal(t.failed, 1);
    assert_int_equal(t.last, ERR_CLOSED);
}

static void full_landing_tables_are_closed_in_turn(void **state)
{
    (void)state;
    slot_rows = 1000;
    struct writer *w = start();
    for (int i = 0; i < 12; i++) {
        assert_int_equal(put_samples(w, 1000 * i, 1000), ERR_OK);
        until(COUNT, 1000 * (i + 1));
    }
    /* the ring is full: the last one goes on */
    assert_int_equal(ask("SELECT count(*) FROM landing_slot WHERE state = 'closed'"), 7);
    assert_int_equal(ask("SELECT count(*) FROM landing_slot WHERE state = 'open'"), 1);
    assert_int_equal(ask("SELECT count(*) FROM landing_7"), 5000);
    assert_int_equal(ask("SELECT turn FROM landing_slot WHERE state = 'open'"), 8);
    assert_int_equal(metric_get(metrics, M_LANDING_TURNS), 7);
    assert_true(metric_get(metrics, M_LANDING_HELD) > 0);
    assert_true(pg_fixture_sql(&server, "UPDATE landing_slot SET state = 'packed', packed_at = "
                                        "now() - interval '1 hour' WHERE slot IN (2, 3)"));
    assert_int_equal(ask(COUNT), 10000); /* what is packed is not read twice */
    assert_int_equal(ask("SELECT landing_clean()"), 2);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 2);
    writer_stop(w);
    assert_int_equal(remembered(), 4 * 1000 + 5000); /* not the one that was open at the start */
    w = start(); /* a later process finds out how full the open one is */
    assert_int_equal(put_samples(w, 12000, 500), ERR_OK);
    assert_int_equal(put_samples(w, 12500, 500), ERR_OK);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 3);
    writer_stop(w);
    assert_int_equal(ask(COUNT), 11000);
}

static void an_old_landing_table_is_closed_if_it_has_rows(void **state)
{
    (void)state;
    slot_s = 1;
    struct writer *w = start();
    process_sleep_ms(1200);
    assert_int_equal(ask("SELECT slot FROM landing_slot WHERE state = 'open'"), 0);
    assert_int_equal(put_samples(w, 0, 10), ERR_OK);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 1);
    process_sleep_ms(1200);
    assert_int_equal(ask("SELECT slot FROM landing_slot WHERE state = 'open'"), 1);
    assert_int_equal(put_samples(w, 10, 10), ERR_OK);
    until("SELECT slot FROM landing_slot WHERE state = 'open'", 2);
    writer_stop(w);
    assert_int_equal(ask(COUNT), 20);
}

static void samples_go_to_the_table_that_is_open_whoever_opened_it(void **state)
{
    (void)state;
    struct writer *w = start();
    assert_int_equal(put_samples(w, 0, 10), ERR_OK);
    until(COUNT, 10);
    struct pg *other = NULL;
    assert_int_equal(pg_connect(server.app, "test", &other), ERR_OK);
    assert_int_equal(pg_script(other, "BEGIN; SELECT landing_rotate()"), ERR_OK);
    assert_int_equal(put_samples(w, 10, 10), ERR_OK); /* waits for the turn */
    process_sleep_ms(400);
    assert_int_equal(ask(COUNT), 10);
    assert_int_equal(pg_script(other, "COMMIT"), ERR_OK);
    until("SELECT count(*) FROM landing_1", 10);
    assert_int_equal(pg_script(other, "SELECT landing_rotate()"), ERR_OK);
    assert_int_equal(put_samples(w, 20, 10), ERR_OK);
    until("SELECT count(*) FROM landing_2", 10);
    pg_close(other);
    writer_stop(w);
    assert_int_equal(ask("SELECT count(*) FROM landing_0"), 10);
    assert_int_equal(metric_get(metrics, M_SAMPLES_REFUSED), 0);
}

static void two_processes_cannot_share_a_spool(void **state)
{
    (void)state;
    struct writer *w = start(), *other = NULL;
    struct config c = {.db_conninfo = server.app, .data_dir = data_dir, .spool_max_mb = 1};
    assert_int_equal(writer_start(&c, metrics, NULL, &other), ERR_CONFLICT);
    c.data_dir = (char *)"/no/such/folder";
    assert_int_equal(writer_start(&c, metrics, NULL, &other), ERR_IO);
    writer_stop(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, tidy)
    const struct CMUnitTest tests[] = {
        T(statements_and_samples_arrive),
        T(text_samples_keep_their_kind),
        T(a_batch_tells_when_its_samples_are_durable),
        T(stopping_loses_nothing),
        T(a_kill_in_the_middle_loses_and_doubles_nothing),
        T(a_server_that_hangs_does_not_hold_up_the_spool),
        T(a_stop_without_postgresql_leaves_all_to_the_next_start),
        T(a_spool_replayed_twice_doubles_nothing),
        T(a_spool_that_lay_for_days_doubles_nothing),
        T(a_refused_statement_is_set_aside_and_its_group_lives),
        T(refused_rows_are_set_aside_and_their_chunk_lives),
        T(a_table_that_took_only_some_of_a_chunk_is_not_remembered),
        T(a_refused_row_in_the_spool_is_set_aside_too),
        T(a_torn_tail_is_cut_off_and_the_rest_is_kept),
        T(a_full_spool_refuses_samples_first_and_says_so),
        T(latest_values_give_way_to_statements_in_a_full_spool),
        T(pressure_begins_at_the_high_water_and_ends_at_the_low_one),
        T(slow_postgresql_sends_samples_to_the_spool),
        T(a_damaged_record_is_set_aside_and_the_rest_goes_on),
        T(completions_come_only_after_the_commit),
        T(without_a_spool_work_waits_in_memory),
        T(full_landing_tables_are_closed_in_turn),
        T(an_old_landing_table_is_closed_if_it_has_rows),
        T(samples_go_to_the_table_that_is_open_whoever_opened_it),
        T(two_processes_cannot_share_a_spool),
    };
    return cmocka_run_group_tests(tests, start_database, remove_database);
}
