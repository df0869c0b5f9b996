/* births.c - life and death of a node and its devices.
 *
 * An NBIRTH begins everything anew: sequence, aliases, what is announced; devices are stale until
 * their own births follow.  An NDEATH counts only when it carries the bdSeq of the birth in force,
 * because the will of an older session may arrive after the new birth. */
#include "sparkplug/sparkplug_int.h"

static const struct str node_level = {NULL, 0};

static bool find_bd_seq(const struct spb_payload *p, uint64_t *out)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct spb_metric *m = &p->metrics[i];
        if (!spb_is_bd_seq(m) || m->is_null || (m->wire != SPB_W_INT && m->wire != SPB_W_LONG))
            continue;
        *out = m->u;
        return true;
    }
    return false;
}

static bool names_rebirth(const struct spb_payload *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_is(p->metrics[i].name, "Node Control/Rebirth"))
            return true;
    return false;
}

/* What the birth lacks of what the specification demands; NULL if nothing. */
static const char *what_is_missing(const struct spb_payload *p)
{
    uint64_t bd_seq;
    if (!p->has_seq)
        return "birth without seq";
    if (!find_bd_seq(p, &bd_seq))
        return "birth without bdSeq";
    if (!names_rebirth(p))
        return "birth without Node Control/Rebirth";
    for (size_t i = 0; i < p->n; i++)
        if (!p->metrics[i].name.n || !p->metrics[i].has_datatype)
            return "birth with a metric that lacks name or datatype";
    return NULL;
}

/* The metrics of a birth: announced, then sampled. */
static void take_metrics(struct spb_node *n, struct device *d, const struct spb_payload *p,
                         struct arena *scratch, struct moment now)
{
    struct turn t;
    struct spb_tag *tags = arena_calloc(scratch, p->n + 1, sizeof *tags);
    if (!tags || !spb_turn_begin(&t, n, p, scratch, now))
        return;
    enum err e = spb_tags_announce(&t, d, false, tags);
    if (e)
        spb_anomaly(n, e, now, "birth with %zu metrics", p->n);
    for (size_t i = 0; !e && i < p->n; i++)
        if (tags[i].cell)
            spb_turn_sample(&t, &tags[i], &p->metrics[i]);
    spb_turn_end(&t);
}

static void devices_stale(struct spb_node *n, struct moment now)
{
    for (size_t i = 0; i < spb_device_count(n); i++) {
        struct device *d = spb_device_at(n, i);
        spb_tags_retract(n, d);
        if (d->pub.life != SPB_LIFE_BORN)
            continue;
        d->pub.life = SPB_LIFE_STALE;
        n->sink->stale(n->ctx, d->pub.name, now);
    }
}

void spb_node_birth(struct spb_node *n, const struct spb_payload *p, struct arena *scratch,
                    struct moment now)
{
    const char *missing = what_is_missing(p);
    if (missing && n->o.strict) {
        spb_anomaly(n, ERR_INVALID, now, "%s", missing);
        return;
    }
    uint64_t session = n->bd_seq;
    bool resumed =
        n->life == SPB_LIFE_STALE && n->stale_cause == SPB_CAUSE_HOST_LOST && n->has_bd_seq;
    devices_stale(n, now);
    spb_tags_retract(n, NULL);
    spb_order_restart(n, p->has_seq ? (uint8_t)p->seq : 0);
    spb_rebirth_answered(n);
    n->is_short = false;
    n->has_bd_seq = find_bd_seq(p, &n->bd_seq);
    n->life = SPB_LIFE_BORN;
    n->born_ms = now.utc_ms;
    n->births++;
    if (missing)
        spb_nonconformant(n, now, missing);
    else
        n->conformant = true;
    resumed = resumed && n->has_bd_seq && n->bd_seq == session;
    if (n->has_bd_seq)
        spb_say(n, resumed ? SPB_EV_NODE_RESUMED : SPB_EV_NODE_BORN, node_level, now, "bdSeq %llu",
                (unsigned long long)n->bd_seq);
    else
        spb_say(n, SPB_EV_NODE_BORN, node_level, now, "without bdSeq");
    take_metrics(n, NULL, p, scratch, now);
}

