/* classes.c - see classes.h. */
#include "store/classes.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/grow.h"
#include "store/pg_binary.h"

#define CLASSES (sizeof((struct classes *)0)->oldest_us / sizeof(int64_t))

void classes_init(struct classes *c)
{
    *c = (struct classes){.v = NULL};
}

void classes_fini(struct classes *c)
{
    free(c->v);
    classes_init(c);
}

static enum err take_series(void *ctx, struct str row)
{
    struct classes *c = ctx;
    struct str f[2];
    int32_t series = 0;
    int16_t class_id = 0;
    enum err e = pg_get_row(row, f, 2);
    if (!e)
        e = pg_get_i32(f[0], &series);
    if (!e)
        e = pg_get_i16(f[1], &class_id);
    if (e)
        return e;
    struct class_of *v = grow(c->v, &c->cap, c->n + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    c->v = v;
    c->v[c->n++] = (struct class_of){(uint32_t)series, class_id};
    return ERR_OK;
}

static enum err read_limits(struct classes *c, struct pg *db)
{
    struct pg_result *r = NULL;
    enum err e =
        pg_prepared(db, "classes", "SELECT id, raw_days FROM retention_class", NULL, 0, &r);
    if (e)
        return e;
    for (size_t i = 0; i < CLASSES; i++)
        c->oldest_us[i] = INT64_MIN;
    for (size_t i = 0; i < pg_rows(r); i++) {
        int64_t id = pg_i64(r, i, 0);
        if (id >= 0 && id < (int64_t)CLASSES)
            c->oldest_us[id] = clock_utc_ms() * 1000 - pg_i64(r, i, 1) * DAY_US;
    }
    pg_result_free(r);
    return ERR_OK;
}

enum err classes_read(struct classes *c, struct pg *db)
{
    c->n = 0;
    enum err e = read_limits(c, db);
    if (e)
        return e;
    return pg_copy_out(db,
                       "COPY (SELECT id, class_id FROM series WHERE class_id <> 0 ORDER BY id) "
                       "TO STDOUT (FORMAT binary)",
                       take_series, c, NULL);
}

int16_t classes_of(const struct classes *c, uint32_t series)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->v[mid].series < series)
            low = mid + 1;
        else
            high = mid;
    }
    return low < c->n && c->v[low].series == series ? c->v[low].class_id : 0;
}

int64_t classes_oldest_us(const struct classes *c, int16_t class_id)
{
    return class_id >= 0 && class_id < (int16_t)CLASSES ? c->oldest_us[class_id] : INT64_MIN;
}
