// Tags, groups and the audit log in the console against the real server: three devices are tagged in
// one go, found again by the tag, put into a group, and the log tells all of it.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { openPage, signIn } from './lib/page.mjs';
import { withStack, until } from './lib/stack.mjs';

withStack('tags and groups in the console', { devices: 4 }, (stack) => {
  let browser, page, complaints;
  const names = [1, 2, 3].map((i) => `sim-t-0000${i}`);
  const shown = async () => (await page.locator('.table-body .c-name a').allInnerTexts()).sort();
  const audit_row = (name) => page.locator('.audit-row', { hasText: name }).first();

  before(async () => {
    ({ browser, page, complaints } = await openPage());
    await signIn({ page, complaints }, `${stack.url}/`, stack.password);
    await until(async () => (await shown()).length === 4, 60000, 'four devices in the table');
  });
  after(() => browser?.close());

  test('three devices are tagged and grouped at once, each with its outcome', async () => {
    await page.getByRole('checkbox', { name: `Select ${names[0]}`, exact: true }).click();
    await page.getByRole('checkbox', { name: `Select ${names[2]}`, exact: true }).click({ modifiers: ['Shift'] });
    await page.locator('.bulk', { hasText: '3 selected' }).waitFor();
    await page.getByRole('button', { name: 'Tags and groups' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Set tags').fill('site=oslo\nnote=näher am Fenster');
    await dialog.getByRole('combobox', { name: 'Join a group' }).fill('north');
    await page.keyboard.press('Enter');
    await dialog.getByRole('button', { name: 'Apply to 3 devices' }).click();
    await dialog.getByText('3 changed · 0 unchanged · 0 failed').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    for (const name of names) {
      const { body } = await stack.api('GET', `/devices/${name}/labels`);
      assert.deepEqual(body, { endpoint: name, tags: { site: 'oslo', note: 'näher am Fenster' }, groups: ['north'] });
    }
  });

  test('the fleet is filtered by the tag, at an address that shows the same to a colleague', async () => {
    await page.getByRole('combobox', { name: 'Tag' }).fill('site=oslo');
    await page.keyboard.press('Enter');
    await until(async () => (await shown()).length === 3, 30000, 'three devices have the tag');
    assert.deepEqual(await shown(), names);
    assert.match(page.url(), /\?tag=site:oslo$/);
    await page.goto(`${stack.url}/?tag=site:oslo&group=north&search=00002`);
    await until(async () => (await shown()).join() === names[1], 30000, 'the address filters');
  });

  test('the group is renamed, and opened from its page', async () => {
    await page.getByRole('link', { name: 'Groups', exact: true }).click();
    await page.locator('.plain-list li', { hasText: 'north' }).getByText('3 devices').waitFor();
    await page.getByRole('button', { name: 'Rename north' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('Nord 1');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Nord 1' }).click();
    await until(async () => (await shown()).length === 3, 30000, 'three devices are in the group');
  });

  test('a tag is taken away again by all that match; who never had it is unchanged', async () => {
    await page.goto(`${stack.url}/`);
    await page.getByRole('checkbox', { name: /Select all 4 shown/ }).click();
    await page.getByRole('button', { name: 'Tags and groups' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: /^note/ }).click();
    await dialog.getByRole('button', { name: 'Apply to 4 devices' }).click();
    await dialog.getByText('3 changed · 1 unchanged · 0 failed').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).last().click();
  });

  test('the audit page tells who changed what, from what to what', async () => {
    await page.getByRole('link', { name: 'Audit', exact: true }).click();
    await audit_row(names[0]).waitFor();
    const text = async (name) => (await audit_row(name).innerText()).replace(/\s+/g, ' ');
    assert.match(await text(names[0]), /admin .*Tags and groups sim-t-00001 ok tag note näher am Fenster$/);
    await page.locator('.audit-row', { hasText: 'Group renamed' }).getByText('north').first().waitFor();
    await page.getByLabel('Target').fill(names[1]);
    await page.keyboard.press('Enter');
    await page.waitForFunction((other) => !document.querySelector('.audit').innerText.includes(other), names[0]);
    const first = page.locator('.audit-row').last();
    assert.match((await first.innerText()).replace(/\s+/g, ' '),
      /tag note näher am Fenster tag site oslo group north added$|tag site oslo tag note näher am Fenster group north added$/);
    const [file] = await Promise.all([
      page.waitForEvent('download'), page.getByRole('button', { name: 'Save as CSV' }).click()]);
    assert.match(file.suggestedFilename(), /^braid-audit-.*\.csv$/);
    await page.locator('.audit-row').first().getByRole('link', { name: names[1] }).click();
    await page.locator('.labels', { hasText: 'site=oslo' }).getByText('Nord 1').waitFor();
  });

  test('the browser had nothing to complain about', () => {
    assert.deepEqual(complaints, []);
  });
});
