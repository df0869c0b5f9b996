/* sp_strand.c - Sparkplug messages: which device they belong to, and the node's sink. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

static void sink_publish(void *ctx, struct str topic, struct str payload)
{
    struct device *d = ctx;
    struct engine *e = d->shard->engine;
    enum err err = mqtt_publish(e->sp, topic, payload, 0, false, NULL);
    d->published = (uint8_t)err;
    if (err) {
        metric_add(e->metrics, M_DROP_PUBLISH, 1);
        log_warn("sparkplug.not_published", KV("endpoint", d->endpoint), KE(err));
    }
}

static void sink_samples(void *ctx, const struct spb_sample *v, size_t n, struct moment now)
{
    (void)now;
    points_take_samples(ctx, v, n);
}

static void sink_stale(void *ctx, struct str device, struct moment now)
{
    (void)now;
    points_stale(ctx, device);
}

static void store_node(struct device *d)
{
    struct spb_node_info i;
    spb_node_get_info(d->sp, &i);
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_text(&p, spb_life_word(i.life));
    if (i.has_bd_seq)
        params_i64(&p, (int64_t)i.bd_seq);
    else
        params_null(&p);
    params_ms(&p, i.born_ms);
    params_ms(&p, i.died_ms);
    params_bool(&p, i.conformant);
    params_i64(&p, i.rebirths_asked);
    params_text(&p, i.last_cause ? spb_cause_words(i.last_cause) : NULL);
    params_ms(&p, i.last_cause_ms);
    params_put(d->shard->engine, ST_NODE_PUT, &p);
}

static void store_subdevice(struct device *d, const struct spb_device *s)
{
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_str(&p, s->name);
    params_text(&p, spb_life_word(s->life));
    params_ms(&p, s->born_ms);
    params_ms(&p, s->died_ms);
    params_put(d->shard->engine, ST_SUBDEVICE_PUT, &p);
}

/* The row of `name`; without a name, of all that the node took along when it died, fell silent or
 * was born anew. */
static void store_subdevices(struct device *d, struct str name)
{
    const struct spb_device *s;
    for (size_t i = 0; (s = spb_node_device(d->sp, i)); i++)
        if (name.p ? str_eq(s->name, name)
                   : s->life != SPB_LIFE_BORN && s->life != SPB_LIFE_UNKNOWN)
            store_subdevice(d, s);
}

static void note_death(struct device *d)
{
    device_died(d, "NDEATH");
    /* A will and a goodbye look alike; who de-registered first meant to go. */
    d->evidence.died_orderly = d->lw && lw_client_registration(d->lw)->state == LW_REG_DEREGISTERED;
}

struct event_row {
    enum tl_kind kind;
    const char *text; /* before the device and the words; NULL: nothing for the timeline */
    bool stores;
};

static const struct event_row event_rows[] = {
    [SPB_EV_NODE_BORN] = {TL_NODE_BORN, "Edge node born", true},
    [SPB_EV_NODE_RESUMED] = {.stores = true},
    [SPB_EV_NODE_DEAD] = {TL_NODE_DEAD, "Edge node died (NDEATH)", true},
    [SPB_EV_NODE_STALE] = {TL_NODE_STALE, "Metrics are stale", true},
    [SPB_EV_DEVICE_BORN] = {TL_DEVICE_BORN, "Sparkplug device born", true},
    [SPB_EV_DEVICE_DEAD] = {TL_DEVICE_DEAD, "Sparkplug device died", true},
    [SPB_EV_REBIRTH_ASKED] = {TL_REBIRTH, "Rebirth asked for", true},
    [SPB_EV_OLD_DEATH] = {TL_OLD_DEATH, "Death of an earlier session ignored", false},
    [SPB_EV_GAP] = {TL_GAP, "Sequence gap", false},
    [SPB_EV_GAP_HEALED] = {TL_GAP, "Sequence gap closed", false},
    [SPB_EV_LOST] = {TL_LOSS, "Messages lost", false},
    [SPB_EV_NONCONFORMANT] = {TL_NONCONFORMANT, "Not as the specification wants it", false},
};

static void count_event(struct device *d, enum spb_node_event ev)
{
    struct metrics *m = d->shard->engine->metrics;
    if (ev == SPB_EV_REBIRTH_ASKED)
        metric_add(m, M_REBIRTHS, 1);
    else if (ev == SPB_EV_GAP)
        metric_add(m, M_SEQ_GAPS, 1);
    else if (ev == SPB_EV_GAP_HEALED)
        metric_add(m, M_SEQ_HEALED, 1);
}

/* Our own absence and what we do about it is no news of the device (verdict.c). */
static bool is_ours(enum spb_node_event ev, const char *words)
{
    return (ev == SPB_EV_NODE_STALE || ev == SPB_EV_REBIRTH_ASKED) &&
           str_is(str_of(words), spb_cause_words(SPB_CAUSE_HOST_LOST));
}

static void sink_event(void *ctx, enum spb_node_event ev, struct str device, const char *words,
                       struct moment now)
{
    struct device *d = ctx;
    const struct event_row *row = &event_rows[ev];
    (void)now;
    count_event(d, ev);
    if (row->text && !is_ours(ev, words))
        timeline_addf(d, row->kind, "%s%s%.*s%s%s", row->text, device.p ? ": " : "",
                      STR_ARG(device), words && *words ? ": " : "", words ? words : "");
    if (ev == SPB_EV_NODE_DEAD)
        note_death(d);
    if (ev == SPB_EV_NODE_BORN || ev == SPB_EV_NODE_RESUMED)
        commands_see_birth(d);
    if (row->stores && !device.p)
        store_node(d);
    if (row->stores && ev != SPB_EV_REBIRTH_ASKED)
        store_subdevices(d, device);
    d->judge = true;
    device_mark_row(d);
}

