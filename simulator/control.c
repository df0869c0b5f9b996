/* control.c - see control.h. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/list.h"

#define LINE_MAX_BYTES 512
#define ANSWER_LIMIT   ((size_t)4 << 20)
#define GUESTS_MAX     16

struct guest {
    struct list link;
    struct control *control;
    struct loop_io io;
    char line[LINE_MAX_BYTES];
    size_t n;
};

struct control {
    struct fleet *fleet;
    struct loop *loop;
    struct loop_io io;
    struct list guests;
    unsigned n_guests;
    char path[108];
};

/* ---- answers ---- */

static void answer_stats(struct fleet *f, struct json_out *j)
{
    const struct stats *s = fleet_stats(f);
#define X(member)                                                                                  \
    json_key(j, #member);                                                                          \
    json_u64(j, atomic_load(&s->member));
    STATS_TABLE(X)
#undef X
}

static void answer_list(struct fleet *f, struct json_out *j)
{
    json_key(j, "devices");
    json_open(j, '[');
    for (size_t i = 0; i < fleet_count(f); i++)
        json_str(j, fleet_identity(f, i));
    json_close(j);
}

static void refuse(struct json_out *j, const char *error)
{
    json_key(j, "ok");
    json_bool(j, false);
    json_key(j, "error");
    json_text(j, error);
}

static void answer_break(struct fleet *f, struct json_out *j, struct str device, struct str how)
{
    int scenario = SCENARIO_COUNT - 1;
    while (scenario >= 0 && !str_is(how, scenario_words[scenario]))
        scenario--;
    enum err e = scenario < 0 ? ERR_INVALID : fleet_break(f, device, (enum scenario)scenario);
    if (e) {
        refuse(j, e == ERR_NOTFOUND  ? "no such device"
                  : e == ERR_INVALID ? "how is power, gap, clock or clash"
                                     : err_word(e));
        return;
    }
    json_key(j, "ok");
    json_bool(j, true);
}

void control_answer(struct fleet *f, struct str line, struct buf *out)
{
    struct json_out j;
    struct str rest = line, word = str_cut(&rest, ' ');
    struct str device = rest.p ? str_cut(&rest, ' ') : rest;
    json_out_init(&j, out);
    json_open(&j, '{');
    if (str_is(word, "stats"))
        answer_stats(f, &j);
    else if (str_is(word, "list"))
        answer_list(f, &j);
    else if (str_is(word, "break") && rest.p && !str_is(rest, "none"))
        answer_break(f, &j, device, rest);
    else if (str_is(word, "heal") && device.p && !rest.p)
        answer_break(f, &j, device, (struct str)STR("none"));
    else
        refuse(&j, "stats | list | break DEVICE power|gap|clock|clash | heal DEVICE");
    json_close(&j);
}

/* ---- socket ---- */

static void goodbye(struct guest *g)
{
    int fd = g->io.fd;
    loop_del(g->control->loop, &g->io);
    close(fd);
    list_remove(&g->link);
    g->control->n_guests--;
    free(g);
}

/* Answers are short and the guest is waiting for them: a send that does not go through at once
 * ends the visit. */
static bool reply(struct guest *g, struct str line)
{
    struct buf b;
    buf_init(&b, ANSWER_LIMIT);
    control_answer(g->control->fleet, line, &b);
    buf_putc(&b, '\n');
    bool ok = !b.err && send(g->io.fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n;
    buf_fini(&b);
    return ok;
}

static void on_guest(void *ctx, uint32_t events)
{
    struct guest *g = ctx;
    (void)events;
    ssize_t n = recv(g->io.fd, g->line + g->n, sizeof g->line - g->n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        goodbye(g);
        return;
    }
    g->n += (size_t)n;
    char *end;
    while ((end = memchr(g->line, '\n', g->n)) != NULL) {
        struct str line = str_make(g->line, (size_t)(end - g->line));
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!reply(g, line)) {
            goodbye(g);
            return;
        }
        g->n -= (size_t)(end + 1 - g->line);
        memmove(g->line, end + 1, g->n);
    }
    if (g->n == sizeof g->line)
        goodbye(g);
}

static void on_knock(void *ctx, uint32_t events)
{
    struct control *c = ctx;
    (void)events;
    int fd = accept4(c->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct guest *g = c->n_guests < GUESTS_MAX ? calloc(1, sizeof *g) : NULL;
    if (!g) {
        close(fd);
        return;
    }
    g->control = c;
    g->io = (struct loop_io){.fn = on_guest, .ctx = g, .fd = -1};
    if (loop_add(c->loop, &g->io, fd, EPOLLIN) != ERR_OK) {
        close(fd);
        free(g);
        return;
    }
    list_append(&c->guests, &g->link);
    c->n_guests++;
}

enum err control_new(struct fleet *f, const char *path, struct control **out)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        return ERR_TOOBIG;
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->fleet = f;
    c->loop = fleet_loop(f);
    c->io = (struct loop_io){.fn = on_knock, .ctx = c, .fd = -1};
    list_init(&c->guests);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)unlink(path);
    mode_t before = umask(0177);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
              listen(fd, GUESTS_MAX) == 0;
    umask(before);
    if (!ok || loop_add(c->loop, &c->io, fd, EPOLLIN) != ERR_OK) {
        if (fd >= 0)
            close(fd);
        free(c);
        return ERR_IO;
    }
    snprintf(c->path, sizeof c->path, "%s", path);
    *out = c;
    return ERR_OK;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    list_each(it, &c->guests) goodbye(list_entry(it, struct guest, link));
    int fd = c->io.fd;
    loop_del(c->loop, &c->io);
    close(fd);
    (void)unlink(c->path);
    free(c);
}
