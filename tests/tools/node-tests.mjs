// node-tests.mjs CONCURRENCY FILE ... - node's test runner on these files, so many at a time.
//
// End-to-end tests mostly wait; on two cores `node --test` would run one file after the other, and
// Node 18 has no option for it.
//
// A file that fails in company is run once more, alone: several servers under a sanitizer on two
// cores may be slower than a test has patience for. If it passes then, the last lines name it as
// unsteady, for somebody to look at. What a sanitizer reports, and a program
// that died, get no second chance.

import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [concurrency, ...files] = process.argv.slice(2);

// Node 18 names a file by its URL.
const path_of = (file) => (file?.startsWith('file:') ? fileURLToPath(file) : file ?? null);

// once runs the files and tells which failed: Map from file to whether a second run is allowed.
function once(list, at_once) {
  const failed = new Map();
  return new Promise((resolve) => {
    const stream = run({ files: list, concurrency: at_once });
    stream.on('test:fail', (event) => {
      if (event.todo || event.skip) return;
      let words = '';
      for (let error = event.details?.error; error; error = error.cause) words += `${error} ${error.stack}`;
      const reported = /Sanitizer|runtime error:|ended (by itself|with)/.test(words);
      // Without its name nobody knows what to run again: all of them failed for good.
      const file = path_of(event.file);
      failed.set(file, (failed.get(file) ?? true) && !reported && file !== null);
    });
    const shown = stream.compose(new spec());
    shown.pipe(process.stdout, { end: false });
    shown.on('end', () => resolve(failed));
  });
}

const failed = await once(files.map((file) => path.resolve(file)), Number(concurrency));
const again = [...failed].filter(([, allowed]) => allowed).map(([file]) => file);
if (failed.size > again.length) {
  process.exitCode = 1;
} else if (again.length) {
  const still = await once(again, 1);
  for (const file of again)
    console.log(`${still.has(file) ? 'failed twice' : 'unsteady'}: ${path.relative('.', file)}`);
  if (still.size) process.exitCode = 1;
}
