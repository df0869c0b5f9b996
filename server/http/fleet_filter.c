/* fleet_filter.c - which devices are meant: by the list, and by an edit of "all that match".
 *
 * Search text and status are live and looked at by the shards; tags and groups are durable and come
 * from SQL.  Both meet in the shards: SQL's answer travels there as a set of device ids. */
#include "http/http_int.h"
#include "engine/engine.h"

#include <ctype.h>

struct str filter_lower(struct arena *a, struct str s)
{
    struct str copy = arena_str(a, s);
    if (!copy.p)
        return (struct str){0};
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; i < copy.n; i++)
        p[i] = (char)tolower((unsigned char)p[i]);
    return copy;
}

/* One `tag` ("key" or "key:value") or `group`. */
static bool add_term(struct request *r, struct fleet_filter *f, bool group, struct str text)
{
    struct label_want w = {0};
    struct str rest = text;
    if (group) {
        w.group = text;
    } else {
        w.key = str_cut(&rest, ':');
        w.value = rest;
    }
    bool ok = group ? group_name_ok(text)
                    : label_key_ok(w.key) && (!w.value.p || label_value_ok(w.value));
    if (ok && f->n_want < FILTER_TERMS_MAX) {
        f->want[f->n_want++] = w;
        return true;
    }
    reply_problem(r, 400, "bad_parameter",
                  ok ? "At most 16 tags and groups can be asked for."
                     : "tag is KEY or KEY:VALUE, group the name of a group.");
    return false;
}

bool filter_query(struct request *r, struct fleet_filter *f)
{
    static const char *const names[] = {"tag", "group"};
    *f = (struct fleet_filter){.search = filter_lower(&r->arena, request_query(r, "search")),
                               .status = request_query(r, "status")};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0;; i++) {
            struct str text = request_query_at(r, names[k], i);
            if (!text.p)
                break;
            if (text.n && !add_term(r, f, k == 1, text))
                return false;
        }
    return true;
}

static bool body_terms(struct request *r, struct fleet_filter *f, bool group,
                       const struct json_node *n)
{
    struct str text;
    if (!n || n->kind == JSON_NULL)
        return true;
    if (json_is_str(n, &text))
        return !text.n || add_term(r, f, group, text);
    for (const struct json_node *c = n->kind == JSON_ARRAY ? n->child : NULL; c; c = c->next)
        if (!json_is_str(c, &text)) {
            reply_problem(r, 400, "bad_parameter", "tag and group are texts or lists of texts.");
            return false;
        } else if (!add_term(r, f, group, text)) {
            return false;
        }
    return true;
}

bool filter_body(struct request *r, const struct json_node *o, struct fleet_filter *f)
{
    *f = (struct fleet_filter){0};
    if (json_is_str(json_get(o, "search"), &f->search))
        f->search = filter_lower(&r->arena, f->search);
    json_is_str(json_get(o, "status"), &f->status);
    return body_terms(r, f, false, json_get(o, "tag")) &&
           body_terms(r, f, true, json_get(o, "group"));
}

bool filter_apply(struct request *r, const struct fleet_filter *f, struct fleet_query *q)
{
    uint64_t *bits = NULL;
    q->search = f->search;
    q->statuses = f->status;
    if (!f->n_want)
        return true;
    struct pg *db = request_db(r);
    if (!db)
        return false;
    enum err e = labels_match(db, &r->arena, f->want, f->n_want, &bits, &q->n_ids);
    if (e)
        reply_err(r, e, "fleet");
    q->ids = bits;
    return !e;
}
