/* live_pile.c - see live_pile.h.
 *
 * An array in order of arrival with a small open-addressing index over the keys.  Positions never
 * move, so the index stays right; a withdrawn fragment leaves a hole that is skipped when the pile
 * is written.  Piles live for one tick, so holes and stale index entries are not cleaned up. */
#include "live/live_pile.h"

#include <stdlib.h>

static size_t weight(const struct live_frag *f)
{
    return f->n + LIVE_ITEM_COST;
}

static void index_put(struct live_pile *p, uint64_t key, uint32_t position)
{
    size_t mask = p->n_slots - 1;
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 17) & mask;
    while (p->slots[i] && p->v[p->slots[i] - 1].key != key)
        i = (i + 1) & mask;
    p->slots[i] = position + 1;
}

static uint32_t *index_find(const struct live_pile *p, uint64_t key)
{
    if (!p->n_slots)
        return NULL;
    size_t mask = p->n_slots - 1;
    for (size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 17) & mask; p->slots[i];
         i = (i + 1) & mask)
        if (p->v[p->slots[i] - 1].key == key)
            return &p->slots[i];
    return NULL;
}

/* The index is kept at most half full, counting every item whether keyed or not. */
static enum err index_grow(struct live_pile *p)
{
    size_t want = p->n_slots ? p->n_slots : 16;
    while (want < (p->n + 1) * 2)
        want *= 2;
    if (want == p->n_slots)
        return ERR_OK;
    uint32_t *slots = calloc(want, sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    free(p->slots);
    p->slots = slots;
    p->n_slots = want;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].key)
            index_put(p, p->v[i].key, (uint32_t)i);
    return ERR_OK;
}

enum err live_pile_add(struct live_pile *p, struct live_frag *f, uint64_t key)
{
    uint32_t *slot = key ? index_find(p, key) : NULL;
    if (slot && p->v[*slot - 1].f) {
        struct live_item *item = &p->v[*slot - 1];
        p->bytes += weight(f) - weight(item->f);
        live_frag_ref(f);
        live_frag_unref(item->f);
        item->f = f;
        return ERR_OK;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct live_item *v = realloc(p->v, cap * sizeof *v);
        if (!v)
            return ERR_NOMEM;
        p->v = v;
        p->cap = cap;
    }
    if (key && index_grow(p))
        return ERR_NOMEM;
    p->v[p->n] = (struct live_item){live_frag_ref(f), key};
    if (key)
        index_put(p, key, (uint32_t)p->n);
    p->n++;
    p->bytes += weight(f);
    return ERR_OK;
}

void live_pile_withdraw(struct live_pile *p, uint64_t key)
{
    uint32_t *slot = index_find(p, key);
    if (!slot || !p->v[*slot - 1].f)
        return;
    struct live_item *item = &p->v[*slot - 1];
    p->bytes -= weight(item->f);
    live_frag_unref(item->f);
    item->f = NULL;
}

size_t live_pile_clear(struct live_pile *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->v[i].f != NULL;
        live_frag_unref(p->v[i].f);
    }
    free(p->v);
    free(p->slots);
    *p = (struct live_pile){0};
    return n;
}

enum err live_pile_split(struct live_pile *p, size_t bytes, struct live_pile *out)
{
    if (p->bytes <= bytes) {
        *out = *p;
        *p = (struct live_pile){0};
        return ERR_OK;
    }
    size_t k = 0, took = 0;
    while (k < p->n && (!took || took + (p->v[k].f ? weight(p->v[k].f) : 0) <= bytes)) {
        took += p->v[k].f ? weight(p->v[k].f) : 0;
        k++;
    }
    struct live_item *v = malloc(k * sizeof *v);
    if (!v)
        return ERR_NOMEM;
    memcpy(v, p->v, k * sizeof *v);
    *out = (struct live_pile){.v = v, .n = k, .cap = k, .bytes = took};
    memmove(p->v, p->v + k, (p->n - k) * sizeof *v);
    p->n -= k;
    p->bytes -= took;
    if (p->n_slots)
        memset(p->slots, 0, p->n_slots * sizeof *p->slots);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].key)
            index_put(p, p->v[i].key, (uint32_t)i);
    return ERR_OK;
}
