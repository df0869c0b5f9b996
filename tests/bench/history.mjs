// history.mjs - what history takes at rest, and what a chart of it costs.
//
// Fills chunks and roll-ups through the real encoder (history_load.c writes what merging leaves, without
// the way through broker and landing tables, whose cost ingest.mjs measures), then asks for charts
// over REST and, as Grafana does, in SQL. Last, half a million samples come from devices and wait in a
// landing table: the last hour of one of their series, over REST from the server's memory, the same after
// a start, when it has none of them, and in SQL.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { build, root, startStack, until } from '../e2e/lib/stack.mjs';
import { Load, born, cpuSeconds, honestPostgres, options, percentile, storedSamples, storedUntil, table } from './lib/load.mjs';

const usage = `node tests/bench/history.mjs [--quick] [--json] [--rounds 40]

  --quick   about 2.9 M samples instead of 50 M: 4 series for 7 days and 4 for a day; charts of 7 days instead of 90
  --json    one JSON object instead of tables
  --rounds  requests per figure
`;
const { quick, json, rounds } = options(usage, { quick: false, json: false, rounds: 40 });
const run = promisify(execFile);
const loader = path.join(root, 'build', build, 'tests/bench_history_load');
const day = 86400000;
const end = Math.floor(Date.now() / day) * day;
const days = quick ? 7 : 90;
const say = (text) => json || console.log(text);

// [kind, series that are long, series of one day]
const kinds = quick ? [['sensor', 1, 1], ['counter', 1, 1], ['state', 1, 1], ['random', 1, 1]]
  : [['sensor', 2, 64], ['counter', 1, 16], ['state', 1, 16], ['random', 1, 32]];
const limits = { sensor: 6, random: 14 };
const endpoint = 'bench-history';

const stack = await startStack({ server: false, postgres: `${honestPostgres}max_wal_size = 4GB\n` });
const conninfo = `host=${stack.sockets} user=braid_owner dbname=braid`;
const load = async (...args) => JSON.parse((await run(loader, [conninfo, ...args.map(String)])).stdout);
const bytes = async (pattern) => Number((await stack.sql(
  "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) AS b FROM pg_class WHERE relkind = 'r' AND relname ~ $1", [pattern]))[0].b);

// ---- filling -----------------------------------------------------------------------------------

async function fill() {
  const rows = [];
  let series = 1;
  await stack.sql('INSERT INTO device (id, endpoint, status, created_at) VALUES (1, $1, $2, now())', [endpoint, 'offline']);
  await stack.sql(`INSERT INTO series (id, device_id, source, key, datatype, unit)
    SELECT i, 1, 'sparkplug', 'spb:/m' || i, 'Double', 'V' FROM generate_series(1, 200) i`);
  for (const [kind, long, short] of kinds) {
    const before = { all: await bytes('^(chunk|rollup)_'), rollups: await bytes('^rollup_') };
    const first = series;
    const parts = [await load(kind, series, long, days, end / 1000), await load(kind, series + long, short, 1, end / 1000)];
    series += long + short;
    const samples = parts.reduce((n, p) => n + p.samples, 0);
    rows.push({ kind, series: first, samples, encode_ns: parts[0].encode_ns, limit: limits[kind] ?? null,
      bytes: (await bytes('^(chunk|rollup)_') - before.all) / samples,
      rollup_bytes: (await bytes('^rollup_') - before.rollups) / samples });
    say(`${kind}: ${(samples / 1e6).toFixed(1)} M samples`);
  }
  await stack.sql('CREATE TABLE bench_plain (series_id integer NOT NULL, ts timestamptz NOT NULL, value float8 NOT NULL)');
  await stack.sql('CREATE INDEX ON bench_plain (series_id, ts) INCLUDE (value)');
  const plain = await load('sensor', 1, quick ? 5 : 20, 1, end / 1000, 'plain');
  const plainBytes = await bytes('^bench_plain$') / plain.samples;
  await stack.sql('DROP TABLE bench_plain');
  await stack.sql('VACUUM ANALYZE');
  return { rows, plainBytes };
}

// ---- asking ------------------------------------------------------------------------------------

const agent = new http.Agent({ keepAlive: true });
function get(where) {
  return new Promise((resolve, reject) => {
    http.get(`${stack.url}/api/v1${where}`, { agent, headers: { authorization: `Bearer ${stack.token}` } }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('error', reject)
        .on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts).toString() }));
    }).on('error', reject);
  });
}

const spans = quick ? [['24 h', day], ['7 d', 7 * day]] : [['24 h', day], ['7 d', 7 * day], ['90 d', 90 * day]];
const keyOf = (row) => `spb:/m${row.series}`;

// Ends move by odd minutes, so that no two requests are the same.
const chart = (row, span, i) => ({ endpoint, key: keyOf(row), to: end - (span < days * day ? i * 61000 : 0), span, least: 150 });

async function overRest({ endpoint: of, key, to, span, least }) {
  const got = await get(`/devices/${of}/history?series=${encodeURIComponent(key)}&from=${to - span}&to=${to}&points=500`);
  const h = JSON.parse(got.body);
  if (got.status !== 200 || h.points.length < least || h.points.length > 500) throw new Error(`no chart: ${got.body.slice(0, 200)}`);
}

const asGrafana = (client) => async ({ endpoint: of, key, to, span, least }) => {
  const width = `${Math.ceil(span / 500 / 1000)} seconds`;
  const { rows } = await client.query('SELECT time, min, max, avg, n, last FROM grafana.buckets($1, $2, $3, $4, $5)',
    [of, key, new Date(to - span), new Date(to), width]);
  if (rows.length < least || rows.length > 510) throw new Error(`no chart: ${rows.length} rows`);
};

