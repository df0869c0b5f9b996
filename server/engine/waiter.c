/* waiter.c - request threads parked until their command ends.
 *
 * The table is shared by request threads and shards: one mutex, held for a lookup.  A waiter is
 * made before the shard hears of the command, so no end can be missed. */
#include "engine/engine_int.h"

#include <stdlib.h>
#include <time.h>

struct engine_waiter {
    struct list node;
    struct waiter_table *table;
    char id[37];
    bool ended;
    enum cmd_state state;
    char *members;
    size_t members_n;
};

struct waiter_table {
    pthread_mutex_t lock;
    pthread_cond_t told; /* one condition for all: few are parked, ends are rare */
    struct list waiting;
};

struct waiter_table *waiters_new(void)
{
    struct waiter_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->told, &mono);
    pthread_condattr_destroy(&mono);
    list_init(&t->waiting);
    return t;
}

void waiters_free(struct waiter_table *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->told);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void waiters_tell(struct waiter_table *t, const char *id, enum cmd_state state, struct str members)
{
    pthread_mutex_lock(&t->lock);
    list_each(it, &t->waiting)
    {
        struct engine_waiter *w = list_entry(it, struct engine_waiter, node);
        if (w->ended || strcmp(w->id, id) != 0)
            continue;
        w->members = malloc(members.n + 1);
        if (w->members) {
            memcpy(w->members, members.p, members.n);
            w->members_n = members.n;
        }
        w->state = state;
        w->ended = true;
        pthread_cond_broadcast(&t->told);
    }
    pthread_mutex_unlock(&t->lock);
}

struct engine_waiter *engine_waiter_new(struct engine *e, struct str command_id)
{
    struct engine_waiter *w = calloc(1, sizeof *w);
    if (!w || command_id.n >= sizeof w->id) {
        free(w);
        return NULL;
    }
    w->table = e->waiters;
    memcpy(w->id, command_id.p, command_id.n);
    pthread_mutex_lock(&w->table->lock);
    list_append(&w->table->waiting, &w->node);
    pthread_mutex_unlock(&w->table->lock);
    return w;
}

enum err engine_waiter_wait(struct engine_waiter *w, uint32_t wait_ms, enum cmd_state *state,
                            struct buf *members)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    enum err e = ERR_OK;
    pthread_mutex_lock(&w->table->lock);
    while (!w->ended && !e)
        if (pthread_cond_timedwait(&w->table->told, &w->table->lock, &t))
            e = w->ended ? ERR_OK : ERR_TIMEOUT;
    if (!e) {
        *state = w->state;
        buf_put(members, w->members, w->members_n);
    }
    pthread_mutex_unlock(&w->table->lock);
    return e;
}

void engine_waiter_free(struct engine_waiter *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->table->lock);
    list_remove(&w->node);
    pthread_mutex_unlock(&w->table->lock);
    free(w->members);
    free(w);
}
