/* cbor_out.c - see cbor_out.h. */
#include "codec/cbor_out.h"

#include <math.h>

void cbor_head(struct buf *out, enum cbor_major major, uint64_t arg)
{
    uint8_t top = (uint8_t)(major << 5);
    if (arg < 24) {
        buf_putc(out, (char)(top | arg));
    } else if (arg <= UINT8_MAX) {
        buf_putc(out, (char)(top | 24));
        buf_putc(out, (char)arg);
    } else if (arg <= UINT16_MAX) {
        buf_putc(out, (char)(top | 25));
        buf_u16be(out, (uint16_t)arg);
    } else if (arg <= UINT32_MAX) {
        buf_putc(out, (char)(top | 26));
        buf_u32be(out, (uint32_t)arg);
    } else {
        buf_putc(out, (char)(top | 27));
        buf_u64be(out, arg);
    }
}

void cbor_int(struct buf *out, int64_t v)
{
    if (v >= 0)
        cbor_head(out, CBOR_M_UINT, (uint64_t)v);
    else
        cbor_head(out, CBOR_M_NINT, (uint64_t)(-1 - v));
}

void cbor_text(struct buf *out, struct str s)
{
    cbor_head(out, CBOR_M_TEXT, s.n);
    buf_str(out, s);
}

void cbor_bytes(struct buf *out, struct str s)
{
    cbor_head(out, CBOR_M_BYTES, s.n);
    buf_str(out, s);
}

/* The half-precision bits of a float that fits exactly; false if it does not. */
static bool to_half(float v, uint16_t *out)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    int exponent = (int)(bits >> 23 & 255) - 127;
    uint32_t mantissa = bits & 0x7fffff;
    if (exponent == 128) {
        *out = (uint16_t)(sign | 0x7c00);
        return mantissa == 0;
    }
    if (v == 0) {
        *out = sign;
        return true;
    }
    if (exponent >= -14 && exponent <= 15 && !(mantissa & 0x1fff)) {
        *out = (uint16_t)(sign | (exponent + 15) << 10 | mantissa >> 13);
        return true;
    }
    if (exponent >= -24 && exponent < -14) {        /* subnormal */
        unsigned shift = (unsigned)(-exponent - 1); /* 24-bit mantissa to units of 2^-24 */
        uint32_t full = mantissa | 0x800000;
        if (full & ((1u << shift) - 1))
            return false;
        *out = (uint16_t)(sign | full >> shift);
        return true;
    }
    return false;
}

void cbor_float(struct buf *out, double v)
{
    uint16_t half = 0x7e00; /* the one NaN */
    float single = (float)v;
    if (isnan(v) || ((double)single == v && to_half(single, &half))) {
        buf_putc(out, (char)0xf9);
        buf_u16be(out, half);
    } else if ((double)single == v) {
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        buf_putc(out, (char)0xfa);
        buf_u32be(out, bits);
    } else {
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        buf_putc(out, (char)0xfb);
        buf_u64be(out, bits);
    }
}

void cbor_bool(struct buf *out, bool v)
{
    buf_putc(out, (char)(v ? 0xf5 : 0xf4));
}

void cbor_null(struct buf *out)
{
    buf_putc(out, (char)0xf6);
}

void cbor_put_value(struct buf *out, const struct lw_value *v)
{
    char text[LW_OBJLNK_TEXT];
    switch (v->type) {
    case LW_STRING:
    case LW_CORELNK:
        cbor_text(out, v->s);
        break;
    case LW_INTEGER:
    case LW_TIME:
        cbor_int(out, v->i);
        break;
    case LW_UNSIGNED:
        cbor_head(out, CBOR_M_UINT, v->u);
        break;
    case LW_FLOAT:
        cbor_float(out, v->f);
        break;
    case LW_BOOLEAN:
        cbor_bool(out, v->b);
        break;
    case LW_OPAQUE:
        cbor_bytes(out, v->s);
        break;
    case LW_OBJLNK:
        cbor_text(out, str_make(text, lw_objlnk_text(*v, text)));
        break;
    default:
        cbor_null(out);
    }
}
