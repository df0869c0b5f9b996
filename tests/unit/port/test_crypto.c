/* test_crypto.c - password hashes verify, differ each time, and refuse what is not one. */
#include "port/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void a_password_verifies_against_its_own_hash_only(void **state)
{
    (void)state;
    char a[CRYPTO_PASSWORD_TEXT], b[CRYPTO_PASSWORD_TEXT];
    struct str secret = STR("correct horse");
    assert_int_equal(crypto_password_hash(secret, a), ERR_OK);
    assert_int_equal(crypto_password_hash(secret, b), ERR_OK);
    assert_string_not_equal(a, b); /* salted */
    assert_true(crypto_password_verify(secret, str_of(a)));
    assert_true(crypto_password_verify(secret, str_of(b)));
    assert_false(crypto_password_verify(str_of("correct horsf"), str_of(a)));
    assert_false(crypto_password_verify(str_of(""), str_of(a)));
    a[strlen(a) - 3] ^= 1;
    assert_false(crypto_password_verify(secret, str_of(a)));
}

static void text_that_is_no_hash_never_verifies(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "$",
        "$scrypt",
        "$scrypt$",
        "$scrypt$ln=15,r=8,p=1",
        "$scrypt$ln=15,r=8,p=1$",
        "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==",
        "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$",
        "$scrypt$ln=60,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "$scrypt$ln=1,r=8$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "$bcrypt$ln=1,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(crypto_password_verify(str_of("x"), str_of(bad[i])));
}

static void sha256_is_that_of_the_standard(void **state)
{
    (void)state;
    uint8_t digest[CRYPTO_SHA256];
    char hex[65] = "";
    assert_int_equal(crypto_sha256("abc", 3, digest), ERR_OK);
    str_to_hex(digest, sizeof digest, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void tokens_are_hex_and_never_the_same(void **state)
{
    (void)state;
    char a[65], b[65];
    assert_int_equal(crypto_token(a, 32), ERR_OK);
    assert_int_equal(crypto_token(b, 32), ERR_OK);
    assert_int_equal(strspn(a, "0123456789abcdef"), 64);
    assert_string_not_equal(a, b);
    assert_int_equal(crypto_token(a, 65), ERR_TOOBIG);
    assert_true(crypto_equal("same", "same", 4));
    assert_false(crypto_equal("same", "sama", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_verifies_against_its_own_hash_only),
        cmocka_unit_test(text_that_is_no_hash_never_verifies),
        cmocka_unit_test(sha256_is_that_of_the_standard),
        cmocka_unit_test(tokens_are_hex_and_never_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
