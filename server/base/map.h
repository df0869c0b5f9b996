/* map.h - hash table from byte strings (or 64-bit numbers) to pointers.
 *
 * Open addressing, keys borrowed: a key's bytes must live as long as the entry, normally inside
 * the value itself.  Not thread safe.  Iteration order is arbitrary; the table must not change
 * while it is iterated, except by map_remove of the entry just returned. */
#ifndef BRAID_BASE_MAP_H
#define BRAID_BASE_MAP_H

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t n;    /* live entries */
    size_t used; /* live entries and tombstones */
    size_t cap;
    size_t moves; /* how often all entries got new places: an iteration across that is none */
    uint64_t seed;
};

void map_init(struct map *m, uint64_t seed);
void map_fini(struct map *m); /* does not free the values */

void *map_find(const struct map *m, struct str key); /* NULL if absent */
/* map_put adds or replaces; the replaced value (or NULL) goes to *old when old is given. */
MUST_CHECK enum err map_put(struct map *m, struct str key, void *value, void **old);
void *map_remove(struct map *m, struct str key); /* the removed value or NULL */

/* The same table keyed by numbers; do not mix with string keys in one map. */
void *map_find_u64(const struct map *m, uint64_t key);
MUST_CHECK enum err map_put_u64(struct map *m, uint64_t key, void *value, void **old);
void *map_remove_u64(struct map *m, uint64_t key);

/* map_next iterates: start with *it = 0; returns the next value or NULL at the end. */
void *map_next(const struct map *m, size_t *it);

#endif
