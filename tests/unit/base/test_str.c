/* Views, numbers, UTF-8, base64, hex and hashing. */
#include "base_test.h"

#include <math.h>

static void cutting_splits_at_the_first_separator(void **state)
{
    struct str rest = STR("a//b");
    (void)state;
    assert_true(str_is(str_cut(&rest, '/'), "a"));
    assert_true(str_is(str_cut(&rest, '/'), ""));
    assert_non_null(rest.p);
    assert_true(str_is(str_cut(&rest, '/'), "b"));
    assert_null(rest.p);
    struct str last = STR("a/");
    str_cut(&last, '/');
    assert_non_null(last.p); /* an empty last piece is a piece */
    assert_int_equal(last.n, 0);
}

static void utf8_is_checked_strictly(void **state)
{
    static const struct str good[] = {STR(""),
                                      STR("abc"),
                                      STR("\xc3\xa9"),
                                      STR("\xe2\x82\xac"),
                                      STR("\xf0\x9f\x98\x80"),
                                      STR("\xed\x9f\xbf")};
    static const struct str bad[] = {
        STR("\0"),           STR("\x80"),         STR("\xc0\x80"),         STR("\xc3"),
        STR("\xe2\x82"),     STR("\xed\xa0\x80"), STR("\xf4\x90\x80\x80"), STR("\xff"),
        STR("a\xe0\x80\x80")};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(str_utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(str_utf8_valid(bad[i]));
}

static void integers_are_whole_views_in_range(void **state)
{
    int64_t i = 7;
    uint64_t u = 7;
    (void)state;
    assert_int_equal(str_to_i64(str_of("-9223372036854775808"), &i), ERR_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(str_to_i64(str_of("9223372036854775808"), &i), ERR_RANGE);
    assert_true(i == INT64_MIN); /* untouched */
    assert_int_equal(str_to_u64(str_of("18446744073709551615"), &u), ERR_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(str_to_u64(str_of("18446744073709551616"), &u), ERR_RANGE);
    static const char *const bad[] = {"", " 1", "1 ", "+1", "0x1", "1.0", "-", "--1", "1e3"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_int_equal(str_to_i64(str_of(bad[k]), &i), ERR_INVALID);
        assert_int_equal(str_to_u64(str_of(bad[k]), &u), ERR_INVALID);
    }
    assert_int_equal(str_to_u64(str_of("-1"), &u), ERR_INVALID);
    assert_int_equal(str_to_i64(str_make("1\0002", 3), &i), ERR_INVALID);
}

static void doubles_read_back_as_the_same_double(void **state)
{
    static const double values[] = {0,    -0.0, 0.1,       21.5, 1e300, 5e-324, -1.0 / 3,
                                    1e15, 1e16, 123456789, 1e22, 4.35,  0.3,    1e-7};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[32];
        double back = 0;
        size_t n = str_from_double(values[i], text);
        assert_int_equal(str_to_double(str_make(text, n), &back), ERR_OK);
        assert_memory_equal(&back, &values[i], sizeof back);
    }
    char text[32];
    assert_int_equal(str_from_double(NAN, text), 4);
    assert_string_equal(text, "null");
    str_from_double(0.1, text);
    assert_string_equal(text, "0.1");
    str_from_double(20, text);
    assert_string_equal(text, "20");
}

static void bad_doubles_are_refused(void **state)
{
    double f = 0;
    (void)state;
    static const char *const bad[] = {"", "nan", "inf", "0x1p3", "1e", "1..2", "1 ", "--1", "e5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(str_to_double(str_of(bad[i]), &f), ERR_INVALID);
    assert_int_equal(str_to_double(str_of("1e999"), &f), ERR_RANGE);
}

static void base64_goes_both_ways_in_both_alphabets(void **state)
{
    uint8_t bytes[64];
    char text[64];
    size_t n = 0;
    (void)state;
    for (size_t len = 0; len < 10; len++) {
        size_t out = str_to_base64("\xfb\xff\xfe\x00\x01\x02\x03\x04\x05", len, text);
        assert_int_equal(out, str_base64_len(len));
        assert_int_equal(str_from_base64(str_make(text, out), bytes, &n), ERR_OK);
        assert_int_equal(n, len);
        assert_memory_equal(bytes, "\xfb\xff\xfe\x00\x01\x02\x03\x04\x05", len);
    }
    assert_int_equal(str_from_base64(str_of("-__-"), bytes, &n), ERR_OK);
    assert_memory_equal(bytes, "\xfb\xff\xfe", 3);
    assert_int_equal(str_from_base64(str_of("AQI"), bytes, &n), ERR_OK); /* no padding */
    assert_int_equal(n, 2);
    static const char *const bad[] = {
        "A", "A===", "AQ=I", "AQ==AQ==", "A Q=", "AR==", "====", "AQI=="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (str_from_base64(str_of(bad[i]), bytes, &n) != ERR_INVALID)
            fail_msg("accepted %s", bad[i]);
}

static void hex_goes_both_ways(void **state)
{
    char text[6];
    uint8_t bytes[3];
    size_t n = 0;
    (void)state;
    str_to_hex("\x00\xab\xff", 3, text);
    assert_memory_equal(text, "00abff", 6);
    assert_int_equal(str_from_hex(str_of("00ABff"), bytes, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(str_from_hex(str_of("0"), bytes, &n), ERR_INVALID);
    assert_int_equal(str_from_hex(str_of("0g"), bytes, &n), ERR_INVALID);
}

static void hashes_depend_on_every_byte_length_and_seed(void **state)
{
    (void)state;
    uint64_t h = str_hash(str_of("device-temp-001"), 1);
    assert_true(h == str_hash(str_of("device-temp-001"), 1));
    assert_true(h != str_hash(str_of("device-temp-002"), 1));
    assert_true(h != str_hash(str_of("device-temp-001"), 2));
    assert_true(str_hash(str_make("a\0", 2), 1) != str_hash(str_of("a"), 1));
    assert_true(str_hash(str_make(NULL, 0), 1) == str_hash(str_of(""), 1));
}

static void comparison_is_bytewise(void **state)
{
    (void)state;
    assert_true(str_cmp(str_of("a"), str_of("b")) < 0);
    assert_true(str_cmp(str_of("a"), str_of("aa")) < 0);
    assert_int_equal(str_cmp(str_make(NULL, 0), str_of("")), 0);
    assert_true(str_starts(str_of("lwm2m/x"), "lwm2m/"));
    assert_false(str_starts(str_of("lw"), "lwm2m/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutting_splits_at_the_first_separator),
        cmocka_unit_test(utf8_is_checked_strictly),
        cmocka_unit_test(integers_are_whole_views_in_range),
        cmocka_unit_test(doubles_read_back_as_the_same_double),
        cmocka_unit_test(bad_doubles_are_refused),
        cmocka_unit_test(base64_goes_both_ways_in_both_alphabets),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(hashes_depend_on_every_byte_length_and_seed),
        cmocka_unit_test(comparison_is_bytewise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
