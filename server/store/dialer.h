/* dialer.h - connects the writer to PostgreSQL on a thread of its own, with growing pauses.
 *
 * A server that hangs may hold a connect for seconds; the writer must go on spooling meanwhile. */
#ifndef BRAID_STORE_DIALER_H
#define BRAID_STORE_DIALER_H

#include "metrics/metrics.h"
#include "port/pg.h"

struct dialer;
/* Called on the dialer's thread with a connection that is ready for use; the callee owns it. */
typedef void dialer_ready(void *ctx, struct pg *db);

/* dialer_connect tries once, on the caller's thread; partitions for the coming days are made.
 * `losses`: how many connections were lost in a row, each time over the same work; the time limit
 * of statements grows with it, so that something slow gets through in the end. */
MUST_CHECK enum err dialer_connect(const char *conninfo, unsigned losses, struct pg **out);
/* dialer_start makes the thread; conninfo is borrowed. */
MUST_CHECK enum err dialer_start(const char *conninfo, struct metrics *m, dialer_ready *ready,
                                 void *ctx, struct dialer **out);
void dialer_stop(struct dialer *d); /* NULL is fine */
/* dialer_lost asks for a new connection: the first try comes after a pause that grows with every
 * failure since dialer_worked.  Any thread. */
void dialer_lost(struct dialer *d);
void dialer_worked(struct dialer *d);
/* dialer_make_partitions also serves the writer's housekeeping. */
MUST_CHECK enum err dialer_make_partitions(struct pg *db);

#endif
