/* The json dialect, both sides: the examples of docs/protocols.md, and everything that must be
 * refused with a reason. */
#include "codec_test.h"

#include "codec/lwm2m_msg.h"

static const struct lw_typer nobody;

#define EP "lwm2m/device-temp-001/"

static enum err up(struct arena *a, const char *topic, const char *payload, struct lw_uplink *out)
{
    return msg_json_decode(a, str_of(topic), str_of(payload), out);
}

static void the_registration_of_devices_in_the_field_works(void **state)
{
    struct lw_uplink u;
    assert_int_equal(
        up(*state, EP "reg",
           "{\"endpoint\":\"device-temp-001\",\"lifetime\":3600,\"version\":\"1.2\","
           "\"bindingMode\":\"UQ\",\"objects\":{\"3\":{\"0\":{\"0\":\"IoT Testing Corp\","
           "\"1\":\"SimDevice-temperature_sensor\"}}}}",
           &u),
        ERR_OK);
    assert_int_equal(u.kind, LW_UP_REGISTER);
    assert_str(u.endpoint, "device-temp-001");
    assert_str(u.word, "reg");
    assert_true(u.reg.has_lifetime && u.reg.lifetime == 3600);
    assert_str(u.reg.version, "1.2");
    assert_str(u.reg.binding, "UQ");
    assert_int_equal(u.reg.queue_mode, -1);
    assert_true(u.reg.has_objects);
    assert_int_equal(u.reg.links.n, 1);
    assert_true(lw_path_eq(u.reg.links.v[0].path, path_of("/3/0")));
    assert_int_equal(u.values.n, 2);
    assert_true(lw_path_eq(u.values.v[0].path, path_of("/3/0/0")));
    assert_str(u.values.v[0].value.s, "IoT Testing Corp");
}

static void objects_become_links_with_versions_and_values_keep_wire_types(void **state)
{
    struct lw_uplink u;
    struct buf links;
    assert_int_equal(
        up(*state, EP "reg",
           "{\"lifetime\":60,\"queueMode\":true,\"ct\":112,\"token\":\"r1\",\"objects\":"
           "{\"3\":{\"0\":{\"6\":{\"0\":1,\"1\":5},\"9\":95,\"4\":null}},\"5\":{},"
           "\"3303\":{\"0\":{\"5700\":21.5},\"1\":{\"5850\":true}},"
           "\"9000\":{\"0\":{\"1\":18446744073709551615,"
           "\"2\":{\"value\":7,\"type\":\"time\"}}}},"
           "\"objectVersions\":{\"3\":\"1.1\"}}",
           &u),
        ERR_OK);
    buf_init(&links, 1000);
    lw_links_write(&links, &u.reg.links);
    assert_str(buf_view(&links), "</3/0>;ver=1.1,</5>,</3303/0>,</3303/1>,</9000/0>,</>;ct=112");
    buf_fini(&links);
    assert_string_equal(u.token.text, "r1");
    assert_int_equal(u.reg.queue_mode, 1);
    static const struct {
        const char *path;
        enum lw_type type;
    } want[] = {{"/3/0/6/0", LW_INTEGER},   {"/3/0/6/1", LW_INTEGER},
                {"/3/0/9", LW_INTEGER},     {"/3/0/4", LW_NONE},
                {"/3303/0/5700", LW_FLOAT}, {"/3303/1/5850", LW_BOOLEAN},
                {"/9000/0/1", LW_UNSIGNED}, {"/9000/0/2", LW_TIME}};
    assert_int_equal(u.values.n, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < u.values.n; i++) {
        assert_true(lw_path_eq(u.values.v[i].path, path_of(want[i].path)));
        assert_int_equal(u.values.v[i].value.type, want[i].type);
    }
}

