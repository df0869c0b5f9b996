// world.mjs - a small fleet that lives: values drift once a second, devices die and come back,
// commands are answered like a device would. Everything the mock server says comes from here.
//
// Devices of the default fleet show each case the console must draw: both strands, each strand
// alone, a sleeper, a fault, a lost link, an unregistered node, one never heard.

import { EventEmitter } from 'node:events';
import { models } from './models.mjs';

const iso = (ms) => (ms ? new Date(ms).toISOString() : null);
const round = (n) => Math.round(n * 100) / 100;
/** The same signal for history and live values, so that the chart's tail fits its past. */
const signal = (base, ms) =>
  round(
    base +
      3 * Math.sin((ms / 86_400_000) * 6.283) +
      Math.sin(ms / 97_000) * 0.6 +
      Math.sin(ms / 1700) * 0.1,
  );

function resources(name, temp) {
  return [
    ['/1/0/0', 101, 'integer'],
    ['/1/0/1', 3600, 'integer'],
    ['/1/0/6', true, 'boolean'],
    ['/1/0/7', 'UQ', 'string'],
    ['/3/0/0', 'IoT Testing Corp', 'string'],
    ['/3/0/1', 'SimDevice-temperature_sensor', 'string'],
    ['/3/0/2', `SN-${name.slice(-5)}`, 'string'],
    ['/3/0/3', '1.4.2', 'string'],
    ['/3/0/6/0', 1, 'integer'],
    ['/3/0/6/1', 5, 'integer'],
    ['/3/0/9', 87, 'integer'],
    ['/3/0/11/0', 0, 'integer'],
    ['/3/0/13', Math.floor(Date.now() / 1000), 'time'],
    ['/3/0/16', 'UQ', 'string'],
    ['/4/0/0', 21, 'integer'],
    ['/4/0/2', -67, 'integer'],
    ['/4/0/4/0', '10.0.0.17', 'string'],
    ['/5/0/1', '', 'string'],
    ['/5/0/3', 0, 'integer'],
    ['/5/0/5', 0, 'integer'],
    ['/3303/0/5700', temp, 'float'],
    ['/3303/0/5701', 'Cel', 'string'],
    ['/3303/0/5601', temp - 3, 'float'],
    ['/3303/0/5602', temp + 4, 'float'],
    ['/3304/0/5700', 44.5, 'float'],
    ['/3304/0/5701', '%RH', 'string'],
  ].map(([path, value, type]) => ({
    path,
    series: `lwm2m:${path}`,
    value,
    type,
    at: iso(Date.now() - 40_000),
    source: 'registration',
    quality: 'good',
    observed: path === '/3303/0/5700',
  }));
}

function metrics(temp) {
  const m = (device, name, datatype, value, unit = null, writable = false, quality = 'good') => ({
    series: `spb:${device ?? ''}/${name}`,
    device,
    name,
    datatype,
    value,
    quality,
    at: iso(Date.now()),
    unit,
    writable,
  });
  return [
    m(null, 'Node Control/Rebirth', 'Boolean', false, null, true),
    m(null, 'Properties/Hardware', 'String', 'rev C'),
    m(null, 'bdSeq', 'UInt64', '7'),
    m(null, 'Uptime', 'Int64', '9007199254740995', 's'),
    m('D1', 'Inputs/Temperature', 'Double', temp, '°C'),
    m('D1', 'Inputs/Flow', 'Float', 12.4, 'l/min'),
    m('D1', 'Setpoint', 'Double', 21.5, '°C', true),
    m('D1', 'Outputs/Pump', 'Boolean', true, null, true),
    m('D1', 'Mode', 'String', 'auto', null, true),
    m('D2', 'Inputs/Pressure', 'Double', 1.013, 'bar', false, 'stale'),
    m('D2', 'Counter', 'UInt32', 18221, null, false, 'null'),
  ];
}

export class World extends EventEmitter {
  constructor(size) {
    super();
    this.started = Date.now();
    this.devices = new Map();
    this.commands = [];
    this.events = [];
    this.next = 1;
    const cases = [
      'both',
      'both',
      'fault',
      'sleeper',
      'lwm2m',
      'spb',
      'lost',
      'offline',
      'degraded',
      'never',
    ];
    for (let i = 1; i <= size; i++) {
      this.add(
        `sim-demo-${String(i).padStart(5, '0')}`,
        i <= cases.length ? cases[i - 1] : i % 17 ? 'both' : 'lost',
        i,
      );
    }
    this.timer = setInterval(() => this.tick(), 1000);
  }

