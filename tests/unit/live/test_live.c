/* The live room: what a client reads from its outbox after shards have pushed into it. */
#include "live/live_int.h"
#include "base/clock.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LIMIT 4096

struct fixture {
    struct live_outbox *outbox;
    struct live_table *table;
    struct buf frame;
    struct live_sub *resync[LIVE_MAX_RESYNC];
    size_t n_resync;
    bool closed;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->outbox = live_outbox_new(LIMIT);
    f->table = live_table_new();
    buf_init(&f->frame, 1 << 20);
    *state = f;
    return f->outbox && f->table ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    live_table_free(f->table);
    live_outbox_unref(f->outbox);
    buf_fini(&f->frame);
    free(f);
    return 0;
}

/* One frame as text, "" if there is none. */
static const char *drain(struct fixture *f)
{
    buf_reset(&f->frame);
    if (!live_drain(f->outbox, clock_mono_ms(), &f->frame, f->resync, &f->n_resync, &f->closed))
        return "";
    for (size_t i = 0; i < f->n_resync; i++)
        live_sub_unref(f->resync[i]);
    return buf_text(&f->frame);
}

static void push(struct fixture *f, struct live_sub *s, enum live_part part, const char *json)
{
    struct live_frag *g = live_frag_new(str_of(json));
    live_push(f->outbox, s, part, g, 0);
    live_frag_unref(g);
}

static void publish(struct fixture *f, enum live_topic topic, const char *ep, enum live_part part,
                    const char *json)
{
    struct live_frag *g = live_frag_new(str_of(json));
    live_publish(f->table, topic, str_of(ep), part, g);
    live_frag_unref(g);
}

static void snapshot(struct fixture *f, struct live_sub *s, const char *json, bool last,
                     unsigned shards)
{
    struct live_frag *g = json ? live_frag_new(str_of(json)) : NULL;
    live_push_snapshot(f->outbox, s, g, last, shards);
    live_frag_unref(g);
}

static struct live_sub *sub(const char *id, enum live_topic topic, const char *endpoint)
{
    struct str ep = str_of(endpoint);
    struct live_sub *s = live_sub_new(str_of(id), topic, &ep, endpoint ? 1 : 0);
    assert_non_null(s);
    return s;
}

static void an_idle_outbox_gives_no_frame_until_the_deadline(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(drain(f), "");
    assert_false(f->closed);
}

static void deltas_of_one_tick_are_one_op_with_its_parts(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("a", LIVE_DEVICE, "d1");
    push(f, s, LIVE_VALUES, "[\"d1\",\"spb:T\",1,2.5,\"good\"]");
    push(f, s, LIVE_VALUES, "[\"d1\",\"spb:T\",2,3.5,\"good\"]");
    push(f, s, LIVE_EVENTS, "{\"text\":\"x\"}");
    assert_string_equal(drain(f),
                        "[{\"op\":\"delta\",\"id\":\"a\",\"ver\":1,\"values\":[[\"d1\",\"spb:T\",1,"
                        "2.5,\"good\"],[\"d1\",\"spb:T\",2,3.5,\"good\"]],\"events\":[{\"text\":"
                        "\"x\"}]}]");
    assert_string_equal(drain(f), "");
    live_sub_unref(s);
}

static void a_device_published_twice_in_a_tick_appears_once_with_the_latest(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("fleet", LIVE_FLEET, NULL);
    assert_int_equal(live_table_add(f->table, f->outbox, s), ERR_OK);
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "1");
    publish(f, LIVE_FLEET, "d2", LIVE_DEVICES, "2");
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "3");
    assert_string_equal(drain(f),
                        "[{\"op\":\"delta\",\"id\":\"fleet\",\"ver\":1,\"devices\":[3,2]}]");
    live_sub_unref(s);
}

static void a_thousand_devices_conflate_without_growing(void **state)
{
    struct fixture *f = *state;
    struct live_outbox *big = live_outbox_new(1 << 20);
    struct live_sub *s = sub("fleet", LIVE_FLEET, NULL);
    assert_int_equal(live_table_add(f->table, big, s), ERR_OK);
    size_t after_first = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 1000; i++) {
            char ep[16];
            snprintf(ep, sizeof ep, "dev-%d", i);
            publish(f, LIVE_FLEET, ep, LIVE_DEVICES, "{}");
        }
        if (!round)
            after_first = live_outbox_bytes(big);
    }
    assert_int_equal(live_outbox_bytes(big), after_first);
    live_table_remove_outbox(f->table, big);
    live_outbox_unref(big);
    live_sub_unref(s);
}

