/* lw_strand.c - LwM2M messages: choice of the dialect, the client's sink, answers after commit. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_oma(struct str topic)
{
    struct str rest = topic, level = str_cut(&rest, '/');
    while (!str_is(level, "lwm2m") && rest.p)
        level = str_cut(&rest, '/');
    level = str_cut(&rest, '/');
    return str_is(level, "rd") || str_is(level, "bs");
}

/* Writes `d` as the dialect wants it; in the oma dialect below the prefix the device uses. */
static enum err encode(enum lw_dialect dialect, struct str prefix, struct str endpoint,
                       const struct lw_downlink *d, struct buf *topic, struct buf *payload)
{
    struct lw_downlink prefixed = *d;
    prefixed.prefix = prefix;
    enum err e = dialect == LW_DIALECT_JSON ? msg_json_encode(endpoint, d, topic, payload)
                                            : msg_oma_encode(endpoint, &prefixed, topic, payload);
    if (!e)
        e = topic->err ? topic->err : payload->err;
    return e;
}

static void publish(struct engine *e, enum lw_dialect dialect, struct str prefix,
                    struct str endpoint, const struct lw_downlink *d)
{
    struct buf topic, payload;
    buf_init(&topic, 1024);
    buf_init(&payload, PAYLOAD_MAX);
    enum err err = encode(dialect, prefix, endpoint, d, &topic, &payload);
    if (!err)
        err = mqtt_publish(e->lw, buf_view(&topic), buf_view(&payload), 1, false, NULL);
    if (err) {
        metric_add(e->metrics, M_DROP_PUBLISH, 1);
        log_warn("lwm2m.not_published", KS("endpoint", endpoint), KE(err));
    }
    buf_fini(&topic);
    buf_fini(&payload);
}

/* ---- the client's sink ---- */

/* A Send is acknowledged when its values are durable; they are in the batch already. */
static enum err ack_when_stored(struct device *dev, const struct lw_downlink *ack, struct str topic,
                                struct str payload)
{
    struct lw_downlink refusal = *ack;
    struct buf topic2, payload2;
    refusal.code = LW_INTERNAL;
    refusal.error = str_of("the values could not be stored");
    buf_init(&topic2, 1024);
    buf_init(&payload2, 4096);
    struct batch *b = samples_batch(dev->shard);
    struct publisher_job *job = NULL;
    enum err err = b ? encode((enum lw_dialect)dev->asking, str_of(dev->prefix),
                              str_of(dev->endpoint), &refusal, &topic2, &payload2)
                     : ERR_NOMEM;
    if (!err && !(job = publisher_later(dev->shard->engine->publisher, topic, payload,
                                        buf_view(&payload2))))
        err = ERR_NOMEM;
    if (!err)
        err = batch_on_durable(b, publisher_done, job);
    if (err)
        publisher_drop(job);
    buf_fini(&topic2);
    buf_fini(&payload2);
    return err;
}

static enum err sink_send(void *ctx, const struct lw_downlink *d)
{
    struct device *dev = ctx;
    struct engine *e = dev->shard->engine;
    const struct lw_registration *r = lw_client_registration(dev->lw);
    bool back = d->op == LW_DOWN_ACK || r->state != LW_REG_REGISTERED;
    struct lw_downlink refusal = *d;
    struct buf topic, payload;
    if (d->op == LW_DOWN_ACK && d->ack_of == LW_UP_SEND && lw_code_ok(d->code) &&
        dev->shard->refused_now) { /* there was no room for some of them */
        refusal.code = LW_INTERNAL;
        refusal.error = str_of("the values could not be stored");
        d = &refusal;
    }
    buf_init(&topic, 1024);
    buf_init(&payload, PAYLOAD_MAX);
    enum err err = encode(back ? (enum lw_dialect)dev->asking : r->dialect, str_of(dev->prefix),
                          str_of(dev->endpoint), d, &topic, &payload);
    if (!err && d->op == LW_DOWN_ACK && d->ack_of == LW_UP_SEND && lw_code_ok(d->code))
        err = ack_when_stored(dev, d, buf_view(&topic), buf_view(&payload));
    else if (!err)
        err = sessions_send(e, buf_view(&topic), buf_view(&payload),
                            d->op == LW_DOWN_ACK ? NULL : dev->shard->sending);
    buf_fini(&topic);
    buf_fini(&payload);
    if (err && err != ERR_UNSUPPORTED)
        metric_add(e->metrics, M_DROP_PUBLISH, 1);
    return err;
}

