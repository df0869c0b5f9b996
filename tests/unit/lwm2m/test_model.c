/* The object model: the built-in registry facts, lookups, bad definitions, and the JSON it gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lwm2m/model.h"

static int load(void **state)
{
    struct lw_model *m;
    if (lw_model_builtin(&m))
        return -1;
    *state = m;
    return 0;
}

static int unload(void **state)
{
    lw_model_free(*state);
    return 0;
}

static void builtin_model_knows_all_objects(void **state)
{
    const struct lw_model *m = *state;
    assert_int_equal(lw_model_count(m), 43);
    assert_null(lw_model_at(m, 43));
    size_t resources = 0;
    for (size_t i = 0; i < lw_model_count(m); i++) {
        const struct lw_object_model *o = lw_model_at(m, i);
        assert_ptr_equal(lw_model_object(m, o->id), o);
        assert_true(o->name[0] && o->version[0] && o->urn[0]);
        for (size_t k = 0; k < o->n_resources; k++) {
            const struct lw_resource_model *r = &o->resources[k];
            assert_ptr_equal(lw_model_resource(m, o->id, r->id), r);
            assert_true((r->ops == LW_OP_E) == (r->type == LW_NONE));
            assert_true(k == 0 || r[-1].id < r->id);
        }
        resources += o->n_resources;
    }
    assert_int_equal(resources, 479);
}

static void device_object_is_as_in_the_registry(void **state)
{
    const struct lw_model *m = *state;
    const struct lw_object_model *o = lw_model_object(m, 3);
    assert_string_equal(o->name, "Device");
    assert_string_equal(o->version, "1.2");
    assert_false(o->multiple);
    assert_true(o->mandatory);
    const struct lw_resource_model *r = lw_model_resource(m, 3, 0);
    assert_string_equal(r->name, "Manufacturer");
    assert_int_equal(r->type, LW_STRING);
    assert_int_equal(r->ops, LW_OP_R);
    assert_int_equal(lw_model_resource(m, 3, 4)->ops, LW_OP_E);
    assert_int_equal(lw_model_resource(m, 3, 13)->type, LW_TIME);
    assert_int_equal(lw_model_resource(m, 3, 13)->ops, LW_OP_R | LW_OP_W);
    assert_true(lw_model_resource(m, 3, 11)->multiple);
    assert_string_equal(lw_model_resource(m, 3, 9)->range, "0..100");
    assert_string_equal(lw_model_resource(m, 1, 1)->units, "s");
    assert_int_equal(lw_model_resource(m, 0, 0)->ops, 0);
}

static void unknown_ids_are_not_found(void **state)
{
    const struct lw_model *m = *state;
    assert_null(lw_model_object(m, 9999));
    assert_null(lw_model_object(m, 65535));
    assert_null(lw_model_resource(m, 3, 999));
    assert_null(lw_model_resource(m, 9999, 0));
}

static void typer_answers_like_the_model(void **state)
{
    struct lw_typer t = lw_model_typer(*state);
    struct lw_resource_type r = lw_typer_ask(t, lw_path_of(3, 3303, 0, 5700, 0));
    assert_true(r.known);
    assert_int_equal(r.type, LW_FLOAT);
    r = lw_typer_ask(t, lw_path_of(4, 3, 0, 6, 1));
    assert_true(r.known && r.multiple);
    assert_int_equal(r.type, LW_INTEGER);
    assert_false(lw_typer_ask(t, lw_path_of(3, 9999, 0, 0, 0)).known);
    assert_false(lw_typer_ask(t, lw_path_of(3, 3, 0, 500, 0)).known);
}

static void json_of_the_model_reads_back_as_the_same_model(void **state)
{
    struct buf first, second;
    struct lw_model *again;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    lw_model_json(*state, &first);
    assert_int_equal(first.err, ERR_OK);
    assert_int_equal(lw_model_parse(buf_view(&first), &again), ERR_OK);
    lw_model_json(again, &second);
    assert_true(str_eq(buf_view(&first), buf_view(&second)));
    lw_model_free(again);
    buf_fini(&first);
    buf_fini(&second);
}

static void json_has_the_shape_of_the_api(void **state)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 1 << 20);
    json_out_init(&j, &b);
    lw_object_json(lw_model_object(*state, 6), &j);
    assert_non_null(buf_text(&b));
    const char *want = "{\"id\":6,\"name\":\"Location\",\"version\":\"1.0\","
                       "\"urn\":\"urn:oma:lwm2m:oma:6\",\"multiple\":false,\"mandatory\":false,"
                       "\"resources\":[{\"id\":0,\"name\":\"Latitude\",\"op\":\"R\","
                       "\"multiple\":false,\"mandatory\":true,\"type\":\"float\",\"range\":\"\","
                       "\"units\":\"lat\"},";
    assert_memory_equal(b.p, want, strlen(want));
    buf_fini(&b);
}

static void empty_model_is_a_model(void **state)
{
    (void)state;
    struct lw_model *m;
    struct str json = STR("{\"objects\":[]}");
    assert_int_equal(lw_model_parse(json, &m), ERR_OK);
    assert_int_equal(lw_model_count(m), 0);
    assert_null(lw_model_object(m, 3));
    lw_model_free(m);
    lw_model_free(NULL);
}

#define OBJECT(resources)      "{\"objects\":[{\"id\":7,\"name\":\"x\",\"resources\":[" resources "]}]}"
#define RESOURCE(id, op, type) "{\"id\":" id ",\"op\":\"" op "\",\"type\":\"" type "\"}"

static void bad_definitions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err want;
    } bad[] = {
        {"[]", ERR_INVALID},
        {"{}", ERR_INVALID},
        {"{\"objects\":{}}", ERR_INVALID},
        {"{\"objects\":[1]}", ERR_INVALID},
        {"{\"objects\":[{\"id\":65535,\"resources\":[]}]}", ERR_RANGE},
        {"{\"objects\":[{\"id\":-1,\"resources\":[]}]}", ERR_INVALID},
        {"{\"objects\":[{\"id\":1}]}", ERR_INVALID},
        {"{\"objects\":[{\"id\":1,\"name\":5,\"resources\":[]}]}", ERR_INVALID},
        {"{\"objects\":[{\"id\":1,\"multiple\":\"yes\",\"resources\":[]}]}", ERR_INVALID},
        {"{\"objects\":[{\"id\":1,\"resources\":[]},{\"id\":1,\"resources\":[]}]}", ERR_CONFLICT},
        {OBJECT("5"), ERR_INVALID},
        {OBJECT(RESOURCE("1", "R", "strange")), ERR_INVALID},
        {OBJECT(RESOURCE("1", "Q", "string")), ERR_INVALID},
        {OBJECT(RESOURCE("1", "RR", "string")), ERR_INVALID},
        {OBJECT(RESOURCE("1", "RE", "string")), ERR_INVALID},
        {OBJECT(RESOURCE("65535", "R", "string")), ERR_RANGE},
        {OBJECT(RESOURCE("1", "R", "string") "," RESOURCE("1", "R", "string")), ERR_CONFLICT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lw_model *m = NULL;
        enum err e = lw_model_parse(str_of(bad[i].json), &m);
        if (e != bad[i].want)
            print_error("%s: %s\n", bad[i].json, err_word(e));
        assert_int_equal(e, bad[i].want);
        assert_null(m);
    }
}

static void unsorted_definitions_are_sorted(void **state)
{
    (void)state;
    struct lw_model *m;
    struct str json =
        STR("{\"objects\":[{\"id\":9,\"resources\":[]},{\"id\":7,\"resources\":[" RESOURCE(
            "5", "RW", "integer") "," RESOURCE("1", "", "opaque") "]}]}");
    assert_int_equal(lw_model_parse(json, &m), ERR_OK);
    assert_int_equal(lw_model_at(m, 0)->id, 7);
    assert_int_equal(lw_model_resource(m, 7, 5)->type, LW_INTEGER);
    assert_int_equal(lw_model_resource(m, 7, 1)->ops, 0);
    assert_string_equal(lw_model_resource(m, 7, 1)->units, "");
    lw_model_free(m);
}

/* A model of the built-in definitions and two texts, "a.json" and "b.json" (NULL: none). */
static enum err load_two(const char *a, const char *b, struct lw_model **out, char why[200])
{
    struct lw_model_text texts[2] = {{"a.json", str_of(a)}, {"b.json", str_of(b ? b : "")}};
    struct buf words;
    buf_init(&words, 4096);
    *out = NULL;
    enum err e = lw_model_load(texts, b ? 2 : 1, out, &words);
    const char *text = buf_text(&words);
    snprintf(why, 200, "%s", text ? text : "");
    buf_fini(&words);
    return e;
}

