/* buf.h - a growing byte buffer with a ceiling and a sticky error.
 *
 * Writers append without checking; once memory or the ceiling is exhausted the buffer keeps its
 * first error and ignores the rest, and the owner looks at `err` once at the end. */
#ifndef BRAID_BASE_BUF_H
#define BRAID_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p; /* owned; not terminated unless buf_text was called */
    size_t n;
    size_t cap;
    size_t limit;
    enum err err; /* ERR_OK, ERR_NOMEM or ERR_TOOBIG */
};

void buf_init(struct buf *b, size_t limit);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* keeps the memory, clears n and err */

void buf_put(struct buf *b, const void *bytes, size_t n);
/* buf_room appends n bytes that the caller fills in before the next call; NULL on error. */
char *buf_room(struct buf *b, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_u16be(struct buf *b, uint16_t v);
void buf_u32be(struct buf *b, uint32_t v);
void buf_u64be(struct buf *b, uint64_t v);

/* buf_view borrows the contents.  buf_text terminates them first (NULL on error). */
struct str buf_view(const struct buf *b);
const char *buf_text(struct buf *b);
/* buf_take gives the memory away (terminated; free() it) and leaves the buffer empty; NULL on
 * error. */
char *buf_take(struct buf *b, size_t *n);

#endif
