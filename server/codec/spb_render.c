/* spb_render.c - arrays, datasets and templates as JSON text.
 *
 * Text goes into a buf over arena memory whose ceiling is just below its capacity, so the buf never
 * reallocates; when it turns out too small the rendering starts again with four times the room. */
#include "codec/spb_int.h"

#include <stdio.h>

enum { TEXT_FIRST = 1024, TEXT_MAX = 4 << 20 };

struct job {
    struct arena *a;
    unsigned datatype;
    struct str bytes;
    const void *message;
};

typedef enum err render_fn(const struct job *job, struct json_out *j);

static enum err render(const struct job *job, render_fn *fn, struct str *json)
{
    for (size_t cap = TEXT_FIRST; cap <= TEXT_MAX; cap *= 4) {
        struct buf b = {.p = arena_alloc(job->a, cap), .cap = cap, .limit = cap - 1};
        struct json_out j;
        if (!b.p)
            return ERR_NOMEM;
        json_out_init(&j, &b);
        enum err e = fn(job, &j);
        if (e)
            return e;
        if (!b.err) {
            *json = str_make(b.p, b.n);
            return ERR_OK;
        }
        if (b.err != ERR_TOOBIG)
            return b.err;
    }
    return ERR_TOOBIG;
}

/* ---- arrays: packed little endian ---- */

static const struct {
    uint8_t element; /* datatype of one element */
    uint8_t size;    /* bytes; 0: a layout of its own */
} arrays[SPB_DATATYPE_COUNT] = {
    [SPB_INT8_ARRAY] = {SPB_INT8, 1},         [SPB_INT16_ARRAY] = {SPB_INT16, 2},
    [SPB_INT32_ARRAY] = {SPB_INT32, 4},       [SPB_INT64_ARRAY] = {SPB_INT64, 8},
    [SPB_UINT8_ARRAY] = {SPB_UINT8, 1},       [SPB_UINT16_ARRAY] = {SPB_UINT16, 2},
    [SPB_UINT32_ARRAY] = {SPB_UINT32, 4},     [SPB_UINT64_ARRAY] = {SPB_UINT64, 8},
    [SPB_FLOAT_ARRAY] = {SPB_FLOAT, 4},       [SPB_DOUBLE_ARRAY] = {SPB_DOUBLE, 8},
    [SPB_DATETIME_ARRAY] = {SPB_DATETIME, 8},
};

static uint64_t read_le(const char *p, size_t size)
{
    uint64_t v = 0;
    while (size--)
        v = v << 8 | (uint8_t)p[size];
    return v;
}

/* One packed element as if it had come in a metric of its own. */
static struct spb_metric element(const char *p, unsigned datatype, size_t size)
{
    struct spb_metric m = {.wire = SPB_W_LONG, .u = read_le(p, size)};
    if (datatype == SPB_FLOAT) {
        uint32_t bits = (uint32_t)m.u;
        float f;
        memcpy(&f, &bits, sizeof f);
        m.wire = SPB_W_FLOAT;
        m.f = (double)f;
    } else if (datatype == SPB_DOUBLE) {
        uint64_t bits = m.u;
        m.wire = SPB_W_DOUBLE;
        memcpy(&m.f, &bits, sizeof m.f);
    }
    return m;
}

static enum err put_numbers(const struct job *job, struct json_out *j)
{
    size_t size = arrays[job->datatype].size;
    unsigned datatype = arrays[job->datatype].element;
    if (job->bytes.n % size)
        return ERR_INVALID;
    for (size_t i = 0; i < job->bytes.n && !j->b->err; i += size) {
        struct spb_metric m = element(job->bytes.p + i, datatype, size);
        struct spb_value v;
        enum err e = spb_value_of(job->a, &m, datatype, &v);
        if (e)
            return e;
        spb_value_json(j, &v);
    }
    return ERR_OK;
}

