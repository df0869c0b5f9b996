/* model.c - the object model: objects sorted by id, each with its resources sorted by id.
 *
 * Two binary searches find a resource; with a few dozen objects of a few dozen resources that is
 * about ten comparisons, so there is no index to keep.  Everything a lookup returns lives in the
 * model's one arena and never changes after lw_model_parse, so threads share it without locks. */
#include "lwm2m/model.h"
#include "codec/json_in.h"
#include "lwm2m/model_data.h"

#include <stdlib.h>

#define MODEL_BYTES     (16u << 20) /* ceiling of one model, and of the tree it is read from */
#define MODEL_NODES     400000
#define MODEL_OBJECTS   4096
#define MODEL_RESOURCES 4096 /* per object */

struct lw_model {
    struct arena arena;
    struct lw_object_model *objects; /* sorted by id */
    size_t n;
};

/* ---- reading ---- */

/* Where the reading stands: what a complaint names. */
struct reading {
    struct arena *a;        /* the model's */
    const char *file;       /* name of the text being read */
    size_t number;          /* of the object in its list, from 1; 0: none yet */
    long object, resource;  /* their ids; -1: not known yet */
    const char *wrong;      /* what is wrong, static text */
    const char *other_file; /* on a conflict of two files */
};

static enum err wrong(struct reading *r, enum err e, const char *why)
{
    r->wrong = why;
    return e;
}

static enum err read_id(struct reading *r, const struct json_node *o, uint16_t *out)
{
    uint64_t id;
    if (!json_is_u64(json_get(o, "id"), &id))
        return wrong(r, ERR_INVALID, "\"id\" must be a number from 0 to 65534");
    if (id >= LW_ID_NONE)
        return wrong(r, ERR_RANGE, "\"id\" must be a number from 0 to 65534");
    *out = (uint16_t)id;
    return ERR_OK;
}

/* An optional text: "" when absent. */
static enum err read_text(struct reading *r, const struct json_node *o, const char *key,
                          const char **out)
{
    const struct json_node *n = json_get(o, key);
    struct str s;
    if (!n) {
        *out = "";
        return ERR_OK;
    }
    if (!json_is_str(n, &s) || !str_utf8_valid(s))
        return wrong(r, ERR_INVALID, "name, version, urn, range and units are texts");
    struct str copy = arena_str(r->a, s);
    if (!copy.p)
        return wrong(r, ERR_TOOBIG, "the model becomes too big");
    *out = copy.p;
    return ERR_OK;
}

static enum err read_flag(struct reading *r, const struct json_node *o, const char *key, bool *out)
{
    const struct json_node *n = json_get(o, key);
    if (!n) {
        *out = false;
        return ERR_OK;
    }
    return json_is_bool(n, out)
               ? ERR_OK
               : wrong(r, ERR_INVALID, "\"multiple\" and \"mandatory\" are true or false");
}

/* "R", "W", "RW", "E" or "". */
static enum err read_ops(struct reading *r, const struct json_node *o, uint8_t *out)
{
    static const char why[] = "\"op\" must be \"R\", \"W\", \"RW\", \"E\" or empty";
    struct str s;
    uint8_t ops = 0;
    if (!json_is_str(json_get(o, "op"), &s))
        return wrong(r, ERR_INVALID, why);
    for (size_t i = 0; i < s.n; i++) {
        uint8_t bit = s.p[i] == 'R'   ? LW_OP_R
                      : s.p[i] == 'W' ? LW_OP_W
                      : s.p[i] == 'E' ? LW_OP_E
                                      : 0;
        if (!bit || (ops & bit))
            return wrong(r, ERR_INVALID, why);
        ops |= bit;
    }
    if ((ops & LW_OP_E) && ops != LW_OP_E)
        return wrong(r, ERR_INVALID, why);
    *out = ops;
    return ERR_OK;
}

/* What is executed has no value, so its type may be left out. */
static enum err read_type(struct reading *r, const struct json_node *o, uint8_t ops,
                          enum lw_type *out)
{
    const struct json_node *n = json_get(o, "type");
    struct str word = STR("none");
    if (!(ops == LW_OP_E && !n) && !json_is_str(n, &word))
        return wrong(r, ERR_INVALID, "\"type\" is missing");
    if (!lw_type_from(word, out))
        return wrong(r, ERR_INVALID,
                     "\"type\" must be string, integer, unsigned, float, boolean, opaque, time, "
                     "objlnk or corelnk");
    if ((ops == LW_OP_E) != (*out == LW_NONE))
        return wrong(r, ERR_INVALID, "what is executed has no type, all else has one");
    return ERR_OK;
}

static enum err read_resource(struct reading *r, const struct json_node *o,
                              struct lw_resource_model *res)
{
    r->resource = -1;
    enum err e = read_id(r, o, &res->id);
    if (e)
        return e;
    r->resource = res->id;
    e = read_ops(r, o, &res->ops);
    if (!e)
        e = read_flag(r, o, "multiple", &res->multiple);
    if (!e)
        e = read_flag(r, o, "mandatory", &res->mandatory);
    if (!e)
        e = read_text(r, o, "name", &res->name);
    if (!e)
        e = read_text(r, o, "range", &res->range);
    if (!e)
        e = read_text(r, o, "units", &res->units);
    return e ? e : read_type(r, o, res->ops, &res->type);
}

