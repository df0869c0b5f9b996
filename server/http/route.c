/* route.c - the one table of everything that can be asked, and by whom.
 *
 * docs/openapi.yaml is compared with it in both directions (braidd --dump-routes).  A pattern is
 * made of literal segments and {names}; a name matches one non-empty segment. */
#include "http/http_int.h"

static const struct route routes[] = {
    {"POST", "/api/v1/session", ROLE_ANYONE, false, res_session_login},
    {"GET", "/api/v1/session", ROLE_VIEWER, false, res_session_get},
    {"DELETE", "/api/v1/session", ROLE_VIEWER, true, res_session_logout},

    {"GET", "/api/v1/fleet", ROLE_VIEWER, false, res_fleet},
    {"GET", "/api/v1/devices", ROLE_VIEWER, false, res_devices},
    {"POST", "/api/v1/devices", ROLE_ENGINEER, true, res_device_add},
    {"GET", "/api/v1/devices/{endpoint}", ROLE_VIEWER, false, res_device},
    {"DELETE", "/api/v1/devices/{endpoint}", ROLE_ADMIN, true, res_device_forget},
    {"GET", "/api/v1/devices/{endpoint}/labels", ROLE_VIEWER, false, res_device_labels},
    {"PUT", "/api/v1/devices/{endpoint}/labels", ROLE_ENGINEER, true, res_device_labels_put},
    {"GET", "/api/v1/labels", ROLE_VIEWER, false, res_labels},
    {"POST", "/api/v1/labels", ROLE_ENGINEER, true, res_labels_bulk},
    {"GET", "/api/v1/tags", ROLE_VIEWER, false, res_tags},
    {"GET", "/api/v1/groups", ROLE_VIEWER, false, res_groups},
    {"POST", "/api/v1/groups", ROLE_ENGINEER, true, res_group_post},
    {"GET", "/api/v1/groups/{group}", ROLE_VIEWER, false, res_group},
    {"PATCH", "/api/v1/groups/{group}", ROLE_ENGINEER, true, res_group_rename},
    {"DELETE", "/api/v1/groups/{group}", ROLE_ENGINEER, true, res_group_delete},
    {"GET", "/api/v1/groups/{group}/devices", ROLE_VIEWER, false, res_group_members},
    {"GET", "/api/v1/devices/{endpoint}/series", ROLE_VIEWER, false, res_series},
    {"GET", "/api/v1/devices/{endpoint}/history", ROLE_VIEWER, false, res_history},
    {"GET", "/api/v1/devices/{endpoint}/export", ROLE_VIEWER, false, res_export},
    {"GET", "/api/v1/history", ROLE_VIEWER, false, res_history_aligned},
    {"GET", "/api/v1/devices/{endpoint}/timeline", ROLE_VIEWER, false, res_device_timeline},
    {"GET", "/api/v1/devices/{endpoint}/commands", ROLE_VIEWER, false, res_device_commands},
    {"POST", "/api/v1/devices/{endpoint}/commands", ROLE_OPERATOR, true, res_command_post},
    {"GET", "/api/v1/devices/{endpoint}/credentials", ROLE_ENGINEER, false, res_credentials},
    {"POST", "/api/v1/devices/{endpoint}/credentials", ROLE_ENGINEER, true, res_credential_post},
    {"DELETE", "/api/v1/devices/{endpoint}/credentials/{credential}", ROLE_ENGINEER, true,
     res_credential_delete},
    {"POST", "/api/v1/devices/{endpoint}/suspend", ROLE_ENGINEER, true, res_device_suspend},
    {"POST", "/api/v1/devices/{endpoint}/resume", ROLE_ENGINEER, true, res_device_resume},
    {"POST", "/api/v1/devices/{endpoint}/retire", ROLE_ADMIN, true, res_device_retire},
    {"GET", "/api/v1/credentials/ending", ROLE_ENGINEER, false, res_credentials_ending},
    {"GET", "/api/v1/identities/unknown", ROLE_ENGINEER, false, res_unknown},
    {"POST", "/api/v1/identities/unknown/{identity}/accept", ROLE_ENGINEER, true,
     res_unknown_accept},
    {"POST", "/api/v1/identities/unknown/{identity}/refuse", ROLE_ENGINEER, true,
     res_unknown_refuse},
    {"GET", "/api/v1/devices/{endpoint}/storage", ROLE_VIEWER, false, res_device_storage},
    {"PUT", "/api/v1/devices/{endpoint}/storage", ROLE_ADMIN, true, res_device_storage_put},
    {"GET", "/api/v1/storage", ROLE_VIEWER, false, res_storage},
    {"GET", "/api/v1/storage/devices", ROLE_VIEWER, false, res_storage_devices},
    {"GET", "/api/v1/storage/classes", ROLE_VIEWER, false, res_storage_classes},
    {"GET", "/api/v1/storage/classes/{class}", ROLE_VIEWER, false, res_storage_class},
    {"PUT", "/api/v1/storage/classes/{class}", ROLE_ADMIN, true, res_storage_class_put},
    {"DELETE", "/api/v1/storage/classes/{class}", ROLE_ADMIN, true, res_storage_class_delete},
    {"GET", "/api/v1/storage/rules", ROLE_VIEWER, false, res_storage_rules},
    {"POST", "/api/v1/storage/rules", ROLE_ADMIN, true, res_storage_rule_post},
    {"PUT", "/api/v1/storage/rules/{rule}", ROLE_ADMIN, true, res_storage_rule_put},
    {"DELETE", "/api/v1/storage/rules/{rule}", ROLE_ADMIN, true, res_storage_rule_delete},
    {"GET", "/api/v1/commands", ROLE_VIEWER, false, res_commands},
    {"GET", "/api/v1/commands/{id}", ROLE_VIEWER, false, res_command},
    {"POST", "/api/v1/commands/{id}/cancel", ROLE_OPERATOR, true, res_command_cancel},
    {"GET", "/api/v1/timeline", ROLE_VIEWER, false, res_timeline},
    {"GET", "/api/v1/live", ROLE_VIEWER, false, res_live},

    {"GET", "/api/v1/models", ROLE_VIEWER, false, res_models},
    {"GET", "/api/v1/models/{object_id}", ROLE_VIEWER, false, res_model},
    {"GET", "/api/v1/connect", ROLE_VIEWER, false, res_connect},

    {"GET", "/api/v1/users", ROLE_ADMIN, false, res_users},
    {"POST", "/api/v1/users", ROLE_ADMIN, true, res_user_post},
    {"DELETE", "/api/v1/users/{username}", ROLE_ADMIN, true, res_user_delete},
    {"POST", "/api/v1/users/{username}/password", ROLE_ADMIN, true, res_user_password},
    {"GET", "/api/v1/tokens", ROLE_ADMIN, false, res_tokens},
    {"POST", "/api/v1/tokens", ROLE_ADMIN, true, res_token_post},
    {"DELETE", "/api/v1/tokens/{id}", ROLE_ADMIN, true, res_token_delete},
    {"GET", "/api/v1/audit", ROLE_ADMIN, false, res_audit},

    {"GET", "/api/v1/openapi.yaml", ROLE_ANYONE, false, res_openapi},
    {"GET", "/healthz", ROLE_ANYONE, false, res_healthz},
    {"GET", "/readyz", ROLE_ANYONE, false, res_readyz},
    {"GET", "/metrics", ROLE_VIEWER, false, res_metrics},
};

