/* lwm2m_ops.c - see lwm2m_ops.h. */
#include "lwm2m_ops.h"

static bool is_secret(uint16_t object)
{
    return object == 0 || object == 21 || object == 23;
}

static void refuse(struct ops_result *r, lw_code code, const char *error)
{
    r->code = code;
    r->error = error;
    r->values = (struct lw_entries){0};
}

static void refuse_with(struct ops_result *r, lw_code code)
{
    refuse(r, code, lw_code_phrase(code));
}

lw_code ops_check_path(const struct tree *t, struct lw_path p)
{
    if (p.n >= 1 && is_secret(p.id[0]))
        return LW_UNAUTHORIZED;
    if (p.n >= 1 && !description_object(t->desc, p.id[0]))
        return LW_NOT_FOUND;
    if (p.n >= 2 && !tree_has_instance(t, p.id[0], p.id[1]))
        return LW_NOT_FOUND;
    if (p.n < 3)
        return 0;
    const struct desc_resource *res = tree_resource(t, p);
    if (!res)
        return LW_NOT_FOUND;
    if (p.n == 4 && !res->multiple)
        return LW_NOT_ALLOWED;
    return 0;
}

/* ---- read ---- */

static enum err collect(const struct tree *t, struct lw_path p, struct ops_result *r)
{
    size_t n;
    const struct tree_cell *c = tree_below(t, p, &n);
    for (size_t i = 0; i < n; i++) {
        if (!c[i].res->readable)
            continue;
        struct lw_entry entry = {.path = c[i].path, .value = tree_value(t, &c[i], r->utc_ms)};
        enum err e = lw_entries_add(r->arena, &r->values, entry);
        if (e)
            return e;
    }
    return ERR_OK;
}

static lw_code may_read(const struct tree *t, struct lw_path p)
{
    if (p.n == 0)
        return LW_NOT_ALLOWED;
    lw_code code = ops_check_path(t, p);
    if (code || p.n < 3)
        return code;
    if (!tree_resource(t, p)->readable)
        return LW_NOT_ALLOWED;
    size_t n;
    tree_below(t, p, &n);
    return n ? 0 : LW_NOT_FOUND;
}

void ops_read(const struct tree *t, struct lw_path p, struct ops_result *r)
{
    lw_code code = may_read(t, p);
    if (code) {
        refuse_with(r, code);
        return;
    }
    r->code = LW_CONTENT;
    if (collect(t, p, r))
        refuse_with(r, LW_INTERNAL);
}

/* What cannot be read is left out (Core 6.3.8); the root means everything. */
void ops_read_composite(const struct tree *t, const struct lw_path *paths, size_t n,
                        struct ops_result *r)
{
    r->code = LW_CONTENT;
    for (size_t i = 0; i < n; i++) {
        if (paths[i].n && is_secret(paths[i].id[0])) {
            refuse_with(r, LW_UNAUTHORIZED);
            return;
        }
        if (paths[i].n && may_read(t, paths[i]))
            continue;
        if (collect(t, paths[i], r)) {
            refuse_with(r, LW_INTERNAL);
            return;
        }
    }
}

/* ---- write ---- */

/* Values that a type admits but the device cannot use. */
static bool makes_sense(struct lw_path p, struct lw_value v)
{
    if (p.id[0] == 1 && p.id[2] == 1)
        return v.i >= 0 && v.i <= UINT32_MAX;
    if (p.id[0] == 1 && (p.id[2] == 2 || p.id[2] == 3 || p.id[2] == 5))
        return v.i >= 0 && v.i <= INT32_MAX;
    return true;
}

/* One value of a write to `target`; on an instance unknown resources are skipped (*skip). */
static lw_code may_write(const struct tree *t, struct lw_path target, struct arena *a,
                         struct lw_entry *entry, bool *skip)
{
    struct lw_path p = entry->path;
    *skip = false;
    if (!lw_path_covers(target, p) || p.n < 3)
        return LW_BAD_REQUEST;
    const struct desc_resource *res = tree_resource(t, p);
    if (!res) {
        *skip = target.n == 2;
        return target.n == 2 ? 0 : LW_NOT_FOUND;
    }
    if (!res->writable)
        return LW_NOT_ALLOWED;
    if ((p.n == 4) != res->multiple)
        return p.n == 4 ? LW_NOT_ALLOWED : LW_BAD_REQUEST;
    if (lw_value_coerce(a, res->type, &entry->value) != ERR_OK || !makes_sense(p, entry->value))
        return LW_BAD_REQUEST;
    return 0;
}

