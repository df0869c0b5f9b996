/* http.h - UI, REST API, WebSocket and metrics over HTTP, seen from the object graph.
 *
 * The room behind this narrow interface uses CivetWeb; nobody outside knows.  Two plain listeners:
 * `http.listen` for everything, `http.metrics_listen` for scrapers without a login. */
#ifndef BRAID_HTTP_HTTP_H
#define BRAID_HTTP_HTTP_H

#include "engine/engine.h"
#include "store/pool.h"

struct http;
struct credentials;

/* What requests need; all borrowed, and config and metrics too: they outlive the server. */
struct http_parts {
    struct engine *engine;
    struct pool *pool;
    struct credentials *credentials;
    struct recent *recent; /* what the writer keeps of landing tables; may be NULL */
};
/* In two steps, for a server that waits for its turn.  After http_listen (ERR_IO when an address
 * cannot be had, logged) /healthz says alive, /metrics counts, /readyz says 503 and what is waited
 * for (http_waiting: "starting" until told otherwise; a constant), and all else 503.  http_serve
 * ends that. */
MUST_CHECK enum err http_listen(const struct config *config, struct metrics *metrics,
                                struct http **out);
void http_waiting(struct http *h, const char *word);
MUST_CHECK enum err http_serve(struct http *h, const struct http_parts *parts);
/* http_stop refuses new requests, ends parked ones and live clients, and joins every thread. */
void http_stop(struct http *h);
int http_port(const struct http *h); /* as bound: http.listen may have said port 0 */

/* http_dump_routes writes "METHOD PATH ROLE" lines of the whole route table. */
void http_dump_routes(struct buf *out);

#endif
