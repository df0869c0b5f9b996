/* mqtt_hello.h - who a broker session says it is: its options, kept, and the CONNECT made of them.
 * Private to mqtt.c. */
#ifndef BRAID_PORT_MQTT_HELLO_H
#define BRAID_PORT_MQTT_HELLO_H

#include "port/mqtt.h"

#define MQTT_RECEIVE_MAX 500                /* messages of QoS 1 on their way to us, or from us */
#define MQTT_PACKET_MAX  ((size_t)32 << 20) /* what we take; brokers of ours take half of it */

/* mqtt_options_copy copies the strings too, "" for NULL; mqtt_options_fini frees them, also after a
 * copy that failed. */
MUST_CHECK enum err mqtt_options_copy(const struct mqtt_options *from, struct mqtt_options *to);
void mqtt_options_fini(struct mqtt_options *o);

/* mqtt_hello puts CONNECT, with the will the handler wants, behind what is in `to`. */
MUST_CHECK enum err mqtt_hello(const struct mqtt_options *o, const struct mqtt_handler *h,
                               struct buf *to);

#endif
