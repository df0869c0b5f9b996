/* fake_world.h - broker, writer and database of an engine under test, without any of them.
 *
 * The functions of port/mqtt.h, store/writer.h and store/load.h that the engine calls are defined
 * here, so the linker never asks for the real ones.  A test plays broker (world_say) and database
 * (world.hold: statements stay undone until world_commit), and reads what the engine did. */
#ifndef BRAID_TESTS_ENGINE_FAKE_WORLD_H
#define BRAID_TESTS_ENGINE_FAKE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "port/mqtt.h"
#include "store/load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WORLD_MAX   4096
#define PATIENCE_MS 30000 /* for what other threads do, on a machine that is busy */

/* Waits until `condition` holds, or patience ends: assert afterwards what matters. */
#define WORLD_UNTIL(condition)                                                                     \
    for (uint64_t end_ = clock_mono_ms() + PATIENCE_MS; !(condition) && clock_mono_ms() < end_;)   \
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL)

struct mqtt {
    struct mqtt_handler handler;
    _Atomic bool up;
};

struct done {
    writer_done *call;
    void *ctx;
};

static struct world {
    pthread_mutex_t lock;
    struct mqtt lw, sp;
    char *published[WORLD_MAX]; /* "topic payload", in order; owned */
    char *stored[WORLD_MAX];    /* "statement param|param|...", in order; owned */
    size_t n_published, n_stored, n_samples;
    _Atomic bool hold;      /* completions wait */
    _Atomic bool pressed;   /* the writer's queue is at its high water */
    _Atomic bool no_caches; /* the writer wants no latest values now */
    _Atomic bool full;      /* it takes no samples at all */
    enum err commit_result;
    struct done held[64];
    size_t n_held;
    int next_mid;
    bool session_present; /* of the first connection */
    int n_sessions;
    const struct load_device *devices;
    const struct load_registration *registrations;
    const struct load_command *commands;
    const struct load_node *nodes;
    const struct load_subdevice *subdevices;
    size_t n_devices, n_registrations, n_nodes, n_subdevices, n_commands;
    const char *suspended; /* an identity */
    enum err load_result;  /* after everything before the commands */
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void world_keep(char **list, size_t *n, char *text)
{
    pthread_mutex_lock(&world.lock);
    if (*n < WORLD_MAX)
        list[(*n)++] = text;
    else
        free(text);
    pthread_mutex_unlock(&world.lock);
}

/* ---- port/mqtt.h ---- */

enum err mqtt_new(const struct mqtt_options *o, const struct mqtt_handler *h, struct mqtt **out)
{
    struct mqtt *m = o->name[0] == 'l' ? &world.lw : &world.sp;
    m->handler = *h;
    m->up = false;
    *out = m;
    world.n_sessions++;
    return ERR_OK;
}

enum err mqtt_start(struct mqtt *m)
{
    const struct mqtt_handler *h = &m->handler;
    struct buf topic, payload;
    uint8_t qos;
    bool retain;
    assert_int_equal(world.n_sessions, 2); /* whoever hears of one may use the other */
    m->up = true;
    buf_init(&topic, 1024);
    buf_init(&payload, 1024);
    if (h->will)
        h->will(h->ctx, &topic, &payload, &qos, &retain);
    buf_fini(&topic);
    buf_fini(&payload);
    h->connected(h->ctx, m, world.session_present);
    return ERR_OK;
}

/* The host hears its own STATE: the broker sends it back before the session ends. */
static void echo_state(struct mqtt *m)
{
    char text[256] = "";
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.n_published; i++)
        if (strncmp(world.published[i], "spBv1.0/STATE/", 14) == 0)
            snprintf(text, sizeof text, "%s", world.published[i]);
    pthread_mutex_unlock(&world.lock);
    struct str payload = str_of(text), topic = str_cut(&payload, ' ');
    const struct mqtt_message msg = {topic, payload, false, false, 1};
    if (payload.p) {
        m->handler.message(m->handler.ctx, m, &msg);
        m->handler.drained(m->handler.ctx, m);
    }
}

void mqtt_close(struct mqtt *m, uint32_t flush_ms)
{
    (void)flush_ms;
    if (m == &world.sp)
        echo_state(m);
    if (m)
        m->up = false;
}

void mqtt_free(struct mqtt *m)
{
    (void)m;
}

enum err mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, bool no_local)
{
    (void)m, (void)filter, (void)qos, (void)no_local;
    return ERR_OK;
}

enum err mqtt_publish(struct mqtt *m, struct str topic, struct str payload, uint8_t qos,
                      bool retain, int *mid)
{
    (void)qos, (void)retain;
    if (!m->up)
        return ERR_BROKER;
    char *text = malloc(topic.n + payload.n + 2);
    snprintf(text, topic.n + payload.n + 2, "%.*s %.*s", STR_ARG(topic), STR_ARG(payload));
    if (mid)
        *mid = ++world.next_mid;
    world_keep(world.published, &world.n_published, text);
    return ERR_OK;
}

bool mqtt_is_up(const struct mqtt *m)
{
    return m->up;
}

/* ---- store/writer.h ---- */

struct batch *batch_new(void)
{
    return calloc(1, sizeof(struct batch));
}

void batch_free(struct batch *b)
{
    free(b);
}

bool batch_add(struct batch *b, struct sample s)
{
    if (b->n == BATCH_SAMPLES)
        return false;
    b->v[b->n++] = s;
    return true;
}

enum err batch_on_durable(struct batch *b, writer_done *call, void *ctx)
{
    (void)b;
    pthread_mutex_lock(&world.lock);
    bool held = world.hold;
    if (held)
        world.held[world.n_held++] = (struct done){call, ctx};
    enum err result = world.commit_result;
    pthread_mutex_unlock(&world.lock);
    if (!held)
        call(ctx, result);
    return ERR_OK;
}

