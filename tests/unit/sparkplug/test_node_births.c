/* Births and deaths of nodes and devices (3.0 sections 5 and 6.4). */
#include "node_fixture.h"

static void nbirth_makes_the_node_born_and_samples_its_metrics(void **state)
{
    struct fx *f = *state;
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        at(real("Temp", 21.5), -10), text("Name", "pump"));
    heard(f, "node-born: bdSeq 3\n"
             "sample Temp = 21.5 good at -10\n"
             "sample Name = \"pump\" good at 0\n");
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
    assert_true(info(f).conformant);
    assert_int_equal(info(f).bd_seq, 3);
}

static void bd_seq_is_no_tag_and_node_control_is_a_tag_without_samples(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    struct spb_tag none;
    assert_false(spb_node_tag_find(f->n, str_of(""), str_of("bdSeq"), &none));
    assert_true(tag(f, "", "Node Control/Rebirth")->announced);
    assert_int_equal(info(f).n_tags, 3);
}

static void dbirth_makes_a_device_with_tags_of_its_own(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_D("DBIRTH"), 1, real("Temp", 5));
    heard(f, "device-born D: 1 metrics\nsample D:Temp = 5 good at 0\n");
    assert_int_equal(info(f).n_devices_born, 1);
    assert_ptr_not_equal(tag(f, "D", "Temp")->cell, tag(f, "", "Temp")->cell);
}

/* tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline and
 * ...-node-tags-stale, ...-devices-offline, ...-devices-tags-stale */
static void death_with_equal_bd_seq_kills_node_and_devices(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    wait_ms(f, 50);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    heard(f, "stale all\nnode-dead: its death certificate came\n");
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
    assert_int_equal(info(f).n_devices_born, 0);
    assert_int_equal(info(f).died_ms, T0 + 50); /* receive time, not the payload's */
    assert_int_equal(spb_node_device(f->n, 0)->life, SPB_LIFE_DEAD);
    assert_int_equal(tag(f, "", "Temp")->quality, SPB_Q_STALE);
    assert_int_equal(tag(f, "D", "Count")->quality, SPB_Q_STALE);
}

static void death_of_an_older_session_is_ignored(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 2));
    heard(f, "old-death: death with bdSeq 2, birth with 3\n");
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
}

static void bd_seq_is_the_same_number_as_int64_uint64_or_int(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric as_uint64 = typed("bdSeq", SPB_UINT64, SPB_V_UINT);
    struct spb_out_metric as_int = typed("bdSeq", SPB_UINT8, SPB_V_UINT);
    as_uint64.value.u = as_int.value.u = 3;
    born(f, 0);
    say(f, G_E("NDEATH"), NO_SEQ, as_uint64);
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
    born(f, 0);
    say(f, G_E("NDEATH"), NO_SEQ, as_int);
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
}

static void death_without_bd_seq_counts_only_if_the_birth_had_none(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    say_nothing(f, G_E("NDEATH"), NO_SEQ);
    heard(f, "old-death: death without bdSeq, birth with 3\n");
    say(f, G_E("NBIRTH"), 0, real("Temp", 1));
    heard(f, "nonconformant: birth without bdSeq\nnode-born: without bdSeq\n"
             "sample Temp = 1 good at 0\n");
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 0));
    heard(f, "old-death: death with bdSeq 0, birth without\n");
    say_nothing(f, G_E("NDEATH"), NO_SEQ);
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
}

static void death_of_an_unknown_or_dead_node_changes_nothing(void **state)
{
    struct fx *f = *state;
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    heard(f, "old-death: death of a node that is unknown\n");
    born(f, 0);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    forget(f);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3)); /* the will after an explicit death */
    heard(f, "old-death: death of a node that is dead\n");
}

/* tck-id-operational-behavior-device-ddeath-devices-offline, ...-devices-tags-stale */
static void ddeath_ends_the_device_at_the_payload_s_time(void **state)
{
    struct fx *f = *state;
    struct spb_out p = {.timestamp = (uint64_t)T0 + 40, .has_seq = true, .seq = 2};
    born_with_device(f);
    wait_ms(f, 100);
    say_payload(f, G_D("DDEATH"), &p);
    heard(f, "stale D\ndevice-dead D: its death certificate came\n");
    assert_int_equal(spb_node_device(f->n, 0)->died_ms, T0 + 40);
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
    assert_int_equal(tag(f, "D", "Count")->quality, SPB_Q_STALE);
    assert_int_equal(tag(f, "", "Temp")->quality, SPB_Q_GOOD);
    say(f, G_E("NDATA"), 3, real("Temp", 2)); /* the death used a number of the sequence */
    heard(f, "sample Temp = 2 good at 100\n");
}

