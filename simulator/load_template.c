/* load_template.c - see load_template.h.  Field numbers are those of proto/sparkplug_b.proto. */
#include "load_template.h"

#include <endian.h>
#include <stdio.h>

#include "codec/spb_payload.h"
#include "codec/spb_topic.h"
#include "codec/mqtt_packet.h"

#define TIME_BYTES 6 /* of a varint from 2^35 to 2^42 ms: 1971 to 2109 */
#define INT_BYTES  4 /* of a varint from 2^21 to 2^28 */

/* The kinds of value a device has, over and over: mostly measurements, a counter, a switch. */
static const uint8_t kinds[] = {SPB_DOUBLE, SPB_DOUBLE, SPB_INT32, SPB_BOOLEAN, SPB_FLOAT};

static uint8_t kind_of(unsigned metric)
{
    return kinds[metric % sizeof kinds];
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static void put_varint(char *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i + 1 < bytes; i++, v >>= 7)
        p[i] = (char)(v | 0x80);
    p[bytes - 1] = (char)(v & 0x7f);
}

static void buf_varint(struct buf *b, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_putc(b, (char)(v | 0x80));
    buf_putc(b, (char)v);
}

/* A measurement with three decimals and noise, a counter, a switch: put where it belongs. */
static void put_value(char *p, uint8_t kind, uint64_t random)
{
    double real = 20 + (double)(random & 0xfff) / 1000;
    float single = (float)real;
    uint64_t bits64;
    uint32_t bits32;
    switch (kind) {
    case SPB_DOUBLE:
        memcpy(&bits64, &real, sizeof bits64);
        bits64 = htole64(bits64);
        memcpy(p, &bits64, sizeof bits64);
        break;
    case SPB_FLOAT:
        memcpy(&bits32, &single, sizeof bits32);
        bits32 = htole32(bits32);
        memcpy(p, &bits32, sizeof bits32);
        break;
    case SPB_INT32:
        put_varint(p, (1u << 21) + (random & 0xfffff), INT_BYTES);
        break;
    default:
        *p = (char)(random & 1);
    }
}

/* ---- the templates ---- */

static void put_metric(struct buf *b, unsigned i, struct load_slot *slot)
{
    static const struct {
        uint8_t key, bytes;
    } fields[] = {[SPB_DOUBLE] = {0x69, 8},
                  [SPB_FLOAT] = {0x65, 4},
                  [SPB_INT32] = {0x50, INT_BYTES},
                  [SPB_BOOLEAN] = {0x70, 1}};
    uint8_t kind = kind_of(i);
    size_t alias_bytes = i + 1 > 0x7f ? 2 : 1;
    static const char zeros[8] = {0};
    buf_putc(b, 0x12); /* Payload.metrics */
    buf_varint(b, 1 + alias_bytes + 1 + TIME_BYTES + 1 + fields[kind].bytes);
    buf_putc(b, 0x10); /* Metric.alias */
    buf_varint(b, i + 1);
    buf_putc(b, 0x18); /* Metric.timestamp */
    slot->time_at = (uint16_t)b->n;
    buf_put(b, zeros, TIME_BYTES);
    buf_putc(b, (char)fields[kind].key);
    slot->value_at = (uint16_t)b->n;
    slot->kind = kind;
    buf_put(b, zeros, fields[kind].bytes);
}

static void topic_of(const struct load_node *n, const struct load_shape *s, enum spb_kind kind,
                     struct buf *out)
{
    bool of_device = kind == SPB_DBIRTH || kind == SPB_DDATA;
    const struct spb_topic t = {.kind = kind,
                                .group = s->group,
                                .node = n->name,
                                .device = of_device ? s->device : str_make(NULL, 0)};
    spb_topic_write(out, &t);
}

static void put_packet(const struct load_node *n, const struct load_shape *s, enum spb_kind kind,
                       struct str payload, struct buf *out)
{
    struct buf topic;
    buf_init(&topic, 1024);
    topic_of(n, s, kind, &topic);
    if (topic.err && !out->err)
        out->err = topic.err;
    mqtt_put_publish(out, MQTT_3_1_1,
                     &(struct mqtt_publish){.topic = buf_view(&topic), .payload = payload});
    buf_fini(&topic);
}

