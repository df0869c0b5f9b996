/* Notifications: when an observation is due, and when it is not. */
#include "client_fixture.h"

/* Number of notifications within `seconds` of one-second ticks. */
static size_t notified(struct fixture *f, int seconds)
{
    size_t n = 0;
    for (int i = 0; i < seconds; i++) {
        f->n = 0;
        pass(f, 1000);
        for (size_t k = 0; k < f->n; k++)
            n += f->said[k].kind == LW_UP_NOTIFY;
    }
    return n;
}

static void write_level(struct fixture *f, int level)
{
    struct lw_value v = {.type = LW_INTEGER, .i = level};
    assert_int_equal(tree_set(lwm2m_client_tree(f->client), lw_path_of(3, 3306, 0, 5851, 0), v),
                     ERR_OK);
}

static void observe_level(struct fixture *f, const char *attributes)
{
    char json[200];
    snprintf(json, sizeof json, "{\"op\":\"observe\",\"path\":\"/3306/0/5851\",\"attributes\":%s}",
             attributes);
    assert_int_equal(code_of(f, json), LW_CONTENT);
}

static void a_change_is_told_once_and_stillness_never(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{\"pmax\":0}");
    assert_int_equal(notified(&f, 30), 0);
    write_level(&f, 7);
    assert_int_equal(notified(&f, 30), 1);
    teardown(&f);
}

static void a_notification_carries_token_and_value(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{}");
    write_level(&f, 9);
    f.n = 0;
    pass(&f, 1000);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.said[0].token.text, "tok1");
    assert_int_equal(f.said[0].values.v[0].value.i, 9);
    teardown(&f);
}

static void pmin_holds_back_and_pmax_reminds(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{\"pmin\":10,\"pmax\":20}");
    write_level(&f, 1);
    assert_int_equal(notified(&f, 9), 0);
    assert_int_equal(notified(&f, 2), 1);
    assert_int_equal(notified(&f, 18), 0);
    assert_int_equal(notified(&f, 3), 1);
    teardown(&f);
}

static void thresholds_are_told_when_they_are_crossed(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{\"gt\":80,\"lt\":20,\"pmin\":0,\"pmax\":0}"); /* 60 now */
    write_level(&f, 70);
    assert_int_equal(notified(&f, 3), 0);
    write_level(&f, 90);
    assert_int_equal(notified(&f, 3), 1);
    write_level(&f, 95);
    assert_int_equal(notified(&f, 3), 0);
    write_level(&f, 50);
    assert_int_equal(notified(&f, 3), 1);
    write_level(&f, 10);
    assert_int_equal(notified(&f, 3), 1);
    teardown(&f);
}

static void steps_are_measured_from_the_value_told_last(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{\"st\":5,\"pmin\":0,\"pmax\":0}");
    write_level(&f, 64);
    assert_int_equal(notified(&f, 2), 0);
    write_level(&f, 65);
    assert_int_equal(notified(&f, 2), 1);
    write_level(&f, 61);
    assert_int_equal(notified(&f, 2), 0);
    write_level(&f, 60);
    assert_int_equal(notified(&f, 2), 1);
    teardown(&f);
}

static void attached_attributes_count_unless_the_observe_has_its_own(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"write-attributes\",\"path\":\"/3306\","
                                 "\"attributes\":{\"pmax\":5}}"),
                     LW_CHANGED);
    observe_level(&f, "{}");
    assert_int_equal(notified(&f, 11), 2);
    assert_int_equal(code_of(&f, "{\"op\":\"write-attributes\",\"path\":\"/3306/0/5851\","
                                 "\"attributes\":{\"pmax\":3}}"),
                     LW_CHANGED); /* the nearer one */
    assert_int_equal(notified(&f, 9), 3);
    observe_level(&f, "{\"pmax\":9}");
    assert_int_equal(notified(&f, 9), 1);
    assert_int_equal(code_of(&f, "{\"op\":\"write-attributes\",\"path\":\"/3306/0/5851\","
                                 "\"attributes\":{\"pmax\":null}}"),
                     LW_CHANGED);
    teardown(&f);
}

static void rising_edges_alone_are_told(void **state)
{
    (void)state;
    struct fixture f;
    struct lw_value v = {.type = LW_BOOLEAN, .b = false};
    struct lw_path on = lw_path_of(3, 3306, 0, 5850, 0);
    setup_registered(&f);
    struct tree *t = lwm2m_client_tree(f.client);
    assert_int_equal(code_of(&f, "{\"op\":\"observe\",\"path\":\"/3306/0/5850\","
                                 "\"attributes\":{\"edge\":1,\"pmin\":0,\"pmax\":0}}"),
                     LW_CONTENT);
    assert_int_equal(tree_set(t, on, v), ERR_OK);
    assert_int_equal(notified(&f, 3), 0);
    v.b = true;
    assert_int_equal(tree_set(t, on, v), ERR_OK);
    assert_int_equal(notified(&f, 3), 1);
    teardown(&f);
}

static void composites_tell_all_their_paths(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"observe-composite\","
                                 "\"paths\":[\"/3306/0/5851\",\"/3/0/0\"]}"),
                     LW_CONTENT);
    write_level(&f, 3);
    f.n = 0;
    pass(&f, 1000);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.said[0].values.n, 2);
    teardown(&f);
}

static void a_cancelled_observation_and_a_new_registration_are_silent(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{\"pmax\":2}");
    assert_int_equal(code_of(&f, "{\"op\":\"cancel\",\"observation\":\"tok1\"}"), LW_CONTENT);
    assert_int_equal(notified(&f, 6), 0);
    observe_level(&f, "{\"pmax\":2}");
    lwm2m_client_up(f.client, &f.arena, true, f.now);
    confirm(&f, LW_CREATED);
    assert_int_equal(notified(&f, 6), 0);
    teardown(&f);
}

static void observing_twice_with_one_token_notifies_once(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    observe_level(&f, "{}");
    observe_level(&f, "{}");
    write_level(&f, 2);
    assert_int_equal(notified(&f, 2), 1);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_told_once_and_stillness_never),
        cmocka_unit_test(a_notification_carries_token_and_value),
        cmocka_unit_test(pmin_holds_back_and_pmax_reminds),
        cmocka_unit_test(thresholds_are_told_when_they_are_crossed),
        cmocka_unit_test(steps_are_measured_from_the_value_told_last),
        cmocka_unit_test(attached_attributes_count_unless_the_observe_has_its_own),
        cmocka_unit_test(rising_edges_alone_are_told),
        cmocka_unit_test(composites_tell_all_their_paths),
        cmocka_unit_test(a_cancelled_observation_and_a_new_registration_are_silent),
        cmocka_unit_test(observing_twice_with_one_token_notifies_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
