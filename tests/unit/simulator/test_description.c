/* The device description file: the built-in one, a small one, and every way to get it wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "codec/spb_payload.h"
#include "description.h"

/* %s: an addition to the object's resources, the instances, the metrics. */
static const char *const frame =
    "{\"objects\":{\"3303\":{\"version\":\"1.1\",\"resources\":{"
    "\"5700\":{\"type\":\"float\",\"ops\":\"R\"},\"5750\":{\"type\":\"string\",\"ops\":\"RW\"},"
    "\"5605\":{\"ops\":\"E\"},\"6\":{\"type\":\"integer\",\"ops\":\"R\",\"multiple\":true}%s}}},"
    "\"kinds\":[{\"name\":\"k\",\"instances\":{%s},\"metrics\":[%s]}]}";

static enum err read_framed(const char *res, const char *inst, const char *metrics,
                            struct description **out, char why[200])
{
    char text[4096];
    snprintf(text, sizeof text, frame, res, inst, metrics);
    return description_new(str_of(text), out, why, 200);
}

static void the_builtin_description_is_sound(void **state)
{
    (void)state;
    struct description *d;
    char why[200] = "";
    enum err e = description_new(description_builtin(), &d, why, sizeof why);
    if (e)
        print_error("%s\n", why);
    assert_int_equal(e, ERR_OK);
    assert_int_equal(description_kinds(d), 5);
    size_t sleepers = 0, faulty = 0;
    for (size_t i = 0; i < 5; i++) {
        const struct desc_kind *k = description_kind_for(d, i);
        size_t history = 0;
        sleepers += k->sleeper;
        for (size_t m = 0; m < k->devices[0].n; m++) {
            history += k->devices[0].metrics[m].history;
            faulty += str_is(k->devices[0].metrics[m].name, "Fault/Text");
        }
        assert_in_range(history, 2, 3);
    }
    assert_int_equal(sleepers, 1);
    assert_int_equal(faulty, 1);
    description_free(d);
}

static void beyond_the_first_ones_only_the_ordinary_kinds_take_turns(void **state)
{
    (void)state;
    struct description *d;
    char why[200];
    assert_int_equal(description_new(description_builtin(), &d, why, sizeof why), ERR_OK);
    for (size_t i = 5; i < 50; i++)
        assert_false(description_kind_for(d, i)->once);
    assert_ptr_equal(description_kind_for(d, 5), description_kind_for(d, 0));
    assert_ptr_equal(description_kind_for(d, 6), description_kind_for(d, 1));
    description_free(d);
}

static void a_small_description_gives_sorted_cells_and_linked_metrics(void **state)
{
    (void)state;
    struct description *d = NULL;
    char why[200] = "";
    enum err e = read_framed("",
                             "\"3303\":{\"1\":{\"5750\":\"b\"},\"0\":{\"5750\":\"{endpoint}\","
                             "\"5700\":{\"signal\":\"sine\",\"mean\":4},\"6\":[7,8]}}",
                             "{\"name\":\"T\",\"type\":\"Double\",\"resource\":\"/3303/0/5700\"},"
                             "{\"name\":\"N\",\"type\":\"UInt8\",\"value\":3,\"writable\":true}",
                             &d, why);
    if (e)
        print_error("%s\n", why);
    assert_int_equal(e, ERR_OK);
    const struct desc_kind *k = description_kind(d, 0);
    assert_int_equal(k->n_cells, 5);
    for (size_t i = 1; i < k->n_cells; i++)
        assert_true(lw_path_cmp(k->cells[i - 1].path, k->cells[i].path) < 0);
    assert_int_equal(k->n_instances, 2);
    assert_int_equal(k->cells[0].path.n, 4);
    assert_true(k->devices[0].metrics[0].linked);
    assert_int_equal(k->devices[0].metrics[1].datatype, SPB_UINT8);
    struct lw_resource_type t = lw_typer_ask(description_typer(d), lw_path_of(3, 3303, 0, 6, 0));
    assert_true(t.known && t.multiple && t.type == LW_INTEGER);
    assert_false(lw_typer_ask(description_typer(d), lw_path_of(3, 3303, 0, 7, 0)).known);
    description_free(d);
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *res, *inst, *metrics, *says;
    } rows[] = {
        {",\"70000\":{\"ops\":\"R\",\"type\":\"float\"}", "", "", "ids are 0..65534"},
        {",\"9\":{\"ops\":\"X\"}", "", "", "ops must be"},
        {",\"9\":{\"ops\":\"R\",\"type\":\"quaternion\"}", "", "", "unknown type"},
        {"", "\"77\":{\"0\":{}}", "", "kinds/k/77: no such object"},
        {"", "\"3303\":{\"0\":{\"1\":2}}", "", "kinds/k/3303/0/1: the object has no such"},
        {"", "\"3303\":{\"0\":{\"5700\":\"warm\"}}", "", "does not fit"},
        {"", "\"3303\":{\"0\":{\"5605\":1}}", "", "executable"},
        {"", "\"3303\":{\"0\":{\"5700\":[1]}}", "", "not multiple"},
        {"", "\"3303\":{\"0\":{\"6\":1}}", "", "takes an array"},
        {"", "\"3303\":{\"0\":{\"5700\":{\"signal\":\"magic\"}}}", "", "unknown signal"},
        {"", "\"3303\":{\"0\":{\"5700\":{\"signal\":\"sine\",\"volume\":1}}}", "", "unknown param"},
        {"", "\"3303\":{\"0\":{\"5700\":{\"signal\":\"sine\",\"period\":0}}}", "", "period"},
        {"", "\"3303\":{\"0\":{\"5750\":{\"signal\":\"sine\"}}}", "", "text needs"},
        {"", "\"3303\":{\"0\":{\"5700\":{\"signal\":\"states\",\"values\":[]}}}", "", "1..64"},
        {"", "", "{\"type\":\"Double\",\"value\":1}", "needs a name"},
        {"", "", "{\"name\":\"a\",\"type\":\"Dbl\",\"value\":1}", "unknown datatype"},
        {"", "", "{\"name\":\"a\",\"type\":\"DataSet\",\"value\":1}", "unknown datatype"},
        {"", "", "{\"name\":\"a\",\"type\":\"Double\"}", "either value or resource"},
        {"", "", "{\"name\":\"bdSeq\",\"type\":\"Int64\",\"value\":1}", "protocol"},
        {"", "",
         "{\"name\":\"a\",\"type\":\"Int8\",\"value\":1},"
         "{\"name\":\"a\",\"type\":\"Int8\",\"value\":1}",
         "twice"},
        {"", "", "{\"name\":\"a\",\"type\":\"Double\",\"resource\":\"/3303/0/5700\"}",
         "no such resource"},
        {"", "\"3303\":{\"0\":{\"5750\":\"x\"}}",
         "{\"name\":\"a\",\"type\":\"Double\",\"resource\":\"/3303/0/5750\"}", "do not fit"},
        {"}", "", "", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct description *d = NULL;
        char why[200] = "";
        enum err e = read_framed(rows[i].res, rows[i].inst, rows[i].metrics, &d, why);
        if (!e || !strstr(why, rows[i].says))
            print_error("row %zu: '%s' instead of '%s'\n", i, why, rows[i].says);
        assert_int_not_equal(e, ERR_OK);
        assert_non_null(strstr(why, rows[i].says));
        assert_null(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_builtin_description_is_sound),
        cmocka_unit_test(beyond_the_first_ones_only_the_ordinary_kinds_take_turns),
        cmocka_unit_test(a_small_description_gives_sorted_cells_and_linked_metrics),
        cmocka_unit_test(mistakes_are_named_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
