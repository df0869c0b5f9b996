/* An array that grows one by one, and one that cannot. */
#include "base_test.h"

#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

static void what_is_in_stays_and_moves_seldom(void **state)
{
    (void)state;
    int *v = NULL;
    size_t cap = 0, moves = 0;
    for (int i = 0; i < 10000; i++) {
        size_t had = cap;
        int *w = grow(v, &cap, (size_t)i + 1, sizeof *v);
        assert_non_null(w);
        moves += had != cap;
        v = w;
        v[i] = i;
    }
    assert_true(cap >= 10000 && cap < 20000);
    assert_true(moves < 12);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(v[i], i);
    free(v);
}

static void an_array_of_nothing_is_one_too(void **state)
{
    (void)state;
    size_t cap = 0;
    char *v = grow(NULL, &cap, 0, 1);
    assert_non_null(v);
    assert_true(cap > 0);
    assert_ptr_equal(grow(v, &cap, cap, 1), v);
    free(v);
}

static void what_cannot_be_leaves_all_as_it_was(void **state)
{
    (void)state;
    size_t cap = 0;
    char *v = grow(NULL, &cap, 10, 8);
    size_t had = cap;
    assert_non_null(v);
    assert_null(grow(v, &cap, SIZE_MAX, 8));
    assert_null(grow(v, &cap, SIZE_MAX / 4, 8)); /* times 8 is more than there are */
    assert_int_equal(cap, had);
    v[79] = 1;
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_stays_and_moves_seldom),
        cmocka_unit_test(an_array_of_nothing_is_one_too),
        cmocka_unit_test(what_cannot_be_leaves_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
