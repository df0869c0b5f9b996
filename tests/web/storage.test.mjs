// The storage page: its words, and the page itself in a real browser against the mock.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { browser_start, compile, webui } from './tools.mjs';

const m = await compile(`export * from './storage';`);

test('sizes count in thousands and are short', () => {
  const said = [0, 999, 1000, 1_234_567, 41_400_000_000, 9_960_000, -2_000_000].map(m.bytes_text);
  assert.deepEqual(said, ['0 B', '999 B', '1.0 kB', '1.2 MB', '41 GB', '10 MB', '-2.0 MB']);
});

test('days are said as people do', () => {
  assert.deepEqual([1, 90, 400, 730, 1830, 3660].map(m.days_text), ['1 day', '90 days', '400 days', '2 years', '5 years', '10 years']);
});

test('a rule says all that it wants', () => {
  const none = { series: null, endpoint: null, tag: null, value: null, group: null, class: 'short' };
  assert.equal(m.rule_text({ ...none, series: 'spb:*', tag: 'site', value: 'oslo' }), 'series spb:* and tag site=oslo');
  assert.equal(m.rule_text({ ...none, endpoint: 'a*', tag: 'x', group: 'north' }), 'device a* and tag x and group north');
  assert.equal(m.rule_text({ ...none, tag: 'x', value: '' }), 'tag x=');
});

test('days are checked before they are sent', () => {
  assert.equal(m.days_wrong({ raw_days: 1, minute_days: 1, hour_days: 1 }), null);
  assert.match(m.days_wrong({ raw_days: 0, minute_days: 1, hour_days: 1 }), /whole numbers/);
  assert.match(m.days_wrong({ raw_days: NaN, minute_days: 1, hour_days: 1 }), /whole numbers/);
  assert.match(m.days_wrong({ raw_days: 2, minute_days: 1, hour_days: 3 }), /as long as/);
});

// ---- in the browser

let browser;
let dist;
let mock;

before(async () => {
  dist = await mkdtemp(join(tmpdir(), 'braid-dist-')); // others build into webui/dist meanwhile
  await promisify(execFile)(process.execPath, [join(webui, 'build.mjs'), '--out', dist]);
  const { mock_start } = await import(pathToFileURL(join(webui, 'mock', 'server.mjs')));
  mock = await mock_start({ devices: 30, dist });
  browser = await browser_start();
});

after(async () => {
  await browser?.close();
  await mock?.close();
  if (dist) await rm(dist, { recursive: true });
});

async function open(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on('console', (c) => ['error', 'warning'].includes(c.type()) && page.complaints.push(c.text()));
  page.on('pageerror', (e) => page.complaints.push(e.message));
  return page;
}

