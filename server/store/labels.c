/* labels.c - reading and changing the labels of devices; see labels.h.
 *
 * Lists of endpoints and terms travel as JSON parameters: the statements stay constant whatever
 * their number. */
#include "store/labels.h"

#include "store/pg_binary.h"
#include "store/q_page.h"

#include <stdio.h>

#define DEVICES_MAX ((size_t)16 << 20) /* that may have one label */
#define LOCK_EDITS  "SELECT pg_advisory_xact_lock(6, 1)"

static bool clean(struct str s, const char *refused)
{
    if (!str_utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || strchr(refused, s.p[i]))
            return false;
    return true;
}

bool label_key_ok(struct str key)
{
    return key.n >= 1 && key.n <= LABEL_KEY_MAX && clean(key, "=:,");
}

bool label_value_ok(struct str value)
{
    return value.n <= LABEL_VALUE_MAX && clean(value, "");
}

bool group_name_ok(struct str name)
{
    return name.n >= 1 && name.n <= LABEL_KEY_MAX && name.p[0] != ' ' &&
           name.p[name.n - 1] != ' ' && clean(name, "/,");
}

/* ["a","b"] in a buf the caller frees. */
static void put_names(struct buf *b, const struct str *names, size_t n)
{
    struct json_out j;
    buf_init(b, 64u << 20);
    json_out_init(&j, b);
    json_open(&j, '[');
    for (size_t i = 0; i < n; i++)
        json_str(&j, names[i]);
    json_close(&j);
}

/* ---- reading ---- */

/* tags_of and groups_of of the migrations, written out: per row a call of them would take most of
 * the time.  Without OFFSET both would be looked up once more for the hash. */
#define LABELS_OF                                                                                  \
    "SELECT w.n, l.tags, l.groups, md5(l.tags || l.groups) "                                       \
    "FROM json_array_elements_text($1::json) WITH ORDINALITY AS w(endpoint, n) "                   \
    "JOIN device d ON d.endpoint = w.endpoint CROSS JOIN LATERAL (SELECT "                         \
    "(SELECT coalesce(jsonb_object_agg(t.key, t.value), '{}'::jsonb)::text FROM device_tag t "     \
    "WHERE t.device_id = d.id) AS tags, "                                                          \
    "(SELECT coalesce(jsonb_agg(g.name ORDER BY g.name), '[]'::jsonb)::text FROM group_member m "  \
    "JOIN device_group g ON g.id = m.group_id WHERE m.device_id = d.id) AS groups OFFSET 0) l"

enum err labels_of(struct pg *db, struct arena *a, const struct str *endpoints, size_t n,
                   struct labels *out)
{
    struct buf names;
    struct pg_result *r = NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = (struct labels){0};
    put_names(&names, endpoints, n);
    struct str param = buf_view(&names);
    enum err e = names.err;
    if (!e)
        e = pg_prepared(db, "labels_of", LABELS_OF, &param, 1, &r);
    buf_fini(&names);
    if (e)
        return e;
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct labels *l = &out[pg_i64(r, i, 0) - 1];
        l->tags = arena_str(a, pg_text(r, i, 1));
        l->groups = arena_str(a, pg_text(r, i, 2));
        snprintf(l->version, sizeof l->version, "%.*s", STR_ARG(pg_text(r, i, 3)));
    }
    pg_result_free(r);
    return a->failed ? ERR_NOMEM : ERR_OK;
}

static void put_wants(struct buf *b, const struct label_want *want, size_t n)
{
    struct json_out j;
    buf_init(b, 1u << 20);
    json_out_init(&j, b);
    json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(&j, '{');
        json_key(&j, "n");
        json_u64(&j, i);
        if (want[i].group.p) {
            json_key(&j, "g");
            json_str(&j, want[i].group);
        } else {
            json_key(&j, "k");
            json_str(&j, want[i].key);
        }
        if (want[i].value.p) {
            json_key(&j, "v");
            json_str(&j, want[i].value);
        }
        json_close(&j);
    }
    json_close(&j);
}

#define IDS "array_agg(x.device_id) "

/* One row per term: the ids of the devices that have it, NULL when there are none.  Three look-ups
 * instead of one with "or": each has the index it needs. */
#define MATCH                                                                                      \
    "SELECT CASE WHEN w.g IS NOT NULL THEN (SELECT " IDS "FROM group_member x "                    \
    "WHERE x.group_id = (SELECT id FROM device_group WHERE name = w.g)) "                          \
    "WHEN w.v IS NOT NULL THEN (SELECT " IDS "FROM device_tag x WHERE x.key = w.k "                \
    "AND x.value = w.v) "                                                                          \
    "ELSE (SELECT " IDS "FROM device_tag x WHERE x.key = w.k) END "                                \
    "FROM json_to_recordset($1::json) AS w(n integer, k text, v text, g text)"

