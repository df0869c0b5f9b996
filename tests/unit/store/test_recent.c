/* test_recent.c - what landed is held whole or not at all. */
#include "store/chunk.h"
#include "store/recent.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct recent *recent;

static int make(void **state)
{
    (void)state;
    return recent_new(50000, &recent) ? -1 : 0;
}

static int tidy(void **state)
{
    (void)state;
    recent_free(recent);
    return 0;
}

static struct sample sample_of(int i)
{
    return (struct sample){.series = (uint32_t)(i % 7) + 1,
                           .quality = (uint8_t)(i % 20),
                           .ts_us = INT64_C(1700000000000000) + i,
                           .value = i % 3 ? i : -0.0};
}

/* Adds samples first .. first + n as the writer does. */
static void add(int slot, int64_t turn, int first, int n)
{
    struct chunk c;
    struct batch *b = batch_new();
    assert_non_null(b);
    for (int i = first; i < first + n; i++)
        assert_true(batch_add(b, sample_of(i)));
    chunk_init(&c);
    assert_int_equal(chunk_add(&c, b), ERR_OK);
    assert_int_equal(chunk_seal(&c), ERR_OK);
    recent_add(recent, slot, turn, buf_view(&c.samples));
    recent_confirm(recent, slot, turn);
    chunk_fini(&c);
    batch_free(b);
}

static void rows_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct rows rows;
    rows_init(&rows);
    recent_begin(recent, 3, 12, 1000);
    for (int i = 0; i < 20000; i += 4000)
        add(3, 12, i, 4000);
    assert_int_equal(recent_copy(recent, 3, 12, 20000, &rows), ERR_OK);
    assert_int_equal(rows.n, 20000);
    for (int i = 0; i < 20000; i++) {
        struct sample s = sample_of(i);
        assert_int_equal(rows.v[i].ts_us, s.ts_us);
        assert_memory_equal(&rows.v[i].value, &s.value, sizeof s.value);
        assert_int_equal(rows.v[i].series, s.series);
        assert_int_equal(rows.v[i].quality, s.quality);
    }
    assert_int_equal(recent_copy(recent, 3, 12, 19999, &rows), ERR_NOTFOUND);
    assert_int_equal(recent_copy(recent, 3, 12, 20001, &rows), ERR_NOTFOUND);
    assert_int_equal(recent_copy(recent, 3, 13, 20000, &rows), ERR_NOTFOUND);
    assert_int_equal(recent_copy(recent, 2, 12, 20000, &rows), ERR_NOTFOUND);
    rows_fini(&rows);
}

static void what_is_not_confirmed_is_not_copied(void **state)
{
    (void)state;
    struct rows rows;
    rows_init(&rows);
    recent_begin(recent, 0, 1, 1000);
    add(0, 1, 0, 10);
    struct chunk c;
    struct batch *b = batch_new();
    assert_true(batch_add(b, sample_of(10)));
    chunk_init(&c);
    assert_int_equal(chunk_add(&c, b), ERR_OK);
    assert_int_equal(chunk_seal(&c), ERR_OK);
    recent_add(recent, 0, 1, buf_view(&c.samples));
    chunk_fini(&c);
    batch_free(b);
    assert_int_equal(recent_copy(recent, 0, 1, 10, &rows), ERR_NOTFOUND);
    assert_int_equal(recent_copy(recent, 0, 1, 11, &rows), ERR_NOTFOUND);
    recent_confirm(recent, 0, 1);
    assert_int_equal(recent_copy(recent, 0, 1, 11, &rows), ERR_OK);
    rows_fini(&rows);
}

static void a_table_that_was_not_begun_is_not_held(void **state)
{
    (void)state;
    add(0, 1, 0, 10);
    assert_false(recent_holds(recent, 0, 1));
    recent_begin(recent, 0, 1, 1000);
    assert_true(recent_holds(recent, 0, 1));
    add(0, 2, 0, 10); /* another turn: something happened in between */
    assert_false(recent_holds(recent, 0, 1));
    assert_false(recent_holds(recent, 0, 2));
    add(0, 1, 0, 10);
    assert_false(recent_holds(recent, 0, 1));
}

