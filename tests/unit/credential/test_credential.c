/* test_credential.c - the life of an identity's credentials against a real database, with an engine
 * that a test plays: what is refused and why, what the broker's files say afterwards, and what the
 * timeline is told. */
#include "credential_fixture.h"

#include "base/clock.h"
#include "credential/credential.h"

#include <pthread.h>

#define WAIT_MS 20000
#define LINES   64

/* ---- the engine: the linker finds these and never asks for the real one ---- */

static struct {
    pthread_mutex_t lock;
    char lines[LINES][256]; /* "NAME: words", oldest first */
    size_t n;
    enum err answer; /* to every note */
    enum standing standing;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void answer(enum err e)
{
    pthread_mutex_lock(&told.lock);
    told.answer = e;
    pthread_mutex_unlock(&told.lock);
}

static enum err tell(struct str endpoint, const char *words)
{
    pthread_mutex_lock(&told.lock);
    if (told.n < LINES)
        snprintf(told.lines[told.n++], sizeof told.lines[0], "%.*s: %s", STR_ARG(endpoint), words);
    enum err e = told.answer;
    pthread_mutex_unlock(&told.lock);
    return e;
}

enum err engine_note(struct engine *e, struct str endpoint, const char *words, uint32_t wait_ms)
{
    (void)e, (void)wait_ms;
    return tell(endpoint, words);
}

enum err engine_set_standing(struct engine *e, struct str endpoint, enum standing s,
                             const char *words, uint32_t wait_ms)
{
    (void)e, (void)wait_ms;
    told.standing = s;
    return tell(endpoint, words);
}

const char *standing_word(enum standing s)
{
    static const char *const words[] = {"active", "suspended", "retired"};
    return words[s];
}

/* How many lines hold `words`. */
static size_t lines_with(const char *words)
{
    size_t n = 0;
    pthread_mutex_lock(&told.lock);
    for (size_t i = 0; i < told.n; i++)
        n += strstr(told.lines[i], words) != NULL;
    pthread_mutex_unlock(&told.lock);
    return n;
}

/* ---- a credentials object in a place of its own ---- */

struct fixture {
    struct place place;
    struct credentials *c;
};

static const struct str me = STR("me");

/* Starts, and asks for a round at once, so that there is an end to wait for. */
static void start(struct fixture *f)
{
    const struct credential_parts parts = {.config = f->place.config};
    assert_int_equal(credentials_start(&parts, &f->c), ERR_OK);
    assert_int_equal(credential_forget(f->c, db, str_of("nobody")), told.answer);
}

static void begin(struct fixture *f, const char *const more[])
{
    told.n = 0;
    answer(ERR_OK);
    place_make(&f->place);
    place_open(&f->place, more);
    start(f);
}

static void end(struct fixture *f)
{
    credentials_stop(f->c);
    place_remove(&f->place);
}

static void restart(struct fixture *f)
{
    credentials_stop(f->c);
    start(f);
    assert_string_equal(credential_settle(f->c, WAIT_MS), "synced");
}

static enum err issue(struct fixture *f, const char *name, uint32_t days, bool replace,
                      char serial[41])
{
    struct credential_bundle b = {.serial = ""};
    enum err e = credential_certificate(f->c, db, str_of(name), days, replace, me, &b);
    if (!e) {
        assert_non_null(strstr(buf_text(&b.cert), "BEGIN CERTIFICATE"));
        assert_non_null(strstr(buf_text(&b.key), "BEGIN PRIVATE KEY"));
        assert_non_null(strstr(buf_text(&b.ca), "BEGIN CERTIFICATE"));
        assert_int_equal(strlen(b.fingerprint), 64);
        assert_string_equal(b.password, "");
    }
    if (serial)
        memcpy(serial, b.serial, sizeof b.serial);
    credential_bundle_fini(&b);
    return e;
}

static enum err set_password(struct fixture *f, const char *name, char text[65])
{
    struct credential_bundle b = {.serial = ""};
    enum err e = credential_password(f->c, db, str_of(name), me, &b);
    if (text)
        memcpy(text, b.password, sizeof b.password);
    credential_bundle_fini(&b);
    assert_string_equal(b.password, "");
    return e;
}

static enum err stand(struct fixture *f, const char *name, enum standing s, const char *why)
{
    return credential_standing(f->c, db, str_of(name), s, str_of(why), me);
}

/* One number from SQL. */
static int64_t count(const char *query)
{
    struct pg_result *r = NULL;
    assert_int_equal(pg_exec(db, query, NULL, 0, &r), ERR_OK);
    int64_t n = pg_i64(r, 0, 0);
    pg_result_free(r);
    return n;
}

static bool revoked(struct fixture *f, const char *serial)
{
    char upper[64] = "Serial Number: ";
    for (size_t i = strlen(upper), k = 0; serial[k]; i++, k++)
        upper[i] = (char)(serial[k] >= 'a' ? serial[k] - 'a' + 'A' : serial[k]);
    assert_string_equal(credential_settle(f->c, WAIT_MS), "synced");
    const char *argv[] = {"openssl", "crl",   "-in", in(&f->place, "sync/crl.pem"),
                          "-noout",  "-text", NULL};
    unlink(in(&f->place, "crl.text")); /* process_run appends */
    assert_int_equal(process_run(argv, NULL, in(&f->place, "crl.text")), 0);
    return has(in(&f->place, "crl.text"), upper);
}

/* ---- names, and the CA before anything starts ---- */

static void names_that_mean_something_else_or_break_a_topic_are_nobodys(void **state)
{
    static const char *const good[] = {"a", "A-z.0_9:@=", "rdx", "state", "braid", "-"};
    static const char *const bad[] = {"",         "rd",  "bs",  "STATE", "braid-", "braid-sp",
                                      "a/b",      "a b", "a+b", "a#b",   "a\nb",   "a,b",
                                      "\xc3\xbc", "%",   "$a",  "a\"b",  "a'b",    "a\\b"};
    char longest[66];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(credential_name_ok(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(credential_name_ok(str_of(bad[i])));
    memset(longest, 'x', sizeof longest);
    assert_true(credential_name_ok(str_make(longest, 64)));
    assert_false(credential_name_ok(str_make(longest, 65)));
    assert_false(credential_name_ok(str_make("a\0b", 3)));
}

static void a_server_says_at_once_that_its_ca_cannot_be_used(void **state)
{
    char cert[PATH + 32], key[PATH + 32], wrong[PATH + 32];
    (void)state;
    snprintf(cert, sizeof cert, "%s/issuing-ca.crt", tls);
    snprintf(key, sizeof key, "%s/issuing-ca.key", tls);
    snprintf(wrong, sizeof wrong, "%s/ca.key", tls);
    const struct {
        const char *cert, *key;
        enum err expected;
    } cases[] = {{"", "", ERR_OK},
                 {cert, key, ERR_OK},
                 {"/nowhere/ca.crt", key, ERR_IO},
                 {cert, "/nowhere/ca.key", ERR_IO},
                 {cert, "", ERR_IO},
                 {"/dev/null", key, ERR_INVALID},
                 {cert, wrong, ERR_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *c = options((const char *[]){"--devices-ca-cert-file", cases[i].cert,
                                                    "--devices-ca-key-file", cases[i].key, NULL});
        const struct credential_parts parts = {.config = c};
        struct credentials *started = NULL;
        assert_int_equal(credentials_check(c), cases[i].expected);
        assert_int_equal(credentials_start(&parts, &started), cases[i].expected);
        assert_true(!started == (cases[i].expected != ERR_OK));
        credentials_stop(started);
        config_free(c);
    }
}

/* ---- certificates and passwords ---- */

static void a_certificate_is_recorded_told_and_good_until_it_is_replaced(void **state)
{
    struct fixture f;
    char first[41], second[41], third[41];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "dev", 30, false, first), ERR_OK);
    assert_int_equal(issue(&f, "dev", 30, false, second), ERR_OK);
    assert_false(revoked(&f, first));
    assert_int_equal(issue(&f, "dev", 30, true, third), ERR_OK);
    assert_true(revoked(&f, first));
    assert_true(revoked(&f, second));
    assert_false(revoked(&f, third));
    assert_int_equal(count("SELECT count(*) FROM device_certificate WHERE endpoint = 'dev'"), 3);
    assert_int_equal(lines_with("dev: Certificate"), 3);
    assert_int_equal(lines_with("those before it are revoked"), 1);
    end(&f);
}

static void a_certificate_is_refused_for_a_reason(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "a/b", 30, false, NULL), ERR_DENIED);
    assert_int_equal(issue(&f, "braid-lw", 30, false, NULL), ERR_DENIED);
    assert_int_equal(issue(&f, "dev", 3651, false, NULL), ERR_RANGE);
    assert_int_equal(issue(&f, "dev", 0, false, NULL), ERR_RANGE);
    assert_int_equal(stand(&f, "dev", STANDING_SUSPENDED, ""), ERR_OK);
    assert_int_equal(issue(&f, "dev", 30, false, NULL), ERR_CONFLICT);
    assert_int_equal(set_password(&f, "dev", NULL), ERR_CONFLICT);
    assert_int_equal(count("SELECT count(*) FROM device_certificate"), 0);
    end(&f);
    begin(&f, (const char *[]){"--devices-ca-cert-file", "", NULL});
    assert_int_equal(issue(&f, "dev", 30, false, NULL), ERR_UNSUPPORTED);
    end(&f);
    begin(&f, (const char *[]){"--mqtt-tls-ca-file", "/nowhere/ca.crt", NULL});
    assert_int_equal(issue(&f, "dev", 30, false, NULL), ERR_IO);
    assert_int_equal(set_password(&f, "dev", NULL), ERR_IO);
    end(&f);
}

