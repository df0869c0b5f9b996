/* res_session.c - logging in, who am I, logging out.
 *
 * A login costs 0.1 s of scrypt and 32 MiB, so one runs at a time, a quarter of the workers at most
 * wait for that, and who guesses is slowed down before any of it.  An unknown user costs the same
 * as a wrong password and says the same. */
#include "http/http_int.h"
#include "http/throttle.h"
#include "base/clock.h"
#include "base/log.h"
#include "port/crypto.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ADDRESS_FREE                                                                               \
    50 /* wrong passwords of one address before it has to wait, whatever the name */

struct login {
    pthread_mutex_t scrypt;            /* one password check at a time */
    struct throttle *throttle;         /* by user and address */
    struct throttle *addresses;        /* by address alone: many names tried from one place */
    struct throttle *strangers;        /* how many audit rows pages of other sites are worth */
    atomic_size_t checking;            /* logins that wait for their password check */
    char nobody[CRYPTO_PASSWORD_TEXT]; /* what unknown users are checked against */
};

enum err login_new(struct login **out)
{
    uint64_t seed;
    char secret[65];
    struct login *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    pthread_mutex_init(&l->scrypt, NULL);
    enum err e = crypto_random(&seed, sizeof seed);
    if (!e)
        e = crypto_token(secret, 32);
    if (!e)
        e = crypto_password_hash(str_of(secret), l->nobody);
    if (!e) {
        l->throttle = throttle_new(seed, THROTTLE_FREE);
        l->addresses = throttle_new(seed, ADDRESS_FREE);
        l->strangers = throttle_new(seed, THROTTLE_FREE);
        e = l->throttle && l->addresses && l->strangers ? ERR_OK : ERR_NOMEM;
    }
    if (e) {
        login_free(l);
        return e;
    }
    *out = l;
    return ERR_OK;
}

void login_free(struct login *l)
{
    if (!l)
        return;
    throttle_free(l->throttle);
    throttle_free(l->addresses);
    throttle_free(l->strangers);
    pthread_mutex_destroy(&l->scrypt);
    free(l);
}

static bool password_right(struct login *l, struct str password, const char *hash, bool known)
{
    pthread_mutex_lock(&l->scrypt);
    bool right = crypto_password_verify(password, str_of(known ? hash : l->nobody));
    pthread_mutex_unlock(&l->scrypt);
    return right && known;
}

static void write_session(struct request *r, const char *name, enum role role, const char *csrf)
{
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_text(j, "username", name);
    json_put_text(j, "role", role_word(role));
    json_put_text(j, "csrf", csrf);
    json_close(j);
}

static void set_cookie(struct request *r, const char *value, int64_t max_age_s)
{
    char line[256];
    bool secure = r->secure || r->http->config->http_secure_cookie;
    snprintf(line, sizeof line,
             HTTP_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s", value,
             (long long)max_age_s, secure ? "; Secure" : "");
    reply_header(r, "Set-Cookie", line);
}

static void open_session(struct request *r, const struct q_identity *user, enum role role)
{
    char token[2 * HTTP_SECRET_SIZE + 1], csrf[2 * HTTP_SECRET_SIZE + 1], hash[HTTP_HASH_TEXT];
    int64_t max_s = r->http->config->http_session_max_s;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = crypto_token(token, HTTP_SECRET_SIZE);
    if (!e)
        e = crypto_token(csrf, HTTP_SECRET_SIZE);
    auth_hash(str_of(token), hash);
    if (!e)
        e = q_session_insert(db, str_of(hash), str_of(csrf), user->id,
                             clock_utc_ms() + max_s * 1000, str_of(r->remote));
    if (e) {
        reply_err(r, e, "session");
        return;
    }
    memcpy(r->who.name, user->name, sizeof r->who.name);
    auth_audit(r, "login", str_of(user->name), (struct str){0});
    set_cookie(r, token, max_s);
    write_session(r, user->name, role, csrf);
}

