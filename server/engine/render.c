/* render.c - a device as JSON: the list row, the detail object, a command.  REST and live views
 * share it, so both always say the same. */
#include "engine/command.h"
#include "engine/engine_int.h"

static void put_text(struct json_out *j, const char *key, const char *text)
{
    json_put_text(j, key, text && *text ? text : NULL);
}

static void lwm2m_summary(const struct device *d, struct json_out *j)
{
    const struct lw_registration *r = d->lw ? lw_client_registration(d->lw) : NULL;
    if (!r || r->state == LW_REG_NONE) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    put_text(j, "state", lw_reg_state_word(r->state));
    put_text(j, "dialect", r->dialect == LW_DIALECT_JSON ? "json" : "oma");
    put_text(j, "version", r->version);
    json_put_u64(j, "lifetime", r->lifetime);
    put_text(j, "binding", r->binding);
    json_put_bool(j, "queue_mode", r->queue_mode);
    json_put_time(j, "registered_at", r->registered_ms);
    json_put_time(j, "updated_at", r->updated_ms);
    json_put_time(j, "expires_at", r->expires_ms);
    json_put_u64(j, "observations", lw_client_observations(d->lw));
    json_put_u64(j, "resources", d->n_resources);
    json_close(j);
}

static void sparkplug_summary(const struct device *d, struct json_out *j)
{
    if (!d->sp) {
        json_null(j);
        return;
    }
    struct spb_node_info i;
    spb_node_get_info(d->sp, &i);
    json_open(j, '{');
    put_text(j, "state", i.life == SPB_LIFE_UNKNOWN ? "stale" : spb_life_word(i.life));
    put_text(j, "group", spb_node_group(d->sp));
    put_text(j, "edge_node", spb_node_id(d->sp));
    json_key(j, "bd_seq");
    if (i.has_bd_seq)
        json_u64(j, i.bd_seq);
    else
        json_null(j);
    json_put_u64(j, "seq", i.seq);
    json_put_time(j, "born_at", i.born_ms);
    json_put_time(j, "died_at", i.died_ms);
    json_put_bool(j, "conformant", i.conformant);
    json_put_u64(j, "devices", i.n_devices);
    json_put_u64(j, "devices_born", i.n_devices_born);
    json_put_u64(j, "metrics", d->n_metrics);
    json_put_u64(j, "sequence_gaps", i.gaps);
    json_put_u64(j, "lost_messages", (uint64_t)i.lost_messages + i.missing);
    json_put_u64(j, "rebirths", i.rebirths_asked);
    json_key(j, "last_rebirth");
    if (i.last_cause) {
        json_open(j, '{');
        json_put_time(j, "at", i.last_cause_ms);
        put_text(j, "cause", spb_cause_words(i.last_cause));
        json_close(j);
    } else {
        json_null(j);
    }
    json_close(j);
}

/* The members of a summary, without braces. */
static void summary_members(struct device *d, struct json_out *j)
{
    struct braid_verdict now; /* the sentence with today's ages */
    braid_judge(&d->evidence, d->shard->now, &now);
    put_text(j, "endpoint", d->endpoint);
    put_text(j, "status", braid_status_word(now.status));
    put_text(j, "sentence", now.sentence);
    put_text(j, "standing", standing_word(shard_standing(d->shard, str_of(d->endpoint))));
    put_text(j, "link", braid_link_word(now.link));
    json_put_time(j, "status_since", verdict_since_ms(d));
    json_put_time(j, "last_seen", d->last_seen_ms);
    put_text(j, "fault", d->evidence.fault);
    put_text(j, "manufacturer", d->manufacturer);
    put_text(j, "model", d->model);
    put_text(j, "firmware", d->firmware);
    put_text(j, "serial", d->serial);
    json_put_double(j, "messages_per_s", (double)(int)(d->messages_per_s * 10 + 0.5f) / 10);
    json_put_u64(j, "lost_samples", d->samples_refused);
    json_key(j, "lwm2m");
    lwm2m_summary(d, j);
    json_key(j, "sparkplug");
    sparkplug_summary(d, j);
}

