/* res_users.c - accounts and API tokens, for administrators.
 *
 * Every change is audited and forgets remembered identities, so it counts from the next request
 * on.  A token is shown once, in the answer that makes it. */
#include "http/http_int.h"
#include "base/clock.h"
#include "port/crypto.h"

#include <stdio.h>

/* What the audit log shows of an account or token: its role and, where one was given, its expiry.
 */
static struct str as_json(struct request *r, struct str name, const char *role, int64_t expires_ms)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 1024);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_put_str(&j, "name", name);
    json_put_text(&j, "role", role);
    if (expires_ms)
        json_put_time(&j, "expires_at", expires_ms);
    json_close(&j);
    struct str copy = b.err ? (struct str){0} : arena_str(&r->arena, buf_view(&b));
    buf_fini(&b);
    return copy;
}

/* After a change: forget, audit, answer. */
static void changed(struct request *r, const char *action, struct str target, struct str old,
                    struct str new)
{
    auth_forget_all(r->http->auth);
    audit_change(r, action, target, old, new);
    reply_empty(r, 204);
}

static bool name_ok(struct request *r, struct str name)
{
    bool ok = name.n >= 1 && name.n <= 64;
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') ||
             (name.p[i] >= '0' && name.p[i] <= '9') || memchr("._@+-", name.p[i], 6);
    if (!ok)
        reply_problem(r, 422, "bad_name", "A name has 1 to 64 letters, digits or ._@+-");
    return ok;
}

static bool role_ok(struct request *r, struct str word, enum role *role)
{
    if (role_from(word, role))
        return true;
    reply_problem(r, 422, "bad_role", "A role is viewer, operator, engineer or admin.");
    return false;
}

static bool hash_password(struct request *r, struct str password, char out[CRYPTO_PASSWORD_TEXT])
{
    if (!auth_password_ok(r, password))
        return false;
    enum err e = crypto_password_hash(password, out);
    if (e)
        reply_err(r, e == ERR_IO ? ERR_NOMEM : e, "password");
    return !e;
}

void res_users(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e = db ? q_users(db, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "user");
}

void res_user_post(struct request *r)
{
    struct str name, word, password;
    enum role role;
    char hash[CRYPTO_PASSWORD_TEXT];
    if (!request_json(r) || !request_member(r, "username", &name) ||
        !request_member(r, "role", &word) || !request_member(r, "password", &password) ||
        !name_ok(r, name) || !role_ok(r, word, &role) || !hash_password(r, password, hash))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = q_user_insert(db, name, word, str_of(hash));
    if (e) {
        reply_err(r, e, "user");
        return;
    }
    changed(r, "user_add", name, (struct str){0}, as_json(r, name, role_word(role), 0));
    struct json_out *j = reply_json(r, 201);
    json_open(j, '{');
    json_put_str(j, "username", name);
    json_put_text(j, "role", role_word(role));
    json_close(j);
}

void res_user_delete(struct request *r)
{
    struct pg *db = request_db(r);
    if (!db)
        return;
    char role[16];
    enum err e = q_user_delete(db, r->params[0], role);
    if (e == ERR_CONFLICT)
        reply_problem(r, 409, "last_admin", "The last administrator cannot be deleted.");
    else if (e)
        reply_err(r, e, "user");
    else
        changed(r, "user_delete", r->params[0], as_json(r, r->params[0], role, 0), (struct str){0});
}

void res_user_password(struct request *r)
{
    struct str password;
    char hash[CRYPTO_PASSWORD_TEXT];
    if (!request_json(r) || !request_member(r, "password", &password) ||
        !hash_password(r, password, hash))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = q_user_password(db, r->params[0], str_of(hash));
    if (e)
        reply_err(r, e, "user");
    else
        changed(r, "user_password", r->params[0], (struct str)STR("\"a password\""),
                (struct str)STR("\"another password\""));
}

void res_tokens(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e = db ? q_tokens(db, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "token");
}

/* expires_at of the body: absent or null = never (0). */
static bool read_expiry(struct request *r, int64_t *out)
{
    const struct json_node *n = json_get(r->body, "expires_at");
    struct str text;
    *out = 0;
    if (!n || n->kind == JSON_NULL)
        return true;
    if (json_is_str(n, &text) && !clock_parse(text, out) && *out > clock_utc_ms())
        return true;
    reply_problem(r, 422, "bad_time", "expires_at must be an RFC 3339 time to come.");
    return false;
}

void res_token_post(struct request *r)
{
    struct str name, word;
    enum role role;
    int64_t expires_ms, id;
    char secret[2 * HTTP_SECRET_SIZE + 1], token[2 * HTTP_SECRET_SIZE + 8], hash[HTTP_HASH_TEXT];
    if (!request_json(r) || !request_member(r, "name", &name) ||
        !request_member(r, "role", &word) || !name_ok(r, name) || !role_ok(r, word, &role) ||
        !read_expiry(r, &expires_ms))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = crypto_token(secret, HTTP_SECRET_SIZE);
    snprintf(token, sizeof token, "braid_%s", secret);
    auth_hash(str_of(token), hash);
    if (!e)
        e = q_token_insert(db, name, word, str_of(hash), str_of(r->who.name), expires_ms, &id);
    if (e) {
        reply_err(r, e, "token");
        return;
    }
    changed(r, "token_add", name, (struct str){0}, as_json(r, name, role_word(role), expires_ms));
    struct json_out *j = reply_json(r, 201);
    json_open(j, '{');
    json_put_i64(j, "id", id);
    json_put_str(j, "name", name);
    json_put_text(j, "role", role_word(role));
    json_put_text(j, "token", token);
    json_put_time(j, "expires_at", expires_ms);
    json_close(j);
}

void res_token_delete(struct request *r)
{
    int64_t id;
    struct q_identity old;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = str_to_i64(r->params[0], &id) ? ERR_NOTFOUND : q_token_delete(db, id, &old);
    if (e)
        reply_err(r, e, "token");
    else
        changed(r, "token_delete", str_of(old.name), as_json(r, str_of(old.name), old.role, 0),
                (struct str){0});
}
