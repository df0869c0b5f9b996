/* The sequence number, gaps and the reorder buffer (3.0 section 5.12). */
#include "node_fixture.h"

static void temp(struct fx *f, int seq, double v)
{
    say(f, G_E("NDATA"), seq, real("Temp", v));
}

static void data_in_order_is_handled_at_once_and_wraps_after_255(void **state)
{
    struct fx *f = *state;
    born(f, 254);
    temp(f, 255, 1);
    temp(f, 0, 2);
    heard(f, "sample Temp = 1 good at 0\nsample Temp = 2 good at 0\n");
    assert_int_equal(info(f).seq, 0);
}

static void birth_may_start_the_sequence_anywhere(void **state)
{
    struct fx *f = *state;
    born(f, 77);
    temp(f, 78, 1);
    heard(f, "sample Temp = 1 good at 0\n");
}

/* tck-id-operational-behavior-host-reordering-success */
static void messages_that_came_too_early_wait_for_the_missing_one(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 3, 3);
    heard(f, "gap: message 3 came where 1 was expected\n");
    assert_int_equal(spb_node_deadline(f->n), f->now.mono_ms + 2000);
    temp(f, 2, 2);
    heard(f, "");
    pass(f, 500);
    temp(f, 1, 1);
    heard(f, "sample Temp = 1 good at 500\n"
             "sample Temp = 2 good at 500\n"
             "sample Temp = 3 good at 500\n"
             "healed: the missing messages came late\n");
    assert_true(spb_node_deadline(f->n) == UINT64_MAX);
    assert_int_equal(info(f).gaps, 1);
    assert_int_equal(info(f).lost_messages, 0);
}

/* tck-id-operational-behavior-host-reordering-rebirth */
static void gap_that_stays_open_makes_the_node_stale_and_asks_for_rebirth(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    temp(f, 4, 4);
    forget(f);
    pass(f, 1999);
    heard(f, "");
    pass(f, 1);
    heard(f, "lost: 2 did not come, 1 that came after them cannot be used\n"
             "stale all\n"
             "node-stale: sequence gap not filled in time\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: sequence gap not filled in time\n");
    assert_int_equal(info(f).lost_messages, 3); /* 2 and 3 missing, 4 thrown away */
    assert_int_equal(info(f).never_came, 2);
    assert_int_equal(info(f).last_cause, SPB_CAUSE_SEQ_GAP);
    assert_int_equal(info(f).n_devices_born, 0);
    born(f, 0);
    temp(f, 1, 5);
    heard(f, "sample Temp = 5 good at 2000\n");
}

static void reorder_time_of_zero_asks_at_once(void **state)
{
    const struct spb_node_options o = {.rebirth_interval_ms = 5000};
    void *p = fx_new(&o);
    struct fx *f = p;
    (void)state;
    born(f, 0);
    temp(f, 2, 2);
    heard(f, "gap: message 2 came where 1 was expected\n"
             "lost: 1 did not come, 1 that came after them cannot be used\n"
             "stale all\n"
             "node-stale: sequence gap not filled in time\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: sequence gap not filled in time\n");
    tear_down(&p);
}

static void second_gap_behind_the_first_gets_a_time_of_its_own(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 2, 2);
    temp(f, 4, 4);
    pass(f, 1500);
    forget(f);
    temp(f, 1, 1);
    heard(f, "sample Temp = 1 good at 1500\n"
             "sample Temp = 2 good at 1500\n"
             "gap: message 4 came where 3 was expected\n");
    assert_int_equal(spb_node_deadline(f->n), f->now.mono_ms + 2000);
    pass(f, 1500);
    temp(f, 3, 3);
    heard(f, "sample Temp = 3 good at 3000\nsample Temp = 4 good at 3000\n"
             "healed: the missing messages came late\n");
}

static void what_is_missing_counts_as_lost_until_it_comes(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 3, 3);
    assert_int_equal(info(f).missing, 2);
    temp(f, 7, 7);
    assert_int_equal(info(f).missing, 5); /* 1, 2, 4, 5, 6 */
    temp(f, 1, 1);
    assert_int_equal(info(f).missing, 4);
    temp(f, 2, 2);
    assert_int_equal(info(f).missing, 3);
    assert_int_equal(info(f).lost_messages, 0);
    pass(f, 2000); /* the second gap stays open */
    assert_int_equal(info(f).missing, 0);
    assert_int_equal(info(f).lost_messages, 4); /* 4, 5, 6, and 7 cannot be used */
    assert_int_equal(info(f).never_came, 3);
    assert_int_equal(info(f).gaps, 2);
    temp(f, 8, 8); /* named: taken although stale */
    assert_int_equal(info(f).lost_messages, 4);
    say(f, G_E("NDATA"), 9, only_alias(real("", 9), 5));
    assert_int_equal(info(f).lost_messages, 5); /* its alias means nothing now */
    assert_int_equal(info(f).never_came, 3);
}

static void an_open_gap_waits_while_messages_wait_unread(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 2, 2);
    forget(f);
    for (int i = 0; i < 10; i++) {
        wait_ms(f, 2000);
        spb_node_wait(f->n, f->now);
        assert_int_equal(spb_node_deadline(f->n), f->now.mono_ms + 2000);
    }
    temp(f, 1, 1);
    heard(f, "sample Temp = 1 good at 20000\nsample Temp = 2 good at 20000\n"
             "healed: the missing messages came late\n");
    spb_node_wait(f->n, f->now); /* nothing to wait for */
    assert_true(spb_node_deadline(f->n) == UINT64_MAX);
}

