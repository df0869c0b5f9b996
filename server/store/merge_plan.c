/* merge_plan.c - see merge_plan.h. */
#include "store/merge_plan.h"

#include <stdlib.h>

#include "base/grow.h"
#include "store/history_grid.h"
#include "store/q_page.h"

#define SETTLE_US   INT64_C(120000000) /* after the end of a span */
#define PATIENCE_US INT64_C(900000000) /* with what was opened before it and is not packed */
#define LOOK_BACK   7                  /* days that may lack their row of hours after a pause */
/* Pieces of an hour that a slow series may have before they become one. */
#define PIECES_MAX "8"

void merge_plan_init(struct merge_plan *p)
{
    *p = (struct merge_plan){.all = true};
}

void merge_plan_fini(struct merge_plan *p)
{
    free(p->spans);
    free(p->items);
    merge_plan_init(p);
}

static void clear(struct merge_plan *p)
{
    p->n_spans = p->next_span = p->n = p->next = 0;
}

void merge_plan_drop(struct merge_plan *p)
{
    clear(p);
    p->all = true;
}

enum err merge_horizon(struct pg *db, int64_t now_us, int64_t *horizon_us)
{
    struct pg_result *r = NULL;
    enum err e = pg_prepared(db, "merge_horizon",
                             "SELECT (extract(epoch FROM min(opened_at)) * 1000000)::bigint FROM "
                             "landing_slot WHERE state IN ('open', 'closed')",
                             NULL, 0, &r);
    if (e)
        return e;
    int64_t opened_us = pg_rows(r) && !pg_null(r, 0, 0) ? pg_i64(r, 0, 0) : INT64_MAX;
    pg_result_free(r);
    int64_t h = history_floor(now_us - SETTLE_US, HOUR_US);
    if (opened_us < h && now_us < h + PATIENCE_US)
        h -= HOUR_US;
    *horizon_us = h;
    return ERR_OK;
}

/* ---- spans ---- */

