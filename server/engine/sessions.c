/* sessions.c - the two broker sessions and what their threads do: copy, pick the shard, put.
 *
 * Sparkplug host session: clean, STATE will and birth, QoS 0/1 telemetry; not read while samples
 * can be stored nowhere (flow.c).
 * LwM2M session: persistent, No Local; always read.
 * Messages of one wake-up travel together.  When a shard is full the session's thread waits, the
 * broker keeps the rest. */
#include "engine/command.h"
#include "engine/engine_int.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DRAIN_TOPIC "lwm2m/braid-lw/drain"

struct str route_name(struct str topic)
{
    struct str rest = topic, none = {NULL, 0};
    struct str first = str_cut(&rest, '/');
    if (str_is(first, SPB_NAMESPACE)) {
        struct str group = str_cut(&rest, '/');
        if (str_is(group, "STATE"))
            return none;
        str_cut(&rest, '/');
        return str_cut(&rest, '/');
    }
    while (!str_is(first, "lwm2m")) { /* [PREFIX/]lwm2m/... */
        if (!rest.p)
            return none;
        first = str_cut(&rest, '/');
    }
    struct str second = str_cut(&rest, '/');
    if (str_is(second, "rd") || str_is(second, "bs"))
        return rest;
    return second;
}

static bool is_own_state(const struct engine *e, struct str topic)
{
    return str_is(topic, e->host.topic);
}

static void publish_birth(struct engine *e, struct mqtt *m)
{
    struct buf payload;
    buf_init(&payload, 256);
    pthread_mutex_lock(&e->host_lock);
    spb_host_birth(&e->host, &payload);
    pthread_mutex_unlock(&e->host_lock);
    enum err err = mqtt_publish(m, str_of(e->host.topic), buf_view(&payload), 1, true, NULL);
    if (err)
        log_warn("sparkplug.state_not_published", KE(err));
    buf_fini(&payload);
}

static void handle_state(struct engine *e, struct mqtt *m, const struct mqtt_message *msg)
{
    metric_add(e->metrics, M_MSG_STATE, 1);
    pthread_mutex_lock(&e->host_lock);
    bool repeat = spb_host_must_repeat(&e->host, msg->topic, msg->payload);
    pthread_mutex_unlock(&e->host_lock);
    if (repeat && !atomic_load(&e->leaving)) /* not against our own farewell */
        publish_birth(e, m);
}

static bool copy_message(struct engine *e, struct gather *g, const struct mqtt_message *msg,
                         enum session session)
{
    bool too_big = msg->payload.n > PAYLOAD_MAX;
    size_t payload_n = too_big ? 0 : msg->payload.n;
    struct letter_mqtt *l = gather_add(g, msg->topic.n + payload_n);
    if (!l)
        return false;
    char *at = (char *)(l + 1);
    memcpy(at, msg->topic.p, msg->topic.n);
    if (payload_n)
        memcpy(at + msg->topic.n, msg->payload.p, payload_n);
    l->session = session;
    l->too_big = too_big;
    l->topic = str_make(at, msg->topic.n);
    l->payload = str_make(at + msg->topic.n, payload_n);
    if (session == SESSION_LWM2M && atomic_load(&e->lw_draining)) {
        l->drained = true;
        l->away_from_ms = atomic_load(&e->lw_away_from_ms);
    }
    return true;
}

static void send_gathered(struct engine *e, enum session session, unsigned shard)
{
    size_t n;
    if (gather_send(&e->gathered[session][shard], e->shards[shard].box, &n))
        metric_add(e->metrics, M_DROP_MAILBOX, (int64_t)n);
}

#define GATHER_MAX 1000 /* messages: a shard may begin with them while more is read */

static void on_message(struct engine *e, const struct mqtt_message *msg, enum session session)
{
    if (msg->retained) {
        metric_add(e->metrics, M_BAD_RETAINED, 1);
        return;
    }
    struct str name = route_name(msg->topic);
    if (!name.p || !name.n || name.n > NAME_MAX_BYTES) {
        metric_add(e->metrics, M_BAD_TOPIC, 1);
        return;
    }
    unsigned shard = shard_of(e, name)->index;
    struct gather *g = &e->gathered[session][shard];
    if (!copy_message(e, g, msg, session))
        metric_add(e->metrics, M_DROP_MAILBOX, 1);
    else if (g->n >= GATHER_MAX)
        send_gathered(e, session, shard);
}

