/* Arenas, and the buffer and reader that work on bytes of strangers. */
#include "base_test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/reader.h"

#include <stdlib.h>

static void memory_is_aligned_and_separate(void **state)
{
    struct arena a;
    char *last = NULL;
    (void)state;
    arena_init(&a, 256, 100000);
    for (size_t n = 0; n < 100; n++) {
        char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0x55, n);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    arena_fini(&a);
}

static void the_ceiling_holds_and_marks_the_arena(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 64, 1000);
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, 200));
    assert_true(a.failed);
    assert_null(arena_alloc(&a, 1)); /* stays failed, so one check at the end is enough */
    arena_reset(&a);
    assert_false(a.failed);
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_reset(&a);
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    arena_fini(&a);
}

static void growing_keeps_the_old_elements(void **state)
{
    struct arena a;
    int *v = NULL;
    size_t cap = 0;
    (void)state;
    arena_init(&a, 256, 100000);
    for (int i = 0; i < 1000; i++) {
        v = arena_grow(&a, v, &cap, (size_t)i + 1, sizeof *v);
        assert_non_null(v);
        v[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v[i], i);
    size_t before = cap;
    assert_null(arena_grow(&a, v, &cap, 100000, sizeof *v));
    assert_int_equal(cap, before);
    assert_int_equal(v[999], 999);
    arena_fini(&a);
}

static void strings_are_terminated_copies(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 256, 1000);
    struct str s = arena_str(&a, str_make("abcdef", 3));
    assert_string_equal(s.p, "abc");
    assert_string_equal(arena_str(&a, str_make(NULL, 0)).p, "");
    arena_fini(&a);
}

static void a_full_buffer_keeps_its_first_error(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10);
    buf_puts(&b, "12345678");
    buf_printf(&b, "%d", 123);
    assert_int_equal(b.err, ERR_TOOBIG);
    buf_putc(&b, 'x'); /* would fit, but the text is broken already */
    assert_int_equal(b.n, 8);
    assert_null(buf_text(&b));
    buf_reset(&b);
    buf_printf(&b, "%s", "1234567890");
    assert_string_equal(buf_text(&b), "1234567890");
    size_t n = 0;
    char *taken = buf_take(&b, &n);
    assert_int_equal(n, 10);
    assert_int_equal(b.n, 0);
    free(taken);
    buf_fini(&b);
}

static void a_reader_stops_at_the_end(void **state)
{
    struct reader r;
    (void)state;
    reader_init(&r, "\x01\x02\x03\x04\x05", 5);
    assert_int_equal(reader_u16be(&r), 0x0102);
    assert_int_equal(reader_u32be(&r), 0);
    assert_int_equal(r.err, ERR_TRUNCATED);
    assert_int_equal(reader_u8(&r), 0); /* sticky, though a byte is left */
    assert_int_equal(reader_bytes(&r, SIZE_MAX).n, 0);
    reader_fail(&r, ERR_INVALID);
    assert_int_equal(r.err, ERR_TRUNCATED); /* the first error stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_separate),
        cmocka_unit_test(the_ceiling_holds_and_marks_the_arena),
        cmocka_unit_test(growing_keeps_the_old_elements),
        cmocka_unit_test(strings_are_terminated_copies),
        cmocka_unit_test(a_full_buffer_keeps_its_first_error),
        cmocka_unit_test(a_reader_stops_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
