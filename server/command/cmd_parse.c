/* cmd_parse.c - a request body becomes a checked request, or one clear sentence.
 *
 * Two tables decide everything that can be decided without a device: which members exist and what
 * form each has (members), and which of them an operation needs or may have and how deep its path
 * goes (ops).  What is left are the few rules that join members (value or values, a create's
 * instance), one small function each. */
#include "command/command.h"

#include "codec/lwm2m_attrs.h"
#include "codec/lwm2m_value_json.h"

#define BODY_NODES 20000
#define VALUES_MAX 1000
#define ARGS_MAX   4096
#define METRIC_MAX 512
#define DEVICE_MAX 256
#define TIMEOUT_MS 10000
#define TTL_S      86400
#define DEPTH_MAX  3
#define NO_DEPTH   9 /* an operation without a path */

/* X(bit name, member) */
#define MEMBERS(X)                                                                                 \
    X(OP, op)                                                                                      \
    X(PATH, path)                                                                                  \
    X(VALUE, value)                                                                                \
    X(VALUES, values)                                                                              \
    X(ARGS, args)                                                                                  \
    X(ATTRIBUTES, attributes)                                                                      \
    X(INSTANCE, instance)                                                                          \
    X(PATHS, paths)                                                                                \
    X(OBSERVATION, observation)                                                                    \
    X(CT, ct)                                                                                      \
    X(MODE, mode)                                                                                  \
    X(DEPTH, depth)                                                                                \
    X(TYPE, type)                                                                                  \
    X(TIMEOUT, timeout_s)                                                                          \
    X(TTL, ttl_s)                                                                                  \
    X(METRIC, metric)                                                                              \
    X(DEVICE, device)                                                                              \
    X(DATATYPE, datatype)

enum member_index {
#define X(id, word) I_##id,
    MEMBERS(X)
#undef X
        I_COUNT
};
enum member {
#define X(id, word) M_##id = 1 << I_##id,
    MEMBERS(X)
#undef X
};
#define M_ALWAYS (M_OP | M_TIMEOUT | M_TTL)

struct member_row {
    const char *word, *stranger; /* the sentence when it does not belong to the operation */
};

static const struct member_row member_rows[I_COUNT] = {
#define X(id, word) [I_##id] = {#word, #word " does not belong to this operation"},
    MEMBERS(X)
#undef X
};

struct op_rule {
    unsigned need, may;
    unsigned min_depth, max_depth; /* of the path */
    enum lw_down down;
    const char *missing;   /* sentence */
    const char *bad_depth; /* sentence */
};

#define AT_INSTANCE_OR_BELOW "the path must name an instance, a resource or a resource instance"
#define AT_OBJECT_OR_BELOW   "the path must name an object or something in it"

static const struct op_rule op_rules[CMD_OP_COUNT] = {
    [CMD_READ] = {M_PATH, M_CT, 1, 4, LW_DOWN_READ, "path is required for read",
                  AT_OBJECT_OR_BELOW},
    [CMD_DISCOVER] = {M_PATH, M_DEPTH, 1, 3, LW_DOWN_DISCOVER, "path is required for discover",
                      "discover takes an object, an instance or a resource"},
    [CMD_WRITE] = {M_PATH, M_VALUE | M_VALUES | M_TYPE | M_CT | M_MODE, 2, 4, LW_DOWN_WRITE,
                   "path is required for write", AT_INSTANCE_OR_BELOW},
    [CMD_WRITE_ATTRIBUTES] = {M_PATH | M_ATTRIBUTES, 0, 1, 4, LW_DOWN_WRITE_ATTRIBUTES,
                              "path and attributes are required for write-attributes",
                              AT_OBJECT_OR_BELOW},
    [CMD_EXECUTE] = {M_PATH, M_ARGS, 3, 3, LW_DOWN_EXECUTE, "path is required for execute",
                     "execute takes a resource, for example /3/0/4"},
    [CMD_CREATE] = {M_PATH | M_VALUES, M_INSTANCE | M_CT, 1, 1, LW_DOWN_CREATE,
                    "path and values are required for create",
                    "create takes an object, for example /3303; the new instance goes to instance"},
    [CMD_DELETE] = {M_PATH, 0, 2, 4, LW_DOWN_DELETE, "path is required for delete",
                    "delete takes an instance or a resource instance"},
    [CMD_READ_COMPOSITE] = {M_PATHS, M_CT, NO_DEPTH, NO_DEPTH, LW_DOWN_READ_COMPOSITE,
                            "paths is required for read-composite", NULL},
    [CMD_WRITE_COMPOSITE] = {M_VALUES, M_CT, NO_DEPTH, NO_DEPTH, LW_DOWN_WRITE_COMPOSITE,
                             "values is required for write-composite", NULL},
    [CMD_OBSERVE_OP] = {M_PATH, M_ATTRIBUTES | M_CT, 1, 4, LW_DOWN_OBSERVE,
                        "path is required for observe", AT_OBJECT_OR_BELOW},
    [CMD_OBSERVE_COMPOSITE] = {M_PATHS, M_CT, NO_DEPTH, NO_DEPTH, LW_DOWN_OBSERVE_COMPOSITE,
                               "paths is required for observe-composite", NULL},
    [CMD_CANCEL_OP] = {0, M_OBSERVATION | M_PATH, 1, 4, LW_DOWN_CANCEL, NULL, AT_OBJECT_OR_BELOW},
    [CMD_METRIC_WRITE] = {M_METRIC | M_VALUE, M_DEVICE | M_DATATYPE, NO_DEPTH, NO_DEPTH, 0,
                          "metric and value are required for metric-write", NULL},
    [CMD_REBIRTH] = {0, 0, NO_DEPTH, NO_DEPTH, 0, NULL, NULL},
};

