/* test_mqtt_packet.c - MQTT packets of both versions: what we write byte by byte, what we accept,
 * what we refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "codec/mqtt_packet.h"

#define BYTES(...) str_make((const char[]){__VA_ARGS__}, sizeof((const char[]){__VA_ARGS__}))

static void assert_bytes(const struct buf *b, struct str want)
{
    assert_int_equal(b->err, ERR_OK);
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
}

static void connect_carries_will_and_credentials(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    struct mqtt_connect c = {.level = MQTT_3_1_1,
                             .client_id = STR("d1"),
                             .username = STR("u"),
                             .password = STR("pw"),
                             .keep_alive_s = 30,
                             .clean = true,
                             .will_topic = STR("w"),
                             .will_payload = STR("!!"),
                             .will_qos = 1};
    mqtt_put_connect(&b, &c);
    assert_bytes(&b, BYTES(0x10, 28, 0, 4, 'M', 'Q', 'T', 'T', 4, (char)0xce, 0, 30, 0, 2, 'd', '1',
                           0, 1, 'w', 0, 2, '!', '!', 0, 1, 'u', 0, 2, 'p', 'w'));
    buf_fini(&b);
}

static void connect_without_will_sets_no_will_bits(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    mqtt_put_connect(
        &b, &(struct mqtt_connect){.level = MQTT_3_1_1, .client_id = STR("d"), .clean = true});
    assert_int_equal(b.n, 2 + 10 + 3);
    assert_int_equal(b.p[9], 2);
    buf_fini(&b);
}

static void publish_has_an_id_only_above_qos_0(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    mqtt_put_publish(&b, MQTT_3_1_1,
                     &(struct mqtt_publish){.topic = STR("t"), .payload = STR("x")});
    assert_bytes(&b, BYTES(0x30, 4, 0, 1, 't', 'x'));
    buf_reset(&b);
    mqtt_put_publish(
        &b, MQTT_3_1_1,
        &(struct mqtt_publish){.topic = STR("t"), .payload = STR("x"), .qos = 1, .id = 258});
    assert_bytes(&b, BYTES(0x32, 6, 0, 1, 't', 1, 2, 'x'));
    buf_fini(&b);
}

static void subscribe_names_every_filter(void **state)
{
    (void)state;
    struct buf b;
    struct str filters[] = {STR("a/+"), STR("b")};
    buf_init(&b, 1024);
    mqtt_put_subscribe(&b, MQTT_3_1_1, 7, filters, 2, 1, true);
    assert_bytes(&b, BYTES((char)0x82, 12, 0, 7, 0, 3, 'a', '/', '+', 1, 0, 1, 'b', 1));
    buf_fini(&b);
}

static void a_topic_that_is_too_long_marks_the_buffer(void **state)
{
    (void)state;
    struct buf b;
    char *topic = calloc(1, 70000);
    buf_init(&b, 1 << 20);
    mqtt_put_publish(&b, MQTT_3_1_1, &(struct mqtt_publish){.topic = str_make(topic, 70000)});
    assert_int_equal(b.err, ERR_TOOBIG);
    buf_fini(&b);
    free(topic);
}

static void publish_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct buf b;
    char *payload = calloc(1, 200000);
    struct mqtt_packet p;
    size_t used = 0;
    buf_init(&b, 1 << 20);
    memset(payload, 'z', 200000);
    mqtt_put_publish(&b, MQTT_3_1_1,
                     &(struct mqtt_publish){.topic = STR("lwm2m/d/cmd/1"),
                                            .payload = str_make(payload, 200000),
                                            .qos = 1,
                                            .id = 9});
    assert_int_equal(mqtt_packet_read(buf_view(&b), MQTT_3_1_1, 1 << 20, &p, &used), ERR_OK);
    assert_int_equal(used, b.n);
    assert_int_equal(p.type, MQTT_PUBLISH);
    assert_int_equal(p.publish.id, 9);
    assert_int_equal(p.publish.qos, 1);
    assert_true(str_is(p.publish.topic, "lwm2m/d/cmd/1"));
    assert_int_equal(p.publish.payload.n, 200000);
    buf_fini(&b);
    free(payload);
}

static void every_split_of_a_packet_asks_for_more(void **state)
{
    (void)state;
    struct buf b;
    struct mqtt_packet p;
    size_t used;
    char payload[300] = "";
    buf_init(&b, 4096);
    mqtt_put_publish(
        &b, MQTT_3_1_1,
        &(struct mqtt_publish){
            .topic = STR("a/b"), .payload = str_make(payload, sizeof payload), .qos = 1, .id = 1});
    for (size_t n = 0; n < b.n; n++) {
        char *exact = malloc(n + 1); /* so that a read past the end is seen */
        memcpy(exact, b.p, n);
        assert_int_equal(mqtt_packet_read(str_make(exact, n), MQTT_3_1_1, 4096, &p, &used),
                         ERR_AGAIN);
        free(exact);
    }
    assert_int_equal(mqtt_packet_read(buf_view(&b), MQTT_3_1_1, 4096, &p, &used), ERR_OK);
    buf_fini(&b);
}

