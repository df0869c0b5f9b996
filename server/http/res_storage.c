/* res_storage.c - what history takes on disk and how long it is kept.
 *
 * Looking is for everybody; classes, rules and the class of a series are an administrator's, and
 * audited with old and new. A rule that is made, changed or deleted is applied to the series there
 * are: to the first 20,000 before the answer, to the others in the background. */
#include "http/http_int.h"
#include "base/clock.h"
#include "store/retention.h"
#include "store/storage.h"

#include <stdio.h>

#define PATTERN_MAX  512
#define POSITION_MAX 1000000

static struct storage_limits limits_of(const struct request *r)
{
    const struct config *c = r->http->config;
    return (struct storage_limits){c->history_disk_limit_bytes,
                                   storage_volume(c->history_volume_dir)};
}

void res_storage(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e =
        db ? storage_report(db, (int64_t)clock_utc_ms(), limits_of(r), reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "storage");
}

void res_storage_devices(struct request *r)
{
    struct q_page page;
    struct str sort = request_query(r, "sort");
    if (sort.n && !str_is(sort, "-bytes")) {
        reply_problem(r, 400, "bad_parameter", "sort is -bytes.");
        return;
    }
    struct pg *db = request_page(r, &page) ? request_db(r) : NULL;
    if (db)
        reply_list_err(r, storage_devices(db, page, reply_json(r, 200)), "storage");
}

void res_device_storage(struct request *r)
{
    struct q_page page;
    if (!request_endpoint(r) || !request_page(r, &page))
        return;
    struct pg *db = request_db(r);
    if (db)
        reply_list_err(
            r, storage_device(db, (int64_t)clock_utc_ms(), r->params[0], page, reply_json(r, 200)),
            "device");
}

/* ---- members of a body ---- */

static bool refuse(struct request *r, const char *code, const char *why)
{
    reply_problem(r, 422, code, why);
    return false;
}

/* A whole number of the body; `missing` counts when it is not there (-1: it must be). */
static bool read_number(struct request *r, const char *key, int64_t hi, int64_t missing,
                        uint32_t *out)
{
    char why[120];
    int64_t v = missing;
    const struct json_node *n = json_get(r->body, key);
    bool given = n && n->kind != JSON_NULL;
    if (given ? !json_is_i64(n, &v) || v < 1 || v > hi : missing < 0) {
        snprintf(why, sizeof why, "%s is a whole number from 1 to %lld.", key, (long long)hi);
        return refuse(r, "bad_number", why);
    }
    *out = (uint32_t)v;
    return true;
}

/* A text of the body, 1 to `most` bytes; .p NULL if it is null or not there. */
static bool read_text(struct request *r, const char *key, size_t most, struct str *out)
{
    char why[120];
    const struct json_node *n = json_get(r->body, key);
    *out = (struct str){0};
    if (!n || n->kind == JSON_NULL)
        return true;
    if (json_is_str(n, out) && out->n && out->n <= most && str_utf8_valid(*out))
        return true;
    snprintf(why, sizeof why, "%s is a text of 1 to %zu bytes.", key, most);
    return refuse(r, "bad_text", why);
}

/* ---- classes ---- */

void res_storage_classes(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e = db ? retention_classes(db, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "class");
}

static void show_class(struct request *r, struct pg *db, int status)
{
    enum err e = retention_class(db, r->params[0], reply_json(r, status));
    if (e)
        reply_err(r, e, "class");
}

void res_storage_class(struct request *r)
{
    struct pg *db = request_db(r);
    if (db)
        show_class(r, db, 200);
}

void res_storage_class_put(struct request *r)
{
    struct retention_days days;
    struct retention_change change;
    if (!request_json(r) || !read_number(r, "raw_days", RETENTION_DAYS_MAX, -1, &days.raw) ||
        !read_number(r, "minute_days", RETENTION_DAYS_MAX, -1, &days.minute) ||
        !read_number(r, "hour_days", RETENTION_DAYS_MAX, -1, &days.hour))
        return;
    if (!retention_name_ok(r->params[0])) {
        refuse(r, "bad_name", "A class is named by 1 to 32 of a-z, 0-9 and -, a letter first.");
        return;
    }
    if (days.raw > days.minute || days.minute > days.hour) {
        refuse(r, "bad_number", "Minutes are kept as long as samples at least, hours as minutes.");
        return;
    }
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = retention_class_put(db, &r->arena, r->params[0], days, &change);
    if (e == ERR_FULL)
        reply_problem(r, 409, "too_many", "There are a hundred classes already.");
    else if (e)
        reply_err(r, e, "class");
    if (e)
        return;
    audit_change(r, change.old_json.p ? "class_change" : "class_add", r->params[0], change.old_json,
                 change.new_json);
    show_class(r, db, change.old_json.p ? 200 : 201);
}

