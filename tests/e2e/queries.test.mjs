// queries.test.mjs - no query of the server reads a large table from end to end.
//
// Every SQL text in the server's sources is explained against a filled database, with the plan that
// serves all parameters. The texts are found by the compiler's preprocessor, so that none can be
// forgotten; the few that have to read everything are listed with their reason.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { build, root, withStack } from './lib/stack.mjs';

// [a piece of the text, the tables it may read whole, why]
const wholeReads = [
  ['FROM device_tag GROUP BY key, value', ['device_tag'], 'the list of all tags in use'],
  ['SELECT p.endpoint, p.hash FROM device_password', ['device_password', 'identity'], 'the broker\'s password file is written whole'],
  ['c.revoked_at IS NULL FROM device_certificate', ['device_certificate', 'identity'], 'the broker\'s revocation list is written whole'],
  ['FROM audit_log WHERE ($1::text IS NULL OR who', ['audit_log'], 'planned anew for the parameters given: who, target and id have indexes'],
];

// Rows that make a table large, with foreign keys out of the way.
const fill = `
SET session_replication_role = replica;
INSERT INTO device (id, endpoint, spb_group, spb_node) SELECT i, 'q-' || i, 'g', 'q-' || i FROM generate_series(1, 20000) i;
INSERT INTO registration (device_id, state, dialect, version, lifetime, binding, queue_mode, links, registered_at, updated_at)
  SELECT id, 'registered', 'json', '1.2', 60, 'U', false, '', now(), now() FROM device;
INSERT INTO spb_node (device_id, life) SELECT id, 'born' FROM device;
INSERT INTO observation (device_id, token, paths, composite, since) SELECT id, 't', '/3/0/0', false, now() FROM device;
INSERT INTO subdevice (device_id, name, life) SELECT id, 'D1', 'born' FROM device;
INSERT INTO series (id, device_id, source, key, datatype) SELECT d.id * 4 + k, d.id, 'sparkplug', 'spb:/m' || k, 'Double'
  FROM device d, generate_series(0, 3) k;
INSERT INTO series_latest (series_id, at, value, quality, source) SELECT id, now(), '1', 'good', 'data' FROM series;
INSERT INTO timeline_event (device_id, at, kind, strand, text) SELECT 1 + i % 20000, now() - i * interval '1 s',
  'k' || i % 20, 'braid', 'event ' || i FROM generate_series(1, 60000) i;
INSERT INTO command (device_id, op, request, state, by_name, created_at, idempotency_key)
  SELECT 1 + i % 20000, 'read', '{}', CASE WHEN i % 100 = 0 THEN 'queued' ELSE 'succeeded' END, 'u', now() - i * interval '1 s', 'k' || i
  FROM generate_series(1, 20000) i;
INSERT INTO device_tag (device_id, key, value) SELECT id, k, 'v' || id % 50 FROM device, unnest(ARRAY['a', 'b']) k;
INSERT INTO device_group (name) SELECT 'g' || i FROM generate_series(1, 200) i;
INSERT INTO group_member SELECT 1 + id % 200, id FROM device;
INSERT INTO audit_log (who, action, target) SELECT 'u' || i % 50, 'a', 'q-' || i FROM generate_series(1, 30000) i;
INSERT INTO identity (endpoint, state) SELECT 'q-' || i, CASE WHEN i % 500 = 0 THEN 'retired' ELSE 'active' END FROM generate_series(1, 20000) i;
INSERT INTO device_certificate (serial, endpoint, fingerprint, not_before, not_after, issued_by)
  SELECT to_hex(i), 'q-' || i, 'f' || i, now(), now() + i * interval '1 h', 'u' FROM generate_series(1, 20000) i;
INSERT INTO device_password (endpoint, hash, set_by) SELECT 'q-' || i, 'h', 'u' FROM generate_series(1, 20000) i;
INSERT INTO ingest_batch (writer, batch_no) SELECT 1, i FROM generate_series(1, 20000) i;
INSERT INTO app_session (token_hash, csrf, user_id, expires_at) SELECT 'h' || i, 'c', i % 500, now() + i * interval '1 s' FROM generate_series(1, 20000) i;
INSERT INTO piece (start, stop, series_id, n, class_id) SELECT h, h, s, 1, 0
  FROM generate_series(now() - interval '100 h', now(), '1 h') h, generate_series(1, 200) s;
INSERT INTO storage_device SELECT id, id, id * 10, now() FROM device;
INSERT INTO text_sample (series_id, ts, kind, value, quality) SELECT s, now(), 't', 'a word', 0 FROM generate_series(1, 40000) s;
SELECT ensure_history(0::smallint, now() - w * interval '1 week') FROM generate_series(0, 3) w;
INSERT INTO chunk (start, stop, step_us, v0, series_id, n, class_id, scale) SELECT d, d, 1, 1, s, 100, 0, 0
  FROM generate_series(now() - interval '20 days', now(), '1 day') d, generate_series(1, 2000) s;
INSERT INTO rollup_minute (start, series_id, class_id, at, n, lo, hi, mean, first, last)
  SELECT start, series_id, class_id, '{0}', '{1}', '{1}', '{1}', '{1}', '{1}', '{1}' FROM chunk;
INSERT INTO rollup_hour (start, series_id, class_id, at, n, lo, hi, mean, first, last)
  SELECT start, series_id, class_id, '{0}', '{1}', '{1}', '{1}', '{1}', '{1}', '{1}' FROM chunk;
SET session_replication_role = DEFAULT;
`;
// Landing tables have no index and are bounded instead (history.slot_rows).
const large = ['device', 'registration', 'spb_node', 'observation', 'subdevice', 'series', 'series_latest', 'timeline_event',
  'command', 'device_tag', 'group_member', 'audit_log', 'identity', 'device_certificate', 'device_password', 'ingest_batch',
  'app_session', 'storage_device', 'piece', 'chunk', 'rollup_minute', 'rollup_hour', 'text_sample'];

