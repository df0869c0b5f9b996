/* letters.c - letters and asks: making, waiting, freeing. */
#include "engine/engine_int.h"

#include <stdlib.h>
#include <time.h>

struct ask *ask_new(enum ask_kind kind, struct str endpoint)
{
    struct ask *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->letter.kind = LETTER_ASK;
    a->kind = kind;
    a->refs = 1;
    buf_init(&a->json, (size_t)64 << 20);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->answered, &mono);
    pthread_condattr_destroy(&mono);
    if (endpoint.p) {
        a->endpoint = strndup(endpoint.p, endpoint.n);
        if (!a->endpoint) {
            ask_unref(a);
            return NULL;
        }
    }
    return a;
}

void ask_unref(struct ask *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    bool last = --a->refs == 0;
    pthread_mutex_unlock(&a->lock);
    if (!last)
        return;
    free(a->endpoint);
    free(a->command_id);
    free(a->text);
    free(a->query);
    if (a->outbox)
        live_outbox_unref(a->outbox);
    if (a->sub)
        live_sub_unref(a->sub);
    buf_fini(&a->json);
    engine_rows_free(&a->rows);
    pthread_cond_destroy(&a->answered);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void ask_answer(struct ask *a, enum err result)
{
    pthread_mutex_lock(&a->lock);
    a->result = result;
    a->done = true;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
    ask_unref(a);
}

enum err ask_send(struct shard *s, struct ask *a)
{
    pthread_mutex_lock(&a->lock);
    a->refs++;
    pthread_mutex_unlock(&a->lock);
    enum err e = mailbox_force_put(s->box, &a->letter.mail);
    if (e)
        ask_unref(a);
    return e;
}

enum err ask_wait(struct ask *a, uint32_t wait_ms)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    enum err e = ERR_OK;
    pthread_mutex_lock(&a->lock);
    while (!a->done && !e)
        if (pthread_cond_timedwait(&a->answered, &a->lock, &t) && !a->done)
            e = ERR_TIMEOUT;
    if (!e)
        e = a->result;
    pthread_mutex_unlock(&a->lock);
    return e;
}

void letter_free(struct letter *l)
{
    if (l->kind == LETTER_ASK)
        ask_answer((struct ask *)l, ERR_CLOSED);
    else
        free(l);
}
