// storage.mjs - the mock's disk use, classes and rules of history.

const DAY_MS = 86_400_000;

export class Storage {
  constructor(world) {
    this.world = world;
    this.level = 'fits';
    this.classes = new Map([
      ['standard', { raw_days: 90, minute_days: 400, hour_days: 1830 }],
      ['short', { raw_days: 7, minute_days: 30, hour_days: 400 }],
    ]);
    this.rules = [];
    this.fixed = new Map(); // series -> class
    this.next_id = 1;
  }

  forecast() {
    const of = {
      fits: 'It fits: the database will settle at about 41 GB of 100 GB.',
      short: 'The limit of 100 GB will be reached in about 5 days.',
      full: 'The limit of 100 GB is reached.',
    };
    return {
      level: this.level,
      sentence: of[this.level],
      evidence:
        '12 GB now; in the last 6 days it grew by 410 MB per day; 400 MB per day are still added and not yet dropped again.',
      at: new Date().toISOString(),
      days: this.level === 'short' ? 5 : null,
      full_at: null,
      steady_bytes: 41e9,
      added_per_day: 4e8,
      grew_per_day: 4.1e8,
      measured_days: 6,
    };
  }

  report() {
    const kinds = { landing: 2e8, piece: 1e8, chunk: 9e9, rollup_minute: 1.6e9, rollup_hour: 9e7, text: 3e8, timeline: 4e8, other: 3e8 };
    return {
      at: new Date().toISOString(),
      bytes: 1.2e10,
      limit_bytes: 1e11,
      free_bytes: null,
      kinds: Object.entries(kinds).map(([kind, bytes]) => ({ kind, bytes })),
      classes: [...this.classes].map(([name, days]) => ({
        name,
        ...days,
        series: name === 'standard' ? 120 : 0,
        samples: name === 'standard' ? 2.1e9 : 0,
        chunk_bytes: name === 'standard' ? 9e9 : 0,
        rollup_minute_bytes: name === 'standard' ? 1.6e9 : 0,
        rollup_hour_bytes: name === 'standard' ? 9e7 : 0,
        added_per_day: name === 'standard' ? 4e8 : 0,
        steady_bytes: name === 'standard' ? 4e10 : 0,
        bytes: name === 'standard' ? 1.069e10 : 0,
        bytes_per_sample: name === 'standard' ? 5.1 : null,
        oldest: null,
      })),
      counted_at: new Date(Date.now() - 300_000).toISOString(),
      days: [0, 1, 2].map((i) => ({
        day: new Date(Date.now() - (2 - i) * DAY_MS).toISOString().slice(0, 10),
        bytes: 1.1e10 + i * 4e8,
      })),
      series_to_purge: 0,
      samples: 2.1e9,
      bytes_per_sample: 5.1,
      estimate: true,
      forecast: this.forecast(),
    };
  }

  series() {
    const of = (series) => ({
      series,
      class: this.fixed.get(series) ?? 'standard',
      fixed: this.fixed.has(series),
    });
    return [...Array(120)].map((_, i) => ({
      ...of(i ? `spb:/value_${i}` : 'lwm2m:/3303/0/5700'),
      samples: 15_000,
      bytes: i === 7 ? 780_000 : 78_000,
      oldest: null,
    }));
  }

  device(endpoint) {
    return {
      endpoint,
      bytes: 9_400_000,
      samples: 1_800_000,
      bytes_per_sample: 5.22,
      counted_at: new Date(Date.now() - 300_000).toISOString(),
      estimate: true,
    };
  }
}

export function storage_routes(storage, device, Problem) {
  const list = (items) => ({ items, next: null });
  return [
    ['GET', /^\/storage$/, () => storage.report()],
    [
      'GET',
      /^\/storage\/devices$/,
      (_, { q }) =>
        list(
          [...storage.world.devices.keys()]
            .slice(0, Number(q.get('limit') ?? 100))
            .map((e) => storage.device(e)),
        ),
    ],
    ['GET', /^\/devices\/([^/]+)\/storage$/, (m) => ({ ...storage.device(device(m[1])), items: storage.series(), next: null })],
    [
      'PUT',
      /^\/devices\/([^/]+)\/storage$/,
      (_, { body }) => {
        if (body.class) storage.fixed.set(body.series, body.class);
        else storage.fixed.delete(body.series);
        const { series, class: name, fixed } = storage.series().find((s) => s.series === body.series);
        return { series, class: name, fixed };
      },
    ],
    ['GET', /^\/storage\/classes$/, () => list([...storage.classes].map(([name, days]) => ({ name, ...days })))],
    ['GET', /^\/storage\/rules$/, () => list(storage.rules)],
    [
      'POST',
      /^\/storage\/rules$/,
      (_, { body }) => {
        if (!body.series && !body.endpoint && !body.tag && !body.group)
          throw new Problem(422, 'bad_rule', 'A rule needs one of series, endpoint, tag and group.');
        const id = storage.next_id++;
        storage.rules.push({ ...body, id, position: id * 10 });
        return storage.rules.at(-1);
      },
    ],
    [
      'DELETE',
      /^\/storage\/rules\/(\d+)$/,
      (m) => {
        storage.rules = storage.rules.filter((r) => r.id !== Number(m[1]));
        return null;
      },
    ],
    [
      'PUT',
      /^\/storage\/classes\/([^/]+)$/,
      (m, { body }) => {
        storage.classes.set(m[1], body);
        return { name: m[1], ...body };
      },
    ],
    [
      'DELETE',
      /^\/storage\/classes\/([^/]+)$/,
      (m) => {
        if (storage.rules.some((r) => r.class === m[1]))
          throw new Problem(409, 'class_in_use', 'There are rules for this class; delete them first.');
        storage.classes.delete(m[1]);
        return null;
      },
    ],
  ];
}