void res_storage_class_delete(struct request *r)
{
    static const struct {
        const char *in_use, *words;
    } reasons[] = {
        {"standard", "The class of what no rule matches stays."},
        {"series", "There are series in this class; give them another one first."},
        {"rules", "There are rules for this class; delete them first."},
        {"history", "There is still history of this class; it goes when its time has come."},
    };
    const char *in_use = "";
    struct retention_change change;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = retention_class_delete(db, &r->arena, r->params[0], &in_use, &change);
    for (size_t i = 0; e == ERR_CONFLICT && i < sizeof reasons / sizeof *reasons; i++)
        if (!strcmp(in_use, reasons[i].in_use)) {
            reply_problem(r, 409, "class_in_use", reasons[i].words);
            return;
        }
    if (e) {
        reply_err(r, e, "class");
        return;
    }
    audit_change(r, "class_delete", r->params[0], change.old_json, (struct str){0});
    reply_empty(r, 204);
}

/* ---- rules ---- */

void res_storage_rules(struct request *r)
{
    struct pg *db = request_db(r);
    enum err e = db ? retention_rules(db, reply_json(r, 200)) : ERR_OK;
    if (e)
        reply_err(r, e, "rule");
}

static bool read_rule(struct request *r, struct retention_rule *rule)
{
    if (!request_json(r) || !read_number(r, "position", POSITION_MAX, 0, &rule->position) ||
        !read_text(r, "series", PATTERN_MAX, &rule->series) ||
        !read_text(r, "endpoint", PATTERN_MAX, &rule->endpoint) ||
        !read_text(r, "tag", LABEL_KEY_MAX, &rule->tag) ||
        !read_text(r, "value", LABEL_VALUE_MAX, &rule->value) ||
        !read_text(r, "group", LABEL_KEY_MAX, &rule->group) ||
        !request_member(r, "class", &rule->class_name))
        return false;
    if (!rule->series.p && !rule->endpoint.p && !rule->tag.p && !rule->group.p)
        return refuse(r, "bad_rule", "A rule needs one of series, endpoint, tag and group.");
    if (rule->value.p && !rule->tag.p)
        return refuse(r, "bad_rule", "A value goes with a tag.");
    return true;
}

/* Rules take effect on what is there; a failure is not the change's: the job catches up. */
static void apply_rules(struct pg *db)
{
    enum err e = retention_assign_again(db);
    (void)e; /* logged by the connection */
}

static void put_rule(struct request *r, int64_t id)
{
    char target[24];
    bool is_new = !id;
    struct retention_rule rule;
    struct retention_change change;
    struct pg *db = read_rule(r, &rule) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = retention_rule_put(db, &r->arena, &id, &rule, &change);
    if (e == ERR_CONFLICT)
        reply_problem(r, 422, "unknown_class", "There is no such class; make it first.");
    else if (e == ERR_FULL)
        reply_problem(r, 409, "too_many", "There are a hundred rules already.");
    else if (e)
        reply_err(r, e, "rule");
    if (e)
        return;
    snprintf(target, sizeof target, "%lld", (long long)id);
    audit_change(r, is_new ? "class_rule_add" : "class_rule_change", str_of(target),
                 change.old_json, change.new_json);
    apply_rules(db);
    e = retention_rule_get(db, id, reply_json(r, is_new ? 201 : 200));
    if (e)
        reply_err(r, e, "rule");
}

void res_storage_rule_post(struct request *r)
{
    put_rule(r, 0);
}

/* The {rule} of the path; false after answering. */
static bool rule_id(struct request *r, int64_t *id)
{
    if (!str_to_i64(r->params[0], id) && *id > 0)
        return true;
    reply_err(r, ERR_NOTFOUND, "rule");
    return false;
}

void res_storage_rule_put(struct request *r)
{
    int64_t id;
    if (rule_id(r, &id))
        put_rule(r, id);
}

void res_storage_rule_delete(struct request *r)
{
    int64_t id;
    struct retention_change change;
    struct pg *db = rule_id(r, &id) ? request_db(r) : NULL;
    if (!db)
        return;
    enum err e = retention_rule_delete(db, &r->arena, id, &change);
    if (e) {
        reply_err(r, e, "rule");
        return;
    }
    audit_change(r, "class_rule_delete", r->params[0], change.old_json, (struct str){0});
    apply_rules(db);
    reply_empty(r, 204);
}

/* ---- one series ---- */

void res_device_storage_put(struct request *r)
{
    struct str series, class_name;
    struct retention_change change;
    if (!request_endpoint(r) || !request_json(r) || !request_member(r, "series", &series) ||
        !read_text(r, "class", 32, &class_name))
        return;
    struct pg *db = request_db(r);
    if (!db)
        return;
    enum err e = retention_series_put(db, &r->arena, r->params[0], series, class_name, &change);
    if (e == ERR_CONFLICT)
        reply_problem(r, 422, "unknown_class", "There is no such class; make it first.");
    else if (e)
        reply_err(r, e, "series");
    if (e)
        return;
    audit_change(r, "series_class", r->params[0], change.old_json, change.new_json);
    json_raw(reply_json(r, 200), change.new_json);
}
