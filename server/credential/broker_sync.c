/* broker_sync.c - see broker_sync.h.
 *
 * One round: write the files; if any changed, SIGHUP; then, for each session to be closed, connect
 * under its name with a password that was in the file for this alone; then write the files without
 * those passwords and SIGHUP again.  That the broker accepts the password also proves that it has
 * read the new files.  What was asked during a round is done in the next one. */
#include "credential/broker_sync.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "credential/broker_files.h"
#include "port/crypto.h"
#include "port/takeover.h"
#include "store/q_credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVERY_MS      60000
#define RETRY_MS      2000
#define WARN_MS       3600000
#define CLOSE_MAX     64   /* sessions of one round */
#define RELOAD_MS     3000 /* how long the broker may take to read its files */
#define TAKEOVER_MS   1000
#define ENGINE_MS     2000
#define DB_TIMEOUT_MS 10000

struct broker_sync {
    const struct config *config;
    struct engine *engine;
    struct thread thread;
    pthread_mutex_t lock;
    pthread_cond_t asked_cond, done_cond; /* monotonic */
    bool stopping;
    uint64_t asked, done;
    char to_close[CLOSE_MAX][65];
    size_t n_close;

    /* the thread's own */
    struct pg *db;
    bool reload_due; /* files changed and the broker was not told yet */
    uint64_t next_warn_ms;
};

static struct timespec at(uint64_t mono_ms)
{
    return (struct timespec){(time_t)(mono_ms / 1000), (long)(mono_ms % 1000) * 1000000};
}

/* ---- one round ---- */

static enum err reload(struct broker_sync *s)
{
    enum err e = broker_files_reload(s->config);
    s->reload_due = e && e != ERR_UNSUPPORTED;
    if (s->reload_due)
        log_warn("broker.not_reloaded", KV("pid_file", s->config->broker_pid_file), KE(e));
    return e == ERR_UNSUPPORTED ? ERR_OK : e;
}

static enum err write_files(struct broker_sync *s, const struct one_time *once, size_t n)
{
    bool changed = false;
    enum err e = broker_files_write(s->config, s->db, once, n, &changed);
    if (e)
        return e;
    if (!changed && !s->reload_due)
        return ERR_OK;
    log_info("broker.files_written", KI("sessions_to_close", n));
    return reload(s);
}

static void close_session(struct broker_sync *s, const struct one_time *once)
{
    const struct config *c = s->config;
    const struct takeover_options o = {.host = c->mqtt_host,
                                       .port = (int)c->broker_takeover_port,
                                       .ca_file = c->mqtt_tls_ca_file,
                                       .name = once->name,
                                       .password = once->password};
    uint64_t until = clock_mono_ms() + RELOAD_MS;
    enum err e;
    while ((e = takeover(&o, TAKEOVER_MS)) == ERR_DENIED && clock_mono_ms() < until)
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL); /* not reloaded yet */
    if (e)
        log_warn("broker.session_not_closed", KV("client", once->name), KE(e));
    else
        log_info("broker.session_closed", KV("client", once->name));
}

static enum err round_of(struct broker_sync *s, char names[][65], size_t n)
{
    struct one_time once[CLOSE_MAX];
    size_t usable = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && s->config->broker_takeover_port && i < n; i++) {
        if (strchr(names[i], ':')) /* ends the name in a password file */
            continue;
        memcpy(once[usable].name, names[i], sizeof once->name);
        e = crypto_token(once[usable++].password, 24);
    }
    if (!e)
        e = write_files(s, once, usable);
    if (e || !usable)
        return e;
    for (size_t i = 0; i < usable; i++)
        close_session(s, &once[i]);
    return write_files(s, NULL, 0);
}

static enum err connect(struct broker_sync *s)
{
    if (s->db && pg_is_ok(s->db))
        return ERR_OK;
    pg_close(s->db);
    s->db = NULL;
    enum err e = pg_connect(s->config->db_conninfo, "braidd broker-sync", &s->db);
    return e ? e : pg_set_timeout(s->db, DB_TIMEOUT_MS);
}

