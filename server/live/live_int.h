/* live_int.h - what the files of this room know of each other. */
#ifndef BRAID_LIVE_LIVE_INT_H
#define BRAID_LIVE_LIVE_INT_H

#include "live/live.h"

#include <stdatomic.h>

struct live_frag {
    atomic_uint refs;
    size_t n;
    char text[];
};

/* What a struct live_sub is really in. */
struct live_box {
    atomic_uint refs;
    atomic_bool closed; /* unsubscribed: late pushes of the shards are ignored */
    struct live_sub sub;
};
struct live_box *live_box(const struct live_sub *s);

/* live_push adds a fragment to a delta (takes its own reference).  Among what waits for one
 * subscription in one part, one of the same key replaces the older; 0: neither replaces nor is
 * replaced.  Any thread. */
void live_push(struct live_outbox *o, const struct live_sub *s, enum live_part part,
               struct live_frag *f, uint64_t key);

#endif
