/* json_out.h - appends JSON to a buf, commas and nesting handled, numbers exact.
 *
 *   json_open(&j, '{'); json_put_str(&j, "endpoint", ep); json_close(&j);
 *
 * Integers beyond 2^53 are written as decimal strings (documented in docs/protocols.md), NaN and
 * infinities as null, invalid UTF-8 bytes as U+FFFD, so the output is always valid JSON. */
#ifndef BRAID_BASE_JSON_OUT_H
#define BRAID_BASE_JSON_OUT_H

#include "base/buf.h"

#define JSON_OUT_DEPTH 64

struct json_out {
    struct buf *b;
    unsigned depth;
    bool started[JSON_OUT_DEPTH]; /* something was written at this depth */
    char closer[JSON_OUT_DEPTH];
    bool after_key;
};

void json_out_init(struct json_out *j, struct buf *b);
void json_open(struct json_out *j, char bracket); /* '{' or '[' */
void json_close(struct json_out *j);
void json_key(struct json_out *j, const char *key);
void json_key_str(struct json_out *j, struct str key);
void json_str(struct json_out *j, struct str s);
void json_text(struct json_out *j, const char *s); /* NULL becomes null */
void json_i64(struct json_out *j, int64_t v);
void json_u64(struct json_out *j, uint64_t v);
void json_double(struct json_out *j, double v);
void json_bool(struct json_out *j, bool v);
void json_null(struct json_out *j);
void json_time(struct json_out *j, int64_t utc_ms); /* RFC 3339; 0 becomes null */
void json_base64(struct json_out *j, const void *p, size_t n);
void json_raw(struct json_out *j, struct str json); /* one complete JSON value, not checked */

/* json_put_X writes a member of an object: the key, and the value as json_X does. */
void json_put_str(struct json_out *j, const char *key, struct str s);
void json_put_text(struct json_out *j, const char *key, const char *s);
void json_put_i64(struct json_out *j, const char *key, int64_t v);
void json_put_u64(struct json_out *j, const char *key, uint64_t v);
void json_put_double(struct json_out *j, const char *key, double v);
void json_put_bool(struct json_out *j, const char *key, bool v);
void json_put_null(struct json_out *j, const char *key);
void json_put_time(struct json_out *j, const char *key, int64_t utc_ms);
void json_put_raw(struct json_out *j, const char *key, struct str json);

#endif
