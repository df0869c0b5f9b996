/* The LwM2M client: registration, and every operation with its refusals. */
#include "client_fixture.h"

static void registration_carries_objects_and_first_values(void **state)
{
    (void)state;
    struct fixture f;
    bool manufacturer = false;
    setup(&f);
    lwm2m_client_up(f.client, &f.arena, true, f.now);
    const struct lw_uplink *u = &f.said[0];
    assert_int_equal(u->kind, LW_UP_REGISTER);
    assert_true(u->reg.has_lifetime && u->reg.lifetime == 300);
    assert_true(u->reg.has_objects && u->reg.links.n > 7);
    for (size_t i = 0; i < u->values.n; i++)
        if (lw_path_eq(u->values.v[i].path, lw_path_of(3, 3, 0, 0, 0)))
            manufacturer = str_is(u->values.v[i].value.s, "Braid Works");
    assert_true(manufacturer);
    assert_false(lwm2m_client_is_registered(f.client));
    confirm(&f, LW_CREATED);
    assert_true(f.effects & LWM2M_REGISTERED);
    assert_true(lwm2m_client_is_registered(f.client));
    teardown(&f);
}

static void an_unanswered_registration_is_repeated(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    lwm2m_client_up(f.client, &f.arena, true, f.now);
    pass(&f, 9000);
    assert_int_equal(f.n, 1);
    pass(&f, 1500);
    assert_int_equal(f.n, 2);
    pass(&f, 15000);
    assert_int_equal(f.n, 2); /* the pause grows */
    pass(&f, 6000);
    assert_int_equal(f.n, 3);
    teardown(&f);
}

static void an_answer_to_an_older_registration_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    lwm2m_client_up(f.client, &f.arena, true, f.now);
    pass(&f, 11000);
    struct lw_downlink ack = {
        .op = LW_DOWN_ACK, .token = f.said[0].token, .ack_of = LW_UP_REGISTER, .code = LW_CREATED};
    (void)lwm2m_client_handle(f.client, &f.arena, &ack, f.now);
    assert_false(lwm2m_client_is_registered(f.client));
    confirm(&f, LW_CREATED);
    assert_true(lwm2m_client_is_registered(f.client));
    teardown(&f);
}

static void an_update_comes_before_the_lifetime_runs_out(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    pass(&f, 200000);
    assert_int_equal(f.n, 0);
    pass(&f, 26000);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.said[0].kind, LW_UP_UPDATE);
    confirm(&f, LW_CHANGED);
    pass(&f, 200000);
    assert_int_equal(f.n, 1);
    teardown(&f);
}

static void a_forgotten_registration_is_made_anew(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    pass(&f, 226000);
    confirm(&f, LW_NOT_FOUND);
    assert_int_equal(f.said[f.n - 1].kind, LW_UP_REGISTER);
    teardown(&f);
}

static void three_unanswered_updates_lead_to_a_registration(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    pass(&f, 226000);
    pass(&f, 61000);
    pass(&f, 61000);
    assert_int_equal(f.said[f.n - 1].kind, LW_UP_UPDATE);
    pass(&f, 61000);
    assert_int_equal(f.said[f.n - 1].kind, LW_UP_REGISTER);
    teardown(&f);
}

static void a_lost_connection_updates_but_a_reboot_registers(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    lwm2m_client_down(f.client);
    pass(&f, 1000000);
    assert_int_equal(f.n, 0); /* silent without a connection */
    lwm2m_client_up(f.client, &f.arena, false, f.now);
    assert_int_equal(f.said[0].kind, LW_UP_UPDATE);
    lwm2m_client_down(f.client);
    lwm2m_client_up(f.client, &f.arena, true, f.now);
    assert_int_equal(f.said[1].kind, LW_UP_REGISTER);
    teardown(&f);
}

