/* export.h - samples of a few series of one device as lines, a window of time after the other.
 *
 * Each window is read in one snapshot and holds at most some hundred thousand samples, however long
 * the span is, so memory is bounded and no transaction is open while a slow client takes its
 * lines.  Windows are half-open and do not overlap: a sample is in exactly one.
 *
 *   CSV     RFC 4180: time, then value and quality of each series; its unit is in the head.  With
 *           buckets min, max, avg, n and last of each.  Samples of one time share a line.
 *   NDJSON  one object per sample or bucket, in order of time.
 *
 * Numbers that are NaN are empty (null), infinities are Infinity and -Infinity (null). */
#ifndef BRAID_STORE_EXPORT_H
#define BRAID_STORE_EXPORT_H

#include "base/buf.h"
#include "port/pg.h"

#define EXPORT_SERIES_MAX 32

enum export_format { EXPORT_CSV, EXPORT_NDJSON };
struct export_request {
    struct str endpoint;
    const struct str *keys; /* borrowed until export_free */
    size_t n;               /* 1..EXPORT_SERIES_MAX */
    int64_t from_ms, to_ms;
    enum export_format format;
    int64_t bucket_s; /* 0: samples; above a minute rounded up to minutes, above an hour to hours */
};

struct export;
/* export_new looks the series up: ERR_NOTFOUND, ERR_INVALID. */
MUST_CHECK enum err export_new(struct pg *db, const struct export_request *q, struct export **out);
/* export_next appends the lines of the next window, at first also the head; *done: it was the last
 * one.  `db` is idle between calls and may be another one each time. */
MUST_CHECK enum err export_next(struct export *x, struct pg *db, struct buf *out, bool *done);
void export_free(struct export *x); /* NULL is fine */

#endif
