/* device.c - see device.h.
 *
 * Connection: mqtt_client -> up: subscribe -> ready: register and birth -> timers run until down.
 * Four timers: `tick` (1 s: retries, notifications), `telemetry` (Sparkplug data), `report` (LwM2M
 * Send) and `chapter` (one message of history); `again` brings back what went away on purpose.
 *
 * A sleeper keeps its connection but acts only while awake: telemetry wakes it, and every message
 * it says keeps it awake for AWAKE_MS, as the standard's MAX_TRANSMIT_WAIT asks.  Of its own accord
 * it speaks only right after waking (BUSY_MS), or it would never fall asleep.  What arrives while
 * it sleeps waits in `mail`. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "http_get.h"
#include "lwm2m_client.h"
#include "lwm2m_wire.h"
#include "mailbag.h"
#include "mqtt_client.h"
#include "past.h"
#include "spb_edge.h"
#include "state_file.h"

#define AWAKE_MS      93000
#define BUSY_MS       10000
#define SLEEP_S       170 /* a sleeper's telemetry comes no more often */
#define KEEP_ALIVE_S  30
#define REBOOT_MS     2500
#define CLOCK_SKEW_MS INT64_C(10800000)
#define GAP_EVERY     4 /* messages between two gaps */
#define GROUP_CLASH   "sim-b"
#define MESSAGE_MAX   ((size_t)1 << 20)

const char *const scenario_words[SCENARIO_COUNT] = {
#define X(id, word) word,
    SCENARIO_TABLE(X)
#undef X
};

struct device {
    struct device_env *env;
    size_t index;
    char identity[65];
    char *password; /* owned; NULL: none */
    const struct desc_kind *kind;
    enum lw_dialect dialect;
    uint64_t seed;
    struct mqtt_client *mqtt;
    struct lwm2m_client *lwm2m;
    struct spb_edge *edge;
    struct spb_edge *twin; /* SCENARIO_CLASH: the other group's */
    struct http_get *fetch;
    struct loop_timer tick, telemetry, report, chapter, again;
    struct device_state state;
    struct past past;
    struct mailbag mail;
    uint64_t awake_until, busy_until;
    uint64_t reported_ms; /* when the last Send was due */
    int64_t last_data_ms; /* UTC of the newest data message; 0: none in this power cycle */
    uint64_t sent_bytes, heard_bytes;
    unsigned gap_count;
    enum scenario scenario;
    bool fresh;                       /* the next connection is that of a device just switched on */
    bool was_ready;                   /* env->ready was called */
    bool connected, registered, born; /* as counted in stats */
    bool rebooting, disabled, stopping;
};

static struct str ident(const struct device *d)
{
    return str_of(d->identity);
}

static struct moment now_of(const struct device *d)
{
    return (struct moment){.mono_ms = loop_now(d->env->loop), .utc_ms = clock_utc_ms()};
}

static struct arena *scratch(struct device *d)
{
    arena_reset(&d->env->scratch);
    return &d->env->scratch;
}

/* Keeps a gauge of the fleet in step with a flag of the device. */
static void count_flag(_Atomic uint64_t *gauge, bool *flag, bool value)
{
    if (*flag == value)
        return;
    *flag = value;
    if (value)
        atomic_fetch_add(gauge, 1);
    else
        atomic_fetch_sub(gauge, 1);
}

static void update_counts(struct device *d)
{
    struct stats *s = d->env->stats;
    count_flag(&s->connected, &d->connected, mqtt_client_is_up(d->mqtt));
    count_flag(&s->registered, &d->registered,
               d->connected && lwm2m_client_is_registered(d->lwm2m));
    count_flag(&s->born, &d->born, d->connected && spb_edge_is_born(d->edge));
    if (d->registered && d->born && !d->was_ready) {
        d->was_ready = true;
        d->env->ready(d->env->ctx, ident(d));
    }
}

/* ---- saying something ---- */

