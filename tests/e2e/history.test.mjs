// What was: few samples as they are, many in buckets that keep every peak, several series on one grid,
// and all of it as a file.

import { before, test } from 'node:test';
import assert from 'node:assert/strict';
import { jsonDevice } from './lib/devices.mjs';
import { until, withStack } from './lib/stack.mjs';

const minute = 60000;
const hour = 60 * minute;

withStack('history', {}, (stack) => {
  const now = Date.now();
  const start = Math.floor(now / hour) * hour - 26 * hour; // 26 hours of a sample every 30 s
  const temperature = 'lwm2m:/3303/0/5700';
  const humidity = 'lwm2m:/3304/0/5700';
  const values = [];
  for (let i = 0; i < 26 * 120; i++) {
    const time = start + i * 30000;
    values.push({ path: '/3303/0/5700', value: i === 777 ? 99.5 : Math.round(200 + 50 * Math.sin(i / 200)) / 10, time });
  }
  const history = async (query) => (await stack.api('GET', `/devices/past/history?series=${encodeURIComponent(temperature)}&${query}`)).body;

  before(async () => {
    const { say, ack } = await jsonDevice(stack, 'past');
    await say('reg', { lifetime: 3600, version: '1.2', bindingMode: 'UQ', objects: { 3: { 0: { 0: 'Acme' } }, 3303: { 0: {} }, 3304: { 0: {} } } });
    await ack('reg');
    for (let i = 0; i < values.length; i += 400) await say('send', { values: values.slice(i, i + 400) });
    await say('send', { values: [1, 2, 3].map((k) => ({ path: '/3304/0/5700', value: 40 + k, time: start + 20 * hour + k * minute })) });
    await say('send', { values: [{ path: '/3/0/0', value: 'Acme, "Ltd"', time: start + 20 * hour }] });
    await until(async () => {
      const [row] = await stack.sql('SELECT count(*)::integer AS n FROM samples');
      const [texts] = await stack.sql("SELECT count(*)::integer AS n FROM text_samples WHERE value = 'Acme, \"Ltd\"'");
      return row.n >= values.length + 3 && texts.n >= 1;
    }, 30000, 'all samples are stored');
  });

  test('a day is made of whole buckets at round times, and every peak is in one', async () => {
    const h = await history(`from=${start}&to=${start + 24 * hour}&points=500`);
    assert.equal(h.bucket_ms, 3 * minute);
    assert.equal(h.points.length, 480);
    assert.ok(h.points.every(([ts, min, max, avg, n]) => ts % h.bucket_ms === 0 && min <= avg && avg <= max && n === 6));
    assert.equal(h.points.reduce((n, p) => n + p[4], 0), 24 * 120);
    assert.equal(Math.max(...h.points.map((p) => p[2])), 99.5);
    const [, , , , , last] = h.points[3];
    assert.equal(last, values[23].value);
  });

  test('a short span is told sample by sample, with the one before it', async () => {
    const from = start + 2 * hour + 1;
    const h = await history(`from=${from}&to=${from + 10 * minute}&before=1`);
    assert.equal(h.bucket_ms, 0);
    assert.deepEqual(h.points, values.filter((v) => v.time >= from && v.time < from + 10 * minute).map((v) => [v.time, v.value]));
    assert.deepEqual(h.before, [values[240].time, values[240].value]);
    assert.equal((await history(`from=${start}&to=${start + minute}&before=1`)).before, null);
  });

  test('several series share one grid', async () => {
    const query = [temperature, humidity].map((key) => `series=${encodeURIComponent(`past/${key}`)}`).join('&');
    const ask = (more) => stack.api('GET', `/history?${query}&${more}`);
    const { body } = await ask(`from=${start}&to=${start + 24 * hour}&points=100`);
    assert.equal(body.bucket_ms, 15 * minute);
    const [t, h] = body.items;
    assert.deepEqual([t.endpoint, t.series, h.series], ['past', temperature, humidity]);
    assert.equal(t.points.length, 96);
    assert.deepEqual(h.points, [[start + 20 * hour, 41, 43, 42, 3, 43]]);
    const raw = (await ask(`from=${start + 20 * hour}&to=${start + 21 * hour}`)).body;
    assert.equal(raw.bucket_ms, 0);
    assert.equal(raw.items[1].points.length, 3);
    assert.equal((await stack.api('GET', '/history?series=past/nothing')).status, 404);
    assert.equal((await stack.api('GET', `/history?series=${encodeURIComponent(`nobody/${temperature}`)}`)).status, 404);
  });

  const file = async (more, key = temperature) => {
    const got = await fetch(`${stack.url}/api/v1/devices/past/export?series=${encodeURIComponent(key)}&${more}`,
      { headers: { authorization: `Bearer ${stack.token}` } });
    const text = await got.text();
    return { status: got.status, headers: got.headers, text, lines: text.split('\r\n') };
  };

  test('all samples are in the file, in order', async () => {
    const got = await file(`from=${start - 400 * 24 * hour}&to=${start + 30 * hour}`);
    assert.equal(got.status, 200);
    assert.match(got.headers.get('content-type'), /^text\/csv/);
    assert.equal(got.headers.get('transfer-encoding'), 'chunked');
    assert.equal(got.headers.get('content-disposition'), 'attachment; filename="past-history.csv"');
    assert.match(got.lines[0], /^time,lwm2m:\/3303\/0\/5700.*,lwm2m:\/3303\/0\/5700 quality$/);
    assert.equal(got.lines.at(-1), '');
    assert.deepEqual(got.lines.slice(1, -1).map((l) => l.split(',').slice(0, 2)),
      values.map((v) => [new Date(v.time).toISOString(), String(v.value)]));
  });

  test('several series share lines, texts are quoted, NDJSON has one object each', async () => {
    const query = `series=${encodeURIComponent('lwm2m:/3/0/0')}&from=${start + 20 * hour}&to=${start + 20 * hour + 3 * minute}`;
    const csv = await file(query, humidity);
    const at = csv.lines.findIndex((l) => l.startsWith(new Date(start + 20 * hour).toISOString()));
    assert.match(csv.lines[at], /,"Acme, ""Ltd""",\d+$/);
    assert.equal(csv.lines[at + 1].split(',')[1], '41');
    const ndjson = await file(`${query}&format=ndjson`, humidity);
    const objects = ndjson.text.trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(objects.length, 2 + 1);
    assert.ok(objects.some((o) => o.value === 'Acme, "Ltd"' && o.series === 'lwm2m:/3/0/0'));
    assert.ok(objects.every((o, i) => i === 0 || o.time >= objects[i - 1].time));
  });

  test('a file of buckets, and questions that are refused', async () => {
    const got = await file(`from=${start}&to=${start + 24 * hour}&bucket=3600`);
    assert.equal(got.lines.length, 1 + 24 + 1);
    const [time, min, max, avg, n, last] = got.lines[1].split(',');
    assert.equal(time, new Date(start).toISOString());
    assert.ok(Number(min) <= Number(avg) && Number(avg) <= Number(max) && n === '120' && last === String(values[119].value));
    for (const more of ['format=xml', 'bucket=-1', `from=${now}&to=${start}`, 'from=yesterday', 'from=1&to=9007199254740993', 'to=9999-12-31T23:59:59Z']) {
      const no = await file(more);
      assert.deepEqual([no.status, JSON.parse(no.text).code], [400, 'bad_parameter'], more);
    }
    for (const more of ['from=0&to=99999999999999', 'points=0', 'points=5001', 'before=2', `from=${now}&to=${start}`]) {
      const no = await stack.api('GET', `/devices/past/history?series=${encodeURIComponent(temperature)}&${more}`);
      assert.deepEqual([no.status, no.body.code], [400, 'bad_parameter'], more);
    }
    assert.equal((await file('', 'spb:none')).status, 404);
    assert.equal((await stack.api('GET', '/devices/past/export')).status, 400);
    assert.match((await stack.api('GET', '/devices/nobody/export?series=x')).body.detail, /no such device/);
  });

  test('a file that breaks off does not look whole', async () => {
    const [{ id }] = await stack.sql('SELECT id FROM series WHERE key = $1', [humidity]);
    await stack.sql(`INSERT INTO piece (start, stop, series_id, n, class_id, t2) SELECT at, at + interval '1 s', $1, 3, 0, '{0,1000}'
      FROM (SELECT now() + interval '20 days' AS at) t`, [id]);
    const span = `from=${start}&to=${now + 40 * 24 * hour}`;
    await assert.rejects(file(span, humidity), 'the connection ends without the last chunk');
    await stack.sql('DELETE FROM piece WHERE start > now()');
    assert.equal((await file(span, humidity)).lines.length, 1 + 3 + 1);
  });
});