enum err batch_add_text(struct batch *b, uint32_t series, uint8_t quality, int64_t ts_us, char kind,
                        struct str value)
{
    (void)series, (void)quality, (void)ts_us, (void)kind, (void)value;
    b->n_text++;
    return ERR_OK;
}

enum err writer_samples(struct writer *w, struct batch *b)
{
    (void)w;
    if (world.full)
        return ERR_FULL;
    pthread_mutex_lock(&world.lock);
    world.n_samples += b->n + b->n_text;
    pthread_mutex_unlock(&world.lock);
    batch_free(b);
    return ERR_OK;
}

enum err writer_put(struct writer *w, enum store_stmt s, const struct str *params, size_t n,
                    writer_done *done, void *ctx)
{
    static const char *const names[] = {
#define X(id, name, count) [id] = name,
        STORE_STMT_TABLE(X)
#undef X
    };
    struct buf b;
    (void)w;
    buf_init(&b, 1 << 20);
    buf_puts(&b, names[s]);
    for (size_t i = 0; i < n; i++) {
        buf_putc(&b, i ? '|' : ' ');
        buf_str(&b, params[i].p ? params[i] : str_of("NULL"));
    }
    world_keep(world.stored, &world.n_stored, buf_take(&b, NULL));
    pthread_mutex_lock(&world.lock);
    bool held = world.hold && done;
    if (held)
        world.held[world.n_held++] = (struct done){done, ctx};
    enum err result = world.commit_result;
    pthread_mutex_unlock(&world.lock);
    if (!held && done)
        done(ctx, result);
    return ERR_OK;
}

void writer_get_state(struct writer *w, struct writer_state *out)
{
    (void)w;
    *out = (struct writer_state){.up = true, .pressed = world.pressed, .full = world.full};
}

bool writer_is_pressed(const struct writer *w)
{
    (void)w;
    return world.pressed;
}

bool writer_wants_caches(const struct writer *w)
{
    (void)w;
    return !world.no_caches;
}

/* ---- store/load.h ---- */

enum err store_load(const char *conninfo, const struct load_visitor *v, int64_t *max_device,
                    uint32_t *max_series)
{
    enum err e = ERR_OK;
    (void)conninfo;
    for (size_t i = 0; !e && i < world.n_devices; i++)
        e = v->device(v->ctx, &world.devices[i]);
    for (size_t i = 0; !e && i < world.n_registrations; i++)
        e = v->registration(v->ctx, &world.registrations[i]);
    for (size_t i = 0; !e && i < world.n_nodes; i++)
        e = v->node(v->ctx, &world.nodes[i]);
    for (size_t i = 0; !e && i < world.n_subdevices; i++)
        e = v->subdevice(v->ctx, &world.subdevices[i]);
    if (!e)
        e = world.load_result;
    for (size_t i = 0; !e && i < world.n_commands; i++)
        e = v->command(v->ctx, &world.commands[i]);
    if (!e && world.suspended)
        e = v->identity(
            v->ctx, &(struct load_identity){str_of(world.suspended), (struct str)STR("suspended")});
    *max_device = 10;
    *max_series = 100;
    return e;
}

/* ---- for the tests ---- */

static inline size_t world_held(void)
{
    pthread_mutex_lock(&world.lock);
    size_t n = world.n_held;
    pthread_mutex_unlock(&world.lock);
    return n;
}

static inline void world_commit(enum err result)
{
    struct done held[64];
    pthread_mutex_lock(&world.lock);
    size_t n = world.n_held;
    memcpy(held, world.held, sizeof held);
    world.n_held = 0;
    pthread_mutex_unlock(&world.lock);
    for (size_t i = 0; i < n; i++)
        held[i].call(held[i].ctx, result);
}

/* The oldest one only. */
static inline void world_commit_one(enum err result)
{
    struct done first = {0};
    pthread_mutex_lock(&world.lock);
    if (world.n_held) {
        first = world.held[0];
        memmove(world.held, world.held + 1, --world.n_held * sizeof *world.held);
    }
    pthread_mutex_unlock(&world.lock);
    if (first.call)
        first.call(first.ctx, result);
}

static inline void world_say(struct mqtt *m, const char *topic, const char *payload, bool retained)
{
    struct mqtt_message msg = {str_of(topic), str_of(payload), retained, false, 1};
    m->handler.message(m->handler.ctx, m, &msg);
    m->handler.drained(m->handler.ctx, m);
}

/* The first kept text that holds `part`; NULL. */
static inline const char *world_find(char **list, const size_t *n, const char *part)
{
    const char *found = NULL;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < *n && !found; i++)
        if (strstr(list[i], part))
            found = list[i];
    pthread_mutex_unlock(&world.lock);
    return found;
}

static inline const char *world_wait(char **list, const size_t *n, const char *part)
{
    const char *found = NULL;
    WORLD_UNTIL((found = world_find(list, n, part)));
    if (!found)
        print_error("never seen: %s\n", part);
    return found;
}

#define PUBLISHED world.published, &world.n_published
#define STORED    world.stored, &world.n_stored

static inline void world_forget(void)
{
    for (size_t i = 0; i < world.n_published; i++)
        free(world.published[i]);
    for (size_t i = 0; i < world.n_stored; i++)
        free(world.stored[i]);
    world.n_published = world.n_stored = world.n_samples = world.n_held = 0;
    world.hold = world.pressed = world.full = world.session_present = world.no_caches = false;
    world.commit_result = ERR_OK;
    world.n_devices = world.n_registrations = world.n_nodes = world.n_commands = 0;
    world.n_subdevices = 0;
    world.n_sessions = 0;
}

#endif
