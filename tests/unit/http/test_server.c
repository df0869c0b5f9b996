/* The whole HTTP room over real sockets, with a fake engine and a fake store behind it. */
#include "http/fake_world.h"
#include "http/fake_labels.h"
#include "http/fake_storage.h"
#include "http/client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

#define WORKERS 8
#define CLIENTS 2

#define VIEWER   "\r\nAuthorization: Bearer viewer-token"
#define OPERATOR "\r\nAuthorization: Bearer operator-token"
#define ADMIN    "\r\nAuthorization: Bearer admin-token"
#define API      " HTTP/1.1"

struct server {
    struct http *http;
    struct config config;
    struct metrics *metrics;
    char dir[64];
    char *answer;
    int port, metrics_port;
};

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Nobody looks into them: their functions are those of fake_world.h. */
static const struct http_parts the_parts = {.recent = (struct recent *)&world};

/* As app.c does it: config and metrics first, all else when it is there. */
static void serve(struct server *s)
{
    assert_int_equal(http_listen(&s->config, s->metrics, &s->http), ERR_OK);
    assert_int_equal(http_serve(s->http, &the_parts), ERR_OK);
}

static int start(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/braid-http-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    write_file(s->dir, "index.html", "<!doctype html>view");
    write_file(s->dir, "app-ABCD2345.js", "plain");
    write_file(s->dir, "app-ABCD2345.js.gz", "squeezed");
    s->config = (struct config){
        .http_listen = (char *)(uintptr_t) "127.0.0.1:0",
        .http_metrics_listen = (char *)(uintptr_t) "127.0.0.1:0",
        .http_static_dir = s->dir,
        .http_trusted_proxies = (char *)(uintptr_t) "127.0.0.0/8",
        .http_workers = WORKERS,
        .http_live_clients = CLIENTS,
        .http_session_idle_s = 60,
        .http_session_max_s = 600,
        .connect_host = (char *)(uintptr_t) "broker.example",
        .connect_tls_port = 8883,
        .connect_plain_port = 1883,
        .sparkplug_host_id = (char *)(uintptr_t) "braid",
    };
    s->metrics = metrics_new();
    s->answer = malloc(ANSWER_SIZE);
    world.health =
        (struct engine_health){.sparkplug_up = true, .lwm2m_up = true, .database_up = true};
    if (!world.model)
        assert_int_equal(lw_model_builtin(&world.model), ERR_OK);
    if (!*world.admin_hash)
        assert_int_equal(crypto_password_hash((struct str)STR("correct horse"), world.admin_hash),
                         ERR_OK);
    serve(s);
    s->port = s->http->port;
    s->metrics_port = s->http->metrics_port;
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct server *s = *state;
    http_stop(s->http);
    assert_int_equal(world.loans, 0); /* every connection went back to the pool */
    metrics_free(s->metrics);
    lw_model_free(world.model);
    world.model = NULL;
    const char *names[] = {"index.html", "app-ABCD2345.js", "app-ABCD2345.js.gz"};
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        unlink(path);
    }
    rmdir(s->dir);
    free(s->answer);
    free(s);
    return 0;
}

/* Waits until `condition` holds, or patience ends: assert afterwards what matters. */
#define UNTIL(condition)                                                                           \
    for (int i_ = 0; i_ < 6000 && !(condition); i_++)                                              \
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL)

/* One server serves all tests; each begins when the live clients of the one before are gone. */
static int settle(void **state)
{
    struct server *s = *state;
    UNTIL(!metric_get(s->metrics, M_WS_CLIENTS));
    s->port = s->http->port; /* a test may have restarted it */
    s->metrics_port = s->http->metrics_port;
    return metric_get(s->metrics, M_WS_CLIENTS) ? -1 : 0;
}

static int ask(struct server *s, const char *head, const char *body)
{
    return client_status(client_ask(s->port, head, body, s->answer));
}

static bool said(const struct server *s, const char *text)
{
    return strstr(s->answer, text) != NULL;
}

static void a_running_server_says_so_without_a_login(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /healthz" API, ""), 200);
    assert_int_equal(ask(s, "GET /readyz" API, ""), 200);
    assert_true(said(s, "{\"state\":\"active\",\"broker\":{\"sparkplug\":\"up\",\"lwm2m\":\"up\"},"
                        "\"database\":\"up\",\"telemetry\":\"flowing\",\"packing\":\"in_time\"}"));
    world.health.lwm2m_up = false;
    assert_int_equal(ask(s, "GET /readyz" API, ""), 503);
    assert_true(said(s, "\"code\":\"not_ready\"") && said(s, "\"lwm2m\":\"down\"") &&
                said(s, "Retry-After:"));
    world.health.lwm2m_up = true;
}

static void every_answer_carries_the_security_headers(void **state)
{
    struct server *s = *state;
    const char *heads[] = {"GET / HTTP/1.1", "GET /api/v1/nowhere HTTP/1.1",
                           "GET /healthz HTTP/1.1", "BREW /x HTTP/1.1", "GET /x y z"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        ask(s, heads[i], "");
        assert_true(said(s, "Content-Security-Policy: default-src 'self'; script-src 'self';"));
        assert_true(said(s, "X-Content-Type-Options: nosniff"));
        assert_true(said(s, "Referrer-Policy: no-referrer"));
    }
}

static void without_a_login_the_api_answers_401_as_a_problem(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/devices" API, ""), 401);
    assert_true(said(s, "Content-Type: application/problem+json"));
    assert_true(said(s, "\"code\":\"unauthenticated\""));
    assert_int_equal(ask(s, "GET /api/v1/devices" API "\r\nAuthorization: Bearer wrong", ""), 401);
    assert_int_equal(ask(s, "GET /metrics" API, ""), 401);
}

static void each_role_may_do_its_own_and_no_more(void **state)
{
    struct server *s = *state;
    const char *command = "{\"op\":\"read\",\"path\":\"/3/0/0\"}";
    assert_int_equal(ask(s, "GET /api/v1/fleet" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "POST /api/v1/devices/dev-00/commands" API VIEWER, command), 403);
    assert_true(said(s, "\"code\":\"forbidden\""));
    assert_int_equal(ask(s, "POST /api/v1/devices/dev-00/commands" API OPERATOR, command), 202);
    assert_int_equal(ask(s, "GET /api/v1/users" API OPERATOR, ""), 403);
    assert_int_equal(ask(s, "GET /api/v1/users" API ADMIN, ""), 200);
    assert_int_equal(ask(s, "DELETE /api/v1/devices/dev-00" API OPERATOR, ""), 403);
    assert_int_equal(ask(s, "DELETE /api/v1/devices/dev-00" API ADMIN, ""), 204);
    assert_int_equal(ask(s, "DELETE /api/v1/devices/dev-01" API ADMIN, ""), 409);
    assert_true(said(s, "\"code\":\"device_active\""));
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/nowhere" API VIEWER, ""), 404);
    assert_true(said(s, "\"code\":\"not_found\""));
    assert_int_equal(ask(s, "PUT /api/v1/devices" API VIEWER, "{}"), 405);
    assert_true(said(s, "Allow: GET, HEAD") && said(s, "\"code\":\"method_not_allowed\""));
    assert_int_equal(ask(s, "POST /index.html" API, "x"), 405);
    assert_int_equal(ask(s, "GET /api/v1/devices/nobody" API VIEWER, ""), 404);
    assert_int_equal(ask(s,
                         "OPTIONS /api/v1/devices" API
                         "\r\nOrigin: http://evil\r\nAccess-Control-Request-Method: DELETE",
                         ""),
                     405);
    assert_false(said(s, "Access-Control-Allow"));
}

static void head_has_the_headers_of_get_and_no_body(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "HEAD /api/v1/fleet" API VIEWER, ""), 200);
    assert_true(said(s, "Content-Length: 14"));
    assert_string_equal(client_body(s->answer), "");
}

