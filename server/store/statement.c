/* statement.c - see statement.h.
 *
 * Every statement may run twice (a commit may have gone through although its answer was lost, and a
 * spool may be replayed from its start), in the same order as the first time.  So: upserts, updates
 * to absolute values, and rows that hang on a device appear only while the device is there. */
#include "store/statement.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/reader.h"

#define PUT_NULL   UINT32_MAX
#define PUT_BLOCK  ((size_t)256 << 10)
#define ALIGNED(n) (((n) + 15) & ~(size_t)15)

static const struct {
    const char *name;
    size_t n_params;
} statements[STORE_STMT_COUNT] = {
#define X(id, name, n) [id] = {name, n},
    STORE_STMT_TABLE(X)
#undef X
};

static const char *const sql[STORE_STMT_COUNT] = {
    [ST_DEVICE_PUT] =
        "INSERT INTO device (id, endpoint, spb_group, spb_node, created_at) "
        "VALUES ($1::bigint, $2, $3, $4, at_ms($5::bigint)) ON CONFLICT (id) DO UPDATE SET "
        "endpoint = excluded.endpoint, spb_group = coalesce(excluded.spb_group, device.spb_group), "
        "spb_node = coalesce(excluded.spb_node, device.spb_node)",
    [ST_DEVICE_DELETE] =
        "WITH d AS (INSERT INTO id_floor (kind, id) VALUES ('device', $1::bigint) "
        "ON CONFLICT (kind) DO UPDATE SET id = greatest(id_floor.id, excluded.id)), "
        "s AS (INSERT INTO id_floor (kind, id) SELECT 'series', max(id) FROM series "
        "WHERE device_id = $1::bigint HAVING max(id) IS NOT NULL "
        "ON CONFLICT (kind) DO UPDATE SET id = greatest(id_floor.id, excluded.id)) "
        "DELETE FROM device WHERE id = $1::bigint",
    [ST_DEVICE_NODE] = "UPDATE device SET spb_group = $2, spb_node = $3 WHERE id = $1::bigint",
    [ST_DEVICE_STATUS] = "UPDATE device SET status = $2, sentence = $3, link = $4, "
                         "status_since = at_ms($5::bigint) WHERE id = $1::bigint",
    [ST_DEVICES_MISSED] = "UPDATE device SET status = 'unknown', link = 'unknown', sentence = $2, "
                          "status_since = at_ms($3::bigint) WHERE id = ANY($1::bigint[])",
    [ST_DEVICE_SEEN] =
        "UPDATE device SET last_seen = greatest(last_seen, at_ms($2::bigint)), "
        "manufacturer = coalesce($3, manufacturer), model = coalesce($4, model), "
        "serial = coalesce($5, serial), firmware = coalesce($6, firmware), fault = $7 "
        "WHERE id = $1::bigint",
    [ST_REGISTRATION_PUT] =
        "INSERT INTO registration (device_id, state, dialect, version, lifetime, binding, "
        "queue_mode, links, registered_at, updated_at, expires_at) "
        "SELECT id, $2, $3, coalesce($4, ''), coalesce($5::bigint, 0), coalesce($6, ''), "
        "coalesce($7::boolean, false), coalesce($8, ''), at_ms($9::bigint), at_ms($10::bigint), "
        "at_ms($11::bigint) FROM device WHERE id = $1::bigint "
        "ON CONFLICT (device_id) DO UPDATE SET state = excluded.state, "
        "dialect = excluded.dialect, version = excluded.version, lifetime = excluded.lifetime, "
        "binding = excluded.binding, queue_mode = excluded.queue_mode, links = excluded.links, "
        "registered_at = excluded.registered_at, updated_at = excluded.updated_at, "
        "expires_at = excluded.expires_at",
    [ST_OBSERVATION_PUT] =
        "INSERT INTO observation (device_id, token, paths, composite, since) "
        "SELECT id, $2, $3, coalesce($4::boolean, false), at_ms($5::bigint) FROM device "
        "WHERE id = $1::bigint ON CONFLICT (device_id, token) DO UPDATE SET "
        "paths = excluded.paths, composite = excluded.composite, since = excluded.since",
    [ST_OBSERVATION_DELETE] = "DELETE FROM observation WHERE device_id = $1::bigint AND token = $2",
    [ST_OBSERVATIONS_CLEAR] = "DELETE FROM observation WHERE device_id = $1::bigint",
    [ST_NODE_PUT] =
        "INSERT INTO spb_node (device_id, life, bd_seq, born_at, died_at, conformant, rebirths, "
        "last_cause, last_cause_at) SELECT id, $2, $3::bigint, at_ms($4::bigint), "
        "at_ms($5::bigint), coalesce($6::boolean, true), coalesce($7::bigint, 0), $8, "
        "at_ms($9::bigint) FROM device WHERE id = $1::bigint "
        "ON CONFLICT (device_id) DO UPDATE SET life = excluded.life, bd_seq = excluded.bd_seq, "
        "born_at = excluded.born_at, died_at = excluded.died_at, "
        "conformant = excluded.conformant, rebirths = excluded.rebirths, "
        "last_cause = excluded.last_cause, last_cause_at = excluded.last_cause_at",
    [ST_SUBDEVICE_PUT] =
        "INSERT INTO subdevice (device_id, name, life, born_at, died_at) "
        "SELECT id, $2, $3, at_ms($4::bigint), at_ms($5::bigint) FROM device "
        "WHERE id = $1::bigint ON CONFLICT (device_id, name) DO UPDATE SET "
        "life = excluded.life, born_at = excluded.born_at, died_at = excluded.died_at",
    [ST_SERIES_PUT] =
        "INSERT INTO series (id, device_id, source, key, datatype, unit) "
        "SELECT $1::integer, id, $3, $4, coalesce($5, ''), $6 FROM device WHERE id = $2::bigint "
        "ON CONFLICT (id) DO UPDATE SET datatype = excluded.datatype, unit = excluded.unit",
    [ST_LATEST_PUT] =
        "INSERT INTO series_latest (series_id, at, value, quality, source) "
        "SELECT id, at_ms($2::bigint), $3::json, $4, coalesce($5, '') FROM series "
        "WHERE id = $1::integer ON CONFLICT (series_id) DO UPDATE SET at = excluded.at, "
        "value = excluded.value, quality = excluded.quality, source = excluded.source",
    [ST_SERIES_MANY] =
        "INSERT INTO series (id, device_id, source, key, datatype, unit) "
        "SELECT r.i, d.id, r.s, r.k, coalesce(r.d, ''), r.u FROM device d, "
        "json_to_recordset($2::json) AS r(i integer, s text, k text, d text, u text) "
        "WHERE d.id = $1::bigint "
        "ON CONFLICT (id) DO UPDATE SET datatype = excluded.datatype, unit = excluded.unit",
    /* a look-up per row: a join planned while the tables are empty would read them whole later */
    [ST_LATEST_MANY] =
        "INSERT INTO series_latest (series_id, at, value, quality, source) "
        "SELECT x.id, at_ms(x.t), x.v, x.q, coalesce(x.o, '') FROM (SELECT r.t, r.v, r.q, r.o, "
        "(SELECT s.id FROM series s WHERE s.id = r.i) AS id FROM json_to_recordset($1::json) "
        "AS r(i integer, t bigint, v json, q text, o text) OFFSET 0) x WHERE x.id IS NOT NULL "
        "ON CONFLICT (series_id) DO UPDATE SET at = excluded.at, "
        "value = excluded.value, quality = excluded.quality, source = excluded.source",
    [ST_TIMELINE_PUT] =
        "INSERT INTO timeline_event (device_id, at, kind, strand, text, detail) "
        "SELECT id, at_ms($2::bigint), $3, $4, $5, $6::json FROM device WHERE id = $1::bigint "
        "ON CONFLICT DO NOTHING",
    [ST_UNKNOWN_SEEN] =
        "INSERT INTO unknown_identity AS u (endpoint, why, first_seen, last_seen, messages) "
        "SELECT $1, $2, at_ms($3::bigint), at_ms($3::bigint), $4::bigint "
        "WHERE EXISTS (SELECT FROM unknown_identity WHERE endpoint = $1) "
        "OR (SELECT count(*) FROM unknown_identity) < 10000 "
        "ON CONFLICT (endpoint) DO UPDATE SET why = excluded.why, last_seen = excluded.last_seen, "
        "messages = u.messages + excluded.messages WHERE u.last_seen < excluded.last_seen",
    [ST_COMMAND_STATE] = "UPDATE command SET state = $2, why = $3, "
                         "sent_at = CASE WHEN $2 = 'queued' THEN at_ms($4::bigint) "
                         "ELSE coalesce(at_ms($4::bigint), sent_at) END, "
                         "finished_at = at_ms($5::bigint), result = coalesce($6::json, result), "
                         "token = coalesce($7, token) "
                         "WHERE id = $1::uuid AND (finished_at IS NULL OR $5::bigint IS NOT NULL)",
};

