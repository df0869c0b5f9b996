// How long history is kept and what it takes: classes and rules over REST, drops by the background
// job, what a deleted device leaves, figures and forecast in API and metrics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, withStack } from './lib/stack.mjs';

const config = { 'history.slot_s': 1, 'history.disk_limit_bytes': 1e12, 'history.timeline_days': 30 };

withStack('storage', { devices: 3, config }, (stack) => {
  const name = (i) => `sim-t-0000${i}`;
  const days = (raw) => ({ raw_days: raw, minute_days: 400, hour_days: 1830 });
  const superuser = (text) => stack.withClient('postgres', 'braid', (client) => client.query(text));
  const audited = (action, target) => until(async () =>
    (await stack.api('GET', `/audit?action=${action}&target=${target}`)).body.items[0], 10000, `${action} ${target}`);
  let series;

  test('a class is made, changed with old and new in the audit log, and kept while it is in use', async () => {
    await until(async () => (await stack.api('GET', `/devices/${name(1)}/series`)).body.items?.some((s) => s.numeric), 30000);
    assert.equal((await stack.api('PUT', '/storage/classes/month', days(30))).status, 201);
    assert.equal((await stack.api('PUT', '/storage/classes/month', days(31))).status, 200);
    const { detail } = await audited('class_change', 'month');
    assert.deepEqual([detail.old.raw_days, detail.new.raw_days], [30, 31]);
    const rule = await stack.api('POST', '/storage/rules', { endpoint: name(2), series: 'spb:*', class: 'month' });
    assert.equal(rule.status, 201);
    const kept = await stack.api('DELETE', '/storage/classes/month');
    assert.deepEqual([kept.status, kept.body.code], [409, 'class_in_use']);
  });

  test('a rule counts for the series there are, a single setting outlives it', async () => {
    const classes = async (i) => (await stack.api('GET', `/devices/${name(i)}/storage?limit=1000`)).body.items;
    const sparkplug = (list) => list.filter((s) => s.series.startsWith('spb:'));
    await until(async () => {
      const list = sparkplug(await classes(2));
      return list.length && list.every((s) => s.class === 'month');
    }, 30000, 'all Sparkplug series of the device in class month');
    assert.ok(sparkplug(await classes(1)).every((s) => s.class === 'standard'));
    series = sparkplug(await classes(2))[0].series;
    const put = await stack.api('PUT', `/devices/${name(2)}/storage`, { series, class: 'long' });
    assert.deepEqual(put.body, { series, class: 'long', fixed: true });
    const { items: [rule] } = (await stack.api('GET', '/storage/rules')).body;
    assert.equal((await stack.api('DELETE', `/storage/rules/${rule.id}`)).status, 204);
    await until(async () => {
      const list = sparkplug(await classes(2));
      return list.every((s) => s.class === (s.series === series ? 'long' : 'standard'));
    }, 30000, 'all others in class standard');
  });

  test('what is older than its class keeps is dropped by the running server, and told', async () => {
    await superuser(`SELECT ensure_history(0::smallint, now() - interval '30 years');
      INSERT INTO timeline_event (device_id, at, kind, strand, text)
        SELECT id, now() - interval '40 days', 'note', 'braid', 'long ago' FROM device`);
    const { rows: [{ part }] } = await superuser("SELECT part FROM history_part WHERE kind = 'chunk' ORDER BY since LIMIT 1");
    await stack.server.restart(); // the first turn comes with the start, the next in an hour
    const entry = await audited('history_drop', part);
    assert.equal(entry.who, 'braid');
    assert.equal(entry.detail.class, 'standard');
    assert.ok(entry.detail.bytes > 0);
    await until(async () => (await superuser("SELECT FROM timeline_event WHERE text = 'long ago'")).rowCount === 0, 20000);
    await until(async () => (await stack.metric('braid_retention_partitions_total')) >= 3, 20000);
    await until(async () => (await stack.metric('braid_retention_rows_total{kind="timeline"}')) >= 3, 20000);
  });

  test('the report adds up, and the forecast says what it knows', async () => {
    await until(async () => (await stack.metric('braid_storage_bytes{kind="other"}')) > 0, 20000);
    await until(async () => (await stack.metric('braid_storage_limit_bytes')) === 1e12, 20000);
    const { body } = await stack.api('GET', '/storage');
    assert.equal(body.kinds.reduce((sum, k) => sum + k.bytes, 0), body.bytes);
    assert.equal(body.limit_bytes, 1e12);
    assert.match(body.forecast.sentence, /needs an hour/);
    assert.ok(body.classes.find((c) => c.name === 'month'));
    // A day later by the tables:
    await superuser("UPDATE storage_day SET first_at = first_at - interval '1 day'");
    const later = (await stack.api('GET', '/storage')).body.forecast;
    assert.equal(later.level, 'fits');
    assert.match(later.sentence, /It fits: the database will settle at about/);
    assert.match(later.evidence, /in the last 24 hours it grew by/);
  });

  test('what is packed is counted by device', async () => {
    await superuser(`SELECT ensure_history(0::smallint, now());
      INSERT INTO chunk (start, stop, step_us, v0, series_id, n, class_id, scale)
        SELECT now(), now(), 1, 1, s.id, 5000, 0, 0 FROM series s JOIN device d ON d.id = s.device_id
         WHERE d.endpoint = '${name(3)}';
      SELECT storage_count(now()); SELECT storage_note(now())`);
    const { items } = (await stack.api('GET', '/storage/devices?sort=-bytes')).body;
    const mine = items.find((d) => d.endpoint === name(3));
    assert.ok(mine.samples >= 5000 && mine.bytes > 0 && mine.estimate, JSON.stringify(items));
    assert.equal((await stack.api('GET', `/devices/${name(3)}/storage`)).body.bytes, mine.bytes);
  });

  test('a deleted device leaves no history', async () => {
    const ids = (await superuser(`SELECT s.id FROM series s JOIN device d ON d.id = s.device_id WHERE d.endpoint = '${name(3)}'`))
      .rows.map((row) => row.id);
    await stack.sim.stop();
    await until(async () => (await stack.api('DELETE', `/devices/${name(3)}`)).status === 204, 20000);
    await until(async () => (await superuser('SELECT FROM series_purge WHERE NOT again')).rowCount === ids.length, 30000);
    await until(async () => (await stack.metric('braid_purged_rows_total')) >= ids.length, 20000);
    for (const table of ['piece', 'chunk', 'text_sample'])
      await until(async () => (await superuser(`SELECT FROM ${table} WHERE series_id = ANY (ARRAY[${ids}])`)).rowCount === 0,
        20000, `nothing in ${table}`);
  });
});