static void a_password_is_kept_as_the_brokers_hash_only(void **state)
{
    struct fixture f;
    char first[65], second[65];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(set_password(&f, "dev", first), ERR_OK);
    assert_int_equal(strlen(first), 48);
    assert_string_equal(credential_settle(f.c, WAIT_MS), "synced");
    assert_true(has(in(&f.place, "sync/passwords"), "dev:$7$"));
    assert_false(has(in(&f.place, "sync/passwords"), first));
    assert_int_equal(set_password(&f, "dev", second), ERR_OK);
    assert_string_not_equal(first, second);
    assert_int_equal(count("SELECT count(*) FROM device_password WHERE hash LIKE '$7$%'"), 1);
    assert_int_equal(lines_with("dev: Password set by me"), 2);
    assert_int_equal(set_password(&f, "a:b", NULL), ERR_INVALID); /* the file has a colon there */
    assert_int_equal(set_password(&f, "rd", NULL), ERR_DENIED);
    end(&f);
    begin(&f, (const char *[]){"--broker-sync-dir", "", NULL});
    assert_int_equal(set_password(&f, "dev", NULL), ERR_UNSUPPORTED);
    assert_string_equal(credential_settle(f.c, WAIT_MS), "not_managed");
    end(&f);
}

static void what_is_revoked_is_gone_and_cannot_be_revoked_again(void **state)
{
    struct fixture f;
    char serial[41], other[41];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "dev", 30, false, serial), ERR_OK);
    assert_int_equal(issue(&f, "other", 30, false, other), ERR_OK);
    assert_int_equal(set_password(&f, "dev", NULL), ERR_OK);
    assert_int_equal(credential_revoke(f.c, db, str_of("dev"), str_of(other), me), ERR_NOTFOUND);
    for (int i = 0; i < 2; i++) {
        enum err expected = i ? ERR_NOTFOUND : ERR_OK;
        assert_int_equal(credential_revoke(f.c, db, str_of("dev"), str_of(serial), me), expected);
        assert_int_equal(credential_revoke(f.c, db, str_of("dev"), str_of("password"), me),
                         expected);
    }
    assert_true(revoked(&f, serial));
    assert_false(revoked(&f, other));
    assert_false(has(in(&f.place, "sync/passwords"), "dev:"));
    assert_int_equal(lines_with("revoked by me"), 1);
    assert_int_equal(lines_with("Password removed by me"), 1);
    end(&f);
}

