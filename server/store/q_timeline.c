/* q_timeline.c - timeline entries and the list of a device's series. */
#include "store/q_page.h"

enum { T_ID, T_AT, T_STRAND, T_KIND, T_TEXT, T_DETAIL, T_ENDPOINT };

/* Two statements, because one with "of this device or of all" would get one plan for both and read
 * the whole fleet's timeline for a quiet device. */
#define SELECT_EVENTS                                                                              \
    "SELECT t.id, to_ms(t.at), t.strand, t.kind, t.text, t.detail, d.endpoint "                    \
    "FROM timeline_event t JOIN device d ON d.id = t.device_id WHERE "
#define NEXT_PAGE                                                                                  \
    "($1::text IS NULL OR t.kind = ANY (string_to_array($1, ','))) "                               \
    "AND ($2::bigint IS NULL OR (t.at, t.id) < (at_ms($2::bigint), $3::bigint)) "                  \
    "ORDER BY t.at DESC, t.id DESC LIMIT $4::integer"

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
        e = pg_prepared(db, "timeline_of",
                        SELECT_EVENTS "t.device_id = (SELECT id FROM device WHERE endpoint = $5) "
                                      "AND " NEXT_PAGE,
                        params, 5, &r);
    else
        e = pg_prepared(db, "timeline", SELECT_EVENTS NEXT_PAGE, params, 4, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r) && i < k.n; i++) {
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
    q_key_close(&k, r, T_AT, T_ID, j);
    pg_result_free(r);
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
        json_key(j, "numeric");
        json_bool(j, is_numeric(pg_text(r, i, 2)));
        q_put_time(j, "last_at", r, i, 4);
        json_close(j);
    }
    q_list_close(j);
    pg_result_free(r);
    return ERR_OK;
}
