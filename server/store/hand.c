/* hand.c - see hand.h. */
#include "store/hand.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"

#define RECORD_MAX_BYTES ((size_t)256 << 20)

void hand_init(struct hand *h, struct metrics *m)
{
    h->metrics = m;
    h->done_end = &h->done;
    chunk_init(&h->chunk);
    buf_init(&h->scratch, RECORD_MAX_BYTES);
}

void hand_fini(struct hand *h)
{
    assert(!h->puts && !h->done);
    chunk_fini(&h->chunk);
    buf_fini(&h->scratch);
}

/* ---- statements ---- */

/* finish_puts takes the first n statements out of the hand and calls their completions. */
static void finish_puts(struct hand *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct put *p = h->puts;
        h->puts = p->next;
        h->n_puts--;
        if (p->done)
            p->done(p->ctx, h->results[i]);
        put_free(p);
    }
}

enum err hand_puts_to_db(struct hand *h, struct pg *db)
{
    enum err e = apply_puts(db, h->metrics, h->puts, h->n_puts, h->results);
    if (!e)
        finish_puts(h, h->n_puts);
    return e;
}

/* What is a cache gives way to what is owed to somebody: *result tells that it was dropped. */
static enum err put_to_spool(struct hand *h, struct spool *s, const struct put *p, enum err *result)
{
    buf_reset(&h->scratch);
    put_encode(p, &h->scratch);
    bool yields = statement_is_cache(p->stmt) && !spool_spares(s, h->scratch.n);
    *result = yields ? ERR_FULL : ERR_OK;
    if (h->scratch.err || yields)
        return h->scratch.err;
    return spool_append(s, SPOOL_STATEMENT, 0, buf_view(&h->scratch));
}

bool hand_puts_to_spool(struct hand *h, struct spool *s)
{
    size_t n = 0, dropped = 0;
    enum err e = ERR_OK;
    for (const struct put *p = h->puts; p && !e; p = p->next) {
        e = put_to_spool(h, s, p, &h->results[n]);
        dropped += !e && h->results[n];
        n += !e;
    }
    enum err synced = spool_sync(s);
    if (synced)
        return false;
    metric_add(h->metrics, M_CACHES_DROPPED, (int64_t)dropped);
    finish_puts(h, n);
    return !e;
}

/* ---- the chunk ---- */

bool hand_has_chunk(const struct hand *h)
{
    return h->view.rows + h->view.text_rows > 0;
}

static void drop_chunk(struct hand *h, enum err result)
{
    struct batch_done *done = h->done;
    h->done = NULL;
    h->done_end = &h->done;
    h->view = (struct chunk_view){.rows = 0};
    h->n_arrived = 0;
    chunk_reset(&h->chunk);
    batch_tell(done, result);
}

/* join_batches appends them all to the chunk, and what hangs on them to the hand. */
static enum err join_batches(struct hand *h, struct batch *list)
{
    enum err e = ERR_OK;
    for (struct batch *next; list; list = next) {
        next = list->next;
        if (!e)
            e = chunk_add(&h->chunk, list);
        if (list->arrived_us)
            h->arrived_us[h->n_arrived++] = list->arrived_us;
        if (list->done) {
            *h->done_end = list->done;
            h->done_end = &list->last_done->next;
            list->done = list->last_done = NULL;
        }
        batch_free(list);
    }
    return e ? e : chunk_seal(&h->chunk);
}

void hand_take_batches(struct hand *h, struct batch *list)
{
    enum err e = join_batches(h, list);
    size_t rows = h->chunk.n + h->chunk.n_text;
    if (e || !rows) {
        if (e) {
            log_error("store.chunk", KE(e), KI("rows", rows));
            metric_add(h->metrics, M_SAMPLES_REFUSED, (int64_t)rows);
        }
        drop_chunk(h, e);
        return;
    }
    h->view = (struct chunk_view){
        .writer = h->writer_id,
        .batch_no = h->next_batch_no++,
        .rows = (uint32_t)h->chunk.n,
        .text_rows = (uint32_t)h->chunk.n_text,
        .samples = buf_view(&h->chunk.samples),
        .texts = buf_view(&h->chunk.texts),
    };
}

/* One observation per batch, of what waited longest in it. */
static void observe_latency(const struct hand *h)
{
    uint64_t now = clock_mono_us();
    for (size_t i = 0; i < h->n_arrived; i++)
        histogram_observe_us(h->metrics, H_STORE, now - h->arrived_us[i]);
}

enum err hand_chunk_to_db(struct hand *h, struct pg *db, struct landing *l)
{
    uint64_t stored = 0;
    enum err e = apply_chunk(db, h->metrics, l, &h->view, &stored);
    if (e)
        return e;
    metric_add(h->metrics, M_SAMPLES_STORED, (int64_t)stored);
    observe_latency(h);
    drop_chunk(h, ERR_OK);
    return ERR_OK;
}

void hand_chunk_to_spool(struct hand *h, struct spool *s)
{
    uint32_t rows = h->view.rows + h->view.text_rows;
    buf_reset(&h->scratch);
    chunk_encode(&h->view, &h->scratch);
    enum err e = h->scratch.err;
    if (!e)
        e = spool_append(s, SPOOL_CHUNK, rows, buf_view(&h->scratch));
    if (!e)
        e = spool_sync(s);
    if (e)
        return;
    metric_add(h->metrics, M_SAMPLES_SPOOLED, rows);
    drop_chunk(h, ERR_OK);
}

void hand_abandon(struct hand *h)
{
    if (!h->n_puts && !hand_has_chunk(h))
        return;
    uint64_t rows = h->view.rows + h->view.text_rows;
    log_error("store.lost", KI("statements", h->n_puts), KI("samples", rows));
    metric_add(h->metrics, M_SAMPLES_REFUSED, (int64_t)rows);
    drop_chunk(h, ERR_CLOSED);
    for (size_t i = 0; i < HAND_PUTS; i++)
        h->results[i] = ERR_CLOSED;
    finish_puts(h, h->n_puts);
}
