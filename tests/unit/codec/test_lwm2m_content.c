/* The table of content formats on bad bytes, wrong types and things a format cannot say. */
#include "codec_test.h"

#include "codec/lwm2m_content.h"
#include "codec/lwm2m_corelink.h"
#include "codec/lwm2m_senml_cbor.h"

#include <math.h>

static const struct lw_typer nobody;

/* A model with one resource of each type at /9999/x/0..9, resource number = type. */
static struct lw_resource_type by_number(void *ctx, uint16_t object, uint16_t resource)
{
    (void)ctx;
    return (struct lw_resource_type){.known = object == 9999 && resource < LW_TYPE_COUNT,
                                     .type = (enum lw_type)resource};
}
static const struct lw_typer model = {by_number, NULL};

static enum err decode(struct arena *a, unsigned ct, const char *body, const char *base,
                       struct lw_entries *out)
{
    return lw_decode(a, ct, hex(a, body), path_of(base), model, out);
}

static void hostile_bytes_are_refused(void **state)
{
    static const struct {
        unsigned ct;
        const char *base, *body;
        enum err err;
    } cases[] = {
        {LW_CT_CBOR, "/3/0/0", "9a10000000", ERR_INVALID}, /* cbor_load would take 2 GiB */
        {LW_CT_SENML_CBOR, "/", "9a10000000", ERR_TRUNCATED},
        {LW_CT_SENML_CBOR, "/", "9bffffffffffffffff", ERR_TRUNCATED},
        {LW_CT_LWM2M_CBOR, "/", "bb7fffffffffffffff", ERR_TRUNCATED},
        {LW_CT_CBOR, "/3/0/0", "5bffffffffffffffff", ERR_TRUNCATED},
        {LW_CT_CBOR, "/3/0/0", "7a7fffffff61", ERR_TRUNCATED},
        {LW_CT_CBOR, "/3/0/0", "", ERR_TRUNCATED},
        {LW_CT_CBOR, "/3/0/0", "61ff", ERR_UTF8},
        {LW_CT_CBOR, "/3/0/0", "ff", ERR_INVALID},
        {LW_CT_CBOR, "/3/0/0", "1c", ERR_INVALID},
        {LW_CT_CBOR, "/3/0/0", "0000", ERR_INVALID},
        {LW_CT_CBOR, "/3/0/0", "5f6161ff", ERR_INVALID}, /* text in a byte string */
        {LW_CT_CBOR, "/3/0/0", "5f4161", ERR_TRUNCATED},
        {LW_CT_CBOR, "/3/0/0", "c4821b7fffffffffffffff01", ERR_RANGE},
        {LW_CT_CBOR, "/3/0/0", "c0636e6f77", ERR_INVALID}, /* 0("now") */
        {LW_CT_CBOR, "/3/0", "01", ERR_INVALID},
        {LW_CT_SENML_CBOR, "/", "81a10000", ERR_INVALID},
        {LW_CT_SENML_CBOR, "/", "81a2006131f600", ERR_INVALID},
        {LW_CT_LWM2M_CBOR, "/", "a0", ERR_INVALID},
        {LW_CT_LWM2M_CBOR, "/", "a2830300000183030000f5", ERR_CONFLICT},
        {LW_CT_LWM2M_CBOR, "/", "a18103a1818100a1", ERR_INVALID},
        {LW_CT_TLV, "/3/0", "c8", ERR_TRUNCATED},
        {LW_CT_TLV, "/3/0", "d8ffffffff", ERR_TRUNCATED},
        {LW_CT_TLV, "/3/0", "c10001c10001", ERR_CONFLICT},
        {LW_CT_TLV, "/", "c10001", ERR_INVALID},
        {LW_CT_TLV, "/3/0", "0801", ERR_TRUNCATED},
        {LW_CT_TLV, "/3/0", "03020101ff", ERR_INVALID},
        {LW_CT_TEXT, "/3/0/0", "ff", ERR_UTF8},
        {LW_CT_TEXT, "/3/0", "31", ERR_INVALID},
        {LW_CT_SENML_JSON, "/", "7b7d", ERR_INVALID},
        {LW_CT_SENML_JSON, "/", "5b315d", ERR_INVALID},
        {12345, "/", "00", ERR_UNSUPPORTED},
        {LW_CT_NONE, "/", "00", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_entries got = {0};
        enum err e = decode(*state, cases[i].ct, cases[i].body, cases[i].base, &got);
        bool same = e == cases[i].err || (e && cases[i].err == ERR_INVALID);
        if (!same || got.n)
            fail_msg("case %zu (%s): %s instead of %s", i, cases[i].body, err_word(e),
                     err_word(cases[i].err));
    }
}

static void deep_cbor_does_not_recurse_far(void **state)
{
    struct buf b;
    struct lw_entries got;
    buf_init(&b, 1 << 20);
    buf_put(&b, "\x81\xa1\x61x", 4); /* [{"x": [[[[... */
    for (int i = 0; i < 100000; i++)
        buf_putc(&b, (char)0x81);
    assert_int_equal(lw_decode(*state, LW_CT_SENML_CBOR, buf_view(&b), path_of("/"), nobody, &got),
                     ERR_DEPTH);
    buf_reset(&b);
    for (int i = 0; i < 100000; i++)
        buf_put(&b, "\xa1\x03", 2);
    assert_int_equal(lw_decode(*state, LW_CT_LWM2M_CBOR, buf_view(&b), path_of("/"), nobody, &got),
                     ERR_DEPTH);
    buf_fini(&b);
}

static void answers_outside_of_what_was_asked_are_refused(void **state)
{
    struct lw_entries got = {0};
    struct str body = STR("[{\"n\":\"/4/0/0\",\"v\":1}]");
    assert_int_equal(lw_decode(*state, LW_CT_SENML_JSON, body, path_of("/3/0"), nobody, &got),
                     ERR_INVALID);
    assert_int_equal(lw_decode(*state, LW_CT_SENML_JSON, body, path_of("/4"), nobody, &got),
                     ERR_OK);
}

static void values_take_the_models_type(void **state)
{
    struct lw_entries got = {0};
    struct str body =
        STR("[{\"bn\":\"/9999/0/\",\"n\":\"4\",\"v\":20},{\"n\":\"2\",\"v\":20.0},"
            "{\"n\":\"7\",\"v\":1367491215},{\"n\":\"6\",\"vd\":\"q83v\"},"
            "{\"n\":\"3\",\"v\":18446744073709551615},{\"n\":\"8\",\"vlo\":\"3:0\"}]");
    assert_int_equal(lw_decode(*state, LW_CT_SENML_JSON, body, path_of("/9999/0"), model, &got),
                     ERR_OK);
    assert_int_equal(got.n, 6);
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(got.v[i].value.type, got.v[i].path.id[2]);
    assert_true(got.v[4].value.u == UINT64_MAX);
    struct str wrong = STR("[{\"n\":\"/9999/0/2\",\"vs\":\"hot\"}]");
    assert_int_equal(lw_decode(*state, LW_CT_SENML_JSON, wrong, path_of("/9999/0"), model, &got),
                     ERR_TYPE);
    assert_int_equal(decode(*state, LW_CT_OPAQUE, "00", "/9999/0/2", &got), ERR_TYPE);
    assert_int_equal(decode(*state, LW_CT_OPAQUE, "00ff", "/9999/0/6", &got), ERR_OK);
    assert_int_equal(decode(*state, LW_CT_TLV, "c3020000ff", "/9999/0", &got), ERR_TYPE);
}

static void senml_rules_are_kept(void **state)
{
    static const struct {
        const char *json;
        unsigned ct;
        enum err err;
    } cases[] = {
        {"[]", LW_CT_SENML_JSON, ERR_OK},
        {"[{\"n\":\"/3/0/0\",\"v\":1,\"vs\":\"x\"}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"v\":\"1\"}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"v\":null}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"v\":null}]", LW_CT_ETCH_JSON, ERR_OK},
        {"[{\"n\":\"/3/0/0\",\"v\":null},{\"n\":\"/3/0/1\"}]", LW_CT_ETCH_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0\",\"v\":1}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"bv\":1,\"v\":1}]", LW_CT_SENML_JSON, ERR_UNSUPPORTED},
        {"[{\"n\":\"/3/0/0\",\"v\":1,\"must_\":1}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"v\":1,\"may\":[1,{\"a\":2}]}]", LW_CT_SENML_JSON, ERR_OK},
        {"[{\"bver\":11,\"n\":\"/3/0/0\",\"v\":1}]", LW_CT_SENML_JSON, ERR_INVALID},
        {"[{\"n\":\"/3/0/0\",\"t\":1e300,\"v\":1}]", LW_CT_SENML_JSON, ERR_RANGE},
        {"[{\"n\":\"/70000/0/0\",\"v\":1}]", LW_CT_SENML_JSON, ERR_RANGE},
        {"[{\"n\":\"/3/0/0\",\"v\":123456789012345678901234567890}]", LW_CT_SENML_JSON, ERR_RANGE},
        {"{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\"}]}", LW_CT_OMA_JSON, ERR_INVALID},
        {"{\"bn\":\"/3/0/\"}", LW_CT_OMA_JSON, ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_entries got;
        enum err e =
            lw_decode(*state, cases[i].ct, str_of(cases[i].json), path_of("/"), nobody, &got);
        if (e != cases[i].err)
            fail_msg("%s: %s instead of %s", cases[i].json, err_word(e), err_word(cases[i].err));
    }
}

/* ---- encode ---- */

static struct lw_entries list_of(struct lw_entry *v, size_t n)
{
    return (struct lw_entries){.v = v, .n = n, .cap = n};
}

static void every_type_survives_every_format(void **state)
{
    static const unsigned formats[] = {LW_CT_SENML_JSON, LW_CT_SENML_CBOR, LW_CT_TLV,
                                       LW_CT_LWM2M_CBOR};
    struct lw_entry v[] = {
        {.path = path_of("/9999/7/1"), .value = {.type = LW_STRING, .s = STR("a\xe2\x82\xac")}},
        {.path = path_of("/9999/7/2/0"), .value = {.type = LW_INTEGER, .i = INT64_MIN}},
        {.path = path_of("/9999/7/2/300"), .value = {.type = LW_INTEGER, .i = 70000}},
        {.path = path_of("/9999/7/3"), .value = {.type = LW_UNSIGNED, .u = UINT64_MAX}},
        {.path = path_of("/9999/7/4"), .value = {.type = LW_FLOAT, .f = 0.1}},
        {.path = path_of("/9999/7/5"), .value = {.type = LW_BOOLEAN, .b = true}},
        {.path = path_of("/9999/7/6"), .value = {.type = LW_OPAQUE, .s = STR("\xff\xfe\xfd\0")}},
        {.path = path_of("/9999/7/7"), .value = {.type = LW_TIME, .i = -1}},
        {.path = path_of("/9999/7/8"), .value = {.type = LW_OBJLNK, .link = {3, 65535}}},
        {.path = path_of("/9999/7/9"), .value = {.type = LW_CORELNK, .s = STR("</3/0>")}},
        {.path = path_of("/9999/8/4"), .value = {.type = LW_FLOAT, .f = -2.5}},
    };
    size_t n = sizeof v / sizeof v[0];
    struct lw_entries in = list_of(v, n);
    for (size_t k = 0; k < sizeof formats / sizeof formats[0]; k++) {
        struct buf out;
        struct lw_entries got = {0};
        buf_init(&out, 1 << 16);
        assert_int_equal(lw_encode(formats[k], path_of("/9999"), &in, &out), ERR_OK);
        assert_int_equal(
            lw_decode(*state, formats[k], buf_view(&out), path_of("/9999"), model, &got), ERR_OK);
        assert_int_equal(got.n, n);
        for (size_t i = 0; i < n; i++)
            if (!lw_path_eq(got.v[i].path, v[i].path) || !lw_value_eq(got.v[i].value, v[i].value))
                fail_msg("%s: entry %zu differs", lw_ct_name(formats[k]), i);
        buf_fini(&out);
    }
}

static void one_value_survives_text_opaque_and_cbor(void **state)
{
    struct lw_entry v[] = {
        {.path = path_of("/9999/0/4"), .value = {.type = LW_FLOAT, .f = 1e-7}},
        {.path = path_of("/9999/0/6"), .value = {.type = LW_OPAQUE, .s = STR("\0\xff")}},
        {.path = path_of("/9999/0/8"), .value = {.type = LW_OBJLNK, .link = {1, 2}}},
    };
    static const unsigned formats[] = {LW_CT_TEXT, LW_CT_CBOR, LW_CT_OPAQUE};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            struct buf out;
            struct lw_entries in = list_of(&v[i], 1), got = {0};
            buf_init(&out, 100);
            enum err e = lw_encode(formats[k], v[i].path, &in, &out);
            bool possible = formats[k] != LW_CT_OPAQUE || v[i].value.type == LW_OPAQUE;
            assert_int_equal(e, possible ? ERR_OK : ERR_UNSUPPORTED);
            if (possible) {
                assert_int_equal(
                    lw_decode(*state, formats[k], buf_view(&out), v[i].path, model, &got), ERR_OK);
                assert_true(lw_value_eq(got.v[0].value, v[i].value));
            }
            buf_fini(&out);
        }
}

static void formats_refuse_what_they_cannot_say(void **state)
{
    struct lw_entry timed = {
        .path = path_of("/3/0/9"), .value = {.type = LW_INTEGER, .i = 1}, .time_ms = 1500000000123};
    struct lw_entry twice[] = {{.path = path_of("/3/0/9"), .value = {.type = LW_INTEGER, .i = 1}},
                               {.path = path_of("/3/0/9"), .value = {.type = LW_INTEGER, .i = 2}}};
    struct lw_entry nan = {.path = path_of("/3/0/9"), .value = {.type = LW_FLOAT, .f = NAN}};
    struct lw_entries one = list_of(&timed, 1), two = list_of(twice, 2), odd = list_of(&nan, 1);
    struct lw_entries got = {0};
    struct buf out;
    buf_init(&out, 1000);
    buf_puts(&out, "kept");
    assert_int_equal(lw_encode(LW_CT_TLV, path_of("/3/0"), &one, &out), ERR_UNSUPPORTED);
    assert_int_equal(lw_encode(LW_CT_LWM2M_CBOR, path_of("/3/0"), &two, &out), ERR_UNSUPPORTED);
    assert_int_equal(lw_encode(LW_CT_TEXT, path_of("/3/0"), &two, &out), ERR_UNSUPPORTED);
    assert_int_equal(lw_encode(LW_CT_LINK, path_of("/3/0/9"), &odd, &out), ERR_UNSUPPORTED);
    assert_int_equal(lw_encode(LW_CT_OMA_JSON, path_of("/3/0/9"), &odd, &out), ERR_UNSUPPORTED);
    assert_int_equal(lw_encode(LW_CT_SENML_JSON, path_of("/3/0/9"), &odd, &out), ERR_RANGE);
    assert_int_equal(lw_encode(LW_CT_TEXT, path_of("/3/0/9"), &odd, &out), ERR_RANGE);
    assert_int_equal(lw_encode(LW_CT_SENML_CBOR, path_of("/4"), &one, &out), ERR_INVALID);
    assert_str(buf_view(&out), "kept");
    buf_reset(&out);
    assert_int_equal(lw_encode(LW_CT_SENML_CBOR, path_of("/3/0"), &one, &out), ERR_OK);
    assert_int_equal(
        lw_decode(*state, LW_CT_SENML_CBOR, buf_view(&out), path_of("/3/0"), nobody, &got), ERR_OK);
    assert_true(got.v[0].time_ms == 1500000000123);
    buf_fini(&out);
}

static void a_full_buffer_is_an_error_not_half_a_message(void **state)
{
    struct lw_entry v = {.path = path_of("/3/0/0"),
                         .value = {.type = LW_STRING, .s = STR("longer than ten bytes")}};
    struct lw_entries in = list_of(&v, 1);
    static const unsigned formats[] = {LW_CT_TEXT, LW_CT_SENML_JSON, LW_CT_TLV, LW_CT_LWM2M_CBOR};
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct buf out;
        buf_init(&out, 10);
        assert_int_equal(lw_encode(formats[i], path_of("/3/0/0"), &in, &out), ERR_TOOBIG);
        assert_int_equal(out.n, 0);
        buf_fini(&out);
    }
}

