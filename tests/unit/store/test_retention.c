/* test_retention.c - classes, rules, drops and disk use in a real PostgreSQL, with the clock passed
 * in. History is made by SQL: rows of chunk and of its roll-ups, as packing leaves them. */
#include "fixture/db.h"
#include "fixture/text.h"
#include "store/retention.h"
#include "store/storage.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_MS 86400000LL
#define NOW_MS 1788220800000LL /* 2026-09-01, a Tuesday */

/* Devices one and two since 2026-07-01 with the series 1, 2 and 3; no history, the classes of the
 * migration. */
static int fresh(void **state)
{
    (void)state;
    open_text();
    return pg_fixture_sql(
               &server,
               "DO $$ DECLARE p text; BEGIN "
               "FOR p IN SELECT part FROM history_part LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; "
               "END $$;"
               "TRUNCATE device, device_group, audit_log, retention_rule, series_purge, piece, "
               "piece_hour, "
               "storage_use, storage_part, storage_device, storage_day, text_sample, command, "
               "landing_0 CASCADE;"
               "DELETE FROM retention_class WHERE id > 2;"
               "UPDATE retention_class SET raw_days = 90, minute_days = 400, hour_days = 1830 "
               "WHERE id = 0;"
               "UPDATE storage_state SET assign_after = NULL, noted_at = NULL, series = '{}';"
               "INSERT INTO device (id, endpoint, created_at) VALUES (1, 'one', '2026-07-01Z'), "
               "(2, 'two', '2026-07-01Z');"
               "INSERT INTO series (id, device_id, source, key) VALUES (1, 1, 'sparkplug', "
               "'spb:/a'), "
               "(2, 1, 'lwm2m', 'lwm2m:/3303/0/5700'), (3, 2, 'sparkplug', 'spb:/a')")
               ? 0
               : -1;
}

static void run(const char *sql)
{
    assert_true(pg_fixture_sql(&server, sql));
}

static int64_t count(const char *sql)
{
    return ask_on(db, sql);
}

static void assert_has(const char *part)
{
    if (!strstr(buf_text(&text), part))
        fail_msg("%s is not in %s", part, buf_text(&text));
}

/* One chunk of 60 samples per hour and series, `days` back from NOW_MS; with their roll-ups. */
static void history(const char *series, int class, int days)
{
    char sql[2000];
    snprintf(
        sql, sizeof sql,
        "DO $$ DECLARE t timestamptz; BEGIN "
        "FOR i IN 0 .. %d LOOP PERFORM ensure_history(%d::smallint, at_ms(%lld) - i * interval "
        "'1 day'); END LOOP; END $$;"
        "INSERT INTO chunk (start, stop, step_us, v0, series_id, n, class_id, scale, v2) SELECT "
        "at_ms(%lld) - i * interval '1 hour', at_ms(%lld) - i * interval '1 hour' + interval "
        "'59 min', 60000000, 5, s, 60, %d, 1, array_fill(1::smallint, ARRAY[60]) "
        "FROM generate_series(1, 24 * %d) i, unnest(ARRAY[%s]) s;"
        "INSERT INTO rollup_hour (start, series_id, class_id, at, n, lo, hi, mean, first, last) "
        "SELECT at_ms(%lld) - i * interval '1 day', s, %d, "
        "array_fill(0::smallint, ARRAY[24]), array_fill(60, ARRAY[24]), "
        "array_fill(1::float8, ARRAY[24]), array_fill(1::float8, ARRAY[24]), "
        "array_fill(1::float8, ARRAY[24]), array_fill(1::float8, ARRAY[24]), "
        "array_fill(1::float8, ARRAY[24]) FROM generate_series(1, %d) i, unnest(ARRAY[%s]) s",
        days, class, NOW_MS, NOW_MS, NOW_MS, class, days, series, NOW_MS, class, days, series);
    run(sql);
}

static struct retention_done step_at(int64_t now_ms, struct retention_keep keep)
{
    struct retention_done done = {0};
    do {
        assert_int_equal(retention_step(db, now_ms, &keep, &done), ERR_OK);
    } while (done.more);
    return done;
}

static struct retention_done purge_at(int64_t now_ms)
{
    struct retention_done done = {0};
    do {
        assert_int_equal(retention_purge(db, now_ms, &done), ERR_OK);
    } while (done.more);
    return done;
}

