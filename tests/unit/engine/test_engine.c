/* The engine with a broker, a writer and a database that a test plays: what must come before what.
 */
#include "fake_world.h"

#include "engine/engine_int.h"

struct fixture {
    struct config *config;
    struct metrics *metrics;
    struct lw_model *model;
    struct engine *engine;
    struct load_registration registration; /* of restore() */
    struct load_command command;
};

static void prepare(struct fixture *f, const char *limit)
{
    struct buf why;
    buf_init(&why, 1024);
    char flag[] = "--engine-shards", value[] = "2", box[] = "--engine-mailbox", letters[16];
    char *const argv[] = {flag, value, box, letters, NULL};
    char *const envp[] = {NULL};
    snprintf(letters, sizeof letters, "%s", limit);
    assert_int_equal(config_load(4, argv, envp, &f->config, &why), ERR_OK);
    buf_fini(&why);
    f->metrics = metrics_new();
    assert_int_equal(lw_model_builtin(&f->model), ERR_OK);
}

static enum err run(struct fixture *f)
{
    struct engine_parts parts = {
        .config = f->config, .metrics = f->metrics, .model = f->model, .writer = NULL};
    return engine_start(&parts, &f->engine);
}

static void start_with_mailbox(struct fixture *f, const char *limit)
{
    prepare(f, limit);
    assert_int_equal(run(f), ERR_OK);
}

static void start(struct fixture *f)
{
    start_with_mailbox(f, "200000");
}

static int before_start(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int running(void **state)
{
    if (before_start(state))
        return -1;
    start(*state);
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    engine_stop(f->engine);
    lw_model_free(f->model);
    metrics_free(f->metrics);
    config_free(f->config);
    world_forget();
    free(f);
    return 0;
}

static const char registration[] =
    "{\"lifetime\":300,\"version\":\"1.2\",\"objects\":{\"3\":{\"0\":{\"0\":\"A\"}},\"1\":{\"0\":{"
    "\"1\":300}}}}";

static bool shows_now(struct fixture *f, const char *endpoint, const char *part)
{
    struct buf json;
    buf_init(&json, 1 << 20);
    bool found = !engine_device(f->engine, str_of(endpoint), PATIENCE_MS, &json) &&
                 strstr(buf_text(&json), part);
    buf_fini(&json);
    return found;
}

/* True when the device's JSON holds `part`, now or soon. */
static bool shows(struct fixture *f, const char *endpoint, const char *part)
{
    bool found = false;
    WORLD_UNTIL(found = shows_now(f, endpoint, part));
    return found;
}

/* Waits until `metric` is at least n. */
static bool counted(struct fixture *f, enum metric metric, int64_t n)
{
    WORLD_UNTIL(metric_get(f->metrics, metric) >= n);
    return metric_get(f->metrics, metric) >= n;
}

static void the_owner_of_a_topic_is_its_endpoint_or_edge_node(void **state)
{
    (void)state;
    assert_true(str_is(route_name(str_of("lwm2m/ep-1/reg")), "ep-1"));
    assert_true(str_is(route_name(str_of("lwm2m/ep-1/notify/abc")), "ep-1"));
    assert_true(str_is(route_name(str_of("lwm2m/rd/ep-1")), "ep-1"));
    assert_true(str_is(route_name(str_of("tenant/lwm2m/rd/ep-1")), "ep-1"));
    assert_true(str_is(route_name(str_of("spBv1.0/g/NDATA/edge")), "edge"));
    assert_true(str_is(route_name(str_of("spBv1.0/g/DDATA/edge/d")), "edge"));
    assert_null(route_name(str_of("spBv1.0/STATE/braid")).p);
    assert_null(route_name(str_of("something/else")).p);
}

static void a_registration_is_acknowledged_when_it_is_durable_and_not_before(void **state)
{
    struct fixture *f = *state;
    world.hold = true;
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(STORED, "registration_put"));
    assert_true(shows(f, "dev-1", "\"registered\""));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    world_commit(ERR_OK);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "2.01"));
}

static void a_registration_that_cannot_be_stored_is_refused(void **state)
{
    (void)state;
    world.hold = true;
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(STORED, "registration_put"));
    world_commit(ERR_DB);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "5.00"));
}

static void latest_values_wait_until_the_writer_wants_them(void **state)
{
    const char *stored = NULL;
    (void)state;
    world.no_caches = true;
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* a few ticks, if all goes well */
    assert_null(world_find(STORED, "latest_many"));
    assert_null(world_find(STORED, "device_seen"));
    world.no_caches = false;
    for (int i = 0; i < 200 && !stored; i++) { /* whatever wakes the shard */
        world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        stored = world_find(STORED, "latest_many");
    }
    assert_non_null(stored);
    assert_non_null(strstr(stored, "\"v\":\"A\"")); /* all that changed meanwhile */
    assert_non_null(strstr(stored, "\"v\":300"));
}

static void at_the_end_latest_values_are_stored_whatever_the_writer_wants(void **state)
{
    struct fixture *f = *state;
    world.no_caches = true;
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    engine_stop(f->engine);
    f->engine = NULL;
    assert_non_null(world_find(STORED, "latest_many"));
    assert_non_null(world_find(STORED, "device_seen"));
}

static const char id[] = "11111111-2222-3333-4444-555555555555";

static void post(struct fixture *f, const char *request)
{
    assert_int_equal(engine_command(f->engine, str_of("dev-1"), str_of(id), str_of(request),
                                    str_of("ann"), clock_utc_ms()),
                     ERR_OK);
}

static void register_device(void)
{
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
}