async function sign_in(page, path) {
  await page.goto(mock.url + path);
  await page.getByLabel('User name').fill('admin');
  await page.getByLabel('Password').fill('admin');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('main#main').waitFor();
}

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    test(`the page says how long the disk lasts and fits, ${colorScheme} at ${width} px`, async (t) => {
      const page = await open(t, { colorScheme, viewport: { width, height: 800 } });
      await sign_in(page, '/storage');
      await page.getByText('It fits: the database will settle at about 41 GB of 100 GB.').waitFor();
      await page.getByText('in the last 6 days it grew by').waitFor();
      await page.locator('.kinds li').nth(7).waitFor();
      await page.getByRole('row', { name: /standard 90 days 400 days 5 years/ }).waitFor();
      await page.locator('.top-devices li').nth(19).waitFor();
      assert.equal(await page.locator('.top-devices li').count(), 20);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${over} px too wide`);
      assert.deepEqual(page.complaints, []);
    });
  }
}

test('an administrator changes, makes and deletes classes', async (t) => {
  const page = await open(t);
  await sign_in(page, '/storage');
  await page.getByRole('button', { name: 'Edit standard' }).click();
  await page.getByLabel('Samples, days').fill('500');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Minutes are kept as long as samples at least').waitFor();
  await page.getByLabel('Samples, days').fill('60');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /standard 60 days/ }).waitFor();
  await page.getByRole('button', { name: 'New class' }).click();
  await page.getByLabel('Name').fill('week');
  await page.getByLabel('Samples, days').fill('7');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /week 7 days/ }).waitFor();
  await page.getByRole('button', { name: 'New rule' }).click();
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.getByText('A rule needs one of').waitFor();
  await page.getByLabel('Series, with * and ?').fill('spb:*/vibration*');
  await page.getByLabel('Tag, key=value').fill('site=oslo');
  await page.getByRole('combobox').selectOption('week');
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.getByText('series spb:*/vibration* and tag site=oslo').waitFor();
  await page.getByRole('button', { name: 'Delete week' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('There are rules for this class').waitFor();
  await page.getByRole('button', { name: /Delete the rule for/ }).click();
  await page.getByText('No rules: every series').waitFor();
  await page.getByRole('button', { name: 'Delete week' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('row', { name: /week/ }).waitFor({ state: 'detached' });
  assert.equal(await page.getByRole('button', { name: 'Delete standard' }).isDisabled(), true);
});

test('others look and change nothing', async (t) => {
  mock.state.role = 'viewer';
  t.after(() => (mock.state.role = 'admin'));
  const page = await open(t);
  await sign_in(page, '/storage');
  await page.reload(); // the session tells its role
  await page.getByRole('row', { name: /standard/ }).waitFor();
  await page.getByText('samples stay up to 8 days longer').waitFor();
  for (const name of ['New class', 'New rule', 'Edit standard'])
    assert.equal(await page.getByRole('button', { name }).count(), 0, name);
  await page.goto(`${mock.url}/devices/sim-demo-00001`);
  await page.getByText(/History about/).waitFor();
  await page.getByRole('button', { name: 'Series on disk' }).click();
  const first = page.getByRole('dialog').getByRole('listitem').first();
  assert.match(await first.innerText(), /spb:\/value_7\s+about 780 kB\s+standard/);
  assert.equal(await page.getByRole('dialog').getByRole('combobox').count(), 0);
});

test('the overview warns when the disk will be full soon, and only then', async (t) => {
  const page = await open(t);
  await sign_in(page, '/');
  await page.locator('.table .row .chip').first().waitFor();
  assert.equal(await page.locator('.parts-note').count(), 0);
  mock.state.storage.level = 'short';
  t.after(() => (mock.state.storage.level = 'fits'));
  await page.reload();
  const note = page.getByRole('alert').filter({ hasText: 'will be reached in about 5 days' });
  await note.getByRole('link', { name: 'Storage' }).click();
  await page.locator('.forecast-short').waitFor();
});

test('a device tells what its history takes', async (t) => {
  const page = await open(t);
  await sign_in(page, '/devices/sim-demo-00001');
  await page.getByText(/History about 9\.4 MB on disk/).waitFor();
});

test('a series is given a class of its own, and back to the rules', async (t) => {
  const page = await open(t);
  await sign_in(page, '/devices/sim-demo-00001');
  await page.getByRole('button', { name: 'Series on disk' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('20 more: say which.').waitFor();
  await dialog.getByLabel('Find a series').fill('5700');
  const choice = dialog.getByLabel('Class of lwm2m:/3303/0/5700');
  const says = (words) => choice.locator('option:checked', { hasText: words }).waitFor({ state: 'attached' });
  await says('by the rules: standard');
  assert.equal(await dialog.getByRole('combobox').count(), 1);
  await choice.selectOption('short');
  await page.getByText('lwm2m:/3303/0/5700 is in class short').waitFor();
  await says('short');
  assert.equal(mock.state.storage.fixed.get('lwm2m:/3303/0/5700'), 'short');
  await choice.selectOption('');
  await says('by the rules: standard');
  assert.equal(mock.state.storage.fixed.size, 0);
  await dialog.getByLabel('Find a series').fill('nothing');
  await dialog.getByText('No such series.').waitFor();
  assert.deepEqual(page.complaints, []);
});
