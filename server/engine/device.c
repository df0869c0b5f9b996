/* device.c - the device record: identity, both strands, what is due. */
#include "engine/command.h"
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define ADMIT_PER_S     100
#define TEXT_MAX        512 /* bytes of a manufacturer, a fault, ... */
#define EXPIRY_GRACE_MS 1000

struct device *device_find(struct shard *s, struct str endpoint)
{
    return map_find(&s->by_endpoint, endpoint);
}

/* "group/node": group ids hold no '/', so the key is unambiguous. */
static struct str node_key(char *out, size_t size, struct str group, struct str node)
{
    size_t n = group.n + 1 + node.n;
    if (n >= size) {
        snprintf(out, size, "%.*s/%.*s", STR_ARG(group), STR_ARG(node));
        return str_make(out, size - 1);
    }
    if (group.n)
        memcpy(out, group.p, group.n);
    out[group.n] = '/';
    if (node.n)
        memcpy(out + group.n + 1, node.p, node.n);
    out[n] = '\0';
    return str_make(out, n);
}

struct device *device_find_node(struct shard *s, struct str group, struct str node)
{
    char key[2 * NAME_MAX_BYTES + 2];
    struct device *d = device_find(s, node);
    if (d && d->sp && str_is(node, spb_node_id(d->sp)) && str_is(group, spb_node_group(d->sp)))
        return d;
    return map_find(&s->by_node, node_key(key, sizeof key, group, node));
}

struct str device_text(struct str text)
{
    if (text.n > TEXT_MAX) /* not in the middle of a character */
        for (text.n = TEXT_MAX; text.n && ((unsigned char)text.p[text.n] & 0xc0) == 0x80;)
            text.n--;
    return text;
}

void device_set_text(struct device *d, const char **where, struct str text)
{
    text = device_text(text);
    if (*where && str_is(text, *where))
        return;
    const char *word = text.p && text.n ? words_take(&d->shard->words, text) : NULL;
    words_put(&d->shard->words, *where);
    *where = word;
}

struct device *device_new(struct shard *s, int64_t id, struct str endpoint)
{
    struct device *d = calloc(1, offsetof(struct device, endpoint) + endpoint.n + 1);
    if (!d)
        return NULL;
    memcpy(d->endpoint, endpoint.p, endpoint.n);
    d->shard = s;
    d->id = id;
    d->created_ms = s->now.utc_ms;
    d->evidence.lw_expires_mono_ms = UINT64_MAX;
    list_init(&d->commands);
    list_init(&d->dirty_node);
    verdict_first(d);
    if (map_put(&s->by_endpoint, str_of(d->endpoint), d, NULL)) {
        device_free(d);
        return NULL;
    }
    if (map_put_u64(&s->by_id, (uint64_t)id, d, NULL)) {
        map_remove(&s->by_endpoint, str_of(d->endpoint));
        device_free(d);
        return NULL;
    }
    metric_add(s->engine->metrics, M_DEV_NEVER + (enum metric)d->verdict.status, 1);
    return d;
}

void device_free(struct device *d)
{
    if (!d)
        return;
    list_each(it, &d->commands)
    {
        command_free(list_entry(it, struct command, node));
    }
    lw_client_free(d->lw);
    spb_node_free(d->sp);
    resources_free(d);
    const char *const words[] = {d->prefix,   d->manufacturer,   d->model,       d->serial,
                                 d->firmware, d->evidence.fault, d->fault_lwm2m, d->fault_metric};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words_put(&d->shard->words, words[i]);
    free(d->node_key);
    free(d);
}

