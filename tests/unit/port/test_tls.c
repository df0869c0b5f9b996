/* test_tls.c - issued certificates verify, revoked ones do not, and bad CAs are refused. */
#include "port/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/braid-tls-XXXXXX";

static const char *in(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, 64, "%s/%s", folder, name);
    return p;
}

static bool sh(const char *command)
{
    char line[512];
    snprintf(line, sizeof line, "cd %s && (%s) >out 2>&1", folder, command);
    return system(line) == 0;
}

static bool said(const char *words)
{
    char line[256];
    snprintf(line, sizeof line, "cd %s && grep -q -- '%s' out", folder, words);
    return system(line) == 0;
}

static void save(const char *name, const struct buf *b)
{
    FILE *f = fopen(in(name), "we");
    assert_non_null(f);
    assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
    fclose(f);
}

#define KEY "openssl ecparam -name prime256v1 -genkey -noout -out "

static int make_ca(void **state)
{
    (void)state;
    return mkdtemp(folder) &&
                   sh(KEY "ca.key; openssl req -x509 -new -key ca.key -days 400 -subj /CN=CA "
                          "-addext basicConstraints=critical,CA:TRUE "
                          "-addext keyUsage=critical,keyCertSign,cRLSign -out ca.crt; " KEY
                          "other.key; openssl req -x509 -new -key other.key -days 400 "
                          "-subj /CN=leaf -addext basicConstraints=CA:FALSE -out leaf.crt")
               ? 0
               : -1;
}

static int remove_ca(void **state)
{
    char line[128];
    (void)state;
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line) == 0 ? 0 : -1;
}

static struct tls_ca *load(void)
{
    struct tls_ca *ca = NULL;
    assert_int_equal(tls_ca_load(in("ca.crt"), in("ca.key"), &ca), ERR_OK);
    return ca;
}

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

static void an_issued_certificate_is_what_was_asked_for(void **state)
{
    struct tls_ca *ca = load();
    struct tls_issued t;
    (void)state;
    assert_int_equal(tls_issue(ca, (struct str)STR("dev-1"), 30, now_ms(), &t), ERR_OK);
    save("dev.crt", &t.cert);
    save("dev.key", &t.key);
    assert_true(sh("openssl verify -CAfile ca.crt -purpose sslclient dev.crt"));
    assert_false(sh("openssl verify -CAfile ca.crt -purpose sslserver dev.crt"));
    assert_true(sh("openssl x509 -in dev.crt -noout -text"));
    assert_true(said("Subject: CN = dev-1"));
    assert_true(said("ASN1 OID: prime256v1"));
    assert_true(said("CA:FALSE"));
    assert_true(sh("openssl x509 -in dev.crt -noout -serial | tr A-F a-f"));
    assert_true(said(t.serial));
    assert_true(sh("openssl x509 -in dev.crt -noout -fingerprint -sha256 | tr -d : | tr A-F a-f"));
    assert_true(said(t.fingerprint));
    assert_true(sh("openssl x509 -in dev.crt -noout -checkend 2591000"));
    assert_false(sh("openssl x509 -in dev.crt -noout -checkend 2593000"));
    assert_true(sh("test \"$(openssl x509 -in dev.crt -noout -pubkey)\" = "
                   "\"$(openssl pkey -in dev.key -pubout)\""));
    assert_true(t.not_before_ms < now_ms() && t.not_after_ms > now_ms() + 29ll * 86400000);
    tls_issued_fini(&t);
    tls_ca_free(ca);
}

static void a_revoked_certificate_verifies_no_more(void **state)
{
    struct tls_ca *ca = load();
    struct tls_issued a, b;
    struct buf crl;
    (void)state;
    assert_int_equal(tls_issue(ca, (struct str)STR("a"), 30, now_ms(), &a), ERR_OK);
    assert_int_equal(tls_issue(ca, (struct str)STR("b"), 30, now_ms(), &b), ERR_OK);
    assert_string_not_equal(a.serial, b.serial);
    save("a.crt", &a.cert);
    save("b.crt", &b.cert);
    struct tls_revoked v[] = {{str_of(a.serial), now_ms(), false},
                              {(struct str)STR("0102"), now_ms(), true}};
    buf_init(&crl, 65536);
    assert_int_equal(tls_crl(ca, v, 2, now_ms() - 3600000, now_ms() + 86400000, &crl), ERR_OK);
    save("crl.pem", &crl);
    assert_false(sh("openssl verify -CAfile ca.crt -CRLfile crl.pem -crl_check a.crt"));
    assert_true(said("certificate revoked"));
    assert_true(sh("openssl verify -CAfile ca.crt -CRLfile crl.pem -crl_check b.crt"));
    assert_true(sh("openssl crl -in crl.pem -noout -text -CAfile ca.crt"));
    assert_true(said("Certificate Hold"));
    buf_reset(&crl);
    assert_int_equal(tls_crl(ca, NULL, 0, now_ms(), now_ms() + 86400000, &crl), ERR_OK);
    buf_reset(&crl);
    v[0].serial = (struct str)STR("not hex");
    assert_int_equal(tls_crl(ca, v, 1, now_ms(), now_ms() + 86400000, &crl), ERR_INVALID);
    assert_int_equal(crl.n, 0);
    buf_fini(&crl);
    tls_issued_fini(&a);
    tls_issued_fini(&b);
    tls_ca_free(ca);
}

static void days_beyond_the_ca_and_names_too_long_are_refused(void **state)
{
    struct tls_ca *ca = load();
    struct tls_issued t;
    char name[65];
    (void)state;
    memset(name, 'x', sizeof name);
    assert_int_equal(tls_issue(ca, (struct str)STR("a"), 401, now_ms(), &t), ERR_RANGE);
    assert_int_equal(tls_issue(ca, (struct str)STR("a"), 0, now_ms(), &t), ERR_RANGE);
    assert_int_equal(tls_issue(ca, str_make(name, 65), 1, now_ms(), &t), ERR_RANGE);
    assert_int_equal(tls_issue(ca, str_make("", 0), 1, now_ms(), &t), ERR_RANGE);
    tls_ca_free(ca);
}

static void what_is_no_ca_is_refused(void **state)
{
    struct tls_ca *ca = NULL;
    (void)state;
    assert_int_equal(tls_ca_load(in("nothing"), in("ca.key"), &ca), ERR_IO);
    assert_int_equal(tls_ca_load(in("ca.crt"), in("nothing"), &ca), ERR_IO);
    assert_int_equal(tls_ca_load(in("ca.crt"), in("other.key"), &ca), ERR_INVALID);
    assert_int_equal(tls_ca_load(in("leaf.crt"), in("other.key"), &ca), ERR_INVALID);
    assert_int_equal(tls_ca_load(in("ca.key"), in("ca.crt"), &ca), ERR_INVALID);
    assert_null(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issued_certificate_is_what_was_asked_for),
        cmocka_unit_test(a_revoked_certificate_verifies_no_more),
        cmocka_unit_test(days_beyond_the_ca_and_names_too_long_are_refused),
        cmocka_unit_test(what_is_no_ca_is_refused),
    };
    return cmocka_run_group_tests(tests, make_ca, remove_ca);
}
