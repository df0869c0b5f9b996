/* mqtt_packet.c - see mqtt_packet.h.  Section numbers are those of MQTT 5.0 (OASIS 2019);
 * where 3.1.1 (2014) differs, the code says so. */
#include "codec/mqtt_packet.h"

#include "base/reader.h"

#define REMAINING_MAX 268435455u /* 1.5.5 */

enum {
    P_SESSION_EXPIRY = 0x11,
    P_SERVER_KEEPALIVE = 0x13,
    P_RECEIVE_MAX = 0x21,
    P_PACKET_MAX = 0x27
};

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

static size_t connect_property_bytes(const struct mqtt_connect *c)
{
    return (c->session_expiry_s ? 5u : 0) + (c->receive_max ? 3u : 0) + (c->packet_max ? 5u : 0);
}

static void put_connect_properties(struct buf *b, const struct mqtt_connect *c)
{
    put_varint(b, connect_property_bytes(c)); /* one byte long */
    if (c->session_expiry_s) {
        buf_putc(b, P_SESSION_EXPIRY);
        buf_u32be(b, c->session_expiry_s);
    }
    if (c->receive_max) {
        buf_putc(b, P_RECEIVE_MAX);
        buf_u16be(b, c->receive_max);
    }
    if (c->packet_max) {
        buf_putc(b, P_PACKET_MAX);
        buf_u32be(b, c->packet_max);
    }
}

/* 3.1 */
void mqtt_put_connect(struct buf *b, const struct mqtt_connect *c)
{
    bool will = c->will_topic.n > 0, five = c->level == MQTT_5;
    struct str password = c->username.p || five ? c->password : str_make(NULL, 0);
    size_t n = 10 + (five ? 1 + connect_property_bytes(c) : 0) + 2 + c->client_id.n +
               text_bytes(c->username) + text_bytes(password);
    uint8_t flags = c->clean ? 0x02 : 0;
    if (will) {
        n += (five ? 1u : 0) + 2 + c->will_topic.n + 2 + c->will_payload.n;
        flags |= (uint8_t)(0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0));
    }
    flags |= (uint8_t)((c->username.p ? 0x80 : 0) | (password.p ? 0x40 : 0));
    put_head(b, MQTT_CONNECT << 4, n);
    put_text(b, (struct str)STR("MQTT"));
    buf_putc(b, (char)c->level);
    buf_putc(b, (char)flags);
    buf_u16be(b, c->keep_alive_s);
    if (five)
        put_connect_properties(b, c);
    put_text(b, c->client_id);
    if (will) {
        if (five)
            put_varint(b, 0); /* will properties */
        put_text(b, c->will_topic);
        put_text(b, c->will_payload);
    }
    if (c->username.p)
        put_text(b, c->username);
    if (password.p)
        put_text(b, password);
}

static size_t publish_remaining(enum mqtt_level level, const struct mqtt_publish *p)
{
    return 2 + p->topic.n + (p->qos ? 2u : 0) + (level == MQTT_5 ? 1u : 0) + p->payload.n;
}

size_t mqtt_publish_bytes(enum mqtt_level level, const struct mqtt_publish *p)
{
    size_t remaining = publish_remaining(level, p), head = 2;
    for (size_t v = remaining; v > 0x7f; v >>= 7)
        head++;
    return head + remaining;
}

/* 3.3 */
void mqtt_put_publish(struct buf *b, enum mqtt_level level, const struct mqtt_publish *p)
{
    put_head(b, (uint8_t)(MQTT_PUBLISH << 4 | (p->dup ? 0x08 : 0) | p->qos << 1 | p->retain),
             publish_remaining(level, p));
    put_text(b, p->topic);
    if (p->qos)
        buf_u16be(b, p->id);
    if (level == MQTT_5)
        put_varint(b, 0); /* properties */
    buf_str(b, p->payload);
}

