/* test_labels.c - tags and groups in a real PostgreSQL: what an edit changes, and what it says. */
#include "fixture/ask.h"
#include "fixture/text.h"
#include "store/labels.h"

#include <stdio.h>
#include <stdlib.h>

static int fresh(void **state)
{
    (void)state;
    open_text();
    return pg_fixture_sql(&server,
                          "TRUNCATE device, device_group, audit_log CASCADE;"
                          "INSERT INTO device (id, endpoint) VALUES (1, 'one'), (2, 'two'), "
                          "(3, 'three'); INSERT INTO device_group (name) VALUES ('a'), ('b')")
               ? 0
               : -1;
}

static void assert_out(const char *want)
{
    assert_string_equal(buf_text(&text), want);
}

static const struct label_edit nothing = {.who = STR("ann"), .from = STR("::1")};

/* "changed,not_found" for the endpoints of a comma separated list. */
static const char *edit(const char *endpoints, struct label_edit e)
{
    static char said[400];
    struct str names[8], rest = str_of(endpoints), missing = {0};
    struct label_result results[8];
    size_t n = 0, done = 0, at = 0;
    while (rest.p)
        names[n++] = str_cut(&rest, ',');
    enum err err = labels_edit(db, &arena, names, n, &e, results, &done, &missing);
    if (err)
        at = (size_t)snprintf(said, sizeof said, "%s %.*s", err_word(err), STR_ARG(missing));
    else
        said[0] = '\0';
    for (size_t i = 0; i < done; i++)
        at += (size_t)snprintf(said + at, sizeof said - at, "%s%.*s", i ? "," : "",
                               STR_ARG(results[i].result));
    return said;
}

static struct labels labels(const char *endpoint)
{
    struct labels l;
    struct str name = str_of(endpoint);
    assert_int_equal(labels_of(db, &arena, &name, 1, &l), ERR_OK);
    return l;
}

static void assert_labels(const char *endpoint, const char *tags, const char *groups)
{
    struct labels l = labels(endpoint);
    assert_string_equal(l.tags.p, tags);
    assert_string_equal(l.groups.p, groups);
}

static struct label_edit set(const char *tags)
{
    struct label_edit e = nothing;
    e.set = str_of(tags);
    return e;
}

static void names_of_tags_and_groups_have_limits(void **state)
{
    (void)state;
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    assert_true(label_key_ok(str_make(long_text, 64)));
    assert_false(label_key_ok(str_make(long_text, 65)));
    assert_true(label_value_ok(str_make(long_text, 256)));
    assert_false(label_value_ok(str_make(long_text, 257)));
    assert_true(label_value_ok((struct str)STR("")));
    const char *bad_keys[] = {"", "a=b", "a:b", "a,b", "a\n", "\xff", "a\x7f"};
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++)
        assert_false(label_key_ok(str_of(bad_keys[i])));
    assert_true(label_key_ok((struct str)STR("Größe.x")));
    const char *bad_groups[] = {"", "a/b", "a,b", " a", "a ", "a\t"};
    for (size_t i = 0; i < sizeof bad_groups / sizeof *bad_groups; i++)
        assert_false(group_name_ok(str_of(bad_groups[i])));
    assert_true(group_name_ok((struct str)STR("plant 1: north=cold")));
}

static void an_edit_sets_and_removes_and_says_what_became_of_each(void **state)
{
    (void)state;
    assert_string_equal(edit("two,nobody,one", set("{\"k\":\"v\",\"x\":\"\"}")),
                        "changed,not_found,changed");
    assert_labels("one", "{\"k\": \"v\", \"x\": \"\"}", "[]");
    assert_string_equal(edit("one,three,one", set("{\"k\":\"v\"}")), "unchanged,changed");
    struct label_edit e = set("{\"k\":\"w\"}");
    e.remove = str_of("[\"x\",\"never there\"]");
    assert_string_equal(edit("one", e), "changed");
    assert_labels("one", "{\"k\": \"w\"}", "[]");
    assert_labels("two", "{\"k\": \"v\", \"x\": \"\"}", "[]");
    assert_null(labels("nobody").tags.p);
}

static void replacing_leaves_nothing_of_what_was(void **state)
{
    (void)state;
    edit("one", set("{\"k\":\"v\",\"x\":\"y\"}"));
    struct label_edit e = set("{\"z\":\"1\"}");
    e.replace_tags = e.replace_groups = true;
    e.join = str_of("[\"b\"]");
    assert_string_equal(edit("one", e), "changed");
    assert_labels("one", "{\"z\": \"1\"}", "[\"b\"]");
    e.join = str_of("[\"a\"]");
    assert_string_equal(edit("one", e), "changed");
    assert_labels("one", "{\"z\": \"1\"}", "[\"a\"]");
    assert_string_equal(edit("one", e), "unchanged");
}

