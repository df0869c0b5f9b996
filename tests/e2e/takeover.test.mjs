// A second braidd waits on the first one's database and takes over when it dies. Both are whole
// servers with the same identity; what differs is where they listen and keep their spool.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { atMost, withStack, until, sleep, freePorts, Part } from './lib/stack.mjs';

const count = 20;
const limit = 5000; // ms until the standby serves

withStack('take-over', { devices: count }, (stack) => {
  let standby, url;

  const ready = async () => {
    const response = await fetch(`${url}/readyz`);
    return { status: response.status, ...(await response.json()) };
  };
  const read = (where) => fetch(`${where}/api/v1/devices/sim-t-00001/commands?wait=2s`, {
    method: 'POST', body: '{"op":"read","path":"/3/0/0"}', signal: AbortSignal.timeout(10000),
    headers: { authorization: `Bearer ${stack.token}`, 'content-type': 'application/json' },
  });
  const takeLock = () => stack.withClient('postgres', 'postgres', async (client) =>
    (await client.query("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND granted")).rows[0].n);

  test('the standby is alive, not ready, and leaves the broker alone', async () => {
    const ports = await freePorts(['http', 'metrics']);
    const data = path.join(stack.dir, 'standby');
    fs.mkdirSync(data);
    url = `http://127.0.0.1:${ports.http}`;
    standby = new Part(stack, 'standby', {
      command: () => [...stack.server.command(), '--http-listen', `127.0.0.1:${ports.http}`,
        '--http-metrics-listen', `127.0.0.1:${ports.metrics}`, '--data-dir', data],
      isReady: async () => (await ready()).state === 'standby',
    });
    await standby.start();
    const said = await ready();
    assert.equal(said.status, 503);
    assert.equal(said.code, 'standby');
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal((await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).status, 200);
    assert.equal((await fetch(`${url}/api/v1/devices`)).status, 503);
    await sleep(1000);
    await until(async () => (await read(stack.url)).status === 200);
    assert.ok(!stack.server.logged(/mqtt\.(lost|disconnected)/), stack.server.tail());
    assert.equal(await takeLock(), 1);
  });

  test('kill -9 of the active one: the standby serves, and no device has to do anything', async (t) => {
    const good = async (where) => {
      const response = await fetch(`${where}/api/v1/fleet`, { headers: { authorization: `Bearer ${stack.token}` } });
      const fleet = await response.json();
      return (fleet.by_status?.online || 0) + (fleet.by_status?.sleeping || 0) === count;
    };
    await until(() => good(stack.url), 30000, 'all good before');
    await sleep(2000); // samples every second until the end
    let answered = 0;
    await until(async () => (await read(stack.url)).status === 200 && (answered = Date.now()));
    const died = Date.now();
    await stack.server.kill('SIGKILL');
    let served;
    let again;
    await until(async () => (await ready()).status === 200 && (served = Date.now()), limit, 'the standby is ready');
    await until(async () => (await read(url)).status === 200 && (again = Date.now()), limit, 'a command is answered');
    await until(() => good(url), 30000, 'all good after');
    const right = Date.now();
    await sleep(1000);
    const [{ gap }] = await stack.sql(
      `SELECT max(extract(epoch FROM next - ts) * 1000)::int AS gap
         FROM (SELECT ts, lead(ts) OVER (ORDER BY ts) AS next FROM samples
                WHERE ts BETWEEN to_timestamp($1) AND to_timestamp($2)) steps`,
      [died / 1000 - 2, right / 1000 + 1]);
    t.diagnostic(`ready ${served - died} ms after the kill`);
    t.diagnostic(`no command answered for ${again - answered} ms`);
    t.diagnostic(`no sample stored for ${gap} ms`);
    t.diagnostic(`all ${count} devices right ${right - died} ms after the kill`);
    assert.ok(again - died < atMost(limit), `${again - died} ms`);
    assert.ok(gap < atMost(limit), `${gap} ms`);
  });

  test('the dead one comes back as the standby, and a stop hands over as well', async () => {
    stack.server.isReady = async () => (await (await fetch(`${stack.url}/readyz`)).json()).state === 'standby';
    await stack.server.start();
    assert.deepEqual(await standby.stop(), { code: 0, signal: null });
    assert.doesNotMatch(standby.log(), /Sanitizer|runtime error:/);
    await until(async () => (await fetch(`${stack.url}/readyz`)).status === 200, limit, 'ready again');
    await until(async () => (await read(stack.url)).status === 200, limit);
    assert.match(stack.server.log(), /server\.taking_over/);
    await standby.start(); // and one that never had its turn ends as orderly
    assert.deepEqual(await standby.stop(), { code: 0, signal: null });
  });
});