static bool name_ok(struct str name)
{
    if (!name.n || name.n > NAME_MAX_BYTES || !str_utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (strchr("/+#", name.p[i]) || (unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return false;
    return !str_is(name, "rd") && !str_is(name, "bs") && !str_is(name, "STATE") &&
           !str_starts(name, "braid-");
}

static bool admit_now(struct shard *s)
{
    uint64_t passed = s->now.mono_ms - s->admit_at_ms;
    if (passed >= 10) {
        uint64_t more = passed * ADMIT_PER_S / 1000;
        s->admit_tokens =
            s->admit_tokens + more > ADMIT_PER_S ? ADMIT_PER_S : s->admit_tokens + more;
        s->admit_at_ms = s->now.mono_ms;
    }
    if (!s->admit_tokens)
        return false;
    s->admit_tokens--;
    return true;
}

static void store_device(struct device *d)
{
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_text(&p, d->endpoint);
    params_text(&p, d->sp ? spb_node_group(d->sp) : NULL);
    params_text(&p, d->sp ? spb_node_id(d->sp) : NULL);
    params_i64(&p, d->created_ms);
    params_put(d->shard->engine, ST_DEVICE_PUT, &p);
}

enum err device_make(struct shard *s, struct str endpoint, struct device **out)
{
    if (!name_ok(endpoint))
        return ERR_DENIED;
    struct device *d = device_new(s, atomic_fetch_add(&s->engine->next_device_id, 1), endpoint);
    if (!d)
        return ERR_NOMEM;
    d->status_since_ms = s->now.utc_ms;
    store_device(d);
    *out = d;
    return ERR_OK;
}

enum err device_admit(struct shard *s, struct str endpoint, struct device **out)
{
    struct device *d = device_find(s, endpoint);
    if (d) {
        *out = d;
        return ERR_OK;
    }
    if (!name_ok(endpoint))
        return ERR_DENIED;
    bool open = strcmp(s->engine->config->devices_admission, "open") == 0;
    if (!open || !admit_now(s)) {
        metric_add(s->engine->metrics, M_BAD_ADMISSION, 1);
        if (!open)
            stranger_seen(s, endpoint);
        return open ? ERR_AGAIN : ERR_CLOSED;
    }
    enum err e = device_make(s, endpoint, &d);
    if (e)
        return e;
    timeline_add(d, TL_FIRST_SEEN, "First message of this device", str_make(NULL, 0));
    *out = d;
    return ERR_OK;
}

enum err device_bind_node(struct device *d, struct str group, struct str node, bool persist)
{
    char key[2 * NAME_MAX_BYTES + 2];
    enum err e = sp_strand_attach(d, group, node);
    if (!e && !str_is(node, d->endpoint)) {
        node_key(key, sizeof key, group, node);
        d->node_key = strdup(key);
        e = d->node_key ? map_put(&d->shard->by_node, str_of(d->node_key), d, NULL) : ERR_NOMEM;
    }
    if (e || !persist)
        return e;
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_str(&p, group);
    params_str(&p, node);
    params_put(d->shard->engine, ST_DEVICE_NODE, &p);
    return ERR_OK;
}

void device_mark_row(struct device *d)
{
    d->row_dirty = true;
    if (list_empty(&d->dirty_node))
        list_append(&d->shard->dirty, &d->dirty_node);
}

static void set_deadline(struct device *d)
{
    uint64_t at = d->recheck_mono_ms, other = commands_deadline(d);
    if (other < at)
        at = other;
    if (d->lw && (other = lw_client_deadline(d->lw)) < at)
        at = other;
    if (d->sp && (other = spb_node_deadline(d->sp)) < at)
        at = other;
    if (at == UINT64_MAX)
        heap_remove(&d->shard->deadlines, &d->deadline);
    else if (d->deadline.position == 0 || d->deadline.key != at)
        if (heap_set(&d->shard->deadlines, &d->deadline, at))
            log_error("engine.no_memory_for_deadline", KV("endpoint", d->endpoint));
}

void device_settle(struct device *d)
{
    if (d->judge)
        verdict_judge(d);
    set_deadline(d);
}

/* While we do not hear the LwM2M session, and a moment longer (what came last may still be in our
 * mailbox), an update may be on its way: no registration expires. */
static bool updates_may_wait(struct engine *e, struct moment now)
{
    uint64_t since = atomic_load(&e->lw_hears_since);
    return !since || now.mono_ms < since + EXPIRY_GRACE_MS;
}

void device_run_deadline(struct device *d)
{
    struct moment now = d->shard->now;
    if (d->lw && lw_client_deadline(d->lw) <= now.mono_ms) {
        if (updates_may_wait(d->shard->engine, now))
            lw_client_hold_expiry(d->lw, now.mono_ms + EXPIRY_GRACE_MS);
        lw_client_tick(d->lw, now);
    }
    if (d->sp && spb_node_deadline(d->sp) <= now.mono_ms) {
        if (flow_holds(d->shard->engine) || d->shard->parked)
            spb_node_wait(d->sp, now); /* what is missing may be waiting too */
        else
            spb_node_tick(d->sp, now);
    }
    commands_tick(d);
    d->judge = true;
    device_settle(d);
    if (d->deadline.position && d->deadline.key <= now.mono_ms) /* never spin on a stuck deadline */
        if (heap_set(&d->shard->deadlines, &d->deadline, now.mono_ms + 10))
            log_error("engine.no_memory_for_deadline", KV("endpoint", d->endpoint));
}

void device_store_seen(struct device *d)
{
    if (!d->store_seen_dirty || !caches_wanted(d->shard))
        return;
    d->store_seen_dirty = false;
    struct params p = {.n = 0};
    params_i64(&p, d->id);
    params_ms(&p, d->last_seen_ms);
    params_text(&p, d->manufacturer);
    params_text(&p, d->model);
    params_text(&p, d->serial);
    params_text(&p, d->firmware);
    params_text(&p, d->evidence.fault);
    params_put(d->shard->engine, ST_DEVICE_SEEN, &p);
}
