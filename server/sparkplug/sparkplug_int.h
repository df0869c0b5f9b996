/* sparkplug_int.h - the inside of an edge node, shared by the files of this room only.
 *
 *   node.c    the door: messages, time, queries        births.c  NBIRTH, DBIRTH, deaths, staleness
 *   data.c    NDATA, DDATA, prototypes' topics          tags.c    a scope: its shape and its cells
 *   shape.c   what births say, shared by like nodes
 *   order.c   sequence numbers and the reorder buffer   rebirth.c when to ask for a rebirth
 *   write.c   commands to the node
 *
 * Invariants (tests/unit/sparkplug/node_check.h walks them after every step):
 *  - a device or tag once made stays until the node is freed, a tag at its place of its scope's
 *    shape; births only change what the shape says;
 *  - an alias leads only to announced tags of its own scope;
 *  - messages are held back only while the node is born, never the one that is next, and exactly
 *    then the gap has a deadline;
 *  - a device is born only while its node is. */
#ifndef BRAID_SPARKPLUG_INT_H
#define BRAID_SPARKPLUG_INT_H

#include "base/map.h"
#include "sparkplug/node.h"
#include "sparkplug/shape.h"

enum {
    SPB_MAX_TAGS = 50000,    /* per node, all devices together */
    SPB_MAX_DEVICES = 10000, /* per node */
    SPB_MAX_HELD = 64,       /* messages in the reorder buffer */
    SPB_SEQ_MODULUS = 256
};
#define SPB_MAX_HELD_BYTES ((size_t)1 << 20)
/* Text kept as latest values, per node; beyond it only the sink sees the value. */
#define SPB_MAX_TEXT_BYTES ((size_t)32 << 20)

/* The metrics of the node itself or of one device. */
struct scope {
    struct spb_shape *shape; /* a reference; all ever announced; NULL: none */
    struct spb_cell *cells;  /* as many as the shape has metrics */
    bool retracted;          /* no birth is in force, whatever the shape says */
};

struct device {
    struct spb_device pub; /* first: the public face */
    struct scope scope;
    char name[]; /* pub.name points here */
};

/* The devices of a node that has any. */
struct brood {
    struct map names;
    struct device **v;
    size_t n, cap;
};

/* A message waiting for the ones before it. */
struct held {
    struct held *next; /* ascending distance from next_seq */
    uint8_t seq;
    enum spb_kind kind;
    struct str device, payload; /* point into bytes */
    char bytes[];
};

/* One for each edge node of a fleet: members are ordered so that nothing is lost between them. */
struct spb_node {
    const struct spb_node_sink *sink;
    void *ctx; /* of the sink */
    struct spb_shapes *shapes;
    struct spb_node_options o;
    uint32_t group_n, id_n; /* bytes of names */

    uint64_t bd_seq;
    int64_t born_ms, died_ms;

    struct held *held;
    uint32_t n_held, held_bytes;
    uint64_t gap_deadline; /* UINT64_MAX: nothing is missing */

    struct scope scope;
    struct brood *brood; /* NULL: no devices */
    uint32_t text_bytes;
    uint32_t n_tags;

    uint64_t rebirth_next; /* not before this */
    uint64_t rebirth_due;  /* one is planned for then; UINT64_MAX: none */
    int64_t last_cause_ms;
    uint32_t rebirth_interval; /* until the one after the next */
    uint32_t births, rebirths_asked, gaps, lost_messages, never_came;

    uint8_t life;                                       /* enum spb_life */
    uint8_t stale_cause, rebirth_due_cause, last_cause; /* enum spb_cause; stale_cause: why it is
                                                           SPB_LIFE_STALE */
    uint8_t next_seq, seq;
    bool has_bd_seq, conformant, is_short;
    char names[]; /* group, NUL, id, NUL */
};

/* One message being worked on. */
struct turn {
    struct spb_node *n;
    struct arena *scratch;
    struct moment now;
    const struct spb_payload *payload;
    struct spb_sample *samples; /* in scratch, room for payload->n */
    size_t n_samples;
    /* What was wrong with single metrics, reported once per message: */
    size_t unknown_names, unknown_aliases, duplicate_aliases, bad_values;
    enum err bad_value;       /* of the first bad one */
    struct str first_trouble; /* name of the first metric in trouble */
};

static inline struct str spb_group_of(const struct spb_node *n)
{
    return str_make(n->names, n->group_n);
}

static inline struct str spb_id_of(const struct spb_node *n)
{
    return str_make(n->names + n->group_n + 1, n->id_n);
}