static void registration_params(struct device *d, struct params *p)
{
    const struct lw_registration *r = lw_client_registration(d->lw);
    params_i64(p, d->id);
    params_text(p, lw_reg_state_word(r->state));
    params_text(p, r->dialect == LW_DIALECT_JSON ? "json" : "oma");
    params_text(p, r->version);
    params_i64(p, r->lifetime);
    params_text(p, r->binding);
    params_bool(p, r->queue_mode);
    params_text(p, r->links ? r->links : "");
    params_i64(p, r->registered_ms);
    params_i64(p, r->updated_ms);
    params_ms(p, r->expires_ms);
}

/* An acknowledgement that waits for its row; the shard hears when it is out. */
struct acked {
    struct mailbox *box; /* referenced: the writer outlives the engine */
    struct letter_acked *letter;
    struct publisher_job *job;
};

static void acked_free(struct acked *a)
{
    if (!a)
        return;
    mailbox_free(a->box);
    free(a->letter);
    free(a);
}

static void on_acked(void *arg, enum err result) /* writer's thread */
{
    struct acked *a = arg;
    publisher_done(a->job, result);
    if (!mailbox_force_put(a->box, &a->letter->letter.mail))
        a->letter = NULL;
    acked_free(a);
}

static struct acked *acked_new(struct device *d, struct publisher_job *job)
{
    struct acked *a = calloc(1, sizeof *a);
    struct letter_acked *l = calloc(1, sizeof *l);
    if (!a || !l) {
        free(a);
        free(l);
        return NULL;
    }
    l->letter.kind = LETTER_ACKED;
    l->device_id = d->id;
    *a = (struct acked){mailbox_ref(d->shard->box), l, job};
    return a;
}

static enum err put_then_ack(struct device *d, const struct params *p, struct publisher_job *job)
{
    struct acked *a = acked_new(d, job);
    enum err e =
        a ? writer_put(d->shard->engine->writer, ST_REGISTRATION_PUT, p->v, p->n, on_acked, a)
          : ERR_NOMEM;
    if (e)
        acked_free(a);
    else
        d->acks++;
    return e;
}

/* The ack goes out when the row is durable; if the row is refused, 5.00 goes out instead. */
static void persist_then_ack(struct device *d, const struct lw_downlink *ack)
{
    struct engine *e = d->shard->engine;
    struct params p = {.n = 0};
    registration_params(d, &p);
    if (!ack) {
        params_put(e, ST_REGISTRATION_PUT, &p);
        return;
    }
    struct lw_downlink refusal = *ack;
    refusal.code = LW_INTERNAL;
    refusal.error = str_of("the registration could not be stored");
    enum lw_dialect dialect = lw_client_registration(d->lw)->dialect;
    struct buf topic, payload, topic2, payload2;
    buf_init(&topic, 1024);
    buf_init(&payload, 4096);
    buf_init(&topic2, 1024);
    buf_init(&payload2, 4096);
    struct publisher_job *job = NULL;
    if (!encode(dialect, str_of(d->prefix), str_of(d->endpoint), ack, &topic, &payload) &&
        !encode(dialect, str_of(d->prefix), str_of(d->endpoint), &refusal, &topic2, &payload2))
        job = publisher_later(e->publisher, buf_view(&topic), buf_view(&payload),
                              buf_view(&payload2));
    enum err err = job ? put_then_ack(d, &p, job) : ERR_NOMEM;
    if (err) {
        log_error("lwm2m.registration_not_stored", KV("endpoint", d->endpoint), KE(err));
        if (job)
            publisher_done(job, err);
    }
    buf_fini(&topic);
    buf_fini(&payload);
    buf_fini(&topic2);
    buf_fini(&payload2);
}

/* " (sent between T1 and T2, while Braid was away)" for drained messages. */
static void drained_words(const struct shard *s, char *out, size_t size)
{
    char from[CLOCK_TEXT], to[CLOCK_TEXT];
    out[0] = '\0';
    if (!s->drained)
        return;
    clock_rfc3339(s->now.utc_ms, to);
    if (s->away_from_ms) {
        clock_rfc3339(s->away_from_ms, from);
        snprintf(out, size, " (sent between %s and %s, while Braid was away)", from, to);
    } else {
        snprintf(out, size, " (sent before %s, while Braid was away)", to);
    }
}

