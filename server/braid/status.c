/* status.c - the verdict on one device and the sentence that explains it.
 *
 * The verdict is made in three steps, each a pure function of the evidence:
 *
 *   1. link    did the connection die after the last message (lost), are we ourselves blind
 *              (unknown), or is the last thing we heard a message (up)?
 *   2. status  what the states of the strands ever seen mean on such a link.
 *   3. words   one sentence with the reason and its age, then the device's own fault.
 *
 * Order between a death and a message is decided by the monotonic clock; evidence read back from
 * the database has no monotonic time (0), so equal ones are ordered by UTC, and a real tie goes to
 * the death: a will is published after everything its device could still say. */
#include "braid/status.h"

#include <stdarg.h>
#include <stdio.h>

#define SLEEP_AFTER_MS 93000 /* MAX_TRANSMIT_WAIT: how long a queue mode client stays awake */
#define NEVER          UINT64_MAX

/* What steps 2 and 3 want to know, derived once. */
struct view {
    const struct braid_evidence *e;
    struct moment now;
    bool heard;            /* any message at all */
    int64_t last_ms;       /* newest message of either strand, UTC */
    uint64_t last_mono_ms; /* the same, 0 when known from the database only */
    const char *last_kind;
    bool has_lw, has_sp; /* strands ever seen */
    bool lw_up, sp_up;   /* registered, born */
    enum braid_link link;
    enum braid_status status;
};

struct line {
    char *p;
    size_t n, cap;
};

static const char *const status_words[BRAID_STATUS_COUNT] = {
#define X(id, word) [id] = word,
    BRAID_STATUS_TABLE(X)
#undef X
};

const char *braid_status_word(enum braid_status s)
{
    return (unsigned)s < BRAID_STATUS_COUNT ? status_words[s] : "unknown";
}

const char *braid_link_word(enum braid_link l)
{
    return l == BRAID_LINK_UP ? "up" : l == BRAID_LINK_LOST ? "lost" : "unknown";
}

/* ---- the words ---- */

/* Appends what fits; a sentence that is too long is cut, never overrun. */
__attribute__((format(printf, 2, 3))) static void say(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->p + l->n, l->cap - l->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        l->n = l->n + (size_t)n < l->cap ? l->n + (size_t)n : l->cap - 1;
}

struct span {
    uint64_t n;
    const char *unit, *word; /* "min", "minute" */
};

static struct span span_of(uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s < 60)
        return (struct span){s, "s", "second"};
    if (s < 3600)
        return (struct span){s / 60, "min", "minute"};
    if (s < 2 * 86400)
        return (struct span){s / 3600, "h", "hour"};
    return (struct span){s / 86400, "days", "day"};
}

static uint64_t since(const struct view *v, int64_t at_ms)
{
    return v->now.utc_ms > at_ms ? (uint64_t)(v->now.utc_ms - at_ms) : 0;
}

/* "40 s ago", "just now". */
static void say_ago(struct line *l, const struct view *v, int64_t at_ms)
{
    struct span s = span_of(since(v, at_ms));
    if (at_ms <= 0)
        say(l, "at an unknown time");
    else if (s.n)
        say(l, "%llu %s ago", (unsigned long long)s.n, s.unit);
    else
        say(l, "just now");
}

/* "for 40 s", after a word like "stale". */
static void say_for(struct line *l, const struct view *v, int64_t at_ms)
{
    struct span s = span_of(since(v, at_ms));
    if (at_ms > 0 && s.n)
        say(l, " for %llu %s", (unsigned long long)s.n, s.unit);
}

static void say_kind(struct line *l, const char *kind)
{
    if (kind)
        say(l, " (%s)", kind);
}

static void say_last_heard(struct line *l, const struct view *v)
{
    if (!v->heard)
        return;
    say(l, "; last heard ");
    say_ago(l, v, v->last_ms);
    say_kind(l, v->last_kind);
}

/* "the LwM2M lifetime runs 58 more minutes" */
static void say_lifetime(struct line *l, const struct view *v)
{
    uint64_t end = v->e->lw_expires_mono_ms;
    if (end == NEVER) {
        say(l, "the LwM2M registration never expires");
        return;
    }
    struct span s = span_of(end > v->now.mono_ms ? end - v->now.mono_ms : 0);
    if (s.n)
        say(l, "the LwM2M lifetime runs %llu more %s%s", (unsigned long long)s.n, s.word,
            s.n == 1 ? "" : "s");
    else
        say(l, "the LwM2M lifetime has run out");
}

/* What is wrong with the LwM2M strand; nothing when it is registered or was never there. */
static bool say_lw_trouble(struct line *l, const struct view *v, const char *before)
{
    if (!v->has_lw || v->lw_up)
        return false;
    bool expired = v->e->lw == BRAID_LW_EXPIRED;
    say(l, "%s%s ", before, expired ? "LwM2M registration expired" : "de-registered from LwM2M");
    say_ago(l, v, v->e->lw_since_ms);
    return true;
}