static void an_execute_is_marked_sent_before_it_goes_out(void **state)
{
    struct fixture *f = *state;
    register_device();
    world.hold = true;
    post(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_non_null(world_wait(STORED, "command_state 11111111-2222-3333-4444-555555555555|sent"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
    world_commit(ERR_OK);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static void an_execute_that_cannot_be_recorded_is_not_sent(void **state)
{
    struct fixture *f = *state;
    register_device();
    world.hold = true;
    post(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_non_null(world_wait(STORED, "|sent"));
    world_commit(ERR_DB);
    assert_non_null(world_wait(STORED, "|failed"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static void a_waiter_gets_the_answer_of_its_command(void **state)
{
    struct fixture *f = *state;
    enum cmd_state end;
    struct buf members;
    char topic[128];
    register_device();
    struct engine_waiter *w = engine_waiter_new(f->engine, str_of(id));
    assert_non_null(w);
    buf_init(&members, 4096);
    assert_int_equal(engine_waiter_wait(w, 20, &end, &members), ERR_TIMEOUT);
    post(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    const char *asked = world_wait(PUBLISHED, "lwm2m/dev-1/cmd/");
    assert_non_null(asked);
    struct str rest = str_of(asked), word = str_cut(&rest, ' ');
    struct str name = str_make(word.p + strlen("lwm2m/dev-1/cmd/"), word.n - 16);
    snprintf(topic, sizeof topic, "lwm2m/dev-1/resp/%.*s", STR_ARG(name));
    world_say(&world.lw, topic,
              "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3/0/0\",\"value\":\"B\"}]}", false);
    assert_int_equal(engine_waiter_wait(w, PATIENCE_MS, &end, &members), ERR_OK);
    assert_int_equal(end, CMD_SUCCEEDED);
    assert_non_null(strstr(buf_text(&members), "\"value\":\"B\""));
    engine_waiter_free(w);
    buf_fini(&members);
}

static void a_command_whose_broker_is_lost_before_it_goes_out_is_queued_again(void **state)
{
    struct fixture *f = *state;
    register_device();
    world.hold = true;
    post(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_non_null(world_wait(STORED, "|sent"));
    world.lw.up = false;
    world_commit(ERR_OK);
    assert_non_null(world_wait(STORED, "|queued|NULL|NULL"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static void a_command_that_was_marked_but_not_sent_at_a_stop_is_queued_again(void **state)
{
    struct fixture *f = *state;
    register_device();
    world.hold = true;
    post(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_non_null(world_wait(STORED, "|sent"));
    engine_stop(f->engine);
    f->engine = NULL;
    world_commit(ERR_OK); /* the writer lives longer than the engine */
    assert_non_null(world_find(STORED, "|queued|NULL|NULL"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static const struct load_device known = {.id = 1,
                                         .endpoint = STR("dev-1"),
                                         .status = STR("online"),
                                         .link = STR("up"),
                                         .status_since_ms = 1,
                                         .last_seen_ms = 1000,
                                         .created_ms = 1};

static void restore(struct fixture *f, const char *request)
{
    f->registration = (struct load_registration){.device_id = 1,
                                                 .state = STR("registered"),
                                                 .dialect = STR("json"),
                                                 .version = STR("1.2"),
                                                 .binding = STR("M"),
                                                 .links = STR("</3/0>"),
                                                 .lifetime = 0};
    f->command = (struct load_command){.id = str_of(id),
                                       .request = str_of(request),
                                       .state = STR("sent"),
                                       .device_id = 1,
                                       .created_ms = clock_utc_ms(),
                                       .sent_ms = 1};
    world.devices = &known;
    world.registrations = &f->registration;
    world.commands = &f->command;
    world.n_devices = world.n_registrations = world.n_commands = 1;
}

/* The first command was published behind the `n`-th acknowledgement. */
static bool follows_ack(size_t n)
{
    size_t acks = 0, commands = 0, before = 0;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.n_published; i++) {
        acks += strstr(world.published[i], "lwm2m/dev-1/ack/") != NULL;
        if (strstr(world.published[i], "lwm2m/dev-1/cmd/") && !commands++)
            before = acks;
    }
    pthread_mutex_unlock(&world.lock);
    return commands == 1 && before == n;
}

static void a_queued_command_goes_out_after_the_acknowledgement_and_not_before(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    f->registration.state = str_of("deregistered");
    f->command.state = str_of("queued");
    start(f);
    world.hold = true;
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    assert_non_null(world_wait(STORED, "registration_put"));
    assert_true(shows(f, "dev-1", "\"registered\""));
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false); /* both must be answered */
    WORLD_UNTIL(world_held() == 2);
    assert_true(shows(f, "dev-1", "\"registered\"")); /* all before is handled */
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
    world_commit(ERR_OK);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/cmd/"));
    assert_true(follows_ack(2));
}

static void a_marked_command_waits_for_an_acknowledgement_that_came_between(void **state)
{
    struct fixture *f = *state;
    register_device();
    world.hold = true;
    post(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_non_null(world_wait(STORED, "command_state 11111111-2222-3333-4444-555555555555|sent"));
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    WORLD_UNTIL(world_held() == 2);
    world_commit_one(ERR_OK); /* the mark; the registration's row still waits */
    assert_non_null(world_wait(STORED, "|queued|NULL|NULL"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
    world.hold = false;
    world_commit(ERR_OK);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/cmd/"));
    assert_true(follows_ack(2));
}

static void a_load_that_fails_half_way_leaves_no_engine(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    prepare(f, "200000");
    world.load_result = ERR_DB;
    assert_int_equal(run(f), ERR_DB);
    assert_null(f->engine);
    assert_null(world_find(PUBLISHED, "STATE")); /* nobody was told that we are here */
    world.load_result = ERR_OK;
    assert_int_equal(run(f), ERR_OK);
    assert_true(shows(f, "dev-1", "\"registered\""));
}

static void after_a_restart_a_sent_read_is_sent_again(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    start(f);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static void after_a_restart_a_sent_execute_is_unknown_and_never_sent_again(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    start(f);
    assert_non_null(world_wait(STORED, "|unknown|"));
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/update"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/cmd/"));
}

static void a_write_that_was_accepted_before_a_restart_has_succeeded(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":60}");
    f->command.state = str_of("accepted");
    start(f);
    assert_non_null(world_wait(STORED, "|succeeded|accepted; Braid restarted"));
}

static void a_restart_and_a_lost_session_make_us_blind_until_a_message(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    world.n_commands = 0;
    start(f);
    assert_true(shows(f, "dev-1", "\"unknown\",\"sentence\":\"Unknown: Braid restarted"));
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
    world.lw.handler.disconnected(world.lw.handler.ctx, &world.lw, "test");
    assert_true(shows(f, "dev-1", "\"status\":\"unknown\""));
}

static void what_was_true_before_a_restart_is_not_told_as_news(void **state)
{
    struct fixture *f = *state;
    struct load_device lost = known;
    char since[CLOCK_TEXT], part[96];
    lost.status = lost.link = str_of("lost");
    lost.status_since_ms = clock_utc_ms() - 3 * 86400000LL;
    lost.last_seen_ms = lost.status_since_ms - 1000;
    world.devices = &lost;
    world.n_devices = 1;
    start(f);
    clock_rfc3339(lost.status_since_ms, since);
    snprintf(part, sizeof part, "\"status_since\":\"%s\"", since);
    assert_true(shows(f, "dev-1", part));
    assert_true(shows(f, "dev-1", "Connection lost 3 days ago"));
    assert_null(world_find(STORED, "timeline_put"));
    assert_int_equal(metric_get(f->metrics, M_DEV_NEVER + (enum metric)BRAID_LOST), 1);
    assert_int_equal(metric_get(f->metrics, M_DEV_NEVER), 0);
}

static void a_node_that_dies_while_it_is_asked_for_its_rebirth_is_dead(void **state)
{
    struct fixture *f = *state;
    static const char death[] = "\x12\x0b\x0a\x05"
                                "bdSeq\x20\x04\x58\x03";
    struct load_device node = known;
    const struct load_node before = {
        .device_id = 1, .life = STR("born"), .bd_seq = 3, .born_ms = 1000, .conformant = true};
    node.group = str_of("g");
    node.node = str_of("dev-1");
    world.devices = &node;
    world.nodes = &before;
    world.n_devices = world.n_nodes = 1;
    start(f);
    assert_non_null(world_wait(STORED, "node_put 1|stale|3|1000|"));
    world_say(&world.sp, "spBv1.0/g/NDEATH/dev-1", death, false);
    assert_true(shows(f, "dev-1", "\"status\":\"lost\""));
    assert_non_null(world_wait(STORED, "node_put 1|dead|3|1000|"));
}

static void devices_below_a_node_are_there_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct load_device node = known;
    const struct load_node before = {
        .device_id = 1, .life = STR("born"), .bd_seq = 3, .born_ms = 1000, .conformant = true};
    const struct load_subdevice below[] = {
        {.device_id = 1, .name = STR("D1"), .life = STR("born"), .born_ms = 2000},
        {.device_id = 1, .name = STR("D2"), .life = STR("dead"), .born_ms = 2000, .died_ms = 3000},
        {.device_id = 9, .name = STR("D3"), .life = STR("born"), .born_ms = 2000},
    };
    node.group = str_of("g");
    node.node = str_of("dev-1");
    world.devices = &node;
    world.nodes = &before;
    world.subdevices = below;
    world.n_devices = world.n_nodes = 1;
    world.n_subdevices = 3;
    start(f);
    assert_true(shows(f, "dev-1",
                      "\"sparkplug_devices\":[{\"device\":\"D1\",\"state\":\"stale\","
                      "\"born_at\":\"1970-01-01T00:00:02.000Z\",\"died_at\":null},"
                      "{\"device\":\"D2\",\"state\":\"dead\","
                      "\"born_at\":\"1970-01-01T00:00:02.000Z\","
                      "\"died_at\":\"1970-01-01T00:00:03.000Z\"}]"));
    assert_true(shows(f, "dev-1", "\"devices\":2,\"devices_born\":0"));
    assert_null(world_find(STORED, "subdevice_put"));
}

static void the_last_word_about_the_host_is_that_it_is_gone(void **state)
{
    struct fixture *f = *state;
    const char *last = "";
    assert_non_null(world_find(PUBLISHED, "spBv1.0/STATE/braid {\"online\":true"));
    engine_stop(f->engine);
    f->engine = NULL;
    for (size_t i = 0; i < world.n_published; i++)
        if (strncmp(world.published[i], "spBv1.0/STATE/", 14) == 0)
            last = world.published[i];
    assert_non_null(strstr(last, "\"online\":false"));
}

static void a_send_is_acknowledged_when_its_values_are_durable_and_not_before(void **state)
{
    struct fixture *f = *state;
    static const char send[] = "{\"token\":\"s1\",\"values\":[{\"path\":\"/3303/0/5700\","
                               "\"value\":1.5}]}";
    register_device();
    world.hold = true;
    world_say(&world.lw, "lwm2m/dev-1/send", send, false);
    assert_true(shows(f, "dev-1", "\"value\":1.5"));
    assert_null(world_find(PUBLISHED, "lwm2m/dev-1/ack/send"));
    world_commit(ERR_OK);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/send");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "2.04"));
    world_say(&world.lw, "lwm2m/dev-1/send", send, false);
    WORLD_UNTIL(world_held() == 1);
    world_commit(ERR_CLOSED);
    assert_non_null(world_wait(PUBLISHED, "5.00"));
}

static void too_many_new_devices_at_once_are_told_to_try_again(void **state)
{
    (void)state;
    char topic[64];
    for (int i = 0; i < 1500; i++) {
        snprintf(topic, sizeof topic, "lwm2m/new-%04d/reg", i);
        world_say(&world.lw, topic, registration, false);
    }
    assert_non_null(world_wait(PUBLISHED, "\"5.03\""));
    assert_null(world_find(PUBLISHED, "\"4.03\""));
}

static void a_value_that_waited_in_the_broker_has_no_trusted_time(void **state)
{
    struct fixture *f = *state;
    register_device();
    const struct mqtt_handler *h = &world.lw.handler;
    h->disconnected(h->ctx, &world.lw, "test");
    h->connected(h->ctx, &world.lw, true);
    world_say(&world.lw, "lwm2m/dev-1/send",
              "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":2.5}]}", false);
    assert_true(shows(f, "dev-1", "\"value\":2.5"));
    engine_stop(f->engine);
    f->engine = NULL;
    assert_non_null(world_find(STORED, "\"v\":2.5,\"q\":\"bad_time\",\"o\":\"send\""));
    assert_null(world_find(STORED, "clock is wrong"));
}

static void drained_and_retained_messages_do_not_make_a_device_look_alive(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    world.n_commands = 0;
    start(f);
    world.lw.handler.disconnected(world.lw.handler.ctx, &world.lw, "test");
    world.lw.handler.connected(world.lw.handler.ctx, &world.lw, true); /* with a session: drain */
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", true);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/update"));
    assert_true(shows(f, "dev-1", "\"status\":\"unknown\""));
    assert_int_equal(metric_get(f->metrics, M_BAD_RETAINED), 1);
    const char *mark = world_wait(PUBLISHED, "lwm2m/braid-lw/drain ");
    assert_non_null(mark);
    world_say(&world.lw, "lwm2m/braid-lw/drain", strchr(mark, ' ') + 1, false);
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
}

static void say_drained(void)
{
    char number[24] = "";
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.n_published; i++)
        if (strncmp(world.published[i], "lwm2m/braid-lw/drain ", 21) == 0)
            snprintf(number, sizeof number, "%s", world.published[i] + 21);
    pthread_mutex_unlock(&world.lock);
    world_say(&world.lw, "lwm2m/braid-lw/drain", number, false);
}

static void expiry_waits_for_the_updates_the_broker_kept(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    world.n_commands = 0;
    f->registration.lifetime = 60;
    f->registration.expires_ms = clock_utc_ms() - 1000; /* ran out while we were away */
    world.session_present = true;
    start(f);
    assert_true(shows(f, "dev-1", "\"state\":\"registered\""));
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/update");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "2.04"));
    say_drained();
    assert_true(shows(f, "dev-1", "\"state\":\"registered\""));
}

static void what_no_kept_update_renews_expires_after_the_drain(void **state)
{
    struct fixture *f = *state;
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    world.n_commands = 0;
    f->registration.lifetime = 60;
    f->registration.expires_ms = clock_utc_ms() - 1000;
    start(f);
    assert_non_null(world_wait(STORED, "registration_put 1|expired"));
}

static void a_broker_that_forgot_the_session_ends_the_drain(void **state)
{
    struct fixture *f = *state;
    register_device();
    const struct mqtt_handler *h = &world.lw.handler;
    h->disconnected(h->ctx, &world.lw, "test");
    h->connected(h->ctx, &world.lw, true);
    h->disconnected(h->ctx, &world.lw, "test"); /* before the drain was over */
    h->connected(h->ctx, &world.lw, false);
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
}

static void the_last_word_decides_within_one_millisecond_too(void **state)
{
    struct fixture *f = *state;
    register_device();
    for (int i = 0; i < 20; i++) {
        world_say(&world.lw, "lwm2m/dev-1/lost", "{}", false);
        world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    }
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
    for (int i = 0; i < 20; i++) {
        world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
        world_say(&world.lw, "lwm2m/dev-1/lost", "{}", false);
    }
    assert_true(shows(f, "dev-1", "\"status\":\"lost\""));
}

static void answer_last_command(const char *payload)
{
    char topic[128] = "";
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.n_published; i++)
        if (strncmp(world.published[i], "lwm2m/dev-1/cmd/", 16) == 0)
            snprintf(topic, sizeof topic, "lwm2m/dev-1/resp/%.*s",
                     (int)strcspn(world.published[i] + 16, " "), world.published[i] + 16);
    pthread_mutex_unlock(&world.lock);
    world_say(&world.lw, topic, payload, false);
}

static size_t published(const char *part)
{
    size_t n = 0;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.n_published; i++)
        n += strstr(world.published[i], part) != NULL;
    pthread_mutex_unlock(&world.lock);
    return n;
}

static void wait_for_commands(size_t n)
{
    WORLD_UNTIL(published("lwm2m/dev-1/cmd/") >= n);
    assert_int_equal(published("lwm2m/dev-1/cmd/"), n);
}

static void our_own_second_write_does_not_prove_the_first(void **state)
{
    struct fixture *f = *state;
    static const char second[] = "11111111-2222-3333-4444-666666666666";
    static const char write[] = "{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":60}";
    register_device();
    post(f, "{\"op\":\"observe\",\"path\":\"/1/0/1\"}");
    wait_for_commands(1);
    answer_last_command("{\"code\":\"2.05\",\"values\":[{\"path\":\"/1/0/1\",\"value\":300}]}");
    assert_non_null(world_wait(STORED, "|succeeded|"));
    assert_int_equal(engine_command(f->engine, str_of("dev-1"), str_of(second), str_of(write),
                                    str_of("ann"), clock_utc_ms()),
                     ERR_OK);
    wait_for_commands(2);
    answer_last_command("{\"code\":\"2.04\"}");
    assert_non_null(world_wait(STORED, "666666666666|accepted|"));
    static const char third[] = "11111111-2222-3333-4444-777777777777";
    assert_int_equal(engine_command(f->engine, str_of("dev-1"), str_of(third), str_of(write),
                                    str_of("ann"), clock_utc_ms()),
                     ERR_OK);
    wait_for_commands(3);
    answer_last_command("{\"code\":\"2.04\"}");
    assert_non_null(world_wait(STORED, "777777777777|accepted|"));
    assert_null(world_find(STORED, "|observed|"));
}

static void a_long_text_is_cut_between_characters(void **state)
{
    struct str whole = str_make(NULL, 0);
    struct shard shard = {.index = 0};
    struct device device = {.shard = &shard};
    const char *kept = NULL;
    char text[520];
    (void)state;
    words_init(&shard.words, 1);
    memset(text, 'a', sizeof text);
    memcpy(text + 511, "\xc3\xa4", 2);
    device_set_text(&device, &kept, str_make(text, sizeof text));
    assert_int_equal(strlen(kept), 511);
    assert_true(str_utf8_valid(str_of(kept)));
    device_set_text(&device, &kept, whole);
    assert_null(kept);
    words_fini(&shard.words);
}

static void a_value_without_a_time_is_newer_than_what_a_fast_clock_claimed(void **state)
{
    struct fixture *f = *state;
    char payload[160];
    register_device();
    snprintf(payload, sizeof payload,
             "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":1.5,\"time\":%lld}]}",
             (long long)clock_utc_ms() + 300000);
    world_say(&world.lw, "lwm2m/dev-1/send", payload, false);
    assert_true(shows(f, "dev-1", "\"value\":1.5"));
    world_say(&world.lw, "lwm2m/dev-1/send",
              "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":2.5}]}", false);
    assert_true(shows(f, "dev-1", "\"value\":2.5"));
}

static void a_clock_that_counts_from_its_start_hides_no_later_value(void **state)
{
    struct fixture *f = *state;
    char payload[160];
    register_device();
    world_say(&world.lw, "lwm2m/dev-1/send", /* an hour: read as relative, it lies ahead */
              "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":1.5,\"time\":3600000}]}", false);
    assert_true(shows(f, "dev-1", "\"value\":1.5"));
    assert_true(shows(f, "dev-1", "\"quality\":\"bad_time\""));
    snprintf(payload, sizeof payload,
             "{\"values\":[{\"path\":\"/3303/0/5700\",\"value\":2.5,\"time\":%lld}]}",
             (long long)clock_utc_ms());
    world_say(&world.lw, "lwm2m/dev-1/send", payload, false);
    assert_true(shows(f, "dev-1", "\"value\":2.5"));
}

static void commands_beyond_the_limit_fail_at_once_and_say_so(void **state)
{
    struct fixture *f = *state;
    static const char last[] = "99999999-2222-3333-4444-555555555555";
    enum cmd_state end;
    struct buf members;
    char one[37];
    restore(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    world.n_commands = world.n_registrations = 0;
    start(f);
    register_device();
    world.lw.up = false; /* all of them wait */
    for (int i = 0; i < 1000; i++) {
        snprintf(one, sizeof one, "11111111-2222-3333-4444-%012d", i);
        assert_int_equal(engine_command(f->engine, str_of("dev-1"), str_of(one),
                                        str_of("{\"op\":\"read\",\"path\":\"/3/0/0\"}"),
                                        str_of("ann"), clock_utc_ms()),
                         ERR_OK);
    }
    struct engine_waiter *w = engine_waiter_new(f->engine, str_of(last));
    assert_int_equal(engine_command(f->engine, str_of("dev-1"), str_of(last),
                                    str_of("{\"op\":\"read\",\"path\":\"/3/0/0\"}"), str_of("ann"),
                                    clock_utc_ms()),
                     ERR_OK);
    buf_init(&members, 4096);
    assert_int_equal(engine_waiter_wait(w, PATIENCE_MS, &end, &members), ERR_OK);
    assert_int_equal(end, CMD_FAILED);
    assert_non_null(strstr(buf_text(&members), "too many commands"));
    buf_fini(&members);
    engine_waiter_free(w);
}

static void a_puback_without_a_listener_ends_the_command_at_once(void **state)
{
    struct fixture *f = *state;
    register_device();
    post(f, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/cmd/"));
    assert_non_null(world_wait(STORED, "|sent"));
    world.lw.handler.acked(world.lw.handler.ctx, &world.lw, world.next_mid, 16);
    const char *end = world_wait(STORED, "|failed|the device is not connected");
    assert_non_null(end);
}

static void unknown_senders_are_told_so(void **state)
{
    struct fixture *f = *state;
    world_say(&world.lw, "lwm2m/nobody/update", "{}", false);
    const char *ack = world_wait(PUBLISHED, "lwm2m/nobody/ack/update");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "4.04"));
    world_say(&world.lw, "lwm2m/nobody/bs/req", "{\"token\":\"t1\"}", false);
    assert_non_null(world_wait(PUBLISHED, "lwm2m/nobody/bs/ack"));
    world_say(&world.lw, "lwm2m/braid-x/reg", registration, false);
    assert_true(counted(f, M_BAD_IDENTITY, 1));
    assert_int_equal(metric_get(f->metrics, M_BAD_IDENTITY), 1);
    assert_null(world_find(PUBLISHED, "lwm2m/braid-x/"));
}

static void a_device_has_so_many_resources_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    register_device();
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    for (int part = 0; part < 3; part++) { /* 3 x 1,000 besides the two of the registration */
        buf_init(&b, 1 << 20);
        buf_puts(&b, "{\"values\":[");
        for (int i = 0; i < 1000; i++)
            buf_printf(&b, "%s{\"path\":\"/3303/%d/5700\",\"value\":1.5}", i ? "," : "",
                       part * 1000 + i);
        buf_puts(&b, "]}");
        world_say(&world.lw, "lwm2m/dev-1/send", buf_text(&b), false);
        buf_fini(&b);
    }
    assert_non_null(world_wait(STORED, "more than 2000 resources"));
    assert_true(shows(f, "dev-1", "\"resources\":2000}"));
    assert_int_equal(metric_get(f->metrics, M_SAMPLES_REFUSED), 1002);
    assert_int_equal(metric_get(f->metrics, M_BAD_TOOBIG), 2);
    assert_true(shows(f, "dev-1", "\"quality\":\"good\",\"observed\":"));
}

static void a_text_that_is_too_long_for_the_history_is_told(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    register_device();
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    for (size_t n = 65536; n <= 65537; n++) {
        buf_init(&b, 1 << 20);
        buf_puts(&b, "{\"values\":[{\"path\":\"/3/0/1\",\"value\":\"");
        for (size_t i = 0; i < n; i++)
            buf_putc(&b, 'x');
        buf_puts(&b, "\"}]}");
        assert_int_equal(metric_get(f->metrics, M_SAMPLES_REFUSED), 0);
        world_say(&world.lw, "lwm2m/dev-1/send", buf_text(&b), false);
        buf_fini(&b);
    }
    assert_non_null(world_wait(STORED, "more than 64 KiB is not in the history"));
    assert_int_equal(metric_get(f->metrics, M_SAMPLES_REFUSED), 1);
}

/* ---- samples that can be stored nowhere ---- */

/* NBIRTH, then NDATA number `seq`, of edge node dev-1 with one metric T; NDATA by alias alone or by
 * name.  They come together, `times` of them. */
static void say_node_often(bool birth, unsigned seq, int value, bool alias, unsigned times)
{
    struct spb_out_metric m[2] = {{.name = alias && !birth ? str_make(NULL, 0) : str_of("T"),
                                   .has_alias = alias,
                                   .alias = 7,
                                   .with_datatype = true,
                                   .value = {.datatype = SPB_INT32, .cls = SPB_V_INT, .i = value}},
                                  {.name = STR("bdSeq"),
                                   .with_datatype = true,
                                   .value = {.datatype = SPB_INT64, .cls = SPB_V_INT, .i = 0}}};
    struct spb_out p = {
        .timestamp = (uint64_t)clock_utc_ms(), .has_seq = true, .seq = seq, .metrics = m};
    struct buf b;
    p.n = birth ? 2 : 1;
    m[0].timestamp = m[1].timestamp = p.timestamp;
    buf_init(&b, 65536);
    assert_int_equal(spb_encode(&p, &b), ERR_OK);
    const struct mqtt_message msg = {
        str_of(birth ? "spBv1.0/g/NBIRTH/dev-1" : "spBv1.0/g/NDATA/dev-1"), buf_view(&b), false,
        false, 0};
    while (times--)
        world.sp.handler.message(world.sp.handler.ctx, &world.sp, &msg);
    world.sp.handler.drained(world.sp.handler.ctx, &world.sp);
    buf_fini(&b);
}

static void say_node(bool birth, unsigned seq, int value)
{
    say_node_often(birth, seq, value, false, 1);
}

/* The same of a node whose one metric B are `n` bytes. */
static void say_bytes(bool birth, unsigned seq, const char *bytes, size_t n)
{
    struct spb_out_metric m = {
        .name = STR("B"),
        .timestamp = (uint64_t)clock_utc_ms(),
        .with_datatype = true,
        .value = {.datatype = SPB_BYTES, .cls = SPB_V_BYTES, .s = str_make(bytes, n)}};
    struct spb_out p = {.has_seq = true, .seq = seq, .metrics = &m, .n = 1};
    struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(spb_encode(&p, &b), ERR_OK);
    const struct mqtt_message msg = {
        str_of(birth ? "spBv1.0/g/NBIRTH/dev-1" : "spBv1.0/g/NDATA/dev-1"), buf_view(&b), false,
        false, 0};
    world.sp.handler.message(world.sp.handler.ctx, &world.sp, &msg);
    world.sp.handler.drained(world.sp.handler.ctx, &world.sp);
    buf_fini(&b);
}

static void bytes_with_a_nul_that_come_back_prove_their_write(void **state)
{
    struct fixture *f = *state;
    static const char sent[] = {0, 1, 2, 0, 4};
    static const char other[] = {0, 1, 2, 0, 5};
    say_bytes(true, 0, "x", 1);
    assert_true(shows(f, "dev-1", "\"value\":\"eA==\""));
    post(f, "{\"op\":\"metric-write\",\"metric\":\"B\",\"value\":\"AAECAAQ=\"}");
    assert_non_null(world_wait(PUBLISHED, "spBv1.0/g/NCMD/dev-1"));
    say_bytes(false, 1, other, sizeof other);
    assert_true(shows(f, "dev-1", "\"value\":\"AAECAAU=\""));
    assert_null(world_find(STORED, "|observed|"));
    say_bytes(false, 2, sent, sizeof sent);
    assert_non_null(world_wait(STORED, "|observed|"));
}

static bool may_read(void)
{
    return world.sp.handler.may_read(world.sp.handler.ctx);
}

static void say_heap(long long bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", bytes);
    world_say(&world.lw, "$SYS/broker/heap/current", text, false);
}

static void without_room_telemetry_waits_unread_and_everything_else_goes_on(void **state)
{
    struct fixture *f = *state;
    struct engine_health h;
    say_node(true, 0, 1);
    assert_true(shows(f, "dev-1", "\"value\":1,"));
    assert_true(may_read());
    world.pressed = true;
    assert_false(may_read());
    assert_int_equal(metric_get(f->metrics, M_TELEMETRY_PAUSED), 1);
    engine_get_health(f->engine, &h);
    assert_true(h.telemetry_paused && !h.telemetry_refused);
    say_node(false, 1, 2); /* was on its way */
    say_node(false, 3, 4);
    register_device(); /* LwM2M is handled and acknowledged */
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    assert_true(shows(f, "dev-1", "\"value\":1,"));
    assert_int_equal(metric_get(f->metrics, M_Q_PARKED), 2);
    say_node(false, 2, 3);
    world.pressed = false;
    assert_true(may_read());
    assert_true(shows(f, "dev-1", "\"value\":4,")); /* in order, and nothing is lost */
    assert_true(shows(f, "dev-1", "\"sequence_gaps\":1,\"lost_messages\":0,"));
    assert_int_equal(metric_get(f->metrics, M_Q_PARKED), 0);
    assert_int_equal(metric_get(f->metrics, M_TELEMETRY_PAUSED), 0);
    assert_int_equal(metric_get(f->metrics, M_TELEMETRY_PAUSES), 1);
    metric_set(f->metrics, M_Q_SHARD, 2); /* what a look at a busy moment left */
    WORLD_UNTIL((engine_measure(f->engine), metric_get(f->metrics, M_Q_SHARD)) == 0);
    assert_int_equal(metric_get(f->metrics, M_Q_SHARD), 0);
    assert_int_equal(metric_get(f->metrics, M_SAMPLES_REFUSED), 0);
}

static void what_waits_is_taken_before_the_session_ends_for_the_node(void **state)
{
    struct fixture *f = *state;
    say_node_often(true, 0, 1, true, 1);
    assert_true(shows(f, "dev-1", "\"value\":1,"));
    world.pressed = true;
    say_node_often(false, 1, 2, true, 1);
    world.sp.handler.disconnected(world.sp.handler.ctx, &world.sp, "test");
    assert_true(shows(f, "dev-1", "\"status\":\"unknown\"")); /* told at once */
    world.pressed = false;
    assert_true(shows(f, "dev-1", "\"value\":2,"));
    assert_true(shows(f, "dev-1", "\"sparkplug\":{\"state\":\"stale\""));
    assert_true(shows(f, "dev-1", "\"status\":\"unknown\""));
    assert_true(shows(f, "dev-1", "\"lost_messages\":0,"));
}

static void what_waits_in_a_shard_is_bounded_when_more_comes_than_it_handles(void **state)
{
    struct fixture *f = *state;
    start_with_mailbox(f, "5000");
    say_node(true, 0, 1);
    assert_true(shows(f, "dev-1", "\"value\":1,"));
    world.pressed = true;
    say_node_often(false, 1, 2, false, 6000);
    assert_true(counted(f, M_Q_PARKED, 6000));
    int64_t most = metric_get(f->metrics, M_Q_PARKED);
    assert_int_equal(most, 6000);
    world.pressed = false;
    for (int i = 0; i < 60; i++) { /* the broker had kept them */
        say_node_often(false, 1, 2, false, 1000);
        int64_t n = metric_get(f->metrics, M_Q_PARKED);
        most = n > most ? n : most;
    }
    assert_in_range(most, 6000, 13000); /* the limit, and what a mailbox held beside it */
}

static void before_the_broker_is_full_samples_are_refused_and_counted_per_device(void **state)
{
    struct fixture *f = *state;
    struct buf fleet;
    say_node(true, 0, 1);
    assert_true(shows(f, "dev-1", "\"value\":1,"));
    world.pressed = world.full = true;
    assert_false(may_read());
    say_heap(2LL << 30); /* beyond mqtt.backlog_mb */
    assert_true(may_read());
    assert_int_equal(metric_get(f->metrics, M_TELEMETRY_SHEDDING), 1);
    unsigned n = BATCH_SAMPLES + 100; /* more than one batch holds */
    for (unsigned i = 1; i <= n; i++)
        say_node(false, i % 256, (int)i);
    assert_true(shows(f, "dev-1", "\"value\":4196,")); /* live views go on */
    assert_true(shows(f, "dev-1", "\"lost_samples\":10"));
    assert_true(metric_get(f->metrics, M_SAMPLES_REFUSED) >= 100);
    assert_int_equal(metric_get(f->metrics, M_SAMPLES_REFUSED),
                     metric_get(f->metrics, M_DROP_SPOOL));
    buf_init(&fleet, 65536);
    assert_int_equal(engine_fleet(f->engine, PATIENCE_MS, &fleet), ERR_OK);
    assert_non_null(strstr(buf_text(&fleet), "\"telemetry\":{\"state\":\"refused\""));
    buf_fini(&fleet);
    assert_null(world_find(PUBLISHED, "NCMD/dev-1")); /* not while there is no room */
    world.pressed = world.full = false;
    assert_true(may_read());
    assert_int_equal(metric_get(f->metrics, M_TELEMETRY_SHEDDING), 0);
    assert_non_null(world_wait(STORED, "samples are lost"));
    assert_non_null(world_wait(PUBLISHED, "spBv1.0/g/NCMD/dev-1"));
}

static void a_send_whose_values_found_no_room_is_refused(void **state)
{
    (void)state;
    say_node(true, 0, 1);
    register_device();
    assert_non_null(world_wait(PUBLISHED, "lwm2m/dev-1/ack/reg"));
    world.full = true;
    for (unsigned i = 1; i <= BATCH_SAMPLES + 1; i++)
        say_node(false, i % 256, (int)i);
    world_say(&world.lw, "lwm2m/dev-1/send",
              "{\"token\":\"s1\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":1.5}]}", false);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/send");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "5.00"));
    world.full = false;
}

