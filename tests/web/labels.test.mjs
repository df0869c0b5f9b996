// Tags, groups and the audit log as the console thinks of them: filters, choices, edits of many
// in pieces, what a row of the log says.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { beforeEach, test } from 'node:test';
import { compile } from './tools.mjs';

const m = await compile(`
  export * from './labels'; export * from './audit'; export * from './route'; export * from './fleet';
  export * from './store/bulk'; export * from './store/fleet_labels'; export * from './store/groups';
  export * from './store/selection';
  export { fleet_order } from './store/fleet';
`);

const labels = (endpoint, tags = {}, groups = []) => ({ endpoint, tags, groups });
const named = (n) => Array.from({ length: n }, (_, i) => `dev-${String(i).padStart(5, '0')}`);

// ---- filters

test('tags and groups of a filter must all hold', () => {
  const l = labels('a', { site: 'oslo', note: '', url: 'http://x:1' }, ['north']);
  assert.equal(m.labels_match(l, ['site'], []), true);
  assert.equal(m.labels_match(l, ['site:oslo', 'note'], ['north']), true);
  assert.equal(m.labels_match(l, ['site:rome'], []), false);
  assert.equal(m.labels_match(l, ['note:'], []), true, 'an empty value is a value');
  assert.equal(m.labels_match(l, ['site:'], []), false);
  assert.equal(m.labels_match(l, ['url:http://x:1'], []), true, 'only the first colon divides');
  assert.equal(m.labels_match(l, [], ['north', 'south']), false);
  assert.equal(m.labels_match(l, ['constructor'], []), false);
  assert.equal(m.labels_match(undefined, ['site'], []), false);
  assert.equal(m.labels_match(undefined, [], []), true);
});

test('a tag is typed as people or as the API write it', () => {
  assert.equal(m.tag_term(' site = oslo '), 'site:oslo');
  assert.equal(m.tag_term('site:oslo'), 'site:oslo');
  assert.equal(m.tag_term('site'), 'site');
  assert.equal(m.tag_term('url=http://x'), 'url:http://x');
  for (const wrong of ['', '=oslo', ':x', 'a,b']) assert.equal(m.tag_term(wrong), null, wrong);
  assert.equal(m.term_text('url:http://x'), 'url=http://x');
});

test('what the server would refuse in a tag is told before it is sent', () => {
  assert.equal(m.tags_wrong({ site: 'oslo', note: '' }), null);
  assert.match(m.tags_wrong({ 'a:b': 'x' }), /no = : or comma/);
  assert.match(m.tags_wrong({ ['ä'.repeat(33)]: 'x' }), /at most 64 bytes/);
  assert.match(m.tags_wrong({ site: 'ä'.repeat(129) }), /at most 256 bytes/);
});

test('a filter with tags and groups is one address, there and back', () => {
  const f = { ...m.FILTER_NONE, search: 'a&b', status: ['lost'], tag: ['site:oslo', 'x y'], group: ['Halle 3'] };
  const href = m.filter_href(f);
  assert.match(href, /tag=site:oslo&tag=x\+y&group=Halle\+3/);
  assert.deepEqual(m.filter_parse(href.slice(1)), f);
  assert.deepEqual(m.filter_parse('?tag=a&tag=a&tag=&group='), { ...m.FILTER_NONE, tag: ['a'] });
  assert.equal(m.filter_any(f), true);
  assert.equal(m.filter_any({ ...m.FILTER_NONE, sort: 'status' }), false);
});

test('the fleet is narrowed by labels together with search and status', () => {
  const fleet = ['a', 'b', 'c'].map((endpoint) => ({ endpoint, status: 'online', messages_per_s: 0 }));
  const map = new Map([['a', labels('a', { site: 'oslo' }, ['n'])], ['b', labels('b', { site: 'rome' }, ['n'])]]);
  const list = (f) => m.fleet_list(fleet, { ...m.FILTER_NONE, ...f }, map);
  assert.deepEqual(list({ group: ['n'] }), ['a', 'b']);
  assert.deepEqual(list({ group: ['n'], tag: ['site:rome'] }), ['b']);
  assert.deepEqual(list({ tag: ['site'], search: 'A' }), ['a']);
  assert.deepEqual(list({ tag: ['site'], status: ['lost'] }), []);
  assert.deepEqual(list({}), ['a', 'b', 'c']);
});

