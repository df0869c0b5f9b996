/* load.h - braid-sim as load generator: Sparkplug DATA at a fixed rate, or as fast as it goes.
 *
 * Many nodes over a few connections (without TLS), or one connection per node (with it, because a
 * broker lets a certificate speak for one node only).  Births first, QoS 0, the sequence right in
 * every node, several messages per write.  Whatever was sent is told as JSON on standard output, so
 * that what is missing elsewhere can be counted.  Rebirths are not answered. */
#ifndef BRAID_SIM_LOAD_H
#define BRAID_SIM_LOAD_H

#include "options.h"

/* load_run does all of it and returns when everything is sent, standard input ends (with
 * --load-gate) or SIGTERM or SIGINT comes.  `why` (size bytes) says what went wrong. */
MUST_CHECK enum err load_run(const struct sim_options *o, char *why, size_t size);

#endif
