// Sparkplug as devices send it: an edge node nobody here wrote (npm's sparkplug-client), hand-made
// payloads for what it cannot do, and the host's own manners.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import sparkplugClient from 'sparkplug-client';
import { sparkplug, spbPayload } from './lib/devices.mjs';
import { withStack, until } from './lib/stack.mjs';

withStack('Sparkplug', { socket: true, config: { 'sparkplug.reorder_ms': 5000 } }, (stack) => {
const get = async (endpoint) => (await stack.api('GET', `/devices/${endpoint}`)).body;
const command = (endpoint, body, wait = 20) =>
  stack.api('POST', `/devices/${endpoint}/commands?wait=${wait}`, body);
const metric = (device, series) => device.metrics.find((m) => m.series === series);

function edgeNode(name, group = 'G1') {
  return sparkplugClient.newClient({
    serverUrl: `mqtts://127.0.0.1:${stack.ports.tls}`, username: name, password: '', groupId: group,
    edgeNode: name, clientId: name, version: 'spBv1.0', publishDeath: true,
    mqttOptions: { ...stack.deviceOptions(name), username: undefined, password: undefined },
  });
}

const once = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

test('the host keeps its STATE as the specification wants it', async () => {
  const console = await stack.console();
  await console.subscribeAsync('spBv1.0/STATE/braid', { qos: 1 });
  const birth = await until(() => console.seen.find((m) => m.topic === 'spBv1.0/STATE/braid'));
  const state = JSON.parse(birth.payload.toString());
  assert.deepEqual(Object.keys(state).sort(), ['online', 'timestamp']);
  assert.equal(state.online, true);
  assert.equal(birth.retain, true);
  console.seen.length = 0;
  await console.publishAsync('spBv1.0/STATE/braid', JSON.stringify({ online: false, timestamp: state.timestamp }),
    { qos: 1, retain: true });
  const again = await until(() => console.seen.map((m) => JSON.parse(m.payload.toString())).find((s) => s.online));
  assert.equal(again.timestamp, state.timestamp, 'the birth is repeated with the timestamp of the connect');
});

test('an edge node made with sparkplug-client appears, reports, is commanded, dies and comes back', async () => {
  const node = edgeNode('npm-edge');
  const births = () => {
    node.publishNodeBirth({ timestamp: Date.now(), metrics: [
      { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
      { name: 'Temp', type: 'Double', value: 21.5 },
      { name: 'Setpoint', type: 'Int32', value: -5 },
    ] });
    node.publishDeviceBirth('D1', { timestamp: Date.now(), metrics: [
      { name: 'Inputs/A', type: 'Boolean', value: true },
      { name: 'Count', type: 'UInt32', value: 4000000000 },
    ] });
  };
  let born = 0;
  node.on('birth', () => { born++; births(); });
  await once(node, 'birth');
  const device = await until(() => get('npm-edge').then((d) => d.sparkplug?.state === 'born' && d.sparkplug.devices_born === 1 && d));
  assert.equal(device.status, 'online');
  assert.equal(device.lwm2m, null);
  assert.equal(metric(device, 'spb:/Temp').value, 21.5);
  assert.equal(metric(device, 'spb:/Setpoint').value, -5);
  assert.equal(metric(device, 'spb:D1/Inputs/A').value, true);
  assert.equal(metric(device, 'spb:D1/Count').value, 4000000000);
  assert.equal(metric(device, 'spb:D1/Count').datatype, 'UInt32');

  node.publishNodeData({ timestamp: Date.now(), metrics: [{ name: 'Temp', type: 'Double', value: 22.75 }] });
  await until(() => get('npm-edge').then((d) => metric(d, 'spb:/Temp').value === 22.75));

  // a write: proved by the echo in DATA
  node.on('ncmd', (payload) => {
    const asked = payload.metrics.find((m) => m.name === 'Setpoint');
    if (asked) node.publishNodeData({ timestamp: Date.now(), metrics: [{ name: 'Setpoint', type: 'Int32', value: asked.value }] });
    if (payload.metrics.some((m) => m.name === 'Node Control/Rebirth' && m.value === true)) births();
  });
  const write = await command('npm-edge', { op: 'metric-write', metric: 'Setpoint', value: -42 });
  assert.equal(write.status, 200, write.text);
  assert.equal(write.body.state, 'observed');
  assert.equal(metric(await get('npm-edge'), 'spb:/Setpoint').value, -42);
  const wrong = await command('npm-edge', { op: 'metric-write', metric: 'Setpoint', value: 'much' });
  assert.equal(wrong.status, 422, wrong.text);
  const unknown = await command('npm-edge', { op: 'metric-write', metric: 'Nope', value: 1 });
  assert.equal(unknown.status, 422, unknown.text);
  const silent = await command('npm-edge', { op: 'metric-write', device: 'D1', metric: 'Count', value: 7, timeout_s: 1 });
  assert.equal(silent.status, 504, silent.text);

  const rebirth = await command('npm-edge', { op: 'rebirth' });
  assert.equal(rebirth.body.state, 'observed', rebirth.text);

  node.publishDeviceDeath('D1', { timestamp: Date.now() });
  const half = await until(() => get('npm-edge').then((d) => d.sparkplug.devices_born === 0 && d));
  assert.equal(metric(half, 'spb:D1/Count').quality, 'stale');
  assert.equal(metric(half, 'spb:/Temp').quality, 'good');

  // power loss: the broker sends the will
  node.client.stream.destroy();
  const lost = await until(() => get('npm-edge').then((d) => d.status === 'lost' && d));
  assert.match(lost.sentence, /^Connection lost .*\(NDEATH\)/);
  assert.equal(metric(lost, 'spb:/Temp').quality, 'stale');
  await until(() => born >= 2, 15000, 'the client reconnects');
  await until(() => get('npm-edge').then((d) => d.status === 'online'));
  node.stop();
  await until(() => get('npm-edge').then((d) => ['lost', 'offline'].includes(d.status)));
  for (const kind of ['node_born', 'device_born', 'device_dead', 'node_dead', 'rebirth_asked', 'command']) {
    await until(async () => (await stack.api('GET', '/devices/npm-edge/timeline')).body.items.some((e) => e.kind === kind),
      5000, `${kind} is on the timeline`);
  }
});

// A hand-made node that counts for itself.
async function handMade(name, group = 'G2') {
  const will = { topic: `spBv1.0/${group}/NDEATH/${name}`, qos: 1, retain: false,
    payload: spbPayload([{ name: 'bdSeq', type: 'Int64', value: 3 }]) };
  const client = await stack.device(name, { will });
  await client.subscribeAsync(`spBv1.0/${group}/NCMD/${name}`, { qos: 1 });
  const publish = (type, seq, metrics, more = {}, device = '') =>
    client.publishAsync(`spBv1.0/${group}/${type}/${name}${device && `/${device}`}`, spbPayload(metrics, { seq, ...more }));
  const birth = (value = 1) => publish('NBIRTH', 0, [
    { name: 'bdSeq', type: 'Int64', value: 3 },
    { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
    { name: 'V', alias: 1, type: 'Double', value },
  ]);
  const data = (seq, value, more = {}) =>
    publish('NDATA', seq, [{ alias: 1, type: 'Double', value, timestamp: Date.now(), ...more }]);
  const rebirthsAsked = () => client.seen.filter((m) => m.topic.includes('/NCMD/') &&
    sparkplug.decodePayload(m.payload).metrics.some((x) => x.name === 'Node Control/Rebirth' && x.value === true)).length;
  return { client, publish, birth, data, rebirthsAsked };
}

test('a sequence gap that is filled in time is nothing, one that is not asks for a rebirth', async () => {
  const node = await handMade('seq-node');
  await node.birth();
  await node.data(1, 1);
  await node.data(3, 3);
  await node.data(2, 2); // late, within the window
  await node.data(4, 4);
  await until(() => get('seq-node').then((d) => metric(d, 'spb:/V')?.value === 4));
  assert.equal(node.rebirthsAsked(), 0);
  await node.data(9, 9);
  await until(() => node.rebirthsAsked() >= 1, 15000);
  const device = await get('seq-node');
  assert.equal(device.sparkplug.state, 'stale');
  assert.match(device.sparkplug.last_rebirth.cause, /sequence/);
  await node.birth(10);
  await until(() => get('seq-node').then((d) => d.status === 'online' && metric(d, 'spb:/V').value === 10));
});

test('a death of an earlier session is ignored', async () => {
  const node = await handMade('old-death');
  await node.birth();
  await until(() => get('old-death').then((d) => d.sparkplug?.state === 'born'));
  await node.client.publishAsync('spBv1.0/G2/NDEATH/old-death',
    spbPayload([{ name: 'bdSeq', type: 'Int64', value: 2 }]), { qos: 1 });
  await until(() => stack.api('GET', '/devices/old-death/timeline?kind=old_death_ignored').then((r) => r.body.items.length));
  assert.equal((await get('old-death')).status, 'online');
});

test('data before any birth asks for one, with the cause in words', async () => {
  const node = await handMade('unborn');
  await node.data(7, 1);
  await until(() => node.rebirthsAsked() >= 1);
  assert.match((await get('unborn')).sparkplug.last_rebirth.cause, /birth/);
});

test('historical samples are stored and do not move the live value', async () => {
  const node = await handMade('historian');
  await node.birth(5);
  const hourAgo = Date.now() - 3600000;
  await node.data(1, 99, { isHistorical: true, timestamp: hourAgo });
  await node.data(2, 6);
  await until(() => get('historian').then((d) => metric(d, 'spb:/V').value === 6));
  const from = new Date(Date.now() - 7200000).toISOString();
  const points = await until(async () => {
    const h = (await stack.api('GET', `/devices/historian/history?series=${encodeURIComponent('spb:/V')}&from=${from}`)).body;
    return h.points?.length === 3 && h.points;
  });
  assert.deepEqual(points.map((p) => p[1]), [99, 5, 6]);
  assert.equal(points[0][0], hourAgo);
});

test('a bad clock is stored at arrival with its own quality', async () => {
  const node = await handMade('bad-clock');
  await node.birth(1);
  await node.data(1, 2, { timestamp: Date.now() + 3 * 3600000 });
  const device = await until(() => get('bad-clock').then((d) => metric(d, 'spb:/V')?.quality === 'bad_time' && d));
  assert.ok(Math.abs(Date.parse(metric(device, 'spb:/V').at) - Date.now()) < 60000);
});

test('short prototype topics make a node that is marked as not conformant', async () => {
  const device = await stack.device('short-001');
  const metrics = [{ name: 'temperature', type: 'Double', value: 20.5 }];
  await device.publishAsync('spBv1.0/plant/DBIRTH/short-001', spbPayload(metrics, { seq: 0 }));
  await device.publishAsync('spBv1.0/plant/DDATA/short-001',
    spbPayload([{ name: 'temperature', type: 'Double', value: 21.5 }], { seq: 1 }));
  const seen = await until(() => get('short-001').then((d) => d.metrics?.[0]?.value === 21.5 && d));
  assert.equal(seen.sparkplug.conformant, false);
  assert.equal(seen.status, 'online');
});

test('the same node id in two groups is two devices and a recorded clash', async () => {
  const node = await handMade('twin', 'A');
  await node.birth();
  await until(() => get('twin').then((d) => d.sparkplug?.state === 'born'));
  await node.client.publishAsync('spBv1.0/B/NBIRTH/twin', spbPayload(
    [{ name: 'bdSeq', type: 'Int64', value: 0 }, { name: 'V', type: 'Double', value: 2 }], { seq: 0 }));
  await until(() => get('twin~B').then((d) => d.sparkplug?.group === 'B'));
  for (const endpoint of ['twin', 'twin~B']) {
    const clashes = async () =>
      (await stack.api('GET', `/devices/${encodeURIComponent(endpoint)}/timeline?kind=identity_clash`)).body.items.length;
    await until(clashes, 5000, `the clash on the timeline of ${endpoint}`);
    assert.equal(await clashes(), 1, endpoint);
  }
});

test('bad input is counted, told on the timeline and harms nobody', async () => {
  const node = await handMade('bad-input');
  const console = await stack.console();
  await node.birth();
  await until(() => get('bad-input').then((d) => d.sparkplug?.state === 'born'));
  const before = await stack.metric('braid_bad_input_total');
  const nested = '['.repeat(10000) + ']'.repeat(10000);
  const send = (topic, payload) => console.publishAsync(topic, payload, { qos: 1 });
  await send('spBv1.0/G2/NDATA/bad-input', Buffer.from('0a7f', 'hex'));
  await send('spBv1.0/G2/NDATA/bad-input', Buffer.alloc(10 << 20, 0x0a)); // 10 MB
  await send('spBv1.0/G2/WHAT/bad-input', 'x');
  await send('lwm2m/bad-input/reg', '{"lifetime":');
  await send('lwm2m/bad-input/reg', nested);
  await send('lwm2m/bad-input/reg', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])); // invalid UTF-8
  await send('lwm2m/rd/bad-input', Buffer.from('9a10000000', 'hex'));
  await send('lwm2m/bad-input/reg', JSON.stringify({ endpoint: 'somebody-else', lifetime: 60, objects: {} }));
  await send('lwm2m/rd/reg', '{}');
  await send('lwm2m/bad-input/reg', JSON.stringify({ lifetime: 60, objects: { 70000: { 0: { 0: 1 } } } }));
  await until(async () => (await stack.metric('braid_bad_input_total')) >= before + 9, 8000);
  const told = async () => (await stack.api('GET', '/devices/bad-input/timeline?kind=bad_input')).body.items;
  await until(async () => (await told()).length >= 5, 8000, 'rows of the timeline, which are written after they are counted');
  await node.data(1, 77);
  await until(() => get('bad-input').then((d) => metric(d, 'spb:/V').value === 77), 10000, 'still served');
  assert.equal((await stack.api('GET', '//readyz')).status, 200);
  assert.equal((await stack.api('GET', '/devices/somebody-else')).status, 404);
});

test('retained messages do not make a device look alive', async () => {
  const console = await stack.console();
  const payload = spbPayload([{ name: 'bdSeq', type: 'Int64', value: 0 }], { seq: 0 });
  await stack.server.stop();
  await console.publishAsync('spBv1.0/G9/NBIRTH/ghost', payload, { qos: 1, retain: true });
  await stack.server.start();
  await until(async () => (await stack.metric('braid_bad_input_total{reason="retained"}')) >= 1);
  assert.equal((await stack.api('GET', '/devices/ghost')).status, 404);
  await console.publishAsync('spBv1.0/G9/NBIRTH/ghost', '', { qos: 1, retain: true });
});
});
