/* What json_out writes is always JSON. */
#include "base_test.h"

#include "base/json_out.h"

#include <math.h>

static void nesting_and_commas_are_handled(void **state)
{
    struct buf b;
    struct json_out j;
    (void)state;
    buf_init(&b, 1000);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_key(&j, "a");
    json_open(&j, '[');
    json_i64(&j, 1);
    json_open(&j, '{');
    json_close(&j);
    json_null(&j);
    json_close(&j);
    json_key(&j, "b");
    json_bool(&j, true);
    json_key(&j, "c");
    json_raw(&j, str_of("[1]"));
    json_close(&j);
    assert_string_equal(buf_text(&b), "{\"a\":[1,{},null],\"b\":true,\"c\":[1]}");
    buf_fini(&b);
}

static void large_integers_become_strings(void **state)
{
    struct buf b;
    struct json_out j;
    (void)state;
    buf_init(&b, 1000);
    json_out_init(&j, &b);
    json_open(&j, '[');
    json_i64(&j, 9007199254740992);
    json_i64(&j, -9007199254740993);
    json_u64(&j, UINT64_MAX);
    json_double(&j, NAN);
    json_double(&j, 0.1);
    json_close(&j);
    assert_string_equal(buf_text(&b), "[9007199254740992,\"-9007199254740993\","
                                      "\"18446744073709551615\",null,0.1]");
    buf_fini(&b);
}

static void strings_are_escaped_and_repaired(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } cases[] = {
        {STR("a\"b\\c\n\t\r"), "\"a\\\"b\\\\c\\n\\t\\u000d\""},
        {STR("x\0y\x1f\x7f"), "\"x\\u0000y\\u001f\\u007f\""},
        {STR("\xe2\x82\xac"), "\"\xe2\x82\xac\""},
        {STR("\xff"
             "a\xc3"),
         "\"\xef\xbf\xbd"
         "a\xef\xbf\xbd\""},
        {STR("</script>"), "\"</script>\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        struct json_out j;
        buf_init(&b, 1000);
        json_out_init(&j, &b);
        json_str(&j, cases[i].in);
        assert_string_equal(buf_text(&b), cases[i].out);
        buf_fini(&b);
    }
}

static void base64_of_any_length_is_whole(void **state)
{
    static uint8_t bytes[1000];
    static char text[2000];
    (void)state;
    for (size_t n = 0; n < sizeof bytes; n += 111) {
        struct buf b;
        struct json_out j;
        buf_init(&b, 10000);
        json_out_init(&j, &b);
        json_base64(&j, bytes, n);
        size_t want = str_to_base64(bytes, n, text);
        assert_int_equal(b.n, want + 2);
        assert_memory_equal(b.p + 1, text, want);
        buf_fini(&b);
    }
}

static void too_deep_nesting_is_an_error(void **state)
{
    struct buf b;
    struct json_out j;
    (void)state;
    buf_init(&b, 10000);
    json_out_init(&j, &b);
    for (int i = 0; i < 2 * JSON_OUT_DEPTH; i++)
        json_open(&j, '[');
    for (int i = 0; i < 3 * JSON_OUT_DEPTH; i++)
        json_close(&j);
    assert_int_equal(b.err, ERR_DEPTH);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_and_commas_are_handled),
        cmocka_unit_test(large_integers_become_strings),
        cmocka_unit_test(strings_are_escaped_and_repaired),
        cmocka_unit_test(base64_of_any_length_is_whole),
        cmocka_unit_test(too_deep_nesting_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
