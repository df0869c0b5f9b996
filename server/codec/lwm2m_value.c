/* lwm2m_value.c - see lwm2m_value.h.
 *
 * Formats differ in how much of a type they show: text says nothing, CBOR says number or string,
 * TLV nothing.  So every codec hands over what it saw and lw_value_coerce, one small function per
 * wanted type, decides whether that can be the type of the model, exactly or not at all. */
#include "codec/lwm2m_value.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>

#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

const char *lw_type_word(enum lw_type t)
{
    static const char *const words[LW_TYPE_COUNT] = {
#define X(id, word) [id] = word,
        LW_TYPE_TABLE(X)
#undef X
    };
    return (unsigned)t < LW_TYPE_COUNT ? words[t] : "none";
}

bool lw_type_from(struct str word, enum lw_type *out)
{
    for (unsigned t = 0; t < LW_TYPE_COUNT; t++)
        if (str_is(word, lw_type_word((enum lw_type)t))) {
            *out = (enum lw_type)t;
            return true;
        }
    return false;
}

enum err lw_entries_add(struct arena *a, struct lw_entries *list, struct lw_entry e)
{
    struct lw_entry *v = arena_grow(a, list->v, &list->cap, list->n + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    list->v = v;
    v[list->n++] = e;
    return ERR_OK;
}

struct lw_resource_type lw_typer_ask(struct lw_typer t, struct lw_path p)
{
    if (!t.lookup || p.n < 3)
        return (struct lw_resource_type){.known = false};
    return t.lookup(t.ctx, p.id[0], p.id[2]);
}

/* ---- coercion, one function per wanted type ---- */

static enum err integer_of(const struct lw_value *v, int64_t *out)
{
    switch (v->type) {
    case LW_INTEGER:
    case LW_TIME:
        *out = v->i;
        return ERR_OK;
    case LW_UNSIGNED:
        if (v->u > INT64_MAX)
            return ERR_RANGE;
        *out = (int64_t)v->u;
        return ERR_OK;
    case LW_FLOAT:
        if (v->f != floor(v->f)) /* also NaN */
            return ERR_TYPE;
        if (!(v->f >= -TWO_63 && v->f < TWO_63))
            return ERR_RANGE;
        *out = (int64_t)v->f;
        return ERR_OK;
    case LW_STRING: {
        enum err e = str_to_i64(v->s, out);
        return e == ERR_INVALID ? ERR_TYPE : e;
    }
    default:
        return ERR_TYPE;
    }
}

static enum err to_integer(struct arena *a, struct lw_value *v)
{
    (void)a;
    int64_t i = 0;
    enum err e = integer_of(v, &i);
    if (!e)
        *v = (struct lw_value){.type = LW_INTEGER, .i = i};
    return e;
}

static enum err to_unsigned(struct arena *a, struct lw_value *v)
{
    (void)a;
    uint64_t u = 0;
    if (v->type == LW_UNSIGNED)
        return ERR_OK;
    if (v->type == LW_STRING && v->s.n && v->s.p[0] != '-') {
        enum err e = str_to_u64(v->s, &u);
        if (e)
            return e == ERR_INVALID ? ERR_TYPE : e;
    } else if (v->type == LW_FLOAT && v->f >= TWO_63) {
        if (v->f >= TWO_64)
            return ERR_RANGE;
        u = (uint64_t)v->f; /* numbers of that size have no fraction */
    } else {
        int64_t i = 0;
        enum err e = integer_of(v, &i);
        if (e)
            return e;
        if (i < 0)
            return ERR_RANGE;
        u = (uint64_t)i;
    }
    *v = (struct lw_value){.type = LW_UNSIGNED, .u = u};
    return ERR_OK;
}

static enum err to_float(struct arena *a, struct lw_value *v)
{
    (void)a;
    double f = 0;
    if (v->type == LW_INTEGER || v->type == LW_TIME) {
        f = (double)v->i;
        if (f >= TWO_63 || (int64_t)f != v->i)
            return ERR_RANGE;
    } else if (v->type == LW_UNSIGNED) {
        f = (double)v->u;
        if (f >= TWO_64 || (uint64_t)f != v->u)
            return ERR_RANGE;
    } else if (v->type == LW_STRING) {
        enum err e = str_to_double(v->s, &f);
        if (e)
            return e == ERR_INVALID ? ERR_TYPE : e;
    } else {
        return ERR_TYPE;
    }
    *v = (struct lw_value){.type = LW_FLOAT, .f = f};
    return ERR_OK;
}

static enum err to_boolean(struct arena *a, struct lw_value *v)
{
    (void)a;
    bool b = false;
    if (v->type == LW_STRING) {
        if (str_is(v->s, "1") || str_is(v->s, "true"))
            b = true;
        else if (!str_is(v->s, "0") && !str_is(v->s, "false"))
            return ERR_TYPE;
    } else if (v->type == LW_INTEGER || v->type == LW_UNSIGNED) {
        if (v->u > 1) /* a negative integer is above 1 too */
            return ERR_RANGE;
        b = v->u == 1;
    } else {
        return ERR_TYPE;
    }
    *v = (struct lw_value){.type = LW_BOOLEAN, .b = b};
    return ERR_OK;
}

static enum err to_opaque(struct arena *a, struct lw_value *v)
{
    if (v->type != LW_STRING)
        return ERR_TYPE;
    uint8_t *bytes = arena_alloc(a, v->s.n + 1);
    size_t n = 0;
    if (!bytes)
        return ERR_NOMEM;
    if (str_from_base64(v->s, bytes, &n))
        return ERR_TYPE;
    *v = (struct lw_value){.type = LW_OPAQUE, .s = {(const char *)bytes, n}};
    return ERR_OK;
}

static enum err to_time(struct arena *a, struct lw_value *v)
{
    (void)a;
    int64_t i = 0;
    enum err e = integer_of(v, &i);
    if (e == ERR_TYPE && v->type == LW_STRING) { /* CBOR tag 0 and people write RFC 3339 */
        int64_t ms = 0;
        if (clock_parse(v->s, &ms) || ms % 1000)
            return ERR_TYPE;
        i = ms / 1000;
        e = ERR_OK;
    }
    if (!e)
        *v = (struct lw_value){.type = LW_TIME, .i = i};
    return e;
}

static enum err to_objlnk(struct arena *a, struct lw_value *v)
{
    (void)a;
    uint64_t oid = 0, iid = 0;
    if (v->type != LW_STRING)
        return ERR_TYPE;
    struct str rest = v->s;
    struct str head = str_cut(&rest, ':');
    if (str_is(v->s, "FFFF:FFFF") || str_is(v->s, "ffff:ffff"))
        oid = iid = LW_ID_NONE;
    else if (!rest.p || str_to_u64(head, &oid) || str_to_u64(rest, &iid))
        return ERR_TYPE;
    if (oid > LW_ID_NONE || iid > LW_ID_NONE)
        return ERR_RANGE;
    *v = (struct lw_value){.type = LW_OBJLNK, .link = {(uint16_t)oid, (uint16_t)iid}};
    return ERR_OK;
}

/* String and Corelnk are both text. */
static enum err to_string(struct arena *a, struct lw_value *v)
{
    (void)a;
    if (v->type != LW_CORELNK)
        return ERR_TYPE;
    v->type = LW_STRING;
    return ERR_OK;
}

static enum err to_corelnk(struct arena *a, struct lw_value *v)
{
    (void)a;
    if (v->type != LW_STRING)
        return ERR_TYPE;
    v->type = LW_CORELNK;
    return ERR_OK;
}

enum err lw_value_coerce(struct arena *a, enum lw_type want, struct lw_value *v)
{
    typedef enum err coerce(struct arena * a, struct lw_value * v);
    static coerce *const table[LW_TYPE_COUNT] = {
        [LW_STRING] = to_string, [LW_INTEGER] = to_integer, [LW_UNSIGNED] = to_unsigned,
        [LW_FLOAT] = to_float,   [LW_BOOLEAN] = to_boolean, [LW_OPAQUE] = to_opaque,
        [LW_TIME] = to_time,     [LW_OBJLNK] = to_objlnk,   [LW_CORELNK] = to_corelnk,
    };
    if (v->type == want || v->type == LW_NONE) /* null stays null in every type */
        return ERR_OK;
    return (unsigned)want < LW_TYPE_COUNT && table[want] ? table[want](a, v) : ERR_TYPE;
}

bool lw_value_eq(struct lw_value a, struct lw_value b)
{
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case LW_NONE:
        return true;
    case LW_STRING:
    case LW_CORELNK:
    case LW_OPAQUE:
        return str_eq(a.s, b.s);
    case LW_FLOAT:
        return a.f == b.f || (isnan(a.f) && isnan(b.f));
    case LW_BOOLEAN:
        return a.b == b.b;
    case LW_OBJLNK:
        return a.link.oid == b.link.oid && a.link.iid == b.link.iid;
    default:
        return a.u == b.u;
    }
}

