/* test_config.c - one table of options: precedence, ranges, and the sentence a user gets. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static enum err try_load(const char *const args[], const char *const env[], struct config **c,
                         struct buf *why)
{
    int argc = 0;
    while (args && args[argc])
        argc++;
    /* main()'s own types; nothing writes to them */
    return config_load(argc, (char *const *)args, (char *const *)env, c, why);
}

static struct config *load(const char *const args[], const char *const env[])
{
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 1000);
    enum err e = try_load(args, env, &c, &why);
    if (e)
        fail_msg("%s", buf_text(&why));
    assert_int_equal(why.n, 0);
    buf_fini(&why);
    return c;
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static void expect_failure(enum err want, const char *words, const char *const args[],
                           const char *const env[])
{
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(try_load(args, env, &c, &why), want);
    assert_null(c);
    const char *text = buf_text(&why);
    if (!strstr(text, words))
        fail_msg("expected \"%s\" in \"%s\"", words, text);
    assert_int_equal(text[strlen(text) - 1], '.');
    assert_null(strchr(text, '\n'));
    buf_fini(&why);
}

static void write_file(char path[32], const char *text)
{
    snprintf(path, 32, "/tmp/config-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct config *c = load(NULL, NULL);
    assert_string_equal(c->log_level, "info");
    assert_string_equal(c->data_dir, "");
    assert_int_equal(c->mqtt_port, 8883);
    assert_false(c->sparkplug_strict);
    assert_string_equal(c->sparkplug_host_id, "braid");
    config_free(c);
}

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "# a comment\n\n mqtt.port = 1001 \nmqtt.host=file\n"
                     "sparkplug.host_id = file\r\ndb.pool = 9");
    const char *env[] = {"BRAID_MQTT_PORT=1002", "BRAID_MQTT_HOST=env", "HOME=/", "BRAID_OTHER=x",
                         NULL};
    struct config *c = load(WORDS("--config", path, "--mqtt-port=1003"), env);
    assert_int_equal(c->mqtt_port, 1003);
    assert_string_equal(c->mqtt_host, "env");
    assert_string_equal(c->sparkplug_host_id, "file");
    assert_int_equal(c->db_pool, 9);
    assert_int_equal(c->http_workers, 16);
    config_free(c);
    unlink(path);
}

static void booleans_know_several_words_and_need_no_value_as_flags(void **state)
{
    (void)state;
    struct config *c = load(WORDS("--sparkplug-strict", "--http-secure-cookie=on"), NULL);
    assert_true(c->sparkplug_strict);
    assert_true(c->http_secure_cookie);
    config_free(c);
    c = load(WORDS("--sparkplug-strict=no"), (const char *[]){"BRAID_HTTP_SECURE_COOKIE=0", NULL});
    assert_false(c->sparkplug_strict);
    assert_false(c->http_secure_cookie);
    config_free(c);
    expect_failure(ERR_INVALID, "true or false", WORDS("--sparkplug-strict=maybe"), NULL);
}

static void values_may_be_empty_and_hold_equals_signs(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "db.conninfo = host=/run dbname=braid\nhttp.metrics_listen =\n");
    struct config *c = load(WORDS("--config", path), NULL);
    assert_string_equal(c->db_conninfo, "host=/run dbname=braid");
    assert_string_equal(c->http_metrics_listen, "");
    config_free(c);
    unlink(path);
}

static void numbers_outside_their_range_are_refused(void **state)
{
    (void)state;
    expect_failure(ERR_RANGE, "--mqtt-port: mqtt.port must be between 1 and 65535",
                   WORDS("--mqtt-port", "65536"), NULL);
    expect_failure(ERR_RANGE, "between 1 and 64", WORDS("--db-pool=99999999999999999999"), NULL);
    expect_failure(ERR_INVALID, "BRAID_DB_POOL: db.pool must be a whole number", NULL,
                   (const char *[]){"BRAID_DB_POOL=8x", NULL});
    expect_failure(ERR_INVALID, "whole number", WORDS("--db-pool="), NULL);
}

