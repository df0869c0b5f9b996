/* Values: aliases, types, nulls, times, qualities, prototypes' topics (3.0 section 6.4). */
#include "node_fixture.h"

/* Only there in sanitized builds, which is where this test means something. */
extern int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *,
                                                                       size_t),
                                                     void (*on_free)(const volatile void *))
    __attribute__((weak));

static size_t allocations; /* counted by the hook, the one thing it can reach */

static void count_malloc(const volatile void *p, size_t n)
{
    (void)p;
    (void)n;
    allocations++;
}

static void ignore_free(const volatile void *p)
{
    (void)p;
}

static void alias_stands_for_name_and_datatype_of_the_birth(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric i8 = typed("Level", SPB_INT8, SPB_V_INT);
    i8.value.i = -5;
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        with_alias(i8, 300));
    forget(f);
    i8.value.i = -77;
    say(f, G_E("NDATA"), 1, only_alias(i8, 300));
    heard(f, "sample Level = -77 good at 0\n");
}

static void device_s_alias_comes_before_the_node_s(void **state)
{
    struct fx *f = *state;
    born(f, 0); /* Temp has alias 1 */
    say(f, G_D("DBIRTH"), 1, with_alias(real("Own", 1), 1));
    forget(f);
    say(f, G_D("DDATA"), 2, only_alias(real("", 5), 1));
    heard(f, "sample D:Own = 5 good at 0\n");
    say(f, G_E("NDATA"), 3, only_alias(real("", 6), 1));
    heard(f, "sample Temp = 6 good at 0\n");
}

static void device_may_speak_of_the_node_s_alias(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    say(f, G_D("DDATA"), 2, only_alias(real("", 5), 1));
    heard(f, "sample Temp = 5 good at 0\n");
}

static void one_alias_for_two_metrics_asks_for_a_rebirth(void **state)
{
    struct fx *f = *state;
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        with_alias(real("A", 1), 5), with_alias(real("B", 2), 5));
    heard(f, "node-born: bdSeq 3\n"
             "sample A = 1 good at 0\n"
             "sample B = 2 good at 0\n"
             "anomaly conflict: 1 doubled alias(es), first \"B\"\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: birth gives one alias to several metrics\n");
    say(f, G_E("NDATA"), 1, only_alias(real("", 3), 5));
    heard(f, "sample A = 3 good at 0\n"); /* the first keeps it */
}

static void aliases_of_an_older_birth_are_forgotten(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        with_alias(real("Temp", 1), 9), with_alias(text("Name", "x"), 1));
    forget(f);
    say(f, G_E("NDATA"), 1, only_alias(text("", "y"), 1), only_alias(real("", 2), 9));
    heard(f, "sample Name = \"y\" good at 0\nsample Temp = 2 good at 0\n");
}

static void unknown_metric_is_dropped_and_asked_about_once(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NDATA"), 1, real("New", 1), real("Temp", 2), real("Other", 3));
    heard(f, "sample Temp = 2 good at 0\n"
             "anomaly not_found: 2 unknown metric(s), first \"New\"\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: data of a metric its birth did not name\n");
    say(f, G_E("NDATA"), 2, real("New", 1));
    heard(f, "anomaly not_found: 1 unknown metric(s), first \"New\"\n");
}

static void unknown_alias_has_a_cause_of_its_own(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NDATA"), 1, only_alias(real("", 1), 99));
    heard(f, "anomaly not_found: 1 unknown alias(es), first \"\"\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: data with an alias its birth did not name\n");
    assert_int_equal(info(f).last_cause, SPB_CAUSE_UNKNOWN_ALIAS);
}

static void value_of_another_member_than_the_birth_s_is_refused(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric wrong = text("Temp", "warm");
    wrong.with_datatype = false;
    born(f, 0);
    say(f, G_E("NDATA"), 1, wrong, text("Name", "ok"));
    heard(f, "sample Name = \"ok\" good at 0\n"
             "anomaly wrong_type: 1 metric(s) that could not be taken, first \"Temp\"\n");
    assert_true(tag(f, "", "Temp")->value.f == 21.5);
}

