/* spb_edge.c - see spb_edge.h. */
#include "spb_edge.h"

#include <math.h>
#include <stdlib.h>

#define TOPIC_MAX 1024

static const struct str name_bdseq = STR("bdSeq");
static const struct str name_rebirth = STR("Node Control/Rebirth");

/* A metric of this device: what it is, what it was told to be, and what we said last. */
struct metric {
    const struct desc_metric *d;
    bool written; /* `own` holds instead of the description's source */
    struct lw_value own;
    char *bytes; /* of `own` when it is text */
    uint64_t told;
    bool was_told;
};

struct member { /* the node itself, or one device of it */
    const struct desc_device *d;
    struct metric *metrics;
    uint64_t first_alias;
};

struct spb_edge {
    struct spb_edge_config cfg;
    struct member *members; /* the node first */
    size_t n;
    uint8_t bd_seq, seq;
    bool born;
    int64_t skew_ms;
};

enum err spb_edge_new(const struct spb_edge_config *cfg, struct spb_edge **out)
{
    const struct desc_kind *k = cfg->kind;
    struct spb_edge *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->cfg = *cfg;
    e->members = calloc(k->n_devices, sizeof *e->members);
    uint64_t alias = 1;
    for (; e->members && e->n < k->n_devices; e->n++) {
        struct member *m = &e->members[e->n];
        m->d = &k->devices[e->n];
        m->first_alias = alias;
        alias += m->d->n;
        m->metrics = calloc(m->d->n + 1, sizeof *m->metrics);
        if (!m->metrics)
            break;
        for (size_t i = 0; i < m->d->n; i++)
            m->metrics[i].d = &m->d->metrics[i];
    }
    if (e->n < k->n_devices) {
        spb_edge_free(e);
        return ERR_NOMEM;
    }
    if (cfg->short_topics)
        e->n = 1;
    *out = e;
    return ERR_OK;
}

void spb_edge_free(struct spb_edge *e)
{
    if (!e)
        return;
    for (size_t i = 0; e->members && i < e->cfg.kind->n_devices; i++) {
        struct member *m = &e->members[i];
        for (size_t k = 0; m->metrics && k < m->d->n; k++)
            free(m->metrics[k].bytes);
        free(m->metrics);
    }
    free(e->members);
    free(e);
}

bool spb_edge_is_born(const struct spb_edge *e)
{
    return e->born;
}

void spb_edge_skip(struct spb_edge *e, uint8_t n)
{
    e->seq = (uint8_t)(e->seq + n);
}

void spb_edge_set_skew(struct spb_edge *e, int64_t ms)
{
    e->skew_ms = ms;
}

/* ---- values ---- */

static struct lw_value metric_value(const struct spb_edge *e, const struct metric *m,
                                    int64_t utc_ms)
{
    struct lw_value v = {.type = LW_NONE};
    if (m->d->linked) {
        (void)tree_read(e->cfg.tree, m->d->path, utc_ms, &v);
        return v;
    }
    if (m->written)
        return m->own;
    uint64_t seed = wave_seed(e->cfg.seed, m->d->name);
    v = source_value(&m->d->source, m->d->type, e->cfg.node, seed, utc_ms);
    if (m->d->datatype == SPB_DATETIME)
        v.i *= 1000; /* Sparkplug's times are milliseconds */
    return v;
}

static uint64_t fingerprint(struct lw_value v)
{
    switch (v.type) {
    case LW_STRING:
    case LW_OPAQUE:
    case LW_CORELNK:
        return str_hash(v.s, 1);
    case LW_BOOLEAN:
        return v.b;
    case LW_NONE:
        return ~UINT64_C(0);
    default:
        return v.u;
    }
}

/* The range of the integer datatypes, so that a value from elsewhere never breaks an encoding. */
static void int_range(unsigned datatype, double *min, double *max)
{
    static const struct {
        double min, max;
    } ranges[] = {
        [SPB_INT8] = {-128, 127},
        [SPB_INT16] = {-32768, 32767},
        [SPB_INT32] = {-2147483648.0, 2147483647.0},
        [SPB_INT64] = {-9.2e18, 9.2e18},
        [SPB_UINT8] = {0, 255},
        [SPB_UINT16] = {0, 65535},
        [SPB_UINT32] = {0, 4294967295.0},
        [SPB_UINT64] = {0, 1.8e19},
    };
    *min = ranges[datatype].min;
    *max = ranges[datatype].max;
}

