/* node.h - the host's picture of one edge node: births, sequence, aliases, metrics, deaths.
 *
 * A sans-I/O state machine owned by one shard (3.0 sections 5 and 6; shared facts in
 * docs/protocols.md).  Messages and time go in; effects come out through the sink, synchronously.
 *
 *   node:    unknown -> born -> (dead | stale) -> born ...
 *   device:  unborn  -> born -> (dead | stale) -> born ...
 *   sequence: in order -> waiting for a gap (held back at most reorder_ms) -> in order | rebirth */
#ifndef BRAID_SPARKPLUG_NODE_H
#define BRAID_SPARKPLUG_NODE_H

#include "base/clock.h"
#include "codec/spb_payload.h"
#include "codec/spb_topic.h"

enum spb_life { SPB_LIFE_UNKNOWN, SPB_LIFE_BORN, SPB_LIFE_DEAD, SPB_LIFE_STALE };
const char *spb_life_word(enum spb_life l); /* "unknown" "born" "dead" "stale" */

enum spb_quality { SPB_Q_GOOD, SPB_Q_BAD, SPB_Q_STALE, SPB_Q_NULL, SPB_Q_BAD_TIME };
const char *spb_quality_word(enum spb_quality q);

/* What births said of one metric: shared by all nodes that say the same (shape.h). */
struct spb_what {
    struct str name, unit; /* unit "" if none */
    uint64_t alias;
    uint8_t datatype;
    bool announced; /* by the birth that made this shape */
    bool readonly, has_alias;
    bool is_control; /* Node Control/...: a button, not a series */
};
/* All shapes of one thread's nodes; freed after the last of them. */
struct spb_shapes;
struct spb_shapes *spb_shapes_new(uint64_t seed);
void spb_shapes_free(struct spb_shapes *s);
size_t spb_shapes_count(const struct spb_shapes *s); /* different ones */

struct spb_text {
    uint32_t n, cap;
    char p[];
};

/* The newest value of one metric. */
struct spb_cell {
    union {
        int64_t i;
        uint64_t u;
        double f;
        bool b;
        struct spb_text *text; /* NULL: "" */
    };
    int64_t time_ms;  /* of acquisition */
    uint32_t series;  /* for the owner: id of its series, 0 = none yet */
    uint8_t cls;      /* enum spb_class */
    uint8_t datatype; /* ... of the value */
    uint8_t quality;  /* enum spb_quality */
    uint8_t marks;    /* for the owner; SPB_MARK_RETYPED is set by births */
};
#define SPB_MARK_RETYPED 0x80 /* datatype or unit are others than before */

/* spb_cell_value: its text is borrowed until the next value. */
struct spb_value spb_cell_value(const struct spb_cell *c);

struct spb_device { /* a Sparkplug device below the node */
    struct str name;
    enum spb_life life; /* unknown: only its metrics were restored */
    int64_t born_ms, died_ms;
};

/* One metric the node has announced, as a look at it: good until the node hears its next message.
 */
struct spb_tag {
    const struct spb_device *of; /* NULL: the node's own */
    const struct spb_what *what;
    struct spb_cell *cell;
    bool announced; /* part of the birth in force */
};

/* Why a rebirth was asked for; words in spb_cause_words. */
enum spb_cause {
    SPB_CAUSE_NONE,
    SPB_CAUSE_UNKNOWN_NODE, /* data before any birth */
    SPB_CAUSE_UNKNOWN_DEVICE,
    SPB_CAUSE_SEQ_GAP,
    SPB_CAUSE_UNKNOWN_METRIC,
    SPB_CAUSE_UNKNOWN_ALIAS,
    SPB_CAUSE_DUPLICATE_ALIAS,
    SPB_CAUSE_MALFORMED,
    SPB_CAUSE_NODE_OFFLINE, /* data after its death */
    SPB_CAUSE_HOST_LOST,    /* our own connection was down */
    SPB_CAUSE_OPERATOR,
    SPB_CAUSE_NOT_STORED, /* samples were refused for want of room */
    SPB_CAUSE_COUNT
};
const char *spb_cause_words(enum spb_cause c); /* "sequence gap not filled in time" */