/* tck-id-payloads-metric-datatype, is_null: null wins over a value */
static void null_wins_over_a_value(void **state)
{
    struct fx *f = *state;
    /* Temp, is_null, double 1.5 */
    static const char bytes[] = "\x12\x11\x0a\x04Temp\x38\x01\x69\0\0\0\0\0\0\xf8\x3f\x18\x01";
    born(f, 0);
    say_bytes(f, G_E("NDATA"), str_make(bytes, sizeof bytes - 1));
    heard(f, "sample Temp = null null at 0\n");
    assert_int_equal(tag(f, "", "Temp")->quality, SPB_Q_NULL);
    assert_int_equal(tag(f, "", "Temp")->value.cls, SPB_V_NULL);
}

static void metric_without_value_is_null(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say_bytes(f, G_E("NDATA"), str_make("\x12\x06\x0a\x04Temp\x18\x01", 10));
    heard(f, "sample Temp = null null at 0\n");
}

static void null_in_a_birth_leaves_a_tag_with_its_datatype(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m = typed("Later", SPB_INT32, SPB_V_NULL);
    m.is_null = true;
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false), m);
    heard(f, "node-born: bdSeq 3\nsample Later = null null at 0\n");
    assert_int_equal(tag(f, "", "Later")->datatype, SPB_INT32);
}

static void historical_values_do_not_touch_the_live_one(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric old = at(real("Temp", 5), -3600000);
    old.is_historical = true;
    born(f, 0);
    say(f, G_E("NDATA"), 1, old);
    heard(f, "sample Temp = 5 good at -3600000 historical\n");
    assert_true(tag(f, "", "Temp")->value.f == 21.5);
    assert_int_equal(tag(f, "", "Temp")->time_ms, T0);
}

static void transient_values_are_marked(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m = real("Temp", 5);
    m.is_transient = true;
    born(f, 0);
    say(f, G_E("NDATA"), 1, m);
    heard(f, "sample Temp = 5 good at 0 transient\n");
}

static void time_is_the_metric_s_then_the_payload_s_then_now(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric two[] = {at(real("Temp", 1), -50), text("Name", "a")};
    struct spb_out p = {
        .timestamp = (uint64_t)T0 - 20, .has_seq = true, .seq = 1, .metrics = two, .n = 2};
    born(f, 0);
    wait_ms(f, 7);
    say_payload(f, G_E("NDATA"), &p);
    heard(f, "sample Temp = 1 good at -50\nsample Name = \"a\" good at -20\n");
    say(f, G_E("NDATA"), 2, real("Temp", 2));
    heard(f, "sample Temp = 2 good at 7\n");
}

static void time_far_ahead_or_before_2000_becomes_now_with_bad_time(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric old = at(real("Temp", 4), 946684799999 - T0);
    old.is_historical = true;
    born(f, 0);
    say(f, G_E("NDATA"), 1, at(real("Temp", 1), 600000));
    say(f, G_E("NDATA"), 2, at(real("Temp", 2), 600001));
    say(f, G_E("NDATA"), 3, at(real("Temp", 3), 946684800000 - T0));
    say(f, G_E("NDATA"), 4, old);
    heard(f, "sample Temp = 1 good at 600000\n"
             "sample Temp = 2 bad_time at 0\n"
             "sample Temp = 3 good at -753315200000\n"
             "sample Temp = 4 bad_time at 0 historical\n");
}

static void time_of_two_to_the_64_minus_one_is_bad(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m = real("Temp", 1);
    m.timestamp = UINT64_MAX;
    born(f, 0);
    say(f, G_E("NDATA"), 1, m);
    heard(f, "sample Temp = 1 bad_time at 0\n");
}

