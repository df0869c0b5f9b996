/* commands.c - the commands of a device: how they come, wait for their turn and run out of time.
 *
 * The row is `queued` in SQL before we hear of it.  A command that must not be repeated is marked
 * `sent` durably before it is published ("armed"), so that a crash in between leaves it `unknown`
 * instead of executing it twice; a repeatable one is published at once.  While the acknowledgement
 * of a registration or an update waits for its row, nothing is sent over LwM2M: a device is told
 * first that it is known here. */
#include "engine/command.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PER_DEVICE 1000

/* ---- arming ---- */

struct armed {
    struct mailbox *box; /* referenced: the writer outlives the engine */
    struct letter_armed *letter;
};

static void on_armed(void *arg, enum err result) /* writer's thread */
{
    struct armed *a = arg;
    a->letter->result = result;
    if (mailbox_force_put(a->box, &a->letter->letter.mail))
        free(a->letter);
    mailbox_free(a->box);
    free(a);
}

static void arm(struct command *c)
{
    struct shard *s = c->device->shard;
    struct armed *a = calloc(1, sizeof *a);
    struct letter_armed *l = calloc(1, sizeof *l);
    if (!a || !l) {
        free(a);
        free(l);
        return; /* stays queued; the next message of the device tries again */
    }
    l->letter.kind = LETTER_ARMED;
    l->device_id = c->device->id;
    memcpy(l->command_id, c->id, sizeof l->command_id);
    *a = (struct armed){mailbox_ref(s->box), l};
    c->arming = true;
    c->sent_ms = s->now.utc_ms;
    command_store(c, NULL, 0, on_armed, a, "sent");
}

/* The row says `sent`, but nothing went out: back to `queued`, or a restart would call it unknown.
 */
static void disarm(struct command *c)
{
    c->arming = false;
    c->sent_ms = 0;
    command_progress(c, true);
}

/* ---- whose turn it is ---- */

/* Between a registration or update and its acknowledgement the device takes no command. */
static bool awaits_ack(const struct command *c)
{
    return c->device->acks && !cmd_op_sparkplug(c->op);
}

bool device_reachable(const struct device *d, bool sparkplug)
{
    struct engine *e = d->shard->engine;
    if (sparkplug) {
        struct spb_node_info i;
        if (!d->sp || !mqtt_is_up(e->sp))
            return false;
        spb_node_get_info(d->sp, &i);
        return i.life == SPB_LIFE_BORN;
    }
    return d->lw && mqtt_is_up(e->lw) &&
           lw_client_registration(d->lw)->state == LW_REG_REGISTERED &&
           d->verdict.link != BRAID_LINK_LOST && d->verdict.status != BRAID_SLEEPING;
}

static bool has_strand(const struct command *c)
{
    return cmd_op_sparkplug(c->op) ? c->device->sp != NULL : c->device->lw != NULL;
}

/* A sub-device that is known and not born takes nothing: its birth will flush. */
static bool subdevice_down(const struct command *c)
{
    const struct spb_device *s;
    for (size_t i = 0; c->subdevice && (s = spb_node_device(c->device->sp, i)); i++)
        if (str_is(s->name, c->subdevice))
            return s->life != SPB_LIFE_BORN && s->life != SPB_LIFE_UNKNOWN;
    return false;
}

void commands_flush(struct device *d)
{
    if (list_empty(&d->commands))
        return;
    if (d->judge)
        device_settle(d);
    bool one_at_a_time = d->evidence.queue_mode, busy = false;
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        bool sparkplug = cmd_op_sparkplug(c->op);
        busy |= c->arming || (c->state == CMD_SENT && !sparkplug);
        if (c->state != CMD_QUEUED || c->arming)
            continue;
        if (!has_strand(c)) {
            command_set_error(c, "no_strand");
            command_finish(c, CMD_EV_REFUSE,
                           sparkplug ? "the device has no Sparkplug strand"
                                     : "the device has never registered over LwM2M");
            continue;
        }
        if ((one_at_a_time && busy && !sparkplug) ||
            (c->op == CMD_REBIRTH ? !mqtt_is_up(d->shard->engine->sp)
                                  : !device_reachable(d, sparkplug)) ||
            subdevice_down(c) || awaits_ack(c))
            continue;
        busy |= !sparkplug;
        if (cmd_op_repeatable(c->op))
            command_send(c);
        else
            arm(c);
    }
}

void commands_armed(struct shard *s, const struct letter_armed *l)
{
    struct device *d = map_find_u64(&s->by_id, (uint64_t)l->device_id);
    struct command *c = d ? command_find(d, str_of(l->command_id)) : NULL;
    if (!c || !c->arming)
        return;
    c->arming = false;
    if (l->result)
        command_finish(c, CMD_EV_REFUSE, "the command could not be recorded before sending");
    else if (!awaits_ack(c)) /* else its acknowledgement sends it */
        command_send(c);
    c = command_find(d, str_of(l->command_id));
    if (c && c->state == CMD_QUEUED) /* the broker was lost meanwhile, or the device came anew */
        disarm(c);
    device_settle(d);
}

