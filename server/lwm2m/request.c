/* request.c - what we ask the device, and what becomes of it.
 *
 * A request waits under its token until the answer, its deadline, or the end of the registration;
 * sink->answer is called exactly once for it, except for requests that were dropped by name and for
 * the cancels we send by ourselves.  The tokens of the last few that ended unanswered are kept for
 * a while, so that a late answer is called that, and a late observation is cancelled. */
#include "lwm2m/lwm2m_int.h"

#include <stdlib.h>

#define KEPT_LIMIT        (256u << 10) /* bytes of paths and written values per request */
#define STRAY_TIMEOUT_MS  10000
#define STRAY_WINDOW_MS   10000
#define STRAYS_PER_WINDOW 16

static bool observes(enum lw_down op)
{
    return op == LW_DOWN_OBSERVE || op == LW_DOWN_OBSERVE_COMPOSITE;
}

static bool writes(enum lw_down op)
{
    return op == LW_DOWN_WRITE || op == LW_DOWN_WRITE_UPDATE || op == LW_DOWN_WRITE_COMPOSITE;
}

/* ---- the table of pending requests ---- */

static void pending_free(struct lw_pending *p)
{
    if (!p)
        return;
    arena_fini(&p->kept);
    free(p);
}

static void pending_unlink(struct lw_client *c, struct lw_pending *p)
{
    heap_remove(&c->talk->due, &p->due);
    map_remove(&c->talk->pending, str_of(p->token.text));
}

static enum err pending_link(struct lw_client *c, struct lw_pending *p, uint64_t due)
{
    enum err e = map_put(&c->talk->pending, str_of(p->token.text), p, NULL);
    if (e)
        return e;
    e = heap_set(&c->talk->due, &p->due, due);
    if (e)
        map_remove(&c->talk->pending, str_of(p->token.text));
    return e;
}

/* The written values as the device will have them: owned copies, nulls (removals) left out. */
static enum err keep_written(struct lw_pending *p, const struct lw_entries *values)
{
    for (size_t i = 0; i < values->n; i++) {
        struct lw_entry entry = values->v[i];
        bool text = lw_type_has_text(entry.value.type);
        if (entry.value.type == LW_NONE)
            continue;
        if (text)
            entry.value.s = arena_str(&p->kept, entry.value.s);
        enum err e = lw_entries_add(&p->kept, &p->written, entry);
        if (e || (text && !entry.value.s.p))
            return ERR_TOOBIG;
    }
    return ERR_OK;
}

static enum err keep_paths(struct lw_pending *p, const struct lw_path *paths, size_t n)
{
    p->paths = arena_calloc(&p->kept, n + 1, sizeof *paths);
    if (!p->paths)
        return ERR_TOOBIG;
    if (n)
        memcpy(p->paths, paths, n * sizeof *paths);
    p->n_paths = n;
    return ERR_OK;
}

static enum err pending_new(uint64_t request_id, const struct lw_downlink *d,
                            struct lw_pending **out)
{
    bool composite = d->op == LW_DOWN_READ_COMPOSITE || d->op == LW_DOWN_OBSERVE_COMPOSITE;
    struct lw_pending *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    arena_init(&p->kept, 512, KEPT_LIMIT);
    p->token = d->token;
    p->request_id = request_id;
    p->op = d->op;
    p->observation = d->observation;
    p->has_created = d->op == LW_DOWN_CREATE && d->has_instance;
    p->created = lw_path_of(2, d->path.id[0], d->instance, 0, 0);
    enum err e =
        composite ? keep_paths(p, d->paths, d->n_paths) : keep_paths(p, &d->path, d->path.n > 0);
    if (e) {
        pending_free(p);
        return e;
    }
    if (writes(d->op) && keep_written(p, &d->values))
        p->written.n = 0; /* too much to remember: the next read will tell */
    *out = p;
    return ERR_OK;
}

static void remember_late(struct lw_client *c, const struct lw_pending *p)
{
    struct lw_talk *t = c->talk;
    if (!t->late)
        t->late = calloc(LW_LATE, sizeof *t->late);
    if (t->late)
        t->late[t->late_next++ % LW_LATE] = (struct lw_late){p->token, p->op};
}

/* Ends a request without an answer; `tell` unless nobody should hear of it. */
static void give_up(struct lw_client *c, struct lw_pending *p, enum lw_outcome outcome, bool tell,
                    struct moment now)
{
    pending_unlink(c, p);
    remember_late(c, p);
    struct lw_observation *o = observes(p->op) ? lw_observation_of(c, p->token) : NULL;
    if (o)
        lw_observation_end(c, o, NULL, now);
    struct lw_answer a = {
        .request_id = p->request_id, .outcome = outcome, .op = p->op, .token = p->token};
    if (tell && !p->internal)
        c->sink->answer(c->ctx, &a, now);
    pending_free(p);
}

