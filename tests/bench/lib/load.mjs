// load.mjs - what the benchmarks share: options, the load generator, CPU time by process, the bare
// COPY they are measured against, and tables.

import { spawn, execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { promisify } from 'node:util';
import { build, root, until } from '../../e2e/lib/stack.mjs';

const programs = path.join(root, 'build', build);

// A machine's settings as shipped, not those of the tests: what is stored has to be on disk.
export const honestPostgres = 'fsync = on\nshared_buffers = 256MB\n';

// options(USAGE, {name: default}): flags of the command line. A default of false is a switch, a
// number wants a number, a string takes anything.
export function options(usage, defaults) {
  const out = { ...defaults };
  const args = process.argv.slice(2);
  while (args.length) {
    const name = args.shift().replace(/^--/, '');
    if (name === 'help') {
      console.log(usage);
      process.exit(0);
    }
    if (!(name in defaults)) {
      console.error(`unknown option --${name}\n${usage}`);
      process.exit(2);
    }
    if (defaults[name] === false) out[name] = true;
    else out[name] = typeof defaults[name] === 'number' ? Number(args.shift()) : args.shift();
  }
  return out;
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
export const percentile = (values, p) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
};

// table([[cell, ...], ...]): lines with columns as wide as they need; the first row is the head.
export function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  for (const row of rows) {
    console.log(row.map((cell, i) => (i ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i]))).join('  '));
  }
}

// ---- CPU time --------------------------------------------------------------------------------

const ticks = 100; // USER_HZ of every Linux that matters

function stat(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
    return { parent: Number(fields[1]), own: (user + system) / ticks, children: (childUser + childSystem) / ticks };
  } catch {
    return null; // gone
  }
}

// cpuSeconds(pid): user and system time of a process and all it ever started.
export function cpuSeconds(pid) {
  const all = new Map();
  for (const name of fs.readdirSync('/proc')) {
    const s = /^\d+$/.test(name) && stat(name);
    if (s) all.set(Number(name), s);
  }
  const below = (id) => {
    const s = all.get(id);
    if (!s) return 0;
    let sum = s.own + s.children;
    for (const [child, c] of all) if (c.parent === id) sum += below(child);
    return sum;
  };
  return below(pid);
}

// cpuOf(stack): seconds of each part that a stored sample passes.
export const cpuOf = (stack) => ({
  braidd: cpuSeconds(stack.server.pid),
  mosquitto: cpuSeconds(stack.broker.pid),
  postgres: cpuSeconds(stack.postgres.pid),
});
export const difference = (after, before) =>
  Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));

// ---- the load generator ------------------------------------------------------------------------

export class Load {
  // start: a generator whose nodes are born, over few connections to the broker's plain listener, or
  // as devices have it: each node over TLS with its certificate.
  static async start(stack, { nodes, metrics, tag = `l${metrics}`, connections = 2, tls = false, args = [] }) {
    const load = new Load();
    const keys = path.join(stack.dir, 'tls');
    const way = tls
      ? ['--port', stack.ports.tls, '--ca', `${keys}/ca.crt`, '--issuer-cert', `${keys}/sim-ca.crt`, '--issuer-key', `${keys}/sim-ca.key`]
      : ['--port', stack.ports.plain, '--plain', '--load-connections', connections];
    load.child = spawn(path.join(programs, 'braid-sim'),
      ['--host', '127.0.0.1', ...way, '--tag', tag, '--load', nodes, '--load-metrics', metrics, '--load-gate', ...args].map(String),
      { stdio: ['pipe', 'pipe', 'inherit'] });
    process.once('exit', () => load.child.kill('SIGKILL')); // it waits on its standard input, not for the broker
    load.ended = new Promise((resolve) => load.child.once('exit', resolve));
    load.waiting = [];
    readline.createInterface({ input: load.child.stdout }).on('line', (line) => load.waiting.shift()?.(JSON.parse(line)));
    load.metrics = metrics;
    await Promise.race([load.line(), load.ended.then((code) => Promise.reject(new Error(`load generator: ${code}`)))]);
    return load;
  }
  line() {
    return new Promise((resolve) => this.waiting.push(resolve));
  }
  // run: so many messages, so many a second (0: as many as go); its report.
  run(messages, rate = 0) {
    const answer = this.line();
    this.child.stdin.write(`${messages} ${Math.round(rate)}\n`);
    return answer;
  }
  async stop() {
    this.child.stdin.end();
    await this.ended;
  }
}