#define SITE(id, resources)                                                                        \
    "{\"objects\":[{\"id\":" id ",\"name\":\"Site\",\"resources\":[" resources "]}]}"

static void objects_of_a_site_join_the_builtin_ones(void **state)
{
    struct lw_model *m;
    char why[200];
    const char *a = SITE("26241", RESOURCE("1", "RW", "float") ",{\"id\":2,\"op\":\"E\"}");
    assert_int_equal(load_two(a, SITE("3", RESOURCE("0", "R", "string")), &m, why), ERR_OK);
    assert_string_equal(why, "");
    assert_int_equal(lw_model_count(m), lw_model_count(*state) + 1);
    assert_int_equal(lw_model_resource(m, 26241, 1)->type, LW_FLOAT);
    assert_int_equal(lw_model_resource(m, 26241, 2)->type, LW_NONE);
    assert_string_equal(lw_model_object(m, 26241)->origin, "a.json");
    assert_string_equal(lw_model_object(m, 3)->name, "Site"); /* replaced as a whole */
    assert_int_equal(lw_model_object(m, 3)->n_resources, 1);
    assert_null(lw_model_object(m, 3303)->origin);
    for (size_t i = 1; i < lw_model_count(m); i++)
        assert_true(lw_model_at(m, i - 1)->id < lw_model_at(m, i)->id);
    lw_model_free(m);
}

