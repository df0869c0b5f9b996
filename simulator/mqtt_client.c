/* mqtt_client.c - see mqtt_client.h.
 *
 *   IDLE --open--> WAITING --timer--> QUEUED --slot--> DIALING --> SHAKING --> GREETING --> UP
 *                     ^                                   |           |           |         |
 *                     +------------- back-off ------------+-----------+-----------+---------+
 *
 * One timer serves every state: the back-off in WAITING, the patience of DIALING..GREETING, and
 * the keep-alive in UP.  Only set_state() assigns the state.  The socket exists from DIALING on;
 * `out` holds whole packets of which the first `out_done` bytes are written. */
#include "mqtt_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE_MS     15000
#define BACKOFF_MIN_MS  400
#define BACKOFF_MAX_MS  5000
#define OUT_LIMIT       ((size_t)512 << 10)
#define IN_LIMIT        ((size_t)2 << 20)
#define KEEP_BYTES      4096 /* an idle buffer above this is given back */
#define READS_PER_EVENT 8    /* one talkative connection must not starve the others */

enum mqc_state {
    MQC_IDLE,
    MQC_WAITING,
    MQC_QUEUED,
    MQC_DIALING,
    MQC_SHAKING,
    MQC_GREETING,
    MQC_UP
};

struct mqtt_client {
    struct loop *loop;
    struct broker *broker;
    struct mqtt_client_config cfg;
    const struct mqtt_client_ops *ops;
    void *ctx;
    enum mqc_state state;
    struct loop_io io;
    struct loop_timer timer;
    struct broker_turn turn;
    SSL *ssl;
    struct buf in, out;
    size_t out_done;
    uint64_t last_sent, last_heard;
    uint64_t rng;
    uint32_t backoff_ms;
    uint16_t next_id;
    bool closing;
    bool write_blocked; /* TLS wants the socket writable, or bytes are left over */
};

static void on_io(void *ctx, uint32_t events);
static void on_timer(void *ctx);
static void on_turn(void *ctx);
static void fail(struct mqtt_client *c, const char *why);

static void set_state(struct mqtt_client *c, enum mqc_state s)
{
    c->state = s;
}

enum err mqtt_client_new(struct loop *l, struct broker *b, const struct mqtt_client_config *cfg,
                         const struct mqtt_client_ops *ops, void *ctx, struct mqtt_client **out)
{
    struct mqtt_client *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->loop = l;
    c->broker = b;
    c->cfg = *cfg;
    c->ops = ops;
    c->ctx = ctx;
    c->io = (struct loop_io){.fn = on_io, .ctx = c, .fd = -1};
    c->timer = (struct loop_timer){.fn = on_timer, .ctx = c};
    c->turn = (struct broker_turn){.fn = on_turn, .ctx = c};
    c->rng = cfg->seed | 1;
    c->backoff_ms = BACKOFF_MIN_MS;
    buf_init(&c->in, IN_LIMIT);
    buf_init(&c->out, OUT_LIMIT);
    *out = c;
    return ERR_OK;
}

/* Gives everything of the connection back; the state is the caller's business. */
static void drop(struct mqtt_client *c)
{
    loop_cancel(c->loop, &c->timer);
    int fd = c->io.fd;
    loop_del(c->loop, &c->io);
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (fd >= 0)
        close(fd);
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_init(&c->in, IN_LIMIT);
    buf_init(&c->out, OUT_LIMIT);
    c->out_done = 0;
    c->write_blocked = false;
    broker_leave(c->broker, &c->turn);
}

void mqtt_client_free(struct mqtt_client *c)
{
    if (!c)
        return;
    drop(c);
    free(c);
}

/* Between half of `ms` and all of it: a fleet that lost its broker must not return in step. */
static uint64_t jitter(struct mqtt_client *c, uint64_t ms)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return ms / 2 + c->rng % (ms / 2 + 1);
}

static void wait_for(struct mqtt_client *c, uint64_t ms)
{
    set_state(c, MQC_WAITING);
    loop_arm(c->loop, &c->timer, loop_now(c->loop) + ms);
}

