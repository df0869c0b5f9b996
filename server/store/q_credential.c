/* q_credential.c - see q_credential.h. */
#include "store/q_credential.h"

#include "store/q_page.h"

#include <stdio.h>

/* Changes without rows to give back; ERR_NOTFOUND when they touched none. */
static enum err change(struct pg *db, const char *sql, const struct str *params, size_t n)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db, sql, params, n, &r);
    if (e)
        return e;
    bool any = pg_affected(r) > 0;
    pg_result_free(r);
    return any ? ERR_OK : ERR_NOTFOUND;
}

enum err q_identity_put(struct pg *db, struct str endpoint, struct str by)
{
    return pg_exec(db,
                   "INSERT INTO identity (endpoint, created_by, changed_by) VALUES ($1, $2, $2) "
                   "ON CONFLICT DO NOTHING",
                   (struct str[]){endpoint, by}, 2, NULL);
}

enum err q_identity_state(struct pg *db, struct str endpoint, char out[16])
{
    struct pg_result *r;
    enum err e = pg_exec(db, "SELECT state FROM identity WHERE endpoint = $1", &endpoint, 1, &r);
    if (e)
        return e;
    struct str state = pg_rows(r) ? pg_text(r, 0, 0) : str_of("active");
    snprintf(out, 16, "%.*s", STR_ARG(state));
    pg_result_free(r);
    return ERR_OK;
}

enum err q_identity_set(struct pg *db, struct str endpoint, struct str state, struct str why,
                        struct str by)
{
    return pg_exec(db,
                   "INSERT INTO identity (endpoint, state, why, created_by, changed_by) "
                   "VALUES ($1, $2, $3, $4, $4) ON CONFLICT (endpoint) DO UPDATE SET "
                   "state = excluded.state, why = excluded.why, changed_at = now(), "
                   "changed_by = excluded.changed_by",
                   (struct str[]){endpoint, state, why.p ? why : str_of(""), by}, 4, NULL);
}

enum err q_identity_forget(struct pg *db, struct str endpoint, struct str why)
{
    return pg_exec(db,
                   "WITH c AS (UPDATE device_certificate SET revoked_at = now(), revoked_why = $2 "
                   "WHERE endpoint = $1 AND revoked_at IS NULL), "
                   "p AS (DELETE FROM device_password WHERE endpoint = $1) "
                   "DELETE FROM identity WHERE endpoint = $1",
                   (struct str[]){endpoint, why}, 2, NULL);
}

enum err q_certificate_insert(struct pg *db, const struct q_certificate *c)
{
    char from[24], until[24];
    return pg_exec(db,
                   "INSERT INTO device_certificate (serial, endpoint, fingerprint, not_before, "
                   "not_after, issued_by) VALUES ($1, $2, $3, at_ms($4::bigint), "
                   "at_ms($5::bigint), $6)",
                   (struct str[]){c->serial, c->endpoint, c->fingerprint,
                                  q_number(from, c->not_before_ms),
                                  q_number(until, c->not_after_ms), c->by},
                   6, NULL);
}

enum err q_certificates_revoke(struct pg *db, struct str endpoint, struct str serial,
                               struct str except, struct str why, uint64_t *n)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db,
                         "UPDATE device_certificate SET revoked_at = now(), revoked_why = $4 "
                         "WHERE endpoint = $1 AND revoked_at IS NULL "
                         "AND ($2::text IS NULL OR serial = $2) "
                         "AND ($3::text IS NULL OR serial <> $3)",
                         (struct str[]){endpoint, serial, except, why}, 4, &r);
    if (e)
        return e;
    *n = pg_affected(r);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_password_put(struct pg *db, struct str endpoint, struct str hash, struct str by)
{
    return pg_exec(db,
                   "INSERT INTO device_password (endpoint, hash, set_by) VALUES ($1, $2, $3) "
                   "ON CONFLICT (endpoint) DO UPDATE SET hash = excluded.hash, set_at = now(), "
                   "set_by = excluded.set_by",
                   (struct str[]){endpoint, hash, by}, 3, NULL);
}

