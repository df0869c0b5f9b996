/* device.c - see device.h.
 *
 * Connection: mqtt_client -> up: subscribe -> ready: register and birth -> the clock runs until
 * down.  `again` brings back what went away on purpose.  Only this file makes, connects, breaks
 * and ends a device. */
#include "device_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define KEEP_ALIVE_S  30
#define CLOCK_SKEW_MS INT64_C(10800000)
#define GROUP_CLASH   "sim-b"

const char *const scenario_words[SCENARIO_COUNT] = {
#define X(id, word) word,
    SCENARIO_TABLE(X)
#undef X
};

void device_save(struct device *d)
{
    enum err e = state_save(d->env->options->state_dir, device_ident(d), &d->state);
    if (e)
        log_warn("sim.state_not_saved", KS("device", device_ident(d)), KE(e));
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

void device_update_counts(struct device *d)
{
    struct stats *s = d->env->stats;
    count_flag(&s->connected, &d->connected, mqtt_client_is_up(d->mqtt));
    count_flag(&s->registered, &d->registered,
               d->connected && lwm2m_client_is_registered(d->lwm2m));
    count_flag(&s->born, &d->born, d->connected && spb_edge_is_born(d->edge));
    if (d->registered && d->born && !d->was_ready) {
        d->was_ready = true;
        d->env->ready(d->env->ctx, device_ident(d));
    }
}

/* ---- connection ---- */

static void on_will(void *ctx, struct mqtt_connect *c)
{
    struct device *d = ctx;
    struct arena *a = device_scratch(d);
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
    device_save(d);
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
    device_update_counts(d);
    if (mqtt_client_subscribe(d->mqtt, filters, n) != ERR_OK)
        log_warn("mqtt.cannot_subscribe", KS("device", device_ident(d)));
}

static void on_ready(void *ctx)
{
    struct device *d = ctx;
    struct moment now = device_now(d);
    bool fresh = d->fresh;
    d->fresh = false;
    if (!d->disabled)
        lwm2m_client_up(d->lwm2m, device_scratch(d), fresh, now);
    spb_edge_birth(d->edge, device_scratch(d), now.utc_ms);
    if (d->twin)
        spb_edge_birth(d->twin, device_scratch(d), now.utc_ms);
    device_start_timers(d);
    device_plan_past(d);
    device_update_counts(d);
}

/* Common to losing a connection, ending it and having it cut. */
static void went_down(struct device *d)
{
    device_stop_timers(d);
    mailbag_empty(&d->mail);
    lwm2m_client_down(d->lwm2m);
    device_update_counts(d);
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
                                                .message = device_on_message};

/* ---- life ---- */

static enum err make_edge(struct device *d, const char *group, struct spb_edge **out)
{
    struct spb_edge_config c = {.kind = d->kind,
                                .group = str_of(group),
                                .node = device_ident(d),
                                .tree = lwm2m_client_tree(d->lwm2m),
                                .seed = d->seed,
                                .short_topics = d->env->options->short_topics,
                                .publish = device_on_spb,
                                .ctx = d};
    return spb_edge_new(&c, out);
}

static enum err make_clients(struct device *d, struct str password)
{
    struct lwm2m_client_config lw = {.desc = d->env->desc,
                                     .kind = d->kind,
                                     .endpoint = device_ident(d),
                                     .seed = d->seed,
                                     .firmware = d->state.firmware[0] ? str_of(d->state.firmware)
                                                                      : (struct str){0},
                                     .say = device_on_lwm2m,
                                     .ctx = d};
    enum err e = lwm2m_client_new(&lw, &d->lwm2m);
    if (e)
        return e;
    lwm2m_client_set_hash(d->lwm2m, http_get_sha256);
    e = make_edge(d, d->env->options->group, &d->edge);
    if (e)
        return e;
    struct mqtt_client_config mq = {
        .identity = device_ident(d), .keep_alive_s = KEEP_ALIVE_S, .seed = d->seed};
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
    snprintf(d->identity, sizeof d->identity, "%.*s", STR_ARG(identity));
    d->seed = wave_seed(0xb7a1d, identity);
    d->kind = description_kind_for(env->desc, index);
    d->dialect = choice == DIALECT_OMA || (choice == DIALECT_MIXED && index % 2) ? LW_DIALECT_OMA
                                                                                 : LW_DIALECT_JSON;
    d->fresh = true;
    mailbag_init(&d->mail);
    device_init_timers(d);
    d->again = (struct loop_timer){.fn = device_on_again, .ctx = d};
    state_load(env->options->state_dir, device_ident(d), &d->state);
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
    device_stop_timers(d);
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
    return device_ident(d);
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
        spb_edge_birth(d->twin, device_scratch(d), clock_utc_ms());
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
        spb_edge_birth(d->edge, device_scratch(d), clock_utc_ms());
    }
}

void device_break(struct device *d, enum scenario how)
{
    log_info("device.scenario", KS("device", device_ident(d)), KV("is", scenario_words[how]));
    if (d->scenario != SCENARIO_NONE || how == SCENARIO_NONE)
        heal(d);
    d->scenario = how;
    switch (how) {
    case SCENARIO_POWER:
        loop_cancel(d->env->loop, &d->again);
        d->rebooting = d->disabled = false;
        device_stop_fetch(d);
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
