// Live views over the WebSocket: snapshots, deltas, who may listen, and that a client which does
// not read harms nobody.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { jsonDevice } from './lib/devices.mjs';
import { atMost, withStack, sleep, until } from './lib/stack.mjs';

const LIMIT = 6;

withStack('live views', { config: { 'http.live_clients': LIMIT, 'http.workers': 4, 'http.trusted_proxies': '127.0.0.1' } }, (stack) => {

const address = () => `ws://127.0.0.1:${stack.ports.http}/api/v1/live`;

async function device(name, answers) {
  const made = await jsonDevice(stack, name, answers);
  await made.say('reg', { lifetime: 3600, version: '1.2', objects: { 3: { 0: { 0: 'Acme' } }, 3303: { 0: { 5700: 20 } } } });
  await made.ack('reg');
  return { ...made, temperature: (value) => made.say('send', { values: [{ path: '/3303/0/5700', value }] }) };
}

// The HTTP status an upgrade is refused with, 101 if it is not.
function knock(options, protocols = []) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address(), protocols, options);
    socket.once('unexpected-response', (request, response) => {
      response.resume();
      resolve(response.statusCode);
    });
    socket.once('open', () => socket.close() || resolve(101));
    socket.once('error', reject);
  });
}

test('a fleet subscription starts with all devices and goes on with what changes', async () => {
  await device('live-1');
  const live = await stack.live();
  const snapshot = await live.subscribe('f', 'fleet');
  assert.equal(snapshot.op, 'snapshot');
  assert.ok(snapshot.done);
  assert.ok(snapshot.devices.some((d) => d.endpoint === 'live-1' && d.status === 'online' && d.sentence));
  const heard = live.next((m) => m.id === 'f' && m.op === 'delta' && m.devices?.some((d) => d.endpoint === 'live-2'));
  await device('live-2');
  const delta = await heard;
  assert.ok(delta.ver > snapshot.ver);
  assert.equal(delta.devices.find((d) => d.endpoint === 'live-2').manufacturer, 'Acme');
  await live.close();
});

test('a device subscription brings its detail, its values and its events, and nothing of others', async () => {
  const mine = await device('live-mine');
  const other = await device('live-other');
  const live = await stack.live();
  const snapshot = await live.subscribe('d', 'device', { endpoints: ['live-mine'] });
  const detail = snapshot.devices.find((d) => d.endpoint === 'live-mine');
  assert.ok(detail.resources.some((r) => r.path === '/3303/0/5700' && r.value === 20));
  const value = live.next((m) => m.values?.some((v) => v[1] === 'lwm2m:/3303/0/5700' && v[3] === 33.5));
  await other.temperature(99);
  await mine.temperature(33.5);
  const [endpoint, , ts, , quality] = (await value).values.at(-1);
  assert.equal(endpoint, 'live-mine');
  assert.equal(quality, 'good');
  assert.ok(Math.abs(ts - Date.now()) < 10000);
  const event = live.next((m) => m.events?.length);
  await mine.say('dereg', {});
  assert.ok((await event).events.every((e) => e.endpoint === 'live-mine' && e.text));
  assert.ok(!JSON.stringify(live.messages).includes('live-other'));
  await live.close();
});

test('what changed before a subscription is in its snapshot and does not come again as news', async () => {
  const d = await device('live-quiet');
  const first = await stack.live();
  const detail = (await first.subscribe('d', 'device', { endpoints: ['live-quiet', 'live-quiet'] })).devices;
  assert.equal(detail.length, 1, 'named twice, shown once');
  assert.ok(detail[0].resources.some((r) => r.path === '/3/0/0' && r.value === 'Acme'));
  const heard = first.next((m) => m.values?.length, 15000);
  await d.temperature(21);
  assert.deepEqual((await heard).values.map((v) => [v[1], v[3]]), [['lwm2m:/3303/0/5700', 21]]);

  // Somebody else who comes takes no news away from the first.
  const again = first.next((m) => m.values?.some((v) => v[3] === 22), 15000);
  await d.temperature(22);
  const second = await stack.live();
  await second.subscribe('d', 'device', { endpoints: ['live-quiet'] });
  await again;
  await first.close();
  await second.close();
});

test('commands and the timeline are followed fleet-wide', async () => {
  await device('live-cmd', { read: { code: '2.05', values: [] } });
  const live = await stack.live();
  assert.deepEqual((await live.subscribe('c', 'commands')).devices, []);
  assert.deepEqual((await live.subscribe('t', 'timeline')).devices, []);
  const done = live.next((m) => m.id === 'c' && m.commands?.some((c) => c.state === 'succeeded'));
  const event = live.next((m) => m.id === 't' && m.events?.some((e) => e.endpoint === 'live-cmd'));
  const posted = await stack.api('POST', '/devices/live-cmd/commands?wait=5', { op: 'read', path: '/3/0/0' });
  const told = (await done).commands.find((c) => c.state === 'succeeded');
  assert.equal(told.id, posted.body.id);
  assert.ok(told.by, 'who asked for it');
  assert.equal(told.by, (await stack.api('GET', `/commands/${told.id}`)).body.by);
  assert.deepEqual(Object.keys(told).sort(), Object.keys(posted.body).sort(), 'the same as by REST');
  await event;
  await live.close();
});

test('after unsubscribe nothing more comes; the same id may be used again', async () => {
  const d = await device('live-quiet');
  const live = await stack.live();
  await live.subscribe('q', 'device', { endpoints: ['live-quiet'] });
  live.send({ op: 'unsubscribe', id: 'q' });
  const next = live.next((m) => m.op === 'error'); // messages are taken in order
  live.send({ op: 'unsubscribe', id: 'q' });
  assert.equal((await next).code, 'no_subscription');
  const before = live.messages.length;
  await d.temperature(1);
  await sleep(500);
  assert.deepEqual(live.messages.slice(before).filter((m) => m.op !== 'ping'), []);
  assert.equal((await live.subscribe('q', 'device', { endpoints: ['live-quiet'] })).op, 'snapshot');
  await live.close();
});

