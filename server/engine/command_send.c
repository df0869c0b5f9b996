/* command_send.c - a command on its way out, over the strand that its operation belongs to.
 *
 * What cannot be said fails here with its reason; what finds no broker stays queued.  A write
 * remembers the value whose echo will prove it. */
#include "engine/command.h"

static void mark_sent(struct command *c)
{
    struct shard *s = c->device->shard;
    if (!command_step(c, CMD_EV_SEND))
        return;
    c->sent_ms = s->now.utc_ms;
    c->sent_us = clock_mono_us();
    command_progress(c, cmd_op_repeatable(c->op)); /* others: the row says so since it was armed */
}

/* A cancel may name the observation by its path. */
static enum err resolve_observation(struct device *d, struct lw_downlink *down)
{
    if (down->observation.text[0])
        return ERR_OK;
    for (size_t i = 0; i < lw_client_observations(d->lw); i++) {
        const struct lw_observation *o = lw_client_observation(d->lw, i);
        if (!o->composite && lw_path_eq(o->paths[0], down->path)) {
            down->observation = o->token;
            return ERR_OK;
        }
    }
    return ERR_NOTFOUND;
}

static void fail_to_send(struct command *c, enum err e)
{
    if (e == ERR_BROKER || e == ERR_CLOSED)
        return; /* stays queued: sent when broker or device is back */
    if (e == ERR_UNSUPPORTED) {
        command_set_error(c, "not_expressible");
        command_finish(c, CMD_EV_REFUSE, "the device's dialect cannot express this operation");
    } else if (e == ERR_NOTFOUND) {
        command_set_error(c, "not_found");
        command_finish(c, CMD_EV_REFUSE, "there is no such observation or metric");
    } else if (e == ERR_TYPE || e == ERR_RANGE || e == ERR_INVALID) {
        command_set_error(c, "wrong_type");
        command_finish(c, CMD_EV_REFUSE, "the value does not fit the metric's datatype");
    } else if (e == ERR_DENIED) {
        command_set_error(c, "read_only");
        command_finish(c, CMD_EV_REFUSE, "the metric is read-only");
    } else {
        command_set_error(c, err_word(e));
        command_finish(c, CMD_EV_REFUSE,
                       e == ERR_FULL ? "too many requests are pending" : err_word(e));
    }
}

static void send_lwm2m(struct command *c, struct cmd_request *r)
{
    struct device *d = c->device;
    struct lw_token token;
    const char *why = NULL;
    enum err e = command_type(c, r, &why);
    if (e) {
        command_set_error(c, err_word(e));
        command_finish(c, CMD_EV_REFUSE, why);
        return;
    }
    if (r->op == CMD_CANCEL_OP && (e = resolve_observation(d, &r->lw))) {
        fail_to_send(c, e);
        return;
    }
    d->shard->sending = c;
    e = lw_client_request(d->lw, c->request_id, &r->lw, c->timeout_ms, d->shard->now, &token);
    d->shard->sending = NULL;
    if (e) {
        fail_to_send(c, e);
        return;
    }
    memcpy(c->token, token.text, sizeof c->token);
    mark_sent(c);
}

/* Keeps the value whose echo will prove the write. */
static void expect_metric(struct command *c, uint32_t series, struct spb_value v)
{
    if (spb_class_has_text(v.cls) && !command_keep_expected(c, &v.s))
        return;
    c->expect_metric = v;
    c->expect_series = series;
    c->expects = true;
}

static void send_metric(struct command *c, const struct cmd_request *r)
{
    struct device *d = c->device;
    struct shard *s = d->shard;
    struct spb_value sent;
    enum err e = spb_node_write(d->sp, r->device, r->metric, r->value, r->value_is_null,
                                &s->scratch2, s->now, &sent);
    if (!e)
        e = d->published;
    if (e) {
        fail_to_send(c, e);
        return;
    }
    struct spb_tag tag;
    if (spb_node_tag_find(d->sp, r->device, r->metric, &tag))
        expect_metric(c, tag.cell->series, sent);
    c->deadline_mono_ms = s->now.mono_ms + c->timeout_ms;
    mark_sent(c);
}

static void send_rebirth(struct command *c)
{
    struct device *d = c->device;
    enum err e = spb_node_rebirth(d->sp, SPB_CAUSE_OPERATOR, d->shard->now);
    if (!e)
        e = d->published;
    if (e) {
        fail_to_send(c, e);
        return;
    }
    c->deadline_mono_ms = d->shard->now.mono_ms + c->timeout_ms;
    mark_sent(c);
}

void command_send(struct command *c)
{
    struct cmd_request r;
    const char *why = "malformed request";
    if (!command_parse(c, &r, &why))
        command_finish(c, CMD_EV_REFUSE, why);
    else if (r.op == CMD_METRIC_WRITE)
        send_metric(c, &r);
    else if (r.op == CMD_REBIRTH)
        send_rebirth(c);
    else
        send_lwm2m(c, &r);
}
