/* mqtt_wire.c - see mqtt_wire.h.  Section numbers are those of MQTT 5.0 (OASIS 2019). */
#include "port/mqtt_wire.h"

#include "base/reader.h"

#define REMAINING_MAX 268435455u /* 1.5.5 */

enum { P_SESSION_EXPIRY = 0x11, P_SERVER_KEEPALIVE = 0x13, P_RECEIVE_MAX = 0x21 };

/* ---- writing ---- */

static void put_varint(struct buf *b, size_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_putc(b, (char)(v | 0x80));
    buf_putc(b, (char)v);
}

static void put_head(struct buf *b, uint8_t first, size_t remaining)
{
    if (remaining > REMAINING_MAX && !b->err)
        b->err = ERR_TOOBIG;
    buf_putc(b, (char)first);
    put_varint(b, remaining);
}

static void put_text(struct buf *b, struct str s)
{
    if (s.n > UINT16_MAX && !b->err)
        b->err = ERR_TOOBIG;
    buf_u16be(b, (uint16_t)s.n);
    buf_str(b, s);
}

static size_t text_bytes(struct str s)
{
    return s.p ? 2 + s.n : 0;
}

/* 3.1 */
void wire_put_connect(struct buf *b, const struct wire_connect *c)
{
    bool will = c->will_topic.n > 0;
    size_t properties = 3 + (c->session_expiry_s ? 5 : 0);
    size_t n = 6 + 1 + 1 + 2 + 1 + properties + 2 + c->client_id.n + text_bytes(c->username) +
               text_bytes(c->password);
    uint8_t flags = c->clean_start ? 0x02 : 0;
    if (will) {
        n += 1 + 2 + c->will_topic.n + 2 + c->will_payload.n;
        flags |= (uint8_t)(0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0));
    }
    flags |= (uint8_t)((c->username.p ? 0x80 : 0) | (c->password.p ? 0x40 : 0));
    put_head(b, WIRE_CONNECT << 4, n);
    put_text(b, (struct str)STR("MQTT"));
    buf_putc(b, 5);
    buf_putc(b, (char)flags);
    buf_u16be(b, c->keepalive_s);
    put_varint(b, properties);
    if (c->session_expiry_s) {
        buf_putc(b, P_SESSION_EXPIRY);
        buf_u32be(b, c->session_expiry_s);
    }
    buf_putc(b, P_RECEIVE_MAX);
    buf_u16be(b, c->receive_max);
    put_text(b, c->client_id);
    if (will) {
        put_varint(b, 0); /* will properties */
        put_text(b, c->will_topic);
        put_text(b, c->will_payload);
    }
    if (c->username.p)
        put_text(b, c->username);
    if (c->password.p)
        put_text(b, c->password);
}

/* 3.3 */
void wire_put_publish(struct buf *b, struct str topic, struct str payload, uint8_t qos, bool retain,
                      uint16_t id)
{
    put_head(b, (uint8_t)(WIRE_PUBLISH << 4 | qos << 1 | retain),
             2 + topic.n + (qos ? 2 : 0) + 1 + payload.n);
    put_text(b, topic);
    if (qos)
        buf_u16be(b, id);
    put_varint(b, 0); /* properties */
    buf_str(b, payload);
}

/* 3.8 */
void wire_put_subscribe(struct buf *b, uint16_t id, struct str filter, uint8_t qos, bool no_local)
{
    put_head(b, WIRE_SUBSCRIBE << 4 | 2, 2 + 1 + 2 + filter.n + 1);
    buf_u16be(b, id);
    put_varint(b, 0); /* properties */
    put_text(b, filter);
    buf_putc(b, (char)(qos | (no_local ? 0x04 : 0)));
}

void wire_put_puback(struct buf *b, uint16_t id)
{
    put_head(b, WIRE_PUBACK << 4, 2);
    buf_u16be(b, id);
}

void wire_put_empty(struct buf *b, enum wire_type type)
{
    put_head(b, (uint8_t)(type << 4), 0);
}

/* ---- reading ---- */

static uint32_t read_varint(struct reader *r)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = reader_u8(r);
        v |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    reader_fail(r, ERR_INVALID);
    return 0;
}

/* 2.2.2.2: how long a property's value is, by its identifier. */
static void skip_property(struct reader *r, uint8_t id)
{
    switch (id) {
    case 0x01:
    case 0x17:
    case 0x19:
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2a:
        reader_u8(r);
        break;
    case 0x13:
    case 0x21:
    case 0x22:
    case 0x23:
        reader_u16be(r);
        break;
    case 0x02:
    case 0x11:
    case 0x18:
    case 0x27:
        reader_u32be(r);
        break;
    case 0x0b:
        read_varint(r);
        break;
    case 0x26:
        reader_bytes(r, reader_u16be(r));
        reader_bytes(r, reader_u16be(r));
        break;
    case 0x03:
    case 0x08:
    case 0x09:
    case 0x12:
    case 0x15:
    case 0x16:
    case 0x1a:
    case 0x1c:
    case 0x1f:
        reader_bytes(r, reader_u16be(r));
        break;
    default:
        reader_fail(r, ERR_INVALID);
    }
}

