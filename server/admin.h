/* admin.h - what an administrator does from a terminal: accounts, tokens, migrations. */
#ifndef BRAID_ADMIN_H
#define BRAID_ADMIN_H

#include "config/config.h"

/* Arguments of a subcommand that are not configuration. */
struct admin_args {
    const char *name;          /* of the user or token */
    const char *role;          /* --role */
    const char *password_file; /* --password-file */
    const char *migrations;    /* --migrations */
    const char *program;       /* argv[0]'s folder is where migrations are looked for */
};

/* Each prints what the caller needs on stdout and why it failed on stderr; returns an exit status.
 */
typedef int admin_command(const struct config *c, const struct admin_args *a);
admin_command admin_migrate, admin_user_add, admin_user_reset, admin_token_create;
admin_command admin_broker_sync;

#endif
