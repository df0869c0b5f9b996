/* str.c - views, UTF-8, numbers, base64, hex, hashing. */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

struct str str_cut(struct str *rest, char sep)
{
    struct str head = *rest;
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!at) {
        *rest = str_make(NULL, 0);
        return head;
    }
    head.n = (size_t)(at - head.p);
    *rest = str_make(at + 1, rest->n - head.n - 1);
    return head;
}

/* Length of the well-formed sequence at p (RFC 3629 table), 0 if there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return p[0] ? 1 : 0;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (left < n || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool str_utf8_valid(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n;) {
        uint64_t eight;
        if (s.n - i >= sizeof eight) { /* mostly ASCII: no byte with the top bit, none zero */
            memcpy(&eight, p + i, sizeof eight);
            if (!((eight | (eight - 0x0101010101010101u)) & 0x8080808080808080u)) {
                i += sizeof eight;
                continue;
            }
        }
        size_t n = utf8_sequence(p + i, s.n - i);
        if (!n)
            return false;
        i += n;
    }
    return true;
}

/* Copies a view into a terminated buffer so that strtoX can read it; false if it cannot be a
 * number (empty, too long, or starting with something strtoX would skip). */
static bool number_text(struct str s, char *out, size_t size)
{
    if (s.n == 0 || s.n >= size)
        return false;
    if (!((s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '-' || s.p[0] == '.'))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return strlen(out) == s.n;
}

static bool all_digits(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9')
            return false;
    return true;
}

enum err str_to_i64(struct str s, int64_t *out)
{
    char text[32];
    if (!number_text(s, text, sizeof text) || !all_digits(text + (text[0] == '-')))
        return ERR_INVALID;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return ERR_RANGE;
    *out = v;
    return ERR_OK;
}

enum err str_to_u64(struct str s, uint64_t *out)
{
    char text[32];
    if (!number_text(s, text, sizeof text) || !all_digits(text))
        return ERR_INVALID;
    errno = 0;
    unsigned long long v = strtoull(text, NULL, 10);
    if (errno == ERANGE)
        return ERR_RANGE;
    *out = v;
    return ERR_OK;
}

enum err str_to_double(struct str s, double *out)
{
    char text[512];
    if (!number_text(s, text, sizeof text))
        return ERR_INVALID;
    if (text[strspn(text, "0123456789.eE+-")]) /* no hex floats, "inf", "nan" */
        return ERR_INVALID;
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end)
        return ERR_INVALID;
    if (!isfinite(v))
        return ERR_RANGE;
    *out = v;
    return ERR_OK;
}

size_t str_from_double(double v, char *out)
{
    if (!isfinite(v)) {
        memcpy(out, "null", 5);
        return 4;
    }
    if (fabs(v) < 1e15 && v == (double)(int64_t)v && !(v == 0 && signbit(v)))
        return (size_t)snprintf(out, 32, "%lld", (long long)v);
    for (int digits = 15; digits < 17; digits++) {
        int n = snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            return (size_t)n;
    }
    return (size_t)snprintf(out, 32, "%.17g", v);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t str_base64_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

size_t str_to_base64(const void *bytes, size_t n, char *out)
{
    const uint8_t *b = bytes;
    char *o = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)b[i] << 16;
        v |= left > 1 ? (uint32_t)b[i + 1] << 8 : 0;
        v |= left > 2 ? b[i + 2] : 0;
        *o++ = base64_digits[v >> 18];
        *o++ = base64_digits[v >> 12 & 63];
        *o++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
        *o++ = left > 2 ? base64_digits[v & 63] : '=';
    }
    return (size_t)(o - out);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

enum err str_from_base64(struct str s, uint8_t *out, size_t *n)
{
    size_t used = s.n, written = 0;
    while (used > 0 && s.n - used < 2 && s.p[used - 1] == '=')
        used--;
    if (used % 4 == 1 || (used != s.n && s.n % 4 != 0))
        return ERR_INVALID;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < used; i++) {
        int d = base64_digit(s.p[i]);
        if (d < 0)
            return ERR_INVALID;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[written++] = (uint8_t)(bits >> have);
        }
    }
    if (bits & ((1u << have) - 1))
        return ERR_INVALID;
    *n = written;
    return ERR_OK;
}

void str_to_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err str_from_hex(struct str s, uint8_t *out, size_t *n)
{
    if (s.n % 2)
        return ERR_INVALID;
    for (size_t i = 0; i < s.n; i += 2) {
        int hi = hex_digit(s.p[i]), lo = hex_digit(s.p[i + 1]);
        if (hi < 0 || lo < 0)
            return ERR_INVALID;
        out[i / 2] = (uint8_t)(hi << 4 | lo);
    }
    *n = s.n / 2;
    return ERR_OK;
}

/* Multiply-fold hashing, 8 bytes a step: the construction wyhash made common. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u ^ s.n;
    const char *p = s.p;
    size_t n = s.n;
    uint64_t word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = fold(h ^ word, 0xa0761d6478bd642fu);
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        h = fold(h ^ word, 0xe7037ed1a0b428dbu);
    }
    return fold(h ^ 0x8ebc6af09c88c6e3u, 0x589965cc75374cc3u);
}
