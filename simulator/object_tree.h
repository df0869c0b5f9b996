/* object_tree.h - the objects, instances and resources of one device, with their values.
 *
 * A cell is a single resource (path of three levels) or one instance of a multiple resource (four).
 * Cells lie sorted by path in one array, so everything below a path is one run of it.  A cell's
 * value comes from the device description (a source, perhaps moving with time) until somebody
 * sets it; then the tree owns it. */
#ifndef BRAID_SIM_OBJECT_TREE_H
#define BRAID_SIM_OBJECT_TREE_H

#include "description.h"

struct tree_cell {
    struct lw_path path;
    const struct desc_resource *res;
    const struct source *source; /* NULL: `value` holds */
    struct lw_value value;
    char *owned; /* bytes of `value` when it is text */
};

struct tree {
    const struct description *desc; /* outlives the tree */
    struct str endpoint;            /* likewise */
    uint64_t seed;
    struct tree_cell *cells; /* by path */
    size_t n, cap;
    struct lw_path *instances; /* by path, two levels */
    size_t n_instances, cap_instances;
};

MUST_CHECK enum err tree_init(struct tree *t, const struct description *d,
                              const struct desc_kind *k, struct str endpoint, uint64_t seed);
void tree_fini(struct tree *t);

/* tree_below gives the run of cells that `p` covers. */
struct tree_cell *tree_below(const struct tree *t, struct lw_path p, size_t *n);
struct tree_cell *tree_find(const struct tree *t, struct lw_path p); /* exactly; NULL if absent */
/* tree_value is a cell's value now; text is borrowed until the cell changes. */
struct lw_value tree_value(const struct tree *t, const struct tree_cell *c, int64_t utc_ms);
/* tree_read is tree_value by path; false if there is no such cell. */
bool tree_read(const struct tree *t, struct lw_path p, int64_t utc_ms, struct lw_value *out);
/* tree_set stores a copy of `v` (already of the resource's type), making the cell if the object
 * defines the resource.  ERR_NOTFOUND: it does not, or there is no such instance. */
MUST_CHECK enum err tree_set(struct tree *t, struct lw_path p, struct lw_value v);
void tree_remove(struct tree *t, struct lw_path p); /* every cell that p covers */

bool tree_has_object(const struct tree *t, uint16_t object); /* has at least one instance */
bool tree_has_instance(const struct tree *t, uint16_t object, uint16_t instance);
MUST_CHECK enum err tree_add_instance(struct tree *t, uint16_t object, uint16_t instance);
void tree_remove_instance(struct tree *t, uint16_t object, uint16_t instance);
/* tree_free_instance is the lowest unused instance id of an object. */
uint16_t tree_free_instance(const struct tree *t, uint16_t object);
/* tree_resource is the definition behind a path of three or four levels; NULL if unknown. */
const struct desc_resource *tree_resource(const struct tree *t, struct lw_path p);

#endif
