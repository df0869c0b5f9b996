/* grow.h - room in an array that its owner holds with its size.
 *
 *     struct span *v = grow(p->spans, &p->cap, p->n + 1, sizeof *v);
 *     if (!v)
 *         return ERR_NOMEM;
 *     p->spans = v;
 *
 * Sizes double, so adding one by one costs little. */
#ifndef BRAID_BASE_GROW_H
#define BRAID_BASE_GROW_H

#include "base/err.h"

#include <stddef.h>

/* grow gives the array at `v` (of *cap elements; NULL: none) room for `need` of them and returns
 * where it is now; *cap is what it has room for.  NULL: no memory, all is as it was. */
MUST_CHECK void *grow(void *v, size_t *cap, size_t need, size_t size);

#endif
