/* admin.c - see admin.h.
 *
 * Runs beside a running server on connections of its own; the server notices within seconds.
 * Secrets are read from files and printed once, never taken from the command line. */
#include "admin.h"
#include "base/log.h"
#include "credential/credential.h"
#include "port/crypto.h"
#include "port/pg.h"
#include "store/migrate.h"
#include "store/queries.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_MAX 256

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "braidd: %s: %s\n", what, why);
    return 1;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Beside the sources when built in build/PRESET, or where packages put them. */
static bool find_migrations(const struct admin_args *a, char out[PATH_MAX])
{
    static const char *const places[] = {"../../migrations", "migrations",
                                         "../share/braid/migrations"};
    char exe[PATH_MAX];
    if (a->migrations) {
        snprintf(out, PATH_MAX, "%s", a->migrations);
        return true;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    while (n > 0 && exe[n - 1] != '/')
        n--;
    for (size_t i = 0; n > 0 && i < sizeof places / sizeof *places; i++) {
        int len = snprintf(out, PATH_MAX, "%.*s%s", (int)n, exe, places[i]);
        if (len > 0 && len < PATH_MAX && is_folder(out))
            return true;
    }
    return false;
}

int admin_migrate(const struct config *c, const struct admin_args *a)
{
    char dir[PATH_MAX];
    struct pg *db = NULL;
    int applied = 0;
    if (!find_migrations(a, dir))
        return complain("migrate", "no migrations folder found; use --migrations DIR");
    if (!*c->db_owner_conninfo)
        return complain("migrate", "db.owner_conninfo is not set");
    enum err e = pg_connect(c->db_owner_conninfo, "braidd migrate", &db);
    if (!e)
        e = store_migrate(db, dir, &applied);
    pg_close(db);
    if (e)
        return complain("migrate", err_word(e));
    printf("%d migrations applied from %s\n", applied, dir);
    return 0;
}

/* First line of the file, without its end. */
static bool read_password(const char *path, char out[PASSWORD_MAX + 2])
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, PASSWORD_MAX + 2, f)) {
        complain(path, f ? "is empty" : strerror(errno));
        if (f)
            fclose(f);
        return false;
    }
    fclose(f);
    out[strcspn(out, "\r\n")] = 0;
    size_t n = strlen(out);
    if (n < 8 || n > PASSWORD_MAX)
        complain(path, "a password has 8 to 256 bytes");
    return n >= 8 && n <= PASSWORD_MAX;
}

/* The password to set: from the file, or a new one (printed by the caller). */
static bool choose_password(const struct admin_args *a, char out[PASSWORD_MAX + 2])
{
    if (a->password_file)
        return read_password(a->password_file, out);
    return !crypto_token(out, 12) || complain("password", "no random bytes") == 0;
}

static bool role_known(const char *role)
{
    static const char *const roles[] = {"viewer", "operator", "engineer", "admin"};
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(role, roles[i]))
            return true;
    complain("--role", "must be viewer, operator, engineer or admin");
    return false;
}

static void audit(struct pg *db, const char *action, const char *target)
{
    enum err e = q_audit(db, (struct str)STR("command line"), (struct str)STR("local"),
                         str_of(action), str_of(target), (struct str){0}, (struct str)STR("ok"));
    if (e)
        log_error("audit.failed", KV("action", action), KE(e));
}

static int finish(struct pg *db, enum err e, const char *action, const char *target)
{
    if (!e)
        audit(db, action, target);
    pg_close(db);
    return e ? complain(action, err_word(e)) : 0;
}

int admin_user_add(const struct config *c, const struct admin_args *a)
{
    char password[PASSWORD_MAX + 2], hash[CRYPTO_PASSWORD_TEXT];
    struct pg *db = NULL;
    if (!role_known(a->role) || !choose_password(a, password))
        return 1;
    enum err e = crypto_password_hash(str_of(password), hash);
    if (!e)
        e = pg_connect(c->db_conninfo, "braidd user", &db);
    if (!e)
        e = q_user_put(db, str_of(a->name), str_of(a->role), str_of(hash));
    int status = finish(db, e, "user_add", a->name);
    if (!status && !a->password_file)
        printf("%s\n", password);
    return status;
}

int admin_user_reset(const struct config *c, const struct admin_args *a)
{
    char password[PASSWORD_MAX + 2], hash[CRYPTO_PASSWORD_TEXT];
    struct pg *db = NULL;
    if (!choose_password(a, password))
        return 1;
    enum err e = crypto_password_hash(str_of(password), hash);
    if (!e)
        e = pg_connect(c->db_conninfo, "braidd user", &db);
    if (!e)
        e = q_user_password(db, str_of(a->name), str_of(hash));
    int status = finish(db, e, "user_reset", a->name);
    if (!status && !a->password_file)
        printf("%s\n", password);
    return status;
}

int admin_token_create(const struct config *c, const struct admin_args *a)
{
    char secret[65], token[80], hash[2 * CRYPTO_SHA256 + 1];
    uint8_t digest[CRYPTO_SHA256];
    struct pg *db = NULL;
    int64_t id;
    if (!role_known(a->role))
        return 1;
    enum err e = crypto_token(secret, 32);
    snprintf(token, sizeof token, "braid_%s", e ? "" : secret);
    if (!e)
        e = crypto_sha256(token, strlen(token), digest);
    if (!e) {
        str_to_hex(digest, sizeof digest, hash);
        hash[sizeof hash - 1] = 0;
        e = pg_connect(c->db_conninfo, "braidd token", &db);
    }
    if (!e)
        e = q_token_insert(db, str_of(a->name), str_of(a->role), str_of(hash),
                           (struct str)STR("command line"), 0, &id);
    int status = finish(db, e, "token_add", a->name);
    if (!status)
        printf("%s\n", token);
    return status;
}

int admin_broker_sync(const struct config *c, const struct admin_args *a)
{
    bool changed = false;
    (void)a;
    enum err e = credentials_sync_once(c, &changed);
    if (e)
        return complain("broker-sync",
                        e == ERR_UNSUPPORTED ? "broker.sync_dir is not set" : err_word(e));
    printf(changed ? "written to %s\n" : "%s is up to date\n", c->broker_sync_dir);
    return 0;
}
