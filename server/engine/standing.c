/* standing.c - whom the shards listen to: identities suspended or retired, devices added by hand,
 * and strangers who were turned away.
 *
 * The broker keeps a blocked identity out; this is the second door, for what is still on its way
 * and for brokers whose files are not ours to write.  Each shard holds the blocked names that hash
 * to it, with or without a device record: a retired name stays retired after its record is gone.
 *
 * Strangers (devices.admission = known) are counted in a small table that is written to SQL with
 * the survey; when it is full the rest of that interval is counted in the metric only. */
#include "engine/engine_int.h"

#include <stdio.h>
#include <stdlib.h>

#define STRANGERS_MAX 1000

struct blocked {
    enum standing standing;
    struct str name; /* behind this struct */
};

struct stranger {
    int64_t last_ms;
    uint64_t messages;
    struct str name; /* behind this struct */
};

static const char *const standing_words[] = {
    [STANDING_ACTIVE] = "active",
    [STANDING_SUSPENDED] = "suspended",
    [STANDING_RETIRED] = "retired",
};

const char *standing_word(enum standing s)
{
    return standing_words[s];
}

bool standing_from(struct str word, enum standing *out)
{
    for (int s = STANDING_ACTIVE; s <= STANDING_RETIRED; s++)
        if (str_is(word, standing_words[s])) {
            *out = (enum standing)s;
            return true;
        }
    return false;
}

enum standing shard_standing(const struct shard *s, struct str name)
{
    const struct blocked *b = s->blocked.n ? map_find(&s->blocked, name) : NULL;
    return b ? b->standing : STANDING_ACTIVE;
}

static enum err set_blocked(struct shard *s, struct str name, enum standing standing)
{
    struct blocked *old = map_remove(&s->blocked, name);
    free(old);
    if (standing == STANDING_ACTIVE)
        return ERR_OK;
    struct blocked *b = malloc(sizeof *b + name.n);
    if (!b)
        return ERR_NOMEM;
    memcpy(b + 1, name.p, name.n);
    *b = (struct blocked){standing, str_make((const char *)(b + 1), name.n)};
    enum err e = map_put(&s->blocked, b->name, b, NULL);
    if (e)
        free(b);
    return e;
}

enum err standing_restore(struct engine *e, const struct load_identity *i)
{
    enum standing standing;
    if (!standing_from(i->state, &standing))
        return ERR_OK;
    return set_blocked(shard_of(e, i->endpoint), i->endpoint, standing);
}

void standing_fini(struct shard *s)
{
    size_t it = 0;
    for (void *p; (p = map_next(&s->blocked, &it));)
        free(p);
    map_fini(&s->blocked);
    it = 0;
    for (void *p; (p = map_next(&s->strangers, &it));)
        free(p);
    map_fini(&s->strangers);
}

/* Our own act ended the connection: there is no will to wait for, the broker refuses it too. */
static void cut_off(struct device *d, enum standing standing)
{
    struct braid_evidence *e = &d->evidence;
    if (d->sp)
        spb_node_host_lost(d->sp, d->shard->now);
    if (!e->lw_at_ms && !e->sp_at_ms)
        return;
    e->died_at_ms = d->shard->now.utc_ms;
    e->died_mono_ms = d->shard->now.mono_ms;
    e->died_kind = standing_word(standing);
    e->died_orderly = false;
}

enum err standing_answer(struct shard *s, struct ask *a)
{
    struct str name = str_of(a->endpoint);
    enum err e = set_blocked(s, name, a->standing);
    struct device *d = device_find(s, name);
    if (e || !d)
        return e;
    timeline_add(d, TL_STANDING, a->text, str_make(NULL, 0));
    if (a->standing != STANDING_ACTIVE)
        cut_off(d, a->standing);
    d->judge = true;
    device_mark_row(d);
    device_settle(d);
    return ERR_OK;
}

enum err standing_add(struct shard *s, struct ask *a)
{
    struct device *d;
    struct str name = str_of(a->endpoint);
    if (device_find(s, name))
        return ERR_EXISTS;
    if (shard_standing(s, name) != STANDING_ACTIVE)
        return ERR_CONFLICT;
    enum err e = device_make(s, name, &d);
    if (e)
        return e;
    timeline_add(d, TL_ADDED, a->text, str_make(NULL, 0));
    device_mark_row(d);
    device_settle(d);
    return ERR_OK;
}

enum err standing_note(struct shard *s, struct ask *a)
{
    struct device *d = device_find(s, str_of(a->endpoint));
    if (!d)
        return ERR_NOTFOUND;
    timeline_add(d, TL_CREDENTIAL, a->text, str_make(NULL, 0));
    return ERR_OK;
}

void stranger_seen(struct shard *s, struct str name)
{
    struct stranger *t = map_find(&s->strangers, name);
    if (!t && s->strangers.n < STRANGERS_MAX && (t = malloc(sizeof *t + name.n))) {
        memcpy(t + 1, name.p, name.n);
        *t = (struct stranger){.name = str_make((const char *)(t + 1), name.n)};
        if (map_put(&s->strangers, t->name, t, NULL)) {
            free(t);
            t = NULL;
        }
    }
    if (!t)
        return;
    t->last_ms = s->now.utc_ms;
    t->messages++;
}

void strangers_store(struct shard *s)
{
    size_t it = 0;
    for (struct stranger *t; (t = map_next(&s->strangers, &it));) {
        struct params p = {.n = 0};
        params_str(&p, t->name);
        params_text(&p, "devices.admission is \"known\" and there is no device of this name");
        params_i64(&p, t->last_ms);
        params_i64(&p, (int64_t)t->messages);
        params_put(s->engine, ST_UNKNOWN_SEEN, &p);
        map_remove(&s->strangers, t->name);
        free(t);
    }
}
