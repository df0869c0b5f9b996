/* Deadlines come out in order whatever was moved or removed before. */
#include "base_test.h"

#include "base/heap.h"

#include <stdlib.h>

#define NODES 500

static void check_order(const struct heap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        assert_int_equal(h->v[i]->position, i + 1);
        if (i)
            assert_true(h->v[(i - 1) / 2]->key <= h->v[i]->key);
    }
}

static void the_smallest_key_is_always_on_top(void **state)
{
    static struct heap_node nodes[NODES];
    struct heap h;
    (void)state;
    heap_init(&h);
    assert_null(heap_top(&h));
    srandom(2);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *n = &nodes[random() % NODES];
        if (random() % 4)
            assert_int_equal(heap_set(&h, n, (uint64_t)random() % 1000), ERR_OK);
        else
            heap_remove(&h, n);
        if (step % 100 == 0)
            check_order(&h);
    }
    uint64_t last = 0;
    while (heap_top(&h)) {
        struct heap_node *n = heap_top(&h);
        assert_true(n->key >= last);
        last = n->key;
        heap_remove(&h, n);
        assert_int_equal(n->position, 0);
    }
    heap_fini(&h);
}

static void removing_what_is_not_in_is_harmless(void **state)
{
    struct heap h;
    struct heap_node a = {0}, b = {0};
    (void)state;
    heap_init(&h);
    assert_int_equal(heap_set(&h, &a, 5), ERR_OK);
    heap_remove(&h, &b);
    assert_ptr_equal(heap_top(&h), &a);
    heap_remove(&h, &a);
    heap_remove(&h, &a);
    assert_null(heap_top(&h));
    heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_key_is_always_on_top),
        cmocka_unit_test(removing_what_is_not_in_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
