/* groups.c - static groups and the lists that are paged by a name; see labels.h. */
#include "store/labels.h"

#include "store/q_page.h"

#include <stdio.h>

/* A page by name: the cursor is the last name given, in base64. */
struct by_name {
    char after[LABEL_VALUE_MAX + 1], limit[16];
    struct str cursor; /* .p NULL: first page */
    uint32_t n;
};

static enum err page_open(struct by_name *p, struct q_page page)
{
    uint8_t plain[400];
    size_t n;
    *p = (struct by_name){.n = page.limit && page.limit <= Q_LIMIT_MAX ? page.limit : 100};
    snprintf(p->limit, sizeof p->limit, "%u", p->n + 1);
    if (!page.cursor.p)
        return ERR_OK;
    if (page.cursor.n > 500 || str_from_base64(page.cursor, plain, &n) || n >= sizeof p->after ||
        !str_utf8_valid(str_make((const char *)plain, n)))
        return ERR_INVALID;
    memcpy(p->after, plain, n);
    p->cursor = str_make(p->after, n);
    return ERR_OK;
}

/* Ends the list and frees; column 0 is the name. */
static void page_close(const struct by_name *p, struct pg_result *r, struct json_out *j)
{
    if (pg_rows(r) <= p->n) {
        q_list_close(j);
    } else {
        struct str last = pg_text(r, p->n - 1, 0);
        json_close(j);
        json_key(j, "next");
        json_base64(j, last.p, last.n);
        json_close(j);
    }
    pg_result_free(r);
}

enum err labels_list(struct pg *db, struct q_page page, struct json_out *j)
{
    struct by_name p;
    struct pg_result *r;
    enum err e = page_open(&p, page);
    if (!e)
        e = pg_exec(db,
                    "SELECT d.endpoint, coalesce(l.tags, '{}'), coalesce(l.groups, '[]') "
                    "FROM device d CROSS JOIN LATERAL (SELECT "
                    "(SELECT jsonb_object_agg(t.key, t.value) FROM device_tag t "
                    "WHERE t.device_id = d.id) AS tags, "
                    "(SELECT jsonb_agg(g.name ORDER BY g.name) FROM group_member m "
                    "JOIN device_group g ON g.id = m.group_id WHERE m.device_id = d.id) AS groups) "
                    "l WHERE d.endpoint > coalesce($1::text, '') AND (l.tags IS NOT NULL "
                    "OR l.groups IS NOT NULL) ORDER BY d.endpoint LIMIT $2::integer",
                    (struct str[]){p.cursor, str_of(p.limit)}, 2, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r) && i < p.n; i++) {
        json_open(j, '{');
        q_put_text(j, "endpoint", r, i, 0);
        q_put_json(j, "tags", r, i, 1);
        q_put_json(j, "groups", r, i, 2);
        json_close(j);
    }
    page_close(&p, r, j);
    return ERR_OK;
}

#define GROUP_COLUMNS                                                                              \
    "SELECT g.name, (SELECT count(*) FROM group_member m WHERE m.group_id = g.id), "               \
    "to_ms(g.created_at), md5(g.id || ' ' || g.version) FROM device_group g "

static void put_group(struct json_out *j, const struct pg_result *r, size_t i)
{
    json_open(j, '{');
    q_put_text(j, "name", r, i, 0);
    json_put_i64(j, "devices", pg_i64(r, i, 1));
    q_put_time(j, "created_at", r, i, 2);
    json_close(j);
}

enum err groups_list(struct pg *db, struct q_page page, struct json_out *j)
{
    struct by_name p;
    struct pg_result *r;
    enum err e = page_open(&p, page);
    if (!e)
        e = pg_exec(db,
                    GROUP_COLUMNS "WHERE g.name > coalesce($1::text, '') ORDER BY g.name "
                                  "LIMIT $2::integer",
                    (struct str[]){p.cursor, str_of(p.limit)}, 2, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r) && i < p.n; i++)
        put_group(j, r, i);
    page_close(&p, r, j);
    return ERR_OK;
}

enum err group_get(struct pg *db, struct str name, char version[LABEL_VERSION], struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db, GROUP_COLUMNS "WHERE g.name = $1", &name, 1, &r);
    if (e)
        return e;
    if (pg_rows(r)) {
        snprintf(version, LABEL_VERSION, "%.*s", STR_ARG(pg_text(r, 0, 3)));
        put_group(j, r, 0);
    } else {
        json_null(j);
        e = ERR_NOTFOUND;
    }
    pg_result_free(r);
    return e;
}

enum err group_members(struct pg *db, struct str name, struct q_page page, struct json_out *j)
{
    struct by_name p;
    struct pg_result *r;
    enum err e = page_open(&p, page);
    if (e)
        return e;
    e = pg_exec(db, "SELECT FROM device_group WHERE name = $1", &name, 1, &r);
    if (e)
        return e;
    bool known = pg_rows(r) == 1;
    pg_result_free(r);
    if (!known)
        return ERR_NOTFOUND;
    e = pg_exec(db,
                "SELECT d.endpoint FROM device_group g JOIN group_member m ON m.group_id = g.id "
                "JOIN device d ON d.id = m.device_id WHERE g.name = $1 "
                "AND d.endpoint > coalesce($2::text, '') ORDER BY d.endpoint LIMIT $3::integer",
                (struct str[]){name, p.cursor, str_of(p.limit)}, 3, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r) && i < p.n; i++) {
        json_open(j, '{');
        q_put_text(j, "endpoint", r, i, 0);
        json_close(j);
    }
    page_close(&p, r, j);
    return ERR_OK;
}

enum err group_insert(struct pg *db, struct str name)
{
    return pg_exec(db, "INSERT INTO device_group (name) VALUES ($1)", &name, 1, NULL);
}

/* Which of the two it was, when a statement touched no row. */
static enum err why_not(struct pg *db, struct str name)
{
    struct pg_result *r;
    enum err e = pg_exec(db, "SELECT FROM device_group WHERE name = $1", &name, 1, &r);
    if (e)
        return e;
    e = pg_rows(r) ? ERR_AGAIN : ERR_NOTFOUND;
    pg_result_free(r);
    return e;
}

enum err group_rename(struct pg *db, struct str name, struct str new_name, struct str if_version)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "UPDATE device_group SET name = $2, version = version + 1 WHERE name = $1 "
                         "AND ($3::text IS NULL OR md5(id || ' ' || version) = $3) RETURNING id",
                         (struct str[]){name, new_name, if_version}, 3, &r);
    if (e)
        return e;
    bool done = pg_rows(r) == 1;
    pg_result_free(r);
    return done ? ERR_OK : why_not(db, name);
}

enum err group_delete(struct pg *db, struct str name, struct str if_version, int64_t *members)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "DELETE FROM device_group g WHERE name = $1 AND ($2::text IS NULL OR "
                         "md5(id || ' ' || version) = $2) RETURNING "
                         "(SELECT count(*) FROM group_member m WHERE m.group_id = g.id)",
                         (struct str[]){name, if_version}, 2, &r);
    if (e)
        return e;
    bool done = pg_rows(r) == 1;
    if (done)
        *members = pg_i64(r, 0, 0);
    pg_result_free(r);
    return done ? ERR_OK : why_not(db, name);
}
