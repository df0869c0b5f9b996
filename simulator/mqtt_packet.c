/* mqtt_packet.c - see mqtt_packet.h.  Section numbers are those of MQTT 3.1.1 (OASIS 2014). */
#include "mqtt_packet.h"

#include "base/reader.h"

#define REMAINING_MAX 268435455u /* 2.2.3 */

/* ---- writing ---- */

static void put_header(struct buf *b, uint8_t first, size_t remaining)
{
    if (remaining > REMAINING_MAX && b->err == ERR_OK)
        b->err = ERR_TOOBIG;
    buf_putc(b, (char)first);
    do {
        uint8_t byte = remaining & 0x7f;
        remaining >>= 7;
        buf_putc(b, (char)(byte | (remaining ? 0x80 : 0)));
    } while (remaining);
}

static void put_text(struct buf *b, struct str s)
{
    if (s.n > UINT16_MAX && b->err == ERR_OK)
        b->err = ERR_TOOBIG;
    buf_u16be(b, (uint16_t)s.n);
    buf_str(b, s);
}

void mqtt_put_connect(struct buf *b, const struct mqtt_connect *c)
{
    uint8_t flags = c->clean ? 0x02 : 0;
    size_t n = 10 + 2 + c->client_id.n;
    if (c->will_topic.p) {
        flags |= (uint8_t)(0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0));
        n += 4 + c->will_topic.n + c->will_payload.n;
    }
    if (c->username.p) {
        flags |= 0x80;
        n += 2 + c->username.n;
        if (c->password.p) {
            flags |= 0x40;
            n += 2 + c->password.n;
        }
    }
    put_header(b, MQTT_CONNECT << 4, n);
    put_text(b, (struct str)STR("MQTT"));
    buf_putc(b, 4); /* protocol level of 3.1.1 */
    buf_putc(b, (char)flags);
    buf_u16be(b, c->keep_alive_s);
    put_text(b, c->client_id);
    if (c->will_topic.p) {
        put_text(b, c->will_topic);
        put_text(b, c->will_payload);
    }
    if (c->username.p)
        put_text(b, c->username);
    if (c->username.p && c->password.p)
        put_text(b, c->password);
}

void mqtt_put_publish(struct buf *b, const struct mqtt_publish *p)
{
    uint8_t first = (uint8_t)(MQTT_PUBLISH << 4 | (p->dup ? 0x08 : 0) | p->qos << 1 | p->retain);
    put_header(b, first, 2 + p->topic.n + (p->qos ? 2 : 0) + p->payload.n);
    put_text(b, p->topic);
    if (p->qos)
        buf_u16be(b, p->id);
    buf_str(b, p->payload);
}

void mqtt_put_subscribe(struct buf *b, uint16_t id, const struct str *filters, size_t n,
                        uint8_t qos)
{
    size_t size = 2;
    for (size_t i = 0; i < n; i++)
        size += 3 + filters[i].n;
    put_header(b, MQTT_SUBSCRIBE << 4 | 2, size);
    buf_u16be(b, id);
    for (size_t i = 0; i < n; i++) {
        put_text(b, filters[i]);
        buf_putc(b, (char)qos);
    }
}

void mqtt_put_puback(struct buf *b, uint16_t id)
{
    put_header(b, MQTT_PUBACK << 4, 2);
    buf_u16be(b, id);
}

void mqtt_put_empty(struct buf *b, enum mqtt_type type)
{
    put_header(b, (uint8_t)(type << 4), 0);
}

/* ---- reading ---- */

/* 2.2.3: at most four bytes, seven bits each, least significant first. */
static enum err read_remaining(struct reader *r, size_t *out)
{
    size_t n = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (!r->left)
            return ERR_AGAIN;
        uint8_t byte = reader_u8(r);
        n |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = n;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static void read_connack(struct reader *r, struct mqtt_packet *p)
{
    if (reader_u8(r) & 0xfe)
        reader_fail(r, ERR_INVALID);
    p->code = reader_u8(r);
}

static void read_publish(struct reader *r, uint8_t flags, struct mqtt_packet *p)
{
    struct mqtt_publish *m = &p->publish;
    m->dup = flags & 8;
    m->qos = flags >> 1 & 3;
    m->retain = flags & 1;
    if (m->qos > 1)
        reader_fail(r, m->qos == 3 ? ERR_INVALID : ERR_UNSUPPORTED);
    m->topic = reader_bytes(r, reader_u16be(r));
    if (r->err == ERR_OK && !str_utf8_valid(m->topic))
        reader_fail(r, ERR_UTF8);
    if (r->err == ERR_OK && !m->topic.n)
        reader_fail(r, ERR_INVALID);
    if (m->qos) {
        m->id = reader_u16be(r);
        if (!m->id)
            reader_fail(r, ERR_INVALID);
    }
    m->payload = reader_bytes(r, r->left);
}

static void read_suback(struct reader *r, struct mqtt_packet *p)
{
    p->id = reader_u16be(r);
    if (!r->left)
        reader_fail(r, ERR_TRUNCATED);
    while (r->left && r->err == ERR_OK) {
        uint8_t code = reader_u8(r);
        if (code == 0x80)
            p->code = code;
        else if (code > 2)
            reader_fail(r, ERR_INVALID);
    }
}

static enum err read_body(struct reader *r, uint8_t first, struct mqtt_packet *p)
{
    uint8_t flags = first & 0x0f;
    p->type = (enum mqtt_type)(first >> 4);
    if (p->type != MQTT_PUBLISH && flags)
        return ERR_INVALID;
    switch (p->type) {
    case MQTT_CONNACK:
        read_connack(r, p);
        break;
    case MQTT_PUBLISH:
        read_publish(r, flags, p);
        break;
    case MQTT_PUBACK:
        p->id = reader_u16be(r);
        break;
    case MQTT_SUBACK:
        read_suback(r, p);
        break;
    case MQTT_PINGRESP:
        break;
    default:
        return ERR_UNSUPPORTED;
    }
    if (r->err == ERR_OK && r->left)
        return ERR_INVALID;
    return r->err;
}

enum err mqtt_packet_read(struct str bytes, size_t max, struct mqtt_packet *out, size_t *used)
{
    struct reader r;
    reader_init(&r, bytes.p, bytes.n);
    if (!bytes.n)
        return ERR_AGAIN;
    uint8_t first = reader_u8(&r);
    size_t remaining;
    enum err e = read_remaining(&r, &remaining);
    if (e)
        return e;
    size_t head = bytes.n - r.left;
    if (remaining > max || head > max - remaining)
        return ERR_TOOBIG;
    if (r.left < remaining)
        return ERR_AGAIN;
    struct mqtt_packet p = {0};
    reader_init(&r, bytes.p + head, remaining);
    e = read_body(&r, first, &p);
    if (e)
        return e;
    *out = p;
    *used = head + remaining;
    return ERR_OK;
}
