/* msg_json_device.c - the json dialect as a device speaks it: reads commands and acks, writes
 * registrations, notifications and answers.  The simulator is that device. */
#include "codec/codec_int.h"
#include "codec/lwm2m_attrs.h"
#include "codec/lwm2m_msg.h"
#include "codec/lwm2m_value_json.h"
#include "codec/msg_json_int.h"

#include <stdlib.h>

/* ---- server -> device ---- */

static enum err read_attributes(const struct json_node *n, struct lw_attrs *out)
{
    if (n->kind != JSON_OBJECT)
        return ERR_TYPE;
    for (const struct json_node *m = n->child; m; m = m->next) {
        enum lw_attr attr;
        double v = 0;
        if (!lw_attr_from(m->key, &attr))
            return ERR_INVALID;
        if (m->kind == JSON_NULL) {
            out->unset |= (uint16_t)(1u << attr);
            continue;
        }
        enum err e = json_is_double(m, &v) ? lw_attrs_set(out, attr, v) : ERR_TYPE;
        if (e)
            return e;
    }
    return ERR_OK;
}

/* `value` (with `type`), `values`, or `ct` + `payload`, which is decoded at once. */
static enum err read_values(struct arena *a, const struct json_node *root, struct lw_typer typer,
                            struct lw_downlink *out)
{
    const struct json_node *values = json_get(root, "values"), *value = json_get(root, "value");
    enum err e = msg_json_payload(a, root, &out->ct, &out->payload);
    if (e)
        return e;
    if (out->payload.p)
        return lw_decode(a, out->ct, out->payload, out->path, typer, &out->values);
    if (values)
        e = lw_list_from_json(a, values, &out->values);
    else if (value) /* with its `type`, or the instances of a multiple resource */
        e = lw_tree_from_json(a, out->path, value->kind == JSON_OBJECT ? value : root,
                              &out->values);
    else
        e = ERR_INVALID;
    for (size_t i = 0; i < out->values.n && !e; i++) {
        struct lw_entry *v = &out->values.v[i];
        struct lw_resource_type t = lw_typer_ask(typer, v->path);
        if (!lw_path_covers(out->path, v->path))
            e = ERR_INVALID;
        else if (t.known)
            e = lw_value_coerce(a, t.type, &v->value);
    }
    return e;
}

static enum err read_small_number(const struct json_node *n, uint64_t max, uint64_t *out)
{
    if (!json_is_u64(n, out))
        return ERR_TYPE;
    return *out <= max ? ERR_OK : ERR_RANGE;
}

/* Members only some operations have; each is optional on the wire. */
static enum err read_options(const struct json_node *root, struct lw_downlink *out)
{
    const struct json_node *depth = msg_json_member(root, "depth");
    const struct json_node *instance = msg_json_member(root, "instance");
    const struct json_node *attributes = msg_json_member(root, "attributes");
    const struct json_node *args = msg_json_member(root, "args");
    const struct json_node *ct = msg_json_member(root, "ct");
    uint64_t number = 0;
    enum err e = ERR_OK;
    if (depth && !(e = read_small_number(depth, 3, &number)))
        out->depth = (int)number;
    if (!e && instance && !(e = read_small_number(instance, LW_ID_NONE - 1, &number))) {
        out->has_instance = true;
        out->instance = (uint16_t)number;
    }
    if (!e && ct && !(e = read_small_number(ct, LW_CT_NONE - 1, &number)))
        out->ct = (unsigned)number;
    if (!e && args && !json_is_str(args, &out->args))
        e = ERR_TYPE;
    if (!e && attributes)
        e = read_attributes(attributes, &out->attrs);
    return e;
}

