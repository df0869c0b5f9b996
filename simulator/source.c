/* source.c - see source.h. */
#include "source.h"

#include <math.h>

#define LABELS_MAX 64

/* "3:0" */
static enum err read_link(struct str s, struct lw_value *v)
{
    uint64_t oid, iid;
    struct str first = str_cut(&s, ':');
    if (!s.p || str_to_u64(first, &oid) || str_to_u64(s, &iid))
        return ERR_INVALID;
    if (oid > UINT16_MAX || iid > UINT16_MAX)
        return ERR_RANGE;
    v->link.oid = (uint16_t)oid;
    v->link.iid = (uint16_t)iid;
    return ERR_OK;
}

static enum err read_opaque(struct arena *a, struct str s, struct lw_value *v)
{
    uint8_t *bytes = arena_alloc(a, s.n + 4);
    if (!bytes)
        return ERR_NOMEM;
    size_t n = s.n;
    enum err e = str_from_base64(s, bytes, &n);
    v->s = str_make((char *)bytes, n);
    return e;
}

enum err source_scalar(struct arena *a, const struct json_node *n, enum lw_type type,
                       struct lw_value *out)
{
    struct lw_value v = {.type = type};
    struct str s;
    enum err e = ERR_OK;
    bool ok = true;
    switch (type) {
    case LW_STRING:
    case LW_CORELNK:
        ok = json_is_str(n, &s);
        v.s = ok ? arena_str(a, s) : s;
        if (ok && !v.s.p)
            e = ERR_NOMEM;
        break;
    case LW_OPAQUE:
        ok = json_is_str(n, &s);
        e = ok ? read_opaque(a, s, &v) : ERR_OK;
        break;
    case LW_OBJLNK:
        ok = json_is_str(n, &s);
        e = ok ? read_link(s, &v) : ERR_OK;
        break;
    case LW_INTEGER:
    case LW_TIME:
        ok = json_is_i64(n, &v.i);
        break;
    case LW_UNSIGNED:
        ok = json_is_u64(n, &v.u);
        break;
    case LW_FLOAT:
        ok = json_is_double(n, &v.f);
        break;
    case LW_BOOLEAN:
        ok = json_is_bool(n, &v.b);
        break;
    case LW_NONE:
    case LW_TYPE_COUNT:
        ok = false;
        break;
    }
    if (!ok)
        return ERR_TYPE;
    if (!e)
        *out = v;
    return e;
}

