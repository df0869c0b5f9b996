/* retention.h - how long history is kept: classes, the rules that give series their class, and
 * what is dropped when its time has come.
 *
 * A class says for how many days samples, minutes and hours are kept.  A series has the class a
 * person gave it, else that of the first rule that matches, else `standard`; what is packed already
 * stays in the class it was packed for.  Old and new are JSON texts for the audit log, in the
 * caller's arena, .p NULL where there is none. */
#ifndef BRAID_STORE_RETENTION_H
#define BRAID_STORE_RETENTION_H

#include "base/arena.h"
#include "store/queries.h"

#define RETENTION_DAYS_MAX 36500
#define RETENTION_RULES    100 /* at most */

struct retention_days {
    uint32_t raw, minute, hour;
};
struct retention_change {
    struct str old_json, new_json;
};

/* retention_name_ok: [a-z][a-z0-9-]{0,31}. */
bool retention_name_ok(struct str name);
MUST_CHECK enum err retention_classes(struct pg *db, struct json_out *j);
MUST_CHECK enum err retention_class(struct pg *db, struct str name, struct json_out *j);
/* retention_class_put makes the class or changes it.  ERR_FULL: there are a hundred. */
MUST_CHECK enum err retention_class_put(struct pg *db, struct arena *a, struct str name,
                                        struct retention_days days, struct retention_change *out);
/* ERR_NOTFOUND; ERR_CONFLICT with *in_use "standard", "series", "rules" or "history". */
MUST_CHECK enum err retention_class_delete(struct pg *db, struct arena *a, struct str name,
                                           const char **in_use, struct retention_change *out);

/* All that is given must match; .p NULL: anything.  At least one of series, endpoint, tag, group.
 */
struct retention_rule {
    uint32_t position;           /* rules are tried in this order; 0: after all others */
    struct str series, endpoint; /* patterns with * and ? */
    struct str tag, value;       /* a tag's key, and its value if that matters */
    struct str group;
    struct str class_name;
};
MUST_CHECK enum err retention_rules(struct pg *db, struct json_out *j);
/* retention_rule_put makes a rule (*id 0, set afterwards) or replaces one.  ERR_NOTFOUND: no such
 * rule; ERR_CONFLICT: no such class; ERR_FULL: RETENTION_RULES are there. */
MUST_CHECK enum err retention_rule_put(struct pg *db, struct arena *a, int64_t *id,
                                       const struct retention_rule *rule,
                                       struct retention_change *out);
MUST_CHECK enum err retention_rule_delete(struct pg *db, struct arena *a, int64_t id,
                                          struct retention_change *out);
MUST_CHECK enum err retention_rule_get(struct pg *db, int64_t id, struct json_out *j);
/* retention_assign_again has the rules applied to all series anew: to the first ones at once, to
 * the others by retention_assign. */
MUST_CHECK enum err retention_assign_again(struct pg *db);
/* retention_assign goes on with that; *more is false when all is done. */
MUST_CHECK enum err retention_assign(struct pg *db, bool *more);

/* retention_series_put gives one series a class of its own; class_name.p NULL: by the rules again.
 * ERR_NOTFOUND: no such series; ERR_CONFLICT: no such class. */
MUST_CHECK enum err retention_series_put(struct pg *db, struct arena *a, struct str endpoint,
                                         struct str series, struct str class_name,
                                         struct retention_change *out);

/* ---- what the jobs do; times are passed in ---- */

struct retention_keep { /* days; 0: for ever */
    int64_t text, timeline, command, audit;
};
struct retention_done {
    uint64_t partitions, bytes;                       /* dropped */
    uint64_t texts, events, commands, audits, pieces; /* rows */
    uint64_t purged_series, purged_rows;
    bool more; /* there was more than one call does */
};
/* retention_step drops a few partitions and removes a few thousand old rows.  Everything is bounded
 * and each part commits by itself; what was dropped is logged.  *done is added to. */
MUST_CHECK enum err retention_step(struct pg *db, int64_t now_ms, const struct retention_keep *keep,
                                   struct retention_done *done);
/* retention_purge removes the history of a few deleted series, of those that nothing is on its way
 * of any more; likewise. */
MUST_CHECK enum err retention_purge(struct pg *db, int64_t now_ms, struct retention_done *done);

#endif