static bool find_op(const struct json_node *root, enum lw_down *out)
{
    struct str op, mode = STR("replace");
    if (!json_is_str(json_get(root, "op"), &op))
        return false;
    json_is_str(json_get(root, "mode"), &mode);
    for (unsigned i = 0; i < LW_DOWN_COUNT; i++)
        if (i != LW_DOWN_ACK && str_is(op, lw_down_words[i])) {
            *out = i == LW_DOWN_WRITE && str_is(mode, "update") ? LW_DOWN_WRITE_UPDATE
                                                                : (enum lw_down)i;
            return true;
        }
    return false;
}

static enum err read_command(struct arena *a, const struct json_node *root, struct lw_typer typer,
                             struct lw_downlink *out)
{
    struct str path = {0}, observation = {0};
    if (!find_op(root, &out->op))
        return ERR_UNSUPPORTED;
    if (json_is_str(json_get(root, "path"), &path)) {
        enum err bad = lw_path_parse(path, &out->path);
        if (bad)
            return bad;
    }
    enum err e = read_options(root, out);
    if (e)
        return e;
    switch (out->op) {
    case LW_DOWN_WRITE:
    case LW_DOWN_WRITE_UPDATE:
    case LW_DOWN_CREATE:
        return path.p ? read_values(a, root, typer, out) : ERR_INVALID;
    case LW_DOWN_WRITE_COMPOSITE:
        return read_values(a, root, typer, out);
    case LW_DOWN_READ_COMPOSITE:
    case LW_DOWN_OBSERVE_COMPOSITE: {
        struct lw_path *paths = NULL;
        e = msg_json_paths(a, json_get(root, "paths"), &paths, &out->n_paths);
        out->paths = paths;
        return e;
    }
    case LW_DOWN_CANCEL:
        return json_is_str(json_get(root, "observation"), &observation) &&
                       lw_token_parse(observation, &out->observation)
                   ? ERR_OK
                   : ERR_INVALID;
    default:
        return path.p ? ERR_OK : ERR_INVALID;
    }
}

static enum err read_ack(struct arena *a, const struct json_node *root, struct lw_downlink *out)
{
    const struct json_node *code = json_get(root, "code"), *lifetime = json_get(root, "lifetime");
    const struct json_node *values = msg_json_member(root, "values");
    struct str token;
    uint64_t seconds = 0;
    if (json_is_str(json_get(root, "token"), &token) && !lw_token_parse(token, &out->token))
        return ERR_INVALID;
    if (!code || (code->kind != JSON_STRING && code->kind != JSON_NUMBER))
        return ERR_INVALID;
    enum err e = lw_code_parse(code->text, &out->code);
    if (!e && lifetime && !(e = read_small_number(lifetime, UINT32_MAX, &seconds))) {
        out->has_lifetime = true;
        out->lifetime = (uint32_t)seconds;
    }
    json_is_str(json_get(root, "error"), &out->error);
    if (!e && values)
        e = lw_list_from_json(a, values, &out->values);
    return e;
}

static enum err read_down_topic(struct str topic, struct lw_downlink *out)
{
    struct str endpoint, tail;
    if (!msg_json_split(topic, &endpoint, &tail))
        return ERR_NOTFOUND;
    if (str_starts(tail, "cmd/"))
        return lw_token_parse(str_make(tail.p + 4, tail.n - 4), &out->token) ? ERR_OK : ERR_INVALID;
    out->op = LW_DOWN_ACK;
    if (str_is(tail, "bs/ack")) {
        out->ack_of = LW_UP_BS_REQUEST;
        out->ack_word = str_of("bs/req");
        return ERR_OK;
    }
    if (!str_starts(tail, "ack/"))
        return ERR_NOTFOUND;
    out->ack_word = str_make(tail.p + 4, tail.n - 4);
    for (size_t i = 0; i < MSG_JSON_UP_WORDS; i++)
        if (str_is(out->ack_word, msg_json_up[i].word)) {
            out->ack_of = msg_json_up[i].kind;
            return ERR_OK;
        }
    return ERR_NOTFOUND;
}

