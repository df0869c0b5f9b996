/* load.c - see load.h.
 *
 * Large tables are read in pages by key, so that loading a fleet needs memory for one page and not
 * for all of it twice. */
#include "store/load.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

#define PAGE "20000"

typedef enum err row_visitor(const struct load_visitor *v, const struct pg_result *r, size_t row);

/* One table: its query has the last key as $1 and the row's own key in column 0. */
struct table {
    const char *name, *sql;
    row_visitor *visit;
};

static enum err visit_device(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_device d = {
        .id = pg_i64(r, i, 0),
        .endpoint = pg_text(r, i, 1),
        .group = pg_text(r, i, 2),
        .node = pg_text(r, i, 3),
        .status = pg_text(r, i, 4),
        .sentence = pg_text(r, i, 5),
        .link = pg_text(r, i, 6),
        .status_since_ms = pg_i64(r, i, 7),
        .last_seen_ms = pg_i64(r, i, 8),
        .created_ms = pg_i64(r, i, 9),
        .manufacturer = pg_text(r, i, 10),
        .model = pg_text(r, i, 11),
        .serial = pg_text(r, i, 12),
        .firmware = pg_text(r, i, 13),
        .fault = pg_text(r, i, 14),
    };
    return v->device ? v->device(v->ctx, &d) : ERR_OK;
}

static enum err visit_registration(const struct load_visitor *v, const struct pg_result *r,
                                   size_t i)
{
    const struct load_registration g = {
        .device_id = pg_i64(r, i, 0),
        .state = pg_text(r, i, 1),
        .dialect = pg_text(r, i, 2),
        .version = pg_text(r, i, 3),
        .lifetime = pg_i64(r, i, 4),
        .binding = pg_text(r, i, 5),
        .queue_mode = pg_bool(r, i, 6),
        .links = pg_text(r, i, 7),
        .registered_ms = pg_i64(r, i, 8),
        .updated_ms = pg_i64(r, i, 9),
        .expires_ms = pg_i64(r, i, 10),
    };
    return v->registration ? v->registration(v->ctx, &g) : ERR_OK;
}

static enum err visit_observation(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_observation o = {
        .device_id = pg_i64(r, i, 1),
        .token = pg_text(r, i, 2),
        .paths = pg_text(r, i, 3),
        .composite = pg_bool(r, i, 4),
        .since_ms = pg_i64(r, i, 5),
    };
    return v->observation ? v->observation(v->ctx, &o) : ERR_OK;
}

static enum err visit_node(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_node n = {
        .device_id = pg_i64(r, i, 0),
        .life = pg_text(r, i, 1),
        .bd_seq = pg_null(r, i, 2) ? -1 : pg_i64(r, i, 2),
        .born_ms = pg_i64(r, i, 3),
        .died_ms = pg_i64(r, i, 4),
        .conformant = pg_bool(r, i, 5),
        .rebirths = pg_i64(r, i, 6),
    };
    return v->node ? v->node(v->ctx, &n) : ERR_OK;
}

static enum err visit_series(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_series s = {
        .id = (uint32_t)pg_i64(r, i, 0),
        .device_id = pg_i64(r, i, 1),
        .source = pg_text(r, i, 2),
        .key = pg_text(r, i, 3),
        .datatype = pg_text(r, i, 4),
        .unit = pg_text(r, i, 5),
        .has_latest = !pg_null(r, i, 6),
        .at_ms = pg_i64(r, i, 6),
        .value = pg_text(r, i, 7),
        .quality = pg_text(r, i, 8),
        .origin = pg_text(r, i, 9),
    };
    return v->series ? v->series(v->ctx, &s) : ERR_OK;
}

static enum err visit_command(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_command c = {
        .id = pg_text(r, i, 1),
        .endpoint = pg_text(r, i, 2),
        .op = pg_text(r, i, 3),
        .request = pg_text(r, i, 4),
        .state = pg_text(r, i, 5),
        .token = pg_text(r, i, 6),
        .device_id = pg_i64(r, i, 7),
        .created_ms = pg_i64(r, i, 8),
        .sent_ms = pg_i64(r, i, 9),
    };
    return v->command ? v->command(v->ctx, &c) : ERR_OK;
}