  close() {
    clearInterval(this.timer);
    for (const t of this.pending ?? []) clearTimeout(t);
  }

  add(endpoint, kind, i = 1) {
    const now = Date.now();
    const temp = 18 + (i % 9);
    const lw = kind !== 'spb' && kind !== 'never';
    const sp = kind !== 'lwm2m' && kind !== 'never' && kind !== 'short';
    const status = {
      both: 'online',
      fault: 'online',
      sleeper: 'sleeping',
      lwm2m: 'online',
      spb: 'online',
      lost: 'lost',
      offline: 'offline',
      degraded: 'degraded',
      never: 'never',
    }[kind];
    const sentence = {
      both: 'Online; both strands are up',
      fault: 'Online; both strands are up',
      spb: 'Online; born 12 min ago',
      sleeper: 'Sleeping since 4 min; commands wait until it wakes',
      lwm2m: 'Online; registered for 56 more minutes',
      lost: 'Connection lost 40 s ago (NDEATH); the LwM2M lifetime runs 58 more minutes',
      offline: 'Offline; de-registered and said goodbye in order 3 h ago',
      degraded: 'Degraded; the LwM2M registration expired 2 min ago, Sparkplug is up',
      never: 'Never seen; its certificate was issued 2 d ago',
    }[kind];
    const quiet = { sleeper: 240_000, lost: 40_000, offline: 10_800_000 }[kind] ?? 500;
    const up = status === 'online' || status === 'degraded';
    const d = {
      endpoint,
      status,
      sentence,
      link: kind === 'lost' ? 'lost' : kind === 'never' ? 'unknown' : 'up',
      status_since: iso(now - 720_000),
      last_seen: kind === 'never' ? null : iso(now - quiet),
      fault: kind === 'fault' ? 'Pump blocked: flow below 2 l/min for 30 s' : null,
      manufacturer: lw ? 'IoT Testing Corp' : null,
      model: lw ? 'SimDevice-temperature_sensor' : null,
      firmware: lw ? '1.4.2' : null,
      serial: lw ? `SN-${endpoint.slice(-5)}` : null,
      messages_per_s: up ? 1 + (i % 4) * 0.4 : 0,
      lost_samples: 0,
      lwm2m: lw
        ? {
            state:
              kind === 'offline' ? 'deregistered' : kind === 'degraded' ? 'expired' : 'registered',
            dialect: i % 3 ? 'json' : 'oma',
            version: '1.2',
            lifetime: 3600,
            binding: 'UQ',
            queue_mode: kind === 'sleeper',
            registered_at: iso(now - 720_000),
            updated_at: iso(now - 90_000),
            expires_at: iso(now + 3_400_000),
            observations: 1,
            resources: 25,
          }
        : null,
      sparkplug: sp
        ? {
            state: kind === 'lost' || kind === 'offline' ? 'dead' : 'born',
            group: 'sim',
            edge_node: endpoint,
            bd_seq: 7,
            seq: 41,
            born_at: iso(now - 720_000),
            died_at: kind === 'lost' ? iso(now - 40_000) : null,
            conformant: i !== 6,
            devices: 2,
            devices_born: 2,
            metrics: 11,
            sequence_gaps: 2,
            lost_messages: 3,
            rebirths: 1,
            last_rebirth: {
              at: iso(now - 600_000),
              cause: 'sequence gap, 12 expected, 15 received',
            },
          }
        : null,
    };
    const rs = lw ? resources(endpoint, temp) : [];
    const objects = lw
      ? [1, 3, 4, 5, 3303, 3304].map((id) => ({
          id,
          name: models.find((m) => m.id === id).name,
          version: models.find((m) => m.id === id).version,
          instances: [0],
        }))
      : [];
    this.devices.set(endpoint, {
      summary: d,
      resources: rs,
      objects,
      metrics: sp ? metrics(temp) : [],
      temp,
      kind,
      up,
      observations: lw
        ? [
            {
              token: 'o1',
              path: '/3303/0/5700',
              since: iso(now - 700_000),
              last_notify: iso(now),
              notifies: 12,
            },
          ]
        : [],
    });
    if (kind !== 'never') {
      this.event(endpoint, 'braid', 'status', sentence, null, now - quiet);
      if (lw)
        this.event(
          endpoint,
          'lwm2m',
          'registered',
          'Registered for 3600 s with 6 objects',
          { dialect: 'json', lifetime: 3600 },
          now - 720_000,
        );
      if (sp)
        this.event(
          endpoint,
          'sparkplug',
          'node_born',
          'Born with 11 metrics, bdSeq 7',
          { bd_seq: 7 },
          now - 719_000,
        );
    }
    return d;
  }

