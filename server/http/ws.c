/* ws.c - live views: one WebSocket, one outbox and one writing thread per client.
 *
 * mg_websocket_write blocks on a peer that does not read, and after a short write the frame is
 * torn: so only the client's own thread ever writes, from its bounded outbox, one frame per tick,
 * and after anything but a full write the connection is marked dead, closed, and never written to
 * again.  The thread is joined in the close handler, which CivetWeb calls before it frees the
 * connection; the outbox leaves all shards before that handler returns.
 *
 * Who a client is was asked at the handshake and is asked again every few seconds: a view ends with
 * the session or token that opened it.
 *
 * Messages from the client arrive on CivetWeb's thread of that connection: it alone touches the
 * list of subscriptions. */
#include "http/http_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"

#include <civetweb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define TICK_MS       100
#define PING_MS       15000
#define AUTH_MS       3000 /* how often a client's right to listen is checked */
#define OUTBOX_BYTES  (4u << 20)
#define FRAME_BYTES   (160u << 20)
#define MESSAGE_MAX   (64u << 10)
#define MESSAGE_NODES 4000
#define SUBS_MAX      32
#define ENDPOINTS_MAX 1000
#define LIVE_PATH     "/api/v1/live"

static const char *const subprotocols[] = {"braid.v1"};

struct client {
    struct client *next, *prev;
    struct live_clients *all;
    struct mg_connection *conn;
    struct live_outbox *outbox;
    struct live_sub *subs[SUBS_MAX];
    size_t n_subs;
    struct thread writer;
    struct identity who;
    struct buf message; /* fragments of one text message */
    atomic_bool dead;
};

struct live_clients {
    struct http *http;
    size_t limit;
    pthread_mutex_t lock;
    struct client *first;
    size_t n;
    bool closing;
    struct map admitted; /* connection -> struct identity: who shakes hands on it, owned */
    struct mg_websocket_subprotocols protocols; /* CivetWeb keeps the pointer */
};

struct live_clients *live_clients_new(struct http *h, size_t limit)
{
    struct live_clients *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->http = h;
    l->limit = limit;
    l->protocols = (struct mg_websocket_subprotocols){1, (const char **)(uintptr_t)subprotocols};
    pthread_mutex_init(&l->lock, NULL);
    map_init(&l->admitted, clock_mono_us());
    return l;
}

void live_clients_free(struct live_clients *l)
{
    if (!l)
        return;
    size_t it = 0;
    for (void *p; (p = map_next(&l->admitted, &it));)
        free(p);
    map_fini(&l->admitted);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- admission ---- */

static bool has_room(struct live_clients *l)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n < l->limit && !l->closing;
    pthread_mutex_unlock(&l->lock);
    return room;
}

/* The token of "braid.v1, bearer.TOKEN"; .p NULL if there is none. */
static struct str offered_token(const struct request *r)
{
    struct str rest = request_header(r, "Sec-WebSocket-Protocol");
    while (rest.p) {
        struct str word = str_cut(&rest, ',');
        while (word.n && *word.p == ' ')
            word = str_make(word.p + 1, word.n - 1);
        if (str_starts(word, "bearer.") && word.n > 7)
            return str_make(word.p + 7, word.n - 7);
    }
    return (struct str){0};
}

/* CivetWeb reuses its connection object and does not forget the subprotocol an earlier client
 * agreed on; sent to a client that offered none, browsers would refuse the handshake. */
static void forget_subprotocol(const struct request *r)
{
    ((struct mg_request_info *)(uintptr_t)r->info)->acceptedWebSocketSubprotocol = NULL;
}

/* CivetWeb has a fixed number of connection objects, so this holds no more than that. */
static bool remember_who(struct live_clients *l, const struct mg_connection *conn,
                         const struct identity *who)
{
    uint64_t key = (uint64_t)(uintptr_t)conn;
    pthread_mutex_lock(&l->lock);
    struct identity *kept = map_find_u64(&l->admitted, key);
    if (!kept) {
        kept = malloc(sizeof *kept);
        if (kept && map_put_u64(&l->admitted, key, kept, NULL)) {
            free(kept);
            kept = NULL;
        }
    }
    if (kept)
        *kept = *who;
    pthread_mutex_unlock(&l->lock);
    return kept != NULL;
}

