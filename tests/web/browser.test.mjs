// The console in a real browser against its mock: pages, keys, dialogs, the live socket, CSP.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync, gunzipSync } from 'node:zlib';
import { browser_start, webui } from './tools.mjs';

const BUDGET = 150_000;
const DEVICE = '/devices/sim-demo-00001';
let browser;
let mock;
let mock_start;

before(async () => {
  await promisify(execFile)(process.execPath, [join(webui, 'build.mjs')]);
  ({ mock_start } = await import(pathToFileURL(join(webui, 'mock', 'server.mjs'))));
  mock = await mock_start({ devices: 40 });
  browser = await browser_start();
});

after(async () => {
  await browser?.close();
  await mock?.close();
});

/** A page that remembers every complaint of the browser. */
async function open(t, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    reducedMotion: 'reduce',
    ...options,
  });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.complaints = [];
  page.on(
    'console',
    (m) => ['error', 'warning'].includes(m.type()) && page.complaints.push(m.text()),
  );
  page.on('pageerror', (e) => page.complaints.push(e.message));
  return page;
}

async function sign_in(page, path = '/', url = mock.url) {
  await page.goto(url + path);
  await page.getByLabel('User name').fill('admin');
  await page.getByLabel('Password').fill('admin');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('main#main').waitFor();
}

const line = (page, name) =>
  page.locator('li.line', { has: page.locator('.line-name', { hasText: name }) }).first();

