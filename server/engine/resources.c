/* resources.c - the last values of a device's LwM2M resources.
 *
 * One sorted array per device, 32 bytes an entry; texts are the shard's shared words.  After a
 * restart the values read back from SQL stand there until live ones arrive. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define RESOURCES_MAX 2000 /* of a device: each is a series for ever */

struct lw_path resource_path(const struct resource *r)
{
    uint16_t id[4];
    unsigned n = 0;
    for (unsigned i = 0; i < 4; i++) {
        id[i] = (uint16_t)(r->key >> (48 - 16 * i));
        n += n == i && id[i] != UINT16_MAX;
    }
    return lw_path_of(n, id[0], id[1], id[2], id[3]);
}

/* ---- the array ---- */

/* Where the key is or belongs. */
static size_t place_of(const struct device *d, uint64_t key)
{
    size_t low = 0, high = d->n_resources;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->resources[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct resource *find(struct device *d, uint64_t key)
{
    size_t i = place_of(d, key);
    return i < d->n_resources && d->resources[i].key == key ? &d->resources[i] : NULL;
}

static struct resource *add(struct device *d, uint64_t key, enum lw_type type)
{
    if (d->n_resources == d->cap_resources) {
        uint16_t cap = (uint16_t)(d->cap_resources + d->cap_resources / 4 + 4);
        struct resource *v = realloc(d->resources, cap * sizeof *v);
        if (!v)
            return NULL;
        d->resources = v;
        d->cap_resources = cap;
    }
    size_t i = place_of(d, key);
    struct resource *r = &d->resources[i];
    memmove(r + 1, r, (d->n_resources++ - i) * sizeof *r);
    *r = (struct resource){.key = key, .type = (uint8_t)type};
    return r;
}

/* ---- values ---- */

static bool has_word(const struct resource *r)
{
    return r->marks & MARK_RAW || lw_type_has_text((enum lw_type)r->type);
}

static void drop_value(struct device *d, struct resource *r)
{
    if (has_word(r))
        words_put(&d->shard->words, r->word);
    r->u = 0;
    r->marks &= (uint8_t)~MARK_RAW;
}

void resources_free(struct device *d)
{
    for (size_t i = 0; i < d->n_resources; i++)
        drop_value(d, &d->resources[i]);
    free(d->resources);
}

static struct lw_value value_of(const struct resource *r)
{
    struct lw_value v = {.type = (enum lw_type)r->type};
    if (has_word(r))
        v.s = r->word ? str_make(r->word, words_len(r->word)) : str_make("", 0);
    else if (r->type == LW_BOOLEAN)
        v.b = r->b;
    else if (r->type == LW_OBJLNK)
        v.link.oid = r->link.oid, v.link.iid = r->link.iid;
    else
        v.u = r->u; /* or i, or f: the same eight bytes */
    return v;
}

void resource_value_json(const struct resource *r, struct json_out *j)
{
    if (r->marks & MARK_RAW)
        json_raw(j, str_make(r->word, words_len(r->word)));
    else
        lw_value_json(j, value_of(r));
}

static bool keep_value(struct device *d, struct resource *r, const struct lw_value *v)
{
    bool text = lw_type_has_text(v->type);
    const char *word = text ? words_take(&d->shard->words, v->s) : NULL;
    if (text && !word)
        return false;
    drop_value(d, r);
    r->type = (uint8_t)v->type;
    if (text)
        r->word = word;
    else if (v->type == LW_BOOLEAN)
        r->b = v->b;
    else if (v->type == LW_OBJLNK)
        r->link.oid = v->link.oid, r->link.iid = v->link.iid;
    else if (v->type != LW_NONE)
        r->u = v->u;
    return true;
}

/* ---- what the device says about itself ---- */

static const char *const device_errors[] = {/* object 3, resource 11 */
                                            NULL,
                                            "low battery power",
                                            "external power supply off",
                                            "GPS module failure",
                                            "low received signal strength",
                                            "out of memory",
                                            "SMS failure",
                                            "IP connectivity failure",
                                            "peripheral malfunction"};

void resources_collect_errors(struct device *d)
{
    char words[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < d->n_resources && n < sizeof words; i++) {
        const struct resource *r = &d->resources[i];
        if (r->type != LW_INTEGER || r->marks & MARK_RAW || r->i <= 0)
            continue;
        struct lw_path path = resource_path(r);
        if (path.id[0] != 3 || path.id[2] != 11)
            continue;
        const char *w = r->i < (int64_t)(sizeof device_errors / sizeof *device_errors)
                            ? device_errors[r->i]
                            : "an error of its own kind";
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%s (/3/0/11 = %d)", n ? ", " : "", w,
                              (int)r->i);
    }
    device_set_text(d, &d->fault_lwm2m, str_of(words));
}

static void learn_identity(struct device *d, struct lw_path path, const struct lw_value *v)
{
    if (path.id[0] != 3 || path.n != 3 || v->type != LW_STRING)
        return;
    const char **where = path.id[2] == 0   ? &d->manufacturer
                         : path.id[2] == 1 ? &d->model
                         : path.id[2] == 2 ? &d->serial
                         : path.id[2] == 3 ? &d->firmware
                                           : NULL;
    if (!where || (*where && str_is(device_text(v->s), *where)))
        return;
    device_set_text(d, where, v->s);
    d->store_seen_dirty = true;
    device_mark_row(d);
}

/* ---- taking values ---- */

#define SENML_RELATIVE_MS (((int64_t)1 << 28) * 1000)

/* When a value was taken.  SenML times below 2^28 s are relative to now (RFC 8428 section 4.5.3); a
 * clock that is wrong, or counts from its start, shows in the quality, and the value is kept at its
 * arrival. */
static int64_t acquired_at(const struct lw_entry *e, int64_t now_ms, uint8_t *quality)
{
    int64_t at = e->time_ms;
    *quality = SPB_Q_GOOD;
    if (at < SENML_RELATIVE_MS && at > -SENML_RELATIVE_MS)
        at += now_ms;
    if (clock_is_possible(at, now_ms))
        return at;
    *quality = SPB_Q_BAD_TIME;
    return now_ms;
}

/* The resource of a path; a new one, or one of another type than before, is told to the writer. */
static struct resource *resource_get(struct device *d, const struct lw_entry *e,
                                     struct series_news *news)
{
    struct resource *r = find(d, lw_path_key(e->path));
    bool told = r && r->type == e->value.type;
    if (!r && (r = add(d, lw_path_key(e->path), e->value.type)))
        r->series = atomic_fetch_add(&d->shard->engine->next_series, 1);
    if (!r || told)
        return r;
    if (r->type != e->value.type) {
        drop_value(d, r);
        r->type = (uint8_t)e->value.type;
    }
    series_news_add(news, r->series, &(struct point){.device = d, .res = r});
    return r;
}

/* False: the device has as many resources as one may have, and this would be another. */
static bool take(struct device *d, const struct lw_entry *e, enum lw_source source,
                 struct series_news *news)
{
    struct shard *s = d->shard;
    uint8_t quality;
    if (e->path.n < 3 || e->value.type == LW_NONE)
        return true;
    if (d->n_resources >= RESOURCES_MAX && !find(d, lw_path_key(e->path)))
        return false;
    struct resource *r = resource_get(d, e, news);
    if (!r)
        return true;
    int64_t at = acquired_at(e, s->now.utc_ms, &quality);
    points_check_clock(d, quality != SPB_Q_BAD_TIME);
    if (s->drained && !e->time_ms) /* said while we were away: nobody knows when */
        quality = SPB_Q_BAD_TIME;
    /* a value without a time of its own is the newest, whatever a fast clock claimed before */
    bool newer = at >= r->at_ms || !e->time_ms;
    store_lwm2m(d, r->series, &e->value, quality, at);
    if (source != LW_SRC_WRITE) /* our own word proves nothing */
        commands_see_lwm2m(d, e);
    if (!newer || !keep_value(d, r, &e->value))
        return true;
    r->at_ms = at;
    r->source = (uint8_t)source;
    r->quality = quality;
    r->marks |= MARK_LIVE | MARK_STORE;
    points_touched(d);
    learn_identity(d, e->path, &e->value);
    return true;
}

void resources_take(struct device *d, const struct lw_entries *values, enum lw_source source)
{
    struct series_news news;
    bool errors = false;
    size_t refused = 0;
    series_news_begin(&news, d);
    for (size_t i = 0; i < values->n; i++) {
        refused += !take(d, &values->v[i], source, &news);
        errors |= values->v[i].path.n >= 3 && values->v[i].path.id[0] == 3 &&
                  values->v[i].path.id[2] == 11;
    }
    series_news_end(&news);
    if (refused) {
        metric_add(d->shard->engine->metrics, M_SAMPLES_REFUSED, (int64_t)refused);
        bad_input(d->shard, d, ERR_TOOBIG, "Values of more than 2000 resources were refused");
    }
    if (errors) {
        resources_collect_errors(d);
        points_fault(d);
    }
}

/* ---- after a restart ---- */

/* JSON of a value that can be typed again; the others stay JSON. */
static bool retype(struct arena *a, enum lw_type type, struct str json, struct lw_value *out)
{
    struct json_node *n;
    *out = (struct lw_value){.type = type};
    switch (type) {
    case LW_INTEGER:
        return !str_to_i64(json, &out->i);
    case LW_UNSIGNED:
        return !str_to_u64(json, &out->u);
    case LW_FLOAT:
        return !str_to_double(json, &out->f);
    case LW_BOOLEAN:
        out->b = str_is(json, "true");
        return out->b || str_is(json, "false");
    case LW_STRING:
    case LW_CORELNK:
        return !json_parse(a, json, 4, &n) && json_is_str(n, &out->s);
    default:
        return false;
    }
}

static enum err restore_value(struct device *d, struct resource *r, struct str json)
{
    struct lw_value v;
    arena_reset(&d->shard->scratch);
    if (retype(&d->shard->scratch, (enum lw_type)r->type, json, &v))
        return keep_value(d, r, &v) ? ERR_OK : ERR_NOMEM;
    const char *word = words_take(&d->shard->words, json);
    if (!word)
        return ERR_NOMEM;
    drop_value(d, r);
    r->word = word;
    r->marks |= MARK_RAW;
    return ERR_OK;
}

enum err resource_restore(struct device *d, const struct load_series *s)
{
    struct lw_path path;
    struct str text = s->key;
    str_cut(&text, ':');
    if (lw_path_parse(text, &path) || path.n < 3 || find(d, lw_path_key(path))) {
        log_warn("engine.series_not_restored", KS("series", s->key));
        return ERR_OK;
    }
    enum lw_type type = LW_NONE;
    if (!lw_type_from(s->datatype, &type))
        type = LW_NONE;
    struct resource *r = add(d, lw_path_key(path), type);
    if (!r)
        return ERR_NOMEM;
    r->series = s->id;
    if (!s->has_latest)
        return ERR_OK;
    r->at_ms = s->at_ms;
    r->quality = SPB_Q_GOOD;
    for (int src = LW_SRC_REGISTRATION; src <= LW_SRC_WRITE; src++)
        if (str_is(s->origin, lw_source_word((enum lw_source)src)))
            r->source = (uint8_t)src;
    return restore_value(d, r, s->value);
}
