/* engine.c - the engine as other threads see it: start, stop, ask, command, subscribe. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned shard_count(const struct config *c)
{
    if (c->engine_shards > 0)
        return (unsigned)c->engine_shards;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 3 ? (unsigned)cores / 2 : 1;
}

static void engine_free(struct engine *e)
{
    for (unsigned i = 0; e->shards && i < e->n_shards; i++)
        shard_fini(&e->shards[i]);
    free(e->shards);
    waiters_free(e->waiters);
    publisher_unref(e->publisher);
    map_fini(&e->pubacks);
    pthread_mutex_destroy(&e->host_lock);
    pthread_mutex_destroy(&e->puback_lock);
    free(e);
}

static enum err make_shards(struct engine *e)
{
    e->n_shards = shard_count(e->config);
    e->shards = calloc(e->n_shards, sizeof *e->shards);
    if (!e->shards)
        return ERR_NOMEM;
    for (unsigned i = 0; i < e->n_shards; i++) {
        enum err err = shard_init(&e->shards[i], e, i);
        if (err) {
            shard_fini(&e->shards[i]);
            e->n_shards = i; /* the others were never made */
            return err;
        }
    }
    return ERR_OK;
}

/* Ends the shard threads; what is left in their boxes is answered or freed. */
static void stop_shards(struct engine *e)
{
    for (unsigned i = 0; i < e->n_shards; i++) {
        struct letter *stop = calloc(1, sizeof *stop);
        if (stop) {
            stop->kind = LETTER_STOP;
            if (mailbox_force_put(e->shards[i].box, &stop->mail))
                free(stop);
        }
    }
    for (unsigned i = 0; i < e->n_shards; i++) {
        struct shard *s = &e->shards[i];
        bool closed;
        thread_join(&s->thread);
        mailbox_close(s->box);
        for (struct mail *m = mailbox_take(s->box, 0, &closed), *next; m; m = next) {
            next = m->next;
            letter_free((struct letter *)m);
        }
    }
}

enum err engine_start(const struct engine_parts *parts, struct engine **out)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->config = parts->config;
    e->metrics = parts->metrics;
    e->writer = parts->writer;
    e->model = parts->model;
    e->started_ms = clock_utc_ms();
    atomic_store(&e->next_device_id, 1);
    atomic_store(&e->next_series, 1);
    pthread_mutex_init(&e->host_lock, NULL);
    pthread_mutex_init(&e->puback_lock, NULL);
    map_init(&e->pubacks, (uint64_t)e->started_ms);
    e->waiters = waiters_new();
    e->publisher = publisher_new();
    enum err err = e->waiters && e->publisher ? ERR_OK : ERR_NOMEM;
    if (!err)
        err = spb_host_init(&e->host, str_of(e->config->sparkplug_host_id));
    if (!err)
        err = make_shards(e);
    if (!err)
        err = engine_restore(e);
    if (!err)
        err = sessions_new(e); /* shards publish as soon as one of them is up */
    for (unsigned i = 0; !err && i < e->n_shards; i++)
        err = shard_start(&e->shards[i]);
    if (!err)
        err = sessions_start(e);
    if (err) {
        log_error("engine.not_started", KE(err));
        sessions_stop(e);
        if (e->shards)
            stop_shards(e);
        sessions_free(e);
        engine_free(e);
        return err;
    }
    *out = e;
    return ERR_OK;
}

void engine_stop(struct engine *e)
{
    if (!e)
        return;
    /* Acks of what has been received should still go out: let the writer catch up first. */
    for (int i = 0; i < 500 && !publisher_idle(e->publisher); i++)
        usleep(10000);
    sessions_stop(e);
    stop_shards(e);
    sessions_free(e);
    engine_free(e);
}

/* ---- asks ---- */

static enum err ask_one(struct engine *e, struct ask *a, uint32_t wait_ms)
{
    enum err err = ask_send(shard_of(e, str_of(a->endpoint)), a);
    return err ? err : ask_wait(a, wait_ms);
}

