/* spool.c - see spool.h.
 *
 *   0            mark            read            end
 *   |  replayed  |  being read   |  to be read   |   group (memory only)
 *      (a hole)
 *
 * A record is 20 bytes of head (magic, kind, rows, length, CRC-32 of the rest) and its payload. The
 * marks live in memory: after a crash what is left of the file is read again, which does no harm
 * because statements are idempotent and chunks have numbers.  What was replayed is punched out of
 * the file, so that a spool which fills and drains at the same time keeps its size on disk; where
 * the file system cannot do that, the room comes back when all is replayed.
 *
 * Damage ends at the next bytes that are a whole record: the magic is searched, the checksum
 * decides.  Damage that nothing follows is a torn tail, left by a crash in the middle of a write.
 */
#include "store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/reader.h"

#define MAGIC       0x42725370u /* "BrSp" */
#define HEAD_BYTES  20
#define RECORD_MAX  ((size_t)256 << 20)
#define RESERVE_MAX ((uint64_t)64 << 20)
#define READ_AHEAD  ((size_t)1 << 20)
#define PAGE        4096u
#define PUNCH_BYTES ((uint64_t)64 << 10) /* less is not worth the call */

struct spool {
    int fd;
    bool can_punch;
    uint64_t punched; /* a hole up to here */
    uint64_t max_bytes, reserve;
    uint64_t mark, read_at;
    _Atomic uint64_t end;
    _Atomic uint64_t marked; /* copy of `mark` for other threads */
    _Atomic uint64_t rows;   /* between mark and end */
    uint64_t rows_read;      /* between mark and read_at */
    uint64_t rows_group;
    struct buf group;
    char *block; /* read buffer: holds [block_at, block_at + block_n) of the file */
    size_t block_n, block_cap;
    uint64_t block_at;
};

/* ---- reading ---- */

