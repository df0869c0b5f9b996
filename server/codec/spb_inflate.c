/* spb_inflate.c - the unofficial but common whole-payload compression.
 *
 * zlib works with memory of the arena too, so nothing is left behind on any path; the output grows
 * by doubling up to the caller's limit, which is what stops a bomb. */
#include "codec/spb_int.h"

#include <zlib.h>

static void *take(void *opaque, unsigned items, unsigned size)
{
    return arena_calloc(opaque, items, size);
}

static void leave(void *opaque, void *p)
{
    (void)opaque;
    (void)p;
}

/* Doubles the output, keeping what is written. */
static enum err grow(struct arena *a, z_stream *z, struct str *out, size_t *cap, size_t limit)
{
    if (*cap >= limit)
        return ERR_TOOBIG;
    size_t want = *cap ? *cap * 2 : 4096;
    if (want > limit)
        want = limit;
    char *p = arena_alloc(a, want);
    if (!p)
        return ERR_NOMEM;
    if (*cap)
        memcpy(p, out->p, *cap);
    z->next_out = (Bytef *)p + *cap;
    z->avail_out = (uInt)(want - *cap);
    out->p = p;
    *cap = want;
    return ERR_OK;
}

enum err spb_inflate(struct arena *a, struct str body, size_t limit, struct str *out)
{
    enum { AUTO_ZLIB_OR_GZIP = 15 + 32 };
    z_stream z = {.zalloc = take, .zfree = leave, .opaque = a};
    struct str result = {0};
    size_t cap = 0;
    if (body.n > SPB_MAX_PAYLOAD)
        return ERR_TOOBIG;
    if (inflateInit2(&z, AUTO_ZLIB_OR_GZIP) != Z_OK)
        return ERR_NOMEM;
    z.next_in = (Bytef *)(uintptr_t)body.p;
    z.avail_in = (uInt)body.n;
    enum err e = ERR_OK;
    int rc = Z_OK;
    while (!e && rc == Z_OK) {
        if (!z.avail_out)
            e = grow(a, &z, &result, &cap, limit + 1);
        if (!e)
            rc = inflate(&z, Z_NO_FLUSH);
    }
    result.n = z.total_out;
    inflateEnd(&z);
    if (!e && rc != Z_STREAM_END)
        e = rc == Z_BUF_ERROR ? ERR_TRUNCATED : rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_INVALID;
    if (!e && result.n > limit)
        e = ERR_TOOBIG;
    if (!e)
        *out = result;
    return e;
}
