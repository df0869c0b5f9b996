/* observe.c - see observe.h. */
#include "observe.h"

#include <math.h>
#include <stdlib.h>

#define OBSERVATIONS_MAX 128
#define ATTACHED_MAX     128
#define PATHS_MAX        32

struct attached {
    struct lw_path path;
    struct lw_attrs attrs;
};

struct observation {
    struct lw_token token;
    struct lw_path *paths; /* owned */
    size_t n;
    unsigned ct;
    struct lw_attrs own; /* given with the Observe */
    uint64_t notified_ms;
    uint64_t fingerprint; /* of the values last told */
    double number;        /* single numeric resources: the value last told; NaN otherwise */
};

struct observe {
    struct attached *attached; /* owned */
    size_t n_attached;
    struct observation *v; /* owned */
    size_t n;
};

enum err observe_new(struct observe **out)
{
    struct observe *o = calloc(1, sizeof *o);
    if (!o)
        return ERR_NOMEM;
    *out = o;
    return ERR_OK;
}

void observe_free(struct observe *o)
{
    if (!o)
        return;
    observe_clear(o);
    free(o->v);
    free(o->attached);
    free(o);
}

static bool has(const struct lw_attrs *a, enum lw_attr which)
{
    return a->set & 1u << which;
}

static bool consistent(const struct lw_attrs *a)
{
    for (int i = 0; i < LW_ATTR_COUNT; i++)
        if (has(a, (enum lw_attr)i) && i != LW_GT && i != LW_LT && a->v[i] < 0)
            return false;
    double st = has(a, LW_ST) ? a->v[LW_ST] : 0;
    if (has(a, LW_GT) && has(a, LW_LT) && !(a->v[LW_LT] + 2 * st < a->v[LW_GT]))
        return false;
    if (has(a, LW_EPMIN) && has(a, LW_EPMAX) && !(a->v[LW_EPMIN] < a->v[LW_EPMAX]))
        return false;
    return true;
}

static struct attached *find_attached(const struct observe *o, struct lw_path p)
{
    for (size_t i = 0; i < o->n_attached; i++)
        if (lw_path_eq(o->attached[i].path, p))
            return &o->attached[i];
    return NULL;
}

static struct lw_attrs merge(struct lw_attrs a, const struct lw_attrs *more)
{
    a.set &= (uint16_t)~more->unset;
    for (int i = 0; i < LW_ATTR_COUNT; i++)
        if (has(more, (enum lw_attr)i))
            a.v[i] = more->v[i];
    a.set |= more->set;
    a.unset = 0;
    return a;
}

enum err observe_attach(struct observe *o, struct lw_path p, const struct lw_attrs *attrs)
{
    struct attached *there = find_attached(o, p);
    struct lw_attrs next = merge(there ? there->attrs : (struct lw_attrs){0}, attrs);
    if (!consistent(&next))
        return ERR_INVALID;
    if (!there) {
        if (o->n_attached == ATTACHED_MAX)
            return ERR_FULL;
        struct attached *v = realloc(o->attached, (o->n_attached + 1) * sizeof *v);
        if (!v)
            return ERR_NOMEM;
        o->attached = v;
        there = &v[o->n_attached++];
        there->path = p;
    }
    there->attrs = next;
    return ERR_OK;
}

void observe_print(const struct observe *o, struct lw_path p, struct buf *out)
{
    const struct attached *a = find_attached(o, p);
    for (int i = 0; a && i < LW_ATTR_COUNT; i++) {
        if (!has(&a->attrs, (enum lw_attr)i))
            continue;
        char number[32];
        str_from_double(a->attrs.v[i], number);
        buf_printf(out, ";%s=%s", lw_attr_words[i], number);
    }
}

/* ---- observations ---- */

/* A hash of everything an observation shows, and its number if it shows exactly one. */
static uint64_t look(const struct tree *t, const struct observation *ob, int64_t utc_ms,
                     double *number)
{
    uint64_t h = 0;
    size_t seen = 0;
    *number = NAN;
    for (size_t i = 0; i < ob->n; i++) {
        size_t n;
        const struct tree_cell *c = tree_below(t, ob->paths[i], &n);
        for (size_t k = 0; k < n; k++) {
            if (!c[k].res->readable)
                continue;
            struct lw_value v = tree_value(t, &c[k], utc_ms);
            uint64_t key[2] = {lw_path_key(c[k].path), 0};
            if (lw_type_has_text(v.type))
                key[1] = str_hash(v.s, 1);
            else if (v.type == LW_BOOLEAN)
                key[1] = v.b;
            else if (v.type == LW_OBJLNK)
                key[1] = (uint64_t)v.link.oid << 16 | v.link.iid;
            else
                key[1] = v.u;
            h = h * 31 + str_hash(str_make((const char *)key, sizeof key), 2);
            if (seen++ || !lw_value_double(v, number))
                *number = NAN;
        }
    }
    return h;
}

static struct observation *find(const struct observe *o, struct lw_token token, size_t *at)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].token.text, token.text) == 0) {
            *at = i;
            return &o->v[i];
        }
    return NULL;
}

