/* server.c - the glue to CivetWeb: listening, one entry for every request, ordered stop.
 *
 * Everything arrives in begin_request, before CivetWeb looks at anything itself: it serves no
 * files, knows no passwords and answers no preflight.  Of its own it only shakes hands for
 * WebSockets that ws_admit let through.  A connection keeps one of its threads from accept to
 * close, a WebSocket for life, so there are as many as workers and live clients together. */
#include "http/http_int.h"
#include "base/clock.h"
#include "base/log.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS    5000 /* what requests under way get to finish */
#define FRONT_IDLE 8    /* threads held by idle connections of the front (compose/nginx.conf.in) */

static bool wants_websocket(const struct request *r)
{
    struct str upgrade = request_header(r, "Upgrade");
    return upgrade.n == 9 && !strncasecmp(upgrade.p, "websocket", 9);
}

bool server_on_metrics_port(const struct request *r)
{
    int port = atomic_load(&r->http->metrics_port);
    return port && r->info->server_port == port;
}

/* The second listener has no login, so it has nothing but numbers. */
static bool allowed_here(const struct request *r)
{
    if (!server_on_metrics_port(r))
        return true;
    return str_is(r->path, "/metrics") || str_is(r->path, "/healthz") || str_is(r->path, "/readyz");
}

static void not_routed(struct request *r, struct buf *allow)
{
    if (allow->n) {
        reply_header(r, "Allow", buf_text(allow));
        reply_problem(r, 405, "method_not_allowed", "This path does not know this method.");
    } else if (str_starts(r->path, "/api/")) {
        reply_problem(r, 404, "not_found", "The API has no such path.");
    } else if (!str_is(str_of(r->info->request_method), "GET") && !r->head) {
        reply_header(r, "Allow", "GET, HEAD");
        reply_problem(r, 405, "method_not_allowed", "Files can only be read.");
    } else {
        static_serve(r);
    }
}

/* True when CivetWeb shall go on with a WebSocket handshake. */
static bool dispatch(struct request *r)
{
    if (atomic_load(&r->http->stopping)) {
        reply_unavailable(r, "stopping", "The server is stopping.");
        return false;
    }
    /* CivetWeb drops the header lines it has no room for: whatever they were meant to say, perhaps
     * to a proxy before us, would be ignored. */
    if (r->info->num_headers >= MG_MAX_HEADERS) {
        mg_disable_connection_keep_alive(r->conn);
        reply_header(r, "Connection", "close");
        reply_problem(r, 431, "too_many_headers", "A request has at most 63 header lines.");
        return false;
    }
    if (!str_utf8_valid(r->path) || !allowed_here(r)) {
        reply_problem(r, 404, "not_found", "There is no such path.");
        return false;
    }
    const char *waiting = atomic_load(&r->http->waiting);
    if (waiting) {
        res_waiting(r, waiting);
        return false;
    }
    struct buf allow;
    buf_init(&allow, 256);
    r->route = route_find(str_of(r->info->request_method), r->path, r->params, &allow);
    if (!r->route) {
        not_routed(r, &allow);
        buf_fini(&allow);
        return false;
    }
    buf_fini(&allow);
    if (r->route->handler == res_live && wants_websocket(r))
        return ws_admit(r);
    bool open = r->route->role == ROLE_ANYONE || server_on_metrics_port(r);
    if (open || (auth_identify(r, (struct str){0}) && auth_allow(r)))
        r->route->handler(r);
    audit_after(r);
    return false;
}

static int begin_request(struct mg_connection *conn)
{
    struct http *h = mg_get_user_context_data(conn);
    uint64_t start_us = clock_mono_us();
    atomic_fetch_add(&h->active, 1);
    struct request r;
    request_init(&r, h, conn);
    bool upgrade = dispatch(&r);
    request_db_end(&r);
    if (!upgrade) {
        reply_send(&r);
        histogram_observe_us(h->metrics, H_HTTP, clock_mono_us() - start_us);
        log_debug("http.request", KV("method", r.info->request_method), KS("path", r.path),
                  KI("status", r.status), KV("who", r.who.name), KV("from", r.remote));
    }
    request_fini(&r);
    atomic_fetch_sub(&h->active, 1);
    return upgrade ? 0
                   : 200; /* the number is for an access log only, and a 401 would end keep-alive */
}

/* What CivetWeb refuses by itself (malformed requests) gets the same form. */
static int http_error(struct mg_connection *conn, int status, const char *message)
{
    struct http *h = mg_get_user_context_data(conn);
    struct request r = {.http = h, .conn = conn, .info = mg_get_request_info(conn)};
    buf_init(&r.headers, 8192);
    buf_init(&r.out, HTTP_ANSWER_MAX);
    mg_disable_connection_keep_alive(conn);
    reply_header(&r, "Connection", "close");
    reply_problem(&r, status, status == 404 ? "not_found" : "bad_request",
                  *message ? message : reply_reason(status));
    reply_send(&r);
    buf_fini(&r.out);
    buf_fini(&r.headers);
    return 0;
}

