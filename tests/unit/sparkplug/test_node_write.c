/* Writing metrics: NCMD and DCMD typed from the birth (3.0 sections 6.4.25 and 6.4.26). */
#include "node_fixture.h"

static const struct {
    const char *name;
    unsigned datatype, cls;
} metrics[] = {
    {"i8", SPB_INT8, SPB_V_INT},         {"i16", SPB_INT16, SPB_V_INT},
    {"i32", SPB_INT32, SPB_V_INT},       {"i64", SPB_INT64, SPB_V_INT},
    {"u8", SPB_UINT8, SPB_V_UINT},       {"u16", SPB_UINT16, SPB_V_UINT},
    {"u32", SPB_UINT32, SPB_V_UINT},     {"u64", SPB_UINT64, SPB_V_UINT},
    {"f", SPB_FLOAT, SPB_V_FLOAT},       {"d", SPB_DOUBLE, SPB_V_FLOAT},
    {"b", SPB_BOOLEAN, SPB_V_BOOL},      {"s", SPB_STRING, SPB_V_NULL},
    {"t", SPB_TEXT, SPB_V_NULL},         {"uuid", SPB_UUID, SPB_V_NULL},
    {"dt", SPB_DATETIME, SPB_V_INT},     {"bytes", SPB_BYTES, SPB_V_NULL},
    {"arr", SPB_INT8_ARRAY, SPB_V_NULL},
};

static void born_with_all_types(struct fx *f)
{
    struct spb_out_metric m[sizeof metrics / sizeof *metrics + 3];
    size_t n = 0;
    m[n++] = integer("bdSeq", 3);
    m[n++] = boolean("Node Control/Rebirth", false);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        m[n++] = typed(metrics[i].name, metrics[i].datatype, metrics[i].cls);
    m[n] = real("fixed", 1);
    m[n++].readonly = true;
    say_n(f, G_E("NBIRTH"), 0, m, n);
    say(f, G_D("DBIRTH"), 1, with_alias(integer("Count", 7), 2));
    forget(f);
}

static enum err write_to(struct fx *f, const char *device, const char *name, const char *value,
                         struct spb_value *sent)
{
    return spb_node_write(f->n, str_of(device), str_of(name), str_of(value), false, &f->scratch,
                          f->now, sent);
}

/* What went out, as "name Type = json". */
static void published(struct fx *f, const char *expected)
{
    struct spb_payload p;
    struct spb_value v;
    struct buf b;
    struct json_out j;
    buf_init(&b, 1 << 16);
    assert_int_equal(spb_decode(&f->scratch, buf_view(&f->published), &p), ERR_OK);
    assert_int_equal(p.n, 1);
    assert_false(p.has_seq);
    assert_true(p.metrics[0].has_timestamp && p.has_timestamp);
    assert_int_equal(spb_value_of(&f->scratch, &p.metrics[0], p.metrics[0].datatype, &v), ERR_OK);
    buf_printf(&b, "%.*s %s = ", STR_ARG(p.metrics[0].name),
               spb_datatype_word(p.metrics[0].datatype));
    json_out_init(&j, &b);
    spb_value_json(&j, &v);
    assert_string_equal(buf_text(&b), expected);
    buf_fini(&b);
}

static void value_that_fits_is_sent_with_its_datatype(void **state)
{
    struct fx *f = *state;
    static const char *const good[][3] = {
        {"i8", "-128", "i8 Int8 = -128"},
        {"i16", "32767", "i16 Int16 = 32767"},
        {"i32", "-2147483648", "i32 Int32 = -2147483648"},
        {"i64", "-9223372036854775808", "i64 Int64 = \"-9223372036854775808\""},
        {"u8", "255", "u8 UInt8 = 255"},
        {"u16", "65535", "u16 UInt16 = 65535"},
        {"u32", "4294967295", "u32 UInt32 = 4294967295"},
        {"u64", "18446744073709551615", "u64 UInt64 = \"18446744073709551615\""},
        {"f", "0.1", "f Float = 0.1"},
        {"d", "-1e300", "d Double = -1e+300"},
        {"b", "true", "b Boolean = true"},
        {"b", "false", "b Boolean = false"},
        {"s", "h\xc3\xa9llo", "s String = \"h\xc3\xa9llo\""},
        {"s", "", "s String = \"\""},
        {"t", "12", "t Text = \"12\""},
        {"uuid", "550e8400-e29b-41d4-a716-446655440000",
         "uuid UUID = \"550e8400-e29b-41d4-a716-446655440000\""},
        {"dt", "1700000000000", "dt DateTime = 1700000000000"},
        {"dt", "2023-11-14T22:13:20.000Z", "dt DateTime = 1700000000000"},
        {"bytes", "AQID", "bytes Bytes = \"AQID\""},
    };
    born_with_all_types(f);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct spb_value sent;
        assert_int_equal(write_to(f, "", good[i][0], good[i][1], &sent), ERR_OK);
        heard(f, "publish spBv1.0/G/NCMD/E\n");
        published(f, good[i][2]);
        assert_int_equal(sent.datatype, tag(f, "", good[i][0])->datatype);
    }
}

