/* command.h - a command under way, and what the files about commands share.
 *
 *   commands.c        those of a device: arrival, turn, time
 *   command_send.c    out to the device
 *   command_answer.c  what comes back
 *   command.c         the command itself: state, row, audience, end
 *
 * A command hangs in its device's list until command_finish frees it: after a call that may finish
 * it, look for it again or touch it no more. */
#ifndef BRAID_ENGINE_COMMAND_H
#define BRAID_ENGINE_COMMAND_H

#include "engine/engine_int.h"

struct command {
    struct list node; /* device->commands, oldest first */
    struct device *device;
    char id[37];
    uint64_t request_id; /* unique in the shard: what the LwM2M client knows it by */
    enum cmd_state state;
    bool arming;     /* its `sent` row is being written; publish when durable */
    char *request;   /* JSON as posted */
    char *by;        /* who asked */
    char *subdevice; /* whom a metric-write is for; NULL the node */
    enum cmd_op op;
    uint32_t timeout_ms;
    int64_t created_ms, sent_ms;
    int64_t expires_ms;        /* UTC end of ttl while queued */
    uint64_t deadline_mono_ms; /* sent: answer or echo due; UINT64_MAX none */
    uint64_t sent_us;
    char token[LW_TOKEN_MAX + 1];
    /* the effect we wait to see */
    bool expects;
    struct lw_path expect_path;
    struct lw_value expect_value;
    uint32_t expect_series;
    struct spb_value expect_metric;
    char *expect_text;
    char *result; /* JSON so far, NULL if none */
};

/* command_parse reads the request; views live in scratch2 until the next call. */
bool command_parse(struct command *c, struct cmd_request *r, const char **why);
/* command_type makes the values of a parsed LwM2M request those of the object model. */
MUST_CHECK enum err command_type(struct command *c, struct cmd_request *r, const char **why);
/* command_step moves to the state that follows; false (and logged) where there is no such edge. */
bool command_step(struct command *c, enum cmd_event ev);
/* command_progress tells the new state, and stores it if asked. */
void command_progress(struct command *c, bool store);
/* command_store writes `state` into the row; `done`, if any, hears when that is durable. */
void command_store(struct command *c, const char *why, int64_t finished_ms, writer_done *done,
                   void *ctx, const char *state);
/* command_set_error makes {"code":null,"error":WORD} the result. */
void command_set_error(struct command *c, const char *error);
/* command_finish moves to a final state, stores and tells it, and frees the command. */
void command_finish(struct command *c, enum cmd_event ev, const char *why);
/* command_keep_expected gives the command its own copy of a text or of bytes, NULs and all, whose
 * echo it awaits. */
bool command_keep_expected(struct command *c, struct str *s);

/* command_send publishes a queued command: afterwards it is sent, has failed (and is gone), or is
 * queued as before because broker or device went away. */
void command_send(struct command *c);

#endif