static void links_may_be_text_or_a_list_of_paths(void **state)
{
    static const char *const bodies[] = {
        "{\"links\":\"</1/0>,</3/0>;ver=1.1,</5>\"}",
        "{\"links\":[\"/1/0\",\"</3/0>;ver=1.1\",\"/5\"]}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct lw_uplink u;
        assert_int_equal(up(*state, EP "update", bodies[i], &u), ERR_OK);
        assert_int_equal(u.kind, LW_UP_UPDATE);
        assert_int_equal(u.reg.links.n, 3);
        assert_true(lw_path_eq(u.reg.links.v[2].path, path_of("/5")));
        assert_str(lw_link_attr_find(&u.reg.links.v[1], "ver"), "1.1");
        assert_false(u.reg.has_lifetime);
    }
}

static void updates_have_two_words_and_may_be_empty(void **state)
{
    struct lw_uplink u;
    assert_int_equal(up(*state, EP "upd", "", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_UPDATE);
    assert_str(u.word, "upd");
    assert_false(u.reg.has_objects);
    assert_int_equal(up(*state, EP "dereg", "{}", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_DEREGISTER);
    assert_int_equal(up(*state, EP "lost", "", &u), ERR_OK);
    assert_int_equal(u.kind, LW_UP_LOST);
    assert_int_equal(up(*state, EP "reg", "", &u), ERR_TRUNCATED);
}

static void notifications_come_in_three_forms(void **state)
{
    struct lw_uplink u;
    assert_int_equal(
        up(*state, EP "notify/obs-1",
           "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":21.5,\"time\":1700000000123},"
           "{\"path\":\"/3/0/6\",\"value\":{\"0\":1,\"1\":5}},"
           "{\"path\":\"/9000/0/1\",\"value\":\"AQID\",\"type\":\"opaque\"}]}",
           &u),
        ERR_OK);
    assert_string_equal(u.token.text, "obs-1");
    assert_int_equal(u.values.n, 4);
    assert_true(u.values.v[0].time_ms == 1700000000123);
    assert_true(lw_path_eq(u.values.v[2].path, path_of("/3/0/6/1")));
    assert_str(u.values.v[3].value.s, "\1\2\3");
    assert_int_equal(u.ct, LW_CT_NONE);
    assert_int_equal(up(*state, EP "send", " [{\"n\":\"/3/0/9\",\"v\":1}]", &u), ERR_OK);
    assert_int_equal(u.ct, LW_CT_SENML_JSON);
    assert_int_equal(u.kind, LW_UP_SEND);
    assert_int_equal(up(*state, EP "notify/7", "{\"ct\":112,\"payload\":\"gA==\"}", &u), ERR_OK);
    assert_int_equal(u.ct, LW_CT_SENML_CBOR);
    assert_str(u.payload, "\x80");
    assert_int_equal(up(*state, EP "notify/7", "{}", &u), ERR_INVALID);
    assert_int_equal(up(*state, EP "resp/7", "[]", &u), ERR_INVALID);
}

static void responses_carry_code_and_content(void **state)
{
    static const char *const codes[] = {"\"2.05\"", "205", "2.05", "\"205\""};
    struct lw_uplink u;
    for (size_t i = 0; i < 4; i++) {
        struct buf b;
        buf_init(&b, 1000);
        buf_printf(&b, "{\"code\":%s,\"values\":[{\"path\":\"/3/0/0\",\"value\":\"x\"}]}",
                   codes[i]);
        assert_int_equal(up(*state, EP "resp/t1", buf_text(&b), &u), ERR_OK);
        assert_int_equal(u.code, LW_CONTENT);
        assert_int_equal(u.values.n, 1);
        buf_fini(&b);
    }
    assert_int_equal(up(*state, EP "resp/t1", "{\"code\":\"4.04\",\"error\":\"no such\"}", &u),
                     ERR_OK);
    assert_int_equal(u.code, LW_NOT_FOUND);
    assert_str(u.error, "no such");
    assert_int_equal(up(*state, EP "resp/t1", "{\"code\":\"2.01\",\"path\":\"/3303/2\"}", &u),
                     ERR_OK);
    assert_true(u.has_created && lw_path_eq(u.created, path_of("/3303/2")));
    assert_int_equal(up(*state, EP "resp/t1", "{\"code\":205,\"links\":[\"/3/0\",\"/3/0/0\"]}", &u),
                     ERR_OK);
    assert_int_equal(u.ct, LW_CT_LINK);
    assert_str(u.payload, "</3/0>,</3/0/0>");
    assert_int_equal(up(*state, EP "resp/t1", "{}", &u), ERR_INVALID);
    assert_int_equal(up(*state, EP "resp/t1", "{\"code\":\"9.99\"}", &u), ERR_RANGE);
    assert_int_equal(up(*state, EP "resp/t1", "{\"code\":205,\"values\":[],\"links\":\"\"}", &u),
                     ERR_INVALID);
}

static void topics_of_others_are_not_found(void **state)
{
    static const char *const topics[] = {
        "",          "lwm2m",        "lwm2m/x",     "lwm2m/x/",   "lwm2m/x/unknown",
        "spBv1.0/g", EP "cmd/t1",    EP "ack/reg",  EP "bs/ack",  EP "bs/cmd/t1",
        EP "reg/x",  "/lwm2m/x/reg", "LWM2M/x/reg", EP "respx/t", EP "bs",
    };
    struct lw_uplink u;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        if (up(*state, topics[i], "{}", &u) != ERR_NOTFOUND)
            fail_msg("taken: %s", topics[i]);
}

static void reserved_and_foreign_names_are_denied(void **state)
{
    struct lw_uplink u;
    assert_int_equal(up(*state, "lwm2m/rd/reg", "{}", &u), ERR_DENIED);
    assert_int_equal(up(*state, "lwm2m/bs/reg", "{}", &u), ERR_DENIED);
    assert_int_equal(up(*state, "lwm2m/STATE/reg", "{}", &u), ERR_DENIED);
    assert_int_equal(up(*state, "lwm2m/braid-lw/reg", "{}", &u), ERR_DENIED);
    assert_int_equal(up(*state, EP "reg", "{\"endpoint\":\"other\",\"token\":\"t\"}", &u),
                     ERR_DENIED);
    assert_str(u.endpoint, "device-temp-001");
    assert_string_equal(u.token.text, "t");
    assert_int_equal(u.kind, LW_UP_REGISTER);
    assert_int_equal(up(*state, "lwm2m/a+b/reg", "{}", &u), ERR_INVALID);
    assert_int_equal(up(*state, "lwm2m//reg", "{}", &u), ERR_INVALID);
    assert_int_equal(up(*state, "lwm2m/\x01/reg", "{}", &u), ERR_INVALID);
    assert_int_equal(up(*state, "lwm2m/\xff/reg", "{}", &u), ERR_INVALID);
    assert_int_equal(
        up(*state, "lwm2m/0123456789012345678901234567890123456789012345678901234567890123x/reg",
           "{}", &u),
        ERR_INVALID);
    assert_null(u.endpoint.p);
    assert_int_equal(up(*state, "lwm2m/caf\xc3\xa9/reg", "{}", &u), ERR_OK);
}

static void malformed_bodies_are_refused_with_their_sender(void **state)
{
    static const struct {
        const char *word, *body;
        enum err err;
    } cases[] = {
        {"reg", "hello", ERR_INVALID},
        {"reg", "[]", ERR_INVALID},
        {"reg", "{\"lifetime\":\"soon\"}", ERR_TYPE},
        {"reg", "{\"lifetime\":-1}", ERR_TYPE},
        {"reg", "{\"lifetime\":4294967296}", ERR_RANGE},
        {"reg", "{\"version\":[]}", ERR_TYPE},
        {"reg", "{\"queueMode\":1}", ERR_TYPE},
        {"reg", "{\"token\":\"a b\"}", ERR_INVALID},
        {"reg", "{\"objects\":[]}", ERR_TYPE},
        {"reg", "{\"objects\":{\"x\":{}}}", ERR_INVALID},
        {"reg", "{\"objects\":{\"70000\":{}}}", ERR_RANGE},
        {"reg", "{\"objects\":{\"3\":1}}", ERR_TYPE},
        {"reg", "{\"objects\":{\"3\":{\"0\":\"x\"}}}", ERR_TYPE},
        {"reg", "{\"objects\":{\"3\":{\"0\":{\"0\":[1]}}}}", ERR_TYPE},
        {"reg", "{\"objects\":{\"3\":{\"0\":{\"6\":{\"0\":{\"0\":1}}}}}}", ERR_DEPTH},
        {"reg", "{\"objects\":{\"3\":{}},\"objectVersions\":{\"3\":1e400}}", ERR_OK},
        {"reg", "{\"links\":\"/3/0\"}", ERR_INVALID},
        {"reg", "{\"links\":[1]}", ERR_TYPE},
        {"reg", "{\"lifetime\":1,\"lifetime\":2}", ERR_CONFLICT},
        {"send", "{\"values\":[{\"path\":\"/3/0\",\"value\":1}]}", ERR_TYPE},
        {"send", "{\"values\":[{\"path\":\"/3/0/0\"}]}", ERR_INVALID},
        {"send", "{\"values\":[{\"value\":1}]}", ERR_INVALID},
        {"send", "{\"values\":[1]}", ERR_INVALID},
        {"send", "{\"values\":{}}", ERR_TYPE},
        {"send", "{\"values\":[{\"path\":\"/3/0/0\",\"value\":\"x\",\"type\":\"integer\"}]}",
         ERR_TYPE},
        {"send", "{\"values\":[{\"path\":\"/3/0/0\",\"value\":1,\"type\":\"number\"}]}", ERR_TYPE},
        {"send", "{\"values\":[{\"path\":\"/70000/0/0\",\"value\":1}]}", ERR_RANGE},
        {"send", "{\"ct\":112,\"payload\":\"*\"}", ERR_INVALID},
        {"send", "{\"payload\":\"gA==\"}", ERR_INVALID},
        {"send", "{\"ct\":70000,\"payload\":\"gA==\"}", ERR_INVALID},
        {"resp/a b", "{\"code\":205}", ERR_INVALID},
        {"bs/req", "{}", ERR_INVALID},
        {"bs/req", "{\"token\":\"1\",\"pct\":112}", ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_uplink u;
        struct buf topic;
        buf_init(&topic, 1000);
        buf_printf(&topic, EP "%s", cases[i].word);
        enum err e = up(*state, buf_text(&topic), cases[i].body, &u);
        if (e != cases[i].err)
            fail_msg("%s: %s instead of %s", cases[i].body, err_word(e), err_word(cases[i].err));
        assert_str(u.endpoint, "device-temp-001");
        buf_fini(&topic);
    }
}

static void ten_thousand_brackets_and_ten_megabytes_are_refused(void **state)
{
    struct lw_uplink u;
    struct buf b;
    buf_init(&b, 16 << 20);
    for (int i = 0; i < 10000; i++)
        buf_puts(&b, "{\"a\":");
    assert_int_equal(msg_json_decode(*state, str_of(EP "reg"), buf_view(&b), &u), ERR_DEPTH);
    buf_reset(&b);
    for (int i = 0; i < 10 << 20; i += 1024) {
        static const char space[1024] = {' '};
        buf_put(&b, space, sizeof space);
    }
    assert_int_equal(msg_json_decode(*state, str_of(EP "reg"), buf_view(&b), &u), ERR_TOOBIG);
    buf_fini(&b);
}

/* ---- downlinks ---- */

static struct lw_downlink command(enum lw_down op, const char *path)
{
    struct lw_downlink d = {.op = op, .ct = LW_CT_NONE, .depth = -1, .path = path_of(path)};
    assert_true(lw_token_parse(str_of("t1"), &d.token));
    return d;
}

static void assert_sent(const struct lw_downlink *d, const char *topic, const char *payload)
{
    struct buf t, p;
    buf_init(&t, 1000);
    buf_init(&p, 10000);
    assert_int_equal(msg_json_encode(str_of("ep1"), d, &t, &p), ERR_OK);
    assert_string_equal(buf_text(&t), topic);
    assert_string_equal(buf_text(&p), payload);
    buf_fini(&t);
    buf_fini(&p);
}

static void downlinks_are_written_as_documented(void **state)
{
    (void)state;
    struct lw_downlink d = command(LW_DOWN_READ, "/3/0/0");
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    d.ct = LW_CT_SENML_JSON;
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"read\",\"path\":\"/3/0/0\",\"ct\":110}");
    d = command(LW_DOWN_DISCOVER, "/3");
    d.depth = 2;
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"discover\",\"path\":\"/3\",\"depth\":2}");
    d = command(LW_DOWN_EXECUTE, "/3/0/4");
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    d.args = str_of("0='a'");
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"execute\",\"path\":\"/3/0/4\",\"args\":\"0='a'\"}");
    d = command(LW_DOWN_DELETE, "/3303/1");
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"delete\",\"path\":\"/3303/1\"}");
    d = command(LW_DOWN_OBSERVE, "/3303/0/5700");
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"observe\",\"path\":\"/3303/0/5700\"}");
    d.attrs = (struct lw_attrs){.set = 1 << LW_PMIN, .v[LW_PMIN] = 1, .unset = 1 << LW_LT};
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"observe\",\"path\":\"/3303/0/5700\",\"attributes\":"
                "{\"pmin\":1,\"lt\":null}}");
    d.op = LW_DOWN_WRITE_ATTRIBUTES;
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"write-attributes\",\"path\":\"/3303/0/5700\",\"attributes\":"
                "{\"pmin\":1,\"lt\":null}}");
    d = command(LW_DOWN_CANCEL, "/");
    assert_true(lw_token_parse(str_of("obs1"), &d.observation));
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"cancel\",\"observation\":\"obs1\"}");
}

