/* The oma dialect, both sides of one topic. */
#include "codec_test.h"

#include "codec/lwm2m_msg.h"
#include "codec/msg_oma_int.h"

static const struct lw_typer nobody;

#define RD "lwm2m/rd/ep1"

static enum err up(struct arena *a, const char *topic, const char *bytes, struct lw_uplink *out)
{
    return msg_oma_decode(a, str_of(topic), hex(a, bytes), out);
}

static void a_registration_is_read(void **state)
{
    struct lw_uplink u;
    assert_int_equal(
        up(*state, RD,
           "a60106020107581b3c2f312f303e2c3c2f332f303e2c3c2f342f303e2c3c2f352f303e08190e"
           "100963312e320a614d",
           &u),
        ERR_OK);
    assert_int_equal(u.kind, LW_UP_REGISTER);
    assert_str(u.endpoint, "ep1");
    assert_null(u.prefix.p);
    assert_string_equal(u.token.text, "1");
    assert_int_equal(u.reg.lifetime, 3600);
    assert_str(u.reg.binding, "M");
    assert_int_equal(u.reg.links.n, 4);
}

static void updates_results_and_notifications_are_read(void **state)
{
    struct lw_uplink u;
    assert_int_equal(up(*state, "tenant/a/" RD, "a201070202", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_UPDATE);
    assert_str(u.prefix, "tenant/a");
    assert_false(u.reg.has_objects || u.reg.has_lifetime);
    assert_int_equal(up(*state, RD, "a201080204", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_DEREGISTER);
    assert_int_equal(up(*state, RD, "a40210074432322e311218cd1300", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_RESPONSE);
    assert_int_equal(u.code, LW_CONTENT);
    assert_int_equal(u.ct, LW_CT_TEXT);
    assert_str(u.payload, "22.1");
    assert_int_equal(up(*state, RD, "a41218cd021838130007644f6d6120", &u), ERR_OK);
    assert_str(u.payload, "Oma "); /* payload as text, keys in any order */
    assert_int_equal(up(*state, RD, "a401170210074432322e361300", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_NOTIFY);
    assert_string_equal(u.token.text, "16");
    assert_int_equal(up(*state, "lwm2m/bs/ep1", "a301000201041870", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_BS_REQUEST);
    assert_int_equal(u.pct, LW_CT_SENML_CBOR);
    assert_int_equal(up(*state, "lwm2m/bs/ep1", "a201060201", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_BS_PACK);
}

static void bad_messages_are_refused_with_their_token(void **state)
{
    static const struct {
        const char *topic, *bytes;
        enum err err;
        const char *token;
    } cases[] = {
        {RD, "", ERR_TRUNCATED, ""},
        {RD, "80", ERR_INVALID, ""},
        {RD, "9a10000000", ERR_TRUNCATED, ""},
        {RD, "a0", ERR_INVALID, ""},
        {RD, "a10106", ERR_INVALID, ""},               /* no token */
        {RD, "a10205", ERR_INVALID, "5"},              /* neither request nor result */
        {RD, "a3010602051218c9", ERR_INVALID, "5"},    /* both */
        {RD, "a3010602050206", ERR_INVALID, "5"},      /* token twice */
        {RD, "a20106026135", ERR_TYPE, ""},            /* token as text */
        {RD, "a20118630205", ERR_UNSUPPORTED, "5"},    /* operation 99 */
        {RD, "a201130205", ERR_UNSUPPORTED, "5"},      /* 19 is nobody's */
        {RD, "a201000205", ERR_INVALID, "5"},          /* bootstrap on rd */
        {RD, "a201060205ff", ERR_INVALID, "5"},        /* trailing byte */
        {RD, "a3010602050363657031", ERR_OK, "5"},     /* ep, equal */
        {RD, "a3010602050363657032", ERR_DENIED, "5"}, /* ep of another */
        {RD, "a301060205081b0000000100000000", ERR_RANGE, "5"},
        {RD, "a30106020518631a00000001", ERR_OK, "5"},      /* unknown key 99 */
        {RD, "a3010602056178a10102", ERR_OK, "5"},          /* unknown text key with a map */
        {RD, "a20205121863", ERR_RANGE, "5"},               /* result 99 */
        {RD, "a201f602a201060205", ERR_OK, "5"},            /* unprotected wrapper */
        {RD, "a202a20106020501f6", ERR_OK, "5"},            /* the other way round */
        {RD, "a201410202a201060205", ERR_UNSUPPORTED, "5"}, /* protected */
        {RD, "a201f602a201f602a201060205", ERR_TYPE, ""},   /* wrapped twice */
        {"lwm2m/bs/ep1", "a201020205", ERR_NOTFOUND, "5"},  /* the server's own */
        {"lwm2m/bs/ep1", "a201090205", ERR_UNSUPPORTED, "5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_uplink u;
        enum err e = up(*state, cases[i].topic, cases[i].bytes, &u);
        bool ok = e == cases[i].err || (e && cases[i].err == ERR_TYPE);
        if (!ok || strcmp(u.token.text, cases[i].token))
            fail_msg("%s: %s, token '%s'", cases[i].bytes, err_word(e), u.token.text);
        assert_str(u.endpoint, "ep1");
    }
}

static void topics_of_others_are_not_found(void **state)
{
    static const char *const topics[] = {
        "lwm2m/ep1/reg", "lwm2m/rd",      "lwm2m/xx/ep1",       "xlwm2m/rd/ep1",
        "/lwm2m/rd/ep1", "spBv1.0/a/b/c", "lwm2m/lwm2m/bs/req", ""};
    struct lw_uplink u;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        if (up(*state, topics[i], "a201070202", &u) != ERR_NOTFOUND)
            fail_msg("taken: %s", topics[i]);
    assert_int_equal(up(*state, "lwm2m/rd/", "a201070202", &u), ERR_INVALID);
    assert_int_equal(up(*state, "lwm2m/rd/a/b", "a201070202", &u), ERR_INVALID);
    assert_int_equal(up(*state, "lwm2m/rd/bs", "a201070202", &u), ERR_DENIED);
}

static struct lw_downlink command(enum lw_down op, const char *path)
{
    struct lw_downlink d = {.op = op, .ct = LW_CT_NONE, .depth = -1, .path = path_of(path)};
    assert_true(lw_token_parse(str_of("9223372036854775808"), &d.token));
    return d;
}

static enum err send(const struct lw_downlink *d, struct buf *t, struct buf *p)
{
    buf_init(t, 1000);
    buf_init(p, 10000);
    return msg_oma_encode(str_of("ep1"), d, t, p);
}

static void assert_bytes(struct arena *a, const struct lw_downlink *d, const char *bytes)
{
    struct buf t, p;
    assert_int_equal(send(d, &t, &p), ERR_OK);
    assert_string_equal(buf_text(&t), RD);
    assert_true(str_eq(buf_view(&p), hex(a, bytes)));
    buf_fini(&t);
    buf_fini(&p);
}

static void requests_are_written_as_the_vectors_show(void **state)
{
    struct lw_downlink d = command(LW_DOWN_READ, "/3/0/0");
    assert_true(lw_token_parse(str_of("56"), &d.token));
    assert_bytes(*state, &d, "a3010902183805662f332f302f30");
    d = command(LW_DOWN_WRITE, "/1/0/1");
    assert_true(lw_token_parse(str_of("8"), &d.token));
    struct lw_entry v = {.path = path_of("/1/0/1"), .value = {.type = LW_INTEGER, .i = 60}};
    d.values = (struct lw_entries){.v = &v, .n = 1};
    assert_bytes(*state, &d, "a5010c020805662f312f302f31074236301300");
    d = command(LW_DOWN_CANCEL, "/");
    assert_true(lw_token_parse(str_of("16"), &d.observation));
    assert_bytes(*state, &d, "a201160210");
    d = (struct lw_downlink){.op = LW_DOWN_ACK, .code = LW_CHANGED};
    assert_true(lw_token_parse(str_of("3"), &d.token));
    assert_bytes(*state, &d, "a202031218cc");
    d.prefix = str_of("tenant");
    struct buf t, p;
    assert_int_equal(send(&d, &t, &p), ERR_OK);
    assert_string_equal(buf_text(&t), "tenant/" RD);
    buf_fini(&t);
    buf_fini(&p);
}

static void what_has_no_key_is_refused(void **state)
{
    struct lw_downlink cases[7];
    struct lw_entry v = {.path = path_of("/3303/65535/1"), .value = {.type = LW_INTEGER, .i = 1}};
    size_t n = 0;
    (void)state;
    cases[n] = command(LW_DOWN_READ, "/3/0");
    cases[n++].ct = LW_CT_SENML_CBOR;
    cases[n] = command(LW_DOWN_OBSERVE, "/3/0");
    cases[n++].attrs.set = 1 << LW_PMIN;
    cases[n] = command(LW_DOWN_WRITE_ATTRIBUTES, "/3/0");
    cases[n++].attrs.set = 1 << LW_LT;
    cases[n] = command(LW_DOWN_WRITE_ATTRIBUTES, "/3/0");
    cases[n++].attrs.set = 1 << LW_CON;
    cases[n] = command(LW_DOWN_WRITE_ATTRIBUTES, "/3/0");
    cases[n++].attrs.unset = 1 << LW_PMIN;
    cases[n] = command(LW_DOWN_CREATE, "/3303");
    cases[n++].values = (struct lw_entries){.v = &v, .n = 1};
    for (size_t i = 0; i < n; i++) {
        struct buf t, p;
        assert_int_equal(send(&cases[i], &t, &p), ERR_UNSUPPORTED);
        assert_int_equal(p.n, 0);
        buf_fini(&t);
        buf_fini(&p);
    }
}

static void a_device_reads_what_the_server_writes_and_the_server_ignores_it(void **state)
{
    struct lw_entry v[] = {
        {.path = path_of("/3/0/6/1"), .value = {.type = LW_INTEGER, .i = 5}},
        {.path = path_of("/3/0/9"), .value = {.type = LW_FLOAT, .f = 0.1}},
        {.path = path_of("/3/0/2"), .value = {.type = LW_OPAQUE, .s = STR("\0\1")}},
        {.path = path_of("/3/0/5"), .value = {.type = LW_OBJLNK, .link = {3, 0}}},
    };
    struct lw_path paths[] = {path_of("/3/0"), path_of("/4")};
    for (unsigned op = 0; op < LW_DOWN_ACK; op++) {
        struct lw_downlink d = command((enum lw_down)op, "/3/0"), got;
        struct lw_uplink echo;
        struct buf t, p;
        if (!lw_down_has_path(d.op))
            d.path = path_of("/");
        if (op == LW_DOWN_CREATE)
            d.path = path_of("/3");
        d.has_instance = true;
        if (op == LW_DOWN_WRITE || op == LW_DOWN_WRITE_UPDATE || op == LW_DOWN_CREATE ||
            op == LW_DOWN_WRITE_COMPOSITE)
            d.values = (struct lw_entries){.v = v, .n = sizeof v / sizeof v[0]};
        if (op == LW_DOWN_READ_COMPOSITE || op == LW_DOWN_OBSERVE_COMPOSITE) {
            d.paths = paths;
            d.n_paths = 2;
        }
        d.observation = d.token;
        if (op == LW_DOWN_WRITE_ATTRIBUTES)
            d.attrs = (struct lw_attrs){.set = 1 << LW_GT | 1 << LW_PMAX, .v = {[LW_GT] = 1.5}};
        assert_int_equal(send(&d, &t, &p), ERR_OK);
        assert_int_equal(msg_oma_decode_down(*state, buf_view(&t), buf_view(&p), nobody, &got),
                         ERR_OK);
        assert_int_equal(got.op, d.op);
        assert_string_equal(got.token.text, d.token.text);
        assert_true(lw_path_eq(got.path, d.path));
        assert_int_equal(got.n_paths, d.n_paths);
        assert_int_equal(got.attrs.set, d.attrs.set);
        assert_int_equal(got.values.n, d.values.n);
        for (size_t i = 0; i < got.values.n; i++)
            assert_true(lw_value_eq(got.values.v[i].value, v[i].value));
        assert_int_equal(msg_oma_decode(*state, buf_view(&t), buf_view(&p), &echo), ERR_NOTFOUND);
        buf_fini(&t);
        buf_fini(&p);
    }
}

static void removals_go_as_a_patch(void **state)
{
    struct lw_entry v = {.path = path_of("/3/0/6/1"), .value = {.type = LW_NONE}};
    struct lw_downlink d = command(LW_DOWN_WRITE_COMPOSITE, "/"), got;
    struct buf t, p;
    d.values = (struct lw_entries){.v = &v, .n = 1};
    assert_int_equal(send(&d, &t, &p), ERR_OK);
    assert_int_equal(msg_oma_decode_down(*state, buf_view(&t), buf_view(&p), nobody, &got), ERR_OK);
    assert_int_equal(got.ct, LW_CT_ETCH_CBOR);
    assert_int_equal(got.values.n, 1);
    assert_int_equal(got.values.v[0].value.type, LW_NONE);
    buf_fini(&t);
    buf_fini(&p);
}

static void the_server_reads_what_a_device_writes(void **state)
{
    struct lw_entry v = {.path = path_of("/3303/0/5700"),
                         .value = {.type = LW_FLOAT, .f = 21.5},
                         .time_ms = 1700000000000};
    struct lw_uplink u = {.endpoint = STR("ep1"),
                          .ct = LW_CT_NONE,
                          .pct = LW_CT_NONE,
                          .reg = {.has_lifetime = true,
                                  .lifetime = 60,
                                  .has_objects = true,
                                  .version = STR("1.2"),
                                  .binding = STR("M")},
                          .values = {.v = &v, .n = 1},
                          .code = LW_CONTENT};
    assert_int_equal(lw_links_parse(*state, str_of("</1/0>,</3303/0>;ver=1.1"), &u.reg.links),
                     ERR_OK);
    assert_true(lw_token_parse(str_of("7"), &u.token));
    for (unsigned kind = 0; kind <= LW_UP_RESPONSE; kind++) {
        struct lw_uplink got;
        struct lw_entries values;
        struct buf t, p;
        u.kind = (enum lw_up)kind;
        buf_init(&t, 1000);
        buf_init(&p, 10000);
        assert_int_equal(msg_oma_encode_up(&u, &t, &p), ERR_OK);
        assert_int_equal(msg_oma_decode(*state, buf_view(&t), buf_view(&p), &got), ERR_OK);
        assert_int_equal(got.kind, u.kind);
        if (kind == LW_UP_REGISTER)
            assert_int_equal(got.reg.links.n, 2);
        if (kind == LW_UP_NOTIFY || kind == LW_UP_SEND || kind == LW_UP_RESPONSE) {
            assert_int_equal(lw_decode(*state, got.ct, got.payload, path_of("/"), nobody, &values),
                             ERR_OK);
            assert_true(values.v[0].value.f == 21.5 && values.v[0].time_ms == v.time_ms);
        }
        buf_fini(&t);
        buf_fini(&p);
    }
    struct buf t, p;
    buf_init(&t, 100);
    buf_init(&p, 100);
    u.kind = LW_UP_LOST;
    assert_int_equal(msg_oma_encode_up(&u, &t, &p), ERR_UNSUPPORTED);
    assert_true(lw_token_parse(str_of("abc"), &u.token));
    u.kind = LW_UP_SEND;
    assert_int_equal(msg_oma_encode_up(&u, &t, &p), ERR_INVALID);
    buf_fini(&t);
    buf_fini(&p);
}

static void unknown_operations_reach_a_device_with_their_token(void **state)
{
    struct lw_downlink d;
    assert_int_equal(msg_oma_decode_down(*state, str_of(RD), hex(*state, "a201130205"), nobody, &d),
                     ERR_UNSUPPORTED);
    assert_string_equal(d.token.text, "5");
    assert_int_equal(msg_oma_decode_down(*state, str_of(RD), hex(*state, "a201060205"), nobody, &d),
                     ERR_NOTFOUND);
    assert_int_equal(
        msg_oma_decode_down(*state, str_of(RD), hex(*state, "a202031218cc"), nobody, &d), ERR_OK);
    assert_int_equal(d.op, LW_DOWN_ACK);
    assert_int_equal(d.code, LW_CHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_registration_is_read),
        TEST(updates_results_and_notifications_are_read),
        TEST(bad_messages_are_refused_with_their_token),
        TEST(topics_of_others_are_not_found),
        TEST(requests_are_written_as_the_vectors_show),
        TEST(what_has_no_key_is_refused),
        TEST(a_device_reads_what_the_server_writes_and_the_server_ignores_it),
        TEST(removals_go_as_a_patch),
        TEST(the_server_reads_what_a_device_writes),
        TEST(unknown_operations_reach_a_device_with_their_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