static const struct retention_keep for_ever = {0};

static enum err put_class(const char *name, uint32_t raw, struct retention_change *change)
{
    struct retention_days days = {raw, raw * 2, raw * 3};
    return retention_class_put(db, &arena, str_of(name), days, change);
}

/* ---- classes ---- */

static void a_class_is_made_and_changed_and_both_say_what_was(void **state)
{
    (void)state;
    struct retention_change c;
    assert_int_equal(put_class("week", 7, &c), ERR_OK);
    assert_null(c.old_json.p);
    assert_non_null(strstr(c.new_json.p, "\"raw_days\" : 7"));
    assert_int_equal(put_class("week", 8, &c), ERR_OK);
    assert_non_null(strstr(c.old_json.p, "\"raw_days\" : 7"));
    assert_non_null(strstr(c.new_json.p, "\"raw_days\" : 8"));
    assert_int_equal(retention_class(db, str_of("week"), out()), ERR_OK);
    assert_has("\"minute_days\" : 16");
    assert_int_equal(retention_class(db, str_of("nope"), out()), ERR_NOTFOUND);
    assert_int_equal(retention_classes(db, out()), ERR_OK);
    assert_has("standard");
    assert_has("week");
}

static void there_are_a_hundred_classes_at_most(void **state)
{
    (void)state;
    struct retention_change c;
    run("INSERT INTO retention_class SELECT i, 'c' || i, 1, 1, 1 FROM generate_series(3, 99) i");
    assert_int_equal(put_class("more", 7, &c), ERR_FULL);
    assert_int_equal(put_class("c50", 7, &c), ERR_OK); /* changing goes on */
}

static void names_of_classes_are_short_words(void **state)
{
    (void)state;
    assert_true(retention_name_ok(str_of("a-1")));
    const char *bad[] = {"", "1a", "A", "a_b", "a b", "abcdefghijklmnopqrstuvwxyz1234567"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(retention_name_ok(str_of(bad[i])));
}

static void a_class_in_use_is_not_removed(void **state)
{
    (void)state;
    struct retention_change c;
    const char *why = NULL;
    int64_t rule = 0;
    struct retention_rule r = {.series = STR("x"), .class_name = STR("week")};
    assert_int_equal(put_class("week", 7, &c), ERR_OK);
    assert_int_equal(retention_rule_put(db, &arena, &rule, &r, &c), ERR_OK);
    assert_int_equal(retention_class_delete(db, &arena, str_of("week"), &why, &c), ERR_CONFLICT);
    assert_string_equal(why, "rules");
    assert_int_equal(retention_rule_delete(db, &arena, rule, &c), ERR_OK);
    run("UPDATE series SET class_id = 3 WHERE id = 1");
    assert_int_equal(retention_class_delete(db, &arena, str_of("week"), &why, &c), ERR_CONFLICT);
    assert_string_equal(why, "series");
    run("UPDATE series SET class_id = 0");
    history("1", 3, 2);
    assert_int_equal(retention_class_delete(db, &arena, str_of("week"), &why, &c), ERR_CONFLICT);
    assert_string_equal(why, "history");
    run("DELETE FROM chunk; DELETE FROM rollup_hour");
    assert_int_equal(retention_class_delete(db, &arena, str_of("week"), &why, &c), ERR_OK);
    assert_non_null(c.old_json.p);
    assert_int_equal(count("SELECT count(*) FROM pg_class WHERE relname LIKE 'chunk\\_3%'"), 0);
    assert_int_equal(retention_class_delete(db, &arena, str_of("week"), &why, &c), ERR_NOTFOUND);
    assert_int_equal(retention_class_delete(db, &arena, str_of("standard"), &why, &c),
                     ERR_CONFLICT);
    assert_string_equal(why, "standard");
}

/* ---- rules ---- */

static int64_t class_of(const char *endpoint, const char *key)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "SELECT s.class_id FROM series s JOIN device d ON d.id = s.device_id "
             "WHERE d.endpoint = '%s' AND s.key = '%s'",
             endpoint, key);
    return count(sql);
}