static bool recall_who(struct live_clients *l, const struct mg_connection *conn,
                       struct identity *who)
{
    pthread_mutex_lock(&l->lock);
    const struct identity *kept = map_find_u64(&l->admitted, (uint64_t)(uintptr_t)conn);
    if (kept)
        *who = *kept;
    pthread_mutex_unlock(&l->lock);
    return kept != NULL;
}

bool ws_admit(struct request *r)
{
    forget_subprotocol(r);
    struct str token = offered_token(r);
    if (!auth_identify(r, token) || !auth_allow(r))
        return false;
    if (r->who.proof == PROOF_COOKIE &&
        (!request_header(r, "Origin").p || !request_same_origin(r))) {
        audit_refused(r, "live_refused", (struct str)STR("(a page of another site)"), "bad_origin");
        reply_problem(r, 403, "bad_origin", "A page of another site may not listen here.");
        return false;
    }
    if (!has_room(r->http->live)) {
        reply_unavailable(r, "too_many_live_clients", "All places for live views are taken.");
        return false;
    }
    if (!remember_who(r->http->live, r->conn, &r->who)) {
        reply_unavailable(r, "no_memory", "The server is short of memory.");
        return false;
    }
    return true;
}

void res_live(struct request *r)
{
    reply_header(r, "Upgrade", "websocket");
    reply_problem(r, 426, "upgrade_required", "This path speaks WebSocket.");
}

/* ---- the writing thread ---- */

static void give_up(struct client *c)
{
    if (!atomic_exchange(&c->dead, true))
        mg_close_connection(c->conn);
    live_outbox_close(c->outbox);
}

static bool write_frame(struct client *c, const char *p, size_t n)
{
    if (atomic_load(&c->dead))
        return false;
    int sent = mg_websocket_write(c->conn, MG_WEBSOCKET_OPCODE_TEXT, p, n);
    if (sent <= 0 || (size_t)sent < n) {
        give_up(c);
        return false;
    }
    metric_add(c->all->http->metrics, M_WS_FRAMES, 1);
    return true;
}

/* Asks the shards again for what overflowed; without an answer the client had better reconnect. */
static void resync(struct client *c, struct live_sub **subs, size_t n)
{
    struct http *h = c->all->http;
    for (size_t i = 0; i < n; i++) {
        metric_add(h->metrics, M_WS_RESYNC, 1);
        if (engine_resnapshot(h->parts.engine, c->outbox, subs[i]))
            give_up(c);
        live_sub_unref(subs[i]);
    }
}

static void pause_until(uint64_t until_ms)
{
    uint64_t now = clock_mono_ms();
    if (now < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = (long)(until_ms - now) * 1000000}, NULL);
}

/* False, with a word to the client, when its session or token is not good any more. */
static bool may_listen(struct client *c, uint64_t *next_ms)
{
    static const char bye[] =
        "[{\"op\":\"error\",\"id\":\"\",\"code\":\"unauthenticated\","
        "\"detail\":\"The session or token that opened this view has ended.\"}]";
    uint64_t now = clock_mono_ms();
    if (now < *next_ms)
        return true;
    *next_ms = now + AUTH_MS;
    if (auth_holds(c->all->http, &c->who))
        return true;
    write_frame(c, bye, sizeof bye - 1);
    log_info("live.ended", KV("user", c->who.name));
    give_up(c);
    return false;
}

static void write_client(void *arg)
{
    struct client *c = arg;
    struct live_sub *again[LIVE_MAX_RESYNC];
    struct buf frame;
    buf_init(&frame, FRAME_BYTES);
    uint64_t last = clock_mono_ms(), next_auth = last + AUTH_MS, dropped = 0;
    bool closed = false;
    while (!closed && !atomic_load(&c->dead) && may_listen(c, &next_auth)) {
        size_t n = 0;
        buf_reset(&frame);
        uint64_t until = last + PING_MS < next_auth ? last + PING_MS : next_auth;
        bool got = live_drain(c->outbox, until, &frame, again, &n, &closed);
        bool due = clock_mono_ms() >= last + PING_MS;
        if (closed)
            break;
        bool ok = got ? !frame.err && write_frame(c, frame.p, frame.n)
                      : !due || write_frame(c, "[{\"op\":\"ping\"}]", 15);
        if (!ok)
            give_up(c);
        if (got || due)
            last = clock_mono_ms();
        resync(c, again, n);
        uint64_t lost = live_outbox_dropped(c->outbox);
        metric_add(c->all->http->metrics, M_DROP_LIVE, (int64_t)(lost - dropped));
        dropped = lost;
        if (got)
            pause_until(last + TICK_MS);
    }
    buf_fini(&frame);
}

