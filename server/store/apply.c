/* apply.c - see apply.h.
 *
 * The fast way runs everything in one transaction (statements even in one round trip).  Only when
 * that fails on content does the slow way run: statement by statement under a savepoint, or the
 * chunk cut in halves until single rows are left.  Which failures are "content" is decided by the
 * SQLSTATE (is_content): anything that might go away by itself is not, because setting aside a
 * whole fleet's data over a full disk would be a loss nobody asked for. */
#include "store/apply.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

#define CONTENT_MAX_BYTES 8192
#define COPY_TEXTS                                                                                 \
    "COPY text_sample (series_id, ts, kind, value, bytes, quality) FROM STDIN (FORMAT binary)"

/* Classes and states of SQL errors that the content itself causes. */
static const char *const content_states[] = {
    "22",    /* data exception */
    "23",    /* constraint violation */
    "54000", /* program limit, e.g. an index row too long */
};

static bool is_content(const struct pg *db)
{
    if (!pg_is_ok(db))
        return false;
    for (size_t i = 0; i < sizeof content_states / sizeof *content_states; i++)
        if (strncmp(pg_sqlstate(db), content_states[i], strlen(content_states[i])) == 0)
            return true;
    return false;
}

/* give_up ends a transaction that failed; the connection is good for another try if it survived. */
static enum err give_up(struct pg *db)
{
    if (pg_is_ok(db) && pg_script(db, "ROLLBACK"))
        log_warn("store.rollback", KV("reason", pg_error(db)));
    return ERR_DB;
}

static enum err keep(struct pg *db, const char *kind, const char *sqlstate, const char *reason,
                     struct str content)
{
    const struct str params[] = {str_of(kind), str_of(sqlstate), str_of(reason), content};
    log_warn("store.poisoned", KV("kind", kind), KV("sqlstate", sqlstate), KV("reason", reason));
    return pg_prepared(db, "poison",
                       "INSERT INTO poisoned (kind, sqlstate, reason, content) "
                       "VALUES ($1, $2, $3, $4)",
                       params, 4, NULL);
}

enum err apply_poison(struct pg *db, const char *kind, const char *reason, struct str content)
{
    return keep(db, kind, "", reason, content);
}

/* poison_after_error rolls back to the savepoint and keeps the content with the server's words. */
static enum err poison_after_error(struct pg *db, const char *kind, struct str content)
{
    char reason[600], state[8];
    snprintf(reason, sizeof reason, "%s", pg_error(db));
    snprintf(state, sizeof state, "%s", pg_sqlstate(db));
    enum err e = pg_script(db, "ROLLBACK TO SAVEPOINT one");
    return e ? e : keep(db, kind, state, reason, content);
}

/* ---- statements ---- */

static enum err run_put(struct pg *db, const struct put *p)
{
    struct statement s = statement_get(p->stmt);
    return pg_prepared(db, s.name, s.sql, p->params, p->n, NULL);
}

/* The parameters as a JSON array, so that a person can repair and repeat the statement. */
static void describe_put(const struct put *p, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open(&j, '[');
    for (size_t i = 0; i < p->n; i++) {
        if (p->params[i].p)
            json_str(&j, p->params[i]);
        else
            json_null(&j);
    }
    json_close(&j);
}

static enum err poison_put(struct pg *db, const struct put *p)
{
    struct buf content;
    buf_init(&content, CONTENT_MAX_BYTES);
    describe_put(p, &content);
    enum err e = poison_after_error(db, statement_get(p->stmt).name,
                                    content.err ? str_of("too long to keep") : buf_view(&content));
    buf_fini(&content);
    return e;
}

static enum err run_puts_slowly(struct pg *db, struct metrics *m, const struct put *p, size_t n,
                                enum err *results)
{
    enum err e = pg_script(db, "BEGIN");
    for (size_t i = 0; !e && i < n; i++, p = p->next) {
        e = pg_script(db, "SAVEPOINT one");
        if (e)
            break;
        results[i] = run_put(db, p);
        if (!results[i]) {
            e = pg_script(db, "RELEASE SAVEPOINT one");
        } else if (is_content(db) || results[i] == ERR_TOOBIG) {
            metric_add(m, M_DB_ERRORS, 1);
            e = poison_put(db, p);
        } else {
            e = ERR_DB;
        }
    }
    if (!e)
        e = pg_script(db, "COMMIT");
    return e ? give_up(db) : ERR_OK;
}

enum err apply_puts(struct pg *db, struct metrics *m, const struct put *first, size_t n,
                    enum err *results)
{
    struct pg_call calls[APPLY_PUTS_MAX];
    const struct put *p = first;
    assert(n <= APPLY_PUTS_MAX);
    for (size_t i = 0; i < n; i++, p = p->next) {
        struct statement s = statement_get(p->stmt);
        calls[i] = (struct pg_call){s.name, s.sql, p->params, p->n};
        results[i] = ERR_OK;
    }
    enum err e = pg_pipeline(db, calls, n);
    if (!e)
        return ERR_OK;
    metric_add(m, M_DB_ERRORS, 1);
    if (!is_content(db) && e != ERR_TOOBIG)
        return ERR_DB;
    return run_puts_slowly(db, m, first, n, results);
}

