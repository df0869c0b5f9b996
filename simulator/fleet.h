/* fleet.h - all devices of the process, spread over event loops.
 *
 * Loop 0 runs on the thread that calls fleet_run, the others on threads of their own; device i
 * belongs to loop i % threads for good. */
#ifndef BRAID_SIM_FLEET_H
#define BRAID_SIM_FLEET_H

#include "device.h"

struct fleet; /* opaque */

/* fleet_new reads the password file and makes every device; nothing is connected yet.  On failure
 * `why` (at least 160 bytes) says what is wrong.  Options and description outlive the fleet. */
MUST_CHECK enum err fleet_new(const struct sim_options *o, const struct description *d,
                              struct fleet **out, char *why, size_t why_size);
void fleet_free(struct fleet *f);

struct loop *fleet_loop(struct fleet *f); /* loop 0: for signals and control */
const struct stats *fleet_stats(const struct fleet *f);
size_t fleet_count(const struct fleet *f);
struct str fleet_identity(const struct fleet *f, size_t i);

/* fleet_run connects all devices and returns after fleet_stop.  ERR_NOMEM: no threads. */
MUST_CHECK enum err fleet_run(struct fleet *f);
/* fleet_stop lets all devices say goodbye (at most 3 s) and ends fleet_run.  From loop 0. */
void fleet_stop(struct fleet *f);
/* fleet_break hands a scenario (none: heal) to a device's loop.  ERR_NOTFOUND.  From loop 0. */
MUST_CHECK enum err fleet_break(struct fleet *f, struct str identity, enum scenario how);

#endif