/* 3.8 */
void mqtt_put_subscribe(struct buf *b, enum mqtt_level level, uint16_t id,
                        const struct str *filters, size_t n, uint8_t qos, bool no_local)
{
    bool five = level == MQTT_5;
    size_t size = 2 + (five ? 1u : 0);
    for (size_t i = 0; i < n; i++)
        size += 3 + filters[i].n;
    put_head(b, MQTT_SUBSCRIBE << 4 | 2, size);
    buf_u16be(b, id);
    if (five)
        put_varint(b, 0); /* properties */
    for (size_t i = 0; i < n; i++) {
        put_text(b, filters[i]);
        buf_putc(b, (char)(qos | (five && no_local ? 0x04 : 0)));
    }
}

void mqtt_put_puback(struct buf *b, uint16_t id)
{
    put_head(b, MQTT_PUBACK << 4, 2);
    buf_u16be(b, id);
}

void mqtt_put_empty(struct buf *b, enum mqtt_type type)
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

static void read_connack_property(struct reader *p, struct mqtt_packet *out)
{
    uint8_t id = reader_u8(p);
    switch (id) {
    case P_RECEIVE_MAX:
        out->receive_max = reader_u16be(p);
        if (!out->receive_max)
            reader_fail(p, ERR_INVALID);
        break;
    case P_SERVER_KEEPALIVE:
        out->keep_alive_s = reader_u16be(p);
        break;
    case P_PACKET_MAX:
        out->packet_max = reader_u32be(p);
        if (!out->packet_max)
            reader_fail(p, ERR_INVALID);
        break;
    default:
        skip_property(p, id);
    }
}

/* Walks properties, of which only CONNACK's say something to us. */
static void read_properties(struct reader *r, struct mqtt_packet *out)
{
    struct reader p;
    struct str properties = reader_bytes(r, read_varint(r));
    reader_init(&p, properties.p, properties.n);
    while (p.left && !p.err) {
        if (out->type == MQTT_CONNACK)
            read_connack_property(&p, out);
        else
            skip_property(&p, reader_u8(&p));
    }
    if (p.err)
        reader_fail(r, ERR_INVALID);
}

/* Whoever does not know MQTT 5 answers as 3.1.1 does, without properties. */
static void read_connack(struct reader *r, enum mqtt_level level, struct mqtt_packet *out)
{
    uint8_t flags = reader_u8(r);
    if (flags & 0xfe)
        reader_fail(r, ERR_INVALID);
    out->session_present = flags & 1;
    out->reason = reader_u8(r);
    out->receive_max = UINT16_MAX;
    out->packet_max = UINT32_MAX;
    if (level == MQTT_5 && r->left)
        read_properties(r, out);
}

/* PUBACK and DISCONNECT: a success may go without its code, a code without properties. */
static void read_reason(struct reader *r, enum mqtt_level level, struct mqtt_packet *out)
{
    if (level == MQTT_5 && r->left)
        out->reason = reader_u8(r);
    if (level == MQTT_5 && r->left)
        read_properties(r, out);
}

static void read_id(struct reader *r, struct mqtt_packet *out)
{
    out->id = reader_u16be(r);
    if (!out->id)
        reader_fail(r, ERR_INVALID);
}

static void read_suback(struct reader *r, enum mqtt_level level, struct mqtt_packet *out)
{
    read_id(r, out);
    if (level == MQTT_5)
        read_properties(r, out);
    if (!r->left)
        reader_fail(r, ERR_TRUNCATED);
    while (r->left && !r->err) {
        uint8_t code = reader_u8(r);
        if (code > 2 && (code < 0x80 || (level == MQTT_3_1_1 && code != 0x80)))
            reader_fail(r, ERR_INVALID);
        if (code >= 0x80 && !out->reason)
            out->reason = code;
    }
}

static enum err read_body(struct reader *r, uint8_t flags, enum mqtt_level level,
                          struct mqtt_packet *out)
{
    switch (out->type) {
    case MQTT_CONNACK:
        read_connack(r, level, out);
        break;
    case MQTT_PUBACK:
        read_id(r, out);
        read_reason(r, level, out);
        break;
    case MQTT_SUBACK:
        read_suback(r, level, out);
        break;
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
        if (level != MQTT_5)
            return ERR_UNSUPPORTED;
        read_reason(r, level, out);
        break;
    default:
        return ERR_UNSUPPORTED;
    }
    if (flags || (!r->err && r->left))
        return ERR_INVALID;
    return r->err;
}

