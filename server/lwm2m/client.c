/* client.c - one LwM2M client as a whole: birth, dispatch of what it says, time, end.
 *
 * Its three parts have files of their own (registration.c, request.c, observe.c; values.c types
 * what they carry); lwm2m_int.h states the invariants between them.  Nothing here blocks, logs or
 * looks at a clock, so a test can play a year of a device's life in a millisecond. */
#include "lwm2m/lwm2m_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ANOMALY_WORDS 200

const char *lw_reg_state_word(enum lw_reg_state s)
{
    static const char *const words[] = {[LW_REG_NONE] = "none",
                                        [LW_REG_REGISTERED] = "registered",
                                        [LW_REG_EXPIRED] = "expired",
                                        [LW_REG_DEREGISTERED] = "deregistered"};
    return (unsigned)s < sizeof words / sizeof *words ? words[s] : "unknown";
}

const char *lw_source_word(enum lw_source s)
{
    static const char *const words[] = {[LW_SRC_REGISTRATION] = "registration",
                                        [LW_SRC_READ] = "read",
                                        [LW_SRC_NOTIFY] = "notify",
                                        [LW_SRC_SEND] = "send",
                                        [LW_SRC_WRITE] = "write"};
    return (unsigned)s < sizeof words / sizeof *words ? words[s] : "unknown";
}

/* ---- tokens ---- */

/* splitmix64 spreads the seed over the state of xoshiro256** (Blackman and Vigna, public domain
 * algorithms), which makes the tokens. */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static uint64_t draw(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* json: eleven letters of base64url; oma: a number with the high bit set, so that it can never be
 * one of the device's own small tokens on the shared topic. */
static struct lw_token spell(uint64_t v, unsigned dialect)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct lw_token t = {{0}};
    if (dialect == LW_DIALECT_OMA) {
        snprintf(t.text, sizeof t.text, "%" PRIu64, v | (uint64_t)1 << 63);
        return t;
    }
    for (size_t i = 0; i < 11; i++, v >>= 6)
        t.text[i] = letters[v & 63];
    return t;
}

struct lw_token lw_token_new(struct lw_client *c)
{
    struct lw_token t;
    do
        t = spell(draw(c->talk->rng), c->reg.dialect);
    while (map_find(&c->talk->pending, str_of(t.text)) || lw_observation_of(c, t));
    return t;
}

/* ---- answers and complaints ---- */

void lw_anomaly(struct lw_client *c, enum err e, struct moment now, const char *fmt, ...)
{
    char words[ANOMALY_WORDS];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    c->sink->anomaly(c->ctx, e, words, now);
}

struct lw_downlink lw_ack(const struct lw_uplink *u, lw_code code)
{
    return (struct lw_downlink){.op = LW_DOWN_ACK,
                                .token = u->token,
                                .ct = LW_CT_NONE,
                                .depth = -1,
                                .ack_of = u->kind,
                                .ack_word = u->word,
                                .code = code};
}

/* An answer goes out in the dialect of the question, even when the device is registered in the
 * other one. */
static void send_ack(struct lw_client *c, const struct lw_downlink *ack, struct moment now)
{
    uint8_t registered = c->reg.dialect;
    c->reg.dialect = (uint8_t)c->asking;
    enum err e = c->sink->send(c->ctx, ack);
    c->reg.dialect = registered;
    if (e)
        lw_anomaly(c, e, now, "an answer could not be sent: %s", err_word(e));
}

void lw_refuse(struct lw_client *c, const struct lw_uplink *u, lw_code code, enum err e,
               const char *words, struct moment now)
{
    struct lw_downlink ack = lw_ack(u, code);
    ack.error = str_of(words);
    send_ack(c, &ack, now);
    lw_anomaly(c, e, now, "%.*s refused: %s", STR_ARG(u->word), words);
}

/* ---- what the device says ---- */

static bool may_be_sent(const struct lw_uplink *u)
{
    return !u->payload.p || u->ct == LW_CT_SENML_JSON || u->ct == LW_CT_SENML_CBOR ||
           u->ct == LW_CT_LWM2M_CBOR;
}

