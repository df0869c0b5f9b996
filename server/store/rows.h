/* rows.h - many samples of many series in memory, on their way from plain rows to packed ones.
 *
 * Rows come in any order, mostly as runs that are sorted already; rows_sort puts them in order of
 * series and time.  Samples of one series and one time keep the order in which they came. */
#ifndef BRAID_STORE_ROWS_H
#define BRAID_STORE_ROWS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct row {
    int64_t ts_us; /* UTC microseconds */
    double value;
    uint32_t series;
    int16_t quality;
};

struct rows {
    struct row *v;
    size_t n, cap;
    struct row *spare; /* as many, for sorting */
};

void rows_init(struct rows *r);
void rows_fini(struct rows *r);
/* rows_room makes room for `n` more; what is in stays.  ERR_NOMEM. */
MUST_CHECK enum err rows_room(struct rows *r, size_t n);
void rows_sort(struct rows *r);

#endif