static void what_the_broker_says_of_itself_is_counted_from_either_session(void **state)
{
    struct fixture *f = *state;
    struct buf fleet;
    world_say(&world.sp, "$SYS/broker/publish/messages/dropped", "7", true);
    world_say(&world.lw, "$SYS/broker/publish/messages/received", "100", false);
    world_say(&world.lw, "$SYS/broker/clients/connected", "12", false);
    world_say(&world.lw, "$SYS/broker/uptime", "99 seconds", false);
    world_say(&world.lw, "$SYS/broker/heap/current", "no number", false);
    say_heap(1000);
    assert_int_equal(metric_get(f->metrics, M_BROKER_DROPPED), 7);
    assert_int_equal(metric_get(f->metrics, M_BROKER_RECEIVED), 100);
    assert_int_equal(metric_get(f->metrics, M_BROKER_CONNECTED), 12);
    assert_int_equal(metric_get(f->metrics, M_BROKER_HEAP), 1000);
    assert_int_equal(metric_get(f->metrics, M_BAD_TOPIC), 0);
    buf_init(&fleet, 65536);
    assert_int_equal(engine_fleet(f->engine, PATIENCE_MS, &fleet), ERR_OK);
    assert_non_null(strstr(buf_text(&fleet), "\"broker_dropped\":7,\"broker_dropped_at\":\"20"));
    buf_fini(&fleet);
}

