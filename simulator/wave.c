/* wave.c - see wave.h.
 *
 * Randomness is a hash of (seed, number of the time step).  A walk is "value noise": random values
 * at the ends of each period, joined by a smooth curve, plus two finer octaves.  A counter adds to
 * its straight line the integral of such a wobble, kept below the line's own slope, so it never
 * runs backwards. */
#include "wave.h"

#include <math.h>

#define DAY_S   86400.0
#define EPOCH_S 1735689600.0 /* 2025-01-01, where counters start */

const char *const wave_words[WAVE_KIND_COUNT] = {
#define X(id, word) word,
    WAVE_TABLE(X)
#undef X
};

void wave_init(struct wave *w, enum wave_kind kind)
{
    *w = (struct wave){.kind = kind,
                       .period_s = kind == WAVE_SINE ? 600 : 3600,
                       .min = -HUGE_VAL,
                       .max = HUGE_VAL,
                       .states = 2,
                       .decimals = -1};
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t wave_seed(uint64_t device, struct str name)
{
    return mix(device ^ str_hash(name, 0x5eed));
}

/* Evenly spread in 0..1 for step `n`. */
static double unit(uint64_t seed, int64_t n)
{
    return (double)(mix(seed ^ mix((uint64_t)n)) >> 11) / 9007199254740992.0;
}

/* Smooth, in -1..1, through random values at whole `x`. */
static double smooth(uint64_t seed, double x)
{
    double left = floor(x), f = x - left;
    double a = unit(seed, (int64_t)left), b = unit(seed, (int64_t)left + 1);
    f = f * f * (3 - 2 * f);
    return 2 * (a + (b - a) * f) - 1;
}

static double walk(uint64_t seed, double x)
{
    return (smooth(seed, x) * 4 + smooth(seed ^ 1, x * 4) * 2 + smooth(seed ^ 2, x * 16)) / 7;
}

static double diurnal(const struct wave *w, uint64_t seed, double t)
{
    double day = fmod(t, DAY_S) / DAY_S;
    double sun = -cos(2 * M_PI * (day - 0.1875)); /* lowest at 04:30, highest at 16:30 */
    double weather = smooth(seed, t / DAY_S) * 0.35 + smooth(seed ^ 3, t / 5400) * 0.15;
    return w->mean + w->amplitude * (0.8 * sun + weather);
}

static double counter(const struct wave *w, uint64_t seed, double t)
{
    double since = t - EPOCH_S;
    /* The slope of the wobble stays below 0.9 of the rate: |d/dt| <= 2 pi/p * p/7. */
    double p = w->period_s, phase = unit(seed, 0) * 2 * M_PI;
    double wobble = sin(2 * M_PI * since / p + phase) * p / 7;
    return w->start + w->rate * (since + wobble);
}

static double raw(const struct wave *w, uint64_t seed, double t)
{
    switch (w->kind) {
    case WAVE_DIURNAL:
        return diurnal(w, seed, t);
    case WAVE_SINE:
        return w->mean + w->amplitude * sin(2 * M_PI * (t / w->period_s + unit(seed, 0)));
    case WAVE_WALK:
        return w->mean + w->amplitude * walk(seed, t / w->period_s);
    case WAVE_COUNTER:
        return counter(w, seed, t);
    case WAVE_STATES:
        return floor(unit(seed, (int64_t)floor(t / w->period_s)) * w->states);
    case WAVE_SQUARE:
        return fmod(floor(2 * t / w->period_s + unit(seed, 0)), 2);
    case WAVE_CLOCK:
        return floor(t);
    case WAVE_CONSTANT:
    case WAVE_NOISE:
    case WAVE_KIND_COUNT:
        break;
    }
    return w->mean;
}

double wave_at(const struct wave *w, uint64_t seed, int64_t utc_ms)
{
    double t = (double)utc_ms / 1000;
    double v = raw(w, seed, t);
    if (w->noise != 0)
        v += w->noise * (2 * unit(seed ^ 7, (int64_t)floor(t)) - 1);
    if (w->drift != 0)
        v += w->drift * fmod(t / DAY_S + 10 * unit(seed, 1), 10);
    v = fmin(fmax(v, w->min), w->max);
    if (w->decimals >= 0) {
        double scale = pow(10, w->decimals);
        v = round(v * scale) / scale;
    }
    return v;
}