/* Logs in and returns the cookie and the CSRF token as header text. */
static void log_in(struct server *s, char *cookie, char *csrf, size_t size)
{
    assert_int_equal(ask(s, "POST /api/v1/session" API,
                         "{\"username\":\"admin\",\"password\":\"correct horse\"}"),
                     200);
    const char *c = strstr(s->answer, "braid_session=");
    assert_non_null(c);
    snprintf(cookie, size, "\r\nCookie: %.*s", (int)strcspn(c, ";"), c);
    const char *t = strstr(s->answer, "\"csrf\":\"");
    assert_non_null(t);
    snprintf(csrf, size, "\r\nX-Braid-CSRF: %.*s", (int)strcspn(t + 8, "\""), t + 8);
}

static void a_login_gives_a_guarded_cookie_and_unsafe_methods_need_csrf(void **state)
{
    struct server *s = *state;
    char cookie[256], csrf[256], head[1024];
    log_in(s, cookie, csrf, sizeof cookie);
    assert_true(said(s, "HttpOnly") && said(s, "SameSite=Strict") && !said(s, "Secure"));
    snprintf(head, sizeof head, "GET /api/v1/session" API "%s", cookie);
    assert_int_equal(ask(s, head, ""), 200);
    assert_true(said(s, "\"username\":\"admin\",\"role\":\"admin\""));
    snprintf(head, sizeof head, "DELETE /api/v1/devices/dev-00" API "%s", cookie);
    assert_int_equal(ask(s, head, ""), 403);
    assert_true(said(s, "\"code\":\"csrf\""));
    snprintf(head, sizeof head, "DELETE /api/v1/devices/dev-00" API "%s%s", cookie, csrf);
    assert_int_equal(ask(s, head, ""), 204);
    snprintf(head, sizeof head, "DELETE /api/v1/session" API "%s%s", cookie, csrf);
    assert_int_equal(ask(s, head, ""), 204);
    snprintf(head, sizeof head, "GET /api/v1/session" API "%s", cookie);
    assert_int_equal(ask(s, head, ""), 401);
}

static void a_cookie_is_secure_behind_an_https_proxy(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "POST /api/v1/session" API "\r\nX-Forwarded-Proto: https",
                         "{\"username\":\"admin\",\"password\":\"correct horse\"}"),
                     200);
    assert_true(said(s, "; Secure"));
}

static void a_login_from_another_site_is_refused(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "POST /api/v1/session" API "\r\nOrigin: http://evil",
                         "{\"username\":\"admin\",\"password\":\"correct horse\"}"),
                     403);
    assert_true(said(s, "\"code\":\"bad_origin\""));
}

static void wrong_passwords_slow_down_only_their_own_address(void **state)
{
    struct server *s = *state;
    const char *wrong = "{\"username\":\"reader\",\"password\":\"wrong\"}";
    const char *from = "POST /api/v1/session" API "\r\nX-Forwarded-For: 10.0.0.1";
    int64_t before = metric_get(s->metrics, M_LOGIN_BAD);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(s, from, wrong), 401);
        assert_true(said(s, "\"code\":\"bad_credentials\""));
    }
    assert_int_equal(ask(s, from, wrong), 429);
    assert_true(said(s, "Retry-After: 1"));
    assert_int_equal(ask(s, "POST /api/v1/session" API "\r\nX-Forwarded-For: 10.0.0.2", wrong),
                     401);
    assert_int_equal(ask(s, from, "{\"username\":\"nobody\",\"password\":\"wrong\"}"), 401);
    assert_int_equal(metric_get(s->metrics, M_LOGIN_BAD) - before, 8);
}

static void bad_bodies_get_typed_errors(void **state)
{
    struct server *s = *state;
    const char *head = "POST /api/v1/devices/dev-00/commands" API OPERATOR;
    static char deep[20001];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    const struct {
        const char *body;
        const char *code;
    } bad[] = {
        {"", "malformed_json"},
        {"{\"op\":", "malformed_json"},
        {"[1]", "malformed_json"},
        {"{\"op\":\"\xff\"}", "invalid_utf8"},
        {"{\"op\":\"read\",\"op\":\"write\"}", "duplicate_key"},
        {deep, "too_deep"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char code[64];
        snprintf(code, sizeof code, "\"code\":\"%s\"", bad[i].code);
        assert_int_equal(ask(s, head, bad[i].body), 400);
        assert_true(said(s, code));
    }
    assert_int_equal(ask(s, head, "{\"op\":\"fly\"}"), 422);
    assert_int_equal(ask(s, head, "{\"op\":\"write\",\"path\":\"/3/0/0\",\"value\":\"x\"}"), 422);
    assert_true(said(s, "\"code\":\"not_allowed\""));
    assert_int_equal(ask(s, head, "{\"op\":\"read\",\"path\":\"/70000/0\"}"), 422);
}

static void a_body_of_two_megabytes_is_refused(void **state)
{
    struct server *s = *state;
    char *body = malloc(2000001);
    memset(body, 'x', 2000000);
    body[2000000] = 0;
    assert_int_equal(ask(s, "POST /api/v1/devices/dev-00/commands" API OPERATOR, body), 413);
    assert_true(said(s, "\"code\":\"too_large\""));
    free(body);
}

static void devices_are_paged_without_repeats(void **state)
{
    struct server *s = *state;
    char head[400], cursor[200] = "";
    const char *orders[] = {"endpoint", "-endpoint", "-last_seen", "status", "-status"};
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        bool seen[FAKE_DEVICES] = {false};
        unsigned n = 0;
        *cursor = 0;
        do {
            snprintf(head, sizeof head, "GET /api/v1/devices?limit=4&sort=%s%s%s" API VIEWER,
                     orders[o], *cursor ? "&cursor=" : "", cursor);
            assert_int_equal(ask(s, head, ""), 200);
            for (const char *p = s->answer; (p = strstr(p, "\"dev-")); p++, n++) {
                assert_false(seen[strtol(p + 5, NULL, 10)]);
                seen[strtol(p + 5, NULL, 10)] = true;
            }
            const char *next = strstr(s->answer, "\"next\":\"");
            snprintf(cursor, sizeof cursor, "%.*s", next ? (int)strcspn(next + 8, "\"") : 0,
                     next ? next + 8 : "");
        } while (*cursor);
        assert_int_equal(n, FAKE_DEVICES);
    }
}

static void devices_are_searched_filtered_and_sorted(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/devices?search=ACME" API VIEWER, ""), 200);
    assert_true(said(s, "{\"items\":[{\"endpoint\":\"dev-07\",\"tags\":{},\"groups\":[]}],"
                        "\"total\":1,\"next\":null}"));
    ask(s, "GET /api/v1/devices?status=lost&limit=1" API VIEWER, "");
    assert_true(
        said(s, "\"items\":[{\"endpoint\":\"dev-00\",\"tags\":{},\"groups\":[]}],\"total\":9"));
    ask(s, "GET /api/v1/devices?sort=last_seen&limit=1" API VIEWER, "");
    assert_true(said(s, "\"dev-24\""));
    assert_int_equal(ask(s, "GET /api/v1/devices?sort=color" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/devices?limit=1001" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/devices?cursor=%2A%2A" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/devices?cursor=AAAA" API VIEWER, ""), 400);
}

static void history_checks_its_parameters(void **state)
{
    struct server *s = *state;
    const char *bad[] = {"", "?series=", "?series=spb:T&from=yesterday", "?series=spb:T&points=0",
                         "?series=spb:T&from=2000&to=1000"};
    char head[300];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(head, sizeof head, "GET /api/v1/devices/dev-00/history%s" API VIEWER, bad[i]);
        assert_int_equal(ask(s, head, ""), 400);
    }
    assert_int_equal(
        ask(s, "GET /api/v1/devices/dev-00/history?series=spb:T&to=86400001" API VIEWER, ""), 200);
    assert_ptr_equal(world.recent, the_parts.recent); /* what landed lately need not be read back */
    assert_string_equal(client_body(s->answer), "{\"from\":1,\"to\":86400001}");
    assert_int_equal(ask(s, "GET /api/v1/devices/dev-00/history?series=x" API VIEWER, ""), 404);
    assert_int_equal(ask(s, "GET /api/v1/devices/none/history?series=spb:T" API VIEWER, ""), 404);
}

static void aligned_history_takes_series_of_several_devices(void **state)
{
    struct server *s = *state;
    const char *bad[] = {"",
                         "?series=",
                         "?series=one",
                         "?series=/spb:T",
                         "?series=one/",
                         "?series=one/spb:T&series=two",
                         "?series=one/spb:T&before=2"};
    char head[1000];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(head, sizeof head, "GET /api/v1/history%s" API VIEWER, bad[i]);
        assert_int_equal(ask(s, head, ""), 400);
    }
    assert_int_equal(
        ask(s, "GET /api/v1/history?series=one%2Flwm2m:/3/0&series=two/spb:D/T&points=7" API VIEWER,
            ""),
        200);
    assert_string_equal(client_body(s->answer),
                        "{\"points\":7,\"one\":\"lwm2m:/3/0\",\"two\":\"spb:D/T\"}");
    struct str many = {head, 0};
    many.n = (size_t)snprintf(head, sizeof head, "GET /api/v1/history?points=1");
    for (int i = 0; i < 33; i++)
        many.n += (size_t)snprintf(head + many.n, sizeof head - many.n, "&series=a/b");
    snprintf(head + many.n, sizeof head - many.n, "%s", API VIEWER);
    assert_int_equal(ask(s, head, ""), 400);
}

