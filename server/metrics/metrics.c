/* metrics.c - see metrics.h.
 *
 * Counting is one relaxed atomic add; nothing here orders anything else.  A histogram's buckets are
 * kept apart (not cumulative) and summed up when they are shown, so observing touches three
 * words.  A scrape may see a value between two adds of one observation: that is what Prometheus
 * expects of counters. */
#include "metrics/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct row {
    char kind;
    const char *name, *labels, *help;
};

static const struct row rows[] = {
#define X(id, kind, name, labels, help) {kind, name, labels, help},
    METRIC_TABLE(X)
#undef X
};

static const struct {
    const char *name, *help;
} histograms[] = {
#define X(id, name, help) {name, help},
    HISTOGRAM_TABLE(X)
#undef X
};

/* Upper bounds, 1 ms to 10 s; the last bucket is +Inf. */
static const struct {
    uint64_t us;
    const char *le;
} bounds[] = {
    {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"}, {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"}, {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};
#define N_BOUNDS (sizeof bounds / sizeof *bounds)

struct metrics {
    _Atomic int64_t value[METRIC_COUNT];
    struct {
        _Atomic uint64_t bucket[N_BOUNDS + 1];
        _Atomic uint64_t sum_us;
    } histogram[HISTOGRAM_COUNT];
    int64_t started_s; /* Unix seconds */
};

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m)
        m->started_s = (int64_t)time(NULL);
    return m;
}

void metrics_free(struct metrics *m)
{
    free(m);
}

void metric_add(struct metrics *m, enum metric id, int64_t n)
{
    atomic_fetch_add_explicit(&m->value[id], n, memory_order_relaxed);
}

void metric_set(struct metrics *m, enum metric id, int64_t v)
{
    atomic_store_explicit(&m->value[id], v, memory_order_relaxed);
}

int64_t metric_get(const struct metrics *m, enum metric id)
{
    return atomic_load_explicit(&m->value[id], memory_order_relaxed);
}

void histogram_observe_us(struct metrics *m, enum histogram id, uint64_t us)
{
    size_t i = 0;
    while (i < N_BOUNDS && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&m->histogram[id].bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->histogram[id].sum_us, us, memory_order_relaxed);
}

static void put_head(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void expose_histogram(const struct metrics *m, size_t id, struct buf *out)
{
    const char *name = histograms[id].name;
    uint64_t total = 0;
    put_head(out, name, histograms[id].help, "histogram");
    for (size_t i = 0; i <= N_BOUNDS; i++) {
        total += atomic_load_explicit(&m->histogram[id].bucket[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name,
                   i < N_BOUNDS ? bounds[i].le : "+Inf", total);
    }
    uint64_t sum = atomic_load_explicit(&m->histogram[id].sum_us, memory_order_relaxed);
    buf_printf(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n%s_count %" PRIu64 "\n", name, sum / 1000000,
               sum % 1000000, name, total);
}

static int64_t resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static int64_t open_files(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

static void expose_process(const struct metrics *m, struct buf *out)
{
    struct rusage ru;
    struct rlimit limit;
    put_head(out, "process_resident_memory_bytes", "Resident memory", "gauge");
    buf_printf(out, "process_resident_memory_bytes %" PRId64 "\n", resident_bytes());
    if (getrusage(RUSAGE_SELF, &ru) == 0) {
        int64_t us = ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
                     ru.ru_utime.tv_usec + ru.ru_stime.tv_usec;
        put_head(out, "process_cpu_seconds_total", "User and system CPU time", "counter");
        buf_printf(out, "process_cpu_seconds_total %" PRId64 ".%06" PRId64 "\n", us / 1000000,
                   us % 1000000);
    }
    put_head(out, "process_open_fds", "Open file descriptors", "gauge");
    buf_printf(out, "process_open_fds %" PRId64 "\n", open_files());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        put_head(out, "process_max_fds", "Limit of open file descriptors", "gauge");
        buf_printf(out, "process_max_fds %" PRIu64 "\n", (uint64_t)limit.rlim_cur);
    }
    put_head(out, "process_start_time_seconds", "Start, in Unix seconds", "gauge");
    buf_printf(out, "process_start_time_seconds %" PRId64 "\n", m->started_s);
}

void metrics_expose(const struct metrics *m, struct buf *out)
{
    const char *name = "";
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct row *r = &rows[i];
        if (strcmp(name, r->name) != 0)
            put_head(out, r->name, r->help, r->kind == 'c' ? "counter" : "gauge");
        name = r->name;
        buf_printf(out, r->labels[0] ? "%s{%s} " : "%s%s ", r->name, r->labels);
        buf_printf(out, "%" PRId64 "\n", metric_get(m, (enum metric)i));
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++)
        expose_histogram(m, i, out);
    expose_process(m, out);
}

void metrics_markdown(struct buf *out)
{
    buf_puts(out, "| Metric | Labels | Type | Meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct row *r = &rows[i];
        buf_printf(out, r->labels[0] ? "| `%s` | `%s` | " : "| `%s` | %s | ", r->name, r->labels);
        buf_printf(out, "%s | %s |\n", r->kind == 'c' ? "counter" : "gauge", r->help);
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++)
        buf_printf(out, "| `%s` | `le` | histogram | %s |\n", histograms[i].name,
                   histograms[i].help);
    buf_puts(out, "| `process_*` | | | Memory, CPU time, file descriptors and start of braidd |\n");
}
