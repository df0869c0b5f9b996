/* The edge node: sequence rules, births, data by exception, commands and history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "spb_edge.h"

#define T0   INT64_C(1767225600000)
#define KEPT 64

/* The node with everything it said, decoded. */
struct fixture {
    struct arena arena, said;
    struct description *desc;
    struct tree tree;
    struct spb_edge *edge;
    struct spb_topic topics[KEPT];
    struct spb_payload payloads[KEPT];
    struct spb_message messages[KEPT];
    size_t n;
};

static void hear(void *ctx, const struct spb_message *m)
{
    struct fixture *f = ctx;
    assert_true(f->n < KEPT);
    struct str topic = arena_str(&f->said, m->topic), payload = arena_str(&f->said, m->payload);
    assert_int_equal(spb_topic_parse(topic, &f->topics[f->n]), ERR_OK);
    assert_int_equal(spb_decode(&f->said, payload, &f->payloads[f->n]), ERR_OK);
    f->messages[f->n++] = *m;
}

static void make(struct fixture *f, bool short_topics)
{
    char why[200];
    *f = (struct fixture){0};
    arena_init(&f->arena, 65536, 16 << 20);
    arena_init(&f->said, 65536, 64 << 20);
    assert_int_equal(description_new(description_builtin(), &f->desc, why, sizeof why), ERR_OK);
    const struct desc_kind *k = description_kind(f->desc, 0);
    struct str name = STR("sim-t-00001");
    assert_int_equal(tree_init(&f->tree, f->desc, k, name, 7), ERR_OK);
    struct spb_edge_config c = {.kind = k,
                                .group = STR("sim"),
                                .node = name,
                                .tree = &f->tree,
                                .seed = 7,
                                .short_topics = short_topics,
                                .publish = hear,
                                .ctx = f};
    assert_int_equal(spb_edge_new(&c, &f->edge), ERR_OK);
}

static void unmake(struct fixture *f)
{
    spb_edge_free(f->edge);
    tree_fini(&f->tree);
    description_free(f->desc);
    arena_fini(&f->arena);
    arena_fini(&f->said);
}

static void connect_as(struct fixture *f, uint8_t bd_seq, struct spb_payload *will)
{
    struct buf topic, payload;
    buf_init(&topic, 256);
    buf_init(&payload, 256);
    spb_edge_connect(f->edge, bd_seq, T0, &topic, &payload);
    assert_int_equal(topic.err | payload.err, ERR_OK);
    struct str kept = arena_str(&f->said, buf_view(&payload));
    if (will)
        assert_int_equal(spb_decode(&f->said, kept, will), ERR_OK);
    buf_fini(&topic);
    buf_fini(&payload);
}

static const struct spb_metric *metric(const struct spb_payload *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_is(p->metrics[i].name, name))
            return &p->metrics[i];
    return NULL;
}

static void command(struct fixture *f, const char *topic, const struct spb_out_metric *m,
                    enum err want, unsigned *effects)
{
    struct buf b;
    struct spb_out p = {.timestamp = T0, .metrics = m, .n = 1};
    buf_init(&b, 4096);
    assert_int_equal(spb_encode(&p, &b), ERR_OK);
    assert_int_equal(spb_edge_command(f->edge, &f->arena, str_of(topic), buf_view(&b), effects),
                     want);
    buf_fini(&b);
}

static void a_birth_carries_the_bdseq_of_the_will(void **state)
{
    (void)state;
    struct fixture f;
    struct spb_payload will;
    make(&f, false);
    connect_as(&f, 200, &will);
    assert_int_equal(will.n, 1);
    assert_false(will.has_seq);
    assert_true(str_is(will.metrics[0].name, "bdSeq"));
    assert_int_equal(will.metrics[0].datatype, SPB_INT64);
    assert_int_equal(will.metrics[0].u, 200);
    spb_edge_birth(f.edge, &f.arena, T0);
    assert_int_equal(f.n, 2);
    assert_int_equal(f.topics[0].kind, SPB_NBIRTH);
    assert_int_equal(f.topics[1].kind, SPB_DBIRTH);
    assert_int_equal(metric(&f.payloads[0], "bdSeq")->u, 200);
    const struct spb_metric *rebirth = metric(&f.payloads[0], "Node Control/Rebirth");
    assert_non_null(rebirth);
    assert_false(rebirth->has_alias || rebirth->b);
    unmake(&f);
}

