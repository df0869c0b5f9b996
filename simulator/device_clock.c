/* device_clock.c - what a device does in time.
 *
 * `tick` (1 s: retries, notifications), `telemetry` (Sparkplug data), `report` (LwM2M Send) and
 * `chapter` (one message of history).  They run from the birth until the connection ends.  A
 * sleeper is woken by its telemetry and speaks of its own accord only right after that, or it
 * would never fall asleep. */
#include "device_int.h"

#define BUSY_MS   10000
#define SLEEP_S   170 /* a sleeper's telemetry comes no more often */
#define GAP_EVERY 4   /* messages between two gaps */

static uint64_t telemetry_ms(const struct device *d)
{
    uint64_t s = d->env->options->telemetry_s;
    if (d->kind->sleeper)
        s = s * 3 > SLEEP_S ? s * 3 : SLEEP_S;
    return s * 1000;
}

static void on_tick(void *ctx)
{
    struct device *d = ctx;
    device_arm(d, &d->tick, 1000);
    if (d->kind->sleeper && loop_now(d->env->loop) >= d->busy_until)
        return;
    device_obey(d, lwm2m_client_tick(d->lwm2m, device_scratch(d), device_now(d)));
    device_update_counts(d);
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
    spb_edge_data(d->edge, device_scratch(d), utc);
    if (d->twin)
        spb_edge_data(d->twin, device_scratch(d), utc);
    d->last_data_ms = utc;
}

static void say_report(struct device *d)
{
    d->reported_ms = loop_now(d->env->loop);
    lwm2m_client_send(d->lwm2m, device_scratch(d), device_now(d));
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
    struct moment now = device_now(d);
    bool report_due = now.mono_ms - d->reported_ms >= d->env->options->lwm2m_s * 1000;
    device_arm(d, &d->telemetry, telemetry_ms(d));
    lwm2m_client_sample(d->lwm2m, now);
    show_traffic(d);
    wake(d);
    say_data(d);
    if (d->kind->sleeper && report_due)
        say_report(d);
    device_read_mail(d);
}

static void on_report(void *ctx)
{
    struct device *d = ctx;
    device_arm(d, &d->report, d->env->options->lwm2m_s * 1000);
    say_report(d);
}

static void on_chapter(void *ctx)
{
    struct device *d = ctx;
    struct past_chapter c = {0};
    if (!mqtt_client_is_up(d->mqtt) || !spb_edge_is_born(d->edge))
        return;
    if (past_next(&d->past, spb_edge_history_metrics(d->edge), &c))
        spb_edge_history(d->edge, device_scratch(d), c.from_ms, c.step_ms, c.n, clock_utc_ms());
    if (c.n && past_is_open(&d->past)) {
        device_arm(d, &d->chapter, past_pause_ms(d->env->options->count));
    } else if (!d->state.history_sent) {
        d->state.history_sent = true;
        device_save(d);
    }
}

/* What the past still owes: a day at the very first start, or the time without a connection. */
void device_plan_past(struct device *d)
{
    uint64_t pause = past_pause_ms(d->env->options->count);
    if (d->env->options->no_history)
        return;
    if (!d->state.history_sent)
        past_plan_day(&d->past, clock_utc_ms());
    else
        past_plan_gap(&d->past, d->last_data_ms, clock_utc_ms(), (int64_t)telemetry_ms(d));
    if (past_is_open(&d->past))
        device_arm(d, &d->chapter, 1000 + d->seed % pause);
}

void device_start_timers(struct device *d)
{
    uint64_t t = telemetry_ms(d), r = d->env->options->lwm2m_s * 1000;
    uint64_t phase = t < 60000 ? t : 60000;
    device_arm(d, &d->tick, 200 + d->seed % 800);
    /* Spread over the period, so that a fleet does not speak in chorus. */
    device_arm(d, &d->telemetry, phase / 4 + d->seed % phase);
    if (!d->kind->sleeper)
        device_arm(d, &d->report, r / 4 + (d->seed >> 16) % r);
    wake(d);
}

void device_stop_timers(struct device *d)
{
    struct loop_timer *all[] = {&d->tick, &d->telemetry, &d->report, &d->chapter};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        loop_cancel(d->env->loop, all[i]);
}

void device_init_timers(struct device *d)
{
    d->tick = (struct loop_timer){.fn = on_tick, .ctx = d};
    d->telemetry = (struct loop_timer){.fn = on_telemetry, .ctx = d};
    d->report = (struct loop_timer){.fn = on_report, .ctx = d};
    d->chapter = (struct loop_timer){.fn = on_chapter, .ctx = d};
}
