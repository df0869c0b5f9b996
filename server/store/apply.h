/* apply.h - brings statements and chunks into PostgreSQL, setting aside what it refuses.
 *
 * One transaction per call.  ERR_OK means committed.  ERR_DB means that PostgreSQL is away, slow,
 * full or not as we left it: nothing is known to be stored, and doing the same again later is
 * harmless.  What is refused for its own content goes to table `poisoned` and holds up nothing. */
#ifndef BRAID_STORE_APPLY_H
#define BRAID_STORE_APPLY_H

#include "port/pg.h"
#include "store/chunk.h"
#include "store/landing.h"
#include "store/statement.h"

#define APPLY_PUTS_MAX 1000
/* apply_puts runs a list of at most APPLY_PUTS_MAX statements in order.  results[i] tells for the
 * i-th whether it was taken (ERR_OK) or set aside (why). */
MUST_CHECK enum err apply_puts(struct pg *db, struct metrics *m, const struct put *first, size_t n,
                               enum err *results);
/* apply_chunk stores a chunk in the open landing table unless its number is in already; *stored
 * counts the rows that went in now.  Then it turns to the next table if it is time. */
MUST_CHECK enum err apply_chunk(struct pg *db, struct metrics *m, struct landing *l,
                                const struct chunk_view *c, uint64_t *stored);
/* apply_poison keeps something that cannot even be tried (a spool record nobody understands). */
MUST_CHECK enum err apply_poison(struct pg *db, const char *kind, const char *reason,
                                 struct str content);

#endif
