/* spb_wire.h - the wire format of protocol buffers: a walk over the fields of one message.
 *
 * A sticky error: after the first failure nothing is left to read, and every read gives zeros.
 * Inline, because the payload reader goes this way for each metric.  Private to spb_*.c. */
#ifndef BRAID_CODEC_SPB_WIRE_H
#define BRAID_CODEC_SPB_WIRE_H

#include "codec/spb_int.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* The bytes of one message, between two pointers; a failed read ends at `end`. */
struct walk {
    const uint8_t *p, *end;
    enum err err;
};

static inline struct walk walk_over(struct str bytes)
{
    const uint8_t *p = (const uint8_t *)(bytes.n ? bytes.p : "");
    return (struct walk){p, p + bytes.n, ERR_OK};
}

static inline void fail(struct walk *w, enum err e)
{
    if (!w->err)
        w->err = e;
    w->p = w->end;
}

static inline uint64_t long_varint(struct walk *w)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (w->p == w->end) {
            fail(w, ERR_TRUNCATED);
            return 0;
        }
        uint8_t byte = *w->p++;
        if (shift < 64)
            v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    fail(w, ERR_INVALID);
    return 0;
}

static inline uint64_t varint(struct walk *w)
{
    if (w->p < w->end && *w->p < 0x80)
        return *w->p++;
    return long_varint(w);
}

static inline uint64_t fixed(struct walk *w, unsigned bytes)
{
    uint64_t v = 0;
    if ((size_t)(w->end - w->p) < bytes) {
        fail(w, ERR_TRUNCATED);
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)w->p[i] << 8 * i;
    w->p += bytes;
    return v;
}

static inline struct str chunk(struct walk *w)
{
    uint64_t n = varint(w);
    if (n > (size_t)(w->end - w->p)) {
        fail(w, ERR_TRUNCATED);
        n = 0;
    }
    struct str s = {(const char *)w->p, (size_t)n};
    w->p += n;
    return s;
}

static inline void skip(struct walk *w, unsigned type)
{
    if (type == VARINT)
        varint(w);
    else if (type == FIXED64)
        fixed(w, 8);
    else if (type == FIXED32)
        fixed(w, 4);
    else if (type == BYTES)
        chunk(w);
    else
        fail(w, ERR_INVALID); /* groups and what never existed */
}

/* The next field's number and wire type; false at the end, or when something was wrong. */
static inline bool next_field(struct walk *w, struct spb_scan *s, unsigned *number, unsigned *type)
{
    if (w->p == w->end)
        return false;
    uint64_t key = varint(w);
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
        fail(w, ERR_INVALID);
    if (++s->fields > SPB_MAX_FIELDS)
        fail(w, ERR_TOOBIG);
    *number = (unsigned)(key >> 3);
    *type = key & 7;
    return !w->err;
}

#endif
