/* The hash table against a plain array doing the same. */
#include "base_test.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 2000

static void replaced_values_are_handed_back(void **state)
{
    struct map m;
    int one = 1, two = 2;
    void *old = &m;
    (void)state;
    map_init(&m, 7);
    assert_null(map_find(&m, str_of("a")));
    assert_int_equal(map_put(&m, str_of("a"), &one, &old), ERR_OK);
    assert_null(old);
    assert_int_equal(map_put(&m, str_of("a"), &two, &old), ERR_OK);
    assert_ptr_equal(old, &one);
    assert_int_equal(m.n, 1);
    assert_ptr_equal(map_remove(&m, str_of("a")), &two);
    assert_null(map_remove(&m, str_of("a")));
    assert_int_equal(m.n, 0);
    map_fini(&m);
}

static void random_changes_match_an_array(void **state)
{
    static int cells[KEYS];
    static bool in[KEYS];
    struct map m;
    size_t live = 0;
    (void)state;
    map_init(&m, 99);
    srandom(1);
    for (int step = 0; step < 100000; step++) {
        size_t k = (size_t)random() % KEYS;
        uint64_t key = k * 0x100000000u; /* low bits all equal: the hash must spread them */
        if (random() % 3) {
            assert_int_equal(map_put_u64(&m, key, &cells[k], NULL), ERR_OK);
            live += !in[k];
            in[k] = true;
        } else {
            assert_ptr_equal(map_remove_u64(&m, key), in[k] ? &cells[k] : NULL);
            live -= in[k];
            in[k] = false;
        }
        assert_int_equal(m.n, live);
    }
    for (size_t k = 0; k < KEYS; k++)
        assert_ptr_equal(map_find_u64(&m, k * 0x100000000u), in[k] ? &cells[k] : NULL);
    assert_true(m.cap <= 4 * KEYS); /* tombstones do not make it grow */
    map_fini(&m);
}

static void iteration_sees_each_entry_once_and_may_remove_it(void **state)
{
    static char keys[100][16];
    static int seen[100];
    struct map m;
    size_t it = 0, count = 0;
    (void)state;
    map_init(&m, 3);
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        assert_int_equal(map_put(&m, str_of(keys[i]), &seen[i], NULL), ERR_OK);
    }
    for (int *v; (v = map_next(&m, &it)); count++) {
        assert_int_equal((*v)++, 0);
        assert_ptr_equal(map_remove(&m, str_of(keys[v - seen])), v);
    }
    assert_int_equal(count, 100);
    assert_int_equal(m.n, 0);
    map_fini(&m);
}

static void extreme_numbers_are_keys_like_others(void **state)
{
    struct map m;
    int a, b;
    (void)state;
    map_init(&m, 0);
    assert_int_equal(map_put_u64(&m, 0, &a, NULL), ERR_OK);
    assert_int_equal(map_put_u64(&m, UINT64_MAX, &b, NULL), ERR_OK);
    assert_ptr_equal(map_find_u64(&m, 0), &a);
    assert_ptr_equal(map_find_u64(&m, UINT64_MAX), &b);
    assert_null(map_find_u64(&m, 1));
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_values_are_handed_back),
        cmocka_unit_test(random_changes_match_an_array),
        cmocka_unit_test(iteration_sees_each_entry_once_and_may_remove_it),
        cmocka_unit_test(extreme_numbers_are_keys_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
