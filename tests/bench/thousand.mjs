// thousand.mjs - many simulated TLS devices for minutes: is everything sent also stored, how long does
// a message take to a WebSocket frame, what does a device cost in memory, and how long until all is
// good again after everybody was disconnected at once (the broker is killed and started again).
//
//   node tests/bench/thousand.mjs [--devices 1000] [--seconds 300] [--json]

import fs from 'node:fs';
import { startStack, until, sleep } from '../e2e/lib/stack.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const devices = option('devices', 1000);
const seconds = option('seconds', 300);

const rssKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
// The broker is started through a shell or setpriv, which becomes it: same pid.
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];

const stack = await startStack({ devices: 0 });
try {
  const before = { broker: rssKb(stack.broker.pid), server: rssKb(stack.server.pid) };
  stack.makeSim(devices, {});
  const connecting = Date.now();
  await stack.sim.start();
  const connectMs = Date.now() - connecting;
  const good = async () => {
    const f = (await stack.api('GET', '/fleet')).body;
    return (f.by_status.online || 0) + (f.by_status.sleeping || 0) === devices;
  };
  await until(good, 120000, 'all devices good');
  const memory = {
    broker: (rssKb(stack.broker.pid) - before.broker) / devices,
    server: (rssKb(stack.server.pid) - before.server) / devices,
    simulator: rssKb(stack.sim.pid) / devices,
  };

  const ages = [];
  const live = await stack.live();
  live.messages = { push() {} }; // keep nothing: this runs for minutes
  live.socket.on('message', (data) => {
    const now = Date.now();
    for (const op of JSON.parse(data)) {
      for (const [, series, ts] of op.values || []) if (series.startsWith('spb:')) ages.push(now - ts);
    }
  });
  const endpoints = (await stack.api('GET', '/devices?limit=50')).body.items.map((d) => d.endpoint);
  live.send({ op: 'subscribe', id: 'l', topic: 'device', endpoints });
  await sleep(3000);
  ages.length = 0;
  const messagesBefore = await stack.metric('braid_sparkplug_messages_total');
  const from = Date.now();
  await sleep(seconds * 1000);
  const rate = ((await stack.metric('braid_sparkplug_messages_total')) - messagesBefore) / ((Date.now() - from) / 1000);
  ages.sort((a, b) => a - b);

  // Everybody at once, and back.
  await stack.broker.kill('SIGKILL');
  await sleep(500);
  await stack.broker.start();
  const back = Date.now();
  await until(good, 180000, 'all devices good again');
  const backMs = Date.now() - back;

  // What was sent must be there: the simulator ends in order and says what it sent.
  await stack.tell('stats');
  await stack.sim.stop();
  const said = /sim\.stats .*metrics_sent=(\d+) .*dropped=(\d+)/.exec(stack.sim.log());
  await sleep(1500);
  const result = {
    devices,
    messages_per_s: Math.round(rate),
    connect_ms: connectMs,
    frame_ms: { n: ages.length, p50: percentile(ages, 50), p99: percentile(ages, 99), max: ages.at(-1) },
    kb_per_device: memory,
    all_good_again_ms: backMs,
    simulator_metrics_sent: Number(said?.[1]),
    simulator_dropped: Number(said?.[2]),
    received: await stack.metric('braid_sparkplug_metrics_total'),
    samples_accepted: await stack.metric('braid_samples_total{stage="accepted"}'),
    samples_stored: await stack.metric('braid_samples_total{stage="stored"}'),
    sequence_lost: await stack.metric('braid_sequence_lost_total'),
    dropped: await stack.metric('braid_dropped_total'),
  };
  if (process.argv.includes('--json')) console.log(JSON.stringify(result));
  else console.log(result);
} finally {
  await stack.stop();
}