void render_summary(struct device *d, struct json_out *j)
{
    json_open(j, '{');
    summary_members(d, j);
    json_close(j);
}

static void evidence_item(struct json_out *j, const char *key, int64_t at, const char *kind)
{
    json_key(j, key);
    if (!at) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    json_put_time(j, "at", at);
    put_text(j, "kind", kind);
    json_close(j);
}

static void evidence(const struct device *d, struct json_out *j)
{
    const struct braid_evidence *e = &d->evidence;
    json_open(j, '{');
    evidence_item(j, "lwm2m", e->lw_at_ms, e->lw_kind);
    evidence_item(j, "sparkplug", e->sp_at_ms, e->sp_kind);
    bool sp_newer = e->sp_at_ms >= e->lw_at_ms;
    if (d->verdict.link == BRAID_LINK_LOST)
        evidence_item(j, "link", e->died_at_ms, e->died_kind);
    else if (d->verdict.link == BRAID_LINK_UNKNOWN)
        evidence_item(j, "link", e->blind_at_ms, e->blind_kind);
    else
        evidence_item(j, "link", sp_newer ? e->sp_at_ms : e->lw_at_ms, "message");
    json_close(j);
}

/* Objects and instances of the registered list; a list in link format is short and parsed anew. */
static void objects(struct device *d, struct json_out *j)
{
    const struct lw_registration *r = d->lw ? lw_client_registration(d->lw) : NULL;
    struct arena *a = &d->shard->scratch2;
    struct lw_links links;
    json_open(j, '[');
    arena_reset(a);
    if (r && r->links && !lw_links_parse(a, str_of(r->links), &links)) {
        for (size_t i = 0; i < links.n; i++) {
            const struct lw_link *first = &links.v[i];
            if (!first->is_path || !first->path.n)
                continue;
            uint16_t object = first->path.id[0];
            bool seen = false;
            for (size_t k = 0; k < i && !seen; k++)
                seen = links.v[k].is_path && links.v[k].path.n && links.v[k].path.id[0] == object;
            if (seen)
                continue;
            const struct lw_object_model *m = lw_model_object(d->shard->engine->model, object);
            struct str version = {NULL, 0};
            json_open(j, '{');
            json_put_u64(j, "id", object);
            put_text(j, "name", m ? m->name : NULL);
            json_key(j, "instances");
            json_open(j, '[');
            for (size_t k = i; k < links.n; k++) {
                const struct lw_link *l = &links.v[k];
                if (!l->is_path || !l->path.n || l->path.id[0] != object)
                    continue;
                struct str v = lw_link_attr_find(l, "ver");
                version = v.p ? v : version;
                if (l->path.n == 2)
                    json_u64(j, l->path.id[1]);
            }
            json_close(j);
            json_key(j, "version");
            if (version.p)
                json_str(j, version);
            else
                json_text(j, m ? m->version : NULL);
            json_close(j);
        }
    }
    json_close(j);
}

static void put_series(struct json_out *j, const struct point *p)
{
    struct buf key;
    buf_init(&key, (size_t)1 << 20);
    point_key(p, &key);
    json_put_str(j, "series", buf_view(&key));
    buf_fini(&key);
}

static void put_value(struct json_out *j, const struct point *p)
{
    json_key(j, "value");
    point_value_json(p, j);
}

static void resources(struct device *d, struct json_out *j)
{
    char path[LW_PATH_TEXT];
    struct points_iter it = {0};
    struct point p;
    json_open(j, '[');
    while (points_next(d, &it, &p) && p.res) {
        lw_path_text(resource_path(p.res), path);
        json_open(j, '{');
        put_text(j, "path", path);
        put_series(j, &p);
        put_value(j, &p);
        put_text(j, "type", point_datatype(&p));
        json_put_time(j, "at", p.res->at_ms);
        put_text(j, "source", lw_source_word((enum lw_source)p.res->source));
        put_text(j, "quality", point_quality(&p));
        json_put_bool(j, "observed", d->lw && lw_client_observes(d->lw, resource_path(p.res)));
        json_close(j);
    }
    json_close(j);
}