test('frames come at most every 100 ms and join what happened between', async () => {
  const d = await device('live-fast');
  const live = await stack.live();
  await live.subscribe('v', 'device', { endpoints: ['live-fast'] });
  const frames = [];
  live.socket.on('message', () => frames.push(Date.now()));
  const last = live.next((m) => m.values?.some((v) => v[3] === 199));
  const from = Date.now();
  for (let i = 0; i < 200; i++) await d.temperature(i);
  await last;
  const spanned = frames.at(-1) - from; // not since the first: a busy client reads several at once
  assert.ok(frames.length <= spanned / 80 + 2, `${frames.length} frames in ${spanned} ms`);
  await live.close();
});

test('who may not listen is refused before the handshake', async () => {
  assert.equal(await knock({}), 401);
  assert.equal(await knock({}, ['braid.v1', 'bearer.wrong']), 401);
  const login = await stack.api('POST', '/session', { username: 'admin', password: stack.password }, { token: null });
  const cookie = login.headers.get('set-cookie').split(';')[0];
  const here = `http://127.0.0.1:${stack.ports.http}`;
  assert.equal(await knock({ headers: { cookie, origin: 'http://evil.example' } }), 403);
  assert.equal(await knock({ headers: { cookie } }), 403);
  assert.equal(await knock({ headers: { cookie, origin: here } }), 101);
  assert.equal(await knock({ headers: { cookie, origin: 'https://braid.example:8443', 'x-forwarded-host': 'braid.example:8443' } }), 101);
  assert.equal(await knock({}, ['braid.v1', `bearer.${stack.token}`]), 101);
  assert.equal((await stack.api('GET', '/live')).status, 426);
});

test('wrong messages are answered with error ops and change nothing else', async () => {
  const live = await stack.live();
  const wrong = [
    ['not json', 'malformed'], ['[1]', 'malformed'], ['{"op":"subscribe"}', 'bad_id'],
    ['{"op":"subscribe","id":"x","topic":"moon"}', 'bad_topic'],
    ['{"op":"subscribe","id":"x","topic":"device"}', 'bad_endpoints'],
    ['{"op":"unsubscribe","id":"x"}', 'no_subscription'], ['{"op":"dance","id":"x"}', 'bad_op'],
    [`{"op":"subscribe","id":"${'x'.repeat(65)}","topic":"fleet"}`, 'bad_id'],
    [`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`, 'malformed'],
    [`{"op":"subscribe","id":"x","pad":"${'x'.repeat(70000)}"}`, 'too_large'],
  ];
  for (const [text, code] of wrong) {
    const answer = live.next((m) => m.op === 'error');
    live.socket.send(text);
    assert.equal((await answer).code, code, text.slice(0, 60));
  }
  assert.equal((await live.subscribe('f', 'fleet')).op, 'snapshot');
  await live.close();
});

test('one client more than allowed gets 503; REST lives on; places come free again', async () => {
  await until(async () => (await stack.metric('braid_live_clients')) === 0);
  const clients = [];
  for (let i = 0; i < LIMIT; i++) clients.push(await stack.live());
  assert.equal(await knock({}, ['braid.v1', `bearer.${stack.token}`]), 503);
  for (let i = 0; i < 8; i++) assert.equal((await stack.api('GET', '/fleet')).status, 200);
  for (const client of clients) await client.close();
  await until(async () => (await stack.metric('braid_live_clients')) === 0);
  await (await stack.live()).close();
});

test('a client that does not read is started over or cut off, and disturbs nobody', async () => {
  const d = await device('live-slow');
  const slow = await stack.live();
  const quick = await stack.live();
  await slow.subscribe('s', 'device', { endpoints: ['live-slow'] });
  await quick.subscribe('q', 'device', { endpoints: ['live-slow'] });
  const resyncs = await stack.metric('braid_live_resyncs_total');
  slow.socket.pause();
  const text = 'x'.repeat(60000);
  let worst = 0;
  let over = false;
  for (let i = 0; i < 400 && !over; i++) {
    const value = `${i} ${text}`;
    const heard = quick.next((m) => m.values?.some((v) => v[3] === value), 10000);
    for (const more of ['a', 'b', 'c']) await d.say('send', { values: [{ path: '/3/0/1', value: more + text }] });
    const from = Date.now();
    await d.say('send', { values: [{ path: '/3/0/0', value }] });
    await heard;
    worst = Math.max(worst, Date.now() - from);
    const dropped = await stack.metric('braid_dropped_total{queue="live"}');
    over = dropped > 0 || (await stack.metric('braid_live_clients')) === 1
      || (await stack.metric('braid_live_resyncs_total')) > resyncs;
  }
  assert.ok(over, 'the slow client was noticed');
  assert.ok(worst < atMost(3000), `the quick one waited ${worst} ms`);
  assert.equal((await stack.api('GET', '/fleet')).status, 200);
  slow.socket.terminate();
  await quick.close();
  await until(async () => (await stack.metric('braid_live_clients')) === 0, 20000);
});

test('SIGTERM ends open live views and the server in order', async () => {
  const live = await stack.live();
  await live.subscribe('f', 'fleet');
  const from = Date.now();
  const end = await stack.server.stop();
  assert.deepEqual(end, { code: 0, signal: null });
  assert.ok(Date.now() - from < atMost(10000), `${Date.now() - from} ms`);
  await live.closed;
  await stack.server.start();
});

});
