/* broker.c - see broker.h. */
#include "broker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "tls_issuer.h"

#define RESOLVE_EVERY_MS 10000

struct broker {
    struct loop *loop;
    const struct broker_config *cfg;
    SSL_CTX *ctx; /* NULL: plain */
    struct tls_issuer *issuer;
    struct list waiting; /* of broker_turn */
    unsigned in_flight;
    bool pumping;
    struct sockaddr_storage addr;
    socklen_t addr_len; /* 0: not resolved yet */
    uint64_t resolve_after;
    uint64_t note_after;
    unsigned notes_held;
};

static SSL_CTX *make_ctx(const struct broker_config *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(ctx, c->ca_file, NULL) == 1)
        return ctx;
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

enum err broker_new(struct loop *l, const struct broker_config *c, struct broker **out)
{
    enum err e = ERR_NOMEM;
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return e;
    b->loop = l;
    b->cfg = c;
    list_init(&b->waiting);
    e = ERR_IO;
    if (c->ca_file && !(b->ctx = make_ctx(c)))
        goto out;
    e = c->issuer_cert ? tls_issuer_new(c->issuer_cert, c->issuer_key, &b->issuer) : ERR_OK;
    if (e)
        goto out;
    *out = b;
    b = NULL;
out:
    broker_free(b);
    return e;
}

void broker_free(struct broker *b)
{
    if (!b)
        return;
    SSL_CTX_free(b->ctx);
    tls_issuer_free(b->issuer);
    free(b);
}

/* Admitting one client may make it fail at once (nobody listens) and leave again, which would
 * recurse through the whole queue: only the outermost call hands out slots. */
static void pump(struct broker *b)
{
    if (b->pumping)
        return;
    b->pumping = true;
    while (b->in_flight < b->cfg->handshakes) {
        struct list *next = list_first(&b->waiting);
        if (!next)
            break;
        list_remove(next);
        struct broker_turn *turn = list_entry(next, struct broker_turn, link);
        b->in_flight++;
        turn->waiting = false;
        turn->holding = true;
        turn->fn(turn->ctx);
    }
    b->pumping = false;
}

void broker_queue(struct broker *b, struct broker_turn *turn)
{
    if (turn->waiting || turn->holding)
        return;
    turn->waiting = true;
    list_append(&b->waiting, &turn->link);
    pump(b);
}

void broker_leave(struct broker *b, struct broker_turn *turn)
{
    if (turn->waiting)
        list_remove(&turn->link);
    if (turn->holding)
        b->in_flight--;
    turn->waiting = turn->holding = false;
    pump(b);
}

/* The name is looked up again from time to time, because a broker that was restarted elsewhere
 * (another container) has another address.  getaddrinfo blocks: rarely, and nobody is connected
 * at that moment anyway. */
static enum err resolve(struct broker *b)
{
    if (b->addr_len && loop_now(b->loop) < b->resolve_after)
        return ERR_OK;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *list = NULL;
    if (getaddrinfo(b->cfg->host, b->cfg->port, &hints, &list) != 0 || !list)
        return b->addr_len ? ERR_OK : ERR_IO;
    struct addrinfo *best = list;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        if (a->ai_family == AF_INET) {
            best = a; /* local brokers listen on IPv4 at least */
            break;
        }
    memcpy(&b->addr, best->ai_addr, best->ai_addrlen);
    b->addr_len = best->ai_addrlen;
    b->resolve_after = loop_now(b->loop) + RESOLVE_EVERY_MS;
    freeaddrinfo(list);
    return ERR_OK;
}

enum err broker_dial(struct broker *b, int *fd)
{
    enum err e = resolve(b);
    if (e)
        return e;
    int s = socket(b->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return ERR_IO;
    int one = 1;
    (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s, (struct sockaddr *)&b->addr, b->addr_len) != 0 && errno != EINPROGRESS) {
        close(s);
        return ERR_IO;
    }
    *fd = s;
    return ERR_OK;
}

static bool check_name(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum err broker_session(struct broker *b, int fd, struct str identity, SSL **ssl)
{
    if (!b->ctx) {
        *ssl = NULL;
        return ERR_OK;
    }
    enum err e = ERR_NOMEM;
    SSL *s = SSL_new(b->ctx);
    if (!s || SSL_set_fd(s, fd) != 1 || !check_name(s, b->cfg->host))
        goto out;
    e = b->issuer ? tls_issuer_dress(b->issuer, identity, s) : ERR_OK;
    if (e)
        goto out;
    SSL_set_connect_state(s);
    *ssl = s;
    s = NULL;
out:
    ERR_clear_error();
    SSL_free(s);
    return e;
}

void broker_note(struct broker *b, const char *event, struct str identity, const char *why)
{
    uint64_t now = loop_now(b->loop);
    if (now < b->note_after) {
        b->notes_held++;
        return;
    }
    log_warn(event, KS("device", identity), KV("why", why), KI("more", b->notes_held));
    b->notes_held = 0;
    b->note_after = now + 1000;
}