static void rules_give_a_new_series_its_class_and_the_first_one_counts(void **state)
{
    (void)state;
    struct retention_change c;
    int64_t id[4] = {0};
    const struct retention_rule rules[] = {
        {.series = STR("spb:*/t_?"), .class_name = STR("short")},
        {.endpoint = STR("tw*"), .series = STR("spb:*"), .class_name = STR("long")},
        {.tag = STR("site"), .value = STR("oslo"), .class_name = STR("long")},
        {.group = STR("north"), .class_name = STR("short")},
    };
    run("INSERT INTO device_tag VALUES (1, 'site', 'oslo');"
        "INSERT INTO device_group (name) VALUES ('north');"
        "INSERT INTO group_member SELECT id, 2 FROM device_group");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(retention_rule_put(db, &arena, &id[i], &rules[i], &c), ERR_OK);
    run("INSERT INTO series (id, device_id, source, key) VALUES (10, 1, 'sparkplug', 'spb:D/t_1'), "
        "(11, 1, 'sparkplug', 'spb:D/tx1'), (12, 2, 'sparkplug', 'spb:D/t'), "
        "(13, 2, 'lwm2m', 'lwm2m:/1/0/1')");
    assert_int_equal(class_of("one", "spb:D/t_1"), 1);    /* the first rule */
    assert_int_equal(class_of("one", "spb:D/tx1"), 2);    /* _ is no wildcard; the tag */
    assert_int_equal(class_of("two", "spb:D/t"), 2);      /* the endpoint's pattern */
    assert_int_equal(class_of("two", "lwm2m:/1/0/1"), 1); /* the group */
    assert_int_equal(class_of("two", "spb:/a"), 0);       /* was there before */
    struct retention_rule first = rules[3];
    first.position = 1;
    assert_int_equal(retention_rule_put(db, &arena, &id[3], &first, &c), ERR_OK);
    assert_non_null(strstr(c.old_json.p, "\"position\" : 40"));
    assert_non_null(strstr(c.new_json.p, "\"position\" : 1,"));
    assert_int_equal(retention_assign_again(db), ERR_OK);
    assert_int_equal(class_of("two", "spb:D/t"), 1);
    assert_int_equal(class_of("two", "spb:/a"), 1);
    assert_int_equal(class_of("one", "spb:/a"), 2);
    assert_int_equal(retention_rules(db, out()), ERR_OK);
    assert_has("\"class\" : \"long\"");
    /* Who gets a tag or leaves a group later is sorted anew. */
    run("INSERT INTO device_tag VALUES (2, 'site', 'oslo'); DELETE FROM group_member");
    bool more = true;
    while (more)
        assert_int_equal(retention_assign(db, &more), ERR_OK);
    assert_int_equal(class_of("two", "lwm2m:/1/0/1"), 2);
}

static void rules_are_applied_beside_a_device_that_is_being_deleted(void **state)
{
    (void)state;
    bool more = true;
    struct pg *other = NULL;
    run("INSERT INTO device_tag VALUES (1, 'site', 'oslo'), (2, 'site', 'oslo');"
        "INSERT INTO retention_rule (position, tag_key, class_id) VALUES (1, 'site', 2);"
        "UPDATE storage_state SET assign_after = 0");
    assert_int_equal(pg_connect(server.app, "test", &other), ERR_OK);
    assert_int_equal(pg_script(other, "BEGIN; DELETE FROM device WHERE id = 1"), ERR_OK);
    assert_int_equal(pg_script(db, "SET lock_timeout = '10s'"), ERR_OK); /* rather than for ever */
    assert_int_equal(retention_assign(db, &more), ERR_OK);
    assert_true(more);
    assert_int_equal(class_of("two", "spb:/a"), 2);
    assert_int_equal(pg_script(other, "ROLLBACK"), ERR_OK);
    while (more)
        assert_int_equal(retention_assign(db, &more), ERR_OK);
    assert_int_equal(class_of("one", "spb:/a"), 2);
    assert_int_equal(class_of("one", "lwm2m:/3303/0/5700"), 2);
    assert_int_equal(pg_script(db, "RESET lock_timeout"), ERR_OK);
    pg_close(other);
}