static const char read_command[] = "{\"op\":\"read\",\"path\":\"/3/0/0\"}";
#define WAITING "POST /api/v1/devices/dev-00/commands?wait=1s" API OPERATOR

static void a_command_answers_what_its_end_state_says(void **state)
{
    struct server *s = *state;
    const struct {
        enum cmd_state state;
        const char *members;
        int status;
        const char *code;
    } ends[] = {
        {CMD_SUCCEEDED, "\"state\":\"succeeded\",\"why\":null,\"result\":{\"code\":\"2.05\"}", 200,
         "\"code\":\"2.05\""},
        {CMD_OBSERVED, "\"state\":\"observed\",\"result\":null", 200, "observed"},
        {CMD_FAILED, "\"state\":\"failed\",\"why\":\"no\",\"result\":{\"code\":\"4.04\"}", 502,
         "\"code\":\"device.4.04\""},
        {CMD_FAILED,
         "\"state\":\"failed\",\"why\":\"no "
         "lt\",\"result\":{\"code\":null,\"error\":\"not_expressible\"}",
         422, "\"code\":\"not_expressible\",\"detail\":\"no lt\""},
        {CMD_FAILED,
         "\"state\":\"failed\",\"why\":null,\"result\":{\"code\":null,\"error\":\"not_connected\"}",
         502, "\"code\":\"not_connected\""},
        {CMD_FAILED, "\"state\":\"failed\",\"why\":\"gone\",\"result\":null", 502,
         "\"code\":\"command_failed\",\"detail\":\"gone\""},
        {CMD_TIMED_OUT, "\"state\":\"timed_out\",\"result\":null", 504, "\"code\":\"timed_out\""},
        {CMD_EXPIRED, "\"state\":\"expired\",\"result\":null", 409, "\"code\":\"expired\""},
        {CMD_CANCELLED, "\"state\":\"cancelled\",\"result\":null", 409, "\"code\":\"cancelled\""},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        world.outcome = ends[i].members;
        world.outcome_state = ends[i].state;
        assert_int_equal(ask(s, WAITING, read_command), ends[i].status);
        assert_true(said(s, ends[i].code) && said(s, FAKE_ID));
    }
    world.outcome = NULL;
    assert_string_equal(world.last_request, read_command);
}

static void a_command_still_running_answers_202(void **state)
{
    struct server *s = *state;
    assert_int_equal(
        ask(s, "POST /api/v1/devices/dev-00/commands?wait=0.3" API OPERATOR, read_command), 202);
    assert_true(said(s, "\"state\":\"sent\"")); /* as the row says by then */
    world.sleeping = true;
    unsigned before = world.waiters;
    assert_int_equal(
        ask(s, "POST /api/v1/devices/dev-00/commands?wait=10" API OPERATOR, read_command), 202);
    assert_int_equal(world.waiters, before); /* nobody waits for one that sleeps */
    assert_true(said(s, "\"state\":\"queued\""));
    world.sleeping = false;
    assert_int_equal(
        ask(s, "POST /api/v1/devices/dev-00/commands?wait=31" API OPERATOR, read_command), 400);
    assert_int_equal(ask(s, "POST /api/v1/devices/none/commands" API OPERATOR, read_command), 404);
}

static void an_idempotency_key_repeats_or_conflicts(void **state)
{
    struct server *s = *state;
    unsigned before = world.commands;
    assert_int_equal(
        ask(s, "POST /api/v1/devices/dev-00/commands" API OPERATOR "\r\nIdempotency-Key: again",
            read_command),
        202);
    assert_int_equal(world.commands, before); /* the shard is not asked twice */
    assert_int_equal(
        ask(s, "POST /api/v1/devices/dev-00/commands" API OPERATOR "\r\nIdempotency-Key: other",
            read_command),
        409);
    assert_true(said(s, "\"code\":\"idempotency_conflict\""));
}

static void a_full_engine_answers_503_and_retry_after(void **state)
{
    struct server *s = *state;
    world.full = true;
    assert_int_equal(ask(s, "POST /api/v1/devices/dev-00/commands" API OPERATOR, read_command),
                     503);
    world.full = false;
    assert_true(said(s, "Retry-After:") && said(s, "\"code\":\"busy\""));
}

struct asker {
    struct thread thread;
    int port;
    _Atomic int status;
    char answer[ANSWER_SIZE];
};

static void ask_waiting(void *arg)
{
    struct asker *a = arg;
    client_ask(a->port, "POST /api/v1/devices/dev-00/commands?wait=30s" API OPERATOR, read_command,
               a->answer);
    a->status = client_status(a->answer);
}

static int with_status(const struct asker *a, int status)
{
    int n = 0;
    for (int i = 0; i < WORKERS; i++)
        n += a[i].status == status;
    return n;
}

static unsigned waiting(void)
{
    pthread_mutex_lock(&world.lock);
    unsigned n = world.waiting;
    pthread_mutex_unlock(&world.lock);
    return n;
}

static void end_commands(enum cmd_state state, const char *members)
{
    pthread_mutex_lock(&world.lock);
    world.outcome_state = state;
    world.outcome = members;
    pthread_mutex_unlock(&world.lock);
}

static void at_most_half_of_the_workers_park_and_rest_stays_alive(void **state)
{
    struct server *s = *state;
    struct asker *a = calloc(WORKERS, sizeof *a);
    for (int i = 0; i < WORKERS; i++) {
        a[i].port = s->port;
        assert_int_equal(thread_start(&a[i].thread, "ask", ask_waiting, &a[i]), ERR_OK);
    }
    UNTIL(with_status(a, 202) == WORKERS / 2); /* those who found no room to park */
    assert_int_equal(with_status(a, 202), WORKERS / 2);
    UNTIL(waiting() == WORKERS / 2);
    assert_int_equal(waiting(), WORKERS / 2);
    assert_int_equal(ask(s, "GET /healthz" API, ""), 200);
    assert_true(__atomic_load_n(&world.loans, __ATOMIC_SEQ_CST) <=
                WORKERS / 2); /* those parked hold no connection */
    end_commands(CMD_SUCCEEDED, "\"state\":\"succeeded\",\"result\":{\"code\":\"2.05\"}");
    for (int i = 0; i < WORKERS; i++)
        thread_join(&a[i].thread);
    end_commands(CMD_QUEUED, NULL);
    assert_int_equal(with_status(a, 202), WORKERS / 2);
    assert_int_equal(with_status(a, 200), WORKERS / 2);
    free(a);
}

static void without_a_database_known_callers_still_read_live_state(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/fleet" API VIEWER, ""), 200);
    world.db_down = true;
    assert_int_equal(ask(s, "GET /api/v1/fleet" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "GET /api/v1/commands" API VIEWER, ""), 503);
    assert_true(said(s, "\"code\":\"database_unavailable\"") && said(s, "Retry-After:"));
    assert_int_equal(ask(s, "GET /api/v1/fleet" API "\r\nAuthorization: Bearer other", ""), 503);
    world.db_down = false;
}