enum err msg_json_decode_down(struct arena *a, struct str topic, struct str payload,
                              struct lw_typer typer, struct lw_downlink *out)
{
    struct json_node *root = NULL;
    *out = (struct lw_downlink){
        .op = LW_DOWN_COUNT, .ct = LW_CT_NONE, .depth = -1, .path = lw_path_of(0, 0, 0, 0, 0)};
    enum err e = read_down_topic(topic, out);
    if (e)
        return e;
    if (payload.n > MSG_JSON_MAX)
        return ERR_TOOBIG;
    e = json_parse(a, payload, LW_JSON_NODES, &root);
    if (e)
        return e;
    if (root->kind != JSON_OBJECT)
        return ERR_INVALID;
    return out->op == LW_DOWN_ACK ? read_ack(a, root, out) : read_command(a, root, typer, out);
}

/* ---- device -> server ---- */

static void put_str(struct json_out *j, const char *key, struct str s)
{
    if (s.p)
        json_put_str(j, key, s);
}

static int cmp_entries(const void *x, const void *y)
{
    return lw_path_cmp(((const struct lw_entry *)x)->path, ((const struct lw_entry *)y)->path);
}

/* One nested list of everything told: instances from the links (as entries without level 3) and
 * values, in path order.  Walking it, levels open and close as the path changes. */
struct tree {
    struct json_out *j;
    struct lw_path at; /* levels that are open */
};

static void close_to(struct tree *t, unsigned n)
{
    while (t->at.n > n) {
        json_close(t->j);
        t->at = lw_path_up(t->at, t->at.n - 1u);
    }
}

static void open_to(struct tree *t, struct lw_path p, unsigned n)
{
    unsigned same = 0;
    while (same < t->at.n && same < n && t->at.id[same] == p.id[same])
        same++;
    close_to(t, same);
    while (t->at.n < n) {
        char key[8];
        uint64_t id = p.id[t->at.n];
        size_t digits = sizeof key;
        do {
            key[--digits] = (char)('0' + id % 10);
            id /= 10;
        } while (id);
        json_key_str(t->j, str_make(key + digits, sizeof key - digits));
        t->at = lw_path_down(t->at, p.id[t->at.n]);
        if (t->at.n < p.n || p.n < 3)
            json_open(t->j, '{');
    }
}

static void put_tree_entry(struct tree *t, const struct lw_entry *e)
{
    open_to(t, e->path, e->path.n);
    if (e->path.n >= 3) { /* a leaf: no bracket was opened for the last level */
        lw_value_json(t->j, e->value);
        t->at = lw_path_up(t->at, e->path.n - 1u);
    }
}

static enum err put_objects(struct json_out *j, const struct lw_uplink *u)
{
    size_t n = 0, room = u->reg.links.n + u->values.n;
    struct lw_entry *all = calloc(room ? room : 1, sizeof *all);
    if (!all)
        return ERR_NOMEM;
    for (size_t i = 0; i < u->reg.links.n; i++) {
        const struct lw_link *l = &u->reg.links.v[i];
        if (l->is_path && (l->path.n == 1 || l->path.n == 2))
            all[n++] = (struct lw_entry){.path = l->path};
    }
    for (size_t i = 0; i < u->values.n; i++)
        if (u->values.v[i].path.n >= 3)
            all[n++] = u->values.v[i];
    qsort(all, n, sizeof *all, cmp_entries);
    struct tree t = {.j = j, .at = lw_path_of(0, 0, 0, 0, 0)};
    json_key(j, "objects");
    json_open(j, '{');
    for (size_t i = 0; i < n; i++)
        if (!i || !lw_path_eq(all[i].path, all[i - 1].path))
            put_tree_entry(&t, &all[i]);
    close_to(&t, 0);
    json_close(j);
    free(all);
    return ERR_OK;
}

/* The version of an object is the `ver` of its first link that has one; links of one object follow
 * each other in every list a client makes. */
