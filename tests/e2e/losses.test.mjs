// Nothing is lost silently: gaps of a node's sequence count until they heal, and what the broker
// drops at its limits is told by the server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spbPayload } from './lib/devices.mjs';
import { until, withStack } from './lib/stack.mjs';

withStack('a node whose messages go missing', { config: { 'sparkplug.reorder_ms': 8000 } }, (stack) => {
  let node;
  const say = (type, seq, value) =>
    node.publishAsync(`spBv1.0/g/${type}/gaps`, spbPayload([{ name: 'T', type: 'Int32', value },
      ...(type === 'NBIRTH' ? [{ name: 'bdSeq', type: 'Int64', value: 0 }] : [])], { seq }));
  const strand = async () => (await stack.api('GET', '/devices/gaps')).body.sparkplug;
  const timeline = async (kind) =>
    (await stack.api('GET', `/devices/gaps/timeline?kind=${kind}`)).body.items.map((row) => row.text);

  test('shows what is missing as lost, until it comes late', async () => {
    node = await stack.device('gaps');
    await say('NBIRTH', 0, 0);
    await say('NDATA', 1, 1);
    await say('NDATA', 4, 4);
    await until(async () => (await strand()).lost_messages === 2);
    await say('NDATA', 3, 3);
    await say('NDATA', 2, 2);
    await until(async () => (await strand()).lost_messages === 0);
    assert.equal((await strand()).sequence_gaps, 1);
    assert.equal((await strand()).state, 'born');
    await until(async () => (await stack.sql('SELECT count(*)::int AS n FROM samples'))[0].n === 5);
    await until(async () => (await timeline('sequence_gap')).some((text) => /closed/.test(text)));
    assert.equal(await stack.metric('braid_sequence_lost_total'), 0);
    assert.equal(await stack.metric('braid_sequence_gaps_healed_total'), 1);
  });

  test('counts it for good when it does not, and asks for one rebirth', async () => {
    const asked = await stack.console();
    await asked.subscribeAsync('spBv1.0/g/NCMD/gaps');
    await say('NDATA', 8, 8);
    await until(async () => (await stack.metric('braid_sequence_lost_total')) === 4, 10000);
    assert.equal((await strand()).lost_messages, 4); // three missing, and the one behind them
    for (const [how, n] of [['missing', 3], ['unusable', 1]])
      await until(async () => (await stack.metric(`braid_sequence_lost_total{how="${how}"}`)) === n, 15000, how);
    await until(async () => (await timeline('loss')).some((text) => /3 did not come, 1 that came after/.test(text)));
    await until(() => asked.seen.length === 1);
    await say('NBIRTH', 0, 9);
    await until(async () => (await strand()).state === 'born');
    assert.equal((await strand()).lost_messages, 4);
    assert.equal(asked.seen.length, 1);
  });
});

withStack('a broker at its limits', { broker: 'sys_interval 1\nmax_queued_bytes 20000\n' }, (stack) => {
  test('drops, and the server tells', async () => {
    const away = await stack.console({ clientId: 'away', clean: false });
    await away.subscribeAsync('elsewhere/#', { qos: 1 });
    await away.endAsync(true);
    const sender = await stack.console();
    for (let i = 0; i < 100; i++) await sender.publishAsync('elsewhere/x', Buffer.alloc(1000), { qos: 1 });
    await until(async () => (await stack.metric('braid_broker_dropped_messages')) > 50, 10000); // told once a second
    const dropped = await stack.metric('braid_broker_dropped_messages');
    assert.ok(dropped < 100, `${dropped} of 100 dropped`);
    const { telemetry } = (await stack.api('GET', '/fleet')).body;
    assert.ok(telemetry.broker_dropped >= dropped);
    assert.ok(Date.now() - Date.parse(telemetry.broker_dropped_at) < 60000);
    assert.equal(telemetry.state, 'flowing'); // the server's own flow has nothing to do with it
    // Each is told by itself, once a second.
    await until(async () => (await stack.metric('braid_broker_publish_messages{direction="received"}')) >= 100);
    await until(async () => (await stack.metric('braid_broker_heap_bytes')) > 0);
    await until(async () => (await stack.metric('braid_broker_clients{state="disconnected"}')) >= 1);
  });

  test('takes messages of 1 MiB and more, of which the server decodes 1 MiB', async () => {
    const device = await stack.device('large');
    await device.publishAsync('spBv1.0/g/NDATA/large', Buffer.alloc(2 << 20), { qos: 0 });
    await until(async () => (await stack.metric('braid_bad_input_total{reason="too_big"}')) === 1, 10000);
    const cutOff = new Promise((resolve) => device.once('close', resolve)); // beyond 16 MiB
    device.publishAsync('spBv1.0/g/NDATA/large', Buffer.alloc(17 << 20), { qos: 1 }).catch(() => {});
    await cutOff;
    assert.equal((await stack.api('GET', '//readyz')).status, 200);
  });
});
