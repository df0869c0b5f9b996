/* timeline.h - the kinds of entries on a device's one timeline.  Pure table. */
#ifndef BRAID_BRAID_TIMELINE_H
#define BRAID_BRAID_TIMELINE_H

#include "base/err.h"

/* X(enumerator, strand, kind word) */
#define TL_TABLE(X)                                                                                \
    X(TL_FIRST_SEEN, "braid", "first_seen")                                                        \
    X(TL_STATUS, "braid", "status")                                                                \
    X(TL_ADDED, "braid", "added")                                                                  \
    X(TL_STANDING, "braid", "standing")                                                            \
    X(TL_CREDENTIAL, "braid", "credential")                                                        \
    X(TL_FAULT, "braid", "fault")                                                                  \
    X(TL_CLOCK, "braid", "clock")                                                                  \
    X(TL_CLASH, "braid", "identity_clash")                                                         \
    X(TL_REGISTERED, "lwm2m", "registered")                                                        \
    X(TL_REREGISTERED, "lwm2m", "reregistered")                                                    \
    X(TL_DEREGISTERED, "lwm2m", "deregistered")                                                    \
    X(TL_EXPIRED, "lwm2m", "expired")                                                              \
    X(TL_LOST, "lwm2m", "lost")                                                                    \
    X(TL_OBSERVE_START, "lwm2m", "observe_started")                                                \
    X(TL_OBSERVE_END, "lwm2m", "observe_ended")                                                    \
    X(TL_NODE_BORN, "sparkplug", "node_born")                                                      \
    X(TL_NODE_DEAD, "sparkplug", "node_dead")                                                      \
    X(TL_NODE_STALE, "sparkplug", "node_stale")                                                    \
    X(TL_DEVICE_BORN, "sparkplug", "device_born")                                                  \
    X(TL_DEVICE_DEAD, "sparkplug", "device_dead")                                                  \
    X(TL_REBIRTH, "sparkplug", "rebirth_asked")                                                    \
    X(TL_GAP, "sparkplug", "sequence_gap")                                                         \
    X(TL_LOSS, "braid", "loss")                                                                    \
    X(TL_OLD_DEATH, "sparkplug", "old_death_ignored")                                              \
    X(TL_NONCONFORMANT, "sparkplug", "nonconformant")                                              \
    X(TL_BAD_INPUT, "braid", "bad_input")                                                          \
    X(TL_COMMAND, "command", "command")

enum tl_kind {
#define X(id, strand, word) id,
    TL_TABLE(X)
#undef X
        TL_COUNT
};
const char *tl_strand(enum tl_kind k);
const char *tl_word(enum tl_kind k);

#endif
