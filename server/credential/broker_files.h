/* broker_files.h - Mosquitto's password file, ACL and revocation list, made from the database.
 *
 * Each file is a whole one or the one before: written beside its place, then renamed.  What is in
 * broker.base_dir under the same name goes in front, so that an operator's own lines stay. */
#ifndef BRAID_CREDENTIAL_BROKER_FILES_H
#define BRAID_CREDENTIAL_BROKER_FILES_H

#include "config/config.h"
#include "port/pg.h"

/* A password for one use: lets us take over the session of a name that has none. */
struct one_time {
    char name[65];
    char password[49];
};
/* broker_files_write brings the three files up to date and tells whether any had to change.
 * ERR_DB; ERR_IO and ERR_INVALID (a CA that cannot be used) are logged. */
MUST_CHECK enum err broker_files_write(const struct config *c, struct pg *db,
                                       const struct one_time *once, size_t n, bool *changed);
/* broker_files_reload tells Mosquitto to read them: ERR_UNSUPPORTED without broker.pid_file,
 * ERR_NOTFOUND when no broker runs under that pid, ERR_DENIED. */
MUST_CHECK enum err broker_files_reload(const struct config *c);

#endif