static bool say_sp_trouble(struct line *l, const struct view *v, const char *before)
{
    if (!v->has_sp || v->sp_up)
        return false;
    if (v->e->sp == BRAID_SP_STALE) {
        say(l, "%sSparkplug data stale", before);
        say_for(l, v, v->e->sp_since_ms);
        return true;
    }
    say(l, "%sSparkplug node died ", before);
    say_ago(l, v, v->e->sp_since_ms);
    say_kind(l, v->e->died_kind);
    return true;
}

static void say_sub_devices(struct line *l, const struct view *v)
{
    uint32_t all = v->e->sp_devices, born = v->e->sp_devices_born;
    if (!v->sp_up || born >= all)
        return;
    say(l, "; %u of %u sub-devices %s down", all - born, all, all - born == 1 ? "is" : "are");
}

static void say_online(struct line *l, const struct view *v)
{
    if (v->has_lw && v->has_sp)
        say(l, "Online on both strands");
    else
        say(l, "Online over %s", v->has_lw ? "LwM2M" : "Sparkplug");
    say_last_heard(l, v);
    say_sub_devices(l, v);
}

static void say_degraded(struct line *l, const struct view *v)
{
    if (v->lw_up || v->sp_up) {
        say(l, "Online over %s", v->lw_up ? "LwM2M" : "Sparkplug");
        (void)say_lw_trouble(l, v, "; ");
        (void)say_sp_trouble(l, v, "; ");
        say_sub_devices(l, v);
        return;
    }
    say(l, "Connected, but ");
    bool lw = say_lw_trouble(l, v, "");
    (void)say_sp_trouble(l, v, lw ? " and " : "");
    say_last_heard(l, v);
}

static void say_sleeping(struct line *l, const struct view *v)
{
    say(l, "Sleeping; last heard ");
    say_ago(l, v, v->last_ms);
    say_kind(l, v->last_kind);
    say(l, "; ");
    say_lifetime(l, v);
}

static void say_lost(struct line *l, const struct view *v)
{
    if (v->link != BRAID_LINK_LOST) { /* nobody saw it die: it just never came back */
        say(l, "Silent until its LwM2M registration expired ");
        say_ago(l, v, v->e->lw_since_ms);
        say_last_heard(l, v);
        return;
    }
    say(l, v->e->died_orderly ? "Disconnected in order " : "Connection lost ");
    say_ago(l, v, v->e->died_at_ms);
    say_kind(l, v->e->died_kind);
    if (v->lw_up) {
        say(l, "; ");
        say_lifetime(l, v);
    }
    (void)say_lw_trouble(l, v, "; ");
}

static void say_offline(struct line *l, const struct view *v)
{
    int64_t at = v->e->lw == BRAID_LW_DEREGISTERED ? v->e->lw_since_ms : 0;
    if (v->e->sp == BRAID_SP_DEAD && v->e->died_at_ms > at)
        at = v->e->died_at_ms;
    say(l, "Offline: ended in order ");
    say_ago(l, v, at);
}

static void say_unknown(struct line *l, const struct view *v)
{
    const struct braid_evidence *e = v->e;
    if (v->link == BRAID_LINK_UP) { /* it talks, but every registration and birth was refused */
        say(l, "Unknown: neither registered nor born");
        say_last_heard(l, v);
        return;
    }
    if (!e->blind_mono_ms) {
        say(l, "Unknown: nothing has been heard yet");
    } else if (str_is(str_of(e->blind_kind), "restart")) {
        say(l, "Unknown: Braid restarted ");
        say_ago(l, v, e->blind_at_ms);
        say(l, " and nothing has been heard since");
    } else {
        say(l, "Unknown: Braid lost its broker connection ");
        say_ago(l, v, e->blind_at_ms);
        say(l, " and nothing has been heard since");
    }
    if (v->heard) {
        say(l, "; last heard ");
        say_ago(l, v, v->last_ms);
    }
}

static void say_never(struct line *l, const struct view *v)
{
    (void)v;
    say(l, "Never heard from");
}

/* The device's own words, made safe for one line: control bytes become spaces, a closing full
 * stop is ours to set, and a cut never splits a UTF-8 sequence. */