/* ---- node.c ---- */
void spb_say(struct spb_node *n, enum spb_node_event ev, struct str device, struct moment now,
             const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void spb_anomaly(struct spb_node *n, enum err e, struct moment now, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* spb_dispatch handles a message whose turn in the sequence has come. */
void spb_dispatch(struct spb_node *n, enum spb_kind kind, struct str device,
                  const struct spb_payload *p, struct arena *scratch, struct moment now);
/* spb_nonconformant marks the node and says so the first time. */
void spb_nonconformant(struct spb_node *n, struct moment now, const char *words);

/* ---- tags.c ---- */
size_t spb_device_count(const struct spb_node *n);
struct device *spb_device_at(const struct spb_node *n, size_t i);
struct device *spb_device_find(const struct spb_node *n, struct str name);
/* spb_device_get finds or makes it; NULL at the limit or without memory. */
struct device *spb_device_get(struct spb_node *n, struct str name);
void spb_tags_free(struct spb_node *n); /* and the devices */
/* spb_tag_lookup finds the announced tag a DATA metric means; device scope first, then the node's.
 * With `names_only` an alias alone is not trusted. */
bool spb_tag_lookup(struct spb_node *n, struct device *d, const struct spb_metric *m,
                    bool names_only, struct spb_tag *out);
/* spb_tags_announce takes the metrics of a message as the scope's birth in force, or with `add`
 * those it did not name before as additions to it.  tags[i] is what metric i means; .cell NULL when
 * it cannot be a tag (reported in turn) or is bdSeq, or with `add` was left to spb_tag_lookup. */
MUST_CHECK enum err spb_tags_announce(struct turn *t, struct device *d, bool add,
                                      struct spb_tag *tags);
/* spb_tags_retract forgets the birth in force of one scope: nothing announced, no aliases. */
void spb_tags_retract(struct spb_node *n, struct device *d);
/* spb_tags_stale marks the tags of one device, or with NULL all of the node and its devices. */
void spb_tags_stale(struct spb_node *n, const struct device *d);
bool spb_is_bd_seq(const struct spb_metric *m);

/* ---- data.c ---- */
bool spb_turn_begin(struct turn *t, struct spb_node *n, const struct spb_payload *p,
                    struct arena *scratch, struct moment now);
/* spb_turn_sample types a metric's value, updates its tag and adds the sample. */
void spb_turn_sample(struct turn *t, const struct spb_tag *tag, const struct spb_metric *m);
/* spb_cell_keep copies a value into the cell.  ERR_NOMEM; ERR_FULL: too much text in the node. */
MUST_CHECK enum err spb_cell_keep(struct spb_node *n, struct spb_cell *c,
                                  const struct spb_value *v);
void spb_cell_clear(struct spb_node *n, struct spb_cell *c, uint8_t datatype); /* null */
/* spb_turn_end hands the samples to the sink and reports what was wrong. */
void spb_turn_end(struct turn *t);
/* spb_data returns how many samples it took. */
size_t spb_data(struct spb_node *n, struct device *d, const struct spb_payload *p,
                struct arena *scratch, struct moment now);
void spb_short(struct spb_node *n, enum spb_kind kind, const struct spb_payload *p,
               struct arena *scratch, struct moment now);

/* ---- births.c ---- */
void spb_node_birth(struct spb_node *n, const struct spb_payload *p, struct arena *scratch,
                    struct moment now);
void spb_device_birth(struct spb_node *n, struct str device, const struct spb_payload *p,
                      struct arena *scratch, struct moment now);
void spb_node_death(struct spb_node *n, const struct spb_payload *p, struct moment now);
void spb_device_death(struct spb_node *n, struct str device, const struct spb_payload *p,
                      struct moment now);
/* spb_node_end makes the node dead or stale, its devices with it, and says so. */
void spb_node_end(struct spb_node *n, enum spb_life life, struct moment now, const char *words);

/* ---- order.c ---- */
/* spb_order takes a sequenced message of a born node: handles it now and whatever waited for it,
 * or holds it back. */
void spb_order(struct spb_node *n, const struct spb_topic *t, struct str bytes,
               const struct spb_payload *p, struct arena *scratch, struct moment now);
void spb_order_restart(struct spb_node *n, uint8_t seq); /* after a birth with this seq */
void spb_order_forget(struct spb_node *n);               /* nothing is awaited any more */
void spb_order_expire(struct spb_node *n, struct moment now);
uint32_t spb_order_missing(const struct spb_node *n); /* messages before and between those held */

/* ---- rebirth.c ---- */
void spb_rebirth_wish(struct spb_node *n, enum spb_cause cause, struct moment now);
void spb_rebirth_answered(struct spb_node *n);
void spb_rebirth_cancel(struct spb_node *n);
void spb_rebirth_plan(struct spb_node *n, enum spb_cause cause, uint64_t at_ms);
uint64_t spb_rebirth_later(const struct spb_node *n, struct moment now);
void spb_rebirth_tick(struct spb_node *n, struct moment now);

#endif
