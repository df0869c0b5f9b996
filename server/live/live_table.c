/* live_table.c - who wants to hear of which device, in one shard.
 *
 * A subscription without endpoints stands in the list of its topic; one with endpoints stands in
 * the bucket of each.  Every message asks live_wanted first, so that costs one look-up and no
 * allocation; nothing is published to nobody. */
#include "live/live_int.h"
#include "base/map.h"

#include <stdlib.h>

#define TOPICS (LIVE_TIMELINE + 1)

struct entry {
    struct entry *next;
    struct live_outbox *outbox; /* a reference */
    struct live_sub *sub;       /* a reference */
};

struct bucket {
    struct entry **v; /* owned array of borrowed entries */
    size_t n, cap;
    size_t key_n;
    char key[]; /* the endpoint */
};

struct live_table {
    struct entry *entries;
    struct map buckets;          /* endpoint -> struct bucket */
    unsigned everywhere;         /* bit mask of topics somebody follows for all devices */
    size_t n_everywhere[TOPICS]; /* how many do */
};

struct live_table *live_table_new(void)
{
    struct live_table *t = calloc(1, sizeof *t);
    if (t)
        map_init(&t->buckets, (uint64_t)(uintptr_t)t);
    return t;
}

static struct str bucket_key(const struct bucket *b)
{
    return str_make(b->key, b->key_n);
}

/* Takes `e` out of one bucket; an empty bucket goes. */
static void bucket_leave(struct live_table *t, struct str endpoint, const struct entry *e)
{
    struct bucket *b = map_find(&t->buckets, endpoint);
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i] == e) {
            b->v[i] = b->v[--b->n];
            break;
        }
    if (b->n)
        return;
    map_remove(&t->buckets, bucket_key(b));
    free(b->v);
    free(b);
}

static enum err bucket_join(struct live_table *t, struct str endpoint, struct entry *e)
{
    struct bucket *b = map_find(&t->buckets, endpoint);
    if (!b) {
        b = calloc(1, sizeof *b + endpoint.n);
        if (!b)
            return ERR_NOMEM;
        b->key_n = endpoint.n;
        if (endpoint.n)
            memcpy(b->key, endpoint.p, endpoint.n);
        if (map_put(&t->buckets, bucket_key(b), b, NULL)) {
            free(b);
            return ERR_NOMEM;
        }
    }
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 4;
        struct entry **v = realloc(b->v, cap * sizeof(struct entry *));
        if (!v) {
            bucket_leave(t, endpoint, e); /* a bucket just made must not stay empty */
            return ERR_NOMEM;
        }
        b->v = v;
        b->cap = cap;
    }
    b->v[b->n++] = e;
    return ERR_OK;
}

static void count_everywhere(struct live_table *t, enum live_topic topic, int by)
{
    t->n_everywhere[topic] += (size_t)by;
    if (t->n_everywhere[topic])
        t->everywhere |= 1u << topic;
    else
        t->everywhere &= ~(1u << topic);
}

/* Unlinks from the buckets and frees; the caller has unlinked it from the list. */
static void entry_free(struct live_table *t, struct entry *e)
{
    for (size_t i = 0; i < e->sub->n_endpoints; i++)
        bucket_leave(t, e->sub->endpoints[i], e);
    live_outbox_unref(e->outbox);
    live_sub_unref(e->sub);
    free(e);
}

void live_table_free(struct live_table *t)
{
    if (!t)
        return;
    while (t->entries) {
        struct entry *e = t->entries;
        t->entries = e->next;
        entry_free(t, e);
    }
    map_fini(&t->buckets);
    free(t);
}

enum err live_table_add(struct live_table *t, struct live_outbox *o, struct live_sub *s)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->outbox = live_outbox_ref(o);
    e->sub = live_sub_ref(s);
    for (size_t i = 0; i < s->n_endpoints; i++)
        if (bucket_join(t, s->endpoints[i], e)) {
            entry_free(t, e);
            return ERR_NOMEM;
        }
    if (!s->n_endpoints)
        count_everywhere(t, s->topic, 1);
    e->next = t->entries;
    t->entries = e;
    return ERR_OK;
}

/* Removes every entry of that subscription or (NULL) that outbox. */
static void remove_where(struct live_table *t, const struct live_sub *s,
                         const struct live_outbox *o)
{
    for (struct entry **at = &t->entries; *at;) {
        struct entry *e = *at;
        if (s ? e->sub != s : e->outbox != o) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        if (!e->sub->n_endpoints)
            count_everywhere(t, e->sub->topic, -1);
        entry_free(t, e);
    }
}

void live_table_remove(struct live_table *t, const struct live_sub *s)
{
    remove_where(t, s, NULL);
}

void live_table_remove_outbox(struct live_table *t, const struct live_outbox *o)
{
    remove_where(t, NULL, o);
}

unsigned live_wanted(const struct live_table *t, struct str endpoint)
{
    unsigned mask = t->everywhere;
    const struct bucket *b = t->buckets.n ? map_find(&t->buckets, endpoint) : NULL;
    for (size_t i = 0; b && i < b->n; i++)
        mask |= 1u << b->v[i]->sub->topic;
    return mask;
}

void live_publish(struct live_table *t, enum live_topic topic, struct str endpoint,
                  enum live_part part, struct live_frag *f)
{
    uint64_t key = 0;
    if (part == LIVE_DEVICES || part == LIVE_REMOVED)
        key = str_hash(endpoint, (uint64_t)(uintptr_t)t) | 1;
    const struct bucket *b = t->buckets.n ? map_find(&t->buckets, endpoint) : NULL;
    for (size_t i = 0; b && i < b->n; i++)
        if (b->v[i]->sub->topic == topic)
            live_push(b->v[i]->outbox, b->v[i]->sub, part, f, key);
    if (!(t->everywhere & 1u << topic))
        return;
    for (struct entry *e = t->entries; e; e = e->next)
        if (e->sub->topic == topic && !e->sub->n_endpoints)
            live_push(e->outbox, e->sub, part, f, key);
}