for (const scheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    test(`every page is quiet and fits, ${scheme} at ${width} px`, async (t) => {
      const page = await open(t, { colorScheme: scheme, viewport: { width, height: 800 } });
      await sign_in(page);
      for (const [path, sign] of [
        ['/', '.table .row .chip'],
        [DEVICE, '.plot canvas'],
        ['/devices/sim-demo-00005', '.tree .line'],
        ['/devices/sim-demo-00006', '.tree .line'],
        ['/timeline', '.event'],
        ['/connect', '.codeline'],
        ['/admin', '.plain-list li'],
        ['/devices/nobody', '.problem'],
        ['/no/such/page', 'main h1'],
      ]) {
        const expected = path === '/devices/nobody' ? /404/ : null;
        await page.goto(mock.url + path);
        await page.locator(sign).first().waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${path} is ${over} px too wide`);
        const heard = page.complaints.splice(0).filter((c) => !expected?.test(c));
        assert.deepEqual(heard, [], `${path} complains`);
      }
    });
  }
}

test('a wrong password is told in words, a right one opens the page that was asked for', async (t) => {
  const page = await open(t);
  await page.goto(mock.url + DEVICE);
  await page.getByLabel('User name').fill('admin');
  await page.getByLabel('Password').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'User name or password is wrong' }).waitFor();
  await page.getByLabel('Password').fill('admin');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'sim-demo-00001', exact: true }).first().waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
});

test('search and counts filter the table and live in the address', async (t) => {
  const page = await open(t);
  await sign_in(page);
  await page.locator('.table .row .chip').first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('00003');
  await page.waitForFunction(() => document.querySelectorAll('.table-body .row').length === 1);
  assert.match(page.url(), /search=00003/);
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: /Lost/ }).click();
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.table-body .chip')].every((c) => c.textContent === 'Lost'),
  );
  assert.match(page.url(), /status=lost/);
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll('.table-body .row').length > 10);
  await page.goto(`${mock.url}/?search=no-such-thing`);
  await page.getByText('No device matches').waitFor();
});

test('j, k and Enter walk the table without a mouse', async (t) => {
  const page = await open(t);
  await sign_in(page);
  await page.locator('.table .row .chip').first().waitFor();
  for (const key of ['j', 'j', 'j', 'k']) await page.keyboard.press(key);
  assert.equal(await page.locator('.row.selected .c-name').innerText(), 'sim-demo-00002');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/devices/sim-demo-00002');
});

test('two thousand devices keep only the rows in view', async (t) => {
  const large = await mock_start({ devices: 2000 });
  t.after(() => large.close());
  const page = await open(t);
  await sign_in(page, '/', large.url);
  await page.getByRole('link', { name: /2.000\s*All devices/ }).waitFor();
  assert.ok((await page.locator('.table-body .row').count()) < 60);
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await page.getByRole('link', { name: 'sim-demo-02000' }).waitFor();
  assert.ok((await page.locator('.table-body .row').count()) < 60);
});

test('an empty fleet shows how to connect the first device', async (t) => {
  const empty = await mock_start({ devices: 0 });
  t.after(() => empty.close());
  const page = await open(t);
  await sign_in(page, '/', empty.url);
  await page.getByRole('heading', { name: 'Connect the first device' }).waitFor();
  const text = await page.locator('.codeline').first().innerText();
  assert.match(text, /^mosquitto_pub -h 127\.0\.0\.1 -p 1883 .*lwm2m\/device-temp-001\/reg/);
  empty.world.add('device-temp-001', 'lwm2m');
  empty.world.emit('device', 'device-temp-001');
  await page.getByRole('link', { name: 'device-temp-001' }).waitFor();
});

test('one click reads, executes, observes, and shows the device answer', async (t) => {
  const page = await open(t);
  await sign_in(page, DEVICE);
  await line(page, 'Manufacturer').getByRole('button', { name: 'Read' }).click();
  await line(page, 'Manufacturer').locator('.note-ok', { hasText: '2.05' }).waitFor();
  await line(page, 'Reboot').getByRole('button', { name: 'Execute' }).click();
  await line(page, 'Reboot').locator('.note-ok', { hasText: '2.04' }).waitFor();
  await line(page, 'Battery Level')
    .getByRole('button', { name: /^Observe/ })
    .click();
  await line(page, 'Battery Level')
    .getByRole('button', { name: /^Stop observing/ })
    .waitFor();
  await line(page, 'Battery Level')
    .getByRole('button', { name: /^Stop observing/ })
    .click();
  await line(page, 'Battery Level')
    .getByRole('button', { name: /^Observe/ })
    .waitFor();
  await page
    .locator('.command')
    .first()
    .locator('.steps .done', { hasText: 'succeeded' })
    .waitFor();
  assert.deepEqual(page.complaints, []);
});

test('the write dialog refuses a wrong type and writes a right one', async (t) => {
  const page = await open(t);
  await sign_in(page, DEVICE);
  await line(page, 'Lifetime').getByRole('button', { name: 'Write' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Value').fill('soon');
  await dialog.getByRole('button', { name: 'Write' }).click();
  await dialog.getByText('Needs a whole number').waitFor();
  await dialog.getByLabel('Value').fill('7200');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await line(page, 'Lifetime').locator('.value', { hasText: '7200' }).waitFor();
  await line(page, 'Lifetime').getByRole('button', { name: 'Write' }).click();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
});

test('a metric write is followed from request to observation, and a rebirth too', async (t) => {
  const page = await open(t);
  await sign_in(page, DEVICE);
  await line(page, 'Setpoint').getByRole('button', { name: 'Write' }).click();
  await page.getByRole('dialog').getByLabel('Value').fill('23.25');
  await page.keyboard.press('Enter');
  await line(page, 'Setpoint').locator('.value', { hasText: '23.25' }).waitFor();
  await page
    .locator('.command', { hasText: 'Setpoint' })
    .locator('.steps .done', { hasText: 'observed' })
    .waitFor();
  await page.getByRole('button', { name: 'Rebirth', exact: true }).click();
  await page
    .locator('.command', { hasText: 'rebirth' })
    .locator('.steps .done', { hasText: 'observed' })
    .waitFor();
});

test('a refusal of the device is told in words with its code', async (t) => {
  const page = await open(t);
  await sign_in(page, DEVICE);
  await page.getByRole('button', { name: 'More for /3303/0' }).click();
  await page.getByRole('menuitem', { name: 'Delete instance…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  const toast = page.locator('.toast-bad');
  await toast.waitFor();
  assert.match(await toast.innerText(), /method not allowed/);
  assert.match(await toast.innerText(), /4\.05/);
});

test('a sleeper queues commands, which can be cancelled', async (t) => {
  const page = await open(t);
  await sign_in(page, '/devices/sim-demo-00004');
  await line(page, 'Manufacturer').getByRole('button', { name: 'Read' }).click();
  const command = page.locator('.command').first();
  await command.getByText('waits until the device wakes').waitFor();
  await command.getByRole('button', { name: 'Cancel' }).click();
  await command.locator('.steps .bad', { hasText: 'cancelled' }).waitFor();
});

test('curl lines are copied from the menu beside each action', async (t) => {
  const page = await open(t, { permissions: ['clipboard-read', 'clipboard-write'] });
  await sign_in(page, DEVICE);
  await page.getByRole('button', { name: 'More for Manufacturer' }).click();
  await page.getByRole('menuitem', { name: 'Read as curl' }).click();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(
    text,
    /^curl -sS -X POST .*sim-demo-00001\/commands\?wait=10.*"op":"read","path":"\/3\/0\/0"/,
  );
});

test('the chart draws several values over the chosen span', async (t) => {
  const page = await open(t);
  await sign_in(page, DEVICE);
  await page.locator('.plot canvas').waitFor();
  await page.getByRole('button', { name: 'Draw: Inputs/Flow' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.legend-item').length === 2);
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByRole('img', { name: /Chart of 2 values.*last 24 h/ }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test('a device of one strand has no empty half', async (t) => {
  const page = await open(t);
  await sign_in(page, '/devices/sim-demo-00005');
  await page.locator('.card-lwm2m').waitFor();
  assert.equal(await page.locator('.card-spb').count(), 0);
  assert.equal(
    await page.getByText('Sparkplug', { exact: true }).count(),
    1,
    'only as a filter of the timeline',
  );
});

test('a lost socket is shown, and everything is fresh after it returns', async (t) => {
  const page = await open(t);
  await sign_in(page);
  await page.locator('.live-on').waitFor();
  await page.locator('.table .row .chip').first().waitFor();
  mock.live.drop();
  await page.getByRole('button', { name: /Not live/ }).waitFor();
  mock.world.devices.get('sim-demo-00002').summary.status = 'unknown';
  await page.locator('.live-on').waitFor();
  await page.locator('.row', { hasText: 'sim-demo-00002' }).getByText('Unknown').waitFor();
  mock.world.devices.get('sim-demo-00002').summary.status = 'online';
  mock.live.resync();
  await page
    .locator('.row', { hasText: 'sim-demo-00002' })
    .getByText('Online', { exact: true })
    .waitFor();
});

test('a change of state reaches the open page within a second', async (t) => {
  const page = await open(t);
  await sign_in(page, '/devices/sim-demo-00011');
  await page.locator('.sentence').waitFor();
  const d = mock.world.devices.get('sim-demo-00011');
  d.up = false;
  Object.assign(d.summary, {
    status: 'lost',
    link: 'lost',
    sentence: 'Connection lost just now (NDEATH)',
  });
  const start = Date.now();
  mock.world.emit('device', 'sim-demo-00011');
  await page.locator('.sentence', { hasText: 'Connection lost' }).waitFor();
  assert.ok(Date.now() - start < 1000);
});

test('a database that is away is told on every page, and that nothing is lost', async (t) => {
  const page = await open(t);
  await sign_in(page, '/timeline');
  mock.state.database = {
    state: 'down',
    since: new Date(Date.now() - 60_000).toISOString(),
    spooled_rows: 12345,
  };
  t.after(() => (mock.state.database.state = 'up'));
  const note = page.getByRole('alert').filter({ hasText: 'The database is away' });
  await note.waitFor();
  assert.match(await note.innerText(), /12.345 rows wait on disk, nothing is lost/);
});

test('a viewer sees all and may press nothing', async (t) => {
  mock.state.role = 'viewer';
  t.after(() => (mock.state.role = 'admin'));
  const page = await open(t);
  await sign_in(page, DEVICE);
  await page.reload();
  await line(page, 'Manufacturer').waitFor();
  assert.equal(
    await line(page, 'Manufacturer').getByRole('button', { name: 'Read' }).isDisabled(),
    true,
  );
  assert.equal(await page.getByRole('link', { name: 'Account' }).count(), 1);
});

test('users and tokens are managed, and a token is shown once', async (t) => {
  const page = await open(t);
  await sign_in(page, '/admin');
  await page.getByLabel('New user').fill('petra');
  await page.getByLabel('Password').fill('secret-enough');
  await page.getByRole('button', { name: 'Add user' }).click();
  await page.locator('.plain-list li', { hasText: 'petra' }).waitFor();
  await page.getByLabel('New token').fill('grafana');
  await page.getByRole('button', { name: 'Make token' }).click();
  await page.getByText('export BRAID_TOKEN=braid_mocktoken').waitFor();
});

test('the policy forbids inline script, and the pages need none', async (t) => {
  const page = await open(t);
  await sign_in(page);
  const ran = await page.evaluate(() => {
    const s = document.createElement('script');
    s.textContent = 'window.inline_ran = true';
    document.body.append(s);
    return Boolean(window.inline_ran);
  });
  assert.equal(ran, false);
});

test('everything together stays below the budget, and the copies are exact', async () => {
  const dist = join(webui, 'dist');
  const names = (await readdir(dist, { recursive: true })).filter((n) => n.endsWith('.gz'));
  let total = 0;
  for (const name of names) {
    const whole = await readFile(join(dist, name.slice(0, -3)));
    assert.deepEqual(gunzipSync(await readFile(join(dist, name))), whole, name);
    total += (await stat(join(dist, name))).size;
    assert.ok(gzipSync(whole).length > 0);
  }
  assert.ok(names.length >= 4);
  assert.ok(total < BUDGET, `${total} bytes`);
});
