// tree.ts - flat lists from the server into the trees people look at. Pure.

import type {
  DeviceDetail,
  Metric,
  ModelObject,
  ModelResource,
  Resource,
  SubDevice,
} from './types';

export type Models = Map<number, ModelObject>;

export function is_multiple(x: { multiple: boolean | string }): boolean {
  return x.multiple === true || x.multiple === 'Multiple';
}

export function is_mandatory(x: { mandatory: boolean | string }): boolean {
  return x.mandatory === true || x.mandatory === 'Mandatory';
}

// ---- LwM2M --------------------------------------------------------------------------------------

export interface ResourceRow {
  path: string;
  id: number;
  name: string;
  model: ModelResource | null;
  /** What the device told: one entry, or one per resource instance; empty if not known yet. */
  values: Resource[];
  /** Not told by the device; shown because the model defines it. */
  optional: boolean;
}

export interface InstanceNode {
  path: string;
  id: number;
  rows: ResourceRow[];
}

export interface ObjectNode {
  id: number;
  path: string;
  name: string;
  version: string | null;
  model: ModelObject | null;
  instances: InstanceNode[];
}

export function path_ids(path: string): number[] {
  return path.split('/').filter(Boolean).map(Number);
}

export function resource_model(models: Models, path: string): ModelResource | null {
  const ids = path_ids(path);
  return models.get(ids[0] ?? -1)?.resources.find((r) => r.id === ids[2]) ?? null;
}

/** Sensor objects of the IPSO family carry their unit in a resource of their own. */
const UNIT_ID = 5701;
const MEASURED = new Set([5700, 5601, 5602, 5603, 5604]);

/** Where the unit of `path` is told: by the model, or by a sibling resource to look at. */
export function unit_source(
  models: Models,
  path: string,
): { unit: string } | { series: string } | null {
  const units = resource_model(models, path)?.units;
  if (units) return { unit: units };
  const [object, instance, resource = -1] = path_ids(path);
  return MEASURED.has(resource) ? { series: `lwm2m:/${object}/${instance}/${UNIT_ID}` } : null;
}

/** "Temperature · Sensor Value" for /3303/0/5700; the path itself where no model knows it. */
export function resource_name(models: Models, path: string): string {
  const ids = path_ids(path);
  const object = models.get(ids[0] ?? -1);
  if (!object) return path;
  const many = ids.length > 1 && is_multiple(object) ? ` ${ids[1]}` : '';
  const resource = resource_model(models, path);
  if (ids.length < 3) return object.name + many;
  return `${object.name}${many} · ${resource?.name ?? ids[2]}${ids.length > 3 ? ` ${ids[3]}` : ''}`;
}

const CORE_MAX = 2047; // registered by OMA itself: server, device, firmware ...
const DEVICE = 3;

/** What the device is for comes first, then what it is, then how it is managed. */
export function object_rank(id: number): number {
  return id > CORE_MAX ? 0 : id === DEVICE ? 1 : 2;
}

function rows_of(
  base: string,
  told: Map<string, Resource[]>,
  model: ModelObject | null,
  present: ReadonlySet<string>,
): ResourceRow[] {
  const rows = new Map<number, ResourceRow>();
  for (const [path, values] of told) {
    const id = path_ids(path)[2] ?? 0;
    const m = model?.resources.find((r) => r.id === id) ?? null;
    rows.set(id, {
      path,
      id,
      name: m?.name ?? `Resource ${id}`,
      model: m,
      values,
      optional: false,
    });
  }
  for (const m of model?.resources ?? []) {
    if (rows.has(m.id)) continue;
    const path = `${base}/${m.id}`;
    const optional = !present.has(path) && m.op !== 'E';
    rows.set(m.id, { path, id: m.id, name: m.name, model: m, values: [], optional });
  }
  for (const path of present) {
    const ids = path_ids(path);
    if (ids.length !== 3 || !path.startsWith(`${base}/`) || rows.has(ids[2]!)) continue;
    rows.set(ids[2]!, {
      path,
      id: ids[2]!,
      name: `Resource ${ids[2]}`,
      model: null,
      values: [],
      optional: false,
    });
  }
  return [...rows.values()].sort((a, b) => a.id - b.id);
}

/** lwm2m_tree joins what the device told with what the models define.
 *  `present`: resource paths a Discover named. */