enum err q_password_delete(struct pg *db, struct str endpoint)
{
    return change(db, "DELETE FROM device_password WHERE endpoint = $1", &endpoint, 1);
}

/* "Expired", "Ends in 3 days: renew it" or null; `state` of the columns below. */
static void put_certificate(struct json_out *j, const struct pg_result *r, size_t i)
{
    bool revoked = !pg_null(r, i, 6);
    int64_t left_s = pg_i64(r, i, 8);
    char words[80];
    json_open(j, '{');
    q_put_text(j, "endpoint", r, i, 0);
    q_put_text(j, "serial", r, i, 1);
    q_put_text(j, "fingerprint", r, i, 2);
    q_put_time(j, "not_before", r, i, 3);
    q_put_time(j, "not_after", r, i, 4);
    q_put_text(j, "issued_by", r, i, 5);
    q_put_time(j, "revoked_at", r, i, 6);
    q_put_text(j, "revoked_why", r, i, 7);
    json_put_i64(j, "days_left", left_s > 0 ? left_s / 86400 : 0);
    json_key(j, "warning");
    snprintf(words, sizeof words, "Ends in %lld day%s: renew it", (long long)(left_s / 86400),
             left_s / 86400 == 1 ? "" : "s");
    json_text(j, revoked || left_s >= 30 * 86400 ? NULL : left_s <= 0 ? "Expired" : words);
    json_close(j);
}

#define CERTIFICATE_COLUMNS                                                                        \
    "endpoint, serial, fingerprint, to_ms(not_before), to_ms(not_after), issued_by, "              \
    "to_ms(revoked_at), revoked_why, floor(extract(epoch FROM not_after - now()))::bigint "

static enum err put_certificates(struct pg *db, struct str endpoint, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT " CERTIFICATE_COLUMNS "FROM device_certificate "
                         "WHERE endpoint = $1 ORDER BY issued_at DESC LIMIT 100",
                         &endpoint, 1, &r);
    if (e)
        return e;
    json_key(j, "certificates");
    json_open(j, '[');
    for (size_t i = 0; i < pg_rows(r); i++)
        put_certificate(j, r, i);
    json_close(j);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_credentials(struct pg *db, struct str endpoint, struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_exec(db,
                "SELECT coalesce(i.state, 'active'), i.why, to_ms(i.changed_at), "
                "i.changed_by, to_ms(p.set_at), p.set_by FROM (SELECT $1::text) n (endpoint) "
                "LEFT JOIN identity i USING (endpoint) "
                "LEFT JOIN device_password p USING (endpoint)",
                &endpoint, 1, &r);
    if (e)
        return e;
    json_open(j, '{');
    json_put_str(j, "endpoint", endpoint);
    q_put_text(j, "state", r, 0, 0);
    q_put_text(j, "why", r, 0, 1);
    q_put_time(j, "changed_at", r, 0, 2);
    q_put_text(j, "changed_by", r, 0, 3);
    json_key(j, "password");
    if (pg_null(r, 0, 4)) {
        json_null(j);
    } else {
        json_open(j, '{');
        q_put_time(j, "set_at", r, 0, 4);
        q_put_text(j, "set_by", r, 0, 5);
        json_close(j);
    }
    pg_result_free(r);
    e = put_certificates(db, endpoint, j);
    json_close(j);
    return e;
}

