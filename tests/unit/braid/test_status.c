/* The verdict, as a table of evidence and what must be said of it, plus the edges of each rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "braid/status.h"

/* "Now" is 1000 s on both clocks, so `S(40)` is 40 s ago on both. */
#define NOW_MONO 1000000000u
#define NOW_UTC  1700000000000
#define S(s)     ((int64_t)(s)*1000)
#define MIN      60
#define HOUR     3600

static const struct moment now = {NOW_MONO, NOW_UTC};

/* All times are seconds ago; -1 = never. */
struct story {
    const char *name;
    int64_t lw_heard;
    const char *lw_kind;
    int64_t sp_heard;
    const char *sp_kind;
    int64_t died;
    const char *died_kind;
    bool orderly;
    int64_t blind;
    const char *blind_kind;
    enum braid_lwm2m lw;
    int64_t lw_since;
    bool queue;
    int64_t expires_in; /* seconds from now; -1 = never */
    enum braid_spb sp;
    int64_t sp_since;
    uint32_t subs, subs_born;
    const char *fault;
    /* the verdict */
    enum braid_link link;
    enum braid_status status;
    const char *sentence;
    int64_t recheck_in_ms; /* -1 = never */
};

#define QUIET                                                                                      \
    .lw_heard = -1, .sp_heard = -1, .died = -1, .blind = -1, .lw_since = -1, .expires_in = -1,     \
    .sp_since = -1, .recheck_in_ms = -1

