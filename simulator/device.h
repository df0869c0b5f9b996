/* device.h - one simulated device: an MQTT connection with both strands on it.
 *
 * Glue and nothing more: bytes to the pure clients and back, timers, and the scenarios that break
 * a device on purpose.  A device belongs to the thread of its loop. */
#ifndef BRAID_SIM_DEVICE_H
#define BRAID_SIM_DEVICE_H

#include "base/arena.h"
#include "broker.h"
#include "description.h"
#include "loop.h"
#include "options.h"
#include "stats.h"

/* What the devices of one loop share. */
struct device_env {
    struct loop *loop;
    struct broker *broker;
    const struct sim_options *options;
    const struct description *desc;
    struct stats *stats;
    struct arena scratch;                          /* emptied at every event */
    void (*ready)(void *ctx, struct str identity); /* registered and born, once per device */
    void (*stopped)(void *ctx);                    /* after device_stop */
    void *ctx;
};

/* Ways to be broken. */
#define SCENARIO_TABLE(X)                                                                          \
    X(SCENARIO_NONE, "none")                                                                       \
    X(SCENARIO_POWER, "power") /* socket dead without a word; back when healed */                  \
    X(SCENARIO_GAP, "gap")     /* leaves out sequence numbers now and then */                      \
    X(SCENARIO_CLOCK, "clock") /* every timestamp three hours ahead */                             \
    X(SCENARIO_CLASH, "clash") /* the same edge node id is born in a second group too */

enum scenario {
#define X(id, word) id,
    SCENARIO_TABLE(X)
#undef X
        SCENARIO_COUNT
};
extern const char *const scenario_words[SCENARIO_COUNT];

struct device; /* opaque */

/* device_new makes device number `index` (from 0) of the fleet; `password` may be empty. */
MUST_CHECK enum err device_new(struct device_env *env, size_t index, struct str identity,
                               struct str password, struct device **out);
void device_free(struct device *d);
struct str device_identity(const struct device *d);
void device_start(struct device *d, uint64_t delay_ms);
/* device_stop says goodbye on both strands (or drops dead) and calls env->stopped. */
void device_stop(struct device *d, bool abrupt);
void device_break(struct device *d, enum scenario how); /* SCENARIO_NONE heals */

#endif
