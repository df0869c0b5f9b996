/* broker_sync.h - the thread that keeps the broker's files true and closes sessions.
 *
 * It works when asked, once a minute in any case (another program may have changed the database),
 * and again after 2 s when something failed.  It also tells timelines of certificates that end. */
#ifndef BRAID_CREDENTIAL_BROKER_SYNC_H
#define BRAID_CREDENTIAL_BROKER_SYNC_H

#include "engine/engine.h"

struct broker_sync;
MUST_CHECK enum err broker_sync_start(const struct config *c, struct engine *e,
                                      struct broker_sync **out);
void broker_sync_stop(struct broker_sync *s); /* NULL is fine */
/* broker_sync_ask has the files written; when `name` is given, the session of that client is closed
 * afterwards.  Returns a ticket.  Any thread. */
uint64_t broker_sync_ask(struct broker_sync *s, struct str name);
/* broker_sync_wait: ERR_OK once all asked up to `ticket` is done; ERR_TIMEOUT; ERR_UNSUPPORTED when
 * the files are not ours (no broker.sync_dir). */
MUST_CHECK enum err broker_sync_wait(struct broker_sync *s, uint64_t ticket, uint32_t wait_ms);

#endif