/* Sends one ask of `kind` to every shard; asks[i] are the caller's to unref. */
static enum err ask_all(struct engine *e, enum ask_kind kind, struct live_outbox *o,
                        struct live_sub *sub, struct ask **asks)
{
    for (unsigned i = 0; i < e->n_shards; i++) {
        asks[i] = ask_new(kind, str_make(NULL, 0));
        if (!asks[i])
            return ERR_NOMEM;
        asks[i]->outbox = o ? live_outbox_ref(o) : NULL;
        asks[i]->sub = sub ? live_sub_ref(sub) : NULL;
        enum err err = ask_send(&e->shards[i], asks[i]);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* Waits for all; the first error counts. */
static enum err wait_all(struct ask **asks, unsigned n, uint32_t wait_ms)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    enum err err = ERR_OK;
    for (unsigned i = 0; !err && i < n; i++) {
        uint64_t now = clock_mono_ms();
        err = ask_wait(asks[i], now < until ? (uint32_t)(until - now) : 0);
    }
    return err;
}

static void asks_free(struct ask **asks, unsigned n)
{
    for (unsigned i = 0; asks && i < n; i++)
        ask_unref(asks[i]);
    free(asks);
}

void engine_rows_free(struct engine_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].endpoint);
        free(r->v[i].json);
    }
    free(r->v);
    *r = (struct engine_rows){0};
}

/* The parts move into one array, in order and cut to the page. */
static enum err join_rows(struct ask **asks, unsigned n_asks, const struct fleet_query *q,
                          struct engine_rows *out)
{
    struct engine_rows all = {0};
    size_t n = 0;
    for (unsigned i = 0; i < n_asks; i++)
        n += asks[i]->rows.n;
    all.v = calloc(n + 1, sizeof *all.v);
    if (!all.v)
        return ERR_NOMEM;
    for (unsigned i = 0; i < n_asks; i++) {
        struct engine_rows *part = &asks[i]->rows;
        if (part->n)
            memcpy(all.v + all.n, part->v, part->n * sizeof *part->v);
        all.n += part->n;
        all.total += part->total;
        part->n = 0; /* moved */
    }
    fleet_list_merge(q, &all);
    *out = all;
    return ERR_OK;
}

enum err engine_list(struct engine *e, const struct fleet_query *q, uint32_t wait_ms,
                     struct engine_rows *out)
{
    struct ask **asks = calloc(e->n_shards, sizeof *asks);
    enum err err = asks ? ERR_OK : ERR_NOMEM;
    for (unsigned i = 0; !err && i < e->n_shards; i++) {
        asks[i] = ask_new(ASK_LIST, str_make(NULL, 0));
        if (asks[i])
            asks[i]->query = fleet_query_copy(q);
        err = asks[i] && asks[i]->query ? ask_send(&e->shards[i], asks[i]) : ERR_NOMEM;
    }
    if (!err)
        err = wait_all(asks, e->n_shards, wait_ms);
    if (!err)
        err = join_rows(asks, e->n_shards, q, out);
    asks_free(asks, e->n_shards);
    return err;
}

enum err engine_device(struct engine *e, struct str endpoint, uint32_t wait_ms, struct buf *json)
{
    struct ask *a = ask_new(ASK_DEVICE, endpoint);
    if (!a)
        return ERR_NOMEM;
    enum err err = ask_one(e, a, wait_ms);
    if (!err)
        buf_str(json, buf_view(&a->json));
    ask_unref(a);
    return err;
}

/* Both broker sessions; `since` is when the later of them changed. */
static void put_broker(struct json_out *j, struct engine *e)
{
    int64_t sp_ms = atomic_load(&e->sp_since_ms), lw_ms = atomic_load(&e->lw_since_ms);
    json_key(j, "broker");
    json_open(j, '{');
    json_put_text(j, "sparkplug", mqtt_is_up(e->sp) ? "up" : "down");
    json_put_text(j, "lwm2m", mqtt_is_up(e->lw) ? "up" : "down");
    json_put_time(j, "since", sp_ms > lw_ms ? sp_ms : lw_ms);
    json_close(j);
}

