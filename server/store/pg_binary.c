/* pg_binary.c - see pg_binary.h.
 *
 * An array is a head of five 32-bit words (dimensions, has NULLs, element type, entries, lower
 * bound) and then every element with its length in front; all of it is big-endian.  These loops
 * see every sample that is packed or read, so they work on whole blocks, not through a reader. */
#include "store/pg_binary.h"

#define ARRAY_HEAD_BYTES 20
#define LENGTH_BYTES     4
/* PostgreSQL counts microseconds from 2000-01-01. */
#define EPOCH_2000_US INT64_C(946684800000000)

/* Numbers of the types in pg_type. */
enum element { PG_INT2 = 21, PG_INT4 = 23, PG_INT8 = 20, PG_FLOAT8 = 701 };

static inline char *put16(char *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline char *put32(char *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline char *put64(char *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint16_t get16(const char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t get32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t get64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

/* ---- writing ---- */

void pg_put_null(struct buf *out)
{
    buf_u32be(out, UINT32_MAX);
}

void pg_put_i16(struct buf *out, int16_t v)
{
    char *p = buf_room(out, LENGTH_BYTES + sizeof v);
    if (p)
        put16(put32(p, sizeof v), (uint16_t)v);
}

void pg_put_i32(struct buf *out, int32_t v)
{
    char *p = buf_room(out, LENGTH_BYTES + sizeof v);
    if (p)
        put32(put32(p, sizeof v), (uint32_t)v);
}

void pg_put_i64(struct buf *out, int64_t v)
{
    char *p = buf_room(out, LENGTH_BYTES + sizeof v);
    if (p)
        put64(put32(p, sizeof v), (uint64_t)v);
}

void pg_put_time(struct buf *out, int64_t utc_us)
{
    pg_put_i64(out, (int64_t)((uint64_t)utc_us - (uint64_t)EPOCH_2000_US));
}

/* open_array writes the field's length and the array's head, and returns where the elements go. */
static char *open_array(struct buf *out, enum element type, size_t size, size_t n)
{
    size_t body = n * (LENGTH_BYTES + size);
    char *p = buf_room(out, LENGTH_BYTES + ARRAY_HEAD_BYTES + body);
    if (!p)
        return NULL;
    p = put32(p, (uint32_t)(ARRAY_HEAD_BYTES + body));
    p = put32(put32(p, 1), 0);
    p = put32(p, type);
    return put32(put32(p, (uint32_t)n), 1);
}

/* ARRAY_WRITER defines pg_put_NAME: the loop is the same for each width, and each is worth
 * compiling on its own. */
#define ARRAY_WRITER(name, type, element_type, width)                                              \
    void name(struct buf *out, const type *v, size_t n)                                            \
    {                                                                                              \
        char *p = v ? open_array(out, element_type, sizeof *v, n) : NULL;                          \
        if (!v)                                                                                    \
            pg_put_null(out);                                                                      \
        for (size_t i = 0; p && i < n; i++) {                                                      \
            uint##width##_t bits;                                                                  \
            memcpy(&bits, &v[i], sizeof bits);                                                     \
            p = put##width(put32(p, sizeof *v), bits);                                             \
        }                                                                                          \
    }

ARRAY_WRITER(pg_put_i16s, int16_t, PG_INT2, 16)
ARRAY_WRITER(pg_put_i32s, int32_t, PG_INT4, 32)
ARRAY_WRITER(pg_put_i64s, int64_t, PG_INT8, 64)
ARRAY_WRITER(pg_put_doubles, double, PG_FLOAT8, 64)

/* ---- reading ---- */

enum err pg_get_i16(struct str f, int16_t *out)
{
    if (!f.p || f.n != sizeof *out)
        return ERR_INVALID;
    *out = (int16_t)get16(f.p);
    return ERR_OK;
}

enum err pg_get_i32(struct str f, int32_t *out)
{
    if (!f.p || f.n != sizeof *out)
        return ERR_INVALID;
    *out = (int32_t)get32(f.p);
    return ERR_OK;
}

enum err pg_get_i64(struct str f, int64_t *out)
{
    if (!f.p || f.n != sizeof *out)
        return ERR_INVALID;
    *out = (int64_t)get64(f.p);
    return ERR_OK;
}

enum err pg_get_double(struct str f, double *out)
{
    uint64_t bits;
    if (!f.p || f.n != sizeof *out)
        return ERR_INVALID;
    bits = get64(f.p);
    memcpy(out, &bits, sizeof bits);
    return ERR_OK;
}

/* "-infinity" and "infinity" are the ends of PostgreSQL's range; nobody samples then. */
enum err pg_get_time(struct str f, int64_t *utc_us)
{
    int64_t v = 0;
    enum err e = pg_get_i64(f, &v);
    if (e)
        return e;
    if (v == INT64_MIN || v > INT64_MAX - EPOCH_2000_US)
        return ERR_INVALID;
    *utc_us = v + EPOCH_2000_US;
    return ERR_OK;
}

enum err pg_get_row(struct str row, struct str *fields, size_t n)
{
    int16_t count = 0;
    if (row.n < 2 || pg_get_i16(str_make(row.p, 2), &count) || count != (int16_t)n)
        return ERR_INVALID;
    row = str_make(row.p + 2, row.n - 2);
    for (size_t i = 0; i < n; i++) {
        int32_t size = 0;
        if (row.n < LENGTH_BYTES || pg_get_i32(str_make(row.p, LENGTH_BYTES), &size) || size < -1 ||
            (size > 0 && (size_t)size > row.n - LENGTH_BYTES))
            return ERR_INVALID;
        size_t bytes = size > 0 ? (size_t)size : 0;
        fields[i] = str_make(size < 0 ? NULL : row.p + LENGTH_BYTES, bytes);
        row = str_make(row.p + LENGTH_BYTES + bytes, row.n - LENGTH_BYTES - bytes);
    }
    return row.n ? ERR_INVALID : ERR_OK;
}

/* array_head checks everything that does not depend on the elements and finds them. */
static enum err array_head(struct str f, enum element type, size_t size, size_t max,
                           const char **first, size_t *n)
{
    if (f.n < ARRAY_HEAD_BYTES)
        return ERR_INVALID;
    uint32_t entries = get32(f.p + 12);
    if (get32(f.p) != 1 || get32(f.p + 8) != type || !entries || entries > max ||
        f.n - ARRAY_HEAD_BYTES != entries * (LENGTH_BYTES + size))
        return ERR_INVALID;
    *first = f.p + ARRAY_HEAD_BYTES;
    *n = entries;
    return ERR_OK;
}

/* ARRAY_READER defines pg_get_NAME likewise.  Elements that are NULL have the length 2^32-1, which
 * is not `size`. */
#define ARRAY_READER(name, type, element_type, width)                                              \
    enum err name(struct arena *a, struct str f, size_t max, const type **out, size_t *n)          \
    {                                                                                              \
        const char *p = NULL;                                                                      \
        size_t entries = 0;                                                                        \
        uint32_t wrong = 0;                                                                        \
        if (!f.p) {                                                                                \
            *out = NULL;                                                                           \
            *n = 0;                                                                                \
            return ERR_OK;                                                                         \
        }                                                                                          \
        enum err e = array_head(f, element_type, sizeof(type), max, &p, &entries);                 \
        if (e)                                                                                     \
            return e;                                                                              \
        type *v = arena_alloc(a, entries * sizeof *v);                                             \
        if (!v)                                                                                    \
            return ERR_NOMEM;                                                                      \
        for (size_t i = 0; i < entries; i++, p += LENGTH_BYTES + sizeof(type)) {                   \
            wrong |= get32(p) ^ (uint32_t)sizeof(type);                                            \
            uint##width##_t bits = get##width(p + LENGTH_BYTES);                                   \
            memcpy(&v[i], &bits, sizeof bits);                                                     \
        }                                                                                          \
        if (wrong)                                                                                 \
            return ERR_INVALID;                                                                    \
        *out = v;                                                                                  \
        *n = entries;                                                                              \
        return ERR_OK;                                                                             \
    }

ARRAY_READER(pg_get_i16s, int16_t, PG_INT2, 16)
ARRAY_READER(pg_get_i32s, int32_t, PG_INT4, 32)
ARRAY_READER(pg_get_i64s, int64_t, PG_INT8, 64)
ARRAY_READER(pg_get_doubles, double, PG_FLOAT8, 64)