struct parse {
    struct arena *a;
    const struct json_node *m[I_COUNT]; /* members found, NULL if not given */
    unsigned given;                     /* the same as bits */
    const struct op_rule *rule;
    struct cmd_request *r;
    const char *why;
};

static enum err refuse(struct parse *p, enum err e, const char *why)
{
    p->why = why;
    return e;
}

/* ---- single members ---- */

static bool is_text(struct str s, size_t max)
{
    return s.n <= max && str_utf8_valid(s);
}

static enum err read_path(struct parse *p)
{
    struct str text;
    const struct json_node *n = p->m[I_PATH];
    if (!n)
        return ERR_OK;
    if (!json_is_str(n, &text))
        return refuse(p, ERR_INVALID, "path must be a string like \"/3/0/0\"");
    enum err e = lw_path_parse(text, &p->r->lw.path);
    if (e == ERR_RANGE)
        return refuse(p, e, "an id in the path is larger than 65534");
    if (e)
        return refuse(p, e, "path is not of the form /object/instance/resource/instance");
    unsigned depth = p->r->lw.path.n;
    if (depth < p->rule->min_depth || depth > p->rule->max_depth ||
        (p->r->op == CMD_DELETE && depth == 3))
        return refuse(p, ERR_INVALID, p->rule->bad_depth);
    return ERR_OK;
}

static enum err read_paths(struct parse *p)
{
    const struct json_node *n = p->m[I_PATHS];
    if (!n)
        return ERR_OK;
    if (n->kind != JSON_ARRAY || n->n == 0 || n->n > CMD_PATHS_MAX)
        return refuse(p, ERR_INVALID, "paths must be a list of 1 to 64 paths");
    struct lw_path *v = arena_calloc(p->a, n->n, sizeof *v);
    if (!v)
        return refuse(p, ERR_TOOBIG, "the request is too big");
    size_t k = 0;
    for (const struct json_node *it = n->child; it; it = it->next, k++) {
        struct str text;
        if (!json_is_str(it, &text) || lw_path_parse(text, &v[k]))
            return refuse(p, ERR_INVALID, "every entry of paths must be a path like \"/3/0/0\"");
        if (v[k].n == 0 && p->r->op == CMD_OBSERVE_COMPOSITE)
            return refuse(p, ERR_INVALID, "observe-composite does not take the root path");
        for (size_t i = 0; i < k; i++)
            if (lw_path_eq(v[i], v[k]))
                return refuse(p, ERR_INVALID, "a path is given twice");
    }
    p->r->lw.paths = v;
    p->r->lw.n_paths = k;
    return ERR_OK;
}

static enum err read_attributes(struct parse *p)
{
    const struct json_node *n = p->m[I_ATTRIBUTES];
    struct lw_attrs *attrs = &p->r->lw.attrs;
    if (!n)
        return ERR_OK;
    if (n->kind != JSON_OBJECT || n->n == 0)
        return refuse(p, ERR_INVALID, "attributes must be an object like {\"pmin\":1,\"lt\":null}");
    for (const struct json_node *it = n->child; it; it = it->next) {
        enum lw_attr attr;
        double v;
        if (!lw_attr_from(it->key, &attr))
            return refuse(p, ERR_INVALID,
                          "an attribute is unknown; known are pmin, pmax, gt, lt, st, epmin, "
                          "epmax, edge, con and hqmax");
        if (it->kind == JSON_NULL) {
            attrs->unset |= (uint16_t)(1u << attr);
            continue;
        }
        if (!json_is_double(it, &v) || lw_attrs_set(attrs, attr, v))
            return refuse(p, ERR_RANGE, "an attribute has a value it cannot have");
    }
    if (lw_attrs_check(attrs))
        return refuse(p, ERR_CONFLICT, "the attributes contradict each other");
    return ERR_OK;
}

