/* arena.h - bump allocation for things that die together (one message, one request).
 *
 * Memory comes from chunks; nothing is freed singly.  An arena has a ceiling: beyond it, and when
 * malloc fails, allocation returns NULL and the arena stays marked `failed` until it is reset, so
 * a decoder can allocate freely and its caller checks once. */
#ifndef BRAID_BASE_ARENA_H
#define BRAID_BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* the one being filled; older ones behind it */
    size_t used;               /* bytes handed out since the last reset, rounding included */
    size_t limit;              /* ceiling of `used` */
    size_t chunk_size;
    bool failed;
};

/* arena_init prepares an empty arena; nothing is allocated before the first use. */
void arena_init(struct arena *a, size_t chunk_size, size_t limit);
void arena_fini(struct arena *a);

/* arena_reset forgets everything but keeps one chunk for reuse. */
void arena_reset(struct arena *a);

/* arena_alloc returns `n` bytes aligned to 16, not cleared; NULL at the ceiling. */
void *arena_alloc(struct arena *a, size_t n);
/* arena_calloc: the same, cleared, for count*size with overflow check. */
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* arena_grow makes room for `count` elements of `size` where `*cap` fitted before: a new block
 * with the old bytes copied (doubling).  Returns NULL at the ceiling; `old` stays valid. */
void *arena_grow(struct arena *a, void *old, size_t *cap, size_t count, size_t size);
/* arena_str copies a view and terminates it; .p is NULL at the ceiling. */
struct str arena_str(struct arena *a, struct str s);

#endif
