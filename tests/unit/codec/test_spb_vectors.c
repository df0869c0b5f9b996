/* Every message of tests/data/sparkplug_vectors.json, decoded and said in one line per metric.
 *
 * The expectations were written from the vectors' own protobuf text form.  A vector without an
 * expectation fails, so the file cannot grow unnoticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/spb_payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>

struct expectation {
    const char *id, *text;
};

static const struct expectation expected[] = {
#include "spb_expected.inc"
};

static void describe_metric(struct arena *a, const struct spb_metric *m, struct buf *b)
{
    struct spb_value v;
    struct json_out j;
    buf_str(b, m->name.p ? m->name : str_of("-"));
    if (m->has_alias)
        buf_printf(b, " alias=%" PRIu64, m->alias);
    if (m->has_timestamp)
        buf_printf(b, " at=%" PRIu64, m->timestamp);
    buf_printf(b, " %s", m->has_datatype ? spb_datatype_word(m->datatype) : "untyped");
    buf_puts(b, m->is_historical ? " historical" : "");
    buf_puts(b, m->is_transient ? " transient" : "");
    if (m->has_quality)
        buf_printf(b, " quality=%d", (int)m->quality);
    if (m->unit.p)
        buf_printf(b, " unit=%.*s", STR_ARG(m->unit));
    buf_puts(b, " = ");
    enum err e = spb_value_of(a, m, m->datatype, &v);
    json_out_init(&j, b);
    if (e)
        buf_puts(b, err_word(e));
    else
        spb_value_json(&j, &v);
    buf_puts(b, "\n");
}

static void describe(struct arena *a, struct str bytes, struct buf *b)
{
    struct spb_payload p;
    enum err e = spb_decode(a, bytes, &p);
    if (e) {
        buf_puts(b, err_word(e));
        return;
    }
    if (p.has_timestamp)
        buf_printf(b, "at=%" PRIu64 " ", p.timestamp);
    if (p.has_seq)
        buf_printf(b, "seq=%" PRIu64 " ", p.seq);
    buf_puts(b, p.was_compressed ? "inflated\n" : "\n");
    for (size_t i = 0; i < p.n; i++)
        describe_metric(a, &p.metrics[i], b);
}

static const char *expectation(const char *id)
{
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (strcmp(expected[i].id, id) == 0)
            return expected[i].text;
    return NULL;
}

static char *file_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static const char *member(yajl_val v, const char *key)
{
    const char *path[] = {key, NULL};
    return YAJL_GET_STRING(yajl_tree_get(v, path, yajl_t_string));
}

static void run_vector(yajl_val v)
{
    struct arena a;
    struct buf said;
    struct str hex = str_of(member(v, "hex"));
    uint8_t *bytes = malloc(hex.n / 2 + 1);
    size_t n;
    arena_init(&a, 4096, 1 << 22);
    buf_init(&said, 1 << 16);
    assert_int_equal(str_from_hex(hex, bytes, &n), ERR_OK);
    describe(&a, str_make((const char *)bytes, n), &said);
    const char *want = expectation(member(v, "id"));
    if (!want || strcmp(want, buf_text(&said)) != 0)
        fail_msg("%s says\n%s\nbut should say\n%s", member(v, "id"), buf_text(&said),
                 want ? want : "(nothing is known about it)");
    buf_fini(&said);
    arena_fini(&a);
    free(bytes);
}

static void every_vector_says_what_its_text_form_says(void **state)
{
    (void)state;
    char *text = file_text(TEST_DATA "/sparkplug_vectors.json");
    yajl_val root = yajl_tree_parse(text, NULL, 0);
    assert_true(YAJL_IS_ARRAY(root));
    assert_int_equal(root->u.array.len, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < root->u.array.len; i++)
        run_vector(root->u.array.values[i]);
    yajl_tree_free(root);
    free(text);
}

static void every_beginning_of_a_vector_is_decoded_or_refused_cleanly(void **state)
{
    (void)state;
    char *text = file_text(TEST_DATA "/sparkplug_vectors.json");
    yajl_val root = yajl_tree_parse(text, NULL, 0);
    for (size_t i = 0; i < root->u.array.len; i++) {
        struct str hex = str_of(member(root->u.array.values[i], "hex"));
        for (size_t n = 0; n < hex.n; n += 2) {
            struct arena a;
            struct buf said;
            size_t size;
            uint8_t *bytes = malloc(n / 2 + 1); /* exact size: an overrun is caught */
            arena_init(&a, 4096, 1 << 22);
            buf_init(&said, 1 << 16);
            assert_int_equal(str_from_hex(str_make(hex.p, n), bytes, &size), ERR_OK);
            describe(&a, str_make((const char *)bytes, size), &said);
            assert_int_equal(said.err, ERR_OK);
            buf_fini(&said);
            arena_fini(&a);
            free(bytes);
        }
    }
    yajl_tree_free(root);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_says_what_its_text_form_says),
        cmocka_unit_test(every_beginning_of_a_vector_is_decoded_or_refused_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
