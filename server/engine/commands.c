/* commands.c - commands of a device, from the committed row to the end both strands share.
 *
 * The row is `queued` in SQL before we hear of it.  A command that must not be repeated is marked
 * `sent` durably before it is published ("armed"), so that a crash in between leaves it `unknown`
 * instead of executing it twice; a repeatable one is published at once.  While the acknowledgement
 * of a registration or an update waits for its row, nothing is sent over LwM2M: a device is told
 * first that it is known here.  Only finish() ends one. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PER_DEVICE 1000

void command_free(struct command *c)
{
    if (!c)
        return;
    free(c->request);
    free(c->by);
    free(c->subdevice);
    free(c->expect_text);
    free(c->result);
    free(c);
}

struct command *command_find(struct device *d, struct str id)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (str_is(id, c->id))
            return c;
    }
    return NULL;
}

static bool parse(struct command *c, struct cmd_request *r, const char **why)
{
    struct arena *a = &c->device->shard->scratch2;
    arena_reset(a);
    return cmd_parse(a, str_of(c->request), r, why) == ERR_OK;
}

/* ---- telling the world ---- */

static void store_state(struct command *c, const char *why, int64_t finished_ms, writer_done *done,
                        void *ctx, const char *state)
{
    struct engine *e = c->device->shard->engine;
    struct params p = {.n = 0};
    params_text(&p, c->id);
    params_text(&p, state);
    params_text(&p, why);
    params_ms(&p, c->sent_ms);
    params_ms(&p, finished_ms);
    params_text(&p, c->result);
    params_text(&p, c->token[0] ? c->token : NULL);
    if (!done) {
        params_put(e, ST_COMMAND_STATE, &p);
        return;
    }
    enum err err = writer_put(e->writer, ST_COMMAND_STATE, p.v, p.n, done, ctx);
    if (err)
        done(ctx, err);
}

static void feed(struct command *c, const char *why, int64_t finished_ms)
{
    unsigned wanted = live_wanted(c->device->shard->live, str_of(c->device->endpoint));
    if (!(wanted & (1u << LIVE_DEVICE | 1u << LIVE_COMMANDS)))
        return;
    struct buf b;
    struct json_out j;
    buf_init(&b, (size_t)4 << 20);
    json_out_init(&j, &b);
    render_command(c, why, finished_ms, &j);
    if (!b.err)
        feed_command(c->device, buf_view(&b));
    buf_fini(&b);
}

static void count_end(struct command *c)
{
    struct metrics *m = c->device->shard->engine->metrics;
    switch (c->state) {
    case CMD_SUCCEEDED:
    case CMD_OBSERVED:
        metric_add(m, M_CMD_SUCCEEDED, 1);
        break;
    case CMD_FAILED:
        metric_add(m, M_CMD_FAILED, 1);
        break;
    case CMD_TIMED_OUT:
        metric_add(m, M_CMD_TIMED_OUT, 1);
        break;
    default:
        metric_add(m, M_CMD_OTHER, 1);
        break;
    }
}

static void tell_waiters(struct shard *s, const struct command *c, const char *why,
                         int64_t finished_ms)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, (size_t)4 << 20);
    json_out_init(&j, &b);
    render_command_members(c, why, finished_ms, &j);
    waiters_tell(s->engine->waiters, c->id, c->state, buf_view(&b));
    buf_fini(&b);
}

static void target_words(struct command *c, char *out, size_t size)
{
    struct cmd_request r;
    const char *why;
    out[0] = '\0';
    if (!parse(c, &r, &why))
        return;
    if (r.op == CMD_METRIC_WRITE)
        snprintf(out, size, " %.*s%s%.*s", STR_ARG(r.device), r.device.n ? "/" : "",
                 STR_ARG(r.metric));
    else if (r.op != CMD_REBIRTH && r.lw.path.n) {
        char path[LW_PATH_TEXT];
        lw_path_text(r.lw.path, path);
        snprintf(out, size, " %s", path);
    }
}

static bool step(struct command *c, enum cmd_event ev)
{
    enum cmd_state to;
    if (cmd_step(c->state, ev, &to)) {
        log_error("command.no_edge", KV("id", c->id), KV("state", cmd_state_word(c->state)),
                  KI("event", ev));
        return false;
    }
    c->state = to;
    return true;
}

