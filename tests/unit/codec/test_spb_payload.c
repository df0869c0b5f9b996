/* Payloads at the edges: limits, hostile bytes, compression, encoding there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/spb_int.h"

#include <math.h>
#include <stdio.h>
#include <zlib.h>

struct fx {
    struct arena a;
    struct buf b;
    struct spb_payload p;
};

static int set_up(void **state)
{
    struct fx *f = test_calloc(1, sizeof *f);
    arena_init(&f->a, 65536, (size_t)32 << 20);
    buf_init(&f->b, (size_t)4 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fx *f = *state;
    arena_fini(&f->a);
    buf_fini(&f->b);
    test_free(f);
    return 0;
}

static enum err decode(struct fx *f, struct str bytes)
{
    arena_reset(&f->a);
    return spb_decode(&f->a, bytes, &f->p);
}

static enum err decode_text(struct fx *f, const char *bytes, size_t n)
{
    return decode(f, str_make(bytes, n));
}
#define BYTES(literal) literal, sizeof(literal) - 1

static void varint(struct buf *b, uint64_t v)
{
    while (v > 127) {
        buf_putc(b, (char)(v | 0x80));
        v >>= 7;
    }
    buf_putc(b, (char)v);
}

/* Puts `inner` into length-delimited field `field` in front of nothing: out = tag length inner. */
static void wrap(struct buf *out, unsigned field, struct str inner)
{
    varint(out, field << 3 | 2);
    varint(out, inner.n);
    buf_str(out, inner);
}

/* ---- hostile bytes ---- */

static void groups_and_unknown_wire_types_are_refused(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x3b\x3c")), ERR_INVALID); /* group 7 */
    assert_int_equal(decode_text(f, BYTES("\x3c")), ERR_INVALID);
    assert_int_equal(decode_text(f, BYTES("\x0e")), ERR_INVALID);
    assert_int_equal(decode_text(f, BYTES("\x12\x02\x3b\x3c")), ERR_INVALID); /* in a metric */
    assert_int_equal(decode_text(f, BYTES("\x02\x00")), ERR_INVALID);         /* field 0 */
}

static void unknown_fields_are_skipped(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x30\x05\x39"
                                          "12345678"
                                          "\x45"
                                          "1234"
                                          "\x4a\x03"
                                          "\xff\xfe\xfd"
                                          "\x18\x07")),
                     ERR_OK);
    assert_true(f->p.has_seq && f->p.seq == 7);
}

static void known_field_of_another_wire_type_is_refused(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x10\x05")), ERR_INVALID); /* metrics as varint */
    assert_int_equal(decode_text(f, BYTES("\x1a\x01x")), ERR_INVALID);
}

static void varint_that_never_ends_is_refused(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
                     ERR_INVALID);
    assert_int_equal(decode_text(f, BYTES("\x18\xff")), ERR_TRUNCATED);
    assert_int_equal(decode_text(f, BYTES("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
                     ERR_TRUNCATED); /* a length of 2^64-1 */
}

static void text_that_is_no_utf8_is_refused(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x12\x03\x0a\x01\xff")), ERR_UTF8);
    assert_int_equal(decode_text(f, BYTES("\x12\x05\x0a\x03"
                                          "a\0b")),
                     ERR_UTF8);
    assert_int_equal(decode_text(f, BYTES("\x12\x04\x7a\x02\xc0\x80")), ERR_UTF8);
    assert_int_equal(decode_text(f, BYTES("\x12\x05\x4a\x03\x0a\x01\xff")), ERR_UTF8); /* key */
    assert_int_equal(decode_text(f, BYTES("\x12\x05\x82\x01\x02\xff\xfe")), ERR_OK);   /* bytes */
}

static void nesting_is_limited(void **state)
{
    struct fx *f = *state;
    struct buf inner;
    buf_init(&inner, 1 << 20);
    for (int levels = 1; levels < 2000; levels++) { /* metric in template in metric ... */
        buf_reset(&f->b);
        wrap(&f->b, levels % 2 ? 18 : 2, buf_view(&inner));
        buf_reset(&inner);
        buf_str(&inner, buf_view(&f->b));
    }
    buf_reset(&f->b);
    wrap(&f->b, 2, buf_view(&inner));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_DEPTH);
    buf_fini(&inner);
}

