/* test_mqtt_wire.c - MQTT 5 packets: what we write byte by byte, what we refuse to read. */
#include "port/mqtt_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_bytes(struct buf *b, const char *hex)
{
    char text[512];
    assert_int_equal(b->err, ERR_OK);
    assert_true(b->n * 2 < sizeof text);
    str_to_hex(b->p, b->n, text);
    text[b->n * 2] = '\0';
    assert_string_equal(text, hex);
    buf_reset(b);
}

static void packets_look_as_the_standard_draws_them(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    wire_put_connect(&b, &(struct wire_connect){.client_id = STR("id"),
                                                .username = STR("u"),
                                                .password = STR("p"),
                                                .keepalive_s = 20,
                                                .receive_max = 500,
                                                .clean_start = true,
                                                .session_expiry_s = 60,
                                                .will_topic = STR("w"),
                                                .will_payload = STR("x"),
                                                .will_qos = 1,
                                                .will_retain = true});
    expect_bytes(&b, "10"
                     "24"
                     "00044d515454"
                     "05"
                     "ee"
                     "0014"
                     "08"
                     "110000003c"
                     "2101f4"
                     "00026964"
                     "00"
                     "000177"
                     "000178"
                     "000175"
                     "000170");
    wire_put_publish(&b, str_of("t/a"), str_of("hi"), 1, true, 7);
    expect_bytes(&b, "33"
                     "0a"
                     "0003742f61"
                     "0007"
                     "00"
                     "6869");
    wire_put_publish(&b, str_of("t"), str_of(""), 0, false, 7);
    expect_bytes(&b, "30"
                     "04"
                     "000174"
                     "00");
    wire_put_subscribe(&b, 9, str_of("t/#"), 1, true);
    expect_bytes(&b, "82"
                     "09"
                     "0009"
                     "00"
                     "0003742f23"
                     "05");
    wire_put_puback(&b, 0x1234);
    expect_bytes(&b, "40"
                     "02"
                     "1234");
    wire_put_empty(&b, WIRE_PINGREQ);
    expect_bytes(&b, "c000");
    wire_put_empty(&b, WIRE_DISCONNECT);
    expect_bytes(&b, "e000");
    buf_fini(&b);
}

static enum err read_hex(const char *hex, struct wire_packet *p, size_t *used, uint8_t *bytes)
{
    size_t n = 0;
    assert_int_equal(str_from_hex(str_of(hex), bytes, &n), ERR_OK);
    char *exact = malloc(n ? n : 1); /* so that the sanitizer sees the end */
    memcpy(exact, bytes, n);
    enum err e = wire_read(str_make(exact, n), p, used);
    free(exact);
    return e;
}

