/* lwm2m_client.c - see lwm2m_client.h.
 *
 *   OFF --up--> REGISTERING --2.01--> REGISTERED <--2.04-- UPDATING
 *                  ^   ^ timeout, again   | lifetime nearly over, trigger   | timeout, again
 *                  |   '--'               '--------------> UPDATING --------'
 *                  '------------------- 4.04, or three Updates unanswered --'
 *
 * `due_ms` is the deadline of the current state: a retry, or the next Update. */
#include "lwm2m_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "lwm2m_execute.h"
#include "lwm2m_ops.h"
#include "observe.h"

#define RETRY_MIN_MS   10000
#define RETRY_MAX_MS   60000
#define UPDATES_MAX    3
#define DISCOVER_LIMIT ((size_t)256 << 10)

static const struct lw_path path_root = {.n = 0};
static const struct lw_path path_lifetime = {.id = {1, 0, 1}, .n = 3};
static const struct lw_path path_disable = {.id = {1, 0, 5}, .n = 3};
static const struct lw_path path_binding = {.id = {1, 0, 7}, .n = 3};
static const struct lw_path path_mute = {.id = {1, 0, 23}, .n = 3};
static const struct lw_path path_package = {.id = {5, 0, 0}, .n = 3};
static const struct lw_path path_uri = {.id = {5, 0, 1}, .n = 3};
static const struct lw_path path_version = {.id = {3, 0, 3}, .n = 3};

enum session { SESSION_OFF, SESSION_REGISTERING, SESSION_REGISTERED, SESSION_UPDATING };

struct lwm2m_client {
    struct lwm2m_client_config cfg;
    struct tree tree;
    struct observe *observe;
    struct firmware firmware;
    lwm2m_hash_fn *hash;
    enum session session;
    bool known; /* the server has confirmed a registration that may still be valid */
    uint64_t due_ms;
    uint32_t retry_ms;
    unsigned attempts;
    unsigned next_token;
    struct lw_token pending; /* of the Register or Update under way */
};

/* The tree as the description has it, with the lifetime and firmware of this device. */
static enum err plant(struct lwm2m_client *c)
{
    const struct lwm2m_client_config *cfg = &c->cfg;
    struct lw_value life = {.type = LW_INTEGER, .i = cfg->kind->lifetime};
    struct lw_value version = {.type = LW_STRING, .s = cfg->firmware};
    enum err e = tree_init(&c->tree, cfg->desc, cfg->kind, cfg->endpoint, cfg->seed);
    if (!e && tree_has_object(&c->tree, 1))
        e = tree_set(&c->tree, path_lifetime, life);
    if (!e && cfg->firmware.p && tree_has_object(&c->tree, 3))
        e = tree_set(&c->tree, path_version, version);
    return e;
}

enum err lwm2m_client_factory_reset(struct lwm2m_client *c)
{
    tree_fini(&c->tree);
    observe_clear(c->observe);
    c->firmware = (struct firmware){0};
    return plant(c);
}

enum err lwm2m_client_new(const struct lwm2m_client_config *cfg, struct lwm2m_client **out)
{
    struct lwm2m_client *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->cfg = *cfg;
    enum err e = observe_new(&c->observe);
    if (!e)
        e = plant(c);
    if (e) {
        lwm2m_client_free(c);
        return e;
    }
    *out = c;
    return ERR_OK;
}

void lwm2m_client_free(struct lwm2m_client *c)
{
    if (!c)
        return;
    tree_fini(&c->tree);
    observe_free(c->observe);
    free(c);
}

struct tree *lwm2m_client_tree(struct lwm2m_client *c)
{
    return &c->tree;
}

const struct firmware *lwm2m_client_firmware(const struct lwm2m_client *c)
{
    return &c->firmware;
}

bool lwm2m_client_is_registered(const struct lwm2m_client *c)
{
    return c->session == SESSION_REGISTERED || c->session == SESSION_UPDATING;
}

static int64_t read_int(const struct lwm2m_client *c, struct lw_path p, int64_t otherwise)
{
    struct lw_value v;
    return tree_read(&c->tree, p, 0, &v) && v.type == LW_INTEGER ? v.i : otherwise;
}

uint32_t lwm2m_client_disable_s(const struct lwm2m_client *c)
{
    return (uint32_t)read_int(c, path_disable, 86400);
}