size_t route_count(void)
{
    return sizeof routes / sizeof *routes;
}

const struct route *route_at(size_t i)
{
    return &routes[i];
}

/* Segment by segment; both sides start with a slash. */
static bool matches(struct str pattern, struct str path, struct str params[HTTP_MAX_PARAMS])
{
    size_t n = 0;
    while (pattern.p && path.p) {
        struct str want = str_cut(&pattern, '/');
        struct str have = str_cut(&path, '/');
        if (want.n && want.p[0] == '{') {
            if (!have.n || n == HTTP_MAX_PARAMS)
                return false;
            params[n++] = have;
        } else if (!str_eq(want, have)) {
            return false;
        }
    }
    return !pattern.p && !path.p;
}

const struct route *route_find(struct str method, struct str path,
                               struct str params[HTTP_MAX_PARAMS], struct buf *allow)
{
    struct str asked = str_is(method, "HEAD") ? (struct str)STR("GET") : method;
    for (size_t i = 0; i < route_count(); i++) {
        struct str found[HTTP_MAX_PARAMS] = {{0}};
        if (!matches(str_of(routes[i].pattern), path, found))
            continue;
        if (str_is(asked, routes[i].method)) {
            memcpy(params, found, sizeof found);
            return &routes[i];
        }
        if (allow->n)
            buf_puts(allow, ", ");
        buf_puts(allow, routes[i].method);
        if (str_is(str_of(routes[i].method), "GET"))
            buf_puts(allow, ", HEAD");
    }
    return NULL;
}

void http_dump_routes(struct buf *out)
{
    for (size_t i = 0; i < route_count(); i++)
        buf_printf(out, "%s %s %s\n", routes[i].method, routes[i].pattern,
                   role_word(routes[i].role));
}
