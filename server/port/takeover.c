/* takeover.c - see takeover.h.
 *
 * Driven by poll() and not by the library's own loop, which cannot wait for socket numbers above
 * 1023. */
#include "port/takeover.h"

#include "base/clock.h"

#include <mosquitto.h>
#include <poll.h>

struct told {
    bool connack;
    int code;
};

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
    struct told *t = ctx;
    (void)m;
    t->connack = true;
    t->code = code;
}

static bool prepare(struct mosquitto *m, const struct takeover_options *o)
{
    mosquitto_connect_callback_set(m, on_connect);
    return mosquitto_username_pw_set(m, o->name, o->password) == MOSQ_ERR_SUCCESS &&
           (!*o->ca_file ||
            mosquitto_tls_set(m, o->ca_file, NULL, NULL, NULL, NULL) == MOSQ_ERR_SUCCESS);
}

/* One round: until something can be read or written, or 100 ms passed. */
static bool step(struct mosquitto *m)
{
    struct pollfd p = {.fd = mosquitto_socket(m), .events = POLLIN};
    if (p.fd < 0)
        return false;
    if (mosquitto_want_write(m))
        p.events |= POLLOUT;
    if (poll(&p, 1, 100) < 0)
        return false;
    int rc = MOSQ_ERR_SUCCESS;
    if (p.revents & POLLOUT)
        rc = mosquitto_loop_write(m, 1);
    if (!rc && p.revents & (POLLIN | POLLERR | POLLHUP))
        rc = mosquitto_loop_read(m, 1);
    return !rc && mosquitto_loop_misc(m) == MOSQ_ERR_SUCCESS;
}

enum err takeover(const struct takeover_options *o, uint32_t wait_ms)
{
    struct told told = {false, 0};
    uint64_t until = clock_mono_ms() + wait_ms;
    struct mosquitto *m = mosquitto_new(o->name, true, &told);
    if (!m)
        return ERR_NOMEM;
    enum err e = ERR_BROKER;
    if (!prepare(m, o) || mosquitto_connect(m, o->host, o->port, 30) != MOSQ_ERR_SUCCESS)
        goto out;
    while (!told.connack && clock_mono_ms() < until && step(m))
        ;
    if (told.connack)
        e = told.code == 0 ? ERR_OK : ERR_DENIED;
    else if (clock_mono_ms() >= until)
        e = ERR_TIMEOUT;
    mosquitto_disconnect(m);
out:
    mosquitto_destroy(m);
    return e;
}
