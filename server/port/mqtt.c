/* mqtt.c - see mqtt.h.
 *
 * A client of our own (codec/mqtt_packet: packets, stream: the socket, mqtt_out: what waits to be
 * sent) because of what libmosquitto costs a host that reads a hundred thousand messages a second:
 * one pselect() and three read()s for each. Here one read() takes what is there, and when messages
 * come fast the loop waits a moment before it reads, so that one wake-up serves many of them
 * (coalescing_note).  The broker sees a plain client: QoS 0 and 1, no topic aliases.
 *
 * A QoS 1 message is acknowledged once the handler has returned from it.
 *
 * coalescing_note: below COALESCE_FROM messages a second the loop reads at once.  Above, it lets
 * COALESCE_US pass between readable and read; a Unix socket holds about 280 small packets, so more
 * would make the broker wait. */
#include "port/mqtt.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "codec/mqtt_packet.h"
#include "port/mqtt_hello.h"
#include "port/mqtt_out.h"
#include "port/stream.h"

#define BACKOFF_MIN_MS    200
#define BACKOFF_MAX_MS    5000
#define CONNACK_MS        10000
#define STABLE_MS         5000 /* a connection that lived this long resets the back-off */
#define MISC_MS           1000
#define TOPIC_MAX_BYTES   65535
#define PAYLOAD_MAX_BYTES ((size_t)256 << 20) /* MQTT's own limit */
#define IN_BYTES          ((size_t)256 << 10) /* of the read buffer; grows for larger packets */
#define ROUND_BYTES       ((size_t)1 << 20)   /* read before looking at anything else */
#define COALESCE_FROM     4000                /* messages a second */
#define COALESCE_US       500
#define RATE_WINDOW_US    20000
#define HELD_MS           50 /* how soon reading goes on after it was paused */

enum life { IDLE, CONNECTING, UP };

struct mqtt {
    struct mqtt_options o; /* strings owned */
    struct mqtt_handler h;
    struct thread thread;
    int wake; /* eventfd */
    _Atomic bool stopping, up;
    _Atomic uint64_t flush_until; /* monotonic ms, set before `stopping` */

    /* the session's thread only */
    enum life life;
    uint64_t since_ms; /* of `life` */
    unsigned failures;
    struct stream *stream; /* NULL between connections */
    char *in;
    size_t in_n, in_cap;
    struct mqtt_out *out;
    uint64_t heard_ms, said_ms, pinged_ms, keepalive_ms;
    uint64_t window_us; /* start of the window that counts messages */
    unsigned window_messages;
    bool fast;
    bool holding, hung_up; /* reading is paused; meanwhile the other side ended the connection */
};

static void ring(const struct mqtt *m)
{
    const uint64_t one = 1;
    ssize_t done = write(m->wake, &one, sizeof one);
    (void)done; /* full means it rings already */
}

static void clear_wake(const struct mqtt *m)
{
    uint64_t n;
    while (read(m->wake, &n, sizeof n) == (ssize_t)sizeof n)
        ;
}

/* ---- connecting ---- */

static void set_life(struct mqtt *m, enum life life)
{
    m->life = life;
    m->since_ms = clock_mono_ms();
    atomic_store(&m->up, life == UP);
}

/* hang_up closes the connection and forgets everything that waited on it. */
static void hang_up(struct mqtt *m)
{
    mqtt_out_close(m->out);
    stream_close(m->stream);
    m->stream = NULL;
    m->in_n = 0;
    m->pinged_ms = 0;
    m->fast = m->holding = m->hung_up = false;
    m->window_messages = 0;
}

