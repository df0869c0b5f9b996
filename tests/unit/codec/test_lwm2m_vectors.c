/* Every vector of tests/data/lwm2m_vectors.json goes through its codec and, where we can encode
 * the format, back again.  The file says where each vector comes from. */
#include "codec_test.h"

#include "codec/json_in.h"
#include "codec/lwm2m_args.h"
#include "codec/lwm2m_attrs.h"
#include "codec/lwm2m_content.h"
#include "codec/lwm2m_corelink.h"
#include "codec/lwm2m_msg.h"
#include "codec/msg_oma_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Vectors that contradict the text they come from, and what we do instead. */
static const struct {
    const char *id;
    bool accepted;
    const char *reason;
} deviations[] = {
    {"wakaama-cbor-60", true, "a string in chunks is legal CBOR, as the vector's note says"},
    {"wakaama-cbor-61", true, "a string in chunks is legal CBOR, as the vector's note says"},
    {"wakaama-senml-cbor-31-buffer", true, "the note allows reading indefinite maps"},
    {"anjay-tlv-integer-c401fcde41b2", true, "fcde41b2 is -52543054, the file says -52542030"},
    {"anjay-tlv-long-headers", false, "prose; tlv_long_headers_carry_their_lengths does it"},
};

struct vector {
    struct arena *a;
    struct str id, format, bytes, path;
    const struct json_node *decoded;
    unsigned ct;
};

/* Gateway prefixes and names of other RFCs: no place in a path, so the body must be refused. */
#define FOREIGN_NAMES 15
static unsigned foreign_seen;

static const struct json_node *load(struct arena *a)
{
    struct json_node *root = NULL;
    FILE *f = fopen(TEST_DATA "/lwm2m_vectors.json", "rb");
    assert_non_null(f);
    char *text = arena_alloc(a, 1 << 20);
    assert_non_null(text);
    size_t n = fread(text, 1, 1 << 20, f);
    fclose(f);
    assert_int_equal(json_parse(a, str_make(text, n), 1000000, &root), ERR_OK);
    return root;
}

static struct str member(const struct json_node *n, const char *key)
{
    struct str s = {0};
    json_is_str(json_get(n, key), &s);
    return s;
}

/* ---- comparing with what the file says ---- */

static bool expected_path(struct str text, struct lw_path *out)
{
    if (str_starts(text, "/lwm2m/"))
        text = str_make(text.p + 6, text.n - 6);
    return !lw_path_parse_new(text, out);
}

static double expected_double(const struct json_node *n)
{
    double f = 0;
    struct str s;
    if (json_is_str(n, &s) && str_is(s, "nan"))
        return NAN;
    if (json_is_str(n, &s) && str_is(s, "inf"))
        return INFINITY;
    if (json_is_str(n, &s) && str_is(s, "-inf"))
        return -INFINITY;
    assert_true(json_is_double(n, &f));
    return f;
}

static bool same_float(const struct json_node *n, double f)
{
    double want = expected_double(n);
    return want == f || (isnan(want) && isnan(f));
}

static bool same_value(struct arena *a, const struct json_node *want, struct lw_value v)
{
    int64_t i;
    uint64_t u;
    bool b;
    char link[LW_OBJLNK_TEXT];
    if (!want || want->kind == JSON_NULL)
        return v.type == LW_NONE;
    if (want->kind == JSON_OBJECT && json_get(want, "tag"))
        return same_value(a, json_get(want, "value"), v);
    switch (v.type) {
    case LW_STRING:
    case LW_CORELNK:
        return want->kind == JSON_STRING && str_eq(want->text, v.s);
    case LW_INTEGER:
        return json_is_i64(want, &i) && i == v.i;
    case LW_TIME: /* tag 0 is written as text in the file */
        if (want->kind == JSON_STRING) {
            struct lw_value w = {.type = LW_STRING, .s = want->text};
            return !lw_value_coerce(a, LW_TIME, &w) && w.i == v.i;
        }
        return json_is_i64(want, &i) && i == v.i;
    case LW_UNSIGNED:
        return json_is_u64(want, &u) && u == v.u;
    case LW_FLOAT:
        return same_float(want, v.f);
    case LW_BOOLEAN:
        return json_is_bool(want, &b) && b == v.b;
    case LW_OPAQUE:
        return want->kind == JSON_OBJECT && str_eq(unhex(a, member(want, "hex")), v.s);
    case LW_OBJLNK:
        return want->kind == JSON_STRING &&
               str_eq(want->text, str_make(link, lw_objlnk_text(v, link)));
    default:
        return false;
    }
}