static enum err read_limits(struct parse *p)
{
    double timeout = TIMEOUT_MS / 1000.0;
    uint64_t ttl = TTL_S;
    if (p->m[I_TIMEOUT] &&
        !(json_is_double(p->m[I_TIMEOUT], &timeout) && timeout >= 0.1 && timeout <= 120))
        return refuse(p, ERR_RANGE, "timeout_s must be a number from 0.1 to 120");
    if (p->m[I_TTL] && !(p->m[I_TTL]->kind == JSON_NUMBER && json_is_u64(p->m[I_TTL], &ttl) &&
                         ttl >= 1 && ttl <= 30 * 86400))
        return refuse(p, ERR_RANGE, "ttl_s must be a whole number from 1 to 2592000");
    p->r->timeout_ms = (uint32_t)(timeout * 1000 + 0.5);
    p->r->ttl_s = (uint32_t)ttl;
    return ERR_OK;
}

static enum err read_numbers(struct parse *p)
{
    struct lw_downlink *d = &p->r->lw;
    uint64_t v;
    if (p->m[I_CT]) {
        if (!json_is_u64(p->m[I_CT], &v) || v >= LW_CT_NONE || !lw_ct_name((unsigned)v))
            return refuse(p, ERR_RANGE, "ct is not a content format of LwM2M, for example 110");
        d->ct = (unsigned)v;
    }
    if (p->m[I_DEPTH]) {
        if (!json_is_u64(p->m[I_DEPTH], &v) || v > DEPTH_MAX)
            return refuse(p, ERR_RANGE, "depth must be a number from 0 to 3");
        d->depth = (int)v;
    }
    if (p->m[I_INSTANCE]) {
        if (!json_is_u64(p->m[I_INSTANCE], &v) || v >= LW_ID_NONE)
            return refuse(p, ERR_RANGE, "instance must be a number from 0 to 65534");
        d->has_instance = true;
        d->instance = (uint16_t)v;
    }
    return ERR_OK;
}

static enum err read_words(struct parse *p)
{
    struct lw_downlink *d = &p->r->lw;
    struct str s;
    if (p->m[I_ARGS]) {
        if (!json_is_str(p->m[I_ARGS], &d->args) || !is_text(d->args, ARGS_MAX))
            return refuse(p, ERR_INVALID, "args must be a string of at most 4096 bytes");
    }
    if (p->m[I_OBSERVATION] &&
        (!json_is_str(p->m[I_OBSERVATION], &s) || !lw_token_parse(s, &d->observation)))
        return refuse(p, ERR_INVALID, "observation must be the token of an observation");
    if (p->m[I_MODE]) {
        if (!json_is_str(p->m[I_MODE], &s) || !(str_is(s, "replace") || str_is(s, "update")))
            return refuse(p, ERR_INVALID, "mode must be \"replace\" or \"update\"");
        if (str_is(s, "update") && d->path.n == 4)
            return refuse(p, ERR_INVALID, "an update takes an instance or a resource");
        if (str_is(s, "update"))
            d->op = LW_DOWN_WRITE_UPDATE;
    }
    return ERR_OK;
}

/* ---- values ---- */

/* A V: [{path, value, type?}].  Unknown members would be silently lost, so they are refused. */
static enum err read_list(struct parse *p, const struct json_node *list)
{
    for (const struct json_node *it = list->child; it; it = it->next) {
        if (it->kind != JSON_OBJECT)
            return refuse(p, ERR_INVALID, "every entry of values must have a path and a value");
        for (const struct json_node *m = it->child; m; m = m->next)
            if (!str_is(m->key, "path") && !str_is(m->key, "value") && !str_is(m->key, "type"))
                return refuse(p, ERR_INVALID, "an entry of values has path, value and type only");
    }
    if (lw_list_from_json(p->a, list, &p->r->lw.values))
        return refuse(p, ERR_INVALID,
                      "every entry of values must have the path of a resource and a value");
    return ERR_OK;
}

