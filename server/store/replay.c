/* replay.c - see replay.h. */
#include "store/replay.h"

#include "base/log.h"
#include "store/apply.h"

struct replay {
    struct spool *spool;
    struct pg *db;
    struct metrics *metrics;
    struct landing *landing;
    struct put *first, **end; /* statements that were read and not yet run */
    size_t n;
};

static void forget_puts(struct replay *r)
{
    for (struct put *p = r->first, *next; p; p = next) {
        next = p->next;
        put_free(p);
    }
    r->first = NULL;
    r->end = &r->first;
    r->n = 0;
}

static enum err run_puts(struct replay *r)
{
    enum err results[APPLY_PUTS_MAX];
    if (!r->n)
        return ERR_OK;
    enum err e = apply_puts(r->db, r->metrics, r->first, r->n, results);
    forget_puts(r);
    return e;
}

/* A record that says nothing to this version is kept for people. */
static enum err keep_oddity(struct replay *r, struct str payload, enum err why)
{
    char hex[4096];
    if (why == ERR_NOMEM)
        return why;
    size_t n = payload.n < sizeof hex / 2 ? payload.n : sizeof hex / 2;
    str_to_hex(payload.p, n, hex);
    metric_add(r->metrics, M_SPOOL_SET_ASIDE, 1);
    return apply_poison(r->db, "spool",
                        why == ERR_TRUNCATED ? "bytes of the spool file that are no record"
                                             : err_word(why),
                        str_make(hex, 2 * n));
}

static enum err store_chunk(struct replay *r, struct str payload)
{
    struct chunk_view c;
    uint64_t stored = 0;
    enum err e = chunk_decode(payload, &c);
    if (e)
        return keep_oddity(r, payload, e);
    e = apply_chunk(r->db, r->metrics, r->landing, &c, &stored);
    metric_add(r->metrics, M_SAMPLES_STORED, (int64_t)stored);
    return e;
}

static enum err take_record(struct replay *r, const struct spool_record *rec)
{
    struct put *p = NULL;
    if (rec->kind == SPOOL_STATEMENT) {
        enum err e = put_decode(rec->payload, &p);
        if (e)
            return keep_oddity(r, rec->payload, e);
        *r->end = p;
        r->end = &p->next;
        r->n++;
        return ERR_OK;
    }
    enum err e = run_puts(r);
    if (e)
        return e;
    if (rec->kind == SPOOL_CHUNK)
        return store_chunk(r, rec->payload);
    return keep_oddity(r, rec->payload,
                       rec->kind == SPOOL_DAMAGED ? ERR_TRUNCATED : ERR_UNSUPPORTED);
}

static enum err take_records(struct replay *r)
{
    struct spool_record rec;
    enum err e = ERR_OK;
    while (!e && r->n < APPLY_PUTS_MAX) {
        e = spool_next(r->spool, &rec);
        if (!e)
            e = take_record(r, &rec);
        if (!e && rec.kind == SPOOL_CHUNK)
            break;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err replay_step(struct spool *s, struct pg *db, struct metrics *m, struct landing *l)
{
    struct replay r = {.spool = s, .db = db, .metrics = m, .landing = l};
    r.end = &r.first;
    enum err e = take_records(&r);
    if (!e)
        e = run_puts(&r);
    forget_puts(&r);
    if (!e)
        e = spool_mark(s);
    if (!e)
        return ERR_OK;
    spool_rewind(s);
    if (e != ERR_DB)
        log_error("spool.replay", KE(e));
    return e;
}
