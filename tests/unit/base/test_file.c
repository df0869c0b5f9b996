/* Whole files. */
#include "base_test.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void a_file_is_appended_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/braid-file-XXXXXX";
    char block[1000];
    struct buf b;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 20; i++)
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    close(fd);
    buf_init(&b, 20003);
    buf_puts(&b, "abc");
    assert_int_equal(file_read(path, &b), ERR_OK);
    assert_int_equal(b.n, 20003);
    assert_memory_equal(b.p, "abcx", 4);
    assert_int_equal(file_read(path, &b), ERR_TOOBIG);
    buf_fini(&b);
    unlink(path);
}

static void what_is_not_there_is_told_from_what_cannot_be_read(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(file_read("/nowhere/at/all", &b), ERR_NOTFOUND);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_read("/tmp", &b), ERR_IO); /* a folder opens and does not read */
    assert_int_equal(errno, EISDIR);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_appended_whole),
        cmocka_unit_test(what_is_not_there_is_told_from_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
