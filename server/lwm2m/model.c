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

static enum err read_id(const struct json_node *o, uint16_t *out)
{
    uint64_t id;
    if (!json_is_u64(json_get(o, "id"), &id))
        return ERR_INVALID;
    if (id >= LW_ID_NONE)
        return ERR_RANGE;
    *out = (uint16_t)id;
    return ERR_OK;
}

/* An optional text: "" when absent. */
static enum err read_text(struct arena *a, const struct json_node *o, const char *key,
                          const char **out)
{
    const struct json_node *n = json_get(o, key);
    struct str s;
    if (!n) {
        *out = "";
        return ERR_OK;
    }
    if (!json_is_str(n, &s) || !str_utf8_valid(s))
        return ERR_INVALID;
    struct str copy = arena_str(a, s);
    if (!copy.p)
        return ERR_TOOBIG;
    *out = copy.p;
    return ERR_OK;
}

static enum err read_flag(const struct json_node *o, const char *key, bool *out)
{
    const struct json_node *n = json_get(o, key);
    if (!n) {
        *out = false;
        return ERR_OK;
    }
    return json_is_bool(n, out) ? ERR_OK : ERR_INVALID;
}

/* "R", "W", "RW", "E" or "". */
static enum err read_ops(const struct json_node *o, uint8_t *out)
{
    struct str s;
    uint8_t ops = 0;
    if (!json_is_str(json_get(o, "op"), &s))
        return ERR_INVALID;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t bit = s.p[i] == 'R'   ? LW_OP_R
                      : s.p[i] == 'W' ? LW_OP_W
                      : s.p[i] == 'E' ? LW_OP_E
                                      : 0;
        if (!bit || (ops & bit))
            return ERR_INVALID;
        ops |= bit;
    }
    if ((ops & LW_OP_E) && ops != LW_OP_E)
        return ERR_INVALID;
    *out = ops;
    return ERR_OK;
}

static enum err read_resource(struct arena *a, const struct json_node *o,
                              struct lw_resource_model *r)
{
    struct str type;
    enum err e = read_id(o, &r->id);
    if (!e)
        e = read_ops(o, &r->ops);
    if (!e)
        e = read_flag(o, "multiple", &r->multiple);
    if (!e)
        e = read_flag(o, "mandatory", &r->mandatory);
    if (!e)
        e = read_text(a, o, "name", &r->name);
    if (!e)
        e = read_text(a, o, "range", &r->range);
    if (!e)
        e = read_text(a, o, "units", &r->units);
    if (!e && (!json_is_str(json_get(o, "type"), &type) || !lw_type_from(type, &r->type)))
        e = ERR_INVALID;
    return e;
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

static enum err read_resources(struct arena *a, const struct json_node *list,
                               struct lw_object_model *o)
{
    if (!list || list->kind != JSON_ARRAY)
        return ERR_INVALID;
    if (list->n > MODEL_RESOURCES)
        return ERR_TOOBIG;
    struct lw_resource_model *v = arena_calloc(a, list->n + 1, sizeof *v);
    if (!v)
        return ERR_TOOBIG;
    size_t n = 0;
    for (const struct json_node *it = list->child; it; it = it->next) {
        enum err e = read_resource(a, it, &v[n++]);
        if (e)
            return e;
    }
    qsort(v, n, sizeof *v, by_resource_id);
    for (size_t i = 1; i < n; i++)
        if (v[i].id == v[i - 1].id)
            return ERR_CONFLICT;
    o->resources = v;
    o->n_resources = n;
    return ERR_OK;
}

static enum err read_object(struct arena *a, const struct json_node *node,
                            struct lw_object_model *o)
{
    enum err e = read_id(node, &o->id);
    if (!e)
        e = read_flag(node, "multiple", &o->multiple);
    if (!e)
        e = read_flag(node, "mandatory", &o->mandatory);
    if (!e)
        e = read_text(a, node, "name", &o->name);
    if (!e)
        e = read_text(a, node, "version", &o->version);
    if (!e)
        e = read_text(a, node, "urn", &o->urn);
    if (!e)
        e = read_resources(a, json_get(node, "resources"), o);
    return e;
}

static enum err read_model(const struct json_node *root, struct lw_model *m)
{
    const struct json_node *list = json_get(root, "objects");
    if (!list || list->kind != JSON_ARRAY)
        return ERR_INVALID;
    if (list->n > MODEL_OBJECTS)
        return ERR_TOOBIG;
    m->objects = arena_calloc(&m->arena, list->n + 1, sizeof *m->objects);
    if (!m->objects)
        return ERR_TOOBIG;
    for (const struct json_node *it = list->child; it; it = it->next) {
        enum err e = read_object(&m->arena, it, &m->objects[m->n++]);
        if (e)
            return e;
    }
    qsort(m->objects, m->n, sizeof *m->objects, by_object_id);
    for (size_t i = 1; i < m->n; i++)
        if (m->objects[i].id == m->objects[i - 1].id)
            return ERR_CONFLICT;
    return ERR_OK;
}

enum err lw_model_parse(struct str json, struct lw_model **out)
{
    struct arena tree;
    arena_init(&tree, 64 << 10, MODEL_BYTES * 4);
    struct lw_model *m = calloc(1, sizeof *m);
    enum err e = ERR_NOMEM;
    struct json_node *root;
    if (!m)
        goto out;
    arena_init(&m->arena, 16 << 10, MODEL_BYTES);
    e = json_parse(&tree, json, MODEL_NODES, &root);
    if (e)
        goto out;
    e = read_model(root, m);
    if (e)
        goto out;
    *out = m;
    m = NULL;
out:
    lw_model_free(m);
    arena_fini(&tree);
    return e;
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
    json_key(j, "id");
    json_u64(j, r->id);
    json_key(j, "name");
    json_text(j, r->name);
    json_key(j, "op");
    json_text(j, op);
    json_key(j, "multiple");
    json_bool(j, r->multiple);
    json_key(j, "mandatory");
    json_bool(j, r->mandatory);
    json_key(j, "type");
    json_text(j, lw_type_word(r->type));
    json_key(j, "range");
    json_text(j, r->range);
    json_key(j, "units");
    json_text(j, r->units);
    json_close(j);
}

void lw_object_json(const struct lw_object_model *o, struct json_out *j)
{
    json_open(j, '{');
    json_key(j, "id");
    json_u64(j, o->id);
    json_key(j, "name");
    json_text(j, o->name);
    json_key(j, "version");
    json_text(j, o->version);
    json_key(j, "urn");
    json_text(j, o->urn);
    json_key(j, "multiple");
    json_bool(j, o->multiple);
    json_key(j, "mandatory");
    json_bool(j, o->mandatory);
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
