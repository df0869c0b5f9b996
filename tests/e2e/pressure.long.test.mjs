// No room anywhere: the database is away, the spool is full. Telemetry waits unread, LwM2M and REST go
// on, the broker is relieved before it is full, and in the end every sample is stored or counted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Load } from '../bench/lib/load.mjs';
import { jsonDevice } from './lib/devices.mjs';
import { until, withStack } from './lib/stack.mjs';

const config = { 'spool.max_mb': 1, 'mqtt.backlog_mb': 1 };

withStack('a store without room', { config, broker: 'sys_interval 1\n' }, (stack) => {
  const nodes = 10;
  const metrics = 50;
  let load;
  let run;
  const state = async () => (await stack.api('GET', '/fleet')).body.telemetry;

  test('stops reading telemetry, and nothing else', async () => {
    load = await Load.start(stack, { nodes, metrics, args: ['--load-node-level'] });
    await until(async () => (await stack.api('GET', '/fleet')).body.sparkplug_online === nodes, 20000);
    await stack.postgres.stop();
    run = load.run(35000, 1000); // the kernel's buffers take megabytes of it
    // The broker's heap may pass the small limit of this test soon after: then it is "refused".
    await until(async () => (await state()).state !== 'flowing', 30000);
    const ready = await stack.api('GET', '//readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.body.telemetry, /paused|refused/);
    assert.ok((await stack.metric('braid_telemetry_pauses_total')) >= 1);
    assert.match((await state()).reason, /database is away, and the spool is full/);
    const device = await jsonDevice(stack, 'meanwhile');
    await device.say('reg', { lifetime: 300, objects: { 3: { 0: { 0: 'A' } } } });
    assert.equal((await device.ack('reg')).code, '2.01', 'a registration is acknowledged from the spool');
    assert.equal((await stack.api('GET', '/devices/meanwhile')).status, 200);
  });

  test('relieves the broker before it is full, and counts what is refused per device', async () => {
    await until(async () => (await state()).state === 'refused', 30000, 'the state says refused');
    await until(async () => (await stack.metric('braid_telemetry_shedding')) === 1, 30000, 'so does the metric');
    await until(async () => (await state()).samples_refused > 0, 30000, 'refused samples are counted');
    await until(async () => (await stack.api('GET', '/devices?limit=1000')).body.items
      .some((d) => d.lost_samples > 0), 30000, 'and counted per device');
  });

  test('stores or has counted every sample in the end, and asks for rebirths once', async () => {
    const sent = await run;
    await stack.postgres.start();
    await until(async () => (await state()).state === 'flowing', 30000);
    await until(async () => (await stack.metric('braid_spool_bytes')) === 0, 30000);
    const received = () => stack.metric('braid_sparkplug_messages_total{kind="NDATA"}');
    await until(async () => (await received()) === sent.messages, 20000, 'all messages are read');
    const refused = await stack.metric('braid_samples_total{stage="refused"}');
    const births = (await stack.metric('braid_sparkplug_metrics_total')) - sent.metrics;
    const accounted = async () => (await stack.metric('braid_samples_total{stage="stored"}')) + refused;
    await until(async () => (await accounted()) >= sent.metrics + births, 20000);
    const rows = (await stack.sql('SELECT count(*)::int AS n FROM samples'))[0].n;
    const lwm2m = (await accounted()) - sent.metrics - births;
    assert.ok(lwm2m >= 0 && lwm2m < 20, `${lwm2m} samples of the device that registered meanwhile`);
    assert.ok(refused > 0 && rows > 20000, `${rows} stored, ${refused} refused`);
    const { items } = (await stack.api('GET', '/devices?limit=1000')).body;
    assert.equal(items.reduce((sum, d) => sum + d.lost_samples, 0), refused);
    await until(async () => (await stack.metric('braid_rebirths_requested_total')) >= 1, 20000);
    const asked = await stack.metric('braid_rebirths_requested_total');
    assert.ok(asked <= nodes, `${asked} rebirths for ${nodes} nodes`);
    await until(async () => (await stack.api('GET', '/timeline?kind=loss')).body.items.length > 0, 20000);
    console.log(`# sent ${sent.metrics} samples: ${rows} stored, ${refused} refused and counted; nothing else is missing`);
    await load.stop();
  });
});