static void nesting_of_seven_templates_is_fine(void **state)
{
    struct fx *f = *state;
    struct buf inner;
    struct spb_value v;
    buf_init(&inner, 1 << 20);
    for (int i = 0; i < 7; i++) {
        struct buf metric;
        buf_init(&metric, 1 << 20);
        buf_puts(&metric, "\x0a\x01m\x20\x13");
        wrap(&metric, 18, buf_view(&inner));
        buf_reset(&inner);
        wrap(&inner, 2, buf_view(&metric));
        buf_fini(&metric);
    }
    assert_int_equal(decode(f, buf_view(&inner)), ERR_OK);
    assert_int_equal(spb_value_of(&f->a, &f->p.metrics[0], SPB_TEMPLATE, &v), ERR_OK);
    assert_true(str_starts(v.s, "{\"ref\":null,\"version\":null,\"definition\":false,"
                                "\"metrics\":{\"m\":{\"ref\":null"));
    buf_fini(&inner);
}

static void number_of_metrics_and_fields_is_limited(void **state)
{
    struct fx *f = *state;
    for (int i = 0; i < SPB_MAX_METRICS; i++)
        buf_put(&f->b, "\x12", 2);
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_OK);
    assert_int_equal(f->p.n, SPB_MAX_METRICS);
    buf_put(&f->b, "\x12", 2);
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_TOOBIG);
    buf_reset(&f->b);
    for (int i = 0; i <= SPB_MAX_FIELDS; i++)
        buf_put(&f->b, "\x38", 2);
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_TOOBIG);
}

static void payload_beyond_a_megabyte_is_refused(void **state)
{
    struct fx *f = *state;
    char *big = test_calloc(1, SPB_MAX_PAYLOAD + 1);
    assert_int_equal(decode_text(f, big, SPB_MAX_PAYLOAD + 1), ERR_TOOBIG);
    test_free(big);
}

static void arena_that_is_too_small_says_so(void **state)
{
    struct arena small;
    struct spb_payload p;
    char bytes[3000];
    (void)state;
    arena_init(&small, 1024, 4096);
    for (size_t i = 0; i < sizeof bytes; i += 2)
        memcpy(bytes + i, "\x12\x00", 2);
    assert_int_equal(spb_decode(&small, str_make(bytes, sizeof bytes), &p), ERR_NOMEM);
    arena_fini(&small);
}

static void last_member_of_a_oneof_wins(void **state)
{
    struct fx *f = *state;
    struct spb_value v;
    assert_int_equal(decode_text(f, BYTES("\x12\x0a\x50\x05\x7a\x01x\x8a\x01\x00\x70\x01")),
                     ERR_OK);
    assert_int_equal(f->p.metrics[0].wire, SPB_W_BOOL);
    assert_int_equal(spb_value_of(&f->a, &f->p.metrics[0], SPB_BOOLEAN, &v), ERR_OK);
    assert_true(v.b);
}

/* ---- compression ---- */

static void deflate_into(struct buf *out, struct str in, int window_bits)
{
    z_stream z = {0};
    size_t room = in.n / 100 + 1000;
    unsigned char *bytes = test_malloc(in.n + room);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = bytes;
    z.avail_out = (uInt)(in.n + room);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_put(out, bytes, z.total_out);
    deflateEnd(&z);
    test_free(bytes);
}

static void envelope(struct buf *out, struct str body)
{
    wrap(out, 4, str_of("SPBV1.0_COMPRESSED"));
    wrap(out, 5, body);
}

