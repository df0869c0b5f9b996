/* codec_test.h - what the codec tests share: one arena per test and terse constructors. */
#ifndef BRAID_TESTS_CODEC_TEST_H
#define BRAID_TESTS_CODEC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/lwm2m_path.h"

static inline int arena_setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 16384, (size_t)64 << 20);
    *state = &arena;
    return 0;
}

static inline int arena_teardown(void **state)
{
    arena_fini(*state);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)

static inline struct lw_path path_of(const char *text)
{
    struct lw_path p = {{0}, 0};
    assert_int_equal(lw_path_parse_new(str_of(text), &p), ERR_OK);
    return p;
}

/* Bytes written as hex. */
static inline struct str unhex(struct arena *a, struct str hex)
{
    uint8_t *bytes = arena_alloc(a, hex.n / 2 + 1);
    size_t n = 0;
    assert_non_null(bytes);
    assert_int_equal(str_from_hex(hex, bytes, &n), ERR_OK);
    return str_make((const char *)bytes, n);
}

static inline struct str hex(struct arena *a, const char *text)
{
    return unhex(a, str_of(text));
}

#define assert_str(view, text) assert_str_at(view, text, __FILE__, __LINE__)
static inline void assert_str_at(struct str s, const char *text, const char *file, int line)
{
    if (!str_is(s, text)) {
        print_error("got '%.*s', expected '%s'\n", (int)s.n, s.p ? s.p : "", text);
        _fail(file, line);
    }
}

#endif
