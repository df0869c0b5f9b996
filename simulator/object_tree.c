/* object_tree.c - see object_tree.h. */
#include "object_tree.h"

#include <stdlib.h>

enum err tree_init(struct tree *t, const struct description *d, const struct desc_kind *k,
                   struct str endpoint, uint64_t seed)
{
    *t = (struct tree){.desc = d, .endpoint = endpoint, .seed = seed};
    t->cells = calloc(k->n_cells + 1, sizeof *t->cells);
    t->instances = calloc(k->n_instances + 1, sizeof *t->instances);
    if (!t->cells || !t->instances) {
        tree_fini(t);
        return ERR_NOMEM;
    }
    t->cap = k->n_cells + 1;
    t->cap_instances = k->n_instances + 1;
    for (; t->n < k->n_cells; t->n++)
        t->cells[t->n] = (struct tree_cell){.path = k->cells[t->n].path,
                                            .res = k->cells[t->n].res,
                                            .source = &k->cells[t->n].source};
    for (; t->n_instances < k->n_instances; t->n_instances++)
        t->instances[t->n_instances] = k->instances[t->n_instances];
    return ERR_OK;
}

void tree_fini(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i].owned);
    free(t->cells);
    free(t->instances);
    *t = (struct tree){0};
}

/* The first cell that is not before `p`. */
static size_t lower(const struct tree *t, struct lw_path p)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (lw_path_cmp(t->cells[mid].path, p) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct tree_cell *tree_below(const struct tree *t, struct lw_path p, size_t *n)
{
    size_t first = lower(t, p), end = first;
    while (end < t->n && lw_path_covers(p, t->cells[end].path))
        end++;
    *n = end - first;
    return t->cells + first;
}

struct tree_cell *tree_find(const struct tree *t, struct lw_path p)
{
    size_t i = lower(t, p);
    return i < t->n && lw_path_eq(t->cells[i].path, p) ? &t->cells[i] : NULL;
}

struct lw_value tree_value(const struct tree *t, const struct tree_cell *c, int64_t utc_ms)
{
    if (!c->source)
        return c->value;
    /* The same resource has the same noise whoever asks, so the seed is the path's. */
    uint64_t key = lw_path_key(c->path);
    uint64_t seed = wave_seed(t->seed, str_make((const char *)&key, sizeof key));
    return source_value(c->source, c->res->type, t->endpoint, seed, utc_ms);
}

bool tree_read(const struct tree *t, struct lw_path p, int64_t utc_ms, struct lw_value *out)
{
    const struct tree_cell *c = tree_find(t, p);
    if (c)
        *out = tree_value(t, c, utc_ms);
    return c != NULL;
}

static enum err insert(struct tree *t, struct lw_path p, const struct desc_resource *res,
                       struct tree_cell **out)
{
    if (t->n == t->cap) {
        size_t cap = t->cap * 2;
        struct tree_cell *v = realloc(t->cells, cap * sizeof *v);
        if (!v)
            return ERR_NOMEM;
        t->cells = v;
        t->cap = cap;
    }
    size_t i = lower(t, p);
    memmove(t->cells + i + 1, t->cells + i, (t->n - i) * sizeof *t->cells);
    t->n++;
    t->cells[i] = (struct tree_cell){.path = p, .res = res};
    *out = &t->cells[i];
    return ERR_OK;
}

enum err tree_set(struct tree *t, struct lw_path p, struct lw_value v)
{
    const struct desc_resource *res = tree_resource(t, p);
    if (!res || !tree_has_instance(t, p.id[0], p.id[1]))
        return ERR_NOTFOUND;
    char *copy = NULL;
    if (lw_type_has_text(v.type)) {
        copy = malloc(v.s.n + 1);
        if (!copy)
            return ERR_NOMEM;
        if (v.s.n)
            memcpy(copy, v.s.p, v.s.n);
        v.s = str_make(copy, v.s.n);
    }
    struct tree_cell *c = tree_find(t, p);
    enum err e = c ? ERR_OK : insert(t, p, res, &c);
    if (e) {
        free(copy);
        return e;
    }
    free(c->owned);
    c->owned = copy;
    c->source = NULL;
    c->value = v;
    return ERR_OK;
}

void tree_remove(struct tree *t, struct lw_path p)
{
    size_t n;
    struct tree_cell *c = tree_below(t, p, &n);
    for (size_t i = 0; i < n; i++)
        free(c[i].owned);
    size_t after = t->n - (size_t)(c - t->cells) - n;
    memmove(c, c + n, after * sizeof *c);
    t->n -= n;
}

static size_t instance_at(const struct tree *t, uint16_t object, uint16_t instance)
{
    struct lw_path p = lw_path_of(2, object, instance, 0, 0);
    size_t i = 0;
    while (i < t->n_instances && lw_path_cmp(t->instances[i], p) < 0)
        i++;
    return i;
}

bool tree_has_instance(const struct tree *t, uint16_t object, uint16_t instance)
{
    size_t i = instance_at(t, object, instance);
    return i < t->n_instances && lw_path_eq(t->instances[i], lw_path_of(2, object, instance, 0, 0));
}

bool tree_has_object(const struct tree *t, uint16_t object)
{
    size_t i = instance_at(t, object, 0);
    return i < t->n_instances && t->instances[i].id[0] == object;
}

enum err tree_add_instance(struct tree *t, uint16_t object, uint16_t instance)
{
    if (tree_has_instance(t, object, instance))
        return ERR_EXISTS;
    if (t->n_instances == t->cap_instances) {
        size_t cap = t->cap_instances * 2;
        struct lw_path *v = realloc(t->instances, cap * sizeof *v);
        if (!v)
            return ERR_NOMEM;
        t->instances = v;
        t->cap_instances = cap;
    }
    size_t i = instance_at(t, object, instance);
    memmove(t->instances + i + 1, t->instances + i, (t->n_instances - i) * sizeof *t->instances);
    t->instances[i] = lw_path_of(2, object, instance, 0, 0);
    t->n_instances++;
    return ERR_OK;
}

void tree_remove_instance(struct tree *t, uint16_t object, uint16_t instance)
{
    if (!tree_has_instance(t, object, instance))
        return;
    tree_remove(t, lw_path_of(2, object, instance, 0, 0));
    size_t i = instance_at(t, object, instance);
    t->n_instances--;
    memmove(t->instances + i, t->instances + i + 1, (t->n_instances - i) * sizeof *t->instances);
}

uint16_t tree_free_instance(const struct tree *t, uint16_t object)
{
    uint16_t i = 0;
    while (tree_has_instance(t, object, i))
        i++;
    return i;
}

const struct desc_resource *tree_resource(const struct tree *t, struct lw_path p)
{
    const struct desc_object *o = p.n >= 3 ? description_object(t->desc, p.id[0]) : NULL;
    return o ? desc_resource_find(o, p.id[2]) : NULL;
}
