/* packed_row.c - see packed_row.h. */
#include "store/packed_row.h"

#include "store/pg_binary.h"

enum field { START, STOP, STEP, V0, N, SCALE, T2, T4, T8, V2, V4, VF, RN, Q, QN };
_Static_assert(QN + 1 == PACKED_FIELDS, "the list of columns and its enumerators differ");

#define COPY_FIELDS (PACKED_FIELDS + 2)

void packed_put_row(struct buf *out, const struct packed *p, uint32_t series, int16_t class_id)
{
    buf_u16be(out, COPY_FIELDS);
    pg_put_time(out, p->start_us);
    pg_put_time(out, p->stop_us);
    if (p->step_us >= 0)
        pg_put_i64(out, p->step_us);
    else
        pg_put_null(out);
    if (p->scale >= 0)
        pg_put_i64(out, p->v0);
    else
        pg_put_null(out);
    pg_put_i32(out, (int32_t)series);
    pg_put_i32(out, (int32_t)p->n);
    pg_put_i16(out, class_id);
    if (p->scale >= 0)
        pg_put_i16(out, (int16_t)p->scale);
    else
        pg_put_null(out);
    pg_put_i16s(out, p->t2, p->n);
    pg_put_i32s(out, p->t4, p->n);
    pg_put_i64s(out, p->t8, p->n);
    pg_put_i16s(out, p->v2, p->n);
    pg_put_i32s(out, p->v4, p->n);
    pg_put_doubles(out, p->vf, p->rn ? p->value_runs : p->n);
    pg_put_i32s(out, p->rn, p->value_runs);
    pg_put_i16s(out, p->q, p->quality_runs);
    pg_put_i32s(out, p->qn, p->quality_runs);
}

/* ---- reading ---- */

static enum err read_scalars(const struct str *f, struct packed *p)
{
    int32_t n = 0;
    int16_t scale = -1;
    enum err e = pg_get_time(f[START], &p->start_us);
    if (!e)
        e = pg_get_time(f[STOP], &p->stop_us);
    if (!e)
        e = pg_get_i32(f[N], &n);
    p->step_us = -1;
    if (!e && f[STEP].p)
        e = pg_get_i64(f[STEP], &p->step_us);
    if (!e && f[V0].p)
        e = pg_get_i64(f[V0], &p->v0);
    if (!e && f[SCALE].p)
        e = pg_get_i16(f[SCALE], &scale);
    if (!e && (n < 1 || n > PACKED_MAX || (f[STEP].p && p->step_us < 0) ||
               (f[SCALE].p && scale < 0) || !f[SCALE].p != !f[V0].p))
        e = ERR_INVALID;
    p->n = (uint32_t)n;
    p->scale = scale;
    return e;
}

/* Arrays of differences have n entries. */
static enum err read_deltas(struct arena *a, const struct str *f, struct packed *p)
{
    size_t n[5];
    enum err e = pg_get_i16s(a, f[T2], p->n, &p->t2, &n[0]);
    if (!e)
        e = pg_get_i32s(a, f[T4], p->n, &p->t4, &n[1]);
    if (!e)
        e = pg_get_i64s(a, f[T8], p->n, &p->t8, &n[2]);
    if (!e)
        e = pg_get_i16s(a, f[V2], p->n, &p->v2, &n[3]);
    if (!e)
        e = pg_get_i32s(a, f[V4], p->n, &p->v4, &n[4]);
    for (size_t i = 0; !e && i < sizeof n / sizeof *n; i++)
        if (n[i] && n[i] != p->n)
            e = ERR_INVALID;
    return e;
}

static enum err read_runs(struct arena *a, const struct str *f, struct packed *p)
{
    size_t floats = 0, lengths = 0, words = 0, word_lengths = 0;
    enum err e = pg_get_doubles(a, f[VF], p->n, &p->vf, &floats);
    if (!e)
        e = pg_get_i32s(a, f[RN], p->n, &p->rn, &lengths);
    if (!e)
        e = pg_get_i16s(a, f[Q], p->n, &p->q, &words);
    if (!e)
        e = pg_get_i32s(a, f[QN], p->n, &p->qn, &word_lengths);
    if (!e && (words != word_lengths || (p->vf && floats != (p->rn ? lengths : p->n))))
        e = ERR_INVALID;
    p->value_runs = (uint32_t)lengths;
    p->quality_runs = (uint32_t)words;
    return e;
}

enum err packed_read(struct arena *a, const struct str *fields, struct packed *out)
{
    struct packed p = {0};
    enum err e = read_scalars(fields, &p);
    if (!e)
        e = read_deltas(a, fields, &p);
    if (!e)
        e = read_runs(a, fields, &p);
    if (!e)
        *out = p;
    return e;
}
