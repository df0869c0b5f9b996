/* lwm2m_senml_cbor.c - SenML CBOR (112) and SenML-ETCH CBOR (322). */
#include "codec/lwm2m_senml_cbor.h"

#include "codec/cbor_in.h"
#include "codec/cbor_out.h"
#include "codec/codec_int.h"
#include "codec/lwm2m_senml.h"

static enum senml_label label_of(const struct cbor_item *key, struct str *name)
{
    *name = str_make(NULL, 0);
    if (key->kind == CBOR_TEXT) {
        *name = key->s;
        return str_is(key->s, "vlo") ? SENML_VLO : SENML_UNKNOWN;
    }
    if (key->kind == CBOR_UINT && key->arg <= SENML_VD)
        return (enum senml_label)key->arg;
    if (key->kind == CBOR_NINT && key->arg < 6)
        return (enum senml_label)(-1 - (int)key->arg);
    return SENML_UNKNOWN;
}

static void read_record(struct cbor_in *c, const struct cbor_item *map, struct senml_record *r)
{
    *r = (struct senml_record){0};
    for (uint64_t i = 0; cbor_more(c, map, i); i++) {
        struct str name;
        struct cbor_item key = cbor_read(c);
        if (key.kind != CBOR_UINT && key.kind != CBOR_NINT && key.kind != CBOR_TEXT)
            cbor_fail(c, ERR_INVALID);
        enum senml_label label = label_of(&key, &name);
        struct cbor_item item = cbor_read(c);
        struct lw_value v = {.type = LW_NONE};
        if (label == SENML_UNKNOWN)
            cbor_skip(c, &item);
        else
            v = cbor_value(c, &item);
        if (c->r.err)
            return;
        enum err e = senml_field(c->a, r, label, name, v);
        if (e)
            cbor_fail(c, e);
    }
}

static enum err decode(const struct lw_in *in, bool etch, struct lw_entries *out)
{
    struct senml s = {.a = in->a, .list = out, .etch = etch};
    struct cbor_in c;
    cbor_in_init(&c, in->a, in->body);
    struct cbor_item pack = cbor_read(&c);
    if (pack.kind != CBOR_ARRAY)
        cbor_fail(&c, ERR_INVALID);
    for (uint64_t i = 0; cbor_more(&c, &pack, i); i++) {
        struct senml_record r;
        struct cbor_item map = cbor_read(&c);
        if (map.kind != CBOR_MAP)
            cbor_fail(&c, ERR_INVALID);
        read_record(&c, &map, &r);
        if (c.r.err)
            break;
        enum err e = senml_add(&s, &r);
        if (e)
            cbor_fail(&c, e);
    }
    return cbor_end(&c);
}

enum err senml_cbor_decode(const struct lw_in *in, struct lw_entries *out)
{
    return decode(in, false, out);
}

enum err etch_cbor_decode(const struct lw_in *in, struct lw_entries *out)
{
    return decode(in, true, out);
}

static void put_label(struct buf *out, enum senml_label label)
{
    cbor_int(out, label);
}

static void put_value(struct buf *out, const struct lw_value *v)
{
    static const enum senml_label labels[LW_TYPE_COUNT] = {
        [LW_NONE] = SENML_V,     [LW_STRING] = SENML_VS, [LW_INTEGER] = SENML_V,
        [LW_UNSIGNED] = SENML_V, [LW_FLOAT] = SENML_V,   [LW_BOOLEAN] = SENML_VB,
        [LW_OPAQUE] = SENML_VD,  [LW_TIME] = SENML_V,    [LW_OBJLNK] = SENML_VLO,
        [LW_CORELNK] = SENML_VS,
    };
    if (v->type == LW_OBJLNK)
        cbor_text(out, str_of("vlo"));
    else
        put_label(out, labels[v->type]);
    cbor_put_value(out, v);
}

static void put_record(struct buf *out, const struct senml_names *names, bool first, bool etch,
                       const struct lw_entry *entry)
{
    char name[LW_PATH_TEXT];
    bool with_bn = first && names->bn_len, with_value = etch || entry->value.type != LW_NONE;
    cbor_head(out, CBOR_M_MAP, 1u + with_bn + with_value + (entry->time_ms != 0));
    if (with_bn) {
        put_label(out, SENML_BN);
        cbor_text(out, str_make(names->bn, names->bn_len));
    }
    put_label(out, SENML_N);
    cbor_text(out, str_make(name, senml_name(names, entry->path, name)));
    if (with_value)
        put_value(out, &entry->value);
    if (entry->time_ms) {
        put_label(out, SENML_T);
        if (entry->time_ms % 1000)
            cbor_float(out, (double)entry->time_ms / 1000);
        else
            cbor_int(out, entry->time_ms / 1000);
    }
}

static enum err encode(struct lw_path base, const struct lw_entries *in, bool etch, struct buf *out)
{
    struct senml_names names = senml_names_of(base, in);
    if (!senml_sayable(in, etch))
        return ERR_UNSUPPORTED;
    cbor_head(out, CBOR_M_ARRAY, in->n);
    for (size_t i = 0; i < in->n; i++)
        put_record(out, &names, i == 0, etch, &in->v[i]);
    return ERR_OK;
}

enum err senml_cbor_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    return encode(base, in, false, out);
}

enum err etch_cbor_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    return encode(base, in, true, out);
}

void senml_paths_write(struct buf *out, const struct lw_path *paths, size_t n)
{
    struct senml_names names = {.base = lw_path_of(0, 0, 0, 0, 0)};
    cbor_head(out, CBOR_M_ARRAY, n);
    for (size_t i = 0; i < n; i++)
        put_record(out, &names, false, false, &(struct lw_entry){.path = paths[i]});
}

enum err senml_paths_read(struct arena *a, struct str body, struct lw_path **out, size_t *n)
{
    struct lw_in in = {.a = a, .body = body, .base = lw_path_of(0, 0, 0, 0, 0)};
    struct lw_entries list = {0};
    enum err e = decode(&in, true, &list);
    struct lw_path *paths = e ? NULL : arena_calloc(a, list.n + 1, sizeof *paths);
    if (e || !paths)
        return e ? e : ERR_NOMEM;
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].value.type != LW_NONE)
            return ERR_INVALID;
        paths[i] = list.v[i].path;
    }
    *out = paths;
    *n = list.n;
    return ERR_OK;
}
