/* file.h - whole files into memory. */
#ifndef BRAID_BASE_FILE_H
#define BRAID_BASE_FILE_H

#include "base/buf.h"

/* file_read appends the file to `out`.  ERR_NOTFOUND when there is none, ERR_IO when it cannot be
 * read (errno tells why for both), ERR_TOOBIG or ERR_NOMEM as the buf says. */
MUST_CHECK enum err file_read(const char *path, struct buf *out);

#endif
