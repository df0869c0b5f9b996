// The merging of what the socket and the API say, the trees, the routes, the chart's points.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from './tools.mjs';

const m = await compile(`
  export * from './fleet'; export * from './tree'; export * from './route'; export * from './chart_data';
  export { live_backoff_next } from './live';
  export { commands_merge, action_key, command_ended } from './store/commands';
  export { events_merge } from './store/timeline';
  export { shape_key } from './store/device';
  export { command_steps } from './ui/command';
`);

const device = (endpoint, more = {}) => ({
  endpoint,
  status: 'online',
  sentence: '',
  last_seen: null,
  messages_per_s: 0,
  lwm2m: null,
  sparkplug: null,
  ...more,
});
const all = m.FILTER_NONE;

test('a snapshot in pieces appears as it comes and is complete with its last piece', () => {
  const f = m.fleet_new();
  m.fleet_apply(f, { op: 'snapshot', devices: [device('a')], done: false });
  assert.deepEqual([...f.shown.keys()], ['a']);
  assert.equal(f.complete, false);
  m.fleet_apply(f, { op: 'snapshot', devices: [device('b')], done: true });
  assert.deepEqual([...f.shown.keys()], ['a', 'b']);
  assert.equal(f.complete, true);
});

test('a resync keeps the old fleet on screen until the new one is whole', () => {
  const f = m.fleet_new();
  m.fleet_apply(f, { op: 'snapshot', devices: [device('a'), device('gone')], done: true });
  m.fleet_apply(f, { op: 'resync' });
  assert.equal(m.fleet_apply(f, { op: 'snapshot', devices: [device('a')], done: false }), false);
  assert.equal(f.shown.size, 2);
  m.fleet_apply(f, { op: 'delta', devices: [device('a', { status: 'lost' })] });
  m.fleet_apply(f, { op: 'snapshot', devices: [device('b')], done: true });
  assert.deepEqual([...f.shown.keys()], ['a', 'b']);
  assert.equal(f.shown.get('a').status, 'lost', 'a delta between the pieces is not undone');
});

test('a delta merges changes and removes devices', () => {
  const f = m.fleet_new();
  m.fleet_apply(f, {
    op: 'snapshot',
    devices: [device('a', { firmware: '1' }), device('b')],
    done: true,
  });
  m.fleet_apply(f, { op: 'delta', devices: [{ endpoint: 'a', status: 'lost' }], removed: ['b'] });
  assert.equal(f.shown.get('a').firmware, '1');
  assert.equal(f.shown.get('a').status, 'lost');
  assert.equal(f.shown.has('b'), false);
});

test('search looks into names and ignores case, status filters, sorts hold', () => {
  const list = [
    device('zeta', { manufacturer: 'ACME', status: 'lost' }),
    device('alpha', { sparkplug: { group: 'Plant-7' }, last_seen: '2026-01-02T00:00:00.000Z' }),
    device('mid', { last_seen: '2026-01-03T00:00:00.000Z', messages_per_s: 4 }),
  ];
  assert.deepEqual(m.fleet_list(list, { ...all, search: 'acme' }), ['zeta']);
  assert.deepEqual(m.fleet_list(list, { ...all, search: 'plant' }), ['alpha']);
  assert.deepEqual(m.fleet_list(list, { ...all, status: ['lost'] }), ['zeta']);
  assert.deepEqual(m.fleet_list(list, all), ['alpha', 'mid', 'zeta']);
  assert.deepEqual(m.fleet_list(list, { ...all, sort: 'status' }), ['zeta', 'alpha', 'mid']);
  assert.deepEqual(m.fleet_list(list, { ...all, sort: '-last_seen' }), ['mid', 'alpha', 'zeta']);
  assert.equal(m.fleet_list(list, { ...all, sort: '-rate' })[0], 'mid');
  assert.equal(m.fleet_counts(list).lost, 1);
});

test('only rows near the window exist', () => {
  assert.deepEqual(m.window_rows(10_000, 40, -40_000, 800, 8), [992, 1028]);
  assert.deepEqual(m.window_rows(3, 40, 100, 800), [0, 3]);
  assert.deepEqual(m.window_rows(5, 40, -100_000, 800), [5, 5]);
});

test('the address says page and filter, both ways', () => {
  assert.deepEqual(m.route_parse('/devices/a%40b'), { page: 'device', endpoint: 'a@b' });
  assert.equal(m.device_href('a@b'), '/devices/a%40b');
  assert.deepEqual(m.route_parse('/devices/%zz'), { page: 'missing' });
  assert.deepEqual(m.route_parse('/nonsense/x'), { page: 'missing' });
  const f = { ...all, search: 'a b', status: ['lost', 'offline'], sort: '-rate' };
  assert.deepEqual(m.filter_parse(m.filter_href(f).slice(1)), f);
  assert.equal(m.filter_href(all), '/');
  assert.deepEqual(m.filter_parse('?status=bogus,lost&sort=drop'), {
    ...all,
    status: ['lost'],
  });
});

