/* lwm2m_text.c - the formats whose body is one bare value: plain text (0), opaque bytes (42) and,
 * for a Corelnk resource, link format (40).
 *
 * Text shows no type: it decodes to a string and the model makes it a number later. */
#include "codec/codec_int.h"

#include <inttypes.h>
#include <math.h>

static bool names_a_value(struct lw_path base)
{
    return base.n >= 3;
}

static enum err one_value(const struct lw_in *in, struct lw_value v, struct lw_entries *out)
{
    if (!names_a_value(in->base))
        return ERR_INVALID;
    return lw_entries_add(in->a, out, (struct lw_entry){.path = in->base, .value = v});
}

enum err text_decode(const struct lw_in *in, struct lw_entries *out)
{
    if (!str_utf8_valid(in->body))
        return ERR_UTF8;
    return one_value(in, (struct lw_value){.type = LW_STRING, .s = in->body}, out);
}

enum err link_decode(const struct lw_in *in, struct lw_entries *out)
{
    if (!str_utf8_valid(in->body))
        return ERR_UTF8;
    return one_value(in, (struct lw_value){.type = LW_CORELNK, .s = in->body}, out);
}

enum err opaque_decode(const struct lw_in *in, struct lw_entries *out)
{
    struct lw_resource_type t = lw_typer_ask(in->typer, in->base);
    if (t.known && t.type != LW_OPAQUE)
        return ERR_TYPE;
    return one_value(in, (struct lw_value){.type = LW_OPAQUE, .s = in->body}, out);
}

static enum err put_base64(struct str bytes, struct buf *out)
{
    char chunk[400];
    for (size_t i = 0; i < bytes.n; i += 300) {
        size_t step = bytes.n - i < 300 ? bytes.n - i : 300;
        buf_put(out, chunk, str_to_base64(bytes.p + i, step, chunk));
    }
    return ERR_OK;
}

static enum err put_text(const struct lw_value *v, struct buf *out)
{
    char text[32];
    switch (v->type) {
    case LW_STRING:
    case LW_CORELNK:
        buf_str(out, v->s);
        return ERR_OK;
    case LW_INTEGER:
    case LW_TIME:
        buf_printf(out, "%" PRId64, v->i);
        return ERR_OK;
    case LW_UNSIGNED:
        buf_printf(out, "%" PRIu64, v->u);
        return ERR_OK;
    case LW_FLOAT:
        if (!isfinite(v->f))
            return ERR_RANGE;
        buf_put(out, text, str_from_double(v->f, text));
        return ERR_OK;
    case LW_BOOLEAN:
        buf_putc(out, v->b ? '1' : '0');
        return ERR_OK;
    case LW_OPAQUE:
        return put_base64(v->s, out);
    case LW_OBJLNK:
        buf_put(out, text, lw_objlnk_text(*v, text));
        return ERR_OK;
    default:
        return ERR_UNSUPPORTED;
    }
}

/* The entry's own path must be the base: the body cannot say where below it belongs. */
static bool is_the_value(struct lw_path base, const struct lw_entries *in)
{
    return in->n == 1 && names_a_value(base) && lw_path_eq(in->v[0].path, base) &&
           !in->v[0].time_ms;
}

enum err text_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    return is_the_value(base, in) ? put_text(&in->v[0].value, out) : ERR_UNSUPPORTED;
}

enum err opaque_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    if (!is_the_value(base, in) || in->v[0].value.type != LW_OPAQUE)
        return ERR_UNSUPPORTED;
    buf_str(out, in->v[0].value.s);
    return ERR_OK;
}