/* Checks everything, then copies what is to be applied to `out`. */
static lw_code check_values(const struct tree *t, struct lw_path target,
                            const struct lw_entries *in, struct arena *a, struct lw_entries *out)
{
    for (size_t i = 0; i < in->n; i++) {
        struct lw_entry entry = in->v[i];
        bool skip;
        lw_code code = may_write(t, target, a, &entry, &skip);
        if (code)
            return code;
        if (!skip && lw_entries_add(a, out, entry) != ERR_OK)
            return LW_INTERNAL;
    }
    return 0;
}

static bool apply(struct tree *t, const struct lw_entries *values)
{
    for (size_t i = 0; i < values->n; i++)
        if (tree_set(t, values->v[i].path, values->v[i].value) != ERR_OK)
            return false;
    return true;
}

static bool is_among(const struct lw_entries *values, struct lw_path p)
{
    for (size_t i = 0; i < values->n; i++)
        if (lw_path_covers(p, values->v[i].path))
            return true;
    return false;
}

/* Replace: optional writable resources that the payload does not name go away, and arrays are
 * replaced as a whole. */
static void clear_for_replace(struct tree *t, struct lw_path target,
                              const struct lw_entries *values)
{
    size_t n;
    tree_below(t, target, &n);
    for (size_t i = 0; i < n;) {
        size_t now;
        struct tree_cell *c = tree_below(t, target, &now);
        struct lw_path p = c[i].path;
        struct lw_path res = lw_path_of(3, p.id[0], p.id[1], p.id[2], 0);
        bool named = is_among(values, res);
        bool goes = c[i].res->writable && (named ? p.n == 4 : !c[i].res->mandatory);
        if (goes && target.n < 4) {
            tree_remove(t, p);
            n--;
        } else {
            i++;
        }
    }
}

void ops_write(struct tree *t, struct lw_path p, const struct lw_entries *values, bool replace,
               struct ops_result *r)
{
    struct lw_entries ready = {0};
    lw_code code = p.n < 2 ? LW_NOT_ALLOWED : ops_check_path(t, p);
    if (!code && p.n >= 3 && !tree_resource(t, p)->writable)
        code = LW_NOT_ALLOWED;
    if (!code && p.n >= 3 && !values->n && !tree_resource(t, p)->multiple)
        code = LW_BAD_REQUEST;
    if (!code)
        code = check_values(t, p, values, r->arena, &ready);
    if (code) {
        refuse_with(r, code);
        return;
    }
    if (replace)
        clear_for_replace(t, p, &ready);
    r->code = LW_CHANGED;
    if (!apply(t, &ready))
        refuse_with(r, LW_INTERNAL);
}

/* null removes one resource instance or one optional resource. */
static lw_code may_remove(const struct tree *t, struct lw_path p)
{
    const struct desc_resource *res = p.n >= 3 ? tree_resource(t, p) : NULL;
    if (p.n < 3)
        return LW_NOT_ALLOWED;
    if (!res)
        return LW_NOT_FOUND;
    return res->writable && (p.n == 4 || !res->mandatory) ? 0 : LW_NOT_ALLOWED;
}

void ops_write_composite(struct tree *t, const struct lw_entries *values, struct ops_result *r)
{
    struct lw_entries ready = {0};
    lw_code code = values->n ? 0 : LW_BAD_REQUEST;
    for (size_t i = 0; i < values->n && !code; i++) {
        struct lw_entry entry = values->v[i];
        struct lw_path inst = lw_path_of(2, entry.path.id[0], entry.path.id[1], 0, 0);
        bool skip;
        code = entry.path.n < 3 ? LW_BAD_REQUEST : ops_check_path(t, entry.path);
        if (!code)
            code = entry.value.type == LW_NONE ? may_remove(t, entry.path)
                                               : may_write(t, inst, r->arena, &entry, &skip);
        if (!code && lw_entries_add(r->arena, &ready, entry) != ERR_OK)
            code = LW_INTERNAL;
    }
    if (code) {
        refuse_with(r, code);
        return;
    }
    r->code = LW_CHANGED;
    for (size_t i = 0; i < ready.n; i++)
        if (ready.v[i].value.type == LW_NONE)
            tree_remove(t, ready.v[i].path);
        else if (tree_set(t, ready.v[i].path, ready.v[i].value) != ERR_OK)
            refuse_with(r, LW_INTERNAL);
}