/* 30, 7 and 1 days before a certificate ends. */
static void warn_of_ends(struct broker_sync *s)
{
    struct pg_result *r;
    if (clock_mono_ms() < s->next_warn_ms || q_certificates_to_warn(s->db, &r))
        return;
    s->next_warn_ms = clock_mono_ms() + WARN_MS;
    for (size_t i = 0; i < pg_rows(r); i++) {
        char words[160], end[CLOCK_TEXT];
        struct str serial = pg_text(r, i, 0);
        clock_rfc3339(pg_i64(r, i, 2), end);
        snprintf(words, sizeof words, "The certificate %.*s ends at %s: renew it", STR_ARG(serial),
                 end);
        enum err e = engine_note(s->engine, pg_text(r, i, 1), words, ENGINE_MS);
        if (!e || e == ERR_NOTFOUND)
            e = q_certificate_warned(s->db, serial, pg_i64(r, i, 3));
        if (e)
            log_warn("credential.warning_lost", KS("serial", serial), KE(e));
    }
    pg_result_free(r);
}

static enum err work(struct broker_sync *s, char names[][65], size_t n)
{
    enum err e = connect(s);
    if (e)
        return e;
    warn_of_ends(s);
    return *s->config->broker_sync_dir ? round_of(s, names, n) : ERR_OK;
}

/* ---- the thread ---- */

/* Puts names back in front of what was asked since; what does not fit is left to the ACL. */
static void keep_names(struct broker_sync *s, char names[][65], size_t n)
{
    for (size_t i = 0; i < n && s->n_close < CLOSE_MAX; i++)
        memcpy(s->to_close[s->n_close++], names[i], sizeof s->to_close[0]);
}

static void run(void *arg)
{
    struct broker_sync *s = arg;
    char names[CLOSE_MAX][65];
    uint64_t next = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        struct timespec until = at(next);
        if (s->asked == s->done && clock_mono_ms() < next) {
            pthread_cond_timedwait(&s->asked_cond, &s->lock, &until);
            continue;
        }
        uint64_t ticket = s->asked;
        size_t n = s->n_close;
        memcpy(names, s->to_close, sizeof names);
        s->n_close = 0;
        pthread_mutex_unlock(&s->lock);
        enum err e = work(s, names, n);
        pthread_mutex_lock(&s->lock);
        next = clock_mono_ms() + (e ? RETRY_MS : EVERY_MS);
        if (!e) {
            s->done = ticket;
            pthread_cond_broadcast(&s->done_cond);
            continue;
        }
        log_warn("broker.sync_failed", KE(e));
        keep_names(s, names, n);
        until = at(next);
        while (!s->stopping && clock_mono_ms() < next)
            pthread_cond_timedwait(&s->asked_cond, &s->lock, &until);
    }
    pthread_cond_broadcast(&s->done_cond);
    pthread_mutex_unlock(&s->lock);
}

enum err broker_sync_start(const struct config *c, struct engine *e, struct broker_sync **out)
{
    struct broker_sync *s = calloc(1, sizeof *s);
    pthread_condattr_t mono;
    if (!s)
        return ERR_NOMEM;
    s->config = c;
    s->engine = e;
    s->asked = 1; /* the files are made true at every start */
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&s->asked_cond, &mono);
    pthread_cond_init(&s->done_cond, &mono);
    pthread_condattr_destroy(&mono);
    enum err err = thread_start(&s->thread, "broker-sync", run, s);
    if (err) {
        broker_sync_stop(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void broker_sync_stop(struct broker_sync *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->asked_cond);
    pthread_mutex_unlock(&s->lock);
    thread_join(&s->thread);
    pg_close(s->db);
    pthread_cond_destroy(&s->asked_cond);
    pthread_cond_destroy(&s->done_cond);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint64_t broker_sync_ask(struct broker_sync *s, struct str name)
{
    pthread_mutex_lock(&s->lock);
    if (name.n && name.n < sizeof s->to_close[0] && s->n_close < CLOSE_MAX) {
        char *to = s->to_close[s->n_close++];
        memcpy(to, name.p, name.n);
        to[name.n] = 0;
    }
    uint64_t ticket = ++s->asked;
    pthread_cond_broadcast(&s->asked_cond);
    pthread_mutex_unlock(&s->lock);
    return ticket;
}

enum err broker_sync_wait(struct broker_sync *s, uint64_t ticket, uint32_t wait_ms)
{
    enum err e = ERR_OK;
    struct timespec until = at(clock_mono_ms() + wait_ms);
    if (!*s->config->broker_sync_dir)
        return ERR_UNSUPPORTED;
    pthread_mutex_lock(&s->lock);
    while (s->done < ticket && !s->stopping && !e)
        if (pthread_cond_timedwait(&s->done_cond, &s->lock, &until) && s->done < ticket)
            e = ERR_TIMEOUT;
    if (s->done < ticket)
        e = ERR_TIMEOUT;
    pthread_mutex_unlock(&s->lock);
    return e;
}