static void read_connack(struct reader *r, struct wire_packet *out)
{
    out->session_present = reader_u8(r) & 1;
    out->reason = reader_u8(r);
    out->receive_max = UINT16_MAX;
    struct reader p;
    struct str properties = reader_bytes(r, r->left ? read_varint(r) : 0);
    reader_init(&p, properties.p, properties.n);
    while (p.left && !p.err) {
        uint8_t id = reader_u8(&p);
        if (id == P_RECEIVE_MAX)
            out->receive_max = reader_u16be(&p);
        else if (id == P_SERVER_KEEPALIVE)
            out->keepalive_s = reader_u16be(&p);
        else
            skip_property(&p, id);
    }
    if (p.err || !out->receive_max)
        reader_fail(r, ERR_INVALID);
}

static void read_suback(struct reader *r, struct wire_packet *out)
{
    out->id = reader_u16be(r);
    reader_bytes(r, read_varint(r));
    out->reason = reader_u8(r);
}

/* The one packet that comes by the hundred thousand: no reader between it and the bytes. */
static enum err read_publish(const uint8_t *p, size_t n, uint8_t flags, struct wire_packet *out)
{
    size_t at = 2, topic_n, properties = 0;
    out->qos = flags >> 1 & 3;
    out->retain = flags & 1;
    out->dup = flags & 8;
    if (out->qos > 1)
        return ERR_UNSUPPORTED;
    if (n < 2)
        return ERR_INVALID;
    topic_n = (size_t)p[0] << 8 | p[1];
    if (topic_n + (out->qos ? 3u : 1u) > n - at)
        return ERR_INVALID;
    out->topic = str_make((const char *)p + at, topic_n);
    at += topic_n;
    out->id = 0;
    if (out->qos) {
        out->id = (uint16_t)(p[at] << 8 | p[at + 1]);
        at += 2;
        if (!out->id)
            return ERR_INVALID;
    }
    for (unsigned shift = 0;; shift += 7) {
        if (at == n || shift == 28)
            return ERR_INVALID;
        properties |= (size_t)(p[at] & 0x7f) << shift;
        if (!(p[at++] & 0x80))
            break;
    }
    if (properties > n - at)
        return ERR_INVALID;
    at += properties;
    out->payload = str_make((const char *)p + at, n - at);
    return topic_n ? ERR_OK : ERR_INVALID; /* empty: an alias, which we do not announce */
}

static enum err read_body(struct reader *r, uint8_t first, struct wire_packet *out)
{
    switch (out->type) {
    case WIRE_CONNACK:
        read_connack(r, out);
        break;
    case WIRE_PUBACK:
        out->id = reader_u16be(r);
        if (r->left)
            out->reason = reader_u8(r);
        break;
    case WIRE_SUBACK:
        read_suback(r, out);
        break;
    case WIRE_PINGRESP:
        break;
    case WIRE_DISCONNECT:
        if (r->left)
            out->reason = reader_u8(r);
        break;
    default:
        return ERR_UNSUPPORTED;
    }
    if (first & 0x0f)
        return ERR_INVALID;
    return r->err ? ERR_INVALID : ERR_OK;
}

enum err wire_read(struct str bytes, struct wire_packet *out, size_t *used)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    size_t n = 0, at = 1;
    *used = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (shift == 28)
            return ERR_INVALID;
        if (at >= bytes.n)
            return ERR_AGAIN;
        n |= (size_t)(p[at] & 0x7f) << shift;
        if (!(p[at++] & 0x80))
            break;
    }
    *used = at + n;
    if (*used > bytes.n)
        return ERR_AGAIN;
    if (p[0] >> 4 == WIRE_PUBLISH) {
        out->type = WIRE_PUBLISH;
        return read_publish(p + at, n, p[0] & 0x0f, out);
    }
    struct reader r;
    *out = (struct wire_packet){.type = (enum wire_type)(p[0] >> 4)};
    reader_init(&r, p + at, n);
    return read_body(&r, p[0], out);
}

enum err wire_topic_ok(struct str topic)
{
    if (!topic.n || topic.n > UINT16_MAX || memchr(topic.p, '\0', topic.n) ||
        memchr(topic.p, '+', topic.n) || memchr(topic.p, '#', topic.n))
        return ERR_INVALID;
    return str_utf8_valid(topic) ? ERR_OK : ERR_UTF8;
}

/* 2.4 */
const char *wire_reason(uint8_t code)
{
    static const struct {
        uint8_t code;
        const char *words;
    } reasons[] = {
        {0x00, "success"},
        {0x10, "no matching subscribers"},
        {0x80, "unspecified error"},
        {0x81, "malformed packet"},
        {0x82, "protocol error"},
        {0x83, "implementation specific error"},
        {0x84, "unsupported protocol version"},
        {0x85, "client identifier not valid"},
        {0x86, "bad user name or password"},
        {0x87, "not authorized"},
        {0x88, "server unavailable"},
        {0x89, "server busy"},
        {0x8a, "banned"},
        {0x8b, "server shutting down"},
        {0x8d, "keep alive timeout"},
        {0x8e, "session taken over"},
        {0x8f, "topic filter invalid"},
        {0x90, "topic name invalid"},
        {0x93, "receive maximum exceeded"},
        {0x95, "packet too large"},
        {0x97, "quota exceeded"},
        {0x98, "administrative action"},
        {0x9f, "connection rate exceeded"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == code)
            return reasons[i].words;
    return "another reason";
}
