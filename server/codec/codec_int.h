/* codec_int.h - the formats behind lwm2m_content's table.  Private to this room.
 *
 * A decoder appends entries with full paths and values as the wire shows them; lwm2m_content
 * checks that they lie under the base and coerces them to the model's types.  An encoder gets
 * entries that all lie under the base and appends bytes. */
#ifndef BRAID_CODEC_CODEC_INT_H
#define BRAID_CODEC_CODEC_INT_H

#include "base/buf.h"
#include "codec/lwm2m_value.h"

struct lw_in {
    struct arena *a;
    struct str body;
    struct lw_path base;
    struct lw_typer typer;
};

typedef enum err lw_decoder(const struct lw_in *in, struct lw_entries *out);
typedef enum err lw_encoder(struct lw_path base, const struct lw_entries *in, struct buf *out);

lw_decoder text_decode, opaque_decode, link_decode, value_cbor_decode, senml_json_decode,
    senml_cbor_decode, etch_json_decode, etch_cbor_decode, tlv_decode, oma_json_decode,
    lwm2m_cbor_decode;
lw_encoder text_encode, opaque_encode, value_cbor_encode, senml_json_encode, senml_cbor_encode,
    etch_json_encode, etch_cbor_encode, tlv_encode, lwm2m_cbor_encode;

/* Limits that keep a hostile megabyte from becoming a hostile gigabyte. */
#define LW_JSON_NODES  50000
#define LW_ENTRIES_MAX 20000

/* lw_entries_unique: ERR_CONFLICT when two entries have the same path. */
MUST_CHECK enum err lw_entries_unique(struct arena *a, const struct lw_entries *list);

/* lw_entries_sorted gives a malloc'ed copy in path order for encoders that nest; ERR_UNSUPPORTED
 * when a path occurs twice or an entry has a time, which such formats cannot say.  free() it. */
MUST_CHECK enum err lw_entries_sorted(const struct lw_entries *in, struct lw_entry **out);

#endif
