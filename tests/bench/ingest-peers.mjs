// ingest-peers.mjs - the same messages into the same table, by Braid and by hosts as one usually writes
// them: Python (paho, protobuf, psycopg2; COPY in batches), Python with one INSERT per metric, and Node
// (mqtt, sparkplug-payload, pg; unnest in batches).
//
//   node tests/bench/ingest-peers.mjs [--rounds 3] [--metrics 5] [--quick] [--json]
//
// Braid keeps state, sequence checks, history and live views besides; the others only store. The
// Python hosts need Debian's python3-paho-mqtt, python3-protobuf, python3-psycopg2 and protoc.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { root, startStack, until } from '../e2e/lib/stack.mjs';
import { Load, born, cpuOf, cpuSeconds, difference, honestPostgres, makeBareTable, median, options, settled,
  storedSamples, storedUntil, table } from './lib/load.mjs';

const usage = 'node tests/bench/ingest-peers.mjs [--rounds 3] [--metrics 5] [--nodes 50] [--quick] [--json]';
const o = options(usage, { rounds: 3, metrics: 5, nodes: 50, quick: false, json: false });
if (o.quick) o.rounds = 1;
const scale = o.quick ? 0.4 : 1;
const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), 'peers');
const say = (...words) => o.json || console.log(...words);

const conninfo = (stack) => `host=${stack.sockets} dbname=braid user=braid_owner`;
const peers = {
  python: { messages: 40000, command: (s, rows) => ['/usr/bin/python3', path.join(folder, 'host.py'), s.dir, s.ports.plain, conninfo(s), rows, 'copy'] },
  node: { messages: 40000, command: (s, rows) => [process.execPath, path.join(folder, 'host.mjs'), s.ports.plain, s.sockets, rows] },
  insert: { messages: 4000, command: (s, rows) => ['/usr/bin/python3', path.join(folder, 'host.py'), s.dir, s.ports.plain, conninfo(s), rows, 'insert'] },
};

async function runPeer(stack, { messages, command }, tag) {
  const rows = Math.round(messages * scale) * o.metrics;
  await stack.sql('TRUNCATE bench_landing');
  const [file, ...args] = command(stack, rows).map(String);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  readline.createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await until(() => lines.includes('ready'), 20000, 'the peer has subscribed');
    const load = await Load.start(stack, { nodes: o.nodes, metrics: o.metrics, tag, args: ['--load-births', '1000'] });
    const before = cpuSeconds(child.pid);
    const report = await load.run(rows / o.metrics);
    let last = before;
    await until(() => {
      last = Math.max(last, cpuSeconds(child.pid));
      return lines.length > 1 || child.exitCode !== null;
    }, 120000, 'all rows stored');
    const said = JSON.parse(lines[1]);
    await load.stop();
    await ended;
    const [{ count }] = await stack.sql('SELECT count(*) FROM bench_landing');
    if (Number(count) !== rows) throw new Error(`${rows} sent, ${count} stored`);
    return { metrics_per_s: rows / ((said.done_ms - report.from_ms) / 1000), cpu_us: ((last - before) * 1e6) / rows };
  } finally {
    child.kill('SIGKILL');
  }
}

async function runOurs(stack, load) {
  const messages = Math.round(200000 * scale);
  const rows = messages * o.metrics;
  const before = await settled(stack);
  const cpuBefore = cpuOf(stack);
  const sent = load.run(messages);
  const doneAt = await storedUntil(stack, before + rows);
  const report = await sent;
  const stored = (await storedSamples(stack)) - before;
  if (stored !== rows) throw new Error(`${rows} sent, ${stored} stored`);
  return { metrics_per_s: rows / ((doneAt - report.from_ms) / 1000), cpu_us: (difference(cpuOf(stack), cpuBefore).braidd * 1e6) / rows };
}

const stack = await startStack({ devices: 0, socket: true, postgres: honestPostgres });
try {
  execFileSync('protoc', [`--proto_path=${root}/proto`, `--python_out=${stack.dir}`, 'sparkplug_b.proto']);
  fs.chmodSync(stack.dir, 0o711);
  await makeBareTable(stack);
  const results = { braid: [], python: [], node: [], insert: [] };
  for (let round = 0; round < o.rounds; round++) {
    if (round) await stack.server.start();
    const load = await Load.start(stack, { nodes: o.nodes, metrics: o.metrics, tag: `braid${round}` });
    await born(stack, o.nodes);
    results.braid.push(await runOurs(stack, load));
    await load.stop();
    await stack.server.stop(); // alone on the machine, each of them
    for (const [name, peer] of Object.entries(peers)) results[name].push(await runPeer(stack, peer, `${name}${round}`));
    say(`round ${round + 1}: ${Object.entries(results).map(([name, r]) => `${name} ${Math.round(r.at(-1).metrics_per_s)}/s`).join(', ')}`);
  }
  const of = Object.fromEntries(Object.entries(results).map(([name, runs]) =>
    [name, { metrics_per_s: median(runs.map((r) => r.metrics_per_s)), cpu_us: median(runs.map((r) => r.cpu_us)) }]));
  const ratio = (name) => ({
    throughput: median(results.braid.map((r, i) => r.metrics_per_s / results[name][i].metrics_per_s)),
    cpu: median(results.braid.map((r, i) => r.cpu_us / results[name][i].cpu_us)),
  });
  const ratios = { python: ratio('python'), node: ratio('node'), insert: ratio('insert') };
  if (o.json) {
    console.log(JSON.stringify({ bench: 'ingest-peers', metrics_per_message: o.metrics, results: of, ratios }));
  } else {
    const row = (label, name, targets) => [label, Math.round(of[name].metrics_per_s), of[name].cpu_us.toFixed(2),
      name === 'braid' ? '' : ratios[name].throughput.toFixed(1), targets[0], name === 'braid' ? '' : ratios[name].cpu.toFixed(2), targets[1]];
    table([
      ['', 'metrics/s', 'consumer us/metric', 'Braid is x faster', 'target', 'CPU, Braid / this', 'target'],
      row('Braid', 'braid', ['', '']),
      row('Python, COPY in batches', 'python', ['3', '0.25']),
      row('Node, unnest in batches', 'node', ['2', '0.50']),
      row('Python, one INSERT per metric', 'insert', ['30', '']),
    ]);
  }
} finally {
  await stack.stop();
}
