/* test_broker_files.c - what Mosquitto will read: whose lines, in which order, with which mode, and
 * what is left when something is in the way. */
#include "credential_fixture.h"

#include "base/clock.h"
#include "credential/broker_files.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#define HASH_A "$7$101$c2FsdA==$YQ=="
#define HASH_B "$7$101$c2FsdA==$Yg=="

static const char no_more[] = "";

static enum err written(const struct place *p, bool *changed)
{
    return broker_files_write(p->config, db, NULL, 0, changed);
}

static void write_now(const struct place *p)
{
    bool changed;
    assert_int_equal(written(p, &changed), ERR_OK);
}

/* Identities by name: `on` is active, `off` suspended, `out` retired; `bare` has a password only.
 */
static void some_identities(void)
{
    sql("INSERT INTO identity (endpoint, state) VALUES ('on', 'active'), ('off', 'suspended'), "
        "('out', 'retired');"
        "INSERT INTO device_password (endpoint, hash, set_by) VALUES "
        "('on', '" HASH_A "', 'me'), ('off', '" HASH_A "', 'me'), ('bare', '" HASH_B "', 'me')");
}

static void certificate(const char *serial, const char *name, const char *revoked,
                        const char *not_after)
{
    char text[512];
    snprintf(
        text, sizeof text,
        "INSERT INTO device_certificate (serial, endpoint, fingerprint, not_before, not_after, "
        "issued_by, revoked_at, revoked_why) VALUES ('%s', '%s', 'f%s', now(), %s, 'me', %s, "
        "%s)",
        serial, name, serial, not_after, revoked, strcmp(revoked, "NULL") ? "'lost'" : "NULL");
    sql(text);
}

static void passwords_are_of_active_identities_and_come_after_the_operators_own(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    some_identities();
    put(in(&p, "base/passwords"), "operator:" HASH_B); /* and no end of line */
    write_now(&p);
    assert_string_equal(get(in(&p, "sync/passwords")),
                        "operator:" HASH_B "\nbare:" HASH_B "\non:" HASH_A "\n");
    place_remove(&p);
}

static void a_password_for_one_use_is_there_as_a_hash_and_gone_with_the_next_writing(void **state)
{
    struct place p;
    bool changed;
    const struct one_time once = {.name = "dev", .password = "open-sesame"};
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    assert_int_equal(broker_files_write(p.config, db, &once, 1, &changed), ERR_OK);
    assert_true(changed);
    assert_true(has(in(&p, "sync/passwords"), "dev:$7$"));
    assert_false(has(in(&p, "sync/passwords"), "sesame"));
    assert_int_equal(written(&p, &changed), ERR_OK);
    assert_true(changed);
    assert_string_equal(get(in(&p, "sync/passwords")), "");
    place_remove(&p);
}

static void the_acl_silences_who_is_suspended_or_retired(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    some_identities();
    put(in(&p, "base/acl"), "pattern write lwm2m/%u/reg\n");
    write_now(&p);
    assert_string_equal(get(in(&p, "sync/acl")), "pattern write lwm2m/%u/reg\n"
                                                 "\n# suspended\nuser off\ntopic deny #\n"
                                                 "\n# retired\nuser out\ntopic deny #\n");
    place_remove(&p);
}

static void show_list(const struct place *p)
{
    const char *argv[] = {"openssl", "crl", "-in", in(p, "sync/crl.pem"), "-noout", "-text", NULL};
    assert_int_equal(process_run(argv, NULL, in(p, "crl.text")), 0);
}

static void the_revocation_list_has_what_was_revoked_and_what_is_on_hold(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    some_identities();
    certificate("0a01", "on", "NULL", "now() + interval '9 days'");
    certificate("0a02", "on", "now()", "now() + interval '9 days'");
    certificate("0a03", "off", "NULL", "now() + interval '9 days'");
    certificate("0a04", "on", "now()", "now() - interval '2 days'"); /* ended by itself */
    write_now(&p);
    show_list(&p);
    const char *text = get(in(&p, "crl.text"));
    assert_null(strstr(text, "Serial Number: 0A01"));
    assert_non_null(strstr(text, "Serial Number: 0A02"));
    const char *held = strstr(text, "Serial Number: 0A03");
    assert_non_null(held);
    assert_non_null(strstr(held, "Certificate Hold"));
    assert_null(strstr(text, "Serial Number: 0A04"));
    place_remove(&p);
}