static void without_a_database_no_device_is_forgotten(void **state)
{
    struct server *s = *state;
    unsigned before = world.forgotten;
    assert_int_equal(ask(s, "GET /api/v1/session" API ADMIN, ""), 200); /* known from now on */
    world.db_down = true;
    assert_int_equal(ask(s, "DELETE /api/v1/devices/dev-00" API ADMIN, ""), 503);
    world.db_down = false;
    assert_int_equal(world.forgotten, before);
    assert_int_equal(ask(s, "DELETE /api/v1/devices/dev-00" API ADMIN, ""), 204);
    assert_int_equal(world.forgotten, before + 1);
}

static void models_are_cacheable_by_etag(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/models" API VIEWER, ""), 200);
    assert_true(said(s, "\"name\":\"Temperature\""));
    const char *etag = strstr(s->answer, "ETag: ");
    assert_non_null(etag);
    char head[200];
    snprintf(head, sizeof head, "GET /api/v1/models" API VIEWER "\r\nIf-None-Match: %.*s",
             (int)strcspn(etag + 6, "\r"), etag + 6);
    assert_int_equal(ask(s, head, ""), 304);
    assert_int_equal(ask(s, "GET /api/v1/models/3303" API VIEWER, ""), 200);
    assert_true(said(s, "\"id\":5700"));
    assert_int_equal(ask(s, "GET /api/v1/models/65000" API VIEWER, ""), 404);
    assert_int_equal(ask(s, "GET /api/v1/models/x" API VIEWER, ""), 404);
}

