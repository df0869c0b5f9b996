/* Device certificates: what is in them, and that the CA's chain proves them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "tls_issuer.h"

struct files {
    char cert[64], key[64];
};

static void write_pem(const char *path, X509 *x, EVP_PKEY *k)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(
        x ? PEM_write_X509(f, x) : PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

/* A self-signed certificate in files of its own; no CA if `basic` says so. */
static struct files make_ca(const char *basic)
{
    struct files f = {"/tmp/braid-issuer-cert-XXXXXX", "/tmp/braid-issuer-key-XXXXXX"};
    close(mkstemp(f.cert));
    close(mkstemp(f.key));
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509V3_CTX ctx;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -10);
    X509_gmtime_adj(X509_getm_notAfter(x), 1000);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"sim ca", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, k);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    static const int nids[] = {NID_basic_constraints, NID_subject_key_identifier};
    const char *const values[] = {basic, "hash"};
    for (int i = 0; i < 2; i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nids[i], values[i]);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_sign(x, k, EVP_sha256()) > 0);
    write_pem(f.cert, x, NULL);
    write_pem(f.key, NULL, k);
    X509_free(x);
    EVP_PKEY_free(k);
    return f;
}

static void remove_files(struct files f)
{
    unlink(f.cert);
    unlink(f.key);
}

static bool chain_is_good(const char *ca_file, X509 *leaf)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_load_locations(store, ca_file, NULL), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    bool ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static void a_certificate_names_the_endpoint_and_is_proved_by_the_ca(void **state)
{
    (void)state;
    struct files ca = make_ca("critical,CA:TRUE");
    struct tls_issuer *i;
    X509 *x;
    EVP_PKEY *k;
    char cn[80] = "";
    assert_int_equal(tls_issuer_new(ca.cert, ca.key, &i), ERR_OK);
    assert_int_equal(tls_issuer_make(i, (struct str)STR("sim-demo-00001"), &x, &k), ERR_OK);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn);
    assert_string_equal(cn, "sim-demo-00001");
    assert_int_equal(X509_check_private_key(x, k), 1);
    assert_int_equal(X509_check_ca(x), 0);
    assert_true(X509_get_extended_key_usage(x) & XKU_SSL_CLIENT);
    assert_false(X509_get_extended_key_usage(x) & XKU_SSL_SERVER);
    assert_non_null(X509_get0_subject_key_id(x));
    assert_non_null(X509_get0_authority_key_id(x));
    assert_true(chain_is_good(ca.cert, x));
    X509_free(x);
    EVP_PKEY_free(k);
    tls_issuer_free(i);
    remove_files(ca);
}

static void every_device_has_a_key_and_serial_of_its_own(void **state)
{
    (void)state;
    struct files ca = make_ca("critical,CA:TRUE");
    struct tls_issuer *i;
    X509 *x[2];
    EVP_PKEY *k[2];
    assert_int_equal(tls_issuer_new(ca.cert, ca.key, &i), ERR_OK);
    for (int n = 0; n < 2; n++)
        assert_int_equal(tls_issuer_make(i, (struct str)STR("same"), &x[n], &k[n]), ERR_OK);
    assert_int_not_equal(EVP_PKEY_eq(k[0], k[1]), 1);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(x[0]), X509_get0_serialNumber(x[1])), 0);
    for (int n = 0; n < 2; n++) {
        X509_free(x[n]);
        EVP_PKEY_free(k[n]);
    }
    tls_issuer_free(i);
    remove_files(ca);
}

static void names_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct files ca = make_ca("critical,CA:TRUE");
    struct tls_issuer *i;
    X509 *x = NULL;
    EVP_PKEY *k = NULL;
    char name[65];
    memset(name, 'a', sizeof name);
    assert_int_equal(tls_issuer_new(ca.cert, ca.key, &i), ERR_OK);
    assert_int_equal(tls_issuer_make(i, str_make(name, 65), &x, &k), ERR_RANGE);
    assert_int_equal(tls_issuer_make(i, str_make(name, 0), &x, &k), ERR_RANGE);
    assert_null(x);
    assert_int_equal(tls_issuer_make(i, str_make(name, 64), &x, &k), ERR_OK);
    X509_free(x);
    EVP_PKEY_free(k);
    tls_issuer_free(i);
    remove_files(ca);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct files a = make_ca("critical,CA:TRUE"), b = make_ca("critical,CA:TRUE");
    struct files leaf = make_ca("critical,CA:FALSE");
    struct tls_issuer *i = NULL;
    assert_int_equal(tls_issuer_new(a.cert, b.key, &i), ERR_INVALID);
    assert_int_equal(tls_issuer_new(leaf.cert, leaf.key, &i), ERR_INVALID);
    assert_int_equal(tls_issuer_new("/nowhere/x", a.key, &i), ERR_IO);
    assert_int_equal(tls_issuer_new(a.cert, a.cert, &i), ERR_IO); /* no key inside */
    assert_null(i);
    remove_files(a);
    remove_files(b);
    remove_files(leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_names_the_endpoint_and_is_proved_by_the_ca),
        cmocka_unit_test(every_device_has_a_key_and_serial_of_its_own),
        cmocka_unit_test(names_beyond_the_limits_are_refused),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
