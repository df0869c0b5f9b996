/* registration.c - who the device says it is, and for how long.
 *
 *               Register                    Update
 *      none  ------------>  registered  <----------+
 *                             |  ^  |   -----------+
 *              De-register    |  |  |  lifetime over
 *                             v  |  v
 *                  deregistered  |  expired
 *                        Register (anew)
 *
 * The answer to a good message is handed to sink->registration, which persists before it publishes;
 * a refusal changes nothing and is sent at once. */
#include "lwm2m/lwm2m_int.h"

#include <stdlib.h>

#define DEFAULT_LIFETIME 86400
#define DEFAULT_VERSION  "1.2" /* the first with an MQTT binding */
#define LINKS_MAX        (256u << 10)

static bool known_version(struct str v)
{
    return str_is(v, "1.0") || str_is(v, "1.1") || str_is(v, "1.2");
}

static void copy_text(char *out, size_t cap, struct str s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    if (n)
        memcpy(out, s.p, n);
    out[n] = 0;
}

/* ---- checking what came ---- */

/* Binding letters are U M H T S N, with Q for queue mode in 1.0. */
static bool binding_is_sane(struct str b)
{
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] < 'A' || b.p[i] > 'Z')
            return false;
    return b.n < sizeof(((struct lw_registration *)0)->binding);
}

/* The object list as text, without the objects that must not be in it.  *text is a reference to the
 * shared words, NULL when the message has no list. */
static enum err read_links(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                           const char **text, struct moment now)
{
    const struct lw_links *in = &u->reg.links;
    struct lw_links kept = {.root = in->root};
    struct buf out;
    *text = NULL;
    if (!u->reg.has_objects)
        return ERR_OK;
    kept.v = arena_calloc(scratch, in->n + 1, sizeof *kept.v);
    if (!kept.v)
        return ERR_TOOBIG;
    for (size_t i = 0; i < in->n; i++) {
        const struct lw_link *l = &in->v[i];
        if (!(l->is_path && l->path.n && lw_object_is_secret(l->path.id[0])))
            kept.v[kept.n++] = *l;
    }
    if (kept.n < in->n)
        lw_anomaly(c, ERR_DENIED, now,
                   "the object list names /0, /21 or /23, which do not belong in it: ignored");
    if (in->root.n)
        lw_anomaly(c, ERR_UNSUPPORTED, now,
                   "the device names an alternate path; requests go to paths without it");
    buf_init(&out, LINKS_MAX);
    lw_links_write(&out, &kept);
    enum err e = out.err;
    if (!e && !(*text = words_take(c->words, buf_view(&out))))
        e = ERR_NOMEM;
    buf_fini(&out);
    return e;
}

struct refusal {
    lw_code code;
    enum err err;
    const char *words;
};

static bool check_register(const struct lw_registration_fields *f, struct refusal *r)
{
    if (f->version.p && !known_version(f->version))
        *r = (struct refusal){LW_PRECONDITION, ERR_UNSUPPORTED,
                              "LwM2M version must be 1.0, 1.1 or 1.2"};
    else if (!f->has_objects && f->profile.p)
        *r = (struct refusal){LW_CONFLICT, ERR_NOTFOUND,
                              "the profile is unknown here: send the object list"};
    else if (!f->has_objects)
        *r = (struct refusal){LW_BAD_REQUEST, ERR_INVALID, "the object list is missing"};
    else
        return true;
    return false;
}

static struct refusal links_refusal(enum err e)
{
    if (e == ERR_TOOBIG)
        return (struct refusal){LW_TOO_LARGE, e, "the object list is too long"};
    if (e == ERR_NOMEM)
        return (struct refusal){LW_UNAVAILABLE, e, "no memory"};
    return (struct refusal){LW_BAD_REQUEST, e, "the object list cannot be read"};
}

/* ---- changing the registration ---- */

static void set_expiry(struct lw_registration *r, struct moment now)
{
    bool finite = r->lifetime > 0;
    r->expires_ms = finite ? now.utc_ms + (int64_t)r->lifetime * 1000 : 0;
    r->expires_mono_ms = finite ? now.mono_ms + (uint64_t)r->lifetime * 1000 : LW_NEVER;
}

/* queue_mode_note: 1.0 says queue mode by a Q in the binding ("UQ"); later versions have a
 * parameter of their own, which the oma dialect cannot carry.  Devices in the field write "UQ"
 * with 1.2 and yet stay connected and answer at once: in the json dialect that Q means nothing,
 * `queueMode` does (contracts section 1). */
static bool binding_says_queue(const struct lw_registration *r)
{
    return strchr(r->binding, 'Q') &&
           (r->dialect == LW_DIALECT_OMA || strcmp(r->version, "1.0") == 0);
}

static void set_binding(struct lw_client *c, const struct lw_registration_fields *f,
                        struct moment now)
{
    struct lw_registration *r = &c->reg;
    if (f->binding.p && !binding_is_sane(f->binding)) {
        lw_anomaly(c, ERR_INVALID, now, "the binding is not one: ignored");
    } else if (f->binding.p) {
        copy_text(r->binding, sizeof r->binding, f->binding);
        r->queue_mode = binding_says_queue(r);
    }
    if (f->queue_mode >= 0)
        r->queue_mode = f->queue_mode != 0;
}

/* Takes the reference over. */
static void set_links(struct lw_client *c, const char *text)
{
    words_put(c->words, c->reg.links);
    c->reg.links = text;
}

