/* main.c - braidd: `serve` and the small commands around it.
 *
 *   braidd [serve] [--config FILE] [--KEY VALUE ...]     run the server
 *   braidd migrate [--migrations DIR]                    bring the database up to date
 *   braidd user add NAME --role ROLE [--password-file F] make or replace an account
 *   braidd user reset NAME [--password-file F]           set its password
 *   braidd token create NAME --role ROLE                 make an API token; prints it once
 *   braidd broker-sync                                   write Mosquitto's files, reload it
 *   braidd help [--config-table|--metrics] | --version | --dump-fsm | --dump-routes
 *
 * Without --password-file a password is made and printed once.  Flags that are not a command's
 * own are configuration (config.h). */
#include "admin.h"
#include "app.h"
#include "base/log.h"
#include "command/command.h"
#include "http/http.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

struct subcommand {
    const char *noun, *verb; /* verb NULL: one word is enough */
    bool named, roled;       /* takes NAME, needs --role */
    admin_command *run;
};

static const struct subcommand subcommands[] = {
    {"migrate", NULL, false, false, admin_migrate},
    {"user", "add", true, true, admin_user_add},
    {"user", "reset", true, false, admin_user_reset},
    {"token", "create", true, true, admin_token_create},
    {"broker-sync", NULL, false, false, admin_broker_sync},
};

static const char usage[] =
    "braidd " BRAID_VERSION " - one device, two strands: LwM2M and Sparkplug B over MQTT\n"
    "\n"
    "  braidd [serve] [options]                               run the server\n"
    "  braidd migrate [--migrations DIR] [options]            bring the database up to date\n"
    "  braidd user add NAME --role ROLE [--password-file F]   make or replace an account\n"
    "  braidd user reset NAME [--password-file F]             set its password\n"
    "  braidd token create NAME --role ROLE                   make an API token, printed once\n"
    "  braidd broker-sync                                     write Mosquitto's files\n"
    "  braidd help [--config-table | --metrics]               this text, or tables for the docs\n"
    "  braidd --version | --dump-fsm | --dump-routes\n"
    "\n"
    "ROLE is viewer, operator, engineer or admin.  Options:\n";

static int print(struct buf *b)
{
    const char *text = buf_text(b);
    int status = text && fputs(text, stdout) >= 0 ? 0 : 1;
    buf_fini(b);
    return status;
}

static int help(int argc, char **argv)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    if (argc > 2 && !strcmp(argv[2], "--metrics")) {
        metrics_markdown(&b);
    } else if (argc > 2 && !strcmp(argv[2], "--config-table")) {
        config_markdown(&b);
    } else {
        buf_puts(&b, usage);
        config_help(&b);
    }
    return print(&b);
}

static int dump(void (*write)(struct buf *))
{
    struct buf b;
    buf_init(&b, 1 << 20);
    write(&b);
    return print(&b);
}

/* Moves our own flags and the NAME out of argv into `a`; what remains is configuration. */
static int take_args(int argc, char **argv, struct admin_args *a)
{
    struct {
        const char *flag;
        const char **to;
    } own[] = {
        {"--role", &a->role},
        {"--password-file", &a->password_file},
        {"--migrations", &a->migrations},
    };
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        const char **to = NULL;
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            if (!strcmp(argv[i], own[k].flag) && i + 1 < argc)
                to = own[k].to;
        bool after_flag = kept && !strncmp(argv[kept - 1], "--", 2) && !strchr(argv[kept - 1], '=');
        if (to)
            *to = argv[++i];
        else if (argv[i][0] != '-' && !after_flag && !a->name)
            a->name = argv[i];
        else
            argv[kept++] = argv[i];
    }
    return kept;
}

static struct config *load(int argc, char **argv)
{
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 4096);
    if (config_load(argc, argv, environ, &c, &why)) {
        const char *text = buf_text(&why);
        fprintf(stderr, "braidd: %s\nTry: braidd help\n", text ? text : "bad configuration");
    } else {
        enum log_level level;
        if (log_level_from(str_of(c->log_level), &level))
            log_set_level(level);
    }
    buf_fini(&why);
    return c;
}

static int run_subcommand(const struct subcommand *s, int argc, char **argv)
{
    struct admin_args a = {0};
    int kept = take_args(argc, argv, &a);
    if (s->named != (a.name != NULL) || (s->roled && !a.role)) {
        fprintf(stderr, "braidd %s %s: %s\nTry: braidd help\n", s->noun, s->verb ? s->verb : "",
                s->named ? "needs a NAME and, where shown, --role" : "takes no name");
        return 2;
    }
    struct config *c = load(kept, argv);
    if (!c)
        return 2;
    int status = s->run(c, &a);
    config_free(c);
    return status;
}

/* What packing, COPY and large answers work in goes back to the system when it is freed.  Left to
 * itself glibc takes the first of them for a habit and keeps all below their size, up to 32 MB a
 * thread, between the devices of a fleet. */
static void return_large_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 512 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* Signals are blocked before any thread exists, so every thread inherits that and only main's
 * sigtimedwait sees them. */
static int serve(int argc, char **argv)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return_large_memory();
    struct config *c = load(argc, argv);
    if (!c)
        return 2;
    int status = app_run(c);
    config_free(c);
    return status;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "serve";
    if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
        return help(argc, argv);
    if (!strcmp(word, "--version")) {
        puts("braidd " BRAID_VERSION);
        return 0;
    }
    if (!strcmp(word, "--dump-fsm"))
        return dump(cmd_dump);
    if (!strcmp(word, "--dump-routes"))
        return dump(http_dump_routes);
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++) {
        const struct subcommand *s = &subcommands[i];
        if (strcmp(word, s->noun) || (s->verb && (argc < 3 || strcmp(argv[2], s->verb))))
            continue;
        int skip = s->verb ? 3 : 2;
        return run_subcommand(s, argc - skip, argv + skip);
    }
    if (!strcmp(word, "serve"))
        return serve(argc > 1 ? argc - 2 : 0, argv + (argc > 1 ? 2 : 1));
    if (!strncmp(word, "--", 2))
        return serve(argc - 1, argv + 1);
    fprintf(stderr, "braidd: there is no command \"%s\".\nTry: braidd help\n", word);
    return 2;
}
