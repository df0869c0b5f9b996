/* lwm2m_value_json.c - see lwm2m_value_json.h. */
#include "codec/lwm2m_value_json.h"

#include "codec/codec_int.h"

#include <math.h>

#define EXACT_MAX ((int64_t)1 << 53)

static bool integer_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == 'e' || s.p[i] == 'E')
            return false;
    return true;
}

static enum err number(struct str text, struct lw_value *out)
{
    struct lw_value v = {.type = LW_FLOAT};
    if (integer_text(text)) {
        v.type = LW_INTEGER;
        if (str_to_i64(text, &v.i)) {
            v.type = LW_UNSIGNED;
            if (str_to_u64(text, &v.u))
                return ERR_RANGE;
        }
    } else if (str_to_double(text, &v.f)) {
        return ERR_RANGE;
    }
    *out = v;
    return ERR_OK;
}

enum err lw_value_from_json(const struct json_node *n, struct lw_value *out)
{
    switch (n->kind) {
    case JSON_STRING:
        *out = (struct lw_value){.type = LW_STRING, .s = n->text};
        return ERR_OK;
    case JSON_NUMBER:
        return number(n->text, out);
    case JSON_BOOL:
        *out = (struct lw_value){.type = LW_BOOLEAN, .b = n->boolean};
        return ERR_OK;
    case JSON_NULL:
        *out = (struct lw_value){.type = LW_NONE};
        return ERR_OK;
    default:
        return ERR_TYPE;
    }
}

/* A node being read: where it stands, and what its list entry says of type and time. */
struct place {
    struct lw_path at;
    struct str type; /* .p NULL if not given */
    int64_t time_ms;
};

static enum err add_scalar(struct arena *a, struct place p, const struct json_node *n,
                           struct lw_entries *out)
{
    struct lw_entry entry = {.path = p.at, .time_ms = p.time_ms};
    enum lw_type type;
    if (p.at.n < 3)
        return ERR_TYPE;
    if (out->n >= LW_ENTRIES_MAX)
        return ERR_TOOBIG;
    enum err e = lw_value_from_json(n, &entry.value);
    if (!e && p.type.p)
        e = lw_type_from(p.type, &type) ? lw_value_coerce(a, type, &entry.value) : ERR_TYPE;
    return e ? e : lw_entries_add(a, out, entry);
}

/* Recursion is bounded by the four levels of a path. */
static enum err add_node(struct arena *a, struct place p, const struct json_node *n,
                         struct lw_entries *out)
{
    if (n->kind != JSON_OBJECT)
        return add_scalar(a, p, n, out);
    const struct json_node *value = json_get(n, "value");
    if (value) {
        const struct json_node *type = json_get(n, "type");
        if (value->kind == JSON_OBJECT || (type && !json_is_str(type, &p.type)))
            return ERR_TYPE;
        return add_scalar(a, p, value, out);
    }
    if (p.at.n == 4)
        return ERR_DEPTH;
    enum err e = ERR_OK;
    for (const struct json_node *m = n->child; m && !e; m = m->next) {
        struct place below = p;
        uint16_t id = 0;
        e = lw_id_parse(m->key, &id);
        below.at = lw_path_down(p.at, id);
        if (!e)
            e = add_node(a, below, m, out);
    }
    return e;
}

enum err lw_tree_from_json(struct arena *a, struct lw_path at, const struct json_node *n,
                           struct lw_entries *out)
{
    return add_node(a, (struct place){.at = at}, n, out);
}

static enum err add_item(struct arena *a, const struct json_node *item, struct lw_entries *out)
{
    struct place p = {0};
    struct str path;
    const struct json_node *value = json_get(item, "value");
    const struct json_node *type = json_get(item, "type"), *time = json_get(item, "time");
    if (!value || !json_is_str(json_get(item, "path"), &path))
        return ERR_INVALID;
    if (type && !json_is_str(type, &p.type))
        return ERR_TYPE;
    if (time && !json_is_i64(time, &p.time_ms))
        return ERR_TYPE;
    enum err e = lw_path_parse_new(path, &p.at);
    return e ? e : add_node(a, p, value, out);
}

enum err lw_list_from_json(struct arena *a, const struct json_node *v, struct lw_entries *out)
{
    if (v->kind != JSON_ARRAY)
        return ERR_TYPE;
    enum err e = ERR_OK;
    for (const struct json_node *item = v->child; item && !e; item = item->next)
        e = add_item(a, item, out);
    return e;
}

const char *lw_json_type(struct lw_value v)
{
    bool plain = false;
    switch (v.type) {
    case LW_NONE:
    case LW_STRING:
    case LW_BOOLEAN:
        plain = true;
        break;
    case LW_INTEGER:
        plain = v.i <= EXACT_MAX && v.i >= -EXACT_MAX;
        break;
    case LW_FLOAT: /* 20.0 is written 20 */
        plain = v.f != floor(v.f) && isfinite(v.f);
        break;
    default:
        break;
    }
    return plain ? NULL : lw_type_word(v.type);
}

void lw_list_to_json(struct json_out *j, const struct lw_entries *list)
{
    json_open(j, '[');
    for (size_t i = 0; i < list->n; i++) {
        const struct lw_entry *e = &list->v[i];
        char path[LW_PATH_TEXT];
        json_open(j, '{');
        json_put_str(j, "path", str_make(path, lw_path_text(e->path, path)));
        json_key(j, "value");
        lw_value_json(j, e->value);
        if (lw_json_type(e->value))
            json_put_text(j, "type", lw_json_type(e->value));
        if (e->time_ms)
            json_put_i64(j, "time", e->time_ms);
        json_close(j);
    }
    json_close(j);
}