static void a_suspended_device_is_refused_counted_and_shown_lost(void **state)
{
    struct fixture *f = *state;
    register_device();
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
    assert_int_equal(engine_set_standing(f->engine, (struct str)STR("dev-1"), STANDING_SUSPENDED,
                                         "Suspended by test", PATIENCE_MS),
                     ERR_OK);
    assert_true(shows(f, "dev-1", "\"standing\":\"suspended\""));
    assert_true(shows(f, "dev-1", "\"status\":\"lost\""));
    assert_true(shows(f, "dev-1", "(suspended)"));
    assert_non_null(world_wait(STORED, "Suspended by test"));
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    const char *ack = world_wait(PUBLISHED, "lwm2m/dev-1/ack/update");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "4.03"));
    world_say(&world.sp, "spBv1.0/g/NDATA/dev-1", "x", false);
    assert_true(counted(f, M_BAD_BLOCKED, 2));
    assert_true(shows(f, "dev-1", "\"status\":\"lost\""));
    assert_int_equal(engine_set_standing(f->engine, (struct str)STR("dev-1"), STANDING_ACTIVE,
                                         "Resumed", PATIENCE_MS),
                     ERR_OK);
    world_say(&world.lw, "lwm2m/dev-1/update", "{}", false);
    assert_true(shows(f, "dev-1", "\"status\":\"online\""));
}

