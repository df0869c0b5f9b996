/* throttle.c - see throttle.h. */
#include "http/throttle.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS 4096

struct slot {
    uint32_t failures;
    uint64_t last_ms, next_ms;
};

struct throttle {
    pthread_mutex_t lock;
    uint64_t seed;
    uint32_t first;
    struct slot slots[SLOTS];
};

struct throttle *throttle_new(uint64_t seed, uint32_t first)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->seed = seed;
    t->first = first;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct slot *slot_of(struct throttle *t, struct str user, struct str address)
{
    return &t->slots[str_hash(address, str_hash(user, t->seed)) % SLOTS];
}

uint32_t throttle_wait_s(struct throttle *t, struct str user, struct str address, uint64_t mono_ms)
{
    pthread_mutex_lock(&t->lock);
    struct slot *s = slot_of(t, user, address);
    if (s->failures && mono_ms - s->last_ms > THROTTLE_FORGET_S * 1000u)
        *s = (struct slot){0};
    uint64_t wait_ms = s->next_ms > mono_ms ? s->next_ms - mono_ms : 0;
    pthread_mutex_unlock(&t->lock);
    return (uint32_t)((wait_ms + 999) / 1000);
}

void throttle_failed(struct throttle *t, struct str user, struct str address, uint64_t mono_ms)
{
    pthread_mutex_lock(&t->lock);
    struct slot *s = slot_of(t, user, address);
    s->failures++;
    s->last_ms = mono_ms;
    if (s->failures >= t->first) {
        uint32_t n = s->failures - t->first;
        uint64_t wait_s = n < 6 ? 1u << n : THROTTLE_MAX_S;
        s->next_ms = mono_ms + (wait_s < THROTTLE_MAX_S ? wait_s : THROTTLE_MAX_S) * 1000;
    }
    pthread_mutex_unlock(&t->lock);
}

void throttle_passed(struct throttle *t, struct str user, struct str address)
{
    pthread_mutex_lock(&t->lock);
    *slot_of(t, user, address) = (struct slot){0};
    pthread_mutex_unlock(&t->lock);
}