static uint32_t lifetime(const struct lwm2m_client *c)
{
    return (uint32_t)read_int(c, path_lifetime, c->cfg.kind->lifetime);
}

/* ---- registration ---- */

static struct lw_token new_token(struct lwm2m_client *c)
{
    struct lw_token t;
    snprintf(t.text, sizeof t.text, "%u", ++c->next_token);
    return t;
}

static void say(struct lwm2m_client *c, const struct lw_uplink *u, struct lw_path base)
{
    c->cfg.say(c->cfg.ctx, u, base);
}

static struct lw_uplink uplink(const struct lwm2m_client *c, enum lw_up kind, const char *word)
{
    return (struct lw_uplink){.kind = kind,
                              .word = str_of(word),
                              .endpoint = c->cfg.endpoint,
                              .ct = LW_CT_NONE,
                              .pct = LW_CT_NONE,
                              .reg = {.queue_mode = -1}};
}

/* Registers with the complete object list and every readable value, so that the server shows a
 * filled page before it has asked for anything. */
static void fill_registration(struct lwm2m_client *c, struct arena *a, struct lw_uplink *u,
                              struct moment now)
{
    struct buf text;
    struct lw_value binding = {.type = LW_STRING, .s = STR("M")};
    struct ops_result r = {.arena = a, .utc_ms = now.utc_ms};
    buf_init(&text, DISCOVER_LIMIT);
    ops_links(&c->tree, path_root, -1, NULL, NULL, &text);
    struct str kept = arena_str(a, buf_view(&text));
    buf_fini(&text);
    u->reg.has_objects = kept.p && lw_links_parse(a, kept, &u->reg.links) == ERR_OK;
    ops_read_composite(&c->tree, &path_root, 1, &r);
    u->values = r.values;
    u->reg.version = (struct str)STR("1.2");
    (void)tree_read(&c->tree, path_binding, now.utc_ms, &binding);
    u->reg.binding = binding.s;
    u->reg.queue_mode = c->cfg.kind->sleeper ? 1 : -1;
}

static void retry_later(struct lwm2m_client *c, struct moment now)
{
    c->due_ms = now.mono_ms + c->retry_ms;
    c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
}

static void do_register(struct lwm2m_client *c, struct arena *a, struct moment now)
{
    struct lw_uplink u = uplink(c, LW_UP_REGISTER, "reg");
    if (c->session != SESSION_REGISTERING)
        c->retry_ms = RETRY_MIN_MS;
    c->session = SESSION_REGISTERING;
    c->known = false;
    observe_clear(c->observe);
    u.token = c->pending = new_token(c);
    u.reg.has_lifetime = true;
    u.reg.lifetime = lifetime(c);
    fill_registration(c, a, &u, now);
    retry_later(c, now);
    say(c, &u, path_root);
}

/* An Update tells the lifetime always: it is short, and right after a change it is the news. */
static void do_update(struct lwm2m_client *c, struct arena *a, bool objects, struct moment now)
{
    struct lw_uplink u = uplink(c, LW_UP_UPDATE, "update");
    if (c->session != SESSION_UPDATING) {
        c->retry_ms = RETRY_MIN_MS;
        c->attempts = 0;
    }
    c->session = SESSION_UPDATING;
    c->attempts++;
    u.token = c->pending = new_token(c);
    u.reg.has_lifetime = true;
    u.reg.lifetime = lifetime(c);
    if (objects)
        fill_registration(c, a, &u, now);
    u.reg.version = (struct str){0};
    retry_later(c, now);
    say(c, &u, path_root);
}

void lwm2m_client_up(struct lwm2m_client *c, struct arena *a, bool fresh, struct moment now)
{
    if (fresh || !c->known)
        do_register(c, a, now);
    else
        do_update(c, a, false, now);
}

void lwm2m_client_down(struct lwm2m_client *c)
{
    c->session = SESSION_OFF;
}

void lwm2m_client_deregister(struct lwm2m_client *c)
{
    if (c->session == SESSION_OFF)
        return;
    struct lw_uplink u = uplink(c, LW_UP_DEREGISTER, "dereg");
    u.token = new_token(c);
    c->session = SESSION_OFF;
    c->known = false;
    say(c, &u, path_root);
}

