/* One LwM2M client, told as stories: what the device says (as json dialect bytes), what we ask,
 * what time does - and the log of everything the sink was told.  After each step the client's
 * invariants are checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lwm2m/lwm2m_int.h"

#define NAMES 700

struct world {
    struct words words;
    struct lw_model *model;
    struct lw_client *c;
    struct lw_client_sink sink;
    struct moment now;
    struct buf log;
    enum err send_result;         /* what sink->send returns */
    struct lw_token names[NAMES]; /* our tokens in order of appearance: T0, T1 ... */
    size_t n_names;
    enum lw_dialect spoken;  /* how the next uplink arrives */
    enum lw_dialect sent_in; /* dialect of the last downlink */
};

/* ---- the sink writes everything down ---- */

static size_t name_of(struct world *w, struct lw_token t)
{
    size_t i = 0;
    while (i < w->n_names && strcmp(w->names[i].text, t.text) != 0)
        i++;
    if (i == w->n_names && i < NAMES)
        w->names[w->n_names++] = t;
    return i;
}

static void log_path(struct world *w, struct lw_path p)
{
    char text[LW_PATH_TEXT];
    lw_path_text(p, text);
    buf_printf(&w->log, " %s", text);
}

static void log_entries(struct world *w, const struct lw_entries *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct json_out j;
        json_out_init(&j, &w->log);
        log_path(w, v->v[i].path);
        buf_putc(&w->log, '=');
        lw_value_json(&j, v->v[i].value);
    }
}

static void log_ack(struct world *w, const struct lw_downlink *d)
{
    char code[8];
    lw_code_text(d->code, code);
    buf_printf(&w->log, "%.*s %s", STR_ARG(d->ack_word), code);
    if (d->token.text[0])
        buf_printf(&w->log, " token=%s", d->token.text);
    if (d->has_lifetime)
        buf_printf(&w->log, " lifetime=%u", d->lifetime);
    if (d->error.p)
        buf_printf(&w->log, " (%.*s)", STR_ARG(d->error));
}

static enum err on_send(void *ctx, const struct lw_downlink *d)
{
    struct world *w = ctx;
    w->sent_in = lw_client_registration(w->c)->dialect;
    if (w->send_result)
        return w->send_result;
    buf_puts(&w->log, "> ");
    if (d->op == LW_DOWN_ACK) {
        log_ack(w, d);
    } else {
        buf_printf(&w->log, "T%zu %s", name_of(w, d->token), lw_down_words[d->op]);
        if (d->path.n)
            log_path(w, d->path);
        for (size_t i = 0; i < d->n_paths; i++)
            log_path(w, d->paths[i]);
        if (d->observation.text[0])
            buf_printf(&w->log, " %s", d->observation.text);
    }
    buf_putc(&w->log, '\n');
    return ERR_OK;
}

static void on_registration(void *ctx, enum lw_client_event ev, const struct lw_downlink *ack,
                            struct moment now)
{
    static const char *const words[] = {"registered",   "reregistered", "updated",
                                        "deregistered", "expired",      "lost"};
    struct world *w = ctx;
    assert_true(now.mono_ms == w->now.mono_ms);
    buf_puts(&w->log, words[ev]);
    if (ack) {
        buf_puts(&w->log, ": ");
        log_ack(w, ack);
    }
    buf_putc(&w->log, '\n');
}

static void on_values(void *ctx, const struct lw_entries *values, enum lw_source source,
                      struct moment now)
{
    struct world *w = ctx;
    (void)now;
    buf_printf(&w->log, "%s", lw_source_word(source));
    log_entries(w, values);
    buf_putc(&w->log, '\n');
}

static void on_answer(void *ctx, const struct lw_answer *a, struct moment now)
{
    static const char *const outcomes[] = {"answered", "timed out", "dropped"};
    struct world *w = ctx;
    (void)now;
    buf_printf(&w->log, "#%llu %s %s", (unsigned long long)a->request_id, lw_down_words[a->op],
               outcomes[a->outcome]);
    if (a->outcome == LW_ANSWERED)
        buf_printf(&w->log, " %u", a->code);
    log_entries(w, &a->values);
    if (a->links)
        buf_printf(&w->log, " %zu links", a->links->n);
    if (a->has_created)
        log_path(w, a->created);
    if (a->error.p)
        buf_printf(&w->log, " (%.*s)", STR_ARG(a->error));
    buf_putc(&w->log, '\n');
}

static void on_observation(void *ctx, const struct lw_observation *o, const char *ended,
                           struct moment now)
{
    struct world *w = ctx;
    (void)now;
    assert_true(o->active);
    buf_printf(&w->log, "observation T%zu", name_of(w, o->token));
    for (size_t i = 0; i < o->n_paths; i++)
        log_path(w, o->paths[i]);
    buf_printf(&w->log, " %s\n", ended ? ended : "started");
}

static void on_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    struct world *w = ctx;
    (void)now;
    assert_true(e != ERR_OK);
    buf_printf(&w->log, "! %s: %s\n", err_word(e), words);
}

/* ---- the world ---- */

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w || lw_model_builtin(&w->model))
        return -1;
    w->sink = (struct lw_client_sink){on_send,   on_registration, on_values,
                                      on_answer, on_observation,  on_anomaly};
    w->now = (struct moment){5000000, 1700000000000};
    buf_init(&w->log, 1 << 20);
    words_init(&w->words, 1);
    w->c = lw_client_new(w->model, &w->words, &w->sink, w, 42);
    *state = w;
    return w->c ? 0 : -1;
}

static int end(void **state)
{
    struct world *w = *state;
    lw_client_free(w->c);
    assert_int_equal(w->words.by_text.n, 0); /* every reference was given back */
    words_fini(&w->words);
    lw_model_free(w->model);
    buf_fini(&w->log);
    free(w);
    return 0;
}

static void check(struct world *w)
{
    assert_true(lw_client_consistent(w->c));
}

/* The device publishes `body` on lwm2m/dev/{word}. */
static void say(struct world *w, const char *word, const char *body)
{
    char topic[128];
    struct arena a;
    struct lw_uplink u;
    arena_init(&a, 4096, 8 << 20);
    snprintf(topic, sizeof topic, "lwm2m/dev/%s", word);
    enum err e = msg_json_decode(&a, str_of(topic), str_of(body), &u);
    if (e)
        print_error("%s %s: %s\n", topic, body, err_word(e));
    assert_int_equal(e, ERR_OK);
    lw_client_uplink(w->c, w->spoken, &u, &a, w->now);
    arena_fini(&a);
    check(w);
}

static void say_to(struct world *w, const char *word, struct lw_token t, const char *body)
{
    char both[96];
    snprintf(both, sizeof both, "%s/%s", word, t.text);
    say(w, both, body);
}

static void pass(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    w->now.utc_ms += (int64_t)ms;
    lw_client_tick(w->c, w->now);
    check(w);
}