static void operations_answer_with_the_codes_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        lw_code want;
    } rows[] = {
        {"{\"op\":\"read\",\"path\":\"/3/0/0\"}", 205},
        {"{\"op\":\"read\",\"path\":\"/3/0\"}", 205},
        {"{\"op\":\"read\",\"path\":\"/3303\"}", 205},
        {"{\"op\":\"read\",\"path\":\"/3/0/11/0\"}", 205},
        {"{\"op\":\"read\",\"path\":\"/3/0/11/9\"}", 404},
        {"{\"op\":\"read\",\"path\":\"/3/0/0/0\"}", 405},
        {"{\"op\":\"read\",\"path\":\"/3/0/4\"}", 405},
        {"{\"op\":\"read\",\"path\":\"/3/1\"}", 404},
        {"{\"op\":\"read\",\"path\":\"/3/0/77\"}", 404},
        {"{\"op\":\"read\",\"path\":\"/0/0/0\"}", 401},
        {"{\"op\":\"read\",\"path\":\"/4711\"}", 404},
        {"{\"op\":\"read\",\"path\":\"/5/0/0\"}", 405},
        {"{\"op\":\"discover\",\"path\":\"/3\"}", 205},
        {"{\"op\":\"discover\",\"path\":\"/9\"}", 404},
        {"{\"op\":\"write\",\"path\":\"/3/0/14\",\"mode\":\"replace\",\"value\":\"+01:00\"}", 204},
        {"{\"op\":\"write\",\"path\":\"/3/0/0\",\"mode\":\"replace\",\"value\":\"x\"}", 405},
        {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"mode\":\"replace\",\"value\":-1}", 400},
        {"{\"op\":\"write\",\"path\":\"/0/0/1\",\"mode\":\"replace\",\"value\":1}", 401},
        {"{\"op\":\"write\",\"path\":\"/3306/9/5850\",\"mode\":\"replace\",\"value\":true}", 404},
        {"{\"op\":\"execute\",\"path\":\"/3303/0/5605\"}", 204},
        {"{\"op\":\"execute\",\"path\":\"/3303/0/5700\"}", 405},
        {"{\"op\":\"execute\",\"path\":\"/3303/0\"}", 405},
        {"{\"op\":\"execute\",\"path\":\"/1/0/9\"}", 405},
        {"{\"op\":\"execute\",\"path\":\"/1/0/8\",\"args\":\"0='U'\"}", 204},
        {"{\"op\":\"execute\",\"path\":\"/1/0/8\",\"args\":\"0='U'x\"}", 400},
        {"{\"op\":\"execute\",\"path\":\"/1/0/8\",\"args\":\"0,0\"}", 400},
        {"{\"op\":\"create\",\"path\":\"/3\",\"instance\":1,\"values\":[]}", 405},
        {"{\"op\":\"create\",\"path\":\"/6\",\"values\":[]}", 400},
        {"{\"op\":\"create\",\"path\":\"/4711\",\"values\":[]}", 404},
        {"{\"op\":\"delete\",\"path\":\"/3/0\"}", 405},
        {"{\"op\":\"delete\",\"path\":\"/1/0\"}", 405},
        {"{\"op\":\"delete\",\"path\":\"/3303\"}", 405},
        {"{\"op\":\"delete\",\"path\":\"/3303/5\"}", 404},
        {"{\"op\":\"delete\",\"path\":\"/3/0/11/0\"}", 405},
        {"{\"op\":\"observe\",\"path\":\"/3303/0/5700\"}", 205},
        {"{\"op\":\"observe\",\"path\":\"/3/0/4\"}", 405},
        {"{\"op\":\"cancel\",\"observation\":\"nobody\"}", 404},
        {"{\"op\":\"write-attributes\",\"path\":\"/3303/0/5700\",\"attributes\":{\"pmin\":1}}",
         204},
        {"{\"op\":\"write-attributes\",\"path\":\"/3303/9\",\"attributes\":{\"pmin\":1}}", 404},
        {"{\"op\":\"write-attributes\",\"path\":\"/3303/0/5700\","
         "\"attributes\":{\"lt\":5,\"gt\":6,\"st\":1}}",
         400},
        {"{\"op\":\"read-composite\",\"paths\":[\"/3/0/0\",\"/4711/0\"]}", 205},
        {"{\"op\":\"read-composite\",\"paths\":[\"/0\"]}", 401},
        {"{\"op\":\"write-composite\",\"values\":[{\"path\":\"/3/0/0\",\"value\":\"x\"}]}", 405},
        {"{\"op\":\"observe-composite\",\"paths\":[\"/3/0/9\",\"/3303/0/5700\"]}", 205},
    };
    struct fixture f;
    setup_registered(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct lw_uplink *u = command(&f, rows[i].json);
        if (u->code != rows[i].want)
            print_error("%s: %u, not %u\n", rows[i].json, u->code, rows[i].want);
        assert_int_equal(u->code, rows[i].want);
        assert_int_equal(u->error.p == NULL, lw_code_ok(u->code));
    }
    teardown(&f);
}

static void reads_give_typed_values_below_the_path(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    const struct lw_uplink *u = command(&f, "{\"op\":\"read\",\"path\":\"/3306/0\"}");
    assert_int_equal(u->values.n, 3);
    assert_int_equal(u->values.v[1].value.type, LW_BOOLEAN);
    u = command(&f, "{\"op\":\"read\",\"path\":\"/3/0/2\"}");
    assert_true(str_is(u->values.v[0].value.s, "sim-t-00001"));
    teardown(&f);
}