/* ---- messages from the client ---- */

static const struct {
    const char *word;
    enum live_topic topic;
} topics[] = {
    {"fleet", LIVE_FLEET},
    {"device", LIVE_DEVICE},
    {"commands", LIVE_COMMANDS},
    {"timeline", LIVE_TIMELINE},
};

static void refuse(struct client *c, struct str id, const char *code, const char *detail)
{
    live_push_error(c->outbox, id, code, detail);
}

static size_t find_sub(const struct client *c, struct str id)
{
    size_t i = 0;
    while (i < c->n_subs && !str_is(id, c->subs[i]->id))
        i++;
    return i;
}

static void drop_sub(struct client *c, size_t i)
{
    struct live_sub *s = c->subs[i];
    c->subs[i] = c->subs[--c->n_subs];
    live_forget(c->outbox, s);
    engine_unsubscribe(c->all->http->parts.engine, c->outbox, s);
    live_sub_unref(s);
}

/* The endpoints member as views in the arena; false after an error op. */
static bool read_endpoints(struct client *c, struct arena *a, struct str id,
                           const struct json_node *list, struct str **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    if (!list || list->kind == JSON_NULL)
        return true;
    if (list->kind == JSON_ARRAY && list->n && list->n <= ENDPOINTS_MAX)
        *out = arena_calloc(a, list->n, sizeof **out);
    for (const struct json_node *e = *out ? list->child : NULL; e; e = e->next)
        if (!json_is_str(e, &(*out)[(*n)++])) {
            *out = NULL;
            break;
        }
    if (!*out)
        refuse(c, id, "bad_endpoints", "endpoints is a list of 1 to 1000 endpoint names.");
    return *out != NULL;
}

static void subscribe(struct client *c, struct arena *a, struct str id, const struct json_node *m)
{
    struct str word = {0}, *endpoints;
    size_t n, t = 0, count = sizeof topics / sizeof *topics;
    json_is_str(json_get(m, "topic"), &word);
    while (t < count && !str_is(word, topics[t].word))
        t++;
    if (t == count) {
        refuse(c, id, "bad_topic", "topic is fleet, device, commands or timeline.");
        return;
    }
    if (json_get(m, "query")) {
        refuse(c, id, "unsupported", "This server does not know queries in subscriptions.");
        return;
    }
    if (!read_endpoints(c, a, id, json_get(m, "endpoints"), &endpoints, &n))
        return;
    if (topics[t].topic == LIVE_DEVICE && !n) {
        refuse(c, id, "bad_endpoints", "The topic device needs endpoints.");
        return;
    }
    size_t old = find_sub(c, id);
    if (old < c->n_subs)
        drop_sub(c, old); /* the same id again: the new one counts */
    if (c->n_subs == SUBS_MAX) {
        refuse(c, id, "too_many_subscriptions", "A client has at most 32 subscriptions.");
        return;
    }
    struct live_sub *s = live_sub_new(id, topics[t].topic, endpoints, n);
    if (!s || engine_subscribe(c->all->http->parts.engine, c->outbox, s)) {
        refuse(c, id, "busy", "The server cannot take this subscription just now.");
        live_sub_unref(s);
        return;
    }
    c->subs[c->n_subs++] = s;
}

static void unsubscribe(struct client *c, struct str id)
{
    size_t i = find_sub(c, id);
    if (i < c->n_subs)
        drop_sub(c, i);
    else
        refuse(c, id, "no_subscription", "There is no subscription of this id.");
}

