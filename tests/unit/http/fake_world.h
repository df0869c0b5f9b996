/* fake_world.h - an engine and a store made of a few variables, so that the HTTP room can be tested
 * over real sockets without a broker and a database.  Included by one test program: its functions
 * take the place of the real ones. */
#ifndef BRAID_TESTS_FAKE_WORLD_H
#define BRAID_TESTS_FAKE_WORLD_H

#include "engine/engine.h"
#include "http/http_int.h"
#include "base/clock.h"
#include "base/thread.h"
#include "credential/credential.h"
#include "port/crypto.h"
#include "store/q_credential.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct fake_session {
    char hash[65], csrf[65], user[65];
    bool alive;
};

/* What tests set and look at. */
static struct {
    pthread_mutex_t lock;
    struct lw_model *model;
    bool db_down;
    struct engine_health health;
    atomic_int measured;
    char admin_hash[CRYPTO_PASSWORD_TEXT];
    struct fake_session sessions[16];
    size_t n_sessions;
    unsigned audits;
    char audit[400];     /* the last one: who from action target result detail */
    const char *outcome; /* members a waiter answers; NULL: it never does */
    enum cmd_state outcome_state;
    unsigned waiters, waiting; /* commands that were waited for; that are now */
    unsigned waited_ms;        /* all of them together */
    bool sleeping, full, cancellable;
    unsigned commands, forgotten;
    char last_request[200];
    unsigned loans;              /* connections out of the pool */
    const struct recent *recent; /* where the last question about history might look first */
    unsigned subscribed, unsubscribed, left, resnapshots;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define FAKE_ID      "11111111-2222-4333-8444-555555555555"
#define FAKE_DEVICES 25

/* ---- engine ---- */

enum err engine_add(struct engine *e, struct str endpoint, const char *words, uint32_t wait_ms)
{
    (void)e, (void)words, (void)wait_ms;
    return str_starts(endpoint, "dev-") ? ERR_EXISTS : ERR_OK;
}

const struct lw_model *engine_model(const struct engine *e)
{
    (void)e;
    return world.model;
}

void engine_get_health(struct engine *e, struct engine_health *out)
{
    (void)e;
    *out = world.health;
}

void engine_measure(struct engine *e)
{
    (void)e;
    world.measured++;
}

static char *copy(const char *s)
{
    char *p = malloc(strlen(s) + 1);
    memcpy(p, s, strlen(s) + 1);
    return p;
}

static int fake_compare(const struct fleet_query *q, const struct engine_row *a, int64_t seen,
                        const char *status, const char *endpoint)
{
    int c = q->sort == FLEET_BY_LAST_SEEN ? (a->last_seen_ms > seen) - (a->last_seen_ms < seen)
            : q->sort == FLEET_BY_STATUS  ? strcmp(a->status, status)
                                          : strcmp(a->endpoint, endpoint);
    c = q->down ? -c : c;
    return c ? c : strcmp(a->endpoint, endpoint);
}

static int fake_compare_rows(const void *a, const void *b, void *q)
{
    const struct engine_row *y = b;
    return fake_compare(q, a, y->last_seen_ms, y->status, y->endpoint);
}

static bool fake_match(const struct fleet_query *q, size_t i, const char *search,
                       const char *status)
{
    return (!q->search.n || memmem(search, strlen(search), q->search.p, q->search.n)) &&
           (!q->statuses.n || memmem(q->statuses.p, q->statuses.n, status, strlen(status))) &&
           (!q->ids || (i < q->n_ids && q->ids[0] >> i & 1));
}

/* dev-00 .. dev-24: every third is lost, later ones were seen earlier. */
enum err engine_list(struct engine *e, const struct fleet_query *q, uint32_t wait_ms,
                     struct engine_rows *out)
{
    (void)e, (void)wait_ms;
    char after[32], after_status[16];
    struct fleet_query order = *q;
    *out = (struct engine_rows){.v = calloc(FAKE_DEVICES, sizeof *out->v)};
    snprintf(after, sizeof after, "%.*s", STR_ARG(q->after_endpoint));
    snprintf(after_status, sizeof after_status, "%.*s", STR_ARG(q->after_status));
    for (size_t i = 0; i < FAKE_DEVICES; i++) {
        char name[32], json[96];
        const char *status = i % 3 ? "online" : "lost";
        snprintf(name, sizeof name, "dev-%02zu", i);
        snprintf(json, sizeof json, "{\"endpoint\":\"%s\"}", name);
        if (!fake_match(q, i, i == 7 ? "dev-07 acme corp" : name, status))
            continue;
        out->total++;
        struct engine_row row = {
            .endpoint = name, .status = status, .last_seen_ms = 1000 - (int64_t)i};
        if (*after && fake_compare(q, &row, q->after_last_seen_ms, after_status, after) <= 0)
            continue;
        row.endpoint = copy(name);
        row.json = copy(json);
        row.json_n = strlen(json);
        out->v[out->n++] = row;
    }
    qsort_r(out->v, out->n, sizeof *out->v, fake_compare_rows, &order);
    for (; out->n > q->limit; out->n--) {
        free(out->v[out->n - 1].endpoint);
        free(out->v[out->n - 1].json);
    }
    return ERR_OK;
}

void engine_rows_free(struct engine_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].endpoint);
        free(r->v[i].json);
    }
    free(r->v);
}

