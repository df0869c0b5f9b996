/* shard.c - a shard's thread: mailbox, deadlines, ticks. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>

#define SCRATCH_CHUNK ((size_t)64 << 10)
#define SCRATCH_LIMIT ((size_t)32 << 20)
#define BATCH_AGE_MS  50
#define PARKED_MS     20
#define UNPARK_MAX    1000

enum err shard_init(struct shard *s, struct engine *e, unsigned index)
{
    *s = (struct shard){.engine = e, .index = index};
    s->random = clock_mono_us() * 0x9e3779b97f4a7c15u + index * 2 + 1;
    uint64_t seed = shard_random(s);
    map_init(&s->by_endpoint, seed);
    map_init(&s->by_node, seed);
    map_init(&s->by_id, seed);
    map_init(&s->blocked, seed);
    map_init(&s->strangers, seed);
    words_init(&s->words, seed);
    s->shapes = spb_shapes_new(seed);
    heap_init(&s->deadlines);
    list_init(&s->dirty);
    list_init(&s->snapshots);
    buf_init(&s->missed, (size_t)1 << 20);
    arena_init(&s->scratch, SCRATCH_CHUNK, SCRATCH_LIMIT);
    arena_init(&s->scratch2, SCRATCH_CHUNK, SCRATCH_LIMIT);
    s->admit_tokens = 100;
    s->box = mailbox_new((size_t)e->config->engine_mailbox);
    s->live = live_table_new();
    return s->box && s->live && s->shapes ? ERR_OK : ERR_NOMEM;
}

void shard_fini(struct shard *s)
{
    size_t it = 0;
    snapshots_fini(s);
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));)
        device_free(d);
    words_fini(&s->words);
    spb_shapes_free(s->shapes);
    map_fini(&s->by_endpoint);
    map_fini(&s->by_node);
    map_fini(&s->by_id);
    standing_fini(s);
    heap_fini(&s->deadlines);
    buf_fini(&s->missed);
    arena_fini(&s->scratch);
    arena_fini(&s->scratch2);
    batch_free(s->batch);
    if (s->live)
        live_table_free(s->live);
    mailbox_free(s->box);
}

/* splitmix64: spread, not secrecy. */
uint64_t shard_random(struct shard *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct shard *shard_of(struct engine *e, struct str name)
{
    /* "edge~group" names the second of two nodes called edge: same shard as the first */
    struct str identity = name;
    if (e->n_shards == 1)
        return e->shards;
    return &e->shards[str_hash(str_cut(&identity, '~'), 0) % e->n_shards];
}

void shard_flush_samples(struct shard *s)
{
    if (!s->batch)
        return;
    if (!s->batch->n && !s->batch->n_text && !s->batch->done) { /* kept, it would be due for ever */
        batch_free(s->batch);
        s->batch = NULL;
        return;
    }
    size_t n = s->batch->n + s->batch->n_text;
    enum err e = writer_samples(s->engine->writer, s->batch);
    if (e == ERR_FULL && !s->stopping) { /* kept: tried again, and what does not fit is refused */
        s->batch_since_ms = s->now.mono_ms;
        return;
    }
    if (e) {
        metric_add(s->engine->metrics, M_SAMPLES_REFUSED, (int64_t)n);
        log_error("engine.samples_refused", KI("samples", n), KE(e));
        batch_free(s->batch);
    }
    s->batch = NULL;
}

static void handle_mqtt(struct shard *s, struct letter_mqtt *m)
{
    s->refused_now = 0;
    s->arrived_us = m->arrived_us;
    s->drained = m->drained;
    s->away_from_ms = m->away_from_ms;
    if (m->first)
        histogram_observe_us(s->engine->metrics, H_MAILBOX, clock_mono_us() - m->arrived_us);
    if (m->session == SESSION_SPARKPLUG)
        sp_strand_message(s, m);
    else
        lw_strand_message(s, m);
    s->arrived_us = 0;
    s->drained = false;
}

static void handle_broker(struct shard *s, const struct letter_broker *b)
{
    if (b->session == SESSION_SPARKPLUG) {
        sp_strand_broker(s, b->up, b->first);
        return;
    }
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));) {
        if (!b->up && !d->sp) /* their `lost` wills come over this session */
            device_blind(d, "broker_lost");
        if (b->up)
            commands_flush(d);
        device_settle(d);
    }
}

static void handle(struct shard *s, struct letter *l)
{
    if (l->kind != LETTER_MQTT || ((struct letter_mqtt *)l)->first)
        s->now = clock_now();
    if (flow_park(s, l)) {
        if (l->kind == LETTER_BROKER && !((struct letter_broker *)l)->up)
            sp_strand_blind(s);
        return;
    }
    switch (l->kind) {
    case LETTER_MQTT:
        handle_mqtt(s, (struct letter_mqtt *)l);
        break;
    case LETTER_BROKER:
        handle_broker(s, (struct letter_broker *)l);
        break;
    case LETTER_PUBACK:
        commands_puback(s, (struct letter_puback *)l);
        break;
    case LETTER_ARMED:
        commands_armed(s, (struct letter_armed *)l);
        break;
    case LETTER_ACKED:
        commands_acked(s, (struct letter_acked *)l);
        break;
    case LETTER_COMMAND:
        command_accept(s, (struct letter_command *)l);
        break;
    case LETTER_ASK:
        ask_handle(s, (struct ask *)l); /* answers and drops the reference */
        arena_reset(&s->scratch);
        return;
    case LETTER_STOP:
        s->stopping = true;
        break;
    }
    arena_reset(&s->scratch);
    letter_free(l);
}

