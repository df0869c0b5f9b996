/* What a device remembers between two lives of the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <unistd.h>

#include "state_file.h"

static const struct str name = STR("sim-t-00001");

static void what_was_saved_is_loaded_again(void **state)
{
    (void)state;
    char dir[] = "/tmp/braid-state-XXXXXX", path[100];
    struct device_state s = {.bd_seq = 254, .history_sent = true, .firmware = "2.5.0"}, got;
    assert_non_null(mkdtemp(dir));
    state_load(dir, name, &got);
    assert_false(got.known || got.history_sent || got.bd_seq);
    assert_int_equal(state_save(dir, name, &s), ERR_OK);
    s.bd_seq++;
    assert_int_equal(state_save(dir, name, &s), ERR_OK);
    state_load(dir, name, &got);
    assert_true(got.known && got.history_sent);
    assert_int_equal(got.bd_seq, 255);
    assert_string_equal(got.firmware, "2.5.0");
    snprintf(path, sizeof path, "%s/sim-t-00001", dir);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left behind */
}

static void a_damaged_file_is_no_obstacle(void **state)
{
    (void)state;
    char dir[] = "/tmp/braid-state-XXXXXX", path[100];
    struct device_state got;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/sim-t-00001", dir);
    FILE *f = fopen(path, "w");
    fputs("bdseq=x\nnonsense\n=\nhistory=\nfirmware=0123456789012345678901234567890123456789", f);
    fclose(f);
    state_load(dir, name, &got);
    assert_int_equal(got.bd_seq, 0);
    assert_false(got.history_sent);
    assert_string_equal(got.firmware, "");
    unlink(path);
    rmdir(dir);
}

static void without_a_folder_nothing_is_remembered(void **state)
{
    (void)state;
    struct device_state s = {.bd_seq = 3}, got;
    assert_int_equal(state_save(NULL, name, &s), ERR_OK);
    state_load(NULL, name, &got);
    assert_int_equal(got.bd_seq, 0);
    assert_int_equal(state_save("/nowhere/at/all", name, &s), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_loaded_again),
        cmocka_unit_test(a_damaged_file_is_no_obstacle),
        cmocka_unit_test(without_a_folder_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
