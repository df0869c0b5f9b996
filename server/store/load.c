/* load.c - see load.h.
 *
 * A start waits for nothing else, so tables are read by COPY in binary, row by row as they come:
 * PostgreSQL makes the next rows while we take these.  The latest values, as many rows as there are
 * series, are not joined to them over there, which would cost more than reading both: a thread with
 * a connection of its own puts them into an array by series, while the tables before the series are
 * taken.  Only that thread touches the array until it is joined.
 *
 * Two connections see the database at two moments, and the writer may be emptying its spool: a
 * value may be newer than the series beside it, which is as good, or of a series not seen, which is
 * left out as if the value had come later. */
#include "store/load.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/pg_binary.h"

#include <stdlib.h>

#define FIELDS_MAX 16

/* The latest value of a series: [value][origin] in the bytes. */
struct latest {
    int64_t at_ms;
    uint64_t from;
    uint32_t n_value;
    uint8_t n_origin;
    bool known;
};

struct latests {
    const char *conninfo;
    struct latest *v; /* by series id */
    size_t n;
    struct buf bytes;
    struct thread thread;
    enum err err; /* how the thread ended */
};

struct loading {
    const struct load_visitor *v;
    struct latests latests;
};

/* Takes the fields of a row; one whose .p is NULL is SQL's NULL. */
typedef enum err row_visitor(struct loading *l, const struct str *f);

struct table {
    const char *name;
    row_visitor *visit;
    size_t fields;
    const char *sql;
};

/* ---- fields ---- */

static int64_t number(struct str f)
{
    int64_t big = 0;
    int32_t small = 0;
    enum err e = f.n == 4 ? pg_get_i32(f, &small) : pg_get_i64(f, &big);
    return e ? 0 : f.n == 4 ? small : big;
}

static int64_t time_ms(struct str f)
{
    int64_t us = 0;
    return f.p && !pg_get_time(f, &us) ? us / 1000 : 0;
}

static bool truth(struct str f)
{
    return f.n == 1 && f.p[0];
}

/* ---- tables ---- */

static enum err visit_device(struct loading *l, const struct str *f)
{
    const struct load_device d = {
        .id = number(f[0]),
        .endpoint = f[1],
        .group = f[2],
        .node = f[3],
        .status = f[4],
        .link = f[5],
        .status_since_ms = time_ms(f[6]),
        .last_seen_ms = time_ms(f[7]),
        .created_ms = time_ms(f[8]),
        .manufacturer = f[9],
        .model = f[10],
        .serial = f[11],
        .firmware = f[12],
        .fault = f[13],
    };
    return l->v->device ? l->v->device(l->v->ctx, &d) : ERR_OK;
}

static enum err visit_registration(struct loading *l, const struct str *f)
{
    const struct load_registration g = {
        .device_id = number(f[0]),
        .state = f[1],
        .dialect = f[2],
        .version = f[3],
        .lifetime = number(f[4]),
        .binding = f[5],
        .queue_mode = truth(f[6]),
        .links = f[7],
        .registered_ms = time_ms(f[8]),
        .updated_ms = time_ms(f[9]),
        .expires_ms = time_ms(f[10]),
    };
    return l->v->registration ? l->v->registration(l->v->ctx, &g) : ERR_OK;
}

static enum err visit_observation(struct loading *l, const struct str *f)
{
    const struct load_observation o = {
        .device_id = number(f[0]),
        .token = f[1],
        .paths = f[2],
        .composite = truth(f[3]),
        .since_ms = time_ms(f[4]),
    };
    return l->v->observation ? l->v->observation(l->v->ctx, &o) : ERR_OK;
}

static enum err visit_node(struct loading *l, const struct str *f)
{
    const struct load_node n = {
        .device_id = number(f[0]),
        .life = f[1],
        .bd_seq = f[2].p ? number(f[2]) : -1,
        .born_ms = time_ms(f[3]),
        .died_ms = time_ms(f[4]),
        .conformant = truth(f[5]),
        .rebirths = number(f[6]),
    };
    return l->v->node ? l->v->node(l->v->ctx, &n) : ERR_OK;
}