static void remove_at(struct observe *o, size_t i)
{
    free(o->v[i].paths);
    o->v[i] = o->v[--o->n];
}

enum err observe_add(struct observe *o, const struct tree *t, struct lw_token token,
                     const struct lw_path *paths, size_t n, const struct lw_attrs *attrs,
                     unsigned ct, struct moment now)
{
    size_t at;
    if (n == 0 || n > PATHS_MAX)
        return ERR_RANGE;
    if (attrs && !consistent(attrs))
        return ERR_INVALID;
    if (find(o, token, &at))
        remove_at(o, at);
    if (o->n == OBSERVATIONS_MAX)
        return ERR_FULL;
    struct observation *v = realloc(o->v, (o->n + 1) * sizeof *v);
    if (!v)
        return ERR_NOMEM;
    o->v = v;
    struct lw_path *copy = malloc(n * sizeof *copy);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, paths, n * sizeof *copy);
    struct observation *ob = &o->v[o->n++];
    *ob = (struct observation){
        .token = token, .paths = copy, .n = n, .ct = ct, .notified_ms = now.mono_ms};
    if (attrs)
        ob->own = *attrs;
    ob->fingerprint = look(t, ob, now.utc_ms, &ob->number);
    return ERR_OK;
}

bool observe_cancel(struct observe *o, struct lw_token token)
{
    size_t at;
    if (!find(o, token, &at))
        return false;
    remove_at(o, at);
    return true;
}

void observe_clear(struct observe *o)
{
    while (o->n)
        remove_at(o, o->n - 1);
}

void observe_forget(struct observe *o, struct lw_path p)
{
    for (size_t i = o->n; i-- > 0;)
        if (o->v[i].n == 1 && lw_path_covers(p, o->v[i].paths[0]))
            remove_at(o, i);
    for (size_t i = o->n_attached; i-- > 0;)
        if (lw_path_covers(p, o->attached[i].path))
            o->attached[i] = o->attached[--o->n_attached];
}

size_t observe_count(const struct observe *o)
{
    return o->n;
}

/* An attribute for an observation: its own, else the nearest one attached up the path. */
static bool effective(const struct observe *o, const struct observation *ob, enum lw_attr which,
                      double *out)
{
    if (has(&ob->own, which)) {
        *out = ob->own.v[which];
        return true;
    }
    if (ob->n != 1)
        return false;
    for (struct lw_path p = ob->paths[0]; p.n > 0; p.n--) {
        const struct attached *a = find_attached(o, p);
        if (a && has(&a->attrs, which)) {
            *out = a->attrs.v[which];
            return true;
        }
    }
    return false;
}

/* pmin and pmax fall back to the server object's defaults. */
static double period(const struct observe *o, const struct tree *t, const struct observation *ob,
                     enum lw_attr which, uint16_t server_resource)
{
    double v;
    struct lw_value d;
    if (effective(o, ob, which, &v))
        return v;
    if (tree_read(t, lw_path_of(3, 1, 0, server_resource, 0), 0, &d) && d.type == LW_INTEGER)
        return (double)d.i;
    return 0;
}

static bool crossed(double before, double now, double line)
{
    return (before <= line) != (now <= line);
}

static bool changed_enough(const struct observe *o, const struct observation *ob, double now,
                           bool changed)
{
    double gt, lt, st, edge;
    bool is_gt = effective(o, ob, LW_GT, &gt), is_lt = effective(o, ob, LW_LT, &lt);
    bool is_st = effective(o, ob, LW_ST, &st), is_edge = effective(o, ob, LW_EDGE, &edge);
    if (isnan(now) || isnan(ob->number) || !(is_gt || is_lt || is_st || is_edge))
        return changed;
    return (is_gt && crossed(ob->number, now, gt)) || (is_lt && crossed(ob->number, now, lt)) ||
           (is_st && fabs(now - ob->number) >= st) || (is_edge && changed && now == edge);
}

static bool is_due(const struct observe *o, const struct tree *t, struct observation *ob,
                   struct moment now)
{
    double waited = (double)(now.mono_ms - ob->notified_ms) / 1000;
    double pmin = period(o, t, ob, LW_PMIN, 2), pmax = period(o, t, ob, LW_PMAX, 3), number;
    if (waited < pmin)
        return false;
    uint64_t h = look(t, ob, now.utc_ms, &number);
    bool late = pmax > 0 && pmax >= pmin && waited >= pmax;
    if (!late && !changed_enough(o, ob, number, h != ob->fingerprint)) {
        double edge;
        if (effective(o, ob, LW_EDGE, &edge))
            ob->number = number, ob->fingerprint = h; /* the other edge passes unseen */
        return false;
    }
    ob->fingerprint = h;
    ob->number = number;
    ob->notified_ms = now.mono_ms;
    return true;
}

bool observe_next(struct observe *o, const struct tree *t, struct moment now, size_t *it,
                  struct observe_due *due)
{
    while (*it < o->n) {
        struct observation *ob = &o->v[(*it)++];
        if (!is_due(o, t, ob, now))
            continue;
        *due =
            (struct observe_due){.token = ob->token, .paths = ob->paths, .n = ob->n, .ct = ob->ct};
        return true;
    }
    return false;
}
