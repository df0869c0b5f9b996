/* The MQTT client against a broker that the test plays itself: the client's loop runs in a thread,
 * the test accepts its connections on a free port and speaks MQTT byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "mqtt_client.h"

#define PATIENCE_MS 30000

struct fixture {
    struct loop *loop;
    struct broker *broker;
    struct broker_config cfg;
    struct mqtt_client *client;
    struct thread thread;
    char port[8];
    int listener;
    atomic_int ups, readies, downs, closes, messages;
    char topic[64];
};

static void on_will(void *ctx, struct mqtt_connect *c)
{
    (void)ctx;
    c->will_topic = (struct str)STR("w");
    c->will_payload = (struct str)STR("dead");
    c->will_qos = 1;
}

static void on_up(void *ctx)
{
    struct fixture *f = ctx;
    struct str filter = STR("a/#");
    atomic_fetch_add(&f->ups, 1);
    assert_int_equal(mqtt_client_subscribe(f->client, &filter, 1), ERR_OK);
}

static void on_ready(void *ctx)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->readies, 1);
    assert_int_equal(mqtt_client_publish(f->client, (struct str)STR("t"), (struct str)STR("hi"), 0),
                     ERR_OK);
}

static void on_down(void *ctx)
{
    atomic_fetch_add(&((struct fixture *)ctx)->downs, 1);
}

static void on_closed(void *ctx)
{
    atomic_fetch_add(&((struct fixture *)ctx)->closes, 1);
}

static void on_message(void *ctx, const struct mqtt_publish *m)
{
    struct fixture *f = ctx;
    snprintf(f->topic, sizeof f->topic, "%.*s", STR_ARG(m->topic));
    atomic_fetch_add(&f->messages, 1);
}

static const struct mqtt_client_ops ops = {.will = on_will,
                                           .up = on_up,
                                           .ready = on_ready,
                                           .down = on_down,
                                           .closed = on_closed,
                                           .message = on_message};

static void run(void *ctx)
{
    struct fixture *f = ctx;
    mqtt_client_open(f->client, 0);
    loop_run(f->loop);
}

static void setup_alive(struct fixture *f, uint16_t keep_alive_s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    *f = (struct fixture){0};
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    getsockname(f->listener, (struct sockaddr *)&addr, &len);
    snprintf(f->port, sizeof f->port, "%u", ntohs(addr.sin_port));
    f->cfg = (struct broker_config){.host = "127.0.0.1", .port = f->port, .handshakes = 1};
    struct mqtt_client_config c = {.identity = STR("dev"), .keep_alive_s = keep_alive_s, .seed = 5};
    assert_int_equal(loop_new(&f->loop), ERR_OK);
    assert_int_equal(broker_new(f->loop, &f->cfg, &f->broker), ERR_OK);
    assert_int_equal(mqtt_client_new(f->loop, f->broker, &c, &ops, f, &f->client), ERR_OK);
    assert_int_equal(thread_start(&f->thread, "loop", run, f), ERR_OK);
}

static void setup(struct fixture *f)
{
    setup_alive(f, 60);
}

static void teardown(struct fixture *f)
{
    loop_stop(f->loop);
    thread_join(&f->thread);
    mqtt_client_free(f->client);
    broker_free(f->broker);
    loop_free(f->loop);
    close(f->listener);
}

static int meet(struct fixture *f)
{
    struct pollfd p = {.fd = f->listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    int fd = accept(f->listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* Reads one small packet; returns its first byte, or 0 at the end of the connection. */
static unsigned hear(int fd, unsigned char *body, size_t *n)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    unsigned char head[2];
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    if (recv(fd, head, 2, MSG_WAITALL) != 2)
        return 0;
    assert_true(head[1] < 128);
    *n = head[1];
    if (*n)
        assert_int_equal(recv(fd, body, *n, MSG_WAITALL), *n);
    return head[0];
}

static void say(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static void until(atomic_int *counter, int want)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(counter) < want; i++)
        poll(NULL, 0, 1);
    assert_int_equal(atomic_load(counter), want);
}

