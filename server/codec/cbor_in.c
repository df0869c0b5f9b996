/* cbor_in.c - see cbor_in.h. */
#include "codec/cbor_in.h"

#include "base/buf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define EXPONENT_MAX 400 /* of a decimal fraction: beyond any double */

void cbor_in_init(struct cbor_in *c, struct arena *a, struct str bytes)
{
    c->a = a;
    reader_init(&c->r, bytes.p, bytes.n);
}

void cbor_fail(struct cbor_in *c, enum err e)
{
    reader_fail(&c->r, e);
}

static double half(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double mantissa = bits & 1023, v;
    if (exponent == 0)
        v = ldexp(mantissa, -24);
    else if (exponent < 31)
        v = ldexp(mantissa + 1024, exponent - 25);
    else
        v = mantissa == 0 ? INFINITY : NAN;
    return bits & 0x8000 ? -v : v;
}

static double read_float(uint8_t info, uint64_t arg)
{
    if (info == 25)
        return half((uint16_t)arg);
    if (info == 26) {
        uint32_t bits = (uint32_t)arg;
        float f;
        memcpy(&f, &bits, sizeof f);
        return f;
    }
    double d;
    memcpy(&d, &arg, sizeof d);
    return d;
}

static uint64_t read_arg(struct cbor_in *c, uint8_t info)
{
    switch (info) {
    case 24:
        return reader_u8(&c->r);
    case 25:
        return reader_u16be(&c->r);
    case 26:
        return reader_u32be(&c->r);
    case 27:
        return reader_u64be(&c->r);
    default:
        if (info > 27) /* 31, indefinite, is handled before */
            cbor_fail(c, ERR_INVALID);
        return info;
    }
}

static void read_simple(struct cbor_in *c, uint8_t info, struct cbor_item *item)
{
    item->arg = read_arg(c, info);
    if (info >= 25 && info <= 27) {
        item->kind = CBOR_FLOAT;
        item->f = read_float(info, item->arg);
    } else if (info == 20 || info == 21) {
        item->kind = CBOR_BOOL;
        item->arg = info - 20u;
    } else {
        item->kind = info == 22 ? CBOR_NULL : CBOR_SIMPLE;
    }
}

static struct str take_string(struct cbor_in *c, uint64_t n)
{
    if (n > c->r.left) {
        cbor_fail(c, ERR_TRUNCATED);
        return str_make(NULL, 0);
    }
    return reader_bytes(&c->r, (size_t)n);
}

/* Chunks of an indefinite string: definite strings of the same kind up to the break.  Two passes:
 * the first finds the length, so the copy is made once. */
static struct str join_chunks(struct cbor_in *c, uint8_t major)
{
    struct reader from = c->r;
    size_t total = 0, used = 0;
    char *joined = NULL;
    for (int pass = 0; pass < 2; pass++) {
        c->r = from;
        for (;;) {
            uint8_t first = reader_u8(&c->r);
            if (c->r.err || first == 0xff)
                break;
            if (first >> 5 != major || (first & 31) == 31)
                cbor_fail(c, ERR_INVALID);
            struct str chunk = take_string(c, read_arg(c, first & 31));
            if (major == 3 && !str_utf8_valid(chunk))
                cbor_fail(c, ERR_UTF8);
            if (c->r.err)
                break;
            if (joined && chunk.n)
                memcpy(joined + used, chunk.p, chunk.n);
            used += chunk.n;
        }
        if (c->r.err)
            return str_make(NULL, 0);
        if (!pass) {
            total = used;
            used = 0;
            joined = arena_alloc(c->a, total + 1);
            if (!joined) {
                cbor_fail(c, ERR_NOMEM);
                return str_make(NULL, 0);
            }
        }
    }
    return str_make(joined, total);
}

static void read_string(struct cbor_in *c, uint8_t major, struct cbor_item *item)
{
    if (item->indefinite) {
        item->s = join_chunks(c, major);
    } else {
        item->s = take_string(c, item->arg);
        if (!c->r.err && major == 3 && !str_utf8_valid(item->s))
            cbor_fail(c, ERR_UTF8);
    }
    item->kind = major == 2 ? CBOR_BYTES : CBOR_TEXT;
}

struct cbor_item cbor_read(struct cbor_in *c)
{
    struct cbor_item item = {.kind = CBOR_BREAK};
    uint8_t first = reader_u8(&c->r);
    uint8_t major = first >> 5, info = first & 31;
    if (c->r.err || first == 0xff)
        return item;
    if (major == 7) {
        read_simple(c, info, &item);
    } else {
        item.indefinite = info == 31 && major >= 2 && major <= 5;
        if (!item.indefinite)
            item.arg = read_arg(c, info);
        item.kind = (enum cbor_kind[]){CBOR_UINT,  CBOR_NINT, CBOR_BYTES, CBOR_TEXT,
                                       CBOR_ARRAY, CBOR_MAP,  CBOR_TAG}[major];
        if (major == 2 || major == 3)
            read_string(c, major, &item);
        else if ((major == 4 && item.arg > c->r.left) || (major == 5 && item.arg > c->r.left / 2))
            cbor_fail(c, ERR_TRUNCATED);
    }
    if (c->r.err)
        item = (struct cbor_item){.kind = CBOR_BREAK};
    return item;
}

