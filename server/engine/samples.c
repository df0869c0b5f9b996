/* samples.c - samples on their way to the writer, and what the writer must know of their series. */
#include "engine/engine_int.h"

#include "store/rollup.h"

#include <stdio.h>

#define TEXT_SAMPLE_MAX 65536
#define NEWS_MAX        200 /* series in one statement */

/* ---- samples ---- */

struct batch *samples_batch(struct shard *s)
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

static void store_number(struct device *d, uint32_t series, uint8_t quality, int64_t at_ms,
                         double v)
{
    struct shard *s = d->shard;
    struct sample sample = {series, quality, at_ms * 1000, v};
    for (int attempt = 0; attempt < 2; attempt++) {
        struct batch *b = samples_batch(s);
        if (!b)
            return;
        if (batch_add(b, sample))
            return;
        shard_flush_samples(s);
    }
    flow_refuse_sample(d);
}

static void store_text(struct device *d, uint32_t series, uint8_t quality, int64_t at_ms, char kind,
                       struct str v)
{
    struct shard *s = d->shard;
    if (v.n > TEXT_SAMPLE_MAX) {
        metric_add(s->engine->metrics, M_SAMPLES_REFUSED, 1);
        bad_input(s, d, ERR_TOOBIG, "A text of more than 64 KiB is not in the history");
        return;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        struct batch *b = samples_batch(s);
        if (!b)
            return;
        enum err e = batch_add_text(b, series, quality, at_ms * 1000, kind, v);
        if (!e)
            return;
        shard_flush_samples(s);
    }
    flow_refuse_sample(d);
}

void store_sparkplug(struct device *d, uint32_t series, const struct spb_sample *v)
{
    double number;
    uint8_t quality = (uint8_t)(v->quality + (v->historical ? QUALITY_HISTORICAL : 0));
    if (spb_value_double(&v->value, &number))
        store_number(d, series, quality, v->time_ms, number);
    else if (v->value.cls == SPB_V_TEXT)
        store_text(d, series, quality, v->time_ms, 't', v->value.s);
    else if (v->value.cls == SPB_V_BYTES)
        store_text(d, series, quality, v->time_ms, 'b', v->value.s);
    else if (v->value.cls == SPB_V_JSON)
        store_text(d, series, quality, v->time_ms, 'j', v->value.s);
    else if (v->value.cls == SPB_V_FLOAT)
        store_number(d, series, quality, v->time_ms, v->value.f); /* NaN and infinities */
    else
        store_text(d, series, quality, v->time_ms, 'n', str_make("", 0));
}

void store_lwm2m(struct device *d, uint32_t series, const struct lw_value *v, uint8_t quality,
                 int64_t at_ms)
{
    double number;
    char link[16];
    if (lw_value_double(*v, &number)) {
        store_number(d, series, quality, at_ms, number);
    } else if (v->type == LW_OPAQUE) {
        store_text(d, series, quality, at_ms, 'b', v->s);
    } else if (v->type == LW_OBJLNK) {
        int n = snprintf(link, sizeof link, "%u:%u", v->link.oid, v->link.iid);
        store_text(d, series, quality, at_ms, 't', str_make(link, (size_t)n));
    } else if (v->type == LW_FLOAT) {
        store_number(d, series, quality, at_ms, v->f);
    } else if (v->type != LW_NONE) {
        store_text(d, series, quality, at_ms, 't', v->s);
    }
}

/* ---- series ---- */

void series_news_begin(struct series_news *n, struct device *d)
{
    *n = (struct series_news){.device = d};
}

void series_news_end(struct series_news *n)
{
    if (!n->n)
        return;
    struct params p = {.n = 0};
    buf_putc(&n->json, ']');
    params_i64(&p, n->device->id);
    params_str(&p, buf_view(&n->json));
    if (n->json.err)
        metric_add(n->device->shard->engine->metrics, M_SAMPLES_REFUSED, (int64_t)n->n);
    else
        params_put(n->device->shard->engine, ST_SERIES_MANY, &p);
    buf_fini(&n->json);
    n->n = 0;
}

void series_news_add(struct series_news *n, uint32_t series, const struct point *p)
{
    struct json_out j;
    struct buf key;
    if (!n->n)
        buf_init(&n->json, (size_t)16 << 20);
    buf_putc(&n->json, n->n++ ? ',' : '[');
    buf_init(&key, (size_t)1 << 20);
    point_key(p, &key);
    json_out_init(&j, &n->json);
    json_open(&j, '{');
    json_put_u64(&j, "i", series);
    json_put_str(&j, "s", str_of(p->res ? "lwm2m" : "sparkplug"));
    json_put_str(&j, "k", buf_view(&key));
    json_put_str(&j, "d", str_of(point_datatype(p)));
    if (point_unit(p).n)
        json_put_str(&j, "u", point_unit(p));
    json_close(&j);
    buf_fini(&key);
    if (n->n >= NEWS_MAX)
        series_news_end(n);
}
