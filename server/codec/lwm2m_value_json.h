/* lwm2m_value_json.h - values as the json dialect and the REST interface write them.
 *
 * A value is a JSON scalar; V is `[{"path","value","type"?,"time"?}]`; a tree is the nested form
 * `{"3":{"0":{"0":"..."}}}` of registrations and of multi-instance resources (contracts section
 * 1).  Types are those of the wire unless `type` names one. */
#ifndef BRAID_CODEC_LWM2M_VALUE_JSON_H
#define BRAID_CODEC_LWM2M_VALUE_JSON_H

#include "codec/json_in.h"
#include "codec/lwm2m_value.h"

/* lw_value_from_json: string, integer (LW_UNSIGNED above INT64_MAX), other number, boolean, null
 * (LW_NONE).  ERR_TYPE for containers, ERR_RANGE for numbers that fit nothing. */
MUST_CHECK enum err lw_value_from_json(const struct json_node *n, struct lw_value *out);

/* lw_tree_from_json appends what `n` says of the node `at`: a scalar is the value of a resource
 * (instance), an object holds ids of the next level or is {"value":v,"type":word}. */
MUST_CHECK enum err lw_tree_from_json(struct arena *a, struct lw_path at, const struct json_node *n,
                                      struct lw_entries *out);

/* lw_list_from_json appends a V. */
MUST_CHECK enum err lw_list_from_json(struct arena *a, const struct json_node *v,
                                      struct lw_entries *out);

/* lw_list_to_json writes a V.  "type" is added where the scalar alone would read as another type,
 * so that reading it back is exact without a model. */
void lw_list_to_json(struct json_out *j, const struct lw_entries *list);
/* lw_json_type gives the type word to add, NULL if the scalar speaks for itself. */
const char *lw_json_type(struct lw_value v);

#endif
