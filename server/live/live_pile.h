/* live_pile.h - fragments waiting in order, the newest of each key only. */
#ifndef BRAID_LIVE_LIVE_PILE_H
#define BRAID_LIVE_LIVE_PILE_H

#include "live/live_int.h"

struct live_pile {
    struct live_item *v; /* in order of arrival; f NULL where one was taken back */
    size_t n, cap;
    uint32_t *slots; /* hash of keys: position + 1, 0 = empty; made when the first key comes */
    size_t n_slots;  /* power of two or 0 */
    size_t bytes;    /* what the fragments weigh, bookkeeping included */
};
struct live_item {
    struct live_frag *f; /* one reference */
    uint64_t key;
};

/* What a fragment costs besides its text. */
#define LIVE_ITEM_COST 48

/* live_pile_add takes its own reference; a fragment of the same key (not 0) gives way.  The pile
 * is unchanged on ERR_NOMEM. */
MUST_CHECK enum err live_pile_add(struct live_pile *p, struct live_frag *f, uint64_t key);
/* live_pile_withdraw takes the fragment of that key back, if there is one. */
void live_pile_withdraw(struct live_pile *p, uint64_t key);
/* live_pile_clear drops everything and frees the memory; returns how many fragments were in it. */
size_t live_pile_clear(struct live_pile *p);
/* live_pile_split moves the oldest fragments, at least one and up to `bytes`, into the empty `out`.
 */
MUST_CHECK enum err live_pile_split(struct live_pile *p, size_t bytes, struct live_pile *out);

#endif