const models = new Map([
  [
    3,
    {
      id: 3,
      name: 'Device',
      multiple: 'Single',
      resources: [
        {
          id: 0,
          name: 'Manufacturer',
          op: 'R',
          multiple: 'Single',
          mandatory: 'Optional',
          type: 'String',
        },
        { id: 4, name: 'Reboot', op: 'E', multiple: 'Single', mandatory: 'Mandatory', type: '' },
        {
          id: 6,
          name: 'Power Sources',
          op: 'R',
          multiple: 'Multiple',
          mandatory: 'Optional',
          type: 'Integer',
        },
        {
          id: 9,
          name: 'Battery Level',
          op: 'R',
          multiple: 'Single',
          mandatory: 'Optional',
          type: 'Integer',
        },
      ],
    },
  ],
]);
const resource = (path, value) => ({
  path,
  series: `lwm2m:${path}`,
  value,
  type: null,
  at: null,
  source: 'read',
  observed: false,
});

test('the LwM2M tree joins what was told with what the model lets one do', () => {
  const detail = {
    objects: [{ id: 3, name: null, version: '1.2', instances: [0] }],
    resources: [
      resource('/3/0/0', 'X'),
      resource('/3/0/6/0', 1),
      resource('/3/0/6/1', 5),
      resource('/26241/2/7', 1),
    ],
  };
  const [custom, dev] = m.lwm2m_tree(detail, models);
  assert.equal(dev.name, 'Device');
  assert.deepEqual(
    dev.instances[0].rows.map((r) => [r.id, r.values.length, r.optional]),
    [
      [0, 1, false],
      [4, 0, false],
      [6, 2, false],
      [9, 0, true],
    ],
  );
  assert.equal(custom.name, 'Object 26241', 'an object that no model knows is shown all the same');
  assert.deepEqual(
    custom.instances.map((i) => i.id),
    [2],
  );
});

test('a sensor takes its unit from the resource beside it', () => {
  assert.deepEqual(m.unit_source(models, '/3303/0/5700'), { series: 'lwm2m:/3303/0/5701' });
  assert.equal(m.unit_source(models, '/3/0/9'), null);
});

test('a Discover brings resources into the tree', () => {
  const detail = {
    objects: [{ id: 3, name: 'Device', version: null, instances: [0] }],
    resources: [],
  };
  const [dev] = m.lwm2m_tree(detail, models, new Set(['/3/0/9', '/3/0/77']));
  assert.equal(dev.instances[0].rows.find((r) => r.id === 9).optional, false);
  assert.equal(dev.instances[0].rows.find((r) => r.id === 77).name, 'Resource 77');
  assert.deepEqual(m.links_paths('</3/0>;ver=1.2,</3/0/9>'), ['/3/0', '/3/0/9']);
  assert.deepEqual(m.links_paths([{ path: '/3/0/9' }, '</1/0>;x']), ['/3/0/9', '/1/0']);
  assert.deepEqual(m.links_paths(7), []);
});

test('metrics stand by device, then by folder', () => {
  const metric = (device, name) => ({ device, name, series: `spb:${device ?? ''}/${name}` });
  const tree = m.metric_tree({
    metrics: [
      metric('D2', 'x'),
      metric(null, 'A/B/c'),
      metric(null, 'bdSeq'),
      metric('D1', 'In/T'),
    ],
    sparkplug_devices: [
      { device: 'D1', state: 'born' },
      { device: 'D3', state: 'dead' },
    ],
  });
  assert.deepEqual(
    tree.map((g) => [g.device, g.state]),
    [
      [null, null],
      ['D1', 'born'],
      ['D2', null],
      ['D3', 'dead'],
    ],
  );
  assert.deepEqual(
    tree[0].folders.map((f) => f.name),
    ['', 'A / B'],
  );
  assert.equal(m.metric_leaf('A/B/c'), 'c');
});

test('a command never goes back from its end', () => {
  const c = (id, state, finished_at = null) => ({
    id,
    state,
    finished_at,
    created_at: `2026-01-0${id}`,
  });
  const [kept] = m.commands_merge([{ ...c(3, 'sent'), by: 'olga' }], [c(3, 'succeeded', 'x')]);
  assert.equal(kept.by, 'olga', 'who asked is told once and kept');
  const list = m.commands_merge([c(1, 'succeeded', 'x')], [c(1, 'sent'), c(2, 'queued')]);
  assert.deepEqual(
    list.map((x) => [x.id, x.state]),
    [
      [2, 'queued'],
      [1, 'succeeded'],
    ],
  );
});

