/* spb_int.h - what the files of the Sparkplug payload codec share among themselves. */
#ifndef BRAID_CODEC_SPB_INT_H
#define BRAID_CODEC_SPB_INT_H

#include "codec/spb_payload.h"

#include "sparkplug_b.pb-c.h"

/* Messages inside messages; a template inside a template takes two levels. */
#define SPB_MAX_DEPTH 16
/* Fields of any kind in one payload, nested ones included. */
#define SPB_MAX_FIELDS 400000

/* What was seen of one payload so far: limits count over all of it. */
struct spb_scan {
    size_t fields, metrics;
};

/* spb_scan_field walks a message that is field `number` of a metric, before protobuf-c unpacks it
 * or because nobody reads it: protobuf-c recurses without limit and takes any bytes for text.
 * Checks lengths, refuses groups (ERR_INVALID), nesting beyond SPB_MAX_DEPTH (ERR_DEPTH), too many
 * fields or metrics (ERR_TOOBIG) and text that is not UTF-8 (ERR_UTF8). */
MUST_CHECK enum err spb_scan_field(struct spb_scan *s, struct str bytes, unsigned number);

struct spb_envelope {
    struct str uuid, body; /* .p NULL if absent */
};
/* spb_read reads a payload as it stands in `bytes`; text points into them.  Errors as spb_decode.
 */
MUST_CHECK enum err spb_read(struct arena *a, struct str bytes, struct spb_payload *out,
                             struct spb_envelope *envelope);
/* spb_unpack_value gives protobuf-c the data set or template of `m`, which spb_scan_field passed.
 */
MUST_CHECK enum err spb_unpack_value(struct arena *a, struct str bytes, struct spb_metric *m);

/* spb_inflate unpacks a zlib or gzip body into the arena; never more than `limit` bytes. */
MUST_CHECK enum err spb_inflate(struct arena *a, struct str body, size_t limit, struct str *out);

/* Renderers to JSON text in the arena.  ERR_INVALID for bytes or shapes that contradict the
 * datatype, ERR_TOOBIG when the text would exceed 4 MiB. */
MUST_CHECK enum err spb_render_array(struct arena *a, unsigned datatype, struct str bytes,
                                     struct str *json);
MUST_CHECK enum err spb_render_dataset(struct arena *a, const Braid__Sparkplug__DataSet *d,
                                       struct str *json);
MUST_CHECK enum err spb_render_template(struct arena *a, const Braid__Sparkplug__Template *t,
                                        struct str *json);

#endif
