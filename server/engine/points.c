/* points.c - the last value of every series, and the samples on their way to the writer.
 *
 * A Sparkplug point reads its value from the node's tag; an LwM2M point keeps a copy of its own.
 * After a restart a point shows the value read back from SQL until a live one arrives. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_SAMPLE_MAX 65536

static void store_series(struct point *p)
{
    struct params v = {.n = 0};
    params_i64(&v, p->series);
    params_i64(&v, p->device->id);
    params_text(&v, p->sparkplug ? "sparkplug" : "lwm2m");
    params_text(&v, p->key);
    params_text(&v, p->datatype);
    params_text(&v, *p->unit ? p->unit : NULL);
    params_put(p->device->shard->engine, ST_SERIES_PUT, &v);
}

void point_free(struct point *p)
{
    if (!p)
        return;
    free(p->key);
    free(p->datatype);
    free(p->unit);
    free(p->text);
    free(p->restored);
    free(p);
}

static struct point *point_new(struct device *d, struct str key, const char *datatype,
                               struct str unit, bool sparkplug)
{
    struct point *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->device = d;
    p->sparkplug = sparkplug;
    p->key = strndup(key.p, key.n);
    p->datatype = strdup(datatype);
    p->unit = strndup(unit.p ? unit.p : "", unit.n);
    if (!p->key || !p->datatype || !p->unit ||
        map_put(&d->points_by_key, str_of(p->key), p, NULL)) {
        point_free(p);
        return NULL;
    }
    *d->points_end = p;
    d->points_end = &p->next;
    if (sparkplug)
        d->n_metrics++;
    else
        d->n_resources++;
    return p;
}

static struct point *add_point(struct device *d, struct str key, const char *datatype,
                               struct str unit, bool sparkplug)
{
    struct point *p = point_new(d, key, datatype, unit, sparkplug);
    if (!p)
        return NULL;
    p->series = atomic_fetch_add(&d->shard->engine->next_series, 1);
    store_series(p);
    return p;
}

/* The birth may announce another type or unit than before: the series keeps its id. */
static void retype(struct point *p, const char *datatype, struct str unit)
{
    if (strcmp(p->datatype, datatype) == 0 && str_is(unit, p->unit))
        return;
    char *type = strdup(datatype), *u = strndup(unit.p ? unit.p : "", unit.n);
    if (!type || !u) {
        free(type);
        free(u);
        return;
    }
    free(p->datatype);
    free(p->unit);
    p->datatype = type;
    p->unit = u;
    store_series(p);
}

struct point *point_lwm2m(struct device *d, struct lw_path path, enum lw_type type)
{
    struct point *p = map_find_u64(&d->points_by_path, lw_path_key(path));
    if (p) {
        if (type != LW_NONE)
            retype(p, lw_type_word(type), str_of(p->unit));
        return p;
    }
    char key[8 + LW_PATH_TEXT] = "lwm2m:";
    lw_path_text(path, key + 6);
    const struct lw_resource_model *m =
        lw_model_resource(d->shard->engine->model, path.id[0], path.id[2]);
    p = add_point(d, str_of(key), lw_type_word(type), str_of(m ? m->units : ""), false);
    if (!p)
        return NULL;
    p->path = path;
    if (map_put_u64(&d->points_by_path, lw_path_key(path), p, NULL))
        log_error("engine.no_memory_for_point", KV("endpoint", d->endpoint));
    return p;
}

struct point *point_sparkplug(struct device *d, struct spb_tag *tag)
{
    const char *datatype = spb_datatype_word(tag->datatype);
    struct point *p = tag->user;
    if (p) {
        retype(p, datatype, tag->unit);
        return p;
    }
    struct buf key;
    buf_init(&key, 4096);
    buf_puts(&key, "spb:");
    buf_str(&key, tag->device);
    buf_putc(&key, '/');
    buf_str(&key, tag->name);
    if (!key.err) {
        p = map_find(&d->points_by_key, buf_view(&key));
        if (p)
            retype(p, datatype, tag->unit);
        else
            p = add_point(d, buf_view(&key), datatype, tag->unit, true);
    }
    buf_fini(&key);
    if (p) {
        p->tag = tag;
        tag->user = p;
        tag->series = p->series;
    }
    return p;
}

/* Integers come back typed, so that rules over them (fault words) work at once. */
static bool restore_number(struct point *p, const struct load_series *s)
{
    int64_t i;
    if (p->sparkplug || !str_is(s->datatype, lw_type_word(LW_INTEGER)) || str_to_i64(s->value, &i))
        return false;
    p->value = (struct lw_value){.type = LW_INTEGER, .i = i};
    return true;
}