static void devices_join_and_leave_groups_that_exist(void **state)
{
    (void)state;
    struct label_edit e = nothing;
    e.join = str_of("[\"a\",\"b\"]");
    assert_string_equal(edit("one,two", e), "changed,changed");
    e.join = str_of("[\"b\"]");
    e.leave = str_of("[\"a\"]");
    assert_string_equal(edit("one,two,three", e), "changed,changed,changed");
    assert_labels("one", "{}", "[\"b\"]");
    e.join = str_of("[\"b\",\"c\"]");
    assert_string_equal(edit("one", e), "not_found c");
    assert_int_equal(ask("SELECT count(*) FROM group_member"), 3);
}

static void a_version_that_is_no_longer_changes_nothing(void **state)
{
    (void)state;
    struct label_edit e = set("{\"k\":\"v\"}");
    struct labels before = labels("one");
    e.if_version = str_of(before.version);
    assert_string_equal(edit("one", e), "changed");
    e.set = str_of("{\"k\":\"w\"}");
    assert_string_equal(edit("one", e), "stale");
    assert_labels("one", "{\"k\": \"v\"}", "[]");
    assert_string_not_equal(labels("one").version, before.version);
}

static void more_than_64_tags_fail_for_that_device_only(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    for (int i = 0; i < LABEL_TAGS_MAX; i++)
        buf_printf(&b, "%s\"k%d\":\"v\"", i ? "," : "{", i);
    buf_puts(&b, "}");
    assert_string_equal(edit("one", set(buf_text(&b))), "changed");
    assert_string_equal(edit("one,two", set("{\"more\":\"v\"}")), "too_many_tags,changed");
    assert_int_equal(ask("SELECT count(*) FROM device_tag"), LABEL_TAGS_MAX + 1);
    buf_fini(&b);
}

static void every_changed_device_is_audited_with_old_and_new(void **state)
{
    (void)state;
    edit("one,two,nobody", set("{\"k\":\"v\"}"));
    edit("one,two", set("{\"k\":\"v\"}"));
    edit("one", set("{\"k\":\"w\"}"));
    assert_int_equal(ask("SELECT count(*) FROM audit_log"), 3);
    const struct q_audit_filter f = {.target = STR("one"), .who = STR("ann")};
    assert_int_equal(q_audit_list(db, &f, (struct q_page){.limit = 1}, out()), ERR_OK);
    assert_non_null(strstr(buf_text(&text),
                           "{\"old\" : {\"tags\" : {\"k\": \"v\"}, \"groups\" : []}, "
                           "\"new\" : {\"tags\" : {\"k\": \"w\"}, \"groups\" : []}}"));
}

static size_t matching(const struct label_want *want, size_t n, struct str *first)
{
    uint64_t *bits;
    size_t n_bits, found = 0;
    char sql[80];
    assert_int_equal(labels_match(db, &arena, want, n, &bits, &n_bits), ERR_OK);
    for (size_t id = n_bits; id-- > 0;) {
        if (!(bits[id / 64] >> (id % 64) & 1))
            continue;
        found++;
        snprintf(sql, sizeof sql, "SELECT endpoint FROM device WHERE id = %zu", id);
        struct pg_result *r;
        assert_int_equal(pg_exec(db, sql, NULL, 0, &r), ERR_OK);
        assert_int_equal(pg_rows(r), 1);
        *first = arena_str(&arena, pg_text(r, 0, 0));
        pg_result_free(r);
    }
    return found;
}

static void devices_are_found_by_all_their_terms(void **state)
{
    (void)state;
    struct label_edit e = set("{\"site\":\"oslo\",\"rack\":\"1\"}");
    e.join = str_of("[\"a\"]");
    edit("one", e);
    edit("two", set("{\"site\":\"oslo\"}"));
    edit("three", set("{\"site\":\"\"}"));
    const struct label_want site = {.key = STR("site")}, oslo = {STR("site"), STR("oslo"), {0}},
                            empty = {STR("site"), STR(""), {0}}, a = {.group = STR("a")},
                            none = {.group = STR("none")};
    struct str first;
    assert_int_equal(matching(&site, 1, &first), 3);
    assert_int_equal(matching(&oslo, 1, &first), 2);
    assert_int_equal(matching(&empty, 1, &first), 1);
    assert_true(str_is(first, "three"));
    assert_int_equal(matching((struct label_want[]){oslo, a, site}, 3, &first), 1);
    assert_true(str_is(first, "one"));
    assert_int_equal(matching((struct label_want[]){oslo, none}, 2, &first), 0);
    assert_int_equal(matching((struct label_want[]){oslo, empty}, 2, &first), 0);
}

