// thousand.mjs - many simulated TLS devices for minutes: is everything sent also stored, how long does
// a message take to a WebSocket frame, what does a device cost in memory, and how long until all is
// good again after everybody was disconnected at once (the broker is killed and started again).
//
// The accounts are closed before the broker is killed: the simulator ends in order and says what it
// sent. Messages sent = received + missing in sequence gaps; values sent = values received; samples
// accepted = stored + refused. Then it starts anew, and the broker is killed under it.

import fs from 'node:fs';
import { startStack, until, sleep } from '../e2e/lib/stack.mjs';
import { options, percentile, settled, table } from './lib/load.mjs';

const usage = `node tests/bench/thousand.mjs [--devices 1000] [--seconds 300] [--interval 1] [--quick] [--json]
  --devices N    simulated devices, one TLS connection each
  --seconds S    how long they report before the accounts are closed
  --interval S   seconds between two messages of a device
  --quick        100 devices for 10 s`;
const o = options(usage, { devices: 1000, seconds: 300, interval: 1, quick: false, json: false });
if (o.quick) Object.assign(o, { devices: Math.min(o.devices, 100), seconds: Math.min(o.seconds, 10) });
const { devices } = o;
const begun = Date.now();
const say = (text) => o.json || console.error(`${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`);

const rssKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

const stack = await startStack({ devices: 0, config: { 'devices.admission': 'open' } });
const sum = async (...names) => {
  let total = 0;
  for (const name of names) total += (await stack.metric(name)) ?? 0;
  return total;
};
const kinds = ['NDATA', 'DDATA', 'NBIRTH', 'DBIRTH'].map((kind) => `braid_sparkplug_messages_total{kind="${kind}"}`);
const counters = async () => ({
  received: await sum(...kinds),
  missing: await sum('braid_sequence_lost_total{how="missing"}'),
  unusable: await sum('braid_sequence_lost_total{how="unusable"}'),
  values: await sum('braid_sparkplug_metrics_total'),
  accepted: await sum('braid_samples_total{stage="accepted"}'),
  stored: await sum('braid_samples_total{stage="stored"}'),
  refused: await sum('braid_samples_total{stage="refused"}'),
});
const goodOnes = async () => {
  const f = (await stack.api('GET', '/fleet')).body;
  return (f.by_status.online || 0) + (f.by_status.sleeping || 0);
};
// allGood: when nobody is missed any more; says how far it is every ten seconds.
const allGood = async (ms) => {
  let next = Date.now() + 10000;
  await until(async () => {
    const n = await goodOnes();
    if (Date.now() > next) {
      next += 10000;
      say(`${n} of ${devices} are good`);
    }
    return n === devices;
  }, ms, 'all devices good');
};
const start = async () => {
  const from = Date.now();
  stack.sim.spawn(); // that it says it is ready comes before that
  await allGood(60000 + devices * 60);
  return Date.now() - from;
};
const said = () => {
  const all = [...stack.sim.log().matchAll(/sim\.stats .*/g)];
  return Object.fromEntries([...all.at(-1)[0].matchAll(/(\w+)=(\d+)/g)].map(([, key, n]) => [key, Number(n)]));
};

