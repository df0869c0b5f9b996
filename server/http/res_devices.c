/* res_devices.c - the fleet as a list: search, filter, sort and page over what the shards hold.
 *
 * The rows come from memory, so a page costs a copy of the fleet and one look-up of its labels;
 * while the database is away those are null and the rest is as ever.  A cursor names the
 * last row given, by sort key and endpoint: rows that come and go between two pages neither repeat
 * nor hide others. */
#include "http/http_int.h"
#include "credential/credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum sort_key { SORT_ENDPOINT, SORT_LAST_SEEN, SORT_STATUS };

struct order {
    enum sort_key key;
    bool down;
};

static const struct {
    const char *word;
    enum sort_key key;
} sort_words[] = {
    {"endpoint", SORT_ENDPOINT},
    {"last_seen", SORT_LAST_SEEN},
    {"status", SORT_STATUS},
};

static int compare(const struct engine_row *a, const struct engine_row *b, struct order o)
{
    int c = 0;
    if (o.key == SORT_LAST_SEEN)
        c = (a->last_seen_ms > b->last_seen_ms) - (a->last_seen_ms < b->last_seen_ms);
    else if (o.key == SORT_STATUS)
        c = strcmp(a->status, b->status);
    if (!c)
        c = strcmp(a->endpoint, b->endpoint) * (o.down && o.key != SORT_ENDPOINT ? -1 : 1);
    return o.down ? -c : c;
}

static int compare_rows(const void *a, const void *b, void *order)
{
    return compare(a, b, *(const struct order *)order);
}

static bool read_order(struct request *r, struct order *out)
{
    struct str word = request_query(r, "sort");
    *out = (struct order){0};
    if (!word.n)
        return true;
    if (word.p[0] == '-') {
        out->down = true;
        word = str_make(word.p + 1, word.n - 1);
    }
    for (size_t i = 0; i < sizeof sort_words / sizeof *sort_words; i++)
        if (str_is(word, sort_words[i].word)) {
            out->key = sort_words[i].key;
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

static bool read_cursor(struct request *r, struct str cursor, struct engine_row *out)
{
    uint8_t *text = arena_alloc(&r->arena, cursor.n + 4);
    size_t n = 0;
    if (text && !str_from_base64(cursor, text, &n)) {
        struct str rest = str_make((const char *)text, n);
        struct str seen = str_cut(&rest, ' ');
        struct str status = arena_str(&r->arena, str_cut(&rest, ' '));
        struct str endpoint = arena_str(&r->arena, rest);
        if (rest.n && status.p && endpoint.p && !str_to_i64(seen, &out->last_seen_ms)) {
            out->status = status.p;
            out->endpoint = (char *)(uintptr_t)endpoint.p;
            return true;
        }
    }
    reply_problem(r, 400, "bad_cursor", "This cursor is not one of ours.");
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

static void write_rows(struct request *r, const struct engine_rows *rows, size_t n, size_t from,
                       size_t limit)
{
    size_t end = limit < n - from ? from + limit : n;
    const struct labels *labels = find_labels(r, rows->v + from, end - from);
    struct json_out *j = reply_json(r, 200);
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = from; i < end; i++)
        write_row(j, &rows->v[i], labels ? &labels[i - from] : NULL);
    json_close(j);
    json_key(j, "total");
    json_u64(j, n);
    json_key(j, "next");
    if (end < n)
        write_cursor(j, &rows->v[end - 1]);
    else
        json_null(j);
    json_close(j);
}

void res_devices(struct request *r)
{
    struct q_page page;
    struct order order;
    struct fleet_filter filter;
    struct engine_row after = {0};
    struct engine_rows rows = {0};
    size_t n = 0, from = 0;
    if (!request_page(r, &page) || !read_order(r, &order) || !filter_query(r, &filter) ||
        (page.cursor.p && !read_cursor(r, page.cursor, &after)))
        return;
    enum err e = engine_list(r->http->parts.engine, HTTP_ENGINE_MS, &rows);
    if (e) {
        reply_err(r, e, "fleet");
        return;
    }
    if (filter_rows(r, &filter, &rows, &n)) {
        if (n)
            qsort_r(rows.v, n, sizeof *rows.v, compare_rows, &order);
        while (page.cursor.p && from < n && compare(&rows.v[from], &after, order) <= 0)
            from++;
        write_rows(r, &rows, n, from, page.limit);
    }
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
    if (!request_endpoint(r))
        return;
    enum err e = engine_forget(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS);
    if (e == ERR_CONFLICT) {
        reply_problem(r, 409, "device_active", "The device is connected; it would come back.");
    } else if (e) {
        reply_err(r, e, "device");
    } else {
        struct pg *db = request_db(r);
        if (!db)
            return;
        e = credential_forget(r->http->parts.credentials, db, r->params[0]);
        if (e) {
            reply_err(r, e, "device");
            return;
        }
        auth_audit(r, "device_forget", r->params[0], (struct str){0});
        reply_empty(r, 204);
    }
}
