// fleet.ts - the fleet page's state: the live map of summaries and the calm order of its rows.
//
// Membership and filter change the order at once; mere movement of values (last seen, rates) at
// most every two seconds and never under the pointer, so that rows do not run away from a click.
// Without the live socket the list is read over REST, now and every 15 s. Tags and groups come from
// fleet_labels.ts: the live fleet carries none.

import { computed, effect, signal, untracked } from '@preact/signals';
import { api } from '../api';
import { fleet_apply, fleet_counts, fleet_list, fleet_new } from '../fleet';
import { live_state, live_subscribe } from '../live';
import { filter } from '../route';
import type { DeviceSummary, Fleet, LiveOp } from '../types';
import { fleet_labels, fleet_labels_forget } from './fleet_labels';
import { toast_error } from './ui';

const ORDER_MS = 2000;
const REST_MS = 15_000;
const SILENT_MS = 20_000;

let state = fleet_new();
const rev = signal(0);

export const fleet_info = signal<Fleet | null>(null);
export const fleet_loaded = signal(false);
export const fleet_hold = signal(false);
export const fleet_order = signal<string[]>([]);

export const counts = computed(() => {
  rev.value;
  return fleet_counts(state.shown.values());
});
export const fleet_size = computed(() => (rev.value, state.shown.size));
export const fleet_rate = computed(() => {
  rev.value;
  let sum = 0;
  for (const d of state.shown.values()) sum += d.messages_per_s;
  return sum;
});

export function fleet_row(endpoint: string): DeviceSummary | undefined {
  rev.value;
  return state.shown.get(endpoint);
}

let ordered_at = 0;
let order_timer = 0;
let membership = '';
let labelled = fleet_labels.peek();

function reorder(): void {
  clearTimeout(order_timer);
  order_timer = 0;
  ordered_at = performance.now();
  const next = fleet_list(state.shown.values(), filter.peek(), fleet_labels.peek());
  const old = fleet_order.peek();
  if (next.length !== old.length || next.some((e, i) => e !== old[i])) fleet_order.value = next;
}

function order_soon(): void {
  const shape = JSON.stringify([filter.peek(), state.shown.size, counts.peek()]);
  if (shape !== membership || labelled !== fleet_labels.peek()) {
    membership = shape;
    labelled = fleet_labels.peek();
    return reorder();
  }
  if (order_timer || fleet_hold.peek()) return;
  const wait = Math.max(0, ORDER_MS - (performance.now() - ordered_at));
  order_timer = window.setTimeout(() => (fleet_hold.peek() ? (order_timer = 0) : reorder()), wait);
}

function receive(ops: LiveOp[]): void {
  let changed = false;
  for (const op of ops) {
    if (op.op === 'error') toast_error(new Error(`Live fleet: ${op.detail ?? op.code}`));
    else if (fleet_apply(state, op)) changed = true;
  }
  if (state.complete) fleet_loaded.value = true;
  if (changed) rev.value++;
}

async function read_rest(): Promise<void> {
  try {
    const devices: DeviceSummary[] = [];
    let cursor: string | null = null;
    do {
      const page: { items: DeviceSummary[]; next: string | null } = await api.devices(cursor);
      devices.push(...page.items);
      cursor = page.next;
    } while (cursor && live_state.peek() !== 'live');
    if (live_state.peek() === 'live') return;
    receive([{ op: 'resync' }, { op: 'snapshot', devices, done: true }]);
  } catch (e) {
    toast_error(e);
  }
}

/** The words about silent devices contain ages; nothing live renews those. */
async function renew_sentences(): Promise<void> {
  try {
    for (const d of (await api.devices_silent()).items) {
      const old = state.shown.get(d.endpoint);
      if (!old || old.status !== d.status || old.status_since !== d.status_since) continue;
      if (old.sentence !== d.sentence)
        state.shown.set(d.endpoint, { ...old, sentence: d.sentence });
    }
    rev.value++;
  } catch {
    // The sentences stay as they are, and the next round tries again.
  }
}

async function read_info(): Promise<void> {
  try {
    fleet_info.value = await api.fleet();
  } catch {
    // The state of the socket already says that the server is away; keep the last numbers.
  }
}

/** fleet_info_open keeps fleet-wide numbers (parts, rates) fresh while someone is signed in. */
export function fleet_info_open(): () => void {
  void read_info();
  const timer = setInterval(() => void read_info(), 5000);
  return () => clearInterval(timer);
}

export function fleet_open(): () => void {
  fleet_hold.value = false;
  const stop_live = live_subscribe('fleet', null, receive);
  const stop_order = effect(() => {
    rev.value;
    filter.value;
    fleet_hold.value;
    fleet_labels.value;
    untracked(order_soon);
  });
  const rest = () => {
    if (live_state.peek() !== 'live') void read_rest();
  };
  const first = setTimeout(rest, 2500);
  const timer = setInterval(rest, REST_MS);
  const renew = setInterval(
    () => live_state.peek() === 'live' && void renew_sentences(),
    SILENT_MS,
  );
  return () => {
    stop_live();
    stop_order();
    clearTimeout(first);
    clearInterval(timer);
    clearInterval(renew);
    clearTimeout(order_timer);
    order_timer = 0;
  };
}

/** fleet_forget drops everything at sign-out, so that nothing is shown to the next person. */
export function fleet_forget(): void {
  state = fleet_new();
  fleet_loaded.value = false;
  fleet_info.value = null;
  membership = '';
  rev.value++;
  fleet_order.value = [];
  fleet_labels_forget();
}
