/* spb_payload.c - reads Sparkplug B payloads: scan, unpack into the arena, flatten.
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

static enum err unpack(struct arena *a, struct str bytes, Braid__Sparkplug__Payload **out)
{
    ProtobufCAllocator from_arena = {.alloc = pb_alloc, .free = pb_free, .allocator_data = a};
    enum err e = spb_scan(bytes);
    if (e)
        return e;
    Braid__Sparkplug__Payload *p =
        braid__sparkplug__payload__unpack(&from_arena, bytes.n, (const uint8_t *)bytes.p);
    if (!p)
        return a->failed ? ERR_NOMEM : ERR_INVALID;
    *out = p;
    return ERR_OK;
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

static bool is_compressed(const Braid__Sparkplug__Payload *p)
{
    return p->uuid && strcmp(p->uuid, COMPRESSED) == 0 && p->has_body;
}

/* The envelope of sparkplug-client carries neither seq nor timestamp, that of Tahu repeats them:
 * what the inner payload says wins. */
static enum err open_envelope(struct arena *a, Braid__Sparkplug__Payload **p)
{
    const Braid__Sparkplug__Payload *outer = *p;
    Braid__Sparkplug__Payload *inner;
    struct str bytes;
    struct str body = {(const char *)outer->body.data, outer->body.len};
    enum err e = spb_inflate(a, body, SPB_MAX_PAYLOAD, &bytes);
    if (e)
        return e;
    e = unpack(a, bytes, &inner);
    if (e)
        return e;
    if (is_compressed(inner))
        return ERR_DEPTH;
    if (!inner->has_seq && outer->has_seq) {
        inner->has_seq = 1;
        inner->seq = outer->seq;
    }
    if (!inner->has_timestamp && outer->has_timestamp) {
        inner->has_timestamp = 1;
        inner->timestamp = outer->timestamp;
    }
    *p = inner;
    return ERR_OK;
}

enum err spb_decode(struct arena *a, struct str bytes, struct spb_payload *out)
{
    Braid__Sparkplug__Payload *p;
    if (bytes.n > SPB_MAX_PAYLOAD)
        return ERR_TOOBIG;
    enum err e = unpack(a, bytes, &p);
    if (e)
        return e;
    bool compressed = is_compressed(p);
    if (compressed) {
        e = open_envelope(a, &p);
        if (e)
            return e;
    }
    struct spb_metric *metrics = arena_calloc(a, p->n_metrics, sizeof *metrics);
    if (!metrics)
        return ERR_NOMEM;
    for (size_t i = 0; i < p->n_metrics; i++)
        spb_metric_of(p->metrics[i], &metrics[i]);
    *out = (struct spb_payload){
        .has_timestamp = p->has_timestamp != 0,
        .timestamp = p->timestamp,
        .has_seq = p->has_seq != 0,
        .seq = p->seq,
        .metrics = metrics,
        .n = p->n_metrics,
        .was_compressed = compressed,
    };
    return ERR_OK;
}
