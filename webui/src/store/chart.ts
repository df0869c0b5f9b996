// chart.ts - which values are drawn, over which span, and their points.

import { signal } from '@preact/signals';
import { api, server_now } from '../api';
import { points_from, points_push, points_trim, type Point } from '../chart_data';
import { type_is_numeric, value_number } from '../format';
import { object_rank, path_ids } from '../tree';
import type { DeviceDetail, Value } from '../types';
import { toast_error } from './ui';

export interface Drawn {
  series: string;
  unit: string | null;
  bucket_ms: number;
  points: Point[];
  loading: boolean;
}

export interface Choice {
  series: string;
  unit: string | null;
}

export const RANGES = [
  { key: '15m', label: '15 min', ms: 900_000 },
  { key: '1h', label: '1 h', ms: 3_600_000 },
  { key: '24h', label: '24 h', ms: 86_400_000 },
  { key: '7d', label: '7 d', ms: 604_800_000 },
  { key: '90d', label: '90 d', ms: 7_776_000_000 },
] as const;
export type Range = (typeof RANGES)[number];
export const DRAWN_MAX = 6;
const POINTS = 600;

export const chart_range = signal<Range>(RANGES[1]);
export const chart_drawn = signal<Drawn[]>([]);
export const chart_choices = signal<Choice[]>([]);
/** Grows with each live point; the chart redraws from it at its own pace. */
export const chart_rev = signal(0);

let endpoint: string | null = null;
let started = false;

function choices(d: DeviceDetail, unit_of: (series: string) => string | null): Choice[] {
  const list: Choice[] = [];
  const rank = (path: string) => object_rank(path_ids(path)[0] ?? 0);
  const resources = [...d.resources].sort((a, b) => rank(a.path) - rank(b.path));
  for (const r of resources) {
    if (!type_is_numeric(r.type) || value_number(r.value) === null) continue;
    list.push({ series: r.series, unit: unit_of(r.series) });
  }
  for (const m of d.metrics) {
    if (!type_is_numeric(m.datatype) || m.name.startsWith('Node Control/')) continue;
    if (m.name === 'bdSeq') continue;
    list.push({ series: m.series, unit: m.unit });
  }
  return list;
}

/** The value a person most likely wants first: a reading that moves and has a past. Sparkplug
 *  metrics come with every change, LwM2M values only when asked, observed or sent. */
function first_choice(d: DeviceDetail): string | null {
  const drawable = new Set(chart_choices.peek().map((c) => c.series));
  const fraction = (type: string | null) => (/float|double/i.test(type ?? '') ? 4 : 0);
  const telling = (name: string) =>
    /temp/i.test(name) ? 2 : /set ?point|target|min|max/i.test(name) ? -3 : 0;
  const all = [
    ...d.resources.map((r) => ({
      series: r.series,
      score: fraction(r.type) + (/\/5700$/.test(r.path) ? 2 : 0) + (r.observed ? 4 : 0),
    })),
    ...d.metrics.map((m) => ({
      series: m.series,
      score: fraction(m.datatype) + telling(m.name) + (m.unit ? 1 : 0) + 2,
    })),
  ].filter((x) => drawable.has(x.series));
  all.sort((a, b) => b.score - a.score);
  return all[0]?.series ?? null;
}

function replace(series: string, change: Partial<Drawn>): void {
  chart_drawn.value = chart_drawn
    .peek()
    .map((d) => (d.series === series ? { ...d, ...change } : d));
}

async function load(series: string): Promise<void> {
  const ep = endpoint;
  const range = chart_range.peek();
  if (!ep) return;
  const to = server_now();
  try {
    const h = await api.history(ep, series, to - range.ms, to + 1000, POINTS);
    if (ep !== endpoint || range !== chart_range.peek()) return;
    const points = points_from(h);
    const tail = chart_drawn.peek().find((d) => d.series === series)?.points ?? [];
    for (const p of tail)
      if (p[3] !== null && p[0] > to) points_push(points, h.bucket_ms, p[0], p[3]);
    replace(series, {
      points,
      bucket_ms: h.bucket_ms,
      loading: false,
      ...(h.unit && { unit: h.unit }),
    });
  } catch (e) {
    replace(series, { loading: false });
    toast_error(e);
  }
  chart_rev.value++;
}

export function chart_toggle(series: string): void {
  const now = chart_drawn.peek();
  if (now.some((d) => d.series === series)) {
    chart_drawn.value = now.filter((d) => d.series !== series);
    return;
  }
  const unit = chart_choices.peek().find((c) => c.series === series)?.unit ?? null;
  chart_drawn.value = [
    ...now.slice(-(DRAWN_MAX - 1)),
    { series, unit, bucket_ms: 0, points: [], loading: true },
  ];
  void load(series);
}

export function chart_range_set(range: Range): void {
  chart_range.value = range;
  chart_drawn.value = chart_drawn.peek().map((d) => ({ ...d, points: [], loading: true }));
  for (const d of chart_drawn.peek()) void load(d.series);
}

/** chart_href: all samples of what is drawn, over the span that is drawn, as a file. */
export function chart_href(format: 'csv' | 'ndjson'): string | null {
  const series = chart_drawn.value.map((d) => d.series);
  const to = server_now();
  return endpoint && series.length
    ? api.export_href(endpoint, series, to - chart_range.value.ms, to, format)
    : null;
}

/** chart_tail adds a live value to a drawn series. */
export function chart_tail(series: string, ts: number, value: Value): void {
  const d = chart_drawn.peek().find((x) => x.series === series);
  const n = value_number(value);
  if (!d || n === null) return;
  points_push(d.points, d.bucket_ms, ts, n);
  d.points = points_trim(d.points, server_now() - chart_range.peek().ms);
  chart_rev.value++;
}

/** chart_open offers what `d` has to draw, and draws the likeliest value first.
 *  `unit_of` tells units that the detail itself does not carry. */
export function chart_open(d: DeviceDetail, unit_of: (series: string) => string | null): void {
  endpoint = d.endpoint;
  chart_choices.value = choices(d, unit_of);
  if (started) return;
  const first = first_choice(d);
  if (!first) return;
  started = true;
  chart_toggle(first);
}

export function chart_close(): void {
  endpoint = null;
  started = false;
  chart_drawn.value = [];
  chart_choices.value = [];
}
