/* flow.c - how far back the pressure of a full store reaches.
 *
 * The writer's queue of batches is filled (store/writer.h: pressed) when neither PostgreSQL nor the
 * spool takes what comes.  Then, one behind the other:
 *
 *   holding    the shards park Sparkplug messages instead of handling them, and the Sparkplug
 *              session reads no more from its socket; the broker keeps what follows in its memory.
 *              LwM2M, REST and live views go on.
 *   shedding   the broker's heap has grown beyond mqtt.backlog_mb: before the broker reaches
 *              its own memory limit (Mosquitto then disconnects whoever publishes), messages
 *              are read and handled again, but samples that do not fit are refused, counted
 *              per device
 *   recovered  below low water all is read and stored; a node that lost samples is asked for
 *              one rebirth
 *
 * Whoever holds asks for no rebirth and lets no gap of a sequence expire: what is missing may wait
 * in the socket.  The broker's heap is told in $SYS topics, which both sessions subscribe to,
 * because the one that matters here is not read. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <inttypes.h>

bool flow_holds(const struct engine *e)
{
    return writer_is_pressed(e->writer) && !atomic_load(&e->shedding);
}

static void end_shedding(struct engine *e)
{
    atomic_store(&e->shedding, false);
    metric_set(e->metrics, M_TELEMETRY_SHEDDING, 0);
    log_info("sparkplug.shedding_over");
}

bool flow_may_read(void *ctx)
{
    struct engine *e = ctx;
    if (atomic_load(&e->shedding) && !writer_is_pressed(e->writer))
        end_shedding(e);
    bool holds = flow_holds(e);
    if (holds == atomic_load(&e->paused))
        return !holds;
    atomic_store(&e->paused, holds);
    atomic_store(&e->paused_since_ms, clock_utc_ms());
    metric_set(e->metrics, M_TELEMETRY_PAUSED, holds);
    if (holds) {
        metric_add(e->metrics, M_TELEMETRY_PAUSES, 1);
        log_warn("sparkplug.reading_paused", KV("reason", "samples can be stored nowhere"));
    } else {
        log_warn("sparkplug.reading_resumed", KI("shedding", atomic_load(&e->shedding)));
    }
    return !holds;
}

/* Half a limit of distance, so that it does not change with every report. */
static void judge_heap(struct engine *e, int64_t heap)
{
    int64_t limit = e->config->mqtt_backlog_mb * ((int64_t)1 << 20);
    bool was = atomic_load(&e->shedding);
    bool is = writer_is_pressed(e->writer) && heap > (was ? limit / 2 : limit);
    if (was && !is)
        end_shedding(e);
    if (was || !is)
        return;
    atomic_store(&e->shedding, true);
    metric_set(e->metrics, M_TELEMETRY_SHEDDING, 1);
    log_error("sparkplug.shedding", KI("broker_heap_bytes", heap), KI("limit_bytes", limit));
}

static void note_dropped(struct engine *e, int64_t n)
{
    int64_t before = atomic_exchange(&e->broker_dropped, n);
    if (n <= before)
        return; /* as before, or the broker began anew */
    atomic_store(&e->broker_dropped_ms, clock_utc_ms());
    log_warn("broker.dropped", KI("messages", n - before), KI("total", n));
}

/* What the broker says of itself, and where it is shown. */
static const struct {
    const char *topic;
    enum metric metric;
} sys_topics[] = {
    {"$SYS/broker/publish/messages/dropped", M_BROKER_DROPPED},
    {"$SYS/broker/publish/messages/received", M_BROKER_RECEIVED},
    {"$SYS/broker/publish/messages/sent", M_BROKER_SENT},
    {"$SYS/broker/heap/current", M_BROKER_HEAP},
    {"$SYS/broker/heap/maximum", M_BROKER_HEAP_MAX},
    {"$SYS/broker/clients/connected", M_BROKER_CONNECTED},
    {"$SYS/broker/clients/disconnected", M_BROKER_DISCONNECTED},
    {"$SYS/broker/clients/expired", M_BROKER_EXPIRED},
    {"$SYS/broker/store/messages/count", M_BROKER_KEPT},
    {"$SYS/broker/store/messages/bytes", M_BROKER_KEPT_BYTES},
};
const char *const flow_sys_filters[] = {"$SYS/broker/publish/messages/+", "$SYS/broker/heap/+",
                                        "$SYS/broker/clients/+", "$SYS/broker/store/messages/+",
                                        NULL};

