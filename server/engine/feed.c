/* feed.c - what live views see: rows, values, events, commands, once per tick and made only for
 * subscribers that exist. */
#include "engine/engine_int.h"

#define FRAG_MAX ((size_t)8 << 20)

#define WANTS_ROW (1u << LIVE_FLEET | 1u << LIVE_DEVICE)

static struct live_frag *take_frag(struct buf *b)
{
    struct live_frag *f = b->err || !b->n ? NULL : live_frag_new(buf_view(b));
    buf_fini(b);
    return f;
}

static struct live_frag *row_frag(struct device *d)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, FRAG_MAX);
    json_out_init(&j, &b);
    render_summary(d, &j);
    return take_frag(&b);
}

/* [endpoint, series, ts_ms, value, quality] of every point that changed. */
static struct live_frag *values_frag(struct device *d)
{
    struct buf b, key;
    struct json_out j;
    struct points_iter it = {0};
    struct point p;
    buf_init(&b, FRAG_MAX);
    buf_init(&key, FRAG_MAX);
    while (points_next(d, &it, &p)) {
        uint8_t *marks = point_marks(&p);
        if (!(*marks & MARK_LIVE))
            continue;
        *marks &= (uint8_t)~MARK_LIVE;
        if (b.n)
            buf_putc(&b, ',');
        buf_reset(&key);
        point_key(&p, &key);
        json_out_init(&j, &b);
        json_open(&j, '[');
        json_text(&j, d->endpoint);
        json_str(&j, buf_view(&key));
        json_i64(&j, point_at(&p));
        point_value_json(&p, &j);
        json_text(&j, point_quality(&p));
        json_close(&j);
    }
    buf_fini(&key);
    return take_frag(&b);
}

static void publish(struct device *d, enum live_topic topic, enum live_part part,
                    struct live_frag *f)
{
    if (f)
        live_publish(d->shard->live, topic, str_of(d->endpoint), part, f);
}

static void feed_values(struct device *d)
{
    struct live_frag *f = values_frag(d);
    publish(d, LIVE_DEVICE, LIVE_VALUES, f);
    live_frag_unref(f);
}

static void feed_device(struct device *d)
{
    struct shard *s = d->shard;
    unsigned wanted = live_wanted(s->live, str_of(d->endpoint));
    bool row_due = d->row_dirty || (d->seen_dirty && s->now.mono_ms - d->row_sent_ms >= SEEN_MS);
    if (row_due && wanted & WANTS_ROW) {
        struct live_frag *f = row_frag(d);
        publish(d, LIVE_FLEET, LIVE_DEVICES, f);
        publish(d, LIVE_DEVICE, LIVE_DEVICES, f);
        live_frag_unref(f);
        d->row_sent_ms = s->now.mono_ms;
    }
    if (row_due)
        d->row_dirty = d->seen_dirty = false;
    if (d->live_values && wanted & (1u << LIVE_DEVICE)) {
        feed_values(d);
        if (d->newest_us)
            histogram_observe_us(s->engine->metrics, H_LIVE, clock_mono_us() - d->newest_us);
    }
    d->newest_us = 0;
    d->live_values = false; /* marks stay while nobody looks: catch_up() wipes them */
}

void feed_tick(struct shard *s)
{
    struct list waiting;
    list_init(&waiting);
    list_each(it, &s->dirty)
    {
        struct device *d = list_entry(it, struct device, dirty_node);
        list_remove(it);
        feed_device(d);
        if (d->seen_dirty) /* its row goes out when a second has passed */
            list_append(&waiting, it);
    }
    list_each(it, &waiting)
    {
        list_remove(it);
        list_append(&s->dirty, it);
    }
}

static void feed_json(struct device *d, enum live_topic fleet_topic, enum live_part part,
                      struct str json)
{
    struct live_frag *f = live_frag_new(json);
    publish(d, fleet_topic, part, f);
    publish(d, LIVE_DEVICE, part, f);
    live_frag_unref(f);
}

void feed_event(struct device *d, struct str json)
{
    feed_json(d, LIVE_TIMELINE, LIVE_EVENTS, json);
}

void feed_command(struct device *d, struct str json)
{
    feed_json(d, LIVE_COMMANDS, LIVE_COMMAND_PART, json);
}

void feed_removed(struct device *d)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 1024);
    json_out_init(&j, &b);
    json_text(&j, d->endpoint);
    struct live_frag *f = take_frag(&b);
    publish(d, LIVE_FLEET, LIVE_REMOVED, f);
    publish(d, LIVE_DEVICE, LIVE_REMOVED, f);
    live_frag_unref(f);
}

/* ---- newcomers ---- */

/* What changed until now is in the snapshot that follows: those who look already are told at
 * once, and the newcomer does not get it again as news when the device speaks next. */
static void catch_up(struct device *d)
{
    struct points_iter it = {0};
    struct point p;
    if (live_wanted(d->shard->live, str_of(d->endpoint)) & (1u << LIVE_DEVICE))
        feed_values(d);
    else
        while (points_next(d, &it, &p))
            *point_marks(&p) &= (uint8_t)~MARK_LIVE;
}

void feed_subscribe(struct shard *s, struct ask *a)
{
    size_t it = 0;
    if (a->sub->topic == LIVE_DEVICE)
        for (struct device *d; (d = snapshot_next(s, a->sub, &it));)
            catch_up(d);
    a->result = live_table_add(s->live, a->outbox, a->sub);
    if (!a->result)
        snapshot_begin(s, a->outbox, a->sub);
}