static void a_rule_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct retention_change c;
    int64_t id = 0;
    struct retention_rule r = {.series = STR("x"), .class_name = STR("nope")};
    assert_int_equal(retention_rule_put(db, &arena, &id, &r, &c), ERR_CONFLICT);
    r.class_name = str_of("long");
    id = 99999;
    assert_int_equal(retention_rule_put(db, &arena, &id, &r, &c), ERR_NOTFOUND);
    assert_int_equal(retention_rule_delete(db, &arena, 99999, &c), ERR_NOTFOUND);
    assert_int_equal(retention_rule_get(db, 99999, out()), ERR_NOTFOUND);
    run("INSERT INTO retention_rule (position, series, class_id) SELECT 1, 'x', 0 FROM "
        "generate_series(1, 100)");
    id = 0;
    assert_int_equal(retention_rule_put(db, &arena, &id, &r, &c), ERR_FULL);
}

static void a_class_given_to_a_series_outlives_rules(void **state)
{
    (void)state;
    struct retention_change c;
    int64_t id = 0;
    struct str one = STR("one"), a = STR("spb:/a");
    assert_int_equal(retention_series_put(db, &arena, one, a, str_of("long"), &c), ERR_OK);
    assert_non_null(strstr(c.old_json.p, "\"standard\""));
    assert_non_null(strstr(c.new_json.p, "\"long\""));
    struct retention_rule r = {.endpoint = STR("one"), .class_name = STR("short")};
    assert_int_equal(retention_rule_put(db, &arena, &id, &r, &c), ERR_OK);
    assert_int_equal(retention_assign_again(db), ERR_OK);
    assert_int_equal(class_of("one", "spb:/a"), 2);
    assert_int_equal(class_of("one", "lwm2m:/3303/0/5700"), 1);
    assert_int_equal(retention_series_put(db, &arena, one, a, (struct str){0}, &c), ERR_OK);
    assert_int_equal(class_of("one", "spb:/a"), 1); /* as the rules have it again */
    assert_int_equal(retention_series_put(db, &arena, one, a, str_of("nope"), &c), ERR_CONFLICT);
    assert_int_equal(retention_series_put(db, &arena, one, str_of("x"), a, &c), ERR_NOTFOUND);
}

/* ---- drops ---- */

static void only_what_is_wholly_older_than_its_class_keeps_is_dropped(void **state)
{
    (void)state;
    struct retention_change c;
    history("1", 0, 60);
    history("2", 1, 60); /* short: 7 days */
    struct retention_done done = step_at(NOW_MS, for_ever);
    assert_true(done.partitions > 5 && done.bytes > 0);
    assert_int_equal(count("SELECT count(*) FROM chunk WHERE class_id = 0"), 24 * 60);
    assert_int_equal(count("SELECT count(*) FROM chunk WHERE class_id = 1 AND start > "
                           "timestamptz '2026-09-01Z' - interval '7 days'"),
                     24 * 7 - 1);
    /* Weeks begin on Mondays. That of 08-17 ends on 08-24, its last chunk may reach to 08-25: this
     * very moment seven days ago. */
    assert_int_equal(count("SELECT count(*) FROM history_part WHERE kind = 'chunk' AND "
                           "class_id = 1"),
                     2);
    assert_int_equal(step_at(NOW_MS, for_ever).partitions, 0);
    assert_int_equal(put_class("standard", 14, &c), ERR_OK);
    assert_true(step_at(NOW_MS, for_ever).partitions > 0);
    assert_int_equal(count("SELECT count(*) FROM audit_log WHERE who = 'braid' AND "
                           "action = 'history_drop' AND target LIKE 'chunk\\_%' AND "
                           "detail ->> 'bytes' > '0'"),
                     count("SELECT count(*) FROM audit_log WHERE target LIKE 'chunk\\_%'"));
    assert_int_equal(count("SELECT count(*) FROM rollup_hour WHERE class_id = 0"), 60);
}

static void with_the_clock_ten_years_on_nothing_is_left(void **state)
{
    (void)state;
    history("1, 3", 2, 20);
    run("SELECT ensure_partitions()");
    struct retention_keep keep = {.text = 1};
    assert_true(step_at(NOW_MS + 3650LL * 2 * DAY_MS, keep).partitions > 3);
    assert_int_equal(count("SELECT count(*) FROM history_part"), 0);
    assert_int_equal(count("SELECT count(*) FROM pg_class WHERE relname ~ "
                           "'^text_sample_[0-9]{8}$'"),
                     0);
}