void mqtt_client_open(struct mqtt_client *c, uint64_t delay_ms)
{
    c->closing = false;
    if (c->state == MQC_IDLE)
        wait_for(c, delay_ms);
}

void mqtt_client_kill(struct mqtt_client *c)
{
    set_state(c, MQC_IDLE);
    c->closing = false;
    drop(c);
}

bool mqtt_client_is_up(const struct mqtt_client *c)
{
    return c->state == MQC_UP && !c->closing;
}

static void finish_close(struct mqtt_client *c)
{
    set_state(c, MQC_IDLE);
    c->closing = false;
    drop(c);
    c->ops->closed(c->ctx);
}

static void fail(struct mqtt_client *c, const char *why)
{
    bool was_up = c->state == MQC_UP;
    if (c->closing) {
        finish_close(c);
        return;
    }
    broker_note(c->broker, was_up ? "mqtt.lost" : "mqtt.failed", c->cfg.identity, why);
    set_state(c, MQC_WAITING); /* before drop(): it may admit others, never us */
    drop(c);
    wait_for(c, jitter(c, c->backoff_ms));
    c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
    if (was_up)
        c->ops->down(c->ctx);
}

/* ---- socket: both functions return the bytes moved, 0 for "later", -1 for "broken" ---- */

static ssize_t tls_later(struct mqtt_client *c, int rc)
{
    int why = SSL_get_error(c->ssl, rc);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_WRITE)
        c->write_blocked = true;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t sock_read(struct mqtt_client *c, void *to, size_t n)
{
    if (c->ssl) {
        int rc = SSL_read(c->ssl, to, (int)n);
        return rc > 0 ? rc : tls_later(c, rc);
    }
    ssize_t rc = recv(c->io.fd, to, n, 0);
    if (rc > 0)
        return rc;
    return rc < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t sock_write(struct mqtt_client *c, const void *from, size_t n)
{
    if (c->ssl) {
        int rc = SSL_write(c->ssl, from, (int)n);
        return rc > 0 ? rc : tls_later(c, rc);
    }
    ssize_t rc = send(c->io.fd, from, n, MSG_NOSIGNAL);
    if (rc >= 0)
        return rc;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void update_interest(struct mqtt_client *c)
{
    loop_want(c->loop, &c->io, EPOLLIN | (c->write_blocked ? EPOLLOUT : 0));
}

/* Writes what can be written.  False: the connection is broken and the caller calls fail(). */
static bool flush(struct mqtt_client *c)
{
    c->write_blocked = false;
    while (c->out_done < c->out.n) {
        ssize_t n = sock_write(c, c->out.p + c->out_done, c->out.n - c->out_done);
        if (n < 0)
            return false;
        if (n == 0) {
            c->write_blocked = true;
            break;
        }
        c->out_done += (size_t)n;
        c->last_sent = loop_now(c->loop);
    }
    if (c->out_done == c->out.n) {
        c->out_done = 0;
        if (c->out.cap > KEEP_BYTES)
            buf_fini(&c->out), buf_init(&c->out, OUT_LIMIT);
        else
            buf_reset(&c->out);
    }
    update_interest(c);
    return true;
}

/* A packet was appended at `mark`; take it back if it did not fit. */
static enum err commit(struct mqtt_client *c, size_t mark)
{
    enum err e = c->out.err;
    if (e) {
        c->out.n = mark;
        c->out.err = ERR_OK;
        return e == ERR_TOOBIG ? ERR_FULL : e;
    }
    if (!c->write_blocked && !flush(c)) {
        /* The owner is in the middle of something: let the loop find the broken socket. */
        shutdown(c->io.fd, SHUT_RDWR);
        return ERR_CLOSED;
    }
    return ERR_OK;
}

static uint16_t new_id(struct mqtt_client *c)
{
    if (++c->next_id == 0)
        c->next_id = 1;
    return c->next_id;
}

enum err mqtt_client_publish(struct mqtt_client *c, struct str topic, struct str payload,
                             uint8_t qos)
{
    if (!mqtt_client_is_up(c))
        return ERR_CLOSED;
    size_t mark = c->out.n;
    mqtt_put_publish(
        &c->out, MQTT_3_1_1,
        &(struct mqtt_publish){
            .topic = topic, .payload = payload, .qos = qos, .id = qos ? new_id(c) : 0});
    return commit(c, mark);
}

enum err mqtt_client_subscribe(struct mqtt_client *c, const struct str *filters, size_t n)
{
    if (!mqtt_client_is_up(c))
        return ERR_CLOSED;
    size_t mark = c->out.n;
    mqtt_put_subscribe(&c->out, MQTT_3_1_1, new_id(c), filters, n, 1, false);
    return commit(c, mark);
}

void mqtt_client_close(struct mqtt_client *c)
{
    if (c->state != MQC_UP) {
        finish_close(c);
        return;
    }
    mqtt_put_empty(&c->out, MQTT_DISCONNECT);
    c->closing = true;
    if (!flush(c) || !c->out.n)
        finish_close(c);
}

/* ---- what arrives ---- */

static void handle(struct mqtt_client *c, const struct mqtt_packet *p)
{
    if (c->state == MQC_GREETING) {
        if (p->type != MQTT_CONNACK || p->reason) {
            fail(c, p->type == MQTT_CONNACK ? "refused by the broker" : "no CONNACK");
            return;
        }
        set_state(c, MQC_UP);
        c->backoff_ms = BACKOFF_MIN_MS;
        broker_leave(c->broker, &c->turn);
        loop_arm(c->loop, &c->timer, loop_now(c->loop) + c->cfg.keep_alive_s * 500u);
        c->ops->up(c->ctx);
        return;
    }
    switch (p->type) {
    case MQTT_PUBLISH:
        if (p->publish.qos)
            mqtt_put_puback(&c->out, p->publish.id);
        c->ops->message(c->ctx, &p->publish);
        break;
    case MQTT_SUBACK:
        if (p->reason)
            broker_note(c->broker, "mqtt.subscription_refused", c->cfg.identity, "0x80");
        c->ops->ready(c->ctx);
        break;
    case MQTT_PUBACK:
    case MQTT_PINGRESP:
        break;
    default:
        fail(c, "unexpected packet");
    }
}

/* Handles the whole packets in `bytes`; returns how many bytes they took, or SIZE_MAX when the
 * connection is gone (the callbacks may close it). */
static size_t take_packets(struct mqtt_client *c, struct str bytes)
{
    size_t done = 0;
    for (;;) {
        struct mqtt_packet p;
        size_t used;
        enum err e = mqtt_packet_read(str_make(bytes.p + done, bytes.n - done), MQTT_3_1_1,
                                      IN_LIMIT, &p, &used);
        if (e == ERR_AGAIN)
            return done;
        if (e) {
            fail(c, err_word(e));
            return SIZE_MAX;
        }
        handle(c, &p);
        if (c->io.fd < 0)
            return SIZE_MAX;
        done += used;
    }
}

/* Bytes of an unfinished packet wait in `in`; whole packets are handled where they were read. */
static bool take_bytes(struct mqtt_client *c, struct str bytes)
{
    if (c->in.n) {
        buf_str(&c->in, bytes);
        bytes = buf_view(&c->in);
    }
    size_t done = c->in.err ? SIZE_MAX : take_packets(c, bytes);
    if (c->in.err)
        fail(c, "out of memory");
    if (done == SIZE_MAX)
        return false;
    if (c->in.n) {
        memmove(c->in.p, c->in.p + done, c->in.n - done);
        c->in.n -= done;
        if (!c->in.n && c->in.cap > KEEP_BYTES)
            buf_fini(&c->in), buf_init(&c->in, IN_LIMIT);
    } else {
        buf_put(&c->in, bytes.p + done, bytes.n - done);
    }
    return true;
}

static void read_some(struct mqtt_client *c)
{
    for (int i = 0; i < READS_PER_EVENT || (c->ssl && SSL_pending(c->ssl)); i++) {
        char *scratch = loop_scratch(c->loop);
        ssize_t n = sock_read(c, scratch, LOOP_SCRATCH);
        if (n < 0) {
            fail(c, "closed by the broker");
            return;
        }
        if (n == 0)
            break;
        c->last_heard = loop_now(c->loop);
        if (!take_bytes(c, str_make(scratch, (size_t)n)))
            return;
        if ((size_t)n < LOOP_SCRATCH && !c->ssl)
            break;
    }
    if (!flush(c))
        fail(c, "write failed");
}

/* ---- getting connected ---- */

static void greet(struct mqtt_client *c)
{
    SSL *ssl = c->ssl;
    if (ssl)
        SSL_certs_clear(ssl); /* key and certificate have done their work */
    set_state(c, MQC_GREETING);
    struct mqtt_connect hello = {
        .level = MQTT_3_1_1,
        .client_id = c->cfg.identity,
        .keep_alive_s = c->cfg.keep_alive_s,
        .clean = true,
    };
    if (c->cfg.password.p) {
        hello.username = c->cfg.identity;
        hello.password = c->cfg.password;
    }
    c->ops->will(c->ctx, &hello);
    mqtt_put_connect(&c->out, &hello);
    if (c->out.err || !flush(c))
        fail(c, "write failed");
}

static void shake(struct mqtt_client *c)
{
    if (!c->ssl) {
        greet(c);
        return;
    }
    c->write_blocked = false;
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1) {
        greet(c);
        return;
    }
    if (SSL_get_error(c->ssl, rc) == SSL_ERROR_SSL) {
        char why[160];
        ERR_error_string_n(ERR_peek_error(), why, sizeof why);
        ERR_clear_error();
        fail(c, why);
        return;
    }
    if (tls_later(c, rc) < 0) {
        fail(c, "closed during the handshake");
        return;
    }
    update_interest(c);
}

static void dialed(struct mqtt_client *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
        fail(c, "connection refused");
        return;
    }
    if (broker_session(c->broker, c->io.fd, c->cfg.identity, &c->ssl) != ERR_OK) {
        fail(c, "no TLS session");
        return;
    }
    set_state(c, MQC_SHAKING);
    shake(c);
}