struct spb_sample {
    struct spb_tag tag;
    struct spb_value value; /* borrowed for the call */
    enum spb_quality quality;
    int64_t time_ms;
    bool historical; /* do not show as live */
    bool transient;  /* do not store */
};

enum spb_node_event {
    SPB_EV_NODE_BORN,
    SPB_EV_NODE_RESUMED, /* born again in the session that we knew before our own absence */
    SPB_EV_NODE_DEAD,
    SPB_EV_NODE_STALE,
    SPB_EV_DEVICE_BORN,
    SPB_EV_DEVICE_DEAD,
    SPB_EV_REBIRTH_ASKED, /* words: the cause */
    SPB_EV_OLD_DEATH,     /* NDEATH of an older session, ignored */
    SPB_EV_GAP,           /* a sequence gap opened; words tell */
    SPB_EV_GAP_HEALED,    /* what was missing came late, but in time */
    SPB_EV_LOST,          /* messages are lost; words tell how many */
    SPB_EV_NONCONFORMANT
};

/* Effects of a node; `ctx` is what spb_node_new was given. */
struct spb_node_sink {
    /* Publish an NCMD/DCMD; topic and payload are ready bytes. */
    void (*publish)(void *ctx, struct str topic, struct str payload);
    void (*samples)(void *ctx, const struct spb_sample *v, size_t n, struct moment now);
    /* device.p NULL for node-level events; those speak for all devices too: after NODE_DEAD and
     * NODE_STALE no device is born, without events of their own.  An NBIRTH makes born devices
     * stale until their DBIRTHs follow.  `words` is borrowed for the call. */
    void (*event)(void *ctx, enum spb_node_event ev, struct str device, const char *words,
                  struct moment now);
    /* Quality of all tags of a device, or (device.p NULL) of the node and all its devices, became
     * stale. */
    void (*stale)(void *ctx, struct str device, struct moment now);
    void (*anomaly)(void *ctx, enum err e, const char *words, struct moment now);
    /* NULL, or asked before a rebirth is requested (not for an operator's): false puts it off. */
    bool (*may_ask)(void *ctx);
};

struct spb_node_options {
    uint32_t reorder_ms;          /* how long a gap may stay open: 2000 */
    uint32_t rebirth_interval_ms; /* at most one rebirth request per this: 5000, doubling to 5 min
                                     while requests stay unanswered */
    bool strict;                  /* refuse short topics and births that are not conformant */
};

struct spb_node;
/* spb_node_new: names are copied; `shapes` and `sink` outlive the node.  NULL without memory. */
struct spb_node *spb_node_new(struct str group, struct str node, const struct spb_node_options *o,
                              struct spb_shapes *shapes, const struct spb_node_sink *sink,
                              void *ctx);
void spb_node_free(struct spb_node *n);

/* spb_node_message takes one message of this node (STATE, NCMD and DCMD are ignored).  `scratch` is
 * the caller's to reset between messages; 32 MiB let it hold the largest message.  While a node is
 * stale, DATA whose metrics carry names is still taken (fresh values), aliases are not trusted. */
void spb_node_message(struct spb_node *n, const struct spb_topic *t, struct str payload,
                      struct arena *scratch, struct moment now);
/* spb_node_host_lost: our broker session ended; everything is stale until the next birth. */
void spb_node_host_lost(struct spb_node *n, struct moment now);
/* spb_node_host_back: the session is up again; asks for a rebirth, spread over a few seconds. */
void spb_node_host_back(struct spb_node *n, uint32_t delay_ms, struct moment now);
/* spb_node_rebirth asks for a rebirth, throttled unless by an operator.  ERR_AGAIN: too soon; it is
 * planned for the earliest moment instead, unless a birth comes first. */
