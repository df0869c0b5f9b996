/* First byte: topic; the rest is the CBOR map, read as server and as device. */
#include "codec/lwm2m_msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const topics[] = {"lwm2m/rd/e", "t/lwm2m/rd/e", "lwm2m/bs/e"};
    struct lw_typer nobody = {0};
    struct lw_uplink up;
    struct lw_downlink down;
    struct arena a;
    struct buf topic, payload;
    if (!n)
        return 0;
    struct str body = str_make((const char *)data + 1, n - 1);
    struct str t = str_of(topics[data[0] % (sizeof topics / sizeof topics[0])]);
    arena_init(&a, 4096, 4 << 20);
    buf_init(&topic, 1000);
    buf_init(&payload, 1 << 20);
    if (!msg_oma_decode(&a, t, body, &up)) {
        struct lw_uplink again;
        if (!msg_oma_encode_up(&up, &topic, &payload) &&
            (msg_oma_decode(&a, buf_view(&topic), buf_view(&payload), &again) ||
             again.kind != up.kind) &&
            !a.failed)
            abort();
    }
    buf_reset(&topic);
    buf_reset(&payload);
    if (!msg_oma_decode_down(&a, t, body, nobody, &down) &&
        msg_oma_encode(str_of("e"), &down, &topic, &payload) == ERR_NOTFOUND)
        abort();
    buf_fini(&topic);
    buf_fini(&payload);
    arena_fini(&a);
    return 0;
}
