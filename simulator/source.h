/* source.h - where a resource or metric takes its value from: fixed, a wave, or the device's name.
 *
 * A source is typed once, when the device description is read; afterwards it cannot fail. */
#ifndef BRAID_SIM_SOURCE_H
#define BRAID_SIM_SOURCE_H

#include "codec/json_in.h"
#include "codec/lwm2m_value.h"
#include "wave.h"

enum source_kind { SOURCE_FIXED, SOURCE_ENDPOINT, SOURCE_WAVE };

struct source {
    enum source_kind kind;
    struct lw_value fixed;         /* SOURCE_FIXED */
    struct wave wave;              /* SOURCE_WAVE */
    const struct lw_value *labels; /* states and square: the value of each state, or NULL */
};

/* source_read reads a JSON scalar (fixed; the string "{endpoint}" stands for the device's name) or
 * an object with "signal" for a value of `type`.  Text lives in `a`.  ERR_INVALID, ERR_TYPE,
 * ERR_RANGE, ERR_NOMEM; *why (static text) then says what is wrong. */
MUST_CHECK enum err source_read(struct arena *a, const struct json_node *n, enum lw_type type,
                                struct source *out, const char **why);
/* source_value is its value of `type` at `utc_ms`; strings are borrowed. */
struct lw_value source_value(const struct source *s, enum lw_type type, struct str endpoint,
                             uint64_t seed, int64_t utc_ms);
bool source_moves(const struct source *s); /* changes with time */
/* source_scalar reads a fixed JSON value of `type`. */
MUST_CHECK enum err source_scalar(struct arena *a, const struct json_node *n, enum lw_type type,
                                  struct lw_value *out);

#endif
