// The stack starts, says so, guards its topics and ends in order.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { atMost, withStack, until } from './lib/stack.mjs';

withStack('start', {}, (stack) => {
  test('the server is ready and says so', async () => {
    const ready = await stack.api('GET', '//readyz', undefined, { token: null });
    assert.equal(ready.status, 200);
    assert.ok(stack.server.logged(/server\.ready/));
    assert.ok(stack.startedIn < atMost(60000), `took ${stack.startedIn} ms`);
  });

  test('a device reaches its own topics and no others', async () => {
    const console = await stack.console();
    await console.subscribeAsync(['lwm2m/#', 'spBv1.0/#'], { qos: 1 });
    const foreign = ['lwm2m/other/reg', 'lwm2m/rd/other', 'spBv1.0/g/NDATA/other',
      'spBv1.0/STATE/braid', 'spBv1.0/g/NCMD/acl-device', 'lwm2m/acl-device/cmd/1'];
    for (const topic of foreign) {
      // This broker acknowledges what it refuses, and then hangs up: look at what arrives.
      const device = await stack.device('acl-device');
      await device.publishAsync(topic, 'not mine', { qos: 1 }).catch(() => {});
    }
    const device = await stack.device('acl-device');
    await device.publishAsync('lwm2m/acl-device/lost', '{}', { qos: 1 });
    await until(() => console.seen.some((m) => m.topic === 'lwm2m/acl-device/lost'));
    assert.deepEqual(console.seen.filter((m) => m.payload.toString() === 'not mine'), []);
  });

  test('a device cannot connect without a certificate of ours, nor with a wrong password', async () => {
    const { key, cert, ...options } = stack.deviceOptions('nobody');
    await assert.rejects(stack.connect({ ...options }));
    await assert.rejects(stack.passwordDevice({ password: 'wrong' }));
    const device = await stack.passwordDevice();
    assert.ok(device.connected);
  });

  test('SIGTERM ends the server with 0 and a second start is as good as the first', async () => {
    const end = await stack.server.stop();
    assert.deepEqual(end, { code: 0, signal: null });
    const console = await stack.console();
    await console.subscribeAsync('spBv1.0/STATE/braid', { qos: 1 });
    const retained = await until(() => console.seen.find((m) => m.topic === 'spBv1.0/STATE/braid'));
    assert.equal(JSON.parse(retained.payload.toString()).online, false, 'edge nodes see that their host is gone');
    await stack.server.start();
    assert.equal((await stack.api('GET', '//readyz')).status, 200);
  });

  test('a load that fails half way is said and ends the server; none of the fleet is served', async () => {
    await stack.server.stop();
    await stack.sql('REVOKE SELECT ON series_latest FROM braid_app');
    stack.server.spawn();
    stack.server.child.asked = true; // ends by itself, as it should
    const end = await stack.server.child.ended;
    assert.deepEqual(end, { code: 1, signal: null });
    assert.ok(stack.server.logged(/load\.failed table=series_latest/));
    assert.ok(!stack.server.logged(/server\.ready/));
    await stack.sql('GRANT SELECT ON series_latest TO braid_app');
    await stack.server.start();
    assert.equal((await stack.api('GET', '//readyz')).status, 200);
  });
});
