/* verdict.c - what is heard of a device, and what is decided of it.
 *
 * Evidence comes in (device_heard, device_died, device_blind), braid_judge decides, and every edge
 * goes to SQL, to the timeline and to live views.
 *
 * Our own absence (a restart, a lost broker connection) is an event of the server, not of each
 * device.  Meanwhile they are `unknown`, and REST, live views and SQL say so, the latter by one
 * statement for many.  But a device that comes back as it was has nothing new on its timeline: it
 * is `missed` until it is heard, and its timeline tells of our absence only if it then is
 * otherwise, or when LATE_MS have passed.  While a device is missed, `told` and status_since_ms are
 * what the timeline says last. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>

#define LATE_MS      300000 /* as long as a large fleet needs to be born again */
#define MISSED_BYTES ((size_t)40 << 10)

/* ---- evidence ---- */

static uint64_t after(uint64_t mono_ms, uint64_t earlier)
{
    return mono_ms > earlier ? mono_ms : earlier + 1;
}

/* Evidence is ordered by its monotonic stamps, and a backlog is handled many messages to the
 * millisecond: what comes after a death, or after our own blindness, gets a later stamp than it,
 * and these get a later one than what was heard. */
static uint64_t stamp_of_life(const struct device *d)
{
    const struct braid_evidence *e = &d->evidence;
    return after(after(d->shard->now.mono_ms, e->died_mono_ms), e->blind_mono_ms);
}

static uint64_t stamp_of_silence(const struct device *d)
{
    const struct braid_evidence *e = &d->evidence;
    return after(after(d->shard->now.mono_ms, e->lw_mono_ms), e->sp_mono_ms);
}

void device_died(struct device *d, const char *kind)
{
    struct braid_evidence *e = &d->evidence;
    e->died_at_ms = d->shard->now.utc_ms;
    e->died_mono_ms = stamp_of_silence(d);
    e->died_kind = kind;
    e->died_orderly = false;
}

void device_blind(struct device *d, const char *kind)
{
    struct braid_evidence *e = &d->evidence;
    e->blind_at_ms = d->shard->now.utc_ms;
    e->blind_mono_ms = stamp_of_silence(d);
    e->blind_kind = kind;
    d->judge = true;
}

void device_heard(struct device *d, bool sparkplug, const char *kind)
{
    struct shard *s = d->shard;
    struct braid_evidence *e = &d->evidence;
    d->messages++;
    if (s->drained)
        return;
    if (sparkplug) {
        e->sp_at_ms = s->now.utc_ms;
        e->sp_mono_ms = stamp_of_life(d);
        e->sp_kind = kind;
    } else {
        e->lw_at_ms = s->now.utc_ms;
        e->lw_mono_ms = stamp_of_life(d);
        e->lw_kind = kind;
    }
    d->last_seen_ms = s->now.utc_ms;
    d->newest_us = s->arrived_us;
    d->seen_dirty = d->store_seen_dirty = true;
    if (list_empty(&d->dirty_node))
        list_append(&s->dirty, &d->dirty_node);
    /* a message changes nothing about a device that is simply online */
    if (d->verdict.status != BRAID_ONLINE || d->verdict.link != BRAID_LINK_UP)
        d->judge = true;
}

static void gather_sparkplug(struct device *d, struct braid_evidence *e)
{
    struct spb_node_info info;
    if (!d->sp)
        return;
    spb_node_get_info(d->sp, &info);
    switch (info.life) {
    case SPB_LIFE_BORN:
        e->sp = BRAID_SP_BORN;
        e->sp_since_ms = info.born_ms;
        break;
    case SPB_LIFE_DEAD:
        e->sp = BRAID_SP_DEAD;
        e->sp_since_ms = info.died_ms;
        break;
    case SPB_LIFE_STALE:
        if (e->sp != BRAID_SP_STALE)
            e->sp_since_ms = d->shard->now.utc_ms;
        e->sp = BRAID_SP_STALE;
        break;
    case SPB_LIFE_UNKNOWN:
        e->sp = BRAID_SP_STALE; /* announced itself, but no birth of it is known yet */
        e->sp_since_ms = 0;
        break;
    }
    e->sp_devices = (uint32_t)info.n_devices;
    e->sp_devices_born = (uint32_t)info.n_devices_born;
}

enum braid_lwm2m verdict_of_registration(enum lw_reg_state state)
{
    static const enum braid_lwm2m states[] = {[LW_REG_NONE] = BRAID_LW_NONE,
                                              [LW_REG_REGISTERED] = BRAID_LW_REGISTERED,
                                              [LW_REG_EXPIRED] = BRAID_LW_EXPIRED,
                                              [LW_REG_DEREGISTERED] = BRAID_LW_DEREGISTERED};
    return states[state];
}

static void gather_lwm2m(struct device *d, struct braid_evidence *e)
{
    if (!d->lw)
        return;
    const struct lw_registration *r = lw_client_registration(d->lw);
    enum braid_lwm2m lw = verdict_of_registration(r->state);
    if (e->lw != lw) {
        e->lw = lw;
        e->lw_since_ms = d->shard->now.utc_ms;
    }
    e->queue_mode = r->queue_mode;
    e->lw_expires_mono_ms = r->expires_mono_ms;
}

/* ---- counters ---- */

static void count_losses(struct device *d)
{
    struct metrics *m = d->shard->engine->metrics;
    struct spb_node_info node;
    if (!d->sp)
        return;
    spb_node_get_info(d->sp, &node);
    uint32_t missing = node.never_came - d->counted_missing;
    metric_add(m, M_SEQ_MISSING, missing);
    metric_add(m, M_SEQ_UNUSABLE, node.lost_messages - d->counted_lost - missing);
    d->counted_missing = node.never_came;
    d->counted_lost = node.lost_messages;
}

