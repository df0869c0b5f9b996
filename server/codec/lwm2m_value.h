/* lwm2m_value.h - typed LwM2M values and lists of (path, value) (Core 1.2.2 Appendix C).
 *
 * All content formats decode to and encode from `struct lw_entries`.  Strings and opaques are
 * borrowed: they point into the message or the arena that was given to the decoder. */
#ifndef BRAID_CODEC_LWM2M_VALUE_H
#define BRAID_CODEC_LWM2M_VALUE_H

#include "base/arena.h"
#include "base/json_out.h"
#include "codec/lwm2m_path.h"

/* X(enumerator, JSON word) */
#define LW_TYPE_TABLE(X)                                                                           \
    X(LW_NONE, "none") /* executables; null */                                                     \
    X(LW_STRING, "string")                                                                         \
    X(LW_INTEGER, "integer")                                                                       \
    X(LW_UNSIGNED, "unsigned")                                                                     \
    X(LW_FLOAT, "float")                                                                           \
    X(LW_BOOLEAN, "boolean")                                                                       \
    X(LW_OPAQUE, "opaque")                                                                         \
    X(LW_TIME, "time") /* Unix seconds */                                                          \
    X(LW_OBJLNK, "objlnk")                                                                         \
    X(LW_CORELNK, "corelnk")

enum lw_type {
#define X(id, word) id,
    LW_TYPE_TABLE(X)
#undef X
        LW_TYPE_COUNT
};

struct lw_value {
    enum lw_type type;
    union {
        int64_t i;    /* LW_INTEGER, LW_TIME */
        uint64_t u;   /* LW_UNSIGNED */
        double f;     /* LW_FLOAT */
        bool b;       /* LW_BOOLEAN */
        struct str s; /* LW_STRING, LW_CORELNK, LW_OPAQUE (bytes); borrowed */
        struct {
            uint16_t oid, iid;
        } link; /* LW_OBJLNK */
    };
};

struct lw_entry {
    struct lw_path path;
    struct lw_value value; /* LW_NONE: null (removal in a patch; nothing else) */
    int64_t time_ms;       /* acquisition time, UTC; 0 = not given */
};

struct lw_entries {
    struct lw_entry *v; /* in an arena */
    size_t n, cap;
};

/* lw_type_has_text: values of it are in `s`: text or bytes, borrowed. */
static inline bool lw_type_has_text(enum lw_type t)
{
    return t == LW_STRING || t == LW_OPAQUE || t == LW_CORELNK;
}

const char *lw_type_word(enum lw_type t);
bool lw_type_from(struct str word, enum lw_type *out);

/* lw_entries_add appends; ERR_NOMEM / ERR_TOOBIG at the arena's ceiling. */
MUST_CHECK enum err lw_entries_add(struct arena *a, struct lw_entries *list, struct lw_entry e);

/* What the object model says of a resource.  `known` false: not in the model, take types from the
 * wire. */
struct lw_resource_type {
    bool known;
    bool multiple;
    enum lw_type type;
};
typedef struct lw_resource_type lw_type_lookup(void *ctx, uint16_t object, uint16_t resource);
/* How decoders ask for types; lookup may be NULL (nothing known). */
struct lw_typer {
    lw_type_lookup *lookup;
    void *ctx;
};
struct lw_resource_type lw_typer_ask(struct lw_typer t, struct lw_path p);

/* lw_value_coerce turns a value as a format carried it (e.g. an integer for a Float resource, text
 * for an Objlnk) into `want`; exact or ERR_TYPE / ERR_RANGE, never silently rounded (a Float may
 * receive an integer).  Strings needed for the result come from `a`. */
MUST_CHECK enum err lw_value_coerce(struct arena *a, enum lw_type want, struct lw_value *v);

bool lw_value_eq(struct lw_value a, struct lw_value b);
/* lw_value_double gives the number a chart can draw: integers, floats, booleans (0/1), times. */
bool lw_value_double(struct lw_value v, double *out);

/* JSON as in contracts section 1: scalars; integers beyond 2^53 as strings; Time in Unix seconds;
 * Opaque base64; Objlnk "3:0". */
void lw_value_json(struct json_out *j, struct lw_value v);

#define LW_OBJLNK_TEXT 12 /* "65535:65535" and NUL */
/* lw_objlnk_text writes the "3:0" of an LW_OBJLNK, NUL-terminated; returns the length. */
size_t lw_objlnk_text(struct lw_value v, char out[LW_OBJLNK_TEXT]);

#endif