bool lw_value_double(struct lw_value v, double *out)
{
    switch (v.type) {
    case LW_INTEGER:
    case LW_TIME:
        *out = (double)v.i;
        return true;
    case LW_UNSIGNED:
        *out = (double)v.u;
        return true;
    case LW_FLOAT:
        *out = v.f;
        return isfinite(v.f);
    case LW_BOOLEAN:
        *out = v.b;
        return true;
    default:
        return false;
    }
}

size_t lw_objlnk_text(struct lw_value v, char out[LW_OBJLNK_TEXT])
{
    return (size_t)snprintf(out, LW_OBJLNK_TEXT, "%u:%u", v.link.oid, v.link.iid);
}

void lw_value_json(struct json_out *j, struct lw_value v)
{
    char text[LW_OBJLNK_TEXT];
    switch (v.type) {
    case LW_STRING:
    case LW_CORELNK:
        json_str(j, v.s);
        break;
    case LW_INTEGER:
    case LW_TIME:
        json_i64(j, v.i);
        break;
    case LW_UNSIGNED:
        json_u64(j, v.u);
        break;
    case LW_FLOAT:
        json_double(j, v.f);
        break;
    case LW_BOOLEAN:
        json_bool(j, v.b);
        break;
    case LW_OPAQUE:
        json_base64(j, v.s.p, v.s.n);
        break;
    case LW_OBJLNK:
        json_str(j, str_make(text, lw_objlnk_text(v, text)));
        break;
    default:
        json_null(j);
    }
}
