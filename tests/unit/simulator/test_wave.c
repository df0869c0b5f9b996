/* Signals: the same seed and time give the same value, and each kind keeps its promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <math.h>

#include "wave.h"

#define T0     INT64_C(1767225600000) /* 2026-01-01 00:00 UTC */
#define MINUTE INT64_C(60000)

static void the_same_seed_and_time_give_the_same_value(void **state)
{
    (void)state;
    for (int k = 0; k < WAVE_KIND_COUNT; k++) {
        struct wave w;
        wave_init(&w, (enum wave_kind)k);
        w.mean = 20;
        w.amplitude = 5;
        w.noise = 1;
        w.rate = 0.1;
        for (int i = 0; i < 50; i++) {
            int64_t t = T0 + i * MINUTE;
            assert_true(wave_at(&w, 42, t) == wave_at(&w, 42, t));
        }
    }
}

static void different_devices_measure_different_things(void **state)
{
    (void)state;
    struct wave w;
    int same = 0;
    wave_init(&w, WAVE_WALK);
    w.amplitude = 10;
    for (int i = 0; i < 100; i++)
        same += wave_at(&w, 1, T0 + i * MINUTE) == wave_at(&w, 2, T0 + i * MINUTE);
    assert_true(same < 5);
    assert_true(wave_seed(1, (struct str)STR("a")) != wave_seed(1, (struct str)STR("b")));
    assert_true(wave_seed(1, (struct str)STR("a")) != wave_seed(2, (struct str)STR("a")));
}

static void afternoons_are_warmer_than_nights(void **state)
{
    (void)state;
    struct wave w;
    wave_init(&w, WAVE_DIURNAL);
    w.mean = 20;
    w.amplitude = 5;
    for (int day = 0; day < 30; day++) {
        int64_t midnight = T0 + day * 1440 * MINUTE;
        double night = wave_at(&w, 9, midnight + 270 * MINUTE);
        double noon = wave_at(&w, 9, midnight + 990 * MINUTE);
        assert_true(noon > night + 2);
        assert_true(noon < 20 + 5 * 1.5 && night > 20 - 5 * 1.5);
    }
}

static void counters_never_run_backwards_and_keep_their_rate(void **state)
{
    (void)state;
    struct wave w;
    wave_init(&w, WAVE_COUNTER);
    w.start = 100;
    w.rate = 2;
    double before = wave_at(&w, 5, T0), first = before;
    for (int i = 1; i <= 3000; i++) {
        double v = wave_at(&w, 5, T0 + i * 7000);
        assert_true(v >= before);
        before = v;
    }
    double rate = (before - first) / (3000 * 7);
    assert_true(rate > 1.9 && rate < 2.1);
}

static void states_stay_in_range_and_change(void **state)
{
    (void)state;
    struct wave w;
    bool seen[3] = {false};
    wave_init(&w, WAVE_STATES);
    w.states = 3;
    w.period_s = 60;
    for (int i = 0; i < 200; i++) {
        double v = wave_at(&w, 3, T0 + i * MINUTE);
        assert_true(v == 0 || v == 1 || v == 2);
        seen[(int)v] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
}

static void a_square_is_half_its_time_in_either_state(void **state)
{
    (void)state;
    struct wave w;
    int ones = 0;
    wave_init(&w, WAVE_SQUARE);
    w.period_s = 100;
    for (int i = 0; i < 1000; i++)
        ones += wave_at(&w, 3, T0 + i * 1000) == 1;
    assert_int_equal(ones, 500);
}

static void limits_and_decimals_are_kept(void **state)
{
    (void)state;
    struct wave w;
    wave_init(&w, WAVE_NOISE);
    w.mean = 50;
    w.noise = 100;
    w.min = 0;
    w.max = 80;
    w.decimals = 1;
    for (int i = 0; i < 500; i++) {
        double v = wave_at(&w, 11, T0 + i * 1000);
        assert_true(v >= 0 && v <= 80);
        assert_true(fabs(v * 10 - round(v * 10)) < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_and_time_give_the_same_value),
        cmocka_unit_test(different_devices_measure_different_things),
        cmocka_unit_test(afternoons_are_warmer_than_nights),
        cmocka_unit_test(counters_never_run_backwards_and_keep_their_rate),
        cmocka_unit_test(states_stay_in_range_and_change),
        cmocka_unit_test(a_square_is_half_its_time_in_either_state),
        cmocka_unit_test(limits_and_decimals_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
