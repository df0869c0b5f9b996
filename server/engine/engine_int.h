/* engine_int.h - what the files of the engine share.
 *
 * A shard is one thread with one mailbox.  It owns every struct device hashed to it and all that
 * hangs on the device: LwM2M client, Sparkplug node, points (last values), commands.  Nobody else
 * reads them; other threads send a struct letter and, if they want an answer, wait on its ask.
 *
 * Invariants
 *  - a device is in shard->by_endpoint for its whole life; in by_node only while it has a node of
 *    another id than the endpoint (two nodes of one name in two groups);
 *  - device->deadline is in the shard's heap exactly while something of it is due;
 *  - a device whose values changed says so (live_values, latest_dirty); their marks say which, and
 *    may outlive what they were set for while nobody follows the device;
 *  - ids of devices and series are handed out by the engine only, above all ids ever stored. */
#ifndef BRAID_ENGINE_ENGINE_INT_H
#define BRAID_ENGINE_ENGINE_INT_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/map.h"
#include "base/thread.h"
#include "base/words.h"
#include "braid/status.h"
#include "braid/timeline.h"
#include "engine/engine.h"
#include "engine/publisher.h"
#include "lwm2m/client.h"
#include "port/mqtt.h"
#include "sparkplug/host.h"
#include "sparkplug/node.h"
#include "store/load.h"

#include <pthread.h>
#include <stdatomic.h>

#define TICK_MS        100   /* live frames and sample batches */
#define SEEN_MS        1000  /* last_seen alone refreshes a live row this often */
#define SURVEY_MS      5000  /* rates, ages of idle devices, last_seen to SQL */
#define LATEST_MS      10000 /* latest values to SQL */
#define PAYLOAD_MAX    ((size_t)1 << 20)
#define NAME_MAX_BYTES 128  /* of an endpoint or edge node id we accept */
#define REBIRTHS_PER_S 1000 /* that a shard asks for */

/* ---- letters: what arrives in a shard's mailbox ---- */

enum letter_kind {
    LETTER_MQTT,
    LETTER_BROKER, /* a session came or went */
    LETTER_PUBACK, /* a command's publish was acknowledged with a reason */
    LETTER_ARMED,  /* a command's `sent` row is durable: publish it now */
    LETTER_ACKED,  /* an acknowledgement went out: commands may follow it */
    LETTER_COMMAND,
    LETTER_ASK,
    LETTER_STOP
};

enum session { SESSION_SPARKPLUG, SESSION_LWM2M };

struct letter {
    struct mail mail; /* first */
    enum letter_kind kind;
};

struct slab; /* letters.c */

struct letter_mqtt {
    struct letter letter;
    struct slab *slab; /* the memory it lies in, with its neighbours of the same wake-up */
    enum session session;
    bool first;   /* of those that came together: the shard looks at the clock */
    bool drained; /* queued by the broker while we were away */
    bool too_big; /* payload left out */
    uint64_t arrived_us;
    struct moment at;
    int64_t away_from_ms;      /* drained: we were away between these */
    struct str topic, payload; /* behind this struct */
};

struct letter_broker {
    struct letter letter;
    enum session session;
    bool up;
    bool first; /* the first connect after our start */
};

struct letter_puback {
    struct letter letter;
    char command_id[37];
    int64_t device_id;
    int reason;
};

struct letter_armed {
    struct letter letter;
    int64_t device_id;
    char command_id[37];
    enum err result;
};

struct letter_acked {
    struct letter letter;
    int64_t device_id;
};

struct letter_command {
    struct letter letter;
    int64_t created_ms;
    char id[37];
    struct str endpoint, request, by; /* behind this struct */
};

/* ---- asks: a question to one shard, answered before the asker's patience ends or dropped ---- */

enum ask_kind {
    ASK_LIST,
    ASK_DEVICE,
    ASK_FLEET,
    ASK_DEVICE_ID,
    ASK_FORGET,
    ASK_CANCEL,
    ASK_ADD,
    ASK_STANDING,
    ASK_NOTE,
    ASK_SUBSCRIBE,
    ASK_RESNAPSHOT,
    ASK_UNSUBSCRIBE,
    ASK_LEAVE
};