static void quality_property_says_good_stale_or_bad(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m = real("Temp", 1);
    /* Temp = 1.0 with Quality 0: the encoder does not write it, so by hand */
    static const char bad[] = "\x12\x20\x0a\x04Temp\x4a\x0f\x0a\x07Quality\x12\x04\x08\x03\x18\x00"
                              "\x69\0\0\0\0\0\0\xf0\x3f\x18\x04";
    born(f, 0);
    m.quality = 192;
    say(f, G_E("NDATA"), 1, m);
    m.quality = 500;
    say(f, G_E("NDATA"), 2, m);
    m.quality = 64;
    say(f, G_E("NDATA"), 3, m);
    say_bytes(f, G_E("NDATA"), str_make(bad, sizeof bad - 1));
    heard(f, "sample Temp = 1 good at 0\n"
             "sample Temp = 1 stale at 0\n"
             "sample Temp = 1 bad at 0\n"
             "sample Temp = 1 bad at 0\n");
}

static void text_values_are_kept_by_the_tag(void **state)
{
    struct fx *f = *state;
    char *big = test_calloc(1, 5001);
    memset(big, 'y', 5000);
    born(f, 0);
    say(f, G_E("NDATA"), 1, text("Name", big));
    memset(big, 'z', 5000);
    assert_int_equal(tag(f, "", "Name")->value.s.n, 5000);
    assert_int_equal(tag(f, "", "Name")->value.s.p[4999], 'y');
    say(f, G_E("NDATA"), 2, text("Name", ""));
    assert_int_equal(tag(f, "", "Name")->value.s.n, 0);
    test_free(big);
}

static void data_before_any_birth_asks_for_one(void **state)
{
    struct fx *f = *state;
    say(f, G_E("NDATA"), 5, real("Temp", 1));
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: data before any birth\n");
    say(f, G_D("DBIRTH"), 6, real("Temp", 1));
    heard(f, "");
    assert_int_equal(info(f).n_devices, 0);
}

static void data_after_death_asks_for_a_birth(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    forget(f);
    say(f, G_E("NDATA"), 1, real("Temp", 1));
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: data after its death\n");
}

static void malformed_message_costs_only_itself(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say_bytes(f, G_E("NDATA"), str_of("\x0a\x7f"));
    heard(f, "anomaly truncated: malformed NDATA\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: malformed message\n");
    say_bytes(f, G_E("NDEATH"), str_of("garbage"));
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
    forget(f);
    say(f, G_E("NDATA"), 1, real("Temp", 1));
    heard(f, "sample Temp = 1 good at 0\n");
}

static void commands_of_other_hosts_are_ignored(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NCMD"), NO_SEQ, boolean("Node Control/Rebirth", true));
    say(f, G_D("DCMD"), NO_SEQ, integer("Count", 1));
    heard(f, "");
}

static void short_topic_births_a_node_of_that_name(void **state)
{
    struct fx *f = *state;
    say(f, "spBv1.0/G/DBIRTH/E", NO_SEQ, real("Temp", 20), integer("bdSeq", 1));
    heard(f, "nonconformant: topics without an edge node level\n"
             "node-born: birth on a short topic\n"
             "sample Temp = 20 good at 0\n");
    assert_true(info(f).is_short);
    assert_false(info(f).conformant);
    say(f, "spBv1.0/G/DDATA/E", 200, real("Temp", 21));
    say(f, "spBv1.0/G/DDATA/E", 100, real("Temp", 22)); /* no order is expected */
    heard(f, "sample Temp = 21 good at 0\nsample Temp = 22 good at 0\n");
    assert_int_equal(info(f).n_tags, 1);
}

static void short_topic_takes_metrics_its_birth_did_not_name(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric i = typed("Rssi", SPB_INT32, SPB_V_INT);
    i.with_datatype = false;
    i.value.i = -70;
    say(f, "spBv1.0/G/DDATA/E", NO_SEQ, i);
    heard(f, "nonconformant: topics without an edge node level\n"
             "node-born: data on a short topic\n"
             "sample Rssi = -70 good at 0\n");
    say(f, "spBv1.0/G/DDATA/E", NO_SEQ, integer("New", 5));
    heard(f, "sample New = 5 good at 0\n");
    assert_int_equal(tag(f, "", "New")->datatype, SPB_INT64);
}

