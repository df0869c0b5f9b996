/* Topics: what is a Sparkplug topic, whose, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/spb_topic.h"

static void topic_of_a_device_names_group_node_and_device(void **state)
{
    (void)state;
    struct spb_topic t;
    assert_int_equal(spb_topic_parse(str_of("spBv1.0/G 1/DDATA/E:1/D.1"), &t), ERR_OK);
    assert_int_equal(t.kind, SPB_DDATA);
    assert_true(str_is(t.group, "G 1"));
    assert_true(str_is(t.node, "E:1"));
    assert_true(str_is(t.device, "D.1"));
    assert_false(t.is_short);
}

static void topic_of_a_node_has_no_device(void **state)
{
    (void)state;
    static const char *const kinds[] = {"NBIRTH", "NDATA", "NDEATH", "NCMD"};
    for (size_t i = 0; i < 4; i++) {
        char text[64] = "spBv1.0/G/";
        struct spb_topic t;
        strncat(text, kinds[i], 20);
        strncat(text, "/E", 3);
        assert_int_equal(spb_topic_parse(str_of(text), &t), ERR_OK);
        assert_string_equal(spb_kind_words[t.kind], kinds[i]);
        assert_null(t.device.p);
        assert_false(t.is_short);
    }
}

static void topic_of_a_prototype_lacks_the_node(void **state)
{
    (void)state;
    struct spb_topic t;
    assert_int_equal(spb_topic_parse(str_of("spBv1.0/lab/DBIRTH/dev-7"), &t), ERR_OK);
    assert_int_equal(t.kind, SPB_DBIRTH);
    assert_true(t.is_short);
    assert_true(str_is(t.node, "dev-7"));
    assert_null(t.device.p);
}

static void topic_of_state_names_the_host(void **state)
{
    (void)state;
    struct spb_topic t;
    assert_int_equal(spb_topic_parse(str_of("spBv1.0/STATE/scada"), &t), ERR_OK);
    assert_int_equal(t.kind, SPB_STATE);
    assert_true(str_is(t.node, "scada"));
    assert_null(t.group.p);
    /* a group may be called STATE all the same */
    assert_int_equal(spb_topic_parse(str_of("spBv1.0/STATE/NDATA/E"), &t), ERR_OK);
    assert_int_equal(t.kind, SPB_NDATA);
}

static void topic_of_another_namespace_is_not_found(void **state)
{
    (void)state;
    struct spb_topic t;
    static const char *const others[] = {"", "spAv1.0/G/NBIRTH/E", "STATE/scada",
                                         "spbv1.0/G/NBIRTH/E", "spBv1.00/G/NBIRTH/E"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(spb_topic_parse(str_of(others[i]), &t), ERR_NOTFOUND);
}

static void topic_of_bad_shape_is_refused(void **state)
{
    (void)state;
    struct spb_topic t;
    static const char *const bad[] = {"spBv1.0",
                                      "spBv1.0/",
                                      "spBv1.0/G",
                                      "spBv1.0/G/NBIRTH",
                                      "spBv1.0/G/NBIRTH/",
                                      "spBv1.0//NBIRTH/E",
                                      "spBv1.0/G/XBIRTH/E",
                                      "spBv1.0/G/NBIRTH/E/D",
                                      "spBv1.0/G/DDATA/E/D/X",
                                      "spBv1.0/G/DDATA/E/",
                                      "spBv1.0/G/nbirth/E",
                                      "spBv1.0/+/NBIRTH/E",
                                      "spBv1.0/G/NBIRTH/#",
                                      "spBv1.0/G/STATE/E",
                                      "spBv1.0/G/NBIRTH/\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(spb_topic_parse(str_of(bad[i]), &t), ERR_INVALID);
}

static void topic_written_is_the_topic_parsed(void **state)
{
    (void)state;
    static const char *const all[] = {"spBv1.0/G/NBIRTH/E", "spBv1.0/G/DCMD/E/D", "spBv1.0/STATE/h",
                                      "spBv1.0/G/DDATA/short"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct spb_topic t;
        struct buf b;
        buf_init(&b, 256);
        assert_int_equal(spb_topic_parse(str_of(all[i]), &t), ERR_OK);
        spb_topic_write(&b, &t);
        assert_string_equal(buf_text(&b), all[i]);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_of_a_device_names_group_node_and_device),
        cmocka_unit_test(topic_of_a_node_has_no_device),
        cmocka_unit_test(topic_of_a_prototype_lacks_the_node),
        cmocka_unit_test(topic_of_state_names_the_host),
        cmocka_unit_test(topic_of_another_namespace_is_not_found),
        cmocka_unit_test(topic_of_bad_shape_is_refused),
        cmocka_unit_test(topic_written_is_the_topic_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