static bool publish(struct device *d, struct str topic, struct str payload, uint8_t qos)
{
    if (mqtt_client_publish(d->mqtt, topic, payload, qos) != ERR_OK) {
        atomic_fetch_add(&d->env->stats->dropped, 1);
        return false;
    }
    atomic_fetch_add(&d->env->stats->published, 1);
    d->sent_bytes += topic.n + payload.n;
    d->awake_until = loop_now(d->env->loop) + AWAKE_MS;
    return true;
}

static void on_spb(void *ctx, const struct spb_message *m)
{
    struct device *d = ctx;
    struct stats *s = d->env->stats;
    struct spb_topic t;
    if (!publish(d, m->topic, m->payload, m->qos))
        return;
    atomic_fetch_add(&s->metrics_sent, m->metrics);
    atomic_fetch_add(&s->historical_sent, m->historical);
    if (spb_topic_parse(m->topic, &t) != ERR_OK)
        return;
    if (t.kind == SPB_NDATA || t.kind == SPB_DDATA)
        atomic_fetch_add(&s->data_sent, 1);
    if (t.kind == SPB_NBIRTH || t.kind == SPB_DBIRTH)
        atomic_fetch_add(&s->births_sent, 1);
}

static void count_uplink(struct stats *s, const struct lw_uplink *u)
{
    if (u->kind == LW_UP_RESPONSE)
        atomic_fetch_add(&s->commands_answered, 1);
    else if (u->kind == LW_UP_NOTIFY)
        atomic_fetch_add(&s->notifies, 1);
    else if (u->kind == LW_UP_SEND)
        atomic_fetch_add(&s->sends, 1);
}

static void on_lwm2m(void *ctx, const struct lw_uplink *u, struct lw_path base)
{
    struct device *d = ctx;
    struct buf topic, payload;
    buf_init(&topic, 256);
    buf_init(&payload, MESSAGE_MAX);
    enum err e = lwm2m_wire_encode(d->dialect, u, base, &topic, &payload);
    if (e)
        log_warn("lwm2m.cannot_say", KS("device", ident(d)), KI("kind", u->kind), KE(e));
    else if (publish(d, buf_view(&topic), buf_view(&payload), 1))
        count_uplink(d->env->stats, u);
    buf_fini(&topic);
    buf_fini(&payload);
}

/* ---- timers ---- */

static uint64_t telemetry_ms(const struct device *d)
{
    uint64_t s = d->env->options->telemetry_s;
    if (d->kind->sleeper)
        s = s * 3 > SLEEP_S ? s * 3 : SLEEP_S;
    return s * 1000;
}

static void arm(struct device *d, struct loop_timer *t, uint64_t in_ms)
{
    loop_arm(d->env->loop, t, loop_now(d->env->loop) + in_ms);
}

static bool is_awake(const struct device *d)
{
    return !d->kind->sleeper || loop_now(d->env->loop) < d->awake_until;
}

static void save(struct device *d)
{
    enum err e = state_save(d->env->options->state_dir, ident(d), &d->state);
    if (e)
        log_warn("sim.state_not_saved", KS("device", ident(d)), KE(e));
}

static void obey(struct device *d, unsigned effects);

static void on_tick(void *ctx)
{
    struct device *d = ctx;
    arm(d, &d->tick, 1000);
    if (d->kind->sleeper && loop_now(d->env->loop) >= d->busy_until)
        return;
    obey(d, lwm2m_client_tick(d->lwm2m, scratch(d), now_of(d)));
    update_counts(d);
}

/* Traffic counters of /7/0, in kB as the object has them. */
static void show_traffic(struct device *d)
{
    struct tree *t = lwm2m_client_tree(d->lwm2m);
    struct lw_value tx = {.type = LW_INTEGER, .i = (int64_t)(d->sent_bytes / 1000)};
    struct lw_value rx = {.type = LW_INTEGER, .i = (int64_t)(d->heard_bytes / 1000)};
    if (!tree_find(t, lw_path_of(3, 7, 0, 2, 0)))
        return;
    if (tree_set(t, lw_path_of(3, 7, 0, 2, 0), tx) == ERR_OK)
        (void)!tree_set(t, lw_path_of(3, 7, 0, 3, 0), rx);
}

