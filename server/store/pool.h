/* pool.h - a few connections shared by request threads; a loan, given back.
 *
 * pool_get waits at most `wait_ms` for a free connection and reconnects broken ones; ERR_DB at
 * once while PostgreSQL is known to be away (probed at most once a second). */
#ifndef BRAID_STORE_POOL_H
#define BRAID_STORE_POOL_H

#include "port/pg.h"

struct pool;
MUST_CHECK enum err pool_new(const char *conninfo, size_t size, struct pool **out);
void pool_free(struct pool *p);
MUST_CHECK enum err pool_get(struct pool *p, uint32_t wait_ms,
                             struct pg **out); /* or ERR_TIMEOUT */
void pool_put(struct pool *p, struct pg *db);

#endif
