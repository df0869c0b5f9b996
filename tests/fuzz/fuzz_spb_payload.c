/* Any bytes as a Sparkplug payload: decode, type every metric by every datatype, render; once with
 * memory enough and once without. */
#include "codec/spb_payload.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(struct arena *a, const struct spb_metric *m, unsigned datatype)
{
    struct spb_value v;
    struct json_out j;
    struct buf b;
    double d;
    if (spb_value_of(a, m, datatype, &v))
        return;
    buf_init(&b, (size_t)8 << 20);
    json_out_init(&j, &b);
    spb_value_json(&j, &v);
    assert(b.err || str_utf8_valid(buf_view(&b)));
    assert(spb_value_eq(&v, &v));
    (void)spb_value_double(&v, &d);
    buf_fini(&b);
}

static void decode_within(const uint8_t *data, size_t size, size_t limit)
{
    struct arena a;
    struct spb_payload p;
    arena_init(&a, 4096, limit);
    if (spb_decode(&a, str_make((const char *)data, size), &p) == ERR_OK) {
        for (size_t i = 0; i < p.n && i < 200; i++) {
            assert(!p.metrics[i].name.n || str_utf8_valid(p.metrics[i].name));
            render(&a, &p.metrics[i], p.metrics[i].datatype);
            for (unsigned t = 0; t <= SPB_DATATYPE_COUNT; t++)
                render(&a, &p.metrics[i], t);
        }
    }
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_within(data, size, (size_t)16 << 20);
    decode_within(data, size, size * 8); /* memory ends somewhere in the middle */
    return 0;
}