static void sink_registration(void *ctx, enum lw_client_event ev, const struct lw_downlink *ack,
                              struct moment now)
{
    struct device *d = ctx;
    const struct lw_registration *r = lw_client_registration(d->lw);
    char when[128];
    (void)now;
    d->judge = true;
    drained_words(d->shard, when, sizeof when);
    switch (ev) {
    case LW_EV_REGISTERED:
    case LW_EV_REREGISTERED:
        timeline_addf(d, ev == LW_EV_REGISTERED ? TL_REGISTERED : TL_REREGISTERED,
                      "Registered for %u s, LwM2M %s over the %s dialect%s", r->lifetime,
                      r->version, r->dialect == LW_DIALECT_JSON ? "json" : "oma", when);
        break;
    case LW_EV_UPDATED:
        break; /* routine; the evidence shows it */
    case LW_EV_DEREGISTERED:
        timeline_addf(d, TL_DEREGISTERED, "De-registered%s", when);
        break;
    case LW_EV_EXPIRED:
        timeline_addf(d, TL_EXPIRED, "Registration expired: no update within %u s", r->lifetime);
        break;
    case LW_EV_LOST:
        timeline_addf(d, TL_LOST, "Connection lost (the broker sent the device's will)%s", when);
        if (!d->shard->drained)
            device_died(d, "lost");
        return;
    }
    persist_then_ack(d, ack);
    device_mark_row(d);
}

static void sink_values(void *ctx, const struct lw_entries *values, enum lw_source source,
                        struct moment now)
{
    (void)now;
    resources_take(ctx, values, source);
}

static void sink_answer(void *ctx, const struct lw_answer *a, struct moment now)
{
    (void)now;
    commands_answer(ctx, a);
}

static void observation_words(const struct lw_observation *o, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < o->n_paths && n < size; i++) {
        char path[LW_PATH_TEXT];
        lw_path_text(o->paths[i], path);
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", path);
    }
}

static void sink_observation(void *ctx, const struct lw_observation *o, const char *ended,
                             struct moment now)
{
    struct device *d = ctx;
    char paths[CMD_PATHS_MAX * LW_PATH_TEXT];
    struct params p = {.n = 0};
    (void)now;
    observation_words(o, paths, sizeof paths);
    params_i64(&p, d->id);
    params_text(&p, o->token.text);
    if (ended) {
        params_put(d->shard->engine, ST_OBSERVATION_DELETE, &p);
        timeline_addf(d, TL_OBSERVE_END, "Observation of %s ended: %s", paths, ended);
    } else {
        params_text(&p, paths);
        params_bool(&p, o->composite);
        params_i64(&p, o->since_ms);
        params_put(d->shard->engine, ST_OBSERVATION_PUT, &p);
        timeline_addf(d, TL_OBSERVE_START, "Observing %s", paths);
    }
    device_mark_row(d);
}

static void sink_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    struct device *d = ctx;
    (void)now;
    bad_input(d->shard, d, e, words);
}

static const struct lw_client_sink sink = {.send = sink_send,
                                           .registration = sink_registration,
                                           .values = sink_values,
                                           .answer = sink_answer,
                                           .observation = sink_observation,
                                           .anomaly = sink_anomaly};

enum err lw_strand_attach(struct device *d)
{
    d->lw =
        lw_client_new(d->shard->engine->model, &d->shard->words, &sink, d, shard_random(d->shard));
    return d->lw ? ERR_OK : ERR_NOMEM;
}

/* ---- messages ---- */

struct kind {
    enum metric metric;
    const char *evidence; /* NULL: no sign of life */
    const char *word;     /* topic word of the json ack */
};

static const struct kind kinds[] = {
    [LW_UP_REGISTER] = {M_MSG_REGISTER, "register", "reg"},
    [LW_UP_UPDATE] = {M_MSG_UPDATE, "update", "update"},
    [LW_UP_DEREGISTER] = {M_MSG_DEREGISTER, "deregister", "dereg"},
    [LW_UP_NOTIFY] = {M_MSG_NOTIFY, "notify", NULL},
    [LW_UP_SEND] = {M_MSG_SEND, "send", "send"},
    [LW_UP_RESPONSE] = {M_MSG_RESPONSE, "response", NULL},
    [LW_UP_LOST] = {M_MSG_LOST, NULL, NULL},
    [LW_UP_BS_REQUEST] = {M_MSG_BS, "bootstrap", "bs"},
    [LW_UP_BS_PACK] = {M_MSG_BS, "bootstrap", "bs"},
    [LW_UP_BS_RESPONSE] = {M_MSG_BS, "bootstrap", NULL},
};

/* Answers an uplink of somebody who has no client here (or whose message was refused). */
static void refuse(struct engine *e, enum lw_dialect dialect, const struct lw_uplink *u,
                   lw_code code, const char *words)
{
    if (!u->endpoint.p || lw_endpoint_check(u->endpoint) || !kinds[u->kind].word)
        return; /* names that are never issued get no word back */
    struct lw_downlink ack = {.op = LW_DOWN_ACK,
                              .token = u->token,
                              .ack_of = u->kind,
                              .ack_word = u->word.p ? u->word : str_of(kinds[u->kind].word),
                              .ct = LW_CT_NONE,
                              .depth = -1,
                              .code = code,
                              .error = str_of(words)};
    publish(e, dialect, u->prefix, u->endpoint, &ack);
}

