// ingest.mjs - how much of what PostgreSQL can take arrives there through broker and server.
//
//   node tests/bench/ingest.mjs [--pairs 5] [--metrics 5,20] [--nodes 200] [--per-write 64] [--plain] [--quick] [--json]
//
// Sparkplug DDATA of 5 and of 20 metrics, as fast as the broker takes them, from nodes with certificates
// that write their messages in bursts, as gateways do; --per-write 1 is a fleet of devices that each
// say one thing at a time, --plain the console's listener with two connections for all nodes. After
// each run the bare COPY BINARY rate into a table of the same shape, best of 1, 2 and 4 connections;
// after the pairs the server stops, and the same messages go through the broker to somebody who only
// counts them: more than the bare broker forwards, nobody can store.
// Every sample that was sent must be in the table. Also: CPU per stored metric by process, without the
// generator, and whether packing keeps up: what is in closed landing tables has to be packed, what is
// in the open one (at most history.slot_rows) not yet.

import os from 'node:os';
import { startStack } from '../e2e/lib/stack.mjs';
import { Load, bareBroker, bareCopy, born, cpuOf, difference, honestPostgres, makeBareTable, median, options, settled,
  storedSamples, storedUntil, table } from './lib/load.mjs';

const usage = 'node tests/bench/ingest.mjs [--pairs 5] [--metrics 5,20] [--nodes 200] [--samples 2000000] [--per-write 64] [--plain] [--quick] [--json]';
const o = options(usage, { pairs: 5, metrics: '5,20', nodes: 200, samples: 2000000, 'per-write': 64, plain: false, quick: false, json: false });
// Each run fills whole landing tables (history.slot_rows): what they hold is due to be packed.
if (o.quick) Object.assign(o, { pairs: Math.min(o.pairs, 3), samples: Math.min(o.samples, 500000), nodes: Math.min(o.nodes, 100) });
const targets = { 5: { ratio: 0.5, cpu: 3 }, 20: { ratio: 0.6, cpu: 2 } };
const say = (...words) => o.json || console.log(...words);

// One run: all of it stored, or the shortfall told.
async function ours(stack, load) {
  const messages = Math.round(o.samples / load.metrics);
  const before = await settled(stack);
  const cpuBefore = cpuOf(stack);
  const sent = load.run(messages);
  const doneAt = await storedUntil(stack, before + messages * load.metrics);
  const report = await sent;
  const cpu = difference(cpuOf(stack), cpuBefore);
  const stored = (await storedSamples(stack)) - before;
  const seconds = ((doneAt ?? Date.now()) - report.from_ms) / 1000;
  return {
    sent: report.metrics, stored, seconds, metrics_per_s: stored / seconds, messages_per_s: messages / seconds,
    generator_us: report.cpu_us_per_metric,
    cpu_us: Object.fromEntries(Object.entries(cpu).map(([name, s]) => [name, (s * 1e6) / stored])),
  };
}

// What packing has taken up of all samples so far, how many lie in the open table and are not due yet,
// and how many tables wait.
async function packing(stack) {
  const [{ slot }] = await stack.sql("SELECT slot FROM landing_slot WHERE state = 'open'");
  const [{ open }] = await stack.sql(`SELECT count(*)::int AS open FROM landing_${Number(slot)}`);
  const packed = (await stack.metric('braid_packed_samples_total')) ?? 0;
  const stored = await storedSamples(stack);
  return { packed, stored, open, waiting: Math.max(0, stored - packed - open), backlog: await stack.metric('braid_landing_backlog_tables') };
}

// What the broker alone forwards, as often as there were pairs.
async function withoutServer(stack, load) {
  const runs = [];
  await stack.server.stop();
  for (let i = 0; i < o.pairs; i++) runs.push(await bareBroker(stack, load, Math.round(o.samples / load.metrics)));
  await stack.server.start();
  return { messages_per_s: median(runs.map((r) => r.messages_per_s)), broker_us: median(runs.map((r) => r.broker_us)), runs };
}

