/* migrate.h - numbered SQL files, forward-only, checksummed, under an advisory lock. */
#ifndef BRAID_STORE_MIGRATE_H
#define BRAID_STORE_MIGRATE_H

#include "port/pg.h"

/* store_migrate applies migrations/NNNN_name.sql of `dir` that are not applied yet, each in one
 * transaction, as the owner role.  ERR_CONFLICT when an applied file has changed. */
MUST_CHECK enum err store_migrate(struct pg *owner, const char *dir, int *applied);
/* store_check_version is true when the database has exactly the migrations this binary knows
 * (their number and newest checksum are compiled in); logs what differs. */
bool store_check_version(struct pg *db);

#endif
