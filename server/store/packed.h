/* packed.h - many samples of one series in a few small arrays, bit for bit what went in.
 *
 * This is the form of a row of the tables piece and chunk (see the migration "history"); the SQL
 * function unpack reads the same.  A row has
 *   times    start, then step_us when all intervals are equal, else t2 or t4 (milliseconds since
 *            the sample before) or t8 (microseconds)
 *   values   with a scale: integers over 10^scale, v0 and then the differences v2 or v4 (neither:
 *            all are v0); without it vf, each repeated rn times if there is rn
 *   quality  q, each repeated qn times; neither: all are 0 (good)
 * Arrays of differences have n entries, the first is 0.
 *
 * Pure functions: no I/O, no clock, no globals.  Any thread. */
#ifndef BRAID_STORE_PACKED_H
#define BRAID_STORE_PACKED_H

#include "base/arena.h"

#define PACKED_MAX       32768 /* samples of one row */
#define PACKED_SCALE_MAX 9

/* Samples as columns. */
struct points {
    int64_t *ts_us; /* UTC microseconds, ascending (equal ones are allowed) */
    double *value;
    int16_t *quality;
    size_t n;
};
/* points_make allocates room for n (n is set); ERR_NOMEM at the arena's ceiling. */
MUST_CHECK enum err points_make(struct arena *a, size_t n, struct points *out);

struct packed {
    int64_t start_us, stop_us; /* of the first and the last sample */
    uint32_t n;
    int64_t step_us;                   /* < 0: not equal, see t2, t4, t8 */
    const int16_t *t2;                 /* exactly one of step_us, t2, t4, t8; n entries */
    const int32_t *t4;                 /* in the arena, like all of these */
    const int64_t *t8;                 /*   */
    int scale;                         /* < 0: vf */
    int64_t v0;                        /* |v0| <= 2^53 */
    const int16_t *v2;                 /* at most one of v2, v4; n entries */
    const int32_t *v4;                 /*   */
    const double *vf;                  /* value_runs entries, or n when there is no rn */
    const int32_t *rn;                 /* NULL, or value_runs entries >= 1 whose sum is n */
    const int16_t *q;                  /* NULL, or quality_runs entries */
    const int32_t *qn;                 /* as rn, of q */
    uint32_t value_runs, quality_runs; /* 0 without rn, without q */
};

/* packed_encode packs 1..PACKED_MAX samples in order of time; arrays are in the arena (which needs
 * at most 64 bytes per sample and 1 kB).  in->quality may be NULL: all good.  What comes out was
 * decoded and compared bit for bit (NaN payloads, -0.0 and infinities included).  ERR_RANGE: n or a
 * time is out of range; ERR_INVALID: not in order; ERR_NOMEM. */
MUST_CHECK enum err packed_encode(struct arena *a, const struct points *in, struct packed *out);

/* packed_decode writes the p->n samples into the arrays of *out, each of which has room for them,
 * and sets out->n.  Nothing of *p is trusted: ERR_INVALID when its parts contradict each other,
 * and then the arrays hold rubbish. */
MUST_CHECK enum err packed_decode(const struct packed *p, struct points *out);

#endif
