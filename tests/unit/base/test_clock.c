/* Time as text. */
#include "base_test.h"

#include "base/clock.h"

static void times_read_back_as_written(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                 {1769860800123, "2026-01-31T12:00:00.123Z"},
                 {-1, "1969-12-31T23:59:59.999Z"},
                 {951782400000, "2000-02-29T00:00:00.000Z"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLOCK_TEXT];
        int64_t ms = 1;
        clock_rfc3339(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(clock_parse(str_of(text), &ms), ERR_OK);
        assert_true(ms == cases[i].ms);
    }
}

static void offsets_fractions_and_bare_numbers_are_read(void **state)
{
    int64_t ms = 0;
    (void)state;
    assert_int_equal(clock_parse(str_of("2026-01-31T13:30:00+01:30"), &ms), ERR_OK);
    assert_true(ms == 1769860800000);
    assert_int_equal(clock_parse(str_of("2026-01-31 12:00:00.12345z"), &ms), ERR_OK);
    assert_true(ms == 1769860800123);
    assert_int_equal(clock_parse(str_of("1769860800123"), &ms), ERR_OK);
    assert_true(ms == 1769860800123);
}

static void what_is_no_time_is_refused(void **state)
{
    static const struct str bad[] = {
        STR(""),
        STR("now"),
        STR("2026-01-31"),
        STR("2026-01-31T12:00:00"),
        STR("2026-13-01T00:00:00Z"),
        STR("2026-02-30T00:00:00Z"),
        STR("2025-02-29T00:00:00Z"),
        STR("2026-01-00T00:00:00Z"),
        STR("2026-01-31T24:00:00Z"),
        STR("2026-01-31T12:60:00Z"),
        STR("2026-01-31T12:00:00+99:00"),
        STR("2026-01-31T12:00:00Zx"),
        STR("2026-01-31T12:00:00Z\0x"),
        STR("99999999999999999999999999"),
        STR("2026-01-31T12:00:00.000000000000000000000000000000000000000000000000Z"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 42;
        if (clock_parse(bad[i], &ms) == ERR_OK)
            fail_msg("accepted: %s", bad[i].p);
    }
    int64_t ms = 0;
    assert_int_equal(clock_parse(str_make(NULL, 0), &ms), ERR_INVALID);
}

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    uint64_t a = clock_mono_us(), b = clock_mono_us();
    assert_true(b >= a);
    struct moment m = clock_now();
    assert_true(m.utc_ms > 1700000000000);
    char text[CLOCK_TEXT];
    clock_rfc3339(INT64_MAX, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void a_stamp_far_ahead_or_before_2000_is_impossible(void **state)
{
    const int64_t now = 1769860800123, minute = 60000;
    (void)state;
    assert_true(clock_is_possible(now, now));
    assert_true(clock_is_possible(now + 10 * minute, now));
    assert_false(clock_is_possible(now + 10 * minute + 1, now));
    assert_true(clock_is_possible(946684800000, now));
    assert_false(clock_is_possible(946684799999, now));
    assert_false(clock_is_possible(0, now));
    assert_false(clock_is_possible(INT64_MIN, now));
    assert_false(clock_is_possible(INT64_MAX, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_read_back_as_written),
        cmocka_unit_test(offsets_fractions_and_bare_numbers_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(a_stamp_far_ahead_or_before_2000_is_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