struct statement statement_get(enum store_stmt s)
{
    return (struct statement){statements[s].name, sql[s], statements[s].n_params};
}

bool statement_is_cache(enum store_stmt s)
{
    return s == ST_LATEST_PUT || s == ST_LATEST_MANY || s == ST_DEVICE_SEEN;
}

bool statement_find(struct str name, enum store_stmt *out)
{
    for (int i = 0; i < STORE_STMT_COUNT; i++)
        if (str_is(name, statements[i].name)) {
            *out = (enum store_stmt)i;
            return true;
        }
    return false;
}

struct put_block {
    atomic_size_t refs; /* its puts, and who fills it */
    size_t used, size;
};

static struct put_block *block_new(size_t wanted)
{
    size_t size = wanted > PUT_BLOCK ? wanted : PUT_BLOCK;
    struct put_block *b =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    atomic_init(&b->refs, 1);
    b->used = ALIGNED(sizeof *b);
    b->size = size;
    return b;
}

void put_block_close(struct put_block *b)
{
    if (b && atomic_fetch_sub(&b->refs, 1) == 1)
        munmap(b, b->size);
}

static size_t size_of(enum store_stmt s, const struct str *params, size_t n)
{
    size_t bytes = sizeof(struct put);
    assert(n == statements[s].n_params);
    for (size_t i = 0; i < n; i++)
        bytes += params[i].n;
    return ALIGNED(bytes);
}

