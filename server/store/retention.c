/* retention.c - see retention.h; the deciding is done in SQL (retention_drop and its like), since
 * dropping needs rights that the application does not have. */
#include "store/retention.h"

#include "base/log.h"
#include "store/q_page.h"

#define DROP_MOST   "4"
#define TRIM_MOST   5000
#define PURGE_MOST  20
#define ASSIGN_MOST "20000"

bool retention_name_ok(struct str name)
{
    bool ok = name.n >= 1 && name.n <= 32 && name.p[0] >= 'a' && name.p[0] <= 'z';
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9') ||
             name.p[i] == '-';
    return ok;
}

/* The text of a column in the caller's arena; .p NULL for NULL. */
static struct str keep_text(struct arena *a, const struct pg_result *r, int col)
{
    return pg_null(r, 0, col) ? (struct str){0} : arena_str(a, pg_text(r, 0, col));
}

/* Rows of one column of JSON as a complete list. */
static void put_list(struct json_out *j, struct pg_result *r)
{
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r); i++)
        json_raw(j, pg_text(r, i, 0));
    q_list_close(j);
    pg_result_free(r);
}

/* One row of one column of JSON. */
static enum err put_one(struct json_out *j, struct pg_result *r)
{
    bool found = pg_rows(r) == 1;
    if (found)
        json_raw(j, pg_text(r, 0, 0));
    else
        json_null(j);
    pg_result_free(r);
    return found ? ERR_OK : ERR_NOTFOUND;
}

/* ---- classes ---- */

#define CLASS_JSON                                                                                 \
    "json_build_object('name', k.name, 'raw_days', k.raw_days, 'minute_days', k.minute_days, "     \
    "'hour_days', k.hour_days)"

enum err retention_classes(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_exec(db, "SELECT " CLASS_JSON " FROM retention_class k ORDER BY k.id", NULL, 0, &r);
    if (!e)
        put_list(j, r);
    return e;
}

enum err retention_class(struct pg *db, struct str name, struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_exec(db, "SELECT " CLASS_JSON " FROM retention_class k WHERE k.name = $1", &name, 1, &r);
    return e ? e : put_one(j, r);
}

enum err retention_class_put(struct pg *db, struct arena *a, struct str name,
                             struct retention_days days, struct retention_change *out)
{
    char raw[24], minute[24], hour[24];
    struct pg_result *r;
    enum err e = pg_exec(
        db,
        "WITH old AS (SELECT " CLASS_JSON " AS j FROM retention_class k WHERE k.name = $1), "
        "put AS (INSERT INTO retention_class AS k (id, name, raw_days, minute_days, hour_days) "
        "SELECT i.id, $1, $2::integer, $3::integer, $4::integer FROM (SELECT coalesce("
        "(SELECT id FROM retention_class WHERE name = $1), (SELECT min(i) FROM "
        "generate_series(1, 99) i WHERE NOT EXISTS (SELECT FROM retention_class WHERE id = i))) "
        "AS id) i WHERE i.id IS NOT NULL ON CONFLICT (name) DO UPDATE SET "
        "raw_days = excluded.raw_days, minute_days = excluded.minute_days, "
        "hour_days = excluded.hour_days RETURNING " CLASS_JSON " AS j) "
        "SELECT (SELECT j FROM old), (SELECT j FROM put)",
        (struct str[]){name, q_number(raw, days.raw), q_number(minute, days.minute),
                       q_number(hour, days.hour)},
        4, &r);
    if (e)
        return e;
    *out = (struct retention_change){keep_text(a, r, 0), keep_text(a, r, 1)};
    e = pg_null(r, 0, 1) ? ERR_FULL : ERR_OK;
    pg_result_free(r);
    return e;
}

enum err retention_class_delete(struct pg *db, struct arena *a, struct str name,
                                const char **in_use, struct retention_change *out)
{
    static const char *const reasons[] = {"standard", "series", "rules", "history"};
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT (SELECT " CLASS_JSON " FROM retention_class k WHERE k.name = $1), "
                         "retention_class_remove($1)",
                         &name, 1, &r);
    if (e)
        return e;
    *out = (struct retention_change){.old_json = keep_text(a, r, 0)};
    struct str why = pg_text(r, 0, 1);
    e = why.n ? ERR_NOTFOUND : ERR_OK;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (str_is(why, reasons[i])) {
            *in_use = reasons[i];
            e = ERR_CONFLICT;
        }
    pg_result_free(r);
    return e;
}

/* ---- rules ---- */

#define RULE_JSON                                                                                  \
    "json_build_object('id', r.id, 'position', r.position, 'series', r.series, "                   \
    "'endpoint', r.endpoint, 'tag', r.tag_key, 'value', r.tag_value, 'group', r.group_name, "      \
    "'class', (SELECT k.name FROM retention_class k WHERE k.id = r.class_id))"