static void groups_are_counted_renamed_and_deleted(void **state)
{
    (void)state;
    char version[LABEL_VERSION];
    int64_t members = 0;
    struct label_edit e = nothing;
    e.join = str_of("[\"a\"]");
    edit("one,two", e);
    assert_int_equal(group_insert(db, str_of("a")), ERR_EXISTS);
    assert_int_equal(group_get(db, str_of("a"), version, out()), ERR_OK);
    assert_non_null(strstr(buf_text(&text), "{\"name\":\"a\",\"devices\":2,\"created_at\":\""));
    const struct str old = str_of(version), any = {0};
    assert_int_equal(group_rename(db, str_of("a"), str_of("b"), old), ERR_EXISTS);
    assert_int_equal(group_rename(db, str_of("a"), str_of("c"), old), ERR_OK);
    assert_int_equal(group_rename(db, str_of("c"), str_of("d"), old), ERR_AGAIN);
    assert_int_equal(group_rename(db, str_of("a"), str_of("d"), any), ERR_NOTFOUND);
    assert_labels("one", "{}", "[\"c\"]");
    assert_int_equal(group_delete(db, str_of("c"), old, &members), ERR_AGAIN);
    assert_int_equal(group_delete(db, str_of("c"), any, &members), ERR_OK);
    assert_int_equal(members, 2);
    assert_int_equal(group_delete(db, str_of("c"), any, &members), ERR_NOTFOUND);
    assert_int_equal(group_get(db, str_of("c"), version, out()), ERR_NOTFOUND);
    assert_labels("one", "{}", "[]");
}

static void lists_come_by_name_in_pages(void **state)
{
    (void)state;
    struct label_edit e = set("{\"k\":\"v\"}");
    e.join = str_of("[\"a\"]");
    edit("one,two,three", e);
    const struct q_page first = {.limit = 2};
    assert_int_equal(group_members(db, str_of("a"), first, out()), ERR_OK);
    assert_out(
        "{\"items\":[{\"endpoint\":\"one\"},{\"endpoint\":\"three\"}],\"next\":\"dGhyZWU=\"}");
    const struct q_page second = {.limit = 2, .cursor = STR("dGhyZWU=")};
    assert_int_equal(group_members(db, str_of("a"), second, out()), ERR_OK);
    assert_out("{\"items\":[{\"endpoint\":\"two\"}],\"next\":null}");
    assert_int_equal(group_members(db, str_of("z"), first, out()), ERR_NOTFOUND);
    assert_int_equal(group_members(db, str_of("b"), first, out()), ERR_OK);
    assert_out("{\"items\":[],\"next\":null}");
    assert_int_equal(labels_list(db, second, out()), ERR_OK);
    assert_out("{\"items\":[{\"endpoint\":\"two\",\"tags\":{\"k\": \"v\"},\"groups\":[\"a\"]}],"
               "\"next\":null}");
    assert_int_equal(groups_list(db, (struct q_page){.cursor = STR("?")}, out()), ERR_INVALID);
    assert_int_equal(groups_list(db, (struct q_page){.limit = 1}, out()), ERR_OK);
    assert_non_null(strstr(buf_text(&text), "\"devices\":3"));
}

static void tags_are_counted_with_their_values(void **state)
{
    (void)state;
    edit("one,two", set("{\"site\":\"oslo\",\"rack\":\"1\"}"));
    edit("three", set("{\"site\":\"rome\"}"));
    assert_int_equal(labels_tags(db, out()), ERR_OK);
    assert_non_null(strstr(buf_text(&text), "\"key\":\"site\",\"devices\":3,"));
    assert_non_null(strstr(buf_text(&text), "{\"value\" : \"oslo\", \"devices\" : 2}"));
}

static void a_forgotten_device_takes_its_labels_along(void **state)
{
    (void)state;
    struct label_edit e = set("{\"k\":\"v\"}");
    e.join = str_of("[\"a\"]");
    edit("one", e);
    assert_true(pg_fixture_sql(&server, "DELETE FROM device WHERE id = 1"));
    assert_int_equal(ask("SELECT (SELECT count(*) FROM device_tag) + count(*) FROM group_member"),
                     0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, close_text)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_of_tags_and_groups_have_limits),
        T(an_edit_sets_and_removes_and_says_what_became_of_each),
        T(replacing_leaves_nothing_of_what_was),
        T(devices_join_and_leave_groups_that_exist),
        T(a_version_that_is_no_longer_changes_nothing),
        T(more_than_64_tags_fail_for_that_device_only),
        T(every_changed_device_is_audited_with_old_and_new),
        T(devices_are_found_by_all_their_terms),
        T(groups_are_counted_renamed_and_deleted),
        T(lists_come_by_name_in_pages),
        T(tags_are_counted_with_their_values),
        T(a_forgotten_device_takes_its_labels_along),
    };
    return cmocka_run_group_tests(tests, start_database, remove_database);
}