// C's escapes as far as SQL texts have them; others ("\377") are in literals that are none.
const unescaped = (text) => text.replace(/\\n/g, '\n').replace(/\\(["\\])/g, '$1');

// Adjacent string literals of a preprocessed source that make one SQL text.
function sqlTexts(source) {
  const texts = [];
  for (const run of source.matchAll(/"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*/g)) {
    const text = [...run[0].matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map((m) => unescaped(m[1])).join('');
    if (/^(WITH|SELECT|INSERT|UPDATE|DELETE)\s/.test(text) && /\b(FROM|INTO|UPDATE)\s/.test(text)) texts.push(text);
  }
  return texts;
}

function sources() {
  const commands = JSON.parse(fs.readFileSync(path.join(root, 'build', build, 'compile_commands.json'), 'utf8'));
  return commands.filter(({ file }) => file.startsWith(path.join(root, 'server/')) && /pg_(exec|prepared)|statement/.test(fs.readFileSync(file, 'utf8')));
}

function preprocess({ directory, command }) {
  const shell = command.replace(/ -o \S+/, '').replace(/ -c /, ' -E -P ').replace(/-D_FORTIFY_SOURCE=\S+/, '');
  return execSync(shell, { cwd: directory, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
}

function* nodes(plan) {
  yield plan;
  for (const child of plan.Plans || []) yield* nodes(child);
}

withStack('queries', { server: false }, (stack) => {
  const texts = new Set();

  test('are found in the sources', () => {
    for (const source of sources()) for (const text of sqlTexts(preprocess(source))) texts.add(text);
    assert.ok(texts.size > 80, `${texts.size} texts`);
  });

  test('use an index on every large table', async () => {
    const wrong = [];
    const excused = new Set();
    await stack.withClient('postgres', 'braid', async (client) => {
      await client.query(fill);
      await client.query('VACUUM ANALYZE');
      await client.query('SET plan_cache_mode = force_generic_plan');
      const parts = new Map((await client.query(`SELECT relname, pg_partition_root(oid)::regclass::text AS whole
        FROM pg_class WHERE relispartition AND relkind = 'r' AND reltuples > 1000`)).rows.map((row) => [row.relname, row.whole]));
      for (const text of texts) {
        await client.query(`PREPARE q AS ${text}`).catch((error) => {
          throw new Error(`${error.message}\n${text}`);
        });
        const { rows: [{ n }] } = await client.query("SELECT cardinality(parameter_types) AS n FROM pg_prepared_statements WHERE name = 'q'");
        const values = n ? `(${Array(n).fill('NULL').join(', ')})` : '';
        const explained = await client.query(`EXPLAIN (FORMAT JSON) EXECUTE q${values}`);
        await client.query('DEALLOCATE q');
        const excuse = wholeReads.find(([piece]) => text.includes(piece));
        for (const node of nodes(explained.rows[0]['QUERY PLAN'][0].Plan)) {
          const table = parts.get(node['Relation Name']) ?? node['Relation Name'];
          if (node['Node Type'] !== 'Seq Scan' || !large.includes(table)) continue;
          if (excuse?.[1].includes(table)) excused.add(excuse);
          else wrong.push(`${table}: ${text.slice(0, 300)}`);
        }
      }
    });
    assert.equal(wrong.length, 0, `read from end to end:\n${wrong.join('\n')}`);
    assert.deepEqual(wholeReads.filter((excuse) => !excused.has(excuse)), [], 'excuses nobody needs');
  });
});