static void a_name_suspended_before_our_start_makes_no_device(void **state)
{
    struct fixture *f = *state;
    world.suspended = "dev-1";
    start(f);
    world_say(&world.lw, "lwm2m/dev-1/reg", registration, false);
    world_say(&world.sp, "spBv1.0/g/NBIRTH/dev-1", "x", false);
    assert_true(counted(f, M_BAD_BLOCKED, 2));
    struct str name = STR("dev-1");
    struct buf json;
    buf_init(&json, 1 << 20);
    assert_int_equal(engine_device(f->engine, name, PATIENCE_MS, &json), ERR_NOTFOUND);
    buf_fini(&json);
    assert_int_equal(engine_add(f->engine, name, "Added", PATIENCE_MS), ERR_CONFLICT);
    world.suspended = NULL;
}

static void an_added_device_waits_to_be_heard(void **state)
{
    struct fixture *f = *state;
    struct str name = STR("new-1");
    assert_int_equal(engine_note(f->engine, name, "x", PATIENCE_MS), ERR_NOTFOUND);
    assert_int_equal(engine_add(f->engine, name, "Added by test", PATIENCE_MS), ERR_OK);
    assert_true(shows(f, "new-1", "\"status\":\"never\""));
    assert_non_null(world_wait(STORED, "added|braid|Added by test"));
    assert_int_equal(engine_add(f->engine, name, "Added", PATIENCE_MS), ERR_EXISTS);
    assert_int_equal(engine_add(f->engine, (struct str)STR("braid-x"), "Added", PATIENCE_MS),
                     ERR_DENIED);
    assert_int_equal(engine_note(f->engine, name, "Certificate issued", PATIENCE_MS), ERR_OK);
    assert_non_null(world_wait(STORED, "credential|braid|Certificate issued"));
}

