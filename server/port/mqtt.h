/* mqtt.h - one broker session, MQTT 5, QoS 0 and 1.
 *
 * A thread owns the socket; publishing works from any thread.  What arrives is handed over as it
 * stands in the read buffer, many messages per wake-up.  Reconnects by itself with jittered
 * back-off (0.2-5 s). */
#ifndef BRAID_PORT_MQTT_H
#define BRAID_PORT_MQTT_H

#include "base/buf.h"

struct mqtt_options {
    const char *name; /* "sparkplug", "lwm2m": for logs and the thread's name */
    const char *host; /* a path: the broker's Unix socket, without port and TLS */
    int port;
    const char *client_id;
    const char *username, *password_file;       /* "" = none */
    const char *ca_file, *cert_file, *key_file; /* ca "" = no TLS */
    int keepalive_s;
    bool clean_start;
    uint32_t session_expiry_s; /* MQTT 5, when not clean */
};

struct mqtt_message {
    struct str topic, payload; /* borrowed for the call */
    bool retained;
    bool dup;
    uint8_t qos;
};

struct mqtt; /* opaque */
/* All callbacks run on the session's thread and must be short. */
struct mqtt_handler {
    void *ctx;
    /* Before each CONNECT: fill will topic and payload (leave topic empty for none). */
    void (*will)(void *ctx, struct buf *topic, struct buf *payload, uint8_t *qos, bool *retain);
    /* Connected: subscribe and publish from here; that reaches the broker before whatever other
     * threads publish meanwhile. */
    void (*connected)(void *ctx, struct mqtt *m, bool session_present);
    void (*disconnected)(void *ctx, struct mqtt *m, const char *why);
    void (*message)(void *ctx, struct mqtt *m, const struct mqtt_message *msg);
    /* QoS 1 publish acknowledged; `reason` is the MQTT 5 code (16 = no matching subscribers). */
    void (*acked)(void *ctx, struct mqtt *m, int mid, int reason);
    /* NULL, or told of each subscription that the broker refused. */
    void (*refused)(void *ctx, struct mqtt *m);
    /* After the messages of one wake-up: what was gathered from them can go on now. */
    void (*drained)(void *ctx, struct mqtt *m);
    /* NULL, or asked before each read: false leaves what comes in the socket.  The session stays
     * alive; publishing goes on. */
    bool (*may_read)(void *ctx);
};

/* mqtt_new makes a session that is not up.  Options and handler are copied (strings too). */
MUST_CHECK enum err mqtt_new(const struct mqtt_options *o, const struct mqtt_handler *h,
                             struct mqtt **out);
/* mqtt_start connects in the background and keeps at it until mqtt_stop.  The handler may be called
 * before it has returned. */
MUST_CHECK enum err mqtt_start(struct mqtt *m);
/* mqtt_stop sends DISCONNECT (the broker then forgets the will), waits for the thread, frees.
 * Publishes made before are flushed for at most `flush_ms`. */
void mqtt_stop(struct mqtt *m, uint32_t flush_ms);
/* mqtt_close and mqtt_free are the two halves of mqtt_stop, for an owner whose other threads may
 * still publish: after mqtt_close they get ERR_BROKER; mqtt_free once they are gone. */
void mqtt_close(struct mqtt *m, uint32_t flush_ms);
void mqtt_free(struct mqtt *m);

MUST_CHECK enum err mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, bool no_local);
/* mqtt_publish queues a message; any thread, never blocks on the network.  *mid (may be NULL)
 * names it in `acked`.  ERR_BROKER: not connected (nothing is kept), ERR_FULL: too much waits
 * (more than 64 MiB, or 20000 messages of QoS 1); ERR_TOOBIG: more than this broker takes;
 * ERR_INVALID, ERR_UTF8. */
MUST_CHECK enum err mqtt_publish(struct mqtt *m, struct str topic, struct str payload, uint8_t qos,
                                 bool retain, int *mid);
bool mqtt_is_up(const struct mqtt *m);

#endif
