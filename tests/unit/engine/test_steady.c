/* test_steady.c - telemetry in steady state, from the broker's bytes to the writer's batch, asks
 * the allocator for nothing per metric.  Every allocation of our own code is counted (the linker
 * wraps malloc and its kin for this program). */
#pragma GCC diagnostic ignored "-Wunused-function" /* the world can do more than is needed here */
#include "fake_world.h"

#include "engine/engine_int.h"

enum { METRICS = 50, MESSAGES = 400 };

static _Atomic long allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t count, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t count, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_reallocarray(p, count, n);
}

char *__wrap_strdup(const char *s)
{
    atomic_fetch_add(&allocations, 1);
    return __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_strndup(s, n);
}

/* NBIRTH, or NDATA by alias; numbers and a switch, as devices have them. */
static void encode(bool birth, unsigned seq, struct buf *out)
{
    struct spb_out_metric m[METRICS + 1];
    char names[METRICS][24];
    int64_t now = clock_utc_ms();
    for (int i = 0; i < METRICS; i++) {
        snprintf(names[i], sizeof names[i], "Metric/%d", i);
        m[i] = (struct spb_out_metric){
            .name = birth ? str_of(names[i]) : str_make(NULL, 0),
            .has_alias = true,
            .alias = (uint64_t)i + 1,
            .timestamp = (uint64_t)now,
            .with_datatype = birth,
            .value = {.datatype = SPB_DOUBLE, .cls = SPB_V_FLOAT, .f = seq + i / 100.0}};
        if (i % 10 == 9)
            m[i].value =
                (struct spb_value){.datatype = SPB_BOOLEAN, .cls = SPB_V_BOOL, .b = seq & 1};
    }
    m[METRICS] =
        (struct spb_out_metric){.name = STR("bdSeq"),
                                .with_datatype = true,
                                .value = {.datatype = SPB_INT64, .cls = SPB_V_INT, .i = 0}};
    const struct spb_out p = {.timestamp = (uint64_t)now,
                              .has_seq = true,
                              .seq = (uint8_t)seq,
                              .metrics = m,
                              .n = METRICS + (birth ? 1 : 0)};
    assert_int_equal(spb_encode(&p, out), ERR_OK);
}

static void say(const char *topic, struct str payload)
{
    const struct mqtt_message msg = {str_of(topic), payload, false, false, 0};
    world.sp.handler.message(world.sp.handler.ctx, &world.sp, &msg);
}

static void taken(const struct metrics *m, int64_t n)
{
    WORLD_UNTIL(metric_get(m, M_METRICS_IN) >= n);
    assert_int_equal(metric_get(m, M_METRICS_IN), n);
}

static void run_messages(struct metrics *m, unsigned first, unsigned n, int64_t *so_far)
{
    for (unsigned i = first; i < first + n; i++) {
        struct buf b;
        buf_init(&b, 65536);
        encode(false, i % 256, &b);
        say("spBv1.0/g/NDATA/dev-1", buf_view(&b));
        buf_fini(&b);
        if (i % 100 == 99)
            world.sp.handler.drained(world.sp.handler.ctx, &world.sp);
    }
    world.sp.handler.drained(world.sp.handler.ctx, &world.sp);
    *so_far += (int64_t)n * METRICS;
    taken(m, *so_far);
}

static void telemetry_in_steady_state_allocates_nothing_per_metric(void **state)
{
    (void)state;
    struct config *config;
    struct engine *engine;
    struct lw_model *model;
    struct metrics *metrics = metrics_new();
    struct buf why, birth;
    char *const none[] = {NULL};
    buf_init(&why, 1024);
    assert_int_equal(config_load(0, none, none, &config, &why), ERR_OK);
    buf_fini(&why);
    assert_int_equal(lw_model_builtin(&model), ERR_OK);
    struct engine_parts parts = {
        .config = config, .metrics = metrics, .model = model, .writer = NULL};
    assert_int_equal(engine_start(&parts, &engine), ERR_OK);
    buf_init(&birth, 65536);
    encode(true, 0, &birth);
    say("spBv1.0/g/NBIRTH/dev-1", buf_view(&birth));
    buf_fini(&birth);
    int64_t so_far = METRICS; /* bdSeq is not counted */
    world.sp.handler.drained(world.sp.handler.ctx, &world.sp);
    taken(metrics, so_far);
    run_messages(metrics, 1, 200, &so_far); /* arenas, maps and batches find their size */

    /* What encoding the messages takes is counted alone first, and taken off. */
    long before = atomic_load(&allocations);
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct buf b;
        buf_init(&b, 65536);
        encode(false, i % 256, &b);
        buf_fini(&b);
    }
    long encoding = atomic_load(&allocations) - before;
    before = atomic_load(&allocations);
    run_messages(metrics, 201, MESSAGES, &so_far);
    long took = atomic_load(&allocations) - before - encoding;
    print_message("%ld allocations for %d messages of %d metrics\n", took, MESSAGES, METRICS);
    assert_true(took < MESSAGES); /* slabs, batches, now and then a row of the device: far fewer */

    engine_stop(engine);
    lw_model_free(model);
    metrics_free(metrics);
    config_free(config);
    world_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(telemetry_in_steady_state_allocates_nothing_per_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
