/* One LwM2M client against bytes: a stream of uplinks (raw and from templates, in both dialects),
 * requests, drops and jumps in time.  After every step its invariants must hold, and at the end
 * every request was answered exactly once, dropped by name, or is still pending. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lwm2m/lwm2m_int.h"

struct input {
    const uint8_t *p;
    size_t n;
};

struct world {
    struct lw_client *c;
    struct lw_client_sink sink;
    struct moment now;
    struct arena scratch;
    enum err send_result;
    uint64_t asked, answered, dropped;
};

static uint8_t byte(struct input *in)
{
    if (!in->n)
        return 0;
    in->n--;
    return *in->p++;
}

static struct str bytes(struct input *in, size_t n)
{
    struct str s = {(const char *)in->p, n < in->n ? n : in->n};
    in->p += s.n;
    in->n -= s.n;
    return s;
}

static enum err on_send(void *ctx, const struct lw_downlink *d)
{
    struct world *w = ctx;
    struct str endpoint = STR("dev");
    struct buf topic, payload;
    enum err e = w->send_result;
    buf_init(&topic, 256);
    buf_init(&payload, 1 << 20);
    if (!e)
        e = lw_client_registration(w->c)->dialect == LW_DIALECT_OMA
                ? msg_oma_encode(endpoint, d, &topic, &payload)
                : msg_json_encode(endpoint, d, &topic, &payload);
    buf_fini(&topic);
    buf_fini(&payload);
    return e;
}

static void on_registration(void *ctx, enum lw_client_event ev, const struct lw_downlink *ack,
                            struct moment now)
{
    (void)now;
    assert((ack == NULL) == (ev == LW_EV_EXPIRED || ev == LW_EV_LOST));
    if (ack)
        (void)on_send(ctx, ack);
}

static void on_values(void *ctx, const struct lw_entries *values, enum lw_source source,
                      struct moment now)
{
    (void)ctx;
    (void)source;
    (void)now;
    assert(values->n > 0);
    for (size_t i = 0; i < values->n; i++) {
        assert(values->v[i].path.n >= 3 && !lw_object_is_secret(values->v[i].path.id[0]));
        assert(values->v[i].value.type != LW_NONE);
    }
}

static void on_answer(void *ctx, const struct lw_answer *a, struct moment now)
{
    struct world *w = ctx;
    (void)now;
    assert(a->request_id && a->token.text[0]);
    w->answered++;
}

static void on_observation(void *ctx, const struct lw_observation *o, const char *ended,
                           struct moment now)
{
    (void)ctx;
    (void)ended;
    (void)now;
    assert(o->active && o->n_paths);
}

static void on_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    (void)ctx;
    (void)now;
    assert(e && str_utf8_valid(str_of(words)));
}

static void uplink(struct world *w, enum lw_dialect dialect, const char *word, struct str body)
{
    char topic[128];
    struct lw_uplink u;
    arena_reset(&w->scratch);
    if (dialect == LW_DIALECT_OMA)
        snprintf(topic, sizeof topic, "lwm2m/rd/dev");
    else
        snprintf(topic, sizeof topic, "lwm2m/dev/%s", word);
    enum err e = dialect == LW_DIALECT_OMA ? msg_oma_decode(&w->scratch, str_of(topic), body, &u)
                                           : msg_json_decode(&w->scratch, str_of(topic), body, &u);
    if (!e)
        lw_client_uplink(w->c, dialect, &u, &w->scratch, w->now);
}

static const char *const words[] = {"reg",     "update",  "upd",      "dereg",
                                    "send",    "lost",    "bs/req",   "notify/ghost",
                                    "resp/xx", "bs/pack", "bs/resp/b"};

static const char *const bodies[] = {
    "{}",
    "{\"lifetime\":30,\"objects\":{\"3\":{\"0\":{\"0\":\"X\",\"9\":\"bad\"}},\"0\":{\"0\":{}}}}",
    "{\"lifetime\":0,\"links\":\"</3/0>,</3303/0>;ver=1.1\",\"bindingMode\":\"UQ\"}",
    "{\"version\":\"3\",\"links\":\"\"}",
    "{\"values\":[{\"path\":\"/3/0/9\",\"value\":5},{\"path\":\"/3/0/0\",\"value\":null}]}",
    "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/9\",\"value\":5}]}",
    "{\"code\":\"2.04\"}",
    "{\"code\":\"2.05\",\"links\":\"</3/0/1>\"}",
    "{\"code\":\"4.04\",\"error\":\"gone\"}",
    "{\"code\":\"2.01\",\"path\":\"/3303/7\"}",
    "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":7}]",
    "{\"token\":\"q\",\"pct\":110}",
};

static struct str body_of(struct input *in)
{
    uint8_t which = byte(in);
    if (which < 128)
        return str_of(bodies[which % (sizeof bodies / sizeof *bodies)]);
    return bytes(in, byte(in));
}

static void request(struct world *w, struct input *in)
{
    struct lw_path paths[2] = {lw_path_of(3, 3, 0, 9, 0), lw_path_of(2, 3303, 0, 0, 0)};
    struct lw_entry entry = {.path = paths[0], .value = {.type = LW_INTEGER, .i = 3}};
    struct lw_downlink d = {.op = (enum lw_down)(byte(in) % (LW_DOWN_COUNT + 1)),
                            .ct = LW_CT_NONE,
                            .depth = -1,
                            .paths = paths,
                            .n_paths = byte(in) % 3,
                            .values = {&entry, 1, 1}};
    uint8_t depth = byte(in);
    d.path = lw_path_of(1 + depth % 4, 3, 0, 9, 0);
    d.has_instance = depth & 16;
    if (d.op == LW_DOWN_CANCEL && lw_client_observations(w->c))
        d.observation = lw_client_observation(w->c, depth % lw_client_observations(w->c))->token;
    if (!lw_client_request(w->c, w->asked + 1, &d, byte(in) * 40u, w->now, NULL))
        w->asked++;
}

/* A pending request's token, or an observation's, so that answers find somebody. */
static const char *known_token(struct world *w, struct input *in, bool observation)
{
    size_t it = 0, skip = byte(in) % 8;
    const struct lw_pending *p = NULL, *next;
    if (observation)
        return lw_client_observations(w->c)
                   ? lw_client_observation(w->c, skip % lw_client_observations(w->c))->token.text
                   : "none";
    while ((next = map_next(&lw_talk(w->c)->pending, &it)) && (p = next, skip--))
        ;
    return p ? p->token.text : "none";
}