/* A 32-bit count, then bits, the most significant first. */
static enum err put_booleans(const struct job *job, struct json_out *j)
{
    if (job->bytes.n < 4)
        return ERR_INVALID;
    uint64_t count = read_le(job->bytes.p, 4);
    const char *bits = job->bytes.p + 4;
    if (count > (job->bytes.n - 4) * 8)
        return ERR_INVALID;
    for (size_t i = 0; i < count && !j->b->err; i++)
        json_bool(j, ((uint8_t)bits[i / 8] >> (7 - i % 8)) & 1);
    return ERR_OK;
}

/* Texts, each with a NUL behind it. */
static enum err put_strings(const struct job *job, struct json_out *j)
{
    struct str rest = job->bytes;
    if (rest.n && rest.p[rest.n - 1] != '\0')
        return ERR_INVALID;
    while (rest.n && !j->b->err) {
        struct str s = {rest.p, strlen(rest.p)};
        if (!str_utf8_valid(s))
            return ERR_UTF8;
        json_str(j, s);
        rest.p += s.n + 1;
        rest.n -= s.n + 1;
    }
    return ERR_OK;
}

static enum err put_array(const struct job *job, struct json_out *j)
{
    json_open(j, '[');
    enum err e = job->datatype == SPB_BOOLEAN_ARRAY  ? put_booleans(job, j)
                 : job->datatype == SPB_STRING_ARRAY ? put_strings(job, j)
                                                     : put_numbers(job, j);
    json_close(j);
    return e;
}

enum err spb_render_array(struct arena *a, unsigned datatype, struct str bytes, struct str *json)
{
    struct job job = {.a = a, .datatype = datatype, .bytes = bytes};
    return render(&job, put_array, json);
}

/* ---- datasets ---- */

#define CELL(x) BRAID__SPARKPLUG__DATA_SET_VALUE__VALUE_##x

static struct spb_metric cell_metric(const Braid__Sparkplug__DataSetValue *c)
{
    struct spb_metric m = {.wire = SPB_W_NONE};
    switch (c->value_case) {
    case CELL(INT_VALUE):
        m.wire = SPB_W_INT;
        m.u = c->int_value;
        break;
    case CELL(LONG_VALUE):
        m.wire = SPB_W_LONG;
        m.u = c->long_value;
        break;
    case CELL(FLOAT_VALUE):
        m.wire = SPB_W_FLOAT;
        m.f = (double)c->float_value;
        break;
    case CELL(DOUBLE_VALUE):
        m.wire = SPB_W_DOUBLE;
        m.f = c->double_value;
        break;
    case CELL(BOOLEAN_VALUE):
        m.wire = SPB_W_BOOL;
        m.b = c->boolean_value != 0;
        break;
    case CELL(STRING_VALUE):
        m.wire = SPB_W_STRING;
        m.s = str_of(c->string_value);
        break;
    default: /* an empty element is a null */
        break;
    }
    return m;
}

static enum err put_row(const struct job *job, const Braid__Sparkplug__DataSet *d,
                        const Braid__Sparkplug__Row *row, struct json_out *j)
{
    if (row->n_elements != d->n_columns)
        return ERR_INVALID;
    json_open(j, '[');
    for (size_t c = 0; c < row->n_elements && !j->b->err; c++) {
        struct spb_metric m = cell_metric(row->elements[c]);
        struct spb_value v;
        enum err e = spb_value_of(job->a, &m, d->types[c], &v);
        if (e)
            return e;
        spb_value_json(j, &v);
    }
    json_close(j);
    return ERR_OK;
}

static enum err put_dataset(const struct job *job, struct json_out *j)
{
    const Braid__Sparkplug__DataSet *d = job->message;
    if (d->n_columns != d->n_types || (d->has_num_of_columns && d->num_of_columns != d->n_columns))
        return ERR_INVALID;
    json_open(j, '{');
    json_key(j, "columns");
    json_open(j, '[');
    for (size_t i = 0; i < d->n_columns; i++)
        json_text(j, d->columns[i]);
    json_close(j);
    json_key(j, "types");
    json_open(j, '[');
    for (size_t i = 0; i < d->n_types; i++)
        json_text(j, spb_datatype_word(d->types[i]));
    json_close(j);
    json_key(j, "rows");
    json_open(j, '[');
    for (size_t i = 0; i < d->n_rows && !j->b->err; i++) {
        enum err e = put_row(job, d, d->rows[i], j);
        if (e)
            return e;
    }
    json_close(j);
    json_close(j);
    return ERR_OK;
}

