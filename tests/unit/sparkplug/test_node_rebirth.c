/* When the node is asked for a rebirth, and when it is left in peace. */
#include "node_fixture.h"

static void ask(struct fx *f, enum spb_cause cause, enum err expected)
{
    assert_int_equal(spb_node_rebirth(f->n, cause, f->now), expected);
    check_node(f->n);
}

static void request_is_an_ncmd_with_name_datatype_timestamp_and_no_seq(void **state)
{
    struct fx *f = *state;
    struct spb_payload p;
    struct spb_value v;
    ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_OK);
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: data before any birth\n");
    assert_int_equal(spb_decode(&f->scratch, buf_view(&f->published), &p), ERR_OK);
    assert_false(p.has_seq);
    assert_true(p.has_timestamp && p.timestamp == (uint64_t)T0);
    assert_int_equal(p.n, 1);
    assert_true(str_is(p.metrics[0].name, "Node Control/Rebirth"));
    assert_int_equal(p.metrics[0].datatype, SPB_BOOLEAN);
    assert_false(p.metrics[0].has_alias);
    assert_int_equal(spb_value_of(&f->scratch, &p.metrics[0], SPB_BOOLEAN, &v), ERR_OK);
    assert_true(v.b);
}

static void request_too_soon_is_planned_and_sent_when_its_time_comes(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    ask(f, SPB_CAUSE_UNKNOWN_METRIC, ERR_OK);
    forget(f);
    ask(f, SPB_CAUSE_UNKNOWN_ALIAS, ERR_AGAIN);
    ask(f, SPB_CAUSE_MALFORMED, ERR_AGAIN); /* one is planned: enough */
    heard(f, "");
    uint64_t due = spb_node_deadline(f->n);
    assert_in_range(due - f->now.mono_ms, 5000, 6250);
    pass(f, 4999);
    heard(f, "");
    pass(f, 1251);
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: data with an alias its birth did not name\n");
    assert_int_equal(info(f).rebirths_asked, 2);
}

static void unanswered_requests_double_their_distance_up_to_five_minutes(void **state)
{
    struct fx *f = *state;
    uint64_t expected = 5000;
    for (int i = 0; i < 12; i++) {
        ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_OK);
        uint64_t distance = f->n->rebirth_next - f->now.mono_ms;
        assert_in_range(distance, expected, expected + expected / 4);
        f->now.mono_ms = f->n->rebirth_next;
        expected = expected * 2 > 300000 ? 300000 : expected * 2;
    }
}

static void birth_that_answers_resets_the_distance(void **state)
{
    struct fx *f = *state;
    for (int i = 0; i < 4; i++) {
        ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_OK);
        f->now.mono_ms = f->n->rebirth_next;
    }
    born(f, 0);
    ask(f, SPB_CAUSE_SEQ_GAP, ERR_OK);
    assert_in_range(f->n->rebirth_next - f->now.mono_ms, 5000, 6250);
}

static void birth_that_cures_nothing_does_not_reset_the_distance(void **state)
{
    struct fx *f = *state;
    uint64_t last = 0;
    for (int i = 0; i < 8; i++) {
        born(f, 0);
        say(f, G_E("NDATA"), 1, real("Forgotten", 1));
        if (spb_node_deadline(f->n) != UINT64_MAX) {
            f->now.mono_ms = spb_node_deadline(f->n);
            spb_node_tick(f->n, f->now);
        }
        uint64_t distance = f->n->rebirth_next - f->now.mono_ms;
        assert_true(distance > last || distance >= 300000);
        last = distance;
    }
}

static void quiet_time_resets_the_distance(void **state)
{
    struct fx *f = *state;
    for (int i = 0; i < 4; i++) {
        ask(f, SPB_CAUSE_UNKNOWN_METRIC, ERR_OK);
        f->now.mono_ms = f->n->rebirth_next;
    }
    wait_ms(f, 3600000);
    ask(f, SPB_CAUSE_UNKNOWN_METRIC, ERR_OK);
    assert_in_range(f->n->rebirth_next - f->now.mono_ms, 5000, 6250);
}

