/* shape.c - see shape.h.
 *
 * A shape is one block: the metrics, both indexes, then the bytes of names and units.  While one is
 * in the making everything is in the caller's arena and borrows the message's texts. */
#include "sparkplug/shape.h"

#include "base/map.h"

#include <stdlib.h>

struct spb_shapes {
    struct map by_hash; /* number -> first shape of that hash */
    uint64_t seed;
};

struct spb_shapes *spb_shapes_new(uint64_t seed)
{
    struct spb_shapes *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->seed = seed;
    map_init(&s->by_hash, seed);
    return s;
}

void spb_shapes_free(struct spb_shapes *s)
{
    if (!s)
        return;
    map_fini(&s->by_hash);
    free(s);
}

size_t spb_shapes_count(const struct spb_shapes *s)
{
    return s->by_hash.n;
}

static uint64_t alias_hash(uint64_t seed, uint64_t alias)
{
    return str_hash(str_make((const char *)&alias, sizeof alias), seed);
}

/* ---- indexes ---- */

static size_t find_name(const struct spb_what *v, const uint32_t *index, uint32_t mask,
                        uint64_t seed, struct str name)
{
    for (size_t i = str_hash(name, seed) & mask; index[i]; i = (i + 1) & mask)
        if (str_eq(v[index[i] - 1].name, name))
            return index[i] - 1;
    return SPB_NOT_FOUND;
}

static size_t find_alias(const struct spb_what *v, const uint32_t *index, uint32_t mask,
                         uint64_t seed, uint64_t alias)
{
    for (size_t i = alias_hash(seed, alias) & mask; index[i]; i = (i + 1) & mask)
        if (v[index[i] - 1].has_alias && v[index[i] - 1].alias == alias)
            return index[i] - 1;
    return SPB_NOT_FOUND;
}

static void index_put(uint32_t *index, uint32_t mask, uint64_t hash, size_t place)
{
    size_t i = hash & mask;
    while (index[i])
        i = (i + 1) & mask;
    index[i] = (uint32_t)place + 1;
}

/* At most half full. */
static uint32_t mask_for(size_t n)
{
    uint32_t size = 2;
    while (size < 2 * n)
        size *= 2;
    return size - 1;
}

size_t spb_shape_count(const struct spb_shape *s)
{
    return s ? s->n : 0;
}

size_t spb_shape_name(const struct spb_shape *s, struct str name)
{
    return s ? find_name(s->v, s->by_name, s->mask, s->home->seed, name) : SPB_NOT_FOUND;
}

size_t spb_shape_alias(const struct spb_shape *s, uint64_t alias)
{
    return s ? find_alias(s->v, s->by_alias, s->mask, s->home->seed, alias) : SPB_NOT_FOUND;
}

/* ---- drafts ---- */

enum err spb_draft_init(struct spb_draft *d, struct spb_shapes *home, struct arena *arena,
                        const struct spb_shape *old, bool keep, size_t more, size_t room)
{
    size_t n = spb_shape_count(old);
    *d = (struct spb_draft){
        .home = home, .arena = arena, .n = n, .cap = n + (more < room ? more : room)};
    d->mask = mask_for(n + more); /* not cap: a metric named often uses a place for each alias */
    d->v = arena_calloc(arena, d->cap + 1, sizeof *d->v);
    d->names = arena_calloc(arena, (size_t)d->mask + 1, sizeof *d->names);
    d->aliases = arena_calloc(arena, (size_t)d->mask + 1, sizeof *d->aliases);
    if (!d->v || !d->names || !d->aliases)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        d->v[i] = old->v[i];
        if (!keep)
            d->v[i].announced = d->v[i].has_alias = false;
        index_put(d->names, d->mask, str_hash(d->v[i].name, home->seed), i);
        if (d->v[i].has_alias)
            index_put(d->aliases, d->mask, alias_hash(home->seed, d->v[i].alias), i);
    }
    return ERR_OK;
}

size_t spb_draft_place(struct spb_draft *d, struct str name)
{
    size_t i = find_name(d->v, d->names, d->mask, d->home->seed, name);
    if (i != SPB_NOT_FOUND || d->n == d->cap)
        return i;
    d->v[d->n] = (struct spb_what){.name = name, .unit = STR("")};
    index_put(d->names, d->mask, str_hash(name, d->home->seed), d->n);
    return d->n++;
}

