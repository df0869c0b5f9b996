/* auth.c - who is asking, and may they?
 *
 * Secrets are random; only their SHA-256 is stored or compared, so a look-up is one indexed read.
 * Answers of the database are remembered for FRESH_MS, which spares most requests the query, and
 * while PostgreSQL is away for STALE_MS, which keeps open pages working.  Logins, log-outs and
 * every change of users or tokens empty that memory; only one braidd runs on a database, so what
 * remains late is an administrator's command line, by FRESH_MS. */
#include "http/http_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "port/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#define CACHE_SLOTS 256
#define FRESH_MS    5000
#define STALE_MS    300000

struct cached {
    struct identity who;
    uint64_t at_ms; /* 0: empty */
};

struct auth {
    pthread_mutex_t lock;
    struct cached slots[CACHE_SLOTS]; /* by the first byte of the hash */
};

static const char *const role_words[ROLE_COUNT] = {
#define X(id, word) [id] = word,
    HTTP_ROLE_TABLE(X)
#undef X
};

const char *role_word(enum role r)
{
    return role_words[r];
}

bool role_from(struct str word, enum role *out)
{
    for (enum role r = ROLE_VIEWER; r < ROLE_COUNT; r++)
        if (str_is(word, role_words[r])) {
            *out = r;
            return true;
        }
    return false;
}

struct auth *auth_new(void)
{
    struct auth *a = calloc(1, sizeof *a);
    if (a)
        pthread_mutex_init(&a->lock, NULL);
    return a;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void auth_hash(struct str secret, char out[HTTP_HASH_TEXT])
{
    uint8_t digest[CRYPTO_SHA256];
    if (crypto_sha256(secret.p, secret.n, digest))
        memset(digest, 0, sizeof digest); /* the hash of nothing we ever issued */
    str_to_hex(digest, sizeof digest, out);
    out[HTTP_HASH_TEXT - 1] = 0;
}

static struct cached *slot_of(struct auth *a, const char *hash)
{
    uint8_t first = 0;
    size_t n = 0;
    if (str_from_hex(str_make(hash, 2), &first, &n))
        first = 0;
    return &a->slots[first];
}

/* The remembered identity of a hash if it is younger than max_ms. */
static bool recall(struct auth *a, const char *hash, enum proof proof, uint64_t max_ms,
                   struct identity *out)
{
    pthread_mutex_lock(&a->lock);
    const struct cached *c = slot_of(a, hash);
    bool found = c->at_ms && c->who.proof == proof && clock_mono_ms() - c->at_ms <= max_ms &&
                 !strcmp(c->who.hash, hash);
    if (found)
        *out = c->who;
    pthread_mutex_unlock(&a->lock);
    return found;
}

static void remember(struct auth *a, const struct identity *who)
{
    pthread_mutex_lock(&a->lock);
    *slot_of(a, who->hash) = (struct cached){*who, clock_mono_ms()};
    pthread_mutex_unlock(&a->lock);
}

void auth_forget_all(struct auth *a)
{
    pthread_mutex_lock(&a->lock);
    memset(a->slots, 0, sizeof a->slots);
    pthread_mutex_unlock(&a->lock);
}

/* What the caller presented; a bearer token counts before a cookie. */
static enum proof presented(const struct request *r, struct str token, struct str *secret)
{
    struct str header = request_header(r, "Authorization");
    if (!token.p && header.n > 7 && !strncasecmp(header.p, "Bearer ", 7))
        token = str_make(header.p + 7, header.n - 7);
    if (token.p) {
        *secret = token;
        return PROOF_TOKEN;
    }
    *secret = request_cookie(r, HTTP_COOKIE);
    return secret->n ? PROOF_COOKIE : PROOF_NONE;
}

static enum err ask_database(struct request *r, struct identity *who)
{
    struct q_identity q = {0};
    struct pg *db = request_db(r);
    if (!db)
        return ERR_DB;
    struct str hash = str_of(who->hash);
    enum err e = who->proof == PROOF_TOKEN
                     ? q_token(db, hash, &q)
                     : q_session(db, hash, r->http->config->http_session_idle_s, &q);
    if (e)
        return e;
    if (!role_from(str_of(q.role), &who->role))
        return ERR_NOTFOUND;
    memcpy(who->name, q.name, sizeof who->name);
    memcpy(who->csrf, q.csrf, sizeof who->csrf);
    return ERR_OK;
}

bool auth_identify(struct request *r, struct str token)
{
    struct str secret;
    struct identity who = {.proof = presented(r, token, &secret)};
    r->who = (struct identity){0};
    if (who.proof == PROOF_NONE || secret.n > 256)
        return true;
    auth_hash(secret, who.hash);
    struct auth *a = r->http->auth;
    if (recall(a, who.hash, who.proof, FRESH_MS, &r->who))
        return true;
    enum err e = ask_database(r, &who);
    if (!e) {
        remember(a, &who);
        r->who = who;
        return true;
    }
    if (e == ERR_NOTFOUND)
        return true;
    if (recall(a, who.hash, who.proof, STALE_MS, &r->who))
        return true;
    reply_unavailable(r, "database_unavailable", "Logins cannot be checked just now.");
    return false;
}

bool auth_holds(struct http *h, const struct identity *who)
{
    struct identity found;
    struct q_identity q = {0};
    struct pg *db;
    struct str hash = str_of(who->hash);
    if (recall(h->auth, who->hash, who->proof, FRESH_MS, &found))
        return true;
    if (pool_get(h->parts.pool, HTTP_DB_MS, &db))
        return true; /* nobody can say: as for requests, open pages go on */
    enum err e = who->proof == PROOF_TOKEN
                     ? q_token(db, hash, &q)
                     : q_session_holds(db, hash, h->config->http_session_idle_s);
    pool_put(h->parts.pool, db);
    return e != ERR_NOTFOUND;
}

bool auth_allow(struct request *r)
{
    const struct route *route = r->route;
    if (route->role == ROLE_ANYONE)
        return true;
    if (r->who.proof == PROOF_NONE) {
        reply_header(r, "WWW-Authenticate", "Bearer realm=\"braid\"");
        reply_problem(r, 401, "unauthenticated", "Log in, or send a valid API token.");
        return false;
    }
    if (r->who.role < route->role) {
        reply_problem(r, 403, "forbidden", "Your role does not allow this.");
        return false;
    }
    struct str csrf = request_header(r, "X-Braid-CSRF");
    size_t n = strlen(r->who.csrf);
    if (route->action && r->who.proof == PROOF_COOKIE &&
        (!n || csrf.n != n || !crypto_equal(csrf.p, r->who.csrf, n))) {
        reply_problem(r, 403, "csrf", "The header X-Braid-CSRF is missing or wrong.");
        return false;
    }
    return true;
}

bool auth_password_ok(struct request *r, struct str password)
{
    if (password.n >= 8 && password.n <= 256)
        return true;
    reply_problem(r, 422, "weak_password", "A password has 8 to 256 bytes.");
    return false;
}
