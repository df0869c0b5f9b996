/* packed.c - see packed.h.
 *
 * The encoder tries the cheapest form first and checks each with the very expression the decoder
 * uses, so the choice can only cost bytes, never a bit: (double)i / 10^scale has to give back the
 * bits of every value, and a time that is no whole number of milliseconds after the one before
 * moves the row to microseconds.  Packing is followed by deleting the originals, so the result is
 * decoded and compared once more as a whole. */
#include "store/packed.h"

#include <stdlib.h>

/* Far from overflow, and more than a hundred thousand years. */
#define TIME_LIMIT_US ((int64_t)1 << 61)
#define EXACT_LIMIT   ((int64_t)1 << 53)

static const double powers[PACKED_SCALE_MAX + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

enum err points_make(struct arena *a, size_t n, struct points *out)
{
    struct points p = {
        .ts_us = arena_calloc(a, n, sizeof *p.ts_us),
        .value = arena_calloc(a, n, sizeof *p.value),
        .quality = arena_calloc(a, n, sizeof *p.quality),
        .n = n,
    };
    if (!p.ts_us || !p.value || !p.quality)
        return ERR_NOMEM;
    *out = p;
    return ERR_OK;
}

/* ---- encoding: times ---- */

struct intervals {
    int64_t first, longest;
    bool equal, whole_ms;
};

static enum err look_at_times(const struct points *in, struct intervals *out)
{
    const int64_t *t = in->ts_us;
    if (t[0] < -TIME_LIMIT_US || t[in->n - 1] > TIME_LIMIT_US)
        return ERR_RANGE;
    struct intervals v = {.equal = true, .whole_ms = true};
    v.first = in->n > 1 ? t[1] - t[0] : 0;
    for (size_t i = 1; i < in->n; i++) {
        if (t[i] < t[i - 1])
            return ERR_INVALID;
        int64_t d = t[i] - t[i - 1];
        v.equal &= d == v.first;
        v.whole_ms &= d % 1000 == 0;
        if (d > v.longest)
            v.longest = d;
    }
    *out = v;
    return ERR_OK;
}

static enum err encode_times(struct arena *a, const struct points *in, struct packed *out)
{
    struct intervals v;
    const int64_t *t = in->ts_us;
    enum err e = look_at_times(in, &v);
    if (e)
        return e;
    out->start_us = t[0];
    out->stop_us = t[in->n - 1];
    out->step_us = v.equal ? v.first : -1;
    if (v.equal)
        return ERR_OK;
    if (v.whole_ms && v.longest / 1000 <= INT16_MAX) {
        int16_t *t2 = arena_calloc(a, in->n, sizeof *t2);
        for (size_t i = 1; t2 && i < in->n; i++)
            t2[i] = (int16_t)((t[i] - t[i - 1]) / 1000);
        out->t2 = t2;
    } else if (v.whole_ms && v.longest / 1000 <= INT32_MAX) {
        int32_t *t4 = arena_calloc(a, in->n, sizeof *t4);
        for (size_t i = 1; t4 && i < in->n; i++)
            t4[i] = (int32_t)((t[i] - t[i - 1]) / 1000);
        out->t4 = t4;
    } else {
        int64_t *t8 = arena_calloc(a, in->n, sizeof *t8);
        for (size_t i = 1; t8 && i < in->n; i++)
            t8[i] = t[i] - t[i - 1];
        out->t8 = t8;
    }
    return out->t2 || out->t4 || out->t8 ? ERR_OK : ERR_NOMEM;
}

/* ---- encoding: values ---- */

/* nearest rounds to an integer by moving v where doubles have no fraction; right for |v| < 2^51,
 * and what is wrong beyond does not pass the comparison. */
static inline double nearest(double v)
{
    const double magic = 0x1.8p52;
    return (v + magic) - magic;
}

static inline bool fits(double v, double power)
{
    double r = nearest(v * power);
    return bits_of(r / power) == bits_of(v) && r <= (double)EXACT_LIMIT &&
           r >= -(double)EXACT_LIMIT;
}

/* find_scale: the smallest one that is exact for all, or -1.  What fits a scale fits the next one
 * too unless it becomes too large, so one pass finds it and a second one (to_integers) confirms. */
static int find_scale(const struct points *in)
{
    int scale = 0;
    for (size_t i = 0; i < in->n; i++)
        while (!fits(in->value[i], powers[scale]))
            if (++scale > PACKED_SCALE_MAX)
                return -1;
    return scale;
}

static bool to_integers(const struct points *in, int scale, int64_t *out)
{
    for (size_t i = 0; i < in->n; i++) {
        if (!fits(in->value[i], powers[scale]))
            return false;
        out[i] = (int64_t)nearest(in->value[i] * powers[scale]);
    }
    return true;
}

struct trial {
    int scale;       /* -1: none is exact */
    int64_t *number; /* value * 10^scale */
    int64_t widest;  /* difference of neighbours */
    size_t runs;     /* of equal values */
};

static enum err try_values(struct arena *a, const struct points *in, struct trial *out)
{
    struct trial t = {.scale = find_scale(in), .runs = 1};
    for (size_t i = 1; i < in->n; i++)
        t.runs += bits_of(in->value[i]) != bits_of(in->value[i - 1]);
    if (t.scale >= 0) {
        t.number = arena_alloc(a, in->n * sizeof *t.number);
        if (!t.number)
            return ERR_NOMEM;
        if (!to_integers(in, t.scale, t.number))
            t.scale = -1;
    }
    for (size_t i = 1; t.scale >= 0 && i < in->n; i++) {
        int64_t d = llabs(t.number[i] - t.number[i - 1]);
        if (d > t.widest)
            t.widest = d;
    }
    *out = t;
    return ERR_OK;
}

/* What a form takes at rest, roughly: lz4 makes of differences that are mostly 0 a few bytes per
 * change, and nothing of noise. */
static size_t cost_of_deltas(const struct trial *t, size_t n)
{
    if (t->scale < 0 || t->widest > INT32_MAX)
        return SIZE_MAX;
    if (t->runs == 1)
        return 0;
    size_t size = t->widest > INT16_MAX ? 4 : 2;
    size_t sparse = (size + 4) * (t->runs - 1) + n * size / 255;
    return sparse < n * size ? sparse : n * size;
}

static size_t cost_of_runs(const struct trial *t)
{
    return t->runs * (sizeof(double) + sizeof(int32_t)) + 48;
}

static enum err encode_deltas(struct arena *a, const struct trial *t, size_t n, struct packed *out)
{
    out->scale = t->scale;
    out->v0 = t->number[0];
    if (t->runs == 1)
        return ERR_OK;
    if (t->widest <= INT16_MAX) {
        int16_t *v2 = arena_calloc(a, n, sizeof *v2);
        for (size_t i = 1; v2 && i < n; i++)
            v2[i] = (int16_t)(t->number[i] - t->number[i - 1]);
        out->v2 = v2;
    } else {
        int32_t *v4 = arena_calloc(a, n, sizeof *v4);
        for (size_t i = 1; v4 && i < n; i++)
            v4[i] = (int32_t)(t->number[i] - t->number[i - 1]);
        out->v4 = v4;
    }
    return out->v2 || out->v4 ? ERR_OK : ERR_NOMEM;
}

static enum err encode_runs(struct arena *a, const struct points *in, size_t runs,
                            struct packed *out)
{
    double *vf = arena_calloc(a, runs, sizeof *vf);
    int32_t *rn = arena_calloc(a, runs, sizeof *rn);
    if (!vf || !rn)
        return ERR_NOMEM;
    for (size_t i = 0, r = 0; i < in->n; i++) {
        r += i && bits_of(in->value[i]) != bits_of(in->value[i - 1]);
        vf[r] = in->value[i];
        rn[r]++;
    }
    out->vf = vf;
    out->rn = rn;
    out->value_runs = (uint32_t)runs;
    return ERR_OK;
}

static enum err encode_plain(struct arena *a, const struct points *in, struct packed *out)
{
    double *vf = arena_alloc(a, in->n * sizeof *vf);
    if (!vf)
        return ERR_NOMEM;
    memcpy(vf, in->value, in->n * sizeof *vf);
    out->vf = vf;
    return ERR_OK;
}

static enum err encode_values(struct arena *a, const struct points *in, struct packed *out)
{
    struct trial t;
    enum err e = try_values(a, in, &t);
    if (e)
        return e;
    size_t deltas = cost_of_deltas(&t, in->n), runs = cost_of_runs(&t);
    out->scale = -1;
    if (t.scale >= 0 && deltas <= runs)
        return encode_deltas(a, &t, in->n, out);
    if (runs < in->n * sizeof(double))
        return encode_runs(a, in, t.runs, out);
    return encode_plain(a, in, out);
}

/* ---- encoding: qualities, and all together ---- */

static enum err encode_quality(struct arena *a, const struct points *in, struct packed *out)
{
    size_t runs = 1;
    bool good = true;
    for (size_t i = 0; in->quality && i < in->n; i++) {
        good &= in->quality[i] == 0;
        runs += i && in->quality[i] != in->quality[i - 1];
    }
    if (good)
        return ERR_OK;
    int16_t *q = arena_calloc(a, runs, sizeof *q);
    int32_t *qn = arena_calloc(a, runs, sizeof *qn);
    if (!q || !qn)
        return ERR_NOMEM;
    for (size_t i = 0, r = 0; i < in->n; i++) {
        r += i && in->quality[i] != in->quality[i - 1];
        q[r] = in->quality[i];
        qn[r]++;
    }
    out->q = q;
    out->qn = qn;
    out->quality_runs = (uint32_t)runs;
    return ERR_OK;
}

static enum err compare(struct arena *a, const struct packed *p, const struct points *in)
{
    struct points back;
    enum err e = points_make(a, p->n, &back);
    if (!e)
        e = packed_decode(p, &back);
    if (e)
        return e;
    bool same = memcmp(back.ts_us, in->ts_us, in->n * sizeof *in->ts_us) == 0 &&
                memcmp(back.value, in->value, in->n * sizeof *in->value) == 0;
    for (size_t i = 0; i < in->n; i++)
        same &= back.quality[i] == (in->quality ? in->quality[i] : 0);
    return same ? ERR_OK : ERR_CONFLICT;
}

enum err packed_encode(struct arena *a, const struct points *in, struct packed *out)
{
    if (!in->n || in->n > PACKED_MAX)
        return ERR_RANGE;
    struct packed p = {.n = (uint32_t)in->n};
    enum err e = encode_times(a, in, &p);
    if (!e)
        e = encode_values(a, in, &p);
    if (!e)
        e = encode_quality(a, in, &p);
    if (!e)
        e = compare(a, &p, in);
    if (!e)
        *out = p;
    return e;
}

/* ---- decoding ---- */

/* spread_step, spread_t2, spread_t4: what comes out cannot overflow, since n and the width of a
 * difference are limited and `start` is far from the ends; t8 is checked as it goes. */
static enum err spread_step(const struct packed *p, int64_t *t)
{
    if (p->step_us > TIME_LIMIT_US / PACKED_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < p->n; i++)
        t[i] = p->start_us + (int64_t)i * p->step_us;
    return ERR_OK;
}

static enum err spread_t2(const struct packed *p, int64_t *t)
{
    int64_t at = p->start_us;
    int16_t least = 0;
    for (size_t i = 0; i < p->n; i++) {
        least = p->t2[i] < least ? p->t2[i] : least;
        t[i] = at += (int64_t)p->t2[i] * 1000;
    }
    return least < 0 ? ERR_INVALID : ERR_OK;
}

static enum err spread_t4(const struct packed *p, int64_t *t)
{
    int64_t at = p->start_us;
    int32_t least = 0;
    for (size_t i = 0; i < p->n; i++) {
        least = p->t4[i] < least ? p->t4[i] : least;
        t[i] = at += (int64_t)p->t4[i] * 1000;
    }
    return least < 0 ? ERR_INVALID : ERR_OK;
}

static enum err spread_t8(const struct packed *p, int64_t *t)
{
    int64_t at = p->start_us;
    for (size_t i = 0; i < p->n; i++) {
        if (p->t8[i] < 0 || p->t8[i] > 2 * TIME_LIMIT_US || at > TIME_LIMIT_US)
            return ERR_INVALID;
        t[i] = at += p->t8[i];
    }
    return ERR_OK;
}

static enum err decode_times(const struct packed *p, int64_t *t)
{
    enum err e = ERR_INVALID;
    int forms = (p->step_us >= 0) + (p->t2 != NULL) + (p->t4 != NULL) + (p->t8 != NULL);
    if (forms != 1 || p->start_us < -TIME_LIMIT_US || p->start_us > TIME_LIMIT_US)
        return ERR_INVALID;
    if (p->t2)
        e = spread_t2(p, t);
    else if (p->t4)
        e = spread_t4(p, t);
    else if (p->t8)
        e = spread_t8(p, t);
    else
        e = spread_step(p, t);
    if (!e && (t[0] != p->start_us || t[p->n - 1] != p->stop_us))
        e = ERR_INVALID;
    return e;
}

static enum err decode_scaled(const struct packed *p, double *v)
{
    if (p->scale > PACKED_SCALE_MAX || (p->v2 && p->v4) || p->vf || p->rn || p->v0 > EXACT_LIMIT ||
        p->v0 < -EXACT_LIMIT)
        return ERR_INVALID;
    double power = powers[p->scale];
    int64_t at = p->v0;
    if (p->v2)
        for (size_t i = 0; i < p->n; i++)
            v[i] = (double)(at += p->v2[i]) / power;
    else if (p->v4)
        for (size_t i = 0; i < p->n; i++)
            v[i] = (double)(at += p->v4[i]) / power;
    else
        for (size_t i = 0; i < p->n; i++)
            v[i] = (double)at / power;
    return ERR_OK;
}

/* whole_runs: every run has a length, and together they are n. */
static bool whole_runs(const int32_t *lengths, uint32_t runs, uint32_t n)
{
    uint64_t sum = 0;
    if (!runs || runs > n)
        return false;
    for (uint32_t r = 0; r < runs; r++) {
        if (lengths[r] < 1)
            return false;
        sum += (uint64_t)lengths[r];
    }
    return sum == n;
}

static enum err decode_floats(const struct packed *p, double *v)
{
    if (!p->vf || p->v2 || p->v4 || (p->rn && !whole_runs(p->rn, p->value_runs, p->n)))
        return ERR_INVALID;
    if (!p->rn) {
        memcpy(v, p->vf, p->n * sizeof *v);
        return ERR_OK;
    }
    for (uint32_t r = 0; r < p->value_runs; r++)
        for (int32_t k = 0; k < p->rn[r]; k++)
            *v++ = p->vf[r];
    return ERR_OK;
}

static enum err decode_quality(const struct packed *p, int16_t *q)
{
    if (!p->q != !p->qn)
        return ERR_INVALID;
    if (!p->q) {
        memset(q, 0, p->n * sizeof *q);
        return ERR_OK;
    }
    if (!whole_runs(p->qn, p->quality_runs, p->n))
        return ERR_INVALID;
    for (uint32_t r = 0; r < p->quality_runs; r++)
        for (int32_t k = 0; k < p->qn[r]; k++)
            *q++ = p->q[r];
    return ERR_OK;
}

enum err packed_decode(const struct packed *p, struct points *out)
{
    if (!p->n || p->n > PACKED_MAX)
        return ERR_INVALID;
    enum err e = decode_times(p, out->ts_us);
    if (!e)
        e = p->scale >= 0 ? decode_scaled(p, out->value) : decode_floats(p, out->value);
    if (!e)
        e = decode_quality(p, out->quality);
    if (!e)
        out->n = p->n;
    return e;
}