/* The nested form below the path: {"0":v,"6":{"0":v}}. */
static enum err read_tree(struct parse *p, const struct json_node *n)
{
    struct lw_path at = p->r->lw.path;
    if (p->r->op == CMD_CREATE)
        at = lw_path_of(2, at.id[0], p->r->lw.has_instance ? p->r->lw.instance : LW_ID_NONE, 0, 0);
    if (n->kind == JSON_ARRAY)
        return refuse(p, ERR_INVALID, "a value cannot be a list; write {\"0\":...,\"1\":...}");
    if (at.n < 3 && n->kind != JSON_OBJECT)
        return refuse(p, ERR_INVALID, "an instance is written as {\"resource id\": value}");
    if (lw_tree_from_json(p->a, at, n, &p->r->lw.values))
        return refuse(p, ERR_INVALID, "the value does not fit the path: ids and scalars only");
    return ERR_OK;
}

static enum err read_value(struct parse *p)
{
    const struct json_node *value = p->m[I_VALUE], *type = p->m[I_TYPE];
    struct str word;
    enum lw_type want = LW_NONE;
    if (type &&
        (!value || !json_is_str(type, &word) || !lw_type_from(word, &want) || want == LW_NONE))
        return refuse(p, ERR_INVALID,
                      "type goes with value and names an LwM2M type, for example \"integer\"");
    if (!value)
        return ERR_OK;
    enum err e = read_tree(p, value);
    for (size_t i = 0; type && !e && i < p->r->lw.values.n; i++)
        if (lw_value_coerce(p->a, want, &p->r->lw.values.v[i].value))
            e = refuse(p, ERR_TYPE, "the value is not of the type given");
    return e;
}

static enum err read_values(struct parse *p)
{
    const struct json_node *n = p->m[I_VALUES];
    if (!n)
        return ERR_OK;
    if (n->kind == JSON_ARRAY)
        return read_list(p, n);
    if (p->r->op == CMD_WRITE_COMPOSITE)
        return refuse(p, ERR_INVALID, "values must be a list of {path, value}");
    if (n->kind != JSON_OBJECT)
        return refuse(p, ERR_INVALID, "values must be a list of {path, value} or {\"id\": value}");
    return read_tree(p, n);
}

/* Create: the values name one instance, the request's own, or leave it to the device. */
static enum err settle_instance(struct parse *p)
{
    struct lw_downlink *d = &p->r->lw;
    for (size_t i = 0; i < d->values.n; i++) {
        uint16_t id = d->values.v[i].path.id[1];
        if (!d->has_instance && id != LW_ID_NONE && i == 0) {
            d->has_instance = true;
            d->instance = id;
        }
        if (id != (d->has_instance ? d->instance : LW_ID_NONE))
            return refuse(p, ERR_CONFLICT, "the values name another instance than the one created");
    }
    return ERR_OK;
}

static enum err check_values(struct parse *p)
{
    struct lw_downlink *d = &p->r->lw;
    bool writes = p->r->op == CMD_WRITE, composite = p->r->op == CMD_WRITE_COMPOSITE;
    if (writes && !(p->given & M_VALUE) == !(p->given & M_VALUES))
        return refuse(p, ERR_INVALID, "write needs either value or values");
    if ((writes || composite) && d->values.n == 0)
        return refuse(p, ERR_INVALID, "there is no value to write");
    if (d->values.n > VALUES_MAX)
        return refuse(p, ERR_TOOBIG, "at most 1000 values go into one request");
    for (size_t i = 0; i < d->values.n; i++) {
        const struct lw_entry *entry = &d->values.v[i];
        if (entry->value.type == LW_NONE && !composite)
            return refuse(p, ERR_TYPE, "null is not a value; only write-composite removes with it");
        if (!composite && !lw_path_covers(d->path, entry->path))
            return refuse(p, ERR_CONFLICT, "a value's path is not below the request's path");
        if (!(p->r->op == CMD_CREATE) && entry->path.id[1] == LW_ID_NONE)
            return refuse(p, ERR_RANGE, "an id in a value's path is larger than 65534");
        for (size_t k = 0; k < i; k++)
            if (lw_path_eq(d->values.v[k].path, entry->path))
                return refuse(p, ERR_CONFLICT, "a value is given twice");
    }
    return p->r->op == CMD_CREATE ? settle_instance(p) : ERR_OK;
}

/* ---- Sparkplug ---- */

