// Parts die: the server, the database, the broker, in turn, under a fleet. Nothing that was received
// is lost, and all is right again soon after the part is.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spbPayload } from './lib/devices.mjs';
import { atMost, withStack, until, sleep, build } from './lib/stack.mjs';

const count = Number(process.env.BRAID_OUTAGE_DEVICES || (build === 'release' ? 200 : 40));
const away = Number(process.env.BRAID_OUTAGE_SECONDS || 60) * 1000;
withStack('outages', { devices: count, socket: true, config: { 'history.slot_s': 2 } }, (stack) => {

const fleet = () => stack.api('GET', '/fleet').then((r) => r.body);
const allGood = async () => {
  const f = await fleet();
  const good = (f.by_status.online || 0) + (f.by_status.sleeping || 0);
  return f.devices === count && good === count && f;
};

// Time from the part's own ready line until every device is right again.
async function killed(part) {
  await part.kill('SIGKILL');
  await sleep(500);
  await part.start();
  const from = Date.now();
  await until(allGood, 30000, `all good after ${part.name}`);
  return Date.now() - from;
}

test('the fleet is up', async () => {
  await until(allGood, 60000);
});

for (const name of ['server', 'postgres', 'broker']) {
  test(`kill -9 of the ${name}: all devices are right again`, async (t) => {
    const ms = await killed(stack[name]);
    t.diagnostic(`${name}: ${count} devices right ${ms} ms after its ready line`);
    assert.ok(ms < atMost(10000), `${ms} ms`);
  });
}

test('an outage of PostgreSQL loses no sample', async (t) => {
  const device = await stack.device('outage-node');
  let seq = 0;
  const publish = (type, metrics) => device.publishAsync(`spBv1.0/out/${type}/outage-node`,
    spbPayload(metrics, { seq: seq++ % 256 }), { qos: 1 });
  await publish('NBIRTH', [{ name: 'bdSeq', type: 'Int64', value: 0 }, { name: 'N', type: 'Int64', value: 0 }]);
  await until(() => stack.api('GET', '/devices/outage-node').then((r) => r.body.sparkplug?.state === 'born'));
  await stack.postgres.kill('SIGKILL');
  let sent = 0;
  const until_ = Date.now() + away;
  while (Date.now() < until_) {
    const metrics = [];
    for (let i = 0; i < 10; i++) metrics.push({ name: 'N', type: 'Int64', value: ++sent, timestamp: Date.now() });
    await publish('NDATA', metrics);
    await sleep(20);
  }
  const down = (await fleet()).database;
  assert.equal(down.state, 'down');
  const answer = await stack.api('POST', '/devices/outage-node/commands', { op: 'rebirth' });
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get('retry-after'));
  await stack.postgres.start();
  const stored = () => stack.sql(
    "SELECT count(*)::int AS n, count(DISTINCT value)::int AS distinct, max(value)::int AS top FROM samples s JOIN series r ON r.id = s.series_id WHERE r.key = 'spb:/N'")
    .then((rows) => rows[0]);
  const rows = await until(async () => {
    const r = await stored();
    return r.top === sent && r.n > sent && r;
  }, 30000, 'the spool is drained');
  t.diagnostic(`${sent} samples sent during ${away / 1000} s without PostgreSQL, ${rows.n - 1} stored`);
  assert.equal(rows.n, sent + 1);
  assert.equal(rows.distinct, sent + 1);
});
});
