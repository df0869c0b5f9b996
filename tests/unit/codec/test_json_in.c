/* The JSON reader: exact numbers, and limits for everything a stranger may send. */
#include "codec_test.h"

#include "codec/json_in.h"

#include <stdlib.h>

#define NODES 1000

static enum err parse(struct arena *a, struct str text)
{
    struct json_node *root = NULL;
    enum err e = json_parse(a, text, NODES, &root);
    assert_true((root != NULL) == (e == ERR_OK));
    return e;
}

static void integers_of_64_bits_are_exact(void **state)
{
    struct json_node *root = NULL;
    int64_t i = 0;
    uint64_t u = 0;
    struct str text = STR("{\"a\":-9223372036854775808,\"b\":18446744073709551615,"
                          "\"c\":\"9007199254740993\",\"d\":20.0,\"e\":1.5}");
    assert_int_equal(json_parse(*state, text, NODES, &root), ERR_OK);
    assert_true(json_is_i64(json_get(root, "a"), &i) && i == INT64_MIN);
    assert_true(json_is_u64(json_get(root, "b"), &u) && u == UINT64_MAX);
    assert_false(json_is_i64(json_get(root, "b"), &i));
    assert_true(json_is_i64(json_get(root, "c"), &i) && i == 9007199254740993);
    assert_true(json_is_i64(json_get(root, "d"), &i) && i == 20);
    assert_false(json_is_i64(json_get(root, "e"), &i));
    assert_false(json_is_u64(json_get(root, "a"), &u));
    assert_null(json_get(root, "f"));
    assert_null(json_get(NULL, "a"));
}

static void broken_text_is_refused_by_kind(void **state)
{
    static const struct {
        struct str text;
        enum err err;
    } cases[] = {
        {STR(""), ERR_TRUNCATED},
        {STR("  "), ERR_TRUNCATED},
        {STR("{\"a\":"), ERR_TRUNCATED},
        {STR("[1,2"), ERR_TRUNCATED},
        {STR("\"abc"), ERR_TRUNCATED},
        {STR("{\"a\":1}x"), ERR_INVALID},
        {STR("{} {}"), ERR_INVALID},
        {STR("[1,]"), ERR_INVALID},
        {STR("{a:1}"), ERR_INVALID},
        {STR("nul"), ERR_INVALID},
        {STR("01"), ERR_INVALID},
        {STR("[NaN]"), ERR_INVALID},
        {STR("// x\n1"), ERR_INVALID},
        {STR("\0"), ERR_INVALID},
        {STR("\"a\xff\""), ERR_UTF8},
        {STR("\"\xc0\x80\""), ERR_UTF8},
        {STR("\"\\u0000\""), ERR_UTF8},
        {STR("{\"a\":1,\"b\":2,\"a\":3}"), ERR_CONFLICT},
        {STR("\xef\xbb\xbf{}"), ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum err e = parse(*state, cases[i].text);
        if (e != cases[i].err)
            fail_msg("case %zu: %s instead of %s", i, err_word(e), err_word(cases[i].err));
    }
}

static struct str repeat(struct arena *a, const char *piece, size_t times)
{
    size_t n = strlen(piece);
    char *p = arena_alloc(a, n * times + 1);
    assert_non_null(p);
    for (size_t i = 0; i < times; i++)
        memcpy(p + i * n, piece, n);
    return str_make(p, n * times);
}

static void nesting_of_ten_thousand_is_too_deep(void **state)
{
    assert_int_equal(parse(*state, repeat(*state, "[", 10000)), ERR_DEPTH);
    assert_int_equal(parse(*state, repeat(*state, "{\"a\":", 10000)), ERR_DEPTH);
    assert_int_equal(parse(*state, repeat(*state, "[", JSON_IN_DEPTH + 1)), ERR_DEPTH);
    assert_int_equal(parse(*state, repeat(*state, "[", JSON_IN_DEPTH)), ERR_TRUNCATED);
}

static void more_values_than_allowed_are_too_many(void **state)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_putc(&b, '[');
    for (int i = 0; i < NODES; i++)
        buf_puts(&b, i ? ",1" : "1");
    buf_putc(&b, ']');
    assert_int_equal(parse(*state, buf_view(&b)), ERR_TOOBIG);
    buf_fini(&b);
}

static void duplicate_keys_are_found_among_many(void **state)
{
    for (int twice = 0; twice < 2; twice++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_putc(&b, '{');
        for (int i = 0; i < 500; i++)
            buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", twice && i == 400 ? 3 : i, i);
        buf_putc(&b, '}');
        assert_int_equal(parse(*state, buf_view(&b)), twice ? ERR_CONFLICT : ERR_OK);
        buf_fini(&b);
    }
}

static void a_small_arena_ends_the_parse_cleanly(void **state)
{
    struct arena small;
    (void)state;
    arena_init(&small, 256, 512);
    struct json_node *root = NULL;
    struct str text =
        STR("[\"aaaaaaaaaaaaaaaaaaaaaaaaaa\",\"bbbbbbbbbbbbbbbbbbbbbbb\",1,2,3,4,5,6]");
    assert_int_equal(json_parse(&small, text, NODES, &root), ERR_TOOBIG);
    assert_null(root);
    arena_fini(&small);
}

static void strings_are_unescaped(void **state)
{
    struct json_node *root = NULL;
    struct str s;
    struct str text = STR("\"a\\\"\\\\\\n\\u20ac\\ud83d\\ude00\"");
    assert_int_equal(json_parse(*state, text, NODES, &root), ERR_OK);
    assert_true(json_is_str(root, &s));
    assert_str(s, "a\"\\\n\xe2\x82\xac\xf0\x9f\x98\x80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(integers_of_64_bits_are_exact),
        TEST(broken_text_is_refused_by_kind),
        TEST(nesting_of_ten_thousand_is_too_deep),
        TEST(more_values_than_allowed_are_too_many),
        TEST(duplicate_keys_are_found_among_many),
        TEST(a_small_arena_ends_the_parse_cleanly),
        TEST(strings_are_unescaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
