// fleet_labels.ts - tags and groups of the whole fleet. The live socket carries none, and they change
// by people's hands only: so they are read when a page that shows them opens, after an edit made
// here, when someone comes back to the tab, and at intervals that grow with what a reading costs.

import { signal } from '@preact/signals';
import { all_pages, api } from '../api';
import type { LabelMap } from '../labels';
import { error_of } from './ui';

const EVERY_MS = 60_000;
const RETURN_MS = 5_000;
/** A reading may take one part in so many of the time. */
const COST = 30;

export const fleet_labels = signal<LabelMap>(new Map());
/** Until the first reading has come, nobody may say that no device has a tag. */
export const fleet_labels_known = signal(false);
export const fleet_labels_error = signal<string | null>(null);

let reading: Promise<void> | null = null;
let again = false;
let generation = 0;
let read_at = -Infinity;
let wait_ms = EVERY_MS;

async function read(): Promise<void> {
  const mine = generation;
  const from = performance.now();
  try {
    const all = await all_pages(api.labels_all);
    if (mine !== generation) return;
    fleet_labels.value = new Map(all.map((l) => [l.endpoint, l]));
    fleet_labels_known.value = true;
    fleet_labels_error.value = null;
  } catch (e) {
    if (mine === generation) fleet_labels_error.value = error_of(e).message;
  }
  read_at = performance.now();
  wait_ms = Math.max(EVERY_MS, COST * (read_at - from));
}

/** fleet_labels_read resolves when a reading that began after this call has ended. */
export function fleet_labels_read(): Promise<void> {
  if (reading) {
    again = true;
    return reading;
  }
  const work = async () => {
    do {
      again = false;
      await read();
    } while (again);
    reading = null;
  };
  reading = work();
  return reading;
}

export function fleet_labels_open(): () => void {
  const due = (ms: number) => {
    if (!document.hidden && performance.now() - read_at >= ms) void fleet_labels_read();
  };
  const seen = () => due(RETURN_MS);
  void fleet_labels_read();
  document.addEventListener('visibilitychange', seen);
  const timer = setInterval(() => due(wait_ms), RETURN_MS);
  return () => {
    document.removeEventListener('visibilitychange', seen);
    clearInterval(timer);
  };
}

export function fleet_labels_forget(): void {
  generation++;
  fleet_labels.value = new Map();
  fleet_labels_known.value = false;
  fleet_labels_error.value = null;
}