bool spb_draft_alias(struct spb_draft *d, size_t place, uint64_t alias)
{
    struct spb_what *w = &d->v[place];
    size_t other = find_alias(d->v, d->aliases, d->mask, d->home->seed, alias);
    if (other != SPB_NOT_FOUND)
        return other == place;
    w->has_alias = true; /* an older alias of it is found no more, though its place is taken */
    w->alias = alias;
    index_put(d->aliases, d->mask, alias_hash(d->home->seed, alias), place);
    return true;
}

/* ---- one of each ---- */

static uint64_t what_hash(const struct spb_what *w, uint64_t seed)
{
    const uint64_t numbers[] = {
        w->has_alias ? w->alias : 0,
        (uint64_t)(w->datatype | w->announced << 8 | w->readonly << 9 | w->has_alias << 10)};
    uint64_t h = str_hash(w->name, seed);
    h = str_hash(w->unit, h);
    return str_hash(str_make((const char *)numbers, sizeof numbers), h);
}

static bool what_eq(const struct spb_what *a, const struct spb_what *b)
{
    return a->datatype == b->datatype && a->announced == b->announced &&
           a->readonly == b->readonly && a->is_control == b->is_control &&
           a->has_alias == b->has_alias && (!a->has_alias || a->alias == b->alias) &&
           str_eq(a->name, b->name) && str_eq(a->unit, b->unit);
}

static bool same(const struct spb_shape *s, const struct spb_draft *d)
{
    if (s->n != d->n)
        return false;
    for (size_t i = 0; i < d->n; i++)
        if (!what_eq(&s->v[i], &d->v[i]))
            return false;
    return true;
}

static struct str keep_text(char **at, struct str text)
{
    struct str kept = str_make(*at, text.n);
    if (text.n)
        memcpy(*at, text.p, text.n);
    *at += text.n;
    return kept;
}

static struct spb_shape *shape_new(const struct spb_draft *d, uint64_t hash)
{
    size_t bytes = 0, n = d->n;
    uint32_t mask = mask_for(n);
    for (size_t i = 0; i < n; i++)
        bytes += d->v[i].name.n + d->v[i].unit.n;
    struct spb_shape *s = calloc(1, sizeof *s + n * sizeof *s->v +
                                        2 * ((size_t)mask + 1) * sizeof *s->by_name + bytes);
    if (!s)
        return NULL;
    s->home = d->home;
    s->hash = hash;
    s->refs = 1;
    s->n = (uint32_t)n;
    s->mask = mask;
    s->by_name = (uint32_t *)(void *)(s->v + n);
    s->by_alias = s->by_name + mask + 1;
    char *at = (char *)(s->by_alias + mask + 1);
    for (size_t i = 0; i < n; i++) {
        struct spb_what *w = &s->v[i];
        *w = d->v[i];
        w->name = keep_text(&at, w->name);
        w->unit = keep_text(&at, w->unit);
        index_put(s->by_name, mask, str_hash(w->name, d->home->seed), i);
        if (w->has_alias)
            index_put(s->by_alias, mask, alias_hash(d->home->seed, w->alias), i);
    }
    return s;
}

struct spb_shape *spb_draft_finish(const struct spb_draft *d)
{
    uint64_t hash = d->n;
    for (size_t i = 0; i < d->n; i++)
        hash = what_hash(&d->v[i], hash ^ d->home->seed);
    struct spb_shape *first = map_find_u64(&d->home->by_hash, hash);
    for (struct spb_shape *s = first; s; s = s->next)
        if (same(s, d))
            return spb_shape_ref(s);
    struct spb_shape *s = shape_new(d, hash);
    if (!s)
        return NULL;
    s->next = first;
    if (map_put_u64(&d->home->by_hash, hash, s, NULL)) {
        free(s);
        return NULL;
    }
    return s;
}

struct spb_shape *spb_shape_ref(struct spb_shape *s)
{
    if (s)
        s->refs++;
    return s;
}

/* Replacing the first of a hash by the next one needs no memory: its key is there already. */
static void forget(struct spb_shape *s)
{
    struct map *m = &s->home->by_hash;
    struct spb_shape *first = map_find_u64(m, s->hash);
    if (first == s && !s->next) {
        map_remove_u64(m, s->hash);
    } else if (first == s) {
        enum err e = map_put_u64(m, s->hash, s->next, NULL);
        (void)e;
    } else {
        while (first->next != s)
            first = first->next;
        first->next = s->next;
    }
}

void spb_shape_unref(struct spb_shape *s)
{
    if (!s || --s->refs)
        return;
    forget(s);
    free(s);
}