/* Moves to a final state, stores and tells it, and frees the command. */
static void finish(struct command *c, enum cmd_event ev, const char *why)
{
    struct device *d = c->device;
    int64_t now = d->shard->now.utc_ms;
    char target[160];
    if (!step(c, ev))
        return;
    count_end(c);
    if (c->sent_us)
        histogram_observe_us(d->shard->engine->metrics, H_COMMAND, clock_mono_us() - c->sent_us);
    store_state(c, why, now, NULL, NULL, cmd_state_word(c->state));
    target_words(c, target, sizeof target);
    timeline_addf(d, TL_COMMAND, "%s%s: %s%s%s", cmd_op_word(c->op), target,
                  cmd_state_word(c->state), why ? ": " : "", why ? why : "");
    tell_waiters(d->shard, c, why, now);
    feed(c, why, now);
    list_remove(&c->node);
    d->n_commands--;
    command_free(c);
}

static void progress(struct command *c, bool store)
{
    if (store)
        store_state(c, NULL, 0, NULL, NULL, cmd_state_word(c->state));
    feed(c, NULL, 0);
}

/* ---- sending ---- */

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

static void set_result(struct command *c, const char *error)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 4096);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_key(&j, "code");
    json_null(&j);
    json_key(&j, "error");
    json_text(&j, error);
    json_close(&j);
    free(c->result);
    c->result = buf_take(&b, NULL);
    buf_fini(&b);
}

static void mark_sent(struct command *c)
{
    struct shard *s = c->device->shard;
    if (!step(c, CMD_EV_SEND))
        return;
    c->sent_ms = s->now.utc_ms;
    c->sent_us = clock_mono_us();
    progress(c, true);
}

static int model_ops(void *ctx, uint16_t object, uint16_t resource)
{
    const struct lw_resource_model *m = lw_model_resource(ctx, object, resource);
    return m ? m->ops : -1;
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
        set_result(c, "not_expressible");
        finish(c, CMD_EV_REFUSE, "the device's dialect cannot express this operation");
    } else if (e == ERR_NOTFOUND) {
        set_result(c, "not_found");
        finish(c, CMD_EV_REFUSE, "there is no such observation or metric");
    } else if (e == ERR_TYPE || e == ERR_RANGE || e == ERR_INVALID) {
        set_result(c, "wrong_type");
        finish(c, CMD_EV_REFUSE, "the value does not fit the metric's datatype");
    } else if (e == ERR_DENIED) {
        set_result(c, "read_only");
        finish(c, CMD_EV_REFUSE, "the metric is read-only");
    } else {
        set_result(c, err_word(e));
        finish(c, CMD_EV_REFUSE, e == ERR_FULL ? "too many requests are pending" : err_word(e));
    }
}

