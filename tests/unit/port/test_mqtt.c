/* test_mqtt.c - a broker session against a real Mosquitto: order, acknowledgements, reconnects. */
#include "fixture/mosquitto_fixture.h"
#include "seen.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mosquitto_fixture broker;

static struct mqtt *start_alive(struct seen *s, const char *id, bool clean, int keepalive_s)
{
    struct mqtt *m = NULL;
    const struct mqtt_options o = {.name = id,
                                   .host = "127.0.0.1",
                                   .port = broker.port,
                                   .client_id = id,
                                   .username = "",
                                   .password_file = "",
                                   .ca_file = "",
                                   .keepalive_s = keepalive_s,
                                   .clean_start = clean,
                                   .session_expiry_s = 60};
    const struct mqtt_handler h = seen_handler(s);
    assert_int_equal(mqtt_new(&o, &h, &m), ERR_OK);
    assert_int_equal(mqtt_start(m), ERR_OK);
    return m;
}

static struct mqtt *start(struct seen *s, const char *id, bool clean)
{
    return start_alive(s, id, clean, 20);
}

static struct str text(const char *s)
{
    return str_of(s);
}

/* Waits until the session is up and its subscription in: the broker answers in order. */
static void wait_subscribed(struct seen *s, struct mqtt *m)
{
    wait_until(s, &s->connected, 1);
    assert_int_equal(mqtt_publish(m, text("settled"), text(""), 1, false, NULL), ERR_OK);
    wait_until(s, &s->acks, 1);
}

static int start_broker(void **state)
{
    (void)state;
    return mosquitto_fixture_make(&broker) ? 0 : -1;
}

static int remove_broker(void **state)
{
    (void)state;
    mosquitto_fixture_remove(&broker);
    return 0;
}

static void a_message_comes_back_and_is_acknowledged(void **state)
{
    (void)state;
    struct seen s;
    int mid = 0;
    seen_init(&s);
    s.subscribe = "t/#";
    struct mqtt *m = start(&s, "one", true);
    wait_until(&s, &s.connected, 1);
    assert_true(mqtt_is_up(m));
    assert_int_equal(mqtt_publish(m, text("t/a"), text("hello"), 1, false, &mid), ERR_OK);
    wait_until(&s, &s.messages, 1);
    wait_until(&s, &s.acks, 1);
    assert_string_equal(s.last_topic, "t/a");
    assert_string_equal(s.last_payload, "hello");
    assert_int_equal(s.last_mid, mid);
    assert_int_equal(s.last_reason, 0);
    mqtt_stop(m, 1000);
}

