/* chunk.c - see chunk.h.  The format is that of PostgreSQL's COPY ... (FORMAT binary). */
#include "store/chunk.h"

#include <stdlib.h>

#include "base/grow.h"
#include "base/reader.h"

#define BODY_MAX_BYTES ((size_t)96 << 20)
#define HEAD_BYTES     19
#define TAIL_BYTES     2
/* PostgreSQL counts microseconds from 2000-01-01. */
#define EPOCH_2000_US INT64_C(946684800000000)

/* ---- batches ---- */

#define BATCH_TEXTS      4096
#define BATCH_TEXT_BYTES ((size_t)8 << 20)
#define TEXT_MAX_BYTES   ((size_t)4 << 20)

struct batch *batch_new(void)
{
    struct batch *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    b->next = NULL;
    b->n = b->n_text = 0;
    b->arrived_us = 0;
    b->text = NULL;
    b->bytes = NULL;
    b->done = b->last_done = NULL;
    b->text_cap = b->bytes_n = b->bytes_cap = 0;
    return b;
}

enum err batch_on_durable(struct batch *b, writer_done *call, void *ctx)
{
    struct batch_done *d = malloc(sizeof *d);
    if (!d)
        return ERR_NOMEM;
    *d = (struct batch_done){NULL, call, ctx};
    if (b->last_done)
        b->last_done->next = d;
    else
        b->done = d;
    b->last_done = d;
    return ERR_OK;
}

void batch_tell(struct batch_done *list, enum err result)
{
    for (struct batch_done *next; list; list = next) {
        next = list->next;
        list->call(list->ctx, result);
        free(list);
    }
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    batch_tell(b->done, ERR_CLOSED);
    free(b->text);
    free(b->bytes);
    free(b);
}

bool batch_add(struct batch *b, struct sample s)
{
    if (b->n == BATCH_SAMPLES)
        return false;
    b->v[b->n++] = s;
    return true;
}

enum err batch_add_text(struct batch *b, uint32_t series, uint8_t quality, int64_t ts_us, char kind,
                        struct str value)
{
    if (value.n > TEXT_MAX_BYTES)
        return ERR_TOOBIG;
    if (b->n_text == BATCH_TEXTS || b->bytes_n + value.n > BATCH_TEXT_BYTES)
        return ERR_FULL;
    struct text_sample *text = grow(b->text, &b->text_cap, b->n_text + 1, sizeof *text);
    b->text = text ? text : b->text;
    char *bytes = grow(b->bytes, &b->bytes_cap, b->bytes_n + value.n, 1);
    b->bytes = bytes ? bytes : b->bytes;
    if (!text || !bytes)
        return ERR_NOMEM;
    b->text[b->n_text++] = (struct text_sample){
        .series = series,
        .quality = quality,
        .ts_us = ts_us,
        .kind = kind,
        .size = (uint32_t)value.n,
        .offset = (uint32_t)b->bytes_n,
    };
    if (value.n)
        memcpy(b->bytes + b->bytes_n, value.p, value.n);
    b->bytes_n += value.n;
    return ERR_OK;
}

/* ---- rows ---- */

