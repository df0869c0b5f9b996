/* load.c - see load.h.
 *
 * A start waits for nothing else, so tables are read by COPY in binary, row by row as they come:
 * PostgreSQL makes the next rows while we take these.  The latest values are not joined to their
 * series over there, which would cost more than reading both, but put into an array by series
 * first. */
#include "store/load.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/reader.h"
#include "store/pg_binary.h"

#include <stdlib.h>

#define FIELDS_MAX 16

/* The latest value of a series: [value][quality][origin] in the bytes. */
struct latest {
    int64_t at_ms;
    uint64_t from;
    uint32_t n_value;
    uint8_t n_quality, n_origin;
    bool known;
};

struct loading {
    const struct load_visitor *v;
    struct str f[FIELDS_MAX]; /* of the row being taken; .p NULL is SQL's NULL */
    struct latest *latest;    /* by series id */
    size_t n_latest;
    struct buf bytes;
};

typedef enum err row_visitor(struct loading *l);

struct table {
    const char *name, *sql;
    row_visitor *visit;
};

/* ---- fields ---- */

static int64_t number(const struct loading *l, int i)
{
    int64_t big = 0;
    int32_t small = 0;
    enum err e = l->f[i].n == 4 ? pg_get_i32(l->f[i], &small) : pg_get_i64(l->f[i], &big);
    return e ? 0 : l->f[i].n == 4 ? small : big;
}

static int64_t time_ms(const struct loading *l, int i)
{
    int64_t us = 0;
    return l->f[i].p && !pg_get_time(l->f[i], &us) ? us / 1000 : 0;
}

static bool truth(const struct loading *l, int i)
{
    return l->f[i].n == 1 && l->f[i].p[0];
}

/* ---- tables ---- */

static enum err visit_device(struct loading *l)
{
    const struct load_device d = {
        .id = number(l, 0),
        .endpoint = l->f[1],
        .group = l->f[2],
        .node = l->f[3],
        .status = l->f[4],
        .sentence = l->f[5],
        .link = l->f[6],
        .status_since_ms = time_ms(l, 7),
        .last_seen_ms = time_ms(l, 8),
        .created_ms = time_ms(l, 9),
        .manufacturer = l->f[10],
        .model = l->f[11],
        .serial = l->f[12],
        .firmware = l->f[13],
        .fault = l->f[14],
    };
    return l->v->device ? l->v->device(l->v->ctx, &d) : ERR_OK;
}

static enum err visit_registration(struct loading *l)
{
    const struct load_registration g = {
        .device_id = number(l, 0),
        .state = l->f[1],
        .dialect = l->f[2],
        .version = l->f[3],
        .lifetime = number(l, 4),
        .binding = l->f[5],
        .queue_mode = truth(l, 6),
        .links = l->f[7],
        .registered_ms = time_ms(l, 8),
        .updated_ms = time_ms(l, 9),
        .expires_ms = time_ms(l, 10),
    };
    return l->v->registration ? l->v->registration(l->v->ctx, &g) : ERR_OK;
}

static enum err visit_observation(struct loading *l)
{
    const struct load_observation o = {
        .device_id = number(l, 0),
        .token = l->f[1],
        .paths = l->f[2],
        .composite = truth(l, 3),
        .since_ms = time_ms(l, 4),
    };
    return l->v->observation ? l->v->observation(l->v->ctx, &o) : ERR_OK;
}

static enum err visit_node(struct loading *l)
{
    const struct load_node n = {
        .device_id = number(l, 0),
        .life = l->f[1],
        .bd_seq = l->f[2].p ? number(l, 2) : -1,
        .born_ms = time_ms(l, 3),
        .died_ms = time_ms(l, 4),
        .conformant = truth(l, 5),
        .rebirths = number(l, 6),
    };
    return l->v->node ? l->v->node(l->v->ctx, &n) : ERR_OK;
}

static enum err visit_subdevice(struct loading *l)
{
    const struct load_subdevice s = {
        .device_id = number(l, 0),
        .name = l->f[1],
        .life = l->f[2],
        .born_ms = time_ms(l, 3),
        .died_ms = time_ms(l, 4),
    };
    return l->v->subdevice ? l->v->subdevice(l->v->ctx, &s) : ERR_OK;
}

static enum err take_latest(struct loading *l)
{
    int64_t id = number(l, 0);
    if (id <= 0 || (size_t)id >= l->n_latest)
        return ERR_OK;
    l->latest[id] = (struct latest){.at_ms = time_ms(l, 1),
                                    .from = l->bytes.n,
                                    .n_value = (uint32_t)l->f[2].n,
                                    .n_quality = (uint8_t)l->f[3].n,
                                    .n_origin = (uint8_t)l->f[4].n,
                                    .known = true};
    buf_str(&l->bytes, l->f[2]);
    buf_str(&l->bytes, str_make(l->f[3].p, (uint8_t)l->f[3].n));
    buf_str(&l->bytes, str_make(l->f[4].p, (uint8_t)l->f[4].n));
    return l->bytes.err;
}

static enum err visit_series(struct loading *l)
{
    int64_t id = number(l, 0);
    struct load_series s = {
        .id = (uint32_t)id,
        .device_id = number(l, 1),
        .source = l->f[2],
        .key = l->f[3],
        .datatype = l->f[4],
        .unit = l->f[5],
    };
    if (id > 0 && (size_t)id < l->n_latest && l->latest[id].known) {
        const struct latest *t = &l->latest[id];
        const char *at = l->bytes.p + t->from;
        s.has_latest = true;
        s.at_ms = t->at_ms;
        s.value = str_make(at, t->n_value);
        s.quality = str_make(at + t->n_value, t->n_quality);
        s.origin = str_make(at + t->n_value + t->n_quality, t->n_origin);
    }
    return l->v->series ? l->v->series(l->v->ctx, &s) : ERR_OK;
}

