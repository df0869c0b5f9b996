/* tls.c - see tls.h. */
#include "port/tls.h"

#include "port/crypto.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define SERIAL_BYTES 16
#define HOUR_S       3600
#define PEM_LIMIT    65536

struct tls_ca {
    X509 *cert;
    EVP_PKEY *key;
};

void tls_ca_free(struct tls_ca *ca)
{
    if (!ca)
        return;
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    free(ca);
}

/* A key with a pass phrase is refused instead of asking a terminal. */
static int no_phrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

enum err tls_ca_load(const char *cert_file, const char *key_file, struct tls_ca **out)
{
    enum err e = ERR_IO;
    struct tls_ca *ca = calloc(1, sizeof *ca);
    BIO *cert = BIO_new_file(cert_file, "r"), *key = BIO_new_file(key_file, "r");
    if (!ca || !cert || !key)
        goto out;
    e = ERR_INVALID;
    ca->cert = PEM_read_bio_X509(cert, NULL, no_phrase, NULL);
    ca->key = PEM_read_bio_PrivateKey(key, NULL, no_phrase, NULL);
    if (!ca->cert || !ca->key || X509_check_private_key(ca->cert, ca->key) != 1 ||
        X509_check_ca(ca->cert) < 1)
        goto out;
    *out = ca;
    ca = NULL;
    e = ERR_OK;
out:
    BIO_free(cert);
    BIO_free(key);
    tls_ca_free(ca);
    return e;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static const struct {
    int nid;
    const char *value;
} extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "clientAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid"},
};

static bool set_serial(X509 *cert, char out[TLS_SERIAL_TEXT])
{
    uint8_t bytes[SERIAL_BYTES];
    if (crypto_random(bytes, sizeof bytes))
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of the same length */
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    str_to_hex(bytes, sizeof bytes, out);
    out[2 * SERIAL_BYTES] = 0;
    return ok;
}

static bool fill(X509 *cert, const struct tls_ca *ca, struct str name, EVP_PKEY *key,
                 struct tls_issued *out)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    bool ok = X509_set_version(cert, 2) == 1 && set_serial(cert, out->serial) &&
              ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(out->not_before_ms / 1000)) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(out->not_after_ms / 1000)) &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                         (const unsigned char *)name.p, (int)name.n, -1, 0) == 1 &&
              X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
              X509_set_pubkey(cert, key) == 1;
    for (size_t i = 0; ok && i < sizeof extensions / sizeof *extensions; i++)
        ok = add_extension(cert, ca->cert, extensions[i].nid, extensions[i].value);
    return ok && X509_sign(cert, ca->key, EVP_sha256()) > 0;
}

static bool fingerprint(const X509 *cert, char out[TLS_FINGERPRINT_TEXT])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &n) != 1 || n != CRYPTO_SHA256)
        return false;
    str_to_hex(digest, n, out);
    out[TLS_FINGERPRINT_TEXT - 1] = 0;
    return true;
}

/* What a memory BIO holds, to `out`; wiped behind. */
static bool move_out(BIO *b, struct buf *out)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);
    if (n <= 0)
        return false;
    buf_put(out, p, (size_t)n);
    OPENSSL_cleanse(p, (size_t)n);
    return !out->err;
}

static bool write_pem(X509 *cert, EVP_PKEY *key, struct tls_issued *out)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_secmem());
    bool ok = c && k && PEM_write_bio_X509(c, cert) == 1 &&
              PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1 &&
              move_out(c, &out->cert) && move_out(k, &out->key);
    BIO_free(c);
    BIO_free(k);
    return ok;
}

/* Is `at_s` past the end of the CA itself? */
static bool outlives(const struct tls_ca *ca, int64_t at_s)
{
    time_t at = (time_t)at_s;
    return X509_cmp_time(X509_get0_notAfter(ca->cert), &at) < 0;
}

enum err tls_issue(const struct tls_ca *ca, struct str name, uint32_t days, int64_t now_ms,
                   struct tls_issued *out)
{
    int64_t now_s = now_ms / 1000;
    struct tls_issued made = {.not_before_ms = (now_s - HOUR_S) * 1000,
                              .not_after_ms = (now_s + (int64_t)days * 86400) * 1000};
    if (!name.n || name.n > 64 || !days || days > 3650 || outlives(ca, made.not_after_ms / 1000))
        return ERR_RANGE;
    buf_init(&made.cert, PEM_LIMIT);
    buf_init(&made.key, PEM_LIMIT);
    enum err e = ERR_NOMEM;
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!cert || !key || !fill(cert, ca, name, key, &made) ||
        !fingerprint(cert, made.fingerprint) || !write_pem(cert, key, &made))
        goto out;
    *out = made;
    made = (struct tls_issued){0};
    e = ERR_OK;
out:
    tls_issued_fini(&made);
    X509_free(cert);
    EVP_PKEY_free(key);
    return e;
}

void tls_issued_fini(struct tls_issued *i)
{
    if (i->key.p)
        OPENSSL_cleanse(i->key.p, i->key.cap);
    buf_fini(&i->key);
    buf_fini(&i->cert);
}

static bool put_revoked(X509_CRL *crl, const struct tls_revoked *v)
{
    uint8_t bytes[20];
    size_t n = 0;
    if (!v->serial.n || v->serial.n > 2 * sizeof bytes || str_from_hex(v->serial, bytes, &n))
        return false;
    X509_REVOKED *r = X509_REVOKED_new();
    BIGNUM *number = BN_bin2bn(bytes, (int)n, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)(v->at_ms / 1000));
    ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    bool ok = r && serial && at && reason &&
              ASN1_ENUMERATED_set(reason, v->on_hold ? CRL_REASON_CERTIFICATE_HOLD
                                                     : CRL_REASON_CESSATION_OF_OPERATION) &&
              X509_REVOKED_set_serialNumber(r, serial) == 1 &&
              X509_REVOKED_set_revocationDate(r, at) == 1 &&
              X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, 0) == 1 &&
              X509_CRL_add0_revoked(crl, r) == 1;
    if (!ok)
        X509_REVOKED_free(r);
    BN_free(number);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(at);
    ASN1_ENUMERATED_free(reason);
    return ok;
}

static bool set_times(X509_CRL *crl, int64_t from_ms, int64_t until_ms)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(from_ms / 1000));
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(until_ms / 1000));
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    /* the list's number: later lists have greater ones */
    bool ok = from && until && number && X509_CRL_set1_lastUpdate(crl, from) == 1 &&
              X509_CRL_set1_nextUpdate(crl, until) == 1 &&
              ASN1_INTEGER_set_int64(number, from_ms / 1000) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    ASN1_INTEGER_free(number);
    return ok;
}

enum err tls_crl(const struct tls_ca *ca, const struct tls_revoked *v, size_t n, int64_t from_ms,
                 int64_t until_ms, struct buf *pem)
{
    enum err e = ERR_NOMEM;
    X509_CRL *crl = X509_CRL_new();
    BIO *b = BIO_new(BIO_s_mem());
    if (!crl || !b || X509_CRL_set_version(crl, 1) != 1 ||
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) != 1 ||
        !set_times(crl, from_ms, until_ms))
        goto out;
    for (size_t i = 0; i < n; i++)
        if (!put_revoked(crl, &v[i])) {
            e = ERR_INVALID;
            goto out;
        }
    if (X509_CRL_sort(crl) != 1 || X509_CRL_sign(crl, ca->key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_CRL(b, crl) != 1 || !move_out(b, pem))
        goto out;
    e = ERR_OK;
out:
    BIO_free(b);
    X509_CRL_free(crl);
    return e;
}
