/* The load generator's packets: what a broker and a Sparkplug host read out of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/spb_payload.h"
#include "codec/spb_topic.h"
#include "load_template.h"

#define NOW INT64_C(1767225600123)

struct fixture {
    struct load_shape shape;
    struct load_node node;
    struct arena arena;
    struct spb_topic topic;
    struct spb_payload payload;
};

static void begin(struct fixture *f, const char *device, unsigned metrics)
{
    *f = (struct fixture){.shape = {.group = STR("load"), .metrics = metrics}};
    f->shape.device = str_of(device);
    arena_init(&f->arena, 65536, (size_t)32 << 20);
    assert_int_equal(load_node_init(&f->node, &f->shape, str_of("sim-x-00001")), ERR_OK);
}

static void end(struct fixture *f)
{
    load_node_fini(&f->node);
    arena_fini(&f->arena);
}

/* Reads the QoS 0 PUBLISH at the front of `*bytes` and takes it off. */
static void read_publish(struct fixture *f, struct str *bytes)
{
    size_t n = 0, at = 1;
    assert_int_equal(bytes->p[0], 0x30);
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = (uint8_t)bytes->p[at++];
        n |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    assert_true(at + n <= bytes->n);
    size_t topic_n = (size_t)(uint8_t)bytes->p[at] << 8 | (uint8_t)bytes->p[at + 1];
    assert_int_equal(spb_topic_parse(str_make(bytes->p + at + 2, topic_n), &f->topic), ERR_OK);
    struct str payload = {bytes->p + at + 2 + topic_n, n - 2 - topic_n};
    assert_int_equal(spb_decode(&f->arena, payload, &f->payload), ERR_OK);
    bytes->p += at + n;
    bytes->n -= at + n;
}

static void births_announce_what_the_data_then_carries(void **state)
{
    (void)state;
    struct fixture f;
    struct buf b;
    begin(&f, "D1", 7);
    buf_init(&b, 65536);
    load_births(&f.node, &f.shape, NOW, &b);
    struct str rest = buf_view(&b);
    read_publish(&f, &rest);
    assert_int_equal(f.topic.kind, SPB_NBIRTH);
    assert_int_equal(f.payload.seq, 0);
    assert_true(str_is(f.payload.metrics[0].name, "bdSeq"));
    read_publish(&f, &rest);
    assert_int_equal(f.topic.kind, SPB_DBIRTH);
    assert_true(str_is(f.topic.device, "D1"));
    assert_int_equal(f.payload.seq, 1);
    assert_int_equal(f.payload.n, 7);
    assert_int_equal(rest.n, 0);
    uint8_t types[7];
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(f.payload.metrics[i].alias, i + 1);
        types[i] = (uint8_t)f.payload.metrics[i].datatype;
    }
    char packet[LOAD_PACKET_MAX];
    rest = str_make(packet, load_next(&f.node, &f.shape, NOW, packet));
    read_publish(&f, &rest);
    assert_int_equal(f.topic.kind, SPB_DDATA);
    for (size_t i = 0; i < 7; i++) {
        struct spb_value v;
        assert_int_equal(f.payload.metrics[i].alias, i + 1);
        assert_int_equal(spb_value_of(&f.arena, &f.payload.metrics[i], types[i], &v), ERR_OK);
    }
    buf_fini(&b);
    end(&f);
}

static void every_message_has_the_next_seq_and_a_later_time(void **state)
{
    (void)state;
    struct fixture f;
    struct buf b;
    begin(&f, NULL, 20);
    buf_init(&b, 65536);
    load_births(&f.node, &f.shape, NOW, &b);
    uint64_t before = 0;
    for (unsigned i = 0; i < 600; i++) {
        char packet[LOAD_PACKET_MAX];
        struct str rest = {packet, load_next(&f.node, &f.shape, NOW, packet)};
        read_publish(&f, &rest);
        assert_int_equal(rest.n, 0);
        assert_int_equal(f.topic.kind, SPB_NDATA);
        assert_int_equal(f.payload.seq, (1 + i) % 256);
        assert_true(f.payload.timestamp > before);
        before = f.payload.timestamp;
        assert_int_equal(f.payload.n, 20);
        for (size_t k = 0; k < 20; k++)
            assert_int_equal(f.payload.metrics[k].timestamp, before);
        arena_reset(&f.arena);
    }
    assert_int_equal(f.node.messages, 600);
    buf_fini(&b);
    end(&f);
}

static void values_differ_and_a_death_names_its_birth(void **state)
{
    (void)state;
    struct fixture f;
    struct buf b;
    begin(&f, NULL, 200);
    char packet[LOAD_PACKET_MAX];
    double first = 0;
    for (int i = 0; i < 2; i++) {
        struct str rest = {packet, load_next(&f.node, &f.shape, NOW, packet)};
        read_publish(&f, &rest);
        assert_int_equal(f.payload.metrics[199].alias, 200); /* an alias of two bytes */
        assert_true(f.payload.metrics[0].f != first && f.payload.metrics[0].f >= 20);
        first = f.payload.metrics[0].f;
    }
    buf_init(&b, 65536);
    load_death(&f.node, &f.shape, NOW, &b);
    struct str rest = buf_view(&b);
    read_publish(&f, &rest);
    assert_int_equal(f.topic.kind, SPB_NDEATH);
    assert_true(str_is(f.payload.metrics[0].name, "bdSeq"));
    buf_fini(&b);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(births_announce_what_the_data_then_carries),
        cmocka_unit_test(every_message_has_the_next_seq_and_a_later_time),
        cmocka_unit_test(values_differ_and_a_death_names_its_birth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
