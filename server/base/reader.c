/* reader.c - see reader.h. */
#include "base/reader.h"

void reader_init(struct reader *r, const void *bytes, size_t n)
{
    *r = (struct reader){.p = bytes, .left = n};
}

void reader_fail(struct reader *r, enum err e)
{
    if (!r->err)
        r->err = e;
}

struct str reader_bytes(struct reader *r, size_t n)
{
    if (r->err || n > r->left) {
        reader_fail(r, ERR_TRUNCATED);
        return str_make(NULL, 0);
    }
    struct str s = str_make((const char *)r->p, n);
    r->p += n;
    r->left -= n;
    return s;
}

static uint64_t read_be(struct reader *r, size_t n)
{
    struct str s = reader_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | (uint8_t)s.p[i];
    return v;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t reader_u16be(struct reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t reader_u32be(struct reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t reader_u64be(struct reader *r)
{
    return read_be(r, 8);
}