static void births_name_and_type_everything_with_distinct_aliases(void **state)
{
    (void)state;
    struct fixture f;
    bool seen[256] = {false};
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    for (size_t k = 0; k < f.n; k++)
        for (size_t i = 0; i < f.payloads[k].n; i++) {
            const struct spb_metric *m = &f.payloads[k].metrics[i];
            assert_true(m->name.n && m->has_datatype && m->has_timestamp);
            assert_true(m->wire != SPB_W_NONE || m->is_null);
            if (!m->has_alias)
                continue;
            assert_false(seen[m->alias]);
            seen[m->alias] = true;
        }
    unmake(&f);
}

static void the_sequence_starts_at_0_and_wraps_after_255(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    unsigned want = 0;
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < f.n; i++) {
            assert_true(f.payloads[i].has_seq);
            assert_int_equal(f.payloads[i].seq, want);
            want = (want + 1) & 255;
        }
        f.n = 0;
        spb_edge_data(f.edge, &f.arena, T0 + (round + 1) * 60000);
        arena_reset(&f.arena);
        assert_true(f.n > 0);
    }
    f.n = 0;
    spb_edge_birth(f.edge, &f.arena, T0);
    assert_int_equal(f.payloads[0].seq, 0); /* a rebirth starts again */
    unmake(&f);
}

static void data_tells_only_what_changed_by_alias_alone(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    size_t born = f.payloads[0].n;
    f.n = 0;
    spb_edge_data(f.edge, &f.arena, T0);
    assert_int_equal(f.n, 0);
    spb_edge_data(f.edge, &f.arena, T0 + 1000);
    assert_int_equal(f.topics[0].kind, SPB_NDATA);
    assert_true(f.payloads[0].n > 0 && f.payloads[0].n < born);
    for (size_t i = 0; i < f.payloads[0].n; i++) {
        const struct spb_metric *m = &f.payloads[0].metrics[i];
        assert_true(m->has_alias && !m->name.n && !m->has_datatype && m->has_timestamp);
    }
    unmake(&f);
}

static void nothing_is_said_before_the_birth_or_after_the_death(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, false);
    connect_as(&f, 3, NULL);
    spb_edge_data(f.edge, &f.arena, T0);
    spb_edge_death(f.edge, T0);
    assert_int_equal(f.n, 0);
    spb_edge_birth(f.edge, &f.arena, T0);
    f.n = 0;
    spb_edge_death(f.edge, T0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.topics[0].kind, SPB_NDEATH);
    assert_false(f.payloads[0].has_seq);
    assert_int_equal(metric(&f.payloads[0], "bdSeq")->u, 3);
    spb_edge_data(f.edge, &f.arena, T0 + 99000);
    assert_int_equal(f.n, 1);
    unmake(&f);
}

static void a_rebirth_request_needs_the_value_true(void **state)
{
    (void)state;
    struct fixture f;
    unsigned effects;
    struct spb_out_metric m = {.name = STR("Node Control/Rebirth"),
                               .with_datatype = true,
                               .value = {.datatype = SPB_BOOLEAN, .cls = SPB_V_BOOL, .b = true}};
    make(&f, false);
    connect_as(&f, 0, NULL);
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &m, ERR_OK, &effects);
    assert_int_equal(effects, SPB_EDGE_REBIRTH);
    m.value.b = false;
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &m, ERR_OK, &effects);
    assert_int_equal(effects, 0);
    command(&f, "spBv1.0/sim/NCMD/somebody", &m, ERR_NOTFOUND, &effects);
    command(&f, "spBv1.0/sim/DCMD/sim-t-00001/nobody", &m, ERR_NOTFOUND, &effects);
    command(&f, "spBv1.0/sim/NDATA/sim-t-00001", &m, ERR_NOTFOUND, &effects);
    assert_int_equal(spb_edge_command(f.edge, &f.arena,
                                      (struct str)STR("spBv1.0/sim/NCMD/sim-t-00001"),
                                      (struct str)STR("\x12\xff\x01"), &effects),
                     ERR_TRUNCATED);
    unmake(&f);
}

static void a_written_metric_changes_the_resource_it_shows(void **state)
{
    (void)state;
    struct fixture f;
    unsigned effects;
    struct lw_value v;
    struct spb_out_metric m = {.name = STR("Fan/Level"),
                               .value = {.datatype = SPB_INT32, .cls = SPB_V_INT, .i = 17}};
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &m, ERR_OK, &effects);
    assert_int_equal(effects, SPB_EDGE_CHANGED);
    assert_true(tree_read(&f.tree, lw_path_of(3, 3306, 0, 5851, 0), T0, &v));
    assert_int_equal(v.i, 17);
    f.n = 0;
    spb_edge_data(f.edge, &f.arena, T0);
    assert_int_equal(f.payloads[0].n, 1);
    assert_int_equal(f.payloads[0].metrics[0].u, 17);
    unmake(&f);
}

