/* stream.c - see stream.h.
 *
 * Over TLS OpenSSL reads ahead: a broker writes one record per message, and one read() for many
 * records is what makes that bearable. */
#include "port/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_AHEAD ((size_t)128 << 10)

struct stream {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl; /* NULL: as it is */
    bool read_wants_write, write_wants_read;
};

struct opening {
    const struct stream_options *o;
    stream_waiter *wait;
    void *ctx;
    char *why;
    size_t why_size;
};

static enum err fail(const struct opening *k, enum err e, const char *words)
{
    snprintf(k->why, k->why_size, "%s", words);
    return e;
}

/* ---- the socket ---- */

static enum err finish_connect(const struct opening *k, int fd)
{
    int cause = 0;
    socklen_t n = sizeof cause;
    if (!k->wait(k->ctx, fd, POLLOUT))
        return fail(k, ERR_TIMEOUT, "no answer");
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &n) != 0)
        cause = errno;
    return cause ? fail(k, ERR_IO, strerror(cause)) : ERR_OK;
}

static enum err dial(const struct opening *k, const struct sockaddr *addr, socklen_t size, int *out)
{
    enum err e = ERR_OK;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(k, ERR_IO, strerror(errno));
    if (connect(fd, addr, size) != 0)
        e = errno == EINPROGRESS ? finish_connect(k, fd) : fail(k, ERR_IO, strerror(errno));
    if (e)
        close(fd);
    else
        *out = fd;
    return e;
}

static enum err dial_unix(const struct opening *k, int *fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(k->o->host) >= sizeof addr.sun_path)
        return fail(k, ERR_INVALID, "the socket's path is too long");
    memcpy(addr.sun_path, k->o->host, strlen(k->o->host));
    return dial(k, (const struct sockaddr *)&addr, sizeof addr, fd);
}

static enum err dial_tcp(const struct opening *k, int *fd)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    const int one = 1;
    snprintf(port, sizeof port, "%d", k->o->port);
    int rc = getaddrinfo(k->o->host, port, &hints, &list);
    if (rc)
        return fail(k, ERR_IO, gai_strerror(rc));
    enum err e = fail(k, ERR_IO, "no address");
    for (const struct addrinfo *a = list; a && e && e != ERR_TIMEOUT; a = a->ai_next)
        e = dial(k, a->ai_addr, a->ai_addrlen, fd);
    freeaddrinfo(list);
    if (!e)
        (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return e;
}

/* ---- TLS ---- */

static enum err tls_failed(const struct opening *k, const struct stream *s, enum err e)
{
    long verify = s && s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    if (verify != X509_V_OK)
        reason = X509_verify_cert_error_string(verify);
    fail(k, e, reason ? reason : "TLS failed");
    ERR_clear_error();
    return e;
}

static bool make_context(const struct stream_options *o, struct stream *s)
{
    s->ctx = SSL_CTX_new(TLS_client_method());
    if (!s->ctx || SSL_CTX_load_verify_locations(s->ctx, o->ca_file, NULL) != 1)
        return false;
    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(s->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_default_read_buffer_len(s->ctx, READ_AHEAD);
    SSL_CTX_set_read_ahead(s->ctx, 1);
    return !o->cert_file || !*o->cert_file ||
           (SSL_CTX_use_certificate_chain_file(s->ctx, o->cert_file) == 1 &&
            SSL_CTX_use_PrivateKey_file(s->ctx, o->key_file, SSL_FILETYPE_PEM) == 1 &&
            SSL_CTX_check_private_key(s->ctx) == 1);
}

static bool expect_name(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static enum err shake_hands(const struct opening *k, struct stream *s)
{
    if (!make_context(k->o, s))
        return tls_failed(k, NULL, ERR_IO);
    s->ssl = SSL_new(s->ctx);
    if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1 || !expect_name(s->ssl, k->o->host))
        return tls_failed(k, NULL, ERR_NOMEM);
    for (int rc; ERR_clear_error(), (rc = SSL_connect(s->ssl)) != 1;) {
        int want = SSL_get_error(s->ssl, rc);
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
            return tls_failed(k, s, ERR_DENIED);
        if (!k->wait(k->ctx, s->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return fail(k, ERR_TIMEOUT, "no TLS handshake in time");
    }
    return ERR_OK;
}

enum err stream_open(const struct stream_options *o, stream_waiter *wait, void *ctx,
                     struct stream **out, char *why, size_t why_size)
{
    const struct opening k = {o, wait, ctx, why, why_size};
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return fail(&k, ERR_NOMEM, "no memory");
    s->fd = -1;
    bool is_unix = o->host[0] == '/';
    enum err e = is_unix ? dial_unix(&k, &s->fd) : dial_tcp(&k, &s->fd);
    if (!e && !is_unix && o->ca_file && *o->ca_file)
        e = shake_hands(&k, s);
    if (e)
        stream_close(s);
    else
        *out = s;
    return e;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    if (s->ssl && SSL_is_init_finished(s->ssl)) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
    }
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    ERR_clear_error();
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* ---- moving bytes ---- */

static enum err from_ssl(const struct stream *s, int rc, bool *wants_other, int other)
{
    int want = SSL_get_error(s->ssl, rc);
    *wants_other = want == other;
    if (want == SSL_ERROR_WANT_READ || want == SSL_ERROR_WANT_WRITE)
        return ERR_AGAIN;
    return want == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED : ERR_IO;
}

static enum err from_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? ERR_AGAIN : ERR_IO;
}

enum err stream_read(struct stream *s, void *to, size_t size, size_t *n)
{
    if (s->ssl) {
        ERR_clear_error();
        int rc = SSL_read_ex(s->ssl, to, size, n);
        s->read_wants_write = false;
        return rc == 1 ? ERR_OK : from_ssl(s, rc, &s->read_wants_write, SSL_ERROR_WANT_WRITE);
    }
    ssize_t got = recv(s->fd, to, size, 0);
    if (got < 0)
        return from_errno();
    *n = (size_t)got;
    return got ? ERR_OK : ERR_CLOSED;
}

enum err stream_write(struct stream *s, const void *from, size_t size, size_t *n)
{
    if (s->ssl) {
        ERR_clear_error();
        int rc = SSL_write_ex(s->ssl, from, size, n);
        s->write_wants_read = false;
        return rc == 1 ? ERR_OK : from_ssl(s, rc, &s->write_wants_read, SSL_ERROR_WANT_READ);
    }
    ssize_t sent = send(s->fd, from, size, MSG_NOSIGNAL);
    if (sent < 0)
        return from_errno();
    *n = (size_t)sent;
    return ERR_OK;
}

int stream_fd(const struct stream *s)
{
    return s->fd;
}

short stream_events(const struct stream *s, bool output)
{
    bool out = (output && !s->write_wants_read) || s->read_wants_write;
    return (short)(POLLIN | (out ? POLLOUT : 0));
}
