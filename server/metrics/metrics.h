/* metrics.h - one table of everything that is counted; exposition text comes from the same table.
 *
 * Counters and gauges are shared atomics ("shared counters are metrics and nothing else"): any
 * thread adds, only exposition reads.  Histograms have fixed buckets in seconds.  Add a row here
 * and it is in /metrics and in docs/metrics.md (braidd help --metrics). */
#ifndef BRAID_METRICS_METRICS_H
#define BRAID_METRICS_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>

/* X(enumerator, kind c|g, name, labels ("" if none), help).  Rows of one name stand together. */
#define METRIC_TABLE(X)                                                                            \
    X(M_LW_ACTIVE, 'g', "lwm2m_active_devices", "", "Unexpired registrations with link not lost")  \
    X(M_SP_ONLINE, 'g', "sparkplug_devices_online", "", "Devices whose edge node is born")         \
    X(M_SP_SUBDEVICES, 'g', "braid_sparkplug_subdevices_online", "", "Born Sparkplug devices")     \
    X(M_DEV_NEVER, 'g', "braid_devices", "status=\"never\"", "Devices by status")                  \
    X(M_DEV_ONLINE, 'g', "braid_devices", "status=\"online\"", "Devices by status")                \
    X(M_DEV_DEGRADED, 'g', "braid_devices", "status=\"degraded\"", "Devices by status")            \
    X(M_DEV_SLEEPING, 'g', "braid_devices", "status=\"sleeping\"", "Devices by status")            \
    X(M_DEV_LOST, 'g', "braid_devices", "status=\"lost\"", "Devices by status")                    \
    X(M_DEV_OFFLINE, 'g', "braid_devices", "status=\"offline\"", "Devices by status")              \
    X(M_DEV_UNKNOWN, 'g', "braid_devices", "status=\"unknown\"", "Devices by status")              \
    X(M_MSG_REGISTER, 'c', "braid_lwm2m_messages_total", "kind=\"register\"", "From devices")      \
    X(M_MSG_UPDATE, 'c', "braid_lwm2m_messages_total", "kind=\"update\"", "From devices")          \
    X(M_MSG_DEREGISTER, 'c', "braid_lwm2m_messages_total", "kind=\"deregister\"", "From devices")  \
    X(M_MSG_NOTIFY, 'c', "braid_lwm2m_messages_total", "kind=\"notify\"", "From devices")          \
    X(M_MSG_SEND, 'c', "braid_lwm2m_messages_total", "kind=\"send\"", "From devices")              \
    X(M_MSG_RESPONSE, 'c', "braid_lwm2m_messages_total", "kind=\"response\"", "From devices")      \
    X(M_MSG_LOST, 'c', "braid_lwm2m_messages_total", "kind=\"lost\"", "From devices")              \
    X(M_MSG_BS, 'c', "braid_lwm2m_messages_total", "kind=\"bootstrap\"", "From devices")           \
    X(M_MSG_NBIRTH, 'c', "braid_sparkplug_messages_total", "kind=\"NBIRTH\"", "From nodes")        \
    X(M_MSG_NDATA, 'c', "braid_sparkplug_messages_total", "kind=\"NDATA\"", "From nodes")          \
    X(M_MSG_NDEATH, 'c', "braid_sparkplug_messages_total", "kind=\"NDEATH\"", "From nodes")        \
    X(M_MSG_DBIRTH, 'c', "braid_sparkplug_messages_total", "kind=\"DBIRTH\"", "From nodes")        \
    X(M_MSG_DDATA, 'c', "braid_sparkplug_messages_total", "kind=\"DDATA\"", "From nodes")          \
    X(M_MSG_DDEATH, 'c', "braid_sparkplug_messages_total", "kind=\"DDEATH\"", "From nodes")        \
    X(M_MSG_STATE, 'c', "braid_sparkplug_messages_total", "kind=\"STATE\"", "From nodes")          \
    X(M_METRICS_IN, 'c', "braid_sparkplug_metrics_total", "", "Metric values received")            \
    X(M_REBIRTHS, 'c', "braid_rebirths_requested_total", "", "Rebirths asked for")                 \
    X(M_SEQ_GAPS, 'c', "braid_sequence_gaps_total", "", "Sparkplug sequence gaps")                 \
    X(M_SEQ_HEALED, 'c', "braid_sequence_gaps_healed_total", "",                                   \
      "Gaps whose messages came late, but in time")                                                \
    X(M_SEQ_MISSING, 'c', "braid_sequence_lost_total", "how=\"missing\"",                          \
      "Sparkplug messages that never came, or came but could not be used before a rebirth")        \
    X(M_SEQ_UNUSABLE, 'c', "braid_sequence_lost_total", "how=\"unusable\"",                        \
      "Sparkplug messages that never came, or came but could not be used before a rebirth")        \
    X(M_BAD_MALFORMED, 'c', "braid_bad_input_total", "reason=\"malformed\"", "Refused input")      \
    X(M_BAD_TOOBIG, 'c', "braid_bad_input_total", "reason=\"too_big\"", "Refused input")           \
    X(M_BAD_DEPTH, 'c', "braid_bad_input_total", "reason=\"too_deep\"", "Refused input")           \
    X(M_BAD_UTF8, 'c', "braid_bad_input_total", "reason=\"invalid_utf8\"", "Refused input")        \
    X(M_BAD_TYPE, 'c', "braid_bad_input_total", "reason=\"wrong_type\"", "Refused input")          \
    X(M_BAD_TOPIC, 'c', "braid_bad_input_total", "reason=\"unknown_topic\"", "Refused input")      \
    X(M_BAD_RETAINED, 'c', "braid_bad_input_total", "reason=\"retained\"", "Refused input")        \
    X(M_BAD_IDENTITY, 'c', "braid_bad_input_total", "reason=\"identity\"", "Refused input")        \
    X(M_BAD_ADMISSION, 'c', "braid_bad_input_total", "reason=\"admission\"", "Refused input")      \
    X(M_BAD_BLOCKED, 'c', "braid_bad_input_total", "reason=\"suspended\"", "Refused input")        \
    X(M_BAD_OTHER, 'c', "braid_bad_input_total", "reason=\"other\"", "Refused input")              \
    X(M_CMD_CREATED, 'c', "braid_commands_total", "state=\"created\"", "Commands by end state")    \
    X(M_CMD_SUCCEEDED, 'c', "braid_commands_total", "state=\"succeeded\"",                         \
      "Commands by end state")                                                                     \
    X(M_CMD_FAILED, 'c', "braid_commands_total", "state=\"failed\"", "Commands by end state")      \
    X(M_CMD_TIMED_OUT, 'c', "braid_commands_total", "state=\"timed_out\"",                         \
      "Commands by end state")                                                                     \
    X(M_CMD_OTHER, 'c', "braid_commands_total", "state=\"other\"", "Commands by end state")        \
    X(M_DROP_MAILBOX, 'c', "braid_dropped_total", "queue=\"shard\"", "Messages dropped when full") \
    X(M_DROP_LIVE, 'c', "braid_dropped_total", "queue=\"live\"", "Messages dropped when full")     \
    X(M_DROP_PUBLISH, 'c', "braid_dropped_total", "queue=\"publish\"",                             \
      "Messages dropped when full")                                                                \
    X(M_DROP_SPOOL, 'c', "braid_dropped_total", "queue=\"spool\"", "Messages dropped when full")   \
    X(M_Q_SHARD, 'g', "braid_queue_depth", "queue=\"shard\"", "Waiting messages")                  \
    X(M_Q_PARKED, 'g', "braid_queue_depth", "queue=\"parked\"", "Waiting messages")                \
    X(M_Q_STATE, 'g', "braid_queue_depth", "queue=\"writer_state\"", "Waiting messages")           \
    X(M_Q_SAMPLES, 'g', "braid_queue_depth", "queue=\"writer_samples\"", "Waiting messages")       \
    X(M_SPOOL_BYTES, 'g', "braid_spool_bytes", "", "Bytes waiting in the spool file")              \
    X(M_CACHES_DROPPED, 'c', "braid_caches_dropped_total", "",                                     \
      "Latest values and last-seen times that found no room in the spool")                         \
    X(M_SPOOL_SET_ASIDE, 'c', "braid_spool_set_aside_total", "",                                   \
      "Spool records that could not be read, kept in table poisoned")                              \
    X(M_SAMPLES_IN, 'c', "braid_samples_total", "stage=\"accepted\"", "Samples on their way")      \
    X(M_SAMPLES_STORED, 'c', "braid_samples_total", "stage=\"stored\"", "Samples on their way")    \
    X(M_SAMPLES_SPOOLED, 'c', "braid_samples_total", "stage=\"spooled\"", "Samples on their way")  \
    X(M_SAMPLES_REFUSED, 'c', "braid_samples_total", "stage=\"refused\"", "Samples on their way")  \
    X(M_LANDING_TURNS, 'c', "braid_landing_turns_total", "result=\"turned\"",                      \
      "Landing tables that were full or old enough")                                               \
    X(M_LANDING_HELD, 'c', "braid_landing_turns_total", "result=\"none_free\"",                    \
      "Landing tables that were full or old enough")                                               \
    X(M_STORAGE_LANDING, 'g', "braid_storage_bytes", "kind=\"landing\"", "Bytes on disk by kind")  \
    X(M_STORAGE_PIECE, 'g', "braid_storage_bytes", "kind=\"piece\"", "Bytes on disk by kind")      \
    X(M_STORAGE_CHUNK, 'g', "braid_storage_bytes", "kind=\"chunk\"", "Bytes on disk by kind")      \
    X(M_STORAGE_MINUTE, 'g', "braid_storage_bytes", "kind=\"rollup_minute\"",                      \
      "Bytes on disk by kind")                                                                     \
    X(M_STORAGE_HOUR, 'g', "braid_storage_bytes", "kind=\"rollup_hour\"", "Bytes on disk by kind") \
    X(M_STORAGE_TEXT, 'g', "braid_storage_bytes", "kind=\"text\"", "Bytes on disk by kind")        \
    X(M_STORAGE_TIMELINE, 'g', "braid_storage_bytes", "kind=\"timeline\"",                         \
      "Bytes on disk by kind")                                                                     \
    X(M_STORAGE_OTHER, 'g', "braid_storage_bytes", "kind=\"other\"", "Bytes on disk by kind")      \
    X(M_STORAGE_LIMIT, 'g', "braid_storage_limit_bytes", "",                                       \
      "What the database may take; 0 when not known")                                              \
    X(M_STORAGE_FORECAST, 'g', "braid_storage_forecast_days", "",                                  \
      "Days until the limit is reached; 3650 when it fits, -1 when not known")                     \
    X(M_STORAGE_STEADY, 'g', "braid_storage_steady_bytes", "",                                     \
      "Bytes when as much is dropped as comes in; 0 when not known")                               \
    X(M_RETAIN_RUNS, 'c', "braid_retention_runs_total", "result=\"ok\"", "Runs of retention")      \
    X(M_RETAIN_FAILED, 'c', "braid_retention_runs_total", "result=\"failed\"",                     \
      "Runs of retention")                                                                         \
    X(M_RETAIN_PARTS, 'c', "braid_retention_partitions_total", "", "Partitions dropped")           \
    X(M_RETAIN_BYTES, 'c', "braid_retention_bytes_total", "", "Bytes of dropped partitions")       \
    X(M_RETAIN_TEXT, 'c', "braid_retention_rows_total", "kind=\"text\"", "Rows removed by age")    \
    X(M_RETAIN_TIMELINE, 'c', "braid_retention_rows_total", "kind=\"timeline\"",                   \
      "Rows removed by age")                                                                       \
    X(M_RETAIN_COMMAND, 'c', "braid_retention_rows_total", "kind=\"command\"",                     \
      "Rows removed by age")                                                                       \
    X(M_RETAIN_AUDIT, 'c', "braid_retention_rows_total", "kind=\"audit\"", "Rows removed by age")  \
    X(M_RETAIN_PIECE, 'c', "braid_retention_rows_total", "kind=\"piece\"", "Rows removed by age")  \
    X(M_PURGED_SERIES, 'c', "braid_purged_series_total", "",                                       \
      "Rounds of removing the history of deleted series")                                          \
    X(M_PURGED_ROWS, 'c', "braid_purged_rows_total", "", "Rows of history of deleted series")      \
    X(M_PACKED_SAMPLES, 'c', "braid_packed_samples_total", "", "Samples packed into pieces")       \
    X(M_PACKED_REMEMBERED, 'c', "braid_packed_from_memory_total", "",                              \
      "Of these, samples that were in memory and not read back")                                   \
    X(M_PACKED_PIECES, 'c', "braid_packed_pieces_total", "", "Rows they were packed into")         \
    X(M_MERGED_SAMPLES, 'c', "braid_merged_samples_total", "", "Samples merged, late ones again")  \
    X(M_MERGED_CHUNKS, 'c', "braid_merged_chunks_total", "", "Rows they were merged into")         \
    X(M_REFUSED_OLD, 'c', "braid_history_refused_total", "reason=\"older_than_kept\"",             \
      "Samples left out when packing")                                                             \
    X(M_REFUSED_TIME, 'c', "braid_history_refused_total", "reason=\"impossible_time\"",            \
      "Samples left out when packing")                                                             \
    X(M_BACKLOG_SLOTS, 'g', "braid_landing_backlog_tables", "", "Landing tables to be packed")     \
    X(M_BACKLOG_AGE, 'g', "braid_landing_backlog_age_seconds", "",                                 \
      "Since the oldest landing table that waits was opened")                                      \
    X(M_UPKEEP_BUSY, 'c', "braid_upkeep_microseconds_total", "clock=\"wall\"",                     \
      "Time of background jobs, waiting for PostgreSQL included, and their thread's CPU time")     \
    X(M_UPKEEP_CPU, 'c', "braid_upkeep_microseconds_total", "clock=\"cpu\"",                       \
      "Time of background jobs, waiting for PostgreSQL included, and their thread's CPU time")     \
    X(M_UPKEEP_FAILED, 'c', "braid_upkeep_failures_total", "", "Turns of background jobs failed")  \
    X(M_DB_UP, 'g', "braid_database_up", "", "1 when the writer is connected")                     \
    X(M_DB_ERRORS, 'c', "braid_database_errors_total", "", "Failed statements")                    \
    X(M_DB_RECONNECTS, 'c', "braid_database_reconnects_total", "", "Reconnects of the writer")     \
    X(M_BROKER_SP_UP, 'g', "braid_broker_up", "session=\"sparkplug\"", "1 when connected")         \
    X(M_BROKER_LW_UP, 'g', "braid_broker_up", "session=\"lwm2m\"", "1 when connected")             \
    X(M_BROKER_SP_DEAF, 'g', "braid_broker_refused_subscriptions", "session=\"sparkplug\"",        \
      "Subscriptions the broker refused on this connection")                                       \
    X(M_BROKER_LW_DEAF, 'g', "braid_broker_refused_subscriptions", "session=\"lwm2m\"",            \
      "Subscriptions the broker refused on this connection")                                       \
    X(M_BROKER_RECONNECTS, 'c', "braid_broker_reconnects_total", "",                               \
      "Reconnects of both sessions")                                                               \
    X(M_BROKER_DROPPED, 'g', "braid_broker_dropped_messages", "", "$SYS publish messages dropped") \
    X(M_BROKER_RECEIVED, 'g', "braid_broker_publish_messages", "direction=\"received\"",           \
      "$SYS PUBLISH messages since the broker's start")                                            \
    X(M_BROKER_SENT, 'g', "braid_broker_publish_messages", "direction=\"sent\"",                   \
      "$SYS PUBLISH messages since the broker's start")                                            \
    X(M_BROKER_HEAP, 'g', "braid_broker_heap_bytes", "", "$SYS memory the broker uses")            \
    X(M_BROKER_HEAP_MAX, 'g', "braid_broker_heap_max_bytes", "", "$SYS most it has used")          \
    X(M_BROKER_CONNECTED, 'g', "braid_broker_clients", "state=\"connected\"", "$SYS sessions")     \
    X(M_BROKER_DISCONNECTED, 'g', "braid_broker_clients", "state=\"disconnected\"",                \
      "$SYS sessions")                                                                             \
    X(M_BROKER_EXPIRED, 'g', "braid_broker_clients", "state=\"expired\"", "$SYS sessions")         \
    X(M_BROKER_KEPT, 'g', "braid_broker_store_messages", "", "$SYS messages the broker keeps")     \
    X(M_BROKER_KEPT_BYTES, 'g', "braid_broker_store_bytes", "", "$SYS bytes of them")              \
    X(M_TELEMETRY_PAUSED, 'g', "braid_telemetry_paused", "",                                       \
      "1 while Sparkplug messages are not read because samples can be stored nowhere")             \
    X(M_TELEMETRY_PAUSES, 'c', "braid_telemetry_pauses_total", "", "How often that began")         \
    X(M_TELEMETRY_SHEDDING, 'g', "braid_telemetry_shedding", "",                                   \
      "1 while they are read although samples must be refused, to relieve the broker")             \
    X(M_WS_CLIENTS, 'g', "braid_live_clients", "", "Open WebSocket clients")                       \
    X(M_WS_FRAMES, 'c', "braid_live_frames_total", "", "Frames sent to live clients")              \
    X(M_WS_RESYNC, 'c', "braid_live_resyncs_total", "", "Outboxes that overflowed")                \
    X(M_HTTP_2XX, 'c', "braid_http_responses_total", "class=\"2xx\"", "Answers of the API")        \
    X(M_HTTP_4XX, 'c', "braid_http_responses_total", "class=\"4xx\"", "Answers of the API")        \
    X(M_HTTP_5XX, 'c', "braid_http_responses_total", "class=\"5xx\"", "Answers of the API")        \
    X(M_LOGIN_OK, 'c', "braid_logins_total", "result=\"ok\"", "Logins")                            \
    X(M_LOGIN_BAD, 'c', "braid_logins_total", "result=\"refused\"", "Logins")                      \
    X(M_HTTP_STRANGER, 'c', "braid_http_refused_total", "reason=\"unauthenticated\"",              \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_FORBIDDEN, 'c', "braid_http_refused_total", "reason=\"forbidden\"",                   \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_CSRF, 'c', "braid_http_refused_total", "reason=\"csrf\"",                             \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_ORIGIN, 'c', "braid_http_refused_total", "reason=\"origin\"",                         \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_THROTTLED, 'c', "braid_http_refused_total", "reason=\"throttled\"",                   \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_TOOBIG, 'c', "braid_http_refused_total", "reason=\"too_large\"",                      \
      "Refused before any work, by reason")                                                        \
    X(M_HTTP_MALFORMED, 'c', "braid_http_refused_total", "reason=\"malformed\"",                   \
      "Refused before any work, by reason")