static void send_all_gathered(struct engine *e, enum session session)
{
    for (unsigned i = 0; i < e->n_shards; i++)
        if (e->gathered[session][i].n)
            send_gathered(e, session, i);
}

static void sp_drained(void *ctx, struct mqtt *m)
{
    (void)m;
    send_all_gathered(ctx, SESSION_SPARKPLUG);
}

static void lw_drained(void *ctx, struct mqtt *m)
{
    (void)m;
    send_all_gathered(ctx, SESSION_LWM2M);
}

static void sp_refused(void *ctx, struct mqtt *m)
{
    (void)m;
    metric_add(((struct engine *)ctx)->metrics, M_BROKER_SP_DEAF, 1);
}

static void lw_refused(void *ctx, struct mqtt *m)
{
    (void)m;
    metric_add(((struct engine *)ctx)->metrics, M_BROKER_LW_DEAF, 1);
}

/* ---- Sparkplug session ---- */

static void sp_will(void *ctx, struct buf *topic, struct buf *payload, uint8_t *qos, bool *retain)
{
    struct engine *e = ctx;
    pthread_mutex_lock(&e->host_lock);
    spb_host_connect(&e->host, clock_utc_ms());
    buf_puts(topic, e->host.topic);
    spb_host_will(&e->host, payload);
    pthread_mutex_unlock(&e->host_lock);
    *qos = 1;
    *retain = true;
}

static void tell_shards(struct engine *e, enum session session, bool up, bool first)
{
    for (unsigned i = 0; i < e->n_shards; i++) {
        struct letter_broker *b = calloc(1, sizeof *b);
        if (!b)
            continue;
        *b = (struct letter_broker){
            .letter.kind = LETTER_BROKER, .session = session, .up = up, .first = first};
        if (mailbox_force_put(e->shards[i].box, &b->letter.mail))
            free(b);
    }
}

static void subscribe(struct mqtt *m, const char *filter, uint8_t qos, bool no_local)
{
    enum err err = mqtt_subscribe(m, filter, qos, no_local);
    if (err)
        log_warn("mqtt.subscribe_failed", KV("filter", filter), KE(err));
}

static void sp_connected(void *ctx, struct mqtt *m, bool session_present)
{
    struct engine *e = ctx;
    (void)session_present;
    metric_set(e->metrics, M_BROKER_SP_DEAF, 0);
    subscribe(m, e->host.topic, 1, false);
    subscribe(m, SPB_NAMESPACE "/#", 1, false);
    publish_birth(e, m); /* the first publish of the session */
    for (size_t i = 0; flow_sys_filters[i]; i++)
        subscribe(m, flow_sys_filters[i], 0, false);
    atomic_store(&e->sp_since_ms, clock_utc_ms());
    metric_set(e->metrics, M_BROKER_SP_UP, 1);
    bool seen = atomic_exchange(&e->sp_seen, true);
    if (seen)
        metric_add(e->metrics, M_BROKER_RECONNECTS, 1);
    tell_shards(e, SESSION_SPARKPLUG, true, !seen);
}

static void sp_disconnected(void *ctx, struct mqtt *m, const char *why)
{
    struct engine *e = ctx;
    (void)why;        /* logged by the session */
    sp_drained(e, m); /* what came before */
    metric_set(e->metrics, M_BROKER_SP_UP, 0);
    atomic_store(&e->sp_since_ms, clock_utc_ms());
    tell_shards(e, SESSION_SPARKPLUG, false, false);
}

static void sp_message(void *ctx, struct mqtt *m, const struct mqtt_message *msg)
{
    struct engine *e = ctx;
    if (str_starts(msg->topic, "$SYS/"))
        flow_sys(e, msg->topic, msg->payload);
    else if (is_own_state(e, msg->topic))
        handle_state(e, m, msg);
    else if (str_starts(msg->topic, SPB_NAMESPACE "/STATE/"))
        metric_add(e->metrics, M_MSG_STATE, 1); /* another host's */
    else
        on_message(e, msg, SESSION_SPARKPLUG);
}

/* ---- LwM2M session ---- */

static const char *const lw_words[] = {"reg",    "update", "upd",    "dereg",   "notify/+", "send",
                                       "resp/+", "lost",   "bs/req", "bs/pack", "bs/resp/+"};

