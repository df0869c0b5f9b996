/* words.h - texts that many share, kept once.
 *
 * Manufacturers, models, firmware versions and object lists are the same in thousands of devices.
 * Equal texts are one allocation, counted by references.  Owned by one thread. */
#ifndef BRAID_BASE_WORDS_H
#define BRAID_BASE_WORDS_H

#include "base/map.h"

struct words {
    struct map by_text;
};

void words_init(struct words *w, uint64_t seed);
void words_fini(struct words *w); /* after the last reference is given back */

/* words_take gives the one copy of `text`, NUL-terminated, with a reference of the caller's; NULL
 * without memory. */
const char *words_take(struct words *w, struct str text);
/* words_put gives a reference back; NULL is fine. */
void words_put(struct words *w, const char *word);
size_t words_len(const char *word); /* of what words_take gave; it may hold NUL bytes */

#endif