test('what is in use is counted, the most used first', () => {
  const all = [labels('a', { site: 'oslo', x: '' }, ['n']), labels('b', { site: 'oslo' }, ['n', 'm']), undefined];
  const got = m.labels_count(all);
  assert.deepEqual(got.keys, [{ name: 'site', n: 2 }, { name: 'x', n: 1 }]);
  assert.deepEqual(got.pairs, [{ name: 'site=oslo', n: 2 }]);
  assert.deepEqual(got.groups, [{ name: 'n', n: 2 }, { name: 'm', n: 1 }]);
});

// ---- the choice

test('shift chooses all between, in the order shown, either way', () => {
  const order = ['d', 'c', 'b', 'a'];
  assert.deepEqual(m.range_between(order, 'c', 'a'), ['c', 'b', 'a']);
  assert.deepEqual(m.range_between(order, 'a', 'c'), ['c', 'b', 'a']);
  assert.deepEqual(m.range_between(order, null, 'b'), ['b']);
  assert.deepEqual(m.range_between(order, 'gone', 'b'), ['b']);
});

test('the choice outlives a filter, and tells how much of it is in view', () => {
  m.fleet_order.value = ['a', 'b', 'c', 'd'];
  m.select('b', true, false);
  m.select('d', true, true);
  assert.deepEqual([...m.checked.value], ['b', 'c', 'd']);
  m.fleet_order.value = ['a', 'c'];
  assert.equal(m.checked_shown.value, 1);
  m.select_shown(true);
  assert.equal(m.checked.value.size, 4);
  m.select_shown(false);
  assert.deepEqual([...m.checked.value], ['b', 'd'], 'what is not in view stays chosen');
  m.select_only([]);
  assert.equal(m.checked.value.size, 0);
});

// ---- edits of many

/** A server that remembers what it was asked; `answer` may throw or refuse. */
function server(answer) {
  const asked = [];
  globalThis.fetch = async (url, { method, body }) => {
    const path = url.replace('/api/v1', '');
    const request = { method, path, body: body && JSON.parse(body) };
    asked.push(request);
    const [status, json] = answer(request);
    return new Response(JSON.stringify(json), { status });
  };
  return asked;
}
const edited = (body, failed = []) => {
  const items = body.endpoints.map((endpoint) =>
    failed.includes(endpoint) ? { endpoint, result: 'failed', code: 'not_found', detail: 'There is no such device.' }
      : { endpoint, result: 'changed' });
  const n = items.filter((o) => o.result === 'failed').length;
  return [200, { matched: items.length, changed: items.length - n, unchanged: 0, failed: n, items }];
};
const empty = [200, { items: [], next: null }];

beforeEach(() => m.fleet_labels_forget());

test('more devices than one request takes go in pieces, each device with its outcome', async () => {
  const all = named(12_345);
  const asked = server((r) => (r.method === 'POST' ? edited(r.body, ['dev-00007', 'dev-12000']) : empty));
  const seen = [];
  const stop = m.bulk.subscribe((run) => run && seen.push(run.answered));
  await m.bulk_start(all, { set: { site: 'oslo' } });
  stop();
  const pieces = asked.filter((r) => r.method === 'POST');
  assert.deepEqual(pieces.map((r) => r.body.endpoints.length), [...Array(12).fill(1000), 345]);
  assert.deepEqual(pieces.flatMap((r) => r.body.endpoints), all, 'each once, in order');
  assert.deepEqual(seen.slice(0, 3), [0, 1000, 2000], 'progress is seen');
  const run = m.bulk.value;
  assert.deepEqual([run.state, run.changed, run.unchanged, run.failed], ['done', 12_343, 0, 2]);
  const sorted = m.outcomes_sorted(run.items);
  assert.deepEqual(sorted.slice(0, 3).map(m.outcome_text), ['There is no such device.', 'There is no such device.', 'changed']);
});

