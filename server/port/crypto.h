/* crypto.h - random bytes, digests and password hashes, over OpenSSL.
 *
 * Passwords are kept as self-describing text "$scrypt$ln=15,r=8,p=1$salt$hash" (both parts base64),
 * so that the cost can rise later and old hashes still verify. */
#ifndef BRAID_PORT_CRYPTO_H
#define BRAID_PORT_CRYPTO_H

#include "base/str.h"

#define CRYPTO_SHA256        32
#define CRYPTO_PASSWORD_TEXT 128 /* of a password hash, NUL included */

/* crypto_random fills `out` from the system's generator; ERR_IO if it has nothing to give. */
MUST_CHECK enum err crypto_random(void *out, size_t n);
/* crypto_token writes 2n hex digits and NUL made of n random bytes (n <= 64). */
MUST_CHECK enum err crypto_token(char *out, size_t n);
MUST_CHECK enum err crypto_sha256(const void *bytes, size_t n, uint8_t out[CRYPTO_SHA256]);
/* crypto_equal compares in time that depends on `n` only. */
bool crypto_equal(const void *a, const void *b, size_t n);
/* crypto_password_hash takes about 0.1 s and 32 MiB by design; so does verifying. */
MUST_CHECK enum err crypto_password_hash(struct str password, char out[CRYPTO_PASSWORD_TEXT]);
/* crypto_password_verify is false for a wrong password and for text that is no hash of ours. */
bool crypto_password_verify(struct str password, struct str hash);

#define CRYPTO_MOSQUITTO_TEXT 160 /* of a Mosquitto password hash, NUL included */
/* crypto_mosquitto_hash writes what Mosquitto 2 keeps in its password file after "name:", made to
 * be quick (the broker has one thread): only for passwords that are long and random. */
MUST_CHECK enum err crypto_mosquitto_hash(struct str password, char out[CRYPTO_MOSQUITTO_TEXT]);

#endif
