/* credential_fixture.h - what the tests of this room share: a database, a CA, a folder for the
 * broker's files, and options that name them. */
#ifndef BRAID_TESTS_CREDENTIAL_FIXTURE_H
#define BRAID_TESTS_CREDENTIAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"
#include "fixture/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH 256

static char tls[PATH]; /* compose/make-certs was here */

/* One test's own: folders for the broker's files, removed with it. */
struct place {
    char dir[64], sync[80], base[80];
    struct config *config;
};

static inline int start_server(void **state)
{
    char make_certs[PATH + 32];
    if (start_database(state))
        return -1;
    snprintf(tls, sizeof tls, "%s/tls", server.dir);
    snprintf(make_certs, sizeof make_certs, "%s/../compose/make-certs", server.migrations);
    return process_run((const char *[]){make_certs, tls, NULL}, NULL, NULL);
}

/* Options beside those of every test: pairs of flag and value, then NULL. */
static inline struct config *options(const char *const more[])
{
    char conninfo[sizeof server.app];
    char *argv[40] = {NULL};
    char *const envp[] = {NULL};
    size_t n = 0;
    struct buf why;
    struct config *c = NULL;
    snprintf(conninfo, sizeof conninfo, "%s", server.app);
    argv[n++] = (char[]){"--db-conninfo"};
    argv[n++] = conninfo;
    for (size_t i = 0; more[i]; i++)
        argv[n++] = (char *)more[i];
    buf_init(&why, 1024);
    if (config_load((int)n, argv, envp, &c, &why))
        fail_msg("%s", buf_text(&why));
    buf_fini(&why);
    return c;
}

static inline void place_make(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/braid-credential-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->sync, sizeof p->sync, "%s/sync", p->dir);
    snprintf(p->base, sizeof p->base, "%s/base", p->dir);
    assert_int_equal(mkdir(p->sync, 0700) + mkdir(p->base, 0700), 0);
    p->config = NULL;
    sql("TRUNCATE identity, device_certificate, device_password");
}

/* The options of a server that keeps the files and has a CA, and `more`. */
static inline void place_open(struct place *p, const char *const more[])
{
    char cert[PATH + 32], key[PATH + 32], trust[PATH + 32];
    const char *flags[32] = {"--broker-sync-dir",      p->sync, "--broker-base-dir",     p->base,
                             "--devices-ca-cert-file", cert,    "--devices-ca-key-file", key,
                             "--mqtt-tls-ca-file",     trust};
    snprintf(cert, sizeof cert, "%s/issuing-ca.crt", tls);
    snprintf(key, sizeof key, "%s/issuing-ca.key", tls);
    snprintf(trust, sizeof trust, "%s/ca.crt", tls);
    for (size_t i = 0; more && more[i]; i++)
        flags[10 + i] = more[i];
    p->config = options(flags);
}

static inline void place_remove(struct place *p)
{
    config_free(p->config);
    process_remove(p->dir);
}

/* ---- files ---- */

static inline const char *in(const struct place *p, const char *name)
{
    static char path[8][PATH]; /* eight may be in use at once */
    static size_t turn;
    char *out = path[turn++ % 8];
    snprintf(out, PATH, "%s/%s", p->dir, name);
    return out;
}

static inline void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The file as text, until the next call; "" when there is none. */
static inline const char *get(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    return text;
}

static inline bool has(const char *path, const char *words)
{
    return strstr(get(path), words) != NULL;
}

#endif
