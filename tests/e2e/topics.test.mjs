// The broker's access rules as shipped: every line of compose/mosquitto.acl is one that is promised, opens
// what it says for the identity it names, and is shut for the same words with another name in them.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { root, until, withStack } from './lib/stack.mjs';

withStack('topics', { server: false }, (stack) => {
  const acl = fs.readFileSync(path.join(root, 'compose/mosquitto.acl'), 'utf8');
  const lines = [...acl.matchAll(/^pattern (read|write|readwrite) (\S+)$/gm)].map(([, access, pattern]) => ({ access, pattern }));
  // What docs/protocols.md promises, line by line; the file has these and no others.
  const promised = [
    ...['reg', 'update', 'upd', 'dereg', 'notify/+', 'send', 'lost', 'resp/+', 'bs/req', 'bs/pack', 'bs/resp/+']
      .map((word) => `write lwm2m/%u/${word}`),
    ...['cmd/#', 'ack/#', 'bs/cmd/#', 'bs/ack'].map((word) => `read lwm2m/%u/${word}`),
    'readwrite lwm2m/rd/%u', 'readwrite lwm2m/bs/%u',
    ...['NBIRTH', 'NDATA', 'NDEATH', 'DBIRTH', 'DDATA', 'DDEATH'].map((type) => `write spBv1.0/+/${type}/%u`),
    ...['DBIRTH', 'DDATA', 'DDEATH'].map((type) => `write spBv1.0/+/${type}/%u/+`),
    'read spBv1.0/+/NCMD/%u', 'read spBv1.0/+/DCMD/%u/+', 'read spBv1.0/STATE/+',
  ];

  test('the file has what is promised and nothing else', () => {
    assert.deepEqual(lines.map(({ access, pattern }) => `${access} ${pattern}`).sort(), [...promised].sort());
    const sessions = acl.split(/^user /m).slice(1).map((part) => [part.split('\n')[0],
      [...part.matchAll(/^topic (.*)$/gm)].map((match) => match[1])]);
    assert.deepEqual(sessions, [
      ['braid-sp', ['read spBv1.0/#', 'read $sparkplug/#', 'read $SYS/#', 'write spBv1.0/STATE/braid',
        'write spBv1.0/+/NCMD/+', 'write spBv1.0/+/DCMD/+/+']],
      ['braid-lw', ['readwrite lwm2m/#', 'read $SYS/#']],
    ]);
    assert.equal(acl.match(/^(topic|pattern|user) /gm).length, lines.length + 8 + 2, 'no line escapes this test');
  });

  // The server's two sessions are confined as well: a hole in one strand's code opens no other.
  for (const [name, may, mayNot] of [
    ['braid-sp', ['spBv1.0/STATE/braid', 'spBv1.0/g/NCMD/n', 'spBv1.0/g/DCMD/n/d'],
      ['spBv1.0/STATE/other', 'spBv1.0/g/NDATA/n', 'spBv1.0/g/NBIRTH/n', 'lwm2m/n/cmd/1', 'lwm2m/rd/n', '$SYS/x']],
    ['braid-lw', ['lwm2m/n/cmd/1', 'lwm2m/n/ack/reg', 'lwm2m/rd/n'],
      ['spBv1.0/g/NCMD/n', 'spBv1.0/STATE/braid', 'other/topic']],
  ]) {
    test(`the session ${name} writes what it has to and nothing else`, async () => {
      const tls = (ending) => fs.readFileSync(path.join(stack.dir, 'tls', `${name}.${ending}`));
      const console = await stack.console();
      await console.subscribeAsync(['#', '$SYS/x'], { qos: 1 });
      for (const where of [...may, ...mayNot]) {
        const session = await stack.connect({ ...stack.deviceOptions('any'), clientId: name, key: tls('key'), cert: tls('crt') });
        await session.publishAsync(where, name, { qos: 1 }).catch(() => {});
        await console.publishAsync('end', where, { qos: 1 });
        await until(() => console.seen.some((m) => m.topic === 'end' && m.payload.toString() === where));
        assert.equal(console.seen.some((m) => m.topic === where), may.includes(where), where);
        console.seen.length = 0;
      }
      const session = await stack.connect({ ...stack.deviceOptions('any'), clientId: name, key: tls('key'), cert: tls('crt') });
      await session.subscribeAsync('#', { qos: 1 });
      for (const where of ['spBv1.0/g/NDATA/n', 'lwm2m/n/reg', 'other/topic']) await console.publishAsync(where, 'x', { qos: 1 });
      const end = name === 'braid-sp' ? 'spBv1.0/end' : 'lwm2m/end';
      await console.publishAsync(end, 'x', { qos: 1 });
      await until(() => session.seen.some((m) => m.topic === end));
      const heard = new Set(session.seen.map((m) => m.topic.split('/')[0]));
      assert.deepEqual([...heard], [end.split('/')[0]]);
    });
  }

  test('the console is for this machine only, and the limits lose nothing by count', () => {
    const conf = fs.readFileSync(path.join(stack.dir, 'mosquitto.conf'), 'utf8');
    const value = (key) => conf.match(new RegExp(`^${key} (.*)$`, 'm'))?.[1];
    for (const [key, expected] of Object.entries({ per_listener_settings: 'true', max_queued_messages: '0',
      message_size_limit: String(16 << 20) })) assert.equal(value(key), expected, key);
    for (const key of ['max_queued_bytes', 'memory_limit', 'persistent_client_expiration']) assert.ok(value(key), key);
    assert.ok(Number(value('autosave_interval')) <= 10);
    const listeners = conf.split(/^listener /m).slice(1);
    assert.equal(listeners.length, 5);
    for (const listener of listeners) {
      if (/^0 \//.test(listener)) { // the server's own, in a folder that only the broker's user may enter
        assert.equal(fs.statSync(path.dirname(listener.match(/^0 (.*)$/m)[1])).mode & 0o777, 0o700);
        assert.match(listener, /^acl_file .*broker\.sync\/acl$/m);
        continue;
      }
      const isConsole = /^allow_anonymous true$/m.test(listener);
      if (isConsole) assert.match(listener, /^\d+ 127\.0\.0\.1\n/);
      else assert.match(listener, /^use_username_as_clientid true$/m);
      assert.match(listener, isConsole ? /^\d+ 127/ : /^acl_file .*broker\.sync\/acl$/m);
    }
  });

  const topic = (pattern, name) => pattern.replace('%u', name).replace('#', 'x/y').replaceAll('+', 'any');

  test('what an identity may write is its own, and no line lets it write for another', async () => {
    const console = await stack.console();
    await console.subscribeAsync(['lwm2m/#', 'spBv1.0/#'], { qos: 1 });
    for (const { access, pattern } of lines) {
      const own = topic(pattern, 'acl-1');
      const writes = access !== 'read';
      for (const [where, allowed] of [[own, writes], [topic(pattern, 'acl-2'), false]]) {
        if (where === own && !pattern.includes('%u')) continue;
        const device = await stack.device('acl-1'); // this broker hangs up on what it denies
        await device.publishAsync(where, access, { qos: 1 }).catch(() => {});
        await console.publishAsync('lwm2m/end', where, { qos: 1 });
        await until(() => console.seen.some((m) => m.topic === 'lwm2m/end' && m.payload.toString() === where));
        assert.equal(console.seen.some((m) => m.topic === where), allowed, `${access} ${where}`);
        console.seen.length = 0;
      }
    }
  });

  test('what an identity may read is its own, and no line lets it read for another', async () => {
    const console = await stack.console();
    const device = await stack.device('acl-1');
    await device.subscribeAsync('#', { qos: 1 }); // accepted; what arrives is what counts
    for (const { access, pattern } of lines) {
      if (!pattern.includes('%u')) continue;
      const own = topic(pattern, 'acl-1');
      await console.publishAsync(topic(pattern, 'acl-2'), 'not yours', { qos: 1 });
      await console.publishAsync(own, 'yours', { qos: 1 });
      await console.publishAsync('lwm2m/acl-1/ack/end', own, { qos: 1 });
      await until(() => device.seen.some((m) => m.topic === 'lwm2m/acl-1/ack/end' && m.payload.toString() === own));
      assert.equal(device.seen.some((m) => m.topic === own), access !== 'write', `${access} ${own}`);
      assert.equal(device.seen.some((m) => m.payload.toString() === 'not yours'), false, pattern);
      device.seen.length = 0;
    }
  });
});

withStack('a host of another name', { env: { BRAID_SPARKPLUG_HOST_ID: 'plant7' } }, (stack) => {
  test('may say so, and its broker knows no other', async () => {
    const console = await stack.console();
    await console.subscribeAsync('spBv1.0/STATE/+', { qos: 1 });
    await until(() => console.seen.some((m) => m.topic === 'spBv1.0/STATE/plant7'));
    const acl = fs.readFileSync(path.join(stack.dir, 'broker.base/acl'), 'utf8');
    assert.deepEqual(acl.match(/^topic write spBv1.0\/STATE.*$/gm), ['topic write spBv1.0/STATE/plant7']);
  });
});
