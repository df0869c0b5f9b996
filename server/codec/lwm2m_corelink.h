/* lwm2m_corelink.h - CoRE link format: object lists and Discover answers (RFC 6690, Core 6.2). */
#ifndef BRAID_CODEC_LWM2M_CORELINK_H
#define BRAID_CODEC_LWM2M_CORELINK_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/lwm2m_path.h"

struct lw_link_attr {
    struct str key, value; /* unquoted; value.p NULL when valueless */
};

struct lw_link {
    struct str uri;      /* as written */
    bool is_path;        /* uri is an LwM2M path after stripping the alternate root */
    struct lw_path path; /* if is_path; n = 0 for the root link */
    struct lw_link_attr *attrs;
    size_t n_attrs;
};

struct lw_links {
    struct lw_link *v;
    size_t n, cap;
    struct str root; /* alternate path, "" or "/lwm2m" */
};

/* lw_links_parse tolerates spaces after commas, one trailing slash, quoted and bare values and
 * unknown attributes; links that are no LwM2M paths stay with is_path false.  ERR_INVALID for
 * text that is no link format, ERR_TOOBIG beyond 4096 links. */
MUST_CHECK enum err lw_links_parse(struct arena *a, struct str text, struct lw_links *out);
/* lw_link_attr_find returns the value of attribute `key`, .p NULL if absent or valueless. */
struct str lw_link_attr_find(const struct lw_link *l, const char *key);
/* lw_links_add appends `</path>`; lw_link_attr_add gives a link one more attribute (`value` must
 * live as long as the link). */
MUST_CHECK enum err lw_links_add(struct arena *a, struct lw_links *list, struct lw_path path);
MUST_CHECK enum err lw_link_attr_add(struct arena *a, struct lw_link *l, const char *key,
                                     struct str value);
/* lw_link_resolve sets is_path and path from uri, `root` (or "") stripped. */
void lw_link_resolve(struct lw_link *link, struct str root);
/* lw_links_write prints them again. */
void lw_links_write(struct buf *out, const struct lw_links *links);

#endif
