/* live_frag.c - the two things shared by reference between shards and clients: fragments of JSON
 * and subscriptions.
 *
 * Both are immutable once shared (only a subscription's `closed` mark may still be set), so the
 * counts are all the synchronisation they need: relaxed up, acquire-release down. */
#include "live/live_int.h"

#include <stdlib.h>

struct live_frag *live_frag_new(struct str json)
{
    struct live_frag *f = malloc(sizeof *f + json.n);
    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    f->n = json.n;
    if (json.n)
        memcpy(f->text, json.p, json.n);
    return f;
}

struct live_frag *live_frag_ref(struct live_frag *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void live_frag_unref(struct live_frag *f)
{
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        free(f);
}

struct live_box *live_box(const struct live_sub *s)
{
    return (struct live_box *)((char *)(uintptr_t)s - offsetof(struct live_box, sub));
}

/* Room for the views and, behind them, the bytes they show. */
static struct str *copy_endpoints(const struct str *from, size_t n)
{
    size_t bytes = n * sizeof *from;
    for (size_t i = 0; i < n; i++)
        bytes += from[i].n;
    struct str *to = malloc(bytes);
    if (!to)
        return NULL;
    char *text = (char *)(to + n);
    for (size_t i = 0; i < n; i++) {
        if (from[i].n)
            memcpy(text, from[i].p, from[i].n);
        to[i] = str_make(text, from[i].n);
        text += from[i].n;
    }
    return to;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorts names and drops those that come twice; returns how many are left. */
static size_t unique(struct str *v, size_t n)
{
    size_t kept = 0;
    qsort(v, n, sizeof *v, by_name);
    for (size_t i = 0; i < n; i++)
        if (!kept || !str_eq(v[kept - 1], v[i]))
            v[kept++] = v[i];
    return kept;
}

struct live_sub *live_sub_new(struct str id, enum live_topic topic, const struct str *endpoints,
                              size_t n)
{
    struct live_box *box = calloc(1, sizeof *box);
    if (!box || id.n >= sizeof box->sub.id)
        goto fail;
    atomic_init(&box->refs, 1);
    atomic_init(&box->closed, false);
    if (id.n)
        memcpy(box->sub.id, id.p, id.n);
    box->sub.topic = topic;
    box->sub.serial = (uint64_t)(uintptr_t)box;
    if (n) {
        box->sub.endpoints = copy_endpoints(endpoints, n);
        if (!box->sub.endpoints)
            goto fail;
        box->sub.n_endpoints = unique(box->sub.endpoints, n);
    }
    return &box->sub;
fail:
    free(box);
    return NULL;
}

struct live_sub *live_sub_ref(struct live_sub *s)
{
    atomic_fetch_add_explicit(&live_box(s)->refs, 1, memory_order_relaxed);
    return s;
}

void live_sub_unref(struct live_sub *s)
{
    if (!s)
        return;
    struct live_box *box = live_box(s);
    if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(box->sub.endpoints);
    free(box);
}
