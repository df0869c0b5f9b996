/* replay.c - see replay.h. */
#include "store/replay.h"

#include "base/log.h"
#include "store/apply.h"

struct replay {
    struct spool *spool;
    struct pg *db;
    struct second *second;
    struct metrics *metrics;
    struct landing *landing;
    struct put *first, **end; /* statements that were read and not yet run */
    size_t n;
    struct chunk_view chunk[2]; /* that were read and not yet stored; they come before statements */
    size_t n_chunks;
    struct buf bytes; /* of the first of them: the next record takes its place in the spool */
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

static enum err store_chunks(struct replay *r)
{
    uint64_t stored = 0;
    enum err e = ERR_OK;
    if (r->n_chunks == 2)
        e = apply_two(r->db, r->second, r->metrics, r->landing, r->chunk, &stored);
    else if (r->n_chunks)
        e = apply_chunk(r->db, r->metrics, r->landing, r->chunk, &stored);
    metric_add(r->metrics, M_SAMPLES_STORED, (int64_t)stored);
    return e;
}

static enum err take_chunk(struct replay *r, struct str payload)
{
    if (!r->n_chunks) {
        buf_str(&r->bytes, payload);
        payload = buf_view(&r->bytes);
    }
    enum err e = r->bytes.err ? r->bytes.err : chunk_decode(payload, &r->chunk[r->n_chunks]);
    if (e)
        return keep_oddity(r, payload, e);
    r->n_chunks++;
    return ERR_OK;
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
        return take_chunk(r, rec->payload);
    return keep_oddity(r, rec->payload,
                       rec->kind == SPOOL_DAMAGED ? ERR_TRUNCATED : ERR_UNSUPPORTED);
}

/* Two chunks are taken together only if one follows the other. */
static enum err take_records(struct replay *r)
{
    struct spool_record rec;
    enum err e = ERR_OK;
    while (!e && r->n < APPLY_PUTS_MAX && r->n_chunks < 2) {
        e = spool_next(r->spool, &rec);
        if (!e)
            e = take_record(r, &rec);
        if (!e && r->n_chunks && rec.kind != SPOOL_CHUNK)
            break;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err replay_step(struct spool *s, struct pg *db, struct second *second, struct metrics *m,
                     struct landing *l)
{
    struct replay r = {.spool = s, .db = db, .second = second, .metrics = m, .landing = l};
    r.end = &r.first;
    buf_init(&r.bytes, SIZE_MAX / 4);
    enum err e = take_records(&r);
    if (!e)
        e = store_chunks(&r);
    if (!e)
        e = run_puts(&r);
    forget_puts(&r);
    buf_fini(&r.bytes);
    if (!e)
        e = spool_mark(s);
    if (!e)
        return ERR_OK;
    spool_rewind(s);
    if (e != ERR_DB)
        log_error("spool.replay", KE(e));
    return e;
}
