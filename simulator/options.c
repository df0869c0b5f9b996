/* options.c - see options.h. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>

#include "load_template.h"

enum kind { TEXT, NUMBER, FLAG, DIALECT };

struct option {
    const char *flag, *env;
    enum kind kind;
    size_t offset;
    uint64_t min, max;
    const char *fallback; /* NULL: not given */
    const char *help;
};

#define AT(member) offsetof(struct sim_options, member)

static const struct option table[] = {
    {"host", "BROKER_HOST", TEXT, AT(host), 0, 0, "127.0.0.1", "the broker's name or address"},
    {"port", "BROKER_PORT", TEXT, AT(port), 0, 0, "8883", "its port"},
    {"ca", "BROKER_CA", TEXT, AT(ca_file), 0, 0, NULL, "PEM file that proves the broker"},
    {"issuer-cert", "ISSUER_CERT", TEXT, AT(issuer_cert), 0, 0, NULL,
     "CA that signs the devices' certificates"},
    {"issuer-key", "ISSUER_KEY", TEXT, AT(issuer_key), 0, 0, NULL, "its key"},
    {"username", "SIM_USERNAME", TEXT, AT(username), 0, 0, NULL,
     "identity of the only device (password mode)"},
    {"password-file", "SIM_PASSWORD_FILE", TEXT, AT(password_file), 0, 0, NULL,
     "lines identity:password; passwords instead of certificates"},
    {"plain", NULL, FLAG, AT(plain), 0, 0, NULL, "no TLS (tests)"},
    {"tag", "SIM_TAG", TEXT, AT(tag), 0, 0, "demo", "devices are sim-TAG-00001 and so on"},
    {"count", "DEVICE_COUNT", NUMBER, AT(count), 1, 99999, "5", "how many devices"},
    {"telemetry-interval", "TELEMETRY_INTERVAL", NUMBER, AT(telemetry_s), 1, 86400, "5",
     "seconds between Sparkplug data messages"},
    {"lwm2m-interval", "LWM2M_INTERVAL", NUMBER, AT(lwm2m_s), 1, 86400, "60",
     "seconds between LwM2M Send reports"},
    {"dialect", "SIM_DIALECT", DIALECT, AT(dialect), 0, 0, "json", "json, oma or mixed"},
    {"short-topics", NULL, FLAG, AT(short_topics), 0, 0, NULL,
     "Sparkplug as prototypes speak it: DBIRTH/DDATA under the group"},
    {"group", "SIM_GROUP", TEXT, AT(group), 0, 0, "sim", "Sparkplug group"},
    {"state-dir", "SIM_STATE_DIR", TEXT, AT(state_dir), 0, 0, NULL,
     "folder for what devices remember (bdSeq, firmware)"},
    {"control", "SIM_CONTROL", TEXT, AT(control), 0, 0, NULL,
     "Unix socket for stats, break and heal"},
    {"description", "SIM_DESCRIPTION", TEXT, AT(description), 0, 0, NULL,
     "device description file (JSON)"},
    {"no-history", NULL, FLAG, AT(no_history), 0, 0, NULL, "do not send 24 h of history first"},
    {"threads", "SIM_THREADS", NUMBER, AT(threads), 1, 64, "1", "event loops"},
    {"abrupt-exit", NULL, FLAG, AT(abrupt_exit), 0, 0, NULL, "die without a word on SIGTERM"},
    {"load", NULL, NUMBER, AT(load), 0, 99999, "0",
     "load generator: so many Sparkplug nodes instead of devices"},
    {"load-metrics", NULL, NUMBER, AT(load_metrics), 1, LOAD_METRICS_MAX, "5",
     "metrics in each of its messages"},
    {"load-messages", NULL, NUMBER, AT(load_messages), 0, UINT64_MAX, "100000",
     "how many messages in all"},
    {"load-rate", NULL, NUMBER, AT(load_rate), 0, 10000000, "0",
     "messages per second in all; 0: as many as it can"},
    {"load-connections", NULL, NUMBER, AT(load_connections), 1, 1000, "2",
     "connections that share its nodes (with TLS: one per node)"},
    {"load-per-write", NULL, NUMBER, AT(load_per_write), 1, 1000, "64", "messages in one write"},
    {"load-births", NULL, NUMBER, AT(load_births), 1, 1000000, "80", "births per second at first"},
    {"load-node-level", NULL, FLAG, AT(load_node_level), 0, 0, NULL,
     "NDATA of the node instead of DDATA of one device of it"},
    {"load-gate", NULL, FLAG, AT(load_gate), 0, 0, NULL,
     "after the births wait for lines MESSAGES [RATE] on standard input, each a run"},
    {"debug", NULL, FLAG, AT(debug), 0, 0, NULL, "log more"},
    {"help", NULL, FLAG, AT(help), 0, 0, NULL, "this text"},
};

