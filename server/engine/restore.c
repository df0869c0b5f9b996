/* restore.c - durable state back into the shards, before their threads run. */
#include "engine/engine_int.h"

#include "base/grow.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define RUN_MAX 4096 /* metrics of one device gathered for one shape */

struct restoring {
    struct engine *engine;
    struct moment now;
    struct map devices;  /* id -> device */
    struct device **all; /* as they came, and so as they lie in memory: fast to walk */
    size_t n_all, cap_all;
    struct device *last;
    /* Rows of one device that follow each other: a shape is made of all at once. */
    struct device *run_of;
    struct arena run_texts, scratch;
    struct spb_old_metric run[RUN_MAX];
    size_t n_run;
};

/* Rows of one device mostly follow each other. */
static struct device *find(struct restoring *r, int64_t id)
{
    if (!r->last || r->last->id != id)
        r->last = map_find_u64(&r->devices, (uint64_t)id);
    return r->last;
}

static enum err remember(struct restoring *r, struct device *d)
{
    struct device **v = grow(r->all, &r->cap_all, r->n_all + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    r->all = v;
    r->all[r->n_all++] = d;
    return map_put_u64(&r->devices, (uint64_t)d->id, d, NULL);
}

/* The verdict as it was stored: what is still true after a restart is neither new nor told anew. */
static void restore_verdict(struct device *d, const struct load_device *l)
{
    struct metrics *m = d->shard->engine->metrics;
    metric_add(m, M_DEV_NEVER + (enum metric)d->verdict.status, -1);
    for (int s = 0; s < BRAID_STATUS_COUNT; s++)
        if (str_is(l->status, braid_status_word((enum braid_status)s)))
            d->verdict.status = (uint8_t)s;
    for (int k = BRAID_LINK_UNKNOWN; k <= BRAID_LINK_LOST; k++)
        if (str_is(l->link, braid_link_word((enum braid_link)k)))
            d->verdict.link = (uint8_t)k;
    metric_add(m, M_DEV_NEVER + (enum metric)d->verdict.status, 1);
}

static enum err on_device(void *ctx, const struct load_device *l)
{
    struct restoring *r = ctx;
    struct shard *s = shard_of(r->engine, l->endpoint);
    s->now = r->now;
    struct device *d = device_new(s, l->id, l->endpoint);
    if (!d)
        return ERR_NOMEM;
    d->created_ms = l->created_ms;
    d->last_seen_ms = l->last_seen_ms;
    d->status_since_ms = l->status_since_ms;
    restore_verdict(d, l);
    device_set_text(d, &d->manufacturer, l->manufacturer);
    device_set_text(d, &d->model, l->model);
    device_set_text(d, &d->serial, l->serial);
    device_set_text(d, &d->firmware, l->firmware);
    device_set_text(d, &d->evidence.fault, l->fault);
    /* A death before our restart still counts until something newer is heard. */
    if (str_is(l->link, "lost")) {
        d->evidence.died_at_ms = l->status_since_ms;
        d->evidence.died_kind = "lost";
    }
    if (l->last_seen_ms) { /* by monotonic time it is older than anything heard from now on */
        if (l->group.p && l->group.n)
            d->evidence.sp_at_ms = l->last_seen_ms;
        else
            d->evidence.lw_at_ms = l->last_seen_ms;
        d->evidence.blind_mono_ms = r->now.mono_ms;
        d->evidence.blind_at_ms = r->now.utc_ms;
        d->evidence.blind_kind = "restart";
    }
    if (l->group.p && l->group.n) {
        enum err e = device_bind_node(d, l->group, l->node, false);
        if (e)
            return e;
    }
    return remember(r, d);
}

static enum lw_reg_state reg_state(struct str word)
{
    for (int s = LW_REG_NONE; s <= LW_REG_DEREGISTERED; s++)
        if (str_is(word, lw_reg_state_word((enum lw_reg_state)s)))
            return (enum lw_reg_state)s;
    return LW_REG_NONE;
}

static uint64_t mono_of(struct moment now, int64_t utc_ms)
{
    if (!utc_ms)
        return UINT64_MAX;
    int64_t left = utc_ms - now.utc_ms;
    return left > 0 ? now.mono_ms + (uint64_t)left : now.mono_ms;
}

static enum err on_registration(void *ctx, const struct load_registration *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    if (!d)
        return ERR_OK;
    enum err e = lw_strand_attach(d);
    if (e)
        return e;
    device_set_text(d, &d->prefix, str_of(r->engine->config->lwm2m_prefix));
    char *links = strndup(l->links.p ? l->links.p : "", l->links.n);
    struct lw_registration reg = {.state = reg_state(l->state),
                                  .dialect =
                                      str_is(l->dialect, "oma") ? LW_DIALECT_OMA : LW_DIALECT_JSON,
                                  .lifetime = (uint32_t)l->lifetime,
                                  .queue_mode = l->queue_mode,
                                  .registered_ms = l->registered_ms,
                                  .updated_ms = l->updated_ms,
                                  .expires_ms = l->expires_ms,
                                  .expires_mono_ms = mono_of(r->now, l->expires_ms),
                                  .links = links};
    snprintf(reg.version, sizeof reg.version, "%.*s", STR_ARG(l->version));
    snprintf(reg.binding, sizeof reg.binding, "%.*s", STR_ARG(l->binding));
    e = lw_client_restore(d->lw, &reg, r->now);
    free(links);
    d->evidence.lw = verdict_of_registration(reg.state);
    d->evidence.lw_since_ms = reg.state == LW_REG_EXPIRED ? l->expires_ms : l->updated_ms;
    return e;
}

static enum err on_observation(void *ctx, const struct load_observation *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    struct lw_path paths[CMD_PATHS_MAX];
    struct lw_token token;
    size_t n = 0;
    struct str rest = l->paths;
    if (!d || !d->lw || !lw_token_parse(l->token, &token))
        return ERR_OK;
    while (rest.p && n < sizeof paths / sizeof *paths) {
        struct str word = str_cut(&rest, ' ');
        if (word.n && lw_path_parse(word, &paths[n++]))
            return ERR_OK; /* one of our own rows spoiled: skip it */
    }
    if (!n)
        return ERR_OK;
    enum err e = lw_client_restore_observation(d->lw, token, paths, n, l->composite, l->since_ms);
    return e == ERR_NOMEM ? e : ERR_OK; /* a row that fits no more must not keep us from starting */
}

static enum spb_life node_life(struct str word)
{
    static const enum spb_life lives[] = {SPB_LIFE_BORN, SPB_LIFE_STALE, SPB_LIFE_DEAD};
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        if (str_is(word, spb_life_word(lives[i])))
            return lives[i];
    return SPB_LIFE_UNKNOWN;
}

static enum err on_node(void *ctx, const struct load_node *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    if (!d || !d->sp)
        return ERR_OK;
    struct spb_node_info before = {.life = node_life(l->life),
                                   .has_bd_seq = l->bd_seq >= 0,
                                   .bd_seq = l->bd_seq >= 0 ? (uint64_t)l->bd_seq : 0,
                                   .born_ms = l->born_ms,
                                   .died_ms = l->died_ms,
                                   .conformant = l->conformant,
                                   .rebirths_asked = (uint32_t)l->rebirths};
    spb_node_restore(d->sp, &before);
    if (d->evidence.died_kind && str_is(l->life, "dead")) {
        d->evidence.died_at_ms = l->died_ms;
        d->evidence.died_kind = "NDEATH";
    }
    return ERR_OK;
}

static enum err on_subdevice(void *ctx, const struct load_subdevice *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    const struct spb_device before = {
        .name = l->name, .life = node_life(l->life), .born_ms = l->born_ms, .died_ms = l->died_ms};
    if (!d || !d->sp)
        return ERR_OK;
    enum err e = spb_node_restore_device(d->sp, &before);
    if (e == ERR_FULL) { /* more than a node may have: comes with its next birth, or not at all */
        log_warn("engine.subdevice_not_restored", KV("endpoint", d->endpoint));
        e = ERR_OK;
    }
    return e;
}

/* The value of a metric from its JSON, typed where that loses nothing. */
static struct spb_value old_value(struct arena *a, unsigned datatype, struct str json)
{
    struct spb_value v = {.datatype = (uint8_t)datatype, .cls = SPB_V_JSON, .s = json};
    struct json_node *n;
    double f;
    int64_t i;
    if (str_is(json, "null")) {
        v.cls = SPB_V_NULL;
        v.u = 0;
    } else if (datatype == SPB_FLOAT || datatype == SPB_DOUBLE) {
        if (!str_to_double(json, &f)) {
            v.cls = SPB_V_FLOAT;
            v.f = f;
        }
    } else if (datatype >= SPB_INT8 && datatype <= SPB_INT64) {
        if (!str_to_i64(json, &i)) {
            v.cls = SPB_V_INT;
            v.i = i;
        }
    } else if (datatype == SPB_BOOLEAN) {
        v.cls = SPB_V_BOOL;
        v.b = str_is(json, "true");
    } else if (datatype == SPB_STRING || datatype == SPB_TEXT) {
        if (!json_parse(a, json, 4, &n) && json_is_str(n, &v.s))
            v.cls = SPB_V_TEXT;
        else
            v.s = json;
    }
    return v;
}

static enum err end_run(struct restoring *r)
{
    enum err e = ERR_OK;
    arena_reset(&r->scratch);
    if (r->n_run)
        e = spb_node_restore_metrics(r->run_of->sp, r->run, r->n_run, &r->scratch);
    if (e == ERR_FULL) { /* more than a node may have: what is left out comes with the next birth */
        log_warn("engine.series_not_restored", KV("endpoint", r->run_of->endpoint));
        e = ERR_OK;
    }
    r->n_run = 0;
    arena_reset(&r->run_texts);
    return e;
}

static enum err add_to_run(struct restoring *r, struct device *d, const struct load_series *l)
{
    enum err e = ERR_OK;
    if (r->run_of != d || r->n_run == RUN_MAX)
        e = end_run(r);
    r->run_of = d;
    unsigned datatype = SPB_UNKNOWN;
    struct str name = arena_str(&r->run_texts, l->key), json = arena_str(&r->run_texts, l->value);
    struct spb_old_metric *m = &r->run[r->n_run];
    str_cut(&name, ':');
    *m = (struct spb_old_metric){.device = str_cut(&name, '/'), .name = name, .series = l->id};
    m->unit = arena_str(&r->run_texts, l->unit);
    if (!name.p || !json.p || !m->unit.p)
        return ERR_NOMEM;
    if (spb_datatype_from(l->datatype, &datatype))
        m->datatype = (uint8_t)datatype;
    m->value = (struct spb_value){.datatype = m->datatype, .cls = SPB_V_NULL};
    if (l->has_latest) {
        m->value = old_value(&r->run_texts, datatype, json);
        m->time_ms = l->at_ms;
    }
    r->n_run++;
    d->n_metrics++;
    return e;
}

static enum err on_series(void *ctx, const struct load_series *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    if (!d)
        return ERR_OK;
    if (!str_starts(l->key, "spb:"))
        return resource_restore(d, l);
    return d->sp ? add_to_run(r, d, l) : ERR_OK;
}

static enum err on_command(void *ctx, const struct load_command *l)
{
    struct restoring *r = ctx;
    struct device *d = find(r, l->device_id);
    return d ? command_restore(d, l) : ERR_OK;
}

static enum err on_identity(void *ctx, const struct load_identity *l)
{
    struct restoring *r = ctx;
    return standing_restore(r->engine, l);
}

static void settle_all(struct restoring *r)
{
    for (unsigned i = 0; i < r->engine->n_shards; i++)
        r->engine->shards[i].now = r->now;
    for (size_t i = 0; i < r->n_all; i++) {
        struct device *d = r->all[i];
        points_restored(d);
        d->judge = true;
        device_settle(d);
    }
}

enum err engine_restore(struct engine *e)
{
    struct restoring *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->engine = e;
    r->now = clock_now();
    map_init(&r->devices, r->now.mono_ms);
    arena_init(&r->run_texts, (size_t)1 << 16, (size_t)1 << 30);
    arena_init(&r->scratch, (size_t)1 << 16, (size_t)1 << 30);
    const struct load_visitor v = {.ctx = r,
                                   .device = on_device,
                                   .registration = on_registration,
                                   .observation = on_observation,
                                   .node = on_node,
                                   .subdevice = on_subdevice,
                                   .series = on_series,
                                   .command = on_command,
                                   .identity = on_identity};
    int64_t max_device = 0;
    uint32_t max_series = 0;
    enum err err = store_load(e->config->db_conninfo, &v, &max_device, &max_series);
    if (!err)
        err = end_run(r);
    if (!err) {
        atomic_store(&e->next_device_id, max_device + 1);
        atomic_store(&e->next_series, max_series + 1);
        settle_all(r);
        log_info("engine.restored", KI("devices", r->n_all), KI("max_series", max_series));
    }
    map_fini(&r->devices);
    free(r->all);
    arena_fini(&r->run_texts);
    arena_fini(&r->scratch);
    free(r);
    return err;
}