async function measure(stack, metrics) {
  const load = await Load.start(stack, { nodes: o.nodes, metrics, tls: !o.plain, args: ['--load-per-write', o['per-write']] });
  const pairs = [];
  const shape = await makeBareTable(stack);
  await born(stack, o.nodes);
  const countBefore = Number((await stack.sql('SELECT count(*) FROM samples'))[0].count);
  for (let i = 0; i < o.pairs; i++) {
    const mine = await ours(stack, load);
    const bare = await bareCopy(stack, o.samples);
    pairs.push({ ...mine, bare_per_s: bare.best, ratio: mine.metrics_per_s / bare.best, bare: bare.runs, packing: await packing(stack) });
    say(`  ${metrics} per message, pair ${i + 1}: ${Math.round(mine.metrics_per_s)} metrics/s stored, bare COPY ${bare.best} rows/s`);
  }
  const rows = Number((await stack.sql('SELECT count(*) FROM samples'))[0].count) - countBefore;
  const broker = await withoutServer(stack, load);
  await load.stop();
  const sent = pairs.reduce((sum, p) => sum + p.sent, 0);
  const of = (pick) => median(pairs.map(pick));
  const cpu = { braidd: of((p) => p.cpu_us.braidd), mosquitto: of((p) => p.cpu_us.mosquitto), postgres: of((p) => p.cpu_us.postgres) };
  const last = pairs.at(-1).packing;
  return {
    metrics_per_message: metrics, landing: shape, sent, stored: rows, lost: sent - rows,
    metrics_per_s: of((p) => p.metrics_per_s), messages_per_s: of((p) => p.messages_per_s), bare_per_s: of((p) => p.bare_per_s),
    ratio: of((p) => p.ratio), bare_broker: broker, broker_ratio: of((p) => p.messages_per_s) / broker.messages_per_s, cpu_us: cpu, cpu_us_total: cpu.braidd + cpu.mosquitto + cpu.postgres,
    generator_us: of((p) => p.generator_us),
    packing: { ...last, share: last.packed / last.stored, share_of_due: last.packed / (last.stored - last.open) }, pairs,
  };
}

const stack = await startStack({ devices: 0, socket: true, postgres: honestPostgres });
try {
  const results = [];
  for (const metrics of o.metrics.split(',').map(Number)) results.push(await measure(stack, metrics));
  if (o.json) {
    console.log(JSON.stringify({ bench: 'ingest', listener: o.plain ? 'plain' : 'tls', per_write: o['per-write'], results }));
  } else {
    const us = (v) => v.toFixed(2);
    table([
      ['metrics per message', ...results.map((r) => r.metrics_per_message)],
      ['messages/s', ...results.map((r) => Math.round(r.messages_per_s))],
      ['metrics/s stored', ...results.map((r) => Math.round(r.metrics_per_s))],
      ['bare COPY rows/s (best of 1, 2, 4)', ...results.map((r) => Math.round(r.bare_per_s))],
      ['stored / bare COPY', ...results.map((r) => r.ratio.toFixed(2))],
      ['  target at least', ...results.map((r) => targets[r.metrics_per_message]?.ratio ?? '-')],
      ['bare broker, messages/s to a reader', ...results.map((r) => Math.round(r.bare_broker.messages_per_s))],
      ['stored / bare broker', ...results.map((r) => r.broker_ratio.toFixed(2))],
      ['  most of bare COPY that the broker lets through',
        ...results.map((r) => ((r.bare_broker.messages_per_s * r.metrics_per_message) / r.bare_per_s).toFixed(2))],
      ['  most that the CPU allows: cores / (us together + generator)',
        ...results.map((r) => ((os.cpus().length * 1e6) / (r.cpu_us_total + r.generator_us) / r.bare_per_s).toFixed(2))],
      ['us CPU per stored metric: braidd', ...results.map((r) => us(r.cpu_us.braidd))],
      ['  mosquitto', ...results.map((r) => us(r.cpu_us.mosquitto))],
      ['  postgres', ...results.map((r) => us(r.cpu_us.postgres))],
      ['  together', ...results.map((r) => us(r.cpu_us_total))],
      ['  target at most', ...results.map((r) => targets[r.metrics_per_message]?.cpu ?? '-')],
      ['  generator (not counted)', ...results.map((r) => us(r.generator_us))],
      ['sent', ...results.map((r) => r.sent)],
      ['stored', ...results.map((r) => r.stored)],
      ['packed / stored, so far', ...results.map((r) => r.packing.share.toFixed(2))],
      ['  without the open landing table', ...results.map((r) => r.packing.share_of_due.toFixed(2))],
      ['  target at least', ...results.map(() => 0.9)],
      ['thousand samples due and not packed, after each pair', ...results.map((r) => r.pairs.map((p) => Math.round(p.packing.waiting / 1000)).join(' '))],
      ['landing table', ...results.map((r) => r.landing)],
    ]);
  }
} finally {
  await stack.stop();
}
