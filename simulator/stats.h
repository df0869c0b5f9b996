/* stats.h - what the fleet did, counted so that losses elsewhere can be told from silence here.
 *
 * Written by all loops, read by the control socket: counters and nothing else. */
#ifndef BRAID_SIM_STATS_H
#define BRAID_SIM_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(member): in the order of the stats answer. */
#define STATS_TABLE(X)                                                                             \
    X(devices)                                                                                     \
    X(connected)         /* now */                                                                 \
    X(registered)        /* now */                                                                 \
    X(born)              /* now */                                                                 \
    X(published)         /* messages handed to a living connection, both strands */                \
    X(metrics_sent)      /* Sparkplug values in births and data, history included */               \
    X(historical_sent)   /* of these: values of the past */                                        \
    X(data_sent)         /* Sparkplug NDATA and DDATA messages */                                  \
    X(births_sent)       /* NBIRTH and DBIRTH messages */                                          \
    X(commands_answered) /* LwM2M responses, and Sparkplug commands obeyed */                      \
    X(notifies)          /* LwM2M notifications */                                                 \
    X(sends)             /* LwM2M Send reports */                                                  \
    X(dropped)           /* messages a connection could not take */                                \
    X(bad_downlinks)     /* what the server sent and nobody understood */

struct stats {
#define X(member) _Atomic uint64_t member;
    STATS_TABLE(X)
#undef X
};

#endif