static int64_t begins_ms(const struct place *p)
{
    int64_t from = -1;
    assert_int_equal(sscanf(get(in(p, "sync/crl.state")), "%*s %" SCNd64, &from), 1);
    return from;
}

static void every_new_list_begins_later_than_the_one_before(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    write_now(&p);
    int64_t first = begins_ms(&p);
    assert_true(first <= clock_utc_ms() - 3600000 + 1000);
    for (int i = 1; i <= 3; i++) { /* within a second of each other */
        static const char *const serials[] = {"b1", "b2", "b3"};
        certificate(serials[i - 1], "on", "now()", "now() + interval '9 days'");
        write_now(&p);
        assert_true(begins_ms(&p) >= first + i * 1000);
    }
    place_remove(&p);
}

static void a_list_from_the_future_is_followed_by_one_that_begins_now(void **state)
{
    struct place p;
    char text[128];
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    snprintf(text, sizeof text, "%064d %" PRId64 " %" PRId64 "\n", 0, clock_utc_ms() + 7200000,
             clock_utc_ms() + 9000000);
    put(in(&p, "sync/crl.state"), text);
    write_now(&p);
    assert_true(begins_ms(&p) <= clock_utc_ms());
    place_remove(&p);
}

static void a_state_file_of_garbage_costs_a_new_list_and_no_more(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    put(in(&p, "sync/crl.state"), "to be or not to be\n");
    write_now(&p);
    assert_true(begins_ms(&p) > 0);
    assert_true(has(in(&p, "sync/crl.pem"), "BEGIN X509 CRL"));
    place_remove(&p);
}

static void nothing_is_written_when_nothing_has_changed(void **state)
{
    static const char *const names[] = {"sync/acl", "sync/crl.pem", "sync/passwords"};
    struct place p;
    struct stat before[3], after;
    bool changed;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    some_identities();
    write_now(&p);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(stat(in(&p, names[i]), &before[i]), 0);
    assert_int_equal(written(&p, &changed), ERR_OK);
    assert_false(changed);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(in(&p, names[i]), &after), 0);
        assert_true(after.st_ino == before[i].st_ino);
    }
    place_remove(&p);
}

static void files_are_for_the_group_and_for_nobody_else_whatever_the_umask(void **state)
{
    static const char *const names[] = {"sync/acl", "sync/crl.pem", "sync/passwords",
                                        "sync/crl.state"};
    static const mode_t masks[] = {0, 022, 077, 0777};
    struct stat s;
    (void)state;
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        struct place p;
        place_make(&p);
        place_open(&p, NULL);
        mode_t old = umask(masks[i]);
        bool changed;
        enum err e = written(&p, &changed);
        umask(old);
        assert_int_equal(e, ERR_OK);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            assert_int_equal(stat(in(&p, names[k]), &s), 0);
            assert_int_equal(s.st_mode & 07777, 0640);
        }
        place_remove(&p);
    }
}

