/* cbor_out.h - appends deterministic CBOR: shortest heads, definite lengths, shortest floats that
 * keep the value. */
#ifndef BRAID_CODEC_CBOR_OUT_H
#define BRAID_CODEC_CBOR_OUT_H

#include "base/buf.h"
#include "codec/lwm2m_value.h"

enum cbor_major {
    CBOR_M_UINT,
    CBOR_M_NINT,
    CBOR_M_BYTES,
    CBOR_M_TEXT,
    CBOR_M_ARRAY,
    CBOR_M_MAP,
    CBOR_M_TAG
};

void cbor_head(struct buf *out, enum cbor_major major, uint64_t arg);
void cbor_int(struct buf *out, int64_t v);
void cbor_text(struct buf *out, struct str s);
void cbor_bytes(struct buf *out, struct str s);
void cbor_float(struct buf *out, double v);
void cbor_bool(struct buf *out, bool v);
void cbor_null(struct buf *out);
/* cbor_put_value writes any value; an Objlnk as its text "3:0". */
void cbor_put_value(struct buf *out, const struct lw_value *v);

#endif