static void on_send(struct lw_client *c, const struct lw_uplink *u, struct arena *scratch,
                    struct moment now)
{
    struct lw_entries values = {0};
    if (c->reg.state != LW_REG_REGISTERED) {
        lw_refuse(c, u, LW_NOT_FOUND, ERR_NOTFOUND, "not registered: register again", now);
        return;
    }
    if (!may_be_sent(u)) {
        lw_refuse(c, u, LW_UNSUPPORTED_FORMAT, ERR_UNSUPPORTED,
                  "send takes SenML JSON, SenML CBOR or LwM2M CBOR", now);
        return;
    }
    enum err e = lw_values_take(c, scratch, u, NULL, 0, &values, now);
    if (e || !values.n) {
        lw_refuse(c, u, LW_BAD_REQUEST, e ? e : ERR_INVALID,
                  e ? "the values cannot be read" : "there is no value to take", now);
        return;
    }
    struct lw_downlink ack = lw_ack(u, LW_CHANGED);
    c->sink->values(c->ctx, &values, LW_SRC_SEND, now);
    send_ack(c, &ack, now); /* after the values, so that the sink can let it wait for them */
}

static void on_bootstrap(struct lw_client *c, const struct lw_uplink *u, struct moment now)
{
    if (u->kind == LW_UP_BS_REQUEST)
        lw_refuse(c, u, LW_BAD_REQUEST, ERR_NOTFOUND, "no bootstrap account for this endpoint",
                  now);
    else if (u->kind == LW_UP_BS_PACK)
        lw_refuse(c, u, LW_NOT_IMPLEMENTED, ERR_UNSUPPORTED,
                  "bootstrap packs are not offered: use a bootstrap request", now);
    else
        lw_anomaly(c, ERR_NOTFOUND, now, "bootstrap answer %s without a bootstrap", u->token.text);
}

static bool foreign_dialect(const struct lw_client *c, enum lw_up kind)
{
    return c->reg.state == LW_REG_REGISTERED && c->reg.dialect != c->asking &&
           kind != LW_UP_REGISTER && kind != LW_UP_LOST;
}

/* The device is registered in one dialect and speaks the other. */
static void on_foreign(struct lw_client *c, const struct lw_uplink *u, struct moment now)
{
    const char *words = "registered in the other dialect";
    if (u->kind == LW_UP_UPDATE || u->kind == LW_UP_DEREGISTER || u->kind == LW_UP_SEND)
        lw_refuse(c, u, LW_NOT_FOUND, ERR_CONFLICT, words, now);
    else
        lw_anomaly(c, ERR_CONFLICT, now, "%.*s ignored: %s", STR_ARG(u->word), words);
}

void lw_client_uplink(struct lw_client *c, enum lw_dialect dialect, const struct lw_uplink *u,
                      struct arena *scratch, struct moment now)
{
    c->asking = dialect;
    if (foreign_dialect(c, u->kind)) {
        on_foreign(c, u, now);
        return;
    }
    if (c->reg.state != LW_REG_REGISTERED && u->kind != LW_UP_LOST)
        c->reg.dialect = (uint8_t)dialect; /* the best guess for cancels until it registers */
    switch (u->kind) {
    case LW_UP_REGISTER:
        lw_on_register(c, u, scratch, now);
        break;
    case LW_UP_UPDATE:
        lw_on_update(c, u, scratch, now);
        break;
    case LW_UP_DEREGISTER:
        lw_on_deregister(c, u, now);
        break;
    case LW_UP_NOTIFY:
        lw_on_notify(c, u, scratch, now);
        break;
    case LW_UP_SEND:
        on_send(c, u, scratch, now);
        break;
    case LW_UP_RESPONSE:
        lw_on_response(c, u, scratch, now);
        break;
    case LW_UP_LOST:
        c->sink->registration(c->ctx, LW_EV_LOST, NULL, now);
        break;
    case LW_UP_BS_REQUEST:
    case LW_UP_BS_PACK:
    case LW_UP_BS_RESPONSE:
        on_bootstrap(c, u, now);
        break;
    }
}

/* ---- life ---- */