static void no_local_keeps_own_messages_away_and_reason_16_says_nobody_listens(void **state)
{
    (void)state;
    struct seen s, other;
    seen_init(&s);
    seen_init(&other);
    s.subscribe = other.subscribe = "nl/#";
    s.no_local = true;
    struct mqtt *m = start(&s, "local", true);
    wait_until(&s, &s.connected, 1);
    assert_int_equal(mqtt_publish(m, text("nobody/here"), text("x"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.acks, 1);
    assert_int_equal(s.last_reason, 16);
    struct mqtt *o = start(&other, "other", true);
    wait_subscribed(&other, o);
    assert_int_equal(mqtt_publish(m, text("nl/mine"), text("x"), 1, false, NULL), ERR_OK);
    wait_until(&other, &other.messages, 1);
    assert_int_equal(mqtt_publish(o, text("nl/theirs"), text("y"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.messages, 1);
    assert_int_equal(s.messages, 1);
    assert_string_equal(s.last_topic, "nl/theirs");
    mqtt_stop(m, 0);
    mqtt_stop(o, 0);
}

static void a_burst_from_another_thread_arrives_whole_and_in_order(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct seen from, to;
    seen_init(&from);
    seen_init(&to);
    to.subscribe = "burst";
    struct mqtt *receiver = start(&to, "receiver", true);
    struct mqtt *sender = start(&from, "sender", true);
    wait_subscribed(&to, receiver);
    wait_until(&from, &from.connected, 1);
    for (int i = 0; i < N; i++) {
        char payload[32];
        snprintf(payload, sizeof payload, "#%d", i);
        enum err e = mqtt_publish(sender, text("burst"), text(payload), 1, false, NULL);
        assert_int_equal(e, ERR_OK);
    }
    wait_until(&to, &to.messages, N);
    wait_until(&from, &from.acks, N);
    assert_true(to.in_order);
    mqtt_stop(sender, 1000);
    mqtt_stop(receiver, 0);
    assert_in_range(to.drains, 1, N); /* several messages per wake-up, never one left behind */
}

static void stopping_flushes_what_was_published(void **state)
{
    (void)state;
    struct seen from, to;
    seen_init(&from);
    seen_init(&to);
    to.subscribe = "flush";
    struct mqtt *receiver = start(&to, "receiver", true);
    struct mqtt *sender = start(&from, "sender", true);
    wait_subscribed(&to, receiver);
    wait_until(&from, &from.connected, 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(mqtt_publish(sender, text("flush"), text("x"), 1, false, NULL), ERR_OK);
    mqtt_stop(sender, 5000);
    wait_until(&to, &to.messages, 1000);
    mqtt_stop(receiver, 0);
}

static void a_will_speaks_for_a_lost_connection_but_not_for_a_goodbye(void **state)
{
    (void)state;
    struct seen watcher, s, thief;
    seen_init(&watcher);
    seen_init(&s);
    seen_init(&thief);
    watcher.subscribe = s.will_topic = "will/s";
    struct mqtt *w = start(&watcher, "watcher", true);
    wait_subscribed(&watcher, w);
    struct mqtt *m = start(&s, "same-id", true);
    wait_until(&s, &s.connected, 1);
    mqtt_stop(m, 0);
    process_sleep_ms(100);
    assert_int_equal(watcher.messages, 0);
    m = start(&s, "same-id", true);
    wait_until(&s, &s.connected, 2);
    struct mqtt *t = start(&thief, "same-id", true); /* the broker drops the first one */
    wait_until(&watcher, &watcher.messages, 1);
    wait_until(&s, &s.disconnected, 1);
    assert_string_equal(watcher.last_payload, "gone");
    mqtt_stop(t, 0);
    mqtt_stop(m, 0);
    mqtt_stop(w, 0);
}

static void a_kept_session_collects_messages_while_we_are_away(void **state)
{
    (void)state;
    struct seen s, other;
    seen_init(&s);
    seen_init(&other);
    s.subscribe = "kept";
    struct mqtt *m = start(&s, "keeper", false);
    wait_until(&s, &s.connected, 1);
    assert_false(s.session_present);
    assert_int_equal(mqtt_publish(m, text("x"), text("x"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.acks, 1); /* so the subscription before it is in */
    mqtt_stop(m, 0);
    struct mqtt *o = start(&other, "other", true);
    wait_until(&other, &other.connected, 1);
    assert_int_equal(mqtt_publish(o, text("kept"), text("#0"), 1, false, NULL), ERR_OK);
    assert_int_equal(mqtt_publish(o, text("kept"), text("#1"), 1, false, NULL), ERR_OK);
    wait_until(&other, &other.acks, 2);
    m = start(&s, "keeper", false);
    wait_until(&s, &s.connected, 2);
    assert_true(s.session_present);
    wait_until(&s, &s.messages, 2);
    assert_true(s.in_order);
    mqtt_stop(m, 0);
    mqtt_stop(o, 0);
}

static void after_the_broker_died_it_connects_again(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    s.subscribe = "again";
    struct mqtt *m = start(&s, "again", true);
    wait_until(&s, &s.connected, 1);
    mosquitto_fixture_kill(&broker);
    wait_until(&s, &s.disconnected, 1);
    assert_false(mqtt_is_up(m));
    assert_int_equal(mqtt_publish(m, text("again"), text("lost"), 1, false, NULL), ERR_BROKER);
    assert_int_equal(mqtt_subscribe(m, "again", 1, false), ERR_BROKER);
    process_sleep_ms(500);
    assert_true(mosquitto_fixture_start(&broker));
    wait_until(&s, &s.connected, 2);
    assert_int_equal(mqtt_publish(m, text("again"), text("kept"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.messages, 1);
    assert_string_equal(s.last_payload, "kept");
    assert_int_equal(s.disconnected, 1);
    mqtt_stop(m, 0);
}

static void too_much_waiting_is_refused(void **state)
{
    (void)state;
    struct seen s;
    int accepted = 0;
    enum err e = ERR_OK;
    seen_init(&s);
    struct mqtt *m = start(&s, "full", true);
    wait_until(&s, &s.connected, 1);
    int status;
    kill(broker.pid, SIGSTOP);
    assert_int_equal(waitpid(broker.pid, &status, WUNTRACED), broker.pid);
    while (accepted < 30000 && !(e = mqtt_publish(m, text("f"), text("x"), 1, false, NULL)))
        accepted++;
    kill(broker.pid, SIGCONT);
    assert_int_equal(e, ERR_FULL);
    assert_in_range(accepted, 15000, 20600);
    wait_until(&s, &s.acks, accepted);
    assert_int_equal(mqtt_publish(m, text("f"), text("x"), 1, false, NULL), ERR_OK);
    mqtt_stop(m, 1000);
}

static void bad_topics_are_refused(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    struct mqtt *m = start(&s, "bad", true);
    wait_until(&s, &s.connected, 1);
    assert_int_equal(mqtt_publish(m, text("a/#"), text("x"), 1, false, NULL), ERR_INVALID);
    assert_int_equal(mqtt_publish(m, str_make("a\0b", 3), text("x"), 1, false, NULL), ERR_INVALID);
    assert_int_equal(mqtt_publish(m, text("a\xff"), text("x"), 0, false, NULL), ERR_UTF8);
    assert_true(mqtt_is_up(m));
    mqtt_stop(m, 0);
}

static struct mqtt *start_tls_at(struct seen *s, const char *host, const char *ca)
{
    char ca_file[160], cert[160], key[160];
    struct mqtt *m = NULL;
    snprintf(ca_file, sizeof ca_file, "%s/%s", broker.tls, ca);
    snprintf(cert, sizeof cert, "%s/braid-lw.crt", broker.tls);
    snprintf(key, sizeof key, "%s/braid-lw.key", broker.tls);
    const struct mqtt_options o = {.name = "tls",
                                   .host = host,
                                   .port = broker.tls_port,
                                   .client_id = "braid-lw",
                                   .username = "braid-lw",
                                   .ca_file = ca_file,
                                   .cert_file = cert,
                                   .key_file = key,
                                   .keepalive_s = 20,
                                   .clean_start = true};
    const struct mqtt_handler h = seen_handler(s);
    assert_int_equal(mqtt_new(&o, &h, &m), ERR_OK);
    assert_int_equal(mqtt_start(m), ERR_OK);
    return m;
}

static struct mqtt *start_tls(struct seen *s, const char *ca)
{
    return start_tls_at(s, "127.0.0.1", ca);
}

static void tls_with_a_client_certificate_works_also_for_large_messages(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    s.subscribe = "tls";
    struct mqtt *m = start_tls(&s, "ca.crt");
    wait_until(&s, &s.connected, 1);
    size_t n = 3000000;
    char *large = malloc(n);
    memset(large, 'x', n);
    for (int i = 0; i < 5; i++)
        assert_int_equal(mqtt_publish(m, text("tls"), str_make(large, n), 1, false, NULL), ERR_OK);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(mqtt_publish(m, text("tls"), text("small"), 0, false, NULL), ERR_OK);
    free(large);
    wait_until(&s, &s.messages, 2005);
    mqtt_stop(m, 0);
}

/* What OpenSSL has read already makes no socket readable. */
static void a_pause_too_short_to_be_waited_for_leaves_nothing_behind_in_tls(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    s.subscribe = "blink";
    s.blink = true;
    struct mqtt *m = start_tls(&s, "ca.crt");
    wait_until(&s, &s.connected, 1);
    for (int i = 0; i < 200; i++)
        assert_int_equal(mqtt_publish(m, text("blink"), text("x"), 0, false, NULL), ERR_OK);
    wait_until(&s, &s.messages, 200);
    mqtt_stop(m, 0);
}

static void a_broker_of_another_ca_is_not_trusted(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    struct mqtt *m = start_tls(&s, "sim-ca.crt");
    process_sleep_ms(700);
    assert_int_equal(s.connected, 0);
    assert_false(mqtt_is_up(m));
    mqtt_stop(m, 0);
}

/* The same broker under names that lead to it, too, but are not in its certificate. */
static void a_certificate_for_another_name_is_not_trusted(void **state)
{
    (void)state;
    static const char *const hosts[] = {"0.0.0.0", "127.1"};
    struct seen s[2];
    struct mqtt *m[2];
    for (int i = 0; i < 2; i++) {
        seen_init(&s[i]);
        m[i] = start_tls_at(&s[i], hosts[i], "ca.crt");
    }
    process_sleep_ms(700);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s[i].connected, 0);
        assert_false(mqtt_is_up(m[i]));
        mqtt_stop(m[i], 0);
    }
}

static void socket_numbers_above_1024_connect(void **state)
{
    (void)state;
    enum { N = 1100 };
    static int fds[N];
    struct rlimit limit;
    struct seen s;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < N; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fds[N - 1] > 1024);
    seen_init(&s);
    s.subscribe = "high";
    struct mqtt *m = start(&s, "high", true);
    wait_until(&s, &s.connected, 1);
    assert_int_equal(mqtt_publish(m, text("high"), text("x"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.messages, 1);
    mqtt_stop(m, 0);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Longer than the broker would take for a dead connection. */
static void a_held_session_stays_alive_publishes_and_reads_all_later(void **state)
{
    (void)state;
    struct seen s, sender;
    char payload[16];
    seen_init(&s);
    seen_init(&sender);
    s.subscribe = "held";
    struct mqtt *m = start_alive(&s, "held", true, 4), *from = start(&sender, "from", true);
    wait_until(&s, &s.connected, 1);
    wait_until(&sender, &sender.connected, 1);
    assert_int_equal(mqtt_publish(m, text("held"), text("#0"), 1, false, NULL), ERR_OK);
    wait_until(&s, &s.messages, 1);
    s.hold = true;
    wait_asked(&s, 2);
    for (int i = 1; i < 1001; i++) {
        snprintf(payload, sizeof payload, "#%d", i);
        assert_int_equal(mqtt_publish(from, text("held"), text(payload), 1, false, NULL), ERR_OK);
    }
    wait_until(&sender, &sender.acks, 1000);
    assert_int_equal(mqtt_publish(m, text("other"), text("x"), 0, false, NULL), ERR_OK);
    process_sleep_ms(7000);
    assert_int_equal(s.messages, 1);
    assert_int_equal(s.disconnected, 0);
    assert_true(mqtt_is_up(m));
    s.hold = false;
    wait_until(&s, &s.messages, 1001);
    assert_true(s.in_order);
    process_sleep_ms(1500);
    assert_int_equal(s.disconnected, 0);
    mqtt_stop(m, 0);
    mqtt_stop(from, 0);
}

static void a_broker_that_dies_meanwhile_is_noticed_when_reading_goes_on(void **state)
{
    (void)state;
    struct seen s;
    seen_init(&s);
    s.subscribe = "held";
    struct mqtt *m = start(&s, "held2", true);
    wait_until(&s, &s.connected, 1);
    s.hold = true;
    wait_asked(&s, 2);
    mosquitto_fixture_kill(&broker);
    process_sleep_ms(300);
    assert_int_equal(s.disconnected, 0);
    s.hold = false;
    wait_until(&s, &s.disconnected, 1);
    assert_true(mosquitto_fixture_start(&broker));
    wait_until(&s, &s.connected, 2);
    mqtt_stop(m, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_and_is_acknowledged),
        cmocka_unit_test(no_local_keeps_own_messages_away_and_reason_16_says_nobody_listens),
        cmocka_unit_test(a_burst_from_another_thread_arrives_whole_and_in_order),
        cmocka_unit_test(stopping_flushes_what_was_published),
        cmocka_unit_test(a_will_speaks_for_a_lost_connection_but_not_for_a_goodbye),
        cmocka_unit_test(a_kept_session_collects_messages_while_we_are_away),
        cmocka_unit_test(after_the_broker_died_it_connects_again),
        cmocka_unit_test(a_held_session_stays_alive_publishes_and_reads_all_later),
        cmocka_unit_test(a_broker_that_dies_meanwhile_is_noticed_when_reading_goes_on),
        cmocka_unit_test(too_much_waiting_is_refused),
        cmocka_unit_test(bad_topics_are_refused),
        cmocka_unit_test(tls_with_a_client_certificate_works_also_for_large_messages),
        cmocka_unit_test(a_pause_too_short_to_be_waited_for_leaves_nothing_behind_in_tls),
        cmocka_unit_test(a_broker_of_another_ca_is_not_trusted),
        cmocka_unit_test(a_certificate_for_another_name_is_not_trusted),
        cmocka_unit_test(socket_numbers_above_1024_connect),
    };
    return cmocka_run_group_tests(tests, start_broker, remove_broker);
}
