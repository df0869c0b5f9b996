/* firmware.c - see firmware.h. */
#include "firmware.h"

#include <stdio.h>

#define INSTALL_MS 2000

static const struct lw_path path_uri = {.id = {5, 0, 1}, .n = 3};
static const struct lw_path path_state = {.id = {5, 0, 3}, .n = 3};
static const struct lw_path path_result = {.id = {5, 0, 5}, .n = 3};
static const struct lw_path path_pkg_version = {.id = {5, 0, 7}, .n = 3};
static const struct lw_path path_changed = {.id = {5, 0, 12}, .n = 3};
static const struct lw_path path_version = {.id = {3, 0, 3}, .n = 3};

static void put(struct tree *t, struct lw_path p, struct lw_value v)
{
    /* A description without these resources simply does not show them. */
    enum err e = tree_set(t, p, v);
    (void)e;
}

static void put_int(struct tree *t, struct lw_path p, int64_t i)
{
    put(t, p, (struct lw_value){.type = LW_INTEGER, .i = i});
}

static void put_text(struct tree *t, struct lw_path p, struct str s)
{
    put(t, p, (struct lw_value){.type = LW_STRING, .s = s});
}

void firmware_show(struct firmware *f, struct tree *t, struct moment now)
{
    put_int(t, path_state, f->state);
    put_int(t, path_result, f->result);
    put_text(t, path_pkg_version, str_of(f->state == FW_DOWNLOADED ? f->next : ""));
    put(t, path_changed, (struct lw_value){.type = LW_TIME, .i = now.utc_ms / 1000});
}

static void become(struct firmware *f, struct tree *t, enum fw_state state, enum fw_result result,
                   struct moment now)
{
    f->state = state;
    f->result = result;
    firmware_show(f, t, now);
}

/* "1.0.9" becomes "1.0.10"; a version without a number at its end gets ".1". */
static void raise_version(struct str old, char next[FW_VERSION_MAX + 1])
{
    size_t digits = 0;
    uint64_t number = 0;
    while (digits < old.n && digits < 9 && old.p[old.n - 1 - digits] >= '0' &&
           old.p[old.n - 1 - digits] <= '9')
        digits++;
    struct str tail = str_make(old.p + old.n - digits, digits);
    if (!digits || str_to_u64(tail, &number) != ERR_OK)
        snprintf(next, FW_VERSION_MAX + 1, "%.*s.1", (int)(old.n < 24 ? old.n : 24), old.p);
    else
        snprintf(next, FW_VERSION_MAX + 1, "%.*s%llu",
                 (int)(old.n - digits < 20 ? old.n - digits : 20), old.p,
                 (unsigned long long)number + 1);
}

static void find_version(struct firmware *f, struct tree *t, struct str head)
{
    static const char key[] = "version=";
    struct lw_value old = {.type = LW_STRING, .s = STR("1.0")};
    if (str_starts(head, key)) {
        struct str line = str_make(head.p + sizeof key - 1, head.n - sizeof key + 1);
        struct str v = str_cut(&line, '\n');
        if (v.n && v.n <= FW_VERSION_MAX && str_utf8_valid(v)) {
            snprintf(f->next, sizeof f->next, "%.*s", STR_ARG(v));
            return;
        }
    }
    (void)tree_read(t, path_version, 0, &old);
    raise_version(old.s, f->next);
}

static void verify(struct firmware *f, struct tree *t, const struct fw_image *image,
                   struct moment now)
{
    char hex[65] = "";
    str_to_hex(image->sha256, sizeof image->sha256, hex);
    if (!image->size) {
        become(f, t, FW_IDLE, FW_BAD_PACKAGE, now);
    } else if (f->sha256[0] && strcmp(f->sha256, hex) != 0) {
        become(f, t, FW_IDLE, FW_BAD_INTEGRITY, now);
    } else {
        find_version(f, t, image->head);
        become(f, t, FW_DOWNLOADED, FW_INITIAL, now);
    }
}