static void rest(struct lwm2m_client *c, struct moment now)
{
    uint64_t life = lifetime(c);
    c->session = SESSION_REGISTERED;
    /* Three quarters of the lifetime leave room for a retry; 0 means for ever. */
    c->due_ms = life ? now.mono_ms + life * 750 : UINT64_MAX;
}

static unsigned on_ack(struct lwm2m_client *c, struct arena *a, const struct lw_downlink *d,
                       struct moment now)
{
    bool ours = !d->token.text[0] || strcmp(d->token.text, c->pending.text) == 0;
    if (!ours)
        return 0;
    if (c->session == SESSION_REGISTERING && d->ack_of == LW_UP_REGISTER && lw_code_ok(d->code)) {
        c->known = true;
        rest(c, now);
        return LWM2M_REGISTERED;
    }
    if (c->session == SESSION_UPDATING && d->ack_of == LW_UP_UPDATE) {
        if (lw_code_ok(d->code))
            rest(c, now);
        else
            do_register(c, a, now);
    }
    return 0;
}

/* ---- commands ---- */

static void print_attrs(void *ctx, struct lw_path p, struct buf *out)
{
    observe_print(ctx, p, out);
}

static void discover(struct lwm2m_client *c, const struct lw_downlink *d, struct ops_result *r)
{
    lw_code code =
        d->path.n == 0 || d->path.n > 3 ? LW_NOT_ALLOWED : ops_check_path(&c->tree, d->path);
    r->code = code ? code : LW_CONTENT;
    if (code)
        return;
    struct buf text;
    buf_init(&text, DISCOVER_LIMIT);
    ops_links(&c->tree, d->path, d->depth, print_attrs, c->observe, &text);
    r->links = text.err ? (struct str){0} : arena_str(r->arena, buf_view(&text));
    if (!r->links.p)
        r->code = LW_INTERNAL;
    buf_fini(&text);
}

static void write_attributes(struct lwm2m_client *c, const struct lw_downlink *d,
                             struct ops_result *r)
{
    r->code = d->path.n == 0 ? LW_NOT_ALLOWED : ops_check_path(&c->tree, d->path);
    if (r->code)
        return;
    enum err e = observe_attach(c->observe, d->path, &d->attrs);
    r->code = e == ERR_OK ? LW_CHANGED : e == ERR_INVALID ? LW_BAD_REQUEST : LW_INTERNAL;
    if (e == ERR_INVALID)
        r->error = "the attributes contradict one another";
}

static void observe_paths(struct lwm2m_client *c, const struct lw_downlink *d, bool composite,
                          struct ops_result *r, struct moment now)
{
    const struct lw_path *paths = composite ? d->paths : &d->path;
    size_t n = composite ? d->n_paths : 1;
    if (composite)
        ops_read_composite(&c->tree, paths, n, r);
    else
        ops_read(&c->tree, d->path, r);
    if (!lw_code_ok(r->code))
        return;
    enum err e = observe_add(c->observe, &c->tree, d->token, paths, n, &d->attrs, d->ct, now);
    if (e) {
        r->values = (struct lw_entries){0};
        r->code = e == ERR_INVALID || e == ERR_RANGE ? LW_BAD_REQUEST : LW_INTERNAL;
    }
}

/* The values of a write, or its raw body read by its content format. */
static lw_code take_values(struct lwm2m_client *c, struct arena *a, const struct lw_downlink *d,
                           struct lw_entries *out)
{
    *out = d->values;
    if (!d->payload.p)
        return 0;
    enum err e = lw_decode(a, d->ct, d->payload, d->path, description_typer(c->cfg.desc), out);
    if (e == ERR_UNSUPPORTED)
        return LW_UNSUPPORTED_FORMAT;
    return e ? LW_BAD_REQUEST : 0;
}

static unsigned package_written(struct lwm2m_client *c, struct moment now)
{
    struct lw_value v;
    if (!tree_read(&c->tree, path_package, 0, &v) || v.type != LW_OPAQUE)
        return 0;
    struct fw_image image = {.size = v.s.n,
                             .head = str_make(v.s.p, v.s.n < FW_HEAD ? v.s.n : FW_HEAD)};
    if (c->hash)
        c->hash(v.s, image.sha256);
    enum fw_todo todo = firmware_write_package(&c->firmware, &c->tree, &image, now);
    tree_remove(&c->tree, path_package); /* the flash has it now */
    return lwm2m_effect_of(todo);
}