static void words_outside_a_choice_are_refused(void **state)
{
    (void)state;
    expect_failure(ERR_INVALID, "log.level must be one of debug, info, warn, error",
                   WORDS("--log-level=loud"), NULL);
    expect_failure(ERR_INVALID, "open, known", WORDS("--devices-admission=closed"), NULL);
}

static void control_bytes_are_refused(void **state)
{
    (void)state;
    expect_failure(ERR_INVALID, "printable", WORDS("--mqtt-host=a\nb"), NULL);
    expect_failure(ERR_INVALID, "printable", WORDS("--mqtt-host=\xff"), NULL);
}

static void unknown_flags_keys_and_half_lines_are_refused(void **state)
{
    (void)state;
    char path[32];
    expect_failure(ERR_INVALID, "no flag \"--nonsense\"", WORDS("--nonsense=1"), NULL);
    expect_failure(ERR_INVALID, "no flag \"serve\"", WORDS("serve"), NULL);
    expect_failure(ERR_INVALID, "--mqtt-port: needs a value", WORDS("--mqtt-port"), NULL);
    write_file(path, "mqtt.port = 1\nmqtt.prot = 2\n");
    expect_failure(ERR_INVALID, "line 2: there is no option \"mqtt.prot\"", WORDS("--config", path),
                   NULL);
    unlink(path);
    write_file(path, "mqtt.port\n");
    expect_failure(ERR_INVALID, "line 1: expected \"key = value\"", WORDS("--config", path), NULL);
    unlink(path);
    write_file(path, "mqtt.port=1\nmqtt.port=1\n");
    expect_failure(ERR_INVALID, "line 2: mqtt.port is given twice", WORDS("--config", path), NULL);
    unlink(path);
}

static void a_missing_or_huge_file_is_an_io_error(void **state)
{
    (void)state;
    char path[32];
    expect_failure(ERR_IO, "cannot be read", WORDS("--config=/no/such/file"), NULL);
    expect_failure(ERR_IO, "cannot be read", WORDS("--config", "/tmp"), NULL);
    char *huge = malloc(70001);
    memset(huge, '\n', 70000);
    huge[70000] = '\0';
    write_file(path, huge);
    free(huge);
    expect_failure(ERR_IO, "too big", WORDS("--config", path), NULL);
    unlink(path);
}

static void help_and_markdown_name_every_option_in_all_spellings(void **state)
{
    (void)state;
    struct buf help, markdown;
    buf_init(&help, 100000);
    buf_init(&markdown, 100000);
    config_help(&help);
    config_markdown(&markdown);
    assert_non_null(strstr(buf_text(&help), "--sparkplug-host-id TEXT"));
    assert_non_null(strstr(buf_text(&help), "BRAID_SPARKPLUG_HOST_ID"));
    assert_non_null(strstr(buf_text(&help), "--mqtt-port 1..65535"));
#define X(member, kind, key, def, lo, hi, help) assert_non_null(strstr(markdown.p, "`" key "`"));
    assert_non_null(buf_text(&markdown));
    CONFIG_TABLE(X)
#undef X
    assert_non_null(strstr(markdown.p, "debug, info, warn, error"));
    buf_fini(&help);
    buf_fini(&markdown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(flag_beats_environment_beats_file_beats_default),
        cmocka_unit_test(booleans_know_several_words_and_need_no_value_as_flags),
        cmocka_unit_test(values_may_be_empty_and_hold_equals_signs),
        cmocka_unit_test(numbers_outside_their_range_are_refused),
        cmocka_unit_test(words_outside_a_choice_are_refused),
        cmocka_unit_test(control_bytes_are_refused),
        cmocka_unit_test(unknown_flags_keys_and_half_lines_are_refused),
        cmocka_unit_test(a_missing_or_huge_file_is_an_io_error),
        cmocka_unit_test(help_and_markdown_name_every_option_in_all_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
