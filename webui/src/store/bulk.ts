// bulk.ts - one edit of tags and groups for many devices, sent in pieces one after the other. Every
// device has its own outcome; a piece without an answer stops the run and can be sent again, since
// setting what is set already changes nothing.

import { signal } from '@preact/signals';
import { api } from '../api';
import { bulk_add, bulk_new, bulk_piece, type BulkRun, type LabelEdit } from '../labels';
import { fleet_labels_read } from './fleet_labels';
import { groups_make } from './groups';
import { error_of } from './ui';

export const bulk = signal<BulkRun | null>(null);

async function go_on(): Promise<void> {
  try {
    await groups_make(bulk.peek()?.edit.join ?? []);
    for (let run = bulk.peek(); run?.state === 'running'; run = bulk.peek()) {
      const piece = bulk_piece(run);
      const got = await api.labels_edit(piece, run.edit);
      const now = bulk.peek();
      if (now) bulk.value = bulk_add(now, piece.length, got);
    }
  } catch (e) {
    const run = bulk.peek();
    const err = error_of(e);
    const refused = err.status >= 400 && err.status < 500;
    if (run) bulk.value = { ...run, state: 'broken', error: err.message, refused };
  }
  await fleet_labels_read();
}

export function bulk_start(endpoints: string[], edit: LabelEdit): Promise<void> {
  bulk.value = bulk_new(endpoints, edit);
  return go_on();
}

/** bulk_stop sends no further piece; the one under way still gets its answer. */
export function bulk_stop(): void {
  const run = bulk.peek();
  if (run?.state === 'running') bulk.value = { ...run, state: 'stopped' };
}

export function bulk_resume(): Promise<void> {
  const run = bulk.peek();
  if (!run || run.state === 'running') return Promise.resolve();
  bulk.value = { ...run, state: 'running', error: null, refused: false };
  return go_on();
}
