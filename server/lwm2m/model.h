/* model.h - the object model: names, operations and types of every known object and resource.
 *
 * Read once from JSON (server/lwm2m/objects.json is built in: the registry's facts; a site adds its
 * own, docs/extending.md) and immutable afterwards, so every thread may look things up. */
#ifndef BRAID_LWM2M_MODEL_H
#define BRAID_LWM2M_MODEL_H

#include "codec/lwm2m_value.h"

#define LW_OP_R 1u
#define LW_OP_W 2u
#define LW_OP_E 4u

struct lw_resource_model {
    uint16_t id;
    uint8_t ops; /* LW_OP_*; 0 = bootstrap only */
    bool multiple, mandatory;
    enum lw_type type;
    const char *name, *range, *units; /* "" if none; owned by the model */
};

struct lw_object_model {
    uint16_t id;
    bool multiple, mandatory;
    const char *name, *version, *urn;
    const char *origin;                        /* the file that defines it; NULL: built in */
    const struct lw_resource_model *resources; /* sorted by id */
    size_t n_resources;
};

struct lw_model; /* opaque, immutable */

/* lw_model_builtin parses the built-in definitions; lw_model_parse the given JSON of the same
 * shape.  The caller frees. */
MUST_CHECK enum err lw_model_builtin(struct lw_model **out);
MUST_CHECK enum err lw_model_parse(struct str json, struct lw_model **out);
/* lw_model_load merges texts of that shape over the built-in definitions: an object of theirs
 * replaces the built-in one of the same id as a whole; two texts may not define the same object
 * (ERR_CONFLICT).  On failure `why` is one sentence: which file, object and resource, and what is
 * wrong with it. */
struct lw_model_text {
    const char *name;
    struct str json;
};
MUST_CHECK enum err lw_model_load(const struct lw_model_text *texts, size_t n,
                                  struct lw_model **out, struct buf *why);
void lw_model_free(struct lw_model *m);

const struct lw_object_model *lw_model_object(const struct lw_model *m, uint16_t object);
const struct lw_resource_model *lw_model_resource(const struct lw_model *m, uint16_t object,
                                                  uint16_t resource);
size_t lw_model_count(const struct lw_model *m);
const struct lw_object_model *lw_model_at(const struct lw_model *m, size_t i);
/* lw_model_typer is the lookup codecs take. */
struct lw_typer lw_model_typer(const struct lw_model *m);
/* lw_model_json writes {"objects":[...]} as GET /models gives it. */
void lw_model_json(const struct lw_model *m, struct buf *out);
/* lw_object_json writes one object of that list, as GET /models/{id} gives it. */
void lw_object_json(const struct lw_object_model *o, struct json_out *j);

#endif
