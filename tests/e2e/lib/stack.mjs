// stack.mjs - a whole Braid for one test: PostgreSQL, Mosquitto, braidd and, if asked, simulated
// devices, on free ports in a folder of its own, gone when the test is.
//
//   import { test } from 'node:test';
//   import { withStack, until } from './lib/stack.mjs';
//
//   withStack('loss of power', { devices: 5 }, (stack) => {
//     test('is shown on the device', async () => {
//       await stack.tell('break sim-t-00001 power');
//       await until(async () => (await stack.api('GET', '/devices/sim-t-00001')).body.status === 'lost');
//       const rows = await stack.sql('SELECT count(*)::int AS n FROM device');
//     });
//   });
//
// What it holds: `api()`, `sql()`, `live()` (WebSocket), `device()` (MQTT over TLS with a
// certificate of any name), `passwordDevice()`, `console()` (anonymous MQTT on loopback), `tell()`
// (the simulator), `metric()`, and the parts `postgres`, `broker`, `server`, `sim`, each with
// `kill(signal)`, `start()`, `restart()`, `stop()` and `log()`.
//
// BRAID_BUILD names the build to test (release, asan, tsan). stop() fails the test when a sanitizer
// said a word, when the server ended other than asked, or when it did not end with 0.
// BRAID_KEEP=1 leaves the folder for a look.
//
// Making a cluster, migrating it and hashing a password take seconds, copying the result does not:
// they are done once per build of braidd and kept as a template in the temporary folder.

import { spawn, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import pg from 'pg';
import { LiveClient } from './live.mjs';
import { atMost, build, patience, sleep, until } from './time.mjs';

export { atMost, build, patience, sleep, until };

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const programs = path.join(root, 'build', build);
const compose = path.join(root, 'compose');

// ---- processes -------------------------------------------------------------------------------

const running = new Set();
process.on('exit', () => {
  for (const child of running) killGroup(child.pid, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // gone already
  }
}

const sanitizerEnv = {
  ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: `halt_on_error=0:second_deadlock_stack=1:history_size=4:suppressions=${root}/tests/tools/tsan.supp`,
};
const sanitizerWords = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/;

// One program of the stack. It runs in a process group of its own and writes to DIR/NAME.log.
export class Part {
  constructor(stack, name, { command, isReady, stopSignal = 'SIGTERM', env = {} }) {
    Object.assign(this, { name, command, isReady, stopSignal, env });
    this.logFile = path.join(stack.dir, `${name}.log`);
    this.child = null;
    this.complaints = [];
  }

  get pid() {
    return this.child?.pid;
  }

  log() {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
  }

  spawn() {
    const [file, ...args] = this.command();
    const out = fs.openSync(this.logFile, 'a');
    const child = spawn(file, args, {
      stdio: ['ignore', out, out],
      detached: true,
      env: { ...process.env, ...sanitizerEnv, ...this.env },
    });
    fs.closeSync(out);
    child.asked = false;
    child.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ error }));
      child.once('exit', (code, signal) => resolve({ code, signal }));
    }).then((end) => {
      running.delete(child);
      killGroup(child.pid, 'SIGKILL');
      child.end = end;
      if (!child.asked) this.complaints.push(`${this.name} ended by itself: ${JSON.stringify(end)}`);
      return end;
    });
    running.add(child);
    this.child = child;
    this.logFrom = fs.statSync(this.logFile).size;
  }

  // start: returns when the part is ready; how long that took in ms. A part that ends at once is
  // tried again (PostgreSQL after a kill waits for its old processes to go).
  async start() {
    const from = Date.now();
    this.spawn();
    const child = this.child;
    await until(
      async () => {
        if (this.child.end && this.name === 'postgres' && Date.now() - from < 10000) {
          this.complaints = [];
          this.spawn();
        } else if (this.child.end) {
          return 'ended';
        }
        return this.isReady(this);
      },
      30000,
      `${this.name} ready`,
    ).catch((error) => {
      throw new Error(`${error.message}\n${this.tail()}`);
    });
    if (this.child.end) throw new Error(`${this.name} ended: ${JSON.stringify(child.end)}\n${this.tail()}`);
    return Date.now() - from;
  }

  // kill: no wait for readiness of anything; returns {code, signal} once the process is gone.
  async kill(signal = 'SIGKILL') {
    const { child } = this;
    if (!child) return null;
    child.asked = true;
    try {
      process.kill(child.pid, signal);
    } catch {
      // gone already: ended tells
    }
    return child.ended;
  }

  async stop(ms = 20000) {
    const { child } = this;
    if (!child) return null;
    const timer = setTimeout(() => {
      this.complaints.push(`${this.name} did not stop within ${patience(ms)} ms of ${this.stopSignal}`);
      killGroup(child.pid, 'SIGKILL');
    }, patience(ms));
    const end = await this.kill(this.stopSignal);
    clearTimeout(timer);
    this.child = null;
    return end;
  }

  async restart() {
    await this.stop();
    return this.start();
  }

  // pause and resume: the part hangs without a word, its sockets stay open.
  pause() {
    process.kill(this.child.pid, 'SIGSTOP');
  }
  resume() {
    process.kill(this.child.pid, 'SIGCONT');
  }

  tail(lines = 30) {
    return `--- ${this.name}.log\n${this.log().trimEnd().split('\n').slice(-lines).join('\n')}`;
  }

  logged(pattern) {
    return pattern.test(this.log().slice(this.logFrom));
  }
}

