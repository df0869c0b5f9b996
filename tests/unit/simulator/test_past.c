/* History in chapters, and the mail of sleepers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mailbag.h"
#include "past.h"

#define NOW INT64_C(1767225630123)

static void a_day_is_told_minute_by_minute_without_gaps(void **state)
{
    (void)state;
    struct past p = {0};
    struct past_chapter c;
    size_t points = 0;
    past_plan_day(&p, NOW);
    int64_t want = p.next_ms;
    assert_true(want <= NOW - 86400000 && want > NOW - 86460000);
    while (past_next(&p, 3, &c)) {
        assert_int_equal(c.from_ms, want);
        assert_int_equal(c.step_ms, 60000);
        assert_in_range(c.n, 1, 100);
        want += (int64_t)c.n * c.step_ms;
        points += c.n;
    }
    assert_int_equal(points, 1440);
    assert_true(want <= NOW);
    assert_false(past_is_open(&p));
}

static void a_begun_stretch_is_finished_first(void **state)
{
    (void)state;
    struct past p = {0};
    struct past_chapter c;
    past_plan_day(&p, NOW);
    assert_true(past_next(&p, 1, &c));
    int64_t next = p.next_ms;
    past_plan_day(&p, NOW + 500000);
    past_plan_gap(&p, NOW, NOW + 500000, 1000);
    assert_int_equal(p.next_ms, next);
}

static void a_gap_is_told_at_the_devices_interval_but_not_endlessly(void **state)
{
    (void)state;
    struct past p = {0};
    struct past_chapter c;
    past_plan_gap(&p, 0, NOW, 5000); /* nothing was ever told */
    assert_false(past_is_open(&p));
    past_plan_gap(&p, NOW - 4000, NOW, 5000); /* nothing was missed */
    assert_false(past_is_open(&p));
    past_plan_gap(&p, NOW - 60000, NOW, 5000);
    assert_true(past_next(&p, 1, &c));
    assert_int_equal(c.from_ms, NOW - 55000);
    assert_int_equal(c.n, 11);
    assert_false(past_next(&p, 1, &c));
    past_plan_gap(&p, NOW - 36000000, NOW, 1000);
    size_t points = 0;
    while (past_next(&p, 2, &c))
        points += c.n;
    assert_in_range(points, 400, 501);
}

static void without_metrics_there_is_nothing_to_tell(void **state)
{
    (void)state;
    struct past p = {0};
    struct past_chapter c;
    past_plan_day(&p, NOW);
    assert_false(past_next(&p, 0, &c));
}

static void a_fleet_shares_the_rate(void **state)
{
    (void)state;
    assert_int_equal(past_pause_ms(5), 200);
    assert_int_equal(past_pause_ms(200), 4000);
}

static void letters_come_out_in_order_up_to_a_limit(void **state)
{
    (void)state;
    struct mailbag b;
    mailbag_init(&b);
    assert_null(mailbag_take(&b));
    for (int round = 0; round < 2; round++) {
        for (char i = 0; i < MAILBAG_MAX; i++)
            assert_int_equal(mailbag_put(&b, str_make(&i, 1), (struct str){0}), ERR_OK);
        assert_int_equal(mailbag_put(&b, (struct str){0}, (struct str){0}), ERR_FULL);
        for (char i = 0; i < MAILBAG_MAX - 1; i++) {
            struct letter *l = mailbag_take(&b);
            assert_int_equal(l->topic.p[0], i);
            assert_int_equal(l->payload.n, 0);
            free(l);
        }
        mailbag_empty(&b);
        assert_null(mailbag_take(&b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_told_minute_by_minute_without_gaps),
        cmocka_unit_test(a_begun_stretch_is_finished_first),
        cmocka_unit_test(a_gap_is_told_at_the_devices_interval_but_not_endlessly),
        cmocka_unit_test(without_metrics_there_is_nothing_to_tell),
        cmocka_unit_test(a_fleet_shares_the_rate),
        cmocka_unit_test(letters_come_out_in_order_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
