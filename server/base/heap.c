/* heap.c - see heap.h. */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    free(h->v);
    heap_init(h);
}

static void place(struct heap *h, size_t i, struct heap_node *node)
{
    h->v[i] = node;
    node->position = i + 1;
}

static void sift_up(struct heap *h, size_t i)
{
    struct heap_node *node = h->v[i];
    while (i && h->v[(i - 1) / 2]->key > node->key) {
        place(h, i, h->v[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, node);
}

static void sift_down(struct heap *h, size_t i)
{
    struct heap_node *node = h->v[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->v[child + 1]->key < h->v[child]->key)
            child++;
        if (h->v[child]->key >= node->key)
            break;
        place(h, i, h->v[child]);
        i = child;
    }
    place(h, i, node);
}

enum err heap_set(struct heap *h, struct heap_node *node, uint64_t key)
{
    if (!node->position) {
        if (h->n == h->cap) {
            size_t cap = h->cap ? h->cap * 2 : 64;
            struct heap_node **v = realloc(h->v, cap * sizeof *v);
            if (!v)
                return ERR_NOMEM;
            h->v = v;
            h->cap = cap;
        }
        place(h, h->n++, node);
    }
    node->key = key;
    sift_up(h, node->position - 1);
    sift_down(h, node->position - 1);
    return ERR_OK;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!node->position)
        return;
    size_t i = node->position - 1;
    struct heap_node *last = h->v[--h->n];
    node->position = 0;
    if (last == node)
        return;
    place(h, i, last);
    sift_up(h, i);
    sift_down(h, last->position - 1);
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->n ? h->v[0] : NULL;
}