/* ---- standing ---- */

static void a_suspended_identity_comes_back_and_a_retired_one_does_not(void **state)
{
    struct fixture f;
    char serial[41];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "dev", 30, false, serial), ERR_OK);
    assert_int_equal(set_password(&f, "dev", NULL), ERR_OK);
    assert_int_equal(stand(&f, "dev", STANDING_SUSPENDED, "stolen"), ERR_OK);
    assert_int_equal(told.standing, STANDING_SUSPENDED);
    assert_int_equal(lines_with("dev: Suspended by me: stolen"), 1);
    assert_true(revoked(&f, serial));
    assert_true(has(in(&f.place, "sync/acl"), "user dev\ntopic deny #"));
    assert_false(has(in(&f.place, "sync/passwords"), "dev:"));
    assert_int_equal(stand(&f, "dev", STANDING_ACTIVE, ""), ERR_OK);
    assert_false(revoked(&f, serial));
    assert_false(has(in(&f.place, "sync/acl"), "user dev"));
    assert_true(has(in(&f.place, "sync/passwords"), "dev:$7$"));
    assert_int_equal(stand(&f, "dev", STANDING_RETIRED, "sold"), ERR_OK);
    assert_true(revoked(&f, serial));
    assert_int_equal(count("SELECT count(*) FROM device_password"), 0);
    assert_int_equal(stand(&f, "dev", STANDING_ACTIVE, ""), ERR_CONFLICT);
    assert_int_equal(stand(&f, "dev", STANDING_SUSPENDED, ""), ERR_CONFLICT);
    assert_int_equal(stand(&f, "dev", STANDING_RETIRED, "again"), ERR_OK);
    assert_int_equal(told.standing, STANDING_RETIRED);
    end(&f);
}

