/* mailbox.h - bounded queue between threads: many put, one takes everything at once.
 *
 * Messages are intrusive (embed struct mail) and owned by whoever holds them: the sender until a
 * put succeeds, then the box, then the taker.  Mutex and condition, drained in batches: more than
 * a million messages a second, and simple to reason about. */
#ifndef BRAID_BASE_MAILBOX_H
#define BRAID_BASE_MAILBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail {
    struct mail *next;
};

struct mailbox; /* opaque */

/* mailbox_new makes a box for at most `limit` waiting messages; NULL without memory. */
struct mailbox *mailbox_new(size_t limit);
/* mailbox_ref keeps the box (closed or not) for one more mailbox_free. */
struct mailbox *mailbox_ref(struct mailbox *b);
/* mailbox_free drops a reference; with the last one no user may be left.  Messages still inside
 * are the owner's to drain before. */
void mailbox_free(struct mailbox *b);

/* mailbox_put hands over `n` messages linked from `first` to `last` at once, and waits while the
 * box is full (back-pressure; it may then hold up to n-1 more than its limit).  ERR_CLOSED: the
 * caller keeps them.  Any thread. */
MUST_CHECK enum err mailbox_put(struct mailbox *b, struct mail *first, struct mail *last, size_t n);
/* mailbox_force_put ignores the limit: for the few messages that end something, or that somebody
 * waits for.  Never blocks beyond the short lock. */
MUST_CHECK enum err mailbox_force_put(struct mailbox *b, struct mail *m);

/* mailbox_take waits until there is mail or monotonic `deadline_ms` passes (UINT64_MAX: for ever)
 * and returns all of it, oldest first, NULL if none.  *closed tells that no more will come. */
struct mail *mailbox_take(struct mailbox *b, uint64_t deadline_ms, bool *closed);

/* mailbox_close refuses further puts and wakes everybody; what is inside can still be taken. */
void mailbox_close(struct mailbox *b);
size_t mailbox_depth(struct mailbox *b);
size_t mailbox_limit(const struct mailbox *b);

#endif