static bool known(struct str endpoint)
{
    return str_starts(endpoint, "dev-");
}

enum err engine_device(struct engine *e, struct str endpoint, uint32_t wait_ms, struct buf *json)
{
    (void)e, (void)wait_ms;
    if (!known(endpoint))
        return ERR_NOTFOUND;
    buf_printf(json, "{\"endpoint\":\"%.*s\"}", STR_ARG(endpoint));
    return ERR_OK;
}

enum err engine_fleet(struct engine *e, uint32_t wait_ms, struct buf *json)
{
    (void)e, (void)wait_ms;
    buf_puts(json, "{\"devices\":25}");
    return ERR_OK;
}

enum err engine_device_id(struct engine *e, struct str endpoint, uint32_t wait_ms, int64_t *id,
                          bool *sleeping)
{
    (void)e, (void)wait_ms;
    *id = 7;
    *sleeping = world.sleeping;
    return known(endpoint) ? ERR_OK : ERR_NOTFOUND;
}

enum err engine_forget(struct engine *e, struct str endpoint, uint32_t wait_ms)
{
    (void)e, (void)wait_ms;
    if (!known(endpoint))
        return ERR_NOTFOUND;
    if (!str_is(endpoint, "dev-00"))
        return ERR_CONFLICT;
    world.forgotten++;
    return ERR_OK;
}

enum err engine_command(struct engine *e, struct str endpoint, struct str id, struct str request,
                        struct str by, int64_t created_ms)
{
    (void)e, (void)endpoint, (void)id, (void)by, (void)created_ms;
    pthread_mutex_lock(&world.lock);
    snprintf(world.last_request, sizeof world.last_request, "%.*s", STR_ARG(request));
    world.commands++;
    pthread_mutex_unlock(&world.lock);
    return world.full ? ERR_FULL : ERR_OK;
}

struct engine_waiter {
    char unused;
};

struct engine_waiter *engine_waiter_new(struct engine *e, struct str command_id)
{
    (void)e, (void)command_id;
    pthread_mutex_lock(&world.lock);
    world.waiters++;
    world.waiting++;
    pthread_mutex_unlock(&world.lock);
    return calloc(1, sizeof(struct engine_waiter));
}

enum err engine_waiter_wait(struct engine_waiter *w, uint32_t wait_ms, enum cmd_state *state,
                            struct buf *members)
{
    (void)w;
    pthread_mutex_lock(&world.lock);
    const char *outcome = world.outcome;
    *state = world.outcome_state;
    world.waited_ms += outcome ? 0 : wait_ms;
    pthread_mutex_unlock(&world.lock);
    if (!outcome) {
        nanosleep(&(struct timespec){.tv_nsec = (long)wait_ms * 1000000}, NULL);
        return ERR_TIMEOUT;
    }
    buf_puts(members, outcome);
    return ERR_OK;
}

void engine_waiter_free(struct engine_waiter *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&world.lock);
    world.waiting--;
    pthread_mutex_unlock(&world.lock);
    free(w);
}

enum err engine_command_cancel(struct engine *e, struct str endpoint, struct str id,
                               uint32_t wait_ms)
{
    (void)e, (void)endpoint, (void)id, (void)wait_ms;
    return world.cancellable ? ERR_OK : ERR_CONFLICT;
}

