/* broker_files.c - see broker_files.h.
 *
 *   passwords  NAME:HASH of identities that are active, and passwords for one use
 *   acl        "topic deny #" for identities that are not: it silences sessions that are still
 *              open, and certificates of CAs that we cannot revoke
 *   crl.pem    our CA's list: what was revoked, and what belongs to suspended identities ("on
 *              hold").  A running Mosquitto keeps the lists it read before, and OpenSSL believes
 * the one with the latest beginning; so every new list begins at least a second after the one
 * before, and an hour ago, in case somebody's clock is behind.  crl.state keeps what the list was
 * made from, when it begins and when it ends. */
#include "credential/broker_files.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "port/crypto.h"
#include "port/tls.h"
#include "store/q_credential.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT  ((size_t)256 << 20)
#define PATH_SIZE   4096
#define HOUR_MS     3600000
#define YEAR_MS     (365ll * 86400 * 1000)
#define CRL_YEARS   10
#define STATE_LIMIT 256

static bool path_in(char out[PATH_SIZE], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    return n > 0 && n < PATH_SIZE;
}

static enum err complain(const char *path, enum err e)
{
    log_error("broker.file", KV("path", path), KE(e), KV("system", strerror(errno)));
    return e;
}

static enum err read_base(const struct config *c, const char *name, struct buf *out)
{
    char path[PATH_SIZE];
    if (!*c->broker_base_dir)
        return ERR_OK;
    if (!path_in(path, c->broker_base_dir, name))
        return ERR_TOOBIG;
    enum err e = file_read(path, out);
    if (e && e != ERR_NOTFOUND)
        return complain(path, e);
    if (out->n && out->p[out->n - 1] != '\n')
        buf_putc(out, '\n');
    return ERR_OK;
}

static bool write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = str_make(s.p + n, s.n - (size_t)n);
    }
    return true;
}

/* Whole or not at all.  The folder's group (setgid) lets the broker read it, whatever our umask. */
static enum err replace(const char *path, struct str content)
{
    char fresh[PATH_SIZE];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= PATH_SIZE)
        return ERR_TOOBIG;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return complain(fresh, ERR_IO);
    bool ok = fchmod(fd, 0640) == 0 && write_all(fd, content) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok && rename(fresh, path) == 0;
    return ok ? ERR_OK : complain(path, ERR_IO);
}

/* Writes what differs from the file as it is. */
static enum err put_file(const struct config *c, const char *name, const struct buf *content,
                         bool *changed)
{
    char path[PATH_SIZE];
    struct buf old;
    if (content->err)
        return content->err;
    if (!path_in(path, c->broker_sync_dir, name))
        return ERR_TOOBIG;
    buf_init(&old, FILE_LIMIT);
    enum err e = file_read(path, &old);
    if (!e && str_eq(buf_view(&old), buf_view(content))) {
        buf_fini(&old);
        return ERR_OK;
    }
    buf_fini(&old);
    *changed = true;
    return replace(path, buf_view(content));
}

static enum err write_passwords(const struct config *c, struct pg *db, const struct one_time *once,
                                size_t n, bool *changed)
{
    struct buf b;
    struct pg_result *r = NULL;
    buf_init(&b, FILE_LIMIT);
    enum err e = read_base(c, "passwords", &b);
    if (!e)
        e = q_sync_passwords(db, &r);
    for (size_t i = 0; !e && i < pg_rows(r); i++) {
        struct str name = pg_text(r, i, 0), hash = pg_text(r, i, 1);
        buf_printf(&b, "%.*s:%.*s\n", STR_ARG(name), STR_ARG(hash));
    }
    for (size_t i = 0; !e && i < n; i++) {
        char hash[CRYPTO_MOSQUITTO_TEXT];
        e = crypto_mosquitto_hash(str_of(once[i].password), hash);
        if (!e)
            buf_printf(&b, "%s:%s\n", once[i].name, hash);
    }
    if (!e)
        e = put_file(c, "passwords", &b, changed);
    pg_result_free(r);
    buf_fini(&b);
    return e;
}

static enum err write_acl(const struct config *c, struct pg *db, bool *changed)
{
    struct buf b;
    struct pg_result *r = NULL;
    buf_init(&b, FILE_LIMIT);
    enum err e = read_base(c, "acl", &b);
    if (!e)
        e = q_sync_blocked(db, &r);
    for (size_t i = 0; !e && i < pg_rows(r); i++) {
        struct str name = pg_text(r, i, 0);
        buf_printf(&b, "\n# %.*s\nuser %.*s\ntopic deny #\n", STR_ARG(pg_text(r, i, 1)),
                   STR_ARG(name));
    }
    if (!e)
        e = put_file(c, "acl", &b, changed);
    pg_result_free(r);
    buf_fini(&b);
    return e;
}

/* ---- the revocation list ---- */

struct crl_state {
    char digest[2 * CRYPTO_SHA256 + 1];
    int64_t from_ms, until_ms;
};

static enum err digest_of(const struct buf *base, const struct pg_result *r, struct crl_state *out)
{
    struct buf b;
    uint8_t digest[CRYPTO_SHA256];
    buf_init(&b, FILE_LIMIT);
    buf_str(&b, buf_view(base));
    for (size_t i = 0; i < pg_rows(r); i++)
        buf_printf(&b, "%.*s %d\n", STR_ARG(pg_text(r, i, 0)), pg_bool(r, i, 2));
    enum err e = b.err ? b.err : crypto_sha256(b.p ? b.p : "", b.n, digest);
    buf_fini(&b);
    if (e)
        return e;
    str_to_hex(digest, sizeof digest, out->digest);
    out->digest[2 * CRYPTO_SHA256] = 0;
    return ERR_OK;
}

