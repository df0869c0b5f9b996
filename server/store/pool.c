/* pool.c - see pool.h.
 *
 * A slot is free (with an idle connection or none yet) or lent.  Connecting happens outside the
 * lock, by the thread that wants the connection.  After a failed connect everybody is refused at
 * once for a second, so that a dead database does not tie up all request threads. */
#include "store/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define PROBE_MS           1000
#define REQUEST_TIMEOUT_MS 15000

struct slot {
    struct pg *db; /* NULL: not connected */
    bool lent;
};

struct pool {
    char *conninfo;
    pthread_mutex_t lock;
    pthread_cond_t back; /* on the monotonic clock */
    uint64_t probe_ms;   /* no connect before this */
    size_t n;
    struct slot slots[];
};

enum err pool_new(const char *conninfo, size_t size, struct pool **out)
{
    pthread_condattr_t mono;
    struct pool *p = calloc(1, sizeof *p + size * sizeof *p->slots);
    if (!p)
        return ERR_NOMEM;
    p->conninfo = strdup(conninfo);
    if (!p->conninfo || pthread_condattr_init(&mono)) {
        free(p->conninfo);
        free(p);
        return ERR_NOMEM;
    }
    p->n = size;
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&p->back, &mono);
    pthread_condattr_destroy(&mono);
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return ERR_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        assert(!p->slots[i].lent);
        pg_close(p->slots[i].db);
    }
    pthread_cond_destroy(&p->back);
    pthread_mutex_destroy(&p->lock);
    free(p->conninfo);
    free(p);
}

/* Connected slots first: they answer sooner. */
static struct slot *free_slot(struct pool *p)
{
    struct slot *found = NULL;
    for (size_t i = 0; i < p->n; i++) {
        struct slot *s = &p->slots[i];
        if (!s->lent && (!found || (!found->db && s->db)))
            found = s;
    }
    return found;
}

static enum err connect_slot(struct pool *p, struct slot *s)
{
    struct pg *db = NULL;
    if (clock_mono_ms() < p->probe_ms)
        return ERR_DB;
    pthread_mutex_unlock(&p->lock);
    enum err e = pg_connect(p->conninfo, "braidd", &db);
    /* compiling a query for history costs more than running it */
    if (!e && (pg_set_timeout(db, REQUEST_TIMEOUT_MS) || pg_script(db, "SET jit = off")))
        e = ERR_DB;
    pthread_mutex_lock(&p->lock);
    if (e) {
        pg_close(db);
        p->probe_ms = clock_mono_ms() + PROBE_MS;
        return ERR_DB;
    }
    p->probe_ms = 0;
    s->db = db;
    return ERR_OK;
}

enum err pool_get(struct pool *p, uint32_t wait_ms, struct pg **out)
{
    enum err e = ERR_OK;
    struct slot *s;
    uint64_t deadline = clock_mono_ms() + wait_ms;
    const struct timespec until = {(time_t)(deadline / 1000), (long)(deadline % 1000) * 1000000};
    pthread_mutex_lock(&p->lock);
    while (!(s = free_slot(p)) && clock_mono_ms() < deadline)
        pthread_cond_timedwait(&p->back, &p->lock, &until);
    if (!s) {
        e = ERR_TIMEOUT;
        goto out;
    }
    s->lent = true;
    if (s->db && !pg_check(s->db)) {
        pg_close(s->db);
        s->db = NULL;
    }
    if (!s->db)
        e = connect_slot(p, s);
    if (e) {
        s->lent = false;
        pthread_cond_signal(&p->back);
    } else {
        *out = s->db;
    }
out:
    pthread_mutex_unlock(&p->lock);
    return e;
}

void pool_put(struct pool *p, struct pg *db)
{
    if (!db)
        return;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++) {
        struct slot *s = &p->slots[i];
        if (s->db != db)
            continue;
        assert(s->lent);
        s->lent = false;
        if (!pg_check(db)) {
            pg_close(db);
            s->db = NULL;
        }
    }
    pthread_cond_signal(&p->back);
    pthread_mutex_unlock(&p->lock);
}
