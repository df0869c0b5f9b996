/* values.c - from what a message carried to values we believe.
 *
 * A device that gets one value wrong is still worth listening to: each entry is judged by itself,
 * and one anomaly tells of all that were left out. */
#include "lwm2m/lwm2m_int.h"

#include <stdio.h>

struct sieve {
    struct lw_client *c;
    struct arena *a;
    const struct lw_path *bases;
    size_t n_bases;
    struct lw_typer typer;
    struct lw_entries kept;
    size_t dropped;
    struct lw_path first; /* of the dropped */
    const char *why;      /* ... and why */
    enum err err;
};

bool lw_object_is_secret(uint16_t object)
{
    return object == 0 || object == 21 || object == 23; /* Security, OSCORE, COSE */
}

static bool wanted(const struct sieve *s, struct lw_path p)
{
    for (size_t i = 0; i < s->n_bases; i++)
        if (lw_path_covers(s->bases[i], p))
            return true;
    return s->n_bases == 0;
}

static enum err judge(struct sieve *s, struct lw_entry *e, const char **why)
{
    struct lw_resource_type t = lw_typer_ask(s->typer, e->path);
    *why = "no resource";
    if (e->path.n < 3)
        return ERR_INVALID;
    *why = "not asked for";
    if (!wanted(s, e->path))
        return ERR_CONFLICT;
    *why = "a secret object";
    if (lw_object_is_secret(e->path.id[0]))
        return ERR_DENIED;
    *why = "no value";
    if (e->value.type == LW_NONE)
        return ERR_TYPE;
    enum err err = t.known ? lw_value_coerce(s->a, t.type, &e->value) : ERR_OK;
    *why = err == ERR_RANGE ? "out of range" : "wrong type";
    return err;
}

static enum err sift(struct sieve *s, struct lw_entry e)
{
    const char *why;
    enum err err = judge(s, &e, &why);
    if (!err)
        return lw_entries_add(s->a, &s->kept, e);
    if (!s->dropped++) {
        s->first = e.path;
        s->why = why;
        s->err = err;
    }
    return ERR_OK;
}

static void report(const struct sieve *s, struct moment now)
{
    char path[LW_PATH_TEXT];
    if (!s->dropped)
        return;
    lw_path_text(s->first, path);
    if (s->dropped == 1)
        lw_anomaly(s->c, s->err, now, "value of %s left out: %s", path, s->why);
    else
        lw_anomaly(s->c, s->err, now, "value of %s left out: %s (and %zu more)", path, s->why,
                   s->dropped - 1);
}

/* Reads the payload; when a value does not fit its type, again without types so that the others
 * can be kept. */
static enum err decode(struct sieve *s, const struct lw_uplink *u, struct lw_entries *raw)
{
    static const struct lw_typer untyped = {NULL, NULL};
    struct lw_path base = lw_path_of(0, 0, 0, 0, 0);
    if (s->n_bases == 1)
        base = s->bases[0];
    enum err e = lw_decode(s->a, u->ct, u->payload, base, s->typer, raw);
    if (e == ERR_TYPE || e == ERR_RANGE)
        e = lw_decode(s->a, u->ct, u->payload, base, untyped, raw);
    return e;
}

enum err lw_values_take(struct lw_client *c, struct arena *scratch, const struct lw_uplink *u,
                        const struct lw_path *bases, size_t n, struct lw_entries *out,
                        struct moment now)
{
    struct sieve s = {
        .c = c, .a = scratch, .bases = bases, .n_bases = n, .typer = lw_model_typer(c->model)};
    struct lw_entries raw = u->values;
    enum err e = ERR_OK;
    if (u->ct != LW_CT_NONE && u->payload.p)
        e = decode(&s, u, &raw);
    for (size_t i = 0; !e && i < raw.n; i++)
        e = sift(&s, raw.v[i]);
    if (e)
        return e;
    report(&s, now);
    *out = s.kept;
    return ERR_OK;
}