/* Some resources mean more than their value. */
static unsigned after_write(struct lwm2m_client *c, struct arena *a,
                            const struct lw_entries *values, struct moment now)
{
    unsigned effects = LWM2M_CHANGED;
    for (size_t i = 0; i < values->n; i++) {
        struct lw_path p = values->v[i].path;
        struct lw_value v;
        if (lw_path_eq(p, path_lifetime) && lwm2m_client_is_registered(c))
            do_update(c, a, false, now);
        else if (lw_path_eq(p, path_uri) && tree_read(&c->tree, p, 0, &v))
            effects |= lwm2m_effect_of(firmware_write_uri(&c->firmware, &c->tree, v.s, now));
        else if (lw_path_eq(p, path_package))
            effects |= package_written(c, now);
    }
    return effects;
}

/* ---- dispatch ---- */

static void answer(struct lwm2m_client *c, const struct lw_downlink *d, const struct ops_result *r)
{
    struct lw_uplink u = uplink(c, LW_UP_RESPONSE, "resp");
    u.token = d->token;
    u.code = r->code;
    u.values = r->values;
    if (d->ct != LW_CT_NONE)
        u.pct = d->ct;
    if (r->links.p) {
        u.ct = LW_CT_LINK;
        u.payload = r->links;
    }
    if (!lw_code_ok(r->code))
        u.error = str_of(r->error ? r->error : lw_code_phrase(r->code));
    u.has_created = r->created;
    u.created = r->path;
    say(c, &u, d->op == LW_DOWN_READ || d->op == LW_DOWN_OBSERVE ? d->path : path_root);
}

static void write_values(struct lwm2m_client *c, const struct lw_downlink *d,
                         const struct lw_entries *values, struct ops_result *r)
{
    switch (d->op) {
    case LW_DOWN_WRITE_COMPOSITE:
        ops_write_composite(&c->tree, values, r);
        break;
    case LW_DOWN_CREATE:
        ops_create(&c->tree, d->path, d->has_instance ? d->instance : LW_ID_NONE, values, r);
        break;
    default:
        ops_write(&c->tree, d->path, values, d->op == LW_DOWN_WRITE, r);
        break;
    }
}

/* Operations that answer with data or change only how we report. */
static void inform(struct lwm2m_client *c, const struct lw_downlink *d, struct ops_result *r,
                   struct moment now)
{
    switch (d->op) {
    case LW_DOWN_READ:
        ops_read(&c->tree, d->path, r);
        break;
    case LW_DOWN_READ_COMPOSITE:
        ops_read_composite(&c->tree, d->paths, d->n_paths, r);
        break;
    case LW_DOWN_DISCOVER:
        discover(c, d, r);
        break;
    case LW_DOWN_WRITE_ATTRIBUTES:
        write_attributes(c, d, r);
        break;
    case LW_DOWN_OBSERVE:
        observe_paths(c, d, false, r, now);
        break;
    case LW_DOWN_OBSERVE_COMPOSITE:
        observe_paths(c, d, true, r, now);
        break;
    case LW_DOWN_CANCEL:
        r->code = observe_cancel(c->observe, d->observation.text[0] ? d->observation : d->token)
                      ? LW_CONTENT
                      : LW_NOT_FOUND;
        break;
    default:
        r->code = LW_NOT_IMPLEMENTED;
        break;
    }
}

unsigned lwm2m_client_handle(struct lwm2m_client *c, struct arena *a, const struct lw_downlink *d,
                             struct moment now)
{
    struct ops_result r = {.arena = a, .utc_ms = now.utc_ms};
    struct lw_entries values = {0};
    unsigned effects = 0;
    bool list_changes = false;
    switch (d->op) {
    case LW_DOWN_ACK:
        return on_ack(c, a, d, now);
    case LW_DOWN_WRITE:
    case LW_DOWN_WRITE_UPDATE:
    case LW_DOWN_WRITE_COMPOSITE:
    case LW_DOWN_CREATE:
        r.code = take_values(c, a, d, &values);
        if (!r.code)
            write_values(c, d, &values, &r);
        list_changes = d->op == LW_DOWN_CREATE;
        break;
    case LW_DOWN_DELETE:
        ops_delete(&c->tree, d->path, &r);
        if (lw_code_ok(r.code))
            observe_forget(c->observe, d->path);
        list_changes = d->path.n == 2;
        effects = LWM2M_CHANGED;
        break;
    case LW_DOWN_EXECUTE:
        effects = lwm2m_execute(&c->tree, &c->firmware, d, &r, now);
        if (effects & LWM2M_UPDATE && c->session == SESSION_REGISTERED)
            c->due_ms = now.mono_ms; /* the Update itself follows the answer */
        break;
    default:
        inform(c, d, &r, now);
        break;
    }
    answer(c, d, &r);
    if (lw_code_ok(r.code) && values.n)
        effects |= after_write(c, a, &values, now);
    if (lw_code_ok(r.code) && list_changes && lwm2m_client_is_registered(c))
        do_update(c, a, true, now);
    return effects;
}

