// The console against the real server, in a real browser: sign in, see the fleet live, read and
// observe a value, break a device and see the sentence change. (tests/web has every page and
// corner of it against a mock.)

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { atMost, withStack, until } from './lib/stack.mjs';
import { openPage, signIn } from './lib/page.mjs';

withStack('console', { devices: 2 }, (stack) => {
  let browser, page, complaints;
  const row = (name) => page.locator('.table-body .row', { hasText: name });
  const line = (name) =>
    page.locator('li.line', { has: page.locator('.line-name', { hasText: name }) }).first();

  before(async () => {
    ({ browser, page, complaints } = await openPage());
  });
  after(() => browser?.close());

  test('signing in shows both devices online with both strands', async () => {
    const answer = await signIn({ page, complaints }, `${stack.url}/`, stack.password);
    assert.match(answer.headers()['content-security-policy'] ?? '', /default-src|script-src/);
    for (const name of ['sim-t-00001', 'sim-t-00002']) {
      await row(name).locator('.chip', { hasText: 'Online' }).waitFor();
      await row(name).locator('.s-lwm2m').waitFor();
      await row(name).locator('.s-spb').waitFor();
    }
  });

  test('one click reads the manufacturer from the device', async () => {
    await page.getByRole('link', { name: 'sim-t-00001' }).click();
    await line('Manufacturer').getByRole('button', { name: 'Read' }).click();
    await line('Manufacturer').locator('.note-ok', { hasText: '2.05' }).waitFor();
  });

  test('an engineer tags the device and puts it into a new group', async () => {
    await page.getByRole('button', { name: 'Add tags' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Tags').fill('no sign');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Tags').fill('site=oslo\nspare=');
    await dialog.getByLabel('Groups').fill('north');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.locator('.labels', { hasText: 'site=oslo' }).waitFor();
    const { body } = await stack.api('GET', '/devices/sim-t-00001/labels');
    assert.deepEqual(body, { endpoint: 'sim-t-00001', tags: { site: 'oslo', spare: '' }, groups: ['north'] });
  });

  test('a broken device changes its sentence within a second', async () => {
    await stack.tell('break sim-t-00001 power');
    const from = Date.now();
    await page.getByText(/Connection lost/).first().waitFor();
    const took = Date.now() - from;
    assert.ok(took < atMost(3000), `took ${took} ms`);
    await stack.tell('heal sim-t-00001');
    await until(async () => (await stack.api('GET', '/devices/sim-t-00001')).body.status === 'online', 15000);
  });

  test('a device is added, and its bundle comes as a file, once', async () => {
    await page.getByRole('link', { name: 'Connect', exact: true }).click();
    await page.getByLabel('Name', { exact: true }).fill('press-9');
    await page.getByRole('button', { name: 'Add device' }).click();
    const dialog = page.getByRole('dialog');
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      dialog.getByRole('button', { name: 'Download press-9.json' }).click(),
    ]);
    const bundle = JSON.parse(fs.readFileSync(await file.path(), 'utf8'));
    assert.match(bundle.key, /PRIVATE KEY/);
    await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
    const device = await stack.connect({
      host: '127.0.0.1', port: bundle.port, protocol: 'mqtts', clientId: 'press-9', ca: bundle.ca,
      cert: bundle.certificate, key: bundle.key,
    });
    assert.ok(device.connected);
    await page.goto(`${stack.url}/devices/press-9`);
    await page.getByText('Access').click();
    await page.getByText('Certificate', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    await until(() => !device.connected, 5000);
  });

  test('the browser had nothing to complain about', () => {
    assert.deepEqual(complaints, []);
  });
});
