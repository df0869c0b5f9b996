/* test_queries.c - what request threads ask PostgreSQL, what the server loads at start, the pool.
 */
#include "fixture/ask.h"
#include "fixture/text.h"
#include "store/load.h"
#include "store/pool.h"
#include "store/queries.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json_in.h"

#define T0 INT64_C(1700000000000)

static int fresh(void **state)
{
    (void)state;
    open_text();
    return pg_fixture_sql(&server,
                          "TRUNCATE device, landing_0, text_sample, id_floor, app_user, api_token, "
                          "audit_log CASCADE;"
                          "INSERT INTO device (id, endpoint, status, created_at) VALUES "
                          "(1, 'one', 'online', '2026-01-01'), (2, 'two', 'lost', '2026-01-01')")
               ? 0
               : -1;
}

/* ---- reading what was written as JSON ---- */

static const struct json_node *parsed(void)
{
    struct json_node *n = NULL;
    arena_reset(&arena);
    if (json_parse(&arena, buf_view(&text), 1000000, &n))
        fail_msg("no JSON: %.*s", (int)text.n, text.p);
    return n;
}

static const struct json_node *at(const struct json_node *n, size_t i)
{
    n = n->child;
    while (n && i--)
        n = n->next;
    assert_non_null(n);
    return n;
}

static struct str str_at(const struct json_node *n, const char *key)
{
    struct str s = {NULL, 0};
    if (!json_is_str(json_get(n, key), &s))
        fail_msg("no text %s", key);
    return s;
}

static double number(const struct json_node *n)
{
    double d = 0;
    assert_true(json_is_double(n, &d));
    return d;
}

static void assert_text(struct str s, const char *want)
{
    if (!str_is(s, want))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), want);
}

/* ---- commands ---- */

static void insert_command(const char *request, const char *key, enum err want, bool again,
                           char id[37])
{
    int64_t created = 0;
    bool repeated = !again;
    const struct command_insert in = {.device_id = 1,
                                      .op = str_of("read"),
                                      .request = str_of(request),
                                      .by = str_of("ann"),
                                      .idempotency_key = str_of(key),
                                      .expires_ms = T0};
    assert_int_equal(q_command_insert(db, &in, id, &created, &repeated), want);
    if (want)
        return;
    assert_int_equal(repeated, again);
    assert_true(created > T0);
}

static void a_command_comes_back_as_it_was_posted(void **state)
{
    (void)state;
    char id[37];
    insert_command("{\"op\":\"read\",  \"path\":\"/3/0/0\", \"n\":18446744073709551615}", NULL,
                   ERR_OK, false, id);
    assert_int_equal(q_command(db, str_of(id), out()), ERR_OK);
    const struct json_node *c = parsed();
    assert_non_null(strstr(buf_text(&text), "\"path\":\"/3/0/0\", \"n\":18446744073709551615}"));
    assert_text(str_at(c, "id"), id);
    assert_text(str_at(c, "endpoint"), "one");
    assert_text(str_at(c, "state"), "queued");
    assert_text(str_at(c, "by"), "ann");
    assert_int_equal(json_get(c, "result")->kind, JSON_NULL);
    assert_int_equal(json_get(c, "sent_at")->kind, JSON_NULL);
    assert_int_equal(q_command(db, str_of("00000000-0000-0000-0000-000000000000"), out()),
                     ERR_NOTFOUND);
    assert_int_equal(q_command(db, str_of("nonsense"), out()), ERR_NOTFOUND);
}

static void an_idempotency_key_gives_the_same_command_once(void **state)
{
    (void)state;
    char first[37], second[37];
    insert_command("{\"a\":1}", "key", ERR_OK, false, first);
    insert_command("{\"a\":1}", "key", ERR_OK, true, second);
    assert_string_equal(first, second);
    insert_command("{\"a\":2}", "key", ERR_CONFLICT, false, second);
    insert_command("{\"a\":1}", NULL, ERR_OK, false, second);
    assert_string_not_equal(first, second);
}

static void a_command_that_is_no_json_or_for_nobody_is_refused(void **state)
{
    (void)state;
    char id[37];
    int64_t created;
    bool repeated;
    insert_command("{", NULL, ERR_INVALID, false, id);
    const struct command_insert in = {.device_id = 99,
                                      .op = str_of("read"),
                                      .request = str_of("{}"),
                                      .by = str_of("ann"),
                                      .expires_ms = T0};
    assert_int_equal(q_command_insert(db, &in, id, &created, &repeated), ERR_CONFLICT);
}

