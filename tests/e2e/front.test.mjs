// The HTTPS front as shipped (compose/nginx.conf.in) before a real server: what it speaks, what it
// refuses and in which words, that it tells the server who the client is, and that neither a new
// certificate nor a crowd of slow clients disturbs who is there already.

import { test, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { atMost, withStack, until, root } from './lib/stack.mjs';
import { Front } from './lib/front.mjs';
import { openPage, signIn } from './lib/page.mjs';

const once = ['strict-transport-security', 'content-security-policy', 'x-content-type-options',
  'x-frame-options', 'referrer-policy', 'cross-origin-resource-policy', 'cache-control'];
const countOf = (answer, name) => answer.lines.filter(([header]) => header === name).length;

withStack('the HTTPS front', { devices: 2, config: { 'http.trusted_proxies': '127.0.0.1' } }, (stack) => {
let front;
before(async () => {
  front = await Front.start(stack);
});

const audit = async (action) =>
  (await stack.api('GET', '/audit')).body.items.find((row) => row.action === action);
const login = (password, headers = {}, from = '127.0.0.1') =>
  front.json('POST', '/api/v1/session', { username: 'admin', password }, { token: null, headers, from });

test('TLS 1.2 and 1.3 with forward secrecy, nothing older and nothing weaker', async () => {
  const newest = await front.handshake();
  assert.equal(newest.protocol, 'TLSv1.3');
  assert.equal(newest.issuer, 'Braid root');
  const older = await front.handshake({ maxVersion: 'TLSv1.2' });
  assert.equal(older.protocol, 'TLSv1.2');
  assert.match(older.cipher, /ECDHE_.*(GCM|CHACHA20)/);
  // Level 0 lets this client offer what it would not by itself.
  const offer = (options) => front.handshake({ ...options, ciphers: `${options.ciphers ?? 'ALL'}:@SECLEVEL=0` });
  for (const version of ['TLSv1', 'TLSv1.1']) {
    await assert.rejects(offer({ minVersion: version, maxVersion: version }), version);
  }
  for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'NULL', 'aNULL']) {
    await assert.rejects(offer({ maxVersion: 'TLSv1.2', ciphers }), ciphers);
  }
  await assert.rejects(front.handshake({ ca: [] }), /self.signed|unable to/i);
});

test('HTTP/2 and HTTP/1.1 give the same answers, and plain HTTP is sent to HTTPS', async () => {
  assert.equal((await front.handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'h2');
  const two = await front.http2('/api/v1/devices');
  assert.equal(two.alpn, 'h2');
  assert.equal(two.status, 200);
  const one = await front.request('GET', '/api/v1/devices');
  assert.equal(one.status, 200);
  assert.equal(JSON.parse(two.text).items.length, one.body.items.length);
  const plain = await front.raw(`GET /devices/x?y=1 HTTP/1.1\r\nHost: localhost:${front.port}\r\nConnection: close\r\n\r\n`,
    { secure: false });
  assert.match(plain, /^HTTP\/1\.1 308 /);
  assert.match(plain, new RegExp(`Location: https://localhost:${front.port}/devices/x\\?y=1\r`));
});

test('IPv6 is served beside IPv4 where the machine has it', { skip: !fs.existsSync('/proc/net/if_inet6') }, async () => {
  const both = await Front.start(stack, { address: '0.0.0.0', name: 'both' });
  assert.equal((await both.handshake({ host: '::1' })).protocol, 'TLSv1.3');
  assert.equal((await both.handshake()).protocol, 'TLSv1.3');
  await both.stop();
});

test('answers are compressed for those who ask, and the UI comes with its own copies', async () => {
  const plain = await front.request('GET', '/api/v1/models');
  const packed = await front.request('GET', '/api/v1/models', { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.deepEqual(JSON.parse(gunzipSync(packed.bytes)), plain.body);
  assert.ok(packed.bytes.length < plain.bytes.length / 4);
  const page = await front.request('GET', '/', { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(countOf(page, 'content-encoding'), 1);
  assert.match(gunzipSync(page.bytes).toString(), /<!doctype html>/i);
});

test('every answer carries each security header exactly once, the front\'s own too', async () => {
  const answers = {
    page: await front.request('GET', '/'),
    api: await front.request('GET', '/api/v1/devices'),
    unauthenticated: await front.request('GET', '/api/v1/devices', { token: null }),
    missing: await front.request('GET', '/api/v1/nothing'),
    large: await front.request('POST', '/api/v1/session', { body: Buffer.alloc(1100000, 32) }),
  };
  for (const [name, answer] of Object.entries(answers)) {
    for (const header of once) assert.equal(countOf(answer, header), 1, `${name}: ${header}`);
    assert.match(answer.headers['strict-transport-security'], /max-age=31536000/);
    assert.doesNotMatch(answer.headers.server ?? '', /\d/, 'no version');
  }
  const direct = await stack.api('GET', '/devices');
  assert.equal(direct.headers.get('strict-transport-security'), null, 'plain HTTP promises nothing');
});

test('bodies and headers that are too large are refused in the words of the API', async () => {
  const { status, headers, body } = await front.request('POST', '/api/v1/session', { body: Buffer.alloc(1100000, 32) });
  assert.equal(status, 413);
  assert.match(headers['content-type'], /^application\/problem\+json/);
  assert.equal(body.code, 'too_large');
  const header = await front.request('GET', '/', { headers: { cookie: 'a'.repeat(9000) } });
  assert.equal(header.status, 431);
  assert.equal(header.body.code, 'header_too_large');
  assert.equal(header.body.status, 431);
  const uri = await front.request('GET', `/?${'a'.repeat(9000)}`);
  assert.equal(uri.status, 414);
  assert.equal(uri.body.code, 'uri_too_long');
  const garbage = await front.raw('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n');
  assert.match(garbage, /^HTTP\/1\.1 400 [^]*"code":"bad_request"/);
  assert.match(await front.raw('\x16\x03\x01 nonsense\r\n\r\n'), /^HTTP\/1\.1 400 [^]*"code":"bad_request"/);
  const trace = await front.request('TRACE', '/');
  assert.equal(trace.status, 405);
  assert.equal(trace.body.code, 'method_not_allowed');
  // What the server itself says passes unchanged.
  const refused = await front.json('POST', '/api/v1/devices/sim-t-00001/commands', { op: 'dance' });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.status, 422);
});

test('the server sees the real client, and what a client claims about itself is dropped', async () => {
  const answer = await login(stack.password, { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http',
    forwarded: 'for=203.0.113.9', 'x-real-ip': '203.0.113.9', 'x-forwarded-host': 'evil.example' }, '127.0.0.2');
  assert.equal(answer.status, 200, answer.text);
  const cookie = answer.headers['set-cookie'][0];
  for (const flag of [/; Secure/, /; HttpOnly/, /; SameSite=Strict/]) assert.match(cookie, flag);
  assert.equal((await audit('login')).from, '127.0.0.2');
  const evil = await login(stack.password, { origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' });
  assert.equal(evil.status, 403);
  assert.equal(evil.body.code, 'bad_origin');
  const own = await login(stack.password, { origin: front.url });
  assert.equal(own.status, 200);
});

test('wrong passwords slow down the client who sent them and nobody else', async () => {
  const slowed = await until(async () => { // the sixth, or a later one if the wait was over before it came
    const answer = await login('wrong', {}, '127.0.0.4');
    return answer.status === 429 && answer;
  }, 10000);
  assert.equal(slowed.body.code, 'login_throttled');
  assert.equal(countOf(slowed, 'retry-after'), 1);
  assert.equal((await login(stack.password, {}, '127.0.0.5')).status, 200);
  assert.equal((await audit('login_refused')).from, '127.0.0.4');
});

test('the WebSocket goes through, also with a cookie, but not from a foreign page', async () => {
  const live = await front.live();
  const snapshot = await live.subscribe('f', 'fleet');
  assert.equal(snapshot.op, 'snapshot');
  await live.subscribe('d', 'device', { endpoints: ['sim-t-00001'] });
  await live.next((m) => m.id === 'd' && m.values?.length, 10000);
  await live.close();
  const session = await login(stack.password);
  const cookie = session.headers['set-cookie'][0].split(';')[0];
  const upgrade = (origin) => front.raw(`GET /api/v1/live HTTP/1.1\r\nHost: localhost:${front.port}\r\nUpgrade: websocket\r\n` +
    `Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Protocol: braid.v1\r\nOrigin: ${origin}\r\nCookie: ${cookie}\r\n\r\n`, { head: true });
  const [foreign, ours] = await Promise.all([upgrade('https://evil.example'), upgrade(front.url)]);
  assert.match(foreign, /^HTTP\/1\.1 403 /);
  assert.match(ours, /^HTTP\/1\.1 101 /);
  const elsewhere = await front.raw(`GET /api/v1/devices HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n` +
    `Authorization: Bearer ${stack.token}\r\n\r\n`);
  assert.match(elsewhere, /^HTTP\/1\.1 200 /, 'no other path changes protocols');
});

test('the console works through the front in a real browser', async (t) => {
  const { browser, page, complaints } = await openPage({ ignoreHTTPSErrors: true });
  t.after(() => browser.close());
  await signIn({ page, complaints }, `${front.url}/`, stack.password);
  await page.locator('.live-on').waitFor();
  await page.getByRole('link', { name: 'sim-t-00001' }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.secure && cookie.httpOnly, JSON.stringify(cookie));
  assert.deepEqual(complaints, []);
});

test('a new certificate is taken on SIGHUP while an open WebSocket stays', async () => {
  const live = await front.live();
  await live.subscribe('d', 'device', { endpoints: ['sim-t-00001'] });
  const old = await front.handshake();
  // The operator's own certificate takes the place of the one Braid made.
  fs.rmSync(path.join(front.data, 'tls/server.crt'));
  execFileSync(path.join(root, 'compose/make-certs'), [path.join(front.data, 'tls')], { stdio: 'pipe' });
  const from = Date.now();
  process.kill(front.part.pid, 'SIGHUP');
  await until(async () => (await front.handshake()).serial !== old.serial, 5000, 'the new certificate');
  await live.next((m) => m.id === 'd' && m.at > from + 500 && m.values?.length, 10000);
  assert.equal(live.socket.readyState, live.socket.OPEN);
  assert.equal((await front.request('GET', '/api/v1/devices')).status, 200);
  // One that cannot be read is refused, and the good one stays.
  const good = await front.handshake();
  fs.writeFileSync(path.join(front.data, 'tls/server.crt'), 'not a certificate');
  process.kill(front.part.pid, 'SIGHUP');
  await until(() => /cannot load certificate/.test(front.part.log()), 5000);
  assert.equal((await front.handshake()).serial, good.serial);
  await live.next((m) => m.id === 'd' && m.values?.length, 10000);
  await live.close();
});

test('the operator\'s own certificate goes before the one Braid made', async () => {
  const certs = path.join(front.data, 'tls');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=Own authority',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', `${certs}/own.key`, '-out', `${certs}/own.crt`], { stdio: 'pipe' });
  front.make();
  process.kill(front.part.pid, 'SIGHUP');
  const ca = fs.readFileSync(`${certs}/own.crt`);
  const seen = await until(() => front.handshake({ ca }), 5000, 'the own certificate');
  assert.equal(seen.issuer, 'Own authority');
  assert.match((await front.handshake({ ca, maxVersion: 'TLSv1.2' })).cipher, /ECDHE_RSA_/);
  fs.rmSync(`${certs}/own.key`);
  fs.rmSync(`${certs}/server.crt`);
  execFileSync(path.join(root, 'compose/make-certs'), [certs], { stdio: 'pipe' });
  front.make();
  process.kill(front.part.pid, 'SIGHUP');
  await until(() => front.handshake(), 5000, 'the private authority again');
});

test('a crowd of slow clients stops neither REST nor the WebSocket', async (t) => {
  const crowd = await Promise.all([...Array(400)].map((_, i) => front.slow(
    i % 2 ? 'GET /api/v1/devices HTTP/1.1\r\nHost: loc' // headers that never end
      : `POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${100 + i}\r\n\r\n{`,
    `127.0.0.${100 + i % 50}`)));
  // ... and some who ask for much and read none of it.
  for (let i = 0; i < 40; i++) {
    const socket = await front.slow(`GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${stack.token}\r\n\r\n`,
      `127.0.0.${100 + i}`);
    socket.pause();
    crowd.push(socket);
  }
  const times = [];
  for (let i = 0; i < 20; i++) {
    const from = performance.now();
    assert.equal((await front.request('GET', '/api/v1/devices')).status, 200);
    times.push(performance.now() - from);
  }
  const live = await front.live();
  await live.subscribe('f', 'fleet');
  await live.close();
  times.sort((a, b) => a - b);
  t.diagnostic(`with ${crowd.length} slow clients: REST through the front median ${times[10].toFixed(1)} ms, slowest ${times[19].toFixed(1)} ms`);
  assert.ok(times[19] < atMost(3000), `${times[19]} ms`);
  for (const socket of crowd) socket.destroy();
});

test('one address cannot hold all connections, and the next is told so', async () => {
  const body = 'POST /api/v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{';
  const held = await Promise.all([...Array(201)].map(() => front.slow(body, '127.0.0.6')));
  const refused = await until(async () => {
    const answer = await front.request('GET', '/api/v1/session', { from: '127.0.0.6' });
    return answer.status === 429 && answer;
  }, 5000);
  assert.equal(refused.body.code, 'rate_limited');
  assert.equal((await front.request('GET', '/api/v1/session')).status, 200, 'others go on');
  for (const socket of held) socket.destroy();
});

test('guessing passwords is slowed down by the front, reading the session is not', async () => {
  const from = Date.now();
  const answers = await Promise.all([...Array(40)].map((_, i) =>
    front.json('POST', '/api/v1/session', { username: `guess-${i}`, password: 'wrong' }, { token: null, from: '127.0.0.7' })));
  const limited = answers.filter((answer) => answer.status === 429 && answer.body.code === 'rate_limited');
  const served = 11 + Math.ceil((Date.now() - from) / 3000); // 10 at once, then 20 a minute
  assert.ok(limited.length >= 40 - served, `${limited.length} of 40 were limited`);
  assert.ok(limited.length > 0, 'a machine that takes a minute for 40 logins proves nothing');
  for (const answer of limited) {
    assert.equal(countOf(answer, 'retry-after'), 1);
    assert.match(answer.headers['content-type'], /problem\+json/);
  }
  const reads = await Promise.all([...Array(40)].map(() => front.request('GET', '/api/v1/session', { from: '127.0.0.7' })));
  assert.ok(reads.every((answer) => answer.status === 200));
});

test('a server that is away is told as 503 with Retry-After, and is back at once', async () => {
  await stack.server.stop();
  const away = await front.request('GET', '/api/v1/devices');
  assert.equal(away.status, 503);
  assert.equal(away.body.code, 'server_unavailable');
  assert.equal(away.body.status, 503);
  assert.equal(countOf(away, 'retry-after'), 1);
  await stack.server.start();
  assert.equal((await front.request('GET', '/api/v1/devices')).status, 200);
});

test('a large download is named by the server and sent by the front', async () => {
  const upstream = http.createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/csv', 'cache-control': 'private', 'x-content-type-options': 'nosniff',
      'content-disposition': 'attachment; filename="history.csv"', 'x-accel-redirect': '/_downloads/history.csv' });
    response.end();
  });
  await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  stack.closers.push(() => upstream.close());
  const other = await Front.start(stack, { upstream: `127.0.0.1:${upstream.address().port}`, name: 'download' });
  const content = 'time,value\n' + '1,2\n'.repeat(500000);
  fs.writeFileSync(path.join(other.data, 'downloads/history.csv'), content);
  const answer = await other.request('GET', '/api/v1/export');
  assert.equal(answer.status, 200);
  assert.equal(answer.text.length, content.length);
  assert.match(answer.headers['content-disposition'], /history\.csv/);
  for (const header of once) assert.equal(countOf(answer, header), 1, header);
  assert.equal((await front.request('GET', '/_downloads/history.csv')).status, 404, 'nobody asks for it by name');
  await other.stop();
});
});

withStack('without a front', {}, (stack) => {
  test('a client that connects directly cannot claim another address or HTTPS', async () => {
    const answer = await stack.api('POST', '/session', { username: 'admin', password: stack.password },
      { token: null, headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' } });
    assert.equal(answer.status, 200);
    assert.doesNotMatch(answer.headers.get('set-cookie'), /Secure/);
    const row = (await stack.api('GET', '/audit')).body.items.find((item) => item.action === 'login');
    assert.equal(row.from, '127.0.0.1');
    const evil = await stack.api('POST', '/session', { username: 'admin', password: stack.password },
      { token: null, headers: { origin: 'http://evil.example', 'x-forwarded-host': 'evil.example' } });
    assert.equal(evil.status, 403);
  });
});