static void what_is_given_up_makes_room(void **state)
{
    (void)state;
    recent_begin(recent, 0, 1, 1000);
    recent_begin(recent, 1, 2, 2000);
    for (int i = 0; i < 48000; i += 4000)
        add(0, 1, i, 4000);
    add(1, 2, 0, 2000);
    add(1, 2, 2000, 1); /* more than 50,000 in all: what grows gives way */
    assert_true(recent_holds(recent, 0, 1));
    assert_false(recent_holds(recent, 1, 2));
    recent_forget(recent, 0);
    recent_forget(recent, -1);
    assert_false(recent_holds(recent, 0, 1));
    recent_begin(recent, 2, 3, 3000);
    for (int i = 0; i < 48000; i += 4000)
        add(2, 3, i, 4000);
    recent_expire(recent, 3000);
    assert_true(recent_holds(recent, 2, 3));
    recent_expire(recent, 3001);
    assert_false(recent_holds(recent, 2, 3));
}

static void a_body_of_another_form_ends_the_copy(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1000);
    copy_head(&body);
    buf_put(&body, "0123456789", 10);
    copy_tail(&body);
    recent_begin(recent, 0, 1, 1000);
    add(0, 1, 0, 10);
    recent_add(recent, 0, 1, buf_view(&body));
    assert_false(recent_holds(recent, 0, 1));
    buf_fini(&body);
}

struct seen {
    size_t n;
    int64_t last_us;
};

static enum err see(void *ctx, const struct row *row)
{
    struct seen *s = ctx;
    assert_int_equal(row->series, 3);
    assert_true(row->ts_us > s->last_us);
    s->last_us = row->ts_us;
    s->n++;
    return s->n < 1000 ? ERR_OK : ERR_FULL;
}

static void one_series_is_found_within_a_span(void **state)
{
    (void)state;
    const int64_t t = INT64_C(1700000000000000);
    const struct recent_turn tables[] = {{4, 9}, {5, 10}}, *table = tables;
    struct seen s = {0};
    bool held = true;
    assert_int_equal(recent_find(recent, table, 1, 3, 0, INT64_MAX, see, &s, &held), ERR_OK);
    assert_false(held);
    recent_begin(recent, 4, 9, 1000);
    for (int i = 0; i < 16000; i += 4000)
        add(4, 9, i, 4000);
    assert_int_equal(recent_find(recent, table, 1, 3, t + 2, t + 702, see, &s, &held), ERR_OK);
    assert_true(held);
    assert_int_equal(s.n, 100); /* every seventh, the first included and the end not */
    assert_int_equal(s.last_us, t + 695);
    s = (struct seen){0};
    assert_int_equal(recent_find(recent, table, 1, 3, t, t + 16000, see, &s, &held), ERR_FULL);
    assert_int_equal(s.n, 1000);
    assert_int_equal(recent_find(recent, tables, 2, 3, t, t + 16000, see, &s, &held), ERR_OK);
    assert_false(held); /* all of them or none */
}

static void no_memory_at_all_holds_nothing(void **state)
{
    (void)state;
    struct rows rows;
    bool held = true;
    rows_init(&rows);
    recent_begin(NULL, 0, 1, 1);
    recent_add(NULL, 0, 1, str_of(""));
    recent_confirm(NULL, 0, 1);
    recent_forget(NULL, 0);
    recent_expire(NULL, 1);
    assert_false(recent_holds(NULL, 0, 1));
    assert_int_equal(recent_copy(NULL, 0, 1, 0, &rows), ERR_NOTFOUND);
    assert_int_equal(recent_find(NULL, NULL, 0, 1, 0, 1, see, NULL, &held), ERR_OK);
    assert_false(held);
    recent_free(NULL);
    rows_fini(&rows);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make, tidy)
    const struct CMUnitTest tests[] = {
        T(rows_come_out_as_they_went_in),          T(what_is_not_confirmed_is_not_copied),
        T(a_table_that_was_not_begun_is_not_held), T(what_is_given_up_makes_room),
        T(a_body_of_another_form_ends_the_copy),   T(one_series_is_found_within_a_span),
        T(no_memory_at_all_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
