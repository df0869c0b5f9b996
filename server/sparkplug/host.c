/* host.c - see host.h.  The two keys of STATE are all that the specification allows; the birth
 * carries the same timestamp as the will of its CONNECT, so that a late will of an older session
 * can be told from ours. */
#include "sparkplug/host.h"

#include "codec/json_in.h"
#include "codec/spb_topic.h"

#include <inttypes.h>

#define STATE_PREFIX SPB_NAMESPACE "/STATE/"

enum err spb_host_init(struct spb_host *h, struct str host_id)
{
    struct spb_host fresh = {.ts_ms = 0};
    const size_t prefix = sizeof STATE_PREFIX - 1;
    if (!host_id.n || host_id.n >= sizeof fresh.topic - prefix || !str_utf8_valid(host_id) ||
        memchr(host_id.p, '+', host_id.n) || memchr(host_id.p, '#', host_id.n) ||
        memchr(host_id.p, '/', host_id.n))
        return ERR_INVALID;
    memcpy(fresh.topic, STATE_PREFIX, prefix);
    memcpy(fresh.topic + prefix, host_id.p, host_id.n);
    *h = fresh;
    return ERR_OK;
}

void spb_host_connect(struct spb_host *h, int64_t now_ms)
{
    h->ts_ms = now_ms;
}

static void state(struct buf *payload, bool online, int64_t ts_ms)
{
    buf_printf(payload, "{\"online\":%s,\"timestamp\":%" PRId64 "}", online ? "true" : "false",
               ts_ms);
}

void spb_host_will(const struct spb_host *h, struct buf *payload)
{
    state(payload, false, h->ts_ms);
}

void spb_host_birth(const struct spb_host *h, struct buf *payload)
{
    state(payload, true, h->ts_ms);
}

void spb_host_death(const struct spb_host *h, int64_t now_ms, struct buf *payload)
{
    state(payload, false, now_ms > h->ts_ms ? now_ms : h->ts_ms);
}

/* Whatever says we are offline while we are not has to be answered, however old it claims to be:
 * the retained message is what edges see. */
bool spb_host_must_repeat(const struct spb_host *h, struct str topic, struct str payload)
{
    struct arena a;
    struct json_node *root;
    bool online = true;
    if (!str_is(topic, h->topic) || payload.n > 4096)
        return false;
    arena_init(&a, 4096, 65536);
    bool understood = json_parse(&a, payload, 64, &root) == ERR_OK &&
                      json_is_bool(json_get(root, "online"), &online);
    arena_fini(&a);
    return understood && !online;
}
