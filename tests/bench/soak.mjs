// soak.mjs - for minutes at half of what the machine can do, with everything that goes wrong: is every
// loss accounted for, and does memory stay flat?
//
// First the maximum is measured (or --rate says it): what is stored of a burst, over the time until
// the last of it is. Half of that runs in laps. Five live clients read for a moment every few seconds
// and come back when they are cut off. PostgreSQL is stopped in the middle of the second lap and comes back
// while it runs. Between the laps the broker is stopped and started, with simulated devices on it that
// must come back by themselves; the load generator stands still then, so that no message of it is on
// its way. What it sent must be stored or counted, to the sample; of the devices' messages only those
// that were inside the broker when it ended may be missing, and they are told. How memory grows is
// told for the time after the first lap, for the broker after its restart.

import fs from 'node:fs';
import { startStack, until, sleep } from '../e2e/lib/stack.mjs';
import { Load, born, honestPostgres, options, settled, storedSamples, storedUntil, table } from './lib/load.mjs';

const usage = `node tests/bench/soak.mjs [--minutes 20] [--rate METRICS/S] [--metrics 20] [--nodes 100] [--devices 20] [--quick] [--json]
  --rate     metrics a second; 0: half of the maximum, which is measured first
  --quick    less than a minute, at 10,000 metrics a second`;
const o = options(usage, { minutes: 20, rate: 0, metrics: 20, nodes: 100, devices: 20, slow: 5, quick: false, json: false });
if (o.quick) Object.assign(o, { minutes: 0.5, rate: o.rate || 10000, nodes: 20, devices: 5 });
const say = (...words) => o.json || console.log(...words);

const stack = await startStack({ devices: 0, postgres: honestPostgres });
const sum = async (...names) => {
  let total = 0;
  for (const name of names) total += (await stack.metric(name)) ?? 0;
  return total;
};
const fleet = async () => (await stack.api('GET', '/fleet')).body;
const rssMb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

// Samples of the devices named so, numbers and texts, in one snapshot. Packed ones are counted by
// what their rows say they hold: to unpack hundreds of millions would take longer than the soak.
const rowsOf = async (like) => {
  const [{ n }] = await stack.sql(
    `SELECT coalesce(sum(n), 0) AS n FROM (SELECT series_id, count(*) AS n FROM landed GROUP BY 1
       UNION ALL SELECT series_id, count(*) FROM text_samples GROUP BY 1
       UNION ALL SELECT series_id, sum(n) FROM piece GROUP BY 1
       UNION ALL SELECT series_id, sum(n) FROM chunk GROUP BY 1) x
     JOIN series r ON r.id = x.series_id JOIN device d ON d.id = r.device_id WHERE d.endpoint LIKE $1`, [like]);
  return Number(n);
};

// Least squares: how much a series of [seconds, MB] grows in an hour.
function slope(points) {
  const n = points.length;
  if (n < 3) return 0;
  const mean = (i) => points.reduce((s, p) => s + p[i], 0) / n;
  const [mx, my] = [mean(0), mean(1)];
  const over = points.reduce((s, [x, y]) => s + (x - mx) * (y - my), 0);
  return (3600 * over) / points.reduce((s, [x]) => s + (x - mx) ** 2, 0);
}

// The lowest point of each of `parts` equal parts: packing takes memory and gives it back all the time,
// what is never given back lifts the floor.
const floor = (points, parts = 12) => Array.from({ length: parts }, (_, i) =>
  points.slice(Math.floor((i * points.length) / parts), Math.floor(((i + 1) * points.length) / parts)))
  .filter((part) => part.length)
  .map((part) => part.reduce((low, p) => (p[1] < low[1] ? p : low)));

// A live client that hardly reads, and comes back when it is cut off.
const slow = { over: false, connections: 0 };
async function slowClient(endpoints) {
  while (!slow.over) {
    const live = await stack.live().catch(() => null);
    if (live) {
      slow.connections++;
      live.messages = { push() {} };
      live.send({ op: 'subscribe', id: 'all', topic: 'fleet' });
      live.send({ op: 'subscribe', id: 'values', topic: 'device', endpoints });
    }
    do {
      live?.socket._socket?.pause();
      await sleep(4000);
      live?.socket._socket?.resume();
      await sleep(100);
    } while (!slow.over && live && live.socket.readyState === live.socket.OPEN);
    await live?.close();
  }
}

const memory = { braidd: [], mosquitto: [] };
const began = Date.now();
const sampler = setInterval(() => {
  const at = (Date.now() - began) / 1000;
  try {
    memory.braidd.push([at, rssMb(stack.server.pid), stack.server.pid]);
    memory.mosquitto.push([at, rssMb(stack.broker.pid), stack.broker.pid]);
  } catch {
    // between two brokers
  }
}, 1000);

const laps = [];
const ofDevices = o.devices * 50; // samples that simulated devices store while a lap is waited for
async function lap(name, messages, rate, meanwhile) {
  const load = await Load.start(stack, { nodes: o.nodes, metrics: o.metrics, tag: 'load' });
  await born(stack, o.nodes, ofDevices);
  const before = await storedSamples(stack);
  const run = load.run(messages, rate);
  await meanwhile?.(before);
  const report = await run;
  await load.stop();
  await settled(stack, ofDevices);
  laps.push({ name, ...report });
  say(`  ${name}: ${report.metrics} samples sent`);
  return report;
}