enum err spb_render_dataset(struct arena *a, const Braid__Sparkplug__DataSet *d, struct str *json)
{
    struct job job = {.a = a, .message = d};
    return render(&job, put_dataset, json);
}

/* ---- templates ---- */

#define PARAM(x) BRAID__SPARKPLUG__PARAMETER__VALUE_##x

static struct spb_metric parameter_metric(const Braid__Sparkplug__Parameter *p)
{
    struct spb_metric m = {.wire = SPB_W_NONE};
    switch (p->value_case) {
    case PARAM(INT_VALUE):
        m.wire = SPB_W_INT;
        m.u = p->int_value;
        break;
    case PARAM(LONG_VALUE):
        m.wire = SPB_W_LONG;
        m.u = p->long_value;
        break;
    case PARAM(FLOAT_VALUE):
        m.wire = SPB_W_FLOAT;
        m.f = (double)p->float_value;
        break;
    case PARAM(DOUBLE_VALUE):
        m.wire = SPB_W_DOUBLE;
        m.f = p->double_value;
        break;
    case PARAM(BOOLEAN_VALUE):
        m.wire = SPB_W_BOOL;
        m.b = p->boolean_value != 0;
        break;
    case PARAM(STRING_VALUE):
        m.wire = SPB_W_STRING;
        m.s = str_of(p->string_value);
        break;
    default:
        break;
    }
    return m;
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

static struct spb_metric member_metric(const Braid__Sparkplug__Metric *in)
{
    struct spb_metric m = {.name = str_of(in->name),
                           .alias = in->alias,
                           .datatype = in->datatype,
                           .is_null = in->has_is_null && in->is_null};
    value_of(in, &m);
    return m;
}

static enum err put_member(const struct job *job, const struct spb_metric *m, unsigned datatype,
                           struct json_out *j)
{
    struct spb_value v;
    enum err e = spb_value_of(job->a, m, datatype, &v);
    if (e)
        return e;
    spb_value_json(j, &v);
    return ERR_OK;
}

static enum err put_members(const struct job *job, const Braid__Sparkplug__Template *t,
                            struct json_out *j)
{
    json_key(j, "metrics");
    json_open(j, '{');
    for (size_t i = 0; i < t->n_metrics && !j->b->err; i++) {
        struct spb_metric m = member_metric(t->metrics[i]);
        char alias[32];
        snprintf(alias, sizeof alias, "#%llu", (unsigned long long)m.alias);
        json_key_str(j, m.name.p ? m.name : str_of(alias));
        enum err e = put_member(job, &m, m.datatype, j);
        if (e)
            return e;
    }
    json_close(j);
    return ERR_OK;
}

static enum err put_parameters(const struct job *job, const Braid__Sparkplug__Template *t,
                               struct json_out *j)
{
    json_key(j, "parameters");
    json_open(j, '{');
    for (size_t i = 0; i < t->n_parameters && !j->b->err; i++) {
        const Braid__Sparkplug__Parameter *p = t->parameters[i];
        struct spb_metric m = parameter_metric(p);
        json_key(j, p->name ? p->name : "");
        enum err e = put_member(job, &m, p->type, j);
        if (e)
            return e;
    }
    json_close(j);
    return ERR_OK;
}

static enum err put_template(const struct job *job, struct json_out *j)
{
    const Braid__Sparkplug__Template *t = job->message;
    json_open(j, '{');
    json_put_text(j, "ref", t->template_ref && t->template_ref[0] ? t->template_ref : NULL);
    json_put_text(j, "version", t->version);
    json_put_bool(j, "definition", t->has_is_definition && t->is_definition);
    enum err e = put_members(job, t, j);
    if (!e && t->n_parameters)
        e = put_parameters(job, t, j);
    json_close(j);
    return e;
}

enum err spb_render_template(struct arena *a, const Braid__Sparkplug__Template *t, struct str *json)
{
    struct job job = {.a = a, .message = t};
    return render(&job, put_template, json);
}
