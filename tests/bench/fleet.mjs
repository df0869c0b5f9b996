// fleet.mjs - a large fleet on one node: what a device costs in memory, how long a start takes, how
// fast lists answer, how long after a restart every status is right again and what it writes.
//
//   node tests/bench/fleet.mjs [--devices 100000] [--metrics 10] [--events 10000000] [--quick] [--seed] [--start N] [--json] [--help]
//
// One connection to the broker plays all devices: each registers over LwM2M and is born over
// Sparkplug with ten metrics; it answers rebirth requests and is silent otherwise. What the server
// wrote is what it is started from; tags, groups and timeline events are filled in by SQL. Memory is
// the difference of the server's resident size, allocator included. Times are also given as ratios
// to limits of the same run: a start to reading the same rows with COPY, a list to GET /healthz.
//
// --quick is 4,000 devices and 100,000 events, in less than a minute. --seed writes the whole fleet
// by SQL instead of bearing it over the broker: start and lists at full size in little time.
// --start N does only that and N starts; --metrics 6 makes it a million series, four of each device
// being resources.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { startStack, until, sleep } from '../e2e/lib/stack.mjs';
import { cpuSeconds } from './lib/load.mjs';

const argv = process.argv.slice(2);
const has = (name) => argv.includes(`--${name}`);
const number = (name, fallback) => (has(name) ? Number(argv[argv.indexOf(`--${name}`) + 1]) : fallback);
if (has('help')) {
  const text = fs.readFileSync(new URL(import.meta.url), 'utf8');
  console.log(text.slice(0, text.indexOf('\nimport')).replace(/^\/\/ ?/gm, ''));
  process.exit(0);
}
const devices = number('devices', has('quick') ? 4000 : 100000);
const events = number('events', has('quick') ? 100000 : 10000000);
const rounds = number('rounds', 20);
const starts = number('start', 0);
const METRICS = number('metrics', 10);
const RESOURCES = 4;
const name = (i) => `fleet-${String(i).padStart(6, '0')}`;
const say = (text) => has('json') || console.error(`${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`);
const begun = Date.now();

// ---- Sparkplug payloads, by hand: the generator must not be the bottleneck ----

const varint = (value) => {
  const out = [];
  let v = BigInt(value);
  for (; v > 127n; v >>= 7n) out.push(Number(v & 127n) | 128);
  out.push(Number(v));
  return Buffer.from(out);
};
const field = (n, value) => Buffer.concat([varint(n << 3), varint(value)]);
const bytes = (n, value) => Buffer.concat([varint((n << 3) | 2), varint(value.length), value]);
const double = (n, value) => {
  const b = Buffer.alloc(8);
  b.writeDoubleLE(value);
  return Buffer.concat([varint((n << 3) | 1), b]);
};
const unit = bytes(9, Buffer.concat([bytes(1, Buffer.from('engUnit')),
  bytes(2, Buffer.concat([field(1, 12), bytes(8, Buffer.from('degC'))]))]));
const metric = (label, alias, datatype, value, more = Buffer.alloc(0)) =>
  bytes(2, Buffer.concat([bytes(1, Buffer.from(label)), field(2, alias), field(4, datatype), more, value]));
const shape = (i) => Buffer.concat([
  metric('bdSeq', 100, 4, field(11, 1)),
  metric('Node Control/Rebirth', 101, 11, field(14, 0)),
  ...Array.from({ length: METRICS }, (_, m) => metric(`Process/Value ${m}`, m, 10, double(13, i + m / 10), unit)),
]);
const birth = (i) => Buffer.concat([field(1, Date.now()), shape(i), field(3, 0)]);
const registration = (i) => JSON.stringify({
  endpoint: name(i), lifetime: 86400, version: '1.2', bindingMode: 'U',
  objects: { 1: { 0: {} }, 3: { 0: { 0: 'Bench', 1: `Model ${i % 5}`, 2: `SN-${i}`, 3: '1.0.0' } }, 4: { 0: {} } },
});

// ---- measuring ----

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
const round = (v, digits = 1) => Number(v.toFixed(digits));

