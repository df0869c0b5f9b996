/* test_mqtt_script.c - a broker session against a broker that says what the test wants it to say,
 * also what no real one would.  The test's thread is the broker; the session has its own. */
#include "seen.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the broker's side ---- */

struct script {
    int listener, port, fd;
};

/* One packet of the client. */
struct heard {
    uint8_t first;
    size_t n;
    char body[70000];
};

static void listen_somewhere(struct script *b)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    b->fd = -1;
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(b->listener >= 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(b->listener, 8), 0);
    assert_int_equal(getsockname(b->listener, (struct sockaddr *)&a, &size), 0);
    b->port = ntohs(a.sin_port);
}

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        fail_msg("the client says nothing");
}

static void take_exactly(struct script *b, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        wait_readable(b->fd);
        ssize_t got = recv(b->fd, (char *)to + at, n - at, 0);
        if (got <= 0)
            fail_msg("the client hung up");
        at += (size_t)got;
    }
}

static void hear(struct script *b, struct heard *h)
{
    uint8_t byte = 0x80;
    take_exactly(b, &h->first, 1);
    h->n = 0;
    for (unsigned shift = 0; byte & 0x80; shift += 7) {
        take_exactly(b, &byte, 1);
        h->n |= (size_t)(byte & 0x7f) << shift;
    }
    assert_true(h->n <= sizeof h->body);
    take_exactly(b, h->body, h->n);
}

static void say(struct script *b, const char *hex)
{
    char bytes[256];
    size_t n = 0;
    assert_true(strlen(hex) / 2 <= sizeof bytes);
    assert_int_equal(str_from_hex(str_of(hex), (uint8_t *)bytes, &n), ERR_OK);
    assert_int_equal(send(b->fd, bytes, n, MSG_NOSIGNAL), n);
}

/* Accepts the client (anew) and reads its CONNECT. */
static void welcome(struct script *b, struct heard *h)
{
    if (b->fd >= 0)
        close(b->fd);
    wait_readable(b->listener);
    b->fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(b->fd >= 0);
    hear(b, h);
    assert_int_equal(h->first, 0x10);
}

/* ---- the client's side ---- */

static void *publish_from_elsewhere(void *m)
{
    assert_int_equal(mqtt_publish(m, str_of("t"), str_of("other"), 1, false, NULL), ERR_OK);
    return NULL;
}

/* Another thread publishes while connected() runs. */
static void say_birth(void *ctx, struct mqtt *m, bool session_present)
{
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, publish_from_elsewhere, m), 0);
    pthread_join(other, NULL);
    assert_int_equal(mqtt_subscribe(m, "f", 1, false), ERR_OK);
    assert_int_equal(mqtt_publish(m, str_of("t"), str_of("birth"), 1, true, NULL), ERR_OK);
    on_connected(ctx, m, session_present);
}

static struct mqtt *make(struct seen *s, struct script *b,
                         void (*connected)(void *, struct mqtt *, bool))
{
    struct mqtt *m = NULL;
    struct mqtt_handler h = seen_handler(s);
    seen_init(s);
    h.connected = connected;
    listen_somewhere(b);
    const struct mqtt_options o = {.name = "script",
                                   .host = "127.0.0.1",
                                   .port = b->port,
                                   .client_id = "script",
                                   .keepalive_s = 60,
                                   .clean_start = true};
    assert_int_equal(mqtt_new(&o, &h, &m), ERR_OK);
    return m;
}

static struct mqtt *start_with(struct seen *s, struct script *b,
                               void (*connected)(void *, struct mqtt *, bool))
{
    struct mqtt *m = make(s, b, connected);
    assert_int_equal(mqtt_start(m), ERR_OK);
    return m;
}

static struct mqtt *start(struct seen *s, struct script *b)
{
    return start_with(s, b, on_connected);
}

static void stop(struct mqtt *m, struct script *b)
{
    mqtt_stop(m, 0);
    close(b->listener);
    if (b->fd >= 0)
        close(b->fd);
}

/* ---- stories ---- */

static void what_a_new_connection_says_first_is_what_the_handler_says(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    struct mqtt *m = start_with(&s, &b, say_birth);
    welcome(&b, &h);
    say(&b, "2003000000");
    hear(&b, &h);
    assert_int_equal(h.first, 0x82);
    hear(&b, &h);
    assert_int_equal(h.first, 0x33);
    assert_memory_equal(h.body + h.n - 5, "birth", 5);
    hear(&b, &h);
    assert_memory_equal(h.body + h.n - 5, "other", 5);
    stop(m, &b);
}

static void subscribe_twice(void *ctx, struct mqtt *m, bool session_present)
{
    assert_int_equal(mqtt_subscribe(m, "a", 1, false), ERR_OK);
    assert_int_equal(mqtt_subscribe(m, "b", 1, false), ERR_OK);
    on_connected(ctx, m, session_present);
}