static void say_data(struct device *d)
{
    int64_t utc = clock_utc_ms();
    if (d->scenario == SCENARIO_GAP && ++d->gap_count % GAP_EVERY == 0)
        spb_edge_skip(d->edge, 3);
    spb_edge_data(d->edge, scratch(d), utc);
    if (d->twin)
        spb_edge_data(d->twin, scratch(d), utc);
    d->last_data_ms = utc;
}

static void read_mail(struct device *d);

static void say_report(struct device *d)
{
    d->reported_ms = loop_now(d->env->loop);
    lwm2m_client_send(d->lwm2m, scratch(d), now_of(d));
}

static void wake(struct device *d)
{
    uint64_t now = loop_now(d->env->loop);
    d->awake_until = now + AWAKE_MS;
    d->busy_until = now + BUSY_MS;
}

static void on_telemetry(void *ctx)
{
    struct device *d = ctx;
    struct moment now = now_of(d);
    bool report_due = now.mono_ms - d->reported_ms >= d->env->options->lwm2m_s * 1000;
    arm(d, &d->telemetry, telemetry_ms(d));
    lwm2m_client_sample(d->lwm2m, now);
    show_traffic(d);
    wake(d);
    say_data(d);
    if (d->kind->sleeper && report_due)
        say_report(d);
    read_mail(d);
}

static void on_report(void *ctx)
{
    struct device *d = ctx;
    arm(d, &d->report, d->env->options->lwm2m_s * 1000);
    say_report(d);
}

static void on_chapter(void *ctx)
{
    struct device *d = ctx;
    struct past_chapter c = {0};
    if (!mqtt_client_is_up(d->mqtt) || !spb_edge_is_born(d->edge))
        return;
    if (past_next(&d->past, spb_edge_history_metrics(d->edge), &c))
        spb_edge_history(d->edge, scratch(d), c.from_ms, c.step_ms, c.n, clock_utc_ms());
    if (c.n && past_is_open(&d->past)) {
        arm(d, &d->chapter, past_pause_ms(d->env->options->count));
    } else if (!d->state.history_sent) {
        d->state.history_sent = true;
        save(d);
    }
}

/* What the past still owes: a day at the very first start, or the time without a connection. */
static void plan_past(struct device *d)
{
    uint64_t pause = past_pause_ms(d->env->options->count);
    if (d->env->options->no_history)
        return;
    if (!d->state.history_sent)
        past_plan_day(&d->past, clock_utc_ms());
    else
        past_plan_gap(&d->past, d->last_data_ms, clock_utc_ms(), (int64_t)telemetry_ms(d));
    if (past_is_open(&d->past))
        arm(d, &d->chapter, 1000 + d->seed % pause);
}

static void start_timers(struct device *d)
{
    uint64_t t = telemetry_ms(d), r = d->env->options->lwm2m_s * 1000;
    uint64_t phase = t < 60000 ? t : 60000;
    arm(d, &d->tick, 200 + d->seed % 800);
    /* Spread over the period, so that a fleet does not speak in chorus. */
    arm(d, &d->telemetry, phase / 4 + d->seed % phase);
    if (!d->kind->sleeper)
        arm(d, &d->report, r / 4 + (d->seed >> 16) % r);
    wake(d);
}

static void stop_timers(struct device *d)
{
    struct loop_timer *all[] = {&d->tick, &d->telemetry, &d->report, &d->chapter};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        loop_cancel(d->env->loop, all[i]);
}

/* ---- firmware ---- */

static void on_fetched(void *ctx, enum fw_result why, const struct fw_image *image)
{
    struct device *d = ctx;
    d->fetch = NULL;
    log_info("firmware.fetched", KS("device", ident(d)), KI("result", why),
             KI("bytes", image->size));
    lwm2m_client_downloaded(d->lwm2m, why, image, now_of(d));
}

