/* mqtt_out.c - see mqtt_out.h.
 *
 * Publishers append whole packets to `out` under `lock`; the owner swaps it with `sending` and
 * writes without the lock.  QoS 1 messages beyond what the broker will have under way (its receive
 * maximum) stand in `held` until acknowledgements make room.  Nothing survives a connection: the
 * first thing a Sparkplug host says on a new one must be its birth, and whoever needs more repeats
 * it himself.
 *
 * greeting_note: other threads may publish as soon as the session is open, while its handler is
 * still at its first words.  Those must reach the broker first (a Sparkplug host's birth), so they
 * go straight to `sending`, which is written before `out`. */
#include "port/mqtt_out.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX_BYTES    ((size_t)64 << 20)
#define WAITING_MAX_MESSAGES 20000
#define OUT_LIMIT            ((size_t)512 << 20)
#define KEEP_BYTES           ((size_t)1 << 20) /* a buffer larger than this is given back */

struct mqtt_out {
    /* the owner only */
    struct buf sending;
    size_t sent; /* of `sending` */

    pthread_mutex_t lock;
    bool open;
    struct buf out, held; /* held: length (4 bytes, host order) and packet, from held_at on */
    size_t held_at;
    unsigned quota;      /* QoS 1 messages we may still send */
    uint32_t packet_max; /* the largest packet the broker takes */
    bool greeting;       /* `greeter` goes first, see greeting_note */
    pthread_t greeter;
    uint16_t next_id;
    size_t waiting_bytes, waiting; /* QoS 1, not acknowledged yet */
    uint32_t size_of[65536];       /* by message id: bytes + 1 of what waits */
};

enum err mqtt_out_new(struct mqtt_out **out)
{
    struct mqtt_out *o = calloc(1, sizeof *o);
    if (!o)
        return ERR_NOMEM;
    pthread_mutex_init(&o->lock, NULL);
    buf_init(&o->sending, OUT_LIMIT);
    buf_init(&o->out, OUT_LIMIT);
    buf_init(&o->held, OUT_LIMIT);
    *out = o;
    return ERR_OK;
}

