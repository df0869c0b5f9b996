/* crypto.c - see crypto.h. */
#include "port/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>

#define SALT_BYTES 16
#define KEY_BYTES  32

/* What a new hash costs, and the most an old one may ask for. */
static const struct cost {
    uint64_t ln, r, p;
} cost_now = {15, 8, 1}, cost_max = {17, 16, 4};

enum err crypto_random(void *out, size_t n)
{
    return n <= INT32_MAX && RAND_bytes(out, (int)n) == 1 ? ERR_OK : ERR_IO;
}

enum err crypto_token(char *out, size_t n)
{
    uint8_t bytes[64];
    if (n > sizeof bytes)
        return ERR_TOOBIG;
    enum err e = crypto_random(bytes, n);
    if (e)
        return e;
    str_to_hex(bytes, n, out);
    out[2 * n] = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ERR_OK;
}

enum err crypto_sha256(const void *bytes, size_t n, uint8_t out[CRYPTO_SHA256])
{
    return EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL) == 1 ? ERR_OK : ERR_NOMEM;
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

static enum err derive(struct str password, const uint8_t *salt, size_t salt_n, struct cost c,
                       uint8_t key[KEY_BYTES])
{
    uint64_t memory = 128 * c.r * (((uint64_t)1 << c.ln) + c.p + 2) + 65536;
    return EVP_PBE_scrypt(password.p ? password.p : "", password.n, salt, salt_n,
                          (uint64_t)1 << c.ln, c.r, c.p, memory, key, KEY_BYTES) == 1
               ? ERR_OK
               : ERR_NOMEM;
}

enum err crypto_password_hash(struct str password, char out[CRYPTO_PASSWORD_TEXT])
{
    uint8_t salt[SALT_BYTES], key[KEY_BYTES];
    char salt_text[SALT_BYTES * 2], key_text[KEY_BYTES * 2];
    enum err e = crypto_random(salt, sizeof salt);
    if (!e)
        e = derive(password, salt, sizeof salt, cost_now, key);
    if (e)
        return e;
    size_t salt_n = str_to_base64(salt, sizeof salt, salt_text);
    size_t key_n = str_to_base64(key, sizeof key, key_text);
    snprintf(out, CRYPTO_PASSWORD_TEXT, "$scrypt$ln=%u,r=%u,p=%u$%.*s$%.*s", (unsigned)cost_now.ln,
             (unsigned)cost_now.r, (unsigned)cost_now.p, (int)salt_n, salt_text, (int)key_n,
             key_text);
    OPENSSL_cleanse(key, sizeof key);
    return ERR_OK;
}

/* One "name=number" of the cost part. */
static bool read_cost(struct str *rest, const char *name, uint64_t max, uint64_t *out)
{
    struct str value = str_cut(rest, ',');
    struct str key = str_cut(&value, '=');
    return str_is(key, name) && value.p && str_to_u64(value, out) == ERR_OK && *out >= 1 &&
           *out <= max;
}

static bool read_bytes(struct str text, uint8_t *out, size_t want)
{
    size_t n = 0;
    return text.n == str_base64_len(want) && str_from_base64(text, out, &n) == ERR_OK && n == want;
}

bool crypto_password_verify(struct str password, struct str hash)
{
    /* three bytes of slack: decoding may use all of n*3/4 */
    uint8_t salt[SALT_BYTES + 3], want[KEY_BYTES + 3], key[KEY_BYTES];
    struct cost c;
    struct str rest = hash;
    if (!str_starts(rest, "$"))
        return false;
    str_cut(&rest, '$');
    if (!str_is(str_cut(&rest, '$'), "scrypt") || !rest.p)
        return false;
    struct str costs = str_cut(&rest, '$');
    if (!read_cost(&costs, "ln", cost_max.ln, &c.ln) || !read_cost(&costs, "r", cost_max.r, &c.r) ||
        !read_cost(&costs, "p", cost_max.p, &c.p) || costs.p || !rest.p)
        return false;
    if (!read_bytes(str_cut(&rest, '$'), salt, SALT_BYTES) || !rest.p ||
        !read_bytes(rest, want, KEY_BYTES))
        return false;
    bool same =
        derive(password, salt, SALT_BYTES, c, key) == ERR_OK && crypto_equal(key, want, KEY_BYTES);
    OPENSSL_cleanse(key, sizeof key);
    return same;
}

#define MOSQUITTO_ROUNDS 101
#define MOSQUITTO_SALT   12
#define MOSQUITTO_KEY    64

enum err crypto_mosquitto_hash(struct str password, char out[CRYPTO_MOSQUITTO_TEXT])
{
    uint8_t salt[MOSQUITTO_SALT], key[MOSQUITTO_KEY];
    char salt_text[MOSQUITTO_SALT * 2], key_text[MOSQUITTO_KEY * 2];
    if (password.n > INT32_MAX)
        return ERR_TOOBIG;
    enum err e = crypto_random(salt, sizeof salt);
    if (e)
        return e;
    if (PKCS5_PBKDF2_HMAC(password.p, (int)password.n, salt, sizeof salt, MOSQUITTO_ROUNDS,
                          EVP_sha512(), sizeof key, key) != 1)
        return ERR_NOMEM;
    size_t salt_n = str_to_base64(salt, sizeof salt, salt_text);
    size_t key_n = str_to_base64(key, sizeof key, key_text);
    snprintf(out, CRYPTO_MOSQUITTO_TEXT, "$7$%d$%.*s$%.*s", MOSQUITTO_ROUNDS, (int)salt_n,
             salt_text, (int)key_n, key_text);
    return ERR_OK;
}