export function lwm2m_tree(
  detail: Pick<DeviceDetail, 'objects' | 'resources'>,
  models: Models,
  present: ReadonlySet<string> = new Set(),
): ObjectNode[] {
  const told = new Map<string, Map<string, Resource[]>>();
  for (const r of detail.resources) {
    const ids = path_ids(r.path);
    const base = `/${ids[0]}/${ids[1]}`;
    const path = `${base}/${ids[2]}`;
    const list = told.get(base) ?? new Map<string, Resource[]>();
    list.set(path, [...(list.get(path) ?? []), r]);
    told.set(base, list);
  }
  const objects = new Map(detail.objects.map((o) => [o.id, { ...o, instances: [...o.instances] }]));
  for (const base of told.keys()) {
    const [oid = 0, iid = 0] = path_ids(base);
    const o = objects.get(oid) ?? { id: oid, name: null, version: null, instances: [] };
    if (!o.instances.includes(iid)) o.instances.push(iid);
    objects.set(oid, o);
  }
  return [...objects.values()]
    .sort((a, b) => object_rank(a.id) - object_rank(b.id) || a.id - b.id)
    .map((o) => {
      const model = models.get(o.id) ?? null;
      return {
        id: o.id,
        path: `/${o.id}`,
        name: o.name ?? model?.name ?? `Object ${o.id}`,
        version: o.version,
        model,
        instances: o.instances
          .sort((a, b) => a - b)
          .map((i) => {
            const path = `/${o.id}/${i}`;
            return {
              path,
              id: i,
              rows: rows_of(path, told.get(path) ?? new Map(), model, present),
            };
          }),
      };
    });
}

/** Paths out of a Discover answer, which is CoRE link text or a list of links. */
export function links_paths(links: unknown): string[] {
  if (typeof links === 'string') return [...links.matchAll(/<([^>]*)>/g)].map((m) => m[1] ?? '');
  if (!Array.isArray(links)) return [];
  return links
    .map((l) => {
      if (typeof l === 'string') return l.replace(/^<([^>]*)>.*$/, '$1');
      const o = l as { path?: unknown; href?: unknown };
      return String(o?.path ?? o?.href ?? '');
    })
    .filter((p) => p.startsWith('/'));
}

// ---- Sparkplug ----------------------------------------------------------------------------------

export interface Folder {
  name: string;
  path: string;
  metrics: Metric[];
}

export interface MetricGroup {
  device: string | null;
  state: SubDevice['state'] | null;
  folders: Folder[];
}

export function metric_leaf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1) || name;
}

export function metric_folder(name: string): string {
  const i = name.lastIndexOf('/');
  return i < 0 ? '' : name.slice(0, i);
}

function folders_of(metrics: Metric[]): Folder[] {
  const folders = new Map<string, Folder>();
  for (const m of metrics) {
    const path = metric_folder(m.name);
    const f = folders.get(path) ?? { name: path.replaceAll('/', ' / '), path, metrics: [] };
    f.metrics.push(m);
    folders.set(path, f);
  }
  const list = [...folders.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const f of list) f.metrics.sort((a, b) => (a.name < b.name ? -1 : 1));
  return list;
}

/** Node first, then its devices by name; in each, folders by path. */
export function metric_tree(
  detail: Pick<DeviceDetail, 'metrics' | 'sparkplug_devices'>,
): MetricGroup[] {
  const by_device = new Map<string | null, Metric[]>([[null, []]]);
  for (const d of detail.sparkplug_devices) by_device.set(d.device, []);
  for (const m of detail.metrics) {
    const list = by_device.get(m.device);
    if (list) list.push(m);
    else by_device.set(m.device, [m]);
  }
  const state = new Map(detail.sparkplug_devices.map((d) => [d.device, d.state]));
  return [...by_device]
    .sort(([a], [b]) => (a === null ? -1 : b === null ? 1 : a < b ? -1 : 1))
    .filter(([device, list]) => device !== null || list.length)
    .map(([device, list]) => ({
      device,
      state: device === null ? null : (state.get(device) ?? null),
      folders: folders_of(list),
    }));
}

/** The type to write a resource with: the model's word, else what the device sent. */
export function type_of(row: ResourceRow): string | null {
  const word = row.model?.type || row.values[0]?.type || null;
  return word === 'none' ? null : word;
}