static void sink_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    struct device *d = ctx;
    (void)now;
    bad_input(d->shard, d, e, words);
    d->judge = true; /* it may have counted as lost */
}

static const struct spb_node_sink sink = {.publish = sink_publish,
                                          .samples = sink_samples,
                                          .event = sink_event,
                                          .stale = sink_stale,
                                          .anomaly = sink_anomaly,
                                          .may_ask = flow_may_ask};

enum err sp_strand_attach(struct device *d, struct str group, struct str node)
{
    const struct config *c = d->shard->engine->config;
    struct spb_node_options o = {.reorder_ms = (uint32_t)c->sparkplug_reorder_ms,
                                 .rebirth_interval_ms = 5000,
                                 .strict = c->sparkplug_strict};
    d->sp = spb_node_new(group, node, &o, d->shard->shapes, &sink, d);
    return d->sp ? ERR_OK : ERR_NOMEM;
}

/* The node id is taken by another group's node: a second device, and both are told. */
static enum err admit_clash(struct shard *s, struct device *owner, const struct spb_topic *t,
                            struct device **out)
{
    char name[2 * NAME_MAX_BYTES + 2];
    snprintf(name, sizeof name, "%.*s~%.*s", STR_ARG(t->node), STR_ARG(t->group));
    enum err e = device_admit(s, str_of(name), out);
    if (e || (*out)->sp)
        return e;
    timeline_addf(owner, TL_CLASH,
                  "Identity clash: group \"%.*s\" has an edge node of the same name; it is kept as "
                  "device %s",
                  STR_ARG(t->group), name);
    timeline_addf(*out, TL_CLASH,
                  "Identity clash: the edge node \"%.*s\" exists in group \"%s\" too, as device %s",
                  STR_ARG(t->node), spb_node_group(owner->sp), owner->endpoint);
    device_settle(owner);
    return ERR_OK;
}

static enum err receiver(struct shard *s, const struct spb_topic *t, struct device **out)
{
    if (t->group.n > NAME_MAX_BYTES)
        return ERR_DENIED; /* longer than the keys of by_node */
    *out = device_find_node(s, t->group, t->node);
    if (*out)
        return ERR_OK;
    if (t->kind == SPB_NDEATH || t->kind == SPB_DDEATH)
        return ERR_AGAIN; /* the death of somebody never seen says nothing */
    struct device *d = device_find(s, t->node);
    enum err e = d && d->sp ? admit_clash(s, d, t, &d) : device_admit(s, t->node, &d);
    if (!e && !d->sp)
        e = device_bind_node(d, t->group, t->node, true);
    if (!e)
        *out = d;
    return e;
}

static const enum metric kind_metrics[SPB_KIND_COUNT] = {
    [SPB_NBIRTH] = M_MSG_NBIRTH, [SPB_NDATA] = M_MSG_NDATA, [SPB_NDEATH] = M_MSG_NDEATH,
    [SPB_DBIRTH] = M_MSG_DBIRTH, [SPB_DDATA] = M_MSG_DDATA, [SPB_DDEATH] = M_MSG_DDEATH,
};

void sp_strand_message(struct shard *s, const struct letter_mqtt *m)
{
    struct spb_topic t;
    enum err e = spb_topic_parse(m->topic, &t);
    if (e || t.kind == SPB_STATE) {
        bad_input(s, NULL, e ? e : ERR_NOTFOUND, "topic");
        return;
    }
    if (t.kind == SPB_NCMD || t.kind == SPB_DCMD)
        return; /* other hosts' commands, and our own */
    metric_add(s->engine->metrics, kind_metrics[t.kind], 1);
    if (t.is_short && s->engine->config->sparkplug_strict) {
        bad_input(s, device_find(s, t.node), ERR_UNSUPPORTED, "A short Sparkplug topic");
        return;
    }
    if (shard_standing(s, t.node) != STANDING_ACTIVE && t.kind != SPB_NDEATH) {
        metric_add(s->engine->metrics, M_BAD_BLOCKED, 1);
        return;
    }
    struct device *d;
    e = receiver(s, &t, &d);
    if (e) {
        if (e != ERR_CLOSED && e != ERR_AGAIN)
            bad_input(s, NULL, e, "identity");
        return;
    }
    if (m->too_big) {
        bad_input(s, d, ERR_TOOBIG, "A Sparkplug message beyond 1 MiB was refused");
        device_settle(d);
        return;
    }
    bool alive = t.kind != SPB_NDEATH;
    if (alive)
        device_heard(d, true, spb_kind_words[t.kind]);
    spb_node_message(d->sp, &t, m->payload, &s->scratch, s->now);
    if (alive)
        commands_flush(d); /* any packet is a wake-up */
    device_settle(d);
}

void sp_strand_blind(struct shard *s)
{
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));)
        if (d->sp) {
            device_blind(d, "broker_lost");
            device_settle(d);
        }
}

void sp_strand_broker(struct shard *s, bool up, bool first)
{
    size_t it = 0, nodes = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));)
        nodes += d->sp != NULL;
    uint32_t spread_ms = (uint32_t)(nodes * 1000 / REBIRTHS_PER_S);
    it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));) {
        if (!d->sp)
            continue;
        if (up) {
            spb_node_host_back(d->sp, (uint32_t)(shard_random(s) % (spread_ms + 1)), s->now);
            commands_flush(d);
        } else {
            spb_node_host_lost(d->sp, s->now);
            device_blind(d, "broker_lost");
        }
        d->judge = true;
        device_settle(d);
    }
    if (up && !first)
        log_info("sparkplug.rebirths_planned", KI("nodes", nodes), KI("spread_ms", spread_ms));
}