/* Walks all pages; returns how many items there were and checks that no id comes twice. */
static int walk(enum err (*list)(struct pg *, struct str, struct str, struct q_page,
                                 struct json_out *),
                struct str endpoint, struct str filter, uint32_t limit)
{
    char cursor[200] = "", seen[100][40];
    int n = 0;
    for (int pages = 0; pages < 100; pages++) {
        const struct q_page page = {limit, cursor[0] ? str_of(cursor) : str_make(NULL, 0)};
        assert_int_equal(list(db, endpoint, filter, page, out()), ERR_OK);
        const struct json_node *answer = parsed(), *items = json_get(answer, "items");
        assert_true(items->n <= limit);
        for (const struct json_node *i = items->child; i; i = i->next, n++) {
            assert_true(n < 100);
            snprintf(seen[n], sizeof seen[n], "%.*s", STR_ARG(json_get(i, "id")->text));
            for (int k = 0; k < n; k++)
                assert_string_not_equal(seen[k], seen[n]);
        }
        const struct json_node *next = json_get(answer, "next");
        if (next->kind == JSON_NULL)
            return n;
        snprintf(cursor, sizeof cursor, "%.*s", STR_ARG(next->text));
    }
    fail_msg("the list does not end");
    return 0;
}

static void command_lists_page_without_gaps(void **state)
{
    (void)state;
    const struct str all = {NULL, 0};
    sql("INSERT INTO command (device_id, op, request, state, by_name, created_at) SELECT i % 2 + "
        "1, "
        "'read', '{}', CASE WHEN i % 3 = 0 THEN 'failed' ELSE 'queued' END, 'ann', "
        "timestamptz '2026-01-01' + (i / 5) * interval '1 ms' FROM generate_series(1, 60) AS i");
    assert_int_equal(walk(q_commands, all, all, 7), 60);
    assert_int_equal(walk(q_commands, str_of("one"), all, 7), 30);
    assert_int_equal(walk(q_commands, all, str_of("failed"), 7), 20);
    assert_int_equal(walk(q_commands, all, str_of("failed,queued"), 1000), 60);
    assert_int_equal(walk(q_commands, str_of("nobody"), all, 7), 0);
    const struct q_page bad = {10, str_of("no cursor")};
    assert_int_equal(q_commands(db, all, all, bad, out()), ERR_INVALID);
}

static void timelines_page_without_gaps_newest_first(void **state)
{
    (void)state;
    const struct str all = {NULL, 0};
    sql("INSERT INTO timeline_event (device_id, at, kind, strand, text, detail) SELECT i % 2 + 1, "
        "timestamptz '2026-01-01' + (i / 4) * interval '1 s', 'status', 'braid', 'event ' || i, "
        "CASE WHEN i = 60 THEN '{\"a\":1}'::json END FROM generate_series(1, 60) AS i");
    assert_int_equal(walk(q_timeline, all, all, 11), 60);
    assert_int_equal(walk(q_timeline, str_of("two"), all, 11), 30);
    assert_int_equal(walk(q_timeline, str_of("two"), str_of("fault"), 11), 0);
    assert_int_equal(q_timeline(db, all, all, (struct q_page){2, all}, out()), ERR_OK);
    const struct json_node *first = at(json_get(parsed(), "items"), 0);
    assert_text(str_at(first, "text"), "event 60");
    assert_text(str_at(first, "endpoint"), "one");
    assert_text(str_at(first, "at"), "2026-01-01T00:00:15.000Z");
    assert_int_equal(json_get(first, "detail")->kind, JSON_OBJECT);
}

/* ---- history ---- */

static const struct json_node *history(const char *key, int64_t from, int64_t to, uint32_t points)
{
    const struct q_history q = {.endpoint = str_of("one"),
                                .series = str_of(key),
                                .from_ms = from,
                                .to_ms = to,
                                .points = points};
    assert_int_equal(q_history(db, &q, out()), ERR_OK);
    return parsed();
}

