// time.mjs - waiting, and how long is too long. CI's machine may be busy with other things, so a wait
// for something to come true is generous (it costs nothing when all is well), and a promise ("within
// 3 s") is one for a machine at ease: atMost() allows more under a sanitizer and under load.

import os from 'node:os';

export const build = process.env.BRAID_BUILD || 'release';
const slow = build === 'tsan' ? 4 : build === 'asan' ? 2 : 1; // how much longer things take
const generous = 3;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// patience(ms): how long to wait for what takes less than `ms` on a machine at ease.
export const patience = (ms) => ms * slow * generous;

// atMost(ms): what may take `ms` on a machine at ease may take this long here and now.
export const atMost = (ms) => ms * slow * Math.max(1, (os.loadavg()[0] / os.cpus().length) * 1.5);

// until(check, ms, what) calls check until it gives something true, and returns that. A check that
// throws counts as "not yet"; its last error or value is in the message when time is up.
export async function until(check, ms = 5000, what = '') {
  const deadline = Date.now() + patience(ms);
  let last;
  for (;;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`not within ${patience(ms)} ms: ${what || check}\nlast seen: ${seen}`);
    }
    await sleep(25);
  }
}
