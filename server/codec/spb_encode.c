/* spb_encode.c - writes Sparkplug B payloads straight to protobuf bytes.
 *
 * The few fields we send need no message objects: a metric is written into a scratch buffer, its
 * length is then known, and both go out.  Negative narrow integers are sign-extended to 32 bits,
 * as Java, C and JavaScript stacks do. */
#include "codec/spb_int.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)(v & 0x7f) | (v > 0x7f ? 0x80 : 0);
        v >>= 7;
    } while (v);
    buf_put(b, bytes, n);
}

static void put_uint(struct buf *b, unsigned field, uint64_t v)
{
    put_varint(b, field << 3 | VARINT);
    put_varint(b, v);
}

static void put_fixed(struct buf *b, unsigned field, uint64_t bits, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    put_varint(b, field << 3 | (size == 8 ? FIXED64 : FIXED32));
    buf_put(b, bytes, size);
}

static void put_bytes(struct buf *b, unsigned field, struct str s)
{
    put_varint(b, field << 3 | BYTES);
    put_varint(b, s.n);
    buf_str(b, s);
}

/* 64-bit types hold whatever their class can. */
static bool int_fits(const struct spb_value *v)
{
    unsigned bits;
    switch (v->datatype) {
    case SPB_INT8:
    case SPB_UINT8:
        bits = 8;
        break;
    case SPB_INT16:
    case SPB_UINT16:
        bits = 16;
        break;
    case SPB_INT32:
    case SPB_UINT32:
        bits = 32;
        break;
    default:
        return true;
    }
    if (v->cls == SPB_V_UINT)
        return v->u >> bits == 0;
    int64_t half = (int64_t)1 << (bits - 1);
    return v->i >= -half && v->i < half;
}

static enum err put_integer(struct buf *b, const struct spb_value *v)
{
    enum { INT_VALUE = 10, LONG_VALUE = 11 };
    if (!int_fits(v))
        return ERR_RANGE;
    switch (v->datatype) {
    case SPB_INT8:
    case SPB_INT16:
    case SPB_INT32:
        put_uint(b, INT_VALUE, (uint32_t)v->i);
        return ERR_OK;
    case SPB_UINT8:
    case SPB_UINT16:
    case SPB_UINT32:
        put_uint(b, INT_VALUE, v->u);
        return ERR_OK;
    default:
        put_uint(b, LONG_VALUE, v->cls == SPB_V_INT ? (uint64_t)v->i : v->u);
        return ERR_OK;
    }
}

static void put_real(struct buf *b, const struct spb_value *v)
{
    enum { FLOAT_VALUE = 12, DOUBLE_VALUE = 13 };
    if (v->datatype == SPB_FLOAT) {
        float f = (float)v->f;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        put_fixed(b, FLOAT_VALUE, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &v->f, sizeof bits);
        put_fixed(b, DOUBLE_VALUE, bits, 8);
    }
}

/* The class that a value of this datatype has when it is encoded; arrays go as packed bytes. */
static enum spb_class class_of(unsigned datatype)
{
    switch (datatype) {
    case SPB_INT8:
    case SPB_INT16:
    case SPB_INT32:
    case SPB_INT64:
    case SPB_DATETIME:
        return SPB_V_INT;
    case SPB_UINT8:
    case SPB_UINT16:
    case SPB_UINT32:
    case SPB_UINT64:
        return SPB_V_UINT;
    case SPB_FLOAT:
    case SPB_DOUBLE:
        return SPB_V_FLOAT;
    case SPB_BOOLEAN:
        return SPB_V_BOOL;
    case SPB_STRING:
    case SPB_TEXT:
    case SPB_UUID:
        return SPB_V_TEXT;
    case SPB_BYTES:
    case SPB_FILE:
        return SPB_V_BYTES;
    default:
        return datatype >= SPB_INT8_ARRAY && datatype < SPB_DATATYPE_COUNT ? SPB_V_BYTES
                                                                           : SPB_V_NULL;
    }
}