async function timed(ask, what) {
  const from = performance.now();
  await ask(what);
  return performance.now() - from;
}

// What a chart costs is the same on a busy machine: seconds of braidd and PostgreSQL.
const cpu = () => cpuSeconds(stack.server.pid) + cpuSeconds(stack.postgres.pid);

async function measureOne(name, label, ask, what) {
  for (let i = 0; i < 6; i++) await ask(what(i)); // plans, caches
  const took = [];
  const before = cpu();
  for (let i = 0; i < rounds; i++) took.push(await timed(ask, what(i)));
  return { name, span: label, p50_ms: percentile(took, 50), p95_ms: percentile(took, 95), cpu_ms: (1000 * (cpu() - before)) / rounds };
}

async function measure(name, ask, rows) {
  const out = [];
  for (const [label, span] of spans) out.push(await measureOne(name, label, ask, (i) => chart(rows[i % rows.length], span, i)));
  return out;
}

// What the server remembers of a landing table it forgets half a minute after that was opened: the first
// run fills one table, the second most of the next.
async function measureLanded(asSql) {
  const nodes = 50;
  const metrics = 20;
  const load = await Load.start(stack, { nodes, metrics });
  await born(stack, nodes);
  for (const rows of [520000, 480000]) {
    const goal = await storedSamples(stack) + rows;
    await load.run(rows / metrics);
    if (await storedUntil(stack, goal) === null) throw new Error('not all samples were stored');
    await until(async () => (await stack.sql("SELECT FROM landing_slot WHERE state = 'closed'")).length === 0, 60000, 'the full table packed');
  }
  await load.stop();
  const [of] = await stack.sql(`SELECT d.endpoint, s.key FROM landed l JOIN series s ON s.id = l.series_id JOIN device d ON d.id = s.device_id
    WHERE s.datatype = 'Double' LIMIT 1`);
  const to = Date.now();
  const last = (i) => ({ ...of, to: to + i, span: 3600000, least: 1 });
  const out = [await measureOne('REST', 'from memory', overRest, last), await measureOne('SQL', 'from the tables', asSql, last)];
  await stack.server.restart();
  await until(async () => (await get(`/devices/${of.endpoint}`)).status === 200, 20000);
  out.push(await measureOne('REST', 'from the tables', overRest, last));
  const [{ n }] = await stack.sql('SELECT count(*)::int AS n FROM landed');
  return { rows: n, charts: out };
}

// The first request after PostgreSQL was started anew, and after the kernel forgot its files if we may
// make it do so.
async function cold(rows) {
  const out = [];
  for (const [label, span] of spans) {
    await stack.sql('CHECKPOINT').catch(() => {});
    await stack.postgres.restart();
    let dropped = true;
    try {
      fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
    } catch {
      dropped = false;
    }
    await until(async () => (await get('/readyz'.replace('/api/v1', ''))).status !== 0 && (await get(`/devices/${endpoint}/series`)).status === 200, 20000);
    out.push({ span: label, first_ms: await timed(overRest, chart(rows[0], span, 1)), os_cache_dropped: dropped });
  }
  return out;
}

try {
  const { rows, plainBytes } = await fill();
  await stack.server.start();
  await until(async () => (await get(`/devices/${endpoint}`)).status === 200, 20000);
  const rest = await measure('REST', overRest, rows);
  const withSql = (work) => stack.withClient('braid_grafana', 'braid', (client) => work(asGrafana(client)));
  const sql = await withSql((ask) => measure('SQL', ask, rows));
  const landed = await withSql(measureLanded);
  const first = await cold(rows);
  const charts = [...rest, ...sql].map((c) => ({ ...c, limit_ms: c.span === '24 h' ? 15 : 40 }));
  const ok = rows.every((r) => !r.limit || r.bytes <= r.limit) && charts.every((c) => c.p95_ms < c.limit_ms);
  if (json) {
    console.log(JSON.stringify({ quick, days, at_rest: rows, plain_bytes: plainBytes, charts, landed, cold: first, ok }));
  } else {
    table([['at rest, with indexes and roll-ups', 'M samples', 'B/sample', 'of it roll-ups', 'limit', '/ plain rows', 'encode ns'],
      ...rows.map((r) => [r.kind, (r.samples / 1e6).toFixed(1), r.bytes.toFixed(2), r.rollup_bytes.toFixed(2), r.limit ?? '',
        (r.bytes / plainBytes).toFixed(3), r.encode_ns.toFixed(0)]),
      ['plain rows, covering index', '', plainBytes.toFixed(1), '', '', '1', '']]);
    console.log('');
    table([['a chart of 500 points', 'p50 ms', 'p95 ms', 'limit', 'CPU ms'],
      ...charts.map((c) => [`${c.name} ${c.span}`, c.p50_ms.toFixed(1), c.p95_ms.toFixed(1), `< ${c.limit_ms}`, c.cpu_ms.toFixed(1)]),
      ...landed.charts.map((c) => [`${c.name}, last hour, ${landed.rows} rows landed, ${c.span}`, c.p50_ms.toFixed(1), c.p95_ms.toFixed(1), '', c.cpu_ms.toFixed(1)]),
      ...first.map((c) => [`REST ${c.span}, first after a start${c.os_cache_dropped ? ', page cache dropped' : ''}`, c.first_ms.toFixed(1), '', '', ''])]);
  }
} finally {
  await stack.stop();
}
