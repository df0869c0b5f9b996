/* http_get.c - see http_get.h. */
#include "http_get.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_MAX 8192
#define IMAGE_MAX  ((size_t)256 << 20)
#define SILENCE_MS 20000

struct http_get {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer timer;
    http_get_fn *done;
    void *ctx;
    char host[128], port[8], path[FW_URI_MAX + 1];
    bool asked, in_body, has_length;
    char header[HEADER_MAX];
    size_t header_n;
    size_t length;
    EVP_MD_CTX *hash;
    char head[FW_HEAD];
    struct fw_image image;
    enum fw_result bad; /* why it failed before it began */
};

static void finish(struct http_get *g, enum fw_result why)
{
    http_get_fn *done = g->done;
    void *ctx = g->ctx;
    struct fw_image image = g->image;
    char head[FW_HEAD];
    unsigned n = 0;
    memcpy(head, g->head, sizeof head);
    image.head = str_make(head, image.size < FW_HEAD ? image.size : FW_HEAD);
    if (EVP_DigestFinal_ex(g->hash, image.sha256, &n) != 1)
        why = FW_BAD_INTEGRITY;
    http_get_abort(g);
    done(ctx, why, &image);
}

void http_get_abort(struct http_get *g)
{
    if (!g)
        return;
    int fd = g->io.fd;
    loop_del(g->loop, &g->io);
    loop_cancel(g->loop, &g->timer);
    if (fd >= 0)
        close(fd);
    EVP_MD_CTX_free(g->hash);
    free(g);
}

void http_get_sha256(struct str bytes, uint8_t sha256[32])
{
    if (EVP_Digest(bytes.p, bytes.n, sha256, NULL, EVP_sha256(), NULL) != 1)
        memset(sha256, 0, 32);
}

/* http://host[:port]/path */
static bool split(struct http_get *g, struct str uri)
{
    static const size_t scheme = sizeof "http://" - 1;
    if (!str_starts(uri, "http://"))
        return false;
    struct str rest = str_make(uri.p + scheme, uri.n - scheme);
    struct str authority = str_cut(&rest, '/');
    struct str port = authority, host = str_cut(&port, ':');
    uint64_t number = 80;
    if (!host.n || host.n >= sizeof g->host || rest.n + 1 >= sizeof g->path ||
        (port.p && (str_to_u64(port, &number) != ERR_OK || !number || number > 65535)))
        return false;
    snprintf(g->host, sizeof g->host, "%.*s", STR_ARG(host));
    snprintf(g->port, sizeof g->port, "%u", (unsigned)number);
    snprintf(g->path, sizeof g->path, "/%.*s", STR_ARG(rest));
    return true;
}

static bool dial(struct http_get *g)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(g->host, g->port, &hints, &list) != 0 || !list)
        return false;
    int s = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = s >= 0 &&
              (connect(s, list->ai_addr, list->ai_addrlen) == 0 || errno == EINPROGRESS) &&
              loop_add(g->loop, &g->io, s, EPOLLOUT) == ERR_OK;
    if (!ok && s >= 0)
        close(s);
    freeaddrinfo(list);
    return ok;
}

static bool ask(struct http_get *g)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: braid-sim\r\n"
                     "Accept: */*\r\nConnection: close\r\n\r\n",
                     g->path, g->host, g->port);
    g->asked = true;
    loop_want(g->loop, &g->io, EPOLLIN);
    return n > 0 && (size_t)n < sizeof text &&
           send(g->io.fd, text, (size_t)n, MSG_NOSIGNAL) == n; /* fits any fresh socket */
}

