/* q_timeline.c - timeline entries and the list of a device's series. */
#include "store/q_page.h"

enum { T_ID, T_AT, T_STRAND, T_KIND, T_TEXT, T_DETAIL, T_ENDPOINT };

/* Three statements, because one with "of this device or of all, of these kinds or of any" would get
 * one plan for all and read the whole fleet's timeline for a quiet device or a rare kind.  Of
 * several kinds each gives a page of its own, from which the newest are taken.  The first page is
 * the one after the end of time, so that the cursor is always a bound of the index. */
#define SELECT_EVENTS "SELECT t.id, to_ms(t.at), t.strand, t.kind, t.text, t.detail, d.endpoint "
#define JOIN_DEVICE   "JOIN device d ON d.id = t.device_id "
#define AFTER                                                                                      \
    "(t.at, t.id) < (coalesce(at_ms($2::bigint), 'infinity'), "                                    \
    "coalesce($3::bigint, 9223372036854775807)) "
#define NEWEST "ORDER BY t.at DESC, t.id DESC LIMIT $4::integer"

#define OF_DEVICE                                                                                  \
    SELECT_EVENTS                                                                                  \
    "FROM timeline_event t " JOIN_DEVICE                                                           \
    "WHERE t.device_id = (SELECT id FROM device WHERE endpoint = $5) "                             \
    "AND ($1::text IS NULL OR t.kind = ANY (string_to_array($1, ','))) AND " AFTER NEWEST
#define OF_ALL                                                                                     \
    SELECT_EVENTS "FROM timeline_event t " JOIN_DEVICE "WHERE $1::text IS NULL AND " AFTER NEWEST
#define OF_KINDS                                                                                   \
    SELECT_EVENTS "FROM (SELECT DISTINCT unnest(string_to_array($1, ',')) AS kind) k "             \
                  "CROSS JOIN LATERAL (SELECT * FROM timeline_event t WHERE t.kind = k.kind "      \
                  "AND " AFTER NEWEST ") t " JOIN_DEVICE NEWEST

static void put_event(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    q_put_text(j, "id", r, i, T_ID);
    q_put_text(j, "endpoint", r, i, T_ENDPOINT);
    q_put_time(j, "at", r, i, T_AT);
    q_put_text(j, "strand", r, i, T_STRAND);
    q_put_text(j, "kind", r, i, T_KIND);
    q_put_text(j, "text", r, i, T_TEXT);
    q_put_json(j, "detail", r, i, T_DETAIL);
    json_close(j);
}

enum err q_timeline(struct pg *db, struct str endpoint, struct str kind, struct q_page page,
                    struct json_out *j)
{
    struct q_key k;
    struct pg_result *r;
    enum err e = q_key_open(&k, page);
    if (e)
        return e;
    const struct str params[] = {kind, k.at_ms, k.last_id, str_of(k.limit), endpoint};
    if (endpoint.p)
        e = pg_prepared(db, "timeline_of", OF_DEVICE, params, 5, &r);
    else if (kind.p)
        e = pg_prepared(db, "timeline_kinds", OF_KINDS, params, 4, &r);
    else
        e = pg_prepared(db, "timeline", OF_ALL, params, 4, &r);
    if (e)
        return e;
    json_open(j, '{');
    q_put_page(&k, r, T_AT, T_ID, put_event, j);
    return ERR_OK;
}

static bool is_numeric(struct str datatype)
{
    static const char *const words[] = {"integer", "unsigned", "float",  "boolean", "time",
                                        "Int8",    "Int16",    "Int32",  "Int64",   "UInt8",
                                        "UInt16",  "UInt32",   "UInt64", "Float",   "Double",
                                        "Boolean", "DateTime"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(datatype, words[i]))
            return true;
    return false;
}

enum err q_series(struct pg *db, struct str endpoint, struct json_out *j)
{
    struct pg_result *r;
    enum err e =
        pg_prepared(db, "series_of",
                    "SELECT s.key, s.source, s.datatype, s.unit, to_ms(l.at) FROM series s "
                    "JOIN device d ON d.id = s.device_id "
                    "LEFT JOIN series_latest l ON l.series_id = s.id "
                    "WHERE d.endpoint = $1 ORDER BY s.key",
                    &endpoint, 1, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '{');
        q_put_text(j, "series", r, i, 0);
        q_put_text(j, "source", r, i, 1);
        q_put_text(j, "datatype", r, i, 2);
        q_put_text(j, "unit", r, i, 3);
        json_put_bool(j, "numeric", is_numeric(pg_text(r, i, 2)));
        q_put_time(j, "last_at", r, i, 4);
        json_close(j);
    }
    q_list_close(j);
    pg_result_free(r);
    return ERR_OK;
}