static struct spb_value to_int(struct lw_value v, unsigned datatype)
{
    struct spb_value out = {.datatype = (uint8_t)datatype};
    bool is_signed = datatype <= SPB_INT64;
    double d = 0, min, max;
    out.cls = is_signed ? SPB_V_INT : SPB_V_UINT;
    if (is_signed && v.type == LW_INTEGER && datatype == SPB_INT64) {
        out.i = v.i;
        return out;
    }
    if (!is_signed && v.type == LW_UNSIGNED && datatype == SPB_UINT64) {
        out.u = v.u;
        return out;
    }
    (void)lw_value_double(v, &d);
    int_range(datatype, &min, &max);
    d = fmin(fmax(round(d), min), max);
    if (is_signed)
        out.i = (int64_t)d;
    else
        out.u = (uint64_t)d;
    return out;
}

static struct spb_value to_spb(struct lw_value v, unsigned datatype)
{
    struct spb_value out = {.datatype = (uint8_t)datatype, .cls = SPB_V_NULL};
    if (v.type == LW_NONE)
        return out;
    switch (datatype) {
    case SPB_FLOAT:
    case SPB_DOUBLE:
        out.cls = SPB_V_FLOAT;
        if (!lw_value_double(v, &out.f))
            out.cls = SPB_V_NULL;
        break;
    case SPB_BOOLEAN: {
        double d = 0;
        out.cls = SPB_V_BOOL;
        out.b = lw_value_double(v, &d) && d != 0;
        break;
    }
    case SPB_STRING:
    case SPB_TEXT:
    case SPB_UUID:
        out.cls = SPB_V_TEXT;
        out.s = v.s;
        break;
    case SPB_BYTES:
        out.cls = SPB_V_BYTES;
        out.s = v.s;
        break;
    case SPB_DATETIME:
        out.cls = SPB_V_INT;
        out.i = v.i;
        break;
    default:
        return to_int(v, datatype);
    }
    return out;
}

/* A written Sparkplug value as an LwM2M value of `type`; false if it does not fit. */
static bool to_lw(const struct spb_value *s, enum lw_type type, struct lw_value *out)
{
    struct lw_value v = {.type = type};
    double d = 0;
    bool number = spb_value_double(s, &d);
    switch (type) {
    case LW_STRING:
        v.s = s->s;
        number = s->cls == SPB_V_TEXT;
        break;
    case LW_OPAQUE:
        v.s = s->s;
        number = s->cls == SPB_V_BYTES;
        break;
    case LW_BOOLEAN:
        v.b = d != 0;
        break;
    case LW_FLOAT:
        v.f = d;
        break;
    case LW_UNSIGNED:
        v.u = s->cls == SPB_V_UINT ? s->u : (uint64_t)fmin(fmax(d, 0), 1.8e19);
        break;
    case LW_INTEGER:
    case LW_TIME:
        v.i = s->cls == SPB_V_INT ? s->i : (int64_t)fmin(fmax(d, -9.2e18), 9.2e18);
        break;
    default:
        return false;
    }
    if (number)
        *out = v;
    return number;
}

/* ---- messages ---- */

static bool is_short(const struct spb_edge *e)
{
    return e->cfg.short_topics;
}

/* How many of its metrics are values: neither the birth's number nor a button. */
static size_t values_of(const struct spb_out *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += !str_eq(p->metrics[i].name, name_bdseq) && !str_eq(p->metrics[i].name, name_rebirth);
    return n;
}

static void publish(struct spb_edge *e, enum spb_kind kind, const struct member *m,
                    struct spb_out *p, size_t historical)
{
    struct buf topic, payload;
    struct spb_topic t = {.kind = kind, .group = e->cfg.group, .node = e->cfg.node};
    if (m->d->name.p)
        t.device = m->d->name;
    t.is_short = is_short(e) && kind != SPB_NDEATH;
    buf_init(&topic, TOPIC_MAX);
    buf_init(&payload, SPB_MAX_PAYLOAD);
    p->timestamp = (uint64_t)((int64_t)p->timestamp + e->skew_ms);
    if (kind != SPB_NDEATH) {
        p->has_seq = true;
        p->seq = e->seq++;
    }
    spb_topic_write(&topic, &t);
    if (spb_encode(p, &payload) == ERR_OK && !topic.err && !payload.err) {
        struct spb_message msg = {.topic = buf_view(&topic),
                                  .payload = buf_view(&payload),
                                  .metrics = values_of(p),
                                  .historical = historical};
        e->cfg.publish(e->cfg.ctx, &msg);
    }
    buf_fini(&topic);
    buf_fini(&payload);
}

static struct spb_out_metric bdseq_metric(const struct spb_edge *e, int64_t utc_ms)
{
    return (struct spb_out_metric){
        .name = name_bdseq,
        .timestamp = (uint64_t)(utc_ms + e->skew_ms),
        .with_datatype = true,
        .value = {.datatype = SPB_INT64, .cls = SPB_V_INT, .i = e->bd_seq}};
}

