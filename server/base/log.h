/* log.h - key=value lines on stderr: time, level, event, then pairs.
 *
 *   log_info("mqtt.connected", KV("host", host), KI("port", port));
 *   2026-01-31T12:00:00.000Z info mqtt.connected host=localhost port=8883
 *
 * One write() per line.  Values with spaces, quotes or control bytes are quoted and escaped, so a
 * device cannot forge a line.  Never pass secrets. */
#ifndef BRAID_BASE_LOG_H
#define BRAID_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_kv {
    const char *key;
    struct str text; /* used when p is set */
    int64_t number;  /* used otherwise */
};

#define KV(k, cstr)                                                                                \
    (struct log_kv)                                                                                \
    {                                                                                              \
        .key = (k), .text = log_text(cstr)                                                         \
    }
#define KS(k, view)                                                                                \
    (struct log_kv)                                                                                \
    {                                                                                              \
        .key = (k), .text = log_view(view)                                                         \
    }
#define KI(k, n)                                                                                   \
    (struct log_kv)                                                                                \
    {                                                                                              \
        .key = (k), .number = (int64_t)(n)                                                         \
    }
#define KE(e) KV("error", err_word(e))

struct str log_text(const char *s); /* NULL becomes "-" */
struct str log_view(struct str s);  /* never NULL */
bool log_level_from(struct str word, enum log_level *out);
void log_set_level(enum log_level level); /* any thread */
void log_line(enum log_level level, const char *event, const struct log_kv *kv, size_t n);

#define LOG_AT(level, event, ...)                                                                  \
    log_line(level, event, (const struct log_kv[]){{0}, ##__VA_ARGS__} + 1,                        \
             sizeof((const struct log_kv[]){{0}, ##__VA_ARGS__}) / sizeof(struct log_kv) - 1)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, ##__VA_ARGS__)

#endif
