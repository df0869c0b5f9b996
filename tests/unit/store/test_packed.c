/* test_packed.c - whatever goes in comes out, bit for bit; whatever else is put in is refused. */
#include "store/packed_row.h"
#include "signals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/reader.h"

#include <cmocka.h>

#define COPY_FIELDS (PACKED_FIELDS + 2)

static struct arena arena;

static int make_arena(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20, 64 << 20);
    random_restart();
    return 0;
}

static int drop_arena(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct points make_points(make_value *value, unsigned times, unsigned quality, size_t n)
{
    return signal_points(&arena, value, times, quality, n);
}

static void assert_same(const struct points *a, const struct points *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ts_us, b->ts_us, a->n * sizeof *a->ts_us);
    assert_memory_equal(a->value, b->value, a->n * sizeof *a->value);
    assert_memory_equal(a->quality, b->quality, a->n * sizeof *a->quality);
}

static struct packed pack(const struct points *in)
{
    struct packed p;
    assert_int_equal(packed_encode(&arena, in, &p), ERR_OK);
    return p;
}

static struct points decode(const struct packed *p)
{
    struct points out;
    assert_int_equal(points_make(&arena, p->n, &out), ERR_OK);
    assert_int_equal(packed_decode(p, &out), ERR_OK);
    return out;
}

/* ---- rows ---- */

/* The fields of a COPY row, without the two that a result does not have. */
static void fields_of(const struct buf *row, struct str f[PACKED_FIELDS])
{
    struct reader r;
    reader_init(&r, row->p, row->n);
    assert_int_equal(reader_u16be(&r), COPY_FIELDS);
    for (int i = 0, k = 0; i < COPY_FIELDS; i++) {
        uint32_t size = reader_u32be(&r);
        struct str s = size == UINT32_MAX ? str_make(NULL, 0) : reader_bytes(&r, size);
        if (i != 4 && i != 6)
            f[k++] = s;
    }
    assert_int_equal(r.err, ERR_OK);
    assert_int_equal(r.left, 0);
}

static void assert_survives(const struct points *in)
{
    struct buf row;
    struct str fields[PACKED_FIELDS];
    struct packed back, p = pack(in);
    struct points out = decode(&p);
    assert_same(in, &out);
    buf_init(&row, 16 << 20);
    packed_put_row(&row, &p, 7, 0);
    assert_int_equal(row.err, ERR_OK);
    fields_of(&row, fields);
    assert_int_equal(packed_read(&arena, fields, &back), ERR_OK);
    out = decode(&back);
    assert_same(in, &out);
    buf_fini(&row);
}

/* ---- tests ---- */

static void every_signal_comes_back_bit_for_bit(void **unused)
{
    static const size_t sizes[] = {1, 2, 3, 60, 3600, 5000};
    (void)unused;
    for (size_t s = 0; s < SIGNALS; s++)
        for (unsigned t = 0; t < INTERVALS; t++)
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                struct points in = make_points(signals[s], t, (unsigned)(next() % 3), sizes[k]);
                assert_survives(&in);
                arena_reset(&arena);
            }
}

static void the_longest_row_is_32768_samples(void **unused)
{
    (void)unused;
    struct packed p;
    struct points in = make_points(any_bits, 3, 2, PACKED_MAX);
    assert_survives(&in);
    in = make_points(sensor, 0, 0, PACKED_MAX + 1);
    assert_int_equal(packed_encode(&arena, &in, &p), ERR_RANGE);
    in.n = 0;
    assert_int_equal(packed_encode(&arena, &in, &p), ERR_RANGE);
}

static void times_take_the_smallest_form(void **unused)
{
    (void)unused;
    struct points in = make_points(constant, 0, 0, 100);
    struct packed p = pack(&in);
    assert_int_equal(p.step_us, 1000000);
    in = make_points(constant, 1, 0, 100);
    p = pack(&in);
    assert_true(p.t2 && p.step_us < 0);
    in = make_points(constant, 2, 0, 100);
    p = pack(&in);
    assert_non_null(p.t4);
    in = make_points(constant, 3, 0, 100);
    p = pack(&in);
    assert_non_null(p.t8);
    in = make_points(constant, 3, 0, 1);
    p = pack(&in);
    assert_int_equal(p.step_us, 0);
    assert_int_equal(p.start_us, p.stop_us);
}

static void values_take_the_smallest_form(void **unused)
{
    (void)unused;
    struct points in = make_points(sensor, 0, 0, 3600);
    struct packed p = pack(&in);
    assert_true(p.scale == 3 && p.v2 && !p.v4 && !p.vf);
    in = make_points(counter, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale == 0 && p.v2);
    in = make_points(wide, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale == 1 && p.v4);
    in = make_points(constant, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale == 2 && !p.v2 && !p.v4 && p.v0 == -27315);
    in = make_points(odd_state, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale < 0 && p.vf && p.rn && p.value_runs < 200);
    in = make_points(any_bits, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale < 0 && p.vf && !p.rn);
    in = make_points(mostly_decimal, 0, 0, 3600);
    p = pack(&in);
    assert_true(p.scale < 0 && p.vf);
}

static void negative_zero_is_not_zero(void **unused)
{
    (void)unused;
    struct points in = make_points(constant, 0, 0, 4);
    in.value[0] = in.value[1] = in.value[3] = 0.0;
    in.value[2] = -0.0;
    struct packed p = pack(&in);
    assert_int_equal(p.scale, -1);
    assert_survives(&in);
}

static void only_other_qualities_than_good_take_room(void **unused)
{
    (void)unused;
    struct points in = make_points(sensor, 0, 0, 100);
    struct packed p = pack(&in);
    assert_true(!p.q && !p.qn);
    in.quality = NULL;
    p = pack(&in);
    assert_true(!p.q && !p.qn);
    in = make_points(sensor, 0, 0, 100);
    in.quality[40] = in.quality[41] = 3;
    p = pack(&in);
    assert_int_equal(p.quality_runs, 3);
    assert_int_equal(p.qn[1], 2);
}

