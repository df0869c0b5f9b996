/* q_command.c - commands as rows: the insert that makes a POST durable, and the objects. */
#include "store/q_page.h"

#include <stdio.h>

#define COMMAND_COLUMNS                                                                            \
    "SELECT c.id, d.endpoint, c.op, c.request, c.state, c.why, to_ms(c.created_at), "              \
    "to_ms(c.sent_at), to_ms(c.finished_at), c.by_name, c.result "
#define JOIN_DEVICE   "JOIN device d ON d.id = c.device_id "
#define FROM_COMMANDS "FROM command c " JOIN_DEVICE

enum {
    C_ID,
    C_ENDPOINT,
    C_OP,
    C_REQUEST,
    C_STATE,
    C_WHY,
    C_CREATED,
    C_SENT,
    C_FINISHED,
    C_BY,
    C_RESULT
};

static void put_command(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    q_put_text(j, "id", r, i, C_ID);
    q_put_text(j, "endpoint", r, i, C_ENDPOINT);
    q_put_text(j, "op", r, i, C_OP);
    q_put_json(j, "request", r, i, C_REQUEST);
    q_put_text(j, "state", r, i, C_STATE);
    q_put_text(j, "why", r, i, C_WHY);
    q_put_time(j, "created_at", r, i, C_CREATED);
    q_put_time(j, "sent_at", r, i, C_SENT);
    q_put_time(j, "finished_at", r, i, C_FINISHED);
    q_put_text(j, "by", r, i, C_BY);
    q_put_json(j, "result", r, i, C_RESULT);
    json_close(j);
}

/* The key was used before: the same command again, or a conflict. */
static enum err find_repeated(struct pg *db, const struct command_insert *in, char id[37],
                              int64_t *created_ms, bool *repeated)
{
    char device[24];
    struct pg_result *r;
    enum err e = pg_prepared(
        db, "command_once",
        "SELECT id, to_ms(created_at), "
        "request::text = $3 AND device_id = $4::bigint "
        "FROM command WHERE by_name = $1 AND idempotency_key = $2",
        (struct str[]){in->by, in->idempotency_key, in->request, q_number(device, in->device_id)},
        4, &r);
    if (e)
        return e;
    if (!pg_rows(r)) {
        e = ERR_AGAIN; /* deleted in between */
    } else if (!pg_bool(r, 0, 2)) {
        e = ERR_CONFLICT;
    } else {
        snprintf(id, 37, "%.*s", STR_ARG(pg_text(r, 0, 0)));
        *created_ms = pg_i64(r, 0, 1);
        *repeated = true;
    }
    pg_result_free(r);
    return e;
}

enum err q_command_insert(struct pg *db, const struct command_insert *in, char id[37],
                          int64_t *created_ms, bool *repeated)
{
    char device[24], expires[24];
    struct pg_result *r;
    struct str params[] = {
        q_number(device, in->device_id),   in->op,       in->request, in->by, in->idempotency_key,
        q_number(expires, in->expires_ms), in->endpoint, in->from};
    enum err e = pg_prepared(db, "command_insert",
                             "WITH c AS (INSERT INTO command (device_id, op, request, by_name, "
                             "idempotency_key, expires_at) VALUES ($1::bigint, $2, $3::json, $4, "
                             "$5, at_ms($6::bigint)) ON CONFLICT DO NOTHING "
                             "RETURNING id, created_at, request), "
                             "a AS (INSERT INTO audit_log (who, remote, action, target, detail) "
                             "SELECT $4, coalesce($8, ''), 'command', coalesce($7, ''), "
                             "json_build_object('command', c.id, 'new', c.request) FROM c) "
                             "SELECT id, to_ms(created_at) FROM c",
                             params, 8, &r);
    if (e)
        return e;
    bool inserted = pg_rows(r) == 1;
    if (inserted) {
        snprintf(id, 37, "%.*s", STR_ARG(pg_text(r, 0, 0)));
        *created_ms = pg_i64(r, 0, 1);
        *repeated = false;
    }
    pg_result_free(r);
    return inserted ? ERR_OK : find_repeated(db, in, id, created_ms, repeated);
}

enum err q_command(struct pg *db, struct str id, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_prepared(db, "command_by_id",
                             COMMAND_COLUMNS FROM_COMMANDS "WHERE c.id = $1::uuid", &id, 1, &r);
    if (e) {
        json_null(j);
        return e == ERR_INVALID ? ERR_NOTFOUND : e; /* text that is no id names nothing */
    }
    if (pg_rows(r)) {
        put_command(j, r, 0);
    } else {
        json_null(j);
        e = ERR_NOTFOUND;
    }
    pg_result_free(r);
    return e;
}

/* Three statements: see q_timeline.c. */
#define AFTER                                                                                      \
    "(c.created_at, c.id) < (coalesce(at_ms($2::bigint), 'infinity'), "                            \
    "coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) "
#define NEWEST "ORDER BY c.created_at DESC, c.id DESC LIMIT $4::integer"

#define OF_DEVICE                                                                                  \
    COMMAND_COLUMNS FROM_COMMANDS                                                                  \
        "WHERE c.device_id = (SELECT id FROM device WHERE endpoint = $5) "                         \
        "AND ($1::text IS NULL OR c.state = ANY (string_to_array($1, ','))) AND " AFTER NEWEST
#define OF_ALL COMMAND_COLUMNS FROM_COMMANDS "WHERE $1::text IS NULL AND " AFTER NEWEST
#define OF_STATES                                                                                  \
    COMMAND_COLUMNS "FROM (SELECT DISTINCT unnest(string_to_array($1, ',')) AS state) s "          \
                    "CROSS JOIN LATERAL (SELECT * FROM command c WHERE c.state = s.state "         \
                    "AND " AFTER NEWEST ") c " JOIN_DEVICE NEWEST

enum err q_commands(struct pg *db, struct str endpoint, struct str state, struct q_page page,
                    struct json_out *j)
{
    struct q_key k;
    struct pg_result *r;
    enum err e = q_key_open(&k, page);
    if (e)
        return e;
    const struct str params[] = {state, k.at_ms, k.last_id, str_of(k.limit), endpoint};
    if (endpoint.p)
        e = pg_prepared(db, "commands_of", OF_DEVICE, params, 5, &r);
    else if (state.p)
        e = pg_prepared(db, "commands_in", OF_STATES, params, 4, &r);
    else
        e = pg_prepared(db, "commands", OF_ALL, params, 4, &r);
    if (e)
        return e;
    json_open(j, '{');
    q_put_page(&k, r, C_CREATED, C_ID, put_command, j);
    return ERR_OK;
}
