/* lwm2m_execute.c - see lwm2m_execute.h. */
#include "lwm2m_execute.h"

static const struct lw_path path_errors = {.id = {3, 0, 11}, .n = 3};

struct target {
    struct tree *tree;
    struct firmware *firmware;
};

unsigned lwm2m_effect_of(enum fw_todo todo)
{
    static const unsigned effects[] = {[FW_NOTHING] = 0,
                                       [FW_DOWNLOAD] = LWM2M_DOWNLOAD,
                                       [FW_ABORT] = LWM2M_ABORT,
                                       [FW_REBOOT] = LWM2M_REBOOT};
    return effects[todo];
}

typedef lw_code execute_fn(struct target *c, struct lw_path p, struct moment now,
                           unsigned *effects);

static lw_code exec_reboot(struct target *c, struct lw_path p, struct moment now, unsigned *effects)
{
    (void)c, (void)p, (void)now;
    *effects |= LWM2M_REBOOT;
    return LW_CHANGED;
}

static lw_code exec_factory_reset(struct target *c, struct lw_path p, struct moment now,
                                  unsigned *effects)
{
    (void)c, (void)p, (void)now;
    *effects |= LWM2M_FACTORY_RESET | LWM2M_REBOOT;
    return LW_CHANGED;
}

static lw_code exec_reset_errors(struct target *c, struct lw_path p, struct moment now,
                                 unsigned *effects)
{
    (void)p, (void)now;
    struct lw_value none = {.type = LW_INTEGER, .i = 0};
    *effects |= LWM2M_CHANGED;
    tree_remove(c->tree, path_errors);
    return tree_set(c->tree, lw_path_of(4, 3, 0, 11, 0), none) == ERR_OK ? LW_CHANGED : LW_INTERNAL;
}

static lw_code exec_disable(struct target *c, struct lw_path p, struct moment now,
                            unsigned *effects)
{
    (void)c, (void)p, (void)now;
    *effects |= LWM2M_DISABLE;
    return LW_CHANGED;
}

static lw_code exec_update_trigger(struct target *c, struct lw_path p, struct moment now,
                                   unsigned *effects)
{
    (void)c, (void)p, (void)now;
    *effects |= LWM2M_UPDATE;
    return LW_CHANGED;
}

static lw_code exec_bootstrap(struct target *c, struct lw_path p, struct moment now,
                              unsigned *effects)
{
    (void)c, (void)p, (void)now, (void)effects;
    return LW_NOT_ALLOWED; /* there is no bootstrap server account */
}

static lw_code exec_fw_update(struct target *c, struct lw_path p, struct moment now,
                              unsigned *effects)
{
    (void)p;
    *effects |= LWM2M_CHANGED;
    return firmware_execute_update(c->firmware, c->tree, now);
}

static lw_code exec_fw_cancel(struct target *c, struct lw_path p, struct moment now,
                              unsigned *effects)
{
    (void)p;
    enum fw_todo todo = FW_NOTHING;
    lw_code code = firmware_execute_cancel(c->firmware, c->tree, now, &todo);
    *effects |= lwm2m_effect_of(todo);
    return code;
}

/* Minimum and maximum start again from the value of now. */
static lw_code exec_reset_range(struct target *c, struct lw_path p, struct moment now,
                                unsigned *effects)
{
    struct lw_value v;
    *effects |= LWM2M_CHANGED;
    if (!tree_read(c->tree, lw_path_of(3, p.id[0], p.id[1], 5700, 0), now.utc_ms, &v))
        return LW_CHANGED;
    for (uint16_t r = 5601; r <= 5602; r++)
        if (tree_set(c->tree, lw_path_of(3, p.id[0], p.id[1], r, 0), v) != ERR_OK)
            return LW_INTERNAL;
    return LW_CHANGED;
}

static lw_code exec_reset_energy(struct target *c, struct lw_path p, struct moment now,
                                 unsigned *effects)
{
    (void)now;
    struct lw_value zero = {.type = LW_FLOAT, .f = 0};
    *effects |= LWM2M_CHANGED;
    enum err e = tree_set(c->tree, lw_path_of(3, p.id[0], p.id[1], 5805, 0), zero);
    return e ? LW_INTERNAL : LW_CHANGED;
}

static const struct {
    uint16_t object, resource; /* object 0: any */
    execute_fn *fn;
} executables[] = {
    {1, 4, exec_disable},        {1, 8, exec_update_trigger},
    {1, 9, exec_bootstrap},      {3, 4, exec_reboot},
    {3, 5, exec_factory_reset},  {3, 12, exec_reset_errors},
    {5, 2, exec_fw_update},      {5, 10, exec_fw_cancel},
    {0, 5605, exec_reset_range}, {3305, 5822, exec_reset_energy},
};

/* arglist = arg *("," arg), arg = DIGIT [ "='" *CHAR "'" ], each digit at most once (3.1). */
static bool args_are_fine(struct str s)
{
    unsigned seen = 0;
    size_t i = 0;
    while (i < s.n) {
        if (s.p[i] < '0' || s.p[i] > '9' || seen & 1u << (s.p[i] - '0'))
            return false;
        seen |= 1u << (s.p[i] - '0');
        i++;
        if (i + 1 < s.n && s.p[i] == '=') {
            if (s.p[i + 1] != '\'')
                return false;
            const char *end = memchr(s.p + i + 2, '\'', s.n - i - 2);
            if (!end)
                return false;
            i = (size_t)(end - s.p) + 1;
        }
        if (i == s.n)
            return true;
        if (s.p[i++] != ',' || i == s.n)
            return false;
    }
    return true;
}

unsigned lwm2m_execute(struct tree *t, struct firmware *f, const struct lw_downlink *d,
                       struct ops_result *r, struct moment now)
{
    struct target c = {.tree = t, .firmware = f};
    unsigned effects = 0;
    struct lw_path p = d->path;
    r->code = p.n != 3 ? LW_NOT_ALLOWED : ops_check_path(t, p);
    if (!r->code && !tree_resource(t, p)->executable)
        r->code = LW_NOT_ALLOWED;
    if (!r->code && d->args.p && !args_are_fine(d->args)) {
        r->code = LW_BAD_REQUEST;
        r->error = "malformed arguments";
    }
    if (r->code)
        return 0;
    r->code = LW_CHANGED; /* an executable without a rule here just succeeds */
    for (size_t i = 0; i < sizeof executables / sizeof executables[0]; i++)
        if (p.id[2] == executables[i].resource &&
            (!executables[i].object || p.id[0] == executables[i].object)) {
            r->code = executables[i].fn(&c, p, now, &effects);
            break;
        }
    return lw_code_ok(r->code) ? effects : 0;
}
