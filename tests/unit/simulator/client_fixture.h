/* client_fixture.h - an LwM2M client of the built-in "climate" kind with everything it said. */
#ifndef BRAID_TEST_CLIENT_FIXTURE_H
#define BRAID_TEST_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lwm2m_client.h"

#define T0   INT64_C(1767225600000)
#define KEPT 64

struct fixture {
    struct arena arena;
    struct description *desc;
    struct lwm2m_client *client;
    struct moment now;
    struct lw_uplink said[KEPT];
    size_t n;
    unsigned effects; /* of the last command */
};

static inline void hear(void *ctx, const struct lw_uplink *u, struct lw_path base)
{
    struct fixture *f = ctx;
    (void)base;
    assert_true(f->n < KEPT);
    f->said[f->n++] = *u;
}

/* Confirms the newest Register or Update. */
static inline void confirm(struct fixture *f, lw_code code)
{
    for (size_t i = f->n; i-- > 0;)
        if (f->said[i].kind == LW_UP_REGISTER || f->said[i].kind == LW_UP_UPDATE) {
            struct lw_downlink ack = {.op = LW_DOWN_ACK,
                                      .token = f->said[i].token,
                                      .ack_of = f->said[i].kind,
                                      .code = code};
            f->effects = lwm2m_client_handle(f->client, &f->arena, &ack, f->now);
            return;
        }
    fail();
}

static inline void setup(struct fixture *f)
{
    char why[200];
    *f = (struct fixture){.now = {.mono_ms = 1000000, .utc_ms = T0}};
    arena_init(&f->arena, 65536, 64 << 20);
    assert_int_equal(description_new(description_builtin(), &f->desc, why, sizeof why), ERR_OK);
    struct lwm2m_client_config c = {.desc = f->desc,
                                    .kind = description_kind(f->desc, 0),
                                    .endpoint = STR("sim-t-00001"),
                                    .seed = 4,
                                    .say = hear,
                                    .ctx = f};
    assert_int_equal(lwm2m_client_new(&c, &f->client), ERR_OK);
}

static inline void setup_registered(struct fixture *f)
{
    setup(f);
    lwm2m_client_up(f->client, &f->arena, true, f->now);
    confirm(f, LW_CREATED);
    f->n = 0;
}

static inline void teardown(struct fixture *f)
{
    lwm2m_client_free(f->client);
    description_free(f->desc);
    arena_fini(&f->arena);
}

static inline void pass(struct fixture *f, uint64_t ms)
{
    f->now.mono_ms += ms;
    f->now.utc_ms += (int64_t)ms;
    f->effects = lwm2m_client_tick(f->client, &f->arena, f->now);
}

/* Sends a json command as the server would and returns the answer. */
static inline const struct lw_uplink *command(struct fixture *f, const char *json)
{
    struct lw_downlink d;
    struct str topic = STR("lwm2m/sim-t-00001/cmd/tok1");
    enum err e =
        msg_json_decode_down(&f->arena, topic, str_of(json), description_typer(f->desc), &d);
    if (e)
        print_error("%s: %s\n", json, err_word(e));
    assert_int_equal(e, ERR_OK);
    f->n = 0;
    f->effects = lwm2m_client_handle(f->client, &f->arena, &d, f->now);
    assert_true(f->n > 0);
    assert_int_equal(f->said[0].kind, LW_UP_RESPONSE);
    assert_string_equal(f->said[0].token.text, "tok1");
    return &f->said[0];
}

static inline lw_code code_of(struct fixture *f, const char *json)
{
    return command(f, json)->code;
}

static inline struct lw_value value_at(struct fixture *f, uint16_t o, uint16_t i, uint16_t r)
{
    struct lw_value v = {0};
    assert_true(
        tree_read(lwm2m_client_tree(f->client), lw_path_of(3, o, i, r, 0), f->now.utc_ms, &v));
    return v;
}

#endif