static enum err put_value(struct buf *b, const struct spb_value *v)
{
    enum { BOOLEAN_VALUE = 14, STRING_VALUE = 15, BYTES_VALUE = 16 };
    enum spb_class want = class_of(v->datatype);
    if (want == SPB_V_NULL)
        return ERR_UNSUPPORTED;
    if (want != v->cls)
        return ERR_TYPE;
    switch (want) {
    case SPB_V_INT:
    case SPB_V_UINT:
        return put_integer(b, v);
    case SPB_V_FLOAT:
        put_real(b, v);
        return ERR_OK;
    case SPB_V_BOOL:
        put_uint(b, BOOLEAN_VALUE, v->b);
        return ERR_OK;
    case SPB_V_TEXT:
        if (!str_utf8_valid(v->s))
            return ERR_UTF8;
        put_bytes(b, STRING_VALUE, v->s);
        return ERR_OK;
    default:
        put_bytes(b, BYTES_VALUE, v->s);
        return ERR_OK;
    }
}

/* One entry of a property set: its key goes to `keys`, its value to `values`; on the wire all keys
 * come first, as every known stack writes them. */
static void put_property(struct buf *keys, struct buf *values, const char *key,
                         const struct buf *value)
{
    put_bytes(keys, 1, str_of(key));
    put_bytes(values, 2, buf_view(value));
}

static enum err put_properties(struct buf *out, const struct spb_out_metric *m)
{
    enum { PROPERTIES = 9 };
    struct buf keys, values, one;
    if (!m->unit.p && m->quality <= 0 && !m->readonly)
        return ERR_OK;
    buf_init(&keys, SPB_MAX_PAYLOAD);
    buf_init(&values, SPB_MAX_PAYLOAD);
    buf_init(&one, SPB_MAX_PAYLOAD);
    if (m->unit.p) {
        put_uint(&one, 1, SPB_STRING);
        put_bytes(&one, 8, m->unit);
        put_property(&keys, &values, "engUnit", &one);
        buf_reset(&one);
    }
    if (m->quality > 0) {
        put_uint(&one, 1, SPB_INT32);
        put_uint(&one, 3, (uint32_t)m->quality);
        put_property(&keys, &values, "Quality", &one);
        buf_reset(&one);
    }
    if (m->readonly) {
        put_uint(&one, 1, SPB_BOOLEAN);
        put_uint(&one, 7, 1);
        put_property(&keys, &values, "readOnly", &one);
    }
    buf_str(&keys, buf_view(&values));
    put_bytes(out, PROPERTIES, buf_view(&keys));
    enum err e = keys.err ? keys.err : values.err ? values.err : one.err;
    buf_fini(&keys);
    buf_fini(&values);
    buf_fini(&one);
    return e;
}

static enum err put_metric(struct buf *b, const struct spb_out_metric *m)
{
    if (m->name.p) {
        if (!str_utf8_valid(m->name))
            return ERR_UTF8;
        put_bytes(b, 1, m->name);
    }
    if (m->has_alias)
        put_uint(b, 2, m->alias);
    if (m->timestamp)
        put_uint(b, 3, m->timestamp);
    if (m->with_datatype)
        put_uint(b, 4, m->value.datatype);
    if (m->is_historical)
        put_uint(b, 5, 1);
    if (m->is_transient)
        put_uint(b, 6, 1);
    if (m->is_null || m->value.cls == SPB_V_NULL)
        put_uint(b, 7, 1);
    enum err e = put_properties(b, m);
    if (!e && !m->is_null && m->value.cls != SPB_V_NULL)
        e = put_value(b, &m->value);
    return e ? e : b->err;
}

enum err spb_encode(const struct spb_out *p, struct buf *out)
{
    struct buf metric;
    enum err e = ERR_OK;
    buf_init(&metric, SPB_MAX_PAYLOAD);
    if (p->timestamp)
        put_uint(out, 1, p->timestamp);
    for (size_t i = 0; i < p->n && !e; i++) {
        buf_reset(&metric);
        e = put_metric(&metric, &p->metrics[i]);
        if (!e)
            put_bytes(out, 2, buf_view(&metric));
    }
    if (p->has_seq)
        put_uint(out, 3, p->seq);
    buf_fini(&metric);
    return e ? e : out->err;
}
