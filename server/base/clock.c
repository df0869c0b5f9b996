/* clock.c - see clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t;
}

uint64_t clock_mono_us(void)
{
    struct timespec t = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_utc_ms(void)
{
    struct timespec t = read_clock(CLOCK_REALTIME);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct moment clock_now(void)
{
    return (struct moment){clock_mono_ms(), clock_utc_ms()};
}

bool clock_is_possible(int64_t utc_ms, int64_t now_ms)
{
    const int64_t year_2000 = INT64_C(946684800000), ahead = 600000;
    return utc_ms >= year_2000 && utc_ms <= now_ms + ahead;
}

void clock_rfc3339(int64_t utc_ms, char out[CLOCK_TEXT])
{
    int64_t ms = utc_ms % 1000;
    time_t s = (time_t)(utc_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        s--;
    }
    struct tm tm;
    if (!gmtime_r(&s, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
        snprintf(out, CLOCK_TEXT, "1970-01-01T00:00:00.000Z");
        return;
    }
    snprintf(out, CLOCK_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
             (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
             (unsigned)tm.tm_sec % 100u, (unsigned)ms % 1000u);
}

/* Reads exactly `digits` digits at *p. */
static bool digits_at(const char **p, int digits, int *out)
{
    int v = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return true;
}

static bool sign_at(const char **p, int *sign)
{
    if (**p != '+' && **p != '-')
        return false;
    *sign = *(*p)++ == '-' ? -1 : 1;
    return true;
}

enum err clock_parse(struct str text, int64_t *utc_ms)
{
    char t[64];
    if (str_to_i64(text, utc_ms) == ERR_OK)
        return ERR_OK;
    if (!text.n || text.n >= sizeof t)
        return ERR_INVALID;
    memcpy(t, text.p, text.n);
    t[text.n] = '\0';
    const char *p = t;
    struct tm tm = {0};
    int year, month, ms = 0, scale = 100, offset_h = 0, offset_m = 0, sign = 1;
    if (!digits_at(&p, 4, &year) || *p++ != '-' || !digits_at(&p, 2, &month) || *p++ != '-' ||
        !digits_at(&p, 2, &tm.tm_mday) || (*p != 'T' && *p != 't' && *p != ' '))
        return ERR_INVALID;
    p++;
    if (!digits_at(&p, 2, &tm.tm_hour) || *p++ != ':' || !digits_at(&p, 2, &tm.tm_min) ||
        *p++ != ':' || !digits_at(&p, 2, &tm.tm_sec))
        return ERR_INVALID;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
            ms += (*p - '0') * scale;
    if (*p == 'Z' || *p == 'z')
        p++;
    else if (!sign_at(&p, &sign) || !digits_at(&p, 2, &offset_h) || *p++ != ':' ||
             !digits_at(&p, 2, &offset_m))
        return ERR_INVALID;
    if (p != t + text.n || month < 1 || month > 12 || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60 || offset_h > 23 || offset_m > 59)
        return ERR_INVALID;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    timegm(&day); /* turns 30 February into March */
    if (day.tm_mon != tm.tm_mon || day.tm_mday != tm.tm_mday)
        return ERR_INVALID;
    int64_t s = (int64_t)timegm(&tm) - sign * (offset_h * 3600 + offset_m * 60);
    *utc_ms = s * 1000 + ms;
    return ERR_OK;
}
