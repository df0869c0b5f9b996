/* write.c - commands: one metric of the node, given as text, typed from its birth.
 *
 * The command names the metric and its datatype, because most stacks decode by datatype; it has a
 * timestamp and no seq.  Integers are read exactly from their decimal text. */
#include "sparkplug/sparkplug_int.h"

#include <float.h>
#include <math.h>

struct writer {
    uint8_t cls;
    uint8_t bits;
};

static const struct writer writers[SPB_DATATYPE_COUNT] = {
    [SPB_INT8] = {SPB_V_INT, 8},      [SPB_INT16] = {SPB_V_INT, 16},
    [SPB_INT32] = {SPB_V_INT, 32},    [SPB_INT64] = {SPB_V_INT, 64},
    [SPB_UINT8] = {SPB_V_UINT, 8},    [SPB_UINT16] = {SPB_V_UINT, 16},
    [SPB_UINT32] = {SPB_V_UINT, 32},  [SPB_UINT64] = {SPB_V_UINT, 64},
    [SPB_FLOAT] = {SPB_V_FLOAT, 32},  [SPB_DOUBLE] = {SPB_V_FLOAT, 64},
    [SPB_BOOLEAN] = {SPB_V_BOOL, 0},  [SPB_STRING] = {SPB_V_TEXT, 0},
    [SPB_TEXT] = {SPB_V_TEXT, 0},     [SPB_UUID] = {SPB_V_TEXT, 0},
    [SPB_DATETIME] = {SPB_V_INT, 64}, [SPB_BYTES] = {SPB_V_BYTES, 0},
    [SPB_FILE] = {SPB_V_BYTES, 0},
};

/* Text that is no number is a wrong type; a number that does not fit is out of range. */
static enum err number_error(enum err e)
{
    return e == ERR_INVALID ? ERR_TYPE : e;
}

static enum err read_int(struct str text, unsigned bits, struct spb_value *v)
{
    enum err e = str_to_i64(text, &v->i);
    if (e)
        return number_error(e);
    int64_t half = bits == 64 ? 0 : (int64_t)1 << (bits - 1);
    return half && (v->i < -half || v->i >= half) ? ERR_RANGE : ERR_OK;
}

static enum err read_uint(struct str text, unsigned bits, struct spb_value *v)
{
    int64_t negative;
    enum err e = str_to_u64(text, &v->u);
    if (e && text.n && text.p[0] == '-' && str_to_i64(text, &negative) != ERR_INVALID)
        return ERR_RANGE;
    if (e)
        return number_error(e);
    return bits < 64 && v->u >> bits ? ERR_RANGE : ERR_OK;
}

static enum err read_float(struct str text, unsigned bits, struct spb_value *v)
{
    enum err e = str_to_double(text, &v->f);
    if (e)
        return number_error(e);
    return bits == 32 && fabs(v->f) > (double)FLT_MAX ? ERR_RANGE : ERR_OK;
}

static enum err read_time(struct str text, struct spb_value *v)
{
    enum err e = clock_parse(text, &v->i);
    if (e)
        return number_error(e);
    return v->i < 0 ? ERR_RANGE : ERR_OK;
}

static enum err read_bool(struct str text, struct spb_value *v)
{
    v->b = str_is(text, "true");
    return v->b || str_is(text, "false") ? ERR_OK : ERR_TYPE;
}

static enum err read_bytes(struct arena *a, struct str text, struct spb_value *v)
{
    size_t n;
    uint8_t *p = arena_alloc(a, text.n + 4);
    if (!p)
        return ERR_NOMEM;
    if (str_from_base64(text, p, &n))
        return ERR_TYPE;
    v->s = str_make((const char *)p, n);
    return ERR_OK;
}

static bool is_uuid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = s.p[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return s.n == 36;
}

static enum err read_text(struct str text, unsigned datatype, struct spb_value *v)
{
    if (!str_utf8_valid(text))
        return ERR_UTF8;
    if (datatype == SPB_UUID && !is_uuid(text))
        return ERR_TYPE;
    v->s = text;
    return ERR_OK;
}

static enum err read_value(struct arena *a, struct str text, unsigned datatype,
                           struct spb_value *out)
{
    const struct writer *w = &writers[datatype];
    struct spb_value v = {.datatype = (uint8_t)datatype, .cls = w->cls};
    enum err e = ERR_UNSUPPORTED;
    switch ((enum spb_class)w->cls) {
    case SPB_V_INT:
        e = datatype == SPB_DATETIME ? read_time(text, &v) : read_int(text, w->bits, &v);
        break;
    case SPB_V_UINT:
        e = read_uint(text, w->bits, &v);
        break;
    case SPB_V_FLOAT:
        e = read_float(text, w->bits, &v);
        break;
    case SPB_V_BOOL:
        e = read_bool(text, &v);
        break;
    case SPB_V_TEXT:
        e = read_text(text, datatype, &v);
        break;
    case SPB_V_BYTES:
        e = read_bytes(a, text, &v);
        break;
    default: /* arrays, datasets, templates */
        break;
    }
    if (!e)
        *out = v;
    return e;
}

/* Prototypes have no device level: their commands go to the name they were born with. */
static enum err publish(struct spb_node *n, const struct spb_tag *tag, const struct spb_value *v,
                        struct moment now)
{
    struct buf topic, payload;
    struct spb_topic t = {.kind = SPB_NCMD, .group = spb_group_of(n), .node = spb_id_of(n)};
    struct spb_out_metric m = {
        .name = tag->what->name,
        .timestamp = (uint64_t)now.utc_ms,
        .with_datatype = true,
        .is_null = v->cls == SPB_V_NULL,
        .value = *v,
    };
    struct spb_out p = {.timestamp = (uint64_t)now.utc_ms, .metrics = &m, .n = 1};
    if (tag->of) {
        t.kind = SPB_DCMD;
        t.device = tag->of->name;
    }
    buf_init(&topic, 65536 * 4);
    buf_init(&payload, SPB_MAX_PAYLOAD);
    spb_topic_write(&topic, &t);
    enum err e = spb_encode(&p, &payload);
    if (!e)
        e = topic.err;
    if (!e)
        n->sink->publish(n->ctx, buf_view(&topic), buf_view(&payload));
    buf_fini(&topic);
    buf_fini(&payload);
    return e;
}

enum err spb_node_write(struct spb_node *n, struct str device, struct str metric, struct str value,
                        bool is_null, struct arena *scratch, struct moment now,
                        struct spb_value *sent)
{
    struct spb_tag tag;
    if (n->life != SPB_LIFE_BORN)
        return ERR_CLOSED;
    if (!spb_node_tag_find(n, device, metric, &tag))
        return ERR_NOTFOUND;
    if (tag.of && tag.of->life != SPB_LIFE_BORN)
        return ERR_CLOSED;
    if (!tag.announced)
        return ERR_NOTFOUND;
    if (tag.what->readonly)
        return ERR_DENIED;
    struct spb_value v = {.datatype = tag.what->datatype, .cls = SPB_V_NULL};
    enum err e = is_null ? ERR_OK : read_value(scratch, value, tag.what->datatype, &v);
    if (!e)
        e = publish(n, &tag, &v, now);
    if (!e)
        *sent = v;
    return e;
}
