/* lwm2m_senml_cbor.h - path lists of composite requests as SenML-ETCH CBOR (RFC 8790). */
#ifndef BRAID_CODEC_LWM2M_SENML_CBOR_H
#define BRAID_CODEC_LWM2M_SENML_CBOR_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/lwm2m_path.h"

/* senml_paths_write appends a fetch pack naming `paths`; senml_paths_read reads one. */
void senml_paths_write(struct buf *out, const struct lw_path *paths, size_t n);
MUST_CHECK enum err senml_paths_read(struct arena *a, struct str body, struct lw_path **out,
                                     size_t *n);

#endif
