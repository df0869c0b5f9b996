/* history_load.c - fills history as the packer would have left it, through the real encoder.
 *
 *   bench_history_load CONNINFO KIND FIRST_SERIES SERIES DAYS END_S [plain]
 *
 * Writes SERIES series of KIND (sensor, counter, state, random) at 1 Hz for DAYS whole days that
 * end at END_S (Unix time) straight into chunk, rollup_minute and rollup_hour; with `plain` into
 * table bench_plain (series_id, ts, value) instead.  Prints one JSON object: samples, encoding
 * time.
 *
 *   sensor   three decimals, a daily swing with noise, times with 20 ms of jitter
 *   counter  goes up by 0 to 2, on the second
 *   state    one of four, changes about once a minute, on the second
 *   random   53 random bits, times with 20 ms of jitter */
#include "base/clock.h"
#include "port/pg.h"
#include "store/chunk.h"
#include "store/packed_row.h"
#include "store/rollup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_S 86400
#define BODY  ((size_t)256 << 20)

struct loader {
    struct pg *db;
    uint64_t seed;
    struct arena arena;
    struct buf chunks, minutes, hours, plain;
    uint64_t samples, encode_us;
    double last;
};

static uint64_t next(struct loader *l)
{
    l->seed ^= l->seed << 13;
    l->seed ^= l->seed >> 7;
    l->seed ^= l->seed << 17;
    return l->seed;
}

static double unit(struct loader *l)
{
    return (double)(next(l) >> 11) / 9007199254740992.0;
}

typedef double make_value(struct loader *l, double day);

static double sensor(struct loader *l, double day)
{
    double noise = unit(l) + unit(l) + unit(l) + unit(l) - 2; /* about normal, sigma 0.58 */
    return nearbyint((20 + 5 * sin(day * 6.283185307) + noise * 0.1) * 1000) / 1000;
}
static double counter(struct loader *l, double day)
{
    (void)day;
    return l->last + (double)(next(l) % 3);
}
static double state(struct loader *l, double day)
{
    (void)day;
    return next(l) % 60 ? l->last : (double)(next(l) % 4);
}
static double noise(struct loader *l, double day)
{
    (void)day;
    return unit(l);
}

static const struct kind {
    const char *name;
    make_value *value;
    bool jitter;
} kinds[] = {{"sensor", sensor, true},
             {"counter", counter, false},
             {"state", state, false},
             {"random", noise, true}};

static enum err make_day(struct loader *l, const struct kind *k, int64_t day_us, struct points *p)
{
    enum err e = points_make(&l->arena, DAY_S, p);
    for (size_t i = 0; !e && i < DAY_S; i++) {
        int64_t off = k->jitter ? (int64_t)(next(l) % 41) * 1000 : 0;
        p->ts_us[i] = day_us + (int64_t)i * 1000000 + off;
        p->value[i] = l->last = k->value(l, (double)i / DAY_S);
    }
    l->samples += DAY_S;
    return e;
}

static struct points hour_of(const struct points *day, int64_t from_us)
{
    size_t first = 0, end;
    while (first < day->n && day->ts_us[first] < from_us)
        first++;
    for (end = first; end < day->n && day->ts_us[end] < from_us + HOUR_US; end++)
        continue;
    return (struct points){day->ts_us + first, day->value + first, day->quality + first,
                           end - first};
}

static enum err pack_hour(struct loader *l, const struct points *p, uint32_t series,
                          struct rollup *minutes)
{
    struct packed packed;
    uint64_t from = clock_mono_us();
    enum err e = packed_encode(&l->arena, p, &packed);
    l->encode_us += clock_mono_us() - from;
    if (!e)
        e = rollup_make(ROLLUP_MINUTE, p, minutes);
    if (!e) {
        packed_put_row(&l->chunks, &packed, series, 0);
        rollup_put_row(&l->minutes, minutes, series, 0);
    }
    return e;
}

static enum err pack_day(struct loader *l, const struct points *day, uint32_t series)
{
    struct rollup minutes;
    struct rollup hours = {.kind = ROLLUP_HOUR,
                           .start_us = rollup_start(ROLLUP_HOUR, day->ts_us[0])};
    enum err e = ERR_OK;
    for (int64_t h = 0; !e && h < 24; h++) {
        struct points p = hour_of(day, hours.start_us + h * HOUR_US);
        if (!p.n)
            continue;
        e = pack_hour(l, &p, series, &minutes);
        struct rollup_entry hour = rollup_fold(&minutes);
        rollup_set(&hours, &hour);
    }
    rollup_put_row(&l->hours, &hours, series, 0);
    return e;
}

