/* lwm2m_content.c - see lwm2m_content.h. */
#include "codec/lwm2m_content.h"

#include "codec/codec_int.h"

#include <stdlib.h>

struct format {
    uint16_t ct;
    const char *name;
    lw_decoder *decode;
    lw_encoder *encode; /* NULL: never sent by us */
};

static const struct format formats[] = {
    {LW_CT_TEXT, "text", text_decode, text_encode},
    {LW_CT_LINK, "link", link_decode, NULL},
    {LW_CT_OPAQUE, "opaque", opaque_decode, opaque_encode},
    {LW_CT_CBOR, "cbor", value_cbor_decode, value_cbor_encode},
    {LW_CT_SENML_JSON, "senml+json", senml_json_decode, senml_json_encode},
    {LW_CT_SENML_CBOR, "senml+cbor", senml_cbor_decode, senml_cbor_encode},
    {LW_CT_ETCH_JSON, "senml-etch+json", etch_json_decode, etch_json_encode},
    {LW_CT_ETCH_CBOR, "senml-etch+cbor", etch_cbor_decode, etch_cbor_encode},
    {LW_CT_TLV, "tlv", tlv_decode, tlv_encode},
    {LW_CT_OMA_JSON, "json", oma_json_decode, NULL},
    {LW_CT_LWM2M_CBOR, "lwm2m+cbor", lwm2m_cbor_decode, lwm2m_cbor_encode},
};

/* Numbers of the 1.0 drafts that old clients still use. */
static unsigned modern(unsigned ct)
{
    switch (ct) {
    case 1541:
        return LW_CT_TEXT;
    case 1542:
        return LW_CT_TLV;
    case 1543:
        return LW_CT_OMA_JSON;
    default:
        return ct;
    }
}

static const struct format *find(unsigned ct)
{
    ct = modern(ct);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].ct == ct)
            return &formats[i];
    return NULL;
}

const char *lw_ct_name(unsigned ct)
{
    const struct format *f = find(ct);
    return f ? f->name : NULL;
}

static enum err type_entry(const struct lw_in *in, struct lw_entry *e)
{
    if (!lw_path_covers(in->base, e->path))
        return ERR_INVALID;
    struct lw_resource_type t = lw_typer_ask(in->typer, e->path);
    return t.known ? lw_value_coerce(in->a, t.type, &e->value) : ERR_OK;
}

enum err lw_decode(struct arena *a, unsigned ct, struct str body, struct lw_path base,
                   struct lw_typer typer, struct lw_entries *out)
{
    const struct format *f = find(ct);
    if (!f)
        return ERR_UNSUPPORTED;
    struct lw_in in = {a, body, base, typer};
    struct lw_entries list = {0};
    enum err e = f->decode(&in, &list);
    for (size_t i = 0; !e && i < list.n; i++)
        e = type_entry(&in, &list.v[i]);
    if (!e)
        *out = list;
    return e;
}

enum err lw_encode(unsigned ct, struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    const struct format *f = find(ct);
    if (!f || !f->encode)
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < in->n; i++)
        if (!lw_path_covers(base, in->v[i].path))
            return ERR_INVALID;
    size_t before = out->n;
    enum err e = f->encode(base, in, out);
    if (!e)
        e = out->err;
    if (e)
        out->n = before;
    return e;
}

static int cmp_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum err lw_entries_unique(struct arena *a, const struct lw_entries *list)
{
    if (list->n < 2)
        return ERR_OK;
    uint64_t *keys = arena_calloc(a, list->n, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    for (size_t i = 0; i < list->n; i++)
        keys[i] = lw_path_key(list->v[i].path);
    qsort(keys, list->n, sizeof *keys, cmp_numbers);
    for (size_t i = 1; i < list->n; i++)
        if (keys[i] == keys[i - 1])
            return ERR_CONFLICT;
    return ERR_OK;
}

static int cmp_entries(const void *a, const void *b)
{
    const struct lw_entry *x = a, *y = b;
    return lw_path_cmp(x->path, y->path);
}

enum err lw_entries_sorted(const struct lw_entries *in, struct lw_entry **out)
{
    struct lw_entry *v = calloc(in->n ? in->n : 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    if (in->n)
        memcpy(v, in->v, in->n * sizeof *v);
    qsort(v, in->n, sizeof *v, cmp_entries);
    enum err e = ERR_OK;
    for (size_t i = 0; i < in->n; i++)
        if (v[i].time_ms || (i && lw_path_eq(v[i - 1].path, v[i].path)))
            e = ERR_UNSUPPORTED;
    if (e) {
        free(v);
        return e;
    }
    *out = v;
    return ERR_OK;
}