bool cbor_more(struct cbor_in *c, const struct cbor_item *head, uint64_t done)
{
    if (c->r.err)
        return false;
    if (!head->indefinite)
        return done < head->arg;
    if (c->r.left && c->r.p[0] == 0xff) {
        reader_u8(&c->r);
        return false;
    }
    return true;
}

static void skip(struct cbor_in *c, const struct cbor_item *item, unsigned depth)
{
    if (item->kind == CBOR_BREAK) {
        cbor_fail(c, ERR_INVALID); /* a break outside of its container */
        return;
    }
    if (item->kind != CBOR_ARRAY && item->kind != CBOR_MAP && item->kind != CBOR_TAG)
        return;
    if (depth == 0) {
        cbor_fail(c, ERR_DEPTH);
        return;
    }
    if (item->kind == CBOR_TAG) {
        struct cbor_item inner = cbor_read(c);
        skip(c, &inner, depth - 1);
        return;
    }
    unsigned per_member = item->kind == CBOR_MAP ? 2 : 1;
    for (uint64_t i = 0; cbor_more(c, item, i); i++)
        for (unsigned k = 0; k < per_member; k++) {
            struct cbor_item inner = cbor_read(c);
            skip(c, &inner, depth - 1);
        }
}

void cbor_skip(struct cbor_in *c, const struct cbor_item *item)
{
    skip(c, item, CBOR_DEPTH);
}

/* ---- values ---- */

static struct lw_value integer(struct cbor_in *c, const struct cbor_item *item)
{
    struct lw_value v = {.type = LW_INTEGER};
    if (item->kind == CBOR_NINT) {
        if (item->arg > INT64_MAX)
            cbor_fail(c, ERR_RANGE);
        else
            v.i = -1 - (int64_t)item->arg;
    } else if (item->arg > INT64_MAX) {
        v = (struct lw_value){.type = LW_UNSIGNED, .u = item->arg};
    } else {
        v.i = (int64_t)item->arg;
    }
    return v;
}

static struct lw_value plain(struct cbor_in *c, const struct cbor_item *item)
{
    switch (item->kind) {
    case CBOR_UINT:
    case CBOR_NINT:
        return integer(c, item);
    case CBOR_BYTES:
        return (struct lw_value){.type = LW_OPAQUE, .s = item->s};
    case CBOR_TEXT:
        return (struct lw_value){.type = LW_STRING, .s = item->s};
    case CBOR_FLOAT:
        return (struct lw_value){.type = LW_FLOAT, .f = item->f};
    case CBOR_BOOL:
        return (struct lw_value){.type = LW_BOOLEAN, .b = item->arg != 0};
    case CBOR_NULL:
        return (struct lw_value){.type = LW_NONE};
    default:
        cbor_fail(c, ERR_INVALID);
        return (struct lw_value){.type = LW_NONE};
    }
}

/* Tag 4: [exponent, mantissa].  Through text, so that the result is the nearest double. */
static struct lw_value decimal_fraction(struct cbor_in *c)
{
    struct lw_value exponent, mantissa, v = {.type = LW_FLOAT};
    struct cbor_item array = cbor_read(c), e = {0}, m = {0};
    if (array.kind != CBOR_ARRAY || (!array.indefinite && array.arg != 2))
        cbor_fail(c, ERR_INVALID);
    e = cbor_read(c);
    exponent = plain(c, &e);
    m = cbor_read(c);
    mantissa = plain(c, &m);
    if (cbor_more(c, &array, 2) || exponent.type != LW_INTEGER || mantissa.type != LW_INTEGER)
        cbor_fail(c, ERR_INVALID);
    else if (exponent.i > EXPONENT_MAX || exponent.i < -EXPONENT_MAX)
        cbor_fail(c, ERR_RANGE);
    if (c->r.err)
        return v;
    if (exponent.i == 0)
        return mantissa;
    char text[48];
    int n = snprintf(text, sizeof text, "%" PRId64 "e%" PRId64, mantissa.i, exponent.i);
    enum err err = str_to_double(str_make(text, (size_t)n), &v.f);
    if (err)
        cbor_fail(c, err);
    return v;
}

struct lw_value cbor_value(struct cbor_in *c, const struct cbor_item *item)
{
    if (item->kind != CBOR_TAG)
        return plain(c, item);
    if (item->arg == 4)
        return decimal_fraction(c);
    struct cbor_item inner = cbor_read(c);
    struct lw_value v = plain(c, &inner); /* a tag in a tag fails here */
    bool is_time = item->arg == 0 ? inner.kind == CBOR_TEXT
                                  : item->arg == 1 && (v.type == LW_INTEGER || v.type == LW_FLOAT);
    if (item->arg <= 1 && !is_time)
        cbor_fail(c, ERR_INVALID);
    /* Fractions of a second stay the number they are: Time has none. */
    if (is_time && lw_value_coerce(c->a, LW_TIME, &v) && item->arg == 0)
        cbor_fail(c, ERR_INVALID);
    return v;
}

enum err cbor_end(struct cbor_in *c)
{
    if (!c->r.err && c->r.left)
        return ERR_INVALID;
    return c->r.err;
}
