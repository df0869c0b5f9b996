/* tags.c - the metrics a node has announced, by name and by alias.
 *
 * A tag is made by the first birth that names it and stays at its address until the node is freed;
 * later births only say whether it is still announced, its datatype and its alias.  Aliases are
 * remembered per scope (the node, each device), because some nodes reuse numbers per device. */
#include "sparkplug/sparkplug_int.h"

#include <stdlib.h>

void spb_scope_init(struct scope *s, uint64_t seed)
{
    map_init(&s->by_name, seed);
    map_init(&s->by_alias, seed);
}

void spb_scope_fini(struct scope *s)
{
    map_fini(&s->by_name);
    map_fini(&s->by_alias);
}

static struct scope *scope_of(struct spb_node *n, struct device *d)
{
    return d ? &d->scope : &n->scope;
}

/* Room for one more pointer in a growing array. */
static bool grow(void **array, size_t *cap, size_t n)
{
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 8;
    void *p = realloc(*array, want * sizeof(void *));
    if (!p)
        return false;
    *array = p;
    *cap = want;
    return true;
}

/* ---- devices ---- */

struct device *spb_device_find(const struct spb_node *n, struct str name)
{
    return map_find(&n->device_names, name);
}

static struct device *device_new(struct spb_node *n, struct str name)
{
    struct device *d = calloc(1, sizeof *d + name.n + 1);
    if (!d)
        return NULL;
    memcpy(d->name, name.p, name.n);
    d->pub.name = str_make(d->name, name.n);
    spb_scope_init(&d->scope, n->device_names.seed);
    return d;
}

struct device *spb_device_get(struct spb_node *n, struct str name)
{
    struct device *d = spb_device_find(n, name);
    if (d)
        return d;
    if (n->n_devices >= SPB_MAX_DEVICES ||
        !grow((void **)&n->devices, &n->cap_devices, n->n_devices))
        return NULL;
    d = device_new(n, name);
    if (!d)
        return NULL;
    if (map_put(&n->device_names, d->pub.name, d, NULL)) {
        free(d);
        return NULL;
    }
    n->devices[n->n_devices++] = d;
    return d;
}

/* ---- finding ---- */

static struct tag *announced(struct tag *tag)
{
    return tag && tag->pub.announced ? tag : NULL;
}

static struct tag *by_alias(const struct scope *s, uint64_t alias)
{
    return announced(map_find_u64(&s->by_alias, alias));
}

struct tag *spb_tag_lookup(struct spb_node *n, struct device *d, const struct spb_metric *m,
                           bool names_only)
{
    if (m->name.n)
        return announced(map_find(&scope_of(n, d)->by_name, m->name));
    if (!m->has_alias || names_only)
        return NULL;
    struct tag *tag = d ? by_alias(&d->scope, m->alias) : NULL;
    return tag ? tag : by_alias(&n->scope, m->alias);
}

struct spb_tag *spb_node_tag_find(const struct spb_node *n, struct str device, struct str name)
{
    const struct scope *s = &n->scope;
    if (device.n) {
        const struct device *d = spb_device_find(n, device);
        if (!d)
            return NULL;
        s = &d->scope;
    }
    struct tag *tag = map_find(&s->by_name, name);
    return tag ? &tag->pub : NULL;
}

bool spb_is_bd_seq(const struct spb_metric *m)
{
    return str_is(m->name, "bdSeq");
}

/* ---- announcing ---- */

void spb_tag_free(struct tag *tag)
{
    if (!tag)
        return;
    free(tag->text);
    free(tag->unit);
    free(tag);
}

static struct tag *tag_new(struct spb_node *n, struct device *d, struct str name)
{
    if (n->n_tags >= SPB_MAX_TAGS || !grow((void **)&n->tags, &n->cap_tags, n->n_tags))
        return NULL;
    struct tag *tag = calloc(1, sizeof *tag + name.n + 1);
    if (!tag)
        return NULL;
    memcpy(tag->name, name.p, name.n);
    tag->device = d;
    tag->is_control = !d && str_starts(name, "Node Control/");
    tag->pub = (struct spb_tag){
        .name = str_make(tag->name, name.n),
        .unit = STR(""),
        .quality = SPB_Q_STALE,
    };
    if (d)
        tag->pub.device = d->pub.name;
    if (map_put(&scope_of(n, d)->by_name, tag->pub.name, tag, NULL)) {
        spb_tag_free(tag);
        return NULL;
    }
    n->tags[n->n_tags++] = tag;
    return tag;
}

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

static void set_unit(struct tag *tag, struct str unit)
{
    if (str_eq(tag->pub.unit, unit))
        return;
    char *copy = unit.n ? malloc(unit.n) : NULL;
    if (unit.n && !copy)
        return;
    if (copy)
        memcpy(copy, unit.p, unit.n);
    free(tag->unit);
    tag->unit = copy;
    tag->pub.unit = copy ? str_make(copy, unit.n) : (struct str)STR("");
}

/* Gives the alias to this tag; the first of several keeps it. */
static enum err set_alias(struct turn *t, struct scope *s, struct tag *tag, uint64_t alias)
{
    struct tag *other = map_find_u64(&s->by_alias, alias);
    if (other && other != tag) {
        t->duplicate_aliases++;
        return ERR_CONFLICT;
    }
    if (tag->has_alias && tag->alias != alias) { /* named twice in one birth: the newest counts */
        map_remove_u64(&s->by_alias, tag->alias);
        tag->has_alias = false;
    }
    enum err e = map_put_u64(&s->by_alias, alias, tag, NULL);
    if (e)
        return e;
    tag->has_alias = true;
    tag->alias = alias;
    return ERR_OK;
}

struct tag *spb_tag_announce(struct turn *t, struct device *d, const struct spb_metric *m)
{
    struct spb_node *n = t->n;
    struct scope *s = scope_of(n, d);
    enum err e = ERR_OK;
    if (!m->name.n) {
        e = ERR_INVALID;
    } else {
        struct tag *tag = map_find(&s->by_name, m->name);
        if (!tag)
            tag = tag_new(n, d, m->name);
        if (tag) {
            tag->pub.announced = true;
            tag->pub.datatype = datatype_of(m);
            tag->pub.readonly = m->has_readonly && m->readonly;
            set_unit(tag, m->unit.p ? m->unit : (struct str)STR(""));
            if (m->has_alias && set_alias(t, s, tag, m->alias) && !t->first_trouble.p)
                t->first_trouble = tag->pub.name;
            return tag;
        }
        e = ERR_FULL;
    }
    if (!t->bad_values++) {
        t->bad_value = e;
        t->first_trouble = m->name;
    }
    return NULL;
}

void spb_tags_retract(struct spb_node *n, struct device *d)
{
    struct scope *s = scope_of(n, d);
    size_t it = 0;
    struct tag *tag;
    while ((tag = map_next(&s->by_name, &it))) {
        tag->pub.announced = false;
        tag->has_alias = false;
        tag->pub.quality = SPB_Q_STALE;
    }
    uint64_t seed = s->by_alias.seed;
    map_fini(&s->by_alias);
    map_init(&s->by_alias, seed);
}

void spb_tags_stale(struct spb_node *n, const struct device *d)
{
    size_t it = 0;
    struct tag *tag;
    for (size_t i = 0; !d && i < n->n_tags; i++)
        n->tags[i]->pub.quality = SPB_Q_STALE;
    while (d && (tag = map_next(&d->scope.by_name, &it)))
        tag->pub.quality = SPB_Q_STALE;
}
