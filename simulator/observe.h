/* observe.h - notification attributes and observations of one device (Core 1.2.2 section 7.3).
 *
 * Attributes are attached to paths; the nearest one up the path counts, and what an Observe brings
 * along counts before all.  An observation is looked at once a second: it is due when pmax ran
 * out, or when pmin has passed and the value changed as gt, lt, st or edge ask (any change if
 * none of them is set). */
#ifndef BRAID_SIM_OBSERVE_H
#define BRAID_SIM_OBSERVE_H

#include "base/clock.h"
#include "codec/lwm2m_msg.h"
#include "object_tree.h"

struct observe; /* opaque */

MUST_CHECK enum err observe_new(struct observe **out);
void observe_free(struct observe *o);

/* observe_attach merges Write-Attributes on `p`.  ERR_INVALID when they contradict one another
 * (lt < gt, lt + 2 st < gt, epmin < epmax), ERR_FULL beyond the limit; nothing changes then. */
MUST_CHECK enum err observe_attach(struct observe *o, struct lw_path p,
                                   const struct lw_attrs *attrs);
/* observe_print appends the attributes attached to `p` in link format (";pmin=1;gt=5"). */
void observe_print(const struct observe *o, struct lw_path p, struct buf *out);

/* observe_add starts an observation of `paths` (several: composite), replacing one with the same
 * token.  ERR_FULL, ERR_NOMEM. */
MUST_CHECK enum err observe_add(struct observe *o, const struct tree *t, struct lw_token token,
                                const struct lw_path *paths, size_t n, const struct lw_attrs *attrs,
                                unsigned ct, struct moment now);
bool observe_cancel(struct observe *o, struct lw_token token); /* false if unknown */
void observe_clear(struct observe *o);                         /* a new registration */
void observe_forget(struct observe *o, struct lw_path p);      /* what p covered is gone */
size_t observe_count(const struct observe *o);

struct observe_due {
    struct lw_token token;
    const struct lw_path *paths; /* valid until the observation ends */
    size_t n;
    unsigned ct;
};
/* observe_next walks the observations from *it (start with 0) and returns true for the next one
 * that is due; it counts as notified at once. */
bool observe_next(struct observe *o, const struct tree *t, struct moment now, size_t *it,
                  struct observe_due *due);

#endif
