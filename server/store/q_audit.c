/* q_audit.c - the log of who changed what: rows are added and read, never touched. */
#include "store/q_page.h"

enum { A_ID, A_AT, A_WHO, A_REMOTE, A_ACTION, A_TARGET, A_RESULT, A_DETAIL };

enum err q_audit(struct pg *db, struct str who, struct str from, struct str action,
                 struct str target, struct str detail_json, struct str result)
{
    return pg_exec(db,
                   "INSERT INTO audit_log (who, remote, action, target, detail, result) "
                   "VALUES ($1, coalesce($2, ''), $3, coalesce($4, ''), $5::json, $6)",
                   (struct str[]){who, from, action, target, detail_json, result}, 6, NULL);
}

static struct str time_or_null(char out[24], int64_t ms)
{
    return ms ? q_number(out, ms) : (struct str){0};
}

static void put_entry(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    json_put_i64(j, "id", pg_i64(r, i, A_ID));
    q_put_time(j, "at", r, i, A_AT);
    q_put_text(j, "who", r, i, A_WHO);
    q_put_text(j, "from", r, i, A_REMOTE);
    q_put_text(j, "action", r, i, A_ACTION);
    q_put_text(j, "target", r, i, A_TARGET);
    q_put_text(j, "result", r, i, A_RESULT);
    q_put_json(j, "detail", r, i, A_DETAIL);
    json_close(j);
}

/* Not prepared: the planner should see which filters are given. */
enum err q_audit_list(struct pg *db, const struct q_audit_filter *f, struct q_page page,
                      struct json_out *j)
{
    struct q_key k;
    struct pg_result *r;
    char from[24], to[24];
    enum err e = q_key_open(&k, page);
    if (e)
        return e;
    e = pg_exec(db,
                "SELECT id, to_ms(at), who, remote, action, target, result, detail FROM audit_log "
                "WHERE ($1::text IS NULL OR who = $1) AND ($2::text IS NULL OR action = $2) "
                "AND ($3::text IS NULL OR target = $3) AND ($4::text IS NULL OR result = $4) "
                "AND ($5::bigint IS NULL OR at >= at_ms($5::bigint)) "
                "AND ($6::bigint IS NULL OR at < at_ms($6::bigint)) "
                "AND ($7::bigint IS NULL OR id < $7::bigint) ORDER BY id DESC LIMIT $8::integer",
                (struct str[]){f->who, f->action, f->target, f->result,
                               time_or_null(from, f->from_ms), time_or_null(to, f->to_ms),
                               k.last_id, str_of(k.limit)},
                8, &r);
    if (e)
        return e;
    json_open(j, '{');
    q_put_page(&k, r, A_AT, A_ID, put_entry, j);
    return ERR_OK;
}