/* lose ends the connection (or the attempt), tells the handler, and counts towards the back-off. */
static void lose(struct mqtt *m, const char *why)
{
    enum life was = m->life;
    if (was == IDLE)
        return;
    bool stable = was == UP && clock_mono_ms() - m->since_ms >= STABLE_MS;
    m->failures = stable ? 0 : m->failures + 1;
    set_life(m, IDLE);
    hang_up(m);
    log_warn(was == UP ? "mqtt.disconnected" : "mqtt.connect_failed", KV("session", m->o.name),
             KV("reason", why));
    if (was == UP && m->h.disconnected)
        m->h.disconnected(m->h.ctx, m, why);
}

/* While the connection opens: ready, or time is up, or we are to stop. */
static bool wait_for(void *ctx, int fd, short events)
{
    struct mqtt *m = ctx;
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (atomic_load(&m->stopping) || now >= m->since_ms + CONNACK_MS)
            return false;
        struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = m->wake, .events = POLLIN}};
        int n = poll(p, 2, (int)(m->since_ms + CONNACK_MS - now));
        if (n > 0 && p[1].revents)
            clear_wake(m);
        if (n > 0 && p[0].revents)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static void connect_now(struct mqtt *m)
{
    char why[200] = "";
    const struct stream_options o = {.host = m->o.host,
                                     .port = m->o.port,
                                     .ca_file = m->o.ca_file,
                                     .cert_file = m->o.cert_file,
                                     .key_file = m->o.key_file};
    set_life(m, CONNECTING);
    enum err e = stream_open(&o, wait_for, m, &m->stream, why, sizeof why);
    if (e) {
        lose(m, why);
        return;
    }
    e = mqtt_hello(&m->o, &m->h, mqtt_out_own(m->out));
    if (e)
        lose(m, err_word(e));
    m->heard_ms = m->said_ms = clock_mono_ms();
}

/* ---- sending ---- */

/* flush writes what goes at once; false: the connection is gone. */
static bool flush(struct mqtt *m)
{
    struct str bytes;
    enum err e;
    while (!(e = mqtt_out_next(m->out, &bytes)) && bytes.n) {
        size_t n = 0;
        e = stream_write(m->stream, bytes.p, bytes.n, &n);
        if (e == ERR_AGAIN)
            return true;
        if (e) {
            lose(m, "the connection broke while sending");
            return false;
        }
        mqtt_out_wrote(m->out, n);
        m->said_ms = clock_mono_ms();
    }
    if (e)
        lose(m, err_word(e));
    return !e;
}

/* ---- receiving ---- */

static void take_connack(struct mqtt *m, const struct mqtt_packet *p)
{
    if (p->reason) {
        lose(m, mqtt_reason(p->reason));
        return;
    }
    m->keepalive_ms = 1000 * (uint64_t)(p->keep_alive_s ? p->keep_alive_s : m->o.keepalive_s);
    mqtt_out_open(m->out, p->receive_max < MQTT_RECEIVE_MAX ? p->receive_max : MQTT_RECEIVE_MAX,
                  p->packet_max);
    set_life(m, UP);
    log_info("mqtt.connected", KV("session", m->o.name), KV("host", m->o.host),
             KI("port", m->o.port), KI("session_present", p->session_present));
    if (m->h.connected)
        m->h.connected(m->h.ctx, m, p->session_present);
    mqtt_out_greeted(m->out);
}

static void take_publish(struct mqtt *m, const struct mqtt_publish *p)
{
    const struct mqtt_message msg = {.topic = p->topic,
                                     .payload = p->payload,
                                     .retained = p->retain,
                                     .dup = p->dup,
                                     .qos = p->qos};
    m->window_messages++;
    if (m->h.message)
        m->h.message(m->h.ctx, m, &msg);
    if (p->qos)
        mqtt_put_puback(mqtt_out_own(m->out), p->id);
}

static void take_suback(struct mqtt *m, const struct mqtt_packet *p)
{
    if (p->reason < 0x80)
        return;
    log_warn("mqtt.subscription_refused", KV("session", m->o.name), KI("code", p->reason));
    if (m->h.refused)
        m->h.refused(m->h.ctx, m);
}

