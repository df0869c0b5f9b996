/* packed_row.h - struct packed as a row of the tables piece and chunk, both ways.
 *
 *   "COPY chunk (" PACKED_COPY_COLUMNS ") FROM STDIN (FORMAT binary)"   packed_put_row
 *   "SELECT " PACKED_COLUMNS " FROM chunk ...", binary results          packed_read */
#ifndef BRAID_STORE_PACKED_ROW_H
#define BRAID_STORE_PACKED_ROW_H

#include "base/buf.h"
#include "store/packed.h"

#define PACKED_COPY_COLUMNS                                                                        \
    "start, stop, step_us, v0, series_id, n, class_id, scale, t2, t4, t8, v2, v4, vf, rn, q, qn"
#define PACKED_COLUMNS "start, stop, step_us, v0, n, scale, t2, t4, t8, v2, v4, vf, rn, q, qn"
#define PACKED_FIELDS  15

/* packed_put_row appends one row to a COPY body (errors are out->err). */
void packed_put_row(struct buf *out, const struct packed *p, uint32_t series, int16_t class_id);

/* packed_read takes the PACKED_FIELDS fields of a result's row (.p NULL: NULL); arrays are copied
 * into the arena.  Fields may hold anything: ERR_INVALID.  What fits together only in parts is left
 * to packed_decode. */
MUST_CHECK enum err packed_read(struct arena *a, const struct str *fields, struct packed *out);

#endif
