/* fleet_list.c - one page of the fleet, chosen by a shard among its devices.
 *
 * A page costs a look at every device and a rendering of the few that are shown: the look compares
 * plain fields and keeps the best `limit` in a heap whose root is the worst of them, so nothing is
 * sorted that is not given.  Devices before the cursor are counted and passed over. */
#include "engine/engine_int.h"

#include <stdlib.h>

struct fleet_query *fleet_query_copy(const struct fleet_query *q)
{
    size_t bits = q->ids ? (q->n_ids + 63) / 64 * sizeof *q->ids : 0;
    size_t texts = q->search.n + q->statuses.n + q->after_endpoint.n + q->after_status.n;
    struct fleet_query *c = malloc(sizeof *c + bits + texts);
    if (!c)
        return NULL;
    *c = *q;
    uint64_t *ids = (uint64_t *)(void *)(c + 1);
    char *at = (char *)ids + bits;
    if (q->ids)
        c->ids = memcpy(ids, q->ids, bits);
    struct str *parts[] = {&c->search, &c->statuses, &c->after_endpoint, &c->after_status};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i]->p)
            continue;
        if (parts[i]->n)
            memcpy(at, parts[i]->p, parts[i]->n);
        parts[i]->p = at;
        at += parts[i]->n;
    }
    return c;
}

/* ---- which devices ---- */

#define FINDER_WORDS 64

/* What is searched for, in lower case as the header says.  Like devices share the words of their
 * maker: what was found in one is remembered by where it is. */
struct finder {
    struct str needle;
    struct {
        const char *word;
        bool has;
    } known[FINDER_WORDS];
};

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool text_has(const char *text, struct str needle)
{
    const unsigned char *want = (const unsigned char *)needle.p;
    if (!text)
        return false;
    for (; *text; text++) {
        size_t i = 0;
        while (i < needle.n && lower(text[i]) == want[i])
            i++; /* a NUL in `text` differs from every byte searched for */
        if (i == needle.n)
            return true;
    }
    return false;
}

static bool word_has(struct finder *f, const char *word)
{
    size_t i = ((uintptr_t)word >> 4) % FINDER_WORDS;
    if (f->known[i].word != word) {
        f->known[i].word = word;
        f->known[i].has = text_has(word, f->needle);
    }
    return f->known[i].has;
}

static bool found(const struct device *d, struct finder *f)
{
    return text_has(d->endpoint, f->needle) || word_has(f, d->model) ||
           word_has(f, d->manufacturer) || text_has(d->serial, f->needle) ||
           (d->sp && text_has(spb_node_group(d->sp), f->needle));
}

static unsigned status_set(struct str words)
{
    unsigned set = 0;
    while (words.p) {
        struct str word = str_cut(&words, ',');
        for (int s = 0; s < BRAID_STATUS_COUNT; s++)
            if (str_is(word, braid_status_word((enum braid_status)s)))
                set |= 1u << s;
    }
    return set;
}

static bool in_set(const struct fleet_query *q, int64_t id)
{
    size_t i = (size_t)id;
    return i < q->n_ids && q->ids[i / 64] >> (i % 64) & 1;
}

/* ---- in which order ---- */

struct ordering {
    enum fleet_sort sort;
    bool down;
    uint8_t rank[BRAID_STATUS_COUNT]; /* of the words' alphabet */
};

static void order_init(struct ordering *o, const struct fleet_query *q)
{
    *o = (struct ordering){.sort = q->sort, .down = q->down};
    for (int a = 0; a < BRAID_STATUS_COUNT; a++)
        for (int b = 0; b < BRAID_STATUS_COUNT; b++)
            o->rank[a] += strcmp(braid_status_word((enum braid_status)b),
                                 braid_status_word((enum braid_status)a)) < 0;
}

/* What a device is sorted by; endpoints decide between equals, always from A to Z. */
static int64_t key_of(const struct ordering *o, const struct device *d)
{
    return o->sort == FLEET_BY_LAST_SEEN ? d->last_seen_ms
           : o->sort == FLEET_BY_STATUS  ? o->rank[d->verdict.status]
                                         : 0;
}

struct candidate {
    int64_t key;
    struct device *device;
};

static int compare(const struct ordering *o, int64_t key_a, const char *a, int64_t key_b,
                   const char *b)
{
    int c = (key_a > key_b) - (key_a < key_b);
    if (c)
        return o->down ? -c : c;
    c = strcmp(a, b);
    return o->down && o->sort == FLEET_BY_ENDPOINT ? -c : c;
}

static bool comes_first(const struct ordering *o, struct candidate a, struct candidate b)
{
    return compare(o, a.key, a.device->endpoint, b.key, b.device->endpoint) < 0;
}

/* ---- the best `limit`: a heap with the last of them at its root ---- */

struct best {
    struct ordering order;
    struct candidate *v;
    size_t n, limit;
};

static void sink(struct best *h, size_t i, size_t n)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && comes_first(&h->order, h->v[child], h->v[child + 1]))
            child++;
        if (!comes_first(&h->order, h->v[i], h->v[child]))
            return;
        struct candidate c = h->v[i];
        h->v[i] = h->v[child];
        h->v[child] = c;
    }
}

