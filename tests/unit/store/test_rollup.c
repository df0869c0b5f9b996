/* test_rollup.c - minutes and hours: what counts, what is only counted, and rows both ways. */
#include "store/rollup.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/reader.h"

#include <cmocka.h>

#define NOON_US (INT64_C(1767268800) * 1000000) /* 2026-01-01 12:00 */

static struct arena arena;

static int make_arena(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 16, 16 << 20);
    return 0;
}

static int drop_arena(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct points make_points(size_t n, int64_t start_us, int64_t step_us)
{
    struct points p;
    assert_int_equal(points_make(&arena, n, &p), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        p.ts_us[i] = start_us + (int64_t)i * step_us;
        p.value[i] = (double)i;
        p.quality[i] = 0;
    }
    return p;
}

static struct rollup roll(enum rollup_kind kind, const struct points *p)
{
    struct rollup r;
    assert_int_equal(rollup_make(kind, p, &r), ERR_OK);
    return r;
}

static void minutes_of_an_hour_sum_up_their_samples(void **state)
{
    (void)state;
    struct points p = make_points(3600, NOON_US, 1000000);
    struct rollup r = roll(ROLLUP_MINUTE, &p);
    assert_int_equal(r.entries, 60);
    assert_int_equal(r.start_us, NOON_US);
    const struct rollup_entry *e = &r.entry[2];
    assert_true(e->at == 2 && e->n == 60 && e->bad == 0);
    assert_true(e->lo == 120 && e->hi == 179 && e->first == 120 && e->last == 179);
    assert_true(e->mean == 149.5);
}

static void minutes_without_samples_have_no_entry(void **state)
{
    (void)state;
    struct points p = make_points(3, NOON_US + 59999999, 20 * 60000000);
    struct rollup r = roll(ROLLUP_MINUTE, &p);
    assert_int_equal(r.entries, 3);
    assert_true(r.entry[0].at == 0 && r.entry[1].at == 20 && r.entry[2].at == 40);
}

static void samples_of_two_rows_are_refused(void **state)
{
    (void)state;
    struct rollup r;
    struct points p = make_points(2, NOON_US + HOUR_US - 1, 1);
    assert_int_equal(rollup_make(ROLLUP_MINUTE, &p, &r), ERR_RANGE);
    p.n = 0;
    assert_int_equal(rollup_make(ROLLUP_MINUTE, &p, &r), ERR_RANGE);
}

static void spans_begin_below_even_before_1970(void **state)
{
    (void)state;
    assert_int_equal(rollup_start(ROLLUP_MINUTE, -1), -HOUR_US);
    assert_int_equal(rollup_start(ROLLUP_MINUTE, -HOUR_US), -HOUR_US);
    assert_int_equal(rollup_start(ROLLUP_HOUR, NOON_US), NOON_US - 12 * HOUR_US);
}

static void what_is_not_sound_is_counted_and_nothing_else(void **state)
{
    (void)state;
    struct points p = make_points(8, NOON_US, 1000);
    p.value[0] = NAN;
    p.value[1] = INFINITY;
    p.value[2] = -INFINITY;
    p.quality[3] = 1;
    p.quality[5] = 3 | QUALITY_HISTORICAL;
    p.quality[6] = 2 | QUALITY_HISTORICAL;
    p.quality[7] = 1 | QUALITY_HISTORICAL;
    struct rollup r = roll(ROLLUP_MINUTE, &p);
    const struct rollup_entry *e = &r.entry[0];
    assert_true(e->n == 8 && e->bad == 6);
    assert_true(e->lo == 4 && e->hi == 6 && e->mean == 5 && e->first == 4 && e->last == 6);
}

static void a_minute_without_a_sound_sample_has_no_numbers(void **state)
{
    (void)state;
    struct points p = make_points(2, NOON_US, 1000);
    p.quality[0] = p.quality[1] = 1;
    struct rollup r = roll(ROLLUP_MINUTE, &p);
    const struct rollup_entry *e = &r.entry[0];
    assert_true(e->n == 2 && e->bad == 2);
    assert_true(isnan(e->lo) && isnan(e->hi) && isnan(e->mean) && isnan(e->first) &&
                isnan(e->last));
}

static void the_mean_of_the_greatest_numbers_is_finite(void **state)
{
    (void)state;
    struct points p = make_points(3, NOON_US, 1000);
    p.value[0] = p.value[1] = p.value[2] = DBL_MAX;
    struct rollup r = roll(ROLLUP_MINUTE, &p);
    assert_true(r.entry[0].mean == DBL_MAX);
    p.value[1] = 0.1;
    p.value[0] = p.value[2] = 0.1; /* 3 * 0.1 / 3 is a little more than 0.1 */
    r = roll(ROLLUP_MINUTE, &p);
    assert_true(r.entry[0].mean == 0.1);
}

static void hours_from_minutes_are_hours_from_samples(void **state)
{
    (void)state;
    struct points p = make_points(3000, NOON_US + 5 * 60000000, 1000000);
    for (size_t i = 0; i < p.n; i++) {
        p.value[i] = sin((double)i / 50) * 10;
        p.quality[i] = i % 7 == 0 ? 1 : 0;
    }
    for (size_t i = 600; i < 720; i++)
        p.quality[i] = 3;
    struct rollup minutes = roll(ROLLUP_MINUTE, &p), hours = roll(ROLLUP_HOUR, &p);
    struct rollup_entry folded = rollup_fold(&minutes), *e = &hours.entry[0];
    assert_int_equal(hours.entries, 1);
    assert_true(folded.at == 12 && e->at == 12 && folded.n == e->n && folded.bad == e->bad);
    assert_true(folded.lo == e->lo && folded.hi == e->hi);
    assert_true(folded.first == e->first && folded.last == e->last);
    assert_true(fabs(folded.mean - e->mean) < 1e-12);
}

static void an_hour_takes_its_place_in_the_day(void **state)
{
    (void)state;
    struct rollup day = {.kind = ROLLUP_HOUR};
    for (int16_t at = 23; at >= 0; at--)
        rollup_set(&day, &(struct rollup_entry){.at = at, .n = at + 1});
    assert_int_equal(day.entries, 24);
    rollup_set(&day, &(struct rollup_entry){.at = 5, .n = 99});
    rollup_set(&day, &(struct rollup_entry){.at = 0});
    rollup_set(&day, &(struct rollup_entry){.at = 0});
    assert_int_equal(day.entries, 23);
    for (size_t i = 0; i < day.entries; i++)
        assert_int_equal(day.entry[i].at, i + 1);
    assert_int_equal(day.entry[4].n, 99);
}

/* The fields of a row of minutes as rollup_read takes them: of the minutes, and of their fives. */
static void fields_of(const struct buf *row, struct str f[ROLLUP_FIELDS],
                      struct str fives[ROLLUP_FIELDS])
{
    struct reader r;
    reader_init(&r, row->p, row->n);
    assert_int_equal(reader_u16be(&r), 2 * ROLLUP_FIELDS + 1);
    for (int i = 0; i < 2 * ROLLUP_FIELDS + 1; i++) {
        uint32_t size = reader_u32be(&r);
        struct str s = size == UINT32_MAX ? str_make(NULL, 0) : reader_bytes(&r, size);
        if (i >= 2 && i < 2 + ROLLUP_FIELDS)
            f[i - 2] = s;
        else if (i >= 2)
            fives[i - 1 - ROLLUP_FIELDS] = s;
    }
    fives[0] = f[0];
    assert_int_equal(r.err, ERR_OK);
    assert_int_equal(r.left, 0);
}

static void assert_same(const struct rollup *a, const struct rollup *b)
{
    assert_true(a->entries == b->entries && a->start_us == b->start_us && a->kind == b->kind);
    for (size_t i = 0; i < a->entries; i++) {
        const struct rollup_entry *x = &a->entry[i], *y = &b->entry[i];
        assert_true(x->at == y->at && x->n == y->n && x->bad == y->bad);
        assert_true(x->n == x->bad || (x->lo == y->lo && x->hi == y->hi && x->first == y->first &&
                                       x->last == y->last && fabs(x->mean - y->mean) < 1e-9));
    }
}

static void rows_come_back_as_they_were(void **state)
{
    (void)state;
    for (int with_bad = 0; with_bad < 2; with_bad++) {
        struct points p = make_points(900, NOON_US, 4000000);
        for (size_t i = 0; i < 160; i++) /* two fives and a half are bad from end to end */
            p.quality[i] = with_bad ? 1 : 0;
        struct rollup r = roll(ROLLUP_MINUTE, &p), back;
        struct str f[ROLLUP_FIELDS], five[ROLLUP_FIELDS];
        struct buf row;
        buf_init(&row, 1 << 16);
        rollup_put_row(&row, &r, 7, 0);
        fields_of(&row, f, five);
        assert_true(with_bad ? f[8].p != NULL : f[8].p == NULL);
        assert_true(with_bad ? five[8].p != NULL : five[8].p == NULL);
        assert_int_equal(rollup_read(&arena, ROLLUP_MINUTE, f, &back), ERR_OK);
        assert_same(&r, &back);
        r = roll(ROLLUP_FIVE, &p);
        assert_int_equal(rollup_read(&arena, ROLLUP_FIVE, five, &back), ERR_OK);
        assert_same(&r, &back);
        buf_fini(&row);
    }
}

static void rows_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct points p = make_points(900, NOON_US, 4000000);
    p.quality[3] = 1;
    const struct rollup good = roll(ROLLUP_MINUTE, &p);
    struct rollup wrong[6], back;
    struct str f[ROLLUP_FIELDS], five[ROLLUP_FIELDS];
    struct buf row;
    for (size_t i = 0; i < 6; i++)
        wrong[i] = good;
    wrong[0].entry[7].at = 60;
    wrong[1].entry[7].at = 6;
    wrong[2].entry[7].n = 0;
    wrong[3].entry[7].bad = (wrong[3].entry[7].n = 5) + 1;
    wrong[4].start_us++;
    for (size_t i = 0; i < 6; i++) {
        buf_init(&row, 1 << 16);
        rollup_put_row(&row, &wrong[i], 7, 0);
        fields_of(&row, f, five);
        assert_int_equal(rollup_read(&arena, ROLLUP_MINUTE, f, &back),
                         i == 5 ? ERR_OK : ERR_INVALID);
        if (i < 5)
            buf_fini(&row);
    }
    assert_int_equal(rollup_read(&arena, ROLLUP_FIVE, f, &back), ERR_INVALID);
    for (int k = 0; k < ROLLUP_FIELDS; k++) { /* a column is missing, or ends too early */
        fields_of(&row, f, five);
        f[k].n--;
        assert_int_equal(rollup_read(&arena, ROLLUP_MINUTE, f, &back), ERR_INVALID);
        f[k] = str_make(NULL, 0);
        assert_int_equal(rollup_read(&arena, ROLLUP_MINUTE, f, &back),
                         k == 8 ? ERR_OK : ERR_INVALID);
    }
    buf_fini(&row);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        TEST(minutes_of_an_hour_sum_up_their_samples),
        TEST(minutes_without_samples_have_no_entry),
        TEST(samples_of_two_rows_are_refused),
        TEST(spans_begin_below_even_before_1970),
        TEST(what_is_not_sound_is_counted_and_nothing_else),
        TEST(a_minute_without_a_sound_sample_has_no_numbers),
        TEST(the_mean_of_the_greatest_numbers_is_finite),
        TEST(hours_from_minutes_are_hours_from_samples),
        TEST(an_hour_takes_its_place_in_the_day),
        TEST(rows_come_back_as_they_were),
        TEST(rows_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
