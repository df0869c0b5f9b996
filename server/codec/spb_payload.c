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

#define VALUE(x) BRAID__SPARKPLUG__METRIC__VALUE_##x

static void value_of(const Braid__Sparkplug__Metric *in, struct spb_metric *out)
{
    switch (in->value_case) {
    case VALUE(INT_VALUE):
        out->wire = SPB_W_INT;
        out->u = in->int_value;
        break;
    case VALUE(LONG_VALUE):
        out->wire = SPB_W_LONG;
        out->u = in->long_value;
        break;
    case VALUE(FLOAT_VALUE):
        out->wire = SPB_W_FLOAT;
        out->f = (double)in->float_value;
        break;
    case VALUE(DOUBLE_VALUE):
        out->wire = SPB_W_DOUBLE;
        out->f = in->double_value;
        break;
    case VALUE(BOOLEAN_VALUE):
        out->wire = SPB_W_BOOL;
        out->b = in->boolean_value != 0;
        break;
    case VALUE(STRING_VALUE):
        out->wire = SPB_W_STRING;
        out->s = str_of(in->string_value);
        break;
    case VALUE(BYTES_VALUE):
        out->wire = SPB_W_BYTES;
        out->s = str_make((const char *)in->bytes_value.data, in->bytes_value.len);
        break;
    case VALUE(DATASET_VALUE):
        out->wire = SPB_W_DATASET;
        out->message = in->dataset_value;
        break;
    case VALUE(TEMPLATE_VALUE):
        out->wire = SPB_W_TEMPLATE;
        out->message = in->template_value;
        break;
    case VALUE(EXTENSION_VALUE):
        out->wire = SPB_W_OTHER;
        break;
    default:
        out->wire = SPB_W_NONE;
    }
}

#define PROP(x) BRAID__SPARKPLUG__PROPERTY_VALUE__VALUE_##x

static void property(const char *key, const Braid__Sparkplug__PropertyValue *v,
                     struct spb_metric *out)
{
    if (v->is_null)
        return;
    if (strcmp(key, "Quality") == 0) {
        out->has_quality = v->value_case == PROP(INT_VALUE) || v->value_case == PROP(LONG_VALUE);
        if (out->has_quality)
            out->quality = v->value_case == PROP(INT_VALUE) ? (int32_t)v->int_value
                                                            : (int32_t)(uint32_t)v->long_value;
    } else if (strcmp(key, "engUnit") == 0 || (strcmp(key, "Units") == 0 && !out->unit.p)) {
        if (v->value_case == PROP(STRING_VALUE))
            out->unit = str_of(v->string_value);
    } else if (strcmp(key, "readOnly") == 0) {
        out->has_readonly = v->value_case == PROP(BOOLEAN_VALUE);
        out->readonly = out->has_readonly && v->boolean_value;
    }
}

void spb_metric_of(const Braid__Sparkplug__Metric *in, struct spb_metric *out)
{
    *out = (struct spb_metric){
        .name = str_of(in->name),
        .has_alias = in->has_alias != 0,
        .alias = in->alias,
        .has_timestamp = in->has_timestamp != 0,
        .timestamp = in->timestamp,
        .has_datatype = in->has_datatype != 0,
        .datatype = in->datatype,
        .is_historical = in->has_is_historical && in->is_historical,
        .is_transient = in->has_is_transient && in->is_transient,
        .is_null = in->has_is_null && in->is_null,
    };
    value_of(in, out);
    const Braid__Sparkplug__PropertySet *p = in->properties;
    if (p && p->n_keys == p->n_values) /* otherwise nobody knows which value belongs to which key */
        for (size_t i = 0; i < p->n_keys; i++)
            property(p->keys[i], p->values[i], out);
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