static void consider(struct best *h, struct candidate c)
{
    if (h->n < h->limit) {
        h->v[h->n++] = c;
        if (h->n == h->limit)
            for (size_t i = h->n / 2; i-- > 0;)
                sink(h, i, h->n);
    } else if (h->n && comes_first(&h->order, c, h->v[0])) {
        h->v[0] = c;
        sink(h, 0, h->n);
    }
}

static int compare_candidates(const void *a, const void *b, void *order)
{
    const struct candidate *x = a, *y = b;
    return compare(order, x->key, x->device->endpoint, y->key, y->device->endpoint);
}

/* The next few devices of the fleet, with what is looked at on its way from memory: they lie
 * anywhere, and one look after the other would mostly wait. */
#define AHEAD 16

static size_t take_some(struct shard *s, size_t *it, bool search, struct device *v[AHEAD])
{
    size_t n = 0;
    while (n < AHEAD && (v[n] = map_next(&s->by_endpoint, it))) {
        __builtin_prefetch(&v[n]->id);
        __builtin_prefetch(v[n++]->endpoint);
    }
    for (size_t i = 0; search && i < n; i++) {
        __builtin_prefetch(v[i]->serial);
        if (v[i]->sp)
            __builtin_prefetch(spb_node_group(v[i]->sp));
    }
    return n;
}

static bool matches(const struct device *d, const struct fleet_query *q, unsigned statuses,
                    struct finder *f)
{
    return statuses >> d->verdict.status & 1 && (!q->ids || in_set(q, d->id)) &&
           (!q->search.n || found(d, f));
}

static void choose(struct shard *s, const struct fleet_query *q, struct best *best, size_t *total)
{
    unsigned statuses = q->statuses.n ? status_set(q->statuses) : ~0u;
    char after[NAME_MAX_BYTES + 64];
    int64_t after_key = 0;
    struct finder finder = {.needle = q->search};
    size_t it = 0, n = q->after_endpoint.n < sizeof after ? q->after_endpoint.n : 0;
    if (n)
        memcpy(after, q->after_endpoint.p, n);
    after[n] = '\0';
    if (q->sort == FLEET_BY_LAST_SEEN)
        after_key = q->after_last_seen_ms;
    for (int k = 0; q->sort == FLEET_BY_STATUS && k < BRAID_STATUS_COUNT; k++)
        if (str_is(q->after_status, braid_status_word((enum braid_status)k)))
            after_key = best->order.rank[k];
    struct device *some[AHEAD];
    for (size_t k; (k = take_some(s, &it, q->search.n, some));)
        for (size_t i = 0; i < k; i++) {
            if (!matches(some[i], q, statuses, &finder))
                continue;
            ++*total;
            struct candidate c = {key_of(&best->order, some[i]), some[i]};
            if (!n || compare(&best->order, c.key, some[i]->endpoint, after_key, after) > 0)
                consider(best, c);
        }
    if (best->n)
        qsort_r(best->v, best->n, sizeof *best->v, compare_candidates, &best->order);
}

/* ---- rows ---- */

static bool fill_row(struct device *d, bool bare, struct engine_row *row)
{
    struct buf b;
    struct json_out j;
    *row = (struct engine_row){.endpoint = strdup(d->endpoint),
                               .status = braid_status_word(d->verdict.status),
                               .last_seen_ms = d->last_seen_ms};
    if (bare)
        return row->endpoint;
    buf_init(&b, 65536);
    json_out_init(&j, &b);
    render_summary(d, &j);
    row->json = buf_take(&b, &row->json_n);
    buf_fini(&b);
    return row->endpoint && row->json;
}

enum err fleet_list_answer(struct shard *s, const struct fleet_query *q, struct engine_rows *out)
{
    struct best best = {.limit = q->limit < s->by_endpoint.n ? q->limit : s->by_endpoint.n};
    order_init(&best.order, q);
    best.v = malloc((best.limit + 1) * sizeof *best.v);
    out->v = calloc(best.limit + 1, sizeof *out->v);
    enum err e = best.v && out->v ? ERR_OK : ERR_NOMEM;
    if (!e)
        choose(s, q, &best, &out->total);
    for (size_t i = 0; !e && i < best.n; i++)
        e = fill_row(best.v[i].device, q->bare, &out->v[out->n++]) ? ERR_OK : ERR_NOMEM;
    free(best.v);
    return e;
}

/* ---- all shards' pages as one ---- */

static int64_t row_key(const struct ordering *o, const struct engine_row *r)
{
    if (o->sort == FLEET_BY_LAST_SEEN)
        return r->last_seen_ms;
    for (int k = 0; o->sort == FLEET_BY_STATUS && k < BRAID_STATUS_COUNT; k++)
        if (strcmp(r->status, braid_status_word((enum braid_status)k)) == 0)
            return o->rank[k];
    return 0;
}

static int compare_rows(const void *a, const void *b, void *order)
{
    const struct engine_row *x = a, *y = b;
    return compare(order, row_key(order, x), x->endpoint, row_key(order, y), y->endpoint);
}

void fleet_list_merge(const struct fleet_query *q, struct engine_rows *rows)
{
    struct ordering o;
    order_init(&o, q);
    if (rows->n)
        qsort_r(rows->v, rows->n, sizeof *rows->v, compare_rows, &o);
    while (rows->n > q->limit) {
        struct engine_row *last = &rows->v[--rows->n];
        free(last->endpoint);
        free(last->json);
    }
}
