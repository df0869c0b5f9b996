/* The host's own STATE (3.0 sections 4.1 and 5.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sparkplug/host.h"

static void says(struct buf *b, const char *expected)
{
    assert_string_equal(buf_text(b), expected);
    buf_reset(b);
}

/* tck-id-host-topic-phid-birth-payload, ...-payload-timestamp, ...-death-payload */
static void birth_and_will_have_two_keys_and_the_time_of_their_connect(void **state)
{
    struct spb_host h;
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(spb_host_init(&h, str_of("braid")), ERR_OK);
    assert_string_equal(h.topic, "spBv1.0/STATE/braid");
    spb_host_connect(&h, 1700000000123);
    spb_host_will(&h, &b);
    says(&b, "{\"online\":false,\"timestamp\":1700000000123}");
    spb_host_birth(&h, &b);
    says(&b, "{\"online\":true,\"timestamp\":1700000000123}");
    spb_host_connect(&h, 1700000009999);
    spb_host_birth(&h, &b);
    says(&b, "{\"online\":true,\"timestamp\":1700000009999}");
    buf_fini(&b);
}

static void death_is_never_older_than_the_birth(void **state)
{
    struct spb_host h;
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(spb_host_init(&h, str_of("braid")), ERR_OK);
    spb_host_connect(&h, 5000);
    spb_host_death(&h, 6000, &b);
    says(&b, "{\"online\":false,\"timestamp\":6000}");
    spb_host_death(&h, 4000, &b); /* the clock was set back meanwhile */
    says(&b, "{\"online\":false,\"timestamp\":5000}");
    buf_fini(&b);
}

static void host_id_must_fit_into_a_topic_level(void **state)
{
    static const char *const bad[] = {"", "a/b", "a+", "#", "\xff", "a\x01\xc0"};
    char longest[82];
    struct spb_host h;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(spb_host_init(&h, str_of(bad[i])), ERR_INVALID);
    memset(longest, 'h', sizeof longest);
    assert_int_equal(spb_host_init(&h, str_make(longest, 82)), ERR_INVALID);
    assert_int_equal(spb_host_init(&h, str_make(longest, 81)), ERR_OK);
    assert_int_equal(strlen(h.topic), 95);
}

/* tck-id-host-topic-phid-birth-... : an offline STATE of ours while we are there */
static void offline_message_about_us_must_be_answered(void **state)
{
    static const struct {
        const char *topic, *payload;
        bool repeat;
    } cases[] = {
        {"spBv1.0/STATE/braid", "{\"online\":false,\"timestamp\":1}", true},
        {"spBv1.0/STATE/braid", "{\"timestamp\":9999999999999,\"online\":false}", true},
        {"spBv1.0/STATE/braid", "{\"online\":true,\"timestamp\":1}", false},
        {"spBv1.0/STATE/other", "{\"online\":false,\"timestamp\":1}", false},
        {"spBv1.0/STATE/braid", "OFFLINE", false},
        {"spBv1.0/STATE/braid", "{\"online\":0}", false},
        {"spBv1.0/STATE/braid", "{\"online\":false", false},
        {"spBv1.0/STATE/braid", "", false},
    };
    struct spb_host h;
    (void)state;
    assert_int_equal(spb_host_init(&h, str_of("braid")), ERR_OK);
    spb_host_connect(&h, 5000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(spb_host_must_repeat(&h, str_of(cases[i].topic), str_of(cases[i].payload)),
                         cases[i].repeat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(birth_and_will_have_two_keys_and_the_time_of_their_connect),
        cmocka_unit_test(death_is_never_older_than_the_birth),
        cmocka_unit_test(host_id_must_fit_into_a_topic_level),
        cmocka_unit_test(offline_message_about_us_must_be_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