static void short_history_is_raw(void **state)
{
    (void)state;
    sql("INSERT INTO series (id, device_id, source, key, datatype, unit) VALUES "
        "(1, 1, 'lwm2m', 'lwm2m:/3303/0/5700', 'float', 'Cel');"
        "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT 1, at_ms(1700000000000 + i * "
        "1000), i / 4.0, 0 FROM generate_series(0, 9) AS i;"
        "INSERT INTO landing_0 (series_id, ts, value, quality) VALUES (2, at_ms(1700000000000), "
        "99, "
        "0), (1, at_ms(1700000010000), 'NaN', 3)");
    const struct json_node *h = history("lwm2m:/3303/0/5700", T0, T0 + 60000, 500);
    assert_int_equal(number(json_get(h, "bucket_ms")), 0);
    assert_text(str_at(h, "unit"), "Cel");
    assert_text(str_at(h, "from"), "2023-11-14T22:13:20.000Z");
    const struct json_node *points = json_get(h, "points");
    assert_int_equal(points->n, 11);
    assert_true(number(at(at(points, 3), 0)) == T0 + 3000);
    assert_true(number(at(at(points, 3), 1)) == 0.75);
    assert_int_equal(at(at(points, 10), 1)->kind, JSON_NULL);
    /* the end of the span is exclusive */
    h = history("lwm2m:/3303/0/5700", T0 + 1000, T0 + 4000, 500);
    assert_int_equal(json_get(h, "points")->n, 3);
}

static void long_history_keeps_every_peak(void **state)
{
    (void)state;
    sql("INSERT INTO series (id, device_id, source, key, datatype) VALUES "
        "(1, 1, 'sparkplug', 'spb:/T', 'Double');"
        "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT 1, at_ms(1700000000000 + i * "
        "1000), CASE i WHEN 4321 THEN 1000 WHEN 1234 THEN -1000 ELSE i % 10 END, 0 "
        "FROM generate_series(0, 9999) AS i;"
        "INSERT INTO landing_0 (series_id, ts, value, quality) VALUES "
        "(1, at_ms(1700000000500), 'NaN', 3), (1, at_ms(1700000000600), 'Infinity', 0)");
    const struct json_node *h = history("spb:/T", T0, T0 + 10000000, 100);
    assert_int_equal(number(json_get(h, "bucket_ms")), 120000);
    const struct json_node *points = json_get(h, "points");
    assert_int_equal(points->n, 84);
    double lowest = 0, highest = 0, total = 0;
    for (const struct json_node *p = points->child; p; p = p->next) {
        lowest = number(at(p, 1)) < lowest ? number(at(p, 1)) : lowest;
        highest = number(at(p, 2)) > highest ? number(at(p, 2)) : highest;
        total += number(at(p, 4));
    }
    assert_true(lowest == -1000 && highest == 1000 && total == 10002);
    const struct json_node *p = at(points, 1); /* 120 samples, 0..9 twelve times */
    assert_true(number(at(p, 0)) == T0 - 80000 + 120000);
    assert_true(number(at(p, 1)) == 0 && number(at(p, 2)) == 9);
    assert_true(number(at(p, 3)) == 4.5 && number(at(p, 4)) == 120 && number(at(p, 5)) == 9);
}

static void history_of_texts_and_of_nothing(void **state)
{
    (void)state;
    sql("INSERT INTO series (id, device_id, source, key, datatype) VALUES "
        "(1, 1, 'lwm2m', 'lwm2m:/3/0/11', 'string'), (2, 1, 'lwm2m', 'lwm2m:/empty', 'float');"
        "INSERT INTO text_sample (series_id, ts, kind, value, quality) VALUES "
        "(1, at_ms(1700000000000), 't', 'say \"hi\"', 0), (1, at_ms(1700000001000), 'n', NULL, 3)");
    const struct json_node *points =
        json_get(history("lwm2m:/3/0/11", T0, T0 + 60000, 10), "points");
    assert_int_equal(points->n, 2);
    assert_text(at(at(points, 0), 1)->text, "say \"hi\"");
    assert_int_equal(at(at(points, 1), 1)->kind, JSON_NULL);
    assert_int_equal(json_get(history("lwm2m:/empty", T0, T0 + 1, 10), "points")->n, 0);
    const struct q_history unknown = {.endpoint = str_of("one"),
                                      .series = str_of("x"),
                                      .from_ms = T0,
                                      .to_ms = T0 + 1,
                                      .points = 10};
    assert_int_equal(q_history(db, &unknown, out()), ERR_NOTFOUND);
    const struct q_history backwards = {.endpoint = str_of("one"),
                                        .series = str_of("lwm2m:/empty"),
                                        .from_ms = T0,
                                        .to_ms = T0,
                                        .points = 10};
    assert_int_equal(q_history(db, &backwards, out()), ERR_INVALID);
}

