/* The pure pieces requests are read with. */
#include "http/http_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void a_query_parameter_is_found_and_decoded(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024, 4096);
    struct str q = STR("search=caf%C3%A9+au+lait&limit=5&flag&x=a=b");
    assert_true(str_is(query_find(&a, q, "search", 0), "café au lait"));
    assert_true(str_is(query_find(&a, q, "limit", 0), "5"));
    assert_true(str_is(query_find(&a, q, "x", 0), "a=b"));
    assert_non_null(query_find(&a, q, "flag", 0).p);
    assert_null(query_find(&a, q, "missing", 0).p);
    assert_null(query_find(&a, q, "limit", 1).p);
    struct str many = STR("tag=a&x=1&tag=b%3Ac&tag=");
    assert_true(str_is(query_find(&a, many, "tag", 1), "b:c"));
    assert_true(str_is(query_find(&a, many, "tag", 2), ""));
    assert_null(query_find(&a, many, "tag", 3).p);
    assert_null(query_find(&a, (struct str){0}, "missing", 0).p);
    arena_fini(&a);
}

static void a_malformed_escape_or_bad_utf8_is_no_parameter(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024, 4096);
    const char *bad[] = {"x=%", "x=%4", "x=%zz", "x=%ff", "x=%00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(query_find(&a, str_of(bad[i]), "x", 0).p);
    arena_fini(&a);
}

static void a_cookie_is_found_among_others(void **state)
{
    (void)state;
    struct str h = STR("a=1; braid_session=secret ;b=2; xbraid_session=no");
    assert_true(str_is(cookie_find(h, "braid_session"), "secret"));
    assert_true(str_is(cookie_find(h, "a"), "1"));
    assert_null(cookie_find(h, "c").p);
    assert_null(cookie_find((struct str){0}, "a").p);
    assert_null(cookie_find((struct str)STR("a; b"), "a").p);
}

static void an_origin_matches_only_its_own_host_and_port(void **state)
{
    (void)state;
    struct str host = STR("braid.example:8443");
    assert_true(origin_matches((struct str)STR("https://braid.example:8443"), host));
    assert_true(origin_matches((struct str)STR("http://BRAID.example:8443"), host));
    assert_false(origin_matches((struct str)STR("https://braid.example"), host));
    assert_false(origin_matches((struct str)STR("https://braid.example:8443.evil"), host));
    assert_false(origin_matches((struct str)STR("https://evil/braid.example:8443"), host));
    assert_false(origin_matches((struct str)STR("null"), host));
    assert_false(origin_matches((struct str)STR("https://"), (struct str){0}));
}

static void only_addresses_in_the_list_are_trusted(void **state)
{
    (void)state;
    assert_true(address_trusted("127.0.0.0/8", "127.0.0.1"));
    assert_true(address_trusted("10.1.2.3, 192.168.0.0/16", "192.168.7.9"));
    assert_true(address_trusted("0.0.0.0/0", "8.8.8.8"));
    assert_false(address_trusted("127.0.0.0/8", "128.0.0.1"));
    assert_false(address_trusted("10.1.2.3", "10.1.2.4"));
    assert_false(address_trusted("", "127.0.0.1"));
    assert_false(address_trusted("nonsense/8, 10.0.0.0/99", "10.0.0.1"));
    assert_false(address_trusted("127.0.0.0/8", "::1"));
}

static void only_plain_paths_name_files(void **state)
{
    (void)state;
    const char *good[] = {"/index.html", "/assets/app-ABCD2345.js", "/a_b-c.d"};
    const char *bad[] = {
        "",    "/",     "index.html", "/../etc/passwd", "/a/../b", "/.git/config", "/a//b",
        "/a/", "/a\\b", "/a b",       "/%2e%2e/x",      "/x\x01",  "/a/.env"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(static_path_ok(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(static_path_ok(str_of(bad[i])));
}

static void only_names_with_a_content_hash_are_immutable(void **state)
{
    (void)state;
    assert_true(static_is_hashed(str_of("/assets/main-ABCD2345.js")));
    assert_true(static_is_hashed(str_of("/x-A2B3C4D5.css")));
    assert_false(static_is_hashed(str_of("/index.html")));
    assert_false(static_is_hashed(str_of("/bundle-analysis.js")));
    assert_false(static_is_hashed(str_of("/mainABCD2345.js")));
    assert_false(static_is_hashed(str_of("")));
}

static void roles_are_read_by_their_words_only(void **state)
{
    (void)state;
    enum role r;
    assert_true(role_from(str_of("admin"), &r));
    assert_int_equal(r, ROLE_ADMIN);
    assert_true(ROLE_VIEWER < ROLE_OPERATOR && ROLE_OPERATOR < ROLE_ENGINEER);
    assert_false(role_from(str_of("anyone"), &r));
    assert_false(role_from(str_of("root"), &r));
}

static void every_unsafe_route_needs_csrf_and_more_than_a_viewer(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *r = route_at(i);
        assert_non_null(r->handler);
        if (!strcmp(r->method, "GET") || !strcmp(r->pattern, "/api/v1/session"))
            continue;
        assert_non_null(r->action);
        assert_true(r->role > ROLE_VIEWER);
    }
}

static void a_route_is_found_with_its_parameters(void **state)
{
    (void)state;
    struct str params[HTTP_MAX_PARAMS] = {{0}};
    struct buf allow;
    buf_init(&allow, 256);
    const struct route *r =
        route_find(str_of("GET"), str_of("/api/v1/devices/d 1/history"), params, &allow);
    assert_non_null(r);
    assert_string_equal(r->pattern, "/api/v1/devices/{endpoint}/history");
    assert_true(str_is(params[0], "d 1"));
    assert_non_null(route_find(str_of("HEAD"), str_of("/healthz"), params, &allow));
    assert_null(route_find(str_of("GET"), str_of("/api/v1/devices/"), params, &allow));
    assert_null(route_find(str_of("GET"), str_of("/api/v1/devices/a/b/c"), params, &allow));
    assert_null(route_find(str_of("GET"), str_of("/api"), params, &allow));
    assert_int_equal(allow.n, 0);
    assert_null(route_find(str_of("PUT"), str_of("/api/v1/session"), params, &allow));
    assert_string_equal(buf_text(&allow), "POST, GET, HEAD, DELETE");
    buf_fini(&allow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_parameter_is_found_and_decoded),
        cmocka_unit_test(a_malformed_escape_or_bad_utf8_is_no_parameter),
        cmocka_unit_test(a_cookie_is_found_among_others),
        cmocka_unit_test(an_origin_matches_only_its_own_host_and_port),
        cmocka_unit_test(only_addresses_in_the_list_are_trusted),
        cmocka_unit_test(only_plain_paths_name_files),
        cmocka_unit_test(only_names_with_a_content_hash_are_immutable),
        cmocka_unit_test(roles_are_read_by_their_words_only),
        cmocka_unit_test(every_unsafe_route_needs_csrf_and_more_than_a_viewer),
        cmocka_unit_test(a_route_is_found_with_its_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
