/* mailbox.c - see mailbox.h. */
#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived, room;
    struct mail *first, **end;
    size_t n, limit;
    bool closed;
    int refs;
};

struct mailbox *mailbox_new(size_t limit)
{
    struct mailbox *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->arrived, &mono);
    pthread_cond_init(&b->room, &mono);
    pthread_condattr_destroy(&mono);
    b->end = &b->first;
    b->limit = limit;
    b->refs = 1;
    return b;
}

struct mailbox *mailbox_ref(struct mailbox *b)
{
    pthread_mutex_lock(&b->lock);
    b->refs++;
    pthread_mutex_unlock(&b->lock);
    return b;
}

void mailbox_free(struct mailbox *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    pthread_cond_destroy(&b->room);
    pthread_cond_destroy(&b->arrived);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static enum err put(struct mailbox *b, struct mail *first, struct mail *last, size_t n, bool wait)
{
    pthread_mutex_lock(&b->lock);
    while (wait && !b->closed && b->n >= b->limit)
        pthread_cond_wait(&b->room, &b->lock);
    enum err e = b->closed ? ERR_CLOSED : ERR_OK;
    if (!e) {
        last->next = NULL;
        if (!b->first)
            pthread_cond_signal(&b->arrived);
        *b->end = first;
        b->end = &last->next;
        b->n += n;
    }
    pthread_mutex_unlock(&b->lock);
    return e;
}

enum err mailbox_put(struct mailbox *b, struct mail *first, struct mail *last, size_t n)
{
    return put(b, first, last, n, true);
}

enum err mailbox_force_put(struct mailbox *b, struct mail *m)
{
    return put(b, m, m, 1, false);
}

struct mail *mailbox_take(struct mailbox *b, uint64_t deadline_ms, bool *closed)
{
    struct timespec until = {(time_t)(deadline_ms / 1000), (long)(deadline_ms % 1000) * 1000000};
    pthread_mutex_lock(&b->lock);
    while (!b->first && !b->closed) {
        int rc = deadline_ms == UINT64_MAX ? pthread_cond_wait(&b->arrived, &b->lock)
                                           : pthread_cond_timedwait(&b->arrived, &b->lock, &until);
        if (rc == ETIMEDOUT)
            break;
    }
    struct mail *all = b->first;
    b->first = NULL;
    b->end = &b->first;
    b->n = 0;
    *closed = b->closed;
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
    return all;
}

void mailbox_close(struct mailbox *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    pthread_cond_broadcast(&b->arrived);
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
}

size_t mailbox_depth(struct mailbox *b)
{
    pthread_mutex_lock(&b->lock);
    size_t n = b->n;
    pthread_mutex_unlock(&b->lock);
    return n;
}

size_t mailbox_limit(const struct mailbox *b)
{
    return b->limit;
}
