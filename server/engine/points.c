/* points.c - the last value of every series of a device, LwM2M's resources and Sparkplug's metrics
 * seen as one.
 *
 * The values are where their strand keeps them (resources.c, the node's cells); a struct point is a
 * look at one.  After a restart both hold what was read back from SQL until live values arrive. */
#include "engine/engine_int.h"

#include <stdio.h>
#include <stdlib.h>

#define LATEST_MAX ((size_t)60 << 10) /* bytes of one statement, about */
#define VALUE_MAX  ((size_t)64 << 10) /* a longer one is not there after a restart */

bool points_next(struct device *d, struct points_iter *it, struct point *out)
{
    *out = (struct point){.device = d};
    if (it->resource < d->n_resources) {
        out->res = &d->resources[it->resource++];
        return true;
    }
    while (d->sp && spb_node_next_tag(d->sp, &it->tags, &out->tag))
        if (out->tag.cell->series) /* the others never had a value */
            return true;
    return false;
}

void point_key(const struct point *p, struct buf *out)
{
    char path[LW_PATH_TEXT];
    if (p->res) {
        lw_path_text(resource_path(p->res), path);
        buf_puts(out, "lwm2m:");
        buf_puts(out, path);
        return;
    }
    buf_puts(out, "spb:");
    if (p->tag.of)
        buf_str(out, p->tag.of->name);
    buf_putc(out, '/');
    buf_str(out, p->tag.what->name);
}

const char *point_datatype(const struct point *p)
{
    return p->res ? lw_type_word((enum lw_type)p->res->type)
                  : spb_datatype_word(p->tag.what->datatype);
}

struct str point_unit(const struct point *p)
{
    if (!p->res)
        return p->tag.what->unit;
    struct lw_path path = resource_path(p->res);
    const struct lw_resource_model *m =
        lw_model_resource(p->device->shard->engine->model, path.id[0], path.id[2]);
    return str_of(m ? m->units : "");
}

int64_t point_at(const struct point *p)
{
    return p->res ? p->res->at_ms : p->tag.cell->time_ms;
}

const char *point_quality(const struct point *p)
{
    return spb_quality_word((enum spb_quality)(p->res ? p->res->quality : p->tag.cell->quality));
}

uint8_t *point_marks(const struct point *p)
{
    return p->res ? &p->res->marks : &p->tag.cell->marks;
}

void point_value_json(const struct point *p, struct json_out *j)
{
    if (p->res) {
        resource_value_json(p->res, j);
    } else {
        struct spb_value v = spb_cell_value(p->tag.cell);
        spb_value_json(j, &v);
    }
}

void points_touched(struct device *d)
{
    d->live_values = d->latest_dirty = true;
    if (list_empty(&d->dirty_node))
        list_append(&d->shard->dirty, &d->dirty_node);
}

/* ---- latest values to SQL ---- */

static void put_latest(struct device *d, struct buf *json)
{
    struct params v = {.n = 0};
    buf_putc(json, ']');
    params_str(&v, buf_view(json));
    if (!json->err)
        params_put(d->shard->engine, ST_LATEST_MANY, &v);
    buf_reset(json);
}

static void add_latest(const struct point *p, struct buf *json)
{
    struct json_out j;
    size_t before = json->n;
    buf_putc(json, json->n ? ',' : '[');
    json_out_init(&j, json);
    json_open(&j, '{');
    json_put_u64(&j, "i", p->res ? p->res->series : p->tag.cell->series);
    json_put_i64(&j, "t", point_at(p));
    json_key(&j, "v");
    point_value_json(p, &j);
    json_put_text(&j, "q", point_quality(p));
    json_put_text(&j, "o", p->res ? lw_source_word((enum lw_source)p->res->source) : "data");
    json_close(&j);
    if (json->n - before > VALUE_MAX)
        json->n = before;
}

void points_store_latest(struct device *d)
{
    struct points_iter it = {0};
    struct point p;
    struct buf json;
    if (!d->latest_dirty || !caches_wanted(d->shard))
        return;
    d->latest_dirty = false;
    buf_init(&json, (size_t)16 << 20);
    while (points_next(d, &it, &p)) {
        uint8_t *marks = point_marks(&p);
        if (!(*marks & MARK_STORE))
            continue;
        *marks &= (uint8_t)~MARK_STORE;
        add_latest(&p, &json);
        if (json.n > LATEST_MAX)
            put_latest(d, &json);
    }
    if (json.n)
        put_latest(d, &json);
    buf_fini(&json);
}

