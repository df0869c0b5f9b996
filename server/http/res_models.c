/* res_models.c - the object model, and how to connect a first device to this server. */
#include "http/http_int.h"

#include <stdio.h>

void res_models(struct request *r)
{
    bool same = str_is(request_header(r, "If-None-Match"), r->http->models_etag);
    reply_json(r, same ? 304 : 200);
    reply_cacheable(r, r->http->models_etag, "private, max-age=300");
    if (!same)
        buf_str(&r->out, buf_view(&r->http->models));
}

void res_model(struct request *r)
{
    uint16_t id;
    const struct lw_object_model *m = NULL;
    if (!lw_id_parse(r->params[0], &id))
        m = lw_model_object(engine_model(r->http->parts.engine), id);
    if (!m) {
        reply_problem(r, 404, "not_found", "The model has no such object.");
        return;
    }
    lw_object_json(m, reply_json(r, 200));
}

static void port(struct json_out *j, const char *key, int64_t value)
{
    json_key(j, key);
    if (value)
        json_i64(j, value);
    else
        json_null(j); /* this server has no such listener */
}

static void write_examples(struct json_out *j, const struct config *c)
{
    char line[512];
    if (c->connect_plain_port)
        snprintf(line, sizeof line, "mosquitto_pub -h %s -p %lld -q 1", c->connect_host,
                 (long long)c->connect_plain_port);
    else
        snprintf(line, sizeof line,
                 "mosquitto_pub -h %s -p %lld -q 1 --cafile ca.crt -u USER -P PW", c->connect_host,
                 (long long)c->connect_tls_password_port);
    json_key(j, "examples");
    json_open(j, '{');
    json_key(j, "mosquitto_pub");
    char command[1024];
    snprintf(command, sizeof command,
             "%s -t lwm2m/device-temp-001/reg -m '{\"endpoint\":\"device-temp-001\","
             "\"lifetime\":3600,\"version\":\"1.2\",\"bindingMode\":\"UQ\",\"objects\":{\"3\":{"
             "\"0\":{\"0\":\"IoT Testing Corp\",\"1\":\"SimDevice-temperature_sensor\"}}}}'",
             line);
    json_text(j, command);
    json_put_text(j, "lwm2m_topic", "lwm2m/{endpoint}/reg");
    json_put_text(j, "sparkplug_topic", "spBv1.0/{group}/NBIRTH/{edge_node}");
    json_close(j);
}

void res_connect(struct request *r)
{
    const struct config *c = r->http->config;
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_text(j, "host", c->connect_host);
    port(j, "tls_port", c->connect_tls_port);
    port(j, "tls_password_port", c->connect_tls_password_port);
    port(j, "plain_port", c->connect_plain_port);
    port(j, "websocket_port", c->connect_websocket_port);
    json_put_text(j, "host_id", c->sparkplug_host_id);
    write_examples(j, c);
    json_close(j);
}
