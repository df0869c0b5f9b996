/* lwm2m_path.c - see lwm2m_path.h.
 *
 * Ids behind the last level are always LW_ID_NONE, so two equal paths are equal in every member
 * and the packed key of a path is unique. */
#include "codec/lwm2m_path.h"

#define LEVELS     4
#define DIGITS_MAX 5

/* One decimal id.  Leading zeros are read as clients exist that write them. */
static enum err parse_id(struct str s, unsigned max, uint16_t *out)
{
    if (s.n == 0)
        return ERR_INVALID;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return ERR_INVALID;
    while (s.n > 1 && s.p[0] == '0')
        s = str_make(s.p + 1, s.n - 1);
    if (s.n > DIGITS_MAX)
        return ERR_RANGE;
    unsigned v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v * 10 + (unsigned)(s.p[i] - '0');
    if (v > max)
        return ERR_RANGE;
    *out = (uint16_t)v;
    return ERR_OK;
}

static enum err parse(struct str text, unsigned max_instance, struct lw_path *out)
{
    struct lw_path p = lw_path_of(0, 0, 0, 0, 0);
    if (str_is(text, "/")) {
        *out = p;
        return ERR_OK;
    }
    if (text.n && text.p[0] == '/')
        text = str_make(text.p + 1, text.n - 1);
    if (text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    while (text.p) {
        struct str level = str_cut(&text, '/');
        if (p.n == LEVELS)
            return ERR_DEPTH;
        enum err e = parse_id(level, p.n == 1 ? max_instance : LW_ID_NONE - 1, &p.id[p.n]);
        if (e)
            return e;
        p.n++;
    }
    if (!p.n)
        return ERR_INVALID;
    *out = p;
    return ERR_OK;
}

enum err lw_path_parse(struct str text, struct lw_path *out)
{
    return parse(text, LW_ID_NONE - 1, out);
}

enum err lw_path_parse_new(struct str text, struct lw_path *out)
{
    return parse(text, LW_ID_NONE, out);
}

enum err lw_id_parse(struct str text, uint16_t *out)
{
    if (text.n > 1 && text.p[0] == '0')
        return ERR_INVALID;
    return parse_id(text, LW_ID_NONE - 1, out);
}

size_t lw_path_text(struct lw_path p, char out[LW_PATH_TEXT])
{
    size_t n = 0;
    for (unsigned i = 0; i < p.n && i < LEVELS; i++) {
        char digits[DIGITS_MAX];
        size_t have = 0;
        unsigned v = p.id[i];
        do {
            digits[have++] = (char)('0' + v % 10);
            v /= 10;
        } while (v);
        out[n++] = '/';
        while (have)
            out[n++] = digits[--have];
    }
    if (!n)
        out[n++] = '/';
    out[n] = '\0';
    return n;
}

bool lw_path_eq(struct lw_path a, struct lw_path b)
{
    return lw_path_cmp(a, b) == 0;
}

int lw_path_cmp(struct lw_path a, struct lw_path b)
{
    unsigned n = a.n < b.n ? a.n : b.n;
    for (unsigned i = 0; i < n; i++)
        if (a.id[i] != b.id[i])
            return a.id[i] < b.id[i] ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool lw_path_covers(struct lw_path base, struct lw_path p)
{
    if (p.n < base.n)
        return false;
    for (unsigned i = 0; i < base.n; i++)
        if (base.id[i] != p.id[i])
            return false;
    return true;
}

uint64_t lw_path_key(struct lw_path p)
{
    uint64_t key = 0;
    for (unsigned i = 0; i < LEVELS; i++)
        key = key << 16 | (i < p.n ? p.id[i] : LW_ID_NONE);
    return key;
}

struct lw_path lw_path_of(unsigned n, uint16_t o, uint16_t i, uint16_t r, uint16_t ri)
{
    uint16_t id[LEVELS] = {o, i, r, ri};
    struct lw_path p = {.n = (uint8_t)(n < LEVELS ? n : LEVELS)};
    for (unsigned k = 0; k < LEVELS; k++)
        p.id[k] = k < p.n ? id[k] : LW_ID_NONE;
    return p;
}

struct lw_path lw_path_down(struct lw_path p, uint16_t id)
{
    if (p.n < LEVELS)
        p.id[p.n++] = id;
    return p;
}

struct lw_path lw_path_up(struct lw_path p, unsigned n)
{
    return lw_path_of(n < p.n ? n : p.n, p.id[0], p.id[1], p.id[2], p.id[3]);
}