static enum err visit_subdevice(struct loading *l, const struct str *f)
{
    const struct load_subdevice s = {
        .device_id = number(f[0]),
        .name = f[1],
        .life = f[2],
        .born_ms = time_ms(f[3]),
        .died_ms = time_ms(f[4]),
    };
    return l->v->subdevice ? l->v->subdevice(l->v->ctx, &s) : ERR_OK;
}

static enum err take_latest(struct loading *l, const struct str *f)
{
    struct latests *all = &l->latests;
    int64_t id = number(f[0]);
    if (id <= 0 || (size_t)id >= all->n)
        return ERR_OK;
    all->v[id] = (struct latest){.at_ms = time_ms(f[1]),
                                 .from = all->bytes.n,
                                 .n_value = (uint32_t)f[2].n,
                                 .n_origin = (uint8_t)f[3].n,
                                 .known = true};
    buf_str(&all->bytes, f[2]);
    buf_str(&all->bytes, str_make(f[3].p, (uint8_t)f[3].n));
    return all->bytes.err;
}

static enum err visit_series(struct loading *l, const struct str *f)
{
    const struct latests *all = &l->latests;
    int64_t id = number(f[0]);
    struct load_series s = {
        .id = (uint32_t)id, .device_id = number(f[1]), .key = f[2], .datatype = f[3], .unit = f[4]};
    if (id > 0 && (size_t)id < all->n && all->v[id].known) {
        const struct latest *t = &all->v[id];
        const char *at = all->bytes.p + t->from;
        s.has_latest = true;
        s.at_ms = t->at_ms;
        s.value = str_make(at, t->n_value);
        s.origin = str_make(at + t->n_value, t->n_origin);
    }
    return l->v->series ? l->v->series(l->v->ctx, &s) : ERR_OK;
}

static enum err visit_command(struct loading *l, const struct str *f)
{
    const struct load_command c = {
        .id = f[0],
        .request = f[1],
        .state = f[2],
        .device_id = number(f[3]),
        .created_ms = time_ms(f[4]),
        .sent_ms = time_ms(f[5]),
        .by = f[6],
    };
    return l->v->command ? l->v->command(l->v->ctx, &c) : ERR_OK;
}

static enum err visit_identity(struct loading *l, const struct str *f)
{
    const struct load_identity d = {.endpoint = f[0], .state = f[1]};
    return l->v->identity ? l->v->identity(l->v->ctx, &d) : ERR_OK;
}

#define COPY(query) "COPY (" query ") TO STDOUT (FORMAT binary)"

static const struct table latest_table = {
    "series_latest", take_latest, 4,
    COPY("SELECT series_id, at, value, source FROM series_latest")};

/* In the order of load.h.  Series come by id: those of one birth follow each other, in its order.
 */
static const struct table before_values[] = {
    {"device", visit_device, 14,
     COPY("SELECT id, endpoint, spb_group, spb_node, status, link, status_since, last_seen, "
          "created_at, manufacturer, model, serial, firmware, fault FROM device")},
    {"registration", visit_registration, 11,
     COPY("SELECT device_id, state, dialect, version, lifetime::bigint, binding, queue_mode, "
          "links, registered_at, updated_at, expires_at FROM registration")},
    {"observation", visit_observation, 5,
     COPY("SELECT device_id, token, paths, composite, since FROM observation "
          "ORDER BY device_id, token")},
    {"spb_node", visit_node, 7,
     COPY("SELECT device_id, life, bd_seq::bigint, born_at, died_at, conformant, "
          "rebirths::bigint FROM spb_node")},
    {"subdevice", visit_subdevice, 5,
     COPY(
         "SELECT device_id, name, life, born_at, died_at FROM subdevice ORDER BY device_id, name")},
};
static const struct table with_values[] = {
    {"series", visit_series, 5,
     COPY("SELECT id, device_id, key, datatype, unit FROM series ORDER BY id")},
    {"command", visit_command, 7,
     COPY("SELECT c.id::text, c.request, c.state, c.device_id, c.created_at, c.sent_at, c.by_name "
          "FROM command c WHERE c.state IN ('queued', 'sent', 'accepted') "
          "ORDER BY c.created_at, c.id")},
    {"identity", visit_identity, 2,
     COPY("SELECT endpoint, state FROM identity WHERE state <> 'active' ORDER BY endpoint")},
};

