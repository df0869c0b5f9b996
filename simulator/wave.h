/* wave.h - what a simulated sensor measures, as a pure function of (seed, time).
 *
 * Nothing is remembered: the value at any moment, past or present, follows from the wave, the
 * device's seed and the clock.  So a restarted device goes on where it was, 24 hours of history
 * can be computed without living through them, and tests know what to expect. */
#ifndef BRAID_SIM_WAVE_H
#define BRAID_SIM_WAVE_H

#include "base/str.h"

/* X(enumerator, word in the device description) */
#define WAVE_TABLE(X)                                                                              \
    X(WAVE_CONSTANT, "constant") /* mean */                                                        \
    X(WAVE_DIURNAL, "diurnal")   /* lowest before sunrise, highest in the afternoon, UTC days */   \
    X(WAVE_SINE, "sine")         /* mean, amplitude, period_s */                                   \
    X(WAVE_NOISE, "noise")       /* mean and noise alone */                                        \
    X(WAVE_WALK, "walk")         /* wanders within mean +- amplitude, a turn about every period */ \
    X(WAVE_COUNTER, "counter") /* start + rate per second, never falling, uneven like real use */  \
    X(WAVE_STATES, "states")   /* one of n states, chosen anew every period_s */                   \
    X(WAVE_SQUARE, "square")   /* state 0 and 1 in turn, half a period each */                     \
    X(WAVE_CLOCK, "clock")     /* the time itself, Unix seconds */

enum wave_kind {
#define X(id, word) id,
    WAVE_TABLE(X)
#undef X
        WAVE_KIND_COUNT
};

struct wave {
    enum wave_kind kind;
    double mean, amplitude;
    double noise;    /* +- on top, evenly spread, new every second */
    double drift;    /* per day, a saw over ten days (recalibrated then) */
    double period_s; /* > 0 for those that have one */
    double rate;     /* counter: per second */
    double start;    /* counter: at the epoch of the simulation */
    double min, max; /* clipped to these */
    unsigned states; /* states: how many */
    int decimals;    /* rounded to; -1: not at all */
};

extern const char *const wave_words[WAVE_KIND_COUNT];

/* wave_init gives the neutral wave of a kind: a constant 0, no noise, no limits. */
void wave_init(struct wave *w, enum wave_kind kind);
/* wave_at is the value at `utc_ms`; for states and square the number of the state. */
double wave_at(const struct wave *w, uint64_t seed, int64_t utc_ms);
/* wave_seed mixes a device's seed with the name of one of its signals. */
uint64_t wave_seed(uint64_t device, struct str name);

#endif