static void a_subscription_that_is_refused_is_told(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    char suback[32];
    struct mqtt *m = start_with(&s, &b, subscribe_twice);
    welcome(&b, &h);
    say(&b, "2003000000");
    for (int i = 0; i < 2; i++) { /* the first is granted, the second is not */
        hear(&b, &h);
        assert_int_equal(h.first, 0x82);
        snprintf(suback, sizeof suback, "9004%02x%02x00%s", (unsigned char)h.body[0],
                 (unsigned char)h.body[1], i ? "87" : "01");
        say(&b, suback);
    }
    wait_until(&s, &s.refusals, 1);
    stop(m, &b);
    assert_int_equal(s.refusals, 1);
    assert_int_equal(s.disconnected, 0);
}

static void a_session_says_nothing_before_it_is_started(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    struct mqtt *m = make(&s, &b, on_connected);
    struct pollfd p = {.fd = b.listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 100), 0);
    assert_false(mqtt_is_up(m));
    assert_int_equal(mqtt_publish(m, str_of("t"), str_of("x"), 1, false, NULL), ERR_BROKER);
    assert_int_equal(mqtt_start(m), ERR_OK);
    welcome(&b, &h);
    stop(m, &b);
    m = make(&s, &b, on_connected);
    stop(m, &b); /* and one that never had its turn leaves nothing behind */
}

static void more_than_the_broker_takes_is_refused_and_the_session_lives(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    char payload[100] = "";
    struct mqtt *m = start(&s, &b);
    welcome(&b, &h);
    say(&b, "20080000052700000040"); /* at most 64 bytes */
    wait_until(&s, &s.connected, 1);
    /* 2 of head, 2 + 1 of topic, 2 of id, 1 of properties */
    assert_int_equal(mqtt_publish(m, str_of("t"), str_make(payload, 57), 1, false, NULL),
                     ERR_TOOBIG);
    assert_int_equal(mqtt_publish(m, str_of("t"), str_make(payload, 56), 1, false, NULL), ERR_OK);
    hear(&b, &h);
    assert_int_equal(h.n, 62);
    stop(m, &b);
}

static void a_packet_beyond_what_was_announced_ends_the_connection_at_once(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    static const char announced[] = {0x27, 2, 0, 0, 0};
    struct mqtt *m = start(&s, &b);
    welcome(&b, &h);
    assert_non_null(memmem(h.body, h.n, announced, sizeof announced));
    say(&b, "2003000000"
            "30ffffff7f"
            "000174"); /* 256 MiB are to come */
    wait_until(&s, &s.disconnected, 1);
    assert_string_equal(s.why, "the broker sent a packet that is too large");
    welcome(&b, &h); /* and it tries again */
    stop(m, &b);
}

static void out_of_turn_and_garbage_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why; /* NULL: before it was up, nobody is told */
    } rows[] = {
        {"30040001740020030000", NULL}, /* PUBLISH before CONNACK */
        {"2003008700", NULL},           /* not authorized */
        {"15030300020228", NULL},       /* what a TLS server answers */
        {"2003000000"
         "2003000000",
         "the broker said something out of turn"},
        {"2003000000"
         "c000",
         "the broker sent what is not MQTT 5"},
        {"2003000000"
         "3406000174000100",
         "the broker sent what is not MQTT 5"}, /* QoS 2 */
        {"2003000000"
         "e0018e",
         "session taken over"},
        {"2003000000"
         "e000",
         "the broker said goodbye"},
    };
    static struct heard h;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script b;
        struct seen s;
        struct mqtt *m = start(&s, &b);
        welcome(&b, &h);
        say(&b, rows[i].hex);
        if (rows[i].why)
            wait_until(&s, &s.disconnected, 1);
        welcome(&b, &h); /* it tries again */
        assert_string_equal(s.why, rows[i].why ? rows[i].why : "");
        assert_int_equal(s.messages, 0);
        stop(m, &b);
    }
}

static void a_broker_that_falls_silent_is_given_up(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    uint64_t from = clock_mono_ms();
    struct mqtt *m = start(&s, &b);
    welcome(&b, &h);
    say(&b, "2006000003130002"); /* the broker wants to hear us every two seconds */
    for (uint64_t i = 1; i <= 2; i++) {
        hear(&b, &h); /* the second time: it is still there, for the first was answered */
        assert_int_equal(h.first, 0xc0);
        assert_true(clock_mono_ms() - from >= i * 1000);
        if (i == 1)
            say(&b, "d000");
    }
    wait_until(&s, &s.disconnected, 1);
    assert_string_equal(s.why, "the broker does not answer");
    stop(m, &b);
}

static uint16_t id_of(const struct heard *h)
{
    return (uint16_t)((uint8_t)h->body[3] << 8 | (uint8_t)h->body[4]); /* behind the topic "t" */
}

