/* loop.h - one thread's event loop: descriptors by epoll, deadlines by heap, calls from outside.
 *
 * Everything that is registered with a loop belongs to the thread that runs it, except loop_post
 * and loop_stop, which any thread may call.  The loop_io and loop_timer structs are embedded in
 * their owners and must stay put; they may be removed at any time, also from inside a callback. */
#ifndef BRAID_SIM_LOOP_H
#define BRAID_SIM_LOOP_H

#include "base/heap.h"
#include "base/str.h"

typedef void loop_io_fn(void *ctx, uint32_t events); /* EPOLL* bits */
typedef void loop_call_fn(void *ctx);

struct loop_io {
    loop_io_fn *fn;
    void *ctx;
    int fd; /* -1: not registered */
    uint32_t events;
};

struct loop_timer {
    struct heap_node node;
    loop_call_fn *fn;
    void *ctx;
};

struct loop; /* opaque */

MUST_CHECK enum err loop_new(struct loop **out);
void loop_free(struct loop *l);

/* loop_add starts watching `fd` for `events`; loop_want changes them; loop_del stops.  The
 * descriptor stays the caller's. */
MUST_CHECK enum err loop_add(struct loop *l, struct loop_io *io, int fd, uint32_t events);
void loop_want(struct loop *l, struct loop_io *io, uint32_t events);
void loop_del(struct loop *l, struct loop_io *io);

/* loop_arm calls the timer once at monotonic `at_ms` (a new call replaces the old deadline). */
void loop_arm(struct loop *l, struct loop_timer *t, uint64_t at_ms);
void loop_cancel(struct loop *l, struct loop_timer *t);

/* loop_post runs fn(ctx) on the loop's thread soon; ERR_NOMEM.  Any thread. */
MUST_CHECK enum err loop_post(struct loop *l, loop_call_fn *fn, void *ctx);

uint64_t loop_now(const struct loop *l); /* monotonic ms when this round began */
/* loop_scratch lends a buffer for reading a socket; valid until the callback returns. */
#define LOOP_SCRATCH 16384
void *loop_scratch(struct loop *l);

void loop_run(struct loop *l); /* until loop_stop */
void loop_stop(struct loop *l);

#endif
