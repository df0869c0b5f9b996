/* The first look of a live view at a fleet: in slices, each device in it, nobody held up. */
#include "one_shard.h"

#define MANY 3000

/* What a client has seen; read() drains its outbox once. */
struct client {
    struct live_outbox *outbox;
    struct live_sub *sub;
    struct buf frame;
    size_t rows, frames, ends;
    bool seen[2 * MANY + 1];
};

static struct client *join(struct one_shard *f, enum live_topic topic, const char *endpoint)
{
    struct client *c = calloc(1, sizeof *c);
    struct str name = str_of(endpoint);
    assert_non_null(c);
    c->outbox = live_outbox_new(1 << 20);
    c->sub = live_sub_new(str_of("s"), topic, &name, endpoint ? 1 : 0);
    buf_init(&c->frame, 64 << 20);
    snapshot_begin(&f->shard, c->outbox, c->sub);
    return c;
}

static void leave(struct one_shard *f, struct client *c)
{
    snapshots_end(&f->shard, c->outbox, NULL);
    live_outbox_unref(c->outbox);
    live_sub_unref(c->sub);
    buf_fini(&c->frame);
    free(c);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static void read_frame(struct client *c)
{
    struct live_sub *resync[LIVE_MAX_RESYNC];
    size_t n_resync;
    bool closed;
    buf_reset(&c->frame);
    if (!live_drain(c->outbox, clock_mono_ms(), &c->frame, resync, &n_resync, &closed))
        return;
    const char *text = buf_text(&c->frame), *name = "\"endpoint\":\"dev-";
    c->frames++;
    c->ends += count(text, "\"done\":true");
    for (const char *at = text; (at = strstr(at, name)); c->rows++) {
        unsigned long id = strtoul(at += strlen(name), NULL, 10);
        assert_in_range(id, 1, 2 * MANY);
        c->seen[id] = true;
    }
}

static void a_fleet_is_shown_slice_by_slice_and_ends_once(void **state)
{
    struct one_shard *f = *state;
    for (int64_t id = 1; id <= MANY; id++)
        online(f, id);
    struct client *c = join(f, LIVE_FLEET, NULL);
    read_frame(c);
    assert_in_range(c->rows, 1, 200); /* what the shard did before it looked at anything else */
    assert_int_equal(c->ends, 0);
    for (int turn = 0; turn < 1000 && snapshots_due(&f->shard); turn++) {
        snapshots_run(&f->shard);
        read_frame(c);
    }
    assert_int_equal(c->rows, MANY);
    assert_int_equal(c->ends, 1);
    for (size_t id = 1; id <= MANY; id++)
        assert_true(c->seen[id]);
    assert_true(list_empty(&f->shard.snapshots));
    leave(f, c);
}

static void a_client_that_does_not_read_gets_no_more_than_one_frame_ahead(void **state)
{
    struct one_shard *f = *state;
    int turns = 0;
    for (int64_t id = 1; id <= MANY; id++)
        online(f, id);
    struct client *slow = join(f, LIVE_FLEET, NULL), *quick = join(f, LIVE_FLEET, NULL);
    for (; turns < 1000 && quick->ends == 0; turns++) {
        snapshots_run(&f->shard);
        read_frame(quick);
    }
    assert_int_equal(quick->rows, MANY); /* the other one does not hold it up */
    for (; turns < 1000 && snapshots_due(&f->shard); turns++)
        snapshots_run(&f->shard);
    assert_false(list_empty(&f->shard.snapshots)); /* it waits for the client */
    assert_in_range(live_outbox_bytes(slow->outbox), 1, LIVE_SNAPSHOT_FRAME);
    for (; turns < 2000 && slow->ends == 0; turns++) {
        read_frame(slow);
        snapshots_run(&f->shard);
    }
    assert_int_equal(slow->rows, MANY);
    leave(f, quick);
    leave(f, slow);
}

static void devices_that_come_meanwhile_make_none_missing(void **state)
{
    struct one_shard *f = *state;
    int64_t id = 1;
    for (; id <= MANY; id++)
        online(f, id);
    struct client *c = join(f, LIVE_FLEET, NULL);
    for (int turn = 0; turn < 1000 && snapshots_due(&f->shard); turn++) {
        snapshots_run(&f->shard);
        read_frame(c);
        for (int more = 0; more < 150 && id <= 2 * MANY; more++)
            online(f, id++); /* the table grows, and every place in it changes */
    }
    for (size_t before = 1; before <= MANY; before++)
        assert_true(c->seen[before]);
    assert_int_equal(c->ends, 1);
    leave(f, c);
}

static void asked_for_again_it_starts_over_and_ends_once_for_each(void **state)
{
    struct one_shard *f = *state;
    for (int64_t id = 1; id <= MANY; id++)
        online(f, id);
    struct client *c = join(f, LIVE_FLEET, NULL);
    snapshots_run(&f->shard);
    snapshots_end(&f->shard, c->outbox, c->sub); /* this shard has said all of the first */
    read_frame(c);
    assert_int_equal(c->ends, 1);
    size_t before = c->rows;
    assert_in_range(before, 1, MANY - 1);
    snapshot_begin(&f->shard, c->outbox, c->sub);
    for (int turn = 0; turn < 1000 && snapshots_due(&f->shard); turn++) {
        snapshots_run(&f->shard);
        read_frame(c);
    }
    assert_int_equal(c->rows, before + MANY);
    leave(f, c);
    assert_true(list_empty(&f->shard.snapshots));
}

static void who_leaves_takes_the_rest_of_its_snapshots_along(void **state)
{
    struct one_shard *f = *state;
    for (int64_t id = 1; id <= MANY; id++)
        online(f, id);
    struct client *c = join(f, LIVE_FLEET, NULL), *stays = join(f, LIVE_FLEET, NULL);
    leave(f, c);
    assert_true(snapshots_due(&f->shard));
    live_outbox_close(stays->outbox);
    assert_false(snapshots_due(&f->shard)); /* nobody reads it, and its leave will come */
    leave(f, stays);
    assert_true(list_empty(&f->shard.snapshots));
}

static void a_subscription_to_one_device_is_answered_at_once(void **state)
{
    struct one_shard *f = *state;
    online(f, 1);
    online(f, 2);
    struct client *c = join(f, LIVE_DEVICE, "dev-2");
    assert_true(list_empty(&f->shard.snapshots));
    read_frame(c);
    assert_int_equal(c->ends, 1);
    assert_true(c->seen[2] && !c->seen[1]);
    leave(f, c);
    c = join(f, LIVE_TIMELINE, NULL); /* has no rows to begin with */
    read_frame(c);
    assert_int_equal(c->ends, 1);
    assert_int_equal(c->rows, 0);
    leave(f, c);
}

/* A device with news, its row and values due, at the tick of a shard. */
static void news(struct one_shard *f, struct device *d)
{
    d->row_dirty = d->live_values = true;
    d->newest_us = clock_mono_us();
    if (list_empty(&d->dirty_node))
        list_append(&f->shard.dirty, &d->dirty_node);
    feed_tick(&f->shard);
}

static bool made(const struct one_shard *f)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    metrics_expose(f->engine.metrics, &text);
    bool none = strstr(buf_text(&text), "braid_live_seconds_count 0\n");
    buf_fini(&text);
    return !none;
}

static void what_nobody_follows_is_not_made(void **state)
{
    struct one_shard *f = *state;
    struct device *followed = online(f, 1), *other = online(f, 2);
    news(f, followed);
    assert_int_equal(followed->row_sent_ms, 0);
    assert_false(made(f));
    struct client *c = join(f, LIVE_DEVICE, "dev-1");
    assert_int_equal(live_table_add(f->shard.live, c->outbox, c->sub), ERR_OK);
    news(f, other);
    assert_int_equal(other->row_sent_ms, 0);
    assert_false(made(f));
    news(f, followed);
    assert_int_equal(followed->row_sent_ms, f->shard.now.mono_ms);
    assert_true(made(f));
    live_table_remove_outbox(f->shard.live, c->outbox);
    leave(f, c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_fleet_is_shown_slice_by_slice_and_ends_once),
        CASE(a_client_that_does_not_read_gets_no_more_than_one_frame_ahead),
        CASE(devices_that_come_meanwhile_make_none_missing),
        CASE(asked_for_again_it_starts_over_and_ends_once_for_each),
        CASE(who_leaves_takes_the_rest_of_its_snapshots_along),
        CASE(a_subscription_to_one_device_is_answered_at_once),
        CASE(what_nobody_follows_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
