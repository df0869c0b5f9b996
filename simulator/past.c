/* past.c - see past.h. */
#include "past.h"

#define DAY_MS       INT64_C(86400000)
#define MINUTE_MS    INT64_C(60000)
#define CHAPTER_SIZE 300   /* values in one message */
#define FLEET_RATE   15000 /* values per second */
#define PAUSE_MIN_MS 200
#define GAP_POINTS   500

bool past_is_open(const struct past *p)
{
    return p->next_ms < p->end_ms;
}

void past_plan_day(struct past *p, int64_t now_ms)
{
    if (past_is_open(p))
        return;
    int64_t end = now_ms - now_ms % MINUTE_MS;
    *p = (struct past){.next_ms = end - DAY_MS, .step_ms = MINUTE_MS, .end_ms = end};
}

void past_plan_gap(struct past *p, int64_t last_ms, int64_t now_ms, int64_t interval_ms)
{
    if (past_is_open(p) || !last_ms || now_ms - last_ms <= interval_ms)
        return;
    int64_t least = (now_ms - last_ms) / GAP_POINTS;
    *p = (struct past){.next_ms = last_ms + interval_ms,
                       .step_ms = interval_ms > least ? interval_ms : least,
                       .end_ms = now_ms};
}

bool past_next(struct past *p, size_t metrics, struct past_chapter *out)
{
    if (!metrics || !past_is_open(p))
        return false;
    int64_t left = (p->end_ms - p->next_ms + p->step_ms - 1) / p->step_ms;
    size_t n = (CHAPTER_SIZE + metrics - 1) / metrics;
    if ((int64_t)n > left)
        n = (size_t)left;
    *out = (struct past_chapter){.from_ms = p->next_ms, .step_ms = p->step_ms, .n = n};
    p->next_ms += (int64_t)n * p->step_ms;
    return true;
}

uint64_t past_pause_ms(uint64_t devices)
{
    uint64_t ms = devices * CHAPTER_SIZE * 1000 / FLEET_RATE;
    return ms > PAUSE_MIN_MS ? ms : PAUSE_MIN_MS;
}
