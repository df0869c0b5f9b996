/* q_page.h - keyset paging shared by the lists of queries.h: newest first by (time, id). */
#ifndef BRAID_STORE_Q_PAGE_H
#define BRAID_STORE_Q_PAGE_H

#include "store/queries.h"

#define Q_LIMIT_MAX 1000

struct q_key {
    char at[24], id[64];       /* texts for $n::bigint (ms) and the id's own type */
    struct str at_ms, last_id; /* .p NULL: first page */
    char limit[16];
    uint32_t n; /* rows of a page; one more is asked for, to know whether there is a next one */
};

/* q_key_open reads the cursor; ERR_INVALID for one we did not make. */
MUST_CHECK enum err q_key_open(struct q_key *k, struct q_page page);
/* q_list_open begins {"items":[; q_list_close ends a list that is always complete. */
void q_list_open(struct json_out *j);
void q_list_close(struct json_out *j);
/* q_put_page adds a page to the object that is open, and ends it: "items" of what `put` makes of
 * each row, and "next" made from the last row shown (columns at_ms, id).  It frees `r`. */
typedef void q_put_row(struct json_out *j, const struct pg_result *r, size_t row);
void q_put_page(const struct q_key *k, struct pg_result *r, int at_col, int id_col, q_put_row *put,
                struct json_out *j);
/* q_number writes `v` as text for a parameter; the view is of `out`. */
struct str q_number(char out[24], int64_t v);
/* Members of a row. */
void q_put_text(struct json_out *j, const char *key, const struct pg_result *r, size_t row,
                int col);
void q_put_time(struct json_out *j, const char *key, const struct pg_result *r, size_t row,
                int col);
void q_put_json(struct json_out *j, const char *key, const struct pg_result *r, size_t row,
                int col);

#endif
