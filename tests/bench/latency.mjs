// latency.mjs - how long a device's word takes: to the database, to a REST answer, to a WebSocket frame,
// at 10, 50 and 80 % of the rate the machine can store; and a command's round trip beside the least it
// could take (an MQTT echo through the same broker and two commits).
//
//   node tests/bench/latency.mjs [--rates 10,50,80] [--seconds 15] [--commands 60] [--quick] [--json]
//   node tests/bench/latency.mjs --devices 200 [--seconds 30] [--json]
//
// With --devices: the same ways under so many simulated devices that speak once a second each. The
// broker's share of each is what the same message takes to a plain subscriber.

import { startStack, until, sleep } from '../e2e/lib/stack.mjs';
import { createRequire } from 'node:module';
import { Load, born, honestPostgres, median, options, percentile, settled, storedUntil, table } from './lib/load.mjs';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));
const codec = require('sparkplug-payload').get('spBv1.0');

const usage = 'node tests/bench/latency.mjs [--rates 10,50,80] [--seconds 15] [--commands 60] [--devices N] [--quick] [--json]';
const o = options(usage, { rates: '10,50,80', seconds: 0, commands: 60, devices: 0, quick: false, json: false });
const devices = o.devices;
const seconds = o.seconds || (devices ? 30 : o.quick ? 5 : 15);

const clock = () => performance.now();
const patience = 20000; // ms until a value counts as missed

// The device that is watched: a node of its own, reporting a number and a text.
async function startProbe(stack) {
  const client = await stack.device('bench-node');
  const topic = (type) => `spBv1.0/bench/${type}/bench-node`;
  let seq = 0;
  const publish = (type, metrics) => client.publishAsync(topic(type),
    Buffer.from(codec.encodePayload({ timestamp: Date.now(), seq: seq++ % 256, metrics })));
  client.on('message', (t, payload) => { // obeys at once
    for (const m of codec.decodePayload(payload).metrics) {
      if (m.name === 'Setpoint') publish('NDATA', [{ name: 'Setpoint', type: 'Int32', value: Number(m.value) }]);
    }
  });
  await client.subscribeAsync(topic('NCMD'), { qos: 1 });
  await publish('NBIRTH', [{ name: 'bdSeq', type: 'Int64', value: 0 }, { name: 'V', type: 'Int32', value: -1 },
    { name: 'T', type: 'String', value: '-1' }, { name: 'Setpoint', type: 'Int32', value: 0 }]);
  await until(() => stack.api('GET', '/devices/bench-node').then((r) => r.body.sparkplug?.state === 'born'));
  const listener = await stack.console();
  const probe = { say: (i) => publish('NDATA', [{ name: 'V', type: 'Int32', value: i }, { name: 'T', type: 'String', value: `${i}` }]) };
  listener.on('message', (t, payload) => {
    const at = clock();
    if (codec.decodePayload(payload).metrics.some((m) => m.name === 'V' && m.value === probe.watched?.value)) probe.watched.heard(at);
  });
  await listener.subscribeAsync(topic('NDATA'), { qos: 0 });
  return probe;
}

// A live view of the probe.
async function startView(stack, probe) {
  const live = await stack.live();
  live.messages = { push() {} };
  live.socket.on('message', (data) => {
    const at = clock();
    for (const op of JSON.parse(data)) {
      for (const [, series, , value] of op.values || []) {
        if (series === 'spb:/V' && probe.watched?.value === value) probe.watched.seen(at);
      }
    }
  });
  live.send({ op: 'subscribe', id: 'bench', topic: 'device', endpoints: ['bench-node'] });
}

async function waitFor(check, ms) {
  const end = clock() + ms;
  while (clock() < end) {
    if (await check()) return clock();
    await sleep(3);
  }
  return null;
}

// Publishes one value after the other and looks for each on all ways at once.
async function watch(stack, probe, db, from, runSeconds) {
  const took = { broker: [], stored: [], rest: [], frame: [] };
  let missed = 0;
  const [{ id }] = (await db.query("SELECT id FROM series WHERE key = 'spb:/T' AND device_id = (SELECT id FROM device WHERE endpoint = 'bench-node')")).rows;
  const end = clock() + runSeconds * 1000;
  for (let i = from; clock() < end; i++) {
    const at = clock();
    probe.watched = { value: i };
    const told = (how) => new Promise((resolve) => {
      probe.watched[how] = resolve;
      setTimeout(() => resolve(null), patience).unref();
    });
    const [broker, frame] = [told('heard'), told('seen')];
    await probe.say(i);
    const ways = {
      broker,
      stored: waitFor(async () => (await db.query('SELECT 1 FROM text_sample WHERE series_id = $1 AND value = $2', [id, `${i}`])).rowCount, patience),
      rest: waitFor(async () => (await stack.api('GET', '/devices/bench-node')).body.metrics.some((m) => m.name === 'V' && m.value >= i), patience),
      frame,
    };
    for (const [name, way] of Object.entries(ways)) {
      const done = await way;
      if (done === null) missed++;
      else took[name].push(done - at);
    }
    await sleep(Math.random() * 60);
  }
  const shown = Object.fromEntries(Object.entries(took).map(([name, v]) =>
    [name, { n: v.length, p50: percentile(v, 50), p99: percentile(v, 99) }]));
  return { ...shown, missed };
}

