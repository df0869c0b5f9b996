/* spb_edge.h - a conformant Sparkplug B edge node (3.0), sans-I/O.
 *
 * Births, data by exception, death, commands and historical samples of one node and its devices.
 * All messages of the node share one sequence number: 0 in NBIRTH, then one more per message,
 * 255 before 0.  bdSeq ties a death to its birth and is the owner's to keep over restarts.  Births
 * name every metric and give it an alias; data carries the alias alone.
 *
 * With short topics it behaves like the prototypes in the field instead: DBIRTH and DDATA directly
 * under the group, names instead of aliases, no node level. */
#ifndef BRAID_SIM_SPB_EDGE_H
#define BRAID_SIM_SPB_EDGE_H

#include "codec/spb_payload.h"
#include "codec/spb_topic.h"
#include "object_tree.h"

/* One message to publish; `metrics` counts its values, `historical` those of the past. */
struct spb_message {
    struct str topic, payload;
    uint8_t qos;
    size_t metrics, historical;
};
typedef void spb_publish_fn(void *ctx, const struct spb_message *m);

struct spb_edge_config {
    const struct desc_kind *kind;
    struct str group, node; /* all outlive the edge */
    struct tree *tree;      /* of the same device: linked metrics live there */
    uint64_t seed;
    bool short_topics;
    spb_publish_fn *publish;
    void *ctx;
};

struct spb_edge; /* opaque */

MUST_CHECK enum err spb_edge_new(const struct spb_edge_config *c, struct spb_edge **out);
void spb_edge_free(struct spb_edge *e);

/* spb_edge_connect begins an MQTT session with this bdSeq and writes its will. */
void spb_edge_connect(struct spb_edge *e, uint8_t bd_seq, int64_t utc_ms, struct buf *topic,
                      struct buf *payload);
/* spb_edge_birth says NBIRTH and all DBIRTHs; also the answer to a rebirth request. */
void spb_edge_birth(struct spb_edge *e, struct arena *a, int64_t utc_ms);
/* spb_edge_data reports what changed since it was last told. */
void spb_edge_data(struct spb_edge *e, struct arena *a, int64_t utc_ms);
void spb_edge_death(struct spb_edge *e, int64_t utc_ms); /* before an orderly DISCONNECT */
bool spb_edge_is_born(const struct spb_edge *e);

/* spb_edge_history reports `n` values of every metric with history, `step_ms` apart from
 * `from_ms`, in one message. */
void spb_edge_history(struct spb_edge *e, struct arena *a, int64_t from_ms, int64_t step_ms,
                      size_t n, int64_t utc_ms);
size_t spb_edge_history_metrics(const struct spb_edge *e);

/* What a command asked for. */
enum spb_edge_effect { SPB_EDGE_REBIRTH = 1, SPB_EDGE_CHANGED = 2 };
/* spb_edge_command obeys NCMD and DCMD: writes values, sees rebirth requests.  ERR_NOTFOUND: not
 * a command for this node; others: malformed.  Unknown and read-only metrics are passed over. */
MUST_CHECK enum err spb_edge_command(struct spb_edge *e, struct arena *a, struct str topic,
                                     struct str payload, unsigned *effects);

/* For scenarios: leave out sequence numbers; add to every timestamp. */
void spb_edge_skip(struct spb_edge *e, uint8_t n);
void spb_edge_set_skew(struct spb_edge *e, int64_t ms);

#endif