static enum err visit_identity(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    const struct load_identity d = {.endpoint = pg_text(r, i, 1), .state = pg_text(r, i, 2)};
    return v->identity ? v->identity(v->ctx, &d) : ERR_OK;
}

/* Keys are numbers; where a table has none, row_number() of a stable order serves. */
static const struct table tables[] = {
    {"device",
     "SELECT id, endpoint, spb_group, spb_node, status, sentence, link, to_ms(status_since), "
     "to_ms(last_seen), to_ms(created_at), manufacturer, model, serial, firmware, fault "
     "FROM device WHERE id > $1::bigint ORDER BY id LIMIT " PAGE,
     visit_device},
    {"registration",
     "SELECT device_id, state, dialect, version, lifetime, binding, queue_mode, links, "
     "to_ms(registered_at), to_ms(updated_at), to_ms(expires_at) FROM registration "
     "WHERE device_id > $1::bigint ORDER BY device_id LIMIT " PAGE,
     visit_registration},
    {"observation",
     "SELECT n, device_id, token, paths, composite, to_ms(since) FROM (SELECT *, row_number() "
     "OVER (ORDER BY device_id, token) AS n FROM observation) AS o "
     "WHERE n > $1::bigint ORDER BY n LIMIT " PAGE,
     visit_observation},
    {"spb_node",
     "SELECT device_id, life, bd_seq, to_ms(born_at), to_ms(died_at), conformant, rebirths "
     "FROM spb_node WHERE device_id > $1::bigint ORDER BY device_id LIMIT " PAGE,
     visit_node},
    {"series",
     "SELECT s.id, s.device_id, s.source, s.key, s.datatype, s.unit, to_ms(l.at), l.value, "
     "l.quality, l.source FROM series s LEFT JOIN series_latest l ON l.series_id = s.id "
     "WHERE s.id > $1::bigint ORDER BY s.id LIMIT " PAGE,
     visit_series},
    {"command",
     "SELECT n, id, endpoint, op, request, state, token, device_id, to_ms(created_at), "
     "to_ms(sent_at) FROM (SELECT c.*, d.endpoint, row_number() OVER (ORDER BY c.created_at, c.id) "
     "AS n FROM command c JOIN device d ON d.id = c.device_id "
     "WHERE c.state IN ('queued', 'sent', 'accepted')) AS u "
     "WHERE n > $1::bigint ORDER BY n LIMIT " PAGE,
     visit_command},
    {"identity",
     "SELECT n, endpoint, state FROM (SELECT endpoint, state, row_number() OVER (ORDER BY "
     "endpoint) "
     "AS n FROM identity WHERE state <> 'active') AS i WHERE n > $1::bigint ORDER BY n LIMIT " PAGE,
     visit_identity},
};

static enum err load_page(struct pg *db, const struct table *t, const struct load_visitor *v,
                          int64_t *key, size_t *rows)
{
    char text[24];
    struct pg_result *r = NULL;
    snprintf(text, sizeof text, "%" PRId64, *key);
    const struct str param = str_of(text);
    enum err e = pg_exec(db, t->sql, &param, 1, &r);
    if (e) {
        log_error("load.failed", KV("table", t->name), KV("reason", pg_error(db)));
        return e;
    }
    *rows = pg_rows(r);
    for (size_t i = 0; !e && i < *rows; i++) {
        e = t->visit(v, r, i);
        *key = pg_i64(r, i, 0);
    }
    pg_result_free(r);
    return e;
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

enum err store_load(struct pg *db, const struct load_visitor *v, int64_t *max_device,
                    uint32_t *max_series)
{
    enum err e = pg_script(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (size_t i = 0; !e && i < sizeof tables / sizeof *tables; i++) {
        size_t rows = 1;
        for (int64_t key = 0; !e && rows;)
            e = load_page(db, &tables[i], v, &key, &rows);
    }
    if (!e)
        e = load_floors(db, max_device, max_series);
    if (pg_is_ok(db) && pg_script(db, "ROLLBACK") && !e)
        e = ERR_DB;
    return e;
}
