/* letters.c - letters and asks: making, waiting, freeing. */
#include "engine/engine_int.h"

#include <stdlib.h>
#include <time.h>

struct ask *ask_new(enum ask_kind kind, struct str endpoint)
{
    struct ask *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->letter.kind = LETTER_ASK;
    a->kind = kind;
    a->refs = 1;
    buf_init(&a->json, (size_t)64 << 20);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->answered, &mono);
    pthread_condattr_destroy(&mono);
    if (endpoint.p) {
        a->endpoint = strndup(endpoint.p, endpoint.n);
        if (!a->endpoint) {
            ask_unref(a);
            return NULL;
        }
    }
    return a;
}

void ask_unref(struct ask *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    bool last = --a->refs == 0;
    pthread_mutex_unlock(&a->lock);
    if (!last)
        return;
    free(a->endpoint);
    free(a->command_id);
    free(a->text);
    free(a->query);
    if (a->outbox)
        live_outbox_unref(a->outbox);
    if (a->sub)
        live_sub_unref(a->sub);
    buf_fini(&a->json);
    engine_rows_free(&a->rows);
    pthread_cond_destroy(&a->answered);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void ask_answer(struct ask *a, enum err result)
{
    pthread_mutex_lock(&a->lock);
    a->result = result;
    a->done = true;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
    ask_unref(a);
}

enum err ask_send(struct shard *s, struct ask *a)
{
    pthread_mutex_lock(&a->lock);
    a->refs++;
    pthread_mutex_unlock(&a->lock);
    enum err e = mailbox_force_put(s->box, &a->letter.mail);
    if (e)
        ask_unref(a);
    return e;
}

enum err ask_wait(struct ask *a, uint32_t wait_ms)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    enum err e = ERR_OK;
    pthread_mutex_lock(&a->lock);
    while (!a->done && !e)
        if (pthread_cond_timedwait(&a->answered, &a->lock, &t) && !a->done)
            e = ERR_TIMEOUT;
    if (!e)
        e = a->result;
    pthread_mutex_unlock(&a->lock);
    return e;
}

/* ---- messages ---- */

#define SLAB_MIN ((size_t)2 << 10)
#define SLAB_MAX ((size_t)64 << 10)

/* Filled by one thread, handed over whole, and from then on only touched by the receiver: no lock
 * and no atomic count. */
struct slab {
    size_t used, size;
    uint32_t letters; /* not yet freed */
    _Alignas(16) char bytes[];
};

static struct slab *slab_new(size_t size)
{
    struct slab *s = malloc(sizeof *s + size);
    if (s)
        *s = (struct slab){.size = size};
    return s;
}

struct letter_mqtt *gather_add(struct gather *g, size_t extra)
{
    size_t need = (sizeof(struct letter_mqtt) + extra + 15) & ~(size_t)15;
    if (!g->slab || g->slab->size - g->slab->used < need) {
        size_t size = g->slab ? SLAB_MAX : g->next_size; /* more than last time: many */
        if (size < SLAB_MIN)
            size = SLAB_MIN;
        struct slab *s = slab_new(size > need ? size : need);
        if (!s)
            return NULL;
        g->slab = s; /* the full one belongs to its letters */
    }
    struct letter_mqtt *l = (struct letter_mqtt *)(g->slab->bytes + g->slab->used);
    if (!g->n) {
        g->at = clock_now();
        g->arrived_us = clock_mono_us();
    }
    *l = (struct letter_mqtt){.letter.kind = LETTER_MQTT,
                              .slab = g->slab,
                              .first = !g->n,
                              .at = g->at,
                              .arrived_us = g->arrived_us};
    g->slab->used += need;
    g->slab->letters++;
    if (g->last)
        g->last->next = &l->letter.mail;
    else
        g->first = &l->letter.mail;
    g->last = &l->letter.mail;
    g->n++;
    return l;
}

enum err gather_send(struct gather *g, struct mailbox *to, size_t *n)
{
    struct gather sent = *g;
    size_t used = sent.slab ? sent.slab->used : 0;
    *g = (struct gather){.next_size = used < SLAB_MAX / 2 ? 2 * used : SLAB_MAX};
    if (n)
        *n = sent.n;
    if (!sent.n)
        return ERR_OK;
    enum err e = mailbox_put(to, sent.first, sent.last, sent.n);
    for (struct mail *m = e ? sent.first : NULL, *next; m; m = next) {
        next = m->next;
        letter_free((struct letter *)m);
    }
    return e;
}

void letter_free(struct letter *l)
{
    if (l->kind == LETTER_ASK) {
        ask_answer((struct ask *)l, ERR_CLOSED);
    } else if (l->kind == LETTER_MQTT) {
        struct slab *s = ((struct letter_mqtt *)l)->slab;
        if (--s->letters == 0)
            free(s);
    } else {
        free(l);
    }
}