/* What waited for room; a turn's worth, so that nothing else waits for it.  But what comes
 * meanwhile is parked behind it: no more than a mailbox holds, or the broker's backlog would move
 * in here. */
static void unpark(struct shard *s, bool end)
{
    struct letter *l;
    size_t limit = mailbox_limit(s->box);
    for (int i = 0; (end || i < UNPARK_MAX || s->n_parked > limit) && (l = flow_unpark(s, end));
         i++) {
        s->now = clock_now();
        if (l->kind == LETTER_MQTT)
            handle_mqtt(s, (struct letter_mqtt *)l);
        else
            handle_broker(s, (struct letter_broker *)l);
        arena_reset(&s->scratch);
        letter_free(l);
    }
}

static void run_deadlines(struct shard *s)
{
    s->now = clock_now();
    for (struct heap_node *top; (top = heap_top(&s->deadlines)) && top->key <= s->now.mono_ms;) {
        struct device *d = list_entry(top, struct device, deadline);
        heap_remove(&s->deadlines, top);
        device_run_deadline(d);
        arena_reset(&s->scratch);
    }
}

/* Rates, the ages in rows of devices that are not online, last_seen to SQL. */
static void survey(struct shard *s)
{
    double seconds = (double)(s->now.mono_ms - s->survey_at_ms) / 1000;
    if (seconds < 0.5)
        seconds = SURVEY_MS / 1000.0;
    s->survey_at_ms = s->now.mono_ms;
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));) {
        float rate = (float)(d->messages / seconds);
        bool changed = rate != d->messages_per_s;
        d->messages_per_s = rate;
        d->messages = 0;
        if (changed || d->verdict.status != BRAID_ONLINE)
            device_mark_row(d);
        device_store_seen(d);
        verdict_tell_late(d);
        flow_settle_refused(d);
    }
    strangers_store(s);
    s->metrics_per_s = (double)s->metrics_in / seconds;
    s->metrics_in = 0;
}

/* Latest values go to SQL round by round, a slice of the fleet per tick, so that neither the writer
 * nor anybody who waits for this shard sees them all at once. */
static void store_latest_slice(struct shard *s)
{
    size_t share = s->by_endpoint.n / (LATEST_MS / TICK_MS) + 1;
    while (share--) {
        struct device *d = map_next(&s->by_endpoint, &s->latest_it);
        if (!d) {
            s->latest_it = 0;
            return;
        }
        points_store_latest(d);
    }
}

static void store_latest(struct shard *s)
{
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));)
        points_store_latest(d);
}

/* Under pressure a batch waits to be filled: the writer counts batches, not samples. */
static uint64_t batch_age_ms(const struct shard *s)
{
    return writer_is_pressed(s->engine->writer) ? 20 * BATCH_AGE_MS : BATCH_AGE_MS;
}

static void run_ticks(struct shard *s)
{
    s->now = clock_now();
    if (s->now.mono_ms >= s->next_tick_ms) {
        feed_tick(s);
        verdict_store_missed(s);
        store_latest_slice(s);
        s->next_tick_ms = s->now.mono_ms + TICK_MS;
    }
    if (s->batch && s->now.mono_ms >= s->batch_since_ms + batch_age_ms(s))
        shard_flush_samples(s);
    if (s->now.mono_ms >= s->next_survey_ms) {
        survey(s);
        s->next_survey_ms = s->now.mono_ms + SURVEY_MS;
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_wake(const struct shard *s)
{
    uint64_t at = s->next_survey_ms;
    struct heap_node *top = heap_top(&s->deadlines);
    if (top && top->key < at)
        at = top->key;
    bool ticks = s->missed.n || !list_empty(&s->dirty) || !list_empty(&s->snapshots);
    if (ticks && s->next_tick_ms < at)
        at = s->next_tick_ms;
    if (snapshots_due(s))
        at = 0;
    if (s->batch && s->batch_since_ms + batch_age_ms(s) < at)
        at = s->batch_since_ms + batch_age_ms(s);
    if (s->parked) /* at once, or when there may be room */
        at = flow_holds(s->engine) ? earlier(at, s->now.mono_ms + PARKED_MS) : 0;
    return at;
}

static void run(void *arg)
{
    struct shard *s = arg;
    bool closed = false;
    s->now = clock_now();
    s->survey_at_ms = s->now.mono_ms;
    s->next_survey_ms = s->now.mono_ms + SURVEY_MS;
    while (!s->stopping) {
        struct mail *m = mailbox_take(s->box, next_wake(s), &closed);
        while (m) {
            struct mail *next = m->next;
            handle(s, (struct letter *)m);
            m = next;
        }
        unpark(s, false);
        run_deadlines(s);
        run_ticks(s);
        snapshots_run(s);
    }
    unpark(s, true);
    s->now = clock_now();
    shard_flush_samples(s);
    verdict_store_missed(s);
    survey(s);
    store_latest(s);
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));)
        commands_disarm(d);
}

enum err shard_start(struct shard *s)
{
    char name[16];
    snprintf(name, sizeof name, "shard-%u", s->index);
    return thread_start(&s->thread, name, run, s);
}
