/* rollup.c - see rollup.h. */
#include "store/rollup.h"

#include <math.h>

#include "base/clock.h"
#include "store/pg_binary.h"

enum quality { QUALITY_BAD = 1, QUALITY_NULL = 3 };

static const struct {
    int64_t entry_us;
    int16_t entries;
} kinds[ROLLUP_KINDS] = {
    [ROLLUP_MINUTE] = {MINUTE_US, 60},
    [ROLLUP_FIVE] = {5 * MINUTE_US, 12},
    [ROLLUP_HOUR] = {HOUR_US, 24},
};

bool rollup_is_sound(double value, int16_t quality)
{
    int16_t word = (int16_t)(quality & ~QUALITY_HISTORICAL);
    return isfinite(value) && word != QUALITY_BAD && word != QUALITY_NULL;
}

int64_t rollup_entry_us(enum rollup_kind kind)
{
    return kinds[kind].entry_us;
}

int64_t rollup_row_us(enum rollup_kind kind)
{
    return kinds[kind].entry_us * kinds[kind].entries;
}

int64_t rollup_start(enum rollup_kind kind, int64_t ts_us)
{
    int64_t width = rollup_row_us(kind), rest = ts_us % width;
    return ts_us - rest - (rest < 0 ? width : 0);
}

/* ---- from samples ---- */

static struct rollup_entry empty_entry(int16_t at)
{
    return (struct rollup_entry){
        .at = at, .lo = NAN, .hi = NAN, .mean = NAN, .first = NAN, .last = NAN};
}

static bool sound_at(const struct points *in, size_t i)
{
    return rollup_is_sound(in->value[i], in->quality ? in->quality[i] : 0);
}

/* A mean of the greatest doubles must not overflow on the way; rounding must not carry it past the
 * least or the greatest. */
static double mean_of(const struct points *in, size_t from, size_t to, double n)
{
    double sum = 0;
    for (size_t i = from; i < to; i++)
        if (sound_at(in, i))
            sum += in->value[i];
    if (isfinite(sum))
        return sum / n;
    sum = 0;
    for (size_t i = from; i < to; i++)
        if (sound_at(in, i))
            sum += in->value[i] / n;
    return sum;
}