/* Compares the log since the last call. */
static void heard(struct world *w, const char *want)
{
    const char *got = buf_text(&w->log);
    assert_string_equal(got ? got : "", want);
    buf_reset(&w->log);
}

static void forget(struct world *w)
{
    buf_reset(&w->log);
}

static struct lw_downlink request(enum lw_down op, const char *path)
{
    struct lw_downlink d = {.op = op, .ct = LW_CT_NONE, .depth = -1};
    if (path)
        assert_int_equal(lw_path_parse(str_of(path), &d.path), ERR_OK);
    return d;
}

static struct lw_token ask_for(struct world *w, uint64_t id, struct lw_downlink d,
                               uint32_t timeout_ms)
{
    struct lw_token t = {{0}};
    assert_int_equal(lw_client_request(w->c, id, &d, timeout_ms, w->now, &t), ERR_OK);
    assert_true(t.text[0]);
    check(w);
    return t;
}

static struct lw_token ask(struct world *w, uint64_t id, enum lw_down op, const char *path)
{
    return ask_for(w, id, request(op, path), 10000);
}

static enum err ask_in_vain(struct world *w, struct lw_downlink d)
{
    struct lw_token t = {"untouched"};
    enum err e = lw_client_request(w->c, 99, &d, 1000, w->now, &t);
    assert_int_not_equal(e, ERR_OK);
    assert_string_equal(t.text, "untouched");
    check(w);
    return e;
}

#define REG "{\"lifetime\":3600,\"objects\":{\"1\":{\"0\":{}},\"3\":{\"0\":{}}}}"

static void registered(struct world *w)
{
    say(w, "reg", REG);
    heard(w, "registered: reg 2.01 lifetime=3600\n");
}

static struct lw_token observing(struct world *w, const char *path)
{
    struct lw_token t = ask(w, 1, LW_DOWN_OBSERVE, path);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    forget(w);
    assert_true(lw_client_observation_find(w->c, str_of(t.text))->active);
    return t;
}

/* ---- registration ---- */

static void registration_of_the_field_fills_the_page(void **state)
{
    struct world *w = *state;
    say(w, "reg",
        "{\"endpoint\":\"dev\",\"lifetime\":3600,\"version\":\"1.2\",\"bindingMode\":\"UQ\","
        "\"objects\":{\"3\":{\"0\":{\"0\":\"IoT Testing Corp\",\"1\":\"SimDevice\"}}}}");
    heard(w, "registered: reg 2.01 lifetime=3600\n"
             "registration /3/0/0=\"IoT Testing Corp\" /3/0/1=\"SimDevice\"\n");
    const struct lw_registration *r = lw_client_registration(w->c);
    assert_int_equal(r->state, LW_REG_REGISTERED);
    assert_int_equal(r->dialect, LW_DIALECT_JSON);
    assert_int_equal(r->lifetime, 3600);
    assert_string_equal(r->version, "1.2");
    assert_string_equal(r->binding, "UQ");
    assert_false(r->queue_mode); /* it answers at once: not a sleeper */
    assert_string_equal(r->links, "</3/0>");
    assert_true(r->registered_ms == w->now.utc_ms && r->updated_ms == w->now.utc_ms);
    assert_true(r->expires_ms == w->now.utc_ms + 3600000);
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 3600000);
}

static void defaults_are_those_of_the_standard(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"links\":\"</1/0>,</3/0>\"}");
    heard(w, "registered: reg 2.01 lifetime=86400\n");
    const struct lw_registration *r = lw_client_registration(w->c);
    assert_string_equal(r->version, "1.2");
    assert_string_equal(r->binding, "");
    assert_false(r->queue_mode);
}

static void every_supported_version_registers(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"version\":\"1.0\",\"bindingMode\":\"UQ\",\"links\":\"</3/0>\"}");
    assert_true(lw_client_registration(w->c)->queue_mode);
    say(w, "reg",
        "{\"version\":\"1.1\",\"bindingMode\":\"U\",\"queueMode\":true,\"links\":\"</3/0>\"}");
    assert_true(lw_client_registration(w->c)->queue_mode);
    say(w, "reg",
        "{\"version\":\"1.2\",\"bindingMode\":\"UQ\",\"queueMode\":false,\"links\":\"</3/0>\"}");
    assert_false(lw_client_registration(w->c)->queue_mode);
    heard(w, "registered: reg 2.01 lifetime=86400\nreregistered: reg 2.01 lifetime=86400\n"
             "reregistered: reg 2.01 lifetime=86400\n");
}

static void queue_mode_is_said_in_three_ways(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"version\":\"1.2\",\"bindingMode\":\"UQ\",\"links\":\"</3/0>\"}");
    assert_false(lw_client_registration(w->c)->queue_mode);
    say(w, "update", "{\"queueMode\":true}");
    assert_true(lw_client_registration(w->c)->queue_mode);
    w->spoken = LW_DIALECT_OMA;
    say(w, "reg", "{\"version\":\"1.2\",\"bindingMode\":\"MQ\",\"links\":\"</3/0>\"}");
    assert_true(lw_client_registration(w->c)->queue_mode);
    say(w, "update", "{\"bindingMode\":\"M\"}");
    assert_false(lw_client_registration(w->c)->queue_mode);
    forget(w);
}

static void unsupported_version_is_refused(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"version\":\"2.0\",\"token\":\"ab\",\"links\":\"</3/0>\"}");
    heard(w, "> reg 4.12 token=ab (LwM2M version must be 1.0, 1.1 or 1.2)\n"
             "! unsupported: reg refused: LwM2M version must be 1.0, 1.1 or 1.2\n");
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_NONE);
}

static void registration_without_list_is_refused(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"lifetime\":60}");
    heard(w, "> reg 4.00 (the object list is missing)\n"
             "! invalid: reg refused: the object list is missing\n");
    say(w, "reg", "{\"lifetime\":60,\"pid\":\"6:1234abcd\"}");
    heard(w, "> reg 4.09 (the profile is unknown here: send the object list)\n"
             "! not_found: reg refused: the profile is unknown here: send the object list\n");
}

static void refused_registration_keeps_the_old_one(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)observing(w, "/3/0/13");
    say(w, "reg", "{\"version\":\"9.9\",\"links\":\"</3/0>\"}");
    forget(w);
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_REGISTERED);
    assert_int_equal(lw_client_observations(w->c), 1);
}

static void secret_objects_stay_out_of_list_and_values(void **state)
{
    struct world *w = *state;
    say(w, "reg",
        "{\"objects\":{\"0\":{\"0\":{\"5\":\"c2VjcmV0\"}},\"3\":{\"0\":{\"0\":\"X\"}},"
        "\"21\":{},\"23\":{}}}");
    heard(w, "! denied: the object list names /0, /21 or /23, which do not belong in it: ignored\n"
             "registered: reg 2.01 lifetime=86400\n"
             "! denied: value of /0/0/5 left out: a secret object\n"
             "registration /3/0/0=\"X\"\n");
    assert_string_equal(lw_client_registration(w->c)->links, "</3/0>");
}

