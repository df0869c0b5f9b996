// page.mjs - the console in a real browser.

import { browser_start } from '../../web/tools.mjs';
import { patience } from './time.mjs';

// openPage: {browser, page, complaints}; `complaints` is what the browser finds wrong from then on. `more`
// is for the browser's context. The caller closes `browser`.
export async function openPage(more = {}) {
  const browser = await browser_start();
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...more });
  const page = await context.newPage();
  const complaints = [];
  page.setDefaultTimeout(patience(20000));
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(m.text()));
  page.on('pageerror', (e) => complaints.push(e.message));
  return { browser, page, complaints };
}

// signIn: opens the console at `url` and signs in as admin; the answer to the first request. The
// server's 401 to "who am I?", which is over when the form is there, is no complaint.
export async function signIn({ page, complaints }, url, password) {
  const answer = await page.goto(url);
  await page.getByLabel('User name').fill('admin');
  complaints.length = 0;
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  return answer;
}