/* clang-format off */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct story stories[] = {
    {QUIET, .name = "never", .link = BRAID_LINK_UNKNOWN, .status = BRAID_NEVER,
     .sentence = "Never heard from."},

    /* online */
    {QUIET, .name = "both strands", .lw_heard = 9, .lw_kind = "update", .sp_heard = 2,
     .sp_kind = "DDATA", .lw = BRAID_LW_REGISTERED, .lw_since = 100, .expires_in = 58 * MIN,
     .sp = BRAID_SP_BORN, .sp_since = 90, .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online on both strands; last heard 2 s ago (DDATA).",
     .recheck_in_ms = S(58 * MIN)},
    {QUIET, .name = "LwM2M only", .lw_heard = 3, .lw_kind = "update", .lw = BRAID_LW_REGISTERED,
     .lw_since = 3, .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online over LwM2M; last heard 3 s ago (update)."},
    {QUIET, .name = "Sparkplug only", .sp_heard = 0, .sp_kind = "NBIRTH", .sp = BRAID_SP_BORN,
     .sp_since = 0, .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online over Sparkplug; last heard just now (NBIRTH)."},
    {QUIET, .name = "a sub-device down", .sp_heard = 2, .sp_kind = "DDATA", .sp = BRAID_SP_BORN,
     .sp_since = 20, .subs = 3, .subs_born = 2, .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online over Sparkplug; last heard 2 s ago (DDATA); 1 of 3 sub-devices is down."},
    {QUIET, .name = "all sub-devices down", .sp_heard = 2, .sp_kind = "DDEATH",
     .sp = BRAID_SP_BORN, .sp_since = 20, .subs = 3, .subs_born = 0, .link = BRAID_LINK_UP,
     .status = BRAID_ONLINE,
     .sentence = "Online over Sparkplug; last heard 2 s ago (DDEATH); 3 of 3 sub-devices are down."},
    {QUIET, .name = "with a fault", .lw_heard = 3, .lw_kind = "notify", .lw = BRAID_LW_REGISTERED,
     .lw_since = 30, .fault = "peripheral malfunction", .link = BRAID_LINK_UP,
     .status = BRAID_ONLINE,
     .sentence = "Online over LwM2M; last heard 3 s ago (notify). "
                 "The device reports: peripheral malfunction."},
    {QUIET, .name = "back after a death", .sp_heard = 2, .sp_kind = "NBIRTH", .died = 40,
     .died_kind = "NDEATH", .sp = BRAID_SP_BORN, .sp_since = 2, .link = BRAID_LINK_UP,
     .status = BRAID_ONLINE, .sentence = "Online over Sparkplug; last heard 2 s ago (NBIRTH)."},
    {QUIET, .name = "heard since our restart", .lw_heard = 5, .lw_kind = "send", .blind = 10,
     .blind_kind = "restart", .lw = BRAID_LW_REGISTERED, .lw_since = 500,
     .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online over LwM2M; last heard 5 s ago (send)."},

    /* degraded */
    {QUIET, .name = "registration expired", .lw_heard = 2 * HOUR, .lw_kind = "update",
     .sp_heard = 1, .sp_kind = "NDATA", .lw = BRAID_LW_EXPIRED, .lw_since = 5 * MIN,
     .sp = BRAID_SP_BORN, .sp_since = 3 * HOUR, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Online over Sparkplug; LwM2M registration expired 5 min ago."},
    {QUIET, .name = "de-registered, still born", .lw_heard = 50, .lw_kind = "deregister",
     .sp_heard = 1, .sp_kind = "NDATA", .lw = BRAID_LW_DEREGISTERED, .lw_since = 50,
     .sp = BRAID_SP_BORN, .sp_since = HOUR, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Online over Sparkplug; de-registered from LwM2M 50 s ago."},
    {QUIET, .name = "node dead, LwM2M heard since", .lw_heard = 3, .lw_kind = "update",
     .sp_heard = 60, .sp_kind = "NDATA", .died = 40, .died_kind = "NDEATH",
     .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .sp = BRAID_SP_DEAD, .sp_since = 40,
     .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Online over LwM2M; Sparkplug node died 40 s ago (NDEATH)."},
    {QUIET, .name = "data stale", .lw_heard = 3, .lw_kind = "update", .sp_heard = 12,
     .sp_kind = "NDATA", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .sp = BRAID_SP_STALE,
     .sp_since = 10, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Online over LwM2M; Sparkplug data stale for 10 s."},
    {QUIET, .name = "only strand stale", .sp_heard = 1, .sp_kind = "NDATA", .sp = BRAID_SP_STALE,
     .sp_since = 10, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Connected, but Sparkplug data stale for 10 s; last heard 1 s ago (NDATA)."},
    {QUIET, .name = "expired but talking", .lw_heard = 3, .lw_kind = "send",
     .lw = BRAID_LW_EXPIRED, .lw_since = 5 * MIN, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Connected, but LwM2M registration expired 5 min ago; last heard 3 s ago (send)."},
    {QUIET, .name = "both strands in trouble", .lw_heard = 3, .lw_kind = "send", .sp_heard = 9,
     .sp_kind = "NDATA", .lw = BRAID_LW_EXPIRED, .lw_since = 5 * MIN, .sp = BRAID_SP_STALE,
     .sp_since = 7, .link = BRAID_LINK_UP, .status = BRAID_DEGRADED,
     .sentence = "Connected, but LwM2M registration expired 5 min ago and Sparkplug data stale "
                 "for 7 s; last heard 3 s ago (send)."},

    /* sleeping */
    {QUIET, .name = "sleeper", .lw_heard = 12 * MIN, .lw_kind = "update",
     .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .queue = true, .expires_in = 48 * MIN + 1,
     .link = BRAID_LINK_UP, .status = BRAID_SLEEPING, .recheck_in_ms = S(48 * MIN + 1),
     .sentence = "Sleeping; last heard 12 min ago (update); "
                 "the LwM2M lifetime runs 48 more minutes."},
    {QUIET, .name = "sleeper for ever", .lw_heard = 94, .lw_kind = "register",
     .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .queue = true, .link = BRAID_LINK_UP,
     .status = BRAID_SLEEPING,
     .sentence = "Sleeping; last heard 1 min ago (register); "
                 "the LwM2M registration never expires."},
    {QUIET, .name = "sleeper still awake at 93 s", .lw_heard = 93, .lw_kind = "update",
     .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .queue = true, .link = BRAID_LINK_UP,
     .status = BRAID_ONLINE, .sentence = "Online over LwM2M; last heard 1 min ago (update).",
     .recheck_in_ms = 1},
    {QUIET, .name = "sleeper kept awake by Sparkplug", .lw_heard = 10 * MIN, .lw_kind = "update",
     .sp_heard = 13, .sp_kind = "DDATA", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR,
     .queue = true, .sp = BRAID_SP_BORN, .sp_since = HOUR, .link = BRAID_LINK_UP,
     .status = BRAID_ONLINE, .sentence = "Online on both strands; last heard 13 s ago (DDATA).",
     .recheck_in_ms = 80001},
    {QUIET, .name = "sleeper whose link died is lost", .lw_heard = 12 * MIN, .lw_kind = "update",
     .died = 11 * MIN, .died_kind = "lost", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR,
     .queue = true, .expires_in = 30, .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 11 min ago (lost); the LwM2M lifetime runs 30 more seconds.",
     .recheck_in_ms = 30000},
    {QUIET, .name = "sleeper after our restart", .lw_heard = 12 * MIN, .lw_kind = "update",
     .blind = 20, .blind_kind = "restart", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR,
     .queue = true, .link = BRAID_LINK_UNKNOWN, .status = BRAID_SLEEPING,
     .sentence = "Sleeping; last heard 12 min ago (update); the LwM2M registration never expires."},
    {QUIET, .name = "no queue mode, just quiet", .lw_heard = 12 * MIN, .lw_kind = "update",
     .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .link = BRAID_LINK_UP, .status = BRAID_ONLINE,
     .sentence = "Online over LwM2M; last heard 12 min ago (update)."},

    /* lost */
    {QUIET, .name = "the signature", .lw_heard = 3 * MIN, .lw_kind = "update", .sp_heard = 41,
     .sp_kind = "NDATA", .died = 40, .died_kind = "NDEATH", .lw = BRAID_LW_REGISTERED,
     .lw_since = HOUR, .expires_in = 58 * MIN + 20, .sp = BRAID_SP_DEAD, .sp_since = 40,
     .link = BRAID_LINK_LOST, .status = BRAID_LOST, .recheck_in_ms = S(58 * MIN + 20),
     .sentence = "Connection lost 40 s ago (NDEATH); the LwM2M lifetime runs 58 more minutes."},
    {QUIET, .name = "one more minute", .lw_heard = 50, .lw_kind = "update", .died = 40,
     .died_kind = "lost", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .expires_in = 61,
     .link = BRAID_LINK_LOST, .status = BRAID_LOST, .recheck_in_ms = 61000,
     .sentence = "Connection lost 40 s ago (lost); the LwM2M lifetime runs 1 more minute."},
    {QUIET, .name = "Sparkplug only", .sp_heard = 41, .sp_kind = "NDATA", .died = 40,
     .died_kind = "NDEATH", .sp = BRAID_SP_DEAD, .sp_since = 40, .link = BRAID_LINK_LOST,
     .status = BRAID_LOST, .sentence = "Connection lost 40 s ago (NDEATH)."},
    {QUIET, .name = "a tie goes to the death", .sp_heard = 40, .sp_kind = "NDATA", .died = 40,
     .died_kind = "NDEATH", .sp = BRAID_SP_DEAD, .sp_since = 40, .link = BRAID_LINK_LOST,
     .status = BRAID_LOST, .sentence = "Connection lost 40 s ago (NDEATH)."},
    {QUIET, .name = "lost, then expired", .lw_heard = 3 * HOUR, .lw_kind = "update",
     .died = 2 * HOUR, .died_kind = "lost", .lw = BRAID_LW_EXPIRED, .lw_since = HOUR,
     .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 2 h ago (lost); LwM2M registration expired 1 h ago."},
    {QUIET, .name = "orderly end of Sparkplug while registered", .lw_heard = 3 * MIN,
     .lw_kind = "update", .sp_heard = 41, .sp_kind = "NDATA", .died = 40, .died_kind = "NDEATH",
     .orderly = true, .lw = BRAID_LW_REGISTERED, .lw_since = HOUR, .expires_in = 3 * 86400,
     .sp = BRAID_SP_DEAD, .sp_since = 40, .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .recheck_in_ms = S(3 * 86400),
     .sentence = "Disconnected in order 40 s ago (NDEATH); the LwM2M lifetime runs 3 more days."},
    {QUIET, .name = "faded away", .lw_heard = HOUR, .lw_kind = "update", .lw = BRAID_LW_EXPIRED,
     .lw_since = 5 * MIN, .link = BRAID_LINK_UNKNOWN, .status = BRAID_LOST,
     .sentence = "Silent until its LwM2M registration expired 5 min ago; "
                 "last heard 1 h ago (update)."},
    {QUIET, .name = "a death outlives our own blindness", .sp_heard = 41, .sp_kind = "NDATA",
     .died = 40, .died_kind = "NDEATH", .blind = 20, .blind_kind = "broker_lost",
     .sp = BRAID_SP_DEAD, .sp_since = 40, .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 40 s ago (NDEATH)."},
    {QUIET, .name = "a death is all we know", .died = 40, .died_kind = "NDEATH",
     .sp = BRAID_SP_DEAD, .sp_since = 40, .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 40 s ago (NDEATH)."},
    {QUIET, .name = "lifetime over, not yet declared", .lw_heard = 90, .lw_kind = "update",
     .died = 80, .died_kind = "lost", .lw = BRAID_LW_REGISTERED, .lw_since = 90, .expires_in = 0,
     .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 1 min ago (lost); the LwM2M lifetime has run out."},

    /* offline */
    {QUIET, .name = "de-registered", .lw_heard = 3 * MIN, .lw_kind = "deregister",
     .lw = BRAID_LW_DEREGISTERED, .lw_since = 3 * MIN, .link = BRAID_LINK_UP,
     .status = BRAID_OFFLINE, .sentence = "Offline: ended in order 3 min ago."},
    {QUIET, .name = "de-registered, then the will", .lw_heard = 3 * MIN, .lw_kind = "deregister",
     .died = 2 * MIN, .died_kind = "lost", .lw = BRAID_LW_DEREGISTERED, .lw_since = 3 * MIN,
     .link = BRAID_LINK_LOST, .status = BRAID_OFFLINE,
     .sentence = "Offline: ended in order 3 min ago."},
    {QUIET, .name = "both in order", .lw_heard = 50, .lw_kind = "deregister", .sp_heard = 60,
     .sp_kind = "NDATA", .died = 49, .died_kind = "NDEATH", .orderly = true,
     .lw = BRAID_LW_DEREGISTERED, .lw_since = 50, .sp = BRAID_SP_DEAD, .sp_since = 49,
     .link = BRAID_LINK_LOST, .status = BRAID_OFFLINE,
     .sentence = "Offline: ended in order 49 s ago."},
    {QUIET, .name = "de-registered, but the node's will came", .lw_heard = 50,
     .lw_kind = "deregister", .sp_heard = 51, .sp_kind = "NDATA", .died = 49,
     .died_kind = "NDEATH", .lw = BRAID_LW_DEREGISTERED, .lw_since = 50, .sp = BRAID_SP_DEAD,
     .sp_since = 49, .link = BRAID_LINK_LOST, .status = BRAID_LOST,
     .sentence = "Connection lost 49 s ago (NDEATH); de-registered from LwM2M 50 s ago."},
    {QUIET, .name = "offline stays so over our restart", .lw_heard = 3 * 86400,
     .lw_kind = "deregister", .blind = 5, .blind_kind = "restart", .lw = BRAID_LW_DEREGISTERED,
     .lw_since = 3 * 86400, .link = BRAID_LINK_UNKNOWN, .status = BRAID_OFFLINE,
     .sentence = "Offline: ended in order 3 days ago."},

    /* unknown */
    {QUIET, .name = "after our restart", .lw_heard = 4 * MIN, .lw_kind = "update", .blind = 10,
     .blind_kind = "restart", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR,
     .expires_in = HOUR, .link = BRAID_LINK_UNKNOWN, .status = BRAID_UNKNOWN,
     .recheck_in_ms = S(HOUR),
     .sentence = "Unknown: Braid restarted 10 s ago and nothing has been heard since; "
                 "last heard 4 min ago."},
    {QUIET, .name = "broker lost", .sp_heard = 30, .sp_kind = "NDATA", .blind = 10,
     .blind_kind = "broker_lost", .sp = BRAID_SP_STALE, .sp_since = 10,
     .link = BRAID_LINK_UNKNOWN, .status = BRAID_UNKNOWN,
     .sentence = "Unknown: Braid lost its broker connection 10 s ago and nothing has been heard "
                 "since; last heard 30 s ago."},
    {QUIET, .name = "a message at the same moment proves nothing", .sp_heard = 10,
     .sp_kind = "NDATA", .blind = 10, .blind_kind = "broker_lost", .sp = BRAID_SP_BORN,
     .sp_since = 60, .link = BRAID_LINK_UNKNOWN, .status = BRAID_UNKNOWN,
     .sentence = "Unknown: Braid lost its broker connection 10 s ago and nothing has been heard "
                 "since; last heard 10 s ago."},
    {QUIET, .name = "talks, but nothing it said was accepted", .lw_heard = 3,
     .lw_kind = "register", .link = BRAID_LINK_UP, .status = BRAID_UNKNOWN,
     .sentence = "Unknown: neither registered nor born; last heard 3 s ago (register)."},
    {QUIET, .name = "known only by its state", .lw = BRAID_LW_REGISTERED, .lw_since = HOUR,
     .link = BRAID_LINK_UNKNOWN, .status = BRAID_UNKNOWN,
     .sentence = "Unknown: nothing has been heard yet."},
};
#pragma GCC diagnostic pop
/* clang-format on */

static struct braid_evidence evidence_of(const struct story *s)
{
    struct braid_evidence e = {.lw = s->lw,
                               .sp = s->sp,
                               .died_orderly = s->orderly,
                               .queue_mode = s->queue,
                               .lw_expires_mono_ms = UINT64_MAX,
                               .sp_devices = s->subs,
                               .sp_devices_born = s->subs_born,
                               .fault = s->fault,
                               .lw_kind = s->lw_kind,
                               .sp_kind = s->sp_kind,
                               .died_kind = s->died_kind,
                               .blind_kind = s->blind_kind};
#define AGO(field, ago)                                                                            \
    if ((ago) >= 0) {                                                                              \
        e.field##_at_ms = NOW_UTC - S(ago);                                                        \
        e.field##_mono_ms = NOW_MONO - (uint64_t)S(ago);                                           \
    }
    AGO(lw, s->lw_heard)
    AGO(sp, s->sp_heard)
    AGO(died, s->died)
    AGO(blind, s->blind)
#undef AGO
    if (s->expires_in >= 0)
        e.lw_expires_mono_ms = NOW_MONO + (uint64_t)S(s->expires_in);
    e.lw_since_ms = NOW_UTC - S(s->lw_since);
    e.sp_since_ms = NOW_UTC - S(s->sp_since);
    return e;
}

static void every_story_gets_its_verdict(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        const struct story *s = &stories[i];
        struct braid_evidence e = evidence_of(s);
        struct braid_verdict v;
        braid_judge(&e, now, &v);
        if (strcmp(v.sentence, s->sentence) != 0 || v.status != s->status || v.link != s->link)
            print_error("story: %s: %s, link %s\n", s->name, braid_status_word(v.status),
                        braid_link_word(v.link));
        assert_string_equal(v.sentence, s->sentence);
        assert_int_equal(v.status, s->status);
        assert_int_equal(v.link, s->link);
        uint64_t at = s->recheck_in_ms < 0 ? UINT64_MAX : NOW_MONO + (uint64_t)s->recheck_in_ms;
        if (v.recheck_mono_ms != at)
            print_error("story: %s\n", s->name);
        assert_true(v.recheck_mono_ms == at);
        seen |= 1u << v.status;
    }
    assert_int_equal(seen, (1u << BRAID_STATUS_COUNT) - 1); /* no status without a story */
}

static void sleeper_falls_asleep_exactly_at_the_recheck(void **state)
{
    (void)state;
    struct braid_evidence e = {.lw = BRAID_LW_REGISTERED,
                               .queue_mode = true,
                               .lw_at_ms = NOW_UTC,
                               .lw_mono_ms = NOW_MONO,
                               .lw_kind = "update",
                               .lw_expires_mono_ms = UINT64_MAX};
    struct braid_verdict v;
    braid_judge(&e, now, &v);
    assert_int_equal(v.status, BRAID_ONLINE);
    struct moment then = {v.recheck_mono_ms - 1, NOW_UTC + 93000};
    braid_judge(&e, then, &v);
    assert_int_equal(v.status, BRAID_ONLINE);
    assert_true(v.recheck_mono_ms == then.mono_ms + 1);
    then.mono_ms++;
    braid_judge(&e, then, &v);
    assert_int_equal(v.status, BRAID_SLEEPING);
    assert_true(v.recheck_mono_ms == UINT64_MAX);
}

static void death_from_the_database_is_ordered_by_utc(void **state)
{
    (void)state;
    struct braid_evidence e = {.sp = BRAID_SP_DEAD,
                               .sp_at_ms = NOW_UTC - 50000,
                               .sp_kind = "NDATA",
                               .died_at_ms = NOW_UTC - 40000,
                               .died_kind = "NDEATH",
                               .sp_since_ms = NOW_UTC - 40000,
                               .lw_expires_mono_ms = UINT64_MAX,
                               .blind_mono_ms = NOW_MONO - 1000,
                               .blind_at_ms = NOW_UTC - 1000,
                               .blind_kind = "restart"};
    struct braid_verdict v;
    braid_judge(&e, now, &v);
    assert_int_equal(v.status, BRAID_LOST);
    e.sp_at_ms = NOW_UTC - 30000; /* heard after that death */
    e.sp = BRAID_SP_BORN;
    braid_judge(&e, now, &v);
    assert_int_equal(v.link, BRAID_LINK_UNKNOWN);
    assert_int_equal(v.status, BRAID_UNKNOWN);
}

static void restored_sleeper_is_measured_by_utc(void **state)
{
    (void)state;
    struct braid_evidence e = {.lw = BRAID_LW_REGISTERED,
                               .queue_mode = true,
                               .lw_at_ms = NOW_UTC - 20000,
                               .lw_kind = "update",
                               .lw_expires_mono_ms = UINT64_MAX};
    struct braid_verdict v;
    braid_judge(&e, now, &v);
    assert_int_equal(v.status, BRAID_ONLINE);
    assert_true(v.recheck_mono_ms == NOW_MONO + 73001);
}

static void ages_are_words_of_the_right_size(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *words;
    } ages[] = {
        {-5000, "just now"},
        {0, "just now"},
        {999, "just now"},
        {1000, "1 s ago"},
        {59999, "59 s ago"},
        {60000, "1 min ago"},
        {3599999, "59 min ago"},
        {3600000, "1 h ago"},
        {172799999, "47 h ago"},
        {172800000, "2 days ago"},
        {8640000000, "100 days ago"},
    };
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        struct braid_evidence e = {.sp = BRAID_SP_BORN,
                                   .sp_at_ms = NOW_UTC - ages[i].ms,
                                   .sp_mono_ms = NOW_MONO,
                                   .sp_kind = "NDATA",
                                   .lw_expires_mono_ms = UINT64_MAX};
        struct braid_verdict v;
        braid_judge(&e, now, &v);
        char want[BRAID_SENTENCE];
        snprintf(want, sizeof want, "Online over Sparkplug; last heard %s (NDATA).", ages[i].words);
        assert_string_equal(v.sentence, want);
    }
}

static const char *sentence_with_fault(const char *fault, struct braid_verdict *v)
{
    struct braid_evidence e = {.sp = BRAID_SP_BORN,
                               .sp_at_ms = NOW_UTC,
                               .sp_mono_ms = NOW_MONO,
                               .sp_kind = "NDATA",
                               .lw_expires_mono_ms = UINT64_MAX,
                               .fault = fault};
    braid_judge(&e, now, v);
    return v->sentence;
}

static void unknown_times_are_not_given_as_ages(void **state)
{
    (void)state;
    struct braid_evidence e = {.sp = BRAID_SP_STALE,
                               .lw = BRAID_LW_EXPIRED,
                               .sp_at_ms = NOW_UTC,
                               .sp_mono_ms = NOW_MONO,
                               .sp_kind = "NDATA",
                               .lw_expires_mono_ms = UINT64_MAX};
    struct braid_verdict v;
    braid_judge(&e, now, &v);
    assert_string_equal(v.sentence, "Connected, but LwM2M registration expired at an unknown time "
                                    "and Sparkplug data stale; last heard just now (NDATA).");
}

static void fault_words_are_tamed(void **state)
{
    (void)state;
    struct braid_verdict v;
#define PLAIN "Online over Sparkplug; last heard just now (NDATA)."
    assert_string_equal(sentence_with_fault("hot.\n", &v), PLAIN " The device reports: hot.");
    assert_string_equal(sentence_with_fault("a\tb", &v), PLAIN " The device reports: a b.");
    assert_string_equal(sentence_with_fault("", &v), PLAIN);
    assert_string_equal(sentence_with_fault(" ..", &v), PLAIN);
}

static void long_fault_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        char fault[1000] = "ab";
        size_t n = shift;
        while (n + 3 < sizeof fault) { /* U+20AC, three bytes */
            memcpy(fault + n, "\xe2\x82\xac", 3);
            n += 3;
        }
        fault[n] = 0;
        struct braid_verdict v;
        const char *s = sentence_with_fault(fault, &v);
        assert_true(strlen(s) > BRAID_SENTENCE - 8 && strlen(s) < BRAID_SENTENCE);
        assert_true(str_utf8_valid(str_of(s)));
        assert_int_equal(s[strlen(s) - 1], '.');
    }
}

static void words_cover_the_tables(void **state)
{
    (void)state;
    assert_string_equal(braid_status_word(BRAID_SLEEPING), "sleeping");
    assert_string_equal(braid_status_word((enum braid_status)99), "unknown");
    assert_string_equal(braid_link_word(BRAID_LINK_UP), "up");
    assert_string_equal(braid_link_word(BRAID_LINK_LOST), "lost");
    assert_string_equal(braid_link_word(BRAID_LINK_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_gets_its_verdict),
        cmocka_unit_test(sleeper_falls_asleep_exactly_at_the_recheck),
        cmocka_unit_test(death_from_the_database_is_ordered_by_utc),
        cmocka_unit_test(restored_sleeper_is_measured_by_utc),
        cmocka_unit_test(ages_are_words_of_the_right_size),
        cmocka_unit_test(unknown_times_are_not_given_as_ages),
        cmocka_unit_test(fault_words_are_tamed),
        cmocka_unit_test(long_fault_is_cut_between_characters),
        cmocka_unit_test(words_cover_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
