/* landing.h - which landing table takes the samples now, and when it is the turn of the next.
 *
 * The tables are a ring (migrations/0010): the writer fills the open one and turns to a free one
 * when it has slot_rows rows or is slot_s old; the packer empties the closed ones.  What is open is
 * PostgreSQL's word alone: every transaction that adds rows asks again and holds the answer with a
 * lock, so that a process that lingers after a take-over cannot add to a table that is closed.
 * What is remembered here only serves to know when it is time to turn. */
#ifndef BRAID_STORE_LANDING_H
#define BRAID_STORE_LANDING_H

#include "metrics/metrics.h"
#include "port/pg.h"
#include "store/recent.h"

#define LANDING_SLOTS  8
#define LANDING_BEHIND (LANDING_SLOTS / 2) /* as many wait to be packed: that is too slow */

struct landing {
    struct recent *recent; /* hears of what is added; may be NULL */
    int64_t slot_rows;
    uint64_t slot_ms;
    int slot;           /* the open one when we last heard, -1: not known */
    int64_t rows;       /* in it: exact below slot_rows */
    bool fresh;         /* we opened it, and added nothing so far */
    uint64_t opened_ms; /* monotonic */
    uint64_t retry_ms;  /* not before this */
};

void landing_init(struct landing *l, struct recent *recent, int64_t slot_rows, int64_t slot_s);
/* landing_forget: the connection is a new one, what was known may be wrong. */
void landing_forget(struct landing *l);
/* landing_claim is the first statement of a transaction that stores batch `batch_no` of `writer`.
 */
struct landing_claim {
    bool is_new;  /* it is not in yet */
    int slot;     /* which table takes it until the commit, -1: none */
    int64_t turn; /* of that table */
};
MUST_CHECK enum err landing_claim(struct pg *db, uint64_t writer, uint64_t batch_no,
                                  struct landing_claim *out);
/* landing_forget_numbers removes numbers that no spool can bring once more.  The caller is `writer`
 * and has nothing in its spool, so its own go after a day.  Others may have ended while they
 * replayed, on another machine, and what was replayed is known to memory only: theirs stay for 30
 * days. */
MUST_CHECK enum err landing_forget_numbers(struct pg *db, uint64_t writer);
/* landing_slot_of: the table named by the first column of the first row; a number from the database
 * is used as an index only if it is one, else it is -1, as without a row. */
int landing_slot_of(const struct pg_result *r);
/* landing_copy_sql is the COPY statement of a slot's table. */
const char *landing_copy_sql(int slot);
/* landing_adding: the claim's transaction holds all rows of a COPY body and is about to be
 * committed; landing_added: it was, with so many rows (that body's, or those of it that were not
 * refused). landing_doubted: it ended in another way, or with another number of rows. */
void landing_adding(struct landing *l, const struct landing_claim *c, struct str body);
void landing_added(struct landing *l, const struct landing_claim *c, uint64_t rows);
void landing_doubted(struct landing *l, const struct landing_claim *c);
/* landing_due: when landing_turn has something to do, monotonic ms; UINT64_MAX: not before the next
 * row. */
uint64_t landing_due(const struct landing *l);
/* landing_turn, between two transactions, turns to the next table if it is due.  When it fails or
 * no table is free it is due again in a second. */
MUST_CHECK enum err landing_turn(struct landing *l, struct pg *db, struct metrics *m);

/* What waits to be packed. */
struct landing_backlog {
    int64_t closed;   /* tables */
    int64_t oldest_s; /* since the first of them was opened, 0 if none waits */
};
MUST_CHECK enum err landing_get_backlog(struct pg *db, struct landing_backlog *out);

#endif
