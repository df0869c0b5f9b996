// The REST API as scripts and the console use it: who may do what, what goes wrong and how that is
// said, and commands from the POST to the device and back.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { jsonDevice } from './lib/devices.mjs';
import { withStack, until } from './lib/stack.mjs';

withStack('REST API', { config: { 'http.workers': 8, 'http.trusted_proxies': '127.0.0.1' } }, (stack) => {

const post = (where, body, more) => stack.api('POST', where, body, more);
const command = (endpoint, body, query = '?wait=20', headers = {}) =>
  post(`/devices/${endpoint}/commands${query}`, body, { headers });

// A device that is registered and answers each command as `answers[op]` says, or not at all.
async function device(name, answers) {
  const made = await jsonDevice(stack, name, answers);
  await made.say('reg', {
    lifetime: 3600, version: '1.2', bindingMode: 'UQ',
    objects: { 1: { 0: { 1: 3600 } }, 3: { 0: { 0: 'Acme', 1: name } }, 3303: { 0: { 5700: 21.5 } } },
  });
  await made.ack('reg');
  await until(async () => (await stack.api('GET', `/devices/${name}`)).status === 200, 5000, name);
  return made;
}

// log in; a caller with cookie and CSRF token.
async function session(username, password) {
  const got = await post('/session', { username, password }, { token: null });
  assert.equal(got.status, 200);
  const cookie = got.headers.get('set-cookie').split(';')[0];
  const call = (method, where, body, headers = {}) =>
    stack.api(method, where, body, { token: null, headers: { cookie, ...headers } });
  return { ...got.body, cookie, setCookie: got.headers.get('set-cookie'), call };
}

// ---- who may ----

test('a login gives a guarded cookie; unsafe methods need its CSRF token; log-out ends it', async () => {
  const me = await session('admin', stack.password);
  assert.equal(me.username, 'admin');
  assert.equal(me.role, 'admin');
  assert.match(me.setCookie, /HttpOnly/);
  assert.match(me.setCookie, /SameSite=Strict/);
  assert.deepEqual((await me.call('GET', '/session')).body, { username: 'admin', role: 'admin', csrf: me.csrf });
  const refused = await me.call('POST', '/tokens', { name: 'x', role: 'viewer' });
  assert.equal(refused.status, 403);
  assert.equal(refused.body.code, 'csrf');
  const made = await me.call('POST', '/tokens', { name: 'by-cookie', role: 'viewer' }, { 'x-braid-csrf': me.csrf });
  assert.equal(made.status, 201);
  assert.equal((await me.call('DELETE', '/session', undefined, { 'x-braid-csrf': me.csrf })).status, 204);
  assert.equal((await me.call('GET', '/session')).status, 401);
});

test('a wrong password is refused, and from the fifth on only after a wait', async () => {
  const from = { headers: { 'x-forwarded-for': '203.0.113.9' }, token: null };
  let wrong = 0;
  for (;;) { // five, or more where the wait was over before the next one came
    const got = await post('/session', { username: 'admin', password: 'wrong' }, from);
    if (got.status === 429) break;
    assert.equal(got.status, 401);
    assert.equal(got.body.code, 'bad_credentials');
    wrong++;
  }
  assert.ok(wrong >= 5 && wrong < 9, `${wrong} were checked`);
  const slow = await post('/session', { username: 'admin', password: stack.password }, from);
  assert.equal(slow.status, 429);
  assert.ok(Number(slow.headers.get('retry-after')) >= 1);
  await session('admin', stack.password); // from elsewhere: not slowed
  await until(async () =>
    (await post('/session', { username: 'admin', password: stack.password }, from)).status === 200, 20000);
  const audit = await stack.sql("SELECT count(*)::int AS n FROM audit_log WHERE action = 'login_refused'");
  assert.equal(audit[0].n, wrong);
  assert.ok((await stack.metric('braid_logins_total{result="refused"}')) >= 6);
});

test('users and tokens are made, used within their role, and gone when deleted', async () => {
  const made = await post('/users', { username: 'otto', role: 'operator', password: 'a good one' });
  assert.deepEqual([made.status, made.body], [201, { username: 'otto', role: 'operator' }]);
  assert.equal((await post('/users', { username: 'otto', role: 'viewer', password: 'a good one' })).status, 409);
  const otto = await session('otto', 'a good one');
  assert.equal((await otto.call('GET', '/fleet')).status, 200);
  const no = await otto.call('GET', '/users');
  assert.deepEqual([no.status, no.body.code], [403, 'forbidden']);
  assert.ok((await stack.api('GET', '/users')).body.items.some((u) => u.username === 'otto' && u.role === 'operator'));

  const token = (await post('/tokens', { name: 'reader', role: 'viewer' })).body;
  assert.match(token.token, /^braid_[0-9a-f]{64}$/);
  const as = { token: token.token };
  assert.equal((await stack.api('GET', '/devices', undefined, as)).status, 200);
  assert.equal((await post('/devices/nobody/commands', { op: 'rebirth' }, as)).status, 403);
  const list = await stack.api('GET', '/tokens');
  assert.ok(list.body.items.some((t) => t.name === 'reader'));
  assert.ok(!list.text.includes(token.token), 'a token is shown once');
  assert.equal((await stack.api('DELETE', `/tokens/${token.id}`)).status, 204);
  assert.equal((await stack.api('GET', '/devices', undefined, as)).status, 401);

  assert.equal((await post('/users/otto/password', { password: 'another one' })).status, 204);
  assert.equal((await post('/session', { username: 'otto', password: 'a good one' }, { token: null })).status, 401);
  const again = await session('otto', 'another one');
  assert.equal((await stack.api('DELETE', '/users/otto')).status, 204);
  assert.equal((await again.call('GET', '/fleet')).status, 401);
  const last = await stack.api('DELETE', '/users/admin');
  assert.deepEqual([last.status, last.body.code], [409, 'last_admin']);
  const actions = (await stack.sql('SELECT DISTINCT action FROM audit_log')).map((r) => r.action);
  for (const action of ['login', 'user_add', 'user_password', 'user_delete', 'token_add', 'token_delete']) {
    assert.ok(actions.includes(action), `${action} is audited`);
  }
});

test('accounts made on the command line work, and a reset prints a new password once', async () => {
  const password = stack.braidd('user', 'add', 'cli', '--role', 'viewer').trim();
  assert.match(password, /^[0-9a-f]{24}$/);
  await session('cli', password);
  const next = stack.braidd('user', 'reset', 'cli').trim();
  assert.notEqual(next, password);
  await session('cli', next);
  assert.throws(() => stack.braidd('user', 'add', 'x', '--role', 'king'), /viewer, operator/);
  assert.throws(() => stack.braidd('user', 'reset', 'nobody-here'), /not_found/);
});

// ---- devices ----

test('devices are listed, paged, searched and forgotten', async () => {
  const all = [];
  for (const name of ['page-1', 'page-2', 'page-3']) all.push(await device(name));
  const seen = [];
  let cursor = '';
  do {
    const page = await stack.api('GET', `/devices?search=page-&limit=2${cursor && `&cursor=${cursor}`}`);
    assert.equal(page.status, 200);
    assert.equal(page.body.total, 3);
    seen.push(...page.body.items.map((d) => d.endpoint));
    cursor = page.body.next;
  } while (cursor);
  assert.deepEqual(seen, ['page-1', 'page-2', 'page-3']);
  const one = (await stack.api('GET', '/devices?search=PAGE-2')).body.items[0];
  assert.equal(one.manufacturer, 'Acme');
  assert.equal(one.status, 'online');
  assert.deepEqual((await stack.api('GET', '/devices?status=lost,never')).body.items, []);
  const active = await stack.api('DELETE', '/devices/page-3');
  assert.deepEqual([active.status, active.body.code], [409, 'device_active']);
  await all[2].say('dereg', {});
  await until(async () => (await stack.api('GET', '/devices/page-3')).body.status === 'offline');
  assert.equal((await stack.api('DELETE', '/devices/page-3')).status, 204);
  await until(async () => (await stack.api('GET', '/devices/page-3')).status === 404);
  assert.equal((await stack.api('GET', '/devices/page-3/history?series=x')).status, 404);
});

test('history and timeline show what a device sent', async () => {
  const d = await device('past');
  const now = Date.now();
  const values = [1, 2, 3].map((v) => ({ path: '/3303/0/5700', value: v, time: now - 4000 + v * 1000 }));
  await d.say('send', { values });
  const series = encodeURIComponent('lwm2m:/3303/0/5700');
  const where = `/devices/past/history?series=${series}&from=${now - 3500}&to=${now + 5000}`;
  const history = await until(async () => {
    const got = (await stack.api('GET', where)).body;
    return got.points?.length >= 3 && got;
  });
  assert.equal(history.bucket_ms, 0);
  for (const v of values) assert.ok(history.points.some(([ts, value]) => ts === v.time && value === v.value));
  const list = (await stack.api('GET', '/devices/past/series')).body.items;
  assert.ok(list.some((s) => s.series === 'lwm2m:/3303/0/5700' && s.source === 'lwm2m' && s.numeric === true));
  const events = await until(async () => {
    const got = (await stack.api('GET', '/devices/past/timeline?limit=50')).body;
    return got.items?.some((e) => e.strand === 'lwm2m' && /regist/i.test(e.text)) && got;
  });
  assert.ok(events.items.every((e) => e.id && e.at && e.text));
  const fleet = await until(async () => {
    const got = (await stack.api('GET', '/timeline?limit=1')).body;
    return got.next && got;
  });
  assert.equal(fleet.items.length, 1);
  assert.ok(fleet.items[0].endpoint && fleet.next);
  const second = (await stack.api('GET', `/timeline?limit=1&cursor=${encodeURIComponent(fleet.next)}`)).body;
  assert.notEqual(second.items[0].id, fleet.items[0].id);
  assert.equal((await stack.api('GET', '/timeline?cursor=nonsense')).status, 400);
});

// ---- commands ----

test('a command travels to the device and its answer comes back', async () => {
  const d = await device('cmd-ok', {
    read: { code: '2.05', values: [{ path: '/3/0/0', value: 'Acme' }] },
    write: { code: '2.04' },
  });
  const read = await command('cmd-ok', { op: 'read', path: '/3/0/0' });
  assert.equal(read.status, 200);
  assert.equal(read.body.state, 'succeeded');
  assert.equal(read.body.result.code, '2.05');
  assert.deepEqual(read.body.result.values, [{ path: '/3/0/0', value: 'Acme', type: 'string' }]);
  assert.equal(read.body.by, 'e2e');
  assert.equal(d.asked[0].path, '/3/0/0');
  const stored = await until(async () => {
    const got = (await stack.api('GET', `/commands/${read.body.id}`)).body;
    return got.state === 'succeeded' && got;
  });
  assert.deepEqual(stored.request, { op: 'read', path: '/3/0/0' });
  const write = await command('cmd-ok', { op: 'write', path: '/1/0/1', value: 120 });
  assert.equal(write.status, 200);
  const list = (await stack.api('GET', '/devices/cmd-ok/commands?limit=1')).body;
  assert.equal(list.items[0].id, write.body.id);
  assert.ok(list.next);
});

test("a device's refusal is 502 with its code and the command inside", async () => {
  await device('cmd-no', { read: { code: '4.04' } });
  const got = await command('cmd-no', { op: 'read', path: '/3/0/9' });
  assert.equal(got.status, 502);
  assert.match(got.headers.get('content-type'), /problem\+json/);
  assert.equal(got.body.code, 'device.4.04');
  assert.equal(got.body.command.state, 'failed');
});

test('a silent device is 504 after its timeout, 202 before', async () => {
  await device('cmd-mute');
  const soon = await command('cmd-mute', { op: 'read', path: '/3/0/0', timeout_s: 1 }, '');
  assert.equal(soon.status, 202);
  const late = await command('cmd-mute', { op: 'read', path: '/3/0/0', timeout_s: 1 }, '?wait=20s');
  assert.equal(late.status, 504);
  assert.equal(late.body.code, 'timed_out');
  await until(async () => (await stack.api('GET', `/commands/${soon.body.id}`)).body.state === 'timed_out');
});

test('the same Idempotency-Key sends once; another body under it is a conflict', async () => {
  const d = await device('cmd-once', { read: { code: '2.05', values: [] } });
  const key = { 'idempotency-key': 'k-1' };
  const first = await command('cmd-once', { op: 'read', path: '/3/0/0' }, '?wait=5', key);
  const again = await command('cmd-once', { op: 'read', path: '/3/0/0' }, '?wait=5', key);
  assert.equal(again.body.id, first.body.id);
  assert.equal(d.asked.length, 1);
  const other = await command('cmd-once', { op: 'read', path: '/3/0/1' }, '', key);
  assert.deepEqual([other.status, other.body.code], [409, 'idempotency_conflict']);
});

test('a queued command can be cancelled, a finished one cannot', async () => {
  const d = await device('cmd-cancel', { read: { code: '2.05', values: [] } });
  const done = await command('cmd-cancel', { op: 'read', path: '/3/0/0' });
  const late = await post(`/commands/${done.body.id}/cancel`, {});
  assert.deepEqual([late.status, late.body.code], [409, 'not_cancellable']);
  await d.say('dereg', {});
  await until(async () => (await stack.api('GET', '/devices/cmd-cancel')).body.status === 'offline');
  const queued = await command('cmd-cancel', { op: 'read', path: '/3/0/0' }, '');
  assert.equal(queued.status, 202);
  assert.equal(queued.body.state, 'queued');
  assert.equal((await post(`/commands/${queued.body.id}/cancel`, {})).status, 200);
  const got = await until(async () => {
    const now = (await stack.api('GET', `/commands/${queued.body.id}`)).body;
    return now.state === 'cancelled' && now;
  });
  assert.ok(got.finished_at);
  const none = '00000000-0000-4000-8000-000000000000';
  assert.equal((await post(`/commands/${none}/cancel`, {})).status, 404);
});

test('what makes no sense is refused before anything is sent', async () => {
  const d = await device('cmd-bad');
  const bad = [
    [{ op: 'fly' }, 422], [{ op: 'read' }, 422], [{ op: 'read', path: '/70000/0' }, 422],
    [{ op: 'write', path: '/3/0/0', value: 'x' }, 422], [{ op: 'write', path: '/1/0/1', value: 'soon' }, 422],
    [{ op: 'execute', path: '/3/0/0' }, 422], [{ op: 'metric-write', value: 1 }, 422],
    ['[]', 400], ['{"op":', 400], ['', 400], ['{"op":"read","op":"read"}', 400],
  ];
  for (const [body, status] of bad) {
    const got = await command('cmd-bad', body, '');
    assert.equal(got.status, status, JSON.stringify(body));
    assert.ok(got.body.code && got.body.detail, JSON.stringify(got.body));
  }
  assert.equal((await command('cmd-nobody', { op: 'read', path: '/3/0/0' })).status, 404);
  assert.equal((await command('cmd-bad', { op: 'read', path: '/3/0/0' }, '?wait=forever')).status, 400);
  assert.deepEqual(d.asked, []);
  assert.deepEqual((await stack.api('GET', '/devices/cmd-bad/commands')).body.items, []);
});

test('commands that wait take half of the workers at most; the API stays quick', async () => {
  await device('cmd-park');
  const statuses = [];
  const waiting = Array.from({ length: 8 }, () =>
    command('cmd-park', { op: 'read', path: '/3/0/0', timeout_s: 6 }, '?wait=20').then((w) => statuses.push(w.status)));
  await until(() => statuses.length >= 4, 5000, 'four find no room to wait');
  assert.deepEqual(statuses, [202, 202, 202, 202]);
  assert.equal((await stack.api('GET', '/fleet')).status, 200);
  assert.equal(statuses.length, 4, 'answered while the others wait');
  await Promise.all(waiting);
  assert.deepEqual(statuses, [202, 202, 202, 202, 504, 504, 504, 504]);
});

// ---- bad input ----

test('malformed, deep and large bodies get typed errors and cost nobody else anything', async () => {
  const where = '/devices/page-1/commands';
  const cases = [
    ['{"op": ', 400, 'malformed_json'],
    ['['.repeat(10000) + ']'.repeat(10000), 400, 'too_deep'],
    [JSON.stringify({ op: 'read', path: 'x'.repeat(2_000_000) }), 413, 'too_large'],
    [JSON.stringify({ op: 'read', path: 'x'.repeat(400_000) }), 413, 'too_large'],
    [`{"op":"read","paths":[${'1,'.repeat(50000)}1]}`, 400, 'too_many_values'],
  ];
  for (const [body, status, code] of cases) {
    const got = await post(where, body);
    assert.deepEqual([got.status, got.body.code], [status, code], body.slice(0, 40));
  }
  const bytes = await fetch(`${stack.url}/api/v1${where}`, {
    method: 'POST', headers: { authorization: `Bearer ${stack.token}` }, body: Buffer.from('7b226f70223a22ff227d', 'hex'),
  });
  assert.equal((await bytes.json()).code, 'invalid_utf8');
  assert.equal((await stack.api('GET', '//healthz')).status, 200);
});

test('wrong methods, unknown paths and odd parameters are told apart', async () => {
  const put = await stack.api('PUT', '/fleet', {});
  assert.equal(put.status, 405);
  assert.equal(put.headers.get('allow'), 'GET, HEAD');
  const missing = await stack.api('GET', '/nowhere');
  assert.deepEqual([missing.status, missing.body.code], [404, 'not_found']);
  for (const query of ['limit=0', 'limit=x', 'limit=1001', 'sort=colour', 'cursor=***']) {
    assert.equal((await stack.api('GET', `/devices?${query}`)).status, 400, query);
  }
  const head = await stack.api('HEAD', '/fleet');
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  assert.equal((await stack.api('GET', `/devices/${'x'.repeat(65)}`)).status, 404);
  assert.equal((await stack.api('GET', '/devices/a%2Fb')).status, 404);
});

// One raw request; resolves to all that came back before the server hung up.
function raw(text) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(stack.ports.http, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.setTimeout(15000, () => socket.destroy(new Error('no end')));
    socket.on('data', (part) => { got += part; });
    socket.on('error', reject);
    socket.on('close', () => resolve(got));
  });
}

