// What an attacker tries at the HTTP door: guessing passwords, other sites' pages, paths out of the
// folder, too much of everything, and being slow. Refused with a clear reason, nothing else disturbed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import WebSocket from 'ws';
import { atMost, build, sleep, until, withStack } from './lib/stack.mjs';

const slow = build === 'release' ? 1 : 4;
const workers = 8;

withStack('at the door', { config: { 'http.workers': workers, 'http.trusted_proxies': '127.0.0.1' } }, (stack) => {
  const from = (address) => ({ token: null, headers: { 'x-forwarded-for': address } });
  const login = (username, password, address) =>
    stack.api('POST', '/session', { username, password }, from(address));
  const session = async (address) => {
    const got = await until(async () => {
      const answer = await login('admin', stack.password, address);
      return answer.status === 200 && answer;
    }, 20000);
    return { cookie: got.headers.get('set-cookie').split(';')[0], csrf: got.body.csrf };
  };
  const asks = (cookie, method = 'GET', where = '/fleet', headers = {}) =>
    stack.api(method, where, undefined, { token: null, headers: { cookie, ...headers } });
  const memory = () =>
    Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${stack.server.pid}/status`, 'utf8'))[1]) / 1024;

  // raw: sends bytes, gives what came back until the other side closed (or `ms` passed).
  const raw = (bytes, ms = 15000) =>
    new Promise((resolve) => {
      let answer = '';
      const socket = net.connect(stack.ports.http, '127.0.0.1', () => socket.write(bytes));
      const end = () => resolve(answer) || socket.destroy();
      socket.setTimeout(ms, end);
      socket.on('data', (part) => (answer += part.toString('latin1')));
      socket.on('error', end);
      socket.on('close', end);
    });

  // What braid_http_refused_total counts, and what the audit log says beside it.
  const refusals = async (reason) => (await stack.metric(`braid_http_refused_total{reason="${reason}"}`)) ?? 0;
  const audited = async (action, result) =>
    (await stack.api('GET', `/audit?action=${encodeURIComponent(action)}&result=${result}&limit=1000`)).body.items;

  const alive = async () => {
    const at = Date.now();
    assert.equal((await stack.api('GET', '/fleet')).status, 200);
    return Date.now() - at;
  };

  test('10,000 wrong logins are slowed down in bounded memory while others work', async () => {
    await login('admin', 'wrong', '198.51.100.1');
    const before = memory();
    const statuses = {};
    let next = 0, slowest = 0;
    const guess = async () => {
      for (let i = next++; i < 10000; i = next++) {
        const { status } = await login(i % 2 ? 'admin' : `user-${i}`, `guess ${i}`, '198.51.100.1');
        statuses[status] = (statuses[status] || 0) + 1;
      }
    };
    const guessers = Promise.all(Array.from({ length: workers }, guess));
    let guessing = true;
    guessers.finally(() => (guessing = false));
    while (guessing) {
      slowest = Math.max(slowest, await alive());
      await sleep(100);
    }
    await guessers;
    console.log(`# wrong logins ${JSON.stringify(statuses)}, slowest other answer ${slowest} ms, ` +
      `memory ${before.toFixed(0)} -> ${memory().toFixed(0)} MiB`);
    assert.deepEqual(Object.keys(statuses).sort(), ['401', '429']);
    assert.ok(statuses[401] < 200, 'few guesses are ever checked');
    assert.ok(slowest < atMost(2000), `others waited ${slowest} ms`);
    // AddressSanitizer keeps freed memory (256 MiB) to find late readers.
    const kept = build === 'asan' ? 400 : 40 * slow;
    assert.ok(memory() < before + kept, `memory stays bounded: ${before} -> ${memory()} MiB`);
    const rows = await stack.sql("SELECT count(*)::int AS n FROM audit_log WHERE action = 'login_refused'");
    assert.ok(rows[0].n >= statuses[401] && rows[0].n < 300, 'what was checked is audited, no flood of rows');
    assert.ok((await refusals('throttled')) >= statuses[429]);
    assert.ok((await refusals('unauthenticated')) >= statuses[401]);
    assert.ok((await stack.metric('braid_logins_total{result="refused"}')) >= statuses[401]);
    const [row] = await audited('login_refused', 'bad_credentials');
    assert.equal(row.from, '198.51.100.1');
    await session('198.51.100.2'); // the owner, elsewhere, gets in
  });

  test('a session ends when idle, and for good at its absolute end', async () => {
    const idle = await session('198.51.100.3');
    const old = await session('198.51.100.3');
    assert.equal((await asks(idle.cookie)).status, 200);
    await stack.sql("UPDATE app_session SET touched_at = now() - interval '1 year' WHERE csrf = $1", [idle.csrf]);
    await stack.sql('UPDATE app_session SET expires_at = now() WHERE csrf = $1', [old.csrf]);
    for (const { cookie } of [idle, old]) { // identities are remembered for 5 s
      await until(async () => (await asks(cookie)).status === 401, 6000);
    }
  });

  test('a live view ends within seconds of its token, session or user', async () => {
    const made = (await stack.api('POST', '/tokens', { name: 'watcher', role: 'viewer' })).body;
    const view = await stack.live({ token: made.token });
    await view.subscribe('f', 'fleet');
    const other = await stack.live();
    await other.subscribe('f', 'fleet');
    const id = (await stack.api('GET', '/tokens')).body.items.find((t) => t.name === 'watcher').id;
    assert.ok((await stack.api('DELETE', `/tokens/${id}`)).status < 300);
    const told = view.next((message) => message.code === 'unauthenticated', 15000);
    await told;
    await view.closed;
    assert.equal(other.socket.readyState, 1, 'the others go on');
    await assert.rejects(stack.live({ token: made.token }));
  });

  test('a token shows its expiry and last use, and ends when it expires', async () => {
    const expires = new Date(Date.now() + 3600000).toISOString();
    const made = await stack.api('POST', '/tokens', { name: 'short', role: 'viewer', expires_at: expires });
    const token = made.body.token;
    const shown = async () => (await stack.api('GET', '/tokens')).body.items.find((t) => t.name === 'short');
    assert.deepEqual([(await shown()).expires_at, (await shown()).last_used_at], [expires, null]);
    assert.equal((await stack.api('GET', '/fleet', undefined, { token })).status, 200);
    assert.ok(Date.now() - Date.parse((await shown()).last_used_at) < atMost(60000));
    await stack.sql("UPDATE api_token SET expires_at = now() WHERE name = 'short'");
    await until(async () => (await stack.api('GET', '/fleet', undefined, { token })).status === 401, 6000);
  });

  test('a page of another site can neither change, nor log in, nor listen', async () => {
    const { cookie, csrf } = await session('198.51.100.4');
    const before = { csrf: await refusals('csrf'), origin: await refusals('origin') };
    const forged = await asks(cookie, 'DELETE', '/devices/x', { origin: 'http://evil.example' });
    assert.deepEqual([forged.status, forged.body.code], [403, 'csrf']);
    const wrong = await asks(cookie, 'DELETE', '/devices/x', { 'x-braid-csrf': csrf.replace(/./g, '0') });
    assert.deepEqual([wrong.status, wrong.body.code], [403, 'csrf']);
    assert.equal((await asks(cookie, 'DELETE', '/devices/x', { 'x-braid-csrf': csrf })).status, 404);
    const strange = await stack.api('POST', '/session', { username: 'admin', password: stack.password },
      { token: null, headers: { origin: 'http://evil.example' } });
    assert.deepEqual([strange.status, strange.body.code], [403, 'bad_origin']);
    const listen = (headers) =>
      new Promise((resolve) => {
        const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.http}/api/v1/live`, { headers });
        ws.on('open', () => resolve('open') || ws.close());
        ws.on('unexpected-response', (_, response) => resolve(response.statusCode) || response.destroy());
        ws.on('error', () => resolve('error'));
      });
    assert.equal(await listen({ cookie, origin: 'http://evil.example' }), 403);
    assert.equal(await listen({ cookie, origin: 'null' }), 403);
    assert.equal(await listen({ origin: stack.url }), 401);
    assert.equal(await listen({ cookie, origin: stack.url }), 'open');

    assert.equal(await refusals('csrf'), before.csrf + 2);
    assert.equal(await refusals('origin'), before.origin + 3);
    const changes = await audited('device_forget', 'csrf');
    assert.deepEqual(changes.map((row) => [row.who, row.target]), [['admin', 'x'], ['admin', 'x']]);
    assert.deepEqual((await audited('live_refused', 'bad_origin')).map((row) => row.who), ['admin', 'admin']);
    assert.equal((await audited('login_refused', 'bad_origin')).length, 1);
    // However often a page tries: counted each time, a few rows in the log.
    await Promise.all(Array.from({ length: 100 }, () => stack.api('POST', '/session', { username: 'a', password: 'b' },
      { token: null, headers: { origin: 'http://evil.example' } })));
    assert.equal(await refusals('origin'), before.origin + 103);
    assert.ok((await audited('login_refused', 'bad_origin')).length < 20);
    await session('198.51.100.4'); // and nobody was locked out by it
  });

  test('no path leaves the folder of the web UI', async () => {
    const paths = ['/../../../../etc/passwd', '/..%2f..%2f..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd',
      '/.//../../etc/passwd', '//etc/passwd', '/etc/passwd%00.js', '/assets/..%5c..%5cetc/passwd',
      '/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd', '/api/v1/../../../../etc/passwd'];
    for (const path of paths) {
      const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 [2-4]\d\d /, path);
      assert.ok(!/root:.*:0:0:/.test(answer), path);
    }
  });

  test('too long requests and bodies are refused, and the next caller is served', async () => {
    const head = (line, rest) => raw(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${rest}\r\n`);
    const before = { large: await refusals('too_large'), malformed: await refusals('malformed') };
    const refused = /^(HTTP\/1\.1 4(00|13|14|31) |$)/;
    assert.match(await head(`GET /${'a'.repeat(100000)}`, ''), refused);
    assert.match(await head('GET /healthz', `X-Long: ${'a'.repeat(200000)}\r\n`), refused);
    assert.match(await head('GET /healthz', 'X-Many: 1\r\n'.repeat(5000)), refused);
    const big = await stack.api('POST', '/labels', `{"x":"${'a'.repeat(2 << 20)}"}`);
    assert.deepEqual([big.status, big.body.code], [413, 'too_large']);
    const huge = await head('POST /api/v1/session', 'Content-Length: 99999999999\r\n');
    assert.match(huge, /^HTTP\/1\.1 413 /);
    const deep = await stack.api('POST', '/session', `${'['.repeat(50000)}`, { token: null });
    assert.equal(deep.status, 400);
    assert.ok((await refusals('too_large')) >= before.large + 2);
    assert.ok((await refusals('malformed')) >= before.malformed + 1);
    await alive();
  });

  test('slow clients on half of the workers do not disturb others', async () => {
    const sockets = [];
    for (let i = 0; i < workers / 2; i++) {
      const socket = net.connect(stack.ports.http, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(i % 2 ? 'GET /healthz HTTP/1.1\r\nX-Slow: ' : 'POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{');
      sockets.push(socket);
    }
    const drip = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write('a')), 200);
    try {
      const end = Date.now() + 4000;
      let slowest = 0;
      while (Date.now() < end) slowest = Math.max(slowest, await alive());
      console.log(`# slowest answer beside ${sockets.length} slow clients: ${slowest} ms`);
      assert.ok(slowest < atMost(1000), `${slowest} ms`);
    } finally {
      clearInterval(drip);
      sockets.forEach((socket) => socket.destroy());
    }
  });
});