/* Sets the bits of the ids up to `highest`; of others no other term can make a match. */
static void set_bits(const int64_t *ids, size_t n, int64_t highest, uint64_t *bits)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] <= highest)
            bits[ids[i] / 64] |= (uint64_t)1 << (ids[i] % 64);
}

/* Of the terms so far: the bits of the devices that have them all. */
struct match {
    struct arena *arena, scratch; /* the bits' and one term's ids' */
    uint64_t *all, *one;
    size_t words;
    int64_t highest;
};

static enum err match_first(struct match *m, const int64_t *ids, size_t n)
{
    m->highest = -1;
    for (size_t i = 0; i < n; i++)
        m->highest = ids[i] > m->highest ? ids[i] : m->highest;
    m->words = (size_t)(m->highest + 1) / 64 + 1;
    m->all = arena_calloc(m->arena, m->words, sizeof *m->all);
    m->one = arena_alloc(m->arena, m->words * sizeof *m->one);
    if (!m->all || !m->one)
        return ERR_NOMEM;
    set_bits(ids, n, m->highest, m->all);
    return ERR_OK;
}

static enum err match_term(void *ctx, const struct pg_result *row)
{
    struct match *m = ctx;
    const int64_t *ids;
    size_t n;
    arena_reset(&m->scratch);
    enum err e = pg_get_i64s(&m->scratch, pg_text(row, 0, 0), DEVICES_MAX, &ids, &n);
    if (e)
        return e;
    if (!m->all)
        return match_first(m, ids, n);
    memset(m->one, 0, m->words * sizeof *m->one);
    set_bits(ids, n, m->highest, m->one);
    for (size_t k = 0; k < m->words; k++)
        m->all[k] &= m->one[k];
    return ERR_OK;
}

enum err labels_match(struct pg *db, struct arena *a, const struct label_want *want, size_t n,
                      uint64_t **bits, size_t *n_bits)
{
    struct buf terms;
    struct match m = {.arena = a, .highest = -1};
    put_wants(&terms, want, n);
    struct str param = buf_view(&terms);
    enum err e = terms.err;
    arena_init(&m.scratch, 1u << 20, DEVICES_MAX * sizeof(int64_t));
    if (!e)
        e = pg_prepared_each(db, "labels_match", MATCH, &param, 1, match_term, &m);
    arena_fini(&m.scratch);
    buf_fini(&terms);
    *bits = m.all;
    *n_bits = (size_t)(m.highest + 1);
    return e;
}

/* ---- changing ---- */

/* The groups to join that do not exist. */
static enum err find_missing(struct pg *db, struct arena *a, struct str join, struct str *missing)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT w.name FROM json_array_elements_text(coalesce($1::json, '[]')) "
                         "AS w(name) WHERE NOT EXISTS (SELECT FROM device_group g "
                         "WHERE g.name = w.name) LIMIT 1",
                         &join, 1, &r);
    if (e)
        return e;
    if (pg_rows(r)) {
        *missing = arena_str(a, pg_text(r, 0, 0));
        e = ERR_NOTFOUND;
    }
    pg_result_free(r);
    return e;
}

/* All parts of the statement see the labels as they were; `verdict` decides per device, the others
 * write what it decided. */