/* ---- chunks ---- */

static enum err copy(struct pg *db, const char *sql, struct str body, uint64_t *stored)
{
    uint64_t rows = 0;
    if (!body.n)
        return ERR_OK;
    enum err e = pg_copy_in(db, sql, body.p, body.n, &rows);
    if (!e)
        *stored += rows;
    return e;
}

static enum err poison_row(struct pg *db, const char *kind, struct str row)
{
    char hex[CONTENT_MAX_BYTES];
    size_t n = row.n < sizeof hex / 2 ? row.n : sizeof hex / 2;
    str_to_hex(row.p, n, hex);
    return poison_after_error(db, kind, str_make(hex, 2 * n));
}

/* copy_some copies `n` rows from the front of *rows, halving on failure. Recursion depth is
 * log2(n). */
static enum err copy_some(struct pg *db, struct metrics *m, const char *sql, const char *kind,
                          struct str *rows, size_t n, uint64_t *stored)
{
    struct buf body;
    struct str row = {NULL, 0}, rest = *rows;
    enum err e = pg_script(db, "SAVEPOINT one");
    buf_init(&body, SIZE_MAX / 4);
    copy_head(&body);
    for (size_t i = 0; i < n && copy_next(&rest, &row); i++)
        buf_str(&body, row);
    copy_tail(&body);
    if (!e)
        e = body.err ? ERR_NOMEM : copy(db, sql, buf_view(&body), stored);
    buf_fini(&body);
    if (!e) {
        *rows = rest;
        return pg_script(db, "RELEASE SAVEPOINT one");
    }
    if (!is_content(db))
        return ERR_DB;
    metric_add(m, M_DB_ERRORS, 1);
    if (n == 1) {
        *rows = rest;
        metric_add(m, M_SAMPLES_REFUSED, 1);
        return poison_row(db, kind, row);
    }
    e = pg_script(db, "ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one");
    if (!e)
        e = copy_some(db, m, sql, kind, rows, n / 2, stored);
    if (!e)
        e = copy_some(db, m, sql, kind, rows, n - n / 2, stored);
    return e;
}

static enum err copy_all(struct pg *db, struct metrics *m, const struct chunk_view *c,
                         const char *samples_sql, bool slow, uint64_t *samples, uint64_t *texts)
{
    enum err e = ERR_OK;
    if (!slow) {
        e = copy(db, samples_sql, c->samples, samples);
        return e ? e : copy(db, COPY_TEXTS, c->texts, texts);
    }
    struct str rows = copy_rows(c->samples), text_rows = copy_rows(c->texts);
    if (c->rows)
        e = copy_some(db, m, samples_sql, "sample", &rows, c->rows, samples);
    if (!e && c->text_rows)
        e = copy_some(db, m, COPY_TEXTS, "text_sample", &text_rows, c->text_rows, texts);
    return e;
}

static enum err store_chunk(struct pg *db, struct metrics *m, struct landing *l,
                            const struct chunk_view *c, bool slow, uint64_t *stored)
{
    struct landing_claim claim = {.slot = -1};
    uint64_t samples = 0, texts = 0;
    enum err e = pg_script(db, "BEGIN");
    if (!e)
        e = landing_claim(db, c->writer, c->batch_no, &claim);
    if (!e && claim.is_new)
        e = copy_all(db, m, c, landing_copy_sql(claim.slot), slow, &samples, &texts);
    if (!e && samples == c->rows)
        landing_adding(l, &claim, c->samples);
    if (!e)
        e = pg_script(db, "COMMIT");
    if (e || (claim.is_new && samples != c->rows))
        landing_doubted(l, &claim);
    if (e)
        return e;
    landing_added(l, &claim, samples);
    *stored = samples + texts;
    return ERR_OK;
}

/* The chunk is committed whatever becomes of the turn: the next one tries it again. */
static void turn(struct pg *db, struct metrics *m, struct landing *l)
{
    if (landing_due(l) <= clock_mono_ms() && landing_turn(l, db, m))
        log_warn("landing.turn", KV("reason", pg_error(db)));
}

enum err apply_chunk(struct pg *db, struct metrics *m, struct landing *l,
                     const struct chunk_view *c, uint64_t *stored)
{
    enum err e = store_chunk(db, m, l, c, false, stored);
    if (e) {
        metric_add(m, M_DB_ERRORS, 1);
        bool content = is_content(db);
        give_up(db);
        if (!content || !pg_is_ok(db))
            return ERR_DB;
        e = store_chunk(db, m, l, c, true, stored);
    }
    if (e)
        return give_up(db);
    turn(db, m, l);
    return ERR_OK;
}
