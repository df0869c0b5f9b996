// latency.mjs - device publish to WebSocket frame, with a fleet running: p50, p99 and the share of
// them that the broker alone takes (the same messages echoed to a plain subscriber).
//
//   node tests/bench/latency.mjs [--devices 200] [--seconds 30] [--json]

import { startStack, until, sleep } from '../e2e/lib/stack.mjs';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));
const codec = require('sparkplug-payload').get('spBv1.0');

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const devices = option('devices', 200);
const seconds = option('seconds', 30);

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
const summary = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return { n: sorted.length, p50: percentile(sorted, 50), p99: percentile(sorted, 99), max: sorted.at(-1) };
};

const stack = await startStack({ devices });
try {
  await until(async () => (await stack.api('GET', '/fleet')).body.sparkplug_online === devices, 120000);
  const topic = (type) => `spBv1.0/bench/${type}/bench-node`;
  const node = await stack.device('bench-node');
  const listener = await stack.console();
  const echo = [];
  const sentAt = new Map();
  listener.on('message', (t, payload) => {
    const value = codec.decodePayload(payload).metrics.find((m) => m.name === 'V')?.value;
    if (sentAt.has(value)) echo.push(performance.now() - sentAt.get(value));
  });
  await listener.subscribeAsync(topic('NDATA'), { qos: 0 });
  let seq = 0;
  const publish = (type, metrics) =>
    node.publishAsync(topic(type), Buffer.from(codec.encodePayload({ timestamp: Date.now(), seq: seq++ % 256, metrics })));
  await publish('NBIRTH', [{ name: 'bdSeq', type: 'Int64', value: 0 }, { name: 'V', type: 'Int32', value: -1 }]);
  await until(() => stack.api('GET', '/devices/bench-node').then((r) => r.body.sparkplug?.state === 'born'));
  const live = await stack.live();
  const frames = [];
  live.socket.on('message', (data) => {
    const now = performance.now();
    for (const op of JSON.parse(data)) {
      for (const [, series, , value] of op.values || []) {
        if (series === 'spb:/V' && sentAt.has(value)) frames.push(now - sentAt.get(value));
      }
    }
  });
  await live.subscribe('bench', 'device', { endpoints: ['bench-node'] });
  const before = await stack.metric('braid_sparkplug_messages_total');
  const from = Date.now();
  for (let i = 0; Date.now() < from + seconds * 1000; i++) {
    sentAt.set(i, performance.now());
    await publish('NDATA', [{ name: 'V', type: 'Int32', value: i }]);
    await sleep(130 + Math.random() * 40);
  }
  await sleep(500);
  const rate = ((await stack.metric('braid_sparkplug_messages_total')) - before) / ((Date.now() - from) / 1000);
  const result = { devices, messages_per_s: Math.round(rate), sent: sentAt.size, frame_ms: summary(frames), broker_ms: summary(echo) };
  result.frame_over_broker_p50 = result.frame_ms.p50 / result.broker_ms.p50;
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(result));
  } else {
    const row = (name, s) => console.log(`${name.padEnd(28)} n ${String(s.n).padStart(5)}  p50 ${s.p50.toFixed(1)} ms  p99 ${s.p99.toFixed(1)} ms  max ${s.max.toFixed(1)} ms`);
    console.log(`${devices} devices, ${result.messages_per_s} Sparkplug messages/s`);
    row('publish -> plain subscriber', result.broker_ms);
    row('publish -> WebSocket frame', result.frame_ms);
  }
} finally {
  await stack.stop();
}