test('a piece without an answer breaks the run off, and going on sends it again', async () => {
  let broken = true;
  const asked = server((r) => {
    if (r.method !== 'POST') return empty;
    if (broken && r.body.endpoints[0] === 'dev-02000') throw new TypeError('network');
    return edited(r.body);
  });
  await m.bulk_start(named(2500), { remove: ['site'] });
  assert.deepEqual([m.bulk.value.state, m.bulk.value.answered], ['broken', 2000]);
  assert.equal(m.bulk.value.error, 'The server cannot be reached.');
  assert.equal(m.bulk.value.refused, false, 'it may have arrived');
  broken = false;
  asked.length = 0;
  await m.bulk_resume();
  assert.deepEqual([m.bulk.value.state, m.bulk.value.changed], ['done', 2500]);
  assert.deepEqual(asked.filter((r) => r.method === 'POST').map((r) => r.body.endpoints.length), [500]);
});

test('a stop keeps the answer of what was under way and sends nothing more', async () => {
  server((r) => {
    if (r.method !== 'POST') return empty;
    m.bulk_stop();
    return edited(r.body);
  });
  await m.bulk_start(named(3000), { set: { a: 'b' } });
  assert.deepEqual([m.bulk.value.state, m.bulk.value.answered, m.bulk.value.items.length], ['stopped', 1000, 1000]);
});

test('groups that do not exist are made first, also when somebody else is faster', async () => {
  const asked = server((r) => {
    if (r.path.startsWith('/groups') && r.method === 'GET') return [200, { items: [{ name: 'north' }], next: null }];
    if (r.path === '/groups') return r.body.name === 'taken' ? [409, { code: 'conflict' }] : [201, r.body];
    return r.method === 'POST' ? edited(r.body) : empty;
  });
  await m.bulk_start(['a'], { join: ['north', 'new', 'taken'] });
  assert.deepEqual(asked.filter((r) => r.path === '/groups').map((r) => r.body.name), ['new', 'taken']);
  assert.equal(m.bulk.value.state, 'done');
  server((r) => (r.path === '/groups' ? [422, { code: 'bad_name', detail: 'A name is wrong.' }] : empty));
  await m.bulk_start(['a'], { join: ['new'] });
  assert.deepEqual([m.bulk.value.state, m.bulk.value.error], ['broken', 'A name is wrong.']);
  assert.equal(m.bulk.value.refused, true);
});

test('labels of the fleet come page by page, and a failure is not shown as “none”', async () => {
  server((r) => (r.path.includes('cursor=2') ? [200, { items: [labels('b')], next: null }]
    : [200, { items: [labels('a', { x: '' })], next: '2' }]));
  await m.fleet_labels_read();
  assert.deepEqual([...m.fleet_labels.value.keys()], ['a', 'b']);
  assert.equal(m.fleet_labels_known.value, true);
  m.fleet_labels_forget();
  server(() => [503, { code: 'database', detail: 'The database is away.' }]);
  await m.fleet_labels_read();
  assert.deepEqual([m.fleet_labels_known.value, m.fleet_labels_error.value], [false, 'The database is away.']);
});

test('a reading asked for during a reading sees what was changed meanwhile', async () => {
  let n = 0;
  server(() => [200, { items: [labels(`read-${++n}`)], next: null }]);
  await Promise.all([m.fleet_labels_read(), m.fleet_labels_read()]);
  assert.deepEqual([...m.fleet_labels.value.keys()], ['read-2']);
});

// ---- the audit log

