/* second.h - a second connection of the writer, for when much waits.
 *
 * One connection stores what one core of PostgreSQL stores.  When there are two chunks to store,
 * another thread copies the second of them over this connection meanwhile.  It is made when it is
 * first needed.  Losing it costs nothing but speed: what was not stored over it is stored over the
 * first. */
#ifndef BRAID_STORE_SECOND_H
#define BRAID_STORE_SECOND_H

#include "port/pg.h"

struct second;

MUST_CHECK enum err second_new(const char *conninfo, struct second **out); /* string: borrowed */
void second_free(struct second *s);                                        /* NULL is fine */

/* second_start runs work(ctx, db) on a thread of its own; ctx lives until second_join.  ERR_DB: no
 * connection was to be had a moment ago. */
typedef void second_work(void *ctx, struct pg *db);
MUST_CHECK enum err second_start(struct second *s, second_work *work, void *ctx);
/* second_join waits for the end of the work and lends the connection it had, until the next
 * second_start; NULL: there was none, and the work was not done. */
struct pg *second_join(struct second *s);

#endif
