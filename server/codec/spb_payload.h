/* spb_payload.h - Sparkplug B payloads between protobuf bytes and typed values (3.0 section 6).
 *
 * Decoding keeps the wire member of every value, because DATA messages carry no datatype: the
 * node's birth supplies it and spb_value_of() makes the typed value.  Everything lives in the
 * arena or in the message bytes. */
#ifndef BRAID_CODEC_SPB_PAYLOAD_H
#define BRAID_CODEC_SPB_PAYLOAD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_out.h"

/* Datatype numbers (3.0 section 6.4.16). */
enum spb_datatype {
    SPB_UNKNOWN = 0,
    SPB_INT8 = 1,
    SPB_INT16,
    SPB_INT32,
    SPB_INT64,
    SPB_UINT8,
    SPB_UINT16,
    SPB_UINT32,
    SPB_UINT64,
    SPB_FLOAT,
    SPB_DOUBLE,
    SPB_BOOLEAN,
    SPB_STRING,
    SPB_DATETIME,
    SPB_TEXT,
    SPB_UUID,
    SPB_DATASET,
    SPB_BYTES,
    SPB_FILE,
    SPB_TEMPLATE,
    SPB_PROPERTYSET,
    SPB_PROPERTYSETLIST,
    SPB_INT8_ARRAY,
    SPB_INT16_ARRAY,
    SPB_INT32_ARRAY,
    SPB_INT64_ARRAY,
    SPB_UINT8_ARRAY,
    SPB_UINT16_ARRAY,
    SPB_UINT32_ARRAY,
    SPB_UINT64_ARRAY,
    SPB_FLOAT_ARRAY,
    SPB_DOUBLE_ARRAY,
    SPB_BOOLEAN_ARRAY,
    SPB_STRING_ARRAY,
    SPB_DATETIME_ARRAY,
    SPB_DATATYPE_COUNT
};
const char *spb_datatype_word(unsigned datatype); /* "Int8" ...; "Unknown" */
bool spb_datatype_from(struct str word, unsigned *out);

/* A typed value. */
enum spb_class {
    SPB_V_NULL,
    SPB_V_INT,
    SPB_V_UINT,
    SPB_V_FLOAT,
    SPB_V_BOOL,
    SPB_V_TEXT,
    SPB_V_BYTES,
    SPB_V_JSON /* dataset, template, array, rendered */
};
/* spb_class_has_text: a value of it is in `s`. */
static inline bool spb_class_has_text(unsigned cls)
{
    return cls == SPB_V_TEXT || cls == SPB_V_BYTES || cls == SPB_V_JSON;
}

struct spb_value {
    uint8_t datatype; /* enum spb_datatype */
    uint8_t cls;      /* enum spb_class */
    union {
        int64_t i;  /* Int*, DateTime (ms) */
        uint64_t u; /* UInt* */
        double f;   /* Float, Double; NaN and infinities possible */
        bool b;
        struct str s; /* TEXT, BYTES, JSON; borrowed */
    };
};

/* Which protobuf member carried the value. */
enum spb_wire {
    SPB_W_NONE,
    SPB_W_INT,
    SPB_W_LONG,
    SPB_W_FLOAT,
    SPB_W_DOUBLE,
    SPB_W_BOOL,
    SPB_W_STRING,
    SPB_W_BYTES,
    SPB_W_DATASET,
    SPB_W_TEMPLATE,
    SPB_W_OTHER
};

struct spb_metric {
    struct str name; /* .p NULL if absent */
    bool has_alias, has_timestamp, has_datatype;
    bool is_historical, is_transient, is_null;
    uint8_t wire; /* enum spb_wire */
    uint32_t datatype;
    uint64_t alias;
    uint64_t timestamp; /* ms UTC */
    union {
        uint64_t u; /* int_value, long_value */
        double f;   /* float_value (widened), double_value */
        bool b;
        struct str s;        /* string_value, bytes_value */
        const void *message; /* dataset, template: protobuf-c message in the arena */
    };
    bool has_quality;            /* property "Quality" */
    int32_t quality;             /* 0 BAD, 192 GOOD, 500 STALE */
    struct str unit;             /* property "engUnit" (or "Units"), .p NULL if absent */
    bool has_readonly, readonly; /* property "readOnly" */
};

struct spb_payload {
    bool has_timestamp, has_seq;
    uint64_t timestamp;
    uint64_t seq; /* 0..255 */
    struct spb_metric *metrics;
    size_t n;
    bool was_compressed;
};

#define SPB_MAX_PAYLOAD ((size_t)1 << 20) /* also the limit of an inflated body */
#define SPB_MAX_METRICS 20000

/* spb_decode reads one payload, inflating SPBV1.0_COMPRESSED bodies (zlib or gzip).  Strings are
 * checked to be UTF-8 without NUL.  Needs an arena of 32 MiB for the largest payloads. ERR_INVALID,
 * ERR_TRUNCATED, ERR_TOOBIG, ERR_DEPTH, ERR_UTF8, ERR_NOMEM. */
MUST_CHECK enum err spb_decode(struct arena *a, struct str bytes, struct spb_payload *out);

/* spb_value_of types the wire value by `datatype` (from the metric itself or its birth; unknown
 * datatypes keep what the wire member says): null wins over a value, low bits sign-extended for
 * narrow integers, UInt32 from either member, arrays and datasets rendered as JSON.  ERR_TYPE when
 * the member cannot carry the datatype, ERR_INVALID for malformed arrays. */
MUST_CHECK enum err spb_value_of(struct arena *a, const struct spb_metric *m, unsigned datatype,
                                 struct spb_value *out);
bool spb_value_double(const struct spb_value *v, double *out); /* finite numbers, booleans, times */
bool spb_value_eq(const struct spb_value *a, const struct spb_value *b);
void spb_value_json(struct json_out *j, const struct spb_value *v);

/* One metric to encode. */
struct spb_out_metric {
    struct str name; /* .p NULL: alias only */
    bool has_alias;
    uint64_t alias;
    uint64_t timestamp; /* 0: leave out */
    bool with_datatype;
    bool is_historical, is_null;
    struct spb_value value;
    struct str unit; /* property "engUnit"; .p NULL: none */
    int quality;     /* property "Quality"; 0 or less: none */
    bool is_transient;
    bool readonly; /* property "readOnly" */
};
struct spb_out {
    uint64_t timestamp;
    bool has_seq;
    uint8_t seq;
    const struct spb_out_metric *metrics;
    size_t n;
};
/* spb_encode appends the protobuf bytes.  UInt32 goes into int_value; arrays are given as
 * SPB_V_BYTES, packed already.  ERR_RANGE when an integer does not fit its datatype, ERR_TYPE when
 * class and datatype contradict, ERR_UNSUPPORTED for datasets and templates, ERR_UTF8, ERR_TOOBIG,
 * ERR_NOMEM; `out` then holds a broken beginning. */
MUST_CHECK enum err spb_encode(const struct spb_out *p, struct buf *out);

#endif
