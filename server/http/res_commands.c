/* res_commands.c - one POST for everything one can ask of a device, on either strand.
 *
 * The order makes it safe: check, INSERT and commit, then the hint to the shard.  A crash between
 * the two leaves a queued command that the next start finds.  With ?wait=S the request parks until
 * the command is final: the waiter exists before the hint, so no answer is missed; the pooled
 * connection is given back before parking; at most half of the workers park, the others answer 202
 * at once; and a client that goes away cancels nothing. */
#include "http/http_int.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_MAX_S  30
#define SLICE_MS    200 /* how soon a stop is noticed while parked */
#define HINT_TRIES  20  /* x 50 ms: how long a full mailbox may take */
#define KEY_MAX     200
#define REQUEST_MAX (256u << 10)

/* A command on its way through this file. */
struct post {
    struct str text; /* the body as posted */
    struct cmd_request request;
    int64_t device_id;
    bool sleeping;
    int64_t wait_ms;
    char id[37];
    int64_t created_ms;
    bool repeated;
};

static int model_ops(void *ctx, uint16_t object, uint16_t resource)
{
    const struct lw_resource_model *m = lw_model_resource(ctx, object, resource);
    return m ? (int)m->ops : -1;
}

/* Checks the words of a command against its grammar and the object model; false after 422. */
static bool check_request(struct request *r, struct post *p)
{
    const char *why = "The command is not valid.", *code = "invalid_command";
    const struct lw_model *model = engine_model(r->http->parts.engine);
    enum err e = cmd_parse(&r->arena, p->text, &p->request, &why);
    if (!e && !cmd_op_sparkplug(p->request.op)) {
        struct lw_op_lookup ops = {model_ops, (void *)(uintptr_t)model};
        e = cmd_type(&r->arena, &p->request, lw_model_typer(model), ops, &why);
    }
    if (!e)
        return true;
    if (e == ERR_NOMEM) {
        reply_unavailable(r, "busy", "The server has no memory for this command.");
        return false;
    }
    if (e == ERR_TYPE)
        code = "wrong_type";
    else if (e == ERR_RANGE)
        code = "out_of_range";
    else if (e == ERR_DENIED)
        code = "not_allowed";
    else if (e == ERR_UNSUPPORTED)
        code = "not_expressible";
    reply_problem(r, 422, code, why);
    return false;
}

static bool read_wait(struct request *r, int64_t *wait_ms)
{
    struct str text = request_query(r, "wait");
    double seconds = 0;
    if (text.n && text.p[text.n - 1] == 's')
        text.n--;
    if (text.n && (str_to_double(text, &seconds) || seconds < 0 || seconds > WAIT_MAX_S)) {
        reply_problem(r, 400, "bad_parameter", "wait is a number of seconds up to 30.");
        return false;
    }
    *wait_ms = (int64_t)(seconds * 1000);
    return true;
}

static bool insert(struct request *r, struct post *p)
{
    struct str key = request_header(r, "Idempotency-Key");
    if (key.n > KEY_MAX || !str_utf8_valid(key)) {
        reply_problem(r, 400, "bad_idempotency_key", "Idempotency-Key has at most 200 bytes.");
        return false;
    }
    struct pg *db = request_db(r);
    if (!db)
        return false;
    struct command_insert in = {
        .device_id = p->device_id,
        .op = str_of(cmd_op_word(p->request.op)),
        .request = p->text,
        .by = str_of(r->who.name),
        .endpoint = r->params[0],
        .from = str_of(r->remote),
        .idempotency_key = key.n ? key : (struct str){0},
        .expires_ms = clock_utc_ms() + (int64_t)p->request.ttl_s * 1000,
    };
    enum err e = q_command_insert(db, &in, p->id, &p->created_ms, &p->repeated);
    if (e == ERR_CONFLICT)
        reply_problem(r, 409, "idempotency_conflict",
                      "This Idempotency-Key was used for another command.");
    else if (e)
        reply_err(r, e, "command");
    r->audited = !e && !p->repeated; /* in the same transaction */
    return !e;
}

/* What each state answers. `code` NULL: the command itself. */
static const struct {
    int status;
    const char *code, *detail;
} outcomes[CMD_STATE_COUNT] = {
    [CMD_QUEUED] = {202, NULL, NULL},
    [CMD_SENT] = {202, NULL, NULL},
    [CMD_ACCEPTED] = {202, NULL, NULL},
    [CMD_OBSERVED] = {200, NULL, NULL},
    [CMD_SUCCEEDED] = {200, NULL, NULL},
    [CMD_FAILED] = {502, "command_failed", "The command failed."},
    [CMD_TIMED_OUT] = {504, "timed_out", "The device did not answer in time."},
    [CMD_EXPIRED] = {409, "expired", "The command waited longer than its ttl."},
    [CMD_CANCELLED] = {409, "cancelled", "The command was cancelled."},
    [CMD_UNKNOWN] = {504, "outcome_unknown", "It was sent, but what became of it is not known."},
};