test('no path leaves the folder of the web UI', async () => {
  for (const where of ['/../../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc%2fpasswd',
    '//etc/passwd', '/.git/config', '/index.html/../../braid.conf', '/etc/passwd%00.html', '/..\\..\\x']) {
    const got = await raw(`GET ${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.doesNotMatch(got, /root:|db\.conninfo|\[core\]/, where);
    assert.match(got, /^HTTP\/1\.1 (200|400|404) /, where);
  }
});

test('garbage instead of HTTP is answered or cut off, and nobody else notices', async () => {
  for (const text of ['\0\0\0\0\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'A'.repeat(40000) + '\r\n\r\n',
    `GET / HTTP/1.1\r\n${'X-Y: z\r\n'.repeat(100)}Connection: close\r\n\r\n`]) {
    const got = await raw(text).catch(() => '');
    assert.doesNotMatch(got, /^HTTP\/1\.1 2/, text.slice(0, 20));
  }
  assert.equal((await stack.api('GET', '//healthz')).status, 200);
});

test('many requests go over one connection, and a body nobody read does not become the next', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  let sockets = 0;
  const one = (options, body) =>
    new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: stack.ports.http, agent, ...options }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
      });
      request.on('socket', (socket) => {
        if (!socket.counted) sockets++;
        socket.counted = true;
      });
      request.on('error', reject);
      request.end(body);
    });
  const smuggled = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n';
  for (let i = 0; i < 5; i++) {
    assert.equal(await one({ path: '/healthz' }), 200);
    assert.equal(await one({ path: '/api/v1/nowhere', method: 'POST' }, smuggled), 404);
    assert.equal(await one({ path: '/api/v1/fleet' }), 401);
  }
  agent.destroy();
  assert.equal(sockets, 1);
});

test('every answer carries the strict security headers', async () => {
  for (const where of ['//', '//healthz', '/nowhere', '//metrics', '//missing.js']) {
    const { headers } = await stack.api('GET', where, undefined, { token: null });
    assert.equal(headers.get('content-security-policy'),
      "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
      "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'", where);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('access-control-allow-origin'), null);
  }
});

test('metrics need a login on the main listener and none on their own', async () => {
  assert.equal((await stack.api('GET', '//metrics', undefined, { token: null })).status, 401);
  assert.match((await stack.api('GET', '//metrics')).text, /^lwm2m_active_devices \d/m);
  const own = `http://127.0.0.1:${stack.ports.metrics}`;
  assert.match(await (await fetch(`${own}/metrics`)).text(), /^sparkplug_devices_online \d/m);
  assert.equal((await fetch(`${own}/api/v1/fleet`, { headers: { authorization: `Bearer ${stack.token}` } })).status, 404);
  await until(async () => (await stack.metric('braid_http_seconds_count')) > 10);
  await until(async () => (await stack.metric('braid_http_responses_total{class="4xx"}')) > 10);
});

test('without PostgreSQL live state stays readable and the rest answers 503', async () => {
  await device('no-db');
  await stack.postgres.stop();
  try {
    await until(async () => (await stack.api('GET', '//readyz')).status === 503);
    assert.equal((await stack.api('GET', '/devices/no-db')).status, 200);
    for (const where of ['/commands', '/timeline', '/devices/no-db/series']) {
      const got = await stack.api('GET', where);
      assert.deepEqual([got.status, got.body.code], [503, 'database_unavailable'], where);
      assert.ok(got.headers.get('retry-after'));
    }
    assert.equal((await command('no-db', { op: 'read', path: '/3/0/0' })).status, 503);
  } finally {
    await stack.postgres.start();
  }
  await until(async () => (await stack.api('GET', '//readyz')).status === 200, 10000);
  await until(async () => (await stack.api('GET', '/commands')).status === 200, 5000);
});

});