void commands_acked(struct shard *s, const struct letter_acked *l)
{
    struct device *d = map_find_u64(&s->by_id, (uint64_t)l->device_id);
    if (!d)
        return;
    d->acks--;
    commands_flush(d);
    device_settle(d);
}

void commands_disarm(struct device *d)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->arming)
            disarm(c);
    }
}

/* ---- arrival ---- */

static struct command *command_new(struct device *d, struct str id, struct str request,
                                   struct str by, int64_t created_ms)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c || id.n >= sizeof c->id || !(c->request = strndup(request.p, request.n)) ||
        !(c->by = strndup(by.p ? by.p : "", by.n))) {
        command_free(c);
        return NULL;
    }
    memcpy(c->id, id.p, id.n);
    c->device = d;
    c->request_id = ++d->shard->next_request_id;
    c->state = CMD_QUEUED;
    c->created_ms = created_ms;
    c->deadline_mono_ms = UINT64_MAX;
    list_append(&d->commands, &c->node);
    d->n_commands++;
    return c;
}

static void take_terms(struct command *c, const struct cmd_request *r)
{
    c->op = r->op;
    c->timeout_ms = r->timeout_ms;
    c->expires_ms = c->created_ms + (int64_t)r->ttl_s * 1000;
    if (r->op == CMD_METRIC_WRITE && r->device.n)
        c->subdevice = strndup(r->device.p, r->device.n);
}

void command_accept(struct shard *s, const struct letter_command *l)
{
    struct device *d = device_find(s, l->endpoint);
    struct cmd_request r;
    const char *why = NULL;
    if (!d) {
        command_fail_gone(s, str_of(l->id), "the device was deleted");
        return;
    }
    if (command_find(d, str_of(l->id)))
        return; /* a repeated POST with the same idempotency key */
    struct command *c = d->n_commands < MAX_PER_DEVICE
                            ? command_new(d, str_of(l->id), l->request, l->by, l->created_ms)
                            : NULL;
    if (!c) {
        command_fail_gone(s, str_of(l->id), "too many commands wait for this device");
        return;
    }
    if (!command_parse(c, &r, &why)) {
        command_finish(c, CMD_EV_REFUSE, why);
        return;
    }
    take_terms(c, &r);
    command_progress(c, false);
    commands_flush(d);
    device_settle(d);
}

enum err command_restore(struct device *d, const struct load_command *l)
{
    struct cmd_request r;
    const char *why = NULL;
    struct command *c = command_new(d, l->id, l->request, l->by, l->created_ms);
    if (!c)
        return ERR_NOMEM;
    if (!cmd_state_from(l->state, &c->state) || !command_parse(c, &r, &why)) {
        c->state = CMD_QUEUED;
        command_finish(c, CMD_EV_REFUSE, "the stored request cannot be read");
        return ERR_OK;
    }
    take_terms(c, &r);
    c->sent_ms = l->sent_ms;
    if (c->state == CMD_QUEUED)
        return ERR_OK;
    if (c->state == CMD_SENT && cmd_op_repeatable(c->op)) {
        if (command_step(c, CMD_EV_RETRY))
            command_progress(c, true);
        return ERR_OK;
    }
    if (c->state == CMD_ACCEPTED)
        command_finish(c, CMD_EV_SUCCEED, "accepted; Braid restarted before the effect was seen");
    else
        command_finish(c, CMD_EV_LOSE, "Braid restarted after sending it; the answer was not seen");
    return ERR_OK;
}

enum err commands_cancel(struct device *d, struct str id)
{
    struct command *c = command_find(d, id);
    if (!c)
        return ERR_NOTFOUND;
    if (c->state != CMD_QUEUED || c->arming)
        return ERR_CONFLICT;
    command_finish(c, CMD_EV_CANCEL, "cancelled by an operator");
    return ERR_OK;
}

/* ---- time ---- */

uint64_t commands_deadline(const struct device *d)
{
    uint64_t at = UINT64_MAX;
    struct moment now = d->shard->now;
    for (struct list *it = d->commands.next; it != &d->commands; it = it->next) {
        const struct command *c = list_entry(it, struct command, node);
        uint64_t due = c->deadline_mono_ms;
        if (c->state == CMD_QUEUED && !c->arming) {
            int64_t left = c->expires_ms - now.utc_ms;
            due = now.mono_ms + (left > 0 ? (uint64_t)left : 0);
        }
        if (due < at)
            at = due;
    }
    return at;
}

void commands_tick(struct device *d)
{
    struct moment now = d->shard->now;
    char why[96];
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_QUEUED && !c->arming && c->expires_ms <= now.utc_ms) {
            command_finish(c, CMD_EV_EXPIRE,
                           "its time to live ran out before the device could take it");
        } else if (c->state == CMD_ACCEPTED && c->deadline_mono_ms <= now.mono_ms) {
            command_finish(c, CMD_EV_SUCCEED, "accepted; no notification showed the value in time");
        } else if (c->state == CMD_SENT && c->deadline_mono_ms <= now.mono_ms) {
            snprintf(why, sizeof why,
                     c->op == CMD_REBIRTH ? "no birth came within %u ms"
                                          : "no DATA carried the new value within %u ms",
                     c->timeout_ms);
            command_finish(c, CMD_EV_TIMEOUT, why);
        }
    }
}