/* Refusals of our own, before the device was asked: the command is at fault, not the device. */
static const char *const our_refusals[] = {
    "not_expressible", "wrong_type", "out_of_range", "invalid",   "unsupported",
    "denied",          "read_only",  "not_found",    "no_strand",
};

/* What a failed command answers: the device's code, or our own word for it. */
static int failure(const struct json_node *command, char code[64])
{
    const struct json_node *result = json_get(command, "result");
    struct str word = {0};
    if (json_is_str(json_get(result, "code"), &word) && word.n && word.n < 16) {
        snprintf(code, 64, "device.%.*s", STR_ARG(word));
        return 502;
    }
    if (!json_is_str(json_get(result, "error"), &word) || !word.n || word.n > 60)
        return 502;
    snprintf(code, 64, "%.*s", STR_ARG(word));
    for (size_t i = 0; i < sizeof our_refusals / sizeof *our_refusals; i++)
        if (str_is(word, our_refusals[i]))
            return 422;
    return 502;
}

/* The answer for a command object, as its state says. */
static void answer(struct request *r, struct str object)
{
    struct json_node *node = NULL;
    struct str word = {0}, why = {0};
    enum cmd_state state = CMD_QUEUED;
    char code[64];
    if (json_parse(&r->arena, object, HTTP_JSON_NODES * 4, &node) ||
        !json_is_str(json_get(node, "state"), &word) || !cmd_state_from(word, &state)) {
        log_error("http.command_object", KS("object", object));
        reply_problem(r, 500, "internal", "The command cannot be shown.");
        return;
    }
    int status = outcomes[state].status;
    if (!outcomes[state].code) {
        json_raw(reply_json(r, status), object);
        return;
    }
    snprintf(code, sizeof code, "%s", outcomes[state].code);
    if (state == CMD_FAILED)
        status = failure(node, code);
    if (json_is_str(json_get(node, "why"), &why) && why.n)
        why = arena_str(&r->arena, why); /* terminated */
    struct json_out *j =
        reply_problem_open(r, status, code, why.n && why.p ? why.p : outcomes[state].detail);
    json_put_raw(j, "command", object);
    json_close(j);
}

/* Answers from the row; `buf` holds the object meanwhile. */
static void answer_from_row(struct request *r, struct str id)
{
    struct pg *db = request_db(r);
    if (!db)
        return;
    struct buf object;
    struct json_out j;
    buf_init(&object, HTTP_ANSWER_MAX);
    json_out_init(&j, &object);
    enum err e = q_command(db, id, &j);
    request_db_end(r);
    if (e)
        reply_err(r, e, "command");
    else
        answer(r, buf_view(&object));
    buf_fini(&object);
}

/* The command object of a POST, from what is known without asking the database again.  `members`
 * empty: just queued. */
static void answer_from_memory(struct request *r, const struct post *p, struct str members)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, HTTP_ANSWER_MAX);
    json_out_init(&j, &b);
    json_open(&j, '{');
    json_put_text(&j, "id", p->id);
    json_put_str(&j, "endpoint", r->params[0]);
    json_put_text(&j, "op", cmd_op_word(p->request.op));
    json_put_raw(&j, "request", p->text);
    json_put_time(&j, "created_at", p->created_ms);
    json_put_text(&j, "by", r->who.name);
    buf_putc(&b, ',');
    buf_str(&b, members.n ? members
                          : (struct str)STR("\"state\":\"queued\",\"why\":null,\"sent_at\":null,"
                                            "\"finished_at\":null,\"result\":null"));
    buf_putc(&b, '}');
    if (b.err)
        reply_err(r, ERR_TOOBIG, "command");
    else
        answer(r, buf_view(&b));
    buf_fini(&b);
}

/* Takes one of the parking places; false when none is free. */
static bool park(struct http *h)
{
    if (atomic_fetch_add(&h->parked, 1) < h->parked_max)
        return true;
    atomic_fetch_sub(&h->parked, 1);
    return false;
}

/* Tells the shard; a full mailbox is given a second, the row is safe anyway. */
static enum err hint(struct request *r, const struct post *p)
{
    enum err e = ERR_FULL;
    for (int i = 0; i < HINT_TRIES && e == ERR_FULL && !atomic_load(&r->http->stopping); i++) {
        if (i)
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
        e = engine_command(r->http->parts.engine, r->params[0], str_of(p->id), p->text,
                           str_of(r->who.name), p->created_ms);
    }
    return e;
}

