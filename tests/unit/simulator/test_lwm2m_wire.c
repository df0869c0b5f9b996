/* The same answer in both dialects, and the content formats a server may ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lwm2m_wire.h"

struct fixture {
    struct arena arena;
    struct buf topic, payload;
    struct lw_entry entry;
    struct lw_uplink answer;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){
        .entry = {.path = lw_path_of(3, 3303, 0, 5700, 0), .value = {.type = LW_FLOAT, .f = 21.5}},
        .answer = {.kind = LW_UP_RESPONSE,
                   .word = STR("resp"),
                   .endpoint = STR("dev"),
                   .token = {"77"},
                   .code = LW_CONTENT,
                   .ct = LW_CT_NONE,
                   .pct = LW_CT_NONE},
    };
    arena_init(&f->arena, 4096, 1 << 20);
    buf_init(&f->topic, 256);
    buf_init(&f->payload, 4096);
    f->answer.values = (struct lw_entries){.v = &f->entry, .n = 1};
}

static void teardown(struct fixture *f)
{
    arena_fini(&f->arena);
    buf_fini(&f->topic);
    buf_fini(&f->payload);
}

static enum err encode(struct fixture *f, enum lw_dialect dialect)
{
    return lwm2m_wire_encode(dialect, &f->answer, f->entry.path, &f->topic, &f->payload);
}

static void json_says_values_plainly(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(encode(&f, LW_DIALECT_JSON), ERR_OK);
    assert_string_equal(buf_text(&f.topic), "lwm2m/dev/resp/77");
    assert_string_equal(
        buf_text(&f.payload),
        "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":21.5}]}");
    teardown(&f);
}

static void json_gives_the_format_that_was_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.answer.pct = LW_CT_TEXT;
    assert_int_equal(encode(&f, LW_DIALECT_JSON), ERR_OK);
    assert_non_null(strstr(buf_text(&f.payload), "\"ct\":0"));
    assert_non_null(strstr(buf_text(&f.payload), "\"MjEuNQ==\"")); /* "21.5" */
    teardown(&f);
}

static void a_format_that_cannot_say_it_falls_back(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.answer.pct = 4711;
    assert_int_equal(encode(&f, LW_DIALECT_JSON), ERR_OK);
    assert_non_null(strstr(buf_text(&f.payload), "\"values\""));
    buf_reset(&f.topic);
    buf_reset(&f.payload);
    assert_int_equal(encode(&f, LW_DIALECT_OMA), ERR_OK);
    teardown(&f);
}

static void oma_carries_bytes_the_server_side_can_decode(void **state)
{
    (void)state;
    static const unsigned formats[] = {LW_CT_NONE, LW_CT_SENML_JSON, LW_CT_TLV, LW_CT_LWM2M_CBOR};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct fixture f;
        struct lw_uplink got;
        struct lw_entries values = {0};
        setup(&f);
        f.answer.pct = formats[i];
        assert_int_equal(encode(&f, LW_DIALECT_OMA), ERR_OK);
        assert_string_equal(buf_text(&f.topic), "lwm2m/rd/dev");
        assert_int_equal(msg_oma_decode(&f.arena, buf_view(&f.topic), buf_view(&f.payload), &got),
                         ERR_OK);
        assert_int_equal(got.code, LW_CONTENT);
        assert_int_equal(got.ct, formats[i] == LW_CT_NONE ? LW_CT_SENML_CBOR : formats[i]);
        struct lw_typer none = {0};
        assert_int_equal(lw_decode(&f.arena, got.ct, got.payload, f.entry.path, none, &values),
                         ERR_OK);
        assert_int_equal(values.n, 1);
        assert_true(lw_path_eq(values.v[0].path, f.entry.path));
        teardown(&f);
    }
}

static void refusals_have_no_body_in_either_dialect(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.answer.code = LW_NOT_FOUND;
    f.answer.error = (struct str)STR("Not Found");
    f.answer.values = (struct lw_entries){0};
    assert_int_equal(encode(&f, LW_DIALECT_JSON), ERR_OK);
    assert_string_equal(buf_text(&f.payload), "{\"code\":\"4.04\",\"error\":\"Not Found\"}");
    buf_reset(&f.topic);
    buf_reset(&f.payload);
    assert_int_equal(encode(&f, LW_DIALECT_OMA), ERR_OK);
    assert_int_equal(f.payload.n, 8); /* {2: 77, 18: 404} */
    teardown(&f);
}

static void commands_are_read_in_both_dialects(void **state)
{
    (void)state;
    struct fixture f;
    struct lw_downlink d;
    struct lw_typer none = {0};
    struct str cbor = STR("\xa3\x01\x09\x02\x18\x38\x05\x66/3/0/0");
    setup(&f);
    assert_int_equal(lwm2m_wire_decode(LW_DIALECT_OMA, &f.arena, (struct str)STR("lwm2m/rd/dev"),
                                       cbor, none, &d),
                     ERR_OK);
    assert_int_equal(d.op, LW_DOWN_READ);
    assert_string_equal(d.token.text, "56");
    assert_int_equal(
        lwm2m_wire_decode(LW_DIALECT_JSON, &f.arena, (struct str)STR("lwm2m/dev/cmd/a"),
                          (struct str)STR("{\"op\":\"read\",\"path\":\"/3/0/0\"}"), none, &d),
        ERR_OK);
    assert_true(lw_path_eq(d.path, lw_path_of(3, 3, 0, 0, 0)));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_says_values_plainly),
        cmocka_unit_test(json_gives_the_format_that_was_asked_for),
        cmocka_unit_test(a_format_that_cannot_say_it_falls_back),
        cmocka_unit_test(oma_carries_bytes_the_server_side_can_decode),
        cmocka_unit_test(refusals_have_no_body_in_either_dialect),
        cmocka_unit_test(commands_are_read_in_both_dialects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
