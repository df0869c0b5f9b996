/* order.c - the node's one sequence number and the messages that came too early.
 *
 * Every birth, datum and device death of a node counts one up, 255 is followed by 0.  A message
 * that is next is handled at once and then those that waited behind it.  Any other is copied and
 * held until the missing ones arrive or the reorder time is over; then all that is held is thrown
 * away (a birth with other aliases may be among the missing), the node is stale and is asked for a
 * rebirth.  A repeated number looks like one far ahead and ends the same way. */
#include "sparkplug/sparkplug_int.h"

#include <stdlib.h>

static uint8_t ahead(const struct spb_node *n, uint8_t seq)
{
    return (uint8_t)(seq - n->next_seq);
}

void spb_order_forget(struct spb_node *n)
{
    n->lost_messages += n->n_held;
    while (n->held) {
        struct held *h = n->held;
        n->held = h->next;
        free(h);
    }
    n->n_held = n->held_bytes = 0;
    n->gap_deadline = UINT64_MAX;
}

static void advance(struct spb_node *n, uint8_t seq)
{
    n->seq = seq;
    n->next_seq = (uint8_t)((seq + 1) % SPB_SEQ_MODULUS);
}

void spb_order_restart(struct spb_node *n, uint8_t seq)
{
    spb_order_forget(n);
    advance(n, seq);
}

static struct held *held_new(const struct spb_topic *t, uint8_t seq, struct str bytes)
{
    struct held *h = malloc(sizeof *h + t->device.n + bytes.n + 1);
    if (!h)
        return NULL;
    *h = (struct held){.seq = seq, .kind = t->kind};
    if (t->device.p) {
        memcpy(h->bytes, t->device.p, t->device.n);
        h->device = str_make(h->bytes, t->device.n);
    }
    if (bytes.n)
        memcpy(h->bytes + t->device.n, bytes.p, bytes.n);
    h->payload = str_make(h->bytes + t->device.n, bytes.n);
    return h;
}

static void open_gap(struct spb_node *n, uint8_t seq, struct moment now)
{
    n->gaps++;
    n->gap_deadline = now.mono_ms + n->o.reorder_ms;
    spb_say(n, SPB_EV_GAP, str_make(NULL, 0), now, "message %u came where %u was expected",
            (unsigned)seq, (unsigned)n->next_seq);
}

/* Puts the message where its number belongs; false when there is no room for it. */
static bool hold(struct spb_node *n, const struct spb_topic *t, uint8_t seq, struct str bytes)
{
    struct held **at = &n->held;
    while (*at && ahead(n, (*at)->seq) < ahead(n, seq))
        at = &(*at)->next;
    if (*at && (*at)->seq == seq)
        return true; /* the same again */
    if (n->n_held >= SPB_MAX_HELD || bytes.n > SPB_MAX_HELD_BYTES - n->held_bytes)
        return false;
    struct held *h = held_new(t, seq, bytes);
    if (!h)
        return false;
    h->next = *at;
    *at = h;
    n->n_held++;
    n->held_bytes += (uint32_t)bytes.n;
    return true;
}

/* Handles what waited for the message just handled. */
static void drain(struct spb_node *n, struct arena *scratch, struct moment now)
{
    bool filled = false;
    while (n->held && n->held->seq == n->next_seq && n->life == SPB_LIFE_BORN) {
        struct held *h = n->held;
        struct spb_payload p;
        n->held = h->next;
        n->n_held--;
        n->held_bytes -= (uint32_t)h->payload.n;
        advance(n, h->seq);
        filled = true;
        enum err e = spb_decode(scratch, h->payload, &p);
        if (e) {
            n->lost_messages++;
            spb_anomaly(n, e, now, "a message that was held back");
        } else {
            spb_dispatch(n, h->kind, h->device, &p, scratch, now);
        }
        free(h);
    }
    if (!n->held && filled && n->life == SPB_LIFE_BORN)
        spb_say(n, SPB_EV_GAP_HEALED, str_make(NULL, 0), now, "the missing messages came late");
    if (!n->held)
        n->gap_deadline = UINT64_MAX;
    else if (filled)
        open_gap(n, n->held->seq, now); /* another one behind it */
}

uint32_t spb_order_missing(const struct spb_node *n)
{
    const struct held *last = n->held;
    while (last && last->next)
        last = last->next;
    return last ? (uint32_t)ahead(n, last->seq) + 1 - n->n_held : 0;
}

void spb_order_expire(struct spb_node *n, struct moment now)
{
    uint32_t missing = spb_order_missing(n), before = n->lost_messages;
    n->lost_messages += missing;
    n->never_came += missing;
    size_t held = n->n_held;
    spb_order_forget(n);
    if (n->lost_messages != before)
        spb_say(n, SPB_EV_LOST, str_make(NULL, 0), now,
                "%u did not come, %zu that came after them cannot be used", (unsigned)missing,
                held);
    n->stale_cause = SPB_CAUSE_SEQ_GAP;
    spb_node_end(n, SPB_LIFE_STALE, now, spb_cause_words(SPB_CAUSE_SEQ_GAP));
    spb_rebirth_wish(n, SPB_CAUSE_SEQ_GAP, now);
}

void spb_order(struct spb_node *n, const struct spb_topic *t, struct str bytes,
               const struct spb_payload *p, struct arena *scratch, struct moment now)
{
    uint8_t seq = (uint8_t)p->seq;
    if (seq == n->next_seq) {
        advance(n, seq);
        spb_dispatch(n, t->kind, t->device, p, scratch, now);
        drain(n, scratch, now);
        return;
    }
    if (!n->held)
        open_gap(n, seq, now);
    bool kept = hold(n, t, seq, bytes);
    if (!kept)
        n->lost_messages++;
    if (!kept || !n->o.reorder_ms)
        spb_order_expire(n, now);
}