static int by_resource_id(const void *a, const void *b)
{
    const struct lw_resource_model *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_object_id(const void *a, const void *b)
{
    const struct lw_object_model *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static enum err read_resources(struct reading *r, const struct json_node *list,
                               struct lw_object_model *o)
{
    if (!list || list->kind != JSON_ARRAY)
        return wrong(r, ERR_INVALID, "\"resources\" must be a list");
    if (list->n > MODEL_RESOURCES)
        return wrong(r, ERR_TOOBIG, "too many resources");
    struct lw_resource_model *v = arena_calloc(r->a, list->n + 1, sizeof *v);
    if (!v)
        return wrong(r, ERR_TOOBIG, "the model becomes too big");
    size_t n = 0;
    for (const struct json_node *it = list->child; it; it = it->next) {
        enum err e = read_resource(r, it, &v[n++]);
        if (e)
            return e;
    }
    qsort(v, n, sizeof *v, by_resource_id);
    for (size_t i = 1; i < n; i++)
        if (v[i].id == v[i - 1].id) {
            r->resource = v[i].id;
            return wrong(r, ERR_CONFLICT, "defined twice");
        }
    r->resource = -1;
    o->resources = v;
    o->n_resources = n;
    return ERR_OK;
}

static enum err read_object(struct reading *r, const struct json_node *node,
                            struct lw_object_model *o)
{
    r->object = r->resource = -1;
    r->number++;
    enum err e = read_id(r, node, &o->id);
    if (e)
        return e;
    r->object = o->id;
    e = read_flag(r, node, "multiple", &o->multiple);
    if (!e)
        e = read_flag(r, node, "mandatory", &o->mandatory);
    if (!e)
        e = read_text(r, node, "name", &o->name);
    if (!e)
        e = read_text(r, node, "version", &o->version);
    if (!e)
        e = read_text(r, node, "urn", &o->urn);
    if (!e)
        e = read_resources(r, json_get(node, "resources"), o);
    return e;
}

/* The objects of one text, sorted. */
static enum err read_objects(struct reading *r, const struct json_node *root, struct lw_model *m)
{
    const struct json_node *list = json_get(root, "objects");
    if (!list || list->kind != JSON_ARRAY)
        return wrong(r, ERR_INVALID, "\"objects\" must be a list");
    if (list->n > MODEL_OBJECTS)
        return wrong(r, ERR_TOOBIG, "too many objects");
    m->objects = arena_calloc(r->a, list->n + 1, sizeof *m->objects);
    if (!m->objects)
        return wrong(r, ERR_TOOBIG, "the model becomes too big");
    m->n = 0;
    for (const struct json_node *it = list->child; it; it = it->next) {
        struct lw_object_model *o = &m->objects[m->n++];
        enum err e = read_object(r, it, o);
        o->origin = r->file;
        if (e)
            return e;
    }
    qsort(m->objects, m->n, sizeof *m->objects, by_object_id);
    for (size_t i = 1; i < m->n; i++)
        if (m->objects[i].id == m->objects[i - 1].id) {
            r->object = m->objects[i].id;
            return wrong(r, ERR_CONFLICT, "defined twice");
        }
    return ERR_OK;
}

static enum err read_text_of_model(struct reading *r, struct str json, struct lw_model *m)
{
    struct arena tree;
    struct json_node *root;
    r->number = 0;
    r->object = r->resource = -1;
    arena_init(&tree, 64 << 10, MODEL_BYTES * 4);
    enum err e = json_parse(&tree, json, MODEL_NODES, &root);
    if (e)
        wrong(r, e, "not valid JSON");
    else
        e = read_objects(r, root, m);
    arena_fini(&tree);
    return e;
}

/* Two sorted lists become one. An object of the built-in model gives way, another one does not. */
static enum err merge(struct reading *r, struct lw_model *m, const struct lw_model *more)
{
    struct lw_object_model *v = arena_calloc(r->a, m->n + more->n + 1, sizeof *v);
    if (!v)
        return wrong(r, ERR_TOOBIG, "the model becomes too big");
    size_t n = 0, i = 0, k = 0;
    while (i < m->n || k < more->n) {
        const struct lw_object_model *old = i < m->n ? &m->objects[i] : NULL;
        const struct lw_object_model *new = k < more->n ? &more->objects[k] : NULL;
        int order = !old ? 1 : !new ? -1 : by_object_id(old, new);
        if (order == 0 && old->origin) {
            r->object = old->id;
            r->other_file = old->origin;
            return wrong(r, ERR_CONFLICT, "already defined");
        }
        v[n++] = order < 0 ? *old : *new;
        i += order <= 0;
        k += order >= 0;
    }
    m->objects = v;
    m->n = n;
    return ERR_OK;
}

/* "site.json: object 26241, resource 5: ..." */
static void complain(const struct reading *r, struct buf *why)
{
    buf_printf(why, "%s: ", r->file ? r->file : "built-in model");
    if (r->object >= 0)
        buf_printf(why, "object %ld%s", r->object, r->resource >= 0 ? ", " : ": ");
    else if (r->number)
        buf_printf(why, "object number %zu: ", r->number);
    if (r->resource >= 0)
        buf_printf(why, "resource %ld: ", r->resource);
    buf_puts(why, r->wrong ? r->wrong : "cannot be read");
    if (r->other_file)
        buf_printf(why, " in %s", r->other_file);
}

enum err lw_model_load(const struct lw_model_text *texts, size_t n, struct lw_model **out,
                       struct buf *why)
{
    struct lw_model *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    arena_init(&m->arena, 16 << 10, MODEL_BYTES);
    struct reading r = {.a = &m->arena, .object = -1, .resource = -1};
    struct str builtin = str_make((const char *)lw_model_data, lw_model_data_size);
    enum err e = read_text_of_model(&r, builtin, m);
    for (size_t i = 0; i < n && !e; i++) {
        struct lw_model more = {.n = 0};
        r.file = arena_str(r.a, str_of(texts[i].name)).p;
        e = r.file ? read_text_of_model(&r, texts[i].json, &more)
                   : wrong(&r, ERR_TOOBIG, "the model becomes too big");
        if (!e)
            e = merge(&r, m, &more);
    }
    if (e) {
        complain(&r, why);
        lw_model_free(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

enum err lw_model_parse(struct str json, struct lw_model **out)
{
    struct lw_model *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    arena_init(&m->arena, 16 << 10, MODEL_BYTES);
    struct reading r = {.a = &m->arena};
    enum err e = read_text_of_model(&r, json, m);
    if (e) {
        lw_model_free(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

enum err lw_model_builtin(struct lw_model **out)
{
    return lw_model_parse(str_make((const char *)lw_model_data, lw_model_data_size), out);
}

void lw_model_free(struct lw_model *m)
{
    if (!m)
        return;
    arena_fini(&m->arena);
    free(m);
}

/* ---- looking up ---- */

const struct lw_object_model *lw_model_object(const struct lw_model *m, uint16_t object)
{
    struct lw_object_model key = {.id = object};
    return bsearch(&key, m->objects, m->n, sizeof key, by_object_id);
}

const struct lw_resource_model *lw_model_resource(const struct lw_model *m, uint16_t object,
                                                  uint16_t resource)
{
    const struct lw_object_model *o = lw_model_object(m, object);
    struct lw_resource_model key = {.id = resource};
    return o ? bsearch(&key, o->resources, o->n_resources, sizeof key, by_resource_id) : NULL;
}

size_t lw_model_count(const struct lw_model *m)
{
    return m->n;
}

const struct lw_object_model *lw_model_at(const struct lw_model *m, size_t i)
{
    return i < m->n ? &m->objects[i] : NULL;
}

static struct lw_resource_type type_of(void *ctx, uint16_t object, uint16_t resource)
{
    const struct lw_resource_model *r = lw_model_resource(ctx, object, resource);
    if (!r)
        return (struct lw_resource_type){.known = false};
    return (struct lw_resource_type){.known = true, .multiple = r->multiple, .type = r->type};
}

struct lw_typer lw_model_typer(const struct lw_model *m)
{
    /* The lookup only reads; the context is not const because other typers may need to write. */
    return (struct lw_typer){type_of, (void *)(uintptr_t)m};
}

/* ---- writing ---- */

static void write_resource(struct json_out *j, const struct lw_resource_model *r)
{
    const char *op = r->ops == (LW_OP_R | LW_OP_W) ? "RW"
                     : r->ops == LW_OP_R           ? "R"
                     : r->ops == LW_OP_W           ? "W"
                     : r->ops == LW_OP_E           ? "E"
                                                   : "";
    json_open(j, '{');
    json_put_u64(j, "id", r->id);
    json_put_text(j, "name", r->name);
    json_put_text(j, "op", op);
    json_put_bool(j, "multiple", r->multiple);
    json_put_bool(j, "mandatory", r->mandatory);
    json_put_text(j, "type", lw_type_word(r->type));
    json_put_text(j, "range", r->range);
    json_put_text(j, "units", r->units);
    json_close(j);
}

void lw_object_json(const struct lw_object_model *o, struct json_out *j)
{
    json_open(j, '{');
    json_put_u64(j, "id", o->id);
    json_put_text(j, "name", o->name);
    json_put_text(j, "version", o->version);
    json_put_text(j, "urn", o->urn);
    json_put_bool(j, "multiple", o->multiple);
    json_put_bool(j, "mandatory", o->mandatory);
    json_key(j, "resources");
    json_open(j, '[');
    for (size_t i = 0; i < o->n_resources; i++)
        write_resource(j, &o->resources[i]);
    json_close(j);
    json_close(j);
}

void lw_model_json(const struct lw_model *m, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open(&j, '{');
    json_key(&j, "objects");
    json_open(&j, '[');
    for (size_t i = 0; i < m->n; i++)
        lw_object_json(&m->objects[i], &j);
    json_close(&j);
    json_close(&j);
}
