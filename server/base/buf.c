/* buf.c - see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_fini(struct buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->err = ERR_OK;
}

/* Room for n more bytes plus a terminator. */
static bool reserve(struct buf *b, size_t n)
{
    if (b->err)
        return false;
    if (n > b->limit || b->n > b->limit - n) {
        b->err = ERR_TOOBIG;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->err = ERR_NOMEM;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

char *buf_room(struct buf *b, size_t n)
{
    if (!reserve(b, n))
        return NULL;
    b->n += n;
    return b->p + b->n - n;
}

void buf_put(struct buf *b, const void *bytes, size_t n)
{
    if (!n || !reserve(b, n))
        return;
    memcpy(b->p + b->n, bytes, n);
    b->n += n;
}

void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->err = b->err ? b->err : ERR_INVALID;
    } else if ((size_t)n < sizeof small) {
        buf_put(b, small, (size_t)n);
    } else if (reserve(b, (size_t)n)) {
        va_start(ap, fmt);
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
        va_end(ap);
        b->n += (size_t)n;
    }
}

static void put_be(struct buf *b, uint64_t v, int bytes)
{
    unsigned char out[8];
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(v >> 8 * (bytes - 1 - i));
    buf_put(b, out, (size_t)bytes);
}

void buf_u16be(struct buf *b, uint16_t v)
{
    put_be(b, v, 2);
}

void buf_u32be(struct buf *b, uint32_t v)
{
    put_be(b, v, 4);
}

void buf_u64be(struct buf *b, uint64_t v)
{
    put_be(b, v, 8);
}

struct str buf_view(const struct buf *b)
{
    return str_make(b->p, b->n);
}

const char *buf_text(struct buf *b)
{
    if (!reserve(b, 0))
        return NULL;
    b->p[b->n] = '\0';
    return b->p;
}

char *buf_take(struct buf *b, size_t *n)
{
    if (!buf_text(b))
        return NULL;
    char *p = b->p;
    if (n)
        *n = b->n;
    buf_init(b, b->limit);
    return p;
}
