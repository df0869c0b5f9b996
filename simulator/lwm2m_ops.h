/* lwm2m_ops.h - what a server may do to the data of a device (Core 1.2.2 section 6.3).
 *
 * Read, Discover, Write, Create, Delete and the composites on an object tree, with the refusals
 * of the specification: 4.01 for the security objects, 4.04 for what is not there, 4.05 for what
 * the operation is not allowed on, 4.00 for what does not fit.  Writes are all or nothing.
 * Execute and Write-Attributes have meaning beyond the data: lwm2m_client and observe. */
#ifndef BRAID_SIM_LWM2M_OPS_H
#define BRAID_SIM_LWM2M_OPS_H

#include "codec/lwm2m_msg.h"
#include "object_tree.h"

/* What an operation needs and gives. */
struct ops_result {
    struct arena *arena; /* for values and text of the answer */
    int64_t utc_ms;
    lw_code code;
    struct lw_entries values; /* read */
    struct str links;         /* discover: link format; .p NULL otherwise */
    const char *error;        /* static words when refused; NULL otherwise */
    bool created;
    struct lw_path path; /* created: the new instance */
};

/* ops_check_path refuses paths nobody may touch or that lead nowhere: 0 if it is fine. */
lw_code ops_check_path(const struct tree *t, struct lw_path p);

void ops_read(const struct tree *t, struct lw_path p, struct ops_result *r);
void ops_read_composite(const struct tree *t, const struct lw_path *paths, size_t n,
                        struct ops_result *r);
/* ops_write: values lie below p; replace or partial update. */
void ops_write(struct tree *t, struct lw_path p, const struct lw_entries *values, bool replace,
               struct ops_result *r);
void ops_write_composite(struct tree *t, const struct lw_entries *values, struct ops_result *r);
/* ops_create makes an instance of object p; instance LW_ID_NONE: the device chooses. */
void ops_create(struct tree *t, struct lw_path p, uint16_t instance,
                const struct lw_entries *values, struct ops_result *r);
void ops_delete(struct tree *t, struct lw_path p, struct ops_result *r);

/* ops_links writes what Discover answers for p (n = 0: the whole list as Register has it).
 * `attrs` adds the attributes attached to a path; NULL for none. */
typedef void ops_attrs_fn(void *ctx, struct lw_path p, struct buf *out);
void ops_links(const struct tree *t, struct lw_path p, int depth, ops_attrs_fn *attrs, void *ctx,
               struct buf *out);

#endif
