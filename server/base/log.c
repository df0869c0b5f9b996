/* log.c - see log.h.  The level is the one mutable global of the program: every line asks for it
 * and threading a logger through pure code would make that code impure. */
#include "base/log.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int current_level = LOG_INFO;
static const char *const level_words[] = {"debug", "info", "warn", "error"};

struct str log_text(const char *s)
{
    return str_of(s ? s : "-");
}

struct str log_view(struct str s)
{
    return s.p ? s : str_of("");
}

bool log_level_from(struct str word, enum log_level *out)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (str_is(word, level_words[i])) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

#define LINE_MAX_BYTES 4096

struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
};

static void put_char(struct line *l, char c)
{
    if (l->n < sizeof l->p - 1)
        l->p[l->n++] = c;
}

static void put_text(struct line *l, const char *s)
{
    while (*s)
        put_char(l, *s++);
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

static void put_value(struct line *l, struct str s)
{
    if (s.n > 1024)
        s.n = 1024;
    if (plain(s)) {
        for (size_t i = 0; i < s.n; i++)
            put_char(l, s.p[i]);
        return;
    }
    put_char(l, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[8];
        if (c == '"' || c == '\\') {
            put_char(l, '\\');
            put_char(l, (char)c);
        } else if (c < ' ' || c == 0x7f) {
            snprintf(esc, sizeof esc, "\\x%02x", c);
            put_text(l, esc);
        } else {
            put_char(l, (char)c);
        }
    }
    put_char(l, '"');
}

void log_line(enum log_level level, const char *event, const struct log_kv *kv, size_t n)
{
    if ((int)level < atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    struct line l;
    l.n = 0;
    char stamp[CLOCK_TEXT], number[24];
    clock_rfc3339(clock_utc_ms(), stamp);
    put_text(&l, stamp);
    put_char(&l, ' ');
    put_text(&l, level_words[level]);
    put_char(&l, ' ');
    put_text(&l, event);
    for (size_t i = 0; i < n; i++) {
        put_char(&l, ' ');
        put_text(&l, kv[i].key);
        put_char(&l, '=');
        if (kv[i].text.p) {
            put_value(&l, kv[i].text);
        } else {
            snprintf(number, sizeof number, "%" PRId64, kv[i].number);
            put_text(&l, number);
        }
    }
    l.p[l.n++] = '\n';
    ssize_t done = write(STDERR_FILENO, l.p, l.n);
    (void)done; /* nowhere left to complain */
}
