/* packer.c - see packer.h. */
#include "store/packer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/chunk.h"
#include "store/classes.h"
#include "store/landing.h"
#include "store/packed_row.h"
#include "store/pg_binary.h"
#include "store/recent.h"
#include "store/rollup.h"
#include "store/rows.h"

#define BLOCK_BYTES    8192
#define ROWS_PER_BLOCK 160               /* of a landing table: 52 bytes each */
#define COPY_BYTES     ((size_t)4 << 20) /* pieces sent in one statement */
#define BODY_MAX_BYTES ((size_t)64 << 20)
#define ARENA_BYTES    ((size_t)PACKED_MAX * 96 + 65536)

struct packer {
    struct metrics *metrics;
    struct recent *recent;
    const _Atomic bool *stopping;
    size_t blocks; /* of a landing table, at a time */
    struct rows rows;
    struct classes classes;
    struct arena arena;
    struct points points;
    struct buf body;
    /* of this step */
    int64_t packed, pieces, too_old, impossible, remembered;
};

enum err packer_new(uint32_t memory_mb, struct metrics *m, struct recent *recent,
                    const _Atomic bool *stopping, struct packer **out)
{
    struct packer *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->metrics = m;
    p->recent = recent;
    p->stopping = stopping;
    p->blocks = ((size_t)memory_mb << 20) / (2 * sizeof(struct row) * ROWS_PER_BLOCK);
    p->blocks = p->blocks ? p->blocks : 1;
    rows_init(&p->rows);
    classes_init(&p->classes);
    arena_init(&p->arena, ARENA_BYTES, 4 * ARENA_BYTES);
    buf_init(&p->body, BODY_MAX_BYTES);
    p->points = (struct points){.ts_us = malloc(PACKED_MAX * sizeof *p->points.ts_us),
                                .value = malloc(PACKED_MAX * sizeof *p->points.value),
                                .quality = malloc(PACKED_MAX * sizeof *p->points.quality)};
    if (!p->points.ts_us || !p->points.value || !p->points.quality) {
        packer_free(p);
        return ERR_NOMEM;
    }
    *out = p;
    return ERR_OK;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    rows_fini(&p->rows);
    classes_fini(&p->classes);
    arena_fini(&p->arena);
    buf_fini(&p->body);
    free(p->points.ts_us);
    free(p->points.value);
    free(p->points.quality);
    free(p);
}

/* ---- reading a landing table ---- */

/* A range of blocks, so that a table of any size is read once and piece by piece. */
#define READ(slot)                                                                                 \
    "COPY (SELECT ts, value, series_id, quality FROM landing_" #slot                               \
    " WHERE ctid >= current_setting('braid.from')::tid "                                           \
    "AND ctid < current_setting('braid.till')::tid) TO STDOUT (FORMAT binary)"
static const char *const read_sql[LANDING_SLOTS] = {
    READ(0), READ(1), READ(2), READ(3), READ(4), READ(5), READ(6), READ(7),
};

#define SIZE(slot)                                                                                 \
    "SELECT pg_relation_size('landing_" #slot "') / current_setting('block_size')::int"
static const char *const size_sql[LANDING_SLOTS] = {
    SIZE(0), SIZE(1), SIZE(2), SIZE(3), SIZE(4), SIZE(5), SIZE(6), SIZE(7),
};

#define COUNT(slot) "SELECT count(*) FROM landing_" #slot
static const char *const count_sql[LANDING_SLOTS] = {
    COUNT(0), COUNT(1), COUNT(2), COUNT(3), COUNT(4), COUNT(5), COUNT(6), COUNT(7),
};

#define ROW_BYTES (2 + 4 + 8 + 4 + 8 + 4 + 4 + 4 + 2)

static enum err take_row(void *ctx, struct str row)
{
    struct packer *p = ctx;
    int32_t series;
    if (row.n != ROW_BYTES)
        return ERR_INVALID;
    enum err e = rows_room(&p->rows, 1);
    if (e)
        return e;
    struct row *r = &p->rows.v[p->rows.n];
    if (pg_get_time(str_make(row.p + 6, 8), &r->ts_us))
        r->ts_us = INT64_MIN; /* infinite, or nearly so: is_refused */
    e = pg_get_double(str_make(row.p + 18, 8), &r->value);
    if (!e)
        e = pg_get_i32(str_make(row.p + 30, 4), &series);
    if (!e)
        e = pg_get_i16(str_make(row.p + 38, 2), &r->quality);
    if (e)
        return e;
    r->series = (uint32_t)series;
    p->rows.n++;
    return ERR_OK;
}

