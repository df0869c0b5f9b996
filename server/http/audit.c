/* audit.c - who changed what, from where, from what to what, and how it ended.
 *
 * A handler that changes something says so itself, with old and new, as soon as the change is
 * committed.  Whatever it did not say is filled in when the request is over: every call of a
 * changing route by a known caller leaves at least one row, refusals included, so a new route
 * cannot be forgotten.  Callers who are nobody leave rows only where a handler wants it (a wrong
 * password): strangers must not be able to fill the disk.  Nothing is written while the database
 * is away (503): then nothing was changed either. */
#include "http/http_int.h"
#include "base/log.h"

static void record(struct request *r, const char *action, struct str target, struct str detail,
                   struct str result)
{
    enum err e = ERR_OK;
    if (!r->db) /* not request_db: the answer stays what it is */
        e = pool_get(r->http->parts.pool, HTTP_DB_MS, &r->db);
    if (e)
        r->db = NULL;
    else
        e = q_audit(r->db, str_of(r->who.name), str_of(r->remote), str_of(action), target, detail,
                    result);
    if (e)
        log_error("audit.failed", KV("action", action), KV("who", r->who.name), KE(e));
    r->audited = true;
}

void auth_audit(struct request *r, const char *action, struct str target, struct str detail_json)
{
    record(r, action, target, detail_json, (struct str)STR("ok"));
}

void audit_change(struct request *r, const char *action, struct str target, struct str old_json,
                  struct str new_json)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, HTTP_BODY_MAX);
    json_out_init(&j, &b);
    json_open(&j, '{');
    if (old_json.p)
        json_put_raw(&j, "old", old_json);
    if (new_json.p)
        json_put_raw(&j, "new", new_json);
    json_close(&j);
    auth_audit(r, action, target, b.err ? (struct str){0} : buf_view(&b));
    buf_fini(&b);
}

void audit_refused(struct request *r, const char *action, struct str target, const char *code)
{
    record(r, action, target, (struct str){0}, str_of(code));
}

/* The code of the problem that was answered. */
static struct str outcome(struct request *r)
{
    struct json_node *body = NULL;
    struct str code;
    if (r->status < 400)
        return (struct str)STR("ok");
    if (!json_parse(&r->arena, buf_view(&r->out), HTTP_JSON_NODES * 4, &body) &&
        json_is_str(json_get(body, "code"), &code))
        return code;
    return str_of(reply_reason(r->status));
}

void audit_after(struct request *r)
{
    if (!r->route->action || r->who.proof == PROOF_NONE || r->audited || r->status == 503)
        return;
    struct str target = str_utf8_valid(r->params[0]) ? r->params[0] : (struct str){0};
    record(r, r->route->action, target, (struct str){0}, outcome(r));
}
