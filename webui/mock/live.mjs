// live.mjs - the mock's WebSocket: snapshots, then one frame of deltas per 100 ms and client.

import { WebSocketServer } from 'ws';

const TICK_MS = 100;
const CHUNK = 500;

class Client {
  constructor(socket, world) {
    this.socket = socket;
    this.world = world;
    this.subscriptions = new Map();
    this.reset();
    socket.on('message', (m) => this.message(JSON.parse(m)));
  }

  reset() {
    this.devices = new Set();
    this.values = new Map();
    this.events = [];
    this.commands = new Map();
  }

  send(ops) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(ops));
  }

  message(m) {
    if (m.op === 'unsubscribe') return this.subscriptions.delete(m.id);
    if (m.op !== 'subscribe') return;
    this.subscriptions.set(m.id, { topic: m.topic, endpoints: m.endpoints ?? null, ver: 1 });
    this.snapshot(m.id);
  }

  snapshot(id) {
    const s = this.subscriptions.get(id);
    let devices = [];
    if (s.topic === 'fleet') devices = [...this.world.devices.values()].map((d) => d.summary);
    if (s.topic === 'device')
      devices = s.endpoints.map((e) => this.world.detail(e)).filter(Boolean);
    do {
      const part = devices.splice(0, CHUNK);
      this.send([{ op: 'snapshot', id, ver: s.ver, devices: part, done: devices.length === 0 }]);
    } while (devices.length);
  }

  resync() {
    for (const id of this.subscriptions.keys()) {
      this.send([{ op: 'resync', id }]);
      this.snapshot(id);
    }
  }

  delta(s) {
    const mine = (e) => !s.endpoints || s.endpoints.includes(e);
    const out = {};
    if (s.topic === 'fleet' || s.topic === 'device') {
      out.devices = [...this.devices]
        .filter(mine)
        .map((e) => this.world.devices.get(e)?.summary)
        .filter(Boolean); // deleted since it changed
    }
    if (s.topic === 'device') out.values = [...this.values.values()].filter((v) => mine(v[0]));
    if (s.topic !== 'fleet' && s.topic !== 'commands')
      out.events = this.events.filter((e) => mine(e.endpoint));
    if (s.topic === 'device' || s.topic === 'commands') {
      out.commands = [...this.commands.values()].filter((c) => mine(c.endpoint));
    }
    for (const k of Object.keys(out)) if (!out[k].length) delete out[k];
    return out;
  }

  tick() {
    const ops = [];
    for (const [id, s] of this.subscriptions) {
      const d = this.delta(s);
      if (Object.keys(d).length) ops.push({ op: 'delta', id, ver: ++s.ver, ...d });
    }
    this.reset();
    if (ops.length) this.send(ops);
  }
}

/** attach_live answers upgrades of /api/v1/live; `allowed(req)` says who may. */
export function attach_live(server, world, allowed) {
  const wss = new WebSocketServer({ noServer: true });
  const clients = new Set();
  server.on('upgrade', (req, socket, head) => {
    if (req.url !== '/api/v1/live' || !allowed(req))
      return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
    wss.handleUpgrade(req, socket, head, (ws) => {
      const c = new Client(ws, world);
      clients.add(c);
      ws.on('close', () => clients.delete(c));
    });
  });
  world.on('device', (e) => clients.forEach((c) => c.devices.add(e)));
  world.on('value', (v) => clients.forEach((c) => c.values.set(`${v[0]} ${v[1]}`, v)));
  world.on('event', (e) => clients.forEach((c) => c.events.push(e)));
  world.on('command', (m) => clients.forEach((c) => c.commands.set(m.id, m)));
  const timer = setInterval(() => clients.forEach((c) => c.tick()), TICK_MS);
  const ping = setInterval(() => clients.forEach((c) => c.send([{ op: 'ping' }])), 15_000);
  return {
    drop: () => clients.forEach((c) => c.socket.terminate()),
    sign_out: () =>
      clients.forEach((c) => {
        const detail = 'The session or token that opened this view has ended.';
        c.send([{ op: 'error', id: '', code: 'unauthenticated', detail }]);
        c.socket.close();
      }),
    resync: () => clients.forEach((c) => c.resync()),
    close: () => {
      clearInterval(timer);
      clearInterval(ping);
      clients.forEach((c) => c.socket.terminate());
      wss.close();
    },
  };
}