static void times_out_of_order_or_out_of_range_are_refused(void **unused)
{
    (void)unused;
    struct packed p;
    struct points in = make_points(sensor, 0, 0, 10);
    in.ts_us[5] = in.ts_us[4] - 1;
    assert_int_equal(packed_encode(&arena, &in, &p), ERR_INVALID);
    in = make_points(sensor, 0, 0, 10);
    in.ts_us[9] = INT64_MAX;
    assert_int_equal(packed_encode(&arena, &in, &p), ERR_RANGE);
    in.ts_us[0] = INT64_MIN;
    assert_int_equal(packed_encode(&arena, &in, &p), ERR_RANGE);
}

static void an_arena_that_is_full_is_no_memory(void **unused)
{
    (void)unused;
    struct points in = make_points(any_bits, 3, 1, 1000);
    for (size_t limit = 0; limit < 64000; limit += 500) {
        struct arena small;
        struct packed p;
        arena_init(&small, 1024, limit);
        enum err e = packed_encode(&small, &in, &p);
        assert_true(e == ERR_NOMEM || e == ERR_OK);
        if (limit + 1000 > 64000)
            assert_int_equal(e, ERR_OK);
        arena_fini(&small);
    }
}

static void assert_refused(struct packed p)
{
    struct points out;
    assert_int_equal(points_make(&arena, PACKED_MAX, &out), ERR_OK);
    assert_int_equal(packed_decode(&p, &out), ERR_INVALID);
}

static void parts_that_contradict_each_other_are_refused(void **unused)
{
    (void)unused;
    struct points in = make_points(sensor, 1, 1, 100);
    in.quality[9] = 1;
    const struct packed good = pack(&in);
    struct packed p;
    static const int16_t back[100] = {0, -5};
    static const int32_t lengths[3] = {50, 0, 50};
    static const int64_t far[100] = {0, INT64_MAX};
    const double one[3] = {1, 2, 3};
#define BROKEN(...)                                                                                \
    p = good;                                                                                      \
    __VA_ARGS__;                                                                                   \
    assert_refused(p)
    BROKEN(p.n = 0);
    BROKEN(p.n = PACKED_MAX + 1);
    BROKEN(p.step_us = 5);
    BROKEN(p.t2 = NULL);
    BROKEN(p.t2 = NULL, p.step_us = INT64_MAX);
    BROKEN(p.t2 = NULL, p.t8 = far);
    BROKEN(p.t2 = back);
    BROKEN(p.t2 = back, p.stop_us = p.start_us - 5000);
    BROKEN(p.stop_us++);
    BROKEN(p.start_us = INT64_MAX);
    BROKEN(p.scale = PACKED_SCALE_MAX + 1);
    BROKEN(p.scale = -1);
    BROKEN(p.v0 = INT64_MAX);
    BROKEN(p.v4 = lengths);
    BROKEN(p.vf = one);
    BROKEN(p.q = NULL);
    BROKEN(p.qn = NULL);
    BROKEN(p.qn = lengths, p.quality_runs = 3);
    BROKEN(p.quality_runs--);
    BROKEN(p.scale = -1, p.v2 = NULL, p.vf = one, p.rn = lengths, p.value_runs = 3);
    BROKEN(p.scale = -1, p.v2 = NULL, p.vf = one, p.rn = lengths, p.value_runs = 0);
#undef BROKEN
}

static void fields_of_any_bytes_are_refused_or_read(void **unused)
{
    (void)unused;
    struct points in = make_points(odd_state, 3, 2, 50), out;
    struct packed p = pack(&in);
    struct buf row;
    struct str f[PACKED_FIELDS];
    buf_init(&row, 1 << 20);
    packed_put_row(&row, &p, 7, 0);
    assert_int_equal(points_make(&arena, PACKED_MAX, &out), ERR_OK);
    for (size_t i = 6; i < row.n; i++)
        for (unsigned bit = 0; bit < 8; bit += 7) {
            struct packed back;
            fields_of(&row, f);
            const char *inside = NULL;
            for (int k = 0; k < PACKED_FIELDS; k++)
                if (f[k].p && row.p + i >= f[k].p && row.p + i < f[k].p + f[k].n)
                    inside = f[k].p;
            if (!inside)
                continue;
            row.p[i] = (char)(row.p[i] ^ (1 << bit));
            if (!packed_read(&arena, f, &back))
                (void)!packed_decode(&back, &out);
            row.p[i] = (char)(row.p[i] ^ (1 << bit));
        }
    for (int k = 0; k < PACKED_FIELDS; k++) { /* too short by one byte: never */
        struct packed back;
        fields_of(&row, f);
        if (!f[k].p)
            continue;
        f[k].n--;
        assert_int_equal(packed_read(&arena, f, &back), ERR_INVALID);
    }
    fields_of(&row, f);
    f[0].p = NULL;
    assert_int_equal(packed_read(&arena, f, &p), ERR_INVALID);
    buf_fini(&row);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        TEST(every_signal_comes_back_bit_for_bit),
        TEST(the_longest_row_is_32768_samples),
        TEST(times_take_the_smallest_form),
        TEST(values_take_the_smallest_form),
        TEST(negative_zero_is_not_zero),
        TEST(only_other_qualities_than_good_take_room),
        TEST(times_out_of_order_or_out_of_range_are_refused),
        TEST(an_arena_that_is_full_is_no_memory),
        TEST(parts_that_contradict_each_other_are_refused),
        TEST(fields_of_any_bytes_are_refused_or_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