try {
  const before = { broker: rssKb(stack.broker.pid), server: rssKb(stack.server.pid) };
  stack.makeSim(devices, { interval: o.interval });
  say(`${devices} unknown devices connect`);
  const connectMs = await start(); // unknown devices are admitted at 100 a second
  say('they are told to go');
  await stack.sim.stop();
  await settled(stack);
  const base = await counters();
  say('they come back, known now');
  const againMs = await start(); // the accounts begin here, with devices that are known
  await sleep(2000);
  const memory = {
    braidd: (rssKb(stack.server.pid) - before.server) / devices,
    mosquitto: (rssKb(stack.broker.pid) - before.broker) / devices,
    simulator: rssKb(stack.sim.pid) / devices,
  };

  const ages = [];
  const live = await stack.live();
  live.messages = { push() {} }; // keep nothing: this runs for minutes
  live.socket.on('message', (data) => {
    const now = Date.now();
    for (const op of JSON.parse(data)) {
      for (const [endpoint, series, ts] of op.values || []) {
        if (series.startsWith('spb:')) ages.push({ ms: now - ts, of: `${endpoint} ${series}` });
      }
    }
  });
  const endpoints = (await stack.api('GET', '/devices?limit=50')).body.items.map((d) => d.endpoint);
  live.send({ op: 'subscribe', id: 'l', topic: 'device', endpoints });
  await sleep(3000);
  ages.length = 0;
  say(`all good; measuring for ${o.seconds} s`);
  const messagesBefore = await sum(...kinds);
  const from = Date.now();
  await sleep(o.seconds * 1000);
  const rate = ((await sum(...kinds)) - messagesBefore) / ((Date.now() - from) / 1000);
  const frames = ages.map((a) => a.ms);
  const slowest = ages.reduce((worst, a) => (a.ms > worst.ms ? a : worst), { ms: 0 });

  // Closing the accounts.
  say('the accounts are closed');
  await stack.sim.stop();
  await settled(stack);
  const sent = said();
  const end = await counters();
  const { received, missing, unusable, values, accepted, stored, refused } =
    Object.fromEntries(Object.keys(end).map((key) => [key, end[key] - base[key]]));
  const messages = sent.data_sent + sent.births_sent;
  const accounts = {
    messages: { sent: messages, received, counted_lost: missing, unaccounted: messages - received - missing },
    values: { sent: sent.metrics_sent, received: values, in_unusable_messages: unusable, unaccounted: sent.metrics_sent - values },
    samples: { accepted, stored, counted_refused: refused, unaccounted: accepted - stored - refused },
  };

  // Everybody at once, and back.
  say('they come back once more, for the broker to be killed under them');
  await start();
  say('the broker is killed');
  await stack.broker.kill('SIGKILL');
  await sleep(500);
  await stack.broker.start();
  const back = Date.now();
  await until(async () => (await goodOnes()) < devices, 10000, 'somebody is missed').catch(() => {});
  await allGood(120000 + devices * 60);
  const backMs = Date.now() - back;

  const result = {
    bench: 'thousand', devices, seconds: o.seconds, messages_per_s: Math.round(rate), connect_ms: connectMs, connect_again_ms: againMs,
    frame_ms: { n: frames.length, p50: percentile(frames, 50), p99: percentile(frames, 99), max: slowest.ms, slowest: slowest.of },
    kb_per_device: memory, accounts, all_good_again_ms: backMs,
  };
  if (o.json) {
    console.log(JSON.stringify(result));
  } else {
    console.log(`${devices} devices, ${result.messages_per_s} messages/s for ${o.seconds} s; all good after ${(connectMs / 1000).toFixed(1)} s, as known ones ${(againMs / 1000).toFixed(1)} s`);
    table([
      ['', 'sent', 'received', 'counted lost', 'unaccounted'],
      ['messages', messages, received, missing, accounts.messages.unaccounted],
      ['values', sent.metrics_sent, values, '-', accounts.values.unaccounted],
      ['samples (accepted, stored)', accepted, stored, refused, accounts.samples.unaccounted],
    ]);
    console.log();
    const f = result.frame_ms;
    table([
      ['', 'p50', 'p99', 'max', 'of'],
      ['device to WebSocket frame, ms', f.p50, f.p99, f.max, f.slowest],
    ]);
    console.log();
    table([
      ['', 'braidd', 'mosquitto', 'simulator'],
      ['kB per device', ...['braidd', 'mosquitto', 'simulator'].map((name) => memory[name].toFixed(1))],
    ]);
    console.log(`\nall disconnected at once: all good again after ${(backMs / 1000).toFixed(1)} s`);
  }
  process.exitCode = accounts.messages.unaccounted || accounts.samples.unaccounted ? 1 : 0;
} finally {
  await stack.stop();
}