static void what_is_in_the_way_is_an_error_and_the_file_before_stays(void **state)
{
    static const char *const names[] = {"acl", "crl.pem", "passwords"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct place p;
        char fresh[64], file[64], before[65536];
        bool changed;
        place_make(&p);
        place_open(&p, NULL);
        write_now(&p);
        snprintf(file, sizeof file, "sync/%s", names[i]);
        snprintf(fresh, sizeof fresh, "sync/%s.new", names[i]);
        snprintf(before, sizeof before, "%s", get(in(&p, file)));
        some_identities();
        certificate("c1", "on", "now()", "now() + interval '9 days'");
        assert_int_equal(mkdir(in(&p, fresh), 0700), 0); /* stops root as well */
        assert_int_equal(written(&p, &changed), ERR_IO);
        assert_string_equal(get(in(&p, file)), before);
        assert_int_equal(rmdir(in(&p, fresh)), 0);
        assert_int_equal(symlink(in(&p, "elsewhere"), in(&p, fresh)), 0); /* somebody's trap */
        assert_int_equal(written(&p, &changed), ERR_IO);
        assert_int_equal(access(in(&p, "elsewhere"), F_OK), -1);
        assert_int_equal(unlink(in(&p, fresh)), 0);
        assert_int_equal(written(&p, &changed), ERR_OK);
        assert_true(changed);
        assert_string_not_equal(get(in(&p, file)), before);
        place_remove(&p);
    }
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct place p;
    bool changed;
    (void)state;
    place_make(&p);
    place_open(&p, (const char *[]){"--broker-sync-dir", in(&p, "nowhere"), NULL});
    assert_int_equal(written(&p, &changed), ERR_IO);
    place_remove(&p);
}

static void operators_files_may_be_missing_but_not_unreadable(void **state)
{
    static const char *const names[] = {"base/acl", "base/crl.pem", "base/passwords"};
    struct place p;
    bool changed;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    write_now(&p);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mkdir(in(&p, names[i]), 0700), 0);
        assert_int_equal(written(&p, &changed), ERR_IO);
        assert_int_equal(rmdir(in(&p, names[i])), 0);
    }
    place_remove(&p);
}

static void a_ca_that_cannot_be_used_is_an_error_and_the_list_before_stays(void **state)
{
    struct place p;
    char before[65536], cert[PATH + 32], other[PATH + 32], none[PATH];
    bool changed;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    write_now(&p);
    snprintf(before, sizeof before, "%s", get(in(&p, "sync/crl.pem")));
    certificate("d1", "on", "now()", "now() + interval '9 days'");
    snprintf(none, sizeof none, "%s", in(&p, "none"));
    snprintf(cert, sizeof cert, "%s/issuing-ca.crt", tls);
    snprintf(other, sizeof other, "%s/ca.key", tls);
    const struct {
        const char *cert, *key;
        enum err expected;
    } cases[] = {{none, other, ERR_IO},
                 {cert, "/nowhere/ca.key", ERR_IO},
                 {"/dev/null", other, ERR_INVALID},
                 {cert, other, ERR_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *good = p.config;
        place_open(&p, (const char *[]){"--devices-ca-cert-file", cases[i].cert,
                                        "--devices-ca-key-file", cases[i].key, NULL});
        assert_int_equal(written(&p, &changed), cases[i].expected);
        config_free(p.config);
        p.config = good;
        assert_string_equal(get(in(&p, "sync/crl.pem")), before);
    }
    place_remove(&p);
}

static void without_a_ca_the_list_is_the_operators_own(void **state)
{
    struct place p;
    (void)state;
    place_make(&p);
    place_open(&p, (const char *[]){"--devices-ca-cert-file", no_more, NULL});
    write_now(&p);
    assert_int_equal(access(in(&p, "sync/crl.pem"), F_OK), -1); /* none, none */
    put(in(&p, "base/crl.pem"), "-----BEGIN X509 CRL-----\n");
    write_now(&p);
    assert_string_equal(get(in(&p, "sync/crl.pem")), "-----BEGIN X509 CRL-----\n");
    place_remove(&p);
}

static void a_database_that_refuses_is_an_error_and_nothing_is_written(void **state)
{
    struct place p;
    struct pg *other = NULL;
    bool changed;
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    assert_int_equal(pg_connect(server.grafana, "test", &other), ERR_OK);
    assert_int_equal(broker_files_write(p.config, other, NULL, 0, &changed), ERR_DB);
    assert_false(changed);
    assert_int_equal(access(in(&p, "sync/acl"), F_OK), -1);
    pg_close(other);
    place_remove(&p);
}

/* ---- telling the broker ---- */

static void a_pid_that_is_no_broker_is_told_nothing(void **state)
{
    static const char *const texts[] = {
        "", "1\n", "0\n", "-1\n", "nine\n", "99999999999999999999\n", "4294967297\n"};
    struct place p;
    char own[32];
    (void)state;
    place_make(&p);
    place_open(&p, NULL);
    assert_int_equal(broker_files_reload(p.config), ERR_UNSUPPORTED);
    config_free(p.config);
    place_open(&p, (const char *[]){"--broker-pid-file", in(&p, "pid"), NULL});
    assert_int_equal(broker_files_reload(p.config), ERR_NOTFOUND);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(in(&p, "pid"), texts[i]);
        assert_int_equal(broker_files_reload(p.config), ERR_NOTFOUND);
    }
    snprintf(own, sizeof own, "%d\n", getpid()); /* SIGHUP would end this test */
    put(in(&p, "pid"), own);
    assert_int_equal(broker_files_reload(p.config), ERR_NOTFOUND);
    place_remove(&p);
}

