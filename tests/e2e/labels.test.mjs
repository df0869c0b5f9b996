// Tags and groups on devices: one by one and in bulk, in lists, after a restart, in the audit log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, withStack } from './lib/stack.mjs';

withStack('tags and groups', { devices: 6 }, (stack) => {
  const name = (i) => `sim-t-0000${i}`;
  const edit = (body) => stack.api('POST', '/labels', body);
  const listed = async (query) =>
    (await stack.api('GET', `/devices?${query}`)).body.items.map((device) => device.endpoint);

  test('one device is tagged, and only by who has read what it has', async () => {
    await until(async () => (await listed('status=online')).length === 6, 30000);
    const before = await stack.api('GET', `/devices/${name(1)}/labels`);
    assert.deepEqual(before.body, { endpoint: name(1), tags: {}, groups: [] });
    const headers = { 'if-match': before.headers.get('etag') };
    const put = (tags) => stack.api('PUT', `/devices/${name(1)}/labels`, { tags }, { headers });
    const after = await put({ site: 'oslo', note: 'näher am Fenster' });
    assert.equal(after.status, 200);
    assert.equal((await put({})).status, 412);
    const device = (await stack.api('GET', `/devices/${name(1)}`)).body;
    assert.deepEqual(device.tags, { site: 'oslo', note: 'näher am Fenster' });
  });

  test('many are tagged and grouped by name and by filter, each with its own result', async () => {
    assert.equal((await stack.api('POST', '/groups', { name: 'north' })).status, 201);
    const named = await edit({ endpoints: [name(2), 'nobody', name(1)], set: { site: 'oslo' }, join: ['north'] });
    assert.deepEqual(named.body.items.map(({ endpoint, result, code }) => [endpoint, result, code]), [
      [name(2), 'changed', undefined], ['nobody', 'failed', 'not_found'], [name(1), 'changed', undefined]]);
    const all = await edit({ filter: { search: 'SIM-T', status: 'online' }, set: { checked: '' } });
    assert.deepEqual([all.body.matched, all.body.changed, all.body.failed], [6, 6, 0]);
    const again = await edit({ filter: { tag: 'site:oslo', group: 'north' }, set: { checked: '' } });
    assert.deepEqual([again.body.matched, again.body.unchanged], [2, 2]);
  });

  test('lists are filtered by tag and group, also in pages', async () => {
    assert.deepEqual(await listed('tag=site:oslo'), [name(1), name(2)]);
    assert.deepEqual(await listed('tag=site&tag=note&group=north'), [name(1)]);
    assert.deepEqual(await listed('tag=site:rome'), []);
    assert.equal((await listed('tag=checked')).length, 6);
    const first = (await stack.api('GET', '/devices?tag=checked&limit=4')).body;
    assert.equal(first.total, 6);
    assert.equal((await listed(`tag=checked&limit=4&cursor=${encodeURIComponent(first.next)}`)).length, 2);
    assert.deepEqual((await stack.api('GET', '/groups/north/devices')).body.items,
      [{ endpoint: name(1) }, { endpoint: name(2) }]);
    assert.ok((await stack.api('GET', '/tags')).body.items.some((t) => t.key === 'checked' && t.devices === 6));
  });

  test('labels survive a restart; a renamed group keeps its devices', async () => {
    await stack.server.restart();
    assert.equal((await stack.api('PATCH', '/groups/north', { name: 'Nord 1' })).status, 200);
    assert.deepEqual(await listed('group=Nord%201'), [name(1), name(2)]);
    assert.deepEqual((await stack.api('GET', '/groups')).body.items.map((g) => [g.name, g.devices]), [['Nord 1', 2]]);
    assert.equal((await stack.api('DELETE', '/groups/Nord%201')).status, 204);
    assert.deepEqual((await stack.api('GET', `/devices/${name(2)}`)).body.groups, []);
  });

  test('every change is in the audit log with old and new', async () => {
    const log = async (query) => (await stack.api('GET', `/audit?${query}`)).body.items;
    const own = (await log(`action=device_labels&target=${name(2)}&result=ok`)).at(-1);
    assert.deepEqual(own.detail, {
      old: { tags: {}, groups: [] }, new: { tags: { site: 'oslo' }, groups: ['north'] } });
    assert.equal(own.who, 'e2e');
    assert.equal((await log('action=device_labels&result=stale')).length, 1);
    const renamed = (await log('action=group_rename'))[0];
    assert.deepEqual([renamed.target, renamed.detail], ['north', { old: 'north', new: 'Nord 1' }]);
    const pages = [];
    for (let cursor = ''; cursor !== null;) {
      const page = (await stack.api('GET', `/audit?limit=4&cursor=${encodeURIComponent(cursor)}`)).body;
      pages.push(...page.items.map((entry) => entry.id));
      cursor = page.next;
    }
    assert.deepEqual(pages, [...new Set(pages)].sort((a, b) => b - a));
    assert.equal(pages.length, (await log('limit=1000')).length);
  });
});