static double between(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static struct rollup_entry sum_up(const struct points *in, size_t from, size_t to, int16_t at)
{
    struct rollup_entry e = empty_entry(at);
    for (size_t i = from; i < to; i++) {
        double v = in->value[i];
        e.n++;
        if (!sound_at(in, i)) {
            e.bad++;
            continue;
        }
        if (e.n - e.bad == 1)
            e.first = e.lo = e.hi = v;
        e.lo = v < e.lo ? v : e.lo;
        e.hi = v > e.hi ? v : e.hi;
        e.last = v;
    }
    if (e.n > e.bad)
        e.mean = between(mean_of(in, from, to, (double)(e.n - e.bad)), e.lo, e.hi);
    return e;
}

enum err rollup_make(enum rollup_kind kind, const struct points *in, struct rollup *out)
{
    if (!in->n)
        return ERR_RANGE;
    int64_t start = rollup_start(kind, in->ts_us[0]), width = kinds[kind].entry_us;
    if (in->ts_us[in->n - 1] >= start + rollup_row_us(kind))
        return ERR_RANGE;
    out->kind = kind;
    out->start_us = start;
    out->entries = 0;
    for (size_t i = 0, end; i < in->n; i = end) {
        int64_t at = (in->ts_us[i] - start) / width, stop = start + (at + 1) * width;
        for (end = i + 1; end < in->n && in->ts_us[end] < stop; end++)
            continue;
        out->entry[out->entries++] = sum_up(in, i, end, (int16_t)at);
    }
    return ERR_OK;
}

/* ---- from entries ---- */

void rollup_join(struct rollup_entry *into, const struct rollup_entry *later)
{
    int64_t had = into->n - into->bad, more = later->n - later->bad;
    into->n += later->n;
    into->bad += later->bad;
    if (!more)
        return;
    if (!had) {
        into->lo = later->lo;
        into->hi = later->hi;
        into->mean = later->mean;
        into->first = later->first;
    } else {
        double share = (double)more / (double)(had + more);
        into->lo = later->lo < into->lo ? later->lo : into->lo;
        into->hi = later->hi > into->hi ? later->hi : into->hi;
        into->mean = between(into->mean * (1 - share) + later->mean * share, into->lo, into->hi);
    }
    into->last = later->last;
}

struct rollup_entry rollup_fold(const struct rollup *minutes)
{
    int64_t day = rollup_start(ROLLUP_HOUR, minutes->start_us);
    int64_t at = (minutes->start_us - day) / kinds[ROLLUP_HOUR].entry_us;
    struct rollup_entry e = empty_entry((int16_t)at);
    for (size_t i = 0; i < minutes->entries; i++)
        rollup_join(&e, &minutes->entry[i]);
    return e;
}

void rollup_set(struct rollup *r, const struct rollup_entry *e)
{
    size_t i = 0;
    while (i < r->entries && r->entry[i].at < e->at)
        i++;
    bool there = i < r->entries && r->entry[i].at == e->at;
    size_t after = r->entries - i - there;
    struct rollup_entry *place = &r->entry[i];
    if (e->n && (there || r->entries < ROLLUP_ENTRIES_MAX)) {
        memmove(place + 1, place + there, after * sizeof *place);
        *place = *e;
        r->entries += !there;
    } else if (!e->n && there) {
        memmove(place, place + 1, after * sizeof *place);
        r->entries--;
    }
}

/* ---- rows ---- */

struct columns {
    int16_t at[ROLLUP_ENTRIES_MAX];
    int32_t n[ROLLUP_ENTRIES_MAX], bad[ROLLUP_ENTRIES_MAX];
    double v[5][ROLLUP_ENTRIES_MAX]; /* lo, hi, mean, first, last */
};

static void put_columns(struct buf *out, const struct rollup *r)
{
    struct columns c;
    bool sound = true;
    for (size_t i = 0; i < r->entries; i++) {
        const struct rollup_entry *e = &r->entry[i];
        const double v[5] = {e->lo, e->hi, e->mean, e->first, e->last};
        c.at[i] = e->at;
        c.n[i] = (int32_t)e->n;
        c.bad[i] = (int32_t)e->bad;
        sound &= !e->bad;
        for (size_t k = 0; k < 5; k++)
            c.v[k][i] = v[k];
    }
    pg_put_i16s(out, c.at, r->entries);
    pg_put_i32s(out, c.n, r->entries);
    for (size_t k = 0; k < 5; k++)
        pg_put_doubles(out, c.v[k], r->entries);
    pg_put_i32s(out, sound ? NULL : c.bad, r->entries);
}

static void put_fives(struct buf *out, const struct rollup *minutes)
{
    struct rollup fives = {.entries = 0};
    for (size_t i = 0; i < minutes->entries; i++) {
        int16_t at = minutes->entry[i].at / 5;
        if (!fives.entries || fives.entry[fives.entries - 1].at != at)
            fives.entry[fives.entries++] = empty_entry(at);
        rollup_join(&fives.entry[fives.entries - 1], &minutes->entry[i]);
    }
    put_columns(out, &fives);
}

#define COLUMNS (ROLLUP_FIELDS - 1) /* beside `start` */
void rollup_put_row(struct buf *out, const struct rollup *r, uint32_t series, int16_t class_id)
{
    bool minutes = r->kind == ROLLUP_MINUTE;
    buf_u16be(out, ROLLUP_FIELDS + 2 + (minutes ? COLUMNS : 0));
    pg_put_i32(out, (int32_t)series);
    pg_put_i16(out, class_id);
    pg_put_time(out, r->start_us);
    put_columns(out, r);
    if (minutes)
        put_fives(out, r);
}

struct views {
    const int16_t *at;
    const int32_t *n, *bad;
    const double *v[5];
};

/* All arrays but the last have to be there, and all are of one length. */
static enum err read_views(struct arena *a, const struct str *f, struct views *w, size_t *entries)
{
    const size_t max = ROLLUP_ENTRIES_MAX;
    size_t first = 0, n = 0;
    enum err e = pg_get_i16s(a, f[1], max, &w->at, &first);
    if (!e)
        e = pg_get_i32s(a, f[2], max, &w->n, &n);
    if (!e && (!first || n != first))
        e = ERR_INVALID;
    for (int k = 0; !e && k < 5; k++) {
        e = pg_get_doubles(a, f[3 + k], max, &w->v[k], &n);
        if (!e && n != first)
            e = ERR_INVALID;
    }
    if (!e)
        e = pg_get_i32s(a, f[8], max, &w->bad, &n);
    if (!e && n && n != first)
        e = ERR_INVALID;
    *entries = first;
    return e;
}

enum err rollup_read(struct arena *a, enum rollup_kind kind, const struct str *fields,
                     struct rollup *out)
{
    struct views w = {0};
    size_t entries = 0;
    int64_t start = 0;
    enum err e = pg_get_time(fields[0], &start);
    if (!e)
        e = read_views(a, fields, &w, &entries);
    if (!e && start != rollup_start(kind, start))
        e = ERR_INVALID;
    if (e)
        return e;
    int before = -1;
    for (size_t i = 0; i < entries; i++) {
        int32_t bad = w.bad ? w.bad[i] : 0;
        if (w.at[i] <= before || w.at[i] >= kinds[kind].entries || w.n[i] < 1 || bad < 0 ||
            bad > w.n[i])
            return ERR_INVALID;
        before = w.at[i];
    }
    out->kind = kind;
    out->start_us = start;
    out->entries = entries;
    for (size_t i = 0; i < entries; i++)
        out->entry[i] = (struct rollup_entry){
            .at = w.at[i],
            .n = w.n[i],
            .bad = w.bad ? w.bad[i] : 0,
            .lo = w.v[0][i],
            .hi = w.v[1][i],
            .mean = w.v[2][i],
            .first = w.v[3][i],
            .last = w.v[4][i],
        };
    return ERR_OK;
}
