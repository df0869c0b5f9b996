/* load.c - see load.h.
 *
 * One thread, blocking sockets: while the broker does not read, nothing is sent, and the report
 * tells the rate that was reached.  Each write takes messages of as many nodes of one connection as
 * are due; connections take turns. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "broker.h"
#include "codec/mqtt_packet.h"
#include "load_template.h"

#define CONNECT_MS   20000
#define SLICE_US     1000
#define KEEPALIVE_S  3600
#define NAME_SIZE    72
#define REPORT_LIMIT ((size_t)16 << 20)

struct link {
    int fd;
    SSL *ssl;
    size_t first, n, next; /* its nodes, and whose turn it is */
};

struct load {
    const struct sim_options *o;
    struct loop *loop;
    struct broker *broker;
    struct broker_config broker_config;
    struct load_shape shape;
    struct load_node *nodes;
    char (*names)[NAME_SIZE];
    size_t n_nodes;
    struct link *links;
    size_t n_links, turn;
    sigset_t signals;
    bool stop;
    char *out; /* room for per_write packets */
};

/* ---- connections ---- */

static bool ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, CONNECT_MS) == 1;
}

static enum err shake_hands(struct link *l)
{
    for (int rc; (rc = SSL_connect(l->ssl)) != 1;) {
        int want = SSL_get_error(l->ssl, rc);
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
            return ERR_DENIED;
        if (!ready(l->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return ERR_TIMEOUT;
    }
    return ERR_OK;
}

/* From here on the socket blocks. */
static enum err make_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ? ERR_IO : ERR_OK;
}

static enum err write_all(struct link *l, const char *p, size_t n)
{
    while (n) {
        size_t done = 0;
        if (l->ssl) {
            if (SSL_write_ex(l->ssl, p, n, &done) != 1)
                return ERR_IO;
        } else {
            ssize_t sent = send(l->fd, p, n, MSG_NOSIGNAL);
            if (sent < 0 && errno != EINTR)
                return ERR_IO;
            done = sent > 0 ? (size_t)sent : 0;
        }
        p += done;
        n -= done;
    }
    return ERR_OK;
}

/* CONNACK is all a client hears that subscribes to nothing. */
static enum err hear_connack(struct link *l)
{
    struct mqtt_packet packet;
    char bytes[64];
    size_t n = 0, used, got;
    for (enum err e = ERR_AGAIN; e == ERR_AGAIN;) {
        if (n == sizeof bytes || (!(l->ssl && SSL_pending(l->ssl)) && !ready(l->fd, POLLIN)))
            return ERR_TIMEOUT;
        if (l->ssl) {
            if (SSL_read_ex(l->ssl, bytes + n, sizeof bytes - n, &got) != 1)
                return ERR_IO;
        } else {
            ssize_t r = recv(l->fd, bytes + n, sizeof bytes - n, 0);
            if (r <= 0)
                return ERR_IO;
            got = (size_t)r;
        }
        n += got;
        e = mqtt_packet_read(str_make(bytes, n), MQTT_3_1_1, sizeof bytes, &packet, &used);
        if (e && e != ERR_AGAIN)
            return e;
    }
    return packet.type == MQTT_CONNACK && !packet.reason ? ERR_OK : ERR_DENIED;
}

static enum err open_link(struct load *w, struct link *l, struct str identity)
{
    struct buf hello;
    l->fd = -1;
    enum err e = broker_dial(w->broker, &l->fd);
    if (!e && !ready(l->fd, POLLOUT))
        e = ERR_TIMEOUT;
    if (!e)
        e = broker_session(w->broker, l->fd, identity, &l->ssl);
    if (!e && l->ssl)
        e = shake_hands(l);
    if (!e)
        e = make_blocking(l->fd);
    buf_init(&hello, 4096);
    mqtt_put_connect(&hello, &(struct mqtt_connect){.level = MQTT_3_1_1,
                                                    .client_id = identity,
                                                    .keep_alive_s = KEEPALIVE_S,
                                                    .clean = true});
    if (!e)
        e = hello.err ? hello.err : write_all(l, hello.p, hello.n);
    buf_fini(&hello);
    return e ? e : hear_connack(l);
}

static void close_link(struct link *l)
{
    struct buf bye;
    if (l->fd < 0)
        return;
    buf_init(&bye, 16);
    mqtt_put_empty(&bye, MQTT_DISCONNECT);
    if (!bye.err && write_all(l, bye.p, bye.n) == ERR_OK && l->ssl)
        SSL_shutdown(l->ssl);
    buf_fini(&bye);
    SSL_free(l->ssl);
    close(l->fd);
}

/* ---- sending ---- */

static bool told_to_stop(struct load *w)
{
    const struct timespec now = {0, 0};
    if (!w->stop && sigtimedwait(&w->signals, NULL, &now) > 0)
        w->stop = true;
    return w->stop;
}

static void sleep_us(uint64_t us)
{
    const struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

typedef void message_writer(struct load_node *n, const struct load_shape *s, int64_t now_ms,
                            struct buf *out);

/* All nodes say something once, so many of them a second that a server admits them. */
static enum err everybody(struct load *w, message_writer *say, uint64_t per_s)
{
    struct buf b;
    enum err e = ERR_OK;
    buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; !e && i < w->n_links; i++)
        for (size_t k = w->links[i].first; !e && k < w->links[i].first + w->links[i].n; k++) {
            buf_reset(&b);
            say(&w->nodes[k], &w->shape, clock_utc_ms(), &b);
            e = b.err ? b.err : write_all(&w->links[i], b.p, b.n);
            if (per_s && !told_to_stop(w))
                sleep_us(1000000 / per_s);
        }
    buf_fini(&b);
    return e;
}

/* One write of at most `n` messages over the connection whose turn it is; how many went. */
static enum err send_some(struct load *w, uint64_t n, uint64_t *sent)
{
    struct link *l = &w->links[w->turn++ % w->n_links];
    size_t size = 0;
    int64_t now = clock_utc_ms();
    if (n > w->o->load_per_write)
        n = w->o->load_per_write;
    for (uint64_t i = 0; i < n; i++) {
        size += load_next(&w->nodes[l->first + l->next], &w->shape, now, w->out + size);
        l->next = (l->next + 1) % l->n;
    }
    *sent += n;
    return write_all(l, w->out, size);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct outcome {
    uint64_t messages;
    int64_t from_ms, to_ms;
    double seconds, cpu_s;
};

static uint64_t due(uint64_t rate, uint64_t elapsed_us, uint64_t messages)
{
    uint64_t n = rate ? rate * elapsed_us / 1000000 + 1 : messages;
    return n < messages ? n : messages;
}

static enum err send_all(struct load *w, uint64_t messages, uint64_t rate, struct outcome *out)
{
    enum err e = ERR_OK;
    uint64_t sent = 0, from = clock_mono_us(), looked = from;
    double cpu = cpu_s();
    out->from_ms = clock_utc_ms();
    while (!e && sent < messages && !w->stop) {
        uint64_t now = clock_mono_us(), n = due(rate, now - from, messages) - sent;
        if (n)
            e = send_some(w, n, &sent);
        else
            sleep_us(SLICE_US);
        if (now - looked > 50000) {
            looked = now;
            told_to_stop(w);
        }
    }
    out->messages = sent;
    out->to_ms = clock_utc_ms();
    out->seconds = (double)(clock_mono_us() - from) / 1e6;
    out->cpu_s = cpu_s() - cpu;
    return e;
}

/* ---- reports ---- */

static void report(const struct load *w, const struct outcome *r)
{
    struct buf b;
    struct json_out j;
    double metrics = (double)r->messages * w->shape.metrics;
    buf_init(&b, REPORT_LIMIT);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_key(&j, "messages"), json_u64(&j, r->messages);
    json_key(&j, "metrics"), json_u64(&j, r->messages * w->shape.metrics);
    json_key(&j, "metrics_per_message"), json_u64(&j, w->shape.metrics);
    json_key(&j, "seconds"), json_double(&j, r->seconds);
    json_key(&j, "messages_per_s"), json_double(&j, (double)r->messages / r->seconds);
    json_key(&j, "metrics_per_s"), json_double(&j, metrics / r->seconds);
    json_key(&j, "cpu_s"), json_double(&j, r->cpu_s);
    json_key(&j, "cpu_us_per_metric"), json_double(&j, metrics ? r->cpu_s * 1e6 / metrics : 0);
    json_key(&j, "from_ms"), json_i64(&j, r->from_ms);
    json_key(&j, "to_ms"), json_i64(&j, r->to_ms);
    json_key(&j, "births"), json_u64(&j, w->n_nodes);
    json_key(&j, "first_node"), json_str(&j, w->nodes[0].name);
    json_key(&j, "node_messages"); /* since the births, in the nodes' order */
    json_open(&j, '[');
    for (size_t i = 0; i < w->n_nodes; i++)
        json_u64(&j, w->nodes[i].messages);
    json_close(&j);
    json_close(&j);
    buf_putc(&b, '\n');
    if (!b.err)
        fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    buf_fini(&b);
}

static enum err run_and_report(struct load *w, uint64_t messages, uint64_t rate)
{
    struct outcome r;
    enum err e = send_all(w, messages, rate, &r);
    report(w, &r);
    return e;
}

/* Lines "MESSAGES [RATE]" on standard input, each a run, until it ends. */
static enum err run_gated(struct load *w)
{
    char line[128];
    enum err e = ERR_OK;
    puts("{\"ready\":true}");
    fflush(stdout);
    while (!e && !told_to_stop(w) && fgets(line, sizeof line, stdin)) {
        uint64_t messages, rate = 0;
        struct str rest = {line, strcspn(line, "\n")};
        e = str_to_u64(str_cut(&rest, ' '), &messages);
        if (!e && rest.p)
            e = str_to_u64(rest, &rate);
        if (!e)
            e = run_and_report(w, messages, rate);
    }
    return e;
}

/* ---- all of it ---- */

static enum err make_nodes(struct load *w)
{
    enum err e = ERR_OK;
    w->nodes = calloc(w->n_nodes, sizeof *w->nodes);
    w->names = calloc(w->n_nodes, sizeof *w->names);
    w->out = malloc(w->o->load_per_write * LOAD_PACKET_MAX);
    if (!w->nodes || !w->names || !w->out)
        return ERR_NOMEM;
    for (size_t i = 0; !e && i < w->n_nodes; i++) {
        snprintf(w->names[i], NAME_SIZE, "sim-%s-%05zu", w->o->tag, i + 1);
        e = load_node_init(&w->nodes[i], &w->shape, str_of(w->names[i]));
    }
    return e;
}

static enum err connect_all(struct load *w)
{
    enum err e = loop_new(&w->loop);
    if (!e)
        e = broker_new(w->loop, &w->broker_config, &w->broker);
    w->links = calloc(w->n_links, sizeof *w->links);
    if (!e && !w->links)
        e = ERR_NOMEM;
    for (size_t i = 0; w->links && i < w->n_links; i++)
        w->links[i].fd = -1;
    for (size_t i = 0; !e && i < w->n_links; i++) {
        struct link *l = &w->links[i];
        char name[NAME_SIZE + 8];
        l->first = i * w->n_nodes / w->n_links;
        l->n = (i + 1) * w->n_nodes / w->n_links - l->first;
        snprintf(name, sizeof name, "load-%s", w->names[l->first]);
        e = open_link(w, l, w->o->plain ? str_of(name) : w->nodes[l->first].name);
    }
    return e;
}

static void fini(struct load *w)
{
    for (size_t i = 0; w->links && i < w->n_links; i++)
        close_link(&w->links[i]);
    for (size_t i = 0; w->nodes && i < w->n_nodes; i++)
        load_node_fini(&w->nodes[i]);
    broker_free(w->broker);
    loop_free(w->loop);
    free(w->links);
    free(w->nodes);
    free(w->names);
    free(w->out);
}

static void init(struct load *w, const struct sim_options *o)
{
    *w = (struct load){
        .o = o,
        .broker_config = {.host = o->host,
                          .port = o->port,
                          .ca_file = o->plain ? NULL : o->ca_file,
                          .issuer_cert = o->plain ? NULL : o->issuer_cert,
                          .issuer_key = o->plain ? NULL : o->issuer_key,
                          .handshakes = 1},
        .shape = {.group = str_of(o->group),
                  .device = o->load_node_level ? str_make(NULL, 0) : str_of("D1"),
                  .metrics = (unsigned)o->load_metrics},
        .n_nodes = o->load,
    };
    w->n_links = o->plain && o->load_connections < o->load ? o->load_connections : o->load;
    sigemptyset(&w->signals);
    sigaddset(&w->signals, SIGTERM);
    sigaddset(&w->signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &w->signals, NULL);
}

enum err load_run(const struct sim_options *o, char *why, size_t size)
{
    struct load w;
    init(&w, o);
    snprintf(why, size, "cannot make %zu nodes", w.n_nodes);
    enum err e = make_nodes(&w);
    if (!e) {
        snprintf(why, size, "no connection to %s:%s", o->host, o->port);
        e = connect_all(&w);
    }
    if (!e) {
        snprintf(why, size, "the connection to the broker ended");
        e = everybody(&w, load_births, o->load_births);
    }
    if (!e)
        e = o->load_gate ? run_gated(&w) : run_and_report(&w, o->load_messages, o->load_rate);
    if (!e)
        e = everybody(&w, load_death, 0);
    fini(&w);
    return e;
}