static enum err read_labels(struct arena *a, const struct json_node *list, enum lw_type type,
                            struct source *s)
{
    if (list->kind != JSON_ARRAY || !list->n || list->n > LABELS_MAX)
        return ERR_INVALID;
    struct lw_value *v = arena_calloc(a, list->n, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    size_t i = 0;
    for (const struct json_node *n = list->child; n; n = n->next, i++) {
        enum err e = source_scalar(a, n, type, &v[i]);
        if (e)
            return e;
    }
    s->labels = v;
    s->wave.states = (unsigned)list->n;
    return ERR_OK;
}

struct number_key {
    const char *key;
    size_t offset;
};

static const struct number_key number_keys[] = {
    {"mean", offsetof(struct wave, mean)},       {"amplitude", offsetof(struct wave, amplitude)},
    {"noise", offsetof(struct wave, noise)},     {"drift", offsetof(struct wave, drift)},
    {"period", offsetof(struct wave, period_s)}, {"rate", offsetof(struct wave, rate)},
    {"start", offsetof(struct wave, start)},     {"min", offsetof(struct wave, min)},
    {"max", offsetof(struct wave, max)},
};

static const char *read_member(struct arena *a, const struct json_node *m, enum lw_type type,
                               struct source *s, enum err *e)
{
    int64_t i;
    *e = ERR_INVALID;
    for (size_t k = 0; k < sizeof number_keys / sizeof number_keys[0]; k++) {
        if (!str_is(m->key, number_keys[k].key))
            continue;
        double *to = (double *)((char *)&s->wave + number_keys[k].offset);
        if (json_is_double(m, to))
            *e = ERR_OK;
        return *e ? "a signal's parameter must be a number" : NULL;
    }
    if (str_is(m->key, "values")) {
        *e = read_labels(a, m, type, s);
        return *e ? "values must be 1..64 scalars of the resource's type" : NULL;
    }
    if (str_is(m->key, "decimals")) {
        if (!json_is_i64(m, &i) || i < 0 || i > 9)
            return "decimals must be 0..9";
        s->wave.decimals = (int)i;
    } else if (!str_is(m->key, "signal")) {
        return "unknown parameter of a signal";
    }
    *e = ERR_OK;
    return NULL;
}

static enum err read_wave(struct arena *a, const struct json_node *n, enum lw_type type,
                          struct source *out, const char **why)
{
    struct str word;
    unsigned kind = 0;
    *why = "unknown signal";
    if (!json_is_str(json_get(n, "signal"), &word))
        return ERR_INVALID;
    while (kind < WAVE_KIND_COUNT && !str_is(word, wave_words[kind]))
        kind++;
    if (kind == WAVE_KIND_COUNT)
        return ERR_INVALID;
    struct source s = {.kind = SOURCE_WAVE};
    wave_init(&s.wave, (enum wave_kind)kind);
    for (const struct json_node *m = n->child; m; m = m->next) {
        enum err e;
        const char *wrong = read_member(a, m, type, &s, &e);
        if (wrong) {
            *why = wrong;
            return e;
        }
    }
    *why = "period must be positive";
    if (!(s.wave.period_s > 0))
        return ERR_RANGE;
    *why = "text needs a signal with values";
    bool numeric = type == LW_INTEGER || type == LW_UNSIGNED || type == LW_FLOAT ||
                   type == LW_BOOLEAN || type == LW_TIME;
    if (!numeric && !s.labels)
        return ERR_TYPE;
    *why = "values belong to states and square (two of them)";
    if (s.labels && kind != WAVE_STATES && (kind != WAVE_SQUARE || s.wave.states != 2))
        return ERR_INVALID;
    *out = s;
    return ERR_OK;
}

enum err source_read(struct arena *a, const struct json_node *n, enum lw_type type,
                     struct source *out, const char **why)
{
    if (n->kind == JSON_OBJECT)
        return read_wave(a, n, type, out, why);
    struct source s = {.kind = SOURCE_FIXED};
    if (n->kind == JSON_STRING && type == LW_STRING && str_is(n->text, "{endpoint}")) {
        s.kind = SOURCE_ENDPOINT;
        *out = s;
        return ERR_OK;
    }
    *why = "value does not fit the type";
    enum err e = source_scalar(a, n, type, &s.fixed);
    if (!e)
        *out = s;
    return e;
}

static struct lw_value numeric(double d, enum lw_type type)
{
    struct lw_value v = {.type = type};
    switch (type) {
    case LW_FLOAT:
        v.f = d;
        break;
    case LW_BOOLEAN:
        v.b = d >= 0.5;
        break;
    case LW_UNSIGNED:
        v.u = d <= 0 ? 0 : (uint64_t)fmin(d, 1.8e19);
        break;
    default:
        v.i = llround(fmin(fmax(d, -9e18), 9e18));
        break;
    }
    return v;
}

struct lw_value source_value(const struct source *s, enum lw_type type, struct str endpoint,
                             uint64_t seed, int64_t utc_ms)
{
    if (s->kind == SOURCE_ENDPOINT)
        return (struct lw_value){.type = LW_STRING, .s = endpoint};
    if (s->kind == SOURCE_FIXED)
        return s->fixed;
    double d = wave_at(&s->wave, seed, utc_ms);
    if (!s->labels)
        return numeric(d, type);
    size_t i = d <= 0 ? 0 : (size_t)d;
    return s->labels[i < s->wave.states ? i : s->wave.states - 1];
}

bool source_moves(const struct source *s)
{
    return s->kind == SOURCE_WAVE && s->wave.kind != WAVE_CONSTANT;
}
