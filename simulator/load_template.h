/* load_template.h - whole MQTT packets with Sparkplug DATA, made once and patched for every
 * message.
 *
 * A load generator must cost next to nothing beside what it loads: protobuf and MQTT headers are
 * written once per node, and a message is one memcpy and a few bytes put in place.  All fields that
 * change have a fixed width: times and integers are values whose varint always has the same length,
 * and the sequence number, which has one byte or two, stands last and has a packet of each kind. */
#ifndef BRAID_SIM_LOAD_TEMPLATE_H
#define BRAID_SIM_LOAD_TEMPLATE_H

#include "base/buf.h"

#define LOAD_METRICS_MAX 500
#define LOAD_PACKET_MAX  ((size_t)32 << 10)

struct load_slot {
    uint16_t time_at, value_at; /* in the payload */
    uint8_t kind;
};

/* What all nodes of a run have in common. */
struct load_shape {
    struct str group, device; /* device.p NULL: metrics of the node itself, NDATA */
    unsigned metrics;
    struct load_slot slots[LOAD_METRICS_MAX];
};

struct load_node {
    struct str name;      /* borrowed */
    struct buf packet[2]; /* seq below 128, and above */
    size_t payload_at[2]; /* in the packet */
    uint8_t seq;          /* of the next message */
    int64_t at_ms;        /* of the newest message: times of a node only grow */
    uint64_t random;
    uint64_t messages;
};

/* load_node_init makes the packets; the first node made fills the shape's slots.  ERR_NOMEM,
 * ERR_TOOBIG.  `name` must outlive the node. */
MUST_CHECK enum err load_node_init(struct load_node *n, struct load_shape *s, struct str name);
void load_node_fini(struct load_node *n);

/* load_births appends NBIRTH (and DBIRTH) and starts the sequence anew; load_death the NDEATH that
 * belongs to it. */
void load_births(struct load_node *n, const struct load_shape *s, int64_t now_ms, struct buf *out);
void load_death(struct load_node *n, const struct load_shape *s, int64_t now_ms, struct buf *out);

/* load_next writes the node's next DATA packet to `to` (room for LOAD_PACKET_MAX) and returns its
 * length. */
size_t load_next(struct load_node *n, const struct load_shape *s, int64_t now_ms, char *to);

#endif
