/* description.c - see description.h.
 *
 * Reading goes top down with one `struct reading` that carries the arena and the place in words
 * ("kinds/pump/3303/0/5700"), so the first mistake is reported where it was made.  Everything ends
 * up in sorted arrays in one arena. */
#include "description.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "codec/spb_payload.h"

#define ARENA_LIMIT   ((size_t)8 << 20)
#define MAX_NODES     100000
#define MAX_OBJECTS   256
#define MAX_RESOURCES 128
#define MAX_KINDS     64
#define MAX_CELLS     2000
#define MAX_METRICS   2000
#define MAX_DEVICES   16

struct description {
    struct arena arena;
    struct desc_object *objects; /* by id */
    size_t n_objects;
    struct desc_kind *kinds;
    size_t n_kinds, n_once;
};

struct reading {
    struct description *d;
    struct arena *a;
    char place[96];
    const char *why; /* static text */
};

/* A growing list of cells or metrics while a kind is read. */
struct gather {
    struct desc_cell *cells;
    size_t n_cells, cap_cells;
    struct lw_path *instances;
    size_t n_instances, cap_instances;
};

static enum err wrong(struct reading *r, enum err e, const char *why)
{
    r->why = why;
    return e;
}

static enum err read_id(struct reading *r, struct str text, uint16_t *out)
{
    uint64_t id;
    if (str_to_u64(text, &id) || id >= LW_ID_NONE)
        return wrong(r, ERR_RANGE, "ids are 0..65534");
    *out = (uint16_t)id;
    return ERR_OK;
}

static bool flag(const struct json_node *o, const char *key, bool otherwise)
{
    bool b;
    return json_is_bool(json_get(o, key), &b) ? b : otherwise;
}

/* ---- objects ---- */

static enum err read_ops(struct reading *r, const struct json_node *n, struct desc_resource *res)
{
    struct str ops;
    if (!json_is_str(json_get(n, "ops"), &ops))
        return wrong(r, ERR_INVALID, "ops must be R, W, RW or E");
    res->readable = str_is(ops, "R") || str_is(ops, "RW");
    res->writable = str_is(ops, "W") || str_is(ops, "RW");
    res->executable = str_is(ops, "E");
    if (!res->readable && !res->writable && !res->executable)
        return wrong(r, ERR_INVALID, "ops must be R, W, RW or E");
    return ERR_OK;
}

static enum err read_resource_def(struct reading *r, const struct json_node *n,
                                  struct desc_resource *res)
{
    struct str word;
    enum err e = read_id(r, n->key, &res->id);
    if (!e)
        e = read_ops(r, n, res);
    if (e)
        return e;
    res->multiple = flag(n, "multiple", false);
    res->mandatory = flag(n, "mandatory", false);
    res->type = LW_NONE;
    if (res->executable)
        return ERR_OK;
    if (!json_is_str(json_get(n, "type"), &word) || !lw_type_from(word, &res->type) ||
        res->type == LW_NONE)
        return wrong(r, ERR_INVALID, "unknown type of a resource");
    return ERR_OK;
}

static int by_resource_id(const void *a, const void *b)
{
    return ((const struct desc_resource *)a)->id - ((const struct desc_resource *)b)->id;
}

static int by_object_id(const void *a, const void *b)
{
    return ((const struct desc_object *)a)->id - ((const struct desc_object *)b)->id;
}

static enum err read_object(struct reading *r, const struct json_node *n, struct desc_object *o)
{
    const struct json_node *list = json_get(n, "resources");
    snprintf(r->place, sizeof r->place, "objects/%.*s", STR_ARG(n->key));
    enum err e = read_id(r, n->key, &o->id);
    if (e)
        return e;
    if (!list || list->kind != JSON_OBJECT || list->n > MAX_RESOURCES)
        return wrong(r, ERR_INVALID, "resources must be an object of at most 128");
    struct desc_resource *res = arena_calloc(r->a, list->n + 1, sizeof *res);
    if (!res)
        return ERR_NOMEM;
    for (const struct json_node *m = list->child; m; m = m->next, o->n++) {
        snprintf(r->place, sizeof r->place, "objects/%.*s/%.*s", STR_ARG(n->key), STR_ARG(m->key));
        e = read_resource_def(r, m, &res[o->n]);
        if (e)
            return e;
    }
    qsort(res, o->n, sizeof *res, by_resource_id);
    o->resources = res;
    o->single = flag(n, "single", false);
    (void)json_is_str(json_get(n, "version"), &o->version);
    return ERR_OK;
}