static void fleet_json(struct engine *e, const struct fleet_counts *c, struct buf *out)
{
    struct json_out j;
    struct writer_state w;
    writer_get_state(e->writer, &w);
    json_out_init(&j, out);
    json_open(&j, '{');
    json_put_u64(&j, "devices", c->devices);
    json_key(&j, "by_status");
    json_open(&j, '{');
    for (int s = 0; s < BRAID_STATUS_COUNT; s++) {
        json_key(&j, braid_status_word((enum braid_status)s));
        json_u64(&j, c->by_status[s]);
    }
    json_close(&j);
    json_put_u64(&j, "lwm2m_active", c->lwm2m_active);
    json_put_u64(&j, "sparkplug_online", c->sparkplug_online);
    json_put_double(&j, "messages_per_s", (double)(int64_t)(c->messages_per_s * 10) / 10);
    json_put_double(&j, "metrics_per_s", (double)(int64_t)(c->metrics_per_s * 10) / 10);
    put_broker(&j, e);
    json_key(&j, "database");
    json_open(&j, '{');
    json_put_text(&j, "state", w.up ? "up" : "down");
    json_put_time(&j, "since", w.since_ms);
    json_put_u64(&j, "spooled_rows", w.spooled_rows);
    json_close(&j);
    json_key(&j, "telemetry");
    flow_json(e, &j);
    json_put_time(&j, "started_at", e->started_ms);
    json_put_text(&j, "version", BRAID_VERSION);
    json_close(&j);
}

enum err engine_fleet(struct engine *e, uint32_t wait_ms, struct buf *json)
{
    struct ask **asks = calloc(e->n_shards, sizeof *asks);
    if (!asks)
        return ERR_NOMEM;
    struct fleet_counts sum = {0};
    enum err err = ask_all(e, ASK_FLEET, NULL, NULL, asks);
    if (!err)
        err = wait_all(asks, e->n_shards, wait_ms);
    for (unsigned i = 0; !err && i < e->n_shards; i++) {
        const struct fleet_counts *c = &asks[i]->counts;
        sum.devices += c->devices;
        sum.lwm2m_active += c->lwm2m_active;
        sum.sparkplug_online += c->sparkplug_online;
        sum.messages_per_s += c->messages_per_s;
        sum.metrics_per_s += c->metrics_per_s;
        for (int s = 0; s < BRAID_STATUS_COUNT; s++)
            sum.by_status[s] += c->by_status[s];
    }
    asks_free(asks, e->n_shards);
    if (!err)
        fleet_json(e, &sum, json);
    return err;
}

enum err engine_device_id(struct engine *e, struct str endpoint, uint32_t wait_ms, int64_t *id,
                          bool *sleeping)
{
    struct ask *a = ask_new(ASK_DEVICE_ID, endpoint);
    if (!a)
        return ERR_NOMEM;
    enum err err = ask_one(e, a, wait_ms);
    if (!err) {
        *id = a->device_id;
        *sleeping = a->sleeping;
    }
    ask_unref(a);
    return err;
}

enum err engine_forget(struct engine *e, struct str endpoint, uint32_t wait_ms)
{
    struct ask *a = ask_new(ASK_FORGET, endpoint);
    if (!a)
        return ERR_NOMEM;
    enum err err = ask_one(e, a, wait_ms);
    ask_unref(a);
    return err;
}

/* An ask that carries words for the timeline. */
static enum err ask_words(struct engine *e, enum ask_kind kind, struct str endpoint,
                          enum standing standing, const char *words, uint32_t wait_ms)
{
    struct ask *a = ask_new(kind, endpoint);
    if (!a)
        return ERR_NOMEM;
    a->standing = standing;
    a->text = strdup(words);
    enum err err = a->text ? ask_one(e, a, wait_ms) : ERR_NOMEM;
    ask_unref(a);
    return err;
}

enum err engine_add(struct engine *e, struct str endpoint, const char *words, uint32_t wait_ms)
{
    return ask_words(e, ASK_ADD, endpoint, STANDING_ACTIVE, words, wait_ms);
}

