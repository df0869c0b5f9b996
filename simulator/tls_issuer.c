/* tls_issuer.c - see tls_issuer.h.
 *
 * server/port/tls.c fills in certificates much like this.  The two stay apart: OpenSSL is for
 * `port` alone in server/, and the simulator shares `base` and `codec` with it and nothing else, so
 * that what it does to the server is done from outside. */
#include "tls_issuer.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define VALID_S (398L * 86400)
#define SKEW_S  3600 /* devices' brokers may run a little behind */

struct tls_issuer {
    X509 *ca;
    EVP_PKEY *key;
};

static X509 *read_cert(const char *file)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return NULL;
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    return x;
}

static EVP_PKEY *read_key(const char *file)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return NULL;
    EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    return k;
}

enum err tls_issuer_new(const char *cert_file, const char *key_file, struct tls_issuer **out)
{
    enum err e = ERR_NOMEM;
    struct tls_issuer *i = calloc(1, sizeof *i);
    if (!i)
        goto out;
    e = ERR_IO;
    i->ca = read_cert(cert_file);
    i->key = read_key(key_file);
    if (!i->ca || !i->key)
        goto out;
    e = ERR_INVALID;
    if (X509_check_private_key(i->ca, i->key) != 1 || X509_check_ca(i->ca) < 1)
        goto out;
    *out = i;
    i = NULL;
    e = ERR_OK;
out:
    ERR_clear_error();
    tls_issuer_free(i);
    return e;
}

void tls_issuer_free(struct tls_issuer *i)
{
    if (!i)
        return;
    X509_free(i->ca);
    EVP_PKEY_free(i->key);
    free(i);
}

static bool add_extension(X509V3_CTX *ctx, X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool fill_extensions(struct tls_issuer *i, X509 *cert)
{
    static const struct {
        int nid;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid,issuer"},
    };
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, i->ca, cert, NULL, NULL, 0);
    for (size_t n = 0; n < sizeof extensions / sizeof extensions[0]; n++)
        if (!add_extension(&ctx, cert, extensions[n].nid, extensions[n].value))
            return false;
    return true;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[8];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    uint64_t serial = 0;
    for (size_t n = 0; n < sizeof bytes; n++)
        serial = serial << 8 | bytes[n];
    serial = (serial >> 1) | 1; /* positive and never zero */
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) == 1;
}

static bool fill(struct tls_issuer *i, struct str cn, X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -SKEW_S) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn.p,
                                      (int)cn.n, -1, 0) == 1 &&
           X509_set_issuer_name(cert, X509_get_subject_name(i->ca)) == 1 &&
           X509_set_pubkey(cert, key) == 1 && fill_extensions(i, cert) &&
           X509_sign(cert, i->key, EVP_sha256()) > 0;
}

enum err tls_issuer_make(struct tls_issuer *i, struct str cn, X509 **cert, EVP_PKEY **key)
{
    if (!cn.n || cn.n > 64)
        return ERR_RANGE;
    enum err e = ERR_NOMEM;
    X509 *x = X509_new();
    EVP_PKEY *k = EVP_EC_gen("P-256");
    if (!x || !k)
        goto out;
    e = ERR_INVALID;
    if (!fill(i, cn, x, k))
        goto out;
    *cert = x;
    *key = k;
    x = NULL;
    k = NULL;
    e = ERR_OK;
out:
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(k);
    return e;
}

enum err tls_issuer_dress(struct tls_issuer *i, struct str cn, SSL *ssl)
{
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    enum err e = tls_issuer_make(i, cn, &cert, &key);
    if (e)
        return e;
    if (SSL_use_certificate(ssl, cert) != 1 || SSL_use_PrivateKey(ssl, key) != 1)
        e = ERR_INVALID;
    ERR_clear_error();
    X509_free(cert); /* the session holds references of its own */
    EVP_PKEY_free(key);
    return e;
}