static void take(struct mqtt *m, const struct mqtt_packet *p)
{
    if ((p->type == MQTT_CONNACK) != (m->life == CONNECTING)) {
        lose(m, "the broker said something out of turn");
        return;
    }
    switch (p->type) {
    case MQTT_PUBLISH:
        take_publish(m, &p->publish);
        break;
    case MQTT_CONNACK:
        take_connack(m, p);
        break;
    case MQTT_PUBACK:
        if (mqtt_out_acked(m->out, p->id) && m->h.acked)
            m->h.acked(m->h.ctx, m, p->id, p->reason);
        break;
    case MQTT_SUBACK:
        take_suback(m, p);
        break;
    case MQTT_DISCONNECT:
        lose(m, p->reason ? mqtt_reason(p->reason) : "the broker said goodbye");
        break;
    default:
        break;
    }
}

/* Room for a packet of `need` bytes, and for as much as one read may bring. */
static enum err make_room(struct mqtt *m, size_t need)
{
    size_t want = need > IN_BYTES ? need : IN_BYTES;
    if (m->in_cap >= want && (m->in_cap == want || m->in_n))
        return ERR_OK;
    char *p = realloc(m->in, want); /* grows, or shrinks while empty */
    if (!p)
        return m->in_cap >= want ? ERR_OK : ERR_NOMEM;
    m->in = p;
    m->in_cap = want;
    return ERR_OK;
}

/* parse hands over all whole packets and keeps what is left; false: the connection is gone. */
static bool parse(struct mqtt *m)
{
    size_t at = 0, used = 0;
    struct mqtt_packet p;
    enum err e = ERR_OK;
    while (at < m->in_n && !(e = mqtt_packet_read(str_make(m->in + at, m->in_n - at), MQTT_5,
                                                  MQTT_PACKET_MAX, &p, &used))) {
        take(m, &p);
        if (m->life == IDLE)
            return false;
        at += used;
    }
    if (e && e != ERR_AGAIN) {
        lose(m, e == ERR_TOOBIG ? "the broker sent a packet that is too large"
                                : "the broker sent what is not MQTT 5");
        return false;
    }
    m->in_n -= at;
    if (at && m->in_n)
        memmove(m->in, m->in + at, m->in_n);
    e = make_room(m, e == ERR_AGAIN ? used : 0);
    if (e)
        lose(m, err_word(e));
    return !e;
}

static bool may_read(const struct mqtt *m)
{
    return m->life != UP || !m->h.may_read || m->h.may_read(m->h.ctx);
}

/* read_some reads until nothing more is there, or long enough (*more); false: the connection is
 * gone. */
static bool read_some(struct mqtt *m, bool *more)
{
    size_t total = 0;
    for (;;) {
        m->holding = !may_read(m); /* remembered: what OpenSSL holds wakes nobody later */
        if (m->holding)
            break;
        size_t n = 0, room = m->in_cap - m->in_n;
        enum err e = stream_read(m->stream, m->in + m->in_n, room, &n);
        if (e == ERR_AGAIN)
            break;
        if (e) {
            lose(m, e == ERR_CLOSED ? "the broker closed the connection" : "the connection broke");
            return false;
        }
        m->in_n += n;
        total += n;
        if (!parse(m))
            return false;
        *more = total >= ROUND_BYTES;
        if (*more)
            break;
    }
    if (total)
        m->heard_ms = clock_mono_ms(), m->pinged_ms = 0;
    return true;
}

/* ---- the loop ---- */

/* See coalescing_note. */
static void pace(struct mqtt *m)
{
    const struct timespec pause = {0, COALESCE_US * 1000};
    uint64_t now = clock_mono_us(), passed = now - m->window_us;
    if (passed >= RATE_WINDOW_US) {
        m->fast = (uint64_t)m->window_messages * 1000000 >= passed * COALESCE_FROM;
        m->window_us = now;
        m->window_messages = 0;
    }
    if (m->fast)
        nanosleep(&pause, NULL);
}

