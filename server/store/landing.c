/* landing.c - see landing.h. */
#include "store/landing.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

#define RETRY_MS   1000
#define CLAIMS_MAX 4 /* each lost to a turn at that very moment */

#define COPY(slot)                                                                                 \
    "COPY landing_" #slot " (series_id, ts, value, quality) FROM STDIN (FORMAT binary)"
static const char *const copy_sql[LANDING_SLOTS] = {
    COPY(0), COPY(1), COPY(2), COPY(3), COPY(4), COPY(5), COPY(6), COPY(7),
};

/* A table that could not be emptied in time may be huge: nobody needs to know more than "full". */
#define COUNT(slot) "SELECT count(*) FROM (SELECT FROM landing_" #slot " LIMIT $1::bigint) AS head"
static const char *const count_sql[LANDING_SLOTS] = {
    COUNT(0), COUNT(1), COUNT(2), COUNT(3), COUNT(4), COUNT(5), COUNT(6), COUNT(7),
};

void landing_init(struct landing *l, struct recent *recent, int64_t slot_rows, int64_t slot_s)
{
    *l = (struct landing){
        .recent = recent, .slot_rows = slot_rows, .slot_ms = (uint64_t)slot_s * 1000, .slot = -1};
}

void landing_forget(struct landing *l)
{
    l->slot = -1;
    l->fresh = false;
    l->retry_ms = 0;
}

const char *landing_copy_sql(int slot)
{
    return copy_sql[slot];
}

int landing_slot_of(const struct pg_result *r)
{
    int64_t slot = pg_rows(r) && !pg_null(r, 0, 0) ? pg_i64(r, 0, 0) : -1;
    return slot >= 0 && slot < LANDING_SLOTS ? (int)slot : -1;
}

static void take_open(const struct pg_result *r, struct landing_claim *out)
{
    out->slot = landing_slot_of(r);
    out->turn = out->slot < 0 ? 0 : pg_i64(r, 0, 1);
}

/* A turn that commits while the claim waits for its lock leaves no row that was open when the
 * statement began: ask again. */
static enum err lock_open(struct pg *db, struct landing_claim *out)
{
    for (int i = 0; out->slot < 0 && i < CLAIMS_MAX; i++) {
        struct pg_result *r = NULL;
        enum err e = pg_prepared(db, "landing_open",
                                 "SELECT slot, turn FROM landing_slot WHERE state = 'open' "
                                 "FOR SHARE",
                                 NULL, 0, &r);
        if (e)
            return e;
        take_open(r, out);
        pg_result_free(r);
    }
    return out->slot < 0 ? ERR_DB : ERR_OK;
}

enum err landing_claim(struct pg *db, uint64_t writer, uint64_t batch_no, struct landing_claim *out)
{
    char numbers[2][24];
    struct pg_result *r = NULL;
    snprintf(numbers[0], sizeof numbers[0], "%" PRIu64, writer);
    snprintf(numbers[1], sizeof numbers[1], "%" PRIu64, batch_no);
    const struct str params[] = {str_of(numbers[0]), str_of(numbers[1])};
    enum err e =
        pg_prepared(db, "landing_claim",
                    "WITH open AS (SELECT slot, turn FROM landing_slot WHERE state = 'open' "
                    "FOR SHARE), claimed AS (INSERT INTO ingest_batch (writer, batch_no) "
                    "VALUES ($1::bigint, $2::bigint) ON CONFLICT DO NOTHING RETURNING 1) "
                    "SELECT (SELECT slot FROM open), (SELECT turn FROM open), "
                    "(SELECT count(*) FROM claimed)",
                    params, 2, &r);
    if (e)
        return e;
    take_open(r, out);
    out->is_new = pg_i64(r, 0, 2) == 1;
    pg_result_free(r);
    return lock_open(db, out);
}

enum err landing_forget_numbers(struct pg *db, uint64_t writer)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, writer);
    return pg_exec(db,
                   "DELETE FROM ingest_batch WHERE at < now() - interval '1 day' "
                   "AND (writer = $1::bigint OR at < now() - interval '30 days')",
                   (struct str[]){str_of(number)}, 1, NULL);
}