static enum err read_metric(struct parse *p)
{
    struct cmd_request *r = p->r;
    const struct json_node *value = p->m[I_VALUE];
    if (!json_is_str(p->m[I_METRIC], &r->metric) || !r->metric.n || !is_text(r->metric, METRIC_MAX))
        return refuse(p, ERR_INVALID, "metric must be a name of at most 512 bytes");
    if (p->m[I_DEVICE] &&
        (!json_is_str(p->m[I_DEVICE], &r->device) || !r->device.n ||
         !is_text(r->device, DEVICE_MAX) || memchr(r->device.p, '/', r->device.n)))
        return refuse(p, ERR_INVALID, "device must be the name of a sub-device");
    if (p->m[I_DATATYPE] &&
        (!json_is_str(p->m[I_DATATYPE], &r->datatype) || !r->datatype.n || r->datatype.n > 32))
        return refuse(p, ERR_INVALID, "datatype must be the word of a Sparkplug type");
    switch (value->kind) {
    case JSON_NULL:
        r->value_is_null = true;
        return ERR_OK;
    case JSON_BOOL:
        r->value = str_of(value->boolean ? "true" : "false");
        return ERR_OK;
    case JSON_NUMBER:
    case JSON_STRING:
        r->value = value->text;
        return ERR_OK;
    default:
        return refuse(p, ERR_TYPE, "value must be a string, a number, true, false or null");
    }
}

/* ---- the whole ---- */

static enum err gather(struct parse *p, const struct json_node *root)
{
    struct str op;
    for (const struct json_node *it = root->child; it; it = it->next) {
        unsigned i = 0;
        while (i < I_COUNT && !str_is(it->key, member_rows[i].word))
            i++;
        if (i == I_COUNT)
            return refuse(p, ERR_INVALID,
                          "the request has an unknown member; known are op, path, value, values, "
                          "args, attributes, instance, paths, observation, ct, mode, depth, type, "
                          "timeout_s, ttl_s, metric, device and datatype");
        p->m[i] = it;
        p->given |= 1u << i;
    }
    if (!json_is_str(p->m[I_OP], &op))
        return refuse(p, ERR_INVALID, "op is required, for example \"read\"");
    if (!cmd_op_from(op, &p->r->op))
        return refuse(p, ERR_INVALID,
                      "op is unknown; known are read, discover, write, write-attributes, execute, "
                      "create, delete, read-composite, write-composite, observe, "
                      "observe-composite, cancel, metric-write and rebirth");
    return ERR_OK;
}

static enum err check_members(struct parse *p)
{
    p->rule = &op_rules[p->r->op];
    if (p->r->op == CMD_CANCEL_OP && !(p->given & M_OBSERVATION) == !(p->given & M_PATH))
        return refuse(p, ERR_INVALID, "cancel needs either observation (its token) or path");
    if ((p->given & p->rule->need) != p->rule->need)
        return refuse(p, ERR_INVALID, p->rule->missing);
    unsigned strangers = p->given & ~(M_ALWAYS | p->rule->need | p->rule->may);
    for (unsigned i = 0; i < I_COUNT; i++)
        if (strangers & 1u << i)
            return refuse(p, ERR_INVALID, member_rows[i].stranger);
    return ERR_OK;
}

static enum err read_all(struct parse *p)
{
    typedef enum err reader(struct parse * p);
    static reader *const lwm2m[] = {read_path,  read_paths, read_attributes, read_numbers,
                                    read_words, read_value, read_values,     check_values};
    enum err e = read_limits(p);
    if (!e && p->r->op == CMD_METRIC_WRITE)
        return read_metric(p);
    if (!e && p->r->op == CMD_REBIRTH)
        return ERR_OK;
    p->r->lw.op = p->rule->down;
    for (size_t i = 0; !e && i < sizeof lwm2m / sizeof *lwm2m; i++)
        e = lwm2m[i](p);
    return e;
}

static const char *json_sentence(enum err e)
{
    switch (e) {
    case ERR_UTF8:
        return "the request is not valid UTF-8";
    case ERR_DEPTH:
        return "the request is nested too deeply";
    case ERR_TOOBIG:
    case ERR_NOMEM:
        return "the request is too big";
    case ERR_CONFLICT:
        return "the request names a member twice";
    default:
        return "the request is not valid JSON";
    }
}

enum err cmd_parse(struct arena *a, struct str body, struct cmd_request *out, const char **why)
{
    struct cmd_request r = {.lw = {.ct = LW_CT_NONE, .depth = -1}};
    struct parse p = {.a = a, .r = &r};
    struct json_node *root;
    enum err e = json_parse(a, body, BODY_NODES, &root);
    if (e)
        p.why = json_sentence(e);
    else if (root->kind != JSON_OBJECT)
        e = refuse(&p, ERR_INVALID, "the request must be a JSON object");
    if (!e)
        e = gather(&p, root);
    if (!e)
        e = check_members(&p);
    if (!e)
        e = read_all(&p);
    if (e)
        *why = p.why;
    else
        *out = r;
    return e;
}
