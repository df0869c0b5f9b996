/* What a broker may send, read as MQTT 3.1.1 (first byte even) and as MQTT 5: as a stream whose
 * packets must fit into it, and each PUBLISH must come back as it was once we have written it. */
#include "codec/mqtt_packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool same(struct str a, struct str b)
{
    return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

static bool inside(struct str part, struct str whole)
{
    return part.p >= whole.p && part.n <= (size_t)(whole.p + whole.n - part.p);
}

static void write_and_read_again(enum mqtt_level level, const struct mqtt_publish *p)
{
    struct mqtt_packet again;
    struct buf b;
    size_t used;
    buf_init(&b, (size_t)1 << 20);
    mqtt_put_publish(&b, level, p);
    if (b.err || b.n != mqtt_publish_bytes(level, p) ||
        mqtt_packet_read(buf_view(&b), level, b.n, &again, &used) || used != b.n ||
        again.type != MQTT_PUBLISH || !same(p->topic, again.publish.topic) ||
        !same(p->payload, again.publish.payload) || p->id != again.publish.id ||
        p->qos != again.publish.qos || p->retain != again.publish.retain ||
        p->dup != again.publish.dup)
        abort();
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { LIMIT = 70000 };
    struct mqtt_packet p;
    size_t used;
    if (!n)
        return 0;
    enum mqtt_level level = data[0] & 1 ? MQTT_5 : MQTT_3_1_1;
    struct str rest = str_make((const char *)data + 1, n - 1);
    enum err e;
    while (!(e = mqtt_packet_read(rest, level, LIMIT, &p, &used))) {
        if (used < 2 || used > rest.n || used > LIMIT)
            abort();
        struct str packet = str_make(rest.p, used);
        if (p.type == MQTT_PUBLISH) {
            if (!inside(p.publish.topic, packet) || !inside(p.publish.payload, packet))
                abort();
            write_and_read_again(level, &p.publish);
        }
        (void)mqtt_reason(p.reason);
        rest = str_make(rest.p + used, rest.n - used);
    }
    if (e == ERR_AGAIN && used && used <= rest.n)
        abort();
    return 0;
}
