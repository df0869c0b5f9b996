/* mqtt_out.h - what a broker session has to send, and which of it is under way.
 *
 * Any thread publishes and subscribes; everything else is for the session's thread, the owner.
 * Private to mqtt.c. */
#ifndef BRAID_PORT_MQTT_OUT_H
#define BRAID_PORT_MQTT_OUT_H

#include "base/buf.h"
#include "codec/mqtt_packet.h"

struct mqtt_out; /* opaque */

MUST_CHECK enum err mqtt_out_new(struct mqtt_out **out);
void mqtt_out_free(struct mqtt_out *o);

/* mqtt_out_open lets everybody in: at most `under_way` messages of QoS 1 are with the broker at a
 * time, no packet is larger than `packet_max`.  Until mqtt_out_greeted what this thread says goes
 * before what the others say.  mqtt_out_close forgets everything and turns everybody away. */
void mqtt_out_open(struct mqtt_out *o, unsigned under_way, uint32_t packet_max);
void mqtt_out_greeted(struct mqtt_out *o);
void mqtt_out_close(struct mqtt_out *o);

/* Any thread; never blocks on the network.  mqtt_out_publish gives the message its id and stores it
 * in *mid (NULL is fine) before an acknowledgement can come; *first: nothing waited before it, so
 * the owner may be asleep.  Errors as mqtt_publish and mqtt_subscribe have them. */
MUST_CHECK enum err mqtt_out_publish(struct mqtt_out *o, struct mqtt_publish *p, int *mid,
                                     bool *first);
MUST_CHECK enum err mqtt_out_subscribe(struct mqtt_out *o, struct str filter, uint8_t qos,
                                       bool no_local);

/* mqtt_out_acked makes room for the next message of QoS 1; false: nobody waits for this one. */
bool mqtt_out_acked(struct mqtt_out *o, uint16_t id);

/* mqtt_out_own is where the owner puts packets of his own: they go before what waits.
 * mqtt_out_next lends what is to be written now (empty: nothing), mqtt_out_wrote tells how much of
 * it went.  mqtt_out_begun: part of that is still to be written; mqtt_out_done: nothing waits at
 * all, also no acknowledgement. */
struct buf *mqtt_out_own(struct mqtt_out *o);
MUST_CHECK enum err mqtt_out_next(struct mqtt_out *o, struct str *bytes);
void mqtt_out_wrote(struct mqtt_out *o, size_t n);
bool mqtt_out_begun(const struct mqtt_out *o);
bool mqtt_out_done(struct mqtt_out *o);

#endif