static void say_fault(struct line *l, const char *fault)
{
    size_t n = strlen(fault);
    while (n && (fault[n - 1] == '.' || (unsigned char)fault[n - 1] <= ' '))
        n--;
    if (!n)
        return;
    say(l, " The device reports: ");
    size_t room = l->cap - 1 - l->n;
    if (n + 1 > room)
        for (n = room ? room - 1 : 0; n && ((unsigned char)fault[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++)
        l->p[l->n++] = (unsigned char)fault[i] < ' ' || fault[i] == 0x7f ? ' ' : fault[i];
    l->p[l->n] = 0;
    say(l, ".");
}

typedef void say_status(struct line *l, const struct view *v);
static say_status *const say_table[BRAID_STATUS_COUNT] = {
    [BRAID_NEVER] = say_never,       [BRAID_ONLINE] = say_online, [BRAID_DEGRADED] = say_degraded,
    [BRAID_SLEEPING] = say_sleeping, [BRAID_LOST] = say_lost,     [BRAID_OFFLINE] = say_offline,
    [BRAID_UNKNOWN] = say_unknown,
};

/* ---- the verdict ---- */

static struct view view_of(const struct braid_evidence *e, struct moment now)
{
    struct view v = {
        .e = e,
        .now = now,
    };
    bool lw = e->lw_at_ms != 0, sp = e->sp_at_ms != 0;
    bool lw_newer = lw && (!sp || e->lw_mono_ms > e->sp_mono_ms ||
                           (e->lw_mono_ms == e->sp_mono_ms && e->lw_at_ms > e->sp_at_ms));
    v.heard = lw || sp;
    if (lw_newer) {
        v.last_ms = e->lw_at_ms;
        v.last_mono_ms = e->lw_mono_ms;
        v.last_kind = e->lw_kind;
    } else if (sp) {
        v.last_ms = e->sp_at_ms;
        v.last_mono_ms = e->sp_mono_ms;
        v.last_kind = e->sp_kind;
    }
    v.has_lw = e->lw != BRAID_LW_NONE;
    v.has_sp = e->sp != BRAID_SP_NONE;
    v.lw_up = e->lw == BRAID_LW_REGISTERED;
    v.sp_up = e->sp == BRAID_SP_BORN;
    return v;
}

static enum braid_link judge_link(const struct view *v)
{
    const struct braid_evidence *e = v->e;
    if (e->died_kind) {
        bool tie = e->died_mono_ms == v->last_mono_ms;
        if (!v->heard || (tie ? e->died_at_ms >= v->last_ms : e->died_mono_ms > v->last_mono_ms))
            return BRAID_LINK_LOST;
    }
    if (!v->heard || (e->blind_mono_ms && v->last_mono_ms <= e->blind_mono_ms))
        return BRAID_LINK_UNKNOWN;
    return BRAID_LINK_UP;
}

static uint64_t silence_ms(const struct view *v)
{
    if (!v->last_mono_ms)
        return since(v, v->last_ms);
    return v->now.mono_ms > v->last_mono_ms ? v->now.mono_ms - v->last_mono_ms : 0;
}

static bool may_sleep(const struct view *v)
{
    return v->lw_up && v->e->queue_mode && v->heard && v->link != BRAID_LINK_LOST;
}

/* Every strand that ever lived said goodbye itself. */
static bool ended_in_order(const struct view *v)
{
    const struct braid_evidence *e = v->e;
    bool lw_ended = !v->has_lw || e->lw == BRAID_LW_DEREGISTERED;
    bool sp_ended = !v->has_sp || (e->sp == BRAID_SP_DEAD &&
                                   (e->died_orderly || (v->has_lw && v->link != BRAID_LINK_LOST)));
    return lw_ended && sp_ended && (v->has_lw || v->has_sp);
}

/* The last registration ran out and not even a stray message came after that. */
static bool faded_away(const struct view *v)
{
    return v->e->lw == BRAID_LW_EXPIRED && !v->sp_up && v->last_ms <= v->e->lw_since_ms;
}

static enum braid_status judge_status(const struct view *v)
{
    if (!v->heard && !v->has_lw && !v->has_sp && v->link != BRAID_LINK_LOST)
        return BRAID_NEVER;
    if (ended_in_order(v))
        return BRAID_OFFLINE;
    if (v->link == BRAID_LINK_LOST)
        return BRAID_LOST;
    if (may_sleep(v) && silence_ms(v) > SLEEP_AFTER_MS)
        return BRAID_SLEEPING;
    if (faded_away(v))
        return BRAID_LOST;
    if (v->link == BRAID_LINK_UNKNOWN)
        return BRAID_UNKNOWN;
    if (v->lw_up == v->has_lw && v->sp_up == v->has_sp && (v->has_lw || v->has_sp))
        return BRAID_ONLINE;
    return v->has_lw || v->has_sp ? BRAID_DEGRADED : BRAID_UNKNOWN;
}

static uint64_t recheck(const struct view *v)
{
    uint64_t at = NEVER;
    if (may_sleep(v) && v->status != BRAID_SLEEPING)
        at = v->now.mono_ms + (SLEEP_AFTER_MS + 1 - silence_ms(v));
    /* An expiry that is due but not yet declared (it may wait for a drain) is not ours to chase. */
    if (v->lw_up && v->e->lw_expires_mono_ms > v->now.mono_ms && v->e->lw_expires_mono_ms < at)
        at = v->e->lw_expires_mono_ms;
    return at;
}

void braid_judge(const struct braid_evidence *e, struct moment now, struct braid_verdict *out)
{
    struct view v = view_of(e, now);
    v.link = judge_link(&v);
    v.status = judge_status(&v);
    /* A device that faded away gives no sign either way: "up" would be a claim we cannot back. */
    out->link = v.status == BRAID_LOST && v.link == BRAID_LINK_UP ? BRAID_LINK_UNKNOWN : v.link;
    out->status = v.status;
    out->recheck_mono_ms = recheck(&v);
    struct line l = {out->sentence, 0, sizeof out->sentence};
    out->sentence[0] = 0;
    say_table[v.status](&l, &v);
    say(&l, ".");
    if (e->fault && e->fault[0])
        say_fault(&l, e->fault);
}
