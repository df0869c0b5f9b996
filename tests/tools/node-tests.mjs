// node-tests.mjs CONCURRENCY FILE ... - node's test runner on these files, so many at a time.
//
// End-to-end tests mostly wait; on two cores `node --test` would run one file after the other, and
// Node 18 has no option for it.

import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import path from 'node:path';

const [concurrency, ...files] = process.argv.slice(2);
run({ files: files.map((file) => path.resolve(file)), concurrency: Number(concurrency) })
  .on('test:fail', (event) => {
    if (!event.todo && !event.skip) process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
