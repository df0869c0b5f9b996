/* test_takeover.c - ending somebody else's session: with a real Mosquitto, and with a broker that
 * says what the test wants. */
#include "port/takeover.h"

#include "fixture/mosquitto_fixture.h"
#include "seen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT_MS 100

static struct mosquitto_fixture broker;

static int start_broker(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return mosquitto_fixture_make(&broker) ? 0 : -1;
}

static int remove_broker(void **state)
{
    (void)state;
    mosquitto_fixture_remove(&broker);
    return 0;
}

static enum err take_over(int port, const char *ca_file, uint32_t wait_ms)
{
    const struct takeover_options o = {
        .host = "127.0.0.1", .port = port, .ca_file = ca_file, .name = "dev", .password = "secret"};
    return takeover(&o, wait_ms);
}

static void the_session_of_that_name_ends(void **state)
{
    (void)state;
    struct seen s;
    struct mqtt *m = NULL;
    seen_init(&s);
    const struct mqtt_handler h = seen_handler(&s);
    const struct mqtt_options o = {.name = "dev",
                                   .host = "127.0.0.1",
                                   .port = broker.port,
                                   .client_id = "dev",
                                   .keepalive_s = 20,
                                   .clean_start = true};
    assert_int_equal(mqtt_new(&o, &h, &m), ERR_OK);
    assert_int_equal(mqtt_start(m), ERR_OK);
    wait_until(&s, &s.connected, 1);
    assert_int_equal(take_over(broker.port, "", PATIENCE_MS), ERR_OK);
    wait_until(&s, &s.disconnected, 1);
    mqtt_stop(m, 0);
}

/* ---- a broker that says one thing ---- */

struct teller {
    pthread_t thread;
    int listener, port;
    struct str answer; /* to the CONNECT; .p NULL: hangs up */
    char heard[256];
    size_t n;
};

static void *tell(void *arg)
{
    struct teller *t = arg;
    int fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    for (ssize_t got; (got = recv(fd, t->heard + t->n, sizeof t->heard - t->n, 0)) > 0;) {
        bool first = !t->n;
        t->n += (size_t)got;
        if (first && t->answer.p)
            assert_int_equal(send(fd, t->answer.p, t->answer.n, MSG_NOSIGNAL), t->answer.n);
        if (!t->answer.p)
            break;
    }
    close(fd);
    return NULL;
}

static void listen_somewhere(struct teller *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    *t = (struct teller){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(t->listener >= 0);
    assert_int_equal(bind(t->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(t->listener, 8), 0);
    assert_int_equal(getsockname(t->listener, (struct sockaddr *)&a, &size), 0);
    t->port = ntohs(a.sin_port);
}

static enum err told(struct teller *t, struct str answer)
{
    listen_somewhere(t);
    t->answer = answer;
    assert_int_equal(pthread_create(&t->thread, NULL, tell, t), 0);
    enum err e = take_over(t->port, "", PATIENCE_MS);
    pthread_join(t->thread, NULL);
    close(t->listener);
    return e;
}

static void it_says_who_it_is_and_goodbye(void **state)
{
    (void)state;
    static const char said[] = "\x10\x1c\0\4MQTT\4\xc2\0\x1e\0\3dev\0\3dev\0\6secret"
                               "\xe0\0";
    struct teller t;
    assert_int_equal(told(&t, str_make("\x20\2\0\0", 4)), ERR_OK);
    assert_int_equal(t.n, sizeof said - 1);
    assert_memory_equal(t.heard, said, sizeof said - 1);
}

static void a_refusal_is_told_from_a_broker_that_is_no_good(void **state)
{
    (void)state;
    struct teller t;
    assert_int_equal(told(&t, str_make("\x20\2\0\5", 4)), ERR_DENIED); /* not authorized */
    assert_int_equal(told(&t, str_make("\x20\2\0\4", 4)), ERR_DENIED); /* bad password */
    assert_int_equal(told(&t, str_make("\xd0\0", 2)), ERR_BROKER);     /* out of turn */
    assert_int_equal(told(&t, str_make("HTTP/1.1 400 what?\r\n", 20)), ERR_BROKER);
    assert_int_equal(told(&t, str_make(NULL, 0)), ERR_BROKER);
}

static void who_says_nothing_is_not_waited_for_longer_than_asked(void **state)
{
    (void)state;
    struct teller t;
    listen_somewhere(&t); /* the system accepts for it */
    assert_int_equal(take_over(t.port, "", SHORT_MS), ERR_TIMEOUT);
    char ca[128];
    snprintf(ca, sizeof ca, "%s/ca.crt", broker.tls);
    assert_int_equal(take_over(t.port, ca, SHORT_MS), ERR_TIMEOUT);
    close(t.listener);
    assert_int_equal(take_over(t.port, "", PATIENCE_MS), ERR_BROKER); /* nobody listens */
}

static void a_broker_that_cannot_prove_who_it_is_hears_no_password(void **state)
{
    (void)state;
    char wrong[128];
    snprintf(wrong, sizeof wrong, "%s/sim-ca.crt", broker.tls);
    assert_int_equal(take_over(broker.tls_port, wrong, PATIENCE_MS), ERR_BROKER);
    assert_int_equal(take_over(broker.tls_port, "/nowhere/ca.crt", PATIENCE_MS), ERR_BROKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_session_of_that_name_ends),
        cmocka_unit_test(it_says_who_it_is_and_goodbye),
        cmocka_unit_test(a_refusal_is_told_from_a_broker_that_is_no_good),
        cmocka_unit_test(who_says_nothing_is_not_waited_for_longer_than_asked),
        cmocka_unit_test(a_broker_that_cannot_prove_who_it_is_hears_no_password),
    };
    return cmocka_run_group_tests(tests, start_broker, remove_broker);
}