static void zlib_and_gzip_bodies_are_inflated(void **state)
{
    struct fx *f = *state;
    static const int windows[] = {15, 15 + 16};
    for (size_t i = 0; i < 2; i++) {
        struct buf body;
        buf_init(&body, 1 << 20);
        buf_reset(&f->b);
        deflate_into(&body, str_make("\x12\x03\x0a\x01x\x18\x09", 7), windows[i]);
        envelope(&f->b, buf_view(&body));
        assert_int_equal(decode(f, buf_view(&f->b)), ERR_OK);
        assert_true(f->p.was_compressed && f->p.has_seq);
        assert_int_equal(f->p.seq, 9);
        assert_true(str_is(f->p.metrics[0].name, "x"));
        buf_fini(&body);
    }
}

static void seq_and_time_of_the_envelope_stand_in_for_missing_ones(void **state)
{
    struct fx *f = *state;
    struct buf body;
    buf_init(&body, 1 << 20);
    deflate_into(&body, str_make("\x12\x03\x0a\x01x", 5), 15);
    buf_put(&f->b, "\x08\x05\x18\x06", 4);
    envelope(&f->b, buf_view(&body));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_OK);
    assert_int_equal(f->p.seq, 6);
    assert_int_equal(f->p.timestamp, 5);
    buf_fini(&body);
}

static void bomb_is_stopped_at_the_limit(void **state)
{
    struct fx *f = *state;
    struct buf body;
    char *zeros = test_calloc(1, (size_t)50 << 20);
    buf_init(&body, 1 << 20);
    deflate_into(&body, str_make(zeros, (size_t)50 << 20), 15);
    envelope(&f->b, buf_view(&body));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_TOOBIG);
    assert_true(f->a.used < (size_t)8 << 20);
    buf_fini(&body);
    test_free(zeros);
}

static void envelope_in_an_envelope_is_refused(void **state)
{
    struct fx *f = *state;
    struct buf body, inner;
    buf_init(&body, 1 << 20);
    buf_init(&inner, 1 << 20);
    deflate_into(&body, str_make("\x18\x01", 2), 15);
    envelope(&inner, buf_view(&body));
    buf_reset(&body);
    deflate_into(&body, buf_view(&inner), 15);
    envelope(&f->b, buf_view(&body));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_DEPTH);
    buf_fini(&body);
    buf_fini(&inner);
}

static void broken_compressed_body_is_refused(void **state)
{
    struct fx *f = *state;
    struct buf body;
    buf_init(&body, 1 << 20);
    deflate_into(&body, str_of("some text that is long enough to be cut somewhere"), 15);
    envelope(&f->b, str_make(body.p, body.n - 8));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_TRUNCATED);
    buf_reset(&f->b);
    envelope(&f->b, str_of("no zlib at all"));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_INVALID);
    buf_reset(&f->b);
    envelope(&f->b, str_make(NULL, 0));
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_TRUNCATED);
    buf_fini(&body);
}

/* ---- values ---- */

static struct spb_metric wire_int(uint8_t wire, uint64_t u)
{
    return (struct spb_metric){.wire = wire, .u = u};
}

