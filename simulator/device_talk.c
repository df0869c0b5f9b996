/* device_talk.c - what a device says, what it hears, and what it does about it.
 *
 * Both strands end in device_publish and begin in dispatch; the pure clients in between decide.
 * A sleeping device hears nothing: its messages wait in the mailbag until telemetry wakes it. */
#include "device_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define MESSAGE_MAX ((size_t)1 << 20)

/* ---- saying something ---- */

static bool device_publish(struct device *d, struct str topic, struct str payload, uint8_t qos)
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

void device_on_spb(void *ctx, const struct spb_message *m)
{
    struct device *d = ctx;
    struct stats *s = d->env->stats;
    struct spb_topic t;
    if (!device_publish(d, m->topic, m->payload, m->qos))
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

void device_on_lwm2m(void *ctx, const struct lw_uplink *u, struct lw_path base)
{
    struct device *d = ctx;
    struct buf topic, payload;
    buf_init(&topic, 256);
    buf_init(&payload, MESSAGE_MAX);
    enum err e = lwm2m_wire_encode(d->dialect, u, base, &topic, &payload);
    if (e)
        log_warn("lwm2m.cannot_say", KS("device", device_ident(d)), KI("kind", u->kind), KE(e));
    else if (device_publish(d, buf_view(&topic), buf_view(&payload), 1))
        count_uplink(d->env->stats, u);
    buf_fini(&topic);
    buf_fini(&payload);
}

/* ---- firmware ---- */

static void on_fetched(void *ctx, enum fw_result why, const struct fw_image *image)
{
    struct device *d = ctx;
    d->fetch = NULL;
    log_info("firmware.fetched", KS("device", device_ident(d)), KI("result", why),
             KI("bytes", image->size));
    lwm2m_client_downloaded(d->lwm2m, why, image, device_now(d));
}

static void fetch_firmware(struct device *d)
{
    const char *uri = lwm2m_client_firmware(d->lwm2m)->uri;
    http_get_abort(d->fetch);
    d->fetch = NULL;
    log_info("firmware.fetch", KS("device", device_ident(d)), KV("uri", uri));
    if (http_get_start(d->env->loop, uri, on_fetched, d, &d->fetch) != ERR_OK) {
        struct fw_image none = {0};
        lwm2m_client_downloaded(d->lwm2m, FW_NO_RAM, &none, device_now(d));
    }
}

/* The device goes off in the middle of a download: it is lost. */
void device_stop_fetch(struct device *d)
{
    struct fw_image none = {0};
    if (!d->fetch)
        return;
    http_get_abort(d->fetch);
    d->fetch = NULL;
    lwm2m_client_downloaded(d->lwm2m, FW_CONNECTION_LOST, &none, device_now(d));
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
    device_save(d);
}

/* ---- effects of commands ---- */

static void reboot(struct device *d)
{
    log_info("device.reboot", KS("device", device_ident(d)));
    device_stop_fetch(d);
    d->rebooting = true;
    d->disabled = false; /* whatever it was told before: it registers when it is back */
    /* The answer goes out first; then the device is really away for a moment. */
    device_arm(d, &d->again, 300);
}

void device_obey(struct device *d, unsigned effects)
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
            log_error("device.reset_failed", KS("device", device_ident(d)), KE(e));
    }
    if (effects & LWM2M_CHANGED && device_is_awake(d))
        spb_edge_data(d->edge, &d->env->scratch, clock_utc_ms());
    if (effects & LWM2M_DISABLE) {
        d->disabled = true;
        lwm2m_client_deregister(d->lwm2m);
        device_arm(d, &d->again, (uint64_t)lwm2m_client_disable_s(d->lwm2m) * 1000);
    }
    if (effects & LWM2M_REBOOT) {
        remember_firmware(d);
        reboot(d);
    }
}

void device_on_again(void *ctx)
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
            lwm2m_client_up(d->lwm2m, device_scratch(d), true, device_now(d));
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
        log_warn("lwm2m.bad_downlink", KS("device", device_ident(d)), KS("topic", topic), KE(e));
        if (down.token.text[0] && down.op != LW_DOWN_ACK) {
            struct lw_uplink u = {.kind = LW_UP_RESPONSE,
                                  .word = STR("resp"),
                                  .endpoint = device_ident(d),
                                  .token = down.token,
                                  .code = LW_BAD_REQUEST,
                                  .ct = LW_CT_NONE,
                                  .pct = LW_CT_NONE,
                                  .error = str_of(err_word(e))};
            device_on_lwm2m(d, &u, lw_path_of(0, 0, 0, 0, 0));
        }
        return;
    }
    device_obey(d, lwm2m_client_handle(d->lwm2m, a, &down, device_now(d)));
}

static void take_sparkplug(struct device *d, struct arena *a, struct str topic, struct str payload)
{
    unsigned effects = 0;
    enum err e = spb_edge_command(d->edge, a, topic, payload, &effects);
    if (e) {
        atomic_fetch_add(&d->env->stats->bad_downlinks, 1);
        log_warn("sparkplug.bad_command", KS("device", device_ident(d)), KS("topic", topic), KE(e));
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
    struct arena *a = device_scratch(d);
    if (str_starts(topic, SPB_NAMESPACE "/"))
        take_sparkplug(d, a, topic, payload);
    else
        take_lwm2m(d, a, topic, payload);
    device_update_counts(d);
}

void device_read_mail(struct device *d)
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
        log_warn("device.mail_lost", KS("device", device_ident(d)), KE(e));
}

void device_on_message(void *ctx, const struct mqtt_publish *m)
{
    struct device *d = ctx;
    d->heard_bytes += m->topic.n + m->payload.n;
    if (m->retain)
        return; /* nothing meant for a device is ever retained */
    if (device_is_awake(d))
        dispatch(d, m->topic, m->payload);
    else
        keep_mail(d, m);
}
