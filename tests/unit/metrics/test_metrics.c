/* test_metrics.c - counters add up across threads and the exposition is what Prometheus reads. */
#include "metrics/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *expose(const struct metrics *m, struct buf *b)
{
    buf_init(b, 1 << 20);
    metrics_expose(m, b);
    return buf_text(b);
}

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metric_add(arg, M_METRICS_IN, 2);
        histogram_observe_us(arg, H_STORE, 1500);
    }
    return NULL;
}

static void adds_of_many_threads_are_all_counted(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    pthread_t t[4];
    struct buf b;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count, m), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(metric_get(m, M_METRICS_IN), 80000);
    assert_non_null(strstr(expose(m, &b), "\nbraid_store_seconds_count 40000\n"));
    buf_fini(&b);
    metrics_free(m);
}

static void gauges_are_set_and_labels_are_shown(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct buf b;
    metric_set(m, M_LW_ACTIVE, 7);
    metric_set(m, M_DEV_LOST, -3);
    metric_add(m, M_MSG_NBIRTH, 5);
    const char *text = expose(m, &b);
    assert_non_null(strstr(text, "\nlwm2m_active_devices 7\n"));
    assert_non_null(strstr(text, "\nsparkplug_devices_online 0\n"));
    assert_non_null(strstr(text, "\nbraid_devices{status=\"lost\"} -3\n"));
    assert_non_null(strstr(text, "\nbraid_sparkplug_messages_total{kind=\"NBIRTH\"} 5\n"));
    assert_non_null(strstr(text, "# TYPE braid_sparkplug_messages_total counter\n"));
    assert_non_null(strstr(text, "# TYPE braid_devices gauge\n"));
    buf_fini(&b);
    metrics_free(m);
}

static void every_name_has_one_help_and_one_type(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct buf b;
    expose(m, &b);
    char *seen[200];
    size_t n = 0;
    char *rest = b.p, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (strncmp(line, "# TYPE ", 7) != 0)
            continue;
        char *name = line + 7;
        strsep(&name, " ");
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(seen[i], line + 7);
        assert_true(n < 200);
        seen[n++] = line + 7;
    }
    assert_true(n > 30);
    buf_fini(&b);
    metrics_free(m);
}

static void histogram_buckets_are_cumulative(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct buf b;
    histogram_observe_us(m, H_HTTP, 1000);     /* le is inclusive */
    histogram_observe_us(m, H_HTTP, 1001);     /* second bucket */
    histogram_observe_us(m, H_HTTP, 20000000); /* beyond the last bound */
    const char *text = expose(m, &b);
    assert_non_null(strstr(text, "\nbraid_http_seconds_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "\nbraid_http_seconds_bucket{le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(text, "\nbraid_http_seconds_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(text, "\nbraid_http_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "\nbraid_http_seconds_sum 20.002001\n"));
    assert_non_null(strstr(text, "\nbraid_http_seconds_count 3\n"));
    buf_fini(&b);
    metrics_free(m);
}

static void the_process_tells_about_itself(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct buf b;
    const char *text = expose(m, &b);
    const char *rss = strstr(text, "\nprocess_resident_memory_bytes ");
    const char *fds = strstr(text, "\nprocess_open_fds ");
    assert_non_null(rss);
    assert_non_null(fds);
    assert_true(strtoll(strchr(rss, ' '), NULL, 10) > 100000);
    assert_true(strtoll(strchr(fds, ' '), NULL, 10) >= 3);
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(text, "\nprocess_start_time_seconds 1"));
    buf_fini(&b);
    metrics_free(m);
}

static void markdown_names_every_metric(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_markdown(&b);
    assert_non_null(buf_text(&b));
#define X(id, kind, name, labels, help) assert_non_null(strstr(b.p, "`" name "`"));
    METRIC_TABLE(X)
#undef X
    assert_non_null(strstr(b.p, "| `braid_http_seconds` | `le` | histogram |"));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_of_many_threads_are_all_counted),
        cmocka_unit_test(gauges_are_set_and_labels_are_shown),
        cmocka_unit_test(every_name_has_one_help_and_one_type),
        cmocka_unit_test(histogram_buckets_are_cumulative),
        cmocka_unit_test(the_process_tells_about_itself),
        cmocka_unit_test(markdown_names_every_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