static bool slowed_down(struct request *r, struct str username)
{
    const struct login *l = r->http->login;
    uint64_t now = clock_mono_ms();
    uint32_t wait = throttle_wait_s(l->throttle, username, str_of(r->remote), now);
    uint32_t place = throttle_wait_s(l->addresses, (struct str){0}, str_of(r->remote), now);
    if (place > wait)
        wait = place;
    if (!wait)
        return false;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", wait);
    reply_header(r, "Retry-After", seconds);
    reply_problem(r, 429, "login_throttled", "Too many wrong passwords; wait a little.");
    metric_add(r->http->metrics, M_LOGIN_BAD, 1);
    return true;
}

/* A place in the queue for the password check, so that a crowd of logins leaves workers to others;
 * false after answering. */
static bool enter(struct request *r)
{
    size_t most = r->http->parked_max / 2 ? r->http->parked_max / 2 : 1;
    if (atomic_fetch_add(&r->http->login->checking, 1) < most)
        return true;
    atomic_fetch_sub(&r->http->login->checking, 1);
    reply_header(r, "Retry-After", "1");
    reply_problem(r, 429, "login_busy", "Too many logins at once; try again in a second.");
    return false;
}

static void refuse(struct request *r, struct str username)
{
    throttle_failed(r->http->login->throttle, username, str_of(r->remote), clock_mono_ms());
    throttle_failed(r->http->login->addresses, (struct str){0}, str_of(r->remote), clock_mono_ms());
    metric_add(r->http->metrics, M_LOGIN_BAD, 1);
    log_warn("http.login_refused", KS("user", username), KV("from", r->remote));
    audit_refused(r, "login_refused",
                  username.n <= 64 ? username : (struct str)STR("(a long name)"),
                  "bad_credentials");
    reply_problem(r, 401, "bad_credentials", "The user name or the password is wrong.");
}

/* Counted each time, audited a few times per address: anybody may send this at any rate. */
static void refuse_page(struct request *r)
{
    struct throttle *t = r->http->login->strangers;
    uint64_t now = clock_mono_ms();
    if (!throttle_wait_s(t, (struct str){0}, str_of(r->remote), now)) {
        throttle_failed(t, (struct str){0}, str_of(r->remote), now);
        audit_refused(r, "login_refused", (struct str)STR("(a page of another site)"),
                      "bad_origin");
    }
    reply_problem(r, 403, "bad_origin", "A login must come from this site.");
}

void res_session_login(struct request *r)
{
    struct str username, password;
    if (!request_same_origin(r)) {
        refuse_page(r);
        return;
    }
    if (!request_json(r) || !request_member(r, "username", &username) ||
        !request_member(r, "password", &password) || slowed_down(r, username))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    char hash[CRYPTO_PASSWORD_TEXT] = "";
    struct q_identity user = {0};
    enum role role = ROLE_ANYONE;
    enum err e =
        username.n <= 64 ? q_user_hash(db, username, hash, sizeof hash, &user) : ERR_NOTFOUND;
    request_db_end(r); /* not held during scrypt */
    if (e && e != ERR_NOTFOUND) {
        reply_err(r, e, "user");
        return;
    }
    bool known = !e && role_from(str_of(user.role), &role);
    if (!enter(r))
        return;
    bool right = password_right(r->http->login, password, hash, known);
    atomic_fetch_sub(&r->http->login->checking, 1);
    if (!right) {
        refuse(r, username);
        return;
    }
    throttle_passed(r->http->login->throttle, username, str_of(r->remote));
    metric_add(r->http->metrics, M_LOGIN_OK, 1);
    open_session(r, &user, role);
}

void res_session_get(struct request *r)
{
    write_session(r, r->who.name, r->who.role, r->who.csrf);
}

void res_session_logout(struct request *r)
{
    if (r->who.proof == PROOF_COOKIE) {
        struct pg *db = request_db(r);
        if (!db)
            return;
        enum err e = q_session_delete(db, str_of(r->who.hash));
        if (e && e != ERR_NOTFOUND) {
            reply_err(r, e, "session");
            return;
        }
        auth_forget_all(r->http->auth);
        auth_audit(r, "logout", str_of(r->who.name), (struct str){0});
    }
    set_cookie(r, "", 0);
    reply_empty(r, 204);
}
