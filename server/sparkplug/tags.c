/* tags.c - the metrics a node has announced.
 *
 * A tag is a place in its scope (the node, or a device below it): the scope's shape says what
 * births told of it, the cell at the same place holds its newest value.  A birth makes the next
 * shape out of the one before, which keeps every place, so a tag once made stays where it is;
 * shapes that are equal are shared (shape.h).  Aliases are remembered per scope, because some nodes
 * reuse numbers per device. */
#include "sparkplug/sparkplug_int.h"

#include <stdlib.h>

static struct scope *scope_of(struct spb_node *n, struct device *d)
{
    return d ? &d->scope : &n->scope;
}

/* ---- devices ---- */

size_t spb_device_count(const struct spb_node *n)
{
    return n->brood ? n->brood->n : 0;
}

struct device *spb_device_at(const struct spb_node *n, size_t i)
{
    return n->brood->v[i];
}

struct device *spb_device_find(const struct spb_node *n, struct str name)
{
    return n->brood ? map_find(&n->brood->names, name) : NULL;
}

static struct brood *brood_of(struct spb_node *n)
{
    if (!n->brood && (n->brood = calloc(1, sizeof *n->brood)))
        /* Names come from the network: an address that nobody can guess seeds the table. */
        map_init(&n->brood->names, str_hash(spb_id_of(n), (uint64_t)(uintptr_t)n));
    return n->brood;
}

/* Room for one more in the growing array. */
static bool grow(struct brood *b)
{
    if (b->n < b->cap)
        return true;
    size_t want = b->cap ? b->cap * 2 : 4;
    struct device **v = realloc(b->v, want * sizeof *v);
    if (!v)
        return false;
    b->v = v;
    b->cap = want;
    return true;
}

struct device *spb_device_get(struct spb_node *n, struct str name)
{
    struct device *d = spb_device_find(n, name);
    if (d)
        return d;
    struct brood *b = brood_of(n);
    if (!b || b->n >= SPB_MAX_DEVICES || !grow(b))
        return NULL;
    d = calloc(1, sizeof *d + name.n + 1);
    if (!d)
        return NULL;
    memcpy(d->name, name.p, name.n);
    d->pub.name = str_make(d->name, name.n);
    if (map_put(&b->names, d->pub.name, d, NULL)) {
        free(d);
        return NULL;
    }
    b->v[b->n++] = d;
    return d;
}

static void scope_free(struct spb_node *n, struct scope *s)
{
    for (size_t i = 0; i < spb_shape_count(s->shape); i++)
        spb_cell_clear(n, &s->cells[i], 0);
    free(s->cells);
    spb_shape_unref(s->shape);
}

void spb_tags_free(struct spb_node *n)
{
    scope_free(n, &n->scope);
    for (size_t i = 0; i < spb_device_count(n); i++) {
        scope_free(n, &n->brood->v[i]->scope);
        free(n->brood->v[i]);
    }
    if (n->brood) {
        map_fini(&n->brood->names);
        free(n->brood->v);
        free(n->brood);
    }
}

/* ---- finding ---- */

static bool tag_at(const struct scope *s, const struct device *d, size_t place, struct spb_tag *out)
{
    if (place >= spb_shape_count(s->shape))
        return false;
    const struct spb_what *w = &s->shape->v[place];
    *out = (struct spb_tag){d ? &d->pub : NULL, w, &s->cells[place], w->announced && !s->retracted};
    return true;
}

static bool by_alias(const struct scope *s, const struct device *d, uint64_t alias,
                     struct spb_tag *out)
{
    return !s->retracted && tag_at(s, d, spb_shape_alias(s->shape, alias), out) && out->announced;
}

bool spb_tag_lookup(struct spb_node *n, struct device *d, const struct spb_metric *m,
                    bool names_only, struct spb_tag *out)
{
    const struct scope *s = scope_of(n, d);
    if (m->name.n)
        return tag_at(s, d, spb_shape_name(s->shape, m->name), out) && out->announced;
    if (!m->has_alias || names_only)
        return false;
    return by_alias(s, d, m->alias, out) || (d && by_alias(&n->scope, NULL, m->alias, out));
}