static void lw_subscribe(struct engine *e, struct mqtt *m)
{
    char filter[160];
    for (size_t i = 0; i < sizeof lw_words / sizeof *lw_words; i++) {
        snprintf(filter, sizeof filter, "lwm2m/+/%s", lw_words[i]);
        subscribe(m, filter, 1, true);
    }
    const char *prefix = e->config->lwm2m_prefix;
    snprintf(filter, sizeof filter, "%s%slwm2m/rd/#", prefix, *prefix ? "/" : "");
    subscribe(m, filter, 1, true);
    if (*prefix)
        subscribe(m, "lwm2m/rd/#", 1, true);
}

/* What the broker kept for us arrives before a message we send to ourselves now. */
static void begin_drain(struct engine *e, struct mqtt *m)
{
    char serial[24];
    snprintf(serial, sizeof serial, "%" PRIu64, atomic_fetch_add(&e->drain_serial, 1) + 1);
    atomic_store(&e->lw_draining, true);
    subscribe(m, DRAIN_TOPIC, 1, false);
    if (mqtt_publish(m, str_of(DRAIN_TOPIC), str_of(serial), 1, false, NULL))
        atomic_store(&e->lw_draining, false);
}

static void lw_connected(void *ctx, struct mqtt *m, bool session_present)
{
    struct engine *e = ctx;
    atomic_store(&e->lw_draining, false); /* a drain cut off by a broker that forgot us is over */
    metric_set(e->metrics, M_BROKER_LW_DEAF, 0);
    if (session_present)
        begin_drain(e, m);
    if (!atomic_load(&e->lw_draining))
        atomic_store(&e->lw_hears_since, clock_mono_ms());
    lw_subscribe(e, m);
    for (size_t i = 0; flow_sys_filters[i]; i++)
        subscribe(m, flow_sys_filters[i], 0, false);
    atomic_store(&e->lw_since_ms, clock_utc_ms());
    metric_set(e->metrics, M_BROKER_LW_UP, 1);
    bool seen = atomic_exchange(&e->lw_seen, true);
    if (seen)
        metric_add(e->metrics, M_BROKER_RECONNECTS, 1);
    tell_shards(e, SESSION_LWM2M, true, !seen);
}

/* Message ids start anew with every connection: acks of the old one will never come. */
static void forget_pubacks(struct engine *e)
{
    size_t it = 0;
    pthread_mutex_lock(&e->puback_lock);
    for (void *p; (p = map_next(&e->pubacks, &it));)
        free(p);
    map_fini(&e->pubacks);
    pthread_mutex_unlock(&e->puback_lock);
}

static void lw_disconnected(void *ctx, struct mqtt *m, const char *why)
{
    struct engine *e = ctx;
    (void)why;        /* logged by the session */
    lw_drained(e, m); /* what came before */
    metric_set(e->metrics, M_BROKER_LW_UP, 0);
    atomic_store(&e->lw_hears_since, 0);
    forget_pubacks(e);
    int64_t now = clock_utc_ms();
    atomic_store(&e->lw_since_ms, now);
    if (!atomic_load(&e->lw_draining))
        atomic_store(&e->lw_away_from_ms, now);
    tell_shards(e, SESSION_LWM2M, false, false);
}

static void lw_message(void *ctx, struct mqtt *m, const struct mqtt_message *msg)
{
    struct engine *e = ctx;
    if (str_starts(msg->topic, "$SYS/")) {
        flow_sys(e, msg->topic, msg->payload);
        return;
    }
    if (!str_is(msg->topic, DRAIN_TOPIC)) {
        on_message(e, msg, SESSION_LWM2M);
        return;
    }
    uint64_t serial;
    if (str_to_u64(msg->payload, &serial) || serial != atomic_load(&e->drain_serial))
        return;
    lw_drained(e, m);
    atomic_store(&e->lw_draining, false);
    atomic_store(&e->lw_hears_since, clock_mono_ms());
}

/* ---- PUBACK reasons of commands ---- */

struct puback {
    int mid;
    struct letter_puback letter;
    struct shard *shard;
};

enum err sessions_send(struct engine *e, struct str topic, struct str payload,
                       const struct command *c)
{
    if (!c)
        return mqtt_publish(e->lw, topic, payload, 1, false, NULL);
    struct puback *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->letter.letter.kind = LETTER_PUBACK;
    p->letter.device_id = c->device->id;
    snprintf(p->letter.command_id, sizeof p->letter.command_id, "%s", c->id);
    p->shard = c->device->shard;
    /* The ack may arrive before mqtt_publish returns: the lock makes it wait for the table. */
    pthread_mutex_lock(&e->puback_lock);
    void *old = NULL;
    enum err err = mqtt_publish(e->lw, topic, payload, 1, false, &p->mid);
    if (!err)
        err = map_put_u64(&e->pubacks, (uint64_t)p->mid, p, &old);
    pthread_mutex_unlock(&e->puback_lock);
    free(old);
    if (err)
        free(p);
    return err;
}

