/* load.h - reads durable state back at start: devices, registrations, series, latest values. */
#ifndef BRAID_STORE_LOAD_H
#define BRAID_STORE_LOAD_H

#include "port/pg.h"

/* One visitor per table; strings are borrowed for the call.  Returning an error stops loading. */
struct load_device {
    int64_t id;
    struct str endpoint, group, node; /* group.p NULL: no Sparkplug strand yet */
    struct str status, link;
    int64_t status_since_ms, last_seen_ms, created_ms;
    struct str manufacturer, model, serial, firmware, fault;
};
struct load_registration {
    int64_t device_id;
    struct str state, dialect, version, binding, links;
    int64_t lifetime, registered_ms, updated_ms, expires_ms;
    bool queue_mode;
};
struct load_observation {
    int64_t device_id;
    struct str token, paths;
    bool composite;
    int64_t since_ms;
};
struct load_node {
    int64_t device_id;
    struct str life;
    int64_t bd_seq; /* -1 unknown */
    int64_t born_ms, died_ms;
    bool conformant;
    int64_t rebirths;
};
struct load_subdevice {
    int64_t device_id;
    struct str name, life;
    int64_t born_ms, died_ms;
};
struct load_series {
    int64_t device_id;
    uint32_t id;
    struct str key, datatype, unit; /* the key tells the source: "lwm2m:..." or "spb:..." */
    bool has_latest;
    int64_t at_ms;
    struct str value, origin; /* JSON text; source word */
};
struct load_command {
    struct str id, request, state, by;
    int64_t device_id, created_ms, sent_ms;
};
struct load_identity {
    struct str endpoint, state; /* suspended or retired; there may be no device of that name */
};
struct load_visitor {
    void *ctx;
    enum err (*device)(void *ctx, const struct load_device *d);
    enum err (*registration)(void *ctx, const struct load_registration *r);
    enum err (*observation)(void *ctx, const struct load_observation *o);
    enum err (*node)(void *ctx, const struct load_node *n);
    enum err (*subdevice)(void *ctx, const struct load_subdevice *s);
    enum err (*series)(void *ctx, const struct load_series *s);
    enum err (*command)(void *ctx,
                        const struct load_command *c); /* unfinished ones, oldest first */
    enum err (*identity)(void *ctx, const struct load_identity *i);
};
/* store_load visits all tables in the order above, on the caller's thread, over two connections of
 * its own.  *max_device and *max_series tell the highest ids in use. */
MUST_CHECK enum err store_load(const char *conninfo, const struct load_visitor *v,
                               int64_t *max_device, uint32_t *max_series);

#endif