static void a_forgotten_name_is_free_and_its_old_certificate_is_not_good(void **state)
{
    struct fixture f;
    char serial[41], next[41];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "dev", 30, false, serial), ERR_OK);
    assert_int_equal(stand(&f, "dev", STANDING_SUSPENDED, ""), ERR_OK);
    assert_int_equal(credential_forget(f.c, db, str_of("dev")), ERR_OK);
    assert_int_equal(told.standing, STANDING_ACTIVE);
    assert_int_equal(issue(&f, "dev", 30, false, next), ERR_OK);
    assert_true(revoked(&f, serial));
    assert_false(revoked(&f, next));
    assert_false(has(in(&f.place, "sync/acl"), "user dev"));
    end(&f);
}

/* ---- the thread that keeps the files ---- */

static void an_answer_says_pending_while_the_files_cannot_be_written(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, NULL);
    assert_string_equal(credential_settle(f.c, WAIT_MS), "synced");
    assert_int_equal(mkdir(in(&f.place, "sync/passwords.new"), 0700), 0);
    assert_int_equal(set_password(&f, "dev", NULL), ERR_OK); /* it counts, but not there yet */
    assert_string_equal(credential_settle(f.c, 200), "pending");
    assert_int_equal(rmdir(in(&f.place, "sync/passwords.new")), 0);
    assert_string_equal(credential_settle(f.c, WAIT_MS), "synced"); /* tried again by itself */
    assert_true(has(in(&f.place, "sync/passwords"), "dev:$7$"));
    end(&f);
}

static void a_broker_that_lets_nobody_in_leaves_no_password_for_one_use_behind(void **state)
{
    struct fixture f;
    char port[16];
    (void)state;
    snprintf(port, sizeof port, "%d", process_free_port());
    begin(&f, (const char *[]){"--broker-takeover-port", port, NULL});
    assert_int_equal(stand(&f, "dev", STANDING_SUSPENDED, ""), ERR_OK);
    assert_string_equal(credential_settle(f.c, WAIT_MS), "synced");
    assert_true(has(in(&f.place, "sync/acl"), "user dev"));
    assert_string_equal(get(in(&f.place, "sync/passwords")), "");
    end(&f);
}

static void ends_at(const char *serial, const char *when)
{
    char text[256];
    snprintf(text, sizeof text,
             "UPDATE device_certificate SET not_after = now() + interval '%s' WHERE serial = '%s'",
             when, serial);
    sql(text);
}