#define OPTIONS (sizeof table / sizeof table[0])

static bool set(const struct option *opt, const char *value, struct sim_options *o)
{
    static const char *const dialects[] = {"json", "oma", "mixed"};
    void *to = (char *)o + opt->offset;
    uint64_t n;
    switch (opt->kind) {
    case TEXT:
        *(const char **)to = value;
        return *value != '\0';
    case NUMBER:
        if (str_to_u64(str_of(value), &n) != ERR_OK || n < opt->min || n > opt->max)
            return false;
        *(uint64_t *)to = n;
        return true;
    case FLAG:
        *(bool *)to = true;
        return true;
    case DIALECT:
        for (int i = 0; i < 3; i++)
            if (strcmp(value, dialects[i]) == 0) {
                *(enum dialect_choice *)to = (enum dialect_choice)i;
                return true;
            }
        return false;
    }
    return false;
}

static enum err read_flags(int argc, char **argv, struct sim_options *o, char *why, size_t size)
{
    for (int i = 1; i < argc; i++) {
        const struct option *opt = NULL;
        struct str value = str_of(argv[i]), name = str_cut(&value, '=');
        for (size_t k = 0; k < OPTIONS && name.n > 2 && str_starts(name, "--"); k++)
            if (str_is(str_make(name.p + 2, name.n - 2), table[k].flag))
                opt = &table[k];
        if (!opt || (value.p && opt->kind == FLAG)) {
            snprintf(why, size, "unknown option %s (see --help)", argv[i]);
            return ERR_INVALID;
        }
        const char *text = value.p;
        if (!text && opt->kind != FLAG)
            text = i + 1 < argc ? argv[++i] : NULL;
        if ((!text && opt->kind != FLAG) || !set(opt, text ? text : "", o)) {
            snprintf(why, size, "--%s: %s", opt->flag, text ? "not a usable value" : "no value");
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static enum err check(const struct sim_options *o, char *why, size_t size)
{
    const char *wrong = NULL;
    if (o->help)
        return ERR_OK;
    if (!o->plain && !o->ca_file)
        wrong = "--ca is needed (or --plain)";
    else if (!o->issuer_cert != !o->issuer_key)
        wrong = "--issuer-cert and --issuer-key belong together";
    else if (o->issuer_cert && o->password_file)
        wrong = "certificates or passwords, not both";
    else if (o->username && (!o->password_file || o->count != 1))
        wrong = "--username needs --password-file and --count 1";
    else if (o->load && (o->username || o->password_file))
        wrong = "--load needs --plain or certificates";
    else if (strlen(o->tag) > 48 || strpbrk(o->tag, "/+# \t") || strpbrk(o->group, "/+#"))
        wrong = "tag and group must not contain / + # or spaces";
    if (!wrong)
        return ERR_OK;
    snprintf(why, size, "%s", wrong);
    return ERR_INVALID;
}

enum err options_read(int argc, char **argv, struct sim_options *o, char *why, size_t why_size)
{
    *o = (struct sim_options){0};
    for (size_t k = 0; k < OPTIONS; k++) {
        const char *env = table[k].env ? getenv(table[k].env) : NULL;
        const char *value = env && *env ? env : table[k].fallback;
        if (value && !set(&table[k], value, o)) {
            snprintf(why, why_size, "%s: not a usable value", table[k].env);
            return ERR_INVALID;
        }
    }
    enum err e = read_flags(argc, argv, o, why, why_size);
    return e ? e : check(o, why, why_size);
}

void options_help(void)
{
    puts("braid-sim: simulated devices, each on one MQTT connection with LwM2M and Sparkplug B\n");
    for (size_t k = 0; k < OPTIONS; k++)
        printf("  --%-20s %s%s%s%s\n", table[k].flag, table[k].help, table[k].fallback ? " [" : "",
               table[k].fallback ? table[k].fallback : "", table[k].fallback ? "]" : "");
    puts("\nMost can be given in the environment too:");
    for (size_t k = 0; k < OPTIONS; k++)
        if (table[k].env)
            printf("  %-22s --%s\n", table[k].env, table[k].flag);
}
