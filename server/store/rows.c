/* rows.c - see rows.h.
 *
 * First a radix sort by series, which is stable and needs two or three passes over numbers as they
 * are in practice; then each series by time, which mostly is only a look: its rows came in order.
 * Where they did not, sorted runs are merged. */
#include "store/rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGIT_BITS 11
#define DIGITS     ((size_t)1 << DIGIT_BITS)

void rows_init(struct rows *r)
{
    *r = (struct rows){NULL, 0, 0, NULL};
}

void rows_fini(struct rows *r)
{
    free(r->v);
    free(r->spare);
    rows_init(r);
}

enum err rows_room(struct rows *r, size_t n)
{
    size_t cap = r->cap ? r->cap : 4096;
    while (cap - r->n < n)
        cap *= 2;
    if (cap == r->cap)
        return ERR_OK;
    struct row *v = reallocarray(r->v, cap, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    r->v = v;
    free(r->spare);
    r->spare = NULL;
    r->cap = 0; /* until both are there */
    r->spare = reallocarray(NULL, cap, sizeof *v);
    if (!r->spare)
        return ERR_NOMEM;
    r->cap = cap;
    return ERR_OK;
}

static void swap(struct rows *r)
{
    struct row *v = r->v;
    r->v = r->spare;
    r->spare = v;
}

/* One pass of the radix sort; nothing to do when all have the same digit. */
static void sort_by_digit(struct rows *r, unsigned shift)
{
    size_t starts[DIGITS] = {0};
    for (size_t i = 0; i < r->n; i++)
        starts[r->v[i].series >> shift & (DIGITS - 1)]++;
    if (starts[r->v[0].series >> shift & (DIGITS - 1)] == r->n)
        return;
    for (size_t i = 0, sum = 0; i < DIGITS; i++) {
        size_t n = starts[i];
        starts[i] = sum;
        sum += n;
    }
    for (size_t i = 0; i < r->n; i++)
        r->spare[starts[r->v[i].series >> shift & (DIGITS - 1)]++] = r->v[i];
    swap(r);
}

static bool in_order(const struct row *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i].ts_us < v[i - 1].ts_us)
            return false;
    return true;
}

static void merge(const struct row *a, size_t n_a, const struct row *b, size_t n_b, struct row *out)
{
    while (n_a && n_b) {
        bool take_b = b->ts_us < a->ts_us; /* equal ones: as they came */
        *out++ = take_b ? *b : *a;
        a += !take_b;
        b += take_b;
        n_a -= !take_b;
        n_b -= take_b;
    }
    memcpy(out, n_a ? a : b, (n_a + n_b) * sizeof *out);
}

/* Bottom up, ever longer runs, to and fro between the two buffers. */
static void sort_by_time(struct row *v, struct row *spare, size_t n)
{
    struct row *from = v, *to = spare;
    if (in_order(v, n))
        return;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t left = n - i < width ? n - i : width;
            size_t right = n - i - left < width ? n - i - left : width;
            merge(from + i, left, from + i + left, right, to + i);
        }
        struct row *other = from;
        from = to;
        to = other;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
}

void rows_sort(struct rows *r)
{
    if (!r->n)
        return;
    for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS)
        sort_by_digit(r, shift);
    for (size_t i = 0, end; i < r->n; i = end) {
        for (end = i + 1; end < r->n && r->v[end].series == r->v[i].series; end++)
            continue;
        sort_by_time(r->v + i, r->spare + i, end - i);
    }
}