static void value_that_does_not_fit_is_refused_and_nothing_sent(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *name, *value;
        enum err e;
    } bad[] = {
        {"i8", "128", ERR_RANGE},
        {"i8", "-129", ERR_RANGE},
        {"i16", "32768", ERR_RANGE},
        {"i32", "2147483648", ERR_RANGE},
        {"i64", "9223372036854775808", ERR_RANGE},
        {"u8", "256", ERR_RANGE},
        {"u8", "-1", ERR_RANGE},
        {"u16", "65536", ERR_RANGE},
        {"u32", "4294967296", ERR_RANGE},
        {"u64", "18446744073709551616", ERR_RANGE},
        {"u64", "-1", ERR_RANGE},
        {"f", "1e39", ERR_RANGE},
        {"dt", "-1", ERR_RANGE},
        {"i32", "1.5", ERR_TYPE},
        {"i32", "", ERR_TYPE},
        {"i32", "true", ERR_TYPE},
        {"i32", " 1", ERR_TYPE},
        {"u32", "-", ERR_TYPE},
        {"d", "warm", ERR_TYPE},
        {"d", "nan", ERR_TYPE},
        {"b", "1", ERR_TYPE},
        {"b", "True", ERR_TYPE},
        {"uuid", "not-a-uuid", ERR_TYPE},
        {"dt", "yesterday", ERR_TYPE},
        {"bytes", "***", ERR_TYPE},
        {"s", "\xff", ERR_UTF8},
        {"arr", "[1]", ERR_UNSUPPORTED},
        {"fixed", "2", ERR_DENIED},
        {"missing", "2", ERR_NOTFOUND},
        {"bdSeq", "2", ERR_NOTFOUND},
    };
    born_with_all_types(f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spb_value sent;
        enum err e = write_to(f, "", bad[i].name, bad[i].value, &sent);
        if (e != bad[i].e)
            fail_msg("%s = %s gives %s, not %s", bad[i].name, bad[i].value, err_word(e),
                     err_word(bad[i].e));
        heard(f, "");
    }
}

static void device_metric_goes_out_as_dcmd(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    born_with_all_types(f);
    assert_int_equal(write_to(f, "D", "Count", "-5", &sent), ERR_OK);
    heard(f, "publish spBv1.0/G/DCMD/E/D\n");
    published(f, "Count Int64 = -5");
    assert_int_equal(sent.i, -5);
    assert_int_equal(write_to(f, "X", "Count", "1", &sent), ERR_NOTFOUND);
    say_nothing(f, G_D("DDEATH"), 2);
    assert_int_equal(write_to(f, "D", "Count", "1", &sent), ERR_CLOSED);
}

static void null_is_sent_as_null(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    born_with_all_types(f);
    assert_int_equal(spb_node_write(f->n, str_of(""), str_of("s"), str_of("ignored"), true,
                                    &f->scratch, f->now, &sent),
                     ERR_OK);
    published(f, "s String = null");
    assert_int_equal(sent.cls, SPB_V_NULL);
}

static void uint32_travels_in_the_int_member(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    struct spb_payload p;
    born_with_all_types(f);
    assert_int_equal(write_to(f, "", "u32", "4000000000", &sent), ERR_OK);
    assert_int_equal(spb_decode(&f->scratch, buf_view(&f->published), &p), ERR_OK);
    assert_int_equal(p.metrics[0].wire, SPB_W_INT);
}

static void node_that_is_not_born_takes_no_command(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    assert_int_equal(write_to(f, "", "d", "1", &sent), ERR_CLOSED);
    born_with_all_types(f);
    spb_node_host_lost(f->n, f->now);
    assert_int_equal(write_to(f, "", "d", "1", &sent), ERR_CLOSED);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    assert_int_equal(write_to(f, "", "d", "1", &sent), ERR_CLOSED);
}

static void metric_missing_from_the_newest_birth_is_not_found(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    born_with_all_types(f);
    born(f, 0);
    assert_int_equal(write_to(f, "", "d", "1", &sent), ERR_NOTFOUND);
    assert_int_equal(write_to(f, "", "Temp", "1", &sent), ERR_OK);
}

static void prototype_gets_its_commands_under_its_own_name(void **state)
{
    struct fx *f = *state;
    struct spb_value sent;
    say(f, "spBv1.0/G/DBIRTH/E", NO_SEQ, real("Temp", 20));
    forget(f);
    assert_int_equal(write_to(f, "", "Temp", "1.5", &sent), ERR_OK);
    heard(f, "publish spBv1.0/G/NCMD/E\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(value_that_fits_is_sent_with_its_datatype),
        T(value_that_does_not_fit_is_refused_and_nothing_sent),
        T(device_metric_goes_out_as_dcmd),
        T(null_is_sent_as_null),
        T(uint32_travels_in_the_int_member),
        T(node_that_is_not_born_takes_no_command),
        T(metric_missing_from_the_newest_birth_is_not_found),
        T(prototype_gets_its_commands_under_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