static void a_day_at_one_hertz_is_counted_once_among_many_series(void **state)
{
    (void)state;
    sql("INSERT INTO series (id, device_id, source, key, datatype) VALUES "
        "(7, 1, 'sparkplug', 'spb:/fast', 'Double');"
        "INSERT INTO landing_0 (series_id, ts, value, quality) SELECT s, at_ms(1700000000000 + i * "
        "1000), i, 0 FROM generate_series(0, 86399) AS i, generate_series(5, 8) AS s;"
        "ANALYZE landing_0");
    const struct json_node *points =
        json_get(history("spb:/fast", T0, T0 + 86400000, 500), "points");
    double total = 0;
    for (const struct json_node *p = points->child; p; p = p->next)
        total += number(at(p, 4));
    assert_in_range(points->n, 480, 481);
    assert_true(total == 86400);
}

static void series_say_whether_they_can_be_charted(void **state)
{
    (void)state;
    sql("INSERT INTO series (id, device_id, source, key, datatype, unit) VALUES "
        "(1, 1, 'lwm2m', 'lwm2m:/3/0/0', 'string', NULL), "
        "(2, 1, 'sparkplug', 'spb:/a', 'Double', 'V');"
        "INSERT INTO series_latest VALUES (2, at_ms(1700000000000), '1', 'good', 'DDATA')");
    assert_int_equal(q_series(db, str_of("one"), out()), ERR_OK);
    const struct json_node *items = json_get(parsed(), "items");
    bool numeric;
    assert_int_equal(items->n, 2);
    assert_true(json_is_bool(json_get(at(items, 0), "numeric"), &numeric) && !numeric);
    assert_true(json_is_bool(json_get(at(items, 1), "numeric"), &numeric) && numeric);
    assert_text(str_at(at(items, 1), "last_at"), "2023-11-14T22:13:20.000Z");
}

/* ---- access ---- */

static void users_have_unique_names_and_one_admin_stays(void **state)
{
    (void)state;
    char hash[100], role[16];
    struct q_identity who;
    const struct str ann = str_of("ann"), bob = str_of("bob"), h = str_of("hash-1");
    assert_int_equal(q_user_insert(db, ann, str_of("admin"), h), ERR_OK);
    assert_int_equal(q_user_insert(db, ann, str_of("viewer"), h), ERR_EXISTS);
    assert_int_equal(q_user_insert(db, bob, str_of("king"), h), ERR_CONFLICT);
    assert_int_equal(q_user_hash(db, ann, hash, sizeof hash, &who), ERR_OK);
    assert_string_equal(hash, "hash-1");
    assert_string_equal(who.role, "admin");
    assert_int_equal(q_user_hash(db, bob, hash, sizeof hash, &who), ERR_NOTFOUND);
    assert_int_equal(q_user_delete(db, ann, role), ERR_CONFLICT);
    assert_int_equal(q_user_put(db, bob, str_of("admin"), h), ERR_OK);
    assert_int_equal(q_user_delete(db, ann, role), ERR_OK);
    assert_int_equal(q_user_delete(db, ann, role), ERR_NOTFOUND);
    assert_int_equal(q_users(db, out()), ERR_OK);
    assert_int_equal(json_get(parsed(), "items")->n, 1);
    assert_null(strstr(buf_text(&text), "hash-1"));
}

static void sessions_end_when_idle_expired_or_the_password_changes(void **state)
{
    (void)state;
    struct q_identity who, found;
    char hash[100];
    const struct str ann = str_of("ann"), token = str_of("t1"), remote = str_of("::1");
    int64_t later = clock_utc_ms() + 3600000;
    assert_int_equal(q_user_insert(db, ann, str_of("operator"), str_of("h")), ERR_OK);
    assert_int_equal(q_user_hash(db, ann, hash, sizeof hash, &who), ERR_OK);
    assert_int_equal(q_session_insert(db, token, str_of("csrf"), who.id, later, remote), ERR_OK);
    assert_int_equal(q_session(db, token, 60, &found), ERR_OK);
    assert_string_equal(found.name, "ann");
    assert_string_equal(found.role, "operator");
    assert_string_equal(found.csrf, "csrf");
    assert_int_equal(q_session(db, str_of("t2"), 60, &found), ERR_NOTFOUND);
    sql("UPDATE app_session SET touched_at = now() - interval '61 s'");
    assert_int_equal(q_session(db, token, 60, &found), ERR_NOTFOUND);
    assert_int_equal(q_session_insert(db, str_of("t3"), str_of("c"), who.id, T0, remote), ERR_OK);
    assert_int_equal(q_session(db, str_of("t3"), 60, &found), ERR_NOTFOUND);
    assert_int_equal(q_session_insert(db, str_of("t4"), str_of("c"), who.id, later, remote),
                     ERR_OK);
    assert_int_equal(q_user_password(db, ann, str_of("h2")), ERR_OK);
    assert_int_equal(q_session(db, str_of("t4"), 60, &found), ERR_NOTFOUND);
    assert_int_equal(q_user_password(db, str_of("nobody"), str_of("h2")), ERR_NOTFOUND);
}

