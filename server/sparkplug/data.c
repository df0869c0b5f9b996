/* data.c - values: typing them, dating them, keeping the newest, handing them on.
 *
 * One message is one turn: its samples are gathered in the scratch arena and reach the sink in one
 * call; whatever is wrong with single metrics costs only those and is reported once per message.
 * In steady state nothing here allocates but from the arena (a tag's text buffer grows when a
 * longer text comes). */
#include "sparkplug/sparkplug_int.h"

#include <stdlib.h>

bool spb_turn_begin(struct turn *t, struct spb_node *n, const struct spb_payload *p,
                    struct arena *scratch, struct moment now)
{
    *t = (struct turn){.n = n, .scratch = scratch, .now = now, .payload = p};
    t->samples = arena_alloc(scratch, p->n * sizeof *t->samples);
    if (!t->samples)
        spb_anomaly(n, ERR_NOMEM, now, "message with %zu metrics", p->n);
    return t->samples != NULL;
}

/* Acquisition time: the metric's, else the payload's, else now.  A clock that is far ahead or was
 * never set does not get to file values where nobody looks. */
static int64_t time_of(const struct turn *t, const struct spb_metric *m, bool *bad)
{
    *bad = false;
    uint64_t at;
    if (m->has_timestamp)
        at = m->timestamp;
    else if (t->payload->has_timestamp)
        at = t->payload->timestamp;
    else
        return t->now.utc_ms;
    *bad = at > INT64_MAX || !clock_is_possible((int64_t)at, t->now.utc_ms);
    return *bad ? t->now.utc_ms : (int64_t)at;
}

/* The Quality property knows 0, 192 and 500; others are read as OPC ranges. */
static enum spb_quality quality_of(const struct spb_metric *m, const struct spb_value *v, bool bad)
{
    if (v->cls == SPB_V_NULL)
        return SPB_Q_NULL;
    if (m->has_quality && m->quality == 500)
        return SPB_Q_STALE;
    if (m->has_quality && (m->quality < 192 || m->quality > 255))
        return SPB_Q_BAD;
    return bad ? SPB_Q_BAD_TIME : SPB_Q_GOOD;
}

void spb_cell_clear(struct spb_node *n, struct spb_cell *c, uint8_t datatype)
{
    if (spb_class_has_text(c->cls) && c->text) {
        n->text_bytes -= c->text->cap;
        free(c->text);
    }
    c->u = 0;
    c->cls = SPB_V_NULL;
    c->datatype = datatype;
}

/* Room for `size` bytes in the cell's text, which it re-uses. */
static enum err text_room(struct spb_node *n, struct spb_cell *c, size_t size)
{
    struct spb_text *t = spb_class_has_text(c->cls) ? c->text : NULL;
    size_t before = t ? t->cap : 0, cap = size + size / 4 + 8;
    if (!spb_class_has_text(c->cls))
        spb_cell_clear(n, c, c->datatype);
    if (!size || size <= before)
        return ERR_OK;
    if (cap - before > SPB_MAX_TEXT_BYTES - n->text_bytes)
        return ERR_FULL;
    struct spb_text *grown = realloc(t, sizeof *t + cap);
    if (!grown)
        return ERR_NOMEM;
    n->text_bytes += cap - before;
    grown->cap = (uint32_t)cap;
    c->text = grown;
    return ERR_OK;
}

enum err spb_cell_keep(struct spb_node *n, struct spb_cell *c, const struct spb_value *v)
{
    if (!spb_class_has_text(v->cls)) {
        spb_cell_clear(n, c, v->datatype);
        if (v->cls == SPB_V_BOOL)
            c->b = v->b;
        else if (v->cls != SPB_V_NULL)
            c->u = v->u; /* or i, or f: the same eight bytes */
    } else {
        enum err e = text_room(n, c, v->s.n);
        if (e)
            return e;
        if (v->s.n)
            memcpy(c->text->p, v->s.p, v->s.n);
        if (c->text)
            c->text->n = (uint32_t)v->s.n;
    }
    c->cls = v->cls;
    c->datatype = v->datatype;
    return ERR_OK;
}

struct spb_value spb_cell_value(const struct spb_cell *c)
{
    struct spb_value v = {.datatype = c->datatype, .cls = c->cls};
    if (spb_class_has_text(c->cls))
        v.s = c->text ? str_make(c->text->p, c->text->n) : (struct str)STR("");
    else if (c->cls == SPB_V_BOOL)
        v.b = c->b;
    else
        v.u = c->u;
    return v;
}

static void trouble(struct turn *t, enum err e, struct str name)
{
    if (!t->bad_values++)
        t->bad_value = e;
    if (!t->first_trouble.p)
        t->first_trouble = name;
}

void spb_turn_sample(struct turn *t, const struct spb_tag *tag, const struct spb_metric *m)
{
    bool bad_time;
    struct spb_cell *c = tag->cell;
    struct spb_sample s = {
        .tag = *tag,
        .time_ms = time_of(t, m, &bad_time),
        .historical = m->is_historical,
        .transient = m->is_transient,
    };
    enum err e = spb_value_of(t->scratch, m, tag->what->datatype, &s.value);
    if (e) {
        trouble(t, e, tag->what->name);
        return;
    }
    s.quality = quality_of(m, &s.value, bad_time);
    if (!s.historical) {
        e = spb_cell_keep(t->n, c, &s.value);
        if (e) {
            trouble(t, e, tag->what->name);
            spb_cell_clear(t->n, c, tag->what->datatype);
        }
        c->quality = (uint8_t)s.quality;
        c->time_ms = s.time_ms;
    }
    if (!tag->what->is_control)
        t->samples[t->n_samples++] = s;
}