enum err retention_rules(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db, "SELECT " RULE_JSON " FROM retention_rule r ORDER BY r.position, r.id",
                         NULL, 0, &r);
    if (!e)
        put_list(j, r);
    return e;
}

enum err retention_rule_get(struct pg *db, int64_t id, struct json_out *j)
{
    char text[24];
    struct pg_result *r;
    struct str param = q_number(text, id);
    enum err e = pg_exec(db, "SELECT " RULE_JSON " FROM retention_rule r WHERE r.id = $1::bigint",
                         &param, 1, &r);
    return e ? e : put_one(j, r);
}

static const char *const rule_insert =
    "WITH put AS (INSERT INTO retention_rule AS r (position, series, endpoint, tag_key, tag_value, "
    "group_name, class_id) SELECT v.* FROM (VALUES (coalesce(nullif($2::integer, 0), "
    "(SELECT least(coalesce(max(position), 0) + 10, 1000000) FROM retention_rule)), $3, $4, $5, "
    "$6, $7, (SELECT id FROM retention_class WHERE name = $8))) v WHERE $1::bigint = 0 "
    "AND (SELECT count(*) FROM retention_rule) < 100 RETURNING r.id, " RULE_JSON " AS j) "
    "SELECT (SELECT id FROM put), NULL, (SELECT j FROM put)";

static const char *const rule_update =
    "WITH old AS (SELECT r.position, " RULE_JSON " AS j FROM retention_rule r "
    "WHERE r.id = $1::bigint), put AS (UPDATE retention_rule r SET position = "
    "coalesce(nullif($2::integer, 0), r.position), series = $3, endpoint = $4, tag_key = $5, "
    "tag_value = $6, group_name = $7, class_id = (SELECT id FROM retention_class WHERE name = $8) "
    "WHERE r.id = $1::bigint RETURNING r.id, " RULE_JSON " AS j) "
    "SELECT (SELECT id FROM put), (SELECT j FROM old), (SELECT j FROM put)";

enum err retention_rule_put(struct pg *db, struct arena *a, int64_t *id,
                            const struct retention_rule *rule, struct retention_change *out)
{
    char number[24], position[24];
    struct pg_result *r;
    const struct str params[] = {q_number(number, *id),
                                 q_number(position, rule->position),
                                 rule->series,
                                 rule->endpoint,
                                 rule->tag,
                                 rule->value,
                                 rule->group,
                                 rule->class_name};
    enum err e = pg_exec(db, *id ? rule_update : rule_insert, params, 8, &r);
    if (e)
        return e;
    bool done = !pg_null(r, 0, 0);
    *out = (struct retention_change){keep_text(a, r, 1), keep_text(a, r, 2)};
    e = done ? ERR_OK : *id ? ERR_NOTFOUND : ERR_FULL;
    if (done)
        *id = pg_i64(r, 0, 0);
    pg_result_free(r);
    return e;
}

enum err retention_rule_delete(struct pg *db, struct arena *a, int64_t id,
                               struct retention_change *out)
{
    char text[24];
    struct pg_result *r;
    struct str param = q_number(text, id);
    enum err e =
        pg_exec(db, "DELETE FROM retention_rule r WHERE r.id = $1::bigint RETURNING " RULE_JSON,
                &param, 1, &r);
    if (e)
        return e;
    e = pg_rows(r) ? ERR_OK : ERR_NOTFOUND;
    *out = (struct retention_change){.old_json = e ? (struct str){0} : keep_text(a, r, 0)};
    pg_result_free(r);
    return e;
}

enum err retention_assign_again(struct pg *db)
{
    bool more;
    enum err e = pg_exec(db, "UPDATE storage_state SET assign_after = 0", NULL, 0, NULL);
    return e ? e : retention_assign(db, &more);
}

enum err retention_assign(struct pg *db, bool *more)
{
    struct pg_result *r;
    enum err e = pg_exec(db, "SELECT retention_assign(" ASSIGN_MOST ")", NULL, 0, &r);
    if (e)
        return e;
    *more = !pg_null(r, 0, 0);
    if (pg_i64(r, 0, 0))
        log_info("retention.assigned", KI("series", pg_i64(r, 0, 0)));
    pg_result_free(r);
    return ERR_OK;
}

/* ---- one series ---- */