static void tokens_work_until_they_expire_or_are_deleted(void **state)
{
    (void)state;
    struct q_identity who;
    int64_t id = 0, old = 0;
    const struct str role = str_of("viewer"), by = str_of("ann");
    assert_int_equal(q_token_insert(db, str_of("ci"), role, str_of("h1"), by, 0, &id), ERR_OK);
    assert_int_equal(q_token_insert(db, str_of("ci"), role, str_of("h2"), by, 0, &old), ERR_EXISTS);
    assert_int_equal(q_token_insert(db, str_of("old"), role, str_of("h3"), by, T0, &old), ERR_OK);
    assert_int_equal(q_token(db, str_of("h1"), &who), ERR_OK);
    assert_string_equal(who.name, "ci");
    assert_int_equal(who.id, id);
    assert_int_equal(q_token(db, str_of("h3"), &who), ERR_NOTFOUND);
    assert_int_equal(q_tokens(db, out()), ERR_OK);
    assert_int_equal(json_get(parsed(), "items")->n, 2);
    assert_int_equal(q_token_delete(db, id, &who), ERR_OK);
    assert_string_equal(who.role, "viewer");
    assert_int_equal(q_token_delete(db, id, &who), ERR_NOTFOUND);
    assert_int_equal(q_token(db, str_of("h1"), &who), ERR_NOTFOUND);
}

static void audit(const char *who, const char *action, const char *target, const char *result)
{
    assert_int_equal(q_audit(db, str_of(who), str_of("::1"), str_of(action), str_of(target),
                             str_of("{\"old\":1,\"new\":2}"), str_of(result)),
                     ERR_OK);
}

static size_t audited(struct q_audit_filter f, const char *first_target)
{
    assert_int_equal(q_audit_list(db, &f, (struct q_page){.limit = 100}, out()), ERR_OK);
    const struct json_node *items = json_get(parsed(), "items");
    if (items->n)
        assert_text(str_at(at(items, 0), "target"), first_target);
    return items->n;
}

static void the_audit_log_is_found_by_who_action_target_result_and_time(void **state)
{
    (void)state;
    audit("ann", "user_add", "u1", "ok");
    audit("bob", "user_add", "u2", "exists");
    audit("ann", "user_delete", "u3", "ok");
    sql("UPDATE audit_log SET at = '2026-01-01' WHERE target = 'u1'");
    const int64_t then = INT64_C(1767225600000);
    assert_int_equal(audited((struct q_audit_filter){0}, "u3"), 3);
    assert_int_equal(audited((struct q_audit_filter){.who = str_of("ann")}, "u3"), 2);
    assert_int_equal(audited((struct q_audit_filter){.action = str_of("user_add")}, "u2"), 2);
    assert_int_equal(audited((struct q_audit_filter){.target = str_of("u1")}, "u1"), 1);
    assert_int_equal(audited((struct q_audit_filter){.result = str_of("exists")}, "u2"), 1);
    assert_int_equal(audited((struct q_audit_filter){.to_ms = then + 1}, "u1"), 1);
    assert_int_equal(audited((struct q_audit_filter){.to_ms = then}, ""), 0);
    assert_int_equal(audited((struct q_audit_filter){.from_ms = then}, "u3"), 3);
    assert_int_equal(audited((struct q_audit_filter){.from_ms = then + 1}, "u3"), 2);
}

