/* The firmware object: every state with every event, and what verification refuses. */
#include "client_fixture.h"

static const struct fw_image good = {.size = 40, .head = STR("version=2.5.0\nbytes")};

static void write_uri(struct fixture *f, const char *uri)
{
    char json[400];
    snprintf(json, sizeof json,
             "{\"op\":\"write\",\"path\":\"/5/0/1\",\"mode\":\"replace\",\"value\":\"%s\"}", uri);
    assert_int_equal(code_of(f, json), LW_CHANGED);
}

static void assert_state(struct fixture *f, int state, int result)
{
    assert_int_equal(value_at(f, 5, 0, 3).i, state);
    assert_int_equal(value_at(f, 5, 0, 5).i, result);
}

static void a_uri_leads_to_a_download_and_an_update_to_a_reboot(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    write_uri(&f, "http://h:8000/fw.bin");
    assert_true(f.effects & LWM2M_DOWNLOAD);
    assert_string_equal(lwm2m_client_firmware(f.client)->uri, "http://h:8000/fw.bin");
    assert_state(&f, FW_DOWNLOADING, FW_INITIAL);
    assert_int_equal(code_of(&f, "{\"op\":\"execute\",\"path\":\"/5/0/2\"}"), LW_NOT_ALLOWED);
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &good, f.now);
    assert_state(&f, FW_DOWNLOADED, FW_INITIAL);
    assert_true(str_is(value_at(&f, 5, 0, 7).s, "2.5.0"));
    assert_int_equal(code_of(&f, "{\"op\":\"execute\",\"path\":\"/5/0/2\"}"), LW_CHANGED);
    assert_state(&f, FW_UPDATING, FW_INITIAL);
    pass(&f, 1000);
    assert_int_equal(f.effects, 0);
    pass(&f, 1500);
    assert_int_equal(f.effects, LWM2M_REBOOT);
    assert_state(&f, FW_IDLE, FW_SUCCESS);
    assert_true(str_is(value_at(&f, 3, 0, 3).s, "2.5.0"));
    teardown(&f);
}

static void failed_downloads_say_why(void **state)
{
    (void)state;
    static const enum fw_result reasons[] = {FW_NO_FLASH, FW_CONNECTION_LOST, FW_BAD_URI};
    struct fixture f;
    struct fw_image none = {0};
    setup_registered(&f);
    for (size_t i = 0; i < 3; i++) {
        write_uri(&f, "http://h/fw");
        lwm2m_client_downloaded(f.client, reasons[i], &none, f.now);
        assert_state(&f, FW_IDLE, (int)reasons[i]);
    }
    write_uri(&f, "http://h/fw");
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &none, f.now);
    assert_state(&f, FW_IDLE, FW_BAD_PACKAGE); /* empty */
    teardown(&f);
}

static void uris_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        enum fw_result want;
    } rows[] = {
        {"coap://h/x", FW_BAD_PROTOCOL},
        {"https://h/x", FW_BAD_PROTOCOL},
        {"nonsense", FW_BAD_URI},
        {"http://h/a b", FW_BAD_URI},
        {"http://h/x#sha256=12", FW_BAD_URI},
        {"http://h/x#sha256=zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
         FW_BAD_URI},
    };
    struct fixture f;
    setup_registered(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_uri(&f, rows[i].uri);
        assert_false(f.effects & LWM2M_DOWNLOAD);
        assert_state(&f, FW_IDLE, (int)rows[i].want);
    }
    teardown(&f);
}

static void the_hash_of_the_uri_must_match(void **state)
{
    (void)state;
    struct fixture f;
    struct fw_image image = good;
    char uri[120] = "http://h/fw#sha256=";
    memset(image.sha256, 0xab, sizeof image.sha256);
    setup_registered(&f);
    for (int i = 0; i < 32; i++)
        memcpy(uri + 19 + 2 * i, "AB", 2); /* either case */
    write_uri(&f, uri);
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &image, f.now);
    assert_state(&f, FW_DOWNLOADED, FW_INITIAL);
    write_uri(&f, "");
    write_uri(&f, uri);
    image.sha256[31] = 0;
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &image, f.now);
    assert_state(&f, FW_IDLE, FW_BAD_INTEGRITY);
    teardown(&f);
}