struct fleet_counts {
    uint64_t devices, by_status[BRAID_STATUS_COUNT];
    uint64_t lwm2m_active, sparkplug_online;
    double messages_per_s, metrics_per_s;
};

struct ask {
    struct letter letter;
    enum ask_kind kind;
    char *endpoint, *command_id; /* owned, may be NULL */
    char *text;                  /* owned, may be NULL: words for the timeline */
    struct fleet_query *query;   /* owned, ASK_LIST */
    enum standing standing;
    struct live_outbox *outbox; /* reference, may be NULL */
    struct live_sub *sub;       /* reference, may be NULL */
    /* answers */
    enum err result;
    struct buf json;
    struct engine_rows rows;
    struct fleet_counts counts;
    int64_t device_id;
    bool sleeping;
    /* rendezvous */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
    int refs; /* asker and shard */
};

/* ---- points: the last value of every series of a device ---- */

/* Marks of a resource and of a Sparkplug cell. */
#define MARK_LIVE  1u /* changed since live views were told */
#define MARK_STORE 2u /* changed since the last write to SQL */
#define MARK_RAW   4u /* resource: `word` is JSON as read back from SQL, whatever the type */

/* The last value of an LwM2M resource.  A Sparkplug metric's is in the node's cell. */
struct resource {
    uint64_t key; /* lw_path_key; the device's resources are sorted by it */
    union {
        int64_t i;
        uint64_t u;
        double f;
        bool b;
        struct {
            uint16_t oid, iid;
        } link;
        const char *word; /* text or bytes: a reference to the shard's words */
    };
    int64_t at_ms;
    uint32_t series;
    uint8_t type;    /* enum lw_type */
    uint8_t quality; /* enum spb_quality */
    uint8_t source;  /* enum lw_source */
    uint8_t marks;
};

/* A look at one series' last value, wherever it is; good until the device hears its next message.
 */
struct point {
    struct device *device;
    struct resource *res; /* LwM2M; NULL: the metric of `tag` */
    struct spb_tag tag;
};
struct points_iter {
    size_t resource;
    struct spb_tag_iter tags;
};

struct command; /* engine/command.h */

/* ---- devices ---- */

/* What is decided of a device; the sentence is made when it is needed. */
struct decided {
    uint8_t link, status; /* enum braid_link, enum braid_status */
};

/* Texts are references to the shard's words, NULL if unknown.  There may be very many devices:
 * members are ordered so that nothing is lost between them. */
struct device {
    struct shard *shard;
    struct lw_client *lw;
    char *node_key;     /* "group/node" when the node's id is not the endpoint */
    const char *prefix; /* oma: what precedes /lwm2m/ in its topics; NULL nothing */

    struct braid_evidence evidence; /* its fault is one of our texts, too */
    uint64_t recheck_mono_ms;       /* when the verdict would change by itself */
    int64_t status_since_ms, created_ms;

    struct resource *resources;
    uint16_t n_resources, cap_resources;
    uint32_t n_metrics;
    struct list commands;

    const char *firmware;
    const char *fault_lwm2m, *fault_metric; /* where the fault comes from */

    uint32_t messages; /* since the last survey */
    float messages_per_s;
    uint32_t counted_lost, counted_missing;         /* messages lost to sequence gaps */
    uint32_t samples_refused, samples_refused_told; /* stored nowhere: flow.c */
    uint32_t counted_subdevices;
    uint32_t acks; /* of registrations and updates, not out yet: commands wait for them */

    /* live views */
    struct list dirty_node; /* shard->dirty */
    uint64_t row_sent_ms;   /* monotonic */
    uint64_t newest_us;     /* arrival of the newest message behind the changed values */

    struct heap_node deadline;

    uint64_t bad_window_ms;
    uint32_t bad_in_window, bad_suppressed; /* timeline throttle of bad input */

