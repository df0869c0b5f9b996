/* q_credential.h - identities and their credentials in SQL, on a connection of the caller. */
#ifndef BRAID_STORE_Q_CREDENTIAL_H
#define BRAID_STORE_Q_CREDENTIAL_H

#include "store/queries.h"

/* q_identity_put makes the identity if it is new; its state stays what it is. */
MUST_CHECK enum err q_identity_put(struct pg *db, struct str endpoint, struct str by);
/* q_identity_state: "active" for a name without a row. */
MUST_CHECK enum err q_identity_state(struct pg *db, struct str endpoint, char out[16]);
MUST_CHECK enum err q_identity_set(struct pg *db, struct str endpoint, struct str state,
                                   struct str why, struct str by);
/* q_identity_forget revokes what is left, drops the password and the row of the identity. */
MUST_CHECK enum err q_identity_forget(struct pg *db, struct str endpoint, struct str why);

struct q_certificate {
    struct str serial, endpoint, fingerprint, by;
    int64_t not_before_ms, not_after_ms;
};
MUST_CHECK enum err q_certificate_insert(struct pg *db, const struct q_certificate *c);
/* q_certificates_revoke revokes one (`serial`), or all but one (`except`), or all of an identity;
 * both may be .p NULL.  *n tells how many. */
MUST_CHECK enum err q_certificates_revoke(struct pg *db, struct str endpoint, struct str serial,
                                          struct str except, struct str why, uint64_t *n);
MUST_CHECK enum err q_password_put(struct pg *db, struct str endpoint, struct str hash,
                                   struct str by);
MUST_CHECK enum err q_password_delete(struct pg *db, struct str endpoint); /* ERR_NOTFOUND */

/* What API clients may see: no hash, no key. */
MUST_CHECK enum err q_credentials(struct pg *db, struct str endpoint, struct json_out *j);
/* Certificates in use that end within `days`, soonest first: {"items":[...],"next":null}. */
MUST_CHECK enum err q_credentials_ending(struct pg *db, int64_t days, struct json_out *j);
MUST_CHECK enum err q_unknown(struct pg *db, struct str state, int64_t limit, struct json_out *j);
/* q_unknown_take removes the row (accepted); q_unknown_refuse marks it.  ERR_NOTFOUND. */
MUST_CHECK enum err q_unknown_take(struct pg *db, struct str endpoint);
MUST_CHECK enum err q_unknown_refuse(struct pg *db, struct str endpoint);

/* What the broker's files are made of; results are freed by the caller.
 *   passwords: endpoint, hash - of active identities
 *   blocked:   endpoint, state - suspended or retired
 *   revoked:   serial, at_ms, on_hold - certificates that have not ended by themselves */
MUST_CHECK enum err q_sync_passwords(struct pg *db, struct pg_result **out);
MUST_CHECK enum err q_sync_blocked(struct pg *db, struct pg_result **out);
MUST_CHECK enum err q_sync_revoked(struct pg *db, struct pg_result **out);
/* Certificates whose end comes nearer than the timeline knows: serial, endpoint, not_after_ms,
 * stage (30, 7 or 1 days).  Those with a newer sibling that lasts longer are not worth a word. */
MUST_CHECK enum err q_certificates_to_warn(struct pg *db, struct pg_result **out);
MUST_CHECK enum err q_certificate_warned(struct pg *db, struct str serial, int64_t stage);

#endif
