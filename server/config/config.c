/* config.c - see config.h.
 *
 * Every option is a row of `options`, made from CONFIG_TABLE.  The four sources are read from the
 * weakest to the strongest (default, file, environment, flags) and each simply overwrites what the
 * one before it said, so precedence is the order of the calls in config_load.  The first thing that
 * does not fit ends the reading with one sentence that names where it stands. */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"

enum kind { KIND_s, KIND_i, KIND_b };

struct option {
    const char *key;
    enum kind kind;
    size_t offset;
    const char *def;
    int64_t lo, hi;
    const char *help;
};

static const struct option options[] = {
#define X(member, kind, key, def, lo, hi, help)                                                    \
    {key, KIND_##kind, offsetof(struct config, member), def, lo, hi, help},
    CONFIG_TABLE(X)
#undef X
};
#define N_OPTIONS (sizeof options / sizeof *options)

/* Options whose value is one of a few words. */
static const struct {
    const char *key;
    const char *words[5]; /* ends with NULL */
} choices[] = {
    {"log.level", {"debug", "info", "warn", "error"}},
    {"devices.admission", {"open", "known"}},
};

#define FILE_MAX_BYTES 65536
#define SPELLING_MAX   80

/* "sparkplug.host_id" -> "BRAID_SPARKPLUG_HOST_ID" or "--sparkplug-host-id". */
static void env_name(const char *key, char out[SPELLING_MAX])
{
    int n = snprintf(out, SPELLING_MAX, "BRAID_");
    for (; *key && n < SPELLING_MAX - 1; key++)
        out[n++] = *key == '.' ? '_' : (char)toupper((unsigned char)*key);
    out[n] = '\0';
}

static void flag_name(const char *key, char out[SPELLING_MAX])
{
    int n = snprintf(out, SPELLING_MAX, "--");
    for (; *key && n < SPELLING_MAX - 1; key++)
        out[n++] = *key == '.' || *key == '_' ? '-' : *key;
    out[n] = '\0';
}

static const struct option *find_key(struct str key)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (str_is(key, options[i].key))
            return &options[i];
    return NULL;
}

static const struct option *find_spelling(struct str text, void (*spell)(const char *, char *))
{
    char name[SPELLING_MAX];
    for (size_t i = 0; i < N_OPTIONS; i++) {
        spell(options[i].key, name);
        if (str_is(text, name))
            return &options[i];
    }
    return NULL;
}

static bool word_allowed(const char *key, struct str value, struct buf *why)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcmp(choices[i].key, key) != 0)
            continue;
        for (const char *const *w = choices[i].words; *w; w++)
            if (str_is(value, *w))
                return true;
        buf_puts(why, "must be one of");
        for (const char *const *w = choices[i].words; *w; w++)
            buf_printf(why, "%s %s", w == choices[i].words ? "" : ",", *w);
        return false;
    }
    return true;
}

static bool clean_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return str_utf8_valid(s);
}

static enum err set_string(char **member, const struct option *o, struct str v, struct buf *why)
{
    if (!clean_text(v)) {
        buf_puts(why, "must be printable UTF-8 text");
        return ERR_INVALID;
    }
    if (!word_allowed(o->key, v, why))
        return ERR_INVALID;
    char *copy = strndup(v.n ? v.p : "", v.n);
    if (!copy) {
        buf_puts(why, "does not fit into memory");
        return ERR_NOMEM;
    }
    free(*member);
    *member = copy;
    return ERR_OK;
}

static enum err set_integer(int64_t *member, const struct option *o, struct str v, struct buf *why)
{
    int64_t n;
    enum err e = str_to_i64(v, &n);
    if (e == ERR_INVALID) {
        buf_puts(why, "must be a whole number");
        return ERR_INVALID;
    }
    if (e || n < o->lo || n > o->hi) {
        buf_printf(why, "must be between %" PRId64 " and %" PRId64, o->lo, o->hi);
        return ERR_RANGE;
    }
    *member = n;
    return ERR_OK;
}