static void step(struct world *w, struct input *in)
{
    char word[64];
    uint8_t what = byte(in);
    size_t before = lw_client_pending(w->c);
    switch (what % 8) {
    case 0:
        uplink(w, LW_DIALECT_JSON, words[byte(in) % (sizeof words / sizeof *words)], body_of(in));
        break;
    case 1:
        uplink(w, LW_DIALECT_OMA, NULL, bytes(in, byte(in)));
        break;
    case 2:
    case 3:
        request(w, in);
        break;
    case 4:
        snprintf(word, sizeof word, "resp/%s", known_token(w, in, false));
        uplink(w, (what & 8) ? LW_DIALECT_OMA : LW_DIALECT_JSON, word, body_of(in));
        break;
    case 5:
        snprintf(word, sizeof word, "notify/%s", known_token(w, in, true));
        uplink(w, LW_DIALECT_JSON, word, body_of(in));
        break;
    case 6:
        w->now.mono_ms += byte(in) * 100u;
        w->now.utc_ms += byte(in) * 100;
        lw_client_tick(w->c, w->now);
        assert(lw_client_deadline(w->c) > w->now.mono_ms);
        break;
    default:
        w->send_result = (what & 64) ? ERR_BROKER : ERR_OK;
        lw_client_drop(w->c, w->asked - what % 3);
        w->dropped += before - lw_client_pending(w->c);
        break;
    }
    assert(lw_client_consistent(w->c));
}

static uint64_t waiting(const struct lw_client *c)
{
    uint64_t n = 0;
    size_t it = 0;
    for (const struct lw_pending *p; (p = map_next(&lw_talk(c)->pending, &it));)
        n += !p->internal;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct lw_model *model; /* parsed once: the model is immutable */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return lw_model_builtin(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct words shared;
    struct world w = {.now = {1000, 1700000000000}};
    w.sink = (struct lw_client_sink){on_send,   on_registration, on_values,
                                     on_answer, on_observation,  on_anomaly};
    arena_init(&w.scratch, 8192, 8 << 20);
    words_init(&shared, 1);
    w.c = lw_client_new(model, &shared, &w.sink, &w, 7);
    if (w.c) {
        uplink(&w, LW_DIALECT_JSON, "reg", str_of(bodies[byte(&in) % 3]));
        while (in.n)
            step(&w, &in);
        assert(w.asked == w.answered + w.dropped + waiting(w.c));
    }
    lw_client_free(w.c);
    assert(!shared.by_text.n);
    words_fini(&shared);
    arena_fini(&w.scratch);
    return 0;
}