/* view makes n bytes at `at` readable in memory; NULL when the file ends before or on an error. */
static const char *view(struct spool *s, uint64_t at, size_t n, enum err *e)
{
    if (at >= s->block_at && at + n <= s->block_at + s->block_n)
        return s->block + (at - s->block_at);
    size_t want = n > READ_AHEAD ? n : READ_AHEAD;
    if (want > s->block_cap) {
        char *p = realloc(s->block, want);
        if (!p) {
            *e = ERR_NOMEM;
            return NULL;
        }
        s->block = p;
        s->block_cap = want;
    }
    s->block_at = at;
    s->block_n = 0;
    while (s->block_n < want) {
        ssize_t got =
            pread(s->fd, s->block + s->block_n, want - s->block_n, (off_t)(at + s->block_n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            *e = ERR_IO;
            return NULL;
        }
        if (got == 0)
            break;
        s->block_n += (size_t)got;
    }
    *e = s->block_n >= n ? ERR_OK : ERR_TRUNCATED;
    return *e ? NULL : s->block;
}

static uint32_t checksum(const char *head, struct str payload)
{
    uLong crc = crc32(0, (const Bytef *)head, HEAD_BYTES - 4);
    return (uint32_t)crc32(crc, (const Bytef *)(payload.n ? payload.p : ""), (uInt)payload.n);
}

/* read_record reads the record at `at`; ERR_TRUNCATED and ERR_INVALID mean: no whole record here.
 */
static enum err read_record(struct spool *s, uint64_t at, struct spool_record *out, uint64_t *next)
{
    enum err e = ERR_OK;
    struct reader r;
    const char *head = view(s, at, HEAD_BYTES, &e);
    if (!head)
        return e;
    reader_init(&r, head, HEAD_BYTES);
    uint32_t magic = reader_u32be(&r);
    uint32_t kind = reader_u32be(&r);
    uint32_t rows = reader_u32be(&r);
    uint32_t size = reader_u32be(&r);
    uint32_t crc = reader_u32be(&r);
    if (magic != MAGIC || size > RECORD_MAX)
        return ERR_INVALID;
    head = view(s, at, HEAD_BYTES + (size_t)size, &e);
    if (!head)
        return e;
    struct str payload = str_make(head + HEAD_BYTES, size);
    if (checksum(head, payload) != crc)
        return ERR_INVALID;
    *out = (struct spool_record){(char)kind, rows, payload};
    *next = at + HEAD_BYTES + size;
    return ERR_OK;
}

/* find_magic looks for the magic at or behind `at`, below `end`; false when there is none. */
static bool find_magic(struct spool *s, uint64_t at, uint64_t end, uint64_t *found)
{
    static const char magic[4] = {'B', 'r', 'S', 'p'};
    while (at + HEAD_BYTES <= end) {
        enum err e = ERR_OK;
        const char *from = view(s, at, HEAD_BYTES, &e);
        if (e == ERR_IO) { /* the disk does not give these bytes: look behind them */
            at = (at / PAGE + 1) * PAGE;
            continue;
        }
        if (!from)
            return false;
        size_t n = (size_t)(s->block_at + s->block_n - at);
        const char *hit = memmem(from, n, magic, sizeof magic);
        if (hit) {
            *found = at + (uint64_t)(hit - from);
            return *found + HEAD_BYTES <= end;
        }
        at += n - (sizeof magic - 1);
    }
    return false;
}

/* next_whole finds the first whole record behind the damage at `at`; `end` when there is none. */
static enum err next_whole(struct spool *s, uint64_t at, uint64_t end, uint64_t *found)
{
    struct spool_record r;
    uint64_t next;
    while (find_magic(s, at + 1, end, &at)) {
        enum err e = read_record(s, at, &r, &next);
        if (e == ERR_NOMEM)
            return e;
        if (!e && next <= end) {
            *found = at;
            return ERR_OK;
        }
    }
    *found = end;
    return ERR_OK;
}

enum err spool_next(struct spool *s, struct spool_record *out)
{
    uint64_t next, at = s->read_at;
    if (at >= s->end)
        return ERR_NOTFOUND;
    enum err e = read_record(s, at, out, &next);
    if (e == ERR_NOMEM)
        return e;
    if (e) { /* it was whole when it was written or checked */
        e = next_whole(s, at, s->end, &next);
        if (e)
            return e;
        s->read_at = next;
        size_t n = next - at < SPOOL_DAMAGED_SHOWN ? (size_t)(next - at) : SPOOL_DAMAGED_SHOWN;
        const char *bytes = view(s, at, n, &e);
        *out = (struct spool_record){SPOOL_DAMAGED, 0, str_make(bytes, bytes ? n : 0)};
        log_error("spool.damaged", KI("at", at), KI("bytes", next - at));
        return ERR_OK;
    }
    s->read_at = next;
    s->rows_read += out->rows;
    return ERR_OK;
}

/* ---- opening ---- */

/* Where the hole that replaying left ends. */
static uint64_t hole_end(const struct spool *s)
{
    off_t at = lseek(s->fd, 0, SEEK_DATA);
    return at > 0 ? (uint64_t)at : 0;
}

/* scan checks all records, finds where the first begins and where the last whole one ends. */
static enum err scan(struct spool *s, uint64_t size)
{
    struct spool_record r;
    uint64_t start = hole_end(s), at = start, end = start, next, rows = 0, records = 0;
    enum err e = ERR_OK;
    while (at < size) {
        e = read_record(s, at, &r, &next);
        if (!e) {
            rows += r.rows;
            records++;
            at = end = next;
            continue;
        }
        if (e == ERR_NOMEM || (e = next_whole(s, at, size, &next)))
            return e;
        if (!records && start) /* the rest of a record that was replayed */
            start = end = next;
        at = next;
    }
    if (!records)
        start = end = 0;
    if (end < size) {
        log_warn("spool.torn", KI("kept_bytes", end), KI("cut_bytes", size - end));
        if (ftruncate(s->fd, (off_t)end) != 0)
            return ERR_IO;
    }
    if (records)
        log_info("spool.found", KI("records", records), KI("rows", rows), KI("bytes", end - start));
    s->mark = s->read_at = start;
    s->marked = start;
    s->punched = start / PAGE * PAGE;
    s->end = end;
    s->rows = rows;
    s->block_n = 0;
    return ERR_OK;
}

enum err spool_open(const char *dir, uint64_t max_bytes, struct spool **out)
{
    char path[4096];
    enum err e = ERR_IO;
    if (snprintf(path, sizeof path, "%s/spool", dir) >= (int)sizeof path)
        return ERR_TOOBIG;
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    buf_init(&s->group, RECORD_MAX * 2);
    s->max_bytes = max_bytes;
    s->can_punch = true;
    s->reserve = max_bytes / 8 < RESERVE_MAX ? max_bytes / 8 : RESERVE_MAX;
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0)
        goto out;
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        e = errno == EWOULDBLOCK ? ERR_CONFLICT : ERR_IO;
        goto out;
    }
    off_t size = lseek(s->fd, 0, SEEK_END);
    e = size < 0 ? ERR_IO : scan(s, (uint64_t)size);
    if (e)
        goto out;
    *out = s;
    s = NULL;
