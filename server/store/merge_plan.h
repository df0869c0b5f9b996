/* merge_plan.h - which series of which span have pieces to be merged.
 *
 * A span is an hour or a day of UTC.  It is due two minutes after its end, when nothing waits to be
 * packed that was opened before (or a quarter of an hour later, whatever waits: what comes late is
 * merged later).  An hour's plan holds the series that are fast in it (of a day that is over:
 * unless the day's chunk has samples of the hour); a day's, once it is over, all others with pieces
 * and those whose day has no row in rollup_hour yet. */
#ifndef BRAID_STORE_MERGE_PLAN_H
#define BRAID_STORE_MERGE_PLAN_H

#include "base/clock.h"
#include "port/pg.h"

/* Samples an hour of a series must have to be a chunk with its own roll-up. */
#define MERGE_FAST 1800

enum span_kind { SPAN_HOUR, SPAN_DAY };
struct span {
    enum span_kind kind;
    int64_t start_us;
};

struct merge_item {
    uint32_t series;
    int64_t weight; /* about how many samples merging it takes */
};

struct merge_plan {
    struct span *spans;                   /* ascending; an over day's hours, then the day */
    size_t n_spans, next_span, cap_spans; /* none: all is done */
    bool all; /* a look takes all hours: what was touched before may not have been done */
    int64_t day_done_us; /* days before were looked at to the end */
    struct span span;    /* that `items` are of */
    struct merge_item *items;
    size_t n, next, cap;
};
void merge_plan_init(struct merge_plan *p);
void merge_plan_fini(struct merge_plan *p);

/* merge_horizon tells until when everything is due at the time `now_us`. */
MUST_CHECK enum err merge_horizon(struct pg *db, int64_t now_us, int64_t *horizon_us);
/* merge_plan_look makes the list of spans before the horizon. */
MUST_CHECK enum err merge_plan_look(struct merge_plan *p, struct pg *db, int64_t horizon_us);
/* merge_plan_drop forgets the list: something failed, and the next look finds it again. */
void merge_plan_drop(struct merge_plan *p);
/* merge_plan_next makes the list of items of the next span that has some; false: no more spans. */
MUST_CHECK enum err merge_plan_next(struct merge_plan *p, struct pg *db, int64_t horizon_us,
                                    bool *found);
/* merge_plan_take hands out items of the plan whose weights sum up to at most `limit` (one at
 * least), at most `most`; 0: the plan is done. */
size_t merge_plan_take(struct merge_plan *p, int64_t limit, size_t most,
                       const struct merge_item **items);

#endif
