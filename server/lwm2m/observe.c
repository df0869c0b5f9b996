/* observe.c - what the device tells us without being asked again.
 *
 *                 2.05              cancel answered 2.xx or 4.04, replaced,
 *      (asked) ---------> active ---------------------------------------------> (gone)
 *         |                         registration ended or renewed
 *         +--> (gone)  refused, timed out, dropped
 *
 * An observation's name is the token of the request that made it.  A Notify with a name we do not
 * know comes from an observation the device still holds and we do not: it is told to cancel it. */
#include "lwm2m/lwm2m_int.h"

#include <stdlib.h>

enum err lw_observation_add(struct lw_client *c, struct lw_token token, const struct lw_path *paths,
                            size_t n, bool composite, struct lw_observation **out)
{
    struct lw_talk *t = c->talk;
    if (t->n_obs >= LW_OBSERVATIONS_MAX)
        return ERR_FULL;
    if (lw_observation_of(c, token))
        return ERR_EXISTS;
    if (t->n_obs == t->cap_obs) {
        size_t cap = t->cap_obs ? t->cap_obs * 2 : 4;
        struct lw_observation **v = realloc(t->obs, cap * sizeof(void *));
        if (!v)
            return ERR_NOMEM;
        t->obs = v;
        t->cap_obs = cap;
    }
    struct lw_observation *o = calloc(1, sizeof *o + n * sizeof *paths); /* paths behind it */
    if (!o)
        return ERR_NOMEM;
    o->token = token;
    o->paths = (struct lw_path *)(void *)(o + 1);
    memcpy(o->paths, paths, n * sizeof *paths);
    o->n_paths = n;
    o->composite = composite;
    enum err e = map_put(&t->obs_by_token, str_of(o->token.text), o, NULL);
    if (e) {
        free(o);
        return e;
    }
    t->obs[t->n_obs++] = o;
    *out = o;
    return ERR_OK;
}

struct lw_observation *lw_observation_of(const struct lw_client *c, struct lw_token token)
{
    return map_find(&lw_talk(c)->obs_by_token, str_of(token.text));
}

static void unlink_observation(struct lw_client *c, struct lw_observation *o)
{
    struct lw_talk *t = c->talk;
    size_t i = 0;
    while (t->obs[i] != o)
        i++;
    t->n_obs--;
    memmove(t->obs + i, t->obs + i + 1, (t->n_obs - i) * sizeof(void *));
    map_remove(&t->obs_by_token, str_of(o->token.text));
}

void lw_observation_end(struct lw_client *c, struct lw_observation *o, const char *why,
                        struct moment now)
{
    unlink_observation(c, o);
    if (o->active && why)
        c->sink->observation(c->ctx, o, why, now);
    free(o);
}

void lw_observations_end(struct lw_client *c, const char *why, struct moment now)
{
    const struct lw_talk *t = lw_talk(c);
    for (size_t i = 0; i < t->n_obs;)
        if (t->obs[i]->active)
            lw_observation_end(c, t->obs[i], why, now);
        else
            i++;
}

static bool same_paths(const struct lw_observation *x, const struct lw_observation *y)
{
    if (x->composite != y->composite || x->n_paths != y->n_paths)
        return false;
    for (size_t i = 0; i < x->n_paths; i++)
        if (!lw_path_eq(x->paths[i], y->paths[i]))
            return false;
    return true;
}

void lw_observation_confirm(struct lw_client *c, struct lw_observation *o, struct moment now)
{
    const struct lw_talk *t = lw_talk(c);
    for (size_t i = 0; i < t->n_obs;)
        if (t->obs[i] != o && t->obs[i]->active && same_paths(t->obs[i], o))
            lw_observation_end(c, t->obs[i], "replaced by a newer observation", now);
        else
            i++;
    o->active = true;
    o->since_ms = now.utc_ms;
    c->sink->observation(c->ctx, o, NULL, now);
}

void lw_on_notify(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                  struct moment now)
{
    struct lw_observation *o = lw_observation_of(c, u->token);
    struct lw_entries values = {0};
    if (!o) {
        lw_anomaly(c, ERR_NOTFOUND, now, "notify for the unknown observation %s", u->token.text);
        lw_cancel_stray(c, u->token, now);
        return;
    }
    o->notifies++;
    o->last_notify_ms = now.utc_ms;
    enum err e = lw_values_take(c, scratch, u, o->paths, o->n_paths, &values, now);
    if (e)
        lw_anomaly(c, e, now, "notify %s cannot be read: %s", o->token.text, err_word(e));
    else if (values.n)
        c->sink->values(c->ctx, &values, LW_SRC_NOTIFY, now);
}

size_t lw_client_observations(const struct lw_client *c)
{
    return lw_talk(c)->n_obs;
}

const struct lw_observation *lw_client_observation(const struct lw_client *c, size_t i)
{
    return i < lw_talk(c)->n_obs ? c->talk->obs[i] : NULL;
}

const struct lw_observation *lw_client_observation_find(const struct lw_client *c, struct str token)
{
    return map_find(&lw_talk(c)->obs_by_token, token);
}

bool lw_client_observes(const struct lw_client *c, struct lw_path path)
{
    const struct lw_talk *t = lw_talk(c);
    for (size_t i = 0; i < t->n_obs; i++)
        for (size_t k = 0; t->obs[i]->active && k < t->obs[i]->n_paths; k++)
            if (lw_path_covers(t->obs[i]->paths[k], path))
                return true;
    return false;
}

enum err lw_client_restore_observation(struct lw_client *c, struct lw_token token,
                                       const struct lw_path *paths, size_t n, bool composite,
                                       int64_t since_ms)
{
    struct lw_observation *o;
    if (c->reg.state != LW_REG_REGISTERED)
        return ERR_CLOSED;
    if (!token.text[0] || !n || (!composite && n != 1))
        return ERR_INVALID;
    if (map_find(&lw_talk(c)->pending, str_of(token.text)))
        return ERR_EXISTS;
    enum err e = lw_talk_begin(c);
    if (!e)
        e = lw_observation_add(c, token, paths, n, composite, &o);
    if (e)
        return e;
    o->active = true;
    o->since_ms = since_ms;
    return ERR_OK;
}
