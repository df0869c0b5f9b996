/* storage.h - what history takes on disk, by kind of table, class and device, and how long the
 * disk lasts.
 *
 * Sizes by kind and class are those of the tables.  Samples, and bytes by device and series, are
 * estimates: storage_count reads what was added to chunk since the last call, and a device gets its
 * share of all that its classes take.  Answers say so, and from when the count is. */
#ifndef BRAID_STORE_STORAGE_H
#define BRAID_STORE_STORAGE_H

#include "store/queries.h"

/* The kinds of tables, in the order of storage_figures.  X(word) */
#define STORAGE_KIND_TABLE(X)                                                                      \
    X(landing)                                                                                     \
    X(piece)                                                                                       \
    X(chunk)                                                                                       \
    X(rollup_minute)                                                                               \
    X(rollup_hour)                                                                                 \
    X(text)                                                                                        \
    X(timeline)                                                                                    \
    X(other)
enum storage_kind {
#define X(word) STORAGE_##word,
    STORAGE_KIND_TABLE(X)
#undef X
        STORAGE_KINDS
};

struct storage_limits {
    int64_t limit_bytes; /* 0: none was set */
    int64_t free_bytes;  /* of the volume; -1: not known */
};
/* storage_volume tells the free bytes of the volume that holds `path`; -1 for "" or if it cannot
 * be known. */
int64_t storage_volume(const char *path);

struct storage_figures {
    int64_t bytes[STORAGE_KINDS];
    int64_t total, limit; /* limit 0: none is known */
    bool known;           /* there was an hour to measure in */
    int64_t full_days;    /* until the limit is reached; -1: not within ten years */
    double steady;        /* bytes when as much is dropped as comes in */
    double rate;          /* bytes per day still added */
    double grew;          /* measured: bytes per day over grew_days */
    double grew_days;
};
MUST_CHECK enum err storage_measure(struct pg *db, int64_t now_ms, struct storage_limits limits,
                                    struct storage_figures *out);
/* storage_level: "full", "short" (less than 7 days), "soon" (30), "fits" or "unknown". */
const char *storage_level(const struct storage_figures *f);
/* storage_sentence says it in words; storage_evidence what that rests on. */
void storage_sentence(const struct storage_figures *f, struct buf *out);
void storage_evidence(const struct storage_figures *f, struct buf *out);

/* The whole of GET /storage. */
MUST_CHECK enum err storage_report(struct pg *db, int64_t now_ms, struct storage_limits limits,
                                   struct json_out *j);
/* Devices by bytes, the largest first.  ERR_INVALID: not a cursor of ours. */
MUST_CHECK enum err storage_devices(struct pg *db, struct q_page page, struct json_out *j);
/* One device and its series in the order of their ids.  ERR_NOTFOUND, ERR_INVALID. */
MUST_CHECK enum err storage_device(struct pg *db, int64_t now_ms, struct str endpoint,
                                   struct q_page page, struct json_out *j);

/* What the job writes down.  storage_count does a part of the count that began at run_ms, reading a
 * bounded number of pages; *more: call it again with the same time.  storage_note when it is done.
 */
MUST_CHECK enum err storage_count(struct pg *db, int64_t run_ms, bool *more);
MUST_CHECK enum err storage_note(struct pg *db, int64_t now_ms);

#endif