static struct put *fill(struct put *p, enum store_stmt s, const struct str *params, size_t n)
{
    if (!p)
        return NULL;
    *p = (struct put){.stmt = s, .n = n};
    char *at = (char *)(p + 1);
    for (size_t i = 0; i < n; i++) {
        if (!params[i].p)
            continue; /* SQL NULL */
        if (params[i].n)
            memcpy(at, params[i].p, params[i].n);
        p->params[i] = str_make(at, params[i].n);
        at += params[i].n;
    }
    return p;
}

struct put *put_new(enum store_stmt s, const struct str *params, size_t n)
{
    return fill(malloc(size_of(s, params, n)), s, params, n);
}

struct put *put_new_in(struct put_block **block, enum store_stmt s, const struct str *params,
                       size_t n)
{
    size_t size = size_of(s, params, n);
    struct put_block *b = *block;
    if (!b || b->size - b->used < size) {
        b = block_new(ALIGNED(sizeof *b) + size);
        if (!b)
            return NULL;
        put_block_close(*block);
        *block = b;
    }
    struct put *p = fill((struct put *)(void *)((char *)b + b->used), s, params, n);
    p->block = b;
    b->used += size;
    atomic_fetch_add(&b->refs, 1);
    return p;
}

void put_free(struct put *p)
{
    if (p && p->block)
        put_block_close(p->block);
    else
        free(p);
}

void put_encode(const struct put *p, struct buf *out)
{
    struct str name = str_of(statements[p->stmt].name);
    buf_putc(out, (char)name.n);
    buf_str(out, name);
    buf_putc(out, (char)p->n);
    for (size_t i = 0; i < p->n; i++) {
        buf_u32be(out, p->params[i].p ? (uint32_t)p->params[i].n : PUT_NULL);
        buf_str(out, p->params[i]);
    }
}

enum err put_decode(struct str bytes, struct put **out)
{
    struct reader r;
    struct str params[STORE_MAX_PARAMS];
    enum store_stmt s;
    reader_init(&r, bytes.p, bytes.n);
    struct str name = reader_bytes(&r, reader_u8(&r));
    size_t n = reader_u8(&r);
    if (r.err)
        return r.err;
    if (!statement_find(name, &s) || n != statements[s].n_params)
        return ERR_NOTFOUND;
    for (size_t i = 0; i < n; i++) {
        uint32_t size = reader_u32be(&r);
        params[i] = size == PUT_NULL ? str_make(NULL, 0) : reader_bytes(&r, size);
        if (size != PUT_NULL && !params[i].p)
            params[i].p = "";
    }
    if (r.err)
        return r.err;
    if (r.left)
        return ERR_INVALID;
    struct put *p = put_new(s, params, n);
    if (!p)
        return ERR_NOMEM;
    *out = p;
    return ERR_OK;
}
