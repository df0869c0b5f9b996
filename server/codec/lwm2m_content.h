/* lwm2m_content.h - the table of content formats (Core 1.2.2 section 7.5).
 *
 * One row per format: number, name, decode, encode.  The codecs themselves live in files of their
 * own (lwm2m_text, lwm2m_tlv, ...); everybody else goes through this table. */
#ifndef BRAID_CODEC_LWM2M_CONTENT_H
#define BRAID_CODEC_LWM2M_CONTENT_H

#include "codec/lwm2m_value.h"

enum lw_ct {
    LW_CT_TEXT = 0,
    LW_CT_LINK = 40,
    LW_CT_OPAQUE = 42,
    LW_CT_CBOR = 60,
    LW_CT_SENML_JSON = 110,
    LW_CT_SENML_CBOR = 112,
    LW_CT_ETCH_JSON = 320,
    LW_CT_ETCH_CBOR = 322,
    LW_CT_TLV = 11542,
    LW_CT_OMA_JSON = 11543,
    LW_CT_LWM2M_CBOR = 11544,
    LW_CT_NONE = 65535 /* no content format given */
};

/* lw_decode reads `body` of format `ct` that answers, or is written to, `base` into entries with
 * full paths, values coerced to the types `typer` knows.  Old numbers 1541/1542/1543 are taken
 * too.  ERR_UNSUPPORTED for an unknown ct, otherwise the codec's error.  Nothing is read beyond
 * body; memory comes from `a`. */
MUST_CHECK enum err lw_decode(struct arena *a, unsigned ct, struct str body, struct lw_path base,
                              struct lw_typer typer, struct lw_entries *out);
/* lw_encode writes entries (all under `base`) in format `ct`.  ERR_UNSUPPORTED when the format
 * cannot say them (text and opaque carry one value; link and OMA JSON are never encoded here). */
MUST_CHECK enum err lw_encode(unsigned ct, struct lw_path base, const struct lw_entries *in,
                              struct buf *out);
const char *lw_ct_name(unsigned ct); /* "senml+json"; NULL if unknown */

#endif
