/* status.h - what both strands say of one device, in one word and one sentence.
 *
 * The only place that decides status (contracts section 4).  Pure: evidence and time in, a verdict
 * out, plus the moment at which it would change by itself. */
#ifndef BRAID_BRAID_STATUS_H
#define BRAID_BRAID_STATUS_H

#include "base/clock.h"

enum braid_link { BRAID_LINK_UNKNOWN, BRAID_LINK_UP, BRAID_LINK_LOST };
/* X(enumerator, word) */
#define BRAID_STATUS_TABLE(X)                                                                      \
    X(BRAID_NEVER, "never")                                                                        \
    X(BRAID_ONLINE, "online")                                                                      \
    X(BRAID_DEGRADED, "degraded")                                                                  \
    X(BRAID_SLEEPING, "sleeping")                                                                  \
    X(BRAID_LOST, "lost")                                                                          \
    X(BRAID_OFFLINE, "offline")                                                                    \
    X(BRAID_UNKNOWN, "unknown")

enum braid_status {
#define X(id, word) id,
    BRAID_STATUS_TABLE(X)
#undef X
        BRAID_STATUS_COUNT
};
const char *braid_status_word(enum braid_status s);
const char *braid_link_word(enum braid_link l);

/* Strand states as the verdict needs them. */
enum braid_lwm2m { BRAID_LW_NONE, BRAID_LW_REGISTERED, BRAID_LW_EXPIRED, BRAID_LW_DEREGISTERED };
enum braid_spb { BRAID_SP_NONE, BRAID_SP_BORN, BRAID_SP_DEAD, BRAID_SP_STALE };

/* One per device, so it is packed; the kinds are words of static tables. */
struct braid_evidence {
    /* Newest live, non-retained message of each strand: UTC ms (0 = none), mono ms, and kind. */
    int64_t lw_at_ms, sp_at_ms;
    uint64_t lw_mono_ms, sp_mono_ms;
    const char *lw_kind, *sp_kind; /* "update", "DDATA"; NULL unknown */
    /* The newest sign that the link died: accepted NDEATH (bdSeq equal) or `lost`. */
    int64_t died_at_ms;
    uint64_t died_mono_ms;
    const char *died_kind; /* "NDEATH", "lost"; NULL = none */
    /* Our own broker loss or restart: the link is unknown until a message newer than this. */
    uint64_t blind_mono_ms; /* 0 = never */
    int64_t blind_at_ms;
    const char *blind_kind;           /* "broker_lost", "restart" */
    int64_t lw_since_ms, sp_since_ms; /* when the strands' states began */
    uint64_t lw_expires_mono_ms;      /* UINT64_MAX = never */
    const char *fault; /* words of the device about itself, NULL if none; the owner's */
    uint32_t sp_devices, sp_devices_born;
    uint8_t lw, sp; /* enum braid_lwm2m, enum braid_spb */
    bool queue_mode;
    bool died_orderly; /* sent by the device itself before a clean end, if known */
};

#define BRAID_SENTENCE 320
struct braid_verdict {
    enum braid_link link;
    enum braid_status status;
    char sentence[BRAID_SENTENCE]; /* one sentence, ages relative to `now` */
    uint64_t recheck_mono_ms;      /* when the status would change by itself; UINT64_MAX = never */
};
/* braid_judge writes the verdict.  The same evidence and time give the same verdict.  Contracts
 * section 4, and where it is silent: a device whose only living strand was a registration that
 * expired is `lost` (link unknown) until it is heard again, then `degraded`; one that de-registered
 * is `offline` even if its will comes later, unless a Sparkplug node died with it. */
void braid_judge(const struct braid_evidence *e, struct moment now, struct braid_verdict *out);

/* Why a message proves nothing here: drained or retained messages must not be fed in as evidence.
 */

#endif
