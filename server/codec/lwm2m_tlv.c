/* lwm2m_tlv.c - OMA TLV (11542; Core 1.2.2 section 7.5.5).
 *
 *   type byte: 7-6 kind, 5 id is 16 bit, 4-3 size of the length field, 2-0 length if that is 0
 *
 * Kinds nest as the levels of a path do: object instance > resource or multiple resource >
 * resource instance.  Values carry no type; the model's is used, and bytes of an unknown resource
 * stay opaque. */
#include "base/reader.h"
#include "codec/codec_int.h"

#include <math.h>
#include <stdlib.h>

enum tlv_kind {
    TLV_OBJECT_INSTANCE = 0,
    TLV_RESOURCE_INSTANCE = 1,
    TLV_MULTIPLE = 2,
    TLV_RESOURCE = 3
};

#define LENGTH_MAX 0xffffff

struct tlv {
    enum tlv_kind kind;
    uint16_t id;
    struct str value;
};

static struct tlv read_tlv(struct reader *r)
{
    struct tlv t = {0};
    uint8_t type = reader_u8(r);
    t.kind = (enum tlv_kind)(type >> 6);
    t.id = type & 0x20 ? reader_u16be(r) : reader_u8(r);
    size_t n = type & 7;
    switch (type >> 3 & 3) {
    case 1:
        n = reader_u8(r);
        break;
    case 2:
        n = reader_u16be(r);
        break;
    case 3:
        n = (size_t)reader_u8(r) << 16;
        n |= reader_u16be(r);
        break;
    default:
        break;
    }
    t.value = reader_bytes(r, n);
    if (t.id == LW_ID_NONE)
        reader_fail(r, ERR_RANGE);
    return t;
}

/* ---- values ---- */

