/* spb_value.c - what a wire value means once its datatype is known.
 *
 * One row per datatype: its word, the class of the typed value, its width, and the protobuf
 * members that may carry it.  Narrow integers are taken by their low bits and sign-extended,
 * because stacks disagree whether -5 as Int8 travels as 0xFB or as 0xFFFFFFFB. */
#include "codec/spb_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define W(x)     (1u << SPB_W_##x)
#define W_NUMBER (W(INT) | W(LONG))
#define W_REAL   (W(FLOAT) | W(DOUBLE))

struct type_row {
    const char *word;
    uint8_t cls;  /* enum spb_class */
    uint8_t bits; /* integers */
    uint16_t wires;
};

static const struct type_row types[SPB_DATATYPE_COUNT] = {
    [SPB_UNKNOWN] = {"Unknown", SPB_V_NULL, 0, 0},
    [SPB_INT8] = {"Int8", SPB_V_INT, 8, W_NUMBER},
    [SPB_INT16] = {"Int16", SPB_V_INT, 16, W_NUMBER},
    [SPB_INT32] = {"Int32", SPB_V_INT, 32, W_NUMBER},
    [SPB_INT64] = {"Int64", SPB_V_INT, 64, W_NUMBER},
    [SPB_UINT8] = {"UInt8", SPB_V_UINT, 8, W_NUMBER},
    [SPB_UINT16] = {"UInt16", SPB_V_UINT, 16, W_NUMBER},
    [SPB_UINT32] = {"UInt32", SPB_V_UINT, 32, W_NUMBER},
    [SPB_UINT64] = {"UInt64", SPB_V_UINT, 64, W_NUMBER},
    [SPB_FLOAT] = {"Float", SPB_V_FLOAT, 0, W_REAL},
    [SPB_DOUBLE] = {"Double", SPB_V_FLOAT, 0, W_REAL},
    [SPB_BOOLEAN] = {"Boolean", SPB_V_BOOL, 0, W(BOOL)},
    [SPB_STRING] = {"String", SPB_V_TEXT, 0, W(STRING)},
    [SPB_DATETIME] = {"DateTime", SPB_V_INT, 64, W_NUMBER},
    [SPB_TEXT] = {"Text", SPB_V_TEXT, 0, W(STRING)},
    [SPB_UUID] = {"UUID", SPB_V_TEXT, 0, W(STRING)},
    [SPB_DATASET] = {"DataSet", SPB_V_JSON, 0, W(DATASET)},
    [SPB_BYTES] = {"Bytes", SPB_V_BYTES, 0, W(BYTES)},
    [SPB_FILE] = {"File", SPB_V_BYTES, 0, W(BYTES)},
    [SPB_TEMPLATE] = {"Template", SPB_V_JSON, 0, W(TEMPLATE)},
    [SPB_PROPERTYSET] = {"PropertySet", SPB_V_NULL, 0, 0},
    [SPB_PROPERTYSETLIST] = {"PropertySetList", SPB_V_NULL, 0, 0},
    [SPB_INT8_ARRAY] = {"Int8Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_INT16_ARRAY] = {"Int16Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_INT32_ARRAY] = {"Int32Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_INT64_ARRAY] = {"Int64Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_UINT8_ARRAY] = {"UInt8Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_UINT16_ARRAY] = {"UInt16Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_UINT32_ARRAY] = {"UInt32Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_UINT64_ARRAY] = {"UInt64Array", SPB_V_JSON, 0, W(BYTES)},
    [SPB_FLOAT_ARRAY] = {"FloatArray", SPB_V_JSON, 0, W(BYTES)},
    [SPB_DOUBLE_ARRAY] = {"DoubleArray", SPB_V_JSON, 0, W(BYTES)},
    [SPB_BOOLEAN_ARRAY] = {"BooleanArray", SPB_V_JSON, 0, W(BYTES)},
    [SPB_STRING_ARRAY] = {"StringArray", SPB_V_JSON, 0, W(BYTES)},
    [SPB_DATETIME_ARRAY] = {"DateTimeArray", SPB_V_JSON, 0, W(BYTES)},
};

const char *spb_datatype_word(unsigned datatype)
{
    return types[datatype < SPB_DATATYPE_COUNT ? datatype : SPB_UNKNOWN].word;
}

bool spb_datatype_from(struct str word, unsigned *out)
{
    for (unsigned i = 0; i < SPB_DATATYPE_COUNT; i++)
        if (str_is(word, types[i].word)) {
            *out = i;
            return true;
        }
    return false;
}

static int64_t sign_extend(uint64_t v, unsigned bits)
{
    uint64_t sign = 1ull << (bits - 1);
    uint64_t low = bits == 64 ? v : v & ((1ull << bits) - 1);
    return (int64_t)((low ^ sign) - sign);
}

static void integer_of(const struct spb_metric *m, const struct type_row *row,
                       struct spb_value *out)
{
    /* A 64-bit type in the 32-bit member can only have been shortened there: extend it back. */
    bool from32 = m->wire == SPB_W_INT && row->bits == 64;
    if (row->cls == SPB_V_INT)
        out->i = sign_extend(m->u, from32 ? 32 : row->bits);
    else
        out->u = row->bits == 64 ? m->u : m->u & ((1ull << row->bits) - 1);
}

/* Nothing tells the datatype: keep what the wire member itself says. */
static enum err untyped(struct arena *a, const struct spb_metric *m, struct spb_value *out)
{
    static const uint8_t datatypes[] = {
        [SPB_W_INT] = SPB_UINT32,       [SPB_W_LONG] = SPB_UINT64,
        [SPB_W_FLOAT] = SPB_FLOAT,      [SPB_W_DOUBLE] = SPB_DOUBLE,
        [SPB_W_BOOL] = SPB_BOOLEAN,     [SPB_W_STRING] = SPB_STRING,
        [SPB_W_BYTES] = SPB_BYTES,      [SPB_W_DATASET] = SPB_DATASET,
        [SPB_W_TEMPLATE] = SPB_TEMPLATE};
    if (m->wire >= sizeof datatypes || !datatypes[m->wire])
        return ERR_TYPE;
    enum err e = spb_value_of(a, m, datatypes[m->wire], out);
    if (!e)
        out->datatype = SPB_UNKNOWN;
    return e;
}

static enum err json_of(struct arena *a, const struct spb_metric *m, unsigned datatype,
                        struct spb_value *out)
{
    if (datatype == SPB_DATASET)
        return spb_render_dataset(a, m->message, &out->s);
    if (datatype == SPB_TEMPLATE)
        return spb_render_template(a, m->message, &out->s);
    return spb_render_array(a, datatype, m->s, &out->s);
}

enum err spb_value_of(struct arena *a, const struct spb_metric *m, unsigned datatype,
                      struct spb_value *out)
{
    if (datatype >= SPB_DATATYPE_COUNT)
        datatype = SPB_UNKNOWN;
    const struct type_row *row = &types[datatype];
    if (m->is_null || m->wire == SPB_W_NONE) {
        *out = (struct spb_value){.datatype = (uint8_t)datatype, .cls = SPB_V_NULL};
        return ERR_OK;
    }
    if (datatype == SPB_UNKNOWN)
        return untyped(a, m, out);
    if (!(row->wires & (1u << m->wire)))
        return ERR_TYPE;
    struct spb_value v = {.datatype = (uint8_t)datatype, .cls = row->cls};
    enum err e = ERR_OK;
    switch ((enum spb_class)row->cls) {
    case SPB_V_INT:
    case SPB_V_UINT:
        integer_of(m, row, &v);
        break;
    case SPB_V_FLOAT:
        v.f = m->f;
        break;
    case SPB_V_BOOL:
        v.b = m->b;
        break;
    case SPB_V_TEXT:
    case SPB_V_BYTES:
        v.s = m->s;
        break;
    case SPB_V_JSON:
        e = json_of(a, m, datatype, &v);
        break;
    case SPB_V_NULL:
        return ERR_TYPE;
    }
    if (!e)
        *out = v;
    return e;
}

bool spb_value_double(const struct spb_value *v, double *out)
{
    double d;
    switch ((enum spb_class)v->cls) {
    case SPB_V_INT:
        d = (double)v->i;
        break;
    case SPB_V_UINT:
        d = (double)v->u;
        break;
    case SPB_V_FLOAT:
        d = v->f;
        break;
    case SPB_V_BOOL:
        d = v->b;
        break;
    default:
        return false;
    }
    if (!isfinite(d))
        return false;
    *out = d;
    return true;
}

bool spb_value_eq(const struct spb_value *a, const struct spb_value *b)
{
    if (a->cls != b->cls || a->datatype != b->datatype)
        return false;
    switch ((enum spb_class)a->cls) {
    case SPB_V_NULL:
        return true;
    case SPB_V_INT:
        return a->i == b->i;
    case SPB_V_UINT:
        return a->u == b->u;
    case SPB_V_FLOAT:
        return a->f == b->f || (isnan(a->f) && isnan(b->f));
    case SPB_V_BOOL:
        return a->b == b->b;
    default:
        return str_eq(a->s, b->s);
    }
}

/* The shortest decimal that reads back as the same Float: 0.1, not 0.10000000149011612. */
static void json_float(struct json_out *j, float f)
{
    char text[32];
    for (int digits = 6; isfinite(f) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtof(text, NULL) == f) {
            json_double(j, strtod(text, NULL));
            return;
        }
    }
    json_double(j, (double)f);
}

void spb_value_json(struct json_out *j, const struct spb_value *v)
{
    switch ((enum spb_class)v->cls) {
    case SPB_V_NULL:
        json_null(j);
        break;
    case SPB_V_INT:
        json_i64(j, v->i);
        break;
    case SPB_V_UINT:
        json_u64(j, v->u);
        break;
    case SPB_V_FLOAT:
        if (v->datatype == SPB_FLOAT)
            json_float(j, (float)v->f);
        else
            json_double(j, v->f);
        break;
    case SPB_V_BOOL:
        json_bool(j, v->b);
        break;
    case SPB_V_TEXT:
        json_str(j, v->s);
        break;
    case SPB_V_BYTES:
        json_base64(j, v->s.p, v->s.n);
        break;
    case SPB_V_JSON:
        json_raw(j, v->s);
        break;
    }
}