static void what_a_broker_says_is_understood(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct wire_packet p;
    size_t used;
    /* CONNACK: session present, receive maximum 200, topic alias maximum, keep alive, reason text
     */
    assert_int_equal(read_hex("20"
                              "14"
                              "01"
                              "00"
                              "11"
                              "2100c8"
                              "22000a"
                              "13003c"
                              "1f00056a75737421",
                              &p, &used, bytes),
                     ERR_OK);
    assert_int_equal(used, 22);
    assert_true(p.session_present);
    assert_int_equal(p.receive_max, 200);
    assert_int_equal(p.keepalive_s, 60);
    assert_int_equal(read_hex("20"
                              "03"
                              "00"
                              "87"
                              "00",
                              &p, &used, bytes),
                     ERR_OK);
    assert_int_equal(p.reason, 0x87);
    assert_string_equal(wire_reason(p.reason), "not authorized");
    assert_int_equal(p.receive_max, 65535);
    /* PUBACK, short and with "no matching subscribers"; SUBACK; DISCONNECT */
    assert_int_equal(read_hex("40020007", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.id, 7);
    assert_int_equal(p.reason, 0);
    assert_int_equal(read_hex("4003000710", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.reason, 16);
    assert_int_equal(read_hex("900400090087", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.id, 9);
    assert_int_equal(p.reason, 0x87);
    assert_int_equal(read_hex("e0018e", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.reason, 0x8e);
    assert_int_equal(read_hex("d000", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.type, WIRE_PINGRESP);
}

static void messages_are_read_with_and_without_properties(void **state)
{
    (void)state;
    struct wire_packet p;
    size_t used;
    static const char plain[] = "\x31\x08\0\3t/a\0hi+next";
    assert_int_equal(wire_read(str_make(plain, sizeof plain - 1), &p, &used), ERR_OK);
    assert_int_equal(used, 10);
    assert_true(str_is(p.topic, "t/a") && str_is(p.payload, "hi"));
    assert_true(p.retain && !p.dup && p.qos == 0);
    static const char acked[] = "\x3a\x0d\0\3t/a\x12\x34\3\x01\x01\x00hi";
    assert_int_equal(wire_read(str_make(acked, sizeof acked - 1), &p, &used), ERR_OK);
    assert_int_equal(p.id, 0x1234);
    assert_true(p.qos == 1 && p.dup && !p.retain);
    assert_true(str_is(p.payload, "hi"));
    for (size_t n = 0; n < sizeof acked - 1; n++)
        assert_int_equal(wire_read(str_make(acked, n), &p, &used), ERR_AGAIN);
}

static void what_is_not_mqtt_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum err e;
    } rows[] = {
        {"30ffffffff7f", ERR_INVALID}, /* a length of five bytes */
        {"300100", ERR_INVALID},       /* no room for a topic */
        {"3004000574"
         "00",
         ERR_INVALID}, /* the topic ends behind the packet */
        {"300300"
         "0000",
         ERR_INVALID}, /* no topic: an alias */
        {"320600017400"
         "0000",
         ERR_INVALID},                 /* id 0 */
        {"300400017405", ERR_INVALID}, /* properties end behind the packet */
        {"3008000174"
         "8080808000",
         ERR_INVALID}, /* their length has no end */
        {"340600017400"
         "0100",
         ERR_UNSUPPORTED}, /* QoS 2 */
        {"20020000"
         "",
         ERR_OK}, /* CONNACK without properties, as MQTT 3 has it */
        {"200600000321"
         "0000",
         ERR_INVALID}, /* receive maximum 0 */
        {"2005000002"
         "7f00",
         ERR_INVALID},                 /* an unknown property */
        {"200400000521", ERR_INVALID}, /* properties end behind the packet */
        {"210200"
         "00",
         ERR_INVALID}, /* reserved bits */
        {"400100", ERR_INVALID},
        {"9003000900", ERR_INVALID},
        {"100000", ERR_UNSUPPORTED},
        {"f000", ERR_UNSUPPORTED},
        {"0000", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[64];
        struct wire_packet p;
        size_t used;
        enum err e = read_hex(rows[i].hex, &p, &used, bytes);
        if (e != rows[i].e)
            fail_msg("row %zu: %s", i, err_word(e));
    }
}

static void any_bytes_are_survived(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[48];
        struct wire_packet p;
        size_t used, n = (size_t)(random >> 8) % sizeof bytes;
        for (size_t k = 0; k < sizeof bytes; k++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[k] = (uint8_t)random;
        }
        static const uint8_t firsts[] = {0x20, 0x30, 0x32, 0x40, 0x90, 0xe0};
        bytes[0] = firsts[bytes[0] % sizeof firsts];
        bytes[1] = (uint8_t)(bytes[1] % sizeof bytes);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, bytes, n);
        if (wire_read(str_make(exact, n), &p, &used) == ERR_OK) {
            assert_true(used <= n);
            if (p.type == WIRE_PUBLISH)
                assert_true(p.payload.p + p.payload.n == exact + used && p.topic.n < n);
        }
        free(exact);
    }
}

static void topics_with_wildcards_or_no_text_are_refused(void **state)
{
    (void)state;
    assert_int_equal(wire_topic_ok(str_of("spBv1.0/g/NCMD/n")), ERR_OK);
    assert_int_equal(wire_topic_ok(str_of("")), ERR_INVALID);
    assert_int_equal(wire_topic_ok(str_of("a/+")), ERR_INVALID);
    assert_int_equal(wire_topic_ok(str_of("a/#")), ERR_INVALID);
    assert_int_equal(wire_topic_ok(str_make("a\0b", 3)), ERR_INVALID);
    assert_int_equal(wire_topic_ok(str_of("a\xff")), ERR_UTF8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_look_as_the_standard_draws_them),
        cmocka_unit_test(what_a_broker_says_is_understood),
        cmocka_unit_test(messages_are_read_with_and_without_properties),
        cmocka_unit_test(what_is_not_mqtt_is_refused),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(topics_with_wildcards_or_no_text_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
