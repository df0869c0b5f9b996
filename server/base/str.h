/* str.h - borrowed byte strings and the few text functions everybody needs.
 *
 * A struct str is a view: pointer and length, not terminated, owned by somebody else. */
#ifndef BRAID_BASE_STR_H
#define BRAID_BASE_STR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;
};

/* STR makes a view of a literal; usable in initialisers. */
#define STR(literal)                                                                               \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* "%.*s" arguments of a view. */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *text) /* text may be NULL */
{
    struct str s = {text, text ? strlen(text) : 0};
    return s;
}

static inline struct str str_make(const char *p, size_t n)
{
    struct str s = {p, n};
    return s;
}

/* str_eq, str_is: equal bytes.  str_cmp: memcmp order, shorter first. */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *text);
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, const char *prefix);

/* str_cut splits `*rest` at the first `sep`: returns what is before it and leaves what is after
 * in `*rest`.  Without a `sep` it returns all and leaves rest->p NULL. */
struct str str_cut(struct str *rest, char sep);

/* str_utf8_valid is true when `s` is well-formed UTF-8 (no surrogates, no overlongs) without NUL,
 * the text PostgreSQL and MQTT accept. */
bool str_utf8_valid(struct str s);

/* Strict number parsing: the whole view, no spaces, no leading '+'.  ERR_INVALID for bad text,
 * ERR_RANGE when it does not fit. */
MUST_CHECK enum err str_to_i64(struct str s, int64_t *out);
MUST_CHECK enum err str_to_u64(struct str s, uint64_t *out);
MUST_CHECK enum err str_to_double(struct str s, double *out); /* finite only */

/* str_from_double writes the shortest decimal text that reads back as the same double ("21.5",
 * "1e+300"); NaN and infinities become "null", so the result is always JSON.  Returns its length;
 * `out` holds at least 32 bytes. */
size_t str_from_double(double v, char *out);

/* Base64 (RFC 4648 section 4, padded).  str_base64_len(n) is the encoded length without NUL.
 * Decoding accepts the URL alphabet and missing padding too; `out` holds at least n*3/4 bytes. */
size_t str_base64_len(size_t n);
size_t str_to_base64(const void *bytes, size_t n, char *out);
MUST_CHECK enum err str_from_base64(struct str s, uint8_t *out, size_t *n);

/* Hex, lower case.  str_to_hex writes 2n bytes without NUL. */
void str_to_hex(const void *bytes, size_t n, char *out);
MUST_CHECK enum err str_from_hex(struct str s, uint8_t *out, size_t *n);

/* str_hash is a fast seeded 64-bit hash for hash tables and shard choice (not for security
 * boundaries beyond flooding resistance given a random seed). */
uint64_t str_hash(struct str s, uint64_t seed);

#endif
