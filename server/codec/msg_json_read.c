/* msg_json_read.c - what devices publish in the json dialect, read by the server.
 *
 * JSON null in a member means the member is absent, except among values, where it is a value.
 * Registration values may be null too: the resource exists, its value is not told. */
#include "codec/lwm2m_msg.h"

#include "codec/codec_int.h"
#include "codec/lwm2m_value_json.h"
#include "codec/msg_json_int.h"

#define VERSIONS_MAX 256

/* ---- topic ---- */

static enum err read_topic(struct str topic, const struct up_word **word, struct lw_uplink *out)
{
    struct str endpoint, tail, token = {0};
    const struct up_word *found = NULL;
    if (!msg_json_split(topic, &endpoint, &tail))
        return ERR_NOTFOUND;
    for (size_t i = 0; i < MSG_JSON_UP_WORDS && !found; i++) {
        const struct up_word *w = &msg_json_up[i];
        size_t n = strlen(w->word);
        if (!w->has_token ? str_is(tail, w->word)
                          : str_starts(tail, w->word) && tail.n > n && tail.p[n] == '/') {
            found = w;
            if (w->has_token)
                token = str_make(tail.p + n + 1, tail.n - n - 1);
            out->word = str_make(tail.p, n);
        }
    }
    if (!found)
        return ERR_NOTFOUND;
    out->kind = found->kind;
    enum err e = lw_endpoint_check(endpoint);
    if (e == ERR_OK || e == ERR_DENIED)
        out->endpoint = endpoint;
    if (!e && found->has_token && !lw_token_parse(token, &out->token))
        e = ERR_INVALID;
    *word = found;
    return e;
}

/* ---- bodies ---- */

/* A member that is text; numbers pass as they are written ("version":1.2). */
static enum err text_member(const struct json_node *root, const char *key, struct str *out)
{
    const struct json_node *n = msg_json_member(root, key);
    if (!n)
        return ERR_OK;
    if (n->kind != JSON_STRING && n->kind != JSON_NUMBER)
        return ERR_TYPE;
    *out = n->text;
    return ERR_OK;
}

/* `links` is link-format text, or an array of paths or single links. */
static enum err links_text(struct arena *a, const struct json_node *n, struct str *out)
{
    if (json_is_str(n, out))
        return ERR_OK;
    if (n->kind != JSON_ARRAY)
        return ERR_TYPE;
    size_t room = 0, used = 0;
    for (const struct json_node *m = n->child; m; m = m->next) {
        if (m->kind != JSON_STRING)
            return ERR_TYPE;
        room += m->text.n + 3;
    }
    char *text = arena_alloc(a, room + 1);
    if (!text)
        return ERR_NOMEM;
    for (const struct json_node *m = n->child; m; m = m->next) {
        bool is_link = m->text.n && m->text.p[0] == '<';
        if (used)
            text[used++] = ',';
        if (!is_link)
            text[used++] = '<';
        memcpy(text + used, m->text.p, m->text.n);
        used += m->text.n;
        if (!is_link)
            text[used++] = '>';
    }
    *out = str_make(text, used);
    return ERR_OK;
}

static enum err read_object(struct arena *a, const struct json_node *object, struct lw_uplink *out)
{
    uint16_t oid = 0;
    enum err e = lw_id_parse(object->key, &oid);
    if (e)
        return e;
    if (object->kind != JSON_OBJECT && object->kind != JSON_NULL)
        return ERR_TYPE;
    bool list = !out->reg.has_objects; /* otherwise `links` is the list */
    struct lw_path at = lw_path_of(1, oid, 0, 0, 0);
    if (!object->child)
        return list ? lw_links_add(a, &out->reg.links, at) : ERR_OK;
    for (const struct json_node *m = object->child; m && !e; m = m->next) {
        uint16_t iid = 0;
        e = lw_id_parse(m->key, &iid);
        struct lw_path instance = lw_path_down(at, iid);
        if (!e && m->kind != JSON_OBJECT && m->kind != JSON_NULL)
            e = ERR_TYPE;
        if (!e && list)
            e = lw_links_add(a, &out->reg.links, instance);
        if (!e && m->kind == JSON_OBJECT)
            e = lw_tree_from_json(a, instance, m, &out->values);
    }
    return e;
}