static void tell_values(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                        struct moment now)
{
    struct lw_entries values = {0};
    struct lw_uplink only_values = *u; /* a payload of a registration is its object list */
    only_values.payload = str_make(NULL, 0);
    enum err e = lw_values_take(c, scratch, &only_values, NULL, 0, &values, now);
    if (e)
        lw_anomaly(c, e, now, "the first values cannot be read: %s", err_word(e));
    else if (values.n)
        c->sink->values(c->ctx, &values, LW_SRC_REGISTRATION, now);
}

void lw_on_register(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                    struct moment now)
{
    const struct lw_registration_fields *f = &u->reg;
    struct refusal r;
    const char *links = NULL;
    bool again = c->reg.state == LW_REG_REGISTERED;
    if (!check_register(f, &r)) {
        lw_refuse(c, u, r.code, r.err, r.words, now);
        return;
    }
    enum err e = read_links(c, u, scratch, &links, now);
    if (e) {
        r = links_refusal(e);
        lw_refuse(c, u, r.code, r.err, r.words, now);
        return;
    }
    if (again && c->reg.dialect != c->asking)
        lw_drop_all(c, now); /* their answers could not be recognised */
    lw_observations_end(c, "the device registered again", now);
    set_links(c, NULL);
    c->reg = (struct lw_registration){.state = LW_REG_REGISTERED,
                                      .dialect = c->asking,
                                      .lifetime = f->has_lifetime ? f->lifetime : DEFAULT_LIFETIME,
                                      .registered_ms = now.utc_ms,
                                      .updated_ms = now.utc_ms,
                                      .links = links};
    copy_text(c->reg.version, sizeof c->reg.version,
              f->version.p ? f->version : str_of(DEFAULT_VERSION));
    set_binding(c, f, now);
    set_expiry(&c->reg, now);
    struct lw_downlink ack = lw_ack(u, LW_CREATED);
    ack.has_lifetime = true;
    ack.lifetime = c->reg.lifetime;
    c->sink->registration(c->ctx, again ? LW_EV_REREGISTERED : LW_EV_REGISTERED, &ack, now);
    tell_values(c, u, scratch, now);
}

void lw_on_update(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                  struct moment now)
{
    const char *links = NULL;
    if (c->reg.state != LW_REG_REGISTERED) {
        lw_refuse(c, u, LW_NOT_FOUND, ERR_NOTFOUND, "not registered: register again", now);
        return;
    }
    enum err e = read_links(c, u, scratch, &links, now);
    if (e) {
        struct refusal r = links_refusal(e);
        lw_refuse(c, u, r.code, r.err, r.words, now);
        return;
    }
    if (links)
        set_links(c, links);
    if (u->reg.has_lifetime)
        c->reg.lifetime = u->reg.lifetime;
    set_binding(c, &u->reg, now);
    c->reg.updated_ms = now.utc_ms;
    set_expiry(&c->reg, now);
    struct lw_downlink ack = lw_ack(u, LW_CHANGED);
    c->sink->registration(c->ctx, LW_EV_UPDATED, &ack, now);
    tell_values(c, u, scratch, now);
}

/* Everything that lives on a registration ends with it. */
static void end_registration(struct lw_client *c, enum lw_reg_state state, const char *why,
                             struct moment now)
{
    lw_drop_all(c, now);
    lw_observations_end(c, why, now);
    c->reg.state = state;
}

void lw_on_deregister(struct lw_client *c, const struct lw_uplink *u, struct moment now)
{
    if (c->reg.state != LW_REG_REGISTERED) {
        lw_refuse(c, u, LW_NOT_FOUND, ERR_NOTFOUND, "not registered", now);
        return;
    }
    end_registration(c, LW_REG_DEREGISTERED, "the device de-registered", now);
    c->reg.updated_ms = now.utc_ms; /* the last word of the device about it */
    struct lw_downlink ack = lw_ack(u, LW_DELETED);
    c->sink->registration(c->ctx, LW_EV_DEREGISTERED, &ack, now);
}

uint64_t lw_expiry_due(const struct lw_client *c)
{
    return c->reg.expires_mono_ms > c->hold_expiry_mono_ms ? c->reg.expires_mono_ms
                                                           : c->hold_expiry_mono_ms;
}

void lw_expire_if_due(struct lw_client *c, struct moment now)
{
    if (c->reg.state != LW_REG_REGISTERED || now.mono_ms < lw_expiry_due(c))
        return;
    end_registration(c, LW_REG_EXPIRED, "the registration expired", now);
    c->sink->registration(c->ctx, LW_EV_EXPIRED, NULL, now);
}

enum err lw_client_restore(struct lw_client *c, const struct lw_registration *r, struct moment now)
{
    const char *links = NULL;
    if (lw_talk(c)->pending.n || lw_talk(c)->n_obs)
        return ERR_CONFLICT;
    if (r->links && !(links = words_take(c->words, str_of(r->links))))
        return ERR_NOMEM;
    set_links(c, NULL);
    c->reg = *r;
    c->reg.links = links;
    c->reg.expires_mono_ms = LW_NEVER; /* the old monotonic clock is gone: count from UTC */
    if (r->expires_ms)
        c->reg.expires_mono_ms =
            now.mono_ms + (r->expires_ms > now.utc_ms ? (uint64_t)(r->expires_ms - now.utc_ms) : 0);
    return ERR_OK;
}
