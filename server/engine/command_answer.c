/* command_answer.c - what ends a command from outside: the device's answer, a value, a birth, or
 * the broker that knows nobody to deliver to. */
#include "engine/command.h"

#include <stdio.h>
#include <stdlib.h>

static void answer_json(const struct lw_answer *a, struct buf *b)
{
    struct json_out j;
    char text[LW_PATH_TEXT], code[8];
    json_out_init(&j, b);
    json_open(&j, '{');
    lw_code_text(a->code, code);
    json_put_text(&j, "code", code);
    if (a->values.n) {
        json_key(&j, "values");
        json_open(&j, '[');
        for (size_t i = 0; i < a->values.n; i++) {
            const struct lw_entry *e = &a->values.v[i];
            json_open(&j, '{');
            lw_path_text(e->path, text);
            json_put_text(&j, "path", text);
            json_key(&j, "value");
            lw_value_json(&j, e->value);
            json_put_text(&j, "type", lw_type_word(e->value.type));
            json_close(&j);
        }
        json_close(&j);
    }
    if (a->links) {
        struct buf links;
        buf_init(&links, PAYLOAD_MAX);
        lw_links_write(&links, a->links);
        json_put_str(&j, "links", buf_view(&links));
        buf_fini(&links);
    }
    if (a->has_created) {
        lw_path_text(a->created, text);
        json_put_text(&j, "path", text);
    }
    if (a->error.p)
        json_put_str(&j, "error", a->error);
    json_close(&j);
}

static bool expect_value(struct command *c, const struct lw_entry *e)
{
    struct lw_value v = e->value;
    if (lw_type_has_text(v.type) && !command_keep_expected(c, &v.s))
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
    if (!command_parse(c, &r, &why) || command_type(c, &r, &why)) {
        command_finish(c, CMD_EV_SUCCEED, NULL);
        return;
    }
    if (r.lw.values.n == 1 && lw_client_observes(d->lw, r.lw.values.v[0].path) &&
        expect_value(c, &r.lw.values.v[0]) && command_step(c, CMD_EV_ACCEPT)) {
        c->deadline_mono_ms = d->shard->now.mono_ms + c->timeout_ms;
        command_progress(c, true);
        return;
    }
    command_finish(c, CMD_EV_SUCCEED, NULL);
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
        command_finish(c, CMD_EV_TIMEOUT, why);
        return;
    }
    if (a->outcome == LW_DROPPED) {
        command_finish(c, CMD_EV_LOSE, "the registration ended before the answer came");
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
        command_finish(c, CMD_EV_REFUSE, why);
    } else if (c->op == CMD_WRITE || c->op == CMD_WRITE_COMPOSITE) {
        accepted_write(c);
    } else {
        command_finish(c, CMD_EV_SUCCEED, NULL);
    }
}

void commands_see_lwm2m(struct device *d, const struct lw_entry *e)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_ACCEPTED && c->expects && !cmd_op_sparkplug(c->op) &&
            lw_path_eq(c->expect_path, e->path) && lw_value_eq(c->expect_value, e->value))
            command_finish(c, CMD_EV_OBSERVE, NULL);
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
            command_finish(c, CMD_EV_OBSERVE, NULL);
    }
}

void commands_see_birth(struct device *d)
{
    list_each(it, &d->commands)
    {
        struct command *c = list_entry(it, struct command, node);
        if (c->state == CMD_SENT && c->op == CMD_REBIRTH)
            command_finish(c, CMD_EV_OBSERVE, NULL);
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
    command_set_error(c, "not_connected");
    command_finish(c, CMD_EV_REFUSE, why);
    device_settle(d);
}