static void on_turn(void *ctx)
{
    struct mqtt_client *c = ctx;
    int fd;
    set_state(c, MQC_DIALING);
    loop_arm(c->loop, &c->timer, loop_now(c->loop) + PATIENCE_MS);
    if (broker_dial(c->broker, &fd) != ERR_OK) {
        fail(c, "cannot reach the broker");
        return;
    }
    if (loop_add(c->loop, &c->io, fd, EPOLLIN | EPOLLOUT) != ERR_OK) {
        close(fd);
        fail(c, "cannot watch the socket");
    }
}

static void on_io(void *ctx, uint32_t events)
{
    struct mqtt_client *c = ctx;
    if (c->state == MQC_DIALING) {
        dialed(c);
        return;
    }
    if (c->state == MQC_SHAKING) {
        shake(c);
        return;
    }
    if ((events & EPOLLOUT) && !flush(c)) {
        fail(c, "write failed");
        return;
    }
    if (c->closing && !c->out.n) {
        finish_close(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_some(c);
}

/* 3.1.2.10: something must be sent within every keep-alive period; we look twice per period and
 * give a silent broker one and a half. */
static void keep_alive(struct mqtt_client *c)
{
    uint64_t now = loop_now(c->loop), half = c->cfg.keep_alive_s * 500u;
    if (now - c->last_heard >= 3 * half) {
        fail(c, "the broker is silent");
        return;
    }
    if (now - c->last_sent >= half - 50 || now - c->last_heard >= half) {
        mqtt_put_empty(&c->out, MQTT_PINGREQ);
        if (!flush(c)) {
            fail(c, "write failed");
            return;
        }
    }
    loop_arm(c->loop, &c->timer, now + half);
}

static void on_timer(void *ctx)
{
    struct mqtt_client *c = ctx;
    switch (c->state) {
    case MQC_WAITING:
        set_state(c, MQC_QUEUED);
        broker_queue(c->broker, &c->turn);
        break;
    case MQC_DIALING:
    case MQC_SHAKING:
    case MQC_GREETING:
        fail(c, "no answer in time");
        break;
    case MQC_UP:
        keep_alive(c);
        break;
    case MQC_IDLE:
    case MQC_QUEUED:
        break;
    }
}