static void own_and_device_metrics_keep_what_was_written(void **state)
{
    (void)state;
    struct fixture f;
    unsigned effects;
    struct spb_out_metric mode = {
        .name = STR("Mode"),
        .value = {.datatype = SPB_STRING, .cls = SPB_V_TEXT, .s = STR("party")}};
    struct spb_out_metric target = {
        .name = STR("Target"), .value = {.datatype = SPB_FLOAT, .cls = SPB_V_FLOAT, .f = 12.5}};
    make(&f, false);
    connect_as(&f, 0, NULL);
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &mode, ERR_OK, &effects);
    assert_int_equal(effects, SPB_EDGE_CHANGED);
    command(&f, "spBv1.0/sim/DCMD/sim-t-00001/damper-1", &target, ERR_OK, &effects);
    assert_int_equal(effects, SPB_EDGE_CHANGED);
    spb_edge_birth(f.edge, &f.arena, T0);
    assert_true(str_is(metric(&f.payloads[0], "Mode")->s, "party"));
    assert_true(metric(&f.payloads[1], "Target")->f == 12.5);
    unmake(&f);
}

static void read_only_and_unknown_metrics_are_passed_over(void **state)
{
    (void)state;
    struct fixture f;
    unsigned effects;
    struct spb_out_metric m = {.name = STR("Environment/Temperature"),
                               .value = {.datatype = SPB_DOUBLE, .cls = SPB_V_FLOAT, .f = 1}};
    make(&f, false);
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &m, ERR_OK, &effects);
    assert_int_equal(effects, 0);
    m.name = (struct str)STR("No such");
    command(&f, "spBv1.0/sim/NCMD/sim-t-00001", &m, ERR_OK, &effects);
    assert_int_equal(effects, 0);
    unmake(&f);
}

static void history_is_marked_and_in_order(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    f.n = 0;
    size_t metrics = spb_edge_history_metrics(f.edge);
    spb_edge_history(f.edge, &f.arena, T0 - 6000000, 60000, 100, T0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.payloads[0].n, 100 * metrics);
    assert_int_equal(f.messages[0].historical, 100 * metrics);
    uint64_t before = 0;
    for (size_t i = 0; i < f.payloads[0].n; i++) {
        const struct spb_metric *m = &f.payloads[0].metrics[i];
        assert_true(m->is_historical && m->timestamp >= before);
        before = m->timestamp;
    }
    assert_int_equal(before, T0 - 6000000 + 99 * 60000);
    unmake(&f);
}

static void scenarios_skip_numbers_and_shift_times(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, false);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    uint64_t last = f.payloads[f.n - 1].seq;
    f.n = 0;
    spb_edge_skip(f.edge, 3);
    spb_edge_set_skew(f.edge, 1000000);
    spb_edge_data(f.edge, &f.arena, T0 + 60000);
    assert_int_equal(f.payloads[0].seq, last + 4);
    assert_int_equal(f.payloads[0].timestamp, T0 + 1060000);
    assert_int_equal(f.payloads[0].metrics[0].timestamp, T0 + 1060000);
    unmake(&f);
}

static void short_topics_speak_as_prototypes_do(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, true);
    connect_as(&f, 0, NULL);
    spb_edge_birth(f.edge, &f.arena, T0);
    assert_int_equal(f.n, 1);
    assert_true(f.topics[0].is_short);
    assert_int_equal(f.topics[0].kind, SPB_DBIRTH);
    assert_null(metric(&f.payloads[0], "bdSeq"));
    f.n = 0;
    spb_edge_data(f.edge, &f.arena, T0 + 60000);
    assert_int_equal(f.topics[0].kind, SPB_DDATA);
    assert_true(f.payloads[0].metrics[0].name.n && !f.payloads[0].metrics[0].has_alias);
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_birth_carries_the_bdseq_of_the_will),
        cmocka_unit_test(births_name_and_type_everything_with_distinct_aliases),
        cmocka_unit_test(the_sequence_starts_at_0_and_wraps_after_255),
        cmocka_unit_test(data_tells_only_what_changed_by_alias_alone),
        cmocka_unit_test(nothing_is_said_before_the_birth_or_after_the_death),
        cmocka_unit_test(a_rebirth_request_needs_the_value_true),
        cmocka_unit_test(a_written_metric_changes_the_resource_it_shows),
        cmocka_unit_test(own_and_device_metrics_keep_what_was_written),
        cmocka_unit_test(read_only_and_unknown_metrics_are_passed_over),
        cmocka_unit_test(history_is_marked_and_in_order),
        cmocka_unit_test(scenarios_skip_numbers_and_shift_times),
        cmocka_unit_test(short_topics_speak_as_prototypes_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