static enum err read_integer(struct str s, bool is_signed, uint64_t *out)
{
    if (s.n != 1 && s.n != 2 && s.n != 4 && s.n != 8)
        return ERR_TYPE;
    uint64_t v = is_signed && (uint8_t)s.p[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | (uint8_t)s.p[i];
    *out = v;
    return ERR_OK;
}

static enum err read_float(struct str s, double *out)
{
    uint64_t bits = 0;
    if ((s.n != 4 && s.n != 8) || read_integer(s, false, &bits))
        return ERR_TYPE;
    if (s.n == 8) {
        memcpy(out, &bits, sizeof *out);
    } else {
        uint32_t narrow = (uint32_t)bits;
        float f;
        memcpy(&f, &narrow, sizeof f);
        *out = f;
    }
    return ERR_OK;
}

static enum err read_value(struct str s, struct lw_resource_type model, struct lw_value *out)
{
    struct lw_value v = {.type = model.known ? model.type : LW_OPAQUE};
    uint64_t n = 0;
    enum err e = ERR_OK;
    switch (v.type) {
    case LW_INTEGER:
    case LW_TIME:
        e = read_integer(s, true, &n);
        v.i = (int64_t)n;
        break;
    case LW_UNSIGNED:
        e = read_integer(s, false, &v.u);
        break;
    case LW_FLOAT:
        e = read_float(s, &v.f);
        break;
    case LW_BOOLEAN:
        e = s.n == 1 && (uint8_t)s.p[0] <= 1 ? ERR_OK : ERR_TYPE;
        v.b = !e && s.p[0];
        break;
    case LW_OBJLNK:
        e = s.n == 4 ? read_integer(s, false, &n) : ERR_TYPE;
        v.link.oid = (uint16_t)(n >> 16);
        v.link.iid = (uint16_t)n;
        break;
    case LW_STRING:
    case LW_CORELNK:
        e = str_utf8_valid(s) ? ERR_OK : ERR_UTF8;
        v.s = s;
        break;
    case LW_OPAQUE:
        v.s = s;
        break;
    default: /* an executable carries none */
        e = s.n ? ERR_TYPE : ERR_OK;
    }
    if (!e)
        *out = v;
    return e;
}

/* ---- decode ---- */

static enum err add_value(const struct lw_in *in, struct lw_path p, struct str bytes,
                          struct lw_entries *out)
{
    struct lw_entry entry = {.path = p};
    if (out->n >= LW_ENTRIES_MAX)
        return ERR_TOOBIG;
    enum err e = read_value(bytes, lw_typer_ask(in->typer, p), &entry.value);
    return e ? e : lw_entries_add(in->a, out, entry);
}

/* Reads the TLVs of one level.  `at` has 1 level (an object: instances, or bare resources of an
 * instance not named yet), 2 (an instance) or 3 (a multiple resource).  At the top an answer may
 * repeat the level that was asked for, so `at` may be shorter than the request's path; entries
 * outside it are refused afterwards. */
static enum err read_level(const struct lw_in *in, struct str bytes, struct lw_path at,
                           struct lw_entries *out)
{
    struct reader r;
    enum err e = ERR_OK;
    reader_init(&r, bytes.p, bytes.n);
    while (r.left && !e) {
        struct tlv t = read_tlv(&r);
        struct lw_path p = at;
        if (r.err)
            return r.err;
        if (at.n == 1 && t.kind == TLV_OBJECT_INSTANCE) {
            e = read_level(in, t.value, lw_path_down(at, t.id), out);
            continue;
        }
        if (at.n == 1 && t.kind != TLV_RESOURCE_INSTANCE)
            p = lw_path_down(p, LW_ID_NONE); /* Create: the client chooses */
        p = lw_path_down(p, t.id);
        if (p.n == 3 && t.kind == TLV_MULTIPLE)
            e = read_level(in, t.value, p, out);
        else if ((p.n == 3 && t.kind == TLV_RESOURCE) ||
                 (p.n == 4 && t.kind == TLV_RESOURCE_INSTANCE))
            e = add_value(in, p, t.value, out);
        else
            e = ERR_INVALID;
    }
    return e ? e : r.err;
}

/* The level of the outermost TLVs, told by the first one's kind. */
static enum err top_level(const struct lw_in *in, struct lw_path *out)
{
    static const uint8_t above[] = {[TLV_OBJECT_INSTANCE] = 1,
                                    [TLV_RESOURCE_INSTANCE] = 3,
                                    [TLV_MULTIPLE] = 2,
                                    [TLV_RESOURCE] = 2};
    struct lw_path base = in->base;
    if (!base.n)
        return ERR_INVALID;
    unsigned n = above[(uint8_t)in->body.p[0] >> 6];
    if (n > base.n && !(base.n == 1 && n == 2))
        return ERR_INVALID;
    *out = lw_path_up(base, n);
    return ERR_OK;
}

enum err tlv_decode(const struct lw_in *in, struct lw_entries *out)
{
    struct lw_path at;
    if (!in->body.n)
        return in->base.n ? ERR_OK : ERR_INVALID;
    enum err e = top_level(in, &at);
    if (!e)
        e = read_level(in, in->body, at, out);
    return e ? e : lw_entries_unique(in->a, out);
}

/* ---- encode ---- */

static void put_header(struct buf *out, enum tlv_kind kind, uint16_t id, size_t n)
{
    unsigned size = n < 8 ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : 3;
    unsigned wide = id > UINT8_MAX;
    buf_putc(out, (char)((unsigned)kind << 6 | wide << 5 | size << 3 | (size ? 0 : n)));
    if (wide)
        buf_u16be(out, id);
    else
        buf_putc(out, (char)id);
    for (unsigned i = size; i-- > 0;)
        buf_putc(out, (char)(n >> 8 * i));
}

/* Bytes of a value; returns their number. */
static void put_number(char out[8], uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(v >> 8 * (n - 1 - i));
}

static size_t signed_width(int64_t v)
{
    return v >= INT8_MIN && v <= INT8_MAX     ? 1
           : v >= INT16_MIN && v <= INT16_MAX ? 2
           : v >= INT32_MIN && v <= INT32_MAX ? 4
                                              : 8;
}

static size_t unsigned_width(uint64_t v)
{
    return v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
}

static struct str float_bytes(double v, char room[8])
{
    float f = (float)v;
    uint64_t bits = 0;
    uint32_t narrow;
    size_t n = (double)f == v || isnan(v) ? 4 : 8;
    memcpy(&bits, &v, sizeof bits);
    memcpy(&narrow, &f, sizeof narrow);
    put_number(room, n == 4 ? narrow : bits, n);
    return str_make(room, n);
}

static struct str value_bytes(const struct lw_value *v, char room[8])
{
    size_t n = 0;
    switch (v->type) {
    case LW_STRING:
    case LW_CORELNK:
    case LW_OPAQUE:
        return v->s;
    case LW_INTEGER:
    case LW_TIME:
        n = signed_width(v->i);
        put_number(room, (uint64_t)v->i, n);
        break;
    case LW_UNSIGNED:
        n = unsigned_width(v->u);
        put_number(room, v->u, n);
        break;
    case LW_FLOAT:
        return float_bytes(v->f, room);
    case LW_BOOLEAN:
        n = 1;
        room[0] = v->b;
        break;
    case LW_OBJLNK:
        n = 4;
        put_number(room, (uint64_t)v->link.oid << 16 | v->link.iid, n);
        break;
    default:
        break;
    }
    return str_make(room, n);
}

static void put_value(struct buf *out, enum tlv_kind kind, uint16_t id, const struct lw_value *v)
{
    char room[8];
    struct str s = value_bytes(v, room);
    if (s.n > LENGTH_MAX && !out->err)
        out->err = ERR_TOOBIG;
    put_header(out, kind, id, s.n);
    buf_str(out, s);
}

/* Entries that share the first `levels` ids with the first one. */
static size_t run_length(const struct lw_entry *v, size_t n, unsigned levels)
{
    size_t i = 1;
    while (i < n && lw_path_eq(lw_path_up(v[i].path, levels), lw_path_up(v[0].path, levels)))
        i++;
    return i;
}

static void put_level(struct buf *out, const struct lw_entry *v, size_t n, unsigned level);

/* A container of `n` entries: its content is written first, to learn its length. */
static void put_group(struct buf *out, enum tlv_kind kind, const struct lw_entry *v, size_t n,
                      unsigned level)
{
    struct buf inner;
    buf_init(&inner, LENGTH_MAX);
    put_level(&inner, v, n, level + 1);
    if (inner.err && !out->err)
        out->err = inner.err;
    put_header(out, kind, v->path.id[level], inner.n);
    buf_str(out, buf_view(&inner));
    buf_fini(&inner);
}

/* Writes entries that share the ids above `level`: 1 instances, 2 resources, 3 their instances. */
static void put_level(struct buf *out, const struct lw_entry *v, size_t n, unsigned level)
{
    for (size_t i = 0, run; i < n; i += run) {
        const struct lw_entry *e = &v[i];
        run = run_length(e, n - i, level + 1);
        if (level == 1 && e->path.id[1] != LW_ID_NONE)
            put_group(out, TLV_OBJECT_INSTANCE, e, run, level);
        else if (level == 1)
            put_level(out, e, run, level + 1);
        else if (level == 2 && e->path.n == 4)
            put_group(out, TLV_MULTIPLE, e, run, level);
        else
            put_value(out, level == 2 ? TLV_RESOURCE : TLV_RESOURCE_INSTANCE, e->path.id[level],
                      &e->value);
    }
}

enum err tlv_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    struct lw_entry *v = NULL;
    if (!base.n)
        return ERR_UNSUPPORTED; /* object ids have no place in TLV */
    enum err e = lw_entries_sorted(in, &v);
    if (e)
        return e;
    for (size_t i = 0; i < in->n; i++)
        if (v[i].path.n < 3 || v[i].value.type == LW_NONE ||
            (i && v[i].path.n == 4 && v[i - 1].path.n == 3 &&
             lw_path_covers(v[i - 1].path, v[i].path)))
            e = ERR_UNSUPPORTED;
    if (!e)
        put_level(out, v, in->n, base.n == 1 ? 1 : base.n == 4 ? 3 : 2);
    free(v);
    return e;
}
