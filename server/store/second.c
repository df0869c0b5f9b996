/* second.c - see second.h.  A thread per piece of work: that is little beside tens of thousands of
 * rows, and nobody has to stop it. */
#include "store/second.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

#define TIMEOUT_MS 5000 /* of a statement */
#define RETRY_MS   10000

struct second {
    const char *conninfo;
    struct pg *db; /* NULL: not connected */
    uint64_t retry_ms;
    struct thread thread;
    second_work *work;
    void *ctx;
};

enum err second_new(const char *conninfo, struct second **out)
{
    struct second *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->conninfo = conninfo;
    *out = s;
    return ERR_OK;
}

void second_free(struct second *s)
{
    if (!s)
        return;
    pg_close(s->db);
    free(s);
}

static void disconnect(struct second *s)
{
    pg_close(s->db);
    s->db = NULL;
    s->retry_ms = clock_mono_ms() + RETRY_MS;
}

static void connect(struct second *s)
{
    if (pg_connect(s->conninfo, "braidd writer 2", &s->db)) {
        s->db = NULL;
        s->retry_ms = clock_mono_ms() + RETRY_MS;
    } else if (pg_set_timeout(s->db, TIMEOUT_MS)) {
        disconnect(s);
    }
}

static void run(void *arg)
{
    struct second *s = arg;
    if (!s->db)
        connect(s);
    if (s->db)
        s->work(s->ctx, s->db);
}

enum err second_start(struct second *s, second_work *work, void *ctx)
{
    if (s->db && !pg_check(s->db))
        disconnect(s);
    if (!s->db && clock_mono_ms() < s->retry_ms)
        return ERR_DB;
    s->work = work;
    s->ctx = ctx;
    return thread_start(&s->thread, "writer-2", run, s);
}

struct pg *second_join(struct second *s)
{
    thread_join(&s->thread);
    return s->db;
}
