/* host.h - the Sparkplug host application's own session: STATE (3.0 sections 4 and 5).
 *
 * Pure: says which payload to use as will, what to publish after connecting and when to repeat it.
 */
#ifndef BRAID_SPARKPLUG_HOST_H
#define BRAID_SPARKPLUG_HOST_H

#include "base/buf.h"

struct spb_host {
    char topic[96]; /* spBv1.0/STATE/{host_id} */
    int64_t ts_ms;  /* of the CONNECT in force */
};

/* spb_host_init: ERR_INVALID for an id that is empty, too long or contains + # /. */
MUST_CHECK enum err spb_host_init(struct spb_host *h, struct str host_id);
/* spb_host_connect: called before each CONNECT with the time; the will payload carries it. */
void spb_host_connect(struct spb_host *h, int64_t now_ms);
void spb_host_will(const struct spb_host *h, struct buf *payload);
void spb_host_birth(const struct spb_host *h, struct buf *payload);
void spb_host_death(const struct spb_host *h, int64_t now_ms, struct buf *payload);
/* spb_host_must_repeat: true when this STATE message about us says offline and we must publish the
 * birth again at once (late will of an old session). */
bool spb_host_must_repeat(const struct spb_host *h, struct str topic, struct str payload);

#endif
