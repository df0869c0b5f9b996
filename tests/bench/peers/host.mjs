// host.mjs - a Sparkplug host as one writes it in Node: mqtt, sparkplug-payload, pg.
//
//   node host.mjs PORT SOCKET_DIR ROWS
//
// Learns names and aliases from births, stores the metrics of DATA messages in table bench_landing by
// INSERT ... SELECT unnest() in batches of 5,000, and ends when ROWS rows are in. Prints "ready" once
// it has subscribed and a JSON object at the end. Written to be compared with in
// tests/bench/ingest-peers.mjs.

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../e2e/package.json', import.meta.url));
const mqtt = require('mqtt');
const pg = require('pg');
const { decodePayload } = require('sparkplug-payload').get('spBv1.0');

const [port, socket, wanted] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const BATCH = 5000;
const series = new Map();
const aliases = new Map();
const fresh = () => ({ ids: [], times: [], values: [] });
let batch = fresh();
let stored = 0;
let writing = false;

const db = new pg.Client({ host: socket, user: 'braid_owner', database: 'braid' });
await db.connect();
const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);

async function write() {
  if (writing) return;
  writing = true;
  while (batch.ids.length >= BATCH || (batch.ids.length && stored + batch.ids.length >= wanted)) {
    const some = batch;
    batch = fresh();
    await db.query({
      name: 'store',
      text: `INSERT INTO bench_landing (series_id, ts, value, quality)
             SELECT s, to_timestamp(t / 1000.0), v, 0 FROM unnest($1::int[], $2::float8[], $3::float8[]) AS u (s, t, v)`,
      values: [some.ids, some.times, some.values],
    });
    stored += some.ids.length;
  }
  writing = false;
  if (stored < wanted) return;
  console.log(JSON.stringify({ stored, done_ms: Date.now() }));
  await client.endAsync(true);
  await db.end();
}

client.on('message', (topic, bytes) => {
  const [, , kind, ...rest] = topic.split('/');
  const scope = rest.join('/');
  if (!/(BIRTH|DATA)$/.test(kind)) return;
  const { metrics = [] } = decodePayload(bytes);
  if (kind.endsWith('BIRTH')) {
    for (const metric of metrics) {
      const key = `${scope}/${metric.name}`;
      if (!series.has(key)) series.set(key, series.size + 1);
      if (metric.alias !== undefined) aliases.set(`${scope}/${metric.alias}`, series.get(key));
    }
  } else if (kind.endsWith('DATA')) {
    for (const metric of metrics) {
      batch.ids.push(aliases.get(`${scope}/${metric.alias}`));
      batch.times.push(Number(metric.timestamp));
      batch.values.push(Number(metric.value));
    }
    if (batch.ids.length >= BATCH || stored + batch.ids.length >= wanted) write();
  }
});
await client.subscribeAsync('spBv1.0/#');
console.log('ready');