static void the_timeline_is_warned_once_at_30_7_and_1_days_before_the_end(void **state)
{
    static const struct {
        const char *left;
        size_t lines;
    } steps[] = {{"31 days", 0}, {"29 days", 1},  {"8 days", 1},     {"6 days", 2},
                 {"2 days", 2},  {"23 hours", 3}, {"10 seconds", 3}, {"-1 minute", 3}};
    struct fixture f;
    char serial[41], words[80];
    (void)state;
    begin(&f, NULL);
    assert_int_equal(issue(&f, "dev", 365, false, serial), ERR_OK);
    snprintf(words, sizeof words, "dev: The certificate %s ends at ", serial);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (int again = 0; again < 2; again++) {
            ends_at(serial, steps[i].left);
            restart(&f);
            assert_int_equal(lines_with(words), steps[i].lines);
        }
    }
    end(&f);
}

static void a_warning_that_was_not_told_is_told_later_and_some_are_not_worth_telling(void **state)
{
    struct fixture f;
    char old[41], spare[41], revoked_one[41];
    (void)state;
    begin(&f, NULL);
    answer(ERR_TIMEOUT); /* from the start: the room looks for ends just now */
    assert_int_equal(issue(&f, "dev", 20, false, old), ERR_OK);
    restart(&f);
    assert_int_equal(count("SELECT count(*) FROM device_certificate WHERE warned IS NOT NULL"), 0);
    answer(ERR_NOTFOUND); /* no device of that name: nobody to tell, and no use in trying */
    restart(&f);
    assert_int_equal(count("SELECT warned FROM device_certificate"), 30);
    answer(ERR_OK);
    size_t before = lines_with("ends at");
    assert_int_equal(issue(&f, "renewed", 5, false, old), ERR_OK);
    assert_int_equal(issue(&f, "renewed", 300, false, spare), ERR_OK);
    assert_int_equal(issue(&f, "out", 5, false, revoked_one), ERR_OK);
    assert_int_equal(credential_revoke(f.c, db, str_of("out"), str_of(revoked_one), me), ERR_OK);
    restart(&f);
    assert_int_equal(lines_with("ends at"), before);
    end(&f);
}

/* ---- braidd broker-sync ---- */

static void the_files_are_made_from_the_command_line_too(void **state)
{
    struct place p;
    bool changed = false;
    (void)state;
    place_make(&p);
    place_open(&p, (const char *[]){"--broker-sync-dir", "", NULL});
    assert_int_equal(credentials_sync_once(p.config, &changed), ERR_UNSUPPORTED);
    config_free(p.config);
    place_open(&p, (const char *[]){"--db-conninfo", "host=/nowhere dbname=x", NULL});
    assert_int_equal(credentials_sync_once(p.config, &changed), ERR_DB);
    config_free(p.config);
    place_open(&p, (const char *[]){"--broker-pid-file", in(&p, "pid"), NULL}); /* none runs */
    assert_int_equal(credentials_sync_once(p.config, &changed), ERR_OK);
    assert_true(changed);
    assert_int_equal(credentials_sync_once(p.config, &changed), ERR_OK);
    assert_false(changed);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_mean_something_else_or_break_a_topic_are_nobodys),
        cmocka_unit_test(a_server_says_at_once_that_its_ca_cannot_be_used),
        cmocka_unit_test(a_certificate_is_recorded_told_and_good_until_it_is_replaced),
        cmocka_unit_test(a_certificate_is_refused_for_a_reason),
        cmocka_unit_test(a_password_is_kept_as_the_brokers_hash_only),
        cmocka_unit_test(what_is_revoked_is_gone_and_cannot_be_revoked_again),
        cmocka_unit_test(a_suspended_identity_comes_back_and_a_retired_one_does_not),
        cmocka_unit_test(a_forgotten_name_is_free_and_its_old_certificate_is_not_good),
        cmocka_unit_test(an_answer_says_pending_while_the_files_cannot_be_written),
        cmocka_unit_test(a_broker_that_lets_nobody_in_leaves_no_password_for_one_use_behind),
        cmocka_unit_test(the_timeline_is_warned_once_at_30_7_and_1_days_before_the_end),
        cmocka_unit_test(a_warning_that_was_not_told_is_told_later_and_some_are_not_worth_telling),
        cmocka_unit_test(the_files_are_made_from_the_command_line_too),
    };
    return cmocka_run_group_tests(tests, start_server, remove_database);
}