static void writing_the_lifetime_updates_at_once(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(
        code_of(&f, "{\"op\":\"write\",\"path\":\"/1/0/1\",\"mode\":\"replace\",\"value\":60}"),
        LW_CHANGED);
    assert_int_equal(f.n, 2);
    assert_int_equal(f.said[1].kind, LW_UP_UPDATE);
    assert_int_equal(f.said[1].reg.lifetime, 60);
    confirm(&f, LW_CHANGED);
    f.n = 0;
    pass(&f, 46000);
    assert_int_equal(f.n, 1); /* the next one already follows the new lifetime */
    teardown(&f);
}

static void a_write_is_all_or_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"write\",\"path\":\"/3306/0\",\"mode\":\"update\","
                                 "\"values\":[{\"path\":\"/3306/0/5851\",\"value\":1},"
                                 "{\"path\":\"/3306/0/5518\",\"value\":1}]}"),
                     LW_NOT_ALLOWED);
    assert_int_equal(value_at(&f, 3306, 0, 5851).i, 60);
    assert_int_equal(code_of(&f, "{\"op\":\"write-composite\",\"values\":["
                                 "{\"path\":\"/3306/0/5851\",\"value\":2},"
                                 "{\"path\":\"/3/0/0\",\"value\":\"x\"}]}"),
                     LW_NOT_ALLOWED);
    assert_int_equal(value_at(&f, 3306, 0, 5851).i, 60);
    teardown(&f);
}

static void replace_removes_what_update_keeps(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"write\",\"path\":\"/3306/0\",\"mode\":\"update\","
                                 "\"values\":[{\"path\":\"/3306/0/5851\",\"value\":5}]}"),
                     LW_CHANGED);
    assert_true(str_is(value_at(&f, 3306, 0, 5750).s, "fan"));
    assert_int_equal(code_of(&f, "{\"op\":\"write\",\"path\":\"/3306/0\",\"mode\":\"replace\","
                                 "\"values\":[{\"path\":\"/3306/0/5851\",\"value\":6}]}"),
                     LW_CHANGED);
    assert_int_equal(value_at(&f, 3306, 0, 5851).i, 6);
    assert_true(value_at(&f, 3306, 0, 5850).b); /* mandatory: stays */
    assert_null(tree_find(lwm2m_client_tree(f.client), lw_path_of(3, 3306, 0, 5750, 0)));
    teardown(&f);
}

static void created_instances_can_be_read_and_deleted(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    const struct lw_uplink *u =
        command(&f, "{\"op\":\"create\",\"path\":\"/3303\",\"instance\":4,"
                    "\"values\":[{\"path\":\"/3303/4/5750\",\"value\":\"new\"}]}");
    assert_int_equal(u->code, LW_CREATED);
    assert_true(u->has_created && lw_path_eq(u->created, lw_path_of(2, 3303, 4, 0, 0)));
    assert_int_equal(f.said[1].kind, LW_UP_UPDATE); /* with the new object list */
    assert_true(f.said[1].reg.has_objects);
    assert_true(value_at(&f, 3303, 4, 5700).f == 0); /* mandatory, read-only */
    assert_int_equal(code_of(&f, "{\"op\":\"create\",\"path\":\"/3303\",\"instance\":4,"
                                 "\"values\":[]}"),
                     LW_BAD_REQUEST);
    assert_int_equal(code_of(&f, "{\"op\":\"delete\",\"path\":\"/3303/4\"}"), LW_DELETED);
    assert_int_equal(code_of(&f, "{\"op\":\"read\",\"path\":\"/3303/4\"}"), LW_NOT_FOUND);
    u = command(&f, "{\"op\":\"create\",\"path\":\"/3303\",\"values\":[]}");
    assert_true(lw_path_eq(u->created, lw_path_of(2, 3303, 2, 0, 0))); /* the lowest free one */
    teardown(&f);
}

static void a_failed_create_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"create\",\"path\":\"/3306\",\"instance\":3,"
                                 "\"values\":[{\"path\":\"/3306/3/5851\",\"value\":1}]}"),
                     LW_BAD_REQUEST); /* 5850 is mandatory and only the server can set it */
    assert_int_equal(code_of(&f, "{\"op\":\"read\",\"path\":\"/3306/3\"}"), LW_NOT_FOUND);
    teardown(&f);
}

