/* res_audit.c - the audit log, for administrators: newest first, filtered. */
#include "http/http_int.h"

static struct str given(struct request *r, const char *name)
{
    struct str s = request_query(r, name);
    return s.n ? s : (struct str){0};
}

void res_audit(struct request *r)
{
    struct q_page page;
    struct q_audit_filter f = {
        given(r, "who"), given(r, "action"), given(r, "target"), given(r, "result"), 0, 0};
    if (!request_page(r, &page) || !request_time(r, "from", 0, &f.from_ms) ||
        !request_time(r, "to", 0, &f.to_ms))
        return;
    if (f.from_ms && f.to_ms && f.from_ms >= f.to_ms) {
        reply_problem(r, 400, "bad_parameter", "from must be before to.");
        return;
    }
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = q_audit_list(db, &f, page, reply_json(r, 200));
    reply_list_err(r, e, "audit log");
}
