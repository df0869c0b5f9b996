/* credential.h - what a device proves its identity with, and its life cycle.
 *
 * An identity is active, suspended (may come back) or retired (may not); what counts is written to
 * SQL first, then told to the shards (which refuse its messages from then on), then to the broker.
 * Private keys and passwords exist only in the answer that made them. */
#ifndef BRAID_CREDENTIAL_CREDENTIAL_H
#define BRAID_CREDENTIAL_CREDENTIAL_H

#include "engine/engine.h"
#include "port/pg.h"

struct credentials;

struct credential_parts {
    const struct config *config;
    struct engine *engine;
};
/* credentials_check tries the CA: a certificate and a list.  To be called before any other thread
 * uses OpenSSL: its first fetch of an algorithm leaks when two threads make it at once.  Without
 * devices.ca_cert_file there is nothing to try; what cannot be used is an error (logged). */
MUST_CHECK enum err credentials_check(const struct config *c);
/* credentials_start begins to keep the broker's files true.  Without devices.ca_cert_file no
 * certificates are issued. */
MUST_CHECK enum err credentials_start(const struct credential_parts *parts,
                                      struct credentials **out);
void credentials_stop(struct credentials *c); /* NULL is fine */

/* credential_name_ok: may this name be issued?  [A-Za-z0-9._:@=-]{1,64}, none of those with a
 * meaning of their own. */
bool credential_name_ok(struct str name);

struct credential_bundle {
    char serial[41], fingerprint[65];
    int64_t not_before_ms, not_after_ms;
    struct buf cert, key, ca; /* PEM; ca: whom to trust as the broker (empty if not known) */
    char password[65];        /* "" for a certificate */
};
/* credential_bundle_fini wipes what was secret. */
void credential_bundle_fini(struct credential_bundle *b);

/* All below: `db` is the caller's, `by` and `why` are shown later.  Any thread; they block for SQL
 * and the engine. */

/* ERR_UNSUPPORTED without a CA; ERR_CONFLICT for an identity that is not active; ERR_RANGE for days
 * the CA does not live.  `replace`: certificates from before are revoked. */
MUST_CHECK enum err credential_certificate(struct credentials *c, struct pg *db, struct str name,
                                           uint32_t days, bool replace, struct str by,
                                           struct credential_bundle *out);
/* The password from before ends.  ERR_UNSUPPORTED without broker.sync_dir; ERR_INVALID for a name
 * with a colon, which password files cannot hold. */
MUST_CHECK enum err credential_password(struct credentials *c, struct pg *db, struct str name,
                                        struct str by, struct credential_bundle *out);
/* `which` is a serial number or "password".  ERR_NOTFOUND. */
MUST_CHECK enum err credential_revoke(struct credentials *c, struct pg *db, struct str name,
                                      struct str which, struct str by);
/* ERR_CONFLICT: a retired identity does not come back. */
MUST_CHECK enum err credential_standing(struct credentials *c, struct pg *db, struct str name,
                                        enum standing standing, struct str why, struct str by);
/* credential_forget: the device's record is gone; revokes what it had. */
MUST_CHECK enum err credential_forget(struct credentials *c, struct pg *db, struct str name);
/* credential_settle waits until the broker knows all of the above: "synced", "pending" (not within
 * `wait_ms`) or "not_managed" (the broker's files are not ours). */
const char *credential_settle(struct credentials *c, uint32_t wait_ms);

/* credentials_sync_once is `braidd broker-sync`: writes the files and has the broker read them. */
MUST_CHECK enum err credentials_sync_once(const struct config *c, bool *changed);

#endif
