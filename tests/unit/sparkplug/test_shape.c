/* What births say, kept once for like nodes; and metrics put back after a restart. */
#include "node_fixture.h"

#include <unistd.h>

static struct spb_node *another(struct fx *f, const char *name)
{
    const struct spb_node_options o = {.reorder_ms = 2000, .rebirth_interval_ms = 5000};
    struct spb_node *n = spb_node_new(str_of("G"), str_of(name), &o, f->shapes, &fx_sink, f);
    assert_non_null(n);
    return n;
}

/* A birth with `m` besides what every birth has. */
static void bear(struct fx *f, struct spb_node *n, struct spb_out_metric m)
{
    struct spb_out_metric v[] = {integer("bdSeq", 3), boolean("Node Control/Rebirth", false), m};
    struct spb_out p = {.timestamp = (uint64_t)T0, .has_seq = true, .metrics = v, .n = 3};
    struct spb_topic t = {.kind = SPB_NBIRTH, .group = spb_group_of(n), .node = spb_id_of(n)};
    struct buf bytes;
    buf_init(&bytes, 65536);
    assert_int_equal(spb_encode(&p, &bytes), ERR_OK);
    arena_reset(&f->scratch);
    spb_node_message(n, &t, buf_view(&bytes), &f->scratch, f->now);
    buf_fini(&bytes);
    check_node(n);
}

static void like_nodes_share_one_shape_and_others_have_their_own(void **state)
{
    struct fx *f = *state;
    struct spb_node *a = another(f, "A"), *b = another(f, "B"), *c = another(f, "C");
    struct spb_out_metric warm = real("Temp", 20), bar = real("Temp", 20);
    bar.unit = str_of("bar");
    bear(f, a, warm);
    bear(f, b, real("Temp", 30));
    bear(f, c, bar);
    assert_ptr_equal(a->scope.shape, b->scope.shape);
    assert_ptr_not_equal(a->scope.shape, c->scope.shape);
    assert_int_equal(spb_shapes_count(f->shapes), 2);
    bear(f, c, warm); /* not quite: the birth before said the same of everything */
    assert_ptr_equal(a->scope.shape, c->scope.shape);
    assert_int_equal(spb_shapes_count(f->shapes), 1);
    bear(f, b, real("Other", 1)); /* Temp keeps its place, announced no more */
    assert_int_equal(spb_shape_name(b->scope.shape, str_of("Temp")),
                     spb_shape_name(a->scope.shape, str_of("Temp")));
    assert_int_equal(spb_shapes_count(f->shapes), 2);
    spb_node_free(a);
    spb_node_free(b);
    spb_node_free(c);
    assert_int_equal(spb_shapes_count(f->shapes), 0);
}

static void an_alias_means_what_the_birth_in_force_says(void **state)
{
    struct fx *f = *state;
    struct spb_metric m = {.has_alias = true, .alias = 7};
    struct spb_tag tag;
    struct spb_node *a = another(f, "A");
    bear(f, a, with_alias(real("Temp", 20), 7));
    assert_true(spb_tag_lookup(a, NULL, &m, false, &tag));
    assert_true(str_is(tag.what->name, "Temp"));
    bear(f, a, with_alias(real("Other", 20), 7));
    assert_true(spb_tag_lookup(a, NULL, &m, false, &tag));
    assert_true(str_is(tag.what->name, "Other"));
    spb_tags_retract(a, NULL);
    assert_false(spb_tag_lookup(a, NULL, &m, false, &tag));
    spb_node_free(a);
}

static const struct spb_old_metric old[] = {
    {.name = STR("Temp"),
     .unit = STR("Cel"),
     .datatype = SPB_DOUBLE,
     .series = 11,
     .value = {.datatype = SPB_DOUBLE, .cls = SPB_V_FLOAT, .f = 21.5},
     .time_ms = T0 - 5},
    {.device = STR("D"),
     .name = STR("Name"),
     .unit = STR(""),
     .datatype = SPB_STRING,
     .series = 12,
     .value = {.datatype = SPB_STRING, .cls = SPB_V_TEXT, .s = STR("pump")}},
    {.device = STR("D"),
     .name = STR("Count"),
     .unit = STR(""),
     .datatype = SPB_INT32,
     .series = 13},
};

static void restored_metrics_are_stale_and_known_by_name_only(void **state)
{
    struct fx *f = *state;
    struct spb_tag_iter it = {0};
    struct spb_tag t;
    assert_int_equal(spb_node_restore_metrics(f->n, old, 3, &f->scratch), ERR_OK);
    check_node(f->n);
    for (uint32_t series = 11; series <= 13; series++) {
        assert_true(spb_node_next_tag(f->n, &it, &t));
        assert_int_equal(t.cell->series, series);
        assert_int_equal(t.cell->quality, SPB_Q_STALE);
        assert_false(t.announced);
    }
    assert_false(spb_node_next_tag(f->n, &it, &t));
    assert_true(tag(f, "", "Temp")->value.f == 21.5);
    assert_true(str_is(tag(f, "D", "Name")->value.s, "pump"));
    assert_int_equal(info(f).n_devices, 0); /* of D nothing but its metrics is known */
    assert_int_equal(spb_node_device(f->n, 0)->life, SPB_LIFE_UNKNOWN);
}