/* Asks whether the broker lives when nothing was said, or heard, for most of the keep-alive time;
 * false: it does not.  Whoever does not read hears no answer, but shows that he lives. */
static bool keep_alive(struct mqtt *m, uint64_t now)
{
    uint64_t soon = m->keepalive_ms * 3 / 4;
    if (m->life != UP || !soon)
        return true;
    if (m->holding) {
        m->heard_ms = now;
        m->pinged_ms = 0;
    }
    if (m->pinged_ms && now - m->pinged_ms >= m->keepalive_ms) {
        lose(m, "the broker does not answer");
        return false;
    }
    if (!m->pinged_ms && (now - m->said_ms >= soon || now - m->heard_ms >= soon)) {
        mqtt_put_empty(mqtt_out_own(m->out), MQTT_PINGREQ);
        m->pinged_ms = now;
    }
    return true;
}

/* Waits for the socket and the bell; true: there may be something to read. */
static bool wait_for_events(struct mqtt *m, uint64_t until_ms, bool more)
{
    struct pollfd p[2] = {
        {.fd = m->wake, .events = POLLIN},
        {.fd = stream_fd(m->stream), .events = stream_events(m->stream, mqtt_out_begun(m->out))},
    };
    uint64_t now = clock_mono_ms();
    int wait = now >= until_ms ? 0 : (int)(until_ms - now);
    bool resumed = m->holding; /* what TLS or we had read already wakes nobody */
    m->holding = !may_read(m);
    resumed &= !m->holding;
    if (m->holding) {
        p[1].events &= (short)~POLLIN;
        wait = wait < HELD_MS ? wait : HELD_MS;
    } else {
        m->hung_up = false;
        wait = more || resumed ? 0 : wait;
    }
    if (poll(p, m->hung_up ? 1 : 2, wait) <= 0)
        return more || resumed;
    if (p[0].revents)
        clear_wake(m);
    m->hung_up |= m->holding && p[1].revents & (POLLERR | POLLHUP); /* poll() would never wait */
    if (!more && !m->holding && p[1].revents & POLLIN)
        pace(m);
    return more || resumed || p[1].revents;
}

static void turn(struct mqtt *m, uint64_t *next_misc, bool *more)
{
    if (wait_for_events(m, *next_misc, *more) && !m->holding) {
        *more = false;
        if (!read_some(m, more))
            return;
        if (m->h.drained)
            m->h.drained(m->h.ctx, m);
    }
    uint64_t now = clock_mono_ms();
    if (now >= *next_misc) {
        *next_misc = now + (m->keepalive_ms && m->keepalive_ms / 4 < MISC_MS ? m->keepalive_ms / 4
                                                                             : MISC_MS);
        if (!keep_alive(m, now))
            return;
    }
    if (m->hung_up || !flush(m))
        return;
    if (m->life == CONNECTING && now - m->since_ms > CONNACK_MS)
        lose(m, "no CONNACK in time");
}

/* Half of the delay is fixed, half is chance, so that many clients do not return as one. */
static uint64_t backoff_ms(const struct mqtt *m)
{
    uint64_t delay = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < m->failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    uint64_t now = clock_mono_us();
    return delay / 2 + str_hash(str_make((const char *)&now, sizeof now), 0) % (delay / 2 + 1);
}

static void pause_before_dialling(struct mqtt *m)
{
    uint64_t until = clock_mono_ms() + (m->failures ? backoff_ms(m) : 0);
    for (uint64_t now; !atomic_load(&m->stopping) && (now = clock_mono_ms()) < until;) {
        struct pollfd p = {.fd = m->wake, .events = POLLIN};
        if (poll(&p, 1, (int)(until - now)) > 0)
            clear_wake(m);
    }
}

