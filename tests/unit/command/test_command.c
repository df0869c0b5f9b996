/* The machine of a command's life: every state with every event, and the words around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "command/command.h"

#define NO CMD_STATE_COUNT /* no such edge */

/* Rows: states; columns: SEND ACCEPT OBSERVE SUCCEED REFUSE TIMEOUT EXPIRE CANCEL LOSE RETRY. */
static const enum cmd_state walk[CMD_STATE_COUNT][CMD_EV_COUNT] = {
    [CMD_QUEUED] = {CMD_SENT, NO, NO, NO, CMD_FAILED, NO, CMD_EXPIRED, CMD_CANCELLED, NO, NO},
    [CMD_SENT] = {NO, CMD_ACCEPTED, CMD_OBSERVED, CMD_SUCCEEDED, CMD_FAILED, CMD_TIMED_OUT, NO, NO,
                  CMD_UNKNOWN, CMD_QUEUED},
    [CMD_ACCEPTED] = {NO, NO, CMD_OBSERVED, CMD_SUCCEEDED, NO, NO, NO, NO, NO, NO},
    [CMD_OBSERVED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_SUCCEEDED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_FAILED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_TIMED_OUT] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_EXPIRED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_CANCELLED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [CMD_UNKNOWN] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
};

static void every_state_takes_every_event(void **state)
{
    (void)state;
    for (int s = 0; s < CMD_STATE_COUNT; s++)
        for (int ev = 0; ev < CMD_EV_COUNT; ev++) {
            enum cmd_state to = NO;
            enum err e = cmd_step((enum cmd_state)s, (enum cmd_event)ev, &to);
            if (to != walk[s][ev])
                print_error("state %s, event %d\n", cmd_state_word((enum cmd_state)s), ev);
            assert_int_equal(to, walk[s][ev]); /* untouched when there is no edge */
            assert_int_equal(e, walk[s][ev] == NO ? ERR_CONFLICT : ERR_OK);
        }
}

static void final_states_are_those_without_a_way_out(void **state)
{
    (void)state;
    for (int s = 0; s < CMD_STATE_COUNT; s++) {
        bool way_out = false;
        for (int ev = 0; ev < CMD_EV_COUNT; ev++)
            way_out = way_out || walk[s][ev] != NO;
        assert_int_equal(cmd_state_final((enum cmd_state)s), !way_out);
    }
    assert_true(cmd_state_final((enum cmd_state)99));
}

static void state_words_go_both_ways(void **state)
{
    (void)state;
    for (int s = 0; s < CMD_STATE_COUNT; s++) {
        enum cmd_state back;
        assert_true(cmd_state_from(str_of(cmd_state_word((enum cmd_state)s)), &back));
        assert_int_equal(back, s);
    }
    enum cmd_state back;
    assert_false(cmd_state_from(str_of("Queued"), &back));
    assert_string_equal(cmd_state_word((enum cmd_state)99), "unknown");
}

static void op_words_go_both_ways(void **state)
{
    (void)state;
    for (int op = 0; op < CMD_OP_COUNT; op++) {
        enum cmd_op back;
        assert_true(cmd_op_from(str_of(cmd_op_word((enum cmd_op)op)), &back));
        assert_int_equal(back, op);
    }
    enum cmd_op back;
    assert_false(cmd_op_from(str_of("reed"), &back));
    assert_string_equal(cmd_op_word((enum cmd_op)99), "unknown");
}

static void only_harmless_operations_repeat_by_themselves(void **state)
{
    (void)state;
    assert_true(cmd_op_repeatable(CMD_READ));
    assert_true(cmd_op_repeatable(CMD_DISCOVER));
    assert_true(cmd_op_repeatable(CMD_OBSERVE_OP));
    assert_false(cmd_op_repeatable(CMD_WRITE));
    assert_false(cmd_op_repeatable(CMD_EXECUTE));
    assert_false(cmd_op_repeatable(CMD_CREATE));
    assert_false(cmd_op_repeatable(CMD_METRIC_WRITE));
    assert_false(cmd_op_repeatable((enum cmd_op)99));
    assert_true(cmd_op_sparkplug(CMD_REBIRTH));
    assert_true(cmd_op_sparkplug(CMD_METRIC_WRITE));
    assert_false(cmd_op_sparkplug(CMD_READ));
}

static void dump_draws_every_edge(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    cmd_dump(&b);
    const char *text = buf_text(&b);
    assert_non_null(text);
    assert_non_null(strstr(text, "digraph command {"));
    assert_non_null(strstr(text, "  queued -> sent [label=\"send\""));
    assert_non_null(strstr(text, "  timed_out [peripheries=2];"));
    size_t edges = 0, want = 0;
    for (const char *p = text; (p = strstr(p, " -> ")); p++)
        edges++;
    for (int s = 0; s < CMD_STATE_COUNT; s++)
        for (int ev = 0; ev < CMD_EV_COUNT; ev++)
            want += walk[s][ev] != NO;
    assert_int_equal(edges, want);
    assert_string_equal(text + strlen(text) - 2, "}\n");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_takes_every_event),
        cmocka_unit_test(final_states_are_those_without_a_way_out),
        cmocka_unit_test(state_words_go_both_ways),
        cmocka_unit_test(op_words_go_both_ways),
        cmocka_unit_test(only_harmless_operations_repeat_by_themselves),
        cmocka_unit_test(dump_draws_every_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