static void put_versions(struct json_out *j, const struct lw_links *links)
{
    bool open = false;
    uint16_t last = LW_ID_NONE;
    for (size_t i = 0; i < links->n; i++) {
        const struct lw_link *l = &links->v[i];
        struct str ver = lw_link_attr_find(l, "ver");
        if (!l->is_path || !l->path.n || !ver.p || l->path.id[0] == last)
            continue;
        last = l->path.id[0];
        if (!open) {
            json_key(j, "objectVersions");
            json_open(j, '{');
            open = true;
        }
        char key[LW_PATH_TEXT];
        size_t n = lw_path_text(lw_path_up(l->path, 1), key);
        json_key_str(j, str_make(key + 1, n - 1));
        json_str(j, ver);
    }
    if (open)
        json_close(j);
}

static enum err put_registration(struct json_out *j, const struct lw_uplink *u)
{
    const struct lw_registration_fields *reg = &u->reg;
    if (u->kind == LW_UP_REGISTER)
        put_str(j, "endpoint", u->endpoint);
    if (reg->has_lifetime)
        json_put_u64(j, "lifetime", reg->lifetime);
    put_str(j, "version", reg->version);
    put_str(j, "bindingMode", reg->binding);
    put_str(j, "smsNumber", reg->sms);
    put_str(j, "pid", reg->profile);
    if (reg->queue_mode >= 0)
        json_put_bool(j, "queueMode", reg->queue_mode != 0);
    if (!reg->has_objects)
        return ERR_OK;
    put_versions(j, &reg->links);
    return put_objects(j, u);
}

static void put_content(struct json_out *j, const struct lw_uplink *u)
{
    if (u->payload.p && u->ct == LW_CT_LINK) {
        put_str(j, "links", u->payload);
    } else if (u->payload.p) {
        msg_json_put_payload(j, u->ct == LW_CT_NONE ? LW_CT_OPAQUE : u->ct, u->payload);
    } else if (u->values.n || u->kind == LW_UP_NOTIFY || u->kind == LW_UP_SEND ||
               u->code == LW_CONTENT) {
        json_key(j, "values");
        lw_list_to_json(j, &u->values);
    }
}

static enum err put_up(struct json_out *j, const struct up_word *word, const struct lw_uplink *u)
{
    if (!word->has_token && u->token.text[0])
        put_str(j, "token", str_of(u->token.text));
    switch (u->kind) {
    case LW_UP_REGISTER:
    case LW_UP_UPDATE:
        return put_registration(j, u);
    case LW_UP_RESPONSE:
    case LW_UP_BS_RESPONSE:
        msg_json_put_code(j, u->code);
        put_str(j, "error", u->error);
        if (u->has_created)
            msg_json_put_path(j, "path", u->created);
        put_content(j, u);
        return ERR_OK;
    case LW_UP_NOTIFY:
    case LW_UP_SEND:
        put_content(j, u);
        return ERR_OK;
    case LW_UP_BS_REQUEST:
        if (u->pct != LW_CT_NONE)
            json_put_u64(j, "pct", u->pct);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

enum err msg_json_encode_up(const struct lw_uplink *u, struct buf *topic, struct buf *payload)
{
    const struct up_word *word = NULL;
    struct json_out j;
    for (size_t i = 0; i < MSG_JSON_UP_WORDS && !word; i++)
        if (msg_json_up[i].kind == u->kind && (!u->word.n || str_is(u->word, msg_json_up[i].word)))
            word = &msg_json_up[i];
    if (!word || (word->has_token && !u->token.text[0]))
        return ERR_INVALID;
    buf_puts(topic, "lwm2m/");
    buf_str(topic, u->endpoint);
    buf_putc(topic, '/');
    buf_puts(topic, word->word);
    if (word->has_token) {
        buf_putc(topic, '/');
        buf_puts(topic, u->token.text);
    }
    json_out_init(&j, payload);
    json_open(&j, '{');
    enum err e = put_up(&j, word, u);
    json_close(&j);
    if (!e)
        e = topic->err ? topic->err : payload->err;
    return e;
}
