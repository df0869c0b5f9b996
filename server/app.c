/* app.c - see app.h. */
#include "app.h"
#include "base/clock.h"
#include "base/log.h"
#include "credential/credential.h"
#include "engine/engine.h"
#include "http/http.h"
#include "models.h"
#include "port/pg.h"
#include "store/migrate.h"
#include "store/pool.h"
#include "store/recent.h"
#include "store/writer.h"
#include "upkeep/jobs.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define LOCK_CHECK_S 5
#define WAIT_MS      250 /* between two attempts to get the lock: part of every take-over */
/* Any number nobody else uses; "braid" in ASCII. */
#define LOCK_SQL "SELECT pg_try_advisory_lock(422155773284)"

struct app {
    const struct config *config;
    struct metrics *metrics;
    struct lw_model *model;
    struct pg *lock; /* holds the advisory lock while it lives */
    struct pool *pool;
    struct recent *recent;
    struct writer *writer;
    struct engine *engine;
    struct credentials *credentials;
    struct jobs *jobs;
    struct http *http;
};

/* Waits for a signal; true when one came. */
static bool signalled(uint32_t ms)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    int got = sigtimedwait(&set, NULL, &wait);
    if (got > 0)
        log_info("server.signal", KV("name", got == SIGTERM ? "SIGTERM" : "SIGINT"));
    return got > 0;
}

/* ERR_AGAIN when another server has it; the connection is kept for the next attempt. */
static enum err take_lock(struct app *a)
{
    struct pg_result *res = NULL;
    enum err e = ERR_OK;
    if (!a->lock)
        e = pg_connect(a->config->db_conninfo, "braidd lock", &a->lock);
    if (!e)
        e = pg_exec(a->lock, LOCK_SQL, NULL, 0, &res);
    bool ours = !e && pg_bool(res, 0, 0);
    pg_result_free(res);
    if (e) {
        pg_close(a->lock);
        a->lock = NULL;
        return e;
    }
    return ours ? ERR_OK : ERR_AGAIN;
}

/* Tries until the database is there and ours; ERR_CLOSED when told to stop. */
static enum err wait_for_database(struct app *a)
{
    enum err said = ERR_OK;
    for (;;) {
        enum err e = take_lock(a);
        if (!e) {
            if (said == ERR_AGAIN)
                log_info("server.taking_over", KV("why", "the other braidd is gone"));
            return ERR_OK;
        }
        if (e != said)
            log_warn("server.waiting",
                     KV("for", e == ERR_AGAIN ? "another braidd on this database" : "database"));
        said = e;
        if (a->http)
            http_waiting(a->http, e == ERR_AGAIN ? "standby" : "starting");
        if (signalled(e == ERR_AGAIN ? WAIT_MS : 1000))
            return ERR_CLOSED;
    }
}

/* False when another server took the database while our connection was broken. */
static bool lock_kept(struct app *a)
{
    if (a->lock && !pg_exec(a->lock, "SELECT 1", NULL, 0, NULL))
        return true;
    pg_close(a->lock); /* a session may take the same lock twice: only a new one can tell */
    a->lock = NULL;
    enum err e = take_lock(a);
    if (e == ERR_AGAIN)
        log_error("server.database_taken", KV("by", "another braidd"));
    return e != ERR_AGAIN;
}

/* Sockets of live clients and files count: take what the hard limit allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &r))
            log_warn("server.descriptor_limit", KI("limit", r.rlim_cur));
    }
}

static enum err fail(const char *step, enum err e)
{
    if (e)
        log_error("server.start_failed", KV("step", step), KE(e));
    return e;
}

static enum err listen_http(struct app *a)
{
    return a->http ? ERR_OK : http_listen(a->config, a->metrics, &a->http);
}

/* An address in use is no reason to end while we wait: the active server may have the same one, and
 * by our turn it is free.  Then it must be. */
static enum err start_base(struct app *a)
{
    a->metrics = metrics_new();
    if (!a->metrics)
        return fail("metrics", ERR_NOMEM);
    enum err e = fail("credentials", credentials_check(a->config));
    if (e)
        return e;
    e = fail("model", models_load(a->config->lwm2m_models_dir, &a->model));
    if (e)
        return e;
    if (listen_http(a))
        log_warn("server.waiting_unseen", KV("why", "http.listen cannot be had yet"));
    e = wait_for_database(a);
    if (!e)
        e = fail("http", listen_http(a));
    if (e)
        return e;
    http_waiting(a->http, "starting");
    if (!store_check_version(a->lock))
        return fail("migrations: run braidd migrate", ERR_CONFLICT);
    return ERR_OK;
}

static enum err start_parts(struct app *a)
{
    const struct config *c = a->config;
    enum err e = fail("pool", pool_new(c->db_conninfo, (size_t)c->db_pool, &a->pool));
    if (!e)
        e = fail("memory", recent_new(((size_t)c->history_pack_memory_mb << 20) / RECENT_ROW_BYTES,
                                      &a->recent));
    if (!e)
        e = fail("writer", writer_start(c, a->metrics, a->recent, &a->writer));
    if (e)
        return e;
    struct engine_parts engine = {c, a->metrics, a->writer, a->model};
    e = fail("engine", engine_start(&engine, &a->engine));
    if (e)
        return e;
    struct credential_parts credential = {c, a->engine};
    e = fail("credentials", credentials_start(&credential, &a->credentials));
    if (e)
        return e;
    e = fail("jobs", jobs_start(&(struct jobs_parts){c, a->metrics, a->recent}, &a->jobs));
    if (e)
        return e;
    struct http_parts http = {a->engine, a->pool, a->credentials, a->recent};
    return fail("http", http_serve(a->http, &http));
}

static void stop(struct app *a)
{
    http_stop(a->http);
    jobs_stop(a->jobs);
    credentials_stop(a->credentials);
    if (a->engine)
        engine_stop(a->engine);
    if (a->writer)
        writer_stop(a->writer);
    recent_free(a->recent);
    if (a->pool)
        pool_free(a->pool);
    pg_close(a->lock);
    lw_model_free(a->model);
    metrics_free(a->metrics);
}

/* Everything is up: until a signal or the loss of the lock. */
static int serve(struct app *a)
{
    log_info("server.ready", KV("http", a->config->http_listen), KI("port", http_port(a->http)),
             KV("version", BRAID_VERSION));
    while (!signalled(LOCK_CHECK_S * 1000))
        if (!lock_kept(a))
            return 1;
    return 0;
}

int app_run(const struct config *c)
{
    struct app a = {.config = c};
    raise_descriptor_limit();
    uint64_t began = clock_mono_ms();
    log_info("server.start", KV("version", BRAID_VERSION));
    enum err e = start_base(&a);
    if (!e)
        e = start_parts(&a);
    int status = e == ERR_CLOSED ? 0 : 1;
    if (!e)
        status = serve(&a);
    uint64_t stopping = clock_mono_ms();
    stop(&a);
    log_info("server.stopped", KI("after_ms", clock_mono_ms() - stopping),
             KI("up_ms", stopping - began));
    return status;
}