void mqtt_out_free(struct mqtt_out *o)
{
    if (!o)
        return;
    buf_fini(&o->sending);
    buf_fini(&o->out);
    buf_fini(&o->held);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* ---- a connection's life ---- */

void mqtt_out_open(struct mqtt_out *o, unsigned under_way, uint32_t packet_max)
{
    pthread_mutex_lock(&o->lock);
    o->open = true;
    o->quota = under_way;
    o->packet_max = packet_max;
    o->greeting = true;
    o->greeter = pthread_self();
    pthread_mutex_unlock(&o->lock);
}

void mqtt_out_greeted(struct mqtt_out *o)
{
    pthread_mutex_lock(&o->lock);
    o->greeting = false;
    pthread_mutex_unlock(&o->lock);
}

static void empty(struct buf *b)
{
    size_t limit = b->limit;
    if (b->cap > KEEP_BYTES) {
        buf_fini(b);
        buf_init(b, limit);
    } else {
        buf_reset(b);
    }
}

void mqtt_out_close(struct mqtt_out *o)
{
    pthread_mutex_lock(&o->lock);
    o->open = false;
    empty(&o->out);
    empty(&o->held);
    o->held_at = o->waiting = o->waiting_bytes = 0;
    memset(o->size_of, 0, sizeof o->size_of);
    pthread_mutex_unlock(&o->lock);
    empty(&o->sending);
    o->sent = 0;
}

/* ---- any thread; with the lock held ---- */

/* An id that no unacknowledged message has. */
static uint16_t new_id(struct mqtt_out *o)
{
    do
        o->next_id++;
    while (!o->next_id || o->size_of[o->next_id]);
    return o->next_id;
}

/* Where a packet of this thread goes.  See greeting_note. */
static struct buf *out_of(struct mqtt_out *o)
{
    return o->greeting && pthread_equal(o->greeter, pthread_self()) ? &o->sending : &o->out;
}

static enum err enqueue(struct mqtt_out *o, struct mqtt_publish *p)
{
    bool hold = p->qos && (!o->quota || o->held.n > o->held_at);
    struct buf *b = hold ? &o->held : out_of(o);
    size_t from = b->n;
    p->id = p->qos ? new_id(o) : 0;
    if (hold)
        buf_put(b, "\0\0\0\0", sizeof(uint32_t));
    mqtt_put_publish(b, MQTT_5, p);
    if (b->err) { /* what stood there before is whole */
        enum err e = b->err;
        b->n = from;
        b->err = ERR_OK;
        return e;
    }
    if (hold) {
        uint32_t n = (uint32_t)(b->n - from - sizeof n);
        memcpy(b->p + from, &n, sizeof n);
    } else if (p->qos) {
        o->quota--;
    }
    if (p->qos) {
        o->size_of[p->id] = (uint32_t)(p->topic.n + p->payload.n) + 1;
        o->waiting_bytes += p->topic.n + p->payload.n;
        o->waiting++;
    }
    return ERR_OK;
}

/* Moves what the broker has room for from `held` to `out`. */
static void release_held(struct mqtt_out *o)
{
    while (o->quota && o->held_at < o->held.n) {
        uint32_t n;
        memcpy(&n, o->held.p + o->held_at, sizeof n);
        buf_put(&o->out, o->held.p + o->held_at + sizeof n, n);
        o->held_at += sizeof n + n;
        o->quota--;
    }
    if (o->held_at == o->held.n) {
        empty(&o->held);
        o->held_at = 0;
    } else if (o->held_at > KEEP_BYTES && o->held_at > o->held.n / 2) {
        memmove(o->held.p, o->held.p + o->held_at, o->held.n - o->held_at);
        o->held.n -= o->held_at;
        o->held_at = 0;
    }
}

/* ---- any thread ---- */

enum err mqtt_out_subscribe(struct mqtt_out *o, struct str filter, uint8_t qos, bool no_local)
{
    enum err e = ERR_BROKER;
    pthread_mutex_lock(&o->lock);
    if (o->open) {
        struct buf *b = out_of(o);
        mqtt_put_subscribe(b, MQTT_5, new_id(o), &filter, 1, qos, no_local);
        e = b->err;
    }
    pthread_mutex_unlock(&o->lock);
    return e;
}

enum err mqtt_out_publish(struct mqtt_out *o, struct mqtt_publish *p, int *mid, bool *first)
{
    enum err e = ERR_OK;
    size_t bytes = p->topic.n + p->payload.n;
    pthread_mutex_lock(&o->lock);
    if (!o->open) {
        e = ERR_BROKER;
    } else if (mqtt_publish_bytes(MQTT_5, p) > o->packet_max) {
        e = ERR_TOOBIG;
    } else if (o->waiting >= WAITING_MAX_MESSAGES ||
               (p->qos ? o->waiting_bytes : o->out.n) + bytes > WAITING_MAX_BYTES) {
        e = ERR_FULL;
    } else {
        *first = !o->out.n;
        e = enqueue(o, p);
        if (!e && mid)
            *mid = p->id;
    }
    pthread_mutex_unlock(&o->lock);
    return e;
}

/* ---- the owner ---- */

bool mqtt_out_acked(struct mqtt_out *o, uint16_t id)
{
    pthread_mutex_lock(&o->lock);
    uint32_t *size = &o->size_of[id];
    bool known = *size > 0;
    if (known) {
        o->waiting_bytes -= *size - 1;
        o->waiting--;
        *size = 0;
        o->quota++;
        release_held(o);
    }
    pthread_mutex_unlock(&o->lock);
    return known;
}

struct buf *mqtt_out_own(struct mqtt_out *o)
{
    return &o->sending;
}

enum err mqtt_out_next(struct mqtt_out *o, struct str *bytes)
{
    if (o->sent == o->sending.n) { /* all of it is out */
        empty(&o->sending);
        o->sent = 0;
        pthread_mutex_lock(&o->lock);
        struct buf full = o->out;
        o->out = o->sending;
        o->sending = full;
        pthread_mutex_unlock(&o->lock);
    }
    *bytes = str_make(o->sending.p + o->sent, o->sending.n - o->sent);
    return o->sending.err;
}

void mqtt_out_wrote(struct mqtt_out *o, size_t n)
{
    o->sent += n;
}

bool mqtt_out_begun(const struct mqtt_out *o)
{
    return o->sent < o->sending.n;
}

bool mqtt_out_done(struct mqtt_out *o)
{
    pthread_mutex_lock(&o->lock);
    bool nothing = !o->waiting && !o->out.n;
    pthread_mutex_unlock(&o->lock);
    return nothing && !mqtt_out_begun(o);
}
