/* queries.h - what request threads read and write directly, on a pooled connection.
 *
 * Lists are written as JSON items of the REST shapes straight from the rows. */
#ifndef BRAID_STORE_QUERIES_H
#define BRAID_STORE_QUERIES_H

#include "base/json_out.h"
#include "port/pg.h"

/* Commands.  Insert commits, together with its audit row, before it returns.  With an idempotency
 * key of the same user already used for the same body, *id is the old command and *repeated is
 * true; for another body ERR_CONFLICT. */
struct command_insert {
    int64_t device_id;
    struct str op, request;     /* request: JSON text as posted */
    struct str by;              /* user or token name */
    struct str endpoint, from;  /* for the audit log: of the device, and the caller's address */
    struct str idempotency_key; /* .p NULL if none */
    int64_t expires_ms;
};
MUST_CHECK enum err q_command_insert(struct pg *db, const struct command_insert *in, char id[37],
                                     int64_t *created_ms, bool *repeated);
/* q_command writes one command object ("null" and ERR_NOTFOUND if there is none). */
MUST_CHECK enum err q_command(struct pg *db, struct str id, struct json_out *j);
struct q_page {
    uint32_t limit;
    struct str cursor; /* .p NULL: from the start */
};
/* Lists write {"items":[...],"next":...}. endpoint.p NULL: of all devices. */
MUST_CHECK enum err q_commands(struct pg *db, struct str endpoint, struct str state,
                               struct q_page page, struct json_out *j);
MUST_CHECK enum err q_timeline(struct pg *db, struct str endpoint, struct str kind,
                               struct q_page page, struct json_out *j);
MUST_CHECK enum err q_series(struct pg *db, struct str endpoint, struct json_out *j);

/* History of one series: {"from","to","bucket_ms","series",...,"points":[...]} (REST shape): the
 * samples themselves when they are at most `points`, else buckets whose minimum and maximum are
 * kept so that peaks never vanish.  ERR_NOTFOUND for an unknown series. */
struct q_history {
    struct str endpoint, series;
    int64_t from_ms, to_ms;
    uint32_t points;
    bool before;           /* tell the last sample before `from` too */
    struct recent *recent; /* see history_span */
};
MUST_CHECK enum err q_history(struct pg *db, const struct q_history *q, struct json_out *j);
/* q_history_aligned: the same of n series (q's own are not looked at) as "items", on one grid. */
struct q_series {
    struct str endpoint, key;
};
MUST_CHECK enum err q_history_aligned(struct pg *db, const struct q_history *q,
                                      const struct q_series *series, size_t n, struct json_out *j);

/* Users, sessions, tokens.  Hashes are made by the caller. */
struct q_identity {
    char name[65];
    char role[16];
    char csrf[65]; /* sessions only */
    int64_t id;
};
MUST_CHECK enum err q_user_hash(struct pg *db, struct str username, char *hash, size_t size,
                                struct q_identity *out);
MUST_CHECK enum err q_user_put(struct pg *db, struct str username, struct str role,
                               struct str hash); /* insert or replace role and hash */
MUST_CHECK enum err q_user_insert(struct pg *db, struct str username, struct str role,
                                  struct str hash); /* ERR_EXISTS */
MUST_CHECK enum err q_user_password(struct pg *db, struct str username, struct str hash);
/* ERR_CONFLICT: the last administrator; *role is what the user had. */
MUST_CHECK enum err q_user_delete(struct pg *db, struct str username, char role[16]);
MUST_CHECK enum err q_users(struct pg *db, struct json_out *j);
MUST_CHECK enum err q_session_insert(struct pg *db, struct str token_hash, struct str csrf,
                                     int64_t user_id, int64_t expires_ms, struct str remote);
/* finds and touches a session that is neither idle for idle_s nor expired */
MUST_CHECK enum err q_session(struct pg *db, struct str token_hash, int64_t idle_s,
                              struct q_identity *out);
/* q_session_holds: the same without prolonging it. */
MUST_CHECK enum err q_session_holds(struct pg *db, struct str token_hash, int64_t idle_s);
MUST_CHECK enum err q_session_delete(struct pg *db, struct str token_hash);
MUST_CHECK enum err q_token_insert(struct pg *db, struct str name, struct str role, struct str hash,
                                   struct str by, int64_t expires_ms, int64_t *id);
MUST_CHECK enum err q_token(struct pg *db, struct str hash, struct q_identity *out);
MUST_CHECK enum err q_tokens(struct pg *db, struct json_out *j);
/* *old: name and role of what is gone. */
MUST_CHECK enum err q_token_delete(struct pg *db, int64_t id, struct q_identity *old);
/* Audit: append-only.  result: "ok" or the problem's code. */
MUST_CHECK enum err q_audit(struct pg *db, struct str who, struct str from, struct str action,
                            struct str target, struct str detail_json, struct str result);
/* The log newest first; texts .p NULL and times 0: any.  ERR_INVALID: not a cursor of ours. */
struct q_audit_filter {
    struct str who, action, target, result;
    int64_t from_ms, to_ms; /* from <= at < to */
};
MUST_CHECK enum err q_audit_list(struct pg *db, const struct q_audit_filter *f, struct q_page page,
                                 struct json_out *j);

#endif
