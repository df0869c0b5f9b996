// device.ts - the open device: its structure, and one signal per value.
//
// The structure (which objects, resources and metrics there are) changes seldom and is one signal;
// values change all the time and each has its own cell, so that a new sample redraws one row and
// not the tree. The structure is read again when a delta hints that it changed: an unknown series,
// other counts, a new birth or registration.

import { signal, type Signal } from '@preact/signals';
import { api } from '../api';
import type { ApiError } from '../api';
import { live_subscribe } from '../live';
import { links_paths, unit_source, type Models } from '../tree';
import type {
  Command,
  DeviceDetail,
  DeviceSummary,
  LiveOp,
  ModelObject,
  PathValue,
  Quality,
  Value,
} from '../types';
import { time_ms } from '../format';
import { chart_close, chart_open, chart_tail } from './chart';
import { commands_open, commands_receive } from './commands';
import { events_open, events_receive } from './timeline';
import { error_of, toast_error } from './ui';

export interface Cell {
  value: Value;
  quality: Quality | null;
  at_ms: number | null;
}

const REREAD_MS = 10_000;
const EMPTY: Cell = { value: null, quality: null, at_ms: null };

export const device_summary = signal<DeviceSummary | null>(null);
export const device_parts = signal<DeviceDetail | null>(null);
export const device_error = signal<ApiError | null>(null);
/** Newest value stamp per strand: evidence of life that is younger than the last detail. */
export const heard = signal<{ lwm2m: number; sparkplug: number }>({ lwm2m: 0, sparkplug: 0 });
/** Resource paths that a Discover named, although no value is known. */
export const discovered = signal<ReadonlySet<string>>(new Set());
export const models = signal<Models>(new Map());
/** The models came, or will not; until then a tree would only jump. */
export const models_ready = signal(false);

let endpoint: string | null = null;
let cells = new Map<string, Signal<Cell>>();
let reread_timer = 0;

export function cell(series: string): Signal<Cell> {
  let c = cells.get(series);
  if (!c) cells.set(series, (c = signal(EMPTY)));
  return c;
}

/** The unit of a resource, from its model or from the Sensor Units beside it. */
export function resource_unit(path: string): string | null {
  const source = unit_source(models.value, path);
  if (!source) return null;
  if ('unit' in source) return source.unit;
  if (!cells.has(source.series)) return null;
  const told = cell(source.series).value.value;
  return typeof told === 'string' && told ? told : null;
}

function set_cell(
  series: string,
  value: Value,
  quality: Quality | null,
  at_ms: number | null,
): void {
  const c = cell(series);
  const old = c.peek();
  if (old.at_ms !== null && at_ms !== null && at_ms < old.at_ms) return;
  if (old.value === value && old.quality === quality && old.at_ms === at_ms) return;
  c.value = { value, quality, at_ms };
}

function take_detail(d: DeviceDetail): void {
  for (const r of d.resources ?? []) set_cell(r.series, r.value, r.quality ?? null, time_ms(r.at));
  for (const m of d.metrics ?? []) {
    const c = cell(m.series);
    c.value = { value: m.value, quality: m.quality, at_ms: time_ms(m.at) };
  }
  device_summary.value = d;
  device_parts.value = d;
  device_error.value = null;
  chart_open(d, (series) => (series.startsWith('lwm2m:') ? resource_unit(series.slice(6)) : null));
}

async function read(): Promise<void> {
  const mine = endpoint;
  if (!mine) return;
  try {
    const d = await api.device(mine);
    if (mine === endpoint) take_detail(d);
  } catch (e) {
    if (mine !== endpoint) return;
    const err = error_of(e);
    if (!device_parts.peek() || err.status === 404) device_error.value = err;
  }
}

/** device_reread reads the structure again, soon and once for many calls. */
export function device_reread(delay_ms = 250): void {
  if (reread_timer) return;
  reread_timer = window.setTimeout(() => {
    reread_timer = 0;
    void read();
  }, delay_ms);
}