static bool type_of_word(struct str word, enum lw_type *out)
{
    if (str_is(word, "unsigned_integer"))
        word = str_of("unsigned");
    return lw_type_from(word, out); /* "number" is none of ours: the wire decides */
}

/* The model of a test: what the file says of each resource. */
static struct lw_resource_type lookup(void *ctx, uint16_t object, uint16_t resource)
{
    const struct vector *v = ctx;
    struct lw_resource_type t = {0};
    if (v->decoded->kind == JSON_OBJECT) {
        t.known = type_of_word(member(v->decoded, "type"), &t.type);
        return t;
    }
    for (const struct json_node *n = v->decoded->child; n; n = n->next) {
        struct lw_path p;
        if (expected_path(member(n, "path"), &p) && p.n >= 3 && p.id[0] == object &&
            p.id[2] == resource) {
            t.known = type_of_word(member(n, "type"), &t.type);
            break;
        }
    }
    return t;
}

static bool same_entry(struct arena *a, const struct json_node *want, const struct lw_entry *e)
{
    struct lw_path p;
    const struct json_node *time = json_get(want, "time");
    double seconds = 0;
    if (time)
        assert_true(json_is_double(time, &seconds));
    return expected_path(member(want, "path"), &p) && lw_path_eq(p, e->path) &&
           e->time_ms == llround(seconds * 1000) &&
           same_value(a, json_get(want, "value"), e->value);
}

static bool list_is(struct arena *a, const struct json_node *want, const struct lw_entries *got)
{
    const struct json_node *n = want->child;
    if (want->n != got->n)
        return false;
    for (size_t i = 0; i < got->n; i++, n = n->next)
        if (!same_entry(a, n, &got->v[i]))
            return false;
    return true;
}

static bool paths_are(const struct json_node *want, const struct lw_entries *got)
{
    const struct json_node *n = want->child;
    if (want->n != got->n)
        return false;
    for (size_t i = 0; i < got->n; i++, n = n->next) {
        struct lw_path p;
        if (!expected_path(n->text, &p) || !lw_path_eq(p, got->v[i].path) ||
            got->v[i].value.type != LW_NONE)
            return false;
    }
    return true;
}

static bool has_foreign_name(const struct json_node *decoded)
{
    struct lw_path p;
    const struct json_node *list = decoded;
    if (decoded->kind == JSON_OBJECT)
        list =
            json_get(decoded, "paths") ? json_get(decoded, "paths") : json_get(decoded, "remove");
    for (const struct json_node *n = list ? list->child : NULL; n; n = n->next) {
        struct str text = n->kind == JSON_STRING ? n->text : member(n, "path");
        if (text.p && !expected_path(text, &p))
            return true;
    }
    return false;
}

/* ---- content formats ---- */

/* We send no tags, so a time nobody's model knows comes back as the integer it is. */
static struct lw_value untagged(struct lw_value v)
{
    if (v.type == LW_TIME)
        v.type = LW_INTEGER;
    return v;
}

static bool found_again(const struct lw_entries *list, const struct lw_entry *e)
{
    for (size_t i = 0; i < list->n; i++)
        if (lw_path_eq(list->v[i].path, e->path) && list->v[i].time_ms == e->time_ms &&
            lw_value_eq(untagged(list->v[i].value), untagged(e->value)))
            return true;
    return false;
}

static bool survives_round_trip(const struct vector *v, struct lw_path base, struct lw_typer typer,
                                const struct lw_entries *first)
{
    struct buf out;
    struct lw_entries again = {0};
    bool same = true;
    buf_init(&out, 1 << 20);
    enum err e = lw_encode(v->ct, base, first, &out);
    if (v->ct == LW_CT_OMA_JSON) {
        same = e == ERR_UNSUPPORTED;
    } else if (e) {
        print_error("%.*s: encode: %s\n", STR_ARG(v->id), err_word(e));
        same = false;
    } else {
        e = lw_decode(v->a, v->ct, buf_view(&out), base, typer, &again);
        same = !e && again.n == first->n;
        for (size_t i = 0; i < first->n && same; i++)
            same = found_again(&again, &first->v[i]);
        if (!same)
            print_error("%.*s: did not survive the round trip (%s)\n", STR_ARG(v->id), err_word(e));
    }
    buf_fini(&out);
    return same;
}

