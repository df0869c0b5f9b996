/* Texts that many share. */
#include "base_test.h"

#include "base/words.h"

#include <stdio.h>

static void equal_texts_are_one_and_others_are_not(void **state)
{
    (void)state;
    struct words w;
    words_init(&w, 3);
    const char *a = words_take(&w, str_of("Acme")), *b = words_take(&w, str_of("Acme")),
               *c = words_take(&w, str_of("acme")), *none = words_take(&w, str_make(NULL, 0));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_string_equal(a, "Acme");
    assert_string_equal(none, "");
    assert_int_equal(words_len(a), 4);
    assert_int_equal(w.by_text.n, 3);
    words_put(&w, a);
    assert_string_equal(b, "Acme"); /* b still holds it */
    words_put(&w, b);
    words_put(&w, c);
    words_put(&w, none);
    words_put(&w, NULL);
    assert_int_equal(w.by_text.n, 0);
    words_fini(&w);
}

static void texts_may_hold_nul_bytes(void **state)
{
    (void)state;
    struct words w;
    words_init(&w, 3);
    const char *a = words_take(&w, str_make("a\0b", 3)), *b = words_take(&w, str_make("a\0c", 3));
    assert_ptr_not_equal(a, b);
    assert_int_equal(words_len(a), 3);
    words_put(&w, a);
    words_put(&w, b);
    words_fini(&w);
}

static void a_word_given_back_is_made_anew(void **state)
{
    (void)state;
    struct words w;
    words_init(&w, 3);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "w%d", i % 7);
        const char *word = words_take(&w, str_of(text));
        assert_string_equal(word, text);
        words_put(&w, word);
    }
    assert_int_equal(w.by_text.n, 0);
    words_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_are_one_and_others_are_not),
        cmocka_unit_test(texts_may_hold_nul_bytes),
        cmocka_unit_test(a_word_given_back_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
