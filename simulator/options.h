/* options.h - the command line of braid-sim: one table for flags, environment and --help. */
#ifndef BRAID_SIM_OPTIONS_H
#define BRAID_SIM_OPTIONS_H

#include "base/str.h"

enum dialect_choice { DIALECT_JSON, DIALECT_OMA, DIALECT_MIXED };

struct sim_options {
    const char *host, *port;
    const char *ca_file, *issuer_cert, *issuer_key; /* NULL: not given */
    const char *username, *password_file;           /* NULL: not given */
    const char *tag, *group;
    const char *state_dir, *control, *description; /* NULL: not given */
    uint64_t count, telemetry_s, lwm2m_s, threads;
    uint64_t load; /* nodes of the load generator, 0: devices instead */
    uint64_t load_metrics, load_connections, load_messages, load_rate, load_per_write, load_births;
    bool load_node_level, load_gate;
    enum dialect_choice dialect;
    bool plain, short_topics, no_history, abrupt_exit, help, debug;
};

/* options_read fills `o` from defaults, environment (getenv) and flags.  ERR_INVALID: `why` (at
 * least 160 bytes) says what is wrong.  Strings belong to argv and the environment. */
MUST_CHECK enum err options_read(int argc, char **argv, struct sim_options *o, char *why,
                                 size_t why_size);
void options_help(void); /* to stdout */

#endif
