/* tls_issuer.h - certificates of simulated devices, made in memory when they are needed.
 *
 * Every device shall prove who it is with a key of its own, as real ones do, but thousands of key
 * files help nobody: a fresh P-256 key and a certificate for it (CN = endpoint, clientAuth, signed
 * by the simulator's CA) are put on the TLS session just before its handshake and dropped with
 * it.  About 0.1 ms per device; one issuer may be used by one thread at a time. */
#ifndef BRAID_SIM_TLS_ISSUER_H
#define BRAID_SIM_TLS_ISSUER_H

#include <openssl/ssl.h>

#include "base/str.h"

struct tls_issuer; /* opaque */

/* tls_issuer_new reads the CA's certificate and key (PEM).  ERR_IO when a file cannot be read,
 * ERR_INVALID when the two do not belong together or are no CA. */
MUST_CHECK enum err tls_issuer_new(const char *cert_file, const char *key_file,
                                   struct tls_issuer **out);
void tls_issuer_free(struct tls_issuer *i);
/* tls_issuer_make makes key and certificate for `cn` (1..64 bytes); free both with OpenSSL's
 * X509_free and EVP_PKEY_free. */
MUST_CHECK enum err tls_issuer_make(struct tls_issuer *i, struct str cn, X509 **cert,
                                    EVP_PKEY **key);
/* tls_issuer_dress puts a fresh certificate for `cn` on `ssl`. */
MUST_CHECK enum err tls_issuer_dress(struct tls_issuer *i, struct str cn, SSL *ssl);

#endif
