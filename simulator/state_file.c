/* state_file.c - see state_file.h. */
#include "state_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_MAX 512

static bool path_of(const char *dir, struct str name, const char *end, char out[1024])
{
    int n = snprintf(out, 1024, "%s/%.*s%s", dir, STR_ARG(name), end);
    return n > 0 && n < 1024;
}

static void take_line(struct str line, struct device_state *s)
{
    uint64_t n;
    struct str value = line, key = str_cut(&value, '=');
    if (!value.p)
        return;
    if (str_is(key, "bdseq") && str_to_u64(value, &n) == ERR_OK)
        s->bd_seq = (uint8_t)n;
    else if (str_is(key, "history"))
        s->history_sent = str_is(value, "1");
    else if (str_is(key, "firmware") && value.n <= FW_VERSION_MAX)
        snprintf(s->firmware, sizeof s->firmware, "%.*s", STR_ARG(value));
}

void state_load(const char *dir, struct str name, struct device_state *out)
{
    char path[1024], text[FILE_MAX];
    *out = (struct device_state){0};
    if (!dir || !path_of(dir, name, "", path))
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0)
        return;
    out->known = true;
    struct str rest = str_make(text, (size_t)n);
    while (rest.p && rest.n)
        take_line(str_cut(&rest, '\n'), out);
}

enum err state_save(const char *dir, struct str name, const struct device_state *s)
{
    char path[1024], temp[1024], text[FILE_MAX];
    if (!dir)
        return ERR_OK;
    if (!path_of(dir, name, "", path) || !path_of(dir, name, ".new", temp))
        return ERR_IO;
    int n = snprintf(text, sizeof text, "bdseq=%u\nhistory=%d\nfirmware=%s\n", s->bd_seq,
                     s->history_sent, s->firmware);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    bool ok = write(fd, text, (size_t)n) == n;
    ok = close(fd) == 0 && ok;
    return ok && rename(temp, path) == 0 ? ERR_OK : ERR_IO;
}
