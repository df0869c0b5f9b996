/* res_groups.c - static groups: a name and the devices that were put into it.
 *
 * Membership is edited with the labels of devices (res_labels.c); here groups are made, renamed,
 * deleted and looked at.  A group's ETag is its name's: who comes and goes does not change it. */
#include "http/http_int.h"

#include <inttypes.h>
#include <stdio.h>

static bool name_ok(struct request *r, struct str name)
{
    if (group_name_ok(name))
        return true;
    reply_problem(r, 422, "bad_name", "A group's name has 1 to 64 bytes, without / and commas.");
    return false;
}

void res_groups(struct request *r)
{
    struct q_page page;
    struct pg *db = request_page(r, &page) ? request_db(r) : NULL;
    if (db)
        reply_list_err(r, groups_list(db, page, reply_json(r, 200)), "group");
}

void res_group_members(struct request *r)
{
    struct q_page page;
    struct pg *db = request_page(r, &page) ? request_db(r) : NULL;
    if (db)
        reply_list_err(r, group_members(db, r->params[0], page, reply_json(r, 200)), "group");
}

static void show(struct request *r, struct str name, int status)
{
    char version[LABEL_VERSION] = "";
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = group_get(db, name, version, reply_json(r, status));
    if (e)
        reply_err(r, e, "group");
    else
        reply_version(r, version);
}

void res_group(struct request *r)
{
    show(r, r->params[0], 200);
}

/* A name as a JSON text. */
static struct str quoted(struct request *r, struct str name)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 1024);
    json_out_init(&j, &b);
    json_str(&j, name);
    struct str copy = b.err ? (struct str){0} : arena_str(&r->arena, buf_view(&b));
    buf_fini(&b);
    return copy;
}

/* The body's name and a connection; NULL after answering. */
static struct pg *named(struct request *r, struct str *name)
{
    if (!request_json(r) || !request_member(r, "name", name) || !name_ok(r, *name))
        return NULL;
    return request_db(r);
}

void res_group_post(struct request *r)
{
    struct str name;
    struct pg *db = named(r, &name);
    if (!db)
        return;
    enum err e = group_insert(db, name);
    if (e) {
        reply_err(r, e, "group");
        return;
    }
    audit_change(r, "group_add", name, (struct str){0}, quoted(r, name));
    show(r, name, 201);
}

static bool failed(struct request *r, enum err e)
{
    if (e == ERR_AGAIN)
        reply_problem(r, 412, "stale", "The group was renamed meanwhile; read it again.");
    else if (e)
        reply_err(r, e, "group");
    return e;
}

void res_group_rename(struct request *r)
{
    struct str name;
    struct pg *db = named(r, &name);
    if (!db || failed(r, group_rename(db, r->params[0], name, request_if_match(r))))
        return;
    audit_change(r, "group_rename", r->params[0], quoted(r, r->params[0]), quoted(r, name));
    show(r, name, 200);
}

void res_group_delete(struct request *r)
{
    int64_t members = 0;
    char old[64];
    struct pg *db = request_db(r);
    if (!db || failed(r, group_delete(db, r->params[0], request_if_match(r), &members)))
        return;
    snprintf(old, sizeof old, "{\"devices\":%" PRId64 "}", members);
    audit_change(r, "group_delete", r->params[0], str_of(old), (struct str){0});
    reply_empty(r, 204);
}