bool spb_node_tag_find(const struct spb_node *n, struct str device, struct str name,
                       struct spb_tag *out)
{
    const struct device *d = device.n ? spb_device_find(n, device) : NULL;
    const struct scope *s = d ? &d->scope : &n->scope;
    if (device.n && !d)
        return false;
    return tag_at(s, d, spb_shape_name(s->shape, name), out);
}

bool spb_node_next_tag(const struct spb_node *n, struct spb_tag_iter *it, struct spb_tag *out)
{
    for (; it->scope <= spb_device_count(n); it->scope++, it->place = 0) {
        const struct device *d = it->scope ? spb_device_at(n, it->scope - 1) : NULL;
        if (tag_at(d ? &d->scope : &n->scope, d, it->place, out)) {
            it->place++;
            return true;
        }
    }
    return false;
}

bool spb_is_bd_seq(const struct spb_metric *m)
{
    return str_is(m->name, "bdSeq");
}

/* ---- announcing ---- */

/* What a metric without datatype most probably is. */
static uint8_t datatype_of(const struct spb_metric *m)
{
    static const uint8_t guesses[] = {
        [SPB_W_NONE] = SPB_UNKNOWN,      [SPB_W_INT] = SPB_INT32,     [SPB_W_LONG] = SPB_INT64,
        [SPB_W_FLOAT] = SPB_FLOAT,       [SPB_W_DOUBLE] = SPB_DOUBLE, [SPB_W_BOOL] = SPB_BOOLEAN,
        [SPB_W_STRING] = SPB_STRING,     [SPB_W_BYTES] = SPB_BYTES,   [SPB_W_DATASET] = SPB_DATASET,
        [SPB_W_TEMPLATE] = SPB_TEMPLATE, [SPB_W_OTHER] = SPB_UNKNOWN,
    };
    if (m->has_datatype && m->datatype < SPB_DATATYPE_COUNT)
        return (uint8_t)m->datatype;
    return m->has_datatype ? SPB_UNKNOWN : guesses[m->wire];
}

/* Room for cells comes by fours: what is read back from the database has no buttons yet (Node
 * Control/...), and would leave its place when the first birth adds them. */
static size_t room_for(size_t cells)
{
    return (cells + 3) / 4 * 4;
}

/* Makes `next` the scope's shape and gives every new place a cell; takes the reference over. */
static enum err adopt(struct spb_node *n, struct scope *s, struct spb_shape *next)
{
    size_t before = spb_shape_count(s->shape), after = spb_shape_count(next);
    if (room_for(after) > room_for(before)) {
        struct spb_cell *cells = realloc(s->cells, room_for(after) * sizeof *cells);
        if (!cells) {
            spb_shape_unref(next);
            return ERR_NOMEM;
        }
        s->cells = cells;
    }
    for (size_t i = 0; s->shape != next && i < before; i++)
        if (s->shape->v[i].datatype != next->v[i].datatype ||
            !str_eq(s->shape->v[i].unit, next->v[i].unit))
            s->cells[i].marks |= SPB_MARK_RETYPED;
    for (size_t i = before; i < after; i++)
        s->cells[i] = (struct spb_cell){
            .cls = SPB_V_NULL, .datatype = next->v[i].datatype, .quality = SPB_Q_STALE};
    n->n_tags += (uint32_t)(after - before);
    spb_shape_unref(s->shape);
    s->shape = next;
    return ERR_OK;
}

static size_t room(const struct spb_node *n)
{
    return SPB_MAX_TAGS - n->n_tags;
}

static size_t announce(struct turn *t, struct spb_draft *draft, bool of_node,
                       const struct spb_metric *m)
{
    size_t place = m->name.n ? spb_draft_place(draft, m->name) : SPB_NOT_FOUND;
    if (place == SPB_NOT_FOUND) {
        if (!t->bad_values++) {
            t->bad_value = m->name.n ? ERR_FULL : ERR_INVALID;
            t->first_trouble = m->name;
        }
        return place;
    }
    struct spb_what *w = &draft->v[place];
    w->announced = true;
    w->datatype = datatype_of(m);
    w->readonly = m->has_readonly && m->readonly;
    w->is_control = of_node && str_starts(m->name, "Node Control/");
    w->unit = m->unit.p ? m->unit : (struct str)STR("");
    if (m->has_alias && !spb_draft_alias(draft, place, m->alias)) {
        t->duplicate_aliases++;
        if (!t->first_trouble.p)
            t->first_trouble = m->name;
    }
    return place;
}