  event(endpoint, strand, kind, text, detail = null, at = Date.now()) {
    const e = { id: this.next++, at: iso(at), strand, kind, text, detail, endpoint };
    this.events.push(e);
    this.emit('event', { ...e, id: null });
  }

  detail(endpoint) {
    const d = this.devices.get(endpoint);
    if (!d) return null;
    const s = d.summary;
    return {
      ...s,
      evidence: {
        lwm2m: s.lwm2m && { at: s.last_seen, kind: 'notify' },
        sparkplug: s.sparkplug && { at: s.last_seen, kind: 'DDATA' },
        link: {
          at: s.last_seen,
          kind: s.link === 'lost' ? 'NDEATH' : 'message',
          detail: s.link === 'lost' ? 'NDEATH' : 'a message',
        },
      },
      objects: d.objects,
      resources: d.resources,
      observations: d.observations,
      sparkplug_devices: s.sparkplug
        ? [
            { device: 'D1', state: s.sparkplug.state, born_at: s.sparkplug.born_at, died_at: null },
            {
              device: 'D2',
              state: s.sparkplug.state === 'born' ? 'stale' : 'dead',
              born_at: s.sparkplug.born_at,
              died_at: null,
            },
          ]
        : [],
      metrics: d.metrics,
    };
  }

  set(endpoint, series, value, source = 'notify') {
    const d = this.devices.get(endpoint);
    const at = Date.now();
    const r = d.resources.find((x) => x.series === series);
    const m = d.metrics.find((x) => x.series === series);
    if (r) Object.assign(r, { value, at: iso(at), source });
    if (m) Object.assign(m, { value, at: iso(at), quality: 'good' });
    this.emit('value', [endpoint, series, at, value, 'good']);
  }

  tick() {
    const now = Date.now();
    for (const [endpoint, d] of this.devices) {
      if (!d.up) continue;
      const t = now / 1000;
      const temp = signal(d.temp, now);
      if (d.resources.length) this.set(endpoint, 'lwm2m:/3303/0/5700', temp);
      if (d.metrics.length) {
        this.set(endpoint, 'spb:D1/Inputs/Temperature', round(temp + 0.3));
        this.set(endpoint, 'spb:D1/Inputs/Flow', round(12 + Math.cos(t / 20)));
        d.summary.sparkplug.seq = (d.summary.sparkplug.seq + 1) % 256;
      }
      d.summary.last_seen = iso(now);
      this.emit('device', endpoint);
    }
  }