static void wrong_typed_first_values_are_left_out_and_the_rest_kept(void **state)
{
    struct world *w = *state;
    say(w, "reg",
        "{\"objects\":{\"3303\":{\"0\":{\"5700\":\"hot\",\"5701\":\"Cel\",\"5601\":true}},"
        "\"3\":{\"0\":{\"9\":80}}}}");
    heard(w, "registered: reg 2.01 lifetime=86400\n"
             "! wrong_type: value of /3303/0/5700 left out: wrong type (and 1 more)\n"
             "registration /3303/0/5701=\"Cel\" /3/0/9=80\n");
}

static void alternate_path_is_complained_about(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"links\":\"</lwm2m>;rt=\\\"oma.lwm2m\\\",</lwm2m/3/0>\"}");
    heard(w, "! unsupported: the device names an alternate path; "
             "requests go to paths without it\n"
             "registered: reg 2.01 lifetime=86400\n");
}

static void strange_binding_is_ignored(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"bindingMode\":\"u!\",\"links\":\"</3/0>\"}");
    heard(w, "! invalid: the binding is not one: ignored\nregistered: reg 2.01 lifetime=86400\n");
    say(w, "update", "{\"bindingMode\":\"UUUUUUUUUUUUUUUUUUUUU\"}");
    heard(w, "! invalid: the binding is not one: ignored\nupdated: update 2.04\n");
    assert_string_equal(lw_client_registration(w->c)->binding, "");
}

static void endless_lifetime_never_expires(void **state)
{
    struct world *w = *state;
    say(w, "reg", "{\"lifetime\":0,\"links\":\"</3/0>\"}");
    heard(w, "registered: reg 2.01 lifetime=0\n");
    assert_true(lw_client_registration(w->c)->expires_ms == 0);
    assert_true(lw_client_deadline(w->c) == UINT64_MAX);
    pass(w, 1000ull * 86400 * 3650);
    heard(w, "");
}

static void update_changes_what_it_names_and_renews(void **state)
{
    struct world *w = *state;
    registered(w);
    pass(w, 1000000);
    say(w, "update", "{}");
    heard(w, "updated: update 2.04\n");
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 3600000);
    assert_string_equal(lw_client_registration(w->c)->links, "</1/0>,</3/0>");
    say(w, "upd",
        "{\"lifetime\":60,\"bindingMode\":\"U\",\"queueMode\":true,\"token\":\"t1\","
        "\"links\":\"</3/0>,</5>\"}");
    heard(w, "updated: upd 2.04 token=t1\n");
    const struct lw_registration *r = lw_client_registration(w->c);
    assert_int_equal(r->lifetime, 60);
    assert_string_equal(r->binding, "U");
    assert_true(r->queue_mode);
    assert_string_equal(r->links, "</3/0>,</5>");
    assert_true(r->registered_ms == w->now.utc_ms - 1000000);
    assert_true(r->updated_ms == w->now.utc_ms);
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 60000);
}

static void update_with_objects_brings_values(void **state)
{
    struct world *w = *state;
    registered(w);
    say(w, "update", "{\"objects\":{\"3\":{\"0\":{\"9\":55}}}}");
    heard(w, "updated: update 2.04\nregistration /3/0/9=55\n");
}

static void unregistered_device_hears_not_found(void **state)
{
    struct world *w = *state;
    say(w, "update", "{}");
    say(w, "dereg", "{}");
    say(w, "send", "{\"token\":\"s\",\"values\":[{\"path\":\"/3/0/9\",\"value\":5}]}");
    heard(w, "> update 4.04 (not registered: register again)\n"
             "! not_found: update refused: not registered: register again\n"
             "> dereg 4.04 (not registered)\n"
             "! not_found: dereg refused: not registered\n"
             "> send 4.04 token=s (not registered: register again)\n"
             "! not_found: send refused: not registered: register again\n");
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_READ, "/3")), ERR_CLOSED);
}

static void deregistration_ends_everything(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)observing(w, "/3/0/13");
    (void)ask(w, 8, LW_DOWN_READ, "/3/0/0");
    (void)ask(w, 9, LW_DOWN_OBSERVE, "/3/0/9");
    forget(w);
    say(w, "dereg", "{}");
    const char *log = buf_text(&w->log);
    assert_non_null(strstr(log, "#8 read dropped\n"));
    assert_non_null(strstr(log, "#9 observe dropped\n"));
    assert_non_null(strstr(log, "observation T0 /3/0/13 the device de-registered\n"
                                "deregistered: dereg 2.02\n"));
    forget(w);
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_DEREGISTERED);
    assert_int_equal(lw_client_observations(w->c), 0);
    assert_int_equal(lw_client_pending(w->c), 0);
    assert_true(lw_client_deadline(w->c) == UINT64_MAX);
    say(w, "reg", REG);
    heard(w, "registered: reg 2.01 lifetime=3600\n");
}

static void silence_expires_the_registration(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)observing(w, "/3/0/13");
    pass(w, 3599999);
    heard(w, "");
    (void)ask(w, 5, LW_DOWN_READ, "/3/0/0");
    forget(w);
    pass(w, 1);
    heard(w, "#5 read dropped\n"
             "observation T0 /3/0/13 the registration expired\n"
             "expired\n");
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_EXPIRED);
    assert_true(lw_client_registration(w->c)->updated_ms == w->now.utc_ms - 3600000);
    say(w, "update", "{}");
    forget(w);
    say(w, "reg", REG);
    heard(w, "registered: reg 2.01 lifetime=3600\n");
}

static void second_register_drops_observations_but_not_requests(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)observing(w, "/3/0/13");
    struct lw_token reboot = ask(w, 4, LW_DOWN_EXECUTE, "/3/0/4");
    struct lw_token late = ask(w, 5, LW_DOWN_OBSERVE, "/3/0/9");
    forget(w);
    say(w, "reg", REG);
    heard(w, "observation T0 /3/0/13 the device registered again\n"
             "reregistered: reg 2.01 lifetime=3600\n");
    say_to(w, "resp", reboot, "{\"code\":\"2.04\"}");
    heard(w, "#4 execute answered 204\n");
    say_to(w, "resp", late, "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/9\",\"value\":7}]}");
    heard(w, "observation T2 /3/0/9 started\nnotify /3/0/9=7\n#5 observe answered 205 /3/0/9=7\n");
}

static void lost_will_of_a_stranger_changes_nothing(void **state)
{
    struct world *w = *state;
    say(w, "lost", "{}");
    heard(w, "lost\n");
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_NONE);
    registered(w);
}

static void lost_will_of_a_registered_device_is_told(void **state)
{
    struct world *w = *state;
    registered(w);
    say(w, "lost", "");
    heard(w, "lost\n");
    assert_int_equal(lw_client_registration(w->c)->state, LW_REG_REGISTERED);
}

/* ---- requests ---- */