static struct lw_path base_of(const struct vector *v)
{
    if (v->path.p)
        return path_of(v->path.n ? (const char *)v->path.p : "/");
    if (v->ct == LW_CT_TEXT || v->ct == LW_CT_CBOR)
        return path_of("/0/0/0");
    if (v->ct == LW_CT_TLV)
        return path_of("/0");
    return path_of("/");
}

static bool check_content(const struct vector *v)
{
    struct lw_typer typer = {lookup, (void *)(uintptr_t)v};
    struct lw_entries got = {0};
    struct lw_path base = base_of(v);
    if (has_foreign_name(v->decoded)) {
        foreign_seen++;
        return lw_decode(v->a, v->ct, v->bytes, base, typer, &got) != ERR_OK;
    }
    enum err e = lw_decode(v->a, v->ct, v->bytes, base, typer, &got);
    if (e) {
        print_error("%.*s: %s\n", STR_ARG(v->id), err_word(e));
        return false;
    }
    const struct json_node *paths = json_get(v->decoded, "paths");
    bool same;
    if (paths)
        return paths_are(paths, &got);
    if (v->decoded->kind == JSON_OBJECT)
        same = got.n == 1 && same_value(v->a, json_get(v->decoded, "value"), got.v[0].value);
    else
        same = list_is(v->a, v->decoded, &got);
    return same && survives_round_trip(v, base, typer, &got);
}

/* Vectors that show TLV structure instead of paths: instances of object 0, or resources of /0/0,
 * every one opaque for want of a model. */
static bool check_tlv_tree(const struct vector *v)
{
    struct lw_entries got = {0};
    struct lw_typer nobody = {0};
    bool instances = str_is(member(v->decoded->child, "kind"), "OI");
    size_t i = 0;
    if (lw_decode(v->a, LW_CT_TLV, v->bytes, path_of(instances ? "/0" : "/0/0"), nobody, &got))
        return false;
    for (const struct json_node *n = v->decoded->child; n; n = n->next) {
        const struct json_node *r = instances ? json_get(n, "value")->child : n;
        int64_t iid = 0, rid = 0;
        if (instances)
            assert_true(json_is_i64(json_get(n, "id"), &iid));
        for (; r; r = instances ? r->next : NULL, i++) {
            assert_true(json_is_i64(json_get(r, "id"), &rid));
            if (i >= got.n || got.v[i].path.id[1] != iid || got.v[i].path.id[2] != rid ||
                !str_eq(got.v[i].value.s, unhex(v->a, member(r, "hex"))))
                return false;
        }
    }
    return i == got.n;
}

/* ---- link format, attributes, arguments ---- */

static bool check_links(const struct vector *v)
{
    struct lw_links links, again;
    struct buf out;
    const struct json_node *want = json_get(v->decoded, "links");
    if (lw_links_parse(v->a, v->bytes, &links) || links.n != want->n)
        return false;
    const struct json_node *n = want->child;
    for (size_t i = 0; i < links.n; i++, n = n->next) {
        const struct json_node *attrs = json_get(n, "attrs");
        if (!str_eq(links.v[i].uri, member(n, "uri")) || links.v[i].n_attrs != attrs->n)
            return false;
        size_t k = 0;
        for (const struct json_node *at = attrs->child; at; at = at->next, k++) {
            struct str value = at->text, key = str_cut(&value, '=');
            if (value.n && value.p[0] == '"')
                value = str_make(value.p + 1, value.n - 2);
            if (!str_eq(links.v[i].attrs[k].key, key) || !str_eq(links.v[i].attrs[k].value, value))
                return false;
        }
    }
    buf_init(&out, 1 << 20);
    lw_links_write(&out, &links);
    bool same = !lw_links_parse(v->a, buf_view(&out), &again) && again.n == links.n;
    for (size_t i = 0; same && i < links.n; i++)
        same = str_eq(links.v[i].uri, again.v[i].uri) && links.v[i].n_attrs == again.v[i].n_attrs &&
               links.v[i].is_path == again.v[i].is_path;
    buf_fini(&out);
    return same;
}