void spb_device_birth(struct spb_node *n, struct str device, const struct spb_payload *p,
                      struct arena *scratch, struct moment now)
{
    struct device *d = spb_device_get(n, device);
    if (!d) {
        spb_anomaly(n, ERR_FULL, now, "too many devices below this node");
        return;
    }
    spb_tags_retract(n, d);
    d->pub.life = SPB_LIFE_BORN;
    d->pub.born_ms = now.utc_ms;
    spb_say(n, SPB_EV_DEVICE_BORN, d->pub.name, now, "%zu metrics", p->n);
    take_metrics(n, d, p, scratch, now);
}

void spb_node_end(struct spb_node *n, enum spb_life life, struct moment now, const char *words)
{
    n->life = (uint8_t)life;
    spb_order_forget(n);
    if (life == SPB_LIFE_DEAD)
        n->died_ms = now.utc_ms;
    for (size_t i = 0; i < spb_device_count(n); i++) {
        struct spb_device *d = &spb_device_at(n, i)->pub;
        if (d->life != SPB_LIFE_BORN && !(d->life == SPB_LIFE_STALE && life == SPB_LIFE_DEAD))
            continue;
        d->life = life;
        if (life == SPB_LIFE_DEAD)
            d->died_ms = now.utc_ms;
    }
    spb_tags_stale(n, NULL);
    n->sink->stale(n->ctx, node_level, now);
    spb_say(n, life == SPB_LIFE_DEAD ? SPB_EV_NODE_DEAD : SPB_EV_NODE_STALE, node_level, now, "%s",
            words);
}

/* Equal bdSeq, or none on either side; prototypes' births never carry one. */
static bool death_counts(const struct spb_node *n, bool has_bd_seq, uint64_t bd_seq)
{
    if (n->is_short)
        return true;
    return n->has_bd_seq == has_bd_seq && (!has_bd_seq || n->bd_seq == bd_seq);
}

static void old_death(struct spb_node *n, bool has_bd_seq, uint64_t bd_seq, struct moment now)
{
    unsigned long long death = bd_seq, birth = n->bd_seq;
    if (!has_bd_seq)
        spb_say(n, SPB_EV_OLD_DEATH, node_level, now, "death without bdSeq, birth with %llu",
                birth);
    else if (!n->has_bd_seq)
        spb_say(n, SPB_EV_OLD_DEATH, node_level, now, "death with bdSeq %llu, birth without",
                death);
    else
        spb_say(n, SPB_EV_OLD_DEATH, node_level, now, "death with bdSeq %llu, birth with %llu",
                death, birth);
}

void spb_node_death(struct spb_node *n, const struct spb_payload *p, struct moment now)
{
    uint64_t bd_seq = 0;
    bool has = find_bd_seq(p, &bd_seq);
    if (n->life != SPB_LIFE_BORN && n->life != SPB_LIFE_STALE) {
        spb_say(n, SPB_EV_OLD_DEATH, node_level, now, "death of a node that is %s",
                spb_life_word(n->life));
        return;
    }
    if (!death_counts(n, has, bd_seq)) {
        old_death(n, has, bd_seq, now);
        return;
    }
    spb_rebirth_cancel(n);
    spb_node_end(n, SPB_LIFE_DEAD, now, "its death certificate came");
}

void spb_device_death(struct spb_node *n, struct str device, const struct spb_payload *p,
                      struct moment now)
{
    struct device *d = spb_device_find(n, device);
    if (!d || d->pub.life == SPB_LIFE_DEAD || d->pub.life == SPB_LIFE_UNKNOWN)
        return;
    bool dated = p->has_timestamp && p->timestamp <= (uint64_t)now.utc_ms;
    d->pub.life = SPB_LIFE_DEAD;
    d->pub.died_ms = dated ? (int64_t)p->timestamp : now.utc_ms;
    spb_tags_stale(n, d);
    n->sink->stale(n->ctx, d->pub.name, now);
    spb_say(n, SPB_EV_DEVICE_DEAD, d->pub.name, now, "its death certificate came");
}
