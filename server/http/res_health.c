/* res_health.c - is it alive, is it ready, what does it count; and the API's own description. */
#include "http/http_int.h"
#include "http/openapi_data.h"
#include "store/landing.h"

void res_healthz(struct request *r)
{
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_text(j, "status", "alive");
    json_close(j);
}

static void up_or_down(struct json_out *j, const char *key, bool up)
{
    json_put_text(j, key, up ? "up" : "down");
}

void res_readyz(struct request *r)
{
    struct engine_health h = {0};
    engine_get_health(r->http->parts.engine, &h);
    bool flows = !h.telemetry_paused && !h.telemetry_refused;
    bool ready = h.sparkplug_up && h.lwm2m_up && h.database_up && flows;
    if (!ready)
        reply_header(r, "Retry-After", "2");
    struct json_out *j =
        ready ? reply_json(r, 200) : reply_problem_open(r, 503, "not_ready", "A part is not up.");
    if (ready)
        json_open(j, '{');
    json_put_text(j, "state", "active");
    json_key(j, "broker");
    json_open(j, '{');
    up_or_down(j, "sparkplug", h.sparkplug_up);
    up_or_down(j, "lwm2m", h.lwm2m_up);
    json_close(j);
    up_or_down(j, "database", h.database_up);
    json_put_text(j, "telemetry", flows ? "flowing" : h.telemetry_refused ? "refused" : "paused");
    json_key(j, "packing"); /* no reason to be out of service: what waits is stored and readable */
    json_text(j, metric_get(r->http->metrics, M_BACKLOG_SLOTS) < LANDING_BEHIND ? "in_time"
                                                                                : "behind");
    json_close(j);
}

static void expose(struct request *r)
{
    reply_empty(r, 200);
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_expose(r->http->metrics, &r->out);
}

void res_waiting(struct request *r, const char *word)
{
    bool standby = !strcmp(word, "standby");
    if (str_is(r->path, "/healthz")) {
        res_healthz(r);
    } else if (str_is(r->path, "/metrics") && server_on_metrics_port(r)) {
        expose(r); /* there is no engine yet */
    } else {
        reply_header(r, "Retry-After", "2");
        struct json_out *j = reply_problem_open(
            r, 503, standby ? "standby" : "not_ready",
            standby ? "Another braidd serves this database; this one waits to take over."
                    : "The server is starting.");
        json_put_text(j, "state", word);
        json_close(j);
    }
}

void res_metrics(struct request *r)
{
    engine_measure(r->http->parts.engine);
    expose(r);
}

void res_openapi(struct request *r)
{
    reply_empty(r, 200);
    r->type = "application/yaml";
    reply_cacheable(r, NULL, "public, max-age=300");
    buf_put(&r->out, openapi_data, openapi_data_size);
}