enum metric {
#define X(id, kind, name, labels, help) id,
    METRIC_TABLE(X)
#undef X
        METRIC_COUNT
};

/* X(enumerator, name, help) */
#define HISTOGRAM_TABLE(X)                                                                         \
    X(H_MAILBOX, "braid_shard_wait_seconds", "Arrival from the broker to the shard's turn")        \
    X(H_STORE, "braid_store_seconds", "Arrival from the broker to the commit")                     \
    X(H_LIVE, "braid_live_seconds", "Arrival from the broker to the live frame")                   \
    X(H_COMMAND, "braid_command_seconds", "Command sent to its answer")                            \
    X(H_HTTP, "braid_http_seconds", "API request to answer")

enum histogram {
#define X(id, name, help) id,
    HISTOGRAM_TABLE(X)
#undef X
        HISTOGRAM_COUNT
};

struct metrics; /* opaque; one per process, handed to who counts */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
/* Any thread, lock-free. */
void metric_add(struct metrics *m, enum metric id, int64_t n);
void metric_set(struct metrics *m, enum metric id, int64_t v);
int64_t metric_get(const struct metrics *m, enum metric id);
void histogram_observe_us(struct metrics *m, enum histogram id, uint64_t us);
/* metrics_expose writes the Prometheus text format 0.0.4, process_* included (RSS, CPU, fds). */
void metrics_expose(const struct metrics *m, struct buf *out);
/* metrics_markdown writes the table for docs/metrics.md. */
void metrics_markdown(struct buf *out);

#endif
