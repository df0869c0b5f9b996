/* test_spool.c - the spool file: order, marks, limits, and every way its end may be torn. */
#include "fixture/process.h"
#include "store/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[80];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/braid-spool-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/spool", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    process_remove(dir);
    return 0;
}

static struct spool *open_spool(void)
{
    struct spool *s = NULL;
    assert_int_equal(spool_open(dir, 1 << 20, &s), ERR_OK);
    return s;
}

static void append(struct spool *s, char kind, uint32_t rows, const char *text)
{
    assert_int_equal(spool_append(s, kind, rows, str_of(text)), ERR_OK);
}

static void expect(struct spool *s, char kind, const char *text)
{
    struct spool_record r;
    assert_int_equal(spool_next(s, &r), ERR_OK);
    assert_int_equal(r.kind, kind);
    assert_true(str_is(r.payload, text));
}

static void expect_end(struct spool *s)
{
    struct spool_record r;
    assert_int_equal(spool_next(s, &r), ERR_NOTFOUND);
}

static off_t file_size(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void records_come_back_in_order_also_after_a_restart(void **state)
{
    (void)state;
    struct spool *s = open_spool();
    assert_true(spool_empty(s));
    append(s, SPOOL_STATEMENT, 0, "one");
    append(s, SPOOL_CHUNK, 7, "");
    expect_end(s); /* not synced yet */
    assert_int_equal(spool_sync(s), ERR_OK);
    append(s, SPOOL_STATEMENT, 0, "three");
    assert_int_equal(spool_sync(s), ERR_OK);
    append(s, SPOOL_STATEMENT, 0, "never synced");
    assert_int_equal(spool_rows(s), 7);
    spool_close(s);
    s = open_spool();
    assert_int_equal(spool_rows(s), 7);
    assert_int_equal(spool_bytes(s), file_size());
    expect(s, SPOOL_STATEMENT, "one");
    expect(s, SPOOL_CHUNK, "");
    expect(s, SPOOL_STATEMENT, "three");
    expect_end(s);
    spool_close(s);
}

static void a_rewind_goes_back_to_the_mark_and_the_last_mark_empties_the_file(void **state)
{
    (void)state;
    struct spool *s = open_spool();
    append(s, SPOOL_CHUNK, 1, "a");
    append(s, SPOOL_CHUNK, 2, "b");
    assert_int_equal(spool_sync(s), ERR_OK);
    expect(s, SPOOL_CHUNK, "a");
    assert_int_equal(spool_mark(s), ERR_OK);
    assert_int_equal(spool_rows(s), 2);
    expect(s, SPOOL_CHUNK, "b");
    spool_rewind(s);
    assert_false(spool_empty(s));
    expect(s, SPOOL_CHUNK, "b");
    append(s, SPOOL_CHUNK, 4, "c"); /* new work goes behind */
    assert_int_equal(spool_sync(s), ERR_OK);
    assert_int_equal(spool_mark(s), ERR_OK);
    assert_int_equal(spool_rows(s), 4);
    expect(s, SPOOL_CHUNK, "c");
    assert_int_equal(spool_mark(s), ERR_OK);
    assert_true(spool_empty(s));
    assert_int_equal(file_size(), 0);
    assert_int_equal(spool_rows(s), 0);
    append(s, SPOOL_STATEMENT, 0, "d");
    assert_int_equal(spool_sync(s), ERR_OK);
    expect(s, SPOOL_STATEMENT, "d");
    spool_close(s);
}

static void chunks_leave_room_for_statements(void **state)
{
    (void)state;
    struct spool *s = open_spool();
    static char block[60000];
    const struct str payload = {block, sizeof block};
    int chunks = 0, statements = 0;
    assert_true(spool_spares(s, sizeof block));
    while (spool_append(s, SPOOL_CHUNK, 1, payload) == ERR_OK)
        chunks++;
    assert_false(spool_spares(s, sizeof block));
    assert_int_equal(spool_append(s, SPOOL_CHUNK, 1, payload), ERR_FULL);
    while (spool_append(s, SPOOL_STATEMENT, 0, payload) == ERR_OK)
        statements++;
    assert_int_equal(spool_append(s, SPOOL_STATEMENT, 0, payload), ERR_FULL);
    assert_int_equal(chunks, 15); /* 7/8 of 1 MiB */
    assert_int_equal(statements, 2);
    assert_int_equal(spool_sync(s), ERR_OK); /* what was accepted is there */
    assert_int_equal(spool_rows(s), 15);
    assert_true(file_size() <= 1 << 20);
    spool_close(s);
}

static void cut_file(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void wherever_the_end_is_torn_whole_records_stay(void **state)
{
    (void)state;
    char bytes[200];
    struct spool *s = open_spool();
    append(s, SPOOL_STATEMENT, 0, "first");
    assert_int_equal(spool_sync(s), ERR_OK);
    size_t first = (size_t)file_size();
    append(s, SPOOL_STATEMENT, 0, "second");
    assert_int_equal(spool_sync(s), ERR_OK);
    spool_close(s);
    FILE *f = fopen(path, "r");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t cut = first; cut < n; cut++) {
        cut_file(bytes, cut);
        s = open_spool();
        assert_int_equal(file_size(), first);
        expect(s, SPOOL_STATEMENT, "first");
        expect_end(s);
        spool_close(s);
    }
    for (size_t i = first; i < n; i++) { /* any damaged byte of the last record */
        bytes[i] ^= 0x20;
        cut_file(bytes, n);
        bytes[i] ^= 0x20;
        s = open_spool();
        expect(s, SPOOL_STATEMENT, "first");
        expect_end(s);
        append(s, SPOOL_STATEMENT, 0, "new");
        assert_int_equal(spool_sync(s), ERR_OK);
        expect(s, SPOOL_STATEMENT, "new");
        spool_close(s);
    }
    cut_file("no spool at all", 15);
    s = open_spool();
    assert_true(spool_empty(s));
    spool_close(s);
}

/* Overwrites the byte at `at` so that it is another one. */
static void damage(off_t at)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    fputc(c ^ 0x20, f);
    assert_int_equal(fclose(f), 0);
}