    /* what lists look at, close together */
    int64_t id;
    struct spb_node *sp;
    const char *manufacturer, *model, *serial;
    int64_t last_seen_ms;
    uint32_t n_commands;
    struct decided verdict;
    uint8_t told;      /* missed: the status its timeline says last */
    bool missed;       /* unknown through our own absence; its timeline does not say so yet */
    uint8_t asking;    /* enum lw_dialect of the LwM2M message being handled: its refusal goes back
                          the same way */
    uint8_t published; /* enum err: what became of the node's newest publish */
    bool judge;        /* evidence changed since the verdict */
    bool counted_lw, counted_sp;
    bool row_dirty; /* status or identity changed: send the row at the next tick */
    bool live_values, latest_dirty;
    bool seen_dirty, store_seen_dirty;
    bool clock_is_wrong; /* told on the timeline; until a sample with a possible time */
    char endpoint[];
};

struct shard {
    struct engine *engine;
    unsigned index;
    struct thread thread;
    struct mailbox *box;
    struct map by_endpoint, by_node, by_id;
    struct words words;
    struct spb_shapes *shapes;
    struct map blocked, strangers; /* standing.c */
    struct heap deadlines;
    struct live_table *live;
    struct list snapshots; /* snapshot.c */
    struct arena scratch;  /* one message */
    struct arena scratch2; /* one command, inside a message */
    struct batch *batch;
    uint64_t batch_since_ms;
    struct list dirty;
    struct buf missed; /* ids of devices that became unknown at once, and since when and why */
    int64_t missed_at_ms;
    const char *missed_kind;
    uint64_t next_tick_ms, next_survey_ms, survey_at_ms;
    size_t latest_it;    /* where the round of latest values is */
    uint64_t metrics_in; /* samples since the last survey */
    double metrics_per_s;
    uint64_t next_request_id;
    struct command *sending; /* whose request the LwM2M client is sending right now */
    uint64_t admit_tokens, admit_at_ms;
    struct mail *parked, *parked_last; /* of the Sparkplug session, waiting for room: flow.c */
    size_t n_parked;
    uint64_t rebirth_tokens, rebirths_at_ms;
    uint64_t refused_now; /* samples of the message being handled that were stored nowhere */
    uint64_t random;
    bool stopping;
    struct moment now;   /* of the letter or deadline being handled */
    uint64_t arrived_us; /* of the message being handled, 0 otherwise */
    bool drained;        /* the message being handled was */
    int64_t away_from_ms;
};

struct waiter_table; /* waiter.c */

struct engine {
    const struct config *config;
    struct metrics *metrics;
    struct writer *writer;
    const struct lw_model *model;
    struct shard *shards;
    unsigned n_shards;
    _Atomic int64_t next_device_id;
    _Atomic uint32_t next_series;
    struct spb_host host;
    pthread_mutex_t host_lock;
    struct gather *gathered[2]; /* per session, of all shards */
    struct mqtt *sp, *lw;
    struct publisher *publisher;   /* LwM2M session for acks made on the writer's thread */
    _Atomic bool sp_seen, lw_seen; /* connected at least once */
    _Atomic bool leaving;          /* our STATE death is said: it is the last word */
    _Atomic bool lw_draining;
    _Atomic uint64_t lw_hears_since; /* monotonic ms; 0: down, or what was kept still arrives */
    _Atomic int64_t lw_away_from_ms, sp_since_ms, lw_since_ms;
    _Atomic uint64_t drain_serial;
    _Atomic bool paused, shedding; /* flow.c */
    _Atomic int64_t paused_since_ms, broker_dropped, broker_dropped_ms;
    int64_t started_ms;
    struct waiter_table *waiters;
    /* publishes whose PUBACK matters: mid -> command */
    pthread_mutex_t puback_lock;
    struct map pubacks;
    bool ready;
};

/* shard.c */
MUST_CHECK enum err shard_init(struct shard *s, struct engine *e, unsigned index);
void shard_fini(struct shard *s);
MUST_CHECK enum err shard_start(struct shard *s);
struct shard *shard_of(struct engine *e, struct str name);
uint64_t shard_random(struct shard *s);
void shard_flush_samples(struct shard *s);

/* flow.c: what happens when samples can be stored nowhere */
bool flow_holds(const struct engine *e);
bool flow_may_read(void *engine); /* asked by the Sparkplug session */
bool flow_may_ask(void *device);  /* asked by a node that wants a rebirth */
/* flow_park takes a letter of the Sparkplug session that must wait; flow_unpark gives the next that
 * need not any more. */
