/* credential.c - see credential.h. */
#include "credential/credential.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "credential/broker_files.h"
#include "credential/broker_sync.h"
#include "port/crypto.h"
#include "port/tls.h"
#include "store/q_credential.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ENGINE_MS  5000
#define PEM_LIMIT  65536
#define WORDS_SIZE 400

struct credentials {
    struct credential_parts parts;
    struct tls_ca *ca; /* NULL: none configured */
    struct broker_sync *sync;
    _Atomic uint64_t ticket; /* of the newest ask */
};

enum err credentials_check(const struct config *c)
{
    struct tls_ca *ca = NULL;
    struct tls_issued t = {.serial = ""};
    struct buf list;
    int64_t now = clock_utc_ms();
    if (!*c->devices_ca_cert_file)
        return ERR_OK;
    buf_init(&list, PEM_LIMIT);
    enum err e = tls_ca_load(c->devices_ca_cert_file, c->devices_ca_key_file, &ca);
    if (!e)
        e = tls_issue(ca, str_of("check"), 1, now, &t);
    if (!e)
        e = tls_crl(ca, NULL, 0, now, now + 1000, &list);
    if (e)
        log_error("credential.ca", KV("cert", c->devices_ca_cert_file),
                  KV("key", c->devices_ca_key_file), KE(e));
    tls_issued_fini(&t);
    tls_ca_free(ca);
    buf_fini(&list);
    return e;
}

enum err credentials_start(const struct credential_parts *parts, struct credentials **out)
{
    const struct config *cf = parts->config;
    struct credentials *c = calloc(1, sizeof *c);
    enum err e = c ? ERR_OK : ERR_NOMEM;
    if (e)
        return e;
    c->parts = *parts;
    atomic_init(&c->ticket, 0);
    if (*cf->devices_ca_cert_file)
        e = tls_ca_load(cf->devices_ca_cert_file, cf->devices_ca_key_file, &c->ca);
    if (!e)
        e = broker_sync_start(cf, parts->engine, &c->sync);
    if (e) {
        credentials_stop(c);
        return e;
    }
    *out = c;
    return ERR_OK;
}

void credentials_stop(struct credentials *c)
{
    if (!c)
        return;
    broker_sync_stop(c->sync);
    tls_ca_free(c->ca);
    free(c);
}

bool credential_name_ok(struct str name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._:@=-";
    if (!name.n || name.n > 64)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!memchr(letters, name.p[i], sizeof letters - 1))
            return false;
    return !str_is(name, "rd") && !str_is(name, "bs") && !str_is(name, "STATE") &&
           !str_starts(name, "braid-");
}

void credential_bundle_fini(struct credential_bundle *b)
{
    if (b->key.p)
        memset(b->key.p, 0, b->key.cap);
    buf_fini(&b->key);
    buf_fini(&b->cert);
    buf_fini(&b->ca);
    memset(b->password, 0, sizeof b->password);
}

static void ask(struct credentials *c, struct str close_name)
{
    uint64_t ticket = broker_sync_ask(c->sync, close_name);
    uint64_t before = atomic_load(&c->ticket);
    while (before < ticket && !atomic_compare_exchange_weak(&c->ticket, &before, ticket))
        ;
}

const char *credential_settle(struct credentials *c, uint32_t wait_ms)
{
    enum err e = broker_sync_wait(c->sync, atomic_load(&c->ticket), wait_ms);
    return e == ERR_OK ? "synced" : e == ERR_UNSUPPORTED ? "not_managed" : "pending";
}

/* A line on the timeline, if there is a device of that name. */
static void note(struct credentials *c, struct str name, const char *words)
{
    enum err e = engine_note(c->parts.engine, name, words, ENGINE_MS);
    if (e && e != ERR_NOTFOUND)
        log_warn("credential.not_noted", KS("identity", name), KE(e));
}

/* Only active identities get new credentials. */
static enum err must_be_active(struct pg *db, struct str name, struct str by)
{
    char state[16];
    enum err e = q_identity_put(db, name, by);
    if (!e)
        e = q_identity_state(db, name, state);
    return e ? e : strcmp(state, "active") == 0 ? ERR_OK : ERR_CONFLICT;
}

/* Whom a device trusts as the broker: the same CA as ours. */
static enum err read_trust(const struct config *c, struct buf *out)
{
    enum err e = *c->mqtt_tls_ca_file ? file_read(c->mqtt_tls_ca_file, out) : ERR_OK;
    return e == ERR_NOTFOUND ? ERR_IO : e; /* it is the name that callers may not find */
}

static enum err begin(struct credentials *c, struct pg *db, struct str name, struct str by,
                      struct credential_bundle *b)
{
    *b = (struct credential_bundle){.serial = ""};
    buf_init(&b->cert, PEM_LIMIT);
    buf_init(&b->key, PEM_LIMIT);
    buf_init(&b->ca, PEM_LIMIT * 4);
    enum err e = credential_name_ok(name) ? must_be_active(db, name, by) : ERR_DENIED;
    return e ? e : read_trust(c->parts.config, &b->ca);
}

static enum err store_certificate(struct pg *db, struct str name, const struct tls_issued *t,
                                  struct str by)
{
    return q_certificate_insert(db, &(struct q_certificate){.serial = str_of(t->serial),
                                                            .endpoint = name,
                                                            .fingerprint = str_of(t->fingerprint),
                                                            .by = by,
                                                            .not_before_ms = t->not_before_ms,
                                                            .not_after_ms = t->not_after_ms});
}