static enum err read_blocks(struct packer *p, struct pg *db, int slot, size_t from, size_t till)
{
    char texts[2][32];
    snprintf(texts[0], sizeof texts[0], "(%zu,0)", from);
    snprintf(texts[1], sizeof texts[1], "(%zu,0)", till);
    p->rows.n = 0;
    enum err e = pg_prepared(db, "packer_range",
                             "SELECT set_config('braid.from', $1, true), "
                             "set_config('braid.till', $2, true)",
                             (struct str[]){str_of(texts[0]), str_of(texts[1])}, 2, NULL);
    return e ? e : pg_copy_out(db, read_sql[slot], take_row, p, NULL);
}

static enum err ask(struct pg *db, const char *sql, size_t *out)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db, sql, NULL, 0, &r);
    if (e)
        return e;
    *out = (size_t)pg_i64(r, 0, 0);
    pg_result_free(r);
    return ERR_OK;
}

/* remember takes all rows of a table from memory.  Nothing is added to a closed table, and what is
 * in memory is in the table: as many are the same.  ERR_NOTFOUND: it has to be read. */
static enum err remember(struct packer *p, struct pg *db, struct recent_turn slot)
{
    size_t n = 0;
    if (!recent_holds(p->recent, slot.slot, slot.turn))
        return ERR_NOTFOUND;
    enum err e = ask(db, count_sql[slot.slot], &n);
    if (!e && n > p->blocks * ROWS_PER_BLOCK)
        return ERR_NOTFOUND;
    if (!e)
        e = recent_copy(p->recent, slot.slot, slot.turn, n, &p->rows);
    if (!e)
        p->remembered = (int64_t)n;
    return e;
}

/* ---- pieces ---- */

static enum err send_pieces(struct packer *p, struct pg *db)
{
    uint64_t rows = 0;
    if (!p->body.n)
        return ERR_OK;
    copy_tail(&p->body);
    enum err e = p->body.err;
    if (!e)
        e = pg_copy_in(db, "COPY piece (" PACKED_COPY_COLUMNS ") FROM STDIN (FORMAT binary)",
                       p->body.p, p->body.n, &rows);
    p->pieces += (int64_t)rows;
    buf_reset(&p->body);
    return e;
}

/* put_piece packs samples of one series and one hour, at most PACKED_MAX. */
static enum err put_piece(struct packer *p, struct pg *db, const struct row *v, size_t n)
{
    struct packed packed;
    for (size_t i = 0; i < n; i++) {
        p->points.ts_us[i] = v[i].ts_us;
        p->points.value[i] = v[i].value;
        p->points.quality[i] = v[i].quality;
    }
    p->points.n = n;
    arena_reset(&p->arena);
    enum err e = packed_encode(&p->arena, &p->points, &packed);
    if (e)
        return e;
    if (!p->body.n)
        copy_head(&p->body);
    packed_put_row(&p->body, &packed, v->series, classes_of(&p->classes, v->series));
    p->packed += (int64_t)n;
    return p->body.n < COPY_BYTES ? p->body.err : send_pieces(p, db);
}

/* What is older than kept would be dropped with its partition at once. */
static bool is_refused(struct packer *p, const struct row *r, int64_t oldest_us)
{
    if (r->ts_us < HISTORY_FIRST_US || r->ts_us >= HISTORY_END_US)
        p->impossible++;
    else if (r->ts_us < oldest_us)
        p->too_old++;
    else
        return false;
    return true;
}

/* put_series packs the rows of one series, which are in order of time. */
static enum err put_series(struct packer *p, struct pg *db, const struct row *v, size_t n)
{
    enum err e = ERR_OK;
    int64_t oldest_us = classes_oldest_us(&p->classes, classes_of(&p->classes, v->series));
    for (size_t i = 0, end; !e && i < n; i = end) {
        end = i + 1;
        if (is_refused(p, &v[i], oldest_us))
            continue;
        int64_t till_us = rollup_start(ROLLUP_MINUTE, v[i].ts_us) + rollup_row_us(ROLLUP_MINUTE);
        while (end < n && end - i < PACKED_MAX && v[end].ts_us < till_us)
            end++;
        e = put_piece(p, db, v + i, end - i);
    }
    return e;
}