static void count(struct landing *l, const struct landing_claim *c, uint64_t rows)
{
    if (c->slot != l->slot)
        l->slot = -1; /* somebody turned: look before the next */
    else
        l->rows += (int64_t)rows;
    l->fresh = l->fresh && !l->rows;
}

void landing_adding(struct landing *l, const struct landing_claim *c, struct str body)
{
    if (l->fresh && c->slot == l->slot)
        recent_begin(l->recent, c->slot, c->turn, clock_mono_ms());
    recent_add(l->recent, c->slot, c->turn, body);
}

void landing_added(struct landing *l, const struct landing_claim *c, uint64_t rows)
{
    recent_confirm(l->recent, c->slot, c->turn);
    count(l, c, rows);
}

void landing_doubted(struct landing *l, const struct landing_claim *c)
{
    l->fresh = false;
    recent_forget(l->recent, c->slot);
}

uint64_t landing_due(const struct landing *l)
{
    if (l->slot >= 0 && !l->rows)
        return UINT64_MAX;
    uint64_t at = l->slot < 0 || l->rows >= l->slot_rows ? 0 : l->opened_ms + l->slot_ms;
    return at > l->retry_ms ? at : l->retry_ms;
}

/* look learns which table is open, how old it is and how full. */
static enum err look(struct landing *l, struct pg *db)
{
    char limit[24];
    struct pg_result *r = NULL;
    enum err e = pg_exec(db,
                         "SELECT slot, extract(epoch FROM clock_timestamp() - opened_at) * 1000 "
                         "FROM landing_slot WHERE state = 'open'",
                         NULL, 0, &r);
    if (e)
        return e;
    int slot = landing_slot_of(r);
    double age_ms = slot < 0 ? 0 : pg_double(r, 0, 1);
    pg_result_free(r);
    if (slot < 0)
        return ERR_DB;
    snprintf(limit, sizeof limit, "%" PRId64, l->slot_rows);
    e = pg_exec(db, count_sql[slot], (struct str[]){str_of(limit)}, 1, &r);
    if (e)
        return e;
    uint64_t now = clock_mono_ms();
    l->rows = pg_i64(r, 0, 0);
    l->opened_ms = age_ms > 0 && age_ms < (double)now ? now - (uint64_t)age_ms : now;
    l->slot = slot;
    pg_result_free(r);
    return ERR_OK;
}

static enum err turn(struct landing *l, struct pg *db, struct metrics *m)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db, "SELECT landing_rotate()", NULL, 0, &r);
    if (e)
        return e;
    int slot = landing_slot_of(r);
    pg_result_free(r);
    if (slot == l->slot) { /* none is free: this one goes on */
        metric_add(m, M_LANDING_HELD, 1);
        return ERR_OK;
    }
    log_debug("landing.turn", KI("from", l->slot), KI("to", slot), KI("rows", l->rows));
    metric_add(m, M_LANDING_TURNS, 1);
    l->slot = slot;
    l->rows = 0;
    l->fresh = true;
    l->opened_ms = clock_mono_ms();
    return ERR_OK;
}

enum err landing_turn(struct landing *l, struct pg *db, struct metrics *m)
{
    uint64_t now = clock_mono_ms();
    enum err e = l->slot < 0 ? look(l, db) : ERR_OK;
    if (!e && landing_due(l) <= now)
        e = turn(l, db, m);
    if (e || landing_due(l) <= now)
        l->retry_ms = now + RETRY_MS;
    return e;
}

enum err landing_get_backlog(struct pg *db, struct landing_backlog *out)
{
    struct pg_result *r = NULL;
    enum err e = pg_prepared(db, "landing_backlog",
                             "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - "
                             "min(opened_at)), 0)::bigint FROM landing_slot WHERE state = 'closed'",
                             NULL, 0, &r);
    if (e)
        return e;
    *out = (struct landing_backlog){.closed = pg_i64(r, 0, 0), .oldest_s = pg_i64(r, 0, 1)};
    pg_result_free(r);
    return ERR_OK;
}