  /** What the chart asks for; 24 h answer in buckets, less as raw points. */
  history(endpoint, series, from, to, points) {
    const d = this.devices.get(endpoint);
    const span = to - from;
    const bucket = span > 4_000_000 ? Math.ceil(span / points / 1000) * 1000 : 0;
    const step = bucket || Math.max(1000, Math.ceil(span / points / 1000) * 1000);
    const out = [];
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      const hour = (t / 3_600_000) % 24;
      if (bucket && hour > 3.2 && hour < 3.9) continue;
      const v = signal(d.temp, t);
      if (bucket) out.push([t, round(v - 0.9), round(v + 1.1), v, 170, v]);
      else out.push([t, v]);
    }
    const unit = series.startsWith('spb:') ? '°C' : null;
    return { series, unit, from: iso(from), to: iso(to), bucket_ms: bucket, points: out };
  }

  command(endpoint, request, by) {
    const c = {
      id: `c${this.next++}`,
      endpoint,
      op: request.op,
      request,
      state: 'queued',
      why: null,
      created_at: iso(Date.now()),
      sent_at: null,
      finished_at: null,
      by,
      result: null,
    };
    this.commands.unshift(c);
    const d = this.devices.get(endpoint);
    this.emit('command', c);
    if (d.kind === 'sleeper' || d.kind === 'lost') {
      c.why = d.kind === 'sleeper' ? 'waits until the device wakes' : 'waits for the connection';
      return c;
    }
    this.later(40, () => this.step(c, 'sent'));
    this.later(120, () => this.answer(c, d));
    return c;
  }

  later(ms, work) {
    this.pending ??= new Set();
    const t = setTimeout(() => {
      this.pending.delete(t);
      work();
    }, ms);
    this.pending.add(t);
  }

  step(c, state, result = null, why = null) {
    c.state = state;
    if (state === 'sent') c.sent_at = iso(Date.now());
    else if (state !== 'accepted') c.finished_at = iso(Date.now());
    c.result = result ?? c.result;
    c.why = why;
    this.emit('command', c);
    if (c.finished_at) {
      this.event(
        c.endpoint,
        'command',
        'command',
        `${c.op} ${c.request.path ?? c.request.metric ?? ''}: ${result?.code ?? c.state}`,
      );
    }
  }

  cancel(c) {
    if (c.state !== 'queued') return false;
    this.step(c, 'cancelled');
    return true;
  }

  answer(c, d) {
    const r = c.request;
    const under = (x) => x.path === r.path || x.path.startsWith(`${r.path}/`);
    switch (c.op) {
      case 'read': {
        const found = d.resources.filter(under);
        if (!found.length)
          return this.step(
            c,
            'failed',
            { code: '4.04', error: 'not found' },
            'The device answered 4.04: not found',
          );
        for (const x of found) this.set(c.endpoint, x.series, x.value, 'read');
        return this.step(c, 'succeeded', {
          code: '2.05',
          values: found.map(({ path, value, type }) => ({ path, value, type })),
        });
      }
      case 'write':
        this.set(c.endpoint, `lwm2m:${r.path}`, r.value, 'write');
        return this.step(c, 'succeeded', { code: '2.04' });
      case 'observe':
        d.observations.push({
          token: `o${this.next++}`,
          path: r.path,
          since: iso(Date.now()),
          last_notify: null,
          notifies: 0,
        });
        d.summary.lwm2m.observations = d.observations.length;
        this.emit('device', c.endpoint);
        return this.step(c, 'succeeded', {
          code: '2.05',
          values: d.resources.filter(under).map(({ path, value, type }) => ({ path, value, type })),
        });
      case 'cancel':
        d.observations = d.observations.filter((o) => o.token !== r.observation);
        d.summary.lwm2m.observations = d.observations.length;
        this.emit('device', c.endpoint);
        return this.step(c, 'succeeded', { code: '2.05' });
      case 'discover':
        return this.step(c, 'succeeded', {
          code: '2.05',
          links: d.resources.filter(under).map((x) => ({ path: x.path, attributes: {} })),
        });
      case 'create':
        d.objects.find((o) => `/${o.id}` === r.path)?.instances.push(r.instance);
        return this.step(c, 'succeeded', { code: '2.01', path: `${r.path}/${r.instance}` });
      case 'delete':
        return this.step(
          c,
          'failed',
          { code: '4.05', error: 'method not allowed' },
          'The device answered 4.05: method not allowed',
        );
      case 'metric-write':
        this.step(c, 'accepted');
        return this.later(300, () => {
          this.set(c.endpoint, `spb:${r.device ?? ''}/${r.metric}`, r.value);
          this.step(c, 'observed');
        });
      case 'rebirth':
        this.step(c, 'accepted');
        return this.later(400, () => {
          d.summary.sparkplug.rebirths++;
          d.summary.sparkplug.last_rebirth = { at: iso(Date.now()), cause: 'asked by a person' };
          d.summary.sparkplug.born_at = iso(Date.now());
          this.event(c.endpoint, 'sparkplug', 'node_born', 'Born with 11 metrics, bdSeq 7');
          this.emit('device', c.endpoint);
          this.step(c, 'observed');
        });
      default:
        return this.step(c, 'succeeded', { code: '2.04' });
    }
  }
}
