/* Paths and values: what they accept, and that nothing is silently rounded. */
#include "codec_test.h"

#include "codec/lwm2m_value.h"

#include <math.h>

static enum err parse(const char *text)
{
    struct lw_path p;
    return lw_path_parse(str_of(text), &p);
}

static void path_reads_all_levels_and_one_trailing_slash(void **state)
{
    static const struct {
        const char *in, *out;
        unsigned n;
    } cases[] = {{"/", "/", 0},
                 {"/3", "/3", 1},
                 {"3/0", "/3/0", 2},
                 {"/3/0/0/", "/3/0/0", 3},
                 {"/67/0/00", "/67/0/0", 3},
                 {"/65534/65534/65534/65534", "/65534/65534/65534/65534", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_path p;
        char text[LW_PATH_TEXT];
        assert_int_equal(lw_path_parse(str_of(cases[i].in), &p), ERR_OK);
        assert_int_equal(p.n, cases[i].n);
        assert_int_equal(lw_path_text(p, text), strlen(cases[i].out));
        assert_string_equal(text, cases[i].out);
    }
}

static void path_refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "//",  "/3//0", "/3/0//", "/a",      "/-1",
                                      "/+1", "/ 3", "/3/x",  "3.0",    "/3/0/0?x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(bad[i]), ERR_INVALID);
    assert_int_equal(parse("/70000/0"), ERR_RANGE);
    assert_int_equal(parse("/65535"), ERR_RANGE);
    assert_int_equal(parse("/3/65535/0"), ERR_RANGE);
    assert_int_equal(parse("/99999999999999999999/0"), ERR_RANGE);
    assert_int_equal(parse("/1/2/3/4/5"), ERR_DEPTH);
}

static void path_of_a_create_may_leave_the_instance_open(void **state)
{
    struct lw_path p;
    (void)state;
    assert_int_equal(lw_path_parse_new(str_of("/3303/65535/5700"), &p), ERR_OK);
    assert_int_equal(p.id[1], LW_ID_NONE);
    assert_int_equal(lw_path_parse_new(str_of("/65535/0/1"), &p), ERR_RANGE);
}

static void path_covers_itself_and_what_is_below(void **state)
{
    (void)state;
    assert_true(lw_path_covers(path_of("/"), path_of("/3/0")));
    assert_true(lw_path_covers(path_of("/3/0"), path_of("/3/0")));
    assert_true(lw_path_covers(path_of("/3/0"), path_of("/3/0/6/1")));
    assert_false(lw_path_covers(path_of("/3/0"), path_of("/3")));
    assert_false(lw_path_covers(path_of("/3/0"), path_of("/3/1/0")));
}

static void path_keys_differ_by_level(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/0", "/0/0", "/0/0/0", "/0/0/0/0", "/0/1", "/1"};
    size_t n = sizeof paths / sizeof paths[0];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            bool same = lw_path_key(path_of(paths[i])) == lw_path_key(path_of(paths[k]));
            assert_true(same == (i == k));
        }
    assert_true(lw_path_cmp(path_of("/3"), path_of("/3/0")) < 0);
    assert_true(lw_path_cmp(path_of("/10"), path_of("/9/9")) > 0);
}

/* ---- coercion ---- */

static struct lw_value text(const char *s)
{
    return (struct lw_value){.type = LW_STRING, .s = str_of(s)};
}
static struct lw_value integer(int64_t i)
{
    return (struct lw_value){.type = LW_INTEGER, .i = i};
}
static struct lw_value real(double f)
{
    return (struct lw_value){.type = LW_FLOAT, .f = f};
}
static struct lw_value natural(uint64_t u)
{
    return (struct lw_value){.type = LW_UNSIGNED, .u = u};
}

