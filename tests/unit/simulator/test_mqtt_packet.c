/* MQTT 3.1.1 packets: what we write byte by byte, what we accept, what we refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mqtt_packet.h"

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
    struct mqtt_connect c = {.client_id = STR("d1"),
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
    mqtt_put_connect(&b, &(struct mqtt_connect){.client_id = STR("d"), .clean = true});
    assert_int_equal(b.n, 2 + 10 + 3);
    assert_int_equal(b.p[9], 2);
    buf_fini(&b);
}

static void publish_has_an_id_only_above_qos_0(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    mqtt_put_publish(&b, &(struct mqtt_publish){.topic = STR("t"), .payload = STR("x")});
    assert_bytes(&b, BYTES(0x30, 4, 0, 1, 't', 'x'));
    buf_reset(&b);
    mqtt_put_publish(
        &b, &(struct mqtt_publish){.topic = STR("t"), .payload = STR("x"), .qos = 1, .id = 258});
    assert_bytes(&b, BYTES(0x32, 6, 0, 1, 't', 1, 2, 'x'));
    buf_fini(&b);
}

static void subscribe_names_every_filter(void **state)
{
    (void)state;
    struct buf b;
    struct str filters[] = {STR("a/+"), STR("b")};
    buf_init(&b, 1024);
    mqtt_put_subscribe(&b, 7, filters, 2, 1);
    assert_bytes(&b, BYTES((char)0x82, 12, 0, 7, 0, 3, 'a', '/', '+', 1, 0, 1, 'b', 1));
    buf_fini(&b);
}

static void a_topic_that_is_too_long_marks_the_buffer(void **state)
{
    (void)state;
    struct buf b;
    char *topic = calloc(1, 70000);
    buf_init(&b, 1 << 20);
    mqtt_put_publish(&b, &(struct mqtt_publish){.topic = str_make(topic, 70000)});
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
    mqtt_put_publish(&b, &(struct mqtt_publish){.topic = STR("lwm2m/d/cmd/1"),
                                                .payload = str_make(payload, 200000),
                                                .qos = 1,
                                                .id = 9});
    assert_int_equal(mqtt_packet_read(buf_view(&b), 1 << 20, &p, &used), ERR_OK);
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
    mqtt_put_publish(&b, &(struct mqtt_publish){.topic = STR("a/b"),
                                                .payload = str_make(payload, sizeof payload),
                                                .qos = 1,
                                                .id = 1});
    for (size_t n = 0; n < b.n; n++) {
        char *exact = malloc(n + 1); /* so that a read past the end is seen */
        memcpy(exact, b.p, n);
        assert_int_equal(mqtt_packet_read(str_make(exact, n), 4096, &p, &used), ERR_AGAIN);
        free(exact);
    }
    assert_int_equal(mqtt_packet_read(buf_view(&b), 4096, &p, &used), ERR_OK);
    buf_fini(&b);
}

static void two_packets_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct str both = BYTES((char)0x20, 2, 0, 0, (char)0xd0, 0);
    struct mqtt_packet p;
    size_t used = 0;
    assert_int_equal(mqtt_packet_read(both, 100, &p, &used), ERR_OK);
    assert_int_equal(p.type, MQTT_CONNACK);
    assert_int_equal(used, 4);
    assert_int_equal(mqtt_packet_read(str_make(both.p + used, both.n - used), 100, &p, &used),
                     ERR_OK);
    assert_int_equal(p.type, MQTT_PINGRESP);
}

static void a_refused_subscription_is_seen_among_granted_ones(void **state)
{
    (void)state;
    struct mqtt_packet p;
    size_t used;
    assert_int_equal(mqtt_packet_read(BYTES((char)0x90, 5, 0, 3, 1, (char)0x80, 0), 100, &p, &used),
                     ERR_OK);
    assert_int_equal(p.id, 3);
    assert_int_equal(p.code, 0x80);
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
        {"PINGRESP with a body", {0xd0, 1, 0}, 3, ERR_INVALID},
        {"a client's packet", {0xc0, 0}, 2, ERR_UNSUPPORTED},
        {"type 0", {0x00, 0}, 2, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mqtt_packet p;
        size_t used = 77;
        char *exact = malloc(rows[i].n);
        memcpy(exact, rows[i].bytes, rows[i].n);
        enum err e = mqtt_packet_read(str_make(exact, rows[i].n), 1000, &p, &used);
        if (e != rows[i].want)
            print_error("%s: %s\n", rows[i].what, err_word(e));
        assert_int_equal(e, rows[i].want);
        assert_int_equal(used, 77);
        free(exact);
    }
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
