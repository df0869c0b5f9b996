// docs/openapi.yaml, the route table of the server and the answers it really gives say the same.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { answerComplaints, complaints, description, operations, resolve, text } from './lib/openapi.mjs';
import { build, root, until, withStack } from './lib/stack.mjs';

const braidd = path.join(root, 'build', build, 'braidd');

function served() {
  const command = build === 'tsan' ? ['setarch', ['-R', braidd, '--dump-routes']] : [braidd, ['--dump-routes']];
  return execFileSync(...command, { encoding: 'utf8' }).trim().split('\n').sort();
}

test('every route is described, with its role, and every description has a route', () => {
  assert.deepEqual(operations().map((o) => `${o.method} ${o.where} ${o.role}`).sort(), served());
  assert.ok(served().length > 25);
});

test('every reference leads somewhere and nothing is described that nothing refers to', () => {
  const used = new Set([...text.matchAll(/\$ref: "([^"]+)"/g)].map((m) => m[1]));
  assert.deepEqual([...used].filter((ref) => !resolve(ref)), []);
  const defined = ['parameters', 'requestBodies', 'responses', 'schemas'].flatMap((group) =>
    Object.keys(description.components[group]).map((name) => `#/components/${group}/${name}`));
  assert.deepEqual(defined.filter((ref) => !used.has(ref)), ['#/components/schemas/LiveOp']);
});

test('the check of answers can fail', () => {
  const schema = { $ref: '#/components/schemas/Session' };
  const good = { username: 'a', role: 'admin', csrf: '' };
  assert.deepEqual(complaints(schema, good), []);
  for (const bad of [{ ...good, role: 'king' }, { ...good, more: 1 }, { username: 'a', role: 'admin' }, [], { ...good, csrf: null }]) {
    assert.equal(complaints(schema, bad).length, 1, JSON.stringify(bad));
  }
});

withStack('description', { devices: 3 }, (stack) => {
  const wrong = [];

  // One request; remembers what its answer has that the description has not.
  async function ask(method, where, values = {}, body, query = '') {
    const at = where.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
    const got = await stack.api(method, at.startsWith('/api/v1') ? at.slice(7) + query : `/${at}${query}`, body);
    wrong.push(...answerComplaints(method, where, got));
    return got;
  }

  test('the server gives the same text to anyone', async () => {
    const got = await stack.api('GET', '/openapi.yaml', undefined, { token: null });
    assert.equal(got.status, 200);
    assert.match(got.headers.get('content-type'), /yaml/);
    assert.equal(got.text, text);
  });

  test('every route that needs a login answers 401 without one', async () => {
    for (const line of served()) {
      const [method, pattern, role] = line.split(' ');
      if (role === 'anyone') continue;
      const where = pattern.replace(/\{\w+\}/g, '1');
      const got = await stack.api(method, `/${where}`, method === 'POST' ? {} : undefined, { token: null });
      assert.equal(got.status, 401, line);
      assert.equal(got.body.code, 'unauthenticated', line);
    }
  });

  test('answers have the members that are described, and no others', async () => {
    const api = '/api/v1';
    const endpoint = 'sim-t-00001';
    const device = await until(async () => {
      const got = (await stack.api('GET', `/devices/${endpoint}`)).body;
      return got.lwm2m && got.metrics.some((m) => typeof m.value === 'number') && got;
    }, 15000);
    const requests = [
      { op: 'read', path: '/3/0' }, { op: 'discover', path: '/3' }, { op: 'read', path: '/99' },
      { op: 'observe', path: '/3303/0/5700' }, { op: 'write', path: '/1/0/1', value: 300 },
      { op: 'write', path: '/3/0/0', value: 1 }, { op: 'metric-write', metric: 'no such', value: 1 }, { op: 'rebirth' },
    ];
    const commands = [];
    for (const body of requests) {
      commands.push((await ask('POST', `${api}/devices/{endpoint}/commands`, { endpoint }, body, '?wait=10')).body);
    }
    const metric = device.metrics.find((m) => typeof m.value === 'number');
    const series = `?series=${encodeURIComponent(metric.series)}`;
    await until(async () => (await stack.api('GET', `/devices/${endpoint}/history${series}`)).body.points?.length > 2, 15000);
    for (const where of ['/fleet', '/devices', '/timeline', '/commands', '/models', '/connect', '/users', '/tokens', '/audit', '/session']) {
      assert.equal((await ask('GET', api + where)).status, 200, where);
    }
    for (const where of ['', '/series', '/timeline', '/commands']) {
      assert.equal((await ask('GET', `${api}/devices/{endpoint}${where}`, { endpoint })).status, 200, where);
    }
    await ask('PUT', `${api}/storage/classes/{class}`, { class: 'week' }, { raw_days: 7, minute_days: 7, hour_days: 9 });
    await ask('PUT', `${api}/storage/classes/{class}`, { class: 'week' }, { raw_days: 8, minute_days: 7, hour_days: 9 });
    await ask('GET', `${api}/storage/classes/{class}`, { class: 'week' });
    const rule = await ask('POST', `${api}/storage/rules`, {}, { series: 'spb:*', class: 'week' });
    await ask('PUT', `${api}/storage/rules/{rule}`, { rule: rule.body.id }, { tag: 'a', value: 'b', class: 'short' });
    await ask('PUT', `${api}/devices/{endpoint}/storage`, { endpoint }, { series: metric.series, class: 'long' });
    for (const where of ['/storage', '/storage/devices', '/storage/classes', '/storage/rules']) {
      assert.equal((await ask('GET', api + where)).status, 200, where);
    }
    assert.equal((await ask('GET', `${api}/devices/{endpoint}/storage`, { endpoint })).status, 200);
    await ask('DELETE', `${api}/storage/rules/{rule}`, { rule: rule.body.id });
    await ask('DELETE', `${api}/storage/classes/{class}`, { class: 'standard' });
    for (const query of [series, `${series}&points=2`, `${series}&before=1`]) {
      assert.equal((await ask('GET', `${api}/devices/{endpoint}/history`, { endpoint }, undefined, query)).status, 200);
      const aligned = query.replace('series=', `series=${endpoint}%2F`);
      assert.equal((await ask('GET', `${api}/history`, {}, undefined, aligned)).status, 200);
      assert.equal((await ask('GET', `${api}/devices/{endpoint}/export`, { endpoint }, undefined, series)).status, 200);
    }
    for (const got of commands.filter((c) => c.state)) await ask('GET', `${api}/commands/{id}`, { id: got.id });
    await ask('POST', `${api}/commands/{id}/cancel`, { id: commands[0].id }, {});
    await ask('GET', `${api}/models/{object_id}`, { object_id: 3 });
    await ask('GET', `${api}/models/{object_id}`, { object_id: 65000 });
    await ask('GET', `${api}/devices/{endpoint}`, { endpoint: 'nobody' });
    await ask('DELETE', `${api}/devices/{endpoint}`, { endpoint });
    for (const where of ['/healthz', '/readyz', '/metrics']) await ask('GET', where);
    await ask('POST', `${api}/users`, {}, { username: 'u', role: 'viewer', password: 'long enough' });
    await ask('POST', `${api}/users`, {}, { username: 'u', role: 'viewer', password: 'x' });
    await ask('POST', `${api}/users/{username}/password`, { username: 'u' }, { password: 'longer still' });
    await ask('DELETE', `${api}/users/{username}`, { username: 'u' });
    const token = await ask('POST', `${api}/tokens`, {}, { name: 't', role: 'viewer' });
    await ask('DELETE', `${api}/tokens/{id}`, { id: token.body.id });
    assert.deepEqual([...new Set(wrong)], []);
  });

  test('live messages have the members that are described', async () => {
    const live = await stack.live();
    await live.subscribe('f', 'fleet');
    await live.subscribe('d', 'device', { endpoints: ['sim-t-00002'] });
    await live.subscribe('c', 'commands');
    await live.subscribe('t', 'timeline');
    live.send({ op: 'dance', id: 'x' });
    await stack.api('POST', '/devices/sim-t-00002/commands?wait=5', { op: 'read', path: '/3/0' });
    await live.next((m) => m.values, 5000, { past: true });
    await live.next((m) => m.events, 5000, { past: true });
    await live.next((m) => m.commands, 5000, { past: true });
    const detail = new Set(Object.keys(description.components.schemas.DeviceDetail.allOf[1].properties));
    const said = live.messages.flatMap(({ at, ...message }) => {
      // The snapshot of a device has its detail, which stands in a schema of its own.
      const devices = message.devices?.map((d) => Object.fromEntries(Object.entries(d).filter(([k]) => !detail.has(k))));
      const extra = (message.devices || []).filter((d) => d.metrics)
        .flatMap((d) => complaints({ $ref: '#/components/schemas/DeviceDetail' }, d, 'detail'));
      return [...extra, ...complaints({ $ref: '#/components/schemas/LiveOp' }, devices ? { ...message, devices } : message, message.op)];
    });
    assert.deepEqual([...new Set(said)], []);
    assert.ok(live.messages.length > 5);
  });
});
