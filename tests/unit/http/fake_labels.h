/* fake_labels.h - labels without a database: dev-01 and dev-02 are tagged site=oslo and in the
 * group north; there is no group "nowhere". */
#ifndef BRAID_TESTS_FAKE_LABELS_H
#define BRAID_TESTS_FAKE_LABELS_H

#include "store/labels.h"

#include <stdio.h>

#define FAKE_VERSION "0123456789abcdef0123456789abcdef"

static struct {
    size_t devices;      /* of the last edit */
    char first[65];      /* its first one */
    char set[200];       /* what it set */
    bool replace_groups; /* ... and how */
} fake_edit;

bool label_key_ok(struct str key)
{
    return key.n >= 1 && key.n <= LABEL_KEY_MAX && !memchr(key.p, '=', key.n);
}

bool label_value_ok(struct str value)
{
    return value.n <= LABEL_VALUE_MAX;
}

bool group_name_ok(struct str name)
{
    return name.n >= 1 && name.n <= LABEL_KEY_MAX && !memchr(name.p, '/', name.n);
}

static bool fake_tagged(struct str endpoint)
{
    return str_is(endpoint, "dev-01") || str_is(endpoint, "dev-02");
}

enum err labels_of(struct pg *db, struct arena *a, const struct str *endpoints, size_t n,
                   struct labels *out)
{
    (void)db, (void)a;
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct labels){.version = FAKE_VERSION};
        if (!str_starts(endpoints[i], "dev-"))
            continue;
        out[i].tags = str_of(fake_tagged(endpoints[i]) ? "{\"site\": \"oslo\"}" : "{}");
        out[i].groups = str_of(fake_tagged(endpoints[i]) ? "[\"north\"]" : "[]");
    }
    return ERR_OK;
}

enum err labels_match(struct pg *db, struct arena *a, const struct label_want *want, size_t n,
                      uint64_t **bits, size_t *n_bits)
{
    (void)db;
    *bits = arena_calloc(a, 1, sizeof **bits);
    **bits = 1u << 1 | 1u << 2;
    *n_bits = 3;
    for (size_t i = 0; i < n; i++)
        if (!(want[i].group.p ? str_is(want[i].group, "north")
                              : str_is(want[i].key, "site") &&
                                    (!want[i].value.p || str_is(want[i].value, "oslo"))))
            *n_bits = 0;
    return ERR_OK;
}

enum err labels_edit(struct pg *db, struct arena *a, const struct str *endpoints, size_t n,
                     const struct label_edit *edit, struct label_result *out, size_t *n_out,
                     struct str *missing)
{
    (void)db, (void)a;
    if (edit->join.p && memmem(edit->join.p, edit->join.n, "nowhere", 7)) {
        *missing = str_of("nowhere");
        return ERR_NOTFOUND;
    }
    fake_edit.devices = n;
    fake_edit.replace_groups = edit->replace_groups;
    snprintf(fake_edit.first, sizeof fake_edit.first, "%.*s", n ? (int)endpoints[0].n : 0,
             n ? endpoints[0].p : "");
    snprintf(fake_edit.set, sizeof fake_edit.set, "%.*s", STR_ARG(edit->set));
    for (size_t i = 0; i < n; i++) {
        bool stale = edit->if_version.p && !str_is(edit->if_version, FAKE_VERSION);
        out[i].endpoint = endpoints[i];
        out[i].result = str_of(stale                              ? "stale"
                               : str_starts(endpoints[i], "dev-") ? "changed"
                               : str_starts(endpoints[i], "full") ? "too_many_tags"
                                                                  : "not_found");
    }
    *n_out = n;
    return ERR_OK;
}

static enum err fake_list(struct q_page page, struct json_out *j)
{
    if (page.cursor.p)
        return ERR_INVALID;
    json_raw(j, (struct str)STR("{\"items\":[],\"next\":null}"));
    return ERR_OK;
}

enum err labels_tags(struct pg *db, struct json_out *j)
{
    (void)db;
    return fake_list((struct q_page){0}, j);
}

enum err labels_list(struct pg *db, struct q_page page, struct json_out *j)
{
    (void)db;
    return fake_list(page, j);
}

enum err groups_list(struct pg *db, struct q_page page, struct json_out *j)
{
    (void)db;
    return fake_list(page, j);
}

enum err group_get(struct pg *db, struct str name, char version[LABEL_VERSION], struct json_out *j)
{
    (void)db;
    memcpy(version, FAKE_VERSION, LABEL_VERSION);
    json_open(j, '{');
    json_key(j, "name");
    json_str(j, name);
    json_close(j);
    return str_is(name, "nowhere") ? ERR_NOTFOUND : ERR_OK;
}

enum err group_members(struct pg *db, struct str name, struct q_page page, struct json_out *j)
{
    (void)db;
    return str_is(name, "nowhere") ? ERR_NOTFOUND : fake_list(page, j);
}

enum err group_insert(struct pg *db, struct str name)
{
    (void)db;
    return str_is(name, "north") ? ERR_EXISTS : ERR_OK;
}

enum err group_rename(struct pg *db, struct str name, struct str new_name, struct str if_version)
{
    (void)db, (void)new_name;
    if (str_is(name, "nowhere"))
        return ERR_NOTFOUND;
    return if_version.p && !str_is(if_version, FAKE_VERSION) ? ERR_AGAIN : ERR_OK;
}

enum err group_delete(struct pg *db, struct str name, struct str if_version, int64_t *members)
{
    *members = 2;
    return group_rename(db, name, name, if_version);
}

#endif
