/* load.c - see load.h.  Each table is read in one statement; 100,000 rows are some 20 MB for the
 * moment of loading. */
#include "store/load.h"

#include "base/log.h"

typedef enum err visit_row(const struct load_visitor *v, const struct pg_result *r, size_t row);

/* NULL stays {NULL, 0}: "unknown" differs from "". */
static struct str text(const struct pg_result *r, size_t row, int col)
{
    return pg_null(r, row, col) ? str_make(NULL, 0) : pg_text(r, row, col);
}

static enum err visit_device(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    struct load_device d = {.id = pg_i64(r, i, 0),
                            .endpoint = text(r, i, 1),
                            .group = text(r, i, 2),
                            .node = text(r, i, 3),
                            .status = text(r, i, 4),
                            .sentence = text(r, i, 5),
                            .link = text(r, i, 6),
                            .status_since_ms = pg_i64(r, i, 7),
                            .last_seen_ms = pg_i64(r, i, 8),
                            .created_ms = pg_i64(r, i, 9),
                            .manufacturer = text(r, i, 10),
                            .model = text(r, i, 11),
                            .serial = text(r, i, 12),
                            .firmware = text(r, i, 13),
                            .fault = text(r, i, 14)};
    return v->device(v->ctx, &d);
}

static enum err visit_registration(const struct load_visitor *v, const struct pg_result *r,
                                   size_t i)
{
    struct load_registration g = {.device_id = pg_i64(r, i, 0),
                                  .state = text(r, i, 1),
                                  .dialect = text(r, i, 2),
                                  .version = text(r, i, 3),
                                  .lifetime = pg_i64(r, i, 4),
                                  .binding = text(r, i, 5),
                                  .queue_mode = pg_bool(r, i, 6),
                                  .links = text(r, i, 7),
                                  .registered_ms = pg_i64(r, i, 8),
                                  .updated_ms = pg_i64(r, i, 9),
                                  .expires_ms = pg_i64(r, i, 10)};
    return v->registration(v->ctx, &g);
}

static enum err visit_observation(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    struct load_observation o = {.device_id = pg_i64(r, i, 0),
                                 .token = text(r, i, 1),
                                 .paths = text(r, i, 2),
                                 .composite = pg_bool(r, i, 3),
                                 .since_ms = pg_i64(r, i, 4)};
    return v->observation(v->ctx, &o);
}

static enum err visit_node(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    struct load_node n = {.device_id = pg_i64(r, i, 0),
                          .life = text(r, i, 1),
                          .bd_seq = pg_null(r, i, 2) ? -1 : pg_i64(r, i, 2),
                          .born_ms = pg_i64(r, i, 3),
                          .died_ms = pg_i64(r, i, 4),
                          .conformant = pg_bool(r, i, 5),
                          .rebirths = pg_i64(r, i, 6)};
    return v->node(v->ctx, &n);
}

static enum err visit_series(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    struct load_series s = {.id = (uint32_t)pg_i64(r, i, 0),
                            .device_id = pg_i64(r, i, 1),
                            .source = text(r, i, 2),
                            .key = text(r, i, 3),
                            .datatype = text(r, i, 4),
                            .unit = text(r, i, 5),
                            .has_latest = !pg_null(r, i, 6),
                            .at_ms = pg_i64(r, i, 6),
                            .value = text(r, i, 7),
                            .quality = text(r, i, 8),
                            .origin = text(r, i, 9)};
    return v->series(v->ctx, &s);
}

static enum err visit_command(const struct load_visitor *v, const struct pg_result *r, size_t i)
{
    struct load_command c = {.id = text(r, i, 0),
                             .endpoint = text(r, i, 1),
                             .device_id = pg_i64(r, i, 2),
                             .op = text(r, i, 3),
                             .request = text(r, i, 4),
                             .state = text(r, i, 5),
                             .token = text(r, i, 6),
                             .created_ms = pg_i64(r, i, 7),
                             .sent_ms = pg_i64(r, i, 8)};
    return v->command(v->ctx, &c);
}

static const struct {
    const char *sql;
    visit_row *visit;
} tables[] = {
    {"SELECT id, endpoint, spb_group, spb_node, status, sentence, link, to_ms(status_since), "
     "to_ms(last_seen), to_ms(created_at), manufacturer, model, serial, firmware, fault "
     "FROM device ORDER BY id",
     visit_device},
    {"SELECT device_id, state, dialect, version, lifetime, binding, queue_mode, links, "
     "to_ms(registered_at), to_ms(updated_at), to_ms(expires_at) FROM registration",
     visit_registration},
    {"SELECT device_id, token, paths, composite, to_ms(since) FROM observation ORDER BY since",
     visit_observation},
    {"SELECT device_id, life, bd_seq, to_ms(born_at), to_ms(died_at), conformant, rebirths "
     "FROM spb_node",
     visit_node},
    {"SELECT s.id, s.device_id, s.source, s.key, s.datatype, s.unit, to_ms(l.at), l.value, "
     "l.quality, l.source FROM series s LEFT JOIN series_latest l ON l.series_id = s.id "
     "ORDER BY s.id",
     visit_series},
    {"SELECT c.id, d.endpoint, c.device_id, c.op, c.request, c.state, c.token, "
     "to_ms(c.created_at), to_ms(c.sent_at) FROM command c JOIN device d ON d.id = c.device_id "
     "WHERE c.state IN ('queued', 'sent', 'accepted') ORDER BY c.created_at, c.id",
     visit_command},
};

static enum err highest(struct pg *db, int64_t *device, uint32_t *series)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT greatest((SELECT max(id) FROM device), "
                         "(SELECT id FROM id_floor WHERE kind = 'device'), 0), "
                         "greatest((SELECT max(id) FROM series), "
                         "(SELECT id FROM id_floor WHERE kind = 'series'), 0)",
                         NULL, 0, &r);
    if (e)
        return e;
    *device = pg_i64(r, 0, 0);
    *series = (uint32_t)pg_i64(r, 0, 1);
    pg_result_free(r);
    return ERR_OK;
}

enum err store_load(struct pg *db, const struct load_visitor *v, int64_t *max_device,
                    uint32_t *max_series)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        struct pg_result *r;
        enum err e = pg_exec(db, tables[t].sql, NULL, 0, &r);
        if (e)
            return e;
        for (size_t i = 0; !e && i < pg_rows(r); i++)
            e = tables[t].visit(v, r, i);
        pg_result_free(r);
        if (e)
            return e;
    }
    return highest(db, max_device, max_series);
}
