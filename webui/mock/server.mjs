// server.mjs - serves dist/ and a mock of the API, so that the console runs without a server.
//
//   npm run mock                        http://127.0.0.1:8090, user admin, password admin
//   node mock/server.mjs --port 9000 --devices 2000
//
// It sends the same Content-Security-Policy as the real server, so that what breaks there breaks
// here. Tests import mock_start and end it with close().

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attach_live } from './live.mjs';
import { label_routes, Labels } from './labels.mjs';
import { storage_routes, Storage } from './storage.mjs';
import { models } from './models.mjs';
import { World } from './world.mjs';

const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
export const CSP =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const COOKIE = 'braid_session=mock';

class Problem extends Error {
  constructor(status, code, detail, extra = {}) {
    super(detail);
    Object.assign(this, { status, code, extra });
  }
}

const signed_in = (req) => (req.headers.cookie ?? '').includes(COOKIE);
const page = (items) => ({ items, next: null });

function routes(world, state) {
  const device = (endpoint) => {
    if (!world.devices.has(endpoint))
      throw new Problem(404, 'device_unknown', `No device is called ${endpoint}.`);
    return endpoint;
  };
  const session = () => ({ username: 'admin', role: state.role, csrf: 'mock-csrf' });
  const newest = (list, q) => page(list.slice(-Number(q.get('limit') ?? 100)).reverse());
  return [
    ...label_routes(state.labels, device, Problem),
    ...storage_routes(state.storage, device, Problem),
    ['GET', /^\/session$/, () => session()],
    [
      'DELETE',
      /^\/session$/,
      (_, { res }) => {
        res.setHeader('Set-Cookie', 'braid_session=; Max-Age=0; Path=/');
        return null;
      },
    ],
    [
      'GET',
      /^\/fleet$/,
      () => {
        const all = [...world.devices.values()].map((d) => d.summary);
        const by_status = {};
        for (const d of all) by_status[d.status] = (by_status[d.status] ?? 0) + 1;
        const rate = all.reduce((n, d) => n + d.messages_per_s, 0);
        return {
          devices: all.length,
          by_status,
          lwm2m_active: all.filter((d) => d.lwm2m?.state === 'registered').length,
          sparkplug_online: all.filter((d) => d.sparkplug?.state === 'born').length,
          messages_per_s: rate,
          metrics_per_s: rate * 3,
          broker: { sparkplug: 'up', lwm2m: 'up', since: new Date(world.started).toISOString() },
          database: state.database,
          telemetry: state.telemetry,
          started_at: new Date(world.started).toISOString(),
          version: 'mock',
        };
      },
    ],
    ['GET', /^\/devices$/, () => page([...world.devices.values()].map((d) => d.summary))],
    ['GET', /^\/devices\/([^/]+)$/, (m) => world.detail(device(m[1]))],
    [
      'DELETE',
      /^\/devices\/([^/]+)$/,
      (m) => {
        const d = world.devices.get(device(m[1]));
        if (d.up)
          throw new Problem(409, 'device_active', 'The device is up; it would come back at once.');
        world.devices.delete(m[1]);
        return null;
      },
    ],
    [
      'GET',
      /^\/devices\/([^/]+)\/history$/,
      (m, { q }) =>
        world.history(
          device(m[1]),
          q.get('series'),
          Date.parse(q.get('from')),
          Date.parse(q.get('to')),
          Number(q.get('points') ?? 500),
        ),
    ],
    [
      'GET',
      /^\/devices\/([^/]+)\/timeline$/,
      (m, { q }) =>
        newest(
          world.events.filter((e) => e.endpoint === device(m[1])),
          q,
        ),
    ],
    ['GET', /^\/timeline$/, (_, { q }) => newest(world.events, q)],
    [
      'GET',
      /^\/devices\/([^/]+)\/commands$/,
      (m) => page(world.commands.filter((c) => c.endpoint === device(m[1]))),
    ],
    [
      'POST',
      /^\/devices\/([^/]+)\/commands$/,
      (m, { body, res }) => {
        if (!body?.op) throw new Problem(422, 'invalid', 'The body names no op.');
        if (body.path?.startsWith('/70000'))
          throw new Problem(422, 'invalid_path', 'Object ids end at 65535.');
        res.statusCode = 202;
        return world.command(device(m[1]), body, 'admin');
      },
    ],
    ['GET', /^\/commands\/([^/]+)$/, (m) => world.commands.find((c) => c.id === m[1])],
    [
      'POST',
      /^\/commands\/([^/]+)\/cancel$/,
      (m) => {
        const c = world.commands.find((x) => x.id === m[1]);
        if (!world.cancel(c)) throw new Problem(409, 'command_not_queued', 'It was sent already.');
        return c;
      },
    ],
    ['GET', /^\/models$/, () => ({ objects: models })],
    [
      'GET',
      /^\/connect$/,
      (_, { req }) => ({
        host: (req.headers.host ?? '127.0.0.1').split(':')[0],
        tls_port: 8883,
        tls_password_port: 8884,
        plain_port: 1883,
        websocket_port: 9001,
        host_id: 'braid',
        examples: {
          lwm2m_topic: 'lwm2m/ENDPOINT/reg',
          sparkplug_topic: 'spBv1.0/GROUP/NBIRTH/ENDPOINT',
        },
      }),
    ],
    ['GET', /^\/users$/, () => page(state.users)],
    [
      'POST',
      /^\/users$/,
      (_, { body }) => {
        if (state.users.some((u) => u.username === body.username))
          throw new Problem(409, 'user_exists', 'This name is taken.');
        state.users.push({ username: body.username, role: body.role });
        return state.users.at(-1);
      },
    ],
    [
      'DELETE',
      /^\/users\/([^/]+)$/,
      (m) => {
        state.users = state.users.filter((u) => u.username !== m[1]);
        return null;
      },
    ],
    ['POST', /^\/users\/([^/]+)\/password$/, () => null],
    ['GET', /^\/tokens$/, () => page(state.tokens)],
    [
      'POST',
      /^\/tokens$/,
      (_, { body }) => {
        const t = {
          id: String(state.tokens.length + 1),
          ...body,
          created_at: new Date().toISOString(),
        };
        state.tokens.push(t);
        return { ...t, token: 'braid_mocktoken' };
      },
    ],
    [
      'DELETE',
      /^\/tokens\/([^/]+)$/,
      (m) => {
        state.tokens = state.tokens.filter((t) => t.id !== m[1]);
        return null;
      },
    ],
  ];
}

