/* control.h - the simulator's Unix socket: one command per line, one JSON answer per line.
 *
 *   stats                    {"devices":5,"connected":5,...}
 *   list                     {"devices":["sim-demo-00001",...]}
 *   break DEVICE HOW         power, gap, clock or clash; {"ok":true}
 *   heal DEVICE              {"ok":true}
 *
 * Refusals are {"ok":false,"error":"..."}.  The socket is created with mode 600. */
#ifndef BRAID_SIM_CONTROL_H
#define BRAID_SIM_CONTROL_H

#include "fleet.h"

struct control; /* opaque */

/* control_new listens on `path`, replacing a socket a dead process left there.  ERR_IO. */
MUST_CHECK enum err control_new(struct fleet *f, const char *path, struct control **out);
void control_free(struct control *c); /* removes the socket */

/* control_answer is what a line is answered with (without newline). */
void control_answer(struct fleet *f, struct str line, struct buf *out);

#endif
