/* copy.c - how fast PostgreSQL takes samples when nothing else stands in the way.
 *
 *   bench_copy CONNINFO CONNECTIONS ROWS BATCH
 *
 * Each connection sends the same prepared COPY BINARY body of BATCH rows over and over into table
 * bench_landing, one commit each, until ROWS rows are in.  Prints one JSON object.  The limit that
 * tests/bench/ingest.mjs measures the server against. */
#include "base/clock.h"
#include "base/thread.h"
#include "port/pg.h"
#include "store/chunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define CONNECTIONS_MAX 16
#define SERIES          5000
#define COPY            "COPY bench_landing (series_id, ts, value, quality) FROM STDIN (FORMAT binary)"

struct feeder {
    struct thread thread;
    struct pg *db;
    struct str body;
    uint64_t batches, rows;
    enum err err;
};

static void feed(void *arg)
{
    struct feeder *f = arg;
    for (uint64_t i = 0; !f->err && i < f->batches; i++) {
        uint64_t rows = 0;
        f->err = pg_copy_in(f->db, COPY, f->body.p, f->body.n, &rows);
        f->rows += rows;
    }
}

/* Sorted by series, like a chunk of the writer; all series come up. */
static void make_body(size_t rows, struct buf *out)
{
    copy_head(out);
    for (size_t i = 0; i < rows; i++) {
        double value = 20 + (double)(i * 2654435761u % 4096) / 1000;
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        buf_u16be(out, 4);
        buf_u32be(out, 4);
        buf_u32be(out, (uint32_t)(1 + i * SERIES / rows));
        buf_u32be(out, 8);
        buf_u64be(out, UINT64_C(800000000000000) + i * 1000);
        buf_u32be(out, 8);
        buf_u64be(out, bits);
        buf_u32be(out, 2);
        buf_u16be(out, 0);
    }
    copy_tail(out);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static enum err run(const char *conninfo, size_t connections, uint64_t rows, size_t batch)
{
    struct feeder f[CONNECTIONS_MAX] = {0};
    struct buf body;
    enum err e = ERR_OK;
    uint64_t stored = 0;
    buf_init(&body, (size_t)1 << 30);
    make_body(batch, &body);
    e = body.err;
    for (size_t i = 0; !e && i < connections; i++) {
        f[i].body = buf_view(&body);
        f[i].batches = rows / batch / connections + (i < rows / batch % connections);
        e = pg_connect(conninfo, "bench_copy", &f[i].db);
    }
    uint64_t from = clock_mono_us();
    double cpu = cpu_s();
    size_t started = 0;
    for (; !e && started < connections; started++)
        e = thread_start(&f[started].thread, "feeder", feed, &f[started]);
    for (size_t i = 0; i < started; i++) {
        thread_join(&f[i].thread);
        stored += f[i].rows;
        e = e ? e : f[i].err;
    }
    double seconds = (double)(clock_mono_us() - from) / 1e6;
    for (size_t i = 0; i < connections; i++)
        pg_close(f[i].db);
    buf_fini(&body);
    if (!e)
        printf("{\"connections\":%zu,\"batch\":%zu,\"rows\":%llu,\"seconds\":%.6f,"
               "\"rows_per_s\":%.0f,\"cpu_s\":%.6f}\n",
               connections, batch, (unsigned long long)stored, seconds, (double)stored / seconds,
               cpu_s() - cpu);
    return e;
}

int main(int argc, char **argv)
{
    uint64_t connections, rows, batch;
    if (argc != 5 || str_to_u64(str_of(argv[2]), &connections) || !connections ||
        connections > CONNECTIONS_MAX || str_to_u64(str_of(argv[3]), &rows) ||
        str_to_u64(str_of(argv[4]), &batch) || !batch || rows < batch) {
        fprintf(stderr, "usage: bench_copy CONNINFO CONNECTIONS ROWS BATCH\n");
        return 2;
    }
    enum err e = run(argv[1], connections, rows, batch);
    if (e)
        fprintf(stderr, "bench_copy: %s\n", err_word(e));
    return e ? 1 : 0;
}