static void nbirth_makes_devices_stale_until_they_are_born_again(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false));
    heard(f, "stale D\nnode-born: bdSeq 3\n");
    assert_int_equal(spb_node_device(f->n, 0)->life, SPB_LIFE_STALE);
    say(f, G_D("DDATA"), 1, integer("Count", 8));
    heard(f, "anomaly not_found: data of device \"D\" before its birth\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: data of a device before its birth\n");
    say(f, G_D("DBIRTH"), 2, integer("Count", 9));
    heard(f, "device-born D: 1 metrics\nsample D:Count = 9 good at 0\n");
}

static void tags_keep_their_place_over_births_and_lose_what_is_not_announced(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m = text("Temp", "warm"); /* of another type now */
    m.unit = str_of("words");
    born(f, 0);
    const struct spb_cell *before = tag(f, "", "Temp")->cell;
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3), boolean("Node Control/Rebirth", false), m);
    const struct seen *temp = tag(f, "", "Temp");
    assert_ptr_equal(before, temp->cell);
    assert_true(before->marks & SPB_MARK_RETYPED);
    assert_int_equal(temp->datatype, SPB_STRING);
    assert_true(str_is(temp->unit, "words"));
    assert_true(str_is(temp->value.s, "warm"));
    assert_false(tag(f, "", "Name")->announced);
    assert_int_equal(tag(f, "", "Name")->quality, SPB_Q_STALE);
    forget(f);
    say(f, G_E("NDATA"), 1, text("Name", "x"));
    heard(f, "anomaly not_found: 1 unknown metric(s), first \"Name\"\n"
             "publish spBv1.0/G/NCMD/E\n"
             "rebirth: data of a metric its birth did not name\n");
}

static void device_names_differ_by_case(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    say(f, G_D("DBIRTH"), 2, integer("Count", 8));
    say(f, "spBv1.0/G/DBIRTH/E/d", 3, integer("Count", 9));
    assert_int_equal(info(f).n_devices, 2);
}

static void birth_with_an_imperfect_metric_still_counts(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric untyped = real("Raw", 1.5), nameless = real("", 2);
    untyped.with_datatype = false;
    say(f, G_E("NBIRTH"), 5, integer("bdSeq", 3), boolean("Node Control/Rebirth", false), untyped,
        nameless);
    heard(f, "nonconformant: birth with a metric that lacks name or datatype\n"
             "node-born: bdSeq 3\n"
             "sample Raw = 1.5 good at 0\n"
             "anomaly invalid: 1 metric(s) that could not be taken, first \"\"\n");
    assert_int_equal(tag(f, "", "Raw")->datatype, SPB_DOUBLE);
    assert_false(info(f).conformant);
    born(f, 0);
    assert_true(info(f).conformant);
}

static void strict_node_refuses_births_that_are_not_conformant(void **state)
{
    struct fx *f = *state;
    say(f, G_E("NBIRTH"), 0, real("Temp", 1));
    heard(f, "anomaly invalid: birth without bdSeq\n");
    say(f, G_E("NBIRTH"), NO_SEQ, integer("bdSeq", 3), boolean("Node Control/Rebirth", false));
    heard(f, "anomaly invalid: birth without seq\n");
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", 3));
    heard(f, "anomaly invalid: birth without Node Control/Rebirth\n");
    say(f, "spBv1.0/G/DBIRTH/E", NO_SEQ, real("Temp", 1));
    heard(f, "anomaly denied: topic without an edge node level\n");
    assert_int_equal(info(f).life, SPB_LIFE_UNKNOWN);
    born(f, 0);
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
}

static void loss_of_our_connection_makes_everything_stale_until_rebirth(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    spb_node_host_lost(f->n, f->now);
    heard(f, "stale all\nnode-stale: our connection to the broker was lost\n");
    spb_node_host_lost(f->n, f->now);
    heard(f, "");
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    assert_int_equal(tag(f, "D", "Count")->quality, SPB_Q_STALE);
    spb_node_host_back(f->n, 1500, f->now);
    assert_int_equal(spb_node_deadline(f->n), f->now.mono_ms + 1500);
    pass(f, 1499);
    heard(f, "");
    pass(f, 1);
    heard(f, "publish spBv1.0/G/NCMD/E\nrebirth: our connection to the broker was lost\n");
    born(f, 0);
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
    assert_true(spb_node_deadline(f->n) == UINT64_MAX);
}