static void report(struct turn *t, size_t count, enum err e, const char *what)
{
    if (count)
        spb_anomaly(t->n, e, t->now, "%zu %s, first \"%.*s\"", count, what,
                    STR_ARG(t->first_trouble));
}

void spb_turn_end(struct turn *t)
{
    struct spb_node *n = t->n;
    if (t->n_samples)
        n->sink->samples(n->ctx, t->samples, t->n_samples, t->now);
    report(t, t->unknown_names, ERR_NOTFOUND, "unknown metric(s)");
    report(t, t->unknown_aliases, ERR_NOTFOUND, "unknown alias(es)");
    report(t, t->duplicate_aliases, ERR_CONFLICT, "doubled alias(es)");
    report(t, t->bad_values, t->bad_value, "metric(s) that could not be taken");
    if (t->unknown_names)
        spb_rebirth_wish(n, SPB_CAUSE_UNKNOWN_METRIC, t->now);
    if (t->unknown_aliases)
        spb_rebirth_wish(n, SPB_CAUSE_UNKNOWN_ALIAS, t->now);
    if (t->duplicate_aliases)
        spb_rebirth_wish(n, SPB_CAUSE_DUPLICATE_ALIAS, t->now);
}

static void unknown(struct turn *t, const struct spb_metric *m)
{
    if (!t->first_trouble.p)
        t->first_trouble = m->name;
    if (m->name.n)
        t->unknown_names++;
    else
        t->unknown_aliases++;
}

/* While the node is stale its aliases may mean something else by now: only metrics that carry
 * their names are taken, and unknown ones are no news, a rebirth being asked for already. */
size_t spb_data(struct spb_node *n, struct device *d, const struct spb_payload *p,
                struct arena *scratch, struct moment now)
{
    struct turn t;
    bool stale = n->life == SPB_LIFE_STALE;
    if (!spb_turn_begin(&t, n, p, scratch, now))
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct spb_metric *m = &p->metrics[i];
        struct spb_tag tag;
        if (spb_tag_lookup(n, d, m, stale, &tag))
            spb_turn_sample(&t, &tag, m);
        else if (!stale && !spb_is_bd_seq(m))
            unknown(&t, m);
    }
    spb_turn_end(&t);
    return t.n_samples;
}

/* ---- prototypes: spBv1.0/GROUP/DBIRTH/NAME ---- */

static void short_alive(struct spb_node *n, struct moment now, bool birth)
{
    bool was_born = n->life == SPB_LIFE_BORN;
    n->is_short = true;
    spb_rebirth_cancel(n);
    spb_nonconformant(n, now, "topics without an edge node level");
    n->life = SPB_LIFE_BORN;
    if (birth || !was_born) {
        n->births++;
        n->born_ms = now.utc_ms;
        spb_say(n, SPB_EV_NODE_BORN, str_make(NULL, 0), now, "%s",
                birth ? "birth on a short topic" : "data on a short topic");
    }
}

/* True when a metric has a name that was not announced yet. */
static bool names_new(struct spb_node *n, const struct spb_payload *p)
{
    struct spb_tag known;
    for (size_t i = 0; i < p->n; i++)
        if (p->metrics[i].name.n && !spb_is_bd_seq(&p->metrics[i]) &&
            !spb_tag_lookup(n, NULL, &p->metrics[i], true, &known))
            return true;
    return false;
}

/* A metric without name still may use an alias that an earlier message gave. */
static void short_values(struct spb_node *n, const struct spb_payload *p, struct arena *scratch,
                         struct moment now)
{
    struct turn t;
    struct spb_tag *tags = arena_calloc(scratch, p->n + 1, sizeof *tags);
    if (!tags || !spb_turn_begin(&t, n, p, scratch, now))
        return;
    enum err e = names_new(n, p) ? spb_tags_announce(&t, NULL, true, tags) : ERR_OK;
    if (e)
        spb_anomaly(n, e, now, "message with %zu metrics", p->n);
    for (size_t i = 0; !e && i < p->n; i++) {
        const struct spb_metric *m = &p->metrics[i];
        bool refused = false;
        if (spb_is_bd_seq(m))
            continue;
        if (!tags[i].cell && !spb_tag_lookup(n, NULL, m, false, &tags[i]))
            refused = m->name.n > 0; /* told already */
        if (tags[i].cell)
            spb_turn_sample(&t, &tags[i], m);
        else if (!refused)
            unknown(&t, m);
    }
    spb_turn_end(&t);
}

void spb_short(struct spb_node *n, enum spb_kind kind, const struct spb_payload *p,
               struct arena *scratch, struct moment now)
{
    if (n->o.strict) {
        spb_anomaly(n, ERR_DENIED, now, "topic without an edge node level");
        return;
    }
    if (n->life == SPB_LIFE_BORN && !n->is_short) {
        spb_anomaly(n, ERR_CONFLICT, now, "short topic of a node that has proper births");
        return;
    }
    if (kind == SPB_DDEATH) {
        if (n->life == SPB_LIFE_BORN || n->life == SPB_LIFE_STALE)
            spb_node_end(n, SPB_LIFE_DEAD, now, "death on a short topic");
        return;
    }
    if (kind == SPB_DBIRTH)
        spb_tags_retract(n, NULL);
    short_alive(n, now, kind == SPB_DBIRTH);
    short_values(n, p, scratch, now);
}
