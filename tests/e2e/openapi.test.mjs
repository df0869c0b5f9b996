// docs/openapi.yaml and the route table of the server say the same, in both directions.
//
// The file is read with a parser of a few lines: paths stand two blanks in, methods four,
// x-braid-role six. That is how the file is written, and the first test would fail if it were not.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { build, root, withStack } from './lib/stack.mjs';

const text = fs.readFileSync(path.join(root, 'docs/openapi.yaml'), 'utf8');
const braidd = path.join(root, 'build', build, 'braidd');

function described() {
  const found = [];
  let where = null;
  let inPaths = false;
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) inPaths = line === 'paths:';
    if (!inPaths) continue;
    const at = line.match(/^ {2}(\/\S*):$/);
    const method = line.match(/^ {4}(get|post|put|patch|delete|head|options):$/);
    const role = line.match(/^ {6}x-braid-role: (\w+)$/);
    if (at) where = at[1];
    if (method) found.push({ method: method[1].toUpperCase(), where, role: null });
    if (role) found.at(-1).role = role[1];
  }
  return found.map((o) => `${o.method} ${o.where} ${o.role}`).sort();
}

function served() {
  return execFileSync(braidd, ['--dump-routes'], { encoding: 'utf8' }).trim().split('\n').sort();
}

test('every route is described, with its role, and every description has a route', () => {
  assert.deepEqual(described(), served());
  assert.ok(served().length > 25);
});

test('every reference leads somewhere', () => {
  // A component is defined by its name at the third level: "    Name:".
  const defined = new Set();
  let group = null;
  for (const line of text.slice(text.indexOf('\ncomponents:')).split('\n')) {
    const g = line.match(/^ {2}(\w+):$/);
    const n = line.match(/^ {4}(\w+):/);
    if (g) group = g[1];
    else if (n) defined.add(`${group}/${n[1]}`);
  }
  const used = [...text.matchAll(/\$ref: "#\/components\/([^"]+)"/g)].map((m) => m[1]);
  assert.ok(used.length > 100);
  assert.deepEqual(used.filter((name) => !defined.has(name)), []);
  const names = new Set(used);
  const unused = [...defined].filter((n) => !names.has(n) && !/^securitySchemes|LiveOp$/.test(n));
  assert.deepEqual(unused, [], 'nothing is described that nothing refers to');
});

withStack('description', {}, (stack) => {
  test('the server gives the same text to anyone', async () => {
    const got = await stack.api('GET', '/openapi.yaml', undefined, { token: null });
    assert.equal(got.status, 200);
    assert.match(got.headers.get('content-type'), /yaml/);
    assert.equal(got.text, text);
  });

  test('every route that needs a login answers 401 without one', async () => {
    for (const line of served()) {
      const [method, pattern, role] = line.split(' ');
      if (role === 'anyone') continue;
      const where = pattern.replace(/\{\w+\}/g, '1');
      const got = await stack.api(method, `/${where}`, method === 'POST' ? {} : undefined, { token: null });
      assert.equal(got.status, 401, line);
      assert.equal(got.body.code, 'unauthenticated', line);
    }
  });
});
