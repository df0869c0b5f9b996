/* lwm2m_attrs.c - see lwm2m_attrs.h. */
#include "codec/lwm2m_attrs.h"

#include <math.h>

const char *const lw_attr_words[LW_ATTR_COUNT] = {
    [LW_PMIN] = "pmin", [LW_PMAX] = "pmax",   [LW_GT] = "gt",       [LW_LT] = "lt",
    [LW_ST] = "st",     [LW_EPMIN] = "epmin", [LW_EPMAX] = "epmax", [LW_EDGE] = "edge",
    [LW_CON] = "con",   [LW_HQMAX] = "hqmax",
};

/* The largest value of an unsigned attribute; 0 marks a threshold, which may be any number. */
static const double limits[LW_ATTR_COUNT] = {
    [LW_PMIN] = UINT32_MAX,  [LW_PMAX] = UINT32_MAX, [LW_EPMIN] = UINT32_MAX,
    [LW_EPMAX] = UINT32_MAX, [LW_EDGE] = 1,          [LW_CON] = 1,
    [LW_HQMAX] = UINT32_MAX,
};

bool lw_attr_from(struct str word, enum lw_attr *out)
{
    for (unsigned i = 0; i < LW_ATTR_COUNT; i++)
        if (str_is(word, lw_attr_words[i])) {
            *out = (enum lw_attr)i;
            return true;
        }
    return false;
}

enum err lw_attrs_set(struct lw_attrs *attrs, enum lw_attr attr, double v)
{
    if (!isfinite(v) || (limits[attr] > 0 && (v < 0 || v > limits[attr] || v != floor(v))))
        return ERR_RANGE;
    attrs->set |= (uint16_t)(1u << attr);
    attrs->v[attr] = v;
    return ERR_OK;
}

enum err lw_attrs_parse(struct str query, struct lw_attrs *out)
{
    struct lw_attrs attrs = {0};
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str word = str_cut(&value, '=');
        enum lw_attr attr;
        double v = 0;
        if (!lw_attr_from(word, &attr) || (attrs.set | attrs.unset) & 1u << attr)
            return ERR_INVALID;
        if (!value.p) {
            attrs.unset |= (uint16_t)(1u << attr);
            continue;
        }
        if (str_to_double(value, &v))
            return ERR_INVALID;
        enum err e = lw_attrs_set(&attrs, attr, v);
        if (e)
            return e;
    }
    *out = attrs;
    return ERR_OK;
}

static bool both(const struct lw_attrs *a, enum lw_attr x, enum lw_attr y)
{
    unsigned mask = 1u << x | 1u << y;
    return (a->set & mask) == mask;
}

enum err lw_attrs_check(const struct lw_attrs *a)
{
    bool has_st = a->set & 1u << LW_ST;
    if (has_st && a->v[LW_ST] <= 0)
        return ERR_CONFLICT;
    if (both(a, LW_LT, LW_GT) && !(a->v[LW_LT] + (has_st ? 2 * a->v[LW_ST] : 0) < a->v[LW_GT]))
        return ERR_CONFLICT;
    if (both(a, LW_PMIN, LW_PMAX) && a->v[LW_PMAX] > 0 && a->v[LW_PMIN] > a->v[LW_PMAX])
        return ERR_CONFLICT;
    if (both(a, LW_EPMIN, LW_EPMAX) && a->v[LW_EPMIN] >= a->v[LW_EPMAX])
        return ERR_CONFLICT;
    return ERR_OK;
}
