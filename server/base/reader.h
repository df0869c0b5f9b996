/* reader.h - a cursor over untrusted bytes with a sticky error.
 *
 * Read a whole header, check `err` once: after the first failure every read is a no-op that
 * returns zeros.  Nothing is read past the end. */
#ifndef BRAID_BASE_READER_H
#define BRAID_BASE_READER_H

#include "base/str.h"

struct reader {
    const uint8_t *p;
    size_t left;
    enum err err; /* ERR_OK, or why reading stopped */
};

void reader_init(struct reader *r, const void *bytes, size_t n);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16be(struct reader *r);
uint32_t reader_u32be(struct reader *r);
uint64_t reader_u64be(struct reader *r);
/* reader_bytes borrows the next n bytes; empty on error. */
struct str reader_bytes(struct reader *r, size_t n);
/* reader_fail records the first error. */
void reader_fail(struct reader *r, enum err e);

#endif
