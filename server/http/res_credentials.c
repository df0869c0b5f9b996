/* res_credentials.c - "Add device", certificates and passwords, suspend, resume, retire, and the
 * strangers that wait for a decision.
 *
 * A private key or password is in the answer that made it and nowhere else.  Answers to changes
 * that the broker has to know of wait up to SETTLE_MS for it, and say in `broker` how that went. */
#include "http/http_int.h"
#include "base/log.h"
#include "credential/credential.h"
#include "store/q_credential.h"

#include <stdio.h>

#define SETTLE_MS 5000
#define WHY_MAX   200

static const char *settle(struct request *r)
{
    request_db_end(r); /* hold no connection while the broker reloads */
    return credential_settle(r->http->parts.credentials, SETTLE_MS);
}

static bool name_ok(struct request *r, struct str name)
{
    if (credential_name_ok(name))
        return true;
    reply_problem(r, 422, "bad_name",
                  "An identity has 1 to 64 letters, digits or ._:@=- and is not rd, bs, STATE or "
                  "braid-...");
    return false;
}

/* The {endpoint} of the path, known to the engine or with credentials of its own. */
static bool path_name(struct request *r)
{
    return request_endpoint(r) && name_ok(r, r->params[0]);
}

static bool device_there(struct request *r, struct str name)
{
    int64_t id;
    bool sleeping;
    enum err e = engine_device_id(r->http->parts.engine, name, HTTP_ENGINE_MS, &id, &sleeping);
    if (e)
        reply_err(r, e, "device");
    return !e;
}

static void audit(struct request *r, const char *action, struct str target, const char *key,
                  struct str value)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 4096);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_put_str(&j, key, value);
    json_close(&j);
    auth_audit(r, action, target, b.err ? (struct str){0} : buf_view(&b));
    buf_fini(&b);
}

/* ---- issuing ---- */

struct wish {
    bool password, replace;
    uint32_t days;
};

static bool read_wish(struct request *r, struct wish *out)
{
    const struct json_node *days = json_get(r->body, "days");
    const struct json_node *replace = json_get(r->body, "replace");
    struct str kind;
    int64_t n = r->http->config->devices_cert_days;
    if (!request_member(r, "kind", &kind))
        return false;
    *out = (struct wish){.password = str_is(kind, "password")};
    if (!out->password && !str_is(kind, "certificate")) {
        reply_problem(r, 422, "bad_kind", "kind is certificate or password.");
        return false;
    }
    if (days && (!json_is_i64(days, &n) || n < 1 || n > 3650)) {
        reply_problem(r, 422, "bad_days", "days is a whole number from 1 to 3650.");
        return false;
    }
    if (replace && !json_is_bool(replace, &out->replace)) {
        reply_problem(r, 422, "bad_replace", "replace is true or false.");
        return false;
    }
    out->days = (uint32_t)n;
    return true;
}

static const struct {
    enum err e;
    int status;
    const char *code, *detail;
} issue_errors[] = {
    {ERR_UNSUPPORTED, 409, "not_configured",
     "This server issues no such credentials: see devices.ca_cert_file and broker.sync_dir."},
    {ERR_CONFLICT, 409, "identity_blocked", "This identity is suspended or retired."},
    {ERR_INVALID, 422, "bad_name", "A name with a colon cannot have a password."},
    {ERR_RANGE, 422, "bad_days", "The certificate would outlive the CA that signs it."},
};

static void issue_failed(struct request *r, enum err e)
{
    for (size_t i = 0; i < sizeof issue_errors / sizeof *issue_errors; i++)
        if (issue_errors[i].e == e) {
            reply_problem(r, issue_errors[i].status, issue_errors[i].code, issue_errors[i].detail);
            return;
        }
    reply_err(r, e, "credential");
}

static void put_where(struct request *r, struct json_out *j, const struct wish *w)
{
    const struct config *c = r->http->config;
    json_put_text(j, "host", c->connect_host);
    json_put_i64(j, "port", w->password ? c->connect_tls_password_port : c->connect_tls_port);
}

static void put_pem(struct json_out *j, const char *key, const struct buf *pem)
{
    json_key(j, key);
    if (pem->n)
        json_str(j, buf_view(pem));
    else
        json_null(j);
}

static void put_bundle(struct request *r, struct str name, const struct wish *w,
                       const struct credential_bundle *b, const char *broker)
{
    struct json_out *j = reply_json(r, 201);
    json_open(j, '{');
    json_put_str(j, "endpoint", name);
    json_put_text(j, "kind", w->password ? "password" : "certificate");
    put_where(r, j, w);
    if (w->password) {
        json_put_str(j, "username", name);
        json_put_text(j, "password", b->password);
    } else {
        json_put_text(j, "serial", b->serial);
        json_put_text(j, "fingerprint", b->fingerprint);
        json_put_time(j, "not_before", b->not_before_ms);
        json_put_time(j, "not_after", b->not_after_ms);
        put_pem(j, "certificate", &b->cert);
        put_pem(j, "key", &b->key);
    }
    put_pem(j, "ca", &b->ca);
    json_put_text(j, "broker", broker);
    json_close(j);
}

/* Issues and answers; false when it could not. */
static bool issue(struct request *r, struct str name, const struct wish *w)
{
    struct credentials *c = r->http->parts.credentials;
    struct credential_bundle b = {.serial = ""};
    struct pg *db = request_db(r);
    struct str by = str_of(r->who.name);
    if (!db)
        return false;
    enum err e = w->password ? credential_password(c, db, name, by, &b)
                             : credential_certificate(c, db, name, w->days, w->replace, by, &b);
    if (e) {
        issue_failed(r, e);
    } else {
        audit(r, w->password ? "password_issue" : "certificate_issue", name, "serial",
              str_of(b.serial));
        put_bundle(r, name, w, &b, settle(r));
    }
    credential_bundle_fini(&b);
    return !e;
}

