/* mailbag.h - what arrived for a sleeping device and waits until it wakes: a short bounded queue.
 */
#ifndef BRAID_SIM_MAILBAG_H
#define BRAID_SIM_MAILBAG_H

#include "base/str.h"

#define MAILBAG_MAX 32

struct letter {
    struct letter *next;
    struct str topic, payload; /* inside the letter's own memory */
};

struct mailbag {
    struct letter *first, **last;
    size_t n;
};

void mailbag_init(struct mailbag *b); /* the bag must stay put afterwards */
void mailbag_empty(struct mailbag *b);
/* mailbag_put keeps copies.  ERR_FULL beyond MAILBAG_MAX, ERR_NOMEM. */
MUST_CHECK enum err mailbag_put(struct mailbag *b, struct str topic, struct str payload);
/* mailbag_take gives the oldest letter away (free() it); NULL if there is none. */
struct letter *mailbag_take(struct mailbag *b);

#endif
