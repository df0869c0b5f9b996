// fleet.ts - the fleet as the browser holds it: a map of summaries, fed by snapshots and deltas,
// and the ordered list that a table shows. Pure: no socket, no clock, no signals.
//
// While a snapshot comes in pieces, a staging map fills beside the shown one; deltas go into both;
// the last piece swaps them. So the table never flashes empty on a resync.

import { labels_match, type LabelMap } from './labels';
import type { DeviceSummary, LiveOp, Status } from './types';
import type { FleetFilter, Sort } from './route';
import { STATUSES } from './route';

export interface FleetState {
  shown: Map<string, DeviceSummary>;
  staging: Map<string, DeviceSummary> | null;
  complete: boolean;
}

export function fleet_new(): FleetState {
  return { shown: new Map(), staging: null, complete: false };
}

/** fleet_apply changes `f` by one operation; true if what is shown may have changed. */
export function fleet_apply(f: FleetState, op: LiveOp): boolean {
  switch (op.op) {
    case 'resync':
      f.staging = new Map();
      return false;
    case 'snapshot': {
      const into = f.staging ?? new Map<string, DeviceSummary>();
      for (const d of op.devices ?? []) into.set(d.endpoint, d);
      f.staging = into;
      if (op.done === false) {
        if (f.complete) return false;
        for (const d of op.devices ?? []) f.shown.set(d.endpoint, d);
        return true;
      }
      f.shown = into;
      f.staging = null;
      f.complete = true;
      return true;
    }
    case 'delta':
      for (const map of f.staging ? [f.shown, f.staging] : [f.shown]) {
        for (const d of op.devices ?? []) map.set(d.endpoint, { ...map.get(d.endpoint), ...d });
        for (const endpoint of op.removed ?? []) map.delete(endpoint);
      }
      return Boolean(op.devices?.length || op.removed?.length);
    default:
      return false;
  }
}

export function fleet_counts(devices: Iterable<DeviceSummary>): Record<Status, number> {
  const counts = Object.fromEntries(STATUSES.map((s) => [s, 0])) as Record<Status, number>;
  for (const d of devices) counts[d.status] = (counts[d.status] ?? 0) + 1;
  return counts;
}

const NO_LABELS: LabelMap = new Map();

export function fleet_matches(d: DeviceSummary, f: FleetFilter, labels = NO_LABELS): boolean {
  if (f.status.length && !f.status.includes(d.status)) return false;
  if (!labels_match(labels.get(d.endpoint), f.tag, f.group)) return false;
  if (!f.search) return true;
  const needle = f.search.toLowerCase();
  const fields = [d.endpoint, d.manufacturer, d.model, d.serial, d.sparkplug?.group];
  return fields.some((s) => s?.toLowerCase().includes(needle));
}

const by_text = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const by_endpoint = (a: DeviceSummary, b: DeviceSummary) => by_text(a.endpoint, b.endpoint);
/** What needs a person first: trouble before rest, rest before health. */
const URGENCY: Record<Status, number> = {
  lost: 0,
  degraded: 1,
  unknown: 2,
  offline: 3,
  never: 4,
  sleeping: 5,
  online: 6,
};

const ORDER: Record<Sort, (a: DeviceSummary, b: DeviceSummary) => number> = {
  endpoint: by_endpoint,
  status: (a, b) => URGENCY[a.status] - URGENCY[b.status] || by_endpoint(a, b),
  '-last_seen': (a, b) => by_text(b.last_seen ?? '', a.last_seen ?? '') || by_endpoint(a, b),
  '-rate': (a, b) => b.messages_per_s - a.messages_per_s || by_endpoint(a, b),
};

/** fleet_list gives the endpoints to show, in order. */
export function fleet_list(
  devices: Iterable<DeviceSummary>,
  f: FleetFilter,
  labels = NO_LABELS,
): string[] {
  const list: DeviceSummary[] = [];
  for (const d of devices) if (fleet_matches(d, f, labels)) list.push(d);
  return list.sort(ORDER[f.sort]).map((d) => d.endpoint);
}

/** The rows of a long list that need to exist: [first, last), with some spare on both sides. */
export function window_rows(
  total: number,
  row_px: number,
  top_px: number,
  view_px: number,
  spare = 8,
): [number, number] {
  const first = Math.max(0, Math.floor(-top_px / row_px) - spare);
  const last = Math.min(total, Math.ceil((view_px - top_px) / row_px) + spare);
  return [Math.min(first, total), Math.max(last, Math.min(first, total))];
}