/* A birth after our absence: the same session goes on, or the node has connected anew. */
static void bear_session(struct fx *f, int bd_seq)
{
    forget(f);
    say(f, G_E("NBIRTH"), 0, integer("bdSeq", bd_seq), boolean("Node Control/Rebirth", false));
}

static void after_our_absence_a_birth_of_the_same_session_is_told_apart_from_a_new_one(void **state)
{
    struct fx *f = *state;
    born(f, 0); /* bdSeq 3 */
    spb_node_host_lost(f->n, f->now);
    bear_session(f, 3);
    assert_non_null(strstr(buf_text(&f->log), "node-resumed: bdSeq 3"));
    bear_session(f, 3); /* an operator's rebirth, or its own wish */
    assert_non_null(strstr(buf_text(&f->log), "node-born: bdSeq 3"));
    spb_node_host_lost(f->n, f->now);
    bear_session(f, 4);
    assert_non_null(strstr(buf_text(&f->log), "node-born: bdSeq 4"));
}

static void birth_before_the_planned_rebirth_cancels_it(void **state)
{
    struct fx *f = *state;
    born(f, 0);
    spb_node_host_lost(f->n, f->now);
    spb_node_host_back(f->n, 1500, f->now);
    born(f, 0);
    pass(f, 5000);
    heard(f, "");
}

static void after_a_restart_only_the_death_of_the_birth_before_counts(void **state)
{
    struct fx *f = *state;
    const struct spb_node_info before = {
        .life = SPB_LIFE_BORN, .has_bd_seq = true, .bd_seq = 3, .born_ms = T0, .conformant = true};
    spb_node_restore(f->n, &before);
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    assert_int_equal(info(f).born_ms, T0);
    bear_session(f, 3);
    assert_non_null(strstr(buf_text(&f->log), "node-resumed"));
    spb_node_host_lost(f->n, f->now);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 2));
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
    born(f, 0);
    assert_int_equal(info(f).life, SPB_LIFE_BORN);
}

static void
after_a_restart_devices_are_stale_until_their_birth_and_dead_with_their_node(void **state)
{
    struct fx *f = *state;
    const struct spb_node_info node = {
        .life = SPB_LIFE_BORN, .has_bd_seq = true, .bd_seq = 3, .born_ms = T0, .conformant = true};
    const struct spb_device born_before = {str_of("D"), SPB_LIFE_BORN, T0 + 1, 0};
    const struct spb_device dead_before = {str_of("X"), SPB_LIFE_DEAD, T0 + 2, T0 + 3};
    const struct spb_device never = {str_of("Y"), SPB_LIFE_UNKNOWN, 0, 0};
    const struct spb_old_metric metric = {
        .device = str_of("X"), .name = str_of("Temp"), .datatype = SPB_DOUBLE, .series = 7};
    spb_node_restore(f->n, &node);
    assert_int_equal(spb_node_restore_device(f->n, &born_before), ERR_OK);
    assert_int_equal(spb_node_restore_device(f->n, &dead_before), ERR_OK);
    assert_int_equal(spb_node_restore_device(f->n, &never), ERR_OK);
    assert_int_equal(spb_node_restore_metrics(f->n, &metric, 1, &f->scratch), ERR_OK);
    check_node(f->n);
    assert_int_equal(info(f).n_devices, 2);
    assert_int_equal(info(f).n_devices_born, 0);
    const struct spb_device *d = spb_node_device(f->n, 0), *x = spb_node_device(f->n, 1);
    assert_int_equal(d->life, SPB_LIFE_STALE);
    assert_int_equal(d->born_ms, T0 + 1);
    assert_int_equal(x->life, SPB_LIFE_DEAD);
    assert_int_equal(x->died_ms, T0 + 3);
    say(f, G_D("DDATA"), 9, integer("Count", 8)); /* nothing is announced */
    assert_null(strstr(buf_text(&f->log), "sample"));
    born(f, 0);
    assert_int_equal(d->life, SPB_LIFE_STALE);
    say(f, G_D("DBIRTH"), 1, integer("Count", 8));
    assert_int_equal(d->life, SPB_LIFE_BORN);
    assert_int_equal(spb_node_restore_device(f->n, &dead_before), ERR_OK); /* too late: no change */
    assert_int_equal(d->life, SPB_LIFE_BORN);
    assert_int_equal(x->life, SPB_LIFE_DEAD);
}

