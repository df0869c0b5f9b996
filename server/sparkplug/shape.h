/* shape.h - what births say of their metrics, kept once for all nodes that say the same.
 *
 * A fleet is thousands of like devices: their births name the same metrics with the same datatypes,
 * units and aliases.  A shape is that list, with an index by name and by alias; it never changes.
 * Shapes of equal content are one, found by a hash of the content and counted by references, so a
 * node itself keeps only values.  Shapes are owned by one thread. */
#ifndef BRAID_SPARKPLUG_SHAPE_H
#define BRAID_SPARKPLUG_SHAPE_H

#include "base/arena.h"
#include "sparkplug/node.h"

#define SPB_NOT_FOUND SIZE_MAX

struct spb_shape {
    struct spb_shapes *home;
    struct spb_shape *next; /* of the same hash */
    uint64_t hash;
    uint32_t refs, n;
    uint32_t mask;      /* size of both indexes less one */
    uint32_t *by_name;  /* place in v plus one; 0 free; linear probing */
    uint32_t *by_alias; /* announced metrics only */
    struct spb_what v[];
};

/* spb_shape_ref and _unref count; NULL is the empty shape and fine everywhere. */
struct spb_shape *spb_shape_ref(struct spb_shape *s);
void spb_shape_unref(struct spb_shape *s);
size_t spb_shape_count(const struct spb_shape *s);
/* The place of a metric, SPB_NOT_FOUND if it has none. */
size_t spb_shape_name(const struct spb_shape *s, struct str name);
size_t spb_shape_alias(const struct spb_shape *s, uint64_t alias);

/* A shape in the making: a copy of an older one, which keeps every place, and what is added. */
struct spb_draft {
    struct spb_shapes *home;
    struct arena *arena;
    struct spb_what *v;
    size_t n, cap;
    uint32_t *names, *aliases; /* as in the shape, room for cap */
    uint32_t mask;
};
/* spb_draft_init copies `old`, with nothing announced unless `keep`; `more` metrics will be named,
 * of which at most `room` may be new.  ERR_NOMEM. */
MUST_CHECK enum err spb_draft_init(struct spb_draft *d, struct spb_shapes *home,
                                   struct arena *arena, const struct spb_shape *old, bool keep,
                                   size_t more, size_t room);
/* spb_draft_place finds or adds the metric of a name; SPB_NOT_FOUND when there is no room. */
size_t spb_draft_place(struct spb_draft *d, struct str name);
/* spb_draft_alias gives the alias to the metric at `place`; false when another one has it, which
 * keeps it. */
bool spb_draft_alias(struct spb_draft *d, size_t place, uint64_t alias);
/* spb_draft_finish gives the one shape of this content, a reference of the caller's; NULL without
 * memory. */
struct spb_shape *spb_draft_finish(const struct spb_draft *d);

#endif
