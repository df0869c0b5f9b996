// selection.ts - which devices are chosen on the fleet page. The choice is a set of names: it
// outlives a change of the filter, and the page says how many of it are not in view.

import { computed, signal } from '@preact/signals';
import { check, range_between } from '../labels';
import { fleet_order } from './fleet';

export const checked = signal<ReadonlySet<string>>(new Set());
let last: string | null = null;

/** How many of the rows shown are chosen. */
export const checked_shown = computed(() => {
  const set = checked.value;
  return set.size ? fleet_order.value.reduce((n, e) => n + Number(set.has(e)), 0) : 0;
});

/** With `range`, everything between the device touched last and this one becomes as this one. */
export function select(endpoint: string, on: boolean, range: boolean): void {
  const which = range ? range_between(fleet_order.peek(), last, endpoint) : [endpoint];
  checked.value = check(checked.peek(), which, on);
  last = endpoint;
}

export function select_shown(on: boolean): void {
  checked.value = check(checked.peek(), fleet_order.peek(), on);
}

export function select_only(endpoints: Iterable<string>): void {
  checked.value = new Set(endpoints);
  last = null;
}