void lw_time_out(struct lw_client *c, struct moment now)
{
    for (struct heap_node *top; (top = heap_top(&lw_talk(c)->due)) && top->key <= now.mono_ms;)
        give_up(c, list_entry(top, struct lw_pending, due), LW_TIMED_OUT, true, now);
}

void lw_drop_all(struct lw_client *c, struct moment now)
{
    for (struct heap_node *top; (top = heap_top(&lw_talk(c)->due));)
        give_up(c, list_entry(top, struct lw_pending, due), LW_DROPPED, true, now);
}

void lw_pending_free_all(struct lw_client *c)
{
    for (struct heap_node *top; (top = heap_top(&lw_talk(c)->due));) {
        struct lw_pending *p = list_entry(top, struct lw_pending, due);
        pending_unlink(c, p);
        pending_free(p);
    }
}

void lw_client_drop(struct lw_client *c, uint64_t request_id)
{
    size_t it = 0;
    for (struct lw_pending *p; (p = map_next(&lw_talk(c)->pending, &it));)
        if (p->request_id == request_id && !p->internal) {
            give_up(c, p, LW_DROPPED, false, (struct moment){0});
            return;
        }
}

size_t lw_client_pending(const struct lw_client *c)
{
    return lw_talk(c)->pending.n;
}

/* ---- asking ---- */

/* In the oma dialect the name of a cancel is the name of what it cancels (T section 8.3). */
static struct lw_token name_request(struct lw_client *c, const struct lw_downlink *d)
{
    if (d->op == LW_DOWN_CANCEL && c->reg.dialect == LW_DIALECT_OMA)
        return d->observation;
    return lw_token_new(c);
}

static enum err may_ask(const struct lw_client *c, const struct lw_downlink *d)
{
    if (c->reg.state != LW_REG_REGISTERED)
        return ERR_CLOSED;
    if ((unsigned)d->op >= LW_DOWN_ACK)
        return ERR_INVALID;
    if (lw_talk(c)->pending.n >= LW_PENDING_MAX)
        return ERR_FULL;
    if (d->op == LW_DOWN_OBSERVE_COMPOSITE && !d->n_paths)
        return ERR_INVALID;
    if (d->op != LW_DOWN_CANCEL)
        return ERR_OK;
    const struct lw_observation *o = lw_observation_of(c, d->observation);
    if (!o)
        return ERR_NOTFOUND;
    return o->active ? ERR_OK : ERR_CONFLICT;
}

/* Remembers and publishes; nothing is left behind on failure. */
static enum err ask(struct lw_client *c, struct lw_pending *p, const struct lw_downlink *d,
                    uint64_t due)
{
    struct lw_observation *o = NULL;
    bool composite = d->op == LW_DOWN_OBSERVE_COMPOSITE;
    if (map_find(&c->talk->pending, str_of(p->token.text)))
        return ERR_CONFLICT; /* the same observation is being cancelled already */
    enum err e = pending_link(c, p, due);
    if (e)
        return e;
    if (observes(d->op))
        e = lw_observation_add(c, p->token, composite ? d->paths : &d->path,
                               composite ? d->n_paths : 1, composite, &o);
    if (!e)
        e = c->sink->send(c->ctx, d);
    if (e) {
        if (o)
            lw_observation_end(c, o, NULL, (struct moment){0});
        pending_unlink(c, p);
    }
    return e;
}

enum err lw_client_request(struct lw_client *c, uint64_t request_id, struct lw_downlink *d,
                           uint32_t timeout_ms, struct moment now, struct lw_token *token)
{
    struct lw_pending *p = NULL;
    enum err e = may_ask(c, d);
    if (!e)
        e = lw_talk_begin(c);
    if (e)
        return e;
    d->token = name_request(c, d);
    e = pending_new(request_id, d, &p);
    if (!e)
        e = ask(c, p, d, now.mono_ms + timeout_ms);
    if (!e && token)
        *token = d->token;
    if (e)
        pending_free(p);
    return e;
}

static bool may_cancel_stray(struct lw_client *c, struct moment now)
{
    if (lw_talk_begin(c))
        return false;
    struct lw_talk *t = c->talk;
    if (now.mono_ms - t->cancels_since_mono >= STRAY_WINDOW_MS) {
        t->cancels_since_mono = now.mono_ms;
        t->cancels = 0;
    }
    return t->pending.n < LW_PENDING_MAX && t->cancels++ < STRAYS_PER_WINDOW;
}

void lw_cancel_stray(struct lw_client *c, struct lw_token observation, struct moment now)
{
    struct lw_downlink d = {
        .op = LW_DOWN_CANCEL, .observation = observation, .ct = LW_CT_NONE, .depth = -1};
    struct lw_pending *p = NULL;
    if (!observation.text[0] || !may_cancel_stray(c, now))
        return;
    d.token = name_request(c, &d);
    if (pending_new(0, &d, &p))
        return;
    p->internal = true;
    if (ask(c, p, &d, now.mono_ms + STRAY_TIMEOUT_MS))
        pending_free(p); /* the next notify brings the next chance */
}

