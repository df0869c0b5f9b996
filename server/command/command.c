/* command.c - the machine of a command's life: one edge table, one driver.
 *
 *                  +------------- retry -------------+
 *                  v                                 |
 *              +--------+  send   +------+  accept  +----------+  observe   +----------+
 *      ------> | queued | ------> | sent | -------> | accepted | ---------> | observed |
 *              +--------+         +------+          +----------+            +----------+
 *               |  |  |             | | |  \observe, succeed |  \succeed
 *          expire cancel refuse     | | lose -> unknown      |   +----------> succeeded
 *                                   | timeout -> timed_out
 *                                   refuse -> failed
 *
 *   queued    durable, not yet on the wire: nothing can have happened on the device.
 *   sent      on the wire: the device may or may not have acted, so it cannot be cancelled.
 *   accepted  the device said 2.xx; an observation or the next data will show the effect.
 *   the rest  final: no edge leads out.
 *
 * Whoever owns a command assigns its state only from cmd_step. */
#include "command/command.h"

struct cmd_edge {
    enum cmd_state from;
    enum cmd_event ev;
    enum cmd_state to;
    const char *why;
};

static const struct cmd_edge cmd_edges[] = {
    {CMD_QUEUED, CMD_EV_SEND, CMD_SENT, "published to the device"},
    {CMD_QUEUED, CMD_EV_REFUSE, CMD_FAILED, "cannot be sent"},
    {CMD_QUEUED, CMD_EV_EXPIRE, CMD_EXPIRED, "waited longer than its ttl"},
    {CMD_QUEUED, CMD_EV_CANCEL, CMD_CANCELLED, "cancelled before it was sent"},
    {CMD_SENT, CMD_EV_ACCEPT, CMD_ACCEPTED, "2.xx, the effect is still to be seen"},
    {CMD_SENT, CMD_EV_OBSERVE, CMD_OBSERVED, "the effect was seen"},
    {CMD_SENT, CMD_EV_SUCCEED, CMD_SUCCEEDED, "2.xx"},
    {CMD_SENT, CMD_EV_REFUSE, CMD_FAILED, "the device refused"},
    {CMD_SENT, CMD_EV_TIMEOUT, CMD_TIMED_OUT, "no answer in time"},
    {CMD_SENT, CMD_EV_LOSE, CMD_UNKNOWN, "sent, then a crash or the session's loss"},
    {CMD_SENT, CMD_EV_RETRY, CMD_QUEUED, "harmless to repeat after a restart"},
    {CMD_ACCEPTED, CMD_EV_OBSERVE, CMD_OBSERVED, "the effect was seen"},
    {CMD_ACCEPTED, CMD_EV_SUCCEED, CMD_SUCCEEDED, "accepted; the effect was not watched further"},
};

struct state_row {
    const char *word;
    bool final;
};

static const struct state_row state_rows[CMD_STATE_COUNT] = {
#define X(id, word, final) [id] = {word, final},
    CMD_STATE_TABLE(X)
#undef X
};

static const char *const event_words[CMD_EV_COUNT] = {
    [CMD_EV_SEND] = "send",       [CMD_EV_ACCEPT] = "accept", [CMD_EV_OBSERVE] = "observe",
    [CMD_EV_SUCCEED] = "succeed", [CMD_EV_REFUSE] = "refuse", [CMD_EV_TIMEOUT] = "timeout",
    [CMD_EV_EXPIRE] = "expire",   [CMD_EV_CANCEL] = "cancel", [CMD_EV_LOSE] = "lose",
    [CMD_EV_RETRY] = "retry",
};

struct op_row {
    const char *word;
    char strand;
    bool repeatable;
};

static const struct op_row op_rows[CMD_OP_COUNT] = {
#define X(id, word, strand, repeatable) [id] = {word, strand, repeatable},
    CMD_OP_TABLE(X)
#undef X
};

const char *cmd_state_word(enum cmd_state s)
{
    return (unsigned)s < CMD_STATE_COUNT ? state_rows[s].word : "unknown";
}

bool cmd_state_from(struct str word, enum cmd_state *out)
{
    for (unsigned i = 0; i < CMD_STATE_COUNT; i++)
        if (str_is(word, state_rows[i].word)) {
            *out = (enum cmd_state)i;
            return true;
        }
    return false;
}

bool cmd_state_final(enum cmd_state s)
{
    return (unsigned)s >= CMD_STATE_COUNT || state_rows[s].final;
}

enum err cmd_step(enum cmd_state from, enum cmd_event ev, enum cmd_state *to)
{
    for (size_t i = 0; i < sizeof cmd_edges / sizeof *cmd_edges; i++)
        if (cmd_edges[i].from == from && cmd_edges[i].ev == ev) {
            *to = cmd_edges[i].to;
            return ERR_OK;
        }
    return ERR_CONFLICT;
}

void cmd_dump(struct buf *out)
{
    buf_puts(out, "digraph command {\n  rankdir=LR;\n  node [shape=box];\n");
    for (unsigned i = 0; i < CMD_STATE_COUNT; i++)
        buf_printf(out, "  %s%s;\n", state_rows[i].word,
                   state_rows[i].final ? " [peripheries=2]" : "");
    for (size_t i = 0; i < sizeof cmd_edges / sizeof *cmd_edges; i++)
        buf_printf(out, "  %s -> %s [label=\"%s\", tooltip=\"%s\"];\n",
                   state_rows[cmd_edges[i].from].word, state_rows[cmd_edges[i].to].word,
                   event_words[cmd_edges[i].ev], cmd_edges[i].why);
    buf_puts(out, "}\n");
}

const char *cmd_op_word(enum cmd_op op)
{
    return (unsigned)op < CMD_OP_COUNT ? op_rows[op].word : "unknown";
}

bool cmd_op_from(struct str word, enum cmd_op *out)
{
    for (unsigned i = 0; i < CMD_OP_COUNT; i++)
        if (str_is(word, op_rows[i].word)) {
            *out = (enum cmd_op)i;
            return true;
        }
    return false;
}

bool cmd_op_sparkplug(enum cmd_op op)
{
    return (unsigned)op < CMD_OP_COUNT && op_rows[op].strand == 's';
}

bool cmd_op_repeatable(enum cmd_op op)
{
    return (unsigned)op < CMD_OP_COUNT && op_rows[op].repeatable;
}