static void users_and_tokens_are_checked(void **state)
{
    struct server *s = *state;
    const struct {
        const char *head, *body;
        int status;
        const char *code;
    } cases[] = {
        {"POST /api/v1/users" API ADMIN,
         "{\"username\":\"new\",\"role\":\"viewer\",\"password\":\"long enough\"}", 201, "new"},
        {"POST /api/v1/users" API ADMIN,
         "{\"username\":\"admin\",\"role\":\"viewer\",\"password\":\"long enough\"}", 409,
         "exists"},
        {"POST /api/v1/users" API ADMIN,
         "{\"username\":\"new\",\"role\":\"root\",\"password\":\"long enough\"}", 422, "bad_role"},
        {"POST /api/v1/users" API ADMIN,
         "{\"username\":\"a b\",\"role\":\"viewer\",\"password\":\"long enough\"}", 422,
         "bad_name"},
        {"POST /api/v1/users" API ADMIN,
         "{\"username\":\"new\",\"role\":\"viewer\",\"password\":\"short\"}", 422, "weak_password"},
        {"POST /api/v1/users" API ADMIN, "{\"username\":\"new\"}", 400, "missing_member"},
        {"DELETE /api/v1/users/admin" API ADMIN, "", 409, "last_admin"},
        {"DELETE /api/v1/users/none" API ADMIN, "", 404, "not_found"},
        {"POST /api/v1/users/admin/password" API ADMIN, "{\"password\":\"long enough\"}", 204, ""},
        {"POST /api/v1/tokens" API ADMIN, "{\"name\":\"ci\",\"role\":\"viewer\"}", 201,
         "\"token\":\"braid_"},
        {"POST /api/v1/tokens" API ADMIN,
         "{\"name\":\"ci\",\"role\":\"viewer\",\"expires_at\":\"2001-01-01T00:00:00Z\"}", 422,
         "bad_time"},
        {"DELETE /api/v1/tokens/3" API ADMIN, "", 204, ""},
        {"DELETE /api/v1/tokens/x" API ADMIN, "", 404, "not_found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned audits = world.audits;
        assert_int_equal(ask(s, cases[i].head, cases[i].body), cases[i].status);
        assert_true(said(s, cases[i].code));
        assert_int_equal(world.audits - audits, 1); /* what was refused, too */
    }
}

#define ENGINEER "\r\nAuthorization: Bearer engineer-token"

static void lists_show_and_filter_by_tags_and_groups(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/devices?limit=2" API VIEWER, ""), 200);
    assert_true(said(s, "{\"endpoint\":\"dev-00\",\"tags\":{},\"groups\":[]}"));
    assert_true(said(s, "{\"endpoint\":\"dev-01\",\"tags\":{\"site\": \"oslo\"},\"groups\":"
                        "[\"north\"]}"));
    assert_int_equal(ask(s, "GET /api/v1/devices?tag=site&group=north" API VIEWER, ""), 200);
    assert_true(said(s, "\"total\":2"));
    assert_int_equal(ask(s, "GET /api/v1/devices?tag=site:oslo&search=dev-02" API VIEWER, ""), 200);
    assert_true(said(s, "\"total\":1") && said(s, "dev-02"));
    assert_int_equal(ask(s, "GET /api/v1/devices?tag=site:rome" API VIEWER, ""), 200);
    assert_true(said(s, "\"total\":0"));
    assert_int_equal(ask(s, "GET /api/v1/devices?tag=a%3Db" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/devices/dev-01" API VIEWER, ""), 200);
    assert_true(said(s, "\"groups\":[\"north\"]"));
    world.db_down = true;
    assert_int_equal(ask(s, "GET /api/v1/devices?limit=1" API VIEWER, ""), 200);
    assert_true(said(s, "\"tags\":null,\"groups\":null"));
    assert_int_equal(ask(s, "GET /api/v1/devices?tag=site" API VIEWER, ""), 503);
    world.db_down = false;
}

static void labels_of_one_device_are_replaced_if_nobody_was_faster(void **state)
{
    struct server *s = *state;
    const char *path = "PUT /api/v1/devices/dev-01/labels" API ENGINEER;
    assert_int_equal(ask(s, "GET /api/v1/devices/dev-01/labels" API VIEWER, ""), 200);
    assert_true(said(s, "ETag: \"" FAKE_VERSION "\""));
    assert_int_equal(ask(s, "GET /api/v1/devices/none/labels" API VIEWER, ""), 404);
    assert_int_equal(ask(s, path, "{\"tags\":{\"a\":\"b\"}}"), 200);
    assert_string_equal(fake_edit.set, "{\"a\":\"b\"}");
    assert_false(fake_edit.replace_groups);
    assert_int_equal(ask(s, path, "{\"groups\":[]}"), 200);
    assert_true(fake_edit.replace_groups);
    assert_int_equal(ask(s,
                         "PUT /api/v1/devices/dev-01/labels" API ENGINEER
                         "\r\nIf-Match: \"" FAKE_VERSION "\"",
                         "{\"tags\":{}}"),
                     200);
    assert_int_equal(ask(s,
                         "PUT /api/v1/devices/dev-01/labels" API ENGINEER "\r\nIf-Match: \"older\"",
                         "{\"tags\":{}}"),
                     412);
    assert_true(said(s, "\"code\":\"stale\""));
    assert_int_equal(ask(s, path, "{}"), 422);
    assert_int_equal(ask(s, path, "{\"tags\":{\"a=b\":\"c\"}}"), 422);
    assert_int_equal(ask(s, path, "{\"tags\":{\"a\":1}}"), 422);
    assert_int_equal(ask(s, path, "{\"tags\":[]}"), 422);
    assert_int_equal(ask(s, path, "{\"groups\":[\"a/b\"]}"), 422);
    assert_int_equal(ask(s, path, "{\"groups\":[\"nowhere\"]}"), 422);
    assert_true(said(s, "\"code\":\"unknown_group\"") && said(s, "\"group\":\"nowhere\""));
    assert_int_equal(ask(s, "PUT /api/v1/devices/none/labels" API ENGINEER, "{\"tags\":{}}"), 404);
    assert_int_equal(ask(s, "PUT /api/v1/devices/dev-01/labels" API OPERATOR, "{\"tags\":{}}"),
                     403);
}

static void many_devices_are_labelled_by_name_or_by_filter(void **state)
{
    struct server *s = *state;
    const char *path = "POST /api/v1/labels" API ENGINEER;
    assert_int_equal(ask(s, path,
                         "{\"endpoints\":[\"dev-03\",\"none\",\"full\"],\"set\":{\"a\":"
                         "\"b\"}}"),
                     200);
    assert_true(said(s, "{\"matched\":3,\"changed\":1,\"unchanged\":0,\"failed\":2,"));
    assert_true(said(s, "{\"endpoint\":\"full\",\"result\":\"failed\",\"code\":\"too_many_tags\""));
    assert_int_equal(ask(s, path, "{\"filter\":{},\"join\":[\"north\"]}"), 200);
    assert_int_equal(fake_edit.devices, FAKE_DEVICES); /* all, not a page */
    assert_int_equal(ask(s, path,
                         "{\"filter\":{\"status\":\"lost\",\"search\":\"DEV-0\"},"
                         "\"remove\":[\"a\"]}"),
                     200);
    assert_int_equal(fake_edit.devices, 4);
    assert_int_equal(ask(s, path,
                         "{\"filter\":{\"tag\":[\"site:oslo\"],\"group\":\"north\","
                         "\"search\":\"02\"},\"leave\":[\"north\"]}"),
                     200);
    assert_int_equal(fake_edit.devices, 1);
    assert_string_equal(fake_edit.first, "dev-02");
    const char *refused[] = {"{\"filter\":{}}",
                             "{\"set\":{\"a\":\"b\"}}",
                             "{\"filter\":{},\"endpoints\":[],\"set\":{}}",
                             "{\"filter\":1,\"set\":{}}",
                             "{\"endpoints\":[1],\"set\":{}}",
                             "{\"endpoints\":{},\"set\":{}}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(ask(s, path, refused[i]), 422);
    assert_int_equal(ask(s, path, "{\"filter\":{\"tag\":[1]},\"set\":{}}"), 400);
}

static void more_than_ten_thousand_devices_at_once_are_refused(void **state)
{
    struct server *s = *state;
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_puts(&b, "{\"set\":{\"a\":\"b\"},\"endpoints\":[\"dev-0\"");
    for (int i = 1; i < LABEL_DEVICES_MAX; i++)
        buf_printf(&b, ",\"dev-%d\"", i);
    size_t n = b.n;
    buf_puts(&b, "]}");
    assert_int_equal(ask(s, "POST /api/v1/labels" API ENGINEER, buf_text(&b)), 200);
    assert_int_equal(fake_edit.devices, LABEL_DEVICES_MAX);
    b.n = n;
    buf_puts(&b, ",\"one-more\"]}");
    assert_int_equal(ask(s, "POST /api/v1/labels" API ENGINEER, buf_text(&b)), 422);
    assert_true(said(s, "\"code\":\"too_many_devices\""));
    buf_fini(&b);
}

static void groups_are_made_renamed_deleted_and_listed(void **state)
{
    struct server *s = *state;
    const struct {
        const char *head, *body;
        int status;
        const char *text;
    } cases[] = {
        {"POST /api/v1/groups" API ENGINEER, "{\"name\":\"south\"}", 201, "{\"name\":\"south\"}"},
        {"POST /api/v1/groups" API ENGINEER, "{\"name\":\"north\"}", 409, "exists"},
        {"POST /api/v1/groups" API ENGINEER, "{\"name\":\"a/b\"}", 422, "bad_name"},
        {"POST /api/v1/groups" API OPERATOR, "{\"name\":\"x\"}", 403, "forbidden"},
        {"GET /api/v1/groups" API VIEWER, "", 200, "items"},
        {"GET /api/v1/groups?cursor=x" API VIEWER, "", 400, "bad_cursor"},
        {"GET /api/v1/groups/north" API VIEWER, "", 200, "ETag: \"" FAKE_VERSION "\""},
        {"GET /api/v1/groups/nowhere" API VIEWER, "", 404, "not_found"},
        {"GET /api/v1/groups/north/devices" API VIEWER, "", 200, "items"},
        {"GET /api/v1/groups/nowhere/devices" API VIEWER, "", 404, "not_found"},
        {"PATCH /api/v1/groups/north" API ENGINEER, "{\"name\":\"up\"}", 200, "\"up\""},
        {"PATCH /api/v1/groups/nowhere" API ENGINEER, "{\"name\":\"up\"}", 404, "not_found"},
        {"PATCH /api/v1/groups/north" API ENGINEER "\r\nIf-Match: \"x\"", "{\"name\":\"up\"}", 412,
         "stale"},
        {"DELETE /api/v1/groups/north" API ENGINEER, "", 204, ""},
        {"GET /api/v1/tags" API VIEWER, "", 200, "items"},
        {"GET /api/v1/labels" API VIEWER, "", 200, "items"},
        {"GET /api/v1/labels?cursor=x" API VIEWER, "", 400, "bad_cursor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask(s, cases[i].head, cases[i].body), cases[i].status);
        assert_true(said(s, cases[i].text));
    }
    assert_non_null(strstr(world.audit, "group_delete north ok {\"old\":{\"devices\":2}}"));
}

static void changes_are_audited_with_old_new_and_result(void **state)
{
    struct server *s = *state;
    const char *command = "{\"op\":\"read\",\"path\":\"/3/0/0\"}";
    const struct {
        const char *head, *body, *audit;
    } cases[] = {
        {"POST /api/v1/users" API ADMIN "\r\nX-Forwarded-For: 10.0.0.9",
         "{\"username\":\"new\",\"role\":\"viewer\",\"password\":\"long enough\"}",
         "robot 10.0.0.9 user_add new ok {\"new\":{\"name\":\"new\",\"role\":\"viewer\"}}"},
        {"POST /api/v1/users" API OPERATOR, "{}", "robot 127.0.0.1 user_add  forbidden "},
        {"DELETE /api/v1/users/admin" API ADMIN, "",
         "robot 127.0.0.1 user_delete admin last_admin "},
        {"DELETE /api/v1/tokens/3" API ADMIN, "",
         "robot 127.0.0.1 token_delete ci ok {\"old\":{\"name\":\"ci\",\"role\":\"viewer\"}}"},
        {"POST /api/v1/devices/dev-00/commands" API ADMIN, "{\"op\":\"dance\"}",
         "robot 127.0.0.1 command dev-00 invalid_command "},
        {"POST /api/v1/devices/none/commands" API ADMIN, command,
         "robot 127.0.0.1 command none not_found "},
        {"POST /api/v1/commands/" FAKE_ID "/cancel" API ADMIN, "",
         "robot 127.0.0.1 command_cancel " FAKE_ID " not_cancellable "},
        {"DELETE /api/v1/devices/dev-00" API ADMIN, "", "robot 127.0.0.1 device_forget dev-00 ok "},
        {"DELETE /api/v1/devices/dev-01" API ADMIN, "",
         "robot 127.0.0.1 device_forget dev-01 device_active "},
        {"POST /api/v1/session" API, "{\"username\":\"x\",\"password\":\"y\"}",
         " 127.0.0.1 login_refused x bad_credentials "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned audits = world.audits;
        ask(s, cases[i].head, cases[i].body);
        assert_string_equal(world.audit, cases[i].audit);
        assert_int_equal(world.audits - audits, 1);
    }
    world.cancellable = true;
    assert_int_equal(ask(s, "POST /api/v1/commands/" FAKE_ID "/cancel" API ADMIN, ""), 200);
    world.cancellable = false;
    assert_non_null(strstr(world.audit, "{\"old\":\"queued\",\"new\":\"cancelled\"}"));
    unsigned audits = world.audits;
    ask(s, "DELETE /api/v1/devices/dev-00" API, ""); /* nobody fills the log */
    ask(s, "GET /api/v1/users" API ADMIN, "");
    assert_int_equal(world.audits, audits);
}

static void the_audit_log_is_filtered_paged_and_for_administrators(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/audit?who=ann&from=1970-01-01T00:00:01Z" API ADMIN, ""),
                     200);
    assert_true(said(s, "{\"who\":\"ann\",\"from_ms\":1000}"));
    assert_int_equal(ask(s, "GET /api/v1/audit" API OPERATOR, ""), 403);
    assert_int_equal(ask(s, "GET /api/v1/audit?from=yesterday" API ADMIN, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/audit?from=2000&to=1000" API ADMIN, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/audit?cursor=zzz" API ADMIN, ""), 400);
    assert_true(said(s, "\"code\":\"bad_cursor\""));
}

#define KEEP(raw, minute, hour)                                                                    \
    "{\"raw_days\":" raw ",\"minute_days\":" minute ",\"hour_days\":" hour "}"

static void classes_of_history_are_made_changed_and_deleted_by_administrators(void **state)
{
    struct server *s = *state;
    const char *week = "PUT /api/v1/storage/classes/week" API ADMIN;
    assert_int_equal(ask(s, "GET /api/v1/storage/classes" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "GET /api/v1/storage/classes/nowhere" API VIEWER, ""), 404);
    assert_int_equal(ask(s, "PUT /api/v1/storage/classes/week" API ENGINEER, KEEP("7", "8", "9")),
                     403);
    assert_int_equal(ask(s, week, KEEP("7", "8", "9")), 200);
    assert_int_equal(fake_kept.days.raw, 7);
    assert_int_equal(fake_kept.days.hour, 9);
    assert_non_null(strstr(world.audit, "class_change week ok {\"old\":{\"raw_days\":1},\"new\":"));
    const char *bad[] = {"{}",
                         KEEP("0", "8", "9"),
                         KEEP("-1", "8", "9"),
                         KEEP("7", "6", "9"),
                         KEEP("7", "8", "7"),
                         KEEP("7", "8", "36501"),
                         KEEP("\"x\"", "8", "9")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(s, week, bad[i]), 422);
        assert_true(said(s, "bad_number"));
    }
    assert_int_equal(ask(s, "PUT /api/v1/storage/classes/new" API ADMIN, KEEP("1", "1", "1")), 201);
    assert_non_null(strstr(world.audit, "class_add new ok {\"new\":"));
    assert_int_equal(ask(s, "PUT /api/v1/storage/classes/1x" API ADMIN, KEEP("1", "1", "1")), 422);
    assert_int_equal(ask(s, "PUT /api/v1/storage/classes/hundredth" API ADMIN, KEEP("1", "1", "1")),
                     409);
    assert_int_equal(ask(s, "DELETE /api/v1/storage/classes/week" API ADMIN, ""), 204);
    assert_non_null(strstr(world.audit, "class_delete week ok"));
    assert_int_equal(ask(s, "DELETE /api/v1/storage/classes/standard" API ADMIN, ""), 409);
    assert_true(said(s, "class_in_use"));
    assert_non_null(strstr(world.audit, "class_delete standard class_in_use"));
    assert_int_equal(ask(s, "DELETE /api/v1/storage/classes/nowhere" API ADMIN, ""), 404);
}

static void rules_are_checked_audited_and_applied(void **state)
{
    struct server *s = *state;
    static const struct {
        const char *body;
        int status;
        const char *code;
    } cases[] = {
        {"{\"series\":\"spb:*\",\"class\":\"week\"}", 201, "\"id\":7"},
        {"{\"tag\":\"a\",\"value\":\"b\",\"position\":5,\"class\":\"week\"}", 201, "7"},
        {"{\"series\":\"x\",\"class\":\"nope\"}", 422, "unknown_class"},
        {"{\"series\":\"x\",\"position\":100,\"class\":\"week\"}", 409, "too_many"},
        {"{\"class\":\"week\"}", 422, "bad_rule"},
        {"{\"group\":\"g\",\"value\":\"b\",\"class\":\"week\"}", 422, "bad_rule"},
        {"{\"series\":\"\",\"class\":\"week\"}", 422, "bad_text"},
        {"{\"series\":5,\"class\":\"week\"}", 422, "bad_text"},
        {"{\"series\":\"x\",\"position\":0,\"class\":\"week\"}", 422, "bad_number"},
        {"{\"series\":\"x\"}", 400, ""},
    };
    fake_kept.applied = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = ask(s, "POST /api/v1/storage/rules" API ADMIN, cases[i].body);
        assert_true(status == cases[i].status || (!*cases[i].code && status == 422));
        assert_true(said(s, cases[i].code));
    }
    assert_int_equal(fake_kept.applied, 2);
    assert_int_equal(ask(s, "PUT /api/v1/storage/rules/7" API ADMIN, cases[0].body), 200);
    assert_non_null(strstr(world.audit, "class_rule_change 7 ok"));
    assert_int_equal(ask(s, "PUT /api/v1/storage/rules/8" API ADMIN, cases[0].body), 404);
    assert_int_equal(ask(s, "PUT /api/v1/storage/rules/x" API ADMIN, cases[0].body), 404);
    assert_int_equal(ask(s, "DELETE /api/v1/storage/rules/8" API ADMIN, ""), 404);
    assert_int_equal(ask(s, "DELETE /api/v1/storage/rules/7" API ADMIN, ""), 204);
    assert_non_null(strstr(world.audit, "class_rule_delete 7 ok"));
    assert_int_equal(fake_kept.applied, 4);
    assert_int_equal(ask(s, "GET /api/v1/storage/rules" API VIEWER, ""), 200);
}

static void disk_use_is_shown_and_a_series_gets_its_class(void **state)
{
    struct server *s = *state;
    const char *put = "PUT /api/v1/devices/dev-00/storage" API ADMIN;
    assert_int_equal(ask(s, "GET /api/v1/storage" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "GET /api/v1/storage/devices?sort=-bytes" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "GET /api/v1/storage/devices?sort=color" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/storage/devices?cursor=AAAA" API VIEWER, ""), 400);
    assert_int_equal(ask(s, "GET /api/v1/devices/dev-00/storage" API VIEWER, ""), 200);
    assert_int_equal(ask(s, "GET /api/v1/devices/none/storage" API VIEWER, ""), 404);
    assert_int_equal(ask(s, put, "{\"series\":\"spb:T\",\"class\":\"week\"}"), 200);
    assert_false(fake_kept.by_rules);
    assert_non_null(strstr(world.audit, "series_class dev-00 ok {\"old\":"));
    assert_int_equal(ask(s, put, "{\"series\":\"spb:T\",\"class\":null}"), 200);
    assert_true(fake_kept.by_rules);
    assert_int_equal(ask(s, put, "{\"series\":\"spb:T\",\"class\":\"nope\"}"), 422);
    assert_int_equal(ask(s, put, "{\"series\":\"spb:x\",\"class\":\"week\"}"), 404);
    world.db_down = true;
    assert_int_equal(ask(s, "GET /api/v1/storage" API VIEWER, ""), 503);
    world.db_down = false;
}

static void credentials_are_checked_issued_and_audited(void **state)
{
    struct server *s = *state;
    s->config.devices_cert_days = 365;
    const struct {
        const char *head, *body;
        int status;
        const char *says;
    } cases[] = {
        {"POST /api/v1/devices" API ADMIN, "{\"endpoint\":\"new\",\"kind\":\"certificate\"}", 201,
         "\"key\":\"KEY of new for 365 days\""},
        {"POST /api/v1/devices" API ADMIN, "{\"endpoint\":\"new\",\"kind\":\"password\"}", 201,
         "\"password\":\"s3cret\",\"ca\":null,\"broker\":\"synced\""},
        {"POST /api/v1/devices" API ADMIN, "{\"endpoint\":\"rd\",\"kind\":\"password\"}", 422,
         "bad_name"},
        {"POST /api/v1/devices" API ADMIN, "{\"endpoint\":\"dev-00\",\"kind\":\"password\"}", 409,
         "exists"},
        {"POST /api/v1/devices" API ADMIN, "{\"endpoint\":\"no-pw\",\"kind\":\"password\"}", 409,
         "not_configured"},
        {"POST /api/v1/devices" API OPERATOR, "{\"endpoint\":\"new\",\"kind\":\"password\"}", 403,
         "forbidden"},
        {"POST /api/v1/devices/dev-00/credentials" API ADMIN,
         "{\"kind\":\"certificate\",\"days\":30}", 201, "for 30 days"},
        {"POST /api/v1/devices/dev-00/credentials" API ADMIN,
         "{\"kind\":\"certificate\",\"days\":3650}", 422, "bad_days"},
        {"POST /api/v1/devices/dev-00/credentials" API ADMIN,
         "{\"kind\":\"certificate\",\"days\":1.5}", 422, "bad_days"},
        {"POST /api/v1/devices/dev-00/credentials" API ADMIN, "{\"kind\":\"key\"}", 422,
         "bad_kind"},
        {"POST /api/v1/devices/dev-00/credentials" API ADMIN,
         "{\"kind\":\"password\",\"replace\":1}", 422, "bad_replace"},
        {"DELETE /api/v1/devices/dev-00/credentials/0a" API ADMIN, "", 200, "revoked"},
        {"DELETE /api/v1/devices/dev-00/credentials/0b" API ADMIN, "", 404, "not_found"},
        {"POST /api/v1/devices/dev-00/suspend" API ADMIN, "", 200, "suspended"},
        {"POST /api/v1/devices/dev-00/suspend" API ADMIN, "{\"why\":7}", 422, "bad_body"},
        {"POST /api/v1/devices/dev-00/resume" API ADMIN, "{}", 409, "retired"},
        {"POST /api/v1/devices/dev-00/retire" API ADMIN, "{\"why\":\"old\",\"purge\":true}", 200,
         "retired"},
        {"GET /api/v1/devices/dev-00/credentials" API ADMIN, "", 200, "items"},
        {"GET /api/v1/devices/dev-00/credentials" API VIEWER, "", 403, "forbidden"},
        {"GET /api/v1/credentials/ending?days=x" API ADMIN, "", 400, "bad_parameter"},
        {"GET /api/v1/credentials/ending" API ADMIN, "", 200, "items"},
        {"GET /api/v1/identities/unknown" API ADMIN, "", 200, "items"},
        {"POST /api/v1/identities/unknown/stranger/accept" API ADMIN, "", 204, ""},
        {"POST /api/v1/identities/unknown/stranger/refuse" API ADMIN, "", 204, ""},
        {"POST /api/v1/identities/unknown/nobody/accept" API ADMIN, "", 404, "not_found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned audits = world.audits;
        int status = ask(s, cases[i].head, cases[i].body);
        if (status != cases[i].status || !said(s, cases[i].says))
            fail_msg("%.80s: %d %s", cases[i].head, status, s->answer);
        assert_true((world.audits > audits) == (strncmp(cases[i].head, "GET", 3) != 0));
    }
}

static void files_come_compressed_cached_and_only_from_their_folder(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /app-ABCD2345.js" API, ""), 200);
    assert_string_equal(client_body(s->answer), "plain");
    assert_true(said(s, "immutable") && said(s, "Content-Type: text/javascript"));
    assert_int_equal(ask(s, "GET /app-ABCD2345.js" API "\r\nAccept-Encoding: br, gzip", ""), 200);
    assert_string_equal(client_body(s->answer), "squeezed");
    assert_true(said(s, "Content-Encoding: gzip") && said(s, "Vary: Accept-Encoding"));
    assert_int_equal(ask(s, "GET /devices/some.device" API, ""), 200);
    assert_string_equal(client_body(s->answer), "<!doctype html>view");
    assert_true(said(s, "Cache-Control: no-cache"));
    assert_int_equal(ask(s, "GET /missing.js" API, ""), 404);
    const char *outside[] = {"/../../etc/passwd",     "/%2e%2e/%2e%2e/etc/passwd",
                             "/..%2f..%2fetc/passwd", "/.hidden",
                             "//etc/passwd",          "/etc/passwd%00.js"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char head[100];
        snprintf(head, sizeof head, "GET %s" API, outside[i]);
        ask(s, head, "");
        assert_false(said(s, "root:"));
    }
}

static void the_metrics_listener_has_numbers_and_nothing_else(void **state)
{
    struct server *s = *state;
    int before = world.measured;
    assert_true(s->metrics_port > 0);
    assert_int_equal(client_status(client_ask(s->metrics_port, "GET /metrics" API, "", s->answer)),
                     200);
    assert_true(said(s, "lwm2m_active_devices"));
    assert_int_equal(world.measured, before + 1); /* what is only counted when asked for */
    assert_int_equal(
        client_status(client_ask(s->metrics_port, "GET /api/v1/fleet" API ADMIN, "", s->answer)),
        404);
    assert_int_equal(ask(s, "GET /metrics" API VIEWER, ""), 200);
}

static void the_description_of_the_api_is_served(void **state)
{
    struct server *s = *state;
    assert_int_equal(ask(s, "GET /api/v1/openapi.yaml" API, ""), 200);
    assert_true(said(s, "openapi: 3.1"));
}

/* ---- live ---- */

#define UPGRADE                                                                                    \
    "GET /api/v1/live HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"     \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define LIVE_TOKEN "Sec-WebSocket-Protocol: braid.v1, bearer.viewer-token\r\n"

/* Opens a WebSocket; the answer's head is in `answer`. */
static int open_live(struct server *s, const char *headers)
{
    int fd = client_connect(s->port);
    char head[2048];
    int n = snprintf(head, sizeof head, UPGRADE "%s\r\n", headers);
    client_send(fd, head, (size_t)n);
    size_t got = 0;
    while (got < ANSWER_SIZE - 1 && recv(fd, s->answer + got, 1, 0) == 1) {
        s->answer[++got] = 0;
        if (got >= 4 && !memcmp(s->answer + got - 4, "\r\n\r\n", 4))
            break;
    }
    return fd;
}

static void send_text(int fd, const char *text)
{
    size_t n = strlen(text);
    unsigned char head[8] = {0x81, (unsigned char)(0x80 | (n < 126 ? n : 126))};
    size_t k = 2;
    if (n >= 126) {
        head[k++] = (unsigned char)(n >> 8);
        head[k++] = (unsigned char)n;
    }
    client_send(fd, (const char *)head, k);
    client_send(fd, "\0\0\0\0", 4); /* a mask that changes nothing */
    client_send(fd, text, n);
}

/* One text frame; "" when the other side closed. */
static const char *frame(struct server *s, int fd)
{
    unsigned char h[4];
    s->answer[0] = 0;
    for (;;) {
        if (recv(fd, h, 2, MSG_WAITALL) != 2)
            return "";
        size_t n = h[1] & 127;
        if (n == 126) {
            if (recv(fd, h + 2, 2, MSG_WAITALL) != 2)
                return "";
            n = (size_t)h[2] << 8 | h[3];
        }
        if (n && recv(fd, s->answer, n, MSG_WAITALL) != (ssize_t)n)
            return "";
        s->answer[n] = 0;
        if ((h[0] & 15) == 1)
            return s->answer;
        if ((h[0] & 15) == 8)
            return "";
    }
}

static void a_live_client_subscribes_and_gets_its_snapshot(void **state)
{
    struct server *s = *state;
    int fd = open_live(s, LIVE_TOKEN);
    assert_int_equal(client_status(s->answer), 101);
    assert_true(said(s, "Sec-WebSocket-Protocol: braid.v1\r\n"));
    send_text(fd, "{\"op\":\"subscribe\",\"id\":\"f\",\"topic\":\"fleet\"}");
    assert_string_equal(frame(s, fd), "[{\"op\":\"snapshot\",\"id\":\"f\",\"ver\":1,\"devices\":[{"
                                      "\"endpoint\":\"dev-00\"}],\"done\":true}]");
    unsigned before = __atomic_load_n(&world.left, __ATOMIC_SEQ_CST);
    close(fd);
    UNTIL(__atomic_load_n(&world.left, __ATOMIC_SEQ_CST) != before);
    assert_int_equal(__atomic_load_n(&world.left, __ATOMIC_SEQ_CST), before + 1);
}

static void wrong_messages_get_error_ops_and_the_client_stays(void **state)
{
    struct server *s = *state;
    int fd = open_live(s, LIVE_TOKEN);
    const struct {
        const char *text, *code;
    } wrong[] = {
        {"nonsense", "malformed"},
        {"[]", "malformed"},
        {"{\"op\":\"subscribe\",\"topic\":\"fleet\"}", "bad_id"},
        {"{\"op\":\"fly\",\"id\":\"x\"}", "bad_op"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"topic\":\"moon\"}", "bad_topic"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"topic\":\"device\"}", "bad_endpoints"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"topic\":\"device\",\"endpoints\":[1]}",
         "bad_endpoints"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"topic\":\"fleet\",\"query\":\"a\"}", "unsupported"},
        {"{\"op\":\"unsubscribe\",\"id\":\"x\"}", "no_subscription"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char code[64];
        send_text(fd, wrong[i].text);
        snprintf(code, sizeof code, "\"op\":\"error\"");
        assert_non_null(strstr(frame(s, fd), code));
        snprintf(code, sizeof code, "\"code\":\"%s\"", wrong[i].code);
        assert_true(said(s, code));
    }
    for (int i = 0; i < 33; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"id\":\"s%d\",\"topic\":\"fleet\"}", i);
        send_text(fd, text);
    }
    while (*frame(s, fd) && !said(s, "too_many_subscriptions"))
        ;
    assert_true(said(s, "too_many_subscriptions"));
    close(fd);
}

static void live_clients_must_be_known_and_from_this_site(void **state)
{
    struct server *s = *state;
    char cookie[256], csrf[256], head[600];
    close(open_live(s, ""));
    assert_int_equal(client_status(s->answer), 401);
    close(open_live(s, "Sec-WebSocket-Protocol: braid.v1, bearer.wrong\r\n"));
    assert_int_equal(client_status(s->answer), 401);
    log_in(s, cookie, csrf, sizeof cookie);
    snprintf(head, sizeof head, "%s\r\nOrigin: http://evil\r\n", cookie + 2);
    close(open_live(s, head));
    assert_int_equal(client_status(s->answer), 403);
    snprintf(head, sizeof head, "%s\r\n", cookie + 2);
    close(open_live(s, head));
    assert_int_equal(client_status(s->answer), 403);
    snprintf(head, sizeof head, "%s\r\nOrigin: http://test\r\n", cookie + 2);
    close(open_live(s, head));
    assert_int_equal(client_status(s->answer), 101);
    assert_int_equal(ask(s, "GET /api/v1/live" API VIEWER, ""), 426);
}

static void a_client_beyond_the_limit_gets_503_and_rest_stays_alive(void **state)
{
    struct server *s = *state;
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = open_live(s, LIVE_TOKEN);
        assert_int_equal(client_status(s->answer), 101);
    }
    close(open_live(s, LIVE_TOKEN));
    assert_int_equal(client_status(s->answer), 503);
    assert_int_equal(ask(s, "GET /healthz" API, ""), 200);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static void stopping_ends_parked_commands_and_live_clients(void **state)
{
    struct server *s = *state;
    int fd = open_live(s, LIVE_TOKEN);
    assert_int_equal(client_status(s->answer), 101);
    struct asker *a = calloc(1, sizeof *a);
    a->port = s->port;
    assert_int_equal(thread_start(&a->thread, "ask", ask_waiting, a), ERR_OK);
    UNTIL(waiting() == 1);
    assert_int_equal(waiting(), 1);
    unsigned before = world.waited_ms;
    http_stop(s->http);
    s->http = NULL;
    thread_join(&a->thread);
    assert_true(world.waited_ms - before < 15000); /* of thirty seconds */
    assert_int_equal(a->status, 202);
    free(a);
    close(fd);
    serve(s); /* for the teardown */
}

static void before_its_turn_a_server_is_alive_but_not_ready(void **state)
{
    struct server *s = *state;
    http_stop(s->http);
    assert_int_equal(http_listen(&s->config, s->metrics, &s->http), ERR_OK);
    s->port = http_port(s->http);
    assert_int_equal(ask(s, "GET /healthz" API, ""), 200);
    assert_int_equal(ask(s, "GET /readyz" API, ""), 503);
    assert_true(said(s, "\"state\":\"starting\""));
    http_waiting(s->http, "standby");
    assert_int_equal(ask(s, "GET /readyz" API, ""), 503);
    assert_true(said(s, "\"state\":\"standby\"") && said(s, "Retry-After"));
    assert_int_equal(ask(s, "GET /api/v1/devices" API, ""), 503);
    assert_int_equal(ask(s, "GET /metrics" API, ""), 503); /* needs a login, and so the database */
    assert_int_equal(ask(s, "GET /" API, ""), 503);
    s->port = s->http->metrics_port;
    assert_int_equal(ask(s, "GET /metrics" API, ""), 200);
    s->port = http_port(s->http);
    assert_int_equal(http_serve(s->http, &the_parts), ERR_OK);
    assert_int_equal(ask(s, "GET /readyz" API, ""), 200);
    assert_true(said(s, "\"state\":\"active\""));
    assert_int_equal(ask(s, "GET /api/v1/devices" API, ""), 401);
}

#define CASE(name) cmocka_unit_test_setup(name, settle)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_running_server_says_so_without_a_login),
        CASE(before_its_turn_a_server_is_alive_but_not_ready),
        CASE(every_answer_carries_the_security_headers),
        CASE(without_a_login_the_api_answers_401_as_a_problem),
        CASE(each_role_may_do_its_own_and_no_more),
        CASE(unknown_paths_and_methods_are_told_apart),
        CASE(head_has_the_headers_of_get_and_no_body),
        CASE(a_login_gives_a_guarded_cookie_and_unsafe_methods_need_csrf),
        CASE(a_cookie_is_secure_behind_an_https_proxy),
        CASE(a_login_from_another_site_is_refused),
        CASE(wrong_passwords_slow_down_only_their_own_address),
        CASE(bad_bodies_get_typed_errors),
        CASE(a_body_of_two_megabytes_is_refused),
        CASE(devices_are_paged_without_repeats),
        CASE(devices_are_searched_filtered_and_sorted),
        CASE(history_checks_its_parameters),
        CASE(aligned_history_takes_series_of_several_devices),
        CASE(a_command_answers_what_its_end_state_says),
        CASE(a_command_still_running_answers_202),
        CASE(an_idempotency_key_repeats_or_conflicts),
        CASE(a_full_engine_answers_503_and_retry_after),
        CASE(at_most_half_of_the_workers_park_and_rest_stays_alive),
        CASE(without_a_database_known_callers_still_read_live_state),
        CASE(without_a_database_no_device_is_forgotten),
        CASE(models_are_cacheable_by_etag),
        CASE(users_and_tokens_are_checked),
        CASE(lists_show_and_filter_by_tags_and_groups),
        CASE(labels_of_one_device_are_replaced_if_nobody_was_faster),
        CASE(many_devices_are_labelled_by_name_or_by_filter),
        CASE(more_than_ten_thousand_devices_at_once_are_refused),
        CASE(groups_are_made_renamed_deleted_and_listed),
        CASE(classes_of_history_are_made_changed_and_deleted_by_administrators),
        CASE(rules_are_checked_audited_and_applied),
        CASE(disk_use_is_shown_and_a_series_gets_its_class),
        CASE(credentials_are_checked_issued_and_audited),
        CASE(changes_are_audited_with_old_new_and_result),
        CASE(the_audit_log_is_filtered_paged_and_for_administrators),
        CASE(files_come_compressed_cached_and_only_from_their_folder),
        CASE(the_metrics_listener_has_numbers_and_nothing_else),
        CASE(the_description_of_the_api_is_served),
        CASE(a_live_client_subscribes_and_gets_its_snapshot),
        CASE(wrong_messages_get_error_ops_and_the_client_stays),
        CASE(live_clients_must_be_known_and_from_this_site),
        CASE(a_client_beyond_the_limit_gets_503_and_rest_stays_alive),
        CASE(stopping_ends_parked_commands_and_live_clients),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