static void strangers_are_noted_when_only_known_devices_are_admitted(void **state)
{
    struct fixture *f = *state;
    f->config->devices_admission[0] = 0; /* anything but "open" */
    world_say(&world.lw, "lwm2m/who/reg", registration, false);
    world_say(&world.lw, "lwm2m/who/reg", registration, false);
    const char *ack = world_wait(PUBLISHED, "lwm2m/who/ack/reg");
    assert_non_null(ack);
    assert_non_null(strstr(ack, "4.03"));
    assert_true(counted(f, M_BAD_ADMISSION, 2));
    assert_non_null(world_wait(STORED, "unknown_seen who|")); /* the survey writes it */
}

#define RUNNING(name)      cmocka_unit_test_setup_teardown(name, running, stop)
#define BEFORE_START(name) cmocka_unit_test_setup_teardown(name, before_start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_of_a_topic_is_its_endpoint_or_edge_node),
        RUNNING(a_registration_is_acknowledged_when_it_is_durable_and_not_before),
        RUNNING(a_registration_that_cannot_be_stored_is_refused),
        RUNNING(latest_values_wait_until_the_writer_wants_them),
        RUNNING(at_the_end_latest_values_are_stored_whatever_the_writer_wants),
        RUNNING(an_execute_is_marked_sent_before_it_goes_out),
        BEFORE_START(a_queued_command_goes_out_after_the_acknowledgement_and_not_before),
        RUNNING(a_marked_command_waits_for_an_acknowledgement_that_came_between),
        RUNNING(an_execute_that_cannot_be_recorded_is_not_sent),
        RUNNING(a_command_whose_broker_is_lost_before_it_goes_out_is_queued_again),
        RUNNING(a_command_that_was_marked_but_not_sent_at_a_stop_is_queued_again),
        BEFORE_START(a_write_that_was_accepted_before_a_restart_has_succeeded),
        BEFORE_START(expiry_waits_for_the_updates_the_broker_kept),
        BEFORE_START(what_no_kept_update_renews_expires_after_the_drain),
        RUNNING(a_broker_that_forgot_the_session_ends_the_drain),
        RUNNING(the_last_word_decides_within_one_millisecond_too),
        RUNNING(our_own_second_write_does_not_prove_the_first),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        RUNNING(a_value_without_a_time_is_newer_than_what_a_fast_clock_claimed),
        RUNNING(a_clock_that_counts_from_its_start_hides_no_later_value),
        BEFORE_START(commands_beyond_the_limit_fail_at_once_and_say_so),
        BEFORE_START(what_was_true_before_a_restart_is_not_told_as_news),
        BEFORE_START(a_node_that_dies_while_it_is_asked_for_its_rebirth_is_dead),
        BEFORE_START(devices_below_a_node_are_there_after_a_restart),
        RUNNING(the_last_word_about_the_host_is_that_it_is_gone),
        RUNNING(a_send_is_acknowledged_when_its_values_are_durable_and_not_before),
        RUNNING(too_many_new_devices_at_once_are_told_to_try_again),
        RUNNING(a_value_that_waited_in_the_broker_has_no_trusted_time),
        RUNNING(a_waiter_gets_the_answer_of_its_command),
        BEFORE_START(a_load_that_fails_half_way_leaves_no_engine),
        BEFORE_START(after_a_restart_a_sent_read_is_sent_again),
        BEFORE_START(after_a_restart_a_sent_execute_is_unknown_and_never_sent_again),
        BEFORE_START(a_restart_and_a_lost_session_make_us_blind_until_a_message),
        BEFORE_START(drained_and_retained_messages_do_not_make_a_device_look_alive),
        RUNNING(a_puback_without_a_listener_ends_the_command_at_once),
        RUNNING(unknown_senders_are_told_so),
        RUNNING(a_device_has_so_many_resources_and_no_more),
        RUNNING(a_text_that_is_too_long_for_the_history_is_told),
        RUNNING(bytes_with_a_nul_that_come_back_prove_their_write),
        RUNNING(without_room_telemetry_waits_unread_and_everything_else_goes_on),
        RUNNING(what_waits_is_taken_before_the_session_ends_for_the_node),
        BEFORE_START(what_waits_in_a_shard_is_bounded_when_more_comes_than_it_handles),
        RUNNING(before_the_broker_is_full_samples_are_refused_and_counted_per_device),
        RUNNING(a_send_whose_values_found_no_room_is_refused),
        RUNNING(what_the_broker_says_of_itself_is_counted_from_either_session),
        RUNNING(a_suspended_device_is_refused_counted_and_shown_lost),
        BEFORE_START(a_name_suspended_before_our_start_makes_no_device),
        RUNNING(an_added_device_waits_to_be_heard),
        RUNNING(strangers_are_noted_when_only_known_devices_are_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