static void observations(struct device *d, struct json_out *j)
{
    char path[LW_PATH_TEXT];
    json_open(j, '[');
    for (size_t i = 0; d->lw && i < lw_client_observations(d->lw); i++) {
        const struct lw_observation *o = lw_client_observation(d->lw, i);
        json_open(j, '{');
        put_text(j, "token", o->token.text);
        json_key(j, o->composite ? "paths" : "path");
        if (o->composite)
            json_open(j, '[');
        for (size_t k = 0; k < o->n_paths; k++) {
            lw_path_text(o->paths[k], path);
            json_text(j, path);
        }
        if (o->composite)
            json_close(j);
        json_put_bool(j, "active", o->active);
        json_put_time(j, "since", o->since_ms);
        json_put_time(j, "last_notify", o->last_notify_ms);
        json_put_u64(j, "notifies", o->notifies);
        json_close(j);
    }
    json_close(j);
}

static void sparkplug_devices(struct device *d, struct json_out *j)
{
    const struct spb_device *s;
    json_open(j, '[');
    for (size_t i = 0; d->sp && (s = spb_node_device(d->sp, i)); i++) {
        if (s->life == SPB_LIFE_UNKNOWN)
            continue;
        json_open(j, '{');
        json_put_str(j, "device", s->name);
        put_text(j, "state", spb_life_word(s->life));
        json_put_time(j, "born_at", s->born_ms);
        json_put_time(j, "died_at", s->died_ms);
        json_close(j);
    }
    json_close(j);
}

static void metrics(struct device *d, struct json_out *j)
{
    struct points_iter it = {0};
    struct point p;
    json_open(j, '[');
    while (points_next(d, &it, &p)) {
        if (p.res)
            continue;
        const struct spb_what *w = p.tag.what;
        json_open(j, '{');
        put_series(j, &p);
        json_key(j, "device");
        if (p.tag.of)
            json_str(j, p.tag.of->name);
        else
            json_null(j);
        json_put_str(j, "name", w->name);
        put_text(j, "datatype", point_datatype(&p));
        put_value(j, &p);
        put_text(j, "quality", point_quality(&p));
        json_put_time(j, "at", point_at(&p));
        json_key(j, "unit");
        if (w->unit.n)
            json_str(j, w->unit);
        else
            json_null(j);
        json_put_bool(j, "writable", p.tag.announced && !w->readonly);
        json_close(j);
    }
    json_close(j);
}

void render_detail(struct device *d, struct json_out *j)
{
    json_open(j, '{');
    summary_members(d, j);
    json_put_time(j, "created_at", d->created_ms);
    json_key(j, "evidence");
    evidence(d, j);
    json_key(j, "objects");
    objects(d, j);
    json_key(j, "resources");
    resources(d, j);
    json_key(j, "observations");
    observations(d, j);
    json_key(j, "sparkplug_devices");
    sparkplug_devices(d, j);
    json_key(j, "metrics");
    metrics(d, j);
    json_close(j);
}

void render_command_members(const struct command *c, const char *why, int64_t finished_ms,
                            struct json_out *j)
{
    put_text(j, "state", cmd_state_word(c->state));
    put_text(j, "why", why);
    json_put_time(j, "sent_at", c->sent_ms);
    json_put_time(j, "finished_at", finished_ms);
    json_key(j, "result");
    if (c->result)
        json_raw(j, str_of(c->result));
    else
        json_null(j);
}

void render_command(const struct command *c, const char *why, int64_t finished_ms,
                    struct json_out *j)
{
    json_open(j, '{');
    put_text(j, "id", c->id);
    put_text(j, "endpoint", c->device->endpoint);
    put_text(j, "op", cmd_op_word(c->op));
    json_put_raw(j, "request", str_of(c->request));
    json_put_time(j, "created_at", c->created_ms);
    put_text(j, "by", c->by);
    render_command_members(c, why, finished_ms, j);
    json_close(j);
}
