/* stream.h - a byte stream to a server: TCP, a Unix socket, or TLS over TCP.  Never blocks once it
 * is open.  Belongs to one thread. */
#ifndef BRAID_PORT_STREAM_H
#define BRAID_PORT_STREAM_H

#include "base/str.h"

struct stream;

struct stream_options {
    const char *host; /* begins with '/': a Unix socket; then there is neither port nor TLS */
    int port;
    const char *ca_file, *cert_file, *key_file; /* ca "" = no TLS; cert "" = none of ours */
};

/* Waits until `fd` has one of the poll() events; false: give up. */
typedef bool stream_waiter(void *ctx, int fd, short events);

/* stream_open connects and shakes hands, calling `wait` whenever it has to (looking up the host's
 * name blocks).  On failure `why` (at least 160 bytes) says what went wrong: ERR_IO, ERR_DENIED
 * (certificates), ERR_TIMEOUT (`wait` gave up), ERR_NOMEM. */
MUST_CHECK enum err stream_open(const struct stream_options *o, stream_waiter *wait, void *ctx,
                                struct stream **out, char *why, size_t why_size);
void stream_close(struct stream *s); /* NULL is fine */

/* stream_read and stream_write move what goes at once: ERR_OK and *n > 0; ERR_AGAIN nothing just
 * now; ERR_CLOSED the other side ended; ERR_IO. */
MUST_CHECK enum err stream_read(struct stream *s, void *to, size_t size, size_t *n);
MUST_CHECK enum err stream_write(struct stream *s, const void *from, size_t size, size_t *n);

int stream_fd(const struct stream *s);
/* stream_events: what to poll for; `output`: there is something to write. */
short stream_events(const struct stream *s, bool output);

#endif