static void a_partition_in_use_waits_for_the_next_time(void **state)
{
    (void)state;
    struct pg *reader;
    history("1", 1, 40);
    assert_int_equal(pg_connect(server.app, "reader", &reader), ERR_OK);
    assert_int_equal(pg_script(reader, "BEGIN"), ERR_OK);
    assert_int_equal(pg_exec(reader, "SELECT count(*) FROM chunk", NULL, 0, NULL), ERR_OK);
    struct retention_done done = {0};
    assert_int_equal(retention_step(db, NOW_MS, &for_ever, &done), ERR_OK);
    assert_int_equal(done.partitions, 0);
    assert_int_equal(pg_script(reader, "COMMIT"), ERR_OK);
    assert_true(step_at(NOW_MS, for_ever).partitions > 0);
    pg_close(reader);
}

static void old_rows_go_in_bounded_batches_and_open_commands_stay(void **state)
{
    (void)state;
    run("INSERT INTO timeline_event (device_id, at, kind, strand, text) SELECT 1, "
        "timestamptz '2026-09-01Z' - i * interval '1 hour', 'x', 'braid', i::text "
        "FROM generate_series(1, 12000) i;"
        "INSERT INTO command (device_id, op, request, by_name, created_at, finished_at, state) "
        "VALUES (1, 'read', '{}', 'a', '2026-01-01Z', '2026-01-01Z', 'failed'), "
        "(1, 'read', '{}', 'a', '2026-01-01Z', NULL, 'queued'), "
        "(1, 'read', '{}', 'a', '2026-08-31Z', '2026-08-31Z', 'failed');"
        "INSERT INTO audit_log (at, who, action) VALUES ('2020-01-01Z', 'a', 'old'), "
        "('2026-08-31Z', 'a', 'new');"
        "INSERT INTO text_sample (series_id, ts, kind, value, quality, arrived) VALUES "
        "(1, '2020-01-01Z', 't', 'x', 0, '2020-01-01Z'), (1, '2020-01-01Z', 't', 'y', 0, "
        "'2026-08-31Z')");
    struct retention_keep keep = {.text = 10, .timeline = 10, .command = 10, .audit = 10};
    struct retention_done once = {0};
    assert_int_equal(retention_step(db, NOW_MS, &keep, &once), ERR_OK);
    assert_int_equal(once.events, 5000);
    assert_true(once.more);
    struct retention_done done = step_at(NOW_MS, keep);
    assert_int_equal(once.events + done.events, 12000 - 240);
    assert_int_equal(count("SELECT count(*) FROM command"), 2);
    assert_int_equal(count("SELECT count(*) FROM audit_log WHERE action IN ('old', 'new')"), 1);
    assert_int_equal(count("SELECT count(*) FROM text_sample"), 1);
    assert_int_equal(step_at(NOW_MS, for_ever).events, 0); /* 0 days: for ever */
}

static void pieces_dated_ahead_go_when_their_class_has_kept_them_since_they_came(void **state)
{
    (void)state;
    run("INSERT INTO piece (start, stop, series_id, n, class_id) SELECT at_ms(1788220800000) + d * "
        "interval '1 day', at_ms(1788220800000) + d * interval '1 day', 1, 1, c FROM (VALUES "
        "(400, 0), (400, 2), (30000, 0), (-1, 0), (-95, 0)) x (d, c);"
        "UPDATE piece_hour SET arrived = at_ms(1788220800000)");
    assert_int_equal(step_at(NOW_MS, for_ever).pieces, 1); /* nobody merged it in its time */
    assert_int_equal(step_at(NOW_MS + 90 * DAY_MS, for_ever).pieces, 1);
    assert_int_equal(step_at(NOW_MS + 91 * DAY_MS, for_ever).pieces, 2);
    assert_int_equal(count("SELECT class_id FROM piece"), 2);
    assert_int_equal(count("SELECT count(*) FROM piece_hour"), 1);
    assert_int_equal(step_at(NOW_MS + 731 * DAY_MS, for_ever).pieces, 1);
    assert_int_equal(count("SELECT count(*) FROM piece_hour"), 0);
}

