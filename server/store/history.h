/* history.h - samples of one series over a span of time, from wherever they are, each exactly once.
 *
 * Samples are in landing tables, pieces and chunks, and what was in chunks is summed up by minutes
 * and hours (migrations/0010_history.sql).  A span is read hour by hour from the source that fits
 * the wanted width best and has that hour: roll-ups of hours for buckets of an hour and more, of
 * minutes for those of a minute and more, else the chunks themselves; then the next one, so that
 * what retention has left is found.  Pieces and landing tables are always read as they are.
 *
 * All functions read in one snapshot (a transaction of their own): not inside a transaction. */
#ifndef BRAID_STORE_HISTORY_H
#define BRAID_STORE_HISTORY_H

#include "port/pg.h"
#include "store/history_grid.h"

struct recent;

/* One series, and when: from <= time < to.  What landed and is not packed is taken from `recent` if
 * all of it is held there; NULL: from the tables, which are looked through from end to end. */
struct history_span {
    int32_t series;
    int64_t from_us, to_us;
    struct recent *recent;
};
/* The largest span that is read: far more than anything is kept. */
#define HISTORY_SPAN_MAX_US (INT64_C(1000) * 366 * 86400 * 1000000)

/* history_read_points gives the samples of a span as they were stored. */
MUST_CHECK enum err history_read_points(struct pg *db, struct history_span span,
                                        struct history_points *out);
/* history_read_buckets sums up the whole buckets of `width_us` that touch the span: ERR_TOOBIG for
 * more than a million of them. */
MUST_CHECK enum err history_read_buckets(struct pg *db, struct history_span span, int64_t width_us,
                                         struct history_buckets *out);

/* history_read gives points when they are at most `limit` and nothing but them is left of the span
 * (*raw true), else buckets of history_width. */
struct history {
    bool raw;
    struct history_points points;
    struct history_buckets buckets;
};
MUST_CHECK enum err history_read(struct pg *db, struct history_span span, uint32_t limit,
                                 struct history *out);
void history_free(struct history *h);

/* history_before finds the newest sample before a time; *found false when there is none. */
MUST_CHECK enum err history_before(struct pg *db, int32_t series, int64_t ts_us,
                                   struct recent *recent, bool *found, struct history_point *out);

#endif
