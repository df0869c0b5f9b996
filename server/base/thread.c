/* thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

static void *trampoline(void *arg)
{
    struct thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    t->run(t->arg);
    return NULL;
}

enum err thread_start(struct thread *t, const char *name, void (*run)(void *), void *arg)
{
    t->run = run;
    t->arg = arg;
    snprintf(t->name, sizeof t->name, "%s", name);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&t->id, NULL, trampoline, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->running = rc == 0;
    return rc == 0 ? ERR_OK : ERR_NOMEM;
}

void thread_join(struct thread *t)
{
    if (!t->running)
        return;
    pthread_join(t->id, NULL);
    t->running = false;
}
