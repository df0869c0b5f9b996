/* route.c - the one table of everything that can be asked, and by whom.
 *
 * docs/openapi.yaml is compared with it in both directions (braidd --dump-routes).  A pattern is
 * made of literal segments and {names}; a name matches one non-empty segment. */
#include "http/http_int.h"

static const struct route routes[] = {
    {"POST", "/api/v1/session", ROLE_ANYONE, NULL, res_session_login},
    {"GET", "/api/v1/session", ROLE_VIEWER, NULL, res_session_get},
    {"DELETE", "/api/v1/session", ROLE_VIEWER, "logout", res_session_logout},

    {"GET", "/api/v1/fleet", ROLE_VIEWER, NULL, res_fleet},
    {"GET", "/api/v1/devices", ROLE_VIEWER, NULL, res_devices},
    {"POST", "/api/v1/devices", ROLE_ENGINEER, "device_add", res_device_add},
    {"GET", "/api/v1/devices/{endpoint}", ROLE_VIEWER, NULL, res_device},
    {"DELETE", "/api/v1/devices/{endpoint}", ROLE_ADMIN, "device_forget", res_device_forget},
    {"GET", "/api/v1/devices/{endpoint}/labels", ROLE_VIEWER, NULL, res_device_labels},
    {"PUT", "/api/v1/devices/{endpoint}/labels", ROLE_ENGINEER, "device_labels",
     res_device_labels_put},
    {"GET", "/api/v1/labels", ROLE_VIEWER, NULL, res_labels},
    {"POST", "/api/v1/labels", ROLE_ENGINEER, "device_labels", res_labels_bulk},
    {"GET", "/api/v1/tags", ROLE_VIEWER, NULL, res_tags},
    {"GET", "/api/v1/groups", ROLE_VIEWER, NULL, res_groups},
    {"POST", "/api/v1/groups", ROLE_ENGINEER, "group_add", res_group_post},
    {"GET", "/api/v1/groups/{group}", ROLE_VIEWER, NULL, res_group},
    {"PATCH", "/api/v1/groups/{group}", ROLE_ENGINEER, "group_rename", res_group_rename},
    {"DELETE", "/api/v1/groups/{group}", ROLE_ENGINEER, "group_delete", res_group_delete},
    {"GET", "/api/v1/groups/{group}/devices", ROLE_VIEWER, NULL, res_group_members},
    {"GET", "/api/v1/devices/{endpoint}/series", ROLE_VIEWER, NULL, res_series},
    {"GET", "/api/v1/devices/{endpoint}/history", ROLE_VIEWER, NULL, res_history},
    {"GET", "/api/v1/devices/{endpoint}/export", ROLE_VIEWER, NULL, res_export},
    {"GET", "/api/v1/history", ROLE_VIEWER, NULL, res_history_aligned},
    {"GET", "/api/v1/devices/{endpoint}/timeline", ROLE_VIEWER, NULL, res_device_timeline},
    {"GET", "/api/v1/devices/{endpoint}/commands", ROLE_VIEWER, NULL, res_device_commands},
    {"POST", "/api/v1/devices/{endpoint}/commands", ROLE_OPERATOR, "command", res_command_post},
    {"GET", "/api/v1/devices/{endpoint}/credentials", ROLE_ENGINEER, NULL, res_credentials},
    {"POST", "/api/v1/devices/{endpoint}/credentials", ROLE_ENGINEER, "credential_issue",
     res_credential_post},
    {"DELETE", "/api/v1/devices/{endpoint}/credentials/{credential}", ROLE_ENGINEER,
     "credential_revoke", res_credential_delete},
    {"POST", "/api/v1/devices/{endpoint}/suspend", ROLE_ENGINEER, "suspended", res_device_suspend},
    {"POST", "/api/v1/devices/{endpoint}/resume", ROLE_ENGINEER, "active", res_device_resume},
    {"POST", "/api/v1/devices/{endpoint}/retire", ROLE_ADMIN, "retired", res_device_retire},
    {"GET", "/api/v1/credentials/ending", ROLE_ENGINEER, NULL, res_credentials_ending},
    {"GET", "/api/v1/identities/unknown", ROLE_ENGINEER, NULL, res_unknown},
    {"POST", "/api/v1/identities/unknown/{identity}/accept", ROLE_ENGINEER, "identity_accept",
     res_unknown_accept},
    {"POST", "/api/v1/identities/unknown/{identity}/refuse", ROLE_ENGINEER, "identity_refuse",
     res_unknown_refuse},
    {"GET", "/api/v1/devices/{endpoint}/storage", ROLE_VIEWER, NULL, res_device_storage},
    {"PUT", "/api/v1/devices/{endpoint}/storage", ROLE_ADMIN, "series_class",
     res_device_storage_put},
    {"GET", "/api/v1/storage", ROLE_VIEWER, NULL, res_storage},
    {"GET", "/api/v1/storage/devices", ROLE_VIEWER, NULL, res_storage_devices},
    {"GET", "/api/v1/storage/classes", ROLE_VIEWER, NULL, res_storage_classes},
    {"GET", "/api/v1/storage/classes/{class}", ROLE_VIEWER, NULL, res_storage_class},
    {"PUT", "/api/v1/storage/classes/{class}", ROLE_ADMIN, "class_change", res_storage_class_put},
    {"DELETE", "/api/v1/storage/classes/{class}", ROLE_ADMIN, "class_delete",
     res_storage_class_delete},
    {"GET", "/api/v1/storage/rules", ROLE_VIEWER, NULL, res_storage_rules},
    {"POST", "/api/v1/storage/rules", ROLE_ADMIN, "class_rule_add", res_storage_rule_post},
    {"PUT", "/api/v1/storage/rules/{rule}", ROLE_ADMIN, "class_rule_change", res_storage_rule_put},
    {"DELETE", "/api/v1/storage/rules/{rule}", ROLE_ADMIN, "class_rule_delete",
     res_storage_rule_delete},
    {"GET", "/api/v1/commands", ROLE_VIEWER, NULL, res_commands},
    {"GET", "/api/v1/commands/{id}", ROLE_VIEWER, NULL, res_command},
    {"POST", "/api/v1/commands/{id}/cancel", ROLE_OPERATOR, "command_cancel", res_command_cancel},
    {"GET", "/api/v1/timeline", ROLE_VIEWER, NULL, res_timeline},
    {"GET", "/api/v1/live", ROLE_VIEWER, NULL, res_live},

    {"GET", "/api/v1/models", ROLE_VIEWER, NULL, res_models},
    {"GET", "/api/v1/models/{object_id}", ROLE_VIEWER, NULL, res_model},
    {"GET", "/api/v1/connect", ROLE_VIEWER, NULL, res_connect},

    {"GET", "/api/v1/users", ROLE_ADMIN, NULL, res_users},
    {"POST", "/api/v1/users", ROLE_ADMIN, "user_add", res_user_post},
    {"DELETE", "/api/v1/users/{username}", ROLE_ADMIN, "user_delete", res_user_delete},
    {"POST", "/api/v1/users/{username}/password", ROLE_ADMIN, "user_password", res_user_password},
    {"GET", "/api/v1/tokens", ROLE_ADMIN, NULL, res_tokens},
    {"POST", "/api/v1/tokens", ROLE_ADMIN, "token_add", res_token_post},
    {"DELETE", "/api/v1/tokens/{id}", ROLE_ADMIN, "token_delete", res_token_delete},
    {"GET", "/api/v1/audit", ROLE_ADMIN, NULL, res_audit},

    {"GET", "/api/v1/openapi.yaml", ROLE_ANYONE, NULL, res_openapi},
    {"GET", "/healthz", ROLE_ANYONE, NULL, res_healthz},
    {"GET", "/readyz", ROLE_ANYONE, NULL, res_readyz},
    {"GET", "/metrics", ROLE_VIEWER, NULL, res_metrics},
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
