/* http_get.h - fetches one firmware image over plain HTTP/1.1 without blocking the loop.
 *
 * Nothing is kept but the length, the first bytes and the SHA-256: that is all a simulated device
 * needs to know of an image.  Follows no redirects; the body ends with Content-Length or with the
 * connection.  Only the name lookup may block. */
#ifndef BRAID_SIM_HTTP_GET_H
#define BRAID_SIM_HTTP_GET_H

#include "firmware.h"
#include "loop.h"

struct http_get; /* opaque */

/* The end: FW_SUCCESS with the image, or FW_BAD_URI, FW_CONNECTION_LOST, FW_NO_FLASH (above 256
 * MiB).  The getter is freed by itself afterwards. */
typedef void http_get_fn(void *ctx, enum fw_result why, const struct fw_image *image);

/* http_get_start begins; the callback comes later, never from inside this call. */
MUST_CHECK enum err http_get_start(struct loop *l, const char *uri, http_get_fn *done, void *ctx,
                                   struct http_get **out);
void http_get_abort(struct http_get *g); /* no callback any more; NULL is fine */
void http_get_sha256(struct str bytes, uint8_t sha256[32]);

#endif
