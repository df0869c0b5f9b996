/* Any bytes as a Sparkplug payload: decode, type every metric by every datatype, render. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct spb_payload p;
    arena_init(&a, 65536, (size_t)16 << 20);
    if (spb_decode(&a, str_make((const char *)data, size), &p) == ERR_OK) {
        for (size_t i = 0; i < p.n && i < 200; i++) {
            assert(!p.metrics[i].name.p || !p.metrics[i].name.n ||
                   str_utf8_valid(p.metrics[i].name));
            render(&a, &p.metrics[i], p.metrics[i].datatype);
            for (unsigned t = 0; t <= SPB_DATATYPE_COUNT; t++)
                render(&a, &p.metrics[i], t);
        }
    }
    arena_fini(&a);
    return 0;
}
