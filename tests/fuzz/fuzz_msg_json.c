/* First byte: topic; the rest is the payload.  What one side decodes the other side's encoder must
 * take without trouble. */
#include "codec/lwm2m_msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const topics[] = {"lwm2m/e/reg",   "lwm2m/e/update", "lwm2m/e/notify/t",
                                         "lwm2m/e/send",  "lwm2m/e/resp/t", "lwm2m/e/bs/req",
                                         "lwm2m/e/cmd/t", "lwm2m/e/ack/reg"};
    struct lw_typer nobody = {0};
    struct lw_uplink up;
    struct lw_downlink down;
    struct arena a;
    struct buf topic, payload;
    if (!n)
        return 0;
    struct str body = str_make((const char *)data + 1, n - 1);
    unsigned which = data[0] % (sizeof topics / sizeof topics[0]);
    arena_init(&a, 4096, 4 << 20);
    buf_init(&topic, 1000);
    buf_init(&payload, 1 << 20);
    if (which < 6) {
        if (!msg_json_decode(&a, str_of(topics[which]), body, &up)) {
            struct lw_uplink again;
            enum err e = msg_json_encode_up(&up, &topic, &payload);
            if (!e && msg_json_decode(&a, buf_view(&topic), buf_view(&payload), &again) &&
                !a.failed && up.kind != LW_UP_REGISTER && up.kind != LW_UP_UPDATE)
                abort();
        }
    } else if (!msg_json_decode_down(&a, str_of(topics[which]), body, nobody, &down)) {
        if (msg_json_encode(str_of("e"), &down, &topic, &payload) == ERR_NOTFOUND)
            abort();
    }
    buf_fini(&topic);
    buf_fini(&payload);
    arena_fini(&a);
    return 0;
}