static void expect_damage(struct spool *s)
{
    struct spool_record r;
    assert_int_equal(spool_next(s, &r), ERR_OK);
    assert_int_equal(r.kind, SPOOL_DAMAGED);
    assert_int_equal(r.rows, 0);
    assert_true(r.payload.n > 0 && r.payload.n <= SPOOL_DAMAGED_SHOWN);
}

static void a_damaged_record_is_passed_over_at_every_byte(void **state)
{
    (void)state;
    struct spool *s = open_spool();
    append(s, SPOOL_STATEMENT, 0, "first");
    assert_int_equal(spool_sync(s), ERR_OK);
    off_t from = file_size();
    append(s, SPOOL_CHUNK, 3, "bad");
    assert_int_equal(spool_sync(s), ERR_OK);
    off_t to = file_size();
    append(s, SPOOL_STATEMENT, 0, "third");
    assert_int_equal(spool_sync(s), ERR_OK);
    for (off_t at = from; at < to; at++) {
        damage(at); /* while it is open */
        expect(s, SPOOL_STATEMENT, "first");
        expect_damage(s);
        expect(s, SPOOL_STATEMENT, "third");
        expect_end(s);
        spool_close(s);
        s = open_spool(); /* and before it is opened */
        assert_int_equal(file_size(), spool_bytes(s));
        expect(s, SPOOL_STATEMENT, "first");
        expect_damage(s);
        expect(s, SPOOL_STATEMENT, "third");
        expect_end(s);
        spool_rewind(s);
        damage(at); /* whole again */
        expect(s, SPOOL_STATEMENT, "first");
        spool_close(s);
        s = open_spool();
    }
    spool_close(s);
}

