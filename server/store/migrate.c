/* migrate.c - see migrate.h.
 *
 * Table schema_migration holds number, name and SHA-256 of every applied file.  A file that was
 * applied and has changed since is a mistake that no later migration can repair, so nothing is
 * applied then.  An advisory lock keeps two migrating processes apart. */
#include "store/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "port/crypto.h"

#define MAX_FILES      1000
#define FILE_MAX_BYTES ((size_t)4 << 20)
#define LOCK_SQL       "SELECT pg_advisory_lock(4713021874)"
#define UNLOCK_SQL     "SELECT pg_advisory_unlock(4713021874)"

struct migration {
    int number;
    char name[80];
    char sum[2 * CRYPTO_SHA256 + 1];
    char *sql; /* owned, terminated */
};

struct migrations {
    struct migration *v;
    size_t n;
};

static void migrations_fini(struct migrations *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->v[i].sql);
    free(m->v);
}

/* "0001_device.sql" -> 1; 0 for any other file. */
static int number_of(const char *name)
{
    size_t n = strlen(name);
    if (n < 10 || n >= sizeof((struct migration *)0)->name || name[4] != '_' ||
        strcmp(name + n - 4, ".sql") != 0 || strspn(name, "0123456789") != 4)
        return 0;
    return (name[0] - '0') * 1000 + (name[1] - '0') * 100 + (name[2] - '0') * 10 + (name[3] - '0');
}

static enum err read_file(const char *dir, const char *name, struct migration *m)
{
    char path[4096];
    struct buf b;
    uint8_t sum[CRYPTO_SHA256];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return ERR_TOOBIG;
    buf_init(&b, FILE_MAX_BYTES);
    enum err e = file_read(path, &b);
    if (!e)
        e = crypto_sha256(b.n ? b.p : "", b.n, sum);
    if (!e) {
        str_to_hex(sum, sizeof sum, m->sum);
        m->sum[2 * sizeof sum] = '\0';
        snprintf(m->name, sizeof m->name, "%s", name);
        m->number = number_of(name);
        m->sql = buf_take(&b, NULL);
        e = m->sql ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&b);
    return e;
}

static int by_number(const void *a, const void *b)
{
    return ((const struct migration *)a)->number - ((const struct migration *)b)->number;
}

static enum err read_dir(const char *dir, struct migrations *out)
{
    struct dirent *entry;
    DIR *d = opendir(dir);
    if (!d) {
        log_error("migrate.folder", KV("path", dir), KV("reason", strerror(errno)));
        return ERR_IO;
    }
    enum err e = ERR_OK;
    while (!e && (entry = readdir(d))) {
        if (!number_of(entry->d_name))
            continue;
        struct migration *v = reallocarray(out->v, out->n + 1, sizeof *v);
        if (!v || out->n >= MAX_FILES) {
            out->v = v ? v : out->v;
            e = ERR_NOMEM;
            break;
        }
        out->v = v;
        v[out->n] = (struct migration){0};
        e = read_file(dir, entry->d_name, &v[out->n]);
        if (e)
            log_error("migrate.file", KV("name", entry->d_name), KE(e));
        else
            out->n++;
    }
    closedir(d);
    if (!e && !out->n) {
        log_error("migrate.folder", KV("path", dir), KV("reason", "no migrations in it"));
        e = ERR_NOTFOUND;
    }
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_number);
    for (size_t i = 0; !e && i < out->n; i++)
        if (out->v[i].number != (int)i + 1) {
            log_error("migrate.numbering", KV("name", out->v[i].name));
            e = ERR_INVALID;
        }
    return e;
}

/* Every applied migration must still be the file it was. */
static enum err compare(struct pg *db, const struct migrations *m, size_t *applied)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db, "SELECT number, name, checksum FROM schema_migration ORDER BY number",
                         NULL, 0, &r);
    if (e)
        return e;
    for (size_t i = 0; !e && i < pg_rows(r); i++) {
        struct str name = pg_text(r, i, 1);
        if (pg_i64(r, i, 0) != (int64_t)i + 1 || i >= m->n) {
            log_error("migrate.unknown", KS("applied", name));
            e = ERR_CONFLICT;
        } else if (!str_is(pg_text(r, i, 2), m->v[i].sum)) {
            log_error("migrate.changed", KS("applied", name), KV("file", m->v[i].name));
            e = ERR_CONFLICT;
        }
    }
    if (!e)
        *applied = pg_rows(r);
    pg_result_free(r);
    return e;
}

static enum err apply(struct pg *db, const struct migration *m)
{
    char number[12];
    uint64_t start = clock_mono_ms();
    snprintf(number, sizeof number, "%d", m->number);
    const struct str row[] = {str_of(number), str_of(m->name), str_of(m->sum)};
    enum err e = pg_script(db, "BEGIN");
    if (!e)
        e = pg_script(db, m->sql);
    if (!e)
        e = pg_exec(db, "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
                    row, 3, NULL);
    if (!e)
        e = pg_script(db, "COMMIT");
    if (e) {
        log_error("migrate.failed", KV("name", m->name), KV("reason", pg_error(db)));
        if (pg_is_ok(db) && pg_script(db, "ROLLBACK"))
            log_warn("migrate.rollback", KV("reason", pg_error(db)));
        return e;
    }
    log_info("migrate.applied", KV("name", m->name), KI("ms", clock_mono_ms() - start));
    return ERR_OK;
}

static enum err apply_all(struct pg *db, const struct migrations *m, int *applied)
{
    size_t done = 0;
    enum err e = pg_script(db, "CREATE TABLE IF NOT EXISTS schema_migration ("
                               "number integer PRIMARY KEY, name text NOT NULL, "
                               "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT "
                               "now())");
    if (!e)
        e = compare(db, m, &done);
    for (size_t i = done; !e && i < m->n; i++) {
        e = apply(db, &m->v[i]);
        if (!e)
            ++*applied;
    }
    return e;
}

enum err store_migrate(struct pg *owner, const char *dir, int *applied)
{
    struct migrations m = {NULL, 0};
    int count = 0;
    enum err e = read_dir(dir, &m);
    if (!e)
        e = pg_set_timeout(owner, 0); /* a migration may take its time, the lock too */
    if (!e)
        e = pg_script(owner, LOCK_SQL);
    if (e)
        goto out;
    e = apply_all(owner, &m, &count);
    if (pg_is_ok(owner) && pg_script(owner, UNLOCK_SQL) && !e)
        e = ERR_DB;
    if (!e)
        *applied = count;
out:
    migrations_fini(&m);
    return e;
}

bool store_check_version(struct pg *db)
{
    struct pg_result *r = NULL;
    enum err e = pg_exec(db,
                         "SELECT count(*), (SELECT checksum FROM schema_migration "
                         "ORDER BY number DESC LIMIT 1) FROM schema_migration",
                         NULL, 0, &r);
    if (e) {
        log_error("schema.missing", KV("reason", pg_error(db)), KI("expected", BRAID_MIGRATIONS));
        return false;
    }
    int64_t n = pg_i64(r, 0, 0);
    bool same = n == BRAID_MIGRATIONS && str_is(pg_text(r, 0, 1), BRAID_MIGRATION_SUM);
    if (!same)
        log_error("schema.differs", KI("expected", BRAID_MIGRATIONS), KI("found", n),
                  KV("remedy", n < BRAID_MIGRATIONS ? "run braidd migrate"
                                                    : "this database belongs to another version"));
    pg_result_free(r);
    return same;
}