static enum err read_objects(struct reading *r, const struct json_node *n)
{
    if (!n || n->kind != JSON_OBJECT || n->n > MAX_OBJECTS)
        return wrong(r, ERR_INVALID, "objects must be an object of at most 256");
    struct description *d = r->d;
    d->objects = arena_calloc(r->a, n->n + 1, sizeof *d->objects);
    if (!d->objects)
        return ERR_NOMEM;
    for (const struct json_node *m = n->child; m; m = m->next) {
        enum err e = read_object(r, m, &d->objects[d->n_objects]);
        if (e)
            return e;
        d->n_objects++;
    }
    qsort(d->objects, d->n_objects, sizeof *d->objects, by_object_id);
    return ERR_OK;
}

/* ---- instances ---- */

static enum err add_cell(struct reading *r, struct gather *g, struct lw_path p,
                         const struct desc_resource *res, const struct json_node *n)
{
    struct desc_cell c = {.path = p, .res = res};
    enum err e = source_read(r->a, n, res->type, &c.source, &r->why);
    if (e)
        return e;
    for (size_t i = 0; i < g->n_cells; i++)
        if (lw_path_eq(g->cells[i].path, p)) {
            g->cells[i] = c; /* a kind overrides what is common */
            return ERR_OK;
        }
    if (g->n_cells >= MAX_CELLS)
        return wrong(r, ERR_TOOBIG, "too many resources");
    struct desc_cell *v =
        arena_grow(r->a, g->cells, &g->cap_cells, g->n_cells + 1, sizeof *g->cells);
    if (!v)
        return ERR_NOMEM;
    g->cells = v;
    g->cells[g->n_cells++] = c;
    return ERR_OK;
}

static enum err add_instance(struct reading *r, struct gather *g, struct lw_path p)
{
    for (size_t i = 0; i < g->n_instances; i++)
        if (lw_path_eq(g->instances[i], p))
            return ERR_OK;
    struct lw_path *v =
        arena_grow(r->a, g->instances, &g->cap_instances, g->n_instances + 1, sizeof *g->instances);
    if (!v)
        return ERR_NOMEM;
    g->instances = v;
    g->instances[g->n_instances++] = p;
    return ERR_OK;
}

