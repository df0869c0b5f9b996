/* past.h - which part of the past a device still has to tell, and in which portions.
 *
 * Pure bookkeeping: a stretch of time is cut into chapters, each one message of historical samples.
 * A stretch that was begun is finished, also over a lost connection, before another is planned. */
#ifndef BRAID_SIM_PAST_H
#define BRAID_SIM_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct past {
    int64_t next_ms, step_ms, end_ms;
};

struct past_chapter {
    int64_t from_ms, step_ms;
    size_t n; /* points in time */
};

/* past_plan_day plans the 24 h before `now_ms`, a point a minute. */
void past_plan_day(struct past *p, int64_t now_ms);
/* past_plan_gap plans the time since `last_ms` (0: nothing to tell), a point every `interval_ms`,
 * at most about 500 of them. */
void past_plan_gap(struct past *p, int64_t last_ms, int64_t now_ms, int64_t interval_ms);
bool past_is_open(const struct past *p);
/* past_next takes the next chapter for `metrics` values per point; false when all is told. */
bool past_next(struct past *p, size_t metrics, struct past_chapter *out);
/* past_pause_ms is the time between two chapters of one device, so that a fleet of `devices`
 * together stays below 15,000 values per second. */
uint64_t past_pause_ms(uint64_t devices);

#endif
