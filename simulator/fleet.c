/* fleet.c - see fleet.h. */
#include "fleet.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"

#define HANDSHAKES      32
#define SCRATCH_CHUNK   ((size_t)64 << 10)
#define SCRATCH_LIMIT   ((size_t)16 << 20)
#define GOODBYE_MS      3000
#define PASSWORDS_LIMIT ((size_t)16 << 20)

struct worker {
    struct fleet *fleet;
    struct loop *loop;
    struct device_env env;
    struct thread thread;
};

struct fleet {
    const struct sim_options *options;
    struct broker_config broker;
    struct stats stats;
    struct worker *workers;
    size_t n_workers;
    struct device **devices;
    size_t n;
    struct map by_name; /* identity -> device */
    char *passwords;    /* the file, owned */
    struct map by_user; /* identity -> the rest of its line (a C string in `passwords`) */
    struct loop_timer goodbye;
    uint64_t started_ms;
    atomic_size_t n_ready, n_stopped;
    bool stopping;
};

/* ---- passwords ---- */

static enum err read_file(const char *path, char **out, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    struct buf b;
    buf_init(&b, PASSWORDS_LIMIT);
    char part[4096];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) > 0)
        buf_put(&b, part, (size_t)got);
    close(fd);
    enum err e = got < 0 ? ERR_IO : b.err;
    if (!e)
        *out = buf_take(&b, n);
    buf_fini(&b);
    return e;
}

/* Cuts the file into C strings in place: "identity\0password\0". */
static enum err read_passwords(struct fleet *f, const char *path)
{
    size_t n = 0;
    enum err e = read_file(path, &f->passwords, &n);
    char *p = f->passwords, *end = p + n;
    while (!e && p < end) {
        char *line_end = memchr(p, '\n', (size_t)(end - p));
        if (!line_end)
            line_end = end;
        char *colon = memchr(p, ':', (size_t)(line_end - p));
        *line_end = '\0'; /* buf_take leaves room for one NUL after the text */
        if (colon) {
            *colon = '\0';
            e = map_put(&f->by_user, str_of(p), colon + 1, NULL);
        }
        p = line_end + 1;
    }
    return e;
}

/* ---- callbacks of the devices (any loop) ---- */

static long resident_kb(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    long total = 0, resident = 0;
    return sscanf(text, "%ld %ld", &total, &resident) == 2
               ? resident * (sysconf(_SC_PAGESIZE) / 1024)
               : 0;
}

static void on_ready(void *ctx, struct str identity)
{
    struct fleet *f = ctx;
    log_debug("device.ready", KS("device", identity));
    if (atomic_fetch_add(&f->n_ready, 1) + 1 != f->n)
        return;
    long kb = resident_kb();
    log_info("sim.ready", KI("devices", f->n), KI("ms", clock_mono_ms() - f->started_ms),
             KI("rss_kb", kb), KI("rss_kb_per_device", kb / (long)f->n));
}

static void stop_loops(struct fleet *f)
{
    for (size_t i = 0; i < f->n_workers; i++)
        loop_stop(f->workers[i].loop);
}

static void on_stopped(void *ctx)
{
    struct fleet *f = ctx;
    if (atomic_fetch_add(&f->n_stopped, 1) + 1 == f->n)
        stop_loops(f);
}

static void on_goodbye_over(void *ctx)
{
    struct fleet *f = ctx;
    log_warn("sim.goodbye_cut_short", KI("stopped", atomic_load(&f->n_stopped)));
    stop_loops(f);
}

/* ---- making ---- */

static enum err make_worker(struct fleet *f, const struct description *d, char *why, size_t size)
{
    struct worker *w = &f->workers[f->n_workers];
    w->fleet = f;
    enum err e = loop_new(&w->loop);
    if (e)
        return e;
    f->n_workers++;
    w->env = (struct device_env){.loop = w->loop,
                                 .options = f->options,
                                 .desc = d,
                                 .stats = &f->stats,
                                 .ready = on_ready,
                                 .stopped = on_stopped,
                                 .ctx = f};
    arena_init(&w->env.scratch, SCRATCH_CHUNK, SCRATCH_LIMIT);
    e = broker_new(w->loop, &f->broker, &w->env.broker);
    if (e)
        snprintf(why, size, "cannot use the CA, issuer certificate or issuer key (%s)",
                 err_word(e));
    return e;
}

static enum err make_device(struct fleet *f, size_t i, char *why, size_t size)
{
    char name[80];
    struct str identity, password = {0};
    snprintf(name, sizeof name, "sim-%s-%05zu", f->options->tag, i + 1);
    identity = f->options->username ? str_of(f->options->username) : str_of(name);
    if (f->options->password_file) {
        password = str_of(map_find(&f->by_user, identity));
        if (!password.p) {
            snprintf(why, size, "no password for %.*s", STR_ARG(identity));
            return ERR_NOTFOUND;
        }
    }
    struct device *d = NULL;
    enum err e = device_new(&f->workers[i % f->n_workers].env, i, identity, password, &d);
    if (e)
        return e;
    f->devices[f->n++] = d;
    return map_put(&f->by_name, device_identity(d), d, NULL);
}

