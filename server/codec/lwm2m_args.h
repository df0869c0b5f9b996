/* lwm2m_args.h - arguments of Execute (Core 1.2.2 section 6.3.5): 0,1='x',5. */
#ifndef BRAID_CODEC_LWM2M_ARGS_H
#define BRAID_CODEC_LWM2M_ARGS_H

#include "base/str.h"

#define LW_ARGS 10

struct lw_args {
    uint16_t given;         /* bit per digit */
    uint8_t order[LW_ARGS]; /* digits as they came */
    unsigned n;
    struct str value[LW_ARGS]; /* without quotes; .p NULL if none */
};

/* lw_args_parse reads an argument list; "" is an empty one.  ERR_INVALID for anything else,
 * ERR_CONFLICT when a digit comes twice.  Values are borrowed. */
MUST_CHECK enum err lw_args_parse(struct str text, struct lw_args *out);

#endif
