// labels.mjs - the mock's tags, groups and audit log: the routes, and what they remember.

const PAGE = 1000;
const NAME = /^[^/,]{1,64}$/;

/** A page of a list, with a cursor that is simply a position. */
function paged(list, q) {
  const from = Number(q.get('cursor') ?? 0);
  const n = Math.min(Number(q.get('limit') ?? 100), PAGE);
  return {
    items: list.slice(from, from + n),
    next: from + n < list.length ? String(from + n) : null,
  };
}

export class Labels {
  constructor(world) {
    this.world = world;
    this.of = new Map();
    this.groups = new Map();
    this.log = [];
    this.limit = 64;
  }

  /** Some tags and groups to look at. */
  seed() {
    for (const name of ['north', 'Halle 3', 'pilot']) this.group_new(name);
    for (const [i, e] of [...this.world.devices.keys()].entries()) {
      if (i > 7) break;
      const tags = { site: i % 2 ? 'oslo' : 'rome', line: String(1 + (i % 3)) };
      if (i === 2) Object.assign(tags, { owner: 'maintenance team of the north', spare: '' });
      this.put(e, tags, i < 3 ? ['north', ...(i ? [] : ['pilot'])] : []);
    }
  }

  note(action, target, detail = null, result = 'ok') {
    this.log.unshift({
      id: this.log.length + 1,
      at: new Date().toISOString(),
      who: 'admin',
      from: '127.0.0.1',
      action,
      target,
      result,
      detail,
    });
  }

  group_new(name) {
    this.groups.set(name, { version: '1', created_at: new Date().toISOString() });
  }

  group(name) {
    const g = this.groups.get(name);
    if (!g) return null;
    const devices = [...this.of.values()].filter((l) => l.groups.includes(name)).length;
    return { name, devices, created_at: g.created_at };
  }

  get(endpoint) {
    return this.of.get(endpoint) ?? { version: 0, tags: {}, groups: [] };
  }

  put(endpoint, tags, groups) {
    const old = this.get(endpoint);
    const now = { tags, groups: [...groups].sort() };
    const { version, ...before } = old;
    if (JSON.stringify(now) === JSON.stringify(before)) return 'unchanged';
    this.of.set(endpoint, { version: version + 1, ...now });
    this.note('device_labels', endpoint, { old: before, new: now });
    return 'changed';
  }

  edit(endpoint, { set = {}, remove = [], join = [], leave = [] }) {
    if (!this.world.devices.has(endpoint))
      return {
        endpoint,
        result: 'failed',
        code: 'not_found',
        detail: 'There is no such device.',
      };
    const old = this.get(endpoint);
    const tags = { ...old.tags, ...set };
    for (const key of remove) delete tags[key];
    if (Object.keys(tags).length > this.limit)
      return {
        endpoint,
        result: 'failed',
        code: 'too_many_tags',
        detail: 'It would have more than 64 tags.',
      };
    const groups = new Set([...old.groups, ...join]);
    for (const name of leave) groups.delete(name);
    return { endpoint, result: this.put(endpoint, tags, [...groups]) };
  }
}

/** The routes; `device` checks a name, `Problem` is what a refusal throws. */
export function label_routes(labels, device, Problem) {
  const group = (name) => {
    const g = labels.group(name);
    if (!g) throw new Problem(404, 'group_unknown', 'There is no such group.');
    return g;
  };
  const named = (name) => {
    if (!NAME.test(name)) throw new Problem(422, 'bad_name', 'A group has 1 to 64 bytes.');
    if (labels.groups.has(name)) throw new Problem(409, 'conflict', 'This name is taken.');
    return name;
  };
  const fresh = (name, req) => {
    const g = labels.groups.get(name);
    if (req.headers['if-match'] && req.headers['if-match'] !== `"${g.version}"`)
      throw new Problem(412, 'stale', 'The group was changed meanwhile; read it again.');
    return g;
  };
  const rows = () =>
    [...labels.of]
      .filter(([, l]) => Object.keys(l.tags).length || l.groups.length)
      .map(([endpoint, l]) => ({ endpoint, tags: l.tags, groups: l.groups }));
  return [
    [
      'GET',
      /^\/devices\/([^/]+)\/labels$/,
      (m, { res }) => {
        const { version, ...l } = labels.get(device(m[1]));
        res.setHeader('ETag', `"${version}"`);
        return { endpoint: m[1], ...l };
      },
    ],
    [
      'PUT',
      /^\/devices\/([^/]+)\/labels$/,
      (m, { body }) => {
        labels.put(device(m[1]), body.tags, body.groups);
        const { version: _, ...l } = labels.get(m[1]);
        return { endpoint: m[1], ...l };
      },
    ],
    ['GET', /^\/labels$/, (_, { q }) => paged(rows(), q)],
    [
      'POST',
      /^\/labels$/,
      (_, { body }) => {
        for (const name of [...(body.join ?? []), ...(body.leave ?? [])])
          if (!labels.groups.has(name))
            throw new Problem(422, 'unknown_group', 'There is no such group; make it first.');
        const items = body.endpoints.map((e) => labels.edit(e, body));
        const n = (result) => items.filter((o) => o.result === result).length;
        return {
          matched: items.length,
          changed: n('changed'),
          unchanged: n('unchanged'),
          failed: n('failed'),
          items,
        };
      },
    ],
    ['GET', /^\/groups$/, (_, { q }) => paged([...labels.groups.keys()].sort().map(group), q)],
    [
      'POST',
      /^\/groups$/,
      (_, { body, res }) => {
        labels.group_new(named(body.name));
        labels.note('group_add', body.name, { new: body.name });
        res.statusCode = 201;
        return group(body.name);
      },
    ],
    [
      'GET',
      /^\/groups\/([^/]+)$/,
      (m, { res }) => {
        const g = group(m[1]);
        res.setHeader('ETag', `"${labels.groups.get(m[1]).version}"`);
        return g;
      },
    ],
    [
      'PATCH',
      /^\/groups\/([^/]+)$/,
      (m, { body, req }) => {
        group(m[1]);
        const g = fresh(m[1], req);
        labels.groups.set(named(body.name), { ...g, version: `${g.version}1` });
        labels.groups.delete(m[1]);
        for (const l of labels.of.values())
          l.groups = l.groups.map((name) => (name === m[1] ? body.name : name));
        labels.note('group_rename', m[1], { old: m[1], new: body.name });
        return group(body.name);
      },
    ],
    [
      'DELETE',
      /^\/groups\/([^/]+)$/,
      (m, { req }) => {
        const { devices } = group(m[1]);
        fresh(m[1], req);
        labels.groups.delete(m[1]);
        for (const l of labels.of.values()) l.groups = l.groups.filter((name) => name !== m[1]);
        labels.note('group_delete', m[1], { old: { devices } });
        return null;
      },
    ],
    [
      'GET',
      /^\/audit$/,
      (_, { q }) => {
        const fits = (e) =>
          ['who', 'action', 'target', 'result'].every((k) => !q.get(k) || q.get(k) === e[k]) &&
          (!q.get('from') || Date.parse(e.at) >= Date.parse(q.get('from'))) &&
          (!q.get('to') || Date.parse(e.at) < Date.parse(q.get('to')));
        return paged(labels.log.filter(fits), q);
      },
    ],
  ];
}