/* Plays the broker until the client has said "hi". */
static int greet(struct fixture *f)
{
    unsigned char body[128];
    size_t n;
    int fd = meet(f);
    assert_int_equal(hear(fd, body, &n), 0x10);
    assert_memory_equal(body, "\0\4MQTT\4", 7);
    assert_int_equal(body[7], 0x0e); /* clean, will at QoS 1 */
    say(fd, "\x20\x02\x00\x00", 4);
    assert_int_equal(hear(fd, body, &n), 0x82);
    unsigned char suback[] = {0x90, 3, body[0], body[1], 1};
    say(fd, suback, sizeof suback);
    assert_int_equal(hear(fd, body, &n), 0x30);
    return fd;
}

static void a_session_goes_from_connect_to_publish(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    int fd = greet(&f);
    until(&f.readies, 1);
    assert_int_equal(atomic_load(&f.ups), 1);
    close(fd);
    teardown(&f);
}

static void a_qos_1_message_in_pieces_is_delivered_and_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char body[128];
    size_t n;
    static const char packet[] = "\x32\x09\x00\x03"
                                 "a/b\x01\x02xy";
    setup(&f);
    int fd = greet(&f);
    say(fd, packet, 4);
    poll(NULL, 0, 20);
    assert_int_equal(atomic_load(&f.messages), 0);
    say(fd, packet + 4, 7);
    assert_int_equal(hear(fd, body, &n), 0x40);
    assert_memory_equal(body, "\x01\x02", 2);
    assert_int_equal(atomic_load(&f.messages), 1);
    assert_string_equal(f.topic, "a/b");
    close(fd);
    teardown(&f);
}

static void a_lost_connection_is_made_again(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    close(greet(&f));
    until(&f.downs, 1);
    close(greet(&f));
    until(&f.downs, 2);
    teardown(&f);
}

static void garbage_and_refusals_lead_to_another_try(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char body[128];
    size_t n;
    setup(&f);
    int fd = meet(&f);
    assert_int_equal(hear(fd, body, &n), 0x10);
    say(fd, "\x20\x02\x00\x05", 4); /* not authorised */
    assert_int_equal(hear(fd, body, &n), 0);
    close(fd);
    fd = greet(&f);
    say(fd, "\x30\xff\xff\xff\xff\x01", 6);
    assert_int_equal(hear(fd, body, &n), 0);
    close(fd);
    until(&f.downs, 1);
    close(greet(&f));
    teardown(&f);
}

static void close_on_loop(void *ctx)
{
    mqtt_client_close(((struct fixture *)ctx)->client);
}

static void kill_on_loop(void *ctx)
{
    mqtt_client_kill(((struct fixture *)ctx)->client);
}

static void an_orderly_end_says_disconnect(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char body[128];
    size_t n;
    setup(&f);
    int fd = greet(&f);
    until(&f.readies, 1);
    assert_int_equal(loop_post(f.loop, close_on_loop, &f), ERR_OK);
    assert_int_equal(hear(fd, body, &n), 0xe0);
    assert_int_equal(hear(fd, body, &n), 0);
    until(&f.closes, 1);
    assert_int_equal(atomic_load(&f.downs), 0);
    close(fd);
    teardown(&f);
}

static void a_killed_client_says_nothing_and_stays_away(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char body[128];
    size_t n;
    setup(&f);
    int fd = greet(&f);
    until(&f.readies, 1);
    assert_int_equal(loop_post(f.loop, kill_on_loop, &f), ERR_OK);
    assert_int_equal(hear(fd, body, &n), 0);
    struct pollfd p = {.fd = f.listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 900), 0);
    close(fd);
    teardown(&f);
}

static void an_idle_client_pings(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char body[128];
    size_t n;
    setup_alive(&f, 4);
    int fd = greet(&f);
    assert_int_equal(hear(fd, body, &n), 0xc0);
    say(fd, "\xd0\x00", 2);
    assert_int_equal(hear(fd, body, &n), 0xc0);
    close(fd);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_goes_from_connect_to_publish),
        cmocka_unit_test(a_qos_1_message_in_pieces_is_delivered_and_acknowledged),
        cmocka_unit_test(a_lost_connection_is_made_again),
        cmocka_unit_test(garbage_and_refusals_lead_to_another_try),
        cmocka_unit_test(an_orderly_end_says_disconnect),
        cmocka_unit_test(a_killed_client_says_nothing_and_stays_away),
        cmocka_unit_test(an_idle_client_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
