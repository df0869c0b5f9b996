/* Guessing passwords gets slower; nobody else is slowed down. */
#include "http/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct str user = STR("admin"), here = STR("10.0.0.1"), there = STR("10.0.0.2");

static struct throttle *after(unsigned failures, uint64_t now)
{
    struct throttle *t = throttle_new(42, THROTTLE_FREE);
    for (unsigned i = 0; i < failures; i++)
        throttle_failed(t, user, here, now);
    return t;
}

static void four_wrong_passwords_are_free(void **state)
{
    (void)state;
    struct throttle *t = after(4, 1000);
    assert_int_equal(throttle_wait_s(t, user, here, 1000), 0);
    throttle_free(t);
}

static void from_the_fifth_on_the_wait_doubles_up_to_a_minute(void **state)
{
    (void)state;
    const uint32_t want[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct throttle *t = after(4, 1000);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        throttle_failed(t, user, here, 1000);
        assert_int_equal(throttle_wait_s(t, user, here, 1000), want[i]);
        assert_int_equal(throttle_wait_s(t, user, here, 1000 + want[i] * 1000), 0);
    }
    throttle_free(t);
}

static void another_address_and_another_user_are_not_slowed(void **state)
{
    (void)state;
    struct throttle *t = after(9, 1000);
    assert_int_equal(throttle_wait_s(t, user, there, 1000), 0);
    assert_int_equal(throttle_wait_s(t, there, here, 1000), 0);
    throttle_free(t);
}

static void a_right_password_and_half_an_hour_forgive(void **state)
{
    (void)state;
    struct throttle *t = after(9, 1000);
    throttle_passed(t, user, here);
    assert_int_equal(throttle_wait_s(t, user, here, 1000), 0);
    throttle_free(t);
    t = after(9, 1000);
    uint64_t later = 1000 + (THROTTLE_FORGET_S + 1) * 1000;
    assert_int_equal(throttle_wait_s(t, user, here, later), 0);
    throttle_failed(t, user, here, later);
    assert_int_equal(throttle_wait_s(t, user, here, later), 0);
    throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_wrong_passwords_are_free),
        cmocka_unit_test(from_the_fifth_on_the_wait_doubles_up_to_a_minute),
        cmocka_unit_test(another_address_and_another_user_are_not_slowed),
        cmocka_unit_test(a_right_password_and_half_an_hour_forgive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