static struct spb_out_metric rebirth_metric(const struct spb_edge *e, int64_t utc_ms)
{
    return (struct spb_out_metric){.name = name_rebirth,
                                   .timestamp = (uint64_t)(utc_ms + e->skew_ms),
                                   .with_datatype = true,
                                   .value = {.datatype = SPB_BOOLEAN, .cls = SPB_V_BOOL}};
}

/* One value of a metric for a birth (named, typed) or for data (alias alone). */
static struct spb_out_metric out_metric(const struct spb_edge *e, const struct member *m, size_t i,
                                        struct lw_value v, int64_t utc_ms, bool birth)
{
    const struct desc_metric *d = m->metrics[i].d;
    struct spb_out_metric out = {.timestamp = (uint64_t)(utc_ms + e->skew_ms),
                                 .value = to_spb(v, d->datatype)};
    out.is_null = out.value.cls == SPB_V_NULL;
    if (birth || is_short(e))
        out.name = d->name;
    if (!is_short(e)) {
        out.has_alias = true;
        out.alias = m->first_alias + i;
    }
    out.with_datatype = birth || is_short(e);
    if (birth) {
        out.unit = d->unit;
        out.readonly = !d->writable;
    }
    return out;
}

static void tell(struct metric *m, struct lw_value v)
{
    m->told = fingerprint(v);
    m->was_told = true;
}

static void birth_of(struct spb_edge *e, struct arena *a, struct member *m, int64_t utc_ms)
{
    bool node = !m->d->name.p;
    struct spb_out_metric *v = arena_calloc(a, m->d->n + 2, sizeof *v);
    size_t n = 0;
    if (!v)
        return;
    if (node && !is_short(e)) {
        v[n++] = bdseq_metric(e, utc_ms);
        v[n++] = rebirth_metric(e, utc_ms);
    }
    for (size_t i = 0; i < m->d->n; i++) {
        struct lw_value value = metric_value(e, &m->metrics[i], utc_ms);
        v[n++] = out_metric(e, m, i, value, utc_ms, true);
        tell(&m->metrics[i], value);
    }
    struct spb_out p = {.timestamp = (uint64_t)utc_ms, .metrics = v, .n = n};
    publish(e, node && !is_short(e) ? SPB_NBIRTH : SPB_DBIRTH, m, &p, 0);
}

void spb_edge_connect(struct spb_edge *e, uint8_t bd_seq, int64_t utc_ms, struct buf *topic,
                      struct buf *payload)
{
    e->bd_seq = bd_seq;
    e->born = false;
    struct spb_topic t = {.kind = is_short(e) ? SPB_DDEATH : SPB_NDEATH,
                          .group = e->cfg.group,
                          .node = e->cfg.node,
                          .is_short = is_short(e)};
    struct spb_out_metric m = bdseq_metric(e, utc_ms);
    struct spb_out p = {
        .timestamp = (uint64_t)(utc_ms + e->skew_ms), .metrics = &m, .n = is_short(e) ? 0 : 1};
    spb_topic_write(topic, &t);
    if (spb_encode(&p, payload) != ERR_OK && payload->err == ERR_OK)
        payload->err = ERR_NOMEM;
}

void spb_edge_birth(struct spb_edge *e, struct arena *a, int64_t utc_ms)
{
    e->seq = 0;
    e->born = true;
    for (size_t i = 0; i < e->n; i++)
        birth_of(e, a, &e->members[i], utc_ms);
}

void spb_edge_data(struct spb_edge *e, struct arena *a, int64_t utc_ms)
{
    for (size_t k = 0; e->born && k < e->n; k++) {
        struct member *m = &e->members[k];
        struct spb_out_metric *v = arena_calloc(a, m->d->n + 1, sizeof *v);
        size_t n = 0;
        for (size_t i = 0; v && i < m->d->n; i++) {
            struct lw_value value = metric_value(e, &m->metrics[i], utc_ms);
            if (m->metrics[i].was_told && m->metrics[i].told == fingerprint(value))
                continue;
            v[n++] = out_metric(e, m, i, value, utc_ms, false);
            tell(&m->metrics[i], value);
        }
        struct spb_out p = {.timestamp = (uint64_t)utc_ms, .metrics = v, .n = n};
        if (n)
            publish(e, m->d->name.p || is_short(e) ? SPB_DDATA : SPB_NDATA, m, &p, 0);
    }
}

