/* res_labels.c - tags and group membership of devices: one at a time, or many in one go.
 *
 * One device: PUT says what its tags and groups are from now on (what is not named stays); with
 * If-Match only if nobody was faster.  Many: POST sets, removes, joins and leaves, for the
 * endpoints listed or for all that match a filter, the same filter the list has.  Each device
 * succeeds or fails by itself and the answer says which and why; the audit log gets one row per
 * changed device, in the same transaction. */
#include "http/http_int.h"

static void show(struct request *r)
{
    struct labels l;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = labels_of(db, &r->arena, &r->params[0], 1, &l);
    if (!e && !l.tags.p)
        e = ERR_NOTFOUND;
    if (e) {
        reply_err(r, e, "device");
        return;
    }
    reply_version(r, l.version);
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_str(j, "endpoint", r->params[0]);
    json_put_raw(j, "tags", l.tags);
    json_put_raw(j, "groups", l.groups);
    json_close(j);
}

void res_device_labels(struct request *r)
{
    if (request_endpoint(r))
        show(r);
}

/* ---- checking what is to be written ---- */

static bool refuse(struct request *r, const char *code, const char *detail)
{
    reply_problem(r, 422, code, detail);
    return false;
}

/* Writes an object of texts; what is wrong with it, NULL if nothing. */
static const char *copy_tags(const struct json_node *o, struct json_out *j)
{
    struct str value;
    if (o->kind != JSON_OBJECT || o->n > LABEL_TAGS_MAX)
        return "Tags are an object of at most 64 texts.";
    json_open(j, '{');
    for (const struct json_node *c = o->child; c; c = c->next) {
        if (!label_key_ok(c->key))
            return "A tag's key has 1 to 64 bytes, without control characters and =:,";
        if (!json_is_str(c, &value) || !label_value_ok(value))
            return "A tag's value is a text of at most 256 bytes without control characters.";
        json_key_str(j, c->key);
        json_str(j, value);
    }
    json_close(j);
    return NULL;
}

static const char *copy_names(const struct json_node *o, bool (*ok)(struct str), struct json_out *j)
{
    struct str name;
    const char *why = "This is a list of at most 64 names of groups or keys of tags.";
    if (o->kind != JSON_ARRAY || o->n > LABEL_GROUPS_MAX)
        return why;
    json_open(j, '[');
    for (const struct json_node *c = o->child; c; c = c->next) {
        if (!json_is_str(c, &name) || !ok(name))
            return why;
        json_str(j, name);
    }
    json_close(j);
    return NULL;
}

/* A member of the body, checked, as JSON: an object of tags, or (`ok` given) a list of names.
 * Absent: .p NULL.  false after answering. */
static bool read_member(struct request *r, const char *key, bool (*ok)(struct str), struct str *out)
{
    const struct json_node *o = json_get(r->body, key);
    struct buf b;
    struct json_out j;
    *out = (struct str){0};
    if (!o || o->kind == JSON_NULL)
        return true;
    buf_init(&b, HTTP_BODY_MAX);
    json_out_init(&j, &b);
    const char *why = ok ? copy_names(o, ok, &j) : copy_tags(o, &j);
    if (!why)
        *out = arena_str(&r->arena, buf_view(&b));
    buf_fini(&b);
    if (why)
        return refuse(r, ok ? "bad_name" : "bad_tag", why);
    if (!out->p)
        reply_unavailable(r, "busy", "The server has no memory for this edit.");
    return out->p != NULL;
}

/* Runs the edit; false after answering. */
static bool run(struct request *r, const struct str *endpoints, size_t n, struct label_edit *edit,
                struct label_result **out, size_t *n_out)
{
    struct str missing = {0};
    *n_out = 0;
    *out = arena_calloc(&r->arena, n + 1, sizeof **out);
    if (!*out) {
        reply_unavailable(r, "busy", "The server has no memory for this edit.");
        return false;
    }
    struct pg *db = request_db(r);
    if (!db)
        return false;
    edit->who = str_of(r->who.name);
    edit->from = str_of(r->remote);
    enum err e = labels_edit(db, &r->arena, endpoints, n, edit, *out, n_out, &missing);
    if (e == ERR_NOTFOUND) {
        struct json_out *j =
            reply_problem_open(r, 422, "unknown_group", "There is no such group; make it first.");
        json_put_str(j, "group", missing);
        json_close(j);
    } else if (e == ERR_CONFLICT) {
        reply_problem(r, 409, "conflict", "A device or group was deleted meanwhile; try again.");
    } else if (e) {
        reply_err(r, e, "label");
    }
    return !e;
}

/* ---- one device ---- */

void res_device_labels_put(struct request *r)
{
    struct label_edit edit = {.if_version = request_if_match(r)};
    struct label_result *done;
    size_t n;
    if (!request_endpoint(r) || !request_json(r) || !read_member(r, "tags", NULL, &edit.set) ||
        !read_member(r, "groups", group_name_ok, &edit.join))
        return;
    edit.replace_tags = edit.set.p != NULL;
    edit.replace_groups = edit.join.p != NULL;
    if (!edit.replace_tags && !edit.replace_groups) {
        refuse(r, "nothing_to_do", "Say what the tags or the groups are.");
        return;
    }
    if (!run(r, &r->params[0], 1, &edit, &done, &n))
        return;
    r->audited = str_is(done[0].result, "changed"); /* in the same transaction */
    if (str_is(done[0].result, "not_found"))
        reply_err(r, ERR_NOTFOUND, "device");
    else if (str_is(done[0].result, "stale"))
        reply_problem(r, 412, "stale", "The labels were changed meanwhile; read them again.");
    else
        show(r);
}

