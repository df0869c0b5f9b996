/* publisher.c - see publisher.h. */
#include "engine/publisher.h"

#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

struct publisher {
    pthread_mutex_t lock;
    struct mqtt *session; /* NULL: closed */
    int refs;             /* owner and waiting jobs */
};

struct publisher_job {
    struct publisher *publisher;
    struct str topic, payload, refusal; /* behind this struct */
};

struct publisher *publisher_new(void)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->refs = 1;
    return p;
}

void publisher_unref(struct publisher *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (last) {
        pthread_mutex_destroy(&p->lock);
        free(p);
    }
}

void publisher_open(struct publisher *p, struct mqtt *m)
{
    pthread_mutex_lock(&p->lock);
    p->session = m;
    pthread_mutex_unlock(&p->lock);
}

void publisher_close(struct publisher *p)
{
    publisher_open(p, NULL);
}

static struct str append(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

struct publisher_job *publisher_later(struct publisher *p, struct str topic, struct str payload,
                                      struct str refusal)
{
    struct publisher_job *job = malloc(sizeof *job + topic.n + payload.n + refusal.n);
    if (!job)
        return NULL;
    char *at = (char *)(job + 1);
    job->publisher = p;
    job->topic = append(&at, topic);
    job->payload = append(&at, payload);
    job->refusal = append(&at, refusal);
    pthread_mutex_lock(&p->lock);
    p->refs++;
    pthread_mutex_unlock(&p->lock);
    return job;
}

void publisher_drop(struct publisher_job *job)
{
    if (!job)
        return;
    publisher_unref(job->publisher);
    free(job);
}

void publisher_done(void *arg, enum err result)
{
    struct publisher_job *job = arg;
    struct publisher *p = job->publisher;
    struct str payload = result ? job->refusal : job->payload;
    /* Held across the publish so that the session cannot be freed meanwhile; mqtt_publish only
     * queues. */
    pthread_mutex_lock(&p->lock);
    enum err e =
        p->session ? mqtt_publish(p->session, job->topic, payload, 1, false, NULL) : ERR_CLOSED;
    pthread_mutex_unlock(&p->lock);
    if (e)
        log_warn("engine.ack_not_published", KS("topic", job->topic), KE(e));
    publisher_drop(job);
}

bool publisher_idle(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    bool idle = p->refs == 1;
    pthread_mutex_unlock(&p->lock);
    return idle;
}
