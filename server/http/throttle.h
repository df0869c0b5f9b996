/* throttle.h - slows down who guesses passwords.
 *
 * Per (user, address): four wrong passwords are free, from the fifth on the next try has to wait
 * 1 s, 2 s, 4 s ... up to 60 s.  A right one clears the slate; so does half an hour of silence.
 * A fixed table: two names that share a slot share their fate, and a flood of names costs no
 * memory.  Time is passed in.  Any thread. */
#ifndef BRAID_HTTP_THROTTLE_H
#define BRAID_HTTP_THROTTLE_H

#include "base/str.h"

#define THROTTLE_FREE     5
#define THROTTLE_MAX_S    60
#define THROTTLE_FORGET_S 1800

struct throttle;
/* throttle_new: `first` is the failure that first has to wait; NULL without memory. */
struct throttle *throttle_new(uint64_t seed, uint32_t first);
void throttle_free(struct throttle *t);
/* throttle_wait_s: seconds until a try is allowed, 0 = now. */
uint32_t throttle_wait_s(struct throttle *t, struct str user, struct str address, uint64_t mono_ms);
void throttle_failed(struct throttle *t, struct str user, struct str address, uint64_t mono_ms);
void throttle_passed(struct throttle *t, struct str user, struct str address);

#endif
