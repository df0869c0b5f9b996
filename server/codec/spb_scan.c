/* spb_scan.c - a first walk over the messages inside a metric: may they be unpacked at all?
 *
 * One table per message tells which fields are text and which are messages; everything else only
 * has to end where the bytes end.  Unknown fields are skipped by their wire type. */
#include "codec/spb_wire.h"

enum shape {
    S_NONE,
    S_PAYLOAD,
    S_METRIC,
    S_METADATA,
    S_PROPERTYSET,
    S_PROPERTYVALUE,
    S_PROPERTYSETLIST,
    S_DATASET,
    S_ROW,
    S_CELL,
    S_TEMPLATE,
    S_PARAMETER,
    S_TEXT, /* not a message: a string field */
    S_COUNT
};

enum { FIELDS = 20 };

/* shapes[message][field number]: what a length-delimited field holds. */
static const uint8_t shapes[S_COUNT][FIELDS] = {
    [S_PAYLOAD] = {[2] = S_METRIC, [4] = S_TEXT},
    [S_METRIC] = {[1] = S_TEXT,
                  [8] = S_METADATA,
                  [9] = S_PROPERTYSET,
                  [15] = S_TEXT,
                  [17] = S_DATASET,
                  [18] = S_TEMPLATE},
    [S_METADATA] = {[2] = S_TEXT, [5] = S_TEXT, [6] = S_TEXT, [7] = S_TEXT, [8] = S_TEXT},
    [S_PROPERTYSET] = {[1] = S_TEXT, [2] = S_PROPERTYVALUE},
    [S_PROPERTYVALUE] = {[8] = S_TEXT, [9] = S_PROPERTYSET, [10] = S_PROPERTYSETLIST},
    [S_PROPERTYSETLIST] = {[1] = S_PROPERTYSET},
    [S_DATASET] = {[2] = S_TEXT, [4] = S_ROW},
    [S_ROW] = {[1] = S_CELL},
    [S_CELL] = {[6] = S_TEXT},
    [S_TEMPLATE] = {[1] = S_TEXT, [2] = S_METRIC, [3] = S_PARAMETER, [4] = S_TEXT},
    [S_PARAMETER] = {[1] = S_TEXT, [8] = S_TEXT},
};

static enum err scan_message(struct spb_scan *s, struct str bytes, enum shape shape,
                             unsigned depth);

static enum err scan_content(struct spb_scan *s, struct str content, enum shape shape,
                             unsigned depth)
{
    if (shape == S_NONE)
        return ERR_OK;
    if (shape == S_TEXT)
        return str_utf8_valid(content) ? ERR_OK : ERR_UTF8;
    if (shape == S_METRIC && ++s->metrics > SPB_MAX_METRICS)
        return ERR_TOOBIG;
    return scan_message(s, content, shape, depth + 1);
}

static enum err scan_message(struct spb_scan *s, struct str bytes, enum shape shape, unsigned depth)
{
    struct walk w = walk_over(bytes);
    unsigned number, type;
    if (depth > SPB_MAX_DEPTH)
        return ERR_DEPTH;
    while (next_field(&w, s, &number, &type)) {
        if (type != BYTES) {
            skip(&w, type);
            continue;
        }
        struct str content = chunk(&w);
        enum shape inner = number < FIELDS ? shapes[shape][number] : S_NONE;
        enum err e = w.err ? w.err : scan_content(s, content, inner, depth);
        if (e)
            return e;
    }
    return w.err;
}

enum err spb_scan_field(struct spb_scan *s, struct str bytes, unsigned number)
{
    return scan_content(s, bytes, number < FIELDS ? shapes[S_METRIC][number] : S_NONE, 2);
}