static void bodies_and_lists_are_written_as_documented(void **state)
{
    (void)state;
    struct lw_entry v[] = {{.path = path_of("/1/0/1"), .value = {.type = LW_INTEGER, .i = 60}},
                           {.path = path_of("/1/0/6"), .value = {.type = LW_NONE}}};
    struct lw_downlink d = command(LW_DOWN_WRITE, "/1/0/1");
    d.values = (struct lw_entries){.v = v, .n = 1};
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"write\",\"path\":\"/1/0/1\",\"mode\":\"replace\",\"value\":60}");
    d = command(LW_DOWN_WRITE_UPDATE, "/1/0");
    d.values = (struct lw_entries){.v = v, .n = 1};
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"write\",\"path\":\"/1/0\",\"mode\":\"update\",\"values\":"
                "[{\"path\":\"/1/0/1\",\"value\":60}]}");
    d.payload = str_of("\1\2\3");
    d.ct = LW_CT_TLV;
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"write\",\"path\":\"/1/0\",\"mode\":\"update\",\"ct\":11542,"
                "\"payload\":\"AQID\"}");
    d = command(LW_DOWN_WRITE_COMPOSITE, "/");
    d.values = (struct lw_entries){.v = v, .n = 2};
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"write-composite\",\"values\":[{\"path\":\"/1/0/1\",\"value\":60},"
                "{\"path\":\"/1/0/6\",\"value\":null}]}");
    d = command(LW_DOWN_CREATE, "/1");
    d.values = (struct lw_entries){.v = v, .n = 1};
    d.has_instance = true;
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"create\",\"path\":\"/1\",\"instance\":0,\"values\":"
                "[{\"path\":\"/1/0/1\",\"value\":60}]}");
    struct lw_path paths[] = {path_of("/3/0"), path_of("/4")};
    d = command(LW_DOWN_READ_COMPOSITE, "/");
    d.paths = paths;
    d.n_paths = 2;
    assert_sent(&d, "lwm2m/ep1/cmd/t1", "{\"op\":\"read-composite\",\"paths\":[\"/3/0\",\"/4\"]}");
    d.op = LW_DOWN_OBSERVE_COMPOSITE;
    assert_sent(&d, "lwm2m/ep1/cmd/t1",
                "{\"op\":\"observe-composite\",\"paths\":[\"/3/0\",\"/4\"]}");
}