void spb_edge_death(struct spb_edge *e, int64_t utc_ms)
{
    if (!e->born)
        return;
    struct spb_out_metric m = bdseq_metric(e, utc_ms);
    struct spb_out p = {.timestamp = (uint64_t)utc_ms, .metrics = &m, .n = is_short(e) ? 0 : 1};
    publish(e, is_short(e) ? SPB_DDEATH : SPB_NDEATH, &e->members[0], &p, 0);
    e->born = false;
}

size_t spb_edge_history_metrics(const struct spb_edge *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->members[0].d->n; i++)
        n += e->members[0].d->metrics[i].history;
    return n;
}

void spb_edge_history(struct spb_edge *e, struct arena *a, int64_t from_ms, int64_t step_ms,
                      size_t n, int64_t utc_ms)
{
    struct member *m = &e->members[0];
    size_t total = n * spb_edge_history_metrics(e), k = 0;
    struct spb_out_metric *v = total && e->born ? arena_calloc(a, total, sizeof *v) : NULL;
    for (size_t s = 0; v && s < n; s++) {
        int64_t t = from_ms + (int64_t)s * step_ms;
        for (size_t i = 0; i < m->d->n; i++) {
            if (!m->d->metrics[i].history)
                continue;
            v[k] = out_metric(e, m, i, metric_value(e, &m->metrics[i], t), t, false);
            v[k++].is_historical = true;
        }
    }
    struct spb_out p = {.timestamp = (uint64_t)utc_ms, .metrics = v, .n = k};
    if (k)
        publish(e, is_short(e) ? SPB_DDATA : SPB_NDATA, m, &p, k);
}

/* ---- commands ---- */

static struct metric *find_metric(struct member *m, const struct spb_metric *c)
{
    for (size_t i = 0; i < m->d->n; i++) {
        if (c->name.p && c->name.n ? str_eq(m->d->metrics[i].name, c->name)
                                   : c->has_alias && c->alias == m->first_alias + i)
            return &m->metrics[i];
    }
    return NULL;
}

static bool keep(struct metric *m, struct lw_value v)
{
    if (v.type == LW_STRING || v.type == LW_OPAQUE) {
        char *copy = malloc(v.s.n + 1);
        if (!copy)
            return false;
        if (v.s.n)
            memcpy(copy, v.s.p, v.s.n);
        free(m->bytes);
        m->bytes = copy;
        v.s.p = copy;
    }
    m->own = v;
    m->written = true;
    return true;
}

/* A write of a metric that shows a resource is a write of that resource. */
static bool write_metric(struct spb_edge *e, struct arena *a, struct metric *m,
                         const struct spb_metric *c)
{
    struct spb_value s;
    struct lw_value v;
    const struct desc_resource *res = m->d->linked ? tree_resource(e->cfg.tree, m->d->path) : NULL;
    enum lw_type type = res ? res->type : m->d->type;
    if (!m->d->writable || c->is_null || spb_value_of(a, c, m->d->datatype, &s) != ERR_OK ||
        !to_lw(&s, type, &v))
        return false;
    if (m->d->linked)
        return tree_set(e->cfg.tree, m->d->path, v) == ERR_OK;
    return keep(m, v);
}

static bool asks_rebirth(const struct member *m, const struct spb_metric *c)
{
    return !m->d->name.p && str_eq(c->name, name_rebirth) && !c->is_null && c->wire == SPB_W_BOOL &&
           c->b;
}

static struct member *addressed(struct spb_edge *e, const struct spb_topic *t)
{
    bool to_node = t->kind == SPB_NCMD;
    if ((t->kind != SPB_NCMD && t->kind != SPB_DCMD) || !str_eq(t->node, e->cfg.node) ||
        !str_eq(t->group, e->cfg.group))
        return NULL;
    for (size_t i = 0; i < e->n; i++)
        if (to_node || t->is_short ? i == 0 : str_eq(e->members[i].d->name, t->device))
            return &e->members[i];
    return NULL;
}

enum err spb_edge_command(struct spb_edge *e, struct arena *a, struct str topic, struct str payload,
                          unsigned *effects)
{
    struct spb_topic t;
    struct spb_payload p;
    if (spb_topic_parse(topic, &t) != ERR_OK)
        return ERR_NOTFOUND;
    struct member *m = addressed(e, &t);
    if (!m)
        return ERR_NOTFOUND;
    enum err err = spb_decode(a, payload, &p);
    if (err)
        return err;
    *effects = 0;
    for (size_t i = 0; i < p.n; i++) {
        struct metric *metric = find_metric(m, &p.metrics[i]);
        if (asks_rebirth(m, &p.metrics[i]))
            *effects |= SPB_EDGE_REBIRTH;
        else if (metric && write_metric(e, a, metric, &p.metrics[i]))
            *effects |= SPB_EDGE_CHANGED;
    }
    return ERR_OK;
}