static void a_deleted_device_leaves_nothing_behind(void **state)
{
    (void)state;
    history("1, 2, 3", 0, 5);
    run("INSERT INTO piece (start, stop, series_id, n, class_id) VALUES (now(), now(), 1, 1, 0), "
        "(now(), now(), 3, 1, 0);"
        "INSERT INTO text_sample (series_id, ts, kind, value, quality) VALUES (1, now(), 't', 'x', "
        "0); DELETE FROM device WHERE id = 1");
    int64_t later = (int64_t)count("SELECT to_ms(now())") + 1000;
    /* What has landed of them becomes pieces first. */
    run("UPDATE landing_slot SET state = 'closed', opened_at = now() - interval '1 min' "
        "WHERE slot = 5; INSERT INTO landing_5 VALUES (now(), 1, 1, 0)");
    assert_int_equal(purge_at(later).purged_series, 0);
    run("TRUNCATE landing_5; UPDATE landing_slot SET state = 'free' WHERE slot = 5");
    struct retention_done done = purge_at(later);
    assert_int_equal(done.purged_series, 2);
    assert_int_equal(done.purged_rows, 2 * (24 * 5 + 5) + 1 + 1);
    assert_int_equal(count("SELECT count(*) FROM chunk WHERE series_id < 3"), 0);
    assert_int_equal(count("SELECT count(*) FROM chunk WHERE series_id = 3"), 24 * 5);
    assert_int_equal(count("SELECT count(*) FROM piece"), 1);
    /* What was on its way meanwhile goes with the second round, an hour later. */
    run("INSERT INTO piece (start, stop, series_id, n, class_id) VALUES (now(), now(), 2, 1, 0)");
    assert_int_equal(purge_at(later + 60000).purged_series, 0);
    run("UPDATE landing_slot SET state = 'closed', opened_at = now() - interval '1 min' "
        "WHERE slot = 5; INSERT INTO landing_5 VALUES (now(), 1, 2, 0)");
    assert_int_equal(purge_at(later + 3700000).purged_series, 0);
    run("TRUNCATE landing_5; UPDATE landing_slot SET state = 'free' WHERE slot = 5");
    assert_int_equal(purge_at(later + 3700000).purged_rows, 1);
    assert_int_equal(count("SELECT count(*) FROM series_purge"), 0);
}

/* ---- disk use ---- */

static void note(int64_t now_ms)
{
    bool more = true;
    while (more)
        assert_int_equal(storage_count(db, now_ms, &more), ERR_OK);
    assert_int_equal(storage_note(db, now_ms), ERR_OK);
}

static void devices_are_listed_by_what_they_take(void **state)
{
    (void)state;
    history("1, 2", 0, 20);
    history("3", 2, 10);
    note(NOW_MS);
    assert_int_equal(count("SELECT samples FROM storage_device WHERE device_id = 1"),
                     2 * 20 * 24 * 60);
    assert_int_equal(count("SELECT samples FROM storage_device WHERE device_id = 2"), 10 * 24 * 60);
    note(NOW_MS + 1000); /* counted once, however often */
    assert_int_equal(count("SELECT samples FROM storage_device WHERE device_id = 1"),
                     2 * 20 * 24 * 60);
    /* All of the classes' tables is somebody's. */
    assert_in_range(
        count("SELECT (SELECT sum(bytes) FROM storage_device) - (SELECT sum(bytes) FROM "
              "storage_class(now())) + 10"),
        0, 20);
    struct q_page page = {.limit = 1};
    assert_int_equal(storage_devices(db, page, out()), ERR_OK);
    assert_has("\"endpoint\":\"one\"");
    assert_has("\"estimate\":true");
    char cursor[200];
    const char *next = strstr(buf_text(&text), "\"next\":\"");
    assert_non_null(next);
    snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(next + 8, "\""), next + 8);
    page.cursor = str_of(cursor);
    assert_int_equal(storage_devices(db, page, out()), ERR_OK);
    assert_has("\"endpoint\":\"two\"");
    assert_has("\"next\":null");
    page.cursor = str_of("!");
    assert_int_equal(storage_devices(db, page, out()), ERR_INVALID);
}

static void a_device_tells_its_series(void **state)
{
    (void)state;
    history("1", 0, 20);
    history("3", 0, 20);
    note(NOW_MS);
    struct q_page page = {.limit = 100};
    assert_int_equal(storage_device(db, NOW_MS, str_of("one"), page, out()), ERR_OK);
    assert_has("\"series\":\"spb:/a\",\"class\":\"standard\",\"fixed\":false,\"samples\":28800");
    assert_has("\"series\":\"lwm2m:/3303/0/5700\",\"class\":\"standard\",\"fixed\":false,"
               "\"samples\":0");
    run("DELETE FROM rollup_hour WHERE start > at_ms(1788220800000) - interval '9 days'");
    assert_int_equal(storage_device(db, NOW_MS, str_of("one"), page, out()), ERR_OK);
    assert_has("\"samples\":28800"); /* days without hours are counted in chunk */
    assert_int_equal(storage_device(db, NOW_MS, str_of("nope"), page, out()), ERR_NOTFOUND);
}