static void a_birth_finds_restored_metrics_again(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric same = real("Temp", 3);
    same.unit = str_of("Cel");
    assert_int_equal(spb_node_restore_metrics(f->n, old, 3, &f->scratch), ERR_OK);
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false), same);
    assert_int_equal(tag(f, "", "Temp")->cell->series, 11);
    assert_false(tag(f, "", "Temp")->cell->marks & SPB_MARK_RETYPED);
    say(f, G_D("DBIRTH"), 1, real("Count", 4)); /* it was an Int32 */
    assert_int_equal(tag(f, "D", "Count")->cell->series, 13);
    assert_true(tag(f, "D", "Count")->cell->marks & SPB_MARK_RETYPED);
    assert_false(tag(f, "D", "Name")->announced);
    assert_int_equal(info(f).n_devices_born, 1);
}

static void more_restored_metrics_than_a_node_may_have_are_refused(void **state)
{
    struct fx *f = *state;
    size_t n = SPB_MAX_TAGS + 1;
    struct spb_old_metric *v = test_calloc(n, sizeof *v);
    char *names = test_calloc(n, 8);
    for (size_t i = 0; i < n; i++) {
        snprintf(names + 8 * i, 8, "m%zu", i);
        v[i].name = str_of(names + 8 * i);
        v[i].unit = str_of("");
    }
    assert_int_equal(spb_node_restore_metrics(f->n, v, n, &f->scratch), ERR_FULL);
    assert_int_equal(spb_node_restore_metrics(f->n, v, n - 1, &f->scratch), ERR_OK);
    check_node(f->n);
    test_free(v);
    test_free(names);
}

static void a_restored_text_there_is_no_room_for_costs_no_series(void **state)
{
    struct fx *f = *state;
    struct spb_old_metric v[] = {old[1], old[1], old[2]};
    v[0].name = str_of("Big");
    v[0].value.s.n = SPB_MAX_TEXT_BYTES; /* with its slack, beyond the limit */
    char *text = test_calloc(1, SPB_MAX_TEXT_BYTES);
    v[0].value.s.p = text;
    assert_int_equal(spb_node_restore_metrics(f->n, v, 3, &f->scratch), ERR_OK);
    check_node(f->n);
    assert_int_equal(tag(f, "D", "Big")->value.cls, SPB_V_NULL);
    assert_int_equal(tag(f, "D", "Count")->cell->series, 13);
    assert_true(str_is(tag(f, "D", "Name")->value.s, "pump"));
    test_free(text);
}

static void a_full_node_may_name_one_metric_with_many_aliases(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric v[40];
    size_t n = SPB_MAX_TAGS;
    struct spb_old_metric *m = test_calloc(n, sizeof *m);
    char *names = test_calloc(n, 8);
    for (size_t i = 0; i < n; i++) {
        snprintf(names + 8 * i, 8, "m%zu", i);
        m[i] = (struct spb_old_metric){.name = str_of(names + 8 * i), .unit = STR("")};
        m[i].device = str_of(i ? "D" : "");
    }
    assert_int_equal(spb_node_restore_metrics(f->n, m, n, &f->scratch), ERR_OK);
    for (unsigned i = 0; i < 40; i++)
        v[i] = with_alias(real("m0", i), 100 + i);
    struct spb_out p = {.has_seq = true, .metrics = v, .n = 40};
    struct spb_topic t = {.kind = SPB_NBIRTH, .group = spb_group_of(f->n), .node = spb_id_of(f->n)};
    struct buf bytes;
    buf_init(&bytes, 65536);
    assert_int_equal(spb_encode(&p, &bytes), ERR_OK);
    arena_reset(&f->scratch);
    alarm(20); /* it once searched a full table for ever */
    spb_node_message(f->n, &t, buf_view(&bytes), &f->scratch, f->now);
    alarm(0);
    check_node(f->n);
    struct spb_metric last = {.has_alias = true, .alias = 139};
    struct spb_tag found;
    assert_true(spb_tag_lookup(f->n, NULL, &last, false, &found));
    assert_true(str_is(found.what->name, "m0"));
    buf_fini(&bytes);
    test_free(m);
    test_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(like_nodes_share_one_shape_and_others_have_their_own),
        T(an_alias_means_what_the_birth_in_force_says),
        T(restored_metrics_are_stale_and_known_by_name_only),
        T(a_birth_finds_restored_metrics_again),
        T(more_restored_metrics_than_a_node_may_have_are_refused),
        T(a_restored_text_there_is_no_room_for_costs_no_series),
        T(a_full_node_may_name_one_metric_with_many_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