static void put_plain(struct loader *l, const struct points *p, uint32_t series)
{
    for (size_t i = 0; i < p->n; i++) {
        uint64_t bits;
        memcpy(&bits, &p->value[i], sizeof bits);
        buf_u16be(&l->plain, 3);
        buf_u32be(&l->plain, 4);
        buf_u32be(&l->plain, series);
        buf_u32be(&l->plain, 8);
        buf_u64be(&l->plain, (uint64_t)p->ts_us[i] - UINT64_C(946684800000000));
        buf_u32be(&l->plain, 8);
        buf_u64be(&l->plain, bits);
    }
}

static enum err copy_in(struct loader *l, const char *table, const char *columns, struct buf *rows)
{
    char sql[256];
    if (!rows->n)
        return ERR_OK;
    struct buf body;
    buf_init(&body, BODY);
    copy_head(&body);
    buf_str(&body, buf_view(rows));
    copy_tail(&body);
    snprintf(sql, sizeof sql, "COPY %s (%s) FROM STDIN (FORMAT binary)", table, columns);
    enum err e = rows->err ? rows->err : body.err;
    if (!e)
        e = pg_copy_in(l->db, sql, body.p, body.n, NULL);
    buf_fini(&body);
    buf_reset(rows);
    return e;
}

static enum err store(struct loader *l)
{
    enum err e = copy_in(l, "chunk", PACKED_COPY_COLUMNS, &l->chunks);
    if (!e)
        e = copy_in(l, "rollup_minute", ROLLUP_MINUTE_COPY_COLUMNS, &l->minutes);
    if (!e)
        e = copy_in(l, "rollup_hour", ROLLUP_HOUR_COPY_COLUMNS, &l->hours);
    return e ? e : copy_in(l, "bench_plain", "series_id, ts, value", &l->plain);
}

static enum err ensure(struct pg *db, int64_t day_us)
{
    char ms[24];
    struct str param = {ms, (size_t)snprintf(ms, sizeof ms, "%lld", (long long)(day_us / 1000))};
    return pg_prepared(db, "ensure", "SELECT ensure_history(0::smallint, at_ms($1::bigint))",
                       &param, 1, NULL);
}

static enum err load(struct loader *l, const struct kind *k, uint32_t first, uint32_t count,
                     int64_t days, int64_t end_s, bool plain)
{
    enum err e = ERR_OK;
    for (int64_t d = days; !e && d > 0; d--) {
        int64_t day_us = (end_s - d * DAY_S) * 1000000;
        e = ensure(l->db, day_us);
        for (uint32_t s = first; !e && s < first + count; s++) {
            struct points p;
            arena_reset(&l->arena);
            e = make_day(l, k, day_us, &p);
            if (!e && plain)
                put_plain(l, &p, s);
            else if (!e)
                e = pack_day(l, &p, s);
            if (!e && l->chunks.n + l->plain.n > BODY / 8)
                e = store(l);
        }
        if (!e)
            e = store(l);
    }
    return e;
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: %s CONNINFO KIND FIRST_SERIES SERIES DAYS END_S [plain]\n",
                argv[0]);
        return 2;
    }
    const struct kind *k = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, argv[2]))
            k = &kinds[i];
    struct loader l = {.seed = 88172645463325252u + strtoul(argv[3], NULL, 10)};
    if (!k || pg_connect(argv[1], "bench", &l.db))
        return 1;
    arena_init(&l.arena, 16 << 20, 256 << 20);
    buf_init(&l.chunks, BODY);
    buf_init(&l.minutes, BODY);
    buf_init(&l.hours, BODY);
    buf_init(&l.plain, BODY);
    enum err e =
        load(&l, k, (uint32_t)strtoul(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10),
             strtol(argv[5], NULL, 10), strtol(argv[6], NULL, 10), argc > 7);
    if (e)
        fprintf(stderr, "%s: %s\n", err_word(e), pg_error(l.db));
    else
        printf("{\"samples\":%llu,\"encode_ns\":%.1f}\n", (unsigned long long)l.samples,
               (double)l.encode_us * 1000 / (double)l.samples);
    buf_fini(&l.chunks);
    buf_fini(&l.minutes);
    buf_fini(&l.hours);
    buf_fini(&l.plain);
    arena_fini(&l.arena);
    pg_close(l.db);
    return e ? 1 : 0;
}