static void the_audit_log_comes_in_pages_without_gaps(void **state)
{
    (void)state;
    char target[16], cursor[200] = "";
    for (int i = 0; i < 25; i++) {
        snprintf(target, sizeof target, "t%02d", i);
        audit("ann", "x", target, "ok");
    }
    const struct q_audit_filter all = {0};
    int seen = 24;
    do {
        struct q_page page = {.limit = 10, .cursor = *cursor ? str_of(cursor) : (struct str){0}};
        assert_int_equal(q_audit_list(db, &all, page, out()), ERR_OK);
        const struct json_node *list = parsed();
        for (const struct json_node *n = json_get(list, "items")->child; n; n = n->next, seen--) {
            snprintf(target, sizeof target, "t%02d", seen);
            assert_text(str_at(n, "target"), target);
        }
        struct str next = {NULL, 0};
        json_is_str(json_get(list, "next"), &next);
        snprintf(cursor, sizeof cursor, "%.*s", STR_ARG(next));
    } while (*cursor);
    assert_int_equal(seen, -1);
    assert_int_equal(q_audit_list(db, &all, (struct q_page){1, str_of("bad!")}, out()),
                     ERR_INVALID);
}

static void a_command_and_its_audit_row_are_one(void **state)
{
    (void)state;
    char id[37];
    insert_command("{\"op\":\"read\"}", "k1", ERR_OK, false, id);
    insert_command("{\"op\":\"read\"}", "k1", ERR_OK, true, id);
    const struct q_audit_filter f = {.action = str_of("command")};
    assert_int_equal(audited(f, ""), 1);
    const struct json_node *entry = at(json_get(parsed(), "items"), 0);
    assert_text(str_at(json_get(entry, "detail"), "command"), id);
}

/* ---- loading ---- */

struct loaded {
    int devices, registrations, observations, nodes, subdevices, series, commands, identities;
    char order[16];
    bool ok;
};

static void visited(struct loaded *l, int *count, char letter)
{
    size_t n = strlen(l->order);
    ++*count;
    if ((!n || l->order[n - 1] != letter) && n < sizeof l->order - 1)
        l->order[n] = letter;
}

static enum err see_device(void *ctx, const struct load_device *d)
{
    struct loaded *l = ctx;
    visited(l, &l->devices, 'd');
    if (d->id == 1)
        l->ok = str_is(d->endpoint, "one") && !d->group.p && str_is(d->status, "online") &&
                d->last_seen_ms == 0;
    return l->devices > 30000 ? ERR_FULL : ERR_OK;
}

static enum err see_registration(void *ctx, const struct load_registration *r)
{
    struct loaded *l = ctx;
    visited(l, &l->registrations, 'r');
    l->ok = l->ok && r->device_id == 1 && r->lifetime == 60 && r->expires_ms == T0 && r->queue_mode;
    return ERR_OK;
}

static enum err see_observation(void *ctx, const struct load_observation *o)
{
    struct loaded *l = ctx;
    visited(l, &l->observations, 'o');
    l->ok = l->ok && str_is(o->token, l->observations == 1 ? "a" : "b");
    return ERR_OK;
}

static enum err see_node(void *ctx, const struct load_node *n)
{
    struct loaded *l = ctx;
    visited(l, &l->nodes, 'n');
    l->ok = l->ok && n->bd_seq == -1 && str_is(n->life, "dead") && n->died_ms == T0;
    return ERR_OK;
}

static enum err see_subdevice(void *ctx, const struct load_subdevice *s)
{
    struct loaded *l = ctx;
    visited(l, &l->subdevices, 'b');
    l->ok = l->ok && s->device_id == 2 && str_is(s->name, l->subdevices == 1 ? "D1" : "D2") &&
            str_is(s->life, l->subdevices == 1 ? "born" : "dead") && s->born_ms == T0 &&
            s->died_ms == (l->subdevices == 1 ? 0 : T0);
    return ERR_OK;
}

static enum err see_series(void *ctx, const struct load_series *s)
{
    struct loaded *l = ctx;
    visited(l, &l->series, 's');
    if (s->id == 5)
        l->ok = l->ok && s->has_latest && str_is(s->value, "21.50") && s->at_ms == T0;
    else
        l->ok = l->ok && !s->has_latest;
    return ERR_OK;
}

static enum err see_command(void *ctx, const struct load_command *c)
{
    struct loaded *l = ctx;
    visited(l, &l->commands, 'c');
    l->ok = l->ok && str_is(c->state, l->commands == 1 ? "sent" : "queued") && c->device_id == 2 &&
            str_is(c->by, "ann");
    return ERR_OK;
}

static enum err see_identity(void *ctx, const struct load_identity *i)
{
    struct loaded *l = ctx;
    l->ok = l->ok && str_is(i->endpoint, "locked") && str_is(i->state, "suspended");
    l->identities++;
    return ERR_OK;
}

