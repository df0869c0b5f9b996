/* recent.h - what landed a moment ago, in memory as well.
 *
 * The writer adds the rows of a landing table as it commits them, so that packing and charts need
 * not read them back from PostgreSQL.  A copy is of one turn of one table and holds all of its rows
 * or is not there at all: it begins with the table empty, takes what is committed, in order, and is
 * given up when anything else happens to the table: a transaction whose end is not known, rows that
 * PostgreSQL refused, memory that runs out, a process that began in the middle.  Who needs proof
 * counts the table's rows: rows that are confirmed are in the table, so with as many in both they
 * are the same.
 *
 * It pays while samples come fast; a copy that gets old is given up (recent_expire). */
#ifndef BRAID_STORE_RECENT_H
#define BRAID_STORE_RECENT_H

#include "base/str.h"
#include "store/rows.h"

#include <stdbool.h>

/* Any thread may call any of these.  NULL is a memory that holds nothing. */
struct recent;

/* recent_new: at most `max_rows` of all tables together. */
#define RECENT_ROW_BYTES 22
MUST_CHECK enum err recent_new(size_t max_rows, struct recent **out);
void recent_free(struct recent *r);

/* recent_begin: table `slot` was opened by us for its turn `turn`, and nothing is in it yet. */
void recent_begin(struct recent *r, int slot, int64_t turn, uint64_t now_ms);
/* recent_add: the rows of a COPY body of landing_copy_sql are in the table with a commit that is
 * about to be sent, so that whoever sees them there finds them here; recent_confirm: it was
 * answered. */
void recent_add(struct recent *r, int slot, int64_t turn, struct str body);
void recent_confirm(struct recent *r, int slot, int64_t turn);
/* recent_forget gives up what is held of a table, whatever its turn. */
void recent_forget(struct recent *r, int slot);
/* recent_expire gives up what began before `before_ms`. */
void recent_expire(struct recent *r, uint64_t before_ms);

bool recent_holds(struct recent *r, int slot, int64_t turn);
/* recent_copy puts all rows of a table into `out` (in place of what is there), in the order of
 * their arrival.  ERR_NOTFOUND: they are not held, not confirmed, or not `n`; ERR_NOMEM. */
MUST_CHECK enum err recent_copy(struct recent *r, int slot, int64_t turn, size_t n,
                                struct rows *out);
/* recent_find calls `found` for each row of a series with from_us <= ts < to_us in n tables.  *held
 * false: not all of them are held, and `found` is not called.  Stops with the first error. */
struct recent_turn {
    int slot;
    int64_t turn;
};
typedef enum err recent_found(void *ctx, const struct row *row);
MUST_CHECK enum err recent_find(struct recent *r, const struct recent_turn *tables, size_t n,
                                uint32_t series, int64_t from_us, int64_t to_us,
                                recent_found *found, void *ctx, bool *held);

#endif