#define EDIT                                                                                       \
    "WITH want AS (SELECT w.endpoint, min(w.n) AS n FROM jsonb_array_elements_text($1::jsonb) "    \
    "WITH ORDINALITY AS w(endpoint, n) GROUP BY w.endpoint), "                                     \
    "state AS (SELECT w.n, w.endpoint, d.id, tags_of(d.id) AS tags, groups_of(d.id) AS groups "    \
    "FROM want w LEFT JOIN device d ON d.endpoint = w.endpoint), "                                 \
    "plan AS (SELECT s.*, (CASE WHEN $2::boolean THEN '{}'::jsonb ELSE s.tags - ARRAY(SELECT "     \
    "jsonb_array_elements_text($5::jsonb)) END) || $4::jsonb AS new_tags, "                        \
    "(SELECT coalesce(jsonb_agg(g.name ORDER BY g.name), '[]'::jsonb) FROM device_group g WHERE "  \
    "(NOT $3::boolean AND s.groups ? g.name AND NOT ($7::jsonb ? g.name)) OR $6::jsonb ? g.name) " \
    "AS new_groups FROM state s), "                                                                \
    "verdict AS MATERIALIZED (SELECT p.*, CASE WHEN p.id IS NULL THEN 'not_found' "                \
    "WHEN md5(p.tags::text || p.groups::text) <> $8 THEN 'stale' "                                 \
    "WHEN (SELECT count(*) FROM jsonb_object_keys(p.new_tags)) > $9::bigint THEN 'too_many_tags' " \
    "WHEN jsonb_array_length(p.new_groups) > $10::bigint THEN 'too_many_groups' "                  \
    "WHEN p.tags = p.new_tags AND p.groups = p.new_groups THEN 'unchanged' "                       \
    "ELSE 'changed' END AS result FROM plan p), "                                                  \
    "doomed AS (DELETE FROM device_tag t USING verdict v WHERE v.result = 'changed' "              \
    "AND t.device_id = v.id AND NOT (v.new_tags ? t.key)), "                                       \
    "put AS (INSERT INTO device_tag (device_id, key, value) SELECT v.id, e.key, e.value "          \
    "FROM verdict v, jsonb_each_text(v.new_tags) e WHERE v.result = 'changed' "                    \
    "AND v.tags ->> e.key IS DISTINCT FROM e.value "                                               \
    "ON CONFLICT (device_id, key) DO UPDATE SET value = excluded.value), "                         \
    "gone AS (DELETE FROM group_member m USING verdict v, device_group g "                         \
    "WHERE v.result = 'changed' AND m.device_id = v.id AND g.id = m.group_id "                     \
    "AND NOT (v.new_groups ? g.name)), "                                                           \
    "came AS (INSERT INTO group_member (group_id, device_id) SELECT g.id, v.id FROM verdict v "    \
    "JOIN device_group g ON v.new_groups ? g.name WHERE v.result = 'changed' "                     \
    "ON CONFLICT DO NOTHING), "                                                                    \
    "said AS (INSERT INTO audit_log (who, remote, action, target, detail) SELECT $11, "            \
    "coalesce($12, ''), 'device_labels', v.endpoint, json_build_object("                           \
    "'old', json_build_object('tags', v.tags, 'groups', v.groups), "                               \
    "'new', json_build_object('tags', v.new_tags, 'groups', v.new_groups)) "                       \
    "FROM verdict v WHERE v.result = 'changed' ORDER BY v.n) "                                     \
    "SELECT endpoint, result FROM verdict ORDER BY n"

static struct str word(bool v)
{
    return v ? (struct str)STR("true") : (struct str)STR("false");
}

static struct str or_empty(struct str json, const char *empty)
{
    return json.p ? json : str_of(empty);
}

static enum err edit(struct pg *db, struct str endpoints, const struct label_edit *ed,
                     struct pg_result **r)
{
    char tags[24], groups[24];
    return pg_exec(db, EDIT,
                   (struct str[]){endpoints, word(ed->replace_tags), word(ed->replace_groups),
                                  or_empty(ed->set, "{}"), or_empty(ed->remove, "[]"),
                                  or_empty(ed->join, "[]"), or_empty(ed->leave, "[]"),
                                  ed->if_version, q_number(tags, LABEL_TAGS_MAX),
                                  q_number(groups, LABEL_GROUPS_MAX), ed->who, ed->from},
                   12, r);
}

enum err labels_edit(struct pg *db, struct arena *a, const struct str *endpoints, size_t n,
                     const struct label_edit *ed, struct label_result *out, size_t *n_out,
                     struct str *missing)
{
    struct buf names;
    struct pg_result *r = NULL;
    put_names(&names, endpoints, n);
    enum err e = names.err ? names.err : pg_script(db, "BEGIN; " LOCK_EDITS);
    if (e)
        goto out;
    e = find_missing(db, a, ed->join, missing);
    if (!e)
        e = edit(db, buf_view(&names), ed, &r);
    if (!e)
        e = pg_script(db, "COMMIT");
    if (e && pg_script(db, "ROLLBACK"))
        e = ERR_DB; /* the pool gives up such a connection */
    for (size_t i = 0; !e && i < pg_rows(r); i++) {
        out[i].endpoint = arena_str(a, pg_text(r, i, 0));
        out[i].result = arena_str(a, pg_text(r, i, 1));
        *n_out = i + 1;
    }
    if (!e && a->failed)
        e = ERR_NOMEM;
out:
    pg_result_free(r);
    buf_fini(&names);
    return e;
}

/* ---- lists ---- */

enum err labels_tags(struct pg *db, struct json_out *j)
{
    struct pg_result *r;
    enum err e = pg_exec(db,
                         "SELECT key, sum(n), json_agg(json_build_object('value', value, "
                         "'devices', n) ORDER BY n DESC, value) FILTER (WHERE place <= 100) "
                         "FROM (SELECT key, value, count(*) AS n, row_number() OVER "
                         "(PARTITION BY key ORDER BY count(*) DESC, value) AS place "
                         "FROM device_tag GROUP BY key, value) v GROUP BY key ORDER BY key "
                         "LIMIT 1000",
                         NULL, 0, &r);
    if (e)
        return e;
    q_list_open(j);
    for (size_t i = 0; i < pg_rows(r); i++) {
        json_open(j, '{');
        q_put_text(j, "key", r, i, 0);
        json_key(j, "devices");
        json_i64(j, pg_i64(r, i, 1));
        q_put_json(j, "values", r, i, 2);
        json_close(j);
    }
    q_list_close(j);
    pg_result_free(r);
    return ERR_OK;
}
