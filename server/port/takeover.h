/* takeover.h - ends somebody else's broker session by connecting once under its client id.
 *
 * Mosquitto has no command for that, and reloading its files ends no session that a certificate
 * opened; but a second connection with the same client id closes the first. */
#ifndef BRAID_PORT_TAKEOVER_H
#define BRAID_PORT_TAKEOVER_H

#include "base/str.h"

struct takeover_options {
    const char *host;
    int port;
    const char *ca_file;  /* "" = no TLS */
    const char *name;     /* client id and user name */
    const char *password; /* of that user */
};
/* takeover connects, clean, says goodbye and returns; it blocks for at most `wait_ms`.  ERR_DENIED
 * when the broker refuses the password, ERR_TIMEOUT, ERR_BROKER. */
MUST_CHECK enum err takeover(const struct takeover_options *o, uint32_t wait_ms);

#endif
