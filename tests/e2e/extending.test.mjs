// docs/extending.md, done as it says: every block pasted into one shell, in order. The shell's folder
// has a ./run that is ours but for the place of its data and its ports.

import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root, build } from './lib/stack.mjs';

const page = fs.readFileSync(path.join(root, 'docs/extending.md'), 'utf8');
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]);
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'braid-extending-'));
fs.chmodSync(dir, 0o711);
const offset = 20000 + (process.pid % 10000);
const run = path.join(dir, 'run');
fs.writeFileSync(run, `#!/bin/sh\nexec '${root}/run' --data '${dir}/.braid' --port-offset ${offset} "$@"\n`, { mode: 0o755 });

after(() => {
  spawnSync(run, ['--stop']);
  const data = path.join(dir, '.braid');
  if (fs.existsSync(data)) fs.rmSync(fs.realpathSync(data), { recursive: true, force: true });
  fs.rmSync(dir, { recursive: true, force: true });
});

// ./run does not know the tricks that a ThreadSanitizer needs here, and learns nothing new from it.
test('the page can be pasted from top to bottom', { skip: build === 'tsan' }, () => {
  assert.ok(blocks.length >= 5);
  const script = `set -euo pipefail\nexport NODE_OPTIONS=\n${blocks.join('\n')}`;
  const said = spawnSync('bash', ['-c', script], {
    cwd: dir, encoding: 'utf8', timeout: 300000, env: { ...process.env, BRAID_BUILD: build },
  });
  assert.equal(said.status, 0, `${said.stdout}\n${said.stderr}`);
  for (const words of ['"name":"Target Level"', '"state":"succeeded"', '"value":75.5', 'Tank/Target Level']) {
    assert.ok(said.stdout.includes(words), `${words} is not in\n${said.stdout}`);
  }
});

const ddf = `<?xml version="1.0" encoding="utf-8"?>
<LWM2M><Object ObjectType="MODefinition"><Name>Valve</Name><ObjectID>26300</ObjectID>
<ObjectURN>urn:oma:lwm2m:x:26300</ObjectURN><ObjectVersion>1.1</ObjectVersion>
<MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources>
<Item ID="0"><Name>Position</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>
<Mandatory>Mandatory</Mandatory><Type>Unsigned Integer</Type><RangeEnumeration>0..100</RangeEnumeration><Units>%</Units></Item>
<Item ID="1"><Name>Close</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances>
<Mandatory>Optional</Mandatory><Type></Type></Item></Resources></Object></LWM2M>`;

test("OMA's XML becomes a model file", () => {
  const file = path.join(dir, 'valve.xml');
  fs.writeFileSync(file, ddf);
  const model = JSON.parse(execFileSync(path.join(root, 'docs/examples/ddf-to-model'), [file], { encoding: 'utf8' }));
  assert.deepEqual(model.objects[0].resources, [
    { id: 0, name: 'Position', op: 'RW', multiple: false, mandatory: true, type: 'unsigned', range: '0..100', units: '%' },
    { id: 1, name: 'Close', op: 'E', multiple: false, mandatory: false, type: 'none', range: '', units: '' }]);
  assert.deepEqual([model.objects[0].id, model.objects[0].version, model.objects[0].multiple], [26300, '1.1', true]);
});

test('the server does not start with a wrong definition, and says where it is wrong', () => {
  const models = path.join(dir, 'wrong');
  fs.mkdirSync(models);
  fs.writeFileSync(path.join(models, 'tank.json'),
    '{"objects":[{"id":26241,"name":"Tank","resources":[{"id":1,"op":"RW"}]}]}');
  const said = spawnSync(path.join(root, 'build', build, 'braidd'), ['serve', '--lwm2m-models-dir', models,
    '--http-listen', '127.0.0.1:0', '--http-metrics-listen', ''], { encoding: 'utf8', timeout: 20000 });
  assert.equal(said.status, 1);
  assert.match(said.stderr + said.stdout, /tank\.json: object 26241, resource 1: .*type.* is missing/);
});
