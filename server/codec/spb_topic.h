/* spb_topic.h - Sparkplug topics (specification 3.0 section 4) and the prototypes' short form. */
#ifndef BRAID_CODEC_SPB_TOPIC_H
#define BRAID_CODEC_SPB_TOPIC_H

#include "base/buf.h"

#define SPB_NAMESPACE "spBv1.0"

enum spb_kind {
    SPB_NBIRTH,
    SPB_NDATA,
    SPB_NDEATH,
    SPB_NCMD,
    SPB_DBIRTH,
    SPB_DDATA,
    SPB_DDEATH,
    SPB_DCMD,
    SPB_STATE,
    SPB_KIND_COUNT
};
extern const char *const spb_kind_words[SPB_KIND_COUNT];

struct spb_topic {
    enum spb_kind kind;
    struct str group, node; /* STATE: node = host id */
    struct str device;      /* .p NULL for node-level messages */
    bool is_short;          /* D* without an edge node level: `node` holds the name given */
};

/* spb_topic_parse splits a topic.  D* topics with three levels after the namespace set is_short
 * (prototype form).  ERR_NOTFOUND: another namespace; ERR_INVALID: bad shape, empty level,
 * wildcard or unknown type. */
MUST_CHECK enum err spb_topic_parse(struct str topic, struct spb_topic *out);
void spb_topic_write(struct buf *out, const struct spb_topic *t);

#endif
