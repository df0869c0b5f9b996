// chart_data.ts - points for the chart: history, a live tail, gaps told honestly. Pure.
//
// A point is [ts_ms, min, max, avg, n]. Inside a bucketed history the tail goes into the open bucket,
// so a day's chart does not grow by a point per second. A silence of more than GAP_FACTOR steps
// becomes a null point: the line breaks instead of pretending.

import type { History } from './types';

export type Point = [
  ts: number,
  min: number | null,
  max: number | null,
  avg: number | null,
  n: number,
];
export type Column = (number | null | undefined)[];

const GAP_FACTOR = 6;
const GAP_SEEN = 60; // a gap narrower than this part of the span is not worth a break

export function points_from(h: Pick<History, 'bucket_ms' | 'points'>): Point[] {
  const out: Point[] = [];
  for (const p of h.points) {
    const ts = p[0];
    if (ts === undefined) continue;
    if (h.bucket_ms === 0 || p.length < 4) {
      const v = p[1] ?? null;
      out.push([ts, v, v, v, 1]);
    } else {
      out.push([ts, p[1] ?? null, p[2] ?? null, p[3] ?? null, p[4] ?? 1]);
    }
  }
  return out;
}

/** points_push adds one live value in time order; late ones that lie before the last are left out. */
export function points_push(points: Point[], bucket_ms: number, ts: number, v: number): void {
  const last = points[points.length - 1];
  if (last && ts < last[0]) return;
  if (last && ts === last[0] && bucket_ms === 0) {
    points[points.length - 1] = [ts, v, v, v, 1];
  } else if (last && bucket_ms > 0 && ts < last[0] + bucket_ms && last[3] !== null) {
    const n = last[4] + 1;
    points[points.length - 1] = [
      last[0],
      Math.min(last[1] ?? v, v),
      Math.max(last[2] ?? v, v),
      last[3] + (v - last[3]) / n,
      n,
    ];
  } else {
    // The grid of buckets is the one the history has.
    const base = last ? last[0] : ts;
    const start = bucket_ms > 0 ? base + Math.floor((ts - base) / bucket_ms) * bucket_ms : ts;
    points.push([Math.max(start, last ? last[0] + 1 : start), v, v, v, 1]);
  }
}

export function points_trim(points: Point[], from: number): Point[] {
  const keep = points.findIndex((p) => p[0] >= from);
  return keep < 0 ? [] : keep > 1 ? points.slice(keep - 1) : points;
}

/** points_gaps puts a null where the line must break: a step much longer than its neighbours, so
 *  that minutes of history and seconds of live values may follow each other, and long enough to be
 *  seen in a chart of `span_ms`. */
export function points_gaps(points: Point[], span_ms: number): Point[] {
  const step = (i: number) => (i > 0 && i < points.length ? points[i]![0] - points[i - 1]![0] : 0);
  const out: Point[] = [];
  points.forEach((p, i) => {
    const usual = Math.max(step(i - 1), step(i + 1), span_ms / GAP_SEEN / GAP_FACTOR);
    if (step(i) > usual * GAP_FACTOR) out.push([points[i - 1]![0] + 1, null, null, null, 0]);
    out.push(p);
  });
  return out;
}

/** align joins several lists on one time axis (seconds, as uPlot wants): [x, min, max, avg, ...].
 *  undefined = no point of this series here (the line goes through); null = a real gap, which lasts
 *  until the series' next point, however many times of other series lie in it. */
export function align(lists: Point[][]): [number[], ...Column[]] {
  const times = [...new Set(lists.flatMap((l) => l.map((p) => p[0])))].sort((a, b) => a - b);
  const index = new Map(times.map((t, i) => [t, i]));
  const columns: Column[] = [];
  for (const list of lists) {
    const min: Column = new Array(times.length).fill(undefined);
    const max: Column = new Array(times.length).fill(undefined);
    const avg: Column = new Array(times.length).fill(undefined);
    list.forEach((p, k) => {
      const i = index.get(p[0])!;
      const next = list[k + 1];
      const end = p[3] === null && next ? index.get(next[0])! : i + 1;
      min.fill(p[1], i, end);
      max.fill(p[2], i, end);
      avg.fill(p[3], i, end);
    });
    columns.push(min, max, avg);
  }
  return [times.map((t) => t / 1000), ...columns];
}

/** Whether any bucket spans more than a line: only then is a band worth drawing. */
export function has_band(points: Point[]): boolean {
  return points.some((p) => p[1] !== null && p[2] !== null && p[2] > p[1]);
}