static struct load_visitor visitor(struct loaded *l)
{
    return (struct load_visitor){l,           see_device,    see_registration, see_observation,
                                 see_node,    see_subdevice, see_series,       see_command,
                                 see_identity};
}

static void everything_durable_is_loaded_in_order(void **state)
{
    (void)state;
    struct loaded l = {.ok = false};
    int64_t max_device = 0;
    uint32_t max_series = 0;
    sql("INSERT INTO registration (device_id, state, dialect, lifetime, queue_mode, expires_at) "
        "VALUES (1, 'registered', 'json', 60, true, at_ms(1700000000000));"
        "INSERT INTO observation VALUES (1, 'b', '/3', false, now()), (1, 'a', '/1', true, now());"
        "INSERT INTO spb_node (device_id, life, died_at) VALUES (2, 'dead', "
        "at_ms(1700000000000));"
        "INSERT INTO subdevice VALUES (2, 'D2', 'dead', at_ms(1700000000000), "
        "at_ms(1700000000000)), "
        "(2, 'D1', 'born', at_ms(1700000000000), NULL);"
        "INSERT INTO series (id, device_id, source, key) VALUES (5, 1, 'lwm2m', 'a'), (9, 1, "
        "'lwm2m', 'b');"
        "INSERT INTO series_latest VALUES (5, at_ms(1700000000000), '21.50', 'good', 'notify');"
        "INSERT INTO command (device_id, op, request, state, by_name, created_at) VALUES "
        "(2, 'read', '{}', 'queued', 'ann', '2026-01-02'), "
        "(2, 'read', '{}', 'sent', 'ann', '2026-01-01'), "
        "(2, 'read', '{}', 'failed', 'ann', '2026-01-01');"
        "INSERT INTO identity (endpoint, state) VALUES ('free', 'active'), ('locked', "
        "'suspended')");
    const struct load_visitor v = visitor(&l);
    assert_int_equal(store_load(server.app, &v, &max_device, &max_series), ERR_OK);
    assert_string_equal(l.order, "dronbsc");
    assert_true(l.ok);
    assert_int_equal(l.devices, 2);
    assert_int_equal(l.observations, 2);
    assert_int_equal(l.subdevices, 2);
    assert_int_equal(l.series, 2);
    assert_int_equal(l.commands, 2);
    assert_int_equal(l.identities, 1);
    assert_int_equal(max_device, 2);
    assert_int_equal(max_series, 9);
}

static void ids_of_deleted_things_stay_taken_and_a_visitor_can_stop(void **state)
{
    (void)state;
    struct loaded l = {.ok = false};
    int64_t max_device = 0;
    uint32_t max_series = 0;
    sql("INSERT INTO id_floor VALUES ('device', 40000), ('series', 77)");
    const struct load_visitor v = visitor(&l);
    assert_int_equal(store_load(server.app, &v, &max_device, &max_series), ERR_OK);
    assert_int_equal(max_device, 40000);
    assert_int_equal(max_series, 77);
    sql("INSERT INTO device (id, endpoint) SELECT i, 'dev-' || i FROM generate_series(3, 50000) i");
    l = (struct loaded){.ok = false};
    assert_int_equal(store_load(server.app, &v, &max_device, &max_series), ERR_FULL);
    assert_int_equal(l.devices, 30001);  /* more than one page */
    assert_int_equal(max_device, 40000); /* untouched on failure */
}

static void a_table_that_cannot_be_read_fails_the_load_before_its_series(void **state)
{
    (void)state;
    struct loaded l = {.ok = false};
    int64_t max_device = -1;
    uint32_t max_series = 0;
    sql("INSERT INTO series (id, device_id, source, key) VALUES (5, 1, 'lwm2m', 'lwm2m:/3/0/0')");
    sql("REVOKE SELECT ON series_latest FROM braid_app");
    const struct load_visitor v = visitor(&l);
    enum err e = store_load(server.app, &v, &max_device, &max_series);
    sql("GRANT SELECT ON series_latest TO braid_app");
    assert_int_equal(e, ERR_DB);
    assert_int_equal(l.devices, 2); /* read over the other connection */
    assert_int_equal(l.series, 0);
    assert_int_equal(max_device, -1); /* untouched on failure */
    assert_int_equal(store_load("host=/nowhere", &v, &max_device, &max_series), ERR_DB);
    assert_int_equal(store_load(server.app, &v, &max_device, &max_series), ERR_OK);
    assert_int_equal(l.series, 1);
}

