/* seen.h - what one broker session saw, readable from the test's thread.
 *
 * A test sets what the handler shall do, starts a session with seen_handler(), and waits for the
 * counters.  The plain fields belong to `lock`; a test may read them once it has waited for
 * something that came after. */
#ifndef BRAID_TESTS_PORT_SEEN_H
#define BRAID_TESTS_PORT_SEEN_H

#include "port/mqtt.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fixture/process.h"

#define PATIENCE_MS 60000 /* for what other threads and programs do, on a machine that is busy */

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int connected, disconnected, messages, acks, refusals, drains;
    bool session_present, in_order; /* "#0", "#1", ... came in this order */
    int last_reason, last_mid;
    char why[100], last_topic[64], last_payload[64];

    const char *subscribe; /* when connected */
    bool no_local;
    const char *will_topic;
    bool blink, blinked;          /* after each message, refuse to read once */
    _Atomic bool hold_after_much; /* hold when more than 900,000 bytes came at once */
    size_t bytes;                 /* since the last drained() */
    _Atomic bool hold;            /* leave what comes in the socket */
    atomic_int asked;             /* how often may_read() was called */
};

static inline void seen_init(struct seen *s)
{
    *s = (struct seen){.in_order = true, .last_reason = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
}

static inline void seen_changed(struct seen *s)
{
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static inline void on_will(void *ctx, struct buf *topic, struct buf *payload, uint8_t *qos,
                           bool *retain)
{
    const struct seen *s = ctx;
    if (!s->will_topic)
        return;
    buf_puts(topic, s->will_topic);
    buf_puts(payload, "gone");
    *qos = 1;
    *retain = false;
}

static inline void on_connected(void *ctx, struct mqtt *m, bool session_present)
{
    struct seen *s = ctx;
    if (s->subscribe)
        assert_int_equal(mqtt_subscribe(m, s->subscribe, 1, s->no_local), ERR_OK);
    pthread_mutex_lock(&s->lock);
    s->connected++;
    s->session_present = session_present;
    seen_changed(s);
}

static inline void on_disconnected(void *ctx, struct mqtt *m, const char *why)
{
    struct seen *s = ctx;
    (void)m;
    assert_non_null(why);
    pthread_mutex_lock(&s->lock);
    s->disconnected++;
    snprintf(s->why, sizeof s->why, "%s", why);
    seen_changed(s);
}

static inline void on_message(void *ctx, struct mqtt *m, const struct mqtt_message *msg)
{
    struct seen *s = ctx;
    (void)m;
    s->bytes += msg->payload.n;
    pthread_mutex_lock(&s->lock);
    snprintf(s->last_topic, sizeof s->last_topic, "%.*s", STR_ARG(msg->topic));
    snprintf(s->last_payload, sizeof s->last_payload, "%.*s", STR_ARG(msg->payload));
    if (s->last_payload[0] == '#' && atoll(s->last_payload + 1) != s->messages)
        s->in_order = false;
    s->messages++;
    s->blinked = s->blink;
    seen_changed(s);
}

static inline void on_acked(void *ctx, struct mqtt *m, int mid, int reason)
{
    struct seen *s = ctx;
    (void)m;
    pthread_mutex_lock(&s->lock);
    s->acks++;
    s->last_mid = mid;
    s->last_reason = reason;
    seen_changed(s);
}

static inline void on_refused(void *ctx, struct mqtt *m)
{
    struct seen *s = ctx;
    (void)m;
    pthread_mutex_lock(&s->lock);
    s->refusals++;
    seen_changed(s);
}

static inline void on_drained(void *ctx, struct mqtt *m)
{
    struct seen *s = ctx;
    (void)m;
    if (s->hold_after_much && s->bytes > 900000)
        s->hold = true;
    s->bytes = 0;
    pthread_mutex_lock(&s->lock);
    s->drains++;
    pthread_mutex_unlock(&s->lock);
}

static inline bool on_may_read(void *ctx)
{
    struct seen *s = ctx;
    bool blinks = s->blinked;
    s->blinked = false;
    s->asked++;
    return !s->hold && !blinks;
}

static inline struct mqtt_handler seen_handler(struct seen *s)
{
    return (struct mqtt_handler){s,        on_will,    on_connected, on_disconnected, on_message,
                                 on_acked, on_refused, on_drained,   on_may_read};
}

static inline void wait_until(struct seen *s, const int *counter, int at_least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&s->lock);
    while (*counter < at_least)
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until))
            break;
    int have = *counter;
    pthread_mutex_unlock(&s->lock);
    if (have < at_least)
        fail_msg("waited for %d, have %d", at_least, have);
}

/* Waits until may_read() was called so often: from the second time on, its last answer is known to
 * count. */
static inline void wait_asked(struct seen *s, int more)
{
    int from = s->asked;
    for (uint64_t end = clock_mono_ms() + PATIENCE_MS;
         s->asked - from < more && clock_mono_ms() < end;)
        process_sleep_ms(5);
    assert_true(s->asked - from >= more);
}

#endif