MUST_CHECK enum err spb_node_rebirth(struct spb_node *n, enum spb_cause cause, struct moment now);
/* spb_node_write publishes an NCMD/DCMD for one metric, typed from its birth.  `value` is JSON-ish:
 * text of a number, string, "true"/"false"; ERR_NOTFOUND unknown metric, ERR_TYPE / ERR_RANGE value
 * does not fit, ERR_CLOSED node or device not born, ERR_DENIED metric is read-only, ERR_UNSUPPORTED
 * datasets, templates and arrays.  Bytes are base64, DateTime is ms or RFC 3339.  `*sent` borrows
 * from `value` and `scratch`. */
MUST_CHECK enum err spb_node_write(struct spb_node *n, struct str device, struct str metric,
                                   struct str value, bool is_null, struct arena *scratch,
                                   struct moment now, struct spb_value *sent);

uint64_t spb_node_deadline(const struct spb_node *n); /* monotonic ms or UINT64_MAX */
void spb_node_tick(struct spb_node *n, struct moment now);
/* spb_node_wait instead of a tick: messages of the node may be waiting unread, so an open gap gets
 * its whole time anew and a planned rebirth waits. */
void spb_node_wait(struct spb_node *n, struct moment now);

/* For rendering and status. */
struct spb_node_info {
    struct str group, node;
    enum spb_life life;
    bool has_bd_seq;
    uint64_t bd_seq;
    uint8_t seq;     /* of the newest message in order */
    bool conformant; /* births as the specification wants them */
    bool is_short;   /* known only by short topics */
    int64_t born_ms, died_ms;
    uint32_t births, rebirths_asked, gaps;
    uint32_t lost_messages; /* for good: missing, thrown away behind a gap, or not usable before a
                               rebirth.  Of 256 in a row the sequence number tells nothing. */
    uint32_t never_came;    /* of the lost ones: missing */
    uint32_t missing;       /* in a gap that may heal still */
    enum spb_cause last_cause;
    int64_t last_cause_ms;
    size_t n_devices, n_devices_born, n_tags;
};
void spb_node_get_info(const struct spb_node *n, struct spb_node_info *out);
/* spb_node_restore tells a fresh node what was known of it before our restart: one that was born is
 * stale until its next birth, but the death that belongs to that birth still counts. */
void spb_node_restore(struct spb_node *n, const struct spb_node_info *before);
/* spb_node_restore_device: ... and, after that, of a device below it: one that was born is stale
 * until its next birth, or dead with its node.  ERR_FULL beyond the limits of a node or without
 * memory. */
MUST_CHECK enum err spb_node_restore_device(struct spb_node *n, const struct spb_device *before);
/* spb_node_restore_metrics: ... and of metrics that had a series: nothing of them is announced, and
 * no alias known, until the next birth.  ERR_NOMEM; ERR_FULL beyond the limits of a node. */
struct spb_old_metric {
    struct str device, name, unit; /* device.n 0: the node's own */
    uint8_t datatype;
    uint32_t series;
    struct spb_value value;
    int64_t time_ms;
};
MUST_CHECK enum err spb_node_restore_metrics(struct spb_node *n, const struct spb_old_metric *v,
                                             size_t count, struct arena *scratch);
/* NUL-terminated, good for the node's life. */
const char *spb_node_group(const struct spb_node *n);
const char *spb_node_id(const struct spb_node *n);
/* The i-th device, unknown ones among them; NULL past end. */
const struct spb_device *spb_node_device(const struct spb_node *n, size_t i);
/* spb_node_next_tag goes through all metrics, the node's own first; start with {0}. */
struct spb_tag_iter {
    size_t scope, place;
};
bool spb_node_next_tag(const struct spb_node *n, struct spb_tag_iter *it, struct spb_tag *out);
bool spb_node_tag_find(const struct spb_node *n, struct str device, struct str name,
                       struct spb_tag *out);

#endif