test('old and new become changes; what stayed is left out', () => {
  const changes = m.audit_changes({
    old: { tags: { site: 'oslo', line: '1', gone: 'x' }, groups: ['a', 'b'] },
    new: { tags: { site: 'rome', line: '1', spare: '' }, groups: ['b', 'c'] },
  });
  assert.deepEqual(changes.map((c) => [c.what, c.old, c.new]), [
    ['tag site', 'oslo', 'rome'], ['tag gone', 'x', null], ['group a', '', null],
    ['tag spare', null, '“”'], ['group c', null, '']]);
  assert.ok(changes.every((c) => !c.fact));
  assert.deepEqual(m.audit_changes({ old: 'north', new: 'Nord' }), [{ what: '', old: 'north', new: 'Nord', fact: false }]);
  assert.deepEqual(m.audit_changes({ old: { devices: 3 } }), [{ what: 'devices', old: '3', new: null, fact: false }]);
});

test('every action the server writes down has words, and the filter offers no other', () => {
  const root = new URL('../../', import.meta.url);
  const read = (name) => fs.readFileSync(new URL(name, root), 'utf8');
  const found = new Set(['command', 'suspended', 'active', 'retired', 'device_labels', 'history_drop']); // SQL, standing_word
  const routes = [...read('server/http/route.c').matchAll(/ROLE_[A-Z]+,\s+"(\w+)"/g)];
  assert.ok(routes.length > 20);
  for (const [, action] of routes) found.add(action);
  for (const name of fs.readdirSync(new URL('server/http', root)).filter((f) => f.endsWith('.c')))
    for (const [, said] of read(`server/http/${name}`).matchAll(/\b(?:auth_audit|audit|audit_change|audit_refused|changed)\(r, ([^,;]*),/g))
      for (const [, action] of said.matchAll(/"(\w+)"/g)) found.add(action);
  for (const [, action] of read('server/admin.c').matchAll(/finish\(db, e, "(\w+)"/g)) found.add(action);
  assert.deepEqual([...m.ACTIONS].sort(), [...found].sort());
});

test('what comes with an action and was not changed by it is a fact', () => {
  const changes = m.audit_changes({ command: '1b', new: { op: 'write', path: '/1/0/1', value: 60 } });
  assert.deepEqual(changes.map((c) => [c.what, c.new, c.fact]), [
    ['op', 'write', true], ['path', '/1/0/1', true], ['value', '60', true], ['command', '1b', true]]);
  assert.deepEqual(m.audit_changes(null), []);
  assert.deepEqual(m.audit_changes({}), []);
});

test('a row leads to the device or the group it is about, if that is still there', () => {
  const row = (action, target, more = {}) => ({ action, target, result: 'ok', detail: null, ...more });
  assert.equal(m.audit_href(row('command', 'a=b')), '/devices/a%3Db');
  assert.equal(m.audit_href(row('group_rename', 'x', { detail: { old: 'x', new: 'Nord 1' } })), '/?group=Nord+1');
  for (const none of [row('device_forget', 'a'), row('user_add', 'petra'), row('command', ''),
    row('command', 'a', { result: 'not_found' })]) assert.equal(m.audit_href(none), null);
});

test('the filter of the log is in the address; times that are none are dropped', () => {
  const f = { ...m.AUDIT_NONE, who: 'olga', action: 'command', from: '2026-01-01T00:00:00.000Z' };
  assert.deepEqual(m.audit_parse(m.audit_filter_href(f).slice('/audit'.length)), f);
  assert.equal(m.audit_filter_href(m.AUDIT_NONE), '/audit');
  assert.equal(m.audit_parse('?from=yesterday').from, '');
});

test('CSV keeps commas, quotes and lines, and gives a spreadsheet no formula', () => {
  const text = m.audit_csv([{ id: 1, at: '2026-01-01T00:00:00.000Z', who: '=cmd()', from: '::1', action: 'command',
    target: 'a,"b"', result: 'ok', detail: { new: { op: 'read' } } }]);
  assert.equal(text, 'at,who,from,action,target,result,detail\r\n' +
    `2026-01-01T00:00:00.000Z,'=cmd(),::1,command,"a,""b""",ok,"{""new"":{""op"":""read""}}"\r\n`);
  assert.equal(m.csv_field('two\nlines'), '"two\nlines"');
  assert.equal(m.csv_field(null), '');
});
