/* arena.c - see arena.h. */
#include "base/arena.h"

#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of data */
    size_t used;
    _Alignas(16) char data[];
};

void arena_init(struct arena *a, size_t chunk_size, size_t limit)
{
    *a = (struct arena){.limit = limit, .chunk_size = chunk_size};
}

static void free_chunks(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *older = c->older;
        free(c);
        c = older;
    }
}

void arena_fini(struct arena *a)
{
    free_chunks(a->chunk);
    a->chunk = NULL;
}

void arena_reset(struct arena *a)
{
    if (a->chunk) {
        free_chunks(a->chunk->older);
        a->chunk->older = NULL;
        a->chunk->used = 0;
        if (a->chunk->size > a->chunk_size) { /* do not keep an unusually large one */
            free(a->chunk);
            a->chunk = NULL;
        }
    }
    a->used = 0;
    a->failed = false;
}

static struct arena_chunk *add_chunk(struct arena *a, size_t need)
{
    size_t size = need > a->chunk_size ? need : a->chunk_size;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->older = a->chunk;
    c->size = size;
    c->used = 0;
    a->chunk = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->limit) {
        a->failed = true;
        return NULL;
    }
    size_t need = (n + 15) & ~(size_t)15;
    if (!need)
        need = 16;
    struct arena_chunk *c = a->chunk;
    if (a->failed || need > a->limit - a->used ||
        ((!c || c->size - c->used < need) && !(c = add_chunk(a, need)))) {
        a->failed = true;
        return NULL;
    }
    void *p = c->data + c->used;
    c->used += need;
    a->used += need;
    return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) {
        a->failed = true;
        return NULL;
    }
    void *p = arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *arena_grow(struct arena *a, void *old, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return old;
    size_t want = *cap ? *cap * 2 : 8;
    while (want < count)
        want *= 2;
    void *p = arena_calloc(a, want, size);
    if (!p)
        return NULL;
    if (old)
        memcpy(p, old, *cap * size);
    *cap = want;
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return str_make(NULL, 0);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_make(p, s.n);
}