void res_device_add(struct request *r)
{
    struct str name;
    struct wish w;
    char words[160];
    if (!request_json(r) || !request_member(r, "endpoint", &name) || !name_ok(r, name) ||
        !read_wish(r, &w) || !request_db(r))
        return;
    snprintf(words, sizeof words, "Added by %s", r->who.name);
    enum err e = engine_add(r->http->parts.engine, name, words, HTTP_ENGINE_MS);
    if (e == ERR_CONFLICT)
        issue_failed(r, e);
    else if (e)
        reply_err(r, e, "device");
    if (e)
        return;
    if (issue(r, name, &w))
        auth_audit(r, "device_add", name, (struct str){0});
    else if (engine_forget(r->http->parts.engine, name, HTTP_ENGINE_MS)) /* all or nothing */
        log_warn("http.device_left", KS("endpoint", name));
}

void res_credential_post(struct request *r)
{
    struct wish w;
    if (!path_name(r) || !request_json(r) || !read_wish(r, &w) || !device_there(r, r->params[0]))
        return;
    (void)issue(r, r->params[0], &w);
}

void res_credentials(struct request *r)
{
    if (!path_name(r))
        return;
    struct pg *db = request_db(r);
    enum err e = db ? q_credentials(db, r->params[0], reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "device");
}

void res_credentials_ending(struct request *r)
{
    int64_t days;
    if (!request_number(r, "days", 30, 0, 3650, &days))
        return;
    struct pg *db = request_db(r);
    enum err e = db ? q_credentials_ending(db, days, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "credential");
}

/* {"endpoint":..., "state":..., "broker":"synced"} */
static void answer_state(struct request *r, struct str name, const char *state)
{
    const char *broker = settle(r);
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_str(j, "endpoint", name);
    json_put_text(j, "state", state);
    json_put_text(j, "broker", broker);
    json_close(j);
}

void res_credential_delete(struct request *r)
{
    if (!path_name(r))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = credential_revoke(r->http->parts.credentials, db, r->params[0], r->params[1],
                                   str_of(r->who.name));
    if (e) {
        reply_err(r, e, "credential");
        return;
    }
    audit(r, "credential_revoke", r->params[0], "credential", r->params[1]);
    answer_state(r, r->params[0], "revoked");
}

/* ---- life cycle ---- */

/* Body: nothing, or {"why": "words", "purge": false}. */
static bool read_why(struct request *r, struct str *why, bool *purge)
{
    *why = str_make("", 0);
    *purge = false;
    struct str length = request_header(r, "Content-Length");
    if (!length.n || str_is(length, "0"))
        return true;
    if (!request_json(r))
        return false;
    const struct json_node *w = json_get(r->body, "why"), *p = json_get(r->body, "purge");
    if ((w && (!json_is_str(w, why) || why->n > WHY_MAX || !str_utf8_valid(*why))) ||
        (p && !json_is_bool(p, purge))) {
        reply_problem(r, 422, "bad_body", "why is a text of at most 200 bytes, purge a boolean.");
        return false;
    }
    return true;
}

static void change_standing(struct request *r, enum standing standing)
{
    struct str why;
    bool purge;
    if (!path_name(r) || !read_why(r, &why, &purge) || !device_there(r, r->params[0]))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = credential_standing(r->http->parts.credentials, db, r->params[0], standing, why,
                                     str_of(r->who.name));
    if (!e && purge && standing == STANDING_RETIRED)
        e = engine_forget(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS);
    if (e == ERR_CONFLICT)
        reply_problem(r, 409, "retired", "A retired identity does not come back.");
    else if (e)
        reply_err(r, e, "device");
    if (e)
        return;
    audit(r, standing_word(standing), r->params[0], "why", why);
    if (purge && standing == STANDING_RETIRED)
        auth_audit(r, "device_forget", r->params[0], (struct str){0});
    answer_state(r, r->params[0], standing_word(standing));
}

void res_device_suspend(struct request *r)
{
    change_standing(r, STANDING_SUSPENDED);
}

void res_device_resume(struct request *r)
{
    change_standing(r, STANDING_ACTIVE);
}

void res_device_retire(struct request *r)
{
    change_standing(r, STANDING_RETIRED);
}

/* ---- strangers ---- */

void res_unknown(struct request *r)
{
    int64_t limit;
    struct str state = request_query(r, "state");
    if (!request_number(r, "limit", 100, 1, 1000, &limit))
        return;
    if (!state.n)
        state = str_of("new");
    struct pg *db = request_db(r);
    enum err e = db ? q_unknown(db, state, limit, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "identity");
}

void res_unknown_accept(struct request *r)
{
    char words[160];
    struct pg *db = request_db(r);
    if (!db)
        return;
    snprintf(words, sizeof words, "Accepted by %s", r->who.name);
    enum err e = q_unknown_take(db, r->params[0]);
    if (!e)
        e = engine_add(r->http->parts.engine, r->params[0], words, HTTP_ENGINE_MS);
    if (e && e != ERR_EXISTS) {
        reply_err(r, e, "identity");
        return;
    }
    auth_audit(r, "identity_accept", r->params[0], (struct str){0});
    reply_empty(r, 204);
}

void res_unknown_refuse(struct request *r)
{
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = q_unknown_refuse(db, r->params[0]);
    if (e) {
        reply_err(r, e, "identity");
        return;
    }
    auth_audit(r, "identity_refuse", r->params[0], (struct str){0});
    reply_empty(r, 204);
}
