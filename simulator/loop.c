/* loop.c - see loop.h.
 *
 * A round is: wait until something happens or the next deadline, dispatch descriptors, run posted
 * calls, run what is due.  A callback may remove any other descriptor: events that were already
 * fetched for it are recognised by its fd being -1 and dropped.  When the timer heap cannot grow
 * there is no way to keep a promise to anybody, so the loop logs it and stops. */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOP_BATCH 256

struct call {
    struct call *next;
    loop_call_fn *fn;
    void *ctx;
};

struct loop {
    int epoll;
    int wake; /* eventfd */
    struct heap timers;
    uint64_t now;
    atomic_bool stopping;
    pthread_mutex_t lock; /* guards calls, calls_tail */
    struct call *calls, **calls_tail;
    char scratch[LOOP_SCRATCH];
};

enum err loop_new(struct loop **out)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    pthread_mutex_init(&l->lock, NULL);
    heap_init(&l->timers);
    l->calls_tail = &l->calls;
    l->now = clock_mono_ms();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->epoll < 0 || l->wake < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &ev) != 0) {
        loop_free(l);
        return ERR_IO;
    }
    *out = l;
    return ERR_OK;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (l->calls) {
        struct call *c = l->calls;
        l->calls = c->next;
        free(c);
    }
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->wake >= 0)
        close(l->wake);
    heap_fini(&l->timers);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

enum err loop_add(struct loop *l, struct loop_io *io, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        return ERR_IO;
    io->fd = fd;
    io->events = events;
    return ERR_OK;
}

void loop_want(struct loop *l, struct loop_io *io, uint32_t events)
{
    if (io->fd < 0 || io->events == events)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, io->fd, &ev) == 0)
        io->events = events;
}

void loop_del(struct loop *l, struct loop_io *io)
{
    if (io->fd < 0)
        return;
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, io->fd, NULL);
    io->fd = -1;
}

void loop_arm(struct loop *l, struct loop_timer *t, uint64_t at_ms)
{
    if (heap_set(&l->timers, &t->node, at_ms) == ERR_OK)
        return;
    log_error("sim.no_memory", KV("for", "timer"));
    loop_stop(l);
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
    heap_remove(&l->timers, &t->node);
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof one);
    (void)n; /* a full counter wakes just as well */
}

enum err loop_post(struct loop *l, loop_call_fn *fn, void *ctx)
{
    struct call *c = malloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    *c = (struct call){.fn = fn, .ctx = ctx};
    pthread_mutex_lock(&l->lock);
    *l->calls_tail = c;
    l->calls_tail = &c->next;
    pthread_mutex_unlock(&l->lock);
    wake(l);
    return ERR_OK;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

void *loop_scratch(struct loop *l)
{
    return l->scratch;
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stopping, true);
    wake(l);
}

static void run_calls(struct loop *l)
{
    uint64_t n;
    ssize_t got = read(l->wake, &n, sizeof n);
    (void)got;
    pthread_mutex_lock(&l->lock);
    struct call *c = l->calls;
    l->calls = NULL;
    l->calls_tail = &l->calls;
    pthread_mutex_unlock(&l->lock);
    while (c) {
        struct call *next = c->next;
        c->fn(c->ctx);
        free(c);
        c = next;
    }
}

static void run_timers(struct loop *l)
{
    for (;;) {
        struct heap_node *top = heap_top(&l->timers);
        if (!top || top->key > l->now)
            return;
        heap_remove(&l->timers, top);
        struct loop_timer *t =
            (struct loop_timer *)((char *)top - offsetof(struct loop_timer, node));
        t->fn(t->ctx);
    }
}

static int time_left(const struct loop *l)
{
    struct heap_node *top = heap_top(&l->timers);
    if (!top)
        return 1000;
    uint64_t now = clock_mono_ms();
    if (top->key <= now)
        return 0;
    uint64_t left = top->key - now;
    return left > 1000 ? 1000 : (int)left;
}

void loop_run(struct loop *l)
{
    struct epoll_event events[LOOP_BATCH];
    while (!atomic_load(&l->stopping)) {
        int n = epoll_wait(l->epoll, events, LOOP_BATCH, time_left(l));
        l->now = clock_mono_ms();
        bool posted = false;
        for (int i = 0; i < n; i++) {
            struct loop_io *io = events[i].data.ptr;
            if (!io)
                posted = true;
            else if (io->fd >= 0)
                io->fn(io->ctx, events[i].events);
        }
        if (posted)
            run_calls(l);
        run_timers(l);
    }
}