static void a_mistake_in_a_site_s_objects_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *why;
    } bad[] = {
        {"{", NULL, "a.json: not valid JSON"},
        {"{}", NULL, "a.json: \"objects\" must be a list"},
        {SITE("70000", ""), NULL,
         "a.json: object number 1: \"id\" must be a number from 0 to 65534"},
        {SITE("26241", RESOURCE("5", "X", "float")), NULL,
         "a.json: object 26241, resource 5: \"op\" must be \"R\", \"W\", \"RW\", \"E\" or empty"},
        {SITE("26241", RESOURCE("5", "E", "float")), NULL,
         "a.json: object 26241, resource 5: what is executed has no type, all else has one"},
        {SITE("26241", "{\"id\":5,\"op\":\"R\"}"), NULL,
         "a.json: object 26241, resource 5: \"type\" is missing"},
        {SITE("26241", RESOURCE("5", "R", "time") "," RESOURCE("5", "R", "time")), NULL,
         "a.json: object 26241, resource 5: defined twice"},
        {SITE("26241", ""), SITE("26241", ""), "b.json: object 26241: already defined in a.json"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lw_model *m;
        char why[200];
        assert_int_not_equal(load_two(bad[i].a, bad[i].b, &m, why), ERR_OK);
        assert_string_equal(why, bad[i].why);
        assert_null(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_model_knows_all_objects),
        cmocka_unit_test(device_object_is_as_in_the_registry),
        cmocka_unit_test(unknown_ids_are_not_found),
        cmocka_unit_test(typer_answers_like_the_model),
        cmocka_unit_test(json_of_the_model_reads_back_as_the_same_model),
        cmocka_unit_test(json_has_the_shape_of_the_api),
        cmocka_unit_test(empty_model_is_a_model),
        cmocka_unit_test(bad_definitions_are_refused),
        cmocka_unit_test(unsorted_definitions_are_sorted),
        cmocka_unit_test(objects_of_a_site_join_the_builtin_ones),
        cmocka_unit_test(a_mistake_in_a_site_s_objects_is_named_with_its_place),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