static void executes_have_their_effects(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    (void)command(&f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_int_equal(f.effects, LWM2M_REBOOT);
    (void)command(&f, "{\"op\":\"execute\",\"path\":\"/1/0/4\"}");
    assert_int_equal(f.effects, LWM2M_DISABLE);
    assert_int_equal(lwm2m_client_disable_s(f.client), 30);
    (void)command(&f, "{\"op\":\"execute\",\"path\":\"/3/0/5\"}");
    assert_int_equal(f.effects, LWM2M_REBOOT | LWM2M_FACTORY_RESET);
    (void)command(&f, "{\"op\":\"execute\",\"path\":\"/1/0/8\"}");
    f.n = 0;
    pass(&f, 1);
    assert_int_equal(f.said[0].kind, LW_UP_UPDATE);
    teardown(&f);
}

static void a_factory_reset_forgets_what_was_written(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    (void)command(&f, "{\"op\":\"write\",\"path\":\"/3306/0/5851\",\"mode\":\"replace\","
                      "\"value\":1}");
    assert_int_equal(lwm2m_client_factory_reset(f.client), ERR_OK);
    assert_int_equal(value_at(&f, 3306, 0, 5851).i, 60);
    teardown(&f);
}

static void discover_shows_attributes_versions_and_dimensions(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    (void)command(&f, "{\"op\":\"write-attributes\",\"path\":\"/3303/0/5700\","
                      "\"attributes\":{\"pmin\":2,\"gt\":25.5}}");
    const struct lw_uplink *u = command(&f, "{\"op\":\"discover\",\"path\":\"/3303\"}");
    char *text = strndup(u->payload.p, u->payload.n);
    assert_non_null(strstr(text, "</3303>;ver=1.1"));
    assert_non_null(strstr(text, "</3303/0/5700>;pmin=2;gt=25.5"));
    assert_non_null(strstr(text, "</3303/0/5605>"));
    free(text);
    u = command(&f, "{\"op\":\"discover\",\"path\":\"/3/0\"}");
    text = strndup(u->payload.p, u->payload.n);
    assert_non_null(strstr(text, "</3/0/11>;dim=1"));
    free(text);
    teardown(&f);
}

static void send_reports_what_moves_unless_muted(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    lwm2m_client_send(f.client, &f.arena, f.now);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.said[0].kind, LW_UP_SEND);
    assert_true(f.said[0].values.n >= 3);
    assert_int_equal(f.said[0].values.v[0].time_ms, T0);
    (void)command(&f,
                  "{\"op\":\"write\",\"path\":\"/1/0/23\",\"mode\":\"replace\",\"value\":true}");
    f.n = 0;
    lwm2m_client_send(f.client, &f.arena, f.now);
    assert_int_equal(f.n, 0);
    teardown(&f);
}

static void samples_widen_the_measured_range(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    for (int i = 0; i < 48; i++) {
        f.now.utc_ms += 1800000;
        lwm2m_client_sample(f.client, f.now);
        double v = value_at(&f, 3303, 0, 5700).f;
        assert_true(value_at(&f, 3303, 0, 5601).f <= v);
        assert_true(value_at(&f, 3303, 0, 5602).f >= v);
    }
    assert_true(value_at(&f, 3303, 0, 5602).f > value_at(&f, 3303, 0, 5601).f + 2);
    (void)command(&f, "{\"op\":\"execute\",\"path\":\"/3303/0/5605\"}");
    assert_true(value_at(&f, 3303, 0, 5602).f == value_at(&f, 3303, 0, 5601).f);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registration_carries_objects_and_first_values),
        cmocka_unit_test(an_unanswered_registration_is_repeated),
        cmocka_unit_test(an_answer_to_an_older_registration_does_not_count),
        cmocka_unit_test(an_update_comes_before_the_lifetime_runs_out),
        cmocka_unit_test(a_forgotten_registration_is_made_anew),
        cmocka_unit_test(three_unanswered_updates_lead_to_a_registration),
        cmocka_unit_test(a_lost_connection_updates_but_a_reboot_registers),
        cmocka_unit_test(operations_answer_with_the_codes_of_the_specification),
        cmocka_unit_test(reads_give_typed_values_below_the_path),
        cmocka_unit_test(writing_the_lifetime_updates_at_once),
        cmocka_unit_test(a_write_is_all_or_nothing),
        cmocka_unit_test(replace_removes_what_update_keeps),
        cmocka_unit_test(created_instances_can_be_read_and_deleted),
        cmocka_unit_test(a_failed_create_leaves_nothing_behind),
        cmocka_unit_test(executes_have_their_effects),
        cmocka_unit_test(a_factory_reset_forgets_what_was_written),
        cmocka_unit_test(discover_shows_attributes_versions_and_dimensions),
        cmocka_unit_test(send_reports_what_moves_unless_muted),
        cmocka_unit_test(samples_widen_the_measured_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