static int log_message(const struct mg_connection *conn, const char *message)
{
    (void)conn;
    log_debug("http.civetweb", KV("message", message));
    return 1;
}

static enum err listen_on(struct http *h)
{
    const struct config *c = h->config;
    char ports[300], threads[24];
    bool metrics = *c->http_metrics_listen != 0;
    snprintf(ports, sizeof ports, "%s%s%s", c->http_listen, metrics ? "," : "",
             metrics ? c->http_metrics_listen : "");
    snprintf(threads, sizeof threads, "%lld",
             (long long)(c->http_workers + c->http_live_clients + FRONT_IDLE));
    const char *options[] = {
        "listening_ports",
        ports,
        "num_threads",
        threads,
        "enable_keep_alive",
        "yes",
        "keep_alive_timeout_ms",
        "5000",
        "tcp_nodelay",
        "1",
        "request_timeout_ms",
        "10000",
        "websocket_timeout_ms",
        "10000",
        "enable_websocket_ping_pong",
        "yes",
        "listen_backlog",
        "1024",
        "connection_queue",
        "64",
        "enable_directory_listing",
        "no",
        "access_control_allow_origin",
        "",
        "access_control_allow_methods",
        "",
        "access_control_allow_headers",
        "",
        NULL,
    };
    struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .http_error = http_error,
        .log_message = log_message, /* and no log_access: that would use localtime() per request */
    };
    char why[200] = "";
    unsigned code = 0;
    struct mg_error_data error = {.code = &code, .text = why, .text_buffer_size = sizeof why};
    struct mg_init_data init = {&callbacks, h, options};
    h->mg = mg_start2(&init, &error);
    if (!h->mg) {
        log_error("http.listen_failed", KV("address", ports), KV("why", why));
        return ERR_IO;
    }
    struct mg_server_port bound[4] = {{0}};
    int n = mg_get_server_ports(h->mg, 4, bound);
    h->port = n > 0 ? bound[0].port : 0;
    h->metrics_port = metrics && n > 1 ? bound[1].port : 0;
    return ERR_OK;
}

static void free_all(struct http *h)
{
    if (h->static_dir >= 0)
        close(h->static_dir);
    live_clients_free(h->live);
    login_free(h->login);
    auth_free(h->auth);
    buf_fini(&h->models);
    free(h);
}

static enum err prepare(struct http *h)
{
    const struct config *c = h->config;
    h->auth = auth_new();
    h->live = live_clients_new(h, (size_t)c->http_live_clients);
    enum err e = login_new(&h->login);
    if (e || !h->auth || !h->live)
        return e ? e : ERR_NOMEM;
    h->parked_max = (size_t)c->http_workers / 2;
    h->static_dir = static_open(c->http_static_dir);
    if (h->static_dir < 0)
        log_warn("http.no_ui", KV("static_dir", c->http_static_dir));
    buf_init(&h->models, 8u << 20);
    return ERR_OK;
}

enum err http_listen(const struct config *config, struct metrics *metrics, struct http **out)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return ERR_NOMEM;
    h->config = config;
    h->metrics = metrics;
    h->static_dir = -1;
    atomic_init(&h->parked, 0);
    atomic_init(&h->exports, 0);
    atomic_init(&h->active, 0);
    atomic_init(&h->stopping, false);
    atomic_init(&h->waiting, "starting");
    mg_init_library(0);
    enum err e = prepare(h);
    if (!e)
        e = listen_on(h);
    if (e) {
        free_all(h);
        return e;
    }
    ws_register(h);
    *out = h;
    return ERR_OK;
}

void http_waiting(struct http *h, const char *word)
{
    atomic_store(&h->waiting, word);
}

enum err http_serve(struct http *h, const struct http_parts *parts)
{
    h->parts = *parts;
    lw_model_json(engine_model(parts->engine), &h->models);
    snprintf(h->models_etag, sizeof h->models_etag, "\"m%016llx\"",
             (unsigned long long)str_hash(buf_view(&h->models), 1));
    if (h->models.err)
        return h->models.err;
    atomic_store(&h->waiting, NULL); /* workers look at the above only after they see this */
    return ERR_OK;
}

/* CivetWeb writes nothing any more once it was told to stop, so answers under way go out first. */
static void finish_active(struct http *h)
{
    uint64_t end = clock_mono_ms() + STOP_MS;
    while (atomic_load(&h->active) && clock_mono_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    atomic_store(&h->stopping, true);
    ws_close_all(h->live);
    finish_active(h);
    mg_stop(h->mg);
    mg_exit_library();
    free_all(h);
}

int http_port(const struct http *h)
{
    return h->port;
}
