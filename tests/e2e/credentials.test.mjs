// Credentials of real devices against the real broker: who gets in, who is kept out, and how soon.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { atMost, build, root, sleep, until, withStack } from './lib/stack.mjs';

const kept = 5000; // how soon the broker must know

const registration = (endpoint) =>
  JSON.stringify({ lifetime: 300, version: '1.2', objects: { 3: { 0: { 0: 'Real Ltd', 1: endpoint } } } });

// identity: what the API issued, as options for npm's mqtt.
function optionsOf(stack, bundle) {
  const common = { host: '127.0.0.1', port: bundle.port, protocol: 'mqtts', clientId: bundle.endpoint, ca: bundle.ca };
  return bundle.kind === 'password'
    ? { ...common, username: bundle.username, password: bundle.password }
    : { ...common, cert: bundle.certificate, key: bundle.key };
}

async function add(stack, endpoint, more = { kind: 'certificate' }) {
  const answer = await stack.api('POST', '/devices', { endpoint, ...more });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

// register(stack, client, endpoint): the ack's code.
async function register(client, endpoint) {
  await client.subscribeAsync(`lwm2m/${endpoint}/ack/#`, { qos: 1 });
  await client.publishAsync(`lwm2m/${endpoint}/reg`, registration(endpoint), { qos: 1 });
  const ack = await until(() => client.seen.find((m) => m.topic === `lwm2m/${endpoint}/ack/reg`));
  return JSON.parse(ack.payload).code;
}

// refusedWithin: how long until the broker refuses these options; throws when it does not in `ms`.
async function refusedWithin(stack, options, ms = atMost(kept)) {
  const from = Date.now();
  for (;;) {
    try {
      const client = await stack.connect(options);
      await client.endAsync(true);
    } catch {
      return Date.now() - from;
    }
    if (Date.now() - from > ms) throw new Error(`still let in after ${ms} ms`);
    await sleep(50);
  }
}

withStack('credentials', {}, (stack) => {
  test('an added device waits to be heard, and comes online with the bundle it was given', async () => {
    const bundle = await add(stack, 'press-1', { kind: 'certificate', days: 20 });
    assert.match(bundle.certificate, /BEGIN CERTIFICATE/);
    assert.match(bundle.key, /BEGIN PRIVATE KEY/);
    assert.equal((await stack.api('GET', '/devices/press-1')).body.status, 'never');
    const client = await stack.connect(optionsOf(stack, bundle));
    assert.equal(await register(client, 'press-1'), '2.01');
    await until(async () => (await stack.api('GET', '/devices/press-1')).body.status === 'online');
    const { body } = await stack.api('GET', '/devices/press-1/credentials');
    assert.equal(body.state, 'active');
    assert.equal(body.certificates[0].serial, bundle.serial);
    assert.match(body.certificates[0].warning, /Ends in (19|20) days/);
    assert.ok(!JSON.stringify(body).includes('PRIVATE'));
    const ending = await stack.api('GET', '/credentials/ending?days=30');
    assert.deepEqual(ending.body.items.map((c) => c.endpoint), ['press-1']);
  });

  test('what was issued is in no log and in no table', async () => {
    const bundle = await add(stack, 'secret-1');
    const pass = (await stack.api('POST', '/devices/secret-1/credentials', { kind: 'password' })).body;
    const middle = bundle.key.split('\n')[1];
    const dump = execFileSync('pg_dump', ['-h', stack.sockets, '-U', 'postgres', '--data-only', 'braid'],
      { encoding: 'utf8', maxBuffer: 1 << 28 });
    for (const secret of [middle, pass.password]) {
      assert.ok(!stack.server.log().includes(secret));
      assert.ok(!dump.includes(secret));
    }
    assert.match(dump, /certificate_issue/); // audited all the same
  });

  test('a password comes into force with the answer, and the one before it ends', async () => {
    const first = await add(stack, 'valve-1', { kind: 'password' });
    assert.equal(first.broker, 'synced');
    const client = await stack.connect(optionsOf(stack, first));
    assert.equal(await register(client, 'valve-1'), '2.01');
    const second = (await stack.api('POST', '/devices/valve-1/credentials', { kind: 'password' })).body;
    await until(() => !client.connected, kept, 'the session of the old password is closed');
    await refusedWithin(stack, optionsOf(stack, first));
    const again = await stack.connect(optionsOf(stack, second));
    assert.ok(again.connected);
  });

  test('a revoked certificate is refused within 5 s, its session closed, and its successor let in', async () => {
    const old = await add(stack, 'pump-1');
    const client = await stack.connect(optionsOf(stack, old));
    assert.equal(await register(client, 'pump-1'), '2.01');
    const next = (await stack.api('POST', '/devices/pump-1/credentials', { kind: 'certificate' })).body;
    await (await stack.connect(optionsOf(stack, next))).endAsync(); // both are good for a while
    const session = await stack.connect(optionsOf(stack, old));
    const from = Date.now();
    const answer = await stack.api('DELETE', `/devices/pump-1/credentials/${old.serial}`);
    assert.equal(answer.status, 200, answer.text);
    const [entry] = (await stack.api('GET', '/audit?action=credential_revoke&target=pump-1')).body.items;
    assert.deepEqual([entry.who, entry.result], ['e2e', 'ok']);
    const took = await refusedWithin(stack, optionsOf(stack, old), atMost(kept) - (Date.now() - from));
    console.log(`    refused ${Date.now() - from} ms after the call (the call: ${Date.now() - from - took} ms)`);
    await until(() => !session.connected, 2000);
    assert.ok((await stack.connect(optionsOf(stack, next))).connected);
    const { body } = await stack.api('GET', '/devices/pump-1/credentials');
    assert.ok(body.certificates.find((c) => c.serial === old.serial).revoked_at);
    assert.equal((await stack.api('DELETE', `/devices/pump-1/credentials/${old.serial}`)).status, 404);
  });

  test('renewing with replace revokes what was before', async () => {
    const old = await add(stack, 'pump-2');
    const next = (await stack.api('POST', '/devices/pump-2/credentials',
      { kind: 'certificate', replace: true })).body;
    await refusedWithin(stack, optionsOf(stack, old));
    assert.ok((await stack.connect(optionsOf(stack, next))).connected);
  });

  test('expired, foreign and self-signed certificates are refused', async () => {
    const tls = path.join(stack.dir, 'tls');
    const folder = path.join(stack.dir, 'bad');
    fs.mkdirSync(folder);
    const ssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    ssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
      '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/O=Braid/CN=Braid devices'); // the same name, another key
    ssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'd.key',
      '-out', 'd.csr', '-subj', '/CN=press-1');
    ssl('x509', '-req', '-in', 'd.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-set_serial', '7', '-days', '30', '-out', 'foreign.crt');
    ssl('req', '-x509', '-key', 'd.key', '-days', '30', '-out', 'self.crt', '-subj', '/CN=press-1');
    fs.writeFileSync(path.join(folder, 'ca.cnf'), '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\n' +
      'default_md=sha256\nunique_subject=no\npolicy=p\nrand_serial=yes\n[p]\ncommonName=supplied\n');
    fs.writeFileSync(path.join(folder, 'index'), '');
    ssl('ca', '-batch', '-config', 'ca.cnf', '-cert', `${tls}/issuing-ca.crt`, '-keyfile', `${tls}/issuing-ca.key`,
      '-startdate', '20200101000000Z', '-enddate', '20210101000000Z', '-in', 'd.csr', '-out', 'expired.crt', '-notext');
    ssl('ca', '-batch', '-config', 'ca.cnf', '-cert', `${tls}/issuing-ca.crt`, '-keyfile', `${tls}/issuing-ca.key`,
      '-startdate', '20200101000000Z', '-enddate', '20400101000000Z', '-in', 'd.csr', '-out', 'good.crt', '-notext');
    const options = (name) => ({
      host: '127.0.0.1', port: stack.ports.tls, protocol: 'mqtts', clientId: 'press-1',
      ca: fs.readFileSync(`${tls}/ca.crt`), key: fs.readFileSync(`${folder}/d.key`), cert: fs.readFileSync(`${folder}/${name}.crt`),
    });
    assert.ok((await stack.connect(options('good'))).connected); // the others differ by one thing
    // The device is told why, in TLS's own words; the broker's log has a line for each.
    const reasons = { foreign: /unknown ca|decrypt error/i, self: /unknown ca/i, expired: /certificate expired/i };
    const lines = () => stack.broker.log().match(/certificate verify failed/g)?.length ?? 0;
    for (const [name, reason] of Object.entries(reasons)) {
      const before = lines();
      await assert.rejects(stack.connect(options(name)), reason, name);
      await until(() => lines() > before, 5000, `${name}: a line in the broker's log`);
    }
    const { key, cert, ...without } = options('good');
    await assert.rejects(stack.connect(without), /certificate required/i);
  });

  test('one identity is one session, whatever it calls itself, and others are not disturbed', async () => {
    const bystander = await stack.device('clash-by');
    const bundle = await add(stack, 'clash-1');
    const first = await stack.connect({ ...optionsOf(stack, bundle), clientId: 'clash-by' }); // a name it does not have
    assert.equal(await register(first, 'clash-1'), '2.01');
    const second = await stack.connect({ ...optionsOf(stack, bundle), clientId: 'something-else' });
    await until(() => !first.connected, 5000, 'the older session ends');
    assert.equal(await register(second, 'clash-1'), '2.01');
    assert.ok(bystander.connected);
    assert.match(stack.broker.log(), /Client clash-1 already connected, closing old connection/);
    // With a certificate for one name nothing can be said under another.
    await second.publishAsync('lwm2m/clash-by/reg', registration('clash-by'), { qos: 1 }).catch(() => {});
    await until(() => !second.connected, 5000, 'this broker hangs up on what it denies');
    assert.equal((await stack.api('GET', '/devices/clash-by')).status, 404);
  });

  test('a message that names another endpoint than its topic is refused, counted and told', async () => {
    const bundle = await add(stack, 'liar-1');
    const client = await stack.connect(optionsOf(stack, bundle));
    const before = (await stack.metric('braid_bad_input_total{reason="identity"}')) ?? 0;
    await client.subscribeAsync('lwm2m/liar-1/ack/#', { qos: 1 });
    await client.publishAsync('lwm2m/liar-1/reg',
      JSON.stringify({ ...JSON.parse(registration('liar-1')), endpoint: 'press-1' }), { qos: 1 });
    const ack = await until(() => client.seen.find((m) => m.topic === 'lwm2m/liar-1/ack/reg'));
    assert.match(JSON.parse(ack.payload).code, /^4\./);
    await until(async () => (await stack.metric('braid_bad_input_total{reason="identity"}')) > before);
    await until(async () => (await stack.api('GET', '/devices/liar-1/timeline?kind=bad_input')).body.items.length);
    assert.equal((await stack.api('GET', '/devices/liar-1')).body.lwm2m, null);
  });

  test('a suspended device is cut off, refused and silenced, and comes back when resumed', async () => {
    const bundle = await add(stack, 'lift-1');
    const password = (await stack.api('POST', '/devices/lift-1/credentials', { kind: 'password' })).body;
    const client = await stack.connect(optionsOf(stack, bundle));
    assert.equal(await register(client, 'lift-1'), '2.01');
    const answer = await stack.api('POST', '/devices/lift-1/suspend', { why: 'stolen' });
    assert.deepEqual(answer.body, { endpoint: 'lift-1', state: 'suspended', broker: 'synced' });
    await until(() => !client.connected, 2000, 'its session is closed');
    await refusedWithin(stack, optionsOf(stack, bundle));
    await refusedWithin(stack, optionsOf(stack, password)); // a stolen password is worth nothing
    await assert.rejects(stack.connect(optionsOf(stack, bundle)), /certificate revoked/i);
    await assert.rejects(stack.connect(optionsOf(stack, password)), /Not authorized/);
    const [entry] = (await stack.api('GET', '/audit?action=suspended&target=lift-1')).body.items;
    assert.deepEqual([entry.who, entry.result, entry.detail.why], ['e2e', 'ok', 'stolen']);
    const device = await until(async () => {
      const got = (await stack.api('GET', '/devices/lift-1')).body;
      return got.status === 'lost' && got;
    });
    assert.equal(device.standing, 'suspended');
    assert.match(device.sentence, /suspended/);
    const denied = await stack.api('POST', '/devices/lift-1/credentials', { kind: 'password' });
    assert.equal(denied.body.code, 'identity_blocked');
    await until(async () => (await stack.api('GET', '/devices/lift-1/timeline')).body.items
      .some((e) => e.kind === 'standing' && /Suspended by e2e: stolen/.test(e.text)), 5000, 'the line on the timeline');

    assert.equal((await stack.api('POST', '/devices/lift-1/resume')).body.broker, 'synced');
    const back = await stack.connect(optionsOf(stack, bundle));
    assert.equal(await register(back, 'lift-1'), '2.01');
    await until(async () => (await stack.api('GET', '/devices/lift-1')).body.status === 'online');
  });

  test('a suspended name is answered 4.03 and counted when the broker is not in the way', async () => {
    await add(stack, 'lift-2');
    await stack.api('POST', '/devices/lift-2/suspend');
    const console = await stack.console(); // may speak for everybody
    await console.subscribeAsync('lwm2m/lift-2/ack/#', { qos: 1 });
    await console.publishAsync('lwm2m/lift-2/reg', registration('lift-2'), { qos: 1 });
    const ack = await until(() => console.seen.find((m) => m.topic === 'lwm2m/lift-2/ack/reg'));
    assert.equal(JSON.parse(ack.payload).code, '4.03');
    await console.publishAsync('spBv1.0/g/NDATA/lift-2', 'x', { qos: 0 });
    await until(async () => (await stack.metric('braid_bad_input_total{reason="suspended"}')) >= 2);
    assert.equal((await stack.api('GET', '/devices/lift-2')).body.status, 'never');
  });

  test('a device whose certificate we did not issue is silenced all the same', async () => {
    const client = await stack.device('theirs-1');
    assert.equal(await register(client, 'theirs-1'), '2.01');
    await stack.api('POST', '/devices/theirs-1/suspend');
    await until(() => !client.connected, 2000);
    const console = await stack.console();
    await console.subscribeAsync('lwm2m/theirs-1/#', { qos: 1 });
    const again = await stack.device('theirs-1'); // a CA we hold no key of
    await again.publishAsync('lwm2m/theirs-1/lost', '{}', { qos: 1 }).catch(() => {});
    await sleep(300);
    assert.deepEqual(console.seen, []);
  });

  test('a retired device stays out for good, with its history or without', async () => {
    for (const [endpoint, purge] of [['old-1', false], ['old-2', true]]) {
      const bundle = await add(stack, endpoint);
      const client = await stack.connect(optionsOf(stack, bundle));
      assert.equal(await register(client, endpoint), '2.01');
      const answer = await stack.api('POST', `/devices/${endpoint}/retire`, { purge });
      assert.equal(answer.body.state, 'retired', answer.text);
      const said = (await stack.api('GET', `/audit?target=${endpoint}`)).body.items.map((e) => e.action);
      assert.equal(said.includes('retired'), true);
      assert.equal(said.includes('device_forget'), purge, 'a history that is gone was audited');
      await until(() => !client.connected, 2000);
      await refusedWithin(stack, optionsOf(stack, bundle));
      assert.equal((await stack.api('GET', `/devices/${endpoint}`)).status, purge ? 404 : 200);
      assert.equal((await stack.api('POST', `/devices/${endpoint}/resume`)).status, purge ? 404 : 409);
      const console = await stack.console();
      await console.publishAsync(`lwm2m/${endpoint}/reg`, registration(endpoint), { qos: 1 });
      await until(async () => (await stack.metric('braid_bad_input_total{reason="suspended"}')) >= 3);
      assert.equal((await stack.api('GET', `/devices/${endpoint}`)).status, purge ? 404 : 200);
      assert.equal((await stack.api('POST', '/devices', { endpoint, kind: 'certificate' })).status, 409);
    }
  });

  test('a deleted device leaves its certificate revoked', async () => {
    const bundle = await add(stack, 'gone-1');
    assert.equal((await stack.api('DELETE', '/devices/gone-1')).status, 204);
    await refusedWithin(stack, optionsOf(stack, bundle));
    const again = await add(stack, 'gone-1'); // the name is free again, the old certificate is not good
    assert.ok((await stack.connect(optionsOf(stack, again))).connected);
    await assert.rejects(stack.connect(optionsOf(stack, bundle)));
  });

  test('what is blocked stays blocked after a restart of the server and of the broker', async () => {
    const bundle = await add(stack, 'jail-1');
    const suspended = await stack.api('POST', '/devices/jail-1/suspend');
    assert.equal(suspended.body.broker, 'synced');
    await stack.server.restart();
    await stack.broker.restart();
    await until(async () => (await stack.api('GET', '//readyz')).status === 200, 15000);
    await assert.rejects(stack.connect(optionsOf(stack, bundle)));
    assert.equal((await stack.api('GET', '/devices/jail-1')).body.standing, 'suspended');
    await until(() => /up to date/.test(stack.braidd('broker-sync')), 5000, 'the files are true');
  });

  test('names nobody may have, and requests that make no sense, are refused with words', async () => {
    for (const endpoint of ['rd', 'bs', 'STATE', 'braid-sp', 'a/b', 'a b', 'a+b', 'ü', '', 'x'.repeat(65)]) {
      const answer = await stack.api('POST', '/devices', { endpoint, kind: 'certificate' });
      assert.equal(answer.status, 422, endpoint);
      assert.equal(answer.body.code, 'bad_name');
    }
    await add(stack, 'a:b');
    for (const [body, code] of [[{ kind: 'magic' }, 'bad_kind'], [{ kind: 'certificate', days: 0 }, 'bad_days'],
      [{ kind: 'certificate', days: 3650 }, undefined], [{ kind: 'password' }, 'bad_name'],
      [{ kind: 'certificate', replace: 'yes' }, 'bad_replace']]) {
      const answer = await stack.api('POST', '/devices/a:b/credentials', body);
      if (code) assert.equal(answer.body.code, code, JSON.stringify(body));
    }
    assert.equal((await stack.api('POST', '/devices', { endpoint: 'a:b', kind: 'certificate' })).status, 409);
    assert.equal((await stack.api('POST', '/devices/nobody/suspend')).status, 404);
  });
});