/* ---- answers ---- */

/* Our tokens have the high bit set; on the shared topic a result with a smaller one is the echo of
 * an answer we gave. */
static bool is_echo(const struct lw_client *c, struct lw_token token)
{
    uint64_t v;
    return c->asking == LW_DIALECT_OMA && !str_to_u64(str_of(token.text), &v) && !(v >> 63);
}

static void on_stranger(struct lw_client *c, const struct lw_uplink *u, struct moment now)
{
    if (is_echo(c, u->token))
        return;
    struct lw_late *ring = lw_talk(c)->late;
    for (size_t i = 0; ring && i < LW_LATE; i++) {
        struct lw_late *late = &ring[i];
        if (!late->token.text[0] || strcmp(late->token.text, u->token.text) != 0)
            continue;
        lw_anomaly(c, ERR_TIMEOUT, now, "answer to %s %s came too late", lw_down_words[late->op],
                   u->token.text);
        if (observes(late->op) && lw_code_ok(u->code))
            lw_cancel_stray(c, u->token, now);
        late->token.text[0] = 0;
        return;
    }
    lw_anomaly(c, ERR_NOTFOUND, now, "answer to the unknown request %s", u->token.text);
}

/* What a good answer carries, by operation. */
static enum err read_answer(struct lw_client *c, const struct lw_pending *p,
                            const struct lw_uplink *u, struct arena *scratch, struct lw_answer *a,
                            struct lw_links *links, struct moment now)
{
    enum err e;
    switch (p->op) {
    case LW_DOWN_READ:
    case LW_DOWN_READ_COMPOSITE:
    case LW_DOWN_OBSERVE:
    case LW_DOWN_OBSERVE_COMPOSITE:
        return lw_values_take(c, scratch, u, p->paths, p->n_paths, &a->values, now);
    case LW_DOWN_DISCOVER:
        if (u->reg.has_objects) {
            a->links = &u->reg.links;
            return ERR_OK;
        }
        if (!u->payload.p)
            return ERR_OK;
        if (u->ct != LW_CT_LINK)
            return ERR_UNSUPPORTED;
        e = lw_links_parse(scratch, u->payload, links);
        if (!e)
            a->links = links;
        return e;
    case LW_DOWN_CREATE:
        a->has_created = u->has_created || p->has_created;
        a->created = u->has_created ? u->created : p->created;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

/* What an answer means for observations: asked ones start or vanish, cancelled ones end. */
static void settle_observation(struct lw_client *c, const struct lw_pending *p, lw_code code,
                               struct moment now)
{
    struct lw_observation *o;
    if (observes(p->op) && (o = lw_observation_of(c, p->token))) {
        if (lw_code_ok(code))
            lw_observation_confirm(c, o, now);
        else
            lw_observation_end(c, o, NULL, now);
    }
    if (p->op == LW_DOWN_CANCEL && (o = lw_observation_of(c, p->observation)) && o->active) {
        if (lw_code_ok(code))
            lw_observation_end(c, o, "cancelled", now);
        else if (code == LW_NOT_FOUND)
            lw_observation_end(c, o, "the device no longer had it", now);
    }
}

static void tell_values(struct lw_client *c, const struct lw_pending *p, const struct lw_answer *a,
                        struct moment now)
{
    if (a->values.n)
        c->sink->values(c->ctx, &a->values, observes(p->op) ? LW_SRC_NOTIFY : LW_SRC_READ, now);
    if (lw_code_ok(a->code) && p->written.n)
        c->sink->values(c->ctx, &p->written, LW_SRC_WRITE, now);
}

void lw_on_response(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                    struct moment now)
{
    struct lw_pending *p = map_find(&lw_talk(c)->pending, str_of(u->token.text));
    struct lw_links links = {0};
    if (!p) {
        on_stranger(c, u, now);
        return;
    }
    struct lw_answer a = {.request_id = p->request_id,
                          .outcome = LW_ANSWERED,
                          .op = p->op,
                          .code = u->code,
                          .error = u->error,
                          .token = p->token};
    pending_unlink(c, p);
    enum err e = lw_code_ok(u->code) ? read_answer(c, p, u, scratch, &a, &links, now) : ERR_OK;
    if (e) {
        a.error = str_of("the device's answer could not be read");
        lw_anomaly(c, e, now, "answer to %s %s cannot be read: %s", lw_down_words[p->op],
                   p->token.text, err_word(e));
    }
    settle_observation(c, p, u->code, now);
    tell_values(c, p, &a, now);
    if (!p->internal)
        c->sink->answer(c->ctx, &a, now);
    pending_free(p);
}