static void numbers_change_type_exactly_or_not_at_all(void **state)
{
    static const struct {
        enum lw_type want;
        struct lw_value in;
        enum err err;
        struct lw_value out;
    } cases[] = {
        {LW_INTEGER, {.type = LW_FLOAT, .f = 20.0}, ERR_OK, {.type = LW_INTEGER, .i = 20}},
        {LW_INTEGER, {.type = LW_FLOAT, .f = 20.5}, ERR_TYPE, {0}},
        {LW_INTEGER, {.type = LW_FLOAT, .f = NAN}, ERR_TYPE, {0}},
        {LW_INTEGER, {.type = LW_FLOAT, .f = 9223372036854775808.0}, ERR_RANGE, {0}},
        {LW_INTEGER,
         {.type = LW_FLOAT, .f = -9223372036854775808.0},
         ERR_OK,
         {.type = LW_INTEGER, .i = INT64_MIN}},
        {LW_INTEGER, {.type = LW_UNSIGNED, .u = UINT64_MAX}, ERR_RANGE, {0}},
        {LW_INTEGER, {.type = LW_BOOLEAN, .b = true}, ERR_TYPE, {0}},
        {LW_UNSIGNED, {.type = LW_INTEGER, .i = -1}, ERR_RANGE, {0}},
        {LW_UNSIGNED,
         {.type = LW_FLOAT, .f = 9223372036854775808.0},
         ERR_OK,
         {.type = LW_UNSIGNED, .u = 9223372036854775808u}},
        {LW_UNSIGNED, {.type = LW_FLOAT, .f = 18446744073709551616.0}, ERR_RANGE, {0}},
        {LW_FLOAT, {.type = LW_INTEGER, .i = -7}, ERR_OK, {.type = LW_FLOAT, .f = -7}},
        {LW_FLOAT, {.type = LW_INTEGER, .i = 9007199254740993}, ERR_RANGE, {0}},
        {LW_FLOAT, {.type = LW_INTEGER, .i = INT64_MAX}, ERR_RANGE, {0}},
        {LW_FLOAT, {.type = LW_UNSIGNED, .u = UINT64_MAX}, ERR_RANGE, {0}},
        {LW_FLOAT, {.type = LW_BOOLEAN, .b = true}, ERR_TYPE, {0}},
        {LW_BOOLEAN, {.type = LW_INTEGER, .i = 1}, ERR_OK, {.type = LW_BOOLEAN, .b = true}},
        {LW_BOOLEAN, {.type = LW_INTEGER, .i = 2}, ERR_RANGE, {0}},
        {LW_BOOLEAN, {.type = LW_INTEGER, .i = -1}, ERR_RANGE, {0}},
        {LW_TIME, {.type = LW_FLOAT, .f = 1.5}, ERR_TYPE, {0}},
        {LW_TIME, {.type = LW_INTEGER, .i = -1}, ERR_OK, {.type = LW_TIME, .i = -1}},
        {LW_STRING, {.type = LW_INTEGER, .i = 1}, ERR_TYPE, {0}},
        {LW_OPAQUE, {.type = LW_INTEGER, .i = 1}, ERR_TYPE, {0}},
        {LW_OBJLNK, {.type = LW_INTEGER, .i = 1}, ERR_TYPE, {0}},
        {LW_NONE, {.type = LW_INTEGER, .i = 1}, ERR_TYPE, {0}},
        {LW_INTEGER, {.type = LW_NONE}, ERR_OK, {.type = LW_NONE}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_value v = cases[i].in;
        enum err e = lw_value_coerce(*state, cases[i].want, &v);
        if (e != cases[i].err || (!e && !lw_value_eq(v, cases[i].out)))
            fail_msg("case %zu: %s", i, err_word(e));
        if (e)
            assert_true(lw_value_eq(v, cases[i].in)); /* untouched */
    }
}

static void text_becomes_every_type(void **state)
{
    static const struct {
        const char *text;
        enum lw_type want;
        enum err err;
    } cases[] = {
        {"-750", LW_INTEGER, ERR_OK},
        {"9223372036854775808", LW_INTEGER, ERR_RANGE},
        {"1.0", LW_INTEGER, ERR_TYPE},
        {" 1", LW_INTEGER, ERR_TYPE},
        {"", LW_INTEGER, ERR_TYPE},
        {"18446744073709551615", LW_UNSIGNED, ERR_OK},
        {"-1", LW_UNSIGNED, ERR_RANGE},
        {"0.00000000006667", LW_FLOAT, ERR_OK},
        {"nan", LW_FLOAT, ERR_TYPE},
        {"1e999", LW_FLOAT, ERR_RANGE},
        {"1", LW_BOOLEAN, ERR_OK},
        {"2", LW_BOOLEAN, ERR_TYPE},
        {"AQIDBAU=", LW_OPAQUE, ERR_OK},
        {"AQ*=", LW_OPAQUE, ERR_TYPE},
        {"1367491215", LW_TIME, ERR_OK},
        {"2013-03-21T20:04:00Z", LW_TIME, ERR_OK},
        {"2013-03-21T20:04:00.5Z", LW_TIME, ERR_TYPE},
        {"yesterday", LW_TIME, ERR_TYPE},
        {"66:0", LW_OBJLNK, ERR_OK},
        {"FFFF:FFFF", LW_OBJLNK, ERR_OK},
        {"66", LW_OBJLNK, ERR_TYPE},
        {"65536:0", LW_OBJLNK, ERR_RANGE},
        {"1:2:3", LW_OBJLNK, ERR_TYPE},
        {"</3/0>", LW_CORELNK, ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_value v = text(cases[i].text);
        enum err e = lw_value_coerce(*state, cases[i].want, &v);
        if (e != cases[i].err || (!e && v.type != cases[i].want))
            fail_msg("%s as %s: %s", cases[i].text, lw_type_word(cases[i].want), err_word(e));
    }
}

static void json_keeps_64_bits(void **state)
{
    static const struct {
        struct lw_value v;
        const char *json;
    } cases[] = {
        {{.type = LW_INTEGER, .i = 9007199254740992}, "9007199254740992"},
        {{.type = LW_INTEGER, .i = 9007199254740993}, "\"9007199254740993\""},
        {{.type = LW_UNSIGNED, .u = UINT64_MAX}, "\"18446744073709551615\""},
        {{.type = LW_FLOAT, .f = 0.1}, "0.1"},
        {{.type = LW_FLOAT, .f = NAN}, "null"},
        {{.type = LW_BOOLEAN, .b = true}, "true"},
        {{.type = LW_TIME, .i = 1367491215}, "1367491215"},
        {{.type = LW_OPAQUE, .s = STR("\x01\x02\x03")}, "\"AQID\""},
        {{.type = LW_OBJLNK, .link = {3, 0}}, "\"3:0\""},
        {{.type = LW_STRING, .s = STR("a\"b")}, "\"a\\\"b\""},
        {{.type = LW_NONE}, "null"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        struct json_out j;
        buf_init(&b, 1000);
        json_out_init(&j, &b);
        lw_value_json(&j, cases[i].v);
        assert_string_equal(buf_text(&b), cases[i].json);
        buf_fini(&b);
    }
}

static void charts_get_numbers_only(void **state)
{
    double f = 0;
    (void)state;
    assert_true(lw_value_double(integer(-3), &f) && f == -3);
    assert_true(lw_value_double(natural(7), &f) && f == 7);
    assert_true(lw_value_double((struct lw_value){.type = LW_BOOLEAN, .b = true}, &f) && f == 1);
    assert_false(lw_value_double(real(INFINITY), &f));
    assert_false(lw_value_double(text("7"), &f));
}

static void equality_is_by_type_and_content(void **state)
{
    (void)state;
    assert_true(lw_value_eq(real(NAN), real(NAN)));
    assert_false(lw_value_eq(integer(1), natural(1)));
    assert_true(lw_value_eq(text("x"), text("x")));
    assert_false(lw_value_eq(text("x"), text("y")));
}

static void type_words_read_back(void **state)
{
    enum lw_type t;
    (void)state;
    for (unsigned i = 0; i < LW_TYPE_COUNT; i++) {
        assert_true(lw_type_from(str_of(lw_type_word((enum lw_type)i)), &t));
        assert_int_equal(t, i);
    }
    assert_false(lw_type_from(str_of("number"), &t));
}

static void entries_stop_at_the_arenas_ceiling(void **state)
{
    struct arena small;
    struct lw_entries list = {0};
    enum err e = ERR_OK;
    (void)state;
    arena_init(&small, 1024, 4096);
    for (int i = 0; i < 1000 && !e; i++)
        e = lw_entries_add(&small, &list, (struct lw_entry){.value = integer(i)});
    assert_int_equal(e, ERR_NOMEM);
    assert_true(list.n > 8 && list.v[list.n - 1].value.i == (int64_t)list.n - 1);
    arena_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(path_reads_all_levels_and_one_trailing_slash),
        TEST(path_refuses_what_is_none),
        TEST(path_of_a_create_may_leave_the_instance_open),
        TEST(path_covers_itself_and_what_is_below),
        TEST(path_keys_differ_by_level),
        TEST(numbers_change_type_exactly_or_not_at_all),
        TEST(text_becomes_every_type),
        TEST(json_keeps_64_bits),
        TEST(charts_get_numbers_only),
        TEST(equality_is_by_type_and_content),
        TEST(type_words_read_back),
        TEST(entries_stop_at_the_arenas_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
