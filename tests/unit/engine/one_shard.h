/* one_shard.h - a shard without its thread, for tests that set the time themselves. */
#ifndef BRAID_TESTS_ONE_SHARD_H
#define BRAID_TESTS_ONE_SHARD_H

#include "fake_world.h"

#include "engine/engine_int.h"

#define THEN_MS 1700000000000 /* when a test begins */

struct one_shard {
    struct config *config;
    struct engine engine;
    struct shard shard;
};

static int begin(void **state)
{
    struct one_shard *f = calloc(1, sizeof *f);
    struct buf why;
    char *const none[] = {NULL};
    buf_init(&why, 1024);
    assert_non_null(f);
    assert_int_equal(config_load(0, none, none, &f->config, &why), ERR_OK);
    buf_fini(&why);
    f->engine = (struct engine){
        .config = f->config, .metrics = metrics_new(), .shards = &f->shard, .n_shards = 1};
    assert_int_equal(shard_init(&f->shard, &f->engine, 0), ERR_OK);
    f->shard.now = (struct moment){.mono_ms = 1000000, .utc_ms = THEN_MS};
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct one_shard *f = *state;
    shard_fini(&f->shard);
    metrics_free(f->engine.metrics);
    config_free(f->config);
    free(f);
    world_forget();
    return 0;
}

/* A registered device that was heard a moment ago. */
static struct device *online(struct one_shard *f, int64_t id)
{
    char name[16];
    snprintf(name, sizeof name, "dev-%d", (int)id);
    struct device *d = device_new(&f->shard, id, str_of(name));
    assert_non_null(d);
    d->evidence.lw = BRAID_LW_REGISTERED;
    device_heard(d, false, "update");
    device_settle(d);
    assert_int_equal(d->verdict.status, BRAID_ONLINE);
    return d;
}

#endif