enum err retention_series_put(struct pg *db, struct arena *a, struct str endpoint,
                              struct str series, struct str class_name,
                              struct retention_change *out)
{
    struct pg_result *r;
    enum err e = pg_exec(
        db,
        "WITH old AS (SELECT s.id, s.device_id, s.key, s.class_fixed, k.name FROM device d "
        "JOIN series s ON s.device_id = d.id JOIN retention_class k ON k.id = s.class_id "
        "WHERE d.endpoint = $1 AND s.key = $2), "
        "new AS (SELECT k.id, k.name FROM retention_class k WHERE k.id = CASE WHEN $3::text IS "
        "NULL "
        "THEN (SELECT class_for(o.device_id, o.key) FROM old o) ELSE (SELECT id FROM "
        "retention_class WHERE name = $3) END), "
        "put AS (UPDATE series s SET class_id = n.id, class_fixed = $3::text IS NOT NULL "
        "FROM old o, new n WHERE s.id = o.id RETURNING s.key) "
        "SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM new), "
        "(SELECT json_build_object('series', o.key, 'class', o.name, 'fixed', o.class_fixed) "
        "FROM old o), (SELECT json_build_object('series', p.key, 'class', n.name, 'fixed', "
        "$3::text IS NOT NULL) FROM put p, new n)",
        (struct str[]){endpoint, series, class_name}, 3, &r);
    if (e)
        return e;
    e = !pg_i64(r, 0, 0) ? ERR_NOTFOUND : !pg_i64(r, 0, 1) ? ERR_CONFLICT : ERR_OK;
    *out = (struct retention_change){keep_text(a, r, 2), keep_text(a, r, 3)};
    pg_result_free(r);
    return e;
}

/* ---- the jobs ---- */

static enum err drop_parts(struct pg *db, struct str now, const struct retention_keep *keep,
                           struct retention_done *done)
{
    char text_days[24];
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT part, coalesce(class, ''), coalesce(samples, 0), packed_rows, "
                         "bytes FROM retention_drop(at_ms($1::bigint), $2::integer, " DROP_MOST ")",
                         (struct str[]){now, q_number(text_days, keep->text)}, 2, &r);
    if (e)
        return e;
    for (size_t i = 0; i < pg_rows(r); i++) {
        log_info("retention.dropped", KS("partition", pg_text(r, i, 0)),
                 KS("class", pg_text(r, i, 1)), KI("samples", pg_i64(r, i, 2)),
                 KI("rows", pg_i64(r, i, 3)), KI("bytes", pg_i64(r, i, 4)));
        done->partitions++;
        done->bytes += (uint64_t)pg_i64(r, i, 4);
        done->more = true; /* the call that drops nothing is the last */
    }
    pg_result_free(r);
    return ERR_OK;
}

static enum err trim_rows(struct pg *db, struct str now, const struct retention_keep *keep,
                          struct retention_done *done)
{
    char text[24], timeline[24], command[24], audit[24], most[24];
    uint64_t *const counts[] = {&done->texts, &done->events, &done->commands, &done->audits,
                                &done->pieces};
    struct pg_result *r;
    enum err e =
        pg_exec(db,
                "SELECT removed FROM retention_trim(at_ms($1::bigint), $2::integer, "
                "$3::integer, $4::integer, $5::integer, $6::integer) "
                "UNION ALL SELECT retention_pieces(at_ms($1::bigint), $6::integer)",
                (struct str[]){now, q_number(text, keep->text), q_number(timeline, keep->timeline),
                               q_number(command, keep->command), q_number(audit, keep->audit),
                               q_number(most, TRIM_MOST)},
                6, &r);
    if (e)
        return e;
    for (size_t i = 0; i < pg_rows(r) && i < sizeof counts / sizeof *counts; i++) {
        *counts[i] += (uint64_t)pg_i64(r, i, 0);
        done->more |= pg_i64(r, i, 0) >= TRIM_MOST;
    }
    pg_result_free(r);
    return ERR_OK;
}

enum err retention_purge(struct pg *db, int64_t now_ms, struct retention_done *done)
{
    char now[24], most[24];
    struct pg_result *r;
    enum err e =
        pg_exec(db, "SELECT series, removed FROM retention_purge(at_ms($1::bigint), $2::integer)",
                (struct str[]){q_number(now, now_ms), q_number(most, PURGE_MOST)}, 2, &r);
    if (e)
        return e;
    done->purged_series += (uint64_t)pg_i64(r, 0, 0);
    done->purged_rows += (uint64_t)pg_i64(r, 0, 1);
    done->more = pg_i64(r, 0, 0) == PURGE_MOST;
    if (pg_i64(r, 0, 0))
        log_info("retention.purged", KI("series", pg_i64(r, 0, 0)), KI("rows", pg_i64(r, 0, 1)));
    pg_result_free(r);
    return ERR_OK;
}

enum err retention_step(struct pg *db, int64_t now_ms, const struct retention_keep *keep,
                        struct retention_done *done)
{
    char text[24];
    struct str now = q_number(text, now_ms);
    done->more = false;
    enum err e = drop_parts(db, now, keep, done);
    return e ? e : trim_rows(db, now, keep, done);
}