static void creates_without_instance_have_no_wrapper(void **state)
{
    struct lw_entry v = {.path = path_of("/9999/65535/2"), .value = {.type = LW_INTEGER, .i = 5}};
    struct lw_entries in = list_of(&v, 1), got = {0};
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(lw_encode(LW_CT_TLV, path_of("/9999"), &in, &out), ERR_OK);
    assert_true(str_eq(buf_view(&out), hex(*state, "c10205")));
    assert_int_equal(decode(*state, LW_CT_TLV, "c10205", "/9999", &got), ERR_OK);
    assert_true(lw_path_eq(got.v[0].path, v.path));
    buf_fini(&out);
}

static void path_lists_go_there_and_back(void **state)
{
    struct lw_path paths[] = {path_of("/3/0/0"), path_of("/3"), path_of("/")}, *got = NULL;
    struct buf out;
    size_t n = 0;
    buf_init(&out, 100);
    senml_paths_write(&out, paths, 3);
    assert_int_equal(senml_paths_read(*state, buf_view(&out), &got, &n), ERR_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_true(lw_path_eq(paths[i], got[i]));
    assert_int_equal(senml_paths_read(*state, hex(*state, "81a200662f332f302f3902f6"), &got, &n),
                     ERR_OK); /* a removal reads as a name; nothing asks with one */
    assert_int_equal(senml_paths_read(*state, hex(*state, "81a200662f332f302f390201"), &got, &n),
                     ERR_INVALID);
    buf_fini(&out);
}

static void links_are_read_tolerantly_and_refused_when_broken(void **state)
{
    struct lw_links links;
    assert_int_equal(lw_links_parse(*state,
                                    str_of("</lwm2m/>;rt=\"oma.lwm2m\";ct=110 , </lwm2m/3/0/>,"
                                           "</lwm2m/5>;ver=\"1.1\";x,<coap://a>,</foo>"),
                                    &links),
                     ERR_OK);
    assert_int_equal(links.n, 5);
    assert_str(links.root, "/lwm2m");
    assert_true(links.v[0].is_path && links.v[0].path.n == 0);
    assert_true(lw_path_eq(links.v[1].path, path_of("/3/0")));
    assert_str(lw_link_attr_find(&links.v[2], "ver"), "1.1");
    assert_null(lw_link_attr_find(&links.v[2], "x").p);
    assert_false(links.v[3].is_path);
    assert_false(links.v[4].is_path);
    assert_int_equal(lw_links_parse(*state, str_of(""), &links), ERR_OK);
    assert_int_equal(links.n, 0);
    static const char *const bad[] = {"/3/0",       "<",       "</3",   "</3>x", "</3>;",
                                      "</3>;a=\"x", "</3>;=1", "</3><", "<a<b>>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (lw_links_parse(*state, str_of(bad[i]), &links) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
    struct buf many;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_puts(&many, i ? ",</3>" : "</3>");
    assert_int_equal(lw_links_parse(*state, buf_view(&many), &links), ERR_TOOBIG);
    buf_fini(&many);
}

static void old_numbers_and_names_are_known(void **state)
{
    struct lw_entries got;
    (void)state;
    assert_string_equal(lw_ct_name(LW_CT_SENML_JSON), "senml+json");
    assert_string_equal(lw_ct_name(1542), "tlv");
    assert_null(lw_ct_name(1));
    assert_int_equal(decode(*state, 1542, "c10205", "/9999/0", &got), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hostile_bytes_are_refused),
        TEST(deep_cbor_does_not_recurse_far),
        TEST(answers_outside_of_what_was_asked_are_refused),
        TEST(values_take_the_models_type),
        TEST(senml_rules_are_kept),
        TEST(every_type_survives_every_format),
        TEST(one_value_survives_text_opaque_and_cbor),
        TEST(formats_refuse_what_they_cannot_say),
        TEST(a_full_buffer_is_an_error_not_half_a_message),
        TEST(creates_without_instance_have_no_wrapper),
        TEST(path_lists_go_there_and_back),
        TEST(links_are_read_tolerantly_and_refused_when_broken),
        TEST(old_numbers_and_names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