static void handle(struct client *c, struct str text)
{
    struct arena a;
    struct json_node *m = NULL;
    struct str op = {0}, id = {0};
    arena_init(&a, 8192, 4u << 20);
    if (json_parse(&a, text, MESSAGE_NODES, &m) || !json_is_str(json_get(m, "op"), &op))
        refuse(c, id, "malformed", "A message is a JSON object with an op.");
    else if (str_is(op, "pong") || str_is(op, "ping"))
        ; /* nothing to say: what arrives proves the connection by itself */
    else if (!json_is_str(json_get(m, "id"), &id) || !id.n || id.n > 64 || !str_utf8_valid(id))
        refuse(c, (struct str){0}, "bad_id", "id is a text of 1 to 64 bytes.");
    else if (str_is(op, "subscribe"))
        subscribe(c, &a, id, m);
    else if (str_is(op, "unsubscribe"))
        unsubscribe(c, id);
    else
        refuse(c, id, "bad_op", "op is subscribe or unsubscribe.");
    arena_fini(&a);
}

/* ---- CivetWeb's callbacks ---- */

static bool join(struct live_clients *l, struct client *c)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n < l->limit && !l->closing;
    if (room) {
        c->next = l->first;
        if (l->first)
            l->first->prev = c;
        l->first = c;
        l->n++;
    }
    pthread_mutex_unlock(&l->lock);
    return room;
}

static void leave(struct live_clients *l, struct client *c)
{
    pthread_mutex_lock(&l->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    l->n--;
    pthread_mutex_unlock(&l->lock);
}

static void client_free(struct client *c)
{
    live_outbox_unref(c->outbox);
    buf_fini(&c->message);
    free(c);
}

static int on_connect(const struct mg_connection *conn, void *ctx)
{
    struct live_clients *l = ctx;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return 1;
    c->all = l;
    atomic_init(&c->dead, false);
    buf_init(&c->message, MESSAGE_MAX);
    c->outbox = live_outbox_new(OUTBOX_BYTES);
    if (!c->outbox || !recall_who(l, conn, &c->who) || !join(l, c)) {
        client_free(c);
        return 1;
    }
    mg_set_user_connection_data(conn, c);
    metric_add(l->http->metrics, M_WS_CLIENTS, 1);
    return 0;
}

static void on_ready(struct mg_connection *conn, void *ctx)
{
    (void)ctx;
    struct client *c = mg_get_user_connection_data(conn);
    c->conn = conn;
    if (thread_start(&c->writer, "live", write_client, c))
        mg_close_connection(conn);
}

static int on_data(struct mg_connection *conn, int bits, char *data, size_t n, void *ctx)
{
    (void)ctx;
    struct client *c = mg_get_user_connection_data(conn);
    int opcode = bits & 0x0f;
    bool final = bits & 0x80;
    if (opcode == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE)
        return 0;
    if (opcode == MG_WEBSOCKET_OPCODE_PING || opcode == MG_WEBSOCKET_OPCODE_PONG)
        return 1;
    if (opcode == MG_WEBSOCKET_OPCODE_BINARY)
        return 0;
    if (opcode == MG_WEBSOCKET_OPCODE_TEXT)
        buf_reset(&c->message);
    buf_put(&c->message, data, n);
    if (!final)
        return 1;
    if (c->message.err)
        refuse(c, (struct str){0}, "too_large", "A message may have at most 64 KiB.");
    else
        handle(c, buf_view(&c->message));
    buf_reset(&c->message);
    return 1;
}

static void on_close(const struct mg_connection *conn, void *ctx)
{
    struct live_clients *l = ctx;
    struct client *c = mg_get_user_connection_data(conn);
    if (!c)
        return;
    mg_set_user_connection_data(conn, NULL);
    atomic_store(&c->dead, true);
    live_outbox_close(c->outbox);
    thread_join(&c->writer);
    engine_leave(l->http->parts.engine, c->outbox);
    for (size_t i = 0; i < c->n_subs; i++)
        live_sub_unref(c->subs[i]);
    leave(l, c);
    metric_add(l->http->metrics, M_WS_CLIENTS, -1);
    client_free(c);
}

void ws_register(struct http *h)
{
    mg_set_websocket_handler_with_subprotocols(h->mg, LIVE_PATH, &h->live->protocols, on_connect,
                                               on_ready, on_data, on_close, h->live);
}

void ws_close_all(struct live_clients *l)
{
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    for (struct client *c = l->first; c; c = c->next)
        live_outbox_close(c->outbox);
    pthread_mutex_unlock(&l->lock);
}
