/* history_grid.c - see history_grid.h. */
#include "store/history_grid.h"

#include <stdlib.h>

#include "base/clock.h"

#define BUCKETS_MAX 1000000
#define POINTS_MAX  ((size_t)64 << 20)

/* ---- widths ---- */

static const int64_t widths_us[] = {
    1000,          2000,          5000,           10000,          20000,          50000,
    100000,        200000,        500000,         1000000,        2000000,        5000000,
    10000000,      15000000,      20000000,       30000000,       MINUTE_US,      2 * MINUTE_US,
    3 * MINUTE_US, 5 * MINUTE_US, 10 * MINUTE_US, 15 * MINUTE_US, 20 * MINUTE_US, 30 * MINUTE_US,
    HOUR_US,       2 * HOUR_US,   3 * HOUR_US,    4 * HOUR_US,    6 * HOUR_US,    8 * HOUR_US,
    12 * HOUR_US,  DAY_US,        2 * DAY_US,     5 * DAY_US,     10 * DAY_US,    20 * DAY_US,
    50 * DAY_US,   100 * DAY_US,  200 * DAY_US,   500 * DAY_US,   1000 * DAY_US,
};
#define WIDTHS (sizeof widths_us / sizeof *widths_us)

int64_t history_floor(int64_t ts_us, int64_t width_us)
{
    int64_t rest = ts_us % width_us;
    return ts_us - rest - (rest < 0 ? width_us : 0);
}

int64_t history_ceil(int64_t ts_us, int64_t width_us)
{
    int64_t floor = history_floor(ts_us, width_us);
    return floor == ts_us ? floor : floor + width_us;
}

static int64_t buckets_of(int64_t from_us, int64_t to_us, int64_t width_us)
{
    return (history_ceil(to_us, width_us) - history_floor(from_us, width_us)) / width_us;
}

int64_t history_width(int64_t from_us, int64_t to_us, uint32_t points)
{
    int64_t most = points > 1 ? points : 2;
    for (size_t i = 0; i < WIDTHS; i++)
        if (buckets_of(from_us, to_us, widths_us[i]) <= most)
            return widths_us[i];
    int64_t width = widths_us[WIDTHS - 1];
    while (buckets_of(from_us, to_us, width) > most)
        width *= 2;
    return width;
}

/* ---- what is collected ---- */

void history_buckets_free(struct history_buckets *b)
{
    free(b->bucket);
    *b = (struct history_buckets){0};
}

void history_points_free(struct history_points *p)
{
    free(p->v);
    *p = (struct history_points){0};
}

enum err history_buckets_make(int64_t from_us, int64_t to_us, int64_t width_us,
                              struct history_buckets *out)
{
    int64_t n = buckets_of(from_us, to_us, width_us);
    if (n > BUCKETS_MAX)
        return ERR_TOOBIG;
    *out = (struct history_buckets){.start_us = history_floor(from_us, width_us),
                                    .width_us = width_us,
                                    .n = (size_t)n,
                                    .bucket = calloc((size_t)n, sizeof *out->bucket)};
    return out->bucket ? ERR_OK : ERR_NOMEM;
}

void history_buckets_add(struct history_buckets *to, const struct rollup_entry *e, int64_t first_us,
                         int64_t last_us)
{
    int64_t i = (first_us - to->start_us) / to->width_us;
    if (first_us < to->start_us || i >= (int64_t)to->n)
        return;
    struct history_bucket *b = &to->bucket[i];
    bool empty = b->entry.n == b->entry.bad, sound = e->n > e->bad;
    double first = b->entry.first, last = b->entry.last;
    rollup_join(&b->entry, e);
    if (!sound)
        return;
    if (empty || first_us < b->first_us) {
        b->first_us = first_us;
        first = e->first;
    }
    if (empty || last_us >= b->last_us) {
        b->last_us = last_us;
        last = e->last;
    }
    b->entry.first = first;
    b->entry.last = last;
}

enum err history_points_add(struct history_points *p, int64_t ts_us, double value, int16_t quality)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 1024;
        struct history_point *v = cap > POINTS_MAX ? NULL : reallocarray(p->v, cap, sizeof *v);
        if (!v)
            return cap > POINTS_MAX ? ERR_TOOBIG : ERR_NOMEM;
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n] = (struct history_point){ts_us, value, quality, (uint32_t)p->n};
    p->n++;
    return ERR_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct history_point *x = a, *y = b;
    if (x->ts_us != y->ts_us)
        return x->ts_us < y->ts_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void history_points_sort(struct history_points *p)
{
    for (size_t i = 1; i < p->n; i++)
        if (p->v[i].ts_us < p->v[i - 1].ts_us) {
            qsort(p->v, p->n, sizeof *p->v, by_time);
            return;
        }
}
