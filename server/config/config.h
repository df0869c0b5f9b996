/* config.h - one table of options: parser, environment, --help and docs come from it.
 *
 * One option, four spellings: key `sparkplug.host_id` = env BRAID_SPARKPLUG_HOST_ID = flag
 * --sparkplug-host-id = file line `sparkplug.host_id = braid`.  Precedence: flag, env, file,
 * default.  Secrets are given only as files (`*_file`).  Immutable after start. */
#ifndef BRAID_CONFIG_CONFIG_H
#define BRAID_CONFIG_CONFIG_H

#include "base/buf.h"

/* X(member, kind s|i|b, key, default, min, max, help).  s: string ("" = not set), i: integer,
 * b: boolean. */
#define CONFIG_TABLE(X)                                                                            \
    X(log_level, s, "log.level", "info", 0, 0, "debug, info, warn or error")                       \
    X(data_dir, s, "data.dir", "", 0, 0, "Folder for the spool; must exist and be writable")       \
    X(http_listen, s, "http.listen", "127.0.0.1:8080", 0, 0, "UI, API, WebSocket")                 \
    X(http_metrics_listen, s, "http.metrics_listen", "127.0.0.1:8081", 0, 0,                       \
      "Metrics without login; empty = off")                                                        \
    X(http_static_dir, s, "http.static_dir", "", 0, 0, "Folder of the built web UI")               \
    X(http_workers, i, "http.workers", "16", 4, 512, "Threads for requests")                       \
    X(http_live_clients, i, "http.live_clients", "128", 1, 4000, "WebSocket clients at most")      \
    X(http_session_idle_s, i, "http.session_idle_s", "43200", 60, 2592000, "Login idle timeout")   \
    X(http_session_max_s, i, "http.session_max_s", "604800", 60, 31536000, "Login total timeout")  \
    X(http_trusted_proxies, s, "http.trusted_proxies", "", 0, 0,                                   \
      "Networks of proxies whose X-Forwarded-* count, comma separated")                            \
    X(http_secure_cookie, b, "http.secure_cookie", "false", 0, 0, "Cookies over HTTPS only")       \
    X(mqtt_host, s, "mqtt.host", "127.0.0.1", 0, 0, "Broker")                                      \
    X(mqtt_port, i, "mqtt.port", "8883", 1, 65535, "Broker port")                                  \
    X(mqtt_socket, s, "mqtt.socket", "", 0, 0, "Unix socket of a broker on this machine, instead") \
    X(mqtt_tls_ca_file, s, "mqtt.tls_ca_file", "", 0, 0, "CA of the broker; empty = no TLS")       \
    X(mqtt_sp_cert_file, s, "mqtt.sp_cert_file", "", 0, 0, "Certificate of the Sparkplug session") \
    X(mqtt_sp_key_file, s, "mqtt.sp_key_file", "", 0, 0, "Its key")                                \
    X(mqtt_lw_cert_file, s, "mqtt.lw_cert_file", "", 0, 0, "Certificate of the LwM2M session")     \
    X(mqtt_lw_key_file, s, "mqtt.lw_key_file", "", 0, 0, "Its key")                                \
    X(mqtt_sp_username, s, "mqtt.sp_username", "braid-sp", 0, 0, "Client id and user name")        \
    X(mqtt_lw_username, s, "mqtt.lw_username", "braid-lw", 0, 0, "Client id and user name")        \
    X(mqtt_sp_password_file, s, "mqtt.sp_password_file", "", 0, 0, "Password instead of a cert")   \
    X(mqtt_lw_password_file, s, "mqtt.lw_password_file", "", 0, 0, "Password instead of a cert")   \
    X(mqtt_keepalive_s, i, "mqtt.keepalive_s", "20", 5, 3600, "Keep-alive of both sessions")       \
    X(mqtt_session_expiry_s, i, "mqtt.session_expiry_s", "3600", 0, 604800,                        \
      "How long the broker keeps LwM2M messages while braidd is away")                             \
    X(mqtt_backlog_mb, i, "mqtt.backlog_mb", "1024", 1, 1048576,                                   \
      "Broker heap beyond which telemetry that cannot be stored is refused, not left there")       \
    X(db_conninfo, s, "db.conninfo", "", 0, 0, "libpq string, role braid_app")                     \
    X(db_owner_conninfo, s, "db.owner_conninfo", "", 0, 0, "libpq string for migrate")             \
    X(db_pool, i, "db.pool", "8", 1, 64, "Connections for requests")                               \
    X(spool_max_mb, i, "spool.max_mb", "4096", 1, 1048576, "Size limit of the spool file")         \
    X(history_slot_rows, i, "history.slot_rows", "500000", 1000, 100000000,                        \
      "Samples that land in one table before it is packed")                                        \
    X(history_slot_s, i, "history.slot_s", "300", 1, 86400,                                        \
      "Seconds after which a landing table is packed, full or not")                                \
    X(history_disk_limit_bytes, i, "history.disk_limit_bytes", "0", 0, INT64_MAX,                  \
      "What the database may take on disk, for the forecast; 0 = not known")                       \
    X(history_volume_dir, s, "history.volume_dir", "", 0, 0,                                       \
      "A folder on the database's volume, to know its free space; empty = not known")              \
    X(history_text_days, i, "history.text_days", "400", 0, 36500, "Texts are kept; 0 = for ever")  \
    X(history_timeline_days, i, "history.timeline_days", "400", 0, 36500,                          \
      "Timeline events are kept; 0 = for ever")                                                    \
    X(history_command_days, i, "history.command_days", "400", 0, 36500,                            \
      "Finished commands are kept; 0 = for ever")                                                  \
    X(history_audit_days, i, "history.audit_days", "1830", 0, 36500,                               \
      "The audit log is kept; 0 = for ever")                                                       \
    X(history_pack_memory_mb, i, "history.pack_memory_mb", "64", 1, 65536,                         \
      "Megabytes of samples held while packing, and as many of what landed lately")                \
    X(history_pack_cpu_percent, i, "history.pack_cpu_percent", "50", 1, 100,                       \
      "Share of one core for packing and merging while nothing piles up")                          \
    X(sparkplug_host_id, s, "sparkplug.host_id", "braid", 0, 0, "Host application id (STATE)")     \
    X(sparkplug_reorder_ms, i, "sparkplug.reorder_ms", "2000", 0, 60000, "Wait for a seq gap")     \
    X(sparkplug_strict, b, "sparkplug.strict", "false", 0, 0, "Refuse short prototype topics")     \
    X(devices_admission, s, "devices.admission", "open", 0, 0, "open or known")                    \
    X(devices_ca_cert_file, s, "devices.ca_cert_file", "", 0, 0,                                   \
      "CA that issues devices' certificates; empty = none are issued")                             \
    X(devices_ca_key_file, s, "devices.ca_key_file", "", 0, 0, "Its key")                          \
    X(devices_cert_days, i, "devices.cert_days", "365", 1, 3650,                                   \
      "How long a device's certificate is good unless the request says otherwise")                 \
    X(broker_sync_dir, s, "broker.sync_dir", "", 0, 0,                                             \
      "Folder for Mosquitto's files passwords, acl and crl.pem; empty = not ours to write")        \
    X(broker_base_dir, s, "broker.base_dir", "", 0, 0,                                             \
      "Folder of files of the same names whose content goes in front of ours")                     \
    X(broker_pid_file, s, "broker.pid_file", "", 0, 0,                                             \
      "Mosquitto's pid_file: reloaded by SIGHUP after each change; empty = not by us")             \
    X(broker_takeover_port, i, "broker.takeover_port", "0", 0, 65535,                              \
      "Mosquitto's password listener, to close sessions of suspended devices; 0 = leave them")     \
    X(engine_shards, i, "engine.shards", "0", 0, 64, "0 = half the cores")                         \
    X(engine_mailbox, i, "engine.mailbox", "200000", 1000, 10000000, "Messages a shard may hold")  \
    X(lwm2m_prefix, s, "lwm2m.prefix", "", 0, 0, "Topic prefix of the oma dialect")                \
    X(lwm2m_models_dir, s, "lwm2m.models_dir", "", 0, 0,                                           \
      "Folder of *.json with object definitions of your own")                                      \
    X(connect_host, s, "connect.host", "localhost", 0, 0, "Broker address shown to users")         \
    X(connect_tls_port, i, "connect.tls_port", "8883", 0, 65535, "Shown: TLS with certificate")    \
    X(connect_tls_password_port, i, "connect.tls_password_port", "8884", 0, 65535,                 \
      "Shown: TLS with password")                                                                  \
    X(connect_plain_port, i, "connect.plain_port", "1883", 0, 65535, "Shown: loopback console")    \
    X(connect_websocket_port, i, "connect.websocket_port", "9001", 0, 65535, "Shown: WebSocket")

struct config {
#define CONFIG_MEMBER_s                         char *
#define CONFIG_MEMBER_i                         int64_t
#define CONFIG_MEMBER_b                         bool
#define X(member, kind, key, def, lo, hi, help) CONFIG_MEMBER_##kind member;
    CONFIG_TABLE(X)
#undef X
};

/* config_load reads defaults, the file named by --config (if any), `envp` and the flags in argv
 * (which must hold flags only).  On failure ERR_INVALID, ERR_RANGE or ERR_IO with one line for the
 * user in `why` (a buf the caller owns).  The result is freed with config_free. */
MUST_CHECK enum err config_load(int argc, char *const argv[], char *const envp[],
                                struct config **out, struct buf *why);
void config_free(struct config *c);
void config_help(struct buf *out);     /* --help text of all options */
void config_markdown(struct buf *out); /* table for docs/configuration.md */

#endif
