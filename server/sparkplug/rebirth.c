/* rebirth.c - when to ask a node for a rebirth, and when rather not.
 *
 * Several hosts and doubled node ids make "firestorms" of rebirths, so: at most one request per
 * interval; each further one doubles the interval up to five minutes; a little of it is jitter that
 * differs per node and request.  The interval falls back to its start when a birth answers, unless
 * the cause was one that a birth evidently does not cure, or after a quiet time.  A wish that comes
 * too soon is planned for the earliest moment, and forgotten if a birth comes first. */
#include "sparkplug/sparkplug_int.h"

enum { INTERVAL_MAX_MS = 300000 };

static const char *const cause_words[SPB_CAUSE_COUNT] = {
    [SPB_CAUSE_NONE] = "no cause",
    [SPB_CAUSE_UNKNOWN_NODE] = "data before any birth",
    [SPB_CAUSE_UNKNOWN_DEVICE] = "data of a device before its birth",
    [SPB_CAUSE_SEQ_GAP] = "sequence gap not filled in time",
    [SPB_CAUSE_UNKNOWN_METRIC] = "data of a metric its birth did not name",
    [SPB_CAUSE_UNKNOWN_ALIAS] = "data with an alias its birth did not name",
    [SPB_CAUSE_DUPLICATE_ALIAS] = "birth gives one alias to several metrics",
    [SPB_CAUSE_MALFORMED] = "malformed message",
    [SPB_CAUSE_NODE_OFFLINE] = "data after its death",
    [SPB_CAUSE_HOST_LOST] = "our connection to the broker was lost",
    [SPB_CAUSE_OPERATOR] = "an operator asked for it",
    [SPB_CAUSE_NOT_STORED] = "samples were lost for want of room",
};

const char *spb_cause_words(enum spb_cause c)
{
    return cause_words[(unsigned)c < SPB_CAUSE_COUNT ? c : SPB_CAUSE_NONE];
}

/* Causes that the node's own next birth may bring back at once. */
static bool birth_may_not_cure(enum spb_cause c)
{
    return c == SPB_CAUSE_UNKNOWN_METRIC || c == SPB_CAUSE_UNKNOWN_ALIAS ||
           c == SPB_CAUSE_DUPLICATE_ALIAS || c == SPB_CAUSE_MALFORMED;
}

static void publish(struct spb_node *n, struct moment now)
{
    struct buf topic, payload;
    struct spb_topic t = {.kind = SPB_NCMD, .group = spb_group_of(n), .node = spb_id_of(n)};
    struct spb_out_metric m = {
        .name = STR("Node Control/Rebirth"),
        .timestamp = (uint64_t)now.utc_ms,
        .with_datatype = true,
        .value = {.datatype = SPB_BOOLEAN, .cls = SPB_V_BOOL, .b = true},
    };
    struct spb_out p = {.timestamp = (uint64_t)now.utc_ms, .metrics = &m, .n = 1};
    buf_init(&topic, 65536);
    buf_init(&payload, 65536);
    spb_topic_write(&topic, &t);
    enum err e = spb_encode(&p, &payload);
    if (!e && !topic.err)
        n->sink->publish(n->ctx, buf_view(&topic), buf_view(&payload));
    else
        spb_anomaly(n, e ? e : topic.err, now, "rebirth request could not be written");
    buf_fini(&topic);
    buf_fini(&payload);
}

/* Up to a quarter of the interval, other for every node and request. */
static uint32_t jitter(const struct spb_node *n)
{
    uint32_t room = n->rebirth_interval / 4;
    return room ? (uint32_t)(str_hash(spb_id_of(n), n->rebirths_asked) % room) : 0;
}

static void send(struct spb_node *n, enum spb_cause cause, struct moment now)
{
    uint32_t start = n->o.rebirth_interval_ms;
    if (now.mono_ms >= n->rebirth_next && now.mono_ms - n->rebirth_next >= n->rebirth_interval)
        n->rebirth_interval = start; /* quiet for a while */
    n->rebirth_next = now.mono_ms + n->rebirth_interval + jitter(n);
    n->rebirth_interval =
        n->rebirth_interval > INTERVAL_MAX_MS / 2 ? INTERVAL_MAX_MS : n->rebirth_interval * 2;
    spb_rebirth_cancel(n);
    n->rebirths_asked++;
    n->last_cause = (uint8_t)cause;
    n->last_cause_ms = now.utc_ms;
    publish(n, now);
    spb_say(n, SPB_EV_REBIRTH_ASKED, str_make(NULL, 0), now, "%s", spb_cause_words(cause));
}

static bool may_ask(const struct spb_node *n)
{
    return !n->sink->may_ask || n->sink->may_ask(n->ctx);
}

/* When to try again to ask, other for every node. */
uint64_t spb_rebirth_later(const struct spb_node *n, struct moment now)
{
    return now.mono_ms + 1000 + str_hash(spb_id_of(n), now.mono_ms) % 1000;
}

enum err spb_node_rebirth(struct spb_node *n, enum spb_cause cause, struct moment now)
{
    if (cause != SPB_CAUSE_OPERATOR) {
        if (n->rebirth_due != UINT64_MAX)
            return ERR_AGAIN;
        if (now.mono_ms < n->rebirth_next) {
            spb_rebirth_plan(n, cause, n->rebirth_next);
            return ERR_AGAIN;
        }
        if (!may_ask(n)) {
            spb_rebirth_plan(n, cause, spb_rebirth_later(n, now));
            return ERR_AGAIN;
        }
    }
    send(n, cause, now);
    return ERR_OK;
}

void spb_rebirth_wish(struct spb_node *n, enum spb_cause cause, struct moment now)
{
    if (n->is_short)
        return; /* prototypes know no rebirth */
    enum err e = spb_node_rebirth(n, cause, now);
    (void)e; /* too soon: planned */
}

void spb_rebirth_plan(struct spb_node *n, enum spb_cause cause, uint64_t at_ms)
{
    n->rebirth_due = at_ms;
    n->rebirth_due_cause = (uint8_t)cause;
}

void spb_rebirth_cancel(struct spb_node *n)
{
    n->rebirth_due = UINT64_MAX;
}

void spb_rebirth_answered(struct spb_node *n)
{
    spb_rebirth_cancel(n);
    if (!birth_may_not_cure(n->last_cause))
        n->rebirth_interval = n->o.rebirth_interval_ms;
}

void spb_rebirth_tick(struct spb_node *n, struct moment now)
{
    if (now.mono_ms < n->rebirth_due)
        return;
    if (may_ask(n))
        send(n, n->rebirth_due_cause, now);
    else
        n->rebirth_due = spb_rebirth_later(n, now);
}
