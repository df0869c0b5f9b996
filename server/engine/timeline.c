/* timeline.c - entries of a device's timeline: to SQL and to live views at once. */
#include "engine/engine_int.h"

#include <stdarg.h>
#include <stdio.h>

#define BAD_PER_MINUTE 10

static void feed_entry(struct device *d, int64_t at_ms, enum tl_kind kind, const char *text,
                       struct str detail)
{
    unsigned wanted = live_wanted(d->shard->live, str_of(d->endpoint));
    if (!(wanted & (1u << LIVE_DEVICE | 1u << LIVE_TIMELINE)))
        return;
    struct buf b;
    struct json_out j;
    buf_init(&b, 65536);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_put_null(&j, "id");
    json_put_text(&j, "endpoint", d->endpoint);
    json_put_time(&j, "at", at_ms);
    json_put_text(&j, "strand", tl_strand(kind));
    json_put_text(&j, "kind", tl_word(kind));
    json_put_text(&j, "text", text);
    json_key(&j, "detail");
    if (detail.p)
        json_raw(&j, detail);
    else
        json_null(&j);
    json_close(&j);
    if (!b.err)
        feed_event(d, buf_view(&b));
    buf_fini(&b);
}

void timeline_add_at(struct device *d, int64_t at_ms, enum tl_kind kind, const char *text,
                     struct str detail)
{
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_i64(&p, at_ms);
    params_text(&p, tl_word(kind));
    params_text(&p, tl_strand(kind));
    params_text(&p, text);
    params_str(&p, detail);
    params_put(d->shard->engine, ST_TIMELINE_PUT, &p);
    feed_entry(d, at_ms, kind, text, detail);
}

void timeline_add(struct device *d, enum tl_kind kind, const char *text, struct str detail)
{
    timeline_add_at(d, d->shard->now.utc_ms, kind, text, detail);
}

void timeline_addf(struct device *d, enum tl_kind kind, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* a cut in the middle of a character would make the text invalid UTF-8 */
    for (size_t n = strlen(text); n && !str_utf8_valid(str_make(text, n)); n--)
        text[n - 1] = '\0';
    timeline_add(d, kind, text, str_make(NULL, 0));
}

enum metric bad_input_metric(enum err e)
{
    switch (e) {
    case ERR_INVALID:
    case ERR_TRUNCATED:
    case ERR_CONFLICT:
        return M_BAD_MALFORMED;
    case ERR_TOOBIG:
        return M_BAD_TOOBIG;
    case ERR_DEPTH:
        return M_BAD_DEPTH;
    case ERR_UTF8:
        return M_BAD_UTF8;
    case ERR_TYPE:
    case ERR_RANGE:
        return M_BAD_TYPE;
    case ERR_NOTFOUND:
        return M_BAD_TOPIC;
    case ERR_DENIED:
        return M_BAD_IDENTITY;
    default:
        return M_BAD_OTHER;
    }
}

void bad_input(struct shard *s, struct device *d, enum err e, const char *words)
{
    metric_add(s->engine->metrics, bad_input_metric(e), 1);
    if (!d)
        return;
    if (s->now.mono_ms - d->bad_window_ms >= 60000) {
        if (d->bad_suppressed)
            timeline_addf(d, TL_BAD_INPUT, "%u more refused messages in the minute before",
                          d->bad_suppressed);
        d->bad_window_ms = s->now.mono_ms;
        d->bad_in_window = d->bad_suppressed = 0;
    }
    if (d->bad_in_window++ >= BAD_PER_MINUTE) {
        d->bad_suppressed++;
        return;
    }
    timeline_addf(d, TL_BAD_INPUT, "%s (%s)", words, err_word(e));
}