static void send_lwm2m(struct command *c, struct cmd_request *r)
{
    struct device *d = c->device;
    struct lw_token token;
    const char *why = NULL;
    struct lw_op_lookup ops = {model_ops, (void *)(uintptr_t)d->shard->engine->model};
    enum err e =
        cmd_type(&d->shard->scratch2, r, lw_model_typer(d->shard->engine->model), ops, &why);
    if (e) {
        set_result(c, err_word(e));
        finish(c, CMD_EV_REFUSE, why);
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

/* Gives the command its own copy of a text or of bytes, NULs and all, whose echo it awaits. */
static bool keep_expected(struct command *c, struct str *s)
{
    char *copy = malloc(s->n + 1);
    if (!copy)
        return false;
    if (s->n)
        memcpy(copy, s->p, s->n);
    free(c->expect_text);
    c->expect_text = copy;
    s->p = copy;
    return true;
}

/* Keeps the value whose echo will prove the write. */
static void expect_metric(struct command *c, uint32_t series, struct spb_value v)
{
    bool text = v.cls == SPB_V_TEXT || v.cls == SPB_V_BYTES || v.cls == SPB_V_JSON;
    if (text && !keep_expected(c, &v.s))
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

static void publish(struct command *c)
{
    struct cmd_request r;
    const char *why = "malformed request";
    if (!parse(c, &r, &why))
        finish(c, CMD_EV_REFUSE, why);
    else if (r.op == CMD_METRIC_WRITE)
        send_metric(c, &r);
    else if (r.op == CMD_REBIRTH)
        send_rebirth(c);
    else
        send_lwm2m(c, &r);
}

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
    store_state(c, NULL, 0, on_armed, a, "sent");
}

/* The row says `sent`, but nothing went out: back to `queued`, or a restart would call it unknown.
 */
static void disarm(struct command *c)
{
    c->arming = false;
    c->sent_ms = 0;
    progress(c, true);
}

void commands_armed(struct shard *s, const struct letter_armed *l)
{
    struct device *d = map_find_u64(&s->by_id, (uint64_t)l->device_id);
    struct command *c = d ? command_find(d, str_of(l->command_id)) : NULL;
    if (!c || !c->arming)
        return;
    c->arming = false;
    if (l->result)
        finish(c, CMD_EV_REFUSE, "the command could not be recorded before sending");
    else if (!awaits_ack(c)) /* else its acknowledgement sends it */
        publish(c);
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
            set_result(c, "no_strand");
            finish(c, CMD_EV_REFUSE,
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
        if (cmd_op_repeatable(c->op) || c->restored)
            publish(c);
        else
            arm(c);
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

void command_fail_gone(struct shard *s, struct str id, const char *why)
{
    struct params p = {.n = 0};
    params_str(&p, id);
    params_text(&p, "failed");
    params_text(&p, why);
    params_null(&p);
    params_i64(&p, s->now.utc_ms);
    params_null(&p);
    params_null(&p);
    params_put(s->engine, ST_COMMAND_STATE, &p);
    struct command gone = {.state = CMD_FAILED};
    snprintf(gone.id, sizeof gone.id, "%.*s", STR_ARG(id));
    tell_waiters(s, &gone, why, s->now.utc_ms);
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
    if (!parse(c, &r, &why)) {
        finish(c, CMD_EV_REFUSE, why);
        return;
    }
    take_terms(c, &r);
    feed(c, NULL, 0);
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
    if (!cmd_state_from(l->state, &c->state) || !parse(c, &r, &why)) {
        c->state = CMD_QUEUED;
        finish(c, CMD_EV_REFUSE, "the stored request cannot be read");
        return ERR_OK;
    }
    take_terms(c, &r);
    c->sent_ms = l->sent_ms;
    if (c->state == CMD_QUEUED)
        return ERR_OK;
    if (c->state == CMD_SENT && cmd_op_repeatable(c->op)) {
        if (step(c, CMD_EV_RETRY))
            progress(c, true);
        return ERR_OK;
    }
    if (c->state == CMD_ACCEPTED)
        finish(c, CMD_EV_SUCCEED, "accepted; Braid restarted before the effect was seen");
    else
        finish(c, CMD_EV_LOSE, "Braid restarted after sending it; the answer was not seen");
    return ERR_OK;
}

/* ---- answers and effects ---- */

static void answer_json(const struct lw_answer *a, struct buf *b)
{
    struct json_out j;
    char text[LW_PATH_TEXT], code[8];
    json_out_init(&j, b);
    json_open(&j, '{');
    lw_code_text(a->code, code);
    json_key(&j, "code");
    json_text(&j, code);
    if (a->values.n) {
        json_key(&j, "values");
        json_open(&j, '[');
        for (size_t i = 0; i < a->values.n; i++) {
            const struct lw_entry *e = &a->values.v[i];
            json_open(&j, '{');
            lw_path_text(e->path, text);
            json_key(&j, "path");
            json_text(&j, text);
            json_key(&j, "value");
            lw_value_json(&j, e->value);
            json_key(&j, "type");
            json_text(&j, lw_type_word(e->value.type));
            json_close(&j);
        }
        json_close(&j);
    }
    if (a->links) {
        struct buf links;
        buf_init(&links, PAYLOAD_MAX);
        lw_links_write(&links, a->links);
        json_key(&j, "links");
        json_str(&j, buf_view(&links));
        buf_fini(&links);
    }
    if (a->has_created) {
        lw_path_text(a->created, text);
        json_key(&j, "path");
        json_text(&j, text);
    }
    if (a->error.p) {
        json_key(&j, "error");
        json_str(&j, a->error);
    }
    json_close(&j);
}

static bool expect_value(struct command *c, const struct lw_entry *e)
{
    struct lw_value v = e->value;
    bool text = v.type == LW_STRING || v.type == LW_OPAQUE || v.type == LW_CORELNK;
    if (text && !keep_expected(c, &v.s))
        return false;
    c->expect_path = e->path;
    c->expect_value = v;
    c->expects = true;
    return true;
}

/* A write was accepted: the value is what we wrote (the client told us so before this), until
 * somebody says otherwise; with an observation over it, the notification will prove it. */
static void accepted_write(struct command *c)
{
    struct device *d = c->device;
    struct cmd_request r;
    const char *why;
    struct lw_op_lookup ops = {model_ops, (void *)(uintptr_t)d->shard->engine->model};
    if (!parse(c, &r, &why) ||
        cmd_type(&d->shard->scratch2, &r, lw_model_typer(d->shard->engine->model), ops, &why)) {
        finish(c, CMD_EV_SUCCEED, NULL);
        return;
    }
    if (r.lw.values.n == 1 && lw_client_observes(d->lw, r.lw.values.v[0].path) &&
        expect_value(c, &r.lw.values.v[0]) && step(c, CMD_EV_ACCEPT)) {
        c->deadline_mono_ms = d->shard->now.mono_ms + c->timeout_ms;
        progress(c, true);
        return;
    }
    finish(c, CMD_EV_SUCCEED, NULL);
}

static struct command *find_request(struct device *d, uint64_t request_id)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->request_id == request_id)
            return c;
    }
    return NULL;
}

void commands_answer(struct device *d, const struct lw_answer *a)
{
    struct command *c = find_request(d, a->request_id);
    char why[256], code[8];
    if (!c)
        return;
    if (a->outcome == LW_TIMED_OUT) {
        snprintf(why, sizeof why, "no answer within %u ms", c->timeout_ms);
        finish(c, CMD_EV_TIMEOUT, why);
        return;
    }
    if (a->outcome == LW_DROPPED) {
        finish(c, CMD_EV_LOSE, "the registration ended before the answer came");
        return;
    }
    struct buf b;
    buf_init(&b, (size_t)2 << 20);
    answer_json(a, &b);
    free(c->result);
    c->result = buf_take(&b, NULL);
    buf_fini(&b);
    if (!lw_code_ok(a->code)) {
        lw_code_text(a->code, code);
        snprintf(why, sizeof why, "the device answered %s %s%s%.*s", code, lw_code_phrase(a->code),
                 a->error.n ? ": " : "", a->error.n > 160 ? 160 : (int)a->error.n,
                 a->error.p ? a->error.p : "");
        finish(c, CMD_EV_REFUSE, why);
    } else if (c->op == CMD_WRITE || c->op == CMD_WRITE_COMPOSITE) {
        accepted_write(c);
    } else {
        finish(c, CMD_EV_SUCCEED, NULL);
    }
}

void commands_see_lwm2m(struct device *d, const struct lw_entry *e)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_ACCEPTED && c->expects && !cmd_op_sparkplug(c->op) &&
            lw_path_eq(c->expect_path, e->path) && lw_value_eq(c->expect_value, e->value))
            finish(c, CMD_EV_OBSERVE, NULL);
    }
}

