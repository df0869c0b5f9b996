/* signals.h - samples of every kind that packing tells apart: by their values, intervals and
 * qualities.
 *
 * For one file of a test program: it defines what it declares. */
#ifndef BRAID_TESTS_SIGNALS_H
#define BRAID_TESTS_SIGNALS_H

#include "random.h"
#include "store/packed.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIGNAL_START_US INT64_C(1767225600123000) /* 2026-01-01 00:00:00.123 */

static inline double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

typedef double make_value(size_t i, double before);

static inline double sensor(size_t i, double before)
{
    (void)before;
    return (double)(int64_t)(20000 + 5000 * sin((double)i / 3000) + (double)(next() % 200)) / 1000;
}
static inline double counter(size_t i, double before)
{
    (void)i;
    return before + (double)(next() % 3);
}
static inline double state(size_t i, double before)
{
    return i && next() % 100 ? before : (double)(next() % 4);
}
static inline double odd_state(size_t i, double before)
{
    return i && next() % 50 ? before : from_bits(next() % 4 + 0x3ff5555555555555u);
}
static inline double any_bits(size_t i, double before)
{
    (void)i, (void)before;
    return from_bits(next());
}
static inline double constant(size_t i, double before)
{
    (void)i, (void)before;
    return -273.15;
}
static inline double special(size_t i, double before)
{
    static const uint64_t bits[] = {0x8000000000000000u, 0,
                                    0x7ff8000000000000u, 0x7ff0000000000001u,
                                    0xfff8dead0000beefu, 0x7ff0000000000000u,
                                    0xfff0000000000000u, 1,
                                    0x7fefffffffffffffu};
    (void)i, (void)before;
    return from_bits(bits[next() % (sizeof bits / sizeof *bits)]);
}
static inline double great(size_t i, double before)
{
    (void)before;
    return 9007199254740992.0 - (double)i * 70000;
}
static inline double wide(size_t i, double before)
{
    (void)before;
    return (i % 2 ? -1.0 : 1.0) * (double)(next() % 900000) / 10;
}
static inline double mostly_decimal(size_t i, double before)
{
    (void)before;
    return i % 977 == 976 ? 1.0 / 3 : (double)(next() % 1000) / 100;
}
static inline double nine_digits(size_t i, double before)
{
    (void)before;
    return (double)(100000000 + i * 3 + next() % 5) / 1e9;
}

static make_value *const signals[] = {sensor,  counter, state, odd_state,      any_bits,   constant,
                                      special, great,   wide,  mostly_decimal, nine_digits};
#define SIGNALS (sizeof signals / sizeof *signals)

static inline int64_t interval(unsigned kind)
{
    switch (kind) {
    case 0:
        return 1000000;
    case 1:
        return 980000 + (int64_t)(next() % 41) * 1000;
    case 2:
        return (int64_t)(next() % 100000) * 1000;
    case 3:
        return (int64_t)(next() % 1000000);
    case 4:
        return next() % 3 ? 0 : 1000;
    default:
        return next() % 500 ? 1000 : INT64_C(86400000) * 1000 * 40;
    }
}
#define INTERVALS 6

/* `n` samples: intervals of one kind, qualities all good (0), seldom bad (1) or often (2). */
static inline struct points signal_points(struct arena *a, make_value *value, unsigned times,
                                          unsigned quality, size_t n)
{
    struct points p;
    assert_int_equal(points_make(a, n, &p), ERR_OK);
    int64_t at = SIGNAL_START_US;
    for (size_t i = 0; i < n; i++) {
        p.ts_us[i] = at;
        p.value[i] = value(i, i ? p.value[i - 1] : 0);
        p.quality[i] = quality == 0 ? 0 : (int16_t)(next() % (quality == 1 ? 64 : 2) ? 0 : 17);
        at += interval(times);
    }
    return p;
}

#endif