struct point *point_restored(struct device *d, const struct load_series *s)
{
    bool sparkplug = str_is(s->source, "sparkplug");
    char datatype[32];
    snprintf(datatype, sizeof datatype, "%.*s", STR_ARG(s->datatype));
    struct point *p = point_new(d, s->key, datatype, s->unit, sparkplug);
    if (!p)
        return NULL;
    p->series = s->id;
    if (!sparkplug) {
        struct str text = s->key;
        str_cut(&text, ':');
        if (lw_path_parse(text, &p->path) ||
            map_put_u64(&d->points_by_path, lw_path_key(p->path), p, NULL))
            log_warn("engine.series_not_restored", KS("series", s->key));
    }
    if (s->has_latest && !restore_number(p, s)) {
        p->restored = strndup(s->value.p, s->value.n);
    }
    if (s->has_latest) {
        p->at_ms = s->at_ms;
        p->quality = sparkplug ? SPB_Q_STALE : SPB_Q_GOOD;
        for (int src = LW_SRC_REGISTRATION; src <= LW_SRC_WRITE; src++)
            if (str_is(s->origin, lw_source_word((enum lw_source)src)))
                p->source = (uint8_t)src;
    }
    return p;
}

void point_touch(struct point *p)
{
    struct device *d = p->device;
    p->store_dirty = true;
    if (!p->dirty) {
        p->dirty = true;
        p->next_dirty = NULL;
        *d->dirty_end = p;
        d->dirty_end = &p->next_dirty;
    }
    if (list_empty(&d->dirty_node))
        list_append(&d->shard->dirty, &d->dirty_node);
}

void point_value_json(const struct point *p, struct json_out *j)
{
    if (p->sparkplug && p->tag)
        spb_value_json(j, &p->tag->value);
    else if (p->restored)
        json_raw(j, str_of(p->restored));
    else if (p->sparkplug)
        json_null(j);
    else
        lw_value_json(j, p->value);
}

void point_store_latest(struct point *p)
{
    struct buf value;
    struct json_out j;
    p->store_dirty = false;
    buf_init(&value, TEXT_SAMPLE_MAX);
    json_out_init(&j, &value);
    point_value_json(p, &j);
    if (!value.err) {
        struct params v = {.n = 0};
        params_i64(&v, p->series);
        params_i64(&v, p->at_ms);
        params_str(&v, buf_view(&value));
        params_text(&v, spb_quality_word((enum spb_quality)p->quality));
        params_text(&v, p->sparkplug ? "data" : lw_source_word((enum lw_source)p->source));
        params_put(p->device->shard->engine, ST_LATEST_PUT, &v);
    }
    buf_fini(&value);
}

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

/* ---- samples to the writer ---- */

struct batch *points_batch(struct shard *s)
{
    if (!s->batch) {
        s->batch = batch_new();
        s->batch_since_ms = s->now.mono_ms;
        if (s->batch)
            s->batch->arrived_us = s->arrived_us;
    }
    if (!s->batch)
        metric_add(s->engine->metrics, M_SAMPLES_REFUSED, 1);
    return s->batch;
}

static void store_number(struct shard *s, const struct point *p, uint8_t quality, int64_t at_ms,
                         double v)
{
    struct sample sample = {p->series, quality, at_ms * 1000, v};
    for (int attempt = 0; attempt < 2; attempt++) {
        struct batch *b = points_batch(s);
        if (!b)
            return;
        if (batch_add(b, sample))
            return;
        shard_flush_samples(s);
    }
    flow_refuse(p->device, 1);
}

static void store_text(struct shard *s, const struct point *p, uint8_t quality, int64_t at_ms,
                       char kind, struct str v)
{
    if (v.n > TEXT_SAMPLE_MAX) {
        metric_add(s->engine->metrics, M_SAMPLES_REFUSED, 1);
        return;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        struct batch *b = points_batch(s);
        if (!b)
            return;
        enum err e = batch_add_text(b, p->series, quality, at_ms * 1000, kind, v);
        if (!e)
            return;
        shard_flush_samples(s);
    }
    flow_refuse(p->device, 1);
}

#define HISTORICAL 16