bool flow_park(struct shard *s, struct letter *l);
struct letter *flow_unpark(struct shard *s, bool end);
void flow_refuse_sample(struct device *d);
/* flow_settle_refused says so and asks for a rebirth, once there is room again. */
void flow_settle_refused(struct device *d);
extern const char *const flow_sys_filters[]; /* NULL at the end */
void flow_sys(struct engine *e, struct str topic, struct str payload);
void flow_json(struct engine *e, struct json_out *j);

/* letters.c */
void letter_free(struct letter *l);
/* Messages of one session for one shard, gathered until they go together: one allocation and one
 * turn of the lock for all that a wake-up brought.  Belongs to the session's thread. */
struct gather {
    struct slab *slab;
    struct mail *first, *last;
    size_t n, next_size;
    struct moment at; /* of the first: one look at the clock for all */
    uint64_t arrived_us;
};
/* gather_add makes room for a letter with `extra` bytes behind it, zeroed and in the chain; NULL
 * without memory.  gather_send hands all over, waiting while the shard's mailbox is full;
 * ERR_CLOSED drops them.  *n (may be NULL) says how many they were. */
struct letter_mqtt *gather_add(struct gather *g, size_t extra);
MUST_CHECK enum err gather_send(struct gather *g, struct mailbox *to, size_t *n);
struct ask *ask_new(enum ask_kind kind, struct str endpoint);
void ask_unref(struct ask *a);
void ask_answer(struct ask *a,
                enum err result); /* shard side: hands over and drops its reference */
/* ask_send puts `a` to shard `s` and waits; ERR_TIMEOUT, ERR_CLOSED or the shard's result. */
MUST_CHECK enum err ask_send(struct shard *s, struct ask *a);
MUST_CHECK enum err ask_wait(struct ask *a, uint32_t wait_ms);

/* sessions.c: the two broker connections.  sessions_new makes both, before any thread that may
 * publish; sessions_start lets them connect. */
MUST_CHECK enum err sessions_new(struct engine *e);
MUST_CHECK enum err sessions_start(struct engine *e);
/* sessions_stop ends both; the shards may go on: what they publish is refused as without a broker.
 * sessions_free when the shards are gone. */
void sessions_stop(struct engine *e);
void sessions_free(struct engine *e);
/* route_name finds whose message a topic is (endpoint or edge node id); .p NULL: nobody's. */
struct str route_name(struct str topic);
/* sessions_send publishes an LwM2M downlink of a command so that its PUBACK comes back. */
MUST_CHECK enum err sessions_send(struct engine *e, struct str topic, struct str payload,
                                  const struct command *c);

/* device.c */
struct device *device_find(struct shard *s, struct str endpoint);
struct device *device_find_node(struct shard *s, struct str group, struct str node);
struct device *device_new(struct shard *s, int64_t id, struct str endpoint);
void device_free(struct device *d);
/* device_admit makes (or finds) the device of an identity, if admission lets it in: ERR_CLOSED it
 * never will, ERR_AGAIN too many at once, ERR_DENIED no such name. */
MUST_CHECK enum err device_admit(struct shard *s, struct str endpoint, struct device **out);
/* device_make makes one without asking admission; ERR_DENIED for a name nobody may have. */
MUST_CHECK enum err device_make(struct shard *s, struct str endpoint, struct device **out);
MUST_CHECK enum err device_bind_node(struct device *d, struct str group, struct str node,
                                     bool persist);
/* device_settle ends the handling of anything that touched `d`: verdict, persistence of edges,
 * next deadline. */
void device_settle(struct device *d);
void device_run_deadline(struct device *d);
void device_mark_row(struct device *d);
void device_store_seen(struct device *d);
void device_set_text(struct device *d, const char **where, struct str text);
struct str device_text(struct str text); /* as device_set_text would keep it */