static void acks_go_to_the_word_that_was_used(void **state)
{
    (void)state;
    struct lw_downlink d = {.op = LW_DOWN_ACK,
                            .ack_of = LW_UP_REGISTER,
                            .ct = LW_CT_NONE,
                            .ack_word = STR("reg"),
                            .code = LW_CREATED,
                            .has_lifetime = true,
                            .lifetime = 3600};
    assert_sent(&d, "lwm2m/ep1/ack/reg", "{\"code\":\"2.01\",\"lifetime\":3600}");
    assert_true(lw_token_parse(str_of("r1"), &d.token));
    assert_sent(&d, "lwm2m/ep1/ack/reg", "{\"token\":\"r1\",\"code\":\"2.01\",\"lifetime\":3600}");
    d = (struct lw_downlink){.op = LW_DOWN_ACK,
                             .ack_of = LW_UP_UPDATE,
                             .ack_word = STR("upd"),
                             .code = LW_NOT_FOUND,
                             .error = STR("not registered")};
    assert_sent(&d, "lwm2m/ep1/ack/upd", "{\"code\":\"4.04\",\"error\":\"not registered\"}");
    d.ack_word = str_make(NULL, 0);
    assert_sent(&d, "lwm2m/ep1/ack/update", "{\"code\":\"4.04\",\"error\":\"not registered\"}");
    d = (struct lw_downlink){.op = LW_DOWN_ACK,
                             .ack_of = LW_UP_BS_REQUEST,
                             .ack_word = STR("bs/req"),
                             .code = LW_NOT_ALLOWED};
    assert_sent(&d, "lwm2m/ep1/bs/ack", "{\"code\":\"4.05\"}");
}