static bool check_attributes(const struct vector *v)
{
    struct lw_attrs attrs;
    size_t seen = 0;
    if (lw_attrs_parse(v->bytes, &attrs))
        return false;
    for (unsigned i = 0; i < LW_ATTR_COUNT; i++) {
        const struct json_node *n = json_get(v->decoded, lw_attr_words[i]);
        double want = 0;
        seen += n != NULL;
        bool set = attrs.set >> i & 1, unset = attrs.unset >> i & 1;
        if (json_is_double(n, &want) != set || (set && attrs.v[i] != want) ||
            unset != (n && n->kind == JSON_NULL))
            return false;
    }
    return seen == v->decoded->n;
}

static bool check_args(const struct vector *v)
{
    struct lw_args args;
    unsigned i = 0;
    if (lw_args_parse(v->bytes, &args) || args.n != v->decoded->n)
        return false;
    for (const struct json_node *n = v->decoded->child; n; n = n->next, i++) {
        int64_t digit;
        if (!json_is_i64(json_get(n, "digit"), &digit) || args.order[i] != digit)
            return false;
    }
    return true;
}

/* ---- MQTT messages ---- */

static bool map_is(struct arena *a, const struct json_node *want, const struct oma_map *m)
{
    size_t have = (size_t)__builtin_popcount(m->has);
    for (const struct json_node *n = want->child; n; n = n->next) {
        uint64_t key = 0, u;
        if (str_to_u64(n->key, &key) || key >= OMA_KEY_END || !oma_has(m, (enum oma_key)key))
            return false;
        struct str s = m->s[key];
        bool same = n->kind == JSON_STRING           ? str_eq(n->text, s)
                    : n->kind == JSON_OBJECT         ? str_eq(unhex(a, member(n, "hex")), s)
                    : key == OMA_GT || key == OMA_ST ? same_float(n, m->f[key])
                                                     : json_is_u64(n, &u) && u == m->u[key];
        if (!same)
            return false;
    }
    return have == want->n;
}

/* On rd each message is one side's: the other must take it for an echo. */
static bool check_sides(const struct vector *v, const struct oma_map *m)
{
    struct str topic = member(v->decoded, "topic");
    struct lw_uplink up;
    struct lw_downlink down;
    struct lw_typer nobody = {0};
    enum lw_down op;
    if (!topic.p || memchr(topic.p, '<', topic.n) || !oma_has(m, OMA_OPERATION))
        return true;
    bool from_server = oma_is_down(m->u[OMA_OPERATION], &op);
    enum err server = msg_oma_decode(v->a, topic, v->bytes, &up);
    if (memmem(topic.p, topic.n, "/bs/", 4))
        return server == (m->u[OMA_OPERATION] ? ERR_NOTFOUND : ERR_OK);
    enum err device = msg_oma_decode_down(v->a, topic, v->bytes, nobody, &down);
    return from_server ? server == ERR_NOTFOUND && device == ERR_OK && down.op == op
                       : server == ERR_OK && device == ERR_NOTFOUND;
}

static bool check_message(const struct vector *v)
{
    struct oma_map m, again;
    struct buf out;
    const struct json_node *outer = json_get(v->decoded, "outer");
    const struct json_node *want =
        outer ? json_get(outer, "lwm2m-message") : json_get(v->decoded, "map");
    if (oma_read(v->a, v->bytes, &m) || !map_is(v->a, want, &m) || !check_sides(v, &m))
        return false;
    buf_init(&out, 1 << 20);
    oma_write(&out, &m);
    bool same = !oma_read(v->a, buf_view(&out), &again) && map_is(v->a, want, &again);
    buf_fini(&out);
    return same;
}

/* ---- all of them ---- */