enum err credential_certificate(struct credentials *c, struct pg *db, struct str name,
                                uint32_t days, bool replace, struct str by,
                                struct credential_bundle *out)
{
    struct tls_issued t = {.serial = ""};
    char words[WORDS_SIZE], until[CLOCK_TEXT];
    uint64_t revoked = 0;
    if (!c->ca)
        return ERR_UNSUPPORTED;
    enum err e = begin(c, db, name, by, out);
    if (!e)
        e = tls_issue(c->ca, name, days, clock_utc_ms(), &t);
    if (!e)
        e = store_certificate(db, name, &t, by);
    if (!e && replace)
        e = q_certificates_revoke(db, name, str_make(NULL, 0), str_of(t.serial), str_of("replaced"),
                                  &revoked);
    if (!e) {
        buf_str(&out->cert, buf_view(&t.cert));
        buf_str(&out->key, buf_view(&t.key));
        e = out->key.err;
    }
    if (!e) {
        memcpy(out->serial, t.serial, sizeof out->serial);
        memcpy(out->fingerprint, t.fingerprint, sizeof out->fingerprint);
        out->not_before_ms = t.not_before_ms;
        out->not_after_ms = t.not_after_ms;
        clock_rfc3339(t.not_after_ms, until);
        snprintf(words, sizeof words, "Certificate %s issued by %.*s, good until %s%s", t.serial,
                 STR_ARG(by), until, revoked ? "; those before it are revoked" : "");
        note(c, name, words);
        if (revoked)
            ask(c, name);
    }
    tls_issued_fini(&t);
    return e;
}

enum err credential_password(struct credentials *c, struct pg *db, struct str name, struct str by,
                             struct credential_bundle *out)
{
    char hash[CRYPTO_MOSQUITTO_TEXT], words[WORDS_SIZE];
    if (!*c->parts.config->broker_sync_dir)
        return ERR_UNSUPPORTED;
    if (memchr(name.p, ':', name.n))
        return ERR_INVALID;
    enum err e = begin(c, db, name, by, out);
    if (!e)
        e = crypto_token(out->password, 24);
    if (!e)
        e = crypto_mosquitto_hash(str_of(out->password), hash);
    if (!e)
        e = q_password_put(db, name, str_of(hash), by);
    if (e)
        return e;
    snprintf(words, sizeof words, "Password set by %.*s", STR_ARG(by));
    note(c, name, words);
    ask(c, str_make(NULL, 0)); /* the broker itself ends sessions of the password before */
    return ERR_OK;
}

enum err credential_revoke(struct credentials *c, struct pg *db, struct str name, struct str which,
                           struct str by)
{
    char words[WORDS_SIZE], why[120];
    bool password = str_is(which, "password");
    uint64_t n = 1;
    snprintf(why, sizeof why, "revoked by %.*s", STR_ARG(by));
    enum err e = password
                     ? q_password_delete(db, name)
                     : q_certificates_revoke(db, name, which, str_make(NULL, 0), str_of(why), &n);
    if (!e && !n)
        e = ERR_NOTFOUND;
    if (e)
        return e;
    if (password)
        snprintf(words, sizeof words, "Password removed by %.*s", STR_ARG(by));
    else
        snprintf(words, sizeof words, "Certificate %.*s revoked by %.*s", STR_ARG(which),
                 STR_ARG(by));
    note(c, name, words);
    ask(c, name); /* with another credential the device comes straight back */
    return ERR_OK;
}

static enum err end_credentials(struct pg *db, struct str name)
{
    uint64_t n;
    enum err e = q_certificates_revoke(db, name, str_make(NULL, 0), str_make(NULL, 0),
                                       str_of("retired"), &n);
    if (!e)
        e = q_password_delete(db, name);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err credential_standing(struct credentials *c, struct pg *db, struct str name,
                             enum standing standing, struct str why, struct str by)
{
    static const char *const done[] = {[STANDING_ACTIVE] = "Resumed",
                                       [STANDING_SUSPENDED] = "Suspended",
                                       [STANDING_RETIRED] = "Retired"};
    char state[16], words[WORDS_SIZE];
    enum err e = q_identity_state(db, name, state);
    if (!e && standing != STANDING_RETIRED && !strcmp(state, "retired"))
        e = ERR_CONFLICT;
    if (!e)
        e = q_identity_set(db, name, str_of(standing_word(standing)), why, by);
    if (!e && standing == STANDING_RETIRED)
        e = end_credentials(db, name);
    if (e)
        return e;
    snprintf(words, sizeof words, "%s by %.*s%s%.*s", done[standing], STR_ARG(by),
             why.n ? ": " : "", (int)(why.n < 200 ? why.n : 0), why.p ? why.p : "");
    e = engine_set_standing(c->parts.engine, name, standing, words, ENGINE_MS);
    ask(c, standing == STANDING_ACTIVE ? str_make(NULL, 0) : name);
    return e;
}

enum err credential_forget(struct credentials *c, struct pg *db, struct str name)
{
    enum err e = q_identity_forget(db, name, str_of("device deleted"));
    if (!e)
        e = engine_set_standing(c->parts.engine, name, STANDING_ACTIVE, "", ENGINE_MS);
    ask(c, str_make(NULL, 0));
    return e;
}

enum err credentials_sync_once(const struct config *c, bool *changed)
{
    struct pg *db = NULL;
    if (!*c->broker_sync_dir)
        return ERR_UNSUPPORTED;
    enum err e = pg_connect(c->db_conninfo, "braidd broker-sync", &db);
    if (!e)
        e = broker_files_write(c, db, NULL, 0, changed);
    pg_close(db);
    if (e || !*changed)
        return e;
    e = broker_files_reload(c);
    return e == ERR_UNSUPPORTED || e == ERR_NOTFOUND ? ERR_OK : e;
}
