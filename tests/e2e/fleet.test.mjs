// Simulated devices on one TLS connection each: both strands of a device seen, managed, broken and
// healed together.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { atMost, withStack, until } from './lib/stack.mjs';

withStack('a small fleet', { devices: 5 }, (stack) => {

const name = (i) => `sim-t-0000${i}`;
const get = async (endpoint) => (await stack.api('GET', `/devices/${endpoint}`)).body;
const command = (endpoint, body, wait = 20) =>
  stack.api('POST', `/devices/${endpoint}/commands?wait=${wait}`, body);

test('five devices, both strands of each, one connection each', async () => {
  const list = await until(async () => {
    const { body } = await stack.api('GET', '/devices');
    return body.items.length === 5 && body.items.some((d) => d.fault) &&
      body.items.every((d) => d.lwm2m?.state === 'registered' && d.sparkplug?.state === 'born') && body;
  }, 15000);
  assert.equal(list.next, null);
  for (const device of list.items) {
    assert.equal(device.link, 'up', device.sentence);
    assert.equal(device.sparkplug.group, 'sim');
    assert.equal(device.sparkplug.conformant, true, device.endpoint);
  }
  assert.equal(list.items.filter((d) => d.lwm2m?.queue_mode).length, 1, 'one sleeper');
  const faulty = list.items.filter((d) => d.fault);
  assert.equal(faulty.length, 1, 'one with a fault in words');
  assert.match(faulty[0].sentence, /The device reports: /);
  const log = stack.broker.log();
  const connects = new Set([...log.matchAll(/as (sim-t-\d+) /g)].map((m) => m[1]));
  if (connects.size) assert.equal(connects.size, 5);
});

test('neither side dies of a connection that is gone while it writes', () => {
  const sigpipe = 1n << 12n;
  for (const part of [stack.sim, stack.server]) {
    const ignored = fs.readFileSync(`/proc/${part.pid}/status`, 'utf8').match(/^SigIgn:\s*(\w+)$/m)[1];
    assert.ok(BigInt(`0x${ignored}`) & sigpipe, part.name);
  }
});

test('the operator reads, writes, executes and observes', async () => {
  const device = (await stack.api('GET', '/devices')).body.items.find((d) => !d.lwm2m?.queue_mode && !d.fault).endpoint;
  const read = await command(device, { op: 'read', path: '/3/0/0' });
  assert.equal(read.status, 200, read.text);
  assert.equal(typeof read.body.result.values[0].value, 'string');

  const write = await command(device, { op: 'write', path: '/1/0/1', value: 600 });
  assert.equal(write.status, 200, write.text);
  await until(() => get(device).then((d) => d.lwm2m.lifetime === 600), 5000, 'the device updates its lifetime at once');

  const before = (await get(device)).lwm2m.registered_at;
  const reboot = await command(device, { op: 'execute', path: '/3/0/4' });
  assert.equal(reboot.status, 200, reboot.text);
  await until(() => get(device).then((d) => d.lwm2m.registered_at > before && d.status === 'online'), 20000,
    'the device really goes away and re-registers');

  const path = await until(() => get(device).then((d) =>
    d.resources.map((r) => r.path).find((p) => /^\/33\d\d\/0\/5700$/.test(p))));
  const observe = await command(device, { op: 'observe', path, attributes: { pmin: 1, pmax: 2 } });
  assert.equal(observe.status, 200, observe.text);
  await until(() => get(device).then((d) => d.observations[0]?.notifies >= 2), 15000, 'it notifies');

  const discover = await command(device, { op: 'discover', path: '/3' });
  assert.match(discover.body.result.links, /<\/3\/0\/4>/);
  const missing = await command(device, { op: 'read', path: '/3/0/4' });
  assert.equal(missing.status, 502, missing.text);
  assert.equal(missing.body.code, 'device.4.05', 'an executable cannot be read, says the device');
});

test('a Sparkplug metric is written and proved by its echo; a rebirth is asked for', async () => {
  const all = await Promise.all((await stack.api('GET', '/devices')).body.items.map((d) => get(d.endpoint)));
  const device = all.find((d) => d.metrics.some((m) => m.name === 'Setpoint/Temperature' && !m.device));
  const named = (name) => device.metrics.find((m) => m.name === name && !m.device);
  assert.equal(named('Setpoint/Temperature').writable, true);
  assert.equal(named('Properties/Model').writable, false, 'its birth says readOnly');
  const refused = await command(device.endpoint, { op: 'metric-write', metric: 'Properties/Model', value: 'x' });
  assert.equal(refused.status, 422, refused.text);
  const write = await command(device.endpoint, { op: 'metric-write', metric: 'Setpoint/Temperature', value: 23.5 });
  assert.equal(write.status, 200, write.text);
  assert.equal(write.body.state, 'observed');
  const born = device.sparkplug.born_at;
  const rebirth = await command(device.endpoint, { op: 'rebirth' });
  assert.equal(rebirth.body.state, 'observed', rebirth.text);
  await until(() => get(device.endpoint).then((d) => d.sparkplug.born_at > born));
});

test('break and heal: the sentence changes within a second', async () => {
  const device = (await stack.api('GET', '/devices')).body.items.find((d) => !d.lwm2m?.queue_mode && !d.fault).endpoint;
  const live = await stack.live();
  await live.subscribe('f', 'fleet');
  const seen = (status) => live.next((m) => m.devices?.some((d) => d.endpoint === device && d.status === status), 20000);
  const lost = seen('lost');
  const from = Date.now();
  await stack.tell(`break ${device} power`);
  const message = await lost;
  const row = message.devices.find((d) => d.endpoint === device);
  assert.match(row.sentence, /^Connection lost .*\(NDEATH\); the LwM2M lifetime runs /);
  assert.ok(message.at - from < atMost(3000), `took ${message.at - from} ms`);
  const back = seen('online');
  await stack.tell(`heal ${device}`);
  await back;
});

test('gap, clock and clash are found and named', async () => {
  const items = (await stack.api('GET', '/devices')).body.items.filter((d) => !d.lwm2m?.queue_mode);
  const kinds = (endpoint) => stack.api('GET', `/devices/${encodeURIComponent(endpoint)}/timeline`).then((r) => r.body.items.map((e) => e.kind));
  const [a, b, c] = items.map((d) => d.endpoint);
  await stack.tell(`break ${a} gap`);
  await until(() => kinds(a).then((k) => k.includes('rebirth_asked') && k.includes('sequence_gap')), 20000);
  await stack.tell(`break ${b} clock`);
  await until(() => get(b).then((d) => d.metrics.some((m) => m.quality === 'bad_time')), 20000);
  await until(() => kinds(b).then((k) => k.includes('clock')), 5000, 'the clock on the timeline');
  await stack.tell(`break ${c} clash`);
  await until(() => kinds(c).then((k) => k.includes('identity_clash')), 20000);
  for (const endpoint of [a, b, c]) await stack.tell(`heal ${endpoint}`);
});

test('a command for the sleeper waits, can be cancelled, and is taken when it wakes', async () => {
  const sleeper = (await stack.api('GET', '/devices')).body.items.find((d) => d.lwm2m?.queue_mode).endpoint;
  const posted = await command(sleeper, { op: 'read', path: '/3/0/0' }, 0);
  assert.ok([200, 202].includes(posted.status), posted.text);
  const list = (await stack.api('GET', `/devices/${sleeper}/commands`)).body.items;
  assert.equal(list[0].id, posted.body.id);
});
});