struct lw_client *lw_client_new(const struct lw_model *model, struct words *words,
                                const struct lw_client_sink *sink, void *ctx, uint64_t token_seed)
{
    struct lw_client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->model = model;
    c->sink = sink;
    c->ctx = ctx;
    c->words = words;
    c->token_seed = token_seed;
    c->reg.expires_mono_ms = LW_NEVER;
    return c;
}

const struct lw_talk *lw_talk(const struct lw_client *c)
{
    static const struct lw_talk silence = {.n_obs = 0};
    return c->talk ? c->talk : &silence;
}

enum err lw_talk_begin(struct lw_client *c)
{
    if (c->talk)
        return ERR_OK;
    struct lw_talk *t = c->talk = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    for (size_t i = 0; i < 4; i++)
        t->rng[i] = splitmix(&c->token_seed);
    map_init(&t->pending, draw(t->rng));
    map_init(&t->obs_by_token, draw(t->rng));
    heap_init(&t->due);
    return ERR_OK;
}

static void talk_free(struct lw_client *c)
{
    struct lw_talk *t = c->talk;
    if (!t)
        return;
    lw_pending_free_all(c);
    for (size_t i = 0; i < t->n_obs; i++)
        free(t->obs[i]);
    free(t->obs);
    map_fini(&t->pending);
    map_fini(&t->obs_by_token);
    heap_fini(&t->due);
    free(t->late);
    free(t);
}

void lw_client_free(struct lw_client *c)
{
    if (!c)
        return;
    talk_free(c);
    words_put(c->words, c->reg.links);
    free(c);
}

const struct lw_registration *lw_client_registration(const struct lw_client *c)
{
    return &c->reg;
}

uint64_t lw_client_deadline(const struct lw_client *c)
{
    const struct heap_node *top = heap_top(&lw_talk(c)->due);
    uint64_t at = top ? top->key : LW_NEVER;
    if (c->reg.state == LW_REG_REGISTERED && lw_expiry_due(c) < at)
        at = lw_expiry_due(c);
    return at;
}

void lw_client_hold_expiry(struct lw_client *c, uint64_t until_mono_ms)
{
    c->hold_expiry_mono_ms = until_mono_ms;
}

void lw_client_tick(struct lw_client *c, struct moment now)
{
    lw_time_out(c, now);
    lw_expire_if_due(c, now);
}

/* ---- the invariants of lwm2m_int.h ---- */

static bool pending_is_sound(const struct lw_client *c, const struct lw_pending *p)
{
    bool observes = p->op == LW_DOWN_OBSERVE || p->op == LW_DOWN_OBSERVE_COMPOSITE;
    const struct lw_observation *o = lw_observation_of(c, p->token);
    if (!p->due.position || map_find(&c->talk->pending, str_of(p->token.text)) != p)
        return false;
    if (observes && (!o || o->active))
        return false;
    return p->internal || c->reg.state == LW_REG_REGISTERED;
}

static bool observation_is_sound(const struct lw_client *c, const struct lw_observation *o)
{
    const struct lw_pending *p = map_find(&c->talk->pending, str_of(o->token.text));
    bool asked = p && (p->op == LW_DOWN_OBSERVE || p->op == LW_DOWN_OBSERVE_COMPOSITE);
    return lw_observation_of(c, o->token) == o && o->n_paths && (o->composite || o->n_paths == 1) &&
           asked == !o->active && c->reg.state == LW_REG_REGISTERED;
}

bool lw_client_consistent(const struct lw_client *c)
{
    const struct lw_talk *t = lw_talk(c);
    size_t it = 0;
    if (t->pending.n != t->due.n || t->pending.n > LW_PENDING_MAX ||
        t->obs_by_token.n != t->n_obs || t->n_obs > LW_OBSERVATIONS_MAX)
        return false;
    for (const struct lw_pending *p; (p = map_next(&t->pending, &it));)
        if (!pending_is_sound(c, p))
            return false;
    for (size_t i = 0; i < t->n_obs; i++)
        if (!observation_is_sound(c, t->obs[i]))
            return false;
    return (c->reg.expires_ms == 0) == (c->reg.expires_mono_ms == LW_NEVER);
}
