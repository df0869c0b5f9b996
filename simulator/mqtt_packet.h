/* mqtt_packet.h - MQTT 3.1.1 packets between bytes and structs.  Pure: no I/O, no state.
 *
 * Writers append one whole packet to a buf (its sticky error tells of trouble; a string above
 * 65,535 bytes or a packet above MQTT's 256 MiB marks it ERR_TOOBIG).  The reader understands
 * what a broker sends to a client and is strict: reserved bits, lengths and identifiers that the
 * standard forbids are ERR_INVALID. */
#ifndef BRAID_SIM_MQTT_PACKET_H
#define BRAID_SIM_MQTT_PACKET_H

#include "base/buf.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK = 9,
    MQTT_PINGREQ = 12,
    MQTT_PINGRESP = 13,
    MQTT_DISCONNECT = 14
};

struct mqtt_connect {
    struct str client_id;
    struct str username, password; /* .p NULL: none */
    uint16_t keep_alive_s;
    bool clean;
    struct str will_topic, will_payload; /* will_topic.p NULL: no will */
    uint8_t will_qos;
    bool will_retain;
};

struct mqtt_publish {
    struct str topic, payload;
    uint8_t qos;
    bool retain, dup;
    uint16_t id; /* when qos > 0 */
};

void mqtt_put_connect(struct buf *b, const struct mqtt_connect *c);
void mqtt_put_publish(struct buf *b, const struct mqtt_publish *p);
/* mqtt_put_subscribe asks for every filter with the same maximal qos. */
void mqtt_put_subscribe(struct buf *b, uint16_t id, const struct str *filters, size_t n,
                        uint8_t qos);
void mqtt_put_puback(struct buf *b, uint16_t id);
void mqtt_put_empty(struct buf *b, enum mqtt_type type); /* PINGREQ, DISCONNECT */

/* What arrives.  All strings point into the bytes that were read. */
struct mqtt_packet {
    enum mqtt_type type;
    struct mqtt_publish publish; /* MQTT_PUBLISH */
    uint16_t id;                 /* PUBACK, SUBACK */
    uint8_t code;                /* CONNACK: return code; SUBACK: first refusal (0x80) or 0 */
};

/* mqtt_packet_read reads the first packet of `bytes`.  ERR_AGAIN: not complete yet; ERR_TOOBIG:
 * longer than `max`; ERR_INVALID, ERR_TRUNCATED, ERR_UTF8: malformed; ERR_UNSUPPORTED: a type that
 * no broker sends to a QoS 1 client.  On success *used is its length. */
MUST_CHECK enum err mqtt_packet_read(struct str bytes, size_t max, struct mqtt_packet *out,
                                     size_t *used);

#endif
