/* recent.c - see recent.h.
 *
 * Rows lie in blocks by columns, because looking for a series is looking through one column. Blocks
 * are mapped, so that what is given up is the system's at once. */
#include "store/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "store/chunk.h"
#include "store/landing.h"
#include "store/pg_binary.h"

#define BLOCK_ROWS 8192

struct block {
    struct block *next;
    size_t n;
    int64_t ts_us[BLOCK_ROWS];
    double value[BLOCK_ROWS];
    uint32_t series[BLOCK_ROWS];
    int16_t quality[BLOCK_ROWS];
};

struct copy {
    bool held;
    int64_t turn;
    uint64_t since_ms;
    struct block *first, *last;
    size_t n, sure; /* rows, and those of them that are certainly committed */
};

struct recent {
    pthread_mutex_t lock;
    size_t n, max; /* rows of all copies */
    struct copy copy[LANDING_SLOTS];
};

enum err recent_new(size_t max_rows, struct recent **out)
{
    struct recent *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    pthread_mutex_init(&r->lock, NULL);
    r->max = max_rows;
    *out = r;
    return ERR_OK;
}

/* With the lock held, as all that is `static` here. */
static void give_up(struct recent *r, struct copy *c)
{
    for (struct block *b = c->first, *next; b; b = next) {
        next = b->next;
        munmap(b, sizeof *b);
    }
    r->n -= c->n;
    *c = (struct copy){.held = false};
}

void recent_free(struct recent *r)
{
    if (!r)
        return;
    for (int i = 0; i < LANDING_SLOTS; i++)
        give_up(r, &r->copy[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- what the writer says ---- */

void recent_begin(struct recent *r, int slot, int64_t turn, uint64_t now_ms)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    give_up(r, &r->copy[slot]);
    r->copy[slot] = (struct copy){.held = true, .turn = turn, .since_ms = now_ms};
    pthread_mutex_unlock(&r->lock);
}

static struct block *room(struct copy *c)
{
    if (c->last && c->last->n < BLOCK_ROWS)
        return c->last;
    struct block *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    *(c->last ? &c->last->next : &c->first) = b;
    c->last = b;
    return b;
}

/* One row as put_sample of chunk.c makes it: a field count, then a length before each field. */
static bool take_row(struct block *b, struct str row)
{
    size_t i = b->n;
    int32_t series = 0;
    if (row.n != CHUNK_SAMPLE_BYTES || pg_get_i32(str_make(row.p + 6, 4), &series) ||
        pg_get_double(str_make(row.p + 26, 8), &b->value[i]) ||
        pg_get_i16(str_make(row.p + 38, 2), &b->quality[i]))
        return false;
    b->series[i] = (uint32_t)series;
    if (pg_get_time(str_make(row.p + 14, 8), &b->ts_us[i]))
        b->ts_us[i] = INT64_MIN; /* as the packer reads it */
    b->n++;
    return true;
}

static bool add(struct recent *r, struct copy *c, struct str rows)
{
    if (rows.n % CHUNK_SAMPLE_BYTES || rows.n / CHUNK_SAMPLE_BYTES > r->max - r->n)
        return false;
    for (; rows.n; rows.p += CHUNK_SAMPLE_BYTES, rows.n -= CHUNK_SAMPLE_BYTES) {
        struct block *b = room(c);
        if (!b || !take_row(b, str_make(rows.p, CHUNK_SAMPLE_BYTES)))
            return false;
        c->n++;
        r->n++;
    }
    return true;
}

void recent_add(struct recent *r, int slot, int64_t turn, struct str body)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    struct copy *c = &r->copy[slot];
    if (c->held && (c->turn != turn || !add(r, c, copy_rows(body))))
        give_up(r, c);
    pthread_mutex_unlock(&r->lock);
}

void recent_confirm(struct recent *r, int slot, int64_t turn)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    if (r->copy[slot].held && r->copy[slot].turn == turn)
        r->copy[slot].sure = r->copy[slot].n;
    pthread_mutex_unlock(&r->lock);
}

void recent_forget(struct recent *r, int slot)
{
    if (!r || slot < 0)
        return;
    pthread_mutex_lock(&r->lock);
    give_up(r, &r->copy[slot]);
    pthread_mutex_unlock(&r->lock);
}

void recent_expire(struct recent *r, uint64_t before_ms)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < LANDING_SLOTS; i++)
        if (r->copy[i].held && r->copy[i].since_ms < before_ms)
            give_up(r, &r->copy[i]);
    pthread_mutex_unlock(&r->lock);
}

/* ---- what others ask ---- */

static struct row row_of(const struct block *b, size_t i)
{
    return (struct row){b->ts_us[i], b->value[i], b->series[i], b->quality[i]};
}

static enum err copy_out(const struct copy *c, struct rows *out)
{
    out->n = 0;
    enum err e = rows_room(out, c->n);
    for (const struct block *b = c->first; !e && b; b = b->next)
        for (size_t i = 0; i < b->n; i++)
            out->v[out->n++] = row_of(b, i);
    return e;
}

static bool holds(const struct recent *r, int slot, int64_t turn)
{
    return slot >= 0 && slot < LANDING_SLOTS && r->copy[slot].held && r->copy[slot].turn == turn;
}

bool recent_holds(struct recent *r, int slot, int64_t turn)
{
    if (!r)
        return false;
    pthread_mutex_lock(&r->lock);
    bool held = holds(r, slot, turn);
    pthread_mutex_unlock(&r->lock);
    return held;
}

enum err recent_copy(struct recent *r, int slot, int64_t turn, size_t n, struct rows *out)
{
    if (!r)
        return ERR_NOTFOUND;
    pthread_mutex_lock(&r->lock);
    const struct copy *c = &r->copy[slot];
    bool same = holds(r, slot, turn) && c->n == n && c->sure == n;
    enum err e = same ? copy_out(c, out) : ERR_NOTFOUND;
    pthread_mutex_unlock(&r->lock);
    return e;
}

static enum err find(const struct copy *c, uint32_t series, int64_t from_us, int64_t to_us,
                     recent_found *found, void *ctx)
{
    enum err e = ERR_OK;
    for (const struct block *b = c->first; !e && b; b = b->next)
        for (size_t i = 0; !e && i < b->n; i++) {
            if (b->series[i] != series || b->ts_us[i] < from_us || b->ts_us[i] >= to_us)
                continue;
            struct row row = row_of(b, i);
            e = found(ctx, &row);
        }
    return e;
}

enum err recent_find(struct recent *r, const struct recent_turn *tables, size_t n, uint32_t series,
                     int64_t from_us, int64_t to_us, recent_found *found, void *ctx, bool *held)
{
    enum err e = ERR_OK;
    *held = r != NULL;
    if (!r)
        return ERR_OK;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++)
        *held = *held && holds(r, tables[i].slot, tables[i].turn);
    for (size_t i = 0; *held && !e && i < n; i++)
        e = find(&r->copy[tables[i].slot], series, from_us, to_us, found, ctx);
    pthread_mutex_unlock(&r->lock);
    return e;
}
