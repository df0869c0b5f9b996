/* Edges of a device's status, one shard without its thread: what our own absence leaves behind. */
#include "one_shard.h"

#define MANY 20000

static void pass(struct one_shard *f, int64_t ms)
{
    f->shard.now.mono_ms += (uint64_t)ms;
    f->shard.now.utc_ms += ms;
}

static void absent(struct one_shard *f, struct device *d, const char *kind)
{
    device_blind(d, kind);
    device_settle(d);
    assert_int_equal(d->verdict.status, BRAID_UNKNOWN);
    assert_true(verdict_since_ms(d) == f->shard.now.utc_ms);
}

static size_t stored(const char *start)
{
    size_t n = 0;
    for (size_t i = 0; i < world.n_stored; i++)
        n += strncmp(world.stored[i], start, strlen(start)) == 0;
    return n;
}

static void a_device_that_comes_back_as_it_was_has_nothing_new_on_its_timeline(void **state)
{
    struct one_shard *f = *state;
    struct device *d = online(f, 7);
    world_forget();
    pass(f, 1000);
    absent(f, d, "restart");
    assert_int_equal(stored(""), 0); /* gathered, not one by one */
    verdict_store_missed(&f->shard);
    assert_non_null(world_find(STORED, "devices_missed {7}|Unknown: Braid restarted and nothing "
                                       "has been heard since.|1700000001000"));
    pass(f, 1000);
    device_heard(d, false, "update");
    device_settle(d);
    assert_int_equal(d->verdict.status, BRAID_ONLINE);
    assert_true(verdict_since_ms(d) == THEN_MS);
    assert_non_null(world_find(STORED, "device_status 7|online|Online over LwM2M"));
    assert_non_null(world_find(STORED, "|up|1700000000000"));
    assert_int_equal(stored("timeline_put"), 0);
    pass(f, 1000000);
    verdict_tell_late(d);
    assert_int_equal(stored("timeline_put"), 0);
}

static void one_that_comes_back_otherwise_is_told_of_our_absence_first(void **state)
{
    struct one_shard *f = *state;
    struct device *d = online(f, 7);
    world_forget();
    pass(f, 1000);
    absent(f, d, "broker_lost");
    pass(f, 1000);
    device_died(d, "lost");
    d->judge = true;
    device_settle(d);
    assert_int_equal(d->verdict.status, BRAID_LOST);
    assert_true(verdict_since_ms(d) == THEN_MS + 2000);
    assert_int_equal(world.n_stored, 4);
    assert_non_null(strstr(world.stored[0], "timeline_put 7|1700000001000|status|braid|unknown: "
                                            "Unknown: Braid lost its broker connection"));
    assert_non_null(strstr(world.stored[1], "timeline_put 7|1700000002000|status|braid|lost: "));
    assert_non_null(strstr(world.stored[2], "devices_missed {7}|")); /* before what came after */
    assert_non_null(strstr(world.stored[3], "device_status 7|lost|"));
}

static void one_that_stays_away_is_told_of_our_absence_after_a_while(void **state)
{
    struct one_shard *f = *state;
    struct device *d = online(f, 7);
    world_forget();
    pass(f, 1000);
    absent(f, d, "restart");
    pass(f, 60000);
    verdict_tell_late(d);
    assert_int_equal(stored("timeline_put"), 0);
    pass(f, 600000);
    verdict_tell_late(d);
    verdict_tell_late(d);
    assert_int_equal(stored("timeline_put"), 1);
    assert_non_null(world_find(STORED, "timeline_put 7|1700000001000|status|braid|unknown: "));
    assert_true(verdict_since_ms(d) == THEN_MS + 1000);
    pass(f, 1000); /* and so its return is news */
    device_heard(d, false, "update");
    device_settle(d);
    assert_non_null(world_find(STORED, "timeline_put 7|1700000662000|status|braid|online: "));
}

static void a_second_absence_keeps_what_was_true_before_the_first(void **state)
{
    struct one_shard *f = *state;
    struct device *d = online(f, 7);
    world_forget();
    pass(f, 1000);
    absent(f, d, "restart");
    pass(f, 1000);
    absent(f, d, "broker_lost");
    device_heard(d, false, "update");
    device_settle(d);
    assert_int_equal(d->verdict.status, BRAID_ONLINE);
    assert_true(verdict_since_ms(d) == THEN_MS);
    assert_int_equal(stored("timeline_put"), 0);
}

static void a_fleet_is_missed_in_a_few_statements(void **state)
{
    struct one_shard *f = *state;
    size_t ids = 0;
    for (int64_t id = 1; id <= MANY; id++)
        online(f, id);
    world_forget();
    size_t it = 0;
    for (struct device *d; (d = map_next(&f->shard.by_endpoint, &it));)
        absent(f, d, "restart");
    verdict_store_missed(&f->shard);
    verdict_store_missed(&f->shard);
    assert_int_equal(stored("devices_missed"), world.n_stored);
    assert_in_range(world.n_stored, 1, 10);
    for (size_t i = 0; i < world.n_stored; i++)
        for (const char *at = world.stored[i]; *at && *at != '|'; at++)
            ids += *at == '{' || *at == ',';
    assert_int_equal(ids, MANY);
    assert_int_equal(metric_get(f->engine.metrics, M_DEV_NEVER + (enum metric)BRAID_UNKNOWN), MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_device_that_comes_back_as_it_was_has_nothing_new_on_its_timeline, begin, end),
        cmocka_unit_test_setup_teardown(one_that_comes_back_otherwise_is_told_of_our_absence_first,
                                        begin, end),
        cmocka_unit_test_setup_teardown(one_that_stays_away_is_told_of_our_absence_after_a_while,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_second_absence_keeps_what_was_true_before_the_first,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_fleet_is_missed_in_a_few_statements, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