enum err spb_tags_announce(struct turn *t, struct device *d, bool add, struct spb_tag *tags)
{
    struct spb_node *n = t->n;
    struct scope *s = scope_of(n, d);
    const struct spb_payload *p = t->payload;
    struct spb_draft draft;
    struct spb_tag known;
    size_t *places = arena_alloc(t->scratch, (p->n + 1) * sizeof *places);
    enum err e = places ? spb_draft_init(&draft, n->shapes, t->scratch, s->shape,
                                         add && !s->retracted, p->n, room(n))
                        : ERR_NOMEM;
    for (size_t i = 0; !e && i < p->n; i++) {
        const struct spb_metric *m = &p->metrics[i];
        places[i] = SPB_NOT_FOUND;
        if (spb_is_bd_seq(m) || (add && (!m->name.n || spb_tag_lookup(n, d, m, true, &known))))
            continue;
        places[i] = announce(t, &draft, !d, m);
    }
    struct spb_shape *next = e ? NULL : spb_draft_finish(&draft);
    if (!e)
        e = next ? adopt(n, s, next) : ERR_NOMEM;
    if (e)
        return e;
    s->retracted = false;
    for (size_t i = 0; i < p->n; i++)
        if (!tag_at(s, d, places[i], &tags[i]))
            tags[i] = (struct spb_tag){.cell = NULL};
    return ERR_OK;
}

static void stale(struct scope *s)
{
    for (size_t i = 0; i < spb_shape_count(s->shape); i++)
        s->cells[i].quality = SPB_Q_STALE;
}

void spb_tags_retract(struct spb_node *n, struct device *d)
{
    struct scope *s = scope_of(n, d);
    s->retracted = true;
    stale(s);
}

void spb_tags_stale(struct spb_node *n, const struct device *d)
{
    if (d) {
        stale((struct scope *)(uintptr_t)&d->scope);
        return;
    }
    stale(&n->scope);
    for (size_t i = 0; i < spb_device_count(n); i++)
        stale(&n->brood->v[i]->scope);
}

/* ---- after a restart ---- */

/* Metrics of one scope; they begin at v[0]. */
static enum err restore_scope(struct spb_node *n, struct device *d, const struct spb_old_metric *v,
                              size_t count, struct arena *scratch)
{
    struct scope *s = scope_of(n, d);
    struct spb_draft draft;
    if (room(n) < count)
        return ERR_FULL;
    enum err e = spb_draft_init(&draft, n->shapes, scratch, s->shape, true, count, count);
    for (size_t i = 0; !e && i < count; i++) {
        struct spb_what *w = &draft.v[spb_draft_place(&draft, v[i].name)];
        w->datatype = v[i].datatype;
        w->unit = v[i].unit;
    }
    struct spb_shape *next = e ? NULL : spb_draft_finish(&draft);
    if (!e)
        e = next ? adopt(n, s, next) : ERR_NOMEM;
    for (size_t i = 0; !e && i < count; i++) {
        struct spb_cell *c = &s->cells[spb_shape_name(s->shape, v[i].name)];
        e = spb_cell_keep(n, c, &v[i].value);
        if (e == ERR_FULL) { /* one text too many, but every metric keeps its series */
            spb_cell_clear(n, c, v[i].datatype);
            e = ERR_OK;
        }
        c->series = v[i].series;
        c->time_ms = v[i].time_ms;
        c->marks = 0;
    }
    return e;
}

enum err spb_node_restore_metrics(struct spb_node *n, const struct spb_old_metric *v, size_t count,
                                  struct arena *scratch)
{
    enum err e = ERR_OK;
    for (size_t i = 0, run; !e && i < count; i += run) {
        for (run = 1; i + run < count && str_eq(v[i].device, v[i + run].device);)
            run++;
        struct device *d = v[i].device.n ? spb_device_get(n, v[i].device) : NULL;
        e = v[i].device.n && !d ? ERR_FULL : restore_scope(n, d, v + i, run, scratch);
    }
    return e;
}
