/* broker.c - how fast the broker forwards messages to somebody who only reads them.
 *
 *   bench_broker SOCKET USER TOPIC MESSAGES
 *
 * Subscribes with QoS 0, says {"ready":true}, counts without looking at what arrives, and prints
 * one JSON object with the time between the first and the last message.  Ends at MESSAGES, or when
 * none came for ten seconds.  The other limit that tests/bench/ingest.mjs measures the server
 * against: same client, same socket, no server. */
#include "base/clock.h"
#include "port/mqtt.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define PATIENCE_US 10000000

struct reader {
    const char *topic;
    uint64_t goal;
    _Atomic uint64_t seen, first_us, last_us; /* last: of the last wake-up */
};

static void on_connected(void *ctx, struct mqtt *m, bool present)
{
    struct reader *r = ctx;
    (void)present;
    if (mqtt_subscribe(m, r->topic, 0, false))
        fprintf(stderr, "bench_broker: not subscribed\n");
    printf("{\"ready\":true}\n");
    fflush(stdout);
}

static void on_message(void *ctx, struct mqtt *m, const struct mqtt_message *msg)
{
    struct reader *r = ctx;
    (void)m;
    if (msg->retained)
        return;
    if (!r->seen)
        r->first_us = clock_mono_us();
    r->seen++;
}

static void on_drained(void *ctx, struct mqtt *m)
{
    struct reader *r = ctx;
    (void)m;
    r->last_us = clock_mono_us();
}

static bool over(const struct reader *r, uint64_t started_us)
{
    uint64_t since = r->seen ? r->last_us : started_us;
    return r->seen >= r->goal || clock_mono_us() > since + PATIENCE_US;
}

int main(int argc, char **argv)
{
    struct reader r = {0};
    struct mqtt *m = NULL;
    if (argc != 5 || str_to_u64(str_of(argv[4]), &r.goal) || !r.goal) {
        fprintf(stderr, "usage: bench_broker SOCKET USER TOPIC MESSAGES\n");
        return 2;
    }
    r.topic = argv[3];
    const struct mqtt_options o = {.name = "bench",
                                   .host = argv[1],
                                   .client_id = argv[2],
                                   .username = argv[2],
                                   .password_file = "",
                                   .ca_file = "",
                                   .cert_file = "",
                                   .key_file = "",
                                   .keepalive_s = 60,
                                   .clean_start = true};
    const struct mqtt_handler h = {
        .ctx = &r, .connected = on_connected, .message = on_message, .drained = on_drained};
    enum err e = mqtt_new(&o, &h, &m);
    if (!e)
        e = mqtt_start(m);
    uint64_t started_us = clock_mono_us();
    while (!e && !over(&r, started_us))
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    if (m)
        mqtt_stop(m, 0);
    double seconds = (double)(r.last_us - r.first_us) / 1e6;
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"messages_per_s\":%.0f}\n",
           (unsigned long long)r.seen, seconds, seconds > 0 ? (double)r.seen / seconds : 0);
    return e ? 1 : 0;
}