static void two_packets_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct str both = BYTES((char)0x20, 2, 0, 0, (char)0xd0, 0);
    struct mqtt_packet p;
    size_t used = 0;
    assert_int_equal(mqtt_packet_read(both, MQTT_3_1_1, 100, &p, &used), ERR_OK);
    assert_int_equal(p.type, MQTT_CONNACK);
    assert_int_equal(used, 4);
    assert_int_equal(
        mqtt_packet_read(str_make(both.p + used, both.n - used), MQTT_3_1_1, 100, &p, &used),
        ERR_OK);
    assert_int_equal(p.type, MQTT_PINGRESP);
}

static void a_refused_subscription_is_seen_among_granted_ones(void **state)
{
    (void)state;
    struct mqtt_packet p;
    size_t used;
    assert_int_equal(
        mqtt_packet_read(BYTES((char)0x90, 5, 0, 3, 1, (char)0x80, 0), MQTT_3_1_1, 100, &p, &used),
        ERR_OK);
    assert_int_equal(p.id, 3);
    assert_int_equal(p.reason, 0x80);
}

static void malformed_packets_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned char bytes[12];
        size_t n;
        enum err want;
    } rows[] = {
        {"length of five bytes", {0x30, 0xff, 0xff, 0xff, 0xff, 1}, 6, ERR_INVALID},
        {"longer than allowed", {0x30, 0xff, 0x7f}, 3, ERR_TOOBIG},
        {"qos 3", {0x36, 5, 0, 1, 't', 0, 1}, 7, ERR_INVALID},
        {"qos 2", {0x34, 5, 0, 1, 't', 0, 1}, 7, ERR_UNSUPPORTED},
        {"topic past the end", {0x30, 3, 0, 9, 't'}, 5, ERR_TRUNCATED},
        {"empty topic", {0x30, 2, 0, 0}, 4, ERR_INVALID},
        {"topic no UTF-8", {0x30, 4, 0, 2, 0xc3, 0x28}, 6, ERR_UTF8},
        {"qos 1 without id", {0x32, 3, 0, 1, 't'}, 5, ERR_TRUNCATED},
        {"id zero", {0x32, 5, 0, 1, 't', 0, 0}, 7, ERR_INVALID},
        {"short CONNACK", {0x20, 1, 0}, 3, ERR_TRUNCATED},
        {"long CONNACK", {0x20, 3, 0, 0, 0}, 5, ERR_INVALID},
        {"CONNACK reserved bits", {0x20, 2, 2, 0}, 4, ERR_INVALID},
        {"flags of PUBACK", {0x42, 2, 0, 1}, 4, ERR_INVALID},
        {"SUBACK without codes", {0x90, 2, 0, 1}, 4, ERR_TRUNCATED},
        {"SUBACK with code 3", {0x90, 3, 0, 1, 3}, 5, ERR_INVALID},
        {"SUBACK with a code of MQTT 5", {0x90, 3, 0, 1, 0x87}, 5, ERR_INVALID},
        {"PUBACK with id 0", {0x40, 2, 0, 0}, 4, ERR_INVALID},
        {"PUBACK with a reason", {0x40, 3, 0, 1, 0x10}, 5, ERR_INVALID},
        {"DISCONNECT", {0xe0, 0}, 2, ERR_UNSUPPORTED},
        {"PINGRESP with a body", {0xd0, 1, 0}, 3, ERR_INVALID},
        {"a client's packet", {0xc0, 0}, 2, ERR_UNSUPPORTED},
        {"type 0", {0x00, 0}, 2, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mqtt_packet p;
        size_t used;
        char *exact = malloc(rows[i].n);
        memcpy(exact, rows[i].bytes, rows[i].n);
        enum err e = mqtt_packet_read(str_make(exact, rows[i].n), MQTT_3_1_1, 1000, &p, &used);
        if (e != rows[i].want)
            print_error("%s: %s\n", rows[i].what, err_word(e));
        assert_int_equal(e, rows[i].want);
        free(exact);
    }
}

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

