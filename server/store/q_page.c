/* q_page.c - see q_page.h. */
#include "store/q_page.h"

#include <inttypes.h>
#include <stdio.h>

static enum err read_cursor(struct q_key *k, struct str cursor)
{
    uint8_t plain[96];
    size_t n;
    int64_t ms;
    if (cursor.n > 120 || str_from_base64(cursor, plain, &n))
        return ERR_INVALID;
    struct str rest = str_make((const char *)plain, n), at = str_cut(&rest, ' ');
    if (str_to_i64(at, &ms) || !rest.n || rest.n >= sizeof k->id)
        return ERR_INVALID;
    for (size_t i = 0; i < rest.n; i++) /* digits or a uuid: ours hold nothing else */
        if (!strchr("0123456789abcdef-", rest.p[i]))
            return ERR_INVALID;
    snprintf(k->at, sizeof k->at, "%" PRId64, ms);
    memcpy(k->id, rest.p, rest.n);
    k->id[rest.n] = '\0';
    k->at_ms = str_of(k->at);
    k->last_id = str_of(k->id);
    return ERR_OK;
}

enum err q_key_open(struct q_key *k, struct q_page page)
{
    *k = (struct q_key){.n = page.limit && page.limit <= Q_LIMIT_MAX ? page.limit : 100};
    snprintf(k->limit, sizeof k->limit, "%u", k->n + 1);
    return page.cursor.p ? read_cursor(k, page.cursor) : ERR_OK;
}

void q_list_open(struct json_out *j)
{
    json_open(j, '{');
    json_key(j, "items");
    json_open(j, '[');
}

void q_list_close(struct json_out *j)
{
    json_close(j);
    json_put_null(j, "next");
    json_close(j);
}

/* "next", or null when this is the last page: one row more than shown was asked for. */
static void put_next(const struct q_key *k, const struct pg_result *r, int at_col, int id_col,
                     struct json_out *j)
{
    json_key(j, "next");
    if (pg_rows(r) <= k->n) {
        json_null(j);
        return;
    }
    char plain[96];
    int n = snprintf(plain, sizeof plain, "%" PRId64 " %.*s", pg_i64(r, k->n - 1, at_col),
                     STR_ARG(pg_text(r, k->n - 1, id_col)));
    json_base64(j, plain, (size_t)n);
}

void q_put_page(const struct q_key *k, struct pg_result *r, int at_col, int id_col, q_put_row *put,
                struct json_out *j)
{
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < pg_rows(r) && i < k->n; i++)
        put(j, r, i);
    json_close(j);
    put_next(k, r, at_col, id_col, j);
    json_close(j);
    pg_result_free(r);
}

struct str q_number(char out[24], int64_t v)
{
    return str_make(out, (size_t)snprintf(out, 24, "%" PRId64, v));
}

void q_put_text(struct json_out *j, const char *key, const struct pg_result *r, size_t row, int col)
{
    json_key(j, key);
    if (pg_null(r, row, col))
        json_null(j);
    else
        json_str(j, pg_text(r, row, col));
}

void q_put_time(struct json_out *j, const char *key, const struct pg_result *r, size_t row, int col)
{
    json_put_time(j, key, pg_i64(r, row, col));
}

void q_put_json(struct json_out *j, const char *key, const struct pg_result *r, size_t row, int col)
{
    json_key(j, key);
    if (pg_null(r, row, col))
        json_null(j);
    else
        json_raw(j, pg_text(r, row, col));
}