/* ---- create and delete ---- */

/* The value a mandatory read-only resource of a new instance starts with. */
static struct lw_value zero_of(enum lw_type type)
{
    struct lw_value v = {.type = type};
    if (lw_type_has_text(type))
        v.s = (struct str)STR("");
    return v;
}

static bool complete(struct tree *t, const struct desc_object *o, uint16_t instance)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct desc_resource *res = &o->resources[i];
        struct lw_path p = lw_path_of(3, o->id, instance, res->id, 0);
        size_t n;
        tree_below(t, p, &n);
        if (!res->mandatory || res->executable || n)
            continue;
        if (res->multiple)
            p = lw_path_of(4, o->id, instance, res->id, 0);
        if (res->writable || tree_set(t, p, zero_of(res->type)) != ERR_OK)
            return false;
    }
    return true;
}

/* Read-only values in a Create are ignored, wrong ones refuse all of it. */
static lw_code fill_new(struct tree *t, uint16_t object, uint16_t instance,
                        const struct lw_entries *values, struct arena *a)
{
    struct lw_path inst = lw_path_of(2, object, instance, 0, 0);
    for (size_t i = 0; i < values->n; i++) {
        struct lw_entry entry = values->v[i];
        bool skip;
        if (entry.path.n < 3 || entry.path.id[0] != object)
            return LW_BAD_REQUEST;
        entry.path.id[1] = instance;
        const struct desc_resource *res = tree_resource(t, entry.path);
        if (res && !res->writable)
            continue;
        lw_code code = may_write(t, inst, a, &entry, &skip);
        if (code)
            return code;
        if (!skip && tree_set(t, entry.path, entry.value) != ERR_OK)
            return LW_INTERNAL;
    }
    return 0;
}

void ops_create(struct tree *t, struct lw_path p, uint16_t instance,
                const struct lw_entries *values, struct ops_result *r)
{
    lw_code code = p.n != 1 ? LW_NOT_ALLOWED : ops_check_path(t, p);
    if (!code && p.id[0] == 3)
        code = LW_NOT_ALLOWED;
    if (code) {
        refuse_with(r, code);
        return;
    }
    const struct desc_object *o = description_object(t->desc, p.id[0]);
    uint16_t i = instance != LW_ID_NONE ? instance : tree_free_instance(t, p.id[0]);
    if ((o->single && i != 0) || tree_has_instance(t, o->id, i)) {
        refuse(r, LW_BAD_REQUEST, "the instance exists or cannot exist");
        return;
    }
    code = tree_add_instance(t, o->id, i) == ERR_OK ? 0 : LW_INTERNAL;
    if (!code)
        code = fill_new(t, o->id, i, values, r->arena);
    if (!code && !complete(t, o, i))
        code = LW_BAD_REQUEST;
    if (code) {
        tree_remove_instance(t, o->id, i);
        refuse_with(r, code);
        return;
    }
    r->code = LW_CREATED;
    r->created = true;
    r->path = lw_path_of(2, o->id, i, 0, 0);
}

/* Objects that every device must have (and the server's own account) stay. */
static bool may_delete_instance(uint16_t object)
{
    return object != 1 && object != 3 && object != 5;
}

