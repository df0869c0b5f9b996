/* heap.h - intrusive binary min-heap of deadlines.
 *
 * Embed a heap_node; the heap stores pointers and keeps each node's position, so a deadline can be
 * moved or removed in O(log n).  Not thread safe. */
#ifndef BRAID_BASE_HEAP_H
#define BRAID_BASE_HEAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;    /* e.g. monotonic ms */
    size_t position; /* 1-based; 0 = not in a heap */
};

struct heap {
    struct heap_node **v;
    size_t n, cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);
/* heap_set inserts `node` with `key`, or moves it if it is in already.  ERR_NOMEM on growth. */
MUST_CHECK enum err heap_set(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* harmless if not in */
struct heap_node *heap_top(const struct heap *h);         /* smallest key, NULL if empty */

#endif