static void read_is_answered_with_typed_values(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3303/0/5700");
    heard(w, "> T0 read /3303/0/5700\n");
    assert_int_equal(strlen(t.text), 11);
    assert_int_equal(lw_client_pending(w->c), 1);
    say_to(w, "resp", t,
           "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":21}]}");
    heard(w, "read /3303/0/5700=21\n#7 read answered 205 /3303/0/5700=21\n");
    assert_int_equal(lw_client_pending(w->c), 0);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    assert_non_null(strstr(buf_text(&w->log), "! not_found: answer to the unknown request "));
    forget(w);
}

static void read_is_answered_in_any_format(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3/0/9");
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"ct\":0,\"payload\":\"ODA=\"}");
    heard(w, "> T0 read /3/0/9\nread /3/0/9=80\n#7 read answered 205 /3/0/9=80\n");
    t = ask(w, 8, LW_DOWN_READ, "/3/0");
    say_to(w, "resp", t, /* [{"bn":"/3/0/","n":"9","v":80},{"n":"0","vs":"X"}] */
           "{\"code\":\"2.05\",\"ct\":110,\"payload\":"
           "\"W3siYm4iOiIvMy8wLyIsIm4iOiI5IiwidiI6ODB9LHsibiI6IjAiLCJ2cyI6IlgifV0=\"}");
    heard(w, "> T1 read /3/0\nread /3/0/9=80 /3/0/0=\"X\"\n"
             "#8 read answered 205 /3/0/9=80 /3/0/0=\"X\"\n");
}

static void one_bad_record_does_not_spoil_the_pack(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 8, LW_DOWN_READ, "/3/0");
    forget(w);
    say_to(w, "resp", t, /* [{"bn":"/3/0/","n":"9","vs":"full"},{"n":"0","vs":"X"}] */
           "{\"code\":\"2.05\",\"ct\":110,\"payload\":"
           "\"W3siYm4iOiIvMy8wLyIsIm4iOiI5IiwidnMiOiJmdWxsIn0seyJuIjoiMCIsInZzIjoiWCJ9XQ==\"}");
    heard(w, "! wrong_type: value of /3/0/9 left out: wrong type\n"
             "read /3/0/0=\"X\"\n#8 read answered 205 /3/0/0=\"X\"\n");
}

static void unreadable_answer_is_an_answer_with_words(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3/0/9");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"ct\":110,\"payload\":\"e30=\"}"); /* {} */
    const char *log = buf_text(&w->log);
    assert_non_null(strstr(log, "! invalid: answer to read "));
    assert_non_null(strstr(log, "#7 read answered 205 (the device's answer could not be read)\n"));
    forget(w);
    t = ask(w, 8, LW_DOWN_READ, "/3/0/9");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"ct\":999,\"payload\":\"e30=\"}");
    assert_non_null(strstr(buf_text(&w->log), "! unsupported: answer to read "));
    forget(w);
}

static void values_nobody_asked_for_are_left_out(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3/0/9");
    forget(w);
    say_to(w, "resp", t,
           "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/9\",\"value\":5},"
           "{\"path\":\"/3/0/10\",\"value\":5}]}");
    heard(w, "! conflict: value of /3/0/10 left out: not asked for\n"
             "read /3/0/9=5\n#7 read answered 205 /3/0/9=5\n");
}

static void null_is_no_value(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3/0/9");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/9\",\"value\":null}]}");
    heard(w, "! wrong_type: value of /3/0/9 left out: no value\n#7 read answered 205\n");
}

static void refusal_of_the_device_comes_with_its_words(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_READ, "/3/0/99");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"4.04\",\"error\":\"no such resource\"}");
    heard(w, "#7 read answered 404 (no such resource)\n");
}

static void write_that_succeeded_tells_what_was_written(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_entry v[2] = {
        {.path = lw_path_of(3, 1, 0, 1, 0), .value = {.type = LW_INTEGER, .i = 120}},
        {.path = lw_path_of(3, 3, 0, 15, 0),
         .value = {.type = LW_STRING, .s = STR("Europe/Rome")}}};
    struct lw_downlink d = request(LW_DOWN_WRITE_COMPOSITE, NULL);
    d.values = (struct lw_entries){v, 2, 2};
    struct lw_token t = ask_for(w, 3, d, 1000);
    v[1].value.s = str_of("overwritten"); /* the client keeps copies */
    heard(w, "> T0 write-composite\n");
    say_to(w, "resp", t, "{\"code\":\"2.04\"}");
    heard(w, "write /1/0/1=120 /3/0/15=\"Europe/Rome\"\n#3 write-composite answered 204\n");
    t = ask_for(w, 4, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"4.05\"}");
    heard(w, "#4 write-composite answered 405\n");
}

static void removals_are_not_written_values(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_entry v = {.path = lw_path_of(4, 3, 0, 6, 1), .value = {.type = LW_NONE}};
    struct lw_downlink d = request(LW_DOWN_WRITE_COMPOSITE, NULL);
    d.values = (struct lw_entries){&v, 1, 1};
    struct lw_token t = ask_for(w, 3, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.04\"}");
    heard(w, "#3 write-composite answered 204\n");
}

static void huge_write_is_sent_but_not_remembered(void **state)
{
    struct world *w = *state;
    registered(w);
    char *image = calloc(1, 1 << 20);
    assert_non_null(image);
    struct lw_entry v = {.path = lw_path_of(3, 5, 0, 0, 0),
                         .value = {.type = LW_OPAQUE, .s = {image, 1 << 20}}};
    struct lw_downlink d = request(LW_DOWN_WRITE, "/5/0/0");
    d.values = (struct lw_entries){&v, 1, 1};
    struct lw_token t = ask_for(w, 3, d, 1000);
    free(image);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.04\"}");
    heard(w, "#3 write answered 204\n");
}

static void discover_gives_links(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_DISCOVER, "/3");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"links\":\"</3>;ver=1.2,</3/0>,</3/0/0>\"}");
    heard(w, "#7 discover answered 205 3 links\n");
    t = ask(w, 8, LW_DOWN_DISCOVER, "/3");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\",\"ct\":0,\"payload\":\"ODA=\"}");
    assert_non_null(strstr(buf_text(&w->log), "#8 discover answered 205 (the device's answer"));
    forget(w);
    t = ask(w, 9, LW_DOWN_DISCOVER, "/3");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    heard(w, "#9 discover answered 205\n");
}

static void create_tells_its_instance(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 7, LW_DOWN_CREATE, "/3303");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.01\",\"path\":\"/3303/4\"}");
    heard(w, "#7 create answered 201 /3303/4\n");
    struct lw_downlink d = request(LW_DOWN_CREATE, "/3303");
    d.has_instance = true;
    d.instance = 9;
    t = ask_for(w, 8, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.01\"}");
    heard(w, "#8 create answered 201 /3303/9\n");
    t = ask_for(w, 9, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"4.00\"}");
    heard(w, "#9 create answered 400\n");
}