/* ---- time ---- */

static void notify(struct lwm2m_client *c, struct arena *a, struct moment now)
{
    struct observe_due due;
    size_t it = 0;
    while (observe_next(c->observe, &c->tree, now, &it, &due)) {
        struct ops_result r = {.arena = a, .utc_ms = now.utc_ms};
        struct lw_uplink u = uplink(c, LW_UP_NOTIFY, "notify");
        ops_read_composite(&c->tree, due.paths, due.n, &r);
        u.token = due.token;
        u.code = LW_CONTENT;
        u.values = r.values;
        u.pct = due.ct;
        say(c, &u, due.n == 1 ? due.paths[0] : path_root);
    }
}

unsigned lwm2m_client_tick(struct lwm2m_client *c, struct arena *a, struct moment now)
{
    if (c->session == SESSION_OFF)
        return 0;
    if (now.mono_ms >= c->due_ms) {
        if (c->session == SESSION_REGISTERED ||
            (c->session == SESSION_UPDATING && c->attempts < UPDATES_MAX))
            do_update(c, a, false, now);
        else
            do_register(c, a, now);
    }
    if (lwm2m_client_is_registered(c))
        notify(c, a, now);
    return lwm2m_effect_of(firmware_tick(&c->firmware, &c->tree, now));
}

void lwm2m_client_send(struct lwm2m_client *c, struct arena *a, struct moment now)
{
    struct lw_value muted;
    struct lw_uplink u = uplink(c, LW_UP_SEND, "send");
    if (!lwm2m_client_is_registered(c) ||
        (tree_read(&c->tree, path_mute, 0, &muted) && muted.type == LW_BOOLEAN && muted.b))
        return;
    for (size_t i = 0; i < c->tree.n; i++) {
        const struct tree_cell *cell = &c->tree.cells[i];
        if (!cell->res->readable || !cell->source || !source_moves(cell->source) ||
            cell->source->wave.kind == WAVE_CLOCK)
            continue;
        struct lw_entry e = {.path = cell->path,
                             .value = tree_value(&c->tree, cell, now.utc_ms),
                             .time_ms = now.utc_ms};
        if (lw_entries_add(a, &u.values, e) != ERR_OK)
            return;
    }
    u.token = new_token(c);
    if (u.values.n)
        say(c, &u, path_root);
}

void lwm2m_client_sample(struct lwm2m_client *c, struct moment now)
{
    for (size_t i = 0; i < c->tree.n_instances; i++) {
        struct lw_path p = c->tree.instances[i];
        struct lw_value v, min, max;
        p.n = 3;
        struct lw_path at_min = p, at_max = p;
        p.id[2] = 5700;
        at_min.id[2] = 5601;
        at_max.id[2] = 5602;
        if (!tree_read(&c->tree, p, now.utc_ms, &v) || v.type != LW_FLOAT)
            continue;
        enum err e = ERR_OK;
        if (tree_read(&c->tree, at_min, 0, &min) && v.f < min.f)
            e = tree_set(&c->tree, at_min, v);
        if (!e && tree_read(&c->tree, at_max, 0, &max) && v.f > max.f)
            e = tree_set(&c->tree, at_max, v);
        if (e)
            return; /* no memory: the next sample tries again */
    }
}

void lwm2m_client_downloaded(struct lwm2m_client *c, enum fw_result why,
                             const struct fw_image *image, struct moment now)
{
    firmware_downloaded(&c->firmware, &c->tree, why, image, now);
}

void lwm2m_client_set_hash(struct lwm2m_client *c, lwm2m_hash_fn *hash)
{
    c->hash = hash;
}