static void a_removal_takes_back_the_summary_that_waits(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("fleet", LIVE_FLEET, NULL);
    assert_int_equal(live_table_add(f->table, f->outbox, s), ERR_OK);
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "1");
    publish(f, LIVE_FLEET, "d1", LIVE_REMOVED, "\"d1\"");
    assert_string_equal(drain(f),
                        "[{\"op\":\"delta\",\"id\":\"fleet\",\"ver\":1,\"removed\":[\"d1\"]}]");
    publish(f, LIVE_FLEET, "d1", LIVE_REMOVED, "\"d1\"");
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "2");
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "3");
    assert_string_equal(drain(f),
                        "[{\"op\":\"delta\",\"id\":\"fleet\",\"ver\":2,\"devices\":[3]}]");
    live_sub_unref(s);
}

static void keyed_values_conflate_and_others_do_not(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("v", LIVE_DEVICE, "d1");
    for (int i = 0; i < 3; i++) {
        struct live_frag *g = live_frag_new(str_of(i == 0 ? "1" : i == 1 ? "2" : "3"));
        live_push(f->outbox, s, LIVE_VALUES, g, 77);
        live_frag_unref(g);
    }
    push(f, s, LIVE_VALUES, "4");
    push(f, s, LIVE_VALUES, "4");
    assert_string_equal(drain(f), "[{\"op\":\"delta\",\"id\":\"v\",\"ver\":1,\"values\":[3,4,4]}]");
    live_sub_unref(s);
}

static void a_snapshot_is_done_when_every_shard_said_so(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("f", LIVE_FLEET, NULL);
    snapshot(f, s, "1,2", true, 3);
    assert_string_equal(drain(f), "[{\"op\":\"snapshot\",\"id\":\"f\",\"ver\":1,\"devices\":[1,2],"
                                  "\"done\":false}]");
    snapshot(f, s, NULL, true, 3);
    assert_string_equal(drain(f), "");
    snapshot(f, s, "3", false, 3);
    snapshot(f, s, NULL, true, 3);
    assert_string_equal(drain(f), "[{\"op\":\"snapshot\",\"id\":\"f\",\"ver\":2,\"devices\":[3],"
                                  "\"done\":true}]");
    live_sub_unref(s);
}

static void an_empty_snapshot_still_says_done(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("t", LIVE_TIMELINE, NULL);
    snapshot(f, s, NULL, true, 1);
    assert_string_equal(
        drain(f), "[{\"op\":\"snapshot\",\"id\":\"t\",\"ver\":1,\"devices\":[],\"done\":true}]");
    live_sub_unref(s);
}

static void a_delta_never_overtakes_the_snapshot_it_follows(void **state)
{
    struct fixture *f = *state;
    struct live_outbox *o = live_outbox_new(1 << 20);
    struct live_sub *s = sub("f", LIVE_FLEET, NULL);
    char *text = calloc(1, 700000);
    assert_non_null(text);
    struct live_frag *big = live_frag_new(str_make(text, 700000));
    free(text);
    assert_non_null(big);
    for (int i = 0; i < 3; i++)
        live_push_snapshot(o, s, big, i == 2, 1);
    struct live_frag *d = live_frag_new(str_of("\"newer\""));
    live_push(o, s, LIVE_DEVICES, d, 0);
    buf_fini(&f->frame);
    buf_init(&f->frame, 16 << 20);
    struct live_outbox *mine = f->outbox;
    f->outbox = o;
    for (int i = 0; i < 3; i++) {
        assert_string_not_equal(drain(f), "");
        struct str v = buf_view(&f->frame);
        bool has_delta = memmem(v.p, v.n, "\"newer\"", 7) != NULL;
        bool done = memmem(v.p, v.n, "\"done\":true", 11) != NULL;
        assert_int_equal(done, i == 2);
        assert_int_equal(has_delta, i == 2);
    }
    assert_string_equal(drain(f), "");
    f->outbox = mine;
    live_frag_unref(d);
    live_frag_unref(big);
    live_outbox_unref(o);
    live_sub_unref(s);
}

static void overflow_drops_the_largest_subscription_and_asks_for_a_resync(void **state)
{
    struct fixture *f = *state;
    struct live_sub *small = sub("small", LIVE_TIMELINE, NULL);
    struct live_sub *large = sub("large", LIVE_DEVICE, "d1");
    char text[600];
    memset(text, '7', sizeof text - 1);
    text[sizeof text - 1] = 0;
    push(f, small, LIVE_EVENTS, "1");
    for (int i = 0; i < 20; i++) {
        push(f, large, LIVE_VALUES, text);
        assert_true(live_outbox_bytes(f->outbox) <= LIMIT);
    }
    assert_int_equal(live_outbox_dropped(f->outbox), 20);
    assert_string_equal(drain(f), "[{\"op\":\"delta\",\"id\":\"small\",\"ver\":1,\"events\":[1]},{"
                                  "\"op\":\"resync\",\"id\":\"large\"}]");
    assert_int_equal(f->n_resync, 1);
    assert_ptr_equal(f->resync[0], large);
    snapshot(f, large, "9", true, 1); /* the part asked for at first: it does not end the second */
    assert_non_null(strstr(drain(f), "\"done\":false"));
    snapshot(f, large, "10", true, 1);
    push(f, large, LIVE_VALUES, "11");
    const char *frame = drain(f);
    assert_non_null(strstr(frame, "\"devices\":[10],\"done\":true"));
    assert_non_null(strstr(frame, "\"values\":[11]"));
    live_sub_unref(small);
    live_sub_unref(large);
}

