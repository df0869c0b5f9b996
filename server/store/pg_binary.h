/* pg_binary.h - PostgreSQL's binary forms of what history is made of: numbers, times and arrays.
 *
 * Writers append one field of a COPY ... (FORMAT binary) row, its length first.  Readers take one
 * field of a binary result; they trust nothing (ERR_INVALID) and copy arrays into an arena.  A
 * field whose .p is NULL is SQL's NULL. */
#ifndef BRAID_STORE_PG_BINARY_H
#define BRAID_STORE_PG_BINARY_H

#include "base/arena.h"
#include "base/buf.h"

void pg_put_null(struct buf *out);
void pg_put_i16(struct buf *out, int16_t v);
void pg_put_i32(struct buf *out, int32_t v);
void pg_put_i64(struct buf *out, int64_t v);
void pg_put_time(struct buf *out, int64_t utc_us); /* timestamptz */
/* Arrays without NULLs; p NULL writes NULL. */
void pg_put_i16s(struct buf *out, const int16_t *p, size_t n);
void pg_put_i32s(struct buf *out, const int32_t *p, size_t n);
void pg_put_i64s(struct buf *out, const int64_t *p, size_t n);
void pg_put_doubles(struct buf *out, const double *p, size_t n);

/* pg_get_row cuts a row of a COPY, of `n` fields, into them; ERR_INVALID if it is of others. */
MUST_CHECK enum err pg_get_row(struct str row, struct str *fields, size_t n);
MUST_CHECK enum err pg_get_i16(struct str field, int16_t *out);
MUST_CHECK enum err pg_get_i32(struct str field, int32_t *out);
MUST_CHECK enum err pg_get_i64(struct str field, int64_t *out);
MUST_CHECK enum err pg_get_double(struct str field, double *out);
MUST_CHECK enum err pg_get_time(struct str field, int64_t *utc_us);
/* *out NULL and *n 0 for NULL.  An empty array, one with NULLs in it or with several dimensions is
 * ERR_INVALID, as is one longer than `max`; ERR_NOMEM. */
MUST_CHECK enum err pg_get_i16s(struct arena *a, struct str field, size_t max, const int16_t **out,
                                size_t *n);
MUST_CHECK enum err pg_get_i32s(struct arena *a, struct str field, size_t max, const int32_t **out,
                                size_t *n);
MUST_CHECK enum err pg_get_i64s(struct arena *a, struct str field, size_t max, const int64_t **out,
                                size_t *n);
MUST_CHECK enum err pg_get_doubles(struct arena *a, struct str field, size_t max,
                                   const double **out, size_t *n);

#endif