try {
  let rate = o.rate;
  if (!rate) {
    const messages = Math.round(3000000 / o.metrics);
    let done;
    const report = await lap('as fast as it goes', messages, 0, async (before) => {
      done = await storedUntil(stack, before + messages * o.metrics);
    });
    if (!done) throw new Error('the burst was not stored whole');
    rate = Math.round((report.metrics / (done - report.from_ms)) * 500);
    say(`  at most ${rate * 2} metrics a second, so the laps have ${rate}`);
  }
  stack.makeSim(o.devices, {});
  await stack.sim.start();
  await until(async () => (await fleet()).sparkplug_online >= o.devices, 60000);
  const endpoints = (await stack.api('GET', '/devices?limit=100')).body.items.map((d) => d.endpoint);
  const slowOnes = Array.from({ length: o.slow }, () => slowClient(endpoints));

  const seconds = (o.minutes * 60) / 3;
  const perLap = Math.round((rate * seconds) / o.metrics);
  const messageRate = rate / o.metrics;
  await lap('first lap', perLap, messageRate);
  const steadyFrom = (Date.now() - began) / 1000;

  let outage;
  await lap('second lap, PostgreSQL restarts', perLap, messageRate, async () => {
    await sleep(seconds * 250);
    await stack.postgres.stop();
    await sleep(Math.min(20000, seconds * 250));
    outage = { spooled_bytes: await sum('braid_spool_bytes') };
    await stack.postgres.start();
    await until(async () => (await fleet()).database.state === 'up', 30000);
  });

  const simSaid = async () => stack.tell('stats');
  const countSim = async () => {
    const s = await simSaid();
    return s.data_sent + s.births_sent;
  };
  const kinds = ['NDATA', 'DDATA', 'NBIRTH', 'DBIRTH'].map((kind) => `braid_sparkplug_messages_total{kind="${kind}"}`);
  const good = async () => {
    const f = await fleet();
    return f.sparkplug_online >= o.devices && f.broker.sparkplug === 'up' && f.broker.lwm2m === 'up';
  };
  await stack.broker.stop();
  await stack.broker.start();
  const from = Date.now();
  await until(good, 60000, 'the devices are back after the broker');
  const backMs = Date.now() - from;
  await lap('third lap, after the broker restarted', perLap, messageRate);
  clearInterval(sampler);
  slow.over = true;
  await Promise.all(slowOnes);

  // Closing the accounts.
  const simMessages = await countSim();
  await stack.sim.stop();
  await settled(stack);
  const stats = Object.fromEntries([...[...stack.sim.log().matchAll(/sim\.stats .*/g)].at(-1)[0].matchAll(/(\w+)=(\d+)/g)]
    .map(([, key, n]) => [key, Number(n)]));
  const births = laps.length * o.nodes * o.metrics; // every lap's nodes are born once
  const sent = laps.reduce((total, l) => total + l.metrics, 0) + births;
  const stored = await rowsOf('%load%');
  const refused = await sum('braid_samples_total{stage="refused"}');
  const lost = await sum('braid_sequence_lost_total');
  const accepted = await sum('braid_samples_total{stage="accepted"}');
  const allStored = await storedSamples(stack);
  const sentMessages = laps.reduce((total, l) => total + l.messages, 0) + laps.length * o.nodes * 2;
  const simSent = stats.data_sent + stats.births_sent;
  const received = await sum(...kinds);
  const result = {
    bench: 'soak', minutes: o.minutes, rate, laps: laps.map(({ name, messages, metrics }) => ({ name, messages, metrics })),
    load: { sent, stored, refused, lost_in_gaps: lost, unaccounted: sent - stored - refused - lost * o.metrics },
    samples: { accepted, stored: allStored, refused, unaccounted: accepted - allStored - refused },
    devices: { messages_sent: simSent, before_stop: simMessages,
      in_the_broker_when_it_ended: simSent + sentMessages - received - (await sum('braid_sequence_lost_total{how="missing"}')) },
    database_outage: outage, broker_back_ms: backMs,
    live: { slow_clients: o.slow, connections: slow.connections, resyncs: await sum('braid_live_resyncs_total') },
    memory: Object.fromEntries(Object.entries(memory).map(([name, points]) => {
      const steady = points.filter(([at, , pid]) => at >= steadyFrom && pid === points.at(-1)[2]);
      return [name, { first_mb: points[0][1], most_mb: Math.max(...points.map((p) => p[1])), last_mb: points.at(-1)[1],
        slope_mb_per_h: slope(steady), floor_slope_mb_per_h: slope(floor(steady)), slope_seconds: steady.at(-1)[0] - steady[0][0] }];
    })),
  };
  if (o.json) {
    console.log(JSON.stringify(result));
  } else {
    console.log();
    table([
      ['', 'sent', 'stored', 'counted lost', 'unaccounted'],
      ['samples of the load', sent, stored, refused + lost * o.metrics, result.load.unaccounted],
      ['all samples (accepted, stored)', accepted, allStored, refused, result.samples.unaccounted],
    ]);
    console.log(`\n${simSent} messages of ${o.devices} devices, ${result.devices.in_the_broker_when_it_ended} of them inside the broker when it ended`);
    console.log(`spool at the end of the outage ${(outage.spooled_bytes / 1e6).toFixed(1)} MB; devices back ${(backMs / 1000).toFixed(1)} s after the broker; ${o.slow} slow clients connected ${slow.connections} times, ${result.live.resyncs} resyncs\n`);
    table([
      ['memory, MB', 'first', 'most', 'last', 'slope per hour', 'of the floor', 'over seconds'],
      ...Object.entries(result.memory).map(([name, m]) =>
        [name, ...[m.first_mb, m.most_mb, m.last_mb, m.slope_mb_per_h, m.floor_slope_mb_per_h].map((n) => n.toFixed(1)), m.slope_seconds.toFixed(0)]),
    ]);
  }
  process.exitCode = result.load.unaccounted || result.samples.unaccounted ? 1 : 0;
} finally {
  slow.over = true;
  clearInterval(sampler);
  await stack.stop();
}