async function timed(ask, n = rounds) {
  const ms = [];
  for (let i = 0; i < n; i++) {
    const from = process.hrtime.bigint();
    await ask(i);
    ms.push(Number(process.hrtime.bigint() - from) / 1e6);
  }
  ms.sort((a, b) => a - b);
  return { p50: round(percentile(ms, 50)), p95: round(percentile(ms, 95)) };
}

// Starts the server and looks at /readyz every few milliseconds; then one list must answer.
async function startUp(stack) {
  const postgres = cpuSeconds(stack.postgres.pid);
  const from = performance.now();
  stack.server.spawn();
  for (;;) {
    if (stack.server.child.end) throw new Error(stack.server.tail());
    try {
      if ((await fetch(`${stack.url}/readyz`)).status === 200) break;
    } catch {
      // not listening yet
    }
    await sleep(5);
  }
  const ready = performance.now() - from;
  const listed = await stack.api('GET', '/devices?limit=1');
  if (listed.status !== 200) throw new Error(listed.text);
  const serving = performance.now() - from;
  const cpu = (seconds) => Math.round(seconds * 1000);
  return { ready_ms: Math.round(ready), serving_ms: Math.round(serving),
    cpu_ms: { braidd: cpu(cpuSeconds(stack.server.pid)), postgres: cpu(cpuSeconds(stack.postgres.pid) - postgres) } };
}

// Starts again and again, of a fleet that was online each time; the median counts.
async function startsOnly(stack, empty) {
  const all = [];
  for (let i = 0; i < starts; i++) {
    await stack.sql("UPDATE device SET status = 'online', link = 'up'");
    await stack.sql('VACUUM ANALYZE');
    all.push(await startUp(stack));
    say(`start: ${JSON.stringify(all.at(-1))}`);
    result.bytes_per_device_restored = Math.round((rss(stack.server.pid) - empty) / devices);
    await stack.server.stop(60000);
  }
  all.sort((a, b) => a.serving_ms - b.serving_ms);
  result.start = all[Math.floor((all.length - 1) / 2)];
  result.starts_ms = all.map((one) => one.serving_ms);
}