/* verdict.c */
void device_heard(struct device *d, bool sparkplug, const char *kind);
void device_died(struct device *d, const char *kind);  /* its link did */
void device_blind(struct device *d, const char *kind); /* we do not hear it any more */
void verdict_first(struct device *d);                  /* of a device just made: no edge */
void verdict_judge(struct device *d);
enum braid_lwm2m verdict_of_registration(enum lw_reg_state state);
int64_t verdict_since_ms(const struct device *d); /* since when it is what it is */
void verdict_tell_late(struct device *d);         /* of our absence, to whom did not come back */
void verdict_store_missed(struct shard *s);       /* what was gathered for one statement */

/* timeline.c */
void timeline_add(struct device *d, enum tl_kind kind, const char *text, struct str detail_json);
void timeline_add_at(struct device *d, int64_t at_ms, enum tl_kind kind, const char *text,
                     struct str detail_json);
void timeline_addf(struct device *d, enum tl_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Bad input of a known device (d NULL: unknown): counted, and shown at most 10 times a minute. */
void bad_input(struct shard *s, struct device *d, enum err e, const char *words);
enum metric bad_input_metric(enum err e);

/* points.c: the view of both kinds */
bool points_next(struct device *d, struct points_iter *it, struct point *out); /* start with {0} */
void point_key(const struct point *p, struct buf *out); /* "lwm2m:/3/0/0", "spb:D1/Temp" */
const char *point_datatype(const struct point *p);
struct str point_unit(const struct point *p); /* .n 0 if none */
int64_t point_at(const struct point *p);
const char *point_quality(const struct point *p);
uint8_t *point_marks(const struct point *p);
void point_value_json(const struct point *p, struct json_out *j);
/* points_touched: values of `d` changed, their marks are set. */
void points_touched(struct device *d);
void points_store_latest(struct device *d);
void points_take_samples(struct device *d, const struct spb_sample *v, size_t n);
void points_stale(struct device *d, struct str subdevice);
void points_restored(struct device *d); /* all of them are back: fault words from them */
/* Fault words changed: fault_lwm2m or fault_metric. */
void points_fault(struct device *d);
/* Tells once when a device's clock begins or ceases to be impossible. */
void points_check_clock(struct device *d, bool possible);

/* resources.c: LwM2M's */
void resources_take(struct device *d, const struct lw_entries *values, enum lw_source source);
MUST_CHECK enum err resource_restore(struct device *d, const struct load_series *s);
void resources_collect_errors(struct device *d);
void resources_free(struct device *d);
struct lw_path resource_path(const struct resource *r);
void resource_value_json(const struct resource *r, struct json_out *j);

/* samples.c: on their way to the writer */
void store_sparkplug(struct device *d, uint32_t series, const struct spb_sample *v);
void store_lwm2m(struct device *d, uint32_t series, const struct lw_value *v, uint8_t quality,
                 int64_t at_ms);
/* News of series: gathered, then one statement for all. */
struct series_news {
    struct device *device;
    struct buf json;
    size_t n;
};
void series_news_begin(struct series_news *n, struct device *d);
void series_news_add(struct series_news *n, uint32_t series, const struct point *p);
void series_news_end(struct series_news *n);
/* The batch that samples go into just now; NULL (counted) without memory. */
struct batch *samples_batch(struct shard *s);

/* lw_strand.c, sp_strand.c: the sinks of the protocol rooms */
void lw_strand_message(struct shard *s, const struct letter_mqtt *m);
MUST_CHECK enum err lw_strand_attach(struct device *d);
void sp_strand_message(struct shard *s, const struct letter_mqtt *m);
MUST_CHECK enum err sp_strand_attach(struct device *d, struct str group, struct str node);
void sp_strand_broker(struct shard *s, bool up, bool first);
/* sp_strand_blind: the session ended, but what came before waits; nobody hears the nodes. */
void sp_strand_blind(struct shard *s);

/* commands.c, command.c, command_answer.c: the commands of a device */
void command_accept(struct shard *s, const struct letter_command *l);
MUST_CHECK enum err command_restore(struct device *d, const struct load_command *c);
void commands_flush(struct device *d); /* send what may be sent now */
void commands_answer(struct device *d, const struct lw_answer *a);
void commands_see_lwm2m(struct device *d, const struct lw_entry *e);
void commands_see_metric(struct device *d, const struct spb_sample *s);
void commands_see_birth(struct device *d);
void commands_armed(struct shard *s, const struct letter_armed *l);
void commands_acked(struct shard *s, const struct letter_acked *l);
/* At the end of the shard: what was marked sent but never went out is queued again. */
void commands_disarm(struct device *d);
void commands_puback(struct shard *s, const struct letter_puback *l);
enum err commands_cancel(struct device *d, struct str id);
void commands_tick(struct device *d);
uint64_t commands_deadline(const struct device *d);
void command_free(struct command *c);
bool device_reachable(const struct device *d, bool sparkplug);
struct command *command_find(struct device *d, struct str id);
/* command_fail_gone ends the row of a command whose device is not here (any more). */
void command_fail_gone(struct shard *s, struct str id, const char *why);

/* render.c */
void render_summary(struct device *d, struct json_out *j);
void render_detail(struct device *d, struct json_out *j);
void render_command(const struct command *c, const char *why, int64_t finished_ms,
                    struct json_out *j);
/* the members state, why, sent_at, finished_at, result, without braces */
void render_command_members(const struct command *c, const char *why, int64_t finished_ms,
                            struct json_out *j);

/* feed.c */
void feed_tick(struct shard *s);
void feed_event(struct device *d, struct str json);
void feed_command(struct device *d, struct str json);
void feed_removed(struct device *d);
void feed_subscribe(struct shard *s, struct ask *a);

/* snapshot.c: what a subscription sees first, a slice at a time */
void snapshot_begin(struct shard *s, struct live_outbox *o, struct live_sub *sub);
/* The next device a subscription is about, or NULL; `it` starts at 0. */
struct device *snapshot_next(struct shard *s, const struct live_sub *sub, size_t *it);
void snapshots_run(struct shard *s);       /* one slice, if a client can take it */
bool snapshots_due(const struct shard *s); /* one can */
/* snapshots_end drops those of one subscription, or (NULL) of a client that leaves. */
void snapshots_end(struct shard *s, const struct live_outbox *o, const struct live_sub *sub);
void snapshots_fini(struct shard *s);

/* fleet_list.c: a query may outlive its asker's patience, hence the copy (one block, free it).
 * fleet_list_merge orders what several shards gave and cuts it to the page. */
struct fleet_query *fleet_query_copy(const struct fleet_query *q);
MUST_CHECK enum err fleet_list_answer(struct shard *s, const struct fleet_query *q,
                                      struct engine_rows *out);
void fleet_list_merge(const struct fleet_query *q, struct engine_rows *rows);

/* answers.c: asks of request threads */
void ask_handle(struct shard *s, struct ask *a);

/* standing.c: suspended and retired names, devices added by hand, strangers */
enum standing shard_standing(const struct shard *s, struct str name);
MUST_CHECK enum err standing_restore(struct engine *e, const struct load_identity *i);
void standing_fini(struct shard *s);
enum err standing_answer(struct shard *s, struct ask *a);
enum err standing_add(struct shard *s, struct ask *a);
enum err standing_note(struct shard *s, struct ask *a);
void stranger_seen(struct shard *s, struct str name);
void strangers_store(struct shard *s);

/* restore.c */
MUST_CHECK enum err engine_restore(struct engine *e);

/* waiter.c */
struct waiter_table *waiters_new(void);
void waiters_free(struct waiter_table *t);
void waiters_tell(struct waiter_table *t, const char *id, enum cmd_state state, struct str members);

/* params.h is for the writer's statements */
struct params {
    struct str v[STORE_MAX_PARAMS];
    char number[STORE_MAX_PARAMS][24];
    size_t n;
};
void params_str(struct params *p, struct str s);
void params_text(struct params *p, const char *s); /* NULL = SQL NULL */
void params_i64(struct params *p, int64_t v);
void params_ms(struct params *p, int64_t ms); /* 0 = SQL NULL */
void params_bool(struct params *p, bool v);
void params_null(struct params *p);
/* caches_wanted: now is a time to store what only repeats what the shard knows; while not, its
 * marks stay and the newest is stored later.  At the end it is now or never. */
bool caches_wanted(const struct shard *s);
/* params_put hands the statement to the writer; a refusal is counted and logged. */
void params_put(struct engine *e, enum store_stmt s, const struct params *p);

#endif
