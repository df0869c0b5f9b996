/* The timeline's words are part of the API: they must be there, unique and of a known strand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "braid/timeline.h"

static void every_kind_has_a_strand_and_a_unique_word(void **state)
{
    (void)state;
    for (int i = 0; i < TL_COUNT; i++) {
        const char *strand = tl_strand((enum tl_kind)i);
        assert_true(!strcmp(strand, "braid") || !strcmp(strand, "lwm2m") ||
                    !strcmp(strand, "sparkplug") || !strcmp(strand, "command"));
        assert_true(strlen(tl_word((enum tl_kind)i)) > 2);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(tl_word((enum tl_kind)i), tl_word((enum tl_kind)k));
    }
}

static void known_words_are_kept(void **state)
{
    (void)state;
    assert_string_equal(tl_word(TL_NODE_DEAD), "node_dead");
    assert_string_equal(tl_strand(TL_NODE_DEAD), "sparkplug");
    assert_string_equal(tl_word(TL_CLASH), "identity_clash");
    assert_string_equal(tl_word((enum tl_kind)TL_COUNT), "unknown");
    assert_string_equal(tl_strand((enum tl_kind)TL_COUNT), "braid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_strand_and_a_unique_word),
        cmocka_unit_test(known_words_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
