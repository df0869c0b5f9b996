/* Request bodies: what every operation takes, every way to get it wrong, and what the object model
 * adds or refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "command/command.h"

struct bench {
    struct arena a;
    struct cmd_request r;
    const char *why;
};

static int open_bench(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    if (!b)
        return -1;
    arena_init(&b->a, 8192, 8 << 20);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    arena_fini(&b->a);
    free(b);
    return 0;
}

static enum err parse(struct bench *b, const char *body)
{
    arena_reset(&b->a);
    b->why = NULL;
    return cmd_parse(&b->a, str_of(body), &b->r, &b->why);
}

static void parse_ok(struct bench *b, const char *body)
{
    enum err e = parse(b, body);
    if (e)
        print_error("%s: %s: %s\n", body, err_word(e), b->why ? b->why : "-");
    assert_int_equal(e, ERR_OK);
}

static void assert_path(struct lw_path p, const char *want)
{
    char text[LW_PATH_TEXT];
    lw_path_text(p, text);
    assert_string_equal(text, want);
}

static void read_takes_a_path_and_a_format(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"read\",\"path\":\"/3/0/0\"}");
    assert_int_equal(b->r.op, CMD_READ);
    assert_int_equal(b->r.lw.op, LW_DOWN_READ);
    assert_path(b->r.lw.path, "/3/0/0");
    assert_int_equal(b->r.lw.ct, LW_CT_NONE);
    assert_int_equal(b->r.lw.depth, -1);
    assert_int_equal(b->r.timeout_ms, 10000);
    assert_int_equal(b->r.ttl_s, 86400);
    parse_ok(b, "{\"op\":\"read\",\"path\":\"/3\",\"ct\":110,\"timeout_s\":0.5,\"ttl_s\":60}");
    assert_int_equal(b->r.lw.ct, LW_CT_SENML_JSON);
    assert_int_equal(b->r.timeout_ms, 500);
    assert_int_equal(b->r.ttl_s, 60);
}

static void write_takes_scalars_and_trees(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":120}");
    assert_int_equal(b->r.lw.op, LW_DOWN_WRITE);
    assert_int_equal(b->r.lw.values.n, 1);
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_INTEGER);
    assert_int_equal(b->r.lw.values.v[0].value.i, 120);
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/1/0\",\"mode\":\"update\","
                "\"value\":{\"1\":120,\"6\":true}}");
    assert_int_equal(b->r.lw.op, LW_DOWN_WRITE_UPDATE);
    assert_int_equal(b->r.lw.values.n, 2);
    assert_path(b->r.lw.values.v[1].path, "/1/0/6");
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/3/0/6\",\"value\":{\"0\":1,\"1\":5}}");
    assert_path(b->r.lw.values.v[1].path, "/3/0/6/1");
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/1/0\",\"mode\":\"replace\",\"values\":["
                "{\"path\":\"/1/0/1\",\"value\":5,\"type\":\"unsigned\"}]}");
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_UNSIGNED);
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/9999/0/1\",\"value\":\"AQI=\",\"type\":\"opaque\"}");
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_OPAQUE);
    assert_int_equal(b->r.lw.values.v[0].value.s.n, 2);
}

static void write_keeps_integers_exact(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/9999/0/1\",\"value\":18446744073709551615}");
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_UNSIGNED);
    assert_true(b->r.lw.values.v[0].value.u == UINT64_MAX);
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/9999/0/1\",\"value\":\"9007199254740993\","
                "\"type\":\"integer\"}");
    assert_true(b->r.lw.values.v[0].value.i == 9007199254740993);
}

static void execute_takes_arguments(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"execute\",\"path\":\"/3/0/4\"}");
    assert_null(b->r.lw.args.p);
    parse_ok(b, "{\"op\":\"execute\",\"path\":\"/1/0/8\",\"args\":\"0='U'\"}");
    assert_true(str_is(b->r.lw.args, "0='U'"));
}

static void attributes_set_and_unset(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"write-attributes\",\"path\":\"/3303/0/5700\","
                "\"attributes\":{\"pmin\":1,\"gt\":25.5,\"lt\":null}}");
    assert_int_equal(b->r.lw.attrs.set, 1 << LW_PMIN | 1 << LW_GT);
    assert_int_equal(b->r.lw.attrs.unset, 1 << LW_LT);
    assert_true(b->r.lw.attrs.v[LW_GT] == 25.5);
    parse_ok(b, "{\"op\":\"observe\",\"path\":\"/3303\",\"attributes\":{\"pmax\":60}}");
    assert_int_equal(b->r.lw.op, LW_DOWN_OBSERVE);
    assert_true(b->r.lw.attrs.v[LW_PMAX] == 60);
}

static void create_names_its_instance_or_leaves_it_to_the_device(void **state)
{
    struct bench *b = *state;
    parse_ok(b,
             "{\"op\":\"create\",\"path\":\"/3303\",\"instance\":4,\"values\":{\"5701\":\"C\"}}");
    assert_true(b->r.lw.has_instance);
    assert_int_equal(b->r.lw.instance, 4);
    assert_path(b->r.lw.values.v[0].path, "/3303/4/5701");
    parse_ok(b, "{\"op\":\"create\",\"path\":\"/3303\",\"values\":{\"5701\":\"C\"}}");
    assert_false(b->r.lw.has_instance);
    assert_int_equal(b->r.lw.values.v[0].path.id[1], LW_ID_NONE);
    parse_ok(b, "{\"op\":\"create\",\"path\":\"/3303\",\"values\":["
                "{\"path\":\"/3303/7/5701\",\"value\":\"C\"},"
                "{\"path\":\"/3303/7/5700\",\"value\":1.5}]}");
    assert_true(b->r.lw.has_instance);
    assert_int_equal(b->r.lw.instance, 7);
    parse_ok(b, "{\"op\":\"create\",\"path\":\"/3303\",\"values\":{}}");
    assert_int_equal(b->r.lw.values.n, 0);
}

static void composites_take_lists(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"read-composite\",\"paths\":[\"/3/0/0\",\"/1\",\"/\"]}");
    assert_int_equal(b->r.lw.n_paths, 3);
    assert_path(b->r.lw.paths[1], "/1");
    parse_ok(b, "{\"op\":\"observe-composite\",\"paths\":[\"/3/0/0\"]}");
    assert_int_equal(b->r.lw.op, LW_DOWN_OBSERVE_COMPOSITE);
    parse_ok(b, "{\"op\":\"write-composite\",\"values\":[{\"path\":\"/1/0/1\",\"value\":5},"
                "{\"path\":\"/3/0/15\",\"value\":null}]}");
    assert_int_equal(b->r.lw.values.n, 2);
    assert_int_equal(b->r.lw.values.v[1].value.type, LW_NONE);
}

static void the_other_operations_are_read(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"discover\",\"path\":\"/3\",\"depth\":2}");
    assert_int_equal(b->r.lw.depth, 2);
    parse_ok(b, "{\"op\":\"delete\",\"path\":\"/3303/4\"}");
    assert_int_equal(b->r.lw.op, LW_DOWN_DELETE);
    parse_ok(b, "{\"op\":\"delete\",\"path\":\"/3/0/6/1\"}");
    parse_ok(b, "{\"op\":\"cancel\",\"observation\":\"aB-_9\"}");
    assert_string_equal(b->r.lw.observation.text, "aB-_9");
    parse_ok(b, "{\"op\":\"cancel\",\"path\":\"/3/0/9\"}");
    assert_string_equal(b->r.lw.observation.text, "");
    assert_path(b->r.lw.path, "/3/0/9");
    parse_ok(b, "{\"op\":\"rebirth\"}");
    assert_int_equal(b->r.op, CMD_REBIRTH);
}

static void metric_write_keeps_the_text_of_the_value(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"metric-write\",\"metric\":\"Setpoint\",\"value\":21.50}");
    assert_true(str_is(b->r.metric, "Setpoint"));
    assert_true(str_is(b->r.value, "21.50"));
    assert_null(b->r.device.p);
    assert_null(b->r.datatype.p);
    parse_ok(b, "{\"op\":\"metric-write\",\"metric\":\"a/b\",\"device\":\"D1\",\"value\":true,"
                "\"datatype\":\"Boolean\"}");
    assert_true(str_is(b->r.value, "true"));
    assert_true(str_is(b->r.device, "D1"));
    assert_true(str_is(b->r.datatype, "Boolean"));
    parse_ok(b, "{\"op\":\"metric-write\",\"metric\":\"m\",\"value\":null}");
    assert_true(b->r.value_is_null);
    parse_ok(b, "{\"op\":\"metric-write\",\"metric\":\"m\",\"value\":\"\"}");
    assert_false(b->r.value_is_null);
    assert_int_equal(b->r.value.n, 0);
}

static const struct {
    const char *body, *why;
} refusals[] = {
    {"", "the request is not valid JSON"},
    {"{", "the request is not valid JSON"},
    {"[]", "the request must be a JSON object"},
    {"{\"op\":\"read\",\"op\":\"read\"}", "the request names a member twice"},
    {"{\"op\":\"\xff\"}", "the request is not valid UTF-8"},
    {"{}", "op is required, for example \"read\""},
    {"{\"op\":5}", "op is required, for example \"read\""},
    {"{\"op\":\"fly\"}", "op is unknown"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"speed\":1}", "the request has an unknown member"},
    {"{\"op\":\"read\"}", "path is required for read"},
    {"{\"op\":\"discover\"}", "path is required for discover"},
    {"{\"op\":\"write\",\"value\":1}", "path is required for write"},
    {"{\"op\":\"execute\"}", "path is required for execute"},
    {"{\"op\":\"create\",\"path\":\"/3\"}", "path and values are required for create"},
    {"{\"op\":\"delete\"}", "path is required for delete"},
    {"{\"op\":\"observe\"}", "path is required for observe"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\"}",
     "path and attributes are required for write-attributes"},
    {"{\"op\":\"read-composite\"}", "paths is required for read-composite"},
    {"{\"op\":\"observe-composite\"}", "paths is required for observe-composite"},
    {"{\"op\":\"write-composite\"}", "values is required for write-composite"},
    {"{\"op\":\"cancel\"}", "cancel needs either observation (its token) or path"},
    {"{\"op\":\"cancel\",\"observation\":\"a\",\"path\":\"/3\"}",
     "cancel needs either observation (its token) or path"},
    {"{\"op\":\"metric-write\",\"value\":1}", "metric and value are required for metric-write"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"value\":1}", "value does not belong to this operation"},
    {"{\"op\":\"rebirth\",\"path\":\"/3\"}", "path does not belong to this operation"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"instance\":1}",
     "instance does not belong to this operation"},
    {"{\"op\":\"read\",\"path\":3}", "path must be a string"},
    {"{\"op\":\"read\",\"path\":\"/70000/0\"}", "an id in the path is larger than 65534"},
    {"{\"op\":\"read\",\"path\":\"/65535\"}", "an id in the path is larger than 65534"},
    {"{\"op\":\"read\",\"path\":\"/3/x\"}", "path is not of the form"},
    {"{\"op\":\"read\",\"path\":\"/1/2/3/4/5\"}", "path is not of the form"},
    {"{\"op\":\"read\",\"path\":\"/\"}", "the path must name an object"},
    {"{\"op\":\"execute\",\"path\":\"/3/0\"}", "execute takes a resource"},
    {"{\"op\":\"write\",\"path\":\"/3\",\"value\":{}}", "the path must name an instance"},
    {"{\"op\":\"create\",\"path\":\"/3/0\",\"values\":{}}", "create takes an object"},
    {"{\"op\":\"delete\",\"path\":\"/3/0/6\"}", "delete takes an instance or a resource instance"},
    {"{\"op\":\"delete\",\"path\":\"/3\"}", "delete takes an instance or a resource instance"},
    {"{\"op\":\"discover\",\"path\":\"/3/0/6/0\"}", "discover takes an object"},
    {"{\"op\":\"discover\",\"path\":\"/3\",\"depth\":4}", "depth must be a number from 0 to 3"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"ct\":7}", "ct is not a content format"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"ct\":-1}", "ct is not a content format"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"timeout_s\":0}", "timeout_s must be"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"timeout_s\":121}", "timeout_s must be"},
    {"{\"op\":\"read\",\"path\":\"/3\",\"timeout_s\":\"5\"}", "timeout_s must be"},
    {"{\"op\":\"rebirth\",\"ttl_s\":0}", "ttl_s must be"},
    {"{\"op\":\"rebirth\",\"ttl_s\":2592001}", "ttl_s must be"},
    {"{\"op\":\"rebirth\",\"ttl_s\":1.5}", "ttl_s must be"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\"}", "write needs either value or values"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":1,\"values\":{\"0\":1}}",
     "write needs either value or values"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"value\":{}}", "there is no value to write"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":null}", "null is not a value"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":[1]}", "a value cannot be a list"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"value\":5}", "an instance is written as"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"value\":{\"x\":5}}", "the value does not fit the path"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1/0\",\"value\":{\"0\":5}}",
     "the value does not fit the path"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":1,\"mode\":\"add\"}", "mode must be"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1/0\",\"value\":1,\"mode\":\"update\"}",
     "an update takes an instance or a resource"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":\"x\",\"type\":\"integer\"}",
     "the value is not of the type given"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":1,\"type\":\"int\"}", "type goes with value"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"values\":{\"0\":1},\"type\":\"integer\"}",
     "type goes with value"},
    {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"values\":5}", "values must be a list"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/1/1/1\",\"value\":5}]}",
     "a value's path is not below the request's path"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/1/0\",\"value\":5}]}",
     "every entry of values must have the path of a resource"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/1/0/1\"}]}",
     "every entry of values must have"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[7]}", "every entry of values must have"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/1/0/1\",\"value\":1,\"t\":1}]}",
     "an entry of values has path, value and type only"},
    {"{\"op\":\"write\",\"path\":\"/1/0\",\"values\":[{\"path\":\"/1/0/1\",\"value\":1},"
     "{\"path\":\"/1/0/1\",\"value\":2}]}",
     "a value is given twice"},
    {"{\"op\":\"write-composite\",\"values\":[{\"path\":\"/1/65535/1\",\"value\":1}]}",
     "an id in a value's path is larger"},
    {"{\"op\":\"write-composite\",\"values\":{\"1\":2}}", "values must be a list of {path, value}"},
    {"{\"op\":\"write-composite\",\"values\":[]}", "there is no value to write"},
    {"{\"op\":\"create\",\"path\":\"/3303\",\"instance\":65535,\"values\":{}}",
     "instance must be a number from 0 to 65534"},
    {"{\"op\":\"create\",\"path\":\"/3303\",\"instance\":1,\"values\":["
     "{\"path\":\"/3303/2/5700\",\"value\":1}]}",
     "the values name another instance"},
    {"{\"op\":\"create\",\"path\":\"/3303\",\"values\":[{\"path\":\"/3303/1/5700\",\"value\":1},"
     "{\"path\":\"/3303/2/5700\",\"value\":1}]}",
     "the values name another instance"},
    {"{\"op\":\"execute\",\"path\":\"/3/0/4\",\"args\":5}", "args must be a string"},
    {"{\"op\":\"cancel\",\"observation\":\"a b\"}", "observation must be the token"},
    {"{\"op\":\"read-composite\",\"paths\":[]}", "paths must be a list of 1 to 64"},
    {"{\"op\":\"read-composite\",\"paths\":\"/3\"}", "paths must be a list of 1 to 64"},
    {"{\"op\":\"read-composite\",\"paths\":[\"/3/x\"]}", "every entry of paths must be a path"},
    {"{\"op\":\"read-composite\",\"paths\":[\"/3\",\"/3\"]}", "a path is given twice"},
    {"{\"op\":\"observe-composite\",\"paths\":[\"/\"]}",
     "observe-composite does not take the root"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\",\"attributes\":{}}", "attributes must be"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\",\"attributes\":{\"min\":1}}",
     "an attribute is unknown"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\",\"attributes\":{\"pmin\":-1}}",
     "an attribute has a value it cannot have"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\",\"attributes\":{\"pmin\":\"1\"}}",
     "an attribute has a value it cannot have"},
    {"{\"op\":\"write-attributes\",\"path\":\"/3\",\"attributes\":{\"pmin\":9,\"pmax\":5}}",
     "the attributes contradict each other"},
    {"{\"op\":\"metric-write\",\"metric\":\"\",\"value\":1}", "metric must be a name"},
    {"{\"op\":\"metric-write\",\"metric\":\"m\",\"value\":[1]}", "value must be a string"},
    {"{\"op\":\"metric-write\",\"metric\":\"m\",\"value\":1,\"device\":\"a/b\"}",
     "device must be the name of a sub-device"},
    {"{\"op\":\"metric-write\",\"metric\":\"m\",\"value\":1,\"datatype\":\"\"}",
     "datatype must be the word"},
};

static void bad_requests_are_refused_with_a_sentence(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        enum err e = parse(b, refusals[i].body);
        bool right = e && b->why && strncmp(b->why, refusals[i].why, strlen(refusals[i].why)) == 0;
        if (!right)
            print_error("%s: %s: %s\n", refusals[i].body, err_word(e), b->why ? b->why : "-");
        assert_true(right);
    }
}

static void a_failed_parse_leaves_the_result_alone(void **state)
{
    struct bench *b = *state;
    parse_ok(b, "{\"op\":\"read\",\"path\":\"/3/0/0\",\"ttl_s\":77}");
    assert_int_not_equal(parse(b, "{\"op\":\"read\",\"path\":\"/3/0/x\"}"), ERR_OK);
    assert_int_equal(b->r.ttl_s, 77);
}

static void deep_nesting_is_refused(void **state)
{
    struct bench *b = *state;
    char body[20200] = "{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":";
    size_t n = strlen(body);
    memset(body + n, '[', 20000);
    body[n + 20000] = 0;
    assert_int_equal(parse(b, body), ERR_DEPTH);
    assert_string_equal(b->why, "the request is nested too deeply");
}

/* ---- the model's say ---- */