static void short_topic_death_and_will_end_the_node(void **state)
{
    struct fx *f = *state;
    say(f, "spBv1.0/G/DBIRTH/E", NO_SEQ, real("Temp", 20));
    forget(f);
    say_nothing(f, "spBv1.0/G/DDEATH/E", NO_SEQ);
    heard(f, "stale all\nnode-dead: death on a short topic\n");
    say(f, "spBv1.0/G/DDATA/E", NO_SEQ, real("Temp", 21));
    heard(f, "node-born: data on a short topic\nsample Temp = 21 good at 0\n");
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 0));
    heard(f, "stale all\nnode-dead: its death certificate came\n");
}

static void short_topic_of_a_properly_born_node_is_refused(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, "spBv1.0/G/DDATA/E", NO_SEQ, real("Temp", 1));
    heard(f, "anomaly conflict: short topic of a node that has proper births\n");
}

static void proper_message_of_a_short_node_asks_for_a_proper_birth(void **state)
{
    struct fx *f = *state;
    say(f, "spBv1.0/G/DBIRTH/E", NO_SEQ, real("Temp", 20));
    forget(f);
    say(f, G_E("NDATA"), 4, real("Temp", 21));
    heard(f, "anomaly conflict: NDATA of a node born on short topics\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: data before any birth\n");
    born(f, 0);
    assert_false(info(f).is_short);
}

static void steady_data_allocates_nothing(void **state)
{
    struct fx *f = *state;
    struct spb_topic t;
    struct buf b;
    struct spb_out_metric m[] = {only_alias(real("", 5), 1), text("Name", "tank")};
    struct spb_out p = {.has_seq = true, .metrics = m, .n = 2};
    buf_init(&b, 1 << 16);
    born(f, 0);
    assert_int_equal(spb_topic_parse(str_of(G_E("NDATA")), &t), ERR_OK);
    if (__sanitizer_install_malloc_and_free_hooks)
        __sanitizer_install_malloc_and_free_hooks(count_malloc, ignore_free);
    for (int seq = 1; seq < 200; seq++) {
        p.seq = (uint8_t)seq;
        buf_reset(&b);
        buf_reset(&f->log);
        assert_int_equal(spb_encode(&p, &b), ERR_OK);
        arena_reset(&f->scratch);
        size_t before = allocations;
        spb_node_message(f->n, &t, buf_view(&b), &f->scratch, f->now);
        assert_true(seq == 1 || allocations == before);
    }
    assert_true(!__sanitizer_install_malloc_and_free_hooks || allocations); /* it does count */
    assert_true(f->scratch.used < 4096);
    assert_int_equal(info(f).seq, 199);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(alias_stands_for_name_and_datatype_of_the_birth),
        T(device_s_alias_comes_before_the_node_s),
        T(device_may_speak_of_the_node_s_alias),
        T(one_alias_for_two_metrics_asks_for_a_rebirth),
        T(aliases_of_an_older_birth_are_forgotten),
        T(unknown_metric_is_dropped_and_asked_about_once),
        T(unknown_alias_has_a_cause_of_its_own),
        T(value_of_another_member_than_the_birth_s_is_refused),
        T(null_wins_over_a_value),
        T(metric_without_value_is_null),
        T(null_in_a_birth_leaves_a_tag_with_its_datatype),
        T(historical_values_do_not_touch_the_live_one),
        T(transient_values_are_marked),
        T(time_is_the_metric_s_then_the_payload_s_then_now),
        T(time_far_ahead_or_before_2000_becomes_now_with_bad_time),
        T(time_of_two_to_the_64_minus_one_is_bad),
        T(quality_property_says_good_stale_or_bad),
        T(text_values_are_kept_by_the_tag),
        T(data_before_any_birth_asks_for_one),
        T(data_after_death_asks_for_a_birth),
        T(malformed_message_costs_only_itself),
        T(commands_of_other_hosts_are_ignored),
        T(short_topic_births_a_node_of_that_name),
        T(short_topic_takes_metrics_its_birth_did_not_name),
        T(short_topic_death_and_will_end_the_node),
        T(short_topic_of_a_properly_born_node_is_refused),
        T(proper_message_of_a_short_node_asks_for_a_proper_birth),
        T(steady_data_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