static void store_sparkplug(struct shard *s, const struct point *p, const struct spb_sample *v)
{
    double number;
    uint8_t quality = (uint8_t)(v->quality + (v->historical ? HISTORICAL : 0));
    if (spb_value_double(&v->value, &number))
        store_number(s, p, quality, v->time_ms, number);
    else if (v->value.cls == SPB_V_TEXT)
        store_text(s, p, quality, v->time_ms, 't', v->value.s);
    else if (v->value.cls == SPB_V_BYTES)
        store_text(s, p, quality, v->time_ms, 'b', v->value.s);
    else if (v->value.cls == SPB_V_JSON)
        store_text(s, p, quality, v->time_ms, 'j', v->value.s);
    else if (v->value.cls == SPB_V_FLOAT)
        store_number(s, p, quality, v->time_ms, v->value.f); /* NaN and infinities */
    else
        store_text(s, p, quality, v->time_ms, 'n', str_make("", 0));
}

static void store_lwm2m(struct shard *s, const struct point *p, const struct lw_value *v,
                        uint8_t quality, int64_t at_ms)
{
    double number;
    char link[16];
    if (lw_value_double(*v, &number)) {
        store_number(s, p, quality, at_ms, number);
    } else if (v->type == LW_OPAQUE) {
        store_text(s, p, quality, at_ms, 'b', v->s);
    } else if (v->type == LW_OBJLNK) {
        int n = snprintf(link, sizeof link, "%u:%u", v->link.oid, v->link.iid);
        store_text(s, p, quality, at_ms, 't', str_make(link, (size_t)n));
    } else if (v->type == LW_FLOAT) {
        store_number(s, p, quality, at_ms, v->f);
    } else if (v->type != LW_NONE) {
        store_text(s, p, quality, at_ms, 't', v->s);
    }
}

/* ---- what the device says about itself ---- */

static const char *const device_errors[] = {/* object 3, resource 11 */
                                            NULL,
                                            "low battery power",
                                            "external power supply off",
                                            "GPS module failure",
                                            "low received signal strength",
                                            "out of memory",
                                            "SMS failure",
                                            "IP connectivity failure",
                                            "peripheral malfunction"};

static void collect_errors(struct device *d)
{
    char words[256] = "";
    size_t n = 0;
    for (struct point *p = d->points; p && n < sizeof words; p = p->next) {
        if (p->sparkplug || p->restored || p->path.n < 3 || p->path.id[0] != 3 ||
            p->path.id[2] != 11 || p->value.type != LW_INTEGER || p->value.i <= 0)
            continue;
        const char *w = p->value.i < (int64_t)(sizeof device_errors / sizeof *device_errors)
                            ? device_errors[p->value.i]
                            : "an error of its own kind";
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%s (/3/0/11 = %d)", n ? ", " : "", w,
                              (int)p->value.i);
    }
    device_set_text(&d->fault_lwm2m, str_of(words));
}

static void update_fault(struct device *d)
{
    char words[1024]; /* both parts whole; device_set_text shortens */
    snprintf(words, sizeof words, "%s%s%s", d->fault_metric ? d->fault_metric : "",
             d->fault_metric && d->fault_lwm2m ? "; " : "", d->fault_lwm2m ? d->fault_lwm2m : "");
    if (str_is(device_text(str_of(words)), d->fault ? d->fault : ""))
        return;
    bool had = d->fault != NULL;
    device_set_text(&d->fault, str_of(words));
    d->evidence.fault = d->fault; /* borrowed: never leave the old pointer there */
    d->judge = true;
    d->store_seen_dirty = true;
    device_mark_row(d);
    if (d->fault)
        timeline_addf(d, TL_FAULT, "The device reports: %s", d->fault);
    else if (had)
        timeline_addf(d, TL_FAULT, "The device reports no fault any more");
}

void points_restored(struct device *d)
{
    struct point *p = map_find(&d->points_by_key, str_of("spb:/Fault/Text"));
    struct json_node *text;
    struct str words;
    collect_errors(d);
    arena_reset(&d->shard->scratch);
    if (p && p->restored && !json_parse(&d->shard->scratch, str_of(p->restored), 4, &text) &&
        json_is_str(text, &words))
        device_set_text(&d->fault_metric, words);
    update_fault(d);
}

static void learn_identity(struct device *d, struct lw_path path, const struct lw_value *v)
{
    if (path.id[0] != 3 || path.n != 3 || v->type != LW_STRING)
        return;
    char **where = path.id[2] == 0   ? &d->manufacturer
                   : path.id[2] == 1 ? &d->model
                   : path.id[2] == 2 ? &d->serial
                   : path.id[2] == 3 ? &d->firmware
                                     : NULL;
    if (!where || (*where && str_is(device_text(v->s), *where)))
        return;
    device_set_text(where, v->s);
    d->store_seen_dirty = true;
    device_mark_row(d);
}

/* ---- LwM2M values ---- */

