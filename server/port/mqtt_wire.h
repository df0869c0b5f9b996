/* mqtt_wire.h - MQTT 5 packets between bytes and structs.  Pure: no I/O, no state.
 *
 * Writers append one whole packet to a buf (its sticky error tells of trouble).  The reader takes
 * what a broker may send to a client that knows QoS 0 and 1 and announces no topic aliases;
 * everything it gives points into the bytes it was given. */
#ifndef BRAID_PORT_MQTT_WIRE_H
#define BRAID_PORT_MQTT_WIRE_H

#include "base/buf.h"

enum wire_type {
    WIRE_CONNECT = 1,
    WIRE_CONNACK = 2,
    WIRE_PUBLISH = 3,
    WIRE_PUBACK = 4,
    WIRE_SUBSCRIBE = 8,
    WIRE_SUBACK = 9,
    WIRE_PINGREQ = 12,
    WIRE_PINGRESP = 13,
    WIRE_DISCONNECT = 14
};

struct wire_connect {
    struct str client_id, username, password; /* user name and password .p NULL: none */
    uint16_t keepalive_s, receive_max;
    bool clean_start;
    uint32_t session_expiry_s;           /* 0: ends with the connection */
    struct str will_topic, will_payload; /* will_topic.n 0: no will */
    uint8_t will_qos;
    bool will_retain;
};

void wire_put_connect(struct buf *b, const struct wire_connect *c);
/* wire_put_publish: `id` counts for QoS 1 only.  ERR_TOOBIG in the buf for a topic beyond 65,535
 * bytes or a packet beyond 256 MiB. */
void wire_put_publish(struct buf *b, struct str topic, struct str payload, uint8_t qos, bool retain,
                      uint16_t id);
void wire_put_subscribe(struct buf *b, uint16_t id, struct str filter, uint8_t qos, bool no_local);
void wire_put_puback(struct buf *b, uint16_t id);
void wire_put_empty(struct buf *b, enum wire_type type); /* PINGREQ, DISCONNECT */

struct wire_packet {
    enum wire_type type;
    uint16_t id;    /* PUBLISH with QoS 1, PUBACK, SUBACK */
    uint8_t reason; /* CONNACK, PUBACK, SUBACK (the first), DISCONNECT */
    /* PUBLISH */
    struct str topic, payload;
    uint8_t qos;
    bool retain, dup;
    /* CONNACK */
    bool session_present;
    uint16_t receive_max; /* how many QoS 1 messages we may have under way */
    uint16_t keepalive_s; /* the broker's wish; 0: ours holds */
};

/* wire_read reads the packet at the front of `bytes`.  ERR_OK: *used is its length.  ERR_AGAIN: not
 * all of it is there; *used is its length as far as that is known, else 0.  ERR_INVALID, ERR_TOOBIG
 * and ERR_UNSUPPORTED (QoS 2, types no broker sends us) end the connection. */
MUST_CHECK enum err wire_read(struct str bytes, struct wire_packet *out, size_t *used);

/* wire_topic_ok: may one publish there (no wildcards, no NUL, not empty, UTF-8)? ERR_INVALID,
 * ERR_UTF8. */
MUST_CHECK enum err wire_topic_ok(struct str topic);

const char *wire_reason(uint8_t code); /* in words */

#endif
