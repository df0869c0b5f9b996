/* main.c - braid-sim: reads its options, makes the fleet, runs it until a signal comes.
 *
 * SIGTERM and SIGINT end it in order (every device says goodbye); SIGUSR1 logs the statistics. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "control.h"
#include "fleet.h"
#include "load.h"

#define DESCRIPTION_LIMIT ((size_t)4 << 20)

struct watcher {
    struct fleet *fleet;
    struct loop_io io;
};

static void log_stats(const struct stats *s)
{
    log_info("sim.stats", KI("devices", atomic_load(&s->devices)),
             KI("connected", atomic_load(&s->connected)),
             KI("registered", atomic_load(&s->registered)), KI("born", atomic_load(&s->born)),
             KI("published", atomic_load(&s->published)),
             KI("metrics_sent", atomic_load(&s->metrics_sent)),
             KI("historical_sent", atomic_load(&s->historical_sent)),
             KI("data_sent", atomic_load(&s->data_sent)),
             KI("births_sent", atomic_load(&s->births_sent)),
             KI("commands_answered", atomic_load(&s->commands_answered)),
             KI("notifies", atomic_load(&s->notifies)), KI("dropped", atomic_load(&s->dropped)));
}

static void on_signal(void *ctx, uint32_t events)
{
    struct watcher *w = ctx;
    struct signalfd_siginfo info;
    (void)events;
    if (read(w->io.fd, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGUSR1) {
        log_stats(fleet_stats(w->fleet));
        return;
    }
    log_info("sim.stopping", KI("signal", info.ssi_signo));
    fleet_stop(w->fleet);
}

static enum err watch_signals(struct watcher *w, struct fleet *f)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    *w = (struct watcher){.fleet = f, .io = {.fn = on_signal, .ctx = w, .fd = -1}};
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return ERR_IO;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return ERR_IO;
    enum err e = loop_add(fleet_loop(f), &w->io, fd, EPOLLIN);
    if (e)
        close(fd);
    return e;
}

static enum err read_description(const char *path, struct buf *out)
{
    char part[8192];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    while ((n = read(fd, part, sizeof part)) > 0)
        buf_put(out, part, (size_t)n);
    close(fd);
    return n < 0 ? ERR_IO : out->err;
}

static enum err make_description(const struct sim_options *o, struct description **out, char *why,
                                 size_t size)
{
    struct buf file;
    struct str json = description_builtin();
    buf_init(&file, DESCRIPTION_LIMIT);
    enum err e = o->description ? read_description(o->description, &file) : ERR_OK;
    if (e)
        snprintf(why, size, "cannot read %s", o->description);
    if (o->description)
        json = buf_view(&file);
    if (!e)
        e = description_new(json, out, why, size);
    buf_fini(&file);
    return e;
}

/* One descriptor per device and a few more. */
static void raise_limit(uint64_t devices)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return;
    l.rlim_cur = l.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &l);
    if (l.rlim_cur != RLIM_INFINITY && l.rlim_cur < devices + 64)
        log_warn("sim.few_descriptors", KI("limit", l.rlim_cur), KI("devices", devices));
}

static enum err run(const struct sim_options *o, char *why, size_t size)
{
    struct description *desc = NULL;
    struct fleet *fleet = NULL;
    struct control *control = NULL;
    struct watcher watcher = {.io = {.fd = -1}};
    enum err e = make_description(o, &desc, why, size);
    if (!e && o->state_dir && mkdir(o->state_dir, 0700) != 0 && access(o->state_dir, W_OK) != 0) {
        snprintf(why, size, "cannot use %s", o->state_dir);
        e = ERR_IO;
    }
    if (!e)
        e = fleet_new(o, desc, &fleet, why, size);
    if (!e) {
        snprintf(why, size, "cannot start (signals, control socket or threads)");
        e = watch_signals(&watcher, fleet);
    }
    if (!e && o->control)
        e = control_new(fleet, o->control, &control);
    if (!e) {
        log_info("sim.start", KI("devices", fleet_count(fleet)), KV("host", o->host),
                 KV("port", o->port), KV("tag", o->tag));
        e = fleet_run(fleet);
        log_stats(fleet_stats(fleet));
    }
    control_free(control);
    if (watcher.io.fd >= 0)
        close(watcher.io.fd);
    fleet_free(fleet);
    description_free(desc);
    return e;
}

int main(int argc, char **argv)
{
    struct sim_options options;
    char why[256] = "";
    signal(SIGPIPE, SIG_IGN); /* a broker that dies while we write is an outage like any other */
    enum err e = options_read(argc, argv, &options, why, sizeof why);
    if (!e && options.help) {
        options_help();
        return 0;
    }
    if (!e) {
        if (options.debug)
            log_set_level(LOG_DEBUG);
        raise_limit(options.load ? options.load : options.count);
        e = options.load ? load_run(&options, why, sizeof why) : run(&options, why, sizeof why);
    }
    if (e) {
        fprintf(stderr, "braid-sim: %s\n", why[0] ? why : err_word(e));
        return e == ERR_INVALID ? 2 : 1;
    }
    if (!options.load)
        log_info("sim.stopped");
    return 0;
}
