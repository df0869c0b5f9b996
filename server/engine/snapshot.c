/* snapshot.c - what a subscription sees first, a slice at a time.
 *
 * A subscription to a few devices is answered at once.  One to the whole fleet may mean a hundred
 * thousand rows, and nobody else should wait for them: a shard makes a slice between two looks into
 * its mailbox, in turns if several snapshots are under way, and none while the client has enough to
 * read.  So a snapshot of any size is a bounded piece of memory, too.
 *
 * Deltas go out meanwhile.  One that is older than the row of its device is followed by another,
 * because what changed since is still marked, so the newest wins.  The place in the table of
 * devices is good until the table moves; then the snapshot starts over, which repeats rows and
 * misses none.
 *
 * The outbox counts: each request ends with one `last` of every shard.  Asked for anew, what is
 * under way ends there and then. */
#include "engine/engine_int.h"

#include <stdlib.h>

#define SLICE_ROWS 100 /* of summaries: about a millisecond */
#define FRAG_MAX   ((size_t)8 << 20)

struct snapshot {
    struct list node; /* shard->snapshots */
    struct live_outbox *outbox;
    struct live_sub *sub;
    size_t it, moves; /* where it is in the table of devices, since that moved last */
};

struct device *snapshot_next(struct shard *s, const struct live_sub *sub, size_t *it)
{
    struct device *d = NULL;
    if (!sub->n_endpoints)
        return sub->topic == LIVE_FLEET ? map_next(&s->by_endpoint, it) : NULL;
    while (!d && *it < sub->n_endpoints)
        d = map_find(&s->by_endpoint, sub->endpoints[(*it)++]);
    return d;
}

static void snapshot_free(struct snapshot *p)
{
    list_remove(&p->node);
    live_outbox_unref(p->outbox);
    live_sub_unref(p->sub);
    free(p);
}

/* One slice; true at the end of the snapshot. */
static bool slice(struct shard *s, struct snapshot *p)
{
    struct live_frag *f = NULL;
    struct device *d = NULL;
    struct json_out j;
    struct buf b;
    buf_init(&b, FRAG_MAX);
    if (p->moves != s->by_endpoint.moves && !p->sub->n_endpoints)
        p->it = 0;
    p->moves = s->by_endpoint.moves;
    for (size_t rows = 0; rows < SLICE_ROWS && b.n < LIVE_SNAPSHOT_SLICE; rows++) {
        d = snapshot_next(s, p->sub, &p->it);
        if (!d)
            break;
        if (b.n)
            buf_putc(&b, ',');
        json_out_init(&j, &b);
        if (p->sub->topic == LIVE_DEVICE)
            render_detail(d, &j);
        else
            render_summary(d, &j);
    }
    if (b.n && !b.err)
        f = live_frag_new(buf_view(&b));
    live_push_snapshot(p->outbox, p->sub, f, !d, s->engine->n_shards);
    live_frag_unref(f);
    buf_fini(&b);
    return !d;
}

/* One whose client can take more. */
static struct snapshot *wanted(const struct shard *s)
{
    list_each(it, &s->snapshots)
    {
        struct snapshot *p = list_entry(it, struct snapshot, node);
        if (live_outbox_wants(p->outbox))
            return p;
    }
    return NULL;
}

bool snapshots_due(const struct shard *s)
{
    return wanted(s) != NULL;
}

void snapshots_run(struct shard *s)
{
    struct snapshot *p = wanted(s);
    if (!p)
        return;
    list_remove(&p->node); /* the others' turn comes first */
    list_append(&s->snapshots, &p->node);
    if (slice(s, p))
        snapshot_free(p);
}

void snapshots_end(struct shard *s, const struct live_outbox *o, const struct live_sub *sub)
{
    list_each(it, &s->snapshots)
    {
        struct snapshot *p = list_entry(it, struct snapshot, node);
        if (p->outbox == o && (!sub || p->sub == sub)) {
            live_push_snapshot(p->outbox, p->sub, NULL, true, s->engine->n_shards);
            snapshot_free(p);
        }
    }
}

void snapshots_fini(struct shard *s)
{
    list_each(it, &s->snapshots)
    {
        snapshot_free(list_entry(it, struct snapshot, node));
    }
}

void snapshot_begin(struct shard *s, struct live_outbox *o, struct live_sub *sub)
{
    snapshots_end(s, o, sub);
    struct snapshot *p =
        sub->topic == LIVE_FLEET || sub->topic == LIVE_DEVICE ? calloc(1, sizeof *p) : NULL;
    if (!p) { /* nothing to show, or no memory to show it */
        live_push_snapshot(o, sub, NULL, true, s->engine->n_shards);
        return;
    }
    p->outbox = live_outbox_ref(o);
    p->sub = live_sub_ref(sub);
    list_append(&s->snapshots, &p->node);
    if (slice(s, p))
        snapshot_free(p);
}