static void large_partitions_are_read_once_and_dropped_ones_forgotten(void **state)
{
    (void)state;
    struct retention_change c;
    history("1", 0, 30);
    /* `small` is 0 pages: everything counts as large, and a page counts when it was seen before. */
    assert_int_equal(count("SELECT storage_count(at_ms(1788220800000), 1000, 0)::integer"), 0);
    assert_int_equal(count("SELECT count(*) FROM storage_use"), 0);
    for (int i = 1; i < 3; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT storage_count(at_ms(178822080%d000), 3, 0)::integer", i);
        while (count(sql))
            assert_true(count("SELECT sum(samples) FROM storage_use") <= 30 * 24 * 60);
        assert_int_equal(count("SELECT sum(samples) FROM storage_use"), 30 * 24 * 60);
    }
    assert_int_equal(put_class("standard", 1, &c), ERR_OK);
    step_at(NOW_MS, for_ever);
    assert_int_equal(storage_note(db, NOW_MS), ERR_OK);
    assert_int_equal(count("SELECT sum(samples) FROM storage_use"),
                     count("SELECT sum(n) FROM chunk"));
}

static void counting_goes_in_small_parts(void **state)
{
    (void)state;
    history("1, 2, 3", 0, 60);
    int64_t rounds = 1;
    while (count("SELECT storage_count(at_ms(1788220800000), 3)::integer"))
        rounds++;
    assert_true(rounds > 3);
    assert_int_equal(count("SELECT sum(samples) FROM storage_use"), 3 * 60 * 24 * 60);
}

static struct storage_figures figures_at(int64_t now_ms, int64_t limit, int64_t free)
{
    struct storage_figures f;
    assert_int_equal(storage_measure(db, now_ms, (struct storage_limits){limit, free}, &f), ERR_OK);
    return f;
}

static void the_forecast_is_unknown_for_an_hour_and_then_meets_the_limit(void **state)
{
    (void)state;
    history("1", 2, 0); /* tables that are empty yet add nothing */
    assert_int_equal(count("SELECT sum(rate)::bigint FROM storage_class(at_ms(1788220800000))"), 0);
    assert_true(count("SELECT sum(bytes) FROM storage_class(at_ms(1788220800000))") > 0);
    history("1, 2, 3", 0, 62);
    note(NOW_MS - 10 * 60000);
    struct storage_figures f = figures_at(NOW_MS - 10 * 60000, 1LL << 40, -1);
    assert_false(f.known);
    assert_string_equal(storage_level(&f), "unknown");
    note(NOW_MS + 2 * 3600000);
    f = figures_at(NOW_MS + 2 * 3600000, 1LL << 40, -1);
    assert_true(f.known);
    assert_int_equal(f.full_days, -1); /* it settles long before */
    assert_string_equal(storage_level(&f), "fits");
    assert_true(f.steady > (double)f.total);
    f = figures_at(NOW_MS + 2 * 3600000, f.total + (int64_t)(f.rate * 3.5), -1);
    assert_in_range(f.full_days, 3, 5);
    assert_string_equal(storage_level(&f), "short");
    f = figures_at(NOW_MS, f.total, -1);
    assert_string_equal(storage_level(&f), "full");
    f = figures_at(NOW_MS, 0, 1000);
    assert_int_equal(f.limit, f.total + 1000);
    f = figures_at(NOW_MS, 0, -1);
    assert_int_equal(f.limit, 0);
}

static void texts_and_timeline_count_as_measured(void **state)
{
    (void)state;
    run("INSERT INTO storage_day VALUES ('2026-08-30', '2026-08-30Z', 1000000, 1000000, "
        "'2026-08-30 12:00Z', 1500000, 1500000), ('2026-08-31', '2026-08-31Z', 1600000, 1600000, "
        "'2026-09-01Z', 2000000, 2000000)");
    struct storage_figures f = figures_at(NOW_MS, 0, 5000000);
    assert_int_equal((int)f.grew, 500000); /* per day, over two */
    assert_int_equal((int)f.rate, 500000);
    assert_in_range(f.full_days, 9, 11);
}