static void fetch_firmware(struct device *d)
{
    const char *uri = lwm2m_client_firmware(d->lwm2m)->uri;
    http_get_abort(d->fetch);
    d->fetch = NULL;
    log_info("firmware.fetch", KS("device", ident(d)), KV("uri", uri));
    if (http_get_start(d->env->loop, uri, on_fetched, d, &d->fetch) != ERR_OK) {
        struct fw_image none = {0};
        lwm2m_client_downloaded(d->lwm2m, FW_NO_RAM, &none, now_of(d));
    }
}

/* The device goes off in the middle of a download: it is lost. */
static void stop_fetch(struct device *d)
{
    struct fw_image none = {0};
    if (!d->fetch)
        return;
    http_get_abort(d->fetch);
    d->fetch = NULL;
    lwm2m_client_downloaded(d->lwm2m, FW_CONNECTION_LOST, &none, now_of(d));
}

/* A new version outlives the process. */
static void remember_firmware(struct device *d)
{
    struct lw_value v;
    if (!tree_read(lwm2m_client_tree(d->lwm2m), lw_path_of(3, 3, 0, 3, 0), 0, &v) ||
        v.type != LW_STRING || v.s.n > FW_VERSION_MAX || str_is(v.s, d->state.firmware) ||
        lwm2m_client_firmware(d->lwm2m)->result != FW_SUCCESS)
        return;
    snprintf(d->state.firmware, sizeof d->state.firmware, "%.*s", STR_ARG(v.s));
    save(d);
}

/* ---- effects of commands ---- */

static void reboot(struct device *d)
{
    log_info("device.reboot", KS("device", ident(d)));
    stop_fetch(d);
    d->rebooting = true;
    d->disabled = false; /* whatever it was told before: it registers when it is back */
    /* The answer goes out first; then the device is really away for a moment. */
    arm(d, &d->again, 300);
}

static void obey(struct device *d, unsigned effects)
{
    if (effects & LWM2M_ABORT) {
        http_get_abort(d->fetch);
        d->fetch = NULL;
    }
    if (effects & LWM2M_DOWNLOAD)
        fetch_firmware(d);
    if (effects & LWM2M_FACTORY_RESET) {
        enum err e = lwm2m_client_factory_reset(d->lwm2m);
        if (e)
            log_error("device.reset_failed", KS("device", ident(d)), KE(e));
    }
    if (effects & LWM2M_CHANGED && is_awake(d))
        spb_edge_data(d->edge, &d->env->scratch, clock_utc_ms());
    if (effects & LWM2M_DISABLE) {
        d->disabled = true;
        lwm2m_client_deregister(d->lwm2m);
        arm(d, &d->again, (uint64_t)lwm2m_client_disable_s(d->lwm2m) * 1000);
    }
    if (effects & LWM2M_REBOOT) {
        remember_firmware(d);
        reboot(d);
    }
}

static void on_again(void *ctx)
{
    struct device *d = ctx;
    if (d->rebooting && mqtt_client_is_up(d->mqtt)) {
        spb_edge_death(d->edge, clock_utc_ms());
        mqtt_client_close(d->mqtt);
    } else if (d->rebooting) {
        d->rebooting = false; /* the connection broke meanwhile: that will do */
        d->fresh = true;
    } else if (d->disabled) {
        d->disabled = false;
        if (mqtt_client_is_up(d->mqtt))
            lwm2m_client_up(d->lwm2m, scratch(d), true, now_of(d));
    }
}

/* ---- what arrives ---- */