static void births_and_deaths_of_devices_keep_their_place_in_the_order(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say_nothing(f, G_D("DDEATH"), 3);
    say(f, G_D("DDATA"), 2, only_alias(integer("", 8), 9));
    forget(f);
    say(f, G_D("DBIRTH"), 1, with_alias(integer("Count", 7), 9));
    heard(f, "device-born D: 1 metrics\n"
             "sample D:Count = 7 good at 0\n"
             "sample D:Count = 8 good at 0\n"
             "stale D\n"
             "device-dead D: its death certificate came\n"
             "healed: the missing messages came late\n");
}

static void repeated_number_ends_in_the_timer_and_one_rebirth(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 1, 1);
    forget(f);
    temp(f, 1, 1);
    heard(f, "gap: message 1 came where 2 was expected\n");
    temp(f, 1, 1); /* and again: not kept twice */
    assert_int_equal(f->n->n_held, 1);
    pass(f, 2000);
    assert_int_equal(info(f).rebirths_asked, 1);
}

static void birth_resets_everything_that_waited(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 5, 5);
    born(f, 0);
    assert_true(spb_node_deadline(f->n) == UINT64_MAX);
    assert_int_equal(info(f).lost_messages, 1);
    temp(f, 1, 1);
    heard(f, "sample Temp = 1 good at 0\n");
}

static void death_does_not_wait_for_the_gap(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, 5, 5);
    forget(f);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    heard(f, "stale all\nnode-dead: its death certificate came\n");
    assert_true(spb_node_deadline(f->n) == UINT64_MAX);
}

static void buffer_is_bounded_in_messages(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    for (int i = 0; i < SPB_MAX_HELD; i++)
        temp(f, 2 + i, i);
    assert_int_equal(f->n->n_held, SPB_MAX_HELD);
    forget(f);
    temp(f, 2 + SPB_MAX_HELD, 0);
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    assert_int_equal(info(f).lost_messages, 1 + SPB_MAX_HELD + 1);
}

static void buffer_is_bounded_in_bytes(void **state)
{
    struct fx *f = *state;
    char *big = test_calloc(1, 400001);
    memset(big, 'x', 400000);
    born(f, 0);
    say(f, G_E("NDATA"), 2, text("Name", big));
    say(f, G_E("NDATA"), 3, text("Name", big));
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
    say(f, G_E("NDATA"), 4, text("Name", big));
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    assert_int_equal(info(f).lost_messages, 4);
    test_free(big);
}

static void message_without_seq_is_told_and_taken(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, NO_SEQ, 1);
    heard(f, "anomaly invalid: NDATA without seq\n"
             "nonconformant: messages without seq\n"
             "sample Temp = 1 good at 0\n");
    temp(f, 1, 2);
    heard(f, "sample Temp = 2 good at 0\n");
}

static void strict_node_refuses_a_message_without_seq(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    temp(f, NO_SEQ, 1);
    heard(f, "anomaly invalid: NDATA without seq\n");
}

static void number_beyond_255_is_malformed(void **state)
{
    struct fx *f = *state;
    static const char seq_256[] = {0x18, (char)0x80, 0x02};
    born(f, 0);
    say_bytes(f, G_E("NDATA"), str_make(seq_256, sizeof seq_256));
    heard(f, "anomaly out_of_range: malformed NDATA\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: malformed message\n");
}

static void compressed_message_keeps_its_place_by_the_inner_seq(void **state)
{
    struct fx *f = *state;
    static const char hex[] = /* observed: NDATA alias 7 = 22.5, inner seq 3, gzip */
        "12130a09616c676f726974686d200c7a04475a4950221253504256312e305f434f4d505245535345442a2c1f8b"
        "0800000000000003e368be30f5ff1e4321110176090853812b9301041acc1c2498016e7f5ffa1f000000";
    uint8_t bytes[sizeof hex / 2];
    size_t n;
    assert_int_equal(str_from_hex(str_of(hex), bytes, &n), ERR_OK);
    say(f, G_E("NBIRTH"), 2, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        with_alias(real("Temp", 1), 7));
    forget(f);
    say_bytes(f, G_E("NDATA"), str_make((const char *)bytes, n));
    heard(f, "sample Temp = 22.5 good at 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(data_in_order_is_handled_at_once_and_wraps_after_255),
        T(birth_may_start_the_sequence_anywhere),
        T(messages_that_came_too_early_wait_for_the_missing_one),
        T(gap_that_stays_open_makes_the_node_stale_and_asks_for_rebirth),
        cmocka_unit_test(reorder_time_of_zero_asks_at_once),
        T(second_gap_behind_the_first_gets_a_time_of_its_own),
        T(what_is_missing_counts_as_lost_until_it_comes),
        T(an_open_gap_waits_while_messages_wait_unread),
        T(births_and_deaths_of_devices_keep_their_place_in_the_order),
        T(repeated_number_ends_in_the_timer_and_one_rebirth),
        T(birth_resets_everything_that_waited),
        T(death_does_not_wait_for_the_gap),
        T(buffer_is_bounded_in_messages),
        T(buffer_is_bounded_in_bytes),
        T(message_without_seq_is_told_and_taken),
        S(strict_node_refuses_a_message_without_seq),
        T(number_beyond_255_is_malformed),
        T(compressed_message_keeps_its_place_by_the_inner_seq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