// born(stack, nodes): until the server knows them all, and what their births brought is stored.
export async function born(stack, nodes, others = 0) {
  await until(async () => (await stack.api('GET', '/fleet')).body.sparkplug_online >= nodes, 60000, 'all nodes born');
  await settled(stack, others);
}

export const storedSamples = (stack) => stack.metric('braid_samples_total{stage="stored"}');

// settled: nothing more is stored for a while, but for up to `others` samples of somebody else.
export async function settled(stack, others = 0) {
  let last = -Infinity;
  let since = Date.now();
  await until(async () => {
    const n = await storedSamples(stack);
    if (n - last > others) [last, since] = [n, Date.now()];
    return Date.now() - since > 600;
  }, 60000, 'nothing on its way');
  return storedSamples(stack);
}

// storedUntil(stack, goal): when the counter of stored samples reached the goal (ms), or null when
// it stood still for `patience` ms before.
export async function storedUntil(stack, goal, patience = 5000) {
  let last = -1;
  let since = Date.now();
  for (;;) {
    const n = await storedSamples(stack);
    const now = Date.now();
    if (n >= goal) return now;
    if (n !== last) [last, since] = [n, now];
    if (now - since > patience) return null;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// ---- the bare limit -----------------------------------------------------------------------------

// Makes an empty table of the landing tables' shape, with their indexes, for bareCopy.
export async function makeBareTable(stack) {
  const [{ plain }] = await stack.sql("SELECT to_regclass('landing_0') AS plain");
  await stack.sql('DROP TABLE IF EXISTS bench_landing');
  await stack.sql(`CREATE TABLE bench_landing (LIKE ${plain ? 'landing_0' : 'sample'} INCLUDING ALL)`);
  return plain ? 'landing_0' : 'sample';
}

const runProgram = promisify(execFile);

// bareCopy(stack, rows, batch): rows/s of COPY BINARY, the best of 1, 2 and 4 connections.
export async function bareCopy(stack, rows, batch = 20000) {
  const runs = [];
  for (const connections of [1, 2, 4]) {
    await stack.sql('TRUNCATE bench_landing');
    const before = cpuSeconds(stack.postgres.pid);
    const { stdout } = await runProgram(path.join(programs, 'tests/bench_copy'),
      [`host=${stack.sockets} dbname=braid user=braid_owner`, connections, rows, batch].map(String));
    const said = JSON.parse(stdout);
    said.postgres_us = ((cpuSeconds(stack.postgres.pid) - before) * 1e6) / said.rows;
    runs.push(said);
  }
  return { best: Math.max(...runs.map((r) => r.rows_per_s)), runs };
}

// bareBroker(stack, load, messages): messages/s of the same generator through the same broker to one
// reader on the server's socket who only counts them. The server must not run: the broker forwards to
// one client, as ever, and the reader takes the server's name.
export async function bareBroker(stack, load, messages) {
  const child = spawn(path.join(programs, 'tests/bench_broker'),
    [path.join(stack.dir, 'broker/mosquitto.sock'), 'braid-sp', 'spBv1.0/#', messages].map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // it listens
  const before = cpuSeconds(stack.broker.pid);
  await load.run(messages);
  const said = JSON.parse((await lines.next()).value);
  if (said.messages < messages) throw new Error(`bare broker: ${said.messages} of ${messages} messages`);
  return { ...said, broker_us: ((cpuSeconds(stack.broker.pid) - before) * 1e6) / messages };
}