/* True once the header is complete and says 200; *bad when it says anything else. */
static bool read_header(struct http_get *g, enum fw_result *bad)
{
    struct str all = str_make(g->header, g->header_n);
    struct str status = str_cut(&all, '\n');
    if (!str_starts(status, "HTTP/1.1 200") && !str_starts(status, "HTTP/1.0 200")) {
        *bad = FW_BAD_URI;
        return false;
    }
    while (all.p && all.n) {
        struct str value = str_cut(&all, '\n'), name = str_cut(&value, ':');
        uint64_t n;
        while (value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
            value = str_make(value.p + 1, value.n - 1);
        while (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        if (name.n == 14 && strncasecmp(name.p, "content-length", 14) == 0 &&
            str_to_u64(value, &n) == ERR_OK) {
            g->has_length = true;
            g->length = n;
        }
        if (name.n == 17 && strncasecmp(name.p, "transfer-encoding", 17) == 0) {
            *bad = FW_BAD_PROTOCOL; /* chunked: constrained devices do not know it either */
            return false;
        }
    }
    if (g->has_length && g->length > IMAGE_MAX)
        *bad = FW_NO_FLASH;
    return *bad == FW_SUCCESS;
}

static enum fw_result take_body(struct http_get *g, const char *p, size_t n)
{
    if (g->image.size < FW_HEAD) {
        size_t room = FW_HEAD - g->image.size;
        memcpy(g->head + g->image.size, p, n < room ? n : room);
    }
    g->image.size += n;
    if (g->image.size > IMAGE_MAX)
        return FW_NO_FLASH;
    return EVP_DigestUpdate(g->hash, p, n) == 1 ? FW_SUCCESS : FW_NO_RAM;
}

static enum fw_result take(struct http_get *g, const char *p, size_t n)
{
    enum fw_result bad = FW_SUCCESS;
    while (n && !g->in_body) {
        if (g->header_n == HEADER_MAX)
            return FW_BAD_URI;
        g->header[g->header_n++] = *p++;
        n--;
        if (g->header_n >= 4 && memcmp(g->header + g->header_n - 4, "\r\n\r\n", 4) == 0) {
            g->in_body = read_header(g, &bad);
            if (bad != FW_SUCCESS)
                return bad;
        }
    }
    return n ? take_body(g, p, n) : FW_SUCCESS;
}

static bool is_complete(const struct http_get *g)
{
    return g->in_body && g->has_length && g->image.size >= g->length;
}

static void on_io(void *ctx, uint32_t events)
{
    struct http_get *g = ctx;
    (void)events;
    if (!g->asked) {
        if (!ask(g))
            finish(g, FW_CONNECTION_LOST);
        return;
    }
    char *scratch = loop_scratch(g->loop);
    ssize_t n = recv(g->io.fd, scratch, LOOP_SCRATCH, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        finish(g, n == 0 && g->in_body && !g->has_length ? FW_SUCCESS : FW_CONNECTION_LOST);
        return;
    }
    enum fw_result bad = take(g, scratch, (size_t)n);
    if (bad != FW_SUCCESS)
        finish(g, bad);
    else if (is_complete(g))
        finish(g, FW_SUCCESS);
    else
        loop_arm(g->loop, &g->timer, loop_now(g->loop) + SILENCE_MS);
}

static void on_timer(void *ctx)
{
    struct http_get *g = ctx;
    finish(g, g->bad != FW_SUCCESS ? g->bad : FW_CONNECTION_LOST);
}

enum err http_get_start(struct loop *l, const char *uri, http_get_fn *done, void *ctx,
                        struct http_get **out)
{
    struct http_get *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    g->loop = l;
    g->done = done;
    g->ctx = ctx;
    g->bad = FW_SUCCESS;
    g->io = (struct loop_io){.fn = on_io, .ctx = g, .fd = -1};
    g->timer = (struct loop_timer){.fn = on_timer, .ctx = g};
    g->hash = EVP_MD_CTX_new();
    if (!g->hash || EVP_DigestInit_ex(g->hash, EVP_sha256(), NULL) != 1) {
        http_get_abort(g);
        return ERR_NOMEM;
    }
    if (!split(g, str_of(uri)))
        g->bad = FW_BAD_URI;
    else if (!dial(g))
        g->bad = FW_CONNECTION_LOST;
    loop_arm(l, &g->timer, loop_now(l) + (g->bad == FW_SUCCESS ? SILENCE_MS : 0));
    *out = g;
    return ERR_OK;
}
