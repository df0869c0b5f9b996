/* mqtt_client.h - one device's MQTT 3.1.1 session over TLS (or plain TCP for tests).
 *
 * Small on purpose: one descriptor, no thread, buffers that are given back when idle.  Sessions
 * are always clean (Sparkplug asks for it), so what was not acknowledged when a connection breaks
 * is gone and the device says anew what matters.  A broken connection is made again after a
 * jittered back-off until mqtt_client_close or _kill.  Belongs to the thread of its loop. */
#ifndef BRAID_SIM_MQTT_CLIENT_H
#define BRAID_SIM_MQTT_CLIENT_H

#include "broker.h"
#include "loop.h"
#include "codec/mqtt_packet.h"

/* What the owner must answer; ctx is its own.  Every function may call any mqtt_client function
 * except _free. */
struct mqtt_client_ops {
    /* A CONNECT is written right after: fill in the will (its strings stay valid until then). */
    void (*will)(void *ctx, struct mqtt_connect *c);
    void (*up)(void *ctx);     /* accepted; subscribe now */
    void (*ready)(void *ctx);  /* the broker answered the subscription */
    void (*down)(void *ctx);   /* an accepted connection ended */
    void (*closed)(void *ctx); /* the orderly end asked for by mqtt_client_close */
    void (*message)(void *ctx, const struct mqtt_publish *m);
};

struct mqtt_client_config {
    struct str identity; /* client id, user name and CN; must outlive the client */
    struct str password; /* .p NULL: the certificate is enough; must outlive the client */
    uint16_t keep_alive_s;
    uint64_t seed; /* of the jitter */
};

struct mqtt_client; /* opaque */

MUST_CHECK enum err mqtt_client_new(struct loop *l, struct broker *b,
                                    const struct mqtt_client_config *c,
                                    const struct mqtt_client_ops *ops, void *ctx,
                                    struct mqtt_client **out);
void mqtt_client_free(struct mqtt_client *c);

/* mqtt_client_open connects, after `delay_ms`; harmless when already open. */
void mqtt_client_open(struct mqtt_client *c, uint64_t delay_ms);
/* mqtt_client_close sends what waits and DISCONNECT, then calls ops->closed (at once if there is
 * no connection). */
void mqtt_client_close(struct mqtt_client *c);
/* mqtt_client_kill drops the connection without a word, so the broker publishes the will; it stays
 * away until mqtt_client_open.  ops->down is not called. */
void mqtt_client_kill(struct mqtt_client *c);

bool mqtt_client_is_up(const struct mqtt_client *c);
/* ERR_CLOSED without a connection, ERR_FULL when the peer does not read. */
MUST_CHECK enum err mqtt_client_publish(struct mqtt_client *c, struct str topic, struct str payload,
                                        uint8_t qos);
MUST_CHECK enum err mqtt_client_subscribe(struct mqtt_client *c, const struct str *filters,
                                          size_t n);

#endif