static void no_more_is_under_way_than_the_broker_wants(void **state)
{
    (void)state;
    static struct heard h;
    struct script b;
    struct seen s;
    struct mqtt *m = start(&s, &b);
    welcome(&b, &h);
    say(&b, "2006000003210002"); /* receive maximum 2 */
    wait_until(&s, &s.connected, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mqtt_publish(m, str_of("t"), str_of("x"), 1, false, NULL), ERR_OK);
    assert_int_equal(mqtt_publish(m, str_of("q"), str_of("x"), 0, false, NULL), ERR_OK);
    hear(&b, &h);
    uint16_t first = id_of(&h);
    hear(&b, &h);
    uint16_t second = id_of(&h);
    assert_int_not_equal(first, second);
    hear(&b, &h);
    assert_int_equal(h.first, 0x30); /* QoS 0 does not count */
    char ack[32];
    snprintf(ack, sizeof ack, "4003%04x97", first); /* quota exceeded */
    say(&b, ack);
    wait_until(&s, &s.acks, 1);
    assert_int_equal(s.last_reason, 0x97);
    hear(&b, &h);
    assert_int_equal(h.first, 0x32);
    assert_true(id_of(&h) != first && id_of(&h) != second);
    say(&b, ack); /* once more: nobody waits for it, and it makes no room */
    snprintf(ack, sizeof ack, "4002%04x", second);
    say(&b, ack);
    wait_until(&s, &s.acks, 2);
    hear(&b, &h);
    assert_int_equal(h.first, 0x32);
    assert_int_equal(s.disconnected, 0);
    stop(m, &b);
}

static void bytes_that_come_one_by_one_make_a_message(void **state)
{
    (void)state;
    static const char *const bytes[] = {"32", "08", "00", "01", "74", "00",
                                        "07", "00", "68", "69", "30", "04"};
    static struct heard h;
    struct script b;
    struct seen s;
    struct mqtt *m = start(&s, &b);
    welcome(&b, &h);
    say(&b, "2003000000");
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        say(&b, bytes[i]);
        process_sleep_ms(5);
    }
    wait_until(&s, &s.messages, 1);
    assert_string_equal(s.last_payload, "hi");
    hear(&b, &h);
    assert_int_equal(h.first, 0x40);
    assert_memory_equal(h.body, "\0\7", 2);
    assert_int_equal(s.disconnected, 0);
    stop(m, &b);
}

/* 256 messages that are sent over and over, and how much of them went out. */
struct flood {
    char packets[1004 * 256];
    size_t at;
};

/* Sends until the client holds. */
static void flood_until_it_holds(struct script *b, struct seen *s, struct flood *f)
{
    for (size_t i = 0; i < sizeof f->packets; i += 1004)
        memcpy(f->packets + i, "\x30\xe9\x07\x00\x01t\x00", 7); /* 3 + 1001 bytes */
    for (uint64_t until = clock_mono_ms() + PATIENCE_MS; !s->hold && clock_mono_ms() < until;) {
        if (f->at == sizeof f->packets)
            f->at = 0;
        ssize_t n =
            send(b->fd, f->packets + f->at, sizeof f->packets - f->at, MSG_NOSIGNAL | MSG_DONTWAIT);
        f->at += n > 0 ? (size_t)n : 0;
    }
}

/* Sends the rest and one message more: a client that holds may have read all that came before. */
static void finish_flood(struct script *b, struct flood *f)
{
    while (f->at < sizeof f->packets) {
        ssize_t n = send(b->fd, f->packets + f->at, sizeof f->packets - f->at, MSG_NOSIGNAL);
        assert_true(n > 0);
        f->at += (size_t)n;
    }
    assert_int_equal(send(b->fd, f->packets, 1004, MSG_NOSIGNAL), 1004);
}

static void a_flood_that_is_held_costs_nothing(void **state)
{
    (void)state;
    static struct heard h;
    static struct flood flood;
    struct script b;
    struct seen s;
    struct mqtt *m = start(&s, &b);
    s.hold_after_much = true;
    welcome(&b, &h);
    say(&b, "2003000000");
    wait_until(&s, &s.connected, 1);
    flood_until_it_holds(&b, &s, &flood);
    assert_true(s.hold);
    wait_asked(&s, 2);
    int asked = s.asked;
    uint64_t from = clock_mono_ms();
    process_sleep_ms(500);
    asked = s.asked - asked;
    assert_true((uint64_t)asked < 10 + (clock_mono_ms() - from) / 12); /* every 50 ms */
    wait_asked(&s, 1);
    s.hold_after_much = false;
    int before = s.messages;
    s.hold = false;
    finish_flood(&b, &flood);
    wait_until(&s, &s.messages, before + 1);
    stop(m, &b);
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_new_connection_says_first_is_what_the_handler_says),
        cmocka_unit_test(a_subscription_that_is_refused_is_told),
        cmocka_unit_test(a_session_says_nothing_before_it_is_started),
        cmocka_unit_test(more_than_the_broker_takes_is_refused_and_the_session_lives),
        cmocka_unit_test(a_packet_beyond_what_was_announced_ends_the_connection_at_once),
        cmocka_unit_test(out_of_turn_and_garbage_end_the_connection),
        cmocka_unit_test(a_broker_that_falls_silent_is_given_up),
        cmocka_unit_test(no_more_is_under_way_than_the_broker_wants),
        cmocka_unit_test(bytes_that_come_one_by_one_make_a_message),
        cmocka_unit_test(a_flood_that_is_held_costs_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