void ops_delete(struct tree *t, struct lw_path p, struct ops_result *r)
{
    lw_code code = ops_check_path(t, p);
    if (!code && p.n != 2 && p.n != 4)
        code = LW_NOT_ALLOWED;
    if (!code && p.n == 2 && !may_delete_instance(p.id[0]))
        code = LW_NOT_ALLOWED;
    if (!code && p.n == 4 && !tree_find(t, p))
        code = LW_NOT_FOUND;
    if (!code && p.n == 4 && !tree_resource(t, p)->writable)
        code = LW_NOT_ALLOWED;
    if (code) {
        refuse_with(r, code);
        return;
    }
    if (p.n == 2)
        tree_remove_instance(t, p.id[0], p.id[1]);
    else
        tree_remove(t, p);
    r->code = LW_DELETED;
}

/* ---- links ---- */

struct link_writer {
    const struct tree *t;
    ops_attrs_fn *attrs;
    void *ctx;
    struct buf *out;
    int levels; /* how deep below the target */
    bool first;
};

static void put_link(struct link_writer *w, struct lw_path p)
{
    char text[LW_PATH_TEXT];
    size_t n = lw_path_text(p, text);
    if (!w->first)
        buf_putc(w->out, ',');
    w->first = false;
    buf_putc(w->out, '<');
    buf_put(w->out, text, n);
    buf_putc(w->out, '>');
    const struct desc_object *o = p.n == 1 ? description_object(w->t->desc, p.id[0]) : NULL;
    if (o && o->version.p && !str_is(o->version, "1.0"))
        buf_printf(w->out, ";ver=%.*s", STR_ARG(o->version));
    const struct desc_resource *res = p.n == 3 ? tree_resource(w->t, p) : NULL;
    if (res && res->multiple) {
        size_t dim;
        tree_below(w->t, p, &dim);
        buf_printf(w->out, ";dim=%zu", dim);
    }
    if (w->attrs)
        w->attrs(w->ctx, p, w->out);
}

static void put_resource(struct link_writer *w, struct lw_path p, int levels)
{
    size_t n;
    put_link(w, p);
    const struct tree_cell *c = tree_below(w->t, p, &n);
    for (size_t i = 0; levels > 0 && i < n; i++)
        if (c[i].path.n == 4)
            put_link(w, c[i].path);
}

/* Cells and executables of the instance, by resource id. */
static void put_instance(struct link_writer *w, struct lw_path p, int levels)
{
    const struct desc_object *o = description_object(w->t->desc, p.id[0]);
    put_link(w, p);
    for (size_t i = 0; levels > 0 && i < o->n; i++) {
        struct lw_path res = lw_path_of(3, p.id[0], p.id[1], o->resources[i].id, 0);
        size_t n;
        tree_below(w->t, res, &n);
        if (n || o->resources[i].executable || !o->resources[i].readable)
            put_resource(w, res, levels - 1);
    }
}

static void put_object(struct link_writer *w, uint16_t object, int levels)
{
    put_link(w, lw_path_of(1, object, 0, 0, 0));
    for (size_t i = 0; levels > 0 && i < w->t->n_instances; i++)
        if (w->t->instances[i].id[0] == object)
            put_instance(w, w->t->instances[i], levels - 1);
}

/* The list of Register: objects with a version, and every instance. */
static void put_registration(struct link_writer *w)
{
    const struct tree *t = w->t;
    for (size_t i = 0; i < t->n_instances; i++) {
        uint16_t object = t->instances[i].id[0];
        const struct desc_object *o = description_object(t->desc, object);
        bool fresh = i == 0 || t->instances[i - 1].id[0] != object;
        if (is_secret(object))
            continue;
        if (fresh && o->version.p && !str_is(o->version, "1.0"))
            put_link(w, lw_path_of(1, object, 0, 0, 0));
        put_link(w, t->instances[i]);
    }
}

void ops_links(const struct tree *t, struct lw_path p, int depth, ops_attrs_fn *attrs, void *ctx,
               struct buf *out)
{
    struct link_writer w = {.t = t, .attrs = attrs, .ctx = ctx, .out = out, .first = true};
    int levels = depth >= 0 ? depth : p.n == 1 ? 2 : 1;
    switch (p.n) {
    case 0:
        put_registration(&w);
        break;
    case 1:
        put_object(&w, p.id[0], levels);
        break;
    case 2:
        put_instance(&w, p, levels);
        break;
    default:
        put_resource(&w, p, levels);
        break;
    }
}