static void a_device_reads_what_the_server_writes(void **state)
{
    struct lw_entry v[] = {
        {.path = path_of("/3/0/13"), .value = {.type = LW_TIME, .i = 1367491215}},
        {.path = path_of("/3/0/6/1"), .value = {.type = LW_INTEGER, .i = 5}},
        {.path = path_of("/3/0/9"), .value = {.type = LW_FLOAT, .f = 20}},
        {.path = path_of("/3/0/2"), .value = {.type = LW_OPAQUE, .s = STR("\0\1")}},
        {.path = path_of("/3/0/3"), .value = {.type = LW_UNSIGNED, .u = UINT64_MAX}},
        {.path = path_of("/3/0/5"), .value = {.type = LW_OBJLNK, .link = {3, 0}}},
    };
    struct lw_path paths[] = {path_of("/3/0"), path_of("/4")};
    for (unsigned op = 0; op < LW_DOWN_ACK; op++) {
        struct lw_downlink d = command((enum lw_down)op, "/3/0"), got;
        struct buf t, p;
        if (!lw_down_has_path(d.op))
            d.path = path_of("/");
        if (op == LW_DOWN_CREATE)
            d.path = path_of("/3");
        if (op == LW_DOWN_WRITE || op == LW_DOWN_WRITE_UPDATE || op == LW_DOWN_CREATE ||
            op == LW_DOWN_WRITE_COMPOSITE)
            d.values = (struct lw_entries){.v = v, .n = sizeof v / sizeof v[0]};
        if (op == LW_DOWN_READ_COMPOSITE || op == LW_DOWN_OBSERVE_COMPOSITE) {
            d.paths = paths;
            d.n_paths = 2;
        }
        assert_true(lw_token_parse(str_of("o1"), &d.observation));
        if (op == LW_DOWN_WRITE_ATTRIBUTES)
            d.attrs = (struct lw_attrs){.set = 1 << LW_GT, .v[LW_GT] = -1.5, .unset = 1};
        buf_init(&t, 1000);
        buf_init(&p, 10000);
        assert_int_equal(msg_json_encode(str_of("ep1"), &d, &t, &p), ERR_OK);
        assert_int_equal(msg_json_decode_down(*state, buf_view(&t), buf_view(&p), nobody, &got),
                         ERR_OK);
        assert_int_equal(got.op, d.op);
        assert_string_equal(got.token.text, "t1");
        assert_true(lw_path_eq(got.path, d.path));
        assert_int_equal(got.n_paths, d.n_paths);
        assert_int_equal(got.values.n, d.values.n);
        for (size_t i = 0; i < got.values.n; i++)
            assert_true(lw_path_eq(got.values.v[i].path, v[i].path) &&
                        lw_value_eq(got.values.v[i].value, v[i].value));
        assert_int_equal(got.attrs.set, d.attrs.set);
        assert_int_equal(got.attrs.unset, d.attrs.unset);
        buf_fini(&t);
        buf_fini(&p);
    }
}

