/* command.c - one command: its request, its row, what the world hears of it, and its end.
 *
 * Only command_finish() ends one. */
#include "engine/command.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

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

bool command_parse(struct command *c, struct cmd_request *r, const char **why)
{
    struct arena *a = &c->device->shard->scratch2;
    arena_reset(a);
    return cmd_parse(a, str_of(c->request), r, why) == ERR_OK;
}

static int model_ops(void *ctx, uint16_t object, uint16_t resource)
{
    const struct lw_resource_model *m = lw_model_resource(ctx, object, resource);
    return m ? m->ops : -1;
}

enum err command_type(struct command *c, struct cmd_request *r, const char **why)
{
    struct shard *s = c->device->shard;
    const struct lw_model *model = s->engine->model;
    struct lw_op_lookup ops = {model_ops, (void *)(uintptr_t)model};
    return cmd_type(&s->scratch2, r, lw_model_typer(model), ops, why);
}

void command_set_error(struct command *c, const char *error)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 4096);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_put_null(&j, "code");
    json_put_text(&j, "error", error);
    json_close(&j);
    free(c->result);
    c->result = buf_take(&b, NULL);
    buf_fini(&b);
}

bool command_keep_expected(struct command *c, struct str *s)
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

/* ---- telling the world ---- */

void command_store(struct command *c, const char *why, int64_t finished_ms, writer_done *done,
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
    if (!command_parse(c, &r, &why))
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

/* ---- changing state ---- */

bool command_step(struct command *c, enum cmd_event ev)
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

void command_finish(struct command *c, enum cmd_event ev, const char *why)
{
    struct device *d = c->device;
    int64_t now = d->shard->now.utc_ms;
    char target[160];
    if (!command_step(c, ev))
        return;
    count_end(c);
    if (c->sent_us)
        histogram_observe_us(d->shard->engine->metrics, H_COMMAND, clock_mono_us() - c->sent_us);
    command_store(c, why, now, NULL, NULL, cmd_state_word(c->state));
    target_words(c, target, sizeof target);
    timeline_addf(d, TL_COMMAND, "%s%s: %s%s%s", cmd_op_word(c->op), target,
                  cmd_state_word(c->state), why ? ": " : "", why ? why : "");
    tell_waiters(d->shard, c, why, now);
    feed(c, why, now);
    list_remove(&c->node);
    d->n_commands--;
    command_free(c);
}

void command_progress(struct command *c, bool store)
{
    if (store)
        command_store(c, NULL, 0, NULL, NULL, cmd_state_word(c->state));
    feed(c, NULL, 0);
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