static enum err read_resource(struct reading *r, struct gather *g, struct lw_path p,
                              const struct desc_resource *res, const struct json_node *n)
{
    if (res->executable)
        return wrong(r, ERR_TYPE, "an executable resource has no value");
    if (n->kind != JSON_ARRAY)
        return res->multiple ? wrong(r, ERR_TYPE, "a multiple resource takes an array")
                             : add_cell(r, g, p, res, n);
    if (!res->multiple)
        return wrong(r, ERR_TYPE, "the resource is not multiple");
    uint16_t i = 0;
    for (const struct json_node *m = n->child; m; m = m->next, i++) {
        enum err e = add_cell(r, g, lw_path_of(4, p.id[0], p.id[1], p.id[2], i), res, m);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err read_instance(struct reading *r, struct gather *g, const struct desc_object *o,
                              const struct json_node *n, const char *owner)
{
    uint16_t i, id;
    enum err e = read_id(r, n->key, &i);
    if (!e && o->single && i != 0)
        e = wrong(r, ERR_RANGE, "a single object has instance 0 only");
    if (!e && n->kind != JSON_OBJECT)
        e = wrong(r, ERR_INVALID, "an instance is an object of resources");
    if (!e)
        e = add_instance(r, g, lw_path_of(2, o->id, i, 0, 0));
    for (const struct json_node *m = n->child; m && !e; m = m->next) {
        snprintf(r->place, sizeof r->place, "%s/%u/%u/%.*s", owner, o->id, i, STR_ARG(m->key));
        e = read_id(r, m->key, &id);
        if (e)
            return e;
        const struct desc_resource *res = desc_resource_find(o, id);
        e = res ? read_resource(r, g, lw_path_of(3, o->id, i, id, 0), res, m)
                : wrong(r, ERR_NOTFOUND, "the object has no such resource");
    }
    return e;
}

static enum err read_instances(struct reading *r, struct gather *g, const struct json_node *n,
                               const char *owner)
{
    if (!n)
        return ERR_OK;
    if (n->kind != JSON_OBJECT)
        return wrong(r, ERR_INVALID, "instances must be an object");
    for (const struct json_node *o = n->child; o; o = o->next) {
        uint16_t id;
        snprintf(r->place, sizeof r->place, "%s/%.*s", owner, STR_ARG(o->key));
        enum err e = read_id(r, o->key, &id);
        if (e)
            return e;
        const struct desc_object *def = description_object(r->d, id);
        if (!def)
            return wrong(r, ERR_NOTFOUND, "no such object is defined");
        for (const struct json_node *i = o->child; i; i = i->next) {
            e = read_instance(r, g, def, i, owner);
            if (e)
                return e;
        }
    }
    return ERR_OK;
}

/* ---- metrics ---- */

static bool held_as(unsigned datatype, enum lw_type *out)
{
    static const enum lw_type types[SPB_DATATYPE_COUNT] = {
        [SPB_INT8] = LW_INTEGER,    [SPB_INT16] = LW_INTEGER,   [SPB_INT32] = LW_INTEGER,
        [SPB_INT64] = LW_INTEGER,   [SPB_UINT8] = LW_UNSIGNED,  [SPB_UINT16] = LW_UNSIGNED,
        [SPB_UINT32] = LW_UNSIGNED, [SPB_UINT64] = LW_UNSIGNED, [SPB_FLOAT] = LW_FLOAT,
        [SPB_DOUBLE] = LW_FLOAT,    [SPB_BOOLEAN] = LW_BOOLEAN, [SPB_STRING] = LW_STRING,
        [SPB_TEXT] = LW_STRING,     [SPB_UUID] = LW_STRING,     [SPB_DATETIME] = LW_TIME,
        [SPB_BYTES] = LW_OPAQUE,
    };
    if (datatype >= SPB_DATATYPE_COUNT || types[datatype] == LW_NONE)
        return false;
    *out = types[datatype];
    return true;
}

static enum err read_metric_value(struct reading *r, const struct json_node *n,
                                  struct desc_metric *m)
{
    struct str path;
    const struct json_node *value = json_get(n, "value");
    m->linked = json_is_str(json_get(n, "resource"), &path);
    if (m->linked == (value != NULL))
        return wrong(r, ERR_INVALID, "a metric has either value or resource");
    if (!m->linked)
        return source_read(r->a, value, m->type, &m->source, &r->why);
    if (lw_path_parse(path, &m->path) || m->path.n < 3)
        return wrong(r, ERR_INVALID, "resource must be a path like /3303/0/5700");
    return ERR_OK;
}

static enum err read_metric(struct reading *r, const struct json_node *n, struct desc_metric *m)
{
    struct str word;
    if (!json_is_str(json_get(n, "name"), &m->name) || !m->name.n || m->name.n > 200)
        return wrong(r, ERR_INVALID, "a metric needs a name");
    snprintf(r->place, sizeof r->place, "metric %.*s", STR_ARG(m->name));
    if (str_is(m->name, "bdSeq") || str_starts(m->name, "Node Control/"))
        return wrong(r, ERR_CONFLICT, "this name belongs to the protocol");
    if (!json_is_str(json_get(n, "type"), &word) || !spb_datatype_from(word, &m->datatype) ||
        !held_as(m->datatype, &m->type))
        return wrong(r, ERR_INVALID, "unknown datatype of a metric");
    (void)json_is_str(json_get(n, "unit"), &m->unit);
    m->writable = flag(n, "writable", false);
    m->history = flag(n, "history", false);
    return read_metric_value(r, n, m);
}

static enum err read_metric_list(struct reading *r, const struct json_node *list,
                                 struct desc_metric *to, size_t *n)
{
    if (list && list->kind != JSON_ARRAY)
        return wrong(r, ERR_INVALID, "metrics must be an array");
    for (const struct json_node *m = list ? list->child : NULL; m; m = m->next) {
        enum err e = read_metric(r, m, &to[*n]);
        if (e)
            return e;
        for (size_t i = 0; i < *n; i++)
            if (str_eq(to[i].name, to[*n].name))
                return wrong(r, ERR_CONFLICT, "the metric is there twice");
        ++*n;
    }
    return ERR_OK;
}

/* The metrics of one Sparkplug device, or of the node (then `more` are the common ones). */
static enum err read_metrics(struct reading *r, const struct json_node *list,
                             const struct json_node *more, struct desc_device *dev)
{
    size_t n = (list ? list->n : 0) + (more ? more->n : 0);
    if (n > MAX_METRICS)
        return wrong(r, ERR_TOOBIG, "too many metrics");
    struct desc_metric *m = arena_calloc(r->a, n + 1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    dev->metrics = m;
    enum err e = read_metric_list(r, list, m, &dev->n);
    return e ? e : read_metric_list(r, more, m, &dev->n);
}

static enum err read_devices(struct reading *r, const struct json_node *n,
                             const struct json_node *common, struct desc_kind *k)
{
    const struct json_node *list = json_get(n, "devices");
    size_t count = list ? list->n : 0;
    if ((list && list->kind != JSON_ARRAY) || count > MAX_DEVICES)
        return wrong(r, ERR_INVALID, "devices must be an array of at most 16");
    struct desc_device *v = arena_calloc(r->a, count + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    k->devices = v;
    k->n_devices = 1;
    enum err e = read_metrics(r, json_get(n, "metrics"), json_get(common, "metrics"), &v[0]);
    for (const struct json_node *m = list ? list->child : NULL; m && !e; m = m->next) {
        struct desc_device *dev = &v[k->n_devices++];
        if (!json_is_str(json_get(m, "name"), &dev->name) || !dev->name.n ||
            memchr(dev->name.p, '/', dev->name.n) || memchr(dev->name.p, '+', dev->name.n) ||
            memchr(dev->name.p, '#', dev->name.n))
            return wrong(r, ERR_INVALID, "a device needs a name without / + #");
        e = read_metrics(r, json_get(m, "metrics"), NULL, dev);
    }
    return e;
}

/* ---- kinds ---- */

static int by_cell_path(const void *a, const void *b)
{
    return lw_path_cmp(((const struct desc_cell *)a)->path, ((const struct desc_cell *)b)->path);
}

static int by_path(const void *a, const void *b)
{
    return lw_path_cmp(*(const struct lw_path *)a, *(const struct lw_path *)b);
}

static const struct desc_cell *kind_cell(const struct desc_kind *k, struct lw_path p)
{
    for (size_t i = 0; i < k->n_cells; i++)
        if (lw_path_eq(k->cells[i].path, p))
            return &k->cells[i];
    return NULL;
}

/* A metric that shows a resource must be able to. */
static enum err check_links(struct reading *r, const struct desc_kind *k)
{
    for (size_t i = 0; i < k->n_devices; i++)
        for (size_t j = 0; j < k->devices[i].n; j++) {
            const struct desc_metric *m = &k->devices[i].metrics[j];
            const struct desc_cell *c = m->linked ? kind_cell(k, m->path) : NULL;
            snprintf(r->place, sizeof r->place, "metric %.*s", STR_ARG(m->name));
            if (m->linked && !c)
                return wrong(r, ERR_NOTFOUND, "the kind has no such resource");
            bool text = c && (c->res->type == LW_STRING) != (m->type == LW_STRING);
            if (text || (c && (c->res->type == LW_OPAQUE) != (m->type == LW_OPAQUE)))
                return wrong(r, ERR_TYPE, "datatype and resource do not fit");
        }
    return ERR_OK;
}

static enum err read_kind(struct reading *r, const struct json_node *n,
                          const struct json_node *common, struct desc_kind *k)
{
    struct gather g = {0};
    int64_t lifetime = 300;
    if (!json_is_str(json_get(n, "name"), &k->name) || !k->name.n)
        return wrong(r, ERR_INVALID, "a kind needs a name");
    char owner[48];
    snprintf(owner, sizeof owner, "kinds/%.*s", (int)(k->name.n < 32 ? k->name.n : 32), k->name.p);
    snprintf(r->place, sizeof r->place, "%s", owner);
    k->sleeper = flag(n, "sleeper", false);
    k->once = flag(n, "once", false);
    const struct json_node *life = json_get(n, "lifetime");
    if (life && (!json_is_i64(life, &lifetime) || lifetime < 10 || lifetime > 86400 * 365))
        return wrong(r, ERR_RANGE, "lifetime is 10 s to a year");
    k->lifetime = (uint32_t)lifetime;
    enum err e = read_instances(r, &g, json_get(common, "instances"), "common");
    if (!e)
        e = read_instances(r, &g, json_get(n, "instances"), owner);
    if (e)
        return e;
    if (g.n_cells)
        qsort(g.cells, g.n_cells, sizeof *g.cells, by_cell_path);
    if (g.n_instances)
        qsort(g.instances, g.n_instances, sizeof *g.instances, by_path);
    k->cells = g.cells;
    k->n_cells = g.n_cells;
    k->instances = g.instances;
    k->n_instances = g.n_instances;
    e = read_devices(r, n, common, k);
    return e ? e : check_links(r, k);
}

static enum err read_kinds(struct reading *r, const struct json_node *root)
{
    const struct json_node *list = json_get(root, "kinds");
    struct description *d = r->d;
    snprintf(r->place, sizeof r->place, "kinds");
    if (!list || list->kind != JSON_ARRAY || !list->n || list->n > MAX_KINDS)
        return wrong(r, ERR_INVALID, "kinds must be an array of 1..64");
    d->kinds = arena_calloc(r->a, list->n, sizeof *d->kinds);
    if (!d->kinds)
        return ERR_NOMEM;
    for (const struct json_node *n = list->child; n; n = n->next) {
        struct desc_kind *k = &d->kinds[d->n_kinds];
        enum err e = read_kind(r, n, json_get(root, "common"), k);
        if (e)
            return e;
        d->n_kinds++;
        d->n_once += k->once;
    }
    if (d->n_once == d->n_kinds && d->n_kinds)
        d->kinds[0].once = false, d->n_once--; /* somebody must fill the rest of a fleet */
    return ERR_OK;
}

enum err description_new(struct str json, struct description **out, char *why, size_t why_size)
{
    struct description *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    arena_init(&d->arena, 65536, ARENA_LIMIT);
    struct reading r = {.d = d, .a = &d->arena, .place = "file", .why = ""};
    struct json_node *root;
    struct str text = arena_str(r.a, json);
    enum err e = text.p ? json_parse(r.a, text, MAX_NODES, &root) : ERR_NOMEM;
    if (e)
        r.why = "not valid JSON";
    if (!e)
        e = read_objects(&r, json_get(root, "objects"));
    if (!e)
        e = read_kinds(&r, root);
    if (e) {
        snprintf(why, why_size, "%s: %s (%s)", r.place, r.why, err_word(e));
        description_free(d);
        return e;
    }
    *out = d;
    return ERR_OK;
}

void description_free(struct description *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    free(d);
}

size_t description_kinds(const struct description *d)
{
    return d->n_kinds;
}

const struct desc_kind *description_kind(const struct description *d, size_t i)
{
    return &d->kinds[i];
}

const struct desc_kind *description_kind_for(const struct description *d, size_t index)
{
    if (index < d->n_kinds)
        return &d->kinds[index];
    size_t turn = (index - d->n_kinds) % (d->n_kinds - d->n_once);
    for (size_t i = 0;; i++)
        if (!d->kinds[i].once && turn-- == 0)
            return &d->kinds[i];
}

const struct desc_object *description_object(const struct description *d, uint16_t id)
{
    for (size_t lo = 0, hi = d->n_objects; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        if (d->objects[mid].id == id)
            return &d->objects[mid];
        if (d->objects[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct desc_resource *desc_resource_find(const struct desc_object *o, uint16_t id)
{
    for (size_t lo = 0, hi = o->n; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        if (o->resources[mid].id == id)
            return &o->resources[mid];
        if (o->resources[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static struct lw_resource_type lookup(void *ctx, uint16_t object, uint16_t resource)
{
    const struct desc_object *o = description_object(ctx, object);
    const struct desc_resource *r = o ? desc_resource_find(o, resource) : NULL;
    if (!r)
        return (struct lw_resource_type){0};
    return (struct lw_resource_type){.known = true, .multiple = r->multiple, .type = r->type};
}

struct lw_typer description_typer(const struct description *d)
{
    return (struct lw_typer){.lookup = lookup, .ctx = (void *)(uintptr_t)d};
}