static bool keep_value(struct point *p, struct lw_value v)
{
    if (v.type == LW_STRING || v.type == LW_OPAQUE || v.type == LW_CORELNK) {
        if (v.s.n + 1 > p->text_cap) {
            char *text = realloc(p->text, v.s.n + 1);
            if (!text)
                return false;
            p->text = text;
            p->text_cap = v.s.n + 1;
        }
        if (v.s.n)
            memcpy(p->text, v.s.p, v.s.n);
        v.s.p = p->text;
    }
    p->value = v;
    free(p->restored);
    p->restored = NULL;
    return true;
}

#define SENML_RELATIVE_MS (((int64_t)1 << 28) * 1000)
#define YEAR_2000_MS      946684800000
#define AHEAD_MAX_MS      (10 * 60 * 1000)

/* When a value was taken.  SenML times below 2^28 s are relative to now (RFC 8428 section 4.5.3); a
 * clock that is wrong shows in the quality, and the value is kept at its arrival. */
static int64_t acquired_at(const struct lw_entry *e, int64_t now_ms, uint8_t *quality)
{
    int64_t at = e->time_ms;
    *quality = SPB_Q_GOOD;
    if (at < SENML_RELATIVE_MS && at > -SENML_RELATIVE_MS)
        return now_ms + at;
    if (at >= YEAR_2000_MS && at <= now_ms + AHEAD_MAX_MS)
        return at;
    *quality = SPB_Q_BAD_TIME;
    return now_ms;
}

static void take_lwm2m(struct device *d, const struct lw_entry *e, enum lw_source source)
{
    struct shard *s = d->shard;
    uint8_t quality;
    if (e->path.n < 3 || e->value.type == LW_NONE)
        return;
    struct point *p = point_lwm2m(d, e->path, e->value.type);
    if (!p)
        return;
    int64_t at = acquired_at(e, s->now.utc_ms, &quality);
    points_check_clock(d, quality != SPB_Q_BAD_TIME);
    if (s->drained && !e->time_ms) /* said while we were away: nobody knows when */
        quality = SPB_Q_BAD_TIME;
    /* a value without a time of its own is the newest, whatever a fast clock claimed before */
    bool newer = at >= p->at_ms || p->restored || !e->time_ms;
    store_lwm2m(s, p, &e->value, quality, at);
    if (source != LW_SRC_WRITE) /* our own word proves nothing */
        commands_see_lwm2m(d, e);
    if (!newer || !keep_value(p, e->value))
        return;
    p->at_ms = at;
    p->source = (uint8_t)source;
    p->quality = quality;
    point_touch(p);
    learn_identity(d, e->path, &e->value);
}

void points_take_lwm2m(struct device *d, const struct lw_entries *values, enum lw_source source)
{
    bool errors = false;
    for (size_t i = 0; i < values->n; i++) {
        take_lwm2m(d, &values->v[i], source);
        errors |= values->v[i].path.n >= 3 && values->v[i].path.id[0] == 3 &&
                  values->v[i].path.id[2] == 11;
    }
    if (errors) {
        collect_errors(d);
        update_fault(d);
    }
}

/* ---- Sparkplug samples ---- */

static bool is_fault_text(const struct spb_tag *t)
{
    return t->name.n == 10 && memcmp(t->name.p, "Fault/Text", 10) == 0;
}

void points_take_samples(struct device *d, const struct spb_sample *v, size_t n)
{
    struct shard *s = d->shard;
    metric_add(s->engine->metrics, M_METRICS_IN, (int64_t)n);
    s->metrics_in += n;
    for (size_t i = 0; i < n; i++) {
        struct point *p = point_sparkplug(d, v[i].tag);
        if (!p)
            continue;
        if (!v[i].transient)
            store_sparkplug(s, p, &v[i]);
        points_check_clock(d, v[i].quality != SPB_Q_BAD_TIME);
        if (v[i].historical)
            continue;
        free(p->restored);
        p->restored = NULL;
        p->at_ms = v[i].time_ms;
        p->quality = (uint8_t)v[i].quality;
        point_touch(p);
        commands_see_metric(d, &v[i], p);
        if (is_fault_text(v[i].tag)) {
            device_set_text(&d->fault_metric,
                            v[i].value.cls == SPB_V_TEXT ? v[i].value.s : str_make(NULL, 0));
            update_fault(d);
        }
    }
}

void points_stale(struct device *d, struct str subdevice)
{
    for (struct point *p = d->points; p; p = p->next) {
        if (!p->sparkplug || p->quality == SPB_Q_STALE)
            continue;
        if (subdevice.p && !(p->tag && str_eq(p->tag->device, subdevice)))
            continue;
        p->quality = SPB_Q_STALE;
        point_touch(p);
    }
}