// psql reads the rows a start needs, as fast as COPY gives them.
function copyLimit(stack) {
  const from = performance.now();
  const sql = `COPY (SELECT s.id, s.device_id, s.source, s.key, s.datatype, s.unit, l.at, l.value, l.quality, l.source
    FROM series s LEFT JOIN series_latest l ON l.series_id = s.id ORDER BY s.id) TO STDOUT (FORMAT binary)`.replace(/\s+/g, ' ');
  return new Promise((resolve, reject) => {
    const child = spawn('psql', ['-X', '-q', '-h', stack.sockets, '-U', 'braid_owner', '-d', 'braid', '-c', sql],
      { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('exit', () => resolve(Math.round(performance.now() - from)));
  });
}

const fleet = async (stack) => (await stack.api('GET', '/fleet')).body;

// Sends one message per device, never more ahead of the server than its mailbox can hold; what was
// lost on the way nevertheless is sent again.
async function drive(stack, client, topic, payload, done) {
  for (let pass = 0; pass < 5; pass++) {
    const from = await done();
    let said = 0;
    for (let i = 0; i < devices; i++) {
      client.publish(topic(i), payload(i), { qos: 0 });
      if (++said % 500) continue;
      const patience = Date.now() + 1000;
      while (pass === 0 && said - (await done()) > 4000 && Date.now() < patience) await sleep(5);
    }
    for (let before = from; ; await sleep(1000)) {
      const now = await done();
      if (now >= devices) return;
      if (now === before) break;
      before = now;
    }
    say(`${devices - (await done())} of ${devices} are missing: all is sent again`);
  }
  throw new Error('the fleet did not come up');
}

// Nothing waits for the database any more.
async function idle(stack) {
  let calm = 0;
  await until(async () => {
    const waiting = (await stack.metric('braid_queue_depth')) + (await stack.metric('braid_spool_bytes'));
    calm = waiting ? 0 : calm + 1;
    return calm > 10 || sleep(50);
  }, 900000, 'the writer is idle');
}

// What a table is besides its rows, in words to compare and to make again: keys before the indexes
// that are not theirs, what points elsewhere last.
const dressOf = (stack, table) => stack.sql(`
  SELECT conname AS name, 'CONSTRAINT' AS what, format('ALTER TABLE %I ADD CONSTRAINT %I %s', $1::text, conname, pg_get_constraintdef(oid)) AS sql,
         CASE contype WHEN 'f' THEN 3 ELSE 1 END AS turn
    FROM pg_constraint WHERE conrelid = $1::regclass
  UNION ALL
  SELECT indexname, 'INDEX', indexdef, 2 FROM pg_indexes i
   WHERE tablename = $1 AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = format('%I.%I', schemaname, indexname)::regclass)
   ORDER BY turn, name`, [table]);

// Fills a table with rows 1 to `most`, a million at a time and two at once, while it has neither
// indexes nor constraints: checked and sorted once for all rows they cost a tenth.
async function unindexed(stack, table, fill, most) {
  const dress = await dressOf(stack, table);
  for (const d of [...dress].reverse()) {
    await stack.sql(d.what === 'INDEX' ? `DROP INDEX ${d.name}` : `ALTER TABLE ${table} DROP CONSTRAINT ${d.name}`);
  }
  const step = 1000000;
  let done = 0;
  const worker = async () => {
    while (done < most) {
      const first = done + 1;
      done = Math.min(done + step, most);
      await fill(first, done);
      say(`${table}: ${done}`);
    }
  };
  await Promise.all([worker(), worker()]);
  for (const d of dress) {
    await stack.sql(`SET maintenance_work_mem = '512MB'; ${d.sql}`);
    say(`${table}: ${d.name}`);
  }
  assert.deepEqual(await dressOf(stack, table), dress);
}

async function fillSql(stack) {
  await stack.sql(`INSERT INTO device_tag (device_id, key, value)
    SELECT id, t.key, CASE t.key WHEN 'env' THEN 'p' || id % 2 WHEN 'site' THEN 's' || id % 100 ELSE 'all' END
    FROM device, (VALUES ('env'), ('site'), ('owner')) AS t(key)`);
  await stack.sql("INSERT INTO device_group (name) VALUES ('bench')");
  await stack.sql('INSERT INTO group_member SELECT g.id, d.id FROM device_group g, device d WHERE d.id % 1000 = 0');
  say(`${events} events by SQL`);
  await unindexed(stack, 'timeline_event', (first, last) => stack.sql(`INSERT INTO timeline_event (device_id, at, kind, strand, text)
    SELECT 1 + (i * 7919) % $1, now() - interval '90 days' + i * interval '90 days' / $2,
           CASE WHEN i % 1000003 = 0 THEN 'clash' WHEN i % 3 = 0 THEN 'status' ELSE 'registered' END, 'braid', 'event ' || i
      FROM generate_series($3::bigint, $4::bigint) AS i`, [devices, events, first, last]), events);
  await stack.sql('VACUUM ANALYZE');
}

// What the server would have written of the same fleet.
async function seedSql(stack) {
  for (const sql of [
    `UPDATE device SET spb_group = 'bench', spb_node = endpoint, status = 'online', link = 'up', last_seen = now(),
       manufacturer = 'Bench', model = 'Model ' || id % 5, serial = 'SN-' || id - 1, firmware = '1.0.0'`,
    `INSERT INTO registration SELECT id, 'registered', 'json', '1.2', 86400, 'U', false, '</1/0>,</3/0>,</4/0>', now(), now(),
       now() + interval '1 day' FROM device`,
    `INSERT INTO spb_node SELECT id, 'born', 1, now() FROM device`,
    `INSERT INTO series SELECT (d.id - 1) * ${RESOURCES + METRICS} + m + 1, d.id, CASE WHEN m < ${RESOURCES} THEN 'lwm2m' ELSE 'sparkplug' END,
       CASE WHEN m < ${RESOURCES} THEN 'lwm2m:/3/0/' || m ELSE 'spb:/Process/Value ' || m - ${RESOURCES} END,
       CASE WHEN m < ${RESOURCES} THEN 'string' ELSE 'Double' END, CASE WHEN m < ${RESOURCES} THEN NULL ELSE 'degC' END
       FROM device d, generate_series(0, ${RESOURCES + METRICS - 1}) m`,
    `INSERT INTO series_latest SELECT s.id, now(), CASE s.key WHEN 'lwm2m:/3/0/0' THEN to_json(d.manufacturer)
       WHEN 'lwm2m:/3/0/1' THEN to_json(d.model) WHEN 'lwm2m:/3/0/2' THEN to_json(d.serial)
       WHEN 'lwm2m:/3/0/3' THEN to_json(d.firmware) ELSE to_json(s.id / 10.0) END, 'good',
       CASE WHEN s.source = 'lwm2m' THEN 'registration' ELSE 'data' END FROM series s JOIN device d ON d.id = s.device_id ORDER BY s.id`,
  ]) await stack.sql(sql);
}

async function deepCursor(stack, sort, depth) {
  let cursor = '';
  for (let seen = 0; seen < depth; seen += 1000) {
    const page = await stack.api('GET', `/devices?sort=${sort}&limit=1000${cursor}`);
    if (!page.body.next) break;
    cursor = `&cursor=${encodeURIComponent(page.body.next)}`;
  }
  return `/devices?sort=${sort}&limit=100${cursor}`;
}

async function lists(stack) {
  const some = (i) => name((i * 7919) % devices);
  const asked = {
    'healthz (limit)': () => '//healthz',
    'first page': () => '/devices?limit=100',
    'page of 1000': () => '/devices?limit=1000',
    'search one name': (i) => `/devices?search=${some(i)}`,
    'search common text': () => '/devices?search=fleet-0',
    'search nothing': () => '/devices?search=nowhere',
    'search by serial': (i) => `/devices?search=sn-${i * 31}`,
    'status=online': () => '/devices?status=online',
    'status=lost,unknown': () => '/devices?status=lost,unknown',
    'tag of 1 %': (i) => `/devices?tag=site:s${i % 100}`,
    'tag of 50 %': (i) => `/devices?tag=env:p${i % 2}`,
    'tag of all': () => '/devices?tag=owner',
    'two tags and search': (i) => `/devices?tag=site:s${i % 100}&tag=env:p${i % 2}&search=fleet`,
    'group of 0.1 %': () => '/devices?group=bench',
    'GET /fleet': () => '/fleet',
    'one device': (i) => `/devices/${some(i)}`,
    'timeline': () => '/timeline',
    'timeline of a kind': () => '/timeline?kind=status',
    'timeline of a rare kind': () => '/timeline?kind=clash',
    'timeline of a device': (i) => `/devices/${some(i)}/timeline`,
    'commands of a device': (i) => `/devices/${some(i)}/commands`,
    'labels': () => '/labels?limit=100',
  };
  for (const sort of ['endpoint', '-endpoint', 'last_seen', '-last_seen', 'status', '-status']) {
    asked[`sort=${sort}`] = () => `/devices?sort=${sort}`;
    const deep = await deepCursor(stack, sort, devices * 0.7);
    asked[`sort=${sort}, deep`] = () => deep;
  }
  const out = {};
  for (const [what, where] of Object.entries(asked)) {
    await stack.api('GET', where(0));
    out[what] = await timed(async (i) => {
      const answer = await stack.api('GET', where(i));
      if (answer.status !== 200) throw new Error(`${where(i)}: ${answer.status} ${answer.text.slice(0, 200)}`);
    });
  }
  return out;
}

const goodShare = async (stack) => ((await fleet(stack)).by_status.online || 0) / devices;

// Every alias must have come with its name: a metric without one would show as a bare number.
async function namelessMetrics(stack) {
  let nameless = 0;
  for (let k = 0; k < 20; k++) {
    const d = await until(async () => {
      const answer = await stack.api('GET', `/devices/${name((k * 7919) % devices)}`);
      return answer.status === 200 && answer.body;
    }, 60000, 'a device is shown');
    nameless += d.metrics.filter((m) => !/^(Process\/Value|Node)/.test(m.name)).length;
    if (d.metrics.length !== METRICS) nameless++;
  }
  return nameless;
}

const result = { devices, metrics_per_device: METRICS, events: starts ? 0 : events };

async function bearAll(stack, client, empty) {
  await stack.server.start();
  say('registrations');
  let from = Date.now();
  await drive(stack, client, (i) => `lwm2m/${name(i)}/reg`, registration, async () => (await fleet(stack)).lwm2m_active);
  result.registered_per_s = Math.round((devices * 1000) / (Date.now() - from));
  say('births');
  from = Date.now();
  await drive(stack, client, (i) => `spBv1.0/bench/NBIRTH/${name(i)}`, birth, async () => (await fleet(stack)).sparkplug_online);
  result.born_per_s = Math.round((devices * 1000) / (Date.now() - from));
  await idle(stack);
  await sleep(11000); // latest values are written every ten seconds
  await idle(stack);
  result.bytes_per_device = Math.round((rss(stack.server.pid) - empty) / devices);
  say(`memory: ${result.bytes_per_device} bytes per device`);
}

const seriesCount = async (stack) => Number((await stack.sql('SELECT count(*) AS n FROM series'))[0].n);

async function everything(stack, client, empty) {
  say('tags and events by SQL');
  await fillSql(stack);

  say('start-up');
  result.series = await seriesCount(stack);
  result.copy_ms = await copyLimit(stack);
  let rebirths = 0;
  client.on('message', (topic) => {
    rebirths++;
    const node = topic.split('/')[3];
    client.publish(`spBv1.0/bench/NBIRTH/${node}`, birth(Number(node.slice(6))), { qos: 0 });
  });
  await client.subscribeAsync('spBv1.0/bench/NCMD/+');
  const restarted = Date.now();
  result.start = await startUp(stack);
  say(`start: ${JSON.stringify(result.start)}`);
  result.bytes_per_device_restored = Math.round((rss(stack.server.pid) - empty) / devices);
  result.nameless_before = await namelessMetrics(stack);
  say('restored');
  await until(async () => (await goodShare(stack)) >= 0.999, 900000, 'status right for 99.9 %');
  result.restart = { right_ms: Date.now() - restarted, rebirths, nameless: await namelessMetrics(stack) };
  await idle(stack);
  result.restart.timeline_rows = Number((await stack.sql('SELECT count(*) AS n FROM timeline_event WHERE at > $1',
    [new Date(restarted)]))[0].n);
  say(`restart: ${JSON.stringify(result.restart)}`);
  result.bytes_per_device_reborn = Math.round((rss(stack.server.pid) - empty) / devices);

  say('lists');
  result.lists_ms = await lists(stack);
  result.worst_p95_ms = Math.max(...Object.values(result.lists_ms).map((l) => l.p95));
  client.removeAllListeners('message');
}

const stack = await startStack({ server: false });
try {
  say('empty server');
  await stack.server.start();
  await sleep(500);
  const empty = rss(stack.server.pid);
  await stack.server.stop();
  // Known to the database, so that the admission of new devices is not what is measured.
  await stack.sql('INSERT INTO device (id, endpoint) SELECT i + 1, \'fleet-\' || lpad(i::text, 6, \'0\') FROM generate_series(0, $1::int - 1) i', [devices]);
  const client = await stack.console();
  if (has('seed') || starts) await seedSql(stack);
  else await bearAll(stack, client, empty);
  if (stack.server.child) await stack.server.stop(60000);

  if (starts) {
    result.series = await seriesCount(stack);
    await startsOnly(stack, empty);
    result.copy_ms = await copyLimit(stack);
  } else {
    await everything(stack, client, empty);
  }
  result.start.ratio_to_copy = round(result.start.serving_ms / result.copy_ms, 2);
} finally {
  await stack.stop();
}

if (has('json')) {
  console.log(JSON.stringify(result));
} else {
  const { lists_ms: table, ...rest } = result;
  console.log(rest);
  if (table) console.table(table);
  console.log(`bytes per device ÷ 2048: ${round((result.bytes_per_device || result.bytes_per_device_restored) / 2048, 2)}`);
  console.log(`start-up with ${result.series} series ÷ 3 s: ${round(result.start.serving_ms / 3000, 2)}; ÷ COPY of the same rows: ${result.start.ratio_to_copy}`);
  if (table) console.log(`worst list p95 ÷ 50 ms: ${round(result.worst_p95_ms / 50, 2)}`);
}
