/* First byte: content format; second: what is read; the rest is the body.  What decodes must
 * encode again in the same format (or be refused), and decode to the same values. */
#include "codec/lwm2m_content.h"
#include "codec/lwm2m_corelink.h"
#include "codec/lwm2m_senml_cbor.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct lw_resource_type by_number(void *ctx, uint16_t object, uint16_t resource)
{
    (void)ctx;
    return (struct lw_resource_type){.known = object % 2, .type = resource % LW_TYPE_COUNT};
}

static void round_trip(struct arena *a, unsigned ct, struct lw_path base,
                       const struct lw_entries *first)
{
    struct lw_typer typer = {by_number, NULL};
    struct lw_entries again;
    struct buf out;
    buf_init(&out, 1 << 20);
    if (!lw_encode(ct, base, first, &out)) {
        if (lw_decode(a, ct, buf_view(&out), base, typer, &again) || again.n != first->n) {
            if (!a->failed)
                abort();
        }
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint16_t formats[] = {0, 40, 42, 60, 110, 112, 320, 322, 11542, 11543, 11544};
    static const char *const bases[] = {"/", "/3", "/3/0", "/3/0/4", "/3/0/6/1", "/2/0/1"};
    struct lw_typer typer = {by_number, NULL};
    struct lw_entries got;
    struct lw_links links;
    struct lw_path base, *paths;
    struct arena a;
    size_t n_paths;
    if (n < 2)
        return 0;
    unsigned ct = formats[data[0] % (sizeof formats / sizeof formats[0])];
    struct str body = str_make((const char *)data + 2, n - 2);
    if (lw_path_parse(str_of(bases[data[1] % (sizeof bases / sizeof bases[0])]), &base))
        abort();
    arena_init(&a, 4096, 4 << 20);
    if (!lw_decode(&a, ct, body, base, typer, &got))
        round_trip(&a, ct, base, &got);
    if (ct == LW_CT_LINK && !lw_links_parse(&a, body, &links)) {
        struct buf out;
        buf_init(&out, 1 << 20);
        lw_links_write(&out, &links);
        buf_fini(&out);
    }
    if (ct == LW_CT_ETCH_CBOR && senml_paths_read(&a, body, &paths, &n_paths))
        n_paths = 0;
    arena_fini(&a);
    return 0;
}