static lw_code refusal_code(enum err e)
{
    switch (e) {
    case ERR_DENIED:
        return LW_FORBIDDEN;
    case ERR_TOOBIG:
        return LW_TOO_LARGE;
    case ERR_UNSUPPORTED:
        return LW_NOT_IMPLEMENTED;
    case ERR_NOMEM:
        return LW_UNAVAILABLE;
    default:
        return LW_BAD_REQUEST;
    }
}

/* The device of an uplink; refusals are answered here.  NULL: nothing more to do. */
static struct device *receiver(struct shard *s, enum lw_dialect dialect, const struct lw_uplink *u)
{
    struct device *d = device_find(s, u->endpoint);
    if (!d && u->kind >= LW_UP_BS_REQUEST) {
        bad_input(s, NULL, ERR_UNSUPPORTED, "bootstrap");
        refuse(s->engine, dialect, u,
               u->kind == LW_UP_BS_PACK ? LW_NOT_IMPLEMENTED : LW_BAD_REQUEST,
               "this server has no bootstrap configuration for you");
        return NULL;
    }
    if (!d && u->kind != LW_UP_REGISTER) {
        refuse(s->engine, dialect, u, LW_NOT_FOUND, "not registered");
        return NULL;
    }
    if (!d) {
        enum err e = device_admit(s, u->endpoint, &d);
        if (e) {
            if (e != ERR_CLOSED && e != ERR_AGAIN) /* admission counts itself */
                bad_input(s, NULL, e, "identity refused");
            if (e == ERR_AGAIN || e == ERR_NOMEM)
                refuse(s->engine, dialect, u, LW_UNAVAILABLE, "too many new devices: try again");
            else
                refuse(s->engine, dialect, u, LW_FORBIDDEN, "this endpoint is not admitted");
            return NULL;
        }
    }
    if (!d->lw && lw_strand_attach(d)) {
        refuse(s->engine, dialect, u, LW_UNAVAILABLE, "out of memory");
        return NULL;
    }
    return d;
}

/* A suspended or retired name: answered 4.03 and counted.  Its death is still news. */
static bool blocked(struct shard *s, enum lw_dialect dialect, const struct lw_uplink *u)
{
    enum standing standing = shard_standing(s, u->endpoint);
    if (standing == STANDING_ACTIVE || u->kind == LW_UP_LOST)
        return false;
    metric_add(s->engine->metrics, M_BAD_BLOCKED, 1);
    refuse(s->engine, dialect, u, LW_FORBIDDEN,
           standing == STANDING_RETIRED ? "this identity is retired"
                                        : "this identity is suspended");
    return true;
}

static void malformed(struct shard *s, enum lw_dialect dialect, const struct lw_uplink *u,
                      struct str name, enum err e)
{
    struct device *d = device_find(s, u->endpoint.p ? u->endpoint : name);
    bad_input(s, d, e, "A malformed LwM2M message was refused");
    if (d)
        device_settle(d);
    refuse(s->engine, dialect, u, refusal_code(e), err_word(e));
}

void lw_strand_message(struct shard *s, const struct letter_mqtt *m)
{
    struct lw_uplink u = {0};
    enum lw_dialect dialect = is_oma(m->topic) ? LW_DIALECT_OMA : LW_DIALECT_JSON;
    struct str name = route_name(m->topic);
    enum err e = m->too_big ? ERR_TOOBIG
                 : dialect == LW_DIALECT_JSON
                     ? msg_json_decode(&s->scratch, m->topic, m->payload, &u)
                     : msg_oma_decode(&s->scratch, m->topic, m->payload, &u);
    if (e == ERR_NOTFOUND) { /* an echo of ours on a shared topic, or nobody's word */
        if (dialect == LW_DIALECT_JSON)
            metric_add(s->engine->metrics, M_BAD_TOPIC, 1);
        return;
    }
    if (e) {
        malformed(s, dialect, &u, name, e);
        return;
    }
    metric_add(s->engine->metrics, kinds[u.kind].metric, 1);
    if (blocked(s, dialect, &u))
        return;
    struct device *d = receiver(s, dialect, &u);
    if (!d)
        return;
    if (kinds[u.kind].evidence)
        device_heard(d, false, kinds[u.kind].evidence);
    d->asking = (uint8_t)dialect;
    device_set_text(d, &d->prefix, u.prefix);
    lw_client_uplink(d->lw, dialect, &u, &s->scratch, s->now);
    if (kinds[u.kind].evidence)
        commands_flush(d);
    device_settle(d);
}