void flow_sys(struct engine *e, struct str topic, struct str payload)
{
    int64_t n;
    struct str rest = payload;
    if (str_to_i64(str_cut(&rest, ' '), &n))
        return;
    for (size_t i = 0; i < sizeof sys_topics / sizeof *sys_topics; i++) {
        if (!str_is(topic, sys_topics[i].topic))
            continue;
        if (sys_topics[i].metric == M_BROKER_DROPPED)
            note_dropped(e, n);
        metric_set(e->metrics, sys_topics[i].metric, n);
        if (sys_topics[i].metric == M_BROKER_HEAP)
            judge_heap(e, n);
    }
}

/* ---- rebirths ---- */

bool flow_may_ask(void *ctx)
{
    struct device *d = ctx;
    struct shard *s = d->shard;
    uint64_t elapsed = s->now.mono_ms - s->rebirths_at_ms;
    if (flow_holds(s->engine) || s->parked)
        return false;
    if (elapsed >= 1000) {
        s->rebirth_tokens = REBIRTHS_PER_S;
        s->rebirths_at_ms = s->now.mono_ms;
    }
    if (!s->rebirth_tokens)
        return false;
    s->rebirth_tokens--;
    return true;
}

/* ---- parked messages of a shard ---- */

/* The end of the session stays behind what came before it, too: told first, it would make all nodes
 * stale, and what waits would be refused for its aliases. */
static bool must_wait(const struct shard *s, const struct letter *l)
{
    if (l->kind == LETTER_BROKER)
        return s->parked && ((const struct letter_broker *)l)->session == SESSION_SPARKPLUG;
    return l->kind == LETTER_MQTT &&
           ((const struct letter_mqtt *)l)->session == SESSION_SPARKPLUG &&
           (s->parked || flow_holds(s->engine));
}

bool flow_park(struct shard *s, struct letter *l)
{
    if (!must_wait(s, l))
        return false;
    l->mail.next = NULL;
    *(s->parked ? &s->parked_last->next : &s->parked) = &l->mail;
    s->parked_last = &l->mail;
    s->n_parked++;
    metric_add(s->engine->metrics, M_Q_PARKED, 1);
    return true;
}

struct letter *flow_unpark(struct shard *s, bool end)
{
    struct mail *m = s->parked;
    if (!m || (!end && flow_holds(s->engine)))
        return NULL;
    s->parked = m->next;
    s->n_parked--;
    metric_add(s->engine->metrics, M_Q_PARKED, -1);
    return (struct letter *)m;
}

/* ---- samples that are stored nowhere ---- */

void flow_refuse_sample(struct device *d)
{
    struct metrics *m = d->shard->engine->metrics;
    metric_add(m, M_SAMPLES_REFUSED, 1);
    metric_add(m, M_DROP_SPOOL, 1);
    d->samples_refused++;
    d->shard->refused_now++;
}

void flow_settle_refused(struct device *d)
{
    uint32_t n = d->samples_refused - d->samples_refused_told;
    if (!n || writer_is_pressed(d->shard->engine->writer))
        return;
    d->samples_refused_told = d->samples_refused;
    timeline_addf(d, TL_LOSS,
                  "%" PRIu32 " samples are lost: neither the database nor the disk took them", n);
    if (d->sp) {
        enum err err = spb_node_rebirth(d->sp, SPB_CAUSE_NOT_STORED, d->shard->now);
        (void)err; /* too soon: planned */
    }
    device_mark_row(d);
    device_settle(d);
}

/* ---- in words ---- */

void flow_json(struct engine *e, struct json_out *j)
{
    struct writer_state w;
    bool paused = atomic_load(&e->paused), shedding = atomic_load(&e->shedding);
    writer_get_state(e->writer, &w);
    json_open(j, '{');
    json_put_text(j, "state", shedding ? "refused" : paused ? "paused" : "flowing");
    json_put_time(j, "since", atomic_load(&e->paused_since_ms));
    json_put_text(j, "reason",
                  !paused && !shedding ? NULL
                  : w.up ? "The database is slower than what comes in, and the spool is full."
                         : "The database is away, and the spool is full.");
    json_put_i64(j, "samples_refused", metric_get(e->metrics, M_SAMPLES_REFUSED));
    json_put_i64(j, "messages_lost",
                 metric_get(e->metrics, M_SEQ_MISSING) + metric_get(e->metrics, M_SEQ_UNUSABLE));
    json_put_i64(j, "broker_dropped", atomic_load(&e->broker_dropped));
    json_put_time(j, "broker_dropped_at", atomic_load(&e->broker_dropped_ms));
    json_close(j);
}
