/* pool.c - see pool.h.
 *
 * A slot is free, on loan, or empty (its connection broke).  While PostgreSQL refuses, one borrower
 * a second tries; the others are told at once. */
#include "store/pool.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define PROBE_MS     1000
#define STATEMENT_MS 15000

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    char *conninfo;
    size_t size, on_loan, n_idle;
    struct pg **idle; /* open connections nobody uses */
    uint64_t down_until_ms;
};

enum err pool_new(const char *conninfo, size_t size, struct pool **out)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->conninfo = strdup(conninfo);
    p->idle = calloc(size, sizeof(struct pg *));
    if (!p->conninfo || !p->idle) {
        free(p->conninfo);
        free(p->idle);
        free(p);
        return ERR_NOMEM;
    }
    p->size = size;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->returned, &mono);
    pthread_condattr_destroy(&mono);
    *out = p;
    return ERR_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_idle; i++)
        pg_close(p->idle[i]);
    pthread_cond_destroy(&p->returned);
    pthread_mutex_destroy(&p->lock);
    free(p->idle);
    free(p->conninfo);
    free(p);
}

/* A place for one more loan: an open connection in *db, or NULL for a new one. */
static enum err take_place(struct pool *p, uint32_t wait_ms, struct pg **db)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    enum err e = ERR_OK;
    pthread_mutex_lock(&p->lock);
    while (p->on_loan == p->size && !e)
        if (pthread_cond_timedwait(&p->returned, &p->lock, &t))
            e = ERR_TIMEOUT;
    *db = NULL;
    if (!e && p->n_idle)
        *db = p->idle[--p->n_idle];
    else if (!e && clock_mono_ms() < p->down_until_ms)
        e = ERR_DB;
    if (!e)
        p->on_loan++;
    pthread_mutex_unlock(&p->lock);
    return e;
}

static void give_place_back(struct pool *p, bool refused)
{
    pthread_mutex_lock(&p->lock);
    p->on_loan--;
    if (refused)
        p->down_until_ms = clock_mono_ms() + PROBE_MS;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
}

enum err pool_get(struct pool *p, uint32_t wait_ms, struct pg **out)
{
    struct pg *db;
    enum err e = take_place(p, wait_ms, &db);
    if (e || db) {
        if (!e)
            *out = db;
        return e;
    }
    db = NULL;
    e = pg_connect(p->conninfo, "braidd request", &db);
    if (!e)
        e = pg_set_timeout(db, STATEMENT_MS);
    if (e) {
        pg_close(db);
        give_place_back(p, true);
        return ERR_DB;
    }
    *out = db;
    return ERR_OK;
}

void pool_put(struct pool *p, struct pg *db)
{
    if (!db)
        return;
    if (!pg_is_ok(db)) {
        pg_close(db);
        /* The others are of the same server: let them prove themselves anew. */
        pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i < p->n_idle; i++)
            pg_close(p->idle[i]);
        p->n_idle = 0;
        pthread_mutex_unlock(&p->lock);
        give_place_back(p, false);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->idle[p->n_idle++] = db;
    p->on_loan--;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
}
