// What a newcomer does in the first ten minutes, acted in a real browser against five simulated
// devices with a day of history, with a clock on each step: the table at the end is what it costs.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { atMost, withStack, until, sleep, root } from './lib/stack.mjs';
import { openPage, signIn } from './lib/page.mjs';

const sh = promisify(execFile);
const example = path.join(root, 'docs/examples/device.py');

withStack('the first ten minutes', { devices: 5, sim: { history: true } }, (stack) => {
  let browser, page, complaints;
  let sensor; // an ordinary device
  let sleeper;
  let faulty;
  const clock = [];
  const row = (name) => page.locator('.table-body .row', { has: page.getByRole('link', { name, exact: true }) });
  const line = (name) =>
    page.locator('li.line', { has: page.locator('.line-name', { hasText: name }) }).first();
  const setpoint = () => page.locator('li.line', { has: page.locator('.line-name[title^="Setpoint/Temperature "]') }).first();
  const get = async (endpoint) => (await stack.api('GET', `/devices/${endpoint}`)).body;
  const paste = (text, env = {}) =>
    sh('bash', ['-c', text], { timeout: 20000, env: { ...process.env, ...env } }).then((out) => out.stdout);

  // step: a test with its time taken down; `ms` is what it may cost.
  const step = (words, ms, act) => test(words, async (t) => {
    const from = performance.now();
    await act(t);
    const took = performance.now() - from;
    clock.push([words, took]);
    t.diagnostic(`${(took / 1000).toFixed(2)} s`);
    assert.ok(took < atMost(ms), `took ${took} ms, may take ${ms} on a machine at ease`);
  });

  before(async () => {
    clock.push(['started: database, broker, server, 5 devices', stack.startedIn]);
    ({ browser, page, complaints } = await openPage({ permissions: ['clipboard-read', 'clipboard-write'] }));
    // The clock starts with a fleet that has been up for a while: the sleeper sleeps.
    await until(async () => {
      const { items } = (await stack.api('GET', '/devices')).body;
      sleeper = items.find((d) => d.lwm2m?.queue_mode)?.endpoint;
      faulty = items.find((d) => d.fault)?.endpoint;
      for (const { endpoint, status } of items) {
        if (sensor || status !== 'online' || endpoint === faulty) continue;
        const { metrics } = await get(endpoint);
        if (metrics.some((m) => m.name === 'Setpoint/Temperature')) sensor = endpoint;
      }
      return sleeper && faulty && sensor && items.find((d) => d.endpoint === sleeper).status === 'sleeping';
    }, 240000, 'the sleeper sleeps');
  });
  after(() => browser?.close());

  step('signing in shows the fleet', 10000, async () => {
    await signIn({ page, complaints }, `${stack.url}/`, stack.password);
    for (let i = 1; i <= 5; i++) await row(`sim-t-0000${i}`).waitFor();
    await row(sleeper).locator('.chip', { hasText: 'Sleeping' }).waitFor();
  });

  step('the faulty device is named in words', 5000, async () => {
    const { fault } = await get(faulty);
    assert.match(fault, /[a-z]+ [a-z]+/, 'words, not a number');
    await row(faulty).locator('.fault-dot').waitFor();
    assert.match(await row(faulty).innerText(), new RegExp(fault.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')));
    assert.equal(await page.locator('.fault-dot').count(), 1, 'and no other');
    await row(faulty).getByRole('link').click();
    await page.locator('.hero', { hasText: fault }).waitFor();
  });

  step('a day of history is drawn at once', 5000, async () => {
    await page.goto(`${stack.url}/devices/${sensor}`);
    await page.locator('.plot canvas').waitFor();
    await page.getByRole('button', { name: '24 h' }).click();
    await page.getByRole('img', { name: /last 24 h/ }).waitFor();
  });

  step('a value is written, and observed as written', 10000, async () => {
    await setpoint().getByRole('button', { name: 'Write' }).click();
    await page.getByRole('dialog').getByLabel('Value').fill('22.75');
    await page.keyboard.press('Enter');
    await setpoint().locator('.value', { hasText: '22.75' }).waitFor();
    await page.locator('.command', { hasText: 'Setpoint' }).first().locator('.steps .done', { hasText: 'observed' }).waitFor();
  });

  step('a command for the sleeper waits in the queue', 10000, async () => {
    await page.goto(`${stack.url}/devices/${sleeper}`);
    await line('Manufacturer').getByRole('button', { name: 'Read' }).click();
    await page.locator('.command').first().getByText('waits until the device wakes').waitFor();
  });

  step('a device is broken and healed, and its sentence says so', 60000, async (t) => {
    await page.goto(`${stack.url}/devices/${sensor}`);
    await page.locator('.sentence').waitFor();
    await stack.tell(`break ${sensor} power`);
    const from = performance.now();
    await page.locator('.sentence', { hasText: /^Connection lost .*\(NDEATH\); the LwM2M lifetime runs/ }).waitFor();
    const broken = performance.now() - from;
    await stack.tell(`heal ${sensor}`);
    const healed = performance.now();
    await page.locator('.hero .chip', { hasText: 'Online' }).waitFor();
    t.diagnostic(`said ${broken.toFixed(0)} ms after the cut, online ${(performance.now() - healed).toFixed(0)} ms after the heal`);
    assert.ok(broken < atMost(2000), `${broken} ms`);
  });

  step('the line of the Connect page, pasted, makes a device', 15000, async () => {
    await page.getByRole('link', { name: 'Connect' }).first().click();
    await page.getByRole('button', { name: 'Copy the registration line' }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(text, /^mosquitto_pub /);
    await paste(text);
    await page.getByRole('link', { name: 'Fleet' }).first().click();
    await row('device-temp-001').getByRole('link').click();
    await line('Manufacturer').locator('.value', { hasText: 'IoT Testing Corp' }).waitFor();
  });

  // The device of one's own: its credentials, handed out once, and the program that uses them.
  if (fs.existsSync(example)) {
    step('a device is added on the page, and the Python example reports as it', 30000, async (t) => {
      await page.getByRole('link', { name: 'Connect' }).first().click();
      await page.getByLabel('Name', { exact: true }).fill('my-first');
      await page.getByRole('button', { name: 'Add device' }).click();
      const dialog = page.getByRole('dialog');
      const [file] = await Promise.all([
        page.waitForEvent('download'),
        dialog.getByRole('button', { name: 'Download my-first.json' }).click(),
      ]);
      const bundle = path.join(stack.dir, 'my-first.json');
      await file.saveAs(bundle);
      await dialog.getByRole('button', { name: 'Copy the line that runs the example' }).click();
      const text = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(text, '/usr/bin/python3 docs/examples/device.py my-first.json');
      await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
      const line_of_mine = `exec ${text.replace('my-first.json', `'${bundle}'`)} 60`;
      const program = spawn('bash', ['-c', line_of_mine], { cwd: root, stdio: 'ignore' });
      t.after(() => program.kill());
      await page.goto(`${stack.url}/devices/my-first`);
      await page.locator('.card-lwm2m .tag', { hasText: 'registered' }).waitFor();
      await page.locator('.card-spb .tag', { hasText: 'born' }).waitFor();
      await line('Manufacturer').getByRole('button', { name: 'Read' }).click();
      await line('Manufacturer').locator('.note-ok', { hasText: '2.05' }).waitFor();
    });

    step('its password is shown once, and never again', 10000, async () => {
      await page.getByText('Access').click();
      await page.getByRole('button', { name: 'Set password' }).click();
      const dialog = page.getByRole('dialog');
      const password = await dialog.locator('.codeline code').first().innerText();
      assert.ok(password.length >= 16, `${password.length} characters`);
      await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
      await page.locator('.plain-list li', { hasText: 'Password' }).getByText(/by admin/).waitFor();
      assert.ok(!(await page.content()).includes(password));
      await page.reload();
      await page.getByText('Access').click();
      await page.locator('.plain-list li', { hasText: 'Password' }).waitFor();
      assert.ok(!(await page.content()).includes(password));
      assert.ok(!JSON.stringify((await stack.api('GET', '/devices/my-first/credentials')).body).includes(password));
    });
  }

  step('a button copied as curl does the same in a terminal', 10000, async () => {
    await page.goto(`${stack.url}/devices/${sensor}`);
    await page.getByRole('button', { name: 'More for Manufacturer' }).click();
    await page.getByRole('menuitem', { name: 'Read as curl' }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    const answer = JSON.parse(await paste(text, { BRAID_TOKEN: stack.token }));
    assert.equal(answer.state, 'succeeded', text);
    assert.equal(answer.result.values[0].path, '/3/0/0');
  });

  step('the server is stopped and started, and nothing is lost', 60000, async (t) => {
    const count = async () => ({
      devices: (await stack.api('GET', '/devices?limit=1000')).body.items.map((d) => d.endpoint).sort(),
      commands: (await stack.sql('SELECT id::text FROM command ORDER BY id')).map((r) => r.id),
      samples: Number((await stack.sql('SELECT count(*) AS n FROM samples'))[0].n),
      events: Number((await stack.sql('SELECT count(*) AS n FROM timeline_event'))[0].n),
    });
    await page.goto(`${stack.url}/`);
    await page.locator('.live-on').waitFor();
    const told = await count();
    await stack.server.stop();
    await page.getByRole('button', { name: /Not live/ }).waitFor();
    await sleep(1000);
    await stack.server.start();
    await page.locator('.live-on').waitFor();
    complaints.length = 0; // the browser tells of every connection that was refused
    const kept = await count();
    assert.deepEqual(kept.devices, told.devices);
    assert.deepEqual(kept.commands.slice(0, told.commands.length), told.commands);
    assert.ok(kept.samples >= told.samples, `${kept.samples} of ${told.samples} samples`);
    assert.ok(kept.events >= told.events);
    for (const name of [sensor, faulty]) await row(name).locator('.chip', { hasText: /Online|Degraded/ }).waitFor();
    await row('device-temp-001').waitFor();
    await page.goto(`${stack.url}/devices/${sleeper}`);
    await page.locator('.command').first().getByText(/waits until the device wakes|succeeded/).first().waitFor();
    await page.goto(`${stack.url}/devices/${sensor}`);
    await setpoint().locator('.value', { hasText: '22.75' }).waitFor();
    t.diagnostic(`${kept.samples} samples, ${kept.commands.length} commands, ${kept.events} events are there; nobody had to sign in again`);
  });

  test('all of it within ten minutes, and the browser had nothing to complain about', () => {
    const total = clock.reduce((sum, [, ms]) => sum + ms, 0);
    const table = [...clock, ['together', total]]
      .map(([words, ms]) => `${(ms / 1000).toFixed(2).padStart(8)} s  ${words}`);
    console.log(`The first ten minutes:\n${table.join('\n')}`);
    assert.ok(total < atMost(600000));
    assert.deepEqual(complaints, []);
  });
});
