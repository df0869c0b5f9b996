/* models.c - see models.h.
 *
 * A file that cannot be read or is wrong ends the start: a server that quietly runs without half of
 * its definitions would show numbers where an operator expects names. */
#include "models.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FILES      256
#define FILE_MAX_BYTES ((size_t)8 << 20)

struct file {
    char name[256];
    char *text; /* owned */
    size_t size;
};

static void complain(const char *place, const char *why)
{
    log_error("models.refused", KV("in", place), KV("why", why));
}

static enum err read_file(const char *dir, struct file *f)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, f->name) >= (int)sizeof path)
        return ERR_TOOBIG;
    struct buf b;
    buf_init(&b, FILE_MAX_BYTES);
    enum err e = file_read(path, &b);
    if (e == ERR_IO || e == ERR_NOTFOUND)
        complain(path, strerror(errno));
    else if (e)
        complain(path, "too big");
    if (!e && !(f->text = buf_take(&b, &f->size)))
        e = ERR_NOMEM;
    buf_fini(&b);
    return e;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* The names of the folder's *.json, sorted. */
static enum err list_files(const char *dir, struct file *files, size_t *count)
{
    struct dirent *entry;
    DIR *d = opendir(dir);
    if (!d) {
        complain(dir, strerror(errno));
        return ERR_IO;
    }
    enum err e = ERR_OK;
    while (!e && (entry = readdir(d))) {
        const char *end = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || !end || strcmp(end, ".json") != 0)
            continue;
        if (*count == MAX_FILES) {
            complain(dir, "too many files");
            e = ERR_TOOBIG;
        } else {
            snprintf(files[(*count)++].name, sizeof files->name, "%s", entry->d_name);
        }
    }
    closedir(d);
    qsort(files, *count, sizeof *files, by_name);
    return e;
}

static enum err merge(const char *dir, const struct file *files, size_t n, struct lw_model **out)
{
    struct lw_model_text *texts = calloc(n + 1, sizeof *texts);
    if (!texts)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct lw_model_text){files[i].name, str_make(files[i].text, files[i].size)};
    struct buf why;
    buf_init(&why, 4096);
    enum err e = lw_model_load(texts, n, out, &why);
    if (e) {
        const char *text = buf_text(&why);
        complain(dir, text ? text : err_word(e));
    } else {
        log_info("models.loaded", KV("from", dir), KI("files", n),
                 KI("objects", lw_model_count(*out)));
    }
    buf_fini(&why);
    free(texts);
    return e;
}

enum err models_load(const char *dir, struct lw_model **out)
{
    size_t n = 0;
    if (!*dir)
        return lw_model_builtin(out);
    struct file *files = calloc(MAX_FILES, sizeof *files);
    if (!files)
        return ERR_NOMEM;
    enum err e = list_files(dir, files, &n);
    for (size_t i = 0; i < n && !e; i++)
        e = read_file(dir, &files[i]);
    if (!e)
        e = merge(dir, files, n, out);
    for (size_t i = 0; i < n; i++)
        free(files[i].text);
    free(files);
    return e;
}