// POST to answer, beside an echo by the same kind of client and two commits.
async function roundTrips(stack, db) {
  const asker = await stack.console();
  const echoer = await stack.console();
  echoer.on('message', (t, payload) => echoer.publish('bench/answer', payload));
  await echoer.subscribeAsync('bench/ask');
  await asker.subscribeAsync('bench/answer');
  await db.query('CREATE TABLE IF NOT EXISTS bench_commit (n integer)');
  const echo = [];
  const commit = [];
  const command = [];
  for (let i = 0; i < o.commands; i++) {
    let at = clock();
    const answered = new Promise((resolve) => asker.once('message', resolve));
    asker.publish('bench/ask', `${i}`, { qos: 1 });
    await answered;
    echo.push(clock() - at);
    at = clock();
    await db.query('INSERT INTO bench_commit VALUES ($1)', [i]);
    commit.push(clock() - at);
    at = clock();
    const { status, body } = await stack.api('POST', '/devices/bench-node/commands?wait=5', { op: 'metric-write', metric: 'Setpoint', value: 1000 + i });
    if (status !== 200) throw new Error(`command: ${status} ${JSON.stringify(body)}`);
    command.push(clock() - at);
  }
  const least = median(echo) + 2 * median(commit);
  return { command_ms: median(command), echo_ms: median(echo), commit_ms: median(commit), ratio: median(command) / least };
}

// Rows of [name, messages a second, what watch() saw].
function ways(rows) {
  const ms = (w) => `${w.p50.toFixed(0)} / ${w.p99.toFixed(0)}`;
  table([['p50 / p99 in ms', 'messages/s', 'broker alone', 'stored', 'REST answer', 'WebSocket frame', 'missed'],
    ...rows.map(([name, rate, l]) => [name, Math.round(rate), ms(l.broker), ms(l.stored), ms(l.rest), ms(l.frame), l.missed])]);
}

async function underDevices() {
  const stack = await startStack({ devices, socket: true, postgres: honestPostgres });
  try {
    await until(async () => (await stack.api('GET', '/fleet')).body.sparkplug_online === devices, 120000);
    const probe = await startProbe(stack);
    await startView(stack, probe);
    await sleep(2000); // the births have been stored
    const received = () => stack.metric('braid_sparkplug_messages_total');
    const before = await received();
    const from = Date.now();
    const seen = await stack.withClient('braid_owner', 'braid', (db) => watch(stack, probe, db, 0, seconds));
    const rate = ((await received()) - before) / ((Date.now() - from) / 1000);
    const result = { devices, messages_per_s: Math.round(rate), ...seen };
    if (o.json) console.log(JSON.stringify(result));
    else ways([[`${devices} devices`, rate, seen]]);
  } finally {
    await stack.stop();
  }
}

async function underLoad() {
  const stack = await startStack({ devices: 0, socket: true, postgres: honestPostgres });
  try {
    const probe = await startProbe(stack);
    const load = await Load.start(stack, { nodes: 100, metrics: 5 });
    await born(stack, 101);
    const messages = o.quick ? 60000 : 200000;
    const before = await settled(stack);
    const flood = load.run(messages);
    const done = await storedUntil(stack, before + messages * 5);
    const highest = messages / ((done - (await flood).from_ms) / 1000);
    await startView(stack, probe);
    const result = { bench: 'latency', highest_messages_per_s: highest, loads: [] };
    await stack.withClient('braid_owner', 'braid', async (db) => {
      result.command = await roundTrips(stack, db);
      let from = 0;
      for (const percent of o.rates.split(',').map(Number)) {
        const rate = (highest * percent) / 100;
        const sending = load.run(Math.round(rate * (seconds + 1)), rate);
        await sleep(500);
        const seen = await watch(stack, probe, db, from, seconds);
        from += 100000;
        const sent = await sending;
        result.loads.push({ percent, asked_per_s: rate, sent_per_s: sent.messages_per_s, ...seen });
        await settled(stack);
      }
    });
    await load.stop();
    if (o.json) {
      console.log(JSON.stringify(result));
      return;
    }
    console.log(`highest rate: ${Math.round(highest)} messages/s of 5 metrics`);
    ways(result.loads.map((l) => [`${l.percent} %`, l.sent_per_s, l]));
    const c = result.command;
    console.log(`command round trip p50 ${c.command_ms.toFixed(1)} ms; MQTT echo ${c.echo_ms.toFixed(1)} ms + two commits of ${c.commit_ms.toFixed(1)} ms: ${c.ratio.toFixed(2)} (target at most 2.5)`);
  } finally {
    await stack.stop();
  }
}

if (devices) await underDevices();
else await underLoad();