static struct lw_resource_type type_of(void *ctx, uint16_t object, uint16_t resource)
{
    (void)ctx;
    if (object != 1)
        return (struct lw_resource_type){.known = false};
    static const enum lw_type types[] = {LW_UNSIGNED, LW_INTEGER, LW_FLOAT, LW_STRING, LW_NONE};
    if (resource >= sizeof types / sizeof *types && resource != 9)
        return (struct lw_resource_type){.known = false};
    return (struct lw_resource_type){.known = true,
                                     .multiple = resource == 9,
                                     .type = resource == 9 ? LW_INTEGER : types[resource]};
}

static int ops_of(void *ctx, uint16_t object, uint16_t resource)
{
    (void)ctx;
    if (object != 1)
        return -1;
    return resource == 0 ? 1 : resource == 4 ? 4 : 3; /* 0 is read-only, 4 executable */
}

static enum err type(struct bench *b, const char *body)
{
    struct lw_typer typer = {type_of, NULL};
    struct lw_op_lookup ops = {ops_of, NULL};
    parse_ok(b, body);
    b->why = NULL;
    return cmd_type(&b->a, &b->r, typer, ops, &b->why);
}

static void values_become_what_the_model_says(void **state)
{
    struct bench *b = *state;
    assert_int_equal(type(b, "{\"op\":\"write\",\"path\":\"/1/0/2\",\"value\":5}"), ERR_OK);
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_FLOAT);
    assert_true(b->r.lw.values.v[0].value.f == 5.0);
    assert_int_equal(type(b, "{\"op\":\"write\",\"path\":\"/1/0/9\",\"value\":{\"0\":5}}"), ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"write\",\"path\":\"/9999/0/2\",\"value\":5}"), ERR_OK);
    assert_int_equal(b->r.lw.values.v[0].value.type, LW_INTEGER);
    assert_int_equal(type(b, "{\"op\":\"write-composite\",\"values\":["
                             "{\"path\":\"/1/0/2\",\"value\":null}]}"),
                     ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"execute\",\"path\":\"/1/0/4\"}"), ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"execute\",\"path\":\"/9999/0/4\"}"), ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"read\",\"path\":\"/1/0/4\"}"), ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"rebirth\"}"), ERR_OK);
    assert_int_equal(type(b, "{\"op\":\"create\",\"path\":\"/1\",\"values\":{\"0\":7}}"), ERR_OK);
}