static void packets_of_mqtt_5_look_as_the_standard_draws_them(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    mqtt_put_connect(&b, &(struct mqtt_connect){.level = MQTT_5,
                                                .client_id = STR("id"),
                                                .username = STR("u"),
                                                .password = STR("p"),
                                                .keep_alive_s = 20,
                                                .receive_max = 500,
                                                .clean = true,
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
    mqtt_put_publish(
        &b, MQTT_5,
        &(struct mqtt_publish){
            .topic = STR("t/a"), .payload = STR("hi"), .qos = 1, .retain = true, .id = 7});
    expect_bytes(&b, "33"
                     "0a"
                     "0003742f61"
                     "0007"
                     "00"
                     "6869");
    mqtt_put_publish(&b, MQTT_5,
                     &(struct mqtt_publish){.topic = STR("t"), .payload = STR(""), .id = 7});
    expect_bytes(&b, "30"
                     "04"
                     "000174"
                     "00");
    mqtt_put_subscribe(&b, MQTT_5, 9, &(struct str)STR("t/#"), 1, 1, true);
    expect_bytes(&b, "82"
                     "09"
                     "0009"
                     "00"
                     "0003742f23"
                     "05");
    mqtt_put_puback(&b, 0x1234);
    expect_bytes(&b, "40"
                     "02"
                     "1234");
    mqtt_put_empty(&b, MQTT_PINGREQ);
    expect_bytes(&b, "c000");
    mqtt_put_empty(&b, MQTT_DISCONNECT);
    expect_bytes(&b, "e000");
    buf_fini(&b);
}

static enum err read_hex(const char *hex, struct mqtt_packet *p, size_t *used, uint8_t *bytes)
{
    size_t n = 0;
    assert_int_equal(str_from_hex(str_of(hex), bytes, &n), ERR_OK);
    char *exact = malloc(n ? n : 1); /* so that the sanitizer sees the end */
    memcpy(exact, bytes, n);
    enum err e = mqtt_packet_read(str_make(exact, n), MQTT_5, 1 << 20, p, used);
    free(exact);
    return e;
}

static void what_a_broker_says_is_understood(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct mqtt_packet p;
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
    assert_int_equal(p.keep_alive_s, 60);
    assert_int_equal(read_hex("20"
                              "03"
                              "00"
                              "87"
                              "00",
                              &p, &used, bytes),
                     ERR_OK);
    assert_int_equal(p.reason, 0x87);
    assert_string_equal(mqtt_reason(p.reason), "not authorized");
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
    assert_int_equal(read_hex("9006000900010187", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.reason, 0x87); /* the one that was refused */
    assert_int_equal(read_hex("2008000005270000ffff", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.packet_max, 65535);
    assert_int_equal(read_hex("20020001", &p, &used, bytes), ERR_OK); /* knows 3.1.1 only */
    assert_string_equal(mqtt_reason(p.reason), "the broker does not speak this version of MQTT");
    assert_int_equal(read_hex("e0018e", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.reason, 0x8e);
    assert_int_equal(read_hex("d000", &p, &used, bytes), ERR_OK);
    assert_int_equal(p.type, MQTT_PINGRESP);
}

static void messages_are_read_with_and_without_properties(void **state)
{
    (void)state;
    struct mqtt_packet p;
    size_t used;
    static const char plain[] = "\x31\x08\0\3t/a\0hi+next";
    assert_int_equal(
        mqtt_packet_read(str_make(plain, sizeof plain - 1), MQTT_5, 1 << 20, &p, &used), ERR_OK);
    assert_int_equal(used, 10);
    assert_true(str_is(p.publish.topic, "t/a") && str_is(p.publish.payload, "hi"));
    assert_true(p.publish.retain && !p.publish.dup && p.publish.qos == 0);
    static const char acked[] = "\x3a\x0d\0\3t/a\x12\x34\3\x01\x01\x00hi";
    assert_int_equal(
        mqtt_packet_read(str_make(acked, sizeof acked - 1), MQTT_5, 1 << 20, &p, &used), ERR_OK);
    assert_int_equal(p.publish.id, 0x1234);
    assert_true(p.publish.qos == 1 && p.publish.dup && !p.publish.retain);
    assert_true(str_is(p.publish.payload, "hi"));
    for (size_t n = 0; n < sizeof acked - 1; n++)
        assert_int_equal(mqtt_packet_read(str_make(acked, n), MQTT_5, 1 << 20, &p, &used),
                         ERR_AGAIN);
}

static void what_is_not_mqtt_5_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum err e;
    } rows[] = {
        {"30ffffffff7f", ERR_INVALID},         /* a length of five bytes */
        {"300100", ERR_TRUNCATED},             /* no room for a topic */
        {"300400057400", ERR_TRUNCATED},       /* the topic ends behind the packet */
        {"3003000000", ERR_INVALID},           /* no topic: an alias */
        {"30050002c32800", ERR_UTF8},          /* a topic that is no text */
        {"3206000174000000", ERR_INVALID},     /* id 0 */
        {"3003000174", ERR_TRUNCATED},         /* no properties, not even their length */
        {"300400017405", ERR_TRUNCATED},       /* properties end behind the packet */
        {"30080001748080808000", ERR_INVALID}, /* their length has no end */
        {"3406000174000100", ERR_UNSUPPORTED}, /* QoS 2 */
        {"3606000174000100", ERR_INVALID},     /* QoS 3 */
        {"20020000", ERR_OK},                  /* CONNACK as 3.1.1 has it */
        {"20020200", ERR_INVALID},             /* reserved bits */
        {"2006000003210000", ERR_INVALID},     /* receive maximum 0 */
        {"20080000052700000000", ERR_INVALID}, /* largest packet 0 */
        {"20050000027f00", ERR_INVALID},       /* an unknown property */
        {"200400000521", ERR_TRUNCATED},       /* properties end behind the packet */
        {"2004000000aa", ERR_INVALID},         /* more than there is to say */
        {"21020000", ERR_INVALID},             /* reserved bits */
        {"400100", ERR_TRUNCATED},
        {"40020000", ERR_INVALID},       /* id 0 */
        {"4004000710aa", ERR_TRUNCATED}, /* properties end behind the packet */
        {"40050007100000", ERR_INVALID},
        {"9003000900", ERR_TRUNCATED}, /* SUBACK that answers nothing */
        {"900400090003", ERR_INVALID}, /* no such code */
        {"e1018e", ERR_INVALID},       /* reserved bits */
        {"d00100", ERR_INVALID},
        {"100000", ERR_UNSUPPORTED},
        {"f000", ERR_UNSUPPORTED},
        {"0000", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[64];
        struct mqtt_packet p;
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
        struct mqtt_packet p;
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
        if (mqtt_packet_read(str_make(exact, n), MQTT_5, 1 << 20, &p, &used) == ERR_OK) {
            assert_true(used <= n);
            if (p.type == MQTT_PUBLISH)
                assert_true(p.publish.payload.p + p.publish.payload.n == exact + used &&
                            p.publish.topic.n < n);
        }
        free(exact);
    }
}

static void topics_with_wildcards_or_no_text_are_refused(void **state)
{
    (void)state;
    assert_int_equal(mqtt_topic_ok(str_of("spBv1.0/g/NCMD/n")), ERR_OK);
    assert_int_equal(mqtt_topic_ok(str_of("")), ERR_INVALID);
    assert_int_equal(mqtt_topic_ok(str_of("a/+")), ERR_INVALID);
    assert_int_equal(mqtt_topic_ok(str_of("a/#")), ERR_INVALID);
    assert_int_equal(mqtt_topic_ok(str_make("a\0b", 3)), ERR_INVALID);
    assert_int_equal(mqtt_topic_ok(str_of("a\xff")), ERR_UTF8);
}

static void a_packet_has_the_length_that_was_foretold(void **state)
{
    (void)state;
    static const enum mqtt_level levels[] = {MQTT_3_1_1, MQTT_5};
    static const size_t sizes[] = {0, 121, 122, 123, 16375, 16376, 16377, 16378, 70000};
    char *payload = calloc(1, 70000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct mqtt_publish p = {
            .topic = STR("t"), .payload = str_make(payload, sizes[i]), .qos = 1, .id = 1};
        for (size_t k = 0; k < 2; k++) {
            struct buf b;
            buf_init(&b, 1 << 20);
            mqtt_put_publish(&b, levels[k], &p);
            assert_int_equal(b.n, mqtt_publish_bytes(levels[k], &p));
            buf_fini(&b);
        }
    }
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_carries_will_and_credentials),
        cmocka_unit_test(connect_without_will_sets_no_will_bits),
        cmocka_unit_test(publish_has_an_id_only_above_qos_0),
        cmocka_unit_test(subscribe_names_every_filter),
        cmocka_unit_test(a_topic_that_is_too_long_marks_the_buffer),
        cmocka_unit_test(publish_comes_back_as_it_was_written),
        cmocka_unit_test(every_split_of_a_packet_asks_for_more),
        cmocka_unit_test(two_packets_are_read_one_after_the_other),
        cmocka_unit_test(a_refused_subscription_is_seen_among_granted_ones),
        cmocka_unit_test(malformed_packets_are_refused),
        cmocka_unit_test(packets_of_mqtt_5_look_as_the_standard_draws_them),
        cmocka_unit_test(what_a_broker_says_is_understood),
        cmocka_unit_test(messages_are_read_with_and_without_properties),
        cmocka_unit_test(what_is_not_mqtt_5_is_refused),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(topics_with_wildcards_or_no_text_are_refused),
        cmocka_unit_test(a_packet_has_the_length_that_was_foretold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
