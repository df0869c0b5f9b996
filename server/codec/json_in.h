/* json_in.h - JSON to a tree in an arena; numbers stay text, so 64-bit integers are exact.
 *
 * Built on libyajl's parser with limits: depth 32, `max_nodes` values, whole input must be one
 * value of valid UTF-8, duplicate keys are refused (ERR_CONFLICT). */
#ifndef BRAID_CODEC_JSON_IN_H
#define BRAID_CODEC_JSON_IN_H

#include "base/arena.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    enum json_kind kind;
    bool boolean;
    struct str text;         /* JSON_STRING: unescaped UTF-8 without NUL; JSON_NUMBER: as written */
    struct str key;          /* when a member of an object */
    struct json_node *child; /* first of an array or object */
    struct json_node *next;  /* sibling */
    size_t n;                /* children */
};

#define JSON_IN_DEPTH 32

/* json_parse reads `text` into `a`.  ERR_INVALID, ERR_UTF8, ERR_DEPTH, ERR_TOOBIG, ERR_CONFLICT,
 * ERR_TRUNCATED. */
MUST_CHECK enum err json_parse(struct arena *a, struct str text, size_t max_nodes,
                               struct json_node **out);
/* json_get finds a member; NULL if `o` is NULL, no object, or has no such member. */
const struct json_node *json_get(const struct json_node *o, const char *key);
/* Typed reads of a node: false if it is NULL or of another kind / not exact. */
bool json_is_str(const struct json_node *n, struct str *out);
bool json_is_i64(const struct json_node *n, int64_t *out); /* number text or decimal string */
bool json_is_u64(const struct json_node *n, uint64_t *out);
bool json_is_double(const struct json_node *n, double *out);
bool json_is_bool(const struct json_node *n, bool *out);

#endif
