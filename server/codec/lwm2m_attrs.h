/* lwm2m_attrs.h - notification attributes as text, and whether they agree (Core section 7.3). */
#ifndef BRAID_CODEC_LWM2M_ATTRS_H
#define BRAID_CODEC_LWM2M_ATTRS_H

#include "codec/lwm2m_msg.h"

/* lw_attr_from finds an attribute by its word ("pmin"). */
bool lw_attr_from(struct str word, enum lw_attr *out);
/* lw_attrs_set notes a value: ERR_RANGE when the attribute cannot have it (periods and counts are
 * unsigned integers, edge and con 0 or 1, thresholds finite). */
MUST_CHECK enum err lw_attrs_set(struct lw_attrs *attrs, enum lw_attr attr, double v);
/* lw_attrs_parse reads "pmin=1&gt=45&lt"; a word without value unsets.  ERR_INVALID for unknown or
 * repeated words and bad numbers. */
MUST_CHECK enum err lw_attrs_parse(struct str query, struct lw_attrs *out);
/* lw_attrs_check: ERR_CONFLICT when values contradict each other: lt < gt, lt + 2*st < gt,
 * pmin <= pmax, epmin < epmax, st > 0. */
MUST_CHECK enum err lw_attrs_check(const struct lw_attrs *attrs);

#endif