static struct crl_state read_state(const char *path)
{
    struct crl_state s = {.from_ms = 0};
    struct buf b;
    buf_init(&b, STATE_LIMIT);
    if (!file_read(path, &b)) {
        struct str rest = buf_view(&b), digest = str_cut(&rest, ' '), from = str_cut(&rest, ' ');
        if (digest.n == 2 * CRYPTO_SHA256 && !str_to_i64(from, &s.from_ms) &&
            !str_to_i64(str_cut(&rest, '\n'), &s.until_ms))
            memcpy(s.digest, digest.p, digest.n);
    }
    buf_fini(&b);
    return s;
}

static enum err write_state(const char *path, const struct crl_state *s)
{
    char text[STATE_LIMIT];
    int n = snprintf(text, sizeof text, "%s %" PRId64 " %" PRId64 "\n", s->digest, s->from_ms,
                     s->until_ms);
    return replace(path, str_make(text, (size_t)n));
}

/* Appends our CA's list to `out`. */
static enum err make_list(const struct config *c, const struct pg_result *r,
                          const struct crl_state *s, struct buf *out)
{
    struct tls_ca *ca = NULL;
    size_t n = pg_rows(r);
    struct tls_revoked *v = calloc(n ? n : 1, sizeof *v);
    enum err e = v ? tls_ca_load(c->devices_ca_cert_file, c->devices_ca_key_file, &ca) : ERR_NOMEM;
    for (size_t i = 0; !e && i < n; i++)
        v[i] = (struct tls_revoked){pg_text(r, i, 0), pg_i64(r, i, 1), pg_bool(r, i, 2)};
    if (!e)
        e = tls_crl(ca, v, n, s->from_ms, s->until_ms, out);
    if (e)
        log_error("broker.crl", KV("ca", c->devices_ca_cert_file), KE(e));
    tls_ca_free(ca);
    free(v);
    return e;
}

static enum err renew_list(const struct config *c, const struct pg_result *r,
                           const char *state_path, struct crl_state *now, struct buf *list,
                           bool *changed)
{
    struct crl_state old = read_state(state_path);
    int64_t utc = clock_utc_ms();
    if (!strcmp(old.digest, now->digest) && old.until_ms - utc > CRL_YEARS / 2 * YEAR_MS)
        return ERR_OK;
    now->from_ms = utc - HOUR_MS > old.from_ms + 1000 ? utc - HOUR_MS : old.from_ms + 1000;
    if (now->from_ms > utc) { /* clocks went back by more than an hour */
        log_warn("broker.crl_clock", KI("ahead_ms", now->from_ms - utc));
        now->from_ms = utc;
    }
    now->until_ms = utc + CRL_YEARS * YEAR_MS;
    enum err e = make_list(c, r, now, list);
    if (!e)
        e = put_file(c, "crl.pem", list, changed);
    return e ? e : write_state(state_path, now);
}

static enum err write_crl(const struct config *c, struct pg *db, bool *changed)
{
    char state_path[PATH_SIZE];
    struct crl_state now = {.from_ms = 0};
    struct buf b;
    struct pg_result *r = NULL;
    buf_init(&b, FILE_LIMIT);
    enum err e = read_base(c, "crl.pem", &b);
    if (!e && !path_in(state_path, c->broker_sync_dir, "crl.state"))
        e = ERR_TOOBIG;
    if (e)
        goto out;
    if (!*c->devices_ca_cert_file) {
        if (b.n)
            e = put_file(c, "crl.pem", &b, changed);
        goto out;
    }
    e = q_sync_revoked(db, &r);
    if (!e)
        e = digest_of(&b, r, &now);
    if (!e)
        e = renew_list(c, r, state_path, &now, &b, changed);
out:
    pg_result_free(r);
    buf_fini(&b);
    return e;
}

enum err broker_files_write(const struct config *c, struct pg *db, const struct one_time *once,
                            size_t n, bool *changed)
{
    *changed = false;
    enum err e = write_acl(c, db, changed);
    if (!e)
        e = write_crl(c, db, changed);
    if (!e)
        e = write_passwords(c, db, once, n, changed);
    return e;
}

/* A recycled pid must not be sent a signal that would end it. */
static bool is_mosquitto(int64_t pid)
{
    char path[64];
    struct buf name;
    buf_init(&name, 256);
    snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pid);
    bool same = !file_read(path, &name) && str_starts(buf_view(&name), "mosquitto");
    buf_fini(&name);
    return same;
}

enum err broker_files_reload(const struct config *c)
{
    int64_t pid = 0;
    struct buf text;
    if (!*c->broker_pid_file)
        return ERR_UNSUPPORTED;
    buf_init(&text, 64);
    enum err e = file_read(c->broker_pid_file, &text);
    struct str rest = buf_view(&text);
    if (!e && str_to_i64(str_cut(&rest, '\n'), &pid))
        e = ERR_NOTFOUND;
    buf_fini(&text);
    if (e)
        return e;
    if (pid <= 1 || pid > INT32_MAX || !is_mosquitto(pid))
        return ERR_NOTFOUND;
    if (kill((pid_t)pid, SIGHUP))
        return errno == ESRCH ? ERR_NOTFOUND : ERR_DENIED;
    return ERR_OK;
}
