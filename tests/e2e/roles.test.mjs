// Every route of `braidd --dump-routes` asked by every role and by nobody: who may is let through to
// the handler, who may not is refused before it. And every changing route leaves an audit row. The
// cases come from the route table itself, so a new route is in this test by being written down.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { before, test } from 'node:test';
import { build, root, withStack } from './lib/stack.mjs';

const roles = ['viewer', 'operator', 'engineer', 'admin'];
const routes = execFileSync(path.join(root, 'build', build, 'braidd'), ['--dump-routes'], { encoding: 'utf8' })
  .trim().split('\n').map((line) => {
    const [method, pattern, role] = line.split(' ');
    return { method, pattern, role };
  });

// Names of things that are not there, so that no call changes anything.
const example = { endpoint: 'no-such-device', id: '00000000-0000-4000-8000-000000000000', username: 'no-such-user' };
const fill = (pattern) => pattern.replace(/\{(\w+)\}/g, (_, name) => example[name] || 'no-such-thing');

withStack('roles', {}, (stack) => {
  const tokens = {};

  before(async () => {
    for (const role of roles) {
      const made = await stack.api('POST', '/tokens', { name: `as-${role}`, role });
      assert.equal(made.status, 201);
      tokens[role] = made.body.token;
    }
  });

  // A body that no handler accepts; the log-out of a token is the one change that goes through.
  const ask = ({ method, pattern }, token) =>
    stack.api(method, `/${fill(pattern)}`, method === 'GET' || method === 'DELETE' ? undefined : {}, { token });

  test('the route table is read', () => {
    assert.ok(routes.length > 30);
    assert.ok(routes.every(({ role }) => role === 'anyone' || roles.includes(role)));
  });

  for (const route of routes) {
    test(`${route.method} ${route.pattern} is for ${route.role}`, async () => {
      const nobody = await ask(route, null);
      if (route.role === 'anyone') assert.notEqual(nobody.body.code, 'unauthenticated');
      else assert.deepEqual([nobody.status, nobody.body.code], [401, 'unauthenticated']);
      assert.equal((await ask(route, 'braid_wrong')).status === 401, route.role !== 'anyone' || nobody.status === 401);
      for (const role of roles) {
        const got = await ask(route, tokens[role]);
        const may = route.role === 'anyone' || roles.indexOf(role) >= roles.indexOf(route.role);
        if (may) assert.ok(got.status !== 403 && got.status < 500, `${role}: ${got.status} ${got.text}`);
        else assert.deepEqual([got.status, got.body.code], [403, 'forbidden'], role);
      }
    });
  }

  test('every changing route is audited, whether it was allowed, refused or wrong', async () => {
    const changing = routes.filter(({ method, role }) => method !== 'GET' && role !== 'anyone');
    assert.ok(changing.length > 10);
    for (const route of changing) {
      for (const role of ['viewer', 'admin']) {
        const latest = async () => (await stack.api('GET', `/audit?who=as-${role}&limit=1`)).body.items[0];
        const last = (await latest())?.id ?? 0;
        const got = await ask(route, tokens[role]);
        const entry = await latest();
        const what = `${role} ${route.method} ${route.pattern}`;
        assert.ok(entry && entry.id > last, `${what}: no audit row`);
        assert.equal(entry.result, got.status < 400 ? 'ok' : got.body.code, what);
        assert.equal(entry.from, '127.0.0.1', what);
        assert.ok(entry.action, what);
      }
    }
  });
});
