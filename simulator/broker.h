/* broker.h - where the devices of one loop connect to, and how many may be on their way at once.
 *
 * A fleet that comes back after an outage must not bury the broker under handshakes: a client
 * asks for a slot, is called when it has one, and gives it back when it is connected or failed.
 * All TLS sessions share one SSL_CTX.  Belongs to the thread of its loop. */
#ifndef BRAID_SIM_BROKER_H
#define BRAID_SIM_BROKER_H

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/str.h"
#include "loop.h"

struct broker_config {
    const char *host;
    const char *port;
    const char *ca_file;                  /* NULL: plain TCP */
    const char *issuer_cert, *issuer_key; /* NULL: no client certificates */
    unsigned handshakes;                  /* at most this many in flight */
};

struct broker_turn {
    struct list link; /* while waiting */
    void (*fn)(void *ctx);
    void *ctx;
    bool waiting, holding;
};

struct broker; /* opaque */

/* broker_new copies nothing of `c`: it must outlive the broker.  ERR_IO, ERR_INVALID: the files. */
MUST_CHECK enum err broker_new(struct loop *l, const struct broker_config *c, struct broker **out);
void broker_free(struct broker *b);

/* broker_queue calls turn->fn, now or later, with turn->holding set; broker_leave gives the slot
 * (or the place in the queue) back and is harmless without one. */
void broker_queue(struct broker *b, struct broker_turn *turn);
void broker_leave(struct broker *b, struct broker_turn *turn);

/* broker_dial opens a socket whose connect is under way; the caller closes it.  ERR_IO. */
MUST_CHECK enum err broker_dial(struct broker *b, int *fd);
/* broker_session makes the TLS session on `fd` for `identity`; *ssl is NULL on plain TCP. */
MUST_CHECK enum err broker_session(struct broker *b, int fd, struct str identity, SSL **ssl);
/* broker_note logs a client's failure, at most one line a second for all of them. */
void broker_note(struct broker *b, const char *event, struct str identity, const char *why);

#endif