static void an_empty_uri_resets_and_aborts(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    write_uri(&f, "http://h/fw");
    write_uri(&f, "");
    assert_true(f.effects & LWM2M_ABORT);
    assert_state(&f, FW_IDLE, FW_INITIAL);
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &good, f.now); /* too late */
    assert_state(&f, FW_IDLE, FW_INITIAL);
    teardown(&f);
}

static void cancel_works_until_the_update_begins(void **state)
{
    (void)state;
    struct fixture f;
    static const char cancel[] = "{\"op\":\"execute\",\"path\":\"/5/0/10\"}";
    setup_registered(&f);
    assert_int_equal(code_of(&f, cancel), LW_NOT_ALLOWED);
    write_uri(&f, "http://h/fw");
    assert_int_equal(code_of(&f, cancel), LW_CHANGED);
    assert_true(f.effects & LWM2M_ABORT);
    assert_state(&f, FW_IDLE, FW_CANCELLED);
    write_uri(&f, "http://h/fw");
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &good, f.now);
    (void)code_of(&f, "{\"op\":\"execute\",\"path\":\"/5/0/2\"}");
    assert_int_equal(code_of(&f, cancel), LW_NOT_ALLOWED);
    write_uri(&f, ""); /* too late as well */
    assert_state(&f, FW_UPDATING, FW_INITIAL);
    teardown(&f);
}

static void a_pushed_package_is_verified_at_once(void **state)
{
    (void)state;
    struct fixture f;
    setup_registered(&f);
    assert_int_equal(code_of(&f, "{\"op\":\"write\",\"path\":\"/5/0/0\",\"mode\":\"replace\","
                                 "\"ct\":42,\"payload\":\"aW1hZ2U=\"}"),
                     LW_CHANGED);
    assert_state(&f, FW_DOWNLOADED, FW_INITIAL);
    assert_true(str_is(value_at(&f, 5, 0, 7).s, "1.0.1")); /* the old one, raised */
    assert_int_equal(code_of(&f, "{\"op\":\"write\",\"path\":\"/5/0/0\",\"mode\":\"replace\","
                                 "\"ct\":42,\"payload\":\"AA==\"}"),
                     LW_CHANGED);
    assert_state(&f, FW_IDLE, FW_INITIAL); /* one NUL byte resets */
    teardown(&f);
}

static void a_broken_image_fails_to_install(void **state)
{
    (void)state;
    struct fixture f;
    struct fw_image image = {.size = 15, .head = STR("version=broken\n")};
    setup_registered(&f);
    write_uri(&f, "http://h/fw");
    lwm2m_client_downloaded(f.client, FW_SUCCESS, &image, f.now);
    (void)code_of(&f, "{\"op\":\"execute\",\"path\":\"/5/0/2\"}");
    pass(&f, 2500);
    assert_int_equal(f.effects, 0);
    assert_state(&f, FW_DOWNLOADED, FW_FAILED);
    assert_true(str_is(value_at(&f, 3, 0, 3).s, "1.0.0"));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_leads_to_a_download_and_an_update_to_a_reboot),
        cmocka_unit_test(failed_downloads_say_why),
        cmocka_unit_test(uris_that_cannot_work_are_refused),
        cmocka_unit_test(the_hash_of_the_uri_must_match),
        cmocka_unit_test(an_empty_uri_resets_and_aborts),
        cmocka_unit_test(cancel_works_until_the_update_begins),
        cmocka_unit_test(a_pushed_package_is_verified_at_once),
        cmocka_unit_test(a_broken_image_fails_to_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