enum err q_credentials_ending(struct pg *db, int64_t days, struct json_out *j)
{
    char text[24];
    struct pg_result *r;
    struct str param = q_number(text, days);
    enum err e = pg_exec(db,
                         "SELECT " CERTIFICATE_COLUMNS "FROM device_certificate c "
                         "WHERE revoked_at IS NULL "
                         "AND not_after < now() + $1::bigint * interval '1 day' "
                         "AND NOT EXISTS (SELECT FROM device_certificate o WHERE "
                         "o.endpoint = c.endpoint AND o.revoked_at IS NULL AND "
                         "o.not_after > c.not_after) ORDER BY not_after, endpoint LIMIT 1000",
                         &param, 1, &r);
    if (e)
        return e;
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < pg_rows(r); i++)
        put_certificate(j, r, i);
    json_close(j);
    json_put_null(j, "next");
    json_close(j);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_unknown(struct pg *db, struct str state, int64_t limit, struct json_out *j)
{
    char text[24];
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT endpoint, state, why, to_ms(first_seen), to_ms(last_seen), "
                         "messages FROM unknown_identity WHERE state = $1 "
                         "ORDER BY last_seen DESC, endpoint LIMIT $2::bigint",
                         (struct str[]){state, q_number(text, limit)}, 2, &r);
    if (e)
        return e;
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '{');
        q_put_text(j, "identity", r, i, 0);
        q_put_text(j, "state", r, i, 1);
        q_put_text(j, "why", r, i, 2);
        q_put_time(j, "first_seen", r, i, 3);
        q_put_time(j, "last_seen", r, i, 4);
        json_put_i64(j, "messages", pg_i64(r, i, 5));
        json_close(j);
    }
    json_close(j);
    json_put_null(j, "next");
    json_close(j);
    pg_result_free(r);
    return ERR_OK;
}

enum err q_unknown_take(struct pg *db, struct str endpoint)
{
    return change(db, "DELETE FROM unknown_identity WHERE endpoint = $1", &endpoint, 1);
}

enum err q_unknown_refuse(struct pg *db, struct str endpoint)
{
    return change(db, "UPDATE unknown_identity SET state = 'refused' WHERE endpoint = $1",
                  &endpoint, 1);
}

enum err q_sync_passwords(struct pg *db, struct pg_result **out)
{
    return pg_exec(db,
                   "SELECT p.endpoint, p.hash FROM device_password p LEFT JOIN identity i "
                   "USING (endpoint) WHERE coalesce(i.state, 'active') = 'active' "
                   "ORDER BY p.endpoint",
                   NULL, 0, out);
}

enum err q_sync_blocked(struct pg *db, struct pg_result **out)
{
    return pg_exec(db,
                   "SELECT endpoint, state FROM identity WHERE state <> 'active' ORDER BY endpoint",
                   NULL, 0, out);
}

enum err q_sync_revoked(struct pg *db, struct pg_result **out)
{
    return pg_exec(db,
                   "SELECT c.serial, to_ms(coalesce(c.revoked_at, i.changed_at)), "
                   "c.revoked_at IS NULL FROM device_certificate c LEFT JOIN identity i "
                   "USING (endpoint) WHERE c.not_after > now() - interval '1 day' "
                   "AND (c.revoked_at IS NOT NULL OR coalesce(i.state, 'active') <> 'active') "
                   "ORDER BY c.serial",
                   NULL, 0, out);
}

enum err q_certificates_to_warn(struct pg *db, struct pg_result **out)
{
    return pg_exec(db,
                   "SELECT serial, endpoint, to_ms(not_after), stage FROM (SELECT c.*, "
                   "CASE WHEN not_after < now() + interval '1 day' THEN 1 "
                   "WHEN not_after < now() + interval '7 days' THEN 7 ELSE 30 END AS stage "
                   "FROM device_certificate c WHERE revoked_at IS NULL AND not_after > now() "
                   "AND not_after < now() + interval '30 days' AND NOT EXISTS (SELECT FROM "
                   "device_certificate o WHERE o.endpoint = c.endpoint AND o.revoked_at IS NULL "
                   "AND o.not_after > c.not_after)) w "
                   "WHERE warned IS NULL OR warned > stage ORDER BY not_after LIMIT 1000",
                   NULL, 0, out);
}

enum err q_certificate_warned(struct pg *db, struct str serial, int64_t stage)
{
    char text[24];
    return change(db, "UPDATE device_certificate SET warned = $2::integer WHERE serial = $1",
                  (struct str[]){serial, q_number(text, stage)}, 2);
}
