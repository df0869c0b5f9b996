/* res_devices.c - the fleet as a list: search, filter, sort and page over what the shards hold.
 *
 * The rows come from memory: the shards choose and render those of the page alone, and one look-up
 * adds their labels; while the database is away those are null and the rest is as ever.  A cursor
 * names the last row given, by sort key and endpoint: rows that come and go between two pages
 * neither repeat nor hide others. */
#include "http/http_int.h"
#include "credential/credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *word;
    enum fleet_sort sort;
} sort_words[] = {
    {"endpoint", FLEET_BY_ENDPOINT},
    {"last_seen", FLEET_BY_LAST_SEEN},
    {"status", FLEET_BY_STATUS},
};

static bool read_order(struct request *r, struct fleet_query *q)
{
    struct str word = request_query(r, "sort");
    if (!word.n)
        return true;
    if (word.p[0] == '-') {
        q->down = true;
        word = str_make(word.p + 1, word.n - 1);
    }
    for (size_t i = 0; i < sizeof sort_words / sizeof *sort_words; i++)
        if (str_is(word, sort_words[i].word)) {
            q->sort = sort_words[i].sort;
            return true;
        }
    reply_problem(r, 400, "bad_parameter", "sort is endpoint, last_seen or status, - for down.");
    return false;
}

/* "LAST_SEEN STATUS ENDPOINT", base64 without padding. */
static void write_cursor(struct json_out *j, const struct engine_row *row)
{
    char text[160], encoded[240];
    int n = snprintf(text, sizeof text, "%" PRId64 " %s %s", row->last_seen_ms, row->status,
                     row->endpoint);
    size_t m = str_to_base64(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, encoded);
    while (m && encoded[m - 1] == '=')
        m--;
    for (size_t i = 0; i < m; i++)
        encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
    json_str(j, str_make(encoded, m));
}

static bool read_cursor(struct request *r, struct str cursor, struct fleet_query *q)
{
    uint8_t *text = arena_alloc(&r->arena, cursor.n + 4);
    size_t n = 0;
    if (text && !str_from_base64(cursor, text, &n)) {
        struct str rest = str_make((const char *)text, n);
        struct str seen = str_cut(&rest, ' ');
        q->after_status = str_cut(&rest, ' ');
        q->after_endpoint = rest;
        if (rest.n && !str_to_i64(seen, &q->after_last_seen_ms))
            return true;
    }
    reply_list_err(r, ERR_INVALID, NULL);
    return false;
}

/* A row and, once the database said so, its labels. */
static void write_row(struct json_out *j, const struct engine_row *row, const struct labels *l)
{
    struct buf *b = j->b;
    json_raw(j, str_make(row->json, row->json_n));
    if (b->err || !b->n || b->p[b->n - 1] != '}')
        return;
    b->n--; /* the members go inside */
    buf_puts(b, ",\"tags\":");
    buf_str(b, l && l->tags.p ? l->tags : str_of(l ? "{}" : "null"));
    buf_puts(b, ",\"groups\":");
    buf_str(b, l && l->groups.p ? l->groups : str_of(l ? "[]" : "null"));
    buf_putc(b, '}');
}

/* The labels of a page; NULL while the database is away: the live part is still worth showing. */
static const struct labels *find_labels(struct request *r, const struct engine_row *rows, size_t n)
{
    struct pg *db = NULL;
    struct labels *l = arena_calloc(&r->arena, n + 1, sizeof *l);
    struct str *names = arena_calloc(&r->arena, n + 1, sizeof *names);
    for (size_t i = 0; names && i < n; i++)
        names[i] = str_of(rows[i].endpoint);
    if (!l || !names)
        return NULL;
    if (!r->db && pool_get(r->http->parts.pool, HTTP_DB_MS, &db))
        return NULL;
    if (!r->db)
        r->db = db;
    return labels_of(r->db, &r->arena, names, n, l) ? NULL : l;
}

/* One row more than the page was asked for: it tells that there is a next one. */
static void write_rows(struct request *r, const struct engine_rows *rows, size_t limit)
{
    size_t n = rows->n < limit ? rows->n : limit;
    const struct labels *labels = find_labels(r, rows->v, n);
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        write_row(j, &rows->v[i], labels ? &labels[i] : NULL);
    json_close(j);
    json_put_u64(j, "total", rows->total);
    json_key(j, "next");
    if (rows->n > n)
        write_cursor(j, &rows->v[n - 1]);
    else
        json_null(j);
    json_close(j);
}

void res_devices(struct request *r)
{
    struct q_page page;
    struct fleet_filter filter;
    struct fleet_query q = {0};
    struct engine_rows rows = {0};
    if (!request_page(r, &page) || !read_order(r, &q) || !filter_query(r, &filter) ||
        (page.cursor.p && !read_cursor(r, page.cursor, &q)) || !filter_apply(r, &filter, &q))
        return;
    q.limit = page.limit + 1;
    enum err e = engine_list(r->http->parts.engine, &q, HTTP_ENGINE_MS, &rows);
    if (e) {
        reply_err(r, e, "fleet");
        return;
    }
    write_rows(r, &rows, page.limit);
    engine_rows_free(&rows);
}

void res_fleet(struct request *r)
{
    reply_json(r, 200);
    enum err e = engine_fleet(r->http->parts.engine, HTTP_ENGINE_MS, &r->out);
    if (e)
        reply_err(r, e, "fleet");
}

void res_device(struct request *r)
{
    if (!request_endpoint(r))
        return;
    struct json_out *j = reply_json(r, 200);
    struct buf detail;
    buf_init(&detail, HTTP_ANSWER_MAX);
    enum err e = engine_device(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS, &detail);
    if (!e)
        e = detail.err;
    if (!e) {
        const char *name = arena_str(&r->arena, r->params[0]).p;
        struct engine_row row = {
            .endpoint = (char *)(uintptr_t)name, .json = detail.p, .json_n = detail.n};
        write_row(j, &row, name ? find_labels(r, &row, 1) : NULL);
    }
    buf_fini(&detail);
    if (e)
        reply_err(r, e, "device");
}

void res_device_forget(struct request *r)
{
    struct pg *db = request_endpoint(r) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = engine_forget(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS);
    if (e == ERR_CONFLICT) {
        reply_problem(r, 409, "device_active", "The device is connected; it would come back.");
        return;
    }
    if (!e)
        e = credential_forget(r->http->parts.credentials, db, r->params[0]);
    if (e) {
        reply_err(r, e, "device");
    } else {
        auth_audit(r, "device_forget", r->params[0], (struct str){0});
        reply_empty(r, 204);
    }
}
