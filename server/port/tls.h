/* tls.h - the certificates Braid issues itself: keys, certificates and revocation lists, over
 * OpenSSL.
 *
 * Everything is P-256 with SHA-256.  A private key exists only between tls_issue and
 * tls_issued_fini; nothing here writes a file or a log line. */
#ifndef BRAID_PORT_TLS_H
#define BRAID_PORT_TLS_H

#include "base/buf.h"

struct tls_ca; /* a CA certificate and its key */

/* tls_ca_load reads both PEM files.  ERR_IO when one cannot be read, ERR_INVALID when they are no
 * certificate of a CA and its key. */
MUST_CHECK enum err tls_ca_load(const char *cert_file, const char *key_file, struct tls_ca **out);
void tls_ca_free(struct tls_ca *ca); /* NULL is fine */

#define TLS_SERIAL_TEXT      41 /* lower-case hex and NUL */
#define TLS_FINGERPRINT_TEXT 65 /* SHA-256 of the certificate, lower-case hex and NUL */

struct tls_issued {
    char serial[TLS_SERIAL_TEXT], fingerprint[TLS_FINGERPRINT_TEXT];
    int64_t not_before_ms, not_after_ms;
    struct buf cert, key; /* PEM; the key is PKCS#8, not encrypted */
};
/* tls_issue makes a key and a client certificate with CN `name`, good for `days` (1..3650) from
 * `now_ms`, and from an hour before, because devices' clocks are not always right.  It never
 * outlives its CA: ERR_RANGE.  tls_issued_fini wipes the key. */
MUST_CHECK enum err tls_issue(const struct tls_ca *ca, struct str name, uint32_t days,
                              int64_t now_ms, struct tls_issued *out);
void tls_issued_fini(struct tls_issued *i);

struct tls_revoked {
    struct str serial; /* hex */
    int64_t at_ms;
    bool on_hold; /* suspended: may come back */
};
/* tls_crl appends the revocation list in PEM, valid from `from_ms` to `until_ms`.  Of two lists of
 * one CA OpenSSL believes the one with the later `from_ms`, to the second. */
MUST_CHECK enum err tls_crl(const struct tls_ca *ca, const struct tls_revoked *v, size_t n,
                            int64_t from_ms, int64_t until_ms, struct buf *pem);

#endif