withStack('examples', {}, (stack) => {
  const both = (endpoint) => async () => {
    const { body } = await stack.api('GET', `/devices/${endpoint}`);
    return body.status === 'online' && body.lwm2m?.state === 'registered' && body.sparkplug?.state === 'born' && body;
  };
  const start = (command, args) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { child.said += text; });
    child.ended = new Promise((resolve) => { child.once('exit', (code) => resolve(code)); });
    return child;
  };
  const tryOut = async (endpoint, child) => {
    await until(both(endpoint), 15000, `both strands of ${endpoint}; it said: ${child.said}`);
    const read = await stack.api('POST', `/devices/${endpoint}/commands?wait=10`, { op: 'read', path: '/3303/0/5700' });
    assert.equal(read.status, 200, read.text);
    const [value] = read.body.result.values;
    assert.ok(value.value > 10 && value.value < 30, JSON.stringify(value));
    const born = (await stack.api('POST', `/devices/${endpoint}/commands?wait=10`, { op: 'rebirth' })).status;
    assert.equal(born, 200);
    await until(async () => (await stack.sql('SELECT count(*)::int AS n FROM grafana.samples WHERE endpoint = $1 ' +
      "AND series = 'spb:/Temperature'", [endpoint]))[0].n >= 3, 15000);
    assert.equal(await child.ended, 0, child.said);
    await until(async () => (await stack.api('GET', `/devices/${endpoint}`)).body.status === 'offline');
  };

  test('the Python example is a device with both strands, by certificate', async () => {
    const file = path.join(stack.dir, 'bundle.json');
    fs.writeFileSync(file, JSON.stringify(await add(stack, 'example-py')));
    await tryOut('example-py', start('/usr/bin/python3', [path.join(root, 'docs/examples/device.py'), file, '6']));
  });

  test('the Python example is a device with both strands, by password', async () => {
    const file = path.join(stack.dir, 'password.json');
    fs.writeFileSync(file, JSON.stringify(await add(stack, 'example-pw', { kind: 'password' })));
    await tryOut('example-pw', start('/usr/bin/python3', [path.join(root, 'docs/examples/device.py'), file, '6']));
  });

  test('the C example is a device with both strands', async () => {
    const bundle = await add(stack, 'example-c');
    const file = (name, text) => {
      fs.writeFileSync(path.join(stack.dir, name), text);
      return path.join(stack.dir, name);
    };
    const program = path.join(stack.dir, 'device');
    execFileSync('cc', ['-Wall', '-Wextra', '-Werror', '-o', program, path.join(root, 'docs/examples/device.c'), '-lmosquitto']);
    await tryOut('example-c', start(program, [bundle.host, String(bundle.port), 'example-c', file('c.ca', bundle.ca),
      file('c.crt', bundle.certificate), file('c.key', bundle.key), '6']));
  });
});