enum err engine_subscribe(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    (void)e;
    world.subscribed++;
    struct live_frag *f = live_frag_new((struct str)STR("{\"endpoint\":\"dev-00\"}"));
    live_push_snapshot(o, s, f, true, 1);
    live_frag_unref(f);
    return ERR_OK;
}

enum err engine_resnapshot(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    (void)e;
    world.resnapshots++;
    live_push_snapshot(o, s, NULL, true, 1);
    return ERR_OK;
}

void engine_unsubscribe(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    (void)e, (void)o, (void)s;
    world.unsubscribed++;
}

void engine_leave(struct engine *e, struct live_outbox *o)
{
    (void)e, (void)o;
    __atomic_fetch_add(&world.left, 1, __ATOMIC_SEQ_CST);
}

/* ---- store ---- */

enum err pool_get(struct pool *p, uint32_t wait_ms, struct pg **out)
{
    (void)p, (void)wait_ms;
    if (world.db_down)
        return ERR_DB;
    __atomic_fetch_add(&world.loans, 1, __ATOMIC_SEQ_CST);
    *out = (struct pg *)(uintptr_t)16;
    return ERR_OK;
}

void pool_put(struct pool *p, struct pg *db)
{
    (void)p, (void)db;
    __atomic_fetch_sub(&world.loans, 1, __ATOMIC_SEQ_CST);
}

enum err q_user_hash(struct pg *db, struct str username, char *hash, size_t size,
                     struct q_identity *out)
{
    (void)db;
    if (!str_is(username, "admin") && !str_is(username, "reader"))
        return ERR_NOTFOUND;
    snprintf(hash, size, "%s", world.admin_hash);
    *out = (struct q_identity){.id = 1};
    snprintf(out->name, sizeof out->name, "%.*s", STR_ARG(username));
    snprintf(out->role, sizeof out->role, "%s", str_is(username, "admin") ? "admin" : "viewer");
    return ERR_OK;
}

enum err q_session_insert(struct pg *db, struct str token_hash, struct str csrf, int64_t user_id,
                          int64_t expires_ms, struct str remote)
{
    (void)db, (void)user_id, (void)expires_ms, (void)remote;
    pthread_mutex_lock(&world.lock);
    struct fake_session *s = &world.sessions[world.n_sessions++ % 16];
    snprintf(s->hash, sizeof s->hash, "%.*s", STR_ARG(token_hash));
    snprintf(s->csrf, sizeof s->csrf, "%.*s", STR_ARG(csrf));
    snprintf(s->user, sizeof s->user, "admin");
    s->alive = true;
    pthread_mutex_unlock(&world.lock);
    return ERR_OK;
}

enum err q_session(struct pg *db, struct str token_hash, int64_t idle_s, struct q_identity *out)
{
    (void)db, (void)idle_s;
    enum err e = ERR_NOTFOUND;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < 16; i++)
        if (world.sessions[i].alive && str_is(token_hash, world.sessions[i].hash)) {
            *out = (struct q_identity){.name = "admin", .role = "admin"};
            memcpy(out->csrf, world.sessions[i].csrf, sizeof out->csrf);
            e = ERR_OK;
        }
    pthread_mutex_unlock(&world.lock);
    return e;
}

enum err q_session_holds(struct pg *db, struct str token_hash, int64_t idle_s)
{
    struct q_identity found;
    return q_session(db, token_hash, idle_s, &found);
}

enum err q_session_delete(struct pg *db, struct str token_hash)
{
    (void)db;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < 16; i++)
        if (str_is(token_hash, world.sessions[i].hash))
            world.sessions[i].alive = false;
    pthread_mutex_unlock(&world.lock);
    return ERR_OK;
}

/* The tokens viewer-token, operator-token, engineer-token and admin-token have these roles. */
enum err q_token(struct pg *db, struct str hash, struct q_identity *out)
{
    (void)db;
    static const char *const roles[] = {"viewer", "operator", "engineer", "admin"};
    for (size_t i = 0; i < 4; i++) {
        char token[32], mine[HTTP_HASH_TEXT];
        snprintf(token, sizeof token, "%s-token", roles[i]);
        auth_hash(str_of(token), mine);
        if (!str_is(hash, mine))
            continue;
        *out = (struct q_identity){.name = "robot"};
        snprintf(out->role, sizeof out->role, "%s", roles[i]);
        return ERR_OK;
    }
    return ERR_NOTFOUND;
}

