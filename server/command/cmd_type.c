/* cmd_type.c - the object model has its say on a parsed request.
 *
 * What the model does not know passes as it is: a device may have objects of its own.  What it
 * knows is made exact here, so the dialects write what the device expects, and what cannot work
 * is refused before it costs a round trip. */
#include "command/command.h"

#define OP_W 2
#define OP_E 4

static bool allows(struct lw_op_lookup ops, struct lw_path p, int bit)
{
    int known = ops.ops ? ops.ops(ops.ctx, p.id[0], p.id[2]) : -1;
    return known < 0 || (known & bit);
}

static enum err type_one(struct arena *a, struct lw_entry *entry, struct lw_typer typer,
                         const char **why)
{
    struct lw_resource_type t = lw_typer_ask(typer, entry->path);
    if (!t.known || entry->value.type == LW_NONE)
        return ERR_OK;
    if (t.multiple && entry->path.n == 3) {
        *why = "this resource has several instances: write {\"0\":...} or /.../0";
        return ERR_TYPE;
    }
    if (!t.multiple && entry->path.n == 4) {
        *why = "this resource has one value and no instances";
        return ERR_TYPE;
    }
    enum err e = lw_value_coerce(a, t.type, &entry->value);
    if (e == ERR_RANGE)
        *why = "the value is outside what the resource's type can hold";
    else if (e)
        *why = "the value is not of the resource's type";
    return e;
}

enum err cmd_type(struct arena *a, struct cmd_request *r, struct lw_typer typer,
                  struct lw_op_lookup ops, const char **why)
{
    struct lw_entries *values = &r->lw.values;
    bool creates = r->op == CMD_CREATE; /* may set read-only resources of the new instance */
    if (cmd_op_sparkplug(r->op))
        return ERR_OK;
    if (r->op == CMD_EXECUTE && !allows(ops, r->lw.path, OP_E)) {
        *why = "the resource cannot be executed";
        return ERR_DENIED;
    }
    for (size_t i = 0; i < values->n; i++) {
        if (!creates && !allows(ops, values->v[i].path, OP_W)) {
            *why = "the resource cannot be written";
            return ERR_DENIED;
        }
        enum err e = type_one(a, &values->v[i], typer, why);
        if (e)
            return e;
    }
    return ERR_OK;
}
