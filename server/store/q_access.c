/* q_access.c - users, sessions, API tokens. */
#include "store/queries.h"

#include "store/q_page.h"

#include <stdio.h>

static void copy(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_ARG(s));
}

/* One row (id, name, role, csrf) to an identity; ERR_NOTFOUND for none. */
static enum err take_identity(struct pg_result *r, struct q_identity *out)
{
    enum err e = pg_rows(r) ? ERR_OK : ERR_NOTFOUND;
    if (!e) {
        *out = (struct q_identity){.id = pg_i64(r, 0, 0)};
        copy(out->name, sizeof out->name, pg_text(r, 0, 1));
        copy(out->role, sizeof out->role, pg_text(r, 0, 2));
        copy(out->csrf, sizeof out->csrf, pg_text(r, 0, 3));
    }
    pg_result_free(r);
    return e;
}

enum err q_user_hash(struct pg *db, struct str username, char *hash, size_t size,
                     struct q_identity *out)
{
    struct pg_result *r;
    enum err e = pg_prepared(db, "user_hash",
                             "SELECT id, username, role, '', password_hash FROM app_user "
                             "WHERE username = $1",
                             &username, 1, &r);
    if (e)
        return e;
    if (pg_rows(r))
        copy(hash, size, pg_text(r, 0, 4));
    return take_identity(r, out);
}

enum err q_user_put(struct pg *db, struct str username, struct str role, struct str hash)
{
    return pg_exec(db,
                   "INSERT INTO app_user (username, role, password_hash) VALUES ($1, $2, $3) "
                   "ON CONFLICT (username) DO UPDATE SET role = excluded.role, "
                   "password_hash = excluded.password_hash, changed_at = now()",
                   (struct str[]){username, role, hash}, 3, NULL);
}

enum err q_user_insert(struct pg *db, struct str username, struct str role, struct str hash)
{
    return pg_exec(db, "INSERT INTO app_user (username, role, password_hash) VALUES ($1, $2, $3)",
                   (struct str[]){username, role, hash}, 3, NULL);
}

/* A changed password ends the user's sessions. */
enum err q_user_password(struct pg *db, struct str username, struct str hash)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db,
                         "WITH u AS (UPDATE app_user SET password_hash = $2, changed_at = now() "
                         "WHERE username = $1 RETURNING id), "
                         "s AS (DELETE FROM app_session WHERE user_id IN (SELECT id FROM u)) "
                         "SELECT id FROM u",
                         (struct str[]){username, hash}, 2, &r);
    if (e)
        return e;
    e = pg_rows(r) ? ERR_OK : ERR_NOTFOUND;
    pg_result_free(r);
    return e;
}

enum err q_user_delete(struct pg *db, struct str username, char role[16])
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db,
                         "DELETE FROM app_user u WHERE username = $1 AND (role <> 'admin' OR "
                         "EXISTS (SELECT FROM app_user o WHERE o.role = 'admin' AND o.id <> u.id)) "
                         "RETURNING role",
                         &username, 1, &r);
    if (e)
        return e;
    size_t n = pg_rows(r);
    if (n)
        copy(role, 16, pg_text(r, 0, 0));
    pg_result_free(r);
    if (n)
        return ERR_OK;
    e = pg_exec(db, "SELECT FROM app_user WHERE username = $1", &username, 1, &r);
    if (e)
        return e;
    e = pg_rows(r) ? ERR_CONFLICT : ERR_NOTFOUND;
    pg_result_free(r);
    return e;
}

enum err q_users(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_exec(db,
                "SELECT username, role, to_ms(created_at), to_ms(changed_at), "
                "to_ms((SELECT max(touched_at) FROM app_session s WHERE s.user_id = u.id)) "
                "FROM app_user u ORDER BY username",
                NULL, 0, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '{');
        q_put_text(j, "username", r, i, 0);
        q_put_text(j, "role", r, i, 1);
        q_put_time(j, "created_at", r, i, 2);
        q_put_time(j, "changed_at", r, i, 3);
        q_put_time(j, "last_active", r, i, 4);
        json_close(j);
    }
    q_list_close(j);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_session_insert(struct pg *db, struct str token_hash, struct str csrf, int64_t user_id,
                          int64_t expires_ms, struct str remote)
{
    char user[24], expires[24];
    return pg_exec(db,
                   "WITH old AS (DELETE FROM app_session WHERE expires_at < now()) "
                   "INSERT INTO app_session (token_hash, csrf, user_id, expires_at, remote) "
                   "VALUES ($1, $2, $3::bigint, at_ms($4::bigint), $5)",
                   (struct str[]){token_hash, csrf, q_number(user, user_id),
                                  q_number(expires, expires_ms), remote},
                   5, NULL);
}

