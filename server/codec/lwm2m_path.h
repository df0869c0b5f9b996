/* lwm2m_path.h - /object/instance/resource/resource-instance (Core 1.2.2 section 7.3). */
#ifndef BRAID_CODEC_LWM2M_PATH_H
#define BRAID_CODEC_LWM2M_PATH_H

#include "base/str.h"

#define LW_ID_NONE 65535 /* reserved in every level: "no id" */

struct lw_path {
    uint16_t id[4];
    uint8_t n; /* 0 = root "/", 1 object ... 4 resource instance */
};

#define LW_PATH_TEXT 28 /* "/65534/65534/65534/65534" and NUL */

/* lw_path_parse reads "/3/0/0" (also "3/0/0", one trailing slash and leading zeros).  ERR_INVALID
 * for anything else, ERR_RANGE for an id above 65534, ERR_DEPTH for more than four levels. */
MUST_CHECK enum err lw_path_parse(struct str text, struct lw_path *out);
/* lw_path_parse_new: the same, but the instance may be 65535, "the device chooses" (Create). */
MUST_CHECK enum err lw_path_parse_new(struct str text, struct lw_path *out);
/* lw_id_parse reads one id, "3303"; leading zeros are refused. */
MUST_CHECK enum err lw_id_parse(struct str text, uint16_t *out);
/* lw_path_text writes "/3/0/0" ("/" for the root), NUL-terminated; returns the length. */
size_t lw_path_text(struct lw_path p, char out[LW_PATH_TEXT]);
bool lw_path_eq(struct lw_path a, struct lw_path b);
int lw_path_cmp(struct lw_path a, struct lw_path b);
/* lw_path_covers is true when `p` is `base` itself or lies below it. */
bool lw_path_covers(struct lw_path base, struct lw_path p);
/* lw_path_key packs a path into a number unique per path: usable as a map key. */
uint64_t lw_path_key(struct lw_path p);
struct lw_path lw_path_of(unsigned n, uint16_t o, uint16_t i, uint16_t r, uint16_t ri);
/* lw_path_down appends a level (a full path stays as it is); lw_path_up keeps the first n. */
struct lw_path lw_path_down(struct lw_path p, uint16_t id);
struct lw_path lw_path_up(struct lw_path p, unsigned n);

#endif