out:
    if (e)
        log_error("spool.open", KV("path", path),
                  KV("reason", e == ERR_CONFLICT ? "another process uses it" : strerror(errno)));
    spool_close(s);
    return e;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    buf_fini(&s->group);
    free(s->block);
    free(s);
}

/* ---- writing ---- */

static bool fits(const struct spool *s, size_t size, uint64_t limit)
{
    uint64_t used = s->end - (s->can_punch ? s->mark : 0);
    return used + s->group.n + HEAD_BYTES + size <= limit;
}

bool spool_spares(const struct spool *s, size_t size)
{
    return fits(s, size, s->max_bytes - s->reserve);
}

enum err spool_append(struct spool *s, char kind, uint32_t rows, struct str payload)
{
    if (payload.n > RECORD_MAX)
        return ERR_TOOBIG;
    if (kind == SPOOL_CHUNK ? !spool_spares(s, payload.n) : !fits(s, payload.n, s->max_bytes))
        return ERR_FULL;
    size_t at = s->group.n;
    buf_u32be(&s->group, MAGIC);
    buf_u32be(&s->group, (uint8_t)kind);
    buf_u32be(&s->group, rows);
    buf_u32be(&s->group, (uint32_t)payload.n);
    if (!s->group.err)
        buf_u32be(&s->group, checksum(s->group.p + at, payload));
    buf_str(&s->group, payload);
    if (s->group.err) {
        enum err e = s->group.err;
        s->group.n = at; /* the records before it stay in the group */
        s->group.err = ERR_OK;
        return e;
    }
    s->rows_group += rows;
    return ERR_OK;
}

static enum err write_group(const struct spool *s)
{
    for (size_t done = 0; done < s->group.n;) {
        ssize_t n = pwrite(s->fd, s->group.p + done, s->group.n - done, (off_t)(s->end + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
        done += (size_t)n;
    }
    return fdatasync(s->fd) == 0 ? ERR_OK : ERR_IO;
}

enum err spool_sync(struct spool *s)
{
    if (!s->group.n)
        return ERR_OK;
    enum err e = write_group(s);
    if (e) {
        log_error("spool.write", KV("reason", strerror(errno)));
        if (ftruncate(s->fd, (off_t)s->end) != 0)
            log_error("spool.truncate", KV("reason", strerror(errno)));
    } else {
        s->end += s->group.n;
        s->rows += s->rows_group;
    }
    s->rows_group = 0;
    buf_reset(&s->group);
    s->block_n = 0; /* the file changed behind what was read ahead */
    return e;
}

/* ---- marks ---- */

/* Gives the disk back what was replayed. */
static void punch(struct spool *s)
{
    uint64_t to = s->mark / PAGE * PAGE;
    if (!s->can_punch || to < s->punched + PUNCH_BYTES)
        return;
    if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->punched,
                  (off_t)(to - s->punched)) != 0) {
        s->can_punch = false;
        log_info("spool.no_holes", KV("reason", strerror(errno)));
        return;
    }
    s->punched = to;
}

enum err spool_mark(struct spool *s)
{
    s->mark = s->read_at;
    s->marked = s->mark;
    s->rows -= s->rows_read;
    s->rows_read = 0;
    if (s->mark < s->end || s->end == 0) {
        punch(s);
        return ERR_OK;
    }
    if (ftruncate(s->fd, 0) != 0)
        return ERR_IO;
    s->punched = 0;
    s->mark = s->read_at = s->block_n = 0;
    s->marked = 0;
    s->end = 0;
    s->rows = 0;
    return ERR_OK;
}

void spool_rewind(struct spool *s)
{
    s->read_at = s->mark;
    s->rows_read = 0;
}

bool spool_empty(const struct spool *s)
{
    return s->mark >= s->end;
}

uint64_t spool_bytes(const struct spool *s)
{
    uint64_t marked = s->marked, end = s->end;
    return end > marked ? end - marked : 0;
}

uint64_t spool_rows(const struct spool *s)
{
    return s->rows;
}
