/* app.h - the object graph of the server: what is made in which order, and unmade in reverse.
 *
 * configuration -> log level -> metrics -> model -> http (answers "not ready") -> the database
 * (reachable, migrated, ours alone) -> pool -> writer -> engine (loads, then connects to the
 * broker)
 * -> http serves.
 *
 * One braidd per database: an advisory lock on a connection of its own keeps a second one, the
 * standby, waiting: it is alive, not ready, and does not touch the broker, where it would have the
 * active one's client ids.  PostgreSQL gives the lock up when the active one's connection ends, so
 * a standby takes over a moment after the other process died.  Should the lock's connection break,
 * it is taken again; if another has it by then, we stop. */
#ifndef BRAID_APP_H
#define BRAID_APP_H

#include "config/config.h"

struct app;

/* app_run starts everything, waits for SIGTERM or SIGINT (which the caller has blocked), stops in
 * order and returns the exit status.  Starting waits for PostgreSQL, trying once a second. */
int app_run(const struct config *c);

#endif
