/* lwm2m_senml.h - what SenML means, whichever way its records are written (RFC 8428, RFC 8790).
 *
 * lwm2m_senml_json and lwm2m_senml_cbor read records; this joins names and times and yields
 * entries.  Times are given as they are: RFC 8428 counts values below 2^28 s from "now", which
 * only a caller with a clock can add. */
#ifndef BRAID_CODEC_LWM2M_SENML_H
#define BRAID_CODEC_LWM2M_SENML_H

#include "codec/codec_int.h"

struct senml_record {
    struct str bn, n; /* .p NULL if absent */
    double bt, t;     /* s */
    bool has_bt;      /* t is 0 when absent */
    bool has_value;   /* exactly one of v, vs, vb, vd, vlo */
    bool has_many;    /* more than one of them: refused */
    bool has_other;   /* bv, bs, s: would change the value and are not LwM2M's: refused */
    int64_t bver;     /* 0 if absent */
    struct lw_value value;
};

struct senml {
    struct arena *a;
    struct lw_entries *list;
    bool etch; /* a patch or fetch pack: null is allowed, mixing is not */
    struct str bn;
    double bt;
    size_t named, valued; /* records without and with value so far */
};

/* Labels of RFC 8428 table 4; vlo has only its text name. */
enum senml_label {
    SENML_BVER = -1,
    SENML_BN = -2,
    SENML_BT = -3,
    SENML_BU = -4,
    SENML_BV = -5,
    SENML_BS = -6,
    SENML_N = 0,
    SENML_U = 1,
    SENML_V = 2,
    SENML_VS = 3,
    SENML_VB = 4,
    SENML_S = 5,
    SENML_T = 6,
    SENML_UT = 7,
    SENML_VD = 8,
    SENML_VLO = 100,
    SENML_UNKNOWN = 101
};

/* senml_label_of finds a label by its text name ("bn"); SENML_UNKNOWN if there is none. */
enum senml_label senml_label_of(struct str name);
/* senml_field puts one member into the record.  Unknown labels are ignored unless their name ends
 * in "_" ("must be understood"). */
MUST_CHECK enum err senml_field(struct arena *a, struct senml_record *r, enum senml_label label,
                                struct str name, struct lw_value value);
/* senml_add resolves one record and appends its entry. */
MUST_CHECK enum err senml_add(struct senml *s, const struct senml_record *r);

/* senml_sayable is false when a value, or in a patch a removal, names no resource. */
bool senml_sayable(const struct lw_entries *in, bool etch);

/* How an encoder splits names: bn is the first `levels` levels of the base with a slash. */
struct senml_names {
    struct lw_path base;
    char bn[LW_PATH_TEXT + 1]; /* "" = none */
    size_t bn_len;
};
struct senml_names senml_names_of(struct lw_path base, const struct lw_entries *in);
/* senml_name writes the rest of the entry's name; returns its length. */
size_t senml_name(const struct senml_names *names, struct lw_path p, char out[LW_PATH_TEXT]);

#endif