static void the_plain_operations_only_have_a_code(void **state)
{
    struct world *w = *state;
    static const struct {
        enum lw_down op;
        const char *path, *want;
    } plain[] = {
        {LW_DOWN_WRITE_UPDATE, "/1/0", "#1 write answered 204\n"},
        {LW_DOWN_WRITE_ATTRIBUTES, "/3", "#1 write-attributes answered 204\n"},
        {LW_DOWN_EXECUTE, "/3/0/4", "#1 execute answered 204\n"},
        {LW_DOWN_DELETE, "/3303/1", "#1 delete answered 204\n"},
    };
    registered(w);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        struct lw_token t = ask(w, 1, plain[i].op, plain[i].path);
        forget(w);
        say_to(w, "resp", t, "{\"code\":\"2.04\",\"values\":[]}");
        heard(w, plain[i].want);
    }
}

static void read_composite_takes_all_its_paths(void **state)
{
    struct world *w = *state;
    struct lw_path paths[2] = {lw_path_of(3, 3, 0, 0, 0), lw_path_of(1, 1, 0, 0, 0)};
    registered(w);
    struct lw_downlink d = request(LW_DOWN_READ_COMPOSITE, NULL);
    d.paths = paths;
    d.n_paths = 2;
    struct lw_token t = ask_for(w, 7, d, 1000);
    heard(w, "> T0 read-composite /3/0/0 /1\n");
    paths[0] = lw_path_of(1, 9, 0, 0, 0); /* kept by the client */
    say_to(w, "resp", t,
           "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/0\",\"value\":\"X\"},"
           "{\"path\":\"/1/0/1\",\"value\":60}]}");
    heard(w, "read /3/0/0=\"X\" /1/0/1=60\n"
             "#7 read-composite answered 205 /3/0/0=\"X\" /1/0/1=60\n");
}

static void silence_times_requests_out_in_order(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)ask_for(w, 1, request(LW_DOWN_READ, "/3"), 5000);
    (void)ask_for(w, 2, request(LW_DOWN_READ, "/1"), 1000);
    forget(w);
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 1000);
    pass(w, 999);
    heard(w, "");
    pass(w, 1);
    heard(w, "#2 read timed out\n");
    pass(w, 100000);
    heard(w, "#1 read timed out\n");
    assert_int_equal(lw_client_pending(w->c), 0);
}

static void late_answer_is_called_late_once(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 1, LW_DOWN_READ, "/3");
    pass(w, 10000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    assert_non_null(strstr(buf_text(&w->log), "! timeout: answer to read "));
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    assert_non_null(strstr(buf_text(&w->log), "! not_found: answer to the unknown request "));
    forget(w);
}

static void late_observe_answer_is_cancelled_at_once(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 1, LW_DOWN_OBSERVE, "/3/0/13");
    assert_int_equal(lw_client_observations(w->c), 1);
    pass(w, 10000);
    heard(w, "> T0 observe /3/0/13\n#1 observe timed out\n");
    assert_int_equal(lw_client_observations(w->c), 0);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    char want[200];
    snprintf(want, sizeof want, "! timeout: answer to observe %s came too late\n> T1 cancel %s\n",
             t.text, t.text);
    heard(w, want);
    say_to(w, "resp", w->names[1], "{\"code\":\"2.05\"}"); /* nobody waits for it */
    heard(w, "");
}

static void dropped_request_is_not_answered(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)ask(w, 1, LW_DOWN_READ, "/3");
    struct lw_token t = ask(w, 2, LW_DOWN_OBSERVE, "/3/0/9");
    forget(w);
    lw_client_drop(w->c, 2);
    check(w);
    lw_client_drop(w->c, 2);
    lw_client_drop(w->c, 77);
    assert_int_equal(lw_client_pending(w->c), 1);
    assert_int_equal(lw_client_observations(w->c), 0);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    assert_non_null(strstr(buf_text(&w->log), "> T2 cancel "));
    forget(w);
    pass(w, 10000);
    heard(w, "#1 read timed out\n");
}

static void what_the_dialect_cannot_say_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    registered(w);
    w->send_result = ERR_UNSUPPORTED;
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_READ, "/3")), ERR_UNSUPPORTED);
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_OBSERVE, "/3")), ERR_UNSUPPORTED);
    assert_int_equal(lw_client_pending(w->c), 0);
    assert_int_equal(lw_client_observations(w->c), 0);
    pass(w, 1000000);
    heard(w, "");
}

static void impossible_requests_are_refused(void **state)
{
    struct world *w = *state;
    registered(w);
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_ACK, NULL)), ERR_INVALID);
    assert_int_equal(ask_in_vain(w, request((enum lw_down)77, NULL)), ERR_INVALID);
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_OBSERVE_COMPOSITE, NULL)), ERR_INVALID);
    struct lw_downlink d = request(LW_DOWN_CANCEL, NULL);
    assert_true(lw_token_parse(str_of("nobody"), &d.observation));
    assert_int_equal(ask_in_vain(w, d), ERR_NOTFOUND);
    heard(w, "");
}

static void pending_requests_are_bounded(void **state)
{
    struct world *w = *state;
    registered(w);
    for (int i = 0; i < LW_PENDING_MAX; i++)
        (void)ask(w, (uint64_t)i, LW_DOWN_READ, "/3");
    forget(w);
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_READ, "/3")), ERR_FULL);
    say(w, "notify/stray", "{\"values\":[]}"); /* not even our own cancel goes out */
    heard(w, "! not_found: notify for the unknown observation stray\n");
    pass(w, 10000);
    assert_int_equal(lw_client_pending(w->c), 0);
    forget(w);
}

static void tokens_are_all_different(void **state)
{
    struct world *w = *state;
    registered(w);
    for (int i = 0; i < 200; i++)
        (void)ask(w, (uint64_t)i, LW_DOWN_READ, "/3");
    assert_int_equal(w->n_names, 200);
    for (size_t i = 0; i < w->n_names; i++) {
        struct lw_token back;
        assert_int_equal(strlen(w->names[i].text), 11);
        assert_true(lw_token_parse(str_of(w->names[i].text), &back));
    }
    forget(w);
}

/* ---- observations ---- */