// ---- the template: what is slow to make and quick to copy ---------------------------------------

const run = (file, args, options = {}) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

function templateKey() {
  const hash = createHash('sha256');
  const server = fs.statSync(path.join(programs, 'braidd'));
  hash.update(`${root} ${build} ${server.mtimeMs} ${server.size}`);
  for (const folder of [compose, path.join(root, 'migrations')]) {
    for (const name of fs.readdirSync(folder).sort()) {
      const file = path.join(folder, name);
      if (fs.statSync(file).isFile()) hash.update(name).update(fs.readFileSync(file));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

const templatePrefix = path.join(os.tmpdir(), `braid-e2e-template-${process.getuid()}-`);

function dropOldTemplates() {
  const folder = path.dirname(templatePrefix);
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    if (!file.startsWith(templatePrefix)) continue;
    if (Date.now() - fs.statSync(file).mtimeMs > 86400000) fs.rmSync(file, { recursive: true });
  }
}

async function template() {
  const place = templatePrefix + templateKey();
  if (fs.existsSync(place)) return place;
  dropOldTemplates();
  const stack = new Stack({});
  stack.makeFolder();
  try {
    stack.makePostgres();
    await stack.postgres.start();
    run('psql', ['-X', '-q', '-h', stack.sockets, '-U', 'postgres', '-d', 'postgres', '-f',
      path.join(compose, 'roles.sql')]);
    stack.writeConfig();
    stack.makeBroker();
    stack.braidd('migrate');
    stack.password = randomBytes(9).toString('hex');
    const file = path.join(stack.dir, 'admin_password');
    fs.writeFileSync(file, stack.password, { mode: 0o600 });
    stack.braidd('user', 'add', 'admin', '--role', 'admin', '--password-file', file);
    const token = stack.braidd('token', 'create', 'e2e', '--role', 'admin').trim();
    fs.writeFileSync(path.join(stack.dir, 'token'), token, { mode: 0o600 });
    await stack.postgres.stop();
    for (const name of ['postgres.log', 'sockets', 'braid.conf']) {
      fs.rmSync(path.join(stack.dir, name), { recursive: true, force: true });
    }
    fs.renameSync(stack.dir, place); // fails when another test was faster: theirs will do
  } catch (error) {
    await stack.postgres?.kill();
    fs.rmSync(stack.dir, { recursive: true, force: true });
    if (!fs.existsSync(place)) throw error;
  }
  return place;
}

export async function freePorts(names) {
  const servers = await Promise.all(
    names.map(
      () =>
        new Promise((resolve, reject) => {
          const server = net.createServer();
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = Object.fromEntries(names.map((name, i) => [name, servers[i].address().port]));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

// A test that waited for another program has not seen which idle connections the server closed
// meanwhile. Two turns of the event loop later it has, and fetch takes none of them.
const catchUp = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function portOpen(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy() && true));
    socket.once('error', () => resolve(false));
  });
}

// ---- the stack ---------------------------------------------------------------------------------

class Stack {
  constructor(options) {
    this.options = options;
    this.closers = [];
    this.ports = { http: 1, metrics: 1, tls: 1, tlsPassword: 1, plain: 1, websocket: 1 };
  }

  makeFolder() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'braid-e2e-'));
    fs.chmodSync(this.dir, 0o711); // the broker and the database may have users of their own
    this.sockets = path.join(this.dir, 'sockets');
  }

  get url() {
    return `http://127.0.0.1:${this.ports.http}`;
  }
  get parts() {
    return [this.sim, this.server, this.broker, this.postgres].filter(Boolean);
  }

  makePostgres() {
    run(path.join(compose, 'make-cluster'), [this.dir, this.sockets]);
    // Nothing here outlives the machine, but it must survive a kill.
    fs.appendFileSync(path.join(this.dir, 'pg/braid.conf'),
      `fsync = off\nshared_buffers = 32MB\nmax_connections = 40\n${this.options.postgres || ''}`);
    this.postgres = new Part(this, 'postgres', {
      command: () => [path.join(this.dir, 'start-postgres')],
      stopSignal: 'SIGINT',
      isReady: () => this.withClient('postgres', 'postgres', (client) => client.query('SELECT 1')),
    });
  }

  makeBroker() {
    const { tls, tlsPassword, plain, websocket } = this.ports;
    run(path.join(compose, 'make-broker'),
      [this.dir, '127.0.0.1', tls, tlsPassword, plain, websocket].map(String),
      { env: { ...process.env, ...this.options.env } });
    fs.appendFileSync(path.join(this.dir, 'mosquitto.conf'), `\n${this.options.broker ?? ''}`);
    this.broker = new Part(this, 'broker', {
      command: () => [path.join(this.dir, 'start-broker')],
      isReady: async () => (await portOpen(tls)) && (await portOpen(plain)),
    });
  }

  writeConfig() {
    const tls = path.join(this.dir, 'tls');
    const { ports } = this;
    const settings = {
      'http.listen': `127.0.0.1:${ports.http}`,
      'http.metrics_listen': `127.0.0.1:${ports.metrics}`,
      'http.static_dir': path.join(root, 'webui/dist'),
      'mqtt.host': '127.0.0.1',
      'mqtt.port': ports.tls,
      ...(this.options.socket ? { 'mqtt.socket': path.join(this.dir, 'broker/mosquitto.sock') } : {}),
      'mqtt.tls_ca_file': `${tls}/ca.crt`,
      'mqtt.sp_cert_file': `${tls}/braid-sp.crt`,
      'mqtt.sp_key_file': `${tls}/braid-sp.key`,
      'mqtt.lw_cert_file': `${tls}/braid-lw.crt`,
      'mqtt.lw_key_file': `${tls}/braid-lw.key`,
      'db.conninfo': `host=${this.sockets} dbname=braid user=braid_app`,
      'db.owner_conninfo': `host=${this.sockets} dbname=braid user=braid_owner`,
      'sparkplug.host_id': 'braid',
      'data.dir': path.join(this.dir, 'server'),
      'devices.admission': 'open',
      'devices.ca_cert_file': `${tls}/issuing-ca.crt`,
      'devices.ca_key_file': `${tls}/issuing-ca.key`,
      'broker.sync_dir': path.join(this.dir, 'broker.sync'),
      'broker.base_dir': path.join(this.dir, 'broker.base'),
      'broker.pid_file': path.join(this.dir, 'broker/mosquitto.pid'),
      'broker.takeover_port': ports.tlsPassword,
      'connect.host': '127.0.0.1',
      'connect.tls_port': ports.tls,
      'connect.tls_password_port': ports.tlsPassword,
      'connect.plain_port': ports.plain,
      'connect.websocket_port': ports.websocket,
      ...this.options.config,
    };
    this.configFile = path.join(this.dir, 'braid.conf');
    fs.mkdirSync(settings['data.dir'], { recursive: true });
    fs.writeFileSync(this.configFile,
      Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`).join(''));
  }

  makeServer() {
    this.server = new Part(this, 'server', {
      command: () => this.wrapped([path.join(programs, 'braidd'), 'serve', '--config', this.configFile]),
      env: this.options.env,
      isReady: async () => (await fetch(`${this.url}/readyz`)).status === 200,
    });
  }

  makeSim(devices, { args = [], env = {}, dialect, tag = 't', interval = 1, history = false } = {}) {
    const tls = path.join(this.dir, 'tls');
    fs.mkdirSync(path.join(this.dir, 'sim'), { recursive: true });
    this.sim = new Part(this, 'sim', {
      command: () => this.wrapped([path.join(programs, 'braid-sim'), '--host', '127.0.0.1', '--port',
        String(this.ports.tls), '--ca', `${tls}/ca.crt`, '--issuer-cert', `${tls}/sim-ca.crt`,
        '--issuer-key', `${tls}/sim-ca.key`, '--tag', tag, '--count', String(devices),
        '--group', 'sim', '--telemetry-interval', String(interval), ...(history ? [] : ['--no-history']),
        '--state-dir', path.join(this.dir, 'sim'), '--control', path.join(this.dir, 'sim.sock'),
        ...(dialect ? ['--dialect', dialect] : []), ...args]),
      env,
      isReady: (part) => part.logged(/sim\.ready/),
    });
  }

  // Newer kernels randomise addresses further than this ThreadSanitizer can follow.
  wrapped(command) {
    return build === 'tsan' ? ['setarch', '-R', ...command] : command;
  }

  // braidd VERB ...: one of the server's other verbs; returns what it printed.
  braidd(...args) {
    const [file, ...rest] = this.wrapped([path.join(programs, 'braidd'), ...args, '--config', this.configFile]);
    return run(file, rest, { env: { ...process.env, ...sanitizerEnv, ...this.options.env } });
  }

  // api: one request as admin (or with another token; null for none). The path is below /api/v1
  // unless it begins with "//", which is the server's own root.
  async api(method, where, body, { token = this.token, headers = {} } = {}) {
    const url = where.startsWith('//') ? this.url + where.slice(1) : `${this.url}/api/v1${where}`;
    await catchUp();
    const response = await fetch(url, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') || '');
    return { status: response.status, headers: response.headers, text, body: isJson && text ? JSON.parse(text) : text };
  }

  // metric('name{label="x"}'): its value on /metrics, or undefined. Without labels the sum of all.
  async metric(name) {
    await catchUp();
    const text = await (await fetch(`http://127.0.0.1:${this.ports.metrics}/metrics`)).text();
    let sum;
    for (const line of text.split('\n')) {
      const at = line.lastIndexOf(' ');
      if (line.startsWith('#') || at < 0) continue;
      const series = line.slice(0, at);
      if (series === name || series.replace(/\{.*/, '') === name) sum = (sum || 0) + Number(line.slice(at + 1));
    }
    return sum;
  }

  async withClient(user, database, use) {
    const client = new pg.Client({ host: this.sockets, user, database });
    client.on('error', () => {}); // a killed database
    await client.connect();
    try {
      return (await use(client)) || true;
    } finally {
      await client.end().catch(() => {});
    }
  }

  // sql: rows, as the owner of the schema. 64-bit integers come as text (node's pg).
  sql(text, params = []) {
    return this.withClient('braid_owner', 'braid', async (client) => (await client.query(text, params)).rows);
  }

  // certificate(NAME): {key, cert} of a device, signed by the simulator's root.
  certificate(name) {
    const folder = path.join(this.dir, 'devices');
    const base = path.join(folder, encodeURIComponent(name));
    const tls = path.join(this.dir, 'tls');
    fs.mkdirSync(folder, { recursive: true });
    if (!fs.existsSync(`${base}.crt`)) {
      run('openssl', ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
        '-keyout', `${base}.key`, '-subj', `/CN=${name}`, '-out', `${base}.csr`]);
      run('openssl', ['x509', '-req', '-in', `${base}.csr`, '-CA', `${tls}/sim-ca.crt`, '-CAkey',
        `${tls}/sim-ca.key`, '-set_serial', `0x${randomBytes(15).toString('hex')}`, '-days', '30',
        '-out', `${base}.crt`]);
    }
    return { key: fs.readFileSync(`${base}.key`), cert: fs.readFileSync(`${base}.crt`) };
  }

  // What npm's mqtt (or sparkplug-client's mqttOptions) needs to connect as a device.
  deviceOptions(name) {
    return {
      host: '127.0.0.1', port: this.ports.tls, protocol: 'mqtts', clientId: name,
      ca: fs.readFileSync(path.join(this.dir, 'tls/ca.crt')), ...this.certificate(name),
    };
  }

  // device(NAME): an MQTT client whose identity is NAME, connected. Options are npm mqtt's.
  device(name, options = {}) {
    return this.connect({ ...this.deviceOptions(name), ...options });
  }

  // passwordDevice: the one device of the password listener, "test-device-pw".
  passwordDevice(options = {}) {
    return this.connect({
      host: '127.0.0.1', port: this.ports.tlsPassword, protocol: 'mqtts',
      ca: fs.readFileSync(path.join(this.dir, 'tls/ca.crt')), username: 'test-device-pw',
      password: fs.readFileSync(path.join(this.dir, 'secrets/device_password'), 'utf8').trim(), ...options,
    });
  }

  // console: anonymous, may read and write all. Messages it subscribed to are kept in `.seen` as
  // {topic, payload, retain}.
  console(options = {}) {
    return this.connect({ host: '127.0.0.1', port: this.ports.plain, protocol: 'mqtt', ...options });
  }

  async connect(options) {
    const client = await mqtt.connectAsync({ reconnectPeriod: 0, connectTimeout: patience(10000), ...options });
    client.seen = [];
    client.on('message', (topic, payload, packet) => client.seen.push({ topic, payload, retain: packet.retain }));
    client.on('error', () => {});
    client.once('close', () => client.end(true)); // or what it still waits for waits for ever
    this.closers.push(() => client.endAsync(true).catch(() => {}));
    return client;
  }

  // live: an open WebSocket on /api/v1/live (lib/live.mjs).
  async live({ token = this.token } = {}) {
    const client = await LiveClient.open(`ws://127.0.0.1:${this.ports.http}/api/v1/live`, token);
    this.closers.push(() => client.close());
    return client;
  }

  // tell: one line to the simulator's control socket, 'break sim-t-00001 power' or 'stats'; its
  // answer.
  tell(line) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(path.join(this.dir, 'sim.sock'), () => socket.write(`${line}\n`));
      let answer = '';
      socket.setTimeout(patience(10000), () => socket.destroy(new Error('the simulator did not answer')));
      socket.on('error', reject);
      socket.on('data', (part) => {
        answer += part;
        if (!answer.includes('\n')) return;
        socket.destroy();
        const said = JSON.parse(answer);
        if (said.ok === false) reject(new Error(said.error));
        else resolve(said);
      });
    });
  }

  // allow(PATTERN): words in the logs that stop() must not complain about.
  allow(part, pattern) {
    part.complaints = part.complaints.filter((complaint) => !pattern.test(complaint));
  }

  async start() {
    const { options } = this;
    const from = Date.now();
    try {
      const source = await template();
      this.makeFolder();
      run('cp', ['-a', `${source}/.`, this.dir]);
      fs.chmodSync(this.dir, 0o711);
      this.token = fs.readFileSync(path.join(this.dir, 'token'), 'utf8');
      this.password = fs.readFileSync(path.join(this.dir, 'admin_password'), 'utf8');
      this.ports = await freePorts(Object.keys(this.ports));
      this.makePostgres();
      this.makeBroker();
      this.writeConfig();
      this.makeServer();
      if (options.devices) this.makeSim(options.devices, options.sim);
      await Promise.all([this.postgres.start(), this.broker.start()]);
      if (options.server !== false) {
        await this.server.start();
        await this.sim?.start();
      }
      this.startedIn = Date.now() - from;
    } catch (error) {
      for (const part of this.parts) await part.kill();
      const tails = this.parts.map((part) => part.tail()).join('\n');
      if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
      for (const part of this.parts) part.child = null;
      this.failed = true;
      throw new Error(`${error.message}\n${error.stderr || ''}\n${tails}`);
    }
  }

  async stop() {
    if (this.failed) return;
    for (const close of this.closers.splice(0)) await close();
    const complaints = [];
    for (const part of this.parts) {
      const end = await part.stop();
      const isOurs = part === this.server || part === this.sim;
      if (end && isOurs && end.code !== 0) complaints.push(`${part.name} ended with ${JSON.stringify(end)}`);
      complaints.push(...part.complaints);
      const log = isOurs ? part.log() : '';
      const at = log.search(sanitizerWords);
      if (at >= 0) complaints.push(`${part.name}: a sanitizer report:\n${log.slice(Math.max(0, at - 200), at + 4000)}`);
    }
    const tails = complaints.length ? this.parts.map((part) => part.tail()).join('\n') : '';
    if (process.env.BRAID_KEEP) console.error(`kept: ${this.dir}`);
    else fs.rmSync(this.dir, { recursive: true, force: true });
    if (complaints.length) throw new Error(`${complaints.join('\n')}\n${tails}`);
  }
}

// startStack(options): the same for a program that is no test (tests/bench); the caller stops it.
export async function startStack(options = {}) {
  const stack = new Stack(options);
  await stack.start();
  return stack;
}

// withStack(NAME, options, define): a suite of tests that share one running stack. Options:
//   devices   simulated devices (0: no simulator), named sim-t-00001 ...
//   sim       {args, env, dialect, tag, interval, history: true (24 h first)} for it
//   config    settings of braidd beside or instead of the usual ones, {'log.level': 'debug'}
//   env       environment of braidd
//   socket    true: braidd reaches the broker by its Unix socket, as ./run has it, not by TLS
//   broker    lines for the broker's settings, 'sys_interval 1\n'; the last of two counts
//   postgres  lines for postgresql.conf (a benchmark wants fsync = on)
//   server    false: neither braidd nor the simulator is started yet (stack.server.start())
export function withStack(name, options, define) {
  const stack = new Stack(options);
  // A test that hangs must not hang everything after it.
  const watchdog = setTimeout(() => {
    console.error(`${name}: given up after 10 minutes`);
    process.exit(1);
  }, 600000);
  watchdog.unref();
  describe(name, () => {
    before(() => stack.start());
    after(() => stack.stop());
    define(stack);
  });
}
