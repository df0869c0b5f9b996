// LwM2M over MQTT as devices in the field send it: the json dialect by hand, the oma dialect by
// hand, and what the operator sees of both.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { jsonDevice } from './lib/devices.mjs';
import { withStack, until } from './lib/stack.mjs';

withStack('LwM2M over MQTT', {}, (stack) => {

const verbatim =
  '{"endpoint":"device-temp-001","lifetime":3600,"version":"1.2","bindingMode":"UQ","objects":' +
  '{"3":{"0":{"0":"IoT Testing Corp","1":"SimDevice-temperature_sensor"}}}}';

const get = async (endpoint) => (await stack.api('GET', `/devices/${endpoint}`)).body;
const command = (endpoint, body, wait = 20) =>
  stack.api('POST', `/devices/${endpoint}/commands?wait=${wait}`, body);

test('the registration of the first prototypes works verbatim and fills the page', async () => {
  const console = await stack.console();
  await console.subscribeAsync('lwm2m/device-temp-001/ack/#', { qos: 1 });
  await console.publishAsync('lwm2m/device-temp-001/reg', verbatim, { qos: 1 });
  const device = await until(() => get('device-temp-001').then((d) => d.lwm2m && d));
  assert.equal(device.manufacturer, 'IoT Testing Corp');
  assert.equal(device.model, 'SimDevice-temperature_sensor');
  assert.equal(device.status, 'online');
  assert.equal(device.sparkplug, null);
  assert.match(device.sentence, /^Online over LwM2M; last heard .*\(register\)/);
  assert.deepEqual(device.resources.map((r) => [r.path, r.value, r.type, r.source]), [
    ['/3/0/0', 'IoT Testing Corp', 'string', 'registration'],
    ['/3/0/1', 'SimDevice-temperature_sensor', 'string', 'registration'],
  ]);
  const ack = await until(() => console.seen.find((m) => m.topic.endsWith('/ack/reg')));
  assert.deepEqual(JSON.parse(ack.payload.toString()), { code: '2.01', lifetime: 3600 });
  const rows = await stack.sql("SELECT 1 FROM device WHERE endpoint = 'device-temp-001'");
  assert.equal(rows.length, 1, 'acknowledged means stored');
});

test('update, de-register and what comes after follow the rules', async () => {
  const device = await jsonDevice(stack, 'json-life');
  await device.say('update', {});
  assert.equal((await device.ack('update')).code, '4.04');
  device.client.seen.length = 0;
  await device.say('reg', { lifetime: 60, version: '1.2', objects: { 3: { 0: { 0: 'A' } } } });
  assert.equal((await device.ack('reg')).code, '2.01');
  await device.say('upd', { lifetime: 120 });
  assert.equal((await device.ack('upd')).code, '2.04');
  assert.equal((await get('json-life')).lwm2m.lifetime, 120);
  await device.say('dereg', {});
  assert.equal((await device.ack('dereg')).code, '2.02');
  const gone = await get('json-life');
  assert.equal(gone.status, 'offline');
  assert.equal(gone.lwm2m.state, 'deregistered');
});

test('a registration whose lifetime runs out expires', async () => {
  const device = await jsonDevice(stack, 'json-expiry');
  await device.say('reg', { lifetime: 1, version: '1.2', objects: { 3: { 0: {} } } });
  assert.equal((await device.ack('reg')).code, '2.01');
  await until(() => get('json-expiry').then((d) => d.lwm2m.state === 'expired'), 6000);
  await device.say('update', {});
  assert.equal((await device.ack('update')).code, '4.04');
});

test('read, write, execute, discover and their refusals are told apart', async () => {
  const device = await jsonDevice(stack, 'json-ops', {
    read: (asked) => asked.path === '/3/0/0'
      ? { code: '2.05', values: [{ path: '/3/0/0', value: 'Read Me Inc' }] }
      : { code: '4.04', error: 'no such resource' },
    write: () => ({ code: '2.04' }),
    execute: () => ({ code: '2.04' }),
    discover: () => ({ code: '2.05', links: '</3/0>,</3/0/0>,</3/0/4>' }),
  });
  await device.say('reg', { lifetime: 300, version: '1.2', objects: { 1: { 0: { 1: 300 } }, 3: { 0: {} } } });
  await device.ack('reg');

  const read = await command('json-ops', { op: 'read', path: '/3/0/0' });
  assert.equal(read.status, 200, read.text);
  assert.equal(read.body.state, 'succeeded');
  assert.deepEqual(read.body.result.values, [{ path: '/3/0/0', value: 'Read Me Inc', type: 'string' }]);
  assert.equal((await get('json-ops')).manufacturer, 'Read Me Inc');

  const missing = await command('json-ops', { op: 'read', path: '/3/0/21' });
  assert.equal(missing.status, 502);
  assert.equal(missing.body.code, 'device.4.04');
  assert.match(missing.text, /no such resource/);

  const write = await command('json-ops', { op: 'write', path: '/1/0/1', value: 600 });
  assert.equal(write.status, 200, write.text);
  assert.deepEqual(device.asked.at(-1), { op: 'write', path: '/1/0/1', mode: 'replace', value: 600 });

  const wrong = await command('json-ops', { op: 'write', path: '/1/0/1', value: 'soon' });
  assert.equal(wrong.status, 422, wrong.text);
  const readOnly = await command('json-ops', { op: 'write', path: '/3/0/0', value: 'x' });
  assert.equal(readOnly.status, 422, readOnly.text);
  const impossible = await command('json-ops', { op: 'read', path: '/70000/0' });
  assert.equal(impossible.status, 422, impossible.text);

  assert.equal((await command('json-ops', { op: 'execute', path: '/3/0/4' })).status, 200);
  const discover = await command('json-ops', { op: 'discover', path: '/3/0' });
  assert.equal(discover.body.result.links, '</3/0>,</3/0/0>,</3/0/4>');

  const silent = await command('json-ops', { op: 'delete', path: '/3303/0', timeout_s: 1 });
  assert.equal(silent.status, 504, silent.text);
  await until(async () => (await stack.api('GET', '/devices/json-ops/timeline?kind=command')).body.items
    .some((e) => /delete \/3303\/0: timed_out/.test(e.text)), 5000, 'the time-out on the timeline');
});

test('an observation notifies, is stored, survives a restart and can be cancelled', async () => {
  const device = await jsonDevice(stack, 'json-observe', {
    observe: (asked) => ({ code: '2.05', values: [{ path: asked.path, value: 20.5 }] }),
    cancel: () => ({ code: '2.05' }),
  });
  await device.say('reg', { lifetime: 300, version: '1.2', objects: { 3303: { 0: { 5700: 20 } } } });
  await device.ack('reg');
  const observe = await command('json-observe', { op: 'observe', path: '/3303/0/5700' });
  assert.equal(observe.status, 200, observe.text);
  const token = device.client.seen.find((m) => m.topic.includes('/cmd/')).topic.split('/').pop();
  await device.say(`notify/${token}`, { values: [{ path: '/3303/0/5700', value: 21.25 }] });
  await until(() => get('json-observe').then((d) => d.resources[0].value === 21.25));

  const known = () => stack.sql(`SELECT status, status_since, (SELECT count(*)::int FROM timeline_event t
    WHERE t.device_id = d.id AND t.kind = 'status') AS told FROM device d WHERE endpoint = 'json-observe'`).then((rows) => rows[0]);
  const before = await until(() => known().then((row) => row.status === 'online' && row.told && row));
  await stack.server.stop();
  await stack.server.start();
  const back = await get('json-observe');
  assert.equal(back.status, 'unknown');
  await until(() => known().then((row) => row.status === 'unknown'), 15000, 'SQL says unknown');
  assert.equal(back.observations[0].path, '/3303/0/5700');
  assert.equal(back.resources[0].value, 21.25);
  await device.say(`notify/${token}`, [{ n: '/3303/0/5700', v: 22.5 }]); // bare SenML
  const live = await until(() => get('json-observe').then((d) => d.resources[0].value === 22.5 && d));
  assert.equal(live.status, 'online');
  // It came back as it was: that is nothing new for its timeline, and it is online since it was before.
  assert.deepEqual(await until(() => known().then((row) => row.status === 'online' && row), 15000, 'SQL says online'), before);

  let points;
  await until(async () => {
    points = (await stack.api('GET', '/devices/json-observe/history?series=lwm2m:/3303/0/5700')).body.points;
    return points.length >= 4;
  });
  assert.deepEqual(points.map((p) => p[1]), [20, 20.5, 21.25, 22.5]);

  const cancel = await command('json-observe', { op: 'cancel', path: '/3303/0/5700' });
  assert.equal(cancel.status, 200, cancel.text);
  assert.equal((await get('json-observe')).observations.length, 0);
  await device.say(`notify/${token}`, { values: [{ path: '/3303/0/5700', value: 1 }] });
  await until(() => device.asked.filter((c) => c.op === 'cancel' && c.observation === token).length >= 2,
    5000, 'an unknown observation is cancelled at the device');
});

test('a write that an observation can prove ends as observed', async () => {
  let token;
  const device = await jsonDevice(stack, 'json-proof', {
    observe: (asked, t) => { token = t; return { code: '2.05', values: [{ path: asked.path, value: 10 }] }; },
    write: () => ({ code: '2.04' }),
  });
  await device.say('reg', { lifetime: 300, version: '1.2', objects: { 1: { 0: { 1: 300 } } } });
  await device.ack('reg');
  await command('json-proof', { op: 'observe', path: '/1/0/1' });
  const posted = await command('json-proof', { op: 'write', path: '/1/0/1', value: 700 }, 0);
  assert.equal(posted.status, 202);
  const one = () => stack.api('GET', `/commands/${posted.body.id}`).then((r) => r.body);
  await until(async () => (await one()).state === 'accepted');
  await device.say(`notify/${token}`, { values: [{ path: '/1/0/1', value: 700 }] });
  await until(async () => (await one()).state === 'observed');
});

test('send is accepted from registered devices only', async () => {
  const device = await jsonDevice(stack, 'json-send');
  await device.say('send', { values: [{ path: '/3303/0/5700', value: 1.5 }] });
  assert.equal((await device.ack('send')).code, '4.04');
  device.client.seen.length = 0;
  await device.say('reg', { lifetime: 300, version: '1.2', links: '</3/0>,</3303/0>' });
  await device.ack('reg');
  await device.say('send', { token: 'abc', values: [{ path: '/3303/0/5700', value: 2.5 }] });
  const ack = await device.ack('send');
  assert.equal(ack.code, '2.04');
  assert.equal(ack.token, 'abc');
  assert.equal((await get('json-send')).resources.find((r) => r.path === '/3303/0/5700').value, 2.5);
});

test('acquisition times: kept, relative to now, or marked when they cannot be true', async () => {
  const device = await jsonDevice(stack, 'json-times');
  await device.say('reg', { lifetime: 300, version: '1.2', links: '</3303/0>,</3303/1>' });
  await device.ack('reg');
  const hourAgo = Date.now() - 3600000;
  await device.say('send', { values: [{ path: '/3303/0/5700', value: 1, time: hourAgo }] });
  await device.say('send', [{ n: '/3303/0/5700', v: 2, t: -60 }]);
  await device.say('send', { values: [{ path: '/3303/0/5700', value: 3, time: Date.now() + 3 * 3600000 }] });
  const points = await until(async () => {
    const h = (await stack.api('GET', '/devices/json-times/history?series=lwm2m:/3303/0/5700')).body;
    return h.points?.length === 3 && h.points;
  });
  assert.deepEqual(points.map((p) => p[1]), [1, 2, 3]);
  assert.equal(points[0][0], hourAgo);
  assert.ok(Math.abs(points[1][0] - (Date.now() - 60000)) < 30000, 'relative to now');
  assert.ok(Math.abs(points[2][0] - Date.now()) < 30000, 'at arrival');
  const rows = await stack.sql("SELECT quality FROM samples s JOIN series r ON r.id = s.series_id WHERE r.key = 'lwm2m:/3303/0/5700' AND s.value = 3");
  assert.equal(rows[0].quality, 4);
});

test('a command to a device that is not connected is answered at once', async () => {
  const console = await stack.console();
  await console.publishAsync('lwm2m/nobody-home/reg', verbatim.replace('device-temp-001', 'nobody-home'), { qos: 1 });
  await until(() => get('nobody-home').then((d) => d.lwm2m));
  const answer = await command('nobody-home', { op: 'read', path: '/3/0/0' });
  assert.equal(answer.status, 502, answer.text);
  assert.match(answer.text, /not connected/);
});

// ---- the oma dialect: one CBOR map with integer keys on lwm2m/rd/{endpoint} ----

const cbor = {
  uint: (n) => (n < 24 ? Buffer.from([n]) : n < 256 ? Buffer.from([0x18, n]) : Buffer.from([0x19, n >> 8, n & 255])),
  head(major, n) { const b = this.uint(n); b[0] |= major << 5; return b; },
  text(s) { return Buffer.concat([this.head(3, Buffer.byteLength(s)), Buffer.from(s)]); },
  bytes(s) { return Buffer.concat([this.head(2, Buffer.byteLength(s)), Buffer.from(s)]); },
  map(entries) {
    return Buffer.concat([this.head(5, entries.length), ...entries.flatMap(([k, v]) => [this.uint(k), v])]);
  },
};

// Reads the flat maps the server sends; numbers as BigInt or Number.
function readMap(buffer) {
  let at = 0;
  const head = () => {
    const first = buffer[at++];
    const size = first & 31;
    let n = BigInt(size);
    if (size >= 24) {
      const bytes = 1 << (size - 24);
      n = 0n;
      for (let i = 0; i < bytes; i++) n = (n << 8n) | BigInt(buffer[at++]);
    }
    return [first >> 5, n];
  };
  const item = () => {
    const [major, n] = head();
    if (major === 0) return n;
    const part = buffer.subarray(at, at + Number(n));
    at += Number(n);
    return part.toString();
  };
  const [, pairs] = head();
  const out = {};
  for (let i = 0n; i < pairs; i++) out[Number(item())] = item();
  return out;
}

test('the oma dialect registers, reads, observes, notifies and de-registers', async () => {
  const topic = 'lwm2m/rd/oma-device';
  const device = await stack.device('oma-device');
  const asked = [];
  const encodeToken = (t) => { const b = Buffer.alloc(9); b[0] = 0x1b; b.writeBigUInt64BE(t, 1); return b; };
  device.on('message', (_, payload) => {
    const m = readMap(payload);
    if (m[1] === undefined) return;
    if (m[1] !== 9n && m[1] !== 20n) return;
    asked.push(m);
    device.publish(topic, cbor.map([[18, cbor.uint(205)], [2, encodeToken(m[2])], [19, cbor.uint(0)],
      [7, cbor.bytes(m[1] === 9n ? 'Oma Inc' : '20.5')]]), { qos: 1 });
  });
  await device.subscribeAsync(topic, { qos: 1 });
  await device.publishAsync(topic, cbor.map([[1, cbor.uint(6)], [2, cbor.uint(42)], [8, cbor.uint(300)],
    [9, cbor.text('1.2')], [10, cbor.text('M')], [7, cbor.bytes('</3/0>,</3303/0>')]]), { qos: 1 });
  const answer = await until(() => device.seen.map((m) => readMap(m.payload)).find((m) => m[18] && m[2] === 42n));
  assert.equal(answer[18], 201n);
  const registered = await get('oma-device');
  assert.equal(registered.lwm2m.dialect, 'oma');
  assert.deepEqual(registered.objects.map((o) => [o.id, o.instances]), [[3, [0]], [3303, [0]]]);

  const read = await command('oma-device', { op: 'read', path: '/3/0/0' });
  assert.equal(read.status, 200, read.text);
  assert.equal(read.body.result.values[0].value, 'Oma Inc');
  assert.ok(asked[0][2] >= 1n << 63n, 'server tokens have the high bit set');

  const observe = await command('oma-device', { op: 'observe', path: '/3303/0/5700' });
  assert.equal(observe.status, 200, observe.text);
  await device.publishAsync(topic, cbor.map([[1, cbor.uint(23)], [2, encodeToken(asked[1][2])],
    [19, cbor.uint(0)], [7, cbor.bytes('23.75')]]), { qos: 1 });
  await until(() => get('oma-device').then((d) => d.resources.some((r) => r.value === 23.75)));

  const attributes = await command('oma-device', { op: 'write-attributes', path: '/3303/0/5700', attributes: { lt: 5 } });
  assert.equal(attributes.status, 422, attributes.text);
  assert.match(attributes.text, /not_expressible/);

  await device.publishAsync(topic, cbor.map([[1, cbor.uint(8)], [2, cbor.uint(43)]]), { qos: 1 });
  await until(() => get('oma-device').then((d) => d.status === 'offline'));
});
});