static void more_overflows_than_one_frame_lists_come_with_the_next(void **state)
{
    struct fixture *f = *state;
    struct live_outbox *o = live_outbox_new(100); /* room for one small fragment */
    struct live_outbox *mine = f->outbox;
    f->outbox = o;
    struct live_sub *subs[20];
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        subs[i] = sub(id, LIVE_DEVICE, "d");
        char text[200];
        memset(text, '1', sizeof text);
        struct live_frag *g = live_frag_new(str_make(text, sizeof text));
        live_push(o, subs[i], LIVE_VALUES, g, 0);
        live_frag_unref(g);
    }
    drain(f);
    assert_int_equal(f->n_resync, LIVE_MAX_RESYNC);
    drain(f);
    assert_int_equal(f->n_resync, 20 - LIVE_MAX_RESYNC);
    assert_string_equal(drain(f), "");
    for (int i = 0; i < 20; i++)
        live_sub_unref(subs[i]);
    f->outbox = mine;
    live_outbox_unref(o);
}

static void a_snapshot_that_never_fits_is_an_error_not_a_loop(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("f", LIVE_FLEET, NULL);
    char text[1500];
    memset(text, '7', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 100; i++)
        snapshot(f, s, text, i == 99, 1);
    assert_true(live_outbox_bytes(f->outbox) <= LIMIT * LIVE_SNAPSHOT_FACTOR);
    const char *frame = drain(f);
    assert_non_null(strstr(frame, "\"code\":\"snapshot_too_large\""));
    assert_non_null(strstr(frame, "\"done\":true"));
    assert_int_equal(f->n_resync, 0);
    live_sub_unref(s);
}

static void errors_are_told_and_bounded(void **state)
{
    struct fixture *f = *state;
    live_push_error(f->outbox, str_of("x"), "bad_topic", "No such topic.");
    assert_string_equal(drain(f), "[{\"op\":\"error\",\"id\":\"x\",\"code\":\"bad_topic\","
                                  "\"detail\":\"No such topic.\"}]");
    for (int i = 0; i < 1000; i++)
        live_push_error(f->outbox, str_of(""), "bad_topic", "No such topic.");
    size_t n = 0;
    for (const char *p = drain(f); (p = strstr(p, "bad_topic")); p++)
        n++;
    assert_int_equal(n, LIVE_MAX_ERRORS);
}

static void an_unsubscribed_client_hears_nothing_more(void **state)
{
    struct fixture *f = *state;
    struct live_sub *s = sub("a", LIVE_FLEET, NULL);
    assert_int_equal(live_table_add(f->table, f->outbox, s), ERR_OK);
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "1");
    live_forget(f->outbox, s);
    publish(f, LIVE_FLEET, "d1", LIVE_DEVICES, "2"); /* the shard has not heard of it yet */
    snapshot(f, s, "3", true, 1);
    assert_string_equal(drain(f), "");
    assert_int_equal(live_outbox_bytes(f->outbox), 0);
    live_table_remove(f->table, s);
    assert_int_equal(live_wanted(f->table, str_of("d1")), 0);
    live_sub_unref(s);
}

static void only_topics_somebody_follows_are_wanted(void **state)
{
    struct fixture *f = *state;
    struct str eps[] = {STR("d1"), STR("d2"), STR("d1")};
    struct live_sub *one = live_sub_new(str_of("a"), LIVE_DEVICE, eps, 3);
    struct live_sub *all = sub("b", LIVE_TIMELINE, NULL);
    assert_int_equal(live_wanted(f->table, str_of("d1")), 0);
    assert_int_equal(live_table_add(f->table, f->outbox, one), ERR_OK);
    assert_int_equal(live_table_add(f->table, f->outbox, all), ERR_OK);
    assert_int_equal(live_wanted(f->table, str_of("d1")), 1 << LIVE_DEVICE | 1 << LIVE_TIMELINE);
    assert_int_equal(live_wanted(f->table, str_of("d3")), 1 << LIVE_TIMELINE);
    publish(f, LIVE_DEVICE, "d1", LIVE_EVENTS, "1");
    publish(f, LIVE_DEVICE, "d3", LIVE_EVENTS, "2");
    publish(f, LIVE_FLEET, "d1", LIVE_EVENTS, "3");
    assert_string_equal(drain(f), "[{\"op\":\"delta\",\"id\":\"a\",\"ver\":1,\"events\":[1]}]");
    live_table_remove_outbox(f->table, f->outbox);
    assert_int_equal(live_wanted(f->table, str_of("d1")), 0);
    live_sub_unref(one);
    live_sub_unref(all);
}