/* Somebody called mosquitto. */
static pid_t start_namesake(const struct place *p)
{
    char text[32];
    const char *copy[] = {"cp", "/bin/sleep", in(p, "mosquitto"), NULL};
    assert_int_equal(process_run(copy, NULL, NULL), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(in(p, "mosquitto"), "mosquitto", "60", (char *)NULL);
        _exit(127);
    }
    char comm[64];
    snprintf(comm, sizeof comm, "/proc/%d/comm", pid);
    for (int i = 0; i < 6000 && !has(comm, "mosquitto"); i++)
        process_sleep_ms(5);
    snprintf(text, sizeof text, "%d\n", pid);
    put(in(p, "pid"), text);
    return pid;
}

static void a_broker_gets_a_sighup(void **state)
{
    struct place p;
    int status = 0;
    (void)state;
    place_make(&p);
    place_open(&p, (const char *[]){"--broker-pid-file", in(&p, "pid"), NULL});
    pid_t pid = start_namesake(&p);
    assert_int_equal(broker_files_reload(p.config), ERR_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
    assert_int_equal(broker_files_reload(p.config), ERR_NOTFOUND);
    place_remove(&p);
}

static void a_broker_of_another_user_is_out_of_reach(void **state)
{
    struct place p;
    int status = 0;
    (void)state;
    if (geteuid() != 0)
        skip();
    place_make(&p);
    assert_int_equal(chmod(p.dir, 0711), 0);
    place_open(&p, (const char *[]){"--broker-pid-file", in(&p, "pid"), NULL});
    pid_t pid = start_namesake(&p);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(setuid(65534) == 0 ? (int)broker_files_reload(p.config) : 99);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ERR_DENIED);
    process_end(pid, SIGKILL);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_of_active_identities_and_come_after_the_operators_own),
        cmocka_unit_test(a_password_for_one_use_is_there_as_a_hash_and_gone_with_the_next_writing),
        cmocka_unit_test(the_acl_silences_who_is_suspended_or_retired),
        cmocka_unit_test(the_revocation_list_has_what_was_revoked_and_what_is_on_hold),
        cmocka_unit_test(every_new_list_begins_later_than_the_one_before),
        cmocka_unit_test(a_list_from_the_future_is_followed_by_one_that_begins_now),
        cmocka_unit_test(a_state_file_of_garbage_costs_a_new_list_and_no_more),
        cmocka_unit_test(nothing_is_written_when_nothing_has_changed),
        cmocka_unit_test(files_are_for_the_group_and_for_nobody_else_whatever_the_umask),
        cmocka_unit_test(what_is_in_the_way_is_an_error_and_the_file_before_stays),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(operators_files_may_be_missing_but_not_unreadable),
        cmocka_unit_test(a_ca_that_cannot_be_used_is_an_error_and_the_list_before_stays),
        cmocka_unit_test(without_a_ca_the_list_is_the_operators_own),
        cmocka_unit_test(a_database_that_refuses_is_an_error_and_nothing_is_written),
        cmocka_unit_test(a_pid_that_is_no_broker_is_told_nothing),
        cmocka_unit_test(a_broker_gets_a_sighup),
        cmocka_unit_test(a_broker_of_another_user_is_out_of_reach),
    };
    return cmocka_run_group_tests(tests, start_server, remove_database);
}
