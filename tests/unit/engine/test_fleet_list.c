/* One shard's page of the fleet: who is in it, found by which text, in which order. */
#include "one_shard.h"

#define MANY   500
#define MODELS 97 /* more than the search remembers */

static void fleet(struct one_shard *f)
{
    char text[32];
    for (int64_t id = 1; id <= MANY; id++) {
        struct device *d = online(f, id);
        snprintf(text, sizeof text, "Model-%dx", (int)(id % MODELS));
        device_set_text(d, &d->model, str_of(text));
        device_set_text(d, &d->manufacturer,
                        str_of(id % 2 ? "Acme"
                                      : "\xc3\x9c"
                                        "berwerk"));
        snprintf(text, sizeof text, "SN%d.", (int)id);
        device_set_text(d, &d->serial, str_of(text));
        if (id % 10 == 0)
            assert_int_equal(device_bind_node(d, str_of("Plant-Z"), str_of(d->endpoint), false),
                             ERR_OK);
    }
}

static size_t found(struct one_shard *f, const char *search, size_t limit, size_t *shown)
{
    struct engine_rows rows = {0};
    struct fleet_query q = {.search = str_of(search), .limit = limit, .bare = true};
    assert_int_equal(fleet_list_answer(&f->shard, &q, &rows), ERR_OK);
    for (size_t i = 1; i < rows.n; i++)
        assert_true(strcmp(rows.v[i - 1].endpoint, rows.v[i].endpoint) < 0);
    size_t total = rows.total;
    *shown = rows.n;
    engine_rows_free(&rows);
    return total;
}

static void every_text_of_a_device_finds_it_whatever_its_case(void **state)
{
    struct one_shard *f = *state;
    size_t shown, some = 0;
    fleet(f);
    for (int id = 1; id <= MANY; id++)
        some += id % MODELS == 7;
    assert_int_equal(found(f, "model-7x", 10, &shown), some);
    assert_int_equal(shown, some);
    assert_int_equal(found(f, "acme", 10, &shown), MANY / 2);
    assert_int_equal(shown, 10);
    assert_int_equal(found(f,
                           "\xc3\x9c"
                           "berw",
                           1000, &shown),
                     MANY / 2);
    assert_int_equal(shown, MANY / 2);
    assert_int_equal(found(f, "sn123.", 10, &shown), 1);
    assert_int_equal(found(f, "dev-499", 10, &shown), 1);
    assert_int_equal(found(f, "plant-z", 10, &shown), MANY / 10);
    assert_int_equal(found(f, "nowhere", 10, &shown), 0);
    assert_int_equal(found(f, "e", 1000, &shown), MANY);
    assert_int_equal(shown, MANY);
}

static void every_model_is_found_although_only_some_are_remembered(void **state)
{
    struct one_shard *f = *state;
    size_t shown, all = 0;
    char text[32];
    fleet(f);
    for (int m = 0; m < MODELS; m++) {
        snprintf(text, sizeof text, "model-%dx", m);
        all += found(f, text, 1, &shown);
        assert_int_equal(shown, 1);
    }
    assert_int_equal(all, MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_text_of_a_device_finds_it_whatever_its_case, begin,
                                        end),
        cmocka_unit_test_setup_teardown(every_model_is_found_although_only_some_are_remembered,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