enum err q_audit(struct pg *db, struct str who, struct str from, struct str action,
                 struct str target, struct str detail_json, struct str result)
{
    (void)db;
    pthread_mutex_lock(&world.lock);
    world.audits++;
    snprintf(world.audit, sizeof world.audit, "%.*s %.*s %.*s %.*s %.*s %.*s", STR_ARG(who),
             STR_ARG(from), STR_ARG(action), STR_ARG(target), STR_ARG(result),
             STR_ARG(detail_json));
    pthread_mutex_unlock(&world.lock);
    return ERR_OK;
}

enum err q_audit_list(struct pg *db, const struct q_audit_filter *f, struct q_page page,
                      struct json_out *j)
{
    (void)db;
    if (page.cursor.p)
        return ERR_INVALID;
    json_open(j, '{');
    json_key(j, "who");
    json_str(j, f->who);
    json_key(j, "from_ms");
    json_i64(j, f->from_ms);
    json_close(j);
    return ERR_OK;
}

enum err q_command_insert(struct pg *db, const struct command_insert *in, char id[37],
                          int64_t *created_ms, bool *repeated)
{
    (void)db;
    if (!in->from.n || !in->endpoint.n)
        return ERR_INVALID;
    memcpy(id, FAKE_ID, 37);
    *created_ms = 1000;
    *repeated = in->idempotency_key.p && str_is(in->idempotency_key, "again");
    return in->idempotency_key.p && str_is(in->idempotency_key, "other") ? ERR_CONFLICT : ERR_OK;
}

enum err q_command(struct pg *db, struct str id, struct json_out *j)
{
    (void)db;
    if (!str_is(id, FAKE_ID)) {
        json_null(j);
        return ERR_NOTFOUND;
    }
    json_raw(j, (struct str)STR("{\"id\":\"" FAKE_ID "\",\"endpoint\":\"dev-00\",\"state\":"
                                "\"sent\",\"why\":null,\"result\":null}"));
    return ERR_OK;
}

static enum err empty_list(struct json_out *j)
{
    json_raw(j, (struct str)STR("{\"items\":[],\"next\":null}"));
    return ERR_OK;
}

enum err q_commands(struct pg *db, struct str endpoint, struct str state, struct q_page page,
                    struct json_out *j)
{
    (void)db, (void)endpoint, (void)state, (void)page;
    return empty_list(j);
}

enum err q_timeline(struct pg *db, struct str endpoint, struct str kind, struct q_page page,
                    struct json_out *j)
{
    (void)db, (void)endpoint, (void)kind;
    return page.cursor.p ? ERR_INVALID : empty_list(j);
}

enum err q_series(struct pg *db, struct str endpoint, struct json_out *j)
{
    (void)db, (void)endpoint;
    return empty_list(j);
}

enum err q_history_aligned(struct pg *db, const struct q_history *q, const struct q_series *series,
                           size_t n, struct json_out *j)
{
    (void)db;
    json_open(j, '{');
    json_key(j, "points");
    json_i64(j, q->points);
    for (size_t i = 0; i < n; i++) {
        json_key_str(j, series[i].endpoint);
        json_str(j, series[i].key);
    }
    json_close(j);
    return ERR_OK;
}

enum err q_history(struct pg *db, const struct q_history *q, struct json_out *j)
{
    (void)db;
    world.recent = q->recent;
    if (!str_is(q->series, "spb:T"))
        return ERR_NOTFOUND;
    json_open(j, '{');
    json_key(j, "from");
    json_i64(j, q->from_ms);
    json_key(j, "to");
    json_i64(j, q->to_ms);
    json_close(j);
    return ERR_OK;
}

enum err q_user_insert(struct pg *db, struct str username, struct str role, struct str hash)
{
    (void)db, (void)role, (void)hash;
    return str_is(username, "admin") ? ERR_EXISTS : ERR_OK;
}

enum err q_user_password(struct pg *db, struct str username, struct str hash)
{
    (void)db, (void)hash;
    return str_is(username, "admin") ? ERR_OK : ERR_NOTFOUND;
}