enum err q_session(struct pg *db, struct str token_hash, int64_t idle_s, struct q_identity *out)
{
    char idle[24];
    struct pg_result *r;
    enum err e = pg_prepared(db, "session",
                             "UPDATE app_session s SET touched_at = now() FROM app_user u "
                             "WHERE s.token_hash = $1 AND u.id = s.user_id "
                             "AND s.expires_at > now() "
                             "AND s.touched_at > now() - $2::bigint * interval '1 second' "
                             "RETURNING u.id, u.username, u.role, s.csrf",
                             (struct str[]){token_hash, q_number(idle, idle_s)}, 2, &r);
    return e ? e : take_identity(r, out);
}

enum err q_session_holds(struct pg *db, struct str token_hash, int64_t idle_s)
{
    char idle[24];
    struct pg_result *r;
    enum err e = pg_prepared(db, "session_holds",
                             "SELECT 1 FROM app_session WHERE token_hash = $1 "
                             "AND expires_at > now() "
                             "AND touched_at > now() - $2::bigint * interval '1 second'",
                             (struct str[]){token_hash, q_number(idle, idle_s)}, 2, &r);
    if (e)
        return e;
    e = pg_rows(r) ? ERR_OK : ERR_NOTFOUND;
    pg_result_free(r);
    return e;
}

enum err q_session_delete(struct pg *db, struct str token_hash)
{
    return pg_exec(db, "DELETE FROM app_session WHERE token_hash = $1", &token_hash, 1, NULL);
}

enum err q_token_insert(struct pg *db, struct str name, struct str role, struct str hash,
                        struct str by, int64_t expires_ms, int64_t *id)
{
    char expires[24];
    struct pg_result *r;
    struct str when = expires_ms ? q_number(expires, expires_ms) : str_make(NULL, 0);
    enum err e = pg_exec(db,
                         "INSERT INTO api_token (name, role, hash, by_name, expires_at) "
                         "VALUES ($1, $2, $3, $4, at_ms($5::bigint)) RETURNING id",
                         (struct str[]){name, role, hash, by, when}, 5, &r);
    if (e)
        return e;
    *id = pg_i64(r, 0, 0);
    pg_result_free(r);
    return ERR_OK;
}

/* last_used_at is kept to the minute: not every request should write a row. */
enum err q_token(struct pg *db, struct str hash, struct q_identity *out)
{
    struct pg_result *r;
    enum err e = pg_prepared(db, "token",
                             "WITH t AS (SELECT id, name, role, last_used_at FROM api_token "
                             "WHERE hash = $1 AND (expires_at IS NULL OR expires_at > now())), "
                             "touch AS (UPDATE api_token a SET last_used_at = now() FROM t "
                             "WHERE a.id = t.id AND (t.last_used_at IS NULL OR "
                             "t.last_used_at < now() - interval '1 minute')) "
                             "SELECT id, name, role, '' FROM t",
                             &hash, 1, &r);
    return e ? e : take_identity(r, out);
}

enum err q_tokens(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT id, name, role, by_name, to_ms(created_at), to_ms(expires_at), "
                         "to_ms(last_used_at) FROM api_token ORDER BY name",
                         NULL, 0, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '{');
        json_put_i64(j, "id", pg_i64(r, i, 0));
        q_put_text(j, "name", r, i, 1);
        q_put_text(j, "role", r, i, 2);
        q_put_text(j, "by", r, i, 3);
        q_put_time(j, "created_at", r, i, 4);
        q_put_time(j, "expires_at", r, i, 5);
        q_put_time(j, "last_used_at", r, i, 6);
        json_close(j);
    }
    q_list_close(j);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_token_delete(struct pg *db, int64_t id, struct q_identity *old)
{
    char text[24];
    struct pg_result *r = NULL;
    struct str param = q_number(text, id);
    enum err e =
        pg_exec(db, "DELETE FROM api_token WHERE id = $1::bigint RETURNING id, name, role, ''",
                &param, 1, &r);
    return e ? e : take_identity(r, old);
}