static void a_request_that_may_not_go_out_yet_goes_once_it_may(void **state)
{
    struct fx *f = *state;
    f->may_not_ask = true;
    assert_int_equal(spb_node_rebirth(f->n, SPB_CAUSE_NOT_STORED, f->now), ERR_AGAIN);
    for (int i = 0; i < 5; i++)
        pass(f, 2000); /* asked again and again, and put off */
    heard(f, "");
    assert_true(spb_node_deadline(f->n) > f->now.mono_ms);
    f->may_not_ask = false;
    pass(f, 2000);
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: samples were lost for want of room\n");
    f->may_not_ask = true; /* operators decide for themselves */
    assert_int_equal(spb_node_rebirth(f->n, SPB_CAUSE_OPERATOR, f->now), ERR_OK);
}

static void operator_is_never_throttled(void **state)
{
    struct fx *f = *state;
    ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_OK);
    ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_AGAIN);
    ask(f, SPB_CAUSE_OPERATOR, ERR_OK);
    ask(f, SPB_CAUSE_OPERATOR, ERR_OK);
    assert_int_equal(info(f).rebirths_asked, 3);
    assert_int_equal(info(f).last_cause, SPB_CAUSE_OPERATOR);
    assert_int_equal(info(f).last_cause_ms, T0);
    assert_true(spb_node_deadline(f->n) == UINT64_MAX); /* the planned one is done with */
}

static void nodes_are_asked_again_at_different_moments(void **state)
{
    const struct spb_node_options o = {.reorder_ms = 2000, .rebirth_interval_ms = 5000};
    struct fx *f = *state;
    bool differ = false;
    ask(f, SPB_CAUSE_UNKNOWN_NODE, ERR_OK);
    for (int i = 0; i < 4 && !differ; i++) {
        char name[16];
        snprintf(name, sizeof name, "N%d", i);
        struct spb_node *other =
            spb_node_new(str_of("G"), str_of(name), &o, f->shapes, &fx_sink, f);
        assert_int_equal(spb_node_rebirth(other, SPB_CAUSE_UNKNOWN_NODE, f->now), ERR_OK);
        differ = other->rebirth_next != f->n->rebirth_next;
        spb_node_free(other);
    }
    assert_true(differ);
}

static void flood_of_data_before_birth_asks_once_per_interval(void **state)
{
    struct fx *f = *state;
    for (int i = 0; i < 600; i++) {
        say(f, G_E("NDATA"), i & 255, real("Temp", i));
        pass(f, 100);
    }
    /* a minute: at 0, 5-6, 15-19, 35-44 s */
    assert_in_range(info(f).rebirths_asked, 4, 4);
}

static void every_cause_has_words(void **state)
{
    (void)state;
    for (int i = 0; i < SPB_CAUSE_COUNT; i++)
        assert_true(strlen(spb_cause_words((enum spb_cause)i)) > 3);
    assert_string_equal(spb_cause_words((enum spb_cause)99), "no cause");
    assert_string_equal(spb_life_word(SPB_LIFE_STALE), "stale");
    assert_string_equal(spb_quality_word(SPB_Q_BAD_TIME), "bad_time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(request_is_an_ncmd_with_name_datatype_timestamp_and_no_seq),
        T(request_too_soon_is_planned_and_sent_when_its_time_comes),
        T(unanswered_requests_double_their_distance_up_to_five_minutes),
        T(birth_that_answers_resets_the_distance),
        T(birth_that_cures_nothing_does_not_reset_the_distance),
        T(quiet_time_resets_the_distance),
        T(a_request_that_may_not_go_out_yet_goes_once_it_may),
        T(operator_is_never_throttled),
        T(nodes_are_asked_again_at_different_moments),
        T(flood_of_data_before_birth_asks_once_per_interval),
        cmocka_unit_test(every_cause_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
