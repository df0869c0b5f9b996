/* lwm2m_senml.c - see lwm2m_senml.h. */
#include "codec/lwm2m_senml.h"

#include <math.h>

#define BVER_MAX      10
#define NAME_MAX_TEXT 64   /* longer than any LwM2M path with an alternate root */
#define SECONDS_MAX   1e11 /* year 5138; in ms still exact in a double */

/* The alternate root path the enabler's examples use; it is part of the names. */
static const struct str alternate_root = STR("/lwm2m");

enum senml_label senml_label_of(struct str name)
{
    static const struct {
        const char *name;
        enum senml_label label;
    } table[] = {
        {"n", SENML_N},       {"v", SENML_V},   {"vs", SENML_VS}, {"vb", SENML_VB},
        {"vd", SENML_VD},     {"t", SENML_T},   {"bn", SENML_BN}, {"bt", SENML_BT},
        {"vlo", SENML_VLO},   {"u", SENML_U},   {"bu", SENML_BU}, {"ut", SENML_UT},
        {"bver", SENML_BVER}, {"bv", SENML_BV}, {"bs", SENML_BS}, {"s", SENML_S},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (str_is(name, table[i].name))
            return table[i].label;
    return SENML_UNKNOWN;
}

/* The record's value must be of the kind its label promises. */
static enum err set_value(struct arena *a, struct senml_record *r, enum senml_label label,
                          struct lw_value v)
{
    double ignored;
    bool is_number = v.type == LW_FLOAT || (v.type != LW_BOOLEAN && lw_value_double(v, &ignored));
    bool right = label == SENML_V    ? is_number || v.type == LW_NONE
                 : label == SENML_VS ? v.type == LW_STRING
                 : label == SENML_VB ? v.type == LW_BOOLEAN
                                     : v.type == LW_STRING || v.type == LW_OPAQUE;
    if (!right)
        return ERR_INVALID;
    enum err e = ERR_OK;
    if (label == SENML_VD)
        e = lw_value_coerce(a, LW_OPAQUE, &v);
    else if (label == SENML_VLO)
        e = lw_value_coerce(a, LW_OBJLNK, &v);
    if (e)
        return e == ERR_TYPE ? ERR_INVALID : e;
    r->has_many = r->has_many || r->has_value;
    r->has_value = true;
    r->value = v;
    return ERR_OK;
}

static enum err set_text(struct str *to, struct lw_value v)
{
    if (v.type != LW_STRING)
        return ERR_INVALID;
    *to = v.s.p ? v.s : str_of("");
    return ERR_OK;
}

static enum err set_seconds(double *to, struct lw_value v)
{
    if (v.type == LW_BOOLEAN || !lw_value_double(v, to))
        return ERR_INVALID;
    return ERR_OK;
}

enum err senml_field(struct arena *a, struct senml_record *r, enum senml_label label,
                     struct str name, struct lw_value value)
{
    switch (label) {
    case SENML_BN:
        return set_text(&r->bn, value);
    case SENML_N:
        return set_text(&r->n, value);
    case SENML_BT:
        r->has_bt = true;
        return set_seconds(&r->bt, value);
    case SENML_T:
        return set_seconds(&r->t, value);
    case SENML_BVER:
        if (lw_value_coerce(a, LW_INTEGER, &value) || value.type != LW_INTEGER)
            return ERR_INVALID;
        r->bver = value.i;
        return ERR_OK;
    case SENML_BV:
    case SENML_BS:
    case SENML_S:
        r->has_other = true;
        return ERR_OK;
    case SENML_V:
    case SENML_VS:
    case SENML_VB:
    case SENML_VD:
    case SENML_VLO:
        return set_value(a, r, label, value);
    default: /* units, and labels nobody here knows */
        return name.n && name.p[name.n - 1] == '_' ? ERR_INVALID : ERR_OK;
    }
}

static enum err join_path(const struct senml *s, struct str n, struct lw_path *out)
{
    char text[NAME_MAX_TEXT];
    if (s->bn.n + n.n > sizeof text)
        return ERR_INVALID;
    if (s->bn.n)
        memcpy(text, s->bn.p, s->bn.n);
    if (n.n)
        memcpy(text + s->bn.n, n.p, n.n);
    struct str name = str_make(text, s->bn.n + n.n);
    if (str_eq(name, alternate_root))
        name = str_of("/");
    else if (name.n > alternate_root.n && !memcmp(name.p, alternate_root.p, alternate_root.n) &&
             name.p[alternate_root.n] == '/')
        name = str_make(name.p + alternate_root.n, name.n - alternate_root.n);
    return lw_path_parse_new(name, out);
}

static enum err check(const struct senml *s, const struct senml_record *r)
{
    if (r->has_many || r->bver > BVER_MAX || r->bver < 0)
        return ERR_INVALID;
    if (r->has_other)
        return ERR_UNSUPPORTED;
    if (r->has_value && r->value.type == LW_NONE && !s->etch)
        return ERR_INVALID;
    if (s->etch && (r->has_value ? s->named : s->valued))
        return ERR_INVALID;
    return s->list->n >= LW_ENTRIES_MAX ? ERR_TOOBIG : ERR_OK;
}

enum err senml_add(struct senml *s, const struct senml_record *r)
{
    enum err e = check(s, r);
    if (e)
        return e;
    if (r->bn.p)
        s->bn = r->bn;
    if (r->has_bt)
        s->bt = r->bt;
    struct lw_entry entry = {.value = r->value};
    double seconds = s->bt + r->t;
    if (!(fabs(seconds) < SECONDS_MAX))
        return ERR_RANGE;
    entry.time_ms = llround(seconds * 1000);
    e = join_path(s, r->n, &entry.path);
    if (e)
        return e;
    if (r->has_value && entry.path.n < 3)
        return ERR_INVALID;
    if (r->has_value)
        s->valued++;
    else
        s->named++;
    return lw_entries_add(s->a, s->list, entry);
}

bool senml_sayable(const struct lw_entries *in, bool etch)
{
    for (size_t i = 0; i < in->n; i++)
        if (in->v[i].path.n < 3 && (etch || in->v[i].value.type != LW_NONE))
            return false;
    return true;
}

struct senml_names senml_names_of(struct lw_path base, const struct lw_entries *in)
{
    struct senml_names names = {.base = lw_path_up(base, 2)};
    for (size_t i = 0; i < in->n; i++)
        if (in->v[i].path.n <= names.base.n)
            names.base = lw_path_of(0, 0, 0, 0, 0);
    if (names.base.n) {
        names.bn_len = lw_path_text(names.base, names.bn);
        names.bn[names.bn_len++] = '/';
        names.bn[names.bn_len] = '\0';
    }
    return names;
}

size_t senml_name(const struct senml_names *names, struct lw_path p, char out[LW_PATH_TEXT])
{
    size_t n = lw_path_text(p, out);
    if (names->bn_len) {
        n -= names->bn_len;
        memmove(out, out + names->bn_len, n + 1);
    }
    return n;
}