/* Splits `http://host/path#sha256=hex`. */
static enum fw_result take_uri(struct firmware *f, struct str uri)
{
    struct str fragment = uri, where = str_cut(&fragment, '#');
    uint8_t hash[64];
    size_t n = sizeof hash;
    f->sha256[0] = '\0';
    if (where.n > FW_URI_MAX || memchr(where.p, ' ', where.n))
        return FW_BAD_URI;
    if (!str_starts(where, "http://"))
        return memchr(where.p, ':', where.n) ? FW_BAD_PROTOCOL : FW_BAD_URI;
    if (fragment.p && str_starts(fragment, "sha256=")) {
        struct str hex = str_make(fragment.p + 7, fragment.n - 7);
        if (hex.n != 64 || str_from_hex(hex, hash, &n) != ERR_OK)
            return FW_BAD_URI;
        str_to_hex(hash, 32, f->sha256);
        f->sha256[64] = '\0';
    }
    snprintf(f->uri, sizeof f->uri, "%.*s", STR_ARG(where));
    return FW_SUCCESS;
}

static enum fw_todo reset(struct firmware *f, struct tree *t, struct moment now)
{
    enum fw_todo todo = f->state == FW_DOWNLOADING ? FW_ABORT : FW_NOTHING;
    f->uri[0] = f->next[0] = '\0';
    put_text(t, path_uri, (struct str)STR(""));
    become(f, t, FW_IDLE, FW_INITIAL, now);
    return todo;
}

enum fw_todo firmware_write_uri(struct firmware *f, struct tree *t, struct str uri,
                                struct moment now)
{
    if (f->state == FW_UPDATING)
        return FW_NOTHING;
    if (!uri.n)
        return reset(f, t, now);
    if (f->state != FW_IDLE)
        return FW_NOTHING;
    enum fw_result r = take_uri(f, uri);
    if (r != FW_SUCCESS) {
        become(f, t, FW_IDLE, r, now);
        return FW_NOTHING;
    }
    become(f, t, FW_DOWNLOADING, FW_INITIAL, now);
    return FW_DOWNLOAD;
}

enum fw_todo firmware_write_package(struct firmware *f, struct tree *t,
                                    const struct fw_image *image, struct moment now)
{
    if (f->state == FW_UPDATING)
        return FW_NOTHING;
    if (!image->size || (image->size == 1 && image->head.p[0] == '\0'))
        return reset(f, t, now);
    if (f->state != FW_IDLE)
        return FW_NOTHING;
    f->sha256[0] = f->uri[0] = '\0';
    verify(f, t, image, now);
    return FW_NOTHING;
}

void firmware_downloaded(struct firmware *f, struct tree *t, enum fw_result why,
                         const struct fw_image *image, struct moment now)
{
    if (f->state != FW_DOWNLOADING)
        return;
    if (why != FW_SUCCESS)
        become(f, t, FW_IDLE, why, now);
    else
        verify(f, t, image, now);
}

lw_code firmware_execute_update(struct firmware *f, struct tree *t, struct moment now)
{
    if (f->state != FW_DOWNLOADED)
        return LW_NOT_ALLOWED;
    f->done_ms = now.mono_ms + INSTALL_MS;
    become(f, t, FW_UPDATING, FW_INITIAL, now);
    return LW_CHANGED;
}

lw_code firmware_execute_cancel(struct firmware *f, struct tree *t, struct moment now,
                                enum fw_todo *todo)
{
    if (f->state != FW_DOWNLOADING && f->state != FW_DOWNLOADED)
        return LW_NOT_ALLOWED;
    *todo = reset(f, t, now);
    become(f, t, FW_IDLE, FW_CANCELLED, now);
    return LW_CHANGED;
}

enum fw_todo firmware_tick(struct firmware *f, struct tree *t, struct moment now)
{
    if (f->state != FW_UPDATING || now.mono_ms < f->done_ms)
        return FW_NOTHING;
    if (strcmp(f->next, "broken") == 0) {
        become(f, t, FW_DOWNLOADED, FW_FAILED, now);
        return FW_NOTHING;
    }
    put_text(t, path_version, str_of(f->next));
    put_text(t, path_uri, (struct str)STR(""));
    become(f, t, FW_IDLE, FW_SUCCESS, now);
    return FW_REBOOT;
}
