/* history_grid.h - what a read of history fills: samples in order of time, or buckets on a grid.
 *
 * Buckets begin at multiples of their width since 1970-01-01 00:00 UTC, and widths come from a list
 * (history_width), so that every bucket is made of whole minutes or hours.  What counts in a bucket
 * is decided in store/rollup.h.
 *
 * Pure functions: no I/O, no clock, no globals.  Any thread. */
#ifndef BRAID_STORE_HISTORY_GRID_H
#define BRAID_STORE_HISTORY_GRID_H

#include "store/rollup.h"

/* history_width picks the smallest width of the list for which the span needs at most `points`
 * buckets (one more when points is 1). */
int64_t history_width(int64_t from_us, int64_t to_us, uint32_t points);
/* history_floor, history_ceil: the bucket edge at or before (after) a time. */
int64_t history_floor(int64_t ts_us, int64_t width_us);
int64_t history_ceil(int64_t ts_us, int64_t width_us);

struct history_bucket {
    int64_t first_us, last_us; /* times of entry.first and entry.last */
    struct rollup_entry entry; /* n 0: no sample; `at` means nothing */
};
struct history_buckets {
    int64_t start_us, width_us;
    size_t n;
    struct history_bucket *bucket; /* owned */
};
/* history_buckets_make makes empty ones for the whole buckets that touch the span: ERR_TOOBIG for
 * more than a million of them. */
MUST_CHECK enum err history_buckets_make(int64_t from_us, int64_t to_us, int64_t width_us,
                                         struct history_buckets *out);
/* history_buckets_add puts what happened from `first_us` to `last_us` into the bucket of the
 * former; nothing when there is none.  In any order: first and last go by their times. */
void history_buckets_add(struct history_buckets *to, const struct rollup_entry *e, int64_t first_us,
                         int64_t last_us);
void history_buckets_free(struct history_buckets *b); /* what it holds */

struct history_point {
    int64_t ts_us;
    double value;
    int16_t quality;
    uint32_t order; /* of equal times: as stored */
};
struct history_points {
    size_t n, cap;
    struct history_point *v; /* owned; by time */
};
MUST_CHECK enum err history_points_add(struct history_points *p, int64_t ts_us, double value,
                                       int16_t quality); /* ERR_TOOBIG */
void history_points_sort(struct history_points *p);
void history_points_free(struct history_points *p);

#endif
