// audit.ts - the audit log as filtered by the address bar: pages, newest first, and all of it for
// an export. A page that arrives after the filter has changed is dropped.

import { effect, signal, untracked } from '@preact/signals';
import { api } from '../api';
import { audit_csv } from '../audit';
import { audit_filter } from '../route';
import type { AuditEntry } from '../types';
import { error_of, save_file, toast, toast_error } from './ui';

const PAGE = 100;
const EXPORT_PAGE = 1000;
/** What a browser makes a file of without pain; more is a case for SQL. */
export const EXPORT_MAX = 20_000;

export const audit = signal<AuditEntry[]>([]);
export const audit_next = signal<string | null>(null);
export const audit_loading = signal(false);
export const audit_error = signal<string | null>(null);
/** Rows read so far by a running export. */
export const audit_exporting = signal<number | null>(null);

let open_id = 0;

async function read(cursor: string | null): Promise<void> {
  const mine = open_id;
  audit_loading.value = true;
  audit_error.value = null;
  try {
    const page = await api.audit(audit_filter.peek(), cursor, PAGE);
    if (mine !== open_id) return;
    audit.value = cursor ? [...audit.peek(), ...page.items] : page.items;
    audit_next.value = page.next;
  } catch (e) {
    if (mine === open_id) audit_error.value = error_of(e).message;
  }
  if (mine === open_id) audit_loading.value = false;
}

export function audit_older(): void {
  if (!audit_loading.peek() && audit_next.peek()) void read(audit_next.peek());
}

export function audit_read(): void {
  open_id++;
  void read(null);
}

export function audit_open(): () => void {
  const stop = effect(() => {
    audit_filter.value;
    untracked(() => {
      audit.value = [];
      audit_next.value = null;
      audit_read();
    });
  });
  return () => {
    stop();
    open_id++;
    audit.value = [];
  };
}

/** audit_export saves everything the filter lets through as a CSV file. */
export async function audit_export(): Promise<void> {
  if (audit_exporting.peek() !== null) return;
  const filter = audit_filter.peek();
  const rows: AuditEntry[] = [];
  let cursor: string | null = null;
  try {
    do {
      audit_exporting.value = rows.length;
      const page: { items: AuditEntry[]; next: string | null } = await api.audit(
        filter,
        cursor,
        EXPORT_PAGE,
      );
      rows.push(...page.items);
      cursor = page.next;
    } while (cursor && rows.length < EXPORT_MAX);
    const day = new Date().toISOString().slice(0, 10);
    save_file(`braid-audit-${day}.csv`, 'text/csv', [audit_csv(rows)]);
    if (cursor)
      toast('bad', `Only the newest ${rows.length} rows are in the file: choose a shorter time`);
  } catch (e) {
    toast_error(e);
  }
  audit_exporting.value = null;
}