enum err q_user_delete(struct pg *db, struct str username, char role[16])
{
    (void)db;
    snprintf(role, 16, "viewer");
    return str_is(username, "admin") ? ERR_CONFLICT : ERR_NOTFOUND;
}

enum err q_users(struct pg *db, struct json_out *j)
{
    (void)db;
    return empty_list(j);
}

enum err q_token_insert(struct pg *db, struct str name, struct str role, struct str hash,
                        struct str by, int64_t expires_ms, int64_t *id)
{
    (void)db, (void)name, (void)role, (void)hash, (void)by, (void)expires_ms;
    *id = 3;
    return ERR_OK;
}

enum err q_tokens(struct pg *db, struct json_out *j)
{
    (void)db;
    return empty_list(j);
}

enum err q_token_delete(struct pg *db, int64_t id, struct q_identity *old)
{
    (void)db;
    *old = (struct q_identity){.name = "ci", .role = "viewer"};
    return id == 3 ? ERR_OK : ERR_NOTFOUND;
}

/* ---- credentials ---- */

const char *standing_word(enum standing s)
{
    return s == STANDING_ACTIVE ? "active" : s == STANDING_SUSPENDED ? "suspended" : "retired";
}

bool credential_name_ok(struct str name)
{
    return name.n && name.n <= 64 && !memchr(name.p, ' ', name.n) && !str_is(name, "rd");
}

const char *credential_settle(struct credentials *c, uint32_t wait_ms)
{
    (void)c, (void)wait_ms;
    return "synced";
}

enum err credential_certificate(struct credentials *c, struct pg *db, struct str name,
                                uint32_t days, bool replace, struct str by,
                                struct credential_bundle *out)
{
    (void)c, (void)db, (void)replace, (void)by;
    *out = (struct credential_bundle){.serial = "0a"};
    buf_init(&out->key, 100);
    buf_init(&out->cert, 100);
    buf_init(&out->ca, 100);
    buf_printf(&out->key, "KEY of %.*s for %u days", STR_ARG(name), days);
    return days > 3000 ? ERR_RANGE : ERR_OK;
}

enum err credential_password(struct credentials *c, struct pg *db, struct str name, struct str by,
                             struct credential_bundle *out)
{
    (void)c, (void)db, (void)by;
    *out = (struct credential_bundle){.password = "s3cret"};
    return str_starts(name, "no-") ? ERR_UNSUPPORTED : ERR_OK;
}

void credential_bundle_fini(struct credential_bundle *b)
{
    buf_fini(&b->key);
    buf_fini(&b->cert);
    buf_fini(&b->ca);
}

enum err credential_revoke(struct credentials *c, struct pg *db, struct str name, struct str which,
                           struct str by)
{
    (void)c, (void)db, (void)name, (void)by;
    return str_is(which, "0a") ? ERR_OK : ERR_NOTFOUND;
}

enum err credential_standing(struct credentials *c, struct pg *db, struct str name,
                             enum standing standing, struct str why, struct str by)
{
    (void)c, (void)db, (void)name, (void)why, (void)by;
    return standing == STANDING_ACTIVE ? ERR_CONFLICT : ERR_OK;
}

enum err credential_forget(struct credentials *c, struct pg *db, struct str name)
{
    (void)c, (void)db, (void)name;
    return ERR_OK;
}

enum err q_credentials(struct pg *db, struct str endpoint, struct json_out *j)
{
    (void)db, (void)endpoint;
    return empty_list(j);
}

enum err q_credentials_ending(struct pg *db, int64_t days, struct json_out *j)
{
    (void)db, (void)days;
    return empty_list(j);
}

enum err q_unknown(struct pg *db, struct str state, int64_t limit, struct json_out *j)
{
    (void)db, (void)state, (void)limit;
    return empty_list(j);
}

enum err q_unknown_take(struct pg *db, struct str endpoint)
{
    (void)db;
    return str_is(endpoint, "stranger") ? ERR_OK : ERR_NOTFOUND;
}

enum err q_unknown_refuse(struct pg *db, struct str endpoint)
{
    (void)db;
    return str_is(endpoint, "stranger") ? ERR_OK : ERR_NOTFOUND;
}

#endif
