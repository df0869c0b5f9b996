/* app.h - the object graph of the server: what is made in which order, and unmade in reverse.
 *
 * configuration -> log level -> metrics -> model -> the database (reachable, migrated, ours alone)
 * -> pool -> writer -> engine (loads, then connects to the broker) -> http.
 *
 * One braidd per database: an advisory lock on a connection of its own keeps a second one waiting.
 * Should that connection break, the lock is taken again; if another has it by then, we stop. */
#ifndef BRAID_APP_H
#define BRAID_APP_H

#include "config/config.h"

struct app;

/* app_run starts everything, waits for SIGTERM or SIGINT (which the caller has blocked), stops in
 * order and returns the exit status.  Starting waits for PostgreSQL, trying once a second. */
int app_run(const struct config *c);

#endif
