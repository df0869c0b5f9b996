/* mqtt_packet.h - MQTT 3.1.1 and MQTT 5 packets between bytes and structs.  Pure: no I/O, no state.
 *
 * Writers append one whole packet to a buf (its sticky error tells of trouble; a text above 65,535
 * bytes or a packet above MQTT's 256 MiB marks it ERR_TOOBIG).  The reader understands what a
 * broker may send to a client that knows QoS 0 and 1 and announces no topic aliases, and is strict:
 * reserved bits, lengths, codes and ids that the standard forbids are ERR_INVALID.  Everything it
 * gives points into the bytes it was given.
 *
 * The two versions differ by properties and by what a code means; both functions that are called
 * for every message take the level as an argument, so that no state is needed for it. */
#ifndef BRAID_CODEC_MQTT_PACKET_H
#define BRAID_CODEC_MQTT_PACKET_H

#include "base/buf.h"

enum mqtt_level { MQTT_3_1_1 = 4, MQTT_5 = 5 };

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
    enum mqtt_level level;
    struct str client_id;
    struct str username, password; /* .p NULL: none; 3.1.1 has no password without a user name */
    uint16_t keep_alive_s;
    bool clean;
    struct str will_topic, will_payload; /* will_topic.n 0: no will */
    uint8_t will_qos;
    bool will_retain;
    /* MQTT 5; 0: not said */
    uint32_t session_expiry_s, packet_max;
    uint16_t receive_max;
};

struct mqtt_publish {
    struct str topic, payload;
    uint16_t id; /* when qos > 0 */
    uint8_t qos;
    bool retain, dup;
};

void mqtt_put_connect(struct buf *b, const struct mqtt_connect *c);
void mqtt_put_publish(struct buf *b, enum mqtt_level level, const struct mqtt_publish *p);
/* mqtt_put_subscribe asks for every filter with the same maximal qos.  `no_local`: MQTT 5 only. */
void mqtt_put_subscribe(struct buf *b, enum mqtt_level level, uint16_t id,
                        const struct str *filters, size_t n, uint8_t qos, bool no_local);
void mqtt_put_puback(struct buf *b, uint16_t id);
void mqtt_put_empty(struct buf *b, enum mqtt_type type); /* PINGREQ, DISCONNECT */

/* mqtt_publish_bytes: the length of the packet that mqtt_put_publish writes. */
size_t mqtt_publish_bytes(enum mqtt_level level, const struct mqtt_publish *p);

struct mqtt_packet {
    enum mqtt_type type;
    struct mqtt_publish publish; /* PUBLISH; the rest is not set then */
    uint16_t id;                 /* PUBACK, SUBACK */
    uint8_t reason;              /* CONNACK, PUBACK, DISCONNECT; SUBACK: the first refusal or 0 */
    /* CONNACK */
    bool session_present;
    uint16_t receive_max;  /* how many QoS 1 messages we may have under way */
    uint16_t keep_alive_s; /* the broker's wish; 0: ours holds */
    uint32_t packet_max;   /* the largest packet the broker takes */
};

/* mqtt_packet_read reads the packet at the front of `bytes`.  ERR_OK: *used is its length.
 * ERR_AGAIN: not all of it is there; *used is its length as far as that is known, else 0.
 * ERR_TOOBIG: it is longer than `max`; ERR_INVALID, ERR_TRUNCATED, ERR_UTF8: malformed;
 * ERR_UNSUPPORTED: QoS 2, or a type that no broker sends us.  Those end the connection. */
MUST_CHECK enum err mqtt_packet_read(struct str bytes, enum mqtt_level level, size_t max,
                                     struct mqtt_packet *out, size_t *used);

/* mqtt_topic_ok: may one publish there (no wildcards, no NUL, not empty, UTF-8)? ERR_INVALID,
 * ERR_UTF8. */
MUST_CHECK enum err mqtt_topic_ok(struct str topic);

const char *mqtt_reason(uint8_t code); /* of MQTT 5, and of 3.1.1's CONNACK; in words */

#endif