enum err engine_set_standing(struct engine *e, struct str endpoint, enum standing s,
                             const char *words, uint32_t wait_ms)
{
    return ask_words(e, ASK_STANDING, endpoint, s, words, wait_ms);
}

enum err engine_note(struct engine *e, struct str endpoint, const char *words, uint32_t wait_ms)
{
    return ask_words(e, ASK_NOTE, endpoint, STANDING_ACTIVE, words, wait_ms);
}

void engine_get_health(struct engine *e, struct engine_health *out)
{
    struct writer_state w;
    writer_get_state(e->writer, &w);
    *out = (struct engine_health){.sparkplug_up = mqtt_is_up(e->sp),
                                  .lwm2m_up = mqtt_is_up(e->lw),
                                  .database_up = w.up,
                                  .telemetry_paused = atomic_load(&e->paused),
                                  .telemetry_refused = atomic_load(&e->shedding)};
}

void engine_measure(struct engine *e)
{
    size_t waiting = 0;
    for (unsigned i = 0; i < e->n_shards; i++)
        waiting += mailbox_depth(e->shards[i].box);
    metric_set(e->metrics, M_Q_SHARD, (int64_t)waiting);
}

const struct lw_model *engine_model(const struct engine *e)
{
    return e->model;
}

/* ---- commands ---- */

enum err engine_command(struct engine *e, struct str endpoint, struct str id, struct str request,
                        struct str by, int64_t created_ms)
{
    struct letter_command *l;
    if (id.n >= sizeof l->id)
        return ERR_INVALID;
    l = malloc(sizeof *l + endpoint.n + request.n + by.n);
    if (!l)
        return ERR_NOMEM;
    *l = (struct letter_command){.letter.kind = LETTER_COMMAND, .created_ms = created_ms};
    char *at = (char *)(l + 1);
    memcpy(l->id, id.p, id.n);
    memcpy(at, endpoint.p, endpoint.n);
    memcpy(at + endpoint.n, request.p, request.n);
    if (by.n)
        memcpy(at + endpoint.n + request.n, by.p, by.n);
    l->endpoint = str_make(at, endpoint.n);
    l->request = str_make(at + endpoint.n, request.n);
    l->by = str_make(at + endpoint.n + request.n, by.n);
    /* The row is committed: a full mailbox must not leave it to the next restart. */
    enum err err = mailbox_force_put(shard_of(e, endpoint)->box, &l->letter.mail);
    if (err)
        free(l);
    return err;
}

enum err engine_command_cancel(struct engine *e, struct str endpoint, struct str id,
                               uint32_t wait_ms)
{
    struct ask *a = ask_new(ASK_CANCEL, endpoint);
    if (!a)
        return ERR_NOMEM;
    a->command_id = strndup(id.p, id.n);
    enum err err = a->command_id ? ask_one(e, a, wait_ms) : ERR_NOMEM;
    ask_unref(a);
    return err;
}

/* ---- live views ---- */

static enum err ask_everybody(struct engine *e, enum ask_kind kind, struct live_outbox *o,
                              struct live_sub *s, uint32_t wait_ms)
{
    struct ask **asks = calloc(e->n_shards, sizeof *asks);
    if (!asks)
        return ERR_NOMEM;
    enum err err = ask_all(e, kind, o, s, asks);
    if (!err && wait_ms)
        err = wait_all(asks, e->n_shards, wait_ms);
    asks_free(asks, e->n_shards);
    return err;
}

enum err engine_subscribe(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    return ask_everybody(e, ASK_SUBSCRIBE, o, s, 0);
}

enum err engine_resnapshot(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    return ask_everybody(e, ASK_RESNAPSHOT, o, s, 0);
}

void engine_unsubscribe(struct engine *e, struct live_outbox *o, struct live_sub *s)
{
    if (ask_everybody(e, ASK_UNSUBSCRIBE, o, s, 0))
        log_warn("engine.unsubscribe_failed", KV("sub", s->id));
}

void engine_leave(struct engine *e, struct live_outbox *o)
{
    enum err err = ask_everybody(e, ASK_LEAVE, o, NULL, 10000);
    if (err)
        log_warn("engine.leave_failed", KE(err));
}
