// From a device's publish to the frame in the browser, under a fleet: tests/bench/latency.mjs
// measures, here is the promise.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { atMost, root } from './lib/stack.mjs';

test('p99 from publish to WebSocket frame is under 250 ms with 200 devices at a message a second', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath,
    [path.join(root, 'tests/bench/latency.mjs'), '--devices', '200', '--seconds', '20', '--json']);
  const result = JSON.parse(stdout.trim().split('\n').at(-1));
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.messages_per_s >= 200, `${result.messages_per_s} messages/s are no such fleet`);
  assert.equal(result.missed, 0, 'every value came on every way');
  assert.ok(result.frame.p99 < atMost(250), `p99 ${result.frame.p99} ms`);
});