test('a command tells its steps in order', () => {
  const words = (c) =>
    m
      .command_steps({ finished_at: null, sent_at: null, ...c })
      .map((s) => (s.done ? s.word : `(${s.word})`))
      .join(' ');
  assert.equal(words({ op: 'read', state: 'queued' }), 'requested (sent) (succeeded)');
  assert.equal(words({ op: 'read', state: 'succeeded' }), 'requested sent succeeded');
  assert.equal(
    words({ op: 'metric-write', state: 'accepted' }),
    'requested sent accepted (observed)',
  );
  const over = { op: 'write', state: 'failed', sent_at: 'x', finished_at: 'y' };
  assert.equal(words({ ...over, result: { code: '4.05' } }), 'requested sent refused');
  assert.equal(words(over), 'requested sent failed', 'no word of the device, no refusal');
  assert.equal(words({ op: 'read', state: 'cancelled', finished_at: 'y' }), 'requested cancelled');
});

test('events keep time order and are told once', () => {
  const e = (id, at) => ({ id, at, kind: 'status', text: '' });
  const live = [e(null, '2026-01-01'), e(null, '2026-01-02')];
  const list = m.events_merge(live, [e(3, '2026-01-03'), e(1, '2026-01-01')]);
  assert.deepEqual(
    list.map((x) => [x.id, x.at]),
    [
      [3, '2026-01-03'],
      [null, '2026-01-02'],
      [1, '2026-01-01'],
    ],
  );
});

test('a new birth or other counts change the shape, a new age does not', () => {
  const d = device('a', { link: 'up', sparkplug: { born_at: '1', metrics: 3 } });
  assert.equal(m.shape_key(d), m.shape_key({ ...d, last_seen: 'x', messages_per_s: 9 }));
  assert.notEqual(m.shape_key(d), m.shape_key({ ...d, sparkplug: { born_at: '2', metrics: 3 } }));
});

test('raw and bucketed history become points', () => {
  assert.deepEqual(m.points_from({ bucket_ms: 0, points: [[1, 5]] }), [[1, 5, 5, 5, 1]]);
  assert.deepEqual(m.points_from({ bucket_ms: 10, points: [[10, 1, 3, 2, 4, 3]] }), [
    [10, 1, 3, 2, 4],
  ]);
});

test('a live value widens the open bucket or starts the next', () => {
  const points = [[1000, 1, 3, 2, 4]];
  m.points_push(points, 1000, 1500, 7);
  assert.equal(points.length, 1);
  assert.deepEqual(points[0], [1000, 1, 7, 3, 5]);
  m.points_push(points, 1000, 2400, 4);
  assert.deepEqual(points[1], [2000, 4, 4, 4, 1]);
  const odd = [[1300, 1, 1, 1, 1]];
  m.points_push(odd, 1000, 3900, 2);
  assert.equal(odd[1][0], 3300, 'buckets keep the phase of the history');
  m.points_push(points, 1000, 900, 9);
  assert.equal(points.length, 2, 'late values do not disturb the order');
});

test('silence breaks the line, and only the span in view is kept', () => {
  const points = [1, 2, 3, 4, 60, 61].map((s) => [s * 1000, 1, 1, 1, 1]);
  const with_gap = m.points_gaps(points, 60_000);
  assert.equal(with_gap.length, 7);
  assert.deepEqual(with_gap[4], [4001, null, null, null, 0]);
  const mixed = [0, 60, 120, 180, 181, 182, 183].map((t) => [t * 1000, 1, 1, 1, 1]);
  assert.equal(m.points_gaps(mixed, 3_600_000).length, 7, 'minutes, then seconds: no gap');
  assert.deepEqual(
    m.points_trim(points, 3500).map((p) => p[0]),
    [3000, 4000, 60_000, 61_000],
  );
  assert.deepEqual(m.points_trim(points, 99_000), []);
});

test('several series share one time axis without inventing values', () => {
  const [x, , , a, , , b] = m.align([
    [
      [1000, 1, 1, 1],
      [3000, 3, 3, 3],
    ],
    [[2000, 0, 9, 5]],
  ]);
  assert.deepEqual(x, [1, 2, 3]);
  assert.deepEqual(a, [1, undefined, 3]);
  assert.deepEqual(b, [undefined, 5, undefined]);
});

test('a gap of one series stays one, whatever others have in it', () => {
  const null_at = (t) => [t, null, null, null, 0];
  const [x, low, high, avg, , , other] = m.align([
    [[1000, 1, 3, 2], null_at(1001), [4000, 4, 6, 5]],
    [[2000, 0, 9, 5], [3000, 1, 8, 4], [4000, 1, 8, 4], null_at(4001)],
  ]);
  assert.deepEqual(x, [1, 1.001, 2, 3, 4, 4.001]);
  assert.deepEqual(avg, [2, null, null, null, 5, undefined]);
  assert.deepEqual([low, high], [[1, null, null, null, 4, undefined], [3, null, null, null, 6, undefined]]);
  assert.deepEqual(other, [undefined, undefined, 5, 4, 4, null]);
});

test('the back-off doubles up to its ceiling', () => {
  assert.equal(m.live_backoff_next(500, 0.5), 1000);
  assert.equal(m.live_backoff_next(60_000, 0.5), 15_000);
});