struct taking {
    struct loading *l;
    const struct table *table;
    enum err err; /* what stopped it */
};

static enum err take_row(void *ctx, struct str row)
{
    struct taking *t = ctx;
    struct str f[FIELDS_MAX];
    t->err = pg_get_row(row, f, t->table->fields);
    if (!t->err)
        t->err = t->table->visit(t->l, f);
    return t->err;
}

static enum err load_table(struct pg *db, const struct table *table, struct loading *l)
{
    struct taking t = {.l = l, .table = table};
    uint64_t rows;
    enum err e = pg_copy_out(db, table->sql, take_row, &t, &rows);
    if (t.err)
        log_error("load.failed", KV("table", table->name), KE(t.err));
    else if (e)
        log_error("load.failed", KV("table", table->name), KV("reason", pg_error(db)));
    return t.err ? t.err : e;
}

static enum err load_tables(struct pg *db, const struct table *tables, size_t n, struct loading *l)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < n; i++)
        e = load_table(db, &tables[i], l);
    return e;
}

/* ---- the latest values ---- */

static void run_latests(void *arg)
{
    struct loading *l = arg;
    struct pg *db = NULL;
    l->latests.err = pg_connect(l->latests.conninfo, "braidd load", &db);
    if (!l->latests.err)
        l->latests.err = load_table(db, &latest_table, l);
    pg_close(db);
}

static enum err latests_start(struct loading *l, const char *conninfo, size_t n)
{
    struct latests *all = &l->latests;
    all->conninfo = conninfo;
    all->v = calloc(n, sizeof *all->v);
    if (!all->v)
        return ERR_NOMEM;
    all->n = n;
    return thread_start(&all->thread, "load-latest", run_latests, l);
}

static enum err latests_join(struct loading *l)
{
    thread_join(&l->latests.thread);
    return l->latests.err;
}

static enum err load_floors(struct pg *db, int64_t *max_device, uint32_t *max_series)
{
    struct pg_result *r = NULL;
    enum err e =
        pg_exec(db,
                "SELECT greatest((SELECT max(id) FROM device), (SELECT id FROM id_floor WHERE "
                "kind = 'device'), 0), greatest((SELECT max(id)::bigint FROM series), "
                "(SELECT id FROM id_floor WHERE kind = 'series'), 0)",
                NULL, 0, &r);
    if (e)
        return e;
    *max_device = pg_i64(r, 0, 0);
    *max_series = (uint32_t)pg_i64(r, 0, 1);
    pg_result_free(r);
    return ERR_OK;
}

/* Of one moment, but for the latest values. */
static enum err load_all(struct pg *db, const char *conninfo, struct loading *l,
                         int64_t *max_device, uint32_t *max_series)
{
    int64_t device = 0;
    uint32_t series = 0;
    enum err e = pg_script(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!e)
        e = load_floors(db, &device, &series);
    if (!e)
        e = latests_start(l, conninfo, (size_t)series + 1);
    if (!e)
        e = load_tables(db, before_values, sizeof before_values / sizeof *before_values, l);
    enum err values = latests_join(l);
    if (!e)
        e = values;
    if (!e)
        e = load_tables(db, with_values, sizeof with_values / sizeof *with_values, l);
    if (!e) {
        *max_device = device;
        *max_series = series;
    }
    return e;
}

enum err store_load(const char *conninfo, const struct load_visitor *v, int64_t *max_device,
                    uint32_t *max_series)
{
    struct loading l = {.v = v};
    struct pg *db = NULL;
    buf_init(&l.latests.bytes, SIZE_MAX / 2);
    enum err e = pg_connect(conninfo, "braidd load", &db);
    if (!e)
        e = load_all(db, conninfo, &l, max_device, max_series);
    pg_close(db);
    free(l.latests.v);
    buf_fini(&l.latests.bytes);
    return e;
}
