/* The command line: defaults, environment, flags, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "options.h"

static enum err read_args(struct sim_options *o, char why[200], char **argv)
{
    int argc = 1;
    while (argv[argc])
        argc++;
    return options_read(argc, argv, o, why, 200);
}

#define ARGS(...) ((char *[]){(char[]){"braid-sim"}, __VA_ARGS__, NULL})
#define A(text)   ((char[]){text})

static void flags_win_over_environment_and_environment_over_defaults(void **state)
{
    (void)state;
    struct sim_options o;
    char why[200] = "";
    assert_int_equal(read_args(&o, why, ARGS(A("--plain"))), ERR_OK);
    assert_int_equal(o.count, 5);
    assert_string_equal(o.port, "8883");
    setenv("DEVICE_COUNT", "20", 1);
    setenv("TELEMETRY_INTERVAL", "2", 1);
    setenv("LWM2M_INTERVAL", "", 1); /* empty is not given */
    assert_int_equal(read_args(&o, why, ARGS(A("--plain"))), ERR_OK);
    assert_int_equal(o.count, 20);
    assert_int_equal(o.telemetry_s, 2);
    assert_int_equal(o.lwm2m_s, 60);
    assert_int_equal(
        read_args(&o, why, ARGS(A("--plain"), A("--count=7"), A("--dialect"), A("mixed"))), ERR_OK);
    assert_int_equal(o.count, 7);
    assert_int_equal(o.dialect, DIALECT_MIXED);
    setenv("DEVICE_COUNT", "many", 1);
    assert_int_equal(read_args(&o, why, ARGS(A("--plain"))), ERR_INVALID);
    assert_non_null(strstr(why, "DEVICE_COUNT"));
    unsetenv("DEVICE_COUNT");
    unsetenv("TELEMETRY_INTERVAL");
    unsetenv("LWM2M_INTERVAL");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        const char *says;
    } rows[] = {
        {{"--frobnicate"}, "unknown option"},
        {{"count", "3"}, "unknown option"},
        {{"--plain=yes"}, "unknown option"},
        {{"--plain", "--count", "0"}, "--count"},
        {{"--plain", "--count", "x"}, "--count"},
        {{"--plain", "--count"}, "no value"},
        {{"--plain", "--dialect", "coap"}, "--dialect"},
        {{"--plain", "--tag", "a/b"}, "tag"},
        {{"--host", "h"}, "--ca is needed"},
        {{"--plain", "--issuer-key", "k"}, "belong together"},
        {{"--plain", "--username", "u"}, "--username"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_options o;
        char why[200] = "", copies[4][32];
        char *argv[6] = {(char[]){"braid-sim"}};
        for (int k = 0; k < 4 && rows[i].args[k]; k++) {
            snprintf(copies[k], sizeof copies[k], "%s", rows[i].args[k]);
            argv[k + 1] = copies[k];
        }
        enum err e = read_args(&o, why, argv);
        if (!strstr(why, rows[i].says))
            print_error("row %zu: %s\n", i, why);
        assert_int_equal(e, ERR_INVALID);
        assert_non_null(strstr(why, rows[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_win_over_environment_and_environment_over_defaults),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