static enum err fill(struct fleet *f, const struct description *d, char *why, size_t size)
{
    const struct sim_options *o = f->options;
    f->workers = calloc(o->threads, sizeof *f->workers);
    f->devices = calloc(o->count, sizeof(struct device *));
    if (!f->workers || !f->devices)
        return ERR_NOMEM;
    enum err e = o->password_file ? read_passwords(f, o->password_file) : ERR_OK;
    if (e)
        snprintf(why, size, "cannot read %s", o->password_file);
    for (size_t i = 0; i < o->threads && !e; i++)
        e = make_worker(f, d, why, size);
    for (size_t i = 0; i < o->count && !e; i++)
        e = make_device(f, i, why, size);
    return e;
}

enum err fleet_new(const struct sim_options *o, const struct description *d, struct fleet **out,
                   char *why, size_t why_size)
{
    struct fleet *f = calloc(1, sizeof *f);
    snprintf(why, why_size, "out of memory");
    if (!f)
        return ERR_NOMEM;
    f->options = o;
    f->goodbye = (struct loop_timer){.fn = on_goodbye_over, .ctx = f};
    f->broker = (struct broker_config){.host = o->host,
                                       .port = o->port,
                                       .ca_file = o->plain ? NULL : o->ca_file,
                                       .issuer_cert = o->plain ? NULL : o->issuer_cert,
                                       .issuer_key = o->issuer_key,
                                       .handshakes = HANDSHAKES};
    if (o->threads > 1)
        f->broker.handshakes = o->threads < HANDSHAKES ? HANDSHAKES / (unsigned)o->threads : 1;
    map_init(&f->by_name, 1);
    map_init(&f->by_user, 2);
    enum err e = fill(f, d, why, why_size);
    if (e) {
        fleet_free(f);
        return e;
    }
    *out = f;
    return ERR_OK;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        device_free(f->devices[i]);
    for (size_t i = 0; i < f->n_workers; i++) {
        broker_free(f->workers[i].env.broker);
        arena_fini(&f->workers[i].env.scratch);
        loop_free(f->workers[i].loop);
    }
    map_fini(&f->by_name);
    map_fini(&f->by_user);
    free(f->passwords);
    free(f->devices);
    free(f->workers);
    free(f);
}

struct loop *fleet_loop(struct fleet *f)
{
    return f->workers[0].loop;
}

const struct stats *fleet_stats(const struct fleet *f)
{
    return &f->stats;
}

size_t fleet_count(const struct fleet *f)
{
    return f->n;
}

struct str fleet_identity(const struct fleet *f, size_t i)
{
    return device_identity(f->devices[i]);
}

/* ---- running ---- */

static void run_worker(void *ctx)
{
    struct worker *w = ctx;
    size_t first = (size_t)(w - w->fleet->workers);
    for (size_t i = first; i < w->fleet->n; i += w->fleet->n_workers)
        device_start(w->fleet->devices[i], 0);
    loop_run(w->loop);
}

enum err fleet_run(struct fleet *f)
{
    enum err e = ERR_OK;
    f->started_ms = clock_mono_ms();
    for (size_t i = 1; i < f->n_workers && !e; i++)
        e = thread_start(&f->workers[i].thread, "sim-loop", run_worker, &f->workers[i]);
    if (e)
        stop_loops(f);
    else
        run_worker(&f->workers[0]);
    for (size_t i = 1; i < f->n_workers; i++)
        thread_join(&f->workers[i].thread);
    return e;
}

static void stop_worker(void *ctx)
{
    struct worker *w = ctx;
    size_t first = (size_t)(w - w->fleet->workers);
    for (size_t i = first; i < w->fleet->n; i += w->fleet->n_workers)
        device_stop(w->fleet->devices[i], w->fleet->options->abrupt_exit);
}

void fleet_stop(struct fleet *f)
{
    if (f->stopping) {
        stop_loops(f); /* asked twice: at once */
        return;
    }
    f->stopping = true;
    loop_arm(f->workers[0].loop, &f->goodbye, loop_now(f->workers[0].loop) + GOODBYE_MS);
    for (size_t i = 0; i < f->n_workers; i++)
        if (loop_post(f->workers[i].loop, stop_worker, &f->workers[i]) != ERR_OK)
            stop_loops(f);
}

struct order {
    struct device *device;
    enum scenario how;
};

static void carry_out(void *ctx)
{
    struct order *o = ctx;
    device_break(o->device, o->how);
    free(o);
}

enum err fleet_break(struct fleet *f, struct str identity, enum scenario how)
{
    struct device *d = map_find(&f->by_name, identity);
    if (!d)
        return ERR_NOTFOUND;
    struct order *o = malloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    *o = (struct order){.device = d, .how = how};
    /* device i lives on loop i % n: find it through its place */
    size_t i = 0;
    while (f->devices[i] != d)
        i++;
    enum err e = loop_post(f->workers[i % f->n_workers].loop, carry_out, o);
    if (e)
        free(o);
    return e;
}