static void lw_acked(void *ctx, struct mqtt *m, int mid, int reason)
{
    struct engine *e = ctx;
    (void)m;
    pthread_mutex_lock(&e->puback_lock);
    struct puback *p = map_remove_u64(&e->pubacks, (uint64_t)mid);
    pthread_mutex_unlock(&e->puback_lock);
    if (!p)
        return;
    if (reason >= 16) {
        struct letter_puback *l = malloc(sizeof *l);
        if (l) {
            *l = p->letter;
            l->reason = reason;
            if (mailbox_force_put(p->shard->box, &l->letter.mail))
                free(l);
        }
    }
    free(p);
}

/* ---- start and stop ---- */

enum err sessions_new(struct engine *e)
{
    const struct config *c = e->config;
    struct mqtt_options sp = {.name = "sparkplug",
                              .host = *c->mqtt_socket ? c->mqtt_socket : c->mqtt_host,
                              .port = (int)c->mqtt_port,
                              .client_id = c->mqtt_sp_username,
                              .username = c->mqtt_sp_username,
                              .password_file = c->mqtt_sp_password_file,
                              .ca_file = c->mqtt_tls_ca_file,
                              .cert_file = c->mqtt_sp_cert_file,
                              .key_file = c->mqtt_sp_key_file,
                              .keepalive_s = (int)c->mqtt_keepalive_s,
                              .clean_start = true};
    struct mqtt_options lw = sp;
    lw.name = "lwm2m";
    lw.client_id = lw.username = c->mqtt_lw_username;
    lw.password_file = c->mqtt_lw_password_file;
    lw.cert_file = c->mqtt_lw_cert_file;
    lw.key_file = c->mqtt_lw_key_file;
    lw.clean_start = false;
    lw.session_expiry_s = (uint32_t)c->mqtt_session_expiry_s;
    for (int i = 0; i < 2; i++)
        if (!(e->gathered[i] = calloc(e->n_shards, sizeof *e->gathered[i])))
            return ERR_NOMEM;
    const struct mqtt_handler sp_handler = {.ctx = e,
                                            .will = sp_will,
                                            .connected = sp_connected,
                                            .disconnected = sp_disconnected,
                                            .message = sp_message,
                                            .refused = sp_refused,
                                            .drained = sp_drained,
                                            .may_read = flow_may_read};
    const struct mqtt_handler lw_handler = {.ctx = e,
                                            .connected = lw_connected,
                                            .disconnected = lw_disconnected,
                                            .message = lw_message,
                                            .acked = lw_acked,
                                            .refused = lw_refused,
                                            .drained = lw_drained};
    enum err err = mqtt_new(&lw, &lw_handler, &e->lw);
    return err ? err : mqtt_new(&sp, &sp_handler, &e->sp);
}

enum err sessions_start(struct engine *e)
{
    publisher_open(e->publisher, e->lw);
    enum err err = mqtt_start(e->lw);
    return err ? err : mqtt_start(e->sp);
}

void sessions_stop(struct engine *e)
{
    if (e->sp) {
        struct buf payload;
        atomic_store(&e->leaving, true);
        buf_init(&payload, 256);
        pthread_mutex_lock(&e->host_lock);
        spb_host_death(&e->host, clock_utc_ms(), &payload);
        pthread_mutex_unlock(&e->host_lock);
        if (mqtt_publish(e->sp, str_of(e->host.topic), buf_view(&payload), 1, true, NULL))
            log_warn("sparkplug.state_death_not_published");
        buf_fini(&payload);
        mqtt_close(e->sp, 2000);
    }
    publisher_close(e->publisher);
    mqtt_close(e->lw, 2000);
}

void sessions_free(struct engine *e)
{
    mqtt_free(e->sp);
    mqtt_free(e->lw);
    e->sp = e->lw = NULL;
    for (int i = 0; i < 2; i++) {
        free(e->gathered[i]);
        e->gathered[i] = NULL;
    }
    forget_pubacks(e);
}