/* ---- what the device says about itself ---- */

void points_check_clock(struct device *d, bool possible)
{
    if (d->clock_is_wrong != possible)
        return;
    d->clock_is_wrong = !possible;
    timeline_add(d, TL_CLOCK,
                 possible
                     ? "The device's clock is right again"
                     : "The device's clock is wrong: times more than ten minutes ahead, or before "
                       "2000; its samples are kept at their arrival, marked bad_time",
                 str_make(NULL, 0));
}

void points_fault(struct device *d)
{
    char words[1024]; /* both parts whole; device_set_text shortens */
    snprintf(words, sizeof words, "%s%s%s", d->fault_metric ? d->fault_metric : "",
             d->fault_metric && d->fault_lwm2m ? "; " : "", d->fault_lwm2m ? d->fault_lwm2m : "");
    if (str_is(device_text(str_of(words)), d->evidence.fault ? d->evidence.fault : ""))
        return;
    bool had = d->evidence.fault != NULL;
    device_set_text(d, &d->evidence.fault, str_of(words));
    d->judge = true;
    d->store_seen_dirty = true;
    device_mark_row(d);
    if (d->evidence.fault)
        timeline_addf(d, TL_FAULT, "The device reports: %s", d->evidence.fault);
    else if (had)
        timeline_addf(d, TL_FAULT, "The device reports no fault any more");
}

static bool is_fault_text(const struct spb_what *w)
{
    return w->name.n == 10 && memcmp(w->name.p, "Fault/Text", 10) == 0;
}

void points_restored(struct device *d)
{
    struct spb_tag tag;
    resources_collect_errors(d);
    if (d->sp && spb_node_tag_find(d->sp, str_make(NULL, 0), (struct str)STR("Fault/Text"), &tag)) {
        struct spb_value v = spb_cell_value(tag.cell);
        if (v.cls == SPB_V_TEXT)
            device_set_text(d, &d->fault_metric, v.s);
    }
    points_fault(d);
}

/* ---- Sparkplug samples ---- */

void points_take_samples(struct device *d, const struct spb_sample *v, size_t n)
{
    struct shard *s = d->shard;
    struct series_news news;
    series_news_begin(&news, d);
    metric_add(s->engine->metrics, M_METRICS_IN, (int64_t)n);
    s->metrics_in += n;
    for (size_t i = 0; i < n; i++) {
        struct spb_cell *c = v[i].tag.cell;
        if (!c->series) {
            c->series = atomic_fetch_add(&s->engine->next_series, 1);
            c->marks |= SPB_MARK_RETYPED;
            d->n_metrics++;
        }
        if (c->marks & SPB_MARK_RETYPED) {
            c->marks &= (uint8_t)~SPB_MARK_RETYPED;
            series_news_add(&news, c->series, &(struct point){.device = d, .tag = v[i].tag});
        }
        if (!v[i].transient)
            store_sparkplug(d, c->series, &v[i]);
        points_check_clock(d, v[i].quality != SPB_Q_BAD_TIME);
        if (v[i].historical)
            continue;
        c->marks |= MARK_LIVE | MARK_STORE;
        points_touched(d);
        commands_see_metric(d, &v[i]);
        if (is_fault_text(v[i].tag.what)) {
            device_set_text(d, &d->fault_metric,
                            v[i].value.cls == SPB_V_TEXT ? v[i].value.s : str_make(NULL, 0));
            points_fault(d);
        }
    }
    series_news_end(&news);
}

void points_stale(struct device *d, struct str subdevice)
{
    struct spb_tag_iter it = {0};
    struct spb_tag tag;
    while (spb_node_next_tag(d->sp, &it, &tag))
        if (tag.cell->series && (!subdevice.p || (tag.of && str_eq(tag.of->name, subdevice))))
            tag.cell->marks |= MARK_LIVE | MARK_STORE;
    points_touched(d);
}