static void a_device_that_was_born_under_a_node_now_dead_is_dead_after_a_restart(void **state)
{
    struct fx *f = *state;
    const struct spb_node_info node = {.life = SPB_LIFE_DEAD, .born_ms = T0, .died_ms = T0 + 9};
    const struct spb_device before = {str_of("D"), SPB_LIFE_BORN, T0 + 1, 0};
    spb_node_restore(f->n, &node);
    assert_int_equal(spb_node_restore_device(f->n, &before), ERR_OK);
    assert_int_equal(spb_node_device(f->n, 0)->life, SPB_LIFE_DEAD);
    assert_int_equal(spb_node_device(f->n, 0)->died_ms, T0 + 9);
    check_node(f->n);
}

static void stale_node_takes_named_values_but_trusts_no_alias(void **state)
{
    struct fx *f = *state;
    born_with_device(f);
    spb_node_host_lost(f->n, f->now);
    spb_node_host_back(f->n, 1500, f->now);
    forget(f);
    say(f, G_E("NDATA"), 77, real("Temp", 3), only_alias(real("", 4), 1));
    heard(f, "sample Temp = 3 good at 0\n"); /* and no rebirth now: one is planned */
    say(f, G_D("DDATA"), 78, integer("Count", 8), only_alias(integer("", 9), 2));
    heard(f, "sample D:Count = 8 good at 0\n");
    assert_int_equal(info(f).life, SPB_LIFE_STALE);
    say(f, G_E("NDEATH"), NO_SEQ, integer("bdSeq", 3));
    assert_int_equal(info(f).life, SPB_LIFE_DEAD);
}

static void too_many_devices_are_refused_in_words(void **state)
{
    struct fx *f = *state;
    char name[64];
    born(f, 0);
    for (int i = 0; i < SPB_MAX_DEVICES; i++) {
        snprintf(name, sizeof name, "d%d", i);
        assert_non_null(spb_device_get(f->n, str_of(name)));
    }
    say(f, G_D("DBIRTH"), 1, real("Temp", 1));
    heard(f, "anomaly full: too many devices below this node\n");
}

static void too_many_tags_are_refused_in_words(void **state)
{
    struct fx *f = *state;
    enum { PER_BIRTH = 20000 };
    struct spb_out_metric *m = test_calloc(PER_BIRTH, sizeof *m);
    char(*names)[12] = test_calloc(PER_BIRTH, sizeof *names);
    born(f, 0); /* three tags */
    for (int birth = 0; birth < 3; birth++) {
        for (int i = 0; i < PER_BIRTH; i++) {
            snprintf(names[i], sizeof names[i], "m%d", birth * PER_BIRTH + i);
            m[i] = boolean(names[i], true);
        }
        forget(f);
        say_n(f, G_D("DBIRTH"), 1 + birth, m, PER_BIRTH);
    }
    assert_int_equal(info(f).n_tags, SPB_MAX_TAGS);
    assert_non_null(strstr(buf_text(&f->log), "anomaly full: 10003 metric(s) that could not be "
                                              "taken, first \"m49997\"\n"));
    test_free(m);
    test_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nbirth_makes_the_node_born_and_samples_its_metrics),
        T(bd_seq_is_no_tag_and_node_control_is_a_tag_without_samples),
        T(dbirth_makes_a_device_with_tags_of_its_own),
        T(death_with_equal_bd_seq_kills_node_and_devices),
        T(death_of_an_older_session_is_ignored),
        T(bd_seq_is_the_same_number_as_int64_uint64_or_int),
        T(death_without_bd_seq_counts_only_if_the_birth_had_none),
        T(death_of_an_unknown_or_dead_node_changes_nothing),
        T(ddeath_ends_the_device_at_the_payload_s_time),
        T(nbirth_makes_devices_stale_until_they_are_born_again),
        T(tags_keep_their_place_over_births_and_lose_what_is_not_announced),
        T(device_names_differ_by_case),
        T(birth_with_an_imperfect_metric_still_counts),
        S(strict_node_refuses_births_that_are_not_conformant),
        T(loss_of_our_connection_makes_everything_stale_until_rebirth),
        T(after_our_absence_a_birth_of_the_same_session_is_told_apart_from_a_new_one),
        T(birth_before_the_planned_rebirth_cancels_it),
        T(after_a_restart_only_the_death_of_the_birth_before_counts),
        T(after_a_restart_devices_are_stale_until_their_birth_and_dead_with_their_node),
        T(a_device_that_was_born_under_a_node_now_dead_is_dead_after_a_restart),
        T(stale_node_takes_named_values_but_trusts_no_alias),
        T(too_many_devices_are_refused_in_words),
        T(too_many_tags_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