enum err load_node_init(struct load_node *n, struct load_shape *s, struct str name)
{
    struct buf payload;
    *n = (struct load_node){.name = name, .random = str_hash(name, 1) | 1};
    buf_init(&payload, LOAD_PACKET_MAX);
    buf_init(&n->packet[0], LOAD_PACKET_MAX);
    buf_init(&n->packet[1], LOAD_PACKET_MAX);
    buf_putc(&payload, 0x08); /* Payload.timestamp */
    buf_put(&payload, "\0\0\0\0\0\0", TIME_BYTES);
    for (unsigned i = 0; i < s->metrics; i++)
        put_metric(&payload, i, &s->slots[i]);
    buf_put(&payload, "\x18\0\0", 3); /* Payload.seq */
    for (int high = 0; high < 2 && !payload.err; high++) {
        struct str bytes = {payload.p, payload.n - !high};
        put_packet(n, s, s->device.p ? SPB_DDATA : SPB_NDATA, bytes, &n->packet[high]);
        n->payload_at[high] = n->packet[high].n - bytes.n;
    }
    enum err e = payload.err ? payload.err : n->packet[0].err ? n->packet[0].err : n->packet[1].err;
    buf_fini(&payload);
    if (e)
        load_node_fini(n);
    return e;
}

void load_node_fini(struct load_node *n)
{
    buf_fini(&n->packet[0]);
    buf_fini(&n->packet[1]);
}

/* ---- messages ---- */

static int64_t stamp(struct load_node *n, int64_t now_ms)
{
    n->at_ms = now_ms > n->at_ms ? now_ms : n->at_ms + 1;
    return n->at_ms;
}

size_t load_next(struct load_node *n, const struct load_shape *s, int64_t now_ms, char *to)
{
    int high = n->seq > 127;
    const struct buf *packet = &n->packet[high];
    char time[TIME_BYTES], *payload = to + n->payload_at[high];
    put_varint(time, (uint64_t)stamp(n, now_ms), TIME_BYTES);
    memcpy(to, packet->p, packet->n);
    memcpy(payload + 1, time, sizeof time);
    for (unsigned i = 0; i < s->metrics; i++) {
        memcpy(payload + s->slots[i].time_at, time, sizeof time);
        put_value(payload + s->slots[i].value_at, s->slots[i].kind, next_random(&n->random));
    }
    put_varint(to + packet->n - 1 - high, n->seq, 1 + (unsigned)high);
    n->seq++;
    n->messages++;
    return packet->n;
}

static void put_message(struct load_node *n, const struct load_shape *s, enum spb_kind kind,
                        const struct spb_out_metric *v, size_t count, struct buf *out)
{
    struct buf payload;
    const struct spb_out message = {.timestamp = (uint64_t)n->at_ms,
                                    .has_seq = kind != SPB_NDEATH,
                                    .seq = n->seq,
                                    .metrics = v,
                                    .n = count};
    buf_init(&payload, (size_t)1 << 20);
    enum err e = spb_encode(&message, &payload);
    if (e && !out->err)
        out->err = e;
    put_packet(n, s, kind, buf_view(&payload), out);
    buf_fini(&payload);
    if (kind != SPB_NDEATH)
        n->seq++;
}

static struct spb_out_metric bd_seq(void)
{
    return (struct spb_out_metric){
        .name = STR("bdSeq"), .with_datatype = true, .value = {SPB_INT64, SPB_V_INT, {.i = 0}}};
}

static struct spb_value zero_of(uint8_t kind)
{
    static const uint8_t classes[] = {[SPB_DOUBLE] = SPB_V_FLOAT,
                                      [SPB_FLOAT] = SPB_V_FLOAT,
                                      [SPB_INT32] = SPB_V_INT,
                                      [SPB_BOOLEAN] = SPB_V_BOOL};
    return (struct spb_value){.datatype = kind, .cls = classes[kind]};
}

void load_births(struct load_node *n, const struct load_shape *s, int64_t now_ms, struct buf *out)
{
    struct spb_out_metric v[LOAD_METRICS_MAX + 2];
    char names[LOAD_METRICS_MAX][16];
    size_t count = 0;
    n->seq = 0;
    stamp(n, now_ms);
    v[count++] = bd_seq();
    v[count++] = (struct spb_out_metric){.name = STR("Node Control/Rebirth"),
                                         .with_datatype = true,
                                         .value = {SPB_BOOLEAN, SPB_V_BOOL, {.b = false}}};
    if (s->device.p) {
        put_message(n, s, SPB_NBIRTH, v, count, out);
        count = 0;
    }
    for (unsigned i = 0; i < s->metrics; i++) {
        int length = snprintf(names[i], sizeof names[i], "Metric/%03u", i + 1);
        v[count++] = (struct spb_out_metric){.name = str_make(names[i], (size_t)length),
                                             .has_alias = true,
                                             .alias = i + 1,
                                             .timestamp = (uint64_t)n->at_ms,
                                             .with_datatype = true,
                                             .value = zero_of(kind_of(i))};
    }
    put_message(n, s, s->device.p ? SPB_DBIRTH : SPB_NBIRTH, v, count, out);
}

void load_death(struct load_node *n, const struct load_shape *s, int64_t now_ms, struct buf *out)
{
    const struct spb_out_metric v = bd_seq();
    stamp(n, now_ms);
    put_message(n, s, SPB_NDEATH, &v, 1, out);
}
