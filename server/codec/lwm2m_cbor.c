/* lwm2m_cbor.c - CBOR of one value (60) and LwM2M CBOR (11544), the format of nested id maps:
 *
 *   payload = { 1*(ID => VALUE) }   ID = uint / [1*uint]   VALUE = value / payload
 *
 * Keys along the way to a value are joined to its path; {[3,0,0]: v} is {3: {0: {0: v}}}.  The
 * gateway extension (a text prefix as first id) names resources of devices behind the device,
 * for which a path has no place: ERR_UNSUPPORTED. */
#include "codec/cbor_in.h"
#include "codec/cbor_out.h"
#include "codec/codec_int.h"

#include <stdlib.h>

/* ---- 60: exactly one value ---- */

enum err value_cbor_decode(const struct lw_in *in, struct lw_entries *out)
{
    struct cbor_in c;
    if (in->base.n < 3)
        return ERR_INVALID;
    cbor_in_init(&c, in->a, in->body);
    struct cbor_item item = cbor_read(&c);
    struct lw_entry entry = {.path = in->base, .value = cbor_value(&c, &item)};
    if (!c.r.err && entry.value.type == LW_NONE)
        return ERR_INVALID;
    enum err e = cbor_end(&c);
    return e ? e : lw_entries_add(in->a, out, entry);
}

enum err value_cbor_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    if (in->n != 1 || base.n < 3 || !lw_path_eq(in->v[0].path, base) || in->v[0].time_ms ||
        in->v[0].value.type == LW_NONE)
        return ERR_UNSUPPORTED;
    cbor_put_value(out, &in->v[0].value);
    return ERR_OK;
}

/* ---- 11544: decode ---- */

struct nest {
    struct cbor_in c;
    struct lw_entries *out;
};

static void push_id(struct nest *t, const struct cbor_item *id, struct lw_path *at)
{
    if (id->kind == CBOR_TEXT && at->n == 0)
        cbor_fail(&t->c, ERR_UNSUPPORTED);
    else if (id->kind != CBOR_UINT)
        cbor_fail(&t->c, ERR_INVALID);
    else if (at->n == 4)
        cbor_fail(&t->c, ERR_DEPTH);
    else if (id->arg > LW_ID_NONE || (id->arg == LW_ID_NONE && at->n != 1))
        cbor_fail(&t->c, ERR_RANGE);
    else
        *at = lw_path_down(*at, (uint16_t)id->arg);
}

static void read_key(struct nest *t, struct lw_path *at)
{
    struct cbor_item key = cbor_read(&t->c);
    if (key.kind != CBOR_ARRAY) {
        push_id(t, &key, at);
        return;
    }
    uint64_t n = 0;
    for (; cbor_more(&t->c, &key, n); n++) {
        struct cbor_item id = cbor_read(&t->c);
        push_id(t, &id, at);
    }
    if (!n)
        cbor_fail(&t->c, ERR_INVALID);
}

/* Each level of maps adds at least one id, so recursion ends at depth 4. */
static void read_map(struct nest *t, const struct cbor_item *map, struct lw_path at)
{
    uint64_t n = 0;
    for (; cbor_more(&t->c, map, n); n++) {
        struct lw_path below = at;
        read_key(t, &below);
        struct cbor_item item = cbor_read(&t->c);
        if (t->c.r.err)
            return;
        if (item.kind == CBOR_MAP) {
            if (below.n == 4)
                cbor_fail(&t->c, ERR_DEPTH);
            else
                read_map(t, &item, below);
            continue;
        }
        struct lw_entry entry = {.path = below, .value = cbor_value(&t->c, &item)};
        if (below.n < 3)
            cbor_fail(&t->c, ERR_INVALID);
        if (t->out->n >= LW_ENTRIES_MAX)
            cbor_fail(&t->c, ERR_TOOBIG);
        if (t->c.r.err)
            return;
        enum err e = lw_entries_add(t->c.a, t->out, entry);
        if (e)
            cbor_fail(&t->c, e);
    }
    if (!n)
        cbor_fail(&t->c, ERR_INVALID);
}

enum err lwm2m_cbor_decode(const struct lw_in *in, struct lw_entries *out)
{
    struct nest t = {.out = out};
    cbor_in_init(&t.c, in->a, in->body);
    struct cbor_item top = cbor_read(&t.c);
    if (top.kind != CBOR_MAP)
        cbor_fail(&t.c, ERR_INVALID);
    else
        read_map(&t, &top, lw_path_of(0, 0, 0, 0, 0));
    enum err e = cbor_end(&t.c);
    return e ? e : lw_entries_unique(in->a, out);
}

/* ---- 11544: encode as {[o,i]: {r: v, [r,ri]: v}} ---- */

static size_t run_length(const struct lw_entry *v, size_t n)
{
    size_t i = 1;
    while (i < n && lw_path_eq(lw_path_up(v[i].path, 2), lw_path_up(v[0].path, 2)))
        i++;
    return i;
}

static void put_instance(struct buf *out, const struct lw_entry *v, size_t n)
{
    cbor_head(out, CBOR_M_ARRAY, 2);
    cbor_head(out, CBOR_M_UINT, v->path.id[0]);
    cbor_head(out, CBOR_M_UINT, v->path.id[1]);
    cbor_head(out, CBOR_M_MAP, n);
    for (size_t i = 0; i < n; i++) {
        if (v[i].path.n == 4)
            cbor_head(out, CBOR_M_ARRAY, 2);
        cbor_head(out, CBOR_M_UINT, v[i].path.id[2]);
        if (v[i].path.n == 4)
            cbor_head(out, CBOR_M_UINT, v[i].path.id[3]);
        cbor_put_value(out, &v[i].value);
    }
}

enum err lwm2m_cbor_encode(struct lw_path base, const struct lw_entries *in, struct buf *out)
{
    struct lw_entry *v = NULL;
    size_t runs = 0;
    (void)base; /* ids are always given from the object down */
    if (!in->n)
        return ERR_UNSUPPORTED;
    enum err e = lw_entries_sorted(in, &v);
    if (e)
        return e;
    for (size_t i = 0; i < in->n; i++)
        if (v[i].path.n < 3)
            e = ERR_UNSUPPORTED;
    for (size_t i = 0; i < in->n; i += run_length(v + i, in->n - i))
        runs++;
    cbor_head(out, CBOR_M_MAP, runs);
    for (size_t i = 0, n; i < in->n; i += n) {
        n = run_length(v + i, in->n - i);
        put_instance(out, v + i, n);
    }
    free(v);
    return e;
}
