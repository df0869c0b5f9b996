/* publisher.h - publishing for threads that may outlive the broker session.
 *
 * An acknowledgement to a device is published by the writer's thread once its row is durable; at
 * shutdown that may be after the session is gone.  A publisher is a counted reference to the
 * session that turns into "refused" when the session is closed. */
#ifndef BRAID_ENGINE_PUBLISHER_H
#define BRAID_ENGINE_PUBLISHER_H

#include "port/mqtt.h"
#include "store/writer.h"

struct publisher;
struct publisher *publisher_new(void);
void publisher_unref(struct publisher *p);
/* publisher_open / close: the session begins / is about to be freed. */
void publisher_open(struct publisher *p, struct mqtt *m);
void publisher_close(struct publisher *p);

/* publisher_later makes the argument for writer_put: when the statement is durable the message is
 * published (QoS 1); on an error `refusal` goes out instead.  NULL without memory.  publisher_done
 * is the matching callback and frees it; publisher_drop frees it uncalled. */
struct publisher_job;
struct publisher_job *publisher_later(struct publisher *p, struct str topic, struct str payload,
                                      struct str refusal);
void publisher_done(void *job, enum err result);
void publisher_drop(struct publisher_job *job);
/* publisher_idle is true when no job waits for durability. */
bool publisher_idle(struct publisher *p);

#endif