void commands_see_metric(struct device *d, const struct spb_sample *s)
{
    if (list_empty(&d->commands))
        return;
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_SENT && c->op == CMD_METRIC_WRITE && c->expects &&
            c->expect_series == s->tag.cell->series && spb_value_eq(&c->expect_metric, &s->value))
            finish(c, CMD_EV_OBSERVE, NULL);
    }
}

void commands_see_birth(struct device *d)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_SENT && c->op == CMD_REBIRTH)
            finish(c, CMD_EV_OBSERVE, NULL);
    }
}

void commands_puback(struct shard *s, const struct letter_puback *l)
{
    struct device *d = map_find_u64(&s->by_id, (uint64_t)l->device_id);
    struct command *c = d ? command_find(d, str_of(l->command_id)) : NULL;
    char why[96];
    if (!c || c->state != CMD_SENT)
        return;
    lw_client_drop(d->lw, c->request_id);
    snprintf(why, sizeof why,
             l->reason == 16 ? "the device is not connected: nobody listens on its topic"
                             : "the broker refused the message (reason %d)",
             l->reason);
    set_result(c, "not_connected");
    finish(c, CMD_EV_REFUSE, why);
    device_settle(d);
}

enum err commands_cancel(struct device *d, struct str id)
{
    struct command *c = command_find(d, id);
    if (!c)
        return ERR_NOTFOUND;
    if (c->state != CMD_QUEUED || c->arming)
        return ERR_CONFLICT;
    finish(c, CMD_EV_CANCEL, "cancelled by an operator");
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
            finish(c, CMD_EV_EXPIRE, "its time to live ran out before the device could take it");
        } else if (c->state == CMD_ACCEPTED && c->deadline_mono_ms <= now.mono_ms) {
            finish(c, CMD_EV_SUCCEED, "accepted; no notification showed the value in time");
        } else if (c->state == CMD_SENT && c->deadline_mono_ms <= now.mono_ms) {
            snprintf(why, sizeof why,
                     c->op == CMD_REBIRTH ? "no birth came within %u ms"
                                          : "no DATA carried the new value within %u ms",
                     c->timeout_ms);
            finish(c, CMD_EV_TIMEOUT, why);
        }
    }
}