static enum err read_versions(struct arena *a, const struct json_node *versions,
                              struct lw_links *links)
{
    if (versions->kind != JSON_OBJECT)
        return ERR_TYPE;
    if (versions->n > VERSIONS_MAX)
        return ERR_TOOBIG;
    for (const struct json_node *m = versions->child; m; m = m->next) {
        uint16_t oid = 0;
        enum err e = lw_id_parse(m->key, &oid);
        if (!e && m->kind != JSON_STRING && m->kind != JSON_NUMBER)
            e = ERR_TYPE;
        for (size_t i = 0; i < links->n && !e; i++) {
            struct lw_link *l = &links->v[i];
            if (l->is_path && l->path.n && l->path.id[0] == oid && !lw_link_attr_find(l, "ver").p)
                e = lw_link_attr_add(a, l, "ver", m->text);
        }
        if (e)
            return e;
    }
    return ERR_OK;
}

/* The content formats a device names become the `ct` of a root link, as link format has it. */
static enum err read_ct(struct arena *a, const struct json_node *root, struct lw_links *links)
{
    struct str ct = {0};
    enum err e = text_member(root, "ct", &ct);
    if (e || !ct.p)
        return e;
    e = lw_links_add(a, links, lw_path_of(0, 0, 0, 0, 0));
    return e ? e : lw_link_attr_add(a, &links->v[links->n - 1], "ct", ct);
}

static enum err read_object_list(struct arena *a, const struct json_node *root,
                                 struct lw_uplink *out)
{
    const struct json_node *links = msg_json_member(root, "links");
    const struct json_node *objects = msg_json_member(root, "objects");
    const struct json_node *versions = msg_json_member(root, "objectVersions");
    struct lw_registration_fields *reg = &out->reg;
    struct str text = {0};
    enum err e = ERR_OK;
    if (links) {
        e = links_text(a, links, &text);
        if (!e)
            e = lw_links_parse(a, text, &reg->links);
        reg->has_objects = true;
    }
    if (!e && objects && objects->kind != JSON_OBJECT)
        e = ERR_TYPE;
    for (const struct json_node *m = objects ? objects->child : NULL; m && !e; m = m->next)
        e = read_object(a, m, out);
    reg->has_objects = reg->has_objects || objects;
    if (!e && reg->has_objects && versions)
        e = read_versions(a, versions, &reg->links);
    if (!e && reg->has_objects)
        e = read_ct(a, root, &reg->links);
    return e;
}

static enum err read_registration(struct arena *a, const struct json_node *root,
                                  struct lw_uplink *out)
{
    struct lw_registration_fields *reg = &out->reg;
    const struct json_node *lifetime = msg_json_member(root, "lifetime");
    const struct json_node *queue = msg_json_member(root, "queueMode");
    uint64_t seconds = 0;
    bool on = false;
    if (lifetime) {
        if (!json_is_u64(lifetime, &seconds))
            return ERR_TYPE;
        if (seconds > UINT32_MAX)
            return ERR_RANGE;
        reg->has_lifetime = true;
        reg->lifetime = (uint32_t)seconds;
    }
    if (queue) {
        if (!json_is_bool(queue, &on))
            return ERR_TYPE;
        reg->queue_mode = on;
    }
    enum err e = text_member(root, "version", &reg->version);
    if (!e)
        e = text_member(root, "bindingMode", &reg->binding);
    if (!e)
        e = text_member(root, "smsNumber", &reg->sms);
    if (!e)
        e = text_member(root, "pid", &reg->profile);
    return e ? e : read_object_list(a, root, out);
}

/* `values`, `links` or `ct` + `payload`. */
static enum err read_content(struct arena *a, const struct json_node *root, struct lw_uplink *out)
{
    const struct json_node *values = msg_json_member(root, "values");
    const struct json_node *links = msg_json_member(root, "links");
    enum err e = msg_json_payload(a, root, &out->ct, &out->payload);
    if (!out->payload.p)
        out->ct = LW_CT_NONE;
    if (e)
        return e;
    if ((values != NULL) + (links != NULL) + (out->payload.p != NULL) > 1)
        return ERR_INVALID;
    if (values)
        return lw_list_from_json(a, values, &out->values);
    if (links) {
        out->ct = LW_CT_LINK;
        return links_text(a, links, &out->payload);
    }
    return ERR_OK;
}

