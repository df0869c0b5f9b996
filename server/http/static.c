/* static.c - the built web UI.
 *
 * Paths are made of plain names only (letters, digits, dot, dash, underscore), no segment starts
 * with a dot, and files are opened relative to the folder's descriptor without following links: no
 * path leaves the folder.  Names that carry a content hash are immutable; all else is revalidated
 * by ETag.  A path that is no file is a view of the single-page application. */
#include "http/http_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (16 << 20)

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".webmanifest", "application/manifest+json"},
};

int static_open(const char *dir)
{
    return *dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static bool ends_with(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && !memcmp(s.p + s.n - n, suffix, n);
}

static const char *type_of(struct str path)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (ends_with(path, types[i].suffix))
            return types[i].type;
    return NULL;
}

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

bool static_path_ok(struct str path)
{
    if (path.n < 2 || path.n > 200 || path.p[0] != '/')
        return false;
    struct str rest = str_make(path.p + 1, path.n - 1);
    while (rest.p) {
        struct str name = str_cut(&rest, '/');
        if (!name.n || name.p[0] == '.')
            return false;
        for (size_t i = 0; i < name.n; i++)
            if (!plain(name.p[i]))
                return false;
    }
    return true;
}

/* esbuild's [name]-[hash].ext: eight capital letters or digits before the extension. */
bool static_is_hashed(struct str name)
{
    size_t dot = name.n;
    while (dot && name.p[dot - 1] != '.')
        dot--;
    if (dot < 10 || name.p[dot - 10] != '-')
        return false;
    for (size_t i = dot - 9; i < dot - 1; i++)
        if (!((name.p[i] >= 'A' && name.p[i] <= 'Z') || (name.p[i] >= '0' && name.p[i] <= '9')))
            return false;
    return true;
}

/* Reads a whole regular file into the answer. */
static enum err read_file(struct request *r, const char *name, struct stat *st)
{
    enum err e = ERR_NOTFOUND;
    int fd = openat(r->http->static_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return ERR_NOTFOUND;
    if (fstat(fd, st) || !S_ISREG(st->st_mode) || st->st_size > FILE_MAX)
        goto out;
    reply_empty(r, 200);
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_put(&r->out, chunk, (size_t)n);
    e = n < 0 || r->out.err ? ERR_IO : ERR_OK;
out:
    close(fd);
    return e;
}

/* Serves one file, compressed when there is such a copy and the client takes it. */
static bool serve(struct request *r, struct str path)
{
    char name[256];
    struct stat st;
    struct str accept = request_header(r, "Accept-Encoding");
    bool gzip = accept.n && memmem(accept.p, accept.n, "gzip", 4);
    snprintf(name, sizeof name, "%.*s.gz", (int)path.n - 1, path.p + 1);
    if (!gzip || read_file(r, name, &st)) {
        gzip = false;
        name[path.n - 1] = 0;
        if (read_file(r, name, &st))
            return false;
    }
    char etag[64];
    snprintf(etag, sizeof etag, "\"%llx-%llx%s\"", (unsigned long long)st.st_mtim.tv_sec,
             (unsigned long long)st.st_size, gzip ? "-gz" : "");
    reply_cacheable(r, etag,
                    static_is_hashed(path) ? "public, max-age=31536000, immutable" : "no-cache");
    reply_header(r, "Vary", "Accept-Encoding");
    if (gzip)
        reply_header(r, "Content-Encoding", "gzip");
    r->type = type_of(path);
    if (!r->type)
        r->type = "application/octet-stream";
    if (str_is(request_header(r, "If-None-Match"), etag))
        reply_empty(r, 304);
    return true;
}

void static_serve(struct request *r)
{
    if (r->http->static_dir < 0) {
        reply_problem(r, 404, "no_ui", "No web UI is installed here; the API is under /api/v1.");
        return;
    }
    if (static_path_ok(r->path) && serve(r, r->path))
        return;
    bool view = !type_of(r->path);
    if (view && serve(r, (struct str)STR("/index.html")))
        return;
    reply_problem(r, 404, "not_found", "There is no such file.");
}