static enum err put_rows(struct packer *p, struct pg *db)
{
    enum err e = ERR_OK;
    const struct rows *r = &p->rows;
    rows_sort(&p->rows);
    for (size_t i = 0, end; !e && i < r->n; i = end) {
        for (end = i + 1; end < r->n && r->v[end].series == r->v[i].series; end++)
            continue;
        e = put_series(p, db, r->v + i, end - i);
        if (atomic_load(p->stopping))
            e = e ? e : ERR_CLOSED;
    }
    return e ? e : send_pieces(p, db);
}

/* ---- one step ---- */

/* A second packer (of a process that lingers) waits here and then finds that it is done. */
static enum err lock_closed(struct pg *db, struct recent_turn *out)
{
    struct pg_result *r = NULL;
    enum err e = pg_prepared(db, "packer_closed",
                             "SELECT slot, turn FROM landing_slot WHERE state = 'closed' "
                             "ORDER BY turn LIMIT 1 FOR UPDATE",
                             NULL, 0, &r);
    if (e)
        return e;
    out->slot = landing_slot_of(r);
    out->turn = out->slot < 0 ? 0 : pg_i64(r, 0, 1);
    pg_result_free(r);
    return ERR_OK;
}

static enum err mark_packed(struct pg *db, int slot)
{
    char text[16];
    struct pg_result *r = NULL;
    snprintf(text, sizeof text, "%d", slot);
    enum err e = pg_prepared(db, "packer_packed",
                             "UPDATE landing_slot SET state = 'packed', packed_at = "
                             "clock_timestamp() WHERE slot = $1::smallint AND state = 'closed'",
                             (struct str[]){str_of(text)}, 1, &r);
    if (e)
        return e;
    bool ours = pg_affected(r) == 1;
    pg_result_free(r);
    return ours ? ERR_OK : ERR_CONFLICT;
}

static enum err read_and_put(struct packer *p, struct pg *db, int slot)
{
    size_t blocks = 0;
    enum err e = ask(db, size_sql[slot], &blocks);
    for (size_t from = 0; !e && from < blocks; from += p->blocks) {
        e = read_blocks(p, db, slot, from, from + p->blocks);
        if (!e)
            e = put_rows(p, db);
    }
    return e;
}

static enum err pack(struct packer *p, struct pg *db, struct recent_turn slot)
{
    enum err e = classes_read(&p->classes, db);
    if (e)
        return e;
    e = remember(p, db, slot);
    if (!e)
        e = put_rows(p, db);
    else if (e == ERR_NOTFOUND)
        e = read_and_put(p, db, slot.slot);
    return e ? e : mark_packed(db, slot.slot);
}

/* Only what is committed counts. */
static void count(const struct packer *p, int slot, uint64_t took_ms)
{
    metric_add(p->metrics, M_PACKED_SAMPLES, p->packed);
    metric_add(p->metrics, M_PACKED_REMEMBERED, p->remembered);
    metric_add(p->metrics, M_PACKED_PIECES, p->pieces);
    metric_add(p->metrics, M_REFUSED_OLD, p->too_old);
    metric_add(p->metrics, M_REFUSED_TIME, p->impossible);
    if (p->too_old || p->impossible)
        log_warn("history.refused", KI("older_than_kept", p->too_old),
                 KI("impossible_time", p->impossible));
    log_info("history.packed", KI("slot", slot), KI("samples", p->packed), KI("pieces", p->pieces),
             KI("ms", took_ms));
}

/* A table's rows take tens of megabytes; between two tables they are the system's. */
static void rest(struct packer *p)
{
    rows_fini(&p->rows);
    arena_fini(&p->arena);
    buf_fini(&p->body);
}

static enum err step(struct packer *p, struct pg *db, int *slot)
{
    struct recent_turn found = {.slot = -1};
    uint64_t began = clock_mono_ms();
    p->packed = p->pieces = p->too_old = p->impossible = p->remembered = 0;
    buf_reset(&p->body);
    enum err e = pg_script(db, "BEGIN");
    if (!e)
        e = lock_closed(db, &found);
    if (!e && found.slot >= 0)
        e = pack(p, db, found);
    if (!e)
        e = pg_script(db, "COMMIT");
    if (e)
        return e;
    if (found.slot >= 0) {
        count(p, found.slot, clock_mono_ms() - began);
        recent_forget(p->recent, found.slot); /* it is not open: a new turn waits for emptying */
    }
    *slot = found.slot;
    return ERR_OK;
}

enum err packer_step(struct packer *p, struct pg *db, int *slot)
{
    enum err e = step(p, db, slot);
    rest(p);
    return e;
}