static const struct {
    const char *format;
    bool (*check)(const struct vector *v);
    unsigned ct;
} formats[] = {
    {"lwm2m-cbor (11544)", check_content, LW_CT_LWM2M_CBOR},
    {"cbor (60)", check_content, LW_CT_CBOR},
    {"senml-cbor (112)", check_content, LW_CT_SENML_CBOR},
    {"senml-json (110)", check_content, LW_CT_SENML_JSON},
    {"senml-etch-json (320)", check_content, LW_CT_ETCH_JSON},
    {"senml-etch-cbor (322)", check_content, LW_CT_ETCH_CBOR},
    {"oma-json (11543)", check_content, LW_CT_OMA_JSON},
    {"tlv (11542)", check_content, LW_CT_TLV},
    {"text/plain (0)", check_content, LW_CT_TEXT},
    {"link-format (40)", check_links, 0},
    {"write-attributes query", check_attributes, 0},
    {"execute-args", check_args, 0},
    {"mqtt-message (CBOR, T \xc2\xa7"
     "8)",
     check_message, 0},
};

static bool is_refused(const struct vector *v, bool (*check)(const struct vector *))
{
    struct lw_entries got;
    struct lw_typer nobody = {0};
    struct lw_args args;
    if (check == check_args)
        return lw_args_parse(v->bytes, &args) != ERR_OK;
    return lw_decode(v->a, v->ct, v->bytes, base_of(v), nobody, &got) != ERR_OK;
}

static bool is_accepted(const struct vector *v)
{
    struct lw_entries got;
    struct lw_typer nobody = {0};
    return lw_decode(v->a, v->ct, v->bytes, base_of(v), nobody, &got) == ERR_OK && got.n == 1;
}

static bool run(struct arena *a, const struct json_node *n)
{
    struct str text = member(n, "text");
    struct vector v = {.a = a,
                       .id = member(n, "id"),
                       .format = member(n, "format"),
                       .bytes = text.p ? text : unhex(a, member(n, "hex")),
                       .path = member(n, "path"),
                       .decoded = json_get(n, "decoded")};
    for (size_t i = 0; i < sizeof deviations / sizeof deviations[0]; i++)
        if (str_is(v.id, deviations[i].id) && !deviations[i].accepted)
            return true;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!str_is(v.format, formats[i].format))
            continue;
        v.ct = formats[i].ct;
        for (size_t k = 0; k < sizeof deviations / sizeof deviations[0]; k++)
            if (str_is(v.id, deviations[k].id))
                return is_accepted(&v);
        if (v.decoded->kind == JSON_STRING)
            return is_refused(&v, formats[i].check);
        if (json_get(v.decoded->child, "kind"))
            return check_tlv_tree(&v);
        return formats[i].check(&v);
    }
    return false;
}

static void every_vector_decodes_and_survives_the_way_back(void **state)
{
    struct arena *a = *state;
    unsigned failed = 0, seen = 0;
    for (const struct json_node *n = load(a)->child; n; n = n->next, seen++)
        if (!run(a, n)) {
            print_error("vector failed: %.*s\n", STR_ARG(member(n, "id")));
            failed++;
        }
    assert_int_equal(seen, 293);
    assert_int_equal(failed, 0);
    assert_int_equal(foreign_seen, FOREIGN_NAMES);
}

static void tlv_long_headers_carry_their_lengths(void **state)
{
    static const struct {
        const char *header, *path;
        size_t n;
    } cases[] = {{"d02a03e8", "/0/0/42", 1000},
                 {"f0a5b403e8", "/0/0/42420", 1000},
                 {"d8450186a0", "/0/0/69", 100000},
                 {"f801020186a0", "/0/0/258", 100000}};
    struct arena *a = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lw_entries got = {0};
        struct lw_typer nobody = {0};
        struct buf in, out;
        char *body = arena_calloc(a, cases[i].n, 1);
        struct str header = hex(a, cases[i].header);
        buf_init(&in, 1 << 20);
        buf_init(&out, 1 << 20);
        buf_str(&in, header);
        buf_put(&in, body, cases[i].n);
        assert_int_equal(
            lw_decode(a, LW_CT_TLV, buf_view(&in), path_of(cases[i].path), nobody, &got), ERR_OK);
        assert_int_equal(got.n, 1);
        assert_int_equal(got.v[0].value.s.n, cases[i].n);
        assert_int_equal(lw_encode(LW_CT_TLV, path_of(cases[i].path), &got, &out), ERR_OK);
        assert_true(str_eq(buf_view(&in), buf_view(&out)));
        buf_fini(&in);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_vector_decodes_and_survives_the_way_back),
        TEST(tlv_long_headers_carry_their_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