static void take_lwm2m(struct device *d, struct arena *a, struct str topic, struct str payload)
{
    struct lw_downlink down;
    enum err e =
        lwm2m_wire_decode(d->dialect, a, topic, payload, description_typer(d->env->desc), &down);
    if (e == ERR_NOTFOUND && d->dialect == LW_DIALECT_OMA)
        return; /* the echo of our own message */
    if (e) {
        atomic_fetch_add(&d->env->stats->bad_downlinks, 1);
        log_warn("lwm2m.bad_downlink", KS("device", ident(d)), KS("topic", topic), KE(e));
        if (down.token.text[0] && down.op != LW_DOWN_ACK) {
            struct lw_uplink u = {.kind = LW_UP_RESPONSE,
                                  .word = STR("resp"),
                                  .endpoint = ident(d),
                                  .token = down.token,
                                  .code = LW_BAD_REQUEST,
                                  .ct = LW_CT_NONE,
                                  .pct = LW_CT_NONE,
                                  .error = str_of(err_word(e))};
            on_lwm2m(d, &u, lw_path_of(0, 0, 0, 0, 0));
        }
        return;
    }
    obey(d, lwm2m_client_handle(d->lwm2m, a, &down, now_of(d)));
}

static void take_sparkplug(struct device *d, struct arena *a, struct str topic, struct str payload)
{
    unsigned effects = 0;
    enum err e = spb_edge_command(d->edge, a, topic, payload, &effects);
    if (e) {
        atomic_fetch_add(&d->env->stats->bad_downlinks, 1);
        log_warn("sparkplug.bad_command", KS("device", ident(d)), KS("topic", topic), KE(e));
        return;
    }
    atomic_fetch_add(&d->env->stats->commands_answered, 1);
    if (effects & SPB_EDGE_REBIRTH)
        spb_edge_birth(d->edge, a, clock_utc_ms());
    else if (effects & SPB_EDGE_CHANGED)
        spb_edge_data(d->edge, a, clock_utc_ms());
}

static void dispatch(struct device *d, struct str topic, struct str payload)
{
    struct arena *a = scratch(d);
    if (str_starts(topic, SPB_NAMESPACE "/"))
        take_sparkplug(d, a, topic, payload);
    else
        take_lwm2m(d, a, topic, payload);
    update_counts(d);
}

static void read_mail(struct device *d)
{
    struct letter *l;
    while ((l = mailbag_take(&d->mail)) != NULL) {
        dispatch(d, l->topic, l->payload);
        free(l);
    }
}

static void keep_mail(struct device *d, const struct mqtt_publish *m)
{
    enum err e = mailbag_put(&d->mail, m->topic, m->payload);
    if (e)
        log_warn("device.mail_lost", KS("device", ident(d)), KE(e));
}

static void on_message(void *ctx, const struct mqtt_publish *m)
{
    struct device *d = ctx;
    d->heard_bytes += m->topic.n + m->payload.n;
    if (m->retain)
        return; /* nothing meant for a device is ever retained */
    if (is_awake(d))
        dispatch(d, m->topic, m->payload);
    else
        keep_mail(d, m);
}

/* ---- connection ---- */

static void on_will(void *ctx, struct mqtt_connect *c)
{
    struct device *d = ctx;
    struct arena *a = scratch(d);
    struct buf topic, payload;
    buf_init(&topic, 512);
    buf_init(&payload, 4096);
    spb_edge_connect(d->edge, d->state.bd_seq, clock_utc_ms(), &topic, &payload);
    d->state.bd_seq++; /* one more per CONNECT, 255 before 0 */
    c->will_topic = arena_str(a, buf_view(&topic));
    c->will_payload = arena_str(a, buf_view(&payload));
    c->will_qos = 1;
    buf_fini(&topic);
    buf_fini(&payload);
    save(d);
}

static void on_up(void *ctx)
{
    struct device *d = ctx;
    char text[4][192];
    struct str filters[4];
    size_t n = 0;
    const char *id = d->identity, *group = d->env->options->group;
    snprintf(text[n++], sizeof text[0], "spBv1.0/%s/NCMD/%s", group, id);
    snprintf(text[n++], sizeof text[0], "spBv1.0/%s/DCMD/%s/+", group, id);
    if (d->dialect == LW_DIALECT_OMA) {
        snprintf(text[n++], sizeof text[0], "lwm2m/rd/%s", id);
    } else {
        snprintf(text[n++], sizeof text[0], "lwm2m/%s/cmd/#", id);
        snprintf(text[n++], sizeof text[0], "lwm2m/%s/ack/#", id);
    }
    for (size_t i = 0; i < n; i++)
        filters[i] = str_of(text[i]);
    update_counts(d);
    if (mqtt_client_subscribe(d->mqtt, filters, n) != ERR_OK)
        log_warn("mqtt.cannot_subscribe", KS("device", ident(d)));
}