static enum err set_boolean(bool *member, struct str v, struct buf *why)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (str_is(v, yes[i]) || str_is(v, no[i])) {
            *member = str_is(v, yes[i]);
            return ERR_OK;
        }
    }
    buf_puts(why, "must be true or false");
    return ERR_INVALID;
}

/* set stores one value; on failure `why` reads "<where>: <key> must be ...". */
static enum err set(struct config *c, const struct option *o, struct str v, const char *where,
                    struct buf *why)
{
    char *member = (char *)c + o->offset;
    struct buf words;
    buf_init(&words, 256);
    enum err e = ERR_INVALID;
    switch (o->kind) {
    case KIND_s:
        e = set_string((char **)(void *)member, o, v, &words);
        break;
    case KIND_i:
        e = set_integer((int64_t *)(void *)member, o, v, &words);
        break;
    case KIND_b:
        e = set_boolean((bool *)(void *)member, v, &words);
        break;
    }
    if (e)
        buf_printf(why, "%s: %s %.*s.", where, o->key, (int)words.n, words.p);
    buf_fini(&words);
    return e;
}

static struct str trim(struct str s)
{
    while (s.n && isspace((unsigned char)s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static enum err set_line(struct config *c, struct str line, bool *seen, const char *where,
                         struct buf *why)
{
    struct str value = line;
    struct str key = trim(str_cut(&value, '='));
    if (!value.p) {
        buf_printf(why, "%s: expected \"key = value\".", where);
        return ERR_INVALID;
    }
    const struct option *o = find_key(key);
    if (!o) {
        buf_printf(why, "%s: there is no option \"%.*s\".", where, (int)(key.n < 64 ? key.n : 64),
                   key.p);
        return ERR_INVALID;
    }
    if (seen[o - options]) {
        buf_printf(why, "%s: %s is given twice.", where, o->key);
        return ERR_INVALID;
    }
    seen[o - options] = true;
    return set(c, o, trim(value), where, why);
}

static enum err read_all(const char *path, struct buf *out, struct buf *why)
{
    enum err e = file_read(path, out);
    if (!e)
        return ERR_OK;
    buf_printf(why, "%s: cannot be read (%s).", path,
               out->err ? "too big for a configuration" : strerror(errno));
    return ERR_IO;
}

static enum err load_file(struct config *c, const char *path, struct buf *why)
{
    bool seen[N_OPTIONS] = {false};
    struct buf text, where;
    buf_init(&text, FILE_MAX_BYTES);
    buf_init(&where, 4200);
    enum err e = read_all(path, &text, why);
    struct str rest = str_make(text.p ? text.p : "", text.n);
    for (int number = 1; !e && rest.p; number++) {
        struct str line = trim(str_cut(&rest, '\n'));
        if (!line.n || line.p[0] == '#')
            continue;
        buf_reset(&where);
        buf_printf(&where, "%s line %d", path, number);
        const char *place = buf_text(&where);
        e = set_line(c, line, seen, place ? place : "configuration file", why);
    }
    buf_fini(&where);
    buf_fini(&text);
    return e;
}

static enum err load_env(struct config *c, char *const envp[], struct buf *why)
{
    for (; envp && *envp; envp++) {
        struct str value = str_of(*envp);
        struct str name = str_cut(&value, '=');
        const struct option *o = value.p ? find_spelling(name, env_name) : NULL;
        char where[SPELLING_MAX];
        if (!o)
            continue;
        env_name(o->key, where);
        enum err e = set(c, o, value, where, why);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* A flag as written: --name=value, --name value, or --name alone for a boolean. */
struct flag {
    struct str name, value; /* value.p NULL: none given */
};

/* next_flag takes one flag off the arguments; `*i` moves behind it. */
static enum err next_flag(int argc, char *const argv[], int *i, struct flag *out, struct buf *why)
{
    struct str value = str_of(argv[*i]);
    struct str name = str_cut(&value, '=');
    const struct option *o = find_spelling(name, flag_name);
    if (!o && !str_is(name, "--config")) {
        buf_printf(why, "There is no flag \"%.*s\" (see --help).", (int)(name.n < 64 ? name.n : 64),
                   name.p);
        return ERR_INVALID;
    }
    ++*i;
    if (!value.p && !(o && o->kind == KIND_b)) {
        if (*i >= argc) {
            buf_printf(why, "%.*s: needs a value.", STR_ARG(name));
            return ERR_INVALID;
        }
        value = str_of(argv[(*i)++]);
    }
    *out = (struct flag){name, value};
    return ERR_OK;
}

/* Flags are walked twice: first for --config only, then, after file and environment, for the
 * rest. */
static enum err load_flags(struct config *c, int argc, char *const argv[], const char **file,
                           struct buf *why)
{
    for (int i = 0; i < argc;) {
        struct flag f;
        enum err e = next_flag(argc, argv, &i, &f, why);
        if (e)
            return e;
        if (str_is(f.name, "--config")) {
            *file = f.value.p; /* ends where the argument ends: terminated */
            continue;
        }
        if (!c)
            continue;
        char where[SPELLING_MAX];
        const struct option *o = find_spelling(f.name, flag_name);
        flag_name(o->key, where);
        e = set(c, o, f.value.p ? f.value : str_of("true"), where, why);
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err config_load(int argc, char *const argv[], char *const envp[], struct config **out,
                     struct buf *why)
{
    const char *file = NULL;
    struct config *c = calloc(1, sizeof *c);
    enum err e = c ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; !e && i < N_OPTIONS; i++)
        e = set(c, &options[i], str_of(options[i].def), "default", why);
    if (!e)
        e = load_flags(NULL, argc, argv, &file, why);
    if (!e && file)
        e = load_file(c, file, why);
    if (!e)
        e = load_env(c, envp, why);
    if (!e)
        e = load_flags(c, argc, argv, &file, why);
    if (e)
        goto out;
    *out = c;
    c = NULL;
out:
    config_free(c);
    return e;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (options[i].kind == KIND_s)
            free(*(char **)(void *)((char *)c + options[i].offset));
    free(c);
}

/* "5..3600", "debug|info|warn|error", "true|false" or "". */
static void put_range(struct buf *out, const struct option *o, const char *bar)
{
    if (o->kind == KIND_i)
        buf_printf(out, "%" PRId64 "..%" PRId64, o->lo, o->hi);
    if (o->kind == KIND_b)
        buf_printf(out, "true%sfalse", bar);
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (strcmp(choices[i].key, o->key) == 0)
            for (const char *const *w = choices[i].words; *w; w++)
                buf_printf(out, "%s%s", w == choices[i].words ? "" : bar, *w);
}

void config_help(struct buf *out)
{
    buf_puts(out, "  --config FILE\n        File of lines \"key = value\"; flags and environment "
                  "are stronger.\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        char flag[SPELLING_MAX], env[SPELLING_MAX];
        flag_name(o->key, flag);
        env_name(o->key, env);
        buf_printf(out, "  %s ", flag);
        size_t before = out->n;
        put_range(out, o, "|");
        if (out->n == before)
            buf_puts(out, "TEXT");
        buf_printf(out, "\n        %s (%s; default ", o->help, env);
        buf_puts(out, o->def[0] ? o->def : "not set");
        buf_puts(out, ")\n");
    }
}

void config_markdown(struct buf *out)
{
    buf_puts(out, "| Key | Environment | Flag | Default | Allowed | Meaning |\n"
                  "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        char flag[SPELLING_MAX], env[SPELLING_MAX];
        flag_name(o->key, flag);
        env_name(o->key, env);
        buf_printf(out, "| `%s` | `%s` | `%s` | ", o->key, env, flag);
        if (o->def[0])
            buf_printf(out, "`%s`", o->def);
        buf_puts(out, " | ");
        put_range(out, o, ", ");
        buf_printf(out, " | %s |\n", o->help);
    }
}