static void an_id_that_is_too_long_makes_no_subscription(void **state)
{
    (void)state;
    char id[65];
    memset(id, 'x', sizeof id);
    assert_null(live_sub_new(str_make(id, 65), LIVE_FLEET, NULL, 0));
    struct live_sub *s = live_sub_new(str_make(id, 64), LIVE_FLEET, NULL, 0);
    assert_non_null(s);
    live_sub_unref(s);
}

/* ---- threads: what the sanitizer must see ---- */

struct pusher {
    struct thread thread;
    struct fixture *f;
    struct live_sub *s;
    unsigned n;
};

static void push_many(void *arg)
{
    struct pusher *p = arg;
    for (unsigned i = 0; i < p->n; i++) {
        struct live_frag *g = live_frag_new(str_of("[\"d1\",\"spb:T\",1,2.5,\"good\"]"));
        live_push(p->f->outbox, p->s, LIVE_VALUES, g, 0);
        live_frag_unref(g);
    }
}

static void shards_push_while_the_client_drains(void **state)
{
    struct fixture *f = *state;
    struct live_outbox *mine = f->outbox;
    f->outbox = live_outbox_new(64 << 20);
    buf_fini(&f->frame);
    buf_init(&f->frame, 64 << 20);
    struct pusher p[2] = {0};
    struct live_sub *s = sub("a", LIVE_DEVICE, "d1");
    for (int i = 0; i < 2; i++) {
        p[i] = (struct pusher){.f = f, .s = s, .n = 5000};
        assert_int_equal(thread_start(&p[i].thread, "push", push_many, &p[i]), ERR_OK);
    }
    size_t got = 0;
    uint64_t end = clock_mono_ms() + 60000;
    while (got < 10000 && clock_mono_ms() < end)
        for (const char *t = drain(f); (t = strstr(t, "spb:T")); t++)
            got++;
    assert_int_equal(got, 10000);
    for (int i = 0; i < 2; i++)
        thread_join(&p[i].thread);
    live_sub_unref(s);
    live_outbox_unref(f->outbox);
    f->outbox = mine;
}

static void wait_for_close(void *arg)
{
    struct fixture *f = arg;
    buf_reset(&f->frame);
    bool got = live_drain(f->outbox, UINT64_MAX, &f->frame, f->resync, &f->n_resync, &f->closed);
    f->closed = f->closed && !got;
}

static void closing_wakes_the_client_and_ends_pushes(void **state)
{
    struct fixture *f = *state;
    struct thread t = {0};
    assert_int_equal(thread_start(&t, "wait", wait_for_close, f), ERR_OK);
    live_outbox_close(f->outbox);
    thread_join(&t);
    assert_true(f->closed);
    struct live_sub *s = sub("a", LIVE_FLEET, NULL);
    push(f, s, LIVE_EVENTS, "1");
    assert_int_equal(live_outbox_bytes(f->outbox), 0);
    assert_string_equal(drain(f), "");
    live_sub_unref(s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_idle_outbox_gives_no_frame_until_the_deadline),
        CASE(deltas_of_one_tick_are_one_op_with_its_parts),
        CASE(a_device_published_twice_in_a_tick_appears_once_with_the_latest),
        CASE(a_thousand_devices_conflate_without_growing),
        CASE(a_removal_takes_back_the_summary_that_waits),
        CASE(keyed_values_conflate_and_others_do_not),
        CASE(a_snapshot_is_done_when_every_shard_said_so),
        CASE(an_empty_snapshot_still_says_done),
        CASE(a_delta_never_overtakes_the_snapshot_it_follows),
        CASE(overflow_drops_the_largest_subscription_and_asks_for_a_resync),
        CASE(more_overflows_than_one_frame_lists_come_with_the_next),
        CASE(a_snapshot_that_never_fits_is_an_error_not_a_loop),
        CASE(errors_are_told_and_bounded),
        CASE(an_unsubscribed_client_hears_nothing_more),
        CASE(only_topics_somebody_follows_are_wanted),
        CASE(an_id_that_is_too_long_makes_no_subscription),
        CASE(shards_push_while_the_client_drains),
        CASE(closing_wakes_the_client_and_ends_pushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
