/* command.h - the life cycle every command goes through, whichever strand carries it.
 *
 * One edge table (command.c), one driver; the states are those of the REST API.  Pure.
 *
 *   queued -> sent -> accepted -> observed | succeeded
 *                  -> observed | succeeded | failed | timed_out | unknown
 *   queued -> expired | cancelled | failed            sent -> queued (re-sent after a restart) */
#ifndef BRAID_COMMAND_COMMAND_H
#define BRAID_COMMAND_COMMAND_H

#include "codec/json_in.h"
#include "codec/lwm2m_msg.h"

/* X(enumerator, word, final) */
#define CMD_STATE_TABLE(X)                                                                         \
    X(CMD_QUEUED, "queued", false)                                                                 \
    X(CMD_SENT, "sent", false)                                                                     \
    X(CMD_ACCEPTED, "accepted", false)                                                             \
    X(CMD_OBSERVED, "observed", true)                                                              \
    X(CMD_SUCCEEDED, "succeeded", true)                                                            \
    X(CMD_FAILED, "failed", true)                                                                  \
    X(CMD_TIMED_OUT, "timed_out", true)                                                            \
    X(CMD_EXPIRED, "expired", true)                                                                \
    X(CMD_CANCELLED, "cancelled", true)                                                            \
    X(CMD_UNKNOWN, "unknown", true)

enum cmd_state {
#define X(id, word, final) id,
    CMD_STATE_TABLE(X)
#undef X
        CMD_STATE_COUNT
};
const char *cmd_state_word(enum cmd_state s);
bool cmd_state_from(struct str word, enum cmd_state *out);
bool cmd_state_final(enum cmd_state s);

enum cmd_event {
    CMD_EV_SEND,    /* published to the device */
    CMD_EV_ACCEPT,  /* 2.xx and an observation will show the effect */
    CMD_EV_OBSERVE, /* the effect was seen */
    CMD_EV_SUCCEED, /* 2.xx, nothing more to see */
    CMD_EV_REFUSE,  /* device error, not expressible, device not connected */
    CMD_EV_TIMEOUT,
    CMD_EV_EXPIRE, /* ttl ran out while queued */
    CMD_EV_CANCEL,
    CMD_EV_LOSE,  /* sent, then our crash or the session's loss */
    CMD_EV_RETRY, /* sent, then restart, and harmless to repeat */
    CMD_EV_COUNT
};
/* cmd_step: the edge table.  ERR_CONFLICT when there is no such edge (state unchanged). */
MUST_CHECK enum err cmd_step(enum cmd_state from, enum cmd_event ev, enum cmd_state *to);
/* cmd_dump writes the machine in Graphviz dot (braidd --dump-fsm, docs). */
void cmd_dump(struct buf *out);

/* Operations. X(enumerator, word, strand, repeatable) */
#define CMD_OP_TABLE(X)                                                                            \
    X(CMD_READ, "read", 'l', true)                                                                 \
    X(CMD_DISCOVER, "discover", 'l', true)                                                         \
    X(CMD_WRITE, "write", 'l', false)                                                              \
    X(CMD_WRITE_ATTRIBUTES, "write-attributes", 'l', false)                                        \
    X(CMD_EXECUTE, "execute", 'l', false)                                                          \
    X(CMD_CREATE, "create", 'l', false)                                                            \
    X(CMD_DELETE, "delete", 'l', false)                                                            \
    X(CMD_READ_COMPOSITE, "read-composite", 'l', true)                                             \
    X(CMD_WRITE_COMPOSITE, "write-composite", 'l', false)                                          \
    X(CMD_OBSERVE_OP, "observe", 'l', true)                                                        \
    X(CMD_OBSERVE_COMPOSITE, "observe-composite", 'l', true)                                       \
    X(CMD_CANCEL_OP, "cancel", 'l', true)                                                          \
    X(CMD_METRIC_WRITE, "metric-write", 's', false)                                                \
    X(CMD_REBIRTH, "rebirth", 's', true)

enum cmd_op {
#define X(id, word, strand, repeatable) id,
    CMD_OP_TABLE(X)
#undef X
        CMD_OP_COUNT
};
const char *cmd_op_word(enum cmd_op op);
bool cmd_op_from(struct str word, enum cmd_op *out);
bool cmd_op_sparkplug(enum cmd_op op);  /* carried by the Sparkplug strand */
bool cmd_op_repeatable(enum cmd_op op); /* may be re-sent by itself after a loss */

#define CMD_PATHS_MAX 64 /* paths of one composite request */

/* A checked request; strings and arrays live in the arena given to cmd_parse. */
struct cmd_request {
    enum cmd_op op;
    struct lw_downlink lw; /* LwM2M: everything but the token; values not yet typed by the model */
    struct str metric, device; /* metric-write; device.p NULL: node metric */
    struct str value;          /* metric-write: text of the JSON value */
    struct str datatype;       /* metric-write: the type's word as given; .p NULL: the birth's */
    bool value_is_null;
    uint32_t timeout_ms; /* default 10000, 100..120000 */
    uint32_t ttl_s;      /* default 86400, 1..2592000 */
};
/* cmd_parse checks a request body (an object as POSTed).  `values` is a list of {path, value,
 * type?} or, below the path, {"id": value}; a cancel names its observation by
 * token or leaves it empty and gives the observed path; a create without instance has LW_ID_NONE as
 * instance id in the paths of its values.  On failure *why is a static sentence for the client
 * ("path is required for read").  Paths are checked for form and depth per operation; types are
 * checked later against the model (cmd_type). */
MUST_CHECK enum err cmd_parse(struct arena *a, struct str body, struct cmd_request *out,
                              const char **why);
/* cmd_type types the values of a write/create/write-composite through the model and refuses what
 * the model forbids (write to a read-only resource, execute of a non-executable); unknown objects
 * pass as they are.  ERR_TYPE / ERR_RANGE / ERR_DENIED with *why. */
struct lw_op_lookup { /* what the model allows: bit 1 R, 2 W, 4 E; -1 unknown */
    int (*ops)(void *ctx, uint16_t object, uint16_t resource);
    void *ctx;
};
MUST_CHECK enum err cmd_type(struct arena *a, struct cmd_request *r, struct lw_typer typer,
                             struct lw_op_lookup ops, const char **why);

#endif
