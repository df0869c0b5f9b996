/* spb_read.c - a payload's metrics straight from the wire.
 *
 * DATA messages come by the hundred thousand a second; protobuf-c would allocate and fill a struct
 * of 200 bytes for each metric, which is then copied into ours.  This reader walks the bytes once
 * and fills ours, at a tenth of the cost.  Text is checked and borrowed.  What is rare stays with
 * spb_scan (is it sound?) and protobuf-c (data sets and templates, unpacked only when they are a
 * metric's value).  As in protobuf, the last of several counts, and a known field in a wire type
 * that is not its own spoils the message. */
#include "codec/spb_wire.h"

#include <string.h>

/* ---- properties ---- */

static void property(struct spb_metric *out, struct str key, struct str bytes, enum err *e)
{
    struct walk w = walk_over(bytes);
    struct spb_scan ignored = {0};
    unsigned number, type, member = 0;
    uint64_t n = 0;
    bool is_null = false;
    struct str text = {NULL, 0};
    while (next_field(&w, &ignored, &number, &type)) {
        static const uint8_t types[] = {0,       VARINT, VARINT, VARINT, VARINT, FIXED32,
                                        FIXED64, VARINT, BYTES,  BYTES,  BYTES,  BYTES};
        if (number < sizeof types && type != types[number])
            fail(&w, ERR_INVALID);
        if (number >= 3 && number <= 11)
            member = number;
        if (number == 2)
            is_null = varint(&w) != 0;
        else if (number == 3 || number == 4 || number == 7)
            n = varint(&w);
        else if (number == 8)
            text = chunk(&w);
        else
            skip(&w, type);
    }
    if (w.err)
        *e = w.err;
    if (w.err || is_null)
        return;
    if (str_is(key, "Quality")) {
        out->has_quality = member == 3 || member == 4;
        if (out->has_quality)
            out->quality = (int32_t)(uint32_t)n;
    } else if (str_is(key, "engUnit") || (str_is(key, "Units") && !out->unit.p)) {
        if (member == 8)
            out->unit = text;
    } else if (str_is(key, "readOnly")) {
        out->has_readonly = member == 7;
        out->readonly = out->has_readonly && n != 0;
    }
}

/* The next key (field 1) or value (field 2); false at the end.  spb_scan has seen it all. */
static bool next_of(struct walk *w, unsigned wanted, struct str *out)
{
    struct spb_scan ignored = {0};
    unsigned number, type;
    while (next_field(w, &ignored, &number, &type)) {
        if (number == wanted && type == BYTES) {
            *out = chunk(w);
            return true;
        }
        skip(w, type);
    }
    return false;
}

/* Keys and values are two lists; when one is longer nobody knows which value belongs to which key.
 */
static enum err properties(struct spb_metric *out, struct str set)
{
    enum err e = ERR_OK;
    struct str key, value;
    struct walk k = walk_over(set), v = walk_over(set);
    size_t keys = 0, values = 0;
    while (next_of(&k, 1, &key))
        keys++;
    while (next_of(&v, 2, &value))
        values++;
    if (keys != values)
        return ERR_OK;
    k = v = walk_over(set);
    while (!e && next_of(&k, 1, &key) && next_of(&v, 2, &value))
        property(out, key, value, &e);
    return e;
}

/* ---- metrics ---- */

static const uint8_t metric_types[20] = {0xff,   BYTES, VARINT, VARINT, VARINT, VARINT,  VARINT,
                                         VARINT, BYTES, BYTES,  VARINT, VARINT, FIXED32, FIXED64,
                                         VARINT, BYTES, BYTES,  BYTES,  BYTES,  BYTES};

static struct str text_of(struct walk *w)
{
    struct str s = chunk(w);
    if (!w->err && !str_utf8_valid(s))
        fail(w, ERR_UTF8);
    return s;
}

static void read_float(struct walk *w, struct spb_metric *out)
{
    uint32_t bits = (uint32_t)fixed(w, 4);
    float f;
    memcpy(&f, &bits, sizeof f);
    out->f = (double)f;
    out->wire = SPB_W_FLOAT;
}

static void read_double(struct walk *w, struct spb_metric *out)
{
    uint64_t bits = fixed(w, 8);
    memcpy(&out->f, &bits, sizeof out->f);
    out->wire = SPB_W_DOUBLE;
}

/* Messages within the metric: sound or refused. */
static void read_message(struct walk *w, struct spb_scan *s, struct spb_metric *out,
                         unsigned number, struct str *nested)
{
    struct str bytes = chunk(w);
    enum err e = w->err ? w->err : spb_scan_field(s, bytes, number);
    if (!e && number == 9)
        e = properties(out, bytes);
    if (e)
        fail(w, e);
    if (number < 17)
        return;
    out->wire = number == 17 ? SPB_W_DATASET : number == 18 ? SPB_W_TEMPLATE : SPB_W_OTHER;
    *nested = bytes;
}