static enum err read_response(struct arena *a, const struct json_node *root, struct lw_uplink *out)
{
    struct str code = {0}, path = {0};
    enum err e = text_member(root, "code", &code);
    if (!e)
        e = lw_code_parse(code, &out->code);
    if (!e)
        e = text_member(root, "error", &out->error);
    if (!e)
        e = text_member(root, "path", &path);
    if (!e && path.p) {
        e = lw_path_parse(path, &out->created);
        out->has_created = !e;
    }
    return e ? e : read_content(a, root, out);
}

static enum err read_notification(struct arena *a, const struct json_node *root,
                                  struct lw_uplink *out)
{
    enum err e = read_content(a, root, out);
    if (!e && !out->payload.p && !json_get(root, "values"))
        return ERR_INVALID;
    return e;
}

static enum err read_bootstrap(const struct json_node *root, struct lw_uplink *out)
{
    const struct json_node *pct = msg_json_member(root, "pct");
    uint64_t number = 0;
    if (!out->token.text[0] || (pct && (!json_is_u64(pct, &number) || number >= LW_CT_NONE)))
        return ERR_INVALID;
    if (pct)
        out->pct = (unsigned)number;
    return ERR_OK;
}

/* Members every message may have: the endpoint (must be the topic's) and a token. */
static enum err read_common(const struct json_node *root, const struct up_word *word,
                            struct lw_uplink *out)
{
    struct str endpoint = {0}, token = {0};
    enum err e = text_member(root, "token", &token);
    if (!e && token.p && !word->has_token && !lw_token_parse(token, &out->token))
        e = ERR_INVALID;
    if (!e)
        e = text_member(root, "endpoint", &endpoint);
    if (!e && endpoint.p && !str_eq(endpoint, out->endpoint))
        e = ERR_DENIED;
    return e;
}

static enum err read_body(struct arena *a, const struct json_node *root, const struct up_word *word,
                          struct lw_uplink *out)
{
    enum err e = read_common(root, word, out);
    if (e)
        return e;
    switch (word->kind) {
    case LW_UP_REGISTER:
    case LW_UP_UPDATE:
        return read_registration(a, root, out);
    case LW_UP_NOTIFY:
    case LW_UP_SEND:
        return read_notification(a, root, out);
    case LW_UP_RESPONSE:
    case LW_UP_BS_RESPONSE:
        return read_response(a, root, out);
    case LW_UP_BS_REQUEST:
    case LW_UP_BS_PACK:
        return read_bootstrap(root, out);
    default:
        return ERR_OK;
    }
}

static bool is_bare_senml(struct str payload)
{
    size_t i = 0;
    while (i < payload.n && strchr(" \t\r\n", payload.p[i]) && payload.p[i])
        i++;
    return i < payload.n && payload.p[i] == '[';
}

enum err msg_json_decode(struct arena *a, struct str topic, struct str payload,
                         struct lw_uplink *out)
{
    const struct up_word *word = NULL;
    struct json_node *root = NULL;
    *out = (struct lw_uplink){.ct = LW_CT_NONE, .pct = LW_CT_NONE, .reg.queue_mode = -1};
    enum err e = read_topic(topic, &word, out);
    if (e)
        return e;
    if (payload.n > MSG_JSON_MAX)
        return ERR_TOOBIG;
    if (!payload.n && word->may_be_empty)
        return ERR_OK;
    if (is_bare_senml(payload) && (word->kind == LW_UP_NOTIFY || word->kind == LW_UP_SEND)) {
        out->ct = LW_CT_SENML_JSON;
        out->payload = payload;
        return ERR_OK;
    }
    e = json_parse(a, payload, LW_JSON_NODES, &root);
    if (e)
        return e;
    return root->kind == JSON_OBJECT ? read_body(a, root, word, out) : ERR_INVALID;
}