static enum err visit_command(struct loading *l)
{
    const struct load_command c = {
        .id = l->f[0],
        .endpoint = l->f[1],
        .op = l->f[2],
        .request = l->f[3],
        .state = l->f[4],
        .token = l->f[5],
        .device_id = number(l, 6),
        .created_ms = time_ms(l, 7),
        .sent_ms = time_ms(l, 8),
        .by = l->f[9],
    };
    return l->v->command ? l->v->command(l->v->ctx, &c) : ERR_OK;
}

static enum err visit_identity(struct loading *l)
{
    const struct load_identity d = {.endpoint = l->f[0], .state = l->f[1]};
    return l->v->identity ? l->v->identity(l->v->ctx, &d) : ERR_OK;
}

#define COPY(query) "COPY (" query ") TO STDOUT (FORMAT binary)"

/* In the order of load.h; the latest values before the series they belong to.  Series come by id:
 * those of one birth follow each other, in its order. */
static const struct table tables[] = {
    {"device",
     COPY("SELECT id, endpoint, spb_group, spb_node, status, sentence, link, status_since, "
          "last_seen, created_at, manufacturer, model, serial, firmware, fault FROM device"),
     visit_device},
    {"registration",
     COPY("SELECT device_id, state, dialect, version, lifetime::bigint, binding, queue_mode, "
          "links, registered_at, updated_at, expires_at FROM registration"),
     visit_registration},
    {"observation",
     COPY("SELECT device_id, token, paths, composite, since FROM observation "
          "ORDER BY device_id, token"),
     visit_observation},
    {"spb_node",
     COPY("SELECT device_id, life, bd_seq::bigint, born_at, died_at, conformant, "
          "rebirths::bigint FROM spb_node"),
     visit_node},
    {"subdevice",
     COPY("SELECT device_id, name, life, born_at, died_at FROM subdevice ORDER BY device_id, name"),
     visit_subdevice},
    {"series_latest", COPY("SELECT series_id, at, value, quality, source FROM series_latest"),
     take_latest},
    {"series", COPY("SELECT id, device_id, source, key, datatype, unit FROM series ORDER BY id"),
     visit_series},
    {"command",
     COPY("SELECT c.id::text, d.endpoint, c.op, c.request, c.state, c.token, c.device_id, "
          "c.created_at, c.sent_at, c.by_name FROM command c JOIN device d ON d.id = c.device_id "
          "WHERE c.state IN ('queued', 'sent', 'accepted') ORDER BY c.created_at, c.id"),
     visit_command},
    {"identity",
     COPY("SELECT endpoint, state FROM identity WHERE state <> 'active' ORDER BY endpoint"),
     visit_identity},
};

struct taking {
    struct loading *l;
    row_visitor *visit;
    enum err err; /* what stopped it */
};

/* A row is the count of its fields, then each with its length, -1 for NULL. */
static enum err take_row(void *ctx, struct str row)
{
    struct taking *t = ctx;
    struct reader r;
    reader_init(&r, row.p, row.n);
    unsigned n = reader_u16be(&r);
    for (unsigned i = 0; i < n && i < FIELDS_MAX; i++) {
        uint32_t size = reader_u32be(&r);
        t->l->f[i] = size == UINT32_MAX ? str_make(NULL, 0) : reader_bytes(&r, size);
        if (size != UINT32_MAX && !t->l->f[i].p)
            t->l->f[i].p = "";
    }
    t->err = r.err ? r.err : t->visit(t->l);
    return t->err;
}

static enum err load_table(struct pg *db, const struct table *table, struct loading *l)
{
    struct taking t = {.l = l, .visit = table->visit};
    uint64_t rows;
    enum err e = pg_copy_out(db, table->sql, take_row, &t, &rows);
    if (e && !t.err)
        log_error("load.failed", KV("table", table->name), KV("reason", pg_error(db)));
    return t.err ? t.err : e;
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

static enum err load_all(struct pg *db, struct loading *l, int64_t *max_device,
                         uint32_t *max_series)
{
    int64_t device = 0;
    uint32_t series = 0;
    enum err e = load_floors(db, &device, &series);
    if (!e) {
        l->n_latest = (size_t)series + 1;
        l->latest = calloc(l->n_latest, sizeof *l->latest);
        e = l->latest ? ERR_OK : ERR_NOMEM;
    }
    for (size_t i = 0; !e && i < sizeof tables / sizeof *tables; i++)
        e = load_table(db, &tables[i], l);
    if (!e) {
        *max_device = device;
        *max_series = series;
    }
    return e;
}

enum err store_load(struct pg *db, const struct load_visitor *v, int64_t *max_device,
                    uint32_t *max_series)
{
    struct loading l = {.v = v};
    buf_init(&l.bytes, SIZE_MAX / 2);
    enum err e = pg_script(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!e)
        e = load_all(db, &l, max_device, max_series);
    if (pg_is_ok(db) && pg_script(db, "ROLLBACK") && !e)
        e = ERR_DB;
    free(l.latest);
    buf_fini(&l.bytes);
    return e;
}
