/* spb_payload.c - reads Sparkplug B payloads: opens envelopes, and what spb_read leaves to
 * protobuf-c.
 *
 * protobuf-c gets an allocator over the arena, so an unpacked message is never freed by itself;
 * whatever fails half way dies with the arena. */
#include "codec/spb_int.h"

#define COMPRESSED "SPBV1.0_COMPRESSED"

static void *pb_alloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void pb_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

enum err spb_unpack_value(struct arena *a, struct str bytes, struct spb_metric *m)
{
    ProtobufCAllocator from_arena = {.alloc = pb_alloc, .free = pb_free, .allocator_data = a};
    const uint8_t *p = (const uint8_t *)bytes.p;
    m->message = m->wire == SPB_W_DATASET
                     ? (void *)braid__sparkplug__data_set__unpack(&from_arena, bytes.n, p)
                     : (void *)braid__sparkplug__template__unpack(&from_arena, bytes.n, p);
    if (m->message)
        return ERR_OK;
    return a->failed ? ERR_NOMEM : ERR_INVALID;
}

static bool is_compressed(const struct spb_envelope *v)
{
    return str_is(v->uuid, COMPRESSED) && v->body.p;
}

/* The envelope of sparkplug-client carries neither seq nor timestamp, that of Tahu repeats them:
 * what the inner payload says wins. */
static enum err open_envelope(struct arena *a, struct str body, struct spb_payload *p)
{
    struct spb_payload inner;
    struct spb_envelope second;
    struct str bytes;
    enum err e = spb_inflate(a, body, SPB_MAX_PAYLOAD, &bytes);
    if (e)
        return e;
    e = spb_read(a, bytes, &inner, &second);
    if (e)
        return e;
    if (is_compressed(&second))
        return ERR_DEPTH;
    if (!inner.has_seq) {
        inner.has_seq = p->has_seq;
        inner.seq = p->seq;
    }
    if (!inner.has_timestamp) {
        inner.has_timestamp = p->has_timestamp;
        inner.timestamp = p->timestamp;
    }
    inner.was_compressed = true;
    *p = inner;
    return ERR_OK;
}

enum err spb_decode(struct arena *a, struct str bytes, struct spb_payload *out)
{
    struct spb_payload p;
    struct spb_envelope envelope;
    if (bytes.n > SPB_MAX_PAYLOAD)
        return ERR_TOOBIG;
    enum err e = spb_read(a, bytes, &p, &envelope);
    if (!e && is_compressed(&envelope))
        e = open_envelope(a, envelope.body, &p);
    if (!e)
        *out = p;
    return e;
}
