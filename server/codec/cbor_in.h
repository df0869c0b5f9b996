/* cbor_in.h - reads CBOR item by item (RFC 8949), trusting no length.
 *
 * A definite string longer than what is left, or an array or map with more members than bytes
 * left, is ERR_TRUNCATED before anything is allocated.  The error is sticky in `r.err`; after it
 * every read gives CBOR_BREAK. */
#ifndef BRAID_CODEC_CBOR_IN_H
#define BRAID_CODEC_CBOR_IN_H

#include "base/arena.h"
#include "base/reader.h"
#include "codec/lwm2m_value.h"

enum cbor_kind {
    CBOR_UINT,  /* arg */
    CBOR_NINT,  /* -1 - arg */
    CBOR_BYTES, /* s */
    CBOR_TEXT,  /* s, UTF-8 */
    CBOR_ARRAY, /* arg members, unless indefinite */
    CBOR_MAP,   /* arg pairs, unless indefinite */
    CBOR_TAG,   /* arg; the item follows */
    CBOR_FLOAT, /* f */
    CBOR_BOOL,  /* arg 0 or 1 */
    CBOR_NULL,
    CBOR_SIMPLE, /* undefined and the unassigned ones */
    CBOR_BREAK
};

struct cbor_item {
    enum cbor_kind kind;
    bool indefinite;
    uint64_t arg;
    double f;
    struct str s; /* borrowed, or in the arena when it came in chunks */
};

struct cbor_in {
    struct reader r;
    struct arena *a;
};

#define CBOR_DEPTH 16

void cbor_in_init(struct cbor_in *c, struct arena *a, struct str bytes);
void cbor_fail(struct cbor_in *c, enum err e);
/* cbor_read takes the next item's head, and a string's content. */
struct cbor_item cbor_read(struct cbor_in *c);
/* cbor_skip passes over what belongs to an item just read (members, tagged item). */
void cbor_skip(struct cbor_in *c, const struct cbor_item *item);
/* cbor_more tells whether a container opened by `head` has another member; call it before each
 * one with the number already read.  It takes the break of an indefinite container. */
bool cbor_more(struct cbor_in *c, const struct cbor_item *head, uint64_t done);
/* cbor_value turns an item into a typed value: tags 0, 1 and 4 are understood, other tags are
 * passed over, tags inside tags refused.  Fails for containers and undefined. */
struct lw_value cbor_value(struct cbor_in *c, const struct cbor_item *item);
/* cbor_end is the error so far, or ERR_INVALID when bytes are left over. */
MUST_CHECK enum err cbor_end(struct cbor_in *c);

#endif