/** shape_key changes when the structure must have changed. */
export function shape_key(d: DeviceSummary): string {
  const l = d.lwm2m;
  const s = d.sparkplug;
  return JSON.stringify([
    d.link,
    d.status,
    l?.resources,
    l?.observations,
    l?.registered_at,
    l?.state,
    s?.metrics,
    s?.devices,
    s?.devices_born,
    s?.born_at,
    s?.died_at,
    s?.state,
    s?.rebirths,
  ]);
}

function take_summary(d: DeviceSummary & Partial<DeviceDetail>): void {
  const old = device_summary.peek();
  if (d.resources && d.metrics && d.objects) return take_detail(d as DeviceDetail);
  const merged = { ...old, ...d } as DeviceSummary;
  device_summary.value = merged;
  if (!old || shape_key(old) !== shape_key(merged)) device_reread();
}

function take_values(op: LiveOp): void {
  let { lwm2m, sparkplug } = heard.peek();
  for (const [ep, series, ts, value, quality] of op.values ?? []) {
    if (ep !== endpoint) continue;
    if (!cells.has(series)) device_reread();
    set_cell(series, value, quality ?? null, ts);
    chart_tail(series, ts, value);
    if (series.startsWith('lwm2m:')) lwm2m = Math.max(lwm2m, ts);
    else sparkplug = Math.max(sparkplug, ts);
  }
  heard.value = { lwm2m, sparkplug };
}

function receive(ops: LiveOp[]): void {
  for (const op of ops) {
    if (op.op === 'error') {
      device_error.value = error_of(new Error(op.detail ?? op.code ?? 'subscription refused'));
      continue;
    }
    if (op.removed?.includes(endpoint ?? '')) device_reread(0);
    for (const d of op.devices ?? []) if (d.endpoint === endpoint) take_summary(d);
    if (op.values) take_values(op);
    if (op.events) events_receive(op.events.filter((e) => !e.endpoint || e.endpoint === endpoint));
    if (op.commands) commands_receive(op.commands.filter((c) => c.endpoint === endpoint));
  }
}

function take_results(values: PathValue[], at_ms: number): void {
  for (const v of values) {
    const series = `lwm2m:${v.path}`;
    if (!cells.has(series)) device_reread();
    set_cell(series, v.value, null, at_ms);
  }
}

const RESHAPES = new Set([
  'discover',
  'create',
  'delete',
  'observe',
  'observe-composite',
  'cancel',
  'write-attributes',
  'write',
]);

function command_finished(c: Command): void {
  if (c.state === 'failed' || c.state === 'timed_out') return;
  if (c.result?.values && c.op.startsWith('read')) {
    take_results(c.result.values, time_ms(c.finished_at) ?? Date.now());
  }
  if (c.op === 'discover' && c.result?.links) {
    discovered.value = new Set([...discovered.peek(), ...links_paths(c.result.links)]);
  }
  if (RESHAPES.has(c.op)) device_reread();
}

async function read_models(): Promise<void> {
  if (models.peek().size) return;
  try {
    const { objects } = await api.models();
    models.value = new Map(objects.map((o: ModelObject) => [o.id, o]));
  } catch (e) {
    toast_error(e);
  } finally {
    models_ready.value = true;
  }
}

export function device_open(ep: string): () => void {
  endpoint = ep;
  cells = new Map();
  device_summary.value = null;
  device_parts.value = null;
  device_error.value = null;
  discovered.value = new Set();
  heard.value = { lwm2m: 0, sparkplug: 0 };
  chart_close();
  void read_models();
  void read();
  commands_open(ep, command_finished);
  const stop_events = events_open(ep);
  const stop_live = live_subscribe('device', [ep], receive);
  // Also with a live socket: the sentence and the evidence contain ages.
  const timer = setInterval(() => void read(), REREAD_MS);
  return () => {
    stop_live();
    stop_events();
    clearInterval(timer);
    clearTimeout(reread_timer);
    reread_timer = 0;
    chart_close();
    endpoint = null;
  };
}

/** device_forget removes the device for good; the caller leaves the page on true. */
export async function device_forget(ep: string): Promise<boolean> {
  try {
    await api.device_forget(ep);
    return true;
  } catch (e) {
    toast_error(e);
    return false;
  }
}
