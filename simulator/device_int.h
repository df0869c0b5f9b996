/* device_int.h - the inside of a device, shared by device.c (its life and connection),
 * device_talk.c (what it says, hears and obeys) and device_clock.c (what it does in time). */
#ifndef BRAID_SIM_DEVICE_INT_H
#define BRAID_SIM_DEVICE_INT_H

#include "base/clock.h"
#include "device.h"
#include "http_get.h"
#include "lwm2m_client.h"
#include "lwm2m_wire.h"
#include "mailbag.h"
#include "mqtt_client.h"
#include "past.h"
#include "spb_edge.h"
#include "state_file.h"

#define AWAKE_MS  93000 /* after its last message */
#define REBOOT_MS 2500

struct device {
    struct device_env *env;
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

static inline struct str device_ident(const struct device *d)
{
    return str_of(d->identity);
}

static inline struct moment device_now(const struct device *d)
{
    return (struct moment){.mono_ms = loop_now(d->env->loop), .utc_ms = clock_utc_ms()};
}

static inline struct arena *device_scratch(struct device *d)
{
    arena_reset(&d->env->scratch);
    return &d->env->scratch;
}

static inline void device_arm(struct device *d, struct loop_timer *t, uint64_t in_ms)
{
    loop_arm(d->env->loop, t, loop_now(d->env->loop) + in_ms);
}

static inline bool device_is_awake(const struct device *d)
{
    return !d->kind->sleeper || loop_now(d->env->loop) < d->awake_until;
}

void device_save(struct device *d);          /* what it must not forget */
void device_update_counts(struct device *d); /* the fleet's gauges, and env->ready */

/* device_talk.c */
void device_on_spb(void *ctx, const struct spb_message *m);
void device_on_lwm2m(void *ctx, const struct lw_uplink *u, struct lw_path base);
void device_on_message(void *ctx, const struct mqtt_publish *m);
void device_read_mail(struct device *d);
void device_obey(struct device *d, unsigned effects); /* enum lwm2m_effect */
void device_on_again(void *ctx);
void device_stop_fetch(struct device *d);

/* device_clock.c */
void device_init_timers(struct device *d);
void device_start_timers(struct device *d);
void device_stop_timers(struct device *d);
void device_plan_past(struct device *d);

#endif
