/* clock.h - the two clocks.  Deadlines are monotonic ms, stamps are UTC ms since 1970.
 *
 * Sans-I/O rooms never call these: time is passed in as struct moment. */
#ifndef BRAID_BASE_CLOCK_H
#define BRAID_BASE_CLOCK_H

#include "base/str.h"

struct moment {
    uint64_t mono_ms; /* CLOCK_MONOTONIC */
    int64_t utc_ms;   /* CLOCK_REALTIME */
};

#define MINUTE_US INT64_C(60000000)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)

struct moment clock_now(void);
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
int64_t clock_utc_ms(void);

/* clock_is_possible: may something seen at `now_ms` carry this stamp?  Clocks of devices that are
 * more than ten minutes ahead, or were never set (before 2000), are wrong. */
bool clock_is_possible(int64_t utc_ms, int64_t now_ms);

/* clock_rfc3339 writes "2026-01-31T12:00:00.000Z" (24 characters and NUL). */
#define CLOCK_TEXT 32
void clock_rfc3339(int64_t utc_ms, char out[CLOCK_TEXT]);
/* clock_parse reads RFC 3339 with Z or a numeric offset, or a bare integer of Unix ms. */
MUST_CHECK enum err clock_parse(struct str text, int64_t *utc_ms);

#endif