static void the_report_has_it_all(void **state)
{
    (void)state;
    history("1, 2, 3", 0, 30);
    note(NOW_MS - 7200000);
    note(NOW_MS);
    assert_int_equal(storage_report(db, NOW_MS, (struct storage_limits){0, -1}, out()), ERR_OK);
    assert_has("\"kind\":\"rollup_minute\"");
    assert_has("{\"name\":\"standard\",\"raw_days\":90");
    assert_has("\"series\":3,\"samples\":129600");
    assert_has("\"limit_bytes\":null");
    assert_has("\"level\":\"unknown\"");
    assert_has("how much it may take is not known");
    struct json_out *j = out();
    assert_int_equal(pg_fixture_sql(&server, "SELECT 1"), true);
    assert_int_equal(storage_report(db, NOW_MS, (struct storage_limits){1000, 5}, j), ERR_OK);
    assert_has("The limit of 1.0 kB is reached.");
    assert_int_equal(storage_volume(""), -1);
    assert_int_equal(storage_volume("/no/such/folder"), -1);
    assert_true(storage_volume("/") > 0);
}

static void the_sentence_is_in_words(void **state)
{
    (void)state;
    static const struct {
        struct storage_figures f;
        const char *level, *words;
    } cases[] = {
        {{.limit = 10, .total = 10}, "full", "The limit of 10 B is reached."},
        {{.limit = 10}, "unknown", "A forecast needs an hour of measurements."},
        {{.known = true, .limit = 100000000000, .full_days = -1, .steady = 41.4e9},
         "fits",
         "It fits: the database will settle at about 41 GB of 100 GB."},
        {{.known = true, .limit = 2000000, .full_days = 1},
         "short",
         "The limit of 2.0 MB will be reached within two days."},
        {{.known = true, .limit = 2000000, .full_days = 6},
         "short",
         "The limit of 2.0 MB will be reached in about 6 days."},
        {{.known = true, .limit = 2000000, .full_days = 7},
         "soon",
         "The limit of 2.0 MB will be reached in about 7 days."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&text);
        storage_sentence(&cases[i].f, &text);
        assert_string_equal(buf_text(&text), cases[i].words);
        assert_string_equal(storage_level(&cases[i].f), cases[i].level);
    }
    buf_reset(&text);
    storage_evidence(
        &(struct storage_figures){
            .known = true, .total = 1200000, .grew = 5e5, .rate = 2e5, .grew_days = 3.9},
        &text);
    assert_string_equal(buf_text(&text),
                        "1.2 MB now; in the last 3 days it grew by 500 kB per day; 200 kB per day "
                        "are still added and not yet dropped again.");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, close_text)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_class_is_made_and_changed_and_both_say_what_was),
        T(there_are_a_hundred_classes_at_most),
        T(names_of_classes_are_short_words),
        T(a_class_in_use_is_not_removed),
        T(rules_give_a_new_series_its_class_and_the_first_one_counts),
        T(rules_are_applied_beside_a_device_that_is_being_deleted),
        T(a_rule_that_cannot_be_is_refused),
        T(a_class_given_to_a_series_outlives_rules),
        T(only_what_is_wholly_older_than_its_class_keeps_is_dropped),
        T(with_the_clock_ten_years_on_nothing_is_left),
        T(a_partition_in_use_waits_for_the_next_time),
        T(old_rows_go_in_bounded_batches_and_open_commands_stay),
        T(pieces_dated_ahead_go_when_their_class_has_kept_them_since_they_came),
        T(a_deleted_device_leaves_nothing_behind),
        T(devices_are_listed_by_what_they_take),
        T(a_device_tells_its_series),
        T(large_partitions_are_read_once_and_dropped_ones_forgotten),
        T(counting_goes_in_small_parts),
        T(the_forecast_is_unknown_for_an_hour_and_then_meets_the_limit),
        T(texts_and_timeline_count_as_measured),
        T(the_report_has_it_all),
        T(the_sentence_is_in_words),
    };
    return cmocka_run_group_tests(tests, start_database, remove_database);
}