static void on_ready(void *ctx)
{
    struct device *d = ctx;
    struct moment now = now_of(d);
    bool fresh = d->fresh;
    d->fresh = false;
    if (!d->disabled)
        lwm2m_client_up(d->lwm2m, scratch(d), fresh, now);
    spb_edge_birth(d->edge, scratch(d), now.utc_ms);
    if (d->twin)
        spb_edge_birth(d->twin, scratch(d), now.utc_ms);
    start_timers(d);
    plan_past(d);
    update_counts(d);
}

/* Common to losing a connection, ending it and having it cut. */
static void went_down(struct device *d)
{
    stop_timers(d);
    mailbag_empty(&d->mail);
    lwm2m_client_down(d->lwm2m);
    update_counts(d);
}

static void on_down(void *ctx)
{
    went_down(ctx);
}

static void on_closed(void *ctx)
{
    struct device *d = ctx;
    went_down(d);
    if (d->stopping) {
        d->env->stopped(d->env->ctx);
    } else if (d->rebooting) {
        d->rebooting = false;
        d->fresh = true;
        d->last_data_ms = 0;
        mqtt_client_open(d->mqtt, REBOOT_MS);
    }
}

static const struct mqtt_client_ops mqtt_ops = {.will = on_will,
                                                .up = on_up,
                                                .ready = on_ready,
                                                .down = on_down,
                                                .closed = on_closed,
                                                .message = on_message};

/* ---- life ---- */

static enum err make_edge(struct device *d, const char *group, struct spb_edge **out)
{
    struct spb_edge_config c = {.kind = d->kind,
                                .group = str_of(group),
                                .node = ident(d),
                                .tree = lwm2m_client_tree(d->lwm2m),
                                .seed = d->seed,
                                .short_topics = d->env->options->short_topics,
                                .publish = on_spb,
                                .ctx = d};
    return spb_edge_new(&c, out);
}

static enum err make_clients(struct device *d, struct str password)
{
    struct lwm2m_client_config lw = {.desc = d->env->desc,
                                     .kind = d->kind,
                                     .endpoint = ident(d),
                                     .seed = d->seed,
                                     .firmware = d->state.firmware[0] ? str_of(d->state.firmware)
                                                                      : (struct str){0},
                                     .say = on_lwm2m,
                                     .ctx = d};
    enum err e = lwm2m_client_new(&lw, &d->lwm2m);
    if (e)
        return e;
    lwm2m_client_set_hash(d->lwm2m, http_get_sha256);
    e = make_edge(d, d->env->options->group, &d->edge);
    if (e)
        return e;
    struct mqtt_client_config mq = {
        .identity = ident(d), .keep_alive_s = KEEP_ALIVE_S, .seed = d->seed};
    if (password.p) {
        d->password = malloc(password.n + 1);
        if (!d->password)
            return ERR_NOMEM;
        memcpy(d->password, password.p, password.n);
        mq.password = str_make(d->password, password.n);
    }
    return mqtt_client_new(d->env->loop, d->env->broker, &mq, &mqtt_ops, d, &d->mqtt);
}

