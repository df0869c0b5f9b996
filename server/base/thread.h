/* thread.h - named threads that are always joined. */
#ifndef BRAID_BASE_THREAD_H
#define BRAID_BASE_THREAD_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>

struct thread {
    pthread_t id;
    bool running;
    void (*run)(void *arg);
    void *arg;
    char name[16]; /* what ps and gdb show */
};

/* thread_start runs `run(arg)` on a new thread called `name` (at most 15 bytes are kept), all
 * signals blocked.  `t` must stay put until thread_join. */
MUST_CHECK enum err thread_start(struct thread *t, const char *name, void (*run)(void *),
                                 void *arg);
/* thread_join waits for the end; harmless if it was never started. */
void thread_join(struct thread *t);

#endif