static void what_the_model_forbids_is_refused(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *body;
        enum err want;
        const char *why;
    } cases[] = {
        {"{\"op\":\"write\",\"path\":\"/1/0/0\",\"value\":5}", ERR_DENIED,
         "the resource cannot be written"},
        {"{\"op\":\"write\",\"path\":\"/1/0/4\",\"value\":5}", ERR_DENIED,
         "the resource cannot be written"},
        {"{\"op\":\"write-composite\",\"values\":[{\"path\":\"/1/0/0\",\"value\":5}]}", ERR_DENIED,
         "the resource cannot be written"},
        {"{\"op\":\"execute\",\"path\":\"/1/0/1\"}", ERR_DENIED, "the resource cannot be executed"},
        {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":\"hot\"}", ERR_TYPE,
         "the value is not of the resource's type"},
        {"{\"op\":\"write\",\"path\":\"/1/0/1\",\"value\":18446744073709551615}", ERR_RANGE,
         "the value is outside what the resource's type can hold"},
        {"{\"op\":\"write\",\"path\":\"/1/0/9\",\"value\":5}", ERR_TYPE,
         "this resource has several instances"},
        {"{\"op\":\"write\",\"path\":\"/1/0/1/0\",\"value\":5}", ERR_TYPE,
         "this resource has one value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err e = type(b, cases[i].body);
        if (e != cases[i].want || strncmp(b->why, cases[i].why, strlen(cases[i].why)) != 0)
            print_error("%s: %s: %s\n", cases[i].body, err_word(e), b->why ? b->why : "-");
        assert_int_equal(e, cases[i].want);
        assert_int_equal(strncmp(b->why, cases[i].why, strlen(cases[i].why)), 0);
    }
}

static void without_a_model_everything_passes(void **state)
{
    struct bench *b = *state;
    struct lw_typer typer = {NULL, NULL};
    struct lw_op_lookup ops = {NULL, NULL};
    parse_ok(b, "{\"op\":\"write\",\"path\":\"/1/0/0\",\"value\":5}");
    assert_int_equal(cmd_type(&b->a, &b->r, typer, ops, &b->why), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_takes_a_path_and_a_format),
        cmocka_unit_test(write_takes_scalars_and_trees),
        cmocka_unit_test(write_keeps_integers_exact),
        cmocka_unit_test(execute_takes_arguments),
        cmocka_unit_test(attributes_set_and_unset),
        cmocka_unit_test(create_names_its_instance_or_leaves_it_to_the_device),
        cmocka_unit_test(composites_take_lists),
        cmocka_unit_test(the_other_operations_are_read),
        cmocka_unit_test(metric_write_keeps_the_text_of_the_value),
        cmocka_unit_test(bad_requests_are_refused_with_a_sentence),
        cmocka_unit_test(a_failed_parse_leaves_the_result_alone),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(values_become_what_the_model_says),
        cmocka_unit_test(what_the_model_forbids_is_refused),
        cmocka_unit_test(without_a_model_everything_passes),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
