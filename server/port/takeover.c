/* takeover.c - see takeover.h: one CONNECT, what the broker says to it, and goodbye. */
#include "port/takeover.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "codec/mqtt_packet.h"
#include "port/stream.h"

#define KEEPALIVE_S 30

/* `ctx` is until when, in monotonic ms. */
static bool wait_for(void *ctx, int fd, short events)
{
    const uint64_t *until = ctx;
    struct pollfd p = {.fd = fd, .events = events};
    for (uint64_t now; (now = clock_mono_ms()) < *until;) {
        int n = poll(&p, 1, (int)(*until - now));
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

/* For what cannot be done just now. */
static enum err wait_more(struct stream *s, bool output, uint64_t *until)
{
    return wait_for(until, stream_fd(s), stream_events(s, output)) ? ERR_OK : ERR_TIMEOUT;
}

static enum err say(struct stream *s, struct str bytes, uint64_t *until)
{
    enum err e = ERR_OK;
    while (!e && bytes.n) {
        size_t n = 0;
        e = stream_write(s, bytes.p, bytes.n, &n);
        bytes = str_make(bytes.p + n, bytes.n - n);
        if (e == ERR_AGAIN)
            e = wait_more(s, true, until);
    }
    return e;
}

static enum err hear_connack(struct stream *s, uint64_t *until)
{
    char bytes[64];
    size_t have = 0, used;
    struct mqtt_packet p;
    enum err e;
    while ((e = mqtt_packet_read(str_make(bytes, have), MQTT_3_1_1, sizeof bytes, &p, &used)) ==
           ERR_AGAIN) {
        size_t n = 0;
        e = stream_read(s, bytes + have, sizeof bytes - have, &n);
        have += n;
        if (e == ERR_AGAIN)
            e = wait_more(s, false, until);
        if (e)
            return e;
    }
    if (e || p.type != MQTT_CONNACK)
        return ERR_BROKER;
    return p.reason ? ERR_DENIED : ERR_OK;
}

static enum err talk(struct stream *s, const struct takeover_options *o, uint64_t *until)
{
    struct buf b;
    buf_init(&b, 4096);
    mqtt_put_connect(&b, &(struct mqtt_connect){.level = MQTT_3_1_1,
                                                .client_id = str_of(o->name),
                                                .username = str_of(o->name),
                                                .password = str_of(o->password),
                                                .keep_alive_s = KEEPALIVE_S,
                                                .clean = true});
    enum err e = b.err ? b.err : say(s, buf_view(&b), until);
    if (!e)
        e = hear_connack(s, until);
    buf_reset(&b);
    mqtt_put_empty(&b, MQTT_DISCONNECT);
    if (!e)
        e = b.err ? b.err : say(s, buf_view(&b), until);
    buf_fini(&b);
    return e;
}

enum err takeover(const struct takeover_options *o, uint32_t wait_ms)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    const struct stream_options where = {
        .host = o->host, .port = o->port, .ca_file = o->ca_file, .cert_file = "", .key_file = ""};
    struct stream *s = NULL;
    char why[200];
    enum err e = stream_open(&where, wait_for, &until, &s, why, sizeof why);
    if (!e)
        e = talk(s, o, &until);
    else if (e == ERR_DENIED) /* its certificate is no good: that says nothing of the password */
        e = ERR_BROKER;
    stream_close(s);
    return e == ERR_IO || e == ERR_CLOSED ? ERR_BROKER : e;
}