static void read_field(struct walk *w, struct spb_scan *s, struct spb_metric *out, unsigned number,
                       struct str *nested)
{
    switch (number) {
    case 1:
        out->name = text_of(w);
        break;
    case 2:
        out->alias = varint(w);
        out->has_alias = true;
        break;
    case 3:
        out->timestamp = varint(w);
        out->has_timestamp = true;
        break;
    case 4:
        out->datatype = (uint32_t)varint(w);
        out->has_datatype = true;
        break;
    case 5:
        out->is_historical = varint(w) != 0;
        break;
    case 6:
        out->is_transient = varint(w) != 0;
        break;
    case 7:
        out->is_null = varint(w) != 0;
        break;
    case 10:
        out->u = (uint32_t)varint(w);
        out->wire = SPB_W_INT;
        break;
    case 11:
        out->u = varint(w);
        out->wire = SPB_W_LONG;
        break;
    case 12:
        read_float(w, out);
        break;
    case 13:
        read_double(w, out);
        break;
    case 14:
        out->b = varint(w) != 0;
        out->wire = SPB_W_BOOL;
        break;
    case 15:
        out->s = text_of(w);
        out->wire = SPB_W_STRING;
        break;
    case 16:
        out->s = chunk(w);
        out->wire = SPB_W_BYTES;
        break;
    default: /* 8, 9, 17, 18, 19 */
        read_message(w, s, out, number, nested);
    }
}

static enum err read_metric(struct arena *a, struct spb_scan *s, struct str bytes,
                            struct spb_metric *out)
{
    struct walk w = walk_over(bytes);
    unsigned number, type;
    struct str nested = {NULL, 0};
    *out = (struct spb_metric){.wire = SPB_W_NONE};
    while (next_field(&w, s, &number, &type)) {
        if (number >= sizeof metric_types)
            skip(&w, type);
        else if (type != metric_types[number])
            fail(&w, ERR_INVALID);
        else
            read_field(&w, s, out, number, &nested);
    }
    if (!w.err && (out->wire == SPB_W_DATASET || out->wire == SPB_W_TEMPLATE))
        return spb_unpack_value(a, nested, out);
    return w.err;
}

/* ---- payloads ---- */

/* How many metrics there are, so that their array is made once. */
static enum err count_metrics(struct str bytes, size_t *n)
{
    struct walk w = walk_over(bytes);
    struct spb_scan s = {0};
    unsigned number, type;
    *n = 0;
    while (next_field(&w, &s, &number, &type)) {
        *n += number == 2;
        skip(&w, type);
    }
    return w.err ? w.err : *n > SPB_MAX_METRICS ? ERR_TOOBIG : ERR_OK;
}

static void payload_field(struct walk *w, struct arena *a, struct spb_scan *s, unsigned number,
                          struct spb_payload *out, struct spb_envelope *envelope)
{
    enum err e;
    switch (number) {
    case 1:
        out->timestamp = varint(w);
        out->has_timestamp = true;
        break;
    case 2:
        e = ++s->metrics > SPB_MAX_METRICS ? ERR_TOOBIG
                                           : read_metric(a, s, chunk(w), &out->metrics[out->n++]);
        if (e)
            fail(w, e);
        break;
    case 3:
        out->seq = varint(w);
        out->has_seq = true;
        break;
    case 4:
        envelope->uuid = text_of(w);
        break;
    default: /* 5 */
        envelope->body = chunk(w);
    }
}

enum err spb_read(struct arena *a, struct str bytes, struct spb_payload *out,
                  struct spb_envelope *envelope)
{
    static const uint8_t types[] = {0xff, VARINT, BYTES, VARINT, BYTES, BYTES};
    struct spb_scan s = {0};
    struct walk w = walk_over(bytes);
    unsigned number, type;
    size_t n;
    enum err e = count_metrics(bytes, &n);
    if (e)
        return e;
    struct spb_payload p = {.metrics = arena_alloc(a, n * sizeof *p.metrics)};
    *envelope = (struct spb_envelope){.body.p = NULL};
    if (!p.metrics)
        return ERR_NOMEM;
    while (next_field(&w, &s, &number, &type)) {
        if (number >= sizeof types)
            skip(&w, type);
        else if (type != types[number])
            fail(&w, ERR_INVALID);
        else
            payload_field(&w, a, &s, number, &p, envelope);
    }
    if (!w.err)
        *out = p;
    return w.err;
}
