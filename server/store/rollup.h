/* rollup.h - minutes and fives of minutes of an hour, and hours of a day: how many samples, their
 * least, greatest, mean, first and last value.
 *
 * The rule, the same here and in SQL (function is_sound): a sample is *sound* when its value is
 * finite and its quality, apart from the mark "historical" (16), is neither bad (1) nor null (3).
 * lo, hi, mean, first and last are of the sound ones alone, NaN when there are none; n counts all
 * samples and bad those that are not sound, so a mean has the weight n - bad.  Buckets begin at
 * whole minutes (hours) of UTC.
 *
 * A row of rollup_minute stands for an hour, one of rollup_hour for a day; its arrays have one
 * entry per bucket that has samples, in order: at (minute 0..59, hour 0..23), n, lo, hi, mean,
 * first, last, and bad (NULL when all samples are sound).  A row of rollup_minute has the same once
 * more by five minutes (at5 0..11, n5, ...; NULL in rows older than migration 19), so that a chart
 * of a week reads a fifth of the entries.
 *
 * Pure functions.  Any thread. */
#ifndef BRAID_STORE_ROLLUP_H
#define BRAID_STORE_ROLLUP_H

#include "base/buf.h"
#include "store/packed.h"

#define QUALITY_HISTORICAL 16

enum rollup_kind { ROLLUP_MINUTE, ROLLUP_FIVE, ROLLUP_HOUR, ROLLUP_KINDS };
#define ROLLUP_ENTRIES_MAX 60

struct rollup_entry {
    int16_t at; /* which minute (five, hour) of the row's hour (day) */
    int64_t n, bad;
    double lo, hi, mean, first, last;
};

struct rollup {
    enum rollup_kind kind;
    int64_t start_us; /* of the hour (day), UTC */
    size_t entries;
    struct rollup_entry entry[ROLLUP_ENTRIES_MAX]; /* ascending `at` */
};

bool rollup_is_sound(double value, int16_t quality);
/* rollup_entry_us: the width of an entry.  rollup_row_us: of a row.  rollup_start: when the row
 * that holds `ts_us` begins. */
int64_t rollup_entry_us(enum rollup_kind kind);
int64_t rollup_row_us(enum rollup_kind kind);
int64_t rollup_start(enum rollup_kind kind, int64_t ts_us);

/* rollup_make sums up all samples of one row's span, in order of time (in->quality may be NULL: all
 * good).  ERR_RANGE when they are of more than one row, or none. */
MUST_CHECK enum err rollup_make(enum rollup_kind kind, const struct points *in, struct rollup *out);
/* rollup_join adds what came after to *into, an entry that may still be empty (n = 0). */
void rollup_join(struct rollup_entry *into, const struct rollup_entry *later);
/* rollup_fold makes the entry of an hour from the row of its minutes. */
struct rollup_entry rollup_fold(const struct rollup *minutes);
/* rollup_set puts an entry in its place, replacing the one of the same `at`; one without samples
 * only takes the old one out. */
void rollup_set(struct rollup *r, const struct rollup_entry *e);

/* "COPY rollup_minute (" ROLLUP_MINUTE_COPY_COLUMNS ") FROM STDIN (FORMAT binary)" takes rows that
 * rollup_put_row makes of minutes, their fives included, "COPY rollup_hour ("
 * ROLLUP_HOUR_COPY_COLUMNS ... those of hours; rollup_read takes the ROLLUP_FIELDS fields of a
 * binary result of "SELECT " ROLLUP_COLUMNS, of fives ROLLUP_FIVE_COLUMNS (ERR_INVALID: nothing is
 * trusted). */
#define ROLLUP_COLUMNS           "start, at, n, lo, hi, mean, first, last, bad"
#define ROLLUP_FIVE_COLUMNS      "start, at5, n5, lo5, hi5, mean5, first5, last5, bad5"
#define ROLLUP_FIELDS            9
#define ROLLUP_HOUR_COPY_COLUMNS "series_id, class_id, " ROLLUP_COLUMNS
#define ROLLUP_MINUTE_COPY_COLUMNS                                                                 \
    ROLLUP_HOUR_COPY_COLUMNS ", at5, n5, lo5, hi5, mean5, first5, last5, bad5"
void rollup_put_row(struct buf *out, const struct rollup *r, uint32_t series, int16_t class_id);
MUST_CHECK enum err rollup_read(struct arena *a, enum rollup_kind kind, const struct str *fields,
                                struct rollup *out);

#endif