enum err device_new(struct device_env *env, size_t index, struct str identity, struct str password,
                    struct device **out)
{
    enum dialect_choice choice = env->options->dialect;
    struct device *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    d->env = env;
    d->index = index;
    snprintf(d->identity, sizeof d->identity, "%.*s", STR_ARG(identity));
    d->seed = wave_seed(0xb7a1d, identity);
    d->kind = description_kind_for(env->desc, index);
    d->dialect = choice == DIALECT_OMA || (choice == DIALECT_MIXED && index % 2) ? LW_DIALECT_OMA
                                                                                 : LW_DIALECT_JSON;
    d->fresh = true;
    mailbag_init(&d->mail);
    d->tick = (struct loop_timer){.fn = on_tick, .ctx = d};
    d->telemetry = (struct loop_timer){.fn = on_telemetry, .ctx = d};
    d->report = (struct loop_timer){.fn = on_report, .ctx = d};
    d->chapter = (struct loop_timer){.fn = on_chapter, .ctx = d};
    d->again = (struct loop_timer){.fn = on_again, .ctx = d};
    state_load(env->options->state_dir, ident(d), &d->state);
    enum err e = make_clients(d, password);
    if (e) {
        device_free(d);
        return e;
    }
    atomic_fetch_add(&env->stats->devices, 1);
    *out = d;
    return ERR_OK;
}

void device_free(struct device *d)
{
    if (!d)
        return;
    stop_timers(d);
    loop_cancel(d->env->loop, &d->again);
    mailbag_empty(&d->mail);
    http_get_abort(d->fetch);
    mqtt_client_free(d->mqtt);
    spb_edge_free(d->twin);
    spb_edge_free(d->edge);
    lwm2m_client_free(d->lwm2m);
    free(d->password);
    free(d);
}

struct str device_identity(const struct device *d)
{
    return ident(d);
}

void device_start(struct device *d, uint64_t delay_ms)
{
    mqtt_client_open(d->mqtt, delay_ms);
}

void device_stop(struct device *d, bool abrupt)
{
    d->stopping = true;
    loop_cancel(d->env->loop, &d->again);
    if (abrupt) {
        mqtt_client_kill(d->mqtt);
        went_down(d);
        d->env->stopped(d->env->ctx);
        return;
    }
    if (mqtt_client_is_up(d->mqtt)) {
        lwm2m_client_deregister(d->lwm2m);
        if (d->twin)
            spb_edge_death(d->twin, clock_utc_ms());
        spb_edge_death(d->edge, clock_utc_ms());
    }
    mqtt_client_close(d->mqtt);
}

/* ---- scenarios ---- */

static void start_clash(struct device *d)
{
    struct buf unused;
    if (d->twin || make_edge(d, GROUP_CLASH, &d->twin) != ERR_OK)
        return;
    buf_init(&unused, 4096);
    spb_edge_connect(d->twin, 0, clock_utc_ms(), &unused, &unused);
    buf_fini(&unused);
    if (mqtt_client_is_up(d->mqtt))
        spb_edge_birth(d->twin, scratch(d), clock_utc_ms());
}

static void end_clash(struct device *d)
{
    if (d->twin && mqtt_client_is_up(d->mqtt))
        spb_edge_death(d->twin, clock_utc_ms());
    spb_edge_free(d->twin);
    d->twin = NULL;
}

static void heal(struct device *d)
{
    enum scenario was = d->scenario;
    d->scenario = SCENARIO_NONE;
    spb_edge_set_skew(d->edge, 0);
    end_clash(d);
    if (was == SCENARIO_POWER) {
        d->fresh = true;
        d->last_data_ms = 0; /* it was off: nothing was measured */
        mqtt_client_open(d->mqtt, 0);
    } else if (was == SCENARIO_CLOCK && mqtt_client_is_up(d->mqtt)) {
        spb_edge_birth(d->edge, scratch(d), clock_utc_ms());
    }
}

void device_break(struct device *d, enum scenario how)
{
    log_info("device.scenario", KS("device", ident(d)), KV("is", scenario_words[how]));
    if (d->scenario != SCENARIO_NONE || how == SCENARIO_NONE)
        heal(d);
    d->scenario = how;
    switch (how) {
    case SCENARIO_POWER:
        loop_cancel(d->env->loop, &d->again);
        d->rebooting = d->disabled = false;
        stop_fetch(d);
        mqtt_client_kill(d->mqtt);
        went_down(d);
        break;
    case SCENARIO_CLOCK:
        spb_edge_set_skew(d->edge, CLOCK_SKEW_MS);
        break;
    case SCENARIO_CLASH:
        start_clash(d);
        break;
    default:
        break;
    }
}