/* 3.3.2.3: passes over the properties of a PUBLISH, which has n bytes. */
static enum err pass_properties(const uint8_t *p, size_t n, size_t *at)
{
    size_t properties = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (shift == 28)
            return ERR_INVALID;
        if (*at == n)
            return ERR_TRUNCATED;
        properties |= (size_t)(p[*at] & 0x7f) << shift;
        if (!(p[(*at)++] & 0x80))
            break;
    }
    if (properties > n - *at)
        return ERR_TRUNCATED;
    *at += properties;
    return ERR_OK;
}

/* The one packet that comes by the hundred thousand: no reader between it and the bytes. */
static enum err read_publish(const uint8_t *p, size_t n, uint8_t flags, enum mqtt_level level,
                             struct mqtt_publish *out)
{
    size_t at = 2, topic_n;
    out->qos = flags >> 1 & 3;
    out->retain = flags & 1;
    out->dup = flags & 8;
    out->id = 0;
    if (out->qos > 1)
        return out->qos == 3 ? ERR_INVALID : ERR_UNSUPPORTED;
    if (n < 2)
        return ERR_TRUNCATED;
    topic_n = (size_t)p[0] << 8 | p[1];
    if (topic_n + (out->qos ? 2u : 0u) > n - at)
        return ERR_TRUNCATED;
    out->topic = str_make((const char *)p + at, topic_n);
    at += topic_n;
    if (out->qos) {
        out->id = (uint16_t)(p[at] << 8 | p[at + 1]);
        at += 2;
        if (!out->id)
            return ERR_INVALID;
    }
    if (level == MQTT_5) {
        enum err e = pass_properties(p, n, &at);
        if (e)
            return e;
    }
    out->payload = str_make((const char *)p + at, n - at);
    if (!topic_n)
        return ERR_INVALID; /* in MQTT 5 an alias, which we do not announce */
    return str_utf8_valid(out->topic) ? ERR_OK : ERR_UTF8;
}

enum err mqtt_packet_read(struct str bytes, enum mqtt_level level, size_t max,
                          struct mqtt_packet *out, size_t *used)
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
    if (at + n > max)
        return ERR_TOOBIG;
    *used = at + n;
    if (*used > bytes.n)
        return ERR_AGAIN;
    if (p[0] >> 4 == MQTT_PUBLISH) {
        out->type = MQTT_PUBLISH;
        return read_publish(p + at, n, p[0] & 0x0f, level, &out->publish);
    }
    struct reader r;
    *out = (struct mqtt_packet){.type = (enum mqtt_type)(p[0] >> 4)};
    reader_init(&r, p + at, n);
    return read_body(&r, p[0] & 0x0f, level, out);
}

enum err mqtt_topic_ok(struct str topic)
{
    if (!topic.n || topic.n > UINT16_MAX || memchr(topic.p, '\0', topic.n) ||
        memchr(topic.p, '+', topic.n) || memchr(topic.p, '#', topic.n))
        return ERR_INVALID;
    return str_utf8_valid(topic) ? ERR_OK : ERR_UTF8;
}

/* 2.4 */
const char *mqtt_reason(uint8_t code)
{
    static const struct {
        uint8_t code;
        const char *words;
    } reasons[] = {
        {0x00, "success"},
        {0x01, "the broker does not speak this version of MQTT"}, /* 0x01-0x05: 3.1.1, 3.2.2.3 */
        {0x02, "client identifier not valid"},
        {0x03, "server unavailable"},
        {0x04, "bad user name or password"},
        {0x05, "not authorized"},
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
        {0x96, "message rate too high"},
        {0x97, "quota exceeded"},
        {0x98, "administrative action"},
        {0x99, "payload format invalid"},
        {0x9a, "retain not supported"},
        {0x9b, "QoS not supported"},
        {0x9c, "use another server"},
        {0x9d, "server moved"},
        {0x9f, "connection rate exceeded"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == code)
            return reasons[i].words;
    return "another reason";
}