void copy_head(struct buf *out)
{
    buf_put(out, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", HEAD_BYTES);
}

void copy_tail(struct buf *out)
{
    buf_u16be(out, UINT16_MAX);
}

static char *put16(char *p, uint16_t v)
{
    *p++ = (char)(v >> 8);
    *p++ = (char)v;
    return p;
}

static char *put32(char *p, uint32_t v)
{
    return put16(put16(p, (uint16_t)(v >> 16)), (uint16_t)v);
}

static char *put64(char *p, uint64_t v)
{
    return put32(put32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

#define ROWS_AT_ONCE 128

/* series_id int, ts timestamptz, value float8, quality smallint */
static char *put_sample(char *p, const struct sample *s)
{
    uint64_t bits;
    memcpy(&bits, &s->value, sizeof bits);
    p = put16(p, 4);
    p = put32(put32(p, 4), s->series);
    p = put64(put32(p, 8), (uint64_t)s->ts_us - (uint64_t)EPOCH_2000_US);
    p = put64(put32(p, 8), bits);
    return put16(put32(p, 2), s->quality);
}

static void put_samples(struct buf *out, const struct sample *v, size_t n)
{
    char rows[ROWS_AT_ONCE * CHUNK_SAMPLE_BYTES];
    while (n) {
        size_t some = n < ROWS_AT_ONCE ? n : ROWS_AT_ONCE;
        char *p = rows;
        for (size_t i = 0; i < some; i++)
            p = put_sample(p, &v[i]);
        buf_put(out, rows, some * CHUNK_SAMPLE_BYTES);
        v += some;
        n -= some;
    }
}

static void put_field(struct buf *out, bool present, const char *p, size_t n)
{
    buf_u32be(out, present ? (uint32_t)n : UINT32_MAX);
    if (present)
        buf_put(out, p, n);
}

/* series_id int, ts timestamptz, kind "char", value text, bytes bytea, quality smallint */
static void put_text(struct buf *out, const struct text_sample *t, const char *bytes)
{
    char head[2 + 4 + 4 + 4 + 8 + 4 + 1], tail[4 + 2];
    char *p = put16(head, 6);
    p = put32(put32(p, 4), t->series);
    p = put64(put32(p, 8), (uint64_t)t->ts_us - (uint64_t)EPOCH_2000_US);
    p = put32(p, 1);
    *p = t->kind;
    buf_put(out, head, sizeof head);
    put_field(out, t->kind == 't' || t->kind == 'j', bytes, t->size);
    put_field(out, t->kind == 'b', bytes, t->size);
    put16(put32(tail, 2), t->quality);
    buf_put(out, tail, sizeof tail);
}

struct str copy_rows(struct str body)
{
    if (body.n < HEAD_BYTES + TAIL_BYTES)
        return str_make(NULL, 0);
    return str_make(body.p + HEAD_BYTES, body.n - HEAD_BYTES - TAIL_BYTES);
}

bool copy_next(struct str *rows, struct str *row)
{
    struct reader r;
    reader_init(&r, rows->p, rows->n);
    for (uint16_t fields = reader_u16be(&r); fields && !r.err; fields--) {
        uint32_t size = reader_u32be(&r);
        if (size != UINT32_MAX)
            reader_bytes(&r, size);
    }
    if (r.err || !rows->n)
        return false;
    size_t used = rows->n - r.left;
    *row = str_make(rows->p, used);
    rows->p += used;
    rows->n -= used;
    return true;
}

/* ---- chunks ---- */

void chunk_init(struct chunk *c)
{
    *c = (struct chunk){.n = 0};
    buf_init(&c->samples, BODY_MAX_BYTES);
    buf_init(&c->texts, BODY_MAX_BYTES);
}

void chunk_fini(struct chunk *c)
{
    buf_fini(&c->samples);
    buf_fini(&c->texts);
}

void chunk_reset(struct chunk *c)
{
    c->n = c->n_text = 0;
    buf_reset(&c->samples);
    buf_reset(&c->texts);
}

enum err chunk_add(struct chunk *c, const struct batch *b)
{
    if (c->n + b->n > (size_t)CHUNK_BATCHES_MAX * BATCH_SAMPLES)
        return ERR_TOOBIG;
    if (b->n && !c->n)
        copy_head(&c->samples);
    put_samples(&c->samples, b->v, b->n);
    if (b->n_text && !c->n_text)
        copy_head(&c->texts);
    for (size_t i = 0; i < b->n_text; i++)
        put_text(&c->texts, &b->text[i], b->bytes ? b->bytes + b->text[i].offset : "");
    if (c->samples.err || c->texts.err)
        return c->samples.err ? c->samples.err : c->texts.err;
    c->n += b->n;
    c->n_text += b->n_text;
    return ERR_OK;
}

enum err chunk_seal(struct chunk *c)
{
    if (c->n)
        copy_tail(&c->samples);
    if (c->n_text)
        copy_tail(&c->texts);
    return c->samples.err ? c->samples.err : c->texts.err;
}

void chunk_encode(const struct chunk_view *c, struct buf *out)
{
    buf_u64be(out, c->writer);
    buf_u64be(out, c->batch_no);
    buf_u32be(out, c->rows);
    buf_u32be(out, c->text_rows);
    buf_u32be(out, (uint32_t)c->samples.n);
    buf_u32be(out, (uint32_t)c->texts.n);
    buf_str(out, c->samples);
    buf_str(out, c->texts);
}

enum err chunk_decode(struct str bytes, struct chunk_view *out)
{
    struct reader r;
    struct chunk_view c;
    reader_init(&r, bytes.p, bytes.n);
    c.writer = reader_u64be(&r);
    c.batch_no = reader_u64be(&r);
    c.rows = reader_u32be(&r);
    c.text_rows = reader_u32be(&r);
    size_t n = reader_u32be(&r), n_text = reader_u32be(&r);
    c.samples = reader_bytes(&r, n);
    c.texts = reader_bytes(&r, n_text);
    if (r.err)
        return r.err;
    if (r.left || c.writer > INT64_MAX || c.batch_no > INT64_MAX)
        return ERR_INVALID;
    *out = c;
    return ERR_OK;
}
