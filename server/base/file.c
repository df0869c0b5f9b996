/* file.c - see file.h. */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>

enum err file_read(const char *path, struct buf *out)
{
    char block[8192];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_put(out, block, n);
    int broken = ferror(f) ? errno : 0; /* fclose may say something else */
    fclose(f);
    errno = broken;
    return broken ? ERR_IO : out->err;
}