static void a_device_refuses_broken_commands(void **state)
{
    static const struct {
        const char *topic, *body;
        enum err err;
    } cases[] = {
        {"lwm2m/e/cmd/1", "{\"op\":\"dance\",\"path\":\"/3\"}", ERR_UNSUPPORTED},
        {"lwm2m/e/cmd/1", "{\"op\":\"read\"}", ERR_INVALID},
        {"lwm2m/e/cmd/1", "{\"op\":\"read\",\"path\":\"/70000\"}", ERR_RANGE},
        {"lwm2m/e/cmd/1", "{\"op\":\"write\",\"path\":\"/1/0/1\"}", ERR_INVALID},
        {"lwm2m/e/cmd/1", "{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":{\"0\":1}}", ERR_OK},
        {"lwm2m/e/cmd/1",
         "{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/2/0/0\",\"value\":1}]}",
         ERR_INVALID},
        {"lwm2m/e/cmd/1", "{\"op\":\"write-attributes\",\"path\":\"/1\",\"attributes\":{\"x\":1}}",
         ERR_INVALID},
        {"lwm2m/e/cmd/1", "{\"op\":\"cancel\"}", ERR_INVALID},
        {"lwm2m/e/cmd/", "{}", ERR_INVALID},
        {"lwm2m/e/reg", "{}", ERR_NOTFOUND},
        {"lwm2m/e/ack/reg", "{\"code\":\"2.01\",\"lifetime\":60}", ERR_OK},
        {"lwm2m/e/ack/reg", "{}", ERR_INVALID},
        {"lwm2m/e/ack/nothing", "{}", ERR_NOTFOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_downlink d;
        enum err e =
            msg_json_decode_down(*state, str_of(cases[i].topic), str_of(cases[i].body), nobody, &d);
        if (e != cases[i].err)
            fail_msg("%s: %s instead of %s", cases[i].body, err_word(e), err_word(cases[i].err));
    }
}

static void the_server_reads_what_a_device_writes(void **state)
{
    struct lw_entry v[] = {
        {.path = path_of("/3303/0/5700"), .value = {.type = LW_FLOAT, .f = 21.5}},
        {.path = path_of("/3/0/6/0"), .value = {.type = LW_INTEGER, .i = 1}},
        {.path = path_of("/3/0/0"), .value = {.type = LW_STRING, .s = STR("Acme")}},
    };
    struct lw_uplink u = {.endpoint = STR("ep1"),
                          .ct = LW_CT_NONE,
                          .pct = LW_CT_NONE,
                          .reg = {.has_lifetime = true,
                                  .lifetime = 60,
                                  .queue_mode = 1,
                                  .version = STR("1.2"),
                                  .has_objects = true},
                          .values = {.v = v, .n = 3},
                          .code = LW_CONTENT};
    assert_int_equal(
        lw_links_parse(*state, str_of("</1/0>,</3/0>,</3303/0>;ver=1.1,</5>"), &u.reg.links),
        ERR_OK);
    for (unsigned kind = 0; kind <= LW_UP_RESPONSE; kind++) {
        struct lw_uplink got;
        struct buf t, p;
        u.kind = (enum lw_up)kind;
        assert_true(lw_token_parse(str_of("t1"), &u.token));
        buf_init(&t, 1000);
        buf_init(&p, 10000);
        assert_int_equal(msg_json_encode_up(&u, &t, &p), ERR_OK);
        enum err e = msg_json_decode(*state, buf_view(&t), buf_view(&p), &got);
        if (e || got.kind != u.kind)
            fail_msg("%s %s", buf_text(&p), err_word(e));
        if (kind == LW_UP_REGISTER || kind == LW_UP_UPDATE) {
            assert_int_equal(got.reg.links.n, 4);
            assert_int_equal(got.values.n, 3);
            assert_int_equal(got.reg.lifetime, 60);
        } else if (kind != LW_UP_DEREGISTER) {
            assert_int_equal(got.values.n, 3);
        }
        buf_fini(&t);
        buf_fini(&p);
    }
}

static void codes_and_tokens_read_back(void **state)
{
    static const lw_code codes[] = {LW_CREATED, LW_CONTENT, LW_NOT_FOUND, LW_UNSUPPORTED_FORMAT,
                                    LW_UNAVAILABLE};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char text[8];
        lw_code got = 0;
        lw_code_text(codes[i], text);
        assert_int_equal(lw_code_parse(str_of(text), &got), ERR_OK);
        assert_int_equal(got, codes[i]);
        assert_true(lw_code_phrase(got)[0] != '\0');
    }
    lw_code c;
    static const char *const bad[] = {"", "2", "2.5", "20", "2.055", "x.05", "2,05", "2.0x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lw_code_parse(str_of(bad[i]), &c), ERR_INVALID);
    assert_int_equal(lw_code_parse(str_of("1.00"), &c), ERR_RANGE);
    struct lw_token t;
    assert_true(lw_token_parse(str_of("Aa0_-"), &t));
    assert_false(lw_token_parse(str_of(""), &t));
    assert_false(lw_token_parse(str_of("a/b"), &t));
    assert_false(lw_token_parse(str_of("012345678901234567890123456789012"), &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_registration_of_devices_in_the_field_works),
        TEST(objects_become_links_with_versions_and_values_keep_wire_types),
        TEST(links_may_be_text_or_a_list_of_paths),
        TEST(updates_have_two_words_and_may_be_empty),
        TEST(notifications_come_in_three_forms),
        TEST(responses_carry_code_and_content),
        TEST(topics_of_others_are_not_found),
        TEST(reserved_and_foreign_names_are_denied),
        TEST(malformed_bodies_are_refused_with_their_sender),
        TEST(ten_thousand_brackets_and_ten_megabytes_are_refused),
        TEST(downlinks_are_written_as_documented),
        TEST(bodies_and_lists_are_written_as_documented),
        TEST(acks_go_to_the_word_that_was_used),
        TEST(a_device_reads_what_the_server_writes),
        TEST(a_device_refuses_broken_commands),
        TEST(the_server_reads_what_a_device_writes),
        TEST(codes_and_tokens_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