/* ---- pool ---- */

static void a_pool_lends_what_it_has_and_no_more(void **state)
{
    (void)state;
    struct pool *p = NULL;
    struct pg *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(pool_new(server.app, 2, &p), ERR_OK);
    assert_int_equal(pool_get(p, 1000, &a), ERR_OK);
    assert_int_equal(pool_get(p, 1000, &b), ERR_OK);
    assert_ptr_not_equal(a, b);
    assert_int_equal(pool_get(p, 50, &c), ERR_TIMEOUT);
    pool_put(p, a);
    assert_int_equal(pool_get(p, 50, &c), ERR_OK);
    assert_ptr_equal(a, c);
    assert_int_equal(pg_script(c, "BEGIN"), ERR_OK);
    pool_put(p, c); /* a forgotten transaction is not lent on */
    assert_int_equal(pool_get(p, 50, &c), ERR_OK);
    assert_int_equal(pg_script(c, "VACUUM device"), ERR_OK); /* not in a transaction */
    pool_put(p, c);
    pool_put(p, b);
    pool_free(p);
}

static void a_pool_survives_a_restart_of_postgresql(void **state)
{
    (void)state;
    struct pool *p = NULL;
    struct pg *a = NULL, *b = NULL;
    assert_int_equal(pool_new(server.app, 3, &p), ERR_OK);
    assert_int_equal(pool_get(p, 1000, &a), ERR_OK);
    assert_int_equal(pool_get(p, 1000, &b), ERR_OK);
    pool_put(p, a);
    pool_put(p, b);
    pg_fixture_stop(&server);
    assert_int_equal(pool_get(p, 1000, &a), ERR_DB);
    assert_int_equal(pool_get(p, 1000, &a), ERR_DB); /* known to be away */
    assert_true(pg_fixture_start(&server));
    process_sleep_ms(1100);
    assert_int_equal(pool_get(p, 1000, &a), ERR_OK);
    assert_int_equal(pg_script(a, "SELECT 1"), ERR_OK);
    pool_put(p, a);
    pool_free(p);
    pg_close(db);
    assert_int_equal(pg_connect(server.app, "test", &db), ERR_OK);
}

static void a_statement_has_a_time_limit_and_the_connection_lives(void **state)
{
    (void)state;
    struct pg *c = NULL;
    assert_int_equal(pg_connect(server.app, "test", &c), ERR_OK);
    assert_int_equal(pg_set_timeout(c, 100), ERR_OK);
    assert_int_equal(pg_script(c, "SELECT pg_sleep(100)"), ERR_DB);
    assert_string_equal(pg_sqlstate(c), "57014");
    assert_true(pg_is_ok(c));
    assert_int_equal(pg_script(c, "SELECT 1"), ERR_OK);
    const struct str nul = {"a\0b", 3};
    assert_int_equal(pg_exec(c, "SELECT $1::text", &nul, 1, NULL), ERR_INVALID);
    pg_close(c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, close_text)
    const struct CMUnitTest tests[] = {
        T(a_command_comes_back_as_it_was_posted),
        T(an_idempotency_key_gives_the_same_command_once),
        T(a_command_that_is_no_json_or_for_nobody_is_refused),
        T(command_lists_page_without_gaps),
        T(timelines_page_without_gaps_newest_first),
        T(short_history_is_raw),
        T(long_history_keeps_every_peak),
        T(history_of_texts_and_of_nothing),
        T(a_day_at_one_hertz_is_counted_once_among_many_series),
        T(series_say_whether_they_can_be_charted),
        T(users_have_unique_names_and_one_admin_stays),
        T(sessions_end_when_idle_expired_or_the_password_changes),
        T(tokens_work_until_they_expire_or_are_deleted),
        T(the_audit_log_is_found_by_who_action_target_result_and_time),
        T(the_audit_log_comes_in_pages_without_gaps),
        T(a_command_and_its_audit_row_are_one),
        T(everything_durable_is_loaded_in_order),
        T(ids_of_deleted_things_stay_taken_and_a_visitor_can_stop),
        T(a_table_that_cannot_be_read_fails_the_load_before_its_series),
        T(a_pool_lends_what_it_has_and_no_more),
        T(a_pool_survives_a_restart_of_postgresql),
        T(a_statement_has_a_time_limit_and_the_connection_lives),
    };
    return cmocka_run_group_tests(tests, start_database, remove_database);
}