static void observation_lives_from_answer_to_cancel(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 1, LW_DOWN_OBSERVE, "/3303/0/5700");
    const struct lw_observation *o = lw_client_observation(w->c, 0);
    assert_false(o->active);
    assert_false(lw_client_observes(w->c, lw_path_of(3, 3303, 0, 5700, 0)));
    say_to(w, "resp", t,
           "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":20.5}]}");
    heard(w, "> T0 observe /3303/0/5700\n"
             "observation T0 /3303/0/5700 started\n"
             "notify /3303/0/5700=20.5\n"
             "#1 observe answered 205 /3303/0/5700=20.5\n");
    assert_true(o->active && o->since_ms == w->now.utc_ms && o->notifies == 0);
    assert_true(lw_client_observes(w->c, lw_path_of(3, 3303, 0, 5700, 0)));
    assert_false(lw_client_observes(w->c, lw_path_of(3, 3303, 0, 5701, 0)));
    pass(w, 1000);
    say_to(w, "notify", t, "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":21}]}");
    heard(w, "notify /3303/0/5700=21\n");
    assert_true(o->notifies == 1 && o->last_notify_ms == w->now.utc_ms);
    struct lw_downlink d = request(LW_DOWN_CANCEL, NULL);
    d.observation = t;
    struct lw_token cancel = ask_for(w, 2, d, 1000);
    assert_true(lw_client_observation(w->c, 0)->active); /* until the device agrees */
    forget(w);
    say_to(w, "resp", cancel, "{\"code\":\"2.05\"}");
    heard(w, "observation T0 /3303/0/5700 cancelled\n#2 cancel answered 205\n");
    assert_int_equal(lw_client_observations(w->c), 0);
    assert_null(lw_client_observation(w->c, 0));
    assert_null(lw_client_observation_find(w->c, str_of(t.text)));
}

static void refused_observation_vanishes_quietly(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = ask(w, 1, LW_DOWN_OBSERVE, "/3/0/13");
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"4.05\"}");
    heard(w, "#1 observe answered 405\n");
    assert_int_equal(lw_client_observations(w->c), 0);
}

static void composite_observation_takes_values_of_all_its_paths(void **state)
{
    struct world *w = *state;
    const struct lw_path paths[2] = {lw_path_of(3, 3, 0, 9, 0), lw_path_of(2, 3303, 0, 0, 0)};
    registered(w);
    struct lw_downlink d = request(LW_DOWN_OBSERVE_COMPOSITE, NULL);
    d.paths = paths;
    d.n_paths = 2;
    struct lw_token t = ask_for(w, 1, d, 1000);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    heard(w, "> T0 observe-composite /3/0/9 /3303/0\n"
             "observation T0 /3/0/9 /3303/0 started\n#1 observe-composite answered 205\n");
    say_to(w, "notify", t,
           "[{\"n\":\"/3/0/9\",\"v\":5},{\"n\":\"/3303/0/5700\",\"v\":1.5},"
           "{\"n\":\"/3/0/10\",\"v\":1}]");
    heard(w, "! conflict: value of /3/0/10 left out: not asked for\n"
             "notify /3/0/9=5 /3303/0/5700=1.5\n");
    assert_true(lw_client_observation(w->c, 0)->composite);
    assert_true(lw_client_observes(w->c, lw_path_of(3, 3303, 0, 1, 0)));
}

static void newer_observation_replaces_an_equal_one(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token old = observing(w, "/3/0/13");
    struct lw_token other = observing(w, "/3/0/9");
    struct lw_token t = ask(w, 5, LW_DOWN_OBSERVE, "/3/0/13");
    assert_int_equal(lw_client_observations(w->c), 3);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    heard(w, "observation T0 /3/0/13 replaced by a newer observation\n"
             "observation T2 /3/0/13 started\n#5 observe answered 205\n");
    assert_int_equal(lw_client_observations(w->c), 2);
    assert_null(lw_client_observation_find(w->c, str_of(old.text)));
    assert_non_null(lw_client_observation_find(w->c, str_of(other.text)));
}

static void unanswered_cancel_keeps_the_observation(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_downlink d = request(LW_DOWN_CANCEL, NULL);
    d.observation = observing(w, "/3/0/13");
    (void)ask_for(w, 2, d, 1000);
    pass(w, 1000);
    assert_int_equal(lw_client_observations(w->c), 1);
    struct lw_token t = ask_for(w, 3, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"5.00\"}");
    heard(w, "#3 cancel answered 500\n");
    assert_int_equal(lw_client_observations(w->c), 1);
    t = ask_for(w, 4, d, 1000);
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"4.04\"}");
    heard(w, "observation T0 /3/0/13 the device no longer had it\n#4 cancel answered 404\n");
}

static void observation_not_yet_active_cannot_be_cancelled(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_downlink d = request(LW_DOWN_CANCEL, NULL);
    d.observation = ask(w, 1, LW_DOWN_OBSERVE, "/3/0/13");
    assert_int_equal(ask_in_vain(w, d), ERR_CONFLICT);
    forget(w);
}

static void stray_notify_is_cancelled_and_throttled(void **state)
{
    struct world *w = *state;
    registered(w);
    say(w, "notify/ghost", "{\"values\":[{\"path\":\"/3/0/9\",\"value\":5}]}");
    heard(w, "! not_found: notify for the unknown observation ghost\n> T0 cancel ghost\n");
    for (int i = 0; i < 50; i++)
        say(w, "notify/ghost", "{\"values\":[]}");
    assert_int_equal(w->n_names, 16);
    forget(w);
    pass(w, 10000); /* the cancels end unheard */
    heard(w, "");
    assert_int_equal(lw_client_pending(w->c), 0);
    say(w, "notify/ghost", "{\"values\":[]}");
    assert_int_equal(w->n_names, 17);
    forget(w);
}

static void stray_notify_of_an_unregistered_device_is_cancelled_too(void **state)
{
    struct world *w = *state;
    say(w, "notify/ghost", "{\"values\":[]}");
    heard(w, "! not_found: notify for the unknown observation ghost\n> T0 cancel ghost\n");
    registered(w);
    say_to(w, "resp", w->names[0], "{\"code\":\"2.05\"}");
    heard(w, "");
}

static void stray_cancel_that_cannot_be_sent_is_forgotten(void **state)
{
    struct world *w = *state;
    registered(w);
    w->send_result = ERR_BROKER;
    say(w, "notify/ghost", "{\"values\":[]}");
    heard(w, "! not_found: notify for the unknown observation ghost\n");
    assert_int_equal(lw_client_pending(w->c), 0);
}

static void unreadable_notify_is_counted_and_told(void **state)
{
    struct world *w = *state;
    registered(w);
    struct lw_token t = observing(w, "/3/0/9");
    say_to(w, "notify", t, "{\"ct\":110,\"payload\":\"e30=\"}");
    assert_non_null(strstr(buf_text(&w->log), "! invalid: notify "));
    forget(w);
    assert_true(lw_client_observation(w->c, 0)->notifies == 1);
}

static void observations_are_bounded(void **state)
{
    struct world *w = *state;
    registered(w);
    for (unsigned i = 0; i < LW_OBSERVATIONS_MAX; i++) {
        char path[32];
        snprintf(path, sizeof path, "/3303/%u", i);
        (void)observing(w, path);
    }
    assert_int_equal(ask_in_vain(w, request(LW_DOWN_OBSERVE, "/3/0/9")), ERR_FULL);
    assert_int_equal(lw_client_pending(w->c), 0);
    say(w, "dereg", "{}");
    assert_int_equal(lw_client_observations(w->c), 0);
    forget(w);
}

/* ---- send ---- */

