/* map.c - open addressing with linear probing and tombstones, at most 3/4 full.  A number key is
 * stored in the slot itself, so both kinds share the code (a str with .p NULL, .n the number, is
 * how one travels).  A large fleet is a few large maps: slots are small, and a table grows by half,
 * to any number of slots, so that never more than half of it is empty. */
#include "base/map.h"

#include <stdlib.h>

struct map_slot {
    uint32_t hash; /* its lower half: enough to place it and to tell most others apart */
    uint32_t n;    /* bytes of a text key */
    union {
        const char *p;
        uint64_t number;
    };
    void *value; /* NULL: empty; TOMB: removed */
};

static char tomb_mark;
#define TOMB ((void *)&tomb_mark)

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

void map_fini(struct map *m)
{
    free(m->slots);
    map_init(m, m->seed);
}

/* splitmix64 over the number: a few multiplications, and spread enough for linear probing. */
static uint64_t mix(uint64_t v, uint64_t seed)
{
    uint64_t z = (v ^ seed) + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t hash_key(const struct map *m, struct str key, bool number)
{
    return (uint32_t)(number ? mix(key.n, m->seed) : str_hash(key, m->seed));
}

static bool key_matches(const struct map_slot *s, uint32_t hash, struct str key, bool number)
{
    if (s->hash != hash || s->value == TOMB)
        return false;
    return number ? s->number == key.n : str_eq(str_make(s->p, s->n), key);
}

static void set_key(struct map_slot *s, struct str key, bool number)
{
    s->n = number ? 0 : (uint32_t)key.n;
    if (number)
        s->number = key.n;
    else
        s->p = key.p;
}

/* Where a hash belongs: as far into the table as it is into its range. */
static size_t home(const struct map *m, uint32_t hash)
{
    return (size_t)((uint64_t)hash * m->cap >> 32);
}

static size_t next(const struct map *m, size_t i)
{
    return i + 1 < m->cap ? i + 1 : 0;
}

static struct map_slot *find_slot(const struct map *m, struct str key, bool number)
{
    if (!m->cap)
        return NULL;
    uint32_t hash = hash_key(m, key, number);
    for (size_t i = home(m, hash); m->slots[i].value; i = next(m, i))
        if (key_matches(&m->slots[i], hash, key, number))
            return &m->slots[i];
    return NULL;
}

/* Inserts a key known to be absent; there is always a free slot. */
static void insert_new(struct map *m, const struct map_slot *slot)
{
    size_t i = home(m, slot->hash);
    while (m->slots[i].value && m->slots[i].value != TOMB)
        i = next(m, i);
    if (!m->slots[i].value)
        m->used++;
    m->slots[i] = *slot;
    m->n++;
}

static enum err rehash(struct map *m, size_t cap)
{
    struct map_slot *old = m->slots, *fresh = calloc(cap, sizeof *fresh);
    size_t old_cap = m->cap;
    if (!fresh)
        return ERR_NOMEM;
    m->slots = fresh;
    m->cap = cap;
    m->moves++;
    m->n = m->used = 0;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value && old[i].value != TOMB)
            insert_new(m, &old[i]);
    free(old);
    return ERR_OK;
}

static enum err put(struct map *m, struct str key, bool number, void *value, void **old)
{
    struct map_slot *s = find_slot(m, key, number);
    if (s) {
        if (old)
            *old = s->value;
        set_key(s, key, number);
        s->value = value;
        return ERR_OK;
    }
    if (!number && key.n > UINT32_MAX)
        return ERR_TOOBIG;
    if ((m->used + 1) * 4 > m->cap * 3) {
        enum err e = rehash(m, m->n < 4 ? 8 : (m->n + 1) * 2);
        if (e)
            return e;
    }
    struct map_slot fresh = {.hash = hash_key(m, key, number), .value = value};
    set_key(&fresh, key, number);
    insert_new(m, &fresh);
    if (old)
        *old = NULL;
    return ERR_OK;
}

static void *take(struct map *m, struct str key, bool number)
{
    struct map_slot *s = find_slot(m, key, number);
    if (!s)
        return NULL;
    void *value = s->value;
    s->value = TOMB;
    m->n--;
    return value;
}

void *map_find(const struct map *m, struct str key)
{
    struct map_slot *s = find_slot(m, key, false);
    return s ? s->value : NULL;
}

enum err map_put(struct map *m, struct str key, void *value, void **old)
{
    return put(m, key, false, value, old);
}

void *map_remove(struct map *m, struct str key)
{
    return take(m, key, false);
}

void *map_find_u64(const struct map *m, uint64_t key)
{
    struct map_slot *s = find_slot(m, str_make(NULL, key), true);
    return s ? s->value : NULL;
}

enum err map_put_u64(struct map *m, uint64_t key, void *value, void **old)
{
    return put(m, str_make(NULL, key), true, value, old);
}

void *map_remove_u64(struct map *m, uint64_t key)
{
    return take(m, str_make(NULL, key), true);
}

void *map_next(const struct map *m, size_t *it)
{
    while (*it < m->cap) {
        void *value = m->slots[(*it)++].value;
        if (value && value != TOMB)
            return value;
    }
    return NULL;
}
