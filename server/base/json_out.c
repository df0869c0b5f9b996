/* json_out.c - see json_out.h. */
#include "base/json_out.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define EXACT_MAX ((int64_t)1 << 53)

void json_out_init(struct json_out *j, struct buf *b)
{
    *j = (struct json_out){.b = b};
}

/* The comma before a value or key, as needed. */
static void separate(struct json_out *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->started[j->depth])
        buf_putc(j->b, ',');
    j->started[j->depth] = true;
}

void json_open(struct json_out *j, char bracket)
{
    separate(j);
    buf_putc(j->b, bracket);
    if (j->depth + 1 >= JSON_OUT_DEPTH) {
        j->b->err = j->b->err ? j->b->err : ERR_DEPTH;
        return;
    }
    j->depth++;
    j->started[j->depth] = false;
    j->closer[j->depth] = bracket == '{' ? '}' : ']';
}

void json_close(struct json_out *j)
{
    if (!j->depth)
        return;
    buf_putc(j->b, j->closer[j->depth]);
    j->depth--;
}

/* Longest well-formed run of plain characters at s; 0 when the next one needs escaping. */
static size_t plain_run(struct str s)
{
    size_t i = 0;
    while (i < s.n && (unsigned char)s.p[i] >= ' ' && s.p[i] != '"' && s.p[i] != '\\' &&
           (unsigned char)s.p[i] < 0x7f)
        i++;
    return i;
}

static size_t sequence_length(struct str s)
{
    size_t n = (unsigned char)s.p[0] >= 0xf0 ? 4 : (unsigned char)s.p[0] >= 0xe0 ? 3 : 2;
    return n <= s.n && str_utf8_valid(str_make(s.p, n)) ? n : 0;
}

static void put_string(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    while (s.n) {
        size_t run = plain_run(s);
        if (!run && (unsigned char)s.p[0] >= 0x80)
            run = sequence_length(s);
        if (run) {
            buf_put(b, s.p, run);
        } else {
            unsigned char c = (unsigned char)s.p[0];
            run = 1;
            if (c == '"' || c == '\\')
                buf_printf(b, "\\%c", c);
            else if (c == '\n')
                buf_puts(b, "\\n");
            else if (c == '\t')
                buf_puts(b, "\\t");
            else if (c < 0x80)
                buf_printf(b, "\\u%04x", c);
            else
                buf_puts(b, "\xef\xbf\xbd");
        }
        s.p += run;
        s.n -= run;
    }
    buf_putc(b, '"');
}

void json_key_str(struct json_out *j, struct str key)
{
    separate(j);
    put_string(j->b, key);
    buf_putc(j->b, ':');
    j->after_key = true;
}

void json_key(struct json_out *j, const char *key)
{
    json_key_str(j, str_of(key));
}

void json_str(struct json_out *j, struct str s)
{
    separate(j);
    put_string(j->b, s);
}

void json_text(struct json_out *j, const char *s)
{
    if (s)
        json_str(j, str_of(s));
    else
        json_null(j);
}

void json_i64(struct json_out *j, int64_t v)
{
    separate(j);
    buf_printf(j->b, v > EXACT_MAX || v < -EXACT_MAX ? "\"%" PRId64 "\"" : "%" PRId64, v);
}

void json_u64(struct json_out *j, uint64_t v)
{
    separate(j);
    buf_printf(j->b, v > (uint64_t)EXACT_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, v);
}

void json_double(struct json_out *j, double v)
{
    char text[32];
    separate(j);
    buf_put(j->b, text, str_from_double(v, text));
}

void json_bool(struct json_out *j, bool v)
{
    separate(j);
    buf_puts(j->b, v ? "true" : "false");
}

void json_null(struct json_out *j)
{
    separate(j);
    buf_puts(j->b, "null");
}

void json_time(struct json_out *j, int64_t utc_ms)
{
    char text[CLOCK_TEXT];
    if (!utc_ms) {
        json_null(j);
        return;
    }
    clock_rfc3339(utc_ms, text);
    json_text(j, text);
}

void json_base64(struct json_out *j, const void *p, size_t n)
{
    separate(j);
    buf_putc(j->b, '"');
    char chunk[400];
    for (size_t i = 0; i < n; i += 300) {
        size_t step = n - i < 300 ? n - i : 300;
        buf_put(j->b, chunk, str_to_base64((const char *)p + i, step, chunk));
    }
    buf_putc(j->b, '"');
}

void json_raw(struct json_out *j, struct str json)
{
    separate(j);
    buf_str(j->b, json);
}

#define PUT(word, type)                                                                            \
    void json_put_##word(struct json_out *j, const char *key, type v)                              \
    {                                                                                              \
        json_key(j, key);                                                                          \
        json_##word(j, v);                                                                         \
    }
PUT(str, struct str)
PUT(text, const char *)
PUT(i64, int64_t)
PUT(u64, uint64_t)
PUT(double, double)
PUT(bool, bool)
PUT(time, int64_t)
PUT(raw, struct str)

void json_put_null(struct json_out *j, const char *key)
{
    json_key(j, key);
    json_null(j);
}
