/* answers.c - what a shard answers to request threads. */
#include "engine/command.h"
#include "engine/engine_int.h"

#include <stdlib.h>

static enum err answer_device(struct shard *s, struct ask *a)
{
    struct device *d = device_find(s, str_of(a->endpoint));
    struct json_out j;
    if (!d)
        return ERR_NOTFOUND;
    json_out_init(&j, &a->json);
    render_detail(d, &j);
    return a->json.err;
}

static enum err answer_fleet(struct shard *s, struct ask *a)
{
    size_t it = 0;
    for (struct device *d; (d = map_next(&s->by_endpoint, &it));) {
        a->counts.devices++;
        a->counts.by_status[d->verdict.status]++;
        a->counts.lwm2m_active += d->counted_lw;
        a->counts.sparkplug_online += d->counted_sp;
        a->counts.messages_per_s += (double)d->messages_per_s;
    }
    a->counts.metrics_per_s = s->metrics_per_s;
    return ERR_OK;
}

static enum err answer_device_id(struct shard *s, struct ask *a)
{
    struct device *d = device_find(s, str_of(a->endpoint));
    if (!d)
        return ERR_NOTFOUND;
    a->device_id = d->id;
    a->sleeping = d->verdict.status == BRAID_SLEEPING || d->verdict.link == BRAID_LINK_LOST;
    return ERR_OK;
}

static void uncount(struct device *d)
{
    struct metrics *m = d->shard->engine->metrics;
    metric_add(m, M_DEV_NEVER + (enum metric)d->verdict.status, -1);
    metric_add(m, M_LW_ACTIVE, d->counted_lw ? -1 : 0);
    metric_add(m, M_SP_ONLINE, d->counted_sp ? -1 : 0);
    metric_add(m, M_SP_SUBDEVICES, -(int64_t)d->counted_subdevices);
}

static enum err answer_forget(struct shard *s, struct ask *a)
{
    struct device *d = device_find(s, str_of(a->endpoint));
    if (!d)
        return ERR_NOTFOUND;
    if (d->verdict.link == BRAID_LINK_UP && d->verdict.status != BRAID_OFFLINE)
        return ERR_CONFLICT;
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        command_fail_gone(s, str_of(c->id), "the device was deleted");
    }
    feed_removed(d);
    uncount(d);
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    shard_flush_samples(s);
    params_put(s->engine, ST_DEVICE_DELETE, &p);
    map_remove(&s->by_endpoint, str_of(d->endpoint));
    map_remove_u64(&s->by_id, (uint64_t)d->id);
    if (d->node_key)
        map_remove(&s->by_node, str_of(d->node_key));
    heap_remove(&s->deadlines, &d->deadline);
    list_remove(&d->dirty_node);
    device_free(d);
    return ERR_OK;
}

static enum err answer_cancel(struct shard *s, struct ask *a)
{
    struct device *d = device_find(s, str_of(a->endpoint));
    enum err e = d ? commands_cancel(d, str_of(a->command_id)) : ERR_NOTFOUND;
    if (d)
        device_settle(d);
    return e;
}

static enum err answer(struct shard *s, struct ask *a)
{
    switch (a->kind) {
    case ASK_LIST:
        return fleet_list_answer(s, a->query, &a->rows);
    case ASK_DEVICE:
        return answer_device(s, a);
    case ASK_FLEET:
        return answer_fleet(s, a);
    case ASK_DEVICE_ID:
        return answer_device_id(s, a);
    case ASK_FORGET:
        return answer_forget(s, a);
    case ASK_CANCEL:
        return answer_cancel(s, a);
    case ASK_ADD:
        return standing_add(s, a);
    case ASK_STANDING:
        return standing_answer(s, a);
    case ASK_NOTE:
        return standing_note(s, a);
    case ASK_SUBSCRIBE:
        feed_subscribe(s, a);
        return a->result;
    case ASK_RESNAPSHOT:
        snapshot_begin(s, a->outbox, a->sub);
        return ERR_OK;
    case ASK_UNSUBSCRIBE:
        snapshots_end(s, a->outbox, a->sub);
        live_table_remove(s->live, a->sub);
        return ERR_OK;
    case ASK_LEAVE:
        snapshots_end(s, a->outbox, NULL);
        live_table_remove_outbox(s->live, a->outbox);
        return ERR_OK;
    }
    return ERR_UNSUPPORTED;
}

void ask_handle(struct shard *s, struct ask *a)
{
    ask_answer(a, answer(s, a));
}