/* ---- many devices ---- */

static bool too_many(struct request *r)
{
    return refuse(r, "too_many_devices", "One call changes at most 10,000 devices.");
}

static bool read_endpoints(struct request *r, const struct json_node *list, struct str **out,
                           size_t *n)
{
    if (list->kind != JSON_ARRAY)
        return refuse(r, "bad_selection", "endpoints is a list of names.");
    if (list->n > LABEL_DEVICES_MAX)
        return too_many(r);
    struct str *v = arena_calloc(&r->arena, list->n + 1, sizeof *v);
    for (const struct json_node *c = v ? list->child : NULL; c; c = c->next, ++*n)
        if (!json_is_str(c, &v[*n]) || !str_utf8_valid(v[*n]))
            return refuse(r, "bad_selection", "endpoints is a list of names.");
    *out = v;
    if (!v)
        reply_unavailable(r, "busy", "The server has no memory for this list.");
    return v != NULL;
}

static bool copy_endpoints(struct request *r, const struct engine_rows *rows, size_t n,
                           struct str **out)
{
    struct str *v = arena_calloc(&r->arena, n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = arena_str(&r->arena, str_of(rows->v[i].endpoint));
    *out = v;
    if (r->arena.failed)
        reply_unavailable(r, "busy", "The server has no memory for this list.");
    return !r->arena.failed;
}

/* All devices that match, not a page of them. */
static bool select_matching(struct request *r, const struct json_node *filter, struct str **out,
                            size_t *n)
{
    struct fleet_filter f;
    struct fleet_query q = {.limit = LABEL_DEVICES_MAX + 1, .bare = true};
    struct engine_rows rows = {0};
    if (filter->kind != JSON_OBJECT)
        return refuse(r, "bad_selection", "filter is an object.");
    if (!filter_body(r, filter, &f) || !filter_apply(r, &f, &q))
        return false;
    enum err e = engine_list(r->http->parts.engine, &q, HTTP_ENGINE_MS, &rows);
    if (e) {
        reply_err(r, e, "fleet");
        return false;
    }
    *n = rows.n;
    bool ok = *n <= LABEL_DEVICES_MAX ? copy_endpoints(r, &rows, *n, out) : too_many(r);
    engine_rows_free(&rows);
    return ok;
}

static bool read_selection(struct request *r, struct str **out, size_t *n)
{
    const struct json_node *endpoints = json_get(r->body, "endpoints");
    const struct json_node *filter = json_get(r->body, "filter");
    *n = 0;
    if (!endpoints == !filter)
        return refuse(r, "bad_selection", "Name either endpoints or a filter ({} means all).");
    return endpoints ? read_endpoints(r, endpoints, out, n) : select_matching(r, filter, out, n);
}

/* Why a device was left as it was. */
static const struct {
    const char *code, *detail;
} reasons[] = {
    {"not_found", "There is no such device."},
    {"too_many_tags", "It would have more than 64 tags."},
    {"too_many_groups", "It would be in more than 64 groups."},
};

static void put_result(struct json_out *j, const struct label_result *d)
{
    const char *detail = NULL;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (str_is(d->result, reasons[i].code))
            detail = reasons[i].detail;
    json_open(j, '{');
    json_put_str(j, "endpoint", d->endpoint);
    json_key(j, "result");
    if (detail) {
        json_text(j, "failed");
        json_key(j, "code");
    }
    json_str(j, d->result);
    if (detail)
        json_put_text(j, "detail", detail);
    json_close(j);
}

static void answer(struct request *r, const struct label_result *done, size_t n)
{
    size_t changed = 0, unchanged = 0;
    for (size_t i = 0; i < n; i++) {
        changed += str_is(done[i].result, "changed");
        unchanged += str_is(done[i].result, "unchanged");
    }
    r->audited = changed > 0;
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_put_u64(j, "matched", n);
    json_put_u64(j, "changed", changed);
    json_put_u64(j, "unchanged", unchanged);
    json_put_u64(j, "failed", n - changed - unchanged);
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        put_result(j, &done[i]);
    json_close(j);
    json_close(j);
}

void res_labels_bulk(struct request *r)
{
    struct label_edit edit = {0};
    struct label_result *done;
    struct str *endpoints = NULL;
    size_t n, n_done;
    if (!request_json(r) || !read_member(r, "set", NULL, &edit.set) ||
        !read_member(r, "remove", label_key_ok, &edit.remove) ||
        !read_member(r, "join", group_name_ok, &edit.join) ||
        !read_member(r, "leave", group_name_ok, &edit.leave))
        return;
    if (!edit.set.p && !edit.remove.p && !edit.join.p && !edit.leave.p) {
        refuse(r, "nothing_to_do", "Say what to set, remove, join or leave.");
        return;
    }
    if (read_selection(r, &endpoints, &n) && run(r, endpoints, n, &edit, &done, &n_done))
        answer(r, done, n_done);
}

/* ---- lists ---- */

void res_labels(struct request *r)
{
    struct q_page page;
    struct pg *db = request_page(r, &page) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = labels_list(db, page, reply_json(r, 200));
    reply_list_err(r, e, "label");
}

void res_tags(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e = db ? labels_tags(db, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "tag");
}