/* say_goodbye flushes what waits, then sends DISCONNECT, so that the broker forgets the will. */
static void say_goodbye(struct mqtt *m)
{
    bool more = false;
    uint64_t next_misc = 0;
    uint64_t until = atomic_load(&m->flush_until);
    while (m->life == UP && !mqtt_out_done(m->out) && clock_mono_ms() < until) {
        next_misc = clock_mono_ms() + 20; /* look at the clock often */
        turn(m, &next_misc, &more);
    }
    if (m->life != UP)
        return;
    mqtt_put_empty(mqtt_out_own(m->out), MQTT_DISCONNECT);
    until = clock_mono_ms() + 1000;
    while (flush(m) && mqtt_out_begun(m->out) && clock_mono_ms() < until) {
        struct pollfd p = {.fd = stream_fd(m->stream), .events = POLLOUT};
        if (poll(&p, 1, 10) < 0)
            break;
    }
    log_info("mqtt.closed", KV("session", m->o.name));
}

static void run(void *arg)
{
    struct mqtt *m = arg;
    uint64_t next_misc = 0;
    bool more = false;
    while (!atomic_load(&m->stopping)) {
        if (m->life == IDLE) {
            pause_before_dialling(m);
            if (!atomic_load(&m->stopping))
                connect_now(m);
            next_misc = 0;
            more = false;
        } else {
            turn(m, &next_misc, &more);
        }
    }
    say_goodbye(m);
    set_life(m, IDLE);
    hang_up(m);
}

/* ---- the other threads ---- */

static void destroy(struct mqtt *m)
{
    if (!m)
        return;
    mqtt_options_fini(&m->o);
    if (m->wake >= 0)
        close(m->wake);
    free(m->in);
    mqtt_out_free(m->out);
    free(m);
}

enum err mqtt_new(const struct mqtt_options *o, const struct mqtt_handler *h, struct mqtt **out)
{
    struct mqtt *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->h = *h;
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum err e = mqtt_options_copy(o, &m->o);
    if (!e && m->wake < 0)
        e = ERR_IO;
    if (!e)
        e = mqtt_out_new(&m->out);
    if (!e)
        e = make_room(m, 0);
    if (e) {
        destroy(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

enum err mqtt_start(struct mqtt *m)
{
    char name[16];
    snprintf(name, sizeof name, "mqtt-%s", m->o.name);
    return thread_start(&m->thread, name, run, m);
}

void mqtt_close(struct mqtt *m, uint32_t flush_ms)
{
    if (!m)
        return;
    atomic_store(&m->flush_until, clock_mono_ms() + flush_ms);
    atomic_store(&m->stopping, true);
    ring(m);
    thread_join(&m->thread);
}

void mqtt_free(struct mqtt *m)
{
    destroy(m);
}

void mqtt_stop(struct mqtt *m, uint32_t flush_ms)
{
    mqtt_close(m, flush_ms);
    mqtt_free(m);
}

enum err mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, bool no_local)
{
    struct str f = str_of(filter);
    if (!f.n || f.n > TOPIC_MAX_BYTES)
        return ERR_INVALID;
    enum err e = mqtt_out_subscribe(m->out, f, qos, no_local);
    if (!e)
        ring(m);
    return e;
}

enum err mqtt_publish(struct mqtt *m, struct str topic, struct str payload, uint8_t qos,
                      bool retain, int *mid)
{
    struct mqtt_publish p = {.topic = topic, .payload = payload, .qos = qos, .retain = retain};
    bool first = false;
    if (payload.n > PAYLOAD_MAX_BYTES)
        return ERR_TOOBIG;
    enum err e = mqtt_topic_ok(topic);
    if (!e)
        e = mqtt_out_publish(m->out, &p, mid, &first);
    if (!e && first)
        ring(m);
    return e;
}

bool mqtt_is_up(const struct mqtt *m)
{
    return atomic_load(&m->up);
}
