/* lwm2m_senml_json.c - SenML JSON (110) and SenML-ETCH JSON (320), and the 1.0 ancestor of both,
 * OMA JSON (11543), which is only read. */
#include "codec/codec_int.h"
#include "codec/json_in.h"
#include "codec/lwm2m_senml.h"
#include "codec/lwm2m_value_json.h"

#include <inttypes.h>
#include <math.h>

static enum err read_record(struct arena *a, const struct json_node *n, struct senml_record *out)
{
    struct senml_record r = {0};
    enum err e = n->kind == JSON_OBJECT ? ERR_OK : ERR_INVALID;
    for (const struct json_node *m = n->child; m && !e; m = m->next) {
        enum senml_label label = senml_label_of(m->key);
        struct lw_value v = {.type = LW_NONE};
        if (label != SENML_UNKNOWN)
            e = lw_value_from_json(m, &v);
        if (!e)
            e = senml_field(a, &r, label, m->key, v);
    }
    if (!e)
        *out = r;
    return e;
}

static enum err decode(const struct lw_in *in, bool etch, struct lw_entries *out)
{
    struct json_node *root = NULL;
    enum err e = json_parse(in->a, in->body, LW_JSON_NODES, &root);
    if (e)
        return e;
    if (root->kind != JSON_ARRAY)
        return ERR_INVALID;
    struct senml s = {.a = in->a, .list = out, .etch = etch};
    for (const struct json_node *n = root->child; n && !e; n = n->next) {
        struct senml_record r;
        e = read_record(in->a, n, &r);
        if (!e)
            e = senml_add(&s, &r);
    }
    return e;
}

enum err senml_json_decode(const struct lw_in *in, struct lw_entries *out)
{
    return decode(in, false, out);
}

enum err etch_json_decode(const struct lw_in *in, struct lw_entries *out)
{
    return decode(in, true, out);
}

/* base64url without padding, as RFC 8428 wants `vd`. */
static void put_vd(struct buf *out, struct str bytes)
{
    char chunk[400];
    buf_puts(out, ",\"vd\":\"");
    for (size_t i = 0; i < bytes.n; i += 300) {
        size_t step = bytes.n - i < 300 ? bytes.n - i : 300;
        size_t n = str_to_base64(bytes.p + i, step, chunk);
        while (n && chunk[n - 1] == '=')
            n--;
        for (size_t k = 0; k < n; k++)
            chunk[k] = chunk[k] == '+' ? '-' : chunk[k] == '/' ? '_' : chunk[k];
        buf_put(out, chunk, n);
    }
    buf_putc(out, '"');
}

/* Numbers stay numbers here, however large: SenML has no strings for them. */
static enum err put_value(struct json_out *j, const struct lw_value *v)
{
    char text[32];
    switch (v->type) {
    case LW_INTEGER:
    case LW_TIME:
        buf_printf(j->b, ",\"v\":%" PRId64, v->i);
        return ERR_OK;
    case LW_UNSIGNED:
        buf_printf(j->b, ",\"v\":%" PRIu64, v->u);
        return ERR_OK;
    case LW_FLOAT:
        if (!isfinite(v->f))
            return ERR_RANGE;
        buf_puts(j->b, ",\"v\":");
        buf_put(j->b, text, str_from_double(v->f, text));
        return ERR_OK;
    case LW_BOOLEAN:
        buf_puts(j->b, v->b ? ",\"vb\":true" : ",\"vb\":false");
        return ERR_OK;
    case LW_OPAQUE:
        put_vd(j->b, v->s);
        return ERR_OK;
    case LW_OBJLNK:
        json_put_str(j, "vlo", str_make(text, lw_objlnk_text(*v, text)));
        return ERR_OK;
    default:
        json_put_str(j, "vs", v->s);
        return ERR_OK;
    }
}

static enum err encode(struct lw_path base, const struct lw_entries *in, bool etch, struct buf *out)
{
    struct senml_names names = senml_names_of(base, in);
    struct json_out j;
    enum err e = ERR_OK;
    if (!senml_sayable(in, etch))
        return ERR_UNSUPPORTED;
    json_out_init(&j, out);
    json_open(&j, '[');
    for (size_t i = 0; i < in->n && !e; i++) {
        const struct lw_entry *entry = &in->v[i];
        char name[LW_PATH_TEXT];
        json_open(&j, '{');
        if (!i && names.bn_len)
            json_put_str(&j, "bn", str_make(names.bn, names.bn_len));
        json_put_str(&j, "n", str_make(name, senml_name(&names, entry->path, name)));
        if (entry->time_ms)
            json_put_double(&j, "t", (double)entry->time_ms / 1000);
        if (entry->value.type != LW_NONE)
            e = put_value(&j, &entry->value);
        else if (etch)
            buf_puts(out, ",\"v\":null");
        json_close(&j);
    }
    json_close(&j);
    return e;
}

enum err senml_json_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    return encode(base, in, false, out);
}

enum err etch_json_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    return encode(base, in, true, out);
}

/* ---- OMA JSON: {"bn":"/3/0/","bt":1,"e":[{"n":"0","sv":".."},...]} ---- */

static enum senml_label oma_label_of(struct str name)
{
    static const struct {
        const char *name;
        enum senml_label label;
    } table[] = {{"n", SENML_N},   {"v", SENML_V},    {"sv", SENML_VS},
                 {"bv", SENML_VB}, {"ov", SENML_VLO}, {"t", SENML_T}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (str_is(name, table[i].name))
            return table[i].label;
    return SENML_UNKNOWN;
}

static enum err read_element(struct arena *a, const struct json_node *n, struct senml_record *r)
{
    enum err e = n->kind == JSON_OBJECT ? ERR_OK : ERR_INVALID;
    for (const struct json_node *m = n->child; m && !e; m = m->next) {
        enum senml_label label = oma_label_of(m->key);
        struct lw_value v = {.type = LW_NONE};
        if (label != SENML_UNKNOWN)
            e = lw_value_from_json(m, &v);
        if (!e && label != SENML_UNKNOWN)
            e = senml_field(a, r, label, m->key, v);
    }
    return e;
}

enum err oma_json_decode(const struct lw_in *in, struct lw_entries *out)
{
    struct json_node *root = NULL;
    enum err e = json_parse(in->a, in->body, LW_JSON_NODES, &root);
    if (e)
        return e;
    const struct json_node *list = json_get(root, "e"), *bn = json_get(root, "bn"),
                           *bt = json_get(root, "bt");
    struct senml s = {.a = in->a, .list = out};
    if (!list || list->kind != JSON_ARRAY || (bn && !json_is_str(bn, &s.bn)) ||
        (bt && !json_is_double(bt, &s.bt)))
        return ERR_INVALID;
    for (const struct json_node *n = list->child; n && !e; n = n->next) {
        struct senml_record r = {0};
        e = read_element(in->a, n, &r);
        if (!e && !r.has_value)
            e = ERR_INVALID;
        if (!e)
            e = senml_add(&s, &r);
    }
    return e;
}
