/* fake_storage.h - retention and disk use without a database: the classes standard and week, the
 * rule 7, dev-00 with the series spb:T. */
#ifndef BRAID_TESTS_FAKE_STORAGE_H
#define BRAID_TESTS_FAKE_STORAGE_H

#include "store/retention.h"
#include "store/storage.h"

static struct {
    struct retention_days days; /* of the last class put */
    uint32_t position;          /* ... and rule */
    bool by_rules;              /* the last series was given back to the rules */
    int applied;                /* how often the rules were */
    int64_t limit_bytes;
} fake_kept;

static const struct retention_change fake_change = {STR("{\"raw_days\":1}"),
                                                    STR("{\"raw_days\":2}")};

static bool fake_class(struct str name)
{
    return str_is(name, "standard") || str_is(name, "week");
}

bool retention_name_ok(struct str name)
{
    return name.n && name.p[0] >= 'a' && name.p[0] <= 'z';
}

enum err retention_classes(struct pg *db, struct json_out *j)
{
    (void)db;
    return fake_list((struct q_page){0}, j);
}

enum err retention_class(struct pg *db, struct str name, struct json_out *j)
{
    (void)db;
    json_open(j, '{');
    json_key(j, "name");
    json_str(j, name);
    json_close(j);
    return str_is(name, "nowhere") ? ERR_NOTFOUND : ERR_OK;
}

enum err retention_class_put(struct pg *db, struct arena *a, struct str name,
                             struct retention_days days, struct retention_change *out)
{
    (void)db, (void)a;
    fake_kept.days = days;
    *out = fake_change;
    if (!fake_class(name))
        out->old_json = (struct str){0};
    return str_is(name, "hundredth") ? ERR_FULL : ERR_OK;
}

enum err retention_class_delete(struct pg *db, struct arena *a, struct str name,
                                const char **in_use, struct retention_change *out)
{
    (void)db, (void)a;
    *in_use = "series";
    *out = (struct retention_change){.old_json = fake_change.old_json};
    return str_is(name, "standard") ? ERR_CONFLICT : fake_class(name) ? ERR_OK : ERR_NOTFOUND;
}

enum err retention_rules(struct pg *db, struct json_out *j)
{
    (void)db;
    return fake_list((struct q_page){0}, j);
}

enum err retention_rule_get(struct pg *db, int64_t id, struct json_out *j)
{
    (void)db;
    json_open(j, '{');
    json_key(j, "id");
    json_i64(j, id);
    json_close(j);
    return ERR_OK;
}

enum err retention_rule_put(struct pg *db, struct arena *a, int64_t *id,
                            const struct retention_rule *rule, struct retention_change *out)
{
    (void)db, (void)a;
    fake_kept.position = rule->position;
    *out = fake_change;
    if (!fake_class(rule->class_name))
        return ERR_CONFLICT;
    if (*id && *id != 7)
        return ERR_NOTFOUND;
    if (rule->position == 100)
        return ERR_FULL;
    *id = 7;
    return ERR_OK;
}

enum err retention_rule_delete(struct pg *db, struct arena *a, int64_t id,
                               struct retention_change *out)
{
    (void)db, (void)a;
    *out = fake_change;
    return id == 7 ? ERR_OK : ERR_NOTFOUND;
}

enum err retention_assign_again(struct pg *db)
{
    (void)db;
    fake_kept.applied++;
    return ERR_OK;
}

enum err retention_series_put(struct pg *db, struct arena *a, struct str endpoint,
                              struct str series, struct str class_name,
                              struct retention_change *out)
{
    (void)db, (void)a;
    fake_kept.by_rules = !class_name.p;
    *out = fake_change;
    if (!str_is(endpoint, "dev-00") || !str_is(series, "spb:T"))
        return ERR_NOTFOUND;
    return class_name.p && !fake_class(class_name) ? ERR_CONFLICT : ERR_OK;
}

int64_t storage_volume(const char *path)
{
    (void)path;
    return -1;
}

enum err storage_report(struct pg *db, int64_t now_ms, struct storage_limits limits,
                        struct json_out *j)
{
    (void)db, (void)now_ms;
    fake_kept.limit_bytes = limits.limit_bytes;
    return fake_list((struct q_page){0}, j);
}

enum err storage_devices(struct pg *db, struct q_page page, struct json_out *j)
{
    (void)db;
    return fake_list(page, j);
}

enum err storage_device(struct pg *db, int64_t now_ms, struct str endpoint, struct q_page page,
                        struct json_out *j)
{
    (void)db, (void)now_ms;
    return str_is(endpoint, "dev-00") ? fake_list(page, j) : ERR_NOTFOUND;
}

#endif
