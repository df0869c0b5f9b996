/* Any bytes as the fields of a row of chunk or rollup_minute: refused, or read; and what can be
 * decoded is packed again and has to come back bit for bit. */
#include "base/reader.h"
#include "store/packed_row.h"
#include "store/rollup.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void again(struct arena *a, const struct points *in)
{
    struct packed p;
    struct points out;
    struct rollup r;
    if (packed_encode(a, in, &p))
        return; /* too far from now */
    if (points_make(a, in->n, &out) || packed_decode(&p, &out) || out.n != in->n ||
        memcmp(out.ts_us, in->ts_us, in->n * sizeof *in->ts_us) != 0 ||
        memcmp(out.value, in->value, in->n * sizeof *in->value) != 0 ||
        memcmp(out.quality, in->quality, in->n * sizeof *in->quality) != 0)
        abort();
    (void)!rollup_make(ROLLUP_MINUTE, in, &r);
    (void)!rollup_make(ROLLUP_HOUR, in, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str fields[PACKED_FIELDS];
    struct arena a;
    struct packed p;
    struct points out;
    struct rollup r;
    struct reader in;
    reader_init(&in, data, n);
    for (int i = 0; i < PACKED_FIELDS; i++) {
        uint16_t size = reader_u16be(&in);
        fields[i] = in.err || size == UINT16_MAX ? str_make(NULL, 0) : reader_bytes(&in, size);
    }
    arena_init(&a, 1 << 16, 16 << 20);
    if (!packed_read(&a, fields, &p) && !points_make(&a, PACKED_MAX, &out) &&
        !packed_decode(&p, &out))
        again(&a, &out);
    if (!rollup_read(&a, ROLLUP_MINUTE, fields, &r))
        (void)rollup_fold(&r);
    (void)!rollup_read(&a, ROLLUP_FIVE, fields, &r);
    (void)!rollup_read(&a, ROLLUP_HOUR, fields, &r);
    arena_fini(&a);
    return 0;
}