static void narrow_integers_are_taken_by_their_low_bits(void **state)
{
    struct fx *f = *state;
    static const struct {
        unsigned datatype;
        uint8_t wire;
        uint64_t u;
        int64_t i;
    } cases[] = {
        {SPB_INT8, SPB_W_INT, 0xe9, -23},
        {SPB_INT8, SPB_W_INT, 0xffffffe9, -23},
        {SPB_INT8, SPB_W_LONG, 0xffffffffffffffe9, -23},
        {SPB_INT8, SPB_W_INT, 127, 127},
        {SPB_INT16, SPB_W_INT, 0x8000, -32768},
        {SPB_INT32, SPB_W_INT, 0xfffffff4, -12},
        {SPB_INT32, SPB_W_LONG, 0xfffffffffffffff4, -12},
        {SPB_INT64, SPB_W_LONG, 0x8000000000000000, INT64_MIN},
        {SPB_INT64, SPB_W_INT, 0xfffffff4, -12},
        {SPB_DATETIME, SPB_W_LONG, 1700000000000, 1700000000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spb_metric m = wire_int(cases[i].wire, cases[i].u);
        struct spb_value v;
        assert_int_equal(spb_value_of(&f->a, &m, cases[i].datatype, &v), ERR_OK);
        assert_int_equal(v.cls, SPB_V_INT);
        assert_true(v.i == cases[i].i);
    }
}

static void uint32_comes_in_either_member(void **state)
{
    struct fx *f = *state;
    struct spb_value a, b;
    struct spb_metric m = wire_int(SPB_W_INT, 4294967295), l = wire_int(SPB_W_LONG, 4294967295);
    assert_int_equal(spb_value_of(&f->a, &m, SPB_UINT32, &a), ERR_OK);
    assert_int_equal(spb_value_of(&f->a, &l, SPB_UINT32, &b), ERR_OK);
    assert_true(spb_value_eq(&a, &b) && a.u == 4294967295);
}

static void unknown_datatype_keeps_what_the_wire_says(void **state)
{
    struct fx *f = *state;
    struct spb_value v;
    struct spb_metric m = wire_int(SPB_W_INT, 7);
    assert_int_equal(spb_value_of(&f->a, &m, 99, &v), ERR_OK);
    assert_true(v.cls == SPB_V_UINT && v.u == 7 && v.datatype == SPB_UNKNOWN);
    m.wire = SPB_W_OTHER;
    assert_int_equal(spb_value_of(&f->a, &m, SPB_UNKNOWN, &v), ERR_TYPE);
    m.wire = SPB_W_INT;
    assert_int_equal(spb_value_of(&f->a, &m, SPB_PROPERTYSET, &v), ERR_TYPE);
}

static void member_that_cannot_carry_the_datatype_is_a_type_error(void **state)
{
    struct fx *f = *state;
    struct spb_metric m = {.wire = SPB_W_STRING, .s = STR("5")};
    for (unsigned t = SPB_INT8; t <= SPB_BOOLEAN; t++) {
        struct spb_value v;
        assert_int_equal(spb_value_of(&f->a, &m, t, &v), ERR_TYPE);
    }
}

static void malformed_arrays_are_refused(void **state)
{
    struct fx *f = *state;
    static const struct {
        unsigned datatype;
        const char *bytes;
        size_t n;
        enum err e;
        const char *json;
    } cases[] = {
        {SPB_INT16_ARRAY, BYTES("\x01\x02\x03"), ERR_INVALID, NULL},
        {SPB_DOUBLE_ARRAY, BYTES("1234567"), ERR_INVALID, NULL},
        {SPB_BOOLEAN_ARRAY, BYTES("\x01\x00\x00"), ERR_INVALID, NULL},
        {SPB_BOOLEAN_ARRAY, BYTES("\x09\x00\x00\x00\xff"), ERR_INVALID, NULL},
        {SPB_BOOLEAN_ARRAY, BYTES("\xff\xff\xff\xff"), ERR_INVALID, NULL},
        {SPB_BOOLEAN_ARRAY, BYTES("\x00\x00\x00\x00"), ERR_OK, "[]"},
        {SPB_STRING_ARRAY, BYTES("abc"), ERR_INVALID, NULL},
        {SPB_STRING_ARRAY, BYTES("\xff\x00"), ERR_UTF8, NULL},
        {SPB_STRING_ARRAY, BYTES("a\0\0b\0"), ERR_OK, "[\"a\",\"\",\"b\"]"},
        {SPB_UINT8_ARRAY, BYTES("\x80\xff"), ERR_OK, "[128,255]"},
        {SPB_INT8_ARRAY, BYTES(""), ERR_OK, "[]"},
        {SPB_FLOAT_ARRAY, BYTES("\x00\x00\xc0\x7f"), ERR_OK, "[null]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spb_metric m = {.wire = SPB_W_BYTES, .s = {cases[i].bytes, cases[i].n}};
        struct spb_value v;
        assert_int_equal(spb_value_of(&f->a, &m, cases[i].datatype, &v), cases[i].e);
        if (cases[i].json)
            assert_true(str_is(v.s, cases[i].json));
    }
}

static void long_array_is_rendered_whole(void **state)
{
    struct fx *f = *state;
    char *zeros = test_calloc(1, 300000);
    struct spb_metric m = {.wire = SPB_W_BYTES, .s = {zeros, 300000}};
    struct spb_value v;
    assert_int_equal(spb_value_of(&f->a, &m, SPB_UINT8_ARRAY, &v), ERR_OK);
    assert_int_equal(v.s.n, 600001);
    memset(zeros, 'x', 299999); /* text of one 300 kB string */
    assert_int_equal(spb_value_of(&f->a, &m, SPB_STRING_ARRAY, &v), ERR_OK);
    test_free(zeros);
}

static void dataset_whose_shape_contradicts_itself_is_refused(void **state)
{
    struct fx *f = *state;
    struct spb_value v;
    /* two columns, one type */
    assert_int_equal(decode_text(f, BYTES("\x12\x0b\x8a\x01\x08\x12\x01\x61\x12\x01\x62\x18\x03")),
                     ERR_OK);
    assert_int_equal(spb_value_of(&f->a, &f->p.metrics[0], SPB_DATASET, &v), ERR_INVALID);
    /* one column, a row of two cells */
    assert_int_equal(
        decode_text(
            f, BYTES("\x12\x10\x8a\x01\x0d\x12\x01\x61\x18\x03\x22\x06\x0a\x00\x0a\x02\x08\x05")),
        ERR_OK);
    assert_int_equal(spb_value_of(&f->a, &f->p.metrics[0], SPB_DATASET, &v), ERR_INVALID);
    /* one column, types packed, a null cell and a 5 */
    assert_int_equal(
        decode_text(f,
                    BYTES("\x12\x15\x8a\x01\x12\x12\x01\x61\x1a\x01\x03\x22\x02\x0a\x00\x22\x06\x0a"
                          "\x04\x08\xfb\xff\x03")),
        ERR_OK);
    assert_int_equal(spb_value_of(&f->a, &f->p.metrics[0], SPB_DATASET, &v), ERR_OK);
    assert_true(
        str_is(v.s, "{\"columns\":[\"a\"],\"types\":[\"Int32\"],\"rows\":[[null],[65531]]}"));
}

static void property_sets_with_unequal_sides_are_ignored(void **state)
{
    struct fx *f = *state;
    assert_int_equal(decode_text(f, BYTES("\x12\x0b\x4a\x09\x0a\x07Quality")), ERR_OK);
    assert_false(f->p.metrics[0].has_quality);
}

static void numbers_are_doubles_where_they_can_be(void **state)
{
    struct spb_value v = {.datatype = SPB_DOUBLE, .cls = SPB_V_FLOAT, .f = NAN};
    double d = 5;
    (void)state;
    assert_false(spb_value_double(&v, &d));
    assert_true(spb_value_eq(&v, &v));
    v.f = INFINITY;
    assert_false(spb_value_double(&v, &d));
    v = (struct spb_value){.cls = SPB_V_BOOL, .b = true};
    assert_true(spb_value_double(&v, &d) && d == 1);
    v = (struct spb_value){.cls = SPB_V_TEXT, .s = STR("1")};
    assert_false(spb_value_double(&v, &d));
    v = (struct spb_value){.cls = SPB_V_NULL};
    assert_false(spb_value_double(&v, &d));
}

static void datatype_words_and_numbers_belong_together(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SPB_DATATYPE_COUNT; t++) {
        unsigned back;
        assert_true(spb_datatype_from(str_of(spb_datatype_word(t)), &back));
        assert_int_equal(back, t);
    }
    unsigned any = 7;
    assert_false(spb_datatype_from(str_of("int8"), &any));
    assert_int_equal(any, 7);
    assert_string_equal(spb_datatype_word(35), "Unknown");
}

/* ---- encoding ---- */

static void what_is_encoded_decodes_to_the_same(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric m[] = {
        {.value = {SPB_INT8, SPB_V_INT, .i = -128}},
        {.value = {SPB_INT16, SPB_V_INT, .i = 32767}},
        {.value = {SPB_INT32, SPB_V_INT, .i = -5}},
        {.value = {SPB_INT64, SPB_V_INT, .i = INT64_MIN}},
        {.value = {SPB_UINT8, SPB_V_UINT, .u = 255}},
        {.value = {SPB_UINT16, SPB_V_UINT, .u = 65535}},
        {.value = {SPB_UINT32, SPB_V_UINT, .u = 4294967295}},
        {.value = {SPB_UINT64, SPB_V_UINT, .u = UINT64_MAX}},
        {.value = {SPB_FLOAT, SPB_V_FLOAT, .f = 1.5}},
        {.value = {SPB_DOUBLE, SPB_V_FLOAT, .f = -0.1}},
        {.value = {SPB_BOOLEAN, SPB_V_BOOL, .b = false}},
        {.value = {SPB_STRING, SPB_V_TEXT, .s = STR("h\xc3\xa9")}},
        {.value = {SPB_DATETIME, SPB_V_INT, .i = 1700000000000}},
        {.value = {SPB_BYTES, SPB_V_BYTES, .s = STR("\xff\x00\x01")}},
        {.value = {SPB_INT32, SPB_V_NULL, .i = 0}},
    };
    enum { N = sizeof m / sizeof *m };
    struct spb_out p = {.timestamp = 5, .has_seq = true, .seq = 0, .metrics = m, .n = N};
    for (size_t i = 0; i < N; i++) {
        m[i].name = str_of("n");
        m[i].with_datatype = true;
        m[i].timestamp = 1000 + i;
    }
    m[3].unit = str_of("Cel");
    m[3].quality = 500;
    m[3].readonly = m[4].is_transient = m[5].is_historical = true;
    assert_int_equal(spb_encode(&p, &f->b), ERR_OK);
    assert_int_equal(decode(f, buf_view(&f->b)), ERR_OK);
    assert_true(f->p.has_seq && f->p.seq == 0);
    assert_int_equal(f->p.n, N);
    for (size_t i = 0; i < N; i++) {
        struct spb_value v;
        assert_int_equal(f->p.metrics[i].timestamp, 1000 + i);
        assert_int_equal(spb_value_of(&f->a, &f->p.metrics[i], f->p.metrics[i].datatype, &v),
                         ERR_OK);
        assert_true(spb_value_eq(&v, &m[i].value));
    }
    assert_true(str_is(f->p.metrics[3].unit, "Cel"));
    assert_int_equal(f->p.metrics[3].quality, 500);
    assert_true(f->p.metrics[3].has_readonly && f->p.metrics[3].readonly);
    assert_true(f->p.metrics[4].is_transient && f->p.metrics[5].is_historical);
    assert_true(f->p.metrics[14].is_null);
}

/* The bytes of observed messages: sequence 0 explicit, -5 as ten hex digits of sign. */
static void encoded_bytes_are_those_of_the_observed_messages(void **state)
{
    struct fx *f = *state;
    struct spb_out_metric dbirth[] = {
        {.name = STR("Inputs/A"),
         .has_alias = true,
         .alias = 8,
         .timestamp = 1700000000001,
         .with_datatype = true,
         .value = {SPB_BOOLEAN, SPB_V_BOOL, .b = true}},
        {.name = STR("i"),
         .timestamp = 1700000000001,
         .with_datatype = true,
         .value = {SPB_INT32, SPB_V_INT, .i = -5}},
    };
    struct spb_out p = {
        .timestamp = 1700000000001, .has_seq = true, .seq = 1, .metrics = dbirth, .n = 2};
    char hex[400];
    assert_int_equal(spb_encode(&p, &f->b), ERR_OK);
    str_to_hex(f->b.p, f->b.n, hex);
    hex[f->b.n * 2] = '\0';
    assert_string_equal(hex,
                        "0881d095ffbc3112170a08496e707574732f4110081881d095ffbc31200b700112120a"
                        "01691881d095ffbc31200350fbffffff0f1801");
    struct spb_out empty = {.has_seq = true, .seq = 0};
    buf_reset(&f->b);
    assert_int_equal(spb_encode(&empty, &f->b), ERR_OK);
    assert_true(str_eq(buf_view(&f->b), str_make("\x18\x00", 2)));
}

static void encoder_refuses_what_it_cannot_say(void **state)
{
    struct fx *f = *state;
    static const struct {
        struct spb_value v;
        enum err e;
    } bad[] = {
        {{SPB_INT8, SPB_V_INT, .i = 128}, ERR_RANGE},
        {{SPB_INT16, SPB_V_INT, .i = -32769}, ERR_RANGE},
        {{SPB_INT32, SPB_V_INT, .i = 2147483648}, ERR_RANGE},
        {{SPB_UINT8, SPB_V_UINT, .u = 256}, ERR_RANGE},
        {{SPB_UINT32, SPB_V_UINT, .u = 4294967296}, ERR_RANGE},
        {{SPB_INT32, SPB_V_UINT, .u = 5}, ERR_TYPE},
        {{SPB_STRING, SPB_V_TEXT, .s = STR("\xff")}, ERR_UTF8},
        {{SPB_DATASET, SPB_V_JSON, .s = STR("{}")}, ERR_UNSUPPORTED},
        {{SPB_UNKNOWN, SPB_V_INT, .i = 5}, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spb_out_metric m = {.name = STR("n"), .value = bad[i].v};
        struct spb_out p = {.metrics = &m, .n = 1};
        buf_reset(&f->b);
        assert_int_equal(spb_encode(&p, &f->b), bad[i].e);
    }
    struct spb_out_metric m = {.name = STR("\xff"), .value = {SPB_BOOLEAN, SPB_V_BOOL, .b = true}};
    struct spb_out p = {.metrics = &m, .n = 1};
    assert_int_equal(spb_encode(&p, &f->b), ERR_UTF8);
}

#define T(x) cmocka_unit_test_setup_teardown(x, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(groups_and_unknown_wire_types_are_refused),
        T(unknown_fields_are_skipped),
        T(known_field_of_another_wire_type_is_refused),
        T(varint_that_never_ends_is_refused),
        T(text_that_is_no_utf8_is_refused),
        T(nesting_is_limited),
        T(nesting_of_seven_templates_is_fine),
        T(number_of_metrics_and_fields_is_limited),
        T(payload_beyond_a_megabyte_is_refused),
        T(arena_that_is_too_small_says_so),
        T(last_member_of_a_oneof_wins),
        T(zlib_and_gzip_bodies_are_inflated),
        T(seq_and_time_of_the_envelope_stand_in_for_missing_ones),
        T(bomb_is_stopped_at_the_limit),
        T(envelope_in_an_envelope_is_refused),
        T(broken_compressed_body_is_refused),
        T(narrow_integers_are_taken_by_their_low_bits),
        T(uint32_comes_in_either_member),
        T(unknown_datatype_keeps_what_the_wire_says),
        T(member_that_cannot_carry_the_datatype_is_a_type_error),
        T(malformed_arrays_are_refused),
        T(long_array_is_rendered_whole),
        T(dataset_whose_shape_contradicts_itself_is_refused),
        T(property_sets_with_unequal_sides_are_ignored),
        T(numbers_are_doubles_where_they_can_be),
        T(datatype_words_and_numbers_belong_together),
        T(what_is_encoded_decodes_to_the_same),
        T(encoded_bytes_are_those_of_the_observed_messages),
        T(encoder_refuses_what_it_cannot_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