static void send_is_taken_and_acknowledged(void **state)
{
    struct world *w = *state;
    registered(w);
    say(w, "send", "{\"token\":\"s1\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":4}]}");
    heard(w, "send /3303/0/5700=4\n> send 2.04 token=s1\n");
    say(w, "send", "[{\"bn\":\"/3303/0/\",\"n\":\"5700\",\"v\":4.5}]");
    heard(w, "send /3303/0/5700=4.5\n> send 2.04\n");
}

static void bad_send_is_refused(void **state)
{
    struct world *w = *state;
    registered(w);
    say(w, "send", "{\"ct\":0,\"payload\":\"ODA=\"}");
    heard(w, "> send 4.15 (send takes SenML JSON, SenML CBOR or LwM2M CBOR)\n"
             "! unsupported: send refused: send takes SenML JSON, SenML CBOR or LwM2M CBOR\n");
    say(w, "send", "{\"ct\":110,\"payload\":\"e30=\"}");
    heard(w, "> send 4.00 (the values cannot be read)\n"
             "! invalid: send refused: the values cannot be read\n");
    say(w, "send", "{\"values\":[{\"path\":\"/3/0/9\",\"value\":\"full\"}]}");
    heard(w, "! wrong_type: value of /3/0/9 left out: wrong type\n"
             "> send 4.00 (there is no value to take)\n"
             "! invalid: send refused: there is no value to take\n");
}

static void ack_that_cannot_be_sent_is_told(void **state)
{
    struct world *w = *state;
    registered(w);
    w->send_result = ERR_BROKER;
    say(w, "send", "{\"values\":[{\"path\":\"/3/0/9\",\"value\":5}]}");
    heard(w, "send /3/0/9=5\n! broker: an answer could not be sent: broker\n");
}

/* ---- bootstrap and dialects ---- */

static void bootstrap_is_refused_clearly(void **state)
{
    struct world *w = *state;
    say(w, "bs/req", "{\"token\":\"b\"}");
    say(w, "bs/pack", "{\"token\":\"b\"}");
    const char *log = buf_text(&w->log);
    assert_non_null(strstr(log, "4.00 token=b (no bootstrap account for this endpoint)\n"));
    assert_non_null(strstr(log, "5.01 token=b (bootstrap packs are not offered"));
    forget(w);
    say(w, "bs/resp/xyz", "{\"code\":\"2.04\"}");
    heard(w, "! not_found: bootstrap answer xyz without a bootstrap\n");
}

static void dialect_is_learnt_from_the_registration(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    registered(w);
    assert_int_equal(lw_client_registration(w->c)->dialect, LW_DIALECT_OMA);
    struct lw_token t = ask(w, 1, LW_DOWN_READ, "/3");
    assert_int_equal(w->sent_in, LW_DIALECT_OMA);
    uint64_t number;
    assert_int_equal(str_to_u64(str_of(t.text), &number), ERR_OK);
    assert_true(number >> 63);
    forget(w);
}

static void refusal_goes_out_in_the_dialect_of_the_question(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    say(w, "update", "{}");
    assert_int_equal(w->sent_in, LW_DIALECT_OMA);
    forget(w);
    w->spoken = LW_DIALECT_JSON;
    registered(w);
    w->spoken = LW_DIALECT_OMA;
    say(w, "update", "{}");
    heard(w, "> update 4.04 (registered in the other dialect)\n"
             "! conflict: update refused: registered in the other dialect\n");
    assert_int_equal(w->sent_in, LW_DIALECT_OMA);
    assert_int_equal(lw_client_registration(w->c)->dialect, LW_DIALECT_JSON);
    say(w, "notify/abc", "{\"values\":[]}");
    assert_non_null(strstr(buf_text(&w->log), " ignored: registered in the other dialect\n"));
    forget(w);
}

static void registering_in_the_other_dialect_drops_what_was_asked(void **state)
{
    struct world *w = *state;
    registered(w);
    (void)ask(w, 3, LW_DOWN_READ, "/3");
    forget(w);
    w->spoken = LW_DIALECT_OMA;
    say(w, "reg", REG);
    heard(w, "#3 read dropped\nreregistered: reg 2.01 lifetime=3600\n");
    assert_int_equal(lw_client_registration(w->c)->dialect, LW_DIALECT_OMA);
}

static void oma_cancel_carries_the_name_of_the_observation(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    registered(w);
    struct lw_downlink d = request(LW_DOWN_CANCEL, NULL);
    d.observation = observing(w, "/3/0/13");
    struct lw_token t = ask_for(w, 2, d, 1000);
    assert_string_equal(t.text, d.observation.text);
    assert_int_equal(ask_in_vain(w, d), ERR_CONFLICT); /* under way already */
    forget(w);
    say_to(w, "resp", t, "{\"code\":\"2.05\"}");
    heard(w, "observation T0 /3/0/13 cancelled\n#2 cancel answered 205\n");
}

static void oma_stray_is_cancelled_once_at_a_time(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    registered(w);
    say(w, "notify/9223372036854775809", "{\"values\":[]}");
    say(w, "notify/9223372036854775809", "{\"values\":[]}");
    heard(w, "! not_found: notify for the unknown observation 9223372036854775809\n"
             "> T0 cancel 9223372036854775809\n"
             "! not_found: notify for the unknown observation 9223372036854775809\n");
    say(w, "resp/9223372036854775809", "{\"code\":\"2.05\"}");
    heard(w, "");
}

static void oma_echo_of_our_own_answers_is_silent(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    registered(w);
    say(w, "resp/17", "{\"code\":\"2.01\"}");
    heard(w, "");
    say(w, "resp/9223372036854775809", "{\"code\":\"2.01\"}");
    heard(w, "! not_found: answer to the unknown request 9223372036854775809\n");
}

static void lost_will_is_heard_in_either_dialect(void **state)
{
    struct world *w = *state;
    w->spoken = LW_DIALECT_OMA;
    registered(w);
    w->spoken = LW_DIALECT_JSON;
    say(w, "lost", "{}");
    heard(w, "lost\n");
}

/* ---- restart ---- */

static void restored_registration_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    char links[] = "</3/0>";
    struct lw_registration r = {.state = LW_REG_REGISTERED,
                                .dialect = LW_DIALECT_JSON,
                                .lifetime = 600,
                                .version = "1.1",
                                .registered_ms = w->now.utc_ms - 500000,
                                .updated_ms = w->now.utc_ms - 500000,
                                .expires_ms = w->now.utc_ms + 100000,
                                .expires_mono_ms = 7,
                                .links = links};
    struct lw_path path = lw_path_of(3, 3, 0, 13, 0);
    struct lw_token t;
    assert_true(lw_token_parse(str_of("oldtoken"), &t));
    assert_int_equal(lw_client_restore_observation(w->c, t, &path, 1, false, 5), ERR_CLOSED);
    assert_int_equal(lw_client_restore(w->c, &r, w->now), ERR_OK);
    links[1] = 'X';
    assert_string_equal(lw_client_registration(w->c)->links, "</3/0>");
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 100000);
    assert_int_equal(lw_client_restore_observation(w->c, t, &path, 1, false, 5), ERR_OK);
    assert_int_equal(lw_client_restore_observation(w->c, t, &path, 1, false, 5), ERR_EXISTS);
    assert_int_equal(lw_client_restore(w->c, &r, w->now), ERR_CONFLICT);
    check(w);
    heard(w, "");
    say(w, "notify/oldtoken", "{\"values\":[{\"path\":\"/3/0/13\",\"value\":1700000000}]}");
    heard(w, "notify /3/0/13=1700000000\n");
    say(w, "update", "{}");
    heard(w, "updated: update 2.04\n");
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms + 600000);
}