withStack('admission', { config: { 'devices.admission': 'known' } }, (stack) => {
  test('a stranger is refused, listed, and let in when accepted', async () => {
    const client = await stack.device('stranger-1');
    assert.equal(await register(client, 'stranger-1'), '4.03');
    const item = await until(async () =>
      (await stack.api('GET', '/identities/unknown')).body.items.find((i) => i.identity === 'stranger-1'), 15000);
    assert.match(item.why, /admission/);
    assert.ok(item.messages >= 1);
    assert.equal((await stack.api('POST', '/identities/unknown/stranger-1/accept')).status, 204);
    client.seen.length = 0;
    assert.equal(await register(client, 'stranger-1'), '2.01');
    assert.deepEqual((await stack.api('GET', '/identities/unknown')).body.items, []);
  });

  test('a refused stranger leaves the list of new ones', async () => {
    const client = await stack.device('stranger-2');
    assert.equal(await register(client, 'stranger-2'), '4.03');
    await until(async () => (await stack.api('POST', '/identities/unknown/stranger-2/refuse')).status === 204, 15000);
    assert.deepEqual((await stack.api('GET', '/identities/unknown')).body.items, []);
    const refused = (await stack.api('GET', '/identities/unknown?state=refused')).body.items;
    assert.deepEqual(refused.map((i) => i.identity), ['stranger-2']);
    assert.equal((await stack.api('POST', '/identities/unknown/nobody/accept')).status, 404);
  });

  test('an added device is known', async () => {
    const bundle = await add(stack, 'known-1');
    const client = await stack.connect(optionsOf(stack, bundle));
    assert.equal(await register(client, 'known-1'), '2.01');
  });
});