static void damage_at_the_end_of_an_open_spool_is_read_once(void **state)
{
    (void)state;
    struct spool *s = open_spool();
    append(s, SPOOL_STATEMENT, 0, "first");
    append(s, SPOOL_CHUNK, 3, "bad");
    assert_int_equal(spool_sync(s), ERR_OK);
    damage(file_size() - 1);
    expect(s, SPOOL_STATEMENT, "first");
    expect_damage(s);
    expect_end(s);
    assert_int_equal(spool_mark(s), ERR_OK);
    assert_true(spool_empty(s));
    assert_int_equal(spool_rows(s), 0);
    spool_close(s);
}

static void what_was_replayed_gives_its_room_back_before_the_end(void **state)
{
    (void)state;
    static char block[60000];
    const struct str payload = {block, sizeof block};
    struct spool_record r;
    struct stat st;
    struct spool *s = open_spool(); /* 1 MiB */
    while (spool_append(s, SPOOL_CHUNK, 1, payload) == ERR_OK)
        ;
    assert_int_equal(spool_sync(s), ERR_OK);
    for (int i = 0; i < 100; i++) { /* six times the limit flows through */
        assert_int_equal(spool_next(s, &r), ERR_OK);
        assert_int_equal(spool_mark(s), ERR_OK);
        assert_int_equal(spool_append(s, SPOOL_CHUNK, 1, payload), ERR_OK);
        assert_int_equal(spool_append(s, SPOOL_CHUNK, 1, payload), ERR_FULL);
        assert_int_equal(spool_sync(s), ERR_OK);
        assert_true(spool_bytes(s) <= 1 << 20);
    }
    assert_true(file_size() > 6 << 20);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < 3 << 19); /* holes take no room */
    uint64_t rows = spool_rows(s);
    assert_int_equal(rows, 15);
    spool_close(s); /* after a crash, what is left is found behind the hole */
    s = open_spool();
    assert_true(spool_rows(s) >= rows && spool_rows(s) <= rows + 2);
    while (spool_next(s, &r) == ERR_OK)
        assert_int_equal(r.kind, SPOOL_CHUNK);
    assert_int_equal(spool_mark(s), ERR_OK);
    assert_int_equal(file_size(), 0);
    spool_close(s);
}

static void large_records_pass_the_read_buffer(void **state)
{
    (void)state;
    struct spool *s = NULL;
    struct spool_record r;
    size_t n = 3000000;
    char *block = malloc(n);
    memset(block, 'x', n);
    assert_int_equal(spool_open(dir, 64 << 20, &s), ERR_OK);
    for (int i = 0; i < 5; i++) {
        append(s, SPOOL_STATEMENT, 0, "small");
        assert_int_equal(spool_append(s, SPOOL_CHUNK, 9, str_make(block, n)), ERR_OK);
    }
    assert_int_equal(spool_sync(s), ERR_OK);
    spool_close(s);
    assert_int_equal(spool_open(dir, 64 << 20, &s), ERR_OK);
    for (int i = 0; i < 5; i++) {
        expect(s, SPOOL_STATEMENT, "small");
        assert_int_equal(spool_next(s, &r), ERR_OK);
        assert_true(r.payload.n == n && memcmp(r.payload.p, block, n) == 0);
    }
    expect_end(s);
    spool_close(s);
    free(block);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(records_come_back_in_order_also_after_a_restart),
        T(a_rewind_goes_back_to_the_mark_and_the_last_mark_empties_the_file),
        T(chunks_leave_room_for_statements),
        T(wherever_the_end_is_torn_whole_records_stay),
        T(a_damaged_record_is_passed_over_at_every_byte),
        T(damage_at_the_end_of_an_open_spool_is_read_once),
        T(what_was_replayed_gives_its_room_back_before_the_end),
        T(large_records_pass_the_read_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