static void registration_that_ran_out_while_we_were_away_expires_at_the_first_tick(void **state)
{
    struct world *w = *state;
    struct lw_registration r = {
        .state = LW_REG_REGISTERED, .lifetime = 600, .expires_ms = w->now.utc_ms - 1};
    assert_int_equal(lw_client_restore(w->c, &r, w->now), ERR_OK);
    assert_true(lw_client_deadline(w->c) == w->now.mono_ms);
    pass(w, 0);
    heard(w, "expired\n");
}

static void restored_end_states_stay_ended(void **state)
{
    struct world *w = *state;
    struct lw_registration r = {.state = LW_REG_EXPIRED, .expires_ms = w->now.utc_ms - 1};
    assert_int_equal(lw_client_restore(w->c, &r, w->now), ERR_OK);
    pass(w, 1000000);
    heard(w, "");
    assert_true(lw_client_deadline(w->c) == UINT64_MAX);
    registered(w);
}

static void bad_restored_observations_are_refused(void **state)
{
    struct world *w = *state;
    struct lw_path path = lw_path_of(3, 3, 0, 13, 0);
    struct lw_token none = {{0}}, t;
    registered(w);
    struct lw_token asked = ask(w, 1, LW_DOWN_READ, "/3");
    forget(w);
    assert_true(lw_token_parse(str_of("x"), &t));
    assert_int_equal(lw_client_restore_observation(w->c, none, &path, 1, false, 5), ERR_INVALID);
    assert_int_equal(lw_client_restore_observation(w->c, t, &path, 0, true, 5), ERR_INVALID);
    assert_int_equal(lw_client_restore_observation(w->c, t, &path, 2, false, 5), ERR_INVALID);
    assert_int_equal(lw_client_restore_observation(w->c, asked, &path, 1, false, 5), ERR_EXISTS);
    check(w);
}

static void words_cover_the_states(void **state)
{
    (void)state;
    assert_string_equal(lw_reg_state_word(LW_REG_NONE), "none");
    assert_string_equal(lw_reg_state_word(LW_REG_REGISTERED), "registered");
    assert_string_equal(lw_reg_state_word(LW_REG_EXPIRED), "expired");
    assert_string_equal(lw_reg_state_word(LW_REG_DEREGISTERED), "deregistered");
    assert_string_equal(lw_reg_state_word((enum lw_reg_state)9), "unknown");
    assert_string_equal(lw_source_word(LW_SRC_WRITE), "write");
    assert_string_equal(lw_source_word((enum lw_source)9), "unknown");
    assert_string_equal(lw_down_words[LW_DOWN_READ], "read");
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(registration_of_the_field_fills_the_page),
        STORY(defaults_are_those_of_the_standard),
        STORY(every_supported_version_registers),
        STORY(queue_mode_is_said_in_three_ways),
        STORY(unsupported_version_is_refused),
        STORY(registration_without_list_is_refused),
        STORY(refused_registration_keeps_the_old_one),
        STORY(secret_objects_stay_out_of_list_and_values),
        STORY(wrong_typed_first_values_are_left_out_and_the_rest_kept),
        STORY(alternate_path_is_complained_about),
        STORY(strange_binding_is_ignored),
        STORY(endless_lifetime_never_expires),
        STORY(update_changes_what_it_names_and_renews),
        STORY(update_with_objects_brings_values),
        STORY(unregistered_device_hears_not_found),
        STORY(deregistration_ends_everything),
        STORY(silence_expires_the_registration),
        STORY(second_register_drops_observations_but_not_requests),
        STORY(lost_will_of_a_stranger_changes_nothing),
        STORY(lost_will_of_a_registered_device_is_told),
        STORY(read_is_answered_with_typed_values),
        STORY(read_is_answered_in_any_format),
        STORY(one_bad_record_does_not_spoil_the_pack),
        STORY(unreadable_answer_is_an_answer_with_words),
        STORY(values_nobody_asked_for_are_left_out),
        STORY(null_is_no_value),
        STORY(refusal_of_the_device_comes_with_its_words),
        STORY(write_that_succeeded_tells_what_was_written),
        STORY(removals_are_not_written_values),
        STORY(huge_write_is_sent_but_not_remembered),
        STORY(discover_gives_links),
        STORY(create_tells_its_instance),
        STORY(the_plain_operations_only_have_a_code),
        STORY(read_composite_takes_all_its_paths),
        STORY(silence_times_requests_out_in_order),
        STORY(late_answer_is_called_late_once),
        STORY(late_observe_answer_is_cancelled_at_once),
        STORY(dropped_request_is_not_answered),
        STORY(what_the_dialect_cannot_say_leaves_nothing_behind),
        STORY(impossible_requests_are_refused),
        STORY(pending_requests_are_bounded),
        STORY(tokens_are_all_different),
        STORY(observation_lives_from_answer_to_cancel),
        STORY(refused_observation_vanishes_quietly),
        STORY(composite_observation_takes_values_of_all_its_paths),
        STORY(newer_observation_replaces_an_equal_one),
        STORY(unanswered_cancel_keeps_the_observation),
        STORY(observation_not_yet_active_cannot_be_cancelled),
        STORY(stray_notify_is_cancelled_and_throttled),
        STORY(stray_notify_of_an_unregistered_device_is_cancelled_too),
        STORY(stray_cancel_that_cannot_be_sent_is_forgotten),
        STORY(unreadable_notify_is_counted_and_told),
        STORY(observations_are_bounded),
        STORY(send_is_taken_and_acknowledged),
        STORY(bad_send_is_refused),
        STORY(ack_that_cannot_be_sent_is_told),
        STORY(bootstrap_is_refused_clearly),
        STORY(dialect_is_learnt_from_the_registration),
        STORY(refusal_goes_out_in_the_dialect_of_the_question),
        STORY(registering_in_the_other_dialect_drops_what_was_asked),
        STORY(oma_cancel_carries_the_name_of_the_observation),
        STORY(oma_stray_is_cancelled_once_at_a_time),
        STORY(oma_echo_of_our_own_answers_is_silent),
        STORY(lost_will_is_heard_in_either_dialect),
        STORY(restored_registration_goes_on_where_it_was),
        STORY(registration_that_ran_out_while_we_were_away_expires_at_the_first_tick),
        STORY(restored_end_states_stay_ended),
        STORY(bad_restored_observations_are_refused),
        STORY(words_cover_the_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