static void count_strands(struct device *d)
{
    struct metrics *m = d->shard->engine->metrics;
    bool lw = d->evidence.lw == BRAID_LW_REGISTERED && d->verdict.link != BRAID_LINK_LOST;
    bool sp = d->evidence.sp == BRAID_SP_BORN;
    if (lw != d->counted_lw)
        metric_add(m, M_LW_ACTIVE, lw ? 1 : -1);
    if (sp != d->counted_sp)
        metric_add(m, M_SP_ONLINE, sp ? 1 : -1);
    d->counted_lw = lw;
    d->counted_sp = sp;
    metric_add(m, M_SP_SUBDEVICES, (int64_t)d->evidence.sp_devices_born - d->counted_subdevices);
    d->counted_subdevices = d->evidence.sp_devices_born;
    count_losses(d);
}

/* ---- edges ---- */

int64_t verdict_since_ms(const struct device *d)
{
    return d->missed ? d->evidence.blind_at_ms : d->status_since_ms;
}

static const char *absence_sentence(const char *kind)
{
    return str_is(str_of(kind), "restart")
               ? "Unknown: Braid restarted and nothing has been heard since."
               : "Unknown: Braid lost its broker connection and nothing has been heard since.";
}

void verdict_store_missed(struct shard *s)
{
    struct params p = {.n = 0};
    if (!s->missed.n)
        return;
    buf_putc(&s->missed, '}');
    params_str(&p, buf_view(&s->missed));
    params_text(&p, absence_sentence(s->missed_kind));
    params_i64(&p, s->missed_at_ms);
    if (s->missed.err)
        log_error("engine.status_not_stored", KE(s->missed.err));
    else
        params_put(s->engine, ST_DEVICES_MISSED, &p);
    buf_reset(&s->missed);
}

static void store_missed(struct device *d)
{
    struct shard *s = d->shard;
    const struct braid_evidence *e = &d->evidence;
    if (s->missed.n > MISSED_BYTES || s->missed_at_ms != e->blind_at_ms ||
        s->missed_kind != e->blind_kind)
        verdict_store_missed(s);
    s->missed_at_ms = e->blind_at_ms;
    s->missed_kind = e->blind_kind;
    buf_printf(&s->missed, "%c%lld", s->missed.n ? ',' : '{', (long long)d->id);
}

static void store_status(struct device *d, const char *sentence)
{
    struct params p = {.n = 0};
    verdict_store_missed(d->shard); /* comes first in SQL, too */
    params_i64(&p, d->id);
    params_text(&p, braid_status_word(d->verdict.status));
    params_text(&p, sentence);
    params_text(&p, braid_link_word(d->verdict.link));
    params_i64(&p, verdict_since_ms(d));
    params_put(d->shard->engine, ST_DEVICE_STATUS, &p);
}

static void tell(struct device *d, int64_t at_ms, uint8_t status, const char *sentence)
{
    char text[BRAID_SENTENCE + 32];
    snprintf(text, sizeof text, "%s: %s", braid_status_word(status), sentence);
    timeline_add_at(d, at_ms, TL_STATUS, text, str_make(NULL, 0));
    d->status_since_ms = at_ms;
}

/* What we kept to ourselves is told after all, as of then. */
static void tell_absence(struct device *d)
{
    d->missed = false;
    tell(d, d->evidence.blind_at_ms, BRAID_UNKNOWN, absence_sentence(d->evidence.blind_kind));
}

void verdict_tell_late(struct device *d)
{
    if (d->missed && d->shard->now.mono_ms > d->evidence.blind_mono_ms + LATE_MS)
        tell_absence(d);
}

static bool through_our_absence(const struct device *d)
{
    return d->verdict.status == BRAID_UNKNOWN && d->verdict.link == BRAID_LINK_UNKNOWN &&
           d->evidence.blind_mono_ms;
}

static void on_edge(struct device *d, uint8_t before, const char *sentence)
{
    struct metrics *m = d->shard->engine->metrics;
    metric_add(m, M_DEV_NEVER + (enum metric)before, -1);
    metric_add(m, M_DEV_NEVER + (enum metric)d->verdict.status, 1);
    if (through_our_absence(d)) {
        d->missed = true;
        d->told = before;
        return;
    }
    if (d->missed && d->verdict.status == d->told) {
        d->missed = false;
        return;
    }
    if (d->missed)
        tell_absence(d);
    tell(d, d->shard->now.utc_ms, d->verdict.status, sentence);
}

/* The verdict of now, with its sentence, and what of it is kept. */
static void decide(struct device *d, struct braid_verdict *out)
{
    braid_judge(&d->evidence, d->shard->now, out);
    d->verdict = (struct decided){(uint8_t)out->link, (uint8_t)out->status};
    d->recheck_mono_ms = out->recheck_mono_ms;
}

void verdict_first(struct device *d)
{
    struct braid_verdict first;
    decide(d, &first);
}

void verdict_judge(struct device *d)
{
    struct decided before = d->verdict;
    struct braid_verdict now;
    d->judge = false;
    gather_lwm2m(d, &d->evidence);
    gather_sparkplug(d, &d->evidence);
    decide(d, &now);
    count_strands(d);
    bool changed = d->verdict.status != before.status;
    if (changed)
        on_edge(d, before.status, now.sentence);
    if (!changed && d->verdict.link == before.link)
        return;
    if (changed && d->missed)
        store_missed(d);
    else
        store_status(d, now.sentence);
    device_mark_row(d);
}