static enum err add_span(struct merge_plan *p, enum span_kind kind, int64_t start_us)
{
    struct span *v = grow(p->spans, &p->cap_spans, p->n_spans + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    p->spans = v;
    p->spans[p->n_spans++] = (struct span){kind, start_us};
    return ERR_OK;
}

static int by_end(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int64_t end_x = x->start_us + (x->kind == SPAN_DAY ? DAY_US : HOUR_US);
    int64_t end_y = y->start_us + (y->kind == SPAN_DAY ? DAY_US : HOUR_US);
    if (end_x != end_y)
        return end_x < end_y ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

static bool has_day(const struct merge_plan *p, int64_t day_us)
{
    for (size_t i = 0; i < p->n_spans; i++)
        if (p->spans[i].kind == SPAN_DAY && p->spans[i].start_us == day_us)
            return true;
    return false;
}

/* What was touched is taken from the table before it is done; who fails takes all.  A row that
 * packing holds comes with the next look. */
#define TAKE_HOURS                                                                                 \
    "UPDATE piece_hour h SET touched = false FROM (SELECT start, touched OR $2::boolean AS due "   \
    "FROM piece_hour WHERE start < at_ms($1::bigint / 1000) AND (touched OR $2::boolean "          \
    "OR (start >= at_ms($3::bigint / 1000) AND start < at_ms($4::bigint / 1000))) "                \
    "FOR UPDATE SKIP LOCKED) o WHERE h.start = o.start "                                           \
    "RETURNING (floor(extract(epoch FROM h.start) / 3600))::bigint, o.due"

/* Hours that pieces came for; the days of those that are over, and days that have become over; and
 * the last days, of which nobody knows. */
enum err merge_plan_look(struct merge_plan *p, struct pg *db, int64_t horizon_us)
{
    char texts[3][24];
    struct pg_result *r = NULL;
    int64_t today_us = history_floor(horizon_us, DAY_US);
    const struct str params[] = {q_number(texts[0], horizon_us), str_of(p->all ? "t" : "f"),
                                 q_number(texts[1], p->day_done_us), q_number(texts[2], today_us)};
    clear(p);
    enum err e = pg_prepared(db, "merge_hours", TAKE_HOURS, params, 4, &r);
    if (e)
        return e;
    for (size_t i = 0; !e && i < pg_rows(r); i++) {
        int64_t hour_us = pg_i64(r, i, 0) * HOUR_US, day_us = history_floor(hour_us, DAY_US);
        if (pg_bool(r, i, 1))
            e = add_span(p, SPAN_HOUR, hour_us);
        if (!e && day_us < today_us && !has_day(p, day_us))
            e = add_span(p, SPAN_DAY, day_us);
    }
    pg_result_free(r);
    for (int64_t d = today_us - LOOK_BACK * DAY_US; !e && d < today_us; d += DAY_US)
        if (d >= p->day_done_us && !has_day(p, d))
            e = add_span(p, SPAN_DAY, d);
    p->all = e != ERR_OK;
    if (p->n_spans)
        qsort(p->spans, p->n_spans, sizeof *p->spans, by_end);
    return e;
}

/* ---- items ---- */

static enum err keep_items(struct merge_plan *p, const struct pg_result *r)
{
    size_t n = pg_rows(r);
    p->n = p->next = 0;
    struct merge_item *v = grow(p->items, &p->cap, n, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    p->items = v;
    for (size_t i = 0; i < n; i++)
        p->items[i] = (struct merge_item){(uint32_t)pg_i64(r, i, 0), pg_i64(r, i, 1)};
    p->n = n;
    return ERR_OK;
}

#define DAY_START "date_trunc('day', at_ms($1::bigint / 1000), 'UTC')"
/* Whether only roll-ups are left of a series' day: samples of it that come now stay pieces, because
 * roll-ups made anew would forget what they stand for. */
#define ONLY_ROLLUPS(series)                                                                       \
    "EXISTS (SELECT FROM rollup_hour h WHERE h.series_id = " series " AND h.start = " DAY_START    \
    ") AND NOT EXISTS (SELECT FROM chunk c WHERE c.series_id = " series                            \
    " AND c.start >= " DAY_START " AND c.start < " DAY_START " + interval '24 hours')"

/* $1: from, $2: till, $3: whether the day is over, when the day's plan takes what is slow.  A fast
 * hour is taken by itself then, too, lest a day of it has to be in memory, unless samples of the
 * hour are in the day's chunk.  EXISTS: a set of a million series would not be hashed for IN. */
#define HOUR_ITEMS                                                                                 \
    "SELECT p.series_id, p.n + CASE WHEN p.fast THEN coalesce((SELECT sum(c.n) FROM chunk c "      \
    "WHERE c.series_id = p.series_id AND c.start >= at_ms($1::bigint / 1000) "                     \
    "AND c.start < at_ms($2::bigint / 1000)), 0) ELSE 0 END FROM (SELECT series_id, sum(n) AS n, " \
    "count(*) AS pieces, EXISTS (SELECT FROM rollup_minute m WHERE m.series_id = piece.series_id " \
    "AND m.start = at_ms($1::bigint / 1000)) AS fast FROM piece "                                  \
    "WHERE start >= at_ms($1::bigint / 1000) AND start < at_ms($2::bigint / 1000) "                \
    "GROUP BY series_id) p WHERE (p.fast OR (NOT $3::boolean "                                     \
    "AND (p.n >= 1800 OR p.pieces > " PIECES_MAX ")) OR ($3::boolean AND p.n >= 1800 AND "         \
    "NOT EXISTS (SELECT FROM chunk c WHERE c.series_id = p.series_id "                             \
    "AND c.start > at_ms($1::bigint / 1000) - interval '24 hours' "                                \
    "AND c.start < at_ms($2::bigint / 1000) AND c.stop >= at_ms($1::bigint / 1000)))) "            \
    "AND NOT ($3::boolean AND " ONLY_ROLLUPS("p.series_id") ") ORDER BY p.series_id"

#define DAY_ITEMS                                                                                  \
    "SELECT x.series_id, CASE WHEN sum(x.n) > 0 THEN sum(x.n) + coalesce((SELECT sum(c.n) "        \
    "FROM chunk c WHERE c.series_id = x.series_id AND c.start >= at_ms($1::bigint / 1000) "        \
    "AND c.start < at_ms($2::bigint / 1000)), 0) ELSE 24 END FROM ("                               \
    "SELECT series_id, n FROM piece WHERE start >= at_ms($1::bigint / 1000) "                      \
    "AND start < at_ms($2::bigint / 1000) UNION ALL "                                              \
    "SELECT m.series_id, 0 FROM rollup_minute m WHERE m.start >= at_ms($1::bigint / 1000) "        \
    "AND m.start < at_ms($2::bigint / 1000) AND NOT EXISTS (SELECT FROM rollup_hour h "            \
    "WHERE h.series_id = m.series_id AND h.start = at_ms($1::bigint / 1000))) x "                  \
    "GROUP BY x.series_id HAVING NOT (" ONLY_ROLLUPS("x.series_id") ") ORDER BY x.series_id"

static enum err read_items(struct merge_plan *p, struct pg *db, int64_t horizon_us)
{
    char texts[2][24];
    struct pg_result *r = NULL;
    bool hour = p->span.kind == SPAN_HOUR;
    int64_t from = p->span.start_us, till = from + (hour ? HOUR_US : DAY_US);
    bool over = history_floor(from, DAY_US) + DAY_US <= horizon_us;
    const struct str params[] = {q_number(texts[0], from), q_number(texts[1], till),
                                 str_of(over ? "t" : "f")};
    enum err e =
        hour ? pg_exec(db, HOUR_ITEMS, params, 3, &r) : pg_exec(db, DAY_ITEMS, params, 2, &r);
    if (e)
        return e;
    e = keep_items(p, r);
    pg_result_free(r);
    return e;
}

/* Days come in order, so the one that was done last tells of all before it.  Its hours that have no
 * pieces any more are forgotten. */
static enum err note_done(struct merge_plan *p, struct pg *db)
{
    char text[24];
    if (!p->next_span || p->span.kind != SPAN_DAY)
        return ERR_OK;
    if (p->span.start_us >= p->day_done_us)
        p->day_done_us = p->span.start_us + DAY_US;
    return pg_prepared(
        db, "merge_day_done",
        "DELETE FROM piece_hour WHERE start IN (SELECT h.start FROM piece_hour h "
        "WHERE h.start >= at_ms($1::bigint / 1000) AND h.start < at_ms($1::bigint / 1000) + "
        "interval '24 hours' AND NOT h.touched AND NOT EXISTS (SELECT FROM piece p "
        "WHERE p.start >= h.start AND p.start < h.start + interval '1 hour') "
        "FOR UPDATE SKIP LOCKED)",
        (struct str[]){q_number(text, p->span.start_us)}, 1, NULL);
}

enum err merge_plan_next(struct merge_plan *p, struct pg *db, int64_t horizon_us, bool *found)
{
    enum err e = ERR_OK;
    p->n = p->next = 0;
    for (;;) {
        e = note_done(p, db);
        if (!e && p->next_span == p->n_spans)
            clear(p);
        if (e || !p->n_spans)
            break;
        p->span = p->spans[p->next_span++];
        e = read_items(p, db, horizon_us);
        if (e || p->n)
            break;
    }
    if (e)
        merge_plan_drop(p);
    *found = p->n > 0;
    return e;
}

size_t merge_plan_take(struct merge_plan *p, int64_t limit, size_t most,
                       const struct merge_item **items)
{
    size_t n = 0;
    int64_t sum = 0;
    *items = p->items + p->next;
    while (p->next < p->n && n < most && (!n || sum + p->items[p->next].weight <= limit)) {
        sum += p->items[p->next++].weight;
        n++;
    }
    return n;
}