static void wait_and_answer(struct request *r, const struct post *p, struct engine_waiter *w)
{
    struct buf members;
    enum cmd_state state;
    buf_init(&members, HTTP_ANSWER_MAX);
    uint64_t end = clock_mono_ms() + (uint64_t)p->wait_ms, now;
    enum err e = ERR_TIMEOUT;
    while (e == ERR_TIMEOUT && (now = clock_mono_ms()) < end && !atomic_load(&r->http->stopping))
        e = engine_waiter_wait(w, (uint32_t)(end - now < SLICE_MS ? end - now : SLICE_MS), &state,
                               &members);
    if (!e)
        answer_from_memory(r, p, buf_view(&members));
    else
        answer_from_row(r, str_of(p->id));
    buf_fini(&members);
}

static void send_and_answer(struct request *r, const struct post *p)
{
    struct http *h = r->http;
    bool parked = p->wait_ms > 0 && !p->sleeping && park(h);
    struct engine_waiter *w = parked ? engine_waiter_new(h->parts.engine, str_of(p->id)) : NULL;
    request_db_end(r);
    enum err e = hint(r, p);
    metric_add(h->metrics, M_CMD_CREATED, 1);
    if (e)
        reply_err(r, e, "device");
    else if (w)
        wait_and_answer(r, p, w);
    else
        answer_from_memory(r, p, (struct str){0});
    engine_waiter_free(w);
    if (parked)
        atomic_fetch_sub(&h->parked, 1);
}

void res_command_post(struct request *r)
{
    struct post p = {0};
    if (!request_endpoint(r) || !read_wait(r, &p.wait_ms) || !request_json(r))
        return;
    p.text = r->text;
    if (p.text.n > REQUEST_MAX) {
        reply_problem(r, 413, "too_large", "A command may have at most 256 KiB.");
        return;
    }
    if (!check_request(r, &p))
        return;
    enum err e = engine_device_id(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS, &p.device_id,
                                  &p.sleeping);
    if (e) {
        reply_err(r, e, "device");
        return;
    }
    if (!insert(r, &p))
        return;
    if (p.repeated)
        answer_from_row(r, str_of(p.id));
    else
        send_and_answer(r, &p);
}

/* An id of ours: 36 characters of a UUID. */
static bool id_ok(struct request *r, struct str id)
{
    bool ok = id.n == 36;
    for (size_t i = 0; ok && i < id.n; i++)
        ok = id.p[i] == '-' || (id.p[i] >= '0' && id.p[i] <= '9') ||
             (id.p[i] >= 'a' && id.p[i] <= 'f');
    if (!ok)
        reply_problem(r, 404, "not_found", "There is no such command.");
    return ok;
}

/* GET shows any state with 200: the outcome is in the object. */
void res_command(struct request *r)
{
    struct pg *db = id_ok(r, r->params[0]) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = q_command(db, r->params[0], reply_json(r, 200));
    if (e)
        reply_err(r, e, "command");
}

static void list(struct request *r, struct str endpoint)
{
    struct q_page page;
    if (!request_page(r, &page))
        return;
    struct str word = request_query(r, "state");
    enum cmd_state state;
    if (word.n && !cmd_state_from(word, &state)) {
        reply_problem(r, 400, "bad_parameter", "state is one of the states of a command.");
        return;
    }
    if (!word.n)
        word.p = NULL;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = q_commands(db, endpoint, word, page, reply_json(r, 200));
    reply_list_err(r, e, "command");
}

void res_commands(struct request *r)
{
    list(r, (struct str){0});
}

void res_device_commands(struct request *r)
{
    if (request_endpoint(r))
        list(r, r->params[0]);
}

void res_command_cancel(struct request *r)
{
    struct pg *db = id_ok(r, r->params[0]) ? request_db(r) : NULL;
    if (!db)
        return;
    struct buf object;
    struct json_out j;
    struct json_node *node = NULL;
    struct str endpoint = {0};
    buf_init(&object, HTTP_ANSWER_MAX);
    json_out_init(&j, &object);
    enum err e = q_command(db, r->params[0], &j);
    request_db_end(r);
    if (!e)
        e = json_parse(&r->arena, buf_view(&object), HTTP_JSON_NODES * 4, &node);
    if (!e && !json_is_str(json_get(node, "endpoint"), &endpoint))
        e = ERR_INVALID;
    buf_fini(&object); /* `endpoint` lives in the arena */
    if (!e)
        e = engine_command_cancel(r->http->parts.engine, endpoint, r->params[0], HTTP_ENGINE_MS);
    bool over = node && e == ERR_NOTFOUND; /* the row is there, the shard is done with it */
    if (e == ERR_CONFLICT || over) {
        reply_problem(r, 409, "not_cancellable", "Only a queued command can be cancelled.");
    } else if (e) {
        reply_err(r, e, "command");
    } else {
        audit_change(r, "command_cancel", r->params[0], (struct str)STR("\"queued\""),
                     (struct str)STR("\"cancelled\""));
        struct pg *again = request_db(r);
        e = again ? q_command(again, r->params[0], reply_json(r, 200)) : ERR_OK;
        if (e)
            reply_err(r, e, "command");
    }
}