async function body_of(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : null;
}

function json(res, status, body, type = 'application/json') {
  res.statusCode = status;
  if (body === null || body === undefined) {
    res.statusCode = 204;
    return res.end();
  }
  res.setHeader('Content-Type', type);
  return res.end(JSON.stringify(body));
}

async function api(req, res, url, table) {
  const body = await body_of(req);
  const path = decodeURIComponent(url.pathname.slice('/api/v1'.length));
  if (req.method === 'POST' && path === '/session') {
    if (body?.username !== 'admin' || body?.password !== 'admin') {
      throw new Problem(401, 'bad_credentials', 'User name or password is wrong.');
    }
    res.setHeader('Set-Cookie', `${COOKIE}; HttpOnly; SameSite=Strict; Path=/`);
    return json(res, 200, { username: 'admin', role: 'admin', csrf: 'mock-csrf' });
  }
  if (!signed_in(req)) throw new Problem(401, 'unauthenticated', 'Sign in first.');
  if (req.method !== 'GET' && req.headers['x-braid-csrf'] !== 'mock-csrf') {
    throw new Problem(403, 'csrf', 'The CSRF header is missing or wrong.');
  }
  for (const [method, pattern, handler] of table) {
    const m = method === req.method && pattern.exec(path);
    if (!m) continue;
    res.statusCode = 200;
    const answer = handler(m, { req, res, body, q: url.searchParams });
    return json(res, res.statusCode, answer);
  }
  throw new Problem(404, 'not_found', `There is no ${req.method} ${url.pathname}.`);
}

async function file(res, dist, pathname) {
  const wanted = normalize(pathname).replace(/^(\.\.[/\\])+/, '');
  let name =
    extname(wanted) && /^\/(assets\/|icon\.svg|index\.html)/.test(wanted) ? wanted : '/index.html';
  let bytes;
  try {
    bytes = await readFile(join(dist, name));
  } catch {
    name = '/index.html';
    bytes = await readFile(join(dist, name));
  }
  res.setHeader('Content-Type', TYPES[extname(name)] ?? 'application/octet-stream');
  res.end(bytes);
}

/** mock_start listens on 127.0.0.1 and resolves to { url, world, state, live, close }. */
export async function mock_start({ port = 0, devices = 10, dist = DIST } = {}) {
  const world = new World(devices);
  const state = {
    role: 'admin',
    database: { state: 'up', since: new Date().toISOString(), spooled_rows: 0 },
    telemetry: {
      state: 'flowing',
      since: null,
      reason: null,
      samples_refused: 0,
      messages_lost: 3,
      broker_dropped: 0,
      broker_dropped_at: null,
    },
    labels: new Labels(world),
    storage: new Storage(world),
    users: [
      { username: 'admin', role: 'admin' },
      { username: 'olga', role: 'operator' },
    ],
    tokens: [],
  };
  state.labels.seed();
  const table = routes(world, state);
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://mock');
    res.setHeader('Content-Security-Policy', CSP);
    res.setHeader('X-Content-Type-Options', 'nosniff');
    const work = url.pathname.startsWith('/api/')
      ? api(req, res, url, table)
      : file(res, dist, url.pathname);
    work.catch((e) =>
      json(
        res,
        e.status ?? 500,
        {
          type: 'about:blank',
          title: e.message,
          status: e.status ?? 500,
          code: e.code ?? 'mock',
          detail: e.message,
          ...e.extra,
        },
        'application/problem+json',
      ),
    );
  });
  const live = attach_live(server, world, signed_in);
  await new Promise((ok, no) => server.once('error', no).listen(port, '127.0.0.1', ok));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    world,
    state,
    live,
    close: async () => {
      world.close();
      live.close();
      server.closeAllConnections();
      await new Promise((ok) => server.close(ok));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, fallback) => {
    const i = process.argv.indexOf(`--${name}`);
    return i > 0 ? Number(process.argv[i + 1]) : fallback;
  };
  const mock = await mock_start({ port: option('port', 8090), devices: option('devices', 10) });
  console.log(`Braid console on mock data: ${mock.url}  (admin / admin)`);
}
